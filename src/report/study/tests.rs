//! What the tables say, on hand-made results.

use super::*;
use crate::draw::table::Table;
use crate::eval::statistics::{Interval, paired_difference};
use crate::laws::{self, AxisLaw, Base, Curve, Options, Refusal, Replication, Target};
use crate::report::page::{Cost, Page, Section, Source};
use crate::spec::{JobKind, Split};
use crate::store::{Average, Column, Loss};
use crate::study::scale::Question;
use crate::study::tune::{Certificate, Mode, Neighbor};
use crate::study::{Axis, Basis, Difference, Score, Setting, Step, Trial, ensemble};

const OPTIONS: Options = Options {
    family: laws::Family::Power,
    noise: laws::Noise::Residuals,
    level: 0.9,
    resamples: 200,
};

fn id(letter: &str) -> JobId {
    letter.repeat(64).parse().unwrap()
}

/// The regularized recipe of the paper at 200M tokens, whose law is published.
fn fitted() -> Result<AxisLaw, Refusal> {
    let points = [(0.15, 3.75), (0.3, 3.587), (0.6, 3.51), (1.4, 3.462)];
    AxisLaw::new(Curve::new(&points).unwrap(), &Replication::None, &OPTIONS)
}

fn trial(setting: (f64, f64, f64), score: Score, letter: &str) -> Trial {
    let (epochs, lr, weight_decay) = setting;
    let setting = Setting { epochs, lr, weight_decay };
    let timescale_epochs = setting.timescale_epochs(100.0);
    Trial { setting, timescale_epochs, records: vec![id(letter), id("f")], score }
}

fn loss(nats: f64) -> Score {
    Score::Loss { nats, standard_error: Some(0.009) }
}

fn difference(mean: f64, half: f64) -> Difference {
    let interval = Interval { low: mean - half, high: mean + half, level: 0.95 };
    Difference { mean, interval: Some(interval), basis: Basis::TextAndSeeds { seeds: 3 } }
}

fn example() -> Certificate {
    let center = trial((16.0, 0.01, 1.6), loss(2.7568), "a");
    let neighbor = |axis, step, trial, difference| Neighbor { axis, step, trial, difference };
    let diverged =
        Difference { mean: f64::INFINITY, interval: None, basis: Basis::TextAndSeeds { seeds: 3 } };
    let lost = Score::Diverged { record: id("d") };
    Certificate {
        neighbors: vec![
            neighbor(
                Axis::Epochs,
                Step::Down,
                trial((8.0, 0.01, 1.6), loss(2.8), "b"),
                difference(0.0432, 0.01),
            ),
            neighbor(
                Axis::WeightDecay,
                Step::Down,
                trial((16.0, 0.01, 0.0), loss(2.7588), "c"),
                difference(0.002, 0.005),
            ),
            neighbor(Axis::Lr, Step::Up, trial((16.0, 0.03, 1.6), lost, "e"), diverged),
        ],
        edges: vec![(Axis::Epochs, Step::Up)],
        flat: vec![center.setting, Setting { epochs: 16.0, lr: 0.01, weight_decay: 0.0 }],
        center,
    }
}

/// The cells of a row, by the text of its first.
fn row<'t>(table: &'t Table, first: &str) -> Vec<&'t str> {
    let row = table.rows().iter().find(|row| row[0].text == first);
    row.unwrap_or_else(|| panic!("no row {first}")).iter().map(|cell| cell.text.as_str()).collect()
}

/// All words of a block.
fn words(block: &Block) -> String {
    match block {
        Block::Text(text) | Block::Warning(text) => text.clone(),
        Block::Table { table, caption } => format!("{}{caption}", table.to_text()),
        Block::Figure(figure) => figure.caption.clone(),
        Block::Fold { title, .. } => title.clone(),
    }
}

