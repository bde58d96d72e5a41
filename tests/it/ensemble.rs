//! Ensembles from trained members to the table.

use std::path::Path;

use scarce::data::prepare_synthetic;
use scarce::lab::{Corpora, Report, WorkOptions, ledger, work};
use scarce::spec::{EnsembleSpec, EvaluateSpec, Job, JobId, Request, Split, TrainSpec, resolve};
use scarce::store::{Record, Store};

/// A short run of a small model on the built-in language.
fn spec(corpora: &Corpora, sets: &[&str]) -> TrainSpec {
    let tiny = ["model.preset=pocket-150k", "model.layers=1", "model.width=32"];
    let short = ["data.budget_tokens=2560", "optim.batch_sequences=4", "optim.lr=0.01"];
    let sets: Vec<String> = tiny.iter().chain(&short).chain(sets).map(|s| (*s).into()).collect();
    let facts = corpora.first().unwrap().facts();
    resolve(&Request { file: None, sets: &sets }, &facts).unwrap().spec
}

fn obtain(job: &Job, store: &Store, corpora: &Corpora) -> (Record, Vec<String>) {
    let (options, mut said) = (WorkOptions { threads: 2, ..WorkOptions::default() }, Vec::new());
    let mut report = |report| {
        if let Report::Warning { text } = report {
            said.push(text);
        }
    };
    let record = work(job, (store, corpora), &options, &mut report, &|| false).unwrap();
    (record, said)
}

fn places(folder: &Path) -> (Store, Corpora) {
    let corpus = folder.join("corpus");
    prepare_synthetic("pocket", &corpus, false).unwrap();
    let corpora = Corpora::open(&[corpus]).unwrap();
    (Store::open(&folder.join("store")).unwrap(), corpora)
}

fn ensemble(members: Vec<JobId>, spec: &TrainSpec, split: Split) -> Job {
    Job::Ensemble(EnsembleSpec {
        members,
        corpus: spec.data.corpus,
        split,
        sequence_tokens: spec.data.sequence_tokens,
        mask: spec.data.mask,
        precision: spec.precision,
        subsets_max: EnsembleSpec::SUBSETS_MAX,
    })
}

#[test]
fn a_record_of_an_ensemble_agrees_with_evaluations_and_has_a_control() {
    let folder = tempfile::tempdir().unwrap();
    let (store, corpora) = places(folder.path());
    let base = spec(&corpora, &[]);
    let mut members = Vec::new();
    for seed in ["0", "1", "2"] {
        let seeds = [format!("seeds.init={seed}"), format!("seeds.order={seed}")];
        let member = spec(&corpora, &[&seeds[0], &seeds[1]]);
        members.push(obtain(&Job::Train(member), &store, &corpora).0.id);
    }
    let (record, said) = obtain(&ensemble(members.clone(), &base, Split::Test), &store, &corpora);
    assert!(said.is_empty(), "{said:?}");
    assert_eq!(store.test_reads().unwrap().len(), 1);
    let evaluation = Job::Evaluate(EvaluateSpec {
        members: members.clone(),
        corpus: base.data.corpus,
        split: Split::Test.into(),
        sequence_tokens: base.data.sequence_tokens,
        mask: base.data.mask,
        precision: base.precision,
    });
    let (evaluated, _) = obtain(&evaluation, &store, &corpora);
    for loss in &evaluated.losses {
        assert_eq!(record.loss(&loss.name, Split::Test), Some(loss));
    }
    let nats = |name: &str| record.loss(name, Split::Test).unwrap().nats;
    let measured = |name: &str| {
        record.measured.iter().find(|m| m.name == name).unwrap_or_else(|| panic!("{name}")).value
    };
    for measured in &evaluated.measured {
        assert!(record.measured.contains(measured));
    }
    let singles = (nats("member-0") + nats("member-1") + nats("member-2")) / 3.0;
    assert!((nats("subsets-logits-1") - singles).abs() < 1e-6);
    assert!((nats("subsets-logits-3") - nats("logits-3")).abs() < 1e-12);
    assert!(nats("subsets-logits-3") < nats("subsets-logits-2"));
    assert!(nats("subsets-logits-2") < nats("subsets-logits-1"));
    assert!(nats("soup-3") > nats("logits-3"), "independent runs lie in different basins");
    assert_eq!(record.losses.last().unwrap().name, "subsets-probabilities-3");
    assert!(record.losses.iter().all(|loss| loss.above_floor.is_some()));
    assert!((measured("subsets_2_count") - 3.0).abs() < 1e-12);
    let without = (0..3).map(|i| measured(&format!("without_{i}_logits_2_nats"))).sum::<f64>();
    assert!((without / 3.0 - nats("subsets-logits-2")).abs() < 1e-6);
    assert!(measured("subsets_logits_2_sd_nats") > 0.0);
    assert!(measured("pair_0_2_divergence_nats") > 0.0);
    assert!(measured("pairs_disagreement_share") > 0.0);
    let ledger = ledger(&store, record.id, Split::Test).unwrap();
    assert!((ledger.estimate("soup-2").unwrap().mean - nats("soup-2")).abs() < 1e-12);

    // Another shape has no soup with these, and says so.
    let wider = Job::Train(spec(&corpora, &["model.width=64"]));
    members[2] = obtain(&wider, &store, &corpora).0.id;
    let (record, said) = obtain(&ensemble(members, &base, Split::Val), &store, &corpora);
    assert!(said[0].contains("their weights have no average"), "{said:?}");
    assert!(record.losses.iter().all(|loss| !loss.name.starts_with("soup")));
}

#[test]
fn all_members_that_cannot_be_read_are_named() {
    let folder = tempfile::tempdir().unwrap();
    let (store, corpora) = places(folder.path());
    let base = spec(&corpora, &[]);
    let diverged = spec(&corpora, &["optim.lr=1e30", "optim.clip_norm=1e30"]);
    let good = obtain(&Job::Train(base.clone()), &store, &corpora).0.id;
    let diverged = obtain(&Job::Train(diverged), &store, &corpora).0.id;
    let missing = JobId::of(b"nobody");
    let job = ensemble(vec![good, diverged, missing], &base, Split::Val);
    let refused = |job: &Job| {
        let options = WorkOptions::default();
        work(job, (&store, &corpora), &options, &mut |_| (), &|| false).unwrap_err()
    };
    let error = refused(&job);
    let text = error.to_string();
    assert_eq!(error.exit_code(), 3);
    assert!(text.contains("2 of 3 members cannot be evaluated"), "{text}");
    assert!(text.contains(&format!("{} diverged at step", diverged.short())), "{text}");
    assert!(text.contains(&format!("{} is not in the store", missing.short())), "{text}");
    assert!(!text.contains(&good.short()), "{text}");
    let text = refused(&ensemble(Vec::new(), &base, Split::Val)).to_string();
    assert!(text.contains("0 members: an ensemble has 1 to 64"), "{text}");
}
