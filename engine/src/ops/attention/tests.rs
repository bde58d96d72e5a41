//! Tests of attention.

use super::*;
use crate::isa::Precision;
use crate::testing::{
    check, check_gradient, check_same_bits, kernels, operand_rounding, sum_bound, values, wide,
};

fn shape(positions: usize, heads: usize, kv_heads: usize, head_dim: usize) -> AttentionShape {
    AttentionShape { positions, heads, kv_heads, head_dim }
}

/// Documents of growing lengths.
fn documents(positions: usize) -> Vec<u32> {
    let mut starts = Vec::new();
    for length in 1.. {
        let start = starts.len();
        if start >= positions {
            break;
        }
        starts.resize(positions.min(start + 7 * length), start as u32);
    }
    starts
}

#[test]
fn the_reference_has_the_right_gradient() {
    for starts in [None, Some(documents(9))] {
        let (shape, starts) = (shape(9, 4, 2, 3), starts.as_deref());
        let qkv = wide(&values(1, 9 * shape.qkv_width()));
        let d_o = wide(&values(2, 9 * shape.output_width()));
        let dqkv = reference::backward(&shape, &qkv, starts, &d_o);
        check_gradient("attention", &qkv, &dqkv, |qkv| {
            let (o, _) = reference::forward(&shape, qkv, starts);
            o.iter().zip(&d_o).map(|(o, d_o)| o * d_o).sum()
        });
    }
}

/// o, lse and dqkv.
fn run(
    kernels: Kernels,
    shape: AttentionShape,
    starts: Option<&[u32]>,
    [qkv, d_o]: [&[f32]; 2],
) -> [Vec<f32>; 3] {
    let mut scratch = Scratch::with_bytes(scratch_bytes(kernels, shape));
    let mut o = vec![f32::NAN; shape.positions * shape.output_width()];
    let mut lse = vec![f32::NAN; shape.positions * shape.heads];
    let mut dqkv = vec![f32::NAN; qkv.len()];
    forward(kernels, shape, qkv, starts, &mut o, &mut lse, &mut scratch);
    let saved = Saved { qkv, starts, o: &o, lse: &lse };
    backward(kernels, shape, saved, d_o, &mut dqkv, &mut scratch);
    [o, lse, dqkv]
}

fn check_shape(shape: AttentionShape, starts: Option<&[u32]>) {
    let qkv = values(1, shape.positions * shape.qkv_width());
    let d_o = values(2, shape.positions * shape.output_width());
    let (o, lse) = reference::forward(&shape, &wide(&qkv), starts);
    let dqkv = reference::backward(&shape, &wide(&qkv), starts, &wide(&d_o));
    for precision in [Precision::F32, Precision::Bf16] {
        let mut first: Option<(_, [Vec<f32>; 3])> = None;
        for kernels in kernels(precision) {
            let arithmetic = kernels.arithmetic();
            let what = format!("{shape:?} {} {}", kernels.isa().name(), arithmetic.name());
            let results = run(kernels, shape, starts, [&qkv, &d_o]);
            // Operands are at most 3; a score has an error of about that of its products, and
            // errors of scores are relative errors of probabilities.
            let bound = |terms: usize, size: f64| {
                sum_bound(terms, size) + operand_rounding(precision, size)
            };
            let d = shape.head_dim;
            check(&format!("{what} o"), &results[0], &o, |_| bound(d, 6.0));
            check(&format!("{what} lse"), &results[1], &lse, |_| bound(d, 6.0));
            let size = 6.0 * (1.0 + (shape.heads / shape.kv_heads) as f64);
            check(&format!("{what} dqkv"), &results[2], &dqkv, |_| {
                bound(shape.positions + d, size)
            });
            let (known, first) = first.get_or_insert((arithmetic, results.clone()));
            if *known == arithmetic {
                for (result, first) in results.iter().zip(first) {
                    check_same_bits(&what, result, first);
                }
            }
        }
    }
}

#[test]
fn kernels_follow_the_reference() {
    check_shape(shape(0, 1, 1, 2), None);
    check_shape(shape(1, 1, 1, 2), None);
    check_shape(shape(7, 3, 1, 6), None);
    check_shape(shape(33, 2, 2, 16), None);
    check_shape(shape(65, 4, 2, 32), None);
    check_shape(shape(127, 1, 1, 64), None);
}

#[test]
fn documents_do_not_see_each_other() {
    for positions in [1, 8, 33, 130] {
        check_shape(shape(positions, 2, 1, 8), Some(&documents(positions)));
    }
}

/// With a start at every document, the result is that of each document alone.
#[test]
fn a_document_in_a_sequence_gives_the_bits_of_the_document_alone() {
    let (first, second) = (32, 40);
    let both = shape(first + second, 2, 1, 8);
    let qkv = values(1, both.positions * both.qkv_width());
    let d_o = values(2, both.positions * both.output_width());
    let starts: Vec<u32> =
        (0..both.positions).map(|t| if t < first { 0 } else { first as u32 }).collect();
    for kernels in kernels(Precision::F32) {
        let [o, _, dqkv] = run(kernels, both, Some(&starts), [&qkv, &d_o]);
        let alone = shape(second, 2, 1, 8);
        let qkv = &qkv[first * both.qkv_width()..];
        let d_o = &d_o[first * both.output_width()..];
        let [o_alone, _, dqkv_alone] = run(kernels, alone, None, [qkv, d_o]);
        check_same_bits("o", &o[first * both.output_width()..], &o_alone);
        check_same_bits("dqkv", &dqkv[first * both.qkv_width()..], &dqkv_alone);
    }
}

#[test]
#[should_panic(expected = "a position starts after itself")]
fn a_start_in_the_future_panics() {
    let kernels = kernels(Precision::F32)[0];
    run(kernels, shape(2, 1, 1, 2), Some(&[0, 2]), [&[0.0; 12], &[0.0; 4]]);
}
