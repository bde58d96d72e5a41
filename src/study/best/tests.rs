//! The planner on a lab of formulas, and its rules on numbers.

use super::sizes::{carried, lowest, optimal_tokens, rounded, scanned};
use super::speed::makespan;
use super::*;
use crate::golden::check_json;
use crate::spec::{Request, TrainSpec};
use crate::study::cell::Cell;
use crate::study::testing::{FormulaLab, facts, setting};

/// Operations per second of the lab's workers.
const RATE: f64 = 1e9;

/// Loss with an optimum at a decay of 0.8, less for larger models and more passes.
fn formula(spec: &TrainSpec) -> Option<f64> {
    let at = setting(spec);
    let decay = libm::log(at.weight_decay / 0.8).powi(2) * 0.01;
    let size = 20.0 / (spec.model.parameters() as f64).powf(0.3);
    let seed = 1e-3 * (spec.seeds.init as f64 % 3.0);
    Some(2.0 + size + decay + 0.3 / (1.0 + at.epochs) + seed)
}

fn lab() -> FormulaLab {
    let mut lab = FormulaLab::new(formula);
    lab.operations_per_second = Some(RATE);
    lab
}

fn options(hours: f64, workers: usize) -> Options {
    Options { hours, workers, seed: 0, held_out_tokens: [20_000, 20_000], ledger: None }
}

fn search(lab: &mut FormulaLab, sets: &[String], options: &Options) -> crate::Result<Outcome> {
    run(lab, (&Request { file: None, sets }, &facts()), options, &|| 0.0)
}

#[test]
fn the_hours_are_used_and_kept() {
    for workers in [1, 2, 4] {
        for hours in [2.0, 12.0] {
            let outcome = search(&mut lab(), &[], &options(hours, workers)).unwrap();
            let share = outcome.seconds() / (hours * 3600.0);
            assert!((0.6..1.0).contains(&share), "{workers} workers, {hours} h: {share}");
            let members = outcome.runs.iter().filter(|run| run.stage == Stage::Member).count();
            assert_eq!(members, workers * outcome.division.waves);
            assert_eq!(outcome.division.trained_waves, outcome.division.waves);
            let limited = outcome.is_data_limited();
            assert_eq!(limited, outcome.messages.iter().all(|message| message.id != "F15"));
        }
    }
}

#[test]
fn the_search_moves_towards_better_decay_and_averages_members() {
    let outcome = search(&mut lab(), &[], &options(4.0, 2)).unwrap();
    let start = outcome.size.setting.weight_decay;
    let best = outcome.runs[0].setting.weight_decay;
    let off = |decay: f64| libm::log(decay / 0.8).abs();
    assert!(off(best) < off(start), "{start} to {best}");
    let seeds: std::collections::BTreeSet<u64> =
        outcome.runs.iter().filter(|run| run.stage == Stage::Member).map(|run| run.seed).collect();
    assert!(seeds.len() > 1 && !seeds.contains(&0), "members have seeds of their own");
    assert!(outcome.runs[0].difference.is_none() && outcome.runs[1].difference.is_some());
    // The lab's averages gain with every member, so that several are taken.
    assert!(outcome.members.len() > 1);
    assert_eq!(outcome.members[0], outcome.runs[0].run);
    assert!(outcome.gain.unwrap().estimate.mean < 0.0);
    assert!(outcome.test.nats < outcome.single_test.nats);
}

/// As `scarce best --json` prints it, with the sentence of its page.
#[test]
fn the_released_json_stays() {
    let outcome = search(&mut lab(), &[], &options(2.0, 2)).unwrap();
    let mut told = serde_json::json!(outcome);
    told["size_reason"] = crate::report::study::size_sentence(&outcome).into();
    check_json("best", &told);
}

/// More decay than the search chose, or fewer passes, would be another model.
#[test]
fn members_share_the_chosen_setting() {
    for (workers, gain) in [(1, 0.1), (2, 0.1), (2, 0.4), (4, 0.1)] {
        // From the optimum on, the next larger decay costs a tenth of a nat.
        let mut lab = FormulaLab::new(|spec| {
            let more = libm::log2(setting(spec).weight_decay / 0.4).max(0.0);
            formula(spec).map(|loss| loss + 0.1 * more)
        });
        (lab.operations_per_second, lab.gain) = (Some(RATE), gain);
        let outcome = search(&mut lab, &[], &options(4.0, workers)).unwrap();
        let setting_of = |id: &JobId| {
            let run = outcome.runs.iter().find(|run| run.run == *id).unwrap();
            assert!(run.loss.is_some());
            run.setting
        };
        assert!(outcome.members.iter().all(|id| setting_of(id) == outcome.setting));
        let of_stage = outcome.runs.iter().filter(|run| run.stage == Stage::Member);
        let settings: Vec<Setting> = of_stage.map(|run| run.setting).collect();
        assert!(settings.iter().all(|other| *other == settings[0]), "{settings:?}");
        let searched = outcome.runs.iter().filter(|run| run.stage == Stage::Search);
        let best = searched.min_by(|a, b| {
            let nats = |run: &Trained| run.loss.as_ref().unwrap().nats;
            nats(a).total_cmp(&nats(b))
        });
        let decay = |setting: Setting| setting.weight_decay.to_bits();
        assert_eq!(decay(settings[0]), decay(best.unwrap().setting));
    }
}

