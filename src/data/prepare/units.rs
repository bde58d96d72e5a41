//! Cutting documents into what is encoded at a time: sections, or pieces of long documents.

use std::ops::{ControlFlow, Range};

use super::copies::{Copies, CopyFinder};
use super::split::{Place, Splitter};
use crate::Result;
use crate::data::input::{Content, Head, ReadCounts, Visitor};
use crate::spec::Split;

/// A section, a document, or a piece of one.
pub(super) struct Unit<C> {
    /// Where it goes; none if it lies on a border and is left out of all splits, or if it belongs
    /// to a side set.
    pub(super) split: Option<Split>,
    /// Whether a document of the corpus begins here; a piece that goes on does not.
    pub(super) starts_document: bool,
    /// Hash of the document's (or section's) content; of all its pieces alike.
    pub(super) key: u64,
    pub(super) content: C,
}

/// Takes units as they are cut.
pub(super) type Sink<'a, C> = dyn FnMut(Unit<C>) -> Result<()> + 'a;

/// Cuts documents and passes the units on.
pub(super) struct Cutter<'a, C> {
    /// None for side sets, whose documents go to no split.
    splitter: Option<Splitter>,
    sink: &'a mut Sink<'a, C>,
    copies: Copies,
    found: CopyFinder,
    /// Whether the document is a copy of an earlier one.
    is_copy: bool,
    place: Place,
    key: u64,
    /// Read but not passed on yet.
    buffer: C,
    /// Bytes or tokens of the document passed on so far.
    passed: u64,
}

impl<'a, C: Content> Cutter<'a, C> {
    /// Cuts documents for the splits that `splitter` gives them.
    pub(super) fn new(splitter: Splitter, copies: Copies, sink: &'a mut Sink<'a, C>) -> Self {
        Self { splitter: Some(splitter), copies, ..Self::aside(sink) }
    }

    /// Cuts documents of a side set.
    pub(super) fn aside(sink: &'a mut Sink<'a, C>) -> Self {
        Self {
            splitter: None,
            sink,
            copies: Copies::Drop,
            found: CopyFinder::default(),
            is_copy: false,
            place: Place::Aside,
            key: 0,
            buffer: C::default(),
            passed: 0,
        }
    }

    /// Adds the copies that were found to the counts of the reading.
    pub(super) fn report(&self, counts: &mut ReadCounts) {
        self.found.report(counts);
    }

    /// Whether the document is left out as a whole.
    fn is_left_out(&self) -> bool {
        let kept = self.copies == Copies::KeepInTraining && self.place.reaches_training();
        self.is_copy && !kept
    }

    /// Passes on what the buffer holds in this range.
    fn pass(&mut self, range: Range<usize>) -> Result<()> {
        let length = range.len();
        let content = self.buffer.copy(range);
        let unit = match self.place {
            Place::Whole(_) | Place::Aside => Unit {
                split: self.place.whole(),
                starts_document: self.passed == 0,
                key: self.key,
                content,
            },
            Place::Sections(regions) => Unit {
                split: regions.split(self.passed),
                starts_document: true,
                key: content.key(),
                content,
            },
        };
        self.passed += length as u64;
        // Of a copy only training text is kept.
        if self.is_copy && unit.split != Some(Split::Train) {
            return Ok(());
        }
        (self.sink)(unit)
    }

    /// Passes on what is surely complete. Cuts depend on the text alone, not on how it comes in.
    fn pass_complete(&mut self) -> Result<()> {
        let limit = match self.place {
            Place::Whole(_) | Place::Aside => C::PIECE_MAX,
            Place::Sections(regions) => regions.section as usize,
        };
        // Cutting needs to see the character after the limit. What was passed on leaves the buffer
        // at the end, at once: a document may come in one part, and have a million sections.
        let mut start = 0;
        while self.buffer.length() - start > limit + 4 {
            let length = match self.place {
                Place::Whole(_) | Place::Aside => self.buffer.piece_length(start, limit),
                Place::Sections(_) => self.buffer.section_length(start, limit),
            };
            self.pass(start..start + length)?;
            start += length;
        }
        self.buffer.drop_front(start);
        Ok(())
    }
}

