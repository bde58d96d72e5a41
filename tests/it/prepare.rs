//! `scarce prepare` as a program: inputs of every kind, bad input, full and read-only disks, kills.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use crate::program::{answer, failure, scarce};

/// A scratch directory with files.
struct Desk(tempfile::TempDir);

impl Desk {
    fn new() -> Self {
        Self(tempfile::tempdir().unwrap())
    }

    fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    fn write(&self, name: &str, content: impl AsRef<[u8]>) {
        let path = self.path(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, content).unwrap();
    }

    /// Words of a command, with `@name` for a path on the desk.
    fn words(&self, line: &str) -> Vec<String> {
        line.split_whitespace()
            .map(|word| match word.strip_prefix('@') {
                Some(name) => self.path(name).display().to_string(),
                None => word.to_owned(),
            })
            .collect()
    }

    /// `scarce prepare LINE` fails with this code and message, and writes nothing.
    fn refuse(&self, line: &str, code: i32, parts: &[&str]) {
        let before = names(self.0.path());
        let (found, errors) = failure(self.words(&format!("prepare {line}")));
        for part in parts {
            assert!(errors.contains(part), "`{line}` says {errors:?}, not {part:?}");
        }
        assert_eq!(found, code, "`{line}`: {errors}");
        assert_eq!(names(self.0.path()), before, "`{line}` leaves something");
    }
}

fn names(directory: &Path) -> Vec<String> {
    let entries = fs::read_dir(directory).unwrap();
    let mut names: Vec<String> =
        entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
    names.sort();
    names
}

/// A text of distinct paragraphs.
fn text(paragraphs: u64) -> String {
    (0..paragraphs)
        .map(|n| format!("Paragraph {n} of {}, and {} words more.\n\n", n * n, n * 7919 % 10_007))
        .collect()
}

#[test]
fn a_folder_becomes_a_corpus() {
    let desk = Desk::new();
    desk.write("in/b/two.md", text(1500));
    desk.write("in/one.txt", text(3000));
    desk.write("in/LICENSE", "passed over");
    let line = "prepare @in --out @corpus --vocab 300 --json";
    let summary: serde_json::Value = serde_json::from_str(&answer(desk.words(line))).unwrap();
    let manifest = &summary["manifest"];
    assert_eq!(manifest["input"]["files"], serde_json::json!(["in/b/two.md", "in/one.txt"]));
    assert_eq!(manifest["vocabulary"], 300);
    assert_eq!(manifest["split_policy"]["kind"], "sections");
    assert_eq!(names(&desk.path("corpus")).len(), 9);
    let again: serde_json::Value = serde_json::from_str(&answer(desk.words(line))).unwrap();
    assert_eq!(again["publication"], "already-there");
    assert_eq!(&again["manifest"]["id"], &manifest["id"]);
}

#[test]
fn bad_input_is_refused_with_the_place() {
    let desk = Desk::new();
    desk.write("good.txt", text(3000));
    desk.write("empty.txt", "");
    desk.write("binary.txt", [0; 4096]);
    desk.write("latin1.txt", [text(100).as_bytes(), b"caf\xe9"].concat());
    desk.write("field.jsonl", "{\"text\": \"a\"}\n{\"body\": \"b\"}\n");
    desk.write("broken.jsonl", "{\"text\": \"a\"}\n{\"text\": \"b\n");
    desk.write("cut.txt.gz", b"\x1f\x8b\x08\0\0\0\0\0\0\x03\xcb\x48");
    desk.write("cut.parquet", "PAR1");
    desk.write("odd.bin", [1; 7]);
    desk.write("data.xyz", "?");
    desk.write("tokenizer.json", "{\"model\": ");
    let refuse = |line: &str, code, parts: &[&str]| {
        desk.refuse(&format!("{line} --out @corpus"), code, parts);
    };
    refuse("@none.txt", 3, &["failed to read", "none.txt"]);
    refuse("@empty.txt", 3, &["there is no text in", "empty.txt"]);
    refuse("@binary.txt", 3, &["binary.txt", "binary file"]);
    refuse("@latin1.txt", 3, &["latin1.txt", "invalid UTF-8 at byte", "--invalid-utf8 replace"]);
    refuse("@field.jsonl", 3, &["field.jsonl:2", "no field `text`", "body"]);
    refuse("@broken.jsonl", 3, &["broken.jsonl:2", "not a JSON object"]);
    refuse("@cut.txt.gz", 3, &["cut.txt.gz", "gzip stream ends early"]);
    refuse("@cut.parquet", 3, &["cut.parquet", "not a complete Parquet file"]);
    refuse("@odd.bin --vocab 300", 3, &["odd.bin", "even number of bytes"]);
    refuse("@data.xyz", 2, &["data.xyz", "unknown kind", ".jsonl"]);
    refuse("@good.txt --vocab 256", 2, &["vocabulary of 256 is too small"]);
    refuse("@good.txt --vocab 60000", 2, &["vocabulary of 60000 is too large"]);
    refuse(
        "@good.txt --tokenizer @tokenizer.json",
        3,
        &["tokenizer.json", "not a usable tokenizer"],
    );
    refuse("@good.txt --val-share 0.9 --test-share 0.2", 2, &["leave no training text"]);
    desk.refuse("--synthetic poket --out @corpus", 2, &["did you mean `pocket`?"]);
    desk.refuse("@good.txt --out @data.xyz", 2, &["data.xyz", "is a file"]);
    desk.write("folder/precious.txt", "");
    desk.refuse("@good.txt --out @folder --force", 2, &["holds `precious.txt`"]);
}

