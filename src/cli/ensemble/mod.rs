//! `scarce ensemble`: curves in K over seeds, their laws, diversity and weight soups.

mod text;

use clap::Args;
use serde_json::json;

use super::options::{Places, PoolArgs, SpecSource, ask, facts, memory_verdict, read_text};
use super::print;
use super::study::{tell, with_lab};
use crate::Result;
use crate::error::quoted_path;
use crate::lab::{Corpora, Crowd, Demand, Foretold, Lab, LocalOptions};
use crate::lab::{ensemble_demand, planned_ensemble_bytes};
use crate::number;
use crate::spec::{Job, Split, TrainSpec, resolve};
use crate::store::Store;
use crate::study::ensemble::{self, Options, Vary};
use crate::study::{Plan, StudyFile};

/// Arguments of `scarce ensemble`.
#[derive(Debug, Args)]
#[command(after_help = "\
The file is a spec, or a study of kind `ensemble`, whose base is one; `scarce report` makes a page
of a study. The spec is member 0; the others differ from it by their seeds alone. Members that the
store knows cost nothing. All subsets of the members are averaged, so that the curve does not depend
on their order. Choices are made on `val`; `--split test` is for publication, and every read is
logged.")]
pub(super) struct EnsembleArgs {
    #[command(flatten)]
    source: SpecSource,
    #[command(flatten)]
    places: Places,
    /// Members of a family; default: 5
    #[arg(long, value_name = "K")]
    members: Option<u32>,
    /// Which seeds differ between members: of the initial weights, of the order of the data, both
    /// together, or these three families one after another; default: both
    #[arg(long, value_enum)]
    vary: Option<Varied>,
    /// What is read; default: val
    #[arg(long, value_enum)]
    split: Option<Read>,
    /// Up to this many subsets in all, every subset is measured; beyond, a fixed sample; default:
    /// 255
    #[arg(long, value_name = "N")]
    subsets: Option<u32>,
    /// Asymptote of the single-model recipe, to be told if the ensemble's is not below
    #[arg(long, value_name = "NATS")]
    single_asymptote: Option<f64>,
    #[command(flatten)]
    pool: PoolArgs,
    /// Show the runs that are needed, and which of them are known; train nothing
    #[arg(long)]
    dry_run: bool,
    /// Print the result as JSON
    #[arg(long)]
    json: bool,
}

/// What may vary.
#[derive(Clone, Copy, Debug, clap::ValueEnum)]
enum Varied {
    Init,
    Order,
    Both,
    All,
}

/// What may be read.
#[derive(Clone, Copy, Debug, clap::ValueEnum)]
enum Read {
    Val,
    Test,
}

impl From<Varied> for Vary {
    fn from(varied: Varied) -> Self {
        match varied {
            Varied::Init => Self::Init,
            Varied::Order => Self::Order,
            Varied::Both => Self::Both,
            Varied::All => Self::All,
        }
    }
}

impl From<Read> for Split {
    fn from(read: Read) -> Self {
        match read {
            Read::Val => Self::Val,
            Read::Test => Self::Test,
        }
    }
}

impl EnsembleArgs {
    /// Member 0 and the plan: of a study file, or of a spec; flags win over both.
    fn request(&self, corpora: &Corpora) -> Result<(TrainSpec, Options)> {
        let study = match &self.source.spec {
            Some(path) => Some((path, read_text(path)?)),
            None => None,
        };
        let study = match study.filter(|(_, text)| StudyFile::is_study(text)) {
            Some((path, text)) => Some(StudyFile::parse(&quoted_path(path), &text)?),
            None => None,
        };
        let (base, given) = match &study {
            None => (self.source.resolve(corpora)?.spec, Options::default()),
            Some(file) => {
                let Plan::Ensemble(options) = &file.plan else {
                    return Err(file.is_not("ensemble"));
                };
                (resolve(&file.request(&self.source.set), &facts(corpora)?)?.spec, *options)
            }
        };
        let options = Options {
            members: self.members.unwrap_or(given.members),
            vary: self.vary.map_or(given.vary, Vary::from),
            split: self.split.map_or(given.split, Split::from),
            subsets_max: self.subsets.unwrap_or(given.subsets_max),
            single_asymptote_nats: self.single_asymptote.or(given.single_asymptote_nats),
        };
        options.validate()?;
        Ok((base, options))
    }
}

