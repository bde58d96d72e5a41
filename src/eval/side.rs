//! The macro mean over side sets (mission D7).

use std::collections::BTreeMap;

use crate::store::{Column, SideLoss, SideMean};

/// For each name among the losses, in order of appearance, the unweighted mean over its side sets.
///
/// Every set counts alike, however long it is. The sets are apart from each other, so the squared
/// standard error of the mean of n losses is the sum of their squared errors, over n squared.
#[must_use]
pub fn side_means(losses: &[SideLoss]) -> Vec<SideMean> {
    let mut of_name: BTreeMap<Column, Vec<&SideLoss>> = BTreeMap::new();
    let mut names = Vec::new();
    for loss in losses {
        let of_this = of_name.entry(loss.name).or_default();
        if of_this.is_empty() {
            names.push(loss.name);
        }
        of_this.push(loss);
    }
    names.into_iter().map(|name| mean(name, &of_name[&name])).collect()
}

fn mean(name: Column, losses: &[&SideLoss]) -> SideMean {
    let sets = losses.len() as f64;
    let over = |value: &dyn Fn(&SideLoss) -> Option<f64>| {
        losses.iter().try_fold(0.0, |sum, loss| Some(sum + value(loss)?))
    };
    let squares = over(&|loss| loss.standard_error_nats.map(|error| error * error));
    SideMean {
        name,
        sets: losses.len() as u64,
        nats: losses.iter().fold(0.0, |sum, loss| sum + loss.nats) / sets,
        standard_error_nats: squares.map(|squares| squares.sqrt() / sets),
        bits_per_byte: over(&|loss| loss.bits_per_byte).map(|sum| sum / sets),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::spec::{SideId, SideSet};

    fn loss(name: Column, set: &str, nats: f64, error: Option<f64>) -> SideLoss {
        SideLoss {
            name,
            split: SideSet { name: set.parse().unwrap(), id: SideId::of(set.as_bytes()) },
            nats,
            standard_error_nats: error,
            clusters: 9,
            tokens: 100,
            bits_per_byte: error.map(|_| nats / 2.0),
            above_floor: None,
        }
    }

    #[test]
    fn every_set_counts_alike_and_errors_add_in_squares() {
        let losses = [
            loss(Column::Ngram, "one", 3.0, Some(0.3)),
            loss(Column::Model, "one", 1.0, Some(0.1)),
            loss(Column::Ngram, "two", 5.0, Some(0.4)),
        ];
        let means = side_means(&losses);
        assert_eq!(
            means.iter().map(|mean| mean.name).collect::<Vec<_>>(),
            [Column::Ngram, Column::Model]
        );
        let SideMean { sets, nats, standard_error_nats, bits_per_byte, .. } = means[0];
        assert_eq!((sets, nats, bits_per_byte), (2, 4.0, Some(2.0)));
        assert!((standard_error_nats.unwrap() - 0.25).abs() < 1e-12);
        assert_eq!((means[1].nats, means[1].standard_error_nats), (1.0, Some(0.1)));
    }

    #[test]
    fn a_set_whose_error_is_unknown_leaves_the_mean_without_one() {
        let losses =
            [loss(Column::Model, "one", 3.0, Some(0.3)), loss(Column::Model, "two", 5.0, None)];
        let means = side_means(&losses);
        assert_eq!((means[0].nats, means[0].standard_error_nats), (4.0, None));
        assert_eq!(means[0].bits_per_byte, None);
        assert_eq!(side_means(&[]), []);
    }
}
