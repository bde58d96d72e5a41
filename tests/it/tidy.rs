//! The rules of the house, as tests: layers, sizes, headers, and who may touch what.
//!
//! A rule is a function from the path and the text of a file to what is wrong with it. The test of
//! a rule shows that it bites a planted violation, that it spares what is allowed, and that every
//! file of the repository keeps it. The scans are textual: good against accidents, not against
//! intent.

use std::collections::BTreeSet;
use std::path::Path;
use std::sync::LazyLock;

/// A text file of the repository.
pub(crate) struct File {
    /// From the root, with slashes.
    pub(crate) path: String,
    pub(crate) text: String,
}

/// What belongs to the repository. Listing it keeps scratch folders and stores out of the scan.
const PARTS: [&str; 8] = [".ci", "docs", "engine", "examples", "records", "specs", "src", "tests"];

pub(crate) static FILES: LazyLock<Vec<File>> = LazyLock::new(|| {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut files = Vec::new();
    collect(root, "", &mut files);
    for path in ["ARCHITECTURE.md", "CHANGELOG.md", "README.md", ".ci/run", "src/lib.rs"] {
        assert!(files.iter().any(|file| file.path == path), "the scan found no {path}");
    }
    files
});

/// Reads the text files under a folder; files that are not UTF-8 are not text.
fn collect(folder: &Path, prefix: &str, files: &mut Vec<File>) {
    for entry in std::fs::read_dir(folder).unwrap() {
        let entry = entry.unwrap();
        let name = entry.file_name().into_string().unwrap();
        let path = format!("{prefix}{name}");
        let kind = entry.file_type().unwrap();
        let ours = !prefix.is_empty() || PARTS.contains(&name.as_str()) || kind.is_file();
        if !ours || name.starts_with('.') && name != ".ci" || name == "target" {
            continue;
        }
        if kind.is_dir() {
            collect(&entry.path(), &format!("{path}/"), files);
        } else if let Ok(text) = std::fs::read_to_string(entry.path()) {
            files.push(File { path, text });
        }
    }
}

/// The text of a file that must exist.
fn text(path: &str) -> &'static str {
    &FILES.iter().find(|file| file.path == path).unwrap().text
}

/// What is wrong with a file.
pub(crate) type Violations = Vec<String>;

/// One violation, unless all is well.
fn unless(well: bool, what: impl Into<String>) -> Violations {
    if well { Violations::new() } else { vec![what.into()] }
}

/// Asserts that every file of the repository keeps a rule.
pub(crate) fn holds(rule: impl Fn(&str, &str) -> Violations) {
    let of_file = |file: &File| {
        let violations = rule(&file.path, &file.text).into_iter();
        violations.map(|what| format!("{}:{what}", file.path)).collect::<Vec<_>>()
    };
    let violations: Vec<String> = FILES.iter().flat_map(of_file).collect();
    assert!(violations.is_empty(), "\n{}\n", violations.join("\n"));
}

/// Asserts that a rule finds exactly one violation in a planted text, and says this about it.
pub(crate) fn bites(rule: impl Fn(&str, &str) -> Violations, path: &str, text: &str, what: &str) {
    let violations = rule(path, text);
    assert!(
        violations.len() == 1 && violations[0].contains(what),
        "{path}: {violations:?} is not one violation with {what:?}"
    );
}

/// Asserts that a rule finds nothing in this text.
pub(crate) fn spares(rule: impl Fn(&str, &str) -> Violations, path: &str, allowed: &str) {
    assert_eq!(rule(path, allowed), Violations::new(), "{path}");
}

/// Files that only tests are made of.
fn is_test_file(path: &str) -> bool {
    let names = ["/tests.rs", "/testing.rs", "/golden.rs", "/emulator.rs"];
    path.starts_with("tests/") || names.iter().any(|name| path.ends_with(name))
}

fn is_comment(line: &str) -> bool {
    line.trim_start().starts_with("//")
}

/// Leading spaces.
fn indentation(line: &str) -> usize {
    line.len() - line.trim_start().len()
}

