//! What a page must be: well formed, closed in itself, of bearable size, and honest in its sums.

use std::collections::BTreeSet;

use super::*;
use crate::draw::palette::Paint;
use crate::draw::table::{Align, Cell};
use crate::spec::{Job, JobId, JobKind, NgramSpec, Split};

const HOSTILE: &str = "</title></pre><script>alert(1)</script><img src=x onerror='a()'>\"& -1";

/// A record with the size of a real one.
fn source(id: &str, kind: JobKind, inputs: &[&str], known: bool) -> Source {
    Source {
        id: id.into(),
        label: format!("run {id}"),
        kind: Some(kind),
        outcome: "finished".into(),
        losses: vec![MeasuredLoss {
            name: "val, model".into(),
            text: "2.7157 ± 0.0088 nats/token".into(),
        }],
        headline: None,
        allowed: String::new(),
        cost: Cost {
            tokens: 1000,
            flops: 1e12,
            wall_seconds: 20.0,
            cpu_seconds: 10.0,
            parameters: 179_136,
        },
        machine: "a processor, 1 of 2 processors, avx512, linux-x86_64".into(),
        numerics_class: "cpu/f32/exact/1".parse().ok(),
        made_by: "scarce 0.1.0, 2026-11-22 04:45:08 UTC".into(),
        spec: "some.key.of.the.spec = 0.123456\n".repeat(45),
        inputs: inputs.iter().map(|&id| id.to_owned()).collect(),
        known,
    }
}

fn ids(names: &[&str]) -> Vec<String> {
    names.iter().map(|&name| name.to_owned()).collect()
}

/// Two sections that share records, a picture with a point, and a set of three records.
fn example() -> Page {
    let mut page = Page::new("A study", "a corpus, 1,000 tokens");
    page.headline = "The lowest loss is 2.7157.".into();
    page.sources = vec![
        source("aaaaaaaaaaaa", JobKind::Train, &[], true),
        source("bbbbbbbbbbbb", JobKind::Train, &[], false),
        source("cccccccccccc", JobKind::Train, &[], false),
        source("dddddddddddd", JobKind::Evaluate, &["aaaaaaaaaaaa", "bbbbbbbbbbbb"], false),
        source("eeeeeeeeeeee", JobKind::Train, &[], false),
    ];
    let mut table = Table::new(&[("recipe", Align::Left), ("loss (nats)", Align::Right)]);
    let one = Cell::of("-0.0530 ± 0.0022", &ids(&["dddddddddddd"]));
    table.push([Cell::from("ensemble"), one]);
    let all = ids(&["aaaaaaaaaaaa", "bbbbbbbbbbbb", "cccccccccccc"]);
    table.push([Cell::from("law"), Cell::of("2.6 (2.5 to 2.7)", &all)]);
    let sentence = "outside of the measured losses, so that there is no number";
    table.push([Cell::from("none"), Cell::from(sentence)]);
    let mut first = Section::new("First", "first");
    first.blocks = vec![Block::Text("Some words.".into()), Block::table(table, "A caption.")];
    let mut scene = Scene::new(100.0, 50.0, "a dot");
    scene.circle((50.0, 25.0), 4.0, Paint::Blue, None);
    scene.spot((50.0, 25.0), "2.7157 nats", &ids(&["bbbbbbbbbbbb"]));
    scene.spot((70.0, 25.0), "nothing behind it", &[]);
    let mut second = Section::new("Second", "second");
    second.blocks.push(Block::Warning("Few points.".into()));
    second.blocks.push(Block::Figure(Figure {
        name: "dots".into(),
        caption: "A dot.".into(),
        scene,
        files: ids(&["figures/dots.svg", "figures/a b.csv"]),
    }));
    page.sections = vec![first, second];
    page
}

