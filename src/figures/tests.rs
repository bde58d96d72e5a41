//! One test per mode on the data that it draws, and the pictures of all of them on odd data.

use super::testing::{BUDGETS, SIZES, benchmarks, chinchilla, paper, study, study_of};
use super::*;
use crate::analysis::{HeldOutLoss, Origin, Run};
use crate::draw::chart::testing::check_scene;

fn plots(mode: Mode, runs: &Runs) -> Plots {
    draw(mode, runs, &quick()).unwrap()
}

/// Without a costly bootstrap.
fn quick() -> Options {
    Options { resamples: 8, ..Options::default() }
}

fn figure<'p>(plots: &'p Plots, name: &str) -> &'p Figure {
    let found = plots.figures.iter().find(|figure| figure.name == name);
    found.unwrap_or_else(|| panic!("{name} is missing: {:?}", plots.lacks))
}

fn finding<'p>(plots: &'p Plots, what: &str) -> &'p Finding {
    let found = plots.findings.iter().find(|finding| finding.what == what);
    let all: Vec<&str> = plots.findings.iter().map(|finding| finding.what.as_str()).collect();
    found.unwrap_or_else(|| panic!("{what} is missing: {all:#?}"))
}

fn value(plots: &Plots, what: &str) -> f64 {
    finding(plots, what).claim.unwrap_or_else(|| panic!("{what} has no number")).value
}

fn close(what: &str, found: f64, expected: f64, tolerance: f64) {
    assert!((found - expected).abs() <= tolerance, "{what}: {found} is not {expected}");
}

/// The drawn points of a series.
fn drawn(figure: &Figure, series: &str) -> Vec<(f64, f64)> {
    let points = figure.numbers("point", series);
    points.map(|datum| (datum.x.unwrap(), datum.y.unwrap())).collect()
}

#[test]
fn p1_parameters_give_the_papers_law() {
    let runs = paper();
    let plots = plots(Mode::InfiniteModelScaling, &runs);
    let by_budget = figure(&plots, "parameters-by-budget");
    let law = by_budget.numbers("law", "regularized at D = 210M").next().unwrap();
    close("E", law.y.unwrap(), 3.4294, 5e-5);
    let points: Vec<f64> = by_budget
        .data
        .iter()
        .filter(|datum| datum.kind == "point" && datum.panel == "D = 210M tokens")
        .map(|datum| datum.y.unwrap())
        .collect();
    assert_eq!(points, [3.75, 3.587, 3.51, 3.462]);
    // The standard recipe is that of weight decay 0.1 alone (B1), and rises at 1.4B.
    let standard = figure(&plots, "standard-by-budget");
    let losses: Vec<f64> = drawn(standard, "D = 210M").into_iter().map(|(_, loss)| loss).collect();
    assert_eq!(losses, [3.83752, 3.78538, 3.74974, 3.76432]);
    let said = &finding(&plots, "standard, D = 210M").text;
    assert!(said.starts_with("loss rises by 0.01458 from N = 600M to 1.4B"), "{said}");
    let single = value(&plots, "data efficiency, best single model (1.4B), D = 210M");
    close("best single", single, 2.0833, 5e-4);
    // One budget has a tuned law: a law of asymptotes in D is refused and not drawn.
    let refused = finding(&plots, "regularized, N to infinity, D to infinity");
    assert!(refused.claim.is_none() && refused.text.starts_with("no law: "), "{refused:?}");
}

#[test]
fn p2_ensembles_of_every_setting() {
    let runs = study();
    let plots = plots(Mode::VaryingHparams, &runs);
    let maps = figure(&plots, "heat-maps");
    let cells: Vec<_> = maps.data.iter().filter(|datum| datum.kind == "cell").collect();
    assert!(cells.len() >= 20, "{}", cells.len());
    assert!(cells.iter().all(|cell| !cell.records.is_empty()), "a number has its records");
    let choice = plots.findings.iter().find(|f| f.what.starts_with("best setting of")).unwrap();
    assert!(choice.text.contains("for infinitely many members"), "{choice:?}");
    // The paper's two published sets at 300M: asymptotes to the last digit.
    let plots = super::tests::plots(Mode::VaryingHparams, &paper());
    let what = "300M, D = 210M, 32 epochs, lr 0.003, wd 0.8, K to infinity";
    close(what, value(&plots, what), 3.272_981, 1e-6);
    let said = &finding(&plots, "best setting of 300M, D = 210M").text;
    assert!(said.contains("which is twice the epochs and half the decay of the latter"), "{said}");
}

