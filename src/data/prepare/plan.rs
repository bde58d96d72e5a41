//! What is read, where it goes, and whether documents are whole or cut into sections.

use std::collections::BTreeSet;
use std::ops::ControlFlow;

use super::PrepareOptions;
use super::copies::{Copies, CopyFinder};
use super::split::{DOCUMENTS_MIN, Shares, Splitter};
use super::units::{Cutter, Sink};
use super::vocabulary::Tokens;
use crate::data::corpus::{SplitPolicy, Splits};
use crate::data::input::{
    Content, Head, InputFile, Observer, ReadCounts, Reading, Sources, Visitor, expand, visit,
};
use crate::error::quoted_path;
use crate::spec::{SideName, Split};
use crate::{Error, Result};

/// Holds out whole sequences of a fixed shuffled order (mission D2).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SequenceSplit {
    /// T, tokens of a sequence.
    pub sequence_tokens: u32,
    /// Sequences of each held-out split.
    pub held_out_sequences: u64,
}

/// Files that are split alike.
struct Group {
    files: Vec<InputFile>,
    splitter: Splitter,
    sections: bool,
}

/// All files that are read.
pub(super) struct Inputs {
    pub(super) files: Splits<Vec<InputFile>>,
    pub(super) sides: Vec<SideInput>,
}

/// All that the passes over the input need to know.
pub(super) struct Plan<'a> {
    groups: Vec<Group>,
    pub(super) sides: &'a [SideInput],
    reading: Reading,
    shares: Shares,
    copies: Copies,
    /// Documents of the input, up to [`DOCUMENTS_MIN`].
    documents: usize,
    pub(super) notes: Vec<String>,
}

/// Rejects shares and files that contradict each other.
pub(super) fn check_shares(options: &PrepareOptions) -> Result<()> {
    let (val, test) = (options.val_share, options.test_share);
    let refused = |what: String| Err(Error::usage(what));
    for (name, share) in [("val", val), ("test", test)] {
        if !(0.0..1.0).contains(&share) || share <= 0.0 {
            return refused(format!("`--{name}-share {share}` is not between 0 and 1"));
        }
    }
    if val + test >= 1.0 {
        return refused(format!("shares of {val} and {test} leave no training text"));
    }
    if options.inputs.is_empty() {
        return refused("there is no input".to_owned());
    }
    if options.sequences.is_some() && !(options.val.is_empty() && options.test.is_empty()) {
        return refused(
            "a split by sequences takes held-out text from the input: `--val` and `--test` \
             contradict it"
                .to_owned(),
        );
    }
    Ok(())
}

impl<'a> Plan<'a> {
    /// Counts documents and decides how each group of files is split.
    pub(super) fn new<C: Content>(
        options: &PrepareOptions,
        inputs: &'a Inputs,
        given: Option<&Tokens>,
        observer: &mut dyn Observer,
    ) -> Result<Self> {
        let reading = Reading {
            text_field: options.text_field.clone(),
            invalid_utf8: options.invalid_utf8,
            separator: given.and_then(|tokens| tokens.separator),
            vocabulary: given.map(|tokens| tokens.size),
            token_integer: options.token_integer,
        };
        let (files, sides) = (&inputs.files, &inputs.sides[..]);
        let mut notes = Vec::new();
        let only = |split| match split {
            Split::Train => Shares { val: 0.0, test: 0.0 },
            Split::Val => Shares { val: 1.0, test: 0.0 },
            Split::Test => Shares { val: 0.0, test: 1.0 },
        };
        let has = |split| !files.get(split).is_empty();
        let of_input = match (has(Split::Val), has(Split::Test)) {
            _ if options.sequences.is_some() => only(Split::Train),
            (true, _) => only(Split::Train),
            (false, true) => Shares { val: options.val_share, test: 0.0 },
            (false, false) => Shares { val: options.val_share, test: options.test_share },
        };
        let of_val = if has(Split::Val) && !has(Split::Test) {
            notes.push(
                "the validation files were divided between val and test, so that there is a test \
                 split that no choice has seen; `--test FILE` gives one apart"
                    .to_owned(),
            );
            Shares { val: 0.5, test: 0.5 }
        } else {
            only(Split::Val)
        };
        let (groups, shares) = (Vec::new(), of_input);
        let copies = if options.keep_duplicates { Copies::KeepInTraining } else { Copies::Drop };
        let mut plan = Self { groups, sides, reading, shares, copies, documents: 0, notes };
        for (split, shares) in
            [(Split::Train, of_input), (Split::Val, of_val), (Split::Test, only(Split::Test))]
        {
            if has(split) {
                plan.add_group::<C>(files.get(split), shares, options.seed, observer)?;
            }
        }
        for side in sides {
            plan.survey::<C>(&side.files, observer)
                .map_err(|error| error.within(format!("side set `{}`", side.name)))?;
        }
        Ok(plan)
    }

    fn add_group<C: Content>(
        &mut self,
        files: &[InputFile],
        shares: Shares,
        seed: u64,
        observer: &mut dyn Observer,
    ) -> Result<()> {
        let documents = self.survey::<C>(files, observer)?;
        // A group that goes to one split as a whole needs no sections.
        let divided = [shares.val, shares.test, 1.0 - shares.val - shares.test]
            .iter()
            .filter(|&&share| share > 0.0)
            .count()
            > 1;
        let sections = divided && documents < DOCUMENTS_MIN;
        let splitter = Splitter::new(shares, seed, sections.then_some(C::SECTION));
        self.documents = self.documents.max(documents);
        self.groups.push(Group { files: files.to_vec(), splitter, sections });
        Ok(())
    }

