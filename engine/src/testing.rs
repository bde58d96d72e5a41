//! Checks of kernels against references, with every tolerance of the project.
//!
//! Each check prints the share of its bound that the worst element used, so that a bound that has
//! become loose, or nearly tight, is seen. Loosening one needs a sentence here.

use crate::isa::{Arithmetic, Isa, Kernels, Precision};
use crate::random::Stream;

/// Half a unit in the last place of f32, relative.
pub const ROUNDING_F32: f64 = 5.960_464_477_539_063e-8;
/// Half a unit in the last place of bf16, relative.
pub const ROUNDING_BF16: f64 = 3.906_25e-3;

/// How far central differences of a smooth f64 function may lie from its gradient, relative to the
/// gradient's largest element. With steps of 1e-5 the truncation error is about 1e-10 and the
/// rounding error 1e-11; measured: below 3e-9.
const DIFFERENCES: f64 = 1e-7;

/// The instruction sets of this machine. Those that it lacks are named on stderr, because a test
/// that is skipped silently is believed to have passed.
#[expect(clippy::print_stderr, reason = "a skipped test must be seen")]
pub fn instruction_sets() -> Vec<Isa> {
    let (here, lacking): (Vec<_>, Vec<_>) =
        Isa::ALL.into_iter().partition(|isa| *isa <= Isa::detect());
    for isa in lacking {
        eprintln!("SKIPPED: no {}", isa.name().to_uppercase());
    }
    here
}

/// All kernels of this machine in a precision: every instruction set with every arithmetic that it
/// can do.
fn kernels_here(precision: Precision) -> Vec<Kernels> {
    let of = |isa| {
        let arithmetics = Arithmetic::of(isa, precision);
        arithmetics.map(move |arithmetic| Kernels::with_arithmetic(isa, arithmetic))
    };
    instruction_sets().into_iter().flat_map(of).collect()
}

/// All kernels of this machine in a precision.
#[cfg(not(test))]
pub fn kernels(precision: Precision) -> Vec<Kernels> {
    kernels_here(precision)
}

/// All kernels in a precision: those of this machine, and AMX, if need be by emulation.
#[cfg(test)]
pub fn kernels(precision: Precision) -> Vec<Kernels> {
    let mut kernels = kernels_here(precision);
    #[cfg(all(target_arch = "x86_64", target_os = "linux"))]
    if precision == Precision::Bf16 && Isa::detect() < Isa::Amx {
        println!("EMULATED: AMX");
        kernels.extend(Kernels::emulated_amx());
    }
    kernels
}

/// `count` normally distributed test values, the same for the same seed.
pub fn values(seed: u64, count: usize) -> Vec<f32> {
    let stream = Stream::new(seed, 0x7465_7374);
    (0..count).map(|i| stream.truncated_normal(i as u64)).collect()
}

/// The same numbers in f64.
pub fn wide(values: &[f32]) -> Vec<f64> {
    values.iter().copied().map(f64::from).collect()
}

/// The bound c √n u Σ|terms| for a sum of `length` rounded terms: twice the expected size of a
/// random walk of rounding errors for each of the operands' and the sum's roundings.
pub fn sum_bound(length: usize, sum_of_magnitudes: f64) -> f64 {
    4.0 * (length.max(1) as f64).sqrt() * ROUNDING_F32 * sum_of_magnitudes
}

/// The bound for the rounding of a product's operands to bf16, 0 in f32: each of the two is off by
/// at most half a unit in the last place, and the worst case is within reach of short sums.
pub fn operand_rounding(precision: Precision, sum_of_magnitudes: f64) -> f64 {
    match precision {
        Precision::F32 => 0.0,
        Precision::Bf16 => (2.0 + ROUNDING_BF16) * ROUNDING_BF16 * sum_of_magnitudes,
    }
}

/// Asserts |actual - expected| <= bound for each element and prints the share used.
///
/// # Panics
/// With the worst element, if one lies outside of its bound or is NaN.
pub fn check(what: &str, actual: &[f32], expected: &[f64], bound: impl Fn(usize) -> f64) {
    assert_eq!(actual.len(), expected.len(), "{what}: sizes differ");
    let share = |i: usize| {
        let error = (f64::from(actual[i]) - expected[i]).abs();
        if error > 0.0 { error / bound(i) } else { error }
    };
    let worst = (0..actual.len()).map(|i| (share(i), i)).fold((0.0, 0), |worst, next| {
        if next.0 > worst.0 || next.0.is_nan() { next } else { worst }
    });
    report(what, worst.0);
    let (share, at) = worst;
    assert!(
        share <= 1.0,
        "{what}: element {at} is {} instead of {}, {share:.3} of its bound",
        actual[at],
        expected[at]
    );
}

/// Asserts that both have the same bits.
///
/// # Panics
/// With the first element that differs.
pub fn check_same_bits(what: &str, actual: &[f32], expected: &[f32]) {
    assert_eq!(actual.len(), expected.len(), "{what}: sizes differ");
    for (i, (actual, expected)) in actual.iter().zip(expected).enumerate() {
        assert!(
            actual.to_bits() == expected.to_bits(),
            "{what}: element {i} is {actual:e} instead of {expected:e}"
        );
    }
}

/// Asserts that `gradient` is the gradient of `f` at `x`, by central differences in f64.
///
/// # Panics
/// With the worst element, if one lies outside of the tolerance.
pub fn check_gradient(what: &str, x: &[f64], gradient: &[f64], f: impl Fn(&[f64]) -> f64) {
    const STEP: f64 = 1e-5;
    assert_eq!(x.len(), gradient.len(), "{what}: sizes differ");
    let largest = gradient.iter().fold(1e-3, |largest: f64, g| largest.max(g.abs()));
    let mut at = x.to_vec();
    let mut worst = 0.0_f64;
    for i in 0..x.len() {
        at[i] = x[i] + STEP;
        let above = f(&at);
        at[i] = x[i] - STEP;
        let below = f(&at);
        at[i] = x[i];
        let difference = (above - below) / (2.0 * STEP);
        let share = (difference - gradient[i]).abs() / (DIFFERENCES * largest);
        assert!(share <= 1.0, "{what}: element {i} is {} instead of {difference}", gradient[i]);
        worst = worst.max(share);
    }
    report(what, worst);
}

#[expect(clippy::print_stdout, reason = "the share of a bound is for the reader of test output")]
fn report(what: &str, share: f64) {
    println!("{what}: {:.1} % of the bound used", 100.0 * share);
}
