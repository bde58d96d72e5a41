//! Messages stay short and printable, whatever keys, names, flags and files hold.

use std::ffi::OsString;
use std::fs;
use std::path::Path;
use std::process::Output;

use crate::program::{answer, pocket_corpus, run};

/// Texts that would take over a terminal, hide what they are, or fill the screen.
fn hostile() -> [String; 3] {
    [
        "\u{1b}[2J\u{1b}]0;owned\u{7}\u{9b}31m\u{85}\u{7f}\u{202e}gnp\u{2066}\u{200b}".to_owned(),
        "a\nerror: all is well\nhint: rm -rf\r\u{8}\u{2028}\u{feff}\u{e0041}".to_owned(),
        "\u{1b}中x".repeat(9_000),
    ]
}

/// What a message must never hold, decided without the program's own tables.
fn is_hidden(character: char) -> bool {
    character.is_control() && character != '\n'
        || matches!(character, '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}')
        || matches!(character, '\u{2066}'..='\u{2069}' | '\u{feff}' | '\u{e0000}'..='\u{e007f}')
}

/// One error, with its hint: bounded, printable, the exit code of a wish or a file.
fn assert_polite(output: &Output, what: &str) -> String {
    let errors = String::from_utf8(output.stderr.clone()).unwrap();
    let start: String = errors.chars().take(600).collect();
    assert!(matches!(output.status.code(), Some(2 | 3)), "{what}: {:?} {start}", output.status);
    assert!(errors.starts_with("error: "), "{what}: {start}");
    assert!(errors.len() < 500, "{what}: {} bytes: {start}", errors.len());
    let hint = errors.lines().nth(1).is_none_or(|line| line.starts_with("hint: "));
    assert!(hint && errors.lines().count() <= 2, "{what}: {errors:?}");
    let hidden = errors.chars().find(|&character| is_hidden(character));
    assert!(hidden.is_none(), "{what}: {hidden:?} in {errors:?}");
    errors
}

fn refused<A: Into<OsString> + Clone>(words: &[A], what: &str) -> String {
    assert_polite(&run(words.iter().map(|word| word.clone().into())), what)
}

#[test]
fn flags_hold_anything() {
    let folder = tempfile::tempdir().unwrap();
    let corpus = pocket_corpus().to_str().unwrap();
    let store = folder.path().join("store");
    let store = store.to_str().unwrap();
    let train = ["train", "--corpus", corpus, "--store", store];
    for text in &hostile() {
        let text = text.as_str();
        let set = |key: &str| format!("{key}{text}");
        for more in [
            &["--set", &format!("{text}=1")][..],
            &["--set", &set("optim.lr=")],
            &["--set", &set("model.preset=")],
            &["--set", &set("optim.schedule.decay=")],
            &["--set", &format!("start={{ {text:?} = nan }}")],
            &["--allow", text],
            &["--threads", text],
            &[&set("--thread")],
        ] {
            refused(&[&train, more].concat(), &format!("train {more:?}"));
        }
        for words in [
            &[text][..],
            &["show", text, "--store", store],
            &["bench", text],
            &["plot", "--mode", text],
            &["runs", "--store", text],
            &["prepare", "--synthetic", text, "--out", "x"],
            &["prepare", "a.txt", "--side", &format!("{text}=b.txt"), "--out", "x"],
            &["import", "runs", "a.csv", "--format", text],
            &["eval", text, "--corpus", corpus, "--store", store],
            &["eval", text, "--split", text, "--corpus", corpus, "--store", store],
            &["best", corpus, "--hours", text],
        ] {
            refused(words, &format!("{words:?}"));
        }
    }
}

#[test]
fn specs_and_studies_hold_anything() {
    let folder = tempfile::tempdir().unwrap();
    let corpus = pocket_corpus().to_str().unwrap();
    let path = folder.path().join("spec.toml");
    let file = path.to_str().unwrap();
    let check = |verb: &str, text: &str| {
        fs::write(&path, text).unwrap();
        let store = folder.path().join("store");
        let words = [verb, file, "--corpus", corpus, "--store", store.to_str().unwrap()];
        let start: String = text.chars().take(60).collect();
        refused(&words, &format!("{verb} {start:?}"));
    };
    for text in [hostile()[0].clone(), "\0".repeat(200_000)] {
        let quoted = toml::Value::String(text.clone()).to_string();
        let key = serde_json::Value::String(text.clone()).to_string();
        check("train", &text);
        check("train", &format!("{key} = 1"));
        check("train", &format!("[model]\npreset = {quoted}"));
        check("train", &format!("[optim]\nlr = {quoted}"));
        check("train", &format!("[data]\nmixture = [{{ {key} = 1 }}]"));
        check("tune", &format!("study = {quoted}"));
        check("tune", &format!("study = 'tune'\n[plan]\n{key} = 1"));
        check("tune", &format!("study = 'tune'\n[plan]\nmode = {quoted}"));
        check("scale", &format!("study = 'scale'\n[plan]\nmodels = [{quoted}]"));
        check("ensemble", &format!("study = 'ensemble'\n[plan]\nvary = {quoted}"));
    }
    assert!(!folder.path().join("store").exists());
}

