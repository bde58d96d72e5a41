//! Runs put in order: sizes, budgets, settings with their seeds, ensembles over K.
//!
//! Numbers decide what belongs together, never labels: budgets that differ by less than half a
//! percent are one budget, because a label of rounded tokens and a count of truncated steps mean
//! the same (B7, B12). Runs that differ in their seeds only are one setting, whose loss is their
//! mean; a single lucky seed therefore never competes with a mean, and members of an ensemble are
//! compared within their own setting only (B14).

use std::cell::OnceCell;
use std::collections::{BTreeMap, BTreeSet};

use super::Options;
use super::law::{Fitted, Unit};
use super::measured::{Measured, mean};
use super::run::{Run, Runs};
use crate::laws::{self, Replication, StandardError, Target};
use crate::number::amount;
use crate::store::Average;

/// Budgets this close are the same.
const SAME_BUDGET: f64 = 5e-3;
/// Numbers of a setting this close are the same.
const SAME: f64 = 1e-6;

/// Everything that figures ask for.
pub struct Scope<'r> {
    /// All runs.
    pub runs: &'r Runs,
    /// How they are put in order.
    pub options: &'r Options,
    /// Sizes N of the settings and ensembles, ascending, with their names.
    pub sizes: Vec<(f64, String)>,
    /// Budgets D, ascending.
    pub budgets: Vec<f64>,
    /// Single models from scratch at the commonest batch size.
    pub settings: Vec<Setting<'r>>,
    /// Ensembles over K.
    pub members: Vec<Members>,
    /// Unit of N in laws.
    pub n_unit: Unit,
    /// Unit of D in laws.
    pub d_unit: Unit,
    /// Laws that several figures show, each fitted when it is first asked for.
    pub(super) shared: Shared,
}

/// Laws that several figures show.
#[derive(Default)]
pub(super) struct Shared {
    /// Of the standard recipe over D.
    pub(super) standard: OnceCell<Result<Fitted, String>>,
    /// Of the tuned recipe over N, for every budget.
    pub(super) tuned: Vec<OnceCell<Result<Fitted, String>>>,
}

/// Runs that differ in their seeds only.
#[derive(Clone, Debug)]
pub struct Setting<'r> {
    /// N.
    pub n: f64,
    /// D.
    pub d: f64,
    /// Passes over D.
    pub epochs: f64,
    /// Peak learning rate.
    pub lr: f64,
    /// Weight decay.
    pub weight_decay: f64,
    /// The runs.
    pub runs: Vec<&'r Run>,
}

/// Ensembles of a setting over K.
#[derive(Clone, Debug)]
pub struct Members {
    /// N of one member.
    pub n: f64,
    /// D.
    pub d: f64,
    /// Passes over D.
    pub epochs: f64,
    /// Peak learning rate.
    pub lr: f64,
    /// Weight decay.
    pub weight_decay: f64,
    /// Loss over K, ascending, unique.
    pub losses: Vec<Measured>,
    /// What is known of the noise of these points.
    pub replication: Replication,
    /// Ids of the members of the largest ensemble, where they are known.
    pub ids: Vec<String>,
    /// The law in K, fitted when it is first asked for: several figures show it.
    pub law: OnceCell<Result<Fitted, String>>,
}

/// Representatives of groups of values that are the same up to a relative tolerance, ascending.
fn groups(values: impl Iterator<Item = f64>, tolerance: f64) -> Vec<f64> {
    let mut sorted: Vec<f64> = values.filter(|v| v.is_finite() && *v > 0.0).collect();
    sorted.sort_by(f64::total_cmp);
    let mut groups: Vec<Vec<f64>> = Vec::new();
    for value in sorted {
        match groups.last_mut() {
            Some(group) if value <= group[0] * (1.0 + tolerance) => group.push(value),
            _ => groups.push(vec![value]),
        }
    }
    let commonest = |group: Vec<f64>| {
        let count =
            |value: f64| group.iter().filter(|other| other.to_bits() == value.to_bits()).count();
        let mut best = group[0];
        for &value in &group {
            if count(value) > count(best) {
                best = value;
            }
        }
        best
    };
    // Counting is quadratic in the group, and large groups are of equal values.
    let thinned = groups.into_iter().map(|mut group| {
        group.dedup_by_key(|value| value.to_bits());
        if group.len() > 64 { group[group.len() / 2] } else { commonest(group) }
    });
    thinned.collect()
}

