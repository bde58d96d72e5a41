//! Names of models: a few records that are meant together, under a word that people can type.

use std::fs;
use std::path::Path;

use serde::{Deserialize, Serialize};

use super::Store;
use crate::disk::{list, regular, write_atomically};
use crate::spec::{CorpusId, JobId, parse_toml};
use crate::{Error, Result};

/// The content of `names/NAME.toml`. Unlike a record it may be replaced.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct NamedModel {
    /// The corpus that it was trained on.
    pub corpus: CorpusId,
    /// Training runs; the mean of their logits is the model.
    pub members: Vec<JobId>,
    /// How `scarce best` came to it, where that made it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub found: Option<Found>,
}

/// What `scarce best` was asked for, and how long it took: with these the same decisions are taken
/// again.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Found {
    /// Wall-clock hours.
    pub hours: f64,
    /// Runs at a time.
    pub workers: usize,
    /// The first seed.
    pub seed: u64,
    /// Overrides as they were given.
    pub sets: Vec<String>,
    /// Seconds of each wave of jobs.
    pub ledger_seconds: Vec<f64>,
}

const LONGEST: usize = 64;

impl Store {
    /// The model of this name, if there is one.
    ///
    /// # Errors
    /// If its file is damaged.
    pub fn named(&self, name: &str) -> Result<Option<NamedModel>> {
        if check_name(name).is_err() {
            return Ok(None);
        }
        let path = self.root.join("names").join(format!("{name}.toml"));
        let text = match regular::read_small_text(&path) {
            Ok(text) => text,
            Err(cause) if cause.kind() == std::io::ErrorKind::NotFound => return Ok(None),
            Err(cause) => return Err(Error::io("read", &path, &cause)),
        };
        let model: NamedModel = parse_toml(&text)
            .map_err(|cause| Error::data(format!("`{}`: {cause}", path.display())))?;
        if model.members.is_empty() {
            return Err(Error::data(format!("`{}` has no members", path.display())));
        }
        Ok(Some(model))
    }

    /// Gives a name, or moves it.
    ///
    /// # Errors
    /// If the name is not one.
    pub fn set_name(&self, name: &str, model: &NamedModel) -> Result<()> {
        check_name(name)?;
        let folder = self.root.join("names");
        fs::create_dir_all(&folder).map_err(|cause| Error::io("create", &folder, &cause))?;
        let text = toml::to_string(model)
            .map_err(|cause| Error::data(format!("the model has no TOML form: {cause}")))?;
        write_atomically(&folder.join(format!("{name}.toml")), text.as_bytes())
    }

    /// All names in order.
    ///
    /// # Errors
    /// If the folder cannot be read.
    pub fn names(&self) -> Result<Vec<String>> {
        let paths = list(&self.root.join("names"))?;
        let mut names: Vec<String> = paths.iter().filter_map(|path| name_of(path)).collect();
        names.sort();
        Ok(names)
    }

    /// The training runs that a user means: a name, or the unique beginning of an id.
    ///
    /// # Errors
    /// If it is neither.
    pub fn members(&self, text: &str) -> Result<Vec<JobId>> {
        match self.named(text)? {
            Some(model) => Ok(model.members),
            None => Ok(vec![self.find(text)?]),
        }
    }
}

fn name_of(path: &Path) -> Option<String> {
    let name = path.file_name()?.to_str()?.strip_suffix(".toml")?;
    check_name(name).is_ok().then(|| name.to_owned())
}

/// A name is a word of small letters, digits and hyphens that could not be the beginning of an id.
///
/// # Errors
/// Says what is wrong.
pub fn check_name(name: &str) -> Result<()> {
    let known = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-';
    let hexadecimal = name.chars().all(|c| c.is_ascii_hexdigit());
    if name.is_empty() || name.len() > LONGEST || !name.chars().all(known) || hexadecimal {
        return Err(Error::usage(format!("`{name}` is no name for a model")).hint(
            "small letters, digits and hyphens, not all of them digits of a hexadecimal id",
        ));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn model() -> NamedModel {
        NamedModel {
            corpus: "ab".repeat(32).parse().unwrap(),
            members: vec!["cd".repeat(32).parse().unwrap()],
            found: Some(Found {
                hours: 0.5,
                workers: 2,
                seed: 0,
                sets: vec!["precision=bf16".to_owned()],
                ledger_seconds: vec![1.25, 0.1],
            }),
        }
    }

    #[test]
    fn a_name_is_given_moved_and_listed() {
        let folder = tempfile::tempdir().unwrap();
        let store = Store::open(folder.path()).unwrap();
        assert_eq!((store.named("best").unwrap(), store.names().unwrap()), (None, vec![]));
        store.set_name("best", &model()).unwrap();
        store.set_name("other-2", &NamedModel { found: None, ..model() }).unwrap();
        assert_eq!(store.named("best").unwrap(), Some(model()));
        assert_eq!(store.names().unwrap(), ["best", "other-2"]);
        assert_eq!(store.members("best").unwrap(), model().members);
        assert!(store.members("nobody").unwrap_err().to_string().contains("starts with"));
    }

    #[test]
    fn bad_names_and_damaged_files_are_told() {
        let folder = tempfile::tempdir().unwrap();
        let store = Store::open(folder.path()).unwrap();
        for name in ["", "../x", "Best", "cafe", "12", &"x".repeat(65)] {
            let error = store.set_name(name, &model()).unwrap_err();
            assert!(error.to_string().contains("is no name"), "{error}");
            assert_eq!(store.named(name).unwrap(), None);
        }
        fs::create_dir_all(folder.path().join("names")).unwrap();
        for text in ["members = 3", "corpus = 'x'\nmembers = []", ""] {
            fs::write(folder.path().join("names/best.toml"), text).unwrap();
            let error = store.named("best").unwrap_err().to_string();
            assert!(error.contains("best.toml"), "{error}");
        }
    }
}
