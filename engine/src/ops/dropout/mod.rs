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

/// The naive version in f64: the specification of the kernels.
pub mod reference {
    use super::{Mask, philox};

    /// The factor of one element of the batch.
    pub fn factor(mask: &Mask, element: u64) -> f64 {
        let block = element / 4;
        let counter = [block as u32, (block >> 32) as u32, mask.place[0], mask.place[1]];
        let bits = philox(counter, mask.key)[(element % 4) as usize];
        let dropped = f64::from(bits) < (mask.rate * 2_f64.powi(32)).floor();
        if dropped { 0.0 } else { 1.0 / (1.0 - mask.rate) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::isa::Precision;
    use crate::testing::{check, check_same_bits, kernels, sum_bound, values};

    #[test]
    fn kernels_follow_the_reference_from_any_element() {
        let mask = Mask::new(0.3, 1 << 40, 17, 3, 2);
        for first in [0, 1, 2, 3, 4, 65, (1 << 34) - 2] {
            for count in [0, 1, 2, 7, 33, 65] {
                let before = values(1, count);
                let factors = (0..count).map(|i| reference::factor(&mask, first + i as u64));
                let expected: Vec<f64> =
                    factors.zip(&before).map(|(factor, x)| factor * f64::from(*x)).collect();
                let mut earlier: Option<Vec<f32>> = None;
                for kernels in kernels(Precision::F32) {
                    let mut dropped = before.clone();
                    apply(kernels, &mask, first, &mut dropped);
                    check("dropout", &dropped, &expected, |i| sum_bound(1, expected[i].abs()));
                    check_same_bits("dropout", &dropped, earlier.get_or_insert(dropped.clone()));
                }
            }
        }
    }

    #[test]
    fn the_share_of_dropped_elements_is_the_rate_and_masks_differ() {
        let kernels = kernels(Precision::F32)[0];
        let masks = [(1, 1, 0, 0), (2, 1, 0, 0), (1, 2, 0, 0), (1, 1, 1, 0), (1, 1, 0, 1)];
        let draw = |(seed, step, layer, site)| {
            let mut values = vec![1.0; 20_000];
            apply(kernels, &Mask::new(0.25, seed, step, layer, site), 0, &mut values);
            values
        };
        let all: Vec<Vec<f32>> = masks.into_iter().map(draw).collect();
        for (i, values) in all.iter().enumerate() {
            let dropped = values.iter().filter(|x| **x < 0.5).count();
            assert!((4700..5300).contains(&dropped), "{dropped} of 20000 dropped");
            assert!(all[..i].iter().all(|earlier| earlier != values), "two equal masks");
        }
    }

    #[test]
    fn rate_zero_keeps_the_bits() {
        let mut values = values(1, 9);
        let before = values.clone();
        apply(kernels(Precision::F32)[0], &Mask::new(0.0, 1, 2, 3, 4), 5, &mut values);
        check_same_bits("dropout 0", &values, &before);
    }
}
