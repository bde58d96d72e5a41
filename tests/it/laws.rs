//! `scarce fit --law auto` and `scarce predict` through the real program: a choice that predicts,
//! a law that is used again, and tables that it must refuse.

use std::fmt::Write as _;
use std::path::{Path, PathBuf};

use serde_json::Value;

use crate::golden::check_json;
use crate::program::{answer, failure, run};

/// The columns of the tables here.
const COLUMNS: &str = "--law auto --n params --d unique --t tokens --y loss";

/// A run: name, parameters, tokens, unique tokens.
type Run = (String, f64, f64, f64);

/// 60 runs of pocket size, from a formula and not from training.
fn runs() -> Vec<Run> {
    let mut runs = Vec::new();
    for (i, n) in [2e4, 5e4, 1.5e5, 4e5, 1e6, 3e6].into_iter().enumerate() {
        for (j, u) in [5e5, 1.7e6, 6e6, 2e7].into_iter().enumerate() {
            for (k, epochs) in [1.0, 4.0, 16.0, 64.0].into_iter().enumerate() {
                if (i + 2 * j + 3 * k) % 8 < 5 {
                    runs.push((format!("r{i}{j}{k}"), n, u * epochs, u));
                }
            }
        }
    }
    runs
}

/// The true loss of a run, with a small error that depends on its place.
fn loss(index: usize, run: &Run) -> f64 {
    let (n, t, u) = (run.1 / 1e6, run.2 / 1e6, run.3 / 1e6);
    let repetitions = t / u - 1.0;
    let gate = 0.6 * (n / u.powf(0.7)).powf(0.8) * repetitions / (repetitions + 40.0);
    let loss = 1.8 + 0.5 * n.powf(-0.35) + 1.4 * t.powf(-0.3) + gate;
    let error = ((index * 7919) % 101) as f64 / 101.0 - 0.5;
    loss * (1.0 + 0.01 * error)
}

fn text(runs: &[Run], loss: impl Fn(usize, &Run) -> String) -> String {
    let mut text = "name,params,tokens,unique,loss\n".to_owned();
    for (index, run) in runs.iter().enumerate() {
        let (name, n, t, u) = run;
        writeln!(text, "{name},{n},{t},{u},{}", loss(index, run)).unwrap();
    }
    text
}

/// The table of all runs, with changes to single lines.
fn table(change: impl Fn(usize, &mut Run)) -> String {
    let mut runs = runs();
    let losses: Vec<f64> = runs.iter().enumerate().map(|(i, run)| loss(i, run)).collect();
    for (index, run) in runs.iter_mut().enumerate() {
        change(index, run);
    }
    text(&runs, |index, _| losses[index].to_string())
}

/// Without most of the numbers that stand in long rows.
fn shortened(mut law: Value) -> Value {
    let shorten = |list: &mut Value| list.as_array_mut().unwrap().truncate(1);
    law["axes"].as_array_mut().unwrap().iter_mut().for_each(|axis| shorten(&mut axis["errors"]));
    for family in law["families"].as_array_mut().unwrap() {
        shorten(&mut family["resamples"]);
    }
    shorten(&mut law["held_out"]["predictions"]);
    law
}

fn write(folder: &Path, name: &str, text: &str) -> PathBuf {
    let path = folder.join(name);
    std::fs::write(&path, text).unwrap();
    path
}

fn words<'a>(first: &[&'a str], more: &'a str) -> Vec<&'a str> {
    first.iter().copied().chain(more.split_whitespace()).collect()
}

