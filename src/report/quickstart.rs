//! What the quick start found, as plain data, its tables and its page.

mod figure;
mod page;

use serde_json::json;

use super::number as told;
use super::page::Source;
use crate::draw::table::{Align, Cell, Table};
use crate::eval::statistics::{Estimate, PairedDifference};
use crate::number;
use crate::store::TestRead;

/// Everything that the quick start's table, figure and page show. No number here is computed by the
/// report; all come from records.
#[derive(Clone, Debug, PartialEq)]
pub struct QuickstartReport {
    /// Heading of the page.
    pub title: String,
    /// The setting in a phrase: corpus, tokens of the budget, seed.
    pub subject: String,
    /// The exactly known lowest possible mean loss on the test split, in nats per token; `None` for
    /// text whose entropy nobody knows.
    pub floor_nats: Option<f64>,
    /// One row per recipe, in the order in which they are shown.
    pub recipes: Vec<RecipeRow>,
    /// Paired comparisons of two recipes, in the order in which they are told.
    pub comparisons: Vec<ComparisonRow>,
    /// Validation losses during training; may be empty.
    pub trajectories: Vec<Trajectory>,
    /// Every run of the searches over weight decay, search by search.
    pub tunings: Vec<TuningRow>,
    /// All records that were used, each once.
    pub sources: Vec<Source>,
    /// Wall-clock seconds of this invocation.
    pub wall_seconds: f64,
    /// All reads of the sealed test split of this corpus so far.
    pub test_reads: Vec<TestRead>,
    /// Sentences that a reader must know, such as a tuned value at the edge of its grid.
    pub notes: Vec<String>,
}

/// A kind of recipe; it decides color and shape, so that it is the same in every figure.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Family {
    /// The standard recipe, at some number of epochs.
    Standard,
    /// The standard recipe with tuned regularization.
    Regularized,
    /// A larger model with tuned regularization.
    Larger,
    /// An ensemble.
    Ensemble,
    /// The estimate by counting.
    Ngram,
}

/// One recipe and what it reached on the test split.
#[derive(Clone, Debug, PartialEq)]
pub struct RecipeRow {
    /// Name, for example `standard-32`.
    pub name: String,
    /// Its kind.
    pub family: Family,
    /// Its settings in a phrase: "32 epochs, weight decay 0.1".
    pub setting: String,
    /// Mean loss on the test split, in nats per token; `None` if the run diverged.
    pub loss: Option<Estimate>,
    /// Loss minus the floor, with the standard error of the *paired* difference, in nats per token;
    /// `None` where the floor is unknown or the run diverged.
    pub excess: Option<Estimate>,
    /// Parameters that an evaluation uses: all members of an ensemble together, stored counts of an
    /// n-gram.
    pub parameters: u64,
    /// Full ids of the trained records, or of the n-gram's only one.
    pub records: Vec<String>,
    /// Full id of the record of the evaluation on `test`.
    pub evaluation: String,
}

/// Two recipes on the same blocks of the test split.
#[derive(Clone, Debug, PartialEq)]
pub struct ComparisonRow {
    /// What the comparison is about, as a question: "Does weight decay repair the overfitting?".
    pub question: String,
    /// Name of the recipe whose loss enters positively.
    pub left: String,
    /// Name of the recipe whose loss is subtracted.
    pub right: String,
    /// Loss of `left` minus loss of `right`, in nats per token.
    pub difference: PairedDifference,
}

/// Validation loss of one run during its training.
#[derive(Clone, Debug, PartialEq)]
pub struct Trajectory {
    /// Label at its end, for example "32 epochs".
    pub label: String,
    /// Its kind.
    pub family: Family,
    /// Full id of the record.
    pub record: String,
    /// (Tokens trained on so far, validation loss in nats per token), in ascending order of tokens.
    pub points: Vec<(f64, f64)>,
}

/// A run of a search over weight decay.
#[derive(Clone, Debug, PartialEq)]
pub struct TuningRow {
    /// Preset of the model.
    pub model: String,
    /// Weight decay.
    pub weight_decay: f64,
    /// Loss on `val` in nats per token; `None` if the run diverged.
    pub loss: Option<Estimate>,
    /// Whether it was chosen.
    pub chosen: bool,
    /// Full id of the record.
    pub record: String,
}

/// Characters of a record id that a table shows.
const SHORT_ID: usize = 8;

