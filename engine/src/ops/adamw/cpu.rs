//! The vectorized kernels of the optimizer.

use super::Update;
use crate::isa::multiversion;

multiversion! {
    pub(super) fn step(w: &mut [f32], m: &mut [f32], v: &mut [f32], g: &[f32], update: &Update) {
        let u = *update;
        let (fresh1, fresh2) = (1.0 - u.beta1, 1.0 - u.beta2);
        for (((w, m), v), g) in w.iter_mut().zip(m).zip(v).zip(g) {
            let g = g * u.gradient_scale;
            *m = u.beta1.mul_add(*m, fresh1 * g);
            *v = u.beta2.mul_add(*v, fresh2 * g * g);
            let direction =
                (*m / u.bias_correction1) / ((*v / u.bias_correction2).sqrt() + u.epsilon);
            *w = (-u.lr).mul_add(u.weight_decay.mul_add(*w, direction), *w);
        }
    }
}

multiversion! {
    pub(super) fn sum_squares(values: &[f32]) -> f64 {
        const LANES: usize = 16;
        let mut sums = [0.0_f64; LANES];
        let (chunks, rest) = values.as_chunks::<LANES>();
        for chunk in chunks {
            for (sum, x) in sums.iter_mut().zip(chunk) {
                // The square of an f32 is exact in f64, so fusing would change nothing.
                *sum += f64::from(*x) * f64::from(*x);
            }
        }
        for (sum, x) in sums.iter_mut().zip(rest) {
            *sum += f64::from(*x) * f64::from(*x);
        }
        let mut half = LANES / 2;
        while half > 0 {
            for i in 0..half {
                sums[i] += sums[i + half];
            }
            half /= 2;
        }
        sums[0]
    }
}

multiversion! {
    pub(super) fn all_finite(values: &[f32]) -> bool {
        // All bits of the exponent are set. Counting has no order to keep, so it is vectorized.
        const EXPONENT: u32 = 0x7f80_0000;
        let bad = values.iter().map(|x| u32::from(x.to_bits() & EXPONENT == EXPONENT));
        bad.fold(0, |any, bad| any | bad) == 0
    }
}

multiversion! {
    pub(super) fn add_assign(sum: &mut [f32], source: &[f32]) {
        for (sum, source) in sum.iter_mut().zip(source) {
            *sum += source;
        }
    }
}
