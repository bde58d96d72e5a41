//! The result in plain sentences, each as strong as its interval allows.

use super::number::interval;
use super::quickstart::{ComparisonRow, QuickstartReport, RecipeRow};
use crate::eval::statistics::{Interval, Verdict};

/// One paragraph for a reader who sees nothing else.
#[must_use]
pub fn paragraph(report: &QuickstartReport) -> String {
    let mut sentences = Vec::new();
    sentences.extend(lowest(report));
    sentences.extend(report.comparisons.iter().map(comparison));
    let diverged: Vec<&str> = report
        .recipes
        .iter()
        .filter(|row| row.loss.is_none())
        .map(|row| row.name.as_str())
        .collect();
    if !diverged.is_empty() {
        sentences.push(format!("Diverged and left no loss: {}.", diverged.join(", ")));
    }
    sentences.push(
        "Differences are in nats per token, in brackets their 95 % intervals over blocks of the \
         test split; they hold for these seeds, and other seeds would move them."
            .to_owned(),
    );
    sentences.join(" ")
}

/// The lowest loss, said as a fact about the table and not as a verdict.
fn lowest(report: &QuickstartReport) -> Option<String> {
    let with_loss = |row: &RecipeRow| row.loss.map(|loss| (row.name.clone(), loss, row.excess));
    let (name, loss, excess) = report
        .recipes
        .iter()
        .filter_map(with_loss)
        .min_by(|(_, left, _), (_, right, _)| left.mean.total_cmp(&right.mean))?;
    let above = match (report.floor_nats, excess) {
        (Some(floor), Some(excess)) => format!(
            ", {:.4} above the floor of {floor:.4} that no predictor can beat on average",
            excess.mean
        ),
        _ => String::new(),
    };
    Some(format!(
        "The lowest test loss in the table is {:.4} nats per token, by {name}{above}.",
        loss.mean
    ))
}

fn comparison(row: &ComparisonRow) -> String {
    let (left, right) = (&row.left, &row.right);
    let difference = &row.difference;
    let mean = difference.estimate.mean;
    // A difference that is said in words, "better by", is said without a sign.
    let size = |Interval { low, high, .. }: Interval| {
        let (least, most) = (low.abs().min(high.abs()), low.abs().max(high.abs()));
        format!("{:.4} ({least:.4} to {most:.4})", mean.abs())
    };
    let answer = match (difference.verdict(), difference.bootstrap) {
        (_, None) => format!("a single test block cannot tell {left} from {right}."),
        (Verdict::Better, Some(ends)) => {
            format!("{left} is better than {right} by {}.", size(ends))
        }
        (Verdict::Worse, Some(ends)) => format!("{left} is worse than {right} by {}.", size(ends)),
        (Verdict::NotDistinguishable, ends) => {
            format!("no difference seen between {left} and {right}: {}.", interval(ends))
        }
    };
    format!("{} {}", row.question, capitalized(&answer))
}

/// Sentences start with a capital, but names of recipes stay as they are.
fn capitalized(sentence: &str) -> String {
    match sentence.split_once(' ') {
        Some((first @ ("a" | "no"), rest)) => {
            format!("{}{} {rest}", first[..1].to_uppercase(), &first[1..])
        }
        _ => sentence.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::eval::statistics::paired_difference;
    use crate::report::quickstart::examples;

    #[test]
    fn sentences_are_as_strong_as_their_intervals() {
        let text = paragraph(&examples::language());
        assert!(text.starts_with(
            "The lowest test loss in the table is 2.7066 nats per token, by ensemble-3, 0.3858"
        ));
        assert!(text.contains("Do more epochs hurt? standard-32 is worse than standard-16 by"));
        assert!(text.contains("ensemble-3 is better than larger by 0.0446 (0.04"), "{text}");
        assert!(text.contains("No difference seen between larger and regularized: -0.0"), "{text}");
        assert!(!paragraph(&examples::books()).contains("floor"));
    }

    #[test]
    fn weak_evidence_is_called_weak() {
        let mut report = examples::books();
        report.recipes[0].loss = None;
        report.comparisons.truncate(1);
        report.comparisons[0].difference = paired_difference(&[1.0], &[2.0], &[1.0]);
        let text = paragraph(&report);
        assert!(text.contains("A single test block cannot tell standard-32 from"), "{text}");
        assert!(text.contains("Diverged and left no loss: standard-4."), "{text}");
        report.recipes.clear();
        report.comparisons.clear();
        assert!(paragraph(&report).starts_with("Differences are"));
    }
}
