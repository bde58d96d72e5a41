//! The shape of a model and how it is initialized.

use serde::{Deserialize, Serialize};

use super::bounds::{FEED_FORWARD_MAX, LAYERS_MAX, VOCABULARY_MAX, WIDTH_MAX, at_most};
use crate::{Error, Result};

/// A Llama decoder: RMSNorm, rotary positions, grouped-query attention, no bias (paper,
/// appendix A).
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ModelSpec {
    /// Number of blocks.
    pub layers: u32,
    /// Width C of the residual stream.
    pub width: u32,
    /// Query heads H; the head dimension is `width / heads`.
    pub heads: u32,
    /// Key and value heads; divides `heads`.
    pub kv_heads: u32,
    /// The block's second half.
    pub feed_forward: FeedForward,
    /// Vocabulary size V.
    pub vocabulary: u32,
    /// Whether the output head is the token embedding.
    pub tied: bool,
    /// Rotary positions.
    pub rope: Rope,
    /// Added to the mean square inside RMSNorm.
    pub norm_epsilon: f64,
    /// Share of activations dropped after embedding, attention and feed-forward while training.
    pub dropout: f64,
    /// How weights are drawn.
    pub init: Init,
}

/// The feed-forward half of a block.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "kebab-case", deny_unknown_fields)]
pub enum FeedForward {
    /// `down(silu(gate x) * up x)`.
    Swiglu {
        /// Inner width F.
        width: u32,
    },
}

/// Rotary position embedding, half-split rotation.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Rope {
    /// Base of the geometric series of wavelengths.
    pub theta: f64,
    /// Change of the low frequencies for contexts longer than the original.
    pub scaling: RopeScaling,
}

/// Scaling of the rotary frequencies.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "kebab-case", deny_unknown_fields)]
pub enum RopeScaling {
    /// No scaling.
    None {},
    /// The smooth scaling of Llama 3.
    Llama3 {
        /// Division of the lowest frequencies.
        factor: f64,
        /// Wavelengths above `original_positions / low_frequency_factor` are divided.
        low_frequency_factor: f64,
        /// Wavelengths below `original_positions / high_frequency_factor` are kept.
        high_frequency_factor: f64,
        /// Context length of the original model, in tokens.
        original_positions: u32,
    },
}

/// How weights are drawn. Norm gains start at 1 in every case.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "kebab-case", deny_unknown_fields)]
pub enum Init {
    /// The paper's rule (Levanter's, mission M3): normal truncated at 3, not rescaled, times
    /// 1/sqrt(fan-in); the token embedding times 1/width instead.
    FanIn {
        /// Whether head and embedding share their draw, as in the reference.
        shared_head: bool,
    },
    /// Normal truncated at 3, times `scale / sqrt(width)`, for every matrix.
    Width {
        /// 0.6 gives the usual 0.02 at width 900.
        scale: f64,
    },
}

impl Rope {
    /// Rejects rotations without meaning, naming the key.
    fn validate(&self) -> Result<()> {
        if self.theta <= 0.0 {
            return Err(Error::usage("`model.rope.theta` must be positive"));
        }
        let RopeScaling::Llama3 {
            factor,
            low_frequency_factor: low,
            high_frequency_factor: high,
            original_positions,
        } = self.scaling
        else {
            return Ok(());
        };
        if factor <= 0.0 || low <= 0.0 || original_positions == 0 {
            return Err(Error::usage("all values of `model.rope.scaling` must be positive"));
        }
        if high <= low {
            return Err(Error::usage(format!(
                "`model.rope.scaling.high_frequency_factor` = {high} must be above \
                 `low_frequency_factor` = {low}"
            )));
        }
        Ok(())
    }
}

impl ModelSpec {
    /// Dimension of one head.
    #[must_use]
    pub fn head_dim(&self) -> u32 {
        self.width / self.heads
    }

    /// Inner width F of the feed-forward half.
    #[must_use]
    pub fn feed_forward_width(&self) -> u32 {
        let FeedForward::Swiglu { width } = self.feed_forward;
        width
    }

    /// Parameters of the blocks and the final norm (the paper's formula; golden/presets.csv).
    #[must_use]
    pub fn parameters_non_embedding(&self) -> u64 {
        let [layers, width, kv_heads, head_dim, inner] =
            [self.layers, self.width, self.kv_heads, self.head_dim(), self.feed_forward_width()]
                .map(u64::from);
        let attention = 2 * width * width + 2 * width * kv_heads * head_dim;
        layers * (attention + 3 * width * inner + 2 * width) + width
    }

    /// All parameters; a tied head is counted once.
    #[must_use]
    pub fn parameters(&self) -> u64 {
        let matrices = if self.tied { 1 } else { 2 };
        let table = u64::from(self.vocabulary) * u64::from(self.width);
        self.parameters_non_embedding() + matrices * table
    }

    /// Floating-point operations of training on one token of a `positions`-token sequence:
    /// `6 N_mm + 6 L T C`, the head counted, the embedding gather not, causal attention at half.
    #[must_use]
    pub fn flops_per_token(&self, positions: u32) -> u64 {
        let [layers, width, kv_heads, head_dim, inner, vocabulary] = [
            self.layers,
            self.width,
            self.kv_heads,
            self.head_dim(),
            self.feed_forward_width(),
            self.vocabulary,
        ]
        .map(u64::from);
        let block = 2 * width * width + 2 * width * kv_heads * head_dim + 3 * width * inner;
        let products = layers * block + width * vocabulary;
        6 * products + 6 * layers * u64::from(positions) * width
    }

    /// Rejects shapes that no model can have, naming the key.
    pub fn validate(&self) -> Result<()> {
        let counts = [
            ("model.layers", self.layers, LAYERS_MAX),
            ("model.width", self.width, WIDTH_MAX),
            ("model.heads", self.heads, WIDTH_MAX),
            ("model.kv_heads", self.kv_heads, WIDTH_MAX),
            ("model.feed_forward.width", self.feed_forward_width(), FEED_FORWARD_MAX),
            ("model.vocabulary", self.vocabulary, VOCABULARY_MAX),
        ];
        for (key, value, most) in counts {
            if value == 0 {
                return Err(Error::usage(format!("`{key}` must be at least 1")));
            }
            at_most(key, value, most)?;
        }
        self.validate_heads()?;
        self.rope.validate()?;
        let dropout = (0.0..1.0).contains(&self.dropout);
        if !dropout {
            return Err(Error::usage("`model.dropout` must lie in [0, 1)"));
        }
        if self.norm_epsilon <= 0.0 {
            return Err(Error::usage("`model.norm_epsilon` must be positive"));
        }
        Ok(())
    }

    fn validate_heads(&self) -> Result<()> {
        let (width, heads, kv_heads) = (self.width, self.heads, self.kv_heads);
        if width % heads != 0 {
            return Err(Error::usage(format!(
                "`model.heads` = {heads} does not divide `model.width` = {width}"
            )));
        }
        if heads % kv_heads != 0 {
            return Err(Error::usage(format!(
                "`model.kv_heads` = {kv_heads} does not divide `model.heads` = {heads}"
            )));
        }
        if !self.head_dim().is_multiple_of(2) {
            let dim = self.head_dim();
            return Err(Error::usage(format!(
                "the head dimension `model.width / model.heads` = {dim} must be even"
            ))
            .hint("rotary positions turn pairs of coordinates"));
        }
        Ok(())
    }
}
