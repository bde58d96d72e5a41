//! Blocks of 16 by 16 units, transposed: how a matrix is packed across its rows.

use super::units::BLOCK;
use crate::isa::{Isa, Kernels};

/// A block of units, by rows.
pub(super) type Square = [[f32; BLOCK]; BLOCK];

/// The block with rows and columns exchanged.
#[inline(always)]
pub(super) fn transposed(kernels: Kernels, block: &Square) -> Square {
    match kernels.isa() {
        Isa::Portable | Isa::Avx2 => portable(block),
        #[cfg(target_arch = "x86_64")]
        // SAFETY: `Kernels` exists only for instruction sets that this CPU has.
        _ => unsafe { avx512(block) },
        #[cfg(not(target_arch = "x86_64"))]
        _ => unreachable!("kernels of another architecture"),
    }
}

fn portable(block: &Square) -> Square {
    std::array::from_fn(|i| std::array::from_fn(|j| block[j][i]))
}

/// In four rounds of 16 shuffles: of neighboring rows, of pairs of them, and then of quarters of
/// vectors. The compiler makes 256 scalar moves of the plain loop.
#[cfg(target_arch = "x86_64")]
#[inline]
#[target_feature(enable = "avx512f")]
fn avx512(block: &Square) -> Square {
    use std::arch::x86_64::{
        __m512, _mm512_castpd_ps, _mm512_castps_pd, _mm512_loadu_ps, _mm512_shuffle_f32x4,
        _mm512_storeu_ps, _mm512_unpackhi_pd, _mm512_unpackhi_ps, _mm512_unpacklo_pd,
        _mm512_unpacklo_ps,
    };
    const EVEN: i32 = 0b10_00_10_00;
    const ODD: i32 = 0b11_01_11_01;
    // SAFETY: a row has 16 elements.
    let row = |i: usize| unsafe { _mm512_loadu_ps(block[i].as_ptr()) };
    let pairs = |a: __m512, b: __m512| {
        let (a, b) = (_mm512_castps_pd(a), _mm512_castps_pd(b));
        [_mm512_unpacklo_pd(a, b), _mm512_unpackhi_pd(a, b)].map(|x| _mm512_castpd_ps(x))
    };
    // Of rows 4 i to 4 i + 3: vector j holds the columns j, 4 + j, 8 + j and 12 + j, a quarter
    // each.
    let fours: [[__m512; 4]; 4] = std::array::from_fn(|i| {
        let [a, b, c, d] = [0, 1, 2, 3].map(|j| row(4 * i + j));
        let [first, second] = pairs(_mm512_unpacklo_ps(a, b), _mm512_unpacklo_ps(c, d));
        let [third, fourth] = pairs(_mm512_unpackhi_ps(a, b), _mm512_unpackhi_ps(c, d));
        [first, second, third, fourth]
    });
    let mut result = [[0.0; BLOCK]; BLOCK];
    for j in 0..4 {
        let [a, b, c, d] = [0, 1, 2, 3].map(|i| fours[i][j]);
        let even = [_mm512_shuffle_f32x4::<EVEN>(a, b), _mm512_shuffle_f32x4::<EVEN>(c, d)];
        let odd = [_mm512_shuffle_f32x4::<ODD>(a, b), _mm512_shuffle_f32x4::<ODD>(c, d)];
        let columns = [
            _mm512_shuffle_f32x4::<EVEN>(even[0], even[1]),
            _mm512_shuffle_f32x4::<EVEN>(odd[0], odd[1]),
            _mm512_shuffle_f32x4::<ODD>(even[0], even[1]),
            _mm512_shuffle_f32x4::<ODD>(odd[0], odd[1]),
        ];
        for (quarter, column) in columns.into_iter().enumerate() {
            // SAFETY: a row has 16 elements.
            unsafe { _mm512_storeu_ps(result[4 * quarter + j].as_mut_ptr(), column) };
        }
    }
    result
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::isa::Precision;

    #[test]
    fn a_block_is_transposed() {
        let mut block = [[0.0; BLOCK]; BLOCK];
        let all = || (0..BLOCK * BLOCK).map(|at| (at / BLOCK, at % BLOCK));
        all().for_each(|(i, j)| block[i][j] = (i * BLOCK + j) as f32);
        for kernels in crate::testing::kernels(Precision::F32) {
            let block = transposed(kernels, &block);
            for (i, j) in all() {
                let expected = ((j * BLOCK + i) as f32).to_bits();
                assert_eq!(block[i][j].to_bits(), expected, "{}", kernels.isa().name());
            }
        }
    }
}
