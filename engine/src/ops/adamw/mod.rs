//! The AdamW step, and the sums over parameters that surround it.
//!
//! **Shapes.** Parameters w, moments m and v, gradient g: slices of one length, any part of a
//! tensor.
//!
//! **Forward.** With g' = s g, where s is the gradient scale (mean over tokens, clipping):
//! m ← β₁ m + (1 - β₁) g', v ← β₂ v + (1 - β₂) g'²,
//! w ← w - lr (m / c₁ / (√(v / c₂) + ε) + λ w), with the bias corrections c = 1 - β^step.
//! This is AdamW as in Optax and Levanter: ε outside of the root, decay λ scaled by lr.
//!
//! **Backward.** None.
//!
//! **Saved for backward.** m and v are the optimizer's state.
//!
//! **Cost.** 15 FLOPs and 28 bytes for each parameter: bound by memory.
//!
//! **Precision.** f32, elementwise, divisions and roots correctly rounded.

mod cpu;

use crate::isa::Kernels;

/// The numbers of one optimizer step.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Update {
    /// The learning rate of this step.
    pub lr: f32,
    /// The decay of the first moment.
    pub beta1: f32,
    /// The decay of the second moment.
    pub beta2: f32,
    /// Added to the root of the second moment.
    pub epsilon: f32,
    /// The weight decay λ; with 0 its term is left out.
    pub weight_decay: f32,
    /// 1 - beta1^step, steps counted from 1.
    pub bias_correction1: f32,
    /// 1 - beta2^step.
    pub bias_correction2: f32,
    /// What the gradient is multiplied with first.
    pub gradient_scale: f32,
}

/// One step: updates `w`, `m` and `v` from the gradient `g`.
pub fn step(
    kernels: Kernels,
    w: &mut [f32],
    m: &mut [f32],
    v: &mut [f32],
    g: &[f32],
    update: &Update,
) {
    let lengths = [w.len(), m.len(), v.len(), g.len()];
    assert!(lengths.iter().all(|len| *len == g.len()), "w, m, v, g differ in size: {lengths:?}");
    cpu::step(kernels, w, m, v, g, update);
}

/// The sum of squares, in f64, in an order that depends on the length only.
pub fn sum_squares(kernels: Kernels, values: &[f32]) -> f64 {
    cpu::sum_squares(kernels, values)
}

/// Whether no value is infinite or not a number.
#[must_use]
pub fn all_finite(kernels: Kernels, values: &[f32]) -> bool {
    cpu::all_finite(kernels, values)
}

/// Adds `source` to `sum`, elementwise: the reduction over lanes.
pub fn add_assign(kernels: Kernels, sum: &mut [f32], source: &[f32]) {
    assert_eq!(sum.len(), source.len(), "sum and source differ in size");
    cpu::add_assign(kernels, sum, source);
}

/// The naive version in f64: the specification of the kernels.
pub mod reference {
    use super::Update;

    /// The new [w, m, v] of one parameter.
    pub fn step([w, m, v]: [f64; 3], g: f64, update: &Update) -> [f64; 3] {
        let (beta1, beta2) = (f64::from(update.beta1), f64::from(update.beta2));
        let g = g * f64::from(update.gradient_scale);
        let m = beta1 * m + (1.0 - beta1) * g;
        let v = beta2 * v + (1.0 - beta2) * g * g;
        let root = (v / f64::from(update.bias_correction2)).sqrt() + f64::from(update.epsilon);
        let direction = m / f64::from(update.bias_correction1) / root;
        let decay = f64::from(update.weight_decay) * w;
        [w - f64::from(update.lr) * (direction + decay), m, v]
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::isa::Precision;
    use crate::testing::{check, check_same_bits, kernels, sum_bound, values, wide};

    #[test]
    fn kernels_follow_the_reference_over_some_steps() {
        for len in [0, 1, 7, 33, 127] {
            let mut first: Option<[Vec<f32>; 3]> = None;
            for kernels in kernels(Precision::F32) {
                let mut state = [values(1, len), vec![0.0; len], vec![0.0; len]];
                let mut expected = state.clone().map(|values| wide(&values));
                for step_number in 1..=4 {
                    let update = Update {
                        lr: 1e-2,
                        beta1: 0.9,
                        beta2: 0.95,
                        epsilon: 1e-8,
                        weight_decay: if step_number == 3 { 0.0 } else { 0.1 },
                        bias_correction1: 1.0 - 0.9_f32.powi(step_number),
                        bias_correction2: 1.0 - 0.95_f32.powi(step_number),
                        gradient_scale: 0.5,
                    };
                    let g = values(10 + step_number as u64, len);
                    let [w, m, v] = &mut state;
                    step(kernels, w, m, v, &g, &update);
                    let [w64, m64, v64] = &mut expected;
                    for i in 0..len {
                        let before = [w64[i], m64[i], v64[i]];
                        [w64[i], m64[i], v64[i]] =
                            reference::step(before, f64::from(g[i]), &update);
                    }
                }
                for (name, (actual, expected)) in
                    ["w", "m", "v"].iter().zip(state.iter().zip(&expected))
                {
                    check(&format!("adamw {name}"), actual, expected, |_| sum_bound(4, 1.0));
                }
                let first = first.get_or_insert(state.clone());
                for (state, first) in state.iter().zip(first) {
                    check_same_bits("adamw", state, first);
                }
            }
        }
    }

    #[test]
    fn one_bad_value_is_seen_wherever_it_stands() {
        for kernels in kernels(Precision::F32) {
            for len in [1, 7, 16, 33, 127] {
                let mut values = values(3, len);
                values[len / 2] = f32::MAX;
                assert!(all_finite(kernels, &values) && all_finite(kernels, &[]));
                for (at, bad) in [(0, f32::NAN), (len / 2, -f32::INFINITY), (len - 1, -f32::NAN)] {
                    let good = std::mem::replace(&mut values[at], bad);
                    assert!(!all_finite(kernels, &values), "{bad} at {at} of {len}");
                    values[at] = good;
                }
            }
        }
    }

    #[test]
    fn sums_are_exact_where_they_can_be() {
        for len in [0, 1, 7, 33, 1025] {
            let integers: Vec<f32> = (0..len).map(|i| i as f32 - 100.0).collect();
            let expected: f64 = integers.iter().map(|x| f64::from(*x).powi(2)).sum();
            for kernels in kernels(Precision::F32) {
                assert_eq!(sum_squares(kernels, &integers).to_bits(), expected.abs().to_bits());
                let mut sum = integers.clone();
                add_assign(kernels, &mut sum, &integers);
                assert!(
                    sum.iter().zip(&integers).all(|(sum, x)| sum.to_bits() == (2.0 * x).to_bits())
                );
            }
        }
    }

    #[test]
    fn sums_of_squares_have_the_same_bits_everywhere() {
        let values = values(1, 1003);
        let sums: Vec<u64> =
            kernels(Precision::F32).iter().map(|k| sum_squares(*k, &values).to_bits()).collect();
        assert!(sums.iter().all(|sum| *sum == sums[0]), "{sums:?}");
    }
}
