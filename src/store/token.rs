//! A random word of this process. Process numbers and host names repeat: containers often share
//! both. It tells processes apart and reaches no result.

use std::hash::{BuildHasher, Hasher, RandomState};
use std::sync::LazyLock;

/// 16 hexadecimal digits that no other process has.
pub(super) fn process_token() -> &'static str {
    static TOKEN: LazyLock<String> = LazyLock::new(|| {
        // The only source of randomness in the standard library: the keys of its hash tables.
        let mut hasher = RandomState::new().build_hasher();
        hasher.write_u32(std::process::id());
        format!("{:016x}", hasher.finish())
    });
    &TOKEN
}
