//! Side sets: read, compared with the training text and encoded like held-out text, but apart from
//! all splits and after them, so that no choice of `prepare` depends on them.

use std::collections::{BTreeMap, BTreeSet};

use super::PrepareOptions;
use super::encode::{Batch, EncodedUnit};
use super::lost::Losses;
use super::plan::Plan;
use super::vocabulary::Tokens;
use crate::data::corpus::{CorpusWriter, Duplicates, SideProvenance};
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
        let mut write = |losses: &mut Losses, unit: EncodedUnit<'_>| {
            losses.add(side.name.as_str(), unit.lost);
            part.push(unit.starts_document, unit.tokens, unit.bytes)
        };
        let mut batch = Batch::<C>::new((tokens, &mut *losses), &mut write);
        let stage = format!("encoding {}", side.name);
        let counts = plan.pass_side(&stage, side, &mut |unit| batch.push(unit), observer)?;
        batch.finish()?;
        let mut input = super::input_facts(side.files.iter());
        super::set_counts(&mut input, counts);
        let duplicates = duplicates.as_ref().map(|of_sides| of_sides[index]);
        provenance.insert(side.name.clone(), SideProvenance { duplicates, input });
    }
    Ok(provenance)
}
