//! How often sealed test splits were read, and when.

use std::collections::BTreeMap;

use crate::draw::table::{Align, Table};
use crate::number::grouped;
use crate::store::{TestRead, utc};

/// The count with the first and the last day.
pub(super) fn sentence(reads: &[TestRead]) -> String {
    let mut days: Vec<String> = reads.iter().map(day).collect();
    days.sort_unstable();
    match (&days[..], days.first(), days.last()) {
        ([_], Some(only), _) => format!("The test split has been read once, on {only}."),
        (_, Some(first), Some(last)) if first == last => {
            format!("The test split has been read {} times, all on {first}.", count(reads))
        }
        (_, Some(first), Some(last)) => {
            format!("The test split has been read {} times, from {first} to {last}.", count(reads))
        }
        _ => "The test split has not been read.".to_owned(),
    }
}

/// Reads per day, and how many of them were by records of the page.
pub(super) fn table(reads: &[TestRead], of_page: impl Fn(&str) -> bool) -> Table {
    let mut days: BTreeMap<String, Vec<&TestRead>> = BTreeMap::new();
    for read in reads {
        days.entry(day(read)).or_default().push(read);
    }
    let mut table = Table::new(&[
        ("day (UTC)", Align::Left),
        ("reads", Align::Right),
        ("of them by records of this page", Align::Right),
    ]);
    for (day, reads) in days {
        let ours = reads.iter().filter(|read| of_page(&read.job.to_string())).count();
        table.push([day, grouped(reads.len() as u64), grouped(ours as u64)]);
    }
    table
}

fn count(reads: &[TestRead]) -> String {
    grouped(reads.len() as u64)
}

/// `2026-11-22`.
fn day(read: &TestRead) -> String {
    utc(read.unix_seconds).chars().take("2026-11-22".len()).collect()
}
