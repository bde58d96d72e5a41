//! Tokenizers that other programs made: what they lose of a text is measured and told, lengths of
//! tokens add up to the text, and what cannot be used is named with a way out.

use std::fs;

use serde_json::{Value, json};

use crate::cases_prepare::{Desk, lines, paragraph};
use crate::program::answer;

/// A desk with a text `a.jsonl`, and the byte-level tokenizer that `scarce` trains on it.
fn desk() -> (Desk, Value) {
    let desk = Desk::new();
    desk.write("a.jsonl", lines(0..150));
    answer(desk.words("prepare @a.jsonl --vocab 300 --out @own"));
    let json = fs::read(desk.path("own/tokenizer.json")).unwrap();
    (desk, serde_json::from_slice(&json).unwrap())
}

/// Writes a tokenizer with one thing changed.
fn write(desk: &Desk, name: &str, tokenizer: &Value, change: impl FnOnce(&mut Value)) {
    let mut changed = tokenizer.clone();
    change(&mut changed);
    desk.write(name, serde_json::to_string(&changed).unwrap());
}

/// Facts of splits without those of files.
fn tokens(answer: &Value) -> [u64; 3] {
    ["train", "val", "test"]
        .map(|split| answer["manifest"]["splits"][split]["tokens"].as_u64().unwrap())
}

fn has_note(answer: &Value, part: &str) -> bool {
    answer["notes"].as_array().unwrap().iter().any(|note| note.as_str().unwrap().contains(part))
}

#[test]
fn tokens_that_spell_bytes_are_known_without_a_decoder() {
    let (desk, own) = desk();
    write(&desk, "own.json", &own, |_| {});
    let right = desk.prepare("@a.jsonl --tokenizer @own.json");
    assert_eq!(right["manifest"]["tokenizer"]["token_bytes_exact"], true);
    let level = own["pre_tokenizer"].clone();
    type Change<'a> = Box<dyn FnOnce(&mut Value) + 'a>;
    let changes: Vec<(&str, bool, Change<'_>)> = vec![
        ("no decoder", true, Box::new(|t| t["decoder"] = Value::Null)),
        ("dropout 0", true, Box::new(|t| t["model"]["dropout"] = json!(0.0))),
        (
            "sequence",
            true,
            Box::new(|t| {
                t["decoder"] = Value::Null;
                t["pre_tokenizer"] = json!({ "type": "Sequence", "pretokenizers": [level] });
            }),
        ),
        (
            "post-processor",
            true,
            Box::new(|t| {
                t["post_processor"] = json!({
                    "type": "ByteLevel", "add_prefix_space": true, "trim_offsets": true,
                    "use_regex": true
                });
            }),
        ),
        ("nfc", false, Box::new(|t| t["normalizer"] = json!({ "type": "NFC" }))),
    ];
    for (what, exact, change) in changes {
        write(&desk, "changed.json", &own, change);
        let read = desk.prepare("@a.jsonl --tokenizer @changed.json");
        assert_eq!(tokens(&read), tokens(&right), "{what}");
        assert_eq!(read["manifest"]["tokenizer"]["token_bytes_exact"], exact, "{what}");
        assert_eq!(read["manifest"]["tokenizer"]["lost"], Value::Null, "{what}");
        if !exact {
            assert!(has_note(&read, "add up to 100.0 % of the text"), "{what}: {read}");
        }
    }
    write(&desk, "dropout.json", &own, |t| t["model"]["dropout"] = json!(0.1));
    let line = "@a.jsonl --tokenizer @dropout.json";
    desk.refuse(line, 3, &["drops merges at random", "`model.dropout`"]);
}

#[test]
fn a_prefix_space_is_no_loss() {
    let (desk, own) = desk();
    write(&desk, "prefix.json", &own, |t| t["pre_tokenizer"]["add_prefix_space"] = json!(true));
    let read = desk.prepare("@a.jsonl --tokenizer @prefix.json");
    assert_eq!(read["manifest"]["tokenizer"]["lost"], Value::Null);
    assert!(has_note(&read, "of the text"), "{read}");
}

/// All words of the text, as the tokens of a table of words.
fn words(per_word: impl Fn(&str) -> Vec<String>) -> Value {
    let mut vocabulary = serde_json::Map::new();
    let mut add = |word: &str| {
        let id = vocabulary.len();
        vocabulary.entry(word).or_insert(json!(id));
    };
    add("[UNK]");
    add("[EOS]");
    for n in 0..150 {
        let text = paragraph(n);
        let words = text.split(|c: char| !c.is_alphanumeric()).filter(|word| !word.is_empty());
        words.flat_map(&per_word).for_each(|word| add(&word));
    }
    add(".");
    add(",");
    Value::Object(vocabulary)
}

fn special(id: u32, content: &str) -> Value {
    json!({ "id": id, "content": content, "single_word": false, "lstrip": false, "rstrip": false,
            "normalized": false, "special": true })
}

