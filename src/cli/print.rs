//! Printing. A reader that goes away (`| head`) ends the program quietly.

use std::borrow::Cow;
use std::io::{ErrorKind, Write};

use crate::Error;
use crate::error::{is_printable, message};

/// Data, to standard output. What cannot be seen is written out: names come from files of others.
pub(super) fn data(text: &str) {
    end_if_failed(write(&shown(text, |character| character.escape_unicode().to_string())));
}

/// One JSON value on a line of its own, to standard output.
pub(super) fn json(value: &impl serde::Serialize) {
    let value = serde_json::to_value(value).expect("results are plain data");
    end_if_failed(try_json(&value));
}

/// The same; what a failure means is up to the caller.
pub(super) fn try_json(value: &serde_json::Value) -> std::io::Result<()> {
    // JSON may hold every character but the lowest; others take over terminals just as well.
    let escape = |character: char| {
        let units = character.encode_utf16(&mut [0; 2]).to_vec();
        units.iter().map(|unit| format!("\\u{unit:04x}")).collect()
    };
    write(&shown(&format!("{value}\n"), escape))
}

/// The text with what is neither printable nor white space put in other words.
fn shown(text: &str, escape: impl Fn(char) -> String) -> Cow<'_, str> {
    let plain = |character: char| matches!(character, '\n' | '\t') || is_printable(character);
    if text.chars().all(plain) {
        return Cow::Borrowed(text);
    }
    let one = |character| if plain(character) { character.to_string() } else { escape(character) };
    text.chars().map(one).collect()
}

fn write(text: &str) -> std::io::Result<()> {
    let mut out = std::io::stdout().lock();
    out.write_all(text.as_bytes()).and_then(|()| out.flush())
}

/// A reader that went away is no error; a disk that is full is one.
fn end_if_failed(written: std::io::Result<()>) {
    if let Err(cause) = written {
        if cause.kind() == ErrorKind::BrokenPipe {
            std::process::exit(0);
        }
        error(&Error::data(format!("failed to write to standard output: {cause}")));
        std::process::exit(3);
    }
}

/// Talk, to standard error; nobody has to listen. As bounded and printable as an error.
pub(super) fn note(text: &str) {
    let _ = writeln!(std::io::stderr().lock(), "{}", message(text));
}

/// A warning.
pub(super) fn warning(text: &str) {
    note(&format!("warning: {text}"));
}

/// An error with its hint.
pub(super) fn error(error: &Error) {
    note(&format!("error: {error}"));
}

/// A number of bytes for people.
pub(super) fn bytes(count: u64) -> String {
    let mut value = count as f64;
    for unit in ["B", "KiB", "MiB"] {
        if value < 1024.0 {
            return format!("{value:.*} {unit}", usize::from(unit != "B"));
        }
        value /= 1024.0;
    }
    format!("{value:.1} GiB")
}

/// A number of seconds for people.
pub(super) fn seconds(seconds: f64) -> String {
    match seconds {
        s if s < 60.0 => format!("{s:.1} s"),
        s if s < 3600.0 => format!("{:.0} min {:02.0} s", (s / 60.0).floor(), s % 60.0),
        s => format!("{:.0} h {:02.0} min", (s / 3600.0).floor(), s % 3600.0 / 60.0),
    }
}
