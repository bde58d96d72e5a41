//! Counts of all n-grams up to a length: a trie of sorted arrays, walked one token at a time.
//!
//! The strings of j + 1 tokens are the children of the strings of j tokens. Level j + 1 keeps them
//! sorted by (parent, last token), so a child is found by binary search among its siblings, and the
//! string of the last j + 1 tokens is the child of *the string of j tokens that ended one position
//! earlier* by the newest token. A [`State`] holds the strings of all lengths that end here, so a
//! token costs one search per level and no key is ever hashed.

use super::Seen;

/// Below this many pending keys sorting costs more than it saves memory.
const PENDING_KEYS_MIN: usize = 1 << 16;

/// What training saw, for contexts of zero to `levels.len() - 1` tokens.
#[derive(Clone, Debug)]
pub(super) struct Counts {
    /// Element j holds the strings of j + 1 tokens as sorted children of those of j tokens.
    levels: Vec<Level>,
    vocabulary: usize,
}

/// All strings of one length, sorted by (parent, last token).
#[derive(Clone, Debug)]
struct Level {
    /// Children of parent p lie at `first_child[p]..first_child[p + 1]`.
    first_child: Vec<u32>,
    /// Last token of each string.
    tokens: Vec<u32>,
    /// How often each string was seen with its last token as a target.
    counts: Vec<u32>,
    /// Per parent: the sum of the counts of its children.
    totals: Vec<u32>,
    /// Per parent: how many of its children have a count above zero.
    types: Vec<u32>,
}

/// Where a reader stands: for each j the string of the last j tokens, if training has seen it.
#[derive(Clone, Debug)]
pub(super) struct State(Vec<Option<u32>>);

/// The empty string, parent of level 0.
const ROOT: u32 = 0;

impl Counts {
    /// Counts all strings of 1 to `context_tokens` + 1 tokens, one pass per length.
    pub(super) fn collect(
        sequences: &[&[u32]],
        vocabulary: usize,
        context_tokens: usize,
    ) -> Self {
        let mut counts = Self { levels: vec![Level::unigrams(sequences, vocabulary)], vocabulary };
        for length in 2..=context_tokens + 1 {
            let level = counts.longer(sequences, length);
            counts.levels.push(level);
        }
        counts
    }

    /// The strings of `length` tokens, given all shorter ones.
    fn longer(&self, sequences: &[&[u32]], length: usize) -> Level {
        let parents = self.levels[length - 2].tokens.len();
        let mut keys = KeyCounts::default();
        for sequence in sequences {
            let mut state = self.start(length - 1);
            for (position, &token) in sequence.iter().enumerate() {
                if position + 1 >= length {
                    let parent = state.0[length - 1].expect("shorter strings are all counted");
                    keys.add(u64::from(parent) << 32 | u64::from(token));
                }
                self.advance(&mut state, token);
            }
        }
        keys.into_level(parents)
    }

    /// The number of tokens of the vocabulary, V.
    pub(super) fn vocabulary(&self) -> usize {
        self.vocabulary
    }

    /// The longest context that was counted, in tokens.
    pub(super) fn context_tokens_max(&self) -> usize {
        self.levels.len() - 1
    }

    /// Number of strings with a count above zero, up to `context_tokens` + 1 tokens long.
    pub(super) fn entries(&self, context_tokens: usize) -> usize {
        let levels = &self.levels[..=context_tokens];
        levels.iter().map(|level| level.types.iter().map(|&t| t as usize).sum::<usize>()).sum()
    }

    /// The state before the first token of a window, for contexts up to `context_tokens`.
    pub(super) fn start(&self, context_tokens: usize) -> State {
        let mut nodes = vec![None; context_tokens + 1];
        nodes[0] = Some(ROOT);
        State(nodes)
    }

    /// Moves the state one token on.
    pub(super) fn advance(&self, state: &mut State, token: u32) {
        for length in (1..state.0.len()).rev() {
            state.0[length] =
                state.0[length - 1].and_then(|parent| self.levels[length - 1].find(parent, token));
        }
    }

