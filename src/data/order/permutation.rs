//! Permutations of 0..n that need no table: any entry in O(1), for any n and any 64-bit key.
//!
//! The order of training is a pure function `order(seed, epoch, index)`, so that resume needs no
//! loader state. A table of n entries would do the same, but not in constant memory, and a loader
//! that must shuffle before its first step would not start at once.
//!
//! **Construction.** Write i < a·b as (i div b, i mod b) with a = ⌈√n⌉ and b = ⌈n/a⌉, and add a
//! keyed hash of one half to the other, in turns (a Feistel network with addition modulo a and b).
//! Each round can be undone, so the whole is a bijection of 0..a·b. The grid exceeds n by less than
//! √n + 1 cells; an entry that lands outside 0..n is sent through again (cycle walking), which
//! keeps the bijection and needs one extra pass with probability below about 1/√n.

use crate::data::hash::{below, fold, mix};

/// Enough for halves of one or two values, where fewer rounds leave visible patterns; the cost is
/// nothing beside reading a sequence.
const ROUNDS: u64 = 10;

/// A keyed permutation of 0..n.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Permutation {
    key: u64,
    length: u64,
    rows: u64,
    columns: u64,
}

impl Permutation {
    /// The permutation of `0..length` that belongs to `key`.
    ///
    /// # Panics
    /// If `length` is zero or above 2^62 (no corpus has that many sequences).
    #[must_use]
    pub fn new(key: u64, length: u64) -> Self {
        assert!(length >= 1, "a permutation needs at least one entry");
        assert!(length <= 1 << 62, "{length} entries would overflow the grid");
        let root = length.isqrt();
        let rows = root + u64::from(root * root < length);
        Self { key: mix(key), length, rows, columns: length.div_ceil(rows) }
    }

    /// The number of entries.
    #[must_use]
    #[expect(clippy::len_without_is_empty, reason = "a permutation is never empty")]
    pub fn len(&self) -> u64 {
        self.length
    }

    /// Entry `index`: every value of `0..len()` exactly once as `index` runs through them.
    ///
    /// # Panics
    /// If `index` is not below the length.
    #[must_use]
    pub fn at(&self, index: u64) -> u64 {
        assert!(index < self.length, "entry {index} of a permutation of {}", self.length);
        let mut cell = self.shuffle(index);
        while cell >= self.length {
            cell = self.shuffle(cell);
        }
        cell
    }

    /// A bijection of the grid `0..rows * columns`.
    fn shuffle(&self, cell: u64) -> u64 {
        let (mut row, mut column) = (cell / self.columns, cell % self.columns);
        for round in 0..ROUNDS {
            let round_key = fold(self.key, round);
            if round % 2 == 0 {
                row = (row + below(fold(round_key, column), self.rows)) % self.rows;
            } else {
                column = (column + below(fold(round_key, row), self.columns)) % self.columns;
            }
        }
        row * self.columns + column
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check_bijection(key: u64, length: u64) {
        let permutation = Permutation::new(key, length);
        let mut seen = vec![false; length as usize];
        for index in 0..length {
            let image = permutation.at(index) as usize;
            assert!(!seen[image], "length {length}, key {key}: {image} came twice");
            seen[image] = true;
        }
    }

    #[test]
    fn every_length_gives_a_bijection() {
        (1..=260).for_each(|length| check_bijection(length * 31, length));
        for (key, length) in [(0, 1023), (1, 1024), (2, 1025), (u64::MAX, 9_999), (7, 65_537)] {
            check_bijection(key, length);
        }
    }

    #[test]
    fn huge_lengths_stay_inside() {
        for length in [(1 << 62) - 1, 1 << 62, (1 << 61) + 12_345] {
            let permutation = Permutation::new(3, length);
            for index in [0, 1, length / 2, length - 1] {
                assert!(permutation.at(index) < length);
            }
        }
    }

    /// Frozen: changing a permutation would silently change the meaning of every spec.
    #[test]
    fn entries_are_those_of_the_first_release() {
        let permutation = Permutation::new(42, 10);
        let entries: Vec<u64> = (0..10).map(|index| permutation.at(index)).collect();
        assert_eq!(entries, [5, 1, 0, 2, 6, 3, 9, 7, 4, 8]);
        assert_eq!(Permutation::new(7, 51_200).at(12_345), 39_199);
    }

    /// Over many keys each entry is uniform, and so is each ordered pair of entries: chi-square
    /// within five standard deviations.
    #[test]
    fn entries_and_pairs_are_uniform_over_keys() {
        for length in [2_u64, 3, 5, 8, 13] {
            let size = length as usize;
            let keys = 4_000;
            let mut single = vec![0_u64; size * size];
            let mut pairs = vec![0_u64; size * size];
            for key in 0..keys {
                let permutation = Permutation::new(key, length);
                let images: Vec<usize> =
                    (0..length).map(|index| permutation.at(index) as usize).collect();
                for (index, &image) in images.iter().enumerate() {
                    single[index * size + image] += 1;
                }
                pairs[images[0] * size + images[size - 1]] += 1;
            }
            let deviations = |counts: &[u64], expected: f64, cells: f64| {
                let statistic: f64 =
                    counts.iter().map(|&c| (c as f64 - expected).powi(2) / expected).sum();
                (statistic - cells) / (2.0 * cells).sqrt()
            };
            let n = length as f64;
            let uniform = deviations(&single, f64::from(keys as u32) / n, (n - 1.0) * (n - 1.0));
            assert!(uniform < 5.0, "length {length}: {uniform} standard deviations");
            let off_diagonal: Vec<u64> = (0..size * size)
                .filter(|cell| cell / size != cell % size)
                .map(|cell| pairs[cell])
                .collect();
            let cells = n * (n - 1.0);
            let paired = deviations(&off_diagonal, f64::from(keys as u32) / cells, cells - 1.0);
            assert!(paired < 5.0, "length {length}: pairs {paired} standard deviations");
        }
    }
}
