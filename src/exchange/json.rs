//! JSON: the reference's run lists and benchmark results, converted from its pickles.
//!
//! ```text
//! [run, ...]  {"mode": [run, ...]}  {"id": run}  run              run lists
//! {"name": {"K": {"task": {"acc": ..., "acc_stderr": ...}}}}     results of K members
//! ```
//! A run is an object of plain values. Its `loss_history` or `history` is a table in any of the
//! forms that pandas writes: records, lists by column, values by column and index, or `split`.

use std::fs::File;
use std::io::{BufReader, Read};

use serde::de::{DeserializeSeed, Deserializer, MapAccess, SeqAccess, Visitor};
use serde_json::{Map, Value};

use super::cell::PythonNumbers;
use super::history::Course;
use super::reading::Reading;
use super::row::Row;
use crate::error::quoted;
use crate::{Error, Result};

/// Keys under which a run keeps its course.
const HISTORY_KEYS: [&str; 2] = ["loss_history", "history"];
/// Keys of a run's outer object whose values are the run's own.
const INNER_KEYS: [&str; 4] = ["config", "json_config", "summary", "summaryMetrics"];

/// Steps that one run's course may have.
const STEPS_MAX: usize = 10_000_000;

/// Reads the runs of a file, one element of the outermost list or object at a time.
pub(super) fn read(file: File, reading: &mut Reading<'_>) -> Result<()> {
    let input = BufReader::new(Python::new(BufReader::new(file)));
    let mut deserializer = serde_json::Deserializer::from_reader(input);
    let mut failed = None;
    let top = Top { reading, failed: &mut failed };
    let read = top.deserialize(&mut deserializer).and_then(|()| deserializer.end());
    match (failed, read) {
        (Some(error), _) => Err(error),
        (None, Err(cause)) => {
            let error = Error::data(format!("not JSON: {cause}"));
            let lines = cause.to_string().starts_with("trailing characters");
            Err(if lines {
                error.hint("objects a line are read with --format jsonl")
            } else {
                error
            })
        }
        (None, Ok(())) => Ok(()),
    }
}

/// A reader that turns Python's numbers into JSON's.
struct Python<R> {
    input: R,
    numbers: PythonNumbers,
    ready: Vec<u8>,
    given: usize,
}

impl<R> Python<R> {
    fn new(input: R) -> Self {
        Self { input, numbers: PythonNumbers::default(), ready: Vec::new(), given: 0 }
    }
}

impl<R: Read> Read for Python<R> {
    fn read(&mut self, buffer: &mut [u8]) -> std::io::Result<usize> {
        let mut raw = [0; 8192];
        while self.given == self.ready.len() {
            self.ready.clear();
            self.given = 0;
            let read = self.input.read(&mut raw)?;
            self.numbers.feed(&raw[..read], &mut self.ready);
            if read == 0 {
                self.numbers.finish(&mut self.ready);
                if self.ready.is_empty() {
                    return Ok(0);
                }
            }
        }
        let count = buffer.len().min(self.ready.len() - self.given);
        buffer[..count].copy_from_slice(&self.ready[self.given..self.given + count]);
        self.given += count;
        Ok(count)
    }
}

/// The outermost list or object; errors of ours travel beside those of the parser.
struct Top<'r, 'a> {
    reading: &'r mut Reading<'a>,
    failed: &'r mut Option<Error>,
}

impl Top<'_, '_> {
    fn element<E: serde::de::Error>(
        &mut self,
        key: &str,
        value: Value,
    ) -> std::result::Result<(), E> {
        let read = match key {
            "" => run(value, 0, self.reading),
            key if is_results(&value) => results(key, value, self.reading),
            key => named(key, value, self.reading),
        };
        read.map_err(|error| {
            *self.failed = Some(error);
            E::custom("see the error beside")
        })
    }
}

impl<'de> DeserializeSeed<'de> for Top<'_, '_> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, from: D) -> std::result::Result<(), D::Error> {
        from.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Top<'_, '_> {
    type Value = ();

    fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("a list of runs or an object")
    }

    fn visit_seq<A: SeqAccess<'de>>(mut self, mut list: A) -> std::result::Result<(), A::Error> {
        while let Some(value) = list.next_element::<Value>()? {
            self.element("", value)?;
        }
        Ok(())
    }

    fn visit_map<A: MapAccess<'de>>(mut self, mut map: A) -> std::result::Result<(), A::Error> {
        let mut own = Map::new();
        while let Some((key, value)) = map.next_entry::<String, Value>()? {
            if is_inside(&key) || !is_results(&value) && !is_runs(&value) {
                own.insert(key, value);
            } else {
                self.element(&key, value)?;
            }
        }
        if own.is_empty() { Ok(()) } else { self.element("", Value::Object(own)) }
    }
}

/// Whether a key of an object belongs to a run and is no run itself.
fn is_inside(key: &str) -> bool {
    HISTORY_KEYS.contains(&key) || INNER_KEYS.contains(&key)
}

