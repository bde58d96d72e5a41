//! Laws of loss: fits whose every number carries an interval. Pure functions; no files, no clock.
//!
//! Letters: N parameters, K members, D tokens, U unique tokens, R repetitions; x is any of N, K, D.
//! L is a loss in nats per token, E an asymptote, A and B coefficients, alpha and beta exponents,
//! s the standard deviation of a single loss. L1 to L11 and R6 are rows of the project's mission.
//!
//! - **Power law** (L1): L = A / x^alpha + E, unweighted least squares on raw losses, A, E >= 0, as
//!   in the paper's laws in N, K and D. For a fixed alpha it is linear (variable projection), so
//!   that one bracketed search over alpha in [0.001, 20] is exact: `axis`.
//! - **Reciprocal law** (L2): alpha = 1.
//! - **Chinchilla** (L3) and **repeat** (Muennighoff et al. 2023): `surface`, by `separable`.
//! - **Families of several axes that predict**, chosen by nested folds: [`families`], docs/laws.md.
//! - **Joint scaling** (R6, the paper's joint law): limits in K and N, in both orders: `joint`.
//! - **Intervals** (L11, the headline): the profile likelihood. All laws with
//!   RSS <= RSS_min + s^2 q are acceptable; the interval of a number is its range over them. With s
//!   known, q is the chi-square quantile with one degree of freedom; with s^2 = RSS_min / d, the F
//!   quantile with (1, d), d = points - parameters. For laws that are linear in their parameters
//!   this is Student's interval exactly; for the others see records/laws-recovery: `region`,
//!   `noise`. An end that the data do not close is [`End::Open`], never a large number.
//! - **Parametric bootstrap**, beside it: refits to losses drawn from the fitted law: `bootstrap`.
//! - **Robust laws**, beside least squares: Huber's loss of ln L: `robust`.
//! - **Doubt**: points far off (`residuals`), each point left out in turn, the largest x predicted
//!   from the others (L10), power against reciprocal against constant by Akaike's corrected
//!   criterion, warnings: `doubt`.
//! - **Inverse** (L4), **data efficiency** (L5), **returns** (L6): [`PowerLaw::invert`],
//!   [`multipliers`], [`PowerLaw::local_exponent`].
//!
//! - **What is told** of a law over one axis, everywhere: [`AxisLaw`]. The interval of its
//!   asymptote is over what its points are: seeds, members, or asymptotes with errors of their own;
//!   that of a [`difference`] is from both sides'.
//!
//! A law that would pass through its points whatever they are, or that has no decrease to
//! describe, is a [`Refusal`] and not a fit. Draws come from a counter-based generator with a fixed
//! key and functions from `libm`, so that the same points give the same bits everywhere.
//!
//! ```
//! use scarce::laws::{Curve, Options, fit};
//!
//! // The regularized recipe at 200M tokens: billions of parameters and nats per token.
//! let points = [(0.15, 3.75), (0.3, 3.587), (0.6, 3.51), (1.4, 3.462)];
//! let fit = fit(&Curve::new(&points)?, &Options::default()).expect("losses that fall");
//! assert_eq!(fit.asymptote.claim().to_string(), "3.4294 (3.3882 to 3.4581)");
//! # Ok::<(), scarce::Error>(())
//! ```

mod axis;
mod bootstrap;
mod curve;
mod doubt;
mod draws;
pub mod families;
mod fit;
mod found;
mod interval;
mod joint;
mod mover;
mod multiplier;
mod noise;
mod parameter;
mod power;
mod quantile;
mod region;
mod residuals;
mod robust;
mod search;
mod separable;
mod surface;
mod told;
mod warning;

#[cfg(test)]
mod golden;
#[cfg(test)]
mod testing;
#[cfg(test)]
mod tests;

pub use axis::{EXPONENT_MAX, EXPONENT_MIN};
pub use curve::{Curve, LOSS_MAX};
#[cfg(test)]
pub(crate) use draws::Draws;
pub use fit::fit;
pub(crate) use found::told;
pub use found::{Estimate, Fit, NO_ASYMPTOTE, Options, Refusal};
pub use interval::{Claim, End, Interval};
pub use joint::{Cell, JointFit, Limit, NoLimit, Order, fit_joint};
pub use mover::difference;
pub use multiplier::{
    Base, Interpolation, Multiplier, Target, Unreached, factor, multipliers, predictions,
};
pub use noise::{Noise, Scatter};
pub use parameter::Parameter;
pub use power::{Family, PowerLaw};
pub use quantile::{two_sided_t, two_sided_z};
pub use residuals::Residuals;
pub use robust::{HUBER_DELTA, RobustFit, fit_robust, fit_surface_robust};
pub use surface::{Sample, Shape, SurfaceFit, effective_tokens, fit_surface};
pub use told::{
    Asymptote, AxisLaw, Doubt, LossError, OverMembers, Replication, StandardError, jackknife,
};
pub use warning::{Candidate, HeldOut, Warning};
