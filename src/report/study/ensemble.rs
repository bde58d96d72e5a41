//! An ensemble study as tables, and as sections of a page.

use super::{ids, messages};
use crate::draw::table::{Align, Cell, Table};
use crate::eval::statistics::PairedDifference;
use crate::laws::{AxisLaw, NO_ASYMPTOTE, Refusal};
use crate::number::{MISSING, digits, signed};
use crate::report::number::interval;
use crate::report::page::{Block, Section};
use crate::store::Average;
use crate::study::ensemble::{Curve, FamilyOutcome, Outcome, Point};

/// What must be known to read the laws in K.
pub const SHARED_MEMBERS: &str = "the points of a curve share members and scatter little: the \
                                  interval of E over the choice of members leaves out each in \
                                  turn; fewer than five members have none, and theirs is about \
                                  these members alone";

/// The study in a sentence per family.
#[must_use]
pub fn ensemble_headline(outcome: &Outcome) -> String {
    let sentence = |family: &FamilyOutcome| {
        let curve = family.curve(Average::Logits);
        let last = curve.last();
        let limit = match &curve.law {
            Ok(law) => match law.asymptote() {
                Some(end) => format!("the law in K ends at {}, {}", end.claim, end.doubt),
                None => format!("for infinitely many there is no number: {NO_ASYMPTOTE}"),
            },
            Err(refusal) => format!("there is no law in K: {refusal}"),
        };
        format!(
            "{} members that differ in {} average to {} nats per token on {} ({} to one member); \
             {limit}.",
            last.members,
            match family.family.name() {
                "both" => "both seeds".to_owned(),
                one => format!("the seed of {one}"),
            },
            last.loss.text(),
            outcome.split,
            difference(&last.gain),
        )
    };
    outcome.families.iter().map(sentence).collect::<Vec<_>>().join(" ")
}

/// The sections of an ensemble study's page.
#[must_use]
pub fn ensemble_sections(outcome: &Outcome, figures: Vec<Block>) -> Vec<Section> {
    let mut curves = Section::new("Ensembles over their members", "members");
    curves.blocks.push(Block::table(
        curves_table(outcome),
        format!(
            "Mean loss on {} over all subsets of K members, in nats per token ± one standard error \
             over blocks of text.",
            outcome.split
        ),
    ));
    curves.blocks.extend(figures);
    let mut laws = Section::new("Laws in K", "laws");
    laws.blocks.push(Block::table(
        member_laws_table(outcome),
        format!("In brackets 90 % profile intervals. Beware: {SHARED_MEMBERS}."),
    ));
    let mut diversity = Section::new("How the members differ", "diversity");
    diversity.blocks.push(Block::table(
        diversity_table(outcome),
        "E[log Z] is the whole gain of the logit average over its members.",
    ));
    diversity.blocks.push(Block::table(
        comparisons_table(outcome),
        "Paired over blocks of text, for these very members.",
    ));
    let soups = soups_table(outcome);
    if !soups.rows().is_empty() {
        diversity.blocks.push(Block::table(
            soups,
            "Averages of weights, the control: runs from scratch lie in basins of their own [F8].",
        ));
    }
    diversity.blocks.extend(messages(&outcome.messages));
    vec![curves, laws, diversity]
}

/// Losses over K of every family, by logits and by probabilities.
#[must_use]
pub fn curves_table(outcome: &Outcome) -> Table {
    let mut table = Table::new(&[
        ("vary", Align::Left),
        ("average of", Align::Left),
        ("K", Align::Right),
        ("subsets", Align::Right),
        ("loss (nats/token)", Align::Right),
        ("to one member", Align::Right),
        ("sd of subsets", Align::Right),
        ("error over members", Align::Right),
        ("above the floor", Align::Right),
    ]);
    for (family, curve) in outcome.curves() {
        // One member is no average: it stands there once.
        let skipped = usize::from(curve.average != Average::Logits);
        for point in curve.points.iter().skip(skipped) {
            table.push(point_row(family, curve, point));
        }
    }
    table
}

