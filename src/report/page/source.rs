//! A record as the page shows it.

use crate::number::{grouped, short_tokens};
use crate::spec::{Job, JobKind, OptimSpec, Part};
use crate::store::{Loss, Numerics, Outcome, Record, utc};

/// A record behind numbers of the page.
#[derive(Clone, Debug, PartialEq)]
pub struct Source {
    /// Full id.
    pub id: String,
    /// What it is in a phrase, for people who do not read ids: "16 epochs, weight decay 1.6".
    pub label: String,
    /// Kind of its job, by which blocks are grouped; none of runs of other programs.
    pub kind: Option<JobKind>,
    /// How it ended: "finished", "diverged at step 12".
    pub outcome: String,
    /// Final losses.
    pub losses: Vec<MeasuredLoss>,
    /// The one of them that is shown with the label: see [`Loss::headline`].
    pub headline: Option<MeasuredLoss>,
    /// What somebody consented to, in words; empty if nothing needed it.
    pub allowed: String,
    /// What it cost.
    pub cost: Cost,
    /// Machine in words.
    pub machine: String,
    /// Numerics class, where it is known.
    pub numerics_class: Option<Numerics>,
    /// Version of the program and moment of the end: "scarce 0.1.0, 2026-11-22 04:45:08 UTC".
    pub made_by: String,
    /// Canonical text of the resolved spec.
    pub spec: String,
    /// Full ids of the records that it was made from, such as the members of an ensemble.
    pub inputs: Vec<String>,
    /// Whether it was already in the store when the command that made the page began.
    pub known: bool,
}

/// A final loss of a record.
#[derive(Clone, Debug, PartialEq)]
pub struct MeasuredLoss {
    /// Split or side set, and what was measured on it: "test, logits-3".
    pub name: String,
    /// Mean and standard error with their unit: "2.7157 ± 0.0088 nats/token".
    pub text: String,
}

/// What a record cost.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Cost {
    /// Tokens trained on or scored, repetitions counted.
    pub tokens: u64,
    /// Floating-point operations by formula.
    pub flops: f64,
    /// Wall-clock seconds.
    pub wall_seconds: f64,
    /// CPU seconds of all threads.
    pub cpu_seconds: f64,
    /// Parameters of the model; 0 where there is none.
    pub parameters: u64,
}

impl Source {
    /// A record of the store with its job, labeled by [`Source::describe`]; `known` as in the
    /// field.
    #[must_use]
    pub fn of_record(record: &Record, job: &Job, known: bool) -> Self {
        let machine = &record.machine;
        let cost = &record.cost;
        let sides =
            record.side_losses.iter().map(|loss| measured(loss, &loss.split.name.to_string()));
        let losses = record.losses.iter().map(|loss| measured(loss, &loss.split.to_string()));
        Self {
            id: record.id.to_string(),
            label: Self::describe(job),
            kind: Some(record.kind),
            outcome: match record.outcome {
                Outcome::Finished => "finished".to_owned(),
                Outcome::Diverged { step } => format!("diverged at step {step}"),
            },
            losses: losses.chain(sides).collect(),
            headline: headline(record),
            allowed: record.allowed.to_string(),
            cost: Cost {
                tokens: cost.tokens,
                flops: cost.flops,
                wall_seconds: cost.wall_seconds,
                cpu_seconds: cost.cpu_seconds,
                parameters: cost.parameters,
            },
            machine: format!(
                "{}, {} of {} processors, {}, {}",
                machine.cpu, machine.threads, machine.processors, machine.isa, machine.system
            ),
            numerics_class: Some(record.numerics.clone()),
            made_by: format!("scarce {}, {}", record.version, utc(record.finished_unix_seconds)),
            spec: job.canonical(),
            inputs: job.needs().iter().map(ToString::to_string).collect(),
            known,
        }
    }

    /// The settings of a job in a phrase, as far as people tell runs apart by them.
    #[must_use]
    pub fn describe(job: &Job) -> String {
        match job {
            Job::Train(spec) => {
                let OptimSpec::Adamw { lr, weight_decay, .. } = spec.optim;
                format!(
                    "{} parameters, {} tokens, {} epochs, lr {lr}, weight decay {weight_decay}, \
                     seeds {}/{}",
                    grouped(spec.model.parameters()),
                    short_tokens(spec.data.budget_tokens as f64),
                    spec.data.epochs,
                    spec.seeds.init,
                    spec.seeds.order
                )
            }
            Job::Evaluate(spec) => {
                let place = match &spec.split {
                    Part::Split(split) => split.to_string(),
                    Part::Side(side) => side.name.to_string(),
                };
                match spec.members.len() {
                    1 => format!("one model on {place}"),
                    members => format!("{members} models, alone and averaged, on {place}"),
                }
            }
            Job::Ensemble(spec) => {
                format!("subsets of {} models on {}", spec.members.len(), spec.split)
            }
            Job::Ngram(spec) => format!(
                "n-gram, {} tokens, contexts of at most {} tokens",
                short_tokens(spec.budget_tokens as f64),
                spec.context_tokens_max
            ),
        }
    }
}

fn headline(record: &Record) -> Option<MeasuredLoss> {
    let of_split = Loss::headline(&record.losses);
    let of_split = of_split.map(|loss| measured(loss, &loss.split.to_string()));
    let of_side = || {
        let loss = Loss::headline(&record.side_losses)?;
        Some(measured(loss, &loss.split.name.to_string()))
    };
    of_split.or_else(of_side)
}

fn measured<P>(loss: &Loss<P>, place: &str) -> MeasuredLoss {
    let bits = loss.bits_per_byte.map(|bits| format!(", {bits:.4} bits/byte"));
    MeasuredLoss {
        name: format!("{place}, {}", loss.name),
        text: format!("{} nats/token{}", loss.text(), bits.unwrap_or_default()),
    }
}
