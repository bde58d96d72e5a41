//! The quick start's page.

use super::QuickstartReport;
use crate::report::page::{Block, Figure, Page, Section};
use crate::report::reading;

impl QuickstartReport {
    /// The whole story; `files` are the paths of the figure's files from the page.
    #[must_use]
    pub fn page(&self, files: &[String]) -> Page {
        let mut page = Page::new(self.title.as_str(), self.subject.as_str());
        page.headline = reading::paragraph(self);
        page.notes = self.notes.clone();
        page.sections = vec![self.reached(files), self.differences()];
        if !self.tunings.is_empty() {
            page.sections.push(self.tuning());
        }
        page.sources = self.sources.clone();
        page.test_reads = self.test_reads.clone();
        page.wall_seconds = Some(self.wall_seconds);
        page
    }

    fn reached(&self, files: &[String]) -> Section {
        let mut section = Section::new("What every recipe reached", "recipes");
        let caption = match self.floor_nats {
            Some(floor) => format!(
                "Mean over the test split ± one standard error, clustered by blocks of text. The \
                 floor, {floor:.4} nats per token, is the mean loss of the true process on the \
                 same text; the error of the distance above it is that of the paired difference."
            ),
            None => "Mean over the test split ± one standard error, clustered by blocks of text. \
                     The lowest possible loss on this text is not known."
                .to_owned(),
        };
        section.blocks.push(Block::table(self.recipe_table(), caption));
        let figure = Figure { files: files.to_vec(), ..Figure::of_chart(&self.figure(), "") };
        section.blocks.push(Block::Figure(figure));
        section
    }

    fn differences(&self) -> Section {
        let mut section = Section::new("Which differences are real", "differences");
        section.blocks.push(Block::table(
            self.comparison_table(),
            "Loss of the first minus loss of the second, on the same test blocks: negative is \
             better. Intervals are bootstrapped over blocks; a verdict needs the whole interval on \
             one side of zero. Chance between seeds is not part of them.",
        ));
        section
    }

    fn tuning(&self) -> Section {
        let mut section = Section::new("How weight decay was chosen", "tuning");
        section.blocks.push(Block::table(
            self.tuning_table(),
            "Mean over the validation split ± one standard error, clustered by blocks of text, \
             after 16 epochs. The lowest is chosen.",
        ));
        section
    }
}

#[cfg(test)]
mod tests {
    use crate::report::quickstart::examples;

    #[test]
    fn the_page_holds_all_parts() {
        for report in [examples::language(), examples::books()] {
            let page = report.page(&["figure.svg".to_owned()]).to_html();
            if let Ok(folder) = std::env::var("SCARCE_FIGURES") {
                let name = if report.floor_nats.is_some() { "language.html" } else { "books.html" };
                std::fs::write(std::path::Path::new(&folder).join(name), &page).unwrap();
            }
            let parts = [
                "<figure>",
                "class=\"record\"",
                "prefers-color-scheme",
                "took 3 min 12 s",
                "No difference seen between larger and regularized",
                "<td>chosen</td>",
                "<title>ensemble-3: ",
            ];
            for part in parts {
                assert!(page.contains(part), "{part}");
            }
            assert_eq!(page.contains("2.3208"), report.floor_nats.is_some());
            // Ten runs of the language's recipes, eight of those of the books.
            let tokens = if report.floor_nats.is_some() { "7,050,000" } else { "5,640,000" };
            assert!(page.contains(tokens), "{tokens}");
        }
    }

    #[test]
    fn hostile_text_stays_text_and_an_empty_report_is_still_a_page() {
        let hostile = "</title></pre><script>alert(1)</script><img src=x onerror='a()'>\"&";
        let mut report = examples::language();
        report.title = hostile.into();
        report.notes = vec![hostile.into()];
        report.recipes[0].name = hostile.into();
        report.recipes[0].setting = hostile.into();
        report.comparisons[0].question = hostile.into();
        report.comparisons[0].left = hostile.into();
        report.trajectories[0].label = hostile.into();
        report.tunings[0].model = hostile.into();
        let page = report.page(&[]).to_html();
        assert!(!page.contains("<script") && !page.contains("<img"));
        report.recipes.clear();
        report.comparisons.clear();
        report.trajectories.clear();
        report.tunings.clear();
        report.sources.clear();
        assert!(report.page(&[]).to_html().contains("No record is behind these numbers."));
    }
}
