//! The highest rate of multiply-adds that kernels could reach: work on registers only.
//!
//! A benchmark times [`multiply_adds`] and divides the FLOPs that it returns by the seconds; then
//! it times operations and shows their share of this peak. Nothing here reads a clock.

use std::hint::black_box;

use crate::isa::{Arithmetic, Isa, Kernels};

/// Multiplies and adds in registers for `rounds` rounds with the instruction that the products of
/// `kernels` use, and returns how many FLOPs that were.
pub fn multiply_adds(kernels: Kernels, rounds: usize) -> f64 {
    let flops_per_round = match (kernels.arithmetic(), kernels.isa()) {
        #[cfg(target_arch = "x86_64")]
        // SAFETY: `Kernels` exists only for instruction sets that this CPU has.
        (Arithmetic::Bf16Amx, _) => unsafe { x86::amx(rounds) },
        // SAFETY: as above.
        #[cfg(target_arch = "x86_64")]
        (Arithmetic::Bf16Dot, _) => unsafe { x86::avx512_pairs(rounds) },
        // SAFETY: as above.
        #[cfg(target_arch = "x86_64")]
        (_, Isa::Avx2) => unsafe { x86::avx2(rounds) },
        // SAFETY: as above.
        #[cfg(target_arch = "x86_64")]
        (_, Isa::Avx512 | Isa::Avx512Bf16 | Isa::Amx) => unsafe { x86::avx512(rounds) },
        _ => portable(rounds),
    };
    flops_per_round * rounds as f64
}

/// Sums that do not wait for each other, enough to hide the latency of a multiply-add.
const CHAINS: usize = 12;

fn portable(rounds: usize) -> f64 {
    let mut sums = [0.0_f32; CHAINS];
    let x = black_box(0.999_f32);
    for _ in 0..rounds {
        for sum in &mut sums {
            *sum = x.mul_add(x, *sum);
        }
    }
    black_box(sums);
    (2 * CHAINS) as f64
}

#[cfg(target_arch = "x86_64")]
mod x86 {
    use std::arch::x86_64::{
        __m512, __m512bh, _mm256_fmadd_ps, _mm256_set1_ps, _mm512_dpbf16_ps, _mm512_fmadd_ps,
        _mm512_set1_ps,
    };
    use std::hint::black_box;

    use super::CHAINS;

    #[target_feature(enable = "avx2,fma")]
    pub(super) fn avx2(rounds: usize) -> f64 {
        let mut sums = [_mm256_set1_ps(0.0); CHAINS];
        let x = black_box(_mm256_set1_ps(0.999));
        for _ in 0..rounds {
            for sum in &mut sums {
                *sum = _mm256_fmadd_ps(x, x, *sum);
            }
        }
        black_box(sums);
        (2 * 8 * CHAINS) as f64
    }

    #[target_feature(enable = "avx512f")]
    pub(super) fn avx512(rounds: usize) -> f64 {
        let mut sums = [_mm512_set1_ps(0.0); CHAINS];
        let x = black_box(_mm512_set1_ps(0.999));
        for _ in 0..rounds {
            for sum in &mut sums {
                *sum = _mm512_fmadd_ps(x, x, *sum);
            }
        }
        black_box(sums);
        (2 * 16 * CHAINS) as f64
    }

    #[target_feature(enable = "avx512f,avx512bf16")]
    pub(super) fn avx512_pairs(rounds: usize) -> f64 {
        let mut sums = [_mm512_set1_ps(0.0); CHAINS];
        // SAFETY: both types are 64 bytes of any content.
        let x =
            unsafe { std::mem::transmute::<__m512, __m512bh>(black_box(_mm512_set1_ps(0.999))) };
        for _ in 0..rounds {
            for sum in &mut sums {
                *sum = _mm512_dpbf16_ps(*sum, x, x);
            }
        }
        black_box(sums);
        (2 * 32 * CHAINS) as f64
    }

    /// # Safety
    /// This process may use AMX.
    pub(super) unsafe fn amx(rounds: usize) -> f64 {
        // SAFETY: passed on to the caller.
        unsafe { crate::product::amx::multiply_registers(rounds) };
        // Four products of tiles: 16 rows by 16 columns by 32 of the depth.
        f64::from(4 * 2 * 16 * 16 * 32)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::isa::Precision;
    use crate::testing::kernels;

    #[test]
    fn every_kernel_has_a_peak() {
        for precision in [Precision::F32, Precision::Bf16] {
            for kernels in kernels(precision) {
                assert!(multiply_adds(kernels, 1) > 0.0);
                let ten = multiply_adds(kernels, 10);
                assert!((ten / multiply_adds(kernels, 1) - 10.0).abs() < 1e-9, "{kernels:?}");
            }
        }
    }
}
