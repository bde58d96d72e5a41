//! What jobs need from their surroundings: the corpora and the kernels of this machine.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use scarce_engine::isa::{self, Isa, Kernels};

use crate::data::Corpus;
use crate::spec::{Allowed, CorpusId, Job, Precision};
use crate::store::Numerics;
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
            let (id, directory) = (corpus.id(), directory.display());
            // Copies may differ in their side sets: which one was meant?
            if let Some(other) = corpora.insert(id, corpus) {
                let other = other.directory().display();
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
        let (first, others) = match job {
            Job::Train(spec) => (spec.data.corpus, &spec.data.mixture[..]),
            Job::Evaluate(spec) => (spec.corpus, &[][..]),
            Job::Ensemble(spec) => (spec.corpus, &[][..]),
            Job::Ngram(spec) => (spec.corpus, &[][..]),
        };
        let all = [first].into_iter().chain(others.iter().map(|component| component.corpus));
        let corpora = all.filter_map(|id| self.corpora.get(&id));
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

/// The kernels for a precision on this machine. `SCARCE_ISA` forces an instruction set, for tests
/// and timing; `f32-reference` is another name for `portable`, which no assumption is made for.
pub fn kernels(precision: Precision) -> Result<Kernels> {
    let precision = match precision {
        Precision::F32 => isa::Precision::F32,
        Precision::Bf16 => isa::Precision::Bf16,
    };
    let here = Isa::detect();
    let Some(forced) = std::env::var_os("SCARCE_ISA") else {
        return Ok(Kernels::new(here, precision));
    };
    let name = forced.to_string_lossy();
    let isa = if name == "f32-reference" { Some(Isa::Portable) } else { Isa::parse(&name) };
    match isa {
        Some(isa) if isa <= here => Ok(Kernels::new(isa, precision)),
        Some(_) => Err(Error::usage(format!("SCARCE_ISA={name}: this machine has no {name}"))
            .hint(format!("the best it has is {}", here.name()))),
        None => Err(Error::usage(format!("SCARCE_ISA={name}: no such instruction set"))
            .hint("f32-reference, portable, avx2, avx512, avx512-bf16 or amx")),
    }
}

/// The class of arithmetic of these kernels.
#[must_use]
pub fn numerics(kernels: Kernels) -> Numerics {
    Numerics {
        backend: "cpu".to_owned(),
        arithmetic: kernels.arithmetic().name().to_owned(),
        determinism: "exact".to_owned(),
        version: scarce_engine::NUMERICS_VERSION,
    }
}
