//! Named model shapes: the paper's and a ladder of pocket sizes.

use super::model::{FeedForward, Init, ModelSpec, Rope, RopeScaling};
use crate::error::{quoted, suggest};
use crate::{Error, Result};

/// A named shape. Everything else of the model keeps its default.
#[derive(Clone, Copy, Debug)]
pub struct Preset {
    /// Its name in specs: `model.preset = "..."`.
    pub name: &'static str,
    layers: u32,
    width: u32,
    heads: u32,
    kv_heads: u32,
    inner: u32,
    kind: Family,
}

#[derive(Clone, Copy, Debug, PartialEq)]
enum Family {
    /// Small models for CPUs; the vocabulary is the corpus'.
    Pocket,
    /// The paper's shapes with the Llama 3 vocabulary (paper, appendix A; golden/presets.csv).
    Paper,
    /// Llama 3 shapes for continued pre-training: rope theta 500,000 and this scaling factor.
    Llama3 { factor: f64, tied: bool },
}

const fn pocket(name: &'static str, layers: u32, width: u32, heads: u32, inner: u32) -> Preset {
    Preset { name, layers, width, heads, kv_heads: heads, inner, kind: Family::Pocket }
}

const fn paper(name: &'static str, shape: [u32; 5]) -> Preset {
    let [layers, width, heads, kv_heads, inner] = shape;
    Preset { name, layers, width, heads, kv_heads, inner, kind: Family::Paper }
}

/// All presets. A pocket preset has about twice the non-embedding parameters of the one before
/// and is named after them.
pub const PRESETS: &[Preset] = &[
    pocket("pocket-20k", 3, 24, 1, 64),
    pocket("pocket-38k", 3, 32, 1, 88),
    pocket("pocket-83k", 3, 48, 2, 128),
    pocket("pocket-150k", 3, 64, 2, 168),
    pocket("pocket-330k", 3, 96, 3, 256),
    pocket("pocket-790k", 4, 128, 4, 344),
    pocket("pocket-1.5m", 5, 160, 5, 424),
    pocket("pocket-2.7m", 6, 192, 6, 512),
    pocket("pocket-4.7m", 6, 256, 8, 688),
    pocket("pocket-10m", 8, 320, 5, 856),
    pocket("pocket-25m", 8, 512, 8, 1376),
    pocket("pocket-48m", 12, 576, 9, 1536),
    paper("150m4k", [6, 512, 8, 8, 1792]),
    paper("300m4k", [12, 768, 12, 12, 2688]),
    paper("600m4k", [24, 1024, 16, 8, 3584]),
    paper("1_4b4k", [16, 2048, 16, 8, 7168]),
    paper("1_5b4k", [36, 1536, 16, 8, 5376]),
    paper("1_9b4k", [24, 2048, 16, 8, 7168]),
    paper("3_2b4k", [48, 2048, 16, 8, 7168]),
    Preset {
        name: "l3b",
        layers: 28,
        width: 3072,
        heads: 24,
        kv_heads: 8,
        inner: 8192,
        kind: Family::Llama3 { factor: 32.0, tied: true },
    },
    Preset {
        name: "l8b",
        layers: 32,
        width: 4096,
        heads: 32,
        kv_heads: 8,
        inner: 14336,
        kind: Family::Llama3 { factor: 8.0, tied: false },
    },
];

/// The vocabulary of Llama 3, which all of the paper's models use.
const LLAMA3_VOCABULARY: u32 = 128_256;

/// The preset of this name, or an error that suggests one.
pub fn find(name: &str) -> Result<&'static Preset> {
    PRESETS.iter().find(|preset| preset.name == name).ok_or_else(|| {
        let names = || PRESETS.iter().map(|preset| preset.name);
        let hint = suggest(name, names())
            .unwrap_or_else(|| format!("presets: {}", names().collect::<Vec<_>>().join(", ")));
        Error::usage(format!("there is no model preset `{}`", quoted(name))).hint(hint)
    })
}

/// The names of the pocket presets, the smallest first: sizes for any corpus' own vocabulary.
pub fn ladder() -> impl Iterator<Item = &'static str> {
    PRESETS.iter().filter(|preset| preset.kind == Family::Pocket).map(|preset| preset.name)
}

