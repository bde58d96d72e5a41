//! Grids of hyper-parameters and their neighborhoods (mission R2).
//!
//! A search moves on three axes: epochs, learning rate and weight decay, each a list of values in
//! ascending order. A point is three places on them, never three floats, so that two points are
//! equal exactly when they are the same point (trap B6). A neighbor lies one step away on one axis;
//! at the end of an axis it does not exist, which a certificate says (trap B9): the reference
//! puts the point itself there and counts it as beaten.

use serde::{Deserialize, Serialize};

use crate::spec::bounds::at_most;
use crate::{Error, Result};

/// Points of a grid; the paper's has 336.
const POINTS_MAX: u64 = 1 << 20;

/// What is tuned.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Setting {
    /// Passes over the budget.
    pub epochs: f64,
    /// Peak learning rate.
    pub lr: f64,
    /// Decoupled weight decay.
    pub weight_decay: f64,
}

/// An axis of a grid.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Axis {
    /// Passes over the budget.
    Epochs,
    /// Peak learning rate.
    Lr,
    /// Decoupled weight decay.
    WeightDecay,
}

/// A direction along an axis.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Step {
    /// To the next smaller value.
    Down,
    /// To the next larger value.
    Up,
}

/// The values that are tried on each axis, ascending; an axis with one value is not searched.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Grid {
    /// Passes over the budget.
    pub epochs: Vec<f64>,
    /// Peak learning rates.
    pub lr: Vec<f64>,
    /// Weight decays; 0 is allowed.
    pub weight_decay: Vec<f64>,
}

/// A point of a grid: places on epochs, learning rate and weight decay.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Point([usize; 3]);

impl Axis {
    /// All axes in the order of the paper's neighborhoods.
    pub const ALL: [Self; 3] = [Self::Epochs, Self::Lr, Self::WeightDecay];

    /// The axis as tables name it.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Epochs => "epochs",
            Self::Lr => "lr",
            Self::WeightDecay => "weight decay",
        }
    }
}

impl Step {
    /// Down, then up.
    pub const ALL: [Self; 2] = [Self::Down, Self::Up];
}

impl Setting {
    /// The value on an axis.
    #[must_use]
    pub fn on(&self, axis: Axis) -> f64 {
        match axis {
            Axis::Epochs => self.epochs,
            Axis::Lr => self.lr,
            Axis::WeightDecay => self.weight_decay,
        }
    }

    /// The time scale of AdamW's moving average of weights, in epochs: 1 / (lr * wd * steps per
    /// epoch), with the peak learning rate. Infinite without decay.
    #[must_use]
    pub fn timescale_epochs(&self, steps_per_epoch: f64) -> f64 {
        1.0 / (self.lr * self.weight_decay * steps_per_epoch)
    }
}

impl std::fmt::Display for Setting {
    /// "16 epochs, lr 0.01, weight decay 1.6".
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self { epochs, lr, weight_decay } = self;
        write!(f, "{epochs} epochs, lr {lr}, weight decay {weight_decay}")
    }
}

impl Grid {
    /// The paper's grid (golden/search_grids.json).
    #[must_use]
    pub fn paper() -> Self {
        Self {
            epochs: vec![1.0, 2.0, 4.0, 8.0, 16.0, 32.0, 64.0],
            lr: vec![1e-4, 3e-4, 1e-3, 3e-3, 1e-2, 3e-2],
            weight_decay: vec![0.0, 0.1, 0.2, 0.4, 0.8, 1.6, 3.2, 6.4],
        }
    }

    /// Checks the axes: none empty, ascending, no value twice, all of them possible.
    ///
    /// # Errors
    /// Names the axis.
    pub fn validate(&self) -> Result<()> {
        for axis in Axis::ALL {
            let (name, values) = (axis.name(), self.axis(axis));
            if values.is_empty() {
                return Err(Error::usage(format!("the grid has no value for {name}"))
                    .hint("an axis with one value is held fixed"));
            }
            let least = if axis == Axis::WeightDecay { 0.0 } else { f64::MIN_POSITIVE };
            if let Some(bad) = values.iter().find(|v| !v.is_finite() || **v < least) {
                return Err(Error::usage(format!("the grid's {name} has the value {bad}")));
            }
            if let Some(pair) = values.windows(2).find(|pair| pair[0] >= pair[1]) {
                return Err(Error::usage(format!(
                    "the grid's {name} must ascend, but {} comes before {}",
                    pair[0], pair[1]
                )));
            }
        }
        let points = Axis::ALL.into_iter().map(|axis| self.axis(axis).len() as u64);
        at_most("the points of the grid", points.fold(1, u64::saturating_mul), POINTS_MAX)
    }

