//! Tables of losses whose law was once wrong without a doubt, or doubted without a reason.

use std::fmt::Write;
use std::path::Path;

use serde_json::{Value, json};

use crate::program::{self, answer, failure, run, slow};

/// A file of `tests/cases`.
fn case(name: &str) -> String {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/cases");
    folder.join(name).display().to_string()
}

/// Writes a table into a folder.
fn table(folder: &Path, text: impl AsRef<[u8]>) -> String {
    let path = folder.join("table.csv");
    std::fs::write(&path, text).unwrap();
    path.display().to_string()
}

/// The law of a table without groups.
fn law(table: &str, more: &str) -> Value {
    let words = ["fit", table, "--json"].into_iter().chain(more.split_whitespace());
    serde_json::from_str(&answer(words)).unwrap()
}

fn number(value: &Value) -> f64 {
    value.as_f64().unwrap_or_else(|| panic!("{value} is not a number"))
}

/// Whether an interval holds a value.
fn holds(interval: &Value, value: f64) -> bool {
    number(&interval[0]) <= value && value <= number(&interval[1])
}

const CHINCHILLA: &str = "--law chinchilla --n N --d D --y loss --resamples 2";

#[test]
fn points_far_off_are_named_and_hardly_pull_the_robust_law() {
    // The truth is E = 1.8, alpha = 0.35, beta = 0.36; the last five rows are far off.
    let squares = law(&case("chinchilla_outliers.csv"), CHINCHILLA);
    assert!(!holds(&squares["intervals"]["E"]["profile"], 1.8), "that is the trap: {squares}");
    let residuals = &squares["residuals"];
    assert_eq!((&residuals["largest_line"], &residuals["stands_out"]), (&json!(125), &json!(true)));
    assert!(number(&residuals["largest_sd"]) > 3.9 && residuals["heavy_tails"] == true);
    let warnings = squares["warnings"].to_string();
    assert!(warnings.contains("line 125: a point lies 4.0 standard deviations"), "{warnings}");
    assert!(warnings.contains("heavy tails: 3 of 125 points"), "{warnings}");
    assert!(warnings.contains("see --loss huber-log"), "{warnings}");
    let path = case("chinchilla_outliers.csv");
    let words = ["fit", &path, "--loss", "huber-log"].into_iter();
    let output = run(words.chain(CHINCHILLA.split_whitespace()));
    let text = String::from_utf8(output.stdout).unwrap();
    for part in ["Hoffmann et al. 2022", "bootstrap\nintervals", "1.8069", "2.1273", "-0.3204"] {
        assert!(text.contains(part), "{text}");
    }
    let row = text.lines().find(|line| line.contains(" beta ")).unwrap();
    assert!(row.contains(" 0.3671 (") && row.contains(" 0.6958 ("), "{row}");
    let talk = String::from_utf8(output.stderr).unwrap();
    assert!(
        talk.contains("5 points lie beyond 4 robust standard deviations (lines 122, "),
        "{talk}"
    );
    for line in 123..=126 {
        assert!(talk.contains(&line.to_string()), "{talk}");
    }
}

#[test]
fn a_clean_table_is_not_doubted() {
    let clean = law(&case("chinchilla_clean.csv"), CHINCHILLA);
    assert_eq!(clean["warnings"], json!([]));
    assert_eq!(clean["residuals"]["beyond_4_robust_sd"], 0);
    assert!(holds(&clean["intervals"]["E"]["profile"], 1.8));
}

#[test]
fn rounding_is_no_noise() {
    let folder = tempfile::tempdir().unwrap();
    for (e, a) in [(3.0, 1.0), (3.2, 0.5), (1.5, 0.3), (2.0, 1.0 / 3.0)] {
        for digits in [3, 4, 6, 17] {
            let mut text = "K,loss\n".to_owned();
            for k in 1..=6 {
                let loss = e + a / f64::from(k);
                writeln!(text, "{k},{loss:.digits$}").unwrap();
            }
            let path = table(folder.path(), &text);
            for shape in ["power", "reciprocal"] {
                let more = format!("--x K --y loss --resamples 2 --law {shape}");
                let found = law(&path, &more);
                assert_eq!(found["warnings"], json!([]), "{shape} {text}");
                assert_eq!(found["residuals"]["stands_out"], false, "{shape} {text}");
                assert_eq!(found["intervals"]["E"]["covers_leave_one_out"], true, "{text}");
            }
        }
    }
    // Real noise is doubted as before.
    let text = "K,loss\n1,4.1\n2,3.5102\n3,3.3301\n4,3.2612\n5,3.1899\n6,3.5\n";
    let found = law(&table(folder.path(), text), "--x K --y loss --resamples 2");
    assert_ne!(found["warnings"], json!([]), "{found}");
}

