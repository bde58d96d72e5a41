//! Pairs of bf16, made by the CPU's own conversion (AVX512-BF16).
//!
//! It rounds to nearest, ties to even, as the software does, in one instruction for 32 numbers
//! where that takes about ten for 16. Subnormal numbers become zero, which is what the products of
//! pairs take them for.

use std::arch::x86_64::{
    __m512, __m512bh, __mmask16, _mm512_castps_si512, _mm512_castsi512_ps, _mm512_cvtne2ps_pbh,
    _mm512_loadu_epi16, _mm512_loadu_ps, _mm512_mask_storeu_ps, _mm512_maskz_loadu_ps,
    _mm512_permutexvar_epi16, _mm512_setzero_ps, _mm512_storeu_ps,
};

/// f32 of a vector, and pairs of one.
const VECTOR: usize = 16;

/// Pairs from values that follow each other in depth; a missing last half is zero.
#[inline]
#[target_feature(enable = "avx512f,avx512bw,avx512bf16")]
pub(super) fn along(values: &[f32], pairs: &mut [f32]) {
    let count = values.len().div_ceil(2);
    assert!(pairs.len() >= count, "{} pairs for {} values", pairs.len(), values.len());
    let (whole, rest) = values.as_chunks::<{ 2 * VECTOR }>();
    for (values, pairs) in whole.iter().zip(pairs.as_chunks_mut().0) {
        let ([low, high], _) = values.as_chunks() else { unreachable!("two vectors") };
        store(pairs, convert(load(low), load(high)));
    }
    if !rest.is_empty() {
        let (low, high) = rest.split_at(VECTOR.min(rest.len()));
        let converted = convert(load_some(low), load_some(high));
        store_some(&mut pairs[whole.len() * VECTOR..count], converted);
    }
}

/// Pairs from values that lie next to each other at one depth, and at the next, which may be
/// missing and is zero then.
#[inline]
#[target_feature(enable = "avx512f,avx512bw,avx512bf16")]
pub(super) fn across(values: &[f32], next: Option<&[f32]>, pairs: &mut [f32]) {
    assert!(values.len() == pairs.len(), "{} pairs for {}", pairs.len(), values.len());
    // SAFETY: 32 numbers of 16 bits.
    let order = unsafe { _mm512_loadu_epi16(INTERLEAVED.as_ptr()) };
    let interleaved = |low: __m512, high: __m512| {
        let halves = _mm512_castps_si512(convert(low, high));
        _mm512_castsi512_ps(_mm512_permutexvar_epi16(order, halves))
    };
    let Some(next) = next else {
        for (low, pairs) in values.chunks(VECTOR).zip(pairs.chunks_mut(VECTOR)) {
            store_some(pairs, interleaved(load_some(low), _mm512_setzero_ps()));
        }
        return;
    };
    assert!(next.len() == values.len(), "{} values after {}", next.len(), values.len());
    let (low, low_rest) = values.as_chunks::<VECTOR>();
    let (high, high_rest) = next.as_chunks::<VECTOR>();
    let (pairs, pairs_rest) = pairs.as_chunks_mut::<VECTOR>();
    for ((low, high), pairs) in low.iter().zip(high).zip(pairs) {
        store(pairs, interleaved(load(low), load(high)));
    }
    if !low_rest.is_empty() {
        store_some(pairs_rest, interleaved(load_some(low_rest), load_some(high_rest)));
    }
}

/// The first of 16 low halves, the first of 16 high halves, the second of each, and so on.
const INTERLEAVED: [i16; 2 * VECTOR] = {
    let mut order = [0; 2 * VECTOR];
    let mut i = 0;
    while i < order.len() {
        order[i] = (i / 2 + i % 2 * VECTOR) as i16;
        i += 1;
    }
    order
};

/// 32 bf16: those of `low`, then those of `high`.
#[inline]
#[target_feature(enable = "avx512f,avx512bf16")]
fn convert(low: __m512, high: __m512) -> __m512 {
    let converted = _mm512_cvtne2ps_pbh(high, low);
    // SAFETY: both types are 64 bytes of any content.
    unsafe { std::mem::transmute::<__m512bh, __m512>(converted) }
}

/// 16 values.
#[inline]
#[target_feature(enable = "avx512f")]
fn load(values: &[f32; VECTOR]) -> __m512 {
    // SAFETY: there is a whole vector.
    unsafe { _mm512_loadu_ps(values.as_ptr()) }
}

/// At most 16 values; what is missing is zero.
#[inline]
#[target_feature(enable = "avx512f")]
fn load_some(values: &[f32]) -> __m512 {
    // SAFETY: reads no more than the values.
    unsafe { _mm512_maskz_loadu_ps(first(values.len()), values.as_ptr()) }
}

/// Stores 16 pairs.
#[inline]
#[target_feature(enable = "avx512f")]
fn store(pairs: &mut [f32; VECTOR], vector: __m512) {
    // SAFETY: there is room for a whole vector.
    unsafe { _mm512_storeu_ps(pairs.as_mut_ptr(), vector) }
}

/// Stores as many pairs as there is room for, at most 16.
#[inline]
#[target_feature(enable = "avx512f")]
fn store_some(pairs: &mut [f32], vector: __m512) {
    // SAFETY: writes no more than the pairs.
    unsafe { _mm512_mask_storeu_ps(pairs.as_mut_ptr(), first(pairs.len()), vector) }
}

/// The mask of the first `count` of 16.
#[inline]
fn first(count: usize) -> __mmask16 {
    debug_assert!(count <= VECTOR, "{count} elements in a vector");
    ((1_u32 << count) - 1) as __mmask16
}
