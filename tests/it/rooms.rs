//! The rules of the house that keep every thing in its room.

use std::collections::{BTreeMap, BTreeSet};

use crate::tidy::{FILES, Violations, bites, code, holds, program, spares, words};

/// The names of losses are text in one file; everywhere else they are `store::Column`.
fn loss_names(path: &str, text: &str) -> Violations {
    if !path.starts_with("src/")
        || ["src/store/column.rs", "src/store/record/ensemble.rs"].contains(&path)
    {
        return Violations::new();
    }
    let words =
        ["member-", "logits-", "probabilities-", "subsets-", "subsets_", "without_", "soup-"];
    let begins = |rest: &str| rest.starts_with(|next: char| next == '{' || next.is_ascii_digit());
    let of = |line: &str, word: &str| {
        let mut found = line.match_indices(word);
        found.any(|(at, _)| line[..at].ends_with('"') && begins(&line[at + word.len()..]))
    };
    let named = |line: &str| words.iter().any(|word| of(line, word));
    let lines = code(path, text).into_iter().filter(|(_, line)| named(line));
    lines.map(|(number, _)| format!("{number}: a loss is named by `store::Column`")).collect()
}

#[test]
fn losses_are_named_in_one_file() {
    bites(loss_names, "src/cli/a.rs", "let x = format!(\"logits-{k}\");", "1: a loss is named by");
    spares(loss_names, "src/cli/a.rs", "let x = Column::First(average, k);");
    spares(loss_names, "src/store/column.rs", "let x = \"soup-2\";");
    holds(loss_names);
}

/// A name that could hold anything will.
fn catch_all_names(path: &str, _: &str) -> Violations {
    const NAMES: [&str; 8] =
        ["base", "common", "helper", "helpers", "manager", "misc", "util", "utils"];
    let parts = path.split('/').map(|part| part.split('.').next().unwrap_or(part));
    let bad = parts.filter(|part| NAMES.contains(part));
    bad.map(|part| format!("1: `{part}` says nothing of what is inside")).collect()
}

#[test]
fn modules_have_names_that_mean_something() {
    bites(catch_all_names, "src/data/utils.rs", "", "`utils` says nothing");
    holds(catch_all_names);
}

/// What fits a law, or reads one: it belongs to `laws`, `study` and `analysis`.
const FITTING: [&str; 9] = [
    "AxisLaw::new",
    "Base::Loss",
    "Base::X",
    "Curve::new",
    "fit_joint",
    "fit_robust",
    "fit_surface",
    "fit_surface_robust",
    "predictions",
];

/// Tables, pages and figures take numbers with their intervals and fit nothing.
fn fits_in_pictures(path: &str, text: &str) -> Violations {
    let rooms = ["src/report/", "src/figures/", "src/draw/"];
    match rooms.iter().any(|room| path.starts_with(room)) {
        true => words(path, text, &FITTING, &[]),
        false => Violations::new(),
    }
}

#[test]
fn figures_and_pages_fit_nothing() {
    bites(fits_in_pictures, "src/figures/a.rs", "let law = AxisLaw::new(curve);", "`AxisLaw::new`");
    bites(fits_in_pictures, "src/report/a.rs", "multipliers(a, b, Base::X(d));", "`Base::X`");
    spares(fits_in_pictures, "src/figures/a.rs", "let law = scope.tuned_law(d);");
    spares(fits_in_pictures, "src/analysis/a.rs", "let law = AxisLaw::new(curve);");
    holds(fits_in_pictures);
}

/// The command line asks the library and prints.
fn computing(path: &str, text: &str) -> Violations {
    let statistics = ["paired_difference", "jackknife", "StandardError", "over_seeds"];
    // `predictions` is a word of the command's own, too.
    let fitting = FITTING.into_iter().filter(|word| *word != "predictions");
    let forbidden: Vec<&str> = fitting.chain(statistics).collect();
    match path.starts_with("src/cli/") {
        true => words(path, text, &forbidden, &[]),
        false => Violations::new(),
    }
}

