//! Flags that several verbs share.

use std::io::Read;
use std::path::{Path, PathBuf};

use clap::Args;

use super::print;
use crate::error::quoted_path;
use crate::lab::{Consents, Corpora, Crowd, Demand, LocalOptions, WorkOptions, consents};
use crate::spec::{
    Allowed, Consent, CorpusFacts, Job, Request, Resolved, TrainSpec, named_corpus, resolve,
};
use crate::store::Store;
use crate::study::StudyFile;
use crate::{Error, Result};

/// More workers, and more threads of each, than any machine has a use for.
pub(super) const MANY: i64 = 1024;

/// Where records and corpora lie.
#[derive(Debug, Args)]
pub(super) struct Places {
    /// Directory of the records
    #[arg(long, default_value = "scarce-store", value_name = "DIR")]
    pub(super) store: PathBuf,
    /// Directory of a prepared corpus; once more for each further one of a mixture
    #[arg(long, value_name = "DIR")]
    pub(super) corpus: Vec<PathBuf>,
}

/// What becomes of trained weights.
#[derive(Clone, Copy, Debug, clap::ValueEnum)]
pub(super) enum Keep {
    /// They stay in the record
    Keep,
    /// They are not stored; without the record the same spec trains them again, bit for bit
    Drop,
}

/// Consent to results that differ from what the request seems to say.
#[derive(Clone, Debug, Default, Args)]
pub(super) struct AllowArgs {
    /// Consent to what is refused otherwise: lost-text, rounding, tokenizer or vocabulary; again
    /// for each further one. The record says so
    #[arg(long, value_name = "WORD")]
    allow: Vec<Consent>,
}

/// The threads of a run.
#[derive(Debug, Args)]
pub(super) struct ThreadArgs {
    /// Threads inside a run; default: one per core
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u16).range(1..=MANY))]
    threads: Option<u16>,
}

/// How a run is done; none of it changes a result.
#[derive(Debug, Args)]
pub(super) struct Running {
    #[command(flatten)]
    threads: ThreadArgs,
    #[command(flatten)]
    allow: AllowArgs,
    /// What becomes of trained weights
    #[arg(long, value_enum, default_value = "keep")]
    pub(super) weights: Keep,
    /// Seconds between checkpoints
    #[arg(long, value_name = "SECONDS", default_value_t = 30.0)]
    pub(super) checkpoint_every: f64,
    /// Steps between lines of metrics.jsonl; 0: about a thousand lines a run
    #[arg(long, value_name = "STEPS", default_value_t = 0)]
    pub(super) log_every: u64,
}

/// The pool of workers of a lab.
#[derive(Debug, Args)]
pub(super) struct PoolArgs {
    /// Worker processes; default: one per core
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u16).range(1..=MANY))]
    workers: Option<u16>,
    /// Threads of each worker; default: 1
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u16).range(1..=MANY))]
    threads: Option<u16>,
    #[command(flatten)]
    allow: AllowArgs,
}

/// Where a spec comes from.
#[derive(Debug, Args)]
pub(super) struct SpecSource {
    /// Spec file in TOML; without one the defaults and --set make the spec
    #[arg(value_name = "SPEC.toml")]
    pub(super) spec: Option<PathBuf>,
    /// Override a key, for example --set optim.weight_decay=1.6; once per key
    #[arg(long, value_name = "KEY=VALUE")]
    pub(super) set: Vec<String>,
}

impl AllowArgs {
    pub(super) fn set(&self) -> Allowed {
        self.allow.iter().copied().collect()
    }
}

impl ThreadArgs {
    pub(super) fn count(&self) -> usize {
        self.threads.map_or_else(processors, usize::from)
    }

    /// The options of work that trains no record.
    pub(super) fn options(&self) -> WorkOptions {
        WorkOptions { threads: self.count(), ..WorkOptions::default() }
    }
}

impl Running {
    pub(super) fn options(&self) -> Result<WorkOptions> {
        let interval = std::time::Duration::try_from_secs_f64(self.checkpoint_every)
            .map_err(|cause| Error::usage(format!("--checkpoint-every: {cause}")))?;
        Ok(WorkOptions {
            keep_weights: matches!(self.weights, Keep::Keep),
            checkpoint_interval: interval,
            log_steps: self.log_every,
            allowed: self.allow.set(),
            ..self.threads.options()
        })
    }
}

impl PoolArgs {
    /// A pool for `jobs` jobs.
    pub(super) fn options(&self, jobs: usize) -> Result<LocalOptions> {
        let allowed = self.allow.set();
        Ok(LocalOptions {
            allowed,
            ..local_options(jobs, self.workers, self.threads.or(Some(1)), true)?
        })
    }
}

/// A store that must exist: looking at one creates nothing. `hint` says how to come by one.
pub(super) fn existing_store(path: &Path, hint: &str) -> Result<Store> {
    Store::look(path)?.ok_or_else(|| {
        Error::usage(format!("there is no store at `{}`", quoted_path(path))).hint(hint)
    })
}

