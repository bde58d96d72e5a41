//! The names that other programs give to what we know: columns of tables, keys of configurations.
//!
//! Two kinds. The usual names mean their field wherever they stand, and a value that does not fit
//! is an error. Further names only count where their value is a number, and may have a prefix that
//! programs put before settings, as in `optimizer.learning_rate` or `throughput/total_tokens`. W&B
//! writes settings with dots and metrics with slashes: the last value of a metric such as
//! `optim/learning_rate` is no setting, but that of a count is the whole run's.

use serde_json::Value;

use super::cell;

/// Every field with the names that it is found under unless a mapping says otherwise.
pub(super) const FIELDS: [(&str, &[&str]); 22] = [
    ("id", &["id", "run_id", "ID"]),
    ("name", &["name", "run_name", "display_name", "Name"]),
    ("project", &["project"]),
    ("state", &["state", "State"]),
    ("tags", &["tags", "Tags"]),
    ("model", &["model", "model_name", "preset"]),
    ("parameters", &["parameters", "parameter_count", "total_params"]),
    ("tokens", &["tokens", "budget_tokens", "base_tokens", "token_count"]),
    ("epochs", &["epochs"]),
    ("data", &["data", "data_name", "dataset"]),
    ("schedule", &["schedule", "lr_schedule", "optimizer.lr_schedule"]),
    ("lr", &["lr", "learning_rate", "optimizer.learning_rate"]),
    ("weight_decay", &["weight_decay", "wd", "optimizer.weight_decay"]),
    ("batch", &["batch", "batch_size", "trainer.train_batch_size"]),
    ("sequence_tokens", &["sequence_tokens", "seq_len", "model.seq_len"]),
    ("steps", &["steps", "num_train_steps", "trainer.num_train_steps"]),
    ("flops", &["flops"]),
    ("train_seed", &["train_seed", "seed", "trainer.seed"]),
    ("data_seed", &["data_seed"]),
    ("members", &["members", "ensemble_member_count", "k", "K"]),
    ("step", &["step", "_step", "Step"]),
    ("seed_types", &["seed_types"]),
];

/// Further names of the fields that are numbers; the usual names count here, too, after a prefix.
const FURTHER: [(&str, &[&str]); 12] = [
    (
        "parameters",
        &[
            "n_params",
            "num_params",
            "num_parameters",
            "n_parameters",
            "total_parameters",
            "param_count",
            "params",
        ],
    ),
    ("tokens", &["unique_tokens", "total_tokens", "train_tokens", "training_tokens", "num_tokens"]),
    ("epochs", &["num_epochs", "n_epochs", "num_train_epochs", "max_epochs"]),
    ("lr", &["max_lr", "peak_lr", "max_learning_rate", "peak_learning_rate"]),
    ("weight_decay", &[]),
    ("batch", &["train_batch_size", "global_batch_size"]),
    (
        "sequence_tokens",
        &["sequence_length", "seq_length", "block_size", "context_length", "max_seq_len"],
    ),
    ("steps", &["max_steps", "max_iters", "num_steps", "total_steps", "train_steps"]),
    ("flops", &["total_flops", "train_flops"]),
    ("train_seed", &[]),
    ("data_seed", &[]),
    ("members", &["n_members", "num_members", "ensemble_size"]),
];

/// What programs put before the names of settings.
const PREFIXES: [&str; 24] = [
    "args",
    "cfg",
    "config",
    "data",
    "hparams",
    "hyperparameters",
    "model",
    "model_config",
    "opt",
    "optim",
    "optimizer",
    "options",
    "params",
    "perf",
    "run",
    "settings",
    "summary",
    "throughput",
    "train",
    "trainer",
    "training",
    "training_args",
    "training_config",
    "wandb",
];

/// Fields whose last logged value is that of the whole run, because they only grow.
const CUMULATIVE: [&str; 4] = ["tokens", "epochs", "steps", "flops"];

/// Whether the last logged value of this field is the run's.
pub(super) fn is_cumulative(field: &str) -> bool {
    CUMULATIVE.contains(&field)
}

/// Whether a field is a number of the settings.
pub(super) fn is_setting(field: &str) -> bool {
    FURTHER.iter().any(|(known, _)| *known == field)
}

