//! Runs for tests: the paper's published numbers, and a made-up study in which everything happens.

use std::collections::BTreeMap;

use crate::analysis::{
    Accuracy, Ensemble, HeldOutLoss, Moment, Origin, Run, RunSeeds, Runs, Taught,
};
use crate::store::Average;

/// A golden table, read at compile time so that the tests need no folder.
macro_rules! golden {
    ($name:literal) => {
        include_str!(concat!("../../tests/golden/", $name))
    };
}

type Row = BTreeMap<String, String>;

fn rows(text: &str) -> Vec<Row> {
    let mut reader = csv::Reader::from_reader(text.as_bytes());
    reader.deserialize().map(|row| row.unwrap()).collect()
}

fn number(row: &Row, column: &str) -> Option<f64> {
    row.get(column)?.parse().ok()
}

/// N, nominal, of the paper's presets.
fn nominal(preset: &str) -> Option<f64> {
    let sizes = [
        ("150m4k", 1.5e8),
        ("300m4k", 3e8),
        ("600m4k", 6e8),
        ("1_4b4k", 1.4e9),
        ("1_5b4k", 1.5e9),
        ("3_2b4k", 3.2e9),
    ];
    sizes.iter().find(|(name, _)| *name == preset).map(|(_, n)| *n)
}

const LABELS: [(&str, f64); 4] = [
    ("200M", 209_715_200.0),
    ("400M", 419_430_400.0),
    ("800M", 838_860_800.0),
    ("1.6B", 1_677_721_600.0),
];

/// A foreign run of the paper.
fn paper_run(id: &str, preset: &str, d: f64, setting: [f64; 3], loss: f64) -> Run {
    let mut run = Run::new(Origin::Foreign(id.to_owned()), preset);
    run.parameters = nominal(preset);
    run.budget_tokens = Some(d);
    [run.epochs, run.lr, run.weight_decay] = setting.map(Some);
    run.batch_sequences = Some(64.0);
    run.sequence_tokens = Some(4096.0);
    run.data = Some("dclm".to_owned());
    run.loss = Some(HeldOutLoss { nats: loss, standard_error_nats: None });
    run
}

/// The published setting of a recipe.
fn tuned(recipe: &str, preset: &str, d_label: &str) -> [f64; 3] {
    let all = rows(golden!("plot/tuned_hparams.csv"));
    let is = |row: &&Row| {
        row["recipe"] == recipe && row["preset"] == preset && row["d_label"] == d_label
    };
    let row = all.iter().find(is).unwrap();
    ["epochs", "lr", "weight_decay"].map(|column| number(row, column).unwrap())
}

/// An ensemble of the paper.
fn ensemble(run: Run, members: u32) -> Run {
    let averaging = Some(Average::Logits);
    Run {
        ensemble: Some(Ensemble {
            members,
            averaging,
            ids: Vec::new(),
            subsets: 1,
            without: Vec::new(),
        }),
        ..run
    }
}

/// The paper's published losses. An asymptote in K is stood for by points a/K + E, K = 1 to 5 (8
/// for 300M at 200M), from which a law in K returns it exactly; five 1.4B come out at 3.268.
pub(super) fn paper() -> Runs {
    let mut runs = Vec::new();
    let d = LABELS[0].1;
    for row in rows(golden!("plot/standard_singles.csv")) {
        let setting = ["epochs", "lr", "weight_decay"].map(|column| number(&row, column).unwrap());
        let id = format!("standard-{}", row["preset"]);
        let mut run = paper_run(&id, &row["preset"], d, setting, number(&row, "val_loss").unwrap());
        run.train_loss_nats = number(&row, "train_loss");
        // The extrapolation sizes came later: the paper's standard law is of four.
        if nominal(&row["preset"]) <= Some(1.4e9) {
            runs.push(run);
        }
    }
    for row in rows(golden!("laws/standard_best_per_d.csv")).iter().skip(1) {
        let (d, loss) = (number(row, "d_tokens").unwrap(), number(row, "loss").unwrap());
        let setting = tuned("standard", "600m4k", &row["d_label"]);
        runs.push(paper_run(
            &format!("standard-600m4k-{}", row["d_label"]),
            "600m4k",
            d,
            setting,
            loss,
        ));
    }
    for row in rows(golden!("laws/regularized_singles.csv")) {
        if row["set"] == "paper_200m" {
            let setting =
                ["epochs", "lr", "weight_decay"].map(|column| number(&row, column).unwrap());
            let loss = number(&row, "val_loss").unwrap();
            runs.push(paper_run(
                &format!("regularized-{}", row["preset"]),
                &row["preset"],
                d,
                setting,
                loss,
            ));
        }
    }
    add_paper_ensembles(&mut runs);
    add_paper_students(&mut runs);
    Runs { runs, split: String::new(), nominal: true }
}

