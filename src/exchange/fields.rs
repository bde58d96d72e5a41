//! From rows to typed runs: which of a source's names means what.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::Value;

use super::alias::{self, FIELDS, set_of};
use super::cell;
use super::history::Course;
use super::row::Row;
use crate::error::{quoted, suggest};
use crate::store::{ForeignHistory, ForeignRun, ForeignSettings};
use crate::{Error, Result};

/// Other values that are kept of a run.
const OTHER_MAX: usize = 200;
/// Final losses that are kept of a run.
const LOSSES_MAX: usize = 200;
/// Longest id, in bytes.
const ID_MAX: usize = 300;

/// The fields that a mapping knows; any other word names a further column to keep.
pub const FIELD_NAMES: &str = "id, name, project, state, tags, model, parameters, tokens, epochs, \
    data, schedule, lr, weight_decay, batch, sequence_tokens, steps, flops, train_seed, data_seed, \
    members, step, loss, train_loss";

/// Which column means what: `loss=final_loss,lr=optim.lr`. `lr=` says that no column does.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Mapping(BTreeMap<String, Option<String>>);

/// What a number is in the course of a run.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Role {
    /// Training loss.
    Train,
    /// Loss on this set.
    Eval(String),
}

impl Mapping {
    /// Reads `FIELD=COLUMN` pairs, separated by commas.
    ///
    /// # Errors
    /// Where a pair has no `=`, or a field stands twice.
    pub fn parse(texts: &[String]) -> Result<Self> {
        let mut fields = BTreeMap::new();
        for pair in texts.iter().flat_map(|text| text.split(',')).map(str::trim) {
            let (field, column) = pair.split_once('=').map_or((pair, None), |(f, c)| (f, Some(c)));
            let (Some(column), false) = (column, field.is_empty()) else {
                return Err(Error::usage(format!("--map: `{}` is not FIELD=COLUMN", quoted(pair)))
                    .hint(format!("fields are {FIELD_NAMES}; other words keep a column")));
            };
            let column = (!column.is_empty()).then(|| column.to_owned());
            if fields.insert(field.to_owned(), column).is_some() {
                return Err(Error::usage(format!("--map: `{}` is given twice", quoted(field))));
            }
        }
        Ok(Self(fields))
    }

    /// The column of a field in this row: the mapped one, or the first usual name with a value.
    fn column<'a>(&'a self, field: &str, row: &'a Row) -> Option<&'a str> {
        if let Some(mapped) = self.0.get(field) {
            return mapped.as_deref();
        }
        alias::usual(field).iter().copied().find(|name| row.get(name).is_some())
    }

    /// Whether a table with these columns has one for the field.
    pub(super) fn finds(&self, field: &str, columns: &BTreeSet<String>) -> bool {
        match self.0.get(field) {
            Some(mapped) => mapped.is_some(),
            None => alias::usual(field).iter().any(|usual| columns.contains(*usual)),
        }
    }

    /// An error if a mapped column is none of these.
    pub(super) fn check(&self, columns: &BTreeSet<String>) -> Result<()> {
        for column in self.0.values().flatten() {
            if !columns.contains(column) {
                return Err(Error::data(format!("there is no column `{}`", quoted(column)))
                    .hint(columns_hint(column, columns)));
            }
        }
        Ok(())
    }

    /// The columns that were mapped to what a step has. A run's course does not say which columns
    /// it was made of, so they count as found where there is a course.
    pub(super) fn columns_of_steps(&self) -> impl Iterator<Item = String> {
        let fields = ["step", "loss", "train_loss"].into_iter();
        fields.filter_map(|field| self.0.get(field).cloned().flatten())
    }

    /// An error if none of these columns holds a loss.
    pub(super) fn check_loss(&self, columns: &BTreeSet<String>) -> Result<()> {
        if columns.iter().any(|column| self.role(column).is_some()) {
            return Ok(());
        }
        Err(Error::data("there is no column of losses").hint(loss_hint(columns)))
    }

    /// Whether a name is mapped to a field.
    pub(super) fn maps(&self, name: &str) -> bool {
        self.0.values().any(|column| column.as_deref() == Some(name))
    }