    /// Counts documents, up to [`DOCUMENTS_MIN`]; none at all is an error.
    fn survey<C: Content>(
        &self,
        files: &[InputFile],
        observer: &mut dyn Observer,
    ) -> Result<usize> {
        let mut survey = Survey { documents: 0, copies: self.copies, found: CopyFinder::default() };
        observer.stage("counting documents", files.iter().map(|file| file.bytes).sum());
        visit::<C>(files, &self.reading, &mut survey, observer)?;
        if survey.documents == 0 {
            let first = quoted_path(&files[0].path);
            return Err(Error::data(format!("there is no text in `{first}`"))
                .hint("every document is empty"));
        }
        Ok(survey.documents)
    }

    /// Passes all units of a side set to the sink.
    pub(super) fn pass_side<C: Content>(
        &self,
        stage: &str,
        side: &SideInput,
        sink: &mut Sink<'_, C>,
        observer: &mut dyn Observer,
    ) -> Result<ReadCounts> {
        observer.stage(stage, side.files.iter().map(|file| file.bytes).sum());
        let mut cutter = Cutter::aside(sink);
        let mut counts = visit::<C>(&side.files, &self.reading, &mut cutter, observer)
            .map_err(|error| error.within(format!("side set `{}`", side.name)))?;
        cutter.report(&mut counts);
        Ok(counts)
    }

    /// Passes all units of the splits to the sink.
    pub(super) fn pass<C: Content>(
        &self,
        stage: &str,
        sink: &mut Sink<'_, C>,
        observer: &mut dyn Observer,
    ) -> Result<ReadCounts> {
        let bytes = self.groups.iter().flat_map(|group| &group.files).map(|file| file.bytes).sum();
        observer.stage(stage, bytes);
        let mut counts = ReadCounts::default();
        for group in &self.groups {
            let mut cutter = Cutter::new(group.splitter, self.copies, sink);
            counts.add(visit::<C>(&group.files, &self.reading, &mut cutter, observer)?);
            cutter.report(&mut counts);
        }
        Ok(counts)
    }

    pub(super) fn cuts_sections(&self) -> bool {
        self.groups.iter().any(|group| group.sections)
    }

    /// The manifest's account of the split.
    pub(super) fn policy(&self, gap_bytes: u64) -> SplitPolicy {
        let Shares { val: val_share, test: test_share } = self.shares;
        if self.cuts_sections() {
            SplitPolicy::Sections { val_share, test_share, gap_bytes }
        } else {
            SplitPolicy::Documents { val_share, test_share }
        }
    }

    /// How sections were cut, for people.
    pub(super) fn describe_sections(&self, gap: u64) -> String {
        format!(
            "there are fewer than {DOCUMENTS_MIN} documents, so long ones were cut at paragraph \
             ends into sections; held-out sections are contiguous, and {gap} bytes at their \
             borders were left out"
        )
    }

    /// What to do about a split without documents.
    pub(super) fn hint_for_empty(&self, split: Split) -> String {
        let documents = match self.documents {
            DOCUMENTS_MIN => format!("at least {DOCUMENTS_MIN} documents"),
            1 => "one short document".to_owned(),
            count => format!("{count} documents"),
        };
        match split {
            Split::Train => format!("the input has {documents}: lower `--val-share`, add text"),
            _ => format!(
                "the input has {documents}: raise `--{split}-share`, give `--{split} FILE`, or add \
                 text"
            ),
        }
    }
}

/// Counts documents, and stops when there are enough.
struct Survey {
    documents: usize,
    copies: Copies,
    found: CopyFinder,
}

impl<C: Content> Visitor<C> for Survey {
    fn document(&mut self, head: Head) -> Result<ControlFlow<()>> {
        let is_new = !self.found.is_copy(head.key);
        self.documents += usize::from(is_new || self.copies == Copies::KeepInTraining);
        let enough = self.documents >= DOCUMENTS_MIN;
        Ok(if enough { ControlFlow::Break(()) } else { ControlFlow::Continue(()) })
    }

    fn part(&mut self, _part: &C::Part) -> Result<()> {
        Ok(())
    }

    fn end(&mut self) -> Result<()> {
        Ok(())
    }
}

/// The files of a side set.
pub(super) struct SideInput {
    pub(super) name: SideName,
    pub(super) files: Vec<InputFile>,
}

/// Lists the files of every side set; `skipped` gets those that were passed over.
pub(super) fn list_sides(
    options: &PrepareOptions,
    sources: &Sources,
    skipped: &mut Vec<String>,
) -> Result<Vec<SideInput>> {
    let mut names = BTreeSet::new();
    let mut sides = Vec::new();
    for (name, path) in &options.sides {
        if !names.insert(name) {
            return Err(Error::usage(format!("there are two side sets `{name}`"))
                .hint("give each a name of its own, or put the files of one set into a folder"));
        }
        let (files, passed_over) = expand(std::slice::from_ref(path), sources)
            .map_err(|error| error.within(format!("side set `{name}`")))?;
        skipped.extend(passed_over);
        sides.push(SideInput { name: name.clone(), files });
    }
    Ok(sides)
}