impl QuickstartReport {
    /// The headline table: what every recipe reached.
    #[must_use]
    pub fn recipe_table(&self) -> Table {
        let with_excess = self.recipes.iter().any(|row| row.excess.is_some());
        let mut columns = vec![
            ("recipe", Align::Left),
            ("setting", Align::Left),
            ("test loss (nats/token)", Align::Right),
        ];
        if with_excess {
            columns.push(("above the floor", Align::Right));
        }
        columns.extend([("parameters", Align::Right), ("records", Align::Left)]);
        let mut table = Table::new(&columns);
        for row in &self.recipes {
            let evaluation = std::slice::from_ref(&row.evaluation);
            let loss = told::estimate_or_diverged(row.loss.as_ref());
            let mut cells = vec![
                Cell::from(row.name.as_str()),
                Cell::from(row.setting.as_str()),
                Cell::of(loss, evaluation),
            ];
            if with_excess {
                cells.push(row.excess.map_or_else(
                    || number::MISSING.into(),
                    |excess| Cell::of(excess.to_string(), evaluation),
                ));
            }
            cells.push(number::grouped(row.parameters).into());
            cells.push(Cell::of(short_ids(&row.records), &row.records));
            table.push(cells);
        }
        table
    }

    /// The table of paired differences.
    #[must_use]
    pub fn comparison_table(&self) -> Table {
        let mut table = Table::new(&[
            ("paired difference", Align::Left),
            ("nats/token", Align::Right),
            ("standard errors", Align::Right),
            ("95 % interval", Align::Right),
            ("the first is", Align::Left),
        ]);
        for row in &self.comparisons {
            let difference = &row.difference;
            let in_errors =
                difference.t().map_or_else(|| number::MISSING.into(), |t| format!("{t:+.1}"));
            let pair = [&row.left, &row.right];
            let sides = self.recipes.iter().filter(|recipe| pair.contains(&&recipe.name));
            let records: Vec<String> = sides.map(|recipe| recipe.evaluation.clone()).collect();
            table.push([
                Cell::from(format!("{} minus {}", row.left, row.right)),
                Cell::of(number::signed(difference.estimate.mean), &records),
                in_errors.into(),
                told::interval(difference.bootstrap).into(),
                difference.verdict().to_string().into(),
            ]);
        }
        table
    }

    /// The searches over weight decay.
    #[must_use]
    pub fn tuning_table(&self) -> Table {
        let mut table = Table::new(&[
            ("model", Align::Left),
            ("weight decay", Align::Right),
            ("val loss (nats/token)", Align::Right),
            ("", Align::Left),
        ]);
        for row in &self.tunings {
            let loss = told::estimate_or_diverged(row.loss.as_ref());
            table.push([
                Cell::from(row.model.as_str()),
                row.weight_decay.to_string().into(),
                Cell::of(loss, std::slice::from_ref(&row.record)),
                Cell::from(if row.chosen { "chosen" } else { "" }),
            ]);
        }
        table
    }
}

// What is not known is null: all numbers of a diverged run, the floor of ordinary text.
serialize_as!(QuickstartReport, |it| json!({
    "floor_nats": it.floor_nats, "recipes": it.recipes, "comparisons": it.comparisons,
    "notes": it.notes,
}));

serialize_as!(RecipeRow, |row| json!({
    "name": row.name, "loss_nats": row.loss.map(|loss| loss.mean),
    "standard_error_nats": row.loss.and_then(|loss| loss.standard_error),
    "excess_nats": row.excess.map(|excess| excess.mean), "parameters": row.parameters,
    "records": row.records,
}));

serialize_as!(ComparisonRow, |row| {
    let mut told = json!(row.difference);
    told["difference_nats"] = told["nats"].clone();
    (told["left"], told["right"]) = (json!(row.left), json!(row.right));
    told
});

fn short_ids(ids: &[String]) -> String {
    if ids.is_empty() {
        return number::MISSING.to_owned();
    }
    let short: Vec<String> = ids.iter().map(|id| id.chars().take(SHORT_ID).collect()).collect();
    short.join(" ")
}

#[cfg(test)]
pub(super) mod examples {
    use super::*;
    use crate::eval::statistics::paired_difference;
    use crate::report::page::{Cost, MeasuredLoss};
    use crate::spec::JobKind;

    /// A recipe with a loss and an error, without a floor.
    pub(in crate::report) fn recipe(
        name: &str,
        family: Family,
        loss_nats: f64,
        error_nats: f64,
    ) -> RecipeRow {
        let loss = Estimate { mean: loss_nats, standard_error: Some(error_nats), clusters: 512 };
        RecipeRow {
            name: name.into(),
            family,
            setting: "16 epochs, weight decay 1.6".into(),
            loss: Some(loss),
            excess: None,
            parameters: 146_304,
            records: vec![record(name)],
            evaluation: record(&format!("{name} on test")),
        }
    }

