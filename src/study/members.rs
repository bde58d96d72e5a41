//! Losses of ensembles over their number of members.

use super::cell::{Cell, column};
use super::ensemble::{facts, replication};
use crate::Result;
use crate::lab::Lab;
use crate::laws::{AxisLaw, Curve, Options, Refusal, Replication, StandardError, jackknife};
use crate::spec::{JobId, Split};
use crate::store::{Average, Column, EnsembleFacts, Loss, Record};

/// The ensembles of 1 to K of the given members.
#[derive(Clone, Debug)]
pub struct MembersCurve {
    /// The record that measured them.
    pub evaluation: Record,
    /// Loss of logit averages (the paper's ensembles, mission R4) over K = 1, 2, ..., each the mean
    /// over all subsets of that size, so that the order of the members plays no part.
    pub losses: Vec<Loss>,
    facts: EnsembleFacts,
}

impl MembersCurve {
    /// Measures the ensembles on a split.
    pub(super) fn measure(
        lab: &mut dyn Lab,
        cell: &Cell,
        members: &[JobId],
        split: Split,
    ) -> Result<Self> {
        let evaluation = lab.obtain(&[cell.ensembles(members, split)])?.remove(0);
        Self::read(evaluation, members.len(), split)
    }

    /// Reads the losses out of the record of an evaluation.
    pub(super) fn read(evaluation: Record, members: usize, split: Split) -> Result<Self> {
        let losses = (1..=members)
            .map(|k| column(&evaluation, Column::Subsets(Average::Logits, k), split).cloned())
            .collect::<Result<Vec<_>>>()?;
        let facts = facts(&evaluation)?;
        Ok(Self { evaluation, losses, facts })
    }

    /// (K, loss) pairs.
    #[must_use]
    pub fn points(&self) -> Vec<(f64, f64)> {
        self.losses
            .iter()
            .enumerate()
            .map(|(index, loss)| (index as f64 + 1.0, loss.nats))
            .collect()
    }

    /// The law in K. The points share their members, so that the interval of its asymptote is over
    /// the choice of them where there are five or more.
    ///
    /// # Errors
    /// If the losses are none; inside, a [`Refusal`] where there is no law.
    pub fn law(&self, options: &Options) -> Result<std::result::Result<AxisLaw, Refusal>> {
        Ok(AxisLaw::new(Curve::new(&self.points())?, &self.replication(), options))
    }

    /// What is known of the noise of its points.
    #[must_use]
    pub fn replication(&self) -> Replication {
        replication(&self.facts, (Average::Logits, self.losses.len()))
    }

    /// Loss of all members together, nats per token.
    #[must_use]
    pub fn all(&self) -> &Loss {
        self.losses.last().expect("an ensemble has members")
    }

    /// Mean losses of the ensembles of `size` that do without each member; of all members together
    /// those of one fewer. Empty where the record does not know them.
    #[must_use]
    pub fn without(&self, size: usize) -> Vec<f64> {
        self.facts.without_one(Average::Logits, size).to_vec()
    }

    /// The error of [`MembersCurve::all`] over the choice of the members, nats per token: by the
    /// jackknife, from the ensembles that do without one of them.
    #[must_use]
    pub fn member_error(&self) -> Option<StandardError> {
        let members = self.losses.len();
        let nats = jackknife(&self.without(members))?;
        Some(StandardError { nats, degrees: members - 1 })
    }
}
