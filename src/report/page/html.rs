//! The page as HTML text.

use std::collections::BTreeSet;
use std::fmt::Write as _;

use super::anchors::Anchors;
use super::words::{paragraph, phrase};
use super::{Block, Figure, Page, Section, compute, provenance, reads};
use crate::draw::palette::{self, Colors};
use crate::draw::svg::escape;
use crate::draw::table::{Align, Cell, Table};

/// What is not a color; colors come from the palette, so that page and figures agree.
const STYLE: &str = include_str!("style.css");

/// Sections from which on a page has a table of contents.
const CONTENTS_FROM: usize = 4;

/// Anchor of the section on cost.
const COST: &str = "cost";
/// Anchor of the section on reads of `test`.
const READS: &str = "test-reads";

/// A number with its interval is at most this many characters long and stays on one line; what is
/// longer is a sentence on why there is none.
const NUMBER_MAX: usize = 36;

/// Radius of what can be hit around a point of a picture, in picture units.
const SPOT_RADIUS: f64 = 9.0;

/// The whole page.
pub(super) fn write(page: &Page) -> String {
    check_anchors(page);
    let anchors = Anchors::new(page);
    let title = phrase(&page.title);
    let mut body = format!("<h1>{title}</h1>\n");
    paragraph(&mut body, "subject", &page.subject);
    if !page.headline.is_empty() {
        paragraph(&mut body, "headline", &page.headline);
    }
    let remarks = provenance::mixed_classes(page).into_iter().chain(provenance::consents(page));
    for note in page.notes.iter().cloned().chain(remarks) {
        paragraph(&mut body, "note", &note);
    }
    write_contents(&mut body, page);
    for section in &page.sections {
        write_section(&mut body, section, &anchors);
    }
    write_cost(&mut body, page, &anchors);
    write_reads(&mut body, page, &anchors);
    provenance::write(&mut body, page, &anchors);
    let made_by = format!("Made by scarce {}, from {} records.", page.version, page.sources.len());
    paragraph(&mut body, "caption", &made_by);
    format!(
        "<!DOCTYPE html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n\
         <meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n\
         <title>{title}</title>\n<style>\n{}{STYLE}</style>\n</head>\n<body>\n<main>\n{body}\
         </main>\n</body>\n</html>\n",
        palette::style_sheet()
    )
}

fn check_anchors(page: &Page) {
    let plain = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-';
    let mut taken = BTreeSet::from([COST, READS, provenance::ANCHOR]);
    for Section { anchor, .. } in &page.sections {
        let own = !anchor.is_empty() && !anchor.starts_with("r-") && !anchor.starts_with("set-");
        assert!(own && anchor.chars().all(plain), "{anchor:?} is no anchor of a section");
        assert!(taken.insert(anchor), "two sections are called {anchor:?}");
    }
}

fn write_contents(body: &mut String, page: &Page) {
    if page.sections.len() < CONTENTS_FROM {
        return;
    }
    body.push_str("<nav aria-label=\"Contents\">\n<ul>\n");
    let own = page.sections.iter().map(|section| (section.anchor.as_str(), &section.title[..]));
    let last = [
        (COST, "What it cost"),
        (READS, "Reads of the test split"),
        (provenance::ANCHOR, "Where the numbers come from"),
    ];
    for (anchor, title) in own.chain(last) {
        let _ = writeln!(body, "<li><a href=\"#{anchor}\">{}</a></li>", phrase(title));
    }
    body.push_str("</ul>\n</nav>\n");
}

fn write_section(body: &mut String, section: &Section, anchors: &Anchors) {
    let (anchor, title) = (&section.anchor, phrase(&section.title));
    let _ = writeln!(body, "<section>\n<h2 id=\"{anchor}\">{title}</h2>");
    write_blocks(body, &section.blocks, anchors, &mut "");
    body.push_str("</section>\n");
}

/// Writes blocks; `said` is the sentence below the last table.
fn write_blocks<'a>(body: &mut String, blocks: &'a [Block], anchors: &Anchors, said: &mut &'a str) {
    let is_figure = |block: &Block| matches!(block, Block::Figure(_));
    // Pictures that follow each other share a frame, in which they find their places.
    for group in blocks.chunk_by(|left, right| is_figure(left) && is_figure(right)) {
        if is_figure(&group[0]) {
            body.push_str("<div class=\"figures\">\n");
        }
        for block in group {
            write_block(body, block, anchors, said);
        }
        if is_figure(&group[0]) {
            body.push_str("</div>\n");
        }
    }
}

