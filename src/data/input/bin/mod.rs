//! Token files of nanoGPT and llm.c.
//!
//! nanoGPT: little-endian u16 and nothing else, a separator after each document. llm.c: a header of
//! 256 little-endian i32 {magic, version, tokens}, then u16 (magic 20240520, version 1) or u32
//! (magic 20240801, version 7), a separator before each document. Both read alike: a document is
//! what lies between separators, and it begins with one.
//!
//! A file without a header does not say how wide its tokens are. They are taken for u16 unless
//! somebody says otherwise (`--token-width`, or Megatron's index beside the file), and a file that
//! looks like wider ones is refused: half of its tokens would be zero.

mod megatron;

use std::fs::File;
use std::io::{BufReader, Read};
use std::ops::ControlFlow;

use super::content::{Content, KeyHasher};
use super::files::InputFile;
use super::stream::Observer;
use super::{Head, Pass};
use crate::{Error, Result};

const HEADER_BYTES: u64 = 1024;

/// What is looked at to tell what a file is.
const SAMPLE_BYTES: u64 = 1 << 18;

const MAGIC_GPT2: i32 = 20_240_520;
const MAGIC_LLAMA3: i32 = 20_240_801;

/// A document between separators is held in memory.
const DOCUMENT_TOKENS_MAX: usize = 32 << 20;

/// Tokens read at a time.
const CHUNK_TOKENS: usize = 1 << 16;

/// The integers of a token file, little-endian.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TokenInteger {
    /// One byte, for vocabularies of bytes.
    U8,
    /// Two bytes: nanoGPT's.
    U16,
    /// Four bytes, with a sign or without: a token is never negative.
    U32,
    /// Eight bytes, likewise.
    U64,
}

impl TokenInteger {
    fn bytes(self) -> u64 {
        match self {
            Self::U8 => 1,
            Self::U16 => 2,
            Self::U32 => 4,
            Self::U64 => 8,
        }
    }

    /// Reads the first tokens of `bytes`; what is no token at all becomes one outside of every
    /// vocabulary.
    fn decode(self, bytes: &[u8], tokens: &mut [u32]) {
        let words = bytes.chunks_exact(self.bytes() as usize);
        for (token, word) in tokens.iter_mut().zip(words) {
            let mut wide = [0; 8];
            wide[..word.len()].copy_from_slice(word);
            *token = u32::try_from(u64::from_le_bytes(wide)).unwrap_or(u32::MAX);
        }
    }
}

/// Where the tokens of a file lie.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Layout {
    start: u64,
    width: TokenInteger,
    tokens: u64,
    /// Where documents end, in tokens, if an index says so.
    ends: Vec<u64>,
}

pub(super) fn visit(input: &InputFile, pass: &mut Pass<'_, Vec<u32>>) -> Result<ControlFlow<()>> {
    let layout = layout(input, pass.reading.token_integer)?;
    match pass.reading.separator {
        None if layout.ends.is_empty() => visit_whole(input, &layout, pass),
        _ => visit_separated(input, &layout, pass),
    }
}

/// The vocabulary that the file's kind implies: none for nanoGPT's.
pub fn declared_vocabulary(input: &InputFile) -> Result<Option<u32>> {
    let declared = match first_bytes(input).map(|start| magic(&start))? {
        Some(MAGIC_GPT2) => Some(50_257),
        Some(MAGIC_LLAMA3) => Some(128_256),
        _ => None,
    };
    Ok(declared)
}

/// How many of these files have an index beside them, which says how they are read.
#[must_use]
pub fn indexed_files(files: &[InputFile]) -> usize {
    files.iter().filter(|file| megatron::path(file).is_some()).count()
}

fn failed(cause: &std::io::Error) -> Error {
    Error::data(format!("failed to read: {cause}"))
}

fn first_bytes(input: &InputFile) -> Result<Vec<u8>> {
    let mut bytes = Vec::new();
    File::open(&input.path)
        .and_then(|file| file.take(SAMPLE_BYTES).read_to_end(&mut bytes))
        .map_err(|cause| failed(&cause))?;
    Ok(bytes)
}

fn word(bytes: &[u8], index: usize) -> Option<i32> {
    let bytes = bytes.get(4 * index..4 * index + 4)?;
    Some(i32::from_le_bytes([bytes[0], bytes[1], bytes[2], bytes[3]]))
}

/// The first word of llm.c's header, if it is one.
fn magic(start: &[u8]) -> Option<i32> {
    word(start, 0).filter(|word| [MAGIC_GPT2, MAGIC_LLAMA3].contains(word))
}

