//! How a table of text is written: what separates its columns, and which mark its decimals have.
//!
//! Commas and points are the rule. Other separators are read without asking where nothing else
//! makes a table of the text; where two do, the user must say. A decimal comma is only believed
//! beside another separator, and not where it could as well mark thousands.

use std::fmt;

use ::csv::{ByteRecord, ReaderBuilder, Trim};

use crate::error::quoted;
use crate::{Error, Result};

/// Bytes at the beginning of a file that are looked at.
pub const SAMPLE: usize = 1 << 20;
/// Rows of them.
const ROWS: usize = 1000;

/// Separators that are found without being named, with their names. The first is the rule.
const SEPARATORS: [(u8, &str, &str); 4] = [
    (b',', "comma", "commas"),
    (b';', "semicolon", "semicolons"),
    (b'\t', "tab", "tabs"),
    (b'|', "pipe", "pipes"),
];

/// The mark before the decimals of a number.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Decimal {
    /// 3.5
    Point,
    /// 3,5
    Comma,
}

impl Decimal {
    /// The mark of this name.
    ///
    /// # Errors
    /// If there is none.
    pub fn parse(text: &str) -> Result<Self> {
        match text {
            "point" | "." => Ok(Self::Point),
            "comma" | "," => Ok(Self::Comma),
            _ => Err(Error::usage(format!("--decimal: `{}` is no mark", quoted(text)))
                .hint("write comma or point")),
        }
    }
}

/// How a table is written, as far as the user says.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Written {
    /// What separates columns.
    pub delimiter: Option<u8>,
    /// The mark before decimals.
    pub decimal: Option<Decimal>,
}

/// How a table is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Dialect {
    /// What separates columns.
    pub delimiter: u8,
    /// Whether numbers have decimal commas.
    pub decimal_comma: bool,
    /// Whether points in numbers with decimal commas are known to mark thousands.
    marks: bool,
    /// Bytes before the heading: a byte-order mark, and the line `sep=;` of spreadsheets.
    pub start: usize,
    /// Lines before the heading.
    pub lines: u64,
}

/// Reads the name of a separator: a word such as `tab`, or the character itself.
///
/// # Errors
/// If it is neither.
pub fn parse_delimiter(text: &str) -> Result<u8> {
    let text = if text == "\\t" { "\t" } else { text };
    let named = SEPARATORS.iter().find(|(_, name, names)| text == *name || text == *names);
    match (named, text.as_bytes()) {
        (Some((separator, ..)), _) => Ok(*separator),
        (None, [only]) if !only.is_ascii_alphanumeric() && !b"\"\r\n.-+".contains(only) => {
            Ok(*only)
        }
        _ => Err(Error::usage(format!("--delimiter: `{}` separates nothing", quoted(text)))
            .hint("write comma, semicolon, tab, pipe, or one character")),
    }
}

/// What a text is that is no table.
fn other_format(sample: &[u8]) -> Option<(&'static str, &'static str)> {
    const NO_TEXT: [(&[u8], &str, &str); 7] = [
        (b"\xFF\xFE", "the text is UTF-16", "write it as UTF-8: iconv -f UTF-16 -t UTF-8 FILE"),
        (b"\xFE\xFF", "the text is UTF-16", "write it as UTF-8: iconv -f UTF-16 -t UTF-8 FILE"),
        (b"PK\x03\x04", "this is a ZIP file or a workbook", "save the sheet as CSV, UTF-8"),
        (b"\x1F\x8B", "the file is compressed", "unpack it first: gzip -dc FILE | ... -"),
        (b"\x28\xB5\x2F\xFD", "the file is compressed", "unpack it first: zstd -dc FILE | ... -"),
        (
            b"PAR1",
            "this is a Parquet file",
            "`scarce import runs` reads it, and `scarce runs --foreign --csv` makes a table of it",
        ),
        (b"\x89HDF", "this is an HDF5 file", "write the table as CSV"),
    ];
    let known = NO_TEXT.iter().find(|(magic, ..)| sample.starts_with(magic));
    let json = || {
        let json = sample.trim_ascii_start().starts_with(b"{\"")
            || sample.trim_ascii_start().starts_with(b"[{");
        let hint = "`scarce import runs FILE --format jsonl` (or json) reads it, and `scarce runs \
                    --foreign --csv` makes a table of it";
        json.then_some(("this is JSON and no table", hint))
    };
    known.map(|(_, what, hint)| (*what, *hint)).or_else(json)
}

