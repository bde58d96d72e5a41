//! The best model that a corpus and some hours can give, by one command.
//!
//! 1. A short run measures the speed, and with it what the hours allow: FLOP, and whether the
//!    corpus or the compute is the limit.
//! 2. Sizes are compared at equal compute (iso-FLOP, as mission R11); a parabola in the logarithm
//!    of the size finds the lowest loss, and the square-root rule carries it to longer runs.
//! 3. Short runs of that size search the weight decay, then the learning rate, one axis at a time,
//!    each wave with as many runs as there are workers; the last wave has a second seed, too.
//! 4. What is left goes to members, in one wave of long runs or in several of shorter ones. Longer
//!    runs win what the loss falls per doubling of compute; more members win what averaging gives
//!    (paper, §4.2: close to A / K). Both were measured on the way: the lower sum is taken. All
//!    members share one setting, passes included: they differ in their seeds alone.
//! 5. Runs of one setting are ordered by their own loss on `val`; the first K of them whose logit
//!    average has the lowest loss on `val` are the model. `test` is read once, at the end.
//!
//! The hours are kept by a ledger of wall-clock seconds, one entry per wave. With the ledger of an
//! earlier call the same decisions are taken again, and nothing is trained.

mod plan;
mod sizes;
mod speed;
mod stages;
#[cfg(test)]
mod tests;

use serde::Serialize;
use serde_json::{Value, json};

use crate::eval::statistics::PairedDifference;
use crate::spec::JobId;
use crate::store::{Loss, Record};
use crate::{Error, Result};

pub use plan::{estimate, run};

use super::grid::Setting;
use super::message::Message;
use super::trial::Difference;

/// More hours than this, a century of them, are a slip of the keyboard.
const HOURS_MAX: f64 = 1e6;
/// Share of the hours that is planned for; the rest is for what no measurement foretells.
const PLANNED_SHARE: f64 = 0.95;
/// Share of the planned time in which sizes are compared.
const SIZES_SHARE: f64 = 0.15;
/// Sizes that are compared.
const SIZES: usize = 5;
/// Share in which the settings are searched.
const SEARCH_SHARE: f64 = 0.2;
/// Runs of the search, at least.
const SEARCH_RUNS: usize = 4;
/// More waves of members are not considered.
const WAVES_MAX: usize = 8;
/// No ensemble has more members: the law in K has little left, and every one is paid for at
/// inference.
const MEMBERS_MAX: usize = 16;
/// Passes beyond this are not tried: the paper's grid ends there (R2).
const EPOCHS_MAX: f64 = 64.0;
/// Passes when sizes are compared.
const SCAN_EPOCHS_MAX: f64 = 32.0;
/// A model that sees fewer tokens per parameter in a run is too large for it: a tenth of the
/// compute-optimal ratio.
const TOKENS_PER_PARAMETER_MIN: f64 = 2.0;
/// Tokens per parameter of a compute-optimal run (Hoffmann et al. 2022, table 3).
const TOKENS_PER_PARAMETER: f64 = 20.0;
/// Where the search of the weight decay starts, as AdamW's time scale in epochs. The optimum of the
/// paper (300M parameters, 200M tokens: lr 3e-3, decay 1.6, 763 steps an epoch) has 0.27, those of
/// records/pocket-paper have 0.6 to 2.5 at a tenth to a full token per parameter.
const TIMESCALE_EPOCHS: f64 = 0.5;
/// Weight decays that are tried, each twice the one before.
const WEIGHT_DECAYS: [f64; 12] =
    [0.0125, 0.025, 0.05, 0.1, 0.2, 0.4, 0.8, 1.6, 3.2, 6.4, 12.8, 25.6];
/// Learning rates that are tried: the paper's grid (R2).
const LEARNING_RATES: [f64; 6] = [1e-4, 3e-4, 1e-3, 3e-3, 1e-2, 3e-2];
/// Learning rate at a width of [`LR_WIDTH`]; it falls with the width (records/quickstart: 0.01 for
/// widths of 64 and 96).
const LR: f64 = 0.01;
const LR_WIDTH: f64 = 96.0;
/// Sequences of a batch, the first with enough steps in an epoch: small corpora want small batches
/// (failure mode F9), and the pocket studies use 4. With 2 million tokens and lr 0.01, batches of 4
/// needed 1.7 times the passes of batches of 16 for the same loss (docs/LOG.md).
const BATCHES: [u32; 3] = [16, 8, 4];
const STEPS_PER_EPOCH_MIN: u64 = 50;
/// Optimizer steps of the run that measures the speed.
const MEASURED_STEPS: f64 = 200.0;
/// A comparison of sizes with fewer optimizer steps says nothing.
const STEPS_MIN: f64 = 100.0;

