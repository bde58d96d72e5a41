//! Which tokens a training sequence holds: a pure function of (plan, epoch, index).
//!
//! A sequence is T consecutive tokens; the target of a position is the next token inside the
//! sequence, and the last position has none (the convention of Levanter and of the paper).
//!
//! **Budget.** D tokens are a prefix of one fixed order that no seed touches, so that smaller
//! budgets nest in larger ones and all members of an ensemble see the same text (mission D3).
//!
//! **`Sequences`** (the paper). The training stream is cut into T-token sequences once and for all;
//! the fixed order permutes them and the budget keeps the first D/T. Each epoch permutes those by
//! (seed, epoch). Nothing is held in memory and every sequence costs O(1), plus a binary search for
//! its documents.
//!
//! **`Documents`.** The fixed order permutes documents, and the budget cuts the last one that it
//! reaches. Each epoch permutes the documents by (seed, epoch), concatenates them, cuts that stream
//! into T-token sequences and permutes those, so that every epoch pairs texts anew. The table of an
//! epoch (8 bytes a document) is computed when the epoch is first asked for. If all documents have
//! exactly T tokens there is nothing to re-cut, and the order is that of `Sequences`.

use std::sync::{Arc, Mutex};

use super::permutation::Permutation;
use crate::data::corpus::PartReader;
use crate::data::hash::fold;
use crate::spec::OrderMode;
use crate::{Error, Result};

/// Key of the fixed order. Frozen: another key would change what every budget means.
const FIXED_ORDER_KEY: u64 = 0x5CA2_CE00_0000_0001;

/// What determines the sequences of a run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SamplerPlan {
    /// T, tokens of a sequence.
    pub sequence_tokens: u32,
    /// D, unique tokens; a multiple of T.
    pub budget_tokens: u64,
    /// What is shuffled.
    pub order: OrderMode,
    /// Seed of the order of every epoch (mission T4: the data seed).
    pub seed: u64,
}

/// The sequences of a training split.
#[derive(Debug)]
pub struct Sampler<'a> {
    split: &'a PartReader,
    plan: SamplerPlan,
    /// D / T.
    sequences: u64,
    mode: Mode,
}

#[derive(Debug)]
enum Mode {
    /// Sequence i of the stream is token T·i on; `fixed` orders all of the split.
    Sequences { fixed: Permutation },
    Documents {
        /// The documents of the budget, in the fixed order; the last one may be cut.
        documents: Vec<Piece>,
        /// The epoch asked for last: consecutive calls nearly always share it.
        epoch: Mutex<Option<(u64, Arc<EpochTable>)>>,
    },
}

/// A document, or the part of it that lies within the budget.
#[derive(Clone, Copy, Debug)]
struct Piece {
    start: u64,
    tokens: u64,
}

/// The stream of one epoch: its documents in order, and where each begins.
#[derive(Debug)]
struct EpochTable {
    documents: Permutation,
    /// First position of each document in the stream, in stream order.
    offsets: Vec<u64>,
    sequences: Permutation,
}

impl<'a> Sampler<'a> {
    /// Plans the sequences of a split.
    ///
    /// # Errors
    /// If the split is shorter than one sequence, or the budget is larger than the split or not a
    /// positive multiple of the sequence length.
    pub fn new(split: &'a PartReader, plan: SamplerPlan) -> Result<Self> {
        let sequence = u64::from(plan.sequence_tokens);
        check_budget(&plan, split.tokens())?;
        let recut = plan.order == OrderMode::Documents
            && (0..split.documents()).any(|index| {
                let bounds = split.document_bounds(index);
                bounds.end - bounds.start != sequence
            });
        let mode = if recut {
            let documents = budget_documents(split, plan.budget_tokens);
            Mode::Documents { documents, epoch: Mutex::new(None) }
        } else {
            Mode::Sequences { fixed: Permutation::new(FIXED_ORDER_KEY, split.tokens() / sequence) }
        };
        Ok(Self { split, plan, sequences: plan.budget_tokens / sequence, mode })
    }

    /// Sequences of an epoch: D / T.
    #[must_use]
    pub fn sequences(&self) -> u64 {
        self.sequences
    }

