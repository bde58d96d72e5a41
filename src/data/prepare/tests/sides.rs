//! Side sets of whole preparations.

use super::*;
use crate::data::PartFiles;
use crate::spec::{Part, SideId, SideName, SideSet};

fn name(text: &str) -> SideName {
    text.parse().unwrap()
}

/// A training corpus of stories with these side sets.
fn with_sides(desk: &Desk, target: &str, sides: &[(&str, &Path)]) -> PrepareOptions {
    let input = match desk.path("train.jsonl") {
        path if path.exists() => path,
        _ => desk.stories("train.jsonl", 0..150),
    };
    PrepareOptions {
        sides: sides.iter().map(|&(side, path)| (name(side), path.to_owned())).collect(),
        target: desk.path(target),
        ..desk.options(&input)
    }
}

fn side_texts(corpus: &Corpus, side: &str) -> Vec<String> {
    let (_, reader) = corpus.sides().find(|(set, _)| set.name.as_str() == side).unwrap();
    documents(corpus, reader)
}

#[test]
fn a_side_set_never_renames_its_corpus() {
    let desk = Desk::new();
    let (_, plain) = run_ok(&with_sides(&desk, "plain", &[]));
    let (poems, folder) = (desk.stories("poems.jsonl", 700..705), desk.path("folder"));
    fs::create_dir(&folder).unwrap();
    desk.write("folder/a.txt", story(800, 3000));
    desk.write("folder/b.md", "Short.");
    let sides = [("poems", &*poems), ("prose", &*folder)];
    let (prepared, corpus) = run_ok(&with_sides(&desk, "corpus", &sides));
    assert_eq!(corpus.id(), plain.id());
    assert_eq!(corpus.manifest().splits, plain.manifest().splits);
    assert_eq!(corpus.manifest().input, plain.manifest().input);
    let files = |corpus: &Corpus| {
        let files = corpus.manifest().files.clone().into_iter();
        files.filter(|(file, _)| PartFiles::side_of(file).is_none()).collect::<Vec<_>>()
    };
    assert_eq!(files(&corpus), files(&plain));

    let expected: Vec<String> = (700..705).map(|seed| story(seed, 6)).collect();
    assert_eq!(side_texts(&corpus, "poems"), expected);
    // A document of more than one piece is one document.
    assert_eq!(side_texts(&corpus, "prose"), [story(800, 3000), "Short.".to_owned()]);
    let facts = &prepared.manifest.side[&name("prose")];
    assert_eq!((facts.documents, facts.bytes), (2, story(800, 3000).len() as u64 + 6));
    assert_eq!(facts.input.files, ["folder/a.txt", "folder/b.md"]);
    // The name is no part of a side set's identity, the content is.
    let sides = [("one", &*poems), ("two", &*folder)];
    let (other, _) = run_ok(&with_sides(&desk, "other", &sides));
    let ids: Vec<SideId> = corpus.manifest().side.values().map(|facts| facts.id).collect();
    assert_eq!(other.manifest.side.values().map(|facts| facts.id).collect::<Vec<_>>(), ids);
    assert_ne!(ids[0], ids[1]);
}

#[test]
fn side_sets_join_the_corpus_that_is_there() {
    let desk = Desk::new();
    let first = desk.stories("first.jsonl", 700..702);
    let second = desk.stories("second.jsonl", 710..712);
    let write = |sides: &[(&str, &Path)]| run_ok(&with_sides(&desk, "corpus", sides));
    let (plain, _) = write(&[]);
    let (prepared, _) = write(&[("a", &*first)]);
    assert_eq!(prepared.publication, Publication::Extended);
    // One that is named now joins those that are there.
    let (prepared, corpus) = write(&[("b", &*second)]);
    assert_eq!(prepared.publication, Publication::Extended);
    assert_eq!(prepared.manifest, *corpus.manifest());
    assert_eq!(side_texts(&corpus, "a"), [story(700, 6), story(701, 6)]);
    assert_eq!(side_texts(&corpus, "b"), [story(710, 6), story(711, 6)]);
    for sides in [&[("a", &*first), ("b", &*second)][..], &[("b", &*second)], &[]] {
        assert_eq!(write(sides).0.publication, Publication::AlreadyThere);
    }
    let other = with_sides(&desk, "corpus", &[("a", &*second)]);
    desk.check_error(&other, "with another side set `a`", 2);
    let (prepared, corpus) = run_ok(&PrepareOptions { overwrite: true, ..other });
    assert_eq!(prepared.publication, Publication::Replaced);
    assert_eq!((corpus.id(), corpus.sides().count()), (plain.manifest.id, 1));
    assert_eq!(side_texts(&corpus, "a"), [story(710, 6), story(711, 6)]);
}

#[test]
fn what_a_side_set_shares_with_the_training_text_is_reported() {
    let desk = Desk::new();
    let own = desk.stories("own.jsonl", 700..703);
    let train = (0..30).map(|seed| serde_json::json!({ "text": story(seed, 6) }).to_string());
    let shared = desk.write("shared.jsonl", train.collect::<Vec<_>>().join("\n"));
    let sides = [("own", &*own), ("shared", &*shared)];
    let (prepared, _) = run_ok(&with_sides(&desk, "corpus", &sides));
    let of = |side: &str| prepared.manifest.side[&name(side)].duplicates.unwrap();
    assert_eq!((of("own").held_out_documents, of("own").exact_documents), (3, 0));
    assert_eq!(of("shared").held_out_documents, 30);
    assert!(of("shared").exact_documents > 20, "{:?}", of("shared"));
    assert_eq!(prepared.manifest.duplicates.unwrap().exact_documents, 0);
    let note = prepared.notes.iter().find(|note| note.contains("shared documents"));
    assert!(note.is_some_and(|note| note.contains("shared losses will look better")));
}