#[test]
fn a_law_is_chosen_and_used_again() {
    let folder = tempfile::tempdir().unwrap();
    let path = write(folder.path(), "runs.csv", &table(|_, _| ()));
    let hold_out = format!("{COLUMNS} --hold-out largest:params*tokens=9");
    let json = answer(words(&["fit", path.to_str().unwrap(), "--json"], &hold_out));
    let law: Value = serde_json::from_str(&json).unwrap();
    let held = &law["held_out"];
    assert_eq!((held["asked"].as_u64(), held["of"].as_u64()), (Some(9), Some(60)), "{held}");
    assert!(held["runs"].as_u64() >= Some(9) && held["r2"].as_f64() > Some(0.9), "{held}");
    assert!(held["honesty"].as_str().unwrap().contains("not SLDBench's"));
    let families = law["families"].as_array().unwrap();
    assert_eq!(families.len(), 8);
    let parts: f64 = families.iter().map(|family| family["part"].as_f64().unwrap()).sum();
    assert!((parts - 1.0).abs() < 1e-9);
    assert!(families[0]["family"].as_str().unwrap().ends_with("gate"), "{}", families[0]);

    // The law predicts the same runs from the file, and says where it was not tested.
    let file = write(folder.path(), "law.json", &json);
    let first = &held["predictions"][0];
    let name = first["run"].as_str().unwrap().to_owned();
    let mut planned: Vec<Run> = runs().into_iter().filter(|run| run.0 == name).collect();
    planned.push(("far".to_owned(), 5e9, 2e9, 1e9));
    let plan = text(&planned, |_, _| String::new());
    let plan = write(folder.path(), "plan.csv", &plan);
    let used = words(&["predict", file.to_str().unwrap(), "--runs", plan.to_str().unwrap()], "");
    let output = run(used.iter().copied());
    let (page, talk) =
        (String::from_utf8(output.stdout).unwrap(), String::from_utf8(output.stderr).unwrap());
    assert!(page.contains(&format!("{:.4} (", first["predicted"].as_f64().unwrap())), "{page}");
    assert!(talk.contains("warning: far "), "{talk}");
    assert!(talk.contains(" outside of what was tested: up to "), "{talk}");
    let used = used.into_iter().chain(["--json"]);
    let predicted: Value = serde_json::from_str(&answer(used)).unwrap();
    let again = &predicted["predictions"][0]["predicted"];
    assert!((again.as_f64().unwrap() - first["predicted"].as_f64().unwrap()).abs() < 1e-12);
    assert_eq!(predicted["went"], Value::Null);
    let measured = text(&planned[..1], |_, _| "2.5".to_owned());
    let measured = write(folder.path(), "measured.csv", &measured);
    let used = ["predict", file.to_str().unwrap(), "--runs", measured.to_str().unwrap(), "--json"];
    let went: Value = serde_json::from_str(&answer(used)).unwrap();
    check_json("predict", &Value::Array(vec![predicted.clone(), went]));
    check_json("fit-auto", &shortened(law.clone()));

    // Neither a law without a column nor a table with two of one name is used by half.
    let refuse = |file: &Path, plan: &Path, expected: &str| {
        let used = ["predict", file.to_str().unwrap(), "--runs", plan.to_str().unwrap()];
        let (code, errors) = failure(used);
        assert!(code == 3 && errors.contains(expected), "{errors}");
    };
    for column in ["loss", "name"] {
        let twice = format!("params,tokens,unique,{column},{column}\n1e6,2e6,1e6,3,3\n");
        let twice = write(folder.path(), "twice.csv", &twice);
        refuse(&file, &twice, &format!("`{column}` stands in the heading twice"));
    }
    let mut lacking = law.clone();
    lacking["columns"].as_object_mut().unwrap().remove("t");
    let lacking = write(folder.path(), "lacking.json", &lacking.to_string());
    refuse(&lacking, &plan, "lacking.json: the law is damaged: its columns need one of");
}

#[test]
fn an_outlier_of_one_nat_is_named_and_moves_little() {
    let folder = tempfile::tempdir().unwrap();
    let runs = runs();
    // Near the edge, where runs weigh most.
    let odd = runs.iter().position(|run| run.0 == "r532").unwrap();
    let losses = |i: usize, run: &Run| loss(i, run) + if i == odd { 1.0 } else { 0.0 };
    let table = text(&runs, |i, run| losses(i, run).to_string());
    let path = write(folder.path(), "runs.csv", &table);
    let output = run(words(&["fit", path.to_str().unwrap()], COLUMNS));
    let page = String::from_utf8(output.stdout).unwrap();
    let talk = String::from_utf8(output.stderr).unwrap();
    let named = format!("warning: {} (line {}) is an outlier: ", runs[odd].0, odd + 2);
    let rest = talk.split_once(&named).unwrap_or_else(|| panic!("{talk}")).1;
    let percent: f64 = rest.split_once(" %").unwrap().0.parse().unwrap();
    // Had the outlier moved the law, less of its nat would be left.
    let expected = 100.0 / loss(odd, &runs[odd]);
    assert!((percent - expected).abs() < 0.2 * expected, "{percent} {expected}");
    assert!(rest.contains("it was not dropped"), "{talk}");
    assert!(page.contains("E by squares"), "{page}");
}

/// A table that must be refused with this exit code and these words.
fn refuse(text: &str, more: &str, code: i32, expected: &[&str]) {
    let folder = tempfile::tempdir().unwrap();
    let path = write(folder.path(), "table.csv", text);
    let (found, errors) = failure(words(&["fit", path.to_str().unwrap()], more));
    for part in expected {
        assert!(errors.contains(part), "{more}: {errors:?} lacks {part:?}");
    }
    assert_eq!(found, code, "{errors}");
    assert!(errors.starts_with("error: ") && errors.contains("\nhint: "), "{errors}");
}

