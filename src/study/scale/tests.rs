//! The planner against losses that are known.

#![expect(clippy::float_cmp, reason = "settings are values of the grid, not results")]

use super::*;
use crate::eval::statistics::Verdict;
use crate::golden::check_json;
use crate::lab::Lab;
use crate::spec::{Request, TrainSpec};
use crate::study::testing::{FormulaLab, facts, setting};

const MODELS: [&str; 5] = ["pocket-20k", "pocket-38k", "pocket-83k", "pocket-150k", "pocket-330k"];

fn options() -> Options {
    Options {
        models: MODELS.map(str::to_owned).to_vec(),
        budgets: vec![12_800, 25_600, 51_200, 102_400],
        standard_budgets: vec![6_400, 12_800, 25_600, 51_200, 102_400],
        grid: Grid {
            epochs: vec![4.0, 8.0, 16.0, 32.0],
            lr: vec![0.01],
            weight_decay: vec![0.1, 0.4, 1.6, 6.4],
        },
        start: Some(Setting { epochs: 8.0, lr: 0.01, weight_decay: 0.4 }),
        members: 5,
        standard_seeds: 2,
        member_rules: vec![MemberRule { epochs: 2.0, weight_decay: 0.25 }],
        seed: 0,
        transfer: true,
        resamples: 20,
    }
}

/// The paper's world: with decay 1.6 a loss that falls as 1/N and 1/sqrt(D); with decay 0.1 a
/// penalty that grows with N over D. More epochs than 16 hurt, less do, too.
fn world(spec: &TrainSpec) -> Option<f64> {
    let at = setting(spec);
    let n = spec.model.parameters() as f64 / 1e5;
    let d = spec.data.budget_tokens as f64 / 1e4;
    let size = 0.05 / n;
    let overfit = if at.weight_decay < 1.0 { 0.1 * (n / d).powf(0.7) } else { 0.0 };
    let decay = 0.02 * (at.weight_decay / 1.6).ln().abs();
    let epochs = 0.02 * (at.epochs / 16.0).ln().abs();
    // Seeds matter less than a thousandth of a nat.
    let seed = 4e-4 * (spec.seeds.init as f64 - 2.0) / 2.0;
    Some(2.0 + 0.6 / d.sqrt() + size + overfit + decay + epochs + seed)
}

fn study(lab: &mut dyn Lab, options: &Options) -> Result<Outcome> {
    let sets = ["optim.batch_sequences=4".to_owned()];
    run(lab, (&Request { file: None, sets: &sets }, &facts()), options)
}

#[test]
fn the_papers_world_is_recognized() {
    let mut lab = FormulaLab::new(world);
    let options = options();
    let outcome = study(&mut lab, &options).unwrap();
    assert_eq!(outcome.cells.len(), 25);
    for cell in &outcome.cells {
        assert!(cell.standard.is_some());
        assert_eq!(cell.regularized.is_some(), cell.budget_tokens != 6_400);
        if let Some(single) = &cell.regularized {
            assert_eq!(single.certificate.center.setting.weight_decay, 1.6);
            assert_eq!((single.of_seeds.len(), cell.ensembles.len()), (5, 2));
            assert!(cell.chosen().unwrap().rule.epochs == 1.0, "the rule's members are worse here");
        }
    }
    let laws = &outcome.laws;
    assert_eq!(laws.budgets.len(), 4);
    for budget in &laws.budgets {
        let fit = budget.regularized.as_ref().unwrap().fit().unwrap();
        let d = budget.budget_tokens as f64 / 1e4;
        assert!((fit.law.e - 2.0 - 0.6 / d.sqrt()).abs() < 2e-3, "{}", fit.law.e);
        assert!((fit.law.alpha - 1.0).abs() < 0.1);
        assert_eq!((budget.ensembles.len(), budget.of_seeds.len()), (5, 5));
        // Infinitely many members gain the lab's whole 0.1.
        let joint = budget.joint.as_ref().unwrap().asymptote().unwrap();
        assert!((joint.claim.value - fit.law.e + 0.1).abs() < 2e-3, "{joint:?}");
        assert!(budget.both_orders.as_ref().unwrap().gap().unwrap().abs() < 5e-3);
    }
    assert_eq!(laws.standard.as_ref().unwrap().points.len(), 5);
    let answers = |question: Question| {
        let found = outcome.findings.iter().filter(|f| f.question == question);
        found.map(|finding| finding.answer).collect::<Vec<_>>()
    };
    // With little data the largest standard model is worse; with much it is not.
    assert_eq!(answers(Question::StandardGetsWorse)[0], Answer::Shown);
    for question in [
        Question::RegularizedGetsBetter,
        Question::EnsembleBeatsSingle,
        Question::EnsembleEndsBelow,
        Question::JointEndsBelowSingle,
    ] {
        assert_eq!(answers(question), [Answer::Shown; 4], "{question}");
    }
    // Five efficiencies per budget, and each more than one.
    assert_eq!(laws.efficiency.len(), 20);
    assert!(outcome.messages.iter().any(|message| message.id == "F1"));
    // The smallest model's setting is everybody's optimum here: there is nothing to transfer.
    assert!(outcome.transfers.is_empty());

    let trained = lab.trained;
    study(&mut lab, &options).unwrap();
    assert_eq!(lab.trained, trained, "a second study trains nothing");
}