    /// What was seen of `token` after the last `context_tokens` tokens.
    pub(super) fn seen(&self, state: &State, context_tokens: usize, token: u32) -> Seen {
        let Some(context) = state.0[context_tokens] else { return Seen::default() };
        let level = &self.levels[context_tokens];
        let count = level.find(context, token).map_or(0, |child| level.counts[child as usize]);
        let parent = context as usize;
        Seen { token: count, context: level.totals[parent], types: level.types[parent] }
    }
}

impl Level {
    /// Single tokens. All of the vocabulary is listed, so that a token is its own index; the first
    /// token of a sequence is a context but not a target.
    fn unigrams(sequences: &[&[u32]], vocabulary: usize) -> Self {
        let mut counts = vec![0; vocabulary];
        for sequence in sequences {
            for (position, &token) in sequence.iter().enumerate() {
                let count = counts.get_mut(token as usize);
                let count = count.expect("every token lies in the vocabulary");
                *count += u32::from(position > 0);
            }
        }
        let tokens = (0..vocabulary as u32).collect();
        Self::new(vec![0, vocabulary as u32], tokens, counts)
    }

    fn new(first_child: Vec<u32>, tokens: Vec<u32>, counts: Vec<u32>) -> Self {
        let per_parent = |value: fn(u32) -> u32| -> Vec<u32> {
            let children = first_child.windows(2);
            children
                .map(|ends| counts[ends[0] as usize..ends[1] as usize].iter())
                .map(|children| children.map(|&count| value(count)).sum())
                .collect()
        };
        let totals = per_parent(|count| count);
        let types = per_parent(|count| u32::from(count > 0));
        Self { first_child, tokens, counts, totals, types }
    }

    /// The child of `parent` by `token`.
    fn find(&self, parent: u32, token: u32) -> Option<u32> {
        let start = self.first_child[parent as usize];
        let end = self.first_child[parent as usize + 1];
        let siblings = &self.tokens[start as usize..end as usize];
        // The siblings of the root are the whole vocabulary in order, so the search is a look-up.
        if siblings.get(token as usize) == Some(&token) {
            return Some(start + token);
        }
        siblings.binary_search(&token).ok().map(|place| start + place as u32)
    }
}

/// Counts of 64-bit keys in memory proportional to the number of different keys: new keys wait in a
/// buffer that is sorted and merged whenever it is as long as the list of those already known.
#[derive(Default)]
struct KeyCounts {
    keys: Vec<u64>,
    counts: Vec<u32>,
    pending: Vec<u64>,
}

impl KeyCounts {
    fn add(&mut self, key: u64) {
        self.pending.push(key);
        if self.pending.len() >= PENDING_KEYS_MIN.max(self.keys.len()) {
            self.merge();
        }
    }

    fn merge(&mut self) {
        self.pending.sort_unstable();
        let mut keys = Vec::with_capacity(self.keys.len() + self.pending.len());
        let mut counts = Vec::with_capacity(keys.capacity());
        let mut known = 0;
        for run in self.pending.chunk_by(|a, b| a == b) {
            let end = known + self.keys[known..].partition_point(|key| *key < run[0]);
            keys.extend_from_slice(&self.keys[known..end]);
            counts.extend_from_slice(&self.counts[known..end]);
            let again = self.keys.get(end) == Some(&run[0]);
            let before = if again { self.counts[end] } else { 0 };
            keys.push(run[0]);
            counts.push(before + u32::try_from(run.len()).expect("fewer than 2^32 tokens"));
            known = end + usize::from(again);
        }
        keys.extend_from_slice(&self.keys[known..]);
        counts.extend_from_slice(&self.counts[known..]);
        (self.keys, self.counts) = (keys, counts);
        self.pending.clear();
    }

    /// Turns sorted (parent, token) keys into a level below `parents` parents.
    fn into_level(mut self, parents: usize) -> Level {
        self.merge();
        let mut first_child = vec![0u32; parents + 1];
        for key in &self.keys {
            first_child[(key >> 32) as usize + 1] += 1;
        }
        for parent in 0..parents {
            first_child[parent + 1] += first_child[parent];
        }
        let tokens = self.keys.iter().map(|key| *key as u32).collect();
        Level::new(first_child, tokens, self.counts)
    }
}
