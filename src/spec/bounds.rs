//! The largest counts that specs and studies may hold: beyond everything that is trained, and so
//! small that no size that follows from them overflows 64 bits.

use crate::{Error, Result};

/// Blocks of a model.
pub const LAYERS_MAX: u32 = 1 << 12;
/// Width of the residual stream, and heads.
pub const WIDTH_MAX: u32 = 1 << 18;
/// Inner width of the feed-forward half.
pub const FEED_FORWARD_MAX: u32 = 1 << 20;
/// Tokens of a vocabulary.
pub const VOCABULARY_MAX: u32 = 1 << 28;
/// Tokens of a sequence.
pub const SEQUENCE_MAX: u32 = 1 << 22;
/// Sequences of a batch.
pub const BATCH_MAX: u32 = 1 << 24;
/// Tokens of a run, repetitions counted.
pub const TOKENS_MAX: f64 = 1e18;
/// Seeds: members add small numbers to them, and TOML ends at 2^63.
pub const SEED_MAX: u64 = 1 << 62;
/// Runs that differ in nothing but their seeds.
pub const SEEDS_MAX: u32 = 1 << 10;
/// Subsets of an ensemble's members, of all sizes together: all of 16.
pub const SUBSETS_MAX: u32 = 1 << 16;
/// Resamples of a bootstrap.
pub const RESAMPLES_MAX: u32 = 1_000_000;

/// Rejects a count above its bound, naming the key.
pub fn at_most(key: &str, count: impl Into<u64>, most: impl Into<u64>) -> Result<()> {
    let (count, most) = (count.into(), most.into());
    if count <= most {
        return Ok(());
    }
    Err(Error::usage(format!("`{key}` = {count} is more than {most}, the most that is taken")))
}

/// Rejects lengths that no sequence has, naming the key: one token predicts nothing.
pub fn sequence(key: &str, tokens: u32) -> Result<()> {
    if tokens < 2 {
        return Err(Error::usage(format!("`{key}` must be at least 2")));
    }
    at_most(key, tokens, SEQUENCE_MAX)
}
