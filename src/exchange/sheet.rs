//! A table of text with named columns, whose every complaint names file and line.

use std::io::Read;
use std::path::Path;

use super::dialect::{Dialect, SAMPLE, Written};
use super::fields::listed;
use crate::error::{quoted, quoted_path, suggest};
use crate::laws::LOSS_MAX;
use crate::{Error, Result};

/// What may help where text has another encoding.
const ENCODING_HINT: &str =
    "if a spreadsheet wrote it: iconv -f WINDOWS-1252 -t UTF-8 FILE > table.csv";

/// A table of texts.
#[derive(Debug)]
pub struct Sheet {
    name: String,
    dialect: Dialect,
    heading: Vec<String>,
    /// Each row with its line in the file, counted from 1.
    rows: Vec<(u64, Vec<String>)>,
}

/// A column, found.
#[derive(Clone, Copy, Debug)]
pub struct Column(usize);

impl Sheet {
    /// Reads a table: a heading and at least one row, fields possibly quoted, blank lines skipped.
    /// `-` is standard input.
    pub fn read(path: &Path, written: Written) -> Result<Self> {
        let mut bytes = Vec::new();
        if path.as_os_str() == "-" {
            let read = std::io::stdin().lock().read_to_end(&mut bytes);
            read.map_err(|cause| Error::data(format!("failed to read standard input: {cause}")))?;
            return Self::parse("standard input".to_owned(), &bytes, written);
        }
        bytes = std::fs::read(path).map_err(|cause| {
            let error = Error::io("read", path, &cause);
            match cause.kind() {
                std::io::ErrorKind::NotFound => {
                    error.hint("name a file of comma-separated values, or - for standard input")
                }
                _ => error,
            }
        })?;
        Self::parse(quoted_path(path), &bytes, written)
    }

    fn parse(name: String, bytes: &[u8], written: Written) -> Result<Self> {
        let sample = &bytes[..bytes.len().min(SAMPLE)];
        let dialect = Dialect::of(sample, sample.len() == bytes.len(), written)
            .map_err(|error| error.within(&name))?;
        let bytes = &bytes[dialect.start..];
        let mut reader = csv::ReaderBuilder::new()
            .has_headers(false)
            .flexible(true)
            .trim(csv::Trim::All)
            .delimiter(dialect.delimiter)
            .from_reader(bytes);
        let mut sheet = Self { name, dialect, heading: Vec::new(), rows: Vec::new() };
        let mut lines = Lines { bytes, counted: 0, line: 1 + dialect.lines };
        let mut record = csv::ByteRecord::new();
        while reader.read_byte_record(&mut record).map_err(|cause| sheet.damaged(&cause))? {
            let start = record.position().map_or(0, csv::Position::byte);
            let line = lines.at(start as usize);
            let text = |field: &[u8]| {
                let text = std::str::from_utf8(field).map(str::to_owned);
                text.map_err(|_| sheet.error(line, "the text is not UTF-8").hint(ENCODING_HINT))
            };
            let fields = record.iter().map(text).collect::<Result<Vec<String>>>()?;
            if sheet.heading.is_empty() {
                sheet.heading = fields;
                continue;
            }
            let (found, expected) = (fields.len(), sheet.heading.len());
            if found != expected {
                let what = format!("{found} fields, but the heading has {expected}");
                return Err(sheet.error(line, &what).hint(dialect.quoting_hint()));
            }
            sheet.rows.push((line, fields));
        }
        let empty = |what: &str| {
            Error::data(format!("{}: {what}", sheet.name))
                .hint("the first line names the columns, every other one is a point")
        };
        match (sheet.heading.is_empty(), sheet.rows.is_empty()) {
            (true, _) => Err(empty("the table is empty")),
            (_, true) => Err(empty("the table has a heading but no rows")),
            _ => Ok(sheet),
        }
    }

    /// Name of the file, as it was given.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// How the table is written.
    pub fn dialect(&self) -> Dialect {
        self.dialect
    }

