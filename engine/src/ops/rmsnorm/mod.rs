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
