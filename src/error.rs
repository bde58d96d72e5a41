//! The one error type of `scarce`: opaque outside, with an operation, a path or line, and a hint.
//!
//! Bugs panic; errors are for the world (files, disks, users). A diverged run is not an error but
//! an outcome. Messages are lowercase fragments without a final period, so that they can follow
//! `error:`; the hint stands on a line of its own.
//!
//! Whatever a file or a flag holds, a message is at most two short lines of printable characters:
//! nobody's column name may take over a terminal. [`quoted`] makes good messages of such text;
//! what a message holds besides is cut and escaped when it is shown.

use std::fmt;
use std::path::Path;

/// What went wrong, in words for a person, together with the exit code it deserves.
pub struct Error(Box<Inner>);

struct Inner {
    kind: Kind,
    message: String,
    hint: Option<String>,
    /// Line of a file that is not named yet: the first [`Error::within`] joins both.
    line: Option<u64>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    /// A wrong flag, spec or study: the request itself cannot be served.
    Usage,
    /// A file, corpus, record or disk that is not as it must be.
    Data,
    /// The run was asked to stop and can be continued.
    Interrupted,
}

/// The result type used everywhere in `scarce`.
pub type Result<T> = std::result::Result<T, Error>;

impl Error {
    /// A request that makes no sense: unknown key, impossible shape, contradictory flags.
    #[must_use]
    pub fn usage(message: impl Into<String>) -> Self {
        Self::new(Kind::Usage, message.into())
    }

    /// Data that is missing, damaged or does not fit.
    #[must_use]
    pub fn data(message: impl Into<String>) -> Self {
        Self::new(Kind::Data, message.into())
    }

    /// A failed operation on a file: "failed to read `path`: cause".
    #[must_use]
    pub fn io(operation: &str, path: &Path, cause: &std::io::Error) -> Self {
        let error = Self::data(format!("failed to {operation} `{}`: {cause}", quoted_path(path)));
        match cause.kind() {
            std::io::ErrorKind::StorageFull => error.hint("the disk is full: free some space"),
            std::io::ErrorKind::ReadOnlyFilesystem => error.hint("the disk is read-only"),
            _ => error,
        }
    }

    /// A run that was interrupted, left a checkpoint and can be continued by the same command.
    #[must_use]
    pub fn interrupted(message: impl Into<String>) -> Self {
        Self::new(Kind::Interrupted, message.into())
    }

    fn new(kind: Kind, message: String) -> Self {
        Self(Box::new(Inner { kind, message, hint: None, line: None }))
    }

    /// The error that another process of ours printed before it ended with this exit code, if the
    /// code is one of an error.
    #[must_use]
    pub fn heard(code: i32, said: &str) -> Option<Self> {
        let kind = match code {
            2 => Kind::Usage,
            3 => Kind::Data,
            85 => Kind::Interrupted,
            _ => return None,
        };
        // Whatever was said before it was talk.
        let start = said.rfind("\nerror: ").map_or(0, |start| start + 1);
        let text = said[start..].trim().trim_start_matches("error: ");
        let (message, hint) = text.split_once(HINT).unwrap_or((text, ""));
        let error = Self::new(kind, message.to_owned());
        Some(if hint.is_empty() { error } else { error.hint(hint) })
    }

    /// Adds what the user can do about it; an earlier hint is kept.
    #[must_use]
    pub fn hint(mut self, hint: impl Into<String>) -> Self {
        self.0.hint.get_or_insert_with(|| hint.into());
        self
    }

    /// Says in which line of a file it happened, counted from 1; the next [`Error::within`] names
    /// the file, as in "file:12: message".
    #[must_use]
    pub fn at_line(mut self, line: u64) -> Self {
        self.0.line = Some(line);
        self
    }

    /// Puts where it happened before the message: "where: message".
    #[must_use]
    pub fn within(mut self, place: impl fmt::Display) -> Self {
        let line = self.0.line.take().map_or_else(String::new, |line| format!(":{line}"));
        self.0.message = format!("{place}{line}: {}", self.0.message);
        self
    }

