//! A table from words to their tokens, for one thread.
//!
//! Text repeats its words: a hundred thousand distinct ones cover a library. Only the first
//! occurrence of a word goes through the crate; a table of our own (open addressing over two flat
//! arenas) answers the others without allocating.

/// Probes after which a word counts as unknown, so that no text can make the table slow.
const PROBES_MAX: usize = 16;

/// Words are rarely longer; a long one is likely to be unique.
const WORD_BYTES_MAX: usize = 64;

struct Entry {
    hash: u64,
    word: (u32, u32),
    tokens: (u32, u32),
}

/// Words and their tokens. Words stop being remembered when the table has its size; the frequent
/// ones come early.
pub(super) struct WordCache {
    bytes_max: usize,
    /// Indices into `entries` plus one; 0 is free. The length is a power of two.
    slots: Vec<u32>,
    entries: Vec<Entry>,
    words: Vec<u8>,
    tokens: Vec<u32>,
}

impl WordCache {
    /// An empty table that will take about this many bytes of memory.
    pub(super) fn with_bound(bytes_max: usize) -> Self {
        let (slots, entries, words, tokens) = (Vec::new(), Vec::new(), Vec::new(), Vec::new());
        Self { bytes_max, slots, entries, words, tokens }
    }

    /// Bytes of memory that are in use.
    fn bytes(&self) -> usize {
        let Self { slots, entries, words, tokens, .. } = self;
        4 * (slots.len() + tokens.len()) + words.len() + size_of::<Entry>() * entries.len()
    }

    /// The tokens of a word, if they are remembered.
    pub(super) fn get(&self, word: &str) -> Option<&[u32]> {
        let hash = hash(word.as_bytes());
        for slot in self.probes(hash) {
            let entry = &self.entries[self.slots[slot].checked_sub(1)? as usize];
            if entry.hash == hash && slice(&self.words, entry.word) == word.as_bytes() {
                return Some(slice(&self.tokens, entry.tokens));
            }
        }
        None
    }

    /// Remembers the tokens of a word that is not in the table, if there is room.
    pub(super) fn insert(&mut self, word: &str, tokens: &[u32]) {
        if word.len() > WORD_BYTES_MAX || self.bytes() > self.bytes_max {
            return;
        }
        if self.entries.len() * 2 >= self.slots.len() {
            self.grow();
        }
        let hash = hash(word.as_bytes());
        let entry = Entry {
            hash,
            word: (self.words.len() as u32, word.len() as u32),
            tokens: (self.tokens.len() as u32, tokens.len() as u32),
        };
        if let Some(slot) = self.free_slot(hash) {
            self.words.extend_from_slice(word.as_bytes());
            self.tokens.extend_from_slice(tokens);
            self.entries.push(entry);
            self.slots[slot] = self.entries.len() as u32;
        }
    }

    fn grow(&mut self) {
        self.slots = vec![0; (self.slots.len() * 2).max(1 << 12)];
        for index in 0..self.entries.len() {
            if let Some(slot) = self.free_slot(self.entries[index].hash) {
                self.slots[slot] = index as u32 + 1;
            }
        }
    }

    fn free_slot(&self, hash: u64) -> Option<usize> {
        self.probes(hash).find(|&slot| self.slots[slot] == 0)
    }

    /// The slots in which a word of this hash may lie, in order.
    fn probes(&self, hash: u64) -> impl Iterator<Item = usize> + use<> {
        let mask = self.slots.len().wrapping_sub(1);
        let count = PROBES_MAX.min(self.slots.len());
        (0..count).map(move |probe| (hash as usize).wrapping_add(probe) & mask)
    }
}

fn slice<T>(arena: &[T], (start, length): (u32, u32)) -> &[T] {
    &arena[start as usize..start as usize + length as usize]
}

/// Eight bytes at a time: multiply, fold the high half onto the low one.
fn hash(word: &[u8]) -> u64 {
    let mut state = word.len() as u64 ^ 0x9E37_79B9_7F4A_7C15;
    for chunk in word.chunks(8) {
        let mut bytes = [0; 8];
        bytes[..chunk.len()].copy_from_slice(chunk);
        let product = u128::from(state ^ u64::from_le_bytes(bytes)) * 0xD6E8_FEB8_6659_FD93_u128;
        state = (product >> 64) as u64 ^ product as u64;
    }
    state
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_are_found_again_and_others_are_not() {
        let mut cache = WordCache::with_bound(1 << 24);
        assert_eq!(cache.get("x"), None);
        for number in 0..20_000_u32 {
            let word = format!("word{number}");
            assert_eq!(cache.get(&word), None);
            cache.insert(&word, &[number, number + 1]);
        }
        let found = (0..20_000_u32)
            .filter(|&number| {
                cache.get(&format!("word{number}")) == Some(&[number, number + 1][..])
            })
            .count();
        // A word whose probes were all taken is forgotten, which must stay rare.
        assert!(found > 19_950, "{found} of 20000");
    }

    #[test]
    fn the_table_stops_growing_and_keeps_what_it_has() {
        let mut cache = WordCache::with_bound(100_000);
        for number in 0..20_000_u32 {
            cache.insert(&format!("word{number}"), &[number]);
        }
        // The slots may double once more before the bound is seen.
        assert!(cache.bytes() > 100_000 && cache.bytes() < 140_000, "{}", cache.bytes());
        assert_eq!(cache.get("word7"), Some(&[7][..]));
        assert_eq!(cache.get("word19999"), None);
    }

    #[test]
    fn long_words_are_left_out() {
        let mut cache = WordCache::with_bound(1 << 24);
        let word = "x".repeat(WORD_BYTES_MAX + 1);
        cache.insert(&word, &[1]);
        assert_eq!(cache.get(&word), None);
    }
}