/// The usual names of a field.
pub(super) fn usual(field: &str) -> &'static [&'static str] {
    FIELDS.iter().find(|(name, _)| *name == field).map_or(&[], |(_, usual)| usual)
}

/// The field of numbers that a name may mean, with a rank: smaller is surer, 0 is a usual name.
pub(super) fn number_field(name: &str) -> Option<(&'static str, usize)> {
    let bare = match name.rfind(['.', '/', ':']) {
        None => name,
        Some(end) => {
            let prefixes = name[..end].split(['.', '/', ':']);
            let known = |prefix: &str| PREFIXES.contains(&prefix.to_lowercase().as_str());
            prefixes.into_iter().all(known).then(|| &name[end + 1..])?
        }
    };
    let lower = bare.to_lowercase();
    let prefix = &name[..name.len() - bare.len()];
    for (field, further) in &FURTHER {
        let usual = self::usual(field);
        if usual.contains(&name) {
            return Some((field, 0));
        }
        let place = usual.iter().chain(*further).position(|known| *known == lower);
        let Some(place) = place else { continue };
        // `data.seed` is not `model.seed`.
        let metric = prefix.contains('/') && !is_cumulative(field);
        if metric || !prefix.is_empty() && *field == "train_seed" {
            return None;
        }
        // A name without a prefix is surer than one with it.
        return Some((field, 1 + place + if prefix.is_empty() { 0 } else { 100 }));
    }
    None
}

/// Whether a value can stand for a field that a further name only suggests.
pub(super) fn is_number(value: &Value) -> bool {
    cell::finite(value).is_some()
}

/// The set in `eval/SET/loss` or `final_SET_loss`.
pub(super) fn set_of(name: &str) -> Option<&str> {
    let between = |from: &str, to: &str| name.strip_prefix(from)?.strip_suffix(to);
    let set = between("eval/", "/loss").or_else(|| between("final_", "_loss"))?;
    (!set.is_empty() && set != "train").then_some(set)
}

/// The set in names such as `eval/holdout/macro_loss`: `eval/holdout/macro`. The part before the
/// first slash stays in it, which tells it from what [`set_of`] finds.
pub(super) fn further_set_of(name: &str) -> Option<&str> {
    let (held_out, rest) = name.split_once('/')?;
    let held_out = held_out.to_lowercase();
    let known = ["eval", "val", "valid", "validation", "dev", "test"].contains(&held_out.as_str());
    let set = name.strip_suffix("_loss").or_else(|| name.strip_suffix("/loss"))?;
    (known && set.len() > name.len() - rest.len()).then_some(set)
}

/// Whether a set was named by [`further_set_of`].
pub(super) fn is_further_set(set: &str) -> bool {
    further_set_of(&format!("{set}_loss")) == Some(set)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_of_settings_are_known_with_their_prefixes() {
        let field = |name: &str| number_field(name).map(|(field, _)| field);
        let check = |names: &[&str], expected: Option<&str>| {
            for name in names {
                assert_eq!(field(name), expected, "{name}");
            }
        };
        check(&["lr", "optimizer.learning_rate", "optim.lr", "config.optimizer.LR"], Some("lr"));
        check(&["throughput/total_tokens", "data.tokens", "tokens"], Some("tokens"));
        check(&["n_params", "model.num_parameters", "parameter_count"], Some("parameters"));
        check(&["eval/batch_size", "lora.lr", "data.name", "optimizer.", "loss", "b.c"], None);
        check(&["optim/learning_rate", "train/learning_rate", "data.seed"], None);
        let rank = |name: &str| number_field(name).unwrap().1;
        assert!(rank("lr") < rank("max_lr") && rank("max_lr") < rank("optim.lr"));
    }

    #[test]
    fn names_of_losses_are_known() {
        assert_eq!(set_of("eval/paloma/c4/loss"), Some("paloma/c4"));
        assert_eq!(set_of("final_train_loss"), None);
        assert_eq!(further_set_of("eval/holdout/macro_loss"), Some("eval/holdout/macro"));
        assert_eq!(further_set_of("val/c4/loss"), Some("val/c4"));
        assert_eq!(further_set_of("val/loss"), None);
        assert_eq!(further_set_of("train/c4_loss"), None);
        assert!(is_further_set("eval/holdout/macro") && !is_further_set("paloma/c4"));
    }
}
