//! A seeded sample of the training text, to train the tokenizer on.
//!
//! Every piece of text has a place in an order that depends on its hash alone; the sample is what
//! comes first in it, up to a bound. So it does not depend on the order of files, and a text that
//! fits is taken whole.

use std::collections::BTreeMap;

use crate::data::hash::fold;

/// Bytes of text in a sample: more would change the merges little and cost time and memory.
pub(super) const SAMPLE_BYTES_MAX: usize = 64 << 20;

/// The pieces that come first so far.
pub(super) struct Sample {
    seed: u64,
    bytes_max: usize,
    bytes: usize,
    pieces: BTreeMap<(u64, u64), String>,
    offered: u64,
}

impl Sample {
    pub(super) fn new(seed: u64, bytes_max: usize) -> Self {
        Self { seed, bytes_max, bytes: 0, pieces: BTreeMap::new(), offered: 0 }
    }

    /// Offers a piece of text, whose document (or section) has this hash.
    pub(super) fn offer(&mut self, key: u64, text: &str) {
        self.offered += 1;
        let place = fold(fold(key, self.seed), text.len() as u64);
        let last = self.pieces.last_key_value().map(|(&(place, _), _)| place);
        if self.bytes >= self.bytes_max && last.is_some_and(|last| place > last) {
            return;
        }
        self.bytes += text.len();
        self.pieces.insert((place, self.offered), text.to_owned());
        while self.bytes > self.bytes_max && self.pieces.len() > 1 {
            let (_, dropped) = self.pieces.pop_last().expect("there are two");
            self.bytes -= dropped.len();
        }
    }

    /// The texts, in their order.
    pub(super) fn into_texts(self) -> impl ExactSizeIterator<Item = String> + Send {
        self.pieces.into_values()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_small_text_is_taken_whole() {
        let mut sample = Sample::new(1, 100);
        sample.offer(1, "one");
        sample.offer(2, "two");
        sample.offer(2, "two");
        assert_eq!(sample.bytes, 9);
        assert_eq!(sample.into_texts().len(), 3);
    }

    #[test]
    fn the_sample_is_bounded_and_does_not_depend_on_the_order() {
        let texts: Vec<String> =
            (0..500).map(|n| format!("text {n} {}", "x".repeat(n % 7))).collect();
        let take = |seed, order: &mut dyn Iterator<Item = usize>| {
            let mut sample = Sample::new(seed, 1000);
            order.for_each(|n| sample.offer(fold(3, n as u64), &texts[n]));
            assert!(sample.bytes <= 1000 && sample.bytes > 950);
            sample.into_texts().collect::<Vec<_>>()
        };
        let forward = take(1, &mut (0..500));
        assert_eq!(forward, take(1, &mut (0..500).rev()));
        assert_ne!(forward, take(2, &mut (0..500)));
    }
}
