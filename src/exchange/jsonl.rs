//! JSON lines: an object a line, each a run or a step of one.

use std::fs::File;
use std::io::{BufRead, BufReader, Read};

use super::reading::Reading;
use super::{cell, json};
use crate::{Error, Result};

/// Longest line, in bytes.
const LINE_MAX: u64 = 64 << 20;

/// Reads the runs of a file.
pub(super) fn read(file: File, reading: &mut Reading<'_>) -> Result<()> {
    let mut input = BufReader::new(file);
    let mut text = Vec::new();
    for line in 1.. {
        text.clear();
        let read = (&mut input).take(LINE_MAX + 1).read_until(b'\n', &mut text);
        let read = read.map_err(|cause| Error::data(format!("failed to read: {cause}")))?;
        if read == 0 {
            break;
        }
        if read as u64 > LINE_MAX {
            return Err(Error::data(format!("a line of over {LINE_MAX} bytes")).at_line(line));
        }
        if text.trim_ascii().is_empty() {
            continue;
        }
        let value = cell::parse(&text)
            .map_err(|cause| Error::data(format!("not JSON: {cause}")).at_line(line))?;
        json::run(value, line, reading)?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::super::source::testing::{read_bytes, read_mapped};

    #[test]
    fn lines_are_runs_or_steps() {
        let runs = "{\"id\": \"a\", \"config\": {\"lr\": {\"value\": 0.1}}, \
            \"summary\": {\"eval/loss\": 3.5, \"_step\": 9}}\n\n\
            {\"id\": \"b\", \"summary\": {\"eval/loss\": NaN}}\n";
        let read = read_bytes("r.jsonl", runs.as_bytes()).unwrap();
        let (run, history) = &read.runs[0];
        assert_eq!(
            (run.settings.lr, run.loss_nats(), history.step.len()),
            (Some(0.1), Some(3.5), 0)
        );
        assert_eq!(read.runs[1].0.loss_nats(), None);
        let steps =
            "{\"_step\": 0, \"train/loss\": 5}\n{\"_step\": 1, \"train/loss\": 4, \"mine\": 3}\n";
        let read = read_mapped("my-run.jsonl", steps.as_bytes(), "loss=mine").unwrap();
        let (run, history) = &read.runs[0];
        assert_eq!(
            (run.id.as_str(), run.loss_nats(), history.step.len()),
            ("my-run", Some(3.0), 2)
        );
    }

    #[test]
    fn complaints_name_the_line() {
        let refuse = |text: &str, map: &str, expected: &str| {
            let error = read_mapped("r.jsonl", text.as_bytes(), map).unwrap_err().to_string();
            assert!(error.contains(expected), "{error}");
        };
        refuse("", "", "r.jsonl: the file holds no run");
        refuse("{\"id\": \"a\", \"loss\": 1}\n{\"id\": ", "", "r.jsonl:2: not JSON: ");
        refuse("{\"id\": \"a\", \"loss\": 1}\n[1]\n", "", "r.jsonl:2: not an object");
        refuse("{\"id\": \"a\", \"lr\": \"x\"}", "", "r.jsonl:1: `x` in `lr` is not a number");
        refuse("{\"id\": \"a\", \"loss\": 1}", "lr=rate", "r.jsonl: there is no column `rate`");
    }
}
