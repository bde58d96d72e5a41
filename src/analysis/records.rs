//! Records as runs.

use std::collections::{BTreeMap, BTreeSet};

use super::run::{Ensemble, HeldOutLoss, Moment, Origin, Run, RunSeeds, Taught};
use crate::spec::preset::PRESETS;
use crate::spec::{
    Evaluation, FeedForward, Job, JobId, ModelSpec, OptimSpec, Part, Seeds, Split, Start, TrainSpec,
};
use crate::store::{Column, Loss, Numerics, Outcome, Record, Store, left_out};
use crate::train::MetricsLine;
use crate::{Error, Result};

/// Training runs by their ids, as far as ensembles have asked for them.
type Trained = BTreeMap<JobId, TrainSpec>;

/// What was found in a store.
#[derive(Debug, Default)]
pub struct Found {
    /// The runs.
    pub runs: Vec<Run>,
    /// Of every record that could not be read: why it was left out.
    pub left_out: Vec<String>,
}

/// What has been read so far.
#[derive(Default)]
struct Reader {
    runs: Vec<Run>,
    trained: Trained,
    evaluations: Vec<(Record, Vec<JobId>)>,
    /// Runs that have a loss already.
    measured: BTreeSet<String>,
}

/// All losses on a split that the store's records hold, or those of `only` some records. With
/// `courses`, the courses of single runs and their training losses are read, too.
///
/// # Errors
/// If the store cannot be listed. Records that cannot be read are left out, which is said.
pub fn of_records(
    store: &Store,
    split: Split,
    courses: bool,
    only: Option<&BTreeSet<JobId>>,
) -> Result<Found> {
    let mut reader = Reader::default();
    let mut missing = Vec::new();
    for id in store.ids()? {
        if only.is_some_and(|only| !only.contains(&id)) {
            continue;
        }
        if let Err(error) = reader.add(store, id, (split, courses)) {
            missing.push(left_out(id, &error));
        }
    }
    let Reader { mut runs, trained, evaluations, mut measured } = reader;
    for (record, members) in &evaluations {
        add_evaluation(record, members, split, &trained, (&mut runs, &mut measured));
    }
    Ok(Found { runs, left_out: missing })
}

impl Reader {
    /// Reads a record; nothing is added if it cannot be read.
    fn add(&mut self, store: &Store, id: JobId, (split, courses): (Split, bool)) -> Result<()> {
        let Some(record) = store.record(id)? else { return Ok(()) };
        match store.job(id)? {
            Job::Train(spec) => {
                if let (Outcome::Finished, Some(loss)) =
                    (&record.outcome, record.loss(Column::Model, split))
                {
                    let mut run = single(id, &spec, &record.numerics);
                    set_loss(&mut run, loss);
                    run.flops = Some(record.cost.flops);
                    if courses {
                        read_course(store, id, &spec, &mut run)?;
                    }
                    self.measured.insert(id.to_string());
                    self.runs.push(run);
                }
                self.trained.insert(id, spec);
            }
            Job::Evaluate(spec) if spec.split == Part::Split(split) => {
                self.evaluations.push((record, spec.members));
            }
            Job::Ensemble(spec) if spec.split == split => {
                self.evaluations.push((record, spec.members));
            }
            Job::Evaluate(_) | Job::Ensemble(_) | Job::Ngram(_) => {}
        }
        Ok(())
    }
}

/// A run with everything that its spec says.
fn single(id: JobId, spec: &TrainSpec, numerics: &Numerics) -> Run {
    let OptimSpec::Adamw { lr, weight_decay, batch_sequences, .. } = &spec.optim;
    let mut run = Run::new(Origin::Record(id.to_string()), label(&spec.model));
    run.parameters = Some(spec.model.parameters() as f64);
    run.data = Some(spec.data.corpus.to_string());
    run.budget_tokens = Some(spec.data.budget_tokens as f64);
    run.epochs = Some(spec.data.epochs);
    run.lr = Some(*lr);
    run.weight_decay = Some(*weight_decay);
    run.batch_sequences = Some(f64::from(*batch_sequences));
    run.sequence_tokens = Some(f64::from(spec.data.sequence_tokens));
    run.seeds = RunSeeds { init: Some(spec.seeds.init), order: Some(spec.seeds.order) };
    run.continued = spec.start != Start::Random {};
    run.taught = spec.data.mixture.first().map(|component| Taught {
        teacher: component.corpus.short(),
        weight: Some(spec.data.mixture_share()),
    });
    run.numerics = Some(numerics.clone());
    run.variant = Some(variant(spec));
    run
}

