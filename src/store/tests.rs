//! The store's promises: atomic, checked, shared, versioned.

use std::fs;

use super::*;
use crate::spec::{
    CorpusId, EnsembleSpec, EvaluateSpec, JobKind, Mask, NgramSpec, Part, Precision, SideId, Split,
};

fn job(seed: u64) -> Job {
    Job::Ngram(NgramSpec {
        corpus: CorpusId::of(b"c"),
        budget_tokens: 128 * (seed + 1),
        sequence_tokens: 128,
        context_tokens_max: 3,
        split: Split::Val,
    })
}

fn record(id: JobId) -> Record {
    Record {
        id,
        kind: JobKind::Ngram,
        outcome: Outcome::Finished,
        ensemble: None,
        trained_on: Vec::new(),
        tokenizer: None,
        allowed: crate::spec::Allowed::NONE,
        side_losses: Vec::new(),
        side_means: Vec::new(),
        losses: vec![Loss {
            name: Column::Ngram,
            split: Split::Val,
            nats: 2.5,
            standard_error_nats: Some(0.01),
            clusters: 10,
            tokens: 1000,
            bits_per_byte: None,
            above_floor: None,
        }],
        measured: vec![Measured { name: "discount".to_owned(), value: 0.75 }],
        cost: Cost { tokens: 7, ..Cost::default() },
        machine: Machine::here(1, "portable"),
        numerics: numerics(),
        version: "0".to_owned(),
        finished_unix_seconds: unix_seconds(),
    }
}

fn numerics() -> Numerics {
    Numerics {
        backend: "cpu".to_owned(),
        arithmetic: "f32".to_owned(),
        determinism: "exact".to_owned(),
        version: 1,
    }
}

fn store() -> (tempfile::TempDir, Store) {
    let folder = tempfile::tempdir().unwrap();
    let store = Store::open(&folder.path().join("store")).unwrap();
    (folder, store)
}

fn publish(store: &Store, job: &Job) -> Published {
    let mut draft = store.draft(job.id()).unwrap();
    draft.add("metrics.jsonl", b"{}\n").unwrap();
    draft.publish(job, &record(job.id())).unwrap()
}

#[test]
fn a_record_comes_back_as_it_was_and_the_second_publisher_loses() {
    let (_folder, store) = store();
    let job = job(0);
    assert_eq!(store.record(job.id()).unwrap(), None);
    assert_eq!(publish(&store, &job), Published::Here);
    assert_eq!(publish(&store, &job), Published::Elsewhere);
    let read = store.record(job.id()).unwrap().unwrap();
    assert_eq!(read.losses, record(job.id()).losses);
    assert_eq!(store.job(job.id()).unwrap(), job);
    assert_eq!(store.verify(job.id()).unwrap().len(), 3);
    assert_eq!(fs::read_dir(store.root().join("work")).unwrap().count(), 0);
}

#[test]
fn jobs_survive_toml() {
    let (_folder, store) = store();
    let spec = EvaluateSpec {
        members: vec![JobId::of(b"1"), JobId::of(b"2")],
        corpus: CorpusId::of(b"c"),
        split: Split::Test.into(),
        sequence_tokens: 64,
        mask: Mask::AcrossDocuments {},
        precision: Precision::F32,
    };
    let facts = crate::spec::CorpusFacts { id: spec.corpus, vocabulary: 9, train_tokens: 999 };
    let train = crate::spec::resolve(&crate::spec::Request::default(), &facts).unwrap().spec;
    let side = crate::spec::SideSet { name: "wiki".parse().unwrap(), id: SideId::of(b"w") };
    let aside = EvaluateSpec { split: Part::Side(side), ..spec.clone() };
    let ensemble = Job::Ensemble(EnsembleSpec {
        members: spec.members.clone(),
        corpus: spec.corpus,
        split: Split::Val,
        sequence_tokens: 64,
        mask: spec.mask,
        precision: spec.precision,
        subsets_max: EnsembleSpec::SUBSETS_MAX,
    });
    for job in [Job::Evaluate(spec), Job::Evaluate(aside), Job::Train(train), ensemble] {
        publish(&store, &job);
        assert_eq!(store.job(job.id()).unwrap(), job);
    }
}

#[test]
fn a_changed_file_is_noticed() {
    let (_folder, store) = store();
    let job = job(0);
    publish(&store, &job);
    let path = store.record_path(job.id()).join("metrics.jsonl");
    fs::write(&path, b"{ \n").unwrap();
    let error = store.verify(job.id()).unwrap_err();
    assert!(error.to_string().contains("metrics.jsonl` is damaged"), "{error}");
    assert_eq!(error.exit_code(), 3);
}

