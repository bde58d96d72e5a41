//! `scarce predict`: losses of planned runs by a law that was chosen before.

use std::path::PathBuf;

use clap::Args;
use serde_json::json;

use super::expression::Expression;
use super::forecasts;
use super::law_file::LawFile;
use super::rows::{Reader, Row};
use super::sheet::Sheet;
use crate::cli::print;
use crate::error::quoted_path;
use crate::exchange::Written;
use crate::laws::families::{Comparison, Forecast, Law, Place, Point, compare};
use crate::{Error, Result};

/// Arguments of `scarce predict`.
#[derive(Debug, Args)]
#[command(after_help = "\
The law comes from `scarce fit TABLE --law auto ... --json > LAW.json`; the table of planned runs
has its columns for parameters, unique tokens and tokens (or epochs). Where a row has a loss, too,
it is set beside the prediction. An interval is the larger of what statistics knows (refits, spread
of the families, noise) and of the errors that nested folds made; a run that lies farther beyond the
measured ones than the folds went is named.")]
pub(in crate::cli) struct PredictArgs {
    /// The law, as `scarce fit --law auto --json` prints it
    #[arg(value_name = "LAW.json")]
    law: PathBuf,
    /// Table of the runs, comma-separated, in the columns and units of the law's own table
    #[arg(long, value_name = "TABLE.csv")]
    runs: PathBuf,
    /// Column of the names of runs [default: name, run, run_name, id or run_id]
    #[arg(long, value_name = "COL")]
    name: Option<String>,
    /// Level of the intervals [default: the law's]
    #[arg(long)]
    level: Option<f64>,
    /// Print one object of JSON
    #[arg(long)]
    json: bool,
}

/// Reads law and table, predicts, prints.
pub(in crate::cli) fn run(arguments: &PredictArgs) -> Result<()> {
    let file = LawFile::read(&arguments.law)?;
    let law = file.law().map_err(|error| error.within(quoted_path(&arguments.law)))?;
    let level = arguments.level.unwrap_or(file.level);
    if !(level > 0.0 && level < 1.0) {
        let text = format!("--level {level} does not lie between 0 and 1");
        return Err(Error::usage(text).hint("write 0.9 for 90 %"));
    }
    let sheet = Sheet::read(&arguments.runs, Written::default())?;
    let reader = Reader::new(&sheet, &file.columns, arguments.name.as_deref(), true)?;
    let rows = reader.rows(true)?;
    let units = file.units();
    let places: Vec<Place> = rows.iter().map(|row| units.place(row.n, row.t, row.u)).collect();
    let axes = file.axes();
    let asked = axes.get(4).map(|text| asked(text, &sheet, rows.len())).transpose()?;
    let key = |index: usize| asked.as_ref().map(|asked| asked[index]);
    let forecasts: Vec<Forecast> = places
        .iter()
        .enumerate()
        .map(|(index, place)| law.forecast(place, key(index), level))
        .collect();
    let held = went(&law, &rows, &places, asked.as_deref(), level);
    let rows: Vec<&Row> = rows.iter().collect();
    if arguments.json {
        let went = held.map(|held| {
            json!({
                "runs": held.forecasts.len(),
                "r2": held.r_squared,
                "mean_ln_error": held.mean_error,
                "inside": held.inside,
                "median_half_width": held.half_width,
            })
        });
        print::json(&json!({
            "level": level,
            "law_runs": file.runs,
            "went": went,
            "predictions": forecasts::json(&rows, &forecasts, &axes),
        }));
        return Ok(());
    }
    let mut page = forecasts::table(&rows, &forecasts, &axes, level).to_text();
    if let Some(held) = held {
        page += &format!("\nhow it went: {}\n", forecasts::summary(&held, level));
    }
    print::data(&page);
    for sentence in forecasts::untested(&rows, &forecasts, &axes) {
        print::warning(&sentence);
    }
    Ok(())
}

/// The logarithms of the law's own axis.
fn asked(text: &str, sheet: &Sheet, rows: usize) -> Result<Vec<f64>> {
    let expression = Expression::parse(text)?;
    let bound = expression
        .bind(sheet)
        .map_err(|error| error.hint(format!("the law was weighted along {text}")))?;
    (0..rows).map(|row| bound.ln_value(row, text)).collect()
}

/// How the runs went whose losses are known.
fn went(
    law: &Law,
    rows: &[Row],
    places: &[Place],
    asked: Option<&[f64]>,
    level: f64,
) -> Option<Comparison> {
    let mut points = Vec::new();
    let mut keys = Vec::new();
    for (index, row) in rows.iter().enumerate() {
        let Some(loss) = row.loss else { continue };
        points.push(Point { place: places[index], loss });
        keys.extend(asked.map(|asked| asked[index]));
    }
    let keys = asked.is_some().then_some(&keys[..]);
    (!points.is_empty()).then(|| compare(law, &points, keys, level))
}
