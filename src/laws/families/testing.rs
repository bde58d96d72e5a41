//! Simulated tables: does the choice predict as well as the true family, do the intervals hold?
//!
//! `SCARCE_SLOW=1 cargo test --release --lib families::testing -- --nocapture` prints the table of
//! records/laws-extrapolation: 200 tables from every family. Without optimization the slow suite
//! makes two tables of each, and without SCARCE_SLOW there is one table of one family.

use super::axis::{Weights, ln_key};
use super::descent::Problem;
use super::*;
use crate::laws::draws::Draws;

/// Level of the intervals.
const LEVEL: f64 = 0.9;

/// True parameters: near the fits of the public runs.
fn truth(formula: Formula) -> Theta {
    match formula {
        Formula::Chinchilla => [1.8, -0.6, 0.35, 0.4, 0.33, 0.0, 0.0, 0.0],
        Formula::Muennighoff => [1.8, -0.6, 0.35, 0.4, 0.33, 2.7, 1.7, 0.0],
        Formula::Additive => [1.87, -0.6, 0.29, -0.27, 0.28, -1.5, 0.63, 0.94],
        Formula::Saturating => [1.96, -2.7, 0.32, -1.86, 0.48, -3.2, 0.68, 1.08],
        Formula::AddGate => [1.96, -1.0, 0.41, 0.37, 0.33, 0.28, 1.16, 4.98],
        Formula::TGate => [2.03, -1.0, 0.41, 0.46, 0.28, 1.18, 4.98, 0.0],
        Formula::KaplanGate => [1.81, -1.05, 0.29, 2.71, 0.26, 1.35, 4.98, 0.0],
        Formula::SaturatingGate => [1.88, -3.07, 0.47, -1.54, 0.34, -1.51, 1.25, 5.21],
    }
}

/// What came out of one table.
struct Outcome {
    /// Means of |ln(predicted / true)| of the runs held out.
    choice: f64,
    of_truth: f64,
    noise: f64,
    covered: usize,
    held_out: usize,
    half_width: f64,
    /// Whether the true family is part of the average.
    found: bool,
}

/// A table of 60 to 200 runs with a noise of 0.005 to 0.02 in ln(loss), and its true losses.
fn table(formula: Formula, number: u64) -> (Vec<Point>, Vec<f64>, f64) {
    let mut draws = Draws::new(3 << 56 | (formula as u64) << 32 | number);
    let runs = 60 + (draws.uniform() * 141.0) as usize;
    let noise = 0.005 * libm::exp(draws.uniform() * libm::log(4.0));
    let (mut points, mut losses) = (Vec::new(), Vec::new());
    for _ in 0..runs {
        let size = 0.007 * libm::exp(f64::from((draws.uniform() * 12.0) as u32) * 0.6);
        let tokens = 0.5 * libm::exp(draws.uniform() * libm::log(400.0));
        let epochs = match draws.uniform() {
            share if share < 0.3 => 1.0,
            _ => libm::exp(draws.uniform() * libm::log(100.0)),
        };
        let place = Place::new(size, tokens, tokens / epochs);
        let loss = formula.loss(&truth(formula), &place, 10.8);
        losses.push(loss);
        points.push(Point { place, loss: loss * libm::exp(noise * draws.normal()) });
    }
    (points, losses, noise)
}

