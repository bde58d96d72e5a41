//! Random numbers as a pure function of (seed, stream, index).
//!
//! Philox4x32-10 (Salmon, Moraes, Dror, Shaw: "Parallel random numbers: as easy as 1, 2, 3",
//! 2011): ten rounds of multiply-and-xor over a 128-bit counter, keyed by 64 bits. There is no
//! state, so that any element can be drawn alone, on any thread, and again after a resume.

use crate::isa::{Kernels, multiversion};

const MULTIPLIERS: [u32; 2] = [0xd251_1f53, 0xcd9e_8d57];
const WEYL: [u32; 2] = [0x9e37_79b9, 0xbb67_ae85];
const ROUNDS: usize = 10;

/// The Philox4x32-10 block function: 128 random bits for a counter under a key.
#[inline(always)]
pub(crate) fn philox(counter: [u32; 4], key: [u32; 2]) -> [u32; 4] {
    let [mut a, mut b, mut c, mut d] = counter;
    let mut key = key;
    for _ in 0..ROUNDS {
        let first = u64::from(MULTIPLIERS[0]) * u64::from(a);
        let second = u64::from(MULTIPLIERS[1]) * u64::from(c);
        a = (second >> 32) as u32 ^ b ^ key[0];
        b = second as u32;
        c = (first >> 32) as u32 ^ d ^ key[1];
        d = first as u32;
        key = [key[0].wrapping_add(WEYL[0]), key[1].wrapping_add(WEYL[1])];
    }
    [a, b, c, d]
}

/// A stream of random numbers, addressed by index.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Stream {
    seed: u64,
    stream: u64,
}

impl Stream {
    /// The stream number `stream` of `seed`: for example a hash of a tensor's name.
    pub fn new(seed: u64, stream: u64) -> Stream {
        Stream { seed, stream }
    }

    /// 128 random bits for `index`.
    #[inline(always)]
    pub(crate) fn block(self, index: u64) -> [u32; 4] {
        let counter =
            [index as u32, (index >> 32) as u32, self.stream as u32, (self.stream >> 32) as u32];
        philox(counter, [self.seed as u32, (self.seed >> 32) as u32])
    }

    /// 64 random bits for `index`.
    #[inline(always)]
    pub fn bits(self, index: u64) -> u64 {
        let [low, high, _, _] = self.block(index);
        u64::from(high) << 32 | u64::from(low)
    }

    /// A uniform number in the open interval (0, 1) for `index`: an odd multiple of 2^-53.
    #[inline(always)]
    pub fn uniform(self, index: u64) -> f64 {
        const STEP: f64 = 1.0 / (1_u64 << 52) as f64;
        ((self.bits(index) >> 12) as f64 + 0.5) * STEP
    }

    /// A standard normal number truncated to [-3, 3], not rescaled, for `index`.
    ///
    /// The normal quantile of a uniform number between the probabilities of -3 and 3. The
    /// standard deviation is therefore 0.98658, as in Levanter's and JAX's truncated normal.
    pub fn truncated_normal(self, index: u64) -> f32 {
        normal_quantile(self.between_tails(index)) as f32
    }

    /// The truncated normal numbers for the indices from `first` on, with the bits of
    /// [`Stream::truncated_normal`] and several times its speed.
    pub fn fill_truncated_normal(self, kernels: Kernels, first: u64, values: &mut [f32]) {
        fill_truncated_normal(kernels, self, first, values);
    }

    /// A uniform number between the probabilities of -3 and 3 for `index`.
    #[inline(always)]
    fn between_tails(self, index: u64) -> f64 {
        /// The normal distribution function at -3.
        const TAIL: f64 = 0.001_349_898_031_630_094_6;
        TAIL + self.uniform(index) * (1.0 - 2.0 * TAIL)
    }
}

multiversion! {
    fn fill_truncated_normal(stream: Stream, first: u64, values: &mut [f32]) {
        const BATCH: usize = 64;
        for (first, values) in (first..).step_by(BATCH).zip(values.chunks_mut(BATCH)) {
            let mut probabilities = [0.0; BATCH];
            for (index, p) in (first..).zip(&mut probabilities) {
                *p = stream.between_tails(index);
            }
            // The center's formula for all, as it needs no branch and hence vectorizes; then the
            // 15 % in the tails one by one.
            let mut quantiles = [0.0; BATCH];
            for (quantile, p) in quantiles.iter_mut().zip(&probabilities) {
                *quantile = central_quantile(p - 0.5) as f32;
            }
            for (quantile, p) in quantiles.iter_mut().zip(&probabilities) {
                if !is_central(p - 0.5) {
                    *quantile = normal_quantile(*p) as f32;
                }
            }
            values.copy_from_slice(&quantiles[..values.len()]);
        }
    }
}

/// The quantile of the standard normal distribution for `p` in [1e-10, 1 - 1e-10].
///
/// Wichura's algorithm AS 241, PPND16: relative error about 1e-16.
fn normal_quantile(p: f64) -> f64 {
    const TAILS: [[f64; 8]; 2] = [
        [
            1.423_437_110_749_683_5,
            4.630_337_846_156_546,
            5.769_497_221_460_691,
            3.647_848_324_763_204_5,
            1.270_458_252_452_368_4,
            2.417_807_251_774_506e-1,
            2.272_384_498_926_918_4e-2,
            7.745_450_142_783_414e-4,
        ],
        [
            1.0,
            2.053_191_626_637_759,
            1.676_384_830_183_803_8,
            6.897_673_349_851e-1,
            1.481_039_764_274_800_8e-1,
            1.519_866_656_361_645_7e-2,
            5.475_938_084_995_345e-4,
            1.050_750_071_644_416_9e-9,
        ],
    ];
    let q = p - 0.5;
    if is_central(q) {
        return central_quantile(q);
    }
    let tail = if q < 0.0 { p } else { 1.0 - p };
    let magnitude = ratio(&TAILS, libm::sqrt(-libm::log(tail)) - 1.6);
    if q < 0.0 { -magnitude } else { magnitude }
}

