//! The formulas of the families, with their derivatives.
//!
//! Letters: N parameters, T tokens trained, U unique tokens, R = T/U - 1 repetitions, E the loss
//! that no size and no text goes below, M the loss of a uniform guess; A, B, C coefficients and a,
//! b, g, d exponents; r0, rd, rn decays in repetitions. N, T and U are in the units of the fit.
//! Coefficients and decays are fitted as logarithms, so that none becomes negative.
//!
//! With O = C (N / U^0.7)^g R / (R + r0), the gate:
//!
//! | family | loss |
//! |---|---|
//! | chinchilla | E + A/N^a + B/T^b |
//! | muennighoff | E + A/N'^a + B/D'^b; N', D' as at [`Formula::Muennighoff`] |
//! | additive | E + A/N^a + B/T^b + C N^g/U^d |
//! | saturating | E + (M - E) h/(1 + h), h = A/N^a + B/T^b + C N^g/U^d |
//! | add_gate | E + A/N^a + B/T^b + O |
//! | t_gate | E + A/N^a + B/T^a + O |
//! | kaplan_gate | E + (A/N + B/T)^a + O |
//! | saturating_gate | E + (M - E) h/(1 + h), h = A/N^a + B/T^b + O |

use std::fmt;

use super::points::Place;

/// The most parameters that a family has.
pub(super) const PARAMETERS_MAX: usize = 8;

/// The exponent of U within the gate, relative to that of N: a free fit to the public runs gave
/// 0.65 to 0.77.
const GATE_SHARE: f64 = 0.7;

/// Parameters in the order of [`Formula::letters`]; those that a family has not are zero.
pub type Theta = [f64; PARAMETERS_MAX];

/// A family of laws.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Formula {
    /// Hoffmann et al. 2022, "Training compute-optimal large language models".
    Chinchilla,
    /// Muennighoff et al. 2023, "Scaling data-constrained language models", with both decays:
    /// D' = U + U rd (1 - exp(-R/rd)), N' = V + V rn (1 - exp(-S/rn)), where V = min(N, the
    /// compute-optimal N for U tokens) and S = N/V - 1 is the excess of parameters.
    Muennighoff,
    /// An overfit term added to Chinchilla's, named by this project.
    Additive,
    /// Bryant and Liu 2026, arXiv 2605.09189.
    Saturating,
    /// Of this project: Chinchilla's with the gate.
    AddGate,
    /// Of this project: the same with one exponent for N and T.
    TGate,
    /// Of this project: the sum of Kaplan et al. 2020 under one exponent, with the gate.
    KaplanGate,
    /// Of this project: the saturating form with the gate as its overfit term.
    SaturatingGate,
}

/// A parameter of a family.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Letter {
    /// The asymptote, nats per token.
    E,
    /// ln A.
    LnA,
    /// The exponent of N.
    ExponentA,
    /// ln B.
    LnB,
    /// The exponent of T.
    ExponentB,
    /// ln C.
    LnC,
    /// The exponent of N in an overfit term.
    ExponentG,
    /// The exponent of U in an overfit term without a gate.
    ExponentD,
    /// ln r0.
    LnR0,
    /// ln rd.
    LnRd,
    /// ln rn.
    LnRn,
}

use Letter::{E, ExponentA, ExponentB, ExponentD, ExponentG, LnA, LnB, LnC, LnR0, LnRd, LnRn};

/// What bounds the asymptote.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Limits {
    /// E lies in [0, this].
    pub asymptote_max: f64,
    /// M, the loss of a uniform guess.
    pub ceiling: f64,
}

/// A value with its derivatives.
struct Sum {
    value: f64,
    slopes: Theta,
}

impl Formula {
    /// All families, the published ones first.
    pub const ALL: [Self; 8] = [
        Self::Chinchilla,
        Self::Muennighoff,
        Self::Additive,
        Self::Saturating,
        Self::AddGate,
        Self::TGate,
        Self::KaplanGate,
        Self::SaturatingGate,
    ];