    /// What the numbers of this name are in the course of a run, if they are losses.
    pub(super) fn role(&self, name: &str) -> Option<Role> {
        let is_mapped = |field: &str| self.0.get(field).is_some_and(|c| c.as_deref() == Some(name));
        if is_mapped("train_loss") {
            return Some(Role::Train);
        }
        if is_mapped("loss") {
            return Some(Role::Eval(set_of(name).unwrap_or("eval").to_owned()));
        }
        if self.maps(name) {
            return None;
        }
        match name {
            "train/loss" | "train_loss" | "final_train_loss" | "train_loss_nats" => {
                (!self.0.contains_key("train_loss")).then_some(Role::Train)
            }
            // With a mapped loss, the usual names of losses mean nothing in particular.
            // Held out, unless another name says that it is: see `bare_loss`.
            "loss" => (!self.0.contains_key("loss")).then(|| Role::Eval(BARE.to_owned())),
            "val_loss" | "eval_loss" | "loss_nats" | "final_loss" | "eval/loss" | "val/loss"
            | "validation/loss" | "valid_loss" | "validation_loss" | "valid/loss" => {
                (!self.0.contains_key("loss")).then(|| Role::Eval("eval".to_owned()))
            }
            "test_loss" | "test/loss" => Some(Role::Eval("test".to_owned())),
            _ => {
                let set = set_of(name).or_else(|| alias::further_set_of(name));
                set.map(|set| Role::Eval(set.to_owned()))
            }
        }
    }

    /// The step of a row of history.
    pub(super) fn step(&self, row: &Row) -> Result<Option<u64>> {
        let Some(column) = self.column("step", row) else { return Ok(None) };
        let Some(step) = row.number(column)? else { return Ok(None) };
        match step {
            step if (0.0..1e15).contains(&step) => Ok(Some(step as u64)),
            _ => Err(row.error(&format!("`{step}` in `{}` is no step", quoted(column)))),
        }
    }

    /// The id of a row, if it has one.
    pub(super) fn id(&self, row: &Row) -> Option<String> {
        let found = |field| self.column(field, row).and_then(|c| cell::text(row.get(c)?));
        found("id").or_else(|| found("name"))
    }

    /// Adds the losses of a row of history to the course of its run.
    pub(super) fn losses(&self, row: &Row, step: u64, course: &mut Course) -> Result<()> {
        let mut found = Vec::new();
        for name in row.values.keys() {
            let Some(role) = self.role(name) else { continue };
            if let Some(loss) = row.number(name)? {
                found.push((role, loss));
            }
        }
        let beside = found.iter().any(|(_, loss)| loss.is_finite());
        for (role, loss) in &found {
            let set = match role {
                Role::Train => "train",
                Role::Eval(set) => set,
            };
            match loss.is_nan() && beside {
                true => course.push_gap(set, step),
                false => course.push(set, step, *loss),
            }
        }
        Ok(())
    }

    /// The run that a row and a course describe. `default_id` is for rows without one; `notes`
    /// takes what its reader should know.
    pub(super) fn run(
        &self,
        row: &Row,
        course: &mut Course,
        default_id: &str,
        notes: &mut Vec<String>,
    ) -> Result<(ForeignRun, ForeignHistory)> {
        let settings = self.columns_of_settings(row, notes);
        let mut used: BTreeSet<String> = BTreeSet::new();
        for (field, _) in FIELDS {
            used.extend(settings.get(field).copied().map(str::to_owned));
            if !alias::is_setting(field) {
                used.extend(self.column(field, row).map(str::to_owned));
            }
        }
        let text = |field| self.column(field, row).and_then(|c| cell::text(row.get(c)?));
        let id = self.id(row).unwrap_or_else(|| default_id.to_owned());
        if id.len() > ID_MAX {
            return Err(row.error(&format!("an id of more than {ID_MAX} bytes")));
        }
        let tags = self.column("tags", row).and_then(|c| row.get(c)).map(words).unwrap_or_default();
        let mut run = ForeignRun {
            id,
            name: text("name"),
            project: text("project"),
            state: text("state").map(|state| state.to_lowercase()),
            tags,
            settings: self.settings(row, &settings)?,
            ..ForeignRun::default()
        };
        for name in row.values.keys() {
            let set = match self.role(name) {
                Some(Role::Train) => "train".to_owned(),
                Some(Role::Eval(set)) => set,
                None => continue,
            };
            let loss = row.number(name)?;
            used.insert(name.clone());
            if let Some(loss) = loss.filter(|loss| loss.is_finite())
                && run.losses.len() < LOSSES_MAX
            {
                run.losses.insert(set, loss);
            }
        }
        bare_loss(&mut run, course, notes);
        for (set, loss) in course.last() {
            match loss.is_finite() {
                true => run.losses.insert(set.to_owned(), loss),
                false => run.losses.remove(set),
            };
        }
        run.headline = self.headline(&run, course, notes);
        notes.extend(course.oddities().into_iter().map(|odd| format!("`{}` has {odd}", run.id)));
        run.other = self.other(row, &used);
        let history = course.finish(run.headline.as_deref());
        Ok((run, history))
    }

