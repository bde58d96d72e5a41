//! Words that nobody else has. Process numbers and host names repeat: containers often share both.
//! They tell processes apart and reach no result.

use std::hash::{BuildHasher, Hasher, RandomState};
use std::sync::LazyLock;
use std::sync::atomic::{AtomicU64, Ordering};

/// A word that no other process, thread or call has: 16 hexadecimal digits of this process, a
/// hyphen, and a number.
pub fn unique_word() -> String {
    static PROCESS: LazyLock<u64> = LazyLock::new(|| {
        // The only source of randomness in the standard library: the keys of its hash tables.
        let mut hasher = RandomState::new().build_hasher();
        hasher.write_u32(std::process::id());
        hasher.finish()
    });
    static COUNT: AtomicU64 = AtomicU64::new(0);
    format!("{:016x}-{}", *PROCESS, COUNT.fetch_add(1, Ordering::Relaxed))
}
