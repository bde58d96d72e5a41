//! `scarce predict`: losses of planned runs by a law that was chosen before.

use std::path::PathBuf;

use clap::Args;
use serde_json::json;

use super::checked_level;
use super::forecasts;
use crate::analysis::table::{Expression, LawFile, Reader, Row};
use crate::cli::print;
use crate::error::quoted_path;
use crate::exchange::Written;
use crate::exchange::sheet::Sheet;
use crate::laws::families::{Comparison, Forecast};
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
    let (path, name) = (&arguments.law, quoted_path(&arguments.law));
    let content = std::fs::read(path).map_err(|cause| Error::io("read", path, &cause))?;
    let file = LawFile::parse(&name, &content)?;
    let law = file.law().map_err(|error| error.within(&name))?;
    let level = checked_level(arguments.level.unwrap_or(file.level))?;
    let sheet = Sheet::read(&arguments.runs, Written::default())?;
    let reader = Reader::new(&sheet, &file.columns, arguments.name.as_deref(), true)?;
    let rows = reader.rows(true)?;
    let units = file.units();
    let axes = file.axes();
    let asked = axes.get(4).map(|text| Expression::parse(text)?.ln_values(text, &sheet));
    let asked = asked.transpose()?;
    let forecast = |(index, row): (usize, &Row)| {
        let key = asked.as_ref().map(|asked| asked[index]);
        law.forecast(&units.place(row.n, row.t, row.u), key, level)
    };
    let forecasts: Vec<Forecast> = rows.iter().enumerate().map(forecast).collect();
    let measured = rows.iter().zip(&forecasts).filter_map(|(row, f)| Some((row.loss?, f.clone())));
    let (losses, known): (Vec<f64>, Vec<Forecast>) = measured.unzip();
    let held = (!losses.is_empty()).then(|| Comparison::of(&losses, known));
    let rows: Vec<&Row> = rows.iter().collect();
    if arguments.json {
        print::json(&json!({
            "level": level, "law_runs": file.runs, "went": held,
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
