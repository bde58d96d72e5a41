//! The tile kernel for AVX2: up to 6 rows by two vectors of 8 columns at a time.

use std::arch::x86_64::{
    __m256, _mm256_fmadd_ps, _mm256_loadu_ps, _mm256_set1_ps, _mm256_setzero_ps, _mm256_storeu_ps,
};

use super::PANEL;
use super::left::{Layout, ROW_STRIDE, STRIP_ROWS};
use super::tile::Tile;

const VECTOR: usize = 8;
const VECTORS: usize = 2;

/// With two vectors a row, 12 sums, two of B and one of A fit into the 16 registers.
const ROWS_MAX: usize = 6;

/// Computes one tile.
///
/// # Safety
/// The pointers of the tile are valid as its documentation says, and the CPU has AVX2 and FMA.
#[target_feature(enable = "avx2,fma")]
pub(super) unsafe fn multiply(tile: &Tile) {
    for first in (0..tile.rows).step_by(ROWS_MAX) {
        for column in (0..PANEL).step_by(VECTORS * VECTOR) {
            // SAFETY: the part lies within the tile, for which the caller vouches.
            unsafe {
                let c = tile.c.add(first * tile.c_stride + column);
                let rows = (tile.rows - first).min(ROWS_MAX);
                let part = Tile { rows, b: tile.b.add(column), c, ..*tile };
                match tile.layout {
                    Layout::ByRows => {
                        let a = tile.a.add(first * ROW_STRIDE);
                        by_height::<ROW_STRIDE, 1>(&Tile { a, ..part });
                    }
                    Layout::ByColumns => {
                        by_height::<1, STRIP_ROWS>(&Tile { a: tile.a.add(first), ..part });
                    }
                }
            }
        }
    }
}

/// Picks the kernel that is unrolled for the number of rows.
#[target_feature(enable = "avx2,fma")]
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
            rows => unreachable!("a tile of {rows} rows"),
        }
    }
}

/// `ROWS` rows, whose elements lie `ROW` apart in a column of the strip and `DEPTH` in a row, by
/// the columns of two vectors.
#[target_feature(enable = "avx2,fma")]
unsafe fn rows<const ROWS: usize, const ROW: usize, const DEPTH: usize>(tile: &Tile) {
    let mut sums = [[_mm256_setzero_ps(); VECTORS]; ROWS];
    // SAFETY: the tile has ROWS rows of these columns of c, and `units` of each operand.
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
                let x = _mm256_set1_ps(*a.add(i * ROW));
                for (sum, b) in sums.iter_mut().zip(row) {
                    *sum = _mm256_fmadd_ps(x, b, *sum);
                }
            }
            a = a.add(DEPTH);
            b = b.add(PANEL);
        }
        for (i, sums) in sums.into_iter().enumerate() {
            for (v, sum) in sums.into_iter().enumerate() {
                _mm256_storeu_ps(tile.c.add(i * tile.c_stride + v * VECTOR), sum);
            }
        }
    }
}

#[target_feature(enable = "avx2,fma")]
unsafe fn load(row: *const f32) -> [__m256; VECTORS] {
    // SAFETY: the caller has two vectors there.
    unsafe { [_mm256_loadu_ps(row), _mm256_loadu_ps(row.add(VECTOR))] }
}