/// Larger models always win here, so that in so short a time none gets through the corpus once.
#[test]
fn less_than_an_epoch_means_that_compute_is_the_limit() {
    let mut lab = FormulaLab::new(|spec| Some(9.0 - 0.3 * (spec.model.parameters() as f64).ln()));
    lab.operations_per_second = Some(RATE);
    let short = Options { held_out_tokens: [500, 500], ..options(0.4, 1) };
    // Small batches: short runs still have enough steps.
    let sets = ["optim.batch_sequences=1".to_owned()];
    let outcome = search(&mut lab, &sets, &short).unwrap();
    assert!(outcome.setting.epochs < 1.0, "{}", outcome.setting);
    assert!(!outcome.is_data_limited());
    assert!(outcome.messages.iter().any(|message| message.id == "F15"));
}

#[test]
fn a_size_other_than_the_best_compared_has_its_reason() {
    // The smallest size wins; a member has more compute, for which the rule takes a larger one.
    let mut lab = FormulaLab::new(|spec| {
        Some(3.0 + 0.01 * (spec.model.parameters() as f64).ln() - 0.001 * spec.data.epochs)
    });
    lab.operations_per_second = Some(RATE);
    let outcome = search(&mut lab, &[], &options(4.0, 2)).unwrap();
    let choice = &outcome.choice;
    assert_eq!(choice.won, outcome.scan[0].size.model);
    let wanted = choice.lowest_parameters * choice.compute_factor.sqrt();
    assert!(choice.compute_factor > 1.0);
    let of_ladder = |model| {
        Cell::new(&Request { file: None, sets: &[format!("model.preset={model}")] }, &facts(), 0)
            .unwrap()
            .template()
            .model
            .parameters() as f64
    };
    assert!(of_ladder(choice.by_rule) <= wanted);
}

#[test]
fn time_goes_to_longer_runs_or_to_more_members_by_what_each_would_win() {
    let waves = |gain: f64, longer: f64| {
        let mut lab = FormulaLab::new(move |spec| {
            let at = setting(spec);
            Some(3.0 - longer * libm::log(at.epochs * spec.model.parameters() as f64))
        });
        lab.operations_per_second = Some(RATE);
        lab.gain = gain;
        let outcome = search(&mut lab, &[], &options(2.0, 2)).unwrap();
        assert!((outcome.division.of_members - gain).abs() < 1e-6, "A of A / K is the lab's gain");
        outcome.division.waves
    };
    assert_eq!(waves(0.05, 0.1), 1, "as long as can be");
    assert!(waves(0.4, 0.02) > 3, "as many as can be");
}

#[test]
fn the_ledger_of_an_earlier_call_repeats_its_decisions() {
    let mut lab = lab();
    let request = Request { file: None, sets: &[] };
    // A machine that stands still for a while in every wave.
    let time = std::cell::Cell::new(0.0);
    let clock = || time.replace(time.get() + 700.0);
    let first = run(&mut lab, (&request, &facts()), &options(3.0, 2), &clock).unwrap();
    let trained = lab.trained;
    let again = Options {
        ledger: Some(first.ledger.iter().map(|entry| entry.seconds).collect()),
        ..options(3.0, 2)
    };
    let second = search(&mut lab, &[], &again).unwrap();
    assert_eq!((&second.ledger, &second.members), (&first.ledger, &first.members));
    assert_eq!(lab.trained, trained, "nothing is trained again");
    // Without the ledger there seems to be time for more.
    search(&mut lab, &[], &options(3.0, 2)).unwrap();
    assert!(lab.trained > trained);
}

#[test]
fn no_time_and_own_decisions_are_refused() {
    let message = |hours: f64, sets: &[String]| {
        search(&mut lab(), sets, &options(hours, 2)).unwrap_err().to_string()
    };
    assert!(message(0.0, &[]).contains("--hours: 0 is no time"));
    assert!(message(f64::NAN, &[]).contains("is no time"));
    assert!(message(1e-4, &[]).contains("too short here"));
    for key in ["model.preset=pocket-83k", "optim.weight_decay=0.1", "data.epochs = 4"] {
        let error = message(1.0, &[key.to_owned()]);
        assert!(error.contains("decides this itself"), "{error}");
    }
    assert!(message(1.0, &["optim.momentum=1".to_owned()]).contains("optim.momentum"));
}