#[test]
fn ids_are_found_by_their_shortest_unique_prefix() {
    let (_folder, store) = store();
    let jobs: Vec<Job> = (0..40).map(job).collect();
    jobs.iter().for_each(|job| assert_eq!(publish(&store, job), Published::Here));
    let id = jobs[3].id();
    assert_eq!(store.find(&id.short()).unwrap(), id);
    assert!(store.find("").unwrap_err().to_string().contains("40 records start with ``"));
    assert!(store.find("zz").unwrap_err().to_string().contains("no record's id starts"));
    assert_eq!(store.ids().unwrap().len(), 40);
}

#[test]
fn a_newer_or_foreign_directory_is_refused() {
    let (_folder, store) = store();
    let check = |content: &str, expected: &str| {
        fs::write(store.root().join("format"), content).unwrap();
        let text = Store::open(store.root()).unwrap_err().to_string();
        assert!(text.contains(expected), "{text}");
    };
    check("scarce-store 99\n", "has format 99, this program reads up to 1\nhint: it was written");
    check("something\n", "is not a scarce store");
}

#[test]
fn one_process_holds_a_job_at_a_time() {
    let (_folder, store) = store();
    let id = job(0).id();
    let Claim::Held(held) = store.claim(id).unwrap() else { panic!("nobody else is here") };
    assert!(matches!(store.claim(id).unwrap(), Claim::Taken { .. }));
    held.check().unwrap();
    drop(held);
    assert!(matches!(store.claim(id).unwrap(), Claim::Held(_)));
}

#[test]
fn a_living_lease_of_another_host_is_respected_and_a_dead_one_is_taken() {
    let (_folder, store) = store();
    let id = job(0).id();
    fs::create_dir_all(store.work_path(id)).unwrap();
    let lease = |age: u64| {
        let renewed = unix_seconds() - age;
        format!(r#"{{"host": "elsewhere", "process": 7, "renewed_unix_seconds": {renewed}}}"#)
    };
    fs::write(store.work_path(id).join("claim.json"), lease(5)).unwrap();
    match store.claim(id).unwrap() {
        Claim::Taken { by } => assert_eq!(by, "process 7 on elsewhere"),
        Claim::Held(_) => panic!("the lease lives"),
    }
    fs::write(store.work_path(id).join("claim.json"), lease(500)).unwrap();
    assert!(matches!(store.claim(id).unwrap(), Claim::Held(_)));
    // A clock that was wrong once does not block a job for ever.
    let future = lease(0).replace(&unix_seconds().to_string(), "99999999999");
    fs::write(store.work_path(id).join("claim.json"), future).unwrap();
    assert!(matches!(store.claim(id).unwrap(), Claim::Held(_)));
}

#[test]
fn a_container_of_the_same_name_is_another_host() {
    let (_folder, store) = store();
    let id = job(0).id();
    let path = store.work_path(id).join("claim.json");
    let Claim::Held(held) = store.claim(id).unwrap() else { panic!("nobody else is here") };
    let ours = fs::read_to_string(&path).unwrap();
    let mut theirs: serde_json::Value = serde_json::from_str(&ours).unwrap();
    theirs["token"] = "another".into();
    fs::write(&path, theirs.to_string()).unwrap();
    drop(held);
    assert!(path.is_file(), "a claim removes its own lease only");
    // Killed here, on this very system: the lock has told that it is dead.
    assert!(matches!(store.claim(id).unwrap(), Claim::Held(_)));
    if theirs.get("boot").is_none() {
        eprintln!("SKIPPED: this system does not tell its boots apart");
        return;
    }
    theirs["boot"] = "another".into();
    fs::write(&path, theirs.to_string()).unwrap();
    assert!(matches!(store.claim(id).unwrap(), Claim::Taken { .. }));
}

fn header(step: u64) -> CheckpointHeader {
    CheckpointHeader {
        job: job(0).id(),
        numerics: numerics(),
        step,
        metrics_bytes: 3,
        metrics_blake3: None,
        wall_seconds: 1.5,
        cpu_seconds: 2.5,
        sections: vec![("weights".to_owned(), 3), ("mean".to_owned(), 0)],
    }
}

#[test]
fn the_newest_whole_checkpoint_is_used() {
    let folder = tempfile::tempdir().unwrap();
    fs::write(folder.path().join("metrics.jsonl"), "{}\n").unwrap();
    let checkpoints = Checkpoints::new(folder.path());
    let save = |step: u64| checkpoints.save(&header(step), &[&[1.0, step as f32, f32::NAN], &[]]);
    (1..=3).for_each(|step| save(step).unwrap());
    let mut warnings = Vec::new();
    let latest = checkpoints.latest(None, &mut |warning| warnings.push(warning)).unwrap().unwrap();
    assert_eq!((latest.header, latest.sections[0][1]), (header(3), 3.0));
    assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 3);

    // Any flipped bit and any cut is noticed, and the checkpoint before is used.
    let path = folder.path().join("step-000000000003.checkpoint");
    let whole = fs::read(&path).unwrap();
    for position in 0..whole.len() {
        let mut flipped = whole.clone();
        flipped[position] ^= 1 << (position % 8);
        fs::write(&path, &flipped).unwrap();
        let latest = checkpoints.latest(None, &mut |_| ()).unwrap().unwrap();
        assert_eq!(latest.header.step, 2, "flip at {position}");
        fs::write(&path, &whole[..position]).unwrap();
        assert_eq!(checkpoints.latest(None, &mut |_| ()).unwrap().unwrap().header.step, 2);
    }
    assert!(warnings.is_empty());
}

