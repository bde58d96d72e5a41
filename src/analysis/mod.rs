//! What the runs of a store say, without a plan: groups of runs and their laws.
//!
//! A [`Run`] is one measured loss, from a record or imported. A [`Scope`] puts runs in order, by
//! numbers and never by labels (B7), and owns everything that is fitted to them: figures and tables
//! take its laws and fit nothing. Laws are fitted anew from the runs each time, so that no
//! hand-made constant (B3) and no stale cache can enter; the standard recipe is its weight decay
//! and not whatever a list holds (B1), sizes and budgets are those of the runs and no fixed table
//! (B4).

mod certificate;
mod imported;
mod law;
mod measured;
mod recipes;
mod records;
mod run;
mod scope;
pub mod table;
mod work;

pub use certificate::Certificate;
pub use imported::{Imported, imported};
pub use law::{Axis, Fitted, NoLaw, Unit, Worth};
pub use measured::{Measured, deviation, mean};
pub use recipes::{Extrapolation, InMembers, Recipe, RecipeKind, over_budgets, over_sizes};
pub use records::{Found, of_records};
pub use run::{Accuracy, Ensemble, HeldOutLoss, Moment, Origin, Run, RunSeeds, Runs, Taught};
pub use scope::{Members, Scope, Setting, same};
pub use work::{EqualWork, Sized, WorkLaw};

use std::collections::BTreeSet;

use crate::laws::Noise;
use crate::spec::JobId;
use crate::store::Average;
use crate::study::{Grid, scale};

/// How runs are put in order and laws are fitted.
#[derive(Clone, Debug, PartialEq)]
pub struct Options {
    /// What is known about the noise of a loss.
    pub noise: Noise,
    /// Level of all intervals, in (0, 1).
    pub level: f64,
    /// The weight decay of the standard recipe.
    pub standard_weight_decay: f64,
    /// Which average of an ensemble is shown.
    pub averaging: Average,
    /// The budget of what is about one; default: the one with most ensembles, then runs.
    pub budget_tokens: Option<f64>,
    /// Resamples of the bootstrap behind multipliers that are read off lines.
    pub resamples: usize,
    /// The grid whose neighborhoods make certificates.
    pub grid: Grid,
    /// What a study chose; `None`: what is best on the text that is shown is taken.
    pub chosen: Option<Chosen>,
}

/// What a study chose on `val`, by the ids of the runs behind it: what is said of its losses on
/// `test` chooses nothing itself.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Chosen {
    /// The standard recipe of every cell.
    pub standard: BTreeSet<String>,
    /// The regularized recipe of every cell.
    pub regularized: BTreeSet<String>,
    /// The members of the ensemble of every cell.
    pub members: BTreeSet<Vec<String>>,
    /// Of both recipes, the best model of every budget.
    pub best: BTreeSet<String>,
}

impl Chosen {
    /// Of a scaling study.
    #[must_use]
    pub fn of_scaling(outcome: &scale::Outcome) -> Self {
        let mut chosen = Self::default();
        let ids = |runs: &[JobId]| runs.iter().map(ToString::to_string).collect::<Vec<_>>();
        chosen.best.extend(outcome.best_singles().flat_map(|single| ids(&single.runs)));
        for cell in &outcome.cells {
            chosen.standard.extend(cell.standard.iter().flat_map(|single| ids(&single.runs)));
            chosen.regularized.extend(cell.regularized.iter().flat_map(|single| ids(&single.runs)));
            chosen.members.extend(cell.chosen().map(|ensemble| ids(&ensemble.members)));
        }
        chosen
    }
}

impl Default for Options {
    /// The paper's: 0.1, logits, noise from the scatter, 90 %.
    fn default() -> Self {
        Self {
            noise: Noise::Residuals,
            level: 0.9,
            standard_weight_decay: 0.1,
            averaging: Average::Logits,
            budget_tokens: None,
            resamples: 500,
            grid: Grid::paper(),
            chosen: None,
        }
    }
}
