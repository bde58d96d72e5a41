//! The end of a page: a block for each record, which unfolds when it is the target of a link.
//!
//! Unfolding by `:target` needs no script and works in every browser. A block's own heading is a
//! link to it, so that it can be opened where it stands.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;

use super::anchors::{Anchors, Set};
use super::words::{number_text, paragraph, phrase};
use super::{Page, Source};
use crate::draw::svg::escape;
use crate::number::{duration, grouped, prefixed};
use crate::spec::JobKind;
use crate::store::Numerics;

/// The section's anchor.
pub(super) const ANCHOR: &str = "records";

/// Losses that a block shows; a record of an ensemble may hold one for each of hundreds of subsets.
const LOSSES_MAX: usize = 24;

/// A remark for every kind of record that comes from more than one numerics class.
pub(super) fn mixed_classes(page: &Page) -> Vec<String> {
    let mut kinds: BTreeMap<JobKind, BTreeSet<&Numerics>> = BTreeMap::new();
    for source in &page.sources {
        if let (Some(kind), Some(class)) = (source.kind, &source.numerics_class) {
            kinds.entry(kind).or_default().insert(class);
        }
    }
    let mixed = kinds.into_iter().filter(|(_, classes)| classes.len() > 1);
    mixed
        .map(|(kind, classes)| {
            let names: Vec<String> = classes.iter().map(ToString::to_string).collect();
            format!(
                "The records of kind {kind} come from {} numerics classes ({}): equal specs may \
                 differ in the last digits between them.",
                names.len(),
                names.join(", ")
            )
        })
        .collect()
}

/// A remark on records whose results differ from what their requests seem to say.
pub(super) fn consents(page: &Page) -> Option<String> {
    let allowed: Vec<&str> = page.sources.iter().map(|source| &*source.allowed).collect();
    let count = allowed.iter().filter(|words| !words.is_empty()).count();
    let words: BTreeSet<&str> = allowed
        .iter()
        .flat_map(|words| words.split(", "))
        .filter(|word| !word.is_empty())
        .collect();
    (count > 0).then(|| {
        format!(
            "{count} of the {} records below rest on consent to what is refused otherwise: {}. \
             Each says so itself.",
            allowed.len(),
            words.into_iter().collect::<Vec<_>>().join(", ")
        )
    })
}

/// Writes the whole section.
pub(super) fn write(body: &mut String, page: &Page, anchors: &Anchors) {
    let _ = writeln!(body, "<section>\n<h2 id=\"{ANCHOR}\">Where the numbers come from</h2>");
    if page.sources.is_empty() {
        paragraph(body, "caption", "No record is behind these numbers.");
    } else {
        let text = "A number that is a link leads here, to its record; the browser's back button \
                    returns. Records never change: the store finds them by their id.";
        paragraph(body, "caption", text);
    }
    let sources: BTreeMap<&str, &Source> =
        page.sources.iter().map(|source| (source.id.as_str(), source)).collect();
    for (link, set) in anchors.sets() {
        write_set(body, &link, set, anchors, &sources);
    }
    let mut kinds: BTreeMap<Option<JobKind>, Vec<&Source>> = BTreeMap::new();
    for source in in_reading_order(page) {
        kinds.entry(source.kind).or_default().push(source);
    }
    for (kind, sources) in kinds {
        let (title, count) = (escape(kind_title(kind)), sources.len());
        let _ = writeln!(
            body,
            "<details class=\"kind\" open=\"\">\n<summary>{title} <span>({count})</span></summary>"
        );
        for source in sources {
            write_source(body, source, anchors);
        }
        body.push_str("</details>\n");
    }
    body.push_str("</section>\n");
}

/// The sources in the order in which the page's numbers use them, the unused ones last.
fn in_reading_order(page: &Page) -> Vec<&Source> {
    let mut places: BTreeMap<&str, usize> = BTreeMap::new();
    let read = page.sections.iter().flat_map(super::Section::records);
    for (place, id) in read.enumerate() {
        places.entry(id).or_insert(place);
    }
    let mut sources: Vec<&Source> = page.sources.iter().collect();
    sources.sort_by_key(|source| places.get(source.id.as_str()).copied().unwrap_or(usize::MAX));
    sources
}