/// How to come by a store, where records are meant.
pub(super) const MAKES_STORES: &str = "name it with --store DIR; `scarce train` makes one";

impl Places {
    /// Opens the corpora; at least one is needed.
    pub(super) fn open_corpora(&self) -> Result<Corpora> {
        if self.corpus.is_empty() {
            return Err(Error::usage("a corpus is needed: --corpus DIR").hint(
                "make one with `scarce prepare TEXT --out DIR` or \
                 `scarce prepare --synthetic pocket --out DIR`",
            ));
        }
        if let Some(path) = self.corpus.iter().find(|path| path.is_file()) {
            let shown = quoted_path(path);
            return Err(Error::usage(format!("`{shown}` is a file, not a prepared corpus"))
                .hint(format!("prepare it first: scarce prepare {shown} --out corpus")));
        }
        Corpora::open(&self.corpus)
    }
}

impl SpecSource {
    /// Refuses a study where the spec of a run is meant.
    pub(super) fn check(&self) -> Result<()> {
        let Some(path) = &self.spec else { return Ok(()) };
        let text = read_text(path)?;
        if !StudyFile::is_study(&text) {
            return Ok(());
        }
        let name = quoted_path(path);
        let verb = StudyFile::parse(&name, &text).map_or("tune", |file| file.plan.verb());
        Err(Error::usage(format!("{name} is a study, not the spec of one run"))
            .hint(format!("run it by `scarce {verb} {name}`")))
    }

    /// Reads and resolves the spec against the corpus that it names, else against the first one.
    pub(super) fn resolve(&self, corpora: &Corpora) -> Result<Resolved> {
        let file = match &self.spec {
            Some(path) => Some((quoted_path(path), read_text(path)?)),
            None => None,
        };
        let file = file.as_ref().map(|(name, text)| (name.as_str(), text.as_str()));
        let request = Request { file, sets: &self.set };
        let named = named_corpus(&request)?.and_then(|id| corpora.get(id).ok());
        let facts = named.map_or_else(|| facts(corpora), |corpus| Ok(corpus.facts()))?;
        resolve(&request, &facts)
    }
}

/// Asks for the consent that jobs need, before any work, and tells what differs from the request.
pub(super) fn ask(
    jobs: &[Job],
    places: (Option<&Store>, &Corpora),
    allowed: Allowed,
) -> Result<()> {
    let Consents { notes, .. } = consents(jobs, places, allowed)?;
    notes.iter().for_each(|text| print::note(&format!("note: {text}")));
    Ok(())
}

/// Whether memory holds what is planned, in a few words for `--dry-run`.
pub(super) fn memory_verdict(demand: &Demand, spec: Option<&TrainSpec>, crowd: Crowd) -> String {
    let Some(most) = demand.most_bytes() else {
        return "the system does not tell how much can be had".to_owned();
    };
    let verdict = match demand.check(spec, crowd) {
        Ok(()) => "it fits".to_owned(),
        Err(error) => format!("it does not fit ({})", error.hint_text().unwrap_or_default()),
    };
    format!("{} can be had: {verdict}", print::bytes(most))
}

/// The first corpus' facts.
pub(super) fn facts(corpora: &Corpora) -> Result<CorpusFacts> {
    let first = corpora.first().ok_or_else(|| Error::usage("a corpus is needed: --corpus DIR"))?;
    Ok(first.facts())
}

/// Bytes of a spec or a study that are plenty.
const SPEC_BYTES_MAX: u64 = 1 << 20;

pub(super) fn read_text(path: &Path) -> Result<String> {
    let mut text = String::new();
    let read = std::fs::File::open(path)
        .and_then(|file| file.take(SPEC_BYTES_MAX + 1).read_to_string(&mut text));
    read.map_err(|cause| match cause.kind() {
        std::io::ErrorKind::NotFound => {
            Error::usage(format!("there is no spec file `{}`", quoted_path(path)))
        }
        _ => Error::io("read", path, &cause),
    })?;
    if text.len() as u64 > SPEC_BYTES_MAX {
        return Err(Error::usage(format!("{}: no spec is longer than 1 MiB", quoted_path(path))));
    }
    Ok(text)
}

/// Logical processors of this machine.
pub(super) fn processors() -> usize {
    std::thread::available_parallelism().map_or(1, std::num::NonZero::get)
}

/// A pool for `jobs` jobs: one worker per core, and threads inside runs only where cores are left.
pub(super) fn local_options(
    jobs: usize,
    workers: Option<u16>,
    threads: Option<u16>,
    keep_weights: bool,
) -> Result<LocalOptions> {
    let cores = processors();
    let workers = workers.map_or_else(|| cores.min(jobs.max(1)), usize::from);
    let threads = threads.map_or_else(|| (cores / workers.max(1)).max(1), usize::from);
    let program = std::env::current_exe()
        .map_err(|cause| Error::data(format!("failed to find this program: {cause}")))?;
    Ok(LocalOptions { workers, threads, keep_weights, allowed: Allowed::NONE, program })
}
