//! Which component of a mixture a row of a batch comes from, and which sequence of it: a pure
//! function of the row's number (mission D5).
//!
//! Shares are met by counting, not by lot: among any first n rows a component of share w has
//! n·w rows, give or take a few, so that every batch holds the mixture that was asked for, and a
//! run over the whole budget sees each of its sequences equally often.

use super::decimal::Decimal;
use crate::{Error, Result};

/// More decimals than a double can mean; with them, counting up to 2^64 rows fits 128 bits.
const SCALE_MAX: u32 = 18;

/// The shares of a mixture: component 0 is the budget, the others are mixed in.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Mixture {
    /// Share of each component among the components from it on, as (parts, of how many).
    nested: Vec<(u128, u128)>,
}

/// Where a row comes from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Assignment {
    /// 0 is the budget itself, i the i-th component mixed in.
    pub component: usize,
    /// How many earlier rows came from the same component. A component of n sequences that runs
    /// out starts again: this is sequence `position % n` of its epoch `position / n`.
    pub position: u64,
}

impl Mixture {
    /// A mixture of components with these shares; the budget has the rest.
    ///
    /// # Errors
    /// If a share is not positive, or together they leave nothing for the budget.
    pub fn new(shares: &[f64]) -> Result<Self> {
        let refused = || {
            Error::usage(format!(
                "mixture shares {shares:?} must be positive, of at most {SCALE_MAX} decimals, and \
                 add up to less than 1"
            ))
        };
        let decimals: Vec<Decimal> = shares
            .iter()
            .map(|&share| {
                let decimal = Decimal::of(share).filter(|decimal| decimal.scale <= SCALE_MAX);
                decimal.filter(|_| share > 0.0 && share < 1.0)
            })
            .collect::<Option<_>>()
            .ok_or_else(refused)?;
        // All shares as whole parts of one power of ten, so that counting is exact.
        let scale = decimals.iter().map(|decimal| decimal.scale).max().unwrap_or(0);
        let whole = 10_u128.pow(scale);
        let parts: Vec<u128> = decimals
            .iter()
            .map(|decimal| decimal.digits * 10_u128.pow(scale - decimal.scale))
            .collect();
        let budget = whole.checked_sub(parts.iter().sum()).filter(|&rest| rest > 0);
        let mut rest = whole;
        let nested = std::iter::once(budget.ok_or_else(refused)?)
            .chain(parts)
            .map(|part| {
                let of = rest;
                rest -= part;
                (part, of)
            })
            .collect();
        Ok(Self { nested })
    }

    /// The component of row number `row` (step x batch + place in the batch), and its position.
    #[must_use]
    pub fn assign(&self, row: u64) -> Assignment {
        // Components are split off one by one: of the rows that are left, those at which the count
        // of the first component grows are its own, and the others are numbered anew.
        let mut left = row;
        let last = self.nested.len() - 1;
        for (component, &share) in self.nested[..last].iter().enumerate() {
            let before = count(left, share);
            if count(left + 1, share) > before {
                return Assignment { component, position: before };
            }
            left -= before;
        }
        Assignment { component: last, position: left }
    }

    /// How many of the first `rows` rows come from each component.
    #[must_use]
    pub fn counts(&self, rows: u64) -> Vec<u64> {
        let mut left = rows;
        let own = |&share: &(u128, u128)| {
            let own = count(left, share);
            left -= own;
            own
        };
        self.nested.iter().map(own).collect()
    }
}

/// How many of the first `rows` rows belong to a component with this share: ⌈rows · share⌉, so that
/// the first row of all is the budget's.
fn count(rows: u64, (parts, of): (u128, u128)) -> u64 {
    (u128::from(rows) * parts).div_ceil(of) as u64
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Checks shares within `slack` rows at every prefix, and that positions count up from 0.
    fn check(shares: &[f64], slack: f64) {
        let mixture = Mixture::new(shares).unwrap();
        let mut all = vec![1.0 - shares.iter().sum::<f64>()];
        all.extend(shares);
        let mut counts = vec![0_u64; all.len()];
        for row in 0..20_000 {
            let Assignment { component, position } = mixture.assign(row);
            assert_eq!(position, counts[component], "row {row} of {shares:?}");
            counts[component] += 1;
            assert_eq!(mixture.counts(row + 1), counts, "row {row} of {shares:?}");
            for (&count, share) in counts.iter().zip(&all) {
                let expected = share * (row + 1) as f64;
                assert!((count as f64 - expected).abs() <= slack, "{count} of {expected}");
            }
        }
    }

    #[test]
    fn shares_are_met_at_every_row() {
        check(&[], 0.0);
        check(&[0.75], 1.0);
        check(&[0.9], 1.0);
        check(&[0.5], 1.0);
        check(&[1.0 / 3.0, 0.123], 2.0);
        check(&[0.2, 0.3, 0.1, 0.05], 4.0);
        check(&[0.999], 1.0);
    }

    #[test]
    fn a_full_run_sees_the_budget_a_whole_number_of_times() {
        for share in [0.5, 0.75, 0.9, 0.95] {
            let steps = crate::data::total_steps(200, 4, 16.0, share).unwrap();
            let mixture = Mixture::new(&[share]).unwrap();
            let own = (0..steps * 4).filter(|&row| mixture.assign(row).component == 0).count();
            assert_eq!(own, 200 * 16, "share {share}");
        }
    }

    #[test]
    fn rows_are_found_without_counting() {
        let mixture = Mixture::new(&[0.75]).unwrap();
        let far = mixture.assign(1 << 50);
        assert_eq!(far, Assignment { component: 0, position: 1 << 48 });
    }

    #[test]
    fn impossible_shares_are_refused() {
        for shares in [&[1.0][..], &[0.0], &[-0.5], &[0.5, 0.5], &[f64::NAN], &[1e-19], &[1e30]] {
            assert_eq!(Mixture::new(shares).unwrap_err().exit_code(), 2, "{shares:?}");
        }
    }
}
