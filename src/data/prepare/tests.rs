//! Tests of whole preparations, through files on disk.

mod sides;

use std::fs;
use std::path::{Path, PathBuf};

use super::*;
use crate::data::hash::fold;
use crate::data::{Corpus, PartReader, SplitPolicy};
use crate::spec::Split;

/// A story of `paragraphs` paragraphs; stories of different seeds share no sentence.
fn story(seed: u64, paragraphs: u64) -> String {
    const WORDS: [&str; 16] = [
        "river", "stone", "under", "the", "old", "bridge", "walks", "a", "silent", "heron", "and",
        "waits", "for", "morning", "light", "again",
    ];
    let sentence = |n: u64| -> String {
        let words: Vec<String> = (0..12)
            .map(|w| {
                let hash = fold(fold(seed, n), w);
                format!("{}{}", WORDS[hash as usize % 16], hash >> 32 & 15)
            })
            .collect();
        format!("{}.", words.join(" "))
    };
    (0..paragraphs).map(|n| format!("{}\n{}\n\n", sentence(2 * n), sentence(2 * n + 1))).collect()
}

/// A scratch directory with input files.
struct Desk(tempfile::TempDir);

impl Desk {
    fn new() -> Self {
        Self(tempfile::tempdir().unwrap())
    }

    fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    fn write(&self, name: &str, content: impl AsRef<[u8]>) -> PathBuf {
        fs::write(self.path(name), content).unwrap();
        self.path(name)
    }

    /// JSON lines of one story each.
    fn stories(&self, name: &str, seeds: std::ops::Range<u64>) -> PathBuf {
        let lines: String = seeds
            .map(|seed| serde_json::json!({"id": seed, "text": story(seed, 6)}).to_string() + "\n")
            .collect();
        self.write(name, lines)
    }

    fn options(&self, input: &Path) -> PrepareOptions {
        PrepareOptions {
            vocabulary: Some(300),
            threads: 2,
            ..PrepareOptions::new(vec![input.to_owned()], self.path("corpus"))
        }
    }

    /// The preparation fails with this message and leaves nothing behind.
    fn check_error(&self, options: &PrepareOptions, part: &str, code: u8) {
        let before = fs::read_dir(self.0.path()).unwrap().count();
        let error = prepare(options, &mut ()).map(drop).unwrap_err();
        assert!(error.to_string().contains(part), "{error}");
        assert_eq!(error.exit_code(), code, "{error}");
        assert_eq!(fs::read_dir(self.0.path()).unwrap().count(), before, "nothing is left");
    }
}

fn run_ok(options: &PrepareOptions) -> (Prepared, Corpus) {
    let prepared = prepare(options, &mut ()).unwrap();
    let corpus = Corpus::open(&options.target).unwrap();
    (prepared, corpus)
}

/// The texts of a split's documents; each must begin with the separator.
fn texts(corpus: &Corpus, split: Split) -> Vec<String> {
    documents(corpus, corpus.split(split))
}

fn documents(corpus: &Corpus, reader: &PartReader) -> Vec<String> {
    let tokenizer = corpus.tokenizer().unwrap().unwrap();
    (0..reader.documents())
        .map(|index| {
            let bounds = reader.document_bounds(index);
            let mut tokens = vec![0; (bounds.end - bounds.start) as usize];
            reader.read(bounds.start, &mut tokens).unwrap();
            assert_eq!(Some(tokens[0]), corpus.manifest().separator);
            tokenizer.decode(&tokens).unwrap()
        })
        .collect()
}

