//! Counts of all n-grams up to a length: a trie of sorted arrays, walked one token at a time.
//!
//! The strings of j + 1 tokens are the children of the strings of j tokens. Level j keeps them
//! sorted by (parent, last token), so a child is found by binary search among its siblings, and the
//! string of the last j + 1 tokens is the child of *the string of j tokens that ended one position
//! earlier* by the newest token. A [`State`] holds the strings of all lengths that end here, so a
//! token costs one search per level and no key is ever hashed.
//!
//! A string has two counts. The longest context in use takes its *occurrences*. A shorter one takes
//! its *continuations*: the number of different tokens seen before the string. It is asked only
//! where the longer context failed, and there the question is not how often a token comes but in
//! how many places it can (Kneser and Ney 1995). A string at the start of a sequence has nothing
//! before it; each such occurrence counts as a place of its own.

use super::keys::KeyCounts;

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
    occurrences: Tally,
    continuations: Tally,
}

/// One kind of count of the strings of a level.
#[derive(Clone, Debug, Default)]
struct Tally {
    counts: Vec<u32>,
    /// Per parent: the sum of the counts of its children.
    totals: Vec<u32>,
    /// Per parent: how many of its children have a count above zero.
    types: Vec<u32>,
}

/// Where a reader stands: for each j the string of the last j tokens, if training has seen it.
#[derive(Clone, Debug)]
pub(super) struct State(Vec<Option<u32>>);

/// What training saw of one token after one context.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(super) struct Seen {
    /// c(u, w): the count of the token after the context.
    pub(super) token: u32,
    /// c(u): the sum over all tokens; zero for an unseen context.
    pub(super) context: u32,
    /// t(u): the number of different tokens.
    pub(super) types: u32,
}

/// The empty string, parent of level 0.
const ROOT: u32 = 0;

impl Counts {
    /// Counts all strings of 1 to `context_tokens` + 1 tokens, two passes per length.
    pub(super) fn collect(sequences: &[&[u32]], vocabulary: usize, context_tokens: usize) -> Self {
        let mut counts = Self { levels: vec![Level::unigrams(sequences, vocabulary)], vocabulary };
        for length in 2..=context_tokens + 1 {
            let level = counts.longer(sequences, length);
            counts.levels.push(level);
            counts.count_continuations(sequences, length - 1);
        }
        counts
    }

    /// The strings of `length` tokens, given all shorter ones.
    fn longer(&self, sequences: &[&[u32]], length: usize) -> Level {
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
        Level::of_keys(&keys.finish(), self.levels[length - 2].tokens.len())
    }

    /// Counts what stands before the strings of `length` tokens, given those one token longer.
    fn count_continuations(&mut self, sequences: &[&[u32]], length: usize) {
        let mut counts = vec![0; self.levels[length - 1].tokens.len()];
        let mut visited = vec![false; self.levels[length].tokens.len()];
        for sequence in sequences {
            let mut state = self.start(length + 1);
            for (position, &token) in sequence.iter().enumerate() {
                self.advance(&mut state, token);
                // The first token of a sequence is never predicted.
                let Some(string) = state.0[length].filter(|_| position > 0) else { continue };
                let known = state.0[length + 1]
                    .is_some_and(|longer| std::mem::replace(&mut visited[longer as usize], true));
                counts[string as usize] += u32::from(!known);
            }
        }
        let level = &mut self.levels[length - 1];
        level.continuations = Tally::new(counts, &level.first_child);
    }

    /// The number of tokens of the vocabulary, V.
    pub(super) fn vocabulary(&self) -> usize {
        self.vocabulary
    }

    /// The longest context that was counted, in tokens.
    pub(super) fn context_tokens_max(&self) -> usize {
        self.levels.len() - 1
    }

    /// Number of strings that were seen as predictions, up to `context_tokens` + 1 tokens long.
    pub(super) fn entries(&self, context_tokens: usize) -> usize {
        let seen = |level: &Level| level.occurrences.counts.iter().filter(|&&c| c > 0).count();
        self.levels[..=context_tokens].iter().map(seen).sum()
    }

    /// The state before the first token of a window, for contexts up to `context_tokens`.
    pub(super) fn start(&self, context_tokens: usize) -> State {
        let mut strings = vec![None; context_tokens + 1];
        strings[0] = Some(ROOT);
        State(strings)
    }

    /// Moves the state one token on.
    pub(super) fn advance(&self, state: &mut State, token: u32) {
        for length in (1..state.0.len()).rev() {
            state.0[length] =
                state.0[length - 1].and_then(|parent| self.levels[length - 1].find(parent, token));
        }
    }

