//! W&B's offline files, `wandb/offline-run-*/run-*.wandb`: one run each.
//!
//! A log (`log`) of messages (`message`). Of the messages only these fields are read, by the
//! numbers of W&B's schema as of its version 0.31:
//!
//! ```text
//! Record   history 2, summary 3, config 5, run 17, exit 18
//! Run      id 1, project 3, config 4, summary 5, name 8, tags 10
//! History  item 1, step 2 { number 1 }
//! Item     key 1, nested key 2, JSON 16; typed: true 4, integer 5, number 6, text 7, JSON 8
//! Config, summary    update 1, remove 2, both items
//! Exit     code 1
//! ```

mod log;
mod message;

use std::collections::{BTreeMap, BTreeSet};
use std::fs::File;
use std::io::BufReader;

use serde_json::Value as Json;

use super::history::Course;
use super::reading::Reading;
use super::row::Row;
use super::{alias, cell};
use crate::{Error, Result};
use log::Log;
use message::{Fields, Value};

/// Names of a history that are remembered, as many as one step may have.
const NAMES_MAX: usize = 20_000;

/// What is known so far of the run of a file.
#[derive(Debug, Default)]
struct Run {
    config: Row,
    summary: Row,
    course: Course,
    /// Names of the history; those that could be settings have their first values.
    followed: BTreeMap<String, Option<Json>>,
    /// Those of them that have changed.
    varied: BTreeSet<String>,
    tags: Vec<Json>,
    exit_code: Option<i64>,
    steps: u64,
}

/// One item of a configuration, a summary or a step.
struct Item {
    name: String,
    value: Json,
}

/// Reads the run of a file. Records that cannot be read are warnings.
pub(super) fn read(file: File, reading: &mut Reading<'_>) -> Result<()> {
    let mut log = Log::open(BufReader::new(file))?;
    let mut run = Run::default();
    let mut found = false;
    while let Some((place, record)) = log.next_record()? {
        match run.record(&record, reading) {
            Ok(read) => found |= read,
            Err(error) => log.warn(place, &format!("a record cannot be read: {error}")),
        }
    }
    log.into_warnings().into_iter().for_each(|warning| reading.warn(warning));
    if !found {
        return Err(Error::data("the file holds no run"));
    }
    let mut row = run.config;
    row.fill_logged(run.summary);
    let logged = |name: &String| row.logged.contains(name);
    row.varied = run.varied.into_iter().filter(logged).collect();
    if !run.tags.is_empty() {
        row.set("tags", Json::Array(run.tags))?;
    }
    let state = match run.exit_code {
        Some(0) => "finished",
        Some(_) => "failed",
        None => "unfinished",
    };
    row.set("state", Json::from(state))?;
    reading.run(row, run.course)
}

impl Run {
    /// Takes in a record; says whether it was one of a run.
    fn record(&mut self, bytes: &[u8], reading: &Reading<'_>) -> Result<bool> {
        let mut found = false;
        for field in Fields::of(bytes) {
            let (number, Value::Bytes(bytes)) = field? else { continue };
            match number {
                2 => self.history(bytes, reading)?,
                3 => update(&mut self.summary, bytes)?,
                5 => update(&mut self.config, bytes)?,
                17 => self.run(bytes)?,
                18 => self.exit_code = Some(exit_code(bytes)?),
                _ => continue,
            }
            found = true;
        }
        Ok(found)
    }

    fn run(&mut self, bytes: &[u8]) -> Result<()> {
        // The record is written again when something changes, with all tags.
        self.tags.clear();
        for field in Fields::of(bytes) {
            let (number, Value::Bytes(bytes)) = field? else { continue };
            let name = match number {
                1 => "id",
                3 => "project",
                8 => "name",
                4 => {
                    update(&mut self.config, bytes)?;
                    continue;
                }
                5 => {
                    update(&mut self.summary, bytes)?;
                    continue;
                }
                10 if self.tags.len() < 100 => {
                    self.tags.push(Json::from(text(bytes)));
                    continue;
                }
                _ => continue,
            };
            self.config.set(name, Json::from(text(bytes)))?;
        }
        Ok(())
    }

