//! The quick start: the paper's story at a size that trains in minutes.
//!
//! (a) The standard recipe (weight decay 0.1) at 4, 8, 16 and 32 epochs: it overfits. (b) Weight
//! decay tuned at 16 epochs. (c) A model of about twice the size, tuned over the same grid. (d) An
//! ensemble of three of the smaller. Tuning reads `val`; the table reads `test`.
//!
//! Sizes and the plan are those of a prototype whose losses are known; see docs/LOG.md.

use std::fmt;

use crate::eval::Ledger;
use crate::eval::statistics::PairedDifference;
use crate::lab::Lab;
use crate::spec::{
    CorpusFacts, EvaluateSpec, Job, JobId, NgramSpec, Request, Split, TrainSpec, resolve,
};
use crate::store::{Average, Column, Loss, Record};
use crate::{Error, Result};

/// What the user may choose.
#[derive(Clone, Copy, Debug)]
pub struct Options {
    /// Seeds of all runs follow from it.
    pub seed: u64,
    /// D; `None`: the corpus' training tokens, but at most [`BUDGET_TOKENS_MAX`].
    pub budget_tokens: Option<u64>,
}

/// Larger corpora are cut to this budget by default, so that the quick start stays one.
pub const BUDGET_TOKENS_MAX: u64 = 51_712;

/// Tokens of a training sequence: a document of the built-in language.
const SEQUENCE_TOKENS: u32 = 128;
/// Epochs of the standard recipe.
const STANDARD_EPOCHS: [u32; 4] = [4, 8, 16, 32];
/// Epochs of everything that is tuned.
const TUNED_EPOCHS: u32 = 16;
/// The standard recipe's weight decay.
const STANDARD_DECAY: f64 = 0.1;
/// Where weight decay is looked for, in factors of two as in the paper; it grows while the best
/// value lies at its upper end.
const DECAYS: [f64; 4] = [0.4, 0.8, 1.6, 3.2];
/// Beyond this the search stops and says that it stopped at an edge.
const DECAY_MAX: f64 = 25.6;
/// Members of the ensemble.
const MEMBERS: u64 = 3;
/// The smaller and the larger model.
const SMALL: &str = "pocket-150k";
const LARGE: &str = "pocket-330k";

/// The whole result.
#[derive(Clone, Debug)]
pub struct Outcome {
    /// One row per recipe, in the order of the story.
    pub recipes: Vec<Recipe>,
    /// The differences that the story rests on.
    pub comparisons: Vec<Comparison>,
    /// Every tuned grid.
    pub tunings: Vec<Tuning>,
    /// All records that were used, each once.
    pub records: Vec<Record>,
}

/// The recipes of the story.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RecipeName {
    /// The usual weight decay, for so many epochs.
    Standard(u32),
    /// Weight decay tuned.
    Regularized,
    /// The same of the larger model.
    Larger,
    /// So many members of the tuned recipe.
    Ensemble(usize),
    /// Counting.
    Ngram,
}

/// One row of the table.
#[derive(Clone, Debug)]
pub struct Recipe {
    /// Which one it is.
    pub name: RecipeName,
    /// Loss on `test`.
    pub loss: Loss,
    /// Parameters used at inference, all members together.
    pub parameters: u64,
    /// The trained records behind it.
    pub records: Vec<JobId>,
    /// The record of the evaluation on `test`.
    pub evaluation: JobId,
    /// Column of its ledger.
    pub column: Column,
}

/// A paired difference on `test`.
#[derive(Clone, Debug)]
pub struct Comparison {
    /// The recipe on the left.
    pub left: RecipeName,
    /// The recipe on the right.
    pub right: RecipeName,
    /// Loss of left minus loss of right, in nats per token.
    pub difference: PairedDifference,
}

/// A search over weight decay on `val`.
#[derive(Clone, Debug)]
pub struct Tuning {
    /// Preset of the model.
    pub model: String,
    /// Weight decay and loss on `val`, in ascending order of the decay.
    pub points: Vec<(f64, f64)>,
    /// The decay with the lowest loss.
    pub best: f64,
    /// Whether it is the smallest or the largest that was tried.
    pub at_edge: bool,
    /// The trained records, in the order of the points.
    pub records: Vec<JobId>,
}

impl fmt::Display for RecipeName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Standard(epochs) => write!(f, "standard-{epochs}"),
            Self::Regularized => f.pad("regularized"),
            Self::Larger => f.pad("larger"),
            Self::Ensemble(members) => write!(f, "ensemble-{members}"),
            Self::Ngram => f.pad("ngram"),
        }
    }
}