#[test]
fn a_certificate_says_of_every_neighbor_whether_it_is_worse() {
    let published = [difference(0.05, 0.01), difference(-0.001, 0.004), difference(1.0, 0.1)];
    let table = certificate_table(Mode::Regularized, &example(), Some(&published));
    let best = ["best", "16", "0.01", "1.6", "0.625", "2.7568 ± 0.0090", "", "", "", "", ""];
    assert_eq!(row(&table, "best"), best);
    let fewer = row(&table, "epochs −");
    assert_eq!(fewer[5..9], ["2.8000 ± 0.0090", "+0.0432", "+0.0332 to +0.0532", "worse"]);
    assert_eq!(fewer[9..], ["+0.0500", "+0.0400 to +0.0600"]);
    let flat = row(&table, "weight decay −");
    assert_eq!(flat[3..5], ["0", "none"]);
    assert_eq!(flat[6..9], ["+0.0020", "-0.0030 to +0.0070", "no difference seen"]);
    assert_eq!(row(&table, "lr +")[5..9], ["diverged", "-", "-", "worse"]);
    assert_eq!(row(&table, "epochs +")[8], "edge of the grid");
    // Scores lead to their runs, a diverged one to the run that did, differences to both sides.
    let behind = |row: usize, column: usize| table.rows()[row][column].records.clone();
    assert_eq!(behind(0, 5), ids(&[id("a"), id("f")]));
    assert_eq!(behind(1, 6), ids(&[id("b"), id("f"), id("a"), id("f")]));
    assert_eq!(behind(3, 5), ids(&[id("d")]));
}

#[test]
fn a_certificate_says_its_edges_and_its_flat_set() {
    let blocks = certificate(Mode::Regularized, &example(), None);
    let [table, flat] = &blocks[..] else { panic!("{} blocks", blocks.len()) };
    assert!(
        words(table).contains("training; 95 % intervals over blocks of val and over 3 seeds. The")
    );
    assert_eq!(
        certificate_line(&example()),
        "16 epochs, lr 0.01, weight decay 1.6: 2 of 3 neighbors are worse, 1 not distinguishable, \
         at the edge of the grid"
    );
    assert!(words(flat).contains("2 points cannot be told apart"), "{}", words(flat));
    let mut strict = example();
    strict.edges.clear();
    strict.flat.truncate(1);
    assert_eq!(certificate(Mode::Regularized, &strict, None).len(), 1);
    strict.neighbors.remove(1);
    assert!(certificate_line(&strict).ends_with("1.6: every neighbor is worse"));
    strict.neighbors.clear();
    assert!(certificate_line(&strict).ends_with("1.6: no neighbor to compare with"));
    let blocks = certificate(Mode::Standard, &strict, None);
    assert!(words(&blocks[0]).contains("the grid has one point"));
}

#[test]
fn ensembles_are_certified_by_their_asymptotes() {
    let mut of_ensembles = example();
    let claim = fitted().unwrap().end().claim;
    let evaluation = id("9");
    of_ensembles.center.score = Score::Asymptote { claim, measured: 3.5, evaluation };
    let refusal = Refusal::NoDecrease;
    of_ensembles.neighbors[0].trial.score = Score::NoLaw { refusal, measured: 3.6, evaluation };
    let table = certificate_table(Mode::Ensemble, &of_ensembles, None);
    assert_eq!(table.columns()[5].0, "asymptote on val (nats/token)");
    assert_eq!(row(&table, "best")[5], "3.4294 (3.3882 to 3.4581)");
    assert_eq!(table.rows()[0][5].records, ids(&[evaluation]));
    assert_eq!(row(&table, "epochs −")[5], "no law; 3.6000 with all members");
}

#[test]
fn laws_never_show_an_asymptote_without_its_interval() {
    let records = ids(&[id("a"), id("b")]);
    let of = |name: &str, points, law| LawRow {
        name: name.into(),
        axis: "N".into(),
        points,
        law,
        records: records.clone(),
    };
    let refusal = Refusal::TooFewPoints { points: 3, needed: 4 };
    let rows =
        [of("regularized", 4, fitted()), of("standard", 3, Err(refusal)), of("again", 4, fitted())];
    let table = laws_table(&rows);
    let law = row(&table, "regularized");
    assert_eq!(law[1..4], ["N", "4", "3.4294 (3.3882 to 3.4581)"]);
    assert!(law[4].starts_with("1.0") && law[4].contains(" to "), "{law:?}");
    assert_eq!(row(&table, "standard")[2..], ["3", "no law", "-", "-", "-", "-"]);
    assert_eq!(table.rows()[0][3].records, records);

    let doubts = doubts_table(&rows);
    assert_eq!(doubts.rows().len(), 2);
    let doubt = row(&doubts, "regularized");
    assert!(doubt[1].contains(" to ") && doubt[5] == "too few points", "{doubt:?}");
    assert_eq!(doubt[3], "+0.0066");

    let blocks = laws(&rows);
    assert!(words(&blocks[0]).contains("in brackets 90 % profile-likelihood intervals"));
    let warnings = words(&blocks[2]);
    let few = "4 points are few: 5 are a sensible minimum for this law";
    assert!(
        warnings
            .lines()
            .any(|line| { line.starts_with(few) && line.ends_with("  regularized; again") }),
        "{warnings}"
    );
    assert!(warnings.contains("at least 4 are needed; measure more points"), "{warnings}");
    assert_eq!(laws(&rows[1..2]).len(), 2, "doubts need a law");
}

