//! The trained members that an evaluation reads, with their weights.

use scarce_engine::isa::Kernels;
use scarce_engine::pool::Pool;

use crate::data::Corpus;
use crate::model::{Model, Weights, from_safetensors};
use crate::spec::{Job, JobId, TrainSpec};
use crate::store::{Outcome, Store};
use crate::{Error, Result};

/// File of the final weights inside a record.
const WEIGHTS_FILE: &str = "weights.safetensors";

/// Loads the members for windows of `positions` tokens of a corpus.
///
/// # Errors
/// If a member is missing, diverged, without weights, not a training run, or knows fewer tokens
/// than the corpus. All such members are named at once.
pub(super) fn load_members(
    ids: &[JobId],
    (store, corpus): (&Store, &Corpus),
    positions: usize,
    kernels: Kernels,
    pool: &Pool,
) -> Result<Vec<(Model, Weights)>> {
    let specs = check_members(ids, store)?;
    let mut members = Vec::with_capacity(ids.len());
    for (&id, spec) in ids.iter().zip(&specs) {
        let model = Model::new(&spec.model, positions, kernels);
        check_vocabulary(id, &model, corpus)?;
        let mut weights = Weights::zeroed(&model);
        let file = store.read_file(id, WEIGHTS_FILE)?;
        from_safetensors(&model.table, &file, &mut weights.values)
            .map_err(|error| error.within(format!("weights of {}", id.short())))?;
        weights.pack(pool);
        members.push((model, weights));
    }
    Ok(members)
}

/// The specs of members that can all be evaluated.
fn check_members(ids: &[JobId], store: &Store) -> Result<Vec<TrainSpec>> {
    let (mut specs, mut reasons) = (Vec::with_capacity(ids.len()), Vec::new());
    for &id in ids {
        let name = id.short();
        let Some(record) = store.record(id)? else {
            reasons.push(format!("{name} is not in the store"));
            continue;
        };
        let Job::Train(spec) = store.job(id)? else {
            return Err(Error::usage(format!("member {name} is not a training run")));
        };
        match record.outcome {
            Outcome::Diverged { step } => reasons.push(format!("{name} diverged at step {step}")),
            Outcome::Finished if !store.has_file(id, WEIGHTS_FILE)? => {
                reasons.push(format!("{name} has no weights"));
            }
            Outcome::Finished => specs.push(spec),
        }
    }
    if reasons.is_empty() {
        return Ok(specs);
    }
    let (bad, all) = (reasons.len(), ids.len());
    Err(Error::data(format!(
        "{bad} of {all} members cannot be evaluated: {}",
        reasons.join(", ")
    ))
    .hint(
        "leave them out, or train them: where weights were dropped, remove the record's directory \
         first; diverged runs need a smaller `optim.lr`",
    ))
}

/// A token that a model does not know has no probability.
fn check_vocabulary(id: JobId, model: &Model, corpus: &Corpus) -> Result<()> {
    if model.spec.vocabulary >= corpus.vocabulary() {
        return Ok(());
    }
    Err(Error::usage(format!(
        "record {} has a vocabulary of {}, and corpus {} one of {}",
        id.short(),
        model.spec.vocabulary,
        corpus.id().short(),
        corpus.vocabulary()
    ))
    .hint("evaluate a model on corpora of the tokenizer that it was trained with"))
}
