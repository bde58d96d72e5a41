//! Sums and maxima over a row, with an order that depends on its length only.
//!
//! Element i goes to lane i mod 32; then the lanes are added as a fixed tree. The lanes let the
//! compiler vectorize the loop without the right to reorder anything, so that every instruction
//! set gives the same bits; and they shorten the chains of additions, hence the rounding error.

/// How many sums run side by side: two vectors of AVX-512, enough to hide most of the latency.
pub(crate) const LANES: usize = 32;

/// The sum over i of `a[i] * b[i]`, by fused multiply-adds.
#[inline(always)]
pub(crate) fn dot(a: &[f32], b: &[f32]) -> f32 {
    assert_eq!(a.len(), b.len());
    let mut sums = [0.0; LANES];
    let mut add = |a: &[f32; LANES], b: &[f32; LANES]| {
        for ((sum, a), b) in sums.iter_mut().zip(a).zip(b) {
            *sum = a.mul_add(*b, *sum);
        }
    };
    let ((chunks_a, rest_a), (chunks_b, rest_b)) = (a.as_chunks(), b.as_chunks());
    for (a, b) in chunks_a.iter().zip(chunks_b) {
        add(a, b);
    }
    if !rest_a.is_empty() {
        add(&padded(rest_a, 0.0), &padded(rest_b, 0.0));
    }
    add_lanes(sums)
}

/// The sum over i of `a[i] * b[i] * c[i]`.
#[inline(always)]
pub(crate) fn dot3(a: &[f32], b: &[f32], c: &[f32]) -> f32 {
    assert!(a.len() == b.len() && b.len() == c.len());
    let mut sums = [0.0; LANES];
    let mut add = |a: &[f32; LANES], b: &[f32; LANES], c: &[f32; LANES]| {
        for (((sum, a), b), c) in sums.iter_mut().zip(a).zip(b).zip(c) {
            *sum = (a * b).mul_add(*c, *sum);
        }
    };
    let ((chunks_a, rest_a), (chunks_b, rest_b)) = (a.as_chunks(), b.as_chunks());
    let (chunks_c, rest_c) = c.as_chunks();
    for ((a, b), c) in chunks_a.iter().zip(chunks_b).zip(chunks_c) {
        add(a, b, c);
    }
    if !rest_a.is_empty() {
        add(&padded(rest_a, 0.0), &padded(rest_b, 0.0), &padded(rest_c, 0.0));
    }
    add_lanes(sums)
}

/// The sum over i of `(a[i] - b[i]) * (c[i] - d[i])`.
#[inline(always)]
pub(crate) fn dot_of_differences([a, b]: [&[f32]; 2], [c, d]: [&[f32]; 2]) -> f32 {
    assert!(a.len() == b.len() && a.len() == c.len() && a.len() == d.len());
    let mut sums = [0.0; LANES];
    let mut add = |[a, b, c, d]: [&[f32; LANES]; 4]| {
        for (i, sum) in sums.iter_mut().enumerate() {
            *sum = (a[i] - b[i]).mul_add(c[i] - d[i], *sum);
        }
    };
    let ((chunks_a, rest_a), (chunks_b, rest_b)) = (a.as_chunks(), b.as_chunks());
    let ((chunks_c, rest_c), (chunks_d, rest_d)) = (c.as_chunks(), d.as_chunks());
    for (((a, b), c), d) in chunks_a.iter().zip(chunks_b).zip(chunks_c).zip(chunks_d) {
        add([a, b, c, d]);
    }
    if !rest_a.is_empty() {
        let [a, b, c, d] = [rest_a, rest_b, rest_c, rest_d].map(|rest| padded(rest, 0.0));
        add([&a, &b, &c, &d]);
    }
    add_lanes(sums)
}

