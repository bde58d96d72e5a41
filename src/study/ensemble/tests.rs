//! The planner on a lab that makes its losses up.

use super::*;
use crate::eval::{Ledger, Subsets, Tokens};
use crate::golden::check_json;
use crate::laws::{Doubt, Refusal};
use crate::spec::{CorpusFacts, CorpusId, Request, resolve};
use crate::store::{Cost, Machine, Measured, Numerics};
use crate::train::MetricsLine;

/// The loss of a subset of k members is `e + a / k + (mean effect of its members)`, so that all
/// means, laws and jackknife errors are known.
struct FakeLab {
    e: f64,
    a: f64,
    effects: [f64; 6],
    soup: f64,
    diverged_order: Option<u64>,
    asked: Vec<Vec<Job>>,
}

/// A multiple of 5 and of 7: then the texts' differences cancel.
const TOKENS: usize = 35;

impl Default for FakeLab {
    fn default() -> Self {
        let effects = [0.003, -0.001, 0.004, -0.002, 0.001, 0.0];
        Self { e: 3.0, a: 0.5, effects, soup: 5.0, diverged_order: None, asked: Vec::new() }
    }
}

impl FakeLab {
    fn nats(&self, subset: &[usize]) -> f64 {
        let k = subset.len() as f64;
        self.e + self.a / k + subset.iter().map(|&i| self.effects[i]).sum::<f64>() / k
    }

    fn mean(&self, subsets: &Subsets, places: impl Iterator<Item = usize>) -> f64 {
        let (mut sum, mut count) = (0.0, 0.0);
        for place in places {
            (sum, count) = (sum + self.nats(&subsets.list()[place]), count + 1.0);
        }
        sum / count
    }

    fn ledger_of(&self, members: usize) -> Ledger {
        let tokens = Tokens { blocks: (0..TOKENS as u32).collect(), bytes: None };
        let mut ledger = Ledger::new(tokens);
        let mut push = |name: Column, nats: f64| {
            // Texts differ in difficulty, and a little in what they gain.
            let of = |t: usize| {
                -nats - 0.3 * ((t % 7) as f64 - 3.0) - 1e-5 * nats * ((t % 5) as f64 - 2.0)
            };
            let ledger: &mut Ledger = &mut ledger;
            ledger.push(name, (0..TOKENS).map(|token| of(token) as f32).collect());
        };
        let subsets = Subsets::new(members, 255);
        for member in 0..members {
            push(Column::Member(member), self.nats(&[member]));
        }
        for average in Average::BOTH {
            for k in 1..=members {
                let prefix: Vec<usize> = (0..k).collect();
                push(Column::First(average, k), self.nats(&prefix));
                let mean = self.mean(&subsets, subsets.of_size(k).iter().copied());
                push(Column::Subsets(average, k), mean);
            }
        }
        for k in 2..=members {
            push(Column::Soup(k), self.soup);
        }
        ledger
    }

    fn measured(&self, members: usize) -> Vec<Measured> {
        let subsets = Subsets::new(members, 255);
        let mut measured = Vec::new();
        let mut add = |name: String, value: f64| measured.push(Measured { name, value });
        for k in 1..=members {
            add(format!("subsets_{k}_count"), subsets.of_size(k).len() as f64);
            for average in Average::BOTH {
                if k < members {
                    add(format!("subsets_{average}_{k}_sd_nats"), 0.01);
                }
                for member in (0..members).filter(|_| k < members) {
                    let mean = self.mean(&subsets, subsets.of_size_without(k, member));
                    add(format!("without_{member}_{average}_{k}_nats"), mean);
                }
            }
        }
        add("pairs_divergence_nats".to_owned(), self.a);
        add("pairs_disagreement_share".to_owned(), 0.2);
        measured
    }

    fn record(&self, job: &Job) -> Record {
        let diverged = matches!(job, Job::Train(spec)
            if self.diverged_order == Some(spec.seeds.order));
        let mut record = Record {
            id: job.id(),
            kind: job.kind(),
            outcome: if diverged { Ended::Diverged { step: 7 } } else { Ended::Finished },
            losses: Vec::new(),
            side_losses: Vec::new(),
            side_means: Vec::new(),
            measured: Vec::new(),
            ensemble: None,
            trained_on: Vec::new(),
            tokenizer: None,
            allowed: crate::spec::Allowed::NONE,
            cost: Cost::default(),
            machine: Machine::here(1, "portable"),
            numerics: Numerics {
                backend: "cpu".to_owned(),
                arithmetic: "f32".to_owned(),
                determinism: "exact".to_owned(),
                version: 1,
            },
            version: String::new(),
            finished_unix_seconds: 0,
        };
        if let Job::Ensemble(spec) = job {
            record.losses = self.ledger_of(spec.members.len()).losses(spec.split);
            record.measured = self.measured(spec.members.len());
        }
        record
    }
}