#[test]
fn transfer_fails_where_optima_move() {
    let mut lab = FormulaLab::new(|spec| {
        let at = setting(spec);
        let best = if spec.model.width < 40 { 0.4 } else { 6.4 };
        let size = 1e4 / spec.model.parameters() as f64;
        let epochs = 0.05 * (at.epochs / 16.0).ln().abs();
        Some(2.5 + size + epochs + 0.05 * (at.weight_decay / best).ln().powi(2))
    });
    lab.gain = 0.0;
    let options = Options { budgets: vec![25_600], standard_budgets: vec![], ..options() };
    let outcome = study(&mut lab, &options).unwrap();
    let carried: Vec<&str> = outcome.transfers.iter().map(|transfer| transfer.carried).collect();
    assert_eq!(carried, ["everything", "weight decay"].repeat(3));
    assert!(outcome.transfers.iter().all(|t| t.difference.verdict() == Verdict::Worse));
    assert_eq!(outcome.transfers[0].model, "pocket-83k", "38k has the smallest model's optimum");
    let ids: std::collections::BTreeSet<&str> = outcome.messages.iter().map(|m| m.id).collect();
    assert!(ids.contains("F7") && ids.contains("F12") && ids.contains("F3"), "{ids:?}");
}

/// As `scarce scale --json` prints it.
#[test]
fn the_released_json_stays() {
    let mut lab = FormulaLab::new(|spec| {
        let best = if spec.model.width < 40 { 0.4 } else { 6.4 };
        let decay = (setting(spec).weight_decay / best).ln().powi(2);
        Some(world(spec)? + 0.05 * decay)
    });
    let options = Options {
        models: vec!["pocket-20k".to_owned()],
        budgets: vec![25_600],
        standard_budgets: vec![12_800, 25_600, 51_200, 102_400],
        grid: Grid { epochs: vec![8.0], lr: vec![0.01], weight_decay: vec![0.1, 0.4, 6.4] },
        member_rules: vec![],
        ..options()
    };
    let outcome = study(&mut lab, &options).unwrap();
    check_json("scale", &serde_json::json!(outcome));
    let models = ["pocket-20k", "pocket-83k"].map(str::to_owned).to_vec();
    let options = Options { models, standard_budgets: vec![], members: 2, ..options };
    let outcome = study(&mut lab, &options).unwrap();
    check_json("scale-transfer", &serde_json::json!(outcome));
}

#[test]
fn contradictions_are_told() {
    let message = |options: Options| {
        let lab = &mut FormulaLab::new(world);
        study(lab, &options).unwrap_err().to_string()
    };
    let check = |options: Options, expected: &str| {
        let message = message(options);
        assert!(message.contains(expected), "{message}");
    };
    check(Options { models: vec![], ..options() }, "`models` is empty");
    check(Options { models: vec!["pocket-20".into()], ..options() }, "no model preset `pocket-20`");
    check(Options { models: vec!["pocket-20k".into(); 2], ..options() }, "twice");
    check(Options { budgets: vec![2, 1], ..options() }, "`budgets` must ascend");
    check(Options { budgets: vec![1 << 40], ..options() }, "larger than the corpus");
    check(Options { members: 0, ..options() }, "at least 1");
    let diverging = FormulaLab::new(|spec| (spec.seeds.init == 0).then(|| world(spec)).flatten());
    let error = study(&mut { diverging }, &options()).unwrap_err().to_string();
    assert!(error.contains("diverged"), "{error}");
}
