//! Which subsets of an ensemble's members are measured: all, or a fixed sample of every size.
//!
//! One order of the members gives one curve in K, and its chance with it: the first two may happen
//! to be the best. Averaged over all subsets of each size the order is gone. Their number doubles
//! with every member, so that beyond `subsets_max` of all sizes together each size K has at most
//! max(subsets_max / members, members) subsets: every one where there are no more, else so many of
//! a deal. The members are dealt round and round like cards, K to each subset, first in their own
//! order; once everybody has been dealt equally often, they are shuffled by a fixed key and dealt
//! anew. What has been dealt before does not count again. The first K members are thus always a
//! subset, and no member weighs more than others by more than one deal.

use std::collections::BTreeSet;

use crate::data::Permutation;

/// The most members of an ensemble.
pub const MEMBERS_MAX: usize = 64;

/// Key of the shuffles; any value would do, but it must never depend on the run.
const KEY: u64 = 0x5CA2_CE00_DEA1_0001;

/// Subsets of the members 0..K, each in ascending order.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Subsets {
    members: usize,
    complete: bool,
    /// In lexicographic order: then every subset shares its beginning with its neighbors, and a
    /// mean over it is mostly there already.
    list: Vec<Vec<usize>>,
    /// Places of the subsets of each size, from size 1 on.
    of_size: Vec<Vec<usize>>,
    /// Places of the subsets of the first members, from one member on.
    prefixes: Vec<usize>,
}

impl Subsets {
    /// The subsets of `members` members; `subsets_max` as in [`crate::spec::EnsembleSpec`].
    ///
    /// # Panics
    /// Unless there is a member and there are at most [`MEMBERS_MAX`].
    #[must_use]
    pub fn new(members: usize, subsets_max: u32) -> Self {
        assert!((1..=MEMBERS_MAX).contains(&members), "an ensemble of {members} members");
        let all: u128 = (1_u128 << members) - 1;
        let complete = all <= u128::from(subsets_max);
        let of_size = (subsets_max as usize / members).max(members);
        let mut list = Vec::new();
        for size in 1..=members {
            if complete || binomial(members, size) <= of_size as u128 {
                list.extend(combinations(members, size));
            } else {
                list.extend(dealt(members, size, of_size));
            }
        }
        list.sort();
        let of_size = |size| {
            let places = list.iter().enumerate().filter(move |(_, subset)| subset.len() == size);
            places.map(|(place, _)| place).collect()
        };
        let prefix = |size| {
            let is_prefix = |subset: &Vec<usize>| subset.iter().copied().eq(0..size);
            list.iter().position(is_prefix).expect("the first members are dealt first")
        };
        let of_size = (1..=members).map(of_size).collect();
        let prefixes = (1..=members).map(prefix).collect();
        Self { members, complete, list, of_size, prefixes }
    }

    /// The number of members.
    #[must_use]
    pub fn members(&self) -> usize {
        self.members
    }

    /// Whether every subset is there.
    #[must_use]
    pub fn is_complete(&self) -> bool {
        self.complete
    }

    /// The subsets; their places in this list are what all other functions speak of.
    #[must_use]
    pub fn list(&self) -> &[Vec<usize>] {
        &self.list
    }

    /// Places of the subsets of this size; of size 1 in the order of the members.
    #[must_use]
    pub fn of_size(&self, size: usize) -> &[usize] {
        &self.of_size[size - 1]
    }

    /// The place of the subset of the first members.
    #[must_use]
    pub fn prefix(&self, size: usize) -> usize {
        self.prefixes[size - 1]
    }

    /// Places of the subsets of this size that do without a member.
    pub fn of_size_without(&self, size: usize, member: usize) -> impl Iterator<Item = usize> {
        let places = self.of_size(size).iter().copied();
        places.filter(move |&place| !self.list[place].contains(&member))
    }
}

/// The number of subsets of a size.
fn binomial(members: usize, size: usize) -> u128 {
    // Exact: after every step the product is a binomial coefficient itself.
    (1..=size as u128).fold(1, |product, i| product * (members as u128 + 1 - i) / i)
}

