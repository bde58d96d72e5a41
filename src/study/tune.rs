//! Tuning with a certificate (mission R1, R2, R3, R5): a local search over epochs, learning rate
//! and weight decay that ends with the table of all neighbors of the best point, each compared with
//! it by an interval.
//!
//! Final loss on `val` decides, never the best over training, and nothing is pruned (F5). The
//! search runs with a few seeds; the certificate may ask for more, and if the mean over these
//! moves the optimum, the search goes on with them until it rests.

mod symptoms;

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::cell::Cell;
use super::grid::{Axis, Grid, Point, Setting, Step};
use super::members::MembersCurve;
use super::message::Message;
use super::search::{descend, lowest};
use super::trial::{Difference, Score, Trial, asymptotes, differences};
use crate::eval::statistics::Verdict;
use crate::lab::Lab;
use crate::laws;
use crate::spec::bounds::{SEED_MAX, SEEDS_MAX, at_most};
use crate::spec::{Job, JobId, JobKind, Split, TrainSpec};
use crate::store::{Outcome as RunOutcome, Record};
use crate::{Error, Result};

/// Weight decay of the standard recipe (mission R1).
pub const STANDARD_DECAY: f64 = 0.1;
/// The guess for members of an ensemble (mission R5): twice the epochs, half the decay.
pub const MEMBER_EPOCHS_FACTOR: f64 = 2.0;
/// See [`MEMBER_EPOCHS_FACTOR`].
pub const MEMBER_DECAY_FACTOR: f64 = 0.5;
/// Resamples of the bootstrap beside a law in K during a search, where only its headline counts.
const RESAMPLES: usize = 200;

/// What is tuned.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Mode {
    /// Epochs and learning rate at weight decay 0.1 (mission R1).
    Standard,
    /// Epochs, learning rate and weight decay of a single model (mission R2).
    Regularized,
    /// Epochs and weight decay of the members of an ensemble, by the loss of infinitely many (R5).
    Ensemble,
}

/// Which points are tried.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Method {
    /// Neighborhoods, from every start.
    #[default]
    Local,
    /// All points of the grid.
    Grid,
}

/// What a user may choose.
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Options {
    /// What is tuned.
    pub mode: Mode,
    /// Which points are tried.
    #[serde(default)]
    pub method: Method,
    /// Where values come from; default: the paper's grid.
    #[serde(default = "Grid::paper")]
    pub grid: Grid,
    /// Where searches start; none: at the base's own values, for ensembles at the guess from the
    /// regularized optimum, which is searched first.
    #[serde(default)]
    pub starts: Vec<Setting>,
    /// Runs per point during the search, which differ in their seeds. Not used for ensembles.
    #[serde(default = "one")]
    pub seeds: u32,
    /// Runs of the optimum and of its neighbors; at least `seeds`, which is the default.
    #[serde(default)]
    pub certificate_seeds: Option<u32>,
    /// Members K per point of an ensemble search.
    #[serde(default = "five")]
    pub members: u32,
    /// The first seed; member k has this plus k.
    #[serde(default)]
    pub seed: u64,
    /// Whether the certificate is measured on `test`, too; every read is logged.
    #[serde(default)]
    pub publish: bool,
    /// Not offered; see [`Options::validate`].
    #[serde(default)]
    pub prune: bool,
}

fn one() -> u32 {
    1
}

fn five() -> u32 {
    5
}

/// The whole result.
#[derive(Clone, Debug)]
pub struct Outcome {
    /// What was tuned.
    pub mode: Mode,
    /// Where each search went, start first.
    pub paths: Vec<Vec<Setting>>,
    /// Every measured point, in the order of the grid.
    pub trials: Vec<Trial>,
    /// Points that the grid has.
    pub grid_size: usize,
    /// The proof.
    pub certificate: Certificate,
    /// The same neighborhood on `test`, if it was asked for.
    pub published: Option<Vec<Difference>>,
    /// Failure modes that the data show.
    pub messages: Vec<Message>,
    /// All records that were used, each once.
    pub records: Vec<Record>,
}

