//! The course of a run in bounded memory: long ones are thinned evenly, the last value stays.
//!
//! The final loss is that of the largest step, in whatever order a file has its rows.

use std::collections::BTreeMap;

use crate::store::ForeignHistory;

/// Points that are kept of one series, at most.
const POINTS_MAX: usize = 2048;
/// Sets whose course is followed; the reference has 17 validation sets.
const SERIES_MAX: usize = 64;

/// The losses on one set.
#[derive(Clone, Debug, Default)]
struct Series {
    points: Vec<(u64, f64)>,
    /// Every so many-th point is kept: 2 to the power of this.
    stride_log2: u32,
    seen: u64,
    /// The loss of the largest step; of steps that are the same, the one that was read last.
    last: Option<(u64, f64)>,
    /// First and last step with NaN beside losses of other sets that are finite.
    gaps: Option<(u64, u64)>,
    /// The step that was read last.
    newest: u64,
    /// Whether a step was followed by a smaller one.
    disordered: bool,
    /// Whether the largest step has two losses that differ.
    contradicted: bool,
}

/// The losses of a run while it is read. `train` is the training loss, other names are sets.
#[derive(Clone, Debug, Default)]
pub(super) struct Course {
    series: BTreeMap<String, Series>,
}

impl Series {
    fn push(&mut self, step: u64, loss: f64) {
        self.disordered |= step < self.newest;
        self.newest = step;
        match self.last {
            Some((last, _)) if step < last => {}
            Some((last, before)) => {
                // Two that are not finite say the same: the run had diverged.
                let same =
                    before.to_bits() == loss.to_bits() || !before.is_finite() && !loss.is_finite();
                self.contradicted = step == last && (self.contradicted || !same);
                self.last = Some((step, loss));
            }
            None => self.last = Some((step, loss)),
        }
        if loss.is_finite() {
            if self.seen.trailing_zeros() >= self.stride_log2 {
                self.points.push((step, loss));
            }
            self.seen += 1;
        }
        if self.points.len() > POINTS_MAX {
            let mut index = 0;
            self.points.retain(|_| {
                index += 1;
                index % 2 == 1
            });
            self.stride_log2 += 1;
        }
    }

    fn gap(&mut self, step: u64) {
        let (first, last) = self.gaps.unwrap_or((step, step));
        self.gaps = Some((first.min(step), last.max(step)));
    }

    /// The loss of the largest step. A table that writes NaN where a set was not measured also does
    /// so between measurements; NaN that comes after all of them is a run that diverged.
    fn last(&self) -> Option<(u64, f64)> {
        match (self.last, self.gaps) {
            (Some((step, _)), Some((first, last))) if first > step => Some((last, f64::NAN)),
            (last, _) => last,
        }
    }

    fn points(&self) -> BTreeMap<u64, f64> {
        let last = self.last.filter(|(_, loss)| loss.is_finite());
        self.points.iter().copied().chain(last).collect()
    }
}

impl Course {
    /// Adds a loss of a set after so many steps.
    pub(super) fn push(&mut self, set: &str, step: u64, loss: f64) {
        if let Some(series) = self.of(set) {
            series.push(step, loss);
        }
    }

    /// Adds NaN of a set beside a finite loss of another one: a gap, or the end of the run.
    pub(super) fn push_gap(&mut self, set: &str, step: u64) {
        if let Some(series) = self.of(set) {
            series.gap(step);
        }
    }

    fn of(&mut self, set: &str) -> Option<&mut Series> {
        if !self.series.contains_key(set) {
            if self.series.len() >= SERIES_MAX {
                return None;
            }
            self.series.insert(set.to_owned(), Series::default());
        }
        self.series.get_mut(set)
    }

    /// The sets that it has losses of.
    pub(super) fn sets(&self) -> impl Iterator<Item = &str> {
        self.series.keys().map(String::as_str)
    }

    /// Gives a set another name, which must be free.
    pub(super) fn rename(&mut self, set: &str, name: &str) {
        if let Some(series) = self.series.remove(set) {
            self.series.insert(name.to_owned(), series);
        }
    }

    /// Points that are held.
    pub(super) fn points(&self) -> usize {
        self.series.values().map(|series| series.points.len()).sum()
    }