/// All subsets of a size.
fn combinations(members: usize, size: usize) -> Vec<Vec<usize>> {
    let mut found = vec![Vec::new()];
    for length in 0..size {
        let longer = |subset: Vec<usize>| {
            let first = subset.last().map_or(0, |last| last + 1);
            // The rest must still fit behind the next member.
            (first..=members + length - size).map(move |member| {
                let mut longer = subset.clone();
                longer.push(member);
                longer
            })
        };
        found = found.into_iter().flat_map(longer).collect();
    }
    found
}

/// The first `count` different subsets of the deal; there are more of this size.
fn dealt(members: usize, size: usize, count: usize) -> BTreeSet<Vec<usize>> {
    let hands = members / greatest_common_divisor(members, size);
    let mut found = BTreeSet::new();
    for round in 0_u64.. {
        let key = KEY ^ (round << 16) ^ ((size as u64) << 8) ^ members as u64;
        let shuffle = Permutation::new(key, members as u64);
        let card = |place: usize| match round {
            0 => place % members,
            _ => shuffle.at((place % members) as u64) as usize,
        };
        for hand in 0..hands {
            if found.len() == count {
                return found;
            }
            let mut subset: Vec<usize> = (hand * size..(hand + 1) * size).map(card).collect();
            subset.sort_unstable();
            found.insert(subset);
        }
    }
    unreachable!("the rounds never end")
}

fn greatest_common_divisor(a: usize, b: usize) -> usize {
    if b == 0 { a } else { greatest_common_divisor(b, a % b) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn few_members_have_all_their_subsets() {
        let subsets = Subsets::new(3, 255);
        let expected: [&[usize]; 7] = [&[0], &[0, 1], &[0, 1, 2], &[0, 2], &[1], &[1, 2], &[2]];
        assert_eq!(subsets.list(), expected);
        assert!(subsets.is_complete());
        assert_eq!((subsets.of_size(1), subsets.of_size(2)), (&[0, 4, 6][..], &[1, 3, 5][..]));
        assert_eq!(subsets.of_size_without(2, 1).collect::<Vec<_>>(), [3]);
        assert_eq!([1, 2, 3].map(|size| subsets.prefix(size)), [0, 1, 2]);
        for (members, complete) in [(1, true), (8, true), (9, false), (64, false)] {
            assert_eq!(Subsets::new(members, 255).is_complete(), complete);
        }
        assert_eq!(Subsets::new(8, 255).list().len(), 255);
        assert_eq!(Subsets::new(8, 255).of_size(4).len(), 70);
    }

    #[test]
    fn many_members_have_a_fixed_fair_sample() {
        for (members, subsets_max) in [(9, 255), (12, 255), (17, 255), (64, 255), (5, 0)] {
            let subsets = Subsets::new(members, subsets_max);
            assert_eq!(subsets, Subsets::new(members, subsets_max));
            let quota = (subsets_max as usize / members).max(members);
            for size in 1..=members {
                let count = subsets.of_size(size).len();
                assert_eq!(count as u128, binomial(members, size).min(quota as u128));
                let first: Vec<usize> = (0..size).collect();
                assert_eq!(subsets.list()[subsets.prefix(size)], first);
                let mut uses = vec![0; members];
                for &place in subsets.of_size(size) {
                    subsets.list()[place].iter().for_each(|&member| uses[member] += 1);
                }
                let (least, most) = (uses.iter().min().unwrap(), uses.iter().max().unwrap());
                // Repeats that were dropped may cost the balance of a round each.
                assert!(most - least <= 4, "{size} of {members}: {uses:?}");
            }
            let mut sorted = subsets.list().to_vec();
            sorted.dedup();
            assert_eq!(sorted.len(), subsets.list().len());
        }
    }

    /// The sample decides losses, so it may never change.
    #[test]
    fn the_sample_is_frozen() {
        let subsets = Subsets::new(9, 255);
        assert_eq!(subsets.of_size(4).len(), 28);
        let text = format!("{:?}", subsets.list());
        assert_eq!(blake3::hash(text.as_bytes()).to_hex()[..16], *"3425b12603bea2de");
    }
}
