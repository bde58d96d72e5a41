//! The quick start, whole: the signs that the README shows. It trains for minutes: slow suite only.

use serde_json::Value;

use crate::program::{answer, slow};
use crate::report::check_in_browser;

#[test]
fn the_quick_start_shows_its_signs() {
    if !slow() {
        eprintln!("SKIPPED: SCARCE_SLOW=1 runs the whole quick start");
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let out = folder.path().join("out").display().to_string();
    let line = format!("quickstart --json --seed 2 --out {out}");
    let value: Value = serde_json::from_str(&answer(line.split_whitespace())).unwrap();
    let loss = |name: &str| {
        let recipes = value["recipes"].as_array().unwrap();
        let recipe = recipes.iter().find(|recipe| recipe["name"] == name).unwrap();
        recipe["loss_nats"].as_f64().unwrap()
    };
    let standard = ["standard-4", "standard-8", "standard-16", "standard-32"].map(loss);
    let best = standard.iter().copied().fold(f64::INFINITY, f64::min);
    assert!(loss("standard-32") > best + 0.02);
    assert!(loss("regularized") < best - 0.02);
    assert!(loss("ensemble-3") < loss("larger") - 0.02);
    assert!(loss("regularized") < loss("ngram") && loss("ngram") < standard[0]);
    // Each by at least five standard errors of the paired difference.
    let comparisons = value["comparisons"].as_array().unwrap();
    for (left, sign) in [("standard-32", 1.0), ("regularized", -1.0), ("ensemble-3", -1.0)] {
        let row = comparisons.iter().find(|row| row["left"] == left).unwrap();
        let mean = row["difference_nats"].as_f64().unwrap();
        let error = row["standard_error_nats"].as_f64().unwrap();
        assert!(sign * mean >= 5.0 * error, "{row}");
    }
    let floor = value["floor_nats"].as_f64().unwrap();
    assert!(standard.iter().all(|&loss| loss > floor) && loss("ensemble-3") > floor);
    // Run again, everything is remembered; and the page has no need of a network.
    let again: Value = serde_json::from_str(&answer(line.split_whitespace())).unwrap();
    assert_eq!(again["recipes"], value["recipes"]);
    check_in_browser(&folder.path().join("out/report.html"));
}

#[test]
fn a_dry_run_trains_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let out = folder.path().join("out");
    let line = format!("quickstart --dry-run --json --out {}", out.display());
    let value: Value = serde_json::from_str(&answer(line.split_whitespace())).unwrap();
    // Four epochs and five decays for two sizes; standard-16 is one of the decays.
    assert_eq!((&value["runs"], &value["known"]), (&Value::from(13), &Value::from(0)));
    assert_eq!(std::fs::read_dir(out.join("store/records")).unwrap().count(), 0);
}
