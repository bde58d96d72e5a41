//! Side sets: read, compared with the training text and encoded like held-out text, but apart from
//! all splits and after them, so that no choice of `prepare` depends on them.

use std::collections::BTreeMap;

use super::encode::{Batch, EncodedUnit};
use super::lost::Losses;
use super::plan::Plan;
use super::vocabulary::Tokens;
use crate::Result;
use crate::data::corpus::{CorpusWriter, Duplicates, SideProvenance};
use crate::data::input::{Content, Observer};
use crate::spec::SideName;

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