fn add_paper_ensembles(runs: &mut Vec<Run>) {
    for row in rows(golden!("laws/joint_asymptotes.csv")) {
        let is_tuned = row["member_recipe"] == "ensemble_tuned";
        let recipe = if is_tuned { "ensemble_member" } else { "regularized" };
        let (preset, label) = (row["preset"].as_str(), row["d_label"].as_str());
        let d = number(&row, "d_tokens").unwrap();
        let Some(e) = number(&row, "asymptote") else { continue };
        let single = runs.iter().find(|run| run.origin.id() == format!("regularized-{preset}"));
        let a = match (is_tuned, label, single) {
            (true, _, _) => 0.470_17,
            (false, "200M", Some(single)) => single.loss.unwrap().nats - e,
            _ => continue,
        };
        let most = if preset == "300m4k" && label == "200M" { 8 } else { 5 };
        for k in 1..=most {
            let id = format!("{recipe}-{preset}-{label}-{k}x");
            let loss = e + a / f64::from(k);
            let run = paper_run(&id, preset, d, tuned(recipe, preset, label), loss);
            runs.push(ensemble(run, k));
        }
    }
}

fn add_paper_students(runs: &mut Vec<Run>) {
    let d = LABELS[0].1;
    for row in rows(golden!("plot/distillation.csv")) {
        let (Some(weight), Some(decay)) =
            (number(&row, "teacher_weight"), number(&row, "weight_decay"))
        else {
            continue;
        };
        // The published students; the ablations are not in the figure.
        if decay > 0.05 && row["confidence"] == "A" {
            let loss = number(&row, "loss").unwrap();
            let mut run = paper_run(&row["run"], "300m4k", d, [16.0, 3e-3, decay], loss);
            run.taught = Some(Taught { teacher: row["teacher"].clone(), weight: Some(weight) });
            runs.push(run);
        }
    }
}

/// The paper's benchmark results.
pub(super) fn benchmarks() -> Runs {
    let mut runs = Vec::new();
    let tables = [golden!("plot/benchmark_accuracy.csv"), golden!("plot/wd_epochs_grid.csv")];
    for (table, text) in tables.into_iter().enumerate() {
        for (index, row) in rows(text).into_iter().enumerate() {
            if row.get("arc_easy_acc").is_none_or(String::is_empty) {
                continue;
            }
            let preset = row["preset"].trim_end_matches('m').to_owned();
            let setting = ["epochs", "lr", "weight_decay"].map(|c| number(&row, c).unwrap_or(1.0));
            let mut run =
                paper_run(&format!("benchmark-{table}-{index}"), &preset, 2e8, setting, 1.0);
            run.loss = None;
            for task in ["arc_easy", "piqa", "sciq"] {
                let share = number(&row, &format!("{task}_acc")).unwrap();
                let standard_error = number(&row, &format!("{task}_stderr"));
                run.accuracies.insert(task.to_owned(), Accuracy { share, standard_error });
            }
            let recipe = row.get("recipe").map_or("", String::as_str);
            if recipe.contains("ensemble") {
                run = ensemble(run, number(&row, "k").unwrap() as u32);
            }
            if let Some(weight) = number(&row, "teacher_weight") {
                run.taught = Some(Taught { teacher: recipe.to_owned(), weight: Some(weight) });
            }
            runs.push(run);
        }
    }
    Runs { runs, split: String::new(), nominal: true }
}

/// Chance, the same each time: between -1 and 1.
fn wobble(index: usize) -> f64 {
    (index as f64 * 0.618_033_988 + 0.37).fract() * 2.0 - 1.0
}

/// Sizes and budgets of the made-up study.
pub(super) const SIZES: [(&str, f64); 5] = [
    ("pocket-150k", 213_824.0),
    ("pocket-330k", 428_640.0),
    ("pocket-790k", 921_344.0),
    ("pocket-1.5m", 1_701_120.0),
    ("pocket-2.7m", 2_951_424.0),
];
pub(super) const BUDGETS: [f64; 4] = [25_600.0, 51_200.0, 102_400.0, 204_800.0];

