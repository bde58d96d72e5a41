//! An evaluation job: trained members alone and averaged, on one split.

use std::time::Instant;

use scarce_engine::pool::Pool;

use super::context::{kernels, numerics};
use super::progress::Report;
use super::work::{Bench, ledger_file};
use crate::eval::{Windows, ensemble_ledger};
use crate::model::{Model, Weights, from_safetensors};
use crate::spec::{EvaluateSpec, Job, JobId};
use crate::store::{
    Cost, Machine, Measured, Outcome, Record, cpu_seconds, peak_memory_bytes, unix_seconds,
};
use crate::{Error, Result};

pub(super) fn run(spec: &EvaluateSpec, bench: &mut Bench<'_>) -> Result<()> {
    let job = Job::Evaluate(spec.clone());
    let id = job.id();
    let start = (Instant::now(), cpu_seconds());
    let pool = Pool::new(bench.options.threads);
    let kernels = kernels(spec.precision)?;
    let corpus = bench.corpora.get(spec.corpus)?;
    let positions = spec.sequence_tokens as usize;
    let mut members = Vec::with_capacity(spec.members.len());
    for &member in &spec.members {
        members.push(load(member, positions, kernels, bench, &pool)?);
    }
    let windows = Windows::all(corpus.split(spec.split), positions)?;
    let total = windows.count() as u64;
    (bench.report)(Report::Done { done: 0, total, loss_nats: None });
    bench.log_read(spec.corpus, id, spec.split)?;
    let pairs: Vec<(&Model, &Weights)> = members.iter().map(|(m, w)| (m, w)).collect();
    let ledger = ensemble_ledger(&windows, spec.mask, &pairs, &pool)?;
    corpus.check_unchanged()?;

    let losses = ledger.losses(spec.split);
    let tokens = total * u64::from(spec.sequence_tokens);
    let flops: u64 =
        pairs.iter().map(|(m, _)| m.spec.flops_per_token(spec.sequence_tokens) / 3).sum();
    let record = Record {
        id,
        kind: job.kind().to_owned(),
        outcome: Outcome::Finished,
        measured: diversity(&losses, spec.members.len()),
        losses,
        cost: Cost {
            steps: 0,
            tokens,
            flops: tokens as f64 * flops as f64,
            wall_seconds: start.0.elapsed().as_secs_f64(),
            cpu_seconds: cpu_seconds() - start.1,
            peak_memory_bytes: peak_memory_bytes(),
            parameters: pairs.iter().map(|(model, _)| model.parameters() as u64).sum(),
        },
        machine: Machine::here(bench.options.threads, kernels.isa().name()),
        numerics: numerics(kernels),
        version: env!("CARGO_PKG_VERSION").to_owned(),
        finished_unix_seconds: unix_seconds(),
    };
    let mut draft = bench.store.draft(id)?;
    draft.add(&ledger_file(spec.split), &ledger.to_safetensors()?)?;
    draft.publish(&job, &record)?;
    Ok(())
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
fn diversity(losses: &[crate::store::Loss], members: usize) -> Vec<Measured> {
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
