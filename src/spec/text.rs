//! TOML texts, read with a bound on their nesting.

use serde::de::DeserializeOwned;

use crate::error::toml_message;

/// Open brackets at a time that no honest text has. The parser goes down one more level of its
/// stack for each inline table, even in a text that it has already found to be wrong.
const NESTING_MAX: usize = 100;

/// Reads a TOML text.
///
/// # Errors
/// What is wrong with it, on one line.
pub fn parse_toml<T: DeserializeOwned>(text: &str) -> Result<T, String> {
    let mut depth = 0_usize;
    for byte in text.bytes() {
        match byte {
            b'{' | b'[' => depth += 1,
            b'}' | b']' => depth = depth.saturating_sub(1),
            _ => {}
        }
        if depth > NESTING_MAX {
            return Err(format!("more than {NESTING_MAX} brackets are open at a time"));
        }
    }
    toml::from_str(text).map_err(|cause| toml_message(&cause))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nesting_is_bounded() {
        for open in ["{", "[", "a = {\n", "[a]\nb = {c = [\n"] {
            let text = format!("a = {}", open.repeat(5000));
            let error = parse_toml::<toml::Table>(&text).unwrap_err();
            assert!(error.contains("brackets are open") && error.len() < 200, "{error}");
        }
        let deep = format!("a = {}{}", "[".repeat(50), "]".repeat(50));
        assert!(parse_toml::<toml::Table>(&deep).is_ok());
        assert!(parse_toml::<toml::Table>("a = ").unwrap_err().starts_with("line 1, "));
    }
}