/// Runs the plan.
pub fn run(lab: &mut dyn Lab, corpus: &CorpusFacts, options: &Options) -> Result<Outcome> {
    let plan = Planner { corpus, options };
    let mut used = Vec::new();

    let mut first: Vec<TrainSpec> = Vec::new();
    for epochs in STANDARD_EPOCHS {
        first.push(plan.train(SMALL, epochs, STANDARD_DECAY, 0)?);
    }
    for model in [SMALL, LARGE] {
        for decay in plan.grid() {
            first.push(plan.train(model, TUNED_EPOCHS, decay, 0)?);
        }
    }
    // One call, so that the lab can fill all cores; the searches below find their points known.
    used.extend(obtain_trained(lab, first)?);

    let small = plan.tune(lab, SMALL, &mut used)?;
    let large = plan.tune(lab, LARGE, &mut used)?;
    let member = |k| plan.train(SMALL, TUNED_EPOCHS, small.best, k);
    let members = (0..MEMBERS).map(member).collect::<Result<Vec<_>>>()?;
    let members = obtain_trained(lab, members)?;
    used.extend(members.iter().cloned());

    let recipes = plan.recipes(lab, (&small, &large), &members, &mut used)?;
    let best_standard = plan.best_standard(lab)?;
    let comparisons = compare(lab, &recipes, best_standard)?;
    used.sort_by_key(|record| record.id);
    used.dedup_by_key(|record| record.id);
    Ok(Outcome { recipes, comparisons, tunings: vec![small, large], records: used })
}

/// The jobs of the first round: for `--dry-run`.
pub fn first_jobs(corpus: &CorpusFacts, options: &Options) -> Result<Vec<Job>> {
    let plan = Planner { corpus, options };
    let mut jobs = Vec::new();
    for epochs in STANDARD_EPOCHS {
        jobs.push(Job::Train(plan.train(SMALL, epochs, STANDARD_DECAY, 0)?));
    }
    for model in [SMALL, LARGE] {
        for decay in plan.grid() {
            jobs.push(Job::Train(plan.train(model, TUNED_EPOCHS, decay, 0)?));
        }
    }
    jobs.sort_by_key(Job::id);
    jobs.dedup_by_key(|job| job.id());
    Ok(jobs)
}

struct Planner<'a> {
    corpus: &'a CorpusFacts,
    options: &'a Options,
}

impl Planner<'_> {
    fn budget_tokens(&self) -> u64 {
        let sequence = u64::from(SEQUENCE_TOKENS);
        let most = self.corpus.train_tokens.min(BUDGET_TOKENS_MAX) / sequence * sequence;
        self.options.budget_tokens.unwrap_or(most)
    }

    fn grid(&self) -> Vec<f64> {
        [STANDARD_DECAY].into_iter().chain(DECAYS).collect()
    }

    /// Run `member` of a recipe: init and order both follow from the seed (mission T4).
    fn train(&self, model: &str, epochs: u32, decay: f64, member: u64) -> Result<TrainSpec> {
        let seed = self.options.seed * 10 + member;
        let sets = [
            format!("model.preset={model}"),
            format!("data.budget_tokens={}", self.budget_tokens()),
            format!("data.sequence_tokens={SEQUENCE_TOKENS}"),
            format!("data.epochs={epochs}"),
            format!("optim.weight_decay={decay}"),
            "optim.lr=0.01".to_owned(),
            "optim.batch_sequences=4".to_owned(),
            "evaluation.points=16".to_owned(),
            "evaluation.sample_tokens=8192".to_owned(),
            format!("seeds.init={seed}"),
            format!("seeds.order={seed}"),
        ];
        let request = Request { file: None, sets: &sets };
        Ok(resolve(&request, self.corpus).map_err(|e| e.within("quick start"))?.spec)
    }

    /// The decay with the lowest loss on `val`; the grid doubles upwards while that is its end.
    fn tune(&self, lab: &mut dyn Lab, model: &str, used: &mut Vec<Record>) -> Result<Tuning> {
        let mut grid = self.grid();
        loop {
            let train = |&decay: &f64| self.train(model, TUNED_EPOCHS, decay, 0);
            let specs = grid.iter().map(train).collect::<Result<Vec<_>>>()?;
            let records = obtain_trained(lab, specs)?;
            let losses = records.iter().map(val_loss);
            let points: Vec<(f64, f64)> = grid.iter().copied().zip(losses).collect();
            let ids = records.iter().map(|record| record.id).collect();
            used.extend(records);
            let lowest = points.iter().min_by(|a, b| a.1.total_cmp(&b.1));
            let best = lowest.expect("the grid is not empty").0;
            let (low, high) = (grid[0], grid[grid.len() - 1]);
            let at = |edge: f64| best.total_cmp(&edge).is_eq();
            if at(high) && high < DECAY_MAX {
                grid.push(2.0 * high);
                continue;
            }
            let at_edge = at(low) || at(high);
            return Ok(Tuning { model: model.to_owned(), points, best, at_edge, records: ids });
        }
    }

    fn evaluate(&self, members: &[JobId]) -> Job {
        Job::Evaluate(EvaluateSpec {
            members: members.to_vec(),
            corpus: self.corpus.id,
            split: Split::Test.into(),
            sequence_tokens: SEQUENCE_TOKENS,
            mask: crate::spec::Mask::AcrossDocuments {},
            precision: crate::spec::Precision::F32,
        })
    }

    /// Reads `test`, once per row of the table.
    fn recipes(
        &self,
        lab: &mut dyn Lab,
        (small, large): (&Tuning, &Tuning),
        members: &[Record],
        used: &mut Vec<Record>,
    ) -> Result<Vec<Recipe>> {
        let mut rows: Vec<(RecipeName, Vec<JobId>)> = Vec::new();
        for epochs in STANDARD_EPOCHS {
            let id = Job::Train(self.train(SMALL, epochs, STANDARD_DECAY, 0)?).id();
            rows.push((RecipeName::Standard(epochs), vec![id]));
        }
        let tuned = |model, tuning: &Tuning| -> Result<JobId> {
            Ok(Job::Train(self.train(model, TUNED_EPOCHS, tuning.best, 0)?).id())
        };
        rows.push((RecipeName::Regularized, vec![tuned(SMALL, small)?]));
        rows.push((RecipeName::Larger, vec![tuned(LARGE, large)?]));
        let ids: Vec<JobId> = members.iter().map(|record| record.id).collect();
        rows.push((RecipeName::Ensemble(ids.len()), ids));

        let mut jobs: Vec<Job> = rows.iter().map(|(_, ids)| self.evaluate(ids)).collect();
        jobs.push(Job::Ngram(NgramSpec {
            corpus: self.corpus.id,
            budget_tokens: self.budget_tokens(),
            sequence_tokens: SEQUENCE_TOKENS,
            context_tokens_max: 3,
            split: Split::Test,
        }));
        rows.push((RecipeName::Ngram, Vec::new()));
        let records = lab.obtain(&jobs)?;
        used.extend(records.iter().cloned());
        rows.into_iter().zip(&records).map(|((name, ids), record)| row(name, ids, record)).collect()
    }

    /// The standard row with the lowest loss on `val`: chosen where choices are made.
    fn best_standard(&self, lab: &mut dyn Lab) -> Result<RecipeName> {
        let train = |epochs| self.train(SMALL, epochs, STANDARD_DECAY, 0);
        let specs = STANDARD_EPOCHS.into_iter().map(train).collect::<Result<Vec<_>>>()?;
        let records = obtain_trained(lab, specs)?;
        let losses = STANDARD_EPOCHS.iter().zip(records.iter().map(val_loss));
        let best = losses.min_by(|a, b| a.1.total_cmp(&b.1)).expect("four epochs");
        Ok(RecipeName::Standard(*best.0))
    }
}