#[test]
fn a_range_that_the_interval_does_not_cover_is_marked() {
    let mut estimate = fitted().unwrap().fit.asymptote;
    estimate.leave_one_out = Some((3.40, 3.45));
    assert_eq!(left_out(&estimate), "3.4000 to 3.4500");
    estimate.leave_one_out = Some((3.30, 3.45));
    assert_eq!(left_out(&estimate), "3.3000 to 3.4500 !");
    estimate.leave_one_out = None;
    assert_eq!(left_out(&estimate), "-");
}

#[test]
fn multipliers_are_shown_under_three_interpolations() {
    let points = [(0.2, 3.75), (0.4, 3.587), (0.8, 3.51), (1.6, 3.462)];
    let curve = Curve::new(&points).unwrap();
    let target = Target::exact;
    let of = |what: &str, loss| MultiplierRow {
        budget_tokens: 200_000_000,
        what: what.into(),
        loss: format!("{loss:.4}"),
        multipliers: laws::multipliers(&curve, &OPTIONS, target(loss), Base::X(0.2)),
        records: ids(&[id("a")]),
    };
    let mut none = of("none", 3.5);
    none.multipliers = Err(Refusal::NoDecrease);
    let rows = [of("measured", 3.51), of("beyond", 3.44), none];
    let table = multipliers_table(&rows);
    let measured = row(&table, "measured");
    assert_eq!(measured[1..3], ["200,000,000", "3.5100"]);
    assert!(measured[3].contains("x (") && measured[3].contains(" to "), "{measured:?}");
    assert!(measured[4].starts_with("4.00x (") && measured[5].starts_with("4.00x ("));
    let beyond = row(&table, "beyond");
    assert_eq!(beyond[4], "outside of the measured losses");
    assert_eq!(row(&table, "none")[3..], ["no law", "-", "-"]);
    let text = words(&multipliers(&rows, "the standard recipe"));
    assert!(text.contains("How many times the budget the standard recipe would need"), "{text}");
    assert!(text.contains("The yardstick has no law: the losses do not fall"), "{text}");
}

#[test]
fn a_curve_in_k_ends_in_its_asymptote() {
    let of = |nats: f64| Loss {
        name: Column::Subsets(Average::Logits, 1),
        split: Split::Test,
        nats,
        standard_error_nats: Some(0.0088),
        clusters: 100,
        tokens: 1000,
        bits_per_byte: None,
        above_floor: None,
    };
    let gain = paired_difference(&[1.0, 1.1, 1.3], &[1.2, 1.4, 1.4], &[1.0; 3]);
    let point = |members: usize, nats| ensemble::Point {
        members,
        subsets: 5,
        loss: of(nats),
        deviation_nats: None,
        member_error_nats: Some(0.0021),
        gain,
        prefix: of(nats),
    };
    let points = [point(1, 3.75), point(2, 3.587), point(3, 3.51), point(4, 3.48)];
    let rows = MembersRow::of_points(&points);
    let table = members_table(&rows, &fitted(), id("a"));
    assert_eq!(row(&table, "1")[1..], ["5", "3.7500 ± 0.0088", "0.0021", "-", "-"]);
    let two = row(&table, "2");
    assert!(two[4] == "-0.2000" && two[5].starts_with('-') && two[5].contains(" to "), "{two:?}");
    let infinite = row(&table, "infinite");
    assert_eq!(infinite[1..], ["-", "3.4294 (3.3882 to 3.4581)", "-", "-", "-"]);
    assert_eq!(table.rows()[4][2].records, ids(&[id("a")]));

    let plain: Vec<MembersRow> = rows
        .into_iter()
        .map(|row| MembersRow { subsets: None, member_error_nats: None, gain: None, ..row })
        .collect();
    let table = members_table(&plain, &Err(Refusal::NoDecrease), id("a"));
    assert_eq!((table.columns().len(), table.rows().len()), (2, 4));
    let text = words(&members(&plain, &Err(Refusal::NoDecrease), id("a"), "test"));
    assert!(text.contains("on test") && text.contains("There is no law in K: the losses do not"));
}