    /// The column of every field that is a number. What was set goes before what was logged, and
    /// what was logged only counts where its last value is that of the whole run.
    fn columns_of_settings<'a>(
        &'a self,
        row: &'a Row,
        notes: &mut Vec<String>,
    ) -> BTreeMap<&'static str, &'a str> {
        // Per field its candidates with their ranks: smaller is surer.
        let mut candidates: BTreeMap<&'static str, Vec<(usize, &'a str)>> = BTreeMap::new();
        let named = row.values.keys().filter_map(|name| Some((name, alias::number_field(name)?)));
        for (name, (field, rank)) in named {
            let fits = rank == 0 || alias::is_number(&row.values[name]);
            // A name that was given to one field is not another's.
            if row.get(name).is_some() && fits && !self.maps(name) {
                let logged = if row.logged.contains(name) { LOGGED } else { 0 };
                candidates.entry(field).or_default().push((rank + logged, name));
            }
        }
        let mut columns = BTreeMap::new();
        for (field, _) in FIELDS.iter().filter(|(f, _)| alias::is_setting(f)) {
            if let Some(mapped) = self.0.get(*field) {
                columns.extend(mapped.as_deref().map(|column| (*field, column)));
                continue;
            }
            let Some(found) = candidates.get_mut(field) else { continue };
            found.sort_by_key(|(rank, name)| (*rank, usual_place(field, name)));
            columns.extend(choose(field, found, row, notes).map(|column| (*field, column)));
        }
        columns
    }

    fn settings(
        &self,
        row: &Row,
        columns: &BTreeMap<&'static str, &str>,
    ) -> Result<ForeignSettings> {
        let text = |field| self.column(field, row).and_then(|c| cell::text(row.get(c)?));
        let number = |field: &str| -> Result<Option<f64>> {
            let Some(column) = columns.get(field) else { return Ok(None) };
            match row.number(column)? {
                // NaN is how pandas writes a number that is missing.
                Some(value) if value.is_nan() => Ok(None),
                Some(value) if !value.is_finite() => {
                    Err(row.error(&format!("{value} in `{}` is not finite", quoted(column))))
                }
                value => Ok(value),
            }
        };
        Ok(ForeignSettings {
            model: text("model"),
            parameters: number("parameters")?,
            budget_tokens: number("tokens")?,
            epochs: number("epochs")?,
            data: text("data"),
            teacher: None,
            teacher_weight: None,
            schedule: text("schedule"),
            lr: number("lr")?,
            weight_decay: number("weight_decay")?,
            batch: number("batch")?,
            sequence_tokens: number("sequence_tokens")?,
            steps: number("steps")?,
            flops: number("flops")?,
            train_seed: number("train_seed")?,
            data_seed: number("data_seed")?,
            members: number("members")?,
            member: None,
            seed_families: self
                .column("seed_types", row)
                .and_then(|c| row.get(c))
                .map(words)
                .unwrap_or_default(),
        })
    }

    /// The set that the run is about: the mapped one, that of its data, or the only one. A run that
    /// diverged has one, too, without a final loss.
    fn headline(
        &self,
        run: &ForeignRun,
        course: &Course,
        notes: &mut Vec<String>,
    ) -> Option<String> {
        let has = |set: &str| {
            let known = run.losses.contains_key(set) || course.last().any(|(name, _)| name == set);
            known.then(|| set.to_owned())
        };
        if let Some(Some(column)) = self.0.get("loss") {
            return has(set_of(column).unwrap_or("eval"));
        }
        let data = run.settings.data.as_deref();
        if let Some(found) = data.and_then(has).or_else(|| has("eval")) {
            return Some(found);
        }
        let followed = course.last().map(|(set, _)| set);
        let all: BTreeSet<&str> = run.losses.keys().map(String::as_str).chain(followed).collect();
        let (further, known): (Vec<&str>, Vec<&str>) = (all.into_iter())
            .filter(|set| ![BARE, "train"].contains(set))
            .partition(|set| alias::is_further_set(set));
        match (&known[..], &further[..]) {
            ([only], _) | ([], [only]) => return Some((*only).to_owned()),
            ([], []) => {}
            _ => {
                let listed = listed([known, further].concat().into_iter());
                notes.push(format!(
                    "losses of several sets ({listed}), and none is said to be the run's: choose \
                     with --map loss=COLUMN"
                ));
            }
        }
        None
    }

    /// What is kept besides: columns that were asked for, and plain values with plain names.
    fn other(&self, row: &Row, used: &BTreeSet<String>) -> BTreeMap<String, Value> {
        let is_field = |field: &str| FIELD_NAMES.split(", ").any(|known| known.trim() == field);
        let asked = self.0.iter().filter(|(field, _)| !is_field(field));
        let asked = asked.filter_map(|(field, column)| {
            Some((field.clone(), row.get(column.as_deref()?)?.clone()))
        });
        let mut other: BTreeMap<String, Value> = asked.collect();
        for (name, value) in &row.values {
            let plain = !name.starts_with('_') && !name.contains('.') && !used.contains(name);
            if plain && row.get(name).is_some() && other.len() < OTHER_MAX {
                let kept = match value {
                    Value::String(text) => Value::String(cell::printable(text)),
                    Value::Number(_) | Value::Bool(_) => value.clone(),
                    _ => continue,
                };
                other.entry(name.clone()).or_insert(kept);
            }
        }
        other
    }
}

