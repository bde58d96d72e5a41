//! Whether a tuned setting is shown to be no worse than its neighbors on a grid.

use super::scope::{Scope, Setting, same};

/// What is known of a setting's neighbors. An edge of a grid is said and never counts as a
/// neighbor that was looked at (B9).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Certificate {
    /// Neighbors on the grid without a run.
    pub missing: usize,
    /// Neighbors with a lower mean loss.
    pub better: usize,
    /// Axes at whose first or last value the setting lies.
    pub edges: usize,
    /// Axes on whose grid the setting does not lie.
    pub off_grid: usize,
}

impl Certificate {
    /// Whether every neighbor was measured and none is better.
    #[must_use]
    pub fn holds(self) -> bool {
        self.missing == 0 && self.better == 0 && self.off_grid == 0
    }

    /// In words.
    #[must_use]
    pub fn text(self) -> String {
        let mut parts = Vec::new();
        if self.holds() {
            parts.push("certified".to_owned());
        }
        if self.missing > 0 {
            parts.push(format!("{} neighbors not measured", self.missing));
        }
        if self.better > 0 {
            parts.push(format!("{} neighbors better", self.better));
        }
        if self.off_grid > 0 {
            parts.push("off the grid".to_owned());
        }
        if self.edges > 0 {
            parts.push("at an edge of the grid".to_owned());
        }
        parts.join(", ")
    }
}

impl Scope<'_> {
    /// The certificate of a setting.
    #[must_use]
    pub fn certificate(&self, of: &Setting) -> Certificate {
        let grid = &self.options.grid;
        let place = (of.epochs, of.lr, of.weight_decay);
        let axes: [SearchAxis; 3] = [
            (&grid.epochs, of.epochs, |place, value| (value, place.1, place.2)),
            (&grid.lr, of.lr, |place, value| (place.0, value, place.2)),
            (&grid.weight_decay, of.weight_decay, |place, value| (place.0, place.1, value)),
        ];
        let mut found = Certificate::default();
        for (grid, value, moved) in axes {
            if let [only] = grid
                && same(*only, value)
            {
                // An axis with one value is not searched.
                continue;
            }
            let Some(index) = grid.iter().position(|&step| same(step, value)) else {
                found.off_grid += 1;
                continue;
            };
            let neighbors = [index.checked_sub(1), (index + 1 < grid.len()).then_some(index + 1)];
            for neighbor in neighbors {
                let Some(neighbor) = neighbor else {
                    found.edges += 1;
                    continue;
                };
                let (epochs, lr, decay) = moved(place, grid[neighbor]);
                let at = |s: &&Setting| {
                    same(s.n, of.n)
                        && same(s.d, of.d)
                        && same(s.epochs, epochs)
                        && same(s.lr, lr)
                        && same(s.weight_decay, decay)
                };
                match self.settings.iter().find(at) {
                    None => found.missing += 1,
                    Some(other) if other.loss() < of.loss() => found.better += 1,
                    Some(_) => {}
                }
            }
        }
        found
    }
}

/// An axis of the search: its grid, the setting's value, and how a place moves to another value.
type SearchAxis<'g> = (&'g [f64], f64, fn(Place, f64) -> Place);

/// Epochs, learning rate, weight decay.
type Place = (f64, f64, f64);
