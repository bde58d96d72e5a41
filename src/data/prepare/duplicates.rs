//! Text that the training split shares with the held-out splits and with each side set.
//!
//! A shingle is a run of eight words (of twelve tokens, for token files), without regard to case
//! and punctuation. The shingles of the held-out text are indexed, and the training text is passed
//! by once. The index is bounded: beyond its bound only shingles with small hashes are kept, which
//! is a fair sample of both sides.

use std::marker::PhantomData;

use crate::data::corpus::Duplicates;
use crate::data::hash::{fold, mix};
use crate::data::input::Content;

/// Shingles that are indexed at most: 64 MB.
const ENTRIES_MAX: usize = 4 << 20;

/// Bits of the filter that answers most lookups: 8 MB.
const FILTER_BITS: usize = 1 << 26;

/// The held-out text, then what the training text shares with it.
pub(super) struct DuplicateFinder<C> {
    entries_max: usize,
    /// Shingles with larger hashes are not kept.
    threshold: u64,
    /// (hash of a shingle, number of its document); sorted once the held-out text is complete.
    entries: Vec<(u64, u32)>,
    found: Vec<bool>,
    filter: Vec<u64>,
    /// Shingles of the piece of training text that is looked up; empty between the calls.
    hashes: Vec<u64>,
    /// Hash of each held-out document, by number.
    documents: Vec<u64>,
    /// Whether each is also a training document.
    exact: Vec<bool>,
    /// First document of each set that is reported on: the held-out splits together, then each side
    /// set.
    sets: Vec<usize>,
    /// The numbers of the documents, sorted by hash, for lookup.
    by_key: Vec<u32>,
    content: PhantomData<C>,
}

impl<C: Content> DuplicateFinder<C> {
    pub(super) fn new() -> Self {
        Self::with_bound(ENTRIES_MAX)
    }

    fn with_bound(entries_max: usize) -> Self {
        Self {
            entries_max,
            threshold: u64::MAX,
            // Growth by doubling would take twice the room that is needed in the end.
            entries: Vec::with_capacity(entries_max + entries_max / 8),
            found: Vec::new(),
            filter: Vec::new(),
            hashes: Vec::new(),
            documents: Vec::new(),
            exact: Vec::new(),
            sets: vec![0],
            by_key: Vec::new(),
            content: PhantomData,
        }
    }

    /// What is indexed from here on belongs to a new set.
    pub(super) fn start_set(&mut self) {
        self.sets.push(self.documents.len());
    }

    /// Indexes a piece of held-out text.
    pub(super) fn held_out(&mut self, key: u64, starts_document: bool, content: &C) {
        if starts_document || self.documents.is_empty() {
            self.documents.push(key);
        }
        let document = self.documents.len() as u32 - 1;
        let mut new = Vec::new();
        each_shingle(content, self.threshold, &mut |hash| new.push((hash, document)));
        self.entries.append(&mut new);
        while self.entries.len() > self.entries_max {
            self.threshold /= 2;
            let threshold = self.threshold;
            self.entries.retain(|&(hash, _)| hash <= threshold);
        }
    }

    /// All held-out text was indexed: prepares for lookups.
    pub(super) fn seal(&mut self) {
        self.entries.sort_unstable();
        self.entries.dedup();
        self.found = vec![false; self.entries.len()];
        self.filter = vec![0; FILTER_BITS / 64];
        for &(hash, _) in &self.entries {
            let bit = filter_bit(hash);
            self.filter[bit / 64] |= 1 << (bit % 64);
        }
        self.exact = vec![false; self.documents.len()];
        self.by_key = (0..self.documents.len() as u32).collect();
        self.by_key.sort_unstable_by_key(|&document| self.documents[document as usize]);
    }

    /// Looks a piece of training text up.
    pub(super) fn training(&mut self, key: u64, starts_document: bool, content: &C) {
        if starts_document {
            let key_of = |document: u32| self.documents[document as usize];
            let from = self.by_key.partition_point(|&document| key_of(document) < key);
            let equal = self.by_key[from..].iter().take_while(|&&document| key_of(document) == key);
            equal.for_each(|&document| self.exact[document as usize] = true);
        }
        let Self { entries, found, filter, hashes, .. } = self;
        each_shingle(content, self.threshold, &mut |hash| hashes.push(hash));
        // Every look at the filter misses the caches. In a loop of their own, they do so several
        // at a time.
        hashes.retain(|&hash| {
            let bit = filter_bit(hash);
            filter[bit / 64] >> (bit % 64) & 1 == 1
        });
        for hash in hashes.drain(..) {
            let from = entries.partition_point(|&(other, _)| other < hash);
            // All equal entries are found together, and a text that repeats itself looks for the
            // same ones again and again.
            if found.get(from) == Some(&false) {
                let equal = entries[from..].iter().take_while(|&&(other, _)| other == hash).count();
                found[from..from + equal].fill(true);
            }
        }
    }

    /// What was shared, set by set.
    pub(super) fn report(&self) -> Vec<Duplicates> {
        let mut shingles = vec![(0_u32, 0_u32); self.documents.len()];
        for (&(_, document), &found) in self.entries.iter().zip(&self.found) {
            let (all, shared) = &mut shingles[document as usize];
            *all += 1;
            *shared += u32::from(found);
        }
        let ends = self.sets[1..].iter().copied().chain([self.documents.len()]);
        let sets = self.sets.iter().zip(ends).map(|(&start, end)| start..end);
        sets.map(|set| of_set(&self.exact[set.clone()], &shingles[set])).collect()
    }
}