/// The optimum and everything one step away from it.
#[derive(Clone, Debug, PartialEq)]
pub struct Certificate {
    /// The point that no neighbor beats.
    pub center: Trial,
    /// Its neighbors in the paper's order.
    pub neighbors: Vec<Neighbor>,
    /// Ends of the grid at which the center lies: there it has no neighbor to beat (trap B9).
    pub edges: Vec<(Axis, Step)>,
    /// Measured points that cannot be told from the center, wherever they lie.
    pub flat: Vec<Setting>,
}

/// A neighbor of the optimum.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Neighbor {
    /// The axis it differs on.
    pub axis: Axis,
    /// Its direction.
    pub step: Step,
    /// The point.
    #[serde(rename = "point")]
    pub trial: Trial,
    /// Its score minus the center's.
    pub difference: Difference,
}

serialize_as!(Outcome, |it| {
    let Certificate { center, neighbors, edges, flat } = &it.certificate;
    let neighbors = neighbors.iter().enumerate().map(|(index, neighbor)| {
        let mut told = json!(neighbor);
        told["on_test"] = json!(it.published.as_ref().map(|all| all[index]));
        told
    });
    json!({
        "mode": it.mode, "best": center, "strict": it.certificate.is_strict(),
        "neighbors": neighbors.collect::<Value>(), "edges": edges, "flat": flat,
        "paths": it.paths, "points": it.trials, "grid_points": it.grid_size,
        "runs": it.records.iter().filter(|record| record.kind == JobKind::Train).count(),
        "messages": it.messages,
    })
});

impl Certificate {
    /// Whether every neighbor is shown to be worse and the optimum lies inside of the grid.
    #[must_use]
    pub fn is_strict(&self) -> bool {
        let worse = |neighbor: &Neighbor| neighbor.difference.verdict() == Verdict::Worse;
        self.edges.is_empty() && self.neighbors.iter().all(worse)
    }
}

impl Options {
    /// Rejects requests that contradict themselves.
    ///
    /// # Errors
    /// Names the key.
    pub fn validate(&self) -> Result<()> {
        if self.prune {
            return Err(Error::usage("`prune`: runs are never pruned").hint(
                "high weight decay looks worse for most of a run and drops at its end, so that \
                 pruning picks the wrong recipe [F5]; use a coarser grid instead",
            ));
        }
        self.grid.validate().map_err(|error| error.within("`grid`"))?;
        for (key, value) in [("seeds", self.seeds), ("members", self.members)] {
            if value == 0 {
                return Err(Error::usage(format!("`{key}` must be at least 1")));
            }
        }
        at_most("seeds", self.seeds, SEEDS_MAX)?;
        at_most("certificate_seeds", self.certificate_seeds.unwrap_or(0), SEEDS_MAX)?;
        at_most("members", self.members, super::ensemble::MEMBERS_MAX)?;
        at_most("seed", self.seed, SEED_MAX)?;
        if self.certificate_seeds.is_some_and(|seeds| seeds < self.seeds) {
            return Err(Error::usage("`certificate_seeds` must not be smaller than `seeds`"));
        }
        if self.mode == Mode::Ensemble && self.members < 4 {
            return Err(Error::usage("an ensemble's asymptote needs at least 4 members per point")
                .hint("a law has three parameters: set `members = 5`"));
        }
        for start in &self.starts {
            self.own_grid().find(*start).map_err(|error| error.within("`starts`"))?;
        }
        Ok(())
    }

    /// The grid with the axis that the mode holds fixed.
    fn own_grid(&self) -> Grid {
        match self.mode {
            Mode::Standard => self.grid.at_decay(STANDARD_DECAY),
            Mode::Regularized | Mode::Ensemble => self.grid.clone(),
        }
    }
}

/// Searches, proves, and measures on `test` if asked.
///
/// # Errors
/// If the request makes no sense or the lab fails.
pub fn run(lab: &mut dyn Lab, cell: &Cell, options: &Options) -> Result<Outcome> {
    options.validate()?;
    let planner = Planner::new(lab, cell, options, options.own_grid());
    match options.mode {
        Mode::Standard | Mode::Regularized => planner.single(),
        Mode::Ensemble => planner.ensemble(),
    }
}

