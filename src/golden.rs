//! Golden files of the unit tests: `SCARCE_BLESS=1 cargo test` rewrites them, a diff shows what
//! changed.

use std::path::Path;

use serde_json::Value;

/// Compares `actual` with `tests/golden/NAME`.
///
/// # Panics
/// If they differ, unless `SCARCE_BLESS` is set: then the file is rewritten.
pub(crate) fn check(name: &str, actual: &str) {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden").join(name);
    if std::env::var_os("SCARCE_BLESS").is_some() {
        std::fs::write(&path, actual).expect("golden files are writable");
        return;
    }
    let golden = std::fs::read_to_string(&path).unwrap_or_default();
    assert_eq!(golden, actual, "{} differs; SCARCE_BLESS=1 rewrites it", path.display());
}

/// Compares a released document with `tests/golden/json/NAME.json`, as [`check`] does.
pub(crate) fn check_json(name: &str, document: &Value) {
    check(&format!("json/{name}.json"), &format!("{}\n", lines(document, 0)));
}

/// Columns of a document; a loss fits into a line.
const WIDTH: usize = 200;

/// JSON in which everything that fits stands in one line.
fn lines(value: &Value, indent: usize) -> String {
    let flat = value.to_string();
    let (open, close, parts): (_, _, Vec<String>) = match value {
        Value::Array(items) if indent + flat.len() > WIDTH => {
            ('[', ']', items.iter().map(|item| lines(item, indent + 2)).collect())
        }
        Value::Object(entries) if indent + flat.len() > WIDTH => {
            let entry = |(key, value)| format!("\"{key}\": {}", lines(value, indent + 2));
            ('{', '}', entries.iter().map(entry).collect())
        }
        _ => return flat,
    };
    let (pad, deeper) = (" ".repeat(indent), " ".repeat(indent + 2));
    format!("{open}\n{deeper}{}\n{pad}{close}", parts.join(&format!(",\n{deeper}")))
}