#[test]
fn metrics_are_cut_to_the_checkpoint() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("metrics.jsonl");
    let mut log = MetricsLog::open(&path, &MetricsMark::default()).unwrap();
    log.append(&1).unwrap();
    let mark = log.sync().unwrap();
    log.append(&2).unwrap();
    drop(log);
    let mut log = MetricsLog::open(&path, &mark).unwrap();
    log.append(&3).unwrap();
    assert_eq!(log.contents().unwrap(), b"1\n3\n");
    // A byte of somebody else's is noticed by the run and by the next one.
    for other in ["1\n4\n", "2\n3\n", "1\n3\n\n", "1"] {
        fs::write(&path, other).unwrap();
        let error = log.contents().unwrap_err().to_string();
        assert!(error.contains("was changed while it was in use"), "{error}");
    }
    for (other, why) in [("1", "has 1 bytes instead of 2"), ("7\n1\n", "was changed")] {
        fs::write(&path, other).unwrap();
        let error = MetricsLog::open(&path, &mark).unwrap_err().to_string();
        assert!(error.contains(why), "{error}");
        assert_eq!(fs::read_to_string(&path).unwrap(), other, "it is not touched");
    }
}

#[test]
fn test_reads_are_remembered() {
    let (_folder, store) = store();
    let read = TestRead { corpus: CorpusId::of(b"c"), job: job(0).id(), unix_seconds: 5 };
    store.log_test_read(&read).unwrap();
    store.log_test_read(&read).unwrap();
    let none = &mut |warning| panic!("{warning}");
    assert_eq!(store.test_reads(none).unwrap(), vec![read.clone(), read.clone()]);
    // Half a line, as a full disk leaves it, and a whole one behind it, as earlier versions wrote.
    let path = store.root().join("test-reads.jsonl");
    let whole = fs::read_to_string(&path).unwrap();
    let line = whole.lines().next().unwrap();
    fs::write(&path, format!("{line}\n{}{line}\n{}", &line[..9], &line[..30])).unwrap();
    store.log_test_read(&read).unwrap();
    let mut warnings = Vec::new();
    let reads = store.test_reads(&mut |warning| warnings.push(warning)).unwrap();
    assert_eq!(reads, vec![read; 3]);
    assert!(warnings[0].ends_with("2 lines are torn: a read may be missing"), "{warnings:?}");
}

#[test]
fn a_record_that_its_reader_would_refuse_is_not_published() {
    let (_folder, store) = store();
    let job = job(0);
    let mut bad = record(job.id());
    bad.losses[0].nats = f64::NAN;
    let error = store.draft(job.id()).unwrap().publish(&job, &bad).unwrap_err().to_string();
    assert!(error.contains("is not published, because it could not be read"), "{error}");
    assert!(!store.has(job.id()) && store.ids().unwrap().is_empty());
    assert_eq!(fs::read_dir(store.root().join("work")).unwrap().count(), 0);
}

/// Its hashes and its id are right: whoever wrote it wrote no job.
#[test]
fn a_stored_spec_that_nobody_could_run_is_refused() {
    let (_folder, store) = store();
    let Job::Ngram(spec) = job(0) else { panic!("it counts") };
    let wrong = Job::Ngram(NgramSpec { sequence_tokens: 0, ..spec });
    let draft = store.draft(wrong.id()).unwrap();
    let said = match draft.publish(&wrong, &record(wrong.id())) {
        Err(error) => error.to_string(),
        Ok(_) => store.job(wrong.id()).unwrap_err().to_string(),
    };
    assert!(said.contains("`sequence_tokens` must be at least 2"), "{said}");
}

