//! Overrides of what a study decides itself: ignored, they would give other numbers than were
//! asked for, so that they are refused.

use crate::spec::set_keys;
use crate::{Error, Result};

/// A key, or the beginning of several, and what decides it.
pub(super) type Decided = (&'static str, &'static str);

/// What every search over a grid decides.
pub(super) const BY_THE_GRID: [Decided; 4] = [
    ("data.epochs", "the grid of the study"),
    ("optim.lr", "the grid of the study"),
    ("optim.weight_decay", "the grid of the study"),
    ("seeds.", "`seed` of the study"),
];

/// Refuses `--set` on any of these keys.
///
/// # Errors
/// Names the key, what decides it, and `hint`, what to do instead.
pub(super) fn refuse(sets: &[String], decided: &[Decided], hint: &str) -> Result<()> {
    for key in set_keys(sets)? {
        let found = decided.iter().find(|(decided, _)| match decided.ends_with('.') {
            true => key.starts_with(decided),
            false => key == *decided,
        });
        if let Some((_, by)) = found {
            return Err(Error::usage(format!("--set {key}: {by} decides this itself")).hint(hint));
        }
    }
    Ok(())
}

/// Refuses overrides of what a search over a grid decides.
///
/// # Errors
/// As [`refuse`].
pub fn check_sets(sets: &[String]) -> Result<()> {
    refuse(sets, &BY_THE_GRID, "put it into [plan] of a study file, or train one run of it")
}