/// The representative that a value belongs to.
fn nearest(representatives: &[f64], value: f64) -> Option<f64> {
    let distance = |candidate: f64| (candidate / value - 1.0).abs();
    representatives.iter().copied().min_by(|a, b| distance(*a).total_cmp(&distance(*b)))
}

/// Whether two numbers of a setting are the same.
#[must_use]
pub fn same(a: f64, b: f64) -> bool {
    (a - b).abs() <= SAME * a.abs().max(b.abs())
}

impl<'r> Scope<'r> {
    /// Puts runs in order.
    #[must_use]
    pub fn new(runs: &'r Runs, options: &'r Options) -> Self {
        let kept = || runs.runs.iter().filter(|run| !run.is_tagged("ignore"));
        let budgets = groups(kept().filter_map(|run| run.budget_tokens), SAME_BUDGET);
        let sizes = groups(kept().filter_map(|run| run.parameters), SAME);
        let n_unit = Unit::of(&sizes);
        let d_unit = Unit::of(&budgets);
        let settings = settings(runs, &sizes, &budgets);
        let members = members(runs, options, &settings, (&sizes, &budgets));
        let named = |n: f64| (n, size_name(runs, n));
        let used = |n: &f64| {
            settings.iter().any(|s| same(s.n, *n)) || members.iter().any(|m| same(m.n, *n))
        };
        let sizes: Vec<(f64, String)> = sizes.into_iter().filter(used).map(named).collect();
        let used = |d: &f64| {
            settings.iter().any(|s| same(s.d, *d)) || members.iter().any(|m| same(m.d, *d))
        };
        let budgets: Vec<f64> = budgets.into_iter().filter(used).collect();
        let tuned = budgets.iter().map(|_| OnceCell::new()).collect();
        let shared = Shared { tuned, ..Shared::default() };
        Self { runs, options, sizes, budgets, settings, members, n_unit, d_unit, shared }
    }

