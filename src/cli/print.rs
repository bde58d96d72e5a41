//! Printing. A reader that goes away (`| head`) ends the program quietly.

use std::io::{ErrorKind, Write};

use crate::Error;

/// Data, to standard output.
pub(super) fn data(text: &str) {
    if let Err(cause) = try_data(text) {
        if cause.kind() == ErrorKind::BrokenPipe {
            std::process::exit(0);
        }
        error(&Error::data(format!("failed to write to standard output: {cause}")));
        std::process::exit(3);
    }
}

/// Data, to standard output; what a failure means is up to the caller.
pub(super) fn try_data(text: &str) -> std::io::Result<()> {
    let mut out = std::io::stdout().lock();
    out.write_all(text.as_bytes()).and_then(|()| out.flush())
}

/// One JSON value on a line of its own, to standard output.
pub(super) fn json(value: &serde_json::Value) {
    data(&format!("{value}\n"));
}

/// Talk, to standard error; nobody has to listen.
pub(super) fn note(text: &str) {
    let _ = writeln!(std::io::stderr().lock(), "{text}");
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
