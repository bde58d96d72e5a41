//! One self-contained page: no network, no script, light and dark, paper and phone.
//!
//! A page is plain data. Its numbers may carry the ids of the records behind them; each becomes a
//! link to the record's block at the end of the page (id, spec, machine, numerics class, losses,
//! cost), which unfolds when it is the target of a link, and the browser's back button returns. A
//! record has one block however many numbers use it, and what the page cost is summed over these
//! blocks, so that nothing is counted twice.

mod anchors;
mod compute;
mod html;
mod provenance;
mod reads;
mod source;
#[cfg(test)]
mod tests;
mod words;

pub use source::{Cost, MeasuredLoss, Source};

use crate::draw::chart;
use crate::draw::svg::Scene;
use crate::draw::table::Table;
use crate::store::TestRead;

/// Everything that a page shows.
#[derive(Clone, Debug)]
pub struct Page {
    /// Heading.
    pub title: String,
    /// The setting in a phrase: corpus, budget, seed.
    pub subject: String,
    /// One paragraph for a reader who sees nothing else.
    pub headline: String,
    /// What a reader must know before anything else; shown right below the headline.
    pub notes: Vec<String>,
    /// The body.
    pub sections: Vec<Section>,
    /// The records behind the numbers, each once, in any order. Those that no number uses are
    /// shown and counted as well.
    pub sources: Vec<Source>,
    /// The log of reads of the test splits that concern the page.
    pub test_reads: Vec<TestRead>,
    /// Wall-clock seconds of the command that made the page, where it did the work.
    pub wall_seconds: Option<f64>,
    /// Version of the program that made the page.
    pub version: String,
}

/// A part of the page with a heading.
#[derive(Clone, Debug)]
pub struct Section {
    /// Heading.
    pub title: String,
    /// Name of the section in links: lowercase letters, digits and hyphens, once per page.
    pub anchor: String,
    /// What stands below the heading, in this order.
    pub blocks: Vec<Block>,
}

/// A piece of a section.
#[derive(Clone, Debug)]
pub enum Block {
    /// A paragraph.
    Text(String),
    /// A paragraph that must not be overlooked.
    Warning(String),
    /// A table and the sentence below it, which says what its numbers are; may be empty. A sentence
    /// that already stands below the table before it in the section or fold is not repeated.
    Table {
        /// Headings with units, and cells with the records behind them.
        table: Table,
        /// What an error or an interval of the table is.
        caption: String,
    },
    /// A picture. Pictures that follow each other stand side by side where there is room.
    Figure(Figure),
    /// Details that are folded away, below a line that says what they come to.
    Fold {
        /// The line that is always seen.
        title: String,
        /// What is below it.
        blocks: Vec<Block>,
    },
}

/// A picture of the page, with its files beside the page.
#[derive(Clone, Debug)]
pub struct Figure {
    /// Name of the figure, as its files have it.
    pub name: String,
    /// What it shows, in a sentence or two.
    pub caption: String,
    /// The picture; its spots become links.
    pub scene: Scene,
    /// Paths of its files from the page, such as `figures/laws.svg`; offered for download.
    pub files: Vec<String>,
}

impl Page {
    /// A page without content, made by this version of the program.
    #[must_use]
    pub fn new(title: impl Into<String>, subject: impl Into<String>) -> Self {
        Self {
            title: title.into(),
            subject: subject.into(),
            headline: String::new(),
            notes: Vec::new(),
            sections: Vec::new(),
            sources: Vec::new(),
            test_reads: Vec::new(),
            wall_seconds: None,
            version: env!("CARGO_PKG_VERSION").to_owned(),
        }
    }

    /// The page as one HTML file.
    ///
    /// # Panics
    /// If a number names a record that is not among the sources, a record stands there twice, or an
    /// anchor is not one or stands twice: bugs of the caller.
    #[must_use]
    pub fn to_html(&self) -> String {
        html::write(self)
    }
}

impl Figure {
    /// A chart whose files (SVG, PNG, PDF and its numbers as CSV) lie in `folder`, a path from the
    /// page.
    #[must_use]
    pub fn of_chart(chart: &chart::Figure, folder: &str) -> Self {
        let file = |ending| format!("{folder}/{}.{ending}", chart.name);
        Self {
            name: chart.name.clone(),
            caption: chart.caption.clone(),
            scene: chart.scene.clone(),
            files: ["svg", "png", "pdf", "csv"].map(file).into(),
        }
    }
}

impl Section {
    /// A section without blocks.
    #[must_use]
    pub fn new(title: impl Into<String>, anchor: impl Into<String>) -> Self {
        Self { title: title.into(), anchor: anchor.into(), blocks: Vec::new() }
    }

    /// Ids of the records behind the section's numbers, in the order of reading, with repetitions.
    fn records(&self) -> impl Iterator<Item = &String> {
        self.references().flat_map(|(_, records)| records)
    }

    /// The numbers with records behind them: text and ids, in the order of reading.
    fn references(&self) -> impl Iterator<Item = (&str, &[String])> {
        self.blocks.iter().flat_map(Block::references).filter(|(_, records)| !records.is_empty())
    }
}

impl Block {
    /// A table with the sentence below it.
    #[must_use]
    pub fn table(table: Table, caption: impl Into<String>) -> Self {
        Self::Table { table, caption: caption.into() }
    }

    fn references(&self) -> Vec<(&str, &[String])> {
        match self {
            Self::Text(_) | Self::Warning(_) => Vec::new(),
            Self::Table { table, .. } => {
                let cells = table.rows().iter().flatten();
                cells.map(|cell| (cell.text.as_str(), &cell.records[..])).collect()
            }
            Self::Figure(figure) => {
                let spots = figure.scene.spots().iter();
                spots.map(|spot| (spot.label.as_str(), &spot.records[..])).collect()
            }
            Self::Fold { blocks, .. } => blocks.iter().flat_map(Self::references).collect(),
        }
    }
}