pub(super) fn run(arguments: &EnsembleArgs) -> Result<()> {
    let corpora = arguments.places.open_corpora()?;
    let (base, options) = arguments.request(&corpora)?;
    let existing = Store::look(&arguments.places.store)?;
    let places = (existing.as_ref(), &corpora);
    let jobs = ensemble::training_jobs(&base, &options);
    // Members first: with a core for each, no thread is left over.
    let pool = arguments.pool.options(jobs.len())?;
    ask(&jobs, places, pool.allowed)?;
    if arguments.dry_run {
        return dry_run(arguments, (&base, &options), places);
    }
    let (demand, crowd) = demand((&base, &options), places, &pool)?;
    let all = [jobs, ensemble::ensemble_jobs(&base, &options)].concat();
    let known = |job: &Job| existing.as_ref().is_some_and(|store| store.has(job.id()));
    if !all.iter().all(known) {
        demand.check(None, crowd)?;
    }
    let store = Store::open(&arguments.places.store)?;
    let plan = |lab: &mut dyn Lab| ensemble::run(lab, &base, &options);
    let outcome = with_lab((&store, &corpora), pool, "ensemble", plan)?;
    let reads = store.test_reads(&mut |text| print::warning(&text))?;
    let reads = reads.iter().filter(|read| read.corpus == base.data.corpus).count();
    if arguments.json {
        let mut value = json!(outcome);
        value["test_reads"] = json!(reads);
        print::json(&value);
        return Ok(());
    }
    print::data(&text::page(&outcome, &base));
    text::notes(&outcome).iter().for_each(|note| print::note(note));
    tell(&outcome.messages);
    if options.split == Split::Test {
        print::note(&format!(
            "this corpus' test split has been read {reads} times with this store"
        ));
    }
    Ok(())
}

/// What the study needs of memory.
fn demand(
    (base, options): (&TrainSpec, &Options),
    places: (Option<&Store>, &Corpora),
    pool: &LocalOptions,
) -> Result<(Demand, Crowd)> {
    let crowd = Crowd { workers: pool.workers, threads: pool.threads };
    let members = options.members as usize;
    Ok((ensemble_demand((base, members, options.split), places, crowd)?, crowd))
}

fn dry_run(
    arguments: &EnsembleArgs,
    (base, options): (&TrainSpec, &Options),
    (store, corpora): (Option<&Store>, &Corpora),
) -> Result<()> {
    let known = |job: &Job| store.is_some_and(|store| store.has(job.id()));
    let jobs = ensemble::training_jobs(base, options);
    let ensembles = ensemble::ensemble_jobs(base, options);
    let needed = jobs.iter().filter(|job| !known(job)).count();
    let measured = ensembles.iter().filter(|job| known(job)).count();

    let open = [&jobs[..], &ensembles].concat();
    let open: Vec<Job> = open.into_iter().filter(|job| !known(job)).collect();
    let Foretold { tokens, flops, disk_bytes } = Foretold::of(&open, &jobs, (store, corpora))?;
    let split_tokens = corpora.get(base.data.corpus)?.split(options.split).tokens();
    let members = options.members as usize;
    let pool = arguments.pool.options(needed)?;
    let memory_bytes = planned_ensemble_bytes(base, store, members, pool.threads, split_tokens)?;
    let (demand, crowd) = demand((base, options), (store, corpora), &pool)?;
    if arguments.json {
        let ids = |jobs: &[Job]| jobs.iter().map(Job::id).collect::<Vec<_>>();
        print::json(&json!({
            "runs": jobs.len(), "known": jobs.len() - needed, "ensembles": ensembles.len(),
            "ensembles_known": measured, "tokens": tokens, "flops": flops,
            "disk_bytes": disk_bytes, "ensemble_memory_bytes": memory_bytes,
            "memory_bytes": demand.together_bytes,
            "available_memory_bytes": demand.most_bytes(), "fits": demand.fits(),
            "ids": ids(&jobs), "ensemble_ids": ids(&ensembles),
        }));
        return Ok(());
    }
    print::data(&format!(
        "{} training runs ({} known) and {} ensembles ({measured} known)\n\
         {} tokens, {}, {} of disk; an ensemble takes {} of memory\n\
         with {} workers {} of memory at a time; {}\n",
        jobs.len(),
        jobs.len() - needed,
        ensembles.len(),
        number::grouped(tokens),
        number::prefixed(flops, "FLOP"),
        print::bytes(disk_bytes),
        print::bytes(memory_bytes),
        crowd.workers,
        print::bytes(demand.together_bytes),
        memory_verdict(&demand, None, crowd),
    ));
    Ok(())
}
