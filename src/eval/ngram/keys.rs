//! Counts keys in memory proportional to the number of different keys, however many there are.

/// Below this many pending keys sorting costs more than it saves memory.
const PENDING_MIN: usize = 1 << 16;

/// Counts of 64-bit keys. New keys wait in a buffer, which is sorted and merged into the sorted
/// list of known ones whenever it has grown as long as that list.
#[derive(Default)]
pub(super) struct KeyCounts {
    known: Vec<(u64, u32)>,
    pending: Vec<u64>,
}

impl KeyCounts {
    /// Counts one more occurrence of `key`.
    pub(super) fn add(&mut self, key: u64) {
        self.pending.push(key);
        if self.pending.len() >= PENDING_MIN.max(self.known.len()) {
            self.merge();
        }
    }

    /// All keys with their counts, in ascending order.
    pub(super) fn finish(mut self) -> Vec<(u64, u32)> {
        self.merge();
        self.known
    }

    fn merge(&mut self) {
        self.pending.sort_unstable();
        let mut merged = Vec::with_capacity(self.known.len() + self.pending.len());
        let mut rest = self.known.as_slice();
        for run in self.pending.chunk_by(|a, b| a == b) {
            let key = run[0];
            let smaller = rest.iter().take_while(|(known, _)| *known < key).count();
            merged.extend_from_slice(&rest[..smaller]);
            rest = &rest[smaller..];
            let mut count = u32::try_from(run.len()).expect("a buffer is shorter than 2^32");
            if let Some(((known, before), later)) = rest.split_first()
                && *known == key
            {
                count = count.checked_add(*before).expect("fewer than 2^32 training tokens");
                rest = later;
            }
            merged.push((key, count));
        }
        merged.extend_from_slice(rest);
        self.known = merged;
        self.pending.clear();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn merging_in_between_changes_nothing() {
        let keys = (0..1000u64).map(|i| i * i * 7 % 131);
        let mut expected = std::collections::BTreeMap::new();
        let mut counts = KeyCounts::default();
        for (index, key) in keys.enumerate() {
            *expected.entry(key).or_insert(0) += 1;
            counts.add(key);
            if index % 170 == 0 {
                counts.merge();
            }
        }
        assert_eq!(counts.finish(), expected.into_iter().collect::<Vec<_>>());
    }

    #[test]
    fn memory_follows_the_different_keys() {
        let mut counts = KeyCounts::default();
        for index in 0..10 * PENDING_MIN as u64 {
            counts.add(index % 10);
            assert!(counts.pending.len() <= PENDING_MIN);
        }
        assert_eq!(counts.finish().len(), 10);
    }
}
