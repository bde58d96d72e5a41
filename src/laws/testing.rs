//! Simulated tables: do the intervals hold the truth as often as they promise?
//!
//! `SCARCE_SLOW=1 cargo test --release --lib laws::testing -- --nocapture` prints the table of
//! records/laws-recovery: 1,000 tables in every setting. Without optimization the slow suite does
//! every seventeenth setting, and without SCARCE_SLOW there are a few settings with fewer tables.

use super::axis::Axis;
use super::draws::Draws;
use super::fit::Work;
use super::*;

/// Nominal level of all intervals here.
const LEVEL: f64 = 0.9;
/// The bar: in every setting at least this share of the headline intervals of E hold the truth.
const BAR: f64 = 0.87;
/// Resamples of a bootstrap, and the share of tables that get one: it costs much more.
const RESAMPLES: usize = 200;
const BOOTSTRAPPED_EVERY: u64 = if cfg!(debug_assertions) { 100 } else { 5 };

/// A true law and the x at which it is measured.
struct Truth {
    name: &'static str,
    law: PowerLaw,
    /// The first x and whether x doubles (or counts up).
    first: f64,
    doubles: bool,
}

/// The laws of the paper and of public runs, and two where E is barely or hardly identified.
fn truths() -> [Truth; 6] {
    let truth = |name, (a, alpha, e), first, doubles| Truth {
        name,
        law: PowerLaw { a, alpha, e },
        first,
        doubles,
    };
    [
        truth("members, 0.5/K^1.05 + 3.5", (0.5, 1.05, 3.5), 1.0, false),
        truth("chained members, 0.17/K^0.5 + 3", (0.17, 0.5, 3.0), 1.0, false),
        truth("parameters, 0.05/N^1.02 + 3.43", (0.05, 1.02, 3.43), 0.15, true),
        truth("joint, 0.016/N^1.6 + 3.17", (0.016, 1.6, 3.17), 0.15, true),
        truth("tokens, 1.1/D^0.26 + 2.1", (1.1, 0.26, 2.1), 0.21, true),
        truth("nearly a logarithm, 3/D^0.1 + 0.5", (3.0, 0.1, 0.5), 0.21, true),
    ]
}

/// What is simulated.
#[derive(Clone, Copy)]
struct Setting {
    truth: usize,
    points: usize,
    deviation: f64,
    known: bool,
}

/// What came out, as shares and a median.
struct Outcome {
    covered: f64,
    open: f64,
    refused: f64,
    /// Infinite if more than half of the intervals are open.
    median_width: f64,
    bootstrap_covered: f64,
    multiplier_covered: f64,
}

fn simulate(setting: Setting, tables: u64) -> Outcome {
    let truth = &truths()[setting.truth];
    let x = (0..setting.points).map(|index| match truth.doubles {
        true => truth.first * f64::from(1_u32 << index),
        false => truth.first + index as f64,
    });
    let x: Vec<f64> = x.collect();
    let deviation = setting.deviation;
    let noise = if setting.known { Noise::Known { deviation } } else { Noise::Residuals };
    let options = Options { noise, level: LEVEL, resamples: RESAMPLES, family: Family::Power };
    // The multiplier: four times the largest x, relative to the smallest.
    let target = Target::exact(truth.law.value(4.0 * x[x.len() - 1]));
    let (base, factor) =
        (Base::Loss(Target::exact(truth.law.value(x[0]))), 4.0 * x[x.len() - 1] / x[0]);
    let (mut covered, mut open, mut refused, mut multiplied) = (0_u32, 0_u32, 0_u32, 0_u32);
    let (mut bootstrapped, mut bootstrap_covered) = (0_u32, 0_u32);
    let mut widths = Vec::new();
    for table in 0..tables {
        let number = (setting.truth as u64) << 48
            | (setting.points as u64) << 40
            | ((1e4 * deviation) as u64) << 24
            | table;
        // Far from the sequences of the bootstraps, which count from zero.
        let mut draws = Draws::new(1 << 63 | number);
        let measured = x.iter().map(|&x| (x, truth.law.value(x) + deviation * draws.normal()));
        let curve = Curve::new(&measured.collect::<Vec<_>>()).unwrap();
        let Ok(work) = Work::new(&curve, &options) else {
            refused += 1;
            continue;
        };
        let interval = super::fit::asymptote(&work, &work.region());
        covered += u32::from(interval.contains(truth.law.e));
        open += u32::from(interval.is_open());
        widths.push(interval.width().unwrap_or(f64::INFINITY));
        // Where there is no multiplier, "never reached" is wrong: the truth reaches it.
        let multiplier = super::multiplier::profile(&work, target.loss, base);
        multiplied += u32::from(multiplier.is_some_and(|range| range.contains(factor)));
        if table % BOOTSTRAPPED_EVERY == 0 {
            let fit = fit(&curve, &options).unwrap();
            bootstrapped += 1;
            bootstrap_covered += u32::from(fit.asymptote.bootstrap.contains(truth.law.e));
        }
    }
    widths.sort_by(f64::total_cmp);
    let share = |count: u32| f64::from(count) / tables as f64;
    Outcome {
        covered: share(covered),
        open: share(open),
        refused: share(refused),
        median_width: widths.get(widths.len() / 2).copied().unwrap_or(f64::INFINITY),
        bootstrap_covered: f64::from(bootstrap_covered) / f64::from(bootstrapped.max(1)),
        multiplier_covered: share(multiplied),
    }
}