    fn history(&mut self, bytes: &[u8], reading: &Reading<'_>) -> Result<()> {
        let mut row = Row::default();
        let mut step = None;
        for field in Fields::of(bytes) {
            match field? {
                (1, Value::Bytes(bytes)) => {
                    let item = item(bytes)?;
                    row.set(&item.name, item.value)?;
                }
                (2, Value::Bytes(bytes)) => step = first_number(bytes)?,
                _ => {}
            }
        }
        let step = reading.mapping.step(&row)?.or(step).unwrap_or(self.steps);
        self.steps = step.saturating_add(1);
        for (name, value) in &row.values {
            match self.followed.get(name) {
                Some(Some(first)) if first != value => _ = self.varied.insert(name.clone()),
                Some(_) => {}
                None if self.followed.len() >= NAMES_MAX => {}
                None => {
                    let setting = alias::number_field(name).map(|_| value.clone());
                    self.followed.insert(name.clone(), setting);
                }
            }
        }
        reading.mapping.losses(&row, step, &mut self.course)
    }
}

/// Takes in the items of a configuration or summary.
fn update(row: &mut Row, bytes: &[u8]) -> Result<()> {
    for field in Fields::of(bytes) {
        match field? {
            (1, Value::Bytes(bytes)) => {
                let item = item(bytes)?;
                row.set(&item.name, item.value)?;
            }
            (2, Value::Bytes(bytes)) => {
                row.values.remove(&item(bytes)?.name);
            }
            _ => {}
        }
    }
    Ok(())
}

fn item(bytes: &[u8]) -> Result<Item> {
    let (mut key, mut nested, mut value) = (String::new(), Vec::new(), Json::Null);
    for field in Fields::of(bytes) {
        match field? {
            (1, Value::Bytes(bytes)) => key = text(bytes),
            (2, Value::Bytes(bytes)) => nested.push(text(bytes)),
            (16 | 8, Value::Bytes(bytes)) => {
                let parsed = cell::parse(bytes);
                value = parsed.map_err(|cause| Error::data(format!("a value: {cause}")))?;
            }
            (4, Value::Varint(flag)) => value = Json::from(flag != 0),
            (5, Value::Varint(number)) => value = Json::from(number.cast_signed()),
            (6, Value::Fixed64(bits)) => value = real(f64::from_bits(bits)),
            (6, Value::Fixed32(bits)) => value = real(f64::from(f32::from_bits(bits))),
            (7, Value::Bytes(bytes)) => value = Json::from(text(bytes)),
            _ => {}
        }
    }
    let name = if nested.is_empty() { key } else { nested.join(".") };
    Ok(Item { name, value })
}

/// A real number as JSON, which has words for those that are not finite.
fn real(number: f64) -> Json {
    serde_json::Number::from_f64(number)
        .map_or_else(|| Json::from(number.to_string()), Json::Number)
}

/// The exit code: an `int32`, negative ones sign-extended.
fn exit_code(bytes: &[u8]) -> Result<i64> {
    Ok(first_number(bytes)?.unwrap_or(0).cast_signed())
}

/// The number in field 1.
fn first_number(bytes: &[u8]) -> Result<Option<u64>> {
    let mut found = None;
    for field in Fields::of(bytes) {
        if let (1, Value::Varint(number)) = field? {
            found = Some(number);
        }
    }
    Ok(found)
}

fn text(bytes: &[u8]) -> String {
    cell::printable(&String::from_utf8_lossy(bytes))
}

#[cfg(test)]
mod tests {
    use super::super::source::testing::read_bytes;
    use super::message::testing::Message;
    use super::*;

    fn json_item(key: &str, json: &str) -> Message {
        Message::default().bytes(1, key.as_bytes()).bytes(16, json.as_bytes())
    }

