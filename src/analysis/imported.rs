//! Imported runs as runs.

use super::run::{Accuracy, Ensemble, HeldOutLoss, Moment, Origin, Run, RunSeeds, Taught};
use crate::Result;
use crate::spec::preset;
use crate::store::{Average, ForeignRecord, ForeignRun, Store};

/// The paper's sizes as its laws count them, in parameters (paper, appendix A).
const NOMINAL: [(&str, f64); 7] = [
    ("150m4k", 1.5e8),
    ("300m4k", 3e8),
    ("600m4k", 6e8),
    ("1_4b4k", 1.4e9),
    ("1_5b4k", 1.5e9),
    ("1_9b4k", 1.9e9),
    ("3_2b4k", 3.2e9),
];

/// The imported runs of a store.
#[derive(Clone, Debug)]
pub struct Imported {
    /// With the paper's nominal sizes, where `nominal` says so.
    pub runs: Vec<Run>,
    /// With exact counts of parameters.
    pub exact: Vec<Run>,
    /// Whether the sizes are the paper's nominal ones: all of them, or none (B15).
    pub nominal: bool,
}

/// The imported runs of a store, or those with a tag; with their courses, if these are asked for.
///
/// # Errors
/// If the store or a history cannot be read.
pub fn imported(store: &Store, tag: Option<&str>, courses: bool) -> Result<Imported> {
    let mut records = store.foreign()?;
    records.retain(|one| tag.is_none_or(|tag| one.run.tags.iter().any(|own| own == tag)));
    let mut exact = Vec::new();
    for record in &records {
        let mut run = convert(&record.run);
        // Histories are in one file per batch, which is hashed for each: only what is drawn.
        if courses && records.len() <= COURSES_MAX && record.history.is_some() {
            run.trajectory = course(store, record)?;
        }
        exact.push(run);
    }
    let nominal_size = |run: &Run| NOMINAL.iter().find(|(name, _)| *name == run.model).map(|n| n.1);
    let nominal = exact.iter().all(|run| nominal_size(run).is_some() || run.parameters.is_none());
    let runs = exact.iter().cloned().map(|run| {
        let parameters = if nominal { nominal_size(&run) } else { None };
        Run { parameters: parameters.or(run.parameters), ..run }
    });
    Ok(Imported { runs: runs.collect(), exact, nominal })
}

/// Courses of more runs are not read: a figure shows those of two.
const COURSES_MAX: usize = 200;

fn course(store: &Store, record: &ForeignRecord) -> Result<Vec<Moment>> {
    let history = store.foreign_history(record)?;
    let settings = &record.run.settings;
    let tokens = match (settings.batch, settings.sequence_tokens) {
        (Some(batch), Some(sequence)) => batch * sequence,
        // Without both, the steps of the whole run are those of its tokens.
        _ => match (settings.budget_tokens, settings.epochs, history.step.last()) {
            (Some(budget), Some(epochs), Some(&last)) if last > 0 => budget * epochs / last as f64,
            _ => return Ok(Vec::new()),
        },
    };
    let moments = history.step.iter().enumerate().map(|(index, &step)| Moment {
        tokens: step as f64 * tokens,
        train_loss_nats: history.train_loss_nats.get(index).copied().flatten(),
        loss_nats: history.eval_loss_nats.get(index).copied().flatten(),
    });
    Ok(moments.collect())
}

fn convert(foreign: &ForeignRun) -> Run {
    let settings = &foreign.settings;
    let model = settings.model.clone().unwrap_or_default();
    let counted = || {
        // Shapes of ours that have the paper's names are the paper's, with its vocabulary.
        let known = NOMINAL.iter().any(|(name, _)| *name == model);
        let preset = known.then(|| preset::find(&model).ok()).flatten()?;
        Some(preset.model(0).parameters() as f64)
    };
    let seed = |seed: Option<f64>| seed.filter(|s| s.fract() == 0.0 && *s >= 0.0).map(|s| s as u64);
    let members = settings.members.filter(|k| (1.0..=1e6).contains(k)).filter(|k| {
        // Tables have a column of members for all, and "1" says that there are no others. Only
        // what is an evaluation of its own is an ensemble of one.
        *k > 1.0 || settings.member.is_some() || foreign.loss_nats().is_none()
    });
    let taught =
        settings.teacher.clone().map(|teacher| Taught { teacher, weight: settings.teacher_weight });
    let loss = foreign.loss_nats().map(|nats| HeldOutLoss { nats, standard_error_nats: None });
    let mut run = Run::new(Origin::Foreign(foreign.id.clone()), model.clone());
    run.parameters = settings.parameters.or_else(counted);
    run.data = settings.data.clone();
    run.budget_tokens = settings.budget_tokens;
    run.epochs = settings.epochs;
    run.lr = settings.lr;
    run.weight_decay = settings.weight_decay;
    run.batch_sequences = settings.batch;
    run.sequence_tokens = settings.sequence_tokens;
    run.seeds = RunSeeds { init: seed(settings.train_seed), order: seed(settings.data_seed) };
    run.seed_families = settings.seed_families.clone();
    run.ensemble = members.map(|k| Ensemble {
        members: k as u32,
        averaging: averaging(foreign),
        ids: Vec::new(),
        subsets: 1,
        without: Vec::new(),
    });
    run.taught = taught;
    run.loss = loss;
    run.train_loss_nats = foreign.losses.get("train").copied();
    run.flops = settings.flops;
    run.tags = foreign.tags.clone();
    run.accuracies = foreign
        .other
        .iter()
        .filter_map(|(name, value)| {
            let task = name.strip_suffix("/acc")?;
            let error = foreign.other.get(&format!("{task}/acc_stderr"));
            let standard_error = error.and_then(serde_json::Value::as_f64);
            Some((task.to_owned(), Accuracy { share: value.as_f64()?, standard_error }))
        })
        .collect();
    run
}

/// The average that a source names; the reference's is of logits and says nothing.
fn averaging(foreign: &ForeignRun) -> Option<Average> {
    let text = foreign.other.get("averaging").or_else(|| foreign.other.get("average"))?;
    let text = text.as_str()?.to_lowercase();
    match text {
        text if text.starts_with("logit") => Some(Average::Logits),
        text if text.starts_with("prob") => Some(Average::Probabilities),
        _ => None,
    }
}
