//! The tile kernels for AVX-512: up to 12 rows by two vectors of 16 columns.
//!
//! The two differ in one instruction: a fused multiply-add of f32, or of pairs of bf16. The latter,
//! `vdpbf16ps`, adds the product of the upper halves first and then that of the lower halves, each
//! rounded once, with subnormal numbers taken and left as zero.

use std::arch::x86_64::{
    __m512, __m512bh, _mm512_dpbf16_ps, _mm512_fmadd_ps, _mm512_loadu_ps, _mm512_set1_ps,
    _mm512_setzero_ps, _mm512_storeu_ps,
};

use super::PANEL;
use super::left::{Layout, ROW_STRIDE, STRIP_ROWS};
use super::tile::Tile;

const VECTOR: usize = 16;
const VECTORS: usize = PANEL / VECTOR;

macro_rules! tile_kernel {
    ($(#[$meta:meta])* $name:ident, $features:literal, $multiply_add:ident) => {
        $(#[$meta])*
        ///
        /// # Safety
        /// The pointers of the tile are valid as its documentation says, and the CPU has the
        /// features.
        #[target_feature(enable = $features)]
        pub(super) unsafe fn $name(tile: &Tile) {
            // SAFETY: passed on to the caller.
            unsafe {
                match tile.layout {
                    Layout::ByRows => by_height::<ROW_STRIDE, 1>(tile),
                    Layout::ByColumns => by_height::<1, STRIP_ROWS>(tile),
                }
            }

            /// Picks the kernel that is unrolled for the number of rows.
            #[target_feature(enable = $features)]
            unsafe fn by_height<const ROW: usize, const DEPTH: usize>(tile: &Tile) {
                // SAFETY: passed on to the caller.
                unsafe {
                    match tile.rows {
                        1 => rows::<1, ROW, DEPTH>(tile),
                        2 => rows::<2, ROW, DEPTH>(tile),
                        3 => rows::<3, ROW, DEPTH>(tile),
                        4 => rows::<4, ROW, DEPTH>(tile),
                        5 => rows::<5, ROW, DEPTH>(tile),
                        6 => rows::<6, ROW, DEPTH>(tile),
                        7 => rows::<7, ROW, DEPTH>(tile),
                        8 => rows::<8, ROW, DEPTH>(tile),
                        9 => rows::<9, ROW, DEPTH>(tile),
                        10 => rows::<10, ROW, DEPTH>(tile),
                        11 => rows::<11, ROW, DEPTH>(tile),
                        12 => rows::<12, ROW, DEPTH>(tile),
                        rows => unreachable!("a tile of {rows} rows"),
                    }
                }
            }

            /// `ROWS` rows, whose units lie `ROW` apart in a column of the strip and `DEPTH` in a
            /// row.
            #[target_feature(enable = $features)]
            unsafe fn rows<const ROWS: usize, const ROW: usize, const DEPTH: usize>(tile: &Tile) {
                let mut sums = [[_mm512_setzero_ps(); VECTORS]; ROWS];
                // SAFETY: the tile has ROWS rows of PANEL elements of c, and `units` of each
                // operand.
                unsafe {
                    if tile.add {
                        for (i, sums) in sums.iter_mut().enumerate() {
                            *sums = load(tile.c.add(i * tile.c_stride));
                        }
                    }
                    let (mut a, mut b) = (tile.a, tile.b);
                    for _ in 0..tile.units {
                        let row = load(b);
                        for (i, sums) in sums.iter_mut().enumerate() {
                            let x = _mm512_set1_ps(*a.add(i * ROW));
                            for (sum, b) in sums.iter_mut().zip(row) {
                                *sum = $multiply_add(x, b, *sum);
                            }
                        }
                        a = a.add(DEPTH);
                        b = b.add(PANEL);
                    }
                    for (i, sums) in sums.into_iter().enumerate() {
                        for (v, sum) in sums.into_iter().enumerate() {
                            _mm512_storeu_ps(tile.c.add(i * tile.c_stride + v * VECTOR), sum);
                        }
                    }
                }
            }
        }
    };
}

tile_kernel!(
    /// Computes one tile of single units.
    multiply, "avx512f", _mm512_fmadd_ps
);

tile_kernel!(
    /// Computes one tile of pairs.
    multiply_pairs, "avx512f,avx512bf16", multiply_add_pairs
);

#[target_feature(enable = "avx512f")]
unsafe fn load(row: *const f32) -> [__m512; VECTORS] {
    // SAFETY: the caller has PANEL elements there.
    unsafe { [_mm512_loadu_ps(row), _mm512_loadu_ps(row.add(VECTOR))] }
}

/// The sums plus the products of the pairs in a and b.
#[target_feature(enable = "avx512f,avx512bf16")]
fn multiply_add_pairs(a: __m512, b: __m512, sums: __m512) -> __m512 {
    // SAFETY: both types are 64 bytes of any content.
    let pairs = |x: __m512| unsafe { std::mem::transmute::<__m512, __m512bh>(x) };
    _mm512_dpbf16_ps(sums, pairs(a), pairs(b))
}
