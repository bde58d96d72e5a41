//! The figures of the paper as functions of runs: P1 to P13 of the project's mission.
//!
//! Every mode takes measured losses ([`Runs`]) and gives figures, the numbers that they show with
//! their intervals, and a sentence for every figure that lacks runs. Nothing here reads a file,
//! fits a law or keeps a number of its own: [`Scope`] owns what is known of runs, and no law of it
//! is shown without its interval (B8).

mod asymptotes;
mod benchmarks;
mod chinchilla;
mod course;
mod distillation;
mod laws;
mod members;
mod parameters;
mod scope;
mod seeds;
mod settings;
mod tokens;

#[cfg(test)]
mod testing;
#[cfg(test)]
mod tests;

use crate::analysis::{Options, Runs, Scope};
use crate::draw::chart::{Figure, Sheet};
use crate::error::{quoted, suggest};
use crate::laws::Claim;
use crate::{Error, Result};

pub use scope::bar;

/// A family of figures, under the reference's names.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Mode {
    /// P1: recipes over parameters, budgets, epochs; their laws.
    InfiniteModelScaling,
    /// P2: ensembles of every setting, and which is best.
    VaryingHparams,
    /// P3: joint scaling, Figure 1.
    PostEnsemble,
    /// P4: what each seed contributes.
    SeedScience,
    /// P5: errors on benchmarks.
    BenchmarkResults,
    /// P6: teachers and students.
    Distillation,
    /// P7: loss over batch size.
    StandardBatchSize,
    /// P8: loss over weight decay.
    StandardWeightDecay,
    /// P9: loss over epochs.
    StandardEpochOverfitting,
    /// P10: iso-FLOP runs.
    DclmChinchilla,
    /// P11: the same over learning rates.
    DclmChinchillaLrTune,
    /// P12: extrapolation in parameters.
    ChinchillaComparison,
    /// P13: laws in tokens per size.
    DataScalingLaws,
}

/// What a mode gave.
#[derive(Clone, Debug, Default)]
pub struct Plots {
    /// Its figures.
    pub figures: Vec<Figure>,
    /// The numbers that it found.
    pub findings: Vec<Finding>,
    /// Its figures that lack runs.
    pub lacks: Vec<Lack>,
}

/// A number that a mode prints, or the sentence why there is none.
#[derive(Clone, Debug, PartialEq)]
pub struct Finding {
    /// What it is.
    pub what: String,
    /// The number with its interval.
    pub claim: Option<Claim>,
    /// The number in words, or why there is none.
    pub text: String,
    /// What a reader must know before believing it.
    pub warnings: Vec<String>,
}

/// A figure that cannot be drawn.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Lack {
    /// Its name.
    pub figure: String,
    /// The runs that it needs.
    pub needs: String,
}

/// What a figure's function returns.
type Part = std::result::Result<(Sheet, Vec<Finding>), Lack>;

impl Mode {
    /// All modes, P1 first.
    pub const ALL: [Self; 13] = [
        Self::InfiniteModelScaling,
        Self::VaryingHparams,
        Self::PostEnsemble,
        Self::SeedScience,
        Self::BenchmarkResults,
        Self::Distillation,
        Self::StandardBatchSize,
        Self::StandardWeightDecay,
        Self::StandardEpochOverfitting,
        Self::DclmChinchilla,
        Self::DclmChinchillaLrTune,
        Self::ChinchillaComparison,
        Self::DataScalingLaws,
    ];

    /// The name on the command line.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::InfiniteModelScaling => "infinite-model-scaling",
            Self::VaryingHparams => "varying-hparams-experiment",
            Self::PostEnsemble => "post-ensemble-analysis",
            Self::SeedScience => "seed-science",
            Self::BenchmarkResults => "benchmark-results",
            Self::Distillation => "distillation",
            Self::StandardBatchSize => "standard-batch-size",
            Self::StandardWeightDecay => "standard-weight-decay",
            Self::StandardEpochOverfitting => "standard-epoch-overfitting",
            Self::DclmChinchilla => "dclm-chinchilla",
            Self::DclmChinchillaLrTune => "dclm-chinchilla-lr-tune",
            Self::ChinchillaComparison => "chinchilla-comparison",
            Self::DataScalingLaws => "data-scaling-laws-6-10",
        }
    }

    /// What it shows, in a phrase.
    #[must_use]
    pub fn phrase(self) -> &'static str {
        match self {
            Self::InfiniteModelScaling => {
                "standard and regularized recipe over parameters, budgets, epochs and seeds"
            }
            Self::VaryingHparams => "ensembles of every setting over K, and heat maps of the best",
            Self::PostEnsemble => "joint scaling: all recipes, Figure 1, data efficiency",
            Self::SeedScience => "ensembles that differ in init, in order, or in both",
            Self::BenchmarkResults => "errors on benchmarks over parameters",
            Self::Distillation => "students beside their teachers",
            Self::StandardBatchSize => "loss over batch size",
            Self::StandardWeightDecay => "loss over weight decay",
            Self::StandardEpochOverfitting => "loss over epochs of the standard recipe",
            Self::DclmChinchilla => "one-epoch runs at equal FLOP and their law",
            Self::DclmChinchillaLrTune => "the same over learning rates",
            Self::ChinchillaComparison => "the largest sizes against the law of the others",
            Self::DataScalingLaws => "loss over tokens per size, with laws",
        }
    }

    /// The mode of this name.
    ///
    /// # Errors
    /// If there is none, with a suggestion.
    pub fn parse(name: &str) -> Result<Self> {
        Self::ALL.into_iter().find(|mode| mode.name() == name).ok_or_else(|| {
            let hint = suggest(name, Self::ALL.into_iter().map(Self::name));
            Error::usage(format!("there is no plotting mode `{}`", quoted(name)))
                .hint(hint.unwrap_or_else(|| "`scarce plot --list` shows the modes".to_owned()))
        })
    }

    /// Whether its figures show how runs went on, so that their trajectories must be read.
    #[must_use]
    pub fn needs_trajectories(self) -> bool {
        self == Self::InfiniteModelScaling
    }
}

