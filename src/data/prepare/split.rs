//! Which split a document, or a section of it, belongs to.
//!
//! **Documents** go by a keyed hash of their content, so that adding documents moves nobody, and
//! equal documents share a split.
//!
//! **Sections.** A held-out share of a few documents would be a matter of luck, or empty. With
//! fewer than [`DOCUMENTS_MIN`] documents, long ones are cut at paragraph ends into sections. The
//! held-out sections of a document are contiguous, at a place that its hash decides, and one
//! section at each border between splits is left out of all of them: neighboring paragraphs share
//! names, quotations and half of a story. Short documents go whole, by hash.

use crate::data::hash::{fold, unit};
use crate::data::input::Head;
use crate::spec::Split;

/// From this many documents on, documents are whole.
pub(super) const DOCUMENTS_MIN: usize = 100;

/// Shares of a group of files that go to the held-out splits; the rest is training text.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Shares {
    pub(super) val: f64,
    pub(super) test: f64,
}

/// Decides where documents go.
#[derive(Clone, Copy, Debug)]
pub(super) struct Splitter {
    shares: Shares,
    seed: u64,
    /// Bounds of the length of a section, or `None` to keep documents whole.
    section: Option<(u64, u64)>,
}

/// Where a document goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Place {
    /// All of it to one split.
    Whole(Split),
    /// Section by section.
    Sections(Regions),
    /// All of it to a side set, and so to no split.
    Aside,
}

impl Place {
    /// The split that the document goes to as a whole, if it does.
    pub(super) fn whole(self) -> Option<Split> {
        match self {
            Self::Whole(split) => Some(split),
            Self::Sections(_) | Self::Aside => None,
        }
    }

    /// Whether some of it may become training text.
    pub(super) fn reaches_training(self) -> bool {
        matches!(self, Self::Whole(Split::Train) | Self::Sections(_))
    }
}

/// The held-out regions of a document, in bytes (or tokens) from its start.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Regions {
    /// The longest a section may be.
    pub(super) section: u64,
    /// Start, end and split, in the order of the text.
    held_out: [(u64, u64, Split); 2],
}

impl Splitter {
    pub(super) fn new(shares: Shares, seed: u64, section: Option<(u64, u64)>) -> Self {
        Self { shares, seed, section }
    }

    /// Where the document goes.
    pub(super) fn place(&self, head: Head) -> Place {
        let key = fold(head.key, self.seed);
        self.regions(head.length, key)
            .map_or_else(|| Place::Whole(self.whole(key)), Place::Sections)
    }

    fn whole(&self, key: u64) -> Split {
        let u = unit(fold(key, 0));
        if u < self.shares.val {
            Split::Val
        } else if u < self.shares.val + self.shares.test {
            Split::Test
        } else {
            Split::Train
        }
    }

    /// Regions of a document that is long enough for each of them to hold a section.
    fn regions(&self, length: u64, key: u64) -> Option<Regions> {
        let (shortest, longest) = self.section?;
        let section = (length / 100).clamp(shortest, longest);
        let lengths = [(self.shares.val, Split::Val), (self.shares.test, Split::Test)]
            .map(|(share, split)| ((share * length as f64) as u64, share, split));
        let too_short = |&(bytes, share, _): &(u64, f64, Split)| share > 0.0 && bytes < 2 * section;
        if lengths.iter().any(too_short) || lengths.iter().all(|&(bytes, ..)| bytes == 0) {
            return None;
        }
        let [mut first, mut second] = lengths.map(|(bytes, _, split)| (bytes, split));
        if fold(key, 1) % 2 == 1 {
            std::mem::swap(&mut first, &mut second);
        }
        // A border of one section lies between the regions, if there are two.
        let border = if first.0 > 0 && second.0 > 0 { section } else { 0 };
        let held_out = first.0 + second.0 + border;
        let over = held_out.saturating_sub(length).div_ceil(2);
        first.0 -= over.min(first.0);
        second.0 -= over.min(second.0);
        let slack = (length - (first.0 + second.0 + border)) as f64;
        let (u, v) = (unit(fold(key, 2)), unit(fold(key, 3)));
        let start = (u.min(v) * slack) as u64;
        let next = (u.max(v) * slack) as u64 + first.0 + border;
        let held_out = [(start, start + first.0, first.1), (next, next + second.0, second.1)];
        Some(Regions { section, held_out })
    }
}