impl<C: Content> Visitor<C> for Cutter<'_, C> {
    fn document(&mut self, head: Head) -> Result<ControlFlow<()>> {
        let place = self.splitter.map_or(Place::Aside, |splitter| splitter.place(head));
        (self.place, self.key, self.passed) = (place, head.key, 0);
        self.is_copy = self.found.is_copy(head.key);
        if self.is_copy {
            let kept = !self.is_left_out();
            self.found.count(kept);
        }
        Ok(ControlFlow::Continue(()))
    }

    fn part(&mut self, part: &C::Part) -> Result<()> {
        if self.is_left_out() {
            return Ok(());
        }
        self.buffer.append(part);
        self.pass_complete()
    }

    fn end(&mut self) -> Result<()> {
        match self.buffer.length() {
            0 => Ok(()),
            rest => {
                self.pass(0..rest)?;
                self.buffer.drop_front(rest);
                Ok(())
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::data::prepare::split::Shares;

    fn book() -> String {
        (0..3000).map(|n| format!("Paragraph {n} has some words.\nAnd two lines.\n\n")).collect()
    }

    /// Cuts a text that comes in parts of `size` bytes.
    fn cut(text: &str, size: usize, section: Option<(u64, u64)>) -> Vec<Unit<String>> {
        let mut units = Vec::new();
        let mut collect = |unit| {
            units.push(unit);
            Ok(())
        };
        let splitter = Splitter::new(Shares { val: 0.1, test: 0.1 }, 0, section);
        let mut cutter = Cutter::new(splitter, Copies::Drop, &mut collect);
        let head = Head { key: text.to_owned().key(), length: text.len() as u64 };
        assert!(cutter.document(head).unwrap().is_continue());
        text.as_bytes()
            .chunks(size)
            .for_each(|part| cutter.part(std::str::from_utf8(part).unwrap()).unwrap());
        cutter.end().unwrap();
        units
    }

    #[test]
    fn sections_hold_all_the_text_whatever_the_parts() {
        let text = book();
        let whole = cut(&text, text.len(), Some((1000, 5000)));
        assert!(whole.len() > 50);
        let joined: String = whole.iter().map(|unit| &*unit.content).collect();
        assert!(joined == text);
        assert!(whole.iter().all(|unit| unit.starts_document));
        assert!(whole[..whole.len() - 1].iter().all(|unit| unit.content.ends_with("\n\n")));
        assert!(whole.iter().any(|unit| unit.split.is_none()));
        for size in [1, 7, 4096] {
            let parts = cut(&text, size, Some((1000, 5000)));
            let same = |(a, b): (&Unit<String>, &Unit<String>)| {
                a.content == b.content && a.split == b.split && a.key == b.key
            };
            assert!(parts.len() == whole.len() && parts.iter().zip(&whole).all(same));
        }
    }

    #[test]
    fn long_documents_are_encoded_in_pieces_of_one_document() {
        let text = book().repeat(5);
        let pieces = cut(&text, 10_000, None);
        assert!(pieces.len() > 2);
        let joined: String = pieces.iter().map(|unit| &*unit.content).collect();
        assert!(joined == text);
        let starts: Vec<bool> = pieces.iter().map(|unit| unit.starts_document).collect();
        assert!(starts[0] && !starts[1..].contains(&true));
        assert!(pieces.iter().all(|unit| unit.key == text.clone().key()));
    }

    /// A document that comes in one part (a row of Parquet) is cut without moving its rest for each
    /// section, which would take minutes here.
    #[test]
    fn a_document_of_many_sections_is_cut_at_once() {
        let (sender, receiver) = std::sync::mpsc::channel();
        std::thread::spawn(move || {
            let tokens = vec![7; 8 << 20];
            let mut units = 0;
            let mut count = |_: Unit<Vec<u32>>| {
                units += 1;
                Ok(())
            };
            let splitter = Splitter::new(Shares { val: 0.1, test: 0.1 }, 0, Some((64, 64)));
            let mut cutter = Cutter::new(splitter, Copies::Drop, &mut count);
            let head = Head { key: 1, length: tokens.len() as u64 };
            assert!(cutter.document(head).unwrap().is_continue());
            cutter.part(&tokens).unwrap();
            cutter.end().unwrap();
            sender.send(units).unwrap();
        });
        let units = receiver.recv_timeout(std::time::Duration::from_secs(90));
        assert_eq!(units, Ok((8 << 20) / 64));
    }
}