#[test]
fn small_tables_have_robust_laws_too() {
    let folder = tempfile::tempdir().unwrap();
    let mut text = "group,K,loss\n".to_owned();
    for k in 1..=12_u32 {
        // Noise of a tenth of a percent that is the same everywhere, and one point far off.
        let noise = 0.002 * f64::from(k * 7 % 5) - 0.004;
        let off = if k == 5 { 0.4 } else { 0.0 };
        writeln!(text, "a,{k},{}", 3.0 + 0.6 / f64::from(k) + noise + off).unwrap();
    }
    let path = table(folder.path(), &text);
    let squares = law(&path, "--x K --y loss --group group --resamples 20");
    assert!(squares["warnings"].to_string().contains("line 6: a point lies "), "{squares}");
    for shape in ["power", "reciprocal"] {
        let more = format!("--x K --y loss --resamples 20 --loss huber-log --law {shape}");
        let robust = law(&path, &more);
        assert!((number(&robust["E"]) - 3.0).abs() < 0.02, "{shape}: {robust}");
        assert_eq!(robust["residuals"]["largest_line"], 6);
        assert_eq!(robust["residuals"]["far_lines"], json!([6]));
        assert_eq!((&robust["loss"], &robust["delta"]), (&json!("huber-log"), &json!(1e-3)));
        assert_eq!(robust["intervals"]["E"]["profile"], Value::Null);
        assert!(holds(&robust["intervals"]["E"]["bootstrap"], number(&robust["E"])), "{robust}");
        assert!((number(&robust["least_squares"]["E"]) - 3.0).abs() > 0.02, "{robust}");
    }
    let (code, errors) = failure(
        ["fit", &path, "--law", "joint", "--n", "K", "--k", "K", "--y", "loss", "--loss"]
            .into_iter()
            .chain(["huber-log"]),
    );
    assert!(code == 2 && errors.contains("power, reciprocal, chinchilla and repeat"), "{errors}");
    let zero = table(folder.path(), "K,loss\n1,4\n2,3\n3,2\n4,1\n5,0\n");
    let words = ["fit", &zero, "--x", "K", "--y", "loss", "--loss", "huber-log"];
    let (code, errors) = failure(words);
    assert!(code == 3 && errors.contains("a loss of zero has no logarithm"), "{errors}");
}

#[test]
fn tables_of_spreadsheets_are_read() {
    let folder = tempfile::tempdir().unwrap();
    let expected = law(&table(folder.path(), "n,loss\n1,4\n2,3.5\n3,3.4\n4,3.25\n5,3.2\n"), XY);
    let same = |text: &str, more: &str| {
        let found = law(&table(folder.path(), text), &format!("{XY} {more}"));
        assert_eq!(found["E"], expected["E"], "{text}");
    };
    same("n;loss\n1;4\n2;3,5\n3;3,4\n4;3,25\n5;3,2\n", "");
    same("sep=;\nn;loss\n1;4\n2;3,5\n3;3,4\n4;3,25\n5;3,2\n", "");
    same("n\tloss\n1\t4\n2\t3.5\n3\t3.4\n4\t3.25\n5\t3.2\n", "");
    same("n|loss\n1|4\n2|3.5\n3|3.4\n4|3.25\n5|3.2\n", "");
    same("n:loss\n1:4\n2:3.5\n3:3.4\n4:3.25\n5:3.2\n", "--delimiter :");
    same("n,loss\n1,4\n2,\"3,5\"\n3,\"3,4\"\n4,\"3,25\"\n5,\"3,2\"\n", "--decimal comma");
    let output = run(["fit", &case("semicolon.csv"), "--x", "n", "--y", "loss"]);
    let talk = String::from_utf8(output.stderr).unwrap();
    assert!(talk.contains("separated by semicolons, decimals with a comma"), "{talk}");
    assert!(talk.contains("3 points are no law"), "{talk}");
    // Standard input is a table, too, and what is none is named.
    let feed = |bytes: &[u8]| {
        let words = ["fit", "-", "--x", "n", "--y", "loss", "--resamples", "2"];
        let output = program::feed(words, bytes);
        String::from_utf8(output.stdout).unwrap() + &String::from_utf8(output.stderr).unwrap()
    };
    assert!(feed(b"n;loss\n1;4\n2;3,5\n3;3,4\n4;3,25\n5;3,2\n").contains("loss = A / n^alpha + E"));
    for (bytes, expected) in [
        (&b""[..], "standard input: the table is empty"),
        (b"{\"n\": 1}\n", "standard input: this is JSON and no table\nhint: `scarce import runs"),
        (b"PAR1....", "this is a Parquet file"),
        (b"\x1f\x8b\x08", "the file is compressed"),
        (b"\xff\xfen\0", "the text is UTF-16"),
        (b"n;loss, nats\n1;3,5\n", "separated by commas or by semicolons"),
    ] {
        let said = feed(bytes);
        assert!(said.contains(expected), "{said}");
    }
}

