//! The paper's questions, answered by intervals, and the failure modes that a scaling study shows.

use super::laws::{LawOf, Laws};
use super::{CellResult, Single, Transfer};
use crate::Result;
use crate::eval::statistics::{Interval, LEVEL, Verdict, over_seeds, two_sided_t};
use crate::lab::Lab;
use crate::laws::{Claim, Multiplier, NO_ASYMPTOTE};
use crate::spec::Split;
use crate::study::message::Message;

/// An ensemble whose whole gain is smaller than this, in nats per token, has members that predict
/// alike (F12).
const GAIN_NATS: f64 = 1e-3;

/// How an answer came out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Answer {
    /// As in the paper, and beyond the interval.
    Shown,
    /// Not as in the paper, or within the interval: it does not show at this scale.
    NotShown,
}

/// A question with its answer.
#[derive(Clone, Debug, PartialEq)]
pub struct Finding {
    /// The question.
    pub question: &'static str,
    /// D, tokens; absent where the answer is over all budgets.
    pub budget_tokens: Option<u64>,
    /// The answer.
    pub answer: Answer,
    /// What it rests on, with numbers and intervals.
    pub evidence: String,
}

/// A difference of two models on `test`, over text and seeds.
#[derive(Clone, Copy, Debug)]
struct Compared {
    mean: f64,
    interval: Interval,
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

/// Loss of left minus right: the variance of the paired blocks plus that of both means over seeds.
fn compare(lab: &dyn Lab, left: &Single, right: &Single) -> Result<Compared> {
    let ledger = |single: &Single| lab.ledger(single.evaluation, Split::Test);
    let paired = ledger(left)?.difference(&left.column, &ledger(right)?, &right.column)?.estimate;
    let of_seeds = |single: &Single| {
        let seeds = over_seeds(&single.of_seeds);
        (seeds.standard_deviation.unwrap_or(0.0).powi(2) / seeds.seeds as f64, seeds.seeds)
    };
    let ((a, seeds_a), (b, seeds_b)) = (of_seeds(left), of_seeds(right));
    let text = paired.standard_error.unwrap_or(0.0).powi(2);
    // Welch's degrees of freedom, with the many of the text.
    let share = |variance: f64, seeds: usize| variance.powi(2) / (seeds.max(2) - 1) as f64;
    let weights =
        share(a, seeds_a) + share(b, seeds_b) + text.powi(2) / (paired.clusters.max(2) - 1) as f64;
    let variance = a + b + text;
    let degrees = if weights > 0.0 { (variance * variance / weights).floor() } else { 1.0 };
    let half = variance.sqrt() * two_sided_t(LEVEL, degrees.max(1.0) as usize);
    let mean = paired.mean;
    Ok(Compared { mean, interval: Interval { low: mean - half, high: mean + half, level: LEVEL } })
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
        let single = budget.regularized.as_ref();
        let lowest = budget.ensembles.iter().min_by(|a, b| value(a).total_cmp(&value(b)));
        findings.extend(below(
            ("Is the asymptote of the ensembles below that of single models?", tokens),
            (lowest, "the lowest ensemble asymptote"),
            (single, "the regularized asymptote"),
        ));
        let joint = budget.joint.as_ref();
        findings.extend(below(
            ("Is the joint asymptote below that of single models?", tokens),
            (joint, "the joint asymptote"),
            (single, "the regularized asymptote"),
        ));
        findings.extend(below(
            ("Is the joint asymptote below that of any one ensemble?", tokens),
            (joint, "the joint asymptote"),
            (lowest, "the lowest ensemble asymptote"),
        ));
    }
    findings.extend(laws.efficiency.iter().map(multiplier));
    Ok(findings)
}

fn value(law: &LawOf) -> f64 {
    law.asymptote().map_or(f64::INFINITY, |claim| claim.value)
}