impl Lab for FakeLab {
    fn obtain(&mut self, jobs: &[Job]) -> Result<Vec<Record>> {
        self.asked.push(jobs.to_vec());
        Ok(jobs.iter().map(|job| self.record(job)).collect())
    }

    fn ledger(&self, id: JobId, _: Split) -> Result<Ledger> {
        let jobs = self.asked.iter().flatten();
        let found = jobs.filter(|job| job.id() == id).find_map(|job| match job {
            Job::Ensemble(spec) => Some(self.ledger_of(spec.members.len())),
            _ => None,
        });
        Ok(found.unwrap())
    }

    fn metrics(&self, _: JobId) -> Result<Vec<MetricsLine>> {
        Ok(Vec::new())
    }
}

fn base() -> TrainSpec {
    let facts = CorpusFacts { id: CorpusId::of(b"c"), vocabulary: 512, train_tokens: 25_700 };
    let sets = ["seeds.init=10".to_owned(), "seeds.order=20".to_owned()];
    resolve(&Request { file: None, sets: &sets }, &facts).unwrap().spec
}

fn run_with(lab: &mut FakeLab, options: &Options) -> Outcome {
    run(lab, &base(), options).unwrap()
}

#[test]
fn families_vary_their_seeds_and_share_the_base() {
    let options = Options { members: 3, vary: Vary::All, ..Options::default() };
    let seeds = |jobs: Vec<Job>| -> Vec<(u64, u64)> {
        let of = |job| match job {
            Job::Train(spec) => (spec.seeds.init, spec.seeds.order),
            _ => panic!("members are trained"),
        };
        jobs.into_iter().map(of).collect()
    };
    let all = seeds(training_jobs(&base(), &options));
    let expected = [(10, 20), (11, 20), (12, 20), (10, 21), (10, 22), (11, 21), (12, 22)];
    assert_eq!(all, expected, "(i, 0), (0, i), (i, i) and a shared (0, 0)");
    let jobs = ensemble_jobs(&base(), &options);
    assert_eq!(jobs.len(), 3);
    let first: Vec<JobId> = jobs.iter().map(|job| job.needs()[0]).collect();
    assert!(first.iter().all(|id| *id == Job::Train(base()).id()));
    let mut lab = FakeLab::default();
    let outcome = run_with(&mut lab, &options);
    assert_eq!(lab.asked[0].len(), 7, "one call, so that the lab can fill all cores");
    assert_eq!(outcome.records.len(), 10);
    let families: Vec<Family> = outcome.families.iter().map(|f| f.family).collect();
    assert_eq!(families, [Family::Init, Family::Order, Family::Both]);
    // Three pairs of families, and the two averages of each.
    assert_eq!(outcome.comparisons.len(), 6);
}

#[test]
fn a_curve_has_its_law_and_both_doubts() {
    let outcome = run_with(&mut FakeLab::default(), &Options::default());
    let family = &outcome.families[0];
    let (lab, curve) = (FakeLab::default(), family.curve(Average::Logits));
    assert_eq!(curve.points.iter().map(|p| p.subsets).collect::<Vec<_>>(), [5, 10, 10, 5, 1]);
    let effects = crate::eval::statistics::over_seeds(&lab.effects[..5]);
    let law = curve.law.as_ref().unwrap();
    assert!((law.fit.law.e - lab.e - effects.mean).abs() < 1e-3);
    assert!((law.fit.law.alpha - 1.0).abs() < 1e-2);
    let first_four = curve.first_four.as_ref().unwrap().as_ref().unwrap();
    assert!((first_four.fit.law.e - law.fit.law.e).abs() < 1e-3);
    // A shift of the curve by the members' effects: its jackknife error is that of their mean.
    let over = law.over_members.unwrap();
    let expected = effects.standard_deviation.unwrap() / 5.0_f64.sqrt();
    assert!((over.error.nats / expected - 1.0).abs() < 1e-3);
    assert!(over.range.0 < over.range.1);
    let profile = law.fit.asymptote.profile.width().unwrap();
    let told = law.asymptote().unwrap();
    assert_eq!(told.doubt, Doubt::Members);
    assert!(told.claim.interval.width().unwrap() > profile, "smooth points flatter the law");
    for point in &curve.points[..4] {
        assert!((point.member_error_nats.unwrap() / expected - 1.0).abs() < 1e-9);
    }
    assert_eq!(curve.last().member_error_nats, None);
    let gain = curve.last().gain.estimate;
    assert!((gain.mean + 0.4).abs() < 1e-3 && gain.standard_error.unwrap() > 0.0);
    assert_eq!(family.diversity.log_z, curve.last().gain);
    assert_eq!((family.singles.len(), family.soups.len()), (5, 4));
    assert_eq!(family.single_deviation_nats, Some(0.01));
}