/// The lines of a source file that become part of the program, numbered from 1: those of
/// [`program`] without comments.
pub(crate) fn code<'t>(path: &str, text: &'t str) -> Vec<(usize, &'t str)> {
    let mut lines = program(path, text);
    lines.retain(|(_, line)| !is_comment(line));
    lines
}

/// The lines of a source file without items under `#[cfg(test)]`, numbered from 1.
pub(crate) fn program<'t>(path: &str, text: &'t str) -> Vec<(usize, &'t str)> {
    let mut lines = Vec::new();
    if is_test_file(path) || !path.ends_with(".rs") {
        return lines;
    }
    let mut rest = (1..).zip(text.lines());
    while let Some((number, line)) = rest.next() {
        if !["#[cfg(test)]", "#[cfg(all(test,"].iter().any(|mark| line.trim().starts_with(mark)) {
            lines.push((number, line));
            continue;
        }
        let item = rest.by_ref().map(|(_, line)| line).find(|l| !l.trim().starts_with("#["));
        // `mod tests;` is one line; anything longer ends with a brace below its beginning.
        if item.is_some_and(|item| !item.ends_with(';') && !item.ends_with('}')) {
            let end = |inner: &str| inner.trim() == "}" && indentation(inner) == indentation(line);
            rest.by_ref().map(|(_, line)| line).find(|inner| end(inner));
        }
    }
    lines
}

fn is_word_character(character: char) -> bool {
    character.is_alphanumeric() || character == '_'
}

/// Whether `word` stands in the line without letters, digits or `_` around it.
fn has_word(line: &str, word: &str) -> bool {
    line.match_indices(word).any(|(start, _)| {
        let (before, after) = (&line[..start], &line[start + word.len()..]);
        !before.ends_with(is_word_character) && !after.starts_with(is_word_character)
    })
}

/// The module of package `scarce` that a source file belongs to.
fn module(path: &str) -> Option<&str> {
    let name = path.strip_prefix("src/")?.split('/').next()?;
    Some(name.strip_suffix(".rs").unwrap_or(name)).filter(|&name| name != "lib" && name != "main")
}

/// The rows of the fenced `layers` picture, from above.
fn picture(architecture: &str) -> Vec<Vec<&str>> {
    let inside = architecture.lines().skip_while(|line| line.trim() != "```layers").skip(1);
    let rows = inside.take_while(|line| line.trim() != "```");
    rows.map(|row| row.split_whitespace().collect()).collect()
}

/// A module uses itself and the rows strictly below its own.
fn layers(rows: &[Vec<&str>], path: &str, text: &str) -> Violations {
    let row = |name: &str| rows.iter().position(|row| row.contains(&name));
    let Some(own) = module(path) else { return Violations::new() };
    let Some(own_row) = row(own) else { return Violations::new() };
    let mut violations = Violations::new();
    let lines = code(path, text).into_iter();
    for (number, line) in lines.filter(|(_, line)| *line != "use crate::{Error, Result};") {
        for (start, prefix) in line.match_indices("crate::") {
            let rest = &line[start + prefix.len()..];
            let end = rest.find(|c| !is_word_character(c)).unwrap_or(rest.len());
            let name = match &rest[..end] {
                "Error" | "Result" => "error",
                name => name,
            };
            if name.is_empty() {
                violations.push(format!("{number}: write one `use crate::module` per module"));
            } else if name != own && row(name).is_none_or(|used| used <= own_row) {
                violations.push(format!("{number}: `{own}` may not use `{name}`"));
            }
        }
    }
    violations
}

