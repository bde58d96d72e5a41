//! Measured losses with everything that they are grouped by.
//!
//! A [`Run`] is one measured loss of one model or of one ensemble, and says where it is from, so
//! that no number of a figure lacks its record. Filling it is the caller's affair: a command reads
//! a store, a study has its own records at hand.

use std::collections::{BTreeMap, BTreeSet};

use crate::error::quoted;
use crate::store::{Average, Numerics};
use crate::{Error, Result};

/// Where a number is from.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Origin {
    /// A record of ours, by its id.
    Record(String),
    /// An imported run, by its id in the program that made it.
    Foreign(String),
}

/// A loss on held-out text.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct HeldOutLoss {
    /// Nats per token.
    pub nats: f64,
    /// Its standard error over blocks of the text, in nats per token.
    pub standard_error_nats: Option<f64>,
}

/// The seeds of a run, where they are known.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct RunSeeds {
    /// Seed of the initialization.
    pub init: Option<u64>,
    /// Seed of the order of the data.
    pub order: Option<u64>,
}

/// What makes a run an ensemble.
#[derive(Clone, Debug, PartialEq)]
pub struct Ensemble {
    /// K.
    pub members: u32,
    /// How predictions are averaged; `None` where the source does not say.
    pub averaging: Option<Average>,
    /// Ids of the members, where they are known.
    pub ids: Vec<String>,
    /// How many ensembles of this size the loss is a mean over; 1 for a single one.
    pub subsets: u64,
    /// Of such means: the mean over those that do without each member, in the order of `ids`, and
    /// of all members together that over those of one fewer; empty where it is not known.
    pub without: Vec<f64>,
}

/// Data of a teacher that was mixed in.
#[derive(Clone, Debug, PartialEq)]
pub struct Taught {
    /// Name of the teacher's data.
    pub teacher: String,
    /// Its share of the mixture, from 0 to 1.
    pub weight: Option<f64>,
}

/// A moment of a run.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Moment {
    /// Training tokens so far, repetitions counted.
    pub tokens: f64,
    /// Training loss, nats per token.
    pub train_loss_nats: Option<f64>,
    /// Held-out loss, nats per token.
    pub loss_nats: Option<f64>,
}

/// A share of right answers.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Accuracy {
    /// From 0 to 1.
    pub share: f64,
    /// Its standard error.
    pub standard_error: Option<f64>,
}

/// One measured loss of a model or an ensemble. What is not known is `None`.
#[derive(Clone, Debug, PartialEq)]
pub struct Run {
    /// Where it is from.
    pub origin: Origin,
    /// Label of the model's shape, such as `pocket-790k` or `300m4k`.
    pub model: String,
    /// N of one member; see [`Runs::nominal`].
    pub parameters: Option<f64>,
    /// Name of the data that it was trained and measured on.
    pub data: Option<String>,
    /// D, unique training tokens.
    pub budget_tokens: Option<f64>,
    /// Passes over them.
    pub epochs: Option<f64>,
    /// Peak learning rate.
    pub lr: Option<f64>,
    /// Weight decay.
    pub weight_decay: Option<f64>,
    /// Sequences of a batch.
    pub batch_sequences: Option<f64>,
    /// Tokens of a sequence.
    pub sequence_tokens: Option<f64>,
    /// Seeds of a single model.
    pub seeds: RunSeeds,
    /// Seed families that the run belongs to by its source: `train`, `data`, `both`.
    pub seed_families: Vec<String>,
    /// Set for an ensemble, also for one with a single member that was evaluated as one.
    pub ensemble: Option<Ensemble>,
    /// Set if a teacher's data was mixed in.
    pub taught: Option<Taught>,
    /// Whether it starts from the weights of another run.
    pub continued: bool,
    /// The held-out loss; `None` for a result that has accuracies only.
    pub loss: Option<HeldOutLoss>,
    /// The final training loss, nats per token.
    pub train_loss_nats: Option<f64>,
    /// The exact entropy of the measured text, nats per token, where it is known.
    pub floor_nats: Option<f64>,
    /// Work of training, FLOP.
    pub flops: Option<f64>,
    /// The course of the run, loaded only for figures that show it.
    pub trajectory: Vec<Moment>,
    /// Shares of right answers by task.
    pub accuracies: BTreeMap<String, Accuracy>,
    /// Tags that people gave it.
    pub tags: Vec<String>,
    /// The class of arithmetic of a record of ours.
    pub numerics: Option<Numerics>,
    /// What stands for everything else that its spec says (schedule, initialization, mask and so
    /// on): runs that differ in it are different recipes. `None` where it is not known.
    pub variant: Option<String>,
}

