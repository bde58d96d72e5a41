//! What a tile kernel computes.

use super::left::Layout;

/// One strip times one panel: what a tile kernel computes.
///
/// `a` is a strip of `rows` rows and `units` units of depth, `b` holds `units` rows
/// of a panel, and `c` points to `rows` rows of `PANEL` writable elements, `c_stride` apart.
#[derive(Clone, Copy)]
pub(super) struct Tile {
    pub(super) layout: Layout,
    pub(super) rows: usize,
    pub(super) units: usize,
    pub(super) a: *const f32,
    pub(super) b: *const f32,
    pub(super) c: *mut f32,
    pub(super) c_stride: usize,
    /// Whether the sums start from `c` instead of zero.
    pub(super) add: bool,
}