#[test]
fn p3_figure_one_and_the_joint_asymptote() {
    let plots = plots(Mode::PostEnsemble, &paper());
    let joint = value(&plots, "joint, K then N to infinity, D = 210M");
    assert_eq!(format!("{joint:.3}"), "3.169");
    // The multipliers of the snapshot law; for the asymptotes with all digits, not the rounded.
    let efficiency = |what: &str| value(&plots, &format!("data efficiency, {what}, D = 210M"));
    close("single 1.4B", efficiency("best single model (1.4B)"), 2.083, 1e-3);
    close("regularized", efficiency("regularized asymptote"), 2.2849, 2e-3);
    close("300M", efficiency("ensembles of 300M, K to infinity"), 3.688, 5e-3);
    close("five 1.4B", efficiency("five 1.4B"), 3.747, 2e-3);
    close("joint", efficiency("joint asymptote"), 5.25, 2e-2);
    let figure_one = figure(&plots, "figure-1");
    let ticks: Vec<f64> =
        figure_one.data.iter().filter(|d| d.kind == "right").map(|d| d.y.unwrap()).collect();
    assert_eq!(ticks.len(), 4, "four colored ticks");
    close("the best standard is one", ticks[0], 1.0, 1e-12);
    let level = figure_one.numbers("level", "joint at D = 210M").next().unwrap();
    assert!(level.low.is_some() || level.high.is_some(), "an asymptote has its interval");
    // The four joint asymptotes of the triptych and their law in D.
    for (label, expected) in [("419M", 2.98), ("839M", 2.7893), ("1.68B", 2.6568)] {
        let what = format!("joint, K then N to infinity, D = {label}");
        close(&what, value(&plots, &what), expected, 5e-4);
    }
    let d_law = value(&plots, "joint, K and N to infinity, D to infinity");
    close("joint in D", d_law, 1.7984, 5e-4);
    close("standard in D", value(&plots, "standard, best size, D to infinity"), 2.0819, 5e-4);
    assert!(plots.lacks.is_empty(), "{:?}", plots.lacks);
}

#[test]
fn p4_families_of_seeds() {
    let plots = plots(Mode::SeedScience, &study());
    let families = figure(&plots, "seed-families");
    for (name, expected) in
        [("init seed only", 3.22), ("order seed only", 3.2), ("both seeds", 3.18)]
    {
        assert_eq!(drawn(families, name).len(), 5);
        close(name, value(&plots, &format!("{name}, K to infinity")), expected, 0.01);
    }
    assert_eq!(families.numbers("level", "no seed differs").count(), 1);
}

#[test]
fn p5_benchmarks_are_the_published_averages() {
    let plots = plots(Mode::BenchmarkResults, &benchmarks());
    let errors = figure(&plots, "benchmarks");
    let tuned: Vec<String> = drawn(errors, "regularized")
        .into_iter()
        .map(|(_, error)| format!("{:.2}", 100.0 * (1.0 - error)))
        .collect();
    // Of 300M the better of two files with the same recipe, and the sweep over epochs.
    assert_eq!(tuned, ["55.12", "58.65", "59.95", "60.73"]);
    let five: Vec<(f64, f64)> = drawn(errors, "ensembles of 300M");
    assert_eq!(five.len(), 5);
    close("five 300M", 100.0 * (1.0 - five[4].1), 63.0, 5e-3);
    let bar = errors.numbers("point", "ensembles of 1.4B").last().unwrap();
    assert!(bar.low < bar.y && bar.y < bar.high);
}

#[test]
fn p6_students_are_beside_their_teachers() {
    let plots = plots(Mode::Distillation, &paper());
    let students = figure(&plots, "distillation");
    assert_eq!(drawn(students, "student of 8-member mixture"), [(3e8, 3.3635)]);
    assert_eq!(drawn(students, "student of one member"), [(3e8, 3.43243)]);
    assert_eq!(drawn(students, "ensembles of 300M").len(), 8);
    let said = &finding(&plots, "student of 8-member mixture").text;
    assert!(said.contains("% of the way from the tuned single model (3.5870)"), "{said}");
}