#[test]
fn modules_use_only_what_lies_below() {
    let rows = picture(text("ARCHITECTURE.md"));
    assert!(rows.len() > 5, "ARCHITECTURE.md has a picture: {rows:?}");
    let rule = |path: &str, text: &str| layers(&rows, path, text);
    bites(rule, "src/optim.rs", "//! x\nuse crate::report::f;", "2: `optim` may not use `report`");
    bites(rule, "src/train/run.rs", "let x = crate::eval::f();", "`train` may not use `eval`");
    bites(rule, "src/data/a.rs", "use crate::nowhere::x;", "`data` may not use `nowhere`");
    bites(rule, "src/cli/a.rs", "use crate::{lab, spec};", "one `use crate::module`");
    spares(rule, "src/cli/a.rs", "use crate::{Error, Result};\nuse crate::lab::Lab;");
    spares(rule, "src/spec/a.rs", "#[cfg(test)]\nmod tests {\n    use crate::lab::Lab;\n}\n");
    spares(rule, "src/spec/a.rs", "// Unlike `crate::lab`.\nuse crate::spec::id;");
    bites(rule, "src/spec/a.rs", "#[cfg(test)]\nmod tests;\nuse crate::lab::L;", "3: `spec`");
    holds(rule);
}

/// Paths go down from `crate` or up by one: anything else would hide an edge from the picture.
fn upward_paths(path: &str, text: &str) -> Violations {
    let twice = ["super", "super"].join("::");
    let own_root = module(path).is_some_and(|module| {
        path == format!("src/{module}.rs") || path == format!("src/{module}/mod.rs")
    });
    let bad = |line: &str| line.contains(&twice) || own_root && line.contains("super::");
    let lines = code(path, text).into_iter().filter(|(_, line)| bad(line));
    lines.map(|(number, _)| format!("{number}: write `crate::module::...`")).collect()
}

#[test]
fn paths_go_up_by_one_at_most() {
    let up = ["use super", "super", "x;"].join("::");
    bites(upward_paths, "src/draw/chart/a.rs", &up, "1: write `crate::");
    bites(upward_paths, "engine/src/ops/linear/a.rs", &up, "1: write `crate::");
    bites(upward_paths, "src/optim.rs", "use super::spec::Id;", "1: write `crate::");
    spares(upward_paths, "src/draw/font.rs", "use super::svg::Scene;");
    holds(upward_paths);
}

/// The picture names the modules of `src/lib.rs` and no others.
fn module_list(rows: &[Vec<&str>], path: &str, text: &str) -> Violations {
    if path != "src/lib.rs" {
        return Violations::new();
    }
    let lines = code(path, text).into_iter().map(|(_, line)| line.trim_start_matches("pub "));
    let declared: BTreeSet<&str> =
        lines.filter_map(|line| line.strip_prefix("mod ")?.strip_suffix(';')).collect();
    let drawn: BTreeSet<&str> = rows.iter().flatten().copied().collect();
    let differences = declared.symmetric_difference(&drawn);
    differences
        .map(|name| format!("1: `{name}` is not in both src/lib.rs and ARCHITECTURE.md"))
        .collect()
}

#[test]
fn the_picture_names_every_module() {
    let small = vec![vec!["cli"], vec!["data", "spec"]];
    let planted = |path: &str, text: &str| module_list(&small, path, text);
    let sources = "pub mod cli;\npub mod data;\n#[cfg(test)]\nmod golden;\npub mod spec;\n";
    spares(planted, "src/lib.rs", sources);
    bites(planted, "src/lib.rs", &format!("{sources}mod new;\n"), "`new` is not in both");
    bites(planted, "src/lib.rs", &sources.replace("pub mod cli;\n", ""), "`cli` is not in both");
    let rows = picture(text("ARCHITECTURE.md"));
    holds(|path, text| module_list(&rows, path, text));
}

/// Every source file says first what it is.
fn header(path: &str, text: &str) -> Violations {
    unless(!path.ends_with(".rs") || text.starts_with("//! "), "1: a file opens with `//!`")
}

#[test]
fn every_file_says_what_it_is() {
    bites(header, "src/a.rs", "use std::fmt;\n", "opens with `//!`");
    spares(header, "src/a.rs", "//! Apples.\n");
    holds(header);
}