/// As `scarce ensemble --json` prints it, but for the count of reads, which the store knows.
#[test]
fn the_released_json_stays() {
    let outcome = run_with(&mut FakeLab::default(), &Options::default());
    check_json("ensemble", &serde_json::json!(outcome));
    let few = Options { members: 2, vary: Vary::Init, ..Options::default() };
    let outcome = run_with(&mut FakeLab::default(), &few);
    check_json("ensemble-of-two", &serde_json::json!(outcome));
}

#[test]
fn few_members_have_a_curve_but_no_law() {
    let members = |members| Options { members, ..Options::default() };
    let outcome = run_with(&mut FakeLab::default(), &members(2));
    let curve = outcome.families[0].curve(Average::Probabilities);
    let refused = Refusal::TooFewPoints { points: 2, needed: 4 };
    assert_eq!(curve.law.as_ref().unwrap_err(), &refused);
    assert!(curve.first_four.is_none());
    let outcome = run_with(&mut FakeLab::default(), &members(4));
    let law = outcome.families[0].curve(Average::Logits).law.as_ref().unwrap().clone();
    assert_eq!(law.over_members, None, "three points are no law");
    let wrong = |options: Options| options.validate().unwrap_err().to_string();
    assert!(wrong(members(1)).contains("`members` = 1: an ensemble has 2 to 64\nhint: one model"));
    assert!(wrong(members(65)).contains("hint: the law in K"));
    let nats = Some(f64::NAN);
    assert!(wrong(Options { single_asymptote_nats: nats, ..members(2) }).contains("is no loss"));
}

#[test]
fn failure_modes_are_told_when_the_data_show_them() {
    let check = |lab: FakeLab, single: Option<f64>, expected: &[(&str, &str)]| {
        let mut lab = lab;
        // Only F3 needs a law, which takes a while.
        let members = if single.is_some() { 5 } else { 3 };
        let options = Options { single_asymptote_nats: single, members, ..Options::default() };
        let messages = run_with(&mut lab, &options).messages;
        let ids: Vec<&str> = messages.iter().map(|message| message.id).collect();
        assert_eq!(ids, expected.iter().map(|(id, _)| *id).collect::<Vec<_>>());
        for (message, (_, text)) in messages.iter().zip(expected) {
            assert!(message.seen.contains(text), "{message} lacks {text}");
        }
    };
    let good = || FakeLab { soup: 3.2, ..FakeLab::default() };
    check(good(), None, &[]);
    check(good(), Some(3.1), &[]);
    check(good(), Some(3.0012), &[("F3", "is not shown to be below that of single")]);
    check(good(), Some(2.9), &[("F3", "is not below")]);
    check(FakeLab::default(), None, &[("F8", "is at chance: 5.0")]);
    let worse = FakeLab { soup: 3.8, ..FakeLab::default() };
    check(worse, None, &[("F8", "is worse than one model: 3.8")]);
    let flat = |a| FakeLab { a, effects: [0.0; 6], soup: 3.0, ..FakeLab::default() };
    check(flat(0.0), Some(2.0), &[("F12", "alike in every bit")]);
    check(flat(1e-4), None, &[("F12", "nearly alike")]);
}

#[test]
fn diverged_members_are_named() {
    let mut lab = FakeLab { diverged_order: Some(22), ..FakeLab::default() };
    let error = run(&mut lab, &base(), &Options::default()).unwrap_err();
    let text = error.to_string();
    assert!(text.contains("1 of 5 members diverged"), "{text}");
    assert!(text.contains("(seeds.init 12, seeds.order 22) at step 7"), "{text}");
    assert!(text.contains("hint: "), "{text}");
}

#[test]
fn options_come_from_toml_and_refuse_what_they_do_not_know() {
    let options: Options = toml::from_str("members = 8\nvary = 'all'\nsplit = 'test'").unwrap();
    assert_eq!((options.members, options.vary, options.split), (8, Vary::All, Split::Test));
    assert_eq!(options.subsets_max, 255);
    let wrong = |text| toml::from_str::<Options>(text).unwrap_err().to_string();
    assert!(wrong("member = 8").contains("unknown field `member`"));
    assert!(wrong("vary = 'seeds'").contains("expected one of `init`, `order`, `both`, `all`"));
}