fn table(model: Value, pre_tokenizer: &str) -> Value {
    json!({
        "version": "1.0", "truncation": null, "padding": null,
        "added_tokens": [special(0, "[UNK]"), special(1, "[EOS]")],
        "normalizer": null, "pre_tokenizer": { "type": pre_tokenizer }, "post_processor": null,
        "decoder": null, "model": model
    })
}

/// The bytes that all tokens of a corpus stand for, over the bytes of its text.
fn told(desk: &Desk, corpus: &str) -> f64 {
    let read = |name: &str| fs::read(desk.path(corpus).join(name)).unwrap();
    let pairs = |bytes: Vec<u8>| -> Vec<usize> {
        bytes.chunks(2).map(|pair| usize::from(u16::from_le_bytes([pair[0], pair[1]]))).collect()
    };
    let lengths = pairs(read("token_bytes.u16"));
    let manifest: Value = serde_json::from_slice(&read("manifest.json")).unwrap();
    let (mut sum, mut all) = (0, 0);
    for split in ["train", "val", "test"] {
        let tokens = pairs(read(&format!("{split}.tokens")));
        sum += tokens.iter().map(|&token| lengths[token]).sum::<usize>();
        all += manifest["splits"][split]["bytes"].as_u64().unwrap();
    }
    sum as f64 / all as f64
}

#[test]
fn lost_text_is_measured_refused_and_allowed() {
    let (desk, own) = desk();
    let whole = words(|word| vec![word.to_owned()]);
    let model = json!({ "type": "WordLevel", "vocab": whole, "unk_token": "[UNK]" });
    let word_level = table(model, "Whitespace");
    // Spaces are dropped, and nothing is unknown.
    write(&desk, "spaces.json", &word_level, |_| {});
    desk.refuse(
        "@a.jsonl --tokenizer @spaces.json",
        3,
        &["the tokenizer loses 1", "it is dropped or changed", "`--allow lost-text`"],
    );
    // Half of the words are unknown.
    write(&desk, "unknown.json", &word_level, |t| {
        let vocabulary = t["model"]["vocab"].as_object_mut().unwrap();
        vocabulary.retain(|word, _| word.len() % 2 == 0 || word.starts_with('['));
    });
    desk.refuse(
        "@a.jsonl --tokenizer @unknown.json",
        3,
        &["unknown tokens stand for", "is dropped"],
    );
    // Word pieces: `##` is no text, and stands for no byte.
    let pieces = words(|word| {
        let (head, tail) = word.split_at(1);
        [head.to_owned()].into_iter().chain(tail.chars().map(|c| format!("##{c}"))).collect()
    });
    let model = json!({ "type": "WordPiece", "vocab": pieces, "unk_token": "[UNK]",
                        "continuing_subword_prefix": "##", "max_input_chars_per_word": 100 });
    write(&desk, "pieces.json", &table(model, "BertPreTokenizer"), |_| {});
    desk.refuse("@a.jsonl --tokenizer @pieces.json", 3, &["loses 1"]);
    // Case is text, too.
    write(&desk, "lower.json", &own, |t| t["normalizer"] = json!({ "type": "Lowercase" }));
    desk.refuse("@a.jsonl --tokenizer @lower.json", 3, &["dropped or changed, such as"]);
    for name in ["spaces", "unknown", "pieces", "lower"] {
        let line = format!(
            "prepare @a.jsonl --tokenizer @{name}.json --allow lost-text --out @{name} --json"
        );
        let read: Value = serde_json::from_str(&answer(desk.words(&line))).unwrap();
        assert_eq!(read["manifest"]["allowed"], json!(["lost-text"]), "{name}");
        assert_eq!(read["manifest"]["tokenizer"]["token_bytes_exact"], false, "{name}");
        let lost = &read["manifest"]["tokenizer"]["lost"]["train"];
        let number = |key: &str| lost[key].as_u64().unwrap();
        assert_eq!(lost["text_bytes"], read["manifest"]["splits"]["train"]["bytes"], "{name}");
        assert_eq!(number("unknown_bytes") > 0, name == "unknown", "{name}");
        assert!(number("dropped_bytes") > 0, "{name}");
        assert!(has_note(&read, "of the text of `train`"), "{name}");
        let told = told(&desk, name);
        assert!((told - 1.0).abs() < 0.01, "{name}: tokens stand for {told} of the text");
    }
    // Consent that is not needed is not recorded.
    let own = desk.prepare("@a.jsonl --tokenizer @own/tokenizer.json --allow lost-text");
    assert_eq!(own["manifest"]["allowed"], Value::Null);
}

