//! An evaluation job: trained members alone and averaged, on one split or side set.

use scarce_engine::pool::Pool;

use super::context::kernels;
use super::floor::add_floors;
use super::progress::Report;
use super::work::{Bench, Stopwatch, ledger_file};
use crate::data::Corpus;
use crate::eval::{Windows, ensemble_ledger};
use crate::model::{Model, Weights, from_safetensors};
use crate::spec::{EvaluateSpec, Job, JobId, Part};
use crate::store::{Cost, Loss, Measured, Outcome};
use crate::{Error, Result};

pub(super) fn run(spec: &EvaluateSpec, bench: &mut Bench<'_>) -> Result<()> {
    let job = Job::Evaluate(spec.clone());
    let id = job.id();
    let stopwatch = Stopwatch::start();
    let pool = Pool::new(bench.options.threads);
    let kernels = kernels(spec.precision)?;
    let corpus = bench.corpora.get(spec.corpus)?;
    let positions = spec.sequence_tokens as usize;
    let mut members = Vec::with_capacity(spec.members.len());
    for &member in &spec.members {
        members.push(load(member, positions, kernels, bench, &pool)?);
    }
    for (&id, (model, _)) in spec.members.iter().zip(&members) {
        check_vocabulary(id, model, corpus)?;
    }
    let windows = Windows::all(corpus.part(&spec.split)?, positions)?;
    let total = windows.count() as u64;
    (bench.report)(Report::Done { done: 0, total, loss_nats: None });
    bench.log_read(spec.corpus, id, &spec.split)?;
    let pairs: Vec<(&Model, &Weights)> = members.iter().map(|(m, w)| (m, w)).collect();
    let ledger = ensemble_ledger(&windows, spec.mask, &pairs, &pool)?;
    corpus.check_unchanged()?;

    let tokens = total * u64::from(spec.sequence_tokens);
    let flops: u64 =
        pairs.iter().map(|(m, _)| m.spec.flops_per_token(spec.sequence_tokens) / 3).sum();
    let cost = Cost {
        tokens,
        flops: tokens as f64 * flops as f64,
        parameters: pairs.iter().map(|(model, _)| model.parameters() as u64).sum(),
        ..Cost::default()
    };
    let seconds = stopwatch.seconds();
    let mut record = bench.record(&job, Outcome::Finished, kernels, seconds, cost);
    match &spec.split {
        Part::Split(split) => {
            record.losses = ledger.losses(*split);
            add_floors(&mut record.losses, &ledger, corpus, (*split, positions))?;
            record.measured = diversity(&record.losses, spec.members.len());
        }
        Part::Side(side) => {
            record.side_losses = ledger.losses(side.clone());
            record.measured = diversity(&record.side_losses, spec.members.len());
        }
    }
    let mut draft = bench.store.draft(id)?;
    draft.add(&ledger_file(&spec.split), &ledger.to_safetensors()?)?;
    draft.publish(&job, &record)?;
    Ok(())
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

fn load(
    member: JobId,
    positions: usize,
    kernels: scarce_engine::isa::Kernels,
    bench: &Bench<'_>,
    pool: &Pool,
) -> Result<(Model, Weights)> {
    let Job::Train(train) = bench.store.job(member)? else {
        return Err(Error::usage(format!("member {} is not a training run", member.short())));
    };
    let model = Model::new(&train.model, positions, kernels);
    let mut weights = Weights::zeroed(&model);
    let file = bench.store.read_file(member, "weights.safetensors")?;
    from_safetensors(&model.table, &file, &mut weights.values)
        .map_err(|error| error.within(format!("weights of {}", member.short())))?;
    weights.pack(pool);
    Ok((model, weights))
}

/// E[log Z] of every prefix: by the identity L_ens = mean L_i + E[log Z] (mission Q0) the whole
/// gain of logit averaging over the mean member; 0 for members that predict alike.
fn diversity<P>(losses: &[Loss<P>], members: usize) -> Vec<Measured> {
    let nats = |name: String| losses.iter().find(|loss| loss.name == name).map(|loss| loss.nats);
    let mut singles = 0.0;
    let mut measured = Vec::new();
    for k in 1..=members {
        let (Some(single), Some(mean)) =
            (nats(format!("member-{}", k - 1)), nats(format!("logits-{k}")))
        else {
            break;
        };
        singles += single;
        let value = mean - singles / k as f64;
        measured.push(Measured { name: format!("log_z_{k}_nats"), value });
    }
    measured
}
