//! Tests of reading, through files on disk.

use std::fs;
use std::io::Write;
use std::path::{Path, PathBuf};

use super::*;

/// The contents of documents, as they come; stops after `limit` of them.
struct Recorder<C> {
    documents: Vec<(Head, C)>,
    limit: usize,
}

impl<C: Content> Visitor<C> for Recorder<C> {
    fn document(&mut self, head: Head) -> Result<ControlFlow<()>> {
        if self.documents.len() == self.limit {
            return Ok(ControlFlow::Break(()));
        }
        self.documents.push((head, C::default()));
        Ok(ControlFlow::Continue(()))
    }

    fn part(&mut self, part: &C::Part) -> Result<()> {
        self.documents.last_mut().unwrap().1.append(part);
        Ok(())
    }

    fn end(&mut self) -> Result<()> {
        let (head, content) = self.documents.last().unwrap();
        assert_eq!((head.key, head.length), (content.key(), content.length() as u64));
        Ok(())
    }
}

pub(crate) fn reading() -> Reading {
    Reading {
        text_field: "text".to_owned(),
        invalid_utf8: InvalidUtf8::Refuse,
        separator: Some(0),
        vocabulary: Some(1000),
        token_integer: None,
    }
}

fn files(path: &Path) -> Vec<InputFile> {
    expand(&[path.to_owned()], &Sources::default()).unwrap().0
}

fn texts_of(path: &Path, reading: &Reading) -> Result<(Vec<String>, ReadCounts)> {
    let mut recorder = Recorder { documents: Vec::new(), limit: usize::MAX };
    let counts = visit::<String>(&files(path), reading, &mut recorder, &mut ())?;
    Ok((recorder.documents.into_iter().map(|(_, text)| text).collect(), counts))
}

fn tokens_of(path: &Path, reading: &Reading) -> Result<Vec<Vec<u32>>> {
    let mut recorder = Recorder { documents: Vec::new(), limit: usize::MAX };
    visit::<Vec<u32>>(&files(path), reading, &mut recorder, &mut ())?;
    Ok(recorder.documents.into_iter().map(|(_, tokens)| tokens).collect())
}

/// A file of this name and content.
fn file(name: &str, content: &[u8]) -> (tempfile::TempDir, PathBuf) {
    let above = tempfile::tempdir().unwrap();
    let path = above.path().join(name);
    fs::write(&path, content).unwrap();
    (above, path)
}

pub(crate) fn gzip(content: &[u8]) -> Vec<u8> {
    let mut packed = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    packed.write_all(content).unwrap();
    packed.finish().unwrap()
}

/// An error of reading this file must name it, contain `part`, and be an error of data.
fn check_error(name: &str, content: &[u8], part: &str) {
    let (_above, path) = file(name, content);
    let error = match path.extension().is_some_and(|extension| extension == "bin") {
        true => tokens_of(&path, &reading()).map(drop).unwrap_err(),
        false => texts_of(&path, &reading()).map(drop).unwrap_err(),
    };
    let text = error.to_string();
    assert!(text.contains(part) && text.contains(name), "{text}");
    assert_eq!(error.exit_code(), 3, "{text}");
}

const LINES: &str = concat!(
    "{\"text\": \"One.\"}\n\n{\"id\": 2, \"text\": \"Two é\\nlines\"}\n",
    "{\"text\": \"\"}\n{\"text\": \"Three\"}",
);

#[test]
fn texts_are_read_from_every_packing() {
    let text = "A paragraph.\n\nAnother, é漢🙂.\n".repeat(40_000);
    for (name, content) in [
        ("a.txt", text.clone().into_bytes()),
        ("a.md.gz", gzip(text.as_bytes())),
        ("a.txt.zst", zstd::encode_all(text.as_bytes(), 1).unwrap()),
    ] {
        let (_above, path) = file(name, &content);
        assert!(texts_of(&path, &reading()).unwrap().0 == [text.clone()], "{name}");
    }
}

#[test]
fn json_lines_are_read_from_every_packing() {
    for (name, content) in [
        ("a.jsonl", LINES.as_bytes().to_vec()),
        ("a.ndjson.gz", gzip(LINES.as_bytes())),
        ("a.jsonl.zst", zstd::encode_all(LINES.as_bytes(), 1).unwrap()),
    ] {
        let (_above, path) = file(name, &content);
        let (texts, counts) = texts_of(&path, &reading()).unwrap();
        assert_eq!(texts, ["One.", "Two é\nlines", "Three"]);
        assert_eq!(counts.empty_documents, 1);
    }
}

#[test]
fn members_of_a_gzip_file_are_joined() {
    let mut packed = gzip(b"One ");
    packed.extend(gzip(b"two"));
    let (_above, path) = file("a.txt.gz", &packed);
    assert_eq!(texts_of(&path, &reading()).unwrap().0, ["One two"]);
}