/// Files of at most 600 lines with at most 100 columns; shorter ones where people read it all.
fn sizes(path: &str, text: &str) -> Violations {
    let lines_max = match path {
        "README.md" => 150,
        "ARCHITECTURE.md" => 140,
        ".ci/run" => 20,
        _ if path.ends_with(".rs") => 600,
        _ => return Violations::new(),
    };
    let mut violations = Violations::new();
    let count = text.lines().count();
    if count > lines_max {
        violations.push(format!("{count}: more than {lines_max} lines"));
    }
    let columns = (1..).zip(text.lines().map(|line| line.chars().count()));
    let long = columns.filter(|(_, columns)| path.ends_with(".rs") && *columns > 100);
    violations.extend(long.map(|(number, columns)| format!("{number}: {columns} columns")));
    violations
}

#[test]
fn files_and_lines_are_short() {
    bites(sizes, "src/a.rs", &"x\n".repeat(601), "more than 600 lines");
    bites(sizes, "README.md", &"x\n".repeat(151), "more than 150 lines");
    bites(sizes, "src/a.rs", &"é".repeat(101), "1: 101 columns");
    spares(sizes, "src/a.rs", &format!("{}\n", "é".repeat(100)).repeat(600));
    holds(sizes);
}

/// Functions of at most 70 lines, from the line with `fn` to the closing brace below it. (Clippy
/// counts too, but without comments and blank lines.)
fn function_length(path: &str, text: &str) -> Violations {
    let mut violations = Violations::new();
    if !path.ends_with(".rs") {
        return violations;
    }
    let lines: Vec<&str> = text.lines().collect();
    for (start, line) in lines.iter().enumerate() {
        if is_comment(line) || !has_word(line, "fn") || line.ends_with([';', '}']) {
            continue;
        }
        let first_word = line.trim_start().split([' ', '(']).next().unwrap_or_default();
        if !["fn", "pub", "const", "unsafe", "async", "extern"].contains(&first_word) {
            continue;
        }
        let level = indentation(line);
        let mut below = lines.iter().enumerate().skip(start + 1);
        // A signature of several lines that ends with a semicolon has no body.
        let end = below.find(|(_, line)| {
            indentation(line) == level && (line[level..].starts_with('}') || line.ends_with(';'))
        });
        let length = end.map_or(1, |(end, _)| end + 1 - start);
        if length > 70 {
            violations.push(format!("{}: a function of {length} lines", start + 1));
        }
    }
    violations
}

#[test]
fn functions_are_short() {
    let function = |lines: usize| {
        let body = "        x();\n".repeat(lines - 2);
        format!("impl A {{\n    pub(crate) fn long(\n{body}    }}\n}}\n")
    };
    bites(function_length, "src/a.rs", &function(71), "2: a function of 71 lines");
    spares(function_length, "src/a.rs", &function(70));
    let declared = format!("trait A {{\n    fn a(\n    );\n{}}}\n", "    // x\n".repeat(80));
    spares(function_length, "src/a.rs", &declared);
    holds(function_length);
}

/// A rule that forbids words in the program outside of some places.
pub(crate) fn words(path: &str, text: &str, words: &[&str], places: &[&str]) -> Violations {
    if places.iter().any(|place| path.starts_with(place)) {
        return Violations::new();
    }
    let mut violations = Violations::new();
    for (number, line) in code(path, text) {
        let found = words.iter().filter(|word| has_word(line, word));
        violations.extend(found.map(|word| format!("{number}: `{word}` has no place here")));
    }
    violations
}

/// Containers whose order differs from run to run could bring it into a result.
fn hashed_containers(path: &str, text: &str) -> Violations {
    words(path, text, &["HashMap", "HashSet"], &[])
}

#[test]
fn nothing_has_a_random_order() {
    bites(hashed_containers, "engine/src/a.rs", "use std::collections::HashMap;", "1: `HashMap`");
    bites(hashed_containers, "src/data/a.rs", "//! x\nlet set = HashSet::new();", "2: `HashSet`");
    holds(hashed_containers);
}

