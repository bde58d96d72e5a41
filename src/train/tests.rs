//! Promises of the trainer: threads, cohorts and resume points never reach a weight.

use std::path::Path;

use scarce_engine::isa::{Isa, Kernels, Precision};
use scarce_engine::pool::Pool;

use super::*;
use crate::data::{Corpus, prepare_synthetic};
use crate::model::Model;
use crate::spec::{CorpusFacts, Request, TrainSpec, resolve};

fn corpus(folder: &Path) -> Corpus {
    let path = folder.join("corpus");
    prepare_synthetic("pocket", &path, false).unwrap();
    Corpus::open(&path).unwrap()
}

fn spec(facts: &CorpusFacts, more: &[&str]) -> TrainSpec {
    let sets = ["model.layers=1", "model.width=32", "optim.batch_sequences=5", "optim.lr=0.01"];
    let sets: Vec<String> = sets.iter().chain(more).map(|&set| set.to_owned()).collect();
    resolve(&Request { file: None, sets: &sets }, facts).unwrap().spec
}

/// Steps members together and returns the bits of their weights.
fn weights_after(
    steps: u64,
    corpus: &Corpus,
    specs: &[TrainSpec],
    (threads, isa): (usize, Isa),
) -> Vec<Vec<u32>> {
    let pool = Pool::new(threads);
    let kernels = Kernels::new(isa, Precision::F32);
    let model = Model::new(&specs[0].model, 128, kernels);
    let member = |spec: &TrainSpec| (spec.clone(), Feed::new(spec, |_| Ok(corpus)).unwrap());
    let mut cohort = Cohort::new(model, specs.iter().map(member).collect(), &pool);
    for _ in 0..steps {
        cohort.step().unwrap();
    }
    let bits = |member| cohort.weights(member).values.iter().map(|w| w.to_bits()).collect();
    (0..cohort.members()).map(bits).collect()
}

#[test]
fn threads_and_instruction_sets_do_not_reach_the_weights() {
    let folder = tempfile::tempdir().unwrap();
    let corpus = corpus(folder.path());
    for mask in ["across-documents", "within-documents"] {
        let mask = format!("data.mask.kind={mask}");
        let specs = [spec(&corpus.facts(), &["model.dropout=0.2", &mask])];
        let expected = weights_after(3, &corpus, &specs, (1, Isa::Portable));
        for isa in [Isa::Portable, Isa::Avx2, Isa::Avx512] {
            if isa > Isa::detect() {
                eprintln!("SKIPPED: this machine has no {}", isa.name());
                continue;
            }
            for threads in [1, 2, 3, 9] {
                let weights = weights_after(3, &corpus, &specs, (threads, isa));
                assert!(weights == expected, "{} with {threads} threads", isa.name());
            }
        }
    }
}

#[test]
fn a_member_does_not_notice_its_cohort() {
    let folder = tempfile::tempdir().unwrap();
    let corpus = corpus(folder.path());
    let member = |seed: u64, decay: f64, lr: f64| {
        let sets = [
            format!("seeds.init={seed}"),
            format!("seeds.order={seed}"),
            format!("optim.weight_decay={decay}"),
            format!("optim.lr={lr}"),
        ];
        spec(&corpus.facts(), &sets.each_ref().map(String::as_str))
    };
    let specs = [member(0, 0.1, 0.01), member(1, 1.6, 0.003), member(2, 3.2, 0.01)];
    let here = Isa::detect();
    let together = weights_after(4, &corpus, &specs, (2, here));
    for (index, spec) in specs.iter().enumerate() {
        let alone = weights_after(4, &corpus, std::slice::from_ref(spec), (1, here));
        assert!(together[index] == alone[0], "member {index}");
    }
    assert!(together[0] != together[1]);
}

#[test]
fn a_run_that_diverges_says_at_which_step() {
    let folder = tempfile::tempdir().unwrap();
    let corpus = corpus(folder.path());
    // A rate of 1e30 leaves no finite loss after the first updates.
    let spec = spec(&corpus.facts(), &["optim.lr=1e30", "optim.schedule.warmup_share=0"]);
    let pool = Pool::new(1);
    let model = Model::new(&spec.model, 128, Kernels::new(Isa::detect(), Precision::F32));
    let feed = Feed::new(&spec, |_| Ok(&corpus)).unwrap();
    let mut cohort = Cohort::new(model, vec![(spec, feed)], &pool);
    while cohort.diverged(0).is_none() {
        assert!(cohort.steps(0).0 < 50, "it should have diverged by now");
        cohort.step().unwrap();
    }
    assert_eq!(cohort.diverged(0), Some(cohort.steps(0).0));
    assert_eq!(cohort.step().unwrap(), vec![None]);
}

#[test]
fn a_checkpoint_beyond_the_last_step_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let corpus = corpus(folder.path());
    let spec = spec(&corpus.facts(), &[]);
    let pool = Pool::new(1);
    let model = Model::new(&spec.model, 128, Kernels::new(Isa::detect(), Precision::F32));
    let sections = vec![vec![0.0; model.parameters()]; 3];
    let feed = Feed::new(&spec, |_| Ok(&corpus)).unwrap();
    let mut cohort = Cohort::new(model, vec![(spec, feed)], &pool);
    let last = cohort.steps(0).1;
    cohort.restore(0, last, &sections).unwrap();
    for step in [last + 1, u64::MAX] {
        let error = cohort.restore(0, step, &sections).unwrap_err().to_string();
        assert_eq!(error, format!("the checkpoint is of step {step}, but the run has {last}"));
    }
}

