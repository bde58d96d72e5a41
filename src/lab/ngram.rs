//! The n-gram yardstick as a job: counted on the budget, tuned on `val`, measured on a split.

use scarce_engine::isa::{Isa, Kernels, Precision};

use super::bench::{Bench, Stopwatch, ledger_file};
use super::floor::add_floors;
use crate::Result;
use crate::data::{Corpus, Sampler, SamplerPlan};
use crate::eval::ngram::Ngram;
use crate::eval::{Windows, ngram_ledger};
use crate::spec::{Job, NgramSpec, OrderMode, Split};
use crate::store::{Cost, Measured, Outcome, Record};

pub(super) fn run(spec: &NgramSpec, bench: &mut Bench<'_>) -> Result<()> {
    let job = Job::Ngram(spec.clone());
    let id = job.id();
    let stopwatch = Stopwatch::start();
    let corpus = bench.corpora.get(spec.corpus)?;
    let positions = spec.sequence_tokens as usize;
    let train = budget(corpus, spec)?;
    let tuning = all_windows(corpus, Split::Val, positions)?;
    let train: Vec<&[u32]> = train.iter().map(Vec::as_slice).collect();
    let tuning: Vec<&[u32]> = tuning.iter().map(Vec::as_slice).collect();
    let context = spec.context_tokens_max as usize;
    let ngram = Ngram::fit(&train, &tuning, corpus.vocabulary() as usize, context);
    bench.log_read(spec.corpus, id, &spec.split.into())?;
    let ledger = ngram_ledger(&Windows::all(corpus.split(spec.split), positions)?, &ngram)?;

    let kernels = Kernels::new(Isa::Portable, Precision::F32);
    let cost =
        Cost { tokens: spec.budget_tokens, parameters: ngram.entries() as u64, ..Cost::default() };
    let seconds = stopwatch.seconds();
    let mut losses = ledger.losses(spec.split);
    add_floors(&mut losses, &ledger, corpus, (spec.split, positions))?;
    let record = Record {
        losses,
        measured: constants(&ngram),
        ..bench.record(&job, Outcome::Finished, kernels, seconds, cost)
    };
    let mut draft = bench.store.draft(id)?;
    draft.add(&ledger_file(&spec.split.into()), &ledger.to_safetensors()?)?;
    bench.publish(draft, &job, &record)
}

/// The sequences of the budget: the same ones that a model with this budget trains on.
fn budget(corpus: &Corpus, spec: &NgramSpec) -> Result<Vec<Vec<u32>>> {
    let plan = SamplerPlan {
        sequence_tokens: spec.sequence_tokens,
        budget_tokens: spec.budget_tokens,
        order: OrderMode::Sequences,
        seed: 0,
    };
    let sampler = Sampler::new(corpus.split(Split::Train), plan)?;
    let length = spec.sequence_tokens as usize;
    let mut starts = vec![0; length];
    let read = |index| {
        let mut tokens = vec![0; length];
        sampler.sequence(0, index, &mut tokens, &mut starts).map(|()| tokens)
    };
    (0..sampler.sequences()).map(read).collect()
}

fn all_windows(corpus: &Corpus, split: Split, positions: usize) -> Result<Vec<Vec<u32>>> {
    let windows = Windows::all(corpus.split(split), positions)?;
    (0..windows.count()).map(|index| windows.tokens(index)).collect()
}

/// The tuned constants, for the record.
fn constants(ngram: &Ngram) -> Vec<Measured> {
    let named = |name: String, value: f64| Measured { name, value };
    let mut measured = vec![
        named("context_tokens".to_owned(), ngram.context_tokens() as f64),
        named("tuning_loss_nats".to_owned(), ngram.tuning_loss_nats()),
    ];
    for (tokens, order) in ngram.orders().iter().enumerate() {
        measured.push(named(format!("discount_{tokens}"), order.discount));
        measured.push(named(format!("strength_{tokens}"), order.strength));
    }
    measured
}