#[test]
fn tables_without_a_law_of_several_axes() {
    let check = |text: &str, expected: &[&str]| refuse(text, COLUMNS, 3, expected);
    let few: Vec<Run> = runs().into_iter().take(7).collect();
    check(&text(&few, |i, run| loss(i, run).to_string()), &["7 runs to fit are too few", "40"]);
    check(&table(|_, run| run.3 = run.2), &["no run has more than one epoch", "chinchilla"]);
    check(&table(|_, run| run.1 = 1e6), &["the parameters are the same in all runs"]);
    check(&table(|i, run| run.1 = [1e6, 2e6][i % 2]), &["the parameters take 2 values"]);
    check(&table(|_, run| run.1 = run.2 / 20.0), &["parameters move with the tokens (100.00 %"]);
    check(&table(|i, run| run.3 *= if i == 4 { 3e3 } else { 1.0 }), &["table.csv:6: ", "are more"]);
    let in_billions = |i: usize, run: &mut Run| {
        if i == 11 {
            run.1 /= 1e9;
        }
    };
    check(&table(in_billions), &["table.csv:13: ", "far from most others", "one unit"]);
    check(&table(|_, run| run.2 *= 1e9), &["epochs over `unique` are no epochs", "same unit"]);
    let zero =
        text(&runs(), |i, run| if i == 3 { "0".to_owned() } else { loss(i, run).to_string() });
    check(&zero, &["table.csv:5: 0 in column `loss` is not positive"]);
    let high = text(&runs(), |i, _| if i == 3 { "11.5".to_owned() } else { "3".to_owned() });
    check(&high, &["table.csv:5: a loss of 11.5", "--ceiling"]);
    let epochs = "--law auto --n params --d unique --epochs tokens --y loss";
    let below = table(|i, run| run.2 = if i == 2 { 0.5 } else { 2.0 });
    refuse(&below, epochs, 3, &["table.csv:4: 0.5 epochs are less than one pass over `unique`"]);
}

#[test]
fn holdouts_and_flags_that_make_no_sense() {
    let check = |more: &str, code: i32, expected: &[&str]| {
        refuse(&table(|_, _| ()), &format!("{COLUMNS} {more}"), code, expected);
    };
    check("--hold-out largest:params*tokens=30", 3, &["runs to fit are too few", "hold out fewer"]);
    check("--hold-out largest:params=1000", 3, &["0 runs to fit are too few"]);
    check("--hold-out largest:parms", 3, &["there is no column `parms`", "did you mean `params`?"]);
    check("--hold-out largest:name=5", 3, &["`r000` in column `name` is not a number"]);
    check("--hold-out largest:params-3e6=5", 3, &["params-3e6 is -2980000, and not a positive"]);
    check("--hold-out biggest:params", 2, &["does not begin with `largest:`"]);
    check("--hold-out largest:params=0", 2, &["neither a count nor a share"]);
    check("--hold-out largest:params**2", 2, &["is no expression over columns"]);
    check("--epochs loss", 2, &["--t and --epochs say the same"]);
    check("--x params", 2, &["--law auto has no use for --x"]);
    check("--level 1.5", 2, &["--level 1.5 does not lie between 0 and 1"]);
    let more = "--law auto --n params --d unique --y loss";
    refuse(&table(|_, _| ()), more, 2, &["needs a column for --t or --epochs"]);
    let more = "--x params --y loss --hold-out largest:params";
    refuse(&table(|_, _| ()), more, 2, &["--law power has no use for --hold-out"]);
    let more = "--x params --y loss --ceiling 9";
    refuse(&table(|_, _| ()), more, 2, &["--law power has no use for --ceiling"]);
}

#[test]
fn files_that_are_no_law() {
    let folder = tempfile::tempdir().unwrap();
    let plan = write(folder.path(), "plan.csv", "name,params,tokens,unique\na,1,2,1\n");
    let check = |text: &str, expected: &str| {
        let file = write(folder.path(), "law.json", text);
        let used = ["predict", file.to_str().unwrap(), "--runs", plan.to_str().unwrap()];
        let (code, errors) = failure(used);
        assert!(code == 3 && errors.contains(expected) && errors.contains("hint: "), "{errors}");
    };
    check("", "is no law: EOF");
    check("{}", "is no law: missing field");
    check("[1, 2]", "is no law: ");
    check("{\"format\": \"scarce-law-1\", \"E\": 3}", "unknown field `E`");
    check(&table(|_, _| ()), "is no law: ");
}