    /// Its name in tables and files.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Chinchilla => "chinchilla",
            Self::Muennighoff => "muennighoff",
            Self::Additive => "additive",
            Self::Saturating => "saturating",
            Self::AddGate => "add_gate",
            Self::TGate => "t_gate",
            Self::KaplanGate => "kaplan_gate",
            Self::SaturatingGate => "saturating_gate",
        }
    }

    /// The family of this name.
    #[must_use]
    pub fn named(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|formula| formula.name() == name)
    }

    /// Its parameters.
    #[must_use]
    pub fn letters(self) -> &'static [Letter] {
        match self {
            Self::Chinchilla => &[E, LnA, ExponentA, LnB, ExponentB],
            Self::Muennighoff => &[E, LnA, ExponentA, LnB, ExponentB, LnRd, LnRn],
            Self::Additive | Self::Saturating => {
                &[E, LnA, ExponentA, LnB, ExponentB, LnC, ExponentG, ExponentD]
            }
            Self::AddGate | Self::SaturatingGate => {
                &[E, LnA, ExponentA, LnB, ExponentB, LnC, ExponentG, LnR0]
            }
            Self::TGate | Self::KaplanGate => &[E, LnA, ExponentA, LnB, LnC, ExponentG, LnR0],
        }
    }

    /// Whether the loss saturates at M.
    fn saturates(self) -> bool {
        matches!(self, Self::Saturating | Self::SaturatingGate)
    }

    /// The lowest and the highest value of each parameter.
    pub(super) fn bounds(self, limits: &Limits) -> [(f64, f64); PARAMETERS_MAX] {
        let coefficient = if self.saturates() { (-12.0, 4.0) } else { (-9.0, 4.0) };
        self.each(|letter| match letter {
            E => (0.0, limits.asymptote_max),
            LnA | LnB | LnC => coefficient,
            ExponentA | ExponentB => (0.02, 1.5),
            ExponentG | ExponentD => (0.0, 2.5),
            LnR0 => (-2.0, 7.0),
            LnRd | LnRn => (-2.0, 6.0),
        })
    }

    /// The box that starts are drawn from. E starts at a share of its highest value.
    pub(super) fn starts(self, limits: &Limits) -> [(f64, f64); PARAMETERS_MAX] {
        let ([a, b, c], highest) = match self.saturates() {
            true => ([(-5.0, -1.0), (-3.0, 0.0), (-6.0, -1.0)], limits.asymptote_max),
            false => ([(-3.0, 0.0), (-1.0, 2.0), (-4.0, 0.0)], limits.asymptote_max),
        };
        self.each(|letter| match letter {
            E => (0.2 * highest, 0.9 * highest),
            LnA => a,
            LnB => b,
            LnC => c,
            ExponentA | ExponentB => (0.1, 0.8),
            ExponentG | ExponentD => (0.1, 1.0),
            LnR0 | LnRd | LnRn => (0.0, 4.0),
        })
    }

    fn each(self, range: impl Fn(Letter) -> (f64, f64)) -> [(f64, f64); PARAMETERS_MAX] {
        let mut ranges = [(0.0, 0.0); PARAMETERS_MAX];
        for (place, letter) in ranges.iter_mut().zip(self.letters()) {
            *place = range(*letter);
        }
        ranges
    }

    /// The loss at a place, in nats per token.
    #[must_use]
    pub fn loss(self, theta: &Theta, place: &Place, ceiling: f64) -> f64 {
        self.with_slopes(theta, place, ceiling).0
    }

    /// The loss at a place with its derivatives by the parameters.
    pub(super) fn with_slopes(self, theta: &Theta, place: &Place, ceiling: f64) -> (f64, Theta) {
        let mut sum = Sum { value: 0.0, slopes: [0.0; PARAMETERS_MAX] };
        match self {
            Self::Chinchilla => sum.separate(theta, place),
            Self::Muennighoff => sum.decayed(theta, place),
            Self::Additive | Self::Saturating => {
                sum.separate(theta, place);
                sum.interaction(theta, place);
            }
            Self::AddGate | Self::SaturatingGate => {
                sum.separate(theta, place);
                sum.gate(theta, place, 5);
            }
            Self::TGate => {
                sum.tied(theta, place);
                sum.gate(theta, place, 4);
            }
            Self::KaplanGate => {
                sum.together(theta, place);
                sum.gate(theta, place, 4);
            }
        }
        if self.saturates() { sum.saturated(theta[0], ceiling) } else { sum.above(theta[0]) }
    }
}