#[test]
fn reading_stops_when_asked() {
    let (_above, path) = file("a.jsonl", LINES.as_bytes());
    let mut recorder = Recorder::<String> { documents: Vec::new(), limit: 1 };
    visit::<String>(&files(&path), &reading(), &mut recorder, &mut ()).unwrap();
    assert_eq!(recorder.documents.len(), 1);
}

#[test]
fn damaged_packings_are_errors() {
    let text: String = (0..20_000).map(|n| format!("{}\n", n * 7919 % 10_007)).collect();
    let packed = gzip(text.as_bytes());
    let mut encoder = zstd::Encoder::new(Vec::new(), 1).unwrap();
    encoder.include_checksum(true).unwrap();
    encoder.write_all(text.as_bytes()).unwrap();
    let zstd = encoder.finish().unwrap();
    for part in [1, 3] {
        check_error("a.txt.gz", &packed[..packed.len() * part / 4], "gzip stream ends early");
        check_error("a.txt.zst", &zstd[..zstd.len() * part / 4], "zstd stream ends early");
    }
    let mut bad = packed.clone();
    bad[packed.len() / 2] ^= 0xFF;
    check_error("a.jsonl.gz", &bad, "");
    let mut bad = zstd.clone();
    bad[zstd.len() / 2] ^= 0xFF;
    check_error("a.txt.zst", &bad, "zstd stream is damaged");
    check_error("a.txt.gz", b"not packed at all", "gzip stream is damaged");
    check_error("a.txt.zst", b"not packed at all", "zstd stream");
}

#[test]
fn damaged_texts_are_errors_that_name_the_place() {
    check_error("a.txt", b"Some text\xff\xfe", "invalid UTF-8 at byte 9");
    check_error("a.txt", &[0; 5000], "binary file");
    check_error(
        "a.jsonl",
        b"{\"text\": \"a\"}\n{\"text\": \"\xff\"}\n",
        "a.jsonl:2: invalid UTF-8 at byte 10",
    );
    check_error(
        "a.jsonl",
        b"{\"text\": \"a\"}\n\n{\"body\": \"b\"}\n",
        "a.jsonl:3: there is no field",
    );
    check_error("a.jsonl", b"{\"text\": \"a\"}\nplain text\n", "a.jsonl:2: not a JSON object");
}

#[test]
fn invalid_utf8_is_replaced_when_asked() {
    let reading = Reading { invalid_utf8: InvalidUtf8::Replace, ..reading() };
    for (name, content) in [("a.txt", &b"a\xffb"[..]), ("a.jsonl", b"{\"text\": \"a\xffb\"}")] {
        let (_above, path) = file(name, content);
        let (texts, counts) = texts_of(&path, &reading).unwrap();
        assert_eq!(texts, ["a\u{fffd}b"]);
        assert_eq!(counts.replaced_characters, 1);
    }
}

#[test]
fn blank_files_are_counted() {
    for (name, content) in
        [("a.txt", &b""[..]), ("a.txt", b" \n\n "), ("a.jsonl", b"{\"text\":\" \"}")]
    {
        let (_above, path) = file(name, content);
        let (texts, counts) = texts_of(&path, &reading()).unwrap();
        assert_eq!((texts.len(), counts.empty_documents), (0, 1));
    }
}

#[test]
fn a_file_that_changes_between_passes_is_an_error() {
    let (_above, path) = file("a.txt", b"before");
    let listed = files(&path);
    fs::write(&path, "after, and longer").unwrap();
    let mut recorder = Recorder::<String> { documents: Vec::new(), limit: usize::MAX };
    let error = visit::<String>(&listed, &reading(), &mut recorder, &mut ());
    // The recorder notices nothing: the file is consistent in itself.
    assert!(error.unwrap_err().to_string().contains("was changed while it was read"));
}

/// llm.c's header and these tokens.
fn llmc(magic: i32, version: i32, tokens: &[u32], wide: bool) -> Vec<u8> {
    let mut header = vec![0_i32; 256];
    header[..3].copy_from_slice(&[magic, version, tokens.len() as i32]);
    let mut bytes: Vec<u8> = header.iter().flat_map(|word| word.to_le_bytes()).collect();
    bytes.extend(raw(tokens, wide));
    bytes
}

fn raw(tokens: &[u32], wide: bool) -> Vec<u8> {
    let narrow = |&token: &u32| (token as u16).to_le_bytes().to_vec();
    tokens.iter().flat_map(|t| if wide { t.to_le_bytes().to_vec() } else { narrow(t) }).collect()
}

#[test]
fn token_files_of_every_kind_give_the_same_documents() {
    let before = [0, 5, 6, 7, 0, 8, 0, 9, 9];
    let after = [5, 6, 7, 0, 8, 0, 9, 9, 0];
    for content in [
        raw(&before, false),
        raw(&after, false),
        llmc(20_240_520, 1, &before, false),
        llmc(20_240_801, 7, &before, true),
    ] {
        let (_above, path) = file("a.bin", &content);
        let documents = tokens_of(&path, &reading()).unwrap();
        assert_eq!(documents, [vec![5, 6, 7], vec![8], vec![9, 9]]);
    }
    let (_above, path) = file("a.bin", &raw(&before, false));
    let whole = Reading { separator: None, ..reading() };
    assert_eq!(tokens_of(&path, &whole).unwrap(), [before.to_vec()]);
}