/// Reads the header, if there is one, and compares it with the file's length.
fn layout(input: &InputFile, wanted: Option<TokenInteger>) -> Result<Layout> {
    let start = first_bytes(input)?;
    let (width, version) = match magic(&start) {
        Some(MAGIC_GPT2) => (TokenInteger::U16, 1),
        Some(_) => (TokenInteger::U32, 7),
        None => return headless(input, &start, wanted),
    };
    let cut = || {
        Error::data("the file is cut short: it has less tokens than its header says")
            .hint("download or write the file again")
    };
    let (found, tokens) = word(&start, 1).zip(word(&start, 2)).ok_or_else(cut)?;
    if found != version {
        return Err(Error::data(format!("llm.c format version {found} is not known here")));
    }
    let tokens = u64::try_from(tokens)
        .map_err(|_| Error::data(format!("the header promises {tokens} tokens")))?;
    let expected = HEADER_BYTES + tokens * width.bytes();
    match input.bytes {
        bytes if bytes < expected => Err(cut()),
        bytes if bytes > expected => {
            Err(Error::data(format!("there are {} bytes after its tokens", bytes - expected)))
        }
        _ => Ok(Layout { start: HEADER_BYTES, width, tokens, ends: Vec::new() }),
    }
}

/// Files without a header: nanoGPT's, and Megatron's with an index beside them.
fn headless(input: &InputFile, start: &[u8], wanted: Option<TokenInteger>) -> Result<Layout> {
    let index = if wanted.is_none() { megatron::index(input)? } else { None };
    let (width, ends) = match (wanted, index) {
        (Some(width), _) => (width, Vec::new()),
        (None, Some(index)) => (index.width, index.ends),
        (None, None) => {
            check_is_of_tokens(start)?;
            check_width(start)?;
            (TokenInteger::U16, Vec::new())
        }
    };
    let (bytes, each) = (input.bytes, width.bytes());
    if !bytes.is_multiple_of(each) {
        return Err(Error::data(match wanted {
            None if width == TokenInteger::U16 => {
                "the file is cut short, or not of tokens: u16 tokens need an even number of bytes"
                    .to_owned()
            }
            _ => format!("the file is cut short: {bytes} bytes are no tokens of {each} bytes"),
        }));
    }
    let tokens = bytes / each;
    if ends.last().is_some_and(|&last| last != tokens) {
        return Err(Error::data("it does not have as many tokens as the .idx file beside it says")
            .hint("copy both anew, or read it alone with `--token-width`"));
    }
    Ok(Layout { start: 0, width, tokens, ends })
}

/// Other files that are called .bin, by how they begin.
fn check_is_of_tokens(start: &[u8]) -> Result<()> {
    let numpy = "python -c \"import numpy; numpy.load('in.npy').tofile('out.bin')\"";
    let (what, hint) = match start {
        [0x93, b'N', b'U', b'M', b'P', b'Y', ..] => ("an array of NumPy", numpy),
        [b'P', b'K', 3, 4, ..] => ("a zip file, such as PyTorch's", "leave it out"),
        [b'P', b'A', b'R', b'1', ..] => ("a Parquet file", "`--format parquet` reads it"),
        [0x1F, 0x8B, ..] => ("packed by gzip", "unpack it first: `gzip -d`"),
        [0x28, 0xB5, 0x2F, 0xFD, ..] => ("packed by zstd", "unpack it first: `zstd -d`"),
        [b'G', b'G', b'U', b'F', ..] => ("a model in GGUF", "leave it out"),
        _ => return Ok(()),
    };
    Err(Error::data(format!("this is {what}, not a file of tokens")).hint(hint))
}

/// An error if what is taken for u16 looks like halves or quarters of wider integers.
///
/// The high half of a token is 0, or small where the vocabulary is large, or all ones in the -1 of
/// some fillings; tokens of 16 bits have no such rhythm. Files of a few tokens say too little.
fn check_width(start: &[u8]) -> Result<()> {
    const WORDS_MIN: usize = 32;
    let words: Vec<u16> =
        start.chunks_exact(2).map(|pair| u16::from_le_bytes([pair[0], pair[1]])).collect();
    if words.len() < WORDS_MIN {
        return Ok(());
    }
    let share = |place: usize, holds: fn(u16) -> bool| {
        let own = words.iter().skip(place).step_by(4);
        own.clone().filter(|&&word| holds(word)).count() as f64 / own.count() as f64
    };
    // Shares at every fourth word from 0, 1, 2 and 3 on.
    let shares = |holds| [0, 1, 2, 3].map(|place| share(place, holds));
    let of_small = shares(|word| word == 0 || word == u16::MAX);
    for of_high in [of_small, shares(|word| word < 64 || word == u16::MAX)] {
        let is_high = of_high.map(|share| share > 0.9);
        let is_low = of_high.map(|share| share < 0.5);
        let bits = match (is_high, is_low) {
            ([_, true, _, true], [true, _, true, _]) => 32,
            ([_, true, true, true], [true, ..]) => 64,
            ([true, _, true, _], [_, true, _, true]) | ([true, true, true, _], [.., true]) => {
                return Err(Error::data(
                    "its tokens seem to be wider than 16 bits, with their bytes in reverse order",
                )
                .hint("write them little-endian: `numpy.fromfile(f, '>i4').astype('<u4')`"));
            }
            _ => continue,
        };
        return Err(Error::data(format!(
            "every second 16-bit token is zero or nearly so: its tokens seem to have {bits} bits"
        ))
        .hint(format!(
            "`--token-width u{bits}` reads them so, `--token-width u16` as they stand"
        )));
    }
    Ok(())
}

