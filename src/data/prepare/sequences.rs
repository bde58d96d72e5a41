//! The paper's split: sequences of T tokens in a fixed shuffled order, the last ones held out.
//!
//! All documents are concatenated and cut into sequences; a permutation that no seed touches orders
//! them; the last sequences are the validation split (mission D2) and as many before them the test
//! split, which the paper lacks. Sequences are stored in the order of the text. Documents of the
//! corpus begin where documents begin, and where a sequence was taken out.

use std::collections::BTreeSet;
use std::fs::{self, File};
use std::io::{BufReader, BufWriter, Read, Write};
use std::path::{Path, PathBuf};

use super::encode::{Batch, EncodedUnit};
use super::lost::Losses;
use super::plan::{Plan, SequenceSplit};
use super::vocabulary::{Tokens, bytes_of};
use crate::data::corpus::{CorpusWriter, Provenance, Publication};
use crate::data::corpus::{InputFacts, Manifest, SplitPolicy, Splits};
use crate::data::input::{Content, Observer};
use crate::data::order::Permutation;
use crate::spec::Split;
use crate::token::TokenBytes;
use crate::{Error, Result};

/// Key of the order that decides what is held out. Frozen.
const SPLIT_KEY: u64 = 0x5CA2_CE00_0000_0002;

/// Encodes all documents, then cuts and splits the stream of tokens.
pub(super) fn write<C: Content>(
    plan: &Plan,
    split: SequenceSplit,
    (tokens, mut losses): (&Tokens, Losses),
    mut writer: CorpusWriter,
    (mut input, notes): (InputFacts, &mut Vec<String>),
    observer: &mut dyn Observer,
) -> Result<(Manifest, Publication)> {
    let path = writer.temporary().join("spool");
    let mut spool = Spool::create(&path)?;
    let mut write = |losses: &mut Losses, unit: EncodedUnit<'_>| {
        losses.add("the input", unit.lost);
        spool.push(unit.tokens, unit.starts_document)
    };
    let mut batch = Batch::<C>::new((tokens, &mut losses), &mut write);
    let counts = plan.pass("encoding", &mut |unit| batch.push(unit), observer)?;
    let lengths = batch.finish()?;
    super::record_counts(&mut input, notes, counts);
    let spool = spool.finish()?;
    let held_out = held_out(spool.tokens, split)?;
    let of_tokens = lengths.as_ref().map(|(lengths, _)| lengths);
    distribute(&spool, split, &held_out, of_tokens, &mut writer)?;
    fs::remove_file(&path).map_err(|cause| Error::io("remove", &path, &cause))?;
    let facts = super::finish_lengths(tokens, lengths, &losses, &mut writer, notes)?;
    let side = super::sides::encode::<C>(plan, None, (tokens, &mut losses), &mut writer, observer)?;
    let (facts, allowed) = super::finish_losses(facts, &losses, notes)?;
    writer.finish(Provenance {
        synthetic: None,
        tokenizer: facts,
        split_policy: SplitPolicy::Sequences {
            sequence_tokens: u64::from(split.sequence_tokens),
            held_out_sequences: split.held_out_sequences,
        },
        duplicates: None,
        input,
        allowed,
        floor_nats: Splits::default(),
        side,
    })
}

/// The numbers of the held-out sequences: (validation, test).
fn held_out(tokens: u64, split: SequenceSplit) -> Result<(BTreeSet<u64>, BTreeSet<u64>)> {
    let length = u64::from(split.sequence_tokens);
    let sequences = tokens.checked_div(length).unwrap_or(0);
    let each = split.held_out_sequences;
    if each == 0 || sequences <= each.saturating_mul(2) {
        return Err(Error::usage(format!(
            "{tokens} tokens make {sequences} sequences of {length}: {each} for each held-out \
             split leave no training text"
        ))
        .hint("lower `--held-out-sequences` or `--sequence-tokens`, or add text"));
    }
    let order = Permutation::new(SPLIT_KEY, sequences);
    let taken = |from: u64| (from..from + each).map(|place| order.at(place)).collect();
    Ok((taken(sequences - each), taken(sequences - 2 * each)))
}

/// Copies every sequence to its split.
fn distribute(
    spool: &Spool,
    split: SequenceSplit,
    (val, test): &(BTreeSet<u64>, BTreeSet<u64>),
    lengths: Option<&TokenBytes>,
    writer: &mut CorpusWriter,
) -> Result<()> {
    let length = split.sequence_tokens as usize;
    let failed = |cause: std::io::Error| Error::io("read", &spool.path, &cause);
    let mut file = BufReader::new(File::open(&spool.path).map_err(failed)?);
    let mut sequence = vec![0_u32; length];
    let mut starts = spool.starts.iter().copied().peekable();
    let mut last = None;
    for number in 0..spool.tokens / length as u64 {
        file.read_exact(bytemuck::cast_slice_mut(&mut sequence)).map_err(failed)?;
        let place = match () {
            () if val.contains(&number) => Split::Val,
            () if test.contains(&number) => Split::Test,
            () => Split::Train,
        };
        let first = number * length as u64;
        let mut position = 0;
        while position < length {
            // A document begins here, or the text before it went elsewhere.
            let begins = starts.next_if_eq(&(first + position as u64)).is_some();
            let fresh = begins || (position == 0 && last != Some(place));
            let next = starts.peek().map_or(length as u64, |&start| start - first);
            let end = next.min(length as u64) as usize;
            let part = &sequence[position..end];
            writer.split(place).push(fresh, part, bytes_of(lengths, part))?;
            position = end;
        }
        last = Some(place);
    }
    Ok(())
}

/// All tokens in one file, and where documents begin.
struct Spool {
    path: PathBuf,
    file: BufWriter<File>,
    tokens: u64,
    starts: Vec<u64>,
}

impl Spool {
    fn create(path: &Path) -> Result<Self> {
        let file = File::create_new(path).map_err(|cause| Error::io("create", path, &cause))?;
        Ok(Self {
            path: path.to_owned(),
            file: BufWriter::with_capacity(1 << 18, file),
            tokens: 0,
            starts: Vec::new(),
        })
    }

    fn push(&mut self, tokens: &[u32], starts_document: bool) -> Result<()> {
        if starts_document {
            self.starts.push(self.tokens);
        }
        self.tokens += tokens.len() as u64;
        self.file
            .write_all(bytemuck::cast_slice(tokens))
            .map_err(|cause| Error::io("write", &self.path, &cause))
    }

    fn finish(mut self) -> Result<Self> {
        self.file.flush().map_err(|cause| Error::io("write", &self.path, &cause))?;
        Ok(self)
    }
}
