//! Token files of nanoGPT and llm.c.
//!
//! nanoGPT: little-endian u16 and nothing else, a separator after each document. llm.c: a header of
//! 256 little-endian i32 {magic, version, tokens}, then u16 (magic 20240520, version 1) or u32
//! (magic 20240801, version 7), a separator before each document. Both read alike: a document is
//! what lies between separators, and it begins with one.

use std::fs::File;
use std::io::{BufReader, Read};
use std::ops::ControlFlow;

use super::content::{Content, KeyHasher};
use super::files::InputFile;
use super::stream::Observer;
use super::{Head, ReadCounts, Reading, Visitor};
use crate::data::corpus::TokenWidth;
use crate::{Error, Result};

const HEADER_BYTES: u64 = 1024;
const MAGIC_GPT2: i32 = 20_240_520;
const MAGIC_LLAMA3: i32 = 20_240_801;

/// A document between separators is held in memory.
const DOCUMENT_TOKENS_MAX: usize = 32 << 20;

/// Tokens read at a time.
const CHUNK_TOKENS: usize = 1 << 16;

/// Where the tokens of a file lie.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Layout {
    start: u64,
    width: TokenWidth,
    tokens: u64,
}

pub(super) fn visit(
    input: &InputFile,
    reading: &Reading,
    visitor: &mut dyn Visitor<Vec<u32>>,
    observer: &mut dyn Observer,
    counts: &mut ReadCounts,
) -> Result<ControlFlow<()>> {
    let layout = layout(input)?;
    match reading.separator {
        Some(separator) => {
            visit_separated(input, layout, reading, separator, visitor, observer, counts)
        }
        None => visit_whole(input, layout, reading, visitor, observer),
    }
}

/// The vocabulary that the file's kind implies: none for nanoGPT's.
pub fn declared_vocabulary(input: &InputFile) -> Result<Option<u32>> {
    let layout = layout(input).map_err(|error| error.within(input.path.display()))?;
    Ok(match (layout.start, layout.width) {
        (0, _) => None,
        (_, TokenWidth::U16) => Some(50_257),
        (_, TokenWidth::U32) => Some(128_256),
    })
}

/// Reads the header, if there is one, and compares it with the file's length.
fn layout(input: &InputFile) -> Result<Layout> {
    let failed = |cause: std::io::Error| Error::data(format!("failed to read: {cause}"));
    let mut header = Vec::new();
    File::open(&input.path)
        .and_then(|file| file.take(HEADER_BYTES).read_to_end(&mut header))
        .map_err(failed)?;
    let word = |index: usize| {
        let bytes = header.get(4 * index..4 * index + 4)?;
        Some(i32::from_le_bytes([bytes[0], bytes[1], bytes[2], bytes[3]]))
    };
    let (width, version) = match word(0) {
        Some(MAGIC_GPT2) => (TokenWidth::U16, 1),
        Some(MAGIC_LLAMA3) => (TokenWidth::U32, 7),
        _ => return headless(input),
    };
    let cut = || {
        Error::data("the file is cut short: it has less tokens than its header says")
            .hint("download or write the file again")
    };
    let (found, tokens) = word(1).zip(word(2)).ok_or_else(cut)?;
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
        _ => Ok(Layout { start: HEADER_BYTES, width, tokens }),
    }
}

/// nanoGPT's files have no header, so all that can be told is that u16 come in pairs of bytes.
fn headless(input: &InputFile) -> Result<Layout> {
    if !input.bytes.is_multiple_of(2) {
        return Err(Error::data(
            "the file is cut short, or not of tokens: u16 tokens need an even number of bytes",
        ));
    }
    Ok(Layout { start: 0, width: TokenWidth::U16, tokens: input.bytes / 2 })
}

/// Passes the tokens on in chunks; `sink` says whether to go on.
fn chunks(
    input: &InputFile,
    layout: Layout,
    vocabulary: Option<u32>,
    observer: &mut dyn Observer,
    sink: &mut dyn FnMut(&[u32]) -> Result<ControlFlow<()>>,
) -> Result<ControlFlow<()>> {
    let failed = |cause: std::io::Error| match cause.kind() {
        std::io::ErrorKind::UnexpectedEof => {
            Error::data("the file was cut short while it was read")
        }
        _ => Error::data(format!("failed to read: {cause}")),
    };
    let mut file = BufReader::new(File::open(&input.path).map_err(failed)?);
    file.seek_relative(layout.start as i64).map_err(failed)?;
    observer.advance(layout.start)?;
    let mut bytes = vec![0; CHUNK_TOKENS * layout.width.bytes() as usize];
    let mut tokens = vec![0; CHUNK_TOKENS];
    let mut done = 0;
    while done < layout.tokens {
        let count = (layout.tokens - done).min(CHUNK_TOKENS as u64) as usize;
        let length = count * layout.width.bytes() as usize;
        file.read_exact(&mut bytes[..length]).map_err(failed)?;
        layout.width.decode(&bytes[..length], &mut tokens[..count]);
        let outside = |&&token: &&u32| vocabulary.is_some_and(|size| token >= size);
        if let Some(token) = tokens[..count].iter().find(outside) {
            return Err(Error::data(format!(
                "token {token} is outside the vocabulary of {}",
                vocabulary.unwrap_or_default()
            ))
            .hint("the tokens were made with another tokenizer: give that one, or its size"));
        }
        observer.advance(length as u64)?;
        if sink(&tokens[..count])?.is_break() {
            return Ok(ControlFlow::Break(()));
        }
        done += count as u64;
    }
    Ok(ControlFlow::Continue(()))
}

/// Documents between separators.
fn visit_separated(
    input: &InputFile,
    layout: Layout,
    reading: &Reading,
    separator: u32,
    visitor: &mut dyn Visitor<Vec<u32>>,
    observer: &mut dyn Observer,
    counts: &mut ReadCounts,
) -> Result<ControlFlow<()>> {
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
    let flow = chunks(input, layout, reading.vocabulary, observer, &mut |tokens| {
        for &token in tokens {
            if token == separator {
                if flush(&mut document)?.is_break() {
                    return Ok(ControlFlow::Break(()));
                }
                continue;
            }
            document.push(token);
            if document.len() > DOCUMENT_TOKENS_MAX {
                return Err(Error::data(format!(
                    "no separator (token {separator}) within {DOCUMENT_TOKENS_MAX} tokens"
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
    layout: Layout,
    reading: &Reading,
    visitor: &mut dyn Visitor<Vec<u32>>,
    observer: &mut dyn Observer,
) -> Result<ControlFlow<()>> {
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
    let _ = chunks(input, layout, reading.vocabulary, observer, &mut |tokens| {
        visitor.part(tokens)?;
        Ok(ControlFlow::Continue(()))
    })?;
    visitor.end()?;
    Ok(ControlFlow::Continue(()))
}
