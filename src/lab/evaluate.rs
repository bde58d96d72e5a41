//! An evaluation job: trained members alone and averaged, on one split or side set.

use super::arithmetic::kernels;
use super::bench::{Bench, Stopwatch, ledger_file, pool};
use super::floor::add_floors;
use super::members::load_members;
use super::progress::Report;
use crate::Result;
use crate::eval::{Windows, ensemble_ledger};
use crate::model::{Model, Weights};
use crate::spec::{EvaluateSpec, Job, Part};
use crate::store::{Average, Column, Cost, Loss, Measured, Outcome};

pub(super) fn run(spec: &EvaluateSpec, bench: &mut Bench<'_>) -> Result<()> {
    let job = Job::Evaluate(spec.clone());
    let id = job.id();
    let stopwatch = Stopwatch::start();
    let pool = pool(bench.options.threads)?;
    let kernels = kernels(bench.store, spec.precision)?;
    let corpus = bench.corpora.get(spec.corpus)?;
    let positions = spec.sequence_tokens as usize;
    let members = load_members(&spec.members, (bench.store, corpus), positions, kernels, &pool)?;
    let windows = Windows::all(corpus.part(&spec.split)?, positions)?;
    let total = windows.count() as u64;
    (bench.report)(Report::Done { done: 0, total, loss_nats: None });
    bench.log_read(spec.corpus, id, &spec.split)?;
    let pairs: Vec<(&Model, &Weights)> = members.iter().map(|(m, w)| (m, w)).collect();
    let ledger = ensemble_ledger(&windows, spec.mask, &pairs, &pool)?;

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
            record.measured = log_z(spec.members.len(), find(&record.losses));
        }
        Part::Side(side) => {
            record.side_losses = ledger.losses(side.clone());
            record.measured = log_z(spec.members.len(), find(&record.side_losses));
        }
    }
    let mut draft = bench.store.draft(id)?;
    draft.add(&ledger_file(&spec.split), &ledger.to_safetensors()?)?;
    bench.publish(draft, &job, &record)
}

/// E[log Z] of every prefix: by the identity L_ens = mean L_i + E[log Z] (mission Q0) the whole
/// gain of logit averaging over the mean member; 0 for members that predict alike. `nats` finds
/// losses by their names.
pub(super) fn log_z(members: usize, nats: impl Fn(Column) -> Option<f64>) -> Vec<Measured> {
    let mut singles = 0.0;
    let mut measured = Vec::new();
    for k in 1..=members {
        let (Some(single), Some(mean)) =
            (nats(Column::Member(k - 1)), nats(Column::First(Average::Logits, k)))
        else {
            break;
        };
        singles += single;
        let value = mean - singles / k as f64;
        measured.push(Measured { name: format!("log_z_{k}_nats"), value });
    }
    measured
}

fn find<P>(losses: &[Loss<P>]) -> impl Fn(Column) -> Option<f64> {
    |name| losses.iter().find(|loss| loss.name == name).map(|loss| loss.nats)
}
