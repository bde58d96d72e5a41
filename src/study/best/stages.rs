//! The runs of the chosen size: the search of a setting, and the members.

use super::plan::Planner;
use super::sizes::{nats, rounded};
use super::{
    Division, EPOCHS_MAX, Estimate, LEARNING_RATES, MEMBERS_MAX, Scanned, Sized, Stage, Trained,
    WAVES_MAX, WEIGHT_DECAYS,
};
use crate::spec::{Job, Split};
use crate::store::{Average, Column};
use crate::study::cell::{Cell, column, val_loss};
use crate::study::grid::{Axis, Grid, Point, Setting, Step};
use crate::{Error, Result};

/// A member is not trained for less than this share of the passes of the search.
const SHORTENED_MIN: f64 = 0.5;
/// Share of the hours in which the members should end: their last wave is long, and the machine may
/// become slower meanwhile.
const MEMBERS_END_SHARE: f64 = 0.93;
/// Share of the hours by which a further wave must be expected to end.
const LATE_END_SHARE: f64 = 0.98;

impl Planner<'_> {
    /// Seconds that are left of a share of the hours.
    fn seconds_left(&self, share: f64) -> f64 {
        share * self.options.hours * 3600.0 - self.spent_seconds()
    }

    /// Searches with short runs, an axis at a time; the last wave ends with a second seed.
    pub(super) fn search(&mut self, estimate: &Estimate, size: &Sized) -> Result<Vec<Trained>> {
        let cell = self.cell(size.model)?;
        let epochs = self.epochs_in(estimate.search_seconds, size);
        let start = Setting { epochs: rounded(epochs.min(size.setting.epochs)), ..size.setting };
        let grid = Grid {
            epochs: vec![start.epochs],
            lr: LEARNING_RATES.to_vec(),
            weight_decay: WEIGHT_DECAYS.to_vec(),
        };
        let mut runs: Vec<Trained> = Vec::new();
        while runs.len() < estimate.search_runs {
            let last = runs.len() + self.options.workers >= estimate.search_runs;
            let free = self.options.workers - usize::from(last);
            let best = best_of(&runs).map_or(start, |run| run.setting);
            let mut wave: Vec<(Setting, u64)> =
                unmeasured(&grid, best, &runs).into_iter().take(free).map(|at| (at, 0)).collect();
            if last {
                // One worker has nothing to search in its last wave, the others less.
                wave.push((best, 1));
            }
            if wave.is_empty() {
                break;
            }
            self.train((&cell, "search"), Stage::Search, &wave, &mut runs)?;
        }
        Ok(runs)
    }

    fn train(
        &mut self,
        (cell, what): (&Cell, &'static str),
        stage: Stage,
        wave: &[(Setting, u64)],
        runs: &mut Vec<Trained>,
    ) -> Result<()> {
        let jobs: Vec<Job> =
            wave.iter().map(|&(at, seed)| Job::Train(cell.train(at, seed))).collect();
        let records = self.wave(what, &jobs)?;
        runs.extend(wave.iter().zip(&records).map(|(&(setting, seed), record)| Trained {
            stage,
            setting,
            seed,
            run: record.id,
            loss: val_loss(record).cloned(),
            difference: None,
        }));
        Ok(())
    }

    /// Longer runs or more members: measures the average of two, and compares what both would win.
    pub(super) fn divide(
        &mut self,
        (estimate, scan): (&Estimate, &[Scanned]),
        size: &Sized,
        runs: &[Trained],
    ) -> Result<Division> {
        let best = best_of(runs).ok_or_else(|| Error::data("all runs of the search diverged"))?;
        let twin = runs.iter().find(|run| run.seed > 0 && run.loss.is_some());
        let other = twin
            .filter(|twin| twin.run != best.run)
            .or_else(|| runs.iter().find(|run| run.run != best.run && run.loss.is_some()));
        let of_members = match other {
            None => 0.0,
            Some(other) => {
                let cell = self.cell(size.model)?;
                let pair = cell.evaluate(&[best.run, other.run], Split::Val);
                let record = self.wave("average of two", &[pair])?.remove(0);
                let pair = column(&record, Column::First(Average::Logits, 2), Split::Val)?.nats;
                // Of the law A / K the second member wins a half.
                2.0 * (f64::midpoint(nats(best), nats(other)) - pair).max(0.0)
            }
        };
        let losses = scan.iter().filter_map(|scanned| Some(scanned.loss.as_ref()?.nats));
        let shorter = losses.fold(f64::INFINITY, f64::min);
        let folds = libm::log(estimate.search_seconds / estimate.size_seconds).max(0.1);
        let per_e_fold = ((shorter - nats(best)) / folds).max(0.0);
        let workers = self.options.workers as f64;
        let largest = (MEMBERS_MAX / self.options.workers).clamp(1, WAVES_MAX);
        let loss = |waves: &usize| {
            let waves = *waves as f64;
            per_e_fold * libm::log(waves) + of_members / (waves * workers)
        };
        let waves = (1..=largest).min_by(|a, b| loss(a).total_cmp(&loss(b))).unwrap_or(1);
        Ok(Division { per_e_fold, of_members, waves, trained_waves: 0 })
    }

    /// Trains the members in waves, all at the best setting of the search with as many passes as
    /// the time allows. They share it to the end: of a wave that would come too late nothing is
    /// trained, because members of fewer passes would be another model.
    pub(super) fn members(
        &mut self,
        size: &Sized,
        division: &mut Division,
        runs: &mut Vec<Trained>,
    ) -> Result<()> {
        let cell = self.cell(size.model)?;
        let workers = self.options.workers;
        let Some(best) = best_of(runs).map(|run| run.setting) else { return Ok(()) };
        let reserve = |planner: &Self, waves: usize| {
            planner.reserve_seconds(size.flops_per_token, runs.len() + workers * waves)
        };
        let epochs = |waves: usize| {
            let left = self.seconds_left(MEMBERS_END_SHARE) - reserve(self, waves);
            rounded(self.epochs_in(left / waves as f64, size).min(EPOCHS_MAX))
        };
        // Rather fewer waves than members that are far shorter than the runs of the search.
        let long = |waves: &usize| epochs(*waves) > SHORTENED_MIN * runs[0].setting.epochs;
        let Some(waves) = (1..=division.waves).rev().find(long) else { return Ok(()) };
        division.waves = waves;
        let (setting, reserve) = (Setting { epochs: epochs(waves), ..best }, reserve(self, waves));
        let first = runs.iter().map(|run| run.seed).max().map_or(0, |seed| seed + 1);
        let mut seeds = first..;
        for wave in 0..division.waves {
            let seconds = self.speeds.seconds(&cell.train(setting, 0), self.val_tokens());
            if wave > 0 && seconds > self.seconds_left(LATE_END_SHARE) - reserve {
                break;
            }
            let wave: Vec<(Setting, u64)> =
                seeds.by_ref().take(workers).map(|seed| (setting, seed)).collect();
            self.train((&cell, "members"), Stage::Member, &wave, runs)?;
            division.trained_waves += 1;
        }
        Ok(())
    }

    /// Passes that a run of a size can make in some seconds.
    pub(super) fn epochs_in(&self, seconds: f64, size: &Sized) -> f64 {
        let cell = self.cell(size.model).expect("the ladder was resolved before");
        let empty = cell.train(Setting { epochs: 0.0, ..size.setting }, 0);
        let seconds = seconds - self.speeds.seconds(&empty, self.val_tokens());
        let flops = seconds.max(0.0) * self.speeds.at(size.flops_per_token);
        flops / (size.flops_per_token * empty.data.budget_tokens as f64)
    }
}

/// The run with the lowest loss on `val`.
fn best_of(runs: &[Trained]) -> Option<&Trained> {
    let finished = runs.iter().filter(|run| run.loss.is_some());
    finished.min_by(|a, b| nats(a).total_cmp(&nats(b)))
}

/// The best setting if it was not measured yet, and its unmeasured neighbors on the first axis that
/// has any: weight decay up and down, then the learning rate.
fn unmeasured(grid: &Grid, best: Setting, runs: &[Trained]) -> Vec<Setting> {
    let center = grid.nearest(best);
    let known = |point: &Point| runs.iter().any(|run| grid.nearest(run.setting) == *point);
    let mut points: Vec<Point> = [center].into_iter().filter(|point| !known(point)).collect();
    for axis in [Axis::WeightDecay, Axis::Lr] {
        let steps = [Step::Up, Step::Down].into_iter();
        let next = steps.filter_map(|step| grid.neighbor(center, axis, step));
        let next: Vec<Point> = next.filter(|point| !known(point)).collect();
        if !next.is_empty() {
            points.extend(next);
            break;
        }
    }
    points.into_iter().map(|point| grid.setting(point)).collect()
}
