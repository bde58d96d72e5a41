//! The vectorized kernels of root-mean-square normalization.

use crate::isa::multiversion;
use crate::reduce::{dot, dot3};

multiversion! {
    pub(super) fn forward(
        x: &[f32],
        gain: &[f32],
        epsilon: f32,
        y: &mut [f32],
        reciprocal_rms: &mut [f32],
    ) {
        let width = gain.len();
        for (t, r) in reciprocal_rms.iter_mut().enumerate() {
            let x = &x[t * width..][..width];
            let y = &mut y[t * width..][..width];
            *r = 1.0 / (dot(x, x) / width as f32 + epsilon).sqrt();
            for ((y, x), gain) in y.iter_mut().zip(x).zip(gain) {
                *y = x * *r * gain;
            }
        }
    }
}

multiversion! {
    pub(super) fn backward(
        x: &[f32],
        gain: &[f32],
        reciprocal_rms: &[f32],
        dy: &[f32],
        dx: &mut [f32],
        dgain: &mut [f32],
    ) {
        let width = gain.len();
        for (t, r) in reciprocal_rms.iter().enumerate() {
            let x = &x[t * width..][..width];
            let dy = &dy[t * width..][..width];
            let dx = &mut dx[t * width..][..width];
            let product = dot3(dy, gain, x);
            let scale = product * r * r / width as f32;
            for (i, dx) in dx.iter_mut().enumerate() {
                *dx = r.mul_add(dy[i].mul_add(gain[i], -x[i] * scale), *dx);
                dgain[i] = dy[i].mul_add(x[i] * r, dgain[i]);
            }
        }
    }
}