/// Simulates all settings, on two threads, and prints a row for each.
fn simulate_all(settings: &[Setting], tables: u64) -> Vec<Outcome> {
    let halves = settings.split_at(settings.len() / 2);
    let run = |part: &[Setting]| -> Vec<Outcome> {
        part.iter().map(|&setting| simulate(setting, tables)).collect()
    };
    let outcomes = std::thread::scope(|scope| {
        let other = scope.spawn(|| run(halves.1));
        let mut outcomes = run(halves.0);
        outcomes.extend(other.join().unwrap());
        outcomes
    });
    println!(
        "| law | noise | given | points | E covered | open | median width | by bootstrap | x4 |"
    );
    println!("|---|---|---|---|---|---|---|---|---|");
    for (setting, outcome) in settings.iter().zip(&outcomes) {
        let width = match outcome.median_width {
            width if width.is_finite() => format!("{width:.4}"),
            _ => "open".to_owned(),
        };
        let percent = |share: f64| format!("{:.1} %", 100.0 * share);
        let cells = [
            truths()[setting.truth].name.to_owned(),
            setting.deviation.to_string(),
            if setting.known { "yes" } else { "no" }.to_owned(),
            setting.points.to_string(),
            percent(outcome.covered),
            percent(outcome.open),
            width,
            percent(outcome.bootstrap_covered),
            percent(outcome.multiplier_covered),
        ];
        println!("| {} |", cells.join(" | "));
        if outcome.refused > 0.0 {
            println!("refused: {}", percent(outcome.refused));
        }
    }
    outcomes
}

/// Every law, number of points, noise, and noise known or not.
fn all_settings() -> Vec<Setting> {
    let mut settings = Vec::new();
    for truth in 0..truths().len() {
        for deviation in [0.002, 0.005, 0.01, 0.02] {
            for known in [false, true] {
                for points in 4..=8 {
                    settings.push(Setting { truth, points, deviation, known });
                }
            }
        }
    }
    settings
}

#[test]
fn intervals_hold_the_truth_as_often_as_they_promise() {
    if std::env::var_os("SCARCE_SLOW").is_none() {
        let setting = |truth, points, deviation, known| Setting { truth, points, deviation, known };
        let settings = [
            setting(0, 5, 0.005, false),
            setting(2, 4, 0.002, true),
            setting(4, 8, 0.01, false),
            setting(5, 4, 0.02, true),
        ];
        for outcome in simulate_all(&settings, 100) {
            // One standard deviation of a share of 100 is 0.03.
            assert!(outcome.covered >= 0.82 && outcome.multiplier_covered >= 0.82);
        }
        return;
    }
    // Seventeen shares no factor with the axes of the grid, so that all of their values occur.
    let every = if cfg!(debug_assertions) { 17 } else { 1 };
    let settings: Vec<Setting> = all_settings().into_iter().step_by(every).collect();
    let outcomes = simulate_all(&settings, 1000);
    let worst = outcomes.iter().map(|outcome| outcome.covered).fold(1.0, f64::min);
    let mean = outcomes.iter().map(|outcome| outcome.covered).sum::<f64>() / outcomes.len() as f64;
    println!("worst {worst:.3}, mean {mean:.3} over {} settings", outcomes.len());
    assert!(worst >= BAR, "{worst} is below {BAR}");
}

/// Laws of several axes have the same promise.
#[test]
fn intervals_of_surfaces_hold_the_truth() {
    let slow = std::env::var_os("SCARCE_SLOW").is_some();
    let tables = if slow && !cfg!(debug_assertions) { 1000 } else { 8 };
    let options = Options { resamples: 1, ..Options::default() };
    let (mut covered, mut exponent) = (0_u32, 0_u32);
    for table in 0..tables {
        let mut draws = Draws::new(3 << 62 | table);
        let mut samples = Vec::new();
        for n in [0.15, 0.3, 0.6, 1.4] {
            for d in [0.2, 0.4, 0.8, 1.6] {
                let loss = 2.0 + 0.06 * libm::pow(n, -1.0) + 0.7 * libm::pow(d, -0.38);
                let loss = loss + 0.01 * draws.normal();
                samples.push(Sample { parameters: Some(n), tokens: d, epochs: None, loss });
            }
        }
        let fit = fit_surface(&samples, Shape::Chinchilla, &options).unwrap();
        covered += u32::from(fit.get(Parameter::E).unwrap().profile.contains(2.0));
        exponent += u32::from(fit.get(Parameter::Beta).unwrap().profile.contains(0.38));
    }
    let shares = [covered, exponent].map(|count| f64::from(count) / tables as f64);
    println!("Chinchilla over {tables} tables: E {}, beta {}", shares[0], shares[1]);
    // One standard deviation of a share of eight is 0.1.
    assert!(shares.iter().all(|share| *share >= if tables > 8 { BAR } else { 0.6 }));
}

/// Ten thousand refits of a law with five points take at most a second (release) on one core.
#[test]
fn refits_are_fast() {
    let law = PowerLaw { a: 0.5, alpha: 1.0, e: 3.0 };
    let mut draws = Draws::new(8);
    let points: Vec<(f64, f64)> =
        (1..=5).map(|k| (f64::from(k), law.value(f64::from(k)) + 0.003 * draws.normal())).collect();
    let curve = Curve::new(&points).unwrap();
    let axis = Axis::new(&curve, Family::Power);
    let scatter = Scatter { deviation: 0.003, degrees: Some(2) };
    let start = std::time::Instant::now();
    let laws = super::bootstrap::refits(&axis, curve.y(), scatter, 10_000);
    let seconds = start.elapsed().as_secs_f64();
    println!("10,000 refits: {seconds:.3} s");
    assert_eq!(laws.len(), 10_000);
    // Without optimization, and beside other work, it may take longer.
    assert!(seconds < if cfg!(debug_assertions) { 30.0 } else { 1.0 }, "{seconds} s");
}