/// The wall clock belongs to one file of the store; durations to those who show or record them.
fn clocks(path: &str, text: &str) -> Violations {
    let mut violations = words(path, text, &["SystemTime"], &["src/store/clock.rs"]);
    violations.extend(words(path, text, &["Instant"], &["src/cli/", "src/lab/", "src/train/"]));
    violations
}

#[test]
fn clocks_are_read_where_they_belong() {
    bites(clocks, "src/lab/work.rs", "let now = SystemTime::now();", "1: `SystemTime`");
    bites(clocks, "engine/src/roofline.rs", "use std::time::Instant;", "1: `Instant`");
    spares(clocks, "src/train/run.rs", "let now = Instant::now();");
    spares(clocks, "src/eval/a.rs", "#[cfg(test)]\nfn f() {\n    Instant::now();\n}");
    holds(clocks);
}

/// Only `cli` talks: macros nowhere but in one file, the streams nowhere but in `cli`.
fn printing(path: &str, text: &str) -> Violations {
    let macros = ["println!", "print!", "eprintln!", "eprint!", "dbg!"];
    let mut violations = words(path, text, &macros, &["src/cli/print.rs"]);
    violations.extend(words(path, text, &["stdout()", "stderr()"], &["src/cli/"]));
    violations
}

#[test]
fn only_the_command_line_prints() {
    bites(printing, "src/lab/work.rs", "    println!(\"done\");", "1: `println!`");
    bites(printing, "src/cli/train.rs", "    eprint!(\"x\");", "1: `eprint!`");
    bites(printing, "engine/src/pool.rs", "    dbg!(x);", "1: `dbg!`");
    bites(printing, "src/train/run.rs", "let out = std::io::stdout();", "1: `stdout()`");
    spares(printing, "src/cli/print.rs", "println!(\"x\");");
    spares(printing, "src/lab/local.rs", "command.stdout(Stdio::piped());");
    holds(printing);
}

/// Package `scarce` is safe code, and says so to the compiler.
fn unsafe_code(path: &str, text: &str) -> Violations {
    let mut violations = words(path, text, &["unsafe"], &["engine/"]);
    if path == "src/lib.rs" && !text.contains("#![forbid(unsafe_code)]") {
        violations.push("1: the library forbids unsafe code".to_owned());
    }
    violations
}

#[test]
fn unsafe_code_lies_in_the_engine() {
    bites(unsafe_code, "src/data/a.rs", "//! x\nunsafe { f() }", "2: `unsafe`");
    bites(unsafe_code, "src/lib.rs", "//! x\n", "forbids unsafe code");
    spares(unsafe_code, "engine/src/a.rs", "unsafe { f() }");
    holds(unsafe_code);
}

/// Files are for six modules; specs, laws, optimizers and studies touch nothing outside at all.
fn input_and_output(path: &str, text: &str) -> Violations {
    let Some(module) = module(path) else { return Violations::new() };
    let world = ["std::fs", "std::net", "std::process", "std::env", "std::io", "std::thread"];
    let forbidden = match module {
        "spec" | "laws" | "optim" | "study" => &world[..],
        "cli" | "data" | "disk" | "exchange" | "store" | "token" => &[],
        _ => &world[..2],
    };
    words(path, text, forbidden, &[])
}

#[test]
fn files_are_for_those_who_may() {
    bites(input_and_output, "src/lab/work.rs", "use std::fs;", "1: `std::fs`");
    bites(input_and_output, "src/draw/svg.rs", "std::fs::write(a, b);", "1: `std::fs`");
    bites(input_and_output, "src/laws/fit.rs", "use std::thread;", "1: `std::thread`");
    bites(input_and_output, "src/spec/id.rs", "std::env::var(\"A\");", "1: `std::env`");
    spares(input_and_output, "src/disk/atomic.rs", "use std::fs;");
    spares(input_and_output, "src/lab/local.rs", "use std::process::Command;");
    holds(input_and_output);
}

