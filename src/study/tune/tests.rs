//! The planner against losses that are known.

#![expect(clippy::float_cmp, reason = "settings are values of the grid, not results")]

use super::*;
use crate::golden::check_json;
use crate::spec::{Request, TrainSpec};
use crate::study::testing::{FormulaLab, facts, setting};
use crate::study::trial::Basis;

fn cell() -> Cell {
    let sets = ["model.preset=pocket-20k", "data.budget_tokens=25600", "optim.batch_sequences=4"];
    let sets = sets.map(str::to_owned);
    Cell::new(&Request { file: None, sets: &sets }, &facts(), 0).unwrap()
}

fn options(mode: Mode) -> Options {
    Options {
        mode,
        method: Method::Local,
        grid: Grid {
            epochs: vec![4.0, 8.0, 16.0, 32.0],
            lr: vec![3e-3, 1e-2, 3e-2],
            weight_decay: vec![0.1, 0.2, 0.4, 0.8, 1.6, 3.2, 6.4],
        },
        starts: vec![Setting { epochs: 4.0, lr: 3e-3, weight_decay: 0.1 }],
        seeds: 1,
        certificate_seeds: None,
        members: 5,
        seed: 0,
        publish: false,
        prune: false,
    }
}

/// A bowl around (16, 0.01, 1.6), flat between decays of 1.6 and 3.2, with a little seed noise.
fn bowl(spec: &TrainSpec) -> Option<f64> {
    let at = setting(spec);
    let decay = (at.weight_decay / 2.2).ln().abs().max(0.4);
    let away = (at.epochs / 16.0).ln().powi(2) + (at.lr / 0.01).ln().powi(2) + decay.powi(2);
    let noise = if spec.seeds.init.is_multiple_of(2) { 1e-4 } else { -1e-4 };
    Some(2.7 + 0.05 * away + noise)
}

#[test]
fn the_optimum_is_found_and_proven() {
    let mut lab = FormulaLab::new(bowl);
    let options =
        Options { certificate_seeds: Some(3), publish: true, ..options(Mode::Regularized) };
    let outcome = run(&mut lab, &cell(), &options).unwrap();
    let Certificate { center, neighbors, edges, flat } = &outcome.certificate;
    assert_eq!((center.setting.epochs, center.setting.lr), (16.0, 1e-2));
    assert_eq!((center.records.len(), neighbors.len(), edges.len()), (3, 6, 0));
    let decays: Vec<f64> = flat.iter().map(|setting| setting.weight_decay).collect();
    assert_eq!(decays, [1.6, 3.2], "both are as good: a set is reported, not a point");
    for neighbor in neighbors {
        let expected = match flat.contains(&neighbor.trial.setting) {
            true => Verdict::NotDistinguishable,
            false => Verdict::Worse,
        };
        assert_eq!(neighbor.difference.verdict(), expected, "{:?}", neighbor.trial.setting);
        assert_eq!(neighbor.difference.basis, Basis::TextAndSeeds { seeds: 3 });
    }
    assert!(!outcome.certificate.is_strict());
    assert_eq!(outcome.published.as_ref().unwrap().len(), 6);
    assert!(outcome.trials.len() * 2 < outcome.grid_size, "{}", outcome.trials.len());
    // 50 steps an epoch: 1 / (0.01 * 1.6 * 50).
    let scale = 1.0 / (center.setting.lr * center.setting.weight_decay * 50.0);
    assert!((center.timescale_epochs - scale).abs() < 1e-12);
    let ids: Vec<&str> = outcome.messages.iter().map(|message| message.id).collect();
    assert_eq!(ids, ["F2", "F5"]);

    let trained = lab.trained;
    run(&mut lab, &cell(), &options).unwrap();
    assert_eq!(lab.trained, trained, "a second search trains nothing");
    let full = Options { method: Method::Grid, certificate_seeds: None, ..options };
    let full = run(&mut lab, &cell(), &full).unwrap();
    assert_eq!(full.trials.len(), full.grid_size);
    assert!(flat.contains(&full.certificate.center.setting));
}

