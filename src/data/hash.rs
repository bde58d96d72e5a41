//! The hash family behind the built-in language, the training order and the splits.
//!
//! Everything random in a corpus or an order is `unit(fold(fold(key, ..), ..))`: counter-based, so
//! any item can be computed without the ones before it, and integer-only, so the bits are the same
//! on every machine. The quality is that of the splitmix64 finalizer.

/// The golden-ratio increment of splitmix64.
const GOLDEN: u64 = 0x9E37_79B9_7F4A_7C15;

/// The splitmix64 finalizer: a bijection of 64-bit words in which every input bit moves about half
/// of the output bits.
#[must_use]
pub fn mix(mut word: u64) -> u64 {
    word = (word ^ (word >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
    word = (word ^ (word >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
    word ^ (word >> 31)
}

/// Folds one more part into a hash; `fold(fold(key, a), b)` is the hash of the path (a, b).
#[must_use]
pub fn fold(hash: u64, part: u64) -> u64 {
    mix(hash.wrapping_add(part.wrapping_add(1).wrapping_mul(GOLDEN)))
}

/// A hash as a number in [0, 1): its upper 53 bits, so that the conversion is exact.
#[must_use]
pub fn unit(hash: u64) -> f64 {
    (hash >> 11) as f64 * (1.0 / (1_u64 << 53) as f64)
}

/// A hash as an integer below `bound`, by the high half of the product (bias below bound / 2^64).
#[must_use]
pub fn below(hash: u64, bound: u64) -> u64 {
    ((u128::from(hash) * u128::from(bound)) >> 64) as u64
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The first outputs of splitmix64 from seed 0 are `mix(k * GOLDEN)`: published values.
    #[test]
    fn mix_is_the_splitmix64_finalizer() {
        let first = [0xE220_A839_7B1D_CDAF_u64, 0x6E78_9E6A_A1B9_65F4, 0x06C4_5D18_8009_454F];
        for (k, expected) in first.into_iter().enumerate() {
            assert_eq!(fold(0, k as u64), expected);
        }
    }

    #[test]
    fn units_and_bounds_stay_inside() {
        assert!((unit(u64::MAX) - (1.0 - f64::EPSILON / 2.0)).abs() < 1e-300);
        assert_eq!(unit(0).to_bits(), 0);
        assert_eq!(below(u64::MAX, 7), 6);
        assert_eq!(below(0, 7), 0);
    }
}
