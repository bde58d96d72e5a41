//! Losses of ensembles over their number of members.

use super::cell::{Cell, column};
use super::ensemble::{Average, over_members};
use crate::Result;
use crate::lab::Lab;
use crate::laws::{Claim, Curve, Fit, Options, Refusal, fit};
use crate::spec::{JobId, Split};
use crate::store::{Loss, Record};

/// The ensembles of 1 to K of the given members.
#[derive(Clone, Debug)]
pub struct MembersCurve {
    /// The record that measured them.
    pub evaluation: Record,
    /// Loss of logit averages (the paper's ensembles, mission R4) over K = 1, 2, ..., each the mean
    /// over all subsets of that size, so that the order of the members plays no part.
    pub losses: Vec<Loss>,
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
            .map(|k| column(&evaluation, &format!("subsets-logits-{k}"), split).cloned())
            .collect::<Result<Vec<_>>>()?;
        Ok(Self { evaluation, losses })
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

    /// The law in K.
    ///
    /// # Errors
    /// If the losses are none; inside, a [`Refusal`] where there is no law.
    pub fn law(&self, options: &Options) -> Result<std::result::Result<Fit, Refusal>> {
        Ok(fit(&Curve::new(&self.points())?, options))
    }

    /// The asymptote of a law of this curve, with the interval over the choice of members where
    /// there are five or more: the points share their members, so that their scatter around the
    /// law says nothing about others. Otherwise with the law's own interval.
    #[must_use]
    pub fn asymptote(&self, fit: &Fit) -> Claim {
        let members = (Average::Logits, self.losses.len());
        match over_members(&self.evaluation, members, fit) {
            Some(over) => Claim { value: fit.law.e, interval: over.interval },
            None => fit.asymptote.claim(),
        }
    }

    /// Loss of all members together, nats per token.
    #[must_use]
    pub fn all(&self) -> &Loss {
        self.losses.last().expect("an ensemble has members")
    }
}