/// The loss of a setting: optima in epochs and decay that move with size and budget, as in the
/// paper's tables.
fn loss(n: f64, d: f64, [epochs, lr, decay]: [f64; 3]) -> f64 {
    let size = (n / 2e5).log2();
    let data = (d / 25_600.0).log2();
    let stress = (1.4 + 0.5 * size - 0.5 * data).max(0.0);
    let decay_steps = (decay.max(0.05) / (0.4 * 2f64.powf(0.55 * size - 0.4 * data))).log2();
    let epoch_steps = (epochs / (16.0 * 2f64.powf(-0.3 * size + 0.3 * data))).log2();
    let tuned = 2.75 + 0.16 * (2e5 / n).powf(0.8) + 0.62 * (25_600.0 / d).powf(0.35);
    let overfit = 0.05 * (epoch_steps - 0.3 * decay_steps).powi(2).min(20.0);
    let decayed = if decay_steps < 0.0 { 0.012 * (1.0 + stress) } else { 0.02 };
    tuned + overfit + decayed * decay_steps.powi(2) + 0.02 * (lr / 3e-3).log2().powi(2)
}

/// A run of the made-up study.
fn own_run(index: usize, size: usize, d: f64, setting: [f64; 3], seed: u64) -> Run {
    let (model, n) = SIZES[size];
    let mut run = Run::new(Origin::Record(format!("{:016x}", (index + 1) * 0x9e37_79b9)), model);
    run.parameters = Some(n);
    run.budget_tokens = Some(d);
    [run.epochs, run.lr, run.weight_decay] = setting.map(Some);
    run.batch_sequences = Some(8.0);
    run.sequence_tokens = Some(128.0);
    run.data = Some("corpus".to_owned());
    run.seeds = RunSeeds { init: Some(seed), order: Some(seed) };
    let nats = loss(n, d, setting) + 0.004 * wobble(index);
    run.loss = Some(HeldOutLoss { nats, standard_error_nats: Some(0.006) });
    run.train_loss_nats = Some(nats - 0.1 - 0.05 * setting[0].log2());
    run.floor_nats = Some(2.3208);
    run.flops = Some(6.0 * n * d * setting[0]);
    run.numerics = "cpu/f32/exact/2".parse().ok();
    run
}

/// A made-up study of own records: grids around the optima, seeds, ensembles, courses.
pub(super) fn study() -> Runs {
    study_of(SIZES.len(), BUDGETS.len())
}

/// The same with fewer sizes and budgets.
pub(super) fn study_of(sizes: usize, budgets: usize) -> Runs {
    let mut runs = Vec::new();
    let grid_epochs = [2.0, 4.0, 8.0, 16.0, 32.0, 64.0];
    let grid_decays = [0.1, 0.2, 0.4, 0.8, 1.6, 3.2];
    for size in 0..sizes {
        for d in BUDGETS.into_iter().take(budgets) {
            for epochs in grid_epochs {
                for decay in grid_decays {
                    let setting = [epochs, 3e-3, decay];
                    runs.push(own_run(runs.len(), size, d, setting, 0));
                }
            }
        }
    }
    // More seeds of every tuned setting, and learning rates around some of them.
    for (size, (_, n)) in SIZES.into_iter().enumerate().take(sizes) {
        for d in BUDGETS.into_iter().take(budgets) {
            let best = |run: &&Run| run.parameters == Some(n) && run.budget_tokens == Some(d);
            let best = runs
                .iter()
                .filter(best)
                .min_by(|a, b| a.loss.unwrap().nats.total_cmp(&b.loss.unwrap().nats));
            let best = best.unwrap();
            let setting = [best.epochs, best.lr, best.weight_decay].map(Option::unwrap);
            for seed in 1..4 {
                runs.push(own_run(runs.len(), size, d, setting, seed));
            }
            for lr in [1e-3, 1e-2] {
                runs.push(own_run(runs.len(), size, d, [setting[0], lr, setting[2]], 0));
            }
            add_ensembles(&mut runs, size, d, setting);
        }
    }
    add_batches(&mut runs);
    add_courses(&mut runs, sizes - 1);
    add_families(&mut runs);
    Runs { runs, split: "val".to_owned(), nominal: false }
}