/// Runs that a search over a grid may come to, one for each number of epochs: all that decides how
/// requests are rounded and how much memory they take.
#[must_use]
pub fn possible_runs(cell: &Cell, grid: &Grid) -> Vec<TrainSpec> {
    let at = |&epochs: &f64| cell.train(Setting { epochs, ..cell.setting() }, 0);
    grid.epochs.iter().map(at).collect()
}

/// The guess for the members of an ensemble from a single model's optimum (mission R5).
#[must_use]
pub fn member_guess(single: Setting) -> Setting {
    Setting {
        epochs: single.epochs * MEMBER_EPOCHS_FACTOR,
        weight_decay: single.weight_decay * MEMBER_DECAY_FACTOR,
        ..single
    }
}

struct Planner<'a> {
    lab: &'a mut dyn Lab,
    cell: &'a Cell,
    options: &'a Options,
    grid: Grid,
    trials: BTreeMap<Point, Trial>,
    records: BTreeMap<JobId, Record>,
}

/// What the best point was compared with.
struct Compared {
    neighbors: Vec<(Axis, Step, Point)>,
    differences: Vec<Difference>,
    flat: Vec<Setting>,
}

impl<'a> Planner<'a> {
    fn new(lab: &'a mut dyn Lab, cell: &'a Cell, options: &'a Options, grid: Grid) -> Self {
        Self { lab, cell, options, grid, trials: BTreeMap::new(), records: BTreeMap::new() }
    }

    /// Single models: searched with a few seeds, certified with more.
    fn single(mut self) -> Result<Outcome> {
        let seeds = self.options.seeds;
        let starts = self.starts(&self.options.starts)?;
        let mut paths = self.search(&starts, |planner, points| planner.measure(points, seeds))?;
        let mut best = self.best(&paths);
        let certified = self.options.certificate_seeds.unwrap_or(seeds);
        if certified > seeds {
            let grid = self.grid.clone();
            let path = descend(&grid, best, &mut |points| self.measure(points, certified))?;
            best = path[path.len() - 1];
            if path.len() > 1 {
                paths.push(path);
            }
        }
        let neighbors = self.neighbors(best);
        let compared = self.compare_with(best, &neighbors, Split::Val)?;
        let published =
            if self.options.publish { Some(self.publish(best, &neighbors)?) } else { None };
        let flat = self.flat(best)?;
        self.finish(paths, best, Compared { neighbors, differences: compared, flat }, published)
    }

    /// Ensembles: by asymptote, with the learning rate of the start.
    fn ensemble(mut self) -> Result<Outcome> {
        let starts = match self.options.starts.is_empty() {
            false => self.starts(&self.options.starts)?,
            true => {
                let first =
                    Options { mode: Mode::Regularized, publish: false, ..self.options.clone() };
                let single = run(self.lab, self.cell, &first)?;
                self.records.extend(single.records.into_iter().map(|record| (record.id, record)));
                let guess = member_guess(single.certificate.center.setting);
                vec![self.grid.nearest(guess)]
            }
        };
        let lr = self.grid.setting(starts[0]).lr;
        let settings: Vec<Setting> = starts.iter().map(|&point| self.grid.setting(point)).collect();
        self.grid = self.grid.at_lr(lr);
        let starts = self.starts(&settings)?;
        let paths = self.search(&starts, Self::measure_ensembles)?;
        let best = self.best(&paths);
        let neighbors = self.neighbors(best);
        let center = &self.trials[&best].score;
        let compare = |point: &Point| asymptotes(&self.trials[point].score, center);
        let compared: Vec<Difference> = neighbors.iter().map(|(_, _, p)| compare(p)).collect();
        let flat = self.trials.keys().filter(|point| compare(point).verdict() != Verdict::Worse);
        let flat = flat.map(|&point| self.grid.setting(point)).collect();
        self.finish(paths, best, Compared { neighbors, differences: compared, flat }, None)
    }

    /// The points where searches start.
    fn starts(&self, settings: &[Setting]) -> Result<Vec<Point>> {
        if settings.is_empty() {
            return Ok(vec![self.grid.nearest(self.cell.setting())]);
        }
        settings.iter().map(|&setting| self.grid.find(setting)).collect()
    }