/// Bytes of a message that says what a mode needs.
const NEEDS_BYTES: usize = 300;

impl Plots {
    /// The figures.
    ///
    /// # Errors
    /// If there is none: says what the runs lack, and which ones the mode needs.
    pub fn some(self, mode: Mode, runs: &Runs) -> Result<Self> {
        if !self.figures.is_empty() {
            return Ok(self);
        }
        let counts: Vec<String> =
            (runs.lacking().into_iter()).map(|(count, what)| format!("{what} {count}")).collect();
        let lacking = match counts.is_empty() {
            true => String::new(),
            false => format!(" ({})", counts.join(", ")),
        };
        let mut text =
            format!("no runs for `{}` among {}{lacking}: ", mode.name(), runs.runs.len());
        for (index, lack) in self.lacks.iter().enumerate() {
            let needs = format!("{} needs {}", lack.figure, lack.needs);
            if index > 0 && text.len() + needs.len() > NEEDS_BYTES {
                text += &format!("; and {} more figures", self.lacks.len() - index);
                break;
            }
            text += if index > 0 { "; " } else { "" };
            text += &needs;
        }
        Err(Error::data(text).hint(match runs.kinds().0 {
            true => {
                "`scarce runs --foreign` lists what is known of them; `scarce import runs --map \
                 FIELD=COLUMN` says what they lack"
            }
            false => {
                "`scarce runs` lists what the store has; `scarce scale`, `tune` and `ensemble` \
                 make runs"
            }
        }))
    }

    fn add(&mut self, part: Part, mixed: bool) {
        match part {
            Ok((mut sheet, findings)) => {
                // Hollow marks tell imported runs from records; alone, they are drawn as any.
                if !mixed {
                    sheet.fill_marks();
                }
                self.figures.push(sheet.finish());
                for finding in findings {
                    if !self.findings.contains(&finding) {
                        self.findings.push(finding);
                    }
                }
            }
            Err(lack) => self.lacks.push(lack),
        }
    }
}

impl Finding {
    /// A number with its interval.
    fn claim(what: impl Into<String>, claim: Claim, warnings: Vec<String>) -> Self {
        Self { what: what.into(), text: claim.to_string(), claim: Some(claim), warnings }
    }

    /// A sentence.
    fn text(what: impl Into<String>, text: impl Into<String>) -> Self {
        Self { what: what.into(), claim: None, text: text.into(), warnings: Vec::new() }
    }
}

/// Draws all figures of a mode that the runs allow.
///
/// # Errors
/// If the runs allow none of them: says which ones it needs. Laws that must not be fitted are no
/// errors but said in figures and findings.
pub fn draw(mode: Mode, runs: &Runs, options: &Options) -> Result<Plots> {
    let scope = Scope::new(runs, options);
    let mut plots = Plots::default();
    let mixed = runs.kinds() == (true, true);
    let parts: &[fn(&Scope) -> Part] = match mode {
        Mode::InfiniteModelScaling => &[
            parameters::by_budget,
            parameters::all_budgets,
            parameters::standard,
            tokens::recipes,
            settings::overfitting,
            parameters::transfer,
            seeds::sensitivity,
            seeds::spread,
            settings::best_rate_per_epochs,
            settings::sizes_at_fixed_epochs,
            course::trajectories,
        ],
        Mode::VaryingHparams => &[members::curves, members::heat_maps],
        Mode::PostEnsemble => &[
            asymptotes::overview,
            asymptotes::single_against_ensemble,
            asymptotes::figure_one,
            asymptotes::returns,
            asymptotes::triptych,
            members::first_half,
        ],
        Mode::SeedScience => &[seeds::families],
        Mode::BenchmarkResults => &[benchmarks::errors],
        Mode::Distillation => &[distillation::students],
        Mode::StandardBatchSize => &[settings::batch_size],
        Mode::StandardWeightDecay => &[settings::weight_decay],
        Mode::StandardEpochOverfitting => &[settings::epochs],
        Mode::DclmChinchilla => &[chinchilla::equal_work],
        Mode::DclmChinchillaLrTune => &[chinchilla::learning_rates],
        Mode::ChinchillaComparison => &[chinchilla::extrapolation],
        Mode::DataScalingLaws => &[tokens::by_size, tokens::asymptotes_by_size],
    };
    for part in parts {
        plots.add(part(&scope), mixed);
    }
    let remarks = runs.remarks();
    for figure in &mut plots.figures {
        for remark in &remarks {
            figure.caption = format!("{} {remark}", figure.caption);
        }
    }
    plots.some(mode, runs)
}

/// The figures of a mode alone; see [`draw`].
///
/// # Errors
/// As [`draw`].
pub fn figures(mode: Mode, runs: &Runs, options: &Options) -> Result<Vec<Figure>> {
    Ok(draw(mode, runs, options)?.figures)
}
