//! Stored samples of every on-disk format: what version 1 wrote is read for ever.

use std::path::{Path, PathBuf};

use scarce::data::Corpus;
use scarce::lab::ledger;
use scarce::model::{Table, from_safetensors};
use scarce::spec::{Job, Part, Split};
use scarce::store::{Average, Checkpoints, Column, Outcome, Store};

use crate::program::copy_folder;

/// A copy, because opening a store for work may write to it.
fn sample(folder: &Path) -> PathBuf {
    let original = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/formats/store-1");
    let copy = folder.join("store");
    copy_folder(&original, &copy);
    copy
}

#[test]
fn a_record_of_format_1_is_read() {
    let folder = tempfile::tempdir().unwrap();
    let store = Store::open(&sample(folder.path())).unwrap();
    let id = store.find("5e15de75a79a").unwrap();
    assert_eq!(store.verify(id).unwrap().len(), 5);
    let record = store.record(id).unwrap().unwrap();
    assert_eq!(record.outcome, Outcome::Finished);
    let loss = record.loss(Column::Model, Split::Val).unwrap();
    assert_eq!(format!("{:.4}", loss.nats), "3.7203");

    let ledger = ledger(&store, id, Split::Val).unwrap();
    assert!((ledger.estimate(Column::Model).unwrap().mean - loss.nats).abs() < 1e-12);
    let Job::Train(spec) = store.job(id).unwrap() else { panic!("it was trained") };
    let table = Table::new(&spec.model);
    let mut values = vec![0.0; table.parameters()];
    let file = store.read_file(id, "weights.safetensors").unwrap();
    from_safetensors(&table, &file, &mut values).unwrap();
    assert!(values.iter().all(|value| value.is_finite()));
}

/// Format 1 has grown: a run and an evaluation that know side sets.
#[test]
fn records_with_side_sets_are_read() {
    let folder = tempfile::tempdir().unwrap();
    let store = Store::open(&sample(folder.path())).unwrap();
    let id = store.find("2a808e659f22").unwrap();
    store.verify(id).unwrap();
    let record = store.record(id).unwrap().unwrap();
    let [loss] = &record.side_losses[..] else { panic!("{record:?}") };
    assert_eq!((loss.split.name.as_str(), format!("{:.4}", loss.nats)), ("sums", "5.1310".into()));
    assert_eq!((record.side_means[0].sets, record.trained_on[0].tokens), (1, 3584));

    let id = store.find("8c4edda56bbe").unwrap();
    store.verify(id).unwrap();
    let Job::Evaluate(spec) = store.job(id).unwrap() else { panic!("it was evaluated") };
    assert_eq!(spec.split, Part::Side(loss.split.clone()));
    let record = store.record(id).unwrap().unwrap();
    assert!(record.losses.is_empty());
    let logits = record
        .side_losses
        .iter()
        .find(|loss| loss.name == Column::First(Average::Logits, 2))
        .unwrap();
    assert!((logits.nats - loss.nats).abs() < 1e-6, "a model averaged with itself");
}

#[test]
fn a_corpus_with_a_side_set_is_read() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/formats/corpus-1-side");
    let corpus = Corpus::open(&path).unwrap();
    assert_eq!(corpus.id().short(), "d93297164fba");
    let sides: Vec<_> = corpus.sides().collect();
    let [(side, reader)] = &sides[..] else { panic!("{sides:?}") };
    assert_eq!((side.name.as_str(), side.id.short()), ("sums", "428b86aacd85".into()));
    assert_eq!((reader.documents(), reader.tokens(), reader.bytes()), (12, 183, 195));
}

#[test]
fn a_checkpoint_of_format_1_is_read() {
    let folder = tempfile::tempdir().unwrap();
    let work = sample(folder.path())
        .join("work/5534c9258a11fed661ebe4c1e31d6cd8af247903094767d775dfa72e3290330d");
    let checkpoint = Checkpoints::new(&work).latest(Some(4888), &mut |warning| panic!("{warning}"));
    let checkpoint = checkpoint.unwrap().unwrap();
    assert!(checkpoint.header.step > 0);
    let names: Vec<&str> =
        checkpoint.header.sections.iter().map(|(name, _)| name.as_str()).collect();
    assert_eq!(names, ["weights", "first-moment", "second-moment"]);
}

#[test]
fn a_corpus_of_format_1_is_read() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/formats/corpus-1");
    let corpus = Corpus::open(&path).unwrap();
    assert_eq!(corpus.id().short(), "55aa8a0ab3d4");
    let tokenizer = corpus.tokenizer().unwrap();
    assert!(tokenizer.is_some());
    let train = corpus.split(Split::Train);
    assert_eq!((train.documents(), train.tokens()), (100, 8457));
    let mut tokens = vec![0; 8457];
    train.read(0, &mut tokens).unwrap();
    // Every document starts with the separator.
    let starts = (0..100).map(|index| train.document_bounds(index).start as usize);
    assert!(starts.map(|start| tokens[start]).all(|token| token == 0));
}