#[test]
fn documents_are_split_by_content_and_stay_when_others_join() {
    let desk = Desk::new();
    let few = desk.stories("a.jsonl", 0..300);
    let (prepared, corpus) = run_ok(&desk.options(&few));
    assert!(matches!(prepared.manifest.split_policy, SplitPolicy::Documents { .. }));
    let facts = prepared.manifest.splits;
    assert_eq!(facts.train.documents + facts.val.documents + facts.test.documents, 300);
    assert!(facts.val.documents > 10 && facts.test.documents > 3);
    let split_of = |corpus: &Corpus, text: &String| {
        Split::ALL.into_iter().find(|&split| texts(corpus, split).contains(text)).unwrap()
    };
    let before: Vec<Split> = (0..20).map(|seed| split_of(&corpus, &story(seed, 6))).collect();
    let more = desk.stories("b.jsonl", 1000..1100);
    let mut options = desk.options(&more);
    options.inputs.push(few);
    options.target = desk.path("larger");
    let (_, larger) = run_ok(&options);
    let after: Vec<Split> = (0..20).map(|seed| split_of(&larger, &story(seed, 6))).collect();
    assert_eq!(before, after);
}

#[test]
fn texts_survive_and_bytes_add_up() {
    let desk = Desk::new();
    let input = desk.stories("a.jsonl", 0..150);
    let (prepared, corpus) = run_ok(&desk.options(&input));
    let mut all: Vec<String> =
        Split::ALL.into_iter().flat_map(|split| texts(&corpus, split)).collect();
    let mut expected: Vec<String> = (0..150).map(|seed| story(seed, 6)).collect();
    all.sort();
    expected.sort();
    assert!(all == expected);
    for split in Split::ALL {
        let reader = corpus.split(split);
        let mut tokens = vec![0; reader.tokens() as usize];
        reader.read(0, &mut tokens).unwrap();
        let bytes: u64 = tokens.iter().map(|&t| u64::from(reader.token_bytes(t).unwrap())).sum();
        assert_eq!(bytes, reader.bytes());
        let length: usize = texts(&corpus, split).iter().map(String::len).sum();
        assert_eq!(bytes, length as u64);
    }
    assert!(prepared.manifest.tokenizer.unwrap().trained.is_some());
}

#[test]
fn the_result_does_not_depend_on_threads() {
    let desk = Desk::new();
    let input = desk.stories("a.jsonl", 0..150);
    let ids: Vec<_> = [1, 2, 5]
        .map(|threads| {
            let target = desk.path(&format!("corpus-{threads}"));
            run_ok(&PrepareOptions { threads, target, ..desk.options(&input) }).1.id()
        })
        .into();
    assert!(ids.windows(2).all(|pair| pair[0] == pair[1]));
    let other = PrepareOptions { seed: 1, ..desk.options(&input) };
    assert_ne!(run_ok(&other).1.id(), ids[0]);
}

#[test]
fn one_long_text_is_cut_into_sections() {
    let desk = Desk::new();
    let text = story(1, 2500);
    let input = desk.write("book.txt", &text);
    let (prepared, corpus) = run_ok(&desk.options(&input));
    let SplitPolicy::Sections { gap_bytes, .. } = prepared.manifest.split_policy else {
        panic!("{:?}", prepared.manifest.split_policy)
    };
    assert!(prepared.notes.iter().any(|note| note.contains("cut at paragraph ends")));
    let sum: u64 = Split::ALL.iter().map(|&split| corpus.split(split).bytes()).sum();
    assert_eq!(sum + gap_bytes, text.len() as u64);
    assert!(gap_bytes > 0);
    for (split, share) in [(Split::Val, 0.1), (Split::Test, 0.05)] {
        let sections = texts(&corpus, split);
        assert!(sections.len() >= 2);
        assert!(text.contains(&sections.concat()), "held-out sections are contiguous");
        let held = corpus.split(split).bytes() as f64 / text.len() as f64;
        assert!((held - share).abs() < share * 0.5, "{split}: {held}");
    }
    let report = prepared.manifest.duplicates.unwrap();
    assert_eq!((report.exact_documents, report.near_documents), (0, 0));
}

