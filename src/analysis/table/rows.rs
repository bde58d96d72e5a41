//! Rows of a table as runs of several axes: N, T, U and a loss, checked.

use crate::error::quoted;
use crate::exchange::sheet::{Column, Sheet};
use crate::laws::families::in_other_units;
use crate::{Error, Result};

/// Columns of names that are looked for where none is given.
const NAMES: [&str; 5] = ["name", "run", "run_name", "id", "run_id"];
/// Tables are rounded: so much less than one epoch is one epoch.
const ROUNDING: f64 = 5e-3;
/// More epochs than this are no epochs but different units.
const EPOCHS_MAX: f64 = 1e6;

/// Names of the columns.
#[derive(Clone, Debug, PartialEq, serde::Serialize, serde::Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Columns {
    /// Parameters N.
    pub n: String,
    /// Unique tokens U.
    pub d: String,
    /// Tokens trained T.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub t: Option<String>,
    /// Epochs, T / U.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub epochs: Option<String>,
    /// Losses.
    pub y: String,
}

/// A row in the units of its columns.
#[derive(Clone, Debug, PartialEq)]
pub struct Row {
    /// Its name, or the line.
    pub name: String,
    /// The line in the file, counted from 1.
    pub line: u64,
    /// N.
    pub n: f64,
    /// Tokens trained.
    pub t: f64,
    /// Unique tokens.
    pub u: f64,
    /// `None` where the run is planned.
    pub loss: Option<f64>,
}

/// How to read a table.
pub struct Reader<'a> {
    sheet: &'a Sheet,
    columns: &'a Columns,
    n: Column,
    d: Column,
    /// The column of T, or of the epochs.
    passes: Column,
    y: Option<Column>,
    name: Option<Column>,
}

impl<'a> Reader<'a> {
    /// Finds the columns. Losses may be missing where runs are planned.
    pub fn new(
        sheet: &'a Sheet,
        columns: &'a Columns,
        name: Option<&str>,
        planned: bool,
    ) -> Result<Self> {
        let passes = columns.t.as_ref().or(columns.epochs.as_ref());
        let passes = sheet.column(passes.expect("checked: T or epochs"))?;
        let y = (!planned || sheet.has(&columns.y)).then(|| sheet.column(&columns.y));
        let name = name.or_else(|| NAMES.into_iter().find(|name| sheet.has(name)));
        let (y, name) = (y.transpose()?, name.map(|name| sheet.column(name)).transpose()?);
        let (n, d) = (sheet.column(&columns.n)?, sheet.column(&columns.d)?);
        Ok(Self { sheet, columns, n, d, passes, y, name })
    }

    /// All rows. Losses may be empty where runs are planned.
    pub fn rows(&self, planned: bool) -> Result<Vec<Row>> {
        (0..self.sheet.rows().len()).map(|row| self.row(row, planned)).collect()
    }

    fn row(&self, row: usize, planned: bool) -> Result<Row> {
        let line = self.sheet.rows()[row].0;
        let (n, u) = (self.sheet.positive(row, self.n)?, self.sheet.positive(row, self.d)?);
        let passes = self.sheet.positive(row, self.passes)?;
        let t = if self.columns.t.is_some() { passes } else { passes * u };
        self.check_epochs(line, t, u)?;
        let y = self.y.filter(|y| !(planned && self.sheet.text(row, *y).is_empty()));
        let loss = y.map(|y| {
            self.sheet.loss(row, y)?;
            self.sheet.positive(row, y)
        });
        let name = match self.name.map(|name| self.sheet.text(row, name)) {
            Some(name) if !name.is_empty() => quoted(name),
            _ => format!("line {line}"),
        };
        Ok(Row { name, line, n, t, u: u.min(t), loss: loss.transpose()? })
    }

    fn check_epochs(&self, line: u64, t: f64, u: f64) -> Result<()> {
        let epochs = t / u;
        let d = quoted(&self.columns.d);
        if epochs < 1.0 - ROUNDING {
            let what = match &self.columns.t {
                Some(column) => {
                    format!(
                        "{u} unique tokens in `{d}` are more than the {t} trained in `{column}`"
                    )
                }
                None => format!("{epochs} epochs are less than one pass over `{d}`"),
            };
            return Err(self.sheet.error(line, &what).hint(
                "unique tokens are those that the run saw: at most its tokens; --d and --t must \
                 have the same unit",
            ));
        }
        if epochs > EPOCHS_MAX {
            let what = format!("{epochs:e} epochs over `{d}` are no epochs");
            return Err(self.sheet.error(line, &what).hint("--d and --t must have the same unit"));
        }
        Ok(())
    }

    /// Refuses columns in which some rows are in another unit than others.
    pub fn check_units(&self, rows: &[Row]) -> Result<()> {
        let passes = self.columns.t.as_ref().unwrap_or(&self.columns.d);
        let axes = [
            (&self.columns.n, rows.iter().map(|row| row.n).collect()),
            (&self.columns.d, rows.iter().map(|row| row.u).collect()),
            (passes, rows.iter().map(|row| row.t).collect::<Vec<f64>>()),
        ];
        for (column, values) in axes {
            let Some(&first) = in_other_units(&values).first() else { continue };
            let column = quoted(column);
            let what = format!(
                "{} in column `{column}` is far from most others, with more than a factor of \
                 3,000 and nothing between",
                values[first]
            );
            return Err(self.sheet.error(rows[first].line, &what).hint(
                "one unit for a column: write all in tokens or parameters, or all in billions",
            ));
        }
        Ok(())
    }

    /// Refuses losses above that of a uniform guess.
    pub fn check_ceiling(&self, rows: &[Row], ceiling: f64) -> Result<()> {
        let above = rows.iter().find(|row| row.loss.is_some_and(|loss| loss >= ceiling));
        let Some(Row { line, loss: Some(loss), .. }) = above else { return Ok(()) };
        let what = format!("a loss of {loss} is not below that of a uniform guess, {ceiling}");
        Err(self
            .sheet
            .error(*line, &what)
            .hint("leave runs that diverged out, or give ln(vocabulary) with --ceiling LOSS"))
    }
}

impl Columns {
    /// Checks that T is given once.
    pub fn check(&self) -> Result<()> {
        match (&self.t, &self.epochs) {
            (Some(_), Some(_)) => Err(Error::usage("--t and --epochs say the same: give one")
                .hint("epochs are tokens trained over unique tokens")),
            (None, None) => Err(Error::usage("--law auto needs a column for --t or --epochs")
                .hint("--d are the unique tokens, --t the tokens trained")),
            _ => Ok(()),
        }
    }
}