/// What the documents of a set share. Of each comes whether it is also a training document, and
/// the numbers of its shingles, all of them and the shared ones.
fn of_set(exact: &[bool], shingles: &[(u32, u32)]) -> Duplicates {
    let exact_documents = exact.iter().filter(|&&exact| exact).count() as u64;
    let near = |(&exact, &(all, shared)): (&bool, &(u32, u32))| {
        !exact && all > 0 && u64::from(shared) * 2 >= u64::from(all)
    };
    let near_documents = exact.iter().zip(shingles).filter(|&pair| near(pair)).count() as u64;
    let all: u64 = shingles.iter().map(|&(all, _)| u64::from(all)).sum();
    let shared: u64 = shingles.iter().map(|&(_, shared)| u64::from(shared)).sum();
    Duplicates {
        held_out_documents: exact.len() as u64,
        exact_documents,
        near_documents,
        shared_shingles: shared as f64 / all.max(1) as f64,
    }
}

fn filter_bit(hash: u64) -> usize {
    // Small hashes are all there are when the threshold is low: mix their bits anew.
    mix(hash) as usize % FILTER_BITS
}

/// Calls `visit` with the hash of every run of words, if it is at most `threshold`.
fn each_shingle<C: Content>(content: &C, threshold: u64, visit: &mut dyn FnMut(u64)) {
    let mut window = vec![0; C::SHINGLE_WORDS];
    let mut words = 0;
    content.each_word(&mut |word| {
        window[words % C::SHINGLE_WORDS] = word;
        words += 1;
        if words >= C::SHINGLE_WORDS {
            let oldest = words % C::SHINGLE_WORDS;
            let (late, early) = window.split_at(oldest);
            let hash = early.iter().chain(late).fold(0, |hash, &word| fold(hash, word));
            if hash <= threshold {
                visit(hash);
            }
        }
    });
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text(seed: u64, words: u64) -> String {
        (0..words).map(|n| format!("word{} ", fold(seed, n) % 5000)).collect()
    }

    fn find(bound: usize, held_out: &[String], training: &[String]) -> Duplicates {
        let mut finder = DuplicateFinder::with_bound(bound);
        held_out.iter().for_each(|text| finder.held_out(text.key(), true, text));
        finder.seal();
        training.iter().for_each(|text| finder.training(text.key(), true, text));
        let [report] = finder.report()[..] else { panic!("there is one set") };
        report
    }

    #[test]
    fn exact_and_near_duplicates_are_counted_apart() {
        let held_out: Vec<String> = (0..10).map(|seed| text(seed, 200)).collect();
        let mut training: Vec<String> = (100..200).map(|seed| text(seed, 200)).collect();
        training.push(held_out[3].clone());
        // Near: another start, other case and punctuation, the same long tail.
        training.push(format!("New start! {}", held_out[5].to_uppercase().replace(' ', ", ")));
        // A third of a text is not near.
        training.push(held_out[7][..held_out[7].len() / 3].to_owned());
        let report = find(ENTRIES_MAX, &held_out, &training);
        assert_eq!((report.held_out_documents, report.exact_documents), (10, 1));
        assert_eq!(report.near_documents, 1);
        assert!((report.shared_shingles - 2.33 / 10.0).abs() < 0.01, "{report:?}");
        // A bounded index sees a sample of the same.
        let sampled = find(300, &held_out, &training);
        assert_eq!((sampled.exact_documents, sampled.near_documents), (1, 1));
        assert!((sampled.shared_shingles - 0.233).abs() < 0.1, "{sampled:?}");
    }

    #[test]
    fn texts_that_share_nothing_share_nothing() {
        let held_out: Vec<String> = (0..20).map(|seed| text(seed, 100)).collect();
        let training: Vec<String> = (100..200).map(|seed| text(seed, 100)).collect();
        let report = find(ENTRIES_MAX, &held_out, &training);
        assert_eq!((report.exact_documents, report.near_documents), (0, 0));
        assert!(report.shared_shingles < 1e-9);
    }

    #[test]
    fn each_set_is_reported_apart() {
        let texts: Vec<String> = (0..6).map(|seed| text(seed, 200)).collect();
        let mut finder = DuplicateFinder::new();
        for (index, text) in texts.iter().enumerate() {
            finder.held_out(text.key(), true, text);
            if index % 2 == 1 {
                finder.start_set();
            }
        }
        finder.seal();
        for text in [&texts[2], &texts[0], &texts[3]] {
            finder.training(text.key(), true, text);
        }
        let sets: Vec<_> = finder.report();
        let counts = sets.iter().map(|set| (set.held_out_documents, set.exact_documents));
        assert_eq!(counts.collect::<Vec<_>>(), [(2, 1), (2, 2), (2, 0), (0, 0)]);
        assert!((sets[0].shared_shingles - 0.5).abs() < 0.01, "{sets:?}");
        assert!((sets[1].shared_shingles - 1.0).abs() < 1e-9 && sets[2].shared_shingles < 1e-9);
    }

    #[test]
    fn short_documents_are_compared_whole() {
        let short = vec!["too short".to_owned()];
        assert_eq!(find(9, &short, &short).exact_documents, 1);
        assert_eq!(find(9, &short, &["too long".to_owned()]).exact_documents, 0);
    }
}
