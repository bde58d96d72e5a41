//! Reading what people have: text, JSON lines, Parquet and token files, plain or compressed.
//!
//! Everything streams: a file of any size is read in bounded memory. What is not as it must be is
//! an error that names the file and the place in it; nothing is guessed or silently dropped.

mod bin;
mod content;
mod files;
mod json;
mod jsonl;
#[cfg(feature = "parquet")]
mod parquet;
mod standard_input;
mod stream;
mod text;

use std::ops::ControlFlow;

use crate::Result;
use crate::error::quoted_path;

pub use bin::{TokenInteger, declared_vocabulary, indexed_files};
pub use content::Content;
pub use files::{FileKind, InputFile, Packing, Sources, expand, is_standard_input};
pub use standard_input::StandardInput;
pub use stream::Observer;
pub use text::InvalidUtf8;

/// A document about to come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Head {
    /// Keyed hash of the content: decides the split, and is equal for equal documents.
    pub key: u64,
    /// Length in bytes of text, or in tokens for token files.
    pub length: u64,
}

/// Takes documents as they are read, in pieces of any size.
pub trait Visitor<C: Content> {
    /// A document begins; `Break` stops all reading.
    fn document(&mut self, head: Head) -> Result<ControlFlow<()>>;

    /// The next part of its content.
    fn part(&mut self, part: &C::Part) -> Result<()>;

    /// It is complete.
    fn end(&mut self) -> Result<()>;
}

/// How to read.
#[derive(Clone, Debug)]
pub struct Reading {
    /// The field of JSON lines, or column of Parquet files, that holds the text.
    pub text_field: String,
    /// What to do about bytes that are not UTF-8.
    pub invalid_utf8: InvalidUtf8,
    /// The token that separates documents in token files.
    pub separator: Option<u32>,
    /// Tokens in token files must lie below this.
    pub vocabulary: Option<u32>,
    /// The integers of token files without a header; none if their width is to be found out.
    pub token_integer: Option<TokenInteger>,
}

/// What was met while reading.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ReadCounts {
    /// Documents without any text, which were skipped.
    pub empty_documents: u64,
    /// Those of them whose text is null, or without its field.
    pub null_texts: u64,
    /// Characters put in place of invalid UTF-8, and of escapes of half surrogate pairs.
    pub replaced_characters: u64,
    /// Copies of documents that were left out.
    pub copies_left_out: u64,
    /// Copies of training documents that were kept.
    pub copies_kept: u64,
}

impl ReadCounts {
    /// Adds what was met elsewhere.
    pub fn add(&mut self, other: Self) {
        self.empty_documents += other.empty_documents;
        self.null_texts += other.null_texts;
        self.replaced_characters += other.replaced_characters;
        self.copies_left_out += other.copies_left_out;
        self.copies_kept += other.copies_kept;
    }
}

/// One reading of files: how, and who takes what comes.
pub struct Pass<'a, C: Content> {
    reading: &'a Reading,
    visitor: &'a mut dyn Visitor<C>,
    observer: &'a mut dyn Observer,
    counts: ReadCounts,
}

/// Reads files one after the other.
///
/// # Errors
/// If a file cannot be read or holds something else than its name promises; each names the file.
pub fn visit<C: Content>(
    files: &[InputFile],
    reading: &Reading,
    visitor: &mut dyn Visitor<C>,
    observer: &mut dyn Observer,
) -> Result<ReadCounts> {
    let mut pass = Pass { reading, visitor, observer, counts: ReadCounts::default() };
    for file in files {
        let flow = C::visit(file, &mut pass);
        let flow = flow.map_err(|error| error.within(quoted_path(&file.path)))?;
        file.check_unchanged()?;
        if flow.is_break() {
            break;
        }
    }
    Ok(pass.counts)
}

/// Reads a file of tokens.
fn visit_tokens(file: &InputFile, pass: &mut Pass<'_, Vec<u32>>) -> Result<ControlFlow<()>> {
    bin::visit(file, pass)
}

/// Reads a file of text.
fn visit_text(file: &InputFile, pass: &mut Pass<'_, String>) -> Result<ControlFlow<()>> {
    match file.kind {
        FileKind::Text => text::visit(file, pass),
        FileKind::JsonLines => jsonl::visit(file, pass),
        FileKind::Json => json::visit(file, pass),
        #[cfg(feature = "parquet")]
        FileKind::Parquet => parquet::visit(file, pass),
        #[cfg(not(feature = "parquet"))]
        FileKind::Parquet => Err(crate::Error::usage("this program was built without Parquet")
            .hint("build it with `--features parquet`, or convert the file to JSON lines")),
        FileKind::Tokens => panic!("token files hold no text"),
    }
}

/// Hands a document that lies in memory to the visitor; empty ones are counted and skipped.
fn whole_document(text: &str, pass: &mut Pass<'_, String>) -> Result<ControlFlow<()>> {
    if text.trim_start().is_empty() {
        pass.counts.empty_documents += 1;
        return Ok(ControlFlow::Continue(()));
    }
    let mut key = content::KeyHasher::default();
    key.update(text.as_bytes());
    let head = Head { key: key.finish(), length: text.len() as u64 };
    if pass.visitor.document(head)?.is_break() {
        return Ok(ControlFlow::Break(()));
    }
    pass.visitor.part(text)?;
    pass.visitor.end()?;
    Ok(ControlFlow::Continue(()))
}

#[cfg(test)]
pub(crate) mod tests;