    /// The last loss of each set; not finite where the run had diverged.
    pub(super) fn last(&self) -> impl Iterator<Item = (&str, f64)> {
        self.series.iter().filter_map(|(set, series)| Some((set.as_str(), series.last()?.1)))
    }

    /// What is odd about the order of its steps, in words.
    pub(super) fn oddities(&self) -> Vec<&'static str> {
        let any = |odd: fn(&Series) -> bool| self.series.values().any(odd);
        let disordered = any(|series| series.disordered)
            .then_some("steps that do not ascend: the loss of the largest step counts");
        let contradicted = any(|series| series.contradicted)
            .then_some("several losses at its largest step: the last one in the file counts");
        [disordered, contradicted].into_iter().flatten().collect()
    }

    /// Training loss and the loss of one set, side by side.
    pub(super) fn finish(&self, headline: Option<&str>) -> ForeignHistory {
        let points = |set| self.series.get(set).map(Series::points).unwrap_or_default();
        let train = points("train");
        let eval = headline.filter(|set| *set != "train").map(points).unwrap_or_default();
        let step: Vec<u64> = {
            let all: std::collections::BTreeSet<u64> =
                train.keys().chain(eval.keys()).copied().collect();
            all.into_iter().collect()
        };
        let along = |losses: &BTreeMap<u64, f64>| {
            step.iter().map(|step| losses.get(step).copied()).collect()
        };
        ForeignHistory { train_loss_nats: along(&train), eval_loss_nats: along(&eval), step }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn long_courses_are_thinned_and_keep_their_ends() {
        let mut course = Course::default();
        for step in 0..1_000_000 {
            course.push("train", step, step as f64);
        }
        course.push("dclm", 10, 3.0);
        course.push("dclm", 999_999, 2.0);
        let history = course.finish(Some("dclm"));
        let points = history.train_loss_nats.iter().flatten().count();
        assert!((1000..=2050).contains(&points), "{points}");
        assert_eq!((history.step[0], history.step.last()), (0, Some(&999_999)));
        assert_eq!(history.train_loss_nats.last().copied().flatten(), Some(999_999.0));
        assert_eq!(history.eval_loss_nats.iter().flatten().count(), 2);
        // The kept points lie evenly.
        let train: Vec<u64> = history.train_loss_nats.iter().flatten().map(|x| *x as u64).collect();
        assert!(train.windows(3).all(|w| w[2] == 999_999 || w[1] - w[0] == w[2] - w[1]));
    }

    #[test]
    fn a_run_that_ends_in_nan_has_no_final_loss() {
        let mut course = Course::default();
        course.push("train", 1, 4.0);
        course.push("train", 2, f64::NAN);
        assert!(course.last().next().unwrap().1.is_nan());
        assert_eq!(course.finish(None).step, [1]);
    }

    #[test]
    fn the_largest_step_counts() {
        let last = |losses: &[(u64, f64)]| {
            let mut course = Course::default();
            losses.iter().for_each(|&(step, loss)| course.push("eval", step, loss));
            (course.last().next().unwrap().1, course.oddities().len())
        };
        assert_eq!(last(&[(20, 3.0), (10, 3.5), (0, 9.0)]), (3.0, 1));
        assert_eq!(last(&[(0, 9.0), (10, 3.5), (10, 3.0)]), (3.0, 1));
        assert_eq!(last(&[(0, 9.0), (0, 8.0), (10, 3.0)]), (3.0, 0));
        assert!(last(&[(20, f64::NAN), (10, 3.5)]).0.is_nan());
    }

    #[test]
    fn gaps_are_told_from_ends() {
        let ends = |losses: &[(u64, f64)]| {
            let mut course = Course::default();
            for &(step, loss) in losses {
                match loss.is_nan() {
                    true => course.push_gap("eval", step),
                    false => course.push("eval", step, loss),
                }
            }
            course.last().next().map(|(_, loss)| loss)
        };
        let nan = f64::NAN;
        assert_eq!(ends(&[(0, nan), (10, 4.0), (20, nan)]), Some(4.0), "measured now and then");
        assert!(ends(&[(0, 5.0), (10, 4.0), (20, nan)]).unwrap().is_nan());
        assert_eq!(ends(&[(0, nan)]), None);
    }
}
