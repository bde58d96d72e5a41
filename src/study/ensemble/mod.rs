//! The ensemble study: K members of one recipe over seeds, their curves in K and the law in K.
//!
//! Members share everything but seeds (mission R4). A family varies the seed of the initial
//! weights, that of the order of the data, or both (E4): its member i has the base's seeds plus i
//! where they vary, so that member 0, the base itself, belongs to every family and is trained once.
//! One job per family measures all subsets of its members, so that a curve in K does not depend on
//! the order of the seeds. Choices read `val`; `test` is for publication, and its reads are logged.
//!
//! The means over subsets share members, so that the points of a curve are far smoother than single
//! ensembles would be: the scatter around the law says how well the law describes *these* members,
//! and nothing about others. [`crate::laws::AxisLaw::asymptote`] says that.

mod curve;
mod symptoms;

use std::fmt;

use serde::{Deserialize, Serialize, Serializer};
use serde_json::{Value, json};

use super::message::Message;
use crate::eval::statistics::PairedDifference;
use crate::lab::Lab;
use crate::spec::bounds::{SUBSETS_MAX, at_most};
use crate::spec::{EnsembleSpec, Job, JobId, Split, TrainSpec};
use crate::store::{Average, Column, Loss, Outcome as Ended, Record};
use crate::{Error, Result};

pub use curve::{Curve, Point};
pub(super) use curve::{facts, replication};

/// The most members of a family: an ensemble job takes no more.
pub const MEMBERS_MAX: u32 = 64;

/// What the user may choose.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Options {
    /// K, the members of a family.
    pub members: u32,
    /// Which seeds differ between them.
    pub vary: Vary,
    /// What is read.
    pub split: Split,
    /// As in [`EnsembleSpec`].
    pub subsets_max: u32,
    /// Asymptote of the single-model recipe over sizes, nats per token: the ensembles of one size
    /// must end below it to be worth their members (mission F3).
    pub single_asymptote_nats: Option<f64>,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            members: 5,
            vary: Vary::Both,
            split: Split::Val,
            subsets_max: EnsembleSpec::SUBSETS_MAX,
            single_asymptote_nats: None,
        }
    }
}

/// Which families of seeds are studied (mission E4).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Vary {
    /// The seed of initial weights and dropout.
    Init,
    /// The seed of the order of the data.
    Order,
    /// Both seeds together: the paper's members.
    Both,
    /// All three families, to be compared.
    All,
}

/// A family of members: which of their seeds differ.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Family {
    /// (i, 0)
    Init,
    /// (0, i)
    Order,
    /// (i, i)
    Both,
}

/// The whole result.
#[derive(Clone, Debug, Serialize)]
pub struct Outcome {
    /// What was read.
    pub split: Split,
    /// One per family, in the order of [`Family`].
    pub families: Vec<FamilyOutcome>,
    /// Between families, and between averages inside a family.
    pub comparisons: Vec<Comparison>,
    /// Failure modes that the data show.
    pub messages: Vec<Message>,
    /// All records that were used, each once.
    #[serde(serialize_with = "ids")]
    pub records: Vec<Record>,
}

/// What was found out about a family.
#[derive(Clone, Debug)]
pub struct FamilyOutcome {
    /// Which seeds differ.
    pub family: Family,
    /// The training runs, in order.
    pub members: Vec<JobId>,
    /// The record that measured them together.
    pub evaluation: JobId,
    /// Each member alone.
    pub singles: Vec<Loss>,
    /// Standard deviation of the members' losses, nats per token.
    pub single_deviation_nats: Option<f64>,
    /// By logits (the paper's ensemble), then by probabilities.
    pub curves: [Curve; 2],
    /// How much the members differ.
    pub diversity: Diversity,
    /// The control: the weights of the first 2 to K members averaged; empty where that is not
    /// possible.
    pub soups: Vec<Soup>,
}

/// How much members differ, over all pairs of them.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct Diversity {
    /// E[log Z] of all members: loss of their logit average minus that of the mean member. It is
    /// the whole gain (mission Q0), and not positive.
    pub log_z: PairedDifference,
    /// Kullback-Leibler divergence, the mean over both directions, nats per token.
    pub divergence_nats: f64,
    /// Share of the tokens where the likeliest next tokens differ.
    pub disagreement_share: f64,
}

