//! A row: what a source says of a run or of a step, flat, under dotted names.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::{Map, Value};

use super::cell;
use crate::{Error, Result};

/// Values that one row may have; configurations of programs have some hundreds.
const VALUES_MAX: usize = 20_000;
/// Deepest object that is looked into.
const DEPTH_MAX: usize = 16;

/// Named values with the place that they came from.
#[derive(Clone, Debug, Default)]
pub(super) struct Row {
    pub(super) values: BTreeMap<String, Value>,
    /// Names of what was logged while the run went on, and was not set before.
    pub(super) logged: BTreeSet<String>,
    /// Those of them that changed from step to step.
    pub(super) varied: BTreeSet<String>,
    /// Line of the file, counted from 1; 0 where there are no lines.
    pub(super) line: u64,
}

impl Row {
    /// An empty row of this line.
    pub(super) fn at(line: u64) -> Self {
        Self { line, ..Self::default() }
    }

    /// Sets a value; objects are flattened to `outer.inner`, and what W&B wraps as
    /// `{"value": X}` is X.
    pub(super) fn set(&mut self, name: &str, value: Value) -> Result<()> {
        self.flatten(name, value, 0)
    }

    /// Takes over the values of another row whose names are free here.
    pub(super) fn fill(&mut self, other: Self) {
        for (name, value) in other.values {
            self.values.entry(name).or_insert(value);
        }
    }

    /// The same for values that were logged: where a setting has the name of a metric, it stays.
    pub(super) fn fill_logged(&mut self, other: Self) {
        let free = other.values.keys().filter(|name| !self.values.contains_key(*name)).cloned();
        self.logged.extend(free.collect::<Vec<_>>());
        self.fill(other);
    }

    fn flatten(&mut self, name: &str, value: Value, depth: usize) -> Result<()> {
        let Value::Object(mut object) = value else {
            if !name.is_empty() {
                if self.values.len() >= VALUES_MAX {
                    return Err(self.error(&format!("more than {VALUES_MAX} values of one run")));
                }
                self.values.insert(cell::printable(name), bounded(value));
            }
            return Ok(());
        };
        if is_wrapped(&object) {
            let inner = object.remove("value").unwrap_or(Value::Null);
            return self.flatten(name, inner, depth + 1);
        }
        if depth >= DEPTH_MAX {
            return Ok(());
        }
        for (key, inner) in object {
            match name {
                "" => self.flatten(&key, inner, depth + 1)?,
                _ => self.flatten(&format!("{name}.{key}"), inner, depth + 1)?,
            }
        }
        Ok(())
    }

    /// An error in this row.
    pub(super) fn error(&self, what: &str) -> Error {
        self.place(Error::data(what))
    }

    /// Puts an error into this row.
    pub(super) fn place(&self, error: Error) -> Error {
        if self.line == 0 { error } else { error.at_line(self.line) }
    }

    /// The value of this name, if it is not empty.
    pub(super) fn get(&self, name: &str) -> Option<&Value> {
        self.values.get(name).filter(|value| !value.is_null() && value.as_str() != Some(""))
    }

    /// The number of this name; a wrong one is an error with the row's line.
    pub(super) fn number(&self, name: &str) -> Result<Option<f64>> {
        match self.values.get(name) {
            Some(value) => cell::number(value, name).map_err(|error| self.place(error)),
            None => Ok(None),
        }
    }
}

/// The value without long texts and lists: nothing reads them.
fn bounded(value: Value) -> Value {
    match value {
        Value::String(text) => Value::String(cell::printable(&text)),
        Value::Array(values) => {
            let plain = values.into_iter().filter(|value| !value.is_array() && !value.is_object());
            Value::Array(plain.take(100).map(bounded).collect())
        }
        other => other,
    }
}

fn is_wrapped(object: &Map<String, Value>) -> bool {
    object.contains_key("value") && object.keys().all(|key| key == "value" || key == "desc")
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn objects_are_flattened() {
        let mut row = Row::at(3);
        let config = json!({"trainer": {"value": {"steps": 5}, "desc": null}, "lr": {"value": 1}});
        row.set("", config).unwrap();
        let mut summary = Row::at(3);
        summary.set("lr", json!(2)).unwrap();
        row.fill(summary);
        assert_eq!(
            row.values,
            BTreeMap::from([("lr".to_owned(), json!(1)), ("trainer.steps".to_owned(), json!(5)),])
        );
        row.set("wd", json!("x")).unwrap();
        let error = row.number("wd").unwrap_err().within("a.csv").to_string();
        assert!(error.starts_with("a.csv:3: `x` in `wd` is not a number"), "{error}");
        let deep = (0..100).fold(json!(1), |inner, _| json!({ "a": inner }));
        row.set("deep", deep).unwrap();
        let wide = (0..VALUES_MAX).map(|i| (i.to_string(), json!(i))).collect::<Map<_, _>>();
        assert!(row.set("", Value::Object(wide)).is_err());
    }
}
