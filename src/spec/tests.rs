//! The promises of specs: identity, origins, rejection of what makes no sense.

use super::*;
use crate::golden;

fn facts() -> CorpusFacts {
    CorpusFacts { id: CorpusId::of(b"corpus"), vocabulary: 256, train_tokens: 25_700 }
}

fn with(sets: &[&str]) -> crate::Result<Resolved> {
    let sets: Vec<String> = sets.iter().map(|&set| set.to_owned()).collect();
    resolve(&Request { file: None, sets: &sets }, &facts())
}

fn from_file(text: &str) -> crate::Result<Resolved> {
    resolve(&Request { file: Some(("a.toml", text)), sets: &[] }, &facts())
}

fn id(sets: &[&str]) -> JobId {
    Job::Train(with(sets).unwrap().spec).id()
}

/// Canonical text and id of the default spec, frozen: they may never change for format 1.
#[test]
fn the_canonical_text_of_format_1_is_golden() {
    let job = Job::Train(with(&["model.preset=pocket-150k"]).unwrap().spec);
    golden::check("train-spec-1.txt", &format!("{}id {}\n", job.canonical(), job.id()));
}

/// The canonical text of an evaluation, frozen as well: a split is a word, as it was before there
/// were side sets, and a side set has two lines.
#[test]
fn an_evaluation_names_what_it_reads_and_its_content() {
    let job = |split: Part| {
        Job::Evaluate(EvaluateSpec {
            members: vec![JobId::of(b"member")],
            corpus: CorpusId::of(b"corpus"),
            split,
            sequence_tokens: 64,
            mask: Mask::AcrossDocuments {},
            precision: Precision::F32,
        })
    };
    let text = |split: &str| {
        format!(
            "scarce evaluate 1\ncorpus = \"{}\"\nmask.kind = \"across-documents\"\n\
             members.0 = \"{}\"\nprecision = \"f32\"\nsequence_tokens = 64\n{split}\n",
            CorpusId::of(b"corpus"),
            JobId::of(b"member")
        )
    };
    assert_eq!(job(Split::Test.into()).canonical(), text("split = \"test\""));
    let side = |name: &str, content: &[u8]| {
        Part::Side(SideSet { name: name.parse().unwrap(), id: SideId::of(content) })
    };
    let lines = format!("split.id = \"{}\"\nsplit.name = \"wiki\"", SideId::of(b"a"));
    assert_eq!(job(side("wiki", b"a")).canonical(), text(&lines));
    assert_ne!(job(side("wiki", b"a")).id(), job(side("wiki", b"b")).id());
    assert_ne!(job(side("wiki", b"a")).id(), job(side("news", b"a")).id());
}

/// The canonical text and the id of an ensemble, frozen.
#[test]
fn the_canonical_text_of_an_ensemble_is_golden() {
    let job = Job::Ensemble(EnsembleSpec {
        members: vec![JobId::of(b"first"), JobId::of(b"second")],
        corpus: CorpusId::of(b"corpus"),
        split: Split::Val,
        sequence_tokens: 64,
        mask: Mask::WithinDocuments {},
        precision: Precision::Bf16,
        subsets_max: EnsembleSpec::SUBSETS_MAX,
    });
    assert_eq!((job.kind(), job.needs().len()), (JobKind::Ensemble, 2));
    golden::check("ensemble-spec-1.txt", &format!("{}id {}\n", job.canonical(), job.id()));
}

#[test]
fn the_same_spec_has_the_same_id_however_it_was_written() {
    let file = "[optim]\nweight_decay = 1.6\n[data]\nepochs = 16\n";
    let by_file = Job::Train(from_file(file).unwrap().spec).id();
    assert_eq!(by_file, id(&["data.epochs=16.0", "optim.weight_decay = 1.60"]));
    assert_ne!(by_file, id(&["data.epochs=16"]));
}

