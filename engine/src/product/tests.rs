//! Tests of matrix products: every kernel against the naive loop, to the bit.

use super::units::round_to_bf16;
use super::*;
use crate::buffer::Scratch;
use crate::isa::{Arithmetic, Precision};
use crate::testing::{check_same_bits, kernels, values};

/// The naive product: C [M, N] += A [M, K] B [K, N], for elements given by functions.
fn naive(
    [m, k, n]: [usize; 3],
    a: impl Fn(usize, usize) -> f32,
    b: impl Fn(usize, usize) -> f32,
    c: &mut [f32],
) {
    for (at, c) in c.iter_mut().enumerate().take(m * n) {
        for depth in 0..k {
            *c = a(at / n, depth).mul_add(b(depth, at % n), *c);
        }
    }
}

/// Operands stored with rows a few elements longer than they are.
struct Operand {
    data: Vec<f32>,
    stride: usize,
}

impl Operand {
    fn new(seed: u64, rows: usize, columns: usize) -> Operand {
        let stride = columns + 3;
        Operand { data: values(seed, rows * stride), stride }
    }
}

fn check_product([m, k, n]: [usize; 3], transposed: [bool; 2], add: bool) {
    let shaped =
        |rows, columns, transposed| if transposed { [columns, rows] } else { [rows, columns] };
    let [a_rows, a_columns] = shaped(m, k, transposed[0]);
    let [b_rows, b_columns] = shaped(k, n, transposed[1]);
    let (a, b) = (Operand::new(1, a_rows, a_columns), Operand::new(2, b_rows, b_columns));
    let at = |x: &Operand, transposed: bool, i: usize, j: usize| {
        x.data[if transposed { j * x.stride + i } else { i * x.stride + j }]
    };
    let c_stride = n + 5;
    let before = values(3, m * c_stride);
    for precision in [Precision::F32, Precision::Bf16] {
        let exact = |x: f32| if precision == Precision::Bf16 { round_to_bf16(x) } else { x };
        let mut expected: Vec<f32> = (0..m * n)
            .map(|at| if add { before[at / n * c_stride + at % n] } else { 0.0 })
            .collect();
        naive(
            [m, k, n],
            |i, k| exact(at(&a, transposed[0], i, k)),
            |k, j| exact(at(&b, transposed[1], k, j)),
            &mut expected,
        );
        for kernels in kernels(precision) {
            if !matches!(kernels.arithmetic(), Arithmetic::F32 | Arithmetic::Bf16Rounded) {
                continue;
            }
            let oriented =
                |x: Matrix<'static>, transposed| if transposed { x.transposed() } else { x };
            let leak = |x: &Operand| -> &'static [f32] { Box::leak(x.data.clone().into()) };
            let left = oriented(Matrix::new(leak(&a), a_rows, a_columns, a.stride), transposed[0]);
            let right = oriented(Matrix::new(leak(&b), b_rows, b_columns, b.stride), transposed[1]);
            let mut panels = vec![f32::NAN; packed_len(kernels, k, n)];
            pack(kernels, right, &mut panels);
            let packed = Packed::new(kernels, &panels, k, n);
            let mut scratch = Scratch::with_bytes(scratch_bytes(kernels, m, k));
            let bytes = scratch.bytes();
            let mut c = before.clone();
            let out = Out { data: &mut c, row_stride: c_stride, add };
            multiply(kernels, left, packed, out, scratch.cut("a test", bytes));
            let what = format!("{:?} {transposed:?} {add} {}", [m, k, n], kernels.isa().name());
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