fn point_row(family: &FamilyOutcome, curve: &Curve, point: &Point) -> [Cell; 9] {
    let single = point.members == 1;
    let optional = |value: Option<f64>| value.map_or_else(|| MISSING.to_owned(), digits);
    let above = point.loss.above_floor.map(|above| above.text());
    let behind = ids([&family.evaluation]);
    [
        family.family.to_string().into(),
        if single { "one member".to_owned() } else { curve.average.to_string() }.into(),
        point.members.to_string().into(),
        point.subsets.to_string().into(),
        Cell::of(point.loss.text(), &behind),
        if single { MISSING.into() } else { Cell::of(difference(&point.gain), &behind) },
        optional(point.deviation_nats).into(),
        optional(point.member_error_nats).into(),
        above.map_or_else(|| MISSING.into(), |above| Cell::of(above, &behind)),
    ]
}

/// "-0.0446 ± 0.0012".
fn difference(difference: &PairedDifference) -> String {
    let estimate = &difference.estimate;
    let error = estimate.standard_error.map_or_else(|| "?".to_owned(), |e| format!("{e:.4}"));
    format!("{} ± {error}", signed(estimate.mean))
}

/// Laws in K.
#[must_use]
pub fn member_laws_table(outcome: &Outcome) -> Table {
    let mut table = Table::new(&[
        ("vary", Align::Left),
        ("law in K of", Align::Left),
        ("points", Align::Right),
        ("E", Align::Right),
        ("interval of E", Align::Left),
        ("alpha", Align::Right),
        ("A", Align::Right),
    ]);
    for (family, curve) in outcome.curves() {
        let behind = ids([&family.evaluation]);
        let mut push = |points: usize, law: &Result<AxisLaw, Refusal>| {
            let [e, over, alpha, a] = match law {
                Ok(law) => {
                    let end = law.asymptote();
                    [
                        end.map_or_else(|| "none".to_owned(), |end| end.claim.to_string()),
                        end.map_or_else(|| NO_ASYMPTOTE.to_owned(), |end| end.doubt.to_string()),
                        law.fit.exponent.claim().to_string(),
                        law.fit.coefficient.claim().to_string(),
                    ]
                }
                Err(_) => ["no law", MISSING, MISSING, MISSING].map(str::to_owned),
            };
            table.push([
                Cell::from(family.family.to_string()),
                curve.average.to_string().into(),
                points.to_string().into(),
                Cell::of(e, &behind),
                over.into(),
                alpha.into(),
                a.into(),
            ]);
        };
        push(curve.points.len(), &curve.law);
        if let Some(first_four) = &curve.first_four {
            push(4, first_four);
        }
    }
    table
}

/// How much the members differ.
#[must_use]
pub fn diversity_table(outcome: &Outcome) -> Table {
    let mut table = Table::new(&[
        ("vary", Align::Left),
        ("sd of members", Align::Right),
        ("E[log Z] of all", Align::Right),
        ("divergence of pairs (nats)", Align::Right),
        ("likeliest token differs", Align::Right),
    ]);
    for family in &outcome.families {
        let diversity = &family.diversity;
        table.push([
            Cell::from(family.family.to_string()),
            family.single_deviation_nats.map_or_else(|| MISSING.to_owned(), digits).into(),
            Cell::of(difference(&diversity.log_z), &ids([&family.evaluation])),
            digits(diversity.divergence_nats).into(),
            format!("{:.1} %", 100.0 * diversity.disagreement_share).into(),
        ]);
    }
    table
}

/// The control: averages of weights.
#[must_use]
pub fn soups_table(outcome: &Outcome) -> Table {
    let mut table = Table::new(&[
        ("vary", Align::Left),
        ("weights averaged", Align::Right),
        ("loss (nats/token)", Align::Right),
        ("to one member", Align::Right),
    ]);
    for family in &outcome.families {
        for soup in &family.soups {
            table.push([
                Cell::from(family.family.to_string()),
                soup.members.to_string().into(),
                Cell::of(soup.loss.text(), &ids([&family.evaluation])),
                difference(&soup.to_single).into(),
            ]);
        }
    }
    table
}

/// Families against each other, and the two averages of each.
#[must_use]
pub fn comparisons_table(outcome: &Outcome) -> Table {
    let mut table = Table::new(&[
        ("all members", Align::Left),
        ("minus", Align::Left),
        ("difference (nats/token)", Align::Right),
        ("95 % interval over text", Align::Right),
        ("verdict on the left", Align::Left),
    ]);
    for comparison in &outcome.comparisons {
        let name = |(family, average)| format!("{family}, {average}");
        let paired = &comparison.difference;
        table.push([
            name(comparison.left),
            name(comparison.right),
            difference(paired),
            interval(paired.bootstrap),
            paired.verdict().to_string(),
        ]);
    }
    table
}
