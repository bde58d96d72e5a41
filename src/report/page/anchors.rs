//! Where numbers lead: short names for records, and for sets of records.

use std::collections::{BTreeMap, BTreeSet};

use super::{Page, Section};

/// Fewest characters of an id that the page shows.
const SHORT: usize = 8;

/// The names that links of a page use.
pub(super) struct Anchors<'a> {
    records: BTreeMap<&'a str, Anchor>,
    sets: Vec<Set<'a>>,
}

/// A record's name in links and in view.
struct Anchor {
    link: String,
    short: String,
}

/// Several records behind one number.
pub(super) struct Set<'a> {
    /// The ids.
    pub(super) records: &'a [String],
    /// The first number that rests on exactly them.
    pub(super) number: &'a str,
    /// The section that it stands in.
    pub(super) section: &'a Section,
}

impl<'a> Anchors<'a> {
    /// Names everything that a page links to.
    pub(super) fn new(page: &'a Page) -> Self {
        let ids: BTreeSet<&str> = page.sources.iter().map(|source| source.id.as_str()).collect();
        assert_eq!(ids.len(), page.sources.len(), "a record has one block");
        let length = unique_length(&ids);
        let mut taken = BTreeSet::new();
        let mut records = BTreeMap::new();
        for id in ids {
            let short: String = id.chars().take(length).collect();
            let link = free_link(&short, &taken);
            taken.insert(link.clone());
            records.insert(id, Anchor { link, short });
        }
        let mut anchors = Self { records, sets: Vec::new() };
        for section in &page.sections {
            for (number, of_number) in section.references() {
                for id in of_number {
                    assert!(anchors.records.contains_key(id.as_str()), "no block for record {id}");
                }
                if of_number.len() > 1 && anchors.set_index(of_number).is_none() {
                    anchors.sets.push(Set { records: of_number, number, section });
                }
            }
        }
        anchors
    }

    /// The `id` attribute of a record's block.
    pub(super) fn of_record(&self, id: &str) -> Option<&str> {
        self.records.get(id).map(|anchor| anchor.link.as_str())
    }

    /// The beginning of an id that tells it from all others of the page.
    pub(super) fn short(&self, id: &str) -> &str {
        self.records.get(id).map_or("", |anchor| &anchor.short)
    }

    /// The `id` attribute of what a number with these records leads to; `None` without records.
    pub(super) fn of_number(&self, records: &[String]) -> Option<String> {
        match records {
            [] => None,
            [id] => self.of_record(id).map(str::to_owned),
            _ => self.set_index(records).map(set_link),
        }
    }

    /// The sets with their `id` attributes, in the order of reading.
    pub(super) fn sets(&self) -> impl Iterator<Item = (String, &Set<'a>)> {
        self.sets.iter().enumerate().map(|(index, set)| (set_link(index), set))
    }

    fn set_index(&self, records: &[String]) -> Option<usize> {
        self.sets.iter().position(|set| set.records == records)
    }
}

fn set_link(index: usize) -> String {
    format!("set-{}", index + 1)
}

/// The fewest characters, but at least [`SHORT`], that tell all ids apart. Neighbors in the order
/// share the longest beginnings.
fn unique_length(ids: &BTreeSet<&str>) -> usize {
    let shared = |(left, right): (&&str, &&str)| {
        left.chars().zip(right.chars()).take_while(|(l, r)| l == r).count() + 1
    };
    ids.iter().zip(ids.iter().skip(1)).map(shared).fold(SHORT, usize::max)
}

/// A name of letters, digits and hyphens for any id: those of foreign runs hold what they like.
fn free_link(short: &str, taken: &BTreeSet<String>) -> String {
    let plain = short.chars().map(|c| if c.is_ascii_alphanumeric() { c } else { '-' });
    let plain = format!("r-{}", plain.collect::<String>());
    let numbered = (2..).map(|number| format!("{plain}-{number}"));
    let mut names = std::iter::once(plain.clone()).chain(numbered);
    names.find(|name| !taken.contains(name)).expect("there are more numbers than records")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn short_ids_are_as_long_as_they_must_be() {
        let length = |ids: &[&str]| unique_length(&ids.iter().copied().collect());
        assert_eq!(length(&[]), 8);
        assert_eq!(length(&["3fa29c4477d0", "4fa29c4477d0"]), 8);
        assert_eq!(length(&["3fa29c4477d0", "3fa29c4477e0"]), 11);
    }

    #[test]
    fn any_id_has_a_plain_link_of_its_own() {
        let taken = BTreeSet::from(["r-a-b".to_owned(), "r-a-b-2".to_owned()]);
        assert_eq!(free_link("a/b", &taken), "r-a-b-3");
        assert_eq!(free_link("\"><é", &taken), "r-----");
    }
}
