//! Root-mean-square normalization with a gain.
//!
//! **Shapes.** x, y `[T, C]`; gain `[C]`; reciprocal_rms `[T]`. T positions, C width.
//!
//! **Forward.** Per row: r = (mean(x²) + ε)^(-1/2), y_c = x_c r g_c.
//!
//! **Backward.** With h_c = dy_c g_c: dg_c = Σ_t dy_c x_c r. As ∂r/∂x_c = -r³ x_c / C,
//! dx_c = r h_c + (Σ_j h_j x_j) ∂r/∂x_c = r (h_c - x_c r² mean(h x)).
//!
//! **Saved for backward.** reciprocal_rms; x is saved by the caller. y is not needed.
//!
//! **Cost.** Forward 4 T C FLOPs, 8 T C bytes; backward 9 T C FLOPs, 16 T C bytes.
//!
//! **Precision.** Sums over a row in f32 in 16 interleaved lanes and then a fixed tree, so that
//! the bits do not depend on the instruction set.

mod cpu;

use crate::isa::Kernels;

/// y = rmsnorm(x) gain, and the reciprocal root mean square of each row; both are overwritten.
pub fn forward(
    kernels: Kernels,
    x: &[f32],
    gain: &[f32],
    epsilon: f32,
    y: &mut [f32],
    reciprocal_rms: &mut [f32],
) {
    check_shapes(gain, reciprocal_rms, [x, y]);
    cpu::forward(kernels, x, gain, epsilon, y, reciprocal_rms);
}

/// Adds the gradients of x to `dx` and those of the gain to `dgain`.
pub fn backward(
    kernels: Kernels,
    x: &[f32],
    gain: &[f32],
    reciprocal_rms: &[f32],
    dy: &[f32],
    dx: &mut [f32],
    dgain: &mut [f32],
) {
    check_shapes(gain, reciprocal_rms, [x, dy]);
    assert_eq!(dx.len(), x.len(), "dx and x differ in size");
    assert_eq!(dgain.len(), gain.len(), "dgain and gain differ in size");
    cpu::backward(kernels, x, gain, reciprocal_rms, dy, dx, dgain);
}

fn check_shapes(gain: &[f32], reciprocal_rms: &[f32], matrices: [&[f32]; 2]) {
    let (positions, width) = (reciprocal_rms.len(), gain.len());
    for matrix in matrices {
        assert_eq!(matrix.len(), positions * width, "not a matrix of [{positions}, {width}]");
    }
}

/// The naive version in f64: the specification of the kernels.
pub mod reference {
    /// Returns y and the reciprocal root mean squares.
    pub fn forward(x: &[f64], gain: &[f64], epsilon: f64) -> (Vec<f64>, Vec<f64>) {
        let (mut y, mut reciprocal_rms) = (Vec::new(), Vec::new());
        for x in x.chunks_exact(gain.len()) {
            let mean = x.iter().map(|x| x * x).sum::<f64>() / gain.len() as f64;
            let r = 1.0 / (mean + epsilon).sqrt();
            y.extend(x.iter().zip(gain).map(|(x, gain)| x * r * gain));
            reciprocal_rms.push(r);
        }
        (y, reciprocal_rms)
    }

    /// Returns dx and dgain.
    pub fn backward(x: &[f64], gain: &[f64], epsilon: f64, dy: &[f64]) -> (Vec<f64>, Vec<f64>) {
        let width = gain.len();
        let (_, reciprocal_rms) = forward(x, gain, epsilon);
        let (mut dx, mut dgain) = (vec![0.0; x.len()], vec![0.0; width]);
        for (t, r) in reciprocal_rms.iter().enumerate() {
            let row = t * width;
            let product: f64 = (0..width).map(|c| dy[row + c] * gain[c] * x[row + c]).sum();
            for c in 0..width {
                let x = x[row + c];
                dx[row + c] = r * (dy[row + c] * gain[c] - x * r * r * product / width as f64);
                dgain[c] += dy[row + c] * x * r;
            }
        }
        (dx, dgain)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::isa::Precision;
    use crate::testing::{
        check, check_gradient, check_same_bits, kernels, sum_bound, values, wide,
    };

    const EPSILON: f32 = 1e-5;

    #[test]
    fn the_reference_has_the_right_gradient() {
        let (x, gain, dy) = (wide(&values(1, 21)), wide(&values(2, 7)), wide(&values(3, 21)));
        let (dx, dgain) = reference::backward(&x, &gain, 1e-5, &dy);
        let loss = |x: &[f64], gain: &[f64]| -> f64 {
            reference::forward(x, gain, 1e-5).0.iter().zip(&dy).map(|(y, dy)| y * dy).sum()
        };
        check_gradient("rmsnorm dx", &x, &dx, |x| loss(x, &gain));
        check_gradient("rmsnorm dgain", &gain, &dgain, |gain| loss(&x, gain));
    }

    /// Runs both directions, from gradients that are 1 before.
    fn run(kernels: Kernels, x: &[f32], gain: &[f32], dy: &[f32]) -> [Vec<f32>; 4] {
        let positions = x.len() / gain.len();
        let (mut y, mut r) = (vec![f32::NAN; x.len()], vec![f32::NAN; positions]);
        forward(kernels, x, gain, EPSILON, &mut y, &mut r);
        let (mut dx, mut dgain) = (vec![1.0; x.len()], vec![1.0; gain.len()]);
        backward(kernels, x, gain, &r, dy, &mut dx, &mut dgain);
        [y, r, dx, dgain]
    }

    #[test]
    fn kernels_follow_the_reference() {
        for (positions, width) in [(0, 5), (1, 1), (3, 7), (2, 33), (5, 65), (1, 127), (4, 128)] {
            let (x, dy) = (values(1, positions * width), values(2, positions * width));
            let gain = values(3, width);
            let (x64, gain64, dy64) = (wide(&x), wide(&gain), wide(&dy));
            let (y64, r64) = reference::forward(&x64, &gain64, f64::from(EPSILON));
            let (mut dx64, mut dgain64) =
                reference::backward(&x64, &gain64, f64::from(EPSILON), &dy64);
            dx64.iter_mut().chain(&mut dgain64).for_each(|gradient| *gradient += 1.0);
            let mut first: Option<[Vec<f32>; 4]> = None;
            for kernels in kernels(Precision::F32) {
                let what = format!("rmsnorm [{positions}, {width}] {}", kernels.isa().name());
                let results = run(kernels, &x, &gain, &dy);
                let [y, r, dx, dgain] = &results;
                check(&format!("{what} y"), y, &y64, |i| sum_bound(width, y64[i].abs()));
                check(&format!("{what} r"), r, &r64, |i| sum_bound(width, r64[i].abs()));
                // Each dx is a difference of two terms of about the size of r (|dy gain| + |x|).
                check(&format!("{what} dx"), dx, &dx64, |i| {
                    let scale = (dy64[i] * gain64[i % width]).abs() + 3.0 * x64[i].abs();
                    sum_bound(width, r64[i / width] * scale + 1.0)
                });
                check(&format!("{what} dgain"), dgain, &dgain64, |c| {
                    let terms = |t: usize| (dy64[t * width + c] * y64[t * width + c]).abs();
                    let sum: f64 = (0..positions).map(terms).sum();
                    sum_bound(positions, sum / gain64[c].abs() + 1.0)
                });
                let first = first.get_or_insert(results.clone());
                for (result, first) in results.iter().zip(first) {
                    check_same_bits(&what, result, first);
                }
            }
        }
    }
}