    /// Reads sequence `index` of `epoch` into `tokens`, and into `starts` the first position
    /// *within the sequence* of the document that each position belongs to.
    ///
    /// # Errors
    /// If the corpus was cut or damaged since it was opened.
    ///
    /// # Panics
    /// If `index` is not below [`Sampler::sequences`] or a slice does not have T entries.
    pub fn sequence(
        &self,
        epoch: u64,
        index: u64,
        tokens: &mut [u32],
        starts: &mut [u32],
    ) -> Result<()> {
        let length = self.plan.sequence_tokens as usize;
        assert!(index < self.sequences, "sequence {index} of {}", self.sequences);
        assert_eq!((tokens.len(), starts.len()), (length, length), "tokens and starts of T");
        match &self.mode {
            Mode::Sequences { fixed } => {
                let order = Permutation::new(self.epoch_key(epoch), self.sequences);
                let first = fixed.at(order.at(index)) * length as u64;
                self.split.read(first, tokens)?;
                self.mark_documents(first, starts);
                Ok(())
            }
            Mode::Documents { documents, .. } => {
                let table = self.epoch_table(epoch, documents);
                let first = table.sequences.at(index) * length as u64;
                self.read_stream(&table, documents, first, tokens, starts)
            }
        }
    }

    fn epoch_key(&self, epoch: u64) -> u64 {
        fold(fold(FIXED_ORDER_KEY, self.plan.seed), epoch)
    }

    /// Document starts of the T tokens of the split from `first` on.
    fn mark_documents(&self, first: u64, starts: &mut [u32]) {
        let mut document = self.split.document_at(first);
        let mut position = 0;
        while position < starts.len() {
            let left = self.split.document_bounds(document).end - first;
            let end = usize::try_from(left).unwrap_or(usize::MAX).min(starts.len());
            starts[position..end].fill(position as u32);
            position = end;
            document += 1;
        }
    }

    /// Tokens of the epoch's stream from `first` on.
    fn read_stream(
        &self,
        table: &EpochTable,
        documents: &[Piece],
        first: u64,
        tokens: &mut [u32],
        starts: &mut [u32],
    ) -> Result<()> {
        let mut place = table.offsets.partition_point(|&offset| offset <= first) - 1;
        let mut position = 0;
        while position < tokens.len() {
            let piece = documents[table.documents.at(place as u64) as usize];
            let skipped = first + position as u64 - table.offsets[place];
            let left = usize::try_from(piece.tokens - skipped).unwrap_or(usize::MAX);
            let end = position.saturating_add(left).min(tokens.len());
            self.split.read(piece.start + skipped, &mut tokens[position..end])?;
            starts[position..end].fill(position as u32);
            position = end;
            place += 1;
        }
        Ok(())
    }

    fn epoch_table(&self, epoch: u64, documents: &[Piece]) -> Arc<EpochTable> {
        let Mode::Documents { epoch: cached, .. } = &self.mode else {
            unreachable!("only this mode has tables")
        };
        let mut cached = cached.lock().expect("no thread panics while it holds the table");
        if let Some((of, table)) = &*cached
            && *of == epoch
        {
            return Arc::clone(table);
        }
        let key = self.epoch_key(epoch);
        let order = Permutation::new(fold(key, 0), documents.len() as u64);
        let offsets = (0..documents.len() as u64)
            .scan(0, |next, place| {
                let offset = *next;
                *next += documents[order.at(place) as usize].tokens;
                Some(offset)
            })
            .collect();
        let sequences = Permutation::new(fold(key, 1), self.sequences);
        let table = Arc::new(EpochTable { documents: order, offsets, sequences });
        *cached = Some((epoch, Arc::clone(&table)));
        table
    }
}

fn check_budget(plan: &SamplerPlan, available_tokens: u64) -> Result<()> {
    let (sequence, budget) = (u64::from(plan.sequence_tokens), plan.budget_tokens);
    if sequence < 2 {
        return Err(Error::usage("a sequence needs at least 2 tokens"));
    }
    if sequence > available_tokens {
        return Err(Error::usage(format!(
            "a sequence of {sequence} tokens is longer than the {available_tokens} training tokens"
        ))
        .hint("lower `data.sequence_tokens`, or prepare more text"));
    }
    let largest = available_tokens / sequence * sequence;
    if budget > largest {
        return Err(Error::usage(format!(
            "a budget of {budget} tokens is larger than the corpus, which has {available_tokens} \
             training tokens"
        ))
        .hint(format!("at sequences of {sequence} tokens the largest budget is {largest}")));
    }
    if budget == 0 || !budget.is_multiple_of(sequence) {
        let below = (budget / sequence * sequence).max(sequence);
        let hint = match below + sequence {
            above if above <= largest => format!("try {below} or {above}"),
            _ => format!("try {below}"),
        };
        return Err(Error::usage(format!(
            "a budget of {budget} tokens is not a positive multiple of the {sequence} tokens of a \
             sequence"
        ))
        .hint(hint));
    }
    Ok(())
}

