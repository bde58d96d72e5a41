//! Losses of ensembles over their number of members K, up to infinitely many.

use super::ids;
use crate::draw::table::{Align, Cell, Table};
use crate::eval::statistics::PairedDifference;
use crate::laws::{AxisLaw, NO_ASYMPTOTE, Refusal};
use crate::number::{MISSING, signed};
use crate::report::number::interval;
use crate::report::page::Block;
use crate::spec::JobId;
use crate::store::Loss;
use crate::study::{MembersCurve, ensemble};

/// The ensembles of K members of one kind.
#[derive(Clone, Debug)]
pub struct MembersRow {
    /// K.
    pub members: usize,
    /// Over how many subsets the loss is a mean, where that is known.
    pub subsets: Option<usize>,
    /// Mean loss, nats per token.
    pub loss: Loss,
    /// Standard error over the choice of members, nats per token.
    pub member_error_nats: Option<f64>,
    /// Loss minus that of one member, paired over the text.
    pub gain: Option<PairedDifference>,
}

impl MembersRow {
    /// The curve of a scaling study.
    #[must_use]
    pub fn of_curve(curve: &MembersCurve) -> Vec<Self> {
        let row = |(index, loss): (usize, &Loss)| Self {
            members: index + 1,
            subsets: None,
            loss: loss.clone(),
            member_error_nats: None,
            gain: None,
        };
        curve.losses.iter().enumerate().map(row).collect()
    }

    /// The curve of an ensemble study.
    #[must_use]
    pub fn of_points(points: &[ensemble::Point]) -> Vec<Self> {
        let row = |point: &ensemble::Point| Self {
            members: point.members,
            subsets: Some(point.subsets),
            loss: point.loss.clone(),
            member_error_nats: point.member_error_nats,
            gain: (point.members > 1).then_some(point.gain),
        };
        points.iter().map(row).collect()
    }
}

/// The table with its sentence; `place` is the split that was read, for example "test".
#[must_use]
pub fn members(
    rows: &[MembersRow],
    law: &Result<AxisLaw, Refusal>,
    evaluation: JobId,
    place: &str,
) -> Block {
    let mut caption = format!(
        "Mean over all ensembles of K of the members on {place} ± one standard error, clustered by \
         blocks of text."
    );
    if rows.iter().any(|row| row.gain.is_some()) {
        caption += " The gain is paired with single members on the same text, with its 95 % \
                    interval.";
    }
    match law {
        Ok(law) => match law.asymptote() {
            Some(asymptote) => {
                let level = 100.0 * asymptote.claim.interval.level;
                let over = asymptote.doubt;
                caption += &format!(
                    " The last row is the law's asymptote with its {level} % interval {over}."
                );
            }
            None => {
                caption += &format!(" There is no last row for infinitely many: {NO_ASYMPTOTE}.")
            }
        },
        Err(refusal) => caption += &format!(" There is no law in K: {refusal}."),
    }
    Block::table(members_table(rows, law, evaluation), caption)
}

/// A row per K, and the asymptote of the law if there is one. Columns that nothing fills are left
/// out.
#[must_use]
pub fn members_table(
    rows: &[MembersRow],
    law: &Result<AxisLaw, Refusal>,
    evaluation: JobId,
) -> Table {
    let subsets = rows.iter().any(|row| row.subsets.is_some());
    let errors = rows.iter().any(|row| row.member_error_nats.is_some());
    let gains = rows.iter().any(|row| row.gain.is_some());
    let mut columns = vec![("members K", Align::Right)];
    columns.extend(subsets.then_some(("subsets", Align::Right)));
    columns.push(("loss (nats/token)", Align::Right));
    columns.extend(errors.then_some(("s.e. over members", Align::Right)));
    columns.extend(gains.then_some(("minus one member", Align::Right)));
    columns.extend(gains.then_some(("interval", Align::Right)));
    let mut table = Table::new(&columns);
    let behind = ids([&evaluation]);
    let or_missing = |text: Option<String>| Cell::from(text.unwrap_or_else(|| MISSING.to_owned()));
    let mut push = |members: String, loss: String, row: Option<&MembersRow>| {
        let gain = row.and_then(|row| row.gain);
        let error = row.and_then(|row| row.member_error_nats);
        let count = row.and_then(|row| row.subsets).map(|count| count.to_string());
        let mut cells = vec![Cell::from(members)];
        cells.extend(subsets.then(|| or_missing(count)));
        cells.push(Cell::of(loss, &behind));
        cells.extend(errors.then(|| or_missing(error.map(|error| format!("{error:.4}")))));
        if gains {
            cells.push(or_missing(gain.map(|gain| signed(gain.estimate.mean))));
            cells.push(interval(gain.and_then(|gain| gain.bootstrap)).into());
        }
        table.push(cells);
    };
    for row in rows {
        push(row.members.to_string(), row.loss.text(), Some(row));
    }
    if let Some(asymptote) = law.as_ref().ok().and_then(AxisLaw::asymptote) {
        push("infinite".to_owned(), asymptote.claim.to_string(), None);
    }
    table
}