    /// Line and fields of each row.
    pub fn rows(&self) -> &[(u64, Vec<String>)] {
        &self.rows
    }

    /// An error in a line.
    pub fn error(&self, line: u64, what: &str) -> Error {
        Error::data(what).at_line(line).within(&self.name)
    }

    fn damaged(&self, cause: &csv::Error) -> Error {
        Error::data(format!("{}: not a table of comma-separated values: {cause}", self.name))
    }

    /// Whether a column of this name stands in the heading, be it twice.
    pub fn has(&self, name: &str) -> bool {
        self.heading.iter().any(|heading| heading == name)
    }

    /// The column of this name, which must stand in the heading exactly once.
    pub fn column(&self, name: &str) -> Result<Column> {
        let mut found = self.heading.iter().enumerate().filter(|(_, heading)| *heading == name);
        match (found.next(), found.next()) {
            (Some((index, _)), None) => Ok(Column(index)),
            (Some(_), Some(_)) => {
                let name = quoted(name);
                Err(self.error(1, &format!("the column `{name}` stands in the heading twice")))
            }
            (None, _) => {
                let error = self.error(1, &format!("there is no column `{}`", quoted(name)));
                Err(error.hint(self.columns_hint(name)))
            }
        }
    }

    /// What to write instead of a column that does not exist.
    fn columns_hint(&self, name: &str) -> String {
        if let [only] = &self.heading[..]
            && only.split_whitespace().nth(1).is_some()
        {
            return "the table looks separated by spaces: tr -s ' ' ',' < TABLE | scarce fit -"
                .to_owned();
        }
        let columns = || self.heading.iter().map(String::as_str);
        let listed = listed(columns());
        match suggest(name, columns()) {
            Some(near) => format!("{} The columns are {listed}", quoted(&near)),
            None => format!("the columns are {listed}"),
        }
    }

    /// The text of a column in a row.
    pub fn text(&self, row: usize, column: Column) -> &str {
        &self.rows[row].1[column.0]
    }

    /// The number of a column in a row: finite.
    pub fn number(&self, row: usize, column: Column) -> Result<f64> {
        let (line, text) = (self.rows[row].0, self.text(row, column));
        let name = quoted(&self.heading[column.0]);
        if text.is_empty() {
            let error = self.error(line, &format!("the column `{name}` is empty"));
            return Err(error.hint("leave rows without a value out of the table"));
        }
        let with_point = self.dialect.with_point(text);
        let Ok(value) = with_point.as_deref().unwrap_or(text).parse::<f64>() else {
            let what = format!("`{}` in column `{name}` is not a number", quoted(text));
            let error = self.error(line, &what);
            return Err(match text.contains(',') {
                true => error.hint(
                    "write thousands without a mark; decimals with a comma are read with \
                     --decimal comma",
                ),
                false => error,
            });
        };
        if !value.is_finite() {
            let what = format!("`{}` in column `{name}` is not finite", quoted(text));
            let error = self.error(line, &what);
            return Err(error.hint("leave runs that diverged out of the table"));
        }
        Ok(value)
    }

    /// The number of a column in a row: a loss, which is not negative.
    pub fn loss(&self, row: usize, column: Column) -> Result<f64> {
        let value = self.number(row, column)?;
        if (0.0..=LOSS_MAX).contains(&value) {
            return Ok(value);
        }
        let name = quoted(&self.heading[column.0]);
        let text = quoted(self.text(row, column));
        let error = self.error(self.rows[row].0, &format!("{text} in column `{name}` is no loss"));
        Err(error.hint("losses are not negative, and neither are their asymptotes"))
    }

    /// The number of a column in a row: positive.
    pub fn positive(&self, row: usize, column: Column) -> Result<f64> {
        let value = self.number(row, column)?;
        if value > 0.0 {
            return Ok(value);
        }
        let name = quoted(&self.heading[column.0]);
        let text = quoted(self.text(row, column));
        let error =
            self.error(self.rows[row].0, &format!("{text} in column `{name}` is not positive"));
        Err(error.hint("laws are of positive numbers: leave such rows out"))
    }
}