/// The first documents of the fixed order that hold `budget` tokens together, the last one cut.
fn budget_documents(split: &PartReader, budget: u64) -> Vec<Piece> {
    let order = Permutation::new(FIXED_ORDER_KEY, split.documents());
    let mut left = budget;
    let mut documents = Vec::new();
    for place in 0..split.documents() {
        let bounds = split.document_bounds(order.at(place));
        let tokens = (bounds.end - bounds.start).min(left);
        documents.push(Piece { start: bounds.start, tokens });
        left -= tokens;
        if left == 0 {
            break;
        }
    }
    documents
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::data::corpus::{Corpus, testing};
    use crate::spec::Split;
    use std::path::PathBuf;

    /// A corpus whose training tokens are all different, in documents of these lengths.
    fn corpus(lengths: &[u32]) -> (tempfile::TempDir, PathBuf) {
        let mut next = 0;
        let documents: Vec<Vec<u32>> = lengths
            .iter()
            .map(|&length| {
                next += length;
                (next - length..next).collect()
            })
            .collect();
        let documents: Vec<&[u32]> = documents.iter().map(Vec::as_slice).collect();
        testing::corpus(&documents, next.max(10))
    }

    fn plan(sequence_tokens: u32, budget_tokens: u64, order: OrderMode) -> SamplerPlan {
        SamplerPlan { sequence_tokens, budget_tokens, order, seed: 42 }
    }

    /// All sequences of an epoch with their starts, in order.
    fn epoch(sampler: &Sampler<'_>, epoch: u64) -> Vec<(Vec<u32>, Vec<u32>)> {
        let length = sampler.plan.sequence_tokens as usize;
        (0..sampler.sequences())
            .map(|index| {
                let (mut tokens, mut starts) = (vec![0; length], vec![0; length]);
                sampler.sequence(epoch, index, &mut tokens, &mut starts).unwrap();
                (tokens, starts)
            })
            .collect()
    }

    fn sorted_tokens(sequences: &[(Vec<u32>, Vec<u32>)]) -> Vec<u32> {
        let mut tokens: Vec<u32> = sequences.iter().flat_map(|(t, _)| t.clone()).collect();
        tokens.sort_unstable();
        tokens
    }

    /// Lengths of uneven documents: 1 to 60 tokens, 1,830 in all.
    fn uneven() -> Vec<u32> {
        (0..60).map(|n| n * 37 % 60 + 1).collect()
    }

    #[test]
    fn every_epoch_holds_the_same_tokens_once_in_another_order() {
        let (_above, directory) = corpus(&uneven());
        let corpus = Corpus::open(directory).unwrap();
        for order in [OrderMode::Sequences, OrderMode::Documents] {
            let sampler = Sampler::new(corpus.split(Split::Train), plan(16, 1600, order)).unwrap();
            let epochs: Vec<_> = (0..3).map(|number| epoch(&sampler, number)).collect();
            let tokens = sorted_tokens(&epochs[0]);
            assert!(tokens.windows(2).all(|pair| pair[0] < pair[1]), "{order:?}: a token twice");
            assert_eq!(tokens.len(), 1600);
            for other in &epochs[1..] {
                assert_eq!(sorted_tokens(other), tokens, "{order:?}");
                assert_ne!(other, &epochs[0], "{order:?}: epochs are shuffled");
            }
            assert_eq!(epoch(&sampler, 0), epochs[0], "{order:?}: no state is kept");
        }
    }

    #[test]
    fn budgets_nest_and_do_not_depend_on_the_seed() {
        let (_above, directory) = corpus(&uneven());
        let corpus = Corpus::open(directory).unwrap();
        for order in [OrderMode::Sequences, OrderMode::Documents] {
            let tokens = |budget, seed| {
                let plan = SamplerPlan { seed, ..plan(16, budget, order) };
                let sampler = Sampler::new(corpus.split(Split::Train), plan).unwrap();
                sorted_tokens(&epoch(&sampler, 5))
            };
            let large = tokens(1600, 1);
            assert_eq!(large, tokens(1600, 2), "{order:?}");
            for budget in [16, 160, 800] {
                let small = tokens(budget, 3);
                assert_eq!(small.len() as u64, budget);
                assert!(small.iter().all(|token| large.contains(token)), "{order:?} {budget}");
            }
        }
    }

    #[test]
    fn starts_name_the_document_of_each_position() {
        let lengths = uneven();
        let (_above, directory) = corpus(&lengths);
        let corpus = Corpus::open(directory).unwrap();
        let train = corpus.split(Split::Train);
        for order in [OrderMode::Sequences, OrderMode::Documents] {
            let sampler = Sampler::new(train, plan(32, 1600, order)).unwrap();
            for (tokens, starts) in epoch(&sampler, 1) {
                // Token t is the t-th of the split, so it tells its document.
                let document = |position: usize| train.document_at(u64::from(tokens[position]));
                for position in 0..32 {
                    let start = starts[position] as usize;
                    assert!(start <= position);
                    assert_eq!(document(start), document(position));
                    assert!(start == 0 || document(start - 1) != document(start));
                    let inside = tokens[position] - tokens[start];
                    assert_eq!(inside as usize, position - start, "documents stay in one piece");
                }
            }
        }
    }

    #[test]
    fn documents_of_one_sequence_make_the_modes_agree() {
        let (_above, directory) = corpus(&[8; 40]);
        let corpus = Corpus::open(directory).unwrap();
        let sampler =
            |order| Sampler::new(corpus.split(Split::Train), plan(8, 160, order)).unwrap();
        let (sequences, documents) = (sampler(OrderMode::Sequences), sampler(OrderMode::Documents));
        for number in 0..3 {
            assert_eq!(epoch(&sequences, number), epoch(&documents, number));
        }
    }

    #[test]
    fn impossible_budgets_are_refused_with_a_hint() {
        let (_above, directory) = corpus(&[10, 10, 10]);
        let corpus = Corpus::open(directory).unwrap();
        for (sequence, budget, part, hint) in [
            (8, 32, "larger than the corpus, which has 30", "the largest budget is 24"),
            (8, 12, "not a positive multiple of the 8", "try 8 or 16"),
            (8, 0, "not a positive multiple", "try 8 or 16"),
            (31, 31, "longer than the 30 training tokens", "prepare more text"),
            (1, 1, "at least 2 tokens", ""),
        ] {
            let plan = plan(sequence, budget, OrderMode::Sequences);
            let error = Sampler::new(corpus.split(Split::Train), plan).unwrap_err();
            assert!(error.to_string().contains(part), "{error}");
            assert!(error.hint_text().unwrap_or_default().contains(hint), "{error}");
            assert_eq!(error.exit_code(), 2);
        }
    }

    #[test]
    fn damage_during_use_is_an_error() {
        let (_above, directory) = corpus(&uneven());
        let corpus = Corpus::open(&directory).unwrap();
        std::fs::write(directory.join("train.tokens"), b"").unwrap();
        for order in [OrderMode::Sequences, OrderMode::Documents] {
            let sampler = Sampler::new(corpus.split(Split::Train), plan(16, 1600, order)).unwrap();
            let error = sampler.sequence(0, 3, &mut [0; 16], &mut [0; 16]).unwrap_err();
            assert_eq!(error.exit_code(), 3, "{error}");
        }
    }

    /// Frozen: another order would silently change the meaning of every spec.
    #[test]
    fn the_order_is_that_of_the_first_release() {
        let (_above, directory) = corpus(&uneven());
        let corpus = Corpus::open(&directory).unwrap();
        let firsts = |order| -> Vec<u32> {
            let sampler = Sampler::new(corpus.split(Split::Train), plan(100, 1000, order)).unwrap();
            epoch(&sampler, 2).iter().map(|(tokens, _)| tokens[0]).collect()
        };
        assert_eq!(
            firsts(OrderMode::Sequences),
            [900, 600, 0, 1000, 400, 300, 1700, 1300, 1600, 1400]
        );
        assert_eq!(
            firsts(OrderMode::Documents),
            [1266, 684, 264, 903, 1635, 760, 827, 1746, 1545, 1307]
        );
    }
}
