//! Scaling (mission R1, R2, R4, R5, R6, L1 to L10): a grid of models N and budgets D with the three
//! recipes in every cell, and the laws that their losses follow.
//!
//! In each cell the standard recipe is tuned over epochs and learning rate, the regularized one
//! over weight decay, too, and K members are trained at settings that follow from the regularized
//! optimum by stated rules. A cell's search starts at the optimum of the next smaller model of the
//! same budget, else of the next smaller budget, and goes on until no neighbor is better: the
//! optimum is carried, and every cell checks it with a certificate of its own.
//!
//! Choices read `val`. What was chosen is then measured on `test`, and every law, comparison and
//! multiplier comes from there, so that no choice flatters its own number (trap B16).

mod laws;
mod plan;
#[cfg(test)]
mod testing;
mod verdicts;

use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

pub use laws::{DataEfficiency, LawOf, Laws, ModelLaws, Slope};
pub use plan::{possible_runs, run};
pub use verdicts::{Answer, Finding, Question};

use super::decided::{BY_THE_GRID, Decided, refuse};
use super::grid::{Grid, Setting};
use super::members::MembersCurve;
use super::message::Message;
use super::tune::Certificate;
use crate::laws::{StandardError, Target};
use crate::spec::bounds::{RESAMPLES_MAX, SEED_MAX, SEEDS_MAX, at_most};
use crate::spec::{JobId, JobKind};
use crate::store::{Loss, Record};
use crate::{Error, Result};

/// What a user may choose.
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Options {
    /// Presets of the models, the smallest first.
    pub models: Vec<String>,
    /// Budgets D of the regularized recipe and of the ensembles, in tokens, ascending.
    pub budgets: Vec<u64>,
    /// Budgets of the standard recipe, the yardstick of data efficiency; default: `budgets`.
    #[serde(default)]
    pub standard_budgets: Vec<u64>,
    /// Where hyper-parameters come from.
    pub grid: Grid,
    /// Where the first cell's searches start; default: the base's own values.
    #[serde(default)]
    pub start: Option<Setting>,
    /// Members K of the ensembles, and seeds behind every single regularized model.
    #[serde(default = "five")]
    pub members: u32,
    /// Seeds behind every final loss of the standard recipe.
    #[serde(default = "three")]
    pub standard_seeds: u32,
    /// How members are set from the regularized optimum; the rule whose ensembles have the lower
    /// asymptote on `val` is taken in each cell. The optimum itself is always tried.
    #[serde(default = "paper_rule")]
    pub member_rules: Vec<MemberRule>,
    /// The first seed.
    #[serde(default)]
    pub seed: u64,
    /// Whether the smallest model's optimum is also run unchanged, and one factor at a time, on
    /// the larger models of the largest budget (mission L8, N1).
    #[serde(default)]
    pub transfer: bool,
    /// Resamples of every law's bootstrap; laws over two axes take a tenth.
    #[serde(default = "resamples")]
    pub resamples: u32,
}

/// Refuses overrides of what the study decides in every cell.
///
/// # Errors
/// Names the key.
pub fn check_sets(sets: &[String]) -> Result<()> {
    const OF_CELLS: [Decided; 2] = [
        ("model.preset", "`models` of the study"),
        ("data.budget_tokens", "`budgets` of the study"),
    ];
    refuse(sets, &[&OF_CELLS[..], &BY_THE_GRID].concat(), "change [plan] in the study's file")
}

/// Factors from a single model's optimum to an ensemble's members (mission R5).
#[derive(Clone, Copy, Debug, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct MemberRule {
    /// On the epochs; the paper: 2.
    pub epochs: f64,
    /// On the weight decay; the paper: 0.5.
    pub weight_decay: f64,
}

fn five() -> u32 {
    5
}

fn three() -> u32 {
    3
}

fn resamples() -> u32 {
    2000
}

