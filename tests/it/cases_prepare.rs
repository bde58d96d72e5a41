//! `scarce prepare` on inputs that look right and are not, or look strange and are right: copies,
//! token files of other widths, unusual names, nulls, odd packings, text without spaces.

use std::fmt::Write as _;
use std::fs;
use std::io::Write as _;
use std::path::{Path, PathBuf};

use serde_json::{Value, json};

use crate::program::{answer, failure, feed};

/// A scratch directory with files.
pub(crate) struct Desk(tempfile::TempDir);

impl Desk {
    pub(crate) fn new() -> Self {
        Self(tempfile::tempdir().unwrap())
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    pub(crate) fn write(&self, name: &str, content: impl AsRef<[u8]>) {
        let path = self.path(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, content).unwrap();
    }

    /// Words of a command, with `@name` for a path on the desk.
    pub(crate) fn words(&self, line: &str) -> Vec<String> {
        line.split_whitespace()
            .map(|word| match word.split_once('@') {
                Some((before, name)) => format!("{before}{}", self.path(name).display()),
                None => word.to_owned(),
            })
            .collect()
    }

    /// What `scarce prepare LINE` says of the corpus that it wrote, which is removed.
    pub(crate) fn prepare(&self, line: &str) -> Value {
        let words = self.words(&format!("prepare {line} --threads 2 --out @corpus --json"));
        let answer = answer(words);
        fs::remove_dir_all(self.path("corpus")).unwrap();
        serde_json::from_str(&answer).unwrap()
    }

    /// `scarce prepare LINE` fails with this code and message, which is short and printable.
    pub(crate) fn refuse(&self, line: &str, code: i32, parts: &[&str]) {
        let (found, errors) = failure(self.words(&format!("prepare {line} --out @corpus")));
        for part in parts {
            assert!(errors.contains(part), "`{line}` says {errors:?}, not {part:?}");
        }
        assert_eq!(found, code, "`{line}`: {errors}");
        assert!(errors.len() <= 500, "{} bytes: {errors}", errors.len());
        assert!(!errors.contains(|c: char| c.is_control() && c != '\n'), "{errors:?}");
        assert!(!self.path("corpus").exists());
    }
}

/// A text that repeats little: paragraph `n`.
pub(crate) fn paragraph(n: u64) -> String {
    format!("Paragraph {n} of {}, and {} words more in {}.", n * n, n * 7919 % 10_007, n * 31 % 97)
}

/// Documents as JSON lines.
pub(crate) fn lines(documents: impl IntoIterator<Item = u64>) -> String {
    documents.into_iter().map(|n| format!("{}\n", json!({ "text": paragraph(n) }))).collect()
}

fn gzip(content: &[u8]) -> Vec<u8> {
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    encoder.write_all(content).unwrap();
    encoder.finish().unwrap()
}

fn has_note(answer: &Value, part: &str) -> bool {
    answer["notes"].as_array().unwrap().iter().any(|note| note.as_str().unwrap().contains(part))
}

fn documents(answer: &Value) -> [u64; 3] {
    ["train", "val", "test"]
        .map(|split| answer["manifest"]["splits"][split]["documents"].as_u64().unwrap())
}

#[test]
fn copies_of_documents_count_once() {
    let desk = Desk::new();
    desk.write("a.jsonl", lines(0..150));
    desk.write("copy.jsonl.gz", gzip(lines(0..150).as_bytes()));
    desk.write("shuffled.jsonl", lines((0..150).map(|n| n * 7 % 150)));
    desk.write("twice.jsonl", lines((0..150).flat_map(|n| [n, n])));
    desk.write("concatenated.jsonl", lines((0..150).chain(0..150)));
    let once = desk.prepare("@a.jsonl");
    assert!(!has_note(&once, "copies"));
    assert_eq!(once["manifest"]["input"]["copies_left_out"], Value::Null);
    for line in [
        "@a.jsonl @a.jsonl",
        "@a.jsonl @copy.jsonl.gz",
        "@a.jsonl @shuffled.jsonl",
        "@twice.jsonl",
        "@concatenated.jsonl",
    ] {
        let again = desk.prepare(line);
        assert_eq!(again["manifest"]["id"], once["manifest"]["id"], "{line}");
        assert_eq!(again["manifest"]["input"]["copies_left_out"], 150, "{line}");
        assert!(has_note(&again, "150 documents are copies of others and were left out"));
    }
    // Kept in the training split by wish; the others stay unique in any case.
    let kept = desk.prepare("@a.jsonl @copy.jsonl.gz --keep-duplicates");
    let ([train, val, test], [all, ..]) = (documents(&once), documents(&kept));
    assert_eq!(documents(&kept), [2 * train, val, test]);
    assert_eq!(kept["manifest"]["input"]["copies_kept"], all - train);
    assert_eq!(kept["manifest"]["input"]["copies_left_out"], val + test);
    // Splits that are given, and side sets.
    desk.write("val.jsonl", lines((200..240).chain(200..240)));
    let given = desk.prepare("@a.jsonl --val @val.jsonl --test @val.jsonl --side other=@val.jsonl");
    assert_eq!(documents(&given), [150, 40, 40]);
    assert_eq!(given["manifest"]["side"]["other"]["documents"], 40);
    assert_eq!(given["manifest"]["side"]["other"]["input"]["copies_left_out"], 40);
}

#[test]
fn a_book_given_twice_is_one_book() {
    let desk = Desk::new();
    let book: String = (0..2000).map(|n| paragraph(n) + "\n\n").collect();
    desk.write("book.txt", &book);
    desk.write("copy/of/book.md", &book);
    let once = desk.prepare("@book.txt");
    let twice = desk.prepare("@book.txt @copy");
    assert_eq!(twice["manifest"]["id"], once["manifest"]["id"]);
    assert_eq!(twice["manifest"]["input"]["copies_left_out"], 1);
    let kept = desk.prepare("@book.txt @copy --keep-duplicates");
    let ([train, val, test], of_kept) = (documents(&once), documents(&kept));
    assert_eq!(of_kept, [2 * train, val, test]);
}

/// Documents of tokens below `vocabulary`, each after the separator 0.
fn tokens(vocabulary: u64) -> Vec<u64> {
    let mut state = 1_u64;
    let mut next = || {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
        1 + (state >> 33) % (vocabulary - 1)
    };
    (0..150)
        .flat_map(|_| [0].into_iter().chain((0..20).map(|_| next()).collect::<Vec<_>>()))
        .collect()
}

fn packed<const N: usize>(tokens: &[u64], pack: impl Fn(u64) -> [u8; N]) -> Vec<u8> {
    tokens.iter().flat_map(|&token| pack(token)).collect()
}

#[test]
fn token_files_of_other_widths_are_refused_or_read_rightly() {
    let desk = Desk::new();
    let small = tokens(60);
    let medium = tokens(50_000);
    let large = tokens(100_000);
    desk.write(
        "filled.bin",
        packed(&medium, |t| (if t % 20 == 0 { -1 } else { t as i32 }).to_le_bytes()),
    );
    desk.write("u8.bin", packed(&small, |t| [t as u8]));
    desk.write("u16-small.bin", packed(&small, |t| (t as u16).to_le_bytes()));
    desk.write("u32-small.bin", packed(&small, |t| (t as u32).to_le_bytes()));
    desk.write("u16.bin", packed(&medium, |t| (t as u16).to_le_bytes()));
    desk.write("u32.bin", packed(&medium, |t| (t as u32).to_le_bytes()));
    desk.write("u64.bin", packed(&medium, |t| t.to_le_bytes()));
    desk.write("reversed.bin", packed(&medium, |t| (t as u32).to_be_bytes()));
    desk.write("u32-large.bin", packed(&large, |t| (t as u32).to_le_bytes()));
    desk.write("u64-large.bin", packed(&large, |t| t.to_le_bytes()));
    let read = |line: &str, vocabulary| {
        let line = format!("@{line} --vocab {vocabulary} --separator 0");
        desk.prepare(&line)["manifest"]["id"].clone()
    };
    let right = read("u16.bin", 50_000);
    assert_eq!(read("u32.bin --token-width u32", 50_000), right);
    assert_eq!(read("u64.bin --token-width i64", 50_000), right);
    assert_eq!(read("u16.bin --token-width u16", 50_000), right);
    assert_eq!(read("u8.bin --token-width u8", 60), read("u16-small.bin", 60));
    assert_eq!(
        read("u32-large.bin --token-width i32", 100_000),
        read("u64-large.bin --token-width u64", 100_000)
    );
    let refuse = |line: &str, parts: &[&str]| {
        desk.refuse(&format!("@{line} --vocab 100000 --separator 0"), 3, parts);
    };
    for name in ["u32-small.bin", "u32.bin", "u32-large.bin", "filled.bin"] {
        refuse(name, &[name, "seem to have 32 bits", "`--token-width u32`"]);
    }
    for name in ["u64.bin", "u64-large.bin"] {
        refuse(name, &[name, "seem to have 64 bits", "`--token-width u64`"]);
    }
    refuse("reversed.bin", &["in reverse order", "<u4"]);
    let of_bytes = "@u8.bin --vocab 60 --separator 0";
    desk.refuse(of_bytes, 3, &["outside the vocabulary of 60", "`--token-width`"]);
    for (name, start, what) in [
        ("array.bin", &b"\x93NUMPY\x01\0"[..], "an array of NumPy"),
        ("pytorch_model.bin", b"PK\x03\x04\0\0", "a zip file"),
        ("packed.bin", b"\x1f\x8b\x08\0", "packed by gzip"),
        ("table.bin", b"PAR1", "a Parquet file"),
    ] {
        desk.write(name, [start, &[7; 300]].concat());
        refuse(name, &[name, what]);
    }
}

/// An index of Megatron for documents of `lengths` tokens each; a type code as NumPy's are there.
fn megatron_index(kind: u8, lengths: &[i32]) -> Vec<u8> {
    let mut index = b"MMIDIDX\0\0".to_vec();
    index.extend(1_u64.to_le_bytes());
    index.push(kind);
    index.extend((lengths.len() as u64).to_le_bytes());
    index.extend((lengths.len() as u64 + 1).to_le_bytes());
    lengths.iter().for_each(|length| index.extend(length.to_le_bytes()));
    lengths.iter().for_each(|_| index.extend([0; 8]));
    (0..=lengths.len() as i64).for_each(|first| index.extend(first.to_le_bytes()));
    index
}

#[test]
fn megatrons_index_says_how_its_tokens_are_read() {
    let desk = Desk::new();
    let tokens = tokens(5000);
    desk.write("plain.bin", packed(&tokens, |t| (t as u16).to_le_bytes()));
    let right = desk.prepare("@plain.bin --vocab 5000 --separator 0");
    // Without separators, which the index makes needless.
    let bare: Vec<u64> = tokens.iter().copied().filter(|&token| token != 0).collect();
    desk.write("m/data.bin", packed(&bare, |t| (t as u32).to_le_bytes()));
    desk.write("m/data.idx", megatron_index(4, &[20; 150]));
    let line = "@m --vocab 5000 --separator 0";
    let read = desk.prepare(line);
    assert_eq!(read["manifest"]["id"], right["manifest"]["id"]);
    assert!(has_note(&read, "1 token files were read as the .idx files of Megatron"));
    assert!(!has_note(&read, "passed over"));
    desk.write("m/data.idx", megatron_index(4, &[20; 149]));
    desk.refuse(line, 3, &["data.bin", "as many tokens as the .idx file", "--token-width"]);
    desk.write("m/data.idx", &megatron_index(4, &[20; 150])[..200]);
    desk.refuse(line, 3, &["data.idx", "cut short"]);
    desk.write("m/data.idx", megatron_index(7, &[20; 150]));
    desk.refuse(line, 3, &["data.idx", "no integers"]);
    desk.write("m/data.idx", [b"MMIDIDX\0\0", &[0xFF; 25][..]].concat());
    desk.refuse(line, 3, &["data.idx", "not an index of Megatron", "`--token-width` reads"]);
    // As the hint says: with a width an index is nobody's business.
    desk.write("m/data.bin", packed(&tokens, |t| (t as u32).to_le_bytes()));
    let alone = desk.prepare(&format!("{line} --token-width u32"));
    assert_eq!(alone["manifest"]["id"], right["manifest"]["id"]);
}

#[test]
fn usual_names_of_json_are_read() {
    let desk = Desk::new();
    let text = lines(0..150);
    let objects: Vec<Value> = (0..150).map(|n| json!({ "text": paragraph(n) })).collect();
    desk.write("a.jsonl", &text);
    let right = desk.prepare("@a.jsonl")["manifest"]["id"].clone();
    desk.write("c4/c4-train.00000.json.gz", gzip(text.as_bytes()));
    desk.write("lines.json", &text);
    desk.write("list.json", serde_json::to_string(&objects).unwrap());
    desk.write("pretty.json", serde_json::to_string_pretty(&objects).unwrap());
    desk.write(
        "list.json.zst",
        zstd::encode_all(&fs::read(desk.path("list.json")).unwrap()[..], 1).unwrap(),
    );
    desk.write("a.ndjson", &text);
    desk.write("bare", &text);
    desk.write("odd.data", &text);
    let bom = ["\u{feff}", &text].concat();
    desk.write("bom.json", bom);
    for line in [
        "@c4",
        "@c4/c4-train.00000.json.gz",
        "@lines.json",
        "@list.json",
        "@pretty.json",
        "@list.json.zst",
        "@a.ndjson",
        "@bom.json",
        "@bare --format jsonl",
        "@odd.data --format json",
        "@pretty.json --format json",
    ] {
        assert_eq!(desk.prepare(line)["manifest"]["id"], right, "{line}");
    }
    desk.refuse("@bare", 2, &["bare", "`--format text`", "`--format jsonl`"]);
    desk.write("t/table.csv", "text\na\n");
    desk.refuse("@t", 3, &["one was passed over, `t/table.csv`", "duckdb"]);
    desk.write("u/notes", "text");
    desk.write("u/more.tex", "text");
    desk.refuse("@u", 3, &["2 were passed over, `u/more.tex` among them", "`--format text`"]);
    desk.write("s/settings.json", "{}");
    desk.refuse("@s", 3, &["`s/settings.json`", "`--format json`"]);
    desk.write("x/a.bz2", "BZh");
    desk.refuse("@x/a.bz2", 2, &["bunzip2"]);
    desk.write("packed.jsonl", gzip(text.as_bytes()));
    desk.refuse("@packed.jsonl", 3, &["packed.jsonl", "packed by gzip", "ends in `.gz`"]);
    desk.write("plain.jsonl.gz", &text);
    desk.refuse("@plain.jsonl.gz", 3, &["plain.jsonl.gz", "not packed"]);
    let utf16: Vec<u8> = "\u{feff}{}".encode_utf16().flat_map(u16::to_le_bytes).collect();
    desk.write("wide.jsonl", utf16);
    desk.refuse("@wide.jsonl", 3, &["wide.jsonl", "UTF-16", "iconv"]);
    desk.write("cut.json", &serde_json::to_string(&objects).unwrap()[..500]);
    desk.refuse("@cut.json", 3, &["cut.json:1", "cut short"]);
    desk.write("words.json", "[1, 2]");
    desk.refuse("@words.json", 3, &["words.json:1", "expected an object"]);
}

#[test]
fn standard_input_is_read_whatever_it_holds() {
    let desk = Desk::new();
    let text = lines(0..150);
    desk.write("a.jsonl", &text);
    let right = desk.prepare("@a.jsonl")["manifest"]["id"].clone();
    // Neither a pipe nor a file needs a name.
    let prepare = |line: &str, content: &[u8]| {
        let words = desk.words(&format!("prepare {line} --out @corpus --json"));
        let output = feed(words, content);
        assert!(output.status.success(), "{line}");
        fs::remove_dir_all(desk.path("corpus")).unwrap();
        let left: Vec<_> = fs::read_dir(desk.0.path()).unwrap().collect();
        assert_eq!(left.len(), 1, "{left:?}");
        serde_json::from_slice::<Value>(&output.stdout).unwrap()
    };
    let read = prepare("-", text.as_bytes());
    assert_eq!(read["manifest"]["id"], right);
    assert_eq!(read["manifest"]["input"]["files"], json!(["standard input"]));
    assert!(has_note(&read, "standard input was read as JSON lines"));
    assert_eq!(prepare("-", &gzip(text.as_bytes()))["manifest"]["id"], right);
    let packed = zstd::encode_all(text.as_bytes(), 1).unwrap();
    assert_eq!(prepare("/dev/stdin", &packed)["manifest"]["id"], right);
    let given = prepare("- --format jsonl", &packed);
    assert_eq!(given["manifest"]["id"], right);
    assert!(!has_note(&given, "standard input"));
    desk.refuse("- -", 2, &["`-` is given twice"]);
    desk.refuse("-", 3, &["there is no text"]);
}

#[test]
fn nulls_and_paths_that_end_early_are_documents_without_text() {
    let desk = Desk::new();
    let flat = |n: u64| json!({ "text": paragraph(n) }).to_string() + "\n";
    desk.write("a.jsonl", lines(0..150));
    let right = desk.prepare("@a.jsonl");
    desk.write("null.jsonl", format!("{{\"text\": null}}\n{}", lines(0..150)));
    let mut nested =
        String::from("{\"raw\": {\"content\": null}}\n{\"raw\": null}\n{\"raw\": {}}\n");
    for n in 0..150 {
        let _ = writeln!(nested, "{}", json!({ "id": n, "raw": { "content": paragraph(n) } }));
    }
    desk.write("nested.jsonl", &nested);
    for (line, empty) in [("@null.jsonl", 1), ("@nested.jsonl --text-field raw.content", 3)] {
        let read = desk.prepare(line);
        assert_eq!(read["manifest"]["id"], right["manifest"]["id"], "{line}");
        assert_eq!(read["manifest"]["input"]["empty_documents"], empty);
        assert_eq!(read["manifest"]["input"]["null_texts"], empty);
        assert!(has_note(&read, "of them null or without the field"));
    }
    // A wrong name is an error in any case.
    desk.refuse("@nested.jsonl --text-field raw.text", 3, &["nested.jsonl:1", "has raw.content"]);
    desk.refuse("@nested.jsonl", 3, &["nested.jsonl:1", "no field `text`", "has raw"]);
    desk.write("mixed.jsonl", flat(1) + "{\"body\": 1}\n");
    desk.refuse("@mixed.jsonl", 3, &["mixed.jsonl:2", "no field `text`"]);
}

#[test]
fn halves_of_surrogate_pairs_follow_the_policy_for_bad_bytes() {
    let desk = Desk::new();
    desk.write(
        "a.jsonl",
        lines(0..150) + "{\"text\": \"half \\ud800 and \\udc00, a pair \\ud83d\\ude00\"}\n",
    );
    desk.write(
        "b.jsonl",
        lines(0..150) + "{\"text\": \"half \u{fffd} and \u{fffd}, a pair 😀\"}\n",
    );
    desk.refuse("@a.jsonl", 3, &["a.jsonl:151", "half a surrogate pair", "--invalid-utf8 replace"]);
    let (read, right) = (desk.prepare("@a.jsonl --invalid-utf8 replace"), desk.prepare("@b.jsonl"));
    assert_eq!(read["manifest"]["id"], right["manifest"]["id"]);
    assert_eq!(read["manifest"]["input"]["replaced_characters"], 2);
    // Elsewhere in the line they do not matter.
    desk.write("c.jsonl", lines(0..150) + "{\"\\ud800\": \"\\udfff\", \"text\": \"\"}\n");
    assert_eq!(desk.prepare("@c.jsonl")["manifest"]["input"]["empty_documents"], 1);
}

#[test]
fn messages_stay_short_and_printable_whatever_a_file_holds() {
    let desk = Desk::new();
    let long = "é\u{1b}[31m".repeat(100_000);
    desk.write("key.jsonl", "{\"a\\u001b[2Jb\\u0007\": \"a\"}\n");
    desk.refuse("@key.jsonl", 3, &["key.jsonl:1", "a\\u{1b}[2Jb"]);
    desk.write("keys.jsonl", json!({ long.clone(): 1, "text2": long.clone() }).to_string());
    desk.refuse("@keys.jsonl", 3, &["keys.jsonl:1", "`--text-field` names the field"]);
    desk.write("string.jsonl", json!(long).to_string());
    desk.refuse("@string.jsonl", 3, &["string.jsonl:1", "not a JSON object"]);
    desk.write("enum.jsonl", json!({ "text": { long.clone(): 1 } }).to_string());
    desk.refuse("@enum.jsonl", 3, &["enum.jsonl:1"]);
    desk.write("f/\u{1b}[2J\u{202e}.xyz", "");
    desk.refuse("@f", 3, &["\\u{1b}[2J\\u{202e}.xyz"]);
    desk.write("a.txt", "a");
    let field = format!("prepare @key.jsonl --out @corpus --text-field {}", "x".repeat(5000));
    let (code, errors) = failure(desk.words(&field));
    assert!(code == 3 && errors.len() < 500, "{errors}");
}

/// A zstd file of one frame with this window and stored blocks.
fn zstd_with_window(log: u8, content: &[u8]) -> Vec<u8> {
    let mut frame = vec![0x28, 0xB5, 0x2F, 0xFD, 0, (log - 10) << 3];
    let blocks: Vec<&[u8]> = content.chunks(100_000).collect();
    for (number, block) in blocks.iter().enumerate() {
        let last = u32::from(number + 1 == blocks.len());
        frame.extend(&(last | (block.len() as u32) << 3).to_le_bytes()[..3]);
        frame.extend_from_slice(block);
    }
    frame
}

#[test]
fn zstd_with_long_windows_is_read() {
    let desk = Desk::new();
    let text = lines(0..1500);
    desk.write("a.jsonl", &text);
    let right = desk.prepare("@a.jsonl")["manifest"]["id"].clone();
    for log in [20, 27, 28, 30, 31] {
        desk.write("long.jsonl.zst", zstd_with_window(log, text.as_bytes()));
        assert_eq!(desk.prepare("@long.jsonl.zst")["manifest"]["id"], right, "2^{log}");
    }
    let frame = zstd_with_window(31, text.as_bytes());
    desk.write("cut.jsonl.zst", &frame[..frame.len() / 2]);
    desk.refuse("@cut.jsonl.zst", 3, &["cut.jsonl.zst", "cut short"]);
}

/// Random letters of an alphabet.
fn letters(alphabet: &str, count: usize, seed: u64) -> String {
    let alphabet: Vec<char> = alphabet.chars().collect();
    let mut state = seed;
    let mut next = || {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
        alphabet[(state >> 33) as usize % alphabet.len()]
    };
    (0..count).map(|_| next()).collect()
}

#[test]
fn text_without_spaces_has_a_default_vocabulary() {
    let desk = Desk::new();
    let han: String = ('\u{4e00}'..'\u{4f00}').collect();
    for (name, alphabet, count) in [
        ("dna", "ACGT", 700),
        ("protein", "ACDEFGHIKLMNPQRSTVWY", 320),
        ("chinese", &*han, 400),
        ("punctuation", "-=*#", 600),
    ] {
        let text: String = (0..130)
            .map(|n| json!({ "text": letters(alphabet, count, n) }).to_string() + "\n")
            .collect();
        desk.write(&format!("{name}.jsonl"), text);
        let answer = desk.prepare(&format!("@{name}.jsonl"));
        let manifest = &answer["manifest"];
        assert_eq!(manifest["tokenizer"]["token_bytes_exact"], true);
        let train = &manifest["splits"]["train"];
        let (tokens, bytes) = (train["tokens"].as_u64().unwrap(), train["bytes"].as_u64().unwrap());
        // Merges are learned, and not one token for each byte.
        assert!(tokens * 20 < bytes * 19, "{name}: {tokens} tokens of {bytes} bytes");
    }
    // A text that repeats nothing has bytes only, and that is what it gets.
    let text: String = (0..120_u32)
        .map(|n| {
            json!({ "text": char::from_u32(0x4e00 + n).unwrap().to_string() }).to_string() + "\n"
        })
        .collect();
    desk.write("few.jsonl", text);
    let few = desk.prepare("@few.jsonl")["manifest"]["vocabulary"].as_u64().unwrap();
    assert!((257..320).contains(&few), "{few}");
    desk.refuse("@few.jsonl --vocab 320", 2, &["vocabulary of 320 is too large"]);
}

#[cfg(feature = "parquet")]
mod parquet_files {
    use std::sync::Arc;