/// Whether a vocabulary is that of a preset which has its own: of the model's width, heads and
/// inner width, however many blocks there are.
#[must_use]
pub fn fixes_vocabulary(model: &ModelSpec) -> bool {
    let own = |preset: &&Preset| preset.kind != Family::Pocket;
    PRESETS.iter().filter(own).map(|preset| preset.model(0)).any(|preset| {
        let shape = |model: &ModelSpec| {
            let inner = model.feed_forward_width();
            [model.vocabulary, model.width, model.heads, model.kv_heads, inner]
        };
        shape(&preset) == shape(model)
    })
}

impl Preset {
    /// The whole model; pocket sizes take the given vocabulary, the others have their own.
    #[must_use]
    pub fn model(&self, corpus_vocabulary: u32) -> ModelSpec {
        let (vocabulary, tied, rope, init) = match self.kind {
            Family::Pocket => (corpus_vocabulary, false, plain_rope(), Init::Width { scale: 0.6 }),
            Family::Paper => {
                (LLAMA3_VOCABULARY, false, plain_rope(), Init::FanIn { shared_head: true })
            }
            Family::Llama3 { factor, tied } => {
                let init = Init::FanIn { shared_head: false };
                (LLAMA3_VOCABULARY, tied, llama3_rope(factor), init)
            }
        };
        ModelSpec {
            layers: self.layers,
            width: self.width,
            heads: self.heads,
            kv_heads: self.kv_heads,
            feed_forward: FeedForward::Swiglu { width: self.inner },
            vocabulary,
            tied,
            rope,
            norm_epsilon: 1e-5,
            dropout: 0.0,
            init,
        }
    }
}

fn plain_rope() -> Rope {
    Rope { theta: 10_000.0, scaling: RopeScaling::None {} }
}

/// Llama 3.2 (its published configuration).
fn llama3_rope(factor: f64) -> Rope {
    let scaling = RopeScaling::Llama3 {
        factor,
        low_frequency_factor: 1.0,
        high_frequency_factor: 4.0,
        original_positions: 8192,
    };
    Rope { theta: 500_000.0, scaling }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Counts of the published table (golden/presets.csv): key, total, non-embedding.
    #[test]
    fn parameter_counts_are_the_published_ones() {
        let table = include_str!("../../tests/golden/presets.csv");
        let mut checked = 0;
        for line in table.lines().skip(1) {
            let cells: Vec<&str> = line.split(',').collect();
            let (Ok(total), Ok(inner)) = (cells[15].parse::<u64>(), cells[16].parse::<u64>())
            else {
                continue; // mixtures of experts have no published count
            };
            let model = find(cells[0]).unwrap().model(0);
            assert_eq!((model.parameters(), model.parameters_non_embedding()), (total, inner));
            checked += 1;
        }
        assert_eq!(checked, 9);
    }

    #[test]
    fn pocket_sizes_about_double() {
        let sizes: Vec<f64> = PRESETS
            .iter()
            .filter(|preset| preset.kind == Family::Pocket)
            .map(|preset| preset.model(512).parameters_non_embedding() as f64)
            .collect();
        for pair in sizes.windows(2) {
            let ratio = pair[1] / pair[0];
            assert!((1.6..2.6).contains(&ratio), "{sizes:?}");
        }
        assert!(sizes[0] < 0.03e6 && *sizes.last().unwrap() > 45e6, "{sizes:?}");
    }

    #[test]
    fn only_presets_of_the_paper_fix_a_vocabulary() {
        let model = |name: &str| find(name).unwrap().model(300);
        assert!(!fixes_vocabulary(&model("pocket-25m")) && fixes_vocabulary(&model("150m4k")));
        assert!(fixes_vocabulary(&ModelSpec { layers: 1, ..model("l8b") }));
        assert!(!fixes_vocabulary(&ModelSpec { vocabulary: 130_000, ..model("l8b") }));
    }

    #[test]
    fn an_unknown_preset_is_suggested() {
        let error = find("pocket-150").unwrap_err();
        assert_eq!(error.hint_text(), Some("did you mean `pocket-150k`?"));
    }
}