/// The set of a column that is only called `loss`, before it is known what it is.
const BARE: &str = "loss";

/// A bare `loss` is the held-out one, unless another name says that of itself: then it is the
/// training loss, as in the logs of Hugging Face's trainer.
fn bare_loss(run: &mut ForeignRun, course: &mut Course, notes: &mut Vec<String>) {
    let sets: BTreeSet<&str> = run.losses.keys().map(String::as_str).chain(course.sets()).collect();
    if !sets.contains(BARE) {
        return;
    }
    let held_out = sets.iter().any(|set| ![BARE, "train"].contains(set));
    let set = match (held_out, sets.contains("train")) {
        (false, _) => "eval",
        (true, false) => "train",
        (true, true) => return,
    };
    if set == "train" {
        notes.push("`loss` stands beside a held-out loss: it is read as the training loss".into());
    }
    course.rename(BARE, set);
    if let Some(loss) = run.losses.remove(BARE) {
        run.losses.insert(set.to_owned(), loss);
    }
}

/// What a logged name lacks behind any that was set.
const LOGGED: usize = 1000;

/// Where a name stands among the usual ones of a field.
fn usual_place(field: &str, name: &str) -> usize {
    alias::usual(field).iter().position(|usual| *usual == name).unwrap_or(usize::MAX)
}

/// The first of the candidates that may be read, told where another one says something else.
fn choose<'a>(
    field: &str,
    candidates: &[(usize, &'a str)],
    row: &Row,
    notes: &mut Vec<String>,
) -> Option<&'a str> {
    let (rank, first) = *candidates.first()?;
    let name = quoted(first);
    if rank >= LOGGED && !alias::is_cumulative(field) {
        let why = match row.varied.contains(first) {
            true => "changes from step to step",
            false => "was logged and not set",
        };
        notes.push(format!(
            "`{name}` {why}, and is not read as {field}; `--map {field}={name}` takes its last \
             value"
        ));
        return None;
    }
    if row.varied.contains(first) {
        notes.push(format!(
            "`{name}` grows from step to step: its last value is read as {field}; \
             `--map {field}=` reads none"
        ));
    }
    let value = |name: &str| row.get(name).and_then(cell::finite);
    let differs = |other: &&(usize, &str)| {
        let (own, other) = (value(first), value(other.1));
        other.is_some() && own.map(f64::to_bits) != other.map(f64::to_bits)
    };
    let rivals = candidates[1..].iter().filter(|(rival, _)| (*rival >= LOGGED) == (rank >= LOGGED));
    if let Some((_, other)) = rivals.clone().find(differs) {
        let other = quoted(other);
        notes.push(format!(
            "`{name}` is read as {field}, not `{other}`, which differs; `--map {field}={other}` \
             reads that"
        ));
    }
    Some(first)
}

/// Words of a list, or of a text with commas.
fn words(value: &Value) -> Vec<String> {
    let words: Vec<String> = match value {
        Value::Array(values) => values.iter().take(100).filter_map(cell::text).collect(),
        Value::String(text) => match serde_json::from_str::<Vec<String>>(text) {
            Ok(list) => list,
            Err(_) => text.split(',').map(str::to_owned).collect(),
        },
        _ => Vec::new(),
    };
    let words = words.iter().map(|word| cell::printable(word)).filter(|word| !word.is_empty());
    words.take(100).collect()
}

/// What to write instead of a column that does not exist.
fn columns_hint(given: &str, columns: &BTreeSet<String>) -> String {
    let listed = format!("the columns are {}", listed(columns.iter().map(String::as_str)));
    match suggest(given, columns.iter().map(String::as_str)) {
        Some(near) => format!("{} T{}", quoted(&near), &listed[1..]),
        None => listed,
    }
}