fn obtain_trained(lab: &mut dyn Lab, specs: Vec<TrainSpec>) -> Result<Vec<Record>> {
    let jobs: Vec<Job> = specs.into_iter().map(Job::Train).collect();
    lab.obtain(&jobs)
}

/// Final loss on `val`; a diverged run loses against everything.
fn val_loss(record: &Record) -> f64 {
    record.loss(Column::Model, Split::Val).map_or(f64::INFINITY, |loss| loss.nats)
}

fn row(name: RecipeName, records: Vec<JobId>, evaluation: &Record) -> Result<Recipe> {
    let column = match records.len() {
        0 => Column::Ngram,
        k => Column::First(Average::Logits, k),
    };
    let loss = evaluation.loss(column, Split::Test).cloned().ok_or_else(|| {
        Error::data(format!("record {} holds no loss `{column}`", evaluation.id.short()))
    })?;
    let parameters = evaluation.cost.parameters;
    Ok(Recipe { name, loss, parameters, records, evaluation: evaluation.id, column })
}

/// The three differences of the story, and two more that readers ask for.
fn compare(
    lab: &dyn Lab,
    recipes: &[Recipe],
    best_standard: RecipeName,
) -> Result<Vec<Comparison>> {
    let find =
        |name| recipes.iter().find(|recipe| recipe.name == name).expect("all rows are there");
    let ledger = |recipe: &Recipe| -> Result<Ledger> { lab.ledger(recipe.evaluation, Split::Test) };
    let longest = RecipeName::Standard(STANDARD_EPOCHS[STANDARD_EPOCHS.len() - 1]);
    let ensemble = RecipeName::Ensemble(MEMBERS as usize);
    let pairs = [
        (longest, best_standard),
        (RecipeName::Regularized, best_standard),
        (ensemble, RecipeName::Larger),
        (RecipeName::Larger, RecipeName::Regularized),
        (ensemble, RecipeName::Ngram),
    ];
    let mut comparisons = Vec::new();
    for (left, right) in pairs.map(|(left, right)| (find(left), find(right))) {
        if left.name == right.name {
            continue;
        }
        let difference = ledger(left)?.difference(left.column, &ledger(right)?, right.column)?;
        let (left, right) = (left.name, right.name);
        comparisons.push(Comparison { left, right, difference });
    }
    Ok(comparisons)
}
