//! The quick start's figure: what every recipe reached, and how the single models got there.

use super::{Family, QuickstartReport, RecipeRow, Trajectory};
use crate::draw::chart::{
    Block, Dot, Dots, Figure, Label, Line, Panel, Point, Scale, Series, Shape, Sheet, Ticks,
};
use crate::draw::palette::Paint;
use crate::eval::statistics::{Estimate, LEVEL};
use crate::report::number::estimate_or_diverged;

/// Name of the figure and of its files.
const NAME: &str = "figure";

/// Share of a run after which its losses must fit into the panel: the first steps of training start
/// so high that they would press everything else together.
const SHOWN_FROM_SHARE: f64 = 0.25;

impl QuickstartReport {
    /// The figure; the panel of courses is left out if no course is given.
    #[must_use]
    pub fn figure(&self) -> Figure {
        let above_floor = self.floor_nats.is_some()
            && self.recipes.iter().all(|row| row.excess.is_some() == row.loss.is_some());
        let title = match above_floor {
            true => "Test loss above the exact floor",
            false => "Test loss",
        };
        let caption = "Above, every recipe's mean on the test split with its 95 % interval; below, \
                       losses on the validation split during training.";
        let mut sheet = Sheet::new(NAME, title, caption);
        sheet.blocks.push(Block::Dots(self.dots(above_floor)));
        let panel = courses(&self.trajectories);
        if !panel.series.is_empty() {
            sheet.blocks.push(Block::Panels(vec![panel]));
        }
        sheet.finish()
    }

    /// A row per recipe: its distance above the floor where all have one, else its loss.
    fn dots(&self, above_floor: bool) -> Dots {
        let value = |row: &RecipeRow| if above_floor { row.excess } else { row.loss };
        let dot = |row: &RecipeRow| {
            let known = value(row).filter(|value| value.mean.is_finite());
            let (paint, shape) = look(row.family);
            let interval = known.and_then(|value: Estimate| value.interval(LEVEL));
            Dot {
                name: row.name.clone(),
                paint,
                shape,
                hollow: row.family == Family::Ngram,
                value: known.map(|value| value.mean),
                interval: interval.map(|interval| (interval.low, interval.high)),
                text: estimate_or_diverged(known.as_ref()),
                records: vec![row.evaluation.clone()],
            }
        };
        let floor =
            |floor: f64| (if above_floor { 0.0 } else { floor }, format!("floor {floor:.4}"));
        let unit = if above_floor { "nats per token above the floor" } else { "nats per token" };
        Dots {
            unit: unit.to_owned(),
            heading: "mean ± s.e.".to_owned(),
            bars: "95 % intervals".to_owned(),
            floor: self.floor_nats.map(floor),
            rows: self.recipes.iter().map(dot).collect(),
        }
    }
}

/// Color and mark of a family: the same in every figure.
fn look(family: Family) -> (Paint, Shape) {
    match family {
        Family::Standard => (Paint::Vermillion, Shape::Circle),
        Family::Regularized => (Paint::Blue, Shape::Square),
        Family::Larger => (Paint::Purple, Shape::Diamond),
        Family::Ensemble => (Paint::Green, Shape::Triangle),
        Family::Ngram => (Paint::Muted, Shape::Circle),
    }
}