#[test]
fn given_files_are_used_and_a_test_split_always_exists() {
    let desk = Desk::new();
    let train = desk.stories("train.jsonl", 0..30);
    let val = desk.write("val.txt", story(500, 400));
    let test = desk.stories("test.jsonl", 600..610);
    let divided = PrepareOptions { val: vec![val.clone()], ..desk.options(&train) };
    let (prepared, corpus) = run_ok(&divided);
    assert!(prepared.notes.iter().any(|note| note.contains("divided between val and test")));
    assert_eq!(corpus.split(Split::Train).documents(), 30);
    let halves = [Split::Val, Split::Test].map(|split| corpus.split(split).bytes());
    assert!(halves[0].abs_diff(halves[1]) < halves[0] / 3, "{halves:?}");
    let apart = PrepareOptions { test: vec![test], target: desk.path("apart"), ..divided };
    let (prepared, corpus) = run_ok(&apart);
    assert_eq!(prepared.manifest.input.files, ["train.jsonl", "val.txt", "test.jsonl"]);
    assert_eq!(texts(&corpus, Split::Val), [story(500, 400)]);
    assert_eq!(corpus.split(Split::Test).documents(), 10);
}

#[test]
fn only_a_test_file_leaves_validation_to_the_input() {
    let desk = Desk::new();
    let input = desk.stories("a.jsonl", 0..200);
    let test = desk.stories("test.jsonl", 600..610);
    let (_, corpus) = run_ok(&PrepareOptions { test: vec![test], ..desk.options(&input) });
    assert_eq!(corpus.split(Split::Test).documents(), 10);
    let (train, val) = (corpus.split(Split::Train), corpus.split(Split::Val));
    assert_eq!(train.documents() + val.documents(), 200);
    assert!(val.documents() > 5);
}

#[test]
fn duplicates_are_reported() {
    let desk = Desk::new();
    let train = desk.stories("train.jsonl", 0..50);
    let near = story(7, 6) + "One more sentence at the end of it.";
    let lines = [story(3, 6), near, story(900, 6)]
        .map(|text| serde_json::json!({ "text": text }).to_string());
    let val = desk.write("val.jsonl", lines.join("\n"));
    let test = desk.stories("test.jsonl", 600..610);
    let options = PrepareOptions { val: vec![val], test: vec![test], ..desk.options(&train) };
    let (prepared, _) = run_ok(&options);
    let report = prepared.manifest.duplicates.unwrap();
    assert_eq!((report.held_out_documents, report.exact_documents), (13, 1));
    assert_eq!(report.near_documents, 1);
    assert!(prepared.notes.iter().any(|note| note.contains("also training documents")));
}

#[test]
fn a_given_tokenizer_is_stored_unchanged_and_reused() {
    let desk = Desk::new();
    let input = desk.stories("a.jsonl", 0..150);
    let (_, first) = run_ok(&desk.options(&input));
    let tokenizer = first.directory().join("tokenizer.json");
    let options = PrepareOptions {
        tokenizer: Some(tokenizer.clone()),
        vocabulary: None,
        target: desk.path("again"),
        ..desk.options(&input)
    };
    let (prepared, again) = run_ok(&options);
    assert_eq!(again.id(), first.id(), "the same tokenizer, text and split");
    assert!(prepared.manifest.tokenizer.unwrap().trained.is_none());
    let wrong = PrepareOptions { vocabulary: Some(999), target: desk.path("x"), ..options.clone() };
    desk.check_error(&wrong, "has 300 tokens, not 999", 2);
    let broken = desk.write("broken.json", "{\"model\": 5}");
    let options = PrepareOptions { tokenizer: Some(broken), target: desk.path("x"), ..options };
    desk.check_error(&options, "not a usable tokenizer", 3);
}