impl Regions {
    /// The split of the section that starts at `start`; none if it lies on a border. A section is
    /// never longer than `section`, so at least one lies on each border.
    pub(super) fn split(&self, start: u64) -> Option<Split> {
        let regions = self.held_out.iter().filter(|(from, to, _)| from < to);
        let inside = regions.clone().find(|(from, to, _)| (*from..*to).contains(&start));
        let border = |&(from, to, _): &(u64, u64, Split)| {
            let before = from.saturating_sub(self.section)..from;
            before.contains(&start) || (to..to + self.section).contains(&start)
        };
        match inside {
            Some(&(_, _, split)) => Some(split),
            None if regions.copied().any(|region| border(&region)) => None,
            None => Some(Split::Train),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SHARES: Shares = Shares { val: 0.1, test: 0.05 };

    #[test]
    fn documents_meet_their_shares_and_stay_when_others_join() {
        let splitter = Splitter::new(SHARES, 0, None);
        let mut counts = [0_u32; 3];
        for key in 0..20_000 {
            let Place::Whole(split) = splitter.place(Head { key: fold(9, key), length: 500_000 })
            else {
                panic!("documents stay whole")
            };
            counts[split as usize] += 1;
        }
        // Binomial: five standard deviations are 212 and 154.
        assert!(counts[1].abs_diff(2000) < 212 && counts[2].abs_diff(1000) < 154, "{counts:?}");
        let other = Splitter::new(SHARES, 1, None);
        let moved = (0..1000).map(|key| Head { key: fold(9, key), length: 1 });
        assert!(moved.into_iter().any(|head| other.place(head) != splitter.place(head)));
    }

    /// Cuts a document into sections of uneven lengths and checks all promises about them.
    fn check_sections(shares: Shares, length: u64, key: u64) {
        let splitter = Splitter::new(shares, 0, Some((2048, 65_536)));
        let Place::Sections(regions) = splitter.place(Head { key, length }) else {
            panic!("a document of {length} is long")
        };
        let (mut start, mut number) = (0, 0);
        let mut roles = Vec::new();
        while start < length {
            let cut = regions.section - fold(key, number) % (regions.section / 2);
            let end = (start + cut).min(length);
            roles.push((regions.split(start), end - start));
            (start, number) = (end, number + 1);
        }
        for (share, split) in [(shares.val, Split::Val), (shares.test, Split::Test)] {
            let held: u64 =
                roles.iter().filter(|role| role.0 == Some(split)).map(|role| role.1).sum();
            let (low, high) = (share * length as f64 * 0.4, share * length as f64 * 1.7);
            let fits = held as f64 >= low && held as f64 <= high;
            assert!(fits || share == 0.0 && held == 0, "{split}: {held} of {length} ({share})");
            let runs = roles
                .windows(2)
                .filter(|pair| pair[0].0 != Some(split) && pair[1].0 == Some(split))
                .count();
            assert!(runs <= 1, "held-out sections are contiguous");
        }
        for pair in roles.windows(2) {
            let both = pair[0].0.zip(pair[1].0);
            assert!(both.is_none_or(|(a, b)| a == b), "a border between {both:?} is missing");
        }
        let gap: u64 = roles.iter().filter(|role| role.0.is_none()).map(|role| role.1).sum();
        assert!(gap <= 4 * 2 * regions.section, "gap {gap} of {length}");
    }

    #[test]
    fn held_out_sections_are_contiguous_with_borders() {
        for key in 0..100 {
            for length in [90_000, 1_000_000, 9_000_000] {
                check_sections(SHARES, length, fold(77, key));
                check_sections(Shares { val: 0.1, test: 0.0 }, length, fold(77, key));
                check_sections(Shares { val: 0.5, test: 0.5 }, length, fold(77, key));
                check_sections(Shares { val: 0.0, test: 0.3 }, length, fold(77, key));
            }
        }
    }

    #[test]
    fn short_documents_and_given_files_stay_whole() {
        let section = Some((2048, 65_536));
        let short = Head { key: 5, length: 10_000 };
        assert!(matches!(Splitter::new(SHARES, 0, section).place(short), Place::Whole(_)));
        let long = Head { key: 5, length: 10_000_000 };
        for (shares, split) in [
            (Shares { val: 0.0, test: 0.0 }, Split::Train),
            (Shares { val: 1.0, test: 0.0 }, Split::Val),
            (Shares { val: 0.0, test: 1.0 }, Split::Test),
        ] {
            // All of a group in one split needs no borders.
            let place = Splitter::new(shares, 0, section).place(long);
            match place {
                Place::Whole(to) => assert_eq!(to, split),
                Place::Aside => panic!("no split puts a document aside"),
                Place::Sections(regions) => {
                    for start in (0..long.length).step_by(1000) {
                        assert_eq!(regions.split(start), Some(split));
                    }
                }
            }
        }
    }
}
