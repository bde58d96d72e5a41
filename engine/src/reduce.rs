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
    let ((a, a_rest), (b, b_rest)) = (a.as_chunks::<LANES>(), b.as_chunks::<LANES>());
    for (a, b) in a.iter().zip(b) {
        for ((sum, a), b) in sums.iter_mut().zip(a).zip(b) {
            *sum = a.mul_add(*b, *sum);
        }
    }
    for ((sum, a), b) in sums.iter_mut().zip(a_rest).zip(b_rest) {
        *sum = a.mul_add(*b, *sum);
    }
    add_lanes(sums)
}

/// The sum over i of `a[i] * b[i] * c[i]`.
#[inline(always)]
pub(crate) fn dot3(a: &[f32], b: &[f32], c: &[f32]) -> f32 {
    assert!(a.len() == b.len() && b.len() == c.len());
    let mut sums = [0.0; LANES];
    let (a, a_rest) = a.as_chunks::<LANES>();
    let (b, b_rest) = b.as_chunks::<LANES>();
    let (c, c_rest) = c.as_chunks::<LANES>();
    for ((a, b), c) in a.iter().zip(b).zip(c) {
        for (((sum, a), b), c) in sums.iter_mut().zip(a).zip(b).zip(c) {
            *sum = (a * b).mul_add(*c, *sum);
        }
    }
    for (((sum, a), b), c) in sums.iter_mut().zip(a_rest).zip(b_rest).zip(c_rest) {
        *sum = (a * b).mul_add(*c, *sum);
    }
    add_lanes(sums)
}

/// The largest element; NaN if any element is NaN, minus infinity for an empty row.
#[inline(always)]
pub(crate) fn max(row: &[f32]) -> f32 {
    // A comparison with NaN is false, so this keeps a NaN that is there and takes one that comes.
    let larger = |a: f32, b: f32| if a >= b || a.is_nan() { a } else { b };
    let mut lanes = [f32::NEG_INFINITY; LANES];
    let (chunks, rest) = row.as_chunks::<LANES>();
    for chunk in chunks {
        for (lane, x) in lanes.iter_mut().zip(chunk) {
            *lane = larger(*lane, *x);
        }
    }
    for (lane, x) in lanes.iter_mut().zip(rest) {
        *lane = larger(*lane, *x);
    }
    lanes.into_iter().fold(f32::NEG_INFINITY, larger)
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
    for (sum, x) in sums.iter_mut().zip(rest) {
        *x = f(*x);
        *sum += *x;
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
    for (sum, x) in sums.iter_mut().zip(rest) {
        *sum += f(*x);
    }
    add_lanes(sums)
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

    #[test]
    fn nan_reaches_the_maximum_from_any_place() {
        for at in [0, 5, 31, 32, 40] {
            let mut row = [1.0; 41];
            row[at] = f32::NAN;
            assert!(max(&row).is_nan(), "{at}");
        }
    }
}