fn paper_rule() -> Vec<MemberRule> {
    vec![MemberRule {
        epochs: super::tune::MEMBER_EPOCHS_FACTOR,
        weight_decay: super::tune::MEMBER_DECAY_FACTOR,
    }]
}

/// The whole result.
#[derive(Clone, Debug)]
pub struct Outcome {
    /// Every cell, by budget and then by model.
    pub cells: Vec<CellResult>,
    /// The transfers of hyper-parameters, if they were asked for.
    pub transfers: Vec<Transfer>,
    /// What the losses obey.
    pub laws: Laws,
    /// The questions of the paper with the answers of this study.
    pub findings: Vec<Finding>,
    /// Failure modes that the data show.
    pub messages: Vec<Message>,
    /// All records that were used, each once.
    pub records: Vec<Record>,
}

/// One model at one budget.
#[derive(Clone, Debug, Serialize)]
pub struct CellResult {
    /// Preset.
    pub model: String,
    /// N: parameters of one model, embeddings included.
    pub parameters: u64,
    /// D, tokens.
    pub budget_tokens: u64,
    /// The standard recipe, where it was run.
    pub standard: Option<Single>,
    /// The regularized recipe, where it was run.
    pub regularized: Option<Single>,
    /// Ensembles, one per rule that gave a setting of its own; the optimum itself comes first.
    pub ensembles: Vec<Ensemble>,
}

/// A tuned single model.
#[derive(Clone, Debug)]
pub struct Single {
    /// The proof, on `val`.
    pub certificate: Certificate,
    /// The runs behind the loss, one per seed.
    pub runs: Vec<JobId>,
    /// The record that measured them on `test`.
    pub evaluation: JobId,
    /// Loss on `test`, the mean over seeds.
    pub loss: Loss,
    /// Loss on `test` of each seed, nats per token.
    pub of_seeds: Vec<f64>,
}

serialize_as!(Outcome, |it| json!({
    "cells": it.cells, "laws": it.laws.all(), "data_efficiency": it.laws.efficiency,
    "transfers": it.transfers, "findings": it.findings,
    "runs": it.records.iter().filter(|record| record.kind == JobKind::Train).count(),
    "messages": it.messages,
}));

serialize_as!(Single, |it| json!({
    "loss": it.loss.told(), "of_seeds_nats": it.of_seeds, "runs": it.runs,
    "evaluation": it.evaluation, "best": it.certificate.center,
}));

serialize_as!(Ensemble, |it| json!({
    "setting": it.setting, "chosen": it.chosen, "members": it.members,
    "evaluation": it.test.evaluation.id,
    "losses": it.test.losses.iter().map(Loss::told).collect::<Value>(),
}));

impl Single {
    /// The error of its loss over seeds, nats per token; `None` for one seed.
    #[must_use]
    pub fn seed_error(&self) -> Option<StandardError> {
        StandardError::of_mean(&self.of_seeds)
    }

    /// Its loss with that error.
    fn target(&self) -> Target {
        Target { loss: self.loss.nats, error: self.seed_error() }
    }

    /// What models are chosen by: the score of the optimum on `val`, in nats per token.
    fn score(&self) -> f64 {
        self.certificate.center.score.value()
    }
}

impl Outcome {
    /// The models that are best on `val` at each budget: the standard recipe's, which is the
    /// yardstick of data efficiency, then the regularized one's.
    pub fn best_singles(&self) -> impl Iterator<Item = &Single> {
        let budgets = self.laws.budgets.iter().map(|laws| laws.budget_tokens);
        let regularized = budgets.filter_map(|budget| laws::best_regularized(&self.cells, budget));
        laws::best_standard(&self.cells).into_iter().map(|(_, single)| single).chain(regularized)
    }
}