fn kind_title(kind: Option<JobKind>) -> &'static str {
    match kind {
        Some(JobKind::Train) => "Training runs",
        Some(JobKind::Evaluate) => "Evaluations",
        Some(JobKind::Ensemble) => "Ensembles of all subsets",
        Some(JobKind::Ngram) => "Estimates by counting",
        None => "Runs of other programs",
    }
}

/// The records behind one number; seen only while a link leads to it.
fn write_set(
    body: &mut String,
    link: &str,
    set: &Set,
    anchors: &Anchors,
    sources: &BTreeMap<&str, &Source>,
) {
    let _ = writeln!(
        body,
        "<div class=\"set\" id=\"{link}\">\n<p>{} records behind {} (<a href=\"#{}\">{}</a>):</p>\n\
         <ul>",
        set.records.len(),
        number_text(set.number),
        set.section.anchor,
        phrase(&set.section.title)
    );
    for id in set.records {
        let label = sources.get(id.as_str()).map_or("", |source| &source.label);
        let _ = writeln!(body, "<li>{} {}</li>", record_link(id, anchors), phrase(label));
    }
    body.push_str("</ul>\n</div>\n");
}

/// A record's short id that leads to its block, or the whole id where the page has no block.
fn record_link(id: &str, anchors: &Anchors) -> String {
    match anchors.of_record(id) {
        Some(link) => {
            format!("<a href=\"#{link}\"><code>{}</code></a>", escape(anchors.short(id)))
        }
        None => format!("<code>{}</code>", escape(id)),
    }
}

/// One line that is always seen, and the rest.
fn write_source(body: &mut String, source: &Source, anchors: &Anchors) {
    let link = anchors.of_record(&source.id).expect("every source has an anchor");
    let loss = source.headline.as_ref().map_or_else(String::new, |loss| {
        format!(" <span class=\"loss\">{}</span>", phrase(&format!("{} {}", loss.name, loss.text)))
    });
    let _ = writeln!(
        body,
        "<article class=\"record\" id=\"{link}\">\n<a class=\"line\" href=\"#{link}\">\
         <code>{}</code> <b>{}</b>{loss}</a>\n<dl>",
        escape(anchors.short(&source.id)),
        phrase(&source.label)
    );
    entry(body, "record", &format!("<code>{}</code>", escape(&source.id)));
    entry(body, "outcome", &phrase(&source.outcome));
    if !source.allowed.is_empty() {
        entry(body, "allowed", &phrase(&source.allowed));
    }
    for loss in source.losses.iter().take(LOSSES_MAX) {
        entry(body, &phrase(&loss.name), &number_text(&loss.text));
    }
    if let Some(more) = source.losses.len().checked_sub(LOSSES_MAX + 1) {
        entry(body, "further losses", &format!("{}, in the record", more + 1));
    }
    entry(body, "cost", &phrase(&cost(source)));
    entry(body, "machine", &phrase(&source.machine));
    if let Some(class) = &source.numerics_class {
        let class = escape(&class.to_string());
        entry(body, "numerics class", &format!("<code>{class}</code>"));
    }
    entry(body, "made by", &phrase(&source.made_by));
    if !source.inputs.is_empty() {
        let inputs: Vec<String> = source.inputs.iter().map(|id| record_link(id, anchors)).collect();
        entry(body, "made from", &inputs.join(" "));
    }
    entry(body, "resolved spec", &format!("<pre>{}</pre>", escape(source.spec.trim_end())));
    body.push_str("</dl>\n</article>\n");
}

/// A row of a block; both parts are HTML already.
fn entry(body: &mut String, name: &str, content: &str) {
    let _ = writeln!(body, "<dt>{name}</dt><dd>{content}</dd>");
}

fn cost(source: &Source) -> String {
    let cost = &source.cost;
    let parameters = match cost.parameters {
        0 => String::new(),
        count => format!("{} parameters, ", grouped(count)),
    };
    let known = if source.known { ", known before" } else { "" };
    format!(
        "{parameters}{} tokens, {}, {} wall, {} CPU{known}",
        grouped(cost.tokens),
        prefixed(cost.flops, "FLOP"),
        duration(cost.wall_seconds),
        duration(cost.cpu_seconds)
    )
}
