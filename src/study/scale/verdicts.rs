//! The paper's questions, answered by intervals, and the failure modes that a scaling study shows.
//!
//! **A verdict's interval**, the same for every question: level 95 %, over the text that is read
//! and over the seeds behind both sides; for asymptotes over what their points are, too (seeds,
//! members, asymptotes with errors of their own: [`crate::laws::AxisLaw`]). What is compared was
//! chosen on `val` and is measured on `test`. The answer is yes only if the whole interval says so.
//!
//! - *Measured losses*: the variance of the paired blocks of text, plus that of each side's mean
//!   over its seeds, or over the choice of its members (jackknife); Student's t with the degrees of
//!   freedom of Welch and Satterthwaite.
//! - *Asymptotes*: the difference of both, each with its own 95 % interval ([`difference`]); the
//!   text is behind both, and what of it is left in their difference follows to first order from
//!   the ledgers of their points. An end that the points leave open stays open.
//! - *Multipliers*: of the yardstick's law by its profile, and of both losses' errors.

use std::collections::BTreeMap;
use std::fmt;

use serde::Serialize;

use super::laws::{DataEfficiency, LawOf, Laws, Slope, best_on_val};
use super::{CellResult, Single, Transfer};
use crate::eval::Ledger;
use crate::eval::statistics::{Interval, LEVEL, Verdict, estimate};
use crate::lab::Lab;
use crate::laws::{
    AxisLaw, Base, Claim, Multiplier, NO_ASYMPTOTE, Options, Refusal, StandardError, Target,
    difference, multipliers,
};
use crate::spec::{JobId, Split};
use crate::store::Column;
use crate::study::message::Message;
use crate::{Error, Result};

/// An ensemble whose whole gain is smaller than this, in nats per token, has members that predict
/// alike (F12).
const GAIN_NATS: f64 = 1e-3;

/// What a scaling study asks, in the order in which it is told.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Question {
    /// F1: larger models overfit.
    StandardGetsWorse,
    /// R2: tuned decay repairs that.
    RegularizedGetsBetter,
    /// R4: several small models against a large one.
    EnsembleBeatsSingle,
    /// The same with infinitely many, and infinitely large.
    EnsembleEndsBelow,
    /// R6: both at once.
    JointEndsBelowSingle,
    /// R6 against R4.
    JointEndsBelowEnsemble,
    /// L5.
    DataEfficiency,
}

impl fmt::Display for Question {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::StandardGetsWorse => "Does the standard recipe get worse with size?",
            Self::RegularizedGetsBetter => "Does the regularized recipe get better with size?",
            Self::EnsembleBeatsSingle => "Does an ensemble beat the best single model?",
            Self::EnsembleEndsBelow => {
                "Is the asymptote of the ensembles below that of single models?"
            }
            Self::JointEndsBelowSingle => "Is the joint asymptote below that of single models?",
            Self::JointEndsBelowEnsemble => {
                "Is the joint asymptote below that of any one ensemble?"
            }
            Self::DataEfficiency => "How much more data would the standard recipe need?",
        })
    }
}

serialize_as!(Question, |question| question.to_string());

/// How an answer came out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Answer {
    /// As in the paper, and beyond the interval.
    Shown,
    /// Not as in the paper, or within the interval: it does not show at this scale.
    NotShown,
}

// Whether it is shown.
serialize_as!(Answer, |answer| *answer == Answer::Shown);

/// A question with its answer.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Finding {
    /// The question.
    pub question: Question,
    /// D, tokens; absent where the answer is over all budgets.
    pub budget_tokens: Option<u64>,
    /// The answer.
    #[serde(rename = "shown")]
    pub answer: Answer,
    /// What it rests on, with numbers and intervals.
    pub evidence: String,
}

/// A difference of two models on `test`, over text and seeds.
#[derive(Clone, Copy, Debug)]
pub(super) struct Compared {
    mean: f64,
    pub(super) interval: Interval,
}

impl Compared {
    fn verdict(&self) -> Verdict {
        Verdict::from_interval(Some(self.interval))
    }
}

impl std::fmt::Display for Compared {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self { mean, interval } = self;
        write!(f, "{mean:+.4} ({:+.4} to {:+.4})", interval.low, interval.high)
    }
}

/// A measured side of a comparison.
struct Side {
    record: JobId,
    column: Column,
    /// Over seeds, or over the choice of members.
    error: Option<StandardError>,
}

impl From<&Single> for Side {
    fn from(single: &Single) -> Self {
        let Slope { record, column, .. } = Slope::of_single(single);
        Self { record, column, error: single.seed_error() }
    }
}

