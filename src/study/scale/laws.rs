//! The laws of a scaling study, all from losses on `test`.
//!
//! N counts all parameters of one model, D tokens, K members; losses are in nats per token.

use std::collections::BTreeSet;

use super::{CellResult, Options};
use crate::Result;
use crate::laws;
use crate::laws::{
    Base, Cell, Claim, Curve, Fit, Interval, JointFit, Multiplier, Refusal, Sample, Shape,
    SurfaceFit, Target, fit, fit_joint, fit_surface, multipliers,
};
use crate::spec::JobId;

/// A law over one axis with the points that it rests on.
#[derive(Clone, Debug)]
pub struct LawOf {
    /// What it describes: "regularized, 25600 tokens".
    pub name: String,
    /// The axis: `N`, `K` or `D`.
    pub axis: char,
    /// x, loss and the record that measured it; of asymptotes there are several, in `records`.
    pub points: Vec<(f64, f64, Option<JobId>)>,
    /// All records that the law rests on.
    pub records: Vec<JobId>,
    /// The law, or why there is none.
    pub fit: std::result::Result<Fit, Refusal>,
    /// The interval of E over the choice of members, for laws in K that have one.
    pub over_members: Option<Interval>,
}

/// Laws of one budget.
#[derive(Clone, Debug)]
pub struct ModelLaws {
    /// D, tokens.
    pub budget_tokens: u64,
    /// The regularized recipe over N (L1).
    pub regularized: Option<LawOf>,
    /// The same with one seed at a time (L7): how far the law depends on chance.
    pub of_seeds: Vec<LawOf>,
    /// Ensembles over K, one law per model, members by the chosen rule.
    pub ensembles: Vec<LawOf>,
    /// The same with members that were tuned as single models.
    pub tuned_alone: Vec<LawOf>,
    /// The asymptotes of `ensembles` over N: its asymptote is the joint one (R6).
    pub joint: Option<LawOf>,
    /// Both limits in both orders.
    pub both_orders: Option<JointFit>,
}

/// What a loss is worth in data (L5).
#[derive(Clone, Debug)]
pub struct DataEfficiency {
    /// D, tokens.
    pub budget_tokens: u64,
    /// Whose loss it is.
    pub what: String,
    /// The loss, nats per token.
    pub loss_nats: f64,
    /// The records behind it.
    pub records: Vec<JobId>,
    /// How many times the budget the standard recipe would need, by its law and by lines.
    pub multipliers: std::result::Result<[Multiplier; 3], Refusal>,
}

/// Everything that was fitted.
#[derive(Clone, Debug)]
pub struct Laws {
    /// Per budget of the regularized recipe, ascending.
    pub budgets: Vec<ModelLaws>,
    /// The best standard loss over N, over D: the yardstick.
    pub standard: Option<LawOf>,
    /// The asymptotes of the regularized recipe, over D.
    pub regularized: Option<LawOf>,
    /// The joint asymptotes, over D.
    pub joint: Option<LawOf>,
    /// The regularized recipe over N and D (R11, L3), or why there is no law.
    pub surface: Option<std::result::Result<SurfaceFit, String>>,
    /// What losses are worth in data.
    pub efficiency: Vec<DataEfficiency>,
}

impl LawOf {
    /// The asymptote with its interval: over members where that is known, else the law's profile.
    /// None if there is no law, or none that ends anywhere.
    #[must_use]
    pub fn asymptote(&self) -> Option<Claim> {
        let fit = self.fit.as_ref().ok().filter(|fit| fit.has_asymptote())?;
        let interval = self.over_members.unwrap_or(fit.asymptote.profile);
        Some(Claim { value: fit.law.e, interval })
    }

    fn new(
        name: String,
        axis: char,
        points: Vec<(f64, f64, Option<JobId>)>,
        options: &laws::Options,
    ) -> Result<Option<Self>> {
        if points.is_empty() {
            return Ok(None);
        }
        let pairs: Vec<(f64, f64)> = points.iter().map(|&(x, y, _)| (x, y)).collect();
        let fit = fit(&Curve::new(&pairs)?, options);
        let mut records: Vec<JobId> = points.iter().filter_map(|(_, _, record)| *record).collect();
        records.dedup();
        Ok(Some(Self { name, axis, points, records, fit, over_members: None }))
    }
}