#[test]
fn side_sets_join_every_kind_of_split() {
    let desk = Desk::new();
    let poems = desk.stories("poems.jsonl", 700..705);
    let (_, whole) = run_ok(&with_sides(&desk, "whole", &[]));
    let paper = PrepareOptions {
        sequences: Some(SequenceSplit { sequence_tokens: 64, held_out_sequences: 20 }),
        tokenizer: Some(whole.directory().join("tokenizer.json")),
        vocabulary: None,
        ..with_sides(&desk, "paper", &[("poems", &*poems)])
    };
    let (_, corpus) = run_ok(&paper);
    assert_eq!(side_texts(&corpus, "poems").len(), 5);
    let bare = PrepareOptions { sides: Vec::new(), target: desk.path("bare"), ..paper };
    assert_eq!(run_ok(&bare).1.id(), corpus.id());

    let tokens = |documents: u16| -> Vec<u8> {
        let digits = |seed| [0, 1 + seed % 7, 1 + seed / 7 % 7, 1 + seed / 49 % 7];
        let document = |seed| digits(seed).into_iter().flat_map(u16::to_le_bytes);
        (0..documents).flat_map(document).collect()
    };
    let (train, side) = (desk.write("a.bin", tokens(300)), desk.write("b.bin", tokens(4)));
    let options = PrepareOptions {
        vocabulary: Some(8),
        separator: Some("0".to_owned()),
        sides: vec![(name("more"), side)],
        target: desk.path("tokens"),
        ..desk.options(&train)
    };
    let (prepared, corpus) = run_ok(&options);
    let (_, reader) = corpus.sides().next().unwrap();
    assert_eq!((reader.documents(), reader.tokens()), (4, 16));
    assert!(prepared.manifest.side[&name("more")].duplicates.unwrap().exact_documents >= 2);
    let sides = vec![(name("text"), poems)];
    let mixed = PrepareOptions { sides, target: desk.path("x"), ..options };
    desk.check_error(&mixed, "cannot be mixed", 2);
}

#[test]
fn side_sets_that_make_no_sense_are_refused() {
    let desk = Desk::new();
    let poems = desk.stories("poems.jsonl", 700..705);
    let refuse = |sides: &[(&str, &Path)], part: &str, code| {
        desk.check_error(&with_sides(&desk, "x", sides), part, code);
    };
    refuse(&[("a", &*poems), ("a", &*poems)], "there are two side sets `a`", 2);
    refuse(&[("a", &desk.path("none.txt"))], "side set `a`: failed to read", 3);
    let empty = desk.write("empty.jsonl", "{\"text\": \"\"}\n");
    refuse(&[("a", &*empty)], "side set `a`: there is no text in", 3);
    let field = desk.write("field.jsonl", "{\"body\": \"b\"}\n");
    refuse(&[("a", &*field)], "field.jsonl:1: there is no field `text`", 3);
}

#[test]
fn a_part_is_found_by_name_and_content() {
    let desk = Desk::new();
    let poems = desk.stories("poems.jsonl", 700..705);
    let (_, corpus) = run_ok(&with_sides(&desk, "corpus", &[("poems", &*poems)]));
    let (side, reader) = corpus.sides().next().unwrap();
    assert_eq!(reader.part(), &Part::Side(side.clone()));
    assert_eq!(corpus.part(&Part::Side(side.clone())).unwrap().tokens(), reader.tokens());
    let other = Part::Side(SideSet { id: SideId::of(b"other"), ..side.clone() });
    let error = corpus.part(&other).map(drop).unwrap_err();
    assert!(error.to_string().contains("side set `poems` of corpus"), "{error}");
    let error = corpus.part(&Part::Side(SideSet { name: name("prose"), ..side })).map(drop);
    let error = error.unwrap_err();
    assert!(error.to_string().contains("has no side set `prose`"), "{error}");
    assert!(error.hint_text().unwrap().contains("--side prose=PATH"));
}

#[test]
fn damage_to_a_side_set_is_found_on_open() {
    let desk = Desk::new();
    let poems = desk.stories("poems.jsonl", 700..705);
    let (_, corpus) = run_ok(&with_sides(&desk, "corpus", &[("poems", &*poems)]));
    for file in ["side-poems.tokens", "side-poems.documents"] {
        let path = corpus.directory().join(file);
        let good = fs::read(&path).unwrap();
        fs::write(&path, &good[1..]).unwrap();
        let error = Corpus::open(corpus.directory()).unwrap_err();
        assert!(error.to_string().contains(file), "{error}");
        fs::write(&path, &good).unwrap();
    }
    let path = corpus.directory().join("manifest.json");
    let good = fs::read_to_string(&path).unwrap();
    let (_, id) = good.split_once("\"side\"").unwrap().1.split_once("\"id\": \"").unwrap();
    for (from, to) in [
        ("\"poems\"", "\"../poems\""),
        ("\"poems\"", "\"val\""),
        ("\"poems\"", "\"prose\""),
        (&id[..64], &"0".repeat(64)),
    ] {
        fs::write(&path, good.replacen(from, to, 1)).unwrap();
        assert_eq!(Corpus::open(corpus.directory()).unwrap_err().exit_code(), 3, "{to}");
    }
    fs::write(&path, good).unwrap();
    Corpus::open(corpus.directory()).unwrap();
}