/// A difference with the errors of its parts.
pub(super) fn compared(mean: f64, errors: &[StandardError]) -> Compared {
    let half = StandardError::of_sum(errors).map_or(0.0, |error| error.half_width(LEVEL));
    Compared { mean, interval: Interval { low: mean - half, high: mean + half, level: LEVEL } }
}

/// Loss of left minus right.
fn compare(lab: &dyn Lab, left: &Side, right: &Side) -> Result<Compared> {
    let ledger = |side: &Side| lab.ledger(side.record, Split::Test);
    let paired = ledger(left)?.mean_difference(left.column, &ledger(right)?, right.column)?;
    let text = paired.standard_error.map(|nats| {
        let degrees = paired.clusters.saturating_sub(1).max(1);
        StandardError { nats, degrees }
    });
    let errors: Vec<StandardError> =
        [text, left.error, right.error].into_iter().flatten().collect();
    Ok(compared(paired.mean, &errors))
}

/// The error of left minus right over blocks of the text that all their points are measured on, to
/// first order; `None` for a single block.
fn over_text(lab: &dyn Lab, left: &[Slope], right: &[Slope]) -> Result<Option<StandardError>> {
    let mut ledgers: BTreeMap<JobId, Ledger> = BTreeMap::new();
    let mut sums: Option<(Vec<f64>, Vec<f64>)> = None;
    let signed = left.iter().map(|slope| (slope, 1.0)).chain(right.iter().map(|s| (s, -1.0)));
    for (Slope { weight, record, column }, sign) in signed {
        if !ledgers.contains_key(record) {
            ledgers.insert(*record, lab.ledger(*record, Split::Test)?);
        }
        let (own, counts) = ledgers[record].block_sums(*column).ok_or_else(|| {
            Error::data(format!("the ledger of {} has no column `{column}`", record.short()))
        })?;
        let (sums, known) = sums.get_or_insert_with(|| (vec![0.0; own.len()], counts.clone()));
        if *known != counts {
            return Err(Error::data("the losses were not measured on the same tokens"));
        }
        sums.iter_mut().zip(own).for_each(|(sum, own)| *sum += sign * weight * own);
    }
    Ok(sums.and_then(|(sums, counts)| {
        let found = estimate(&sums, &counts);
        let degrees = found.clusters.saturating_sub(1).max(1);
        Some(StandardError { nats: found.standard_error?, degrees })
    }))
}

/// Answers every question that the cells can answer.
pub(super) fn of(lab: &dyn Lab, cells: &[CellResult], laws: &Laws) -> Result<Vec<Finding>> {
    let mut findings = Vec::new();
    let mut budgets: Vec<u64> = cells.iter().map(|cell| cell.budget_tokens).collect();
    budgets.dedup();
    for budget in budgets {
        let row: Vec<&CellResult> = cells.iter().filter(|c| c.budget_tokens == budget).collect();
        findings.extend(standard_turns(lab, budget, &row)?);
        findings.extend(regularized_falls(lab, budget, &row)?);
        findings.extend(ensemble_beats_larger(lab, budget, &row)?);
    }
    for budget in &laws.budgets {
        let tokens = budget.budget_tokens;
        let single = (budget.regularized.as_ref(), "the regularized asymptote");
        let lowest = (budget.lowest(), "the lowest ensemble asymptote");
        let joint = (budget.joint.as_ref(), "the joint asymptote");
        for (question, left, right) in [
            (Question::EnsembleEndsBelow, lowest, single),
            (Question::JointEndsBelowSingle, joint, single),
            (Question::JointEndsBelowEnsemble, joint, lowest),
        ] {
            findings.extend(below(lab, (question, tokens), left, right)?);
        }
    }
    if let Some(standard) = &laws.standard {
        for efficiency in &laws.efficiency {
            findings.push(multiplier(lab, efficiency, standard)?);
        }
    }
    Ok(findings)
}

/// F1: the largest standard model is worse than a smaller one.
fn standard_turns(lab: &dyn Lab, budget: u64, row: &[&CellResult]) -> Result<Option<Finding>> {
    let singles: Vec<(&str, &Single)> =
        row.iter().filter_map(|cell| Some((&*cell.model, cell.standard.as_ref()?))).collect();
    let [_, .., last] = singles[..] else { return Ok(None) };
    let best = best_on_val(singles.iter().copied(), |(_, single)| single.score());
    let best = best.expect("there are two");
    let question = Question::StandardGetsWorse;
    let budget_tokens = Some(budget);
    if best.0 == last.0 {
        let evidence = format!("the largest model, {}, is the best on val", last.0);
        return Ok(Some(Finding { question, budget_tokens, answer: Answer::NotShown, evidence }));
    }
    let difference = compare(lab, &last.1.into(), &best.1.into())?;
    let answer = match difference.verdict() {
        Verdict::Worse => Answer::Shown,
        _ => Answer::NotShown,
    };
    let evidence = format!(
        "{} minus {}, which is best on val: {difference} nats/token on test",
        last.0, best.0
    );
    Ok(Some(Finding { question, budget_tokens, answer, evidence }))
}

