//! Side sets: read, compared with the training text and encoded like held-out text, but apart from
//! all splits and after them, so that no choice of `prepare` depends on them.

use std::collections::{BTreeMap, BTreeSet};

use super::PrepareOptions;
use super::encode::Batch;
use super::lost::Losses;
use super::plan::Plan;
use super::units::{Sink, Unit};
use super::vocabulary::Tokens;
use crate::data::corpus::{CorpusWriter, Duplicates, PartWriter, SideProvenance};
use crate::data::input::{Content, InputFile, Observer, Sources, expand};
use crate::spec::SideName;
use crate::{Error, Result};

/// The files of a side set.
pub(super) struct SideInput {
    pub(super) name: SideName,
    pub(super) files: Vec<InputFile>,
}

/// Lists the files of every side set; `skipped` gets those that were passed over.
pub(super) fn list(
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

/// Encodes and writes all side sets. `duplicates` are those of each set in the plan's order, where
/// they were looked for. Returns what the writer wants to know of them.
pub(super) fn encode<C: Content>(
    plan: &Plan,
    duplicates: Option<Vec<Duplicates>>,
    (tokens, losses): (&Tokens, &mut Losses),
    writer: &mut CorpusWriter,
    observer: &mut dyn Observer,
) -> Result<BTreeMap<SideName, SideProvenance>> {
    let mut provenance = BTreeMap::new();
    for (index, side) in plan.sides.iter().enumerate() {
        let part = writer.side(&side.name)?;
        let mut pass =
            SidePass { name: side.name.as_str(), losses, batch: Batch::<C>::new(tokens), part };
        let stage = format!("encoding {}", side.name);
        let counts = plan.pass_side(&stage, side, &mut pass, observer)?;
        pass.write()?;
        let mut input = super::input_facts(side.files.iter());
        super::set_counts(&mut input, counts);
        let duplicates = duplicates.as_ref().map(|of_sides| of_sides[index]);
        provenance.insert(side.name.clone(), SideProvenance { duplicates, input });
    }
    Ok(provenance)
}

struct SidePass<'a, C> {
    name: &'a str,
    losses: &'a mut Losses,
    batch: Batch<'a, C>,
    part: &'a mut PartWriter,
}

impl<C: Content> Sink<C> for SidePass<'_, C> {
    fn unit(&mut self, unit: Unit<C>) -> Result<()> {
        if self.batch.push(unit) { self.write() } else { Ok(()) }
    }
}

impl<C: Content> SidePass<'_, C> {
    fn write(&mut self) -> Result<()> {
        let (name, part, losses) = (self.name, &mut *self.part, &mut *self.losses);
        self.batch.encode(&mut |unit| {
            losses.add(name, unit.lost);
            match unit.starts_document {
                true => part.start_document(unit.tokens, unit.bytes),
                false => part.continue_document(unit.tokens, unit.bytes),
            }
        })?;
        losses.check_early()
    }
}