/// Fields of the heading, and whether every row has as many.
struct Shape {
    heading: usize,
    steady: bool,
    /// Whether quotation marks stand inside of fields: another separator would free them.
    torn: bool,
}

impl Shape {
    fn is_table(&self) -> bool {
        self.steady && self.heading > 1 && !self.torn
    }
}

impl Dialect {
    /// How the table is written whose first bytes these are, the whole of it if it is `complete`.
    ///
    /// # Errors
    /// Where the bytes are no text, or two ways of reading them make sense.
    pub fn of(sample: &[u8], complete: bool, written: Written) -> Result<Self> {
        if let Some((what, hint)) = other_format(sample) {
            return Err(Error::data(what).hint(hint));
        }
        let mut start = if sample.starts_with(b"\xEF\xBB\xBF") { 3 } else { 0 };
        let (mut asked, mut lines) = (written.delimiter, 0);
        if let Some((separator, length)) = directive(&sample[start..]) {
            asked = asked.or(Some(separator));
            start += length;
            lines = 1;
        }
        let text = &sample[start..];
        let text = match text.iter().rposition(|&byte| byte == b'\n') {
            // The last row may be cut.
            Some(end) if !complete => &text[..=end],
            _ => text,
        };
        let delimiter = match asked {
            Some(delimiter) => delimiter,
            None => separator(text)?,
        };
        let mut dialect = Self { delimiter, decimal_comma: false, marks: false, start, lines };
        match written.decimal {
            Some(decimal) => {
                dialect.decimal_comma = decimal == Decimal::Comma;
                dialect.marks = dialect.decimal_comma;
            }
            None if delimiter != b',' => dialect.decimal_comma = decimal_comma(text, delimiter)?,
            None => {}
        }
        Ok(dialect)
    }

    /// Whether it is what everybody expects: commas between columns and points before decimals.
    #[must_use]
    pub fn is_usual(&self) -> bool {
        self.delimiter == b',' && !self.decimal_comma
    }

    /// What to do about a row with other fields than the heading.
    #[must_use]
    pub fn quoting_hint(&self) -> &'static str {
        match self.delimiter {
            b',' => "quote fields that hold a comma; other separators are read with --delimiter",
            _ => "quote fields that hold the separator; --delimiter names another one",
        }
    }

    /// A number with a decimal comma, with a point; any other text as it is.
    #[must_use]
    pub fn with_point(&self, text: &str) -> Option<String> {
        let written = Digits::of(text)?;
        let thousands = written.points > 0 && written.grouped && self.marks;
        let comma = written.commas == 1 && (written.points == 0 || written.comma_last);
        (self.decimal_comma && (comma || thousands))
            .then(|| text.replace('.', "").replace(',', "."))
    }
}

impl fmt::Display for Dialect {
    /// "separated by semicolons, decimals with a comma".
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match SEPARATORS.iter().find(|(separator, ..)| *separator == self.delimiter) {
            Some((.., names)) => write!(f, "separated by {names}")?,
            None => {
                write!(f, "separated by `{}`", quoted(&char::from(self.delimiter).to_string()))?
            }
        }
        f.write_str(if self.decimal_comma { ", decimals with a comma" } else { "" })
    }
}

