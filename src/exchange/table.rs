//! Tables of text, mostly comma-separated: a row per run, a row per step, or a chart of W&B.
//!
//! A chart has a column for the step and one per run and metric, `RUN - METRIC`, beside its
//! `__MIN` and `__MAX`, which are the same number unless points were merged.

use std::collections::BTreeSet;
use std::fs::File;
use std::io::{Read, Seek, SeekFrom};

use ::csv::{ByteRecord, Reader, ReaderBuilder, Trim};
use serde_json::Value;

use super::cell;
use super::dialect::{Dialect, SAMPLE, Written};
use super::history::Course;
use super::reading::{Format, Reading};
use super::row::Row;
use super::spool::Bounded;
use crate::error::quoted;
use crate::{Error, Result};

/// Longest row, in bytes, and the reader's buffer with it.
const ROW_MAX: u64 = 16 << 20;

/// A table with its heading.
struct Table {
    dialect: Dialect,
    reader: Reader<Bounded<File>>,
    heading: Vec<String>,
}

/// A column of a chart.
struct Line {
    column: usize,
    run: String,
    metric: String,
}

/// Whether the heading is one of W&B's pages.
pub(super) fn is_wandb(file: File, written: Written) -> bool {
    Table::open(file, written).is_ok_and(|table| {
        let has = |name: &str| table.heading.iter().any(|column| column == name);
        has("Name") && has("State") || !table.lines().is_empty()
    })
}

/// Reads the runs of a table.
pub(super) fn read(file: File, format: Format, reading: &mut Reading<'_>) -> Result<()> {
    let mut table = Table::open(file, reading.written())?;
    if !table.dialect.is_usual() {
        reading.warn(format!("read as {}", table.dialect));
    }
    let lines = if format == Format::WandbCsv { table.lines() } else { Vec::new() };
    if !lines.is_empty() {
        return table.chart(&lines, reading);
    }
    let columns: BTreeSet<String> = table.heading.iter().cloned().collect();
    if columns.len() < table.heading.len() {
        return Err(twice(&table.heading));
    }
    reading.mapping.check(&columns).map_err(|error| error.at_line(1))?;
    if let [only] = &table.heading[..]
        && only.split_whitespace().nth(1).is_some()
        && reading.mapping.role(only).is_none()
    {
        let error = Error::data("the heading has one column only").at_line(1);
        return Err(error.hint(
            "if spaces separate them: tr -s ' ' ',' < TABLE | scarce import runs - --format csv",
        ));
    }
    reading.mapping.check_loss(&columns).map_err(|error| error.at_line(1))?;
    let has_id = reading.mapping.finds("id", &columns) || reading.mapping.finds("name", &columns);
    let has_steps = reading.mapping.finds("step", &columns);
    let mut record = ByteRecord::new();
    let mut count = 0_u64;
    while let Some(line) = table.next(&mut record)? {
        count += 1;
        let mut row = Row::at(line);
        for (name, field) in table.heading.iter().zip(&record) {
            let text = std::str::from_utf8(field).map_err(|_| row.place(not_utf8()))?;
            if !text.is_empty() {
                row.set(
                    name,
                    Value::from(table.dialect.with_point(text).as_deref().unwrap_or(text)),
                )?;
            }
        }
        // Rows of runs without ids are told apart by their number.
        if !has_id && !has_steps {
            row.set("id", Value::from(format!("{}#{count}", reading.stem)))?;
        }
        reading.row(row)?;
    }
    reading.columns.extend(columns);
    match count {
        0 => Err(Error::data("the table has a heading but no rows")),
        _ => Ok(()),
    }
}

impl Table {
    fn open(mut file: File, written: Written) -> Result<Self> {
        let failed = |cause: std::io::Error| Error::data(format!("failed to read: {cause}"));
        let mut sample = Vec::new();
        (&mut file).take(SAMPLE as u64).read_to_end(&mut sample).map_err(failed)?;
        let dialect = Dialect::of(&sample, sample.len() < SAMPLE, written)?;
        file.seek(SeekFrom::Start(dialect.start as u64)).map_err(failed)?;
        let mut reader = ReaderBuilder::new()
            .has_headers(false)
            .flexible(true)
            .trim(Trim::All)
            .delimiter(dialect.delimiter)
            .from_reader(Bounded::new(file, ROW_MAX));
        let mut record = ByteRecord::new();
        if !reader.read_byte_record(&mut record).map_err(|cause| damaged(&cause))? {
            return Err(Error::data("the table is empty")
                .hint("the first line names the columns, every other one is a run or a step"));
        }
        let mut heading = Vec::new();
        for field in &record {
            let name = std::str::from_utf8(field).map_err(|_| not_utf8().at_line(1))?;
            heading.push(cell::printable(name.trim_matches('"')));
        }
        Ok(Self { dialect, reader, heading })
    }

