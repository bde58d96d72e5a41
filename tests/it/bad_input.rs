//! Bad input through the real program: a clear message that names the place, a hint where there is
//! one, the right exit code, and nothing lost or half written.

use std::fs;
use std::io::Write;
use std::path::Path;
use std::process::{Command, Stdio};

use crate::program::{ended, failure, listen, pocket_corpus, run, scarce, wait_until};

/// A command that must fail with this code and say all of these.
fn refuse(line: &str, code: i32, expected: &[&str]) {
    let (found, errors) = failure(line.split_whitespace());
    for part in expected {
        assert!(errors.contains(part), "`{line}` says {errors:?}, not {part:?}");
    }
    assert_eq!(found, code, "`{line}`: {errors}");
    assert!(errors.contains("error: "), "`{line}`: {errors}");
}

/// A training command on the pocket corpus with these further words.
fn train(store: &Path, more: &str) -> String {
    let corpus = pocket_corpus().display();
    format!("train --corpus {corpus} --store {} {more}", store.display())
}

#[test]
fn specs_that_cannot_be_run() {
    let folder = tempfile::tempdir().unwrap();
    let store = folder.path().join("store");
    let check = |more: &str, code, expected: &[&str]| refuse(&train(&store, more), code, expected);
    check("--set optim.wd=1", 2, &["unknown key `optim.wd`"]);
    check("--set optim.weight_decy=1", 2, &["hint: did you mean `optim.weight_decay`?"]);
    check("--set model.heads=5", 2, &["`model.heads` = 5 does not divide `model.width` = 64"]);
    check("--set optim.lr=nan", 2, &["not a finite number"]);
    check(
        "--set data.budget_tokens=1280000",
        2,
        &["larger than the corpus' 25600 training tokens"],
    );
    check(
        "--set data.sequence_tokens=99999",
        2,
        &["longer than the corpus' 25600 training tokens"],
    );
    check("--set model.vocabulary=16", 2, &["smaller than the corpus' vocabulary of 256"]);
    check("nowhere.toml", 2, &["there is no spec file `nowhere.toml`"]);
    let spec = folder.path().join("bad.toml");
    fs::write(&spec, "[optim\nlr = 1").unwrap();
    check(&spec.display().to_string(), 2, &["bad.toml", "line 1"]);
    let other = format!("--set data.corpus={}", "0".repeat(64));
    check(&other, 2, &["the spec was written for corpus 000000000000"]);
    assert!(!store.exists(), "a refused spec leaves nothing");
}

#[test]
fn corpora_that_are_missing_or_damaged() {
    let folder = tempfile::tempdir().unwrap();
    let store = folder.path().join("store").display().to_string();
    refuse(&format!("train --store {store}"), 2, &["a corpus is needed", "hint: make one with"]);
    refuse(&format!("train --store {store} --corpus nowhere"), 3, &["nowhere"]);
    // Every file of a corpus, changed by one byte or cut, is noticed on opening.
    for file in fs::read_dir(pocket_corpus()).unwrap() {
        let name = file.unwrap().file_name().into_string().unwrap();
        for cut in [false, true] {
            let copy = copy_corpus(&folder.path().join(format!("{name}-{cut}")));
            let path = copy.join(&name);
            let mut bytes = fs::read(&path).unwrap();
            let middle = bytes.len() / 2;
            if cut {
                bytes.truncate(middle)
            } else {
                bytes[middle] ^= 1
            }
            fs::write(&path, bytes).unwrap();
            let line = format!("train --store {store} --corpus {}", copy.display());
            let (code, errors) = failure(line.split_whitespace());
            assert!(code == 3 && errors.starts_with("error: "), "{name} {cut}: {code} {errors}");
        }
    }
}

fn copy_corpus(target: &Path) -> std::path::PathBuf {
    fs::create_dir_all(target).unwrap();
    for file in fs::read_dir(pocket_corpus()).unwrap() {
        let file = file.unwrap();
        fs::copy(file.path(), target.join(file.file_name())).unwrap();
    }
    target.to_owned()
}

