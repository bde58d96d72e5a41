//! Units: the 32 bits of the depth that a kernel multiplies at once, one f32 or a pair of bf16.

#[cfg(target_arch = "x86_64")]
use super::pairs;
use crate::isa::{Arithmetic, Kernels};

/// Units of a row of a block that is transposed: a vector of AVX-512, a row of an AMX tile.
pub(super) const BLOCK: usize = 16;

/// What a unit holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Unit {
    /// An f32.
    Single,
    /// An f32 rounded to bf16.
    Rounded,
    /// Two bf16 of neighboring depth, the first one in the lower half.
    Pair,
}

impl Unit {
    /// The units of an arithmetic.
    pub(super) fn of(kernels: Kernels) -> Unit {
        match kernels.arithmetic() {
            Arithmetic::F32 => Unit::Single,
            Arithmetic::Bf16Rounded => Unit::Rounded,
            Arithmetic::Bf16Dot | Arithmetic::Bf16Amx => Unit::Pair,
        }
    }

    /// The depth of one unit.
    #[inline(always)]
    pub(super) fn depth(self) -> usize {
        match self {
            Unit::Single | Unit::Rounded => 1,
            Unit::Pair => 2,
        }
    }

    /// Units from values that follow each other in depth; a missing last half is zero.
    #[inline(always)]
    pub(super) fn along(self, values: &[f32], units: &mut [f32]) {
        match self {
            Unit::Single => units.copy_from_slice(values),
            Unit::Rounded => {
                for (unit, x) in units.iter_mut().zip(values) {
                    *unit = round_to_bf16(*x);
                }
            }
            Unit::Pair => pairs_along(values, units),
        }
    }

    /// One row of a block from at most as many values as it holds; what is missing is zero.
    #[inline(always)]
    pub(super) fn row(self, values: &[f32]) -> [f32; BLOCK] {
        let mut units = [0.0; BLOCK];
        // Most rows are whole, and then the compiler knows the length.
        match (self, values.as_array::<BLOCK>(), values.as_array::<{ 2 * BLOCK }>()) {
            (Unit::Single | Unit::Rounded, Some(values), _) => self.along(values, &mut units),
            (Unit::Pair, _, Some(values)) => self.along(values, &mut units),
            _ => self.along(values, &mut units[..values.len().div_ceil(self.depth())]),
        }
        units
    }

    /// The first units, at most 16, of what `across` gives; what is missing is zero.
    #[inline(always)]
    pub(super) fn vector(self, values: &[f32], next: Option<&[f32]>, units: &mut [f32; BLOCK]) {
        // Most are whole, and then the compiler knows the length.
        match (values.first_chunk::<BLOCK>(), next.map(|next| next.first_chunk::<BLOCK>())) {
            (Some(values), Some(Some(next))) => self.across(values, Some(next), units),
            (Some(values), None) => self.across(values, None, units),
            _ => {
                let (units, rest) = units.split_at_mut(values.len().min(BLOCK));
                let next = next.map(|next| &next[..units.len()]);
                self.across(&values[..units.len()], next, units);
                rest.fill(0.0);
            }
        }
    }

    /// Units from values that lie next to each other at one depth, and for pairs at the next, where
    /// there is one.
    #[inline(always)]
    pub(super) fn across(self, values: &[f32], next: Option<&[f32]>, units: &mut [f32]) {
        match (self, next) {
            (Unit::Single, _) => units.copy_from_slice(values),
            (Unit::Rounded, _) => {
                for (unit, x) in units.iter_mut().zip(values) {
                    *unit = round_to_bf16(*x);
                }
            }
            (Unit::Pair, next) => pairs_across(values, next, units),
        }
    }
}

/// Rounds to bf16, to nearest, ties to even; NaN stays NaN.
#[inline(always)]
pub(super) fn round_to_bf16(x: f32) -> f32 {
    let bits = x.to_bits();
    let rounded = bits.wrapping_add(0x7fff + (bits >> 16 & 1)) & 0xffff_0000;
    f32::from_bits(if x.is_nan() { (bits | 0x0040_0000) & 0xffff_0000 } else { rounded })
}