/// Reads the page as XML, which is stricter than HTML and finds every unescaped sign; returns its
/// ids and what its links lead to.
fn check(page: &Page) -> (String, BTreeSet<String>, Vec<String>) {
    let html = page.to_html();
    let text = html.strip_prefix("<!DOCTYPE html>").unwrap();
    // The only elements whose end tag HTML leaves out.
    let mut parts = text.split("<meta ");
    let mut xml = parts.next().unwrap().to_owned();
    for part in parts {
        xml += &format!("<meta {}", part.replacen('>', "/>", 1));
    }
    let document = resvg::usvg::roxmltree::Document::parse(&xml).unwrap();
    let of = |name: &str| -> Vec<String> {
        let values = document.descendants().filter_map(|node| node.attribute(name));
        values.map(str::to_owned).collect()
    };
    let found = of("id");
    let unique: BTreeSet<String> = found.iter().cloned().collect();
    assert_eq!(found.len(), unique.len(), "an id stands twice");
    let links = of("href");
    for link in links.iter().filter_map(|link| link.strip_prefix('#')) {
        assert!(unique.contains(link), "no target for #{link}");
    }
    for foreign in ["http:", "https:", "<script", "@import", "url(", "<link", "<img", " on"] {
        let attributes = document.descendants().flat_map(|node| node.attributes());
        let scripted = attributes.into_iter().any(|a| a.name().starts_with("on"));
        assert!(!scripted && (foreign == " on" || !html.contains(foreign)), "{foreign}");
    }
    (html, unique, links)
}

#[test]
fn numbers_lead_to_their_records() {
    let (html, ids, links) = check(&example());
    let expected = ["r-aaaaaaaa", "r-eeeeeeee", "set-1", "first", "second", "cost", "records"];
    assert!(expected.iter().all(|id| ids.contains(*id)), "{ids:?}");
    assert!(html.contains("<a href=\"#r-dddddddd\">−0.0530 ± 0.0022</a>"), "{html}");
    assert!(html.contains("<a href=\"#set-1\">2.6 (2.5 to 2.7)</a>"));
    assert!(html.contains("<a href=\"#r-bbbbbbbb\" aria-label=\"2.7157 nats\">"));
    assert!(html.contains("<td class=\"number words\">outside of the measured losses, so that"));
    // A set lists its records, an evaluation its members, and every block shows its whole id.
    assert!(html.contains("3 records behind"), "{html}");
    assert!(html.contains("<dt>made from</dt><dd><a href=\"#r-aaaaaaaa\">"));
    assert!(html.contains("<dt>record</dt><dd><code>cccccccccccc</code>"));
    let files: Vec<&String> = links.iter().filter(|link| !link.starts_with('#')).collect();
    assert_eq!(files, ["./figures/dots.svg", "./figures/a%20b.csv"]);
    assert!(!html.contains("<nav"), "two sections need no contents");
}

#[test]
fn what_it_cost_counts_every_record_once() {
    let text = compute::table(&example()).to_text();
    let rows: Vec<Vec<&str>> = text
        .lines()
        .skip(2)
        .map(|line| line.split("  ").map(str::trim).filter(|cell| !cell.is_empty()).collect())
        .collect();
    // The evaluation's members and the law's third run belong to the first section, so that the
    // picture of the second adds nothing.
    assert_eq!(rows[0], ["First", "2", "1", "3,000", "4.00 TFLOP", "40.0 s"]);
    let rest = ["used without a number of their own", "1", "0", "1,000", "1.00 TFLOP", "10.0 s"];
    assert_eq!(rows[1], rest);
    assert_eq!(rows[2], ["all", "3", "1", "4,000", "5.00 TFLOP", "50.0 s"]);
    assert_eq!(rows.len(), 3);
}

#[test]
fn mixed_numerics_classes_are_said_of_equal_kinds_only() {
    let mut page = example();
    page.sources[3].numerics_class = "cpu/bf16-amx/exact/1".parse().ok();
    assert!(provenance::mixed_classes(&page).is_empty());
    page.sources[0].numerics_class = "cuda/bf16/fast/1".parse().ok();
    let (html, ..) = check(&page);
    let expected = "kind train come from 2 numerics classes (cpu/f32/exact/1, cuda/bf16/fast/1)";
    assert!(html.contains(expected), "{html}");
}

