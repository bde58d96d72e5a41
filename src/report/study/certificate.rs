//! The certificate of a search: the best point and everything one step away from it.

use super::ids;
use crate::draw::table::{Align, Cell, Table};
use crate::eval::statistics::Verdict;
use crate::number::{self, MISSING};
use crate::report::number::interval;
use crate::report::page::Block;
use crate::study::tune::{Certificate, Mode};
use crate::study::{Axis, Basis, Difference, Score, Step, Trial};

/// Column of the verdict.
const VERDICT: usize = 8;

/// The table with what it says: the sentence on intervals, the flat set. Edges have rows.
///
/// `published` are the differences of the neighbors on `test`, in their order, where they were
/// measured.
#[must_use]
pub fn certificate(
    mode: Mode,
    certificate: &Certificate,
    published: Option<&[Difference]>,
) -> Vec<Block> {
    let table = certificate_table(mode, certificate, published);
    let caption = basis(certificate.neighbors.first().map(|neighbor| neighbor.difference));
    let caption = format!(
        "Final losses on val, never the best over training; {caption}. The time scale of AdamW, \
         1 / (lr · weight decay · steps per epoch), is how many epochs its average of weights \
         reaches back."
    );
    let mut blocks = vec![Block::table(table, caption)];
    blocks.extend(flat_sentence(certificate).map(Block::Text));
    blocks
}

/// A row for the best point, one per neighbor and one per end of the grid at which it lies.
///
/// # Panics
/// If `published` has not one difference per neighbor.
#[must_use]
pub fn certificate_table(
    mode: Mode,
    certificate: &Certificate,
    published: Option<&[Difference]>,
) -> Table {
    let mut columns = vec![
        ("point", Align::Left),
        ("epochs", Align::Right),
        ("lr", Align::Right),
        ("weight decay", Align::Right),
        ("time scale (epochs)", Align::Right),
        (score_name(mode), Align::Right),
        ("minus best", Align::Right),
        ("interval", Align::Right),
        ("verdict", Align::Left),
    ];
    if published.is_some() {
        columns.extend([("on test", Align::Right), ("interval on test", Align::Right)]);
    }
    let Certificate { center, neighbors, edges, .. } = certificate;
    if let Some(published) = published {
        assert_eq!(published.len(), neighbors.len(), "one difference per neighbor");
    }
    let mut table = Table::new(&columns);
    let mut push = |mut row: Vec<Cell>| {
        row.resize(columns.len(), Cell::default());
        table.push(row);
    };
    push(point("best".to_owned(), center));
    for (index, neighbor) in neighbors.iter().enumerate() {
        let mut row = point(direction(neighbor.axis, neighbor.step), &neighbor.trial);
        let both = ids(neighbor.trial.records.iter().chain(&center.records));
        row.extend(compared(&neighbor.difference, &both));
        row.push(neighbor.difference.verdict().to_string().into());
        if let Some(published) = published {
            row.extend(compared(&published[index], &both));
        }
        push(row);
    }
    for &(axis, step) in edges {
        let mut row = vec![Cell::from(MISSING); VERDICT + 1];
        row[0] = direction(axis, step).into();
        row[VERDICT] = "edge of the grid".into();
        push(row);
    }
    table
}

/// The set of points that cannot be told from the best, if there is more than that one.
#[must_use]
pub fn flat_sentence(certificate: &Certificate) -> Option<String> {
    let settings: Vec<String> = certificate.flat.iter().map(ToString::to_string).collect();
    (settings.len() > 1).then(|| {
        format!(
            "The optimum is flat: {} points cannot be told apart at this noise: {}.",
            settings.len(),
            settings.join("; ")
        )
    })
}

/// What a certificate comes to, in a line: "16 epochs, lr 0.01, weight decay 1.6: every neighbor is
/// worse".
#[must_use]
pub fn certificate_line(certificate: &Certificate) -> String {
    let count = |wanted: Verdict| {
        let verdicts = certificate.neighbors.iter().map(|n| n.difference.verdict());
        verdicts.filter(|verdict| *verdict == wanted).count()
    };
    let worse = count(Verdict::Worse);
    let (better, unclear) = (count(Verdict::Better), count(Verdict::NotDistinguishable));
    let mut parts = Vec::new();
    match certificate.neighbors.len() {
        0 => parts.push("no neighbor to compare with".to_owned()),
        all if worse == all => parts.push("every neighbor is worse".to_owned()),
        all => parts.push(format!("{worse} of {all} neighbors are worse")),
    }
    if better > 0 {
        parts.push(format!("{better} better"));
    }
    if unclear > 0 {
        parts.push(format!("{unclear} not distinguishable"));
    }
    if !certificate.edges.is_empty() {
        parts.push("at the edge of the grid".to_owned());
    }
    format!("{}: {}", certificate.center.setting, parts.join(", "))
}

/// What the intervals of a certificate mean, as a fragment.
#[must_use]
pub fn basis(difference: Option<Difference>) -> String {
    match difference.map(|difference| difference.basis) {
        Some(Basis::TextAndSeeds { seeds }) => {
            format!("95 % intervals over blocks of val and over {seeds} seeds")
        }
        Some(Basis::Text) => "95 % intervals over blocks of val, for this one seed: what chance \
                              in seeds does is not in them (--certificate-seeds 3 measures it)"
            .to_owned(),
        Some(Basis::Asymptotes) => "90 % intervals of the asymptotes over the choice of members; \
                                    points differ where these do not touch"
            .to_owned(),
        None => "the grid has one point".to_owned(),
    }
}

/// A score with what is known of its error.
#[must_use]
pub fn score(score: &Score) -> String {
    match score {
        Score::Loss { nats, standard_error: Some(error) } => format!("{nats:.4} ± {error:.4}"),
        Score::Loss { nats, standard_error: None } => format!("{nats:.4} ± ?"),
        Score::Asymptote { claim, .. } => claim.to_string(),
        Score::NoLaw { measured, .. } => format!("no law; {measured:.4} with all members"),
        Score::Diverged { .. } => "diverged".to_owned(),
    }
}

fn score_name(mode: Mode) -> &'static str {
    match mode {
        Mode::Standard | Mode::Regularized => "loss on val (nats/token)",
        Mode::Ensemble => "asymptote on val (nats/token)",
    }
}

/// "weight decay +", with a true minus sign for the other direction.
fn direction(axis: Axis, step: Step) -> String {
    let sign = if step == Step::Up { '+' } else { '−' };
    format!("{} {sign}", axis.name())
}

/// The columns of a point up to its score.
fn point(name: String, trial: &Trial) -> Vec<Cell> {
    let setting = &trial.setting;
    let timescale = match trial.timescale_epochs {
        scale if scale.is_finite() => format!("{scale:.3}"),
        _ => "none".to_owned(),
    };
    let behind = match &trial.score {
        Score::Loss { .. } => ids(&trial.records),
        Score::Asymptote { evaluation, .. } | Score::NoLaw { evaluation, .. } => ids([evaluation]),
        Score::Diverged { record } => ids([record]),
    };
    vec![
        name.into(),
        setting.epochs.to_string().into(),
        setting.lr.to_string().into(),
        setting.weight_decay.to_string().into(),
        timescale.into(),
        Cell::of(score(&trial.score), &behind),
    ]
}

fn compared(difference: &Difference, records: &[String]) -> [Cell; 2] {
    if difference.mean.is_infinite() {
        return [MISSING.into(), MISSING.into()];
    }
    let mean = number::signed(difference.mean);
    [Cell::of(mean, records), interval(difference.interval).into()]
}
