//! What the verbs of studies share: flags, the lab, plans and costs.

use std::path::{Path, PathBuf};

use clap::Args;
use serde_json::json;

use super::options::{Places, PoolArgs, ask, facts, memory_verdict, read_text};
use super::print;
use super::progress::Bar;
use super::signals::Interrupt;
use crate::error::quoted_path;
use crate::lab::{Corpora, Crowd, Demand, Foretold, Lab, LocalLab, LocalOptions, StoredLab};
use crate::number;
use crate::spec::{CorpusFacts, Job, JobKind, Request, TrainSpec};
use crate::store::Store;
use crate::study::{Message, StudyFile};
use crate::{Error, Result};

/// Flags of every study.
#[derive(Debug, Args)]
pub(super) struct StudyArgs {
    /// Study file in TOML; `tune` can do without, by its flags
    #[arg(value_name = "STUDY.toml")]
    pub(super) study: Option<PathBuf>,
    /// Override a key of the base, for example --set model.preset=pocket-330k
    #[arg(long, value_name = "KEY=VALUE")]
    pub(super) set: Vec<String>,
    #[command(flatten)]
    pub(super) places: Places,
    #[command(flatten)]
    pub(super) pool: PoolArgs,
    /// Show the runs that are needed next, and which are known; train nothing
    #[arg(long)]
    pub(super) dry_run: bool,
    /// Print the result as JSON
    #[arg(long)]
    pub(super) json: bool,
}

/// A study that is about to run.
pub(super) struct Study {
    pub(super) file: Option<StudyFile>,
    pub(super) corpora: Corpora,
    pub(super) facts: CorpusFacts,
    pub(super) store: Store,
}

impl StudyArgs {
    /// Reads the file and opens corpus and store.
    pub(super) fn open(&self) -> Result<Study> {
        let file = self.study.as_deref().map(read_study).transpose()?;
        let corpora = self.places.open_corpora()?;
        let facts = facts(&corpora)?;
        Ok(Study { file, corpora, facts, store: Store::open(&self.places.store)? })
    }

    /// The base of the study with the overrides.
    pub(super) fn request<'a>(&'a self, file: Option<&'a StudyFile>) -> Request<'a> {
        match file {
            Some(file) => file.request(&self.set),
            None => Request { file: None, sets: &self.set },
        }
    }

    /// Asks for the consent that runs need to which the study may come, and says how much memory as
    /// many of them need as run at a time.
    pub(super) fn ask(&self, study: &Study, runs: Vec<TrainSpec>) -> Result<(Demand, Crowd)> {
        let pool = self.pool.options(usize::MAX)?;
        let crowd = Crowd { workers: pool.workers, threads: pool.threads };
        let demand = Demand::of_runs(&runs, crowd)?;
        let jobs: Vec<Job> = runs.into_iter().map(Job::Train).collect();
        ask(&jobs, (Some(&study.store), &study.corpora), pool.allowed)?;
        Ok((demand, crowd))
    }

    /// Runs a planner on worker processes, with a progress bar. A study that is complete needs none
    /// of them, and no memory for any.
    pub(super) fn run<T>(
        &self,
        study: &Study,
        title: &'static str,
        (demand, crowd): (Demand, Crowd),
        plan: impl Fn(&mut dyn Lab) -> Result<T>,
    ) -> Result<T> {
        let mut stored = StoredLab::new(study.store.clone());
        match plan(&mut stored) {
            Err(_) if !stored.missing().is_empty() => demand.check(None, crowd)?,
            known => return known,
        }
        let pool = self.pool.options(usize::MAX)?;
        with_lab((&study.store, &study.corpora), pool, title, plan)
    }

