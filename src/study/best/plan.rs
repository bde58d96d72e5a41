//! What is run, in which order, and what is made of it.

use std::collections::BTreeMap;

use super::sizes::{carried, ladder, lowest, nats, optimal_tokens, rounded, scanned};
use super::speed::{Speeds, makespan_of};
use super::{
    BATCHES, Division, EPOCHS_MAX, Entry, Estimate, MEASURED_STEPS, MEMBERS_MAX, Options, Outcome,
    PLANNED_SHARE, SEARCH_RUNS, SEARCH_SHARE, SIZES, SIZES_SHARE, STEPS_MIN, STEPS_PER_EPOCH_MIN,
    Scanned, SizeChoice, Sized, Stage, Trained,
};
use crate::lab::Lab;
use crate::spec::{CorpusFacts, Job, JobId, Request, Split};
use crate::store::{Average, Column, Loss, Record};
use crate::study::cell::{Cell, column, val_loss};
use crate::study::decided::{Decided, refuse};
use crate::study::grid::Setting;
use crate::study::message::Message;
use crate::study::search::lowest as lowest_score;
use crate::study::trial::differences;
use crate::{Error, Result};

/// The model whose speed is measured first; the comparison of sizes then measures the others.
const MEASURED_MODEL: &str = "pocket-150k";
/// Keys that are decided here.
const CHOSEN: [Decided; 5] = [
    ("model.", "`best`"),
    ("data.epochs", "`best`"),
    ("optim.lr", "`best`"),
    ("optim.weight_decay", "`best`"),
    ("seeds.", "`best`"),
];
/// Room in predictions of how long ensembles take: their averages cost, too.
const RESERVE_FACTOR: f64 = 1.5;