/// Runs with what holds for all of them.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Runs {
    /// The runs.
    pub runs: Vec<Run>,
    /// The part of the corpus that the losses were measured on: `val`, `test`, or what a foreign
    /// source calls it.
    pub split: String,
    /// Whether N are the paper's nominal sizes (0.15 billion and so on) and no exact counts.
    pub nominal: bool,
}

impl Origin {
    /// The id.
    #[must_use]
    pub fn id(&self) -> &str {
        match self {
            Self::Record(id) | Self::Foreign(id) => id,
        }
    }

    /// Whether another program made the run.
    #[must_use]
    pub fn is_foreign(&self) -> bool {
        matches!(self, Self::Foreign(_))
    }
}

impl Run {
    /// A run of which nothing is known but where it is from and what its model is called.
    #[must_use]
    pub fn new(origin: Origin, model: impl Into<String>) -> Self {
        Self {
            origin,
            model: model.into(),
            parameters: None,
            data: None,
            budget_tokens: None,
            epochs: None,
            lr: None,
            weight_decay: None,
            batch_sequences: None,
            sequence_tokens: None,
            seeds: RunSeeds::default(),
            seed_families: Vec::new(),
            ensemble: None,
            taught: None,
            continued: false,
            loss: None,
            train_loss_nats: None,
            floor_nats: None,
            flops: None,
            trajectory: Vec::new(),
            accuracies: BTreeMap::new(),
            tags: Vec::new(),
            numerics: None,
            variant: None,
        }
    }

    /// K: 1 for a single model.
    #[must_use]
    pub fn members(&self) -> u32 {
        self.ensemble.as_ref().map_or(1, |ensemble| ensemble.members)
    }

    /// Whether it has this tag.
    #[must_use]
    pub fn is_tagged(&self, tag: &str) -> bool {
        self.tags.iter().any(|own| own == tag)
    }

    /// Whether it is of the recipe family that is shown, and not set aside by its people; see
    /// [`Runs::main_variant`].
    #[must_use]
    pub fn is_main(&self, main: Option<&str>) -> bool {
        let same = self.variant.as_deref().is_none_or(|own| Some(own) == main);
        same && !self.is_tagged("ignore")
    }

    /// Whether it is one model from scratch on the budget alone: what recipes are compared on.
    #[must_use]
    pub fn is_plain(&self) -> bool {
        self.ensemble.is_none() && self.taught.is_none() && !self.continued
    }
}

impl Runs {
    /// Keeps the runs on one text: losses on different texts do not compare. `asked` is the name of
    /// the data or its beginning.
    ///
    /// # Errors
    /// If no run is on the data that is asked for, or the runs are on several.
    pub fn on_one_data(&mut self, asked: Option<&str>) -> Result<()> {
        if let Some(asked) = asked {
            self.runs.retain(|run| run.data.as_deref().is_some_and(|data| data.starts_with(asked)));
            if self.runs.is_empty() {
                return Err(Error::usage(format!("--data: no run is on `{}`", quoted(asked))));
            }
        }
        let names: BTreeSet<&str> = self.runs.iter().filter_map(|r| r.data.as_deref()).collect();
        if names.len() > 1 {
            let short: Vec<String> =
                names.iter().take(8).map(|name| name.chars().take(12).collect()).collect();
            let (count, list) = (names.len(), short.join(", "));
            return Err(Error::usage(format!("the runs are on {count} different data: {list}"))
                .hint("losses on different text do not compare: choose with --data"));
        }
        Ok(())
    }