#[test]
fn the_command_line_computes_nothing() {
    bites(computing, "src/cli/fit/a.rs", "let fit = fit_surface(&samples);", "`fit_surface`");
    bites(computing, "src/cli/eval.rs", "paired_difference(a, b)", "`paired_difference`");
    spares(computing, "src/cli/fit/a.rs", "let answered = question.answer(&sheet, group)?;");
    holds(computing);
}

/// A chart is drawn from numbers and texts, whatever they are of.
fn drawn_things(path: &str, text: &str) -> Violations {
    let known = ["crate::spec", "crate::store", "crate::laws", "crate::eval", "crate::study"];
    if path.starts_with("src/draw/") { words(path, text, &known, &[]) } else { Violations::new() }
}

#[test]
fn what_draws_knows_no_record_and_no_law() {
    bites(drawn_things, "src/draw/chart/a.rs", "use crate::spec::JobId;", "1: `crate::spec`");
    spares(drawn_things, "src/draw/chart/a.rs", "use crate::number::amount;");
    holds(drawn_things);
}

/// Lines of code that may be equal in two places.
const TWINS_MAX: usize = 11;

/// Stretches of code that stand in two places, as the line where the second one begins.
fn twins<'t>(files: impl IntoIterator<Item = (&'t str, &'t str)>) -> Violations {
    let mut known: BTreeMap<Vec<&str>, (&str, usize)> = BTreeMap::new();
    let mut violations = Violations::new();
    for (path, text) in files {
        let lines = code(path, text).into_iter().map(|(number, line)| (number, line.trim()));
        let lines: Vec<(usize, &str)> = lines.filter(|(_, line)| !line.is_empty()).collect();
        for stretch in lines.windows(TWINS_MAX + 1) {
            let (number, texts) = (stretch[0].0, stretch.iter().map(|(_, line)| *line).collect());
            let (first, line) = *known.entry(texts).or_insert((path, number));
            if (first, line) != (path, number) {
                violations.push(format!("{path}:{number}: stands in {first}:{line}, too"));
            }
        }
    }
    violations
}

#[test]
fn nothing_stands_twice() {
    let body: String = (0..12).map(|line| format!("    f({line});\n")).collect();
    let found = twins([("src/a.rs", body.as_str()), ("src/b.rs", &format!("\n// x\n{body}"))]);
    assert_eq!(found, ["src/b.rs:3: stands in src/a.rs:1, too"]);
    assert!(twins([("src/a.rs", body.as_str()), ("src/b.rs", &body[10..])]).is_empty());
    let found = twins(FILES.iter().map(|file| (file.path.as_str(), file.text.as_str())));
    assert!(found.is_empty(), "\n{}\n", found.join("\n"));
}

/// Rooms and the lines that they may have outside of tests, comments counted.
const ROOMS: [(&str, &[&str], usize); 3] = [
    ("cli", &["src/cli/"], 6_000),
    ("report, figures and draw", &["src/report/", "src/figures/", "src/draw/"], 9_800),
    ("the workspace", &["src/", "engine/"], 59_600),
];

#[test]
fn rooms_stay_small() {
    for (name, folders, lines_max) in ROOMS {
        let own = |path: &str| folders.iter().any(|folder| path.starts_with(folder));
        let files = FILES.iter().filter(|file| own(&file.path));
        let lines: usize = files.map(|file| program(&file.path, &file.text).len()).sum();
        println!("{name}: {lines} of {lines_max} lines outside of tests");
        assert!(lines <= lines_max, "{name} has {lines} lines, more than {lines_max}");
    }
}

/// The file of a module by its path in the crate, without `.rs` and `/mod.rs`.
fn module_path(path: &str) -> &str {
    let path = path.strip_suffix(".rs").unwrap_or(path);
    path.strip_suffix("/mod").unwrap_or(path)
}