/// Measures the speed and says what the hours allow.
///
/// # Errors
/// If the request makes no sense, the hours are too short, or the lab fails.
pub fn estimate(
    lab: &mut dyn Lab,
    (request, corpus): (&Request<'_>, &CorpusFacts),
    options: &Options,
    clock: &dyn Fn() -> f64,
) -> Result<Estimate> {
    Planner::new(lab, (request, corpus), options, clock)?.estimate()
}

/// Finds the best model. `clock` gives seconds since some moment.
///
/// # Errors
/// As [`estimate`], or if every run diverged.
pub fn run(
    lab: &mut dyn Lab,
    (request, corpus): (&Request<'_>, &CorpusFacts),
    options: &Options,
    clock: &dyn Fn() -> f64,
) -> Result<Outcome> {
    let mut planner = Planner::new(lab, (request, corpus), options, clock)?;
    let estimate = planner.estimate()?;
    let scan = planner.compare_sizes(&estimate)?;
    let (size, choice) = planner.choose_size(&estimate, &scan)?;
    let mut runs = planner.search(&estimate, &size)?;
    let mut division = planner.divide((&estimate, &scan), &size, &runs)?;
    planner.members(&size, &mut division, &mut runs)?;
    planner.finish((estimate, scan, (size, choice), division), runs)
}

pub(super) struct Planner<'a> {
    lab: &'a mut dyn Lab,
    request: &'a Request<'a>,
    corpus: &'a CorpusFacts,
    pub(super) options: &'a Options,
    clock: &'a dyn Fn() -> f64,
    ladder: Vec<Sized>,
    pub(super) speeds: Speeds,
    pub(super) ledger: Vec<Entry>,
    records: BTreeMap<JobId, Record>,
    messages: Vec<Message>,
}

impl<'a> Planner<'a> {
    fn new(
        lab: &'a mut dyn Lab,
        (request, corpus): (&'a Request<'a>, &'a CorpusFacts),
        options: &'a Options,
        clock: &'a dyn Fn() -> f64,
    ) -> Result<Self> {
        options.validate()?;
        refuse(request.sets, &CHOSEN, "`scarce tune` searches around what you give")?;
        let mut planner = Self {
            lab,
            request,
            corpus,
            options,
            clock,
            ladder: Vec::new(),
            speeds: Speeds::default(),
            ledger: Vec::new(),
            records: BTreeMap::new(),
            messages: Vec::new(),
        };
        planner.ladder = ladder(|model| planner.cell(model))?;
        Ok(planner)
    }

    /// The runs of a size: defaults with our rules, and the user's values over them.
    pub(super) fn cell(&self, model: &str) -> Result<Cell> {
        let resolve = |batch: u32| {
            let mut sets = vec![
                format!("model.preset={model}"),
                format!("optim.batch_sequences={batch}"),
                "evaluation.points=8".to_owned(),
                "evaluation.sample_tokens=4096".to_owned(),
            ];
            sets.extend_from_slice(self.request.sets);
            let request = Request { file: self.request.file, sets: &sets };
            Cell::new(&request, self.corpus, self.options.seed)
        };
        let [largest, .., smallest] = BATCHES;
        let cell = resolve(largest)?;
        let data = &cell.template().data;
        let sequences = data.budget_tokens / u64::from(data.sequence_tokens);
        let fits = |batch: &u32| sequences / u64::from(*batch) >= STEPS_PER_EPOCH_MIN;
        match BATCHES.into_iter().find(fits).unwrap_or(smallest) {
            batch if batch == largest => Ok(cell),
            batch => resolve(batch),
        }
    }

    pub(super) fn val_tokens(&self) -> u64 {
        self.options.held_out_tokens[0]
    }

    pub(super) fn spent_seconds(&self) -> f64 {
        self.ledger.iter().map(|entry| entry.seconds).sum()
    }

    /// Obtains a wave, and enters it into the ledger: as an earlier call has it, else as the clock
    /// or the records say. The records speak for what was run before an interruption.
    pub(super) fn wave(&mut self, what: &'static str, jobs: &[Job]) -> Result<Vec<Record>> {
        let start = (self.clock)();
        let records = self.lab.obtain(jobs)?;
        let of_clock = (self.clock)() - start;
        let here = of_clock.max(makespan_of(&records, self.options.workers));
        let earlier = self.options.ledger.as_ref().and_then(|l| l.get(self.ledger.len()));
        self.ledger.push(Entry { what, seconds: earlier.copied().unwrap_or(here) });
        let specs = jobs.iter().map(|job| match job {
            Job::Train(spec) => Some(spec),
            _ => None,
        });
        let runs: Vec<_> =
            specs.zip(&records).filter_map(|(spec, record)| Some((spec?, record))).collect();
        self.speeds.learn(&runs, self.val_tokens());
        self.records.extend(records.iter().map(|record| (record.id, record.clone())));
        Ok(records)
    }

    /// Seconds for the ensembles of so many members on both held-out splits.
    pub(super) fn reserve_seconds(&self, flops_per_token: f64, members: usize) -> f64 {
        let tokens: u64 = self.options.held_out_tokens.iter().sum();
        let operations = members as f64 * tokens as f64 * flops_per_token / 3.0;
        RESERVE_FACTOR * operations / self.speeds.at(flops_per_token)
    }

    fn estimate(&mut self) -> Result<Estimate> {
        let cell = self.cell(MEASURED_MODEL)?;
        let epochs = rounded((MEASURED_STEPS / cell.steps_per_epoch()).min(EPOCHS_MAX));
        let own = self.ladder.iter().find(|size| size.model == MEASURED_MODEL);
        let size = own.expect("the measured model is on the ladder").clone();
        let setting = Setting { epochs, ..size.setting };
        // One run per worker, so that the speed is that of a busy machine.
        let workers = self.options.workers;
        let jobs: Vec<Job> =
            (0..workers as u64).map(|k| Job::Train(cell.train(setting, k))).collect();
        let measured = self.wave("measurement of the speed", &jobs)?[0].id;

        let rate = self.speeds.at(size.flops_per_token);
        let hours_seconds = self.options.hours * 3600.0;
        let seconds = PLANNED_SHARE * hours_seconds - self.spent_seconds();
        let waves = SEARCH_RUNS.div_ceil(workers).max(2);
        let size_seconds = SIZES_SHARE * seconds / SIZES.div_ceil(workers) as f64;
        let search_seconds = SEARCH_SHARE * seconds / waves as f64;
        let all_members_seconds = (1.0 - SIZES_SHARE - SEARCH_SHARE) * seconds;
        let optimal_tokens = optimal_tokens(rate * all_members_seconds);
        // The size is not known yet: that of a compute-optimal run stands in for it.
        let typical = optimal_tokens * 6.0 / super::TOKENS_PER_PARAMETER;
        let reserve_seconds = self.reserve_seconds(typical, 4 * workers);
        let member_seconds = all_members_seconds - reserve_seconds;

        let spec = cell.train(Setting { epochs: 0.0, ..setting }, 0);
        let held_out_seconds = self.speeds.seconds(&spec, self.val_tokens());
        let flops = rate * (size_seconds - held_out_seconds);
        let budget_tokens = spec.data.budget_tokens;
        let sizes = scanned(&self.ladder, flops.max(0.0), budget_tokens);
        let steps = sizes.iter().map(|size| size.setting.epochs * cell.steps_per_epoch());
        if member_seconds <= 0.0
            || held_out_seconds > 0.5 * size_seconds
            || steps.fold(f64::INFINITY, f64::min) < STEPS_MIN
        {
            return Err(self.too_short((size_seconds, held_out_seconds)));
        }
        Ok(Estimate {
            measured,
            flops_per_second: rate * workers as f64,
            flops: rate * workers as f64 * hours_seconds,
            budget_tokens,
            optimal_tokens,
            sizes,
            size_seconds,
            search_runs: waves * workers,
            search_seconds,
            member_seconds,
            reserve_seconds,
        })
    }

    fn too_short(&self, (size_seconds, held_out_seconds): (f64, f64)) -> Error {
        let error = Error::usage(format!(
            "--hours {}: too short here: a size would have {size_seconds:.1} s, of which reading \
             `val` takes {held_out_seconds:.1} s",
            self.options.hours
        ));
        error.hint("give more hours, or prepare the corpus with a smaller --val-share")
    }

    fn compare_sizes(&mut self, estimate: &Estimate) -> Result<Vec<Scanned>> {
        let jobs = estimate.sizes.iter().map(|size| {
            let cell = self.cell(size.model)?;
            Ok(Job::Train(cell.train(size.setting, 0)))
        });
        let jobs = jobs.collect::<Result<Vec<Job>>>()?;
        let records = self.wave("sizes", &jobs)?;
        let scanned = |(size, record): (&Sized, &Record)| Scanned {
            size: size.clone(),
            run: record.id,
            loss: val_loss(record).cloned(),
        };
        Ok(estimate.sizes.iter().zip(&records).map(scanned).collect())
    }

    /// The size of all further runs, with the setting that the rules give. At the compute-optimal
    /// ratio a size grows with the square root of the compute (Hoffmann et al. 2022).
    fn choose_size(
        &mut self,
        estimate: &Estimate,
        scan: &[Scanned],
    ) -> Result<(Sized, SizeChoice)> {
        let points: Vec<(f64, f64)> = scan
            .iter()
            .filter_map(|point| Some((point.size.parameters as f64, point.loss.as_ref()?.nats)))
            .collect();
        let best = lowest(&points)
            .ok_or_else(|| Error::data("all runs of the comparison of sizes diverged"))?;
        let losses: Vec<f64> = scan.iter().map(|s| loss_nats(s.loss.as_ref())).collect();
        let won = scan[lowest_score(&losses)].size.model;
        let factor = (estimate.member_seconds / estimate.size_seconds).max(1.0);
        let epochs = |size: &Sized| self.epochs_in(estimate.member_seconds, size);
        let (size, by_rule) = carried(&self.ladder, best * factor.sqrt(), epochs);
        let choice = SizeChoice { won, lowest_parameters: best, compute_factor: factor, by_rule };
        let end = self.ladder.last().is_some_and(|last| last.model == size.model);
        if end && size.setting.epochs >= EPOCHS_MAX {
            self.messages.push(Message::new(
                "B9",
                format!("the largest size that there is, {}, has time for more", size.model),
                "Larger models may be better: give fewer hours, or `scarce train` a larger one",
            ));
        }
        Ok((size, choice))
    }

    /// The runs that may be averaged: those of one setting, the best first. Members have one by
    /// plan; the best run of the search has another, and would be a model of its own.
    fn pools(runs: &[Trained]) -> Vec<(Setting, Vec<JobId>)> {
        let member = runs.iter().find(|run| run.stage == Stage::Member && run.loss.is_some());
        let mut pools: Vec<(Setting, Vec<JobId>)> = Vec::new();
        for setting in member.into_iter().chain(runs.first()).map(|run| run.setting) {
            if pools.iter().all(|(known, _)| *known != setting) {
                let same = runs.iter().filter(|run| run.setting == setting && run.loss.is_some());
                pools.push((setting, same.map(|run| run.run).take(MEMBERS_MAX).collect()));
            }
        }
        pools
    }

    /// Averages the pools on `val` and takes the one whose average is lowest: its setting, the
    /// record, the losses of its averages, and the members of the lowest.
    fn choose_members(
        &mut self,
        cell: &Cell,
        pools: Vec<(Setting, Vec<JobId>)>,
    ) -> Result<(Setting, JobId, Vec<Loss>, Vec<JobId>)> {
        let jobs: Vec<Job> =
            pools.iter().map(|(_, pool)| cell.evaluate(pool, Split::Val)).collect();
        let records = self.wave("averages on val", &jobs)?;
        let mut found = Vec::new();
        for ((setting, pool), record) in pools.into_iter().zip(records) {
            let averages = (1..=pool.len())
                .map(|k| column(&record, Column::First(Average::Logits, k), Split::Val).cloned())
                .collect::<Result<Vec<_>>>()?;
            let losses: Vec<f64> = averages.iter().map(|loss| loss.nats).collect();
            let best = lowest_score(&losses);
            found.push((losses[best], (setting, record.id, averages, pool[..=best].to_vec())));
        }
        let losses: Vec<f64> = found.iter().map(|(loss, _)| *loss).collect();
        Ok(found.swap_remove(lowest_score(&losses)).1)
    }

    /// Orders the runs, chooses the members on `val`, and reads `test`.
    fn finish(
        mut self,
        (estimate, scan, (size, choice), division): (
            Estimate,
            Vec<Scanned>,
            (Sized, SizeChoice),
            Division,
        ),
        mut runs: Vec<Trained>,
    ) -> Result<Outcome> {
        runs.sort_by(|a, b| nats(a).total_cmp(&nats(b)));
        let best = runs[0].run;
        for run in runs.iter_mut().filter(|run| run.loss.is_some() && run.run != best) {
            let all = differences(self.lab, &[best], &[&[run.run]], Split::Val)?;
            run.difference = all.into_iter().next();
        }
        let cell = self.cell(size.model)?;
        let (setting, chosen_by, ensembles, members) =
            self.choose_members(&cell, Self::pools(&runs))?;
        let on_test =
            self.wave("the model on test", &[cell.evaluate(&members, Split::Test)])?.remove(0);
        let of_first = |members| Column::First(Average::Logits, members);
        let (single, chosen) = (of_first(1), of_first(members.len()));
        let gain = match members.len() {
            1 => None,
            _ => {
                let ledger = self.lab.ledger(on_test.id, Split::Test)?;
                Some(ledger.difference(chosen, &ledger, single)?)
            }
        };
        self.messages.extend(limit_message(&estimate, setting));
        Ok(Outcome {
            test: column(&on_test, chosen, Split::Test)?.clone(),
            single_test: column(&on_test, single, Split::Test)?.clone(),
            evaluation: on_test.id,
            chosen_by,
            estimate,
            scan,
            size,
            choice,
            setting,
            division,
            runs,
            ensembles,
            members,
            gain,
            ledger: self.ledger,
            messages: self.messages,
            records: self.records.into_values().collect(),
        })
    }
}

/// Loss on `val`, infinite if there is none.
fn loss_nats(loss: Option<&Loss>) -> f64 {
    loss.map_or(f64::INFINITY, |loss| loss.nats)
}

/// Says it where the corpus is not the limit.
fn limit_message(estimate: &Estimate, members: Setting) -> Option<Message> {
    (members.epochs < 1.0).then(|| {
        Message::new(
            "F15",
            format!(
                "the corpus is not the limit: in the hours a member passes {} times over its {} \
                 tokens",
                members.epochs, estimate.budget_tokens
            ),
            "Weight decay and ensembles win little here; one larger model for all the hours may \
             be better, or more hours",
        )
    })
}