/// An average of weights.
#[derive(Clone, Debug)]
pub struct Soup {
    /// How many members.
    pub members: usize,
    /// Its loss.
    pub loss: Loss,
    /// Its loss minus that of the mean member.
    pub to_single: PairedDifference,
}

/// A paired difference between two ensembles of all members.
#[derive(Clone, Debug)]
pub struct Comparison {
    /// Family and average on the left.
    pub left: (Family, Average),
    /// Family and average on the right.
    pub right: (Family, Average),
    /// Loss of left minus loss of right, nats per token, over the text for these very members.
    pub difference: PairedDifference,
}

fn ids<S: Serializer>(records: &[Record], to: S) -> std::result::Result<S::Ok, S::Error> {
    to.collect_seq(records.iter().map(|record| record.id))
}

serialize_as!(FamilyOutcome, |it| json!({
    "vary": it.family, "members": it.members, "evaluation": it.evaluation,
    "singles": it.singles.iter().map(Loss::told).collect::<Value>(),
    "singles_sd_nats": it.single_deviation_nats, "curves": it.curves, "diversity": it.diversity,
    "soups": it.soups,
}));

serialize_as!(Soup, |it| json!({
    "members": it.members, "loss": it.loss.told(), "to_one_member": it.to_single,
}));

serialize_as!(Comparison, |it| {
    let side = |(family, average)| json!({ "vary": family, "average": average });
    json!({
        "left": side(it.left), "right": side(it.right),
        "difference": it.difference, "verdict": it.difference.verdict(),
    })
});

impl Outcome {
    /// Every curve with its family: by logits, then by probabilities.
    pub fn curves(&self) -> impl Iterator<Item = (&FamilyOutcome, &Curve)> {
        self.families.iter().flat_map(|family| family.curves.iter().map(move |c| (family, c)))
    }
}

impl Options {
    /// Rejects what makes no ensemble, naming the key.
    pub fn validate(&self) -> Result<()> {
        if !(2..=MEMBERS_MAX).contains(&self.members) {
            let hint = match self.members {
                0 | 1 => "one model alone is what `scarce train` reports",
                _ => "the law in K tells what more members would give",
            };
            let given = self.members;
            return Err(Error::usage(format!(
                "`members` = {given}: an ensemble has 2 to {MEMBERS_MAX}"
            ))
            .hint(hint));
        }
        at_most("subsets_max", self.subsets_max, SUBSETS_MAX)?;
        match self.single_asymptote_nats {
            Some(nats) if !(nats.is_finite() && nats > 0.0) => Err(Error::usage(format!(
                "`single_asymptote_nats` = {nats} is no loss: it must be positive and finite"
            ))),
            _ => Ok(()),
        }
    }
}

impl Vary {
    /// The families.
    #[must_use]
    pub fn families(self) -> &'static [Family] {
        match self {
            Self::Init => &[Family::Init],
            Self::Order => &[Family::Order],
            Self::Both => &[Family::Both],
            Self::All => &[Family::Init, Family::Order, Family::Both],
        }
    }
}

impl Family {
    /// One word.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Init => "init",
            Self::Order => "order",
            Self::Both => "both",
        }
    }

    /// Member `index` of a recipe.
    fn member(self, base: &TrainSpec, index: u32) -> TrainSpec {
        let (mut spec, index) = (base.clone(), u64::from(index));
        if self != Self::Order {
            spec.seeds.init = spec.seeds.init.wrapping_add(index);
        }
        if self != Self::Init {
            spec.seeds.order = spec.seeds.order.wrapping_add(index);
        }
        spec
    }

    /// The members of a recipe.
    fn members(self, base: &TrainSpec, options: &Options) -> Vec<TrainSpec> {
        (0..options.members).map(|index| self.member(base, index)).collect()
    }
}

impl fmt::Display for Family {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}

