//! The one error type of `scarce`: opaque outside, with an operation, a path or line, and a hint.
//!
//! Bugs panic; errors are for the world (files, disks, users). A diverged run is not an error but
//! an outcome. Messages are lowercase fragments without a final period, so that they can follow
//! `error:`; the hint stands on a line of its own.

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
        let error = Self::data(format!("failed to {operation} `{}`: {cause}", path.display()));
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
        if let Some(line) = self.0.line {
            write!(f, "line {line}: ")?;
        }
        f.write_str(&self.0.message)?;
        match &self.0.hint {
            Some(hint) => write!(f, "\nhint: {hint}"),
            None => Ok(()),
        }
    }
}

impl fmt::Debug for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?}: {self}", self.0.kind)
    }
}

impl std::error::Error for Error {}

/// The entry of `candidates` that `given` was probably meant to be, as a ready hint.
#[must_use]
pub fn suggest<'a>(given: &str, candidates: impl IntoIterator<Item = &'a str>) -> Option<String> {
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
    fn suggestions_need_similarity() {
        let keys = ["optim.weight_decay", "data.epochs"];
        let hint = suggest("optim.wieght_decay", keys);
        assert_eq!(hint.as_deref(), Some("did you mean `optim.weight_decay`?"));
        assert_eq!(suggest("zzz", keys), None);
    }
}