/// The largest element, NaN passed over; minus infinity for an empty row.
///
/// The sums of exponentials that follow a maximum take every element and hence every NaN.
#[inline(always)]
pub(crate) fn max(row: &[f32]) -> f32 {
    let mut lanes = [f32::NEG_INFINITY; LANES];
    let mut take = |chunk: &[f32; LANES]| {
        for (lane, x) in lanes.iter_mut().zip(chunk) {
            *lane = if *x > *lane { *x } else { *lane };
        }
    };
    let (chunks, rest) = row.as_chunks();
    chunks.iter().for_each(&mut take);
    if !rest.is_empty() {
        take(&padded(rest, f32::NEG_INFINITY));
    }
    let mut half = LANES / 2;
    while half > 0 {
        for i in 0..half {
            lanes[i] = if lanes[i + half] > lanes[i] { lanes[i + half] } else { lanes[i] };
        }
        half /= 2;
    }
    lanes[0]
}

/// Replaces each element of a row by `f` of it and returns the sum of the new elements.
#[inline(always)]
pub(crate) fn map_and_sum(row: &mut [f32], f: impl Fn(f32) -> f32) -> f32 {
    let mut sums = [0.0; LANES];
    let (chunks, rest) = row.as_chunks_mut::<LANES>();
    for chunk in chunks {
        for (sum, x) in sums.iter_mut().zip(chunk) {
            *x = f(*x);
            *sum += *x;
        }
    }
    if !rest.is_empty() {
        rest.iter_mut().for_each(|x| *x = f(*x));
        for (sum, x) in sums.iter_mut().zip(&padded(rest, 0.0)) {
            *sum += x;
        }
    }
    add_lanes(sums)
}

/// The sum over a row of `f` of each element.
#[inline(always)]
pub(crate) fn sum_of(row: &[f32], f: impl Fn(f32) -> f32) -> f32 {
    let mut sums = [0.0; LANES];
    let (chunks, rest) = row.as_chunks::<LANES>();
    for chunk in chunks {
        for (sum, x) in sums.iter_mut().zip(chunk) {
            *sum += f(*x);
        }
    }
    if !rest.is_empty() {
        let mut last = [0.0; LANES];
        last.iter_mut().zip(rest).for_each(|(last, x)| *last = f(*x));
        for (sum, x) in sums.iter_mut().zip(&last) {
            *sum += x;
        }
    }
    add_lanes(sums)
}

/// The rest of a row as a whole chunk, so that the lanes are only ever used at fixed places and
/// the compiler can hold them in registers.
#[inline(always)]
fn padded(rest: &[f32], padding: f32) -> [f32; LANES] {
    let mut chunk = [padding; LANES];
    chunk[..rest.len()].copy_from_slice(rest);
    chunk
}

/// Adds the lanes as a balanced tree: lane i to lane i + 16, then i + 8, and so on.
#[inline(always)]
fn add_lanes(mut lanes: [f32; LANES]) -> f32 {
    let mut half = LANES / 2;
    while half > 0 {
        for i in 0..half {
            lanes[i] += lanes[i + half];
        }
        half /= 2;
    }
    lanes[0]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sums_and_maxima_are_right_at_odd_lengths() {
        for len in [0, 1, 7, 31, 32, 33, 65, 127] {
            let row: Vec<f32> = (0..len).map(|i| (i as f32) - 40.0).collect();
            let sum = row.iter().fold(0.0_f32, |sum, x| sum + x);
            let squares = row.iter().fold(0.0_f32, |sum, x| sum + x * x);
            // Small integers: every order gives the exact sum.
            assert_eq!(sum_of(&row, |x| x).to_bits(), sum.to_bits());
            assert_eq!(dot(&row, &row).to_bits(), squares.to_bits());
            assert_eq!(map_and_sum(&mut row.clone(), |x| 2.0 * x).to_bits(), (2.0 * sum).to_bits());
            let largest = row.iter().copied().fold(f32::NEG_INFINITY, f32::max);
            assert_eq!(max(&row).to_bits(), largest.to_bits());
        }
    }
}