/// What a user may choose.
#[derive(Clone, Debug, PartialEq)]
pub struct Options {
    /// Wall-clock hours from start to end.
    pub hours: f64,
    /// Runs at a time.
    pub workers: usize,
    /// The first seed.
    pub seed: u64,
    /// Tokens of `val` and of `test`, which every run and every ensemble has to read.
    pub held_out_tokens: [u64; 2],
    /// Seconds of the waves of an earlier, finished call with the same request.
    pub ledger: Option<Vec<f64>>,
}

/// What the hours allow, from a short measurement.
#[derive(Clone, Debug, PartialEq)]
pub struct Estimate {
    /// The run that was timed.
    pub measured: JobId,
    /// Floating-point operations per second of all workers together.
    pub flops_per_second: f64,
    /// In all the hours.
    pub flops: f64,
    /// D: tokens of the budget.
    pub budget_tokens: u64,
    /// Tokens that a compute-optimal run of a worker's share of the hours would want.
    pub optimal_tokens: f64,
    /// The sizes that will be compared, and their passes.
    pub sizes: Vec<Sized>,
    /// Seconds that each of them should take.
    pub size_seconds: f64,
    /// Runs of the search after that.
    pub search_runs: usize,
    /// Seconds that each of them should take.
    pub search_seconds: f64,
    /// Seconds for members: of one wave of long runs, or of several shorter ones together.
    pub member_seconds: f64,
    /// Seconds kept for the ensembles at the end.
    pub reserve_seconds: f64,
}

/// A size in the comparison at equal compute.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Sized {
    /// Preset.
    pub model: &'static str,
    /// N, embeddings included.
    pub parameters: u64,
    /// Floating-point operations of training on a token.
    #[serde(skip)]
    pub flops_per_token: f64,
    /// Where it is run.
    pub setting: Setting,
}

/// A size with its loss.
#[derive(Clone, Debug)]
pub struct Scanned {
    /// The size.
    pub size: Sized,
    /// The run.
    pub run: JobId,
    /// Its loss on `val`; `None` if it diverged.
    pub loss: Option<Loss>,
}

/// What a run was for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Stage {
    /// To find the setting.
    Search,
    /// To be a member.
    Member,
}

/// A run of the chosen size.
#[derive(Clone, Debug)]
pub struct Trained {
    /// What it was for.
    pub stage: Stage,
    /// Where it was trained.
    pub setting: Setting,
    /// Its seed, counted from the first.
    pub seed: u64,
    /// The record.
    pub run: JobId,
    /// Its loss on `val`; `None` if it diverged.
    pub loss: Option<Loss>,
    /// Its loss minus that of the best run, paired over the text of `val`.
    pub difference: Option<Difference>,
}

/// Why there are so many members: what longer runs and what more members would win.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct Division {
    /// How far the lowest loss falls when a run gets e times the compute, nats per token.
    #[serde(rename = "nats_per_e_fold")]
    pub per_e_fold: f64,
    /// What infinitely many members would win over one, nats per token: A of the law A / K, from
    /// the average of two.
    #[serde(rename = "nats_of_members")]
    pub of_members: f64,
    /// Waves of members.
    pub waves: usize,
    /// How many of them there was time for in the end.
    pub trained_waves: usize,
}

/// Why the members have their size.
#[derive(Clone, Debug, PartialEq)]
pub struct SizeChoice {
    /// Preset with the lowest loss at equal compute.
    pub won: &'static str,
    /// Parameters where the curve through the compared sizes is lowest.
    pub lowest_parameters: f64,
    /// How many times the compute of the comparison a member has.
    pub compute_factor: f64,
    /// The largest preset that is not above the lowest point times the root of that factor.
    pub by_rule: &'static str,
}

/// A wave of jobs in the ledger.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Entry {
    /// What it was for.
    pub what: &'static str,
    /// Wall-clock time.
    pub seconds: f64,
}