/// How all laws of a study are fitted.
fn fitting(plan: &Options) -> laws::Options {
    laws::Options { resamples: plan.resamples as usize, ..Default::default() }
}

/// Fits everything.
pub(super) fn of(cells: &[CellResult], plan: &Options) -> Result<Laws> {
    let options = fitting(plan);
    let budgets: BTreeSet<u64> =
        cells.iter().filter(|c| c.regularized.is_some()).map(|c| c.budget_tokens).collect();
    let budgets: Vec<ModelLaws> = budgets
        .into_iter()
        .map(|budget| {
            let row: Vec<&CellResult> =
                cells.iter().filter(|c| c.budget_tokens == budget).collect();
            of_budget(budget, &row, plan)
        })
        .collect::<Result<_>>()?;
    let over_budgets = |name: &str, law: fn(&ModelLaws) -> Option<&LawOf>| {
        let points = budgets.iter().filter_map(|laws| {
            let claim = law(laws)?.asymptote()?;
            Some((laws.budget_tokens as f64, claim.value, None))
        });
        let mut found = LawOf::new(name.to_owned(), 'D', points.collect(), &options)?;
        if let Some(found) = &mut found {
            let behind = budgets.iter().filter_map(law).flat_map(|law| &law.records);
            found.records = behind.copied().collect();
        }
        Ok::<_, crate::Error>(found)
    };
    let regularized = over_budgets("regularized asymptotes", |laws| laws.regularized.as_ref())?;
    let joint = over_budgets("joint asymptotes", |laws| laws.joint.as_ref())?;
    let standard = standard(cells, &options)?;
    let efficiency = match &standard {
        Some(law) => efficiency(cells, &budgets, law, &options)?,
        None => Vec::new(),
    };
    let surface = surface(cells, &options);
    Ok(Laws { budgets, standard, regularized, joint, surface, efficiency })
}

fn of_budget(budget_tokens: u64, row: &[&CellResult], plan: &Options) -> Result<ModelLaws> {
    let options = fitting(plan);
    let singles = || row.iter().filter_map(|cell| Some((*cell, cell.regularized.as_ref()?)));
    let at = |what: &str| format!("{what}, {budget_tokens} tokens");
    let points = singles()
        .map(|(cell, single)| (cell.parameters as f64, single.loss.nats, Some(single.evaluation)));
    let regularized = LawOf::new(at("regularized"), 'N', points.collect(), &options)?;
    let mut of_seeds = Vec::new();
    for seed in 0..plan.members as usize {
        let points = singles().filter_map(|(cell, single)| {
            let loss = *single.of_seeds.get(seed)?;
            Some((cell.parameters as f64, loss, Some(single.evaluation)))
        });
        let name = at(&format!("regularized, seed {seed}"));
        of_seeds.extend(LawOf::new(name, 'N', points.collect(), &options)?);
    }
    let mut ensembles = Vec::new();
    let mut tuned_alone = Vec::new();
    let mut grid = Vec::new();
    for cell in row {
        for (index, ensemble) in cell.ensembles.iter().enumerate() {
            let record = Some(ensemble.test.evaluation.id);
            let points = ensemble.test.points().into_iter().map(|(k, loss)| (k, loss, record));
            let name = at(&format!("ensembles of {}", cell.model));
            let mut law = LawOf::new(name, 'K', points.collect(), &options)?;
            if let Some(LawOf { fit: Ok(fit), over_members, .. }) = &mut law {
                *over_members = Some(ensemble.test.asymptote(fit).interval);
            }
            if index == 0 {
                tuned_alone.extend(law.clone());
            }
            if ensemble.chosen {
                ensembles.extend(law);
                grid.extend(ensemble.test.points().into_iter().map(|(members, loss)| Cell {
                    parameters: cell.parameters as f64,
                    members,
                    loss,
                }));
            }
        }
    }
    let parameters = row.iter().filter(|cell| cell.chosen().is_some()).map(|c| c.parameters as f64);
    let asymptotes = parameters
        .zip(&ensembles)
        .filter_map(|(n, law)| Some((n, law.asymptote()?.value, law.points[0].2)));
    let joint = LawOf::new(at("ensemble asymptotes"), 'N', asymptotes.collect(), &options)?;
    let both_orders = match grid.is_empty() {
        true => None,
        false => Some(fit_joint(&grid, &options)?),
    };
    Ok(ModelLaws {
        budget_tokens,
        regularized,
        of_seeds,
        ensembles,
        tuned_alone,
        joint,
        both_orders,
    })
}