    use parquet::basic::Compression;
    use parquet::data_type::{ByteArray, ByteArrayType};
    use parquet::file::properties::WriterProperties;
    use parquet::file::writer::SerializedFileWriter;
    use parquet::schema::parser::parse_message_type;

    use super::*;

    /// A file with one column of texts; a null where there is none.
    fn parquet(schema: &str, packing: Compression, texts: &[Option<String>]) -> Vec<u8> {
        let parsed = Arc::new(parse_message_type(schema).unwrap());
        let properties = Arc::new(WriterProperties::builder().set_compression(packing).build());
        let mut writer = SerializedFileWriter::new(Vec::new(), parsed, properties).unwrap();
        let mut group = writer.next_row_group().unwrap();
        let mut column = group.next_column().unwrap().unwrap();
        let present = schema.matches("OPTIONAL").count() as i16;
        let levels: Vec<i16> =
            texts.iter().map(|text| if text.is_some() { present } else { 0 }).collect();
        let values: Vec<ByteArray> =
            texts.iter().flatten().map(|text| ByteArray::from(text.as_str())).collect();
        column.typed::<ByteArrayType>().write_batch(&values, Some(&levels), None).unwrap();
        column.close().unwrap();
        group.close().unwrap();
        writer.into_inner().unwrap()
    }

