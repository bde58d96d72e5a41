//! A fence around crates that answer some damaged or exotic files with a panic, such as
//! `tokenizers`: a file from the world must never look like a bug of ours.

use std::cell::Cell;
use std::panic::{AssertUnwindSafe, catch_unwind};

use crate::{Error, Result};

thread_local! {
    static GUARDED: Cell<bool> = const { Cell::new(false) };
}

/// Whether this thread is inside the fence, so that the panic hook can keep silent.
#[must_use]
pub fn panics_are_caught() -> bool {
    GUARDED.get()
}

/// Runs `action`, which calls a foreign crate, and gives `None` if it panicked. Nothing that it
/// touched may be used afterwards.
pub fn catch_panics<T>(action: impl FnOnce() -> T) -> Option<T> {
    let before = GUARDED.replace(true);
    let result = catch_unwind(AssertUnwindSafe(action));
    GUARDED.set(before);
    result.ok()
}

/// Runs `action` and turns a panic into an error about the tokenizer.
pub(super) fn guard<T>(action: impl FnOnce() -> Result<T>) -> Result<T> {
    catch_panics(action).unwrap_or_else(|| {
        Err(Error::data("the tokenizer is damaged or of an unsupported kind")
            .hint("use a byte-level `tokenizer.json` in Hugging Face's format"))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_panic_becomes_an_error() {
        assert!(!panics_are_caught());
        assert!(guard(|| Ok(panics_are_caught())).unwrap());
        let error = guard::<()>(|| panic!("inside")).unwrap_err();
        assert_eq!(error.exit_code(), 3);
        assert!(!panics_are_caught());
    }
}