#[test]
fn a_corpus_that_is_cut_while_in_use() {
    let folder = tempfile::tempdir().unwrap();
    let corpus = copy_corpus(&folder.path().join("corpus"));
    let store = folder.path().join("store");
    let line = format!(
        "train --corpus {} --store {} --checkpoint-every 0.05 --set data.epochs=4000",
        corpus.display(),
        store.display()
    );
    let child = scarce(line.split_whitespace())
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let work = store.join("work");
    wait_until("a job", || fs::read_dir(&work).map_or(0, Iterator::count) > 0);
    let tokens = fs::OpenOptions::new().write(true).open(corpus.join("train.tokens")).unwrap();
    tokens.set_len(100).unwrap();
    let output = child.wait_with_output().unwrap();
    let errors = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(3), "{errors}");
    assert!(errors.contains("train.tokens"), "{errors}");
}

#[test]
fn stores_that_are_newer_or_foreign_or_in_the_way() {
    let folder = tempfile::tempdir().unwrap();
    let store = folder.path().join("store");
    fs::create_dir(&store).unwrap();
    fs::write(store.join("format"), "scarce-store 2\n").unwrap();
    let newer = ["has format 2, this program reads up to 1", "hint: it was written by a newer"];
    refuse(&train(&store, ""), 3, &newer);
    refuse(&format!("runs --store {}", store.display()), 3, &newer);
    let file = folder.path().join("file");
    fs::write(&file, "").unwrap();
    refuse(&train(&file, ""), 3, &["failed to create"]);
    refuse("runs --store nowhere", 2, &["there is no store at `nowhere`"]);
    refuse(&format!("show abc --store {}", store.display()), 3, &["has format 2"]);
}

#[test]
fn wrong_flags_and_wrong_values() {
    let check = |line: &str, expected: &str| {
        let (code, errors) = failure(line.split_whitespace());
        assert!(code == 2 && errors.contains(expected), "`{line}`: {code} {errors}");
    };
    check("train --thread 2", "--threads");
    check("trian", "train");
    check("train --threads 0", "--threads");
    check("eval", "ID");
    check("bench train --config XL", "XL");
    let output = run(["--version"]);
    assert!(output.status.success() && output.stdout.starts_with(b"scarce "));
    let forced = scarce(["doctor"]).env("SCARCE_ISA", "mmx").output().unwrap();
    assert_eq!(forced.status.code(), Some(2));
    assert!(String::from_utf8_lossy(&forced.stderr).contains("no such instruction set"));
}

#[test]
fn two_processes_on_one_store_train_a_spec_once() {
    let folder = tempfile::tempdir().unwrap();
    let more = "--set model.preset=pocket-20k --set data.epochs=2 --set optim.lr=0.01";
    let line = train(&folder.path().join("store"), more);
    let children = [(); 3].map(|()| listen(line.split_whitespace()));
    let outputs = children.map(|child| ended("a run", child));
    let errors: Vec<_> =
        outputs.iter().map(|output| String::from_utf8_lossy(&output.stderr)).collect();
    assert!(outputs.iter().all(|output| output.status.success()), "{errors:?}");
    assert!(outputs.iter().all(|output| output.stdout == outputs[0].stdout), "{errors:?}");
    let records = fs::read_dir(folder.path().join("store/records")).unwrap();
    assert_eq!(records.count(), 1);
    assert_eq!(fs::read_dir(folder.path().join("store/work")).unwrap().count(), 0);
}

/// A file system of 400 KiB: preparing, and training with checkpoints, run out of space.
#[test]
fn a_full_disk_is_said_and_leaves_nothing_half_written() {
    let Some(disk) = TinyDisk::mount() else {
        eprintln!("SKIPPED: a tiny file system cannot be mounted here");
        return;
    };
    let out = disk.path().join("corpus");
    let line = format!("prepare --synthetic pocket-large --out {}", out.display());
    refuse(&line, 3, &["failed to write", "hint: the disk is full"]);
    assert!(!out.exists());
    let store = disk.path().join("store");
    refuse(&train(&store, "--set data.epochs=1"), 3, &["hint: the disk is full"]);
    assert_eq!(fs::read_dir(store.join("records")).unwrap().count(), 0, "no half record");
}

