//! Counts beyond all measure and models that no memory holds: refused at once, by name, with what
//! would do.

use std::fs;
use std::path::Path;
use std::process::Command;
use std::time::{Duration, Instant};

use serde_json::Value;

use crate::program::{failure, pocket_corpus, run, scratch};

/// A command that must be refused with all of these words; `POCKET` stands for the corpus.
fn refuse(line: &str, parts: &[&str]) {
    let pocket = pocket_corpus().display().to_string();
    let (code, errors) = failure(line.split_whitespace().map(|w| w.replace("POCKET", &pocket)));
    assert_eq!(code, 2, "`{line}`: {errors}");
    for part in parts {
        assert!(errors.contains(part), "`{line}` says {errors:?}, not {part:?}");
    }
    assert!(errors.len() < 500, "`{line}`: {errors}");
}

fn study(folder: &Path, text: &str) -> String {
    let path = folder.join("study.toml");
    fs::write(&path, text).unwrap();
    path.display().to_string()
}

#[test]
fn counts_of_a_spec_have_bounds() {
    let cases = [
        "model.width=4294967294",
        "model.layers=4294967295",
        "model.heads=4294967295",
        "model.kv_heads=4294967295",
        "model.feed_forward.width=4294967295",
        "model.vocabulary=4294967295",
        "optim.batch_sequences=4294967295",
        "seeds.init=9223372036854775807",
        "seeds.order=9223372036854775807",
    ];
    for set in cases {
        let (key, value) = set.split_once('=').unwrap();
        let parts = [&*format!("`{key}` = {value}"), "the most that is taken"];
        refuse(&format!("train --corpus POCKET --store none --dry-run --set {set}"), &parts);
    }
    let others = [
        ("data.epochs=1e300", "more than 1e18, the most that is taken"),
        ("data.epochs=1e15", "more than 1e18"),
        ("data.sequence_tokens=4294967295", "longer than the corpus'"),
        ("data.budget_tokens=9223372036854775807", "not a positive multiple"),
        ("evaluation.points=4294967296", "`evaluation.points`: at most 4294967295 was expected"),
        ("model.width=18446744073709551616", "a whole number was expected"),
        ("model.width=-1", "a whole number was expected"),
        ("model.width=0", "`model.width` must be at least 1"),
    ];
    for (set, part) in others {
        refuse(&format!("train --corpus POCKET --store none --dry-run --set {set}"), &[part]);
    }
    assert!(!scratch().join("none").exists());
}