#[test]
fn another_corpus_is_replaced_only_by_force() {
    let desk = Desk::new();
    desk.write("good.txt", text(3000));
    answer(desk.words("prepare --synthetic pocket --out @corpus"));
    desk.refuse("@good.txt --vocab 300 --out @corpus", 2, &["holds another corpus", "--force"]);
    answer(desk.words("prepare @good.txt --vocab 300 --out @corpus --force"));
    assert_eq!(names(desk.0.path()), ["corpus", "good.txt"]);
}

/// Runs `scarce prepare` in a small file system of its own; `None` where that is not possible.
fn on_a_small_disk(options: &str) -> Option<(String, String)> {
    let desk = Desk::new();
    desk.write("good.txt", text(40_000));
    let (disk, input) = (desk.path("disk"), desk.path("good.txt"));
    fs::create_dir(&disk).unwrap();
    let (disk, input) = (disk.display(), input.display());
    let program = env!("CARGO_BIN_EXE_scarce");
    let script = format!(
        "mount -t tmpfs -o {options} none {disk} || exit 77
         {program} prepare {input} --vocab 300 --out {disk}/corpus; echo code $?; ls -A {disk}"
    );
    let mut unshare = Command::new("unshare");
    let output = unshare.args(["-rm", "sh", "-c", &script]).stdin(Stdio::null()).output();
    let possible = output.ok().filter(|output| output.status.code() == Some(0));
    let output = possible?;
    let text = |bytes| String::from_utf8(bytes).unwrap();
    Some((text(output.stdout), text(output.stderr)))
}

#[test]
fn a_full_disk_is_a_clean_error_and_leaves_nothing() {
    let Some((answer, errors)) = on_a_small_disk("size=256k") else {
        println!("SKIPPED: this system does not let a test mount a small disk");
        return;
    };
    assert!(errors.contains("error: failed to write"), "{errors}");
    assert!(errors.contains("hint: the disk is full"), "{errors}");
    assert_eq!(answer, "code 3\n");
}

#[test]
fn a_read_only_disk_is_a_clean_error() {
    let Some((answer, errors)) = on_a_small_disk("ro") else {
        println!("SKIPPED: this system does not let a test mount a small disk");
        return;
    };
    assert!(errors.contains("error: failed to create"), "{errors}");
    assert!(errors.contains("hint: the disk is read-only"), "{errors}");
    assert_eq!(answer, "code 3\n");
}

#[test]
fn a_kill_never_leaves_half_a_corpus() {
    let desk = Desk::new();
    desk.write("good.txt", text(60_000));
    let mut killed = 0;
    for milliseconds in [1, 30, 60, 100, 150, 200, 300, 400] {
        let words = desk.words("prepare @good.txt --vocab 300 --out @corpus");
        let mut child = scarce(words).stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
        std::thread::sleep(std::time::Duration::from_millis(milliseconds));
        child.kill().unwrap();
        killed += usize::from(!child.wait().unwrap().success());
        // Either no corpus, or a whole one.
        if desk.path("corpus").exists() {
            scarce::data::Corpus::open(desk.path("corpus")).unwrap();
            fs::remove_dir_all(desk.path("corpus")).unwrap();
        }
    }
    assert!(killed > 0, "no kill came in time");
    answer(desk.words("prepare @good.txt --vocab 300 --out @corpus"));
    scarce::data::Corpus::open(desk.path("corpus")).unwrap();
}
