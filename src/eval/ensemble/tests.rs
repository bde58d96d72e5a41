//! Subset means against brute force, the identity Q0, and what equal members show.

use super::*;
use crate::eval::ensemble_ledger;
use crate::eval::testing::{POSITIONS, log_z, logarithms, with_members};
use crate::spec::Split;

const MASK: Mask = Mask::AcrossDocuments {};

/// Measures on a few windows of `val`.
fn measure(
    windows: &Windows<'_>,
    members: &[(&Model, &Weights)],
    subsets: &Subsets,
    threads: usize,
) -> EnsembleMeasures {
    let pool = Pool::new(threads);
    measure_ensemble((windows, MASK), members, subsets, &pool, &mut |_| Ok(())).unwrap()
}

/// Every subset is what an evaluation of these members gives, bit for bit, and columns are means
/// over the subsets of a size.
#[test]
fn subsets_are_evaluations_of_their_members() {
    with_members(4, |corpus, members| {
        let windows = Windows::all(corpus.split(Split::Val), POSITIONS).unwrap().sample(400);
        let (subsets, pool) = (Subsets::new(4, 255), Pool::new(2));
        let found = measure(&windows, members, &subsets, 2);
        for average in Average::BOTH {
            for size in 1..=4 {
                let mut sums = vec![0.0_f64; found.ledger.tokens.blocks.len()];
                for &place in subsets.of_size(size) {
                    let subset = &subsets.list()[place];
                    let of: Vec<_> = subset.iter().map(|&member| members[member]).collect();
                    let alone = ensemble_ledger(&windows, MASK, &of, &pool).unwrap();
                    let name = Column::First(average, size);
                    let column = alone.column(name).unwrap();
                    sums.iter_mut().zip(column).for_each(|(sum, x)| *sum += f64::from(*x));
                    let nats = [&found.logits_nats, &found.probabilities_nats]
                        [usize::from(average == Average::Probabilities)][place];
                    assert!((nats - alone.estimate(name).unwrap().mean).abs() < 1e-12);
                    if place == subsets.prefix(size) {
                        assert_eq!(found.ledger.column(name), Some(column));
                    }
                    if size == 1 {
                        let single = Column::Member(subset[0]);
                        assert_eq!(found.ledger.column(single), Some(column));
                    }
                }
                let count = subsets.of_size(size).len() as f64;
                let expected: Vec<f32> = sums.iter().map(|sum| (sum / count) as f32).collect();
                let column = found.ledger.column(Column::Subsets(average, size));
                assert_eq!(column.unwrap(), expected, "{average} {size}");
            }
        }
        assert_eq!(found.ledger.names().count(), 20);
    });
}

/// Mission Q0 for every subset, and pairs, from whole distributions in f64.
#[test]
fn gains_and_divergences_follow_from_whole_distributions() {
    with_members(3, |corpus, members| {
        let windows = Windows::all(corpus.split(Split::Val), POSITIONS).unwrap().sample(400);
        let subsets = Subsets::new(3, 255);
        let found = measure(&windows, members, &subsets, 1);
        let logarithms = logarithms(&windows, members);
        let tokens = logarithms.len() as f64;
        for (subset, nats) in subsets.list().iter().zip(&found.logits_nats) {
            let log_z_nats: f64 = logarithms
                .iter()
                .map(|of| log_z(&subset.iter().map(|&i| of[i].clone()).collect::<Vec<_>>()))
                .sum::<f64>()
                / tokens;
            let singles = subset.iter().map(|&i| found.logits_nats[subsets.of_size(1)[i]]);
            let mean = singles.sum::<f64>() / subset.len() as f64;
            assert!((nats - mean - log_z_nats).abs() < 1e-6, "{subset:?}");
            assert!(log_z_nats <= 1e-12, "an average is never worse than the mean member");
        }
        for pair in &found.pairs {
            let (mut divergence, mut disagreements) = (0.0, 0.0);
            for of in &logarithms {
                let [p, q] = pair.members.map(|member| &of[member]);
                divergence +=
                    p.iter().zip(q).map(|(p, q)| 0.5 * (p.exp() - q.exp()) * (p - q)).sum::<f64>();
                let best = [p, q]
                    .map(|row| (0..row.len()).max_by(|&i, &j| row[i].total_cmp(&row[j])).unwrap());
                disagreements += f64::from(u8::from(best[0] != best[1]));
            }
            assert!((pair.divergence_nats - divergence / tokens).abs() < 1e-5, "{pair:?}");
            assert!((pair.disagreement_share - disagreements / tokens).abs() < 1e-12, "{pair:?}");
            assert!(pair.divergence_nats > 0.01 && pair.disagreement_share > 0.1, "{pair:?}");
        }
        assert_eq!(found.pairs.len(), 3);
    });
}

#[test]
fn equal_members_differ_in_nothing_and_gain_nothing() {
    with_members(1, |corpus, members| {
        let windows = Windows::all(corpus.split(Split::Val), POSITIONS).unwrap().sample(400);
        let found = measure(&windows, &[members[0]; 3], &Subsets::new(3, 255), 1);
        for pair in &found.pairs {
            assert_eq!(pair.divergence_nats.to_bits(), 0, "{pair:?}");
            assert_eq!(pair.disagreement_share.to_bits(), 0, "{pair:?}");
        }
        let single = found.ledger.column(Column::Member(0)).unwrap();
        for name in found.ledger.names().filter(|name| name.to_string().contains("logits")) {
            assert_eq!(found.ledger.column(name).unwrap(), single, "{name}");
        }
    });
}

#[test]
fn threads_and_samples_of_subsets_change_nothing_else() {
    with_members(5, |corpus, members| {
        let windows = Windows::all(corpus.split(Split::Val), POSITIONS).unwrap().sample(9000);
        assert!(windows.count() > GROUP, "more than one group");
        let sampled = Subsets::new(5, 0);
        let one = measure(&windows, members, &sampled, 1);
        let three = measure(&windows, members, &sampled, 3);
        assert_eq!((&one.ledger, &one.pairs), (&three.ledger, &three.pairs));
        assert_eq!(one.logits_nats, three.logits_nats);
        let all = Subsets::new(5, 255);
        let every = measure(&windows, members, &all, 3);
        for (subset, nats) in sampled.list().iter().zip(&one.logits_nats) {
            let place = all.list().iter().position(|other| other == subset).unwrap();
            assert_eq!(nats.to_bits(), every.logits_nats[place].to_bits());
        }
        for name in ["member-4", "logits-5", "probabilities-3", "subsets-logits-4"] {
            let name = name.parse().unwrap();
            assert_eq!(one.ledger.column(name), every.ledger.column(name), "{name}");
        }
    });
}

#[test]
fn a_pass_can_be_stopped() {
    with_members(2, |corpus, members| {
        let windows = Windows::all(corpus.split(Split::Val), POSITIONS).unwrap();
        let stop = &mut |_| Err(Error::interrupted("stopped"));
        let subsets = Subsets::new(2, 255);
        let result = measure_ensemble((&windows, MASK), members, &subsets, &Pool::new(1), stop);
        assert!(result.unwrap_err().is_interrupted());
    });
}
