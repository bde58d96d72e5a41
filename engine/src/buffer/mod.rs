//! Memory of the kernels: buffers on cache-line borders, and scratch that is sized before step one.

mod region;

use std::ops::{Deref, DerefMut};
use std::ptr::NonNull;
use std::sync::Arc;

use region::Memory;

pub use region::Region;

/// Bytes of a cache line: every buffer, and every slice cut from scratch, starts on its border.
pub const ALIGNMENT_BYTES: usize = 64;

/// A buffer of zeroed f32 that starts on a cache-line border.
pub struct Floats {
    start: NonNull<f32>,
    len: usize,
    /// What the buffer lies in, kept alive.
    _memory: Arc<Memory>,
}

// SAFETY: `Floats` owns its part of the memory alone, as `Vec<f32>` does.
unsafe impl Send for Floats {}
// SAFETY: shared references only read.
unsafe impl Sync for Floats {}

impl Floats {
    /// A buffer of `len` zeros in a region of its own.
    pub fn zeroed(len: usize) -> Floats {
        Region::with_bytes(cut_bytes(len)).floats(len)
    }

    /// A buffer in a part of memory.
    ///
    /// # Safety
    /// `start` points to `len` initialized f32 of the memory that belong to no other buffer.
    pub(crate) unsafe fn in_memory(start: NonNull<f32>, len: usize, memory: Arc<Memory>) -> Floats {
        Floats { start, len, _memory: memory }
    }
}

impl Deref for Floats {
    type Target = [f32];

    fn deref(&self) -> &[f32] {
        // SAFETY: `start` points to `len` initialized f32, which `memory` keeps.
        unsafe { std::slice::from_raw_parts(self.start.as_ptr(), self.len) }
    }
}

impl DerefMut for Floats {
    fn deref_mut(&mut self) -> &mut [f32] {
        // SAFETY: as in `deref`, and `self` is borrowed alone.
        unsafe { std::slice::from_raw_parts_mut(self.start.as_ptr(), self.len) }
    }
}

impl Clone for Floats {
    fn clone(&self) -> Floats {
        let mut copy = Floats::zeroed(self.len);
        copy.copy_from_slice(self);
        copy
    }
}

impl From<&[f32]> for Floats {
    fn from(values: &[f32]) -> Floats {
        let mut copy = Floats::zeroed(values.len());
        copy.copy_from_slice(values);
        copy
    }
}

impl std::fmt::Debug for Floats {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_list().entries(self.iter()).finish()
    }
}

/// Working memory of one lane, allocated once and cut anew by every operation.
///
/// What it holds between operations is arbitrary. Each operation that needs some has a function
/// `scratch_bytes`; a lane's scratch has the maximum over the operations that it runs.
#[derive(Debug)]
pub struct Scratch {
    floats: Floats,
}

impl Scratch {
    /// Scratch of at least `bytes` bytes.
    pub fn with_bytes(bytes: usize) -> Scratch {
        Region::with_bytes(bytes.next_multiple_of(ALIGNMENT_BYTES)).scratch(bytes)
    }

    pub(crate) fn new(floats: Floats) -> Scratch {
        Scratch { floats }
    }

    /// The size in bytes.
    pub fn bytes(&self) -> usize {
        self.floats.len() * 4
    }

    /// Starts cutting the whole of it, for the operation `purpose`, which needs `bytes`.
    pub(crate) fn cut(&mut self, purpose: &str, bytes: usize) -> Cutter<'_> {
        let have = self.bytes();
        assert!(bytes <= have, "{purpose} needs {bytes} bytes of scratch, but has {have}");
        Cutter { rest: &mut self.floats }
    }
}

/// What is left of scratch while an operation cuts slices from it.
pub(crate) struct Cutter<'a> {
    rest: &'a mut [f32],
}

impl<'a> Cutter<'a> {
    /// The next `len` f32, on a cache-line border, with arbitrary values.
    pub(crate) fn floats(&mut self, len: usize) -> &'a mut [f32] {
        let taken = cut_bytes(len) / 4;
        let rest = std::mem::take(&mut self.rest);
        assert!(taken <= rest.len(), "scratch has {} f32 left, not {taken}", rest.len());
        let (head, tail) = rest.split_at_mut(taken);
        self.rest = tail;
        &mut head[..len]
    }

    /// The remainder again as a cutter, for a step whose slices are given back after it.
    pub(crate) fn again(&mut self) -> Cutter<'_> {
        Cutter { rest: self.rest }
    }
}

/// Bytes of scratch or of a region that a slice of `len` f32 takes.
pub const fn cut_bytes(len: usize) -> usize {
    (len * 4).next_multiple_of(ALIGNMENT_BYTES)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn buffers_start_on_cache_lines_and_are_zero() {
        for len in [0, 1, 15, 16, 17, 1000] {
            let mut floats = Floats::zeroed(len);
            assert_eq!(floats.len(), len);
            assert!(len == 0 || floats.as_ptr().addr().is_multiple_of(ALIGNMENT_BYTES));
            assert!(floats.iter().all(|x| x.to_bits() == 0));
            floats.fill(2.0);
            assert_eq!(&*floats.clone(), &*floats);
        }
    }

    #[test]
    fn cut_slices_are_disjoint_and_aligned() {
        let mut scratch = Scratch::with_bytes(cut_bytes(3) + cut_bytes(20));
        let mut cut = scratch.cut("a test", 192);
        let (a, b) = (cut.floats(3), cut.floats(20));
        a.fill(1.0);
        b.fill(2.0);
        assert_eq!(a, [1.0; 3]);
        assert!(b.as_ptr().addr().is_multiple_of(ALIGNMENT_BYTES));
    }

    #[test]
    #[should_panic(expected = "attention needs 65 bytes of scratch, but has 64")]
    fn too_little_scratch_names_both_sizes() {
        Scratch::with_bytes(64).cut("attention", 65);
    }
}