/// The best standard loss over N at every budget. Which N is best was decided on `val`.
fn standard(cells: &[CellResult], options: &laws::Options) -> Result<Option<LawOf>> {
    let points = best_standard(cells);
    let points =
        points.into_iter().map(|(budget, loss, record)| (budget as f64, loss, Some(record)));
    LawOf::new("standard, best over N".to_owned(), 'D', points.collect(), options)
}

/// Budget, loss on `test` and record of the standard model that is best on `val`.
pub(super) fn best_standard(cells: &[CellResult]) -> Vec<(u64, f64, JobId)> {
    let budgets: BTreeSet<u64> = cells.iter().map(|cell| cell.budget_tokens).collect();
    budgets
        .into_iter()
        .filter_map(|budget| {
            let row = cells.iter().filter(|cell| cell.budget_tokens == budget);
            let singles = row.filter_map(|cell| cell.standard.as_ref());
            let best = singles.min_by(|a, b| a.score().total_cmp(&b.score()))?;
            Some((budget, best.loss.nats, best.evaluation))
        })
        .collect()
}

/// The additive law over N and D.
fn surface(
    cells: &[CellResult],
    options: &laws::Options,
) -> Option<std::result::Result<SurfaceFit, String>> {
    let samples: Vec<Sample> = cells
        .iter()
        .filter_map(|cell| {
            let loss = cell.regularized.as_ref()?.loss.nats;
            let (parameters, tokens) = (cell.parameters as f64, cell.budget_tokens as f64);
            Some(Sample { parameters: Some(parameters), tokens, epochs: None, loss })
        })
        .collect();
    if samples.is_empty() {
        return None;
    }
    let options = laws::Options { resamples: (options.resamples / 10).max(1), ..*options };
    Some(fit_surface(&samples, Shape::Chinchilla, &options).map_err(|error| error.to_string()))
}

/// Multipliers of the best single model, of the largest ensemble, and of all asymptotes.
fn efficiency(
    cells: &[CellResult],
    budgets: &[ModelLaws],
    standard: &LawOf,
    options: &laws::Options,
) -> Result<Vec<DataEfficiency>> {
    let pairs: Vec<(f64, f64)> = standard.points.iter().map(|&(x, y, _)| (x, y)).collect();
    let curve = Curve::new(&pairs)?;
    let mut found = Vec::new();
    for laws in budgets {
        let budget = laws.budget_tokens;
        let row: Vec<&CellResult> = cells.iter().filter(|c| c.budget_tokens == budget).collect();
        let measured = best_standard(cells).into_iter().find(|(d, ..)| *d == budget);
        let base = measured.map_or(Base::X(budget as f64), |(_, loss, _)| Base::Loss(loss));
        let singles = row.iter().filter_map(|cell| cell.regularized.as_ref());
        let single = singles.min_by(|a, b| a.score().total_cmp(&b.score()));
        let ensemble = row
            .iter()
            .filter_map(|cell| cell.best_measured())
            .min_by(|a, b| a.val.all().nats.total_cmp(&b.val.all().nats));
        let asymptote = |law: &LawOf| Some((law.asymptote()?.value, law.records.clone()));
        let lowest = laws.ensembles.iter().filter_map(asymptote).min_by(|a, b| a.0.total_cmp(&b.0));
        let members = ensemble.map_or(0, |e| e.members.len());
        let targets = [
            (
                "best single model".to_owned(),
                single.map(|single| (single.loss.nats, vec![single.evaluation])),
            ),
            (
                format!("best ensemble of {members}"),
                ensemble.map(|e| (e.test.all().nats, vec![e.test.evaluation.id])),
            ),
            ("regularized asymptote".to_owned(), laws.regularized.as_ref().and_then(asymptote)),
            ("lowest ensemble asymptote".to_owned(), lowest),
            ("joint asymptote".to_owned(), laws.joint.as_ref().and_then(asymptote)),
        ];
        for (what, loss) in targets {
            let Some((loss_nats, records)) = loss else { continue };
            let target = Target { loss: loss_nats, deviation: 0.0 };
            let multipliers = multipliers(&curve, options, target, base);
            let budget_tokens = budget;
            found.push(DataEfficiency { budget_tokens, what, loss_nats, records, multipliers });
        }
    }
    Ok(found)
}