    /// An id that belongs to a name.
    pub(in crate::report) fn record(name: &str) -> String {
        blake3::hash(name.as_bytes()).to_hex().to_string()
    }

    /// A block for every record that the recipes name.
    fn sources(recipes: &[RecipeRow]) -> Vec<Source> {
        let source = |id: &String, kind: JobKind, row: &RecipeRow, inputs: &[String]| Source {
            id: id.clone(),
            label: row.name.clone(),
            kind: Some(kind),
            outcome: "finished".into(),
            losses: vec![MeasuredLoss {
                name: "test, logits-1".into(),
                text: "2.7066 ± 0.0073 nats/token".into(),
            }],
            headline: None,
            allowed: String::new(),
            cost: Cost {
                tokens: 705_000,
                flops: 1.275e12,
                wall_seconds: 46.4,
                cpu_seconds: 45.2,
                parameters: 146_304,
            },
            machine: "2 cores, AVX-512, Linux".into(),
            numerics_class: "cpu/f32/exact/1".parse().ok(),
            made_by: "scarce 0.1.0, 2026-11-22 04:45:08 UTC".into(),
            spec: "optim.lr = 0.01\noptim.weight_decay = 1.6\n".into(),
            inputs: inputs.to_vec(),
            known: row.name == "standard-4",
        };
        let both = |row: &RecipeRow| {
            let trained = row.records.iter().map(|id| source(id, JobKind::Train, row, &[]));
            let evaluation = source(&row.evaluation, JobKind::Evaluate, row, &row.records);
            trained.chain([evaluation]).collect::<Vec<_>>()
        };
        recipes.iter().flat_map(both).collect()
    }

    fn comparison(question: &str, left: &str, right: &str, mean: f64) -> ComparisonRow {
        let wobble = |g: usize| f64::from((g * 7 % 13) as u32) / 6.0 - 1.0;
        let left_sums: Vec<f64> = (0..65).map(|g| 127.0 * (mean + 0.026 * wobble(g))).collect();
        let difference = paired_difference(&left_sums, &[0.0; 65], &[127.0; 65]);
        ComparisonRow {
            question: question.into(),
            left: left.into(),
            right: right.into(),
            difference,
        }
    }

    /// A U-shaped or falling curve over `epochs` epochs of 25,600 tokens, ending near `last`.
    pub(in crate::report) fn trajectory(
        label: &str,
        family: Family,
        epochs: u32,
        last: f64,
        overfit: f64,
    ) -> Trajectory {
        let points = (1..=u64::from(epochs) * 4)
            .map(|quarter| {
                let tokens = 6400.0 * quarter as f64;
                let share = quarter as f64 / f64::from(epochs * 4);
                let falling = (5.2 - last) * (-5.0 * share).exp();
                (tokens, last + falling + overfit * (share - 1.0) * share.powi(2))
            })
            .collect();
        Trajectory { label: label.into(), family, record: record(label), points }
    }

    /// Losses as measured on the built-in language.
    pub(in crate::report) fn language() -> QuickstartReport {
        use Family::{Ensemble, Larger, Ngram, Regularized, Standard};
        let floor = 2.3208;
        let mut recipes = vec![
            recipe("standard-4", Standard, floor + 1.183, 0.0091),
            recipe("standard-8", Standard, floor + 0.658, 0.0063),
            recipe("standard-16", Standard, floor + 0.632, 0.0061),
            recipe("standard-32", Standard, floor + 1.712, 0.0110),
            recipe("regularized", Regularized, floor + 0.4296, 0.0044),
            recipe("larger", Larger, floor + 0.4303, 0.0045),
            recipe("ensemble-3", Ensemble, floor + 0.3858, 0.0040),
            recipe("ngram", Ngram, floor + 0.602, 0.0058),
        ];
        for row in &mut recipes {
            row.excess = row.loss.map(|loss| Estimate { mean: loss.mean - floor, ..loss });
            row.loss = row.loss.map(|loss| Estimate { standard_error: Some(0.0073), ..loss });
        }
        let comparisons = vec![
            comparison("Do more epochs hurt?", "standard-32", "standard-16", 1.08),
            comparison("Does weight decay help?", "regularized", "standard-16", -0.2024),
            comparison("Does size help?", "larger", "regularized", 0.0007),
            comparison("Does an ensemble help?", "ensemble-3", "larger", -0.0446),
        ];
        let trajectories = vec![
            trajectory("4 epochs", Standard, 4, floor + 1.183, 0.0),
            trajectory("8 epochs", Standard, 8, floor + 0.658, 0.0),
            trajectory("16 epochs", Standard, 16, floor + 0.632, 0.3),
            trajectory("32 epochs", Standard, 32, floor + 1.712, 4.5),
            trajectory("regularized", Regularized, 16, floor + 0.4296, 0.0),
        ];
        recipes[6].records = ["a", "b", "c"].map(record).to_vec();
        let tuned = &recipes[4].records[0];
        let tunings = [(0.8, 2.79), (1.6, 2.75)].map(|(weight_decay, loss_nats)| TuningRow {
            model: "pocket-150k".into(),
            weight_decay,
            loss: Some(Estimate { mean: loss_nats, standard_error: Some(0.009), clusters: 512 }),
            chosen: weight_decay > 1.0,
            record: tuned.clone(),
        });
        let sources = sources(&recipes);
        QuickstartReport {
            title: "Quick start".into(),
            subject: "built-in language E, 25,600 training tokens, seed 1".into(),
            floor_nats: Some(floor),
            recipes,
            comparisons,
            trajectories,
            tunings: tunings.into(),
            sources,
            wall_seconds: 192.4,
            test_reads: Vec::new(),
            notes: Vec::new(),
        }
    }

