//! Ensembles from trained members to the table.

use std::path::Path;

use scarce::lab::{Corpora, Report, WorkOptions, ledger, work};
use scarce::spec::{EnsembleSpec, EvaluateSpec, Job, JobId, Request, Split, TrainSpec, resolve};
use scarce::store::{Average, Column, Record, Store};
use serde_json::Value;

use crate::program::{answer, copy_folder, failure, pocket_corpus, slow};
use crate::report::check_in_browser;

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
    copy_folder(pocket_corpus(), &corpus);
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
    assert_eq!(store.test_reads(&mut |warning| panic!("{warning}")).unwrap().len(), 1);
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
        assert_eq!(record.loss(loss.name, Split::Test), Some(loss));
    }
    let nats = |name: &str| record.loss(name.parse().unwrap(), Split::Test).unwrap().nats;
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
    assert_eq!(record.losses.last().unwrap().name, Column::Subsets(Average::Probabilities, 3));
    assert!(record.losses.iter().all(|loss| loss.above_floor.is_some()));
    assert!((measured("subsets_2_count") - 3.0).abs() < 1e-12);
    let without = (0..3).map(|i| measured(&format!("without_{i}_logits_2_nats"))).sum::<f64>();
    assert!((without / 3.0 - nats("subsets-logits-2")).abs() < 1e-6);
    assert!(measured("subsets_logits_2_sd_nats") > 0.0);
    assert!(measured("pair_0_2_divergence_nats") > 0.0);
    assert!(measured("pairs_disagreement_share") > 0.0);
    // Older records say the same by names alone.
    let facts = record.ensemble.clone().unwrap();
    let older = Record { ensemble: None, ..record.clone() };
    assert_eq!(older.ensemble_facts(), Some(facts.clone()));
    assert!(record.measured.ends_with(&facts.measured()));
    let ledger = ledger(&store, record.id, Split::Test).unwrap();
    assert!((ledger.estimate(Column::Soup(2)).unwrap().mean - nats("soup-2")).abs() < 1e-12);

    // Another shape has no soup with these, and says so.
    let wider = Job::Train(spec(&corpora, &["model.width=64"]));
    members[2] = obtain(&wider, &store, &corpora).0.id;
    let (record, said) = obtain(&ensemble(members, &base, Split::Val), &store, &corpora);
    assert!(said[0].contains("their weights have no average"), "{said:?}");
    assert!(record.losses.iter().all(|loss| !matches!(loss.name, Column::Soup(_))));
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

/// `scarce ensemble` on the pocket corpus with tiny members and these further words.
fn command(store: &Path, more: &str) -> Vec<String> {
    let tiny = "--set model.preset=pocket-150k --set model.layers=1 --set model.width=32 \
                --set data.budget_tokens=2560 --set optim.batch_sequences=4 --set optim.lr=0.01";
    let (corpus, store) = (pocket_corpus().display(), store.display());
    let line = format!("ensemble --corpus {corpus} --store {store} --workers 2 {tiny} {more}");
    line.split_whitespace().map(str::to_owned).collect()
}

fn records(store: &Path) -> Vec<String> {
    let Ok(entries) = std::fs::read_dir(store.join("records")) else { return Vec::new() };
    entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect()
}

#[test]
fn a_study_of_families_shows_curves_and_remembers_its_members() {
    let folder = tempfile::tempdir().unwrap();
    let store = folder.path().join("store");
    let all = "--members 3 --vary all --json";
    let plan: Value = json(&command(&store, &format!("{all} --dry-run")));
    assert_eq!(
        (&plan["runs"], &plan["known"], &plan["ensembles"]),
        (&7.into(), &0.into(), &3.into())
    );
    assert_eq!(plan["tokens"], 7 * 8 * 2560, "eight epochs are the default");
    assert!(plan["ensemble_memory_bytes"].as_u64().unwrap() > 1 << 20);
    assert!(!store.exists(), "a dry run leaves nothing");

    let both = json(&command(&store, "--members 3 --json"));
    assert_eq!(records(&store).len(), 4);
    let plan = json(&command(&store, &format!("{all} --dry-run")));
    assert_eq!((&plan["known"], &plan["ensembles_known"]), (&3.into(), &1.into()));
    let found = json(&command(&store, all));
    assert_eq!(records(&store).len(), 10, "seven members and three ensembles");
    assert_eq!(found["families"][2]["curves"], both["families"][0]["curves"]);
    assert_eq!(found["comparisons"].as_array().unwrap().len(), 6);
    let nats = |point: usize| {
        let loss = &found["families"][2]["curves"][0]["points"][point]["loss"];
        loss["nats"].as_f64().unwrap()
    };
    assert!(nats(2) < nats(1) && nats(1) < nats(0));
    assert!(found["families"][0]["curves"][1]["law"]["refused"].is_string());
    assert_eq!(found["test_reads"], 0);
    // Asked again, as text: nothing runs, and everything that a table must have is there.
    let text = answer(command(&store, "--members 3 --vary all"));
    for part in ["average of", "law in K of", "E[log Z] of all", "weights averaged", "minus"] {
        assert!(text.contains(part), "{text} lacks {part}");
    }
    // A member that was forgotten comes back, and nothing else has to.
    let member = found["families"][0]["members"][1].as_str().unwrap();
    std::fs::remove_dir_all(store.join("records").join(member)).unwrap();
    let again = json(&command(&store, all));
    assert_eq!(again["families"], found["families"]);
    if slow() {
        the_same_as_a_study_file(&store, &found["families"]);
    }
    let test = json(&command(&store, "--members 2 --split test --json"));
    assert_eq!((&test["test_reads"], &test["split"]), (&1.into(), &"test".into()));
}