    /// The next row and its line; every row has as many fields as the heading.
    fn next(&mut self, record: &mut ByteRecord) -> Result<Option<u64>> {
        self.reader.get_mut().reset();
        if !self.reader.read_byte_record(record).map_err(|cause| damaged(&cause))? {
            return Ok(None);
        }
        let line = record.position().map_or(0, ::csv::Position::line) + self.dialect.lines;
        let (found, expected) = (record.len(), self.heading.len());
        if found != expected {
            let what = format!("{found} fields, but the heading has {expected}");
            return Err(Error::data(what).at_line(line).hint(self.dialect.quoting_hint()));
        }
        Ok(Some(line))
    }

    /// The columns of a chart that hold numbers; none if it is no chart.
    fn lines(&self) -> Vec<Line> {
        let line = |(column, name): (usize, &String)| {
            let (run, metric) = name.rsplit_once(" - ")?;
            let merged = metric.ends_with("__MIN") || metric.ends_with("__MAX");
            let metric = metric.to_owned();
            (!merged).then(|| Line { column, run: run.to_owned(), metric })
        };
        let steps = self.heading.first().is_some_and(|name| name.to_lowercase().contains("step"));
        if !steps {
            return Vec::new();
        }
        self.heading.iter().enumerate().skip(1).filter_map(line).collect()
    }

    /// Reads a chart: a step a row, a run a column.
    fn chart(&mut self, lines: &[Line], reading: &mut Reading<'_>) -> Result<()> {
        let step_name = self.heading.first().cloned().unwrap_or_default();
        let metrics: BTreeSet<String> = lines.iter().map(|line| line.metric.clone()).collect();
        reading.mapping.check_loss(&metrics).map_err(|error| error.at_line(1))?;
        let mut runs: Vec<(&str, Course)> = Vec::new();
        let place: Vec<usize> = {
            let mut known = std::collections::BTreeMap::new();
            let mut place = |line: &Line| {
                *known.entry(line.run.clone()).or_insert_with(|| {
                    runs.push(("", Course::default()));
                    runs.len() - 1
                })
            };
            lines.iter().map(&mut place).collect()
        };
        for (line, &index) in lines.iter().zip(&place) {
            runs[index].0 = &line.run;
        }
        let dialect = self.dialect;
        let mut record = ByteRecord::new();
        while let Some(number) = self.next(&mut record)? {
            let text = |column: usize| {
                let field = record.get(column).unwrap_or_default();
                let text = String::from_utf8_lossy(field);
                Value::from(dialect.with_point(&text).as_deref().unwrap_or(&text))
            };
            let mut step = Row::at(number);
            step.set("step", text(0))?;
            let found = step.number("step")?.filter(|step| (0.0..1e15).contains(step));
            let Some(found) = found else {
                return Err(step.error(&format!("the column `{}` has no step", quoted(&step_name))));
            };
            for (line, &index) in lines.iter().zip(&place) {
                let mut row = Row::at(number);
                row.set(&line.metric, text(line.column))?;
                reading.mapping.losses(&row, found as u64, &mut runs[index].1)?;
            }
        }
        reading.columns.extend(metrics);
        for (id, course) in runs {
            let mut row = Row::default();
            row.set("id", Value::from(id))?;
            reading.run(row, course)?;
        }
        Ok(())
    }
}

fn damaged(cause: &::csv::Error) -> Error {
    Error::data(format!("not a table of comma-separated values: {cause}"))
}

/// What is wrong with text in another encoding.
pub(super) fn not_utf8() -> Error {
    Error::data("the text is not UTF-8")
        .hint("if a spreadsheet wrote it: iconv -f WINDOWS-1252 -t UTF-8 FILE > table.csv")
}

