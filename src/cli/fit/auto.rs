//! `scarce fit --law auto`: laws of several axes, chosen by how they predict.

use clap::Args;
use serde_json::{Value, json};

use super::forecasts;
use super::{FitArgs, checked_level};
use crate::analysis::table::{Columns, Findings, HoldOut, LawFile, Objective, Reader, Row};
use crate::cli::print;
use crate::draw::table::{Align, Table};
use crate::error::quoted;
use crate::exchange::sheet::Sheet;
use crate::laws::families::{
    Comparison, Formula, HUBER_DELTA, Law, Misfit, Options, Point, Units, choose, compare, largest,
};
use crate::{Error, Result};

/// Arguments of `--law auto` alone.
#[derive(Debug, Args)]
pub(super) struct AutoArgs {
    /// Column of the tokens trained, for `auto`
    #[arg(long, value_name = "COL")]
    t: Option<String>,
    /// Runs that `auto` holds out and predicts: largest:EXPR[=COUNT|SHARE], EXPR over columns, such
    /// as largest:params*tokens=21; runs that tie are never parted
    #[arg(long, value_name = "RUNS")]
    hold_out: Option<String>,
    /// Loss of a uniform guess, ln(vocabulary), for the saturating families of `auto` [default:
    /// 10.8]
    #[arg(long, value_name = "LOSS")]
    ceiling: Option<f64>,
    /// Column of the names of runs, for `auto` [default: name, run, run_name, id or run_id]
    #[arg(long, value_name = "COL")]
    name: Option<String>,
}

/// The loss of a uniform guess over 50 thousand tokens, ln(50,000) = 10.82 nats.
const CEILING: f64 = 10.8;
/// Outliers that are named one by one, the farthest.
const OUTLIERS_NAMED: usize = 5;
/// How few repeated runs are few.
const REPEATED_FEW: usize = 8;

/// What is said beside every figure of held-out runs.
const HONESTY: &str = "\
The gate of the gated families was found on the 182 public runs of Muennighoff et al. with their
held-out results in view: on those runs these figures flatter it. Nested folds overlap, so that
they are fewer tests than runs; and this split is not SLDBench's, so that R2 of the two do not
compare.";

/// A table, split.
struct Split {
    rows: Vec<Row>,
    points: Vec<Point>,
    /// ln of the expression that was held out by.
    ln_keys: Option<Vec<f64>>,
    held_out: Vec<usize>,
    rest: Vec<usize>,
}

impl AutoArgs {
    /// The flag of these that was given, where the law has no use for them.
    pub(super) fn given(&self) -> Option<&'static str> {
        let flags = [
            (self.t.is_some(), "--t"),
            (self.hold_out.is_some(), "--hold-out"),
            (self.ceiling.is_some(), "--ceiling"),
            (self.name.is_some(), "--name"),
        ];
        flags.into_iter().find(|(given, _)| *given).map(|(_, flag)| flag)
    }
}

/// Fits, chooses, predicts what was held out, prints.
pub(super) fn run(arguments: &FitArgs) -> Result<()> {
    let columns = columns(arguments)?;
    let ceiling = arguments.auto.ceiling.unwrap_or(CEILING);
    if !(ceiling.is_finite() && ceiling > 0.0) {
        return Err(Error::usage(format!("--ceiling {ceiling} is no loss"))
            .hint("write ln(vocabulary), 10.8 for 50 thousand tokens"));
    }
    let hold_out = arguments.auto.hold_out.as_deref().map(HoldOut::parse).transpose()?;
    let sheet = arguments.sheet()?;
    let reader = Reader::new(&sheet, &columns, arguments.auto.name.as_deref(), false)?;
    let rows = reader.rows(false)?;
    reader.check_units(&rows)?;
    reader.check_ceiling(&rows, ceiling)?;
    let units = units(&rows);
    let split = Split::new(rows, &units, hold_out.as_ref(), &sheet)?;
    let misfit = match arguments.loss {
        None | Some(Objective::HuberLog) => Misfit::HuberLog,
        Some(Objective::LeastSquares) => Misfit::Squares,
    };
    let options = Options { library: Formula::ALL.to_vec(), misfit, ceiling };
    let train = split.points(&split.rest);
    let asked = split.keys(&split.rest);
    let law = choose(&train, asked.as_deref(), &options)
        .map_err(|why| Error::data(why.to_string()).within(sheet.name()).hint(why.hint()))?;
    let held = (!split.held_out.is_empty()).then(|| {
        let keys = split.keys(&split.held_out);
        compare(&law, &split.points(&split.held_out), keys.as_deref(), arguments.level)
    });
    let axes = axis_names(&columns, hold_out.as_ref(), &law);
    let answer = Answer { arguments, columns, units, misfit, axes, split, law, held, hold_out };
    answer.print();
    Ok(())
}