    /// All searches, or the whole grid.
    fn search(
        &mut self,
        starts: &[Point],
        mut measure: impl FnMut(&mut Self, &[Point]) -> Result<Vec<f64>>,
    ) -> Result<Vec<Vec<Point>>> {
        let grid = self.grid.clone();
        if self.options.method == Method::Grid {
            let points = grid.points();
            let scores = measure(self, &points)?;
            return Ok(vec![vec![points[lowest(&scores)]]]);
        }
        let mut paths = Vec::with_capacity(starts.len());
        for &start in starts {
            paths.push(descend(&grid, start, &mut |points| measure(self, points))?);
        }
        Ok(paths)
    }

    /// Scores of points, single models with this many seeds.
    fn measure(&mut self, points: &[Point], seeds: u32) -> Result<Vec<f64>> {
        let mut jobs = Vec::with_capacity(points.len() * seeds as usize);
        for &point in points {
            let setting = self.grid.setting(point);
            jobs.extend(self.cell.members(setting, seeds));
        }
        let records = self.lab.obtain(&jobs)?;
        for (point, records) in points.iter().zip(records.chunks(seeds as usize)) {
            let known = self.trials.get(point).is_some_and(|t| t.records.len() >= records.len());
            if !known {
                let setting = self.grid.setting(*point);
                let trial = Trial::of_seeds(self.lab, self.cell, setting, records)?;
                self.trials.insert(*point, trial);
            }
        }
        self.records.extend(records.into_iter().map(|record| (record.id, record)));
        Ok(points.iter().map(|point| self.trials[point].score.value()).collect())
    }

    /// Scores of points as members of ensembles.
    fn measure_ensembles(&mut self, points: &[Point]) -> Result<Vec<f64>> {
        let members = self.options.members;
        let mut jobs = Vec::with_capacity(points.len() * members as usize);
        for &point in points {
            let setting = self.grid.setting(point);
            jobs.extend(self.cell.members(setting, members));
        }
        let records = self.lab.obtain(&jobs)?;
        for (&point, records) in points.iter().zip(records.chunks(members as usize)) {
            if !self.trials.contains_key(&point) {
                let trial = self.ensemble_trial(point, records)?;
                self.trials.insert(point, trial);
            }
        }
        self.records.extend(records.into_iter().map(|record| (record.id, record)));
        Ok(points.iter().map(|point| self.trials[point].score.value()).collect())
    }

    fn ensemble_trial(&mut self, point: Point, records: &[Record]) -> Result<Trial> {
        let setting = self.grid.setting(point);
        let timescale_epochs = setting.timescale_epochs(self.cell.steps_per_epoch());
        let ids: Vec<JobId> = records.iter().map(|record| record.id).collect();
        let diverged = records.iter().find(|record| record.outcome != RunOutcome::Finished);
        if let Some(record) = diverged {
            let score = Score::Diverged { record: record.id };
            return Ok(Trial { setting, timescale_epochs, records: ids, score });
        }
        let curve = MembersCurve::measure(self.lab, self.cell, &ids, Split::Val)?;
        let measured = curve.all().nats;
        let evaluation = curve.evaluation.id;
        let law = curve.law(&laws::Options { resamples: RESAMPLES, ..Default::default() })?;
        let score = match law {
            Ok(law) => Score::Asymptote { claim: law.end().claim, measured, evaluation },
            Err(refusal) => Score::NoLaw { refusal, measured, evaluation },
        };
        self.records.insert(evaluation, curve.evaluation);
        Ok(Trial { setting, timescale_epochs, records: ids, score })
    }

    /// The end of the best path.
    fn best(&self, paths: &[Vec<Point>]) -> Point {
        let ends: Vec<Point> = paths.iter().filter_map(|path| path.last().copied()).collect();
        let scores: Vec<f64> = ends.iter().map(|end| self.trials[end].score.value()).collect();
        ends[lowest(&scores)]
    }

    /// The measured neighbors of a point.
    fn neighbors(&self, point: Point) -> Vec<(Axis, Step, Point)> {
        self.grid.neighbors(point)
    }