#[test]
fn counts_of_studies_and_flags_have_bounds() {
    let folder = tempfile::tempdir().unwrap();
    let store = folder.path().join("store").display().to_string();
    let base = "[base]\nmodel.preset = 'pocket-20k'\noptim.batch_sequences = 4\n[plan]\n";
    let grid = "grid = { epochs = [1, 2], lr = [0.01], weight_decay = [0.1] }\n";
    let tune = |plan: &str| format!("study = 'tune'\n{base}mode = 'ensemble'\n{grid}{plan}");
    let scale = |plan: &str| {
        format!("study = 'scale'\n{base}models = ['pocket-20k']\nbudgets = [2560]\n{grid}{plan}")
    };
    let ensemble = |plan: &str| format!("study = 'ensemble'\n{base}{plan}");
    let cases = [
        ("tune", tune("certificate_seeds = 4294967295"), "`certificate_seeds` = 4294967295"),
        ("tune", tune("seeds = 4294967295"), "`seeds` = 4294967295 is more than 1024"),
        ("tune", tune("members = 4294967295"), "`members` = 4294967295 is more than 64"),
        ("tune", tune("members = 255"), "`members` = 255 is more than 64"),
        ("tune", tune("seed = 9223372036854775807"), "`seed` = 9223372036854775807"),
        ("scale", scale("members = 4294967295"), "`members` = 4294967295"),
        ("scale", scale("standard_seeds = 4294967295"), "`standard_seeds` = 4294967295"),
        ("scale", scale("resamples = 4294967295"), "`resamples` = 4294967295"),
        ("scale", scale("seed = 9223372036854775807"), "`seed` = "),
        ("ensemble", ensemble("members = 4294967295"), "an ensemble has 2 to 64"),
        ("ensemble", ensemble("subsets_max = 4294967295"), "`subsets_max` = 4294967295"),
    ];
    for (verb, text, part) in cases {
        let file = study(folder.path(), &text);
        refuse(&format!("{verb} {file} --corpus POCKET --store {store} --dry-run"), &[part]);
    }
    let axis = |count: u32| (1..=count).map(|n| n.to_string()).collect::<Vec<_>>().join(",");
    let long = axis(200);
    let wide = format!(
        "study = 'tune'\n{base}mode = 'regularized'\nmethod = 'grid'\n\
         grid = {{ epochs = [{long}], lr = [{long}], weight_decay = [{long}] }}\n"
    );
    let file = study(folder.path(), &wide);
    let parts = ["the points of the grid` = 8000000 is more than 1048576"];
    refuse(&format!("tune {file} --corpus POCKET --store {store} --dry-run"), &parts);

    let flags = [
        "train --dry-run --corpus POCKET --threads 3000",
        "train --corpus POCKET --threads 65536",
        "eval abc --corpus POCKET --threads 3000",
        "tune --corpus POCKET --workers 65535",
        "scale x.toml --corpus POCKET --threads 3000",
        "ensemble --corpus POCKET --workers 3000",
        "quickstart --workers 3000",
        "quickstart --seed 18446744073709551615",
        "best POCKET --hours 1 --workers 3000",
        "best POCKET --hours 1 --seed 18446744073709551615",
        "tune --corpus POCKET --certificate-seeds 4294967295",
        "tune --corpus POCKET --seeds 4294967295",
        "fit x.csv --x a --y b --resamples 4294967295",
        "best POCKET --hours 1e300",
        "prepare x.txt --out none --threads 100000",
        "bench train --members 65535",
        "bench train --windows 18446744073709551615",
    ];
    for line in flags {
        let (flag, value) = line.rsplit_once(" --").unwrap().1.split_once(' ').unwrap();
        let says = if flag == "hours" { "--hours: more than 1000000" } else { value };
        let line = line.replace("--corpus POCKET", &format!("--corpus POCKET --store {store}"));
        refuse(&line, &[says]);
    }
    let subsets = format!("ensemble --corpus POCKET --store {store} --subsets 4294967295");
    refuse(&subsets, &["`subsets_max` = 4294967295 is more than 65536"]);
    assert!(!scratch().join("scarce-quickstart").exists());
}

/// Ids of thousands of runs, each hashed once. Hashed once for every pair, they take minutes.
#[test]
fn a_dry_run_of_thousands_of_runs_does_not_take_its_square() {
    let folder = tempfile::tempdir().unwrap();
    let text = "study = 'tune'\n[base]\nmodel.preset = 'pocket-20k'\noptim.batch_sequences = 4\n\
                [plan]\nmode = 'regularized'\nseeds = 1024\n\
                grid = { epochs = [1, 2, 4], lr = [0.01], weight_decay = [0.1] }\n";
    let file = study(folder.path(), text);
    let store = folder.path().join("store").display().to_string();
    let pocket = pocket_corpus().to_str().unwrap();
    let start = Instant::now();
    let output = run(["tune", &file, "--corpus", pocket, "--store", &store, "--dry-run", "--json"]);
    let plan: Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(plan["needed"], 2048);
    assert!(start.elapsed() < Duration::from_secs(60), "{:?}", start.elapsed());
}

/// 23 TB: nobody's memory.
const HUGE: &str = "--set model.preset=l8b --set model.layers=4096";

#[test]
fn what_memory_cannot_hold_is_refused_before_the_first_step() {
    let folder = tempfile::tempdir().unwrap();
    let store = folder.path().join("store").display().to_string();
    let train = format!("train --corpus POCKET --store {store} {HUGE}");
    refuse(&train, &["this needs ", " GiB of memory, and ", " can be had", "hint: what fits: "]);
    let wide = "--set model.width=262144 --set model.heads=1 --set model.kv_heads=1";
    refuse(&format!("train --corpus POCKET --store {store} {wide}"), &["of memory"]);
    refuse(&format!("ensemble --corpus POCKET --store {store} {HUGE}"), &["this needs "]);
    refuse(&format!("tune --corpus POCKET --store {store} {HUGE}"), &["this needs "]);
    // A thousand workers of 1.4 GiB each.
    let many = "--workers 1024 --set model.preset=pocket-48m";
    refuse(
        &format!("tune --corpus POCKET --store {store} {many}"),
        &["need", "GiB of memory, and"],
    );
    let records = folder.path().join("store/records");
    assert_eq!(fs::read_dir(records).map_or(0, Iterator::count), 0);

    // A dry run says it, and says it of a small run, too.
    let pocket = pocket_corpus().display().to_string();
    let dry = |more: &str| {
        let line = format!("train --corpus {pocket} --store {store} --dry-run {more}");
        let output = run(line.split_whitespace());
        assert!(output.status.success());
        String::from_utf8(output.stdout).unwrap()
    };
    assert!(dry(HUGE).contains(" can be had: it does not fit (what fits: "));
    assert!(dry("").contains(" can be had: it fits\n"));
    let plan: Value = serde_json::from_str(&dry(&format!("{HUGE} --json"))).unwrap();
    assert_eq!(plan["fits"], false);
    assert!(plan["memory_bytes"].as_u64() > plan["available_memory_bytes"].as_u64());
}