#[test]
fn a_read_only_disk_is_said() {
    let Some(disk) = TinyDisk::mount() else {
        eprintln!("SKIPPED: a tiny file system cannot be mounted here");
        return;
    };
    disk.read_only();
    let out = disk.path().join("corpus").display().to_string();
    refuse(&format!("prepare --synthetic pocket --out {out}"), 3, &["hint: the disk is read-only"]);
    refuse(&train(&disk.path().join("store"), ""), 3, &["hint: the disk is read-only"]);
}

/// A mounted tmpfs, unmounted when dropped.
pub(crate) struct TinyDisk(tempfile::TempDir);

impl TinyDisk {
    pub(crate) fn mount() -> Option<Self> {
        let disk = Self(tempfile::tempdir().unwrap());
        disk.mount_with("size=400k").then_some(disk)
    }

    fn read_only(&self) {
        assert!(self.mount_with("remount,ro"));
    }

    fn mount_with(&self, options: &str) -> bool {
        Command::new("mount")
            .args(["-t", "tmpfs", "-o", options, "tmpfs"])
            .arg(self.0.path())
            .stderr(Stdio::null())
            .status()
            .is_ok_and(|status| status.success())
    }

    pub(crate) fn path(&self) -> &Path {
        self.0.path()
    }
}

impl Drop for TinyDisk {
    fn drop(&mut self) {
        let _ = Command::new("umount").arg(self.0.path()).stderr(Stdio::null()).status();
    }
}

#[test]
fn a_reader_that_goes_away_ends_the_program_quietly() {
    let mut child =
        scarce(["show", "--fields"]).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    drop(child.stdout.take());
    let output = child.wait_with_output().unwrap();
    assert!(output.status.success() && output.stderr.is_empty(), "{output:?}");
}

#[test]
fn texts_that_cannot_be_read() {
    let folder = tempfile::tempdir().unwrap();
    let write = |name: &str, content: &[u8]| {
        let path = folder.path().join(name);
        fs::File::create(&path).unwrap().write_all(content).unwrap();
        path.display().to_string()
    };
    let out = folder.path().join("corpus").display().to_string();
    let check = |input: &str, expected: &[&str]| {
        let line = format!("prepare {input} --out {out} --vocab 300");
        let (code, errors) = failure(line.split_whitespace());
        for part in expected {
            assert!(errors.contains(part), "`{line}` says {errors:?}, not {part:?}");
        }
        assert!(matches!(code, 2 | 3), "`{line}`: {code} {errors}");
        assert!(!Path::new(&out).exists(), "`{line}` left something behind");
    };
    check("nowhere.txt", &["nowhere.txt"]);
    check(&write("empty.txt", b""), &["empty"]);
    check(&write("garbage.txt", &[0; 4096]), &["garbage.txt"]);
    check(&write("latin.txt", b"caf\xe9 and more"), &["latin.txt", "3"]);
    check(&write("line.jsonl", b"{\"text\": \"a\"}\n{\"body\": \"b\"}\n"), &["line.jsonl:2"]);
    check(&write("broken.jsonl", b"{\"text\": \"a\"}\n{\"text\": \n"), &["broken.jsonl:2"]);
    check(&write("cut.txt.gz", &[0x1f, 0x8b, 8, 0, 0, 0, 0, 0, 0, 3, 75]), &["cut.txt.gz"]);
    check(&write("cut.txt.zst", &[0x28, 0xb5, 0x2f, 0xfd, 4, 88]), &["cut.txt.zst"]);
    check(&write("odd.bin", &[1, 2, 3]), &["odd.bin"]);
    check(&write("cut.parquet", b"PAR1abc"), &["cut.parquet"]);
    check(&write("what.docx", b"PK"), &["what.docx"]);
}
