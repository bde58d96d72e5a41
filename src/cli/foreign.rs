//! Foreign runs of a store: listed, shown, and as a table for `scarce fit`.

use std::collections::{BTreeMap, BTreeSet};

use clap::Args;
use serde_json::{Value, json};

use super::print;
use crate::draw::table::{Align, Table};
use crate::error::{quoted, suggest};
use crate::store::{ForeignRecord, Store};
use crate::{Error, Result};

/// Columns of every table; further ones are the runs' other values and `loss.SET`.
const COLUMNS: [&str; 27] = [
    "record",
    "id",
    "name",
    "project",
    "source",
    "state",
    "tags",
    "model",
    "parameters",
    "tokens",
    "epochs",
    "data",
    "teacher",
    "teacher_weight",
    "schedule",
    "lr",
    "weight_decay",
    "batch",
    "sequence_tokens",
    "steps",
    "flops",
    "train_seed",
    "data_seed",
    "members",
    "member",
    "loss",
    "train_loss",
];

/// What of the foreign runs is listed.
#[derive(Debug, Args)]
pub(super) struct ForeignArgs {
    /// List imported runs instead of records
    #[arg(long)]
    pub(super) foreign: bool,
    /// With --foreign: print a table of comma-separated values, for `scarce fit` and others
    #[arg(long, requires = "foreign", conflicts_with = "json")]
    csv: bool,
    /// With --csv: only these columns, separated by commas; runs that lack one are left out
    #[arg(long, value_name = "COL,COL", value_delimiter = ',', requires = "csv")]
    columns: Vec<String>,
    /// With --foreign: only runs with this value in a column, for example data=dclm
    #[arg(long = "where", value_name = "COL=VALUE", requires = "foreign")]
    only: Vec<String>,
}

/// A run as named texts.
type Cells = BTreeMap<String, String>;

pub(super) fn list(store: &Store, arguments: &ForeignArgs, json: bool) -> Result<()> {
    let mut records = Vec::new();
    for record in store.foreign()? {
        let cells = cells(&record);
        records.push((record, cells));
    }
    let mut names: BTreeSet<&str> = COLUMNS.into();
    names.extend(records.iter().flat_map(|(_, cells)| cells.keys().map(String::as_str)));
    let mut conditions = Vec::new();
    for condition in &arguments.only {
        let Some((name, value)) = condition.split_once('=') else {
            return Err(Error::usage(format!("--where: `{}` is not COL=VALUE", quoted(condition))));
        };
        conditions.push((known(name, &names)?.to_owned(), value.to_owned()));
    }
    for column in &arguments.columns {
        known(column, &names)?;
    }
    let others: Vec<String> =
        names.iter().filter(|name| !COLUMNS.contains(name)).map(|&name| name.to_owned()).collect();
    records.retain(|(_, cells)| {
        conditions.iter().all(|(name, value)| {
            let cell = cells.get(name).map_or("", String::as_str);
            let same = |a: &str, b: &str| Some(a.parse::<f64>().ok()? - b.parse::<f64>().ok()?);
            cell == value || same(cell, value).is_some_and(|difference| difference == 0.0)
        })
    });
    if json {
        for (record, _) in &records {
            print::json(record);
        }
    } else if arguments.csv {
        let columns = match arguments.columns.is_empty() {
            true => COLUMNS.into_iter().map(str::to_owned).chain(others).collect(),
            false => arguments.columns.clone(),
        };
        let rows: Vec<&Cells> = records.iter().map(|(_, cells)| cells).collect();
        write_csv(&columns, &rows, !arguments.columns.is_empty())?;
    } else {
        print::data(&table(&records).to_text());
    }
    Ok(())
}

/// Shows one foreign run; `error` is why it was no record.
pub(super) fn show(store: &Store, prefix: &str, json: bool, error: Error) -> Result<()> {
    // A beginning that several records share means a record.
    if store.ids()?.iter().any(|id| id.to_string().starts_with(prefix)) {
        return Err(error);
    }
    let found = store.find_foreign(prefix)?;
    let record = match &found[..] {
        [] => return Err(error),
        [record] => record,
        several => {
            let count = several.len();
            return Err(Error::usage(format!(
                "{count} foreign runs start with `{}`",
                quoted(prefix)
            ))
            .hint("give more digits, or the whole id of one"));
        }
    };
    let history = store.foreign_history(record)?;
    if json {
        let mut value = json!(record);
        value["history"] = json!(history);
        print::json(&value);
        return Ok(());
    }
    let mut text = String::new();
    let cells = cells(record);
    let further = cells.keys().map(String::as_str).filter(|name| !COLUMNS.contains(name));
    for name in COLUMNS.into_iter().chain(further) {
        if let Some(value) = cells.get(name) {
            text += &format!("{name:<18}{value}\n");
        }
    }
    text += &format!("{:<18}{} points\n", "history", history.step.len());
    text += &format!(
        "{:<18}foreign: made by another program, read as {}\n",
        "kind", record.source.format
    );
    print::data(&text);
    Ok(())
}