/// The columns, with complaints about flags that are missing or useless.
fn columns(arguments: &FitArgs) -> Result<Columns> {
    let needs = |letter: &str| {
        Error::usage(format!("--law auto needs a column for --{letter}"))
            .hint("its columns are --n parameters, --d unique tokens, --t tokens or --epochs")
    };
    let useless = [
        (arguments.x.is_some(), "--x"),
        (arguments.k.is_some(), "--k"),
        (arguments.group.is_some(), "--group"),
        (arguments.noise.is_some(), "--noise"),
        (arguments.resamples.is_some(), "--resamples"),
        (!arguments.reach.is_empty(), "--reach"),
    ];
    if let Some((_, flag)) = useless.into_iter().find(|(given, _)| *given) {
        return Err(Error::usage(format!("--law auto has no use for {flag}"))
            .hint("its columns are --n, --d, --t or --epochs, and --y"));
    }
    checked_level(arguments.level)?;
    let columns = Columns {
        n: arguments.n.clone().ok_or_else(|| needs("n"))?,
        d: arguments.d.clone().ok_or_else(|| needs("d"))?,
        t: arguments.auto.t.clone(),
        epochs: arguments.epochs.clone(),
        y: arguments.y.clone(),
    };
    columns.check()?;
    Ok(columns)
}

fn units(rows: &[Row]) -> Units {
    let (n, t): (Vec<f64>, Vec<f64>) = rows.iter().map(|row| (row.n, row.t)).unzip();
    Units::of(&n, &t)
}

/// The axes in the words of the table: compute, N, U, epochs, and the expression if it is none.
fn axis_names(columns: &Columns, hold_out: Option<&HoldOut>, law: &Law) -> Vec<String> {
    let epochs = columns.epochs.clone();
    let tokens = match &columns.t {
        Some(t) => t.clone(),
        None => format!("{}*{}", columns.d, columns.epochs.as_deref().unwrap_or("epochs")),
    };
    let passes = epochs.unwrap_or_else(|| format!("{tokens}/{}", columns.d));
    let usual = [format!("{}*{tokens}", columns.n), columns.n.clone(), columns.d.clone(), passes];
    let asked = hold_out.map(|hold_out| hold_out.text.clone());
    usual.into_iter().chain(asked).take(law.axes.len()).collect()
}

impl Split {
    fn new(
        rows: Vec<Row>,
        units: &Units,
        hold_out: Option<&HoldOut>,
        sheet: &Sheet,
    ) -> Result<Self> {
        let point = |row: &Row| Point {
            place: units.place(row.n, row.t, row.u),
            loss: row.loss.expect("a run that was measured"),
        };
        let points: Vec<Point> = rows.iter().map(point).collect();
        let ln_keys = hold_out.map(|it| it.expression.ln_values(&it.text, sheet)).transpose()?;
        let mut held_out = Vec::new();
        if let (Some(hold_out), Some(ln_keys)) = (hold_out, &ln_keys) {
            held_out = largest(ln_keys, hold_out.count(rows.len()).min(rows.len()));
        }
        let rest = (0..rows.len()).filter(|index| !held_out.contains(index)).collect();
        Ok(Self { rows, points, ln_keys, held_out, rest })
    }

    fn points(&self, indices: &[usize]) -> Vec<Point> {
        indices.iter().map(|&index| self.points[index]).collect()
    }

    fn keys(&self, indices: &[usize]) -> Option<Vec<f64>> {
        let ln_keys = self.ln_keys.as_ref()?;
        Some(indices.iter().map(|&index| ln_keys[index]).collect())
    }

    fn rows(&self, indices: &[usize]) -> Vec<&Row> {
        indices.iter().map(|&index| &self.rows[index]).collect()
    }
}

/// All that was found.
struct Answer<'a> {
    arguments: &'a FitArgs,
    columns: Columns,
    units: Units,
    misfit: Misfit,
    axes: Vec<String>,
    split: Split,
    law: Law,
    held: Option<Comparison>,
    hold_out: Option<HoldOut>,
}