/// Whether the value is a run or a list of runs: objects with something plain in them.
fn is_runs(value: &Value) -> bool {
    match value {
        Value::Array(values) => values.first().is_some_and(Value::is_object),
        Value::Object(object) => {
            let plain = |value: &Value| !value.is_object() && !value.is_array();
            object.contains_key("id")
                || object.contains_key("run_id")
                || object.contains_key("loss_history")
                || object.len() > 1 && object.values().filter(|value| plain(value)).count() > 1
        }
        _ => false,
    }
}

/// Whether the value is `{"K": {"task": {"acc": ...}}}`.
fn is_results(value: &Value) -> bool {
    let Value::Object(by_members) = value else { return false };
    let tasks = |(members, tasks): (&String, &Value)| {
        members.parse::<u32>().is_ok()
            && tasks.as_object().is_some_and(|t| t.values().all(|task| task.get("acc").is_some()))
    };
    !by_members.is_empty() && by_members.iter().all(tasks)
}

/// Benchmark results: a run per number of members, its accuracies under `TASK/acc`.
fn results(name: &str, value: Value, reading: &mut Reading<'_>) -> Result<()> {
    let Value::Object(by_members) = value else { return Ok(()) };
    for (members, tasks) in by_members {
        let mut row = Row::default();
        row.set("id", Value::from(format!("{name}#K={members}")))?;
        row.set("name", Value::from(name))?;
        row.set("members", Value::from(members))?;
        let Value::Object(tasks) = tasks else { continue };
        for (task, numbers) in tasks {
            let Value::Object(numbers) = numbers else { continue };
            for (key, number) in numbers {
                row.set(&format!("{task}/{key}"), number)?;
            }
        }
        reading.run(row, Course::default())?;
    }
    Ok(())
}

/// Runs under a key: a list of a mode, or one run whose id is the key.
fn named(key: &str, value: Value, reading: &mut Reading<'_>) -> Result<()> {
    match value {
        Value::Array(values) => values.into_iter().try_for_each(|value| run(value, 0, reading)),
        Value::Object(mut object) => {
            if !object.contains_key("run_id") {
                object.entry("id").or_insert_with(|| Value::from(key));
            }
            run(Value::Object(object), 0, reading)
        }
        _ => Err(Error::data(format!("`{}` is neither a run nor a list of runs", quoted(key)))),
    }
}

/// Takes in an object of line `line`: a run, or a step of one.
pub(super) fn run(value: Value, line: u64, reading: &mut Reading<'_>) -> Result<()> {
    let mut row = Row::at(line);
    let Value::Object(mut object) = value else { return Err(not_an_object(line)) };
    let mut course = Course::default();
    let mut whole = false;
    for key in HISTORY_KEYS {
        // An empty history is null in some exports.
        if let Some(table @ (Value::Array(_) | Value::Object(_))) = object.remove(key) {
            follow(table, reading, &mut course).map_err(|error| row.place(error))?;
            whole = true;
        }
    }
    let inner = INNER_KEYS.map(|key| (key.starts_with("summary"), object.remove(key)));
    row.set("", Value::Object(object))?;
    for (logged, value) in inner {
        let Some(value) = value else { continue };
        let value = match value {
            Value::String(text) => super::cell::parse(text.as_bytes())
                .map_err(|cause| row.error(&format!("a configuration is not JSON: {cause}")))?,
            other => other,
        };
        let mut part = Row::at(line);
        part.set("", value)?;
        if logged {
            row.fill_logged(part)
        } else {
            row.fill(part)
        }
        whole = true;
    }
    if whole { reading.run(row, course) } else { reading.row(row) }
}

fn not_an_object(line: u64) -> Error {
    let error = Error::data("not an object, and so neither a run nor a step");
    match line {
        0 => error,
        line => error.at_line(line).hint("a list of runs in one piece is read with --format json"),
    }
}

/// Takes in the course of a run from a table of pandas.
fn follow(table: Value, reading: &Reading<'_>, course: &mut Course) -> Result<()> {
    let columns = match table {
        Value::Array(records) => {
            for (index, record) in (0..).zip(records) {
                let mut row = Row::default();
                row.set("", record)?;
                step(&row, index, reading, course)?;
            }
            return Ok(());
        }
        Value::Object(mut object) => match (object.remove("columns"), object.remove("data")) {
            (Some(Value::Array(names)), Some(Value::Array(data))) => {
                return split(&names, data, reading, course);
            }
            (None, None) => object,
            _ => return Err(Error::data("the history is no table that pandas writes")),
        },
        _ => return Ok(()),
    };
    let columns: Vec<(String, Vec<Value>)> =
        columns.into_iter().map(|(name, column)| (name, values(column))).collect();
    let rows = columns.iter().map(|(_, values)| values.len()).max().unwrap_or(0);
    for index in 0..rows.min(STEPS_MAX) {
        let mut row = Row::default();
        for (name, values) in &columns {
            row.set(name, values.get(index).cloned().unwrap_or(Value::Null))?;
        }
        step(&row, index as u64, reading, course)?;
    }
    Ok(())
}

