//! The table of all spec keys: type, unit and meaning. Everything that lists, checks or explains
//! keys is made from it.

use serde_json::Value;

use crate::error::quoted;

/// What a field accepts.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Accepts {
    /// A whole number of at most 32 bits.
    Count,
    /// A whole number of any size.
    Large,
    /// A finite real number; whole numbers are read as reals.
    Real,
    /// `true` or `false`.
    Flag,
    /// One of these words.
    Word(&'static [&'static str]),
    /// 64 hexadecimal digits.
    Id,
}

/// One key of a training spec.
#[derive(Clone, Copy, Debug)]
pub struct Field {
    /// Dotted key; `*` stands for the number of a list element.
    pub key: &'static str,
    /// What it accepts.
    pub accepts: Accepts,
    /// What it means, with its unit and the paper's value.
    pub meaning: &'static str,
}

const fn field(key: &'static str, accepts: Accepts, meaning: &'static str) -> Field {
    Field { key, accepts, meaning }
}

use Accepts::{Count, Flag, Id, Large, Real, Word};

/// The key that may be meant by its last part alone, or by the flag of other programs: `optim.lr`
/// by `--learning-rate`.
#[must_use]
pub fn of_last_part(word: &str) -> Option<&'static str> {
    let word = word.trim_start_matches('-').replace('-', "_");
    let word = match word.as_str() {
        "learning_rate" => "lr",
        "wd" => "weight_decay",
        "batch_size" => "batch_sequences",
        word => word,
    };
    let ends = |field: &&Field| field.key.rsplit('.').next() == Some(word);
    FIELDS.iter().find(ends).map(|field| field.key)
}

/// Every key of a training spec.
pub const FIELDS: &[Field] = &[
    field("data.budget_tokens", Large, "D: unique training tokens, a multiple of the sequence"),
    field("data.corpus", Id, "content id of the corpus; filled in from `--corpus`"),
    field("data.epochs", Real, "passes over the budget; a fraction is allowed"),
    field(
        "data.mask.kind",
        Word(&["across-documents", "within-documents"]),
        "what a position attends to",
    ),
    field("data.mixture.*.corpus", Id, "content id of a further corpus"),
    field("data.mixture.*.share", Real, "its share of the sequences, in (0, 1)"),
    field("data.order", Word(&["sequences", "documents"]), "what an epoch shuffles"),
    field("data.sequence_tokens", Count, "T: tokens of a training sequence"),
    field("evaluation.points", Count, "evaluations on `val` over the run"),
    field("evaluation.sample_tokens", Large, "tokens of `val` read at each; the last reads all"),
    field("model.dropout", Real, "share of activations dropped while training, in [0, 1)"),
    field("model.feed_forward.kind", Word(&["swiglu"]), "second half of a block"),
    field("model.feed_forward.width", Count, "inner width F"),
    field("model.heads", Count, "query heads; divides the width"),
    field("model.init.kind", Word(&["fan-in", "width"]), "how weights are drawn"),
    field("model.init.scale", Real, "`width` rule: standard deviation times sqrt(width)"),
    field("model.init.shared_head", Flag, "`fan-in` rule: head and embedding share their draw"),
    field("model.kv_heads", Count, "key and value heads; divides the heads"),
    field("model.layers", Count, "number of blocks"),
    field("model.norm_epsilon", Real, "added to the mean square in RMSNorm (paper: 1e-5)"),
    field("model.rope.scaling.factor", Real, "llama3: what the lowest frequencies are divided by"),
    field(
        "model.rope.scaling.high_frequency_factor",
        Real,
        "llama3: wavelengths below original / this stay",
    ),
    field("model.rope.scaling.kind", Word(&["none", "llama3"]), "change of rotary frequencies"),
    field(
        "model.rope.scaling.low_frequency_factor",
        Real,
        "llama3: those above original / this are stretched",
    ),
    field("model.rope.scaling.original_positions", Count, "llama3: original context, tokens"),
    field("model.rope.theta", Real, "base of the rotary wavelengths (paper: 10,000)"),
    field("model.tied", Flag, "whether the head is the token embedding"),
    field("model.vocabulary", Count, "V: filled in from the corpus"),
    field("model.width", Count, "C: width of the residual stream"),
    field("objective.kind", Word(&["next-token"]), "what is minimized"),
    field("optim.batch_sequences", Count, "sequences per step (paper: 64)"),
    field("optim.beta1", Real, "decay rate of the mean gradient (paper: 0.9)"),
    field("optim.beta2", Real, "decay rate of the mean squared gradient (paper: 0.95)"),
    field("optim.clip_norm", Real, "largest global gradient norm, before Adam (paper: 1)"),
    field("optim.decay_norms", Flag, "whether norm gains are decayed"),
    field("optim.epsilon", Real, "added to the root of the mean squared gradient (paper: 1e-8)"),
    field("optim.kind", Word(&["adamw"]), "the optimizer"),
    field("optim.lr", Real, "peak learning rate"),
    field(
        "optim.schedule.decay",
        Word(&["cosine", "linear"]),
        "of the learning rate after the warm-up",
    ),
    field("optim.schedule.min_lr_ratio", Real, "final over peak learning rate (paper: 0)"),
    field("optim.schedule.warmup_share", Real, "warm-up steps over all steps (paper: 0.01)"),
    field("optim.weight_decay", Real, "decoupled decay, scaled by the scheduled rate"),
    field("precision", Word(&["f32", "bf16"]), "arithmetic of the matrix products"),
    field("seeds.init", Large, "initial weights and dropout"),
    field("seeds.order", Large, "order of the training sequences"),
    field("start.kind", Word(&["random", "from"]), "weights before the first step"),
    field("start.record", Id, "`from`: the run whose final weights are taken"),
];

/// The field with this dotted key.
#[must_use]
pub fn find(key: &str) -> Option<&'static Field> {
    let numberless: Vec<&str> = key
        .split('.')
        .map(|part| if part.bytes().all(|b| b.is_ascii_digit()) { "*" } else { part })
        .collect();
    let pattern = numberless.join(".");
    FIELDS.iter().find(|field| field.key == pattern)
}

impl Accepts {
    /// The value in canonical form, or what was expected instead.
    pub fn check(self, value: &Value) -> Result<Value, String> {
        let found = || match value {
            Value::String(text) => format!("`{}`", quoted(text)),
            other => format!("`{}`", quoted(&other.to_string())),
        };
        match (self, value) {
            (Count, Value::Number(n)) if n.as_u64().is_some_and(|n| n > u64::from(u32::MAX)) => {
                Err(format!("at most {} was expected, not {}", u32::MAX, found()))
            }
            (Count | Large, Value::Number(n)) if n.is_u64() => Ok(value.clone()),
            (Count | Large, _) => Err(format!("a whole number was expected, not {}", found())),
            (Real, Value::Number(n)) => Ok(Value::from(n.as_f64().unwrap_or(f64::NAN))),
            (Real, _) => Err(format!("a finite number was expected, not {}", found())),
            (Flag, Value::Bool(_)) => Ok(value.clone()),
            (Flag, _) => Err(format!("`true` or `false` was expected, not {}", found())),
            (Word(words), Value::String(word)) if words.contains(&word.as_str()) => {
                Ok(value.clone())
            }
            (Word(words), _) => {
                Err(format!("one of {} was expected, not {}", words.join(", "), found()))
            }
            (Id, Value::String(text)) if blake3::Hash::from_hex(text).is_ok() => Ok(value.clone()),
            (Id, _) => Err(format!("64 hexadecimal digits were expected, not {}", found())),
        }
    }
}