impl Sum {
    /// E + the sum.
    fn above(mut self, e: f64) -> (f64, Theta) {
        self.slopes[0] = 1.0;
        (e + self.value, self.slopes)
    }

    /// E + (M - E) h/(1 + h) of the sum h.
    fn saturated(mut self, e: f64, ceiling: f64) -> (f64, Theta) {
        let rest = 1.0 / (1.0 + self.value);
        let slope = (ceiling - e) * rest * rest;
        for entry in &mut self.slopes {
            *entry *= slope;
        }
        self.slopes[0] = rest;
        (e + (ceiling - e) * self.value * rest, self.slopes)
    }

    /// A/N^a + B/T^b.
    fn separate(&mut self, theta: &Theta, place: &Place) {
        let size = libm::exp(theta[1] - theta[2] * place.ln_n);
        let text = libm::exp(theta[3] - theta[4] * place.ln_t);
        self.value += size + text;
        self.slopes[1] = size;
        self.slopes[2] = -size * place.ln_n;
        self.slopes[3] = text;
        self.slopes[4] = -text * place.ln_t;
    }

    /// A/N^a + B/T^a.
    fn tied(&mut self, theta: &Theta, place: &Place) {
        let size = libm::exp(theta[1] - theta[2] * place.ln_n);
        let text = libm::exp(theta[3] - theta[2] * place.ln_t);
        self.value += size + text;
        self.slopes[1] = size;
        self.slopes[2] = -size * place.ln_n - text * place.ln_t;
        self.slopes[3] = text;
    }

    /// (A/N + B/T)^a.
    fn together(&mut self, theta: &Theta, place: &Place) {
        let size = libm::exp(theta[1] - place.ln_n);
        let text = libm::exp(theta[3] - place.ln_t);
        let ln_inner = libm::log(size + text);
        let power = libm::exp(theta[2] * ln_inner);
        let slope = theta[2] * power / (size + text);
        self.value += power;
        self.slopes[1] = slope * size;
        self.slopes[2] = power * ln_inner;
        self.slopes[3] = slope * text;
    }

    /// C N^g/U^d.
    fn interaction(&mut self, theta: &Theta, place: &Place) {
        let term = libm::exp(theta[5] + theta[6] * place.ln_n - theta[7] * place.ln_u);
        self.value += term;
        self.slopes[5] = term;
        self.slopes[6] = term * place.ln_n;
        self.slopes[7] = -term * place.ln_u;
    }

    /// O, whose three parameters begin at `first`.
    fn gate(&mut self, theta: &Theta, place: &Place, first: usize) {
        let Place { repetitions, .. } = *place;
        if repetitions <= 0.0 {
            return;
        }
        let ln_ratio = place.ln_n - GATE_SHARE * place.ln_u;
        let decay = libm::exp(theta[first + 2]);
        let open = repetitions / (repetitions + decay);
        let term = open * libm::exp(theta[first] + theta[first + 1] * ln_ratio);
        self.value += term;
        self.slopes[first] = term;
        self.slopes[first + 1] = term * ln_ratio;
        self.slopes[first + 2] = -term * decay / (repetitions + decay);
    }

    /// A/N'^a + B/D'^b.
    ///
    /// V is where dL/dN = dL/dT along 6 N T = constant: a A/V^a = b B/U^b.
    fn decayed(&mut self, theta: &Theta, place: &Place) {
        let [_, ln_a, a, ln_b, b, ln_rd, ln_rn, _] = *theta;
        let tokens = Worth::of(place.repetitions, libm::exp(ln_rd));
        let ln_d = place.ln_u + libm::log(tokens.factor);
        let best = (libm::log(a / b) + ln_a - ln_b + b * place.ln_u) / a;
        let ln_v = best.min(place.ln_n);
        let excess = libm::expm1(place.ln_n - ln_v);
        let size = Worth::of(excess, libm::exp(ln_rn));
        let ln_n = ln_v + libm::log(size.factor);
        let (first, second) = (libm::exp(ln_a - a * ln_n), libm::exp(ln_b - b * ln_d));
        self.value += first + second;
        // d ln N' / d ln V: the excess S falls with V by dS = -(1 + S) d ln V.
        let by_v = 1.0 - size.by_repetitions * (1.0 + excess) / size.factor;
        let through_v = if best < place.ln_n { -a * first * by_v } else { 0.0 };
        self.slopes[1] = first + through_v / a;
        self.slopes[2] = -first * ln_n + through_v * (1.0 / a - best) / a;
        self.slopes[3] = second - through_v / a;
        self.slopes[4] = -second * ln_d + through_v * (place.ln_u - 1.0 / b) / a;
        self.slopes[5] = -b * second * tokens.by_ln_decay / tokens.factor;
        self.slopes[6] = -a * first * size.by_ln_decay / size.factor;
    }
}

