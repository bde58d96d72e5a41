//! An ensemble study as tables for the terminal.

use crate::eval::statistics::PairedDifference;
use crate::laws::{Fit, Refusal, digits};
use crate::report::number::{MISSING, grouped, interval, signed};
use crate::report::table::{Align, Table};
use crate::spec::TrainSpec;
use crate::store::Loss;
use crate::study::ensemble::{Average, Curve, FamilyOutcome, Law, Outcome, Point};

/// Everything that goes to standard output.
pub(super) fn page(outcome: &Outcome, base: &TrainSpec) -> String {
    let Some(first) = outcome.families.first() else { return String::new() };
    let mut page = format!(
        "{} members of {} parameters on {}, {} tokens predicted; ± is one standard error over \
         text\n",
        first.members.len(),
        grouped(base.model.parameters()),
        outcome.split,
        grouped(first.singles.first().map_or(0, |loss| loss.tokens)),
    );
    let tables = [curves(outcome), laws(outcome), diversity(outcome), soups(outcome)];
    for table in tables.into_iter().chain([comparisons(outcome)]) {
        if !table.rows().is_empty() {
            page += &format!("\n{}", table.to_text());
        }
    }
    page.push('\n');
    for family in &outcome.families {
        page += &format!("{:<6} record {}\n", family.family, family.evaluation);
    }
    page
}

/// What must be known to read the tables, for standard error.
pub(super) fn notes(outcome: &Outcome) -> Vec<String> {
    let mut notes = vec![
        "note: the points of a curve share members and scatter little: the law's own interval is \
         about these members alone; for others, `E of any such members` leaves out each in turn"
            .to_owned(),
    ];
    for (family, curve) in all_curves(outcome) {
        let place = format!("{}, {}", family.family, curve.average);
        match &curve.law {
            Ok(law) => {
                let warnings = law.fit.warnings.iter();
                notes.extend(warnings.map(|warning| format!("warning: {place}: {warning}")));
            }
            Err(refusal) => {
                notes.push(format!("note: {place}: no law: {refusal}; {}", refusal.hint()));
            }
        }
    }
    notes
}

fn all_curves(outcome: &Outcome) -> impl Iterator<Item = (&FamilyOutcome, &Curve)> {
    outcome.families.iter().flat_map(|family| family.curves.iter().map(move |c| (family, c)))
}

fn curves(outcome: &Outcome) -> Table {
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
    for (family, curve) in all_curves(outcome) {
        // One member is no average: it stands there once.
        let skipped = usize::from(curve.average != Average::Logits);
        for point in curve.points.iter().skip(skipped) {
            table.push(point_row(family, curve, point));
        }
    }
    table
}

fn point_row(family: &FamilyOutcome, curve: &Curve, point: &Point) -> [String; 9] {
    let single = point.members == 1;
    let optional = |value: Option<f64>| value.map_or_else(|| MISSING.to_owned(), digits);
    let above = point.loss.above_floor.map(|above| above.text());
    [
        family.family.to_string(),
        if single { "one member".to_owned() } else { curve.average.to_string() },
        point.members.to_string(),
        point.subsets.to_string(),
        point.loss.text(),
        if single { MISSING.to_owned() } else { difference(&point.gain) },
        optional(point.deviation_nats),
        optional(point.member_error_nats),
        above.unwrap_or_else(|| MISSING.to_owned()),
    ]
}

/// "-0.0446 ± 0.0012".
fn difference(difference: &PairedDifference) -> String {
    let estimate = &difference.estimate;
    let error = estimate.standard_error.map_or_else(|| "?".to_owned(), |e| format!("{e:.4}"));
    format!("{} ± {error}", signed(estimate.mean))
}

fn laws(outcome: &Outcome) -> Table {
    let mut table = Table::new(&[
        ("vary", Align::Left),
        ("law in K of", Align::Left),
        ("points", Align::Right),
        ("E of these members", Align::Right),
        ("E of any such members", Align::Right),
        ("alpha", Align::Right),
        ("A", Align::Right),
    ]);
    for (family, curve) in all_curves(outcome) {
        let mut push = |points: usize, law: Result<&Fit, &Refusal>, over: Option<&Law>| {
            let [e, alpha, a] = match law {
                Ok(fit) => [
                    fit.asymptote.claim().to_string(),
                    fit.exponent.claim().to_string(),
                    fit.coefficient.claim().to_string(),
                ],
                Err(_) => ["no law", MISSING, MISSING].map(str::to_owned),
            };
            let over = over.and_then(|law| law.over_members);
            let over = over.map_or_else(|| MISSING.to_owned(), |over| over.interval.to_string());
            let (family, average) = (family.family.to_string(), curve.average.to_string());
            table.push([family, average, points.to_string(), e, over, alpha, a]);
        };
        let law = curve.law.as_ref();
        push(curve.points.len(), law.map(|law| &law.fit), law.ok());
        if let Some(first_four) = &curve.first_four {
            push(4, first_four.as_ref(), None);
        }
    }
    table
}

fn diversity(outcome: &Outcome) -> Table {
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
            family.family.to_string(),
            family.single_deviation_nats.map_or_else(|| MISSING.to_owned(), digits),
            difference(&diversity.log_z),
            digits(diversity.divergence_nats),
            format!("{:.1} %", 100.0 * diversity.disagreement_share),
        ]);
    }
    table
}

fn soups(outcome: &Outcome) -> Table {
    let mut table = Table::new(&[
        ("vary", Align::Left),
        ("weights averaged", Align::Right),
        ("loss (nats/token)", Align::Right),
        ("to one member", Align::Right),
    ]);
    for family in &outcome.families {
        for soup in &family.soups {
            table.push([
                family.family.to_string(),
                soup.members.to_string(),
                Loss::text(&soup.loss),
                difference(&soup.to_single),
            ]);
        }
    }
    table
}

fn comparisons(outcome: &Outcome) -> Table {
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
