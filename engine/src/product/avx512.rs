//! The tile kernel for AVX-512: up to 12 rows by two vectors of 16 columns.

use std::arch::x86_64::{
    __m512, _mm512_fmadd_ps, _mm512_loadu_ps, _mm512_set1_ps, _mm512_setzero_ps, _mm512_storeu_ps,
};

use super::PANEL;
use super::blocks::Tile;
use super::left::{Layout, ROW_STRIDE, STRIP_ROWS};

const VECTOR: usize = 16;
const VECTORS: usize = PANEL / VECTOR;

/// Computes one tile.
///
/// # Safety
/// The pointers of the tile are valid as its documentation says, and the CPU has AVX-512 F.
#[target_feature(enable = "avx512f")]
pub(super) unsafe fn multiply(tile: &Tile) {
    // SAFETY: passed on to the caller.
    unsafe {
        match tile.layout {
            Layout::ByRows => by_height::<ROW_STRIDE, 1>(tile),
            Layout::ByColumns => by_height::<1, STRIP_ROWS>(tile),
        }
    }
}

/// Picks the kernel that is unrolled for the number of rows.
#[target_feature(enable = "avx512f")]
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

/// `ROWS` rows, whose elements lie `ROW` apart in a column of the strip and `DEPTH` in a row.
#[target_feature(enable = "avx512f")]
unsafe fn rows<const ROWS: usize, const ROW: usize, const DEPTH: usize>(tile: &Tile) {
    let mut sums = [[_mm512_setzero_ps(); VECTORS]; ROWS];
    // SAFETY: the tile has ROWS rows of PANEL elements of c, and `units` of each operand.
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
                    *sum = _mm512_fmadd_ps(x, b, *sum);
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

#[target_feature(enable = "avx512f")]
unsafe fn load(row: *const f32) -> [__m512; VECTORS] {
    // SAFETY: the caller has PANEL elements there.
    unsafe { [_mm512_loadu_ps(row), _mm512_loadu_ps(row.add(VECTOR))] }
}
