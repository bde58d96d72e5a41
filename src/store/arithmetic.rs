//! Which arithmetic the runs of a store have: chosen once per kind of machine, read by all workers.
//!
//! The file holds nothing that a record needs: a record names its own numerics class. Without the
//! file the choice is made again, and may then be another one.

use std::fs::OpenOptions;
use std::io::{ErrorKind, Read};
use std::path::Path;

use serde::{Deserialize, Serialize};

use super::Store;
use crate::disk::{json_file, open_regular, write_atomically};
use crate::{Error, Result};

/// Its name in the store.
const FILE: &str = "arithmetic.json";
/// No file is longer: a few hundred bytes for every kind of machine.
const BYTES_MAX: u64 = 1 << 20;

/// What a choice is made for: machines that agree in these have the same one.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ChosenFor {
    /// Processor as the system names it.
    pub cpu: String,
    /// The largest instruction set that it has: systems hide models, and virtual machines features.
    pub isa: String,
    /// The spec's precision, as specs name it.
    pub precision: String,
}

/// An arithmetic that was chosen, and what for and why.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ChosenArithmetic {
    /// What it was chosen for.
    #[serde(flatten)]
    pub chosen_for: ChosenFor,
    /// The arithmetic, as numerics classes name it.
    pub arithmetic: String,
    /// What was measured, the arithmetic made for the instruction set first.
    pub rates: Vec<ArithmeticRate>,
    /// Version of the program that measured; a later one measures again.
    pub version: String,
    /// When, in seconds since 1970 UTC.
    pub chosen_unix_seconds: u64,
}

/// How fast an arithmetic is on one thread.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ArithmeticRate {
    /// Its name.
    pub arithmetic: String,
    /// Products of a training step.
    pub flops_per_second: f64,
}

#[derive(Default, Serialize, Deserialize)]
struct Choices {
    choices: Vec<ChosenArithmetic>,
}

impl Store {
    /// What was chosen for a kind of machine.
    pub fn chosen_arithmetic(&self, what_for: &ChosenFor) -> Result<Option<ChosenArithmetic>> {
        let choices = read(&self.root.join(FILE))?.choices;
        Ok(choices.into_iter().find(|chosen| chosen.chosen_for == *what_for))
    }

    /// Chooses for a kind of machine. `choose` gets what was chosen before, and its answer is what
    /// everybody reads from then on. Of several processes one asks at a time, so that the first
    /// answer stands where later ones are content with it.
    pub fn choose_arithmetic(
        &self,
        what_for: &ChosenFor,
        choose: impl FnOnce(Option<&ChosenArithmetic>) -> ChosenArithmetic,
    ) -> Result<ChosenArithmetic> {
        // The file itself is replaced, so the lock is on one that never is.
        let path = self.root.join("format");
        let io = |cause: std::io::Error| Error::io("lock", &path, &cause);
        let lock = OpenOptions::new().write(true).open(&path).map_err(io)?;
        lock.lock().map_err(io)?;
        let path = self.root.join(FILE);
        let mut choices = read(&path)?.choices;
        let place = choices.iter().position(|chosen| chosen.chosen_for == *what_for);
        let before = place.map(|place| &choices[place]);
        let chosen = choose(before);
        if before == Some(&chosen) {
            return Ok(chosen);
        }
        match place {
            Some(place) => choices[place] = chosen.clone(),
            None => choices.push(chosen.clone()),
        }
        write_atomically(&path, &json_file(&Choices { choices }))?;
        Ok(chosen)
    }
}

/// All choices; none without the file.
fn read(path: &Path) -> Result<Choices> {
    let damaged = |what: String| {
        Error::data(format!("`{}` {what}", path.display()))
            .hint("remove it: the choice is then made again")
    };
    let io = |cause: std::io::Error| Error::io("read", path, &cause);
    let file = match open_regular(path) {
        Ok(file) => file,
        Err(cause) if cause.kind() == ErrorKind::NotFound => return Ok(Choices::default()),
        Err(cause) if cause.kind() == ErrorKind::InvalidData => {
            return Err(damaged("is no file".to_owned()));
        }
        Err(cause) => return Err(io(cause)),
    };
    let mut bytes = Vec::new();
    file.take(BYTES_MAX + 1).read_to_end(&mut bytes).map_err(io)?;
    if bytes.len() as u64 > BYTES_MAX {
        return Err(damaged("is too long".to_owned()));
    }
    serde_json::from_slice(&bytes).map_err(|cause| {
        damaged(format!("is damaged in line {}, column {}", cause.line(), cause.column()))
    })
}