/// A limit of one process, as `ulimit -v` and some job schedulers set it: no abort, but a message.
#[test]
fn a_limit_of_the_process_is_a_bound() {
    let folder = tempfile::tempdir().unwrap();
    let (program, store) = (env!("CARGO_BIN_EXE_scarce"), folder.path().join("store"));
    let command = format!(
        "ulimit -v 2000000 && exec {program} train --corpus {} --store {} --threads 1 \
         --set model.preset=300m4k",
        pocket_corpus().display(),
        store.display()
    );
    let output = Command::new("sh").args(["-c", &command]).output().unwrap();
    let errors = String::from_utf8(output.stderr).unwrap();
    if errors.contains("ulimit") {
        eprintln!("SKIPPED: this shell sets no limit: {errors}");
        return;
    }
    assert_eq!(output.status.code(), Some(2), "{errors}");
    assert!(errors.contains("GiB of memory, and 1.") && errors.contains("what fits: "), "{errors}");
}

#[test]
fn what_a_study_decides_cannot_be_set_beside_it() {
    let folder = tempfile::tempdir().unwrap();
    let store = folder.path().join("store").display().to_string();
    let base = "[base]\nmodel.preset = 'pocket-20k'\ndata.budget_tokens = 12800\n\
                optim.batch_sequences = 4\n[plan]\n";
    let grid = "grid = { epochs = [1, 2], lr = [0.003, 0.01], weight_decay = [0.1, 1.6] }\n";
    let tune = format!("study = 'tune'\n{base}mode = 'regularized'\n{grid}");
    let scale = format!("study = 'scale'\n{base}models = ['pocket-20k']\nbudgets = [2560]\n{grid}");
    let refused = |verb: &str, text: &str, sets: &[(&str, &str)]| {
        let file = study(folder.path(), text);
        for (set, by) in sets {
            let key = set.split(['=', '{']).next().unwrap();
            let line = format!("{verb} {file} --corpus POCKET --store {store} --set {set}");
            refuse(&line, &[&format!("--set {key}"), &format!("{by} decides this itself")]);
            refuse(&format!("{line} --dry-run"), &["decides this itself", "hint: "]);
        }
    };
    let of_grid = [
        ("optim.lr=0.5", "the grid of the study"),
        ("data.epochs=3", "the grid of the study"),
        ("optim.weight_decay=0.5", "the grid of the study"),
        ("seeds.init=3", "`seed` of the study"),
        ("seeds.order=3", "`seed` of the study"),
        // A table is its keys.
        ("optim={lr=0.5}", "the grid of the study"),
    ];
    refused("tune", &tune, &of_grid);
    refused("scale", &scale, &of_grid[..2]);
    let of_cells = [
        ("model.preset=pocket-38k", "`models` of the study"),
        ("data.budget_tokens=1280", "`budgets` of the study"),
    ];
    refused("scale", &scale, &of_cells);
    let best = format!("best POCKET --hours 1 --store {store}");
    refuse(&format!("{best} --set optim={{lr=0.5}}"), &["--set optim.lr: `best` decides"]);
    // A page would show the study without the override.
    let file = study(folder.path(), &tune);
    fs::create_dir_all(&store).unwrap();
    fs::write(format!("{store}/format"), "scarce-store 1\n").unwrap();
    let line = format!("report {file} --corpus POCKET --store {store} --set optim.lr=0.5");
    refuse(&line, &["--set optim.lr", "decides this itself"]);
    // What the study leaves open can be set.
    let pocket = pocket_corpus().display().to_string();
    let line = format!(
        "tune {file} --corpus {pocket} --store {store} --dry-run --set model.dropout=0.1 \
         --set optim.beta2=0.99"
    );
    assert!(run(line.split_whitespace()).status.success());
}