    /// The process exit code: 2 usage or spec, 3 data, 85 interrupted and resumable.
    #[must_use]
    pub fn exit_code(&self) -> u8 {
        match self.0.kind {
            Kind::Usage => 2,
            Kind::Data => 3,
            Kind::Interrupted => 85,
        }
    }

    /// Whether the run was interrupted and can be continued.
    #[must_use]
    pub fn is_interrupted(&self) -> bool {
        self.0.kind == Kind::Interrupted
    }

    /// The hint without its label, if there is one.
    #[must_use]
    pub fn hint_text(&self) -> Option<&str> {
        self.0.hint.as_deref()
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let line = self.0.line.map_or_else(String::new, |line| format!("line {line}: "));
        f.write_str(&bounded(&format!("{line}{}", self.0.message), self.0.hint.as_deref()))
    }
}

impl fmt::Debug for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?}: {self}", self.0.kind)
    }
}

impl std::error::Error for Error {}

/// Text of a file or a flag as it may stand in a message: one line of at most 60 characters, the
/// middle left out where there are more; what cannot be seen (control characters, marks of writing
/// direction) is written out. Quotation marks are the caller's.
#[must_use]
pub fn quoted(text: &str) -> String {
    one_line(text, QUOTED_CHARACTERS, |piece| piece.chars().count())
}

/// A path as it may stand in a message: as [`quoted`], but long enough to be of use.
#[must_use]
pub fn quoted_path(path: &Path) -> String {
    one_line(&path.to_string_lossy(), LONG_BYTES, str::len)
}

/// What is wrong with a TOML text, on one line: where, what, and the line itself.
#[must_use]
pub fn toml_message(cause: &toml::de::Error) -> String {
    let shown = cause.to_string();
    let mut lines = shown.lines();
    let place = lines.next().and_then(|line| line.strip_prefix("TOML parse error at "));
    // Below the place stand a line of a rule, and the source after its number.
    let source = lines.nth(1).and_then(|line| line.split_once(" | "));
    match (place, source) {
        (Some(place), Some((_, source))) => {
            let what = cause.message().lines().collect::<Vec<_>>().join(", ");
            format!("{place}: {}, in `{}`", one_line(&what, LONG_BYTES, str::len), quoted(source))
        }
        _ => shown.trim_end().to_owned(),
    }
}

/// Whether a character shows itself and nothing else: no control, direction or filling character.
#[must_use]
pub fn is_printable(character: char) -> bool {
    if character.is_ascii() {
        return !character.is_ascii_control();
    }
    // Letters and marks of no width, which the tables of `escape_debug` let pass.
    if matches!(character, '\u{115F}' | '\u{1160}' | '\u{3164}' | '\u{FFA0}' | '\u{E0100}'..) {
        return false;
    }
    // After another character a combining mark is printable, too.
    let mut buffer = ['a'; 2];
    buffer[1] = character;
    buffer.iter().collect::<String>().escape_debug().count() == 2
}

/// A whole message, its hint after "\nhint: ", as it may stand on a terminal: see [`Error`].
#[must_use]
pub fn message(text: &str) -> String {
    match text.split_once(HINT) {
        Some((message, hint)) => bounded(message, Some(hint)),
        None => bounded(text, None),
    }
}

/// What stands between a message and its hint.
const HINT: &str = "\nhint: ";
/// Characters of a quotation.
const QUOTED_CHARACTERS: usize = 60;
/// Bytes of a path, and of what a library says.
const LONG_BYTES: usize = 200;
/// Bytes of a message with its hint. With "error: " and a line break it stays below 500.
const MESSAGE_BYTES: usize = 484;
/// Bytes of a hint in a message that is too long: what can be done must survive.
const HINT_BYTES: usize = 220;