    /// Whether some of the runs are foreign, and whether some are ours.
    #[must_use]
    pub fn kinds(&self) -> (bool, bool) {
        let foreign = self.runs.iter().any(|run| run.origin.is_foreign());
        (foreign, self.runs.iter().any(|run| !run.origin.is_foreign()))
    }

    /// The commonest variant of single models, which figures of recipes show.
    #[must_use]
    pub fn main_variant(&self) -> Option<&str> {
        let mut counts: BTreeMap<&str, usize> = BTreeMap::new();
        for run in self.runs.iter().filter(|run| run.is_plain()) {
            if let Some(variant) = &run.variant {
                *counts.entry(variant).or_default() += 1;
            }
        }
        counts.into_iter().max_by_key(|(_, count)| *count).map(|(variant, _)| variant)
    }

    /// How many runs are no single models from scratch, or lack what most figures need.
    #[must_use]
    pub fn lacking(&self) -> Vec<(usize, &'static str)> {
        type Test = (fn(&Run) -> bool, &'static str);
        const TESTS: [Test; 10] = [
            (|run| run.ensemble.is_some(), "ensembles"),
            (|run| run.taught.is_some(), "with a teacher"),
            (|run| run.continued, "of other weights"),
            (|run| run.is_tagged("ignore"), "tagged `ignore`"),
            (|run| run.loss.is_none(), "without loss"),
            (|run| run.parameters.is_none(), "without parameters"),
            (|run| run.budget_tokens.is_none(), "without tokens"),
            (|run| run.epochs.is_none(), "without epochs"),
            (|run| run.lr.is_none(), "without lr"),
            (|run| run.weight_decay.is_none(), "without weight_decay"),
        ];
        let count = |(test, what): Test| (self.runs.iter().filter(|run| test(run)).count(), what);
        TESTS.into_iter().map(count).filter(|(count, _)| *count > 0).collect()
    }

    /// What a reader must know of all figures of these runs: mixtures that look like one thing.
    #[must_use]
    pub fn remarks(&self) -> Vec<String> {
        let mut remarks = Vec::new();
        if self.kinds() == (true, true) {
            remarks.push(
                "Own records are drawn filled, imported runs hollow: other programs, tokenizers \
                 and held-out sets may make their losses incomparable."
                    .to_owned(),
            );
        }
        let classes: BTreeSet<&Numerics> =
            self.runs.iter().filter_map(|run| run.numerics.as_ref()).collect();
        if classes.len() > 1 {
            let names: Vec<String> = classes.iter().map(ToString::to_string).collect();
            remarks.push(format!(
                "The records come from {} numerics classes ({}).",
                names.len(),
                names.join(", ")
            ));
        }
        let main = self.main_variant();
        let others = |run: &&Run| {
            let differs = |own: &str| Some(own) != main;
            run.is_plain() && run.variant.as_deref().is_some_and(differs)
        };
        let others = self.runs.iter().filter(others).count();
        if others > 0 {
            remarks.push(format!(
                "{others} runs are left out: they differ from the others in more than size, \
                 budget, epochs, lr, weight decay, batch and seeds."
            ));
        }
        remarks
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn mixtures_are_said() {
        let mut runs = Runs::default();
        assert!(runs.remarks().is_empty());
        runs.runs.push(Run::new(Origin::Record("ab".into()), "pocket-150k"));
        runs.runs[0].numerics = "cpu/f32/exact/2".parse().ok();
        assert!(runs.remarks().is_empty());
        runs.runs.push(Run::new(Origin::Foreign("x".into()), "300m4k"));
        assert!(runs.remarks()[0].starts_with("Own records are drawn filled"));
        runs.runs.push(Run { numerics: "cuda/bf16/fast/2".parse().ok(), ..runs.runs[0].clone() });
        assert!(runs.remarks()[1].contains("2 numerics classes (cpu/f32/exact/2, cuda/"));
        assert!(runs.runs[0].is_plain() && runs.runs[0].members() == 1);
        for (run, variant) in runs.runs.iter_mut().zip(["a", "b", "a"]) {
            run.variant = Some(variant.to_owned());
        }
        assert_eq!(runs.main_variant(), Some("a"));
        assert!(runs.remarks()[2].starts_with("1 runs are left out"), "{:?}", runs.remarks());
    }
}
