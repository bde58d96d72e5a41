//! Zeroing of random elements during training.
//!
//! **Shapes.** Any slice of values; `first_element` is the index of its first element in the
//! whole batch, so that every sequence of a step gets a mask of its own.
//!
//! **Forward.** Each element is kept with probability 1 - rate and then divided by it, else it
//! becomes zero. The mask is a pure function of (seed, step, layer, site, element): 32 bits of a
//! Philox block for each element. Nothing has to be stored, and a resumed run draws the same.
//!
//! **Backward.** The same function on the gradient: the mask is a constant factor.
//!
//! **Saved for backward.** Nothing; the mask is computed again.
//!
//! **Cost.** About 15 integer operations an element; rate 0 returns at once.
//!
//! **Precision.** The rate is rounded to a multiple of 2^-32.

use crate::isa::{Kernels, multiversion};
use crate::random::philox;

/// What determines the mask of one place in the model at one step.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Mask {
    rate: f64,
    key: [u32; 2],
    /// The upper half of the counter.
    place: [u32; 2],
}

impl Mask {
    /// The mask for dropping elements with probability `rate`, at optimizer step `step` below
    /// 2^32, in layer `layer` below 2^24 and there at the site `site` below 2^8.
    ///
    /// # Panics
    /// If the rate lies outside of [0, 1), or a number outside of its range.
    pub fn new(rate: f64, seed: u64, step: u64, layer: usize, site: usize) -> Mask {
        assert!((0.0..1.0).contains(&rate), "dropout rate {rate} is not in [0, 1)");
        assert!(layer < 1 << 24 && site < 1 << 8, "layer {layer} or site {site} out of range");
        let step = u32::try_from(step).expect("fewer than 2^32 steps");
        let place = [step, (layer << 8 | site) as u32];
        Mask { rate, key: [seed as u32, (seed >> 32) as u32], place }
    }
}

/// Multiplies `values` in place with the mask: forward on activations, backward on gradients.
pub fn apply(kernels: Kernels, mask: &Mask, first_element: u64, values: &mut [f32]) {
    if mask.rate > 0.0 {
        multiply(kernels, mask, first_element, values);
    }
}

multiversion! {
    fn multiply(mask: &Mask, first_element: u64, values: &mut [f32]) {
        let dropped_below = (mask.rate * 4_294_967_296.0) as u32;
        let scale = (1.0 / (1.0 - mask.rate)) as f32;
        // Four elements share a block. A slice may start inside of one.
        let skipped = (first_element % 4) as usize;
        let head = values.len().min((4 - skipped) % 4);
        let (head, body) = values.split_at_mut(head);
        let block = |index: u64| {
            philox([index as u32, (index >> 32) as u32, mask.place[0], mask.place[1]], mask.key)
        };
        let drop = |value: &mut f32, bits: u32| {
            *value = if bits < dropped_below { 0.0 } else { *value * scale };
        };
        let bits = block(first_element / 4);
        head.iter_mut().zip(&bits[skipped..]).for_each(|(value, bits)| drop(value, *bits));
        for (i, values) in body.chunks_mut(4).enumerate() {
            let bits = block(first_element.div_ceil(4) + i as u64);
            values.iter_mut().zip(bits).for_each(|(value, bits)| drop(value, bits));
        }
    }
}