#[test]
fn p7_p8_p9_are_curves_over_one_setting() {
    let runs = study();
    let batch = plots(Mode::StandardBatchSize, &runs);
    let points: Vec<f64> = figure(&batch, "batch-size")
        .data
        .iter()
        .filter(|datum| datum.kind == "point")
        .map(|datum| datum.x.unwrap())
        .collect();
    // With that of the study itself.
    assert_eq!(points, [4.0, 8.0, 16.0, 32.0, 64.0]);
    let decay = plots(Mode::StandardWeightDecay, &runs);
    let first = figure(&decay, "weight-decay").data.iter().find(|d| d.kind == "point").unwrap();
    assert_eq!(first.x, Some(0.1));
    let epochs = plots(Mode::StandardEpochOverfitting, &runs);
    let figure = figure(&epochs, "epochs");
    let points: Vec<_> = figure.data.iter().filter(|datum| datum.kind == "point").collect();
    assert_eq!(points.len(), SIZES.len() * BUDGETS.len() * 6);
    let said = &epochs.findings[0].text;
    assert!(said.starts_with("lowest ") && said.contains(" at epochs "), "{said}");
}

#[test]
fn p10_p11_recover_the_law_behind_the_sweep() {
    let runs = chinchilla();
    let sweep = plots(Mode::DclmChinchilla, &runs);
    let e = value(&sweep, "L = E + A/N^alpha + B/D^beta, N and D in billions: E");
    close("E", e, 1.7, 0.05);
    assert_eq!(drawn(figure(&sweep, "iso-flop"), "3e18 FLOP").len(), 5);
    assert!(sweep.findings.iter().any(|f| f.what == "L at N = 1e12 billion, D = 0.2 billion"));
    let rates = plots(Mode::DclmChinchillaLrTune, &runs);
    let figure = figure(&rates, "iso-flop-lr");
    assert!(figure.data.iter().filter(|datum| datum.kind == "point").count() == 16);
}

#[test]
fn p12_the_law_meets_larger_sizes() {
    let mut runs = paper();
    for (id, preset, n, setting, loss) in [
        ("large", "1_5b4k", 1.5e9, [8.0, 1e-3, 3.2], 3.46567),
        ("largest", "3_2b4k", 3.2e9, [4.0, 3e-4, 6.4], 3.45199),
    ] {
        let mut run = Run::new(Origin::Foreign(id.into()), preset);
        (run.parameters, run.budget_tokens) = (Some(n), Some(209_715_200.0));
        [run.epochs, run.lr, run.weight_decay] = setting.map(Some);
        run.loss = Some(HeldOutLoss { nats: loss, standard_error_nats: None });
        runs.runs.push(run);
    }
    let plots = plots(Mode::ChinchillaComparison, &runs);
    for (size, miss) in [("1.5B", "-0.0051"), ("3.2B", "-0.0081")] {
        let said = &finding(&plots, &format!("predicted loss of {size}")).text;
        assert!(said.ends_with(&format!("predicted minus measured {miss}")), "{said}");
    }
    assert_eq!(drawn(figure(&plots, "extrapolation"), "not fitted").len(), 2);
}

#[test]
fn p13_laws_in_tokens_per_size() {
    let plots = plots(Mode::DataScalingLaws, &study());
    let by_size = figure(&plots, "tokens-by-size");
    for (name, _) in SIZES {
        assert_eq!(drawn(by_size, name).len(), 4);
        let series = format!("{name}: law in D");
        let law = by_size.numbers("law", &series).next().unwrap();
        assert!(!law.records.is_empty());
        close(name, law.y.unwrap(), 2.8, 0.25);
    }
    assert_eq!(drawn(figure(&plots, "tokens-asymptotes"), "D to infinity").len(), SIZES.len());
}

#[test]
fn p1_settings_seeds_and_courses_of_a_study() {
    let plots = plots(Mode::InfiniteModelScaling, &study());
    assert!(plots.lacks.is_empty(), "{:?}", plots.lacks);
    assert_eq!(plots.figures.len(), 11);
    let spread = figure(&plots, "seed-spread");
    assert!(drawn(spread, "both seeds").len() >= 20, "four seeds of every tuned setting");
    let course = figure(&plots, "trajectories");
    assert!(course.data.iter().all(|datum| !datum.records.is_empty()));
    let said = plots.findings.iter().find(|f| f.what.contains(" against 0.1")).unwrap();
    assert!(said.text.contains("lies above until"), "{said:?}");
    let overfitting = figure(&plots, "overfitting");
    assert!(drawn(overfitting, "weight decay 0.1").len() >= 6);
    // The data and the CSV are the same rows.
    assert_eq!(overfitting.csv().lines().count(), overfitting.data.len() + 1);
}