#[test]
fn an_interrupted_search_goes_on() {
    let mut lab = lab();
    lab.patience = 9;
    let error = search(&mut lab, &[], &options(3.0, 2)).unwrap_err();
    assert!(error.is_interrupted());
    lab.patience = usize::MAX;
    let known: Vec<JobId> = lab.jobs.keys().copied().collect();
    let outcome = search(&mut lab, &[], &options(3.0, 2)).unwrap();
    let used = |id: &&JobId| outcome.records.iter().any(|record| record.id == **id);
    assert_eq!(known.iter().filter(used).count(), known.len(), "nothing was in vain");
}

#[test]
fn diverged_sizes_are_left_out_and_a_wholly_diverged_search_is_an_error() {
    let largest = |spec: &TrainSpec| spec.model.parameters() > 600_000;
    let mut some = FormulaLab::new(move |spec| (!largest(spec)).then(|| formula(spec)).flatten());
    some.operations_per_second = Some(RATE);
    let outcome = search(&mut some, &[], &options(1.0, 2)).unwrap();
    assert!(outcome.runs[0].loss.is_some());
    let mut none = FormulaLab::new(|_| None);
    none.operations_per_second = Some(RATE);
    let error = search(&mut none, &[], &options(1.0, 2)).unwrap_err();
    assert!(error.to_string().contains("diverged"), "{error}");
}

fn size(model: &'static str, parameters: u64) -> Sized {
    let setting = Setting { epochs: 0.0, lr: 0.01, weight_decay: 0.8 };
    Sized { model, parameters, flops_per_token: 6.0 * parameters as f64, setting }
}

#[test]
fn sizes_that_are_compared_cost_the_same_and_fit_the_corpus() {
    let names = ["a", "b", "c", "d", "e", "f", "g", "h"];
    let ladder: Vec<Sized> = (0..8).map(|i| size(names[i as usize], 10_000 << i)).collect();
    let budget = 1_000_000;
    let found = scanned(&ladder, 6e12, budget);
    assert!(found.len() <= SIZES && found.len() > 2);
    for size in &found {
        let flops = size.flops_per_token * size.setting.epochs * budget as f64;
        assert!((0.85..=1.0).contains(&(flops / 6e12)), "{size:?}");
        assert!(size.setting.epochs <= SCAN_EPOCHS_MAX);
    }
    // So much compute that even the largest would repeat the corpus too often.
    let found = scanned(&ladder, 6e16, budget);
    assert_eq!((found.len(), found[0].model), (1, "h"));
    assert!(found[0].setting.epochs <= SCAN_EPOCHS_MAX);
    // A compute-optimal run has 20 tokens per parameter: C = 120 N^2.
    assert!((optimal_tokens(120.0 * 1e10) - 2e6).abs() < 1.0);
}

#[test]
fn a_parabola_finds_the_lowest_size() {
    let curve = |n: f64| (libm::log(n / 150_000.0)).powi(2);
    let points: Vec<(f64, f64)> =
        [40e3, 80e3, 200e3, 400e3].iter().map(|&n| (n, 3.0 + curve(n))).collect();
    assert!((lowest(&points).unwrap() / 150e3 - 1.0).abs() < 1e-9);
    // At an end it stays there, and of nothing there is no lowest.
    assert_eq!(lowest(&[(1.0, 2.0), (2.0, 1.0)]), Some(2.0));
    assert_eq!(lowest(&[(5.0, 2.0)]), Some(5.0));
    assert_eq!(lowest(&[]), None);
}

#[test]
fn the_next_larger_size_takes_over_where_passes_would_be_too_many() {
    let ladder = [size("a", 10_000), size("b", 20_000), size("c", 40_000)];
    let epochs = |budget: f64| move |size: &Sized| budget / size.parameters as f64;
    assert_eq!(carried(&ladder, 39_000.0, epochs(2e5)).0.model, "b");
    assert_eq!(carried(&ladder, 9_000.0, epochs(2e5)).0.model, "a");
    let (found, by_rule) = carried(&ladder, 21_000.0, epochs(2e6));
    assert_eq!(by_rule, "b");
    assert_eq!((found.model, found.setting.epochs), ("c", 50.0));
    let (found, _) = carried(&ladder, 21_000.0, epochs(2e8));
    assert_eq!((found.model, found.setting.epochs), ("c", EPOCHS_MAX));
}

#[test]
fn passes_have_few_digits_and_are_never_more() {
    let cases =
        [(17.99, 17.0), (4.0, 4.0), (3.99, 3.9), (1.29, 1.2), (0.5678, 0.56), (0.0123, 0.012)];
    for (epochs, expected) in cases {
        assert!((rounded(epochs) - expected).abs() < 1e-12, "{epochs}: {}", rounded(epochs));
    }
}

#[test]
fn jobs_are_packed_as_workers_become_free() {
    assert!((makespan(&[3.0, 2.0, 2.0], 2) - 4.0).abs() < 1e-12);
    assert!((makespan(&[3.0, 2.0, 2.0], 1) - 7.0).abs() < 1e-12);
    assert!(makespan(&[], 3).abs() < 1e-12);
}