fn twice(heading: &[String]) -> Error {
    let again = (1..heading.len()).find(|&place| heading[..place].contains(&heading[place]));
    let name = again.map_or_else(String::new, |place| format!(", `{}`", quoted(&heading[place])));
    Error::data(format!("a column stands in the heading twice{name}")).at_line(1)
}

#[cfg(test)]
mod tests {
    use super::super::source::testing::{read_bytes, read_mapped};

    #[test]
    fn rows_are_runs() {
        let text = "run_id,lr,final_dclm_loss,data_name,width\na,1e-3,3.5,dclm,8\n\nb,,3.4,dclm,\n";
        let read = read_bytes("t.csv", text.as_bytes()).unwrap();
        let (run, _) = &read.runs[0];
        assert_eq!(
            (run.id.as_str(), run.loss_nats(), run.settings.lr),
            ("a", Some(3.5), Some(1e-3))
        );
        assert_eq!(run.other["width"], "8");
        assert_eq!((read.runs[1].0.id.as_str(), read.runs[1].0.settings.lr), ("b", None));
        // Without ids, rows have numbers.
        let read = read_mapped("t.csv", b"n,y\n1,4\n2,3.9\n", "loss=y,parameters=n").unwrap();
        assert_eq!(read.runs[1].0.id, "t#2");
        assert_eq!(read.runs[1].0.settings.parameters, Some(2.0));
    }

    #[test]
    fn steps_are_gathered_by_run() {
        let text = "run_id,step,train_loss,loss\na,1,5,\nb,1,5.5,\na,2,4,4.2\nb,2,NaN,\n";
        let read = read_bytes("t.csv", text.as_bytes()).unwrap();
        let (run, history) = &read.runs[0];
        assert_eq!((run.id.as_str(), run.loss_nats()), ("a", Some(4.2)));
        assert_eq!(history.train_loss_nats, [Some(5.0), Some(4.0)]);
        assert_eq!(history.eval_loss_nats, [None, Some(4.2)]);
        assert!(read.runs[1].0.losses.is_empty(), "it ends in NaN");
    }

    #[test]
    fn charts_of_wandb_are_read() {
        let text = "\"Step\",\"big - 2 - eval/loss\",\"big - 2 - eval/loss__MIN\",\
            \"big - 2 - eval/loss__MAX\",\"small - eval/loss\"\n\
            \"0\",\"5\",\"5\",\"5\",\"\"\n10,4,4,4,4.5\n";
        let read = read_bytes("t.csv", text.as_bytes()).unwrap();
        let found: Vec<_> =
            read.runs.iter().map(|(r, h)| (r.id.as_str(), r.loss_nats(), h.step.len())).collect();
        assert_eq!(found, [("big - 2", Some(4.0), 2), ("small", Some(4.5), 1)]);
    }

    #[test]
    fn complaints_name_the_line() {
        let refuse = |text: &str, map: &str, expected: &str| {
            let error = read_mapped("t.csv", text.as_bytes(), map).unwrap_err().to_string();
            assert!(error.contains(expected), "{error}");
        };
        refuse("", "", "t.csv: the table is empty");
        refuse("loss\n", "", "t.csv: the table has a heading but no rows");
        refuse(
            "a,b\n1,2\n",
            "",
            "t.csv:1: there is no column of losses\nhint: say which one it is",
        );
        refuse(
            "a,b\n1,2\n",
            "loss=c",
            "t.csv:1: there is no column `c`\nhint: the columns are `a`",
        );
        refuse("lr,loss\n1,2\nfast,2\n", "", "t.csv:3: `fast` in `lr` is not a number");
        refuse("lr,loss\n1,2\n1,low\n", "", "t.csv:3: `low` in `loss` is not a number");
        refuse("lr,loss\ninf,2\n", "", "t.csv:2: inf in `lr` is not finite");
        refuse("lr,loss\n1,2,3\n", "", "t.csv:2: 3 fields, but the heading has 2");
        refuse("loss,loss\n1,2\n", "", "t.csv:1: a column stands in the heading twice");
        refuse("step,loss\n-1,2\n", "", "t.csv:2: `-1` in `step` is no step");
        let endless = format!("loss\n\"{}", "x".repeat(40 << 20));
        refuse(&endless, "", "a row of over");
    }
}
