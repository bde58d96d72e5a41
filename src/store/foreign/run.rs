//! What is known of a run that another program made, as data.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

/// A run of another program: what its file said, typed. It has no spec and no numerics class, so it
/// is no record, and no lookup of a spec ever returns it.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct ForeignRun {
    /// Its id in the program that made it.
    pub id: String,
    /// Its name, where it has one beside the id.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// The project that it was filed under.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub project: Option<String>,
    /// How it ended, in the words of its source, such as `finished` or `crashed`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub state: Option<String>,
    /// Tags that people gave it.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub tags: Vec<String>,
    /// What was set before it ran.
    pub settings: ForeignSettings,
    /// The set whose loss is the run's result: `losses` has it under this name.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub headline: Option<String>,
    /// Final losses in nats per token, by the name of the set; `train` is the training loss.
    pub losses: BTreeMap<String, f64>,
    /// Everything else that the source said of it, under the source's names.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub other: BTreeMap<String, serde_json::Value>,
}

/// The settings of a foreign run; what the source does not say is absent.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct ForeignSettings {
    /// Label of the model's shape, such as `300m4k`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub model: Option<String>,
    /// Parameters N, as the source counts them.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub parameters: Option<f64>,
    /// Unique training tokens D.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub budget_tokens: Option<f64>,
    /// Passes over them.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub epochs: Option<f64>,
    /// Name of the data.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub data: Option<String>,
    /// Name of a teacher's data that was mixed in.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub teacher: Option<String>,
    /// Its share of the mixture, from 0 to 1.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub teacher_weight: Option<f64>,
    /// Learning-rate schedule.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub schedule: Option<String>,
    /// Peak learning rate.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub lr: Option<f64>,
    /// Weight decay.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub weight_decay: Option<f64>,
    /// Sequences of a batch.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub batch: Option<f64>,
    /// Tokens of a sequence.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub sequence_tokens: Option<f64>,
    /// Optimizer steps.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub steps: Option<f64>,
    /// Training work in FLOP.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub flops: Option<f64>,
    /// Seed of the initialization.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub train_seed: Option<f64>,
    /// Seed of the order of data.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub data_seed: Option<f64>,
    /// Members K of the ensemble that was measured; absent for a single model.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub members: Option<f64>,
    /// The run whose name an ensemble bears: its newest member.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub member: Option<String>,
    /// Seed families that a run of a seed study belongs to: `train`, `data`, `both`.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub seed_families: Vec<String>,
}

impl ForeignRun {
    /// The loss that the run is about, in nats per token.
    #[must_use]
    pub fn loss_nats(&self) -> Option<f64> {
        self.losses.get(self.headline.as_deref()?).copied()
    }
}

/// The course of a foreign run, thinned where it was long.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct ForeignHistory {
    /// Steps done, ascending.
    pub step: Vec<u64>,
    /// Training loss at these steps, in nats per token; null where there was none.
    pub train_loss_nats: Vec<Option<f64>>,
    /// Loss of the headline's set at these steps.
    pub eval_loss_nats: Vec<Option<f64>>,
}

/// The file that a foreign run was read from.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ForeignSource {
    /// Name of the file, without its folder.
    pub file: String,
    /// How it was read: `csv`, `wandb-csv`, `jsonl`, `parquet`, `json` or `wandb`.
    pub format: String,
    /// BLAKE3 of the file in hexadecimal.
    pub blake3: String,
}