#[test]
fn messages_of_a_kind_are_told_together() {
    let of = |id, seen: &str| Message::new(id, seen, "Raise weight decay");
    let blocks = messages(&[of("F2", "First seen"), of("F1", "Alone"), of("F2", "Second seen")]);
    let [together, cases, alone] = &blocks[..] else { panic!("{} blocks", blocks.len()) };
    let expected = "First seen. And 1 more of this kind. Raise weight decay. [F2]";
    assert!(matches!(together, Block::Warning(text) if text == expected), "{together:?}");
    assert!(matches!(cases, Block::Fold { blocks, .. } if blocks.len() == 2), "{cases:?}");
    assert_eq!(words(alone), "Alone. Raise weight decay. [F1]");
}

/// All tables on one page, for the eye: `SCARCE_FIGURES=DIR cargo test report`.
#[test]
fn all_tables_fit_on_a_page() {
    let mut page = Page::new("A study", "built-in language, 51,712 training tokens");
    page.headline = "The regularized recipe reaches 3.4294 nats per token (3.3882 to 3.4581) with \
                     infinitely many parameters."
        .into();
    let message = Message::new("F2", "Overfitting was seen at 32 epochs", "Raise weight decay");
    let records = ids(["a", "b", "c", "d", "e", "f", "9"].map(id).iter());
    page.sources = records.iter().map(|id| source(id)).collect();
    let law = |name: &str, law| LawRow {
        name: name.into(),
        axis: "N".into(),
        points: 4,
        law,
        records: records[..4].to_vec(),
    };
    let rows = [
        law("regularized, 51,712 tokens", fitted()),
        law("standard, 51,712 tokens", Err(Refusal::NoDecrease)),
    ];
    let published = vec![difference(0.05, 0.01); 3];
    let finding = |answer, budget_tokens| Finding {
        question: Question::JointEndsBelowSingle,
        budget_tokens,
        answer,
        evidence: "joint 3.1690 (3.1412 to 3.1893), regularized 3.4294 (3.3882 to 3.4581)".into(),
    };
    let answers = [finding(Answer::Shown, Some(51_712)), finding(Answer::NotShown, None)];
    let parts = [
        ("What was seen", "seen", messages(&[message])),
        ("Findings", "findings", vec![findings(&answers)]),
        (
            "The certificate",
            "certificate",
            certificate(Mode::Regularized, &example(), Some(&published)),
        ),
        ("Laws", "laws", laws(&rows)),
    ];
    for (title, anchor, blocks) in parts {
        page.sections.push(Section { title: title.into(), anchor: anchor.into(), blocks });
    }
    let html = page.to_html();
    assert!(html.contains("<p class=\"note\">Overfitting was seen at 32 epochs. Raise weight"));
    let shown = "<td class=\"number\">51,712</td><td>yes</td><td>joint 3.1690";
    let not = "<td class=\"number\">-</td><td>does not show at this scale</td><td>joint";
    assert!(html.contains(shown) && html.contains(not), "{html}");
    assert!(html.contains("records behind"), "scores of several seeds lead to a set");
    if let Ok(folder) = std::env::var("SCARCE_FIGURES") {
        std::fs::write(std::path::Path::new(&folder).join("study.html"), &html).unwrap();
    }
}

fn source(id: &str) -> Source {
    Source {
        id: id.into(),
        label: "179,136 parameters, 51.7k tokens, 16 epochs, lr 0.01, weight decay 1.6".into(),
        kind: Some(JobKind::Train),
        outcome: "finished".into(),
        losses: Vec::new(),
        headline: None,
        allowed: String::new(),
        cost: Cost::default(),
        machine: "a processor".into(),
        numerics_class: "cpu/f32/exact/1".parse().ok(),
        made_by: "scarce 0.1.0".into(),
        spec: "epochs = 16\n".into(),
        inputs: Vec::new(),
        known: false,
    }
}