/// 1 + r (1 - exp(-R/r)): what R repetitions with decay r are worth, in units of the first pass.
struct Worth {
    factor: f64,
    by_repetitions: f64,
    by_ln_decay: f64,
}

impl Worth {
    fn of(repetitions: f64, decay: f64) -> Self {
        let lost = -libm::expm1(-repetitions / decay);
        Self {
            factor: 1.0 + decay * lost,
            by_repetitions: 1.0 - lost,
            by_ln_decay: decay * lost - repetitions * (1.0 - lost),
        }
    }
}

impl Letter {
    /// Its name in tables and files.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::E => "E",
            Self::LnA => "ln_A",
            Self::ExponentA => "a",
            Self::LnB => "ln_B",
            Self::ExponentB => "b",
            Self::LnC => "ln_C",
            Self::ExponentG => "g",
            Self::ExponentD => "d",
            Self::LnR0 => "ln_r0",
            Self::LnRd => "ln_rd",
            Self::LnRn => "ln_rn",
        }
    }
}

impl fmt::Display for Letter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl fmt::Display for Formula {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Every derivative agrees with a central difference.
    #[test]
    fn slopes_are_the_derivatives() {
        let limits = Limits { asymptote_max: 2.3, ceiling: 10.8 };
        let places = [
            Place::new(0.04, 0.9, 0.9),
            Place::new(0.04, 0.9, 0.1),
            Place::new(2.8, 55.0, 4.0),
            Place::new(8.7, 12.0, 0.1),
        ];
        for formula in Formula::ALL {
            let starts = formula.starts(&limits);
            for share in [0.2, 0.5, 0.9] {
                let theta = starts.map(|(low, high)| low + share * (high - low));
                for place in &places {
                    let (_, slopes) = formula.with_slopes(&theta, place, limits.ceiling);
                    for (index, slope) in slopes.iter().enumerate().take(formula.letters().len()) {
                        let at = |step: f64| {
                            let mut moved = theta;
                            moved[index] += step;
                            formula.loss(&moved, place, limits.ceiling)
                        };
                        let found = (at(1e-5) - at(-1e-5)) / 2e-5;
                        let error = (found - slope).abs() / (1.0 + found.abs());
                        assert!(error < 1e-7, "{formula} {index} {place:?}: {found} {slope}");
                    }
                }
            }
        }
    }

    /// The published constants of Muennighoff et al., in units of one: their N' and D'.
    #[test]
    fn the_published_decays_agree_with_their_formula() {
        let (a, b, exponent) = (521.0_f64, 1488.0_f64, 0.352_679_6_f64);
        let (rd, rn) = (15.387_756_f64, 5.309_743_f64);
        let (n, t, u) = (8.67e9_f64, 178e9_f64, 13e9_f64);
        let g = (exponent * a / (exponent * b)).powf(1.0 / (2.0 * exponent));
        let best = ((u * g).powf(1.0) * g).min(n);
        let worth = |x: f64, r: f64| 1.0 + r * (1.0 - (-x / r).exp());
        let size = best * worth(n / best - 1.0, rn);
        let tokens = u * worth(t / u - 1.0, rd);
        let expected = 1.87 + a / size.powf(exponent) + b / tokens.powf(exponent);
        let theta = [1.87, a.ln(), exponent, b.ln(), exponent, rd.ln(), rn.ln(), 0.0];
        let found = Formula::Muennighoff.loss(&theta, &Place::new(n, t, u), 0.0);
        assert!((found - expected).abs() < 1e-9, "{found} {expected}");
    }
}