    /// The values of an axis.
    #[must_use]
    pub fn axis(&self, axis: Axis) -> &[f64] {
        match axis {
            Axis::Epochs => &self.epochs,
            Axis::Lr => &self.lr,
            Axis::WeightDecay => &self.weight_decay,
        }
    }

    /// The same grid with one weight decay only: the standard recipe (mission R1).
    #[must_use]
    pub fn at_decay(&self, weight_decay: f64) -> Self {
        Self { weight_decay: vec![weight_decay], ..self.clone() }
    }

    /// The same grid with one learning rate only: how ensembles are tuned (mission R5).
    #[must_use]
    pub fn at_lr(&self, lr: f64) -> Self {
        Self { lr: vec![lr], ..self.clone() }
    }

    /// Number of points.
    #[must_use]
    pub fn size(&self) -> usize {
        Axis::ALL.into_iter().map(|axis| self.axis(axis).len()).product()
    }

    /// All points in ascending order.
    #[must_use]
    pub fn points(&self) -> Vec<Point> {
        let [epochs, lrs, decays] = Axis::ALL.map(|axis| self.axis(axis).len());
        let mut points = Vec::with_capacity(self.size());
        for epoch in 0..epochs {
            for lr in 0..lrs {
                points.extend((0..decays).map(|decay| Point([epoch, lr, decay])));
            }
        }
        points
    }

    /// What a point stands for.
    #[must_use]
    pub fn setting(&self, point: Point) -> Setting {
        let Point([epochs, lr, decay]) = point;
        Setting {
            epochs: self.epochs[epochs],
            lr: self.lr[lr],
            weight_decay: self.weight_decay[decay],
        }
    }

    /// The point of a setting.
    ///
    /// # Errors
    /// If it is not on the grid.
    pub fn find(&self, setting: Setting) -> Result<Point> {
        let place = |axis: Axis| {
            let value = setting.on(axis);
            let same = |other: &f64| other.total_cmp(&value).is_eq();
            self.axis(axis).iter().position(same).ok_or_else(|| {
                Error::usage(format!("{} = {value} is not on the grid", axis.name()))
                    .hint(format!("the grid has {}", list(self.axis(axis))))
            })
        };
        Ok(Point([place(Axis::Epochs)?, place(Axis::Lr)?, place(Axis::WeightDecay)?]))
    }

    /// The point closest to a setting, by ratios: where a rule's guess meets the grid.
    #[must_use]
    pub fn nearest(&self, setting: Setting) -> Point {
        let place = |axis: Axis| {
            let value = setting.on(axis);
            let distance = |other: f64| match (value > 0.0, other > 0.0) {
                (true, true) => libm::log(value / other).abs(),
                (false, false) => 0.0,
                _ => f64::INFINITY,
            };
            let values = self.axis(axis).iter().map(|&other| distance(other)).enumerate();
            values.min_by(|a, b| a.1.total_cmp(&b.1)).map_or(0, |(index, _)| index)
        };
        Point(Axis::ALL.map(place))
    }

    /// The point one step away; `None` at the end of the axis.
    #[must_use]
    pub fn neighbor(&self, point: Point, axis: Axis, step: Step) -> Option<Point> {
        let Point(mut places) = point;
        let place = &mut places[axis as usize];
        *place = match step {
            Step::Down => place.checked_sub(1)?,
            Step::Up => Some(*place + 1).filter(|&next| next < self.axis(axis).len())?,
        };
        Some(Point(places))
    }

    /// All neighbors in the paper's order: epochs down and up, lr, weight decay.
    #[must_use]
    pub fn neighbors(&self, point: Point) -> Vec<(Axis, Step, Point)> {
        let mut found = Vec::new();
        for axis in Axis::ALL {
            for step in Step::ALL {
                found.extend(self.neighbor(point, axis, step).map(|next| (axis, step, next)));
            }
        }
        found
    }

