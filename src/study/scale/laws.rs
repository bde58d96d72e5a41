//! The laws of a scaling study, all from losses on `test`.
//!
//! N counts all parameters of one model, D tokens, K members; losses are in nats per token.

use std::collections::BTreeSet;

use serde_json::json;

use super::{CellResult, Ensemble, Options, Single};
use crate::Result;
use crate::laws::{
    self, Asymptote, AxisLaw, Base, Cell, Curve, Fit, JointFit, Multiplier, Refusal, Replication,
    Sample, Shape, SurfaceFit, Target, fit_joint, fit_surface, multipliers,
};
use crate::spec::JobId;
use crate::store::{Average, Column};

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
    pub law: std::result::Result<AxisLaw, Refusal>,
    /// To first order, what its asymptote is of columns of ledgers: the text is behind all of them,
    /// so that the chance in a difference of two asymptotes follows from these.
    pub slopes: Vec<Slope>,
}

/// How an asymptote moves with the loss of a column of a ledger.
#[derive(Clone, Debug, PartialEq)]
pub struct Slope {
    /// Change of E per change of the loss.
    pub weight: f64,
    /// The record with the ledger.
    pub record: JobId,
    /// The column.
    pub column: Column,
}

impl Slope {
    /// The loss of a single model, the mean over its seeds.
    pub(super) fn of_single(single: &Single) -> Self {
        let (record, column) = (single.evaluation, Column::Subsets(Average::Logits, 1));
        Self { weight: 1.0, record, column }
    }

    /// The loss of the ensembles of so many members.
    pub(super) fn of_ensemble(ensemble: &Ensemble, members: usize) -> Self {
        let record = ensemble.test.evaluation.id;
        Self { weight: 1.0, record, column: Column::Subsets(Average::Logits, members) }
    }
}

/// A point of a law.
struct Point {
    x: f64,
    loss: f64,
    /// The records behind it.
    records: Vec<JobId>,
    /// What its loss is of columns of ledgers, to first order.
    slopes: Vec<Slope>,
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
    /// Which of `ensembles` ends lowest on `val`.
    pub lowest: Option<usize>,
}

/// What a loss is worth in data (L5).
#[derive(Clone, Debug)]
pub struct DataEfficiency {
    /// D, tokens.
    pub budget_tokens: u64,
    /// Whose loss it is.
    pub what: String,
    /// The loss with its error over seeds, members or both.
    pub target: Target,
    /// The records behind it.
    pub records: Vec<JobId>,
    /// How many times the budget the standard recipe would need, by its law and by lines.
    pub multipliers: std::result::Result<[Multiplier; 3], Refusal>,
    /// What it is relative to: the best standard loss at this budget.
    pub base: Base,
    /// What the loss is of columns of ledgers, to first order.
    pub slopes: Vec<Slope>,
    /// The same of the base.
    pub base_slopes: Vec<Slope>,
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

impl Laws {
    /// Every law over one axis, in the order in which they are told.
    #[must_use]
    pub fn all(&self) -> Vec<&LawOf> {
        let mut all: Vec<&LawOf> = Vec::new();
        for budget in &self.budgets {
            all.extend(&budget.regularized);
            all.extend(&budget.ensembles);
            all.extend(&budget.joint);
        }
        all.extend([&self.standard, &self.regularized, &self.joint].into_iter().flatten());
        all
    }
}

// Of the intervals of the fit only the profiles, as this document has always had them.
serialize_as!(LawOf, |of| {
    let end = of.asymptote();
    let fit = of.fit().ok().map(|fit| {
        let mut told = json!(fit);
        let [a, alpha, e] = [&fit.coefficient, &fit.exponent, &fit.asymptote].map(|it| it.profile);
        told["intervals"] = json!({ "A": a, "alpha": alpha, "E": e, "level": e.level });
        told["leave_one_out"] = json!(fit.asymptote.leave_one_out);
        told
    });
    json!({
        "name": of.name, "axis": of.axis, "points": of.points, "fit": fit,
        "refused": of.fit().err().map(|why| why.to_string()),
        "E_interval": end.map(|end| end.claim.interval),
        "E_over": end.map(|end| end.doubt.to_string()),
    })
});

serialize_as!(DataEfficiency, |it| json!({
    "budget_tokens": it.budget_tokens, "what": it.what, "loss_nats": it.target.loss,
    "loss_error_nats": it.target.error.map(|error| error.nats),
    "multipliers": it.multipliers.as_ref().ok(),
}));

impl LawOf {
    /// The asymptote with its interval; `None` if there is no law, or none that ends anywhere.
    #[must_use]
    pub fn asymptote(&self) -> Option<Asymptote> {
        self.law.as_ref().ok()?.asymptote()
    }

    /// The fit, or why there is none.
    ///
    /// # Errors
    /// Why there is no law.
    pub fn fit(&self) -> std::result::Result<&Fit, Refusal> {
        self.law.as_ref().map(|law| &law.fit).map_err(|refusal| *refusal)
    }

