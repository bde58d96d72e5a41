//! Predictions as tables, sentences and JSON.

use serde_json::{Value, json};

use crate::analysis::table::Row;
use crate::draw::table::{Align, Table};
use crate::error::quoted;
use crate::laws::families::{Beyond, Comparison, Forecast};
use crate::number::MISSING;

/// One line about how predictions went.
pub(super) fn summary(held: &Comparison, level: f64) -> String {
    let r2 = held.r_squared.map_or_else(|| MISSING.to_owned(), |r2| format!("{r2:.3}"));
    format!(
        "R2 {r2}, mean |ln(predicted / measured)| {:.4}, {} of {} runs inside their {} % \
         intervals, whose median half-width is {:.1} %",
        held.mean_error,
        held.inside,
        held.forecasts.len(),
        100.0 * level,
        100.0 * held.half_width,
    )
}

/// A row for each run.
pub(super) fn table(rows: &[&Row], forecasts: &[Forecast], axes: &[String], level: f64) -> Table {
    let predicted = format!("predicted ({} % interval)", 100.0 * level);
    let mut table = Table::new(&[
        ("run", Align::Left),
        ("measured", Align::Right),
        (&predicted, Align::Right),
        ("error", Align::Right),
        ("beyond the edge", Align::Left),
    ]);
    for (row, forecast) in rows.iter().zip(forecasts) {
        let Forecast { loss, low, high, .. } = forecast;
        let error = row.loss.map(|measured| 100.0 * (loss / measured - 1.0));
        let outside = row.loss.is_some_and(|measured| !(*low..=*high).contains(&measured));
        let mark = if outside { " !" } else { "" };
        table.push([
            row.name.clone(),
            row.loss.map_or_else(|| MISSING.to_owned(), |loss| format!("{loss:.4}")),
            format!("{loss:.4} ({low:.4} to {high:.4})"),
            error.map_or_else(|| MISSING.to_owned(), |error| format!("{error:+.1} %{mark}")),
            forecast.beyond.iter().map(|b| place(b, axes)).collect::<Vec<_>>().join(", "),
        ]);
    }
    table
}

/// "tokens x2.5", with a mark where the folds did not go so far.
fn place(beyond: &Beyond, axes: &[String]) -> String {
    let mark = if beyond.is_untested() { " (untested)" } else { "" };
    format!("{} x{:.2}{mark}", quoted(&axes[beyond.axis]), libm::exp(beyond.distance))
}

/// A sentence for each axis along which runs lie farther out than the folds can vouch for.
pub(super) fn untested(rows: &[&Row], forecasts: &[Forecast], axes: &[String]) -> Vec<String> {
    let mut sentences = Vec::new();
    for (axis, name) in axes.iter().enumerate() {
        let far = |forecast: &Forecast| {
            forecast.beyond.iter().copied().find(|b| b.axis == axis && b.is_untested())
        };
        let found = rows.iter().zip(forecasts).filter_map(|(row, f)| Some((row, far(f)?)));
        let mut found: Vec<(&&Row, Beyond)> = found.collect();
        found.sort_by(|left, right| right.1.distance.total_cmp(&left.1.distance));
        let Some((row, beyond)) = found.first() else { continue };
        let (others, verb) = match found.len() - 1 {
            0 => (String::new(), "lies"),
            more => (format!(" and {more} more"), "lie"),
        };
        let name = quoted(name);
        sentences.push(format!(
            "{}{others} {verb} outside of what was tested: up to {:.2} times the largest {name}, \
             where the nested folds went to {:.2} times; nothing vouches for such intervals",
            row.name,
            libm::exp(beyond.distance),
            libm::exp(beyond.tested),
        ));
    }
    sentences
}

/// An object for each run.
pub(super) fn json(rows: &[&Row], forecasts: &[Forecast], axes: &[String]) -> Value {
    let object = |(row, forecast): (&&Row, &Forecast)| {
        let beyond = forecast.beyond.iter().map(|beyond| {
            json!({
                "axis": axes[beyond.axis],
                "ln_distance": beyond.distance,
                "ln_tested": beyond.tested,
                "untested": beyond.is_untested(),
            })
        });
        json!({
            "run": row.name,
            "line": row.line,
            "n": row.n,
            "t": row.t,
            "u": row.u,
            "measured": row.loss,
            "predicted": forecast.loss,
            "low": forecast.low,
            "high": forecast.high,
            "beyond": beyond.collect::<Vec<_>>(),
        })
    };
    rows.iter().zip(forecasts).map(object).collect()
}