/// The regularized recipe never gets worse with size, and better in all.
fn regularized_falls(lab: &dyn Lab, budget: u64, row: &[&CellResult]) -> Result<Option<Finding>> {
    let singles: Vec<(&str, &Single)> =
        row.iter().filter_map(|cell| Some((&*cell.model, cell.regularized.as_ref()?))).collect();
    let [first, .., last] = singles[..] else { return Ok(None) };
    let mut rises = Vec::new();
    for pair in singles.windows(2) {
        let difference = compare(lab, &pair[1].1.into(), &pair[0].1.into())?;
        if difference.verdict() == Verdict::Worse {
            rises.push(format!("{} minus {}: {difference}", pair[1].0, pair[0].0));
        }
    }
    let whole = compare(lab, &last.1.into(), &first.1.into())?;
    let falls = rises.is_empty() && whole.verdict() == Verdict::Better;
    let mut evidence = format!("{} minus {}: {whole} nats/token on test", last.0, first.0);
    match rises.is_empty() {
        true => evidence += "; no step from a size to the next is shown to be worse",
        false => evidence += &format!("; but {}", rises.join(", ")),
    }
    Ok(Some(Finding {
        question: Question::RegularizedGetsBetter,
        budget_tokens: Some(budget),
        answer: if falls { Answer::Shown } else { Answer::NotShown },
        evidence,
    }))
}

/// The best ensemble against the best single model, both chosen on `val`.
fn ensemble_beats_larger(
    lab: &dyn Lab,
    budget: u64,
    row: &[&CellResult],
) -> Result<Option<Finding>> {
    let singles = row.iter().filter_map(|cell| Some((&*cell.model, cell.regularized.as_ref()?)));
    let single = best_on_val(singles, |(_, single)| single.score());
    let ensembles = row.iter().filter_map(|cell| Some((&*cell.model, cell.best_measured()?)));
    let ensemble = best_on_val(ensembles, |(_, ensemble)| ensemble.val.all().nats);
    let (Some((model, single)), Some((member, ensemble))) = (single, ensemble) else {
        return Ok(None);
    };
    let members = ensemble.members.len();
    let Slope { record, column, .. } = Slope::of_ensemble(ensemble, members);
    let averaged = Side { record, column, error: ensemble.test.member_error() };
    let difference = compare(lab, &averaged, &single.into())?;
    let answer = match difference.verdict() {
        Verdict::Better => Answer::Shown,
        _ => Answer::NotShown,
    };
    let evidence =
        format!("{members} members of {member} minus one {model}: {difference} nats/token on test");
    let question = Question::EnsembleBeatsSingle;
    Ok(Some(Finding { question, budget_tokens: Some(budget), answer, evidence }))
}

/// The difference of two asymptotes whose intervals have the level of verdicts, with the error of
/// the text that both rest on.
pub(super) fn apart(left: Claim, right: Claim, text: Option<StandardError>) -> Claim {
    difference(left, right, text.map_or(0.0, |text| text.half_width(LEVEL)))
}

pub(super) fn lies_below(apart: &Claim) -> bool {
    apart.interval.high.value().is_some_and(|high| high < 0.0)
}

/// Whether one asymptote lies below another.
fn below(
    lab: &dyn Lab,
    (question, budget): (Question, u64),
    (left, left_name): (Option<&LawOf>, &str),
    (right, right_name): (Option<&LawOf>, &str),
) -> Result<Option<Finding>> {
    let (Some(left), Some(right)) = (left, right) else { return Ok(None) };
    let finding = |answer, evidence| {
        Some(Finding { question, budget_tokens: Some(budget), answer, evidence })
    };
    let without = |law: &LawOf, name: &str| match &law.law {
        Err(refusal) => Some(format!("{name}: no law, {refusal}")),
        Ok(law) if law.asymptote().is_none() => Some(format!("{name}: none, {NO_ASYMPTOTE}")),
        Ok(_) => None,
    };
    let missing = [without(left, left_name), without(right, right_name)];
    let missing: Vec<String> = missing.into_iter().flatten().collect();
    let asymptote = |law: &LawOf| law.law.as_ref().ok()?.asymptote_at(LEVEL);
    let (Some(left_end), Some(right_end)) = (asymptote(left), asymptote(right)) else {
        return Ok(finding(Answer::NotShown, missing.join("; ")));
    };
    let text = over_text(lab, &left.slopes, &right.slopes)?;
    let apart = apart(left_end.claim, right_end.claim, text);
    let answer = if lies_below(&apart) { Answer::Shown } else { Answer::NotShown };
    let end = |end: crate::laws::End| {
        end.value().map_or_else(|| "open".to_owned(), |value| format!("{value:+.4}"))
    };
    let evidence = format!(
        "{left_name} ({}) minus {right_name} ({}): {:+.4} ({} to {}) nats/token on test",
        left_end.doubt,
        right_end.doubt,
        apart.value,
        end(apart.interval.low),
        end(apart.interval.high)
    );
    Ok(finding(answer, evidence))
}