/// Validation losses over tokens, as far as they are not above all that comes after the first
/// quarter of a run.
fn courses(trajectories: &[Trajectory]) -> Panel {
    let late = |trajectory: &Trajectory| {
        let end = trajectory.points.last().map_or(0.0, |point| point.0);
        let late = move |point: &&(f64, f64)| point.0 >= SHOWN_FROM_SHARE * end;
        let losses = trajectory.points.iter().filter(late).map(|point| point.1);
        losses.filter(|loss| loss.is_finite()).fold(f64::NEG_INFINITY, f64::max)
    };
    let highest = trajectories.iter().map(late).fold(f64::NEG_INFINITY, f64::max);
    let x = Scale::logarithmic("tokens trained on").with_ticks(Ticks::Short);
    let title = "Validation loss during training";
    let mut panel = Panel::new(title, x, Scale::linear("nats per token"));
    panel.height = 190.0;
    for trajectory in trajectories {
        let shown = trajectory.points.iter().filter(|(_, loss)| *loss <= highest);
        let point = |&(x, y): &(f64, f64)| {
            let records = vec![trajectory.record.clone()];
            Point { x, y, records, ..Point::default() }
        };
        let points: Vec<Point> = shown.map(point).collect();
        if points.is_empty() {
            continue;
        }
        let (paint, shape) = look(trajectory.family);
        let mut series = Series::new(trajectory.label.as_str(), paint, shape, points);
        series.label = Label::Direct(trajectory.label.clone());
        series.line = Some(Line::Solid);
        series.marked = false;
        panel.series.push(series);
    }
    panel
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::draw::chart::testing::check_scene;
    use crate::eval::statistics::Estimate;
    use crate::report::quickstart::{Trajectory, examples};

    /// Nothing may leave the picture, and no text may touch another one.
    fn check(name: &str, report: &QuickstartReport) {
        check_scene(name, &report.figure().scene);
    }

    /// A report whose losses are those of `report`, moved and stretched.
    fn rescaled(mut report: QuickstartReport, offset: f64, factor: f64) -> QuickstartReport {
        let rescale = |estimate: Estimate, offset: f64| Estimate {
            mean: offset + factor * estimate.mean,
            standard_error: estimate.standard_error.map(|error| error * factor),
            ..estimate
        };
        report.floor_nats = report.floor_nats.map(|floor| offset + factor * floor);
        for row in &mut report.recipes {
            row.loss = row.loss.map(|loss| rescale(loss, offset));
            row.excess = row.excess.map(|excess| rescale(excess, 0.0));
        }
        for point in report.trajectories.iter_mut().flat_map(|t| &mut t.points) {
            point.1 = offset + factor * point.1;
        }
        report
    }

    #[test]
    fn nothing_is_clipped_or_overlaps_at_any_range() {
        check("language", &examples::language());
        check("books", &examples::books());
        for factor in [1e-4, 1e-3, 0.03, 0.3, 1.0, 3.0, 30.0] {
            check(&format!("language-{factor}"), &rescaled(examples::language(), 0.1, factor));
            check(&format!("books-{factor}"), &rescaled(examples::books(), 1.0, factor));
        }
    }

    #[test]
    fn odd_reports_are_drawn_as_well() {
        let mut report = examples::books();
        report.floor_nats = Some(0.2);
        report.recipes[3].loss = None;
        report.recipes[0].name = "a-recipe-with-an-unreasonably-long-name".into();
        report.recipes[5].loss = Some(Estimate { mean: 3.9, standard_error: None, clusters: 1 });
        check("odd", &report);
        report.floor_nats = Some(3.0);
        check("floor-without-excess", &report);

        let mut one = examples::language();
        one.recipes.truncate(1);
        one.trajectories.clear();
        check("one", &one);
        one.recipes[0].loss = None;
        one.recipes[0].excess = None;
        check("only-diverged", &one);
        one.recipes.clear();
        check("empty", &one);

        let mut equal = examples::books();
        for row in &mut equal.recipes {
            row.loss = Some(Estimate { mean: 2.5, standard_error: Some(0.0), clusters: 9 });
        }
        equal.trajectories.truncate(2);
        equal.trajectories[0].points = vec![(25_600.0, 2.5)];
        equal.trajectories[1].points = vec![(25_600.0, f64::NAN), (51_200.0, 2.5)];
        check("equal", &equal);
    }

    #[test]
    fn labels_of_many_bundled_curves_find_space() {
        let mut report = examples::language();
        report.trajectories = (0..8)
            .map(|index| {
                let last = 3.0 + 0.004 * f64::from(index);
                examples::trajectory(&format!("{index}0 epochs"), Family::Standard, 16, last, 0.0)
            })
            .collect();
        check("bundle", &report);
        let short = |tokens| Trajectory {
            label: "one point".into(),
            family: Family::Larger,
            record: examples::record("short"),
            points: vec![(tokens, 3.0)],
        };
        report.trajectories = vec![short(1e3), short(1e6), short(1e12)];
        check("points", &report);
    }
}