    /// What was seen of `token` after the last `context_tokens` tokens: occurrences if this is the
    /// longest context of the state, continuations if it is a shorter one.
    pub(super) fn seen(&self, state: &State, context_tokens: usize, token: u32) -> Seen {
        let Some(context) = state.0[context_tokens] else { return Seen::default() };
        let level = &self.levels[context_tokens];
        let longest = context_tokens + 1 == state.0.len();
        let tally = if longest { &level.occurrences } else { &level.continuations };
        let child = level.find(context, token);
        Seen {
            token: child.map_or(0, |child| tally.counts[child as usize]),
            context: tally.totals[context as usize],
            types: tally.types[context as usize],
        }
    }
}

impl Level {
    /// Single tokens. All of the vocabulary is listed, so that a token is its own index; the first
    /// token of a sequence is a context but not a prediction.
    fn unigrams(sequences: &[&[u32]], vocabulary: usize) -> Self {
        let mut counts = vec![0; vocabulary];
        for sequence in sequences {
            for (position, &token) in sequence.iter().enumerate() {
                let count = counts.get_mut(token as usize);
                *count.expect("every token lies in the vocabulary") += u32::from(position > 0);
            }
        }
        Self::new(vec![0, vocabulary as u32], (0..vocabulary as u32).collect(), counts)
    }

    /// Strings given as sorted (parent << 32 | token, count), below `parents` parents.
    fn of_keys(keys: &[(u64, u32)], parents: usize) -> Self {
        let mut first_child = vec![0u32; parents + 1];
        for (key, _) in keys {
            first_child[(key >> 32) as usize + 1] += 1;
        }
        for parent in 0..parents {
            first_child[parent + 1] += first_child[parent];
        }
        let tokens = keys.iter().map(|(key, _)| *key as u32).collect();
        Self::new(first_child, tokens, keys.iter().map(|(_, count)| *count).collect())
    }

    fn new(first_child: Vec<u32>, tokens: Vec<u32>, occurrences: Vec<u32>) -> Self {
        let occurrences = Tally::new(occurrences, &first_child);
        Self { first_child, tokens, occurrences, continuations: Tally::default() }
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

impl Tally {
    fn new(counts: Vec<u32>, first_child: &[u32]) -> Self {
        let (mut totals, mut types) = (Vec::new(), Vec::new());
        for ends in first_child.windows(2) {
            let children = &counts[ends[0] as usize..ends[1] as usize];
            totals.push(children.iter().sum());
            types.push(children.iter().map(|&count| u32::from(count > 0)).sum());
        }
        Self { counts, totals, types }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Occurrences and continuations of `string` by looking at every place of every sequence.
    fn brute_force(sequences: &[&[u32]], string: &[u32]) -> (u32, u32) {
        let (mut occurrences, mut boundaries) = (0, 0);
        let mut before = std::collections::BTreeSet::new();
        for sequence in sequences {
            for (start, window) in sequence.windows(string.len()).enumerate() {
                if window != string || start + string.len() == 1 {
                    continue;
                }
                occurrences += 1;
                match start {
                    0 => boundaries += 1,
                    _ => _ = before.insert(sequence[start - 1]),
                }
            }
        }
        (occurrences, boundaries + before.len() as u32)
    }

    #[test]
    fn counts_agree_with_brute_force() {
        let rows: [&[u32]; 4] = [&[0, 1, 2, 1, 2, 2, 1], &[0, 1, 2, 3], &[2, 1, 2, 1, 1], &[0]];
        let counts = Counts::collect(&rows, 5, 3);
        let mut entries = 0;
        for length in 1..=4usize {
            for code in 0..5u32.pow(length as u32) {
                let string: Vec<u32> =
                    (0..length).map(|place| code / 5u32.pow(place as u32) % 5).collect();
                let (occurrences, continuations) = brute_force(&rows, &string);
                entries += usize::from(occurrences > 0);
                let (token, context) = string.split_last().unwrap();
                // The context is the longest of its state, and in the second state it is not.
                for (longest, expected) in [(length - 1, occurrences), (length, continuations)] {
                    if longest > 3 {
                        continue;
                    }
                    let mut state = counts.start(longest);
                    context.iter().for_each(|&token| counts.advance(&mut state, token));
                    let seen = counts.seen(&state, length - 1, *token);
                    assert_eq!(seen.token, expected, "{string:?} within contexts of {longest}");
                    assert!(seen.types <= seen.context && seen.token <= seen.context);
                }
            }
        }
        assert_eq!(counts.entries(3), entries);
    }
}