/// Counts lines up to ever later places. The reader's own numbers are those of the blank lines
/// that it skips before a row.
struct Lines<'a> {
    bytes: &'a [u8],
    counted: usize,
    line: u64,
}

impl Lines<'_> {
    fn at(&mut self, place: usize) -> u64 {
        let mut place = place;
        while matches!(self.bytes.get(place), Some(b'\r' | b'\n')) {
            place += 1;
        }
        let between = self.bytes.get(self.counted..place).unwrap_or_default();
        self.line += between.iter().filter(|&&byte| byte == b'\n').count() as u64;
        self.counted = place;
        self.line
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(text: &[u8]) -> Result<Sheet> {
        Sheet::parse("t.csv".to_owned(), text, Written::default())
    }

    #[test]
    fn quotes_marks_and_blank_lines_are_read() {
        let text = b"\xEF\xBB\xBFname,\"a, b\"\r\n\r\n x , 1.5 \r\n\"y \"\"z\"\"\",2e-1\r\n";
        let sheet = parse(text).unwrap();
        let (name, number) = (sheet.column("name").unwrap(), sheet.column("a, b").unwrap());
        assert_eq!(sheet.rows().len(), 2);
        assert_eq!((sheet.text(0, name), sheet.rows()[0].0), ("x", 3));
        assert_eq!((sheet.text(1, name), sheet.rows()[1].0), ("y \"z\"", 4));
        assert_eq!(sheet.number(1, number).unwrap().to_bits(), 0.2_f64.to_bits());
    }

    #[test]
    fn complaints_name_the_line() {
        let refuse = |text: &[u8], expected: &str| {
            let message = match parse(text) {
                Err(error) => error.to_string(),
                Ok(sheet) => {
                    let column = sheet.column("loss");
                    let row = |column| (0..sheet.rows().len()).map(move |row| (row, column));
                    let numbers = column.and_then(|column| {
                        row(column).map(|(row, column)| sheet.positive(row, column)).collect()
                    });
                    let numbers: Result<Vec<f64>> = numbers;
                    numbers.unwrap_err().to_string()
                }
            };
            assert!(message.contains(expected), "{message}");
        };
        refuse(b"", "t.csv: the table is empty");
        refuse(b"\n\n", "t.csv: the table is empty");
        refuse(b"x,loss\n", "t.csv: the table has a heading but no rows");
        refuse(b"x,los\n1,2\n", "t.csv:1: there is no column `loss`\nhint: did you mean `los`?");
        refuse(b"a,b\n1,2\n", "hint: the columns are `a`, `b`");
        refuse(b"x loss\n1 2\n", "hint: the table looks separated by spaces");
        refuse(b"loss,loss\n1,2\n", "t.csv:1: the column `loss` stands in the heading twice");
        refuse(b"x,loss\n1,2\n2,2,3\n", "t.csv:3: 3 fields, but the heading has 2");
        refuse(b"x,loss\r\n1,2\r\n\r\n2,abc\r\n", "t.csv:4: `abc` in column `loss`");
        refuse(b"x,loss\n1,\"3,5\"\n", "decimals with a comma are read with --decimal comma");
        refuse(b"x,loss\n1,\n", "t.csv:2: the column `loss` is empty");
        refuse(b"x,loss\n1,nan\n", "t.csv:2: `nan` in column `loss` is not finite");
        refuse(b"x,loss\n1,-inf\n", "is not finite");
        refuse(b"x,loss\n1,0\n", "t.csv:2: 0 in column `loss` is not positive");
        refuse(b"x,loss\n1,-2\n", "t.csv:2: -2 in column `loss` is not positive");
        refuse(b"x,loss\n1,\xFF\n", "t.csv:2: the text is not UTF-8");
    }
}
