//! Work to be timed: multiply-adds in registers, which no kernel can beat, and the products of a
//! training step, by which arithmetics are compared.
//!
//! A benchmark times [`multiply_adds`] and divides the FLOPs that it returns by the seconds; then
//! it times operations and shows their share of this peak. [`Products`] costs milliseconds, so that
//! a machine can be measured before its first run. Nothing here reads a clock.

use std::hint::black_box;

use crate::buffer::Scratch;
use crate::isa::{Arithmetic, Isa, Kernels};
use crate::ops::linear::{self, LinearWeights};

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

/// Rows of the products that are compared: the tokens of a short sequence.
const POSITIONS: usize = 256;
/// Inputs and outputs of the layers that are compared: of models of one and of seven million
/// parameters. Larger ones take longer, and a busy machine interrupts each of their products.
const LAYERS: [[usize; 2]; 2] = [[128, 344], [256, 256]];

/// The three products of linear layers as a training step has them, with the packing of all
/// operands but the weights, which a step packs once for many sequences.
#[derive(Debug)]
pub struct Products {
    kernels: Kernels,
    layers: Vec<Layer>,
    scratch: Scratch,
}

/// A linear layer with its activations and gradients.
#[derive(Debug)]
struct Layer {
    weights: LinearWeights,
    x: Vec<f32>,
    y: Vec<f32>,
    dx: Vec<f32>,
    dy: Vec<f32>,
    dw: Vec<f32>,
}

impl Products {
    /// Allocates and packs everything.
    pub fn new(kernels: Kernels) -> Products {
        let bytes = |[inputs, outputs]: [usize; 2]| {
            linear::scratch_bytes(kernels, POSITIONS, outputs, inputs)
        };
        let scratch = Scratch::with_bytes(LAYERS.into_iter().map(bytes).max().unwrap_or(0));
        let layers = LAYERS.into_iter().map(|[inputs, outputs]| {
            let mut weights = LinearWeights::new(kernels, outputs, inputs);
            weights.pack(&vec![0.01; outputs * inputs]);
            Layer {
                weights,
                x: vec![0.5; POSITIONS * inputs],
                y: vec![0.0; POSITIONS * outputs],
                dx: vec![0.0; POSITIONS * inputs],
                dy: vec![0.25; POSITIONS * outputs],
                dw: vec![0.0; outputs * inputs],
            }
        });
        Products { kernels, layers: layers.collect(), scratch }
    }

    /// Products, each to be timed apart: pieces of less than a millisecond.
    pub const COUNT: usize = 3 * LAYERS.len();

    /// Multiplies product `index`, and returns how many FLOPs that were.
    pub fn run(&mut self, index: usize) -> f64 {
        let (kernels, scratch) = (self.kernels, &mut self.scratch);
        let Layer { weights, x, y, dx, dy, dw } = &mut self.layers[index / 3];
        match index % 3 {
            0 => linear::forward(kernels, x, weights, y, scratch),
            1 => linear::backward_input(kernels, dy, weights, dx, scratch),
            _ => linear::backward_weight(kernels, x, dy, weights.outputs(), dw, scratch),
        }
        (2 * POSITIONS * weights.outputs() * weights.inputs()) as f64
    }
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
    fn every_kernel_does_the_products_of_a_step() {
        for precision in [Precision::F32, Precision::Bf16] {
            for kernels in kernels(precision) {
                let mut products = Products::new(kernels);
                let all = |products: &mut Products| {
                    (0..Products::COUNT).fold(0.0, |flops, index| flops + products.run(index))
                };
                let flops = all(&mut products);
                assert_eq!(flops.to_bits(), 168_296_448_f64.to_bits(), "{kernels:?}");
                // These numbers and their sums are exact in bf16 and f32, so all agree.
                let [narrow, wide] = &products.layers[..] else { panic!("two layers") };
                assert_eq!([narrow.dw[0], wide.dw[0]].map(f32::to_bits), [32_f32.to_bits(); 2]);
                all(&mut products);
                assert_eq!(products.layers[1].dw[0].to_bits(), 64_f32.to_bits(), "{kernels:?}");
            }
        }
    }

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