/// The separator that the first line `sep=;` names, and the length of that line.
fn directive(text: &[u8]) -> Option<(u8, usize)> {
    let line = text.split(|&byte| byte == b'\n').next()?;
    let separator = line.trim_ascii_end().strip_prefix(b"sep=")?;
    let separator = if separator.is_empty() { b"\t" } else { separator };
    let [separator] = separator else { return None };
    Some((*separator, (line.len() + 1).min(text.len())))
}

/// The rows of a text under a separator.
fn rows(text: &[u8], delimiter: u8) -> impl Iterator<Item = ByteRecord> {
    let reader = ReaderBuilder::new()
        .has_headers(false)
        .flexible(true)
        .trim(Trim::All)
        .delimiter(delimiter)
        .from_reader(text);
    reader.into_byte_records().map_while(::csv::Result::ok).take(ROWS)
}

fn shape(text: &[u8], delimiter: u8) -> Shape {
    let mut rows = rows(text, delimiter);
    let first = rows.next().unwrap_or_default();
    let torn = first.iter().any(|field| field.contains(&b'"'));
    let heading = first.len();
    Shape { heading, steady: rows.all(|row| row.len() == heading), torn }
}

/// The only separator that makes a table of the text; a comma, where none does.
fn separator(text: &[u8]) -> Result<u8> {
    let shapes = SEPARATORS.map(|(separator, _, names)| (separator, names, shape(text, separator)));
    let tables: Vec<_> = shapes.iter().filter(|(.., shape)| shape.is_table()).collect();
    match &tables[..] {
        [(only, ..)] => Ok(*only),
        [(_, left, _), (_, right, _), ..] => {
            Err(Error::data(format!("the columns may be separated by {left} or by {right}"))
                .hint("say which with --delimiter comma, semicolon, tab or pipe"))
        }
        [] => {
            // A table with a bad row: if the heading has one reading only, it is that.
            let mut parted = shapes.iter().filter(|(.., shape)| shape.heading > 1);
            match (parted.next(), parted.next()) {
                (Some((only, ..)), None) => Ok(*only),
                _ => Ok(b','),
            }
        }
    }
}

/// A number as it is written: digits with commas and points.
struct Digits {
    commas: usize,
    points: usize,
    /// Whether every mark before the last, and the last, too, stands before three digits.
    grouped: bool,
    /// Whether it begins with a zero, so that nothing of it marks thousands.
    zero: bool,
    /// Whether its last mark is a comma, and those before it stand at thousands.
    comma_last: bool,
}

impl Digits {
    fn of(text: &str) -> Option<Self> {
        let text = text.trim().trim_start_matches(['+', '-']);
        let mantissa = match text.split_once(['e', 'E']) {
            Some((mantissa, exponent)) => {
                exponent.parse::<i32>().ok()?;
                mantissa
            }
            None => text,
        };
        let plain = mantissa.bytes().all(|b| b.is_ascii_digit() || b == b'.' || b == b',');
        if !plain || !mantissa.bytes().any(|byte| byte.is_ascii_digit()) {
            return None;
        }
        let in_groups = |text: &str| {
            let mut parts = text.split(['.', ',']);
            let first = parts.next().map_or(0, str::len);
            (1..=3).contains(&first) && parts.all(|part| part.len() == 3)
        };
        let count = |mark: char| mantissa.matches(mark).count();
        let whole = mantissa.rsplit_once(',').map_or("", |(whole, _)| whole);
        Some(Self {
            commas: count(','),
            points: count('.'),
            grouped: in_groups(mantissa),
            zero: mantissa.starts_with('0'),
            comma_last: mantissa.rfind(',') > mantissa.rfind('.') && in_groups(whole),
        })
    }
}

