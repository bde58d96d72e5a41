//! Tables as aligned plain text, for the terminal; the same tables go into the page as HTML, where
//! a number leads to the records behind it.

/// How the cells of a column line up.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Align {
    /// Words.
    Left,
    /// Numbers with a fixed number of decimals, so that the points line up.
    Right,
}

/// What stands in one place of a table.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Cell {
    /// The text.
    pub text: String,
    /// Full ids of the records behind it; empty for words.
    pub records: Vec<String>,
}

/// A heading and rows of cells.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Table {
    columns: Vec<(String, Align)>,
    rows: Vec<Vec<Cell>>,
}

/// Blanks between two columns.
const GAP: &str = "  ";

impl Cell {
    /// A text with the records behind it.
    #[must_use]
    pub fn of(text: impl Into<String>, records: &[String]) -> Self {
        Self { text: text.into(), records: records.to_vec() }
    }
}

impl<Text: Into<String>> From<Text> for Cell {
    fn from(text: Text) -> Self {
        Self { text: text.into(), records: Vec::new() }
    }
}

impl Table {
    /// An empty table with its column headings, which carry the units.
    #[must_use]
    pub fn new(columns: &[(&str, Align)]) -> Self {
        let columns = columns.iter().map(|&(name, align)| (name.to_owned(), align)).collect();
        Self { columns, rows: Vec::new() }
    }

    /// Adds a row.
    ///
    /// # Panics
    /// Unless there is one cell per column.
    pub fn push<Item: Into<Cell>>(&mut self, cells: impl IntoIterator<Item = Item>) {
        let cells: Vec<Cell> = cells.into_iter().map(Into::into).collect();
        assert_eq!(cells.len(), self.columns.len(), "one cell per column");
        self.rows.push(cells);
    }

    /// The headings with their alignment.
    #[must_use]
    pub fn columns(&self) -> &[(String, Align)] {
        &self.columns
    }

    /// The rows.
    #[must_use]
    pub fn rows(&self) -> &[Vec<Cell>] {
        &self.rows
    }

    /// The text: a heading, a rule and the rows, each line ended by a newline and without trailing
    /// blanks. Line breaks and other control characters within cells become blanks.
    #[must_use]
    pub fn to_text(&self) -> String {
        let headings: Vec<&str> = self.columns.iter().map(|(name, _)| name.as_str()).collect();
        let mut widths: Vec<usize> = headings.iter().map(|name| width(name)).collect();
        for row in &self.rows {
            for (column, cell) in widths.iter_mut().zip(row) {
                *column = (*column).max(width(&cell.text));
            }
        }
        let rules: Vec<String> = widths.iter().map(|&width| "─".repeat(width)).collect();
        let mut text = String::new();
        self.write_line(&mut text, &widths, headings.into_iter());
        self.write_line(&mut text, &widths, rules.iter().map(String::as_str));
        for row in &self.rows {
            self.write_line(&mut text, &widths, row.iter().map(|cell| cell.text.as_str()));
        }
        text
    }

    fn write_line<'a>(
        &self,
        text: &mut String,
        widths: &[usize],
        cells: impl Iterator<Item = &'a str>,
    ) {
        let mut line = String::new();
        for ((cell, (_, align)), &column) in cells.zip(&self.columns).zip(widths) {
            let fill = " ".repeat(column - width(cell));
            let cell: String = cell.chars().map(|c| if c.is_control() { ' ' } else { c }).collect();
            match align {
                Align::Left => line.extend([cell.as_str(), fill.as_str(), GAP]),
                Align::Right => line.extend([fill.as_str(), cell.as_str(), GAP]),
            }
        }
        text.push_str(line.trim_end());
        text.push('\n');
    }
}

/// Columns that a cell takes in a terminal: one per character, which holds for Latin, Greek and
/// the signs used here.
fn width(cell: &str) -> usize {
    cell.chars().count()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_line_up_and_lines_do_not_trail() {
        let mut table = Table::new(&[("recipe", Align::Left), ("loss (nats)", Align::Right)]);
        table.push(["standard-4", "4.0500 ± 0.0110"]);
        table.push(["ngram", "2.97 ± ?"]);
        table.push(["two\nlines", ""]);
        let expected = "\
recipe          loss (nats)
──────────  ───────────────
standard-4  4.0500 ± 0.0110
ngram              2.97 ± ?
two lines
";
        assert_eq!(table.to_text(), expected);
    }

    #[test]
    fn an_empty_table_is_its_heading() {
        let table = Table::new(&[("a", Align::Left), ("b", Align::Right)]);
        assert_eq!(table.to_text(), "a  b\n─  ─\n");
    }
}
