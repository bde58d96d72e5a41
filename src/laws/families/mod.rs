//! Laws of several axes that predict: families, robust fits, the choice among them.

mod axis;
mod choice;
mod compare;
mod descent;
mod folds;
mod forecast;
mod formula;
mod points;
mod unfit;

#[cfg(test)]
mod golden;
#[cfg(test)]
mod testing;

pub use choice::{Known, Law, Member, Options, choose};
pub use compare::{Comparison, compare};
pub use descent::{HUBER_DELTA, Misfit};
pub use folds::largest;
pub use forecast::{Beyond, Forecast};
pub use formula::{Formula, Letter, Limits, Theta};
pub use points::{Place, Point, Units};
pub use unfit::{RUNS_MIN, Unfit, VALUES_MIN, check, in_other_units};