/// Not even by a stack overflow, which no message follows.
#[test]
fn nesting_without_an_end_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("deep.toml");
    let corpus = pocket_corpus().to_str().unwrap();
    for open in ["[", "{", "a = {\n", "a.", "[a]\nb = { c = 1, d\n"] {
        for text in [format!("a = {}", open.repeat(20_000)), open.repeat(20_000)] {
            fs::write(&path, text).unwrap();
            for verb in ["train", "tune", "ensemble"] {
                let words = [verb, path.to_str().unwrap(), "--corpus", corpus, "--dry-run"];
                refused(&words, &format!("{verb} {open:?}"));
            }
        }
    }
}

#[test]
fn a_toml_error_is_one_line_with_its_place() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("bad.toml");
    fs::write(&path, "[data]\nepochs = 4\nepochs 8\n").unwrap();
    let corpus = pocket_corpus().to_str().unwrap();
    let errors = refused(&["train", path.to_str().unwrap(), "--corpus", corpus], "bad.toml");
    assert!(errors.contains("bad.toml: line 3, column 8: ") && errors.contains("in `epochs 8`"));
}

/// A name of a file may hold every byte but two, and so may names inside tables.
#[cfg(unix)]
#[test]
fn file_names_hold_anything() {
    use std::os::unix::ffi::OsStringExt;

    let folder = tempfile::tempdir().unwrap();
    let corpus = pocket_corpus().as_os_str();
    let short = |text: String| text.chars().take(60).collect::<String>().into_bytes();
    let [first, second, _] = hostile();
    for name in [short(first), short(second), b"\xff\xfe\x1b[31m".to_vec()] {
        let path = folder.path().join(OsString::from_vec(name));
        let what = format!("{path:?}");
        let words = |line: &[&str], more: &[&Path]| -> Vec<OsString> {
            let line = line.iter().map(OsString::from);
            line.chain(more.iter().map(|path| path.as_os_str().to_owned())).collect()
        };
        let (corpus, out) = (Path::new(corpus), folder.path().join("out"));
        fs::write(&path, "{\"text\": 1}\n\u{1b}").unwrap();
        refused(&words(&["train", "--corpus"], &[corpus, &path]), &what);
        refused(&words(&["train", "--corpus"], &[&path]), &what);
        refused(&words(&["runs", "--store"], &[&path]), &what);
        refused(&words(&["tune", "--corpus"], &[corpus, &path]), &what);
        refused(&words(&["prepare", "--out"], &[&out, &path.join("inside")]), &what);
        refused(&words(&["fit", "--x", "a", "--y", "b"], &[&path]), &what);
        refused(&words(&["import", "runs"], &[&path]), &what);
        refused(&words(&["report", "--corpus"], &[corpus, &path]), &what);
        fs::remove_file(&path).unwrap();
        refused(&words(&["train", "--corpus"], &[corpus, &path]), &what);
        refused(&words(&["show"], &[&path]), &what);
    }
}

#[test]
fn tables_and_json_of_hostile_names_leave_the_terminal_alone() {
    let folder = tempfile::tempdir().unwrap();
    let text: String = (0..3000).map(|n| format!("Line {n} of {} texts.\n\n", n * n)).collect();
    let input = folder.path().join("a\u{1b}[31m\u{202e}\u{9b}b.txt");
    fs::write(&input, text).unwrap();
    let corpus = folder.path().join("corpus \u{1b}[5m");
    let (input, corpus) = (input.to_str().unwrap(), corpus.to_str().unwrap());
    let shown = |text: String| {
        let hidden = text.chars().find(|&character| is_hidden(character));
        assert!(hidden.is_none(), "{hidden:?} in {text:?}");
        text
    };
    shown(answer(["prepare", input, "--out", corpus, "--vocab", "300"]));
    shown(answer(["show", corpus]));
    let json = shown(answer(["show", corpus, "--json"]));
    let manifest: serde_json::Value = serde_json::from_str(&json).unwrap();
    let stored = fs::read_to_string(Path::new(corpus).join("manifest.json")).unwrap();
    assert_eq!(manifest, serde_json::from_str::<serde_json::Value>(&stored).unwrap());
    assert!(stored.contains('\u{202e}'), "{stored}");

    let store = folder.path().join("store");
    let store = store.to_str().unwrap();
    let table = folder.path().join("runs.csv");
    let row = |name: &str| format!("{name},1000,2000,3.0\n");
    let rows = row("\u{1b}[31mred\u{9b}") + &row("\u{202e}evil\u{feff}") + &row("plain");
    fs::write(&table, format!("run_id,model.params,data.tokens,final_loss\n{rows}")).unwrap();
    let words = ["import", "runs", table.to_str().unwrap(), "--store", store];
    shown(answer(words));
    for more in [None, Some("--json"), Some("--csv")] {
        shown(answer(["runs", "--foreign", "--store", store].into_iter().chain(more)));
    }
}