    /// The best setting of each size at a budget among those that `choose` takes, by size.
    #[must_use]
    pub fn best(&self, d: f64, choose: impl Fn(&Setting) -> bool) -> Vec<&Setting<'r>> {
        let of = |n: f64| {
            let all = self.settings.iter().filter(|s| same(s.n, n) && same(s.d, d) && choose(s));
            all.min_by(|a, b| a.loss().total_cmp(&b.loss()))
        };
        self.sizes.iter().filter_map(|(n, _)| of(*n)).collect()
    }

    /// Whether a setting is of the standard recipe.
    #[must_use]
    pub fn is_standard(&self, setting: &Setting) -> bool {
        same(setting.weight_decay, self.options.standard_weight_decay)
    }

    /// The standard recipe's best of each size at a budget.
    #[must_use]
    pub fn standard(&self, d: f64) -> Vec<&Setting<'r>> {
        match &self.options.chosen {
            Some(chosen) => self.best(d, |setting| setting.holds(&chosen.standard)),
            None => self.best(d, |setting| self.is_standard(setting)),
        }
    }

    /// The best of each size at a budget, whatever its weight decay; none where no size was tried
    /// with another decay than the standard one, because nothing was tuned there.
    #[must_use]
    pub fn regularized(&self, d: f64) -> Vec<&Setting<'r>> {
        if let Some(chosen) = &self.options.chosen {
            return self.best(d, |setting| setting.holds(&chosen.regularized));
        }
        let tuned = self.settings.iter().any(|s| same(s.d, d) && !self.is_standard(s));
        self.best(d, |_| tuned)
    }

    /// The best of some settings of a budget: the one that the study chose, else the lowest.
    #[must_use]
    pub fn best_of<'s>(&self, settings: Vec<&'s Setting<'r>>) -> Option<&'s Setting<'r>> {
        match &self.options.chosen {
            Some(chosen) => settings.into_iter().find(|setting| setting.holds(&chosen.best)),
            None => settings.into_iter().min_by(|a, b| a.loss().total_cmp(&b.loss())),
        }
    }

    /// The budget of figures that show one.
    #[must_use]
    pub fn budget(&self) -> Option<f64> {
        if let Some(asked) = self.options.budget_tokens {
            return nearest(&self.budgets, asked).filter(|d| (d / asked - 1.0).abs() < 0.05);
        }
        let count = |d: &f64| {
            let sets = self.members.iter().filter(|m| same(m.d, *d)).count();
            (sets, self.settings.iter().filter(|s| same(s.d, *d)).count())
        };
        // The first of equals: the smallest budget.
        self.budgets.iter().copied().rev().max_by_key(count)
    }

    /// The name of a size.
    #[must_use]
    pub fn size_name(&self, n: f64) -> String {
        let found = self.sizes.iter().find(|(size, _)| same(*size, n));
        found.map_or_else(|| amount(n), |(_, name)| name.clone())
    }

    /// How laws are fitted; their bootstrap is not shown in figures and kept short.
    pub(super) fn fitting(&self) -> laws::Options {
        laws::Options {
            noise: self.options.noise,
            level: self.options.level,
            resamples: 16,
            ..laws::Options::default()
        }
    }

    /// The floor of a built-in corpus, if all runs have the same.
    #[must_use]
    pub fn floor(&self) -> Option<(f64, Vec<String>)> {
        let with = self.runs.runs.iter().filter(|run| run.floor_nats.is_some());
        let mut floors = with.filter_map(|run| Some((run.floor_nats?, run.origin.id().to_owned())));
        let (first, id) = floors.next()?;
        floors.all(|(floor, _)| same(floor, first)).then(|| (first, vec![id]))
    }
}

/// The name of a size: the label that all its models share, else the number.
fn size_name(runs: &Runs, n: f64) -> String {
    let with = |run: &&Run| run.parameters.is_some_and(|own| same(own, n));
    let mut labels = runs.runs.iter().filter(with).map(|run| run.model.as_str());
    let first = labels.next().unwrap_or_default();
    if runs.nominal || first.is_empty() || !labels.all(|label| label == first) {
        return amount(n);
    }
    first.to_owned()
}

/// Numbers as keys of a map: positive floats sort as their bits do.
type Key = [u64; 5];

fn key(run: &Run, sizes: &[f64], budgets: &[f64]) -> Option<Key> {
    let numbers = [
        nearest(sizes, run.parameters?)?,
        nearest(budgets, run.budget_tokens?)?,
        run.epochs?,
        run.lr?,
        run.weight_decay?,
    ];
    // Rounded to six digits: the same number may come out of a text or of a division.
    let rounded = |value: f64| format!("{value:.6e}").parse::<f64>().unwrap_or(value);
    Some(numbers.map(|value| (rounded(value) + 0.0).to_bits()))
}

fn settings<'r>(runs: &'r Runs, sizes: &[f64], budgets: &[f64]) -> Vec<Setting<'r>> {
    let main = runs.main_variant();
    let plain = || {
        let usable = |run: &&Run| run.is_plain() && run.loss.is_some() && run.is_main(main);
        runs.runs.iter().filter(usable)
    };
    // Another batch size is another recipe (mode standard-batch-size): the commonest is taken.
    let mut batches: BTreeMap<u64, usize> = BTreeMap::new();
    for batch in plain().filter_map(|run| run.batch_sequences) {
        *batches.entry(batch.to_bits()).or_default() += 1;
    }
    let commonest = batches.iter().max_by_key(|(_, count)| **count).map(|(batch, _)| *batch);
    let mut groups: BTreeMap<Key, Vec<&Run>> = BTreeMap::new();
    for run in plain() {
        let other = run.batch_sequences.is_some_and(|own| Some(own.to_bits()) != commonest);
        if let (false, Some(key)) = (other, key(run, sizes, budgets)) {
            groups.entry(key).or_default().push(run);
        }
    }
    let setting = |(key, runs): (Key, Vec<&'r Run>)| {
        let [n, d, epochs, lr, weight_decay] = key.map(f64::from_bits);
        let (n, d) = (nearest(sizes, n).unwrap_or(n), nearest(budgets, d).unwrap_or(d));
        Setting { n, d, epochs, lr, weight_decay, runs }
    };
    groups.into_iter().map(setting).collect()
}

