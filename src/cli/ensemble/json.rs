//! An ensemble study as one JSON object. An open end of an interval is null.

use serde_json::{Value, json};

use crate::eval::statistics::PairedDifference;
use crate::laws::{Estimate, Fit, Interval, Refusal};
use crate::store::{Average, Loss};
use crate::study::ensemble::{Comparison, Curve, Family, FamilyOutcome, Outcome, Point};

/// The whole outcome.
pub(crate) fn outcome(outcome: &Outcome) -> Value {
    let records: Vec<_> = outcome.records.iter().map(|record| record.id).collect();
    json!({
        "split": outcome.split,
        "families": outcome.families.iter().map(family).collect::<Vec<_>>(),
        "comparisons": outcome.comparisons.iter().map(comparison).collect::<Vec<_>>(),
        "messages": outcome.messages,
        "records": records,
    })
}

fn family(family: &FamilyOutcome) -> Value {
    let diversity = &family.diversity;
    let soup = |soup: &crate::study::ensemble::Soup| {
        json!({
            "members": soup.members,
            "loss": loss(&soup.loss),
            "to_one_member": difference(&soup.to_single),
        })
    };
    json!({
        "vary": family.family,
        "members": family.members,
        "evaluation": family.evaluation,
        "singles": family.singles.iter().map(loss).collect::<Vec<_>>(),
        "singles_sd_nats": family.single_deviation_nats,
        "curves": family.curves.iter().map(curve).collect::<Vec<_>>(),
        "diversity": {
            "log_z": difference(&diversity.log_z),
            "divergence_nats": diversity.divergence_nats,
            "disagreement_share": diversity.disagreement_share,
        },
        "soups": family.soups.iter().map(soup).collect::<Vec<_>>(),
    })
}

fn curve(curve: &Curve) -> Value {
    let law_of_all = curve.law.as_ref().map(|law| {
        let mut value = fit(&law.fit);
        value["over_members"] = law.over_members.map_or(Value::Null, |over| {
            json!({
                "standard_error_nats": over.error.nats,
                "E": interval(&law.end().claim.interval),
                "E_range": [over.range.0, over.range.1],
            })
        });
        value
    });
    let first_four = curve.first_four.as_ref().map(|law| law.as_ref().map(|law| fit(&law.fit)));
    json!({
        "average": curve.average,
        "points": curve.points.iter().map(point).collect::<Vec<_>>(),
        "law": law_of_all.unwrap_or_else(refused),
        "law_of_first_four": first_four.map(|law| law.unwrap_or_else(refused)),
    })
}

fn point(point: &Point) -> Value {
    json!({
        "members": point.members,
        "subsets": point.subsets,
        "loss": loss(&point.loss),
        "sd_of_subsets_nats": point.deviation_nats,
        "error_over_members_nats": point.member_error_nats,
        "to_one_member": difference(&point.gain),
        "prefix": loss(&point.prefix),
    })
}

fn comparison(comparison: &Comparison) -> Value {
    let side = |(family, average): (Family, Average)| json!({"vary": family, "average": average});
    json!({
        "left": side(comparison.left),
        "right": side(comparison.right),
        "difference": difference(&comparison.difference),
        "verdict": comparison.difference.verdict().to_string(),
    })
}

fn loss(loss: &Loss) -> Value {
    json!({
        "nats": loss.nats,
        "standard_error_nats": loss.standard_error_nats,
        "bits_per_byte": loss.bits_per_byte,
        "above_floor": loss.above_floor,
    })
}

fn difference(difference: &PairedDifference) -> Value {
    let interval = difference.bootstrap.map(|interval| [interval.low, interval.high]);
    json!({
        "nats": difference.estimate.mean,
        "standard_error_nats": difference.estimate.standard_error,
        "interval_95_nats": interval,
    })
}

/// The keys are those of `scarce fit`.
fn fit(fit: &Fit) -> Value {
    let warnings: Vec<String> = fit.warnings.iter().map(ToString::to_string).collect();
    json!({
        "A": fit.law.a,
        "alpha": fit.law.alpha,
        "E": fit.law.e,
        "intervals": {
            "level": fit.asymptote.profile.level,
            "A": estimate(&fit.coefficient),
            "alpha": estimate(&fit.exponent),
            "E": estimate(&fit.asymptote),
        },
        "r2": fit.r_squared,
        "n": fit.points,
        "warnings": warnings,
    })
}

fn estimate(estimate: &Estimate) -> Value {
    json!({
        "profile": interval(&estimate.profile),
        "bootstrap": interval(&estimate.bootstrap),
        "leave_one_out": estimate.leave_one_out,
    })
}

fn interval(interval: &Interval) -> Value {
    json!([interval.low.value(), interval.high.value()])
}

fn refused(refusal: impl std::borrow::Borrow<Refusal>) -> Value {
    json!({ "refused": refusal.borrow().to_string() })
}
