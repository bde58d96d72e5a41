//! What jobs need from their surroundings: the corpora.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use crate::data::Corpus;
use crate::error::quoted_path;
use crate::spec::{Allowed, CorpusId, Job};
use crate::{Error, Result};

/// Opened corpora by their ids. Specs name ids; directories only locate them.
#[derive(Debug)]
pub struct Corpora {
    corpora: BTreeMap<CorpusId, Corpus>,
    directories: Vec<PathBuf>,
}

impl Corpora {
    /// Opens corpora; the first is the one that specs without `data.corpus` are for.
    pub fn open(directories: &[PathBuf]) -> Result<Self> {
        let mut corpora = BTreeMap::new();
        for directory in directories {
            let corpus = Corpus::open(directory)?;
            let (id, directory) = (corpus.id(), quoted_path(directory));
            // Copies may differ in their side sets: which one was meant?
            if let Some(other) = corpora.insert(id, corpus) {
                let other = quoted_path(other.directory());
                return Err(Error::usage(format!("`{other}` and `{directory}` are one corpus"))
                    .hint(format!("both hold {}: give one of them", id.short())));
            }
        }
        Ok(Self { corpora, directories: directories.to_vec() })
    }

    /// The corpus with this id.
    pub fn get(&self, id: CorpusId) -> Result<&Corpus> {
        self.corpora.get(&id).ok_or_else(|| {
            let known: Vec<String> = self.corpora.keys().map(CorpusId::short).collect();
            Error::usage(format!("corpus {} is needed, but not given", id.short())).hint(format!(
                "name its directory with --corpus (given: {})",
                if known.is_empty() { "none".to_owned() } else { known.join(", ") }
            ))
        })
    }

    /// What was allowed when the corpora of a job were prepared: its record says so, too.
    pub(super) fn allowed(&self, job: &Job) -> Allowed {
        let corpora = job.corpora().into_iter().filter_map(|id| self.corpora.get(&id));
        corpora.fold(Allowed::NONE, |all, corpus| all.or(corpus.manifest().allowed))
    }

    /// The directories that were opened.
    #[must_use]
    pub fn directories(&self) -> &[PathBuf] {
        &self.directories
    }

    /// The corpus in this directory.
    #[must_use]
    pub fn first(&self) -> Option<&Corpus> {
        let first: &Path = self.directories.first()?;
        self.corpora.values().find(|corpus| corpus.directory() == first)
    }
}