const XY: &str = "--x n --y loss --resamples 2";

#[test]
fn complaints_are_short_and_printable() {
    let folder = tempfile::tempdir().unwrap();
    let long = "\u{1b}[2Jx\u{202e}".repeat(20_000);
    let wide: Vec<String> = (0..5000).map(|index| format!("column{index}")).collect();
    for text in [
        format!("{long},b\n1,2\n"),
        format!("n,loss\n1,{long}\n"),
        format!("n,loss\n{long},2\n"),
        wide.join(","),
        format!("{}\n{}\n", wide.join(","), vec!["1"; 5000].join(",")),
        "n,n,loss\n1,2,3\n".to_owned(),
    ] {
        let (code, errors) =
            failure(["fit", &table(folder.path(), text), "--x", "n", "--y", "loss"]);
        assert!(code == 3 && errors.len() < 500, "{} bytes", errors.len());
        assert!(!errors.replace('\n', "").contains(char::is_control), "{errors:?}");
    }
    let grouped = format!("g,n,loss\n{long},1,2\n");
    let path = table(folder.path(), grouped);
    let (_, errors) = failure(["fit", &path, "--x", "n", "--y", "loss", "--group", "g"]);
    assert!(errors.len() < 500 && !errors.replace('\n', "").contains(char::is_control));
}

#[test]
fn the_published_points_of_chinchilla() {
    let (true, Some(folder)) = (slow(), std::env::var_os("SCARCE_DEV_DATA")) else {
        println!("SKIPPED: needs SCARCE_SLOW and the points in SCARCE_DEV_DATA");
        return;
    };
    let path = Path::new(&folder).join("data/chinchilla_reconstructed.csv");
    let Ok(text) = std::fs::read_to_string(&path) else {
        println!("SKIPPED: there is no {}", path.display());
        return;
    };
    let folder = tempfile::tempdir().unwrap();
    // Tokens are FLOP / 6 N. The five points of the fewest tokens are what a replication left out.
    let (mut all, mut most) = ("N,D,loss\n".to_owned(), "N,D,loss\n".to_owned());
    for (index, line) in text.lines().skip(1).enumerate() {
        let fields: Vec<f64> = line.split(',').map(|field| field.parse().unwrap()).collect();
        let row = format!("{},{},{}\n", fields[2], fields[3] / 6.0 / fields[2], fields[4]);
        all += &row;
        if index >= 5 {
            most += &row;
        }
    }
    let squares = law(&table(folder.path(), &all), CHINCHILLA);
    let warnings = squares["warnings"].to_string();
    assert!(warnings.contains("line 3: a point lies 11.4 standard deviations"), "{warnings}");
    assert!(warnings.contains("heavy tails: 9 of 245 points"), "{warnings}");
    // Besiroglu et al. (2024): E 1.8172, alpha 0.3478, beta 0.3658.
    let robust = law(&table(folder.path(), &most), &format!("{CHINCHILLA} --loss huber-log"));
    for (key, expected) in [("E", 1.8172), ("alpha", 0.3478), ("beta", 0.3658)] {
        assert!((number(&robust[key]) - expected).abs() < 2e-3, "{key}: {}", robust[key]);
    }
}