    /// Neighbors minus center, on the seeds that both have.
    fn compare_with(
        &self,
        center: Point,
        neighbors: &[(Axis, Step, Point)],
        split: Split,
    ) -> Result<Vec<Difference>> {
        let points: Vec<Point> = neighbors.iter().map(|&(_, _, point)| point).collect();
        self.compare(center, &points, split, |trial| trial.records.clone())
    }

    /// Differences from the center; a diverged run is infinitely worse.
    fn compare(
        &self,
        center: Point,
        points: &[Point],
        split: Split,
        runs: impl Fn(&Trial) -> Vec<JobId>,
    ) -> Result<Vec<Difference>> {
        let has_loss = |point: &Point| self.trials[point].score.value().is_finite();
        let none =
            Difference { mean: f64::INFINITY, interval: None, basis: super::trial::Basis::Text };
        if !has_loss(&center) {
            return Ok(vec![none; points.len()]);
        }
        let finished: Vec<Vec<JobId>> =
            points.iter().filter(|point| has_loss(point)).map(|p| runs(&self.trials[p])).collect();
        let slices: Vec<&[JobId]> = finished.iter().map(Vec::as_slice).collect();
        let own = runs(&self.trials[&center]);
        let mut found = differences(self.lab, &own, &slices, split)?.into_iter();
        let of_point = |point: &Point| match has_loss(point) {
            true => found.next().expect("one difference per finished point"),
            false => none,
        };
        Ok(points.iter().map(of_point).collect())
    }

    /// The certificate's differences on `test`.
    fn publish(
        &mut self,
        center: Point,
        neighbors: &[(Axis, Step, Point)],
    ) -> Result<Vec<Difference>> {
        let points: Vec<Point> = neighbors.iter().map(|&(_, _, point)| point).collect();
        let mut read = BTreeMap::new();
        for point in [center].iter().chain(&points) {
            let runs = &self.trials[point].records;
            if self.trials[point].score.value().is_infinite() {
                continue;
            }
            let jobs: Vec<Job> =
                runs.iter().map(|&run| self.cell.evaluate(&[run], Split::Test)).collect();
            let records = self.lab.obtain(&jobs)?;
            for (&run, record) in runs.iter().zip(records) {
                read.insert(run, record.id);
                self.records.insert(record.id, record);
            }
        }
        let runs = |trial: &Trial| trial.records.iter().map(|run| read[run]).collect();
        self.compare(center, &points, Split::Test, runs)
    }

    /// All measured points that cannot be told from the center, itself included.
    fn flat(&self, center: Point) -> Result<Vec<Setting>> {
        let points: Vec<Point> = self.trials.keys().copied().filter(|&p| p != center).collect();
        let differences =
            self.compare(center, &points, Split::Val, |trial| trial.records.clone())?;
        let mut flat = vec![center];
        let close = points.iter().zip(&differences);
        flat.extend(close.filter(|(_, d)| d.verdict() != Verdict::Worse).map(|(&point, _)| point));
        flat.sort();
        Ok(flat.into_iter().map(|point| self.grid.setting(point)).collect())
    }

    fn finish(
        self,
        paths: Vec<Vec<Point>>,
        best: Point,
        compared: Compared,
        published: Option<Vec<Difference>>,
    ) -> Result<Outcome> {
        let neighbor = |((axis, step, point), difference): ((Axis, Step, Point), Difference)| {
            Neighbor { axis, step, trial: self.trials[&point].clone(), difference }
        };
        let certificate = Certificate {
            center: self.trials[&best].clone(),
            neighbors: compared
                .neighbors
                .into_iter()
                .zip(compared.differences)
                .map(neighbor)
                .collect(),
            edges: self.grid.edges(best),
            flat: compared.flat,
        };
        let setting = |point: Point| self.grid.setting(point);
        let paths: Vec<Vec<Setting>> =
            paths.into_iter().map(|path| path.into_iter().map(setting).collect()).collect();
        let trials: Vec<Trial> = self.trials.into_values().collect();
        let messages =
            symptoms::of_tuning(self.lab, (self.options.mode, &certificate, &trials, &paths))?;
        Ok(Outcome {
            mode: self.options.mode,
            paths,
            trials,
            grid_size: self.grid.size(),
            certificate,
            published,
            messages,
            records: self.records.into_values().collect(),
        })
    }
}

#[cfg(test)]
mod tests;