    /// Losses as measured on books, where no floor is known and runs cost more.
    pub(in crate::report) fn books() -> QuickstartReport {
        use Family::{Ensemble, Larger, Ngram, Regularized, Standard};
        let mut report = language();
        report.subject = "books, 51,600 training tokens, seed 1".into();
        report.floor_nats = None;
        report.recipes = vec![
            recipe("standard-4", Standard, 4.014, 0.021),
            recipe("standard-8", Standard, 3.894, 0.020),
            recipe("standard-16", Standard, 4.215, 0.020),
            recipe("standard-32", Standard, 4.502, 0.031),
            recipe("regularized", Regularized, 3.704, 0.018),
            recipe("larger", Larger, 3.684, 0.018),
            recipe("ensemble-3", Ensemble, 3.592, 0.017),
            recipe("ngram", Ngram, 3.662, 0.025),
        ];
        report.sources = sources(&report.recipes);
        report.trajectories = vec![
            trajectory("4 epochs", Standard, 4, 4.014, 0.0),
            trajectory("8 epochs", Standard, 8, 3.894, 0.2),
            trajectory("16 epochs", Standard, 16, 4.215, 1.3),
            trajectory("32 epochs", Standard, 32, 4.502, 2.5),
            trajectory("regularized", Regularized, 16, 3.704, 0.0),
        ];
        report
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_headline_table_shows_excess_only_where_a_floor_is_known() {
        let text = examples::language().recipe_table().to_text();
        let ensemble = text.lines().find(|line| line.starts_with("ensemble-3")).unwrap();
        assert!(ensemble.contains("2.7066 ± 0.0073  0.3858 ± 0.0040     146,304"), "{text}");
        assert!(ensemble.ends_with("17762fdd 10e5cf3d ea7aa1fc"), "{text}");
        let mut books = examples::books();
        assert!(!books.recipe_table().to_text().contains("floor"));
        books.recipes[3].loss = None;
        assert!(books.recipe_table().to_text().contains("diverged"));
    }

    #[test]
    fn differences_come_with_interval_and_verdict() {
        let text = examples::language().comparison_table().to_text();
        let line = |name: &str| text.lines().find(|line| line.starts_with(name)).unwrap();
        let ensemble = line("ensemble-3 minus larger");
        assert!(ensemble.contains("-0.0446") && ensemble.ends_with("better"), "{text}");
        assert!(line("standard-32 minus standard-16").ends_with("worse"), "{text}");
        assert!(line("larger minus regularized").ends_with("no difference seen"), "{text}");
    }

    #[test]
    fn json_has_the_promised_keys() {
        let mut report = examples::language();
        report.recipes[3].loss = None;
        report.recipes[3].excess = None;
        let json = json!(report);
        crate::golden::check_json("quickstart", &json);
        assert_eq!(json["floor_nats"], 2.3208);
        assert_eq!(json["recipes"][6]["name"], "ensemble-3");
        assert_eq!(json["recipes"][6]["standard_error_nats"], 0.0073);
        assert_eq!(json["recipes"][6]["records"][0], examples::record("a"));
        assert_eq!(json["recipes"][3]["loss_nats"], serde_json::Value::Null);
        let keys: Vec<&String> = json["recipes"][0].as_object().unwrap().keys().collect();
        let mut expected =
            ["name", "loss_nats", "standard_error_nats", "excess_nats", "parameters", "records"];
        expected.sort_unstable();
        assert_eq!(keys, expected);
    }
}