#[test]
fn sequences_are_split_as_in_the_paper() {
    let desk = Desk::new();
    let input = desk.stories("a.jsonl", 0..150);
    let (_, whole) = run_ok(&desk.options(&input));
    let paper = PrepareOptions {
        sequences: Some(SequenceSplit { sequence_tokens: 64, held_out_sequences: 20 }),
        tokenizer: Some(whole.directory().join("tokenizer.json")),
        vocabulary: None,
        target: desk.path("paper"),
        ..desk.options(&input)
    };
    let (prepared, corpus) = run_ok(&paper);
    let facts = prepared.manifest.splits;
    assert_eq!((facts.val.tokens, facts.test.tokens), (20 * 64, 20 * 64));
    assert_eq!(facts.train.tokens % 64, 0);
    let all: u64 = Split::ALL.iter().map(|&split| whole.split(split).tokens()).sum();
    let kept = facts.train.tokens + facts.val.tokens + facts.test.tokens;
    assert_eq!(kept, all / 64 * 64, "only an incomplete sequence is dropped");
    // Documents begin at separators or at seams, and separators nowhere else.
    let train = corpus.split(Split::Train);
    let mut tokens = vec![0; train.tokens() as usize];
    train.read(0, &mut tokens).unwrap();
    let starts: Vec<u64> =
        (0..train.documents()).map(|index| train.document_bounds(index).start).collect();
    for (position, &token) in (0..).zip(&tokens) {
        let starts_here = starts.binary_search(&position).is_ok();
        assert!(starts_here || token != 0, "a separator inside a document at {position}");
        assert!(!starts_here || token == 0 || position % 64 == 0, "a seam at {position}");
    }
    let again = PrepareOptions { seed: 9, target: desk.path("other-seed"), ..paper.clone() };
    assert_eq!(run_ok(&again).1.id(), corpus.id(), "no seed decides what is held out");
    let without = PrepareOptions { tokenizer: None, target: desk.path("x"), ..paper.clone() };
    desk.check_error(&without, "needs a tokenizer first", 2);
    let sequences = Some(SequenceSplit { sequence_tokens: 4096, held_out_sequences: 1024 });
    let large = PrepareOptions { sequences, target: desk.path("x"), ..paper };
    desk.check_error(&large, "leave no training text", 2);
}

#[test]
fn token_files_become_corpora() {
    let desk = Desk::new();
    let mut bytes = Vec::new();
    for document in 0..200_u64 {
        bytes.extend(99_u16.to_le_bytes());
        for place in 0..500 {
            bytes.extend((fold(document, place) as u16 % 99).to_le_bytes());
        }
    }
    let input = desk.write("train.bin", &bytes);
    let options = PrepareOptions {
        vocabulary: Some(100),
        separator: Some("99".to_owned()),
        ..desk.options(&input)
    };
    let (prepared, corpus) = run_ok(&options);
    assert!(corpus.tokenizer().unwrap().is_none());
    assert_eq!(corpus.split(Split::Train).token_bytes(5), None);
    let documents: u64 = Split::ALL.iter().map(|&split| corpus.split(split).documents()).sum();
    assert_eq!(documents, 200);
    let bounds = corpus.split(Split::Val).document_bounds(0);
    assert_eq!(bounds.end - bounds.start, 501);
    assert!(prepared.notes.iter().any(|note| note.contains("bits per byte")));
    // Without a separator the file is one document, cut into sections of tokens.
    let whole = PrepareOptions { separator: None, target: desk.path("whole"), ..options.clone() };
    let (prepared, _) = run_ok(&whole);
    assert!(matches!(prepared.manifest.split_policy, SplitPolicy::Sections { .. }));
    let at = |options: PrepareOptions| PrepareOptions { target: desk.path("x"), ..options };
    let unknown = at(PrepareOptions { vocabulary: None, ..options.clone() });
    desk.check_error(&unknown, "do not say how many different tokens", 2);
    let small = at(PrepareOptions { vocabulary: Some(60), separator: None, ..options.clone() });
    desk.check_error(&small, "is outside the vocabulary of 60", 3);
    let separator = Some("100".to_owned());
    desk.check_error(&at(PrepareOptions { separator, ..options.clone() }), "not a token id", 2);
    let text = desk.write("a.txt", "text");
    desk.check_error(&at(PrepareOptions { inputs: vec![input, text], ..options }), "mixed", 2);
}