#[test]
fn a_little_loss_is_told() {
    let (desk, own) = desk();
    // One character of 150 documents, changed by the normalizer.
    desk.write("b.jsonl", lines(0..150).replacen("Paragraph 7 ", "Paragraph ﬁ7 ", 1));
    write(&desk, "nfkc.json", &own, |t| t["normalizer"] = json!({ "type": "NFKC" }));
    let read = desk.prepare("@b.jsonl --tokenizer @nfkc.json");
    assert!(has_note(&read, "the tokenizer loses 0.0"), "{read}");
    assert_eq!(read["manifest"]["allowed"], Value::Null);
    // Other spellings of the same character are none.
    let hangul = "\u{1112}\u{1161}\u{11ab}".repeat(20);
    let other = format!("Paragraph e\u{301}{hangul} 7 ");
    desk.write("c.jsonl", lines(0..150).replacen("Paragraph 7 ", &other, 1));
    write(&desk, "nfc.json", &own, |t| t["normalizer"] = json!({ "type": "NFC" }));
    let read = desk.prepare("@c.jsonl --tokenizer @nfc.json");
    assert_eq!(read["manifest"]["tokenizer"]["lost"], Value::Null, "{read}");
}

#[test]
fn the_sign_for_a_space_tells_it() {
    let (desk, _) = desk();
    let mut vocabulary = serde_json::Map::new();
    let signed = (0..150)
        .flat_map(|n| paragraph(n).split(' ').map(|word| format!("▁{word}")).collect::<Vec<_>>());
    for word in ["[UNK]".to_owned(), "[EOS]".to_owned()].into_iter().chain(signed) {
        let id = vocabulary.len();
        vocabulary.entry(word).or_insert(json!(id));
    }
    let model = json!({ "type": "WordLevel", "vocab": vocabulary, "unk_token": "[UNK]" });
    let metaspace = json!({ "type": "Metaspace", "replacement": "▁", "prepend_scheme": "always",
                            "split": true });
    let split = json!({ "type": "Sequence", "pretokenizers": [
        { "type": "WhitespaceSplit" }, metaspace.clone()
    ] });
    for (name, pre_tokenizer) in [("metaspace.json", metaspace), ("t5.json", split)] {
        write(&desk, name, &table(model.clone(), "Whitespace"), |t| {
            t["pre_tokenizer"] = pre_tokenizer;
        });
        let read = desk.prepare(&format!("@a.jsonl --tokenizer @{name}"));
        assert_eq!(read["manifest"]["tokenizer"]["lost"], Value::Null, "{name}: {read}");
        assert!(has_note(&read, "add up to 100.0 % of the text"), "{name}: {read}");
    }
}

#[test]
fn records_say_that_text_was_lost() {
    let (desk, own) = desk();
    write(&desk, "lower.json", &own, |t| t["normalizer"] = json!({ "type": "Lowercase" }));
    answer(desk.words("prepare @a.jsonl --tokenizer @lower.json --allow lost-text --out @lower"));
    answer(desk.words(
        "train --corpus @lower --store @store --set model.preset=pocket-20k \
         --set data.epochs=1 --set optim.batch_sequences=4 --set data.sequence_tokens=64",
    ));
    let mut records = fs::read_dir(desk.path("store/records")).unwrap();
    let record = fs::read(records.next().unwrap().unwrap().path().join("record.json")).unwrap();
    let record: Value = serde_json::from_slice(&record).unwrap();
    assert_eq!(record["allowed"], json!(["lost-text"]));
}

#[test]
fn what_cannot_be_used_is_named_with_a_way_out() {
    let (desk, own) = desk();
    let added = |special: bool, name: &str| {
        let mut token = json!({ "id": 300, "content": "<|user\u{1b}|>", "single_word": false,
            "lstrip": false, "rstrip": false, "normalized": false, "special": special });
        token[name] = json!(true);
        token
    };
    for name in ["rstrip", "lstrip", "single_word"] {
        let file = format!("{name}.json");
        write(&desk, &file, &own, |t| {
            t["added_tokens"].as_array_mut().unwrap().push(added(false, name));
        });
        let line = format!("@a.jsonl --tokenizer @{file}");
        desk.refuse(&line, 3, &["`<|user\\u{1b}|>` (300)", name, "`special` to true"]);
        // Both ways out are ways out.
        for (special, name) in [(true, name), (false, "normalized")] {
            write(&desk, &file, &own, |t| {
                t["added_tokens"].as_array_mut().unwrap().push(added(special, name));
            });
            assert_eq!(desk.prepare(&line)["manifest"]["vocabulary"], 301);
        }
    }
    let keras =
        json!({ "class_name": "Tokenizer", "config": { "word_index": "x".repeat(900_000) } });
    desk.write("keras.json", json!(keras.to_string()).to_string());
    desk.refuse(
        "@a.jsonl --tokenizer @keras.json",
        3,
        &["keras.json", "one string", "Hugging Face"],
    );
    desk.write("other.json", keras.to_string());
    desk.refuse("@a.jsonl --tokenizer @other.json", 3, &["other.json", "not a usable tokenizer"]);
    let separator =
        format!("@a.jsonl --tokenizer @own/tokenizer.json --separator {}", "\u{1b}[2J".repeat(500));
    desk.refuse(&separator, 2, &["has no token `\\u{1b}[2J"]);
}