/// `{"columns": [...], "data": [[...], ...]}`.
fn split(
    names: &[Value],
    data: Vec<Value>,
    reading: &Reading<'_>,
    course: &mut Course,
) -> Result<()> {
    for (index, values) in (0..).zip(data) {
        let Value::Array(values) = values else { continue };
        let mut row = Row::default();
        for (name, value) in names.iter().zip(values) {
            row.set(name.as_str().unwrap_or_default(), value)?;
        }
        step(&row, index, reading, course)?;
    }
    Ok(())
}

/// A column's values: a list, or an object from index to value in numerical order.
fn values(column: Value) -> Vec<Value> {
    match column {
        Value::Array(values) => values,
        Value::Object(by_index) => {
            let number =
                |(index, value): (String, Value)| Some((index.parse::<u64>().ok()?, value));
            let mut numbered: Vec<(u64, Value)> = by_index.into_iter().filter_map(number).collect();
            numbered.sort_by_key(|(index, _)| *index);
            numbered.into_iter().map(|(_, value)| value).collect()
        }
        _ => Vec::new(),
    }
}

fn step(row: &Row, index: u64, reading: &Reading<'_>, course: &mut Course) -> Result<()> {
    let step = reading.mapping.step(row)?.unwrap_or(index);
    reading.mapping.losses(row, step, course)
}

#[cfg(test)]
mod tests {
    use super::super::source::testing::read_bytes;

    /// A run of the reference's lists with this history.
    fn listed(history: &str) -> String {
        format!(
            "{{\"run_id\": \"300m4k-209Mx16-dclm-cos-lr0.0030-wd1.60-bs64\", \"epochs\": 16, \
             \"model_name\": \"300m4k\", \"base_tokens\": 209715200.0, \"data_name\": \"dclm\", \
             \"lr\": 0.003, \"weight_decay\": 1.6, \"batch_size\": 64, \"final_dclm_loss\": 3.6, \
             \"loss_history\": {history}, \"seed_types\": [\"train\", \"data\"]}}"
        )
    }

    #[test]
    fn run_lists_come_in_many_forms() {
        let histories = [
            r#"[{"_step": 640, "eval/dclm/loss": 4}, {"_step": 1280, "eval/dclm/loss": 3.5}]"#,
            r#"{"_step": [640, 1280], "eval/dclm/loss": [4, 3.5], "train/loss": [NaN, 3]}"#,
            r#"{"_step": {"0": 640, "10": 1280}, "eval/dclm/loss": {"0": 4, "10": 3.5}}"#,
            r#"{"columns": ["_step", "eval/dclm/loss"], "index": [0, 1],
                "data": [[640, 4], [1280, 3.5]]}"#,
        ];
        for history in histories {
            let run = listed(history);
            for text in [
                run.clone(),
                format!("[{run}]"),
                format!("{{\"mode\": [{run}]}}"),
                format!("{{\"a\": {run}}}"),
            ] {
                let read = read_bytes("runs.json", text.as_bytes()).unwrap();
                let (run, history) = &read.runs[0];
                assert_eq!((read.runs.len(), run.loss_nats()), (1, Some(3.5)), "{text}");
                assert_eq!(run.settings.budget_tokens, Some(209_715_200.0));
                assert_eq!(run.settings.seed_families, ["train", "data"]);
                assert_eq!(history.step, [640, 1280], "{text}");
            }
        }
    }

    #[test]
    fn results_have_a_run_per_number_of_members() {
        let text = r#"{"300m": {"1": {"piqa": {"acc": 0.6, "acc_stderr": 0.01}},
            "5": {"piqa": {"acc": 0.65, "acc_stderr": 0.01}}}}"#;
        let read = read_bytes("results.json", text.as_bytes()).unwrap();
        let (run, _) = &read.runs[1];
        assert_eq!((run.id.as_str(), run.settings.members), ("300m#K=5", Some(5.0)));
        assert_eq!(run.other["piqa/acc"], 0.65);
    }

    #[test]
    fn other_json_is_refused() {
        let refuse = |text: &str, expected: &str| {
            let error = read_bytes("r.json", text.as_bytes()).unwrap_err().to_string();
            assert!(error.contains(expected), "{text}: {error}");
        };
        refuse("", "r.json: not JSON: EOF");
        refuse("[]", "r.json: the file holds no run");
        refuse("{}", "the file holds no run");
        refuse("3", "not JSON: invalid type");
        refuse("[1]", "r.json: not an object");
        refuse("[{\"id\": \"a\"}", "not JSON: EOF");
        refuse(r#"[{"id": "a", "lr": "fast"}]"#, "`fast` in `lr` is not a number");
        refuse(r#"[{"id": "a", "loss_history": {"columns": 3}}]"#, "no table that pandas writes");
        refuse(&"[".repeat(1000), "recursion limit");
    }
}
