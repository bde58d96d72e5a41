//! Units: the 32 bits of the depth that a kernel multiplies at once, one f32 or a pair of bf16.

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
            Unit::Pair => {
                let (pairs, rest) = values.as_chunks::<2>();
                for (unit, [low, high]) in units.iter_mut().zip(pairs) {
                    *unit = pair(*low, *high);
                }
                if let [low] = rest {
                    units[pairs.len()] = pair(*low, 0.0);
                }
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
            (Unit::Pair, Some(next)) => {
                for ((unit, low), high) in units.iter_mut().zip(values).zip(next) {
                    *unit = pair(*low, *high);
                }
            }
            (Unit::Pair, None) => {
                for (unit, low) in units.iter_mut().zip(values) {
                    *unit = pair(*low, 0.0);
                }
            }
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

/// Two bf16 as the bits of an f32, which is only ever copied.
#[inline(always)]
fn pair(low: f32, high: f32) -> f32 {
    f32::from_bits(round_to_bf16(low).to_bits() >> 16 | round_to_bf16(high).to_bits())
}

/// A block of 16 by 16 units, transposed.
#[inline(always)]
pub(super) fn transposed(block: &[[f32; BLOCK]; BLOCK]) -> [[f32; BLOCK]; BLOCK] {
    std::array::from_fn(|i| std::array::from_fn(|j| block[j][i]))
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

    #[test]
    fn pairs_hold_the_first_value_below() {
        let mut units = [0.0; 2];
        Unit::Pair.along(&[1.0, -2.0, 3.0], &mut units);
        assert_eq!(units.map(f32::to_bits), [0xc000_3f80, 0x0000_4040]);
        Unit::Pair.across(&[1.0, 3.0], Some(&[-2.0, 0.0]), &mut units);
        assert_eq!(units.map(f32::to_bits), [0xc000_3f80, 0x0000_4040]);
    }

    #[test]
    fn a_block_is_transposed() {
        let mut block = [[0.0; BLOCK]; BLOCK];
        let all = || (0..BLOCK * BLOCK).map(|at| (at / BLOCK, at % BLOCK));
        all().for_each(|(i, j)| block[i][j] = (i * BLOCK + j) as f32);
        let block = transposed(&block);
        for (i, j) in all() {
            assert_eq!(block[i][j].to_bits(), ((j * BLOCK + i) as f32).to_bits());
        }
    }
}