#[test]
fn damaged_token_files_are_errors() {
    let good = llmc(20_240_520, 1, &[0, 5, 6, 7], false);
    check_error("a.bin", &good[..good.len() - 2], "less tokens than its header says");
    check_error("a.bin", &good[..100], "less tokens than its header says");
    check_error("a.bin", &good[..6], "less tokens than its header says");
    check_error("a.bin", &[&good[..], b"xx"].concat(), "2 bytes after its tokens");
    check_error("a.bin", &llmc(20_240_520, 3, &[0], false), "version 3 is not known");
    check_error("a.bin", &raw(&[0, 5, 6], false)[..5], "an even number of bytes");
    check_error("a.bin", &raw(&[0, 1000], false), "token 1000 is outside the vocabulary of 1000");
    let mut hostile = good.clone();
    hostile[8..12].copy_from_slice(&(-5_i32).to_le_bytes());
    check_error("a.bin", &hostile, "promises -5 tokens");
    hostile[8..12].copy_from_slice(&i32::MAX.to_le_bytes());
    check_error("a.bin", &hostile, "less tokens than its header says");
}

#[cfg(feature = "parquet")]
mod parquet_files {
    use super::*;
    use ::parquet::data_type::{ByteArray, ByteArrayType, Int32Type};
    use ::parquet::file::properties::WriterProperties;
    use ::parquet::file::writer::SerializedFileWriter;
    use ::parquet::schema::parser::parse_message_type;
    use std::sync::Arc;

    /// A file with an integer and a nullable text column, in row groups of two.
    fn parquet(texts: &[Option<&[u8]>]) -> Vec<u8> {
        let schema = "message m { required int32 id; optional binary text (UTF8); }";
        let schema = Arc::new(parse_message_type(schema).unwrap());
        let properties = WriterProperties::builder()
            .set_compression(::parquet::basic::Compression::SNAPPY)
            .build();
        let mut writer =
            SerializedFileWriter::new(Vec::new(), schema, Arc::new(properties)).unwrap();
        for rows in texts.chunks(2) {
            let mut group = writer.next_row_group().unwrap();
            let mut column = group.next_column().unwrap().unwrap();
            let ids: Vec<i32> = (0..rows.len() as i32).collect();
            column.typed::<Int32Type>().write_batch(&ids, None, None).unwrap();
            column.close().unwrap();
            let mut column = group.next_column().unwrap().unwrap();
            let values: Vec<ByteArray> =
                rows.iter().flatten().map(|text| ByteArray::from(text.to_vec())).collect();
            let levels: Vec<i16> = rows.iter().map(|text| i16::from(text.is_some())).collect();
            column.typed::<ByteArrayType>().write_batch(&values, Some(&levels), None).unwrap();
            column.close().unwrap();
            group.close().unwrap();
        }
        writer.into_inner().unwrap()
    }

    #[test]
    fn texts_are_read_and_nulls_are_empty() {
        let content = parquet(&[Some(b"One."), None, Some("Zwei é".as_bytes()), Some(b"Three")]);
        let (_above, path) = file("a.parquet", &content);
        let (texts, counts) = texts_of(&path, &reading()).unwrap();
        assert_eq!(texts, ["One.", "Zwei é", "Three"]);
        assert_eq!(counts.empty_documents, 1);
    }

    #[test]
    fn other_columns_and_damage_are_errors() {
        let content = parquet(&[Some(b"One."), Some(b"T\xffwo"), Some(b"Three")]);
        check_error("a.parquet", &content, "row 2: invalid UTF-8 at byte 1");
        let content = parquet(&[Some(b"One."), Some(b"Two")]);
        let (_above, path) = file("a.parquet", &content);
        for (field, part) in [("body", "columns of texts are: text"), ("id", "does not hold texts")]
        {
            let reading = Reading { text_field: field.to_owned(), ..reading() };
            let error = texts_of(&path, &reading).unwrap_err().to_string();
            assert!(error.contains(part), "{error}");
        }
        for length in [0, 3, content.len() / 2, content.len() - 1] {
            check_error("a.parquet", &content[..length], "not a complete Parquet file");
        }
    }

    #[test]
    fn random_damage_never_panics() {
        let content = parquet(&[Some(b"One."), None, Some(&[b'x'; 300]), Some(b"Three")]);
        let mut state = 3_u64;
        for _ in 0..400 {
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
            let mut bad = content.clone();
            let at = (state >> 33) as usize % bad.len();
            bad[at] ^= (state >> 20) as u8 | 1;
            let (_above, path) = file("a.parquet", &bad);
            let _ = texts_of(&path, &reading());
        }
    }
}