/// Whether numbers have decimal commas, for a table whose columns something else separates.
fn decimal_comma(text: &[u8], delimiter: u8) -> Result<bool> {
    let (mut comma, mut unsure, mut point) = (false, None, None);
    for row in rows(text, delimiter).skip(1) {
        for field in row.iter().filter_map(|field| std::str::from_utf8(field).ok()) {
            let Some(number) = Digits::of(field) else { continue };
            let thousands = number.grouped && !number.zero;
            match (number.commas, number.points) {
                (1, 0) if thousands => unsure = unsure.or(Some(field.to_owned())),
                (1, 0) => comma = true,
                (1, 1..) if number.comma_last => comma = true,
                (0, 1) if thousands => point = point.or(Some(field.to_owned())),
                _ => {}
            }
        }
    }
    let (may, other) = match (comma, unsure, point) {
        (true, _, Some(field)) => (field, "thousands or decimals"),
        (true, _, None) => return Ok(true),
        // Where commas were free to mark thousands, columns would be separated by them.
        (false, Some(_), None) if delimiter == b';' => return Ok(true),
        (false, Some(field), _) => (field, "thousands or decimals"),
        (false, None, _) => return Ok(false),
    };
    Err(Error::data(format!("`{}` may have {other} behind its mark", quoted(&may)))
        .hint("say it with --decimal comma or --decimal point"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(text: &str) -> Result<Dialect> {
        Dialect::of(text.as_bytes(), true, Written::default())
    }

    #[test]
    fn separators_are_found_where_they_are_certain() {
        let check = |text: &str, delimiter: u8, decimal_comma: bool| {
            let found = of(text).unwrap();
            assert_eq!(
                (found.delimiter, found.decimal_comma),
                (delimiter, decimal_comma),
                "{text}"
            );
        };
        check("a,b\n1,2\n", b',', false);
        check("a\n1\n", b',', false);
        check("a,\"b;c\"\n1,\"2;3\"\n", b',', false);
        check("n;loss\n1;3,5\n2;3,412\n", b';', true);
        check("n;loss\n1;3,512\n", b';', true);
        check("n;loss\n1;0.5\n", b';', false);
        check("n;loss\n1.000,5;3,5\n", b';', true);
        check("n\tloss, nats\n1\t3.5\n", b'\t', false);
        check("n\tloss\n1\t3,25\n", b'\t', true);
        check("n|loss\n1|3.5\n", b'|', false);
        check("n;loss\n1;3;5\n", b';', false);
        check("sep=;\nn;loss\n1;3,5\n", b';', true);
        assert_eq!(of("\u{feff}sep=;\nn;loss\n1;2\n").unwrap().start, 9);
    }

    #[test]
    fn what_is_not_certain_is_asked() {
        let refuse = |text: &str, expected: &str| {
            let error = of(text).unwrap_err().to_string();
            assert!(error.contains(expected), "{text}: {error}");
        };
        refuse("n;loss, nats\n1;3,5\n", "separated by commas or by semicolons");
        refuse("n\tloss\n1\t3,512\n", "`3,512` may have thousands or decimals");
        refuse("n;loss\n1.000;3,5\n", "`1.000` may have thousands");
    }

    #[test]
    fn numbers_get_their_points() {
        let auto =
            Dialect { delimiter: b';', decimal_comma: true, marks: false, start: 0, lines: 0 };
        let told = Dialect { marks: true, ..auto };
        let point = |text: &str| (auto.with_point(text), told.with_point(text));
        let both = |text: &str| (Some(text.to_owned()), Some(text.to_owned()));
        assert_eq!(point("3,5"), both("3.5"));
        assert_eq!(point("-3,5e-3"), both("-3.5e-3"));
        assert_eq!(point("1.234,5"), both("1234.5"));
        assert_eq!(point("1.234"), (None, Some("1234".to_owned())));
        assert_eq!(point("12.5"), (None, None));
        assert_eq!(point("12.5,1"), (None, None));
        assert_eq!(point("1,234,567"), (None, None));
        assert_eq!(point("a,b"), (None, None));
        assert_eq!(parse_delimiter("tab").unwrap(), b'\t');
        assert_eq!(parse_delimiter("\\t").unwrap(), b'\t');
        assert!(parse_delimiter("ab").is_err() && parse_delimiter("").is_err());
    }
}