/// No file knows where it lay on somebody's machine.
fn machine_paths(_: &str, text: &str) -> Violations {
    let roots = ["home", "root", "work", "tmp", "opt"].map(|name| format!("/{name}/"));
    let absolute = |line: &str, root: &str| {
        let mut places = line.match_indices(root).map(|(start, _)| &line[..start]);
        // `STORE/records/` and `a.b/c/` are relative: something stands before the slash.
        places.any(|before| !before.ends_with(|c| is_word_character(c) || "./-}$".contains(c)))
    };
    let bad =
        (1..).zip(text.lines()).filter(|(_, line)| roots.iter().any(|root| absolute(line, root)));
    bad.map(|(number, _)| format!("{number}: a path of one machine")).collect()
}

#[test]
fn no_file_names_a_machine() {
    let planted = ["see `", "home", "me/corpus`"].join("/");
    bites(machine_paths, "README.md", &planted, "1: a path of one machine");
    bites(machine_paths, "src/a.rs", &["\"", "root", "x\""].join("/"), "1: a path");
    spares(machine_paths, "src/a.rs", &["STORE", "work", "ID"].join("/"));
    holds(machine_paths);
}

/// A test runs, or it says aloud why not: an ignored one is forgotten.
fn ignored_tests(path: &str, text: &str) -> Violations {
    let mark = ["#[", "ignore"].concat();
    let source = path.ends_with(".rs");
    let bad = (1..).zip(text.lines()).filter(|(_, line)| source && line.contains(&mark));
    bad.map(|(number, _)| format!("{number}: slow tests ask for SCARCE_SLOW")).collect()
}

#[test]
fn no_test_is_ignored() {
    bites(ignored_tests, "src/a.rs", &["#[", "ignore]\nfn f() {}"].concat(), "1: slow tests");
    holds(ignored_tests);
}

/// An operation is a folder whose `mod.rs` explains it in six parts.
fn operation_headers(path: &str, text: &str) -> Violations {
    const PARTS: [&str; 6] =
        ["Shapes", "Forward", "Backward", "Saved for backward", "Cost", "Precision"];
    let Some(inside) = path.strip_prefix("engine/src/ops/") else { return Violations::new() };
    if !inside.contains('/') {
        return unless(inside == "mod.rs", "1: an operation is a folder");
    }
    let header: Vec<&str> = text.lines().take_while(|line| line.starts_with("//!")).collect();
    let place = |part: &&str| {
        let mark = format!("//! **{part}.**");
        header.iter().position(|line| line.starts_with(&mark))
    };
    let places: Vec<_> = PARTS.iter().map(place).collect();
    let complete = places.iter().all(Option::is_some) && places.is_sorted();
    let what = format!("1: the header has the parts {}", PARTS.join(", "));
    unless(complete || !inside.ends_with("/mod.rs"), what)
}

#[test]
fn operations_explain_themselves() {
    let good = text("engine/src/ops/linear/mod.rs");
    spares(operation_headers, "engine/src/ops/new/mod.rs", good);
    let lacking = good.replacen("**Cost.**", "", 1);
    bites(operation_headers, "engine/src/ops/new/mod.rs", &lacking, "the parts Shapes, Forward");
    bites(operation_headers, "engine/src/ops/new.rs", good, "an operation is a folder");
    holds(operation_headers);
}

/// The changelog has a heading for the version in Cargo.toml.
fn changelog(version: &str, path: &str, text: &str) -> Violations {
    let heading = format!("## {version}");
    let named = |line: &str| line.strip_prefix(&heading).is_some_and(|rest| !rest.starts_with('.'));
    let well = path != "CHANGELOG.md" || text.lines().any(named);
    unless(well, format!("1: there is no heading `{heading}`"))
}

#[test]
fn the_changelog_knows_this_version() {
    let planted = |path: &str, text: &str| changelog("1.2.3", path, text);
    bites(planted, "CHANGELOG.md", "# Changes\n\n## 1.2.2\n", "no heading `## 1.2.3`");
    spares(planted, "CHANGELOG.md", "# Changes\n\n## 1.2.3 (2027-01-01)\n");
    let version = text("Cargo.toml").lines().find_map(|line| line.strip_prefix("version = \""));
    let version = version.and_then(|rest| rest.strip_suffix('"')).unwrap();
    holds(|path, text| changelog(version, path, text));
}