/// F1: the largest standard model is worse than a smaller one.
fn standard_turns(lab: &dyn Lab, budget: u64, row: &[&CellResult]) -> Result<Option<Finding>> {
    let singles: Vec<(&str, &Single)> =
        row.iter().filter_map(|cell| Some((&*cell.model, cell.standard.as_ref()?))).collect();
    let [_, .., last] = singles[..] else { return Ok(None) };
    let best = singles.iter().min_by(|a, b| a.1.score().total_cmp(&b.1.score()));
    let best = *best.expect("there are two");
    let question = "Does the standard recipe get worse with size?";
    let budget_tokens = Some(budget);
    if best.0 == last.0 {
        let evidence = format!("the largest model, {}, is the best on val", last.0);
        return Ok(Some(Finding { question, budget_tokens, answer: Answer::NotShown, evidence }));
    }
    let difference = compare(lab, last.1, best.1)?;
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
        let difference = compare(lab, pair[1].1, pair[0].1)?;
        if difference.verdict() == Verdict::Worse {
            rises.push(format!("{} minus {}: {difference}", pair[1].0, pair[0].0));
        }
    }
    let whole = compare(lab, last.1, first.1)?;
    let falls = rises.is_empty() && whole.verdict() == Verdict::Better;
    let mut evidence = format!("{} minus {}: {whole} nats/token on test", last.0, first.0);
    match rises.is_empty() {
        true => evidence += "; no step from a size to the next is shown to be worse",
        false => evidence += &format!("; but {}", rises.join(", ")),
    }
    Ok(Some(Finding {
        question: "Does the regularized recipe get better with size?",
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
    let single = singles.min_by(|a, b| a.1.score().total_cmp(&b.1.score()));
    let ensembles = row.iter().filter_map(|cell| Some((&*cell.model, cell.best_measured()?)));
    let ensemble = ensembles.min_by(|a, b| a.1.val.all().nats.total_cmp(&b.1.val.all().nats));
    let (Some((model, single)), Some((member, ensemble))) = (single, ensemble) else {
        return Ok(None);
    };
    let members = ensemble.members.len();
    let left = lab.ledger(ensemble.test.evaluation.id, Split::Test)?;
    let right = lab.ledger(single.evaluation, Split::Test)?;
    let paired = left.difference(&format!("logits-{members}"), &right, &single.column)?.estimate;
    let interval = paired.interval(LEVEL);
    let answer = match Verdict::from_interval(interval) {
        Verdict::Better => Answer::Shown,
        _ => Answer::NotShown,
    };
    let interval = interval.map_or_else(
        || "interval unknown".to_owned(),
        |i| format!("{:+.4} to {:+.4}", i.low, i.high),
    );
    let evidence = format!(
        "{members} members of {member} minus one {model}: {:+.4} ({interval}) nats/token on test, \
         over text",
        paired.mean
    );
    let question = "Does an ensemble beat the best single model?";
    Ok(Some(Finding { question, budget_tokens: Some(budget), answer, evidence }))
}

/// Whether one asymptote lies below another, with their intervals apart.
fn below(
    (question, budget): (&'static str, u64),
    (left, left_name): (Option<&LawOf>, &str),
    (right, right_name): (Option<&LawOf>, &str),
) -> Option<Finding> {
    let (left, right) = (left?, right?);
    let told = |law: &LawOf, name: &str| match (&law.fit, law.asymptote()) {
        (Err(refusal), _) => format!("{name}: no law, {refusal}"),
        (Ok(_), Some(claim)) => format!("{name} {claim}"),
        (Ok(_), None) => format!("{name}: none, {NO_ASYMPTOTE}"),
    };
    let evidence = format!("{}; {}", told(left, left_name), told(right, right_name));
    let apart = |left: Claim, right: Claim| {
        let (high, low) = (left.interval.high.value(), right.interval.low.value());
        matches!((high, low), (Some(high), Some(low)) if high < low)
    };
    let answer = match (left.asymptote(), right.asymptote()) {
        (Some(left), Some(right)) if apart(left, right) => Answer::Shown,
        _ => Answer::NotShown,
    };
    Some(Finding { question, budget_tokens: Some(budget), answer, evidence })
}

/// Whether a loss is worth more than the data that it took.
fn multiplier(efficiency: &super::laws::DataEfficiency) -> Finding {
    let (answer, told) = match &efficiency.multipliers {
        Ok([law, ..]) => (more_than_one(law), law.to_string()),
        Err(refusal) => (Answer::NotShown, format!("no law of the standard recipe: {refusal}")),
    };
    Finding {
        question: "How much more data would the standard recipe need?",
        budget_tokens: Some(efficiency.budget_tokens),
        answer,
        evidence: format!("{} ({:.4}): times {told}", efficiency.what, efficiency.loss_nats),
    }
}

fn more_than_one(law: &Multiplier) -> Answer {
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
        if finding.question.starts_with("Does the standard") && finding.answer == Answer::Shown {
            let seen =
                format!("At {at} tokens the standard recipe gets worse with size: {evidence}");
            let remedy = "Raise weight decay and tune it anew for every size";
            messages.push(Message::new("F1", seen, remedy));
        }
        if finding.question.starts_with("Is the asymptote of the ensembles")
            && finding.answer == Answer::NotShown
        {
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