/// K members at one setting.
#[derive(Clone, Debug)]
pub struct Ensemble {
    /// Where the members were trained.
    pub setting: Setting,
    /// The rule's factors.
    pub rule: MemberRule,
    /// The members.
    pub members: Vec<JobId>,
    /// Losses over K on `val`, by which the rule is chosen.
    pub val: MembersCurve,
    /// E of the law of these, or the loss of all members where there is no law: what ensembles of
    /// different members are chosen by.
    pub val_asymptote_nats: f64,
    /// Losses over K on `test`.
    pub test: MembersCurve,
    /// Whether this rule has the lowest asymptote of its cell.
    pub chosen: bool,
}

/// Hyper-parameters of the smallest model on a larger one.
#[derive(Clone, Debug, Serialize)]
pub struct Transfer {
    /// Preset of the larger model.
    pub model: String,
    /// Which values came from the smallest model.
    pub carried: &'static str,
    /// The setting.
    pub setting: Setting,
    /// The run.
    pub run: JobId,
    /// Its loss on `val` minus that of the model's own optimum with the same seed.
    #[serde(flatten)]
    pub difference: super::trial::Difference,
}

impl CellResult {
    /// The ensemble of all members with the lowest loss on `val`: the best that can be had, where
    /// the chosen one would be better with more members.
    #[must_use]
    pub fn best_measured(&self) -> Option<&Ensemble> {
        let losses = self.ensembles.iter();
        losses.min_by(|a, b| a.val.all().nats.total_cmp(&b.val.all().nats))
    }

    /// The ensemble that was chosen.
    #[must_use]
    pub fn chosen(&self) -> Option<&Ensemble> {
        self.ensembles.iter().find(|ensemble| ensemble.chosen)
    }
}

impl Options {
    /// Rejects requests that contradict themselves.
    ///
    /// # Errors
    /// Names the key.
    pub fn validate(&self) -> Result<()> {
        self.grid.validate().map_err(|error| error.within("`grid`"))?;
        if self.models.is_empty() {
            return Err(Error::usage("`models` is empty"));
        }
        let mut seen = std::collections::BTreeSet::new();
        for model in &self.models {
            crate::spec::preset::find(model).map_err(|error| error.within("`models`"))?;
            if !seen.insert(model) {
                return Err(Error::usage(format!("`models` has `{model}` twice")));
            }
        }
        for (key, budgets) in
            [("budgets", &self.budgets), ("standard_budgets", &self.standard_budgets)]
        {
            if budgets.windows(2).any(|pair| pair[0] >= pair[1]) {
                return Err(Error::usage(format!("`{key}` must ascend")));
            }
        }
        if self.budgets.is_empty() && self.standard_budgets.is_empty() {
            return Err(Error::usage("`budgets` is empty"));
        }
        let counts = [
            ("members", self.members),
            ("standard_seeds", self.standard_seeds),
            ("resamples", self.resamples),
        ];
        if let Some((key, _)) = counts.iter().find(|(_, count)| *count == 0) {
            return Err(Error::usage(format!("`{key}` must be at least 1")));
        }
        at_most("members", self.members, crate::study::ensemble::MEMBERS_MAX)?;
        at_most("standard_seeds", self.standard_seeds, SEEDS_MAX)?;
        at_most("resamples", self.resamples, RESAMPLES_MAX)?;
        at_most("seed", self.seed, SEED_MAX)?;
        let positive = |rule: &MemberRule| rule.epochs > 0.0 && rule.weight_decay > 0.0;
        if !self.member_rules.iter().all(positive) {
            return Err(Error::usage("the factors of `member_rules` must be positive"));
        }
        if let Some(start) = self.start {
            self.grid.find(start).map_err(|error| error.within("`start`"))?;
        }
        Ok(())
    }

    /// Budgets of the standard recipe.
    #[must_use]
    pub fn standard_budgets(&self) -> &[u64] {
        if self.standard_budgets.is_empty() { &self.budgets } else { &self.standard_budgets }
    }
}

#[cfg(test)]
mod tests;