#[test]
fn impossible_preparations_are_refused() {
    let desk = Desk::new();
    let input = desk.stories("a.jsonl", 0..150);
    let options = desk.options(&input);
    let with = |change: &dyn Fn(&mut PrepareOptions)| {
        let mut options = options.clone();
        change(&mut options);
        options
    };
    let missing = with(&|options| options.inputs = vec![desk.path("none.txt")]);
    desk.check_error(&missing, "failed to read", 3);
    let empty = desk.write("empty.txt", " \n");
    let empty = with(&|options| options.inputs = vec![empty.clone()]);
    desk.check_error(&empty, "there is no text in", 3);
    let short = desk.write("short.txt", "One short text.");
    let short = with(&|options| options.inputs = vec![short.clone()]);
    desk.check_error(&short, "split would be empty", 3);
    desk.check_error(&with(&|options| options.val_share = 0.0), "not between 0 and 1", 2);
    desk.check_error(&with(&|options| options.val_share = f64::NAN), "not between 0 and 1", 2);
    desk.check_error(&with(&|options| options.val_share = 0.97), "leave no training text", 2);
    desk.check_error(&with(&|options| options.vocabulary = Some(100)), "too small", 2);
    desk.check_error(&with(&|options| options.vocabulary = Some(60_000)), "too large", 2);
    desk.check_error(&with(&|options| options.text_field = "body".to_owned()), ":1: ", 3);
    let separator = Some("<eot>".to_owned());
    desk.check_error(
        &with(&|options| options.separator = separator.clone()),
        "no token `<eot>`",
        2,
    );
    let occupied = with(&|options| options.target = desk.path("a.jsonl"));
    desk.check_error(&occupied, "is a file", 2);
}

/// Asks to stop after so many parts were read.
struct Stop(u32);

impl Observer for Stop {
    fn stage(&mut self, _name: &str, _bytes: u64) {}

    fn advance(&mut self, _bytes: u64) -> Result<()> {
        self.0 = self.0.checked_sub(1).ok_or_else(|| Error::interrupted("stopped"))?;
        Ok(())
    }
}

#[test]
fn an_interrupt_at_any_moment_leaves_nothing() {
    let desk = Desk::new();
    let options = desk.options(&desk.stories("a.jsonl", 0..150));
    let mut stopped = 0;
    for moment in (0..).step_by(53) {
        match prepare(&options, &mut Stop(moment)) {
            Ok(_) => break,
            Err(error) => assert!(error.is_interrupted(), "{error}"),
        }
        stopped += 1;
        assert_eq!(fs::read_dir(desk.0.path()).unwrap().count(), 1, "moment {moment}");
    }
    assert!(stopped > 5, "{stopped}");
    Corpus::open(&options.target).unwrap();
}

/// On real text: 11 books for training, 19 for validation and testing.
#[test]
fn books_are_prepared() {
    let Some(shared) = std::env::var_os("SCARCE_DEV_DATA") else {
        println!("SKIPPED: set SCARCE_DEV_DATA to the directory that holds data/books.*");
        return;
    };
    let directory = PathBuf::from(shared).join("data");
    let desk = Desk::new();
    let options = PrepareOptions {
        val: vec![directory.join("books.val.jsonl.zst")],
        vocabulary: Some(512),
        ..desk.options(&directory.join("books-5mb.train.jsonl.zst"))
    };
    let (prepared, _) = run_ok(&options);
    let facts = prepared.manifest.splits;
    assert_eq!((facts.train.documents, facts.train.bytes), (11, 4_818_045));
    let report = prepared.manifest.duplicates.unwrap();
    assert!(report.exact_documents + report.near_documents == 0, "{report:?}");
    assert!(facts.val.bytes.abs_diff(facts.test.bytes) < 300_000);
}