/// Whether a loss is worth more than the data that it took.
fn multiplier(lab: &dyn Lab, efficiency: &DataEfficiency, standard: &LawOf) -> Result<Finding> {
    let DataEfficiency { budget_tokens, what, target, base, slopes, base_slopes, .. } = efficiency;
    let text = over_text(lab, slopes, base_slopes)?;
    let tested = standard.law.as_ref().map_err(|refusal| *refusal);
    let tested = tested.and_then(|law| worth(law, *target, *base, text));
    let (answer, told) = match tested {
        Ok(found) => (more_than_one(&found), found.to_string()),
        Err(refusal) => (Answer::NotShown, format!("no law of the standard recipe: {refusal}")),
    };
    Ok(Finding {
        question: Question::DataEfficiency,
        budget_tokens: Some(*budget_tokens),
        answer,
        evidence: format!("{what} ({:.4}): times {told}", target.loss),
    })
}

/// What a loss is worth by the law of the standard recipe, with the interval of verdicts: over the
/// law, the errors of both losses, and the text of the target minus the base.
pub(super) fn worth(
    standard: &AxisLaw,
    target: Target,
    base: Base,
    text: Option<StandardError>,
) -> std::result::Result<Multiplier, Refusal> {
    let errors: Vec<StandardError> = target.error.into_iter().chain(text).collect();
    let target = Target { error: StandardError::of_sum(&errors), ..target };
    let options = Options { level: LEVEL, resamples: 1, ..*standard.options() };
    multipliers(&standard.curve, &options, target, base).map(|[law, ..]| law)
}

pub(super) fn more_than_one(law: &Multiplier) -> Answer {
    let low = law.profile.and_then(|interval| interval.low.value());
    if low.is_some_and(|low| low > 1.0) { Answer::Shown } else { Answer::NotShown }
}

/// F1, F3, F7 and F12, where the data show them.
pub(super) fn messages(
    cells: &[CellResult],
    transfers: &[Transfer],
    findings: &[Finding],
) -> Vec<Message> {
    let mut messages = Vec::new();
    for finding in findings {
        let at = finding.budget_tokens.unwrap_or_default();
        let evidence = &finding.evidence;
        if finding.question == Question::StandardGetsWorse && finding.answer == Answer::Shown {
            let seen =
                format!("At {at} tokens the standard recipe gets worse with size: {evidence}");
            let remedy = "Raise weight decay and tune it anew for every size";
            messages.push(Message::new("F1", seen, remedy));
        }
        if finding.question == Question::EnsembleEndsBelow && finding.answer == Answer::NotShown {
            let seen =
                format!("At {at} tokens no ensemble is shown to end below one model: {evidence}");
            let remedy = "Train members for twice the epochs at half the decay, or more of them";
            messages.push(Message::new("F3", seen, remedy));
        }
    }
    for transfer in transfers {
        if transfer.difference.verdict() == Verdict::Worse {
            let seen = format!(
                "{} of the smallest model costs {} {:+.4} nats/token",
                transfer.carried, transfer.model, transfer.difference.mean
            );
            messages.push(Message::new("F7", seen, "Tune every size on its own"));
        }
    }
    for cell in cells {
        let Some(ensemble) = cell.chosen() else { continue };
        let losses = &ensemble.test.losses;
        let gain = losses[0].nats - ensemble.test.all().nats;
        if losses.len() > 1 && gain < GAIN_NATS {
            let seen = format!(
                "{} members of {} at {} tokens gain {gain:.5} nats/token over one",
                losses.len(),
                cell.model,
                cell.budget_tokens
            );
            let remedy = "Check that members differ in their seeds and in their order of data";
            messages.push(Message::new("F12", seen, remedy));
        }
    }
    messages
}
