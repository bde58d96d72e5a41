//! The vectorized kernels of the gated activation.

use crate::isa::multiversion;
use crate::math::sigmoid;

multiversion! {
    pub(super) fn forward(width: usize, gate_up: &[f32], out: &mut [f32]) {
        for (out, row) in out.chunks_exact_mut(width).zip(gate_up.chunks_exact(2 * width)) {
            let (gate, up) = row.split_at(width);
            for ((out, gate), up) in out.iter_mut().zip(gate).zip(up) {
                *out = gate * sigmoid(*gate) * up;
            }
        }
    }
}

multiversion! {
    pub(super) fn backward(
        width: usize,
        gate_up: &[f32],
        dout: &[f32],
        dgate_up: &mut [f32],
        out: &mut [f32],
    ) {
        let rows = gate_up.chunks_exact(2 * width).zip(dgate_up.chunks_exact_mut(2 * width));
        let rows = rows.zip(dout.chunks_exact(width).zip(out.chunks_exact_mut(width)));
        for ((row, drow), (dout, out)) in rows {
            let (gate, up) = row.split_at(width);
            let (dgate, dup) = drow.split_at_mut(width);
            for i in 0..width {
                let sigma = sigmoid(gate[i]);
                let silu = gate[i] * sigma;
                out[i] = silu * up[i];
                dup[i] = dout[i] * silu;
                dgate[i] = dout[i] * up[i] * silu.mul_add(1.0 - sigma, sigma);
            }
        }
    }
}