    /// The ends of searched axes at which a point lies: there, its certificate is weaker.
    #[must_use]
    pub fn edges(&self, point: Point) -> Vec<(Axis, Step)> {
        let searched = Axis::ALL.into_iter().filter(|&axis| self.axis(axis).len() > 1);
        searched
            .flat_map(|axis| Step::ALL.map(|step| (axis, step)))
            .filter(|&(axis, step)| self.neighbor(point, axis, step).is_none())
            .collect()
    }
}

/// Values in a row, for messages.
fn list(values: &[f64]) -> String {
    values.iter().map(f64::to_string).collect::<Vec<_>>().join(", ")
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::Value;

    fn numbers(value: &Value) -> Vec<f64> {
        value.as_array().unwrap().iter().map(|x| x.as_f64().unwrap()).collect()
    }

    fn setting(value: &Value) -> Setting {
        let [epochs, lr, weight_decay] = numbers(value)[..] else { panic!("{value}") };
        Setting { epochs, lr, weight_decay }
    }

    #[test]
    fn grids_and_neighborhoods_are_the_papers() {
        let text = include_str!("../../tests/golden/search_grids.json");
        let golden: Value = serde_json::from_str(text).unwrap();
        let grid = Grid::paper();
        grid.validate().unwrap();
        assert_eq!(grid.epochs, numbers(&golden["epochs"]));
        assert_eq!(grid.lr, numbers(&golden["lr"]));
        assert_eq!(grid.weight_decay, numbers(&golden["weight_decay"]));
        for case in golden["neighbour_cases"].as_array().unwrap() {
            let center = setting(&case["centre"]);
            // The reference collapses the decay axis of the standard recipe onto its one value.
            let own = if case["use_wd"] == true { grid.clone() } else { grid.at_decay(0.1) };
            let point = own.find(center).unwrap();
            let found = own.neighbors(point);
            assert_eq!(found.len() as u64, case["distinct_neighbours"].as_u64().unwrap());
            let points: Vec<Setting> =
                case["points"].as_array().unwrap().iter().map(setting).collect();
            for (index, (axis, step)) in Axis::ALL
                .into_iter()
                .flat_map(|axis| Step::ALL.map(|step| (axis, step)))
                .enumerate()
            {
                // At an edge the reference's missing neighbor is the center itself.
                let next = own.neighbor(point, axis, step).unwrap_or(point);
                assert_eq!(own.setting(next), points[index + 1], "{center} {axis:?} {step:?}");
            }
            let missing = 2 * Axis::ALL.iter().filter(|&&a| own.axis(a).len() > 1).count();
            assert_eq!(own.edges(point).len(), missing - found.len());
        }
    }

    #[test]
    fn bad_grids_name_their_axis() {
        let check = |grid: Grid, expected: &str| {
            let message = grid.validate().unwrap_err().to_string();
            assert!(message.contains(expected), "{message}");
        };
        check(Grid { epochs: vec![], ..Grid::paper() }, "no value for epochs");
        check(Grid { lr: vec![1e-3, 1e-3], ..Grid::paper() }, "lr must ascend");
        check(Grid { lr: vec![0.0], ..Grid::paper() }, "lr has the value 0");
        check(Grid { weight_decay: vec![-1.0], ..Grid::paper() }, "weight decay has the value -1");
        check(Grid { epochs: vec![f64::INFINITY], ..Grid::paper() }, "epochs has the value inf");
    }

    #[test]
    fn settings_meet_the_grid() {
        let grid = Grid::paper();
        let off = Setting { epochs: 13.0, lr: 3e-3, weight_decay: 1.17 };
        assert!(grid.find(off).unwrap_err().to_string().contains("epochs = 13 is not on the grid"));
        let near = grid.setting(grid.nearest(off));
        assert_eq!(near, Setting { epochs: 16.0, lr: 3e-3, weight_decay: 1.6 });
        assert_eq!(grid.points().len(), 7 * 6 * 8);
        // 1 / (0.01 * 1.6 * 50) epochs.
        assert!(
            (Setting { lr: 0.01, weight_decay: 1.6, epochs: 1.0 }.timescale_epochs(50.0) - 1.25)
                .abs()
                < 1e-12
        );
    }
}