    /// `None` without points.
    fn new(
        name: String,
        axis: char,
        mut points: Vec<Point>,
        (replication, options): (&Replication, &laws::Options),
    ) -> Result<Option<Self>> {
        if points.is_empty() {
            return Ok(None);
        }
        points.sort_by(|a, b| a.x.total_cmp(&b.x));
        let pairs: Vec<(f64, f64)> = points.iter().map(|point| (point.x, point.loss)).collect();
        let law = AxisLaw::new(Curve::new(&pairs)?, replication, options);
        let mut records: Vec<JobId> =
            points.iter().flat_map(|point| point.records.clone()).collect();
        records.dedup();
        let gradient = law.as_ref().map_or_else(|_| Vec::new(), AxisLaw::gradient);
        let weighed = |(point, weight): (&Point, f64)| {
            let weigh = move |own: &Slope| Slope { weight: weight * own.weight, ..own.clone() };
            point.slopes.iter().map(weigh).collect::<Vec<_>>()
        };
        let slopes = points.iter().zip(gradient).flat_map(weighed).collect();
        let points = points.iter().map(|point| (point.x, point.loss, point.record())).collect();
        Ok(Some(Self { name, axis, points, records, law, slopes }))
    }
}

impl Point {
    fn measured(x: f64, loss: f64, slope: Slope) -> Self {
        Self { x, loss, records: vec![slope.record], slopes: vec![slope] }
    }

    /// Ensembles of K members of a kind, over K.
    fn of_ensemble(ensemble: &Ensemble) -> Vec<Self> {
        let point = |(index, (x, loss)): (usize, (f64, f64))| {
            Self::measured(x, loss, Slope::of_ensemble(ensemble, index + 1))
        };
        ensemble.test.points().into_iter().enumerate().map(point).collect()
    }

    /// `None` for a law that does not end.
    fn of_law(x: f64, law: &LawOf) -> Option<Self> {
        let loss = law.asymptote()?.claim.value;
        Some(Self { x, loss, records: law.records.clone(), slopes: law.slopes.clone() })
    }

    /// The record of a point that has one.
    fn record(&self) -> Option<JobId> {
        match self.records[..] {
            [record] => Some(record),
            _ => None,
        }
    }
}

/// What is known of the noise of points that are asymptotes.
fn stages<'a>(laws: impl IntoIterator<Item = &'a LawOf>) -> Replication {
    let ending = laws.into_iter().filter_map(|law| law.law.as_ref().ok());
    Replication::of_stages(ending.filter(|law| law.asymptote().is_some()))
}

impl ModelLaws {
    /// The ensembles that end lowest on `val`: which ones is not decided where it is reported.
    #[must_use]
    pub fn lowest(&self) -> Option<&LawOf> {
        self.ensembles.get(self.lowest?)
    }
}

/// How all laws of a study are fitted.
fn fitting(plan: &Options) -> laws::Options {
    laws::Options { resamples: plan.resamples as usize, ..Default::default() }
}

/// The loss of a single model, or of one of its seeds.
fn of_single(x: u64, single: &Single, loss: f64) -> Point {
    Point::measured(x as f64, loss, Slope::of_single(single))
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
        let points = budgets
            .iter()
            .filter_map(|laws| Point::of_law(laws.budget_tokens as f64, law(laws)?))
            .collect();
        let replication = stages(budgets.iter().filter_map(law));
        LawOf::new(name.to_owned(), 'D', points, (&replication, &options))
    };
    let regularized = over_budgets("regularized asymptotes", |laws| laws.regularized.as_ref())?;
    let joint = over_budgets("joint asymptotes", |laws| laws.joint.as_ref())?;
    let standard = standard(cells, &options)?;
    let efficiency = match &standard {
        Some(standard) => efficiency(cells, &budgets, &standard.law),
        None => Vec::new(),
    };
    let surface = surface(cells, &options);
    Ok(Laws { budgets, standard, regularized, joint, surface, efficiency })
}

fn of_budget(budget_tokens: u64, row: &[&CellResult], plan: &Options) -> Result<ModelLaws> {
    let options = fitting(plan);
    let singles = || row.iter().filter_map(|cell| Some((*cell, cell.regularized.as_ref()?)));
    let at = |what: &str| format!("{what}, {budget_tokens} tokens");
    let points =
        singles().map(|(cell, single)| of_single(cell.parameters, single, single.loss.nats));
    let seeds = Replication::of_seeds(singles().map(|(_, single)| &single.of_seeds[..]));
    let points = points.collect();
    let regularized = LawOf::new(at("regularized"), 'N', points, (&seeds, &options))?;
    let mut of_seeds = Vec::new();
    for seed in 0..plan.members as usize {
        let points = singles().filter_map(|(cell, single)| {
            let loss = *single.of_seeds.get(seed)?;
            Some(of_single(cell.parameters, single, loss))
        });
        let name = at(&format!("regularized, seed {seed}"));
        let one_seed = (&Replication::None, &options);
        of_seeds.extend(LawOf::new(name, 'N', points.collect(), one_seed)?);
    }
    let mut ensembles = Vec::new();
    let mut tuned_alone = Vec::new();
    let mut grid = Vec::new();
    for cell in row {
        for (index, ensemble) in cell.ensembles.iter().enumerate() {
            let name = at(&format!("ensembles of {}", cell.model));
            let replication = ensemble.test.replication();
            let points = Point::of_ensemble(ensemble);
            let law = LawOf::new(name, 'K', points, (&replication, &options))?;
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
    let asymptotes = parameters.zip(&ensembles).filter_map(|(n, law)| Point::of_law(n, law));
    let (asymptotes, of_stages) = (asymptotes.collect(), stages(&ensembles));
    let chosen = row.iter().filter_map(|cell| cell.chosen()).map(|e| e.val_asymptote_nats);
    let lowest = best_on_val(chosen.enumerate(), |(_, nats)| *nats).map(|(index, _)| index);
    let joint = LawOf::new(at("ensemble asymptotes"), 'N', asymptotes, (&of_stages, &options))?;
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
        lowest,
    })
}