/// Draws every mode and checks every picture.
fn check_all(name: &str, runs: &Runs) -> usize {
    let mut count = 0;
    for mode in Mode::ALL {
        let Ok(plots) = draw(mode, runs, &quick()) else { continue };
        for figure in &plots.figures {
            check_scene(&format!("{name}-{}-{}", mode.name(), figure.name), &figure.scene);
            count += 1;
        }
    }
    count
}

#[test]
fn no_picture_is_clipped_or_crowded() {
    assert!(check_all("paper", &paper()) >= 14);
    assert!(check_all("study", &study()) >= 24);
    check_all("benchmarks", &benchmarks());
    check_all("chinchilla", &chinchilla());
    let mut all = paper();
    all.runs.extend(benchmarks().runs);
    all.runs.extend(chinchilla().runs);
    assert!(check_all("all", &all) >= 18);
}

#[test]
fn odd_runs_are_drawn_as_well() {
    for (name, offset, factor) in [("tiny", 0.1, 1e-5), ("huge", 0.0, 1e4), ("flat", 3.0, 0.0)] {
        let mut runs = study_of(4, 2);
        for loss in runs.runs.iter_mut().filter_map(|run| run.loss.as_mut()) {
            loss.nats = offset + factor * loss.nats;
        }
        check_all(name, &runs);
    }
    let mut names = paper();
    for run in &mut names.runs {
        run.model = "a-shape-with-an-unreasonably-long-name-that-nobody-would-give".into();
        if let Some(taught) = &mut run.taught {
            taught.teacher = "W".repeat(90);
        }
    }
    names.nominal = false;
    check_all("names", &names);
    let mut broken = study_of(5, 2);
    for (index, run) in broken.runs.iter_mut().enumerate() {
        match index % 7 {
            0 => run.loss = None,
            1 => run.loss.as_mut().unwrap().nats = f64::NAN,
            2 => run.epochs = Some(0.0),
            3 => run.weight_decay = Some(0.0),
            4 => run.parameters = None,
            _ => {}
        }
    }
    check_all("broken", &broken);
    let mut one = study_of(1, 1);
    one.runs.truncate(1);
    check_all("one", &one);
    assert!(draw(Mode::PostEnsemble, &one, &quick()).is_err());
    let nothing = Runs::default();
    for mode in Mode::ALL {
        let error = draw(mode, &nothing, &quick()).unwrap_err();
        assert_eq!(error.exit_code(), 3);
        assert!(error.to_string().contains(" needs "), "{error}");
    }
}

#[test]
fn labels_of_budgets_are_numbers() {
    // 418M and 419M are one budget (B7), steps that were cut off as well (B12).
    let mut runs = paper();
    for (index, run) in runs.runs.iter_mut().enumerate() {
        let tokens = run.budget_tokens.unwrap();
        run.budget_tokens = Some(if index % 2 == 0 { tokens * 0.9976 } else { tokens });
        // Only standard losses are published beyond the smallest budget: there, nothing is tuned.
        if tokens > 3e8 {
            run.weight_decay = Some(0.4);
        }
    }
    let plots = plots(Mode::InfiniteModelScaling, &runs);
    let best = figure(&plots, "parameters-by-budget");
    let mut titles: Vec<&str> =
        best.data.iter().filter(|d| d.kind == "point").map(|d| d.panel.as_str()).collect();
    titles.dedup();
    assert_eq!(titles.len(), 4, "{titles:?}");
}

#[test]
fn a_wrong_mode_is_suggested() {
    let error = Mode::parse("infinite-model-scalling").unwrap_err();
    assert_eq!(error.hint_text(), Some("did you mean `infinite-model-scaling`?"));
    for mode in Mode::ALL {
        assert_eq!(Mode::parse(mode.name()).unwrap(), mode);
    }
}

#[test]
fn thousands_of_runs_are_fast() {
    let mut runs = study();
    let one = runs.runs.clone();
    while runs.runs.len() < 10_000 {
        let seed = runs.runs.len() as u64;
        runs.runs.extend(one.iter().cloned().map(|mut run| {
            run.origin = Origin::Record(format!("{}-{seed}", run.origin.id()));
            run.trajectory.clear();
            run
        }));
    }
    let start = std::time::Instant::now();
    for mode in [Mode::InfiniteModelScaling, Mode::VaryingHparams, Mode::PostEnsemble] {
        plots(mode, &runs);
    }
    // Without optimization; with it a mode takes less than a second (docs/LOG.md).
    let seconds = start.elapsed().as_secs_f64();
    assert!(seconds < 60.0, "{seconds} s");
}
