//! Golden files of the unit tests: `SCARCE_BLESS=1 cargo test` rewrites them, a diff shows what
//! changed.

use std::path::Path;

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