/// The best standard loss over N at every budget. Which N is best was decided on `val`.
fn standard(cells: &[CellResult], options: &laws::Options) -> Result<Option<LawOf>> {
    let best = best_standard(cells);
    let seeds = Replication::of_seeds(best.iter().map(|(_, single)| &single.of_seeds[..]));
    let points = best.iter().map(|(d, single)| of_single(*d, single, single.loss.nats));
    LawOf::new("standard, best over N".to_owned(), 'D', points.collect(), (&seeds, options))
}

/// The standard model of every budget that is best on `val`.
pub(super) fn best_standard(cells: &[CellResult]) -> Vec<(u64, &Single)> {
    let budgets: BTreeSet<u64> = cells.iter().map(|cell| cell.budget_tokens).collect();
    let best = |budget: u64| {
        let row = cells.iter().filter(|cell| cell.budget_tokens == budget);
        best_on_val(row.filter_map(|cell| cell.standard.as_ref()), |single| single.score())
    };
    budgets.into_iter().filter_map(|budget| Some((budget, best(budget)?))).collect()
}

/// The regularized model of a budget that is best on `val`.
pub(super) fn best_regularized(cells: &[CellResult], budget_tokens: u64) -> Option<&Single> {
    let row = cells.iter().filter(|cell| cell.budget_tokens == budget_tokens);
    best_on_val(row.filter_map(|cell| cell.regularized.as_ref()), |single| single.score())
}

/// The first of those with the lowest number on `val`.
pub(super) fn best_on_val<T>(all: impl Iterator<Item = T>, val: impl Fn(&T) -> f64) -> Option<T> {
    all.min_by(|a, b| val(a).total_cmp(&val(b)))
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
    standard: &std::result::Result<AxisLaw, Refusal>,
) -> Vec<DataEfficiency> {
    let best = best_standard(cells);
    let mut found = Vec::new();
    for laws in budgets {
        let budget_tokens = laws.budget_tokens;
        let row = || cells.iter().filter(move |c| c.budget_tokens == budget_tokens);
        let measured = best.iter().find(|(d, _)| *d == budget_tokens).map(|(_, single)| *single);
        let base_slopes: Vec<Slope> = measured.map(Slope::of_single).into_iter().collect();
        let base = measured.map_or(Base::X(budget_tokens as f64), |s| Base::Loss(s.target()));
        let single = best_regularized(cells, budget_tokens).map(|single| {
            (single.target(), vec![single.evaluation], vec![Slope::of_single(single)])
        });
        let ensemble =
            best_on_val(row().filter_map(CellResult::best_measured), |e| e.val.all().nats);
        let members = ensemble.map_or(0, |e| e.members.len());
        let ensemble = ensemble.map(|e| {
            let target = Target { loss: e.test.all().nats, error: e.test.member_error() };
            let slope = Slope::of_ensemble(e, e.members.len());
            (target, vec![slope.record], vec![slope])
        });
        let asymptote = |law: &LawOf| {
            let loss = law.asymptote()?.claim.value;
            let error = law.law.as_ref().ok()?.asymptote_error();
            let target = Target { loss, error: Some(error) };
            Some((target, law.records.clone(), law.slopes.clone()))
        };
        let targets = [
            ("best single model".to_owned(), single),
            (format!("best ensemble of {members}"), ensemble),
            ("regularized asymptote".to_owned(), laws.regularized.as_ref().and_then(asymptote)),
            ("lowest ensemble asymptote".to_owned(), laws.lowest().and_then(asymptote)),
            ("joint asymptote".to_owned(), laws.joint.as_ref().and_then(asymptote)),
        ];
        for (what, target) in targets {
            let Some((target, records, slopes)) = target else { continue };
            let law = standard.as_ref().map_err(|refusal| *refusal);
            let multipliers =
                law.and_then(|law| multipliers(&law.curve, law.options(), target, base));
            found.push(DataEfficiency {
                budget_tokens,
                what,
                target,
                records,
                multipliers,
                base,
                slopes,
                base_slopes: base_slopes.clone(),
            });
        }
    }
    found
}
