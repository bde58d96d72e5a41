//! `scarce fit` through the real program: laws of the paper's tables, and tables that have none.

use std::path::Path;

use serde_json::Value;

use crate::program::{answer, failure, run};

/// A table of the golden files.
fn golden(name: &str) -> String {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden/laws");
    folder.join(name).display().to_string()
}

/// The lines that `fit --json` prints for a table and these further words.
fn lines(table: &str, more: &str) -> Vec<Value> {
    let words = ["fit", table, "--json"].into_iter().chain(more.split_whitespace());
    let text = answer(words);
    text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

fn number(value: &Value) -> f64 {
    value.as_f64().unwrap_or_else(|| panic!("{value} is not a number"))
}

#[test]
fn one_line_of_json_per_group() {
    let more = "--x k --y loss --group series --resamples 50";
    let found = lines(&golden("k_curves.csv"), more);
    assert_eq!(found.len(), 10);
    let keys: Vec<&String> = found[0].as_object().unwrap().keys().collect();
    let expected = ["A", "E", "alpha", "group", "intervals", "n", "r2", "residuals", "warnings"];
    assert_eq!(keys, expected);
    assert_eq!(found[0]["group"], "members_150m");
    assert_eq!(found[0]["n"], 5);
    for (key, expected) in [("A", 0.531152), ("alpha", 1.082417), ("E", 3.725912)] {
        assert!((number(&found[0][key]) - expected).abs() < 1e-5, "{key}");
    }
    let e = &found[0]["intervals"]["E"]["profile"];
    assert!(number(&e[0]) < 3.7259 && number(&e[1]) > 3.7259, "{e}");
    // The same words give the same bytes.
    assert_eq!(found, lines(&golden("k_curves.csv"), more));
}

#[test]
fn an_open_end_is_null_and_says_so_in_text() {
    let table = golden("standard_best_per_d.csv");
    let more = "--x d_billion --y loss --resamples 50 --reach 3.17 --reach 1.5 --base 3.74974";
    let found = &lines(&table, more)[0];
    assert_eq!(found["group"], Value::Null);
    assert_eq!(found["intervals"]["E"]["profile"][0], Value::Null);
    let multiplier = &found["multipliers"][0]["law"];
    assert!((number(&multiplier["value"]) - 5.2346).abs() < 1e-3);
    assert_eq!(found["multipliers"][1]["law"]["value"], Value::Null);
    let words = ["fit", table.as_str()].into_iter().chain(more.split_whitespace());
    let output = run(words);
    let text = String::from_utf8(output.stdout).unwrap();
    assert!(text.contains("loss = A / d_billion^alpha + E"), "{text}");
    assert!(text.contains("2.0819 (open to "), "{text}");
    assert!(text.contains("5.23x (4.69x to 5.94x)"), "{text}");
    assert!(text.contains("not reached: at or below the asymptote"), "{text}");
    let talk = String::from_utf8(output.stderr).unwrap();
    assert!(talk.contains("warning: 4 points are few"), "{talk}");
    assert!(talk.contains("warning: far extrapolation"), "{talk}");
}

#[test]
fn given_noise_and_level_move_the_interval() {
    let width = |more: &str| {
        let more = format!("--x n_billion --y val_loss --group set --resamples 2 {more}");
        let found = lines(&golden("regularized_singles.csv"), &more);
        let e = &found[0]["intervals"]["E"]["profile"];
        number(&e[1]) - number(&e[0])
    };
    assert!(width("--noise 0.002") < width(""));
    assert!(width("--level 0.5") < width("--level 0.9"));
    assert!(width("--law reciprocal") < width(""));
}

/// Writes a table and returns its path.
fn table(folder: &Path, text: &[u8]) -> String {
    let path = folder.join("table.csv");
    std::fs::write(&path, text).unwrap();
    path.display().to_string()
}

#[test]
fn laws_of_several_axes() {
    let folder = tempfile::tempdir().unwrap();
    let mut text = "N,K,U,epochs,loss\n".to_owned();
    for n in [0.15_f64, 0.3, 0.6, 1.4] {
        for k in 1..=4 {
            let loss = 2.9 + 0.05 / n + 0.3 / f64::from(k);
            text += &format!("{n},{k},{k}00,1,{loss}\n");
        }
    }
    let path = table(folder.path(), text.as_bytes());
    let found = &lines(&path, "--law chinchilla --n N --d U --y loss --resamples 2")[0];
    for (key, expected) in [("E", 2.9), ("A", 0.05), ("alpha", 1.0), ("B", 30.0), ("beta", 1.0)] {
        assert!((number(&found[key]) / expected - 1.0).abs() < 1e-4, "{key}: {found}");
    }
    let found = &lines(&path, "--law joint --n N --k K --y loss --resamples 2")[0];
    assert!((number(&found["E"]) - 2.9).abs() < 1e-5, "{found}");
    assert_eq!(found["orders"][1]["order"], serde_json::json!(["N", "K"]));
    assert!((number(&found["orders"][1]["E"]) - 2.9).abs() < 1e-5);
    let (code, errors) =
        failure(["fit", &path, "--y", "loss", "--law", "repeat", "--d", "U", "--epochs", "epochs"]);
    assert!(code == 3 && errors.contains("no sample repeats its tokens"), "{code} {errors}");
    let repeated = "U,epochs,loss\n".to_owned()
        + &[(50, 1), (50, 4), (50, 16), (100, 1), (100, 8), (200, 1), (200, 32), (400, 1)]
            .map(|(tokens, epochs)| {
                let repetitions = f64::from(epochs) - 1.0;
                let worth = 1.0 + 12.0 * (1.0 - (-repetitions / 12.0).exp());
                let loss = 2.0 + 8.0 * (f64::from(tokens) * worth).powf(-0.4);
                format!("{tokens},{epochs},{loss}\n")
            })
            .concat();
    let path = table(folder.path(), repeated.as_bytes());
    let more = "--law repeat --d U --epochs epochs --y loss --resamples 2";
    let found = &lines(&path, more)[0];
    assert!((number(&found["r_star"]) / 12.0 - 1.0).abs() < 1e-3, "{found}");
    assert_eq!(found["A"], Value::Null);
    let text = answer(["fit", &path].into_iter().chain(more.split_whitespace()));
    assert!(text.contains("loss = E + B / D'^beta, D' = U (1 + r_star"), "{text}");
}

/// A table that must be refused with this exit code and these words.
fn refuse(text: &[u8], more: &str, code: i32, expected: &[&str]) {
    let folder = tempfile::tempdir().unwrap();
    let path = table(folder.path(), text);
    let words = ["fit", path.as_str()].into_iter().chain(more.split_whitespace());
    let (found, errors) = failure(words);
    for part in expected {
        assert!(errors.contains(part), "{more}: {errors:?} lacks {part:?}");
    }
    assert_eq!(found, code, "{errors}");
    assert!(errors.starts_with("error: "), "{errors}");
}

#[test]
fn tables_that_have_no_law() {
    let check = |text: &str, expected: &[&str]| {
        refuse(text.as_bytes(), "--x n --y loss", 3, expected);
    };
    check("", &["table.csv: the table is empty", "hint: the first line names the columns"]);
    check("n,loss\n", &["a heading but no rows"]);
    check("m,loss\n1,2\n", &["table.csv:1: there is no column `n`", "hint: "]);
    check("n,los\n1,2\n", &["table.csv:1: there is no column `loss`", "did you mean `los`?"]);
    check("n loss\n1 2\n", &["no column `n`", "hint: the table looks separated by spaces"]);
    check("n,loss\n1,4\n2,abc\n", &["table.csv:3: `abc` in column `loss` is not a number"]);
    check("n,loss\n1,4\n\n2,abc\n", &["table.csv:4: `abc`"]);
    check("n,loss\n1,4\nx,3\n", &["table.csv:3: `x` in column `n` is not a number"]);
    check("n,loss\n1,4\n,3\n", &["table.csv:3: the column `n` is empty", "hint: "]);
    check("n,loss\n1,4\n2,NaN\n", &["table.csv:3: `NaN` in column `loss` is not finite", "hint: "]);
    check("n,loss\n1,4\ninf,3\n", &["table.csv:3: `inf` in column `n` is not finite"]);
    check("n,loss\n0,4\n", &["table.csv:2: 0 in column `n` is not positive", "hint: "]);
    check("n,loss\n1,4\n-2,3\n", &["table.csv:3: -2 in column `n` is not positive"]);
    check("n,loss\n1,-4\n", &["table.csv:2: -4 in column `loss` is no loss", "hint: "]);
    check("n,loss\n1,4,5\n", &["table.csv:2: 3 fields, but the heading has 2", "hint: "]);
    check("n,loss\n1\n", &["table.csv:2: 1 fields, but the heading has 2"]);
    let twice = "n,loss\n1,4\n2,3\n1.0,4.1\n";
    let told = "table.csv:4: n = 1 stands twice, first in line 2";
    check(twice, &[told, "hint: average the losses", "--group"]);
    check("n,loss\n1,4\n", &["table.csv: one point is no law: at least 4 are needed", "hint: "]);
    check("n,loss\n1,4\n2,3\n", &["2 points are no law", "at least 4 are needed"]);
    check("n,loss\n1,3\n2,3.1\n3,3.2\n4,3.4\n", &["the losses do not fall as x grows", "hint: "]);
    refuse(b"n,loss\n1,\xFF\n", "--x n --y loss", 3, &["table.csv:2: the text is not UTF-8"]);
    let (code, errors) = failure(["fit", "nowhere.csv", "--x", "n", "--y", "loss"]);
    assert!(code == 3 && errors.contains("failed to read `nowhere.csv`"), "{code} {errors}");
}

#[test]
fn wishes_that_make_no_sense() {
    let text = b"n,loss\n1,4\n2,3\n3,2.8\n4,2.7\n5,2.6\n";
    let check = |more: &str, expected: &[&str]| refuse(text, more, 2, expected);
    check("--y loss", &["--law power needs a column for --x", "hint: its columns are --x"]);
    check("--x n --k n --y loss", &["--law power has no use for --k"]);
    check("--law joint --n n --y loss", &["--law joint needs a column for --k"]);
    check("--law chinchilla --n n --d n --x n --y loss", &["has no use for --x"]);
    check("--x n --y loss --noise 0", &["--noise 0 is not a positive standard deviation"]);
    check("--x n --y loss --noise nan", &["--noise NaN is not a positive"]);
    check("--x n --y loss --level 90", &["--level 90 does not lie between 0 and 1", "hint: "]);
    check("--law joint --n n --k n --y loss --reach 2", &["--reach is for the laws power and"]);
    check("--x n --y loss --law cubic", &["invalid value 'cubic'"]);
    check("--x n --y loss --resamples 0", &["0 is not in 1.."]);
}

#[test]
fn spreadsheets_and_groups_of_different_length() {
    let folder = tempfile::tempdir().unwrap();
    let text = "\u{feff}\"size, B\",\"loss\",group\r\n0.15,3.75,\"a, long\"\r\n\r\n0.3,3.587,\"a, \
                long\"\r\n 0.6 , 3.51 ,\"a, long\"\r\n1.4,3.462,\"a, long\"\r\n1,4,short\r\n";
    let path = table(folder.path(), text.as_bytes());
    let words = ["fit", &path, "--x", "size, B", "--y", "loss", "--group", "group"];
    let output = run(words.into_iter().chain(["--json", "--resamples", "2"]));
    assert!(output.status.success());
    let text = String::from_utf8(output.stdout).unwrap();
    let found: Vec<Value> = text.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert_eq!((&found[0]["group"], &found[1]["group"]), (&"a, long".into(), &"short".into()));
    assert!((number(&found[0]["E"]) - 3.429445).abs() < 1e-5);
    // A group without a law is in the answer, without numbers, and does not spoil the others.
    assert_eq!((&found[1]["E"], &found[1]["intervals"]), (&Value::Null, &Value::Null));
    assert!(found[1]["warnings"][0].as_str().unwrap().contains("one point is no law"));
    let output = run(words.into_iter().chain(["--resamples", "2"]));
    let talk = String::from_utf8(output.stderr).unwrap();
    assert!(talk.contains("warning: group `short`: one point is no law"), "{talk}");
    let text = String::from_utf8(output.stdout).unwrap();
    assert!(
        text.lines().any(|line| line.starts_with("short") && line.contains("no law")),
        "{text}"
    );
}