/// What is left of a spec without everything that figures group by, as a short hash.
fn variant(spec: &TrainSpec) -> String {
    let mut rest = spec.clone();
    rest.start = Start::Random {};
    rest.data.budget_tokens = u64::from(rest.data.sequence_tokens);
    rest.data.epochs = 1.0;
    rest.data.mixture = Vec::new();
    let OptimSpec::Adamw { lr, weight_decay, batch_sequences, .. } = &mut rest.optim;
    (*lr, *weight_decay, *batch_sequences) = (1.0, 0.0, 1);
    rest.seeds = Seeds { init: 0, order: 0 };
    rest.evaluation = Evaluation { points: 1, sample_tokens: 0 };
    let model = &mut rest.model;
    (model.layers, model.width, model.heads, model.kv_heads) = (1, 1, 1, 1);
    model.feed_forward = FeedForward::Swiglu { width: 1 };
    Job::Train(rest).id().short()
}

fn set_loss(run: &mut Run, loss: &Loss) {
    let standard_error_nats = loss.standard_error_nats;
    run.loss = Some(HeldOutLoss { nats: loss.nats, standard_error_nats });
    run.floor_nats = loss.above_floor.map(|above| above.floor_nats);
}

/// The preset of this shape, or "3x64": layers by width.
fn label(model: &ModelSpec) -> String {
    let shape = |model: &ModelSpec| {
        let ffn = model.feed_forward_width();
        (model.layers, model.width, model.heads, model.kv_heads, ffn, model.tied)
    };
    let same = |preset: &&crate::spec::preset::Preset| {
        shape(&preset.model(model.vocabulary)) == shape(model)
    };
    PRESETS
        .iter()
        .find(same)
        .map_or_else(|| format!("{}x{}", model.layers, model.width), |p| p.name.to_owned())
}

/// The losses of an evaluation: members that have no loss on this split yet, and ensembles.
fn add_evaluation(
    record: &Record,
    members: &[JobId],
    split: Split,
    trained: &Trained,
    (runs, measured): (&mut Vec<Run>, &mut BTreeSet<String>),
) {
    let numerics = &record.numerics;
    for (index, &member) in members.iter().enumerate() {
        let loss = record.loss(Column::Member(index), split);
        let (Some(loss), Some(spec)) = (loss, trained.get(&member)) else { continue };
        if measured.insert(member.to_string()) {
            let mut run = single(member, spec, numerics);
            set_loss(&mut run, loss);
            runs.push(run);
        }
    }
    let specs: Vec<&TrainSpec> = members.iter().filter_map(|id| trained.get(id)).collect();
    let [first, rest @ ..] = &specs[..] else { return };
    // Members of different settings are an ensemble, too, but none that a law in K describes.
    let alike =
        specs.len() == members.len() && rest.iter().all(|spec| differ_in_seeds(first, spec));
    let facts = record.ensemble_facts();
    for loss in record.losses.iter().filter(|loss| loss.split == split) {
        let (averaging, k, over_subsets) = match loss.name {
            Column::First(average, members) => (average, members, false),
            Column::Subsets(average, members) => (average, members, true),
            _ => continue,
        };
        let ids = if over_subsets { members } else { &members[..k.min(members.len())] };
        let subsets = facts.as_ref().and_then(|own| Some(own.size(averaging, k)?.subsets));
        let mut run = single(record.id, first, numerics);
        set_loss(&mut run, loss);
        run.seeds = RunSeeds::default();
        run.ensemble = Some(Ensemble {
            members: u32::try_from(k).unwrap_or(u32::MAX),
            averaging: Some(averaging),
            ids: ids.iter().map(ToString::to_string).collect(),
            // A mean over the only subset is told from a single ensemble all the same.
            subsets: if over_subsets { subsets.unwrap_or(1).max(2) } else { 1 },
            without: match &facts {
                Some(facts) if over_subsets => facts.without_one(averaging, k).to_vec(),
                _ => Vec::new(),
            },
        });
        if !alike {
            "mixed".clone_into(&mut run.model);
            (run.parameters, run.epochs, run.lr, run.weight_decay) = (None, None, None, None);
        }
        runs.push(run);
    }
}

/// Whether two runs have the same spec but for their seeds.
fn differ_in_seeds(a: &TrainSpec, b: &TrainSpec) -> bool {
    TrainSpec { seeds: a.seeds, ..b.clone() } == *a
}

/// Reads the course of a run. Its training loss is the mean over the last epoch: single batches
/// vary by more than recipes do.
fn read_course(store: &Store, id: JobId, spec: &TrainSpec, run: &mut Run) -> Result<()> {
    let text = store.read_file(id, "metrics.jsonl")?;
    let (mut sum, mut count) = (0.0, 0.0);
    for line in text.split(|&byte| byte == b'\n').filter(|line| !line.is_empty()) {
        let line: MetricsLine = serde_json::from_slice(line)
            .map_err(|cause| Error::data(format!("metrics of {}: {cause}", id.short())))?;
        if line.epoch > spec.data.epochs - 1.0 {
            sum += line.train_loss_nats;
            count += 1.0;
        }
        run.trajectory.push(Moment {
            tokens: line.tokens as f64,
            train_loss_nats: Some(line.train_loss_nats).filter(|loss| loss.is_finite()),
            loss_nats: line.held_out.first().map(|held| held.loss_nats),
        });
    }
    run.train_loss_nats = (count > 0.0).then(|| sum / count);
    Ok(())
}