/// Ensembles of the tuned setting and its neighbors: the gain is larger with less decay.
fn add_ensembles(runs: &mut Vec<Run>, size: usize, d: f64, [epochs, lr, decay]: [f64; 3]) {
    for (more, less) in [(1.0, 1.0), (2.0, 0.5), (1.0, 0.5), (2.0, 1.0), (4.0, 0.5)] {
        let setting = [epochs * more, lr, decay * less];
        let single = loss(SIZES[size].1, d, setting);
        let gain = 0.10 + 0.06 * (more / less).log2() + 0.02 * size as f64;
        for k in 1..=5_u32 {
            let mut run = own_run(runs.len(), size, d, setting, 0);
            let nats = single - gain * (1.0 - 1.0 / f64::from(k)) + 0.0006 * wobble(runs.len());
            run.loss = Some(HeldOutLoss { nats, standard_error_nats: Some(0.006) });
            runs.push(ensemble(run, k));
        }
    }
}

/// The same run at other batch sizes.
fn add_batches(runs: &mut Vec<Run>) {
    for (step, batch) in [4.0, 16.0, 32.0, 64.0].into_iter().enumerate() {
        let mut run = own_run(runs.len(), 1, BUDGETS[1], [16.0, 3e-3, 0.1], 0);
        run.batch_sequences = Some(batch);
        run.loss.as_mut().unwrap().nats += 0.03 * (step as f64 - 1.0);
        runs.push(run);
    }
}

/// Courses of all runs of the largest size at one budget.
fn add_courses(runs: &mut [Run], size: usize) {
    let n = SIZES[size].1;
    for run in runs.iter_mut().filter(|run| {
        run.parameters == Some(n) && run.budget_tokens == Some(BUDGETS[0]) && run.ensemble.is_none()
    }) {
        let (epochs, decay) = (run.epochs.unwrap(), run.weight_decay.unwrap());
        let last = run.loss.unwrap().nats;
        let moments = (1..=80).map(|step| {
            let share = f64::from(step) / 80.0;
            // Decay keeps the loss up until the learning rate falls.
            let lag = 0.6 * decay.min(2.0) * (1.0 - share).powf(0.7);
            let overfit = if decay < 0.15 { 0.5 * (share - 1.0) * share } else { 0.0 };
            Moment {
                tokens: share * epochs * BUDGETS[0],
                train_loss_nats: Some(last - 0.3 * share + lag + 2.0 * (-8.0 * share).exp()),
                loss_nats: (step % 4 == 0)
                    .then_some(last + lag + overfit + 2.0 * (-8.0 * share).exp()),
            }
        });
        run.trajectory = moments.collect();
    }
}

/// A study of seeds: members that differ in one seed gain less.
fn add_families(runs: &mut Vec<Run>) {
    for (family, gain) in [("train", 0.09), ("data", 0.11), ("both", 0.13)] {
        for k in 1..=5_u32 {
            let mut run = own_run(runs.len(), 2, BUDGETS[1], [16.0, 3e-3, 1.6], 0);
            let nats = 3.31 - gain * (1.0 - 1.0 / f64::from(k)) + 0.0005 * wobble(runs.len());
            run.loss = Some(HeldOutLoss { nats, standard_error_nats: Some(0.006) });
            run.seed_families = vec![family.to_owned()];
            runs.push(ensemble(run, k));
        }
    }
}

/// One-epoch runs at equal work, several learning rates.
pub(super) fn chinchilla() -> Runs {
    let mut runs = Vec::new();
    for work in [3e18, 6e18, 1e19, 3e19, 6e19] {
        for n in [1e8, 2e8, 4e8, 8e8, 1.6e9_f64] {
            for lr in [1e-3, 3e-3] {
                let d = (work / (6.0 * n)).round();
                let id = format!("isoflop-{work}-{n}-{lr}");
                let nats = 1.7
                    + 0.25 * (n / 1e9).powf(-0.34)
                    + 0.6 * (d / 1e9).powf(-0.3)
                    + 0.01 * (lr / 2e-3_f64).log2().powi(2)
                    + 0.002 * wobble(runs.len());
                let mut run = paper_run(&id, "sweep", d, [1.0, lr, 0.1], nats);
                run.parameters = Some(n);
                run.flops = Some(work * (1.0 + 0.02 * wobble(runs.len())));
                runs.push(run);
            }
        }
    }
    Runs { runs, split: String::new(), nominal: false }
}