/// The mapping that a table without a known column of losses may need.
pub(super) fn loss_hint(columns: &BTreeSet<String>) -> String {
    let speaks = |name: &&String| {
        let name = name.to_lowercase();
        name.contains("loss") || name.contains("nll") || name.contains("cross_entropy")
    };
    let mut candidates = columns.iter().filter(speaks);
    let ready = match (candidates.next(), candidates.next()) {
        (Some(only), None) => format!("`--map loss={}`", quoted(only)),
        (Some(first), Some(_)) => format!("`--map loss=COLUMN`, perhaps {}", quoted(first)),
        _ => "`--map loss=COLUMN`".to_owned(),
    };
    let columns = listed(columns.iter().map(String::as_str));
    format!("say which one it is with {ready}; the columns are {columns}")
}

/// The first names of a list that has room in a message.
#[must_use]
pub fn listed<'a>(names: impl Iterator<Item = &'a str> + Clone) -> String {
    const ROOM: usize = 120;
    let mut text = String::new();
    for (index, name) in names.clone().enumerate() {
        let name = format!("`{}`", quoted(name));
        if index > 0 && text.len() + name.len() > ROOM {
            return format!("{text} and {} more", names.count() - index);
        }
        if index > 0 {
            text += ", ";
        }
        text += &name;
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn mapping(text: &str) -> Mapping {
        Mapping::parse(&[text.to_owned()]).unwrap()
    }

    fn row(value: Value) -> Row {
        let mut row = Row::at(1);
        row.set("", value).unwrap();
        row
    }

    #[test]
    fn usual_names_are_known() {
        let row = row(json!({
            "run_id": "a", "tags": ["x", "y\u{7}"], "State": "Finished", "base_tokens": 2e8,
            "data_name": "dclm", "trainer": {"train_batch_size": 64}, "model": {"seq_len": 4096},
            "final_dclm_loss": 3.5, "final_train_loss": 3.1, "eval/paloma/c4/loss": 3.9,
            "note": "n", "deep": {"er": 1}, "none": null
        }));
        let (run, history) =
            Mapping::default().run(&row, &mut Course::default(), "d", &mut Vec::new()).unwrap();
        assert_eq!((run.id.as_str(), run.state.as_deref()), ("a", Some("finished")));
        assert_eq!(run.tags, ["x", "y"]);
        assert_eq!(run.settings.batch, Some(64.0));
        assert_eq!((run.settings.sequence_tokens, run.settings.model), (Some(4096.0), None));
        assert_eq!(run.losses.keys().collect::<Vec<_>>(), ["dclm", "paloma/c4", "train"]);
        assert_eq!((run.headline.as_deref(), run.losses["dclm"]), (Some("dclm"), 3.5));
        assert_eq!(run.other, BTreeMap::from([("note".to_owned(), json!("n"))]));
        assert!(history.step.is_empty());
    }

    #[test]
    fn a_mapping_says_what_is_what() {
        let row = row(json!({"loss": "x", "mine": 2.5, "lr": "auto", "width": 8, "seed": 3}));
        let mapping = mapping("loss=mine,lr=,x=width");
        let (run, _) = mapping.run(&row, &mut Course::default(), "d", &mut Vec::new()).unwrap();
        assert_eq!((run.loss_nats(), run.settings.lr), (Some(2.5), None));
        assert_eq!((&run.other["x"], &run.other["lr"]), (&json!(8), &json!("auto")));
        assert_eq!((run.id.as_str(), run.settings.train_seed), ("d", Some(3.0)));
        let error = Mapping::default()
            .run(&row, &mut Course::default(), "d", &mut Vec::new())
            .unwrap_err()
            .to_string();
        assert!(error.contains("line 1: `auto` in `lr` is not a number"), "{error}");
        let refuse = |text: &str, expected: &str| {
            let error = Mapping::parse(&[text.to_owned()]).unwrap_err().to_string();
            assert!(error.contains(expected), "{error}");
        };
        refuse("loss", "`loss` is not FIELD=COLUMN");
        refuse("=a", "`=a` is not FIELD=COLUMN");
        refuse("a=b,a=c", "`a` is given twice");
    }

    #[test]
    fn a_run_that_diverged_has_no_final_loss() {
        let mut course = Course::default();
        course.push("loss", 1, 4.0);
        course.push("loss", 2, f64::INFINITY);
        let row = row(json!({"loss": 4.0}));
        let (run, history) =
            Mapping::default().run(&row, &mut course, "d", &mut Vec::new()).unwrap();
        assert_eq!((run.loss_nats(), run.losses.len()), (None, 0));
        assert_eq!((run.headline.as_deref(), history.step), (Some("eval"), vec![1]));
    }
}