/// As `scarce tune --json` prints it.
#[test]
fn the_released_json_stays() {
    let mut lab = FormulaLab::new(|spec| bowl(spec).filter(|_| setting(spec).lr < 0.02));
    let grid =
        Grid { epochs: vec![8.0, 16.0, 32.0], lr: vec![0.01, 0.03], weight_decay: vec![1.6] };
    let start = Setting { epochs: 8.0, lr: 0.01, weight_decay: 1.6 };
    let small = Options { grid, starts: vec![start], ..options(Mode::Regularized) };
    let single = Options { certificate_seeds: Some(2), publish: true, ..small.clone() };
    let outcome = run(&mut lab, &cell(), &single).unwrap();
    check_json("tune", &serde_json::json!(outcome));
    let ensemble = Options { mode: Mode::Ensemble, starts: Vec::new(), ..small };
    let outcome = run(&mut lab, &cell(), &ensemble).unwrap();
    check_json("tune-ensemble", &serde_json::json!(outcome));
}

#[test]
fn an_interrupted_search_goes_on() {
    let mut lab = FormulaLab::new(bowl);
    lab.patience = 9;
    assert!(run(&mut lab, &cell(), &options(Mode::Regularized)).unwrap_err().is_interrupted());
    lab.patience = usize::MAX;
    let outcome = run(&mut lab, &cell(), &options(Mode::Regularized)).unwrap();
    let mut whole = FormulaLab::new(bowl);
    let expected = run(&mut whole, &cell(), &options(Mode::Regularized)).unwrap();
    assert_eq!(outcome.certificate, expected.certificate);
    assert_eq!(lab.trained, whole.trained, "nothing is trained twice");
}

#[test]
fn the_standard_recipe_keeps_its_decay_and_edges_are_flagged() {
    let mut lab = FormulaLab::new(|spec| {
        let at = setting(spec);
        (at.lr < 0.02).then(|| 3.0 - 0.1 * at.epochs.ln() + 0.1 * (at.lr / 3e-3).ln())
    });
    let outcome = run(&mut lab, &cell(), &options(Mode::Standard)).unwrap();
    let certificate = &outcome.certificate;
    assert!(outcome.trials.iter().all(|trial| trial.setting.weight_decay == 0.1));
    assert_eq!(certificate.edges, [(Axis::Epochs, Step::Up), (Axis::Lr, Step::Down)]);
    assert!(outcome.messages.iter().any(|message| message.id == "B9"));
    let diverged: Vec<&Trial> =
        outcome.trials.iter().filter(|trial| trial.score.value().is_infinite()).collect();
    assert!(diverged.iter().all(|trial| trial.setting.lr == 3e-2));
}

#[test]
fn two_valleys_are_told() {
    let mut lab = FormulaLab::new(|spec| {
        let at = setting(spec);
        let valley = |epochs: f64, decay: f64, floor: f64| {
            let lr = (at.lr / 3e-3).ln().powi(2);
            floor + lr + (at.epochs / epochs).ln().powi(2) + (at.weight_decay / decay).ln().powi(2)
        };
        Some(valley(4.0, 0.1, 2.8).min(valley(32.0, 6.4, 2.7)))
    });
    let end = Setting { epochs: 32.0, lr: 3e-3, weight_decay: 6.4 };
    let mut options = options(Mode::Regularized);
    options.starts.push(end);
    let outcome = run(&mut lab, &cell(), &options).unwrap();
    assert_eq!(outcome.certificate.center.setting, end);
    assert!(outcome.messages.iter().any(|message| message.id == "F13"));
}

/// Members: the gain of an ensemble grows with its members' chance, here with less decay.
#[test]
fn ensembles_are_tuned_by_their_asymptote() {
    let mut lab = FormulaLab::new(bowl);
    lab.gain = 0.3;
    let options = Options { starts: Vec::new(), ..options(Mode::Ensemble) };
    let outcome = run(&mut lab, &cell(), &options).unwrap();
    assert_eq!(outcome.paths[0][0].epochs, 32.0, "the start is the guess: twice the epochs");
    let Score::Asymptote { claim, measured, .. } = &outcome.certificate.center.score else {
        panic!("{:?}", outcome.certificate.center.score)
    };
    // L = mean - 0.3 (1 - 1/K).
    assert!((measured - claim.value - 0.3 / 5.0).abs() < 1e-3, "{measured} {claim}");
    let lr = outcome.certificate.center.setting.lr;
    assert!(outcome.trials.iter().all(|trial| trial.setting.lr == lr), "one learning rate");
}