/// The crates that a manifest names in its dependency tables, but not the package's own engine.
fn dependencies(manifest: &str) -> Vec<&str> {
    let mut inside = false;
    let mut names = Vec::new();
    for line in manifest.lines() {
        if line.starts_with('[') {
            inside = line.ends_with("dependencies]");
        } else if let (true, Some((name, _))) = (inside, line.split_once(" = ")) {
            names.push(name);
        }
    }
    // Continued lines are indented, and the engine is no guest.
    names.retain(|&name| !name.starts_with([' ', '#']) && name != "scarce-engine");
    names
}

/// Every dependency has earned a row in ARCHITECTURE.md.
fn dependency_table(names: &[&str], path: &str, text: &str) -> Violations {
    if path != "ARCHITECTURE.md" {
        return Violations::new();
    }
    let row = |name: &str| {
        let quoted = format!("`{name}`");
        text.lines().any(|line| line.starts_with('|') && line.contains(&quoted))
    };
    let missing = names.iter().filter(|name| !row(name));
    missing.map(|name| format!("1: the table of dependencies lacks `{name}`")).collect()
}

#[test]
fn dependencies_have_earned_their_place() {
    let manifest = "[dependencies]\nclap = \"4\"\n# no = \"1\"\n\n[lints]\nworkspace = true\n";
    assert_eq!(dependencies(manifest), ["clap"]);
    let planted = |path: &str, text: &str| dependency_table(&["clap"], path, text);
    bites(planted, "ARCHITECTURE.md", "| flags | `argh` |\n", "lacks `clap`");
    spares(planted, "ARCHITECTURE.md", "| flags | `clap` |\n");
    let names = [text("Cargo.toml"), text("engine/Cargo.toml")].map(dependencies).concat();
    holds(|path, text| dependency_table(&names, path, text));
}

/// Documents name files that exist. The log and the changelog tell of the past.
fn named_paths(path: &str, text: &str) -> Violations {
    if !path.ends_with(".md") || path == "docs/LOG.md" || path == "CHANGELOG.md" {
        return Violations::new();
    }
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let missing = |quoted: &&str| {
        let ours = quoted.split_once('/').is_some_and(|(part, _)| PARTS.contains(&part));
        let plain = quoted.chars().all(|c| c.is_ascii_lowercase() || "/._-0123456789".contains(c));
        ours && plain && !root.join(quoted).exists()
    };
    let quoted = |line| str::split(line, '`').skip(1).step_by(2).filter(missing);
    let found = (1..).zip(text.lines()).flat_map(|(n, line)| quoted(line).map(move |p| (n, p)));
    found.map(|(number, quoted)| format!("{number}: there is no `{quoted}`")).collect()
}

#[test]
fn documents_name_files_that_exist() {
    bites(named_paths, "README.md", "See `src/nowhere.rs`.", "1: there is no `src/nowhere.rs`");
    spares(named_paths, "README.md", "`src/lib.rs`, `engine/src/ops/NAME/mod.rs` and `a/b`.");
    holds(named_paths);
}

/// People and the machine that checks every change run the same tests.
fn same_tests(command: &str, path: &str, text: &str) -> Violations {
    let well = path != ".ci/run" || text.lines().any(|line| line == command);
    unless(well, format!("1: the README's `{command}` is not run"))
}

#[test]
fn the_readme_and_the_checks_run_the_same_tests() {
    let planted = |path: &str, text: &str| same_tests("cargo test", path, text);
    bites(planted, ".ci/run", "cargo test --lib\n", "the README's `cargo test`");
    spares(planted, ".ci/run", "#!/bin/sh\ncargo test\n");
    let command = text("README.md").lines().find(|line| line.starts_with("cargo test")).unwrap();
    holds(|path, text| same_tests(command, path, text));
}
