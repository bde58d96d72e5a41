//! What is run, in which order.

use std::collections::BTreeMap;

use super::{CellResult, Ensemble, MemberRule, Options, Outcome, Single, Transfer};
use crate::lab::Lab;
use crate::laws;
use crate::spec::{CorpusFacts, Job, JobId, Request, Split, TrainSpec};
use crate::store::{Average, Column, Outcome as RunOutcome, Record};
use crate::study::cell::{Cell, column};
use crate::study::grid::{Grid, Setting};
use crate::study::members::MembersCurve;
use crate::study::trial::differences;
use crate::study::tune::{self, Certificate, Method, Mode, STANDARD_DECAY};
use crate::{Error, Result};

/// Runs the study.
///
/// # Errors
/// If the request makes no sense, the lab fails, or a run diverged that a law needs.
pub fn run(
    lab: &mut dyn Lab,
    (request, corpus): (&Request<'_>, &CorpusFacts),
    options: &Options,
) -> Result<Outcome> {
    options.validate()?;
    let mut planner =
        Planner { lab, request, corpus, options, records: BTreeMap::new(), messages: Vec::new() };
    let mut cells = planner.empty_cells()?;
    planner.standard(&mut cells)?;
    planner.regularized(&mut cells)?;
    planner.ensembles(&mut cells)?;
    let transfers = if options.transfer { planner.transfers(&cells)? } else { Vec::new() };
    let Planner { records, mut messages, .. } = planner;
    let found = super::laws::of(&cells, options)?;
    let findings = super::verdicts::of(lab, &cells, &found)?;
    messages.extend(super::verdicts::messages(&cells, &transfers, &findings));
    messages.sort_by(|a, b| (a.id, &a.seen).cmp(&(b.id, &b.seen)));
    let records = records.into_values().collect();
    Ok(Outcome { cells, transfers, laws: found, findings, messages, records })
}

/// Runs that the study may come to, one for each cell and number of epochs: see
/// [`tune::possible_runs`].
///
/// # Errors
/// If a cell cannot be resolved.
pub fn possible_runs(
    (request, corpus): (&Request<'_>, &CorpusFacts),
    options: &Options,
) -> Result<Vec<TrainSpec>> {
    let budgets = options.budgets.iter().chain(options.standard_budgets());
    let budgets: std::collections::BTreeSet<u64> = budgets.copied().collect();
    let mut runs = Vec::new();
    for budget_tokens in budgets {
        for model in &options.models {
            let cell = cell((request, corpus), options.seed, (model, budget_tokens))?;
            runs.extend(tune::possible_runs(&cell, &options.grid));
        }
    }
    Ok(runs)
}

/// What the runs of a model at a budget share.
fn cell(
    (request, corpus): (&Request<'_>, &CorpusFacts),
    seed: u64,
    (model, budget_tokens): (&str, u64),
) -> Result<Cell> {
    let mut sets = request.sets.to_vec();
    sets.push(format!("model.preset={model}"));
    sets.push(format!("data.budget_tokens={budget_tokens}"));
    Cell::new(&Request { file: request.file, sets: &sets }, corpus, seed)
}

struct Planner<'a> {
    lab: &'a mut dyn Lab,
    request: &'a Request<'a>,
    corpus: &'a CorpusFacts,
    options: &'a Options,
    records: BTreeMap<JobId, Record>,
    messages: Vec<crate::study::message::Message>,
}

/// The optimum of a cell, before its seeds are trained and measured.
struct Searched {
    cell: Cell,
    certificate: Certificate,
    seeds: u32,
}

impl Searched {
    fn setting(&self) -> Setting {
        self.certificate.center.setting
    }
}

impl Planner<'_> {
    fn cell(&self, model: &str, budget_tokens: u64) -> Result<Cell> {
        cell((self.request, self.corpus), self.options.seed, (model, budget_tokens))
    }

    /// Every cell without results. All of them are resolved before anything is run, so that a
    /// budget that is larger than the corpus is noticed at once.
    fn empty_cells(&self) -> Result<Vec<CellResult>> {
        let all = self.options.budgets.iter().chain(self.options.standard_budgets());
        let budgets: std::collections::BTreeSet<u64> = all.copied().collect();
        let mut cells = Vec::new();
        for budget_tokens in budgets {
            for model in &self.options.models {
                let parameters = self.cell(model, budget_tokens)?.template().model.parameters();
                cells.push(CellResult {
                    model: model.clone(),
                    parameters,
                    budget_tokens,
                    standard: None,
                    regularized: None,
                    ensembles: Vec::new(),
                });
            }
        }
        Ok(cells)
    }

    fn standard(&mut self, cells: &mut [CellResult]) -> Result<()> {
        let budgets = self.options.standard_budgets().to_vec();
        let grid = self.options.grid.at_decay(STANDARD_DECAY);
        let found = self.search_all(cells, &budgets, (Mode::Standard, &grid))?;
        for (cell, single) in cells.iter_mut().zip(self.measure_all(found)?) {
            cell.standard = single;
        }
        Ok(())
    }

    fn regularized(&mut self, cells: &mut [CellResult]) -> Result<()> {
        let (budgets, grid) = (self.options.budgets.clone(), self.options.grid.clone());
        let found = self.search_all(cells, &budgets, (Mode::Regularized, &grid))?;
        for (cell, single) in cells.iter_mut().zip(self.measure_all(found)?) {
            cell.regularized = single;
        }
        Ok(())
    }

    /// Searches every cell of these budgets, each from where the one before it led.
    fn search_all(
        &mut self,
        cells: &[CellResult],
        budgets: &[u64],
        (mode, grid): (Mode, &Grid),
    ) -> Result<Vec<Option<Searched>>> {
        let mut found: Vec<Option<Searched>> = Vec::with_capacity(cells.len());
        for (index, at) in cells.iter().enumerate() {
            if !budgets.contains(&at.budget_tokens) {
                found.push(None);
                continue;
            }
            let optimum = |index: usize| found[index].as_ref().map(Searched::setting);
            let start = carried(cells, index, optimum);
            let searched = self.search(at, (mode, grid, start))?;
            found.push(Some(searched));
        }
        Ok(found)
    }

    fn search(
        &mut self,
        at: &CellResult,
        (mode, grid, start): (Mode, &Grid, Option<Setting>),
    ) -> Result<Searched> {
        let cell = self.cell(&at.model, at.budget_tokens)?;
        let start = start.or(self.options.start).unwrap_or_else(|| cell.setting());
        let options = tune::Options {
            mode,
            method: Method::Local,
            grid: grid.clone(),
            starts: vec![grid.setting(grid.nearest(start))],
            seeds: 1,
            certificate_seeds: None,
            members: self.options.members,
            seed: self.options.seed,
            publish: false,
            prune: false,
        };
        let place = format!("{} at {} tokens", at.model, at.budget_tokens);
        let outcome = tune::run(self.lab, &cell, &options)
            .map_err(|error| if error.is_interrupted() { error } else { error.within(&place) })?;
        self.records.extend(outcome.records.into_iter().map(|record| (record.id, record)));
        self.messages.extend(outcome.messages.into_iter().map(|mut message| {
            message.seen = format!("{place}: {}", message.seen);
            message
        }));
        let seeds = match mode {
            Mode::Standard => self.options.standard_seeds,
            Mode::Regularized | Mode::Ensemble => self.options.members,
        };
        Ok(Searched { cell, certificate: outcome.certificate, seeds })
    }

    /// Measures every optimum on `test` with all its seeds. The runs of all cells are asked for at
    /// once, and then all evaluations, so that no worker waits for the last one of a cell.
    fn measure_all(&mut self, found: Vec<Option<Searched>>) -> Result<Vec<Option<Single>>> {
        let wanted = found.iter().flatten();
        let sets: Vec<(&Cell, Setting, u32)> =
            wanted.map(|one| (&one.cell, one.setting(), one.seeds)).collect();
        self.obtain_all(&sets, &[Split::Test])?;
        found.into_iter().map(|one| one.map(|one| self.measure(one)).transpose()).collect()
    }

    fn measure(&mut self, Searched { cell, certificate, seeds }: Searched) -> Result<Single> {
        let runs = self.members(&cell, certificate.center.setting, seeds)?;
        let evaluation = self.lab.obtain(&[cell.ensembles(&runs, Split::Test)])?.remove(0);
        let name = Column::Subsets(Average::Logits, 1);
        let loss = column(&evaluation, name, Split::Test)?.clone();
        let of_seeds = (0..runs.len())
            .map(|k| Ok(column(&evaluation, Column::Member(k), Split::Test)?.nats))
            .collect::<Result<Vec<f64>>>()?;
        let id = evaluation.id;
        self.records.insert(id, evaluation);
        Ok(Single { certificate, runs, evaluation: id, loss, of_seeds })
    }

    /// Trains all members of several sets and measures their ensembles, as far as none diverged;
    /// what is read of them is asked for again, and then known.
    fn obtain_all(&mut self, sets: &[(&Cell, Setting, u32)], splits: &[Split]) -> Result<()> {
        let members = |&(cell, setting, count): &(&Cell, Setting, u32)| {
            cell.members(setting, count).collect()
        };
        let jobs: Vec<Vec<Job>> = sets.iter().map(members).collect();
        let mut records = self.lab.obtain(&jobs.concat())?.into_iter();
        let mut measured = Vec::new();
        for ((cell, ..), jobs) in sets.iter().zip(&jobs) {
            let runs: Vec<Record> = records.by_ref().take(jobs.len()).collect();
            if runs.iter().all(|run| run.outcome == RunOutcome::Finished) {
                let ids: Vec<JobId> = runs.iter().map(|run| run.id).collect();
                measured.extend(splits.iter().map(|&split| cell.ensembles(&ids, split)));
            }
        }
        self.lab.obtain(&measured)?;
        Ok(())
    }

    /// Trains members and insists that they finish.
    fn members(&mut self, cell: &Cell, setting: Setting, count: u32) -> Result<Vec<JobId>> {
        let jobs: Vec<Job> = cell.members(setting, count).collect();
        let records = self.lab.obtain(&jobs)?;
        if let Some(record) = records.iter().find(|r| r.outcome != RunOutcome::Finished) {
            let short = record.id.short();
            return Err(Error::data(format!("member {short} at {setting} diverged"))
                .hint("take larger learning rates out of the grid"));
        }
        let ids = records.iter().map(|record| record.id).collect();
        self.records.extend(records.into_iter().map(|record| (record.id, record)));
        Ok(ids)
    }

    fn ensembles(&mut self, cells: &mut [CellResult]) -> Result<()> {
        let planned: Vec<Vec<(Setting, MemberRule)>> =
            cells.iter().map(|cell| self.member_settings(cell)).collect();
        let mut sets = Vec::new();
        for (at, settings) in cells.iter().zip(&planned) {
            let cell = self.cell(&at.model, at.budget_tokens)?;
            sets.extend(settings.iter().map(|&(setting, _)| (cell.clone(), setting)));
        }
        let members = self.options.members;
        let sets: Vec<_> = sets.iter().map(|(cell, setting)| (cell, *setting, members)).collect();
        self.obtain_all(&sets, &[Split::Val, Split::Test])?;
        for (cell, settings) in cells.iter_mut().zip(planned) {
            let ensembles = settings.into_iter();
            let ensembles = ensembles.map(|(setting, rule)| self.ensemble(cell, setting, rule));
            let mut ensembles: Vec<Ensemble> = ensembles.collect::<Result<_>>()?;
            let values: Vec<f64> = ensembles.iter().map(|e| e.val_asymptote_nats).collect();
            let best = crate::study::search::lowest(&values);
            if let Some(best) = ensembles.get_mut(best) {
                best.chosen = true;
            }
            cell.ensembles = ensembles;
        }
        Ok(())
    }

    /// Where the members of a cell are trained: at its regularized optimum and where each rule
    /// leads from there, every setting once.
    fn member_settings(&self, cell: &CellResult) -> Vec<(Setting, MemberRule)> {
        let Some(single) = &cell.regularized else { return Vec::new() };
        let optimum = single.certificate.center.setting;
        let own = MemberRule { epochs: 1.0, weight_decay: 1.0 };
        let mut settings: Vec<(Setting, MemberRule)> = Vec::new();
        for rule in [own].iter().chain(&self.options.member_rules) {
            let guess = Setting {
                epochs: optimum.epochs * rule.epochs,
                weight_decay: optimum.weight_decay * rule.weight_decay,
                ..optimum
            };
            let setting = self.options.grid.setting(self.options.grid.nearest(guess));
            if settings.iter().all(|(known, _)| *known != setting) {
                settings.push((setting, *rule));
            }
        }
        settings
    }

    fn ensemble(
        &mut self,
        at: &CellResult,
        setting: Setting,
        rule: MemberRule,
    ) -> Result<Ensemble> {
        let cell = self.cell(&at.model, at.budget_tokens)?;
        let members = self.members(&cell, setting, self.options.members)?;
        let val = MembersCurve::measure(self.lab, &cell, &members, Split::Val)?;
        let test = MembersCurve::measure(self.lab, &cell, &members, Split::Test)?;
        for curve in [&val, &test] {
            self.records.insert(curve.evaluation.id, curve.evaluation.clone());
        }
        let val_asymptote_nats = asymptote(&val);
        Ok(Ensemble { setting, rule, members, val, val_asymptote_nats, test, chosen: false })
    }

    /// The smallest model's optimum on the others, whole and one factor at a time, at the largest
    /// budget (mission L8, N1).
    fn transfers(&mut self, cells: &[CellResult]) -> Result<Vec<Transfer>> {
        let Some(&budget) = self.options.budgets.last() else { return Ok(Vec::new()) };
        let row: Vec<&CellResult> = cells.iter().filter(|c| c.budget_tokens == budget).collect();
        let optimum =
            |cell: &CellResult| cell.regularized.as_ref().map(|s| s.certificate.center.setting);
        let Some(first) = row.first().and_then(|cell| optimum(cell)) else { return Ok(Vec::new()) };
        let mut transfers = Vec::new();
        for at in &row[1..] {
            let (Some(own), Some(single)) = (optimum(at), &at.regularized) else { continue };
            let ways = [
                ("everything", first),
                ("weight decay", Setting { weight_decay: first.weight_decay, ..own }),
                ("epochs", Setting { epochs: first.epochs, ..own }),
            ];
            let cell = self.cell(&at.model, at.budget_tokens)?;
            for (carried, setting) in ways.into_iter().filter(|(_, setting)| *setting != own) {
                let record = self.lab.obtain(&[Job::Train(cell.train(setting, 0))])?.remove(0);
                let run = record.id;
                let finished = record.outcome == RunOutcome::Finished;
                self.records.insert(run, record);
                if !finished {
                    continue;
                }
                let center = &single.runs[..1];
                let difference = differences(self.lab, center, &[&[run]], Split::Val)?.remove(0);
                let model = at.model.clone();
                transfers.push(Transfer { model, carried, setting, run, difference });
            }
        }
        Ok(transfers)
    }
}

/// Where a search starts: the optimum of the next smaller model of the same budget, else of the
/// same model at the next smaller budget.
fn carried(
    cells: &[CellResult],
    index: usize,
    optimum: impl Fn(usize) -> Option<Setting>,
) -> Option<Setting> {
    let at = &cells[index];
    let before = || (0..index).rev();
    let same_budget = before().find(|&other| cells[other].budget_tokens == at.budget_tokens);
    let same_model = || before().filter(|&other| cells[other].model == at.model).find_map(&optimum);
    same_budget.and_then(&optimum).or_else(same_model)
}

/// E of a curve in K, or its last loss where there is no law.
fn asymptote(curve: &MembersCurve) -> f64 {
    let points = crate::laws::Curve::new(&curve.points());
    let fit = points.ok().and_then(|points| {
        laws::fit(&points, &laws::Options { resamples: 1, ..Default::default() }).ok()
    });
    fit.map_or(curve.all().nats, |fit| fit.law.e)
}
