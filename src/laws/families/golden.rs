//! Fits of the 182 public runs of Muennighoff et al. against those of an independent program.
//!
//! The table is no part of this repository: `SCARCE_DEV_DATA=DIR` names the folder that holds
//! `data/datablations_182.csv` (huggingface/datablations, utils/parametric_fit.ipynb).

use super::axis::{Weights, ln_key};
use super::descent::{Problem, Solution};
use super::*;

/// The runs with their names, in units of a billion; `None` without the table.
pub(super) fn public_runs() -> Option<Vec<(String, Point)>> {
    let Some(folder) = std::env::var_os("SCARCE_DEV_DATA") else {
        println!("SKIPPED: set SCARCE_DEV_DATA to the folder of data/datablations_182.csv");
        return None;
    };
    let path = std::path::Path::new(&folder).join("data/datablations_182.csv");
    let text = std::fs::read_to_string(path).unwrap();
    let run = |line: &str| {
        let fields: Vec<&str> = line.split(',').collect();
        let number = |index: usize| fields[index].parse::<f64>().unwrap();
        let place = Place::new(number(1) / 1e9, number(2) / 1e9, number(3) / 1e9);
        (fields[0].to_owned(), Point { place, loss: number(5) })
    };
    Some(text.lines().skip(1).map(run).collect())
}

#[test]
fn fits_of_the_public_runs_agree() {
    let Some(mut runs) = public_runs() else { return };
    runs.sort_by(|left, right| ln_key(0, &left.1).total_cmp(&ln_key(0, &right.1)));
    let (train, test) = runs.split_at(161);
    let points: Vec<Point> = train.iter().map(|run| run.1).collect();
    let ln_keys: Vec<f64> = points.iter().map(|point| ln_key(0, point)).collect();
    let lowest = points.iter().map(|point| point.loss).fold(f64::INFINITY, f64::min);
    let limits = Limits { asymptote_max: (lowest - 0.01).min(2.3), ceiling: 10.8 };
    let solve = |formula: Formula| {
        let weights = Weights::of(&ln_keys, formula.letters().len());
        let misfit = Misfit::HuberLog;
        let (points, weights) = (&points, &weights.values);
        let Solution { theta, objective } =
            Problem { formula, limits, misfit, points, weights }.solve(None);
        let losses: Vec<f64> = test.iter().map(|(_, point)| point.loss).collect();
        let mean = losses.iter().sum::<f64>() / losses.len() as f64;
        let squares = |predicted: &dyn Fn(&Point) -> f64| {
            test.iter().map(|(_, point)| (point.loss - predicted(point)).powi(2)).sum::<f64>()
        };
        let r2 = 1.0 - squares(&|p| formula.loss(&theta, &p.place, 10.8)) / squares(&|_| mean);
        let large = test.iter().find(|(name, _)| name == "8b7178b13b").unwrap();
        let far = formula.loss(&theta, &large.1.place, 10.8);
        println!("{formula}: {objective:.5e} {theta:.4?} R2 {r2:.3} {far:.4}");
        (objective, far)
    };
    let expected = [
        (Formula::AddGate, 1.72660e-4, 2.5313),
        (Formula::SaturatingGate, 1.77731e-4, 2.5233),
        (Formula::TGate, 1.74391e-4, 2.5381),
        (Formula::KaplanGate, 2.05304e-4, 2.5324),
    ];
    for formula in Formula::ALL {
        let (objective, far) = solve(formula);
        if let Some((_, known, known_far)) = expected.iter().find(|known| known.0 == formula) {
            assert!((objective / known - 1.0).abs() < 1e-3, "{formula}: {objective}");
            assert!((far - known_far).abs() < 1e-3, "{formula}: {far}");
        }
    }
}