/// The loss and the gradient are still those of good weights: only the weights tell.
#[test]
fn a_member_ends_with_the_update_that_breaks_it() {
    let folder = tempfile::tempdir().unwrap();
    let corpus = corpus(folder.path());
    let mut spec = spec(&corpus.facts(), &["optim.schedule.warmup_share=0"]);
    let crate::spec::OptimSpec::Adamw { lr, .. } = &mut spec.optim;
    *lr = 1e39;
    let pool = Pool::new(1);
    let model = Model::new(&spec.model, 128, Kernels::new(Isa::detect(), Precision::F32));
    let feed = Feed::new(&spec, |_| Ok(&corpus)).unwrap();
    let mut cohort = Cohort::new(model, vec![(spec, feed)], &pool);
    let result = cohort.step().unwrap()[0].unwrap();
    assert!(result.loss_nats.is_finite() && result.gradient_norm.is_finite());
    assert_eq!((cohort.diverged(0), cohort.steps(0).0), (Some(0), 0));
}

#[test]
fn a_mixture_keeps_the_budget_and_lengthens_the_run() {
    let folder = tempfile::tempdir().unwrap();
    let corpus = corpus(folder.path());
    let plain = spec(&corpus.facts(), &["data.epochs=2"]);
    let mut mixed = plain.clone();
    mixed.data.mixture = vec![crate::spec::Component { corpus: mixed.data.corpus, share: 0.75 }];
    let feed = Feed::new(&mixed, |_| Ok(&corpus)).unwrap();
    assert_eq!(feed.steps(), 4 * Feed::new(&plain, |_| Ok(&corpus)).unwrap().steps());
}

/// A corpus of two tokens after a separator in each training document.
fn plain_corpus(tokens: [u32; 2], documents: usize) -> (tempfile::TempDir, Corpus) {
    let document: &[u32] = &[0, tokens[0], tokens[1]];
    let (above, directory) = crate::data::testing::corpus(&vec![document; documents], 16);
    (above, Corpus::open(directory).unwrap())
}

#[test]
fn every_row_comes_from_the_corpus_that_its_share_says() {
    let (_one, own) = plain_corpus([1, 2], 64);
    let (_two, further) = plain_corpus([3, 4], 40);
    let mut spec = spec(
        &own.facts(),
        &["data.sequence_tokens=12", "data.epochs=5", "optim.batch_sequences=4"],
    );
    spec.data.mixture = vec![crate::spec::Component { corpus: further.id(), share: 0.375 }];
    let find = |id| Ok(if id == own.id() { &own } else { &further });
    let feed = Feed::new(&spec, find).unwrap();
    let mut rows = [0_u64; 2];
    let (mut tokens, mut starts) = ([0; 12], [0; 12]);
    for step in 0..feed.steps() {
        for row in 0..4 {
            feed.sequence(step, row, &mut tokens, &mut starts).unwrap();
            let from_further = tokens.iter().any(|&token| token > 2);
            rows[usize::from(from_further)] += 1;
        }
    }
    // 16 sequences of the budget, five times: those are five eighths of the run.
    assert_eq!((feed.steps(), rows), (32, [80, 48]));
    let read = feed.trained_on(feed.steps());
    assert_eq!([read[0].tokens, read[1].tokens], rows.map(|rows| 12 * rows));
    assert_eq!([read[0].corpus, read[1].corpus], [own.id(), further.id()]);
    assert!((read[1].epochs - rows[1] as f64 / 10.0).abs() < 1e-12, "the further corpus restarts");
}

#[test]
fn corpora_of_other_tokens_are_not_mixed() {
    let folder = tempfile::tempdir().unwrap();
    let own = corpus(folder.path());
    let (_two, further) = plain_corpus([3, 4], 40);
    let mut spec = spec(&own.facts(), &[]);
    spec.data.mixture = vec![crate::spec::Component { corpus: further.id(), share: 0.5 }];
    let error = Feed::new(&spec, |id| Ok(if id == own.id() { &own } else { &further }));
    let error = error.map(drop).unwrap_err();
    assert!(error.to_string().contains("vocabularies of 256 and 16 tokens"), "{error}");
    let (_three, short) = plain_corpus([1, 2], 1);
    let mut spec = self::spec(&further.facts(), &["data.sequence_tokens=12"]);
    spec.data.mixture = vec![crate::spec::Component { corpus: short.id(), share: 0.5 }];
    let error = Feed::new(&spec, |id| Ok(if id == short.id() { &short } else { &further }));
    let error = error.map(drop).unwrap_err();
    assert!(error.to_string().contains("3 training tokens, fewer than a sequence"), "{error}");
}

#[test]
fn the_plan_knows_the_memory_of_a_run() {
    let folder = tempfile::tempdir().unwrap();
    let corpus = corpus(folder.path());
    let spec = spec(&corpus.facts(), &[]);
    let kernels = Kernels::new(Isa::detect(), Precision::F32);
    let (one, many) = (Plan::new(&spec, 10, kernels, 1), Plan::new(&spec, 10, kernels, 64));
    assert_eq!((one.lanes, many.lanes), (4, 4));
    assert_eq!(many.activation_bytes, 4 * one.activation_bytes);
    assert_eq!(one.gradient_bytes, 4 * 4 * one.parameters);
    assert_eq!(one.tokens, 10 * 5 * 128);
}
