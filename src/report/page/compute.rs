//! What the page cost: every record once, in the section that shows it first.

use std::collections::{BTreeMap, BTreeSet};

use super::{Page, Source};
use crate::draw::table::{Align, Table};
use crate::number::{duration, grouped, prefixed};
use crate::spec::JobKind;

/// Sums over the records of a section.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
struct Sum {
    trained: u64,
    known: u64,
    tokens: u64,
    flops: f64,
    cpu_seconds: f64,
}

impl Sum {
    fn add(&mut self, source: &Source) {
        if source.kind == Some(JobKind::Train) {
            self.trained += u64::from(!source.known);
            self.known += u64::from(source.known);
            self.tokens += source.cost.tokens;
        }
        self.flops += source.cost.flops;
        self.cpu_seconds += source.cost.cpu_seconds;
    }

    fn push(&self, name: &str, table: &mut Table) {
        table.push([
            name.to_owned(),
            grouped(self.trained),
            grouped(self.known),
            grouped(self.tokens),
            prefixed(self.flops, "FLOP"),
            duration(self.cpu_seconds),
        ]);
    }
}

/// The table by section, with a last row for everything.
pub(super) fn table(page: &Page) -> Table {
    let mut table = Table::new(&[
        ("section", Align::Left),
        ("runs trained", Align::Right),
        ("runs known before", Align::Right),
        ("tokens trained on", Align::Right),
        ("operations", Align::Right),
        ("CPU time", Align::Right),
    ]);
    let sources: BTreeMap<&str, &Source> =
        page.sources.iter().map(|source| (source.id.as_str(), source)).collect();
    let mut counted = BTreeSet::new();
    for section in &page.sections {
        let ids = with_inputs(section.records().map(String::as_str), &sources);
        let mut sum = Sum::default();
        for id in ids.into_iter().filter(|id| counted.insert(*id)) {
            sum.add(sources[id]);
        }
        if sum != Sum::default() {
            sum.push(&section.title, &mut table);
        }
    }
    let (mut rest, mut all) = (Sum::default(), Sum::default());
    for source in &page.sources {
        all.add(source);
        if !counted.contains(source.id.as_str()) {
            rest.add(source);
        }
    }
    if rest != Sum::default() {
        rest.push("used without a number of their own", &mut table);
    }
    if table.rows().len() != 1 {
        all.push("all", &mut table);
    }
    table
}

/// The sentence below the table.
pub(super) fn caption(page: &Page) -> String {
    let mut caption =
        "A record that several sections use is counted in the first. Runs and tokens \
                       are those of trainings; operations (by formula) and CPU time include \
                       evaluations, and runs that were known before with what they cost when they \
                       were trained."
            .to_owned();
    if let Some(seconds) = page.wall_seconds {
        caption += &format!(" The command that made this page took {}.", duration(seconds));
    }
    caption
}

/// The ids with those of the records that they were made from, without end, each once.
fn with_inputs<'a>(
    ids: impl Iterator<Item = &'a str>,
    sources: &BTreeMap<&'a str, &'a Source>,
) -> BTreeSet<&'a str> {
    let mut found = BTreeSet::new();
    let mut open: Vec<&str> = ids.collect();
    while let Some(id) = open.pop() {
        let Some(source) = sources.get(id) else { continue };
        if found.insert(source.id.as_str()) {
            open.extend(source.inputs.iter().map(String::as_str));
        }
    }
    found
}