    /// Follows a planner as far as the store goes, and shows what it would run next.
    pub(super) fn preview<T>(
        &self,
        study: &Study,
        (demand, crowd): (Demand, Crowd),
        plan: impl FnOnce(&mut dyn Lab) -> Result<T>,
    ) -> Result<()> {
        let mut lab = StoredLab::new(study.store.clone());
        match plan(&mut lab) {
            Err(error) if lab.missing().is_empty() => return Err(error),
            _ => {}
        }
        let places = (Some(&study.store), &study.corpora);
        let cost = Foretold::of(lab.missing(), lab.known(), places)?;
        let speed = flops_per_second(&study.store)?;
        let workers = self.pool.options(usize::MAX)?.workers;
        let hours = speed.map(|speed| cost.flops / speed / workers as f64 / 3600.0);
        if self.json {
            let ids: Vec<_> = lab.missing().iter().map(Job::id).collect();
            print::json(&json!({
                "known": lab.known().len(), "needed": lab.missing().len(), "tokens": cost.tokens,
                "flops": cost.flops, "disk_bytes": cost.disk_bytes, "hours": hours, "ids": ids,
                "memory_bytes": demand.together_bytes,
                "available_memory_bytes": demand.most_bytes(), "fits": demand.fits(),
            }));
            return Ok(());
        }
        let mut text = format!("{} runs known", lab.known().len());
        if lab.missing().is_empty() {
            text += ", none needed: the study is complete\n";
        } else {
            text += &format!(
                ", {} needed next: {} tokens, {}, {} of disk\n",
                lab.missing().len(),
                number::grouped(cost.tokens),
                number::prefixed(cost.flops, "FLOP"),
                print::bytes(cost.disk_bytes),
            );
            text += &match hours {
                Some(hours) => format!(
                    "about {} with {workers} workers, at the speed of the runs in the store\n",
                    number::duration(hours * 3600.0)
                ),
                None => "time unknown: the store has no runs to take the speed from\n".to_owned(),
            };
            text += "a search decides by its results what comes after these\n";
            text += &format!(
                "{workers} at a time need up to {} of memory; {}\n",
                print::bytes(demand.together_bytes),
                memory_verdict(&demand, None, crowd)
            );
        }
        print::data(&text);
        Ok(())
    }
}

/// Runs a planner on worker processes, with a progress bar, until Ctrl-C.
pub(super) fn with_lab<T>(
    (store, corpora): (&Store, &Corpora),
    pool: LocalOptions,
    title: &'static str,
    plan: impl FnOnce(&mut dyn Lab) -> Result<T>,
) -> Result<T> {
    let interrupt = Interrupt::listen()?;
    let bar = Bar::new(title);
    let mut lab = LocalLab::new(
        store.clone(),
        corpora,
        pool,
        |overview| bar.lab(overview),
        || interrupt.is_set(),
    );
    let result = plan(&mut lab);
    bar.finish();
    result
}

/// Reads a study file.
pub(super) fn read_study(path: &Path) -> Result<StudyFile> {
    let (name, text) = (quoted_path(path), read_text(path)?);
    // What is no TOML at all is told with its place below.
    if toml::from_str::<toml::Table>(&text).is_ok() && !StudyFile::is_study(&text) {
        return Err(Error::usage(format!("{name} is the spec of one run, not a study"))
            .hint(format!("run it by `scarce train {name}`; a study begins with `study = `")));
    }
    StudyFile::parse(&name, &text)
}

/// Floating-point operations per CPU second over the training runs of a store.
fn flops_per_second(store: &Store) -> Result<Option<f64>> {
    let (mut flops, mut seconds) = (0.0, 0.0);
    let records = store.records(&mut |text| print::warning(&text))?;
    for record in records.iter().filter(|record| record.kind == JobKind::Train) {
        flops += record.cost.flops;
        seconds += record.cost.cpu_seconds;
    }
    Ok((seconds > 0.0).then(|| flops / seconds))
}

/// What a study tells beside its numbers, to standard error.
pub(super) fn tell(messages: &[Message]) {
    messages.iter().for_each(|message| print::note(&message.to_string()));
}
