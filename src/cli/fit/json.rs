//! A group's law as a line of JSON: the law, and what only the table knows.

use serde_json::{Value, json};

use super::{Answer, Answered, text};
use crate::laws::Multiplier;

/// The line of a group.
pub(super) fn line(answered: &Answered) -> Value {
    let mut line = answer(&answered.answer);
    if let Some(residuals) = text::residuals(&answered.answer) {
        let of = |point: &usize| answered.lines.get(*point);
        let far: Vec<_> = residuals.far_points.iter().filter_map(of).collect();
        line["residuals"]["largest_line"] = json!(of(&residuals.furthest));
        line["residuals"]["far_lines"] = json!(far);
    }
    for key in ["A", "alpha", "E", "intervals", "r2"] {
        if line.get(key).is_none() {
            line[key] = Value::Null;
        }
    }
    line["group"] = json!(answered.name);
    line["n"] = json!(answered.points);
    line["warnings"] = json!(answered.warnings());
    line
}

fn answer(answer: &Answer) -> Value {
    match answer {
        Answer::Line(fit, reached) => {
            let mut told = json!(fit);
            if !reached.is_empty() {
                told["multipliers"] = reached.iter().map(reach).collect();
            }
            told
        }
        Answer::Surface(fit) => json!(fit),
        Answer::Joint(fit) => json!(fit),
        Answer::Robust(fit, squares) => {
            let mut told = json!(fit);
            told["least_squares"] = self::answer(squares);
            told
        }
        Answer::Refused(..) => json!({}),
    }
}

fn reach((loss, found): &(f64, [Multiplier; 3])) -> Value {
    let mut entry = json!({ "loss": loss });
    for multiplier in found {
        entry[multiplier.interpolation.name()] = json!(multiplier);
    }
    entry
}