#[test]
fn reads_of_test_are_counted_by_day() {
    let job = Job::Ngram(NgramSpec {
        corpus: "0".repeat(64).parse().unwrap(),
        budget_tokens: 1,
        sequence_tokens: 1,
        context_tokens_max: 1,
        split: Split::Test,
    });
    let corpus = "0".repeat(64).parse().unwrap();
    let read = |unix_seconds| TestRead { corpus, job: job.id(), unix_seconds };
    let mut page = example();
    assert!(check(&page).0.contains("has not been read"));
    page.test_reads = vec![read(1_795_305_661)];
    assert!(check(&page).0.contains("has been read once, on 2026-11-22."));
    page.test_reads.extend([read(1_795_305_662), read(0)]);
    page.sources[4].id = job.id().to_string();
    let (html, ..) = check(&page);
    assert!(html.contains("has been read 3 times, from 1970-01-01 to 2026-11-22."));
    let row = "<td>2026-11-22</td><td class=\"number\">2</td><td class=\"number\">2</td>";
    assert!(html.contains(row), "{html}");
    let _: JobId = job.id();
}

#[test]
fn hostile_text_stays_text() {
    let mut page = example();
    for text in [&mut page.title, &mut page.subject, &mut page.headline, &mut page.version] {
        *text = HOSTILE.into();
    }
    page.notes = vec![HOSTILE.into()];
    let first = &mut page.sources[0];
    first.losses = vec![MeasuredLoss { name: HOSTILE.into(), text: HOSTILE.into() }];
    first.headline = first.losses.last().cloned();
    first.allowed = HOSTILE.into();
    let class = first.numerics_class.as_mut().unwrap();
    for text in [
        &mut first.label,
        &mut first.outcome,
        &mut first.machine,
        &mut class.backend,
        &mut first.made_by,
        &mut first.spec,
    ] {
        *text = HOSTILE.into();
    }
    page.sources[1].id = HOSTILE.into();
    page.sources[1].inputs = vec![HOSTILE.into(), "unknown".into()];
    let mut table = Table::new(&[(HOSTILE, Align::Left)]);
    table.push([Cell::of(HOSTILE, &ids(&[HOSTILE]))]);
    table.push([Cell::of(HOSTILE, &ids(&[HOSTILE, "aaaaaaaaaaaa"]))]);
    let mut section = Section::new(HOSTILE, "third");
    section.blocks = vec![
        Block::table(table, HOSTILE),
        Block::Text(HOSTILE.into()),
        page.sections.remove(1).blocks.remove(1),
    ];
    let Block::Figure(figure) = &mut section.blocks[2] else { panic!("a figure") };
    figure.scene = Scene::new(10.0, 10.0, HOSTILE);
    figure.scene.spot((0.0, 0.0), HOSTILE, &ids(&[HOSTILE]));
    figure.files = vec!["javascript:alert(1)".into(), HOSTILE.into()];
    figure.caption = HOSTILE.into();
    figure.name = HOSTILE.into();
    page.sections = vec![section];
    page.sources[3].inputs.clear();
    let (html, _, links) = check(&page);
    assert!(!html.contains("<script") && !html.contains("<img"));
    assert!(links.contains(&"./javascript%3Aalert%281%29".to_owned()), "{links:?}");
}

#[test]
fn long_pages_have_contents_and_hundreds_of_records_stay_small() {
    let mut page = Page::new("Long", "300 records");
    let names: Vec<String> = (0..300).map(|i| format!("{i:03x}").repeat(21) + "f").collect();
    page.sources = names.iter().map(|name| source(name, JobKind::Train, &[], false)).collect();
    for number in 0..30 {
        let mut table = Table::new(&[("run", Align::Left), ("loss", Align::Right)]);
        for name in &names {
            table.push([
                Cell::from("a run"),
                Cell::of("2.7157 ± 0.0088", std::slice::from_ref(name)),
            ]);
        }
        table.push([Cell::from("law"), Cell::of("2.6 (2.5 to 2.7)", &names)]);
        let mut section = Section::new(format!("Section {number}"), format!("section-{number}"));
        section.blocks.push(Block::table(table, ""));
        page.sections.push(section);
    }
    let (html, ..) = check(&page);
    assert!(html.contains("<nav") && html.contains("<a href=\"#section-29\">Section 29</a>"));
    assert!(html.len() < 3 << 20, "{} bytes", html.len());
    assert_eq!(html.matches("<article").count(), 300);
    assert_eq!(html.matches("records behind").count(), 1, "equal sets are one");
}