/// The table for people.
fn table(records: &[(ForeignRecord, Cells)]) -> Table {
    let columns = [
        ("record", Align::Left),
        ("id", Align::Left),
        ("source", Align::Left),
        ("state", Align::Left),
        ("model", Align::Left),
        ("tokens", Align::Right),
        ("epochs", Align::Right),
        ("lr", Align::Right),
        ("weight_decay", Align::Right),
        ("members", Align::Right),
        ("loss", Align::Right),
    ];
    let mut table = Table::new(&columns);
    for (record, cells) in records {
        table.push(columns.iter().map(|(name, _)| match *name {
            "record" => record.record.chars().take(12).collect(),
            name => cells.get(name).map_or("-", String::as_str).to_owned(),
        }));
    }
    table
}

/// Prints rows as comma-separated values.
fn write_csv(columns: &[String], rows: &[&Cells], only_whole: bool) -> Result<()> {
    let failed = |cause: &dyn std::fmt::Display| Error::data(format!("no table: {cause}"));
    let mut writer = csv::Writer::from_writer(Vec::new());
    writer.write_record(columns).map_err(|cause| failed(&cause))?;
    let mut left_out = 0;
    for cells in rows {
        let row: Vec<&str> =
            columns.iter().map(|name| cells.get(name).map_or("", String::as_str)).collect();
        if only_whole && row.contains(&"") {
            left_out += 1;
            continue;
        }
        writer.write_record(row).map_err(|cause| failed(&cause))?;
    }
    let bytes = writer.into_inner().map_err(|cause| failed(&cause))?;
    print::data(&String::from_utf8_lossy(&bytes));
    if left_out > 0 {
        print::note(&format!("{left_out} runs lack one of these columns and are left out"));
    }
    Ok(())
}

/// The column of this name, which must exist.
fn known<'a>(name: &'a str, names: &BTreeSet<&str>) -> Result<&'a str> {
    if names.contains(name) {
        return Ok(name);
    }
    let error = Error::usage(format!("no foreign run has a column `{}`", quoted(name)));
    Err(match suggest(name, names.iter().copied()) {
        Some(near) => error.hint(near),
        None => error.hint("`scarce runs --foreign --csv | head -1` lists the columns"),
    })
}

/// Everything that is known of a run, as texts.
fn cells(record: &ForeignRecord) -> Cells {
    let (run, settings) = (&record.run, &record.run.settings);
    let text = |value: &Option<String>| value.clone();
    let number = |value: Option<f64>| value.map(|number| number.to_string());
    let pairs = [
        ("record", Some(record.record.clone())),
        ("id", Some(run.id.clone())),
        ("name", text(&run.name)),
        ("project", text(&run.project)),
        ("source", Some(record.source.file.clone())),
        ("state", text(&run.state)),
        ("tags", (!run.tags.is_empty()).then(|| run.tags.join(" "))),
        ("model", text(&settings.model)),
        ("parameters", number(settings.parameters)),
        ("tokens", number(settings.budget_tokens)),
        ("epochs", number(settings.epochs)),
        ("data", text(&settings.data)),
        ("teacher", text(&settings.teacher)),
        ("teacher_weight", number(settings.teacher_weight)),
        ("schedule", text(&settings.schedule)),
        ("lr", number(settings.lr)),
        ("weight_decay", number(settings.weight_decay)),
        ("batch", number(settings.batch)),
        ("sequence_tokens", number(settings.sequence_tokens)),
        ("steps", number(settings.steps)),
        ("flops", number(settings.flops)),
        ("train_seed", number(settings.train_seed)),
        ("data_seed", number(settings.data_seed)),
        ("members", number(settings.members)),
        ("member", text(&settings.member)),
        ("loss", number(run.loss_nats())),
        ("train_loss", number(run.losses.get("train").copied())),
    ];
    let mut cells: Cells =
        pairs.into_iter().filter_map(|(name, value)| Some((name.to_owned(), value?))).collect();
    for (set, loss) in run.losses.iter().filter(|(set, _)| *set != "train") {
        cells.insert(format!("loss.{set}"), loss.to_string());
    }
    for (name, value) in &run.other {
        // A column of ours keeps its name; the source's of the same name gives way.
        let name = match COLUMNS.contains(&name.as_str()) {
            true => format!("other.{name}"),
            false => name.clone(),
        };
        let text = match value {
            Value::String(text) => text.clone(),
            other => other.to_string(),
        };
        cells.entry(name).or_insert(text);
    }
    cells
}