/// Passes the tokens on in chunks; `sink` says whether to go on.
fn chunks(
    input: &InputFile,
    layout: &Layout,
    vocabulary: Option<u32>,
    observer: &mut dyn Observer,
    sink: &mut dyn FnMut(&[u32]) -> Result<ControlFlow<()>>,
) -> Result<ControlFlow<()>> {
    let ended = |cause: std::io::Error| match cause.kind() {
        std::io::ErrorKind::UnexpectedEof => {
            Error::data("the file was cut short while it was read")
        }
        _ => failed(&cause),
    };
    let mut file = BufReader::new(File::open(&input.path).map_err(ended)?);
    file.seek_relative(layout.start as i64).map_err(ended)?;
    observer.advance(layout.start)?;
    let mut bytes = vec![0; CHUNK_TOKENS * layout.width.bytes() as usize];
    let mut tokens = vec![0; CHUNK_TOKENS];
    let mut done = 0;
    while done < layout.tokens {
        let count = (layout.tokens - done).min(CHUNK_TOKENS as u64) as usize;
        let length = count * layout.width.bytes() as usize;
        file.read_exact(&mut bytes[..length]).map_err(ended)?;
        layout.width.decode(&bytes[..length], &mut tokens[..count]);
        let outside = |&&token: &&u32| vocabulary.is_some_and(|size| token >= size);
        if let Some(token) = tokens[..count].iter().find(outside) {
            return Err(Error::data(format!(
                "token {token} is outside the vocabulary of {}",
                vocabulary.unwrap_or_default()
            ))
            .hint(match layout.start {
                0 => {
                    "the tokens were made with another tokenizer: give that one, or its size; or \
                     they have another width: `--token-width`"
                }
                _ => "the tokens were made with another tokenizer: give that one, or its size",
            }));
        }
        observer.advance(length as u64)?;
        if sink(&tokens[..count])?.is_break() {
            return Ok(ControlFlow::Break(()));
        }
        done += count as u64;
    }
    Ok(ControlFlow::Continue(()))
}

/// Documents between separators, or as an index says.
fn visit_separated(
    input: &InputFile,
    layout: &Layout,
    pass: &mut Pass<'_, Vec<u32>>,
) -> Result<ControlFlow<()>> {
    let Pass { reading, visitor, observer, counts } = pass;
    // Without the separator, which the writer puts before every document.
    let mut document = Vec::new();
    let mut flush = |document: &mut Vec<u32>| -> Result<ControlFlow<()>> {
        let taken = std::mem::take(document);
        if taken.is_empty() {
            return Ok(ControlFlow::Continue(()));
        }
        let head = Head { key: taken.key(), length: taken.len() as u64 };
        if visitor.document(head)?.is_break() {
            return Ok(ControlFlow::Break(()));
        }
        visitor.part(&taken)?;
        visitor.end()?;
        Ok(ControlFlow::Continue(()))
    };
    let (mut position, mut ends) = (0, layout.ends.iter().copied().peekable());
    let flow = chunks(input, layout, reading.vocabulary, *observer, &mut |tokens| {
        for &token in tokens {
            let ended = ends.next_if(|&end| end <= position).is_some();
            position += 1;
            let separates = Some(token) == reading.separator;
            if (ended || separates) && flush(&mut document)?.is_break() {
                return Ok(ControlFlow::Break(()));
            }
            if separates {
                continue;
            }
            document.push(token);
            if document.len() > DOCUMENT_TOKENS_MAX {
                let after =
                    reading.separator.map_or_else(String::new, |id| format!(" (token {id})"));
                return Err(Error::data(format!(
                    "no separator{after} within {DOCUMENT_TOKENS_MAX} tokens"
                ))
                .hint("`--separator` names the token that separates documents"));
            }
        }
        Ok(ControlFlow::Continue(()))
    })?;
    if flow.is_break() {
        return Ok(flow);
    }
    if layout.tokens == 0 {
        counts.empty_documents += 1;
    }
    flush(&mut document)
}

/// A file without separators is one document; it is read twice, first for its hash.
fn visit_whole(
    input: &InputFile,
    layout: &Layout,
    pass: &mut Pass<'_, Vec<u32>>,
) -> Result<ControlFlow<()>> {
    let Pass { reading, visitor, observer, .. } = pass;
    let mut key = KeyHasher::default();
    let _ = chunks(input, layout, reading.vocabulary, &mut (), &mut |tokens| {
        key.update_tokens(tokens);
        Ok(ControlFlow::Continue(()))
    })?;
    let head = Head { key: key.finish(), length: layout.tokens };
    if layout.tokens == 0 {
        return Ok(ControlFlow::Continue(()));
    }
    if visitor.document(head)?.is_break() {
        return Ok(ControlFlow::Break(()));
    }
    let _ = chunks(input, layout, reading.vocabulary, *observer, &mut |tokens| {
        visitor.part(tokens)?;
        Ok(ControlFlow::Continue(()))
    })?;
    visitor.end()?;
    Ok(ControlFlow::Continue(()))
}
