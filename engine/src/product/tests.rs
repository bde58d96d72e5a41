//! Tests of matrix products: every kernel against the naive loop, to the bit.

use super::units::round_to_bf16;
use super::*;
use crate::buffer::Scratch;
use crate::isa::{Arithmetic, Precision};
use crate::testing::{check_same_bits, kernels, values};

/// The naive product: C [M, N] += A [M, K] B [K, N], for elements given by functions.
fn naive(
    arithmetic: Arithmetic,
    [m, k, n]: [usize; 3],
    a: impl Fn(usize, usize) -> f32,
    b: impl Fn(usize, usize) -> f32,
    c: &mut [f32],
) {
    for (at, c) in c.iter_mut().enumerate().take(m * n) {
        let (i, j) = (at / n, at % n);
        let add_exact = |sum: f32, depth| a(i, depth).mul_add(b(depth, j), sum);
        let add =
            |sum: f32, depth| round_to_bf16(a(i, depth)).mul_add(round_to_bf16(b(depth, j)), sum);
        *c = match arithmetic {
            Arithmetic::F32 => (0..k).fold(*c, add_exact),
            Arithmetic::Bf16Rounded => (0..k).fold(*c, add),
            // The second of each pair first.
            Arithmetic::Bf16Dot => {
                let pairs = (0..k).step_by(2);
                pairs.flat_map(|first| (first..k.min(first + 2)).rev()).fold(*c, add)
            }
            // Of every 32, the first ones and the second ones of pairs.
            Arithmetic::Bf16Amx => (0..k).step_by(32).fold(*c, |sum, first| {
                let half = |from| (from..k.min(first + 32)).step_by(2).fold(0.0, add);
                sum + (half(first) + half(first + 1))
            }),
        };
    }
}

/// An operand stored with rows a few elements longer than they are, and perhaps transposed.
struct Operand {
    data: Vec<f32>,
    rows: usize,
    columns: usize,
    transposed: bool,
}

impl Operand {
    /// Values for an operand `[rows, columns]` as the product sees it.
    fn new(seed: u64, rows: usize, columns: usize, transposed: bool) -> Operand {
        let (rows, columns) = if transposed { (columns, rows) } else { (rows, columns) };
        Operand { data: values(seed, rows * (columns + 3)), rows, columns, transposed }
    }

    fn at(&self, i: usize, j: usize) -> f32 {
        let (i, j) = if self.transposed { (j, i) } else { (i, j) };
        self.data[i * (self.columns + 3) + j]
    }

    fn matrix(&self) -> Matrix<'_> {
        let matrix = Matrix::new(&self.data, self.rows, self.columns, self.columns + 3);
        if self.transposed { matrix.transposed() } else { matrix }
    }
}

fn check_product([m, k, n]: [usize; 3], transposed: [bool; 2], add: bool) {
    let a = Operand::new(1, m, k, transposed[0]);
    let b = Operand::new(2, k, n, transposed[1]);
    let c_stride = n + 5;
    let before = values(3, m * c_stride);
    for precision in [Precision::F32, Precision::Bf16] {
        for kernels in kernels(precision) {
            let start = |at| if add { before[at / n * c_stride + at % n] } else { 0.0 };
            let mut expected: Vec<f32> = (0..m * n).map(start).collect();
            let (a_at, b_at) = (|i, k| a.at(i, k), |k, j| b.at(k, j));
            naive(kernels.arithmetic(), [m, k, n], a_at, b_at, &mut expected);
            let mut panels = vec![f32::NAN; packed_len(kernels, k, n)];
            pack(kernels, b.matrix(), &mut panels);
            let packed = Packed::new(kernels, &panels, k, n);
            let mut scratch = Scratch::with_bytes(scratch_bytes(kernels, m, k));
            let bytes = scratch.bytes();
            let mut c = before.clone();
            let out = Out { data: &mut c, row_stride: c_stride, add };
            multiply(kernels, a.matrix(), packed, out, scratch.cut("a test", bytes));
            let what = format!("{:?} {transposed:?} {add} {kernels:?}", [m, k, n]);
            for (i, row) in c.chunks_exact(c_stride).enumerate() {
                check_same_bits(&what, &row[..n], &expected[i * n..][..n]);
                check_same_bits(&what, &row[n..], &before[i * c_stride..][n..c_stride]);
            }
        }
    }
}

#[test]
fn every_kernel_gives_the_bits_of_the_naive_product() {
    let shapes = [
        [0, 3, 3],
        [3, 0, 3],
        [3, 3, 0],
        [1, 1, 1],
        [7, 7, 7],
        [33, 65, 31],
        [13, 127, 33],
        [12, 300, 64],
        [65, 33, 127],
        [270, 257, 32],
    ];
    for shape in shapes {
        for transposed in [[false, false], [false, true], [true, false], [true, true]] {
            for add in [false, true] {
                check_product(shape, transposed, add);
            }
        }
    }
}

#[test]
fn every_number_of_rows_has_its_kernel() {
    for rows in 1..=26 {
        check_product([rows, 5, 40], [false, false], true);
        check_product([rows, 5, 40], [true, false], false);
    }
}

/// Small numbers whose products are subnormal, which the hardware takes as zero.
#[test]
fn pairs_flush_subnormal_numbers() {
    for kernels in kernels(Precision::Bf16) {
        let flushes = matches!(kernels.arithmetic(), Arithmetic::Bf16Dot | Arithmetic::Bf16Amx);
        let tiny = [1e-20; 4];
        let mut panels = vec![0.0; packed_len(kernels, 2, 2)];
        pack(kernels, Matrix::new(&tiny, 2, 2, 2), &mut panels);
        let packed = Packed::new(kernels, &panels, 2, 2);
        let mut scratch = Scratch::with_bytes(scratch_bytes(kernels, 2, 2));
        let bytes = scratch.bytes();
        let mut c = [0.0; 4];
        let out = Out { data: &mut c, row_stride: 2, add: false };
        multiply(kernels, Matrix::new(&tiny, 2, 2, 2), packed, out, scratch.cut("a test", bytes));
        assert!(c.iter().all(|c| (*c > 0.0) != flushes), "{kernels:?}: {c:?}");
    }
}

#[cfg(all(target_arch = "x86_64", target_os = "linux"))]
#[test]
fn a_session_of_the_tile_unit_ends_with_its_release() {
    if crate::isa::Isa::detect() == crate::isa::Isa::Amx {
        return;
    }
    check_product([33, 65, 33], [false, false], false);
    assert!(amx::emulator::is_released());
}