fn write_block<'a>(body: &mut String, block: &'a Block, anchors: &Anchors, said: &mut &'a str) {
    match block {
        Block::Text(text) => paragraph(body, "text", text),
        Block::Warning(text) => paragraph(body, "note", text),
        Block::Table { table, caption } => {
            write_table(body, table, anchors);
            if !caption.is_empty() && caption != said {
                paragraph(body, "caption", caption);
            }
            *said = caption;
        }
        Block::Figure(figure) => write_figure(body, figure, anchors),
        Block::Fold { title, blocks } => {
            let title = phrase(title);
            let _ = writeln!(body, "<details class=\"fold\">\n<summary>{title}</summary>");
            // What is unfolded is read by itself.
            write_blocks(body, blocks, anchors, &mut "");
            body.push_str("</details>\n");
        }
    }
}

fn write_table(body: &mut String, table: &Table, anchors: &Anchors) {
    let class = |align: Align| match align {
        Align::Left => "",
        Align::Right => " class=\"number\"",
    };
    // Wide tables scroll inside their own frame instead of stretching the page; the frame takes
    // the focus, so that the keyboard can scroll it.
    body.push_str("<div class=\"scroll\" tabindex=\"0\"><table>\n<thead><tr>");
    for (name, align) in table.columns() {
        let _ = write!(body, "<th scope=\"col\"{}>{}</th>", class(*align), phrase(name));
    }
    body.push_str("</tr></thead>\n<tbody>\n");
    for row in table.rows() {
        body.push_str("<tr>");
        for (cell, (_, align)) in row.iter().zip(table.columns()) {
            let long = *align == Align::Right && cell.text.chars().count() > NUMBER_MAX;
            let class = if long { " class=\"number words\"" } else { class(*align) };
            let _ = write!(body, "<td{class}>{}</td>", cell_text(cell, anchors));
        }
        body.push_str("</tr>\n");
    }
    body.push_str("</tbody>\n</table></div>\n");
}

fn cell_text(cell: &Cell, anchors: &Anchors) -> String {
    let text = phrase(&cell.text);
    match anchors.of_number(&cell.records) {
        Some(link) => format!("<a href=\"#{link}\">{text}</a>"),
        None => text,
    }
}

fn write_figure(body: &mut String, figure: &Figure, anchors: &Anchors) {
    let svg = figure.scene.to_svg(Colors::Page);
    let picture = svg.trim_end().strip_suffix("</svg>").expect("a scene ends with its element");
    body.push_str("<figure>\n");
    body.push_str(picture);
    for spot in figure.scene.spots() {
        let link = anchors.of_number(&spot.records).expect("a spot leads to records");
        let ((x, y), label) = (spot.at, phrase(&spot.label));
        let _ = writeln!(
            body,
            "<a href=\"#{link}\" aria-label=\"{label}\"><title>{label}</title>\
             <circle class=\"spot\" cx=\"{x:.2}\" cy=\"{y:.2}\" r=\"{SPOT_RADIUS}\"/></a>"
        );
    }
    let _ = writeln!(body, "</svg>\n<figcaption>{}", phrase(&figure.caption));
    if !figure.files.is_empty() {
        let links: Vec<String> = figure.files.iter().map(|file| download(file)).collect();
        let name = escape(&figure.name);
        let _ = write!(
            body,
            "<span class=\"files\">Figure <code>{name}</code>: {}</span>",
            links.join(" · ")
        );
    }
    body.push_str("</figcaption>\n</figure>\n");
}

/// A link to a file beside the page, named by its ending: "SVG".
fn download(file: &str) -> String {
    let ending = file.rsplit_once('.').map_or(file, |(_, ending)| ending).to_uppercase();
    format!("<a href=\"{}\">{}</a>", relative_link(file), escape(&ending))
}

/// A relative path as a link: everything but letters, digits and a few signs is encoded, so that
/// no name can leave the folder of the page or become another kind of link.
fn relative_link(path: &str) -> String {
    let mut link = String::from("./");
    for byte in path.bytes() {
        if byte.is_ascii_alphanumeric() || b"-_./".contains(&byte) {
            link.push(char::from(byte));
        } else {
            let _ = write!(link, "%{byte:02X}");
        }
    }
    link
}

fn write_cost(body: &mut String, page: &Page, anchors: &Anchors) {
    let _ = writeln!(body, "<section>\n<h2 id=\"{COST}\">What it cost</h2>");
    write_table(body, &compute::table(page), anchors);
    paragraph(body, "caption", &compute::caption(page));
    body.push_str("</section>\n");
}

fn write_reads(body: &mut String, page: &Page, anchors: &Anchors) {
    let _ = writeln!(body, "<section>\n<h2 id=\"{READS}\">Reads of the test split</h2>");
    paragraph(body, "text", &reads::sentence(&page.test_reads));
    if page.test_reads.len() > 1 {
        let known = |id: &str| anchors.of_record(id).is_some();
        write_table(body, &reads::table(&page.test_reads, known), anchors);
    }
    body.push_str("</section>\n");
}