/// A message and its hint, a line each. The middle of the message makes room first: its beginning
/// says where it happened, its end what.
fn bounded(message: &str, hint: Option<&str>) -> String {
    // What a library says may have several lines.
    let joined = |text: &str| text.lines().map(str::trim).collect::<Vec<_>>().join(" ");
    let message = joined(message);
    let Some(hint) = hint.map(joined) else { return one_line(&message, MESSAGE_BYTES, str::len) };
    let whole = one_line(&hint, MESSAGE_BYTES, str::len);
    let fits = message.len() + HINT.len() + whole.len() <= MESSAGE_BYTES;
    let hint = if fits { whole } else { one_line(&hint, HINT_BYTES, str::len) };
    let room = MESSAGE_BYTES - HINT.len() - hint.len();
    format!("{}{HINT}{hint}", one_line(&message, room, str::len))
}

/// The text as one printable line; where its size is more than `max`, without its middle.
fn one_line(text: &str, max: usize, size: fn(&str) -> usize) -> String {
    const LEFT_OUT: &str = "…";
    let whole = pieces(text.chars(), max, size);
    if whole.len() == text.chars().take(whole.len() + 1).count() {
        return whole.concat();
    }
    let room = max - size(LEFT_OUT);
    let front = pieces(text.chars(), room * 3 / 5, size).concat();
    let mut back = pieces(text.chars().rev(), room - size(&front), size);
    back.reverse();
    front + LEFT_OUT + &back.concat()
}

/// As many characters as fit, written out where they cannot be seen.
fn pieces(text: impl Iterator<Item = char>, max: usize, size: fn(&str) -> usize) -> Vec<String> {
    let mut used = 0;
    let written = text.map(|character| match character {
        _ if is_printable(character) => character.to_string(),
        '\n' | '\r' | '\t' => character.escape_default().to_string(),
        _ => character.escape_unicode().to_string(),
    });
    let fitting = written.take_while(|piece| {
        used += size(piece);
        used <= max
    });
    fitting.collect()
}