/// The whole result.
#[derive(Clone, Debug)]
pub struct Outcome {
    /// What the hours were expected to allow.
    pub estimate: Estimate,
    /// Sizes at equal compute, the smallest first.
    pub scan: Vec<Scanned>,
    /// The chosen size, with the setting that the rules gave for its longest runs.
    pub size: Sized,
    /// Why it was chosen.
    pub choice: SizeChoice,
    /// How the time for members was divided.
    pub division: Division,
    /// Runs of that size, the best on `val` first.
    pub runs: Vec<Trained>,
    /// Where the members were trained, all of them.
    pub setting: Setting,
    /// Logit averages on `val` of the first K runs of that setting; K = 1 is the best of them.
    pub ensembles: Vec<Loss>,
    /// The record that measured them.
    pub chosen_by: JobId,
    /// The runs whose average is the model.
    pub members: Vec<JobId>,
    /// The model on `test`.
    pub test: Loss,
    /// Its best member alone on `test`.
    pub single_test: Loss,
    /// The record that measured both.
    pub evaluation: JobId,
    /// The model minus its best member on `test`; absent if they are the same.
    pub gain: Option<PairedDifference>,
    /// Wall-clock seconds of each wave: what it was for, and how long it took.
    pub ledger: Vec<Entry>,
    /// Failure modes that the data show.
    pub messages: Vec<Message>,
    /// All records that were used, each once.
    pub records: Vec<Record>,
}

serialize_as!(Estimate, |it| json!({
    "measured": it.measured, "flops_per_second": it.flops_per_second, "flops": it.flops,
    "budget_tokens": it.budget_tokens, "optimal_tokens": it.optimal_tokens,
    "data_limited": it.is_data_limited(), "sizes": it.sizes, "size_seconds": it.size_seconds,
    "search_runs": it.search_runs, "search_seconds": it.search_seconds,
    "member_seconds": it.member_seconds, "reserve_seconds": it.reserve_seconds,
}));

serialize_as!(Scanned, |it| {
    let mut told = json!(it.size);
    (told["run"], told["val"]) = (json!(it.run), json!(it.loss.as_ref().map(Loss::told)));
    told
});

serialize_as!(Trained, |it| json!({
    "stage": it.stage, "setting": it.setting, "seed": it.seed, "run": it.run,
    "val": it.loss.as_ref().map(Loss::told), "minus_best_nats": it.difference.map(|d| d.mean),
    "interval_nats": it.difference.and_then(|d| d.interval),
}));

serialize_as!(Outcome, |it| {
    let mut gain = json!(it.gain);
    if let Some(found) = it.gain {
        gain["interval_nats"] = json!(found.bootstrap);
    }
    json!({
        "estimate": it.estimate, "sizes": it.scan, "size": it.size.model, "setting": it.setting,
        "data_limited": it.is_data_limited(), "runs": it.runs, "division": it.division,
        "averages_on_val": it.ensembles.iter().map(Loss::told).collect::<Value>(),
        "members": it.members, "evaluation": it.evaluation, "test": it.test.told(),
        "best_member_on_test": it.single_test.told(), "gain": gain, "seconds": it.seconds(),
        "ledger": it.ledger, "messages": it.messages,
    })
});

impl Options {
    /// Rejects requests that cannot be served.
    ///
    /// # Errors
    /// Names the flag.
    pub fn validate(&self) -> Result<()> {
        if !(self.hours > 0.0 && self.hours.is_finite()) {
            return Err(Error::usage(format!("--hours: {} is no time", self.hours))
                .hint("half an hour is --hours 0.5"));
        }
        if self.hours > HOURS_MAX {
            return Err(Error::usage(format!(
                "--hours: more than {HOURS_MAX} are not planned for"
            )));
        }
        if self.workers == 0 {
            return Err(Error::usage("there must be a worker"));
        }
        Ok(())
    }
}

impl Outcome {
    /// Whether the corpus is the limit: members pass over all of it, so that more text would have
    /// given them other tokens than repeated ones.
    #[must_use]
    pub fn is_data_limited(&self) -> bool {
        self.setting.epochs >= 1.0
    }

    /// Wall-clock seconds of everything.
    #[must_use]
    pub fn seconds(&self) -> f64 {
        self.ledger.iter().map(|entry| entry.seconds).sum()
    }
}

impl Estimate {
    /// Whether the corpus seems to be the limit, before the size is known: a compute-optimal run
    /// would want more tokens than it has. [`Outcome::is_data_limited`] knows it.
    #[must_use]
    pub fn is_data_limited(&self) -> bool {
        self.optimal_tokens > self.budget_tokens as f64
    }
}
