//! How many steps a run takes, in exact arithmetic.
//!
//! The reference truncates in doubles, so that a teacher share of 0.95 gives 255,999 steps instead
//! of 256,000 (mission B12).

use super::decimal::Decimal;
use crate::{Error, Result};

/// Steps of a run (mission D4): ⌊sequences · epochs / (batch · (1 - share))⌋, at least 1.
///
/// `sequences` is D/T, so that with a budget of whole batches sequences/batch is the paper's
/// `base_steps`. Mixing in other data never reduces the budget's tokens: the run grows instead.
///
/// # Errors
/// If `epochs` is not positive, `share` is outside [0, 1), or the result does not fit 64 bits.
pub fn total_steps(sequences: u64, batch: u64, epochs: f64, share: f64) -> Result<u64> {
    let refused = |what: String| Error::usage(what);
    let exact = |name: &str, value: f64| {
        Decimal::of(value).ok_or_else(|| refused(format!("`{name}` = {value} is no such number")))
    };
    if epochs <= 0.0 || !(0.0..1.0).contains(&share) || batch == 0 {
        return Err(refused(format!(
            "{epochs} epochs in batches of {batch} with a mixture share of {share} make no run"
        )));
    }
    let (epochs, share) = (exact("epochs", epochs)?, exact("share", share)?);
    // sequences · (e / 10^s) / (batch · (10^w - q) / 10^w), numerator and denominator apart.
    let steps = || -> Option<u64> {
        let (epochs_unit, share_unit) = (epochs.power()?, share.power()?);
        let real = share_unit.checked_sub(share.digits)?;
        let numerator =
            u128::from(sequences).checked_mul(epochs.digits)?.checked_mul(share_unit)?;
        let denominator = u128::from(batch).checked_mul(real)?.checked_mul(epochs_unit)?;
        u64::try_from(numerator.checked_div(denominator)?).ok()
    };
    let steps = steps().ok_or_else(|| refused("the number of steps is too large".to_owned()))?;
    Ok(steps.max(1))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn golden_step_counts_are_met_exactly() {
        let table = include_str!("../../../tests/golden/step_counts.csv");
        for line in table.lines().skip(1) {
            let fields: Vec<&str> = line.split(',').collect();
            let [base, epochs, share, _, exact, ..] = fields[..] else { panic!("{line}") };
            let (epochs, share) = (epochs.parse().unwrap(), share.parse().unwrap_or(0.0));
            let (base, exact): (u64, u64) = (base.parse().unwrap(), exact.parse().unwrap());
            assert_eq!(total_steps(base * 64, 64, epochs, share).unwrap(), exact);
        }
        assert_eq!(table.lines().count(), 12);
    }

    #[test]
    fn odd_cases_are_exact_or_refused() {
        // D9: a larger batch keeps D.
        assert_eq!(total_steps(800 * 64, 512, 1.0, 0.0).unwrap(), 100);
        assert_eq!(total_steps(10, 3, 0.1, 0.0).unwrap(), 1);
        assert_eq!(total_steps(10, 1, 0.7, 0.0).unwrap(), 7);
        assert_eq!(total_steps(1000, 1, 1e-3, 0.0).unwrap(), 1);
        assert_eq!(total_steps(1, 1, 1.0, 0.999_999).unwrap(), 1_000_000);
        for (epochs, share) in
            [(0.0, 0.0), (-1.0, 0.0), (f64::NAN, 0.0), (1.0, 1.0), (1.0, -0.1), (1e300, 0.0)]
        {
            assert_eq!(total_steps(10, 1, epochs, share).unwrap_err().exit_code(), 2);
        }
    }
}