impl Answer<'_> {
    fn print(self) {
        let warnings = self.warnings();
        if self.arguments.json {
            let findings = Findings {
                outliers: self.outliers(),
                held_out: self.held_out(),
                columns: self.columns,
                units: self.units,
                misfit: self.misfit,
                level: self.arguments.level,
                runs: self.split.rest.len(),
                axes: self.axes,
                warnings,
            };
            print::json(&LawFile::new(&self.law, findings));
            return;
        }
        let mut page = self.heading();
        page += &format!("\n{}", self.families().to_text());
        if let Some(held) = &self.held {
            let rows = self.split.rows(&self.split.held_out);
            let summary = forecasts::summary(held, self.arguments.level);
            let table = forecasts::table(&rows, &held.forecasts, &self.axes, self.arguments.level);
            page += &format!("\nheld out: {summary}\n{HONESTY}\n\n{}", table.to_text());
        }
        print::data(&page);
        for warning in warnings {
            print::warning(&warning);
        }
    }

    fn heading(&self) -> String {
        let columns = &self.columns;
        let [y, n, d] = [&columns.y, &columns.n, &columns.d].map(|name| quoted(name));
        let tokens = match (&columns.t, &columns.epochs) {
            (Some(t), _) => quoted(t),
            (None, epochs) => format!("{d} * {}", quoted(epochs.as_deref().unwrap_or("epochs"))),
        };
        let misfit = match self.misfit {
            Misfit::HuberLog => format!("Huber's loss of the logarithm, delta {HUBER_DELTA}"),
            Misfit::Squares => "squares of the loss".to_owned(),
        };
        let mut text = format!(
            "{y} over N = {n} in {:e}, T = {tokens} and U = {d} in {:e}\nfitted to {} runs by \
             {misfit}; a run weighs exp(-distance / h), its distance from the largest {}\n",
            self.units.parameters,
            self.units.tokens,
            self.split.rest.len(),
            quoted(&self.axes[self.law.along]),
        );
        if let Some(hold_out) = &self.hold_out {
            let (held, all) = (self.split.held_out.len(), self.split.rows.len());
            let asked = hold_out.count(all);
            let ties = match held == asked {
                true => String::new(),
                false => format!("; {asked} were asked for, but ties are not parted"),
            };
            let text_of = quoted(&hold_out.text);
            text += &format!("held out: the largest {held} of {all} by {text_of}{ties}\n");
        }
        text
    }

    fn families(&self) -> Table {
        let other = match self.misfit {
            Misfit::HuberLog => "E by squares",
            Misfit::Squares => "E by Huber's loss",
        };
        let mut table = Table::new(&[
            ("family", Align::Left),
            ("nested error", Align::Right),
            ("part", Align::Right),
            ("E", Align::Right),
            (other, Align::Right),
            ("h", Align::Right),
            ("runs that count", Align::Right),
            ("on a bound", Align::Left),
        ]);
        for member in &self.law.members {
            let bounds: Vec<&str> = member.at_bounds.iter().map(|letter| letter.name()).collect();
            table.push([
                member.formula.name().to_owned(),
                format!("{:.2} %", 100.0 * member.score),
                format!("{:.2}", member.weight),
                format!("{:.3}", member.theta[0]),
                format!("{:.3}", member.other_asymptote),
                format!("{}", member.reach),
                format!("{:.0}", member.effective),
                bounds.join(" "),
            ]);
        }
        table
    }

    /// What a reader must know, as sentences.
    fn warnings(&self) -> Vec<String> {
        let mut warnings = Vec::new();
        let repeated = self.split.rest.iter().map(|&index| &self.split.rows[index]);
        let repeated = repeated.filter(|row| row.t > row.u * 1.005).count();
        if repeated < REPEATED_FEW {
            warnings.push(format!(
                "only {repeated} runs have more than one epoch: what repeating does rests on them"
            ));
        }
        for member in self.law.averaged().filter(|member| !member.at_bounds.is_empty()) {
            let names: Vec<&str> = member.at_bounds.iter().map(|letter| letter.name()).collect();
            let (formula, names) = (member.formula, names.join(", "));
            warnings.push(format!("{formula} ends on a bound: {names} may lie beyond"));
        }
        let outliers = self.far();
        for (row, residual) in outliers.iter().take(OUTLIERS_NAMED) {
            warnings.push(format!(
                "{} (line {}) is an outlier: {:.1} % from the law; it was not dropped",
                row.name,
                row.line,
                100.0 * libm::expm1(*residual)
            ));
        }
        if outliers.len() > OUTLIERS_NAMED {
            let more = outliers.len() - OUTLIERS_NAMED;
            warnings.push(format!("{more} further outliers: --json lists them"));
        }
        if let Some(held) = &self.held {
            let rows = self.split.rows(&self.split.held_out);
            warnings.extend(forecasts::untested(&rows, &held.forecasts, &self.axes));
        }
        warnings
    }

    /// The runs far from the law, the farthest first, and how far in the logarithm.
    fn far(&self) -> Vec<(&Row, f64)> {
        let rest = &self.split.rest;
        let outliers = self.law.outliers(&self.split.points(rest)).into_iter();
        outliers.map(|(index, residual)| (&self.split.rows[rest[index]], residual)).collect()
    }

    fn outliers(&self) -> Value {
        let outliers = self.far().into_iter().map(
            |(row, residual)| json!({ "run": row.name, "line": row.line, "ln_error": residual }),
        );
        outliers.collect()
    }

    fn held_out(&self) -> Value {
        let Some(held) = &self.held else { return Value::Null };
        let rows = self.split.rows(&self.split.held_out);
        let asked = self.hold_out.as_ref().map(|hold_out| hold_out.count(self.split.rows.len()));
        let mut told = json!(held);
        told["by"] = json!(self.hold_out.as_ref().map(|hold_out| &hold_out.text));
        told["asked"] = json!(asked);
        told["of"] = json!(self.split.rows.len());
        told["honesty"] = json!(HONESTY.replace('\n', " "));
        told["predictions"] = forecasts::json(&rows, &held.forecasts, &self.axes);
        told
    }
}