#[test]
fn one_bad_record_does_not_hide_the_others() {
    let (_folder, store) = store();
    let jobs: Vec<Job> = (0..4).map(job).collect();
    jobs.iter().for_each(|job| assert_eq!(publish(&store, job), Published::Here));
    let damage = |job: &Job, file: &str, content: &str| {
        fs::write(store.record_path(job.id()).join(file), content).unwrap();
    };
    damage(&jobs[1], "record.json", "{}");
    damage(&jobs[2], "manifest.json", "");
    let mut warnings = Vec::new();
    let read = store.records(&mut |warning| warnings.push(warning)).unwrap();
    assert_eq!((read.len(), warnings.len()), (2, 2), "{warnings:?}");
    for warning in warnings {
        assert!(warning.contains("cannot be read and is left out"), "{warning}");
        assert!(warning.contains("hint: remove the record's directory"), "{warning}");
    }
}

#[test]
fn what_lies_in_the_place_of_a_record_is_moved_aside() {
    let (_folder, store) = store();
    let job = job(0);
    for (number, content) in (1..).zip(["one", "two"]) {
        let folder = store.record_path(job.id());
        fs::create_dir_all(&folder).unwrap();
        fs::write(folder.join("weights.safetensors"), content).unwrap();
        let of = store.root().join("aside").join(format!("{}-{number}", job.id()));
        assert_eq!(publish(&store, &job), Published::Instead { of: of.clone() });
        assert_eq!(fs::read_to_string(of.join("weights.safetensors")).unwrap(), content);
        assert_eq!(store.verify(job.id()).unwrap().len(), 3);
        fs::remove_dir_all(folder).unwrap();
    }
}

#[test]
fn abandoned_drafts_are_swept_and_living_ones_are_not() {
    let (_folder, store) = store();
    let (living, dead) = (job(0).id(), job(1).id());
    let Claim::Held(held) = store.claim(living).unwrap() else { panic!("nobody else is here") };
    let draft = store.draft(living).unwrap();
    let work = store.root().join("work");
    for name in [format!("draft-{dead}.99999-0.tmp"), format!("draft-{dead}.1-0.swept")] {
        fs::create_dir(work.join(&name)).unwrap();
        fs::write(work.join(name).join("weights.safetensors"), "1").unwrap();
    }
    fs::write(store.work_path(living).join("claim.json.1-0.tmp"), "").unwrap();
    let count = || fs::read_dir(&work).unwrap().count();
    assert_eq!(count(), 4);
    Store::look(store.root()).unwrap().unwrap();
    assert_eq!(count(), 4, "looking changes nothing");
    Store::open(store.root()).unwrap();
    assert_eq!(count(), 2, "the living claim and its draft are left");
    drop(held);
    std::mem::forget(draft);
    Store::open(store.root()).unwrap();
    assert_eq!(count(), 1);
    let Claim::Held(held) = store.claim(living).unwrap() else { panic!("it is free") };
    let left: Vec<_> = fs::read_dir(held.folder()).unwrap().map(|e| e.unwrap().path()).collect();
    assert_eq!(left.len(), 2, "lock and claim: {left:?}");
    held.clear().unwrap();
    assert_eq!(count(), 0);
}

#[test]
fn only_an_empty_folder_becomes_a_store() {
    let folder = tempfile::tempdir().unwrap();
    let store = folder.path().join("store");
    assert!(Store::look(&store).unwrap().is_none() && !store.exists());
    // What a process leaves that is killed while it makes a store.
    fs::create_dir_all(store.join("records")).unwrap();
    fs::write(store.join("format.1-0.tmp"), "").unwrap();
    fs::create_dir(store.join("lost+found")).unwrap();
    Store::open(&store).unwrap();
    for name in ["thesis.tex", ".hidden", "records/x"] {
        let other = folder.path().join("other");
        let path = other.join(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(&path, "").unwrap();
        let error = Store::open(&other).unwrap_err();
        assert!(error.to_string().contains("is no store, and not empty"), "{error}");
        assert!(error.hint_text().is_some() && error.exit_code() == 2);
        assert_eq!(fs::read_dir(&other).unwrap().count(), 1, "nothing was written");
        fs::remove_dir_all(&other).unwrap();
    }
}
