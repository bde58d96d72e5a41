//! The quick start as one page that needs nothing but itself: no network, no script, two themes.

use std::fmt::Write as _;

use super::figure;
use super::number::with_true_minus;
use super::palette::{self, Colors};
use super::quickstart::{ProvenanceRow, QuickstartReport};
use super::reading;
use super::svg::escape;
use super::table::{Align, Table};

/// What is not a color; colors come from the palette, so that page and figure agree.
const STYLE: &str = include_str!("html/style.css");

/// The whole page.
#[must_use]
pub fn page(report: &QuickstartReport) -> String {
    let title = escape(&report.title);
    let mut body = format!("<h1>{title}</h1>\n");
    let _ = writeln!(body, "<p class=\"subject\">{}</p>", escape(&report.subject));
    paragraph(&mut body, "reading", &reading::paragraph(report));
    for note in report.notes.iter().cloned().chain(reading::mixed_classes(report)) {
        paragraph(&mut body, "note", &note);
    }
    body.push_str("<h2>What every recipe reached</h2>\n");
    write_table(&mut body, &report.recipe_table());
    let caption = match report.floor_nats {
        Some(floor) => format!(
            "Mean over the test split ± one standard error, clustered by blocks of text. The floor, \
             {floor:.4} nats per token, is the mean loss of the true process on the same text; the \
             error of the distance above it is that of the paired difference."
        ),
        None => "Mean over the test split ± one standard error, clustered by blocks of text. \
                 The lowest possible loss on this text is not known."
            .to_owned(),
    };
    paragraph(&mut body, "caption", &caption);
    let _ =
        write!(body, "<figure>\n{}</figure>\n", figure::quickstart(report).to_svg(Colors::Page));
    body.push_str("<h2>Which differences are real</h2>\n");
    write_table(&mut body, &report.comparison_table());
    paragraph(
        &mut body,
        "caption",
        "Loss of the first minus loss of the second, on the same test blocks: negative is better. \
         Intervals are bootstrapped over blocks; a verdict needs the whole interval on one side \
         of zero. Chance between seeds is not part of them.",
    );
    body.push_str("<h2>Where the numbers come from</h2>\n");
    write_provenance(&mut body, report);
    body.push_str("<h2>What it cost</h2>\n");
    write_table(&mut body, &report.ledger_table());
    format!(
        "<!DOCTYPE html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n\
         <meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n\
         <title>{title}</title>\n<style>\n{}{STYLE}</style>\n</head>\n<body>\n<main>\n{body}\
         </main>\n</body>\n</html>\n",
        palette::style_sheet()
    )
}

fn paragraph(body: &mut String, class: &str, text: &str) {
    let _ = writeln!(body, "<p class=\"{class}\">{}</p>", escape(&with_true_minus(text)));
}

fn write_table(body: &mut String, table: &Table) {
    let class = |align: Align| match align {
        Align::Left => "",
        Align::Right => " class=\"number\"",
    };
    // Wide tables scroll inside their own frame instead of stretching the page.
    body.push_str("<div class=\"scroll\"><table>\n<thead><tr>");
    for (name, align) in table.columns() {
        let _ = write!(body, "<th scope=\"col\"{}>{}</th>", class(*align), escape(name));
    }
    body.push_str("</tr></thead>\n<tbody>\n");
    for row in table.rows() {
        body.push_str("<tr>");
        for (cell, (_, align)) in row.iter().zip(table.columns()) {
            let text = escape(&with_true_minus(cell));
            let _ = write!(body, "<td{}>{text}</td>", class(*align));
        }
        body.push_str("</tr>\n");
    }
    body.push_str("</tbody>\n</table></div>\n");
}

/// One collapsed block per record, in the order of the recipes.
fn write_provenance(body: &mut String, report: &QuickstartReport) {
    if report.provenance.is_empty() {
        paragraph(body, "caption", "No record is behind these numbers.");
    }
    for ProvenanceRow { recipe, record, spec, machine, numerics_class } in &report.provenance {
        let _ = writeln!(
            body,
            "<details>\n<summary><b>{}</b> <code>{}</code></summary>\n<dl>\
             <dt>record</dt><dd><code>{}</code></dd>\
             <dt>machine</dt><dd>{}</dd>\
             <dt>numerics class</dt><dd><code>{}</code></dd>\
             <dt>resolved spec</dt><dd><pre>{}</pre></dd></dl>\n</details>",
            escape(recipe),
            escape(&record.chars().take(8).collect::<String>()),
            escape(record),
            escape(machine),
            escape(numerics_class),
            escape(spec)
        );
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::quickstart::examples;

    /// Elements whose end tag HTML leaves out; everything else must be balanced.
    const VOID: [&str; 1] = ["meta"];

    /// Reads the page as XML, which is stricter than HTML and finds every unescaped sign.
    fn check_well_formed(page: &str) {
        let mut text = page.strip_prefix("<!DOCTYPE html>").unwrap().to_owned();
        for element in VOID {
            let start = format!("<{element} ");
            let parts: Vec<String> = text
                .split(&start)
                .enumerate()
                .map(
                    |(index, part)| {
                        if index > 0 { part.replacen('>', "/>", 1) } else { part.into() }
                    },
                )
                .collect();
            text = parts.join(&start);
        }
        resvg::usvg::roxmltree::Document::parse(&text).unwrap();
    }

    #[test]
    fn the_page_holds_all_parts_and_nothing_foreign() {
        for report in [examples::language(), examples::books()] {
            let page = page(&report);
            check_well_formed(&page);
            if let Ok(folder) = std::env::var("SCARCE_FIGURES") {
                let name = if report.floor_nats.is_some() { "language.html" } else { "books.html" };
                std::fs::write(std::path::Path::new(&folder).join(name), &page).unwrap();
            }
            for part in ["<figure>", "<details>", "prefers-color-scheme", "5,640,000", "10.2 TFLOP"]
            {
                assert!(page.contains(part), "{part}");
            }
            for foreign in ["http:", "https:", "<script", "@import", "url(", "<link"] {
                assert!(!page.contains(foreign), "{foreign}");
            }
            assert_eq!(page.contains("2.3208"), report.floor_nats.is_some());
        }
    }

    #[test]
    fn hostile_text_stays_text() {
        let hostile = "</title></pre><script>alert(1)</script><img src=x onerror='a()'>\"&";
        let mut report = examples::language();
        report.title = hostile.into();
        report.subject = hostile.into();
        report.notes = vec![hostile.into()];
        report.recipes[0].name = hostile.into();
        report.recipes[0].setting = hostile.into();
        report.recipes[0].records = vec![hostile.into()];
        report.comparisons[0].question = hostile.into();
        report.comparisons[0].left = hostile.into();
        report.trajectories[0].label = hostile.into();
        report.provenance[0] = ProvenanceRow {
            recipe: hostile.into(),
            record: hostile.into(),
            spec: hostile.into(),
            machine: hostile.into(),
            numerics_class: hostile.into(),
        };
        let page = page(&report);
        assert!(!page.contains("<script") && !page.contains("<img"));
        check_well_formed(&page);
    }

    #[test]
    fn an_empty_report_is_still_a_page() {
        let mut report = examples::books();
        report.recipes.clear();
        report.comparisons.clear();
        report.trajectories.clear();
        report.provenance.clear();
        check_well_formed(&page(&report));
    }
}