#[test]
fn hundreds_of_losses_of_one_record_are_not_all_shown() {
    let mut page = example();
    let losses = &mut page.sources[4].losses;
    *losses = vec![losses[0].clone(); 24];
    assert!(!check(&page).0.contains("further losses"));
    let losses = &mut page.sources[4].losses;
    *losses = vec![losses[0].clone(); 255];
    assert!(check(&page).0.contains("<dt>further losses</dt><dd>231, in the record</dd>"));
}

#[test]
fn an_empty_page_is_still_a_page() {
    let (html, ..) = check(&Page::new("Empty", "nothing"));
    assert!(html.contains("No record is behind these numbers."), "{html}");
    assert!(html.contains(&format!("Made by scarce {}", env!("CARGO_PKG_VERSION"))));
}

#[test]
#[should_panic(expected = "no block for record ffff")]
fn a_number_without_its_record_is_a_bug() {
    let mut page = example();
    let mut table = Table::new(&[("loss", Align::Right)]);
    table.push([Cell::of("2.7", &ids(&["ffff"]))]);
    page.sections[0].blocks.push(Block::table(table, ""));
    let _ = page.to_html();
}

#[test]
#[should_panic(expected = "two sections are called \"cost\"")]
fn anchors_of_the_page_itself_are_taken() {
    let mut page = example();
    page.sections[0].anchor = "cost".into();
    let _ = page.to_html();
}

#[test]
fn charts_lead_to_the_records_of_their_points_and_offer_their_files() {
    use crate::draw::chart::{
        Bar, Block as Part, Panel, Point, Reach, Scale, Series, Shape, Sheet,
    };
    let point = |x: f64, y, id: &str| Point {
        x,
        y,
        bar: Some(Bar { reach: Reach::Error(0.01), over: "text" }),
        records: ids(&[id]),
        ..Point::default()
    };
    let points = vec![point(1.0, 3.5, "aaaaaaaaaaaa"), point(2.0, 3.462, "eeeeeeeeeeee")];
    let mut panel = Panel::new("", Scale::linear("x"), Scale::linear("nats per token"));
    panel.series.push(Series::new("regularized", Paint::Blue, Shape::Circle, points));
    let mut sheet = Sheet::new("laws", "Laws", "Loss over parameters.");
    sheet.blocks.push(Part::Panels(vec![panel]));
    let chart = sheet.finish();
    let figure = Figure::of_chart(&chart, "figures");
    assert_eq!(figure.caption, "Loss over parameters.");
    let mut page = example();
    page.sections[0].blocks.push(Block::Figure(figure));
    let (html, _, links) = check(&page);
    let expected = "regularized: 3.4620 ± 0.01000 nats per token, over text";
    let link = format!("<a href=\"#r-eeeeeeee\" aria-label=\"{expected}\"><title>{expected}<");
    assert!(html.contains(&link), "{html}");
    for ending in ["svg", "png", "pdf", "csv"] {
        assert!(links.contains(&format!("./figures/laws.{ending}")), "{links:?}");
    }
}

#[test]
fn folded_numbers_lead_to_their_records_and_sentences_are_not_repeated() {
    let mut page = example();
    let table = |id: &str| {
        let mut table = Table::new(&[("loss", Align::Right)]);
        table.push([Cell::of("2.5", &ids(&[id]))]);
        Block::table(table, "What the numbers are.")
    };
    let blocks = vec![table("eeeeeeeeeeee"), table("aaaaaaaaaaaa"), Block::Text("End.".into())];
    let title = "16 epochs are best".to_owned();
    page.sections[0].blocks = vec![table("cccccccccccc"), Block::Fold { title, blocks }];
    let figure = page.sections[1].blocks[1].clone();
    page.sections[1].blocks = vec![figure.clone(), figure.clone(), table("dddddddddddd"), figure];
    let (html, ..) = check(&page);
    assert!(html.contains("<summary>16 epochs are best</summary>"), "{html}");
    assert!(html.contains("<a href=\"#r-eeeeeeee\">2.5</a>"));
    assert_eq!(html.matches("What the numbers are.").count(), 3, "once in each part");
    assert_eq!(html.matches("<div class=\"figures\">").count(), 2, "two together, one alone");
    // The folded record is counted in its section.
    assert!(!compute::table(&page).to_text().contains("used without a number"));
}
