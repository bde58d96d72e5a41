//! Elementary functions that give the same bits on every instruction set.
//!
//! They are branch-free polynomials, so that loops over them vectorize, with explicit fused
//! multiply-adds, so that every compiled version rounds alike. NaN stays NaN.

/// Above this, `exp` would overflow; larger arguments give infinity.
const EXP_MAX: f32 = 88.722_83;
/// Below this, the result of `exp` would be subnormal; smaller arguments give zero.
const EXP_MIN: f32 = -87.336_54;

/// e to the power `x`, with a relative error below 1.2e-7 (tested over the whole range).
///
/// x = n ln 2 + r with |r| <= ln 2 / 2; e^r is a polynomial of degree 6 (minimax for the relative
/// error, 3e-9); n is added to its exponent.
#[inline(always)]
pub fn exp(x: f32) -> f32 {
    /// 1.5 * 2^23: adding it rounds to an integer that stands in the low bits of the sum.
    const ROUND: f32 = 12_582_912.0;
    const LN2_HIGH: f32 = 0.693_359_4;
    const LN2_LOW: f32 = -2.121_944_4e-4;
    let shifted = x.mul_add(std::f32::consts::LOG2_E, ROUND);
    let n = shifted - ROUND;
    let r = n.mul_add(-LN2_LOW, n.mul_add(-LN2_HIGH, x));
    let mut p = 1.381_454e-3_f32;
    p = p.mul_add(r, 8.368_745e-3);
    p = p.mul_add(r, 4.166_839e-2);
    p = p.mul_add(r, 1.666_652_1e-1);
    p = p.mul_add(r, 4.999_999_4e-1);
    p = p.mul_add(r, 1.0);
    p = p.mul_add(r, 1.0);
    // The shift leaves n alone in the bits of the exponent, as the lowest 9 bits of ROUND are zero.
    // Arguments out of range, and NaN, give senseless bits, which are replaced.
    let value = f32::from_bits(p.to_bits().wrapping_add(shifted.to_bits() << 23));
    let value = if x <= EXP_MAX { value } else { x + f32::INFINITY };
    if x < EXP_MIN { 0.0 } else { value }
}

/// 1 / (1 + e^-x), with a relative error below 3e-7 where the result is a normal number.
#[inline(always)]
pub fn sigmoid(x: f32) -> f32 {
    1.0 / (1.0 + exp(-x))
}

/// The natural logarithm, for one value per row.
pub fn ln(x: f32) -> f32 {
    libm::logf(x)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The largest relative error of `f` against `truth` over a fine grid of [from, to].
    fn worst(from: f32, to: f32, f: impl Fn(f32) -> f32, truth: impl Fn(f64) -> f64) -> f64 {
        let steps = 400_000;
        let mut worst = 0.0_f64;
        for i in 0..=steps {
            let x = from + (to - from) * (i as f32 / steps as f32);
            let expected = truth(f64::from(x));
            worst = worst.max(((f64::from(f(x)) - expected) / expected).abs());
        }
        worst
    }

    #[test]
    fn exp_is_accurate_over_its_range() {
        let near = worst(-1.0, 1.0, exp, libm::exp);
        let far = worst(EXP_MIN, EXP_MAX, exp, libm::exp);
        println!("exp: relative error {near:.3e} near zero, {far:.3e} over the range");
        assert!(near < 1.2e-7 && far < 1.2e-7);
        assert_eq!(exp(0.0).to_bits(), 1.0_f32.to_bits());
    }

    #[test]
    fn exp_has_clean_limits() {
        for (x, expected) in [
            (f32::NEG_INFINITY, 0.0),
            (-1000.0, 0.0),
            (-1e30, 0.0),
            (89.0, f32::INFINITY),
            (1e30, f32::INFINITY),
            (f32::INFINITY, f32::INFINITY),
        ] {
            assert_eq!(exp(x).to_bits(), expected.to_bits(), "exp({x})");
        }
        for payload in 0..64 {
            assert!(exp(f32::from_bits(0x7fc0_0000 + payload)).is_nan());
        }
    }

    #[test]
    fn sigmoid_is_accurate_and_saturates() {
        let error = worst(-80.0, 30.0, sigmoid, |x| 1.0 / (1.0 + libm::exp(-x)));
        println!("sigmoid: relative error {error:.3e}");
        assert!(error < 3e-7);
        assert_eq!(sigmoid(100.0).to_bits(), 1.0_f32.to_bits());
        assert_eq!(sigmoid(-200.0).to_bits(), 0.0_f32.to_bits());
        assert!(sigmoid(f32::NAN).is_nan());
    }
}