/// The request as a study file: it trains nothing more, and has a page.
fn the_same_as_a_study_file(store: &Path, families: &Value) {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("members.toml");
    let text = "study = 'ensemble'\n[base]\n\
                model = { preset = 'pocket-150k', layers = 1, width = 32 }\n\
                data.budget_tokens = 2560\noptim = { batch_sequences = 4, lr = 0.01 }\n\
                [plan]\nmembers = 3\nvary = 'all'\n";
    std::fs::write(&file, text).unwrap();
    let before = records(store).len();
    let (file, corpus) = (file.to_str().unwrap(), pocket_corpus().to_str().unwrap());
    let places = ["--corpus", corpus, "--store", store.to_str().unwrap()];
    let found = answer([&["ensemble", file, "--json"][..], &places].concat());
    let found: Value = serde_json::from_str(&found).unwrap();
    assert_eq!((&found["families"], records(store).len()), (families, before));
    let out = folder.path().join("page");
    answer([&["report", file, "--out", out.to_str().unwrap()][..], &places].concat());
    check_in_browser(&out.join("report.html"));
    let (code, message) = failure([&["tune", file][..], &places].concat());
    assert_eq!(code, 2);
    assert!(message.contains("is a study of kind `ensemble`, not `tune`"), "{message}");
}

#[test]
fn bad_ensembles_are_refused() {
    let folder = tempfile::tempdir().unwrap();
    let store = folder.path().join("store");
    let check = |more: &str, code: i32, expected: &[&str]| {
        let (found, errors) = failure(command(&store, more));
        for part in expected {
            assert!(errors.contains(part), "`{more}` says {errors:?}, not {part:?}");
        }
        assert_eq!(found, code, "`{more}`: {errors}");
    };
    check("--members 0", 2, &["`members` = 0: an ensemble has 2 to 64", "hint: one model alone"]);
    check("--members 1", 2, &["`members` = 1: an ensemble has 2 to 64"]);
    check("--members 65", 2, &["`members` = 65", "hint: the law in K"]);
    check("--vary seeds", 2, &["'seeds'", "[possible values: init, order, both, all]"]);
    check("--split train", 2, &["[possible values: val, test]"]);
    check("--single-asymptote=-1", 2, &["`single_asymptote_nats` = -1 is no loss"]);
    check("--set model.width=33", 2, &["model.width"]);
    let other = format!("--set data.corpus={}", "0".repeat(64));
    check(&other, 2, &["the spec was written for corpus 000000000000"]);
    assert!(!store.exists(), "a refused study leaves nothing");

    let diverging = "--members 2 --set optim.lr=1e30 --set optim.clip_norm=1e30";
    check(diverging, 3, &["2 of 2 members diverged: ", "(seeds.init 1, seeds.order 43) at step"]);
    let mut train = command(&store, "--weights drop --set seeds.init=1 --set seeds.order=43");
    train[0] = "train".to_owned();
    train.retain(|word| word != "--workers" && word != "2");
    let trained = answer(train);
    let dropped = &trained["record ".len()..][..12];
    let expected = format!("1 of 3 members cannot be evaluated: {dropped} has no weights");
    check("--members 3", 3, &[&expected, "hint: leave them out, or train them"]);
    assert_eq!(records(&store).len(), 5, "two that diverged, three members, no ensemble");
}

/// What a command prints as JSON.
fn json(command: &[String]) -> Value {
    serde_json::from_str(&answer(command)).unwrap()
}