/// Pairs from values that follow each other in depth.
#[inline(always)]
fn pairs_along(values: &[f32], units: &mut [f32]) {
    // SAFETY: pairs are units of kernels for AVX512-BF16 and AMX only, so the CPU has the former.
    #[cfg(target_arch = "x86_64")]
    unsafe {
        pairs::along(values, units);
    }
    #[cfg(not(target_arch = "x86_64"))]
    unreachable!("{} values and {} pairs elsewhere than on x86", values.len(), units.len());
}

/// Pairs from values at one depth and, where there is one, at the next.
#[inline(always)]
fn pairs_across(values: &[f32], next: Option<&[f32]>, units: &mut [f32]) {
    // SAFETY: as above.
    #[cfg(target_arch = "x86_64")]
    unsafe {
        pairs::across(values, next, units);
    }
    #[cfg(not(target_arch = "x86_64"))]
    unreachable!("{} values, {next:?}, {} pairs elsewhere", values.len(), units.len());
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rounding_to_bf16_is_to_nearest_even() {
        let cases = [
            (1.0, 1.0),
            (1.0 + 1.0 / 256.0, 1.0),
            (1.0 + 3.0 / 256.0, 1.0 + 4.0 / 256.0),
            (1.0 + 1.1 / 256.0, 1.0 + 2.0 / 256.0),
            (f32::MAX, f32::INFINITY),
            (f32::NEG_INFINITY, f32::NEG_INFINITY),
            (-0.0, -0.0),
        ];
        for (x, rounded) in cases {
            assert_eq!(round_to_bf16(x).to_bits(), f32::to_bits(rounded), "{x}");
        }
        assert!(round_to_bf16(f32::NAN).is_nan());
        assert!(round_to_bf16(f32::from_bits(0x7f80_0001)).is_nan());
    }

    /// Two bf16 in software: what the CPU's conversion has to give.
    #[cfg(target_arch = "x86_64")]
    fn pair(low: f32, high: f32) -> u32 {
        let half = |x: f32| if x.is_subnormal() { 0.0_f32.copysign(x) } else { round_to_bf16(x) };
        half(low).to_bits() >> 16 | half(high).to_bits()
    }

    #[cfg(target_arch = "x86_64")]
    #[test]
    fn pairs_are_rounded_as_in_software_and_hold_the_first_value_below() {
        if crate::isa::Isa::detect() < crate::isa::Isa::Avx512Bf16 {
            println!("SKIPPED: no AVX512-BF16");
            return;
        }
        let special = [0.0, -0.0, 1e-40, -1e-39, 1.0 + 1.0 / 256.0, f32::MAX, f32::NEG_INFINITY];
        let mut values = crate::testing::values(1, 93);
        values.extend(special);
        for length in [1, 2, 3, 15, 16, 17, 31, 32, 33, 63, 64, 65, 100] {
            let values = &values[100 - length..];
            let (pairs, rest) = values.as_chunks::<2>();
            let mut expected: Vec<u32> = pairs.iter().map(|[a, b]| pair(*a, *b)).collect();
            expected.extend(rest.iter().map(|a| pair(*a, 0.0)));
            let mut units = vec![f32::NAN; expected.len()];
            Unit::Pair.along(values, &mut units);
            assert_eq!(units.iter().map(|x| x.to_bits()).collect::<Vec<_>>(), expected);

            let next: Vec<f32> = values.iter().rev().copied().collect();
            for next in [Some(&next[..]), None] {
                let high = |i: usize| next.map_or(0.0, |next| next[i]);
                let expected: Vec<u32> =
                    values.iter().enumerate().map(|(i, low)| pair(*low, high(i))).collect();
                let mut units = vec![f32::NAN; length];
                Unit::Pair.across(values, next, &mut units);
                assert_eq!(units.iter().map(|x| x.to_bits()).collect::<Vec<_>>(), expected);
            }
        }
    }
}