fn members(
    runs: &Runs,
    options: &Options,
    settings: &[Setting],
    (sizes, budgets): (&[f64], &[f64]),
) -> Vec<Members> {
    let mut groups: BTreeMap<Key, BTreeMap<u32, Vec<&Run>>> = BTreeMap::new();
    let main = runs.main_variant();
    for run in &runs.runs {
        let Some(ensemble) = &run.ensemble else { continue };
        let averaging = ensemble.averaging.unwrap_or(Average::Logits);
        let usable = run.loss.is_some()
            && run.seed_families.is_empty()
            && run.taught.is_none()
            && averaging == options.averaging
            && ensemble.members > 0
            && run.is_main(main);
        if let (true, Some(key)) = (usable, key(run, sizes, budgets)) {
            groups.entry(key).or_default().entry(ensemble.members).or_default().push(run);
        }
    }
    let mut found = Vec::new();
    for (key, by_k) in groups {
        let [n, d, epochs, lr, weight_decay] = key.map(f64::from_bits);
        let (n, d) = (nearest(sizes, n).unwrap_or(n), nearest(budgets, d).unwrap_or(d));
        let mut losses: Vec<Measured> = Vec::new();
        let alone = settings.iter().find(|s| {
            same(s.n, n)
                && same(s.d, d)
                && same(s.epochs, epochs)
                && same(s.lr, lr)
                && same(s.weight_decay, weight_decay)
        });
        if let (false, Some(alone)) = (by_k.contains_key(&1), alone) {
            losses.push(alone.measured(1.0));
        }
        let by_k: Vec<(u32, Vec<&Run>)> =
            by_k.into_iter().map(|(k, runs)| (k, widest(runs))).collect();
        let replication = over_members(&by_k);
        let largest = by_k.last().and_then(|(_, runs)| runs.first()?.ensemble.as_ref());
        let ids = largest.map_or_else(Vec::new, |ensemble| ensemble.ids.clone());
        losses.extend(by_k.iter().map(|(k, runs)| Measured::mean(f64::from(*k), runs)));
        let law = OnceCell::new();
        found.push(Members { n, d, epochs, lr, weight_decay, losses, replication, ids, law });
    }
    found
}

/// What ensembles of K = 1, 2, ... of the same members say of the choice of them: for each member
/// the losses without it.
fn over_members(by_k: &[(u32, Vec<&Run>)]) -> Replication {
    let ensemble = |runs: &[&'_ Run]| match runs {
        [run] => run.ensemble.clone(),
        _ => None,
    };
    let all: Option<Vec<_>> = by_k.iter().map(|(_, runs)| ensemble(runs)).collect();
    let Some((last, rest)) = all.as_deref().and_then(<[_]>::split_last) else {
        return Replication::None;
    };
    let members = last.ids.len();
    let alike = by_k.iter().zip(1..).all(|((k, _), index)| *k == index)
        && by_k.len() == members
        && rest.iter().all(|own| own.ids == last.ids && own.without.len() == members);
    if !alike {
        return Replication::None;
    }
    let without = |member: usize| rest.iter().map(|own| own.without[member]).collect();
    Replication::Members((0..members).map(without).collect())
}