/// Whether the quantile of 1/2 + `q` has the formula of the center.
#[inline(always)]
fn is_central(q: f64) -> bool {
    q.abs() <= 0.425
}

/// The quantile of 1/2 + `q`, where that is central; a senseless number elsewhere.
#[inline(always)]
fn central_quantile(q: f64) -> f64 {
    const CENTER: [[f64; 8]; 2] = [
        [
            3.387_132_872_796_366_5,
            1.331_416_678_917_843_8e2,
            1.971_590_950_306_551_3e3,
            1.373_169_376_550_946e4,
            4.592_195_393_154_987e4,
            6.726_577_092_700_87e4,
            3.343_057_558_358_813e4,
            2.509_080_928_730_122_7e3,
        ],
        [
            1.0,
            4.231_333_070_160_091e1,
            6.871_870_074_920_579e2,
            5.394_196_021_424_751e3,
            2.121_379_430_158_659_7e4,
            3.930_789_580_009_271e4,
            2.872_908_573_572_194_3e4,
            5.226_495_278_852_854e3,
        ],
    ];
    q * ratio(&CENTER, 0.180_625 - q * q)
}

/// The ratio of two polynomials of degree 7, the lowest coefficient first.
#[inline(always)]
fn ratio(coefficients: &[[f64; 8]; 2], x: f64) -> f64 {
    let [above, below] = coefficients.map(|c| c.iter().rev().fold(0.0, |sum, c| sum * x + c));
    above / below
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Known answers from the authors' Random123 distribution (kat_vectors).
    #[test]
    fn philox_gives_the_published_answers() {
        assert_eq!(philox([0; 4], [0; 2]), [0x6627_e8d5, 0xe169_c58d, 0xbc57_ac4c, 0x9b00_dbd8]);
        assert_eq!(
            philox([u32::MAX; 4], [u32::MAX; 2]),
            [0x408f_276d, 0x41c8_3b0e, 0xa20b_c7c6, 0x6d54_51fd]
        );
        assert_eq!(
            philox(
                [0x243f_6a88, 0x85a3_08d3, 0x1319_8a2e, 0x0370_7344],
                [0xa409_3822, 0x299f_31d0]
            ),
            [0xd16c_fe09, 0x94fd_cceb, 0x5001_e420, 0x2412_6ea1]
        );
    }

    #[test]
    fn the_quantile_inverts_the_distribution_function() {
        for step in 1..2000 {
            let p = f64::from(step) / 2000.0;
            let back = 0.5 * libm::erfc(-normal_quantile(p) / std::f64::consts::SQRT_2);
            assert!((back - p).abs() < 1e-15, "{p} came back as {back}");
        }
    }

    #[test]
    fn truncated_normals_have_the_right_moments() {
        let stream = Stream::new(7, 11);
        let count = 200_000;
        let values: Vec<f64> = (0..count).map(|i| f64::from(stream.truncated_normal(i))).collect();
        assert!(values.iter().all(|z| z.abs() <= 3.0));
        let mean = values.iter().sum::<f64>() / count as f64;
        let square = values.iter().map(|z| z * z).sum::<f64>() / count as f64;
        let fourth = values.iter().map(|z| z.powi(4)).sum::<f64>() / count as f64;
        // With q = phi(3) / (1 - 2 tail): E z^2 = 1 - 6 q and E z^4 = 3 E z^2 - 54 q.
        assert!(mean.abs() < 0.01, "{mean}");
        assert!((square - 0.973_337).abs() < 0.012, "{square}");
        assert!((fourth - 2.680_037).abs() < 0.06, "{fourth}");
    }

    #[test]
    fn many_are_the_same_as_one_by_one() {
        let (stream, first) = (Stream::new(3, 5), u64::from(u32::MAX) - 40);
        let single: Vec<f32> = (first..first + 201).map(|i| stream.truncated_normal(i)).collect();
        for kernels in crate::testing::kernels(crate::isa::Precision::F32) {
            let mut many = vec![0.0; single.len()];
            stream.fill_truncated_normal(kernels, first, &mut many);
            crate::testing::check_same_bits("truncated normal", &many, &single);
        }
    }

    #[test]
    fn seeds_streams_and_indices_differ() {
        let draw = |seed, stream, index| Stream::new(seed, stream).bits(index);
        let all = [draw(1, 2, 3), draw(2, 2, 3), draw(1, 3, 3), draw(1, 2, 4), draw(1, 2, 1 << 32)];
        for (i, a) in all.iter().enumerate() {
            assert!(all[..i].iter().all(|b| a != b));
        }
        let mean = (0..10_000).map(|i| Stream::new(5, 6).uniform(i)).sum::<f64>() / 1e4;
        assert!((mean - 0.5).abs() < 0.01, "{mean}");
    }
}