/// All training runs, each once, the shared one first: for the lab, and for `--dry-run`.
#[must_use]
pub fn training_jobs(base: &TrainSpec, options: &Options) -> Vec<Job> {
    let mut jobs: Vec<Job> = Vec::new();
    for family in options.vary.families() {
        for spec in family.members(base, options) {
            let job = Job::Train(spec);
            if !jobs.contains(&job) {
                jobs.push(job);
            }
        }
    }
    jobs
}

/// The jobs that measure the families, in their order.
#[must_use]
pub fn ensemble_jobs(base: &TrainSpec, options: &Options) -> Vec<Job> {
    let job = |family: &Family| {
        Job::Ensemble(EnsembleSpec {
            members: member_ids(*family, base, options),
            corpus: base.data.corpus,
            split: options.split,
            sequence_tokens: base.data.sequence_tokens,
            mask: base.data.mask,
            precision: base.precision,
            subsets_max: options.subsets_max,
        })
    };
    options.vary.families().iter().map(job).collect()
}

fn member_ids(family: Family, base: &TrainSpec, options: &Options) -> Vec<JobId> {
    family.members(base, options).into_iter().map(|spec| Job::Train(spec).id()).collect()
}

/// Runs the plan for a recipe; `base` is its member 0.
///
/// # Errors
/// If the options are wrong, a member has diverged (all such members are named), or the lab fails.
pub fn run(lab: &mut dyn Lab, base: &TrainSpec, options: &Options) -> Result<Outcome> {
    options.validate()?;
    let jobs = training_jobs(base, options);
    let mut records = lab.obtain(&jobs)?;
    check_finished(&jobs, &records)?;
    let measured = lab.obtain(&ensemble_jobs(base, options))?;
    let mut families = Vec::new();
    for (&family, record) in options.vary.families().iter().zip(&measured) {
        let members = member_ids(family, base, options);
        families.push(curve::read(lab, (family, members), record, options)?);
    }
    let comparisons = compare(lab, &families, options)?;
    let messages = symptoms::of_ensembles(&families, base, options);
    records.extend(measured);
    records.sort_by_key(|record| record.id);
    records.dedup_by_key(|record| record.id);
    Ok(Outcome { split: options.split, families, comparisons, messages, records })
}

/// An ensemble needs all of its members.
fn check_finished(jobs: &[Job], records: &[Record]) -> Result<()> {
    let mut diverged = Vec::new();
    for (job, record) in jobs.iter().zip(records) {
        if let (Job::Train(spec), Ended::Diverged { step }) = (job, &record.outcome) {
            let (id, seeds) = (record.id.short(), spec.seeds);
            diverged.push(format!(
                "{id} (seeds.init {}, seeds.order {}) at step {step}",
                seeds.init, seeds.order
            ));
        }
    }
    if diverged.is_empty() {
        return Ok(());
    }
    let (bad, all) = (diverged.len(), records.len());
    let list = diverged.join(", ");
    Err(Error::data(format!("{bad} of {all} members diverged: {list}"))
        .hint("an ensemble of those that are left would be a selection: lower `optim.lr`"))
}

/// Families with each other by logits, and the two averages of each family.
fn compare(
    lab: &dyn Lab,
    families: &[FamilyOutcome],
    options: &Options,
) -> Result<Vec<Comparison>> {
    let members = options.members as usize;
    let mut pairs = Vec::new();
    for (index, left) in families.iter().enumerate() {
        for right in &families[index + 1..] {
            pairs.push(((left, Average::Logits), (right, Average::Logits)));
        }
        pairs.push(((left, Average::Probabilities), (left, Average::Logits)));
    }
    let mut comparisons = Vec::new();
    for ((left, left_average), (right, right_average)) in pairs {
        let ledgers = [left, right].map(|family| lab.ledger(family.evaluation, options.split));
        let [left_ledger, right_ledger] = ledgers;
        let columns =
            [left_average, right_average].map(|average| Column::Subsets(average, members));
        let difference = left_ledger?.difference(columns[0], &right_ledger?, columns[1])?;
        let (left, right) = ((left.family, left_average), (right.family, right_average));
        comparisons.push(Comparison { left, right, difference });
    }
    Ok(comparisons)
}

#[cfg(test)]
mod tests;