/// What a file names with `crate::` and `super::`, as paths of modules, the longest known ones.
fn uses<'f>(path: &str, text: &str, known: &BTreeSet<&'f str>) -> BTreeSet<&'f str> {
    let own = module_path(path);
    let root = &own[..own.find("src").map_or(0, |at| at + "src".len())];
    let above = own.rsplit_once('/').map_or(own, |(above, _)| above);
    let statement = |lines: Vec<(usize, &str)>| {
        lines.into_iter().map(|(_, line)| line.trim()).collect::<Vec<_>>().join(" ")
    };
    let code = statement(code(path, text));
    let mut found = BTreeSet::new();
    for (prefix, base) in [("crate::", root), ("super::", above)] {
        for (at, _) in code.match_indices(prefix) {
            let rest = &code[at + prefix.len()..];
            // `{a::b, c}` names several; anything else is one path.
            let names = match rest.strip_prefix('{') {
                Some(list) => list.split('}').next().unwrap_or_default().split(", ").collect(),
                None => vec![rest],
            };
            for name in names.into_iter().map(str::trim) {
                let end = name.find(|c: char| !(c.is_alphanumeric() || "_:".contains(c)));
                let parts: Vec<&str> = name[..end.unwrap_or(name.len())].split("::").collect();
                let longest = (1..=parts.len()).rev().find_map(|count| {
                    let path = format!("{base}/{}", parts[..count].join("/"));
                    known.get(path.as_str()).copied()
                });
                found.extend(longest);
            }
        }
    }
    found
}

/// Whether a module lies within another.
fn lies_in(inner: &str, outer: &str) -> bool {
    inner.strip_prefix(outer).is_some_and(|rest| rest.starts_with('/'))
}

/// Files that need each other, but for parents and what lies in their folders: a circle is read as
/// one long file.
fn circles(files: &[(&str, &str)]) -> Violations {
    let sources: Vec<&(&str, &str)> =
        files.iter().filter(|(path, text)| !code(path, text).is_empty()).collect();
    let known: BTreeSet<&str> = sources.iter().map(|(path, _)| module_path(path)).collect();
    let edges: BTreeMap<&str, BTreeSet<&str>> = sources
        .iter()
        .map(|(path, text)| {
            let own = module_path(path);
            let mut used = uses(path, text, &known);
            used.retain(|other| *other != own && !lies_in(other, own) && !lies_in(own, other));
            (own, used)
        })
        .collect();
    let reaches = |from: &str| {
        let (mut seen, mut open) = (BTreeSet::<&str>::new(), vec![from.to_owned()]);
        while let Some(next) = open.pop() {
            let used = edges.get(next.as_str()).into_iter().flatten();
            open.extend(used.filter(|to| seen.insert(to)).map(|to| (*to).to_owned()));
        }
        seen
    };
    let mut violations = Violations::new();
    for (own, used) in &edges {
        let back = used.iter().filter(|to| reaches(to).contains(*own));
        violations.extend(back.map(|to| format!("{own} needs {to}, and is needed by it")));
    }
    violations
}

#[test]
fn files_need_each_other_in_one_direction() {
    let planted = [
        ("src/a/mod.rs", "mod b;\nmod c;\nuse b::f;"),
        ("src/a/b.rs", "use super::c::{self, g};\nuse crate::a::X;"),
        ("src/a/c.rs", "use crate::{\n    a::b,\n};"),
        ("src/d.rs", "use crate::a::b::f;"),
    ];
    let found = [
        "src/a/b needs src/a/c, and is needed by it",
        "src/a/c needs src/a/b, and is needed by it",
    ];
    assert_eq!(circles(&planted), found);
    assert!(circles(&planted[..2]).is_empty(), "a parent and its child may");
    let files: Vec<(&str, &str)> =
        FILES.iter().map(|file| (file.path.as_str(), file.text.as_str())).collect();
    let found = circles(&files);
    assert!(found.is_empty(), "\n{}\n", found.join("\n"));
}