/// The entry of `candidates` that `given` was probably meant to be, as a ready hint.
#[must_use]
pub fn suggest<'a>(given: &str, candidates: impl IntoIterator<Item = &'a str>) -> Option<String> {
    // Comparing takes time, and nobody types that much by mistake.
    if given.len() > LONG_BYTES {
        return None;
    }
    candidates
        .into_iter()
        .map(|candidate| (strsim::jaro_winkler(given, candidate), candidate))
        .filter(|(similarity, _)| *similarity > 0.75)
        .max_by(|a, b| a.0.total_cmp(&b.0))
        .map(|(_, candidate)| format!("did you mean `{candidate}`?"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_message_carries_operation_path_and_hint() {
        let cause = std::io::Error::from(std::io::ErrorKind::StorageFull);
        let error = Error::io("write", Path::new("a/b"), &cause).within("run 12ab");
        let text = error.to_string();
        assert!(text.starts_with("run 12ab: failed to write `a/b`: "), "{text}");
        assert!(text.ends_with("\nhint: the disk is full: free some space"), "{text}");
        assert_eq!(error.exit_code(), 3);
    }

    #[test]
    fn a_line_joins_the_file_that_is_named_next() {
        let error = Error::data("no text").at_line(7);
        assert_eq!(error.to_string(), "line 7: no text");
        assert_eq!(
            error.within("a.jsonl").within("input").to_string(),
            "input: a.jsonl:7: no text"
        );
    }

    #[test]
    fn quotations_are_short_and_printable() {
        for (text, expected) in [
            ("a column", "a column"),
            ("Größe 中文 é", "Größe 中文 é"),
            ("cafe\u{301} 👩", "cafe\u{301} 👩"),
            ("\u{1b}[2J\u{9b}\0\u{7f}", "\\u{1b}[2J\\u{9b}\\u{0}\\u{7f}"),
            ("a\nb\tc\r", "a\\nb\\tc\\r"),
            ("a\u{202e}b\u{200b}\u{feff}\u{ad}", "a\\u{202e}b\\u{200b}\\u{feff}\\u{ad}"),
            ("\u{2028}\u{a0}\u{3164}\u{e0041}", "\\u{2028}\\u{a0}\\u{3164}\\u{e0041}"),
        ] {
            assert_eq!(quoted(text), expected);
        }
        assert_eq!(quoted(&"x".repeat(60)), "x".repeat(60));
        let long = quoted(&format!("a{}z", "中".repeat(1 << 20)));
        assert_eq!(long.chars().count(), 60);
        assert!(long.starts_with("a中") && long.contains('…') && long.ends_with("中z"), "{long}");
        // An escape is never cut.
        let escapes = quoted(&"\u{1b}".repeat(1000));
        assert!(escapes.starts_with("\\u{1b}") && escapes.ends_with("\\u{1b}"), "{escapes}");
        assert!(!escapes.contains("\\u{1b…") && escapes.chars().count() <= 60, "{escapes}");
    }

    #[test]
    fn messages_are_bounded_and_keep_place_cause_and_hint() {
        let long = "\u{1b}[31m中\n".repeat(100_000);
        let error = Error::data(format!("unknown key `{long}`, expected `a`")).at_line(7);
        let text = error.within("a.toml").hint("write `a`").to_string();
        assert!(text.starts_with("a.toml:7: unknown key `\\u{1b}[31m"), "{text}");
        assert!(text.ends_with("`, expected `a`\nhint: write `a`"), "{text}");
        assert!(text.len() <= MESSAGE_BYTES && text.lines().count() == 2, "{text}");
        let text = Error::usage("no").hint(long.clone()).to_string();
        assert!(text.starts_with("no\nhint: ") && text.len() <= MESSAGE_BYTES, "{text}");
        let both = Error::usage(format!("{long}!")).hint(format!("{long}?")).within(&long);
        let text = both.to_string();
        assert!(text.contains('!') && text.ends_with('?') && text.len() <= MESSAGE_BYTES, "{text}");
        let library = Error::data("unexpected end\n  in line 1\n");
        assert_eq!(library.to_string(), "unexpected end in line 1");
        // A message that is short enough stays as it is, and so does one that was shown before.
        let whole = format!("{}\nhint: {}", "m".repeat(200), "h".repeat(270));
        assert_eq!(message(&whole), whole);
        assert_eq!(message(&text), text);
    }

    #[test]
    fn errors_of_other_processes_stay_whole() {
        let error = Error::data("the disk failed").hint("mend it").within("a");
        let heard = Error::heard(3, &format!("warning: x\nerror: {error}\n")).unwrap();
        assert_eq!(heard.to_string(), "a: the disk failed\nhint: mend it");
        assert_eq!((heard.exit_code(), heard.hint_text()), (3, Some("mend it")));
        assert!(Error::heard(85, "error: stopped").unwrap().is_interrupted());
        assert!(Error::heard(1, "thread 'main' panicked").is_none());
    }

    #[test]
    fn messages_about_toml_have_one_line() {
        let message = |text: &str| toml_message(&toml::from_str::<toml::Table>(text).unwrap_err());
        assert_eq!(
            message("a = 1\n[optim\nlr = 1"),
            "line 2, column 7: unclosed table, expected `]`, in `[optim`"
        );
        let long = message(&format!("a = \u{1b}{}", "x".repeat(1 << 20)));
        assert!(long.starts_with("line 1, column 5: ") && long.len() < 400, "{long}");
        assert!(long.chars().all(is_printable), "{long}");
    }

    #[test]
    fn suggestions_need_similarity() {
        let keys = ["optim.weight_decay", "data.epochs"];
        let hint = suggest("optim.wieght_decay", keys);
        assert_eq!(hint.as_deref(), Some("did you mean `optim.weight_decay`?"));
        assert_eq!(suggest("zzz", keys), None);
    }
}
