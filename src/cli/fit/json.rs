//! A group's law as a line of JSON. An open end of an interval is null.

use serde_json::{Map, Value, json};

use super::{Answer, Answered, robust, text};
use crate::laws::{
    Candidate, Estimate, Fit, HeldOut, Interval, JointFit, Limit, Multiplier, NoLimit, Order,
    Parameter, Residuals, Scatter, SurfaceFit,
};

/// The line of a group.
pub(super) fn line(answered: &Answered) -> Value {
    let mut object = answer(&answered.answer);
    if let Some(residuals) = text::residuals(&answered.answer) {
        object.insert("residuals".to_owned(), of_residuals(residuals, answered));
    }
    for key in ["A", "alpha", "E", "intervals", "r2"] {
        object.entry(key).or_insert(Value::Null);
    }
    object.insert("group".to_owned(), json!(answered.name));
    object.insert("n".to_owned(), json!(answered.points));
    object.insert("warnings".to_owned(), json!(answered.warnings()));
    Value::Object(object)
}

fn answer(answer: &Answer) -> Map<String, Value> {
    match answer {
        Answer::Line(fit, reached) => {
            let mut object = law(fit);
            if !reached.is_empty() {
                let multipliers = reached.iter().map(|(loss, found)| reach(*loss, found));
                object.insert("multipliers".to_owned(), multipliers.collect());
            }
            object
        }
        Answer::Surface(fit) => surface(fit),
        Answer::Joint(fit) => joint(fit),
        Answer::Robust(fit, squares) => robust::json(fit, self::answer(squares)),
        Answer::Refused(..) => Map::new(),
    }
}

/// The largest residual with its line, and the tails.
fn of_residuals(residuals: &Residuals, answered: &Answered) -> Value {
    let line = |point: &usize| answered.lines.get(*point);
    let far: Vec<_> = residuals.far_points.iter().filter_map(line).collect();
    json!({
        "largest": residuals.largest,
        "largest_sd": residuals.deviations,
        "largest_line": answered.lines.get(residuals.furthest),
        "stands_out": residuals.stands_out,
        "robust_sd": residuals.robust_deviation,
        "beyond_4_robust_sd": residuals.far,
        "far_lines": far,
        "heavy_tails": residuals.heavy_tails,
        "excess_kurtosis": residuals.excess_kurtosis,
    })
}

fn object<const N: usize>(entries: [(&str, Value); N]) -> Map<String, Value> {
    entries.into_iter().map(|(key, value)| (key.to_owned(), value)).collect()
}

/// A law of one axis.
fn law(fit: &Fit) -> Map<String, Value> {
    let level = fit.asymptote.profile.level;
    let intervals = object([
        ("level", json!(level)),
        ("noise", noise(fit.scatter)),
        ("E", estimate(&fit.asymptote)),
        ("alpha", estimate(&fit.exponent)),
        ("A", estimate(&fit.coefficient)),
        ("largest_held_out", held_out(fit.held_out)),
        ("aicc", criteria(&fit.candidates)),
    ]);
    object([
        ("A", json!(fit.law.a)),
        ("alpha", json!(fit.law.alpha)),
        ("E", json!(fit.law.e)),
        ("intervals", Value::Object(intervals)),
        ("r2", json!(fit.r_squared)),
    ])
}

/// A law of several axes.
fn surface(fit: &SurfaceFit) -> Map<String, Value> {
    let mut intervals = Map::new();
    let mut object = object([("r2", json!(fit.r_squared))]);
    for (parameter, found) in &fit.estimates {
        object.insert(parameter.name().to_owned(), json!(found.value));
        intervals.insert(parameter.name().to_owned(), estimate(found));
    }
    let level = fit.get(Parameter::E).map(|e| e.profile.level);
    intervals.insert("level".to_owned(), json!(level));
    intervals.insert("noise".to_owned(), noise(fit.scatter));
    intervals.insert("largest_held_out".to_owned(), held_out(fit.held_out));
    object.insert("intervals".to_owned(), Value::Object(intervals));
    object
}

/// Both orders, and at the top the law of the paper's order.
fn joint(fit: &JointFit) -> Map<String, Value> {
    let mut object = fit.members_first.as_ref().map_or_else(|_| Map::new(), last);
    let limits = orders(fit).map(|(order, limit)| {
        let mut entry = match limit {
            Ok(limit) => {
                let mut entry = last(limit);
                let stages = limit.stages.iter().map(|(at, fit)| {
                    let mut stage = law(fit);
                    stage.insert("at".to_owned(), json!(at));
                    Value::Object(stage)
                });
                entry.insert("stages".to_owned(), stages.collect());
                entry
            }
            Err(why) => self::object([("refused", json!(why.to_string()))]),
        };
        entry.insert("order".to_owned(), json!(order.axes()));
        Value::Object(entry)
    });
    object.insert("orders".to_owned(), limits.into_iter().collect());
    object.insert("gap".to_owned(), json!(fit.gap()));
    object
}

/// The last law of an order, with the bootstrap through both stages and the noise of a loss.
fn last(limit: &Limit) -> Map<String, Value> {
    let mut object = law(&limit.law);
    if let Some(intervals) = object.get_mut("intervals") {
        intervals["E"]["bootstrap_of_both_stages"] = interval(&limit.bootstrap);
        intervals["noise_of_a_loss"] = noise(limit.scatter);
    }
    object
}

/// Both orders, the paper's first.
pub(super) fn orders(fit: &JointFit) -> [(Order, &Result<Limit, NoLimit>); 2] {
    [(Order::MembersFirst, &fit.members_first), (Order::ParametersFirst, &fit.parameters_first)]
}

fn estimate(estimate: &Estimate) -> Value {
    json!({
        "profile": interval(&estimate.profile),
        "bootstrap": interval(&estimate.bootstrap),
        "leave_one_out": estimate.leave_one_out,
        "covers_leave_one_out": estimate.covers_leave_one_out(),
    })
}

fn interval(interval: &Interval) -> Value {
    json!([interval.low.value(), interval.high.value()])
}

fn noise(scatter: Scatter) -> Value {
    json!({ "sd": scatter.deviation, "degrees": scatter.degrees })
}

fn held_out(held_out: Option<HeldOut>) -> Value {
    held_out.map_or(Value::Null, |held| {
        json!({
            "x": held.x,
            "measured": held.measured,
            "predicted": held.predicted,
            "error": held.error(),
        })
    })
}

fn criteria(candidates: &[Candidate]) -> Value {
    candidates.iter().map(|shape| (shape.name().to_owned(), json!(shape.criterion))).collect()
}

fn reach(loss: f64, found: &[Multiplier; 3]) -> Value {
    let mut entry = object([("loss", json!(loss))]);
    for multiplier in found {
        let value = json!({
            "value": multiplier.value.ok(),
            "profile": multiplier.profile.as_ref().map(interval),
            "bootstrap": multiplier.bootstrap.as_ref().map(interval),
        });
        entry.insert(multiplier.interpolation.name().to_owned(), value);
    }
    Value::Object(entry)
}