fn simulate(formula: Formula, number: u64) -> Outcome {
    let (points, losses, noise) = table(formula, number);
    let ln_keys: Vec<f64> = points.iter().map(|point| ln_key(0, point)).collect();
    let held_out = largest(&ln_keys, (0.15 * points.len() as f64).round() as usize);
    let rest: Vec<usize> = (0..points.len()).filter(|index| !held_out.contains(index)).collect();
    let train: Vec<Point> = rest.iter().map(|&index| points[index]).collect();
    let keys: Vec<f64> = rest.iter().map(|&index| ln_keys[index]).collect();
    let library = Formula::ALL.to_vec();
    let options = Options { library, misfit: Misfit::HuberLog, ceiling: 10.8 };
    let law = choose(&train, None, &options).unwrap();
    let weights = Weights::of(&keys, formula.letters().len());
    let limits = Limits {
        asymptote_max: losses.iter().copied().fold(f64::INFINITY, f64::min),
        ceiling: 10.8,
    };
    let (misfit, points_of, weights) = (Misfit::HuberLog, &train, &weights.values);
    let problem = Problem { formula, limits, misfit, points: points_of, weights };
    let theta = problem.solve(Some(&truth(formula))).theta;
    let mean = |error: &dyn Fn(usize) -> f64| {
        held_out.iter().map(|&index| error(index).abs()).sum::<f64>() / held_out.len() as f64
    };
    let forecasts: Vec<Forecast> =
        held_out.iter().map(|&index| law.forecast(&points[index].place, None, LEVEL)).collect();
    let inside = held_out
        .iter()
        .zip(&forecasts)
        .filter(|(index, forecast)| (forecast.low..=forecast.high).contains(&points[**index].loss));
    let mut widths: Vec<f64> = forecasts.iter().map(|forecast| forecast.half_width).collect();
    widths.sort_by(f64::total_cmp);
    Outcome {
        choice: mean(&|index| (law.loss(&points[index].place) / losses[index]).ln()),
        of_truth: mean(&|index| {
            (formula.loss(&theta, &points[index].place, 10.8) / losses[index]).ln()
        }),
        noise,
        covered: inside.count(),
        held_out: held_out.len(),
        half_width: widths[widths.len() / 2],
        found: law.averaged().any(|member| member.formula == formula),
    }
}

/// All tables of a family, shared by the cores.
fn outcomes(formula: Formula, tables: u64) -> Vec<Outcome> {
    let cores = std::thread::available_parallelism().map_or(1, |cores| cores.get() as u64);
    std::thread::scope(|scope| {
        let part = |core| {
            move || {
                (core..tables)
                    .step_by(cores as usize)
                    .map(move |n| simulate(formula, n))
                    .collect::<Vec<_>>()
            }
        };
        let threads: Vec<_> = (0..cores).map(|core| scope.spawn(part(core))).collect();
        threads.into_iter().flat_map(|thread| thread.join().unwrap()).collect()
    })
}

#[test]
fn the_choice_predicts_as_well_as_the_truth() {
    let slow = std::env::var_os("SCARCE_SLOW").is_some();
    let (families, tables) = match (slow, cfg!(debug_assertions)) {
        (true, false) => (&Formula::ALL[..], 200),
        (true, true) => (&Formula::ALL[..], 2),
        (false, _) => (&Formula::ALL[4..5], 1),
    };
    println!("| truth | as good | error: choice, truth | in average | covered | half-width |");
    for &formula in families {
        let outcomes = outcomes(formula, tables);
        let share = |what: &dyn Fn(&Outcome) -> bool| {
            outcomes.iter().filter(|outcome| what(outcome)).count() as f64 / tables as f64
        };
        let mean =
            |what: &dyn Fn(&Outcome) -> f64| outcomes.iter().map(what).sum::<f64>() / tables as f64;
        let as_good = share(&|outcome| outcome.choice <= outcome.of_truth + outcome.noise);
        let covered = outcomes.iter().map(|o| o.covered).sum::<usize>() as f64
            / outcomes.iter().map(|o| o.held_out).sum::<usize>() as f64;
        println!(
            "| {formula} | {:.1} % | {:.2} %, {:.2} % | {:.0} % | {:.1} % | {:.1} % |",
            100.0 * as_good,
            100.0 * mean(&|outcome| outcome.choice),
            100.0 * mean(&|outcome| outcome.of_truth),
            100.0 * share(&|outcome| outcome.found),
            100.0 * covered,
            100.0 * mean(&|outcome| outcome.half_width),
        );
        if tables > 8 {
            assert!(as_good >= 0.9, "{formula}: {as_good}");
            assert!(covered >= 0.85, "{formula}: {covered}");
        }
    }
}