#[test]
fn every_field_reaches_the_identity() {
    let base = id(&[]);
    let changes = [
        "data.budget_tokens=256",
        "data.epochs=2",
        "data.mask.kind=within-documents",
        "data.order=documents",
        "data.sequence_tokens=64",
        "evaluation.points=3",
        "evaluation.sample_tokens=0",
        "model.dropout=0.1",
        "model.feed_forward.width=64",
        "model.heads=4",
        "model.init.scale=0.5",
        "model.layers=2",
        "model.norm_epsilon=1e-6",
        "model.rope.theta=500",
        "model.tied=true",
        "model.vocabulary=300",
        "model.width=128",
        "optim.batch_sequences=4",
        "optim.beta1=0.8",
        "optim.beta2=0.9",
        "optim.clip_norm=2",
        "optim.decay_norms=true",
        "optim.epsilon=1e-7",
        "optim.lr=1e-2",
        "optim.schedule.decay=linear",
        "optim.schedule.min_lr_ratio=0.1",
        "optim.schedule.warmup_share=0.02",
        "optim.weight_decay=0.125",
        "precision=bf16",
        "seeds.init=1",
        "seeds.order=1",
    ];
    let mut ids: Vec<JobId> = changes.iter().map(|change| id(&[change])).collect();
    ids.push(id(&["model.init.kind=fan-in", "model.init.shared_head=true"]));
    ids.push(base);
    let count = ids.len();
    ids.sort();
    ids.dedup();
    assert_eq!(ids.len(), count);
}

#[test]
fn each_value_knows_where_it_came_from() {
    let file = "[model]\npreset = \"pocket-330k\"\n[data]\nepochs = 4\n[optim]\nlr = 0.01\n";
    let sets = ["optim.lr=0.02".to_owned()];
    let request = Request { file: Some(("a.toml", file)), sets: &sets };
    let resolved = resolve(&request, &facts()).unwrap();
    let origin = |key: &str| resolved.origins[key];
    assert_eq!(origin("optim.lr"), Origin::Flag);
    assert_eq!(origin("data.epochs"), Origin::File);
    assert_eq!(origin("model.width"), Origin::Preset);
    assert_eq!(origin("data.corpus"), Origin::Corpus);
    assert_eq!(origin("optim.beta1"), Origin::Default);
    assert_eq!(resolved.spec.model.width, 96);
    assert_eq!(resolved.spec.data.budget_tokens, 25_700 / 128 * 128);
}

#[test]
fn every_field_of_a_resolved_spec_is_in_the_table() {
    let sets = ["model.preset=l3b", "start.kind=from", &format!("start.record={}", JobId::of(b""))];
    for sets in [&sets[..], &[]] {
        let resolved = with(sets).unwrap();
        for key in resolved.origins.keys() {
            assert!(field::find(key).is_some(), "`{key}` is not in the table");
        }
    }
}

#[test]
fn bad_requests_name_the_key_and_help() {
    let check = |sets: &[&str], expected: &str| {
        let text = with(sets).unwrap_err().to_string();
        assert!(text.contains(expected), "{text:?} lacks {expected:?}");
    };
    check(
        &["optim.wieght_decay=1"],
        "unknown key `optim.wieght_decay`\nhint: did you mean `optim.weight_decay`?",
    );
    check(&["optim.lr"], "`key=value` was expected");
    check(&["optim.lr=fast"], "`optim.lr`: a finite number was expected, not `fast`");
    check(&["optim.lr=nan"], "not a finite number");
    check(&["data.epochs=-1"], "`data.epochs` must be positive");
    check(&["data.order=random"], "one of sequences, documents was expected");
    check(&["model.heads=3"], "`model.heads` = 3 does not divide `model.width` = 64");
    check(&["model.heads=64"], "must be even");
    check(&["model.preset=pocket"], "there is no model preset");
    check(&["model.vocabulary=10"], "smaller than the corpus' vocabulary");
    check(&["data.budget_tokens=100"], "hint: try 128");
    check(&["data.budget_tokens=128000"], "the largest budget is 25600");
    check(&["data.sequence_tokens=30000"], "longer than the corpus' 25700 training tokens");
    check(&["start.kind=from"], "missing field `record`");
    let error = from_file("[optim]\nlr = = 1").unwrap_err().to_string();
    assert!(error.contains("a.toml") && error.contains("line 2"), "{error}");
    assert_eq!(from_file("[optim]\nlr = inf").unwrap_err().exit_code(), 2);
}

/// The reference's `total / 20` is 0 for runs of fewer steps (trap B13).
#[test]
fn an_interval_is_never_zero() {
    let spec = with(&["evaluation.points=20"]).unwrap().spec;
    let intervals = [1, 2, 3, 19, 20, 41].map(|steps| spec.evaluation_interval(steps));
    assert_eq!(intervals, [1, 1, 1, 1, 1, 2]);
    assert!(with(&["evaluation.points=0"]).is_err());
    assert!(with(&["data.epochs=0.5"]).is_ok(), "epochs are reals");
}
