//! The bar of a measured loss: the same in every figure.
//!
//! A mean over seeds is known by its seeds, an ensemble by the choice of its members, a single
//! model by the text that it was measured on.

use super::chart::{Bar, Reach};
use crate::laws::{Doubt, StandardError, jackknife};

impl Bar {
    /// One standard error.
    pub(super) fn error(size: f64, doubt: Doubt) -> Self {
        Self { reach: Reach::Error(size), over: doubt.name() }
    }

    /// Of the mean of some losses, over seeds; of a single one over the text.
    pub(super) fn of_losses(losses: &[f64], text: Option<f64>) -> Option<Self> {
        match StandardError::of_mean(losses) {
            Some(error) => Some(Self::error(error.nats, Doubt::Seeds)),
            None => text.map(|error| Self::error(error, Doubt::Text)),
        }
    }

    /// Of an ensemble, over its members: `without` are the losses without each of them. Where these
    /// are not known, over the text.
    pub(super) fn of_members(without: &[f64], text: Option<f64>) -> Option<Self> {
        match jackknife(without) {
            Some(error) => Some(Self::error(error, Doubt::Members)),
            None => text.map(|error| Self::error(error, Doubt::Text)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bars_say_what_they_are_over() {
        let over = |bar: Option<Bar>| bar.map(|bar| (bar.reach, bar.over));
        let text = Some(0.01);
        assert_eq!(over(Bar::of_losses(&[3.5], text)), Some((Reach::Error(0.01), "text")));
        assert_eq!(over(Bar::of_losses(&[3.5, 3.7], text)).unwrap().1, "seeds");
        assert_eq!(over(Bar::of_losses(&[3.5], None)), None);
        assert_eq!(over(Bar::of_members(&[], text)), Some((Reach::Error(0.01), "text")));
        // Of ensembles of one, the choice of members is that of seeds.
        let (losses, without) = ([3.5, 3.7, 3.6], [3.65, 3.55, 3.6]);
        let [seeds, members] = [Bar::of_losses(&losses, text), Bar::of_members(&without, text)];
        let size = |bar: Option<Bar>| match bar.unwrap().reach {
            Reach::Error(size) => size,
            Reach::Interval(..) => panic!("an error"),
        };
        assert!((size(seeds) - size(members)).abs() < 1e-12);
        assert_eq!(members.unwrap().over, "members");
    }
}