/// Of the ensembles of one size K those that are means over most subsets.
fn widest(runs: Vec<&Run>) -> Vec<&Run> {
    let subsets = |run: &Run| run.ensemble.as_ref().map_or(1, |ensemble| ensemble.subsets);
    let most = runs.iter().map(|run| subsets(run)).max().unwrap_or(1);
    let mut kept: Vec<&Run> = runs.into_iter().filter(|run| subsets(run) == most).collect();
    // Means over subsets share their members: the one over most of them is the best known.
    if most > 1 {
        let members = |run: &&Run| run.ensemble.as_ref().map_or(0, |e| e.ids.len());
        let largest = kept.iter().map(members).max().unwrap_or(0);
        kept.retain(|run| members(run) == largest);
        kept.truncate(1);
    }
    kept
}

/// What is known of the noise of points that are settings: their seeds.
pub(super) fn over_seeds(settings: &[&Setting]) -> Replication {
    let losses: Vec<Vec<f64>> = settings.iter().map(|setting| setting.losses()).collect();
    Replication::of_seeds(losses.iter().map(Vec::as_slice))
}

impl Setting<'_> {
    /// The mean loss over its seeds, with its error over them.
    #[must_use]
    pub fn target(&self) -> Target {
        Target { loss: self.loss(), error: StandardError::of_mean(&self.losses()) }
    }

    /// The mean loss over its seeds.
    #[must_use]
    pub fn loss(&self) -> f64 {
        mean(&self.losses())
    }

    /// The loss of every run that has one.
    #[must_use]
    pub fn losses(&self) -> Vec<f64> {
        self.runs.iter().filter_map(|run| Some(run.loss?.nats)).collect()
    }

    /// The mean training loss over the seeds that have one.
    #[must_use]
    pub fn train_loss(&self) -> Option<f64> {
        let losses: Vec<f64> = self.runs.iter().filter_map(|run| run.train_loss_nats).collect();
        (!losses.is_empty()).then(|| mean(&losses))
    }

    /// The mean loss over its seeds, over an axis.
    #[must_use]
    pub fn measured(&self, x: f64) -> Measured {
        Measured::mean(x, &self.runs)
    }

    /// Its training losses over an axis; `None` where no run has one.
    #[must_use]
    pub fn trained(&self, x: f64) -> Option<Measured> {
        let foreign = self.runs.iter().any(|run| run.origin.is_foreign());
        let loss = self.train_loss()?;
        Some(Measured { x, loss, error: None, foreign, records: self.records() })
    }

    /// Ids of its runs.
    #[must_use]
    pub fn records(&self) -> Vec<String> {
        self.runs.iter().map(|run| run.origin.id().to_owned()).collect()
    }

    /// Whether one of its runs is among these.
    fn holds(&self, runs: &BTreeSet<String>) -> bool {
        self.runs.iter().any(|run| runs.contains(run.origin.id()))
    }

    /// "16 epochs, lr 0.003, wd 1.6".
    #[must_use]
    pub fn text(&self) -> String {
        setting_text(self.epochs, self.lr, self.weight_decay)
    }
}

impl Members {
    /// The error of the largest ensemble over the choice of its members.
    #[must_use]
    pub fn error(&self) -> Option<StandardError> {
        let Replication::Members(without) = &self.replication else { return None };
        let nats = self.losses.last()?.error?.nats;
        Some(StandardError { nats, degrees: without.len() - 1 })
    }

    /// "16 epochs, lr 0.003, wd 1.6".
    #[must_use]
    pub fn text(&self) -> String {
        setting_text(self.epochs, self.lr, self.weight_decay)
    }

    /// Ids of the runs behind all of them.
    #[must_use]
    pub fn records(&self) -> Vec<String> {
        let mut ids: Vec<String> =
            self.losses.iter().flat_map(|point| point.records.iter().cloned()).collect();
        ids.dedup();
        ids
    }
}

fn setting_text(epochs: f64, lr: f64, weight_decay: f64) -> String {
    format!("{epochs} epochs, lr {lr}, wd {weight_decay}")
}