    /// A run as W&B writes it: header, run with configuration, steps, summary, exit.
    fn file(steps: u64) -> Vec<u8> {
        let config = Message::default()
            .bytes(1, &json_item("model", r#"{"seq_len": 4096}"#).0)
            .bytes(1, &json_item("lr", "0.003").0);
        let run = Message::default()
            .bytes(1, b"rust0001")
            .bytes(3, b"demo")
            .bytes(4, &config.0)
            .bytes(8, b"from rust\x1b[31m")
            .bytes(10, b"a")
            .bytes(10, b"b");
        let mut records =
            vec![Message::default().bytes(21, b""), Message::default().bytes(17, &run.0)];
        for step in 0..steps {
            let loss = format!("{}", 4.0 / (1.0 + step as f64).powf(0.1));
            let nested = |key: &str, json: &str| {
                Message::default().bytes(2, key.as_bytes()).bytes(16, json.as_bytes())
            };
            let mut history = Message::default()
                .bytes(1, &nested("train/loss", &loss).0)
                .bytes(1, &nested("_step", &step.to_string()).0);
            if step % 10 == 9 {
                let typed = Message::default().bytes(1, b"eval/loss").double(6, 3.0);
                history = history.bytes(1, &typed.0);
            }
            let history = history.bytes(2, &Message::default().number(1, step).0);
            records.push(Message::default().bytes(2, &history.0));
        }
        let summary = Message::default().bytes(1, &json_item("eval/paloma/loss", "NaN").0);
        records.push(Message::default().bytes(3, &summary.0));
        records.push(Message::default().bytes(18, &Message::default().number(1, 0).0));
        let records: Vec<Vec<u8>> = (1..)
            .zip(records)
            .map(|(n, record)| {
                Message::default()
                    .number(1, n)
                    .bytes(0, &[])
                    .0
                    .into_iter()
                    .chain(record.0)
                    .collect()
            })
            .collect();
        log::testing::log(&records)
    }

    #[test]
    fn a_run_is_read_whole() {
        let read = read_bytes("run.wandb", &file(2000)).unwrap();
        let (run, history) = &read.runs[0];
        assert_eq!((run.id.as_str(), run.name.as_deref()), ("rust0001", Some("from rust[31m")));
        assert_eq!(
            (run.project.as_deref(), run.state.as_deref()),
            (Some("demo"), Some("finished"))
        );
        assert_eq!(run.tags, ["a", "b"]);
        assert_eq!(run.settings.sequence_tokens, Some(4096.0));
        assert_eq!((run.settings.lr, run.loss_nats()), (Some(0.003), Some(3.0)));
        assert_eq!(run.losses.keys().collect::<Vec<_>>(), ["eval", "train"]);
        assert_eq!((history.step.len(), read.warnings.len()), (2000, 0));
        assert_eq!(history.eval_loss_nats[9], Some(3.0));
    }

    #[test]
    fn damaged_files_give_what_is_whole_and_never_panic() {
        let bytes = file(300);
        for place in (7..bytes.len()).step_by(61) {
            let mut bad = bytes.clone();
            bad[place] ^= 0x55;
            let read = read_bytes("run.wandb", &bad).unwrap();
            assert_eq!(read.runs.len(), 1, "{place}");
            let known = |warning: &String| {
                ["byte ", "`", "no column of losses"].iter().any(|start| warning.starts_with(start))
            };
            assert!(read.warnings.iter().all(known), "{:?}", read.warnings);
        }
        for length in (0..bytes.len()).step_by(97) {
            if let Ok(read) = read_bytes("run.wandb", &bytes[..length]) {
                assert_eq!(read.runs[0].0.state.as_deref(), Some("unfinished"), "{length}");
            }
        }
        // Whole chunks with hostile messages: a field of 2^64 bytes, endless numbers, other JSON.
        let hostile = [
            vec![0x8a, 1, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 1],
            vec![0xff; 30],
            vec![0x12, 6, 10, 4, 0x82, 1, 1, b'{'],
            vec![],
        ];
        let error = read_bytes("run.wandb", &log::testing::log(&hostile)).unwrap_err();
        assert!(error.to_string().contains("run.wandb: the file holds no run"), "{error}");
        let run = Message::default().bytes(17, &Message::default().bytes(1, b"x").0).0;
        let with_run: Vec<Vec<u8>> = hostile.into_iter().chain([run]).collect();
        let read = read_bytes("run.wandb", &log::testing::log(&with_run)).unwrap();
        let damaged = read.warnings.iter().filter(|warning| warning.starts_with("byte ")).count();
        assert_eq!((read.runs[0].0.id.as_str(), damaged), ("x", 3), "{:?}", read.warnings);
    }
}