    #[test]
    fn packings_nulls_and_nested_columns_are_read() {
        let desk = Desk::new();
        desk.write("a.jsonl", lines(0..150));
        let right = desk.prepare("@a.jsonl")["manifest"]["id"].clone();
        let texts: Vec<_> =
            [None].into_iter().chain((0..150).map(|n| Some(paragraph(n)))).collect();
        let flat = "message m { OPTIONAL BYTE_ARRAY text (UTF8); }";
        let nested = "message m { OPTIONAL GROUP raw { OPTIONAL BYTE_ARRAY content (UTF8); } }";
        for packing in [Compression::LZ4, Compression::LZ4_RAW, Compression::SNAPPY] {
            desk.write("a.parquet", parquet(flat, packing, &texts));
            let read = desk.prepare("@a.parquet");
            assert_eq!(read["manifest"]["id"], right, "{packing}");
            assert_eq!(read["manifest"]["input"]["null_texts"], 1);
        }
        desk.write("n.parquet", parquet(nested, Compression::SNAPPY, &texts));
        let read = desk.prepare("@n.parquet --text-field raw.content");
        assert_eq!(read["manifest"]["id"], right);
        desk.refuse("@n.parquet", 3, &["no column `text`", "raw.content"]);
        desk.write("a.data", parquet(flat, Compression::SNAPPY, &texts));
        assert_eq!(desk.prepare("@a.data --format parquet")["manifest"]["id"], right);
        let names = "message m { OPTIONAL BYTE_ARRAY a\u{1b}[2J (UTF8); }";
        desk.write("e.parquet", parquet(names, Compression::SNAPPY, &texts));
        desk.refuse("@e.parquet", 3, &["a\\u{1b}[2J"]);
    }

    #[test]
    fn brotli_is_told_from_damage() {
        let desk = Desk::new();
        let case = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/cases/brotli.parquet");
        desk.write("b.parquet", fs::read(case).unwrap());
        desk.refuse("@b.parquet", 3, &["packed with Brotli, which is not read", "duckdb"]);
    }
}
