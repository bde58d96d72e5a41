//! A law over one axis as it is told everywhere: with one asymptote, and with one interval for it.
//!
//! What the points of a law are decides what its asymptote's interval is over. Means over seeds
//! know their noise by the seeds. The points of a law in K are means over subsets of the same
//! members: their scatter around the law says nothing about other members, so that E is fitted anew
//! without each of them in turn (the jackknife). Asymptotes have the errors of the laws that they
//! end. Points of which none of this is known are left with their scatter, and so are points that
//! lie further off the law than their noise explains: the law is then not quite theirs. Whoever
//! shows an asymptote asks [`AxisLaw::asymptote`], so that no two pages show two intervals of one
//! number.

use std::fmt;

use serde_json::json;

use super::curve::Curve;
use super::fit::fit;
use super::found::{Fit, Options, Refusal};
use super::interval::{Claim, Interval};
use super::noise::Noise;
use super::power::{Family, PowerLaw};
use super::quantile::{two_sided_t, variance_ratio_tail};

/// Members from which the jackknife says something: laws without one of them have a point less,
/// and need one more than parameters.
const MEMBERS_MIN: usize = 5;

/// How seldom noise alone may make a law look like the wrong one.
const MISFIT_LEVEL: f64 = 0.05;

/// The error of a number, in nats per token, with the degrees of freedom that it is known by.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct StandardError {
    /// Standard error.
    pub nats: f64,
    /// Degrees of freedom.
    pub degrees: usize,
}

/// One standard error of a measured loss, by one rule wherever such a loss is shown: a mean over
/// seeds is known by its seeds, an ensemble by the choice of its members, a single model by the
/// text that it was measured on.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct LossError {
    /// Nats per token.
    pub nats: f64,
    /// What it is over.
    pub over: Doubt,
}

/// What is known about the noise of a law's points beside their scatter.
#[derive(Clone, Debug, Default, PartialEq)]
pub enum Replication {
    /// Nothing.
    #[default]
    None,
    /// Every point is a mean over seeds: the error of such a mean, pooled over the points.
    Seeds(StandardError),
    /// The points are ensembles of K = 1, 2, ... of the same members: for each member the losses
    /// of the ensembles that do without it, over K from 1 on.
    Members(Vec<Vec<f64>>),
    /// Every point is the asymptote of another law: their error, pooled.
    Stages(StandardError),
}

/// What an error or an interval is over.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Doubt {
    /// The held-out text, of a single loss.
    Text,
    /// The tasks of benchmarks.
    Tasks,
    /// The scatter of the points around the law.
    Scatter,
    /// The seeds behind the points.
    Seeds,
    /// The choice of the members.
    Members,
    /// The errors of the asymptotes that are the points: two stages.
    Stages,
}

/// Where a law ends.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Asymptote {
    /// E with its interval, nats per token.
    pub claim: Claim,
    /// What the interval is over.
    pub doubt: Doubt,
}

/// The doubt about a law's asymptote from the choice of members: a jackknife.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct OverMembers {
    /// Standard error of E, nats per token, with members - 1 degrees of freedom.
    pub error: StandardError,
    /// The smallest and the largest E without one member.
    pub range: (f64, f64),
}

/// A law with what its points are.
#[derive(Clone, Debug, PartialEq)]
pub struct AxisLaw {
    /// The points.
    pub curve: Curve,
    /// The law. Where the noise of the points is known, its intervals rest on that.
    pub fit: Fit,
    /// Of laws in K with five members or more: how E depends on their choice.
    pub over_members: Option<OverMembers>,
    doubt: Doubt,
    options: Options,
}

impl LossError {
    /// Of the mean of some losses, over seeds; of a single one over the text.
    #[must_use]
    pub fn of_losses(losses: &[f64], text: Option<f64>) -> Option<Self> {
        match StandardError::of_mean(losses) {
            Some(error) => Some(Self { nats: error.nats, over: Doubt::Seeds }),
            None => text.map(|nats| Self { nats, over: Doubt::Text }),
        }
    }

    /// Of an ensemble, over its members: `without` are the losses without each of them. Where these
    /// are not known, over the text.
    #[must_use]
    pub fn of_members(without: &[f64], text: Option<f64>) -> Option<Self> {
        match jackknife(without) {
            Some(nats) => Some(Self { nats, over: Doubt::Members }),
            None => text.map(|nats| Self { nats, over: Doubt::Text }),
        }
    }
}

impl StandardError {
    /// The error of the mean of several numbers; `None` for fewer than two.
    #[must_use]
    pub fn of_mean(values: &[f64]) -> Option<Self> {
        let count = values.len() as f64;
        let mean = values.iter().fold(0.0, |sum, value| sum + value) / count;
        let squares = values.iter().fold(0.0, |sum, value| sum + (value - mean).powi(2));
        let degrees = values.len().checked_sub(1).filter(|degrees| *degrees > 0)?;
        Some(Self { nats: (squares / degrees as f64 / count).sqrt(), degrees })
    }

    /// The root mean square of several errors, with all their degrees of freedom; `None` without
    /// any.
    #[must_use]
    pub fn pooled(errors: &[Self]) -> Option<Self> {
        let degrees: usize = errors.iter().map(|error| error.degrees).sum();
        let squares = errors.iter().fold(0.0, |sum, error| sum + error.nats * error.nats);
        (degrees > 0).then(|| Self { nats: (squares / errors.len() as f64).sqrt(), degrees })
    }

    /// Of a sum of independent numbers with these errors: degrees of freedom by Welch and
    /// Satterthwaite; `None` without any.
    #[must_use]
    pub fn of_sum(errors: &[Self]) -> Option<Self> {
        let squares = |error: &Self| error.nats * error.nats;
        let variance = errors.iter().fold(0.0, |sum, error| sum + squares(error));
        let share = |error: &Self| squares(error).powi(2) / error.degrees as f64;
        let shares = errors.iter().fold(0.0, |sum, error| sum + share(error));
        let degrees = if shares > 0.0 { (variance * variance / shares).floor() } else { 1.0 };
        let degrees = degrees.max(1.0) as usize;
        (!errors.is_empty()).then(|| Self { nats: variance.sqrt(), degrees })
    }

    /// Half the width of the interval of a level: Student's.
    #[must_use]
    pub fn half_width(self, level: f64) -> f64 {
        self.nats * two_sided_t(level, self.degrees)
    }

    /// The noise of points that have this error each.
    fn noise(self) -> Noise {
        Noise::Measured { deviation: self.nats, degrees: self.degrees }
    }
}

impl Replication {
    /// Of points that are means over seeds: the losses behind each point. Nothing if a point has
    /// one seed only.
    #[must_use]
    pub fn of_seeds<'a>(points: impl IntoIterator<Item = &'a [f64]>) -> Self {
        let errors: Option<Vec<_>> = points.into_iter().map(StandardError::of_mean).collect();
        errors.and_then(|errors| StandardError::pooled(&errors)).map_or(Self::None, Self::Seeds)
    }

    /// Of points that are asymptotes.
    #[must_use]
    pub fn of_stages<'a>(laws: impl IntoIterator<Item = &'a AxisLaw>) -> Self {
        let errors: Vec<_> = laws.into_iter().map(AxisLaw::asymptote_error).collect();
        StandardError::pooled(&errors).map_or(Self::None, Self::Stages)
    }
}

impl Doubt {
    /// In a word, as tables have it.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Text => "text",
            Self::Tasks => "tasks",
            Self::Scatter => "scatter",
            Self::Seeds => "seeds",
            Self::Members => "members",
            Self::Stages => "stages",
        }
    }
}

impl fmt::Display for Doubt {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Text => "over blocks of the text",
            Self::Tasks => "over tasks",
            Self::Scatter => "over the scatter of its points",
            Self::Seeds => "over seeds",
            Self::Members => "over the choice of members",
            Self::Stages => "over both stages",
        })
    }
}

impl OverMembers {
    /// E by Student's t.
    #[must_use]
    pub fn interval(&self, e: f64, level: f64) -> Interval {
        let half = self.error.half_width(level);
        Interval::closed((e - half).max(0.0), e + half, level)
    }

    /// `without` are the losses over K without each member in turn.
    fn new(without: &[Vec<f64>], family: Family) -> Option<Self> {
        let count = without.len();
        if count < MEMBERS_MIN {
            return None;
        }
        let asymptote = |losses: &Vec<f64>| {
            let points = losses.iter().enumerate().map(|(index, &loss)| (index as f64 + 1.0, loss));
            let curve = Curve::new(&points.collect::<Vec<_>>()).ok()?;
            let law = PowerLaw::least_squares(&curve, family);
            (law.a > 0.0).then_some(law.e)
        };
        let values: Vec<f64> = without.iter().map(asymptote).collect::<Option<_>>()?;
        let nats = jackknife(&values)?;
        let ends = (f64::INFINITY, f64::NEG_INFINITY);
        let range = values.iter().fold(ends, |(low, high), &e| (low.min(e), high.max(e)));
        Some(Self { error: StandardError { nats, degrees: count - 1 }, range })
    }
}

// The fit, with what is known over members.
serialize_as!(AxisLaw, |law| {
    let mut told = json!(law.fit);
    told["over_members"] = json!(law.over_members.map(|over| {
        let (nats, interval) = (over.error.nats, law.end().claim.interval);
        json!({ "standard_error_nats": nats, "E": interval, "E_range": over.range })
    }));
    told
});

/// Standard error of a number from its values without each of several in turn; `None` for fewer
/// than two.
#[must_use]
pub fn jackknife(without: &[f64]) -> Option<f64> {
    let count = without.len() as f64;
    let mean = without.iter().fold(0.0, |sum, value| sum + value) / count;
    let squares = without.iter().fold(0.0, |sum, value| sum + (value - mean).powi(2));
    (without.len() > 1).then(|| ((count - 1.0) / count * squares).sqrt())
}

/// Whether points lie further off the law than the noise that was measured explains, at
/// [`MISFIT_LEVEL`]: they then tell more about its doubts than that noise does.
fn misfits(curve: &Curve, family: Family, noise: Noise) -> bool {
    let Noise::Measured { deviation, degrees } = noise else { return false };
    let rest = curve.len().saturating_sub(family.parameters());
    if rest == 0 || degrees == 0 || deviation <= 0.0 {
        return false;
    }
    let law = PowerLaw::least_squares(curve, family);
    let residual = |(x, y): (&f64, &f64)| (y - law.value(*x)).powi(2);
    let residual = curve.x().iter().zip(curve.y()).fold(0.0, |sum, point| sum + residual(point));
    let ratio = residual / rest as f64 / (deviation * deviation);
    variance_ratio_tail(ratio, rest, degrees) < MISFIT_LEVEL
}

impl AxisLaw {
    /// Fits a law to a curve. What `replication` knows of the noise takes the place of
    /// `options.noise`, unless that is known.
    ///
    /// # Errors
    /// As [`fit`], which also says when this panics.
    pub fn new(
        curve: Curve,
        replication: &Replication,
        options: &Options,
    ) -> Result<Self, Refusal> {
        let (known, doubt) = match replication {
            Replication::Seeds(error) => (Some(error.noise()), Doubt::Seeds),
            Replication::Stages(error) => (Some(error.noise()), Doubt::Stages),
            Replication::None | Replication::Members(_) => (None, Doubt::Scatter),
        };
        let noise = match options.noise {
            Noise::Residuals => known.unwrap_or(Noise::Residuals),
            given => given,
        };
        let (noise, doubt) = match known {
            Some(known) if known == noise && misfits(&curve, options.family, known) => {
                (Noise::Residuals, Doubt::Scatter)
            }
            _ => (noise, doubt),
        };
        let options = Options { noise, ..*options };
        let fit = fit(&curve, &options)?;
        let over_members = match replication {
            Replication::Members(without) => OverMembers::new(without, options.family),
            _ => None,
        };
        let doubt = if over_members.is_some() { Doubt::Members } else { doubt };
        Ok(Self { curve, fit, over_members, doubt, options })
    }

    /// How it was fitted.
    #[must_use]
    pub fn options(&self) -> &Options {
        &self.options
    }

    /// What the interval of its asymptote is over.
    #[must_use]
    pub fn doubt(&self) -> Doubt {
        self.doubt
    }

    /// Where the law ends, if it ends anywhere.
    #[must_use]
    pub fn asymptote(&self) -> Option<Asymptote> {
        self.fit.has_asymptote().then(|| self.end())
    }

    /// E, also where it lies at a bound of the search: for choices, which need a number.
    #[must_use]
    pub fn end(&self) -> Asymptote {
        self.with(self.fit.asymptote.profile)
    }

    /// The same with an interval of another level.
    #[must_use]
    pub fn asymptote_at(&self, level: f64) -> Option<Asymptote> {
        if !self.fit.has_asymptote() {
            return None;
        }
        let profile = match self.over_members {
            Some(_) => Interval { level, ..self.fit.asymptote.profile },
            None => {
                let options = Options { level, resamples: 1, ..self.options };
                fit(&self.curve, &options).ok()?.asymptote.profile
            }
        };
        Some(self.with(profile))
    }

    fn with(&self, profile: Interval) -> Asymptote {
        let value = self.fit.law.e;
        let interval = self.over_members.map(|over| over.interval(value, profile.level));
        let claim = Claim { value, interval: interval.unwrap_or(profile) };
        Asymptote { claim, doubt: self.doubt }
    }

    /// The standard error of E: over members, or to first order from the noise of the points.
    #[must_use]
    pub fn asymptote_error(&self) -> StandardError {
        if let Some(over) = self.over_members {
            return over.error;
        }
        let squares = self.gradient().iter().fold(0.0, |sum, slope| sum + slope * slope);
        let scatter = self.fit.scatter;
        // Known noise is known by as many degrees as one cares for.
        let degrees = scatter.degrees.unwrap_or(1000);
        StandardError { nats: squares.sqrt() * scatter.deviation, degrees }
    }

    /// How E moves with the loss of each point, in the order of the curve.
    #[must_use]
    pub fn gradient(&self) -> Vec<f64> {
        let (x, y) = (self.curve.x(), self.curve.y());
        let span = y.iter().fold(0.0_f64, |span, loss| span.max((loss - y[y.len() - 1]).abs()));
        let step = 1e-4 * span;
        let e = |moved: usize, by: f64| {
            let points: Vec<(f64, f64)> = x.iter().copied().zip(y.iter().copied()).collect();
            let shift = |(i, (x, y)): (usize, (f64, f64))| (x, if i == moved { y + by } else { y });
            let points: Vec<_> = points.into_iter().enumerate().map(shift).collect();
            let curve = Curve::new(&points).ok()?;
            Some(PowerLaw::least_squares(&curve, self.options.family).e)
        };
        let slope = |i| Some((e(i, step)? - e(i, -step)?) / (2.0 * step));
        (0..x.len()).map(|i| slope(i).filter(|slope| slope.is_finite()).unwrap_or(0.0)).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::super::draws::Draws;
    use super::*;

    const OPTIONS: Options =
        Options { family: Family::Power, noise: Noise::Residuals, level: 0.9, resamples: 8 };

    fn curve(points: impl Iterator<Item = (f64, f64)>) -> Curve {
        Curve::new(&points.collect::<Vec<_>>()).unwrap()
    }

    fn truth(x: f64) -> f64 {
        3.0 + 0.4 / x
    }

    #[test]
    fn intervals_are_over_what_the_points_are() {
        let points = || curve((1..=6).map(f64::from).map(|x| (x, truth(x))));
        let told = |replication: &Replication| {
            let law = AxisLaw::new(points(), replication, &OPTIONS).unwrap();
            law.asymptote().unwrap()
        };
        assert_eq!(told(&Replication::None).doubt, Doubt::Scatter);
        let few = vec![vec![3.4, 3.2, 3.1]; 4];
        assert_eq!(told(&Replication::Members(few)).doubt, Doubt::Scatter);
        let error = StandardError { nats: 0.01, degrees: 12 };
        let (seeds, stages) = (told(&Replication::Seeds(error)), told(&Replication::Stages(error)));
        assert_eq!((seeds.doubt, stages.doubt), (Doubt::Seeds, Doubt::Stages));
        assert_eq!(seeds.claim, stages.claim);
        assert!(seeds.claim.interval.width().unwrap() > 0.01, "{}", seeds.claim);
        // Members whose losses differ by a constant move E by that constant over members.
        let shifts = [-0.02, -0.01, 0.0, 0.01, 0.02];
        let without = |shift: &f64| (1..=4).map(|k| truth(f64::from(k)) - shift / 4.0).collect();
        let members = Replication::Members(shifts.iter().map(without).collect());
        let law = AxisLaw::new(points(), &members, &OPTIONS).unwrap();
        assert_eq!(law.asymptote().unwrap().doubt, Doubt::Members);
        let expected = StandardError::of_mean(&shifts).unwrap();
        let error = law.asymptote_error();
        assert!((error.nats - expected.nats).abs() < 1e-6 && error.degrees == 4, "{error:?}");
        let half = 0.5 * law.asymptote_at(0.95).unwrap().claim.interval.width().unwrap();
        assert!((half - expected.half_width(0.95)).abs() < 1e-6, "{half}");
    }

    #[test]
    fn another_level_has_another_interval_of_the_same_number() {
        let mut draws = Draws::new(3);
        let points = (1..=8).map(f64::from).map(|x| (x, truth(x) + 0.001 * draws.normal()));
        let law = AxisLaw::new(curve(points), &Replication::None, &OPTIONS).unwrap();
        let (told, wider) = (law.asymptote().unwrap(), law.asymptote_at(0.95).unwrap());
        assert_eq!(law.asymptote_at(0.9), Some(told));
        assert_eq!(told.claim.value.to_bits(), wider.claim.value.to_bits());
        assert!(wider.claim.interval.width() > told.claim.interval.width());
    }

    #[test]
    fn first_order_errors_are_those_of_refits() {
        let mut draws = Draws::new(4);
        let error = StandardError { nats: 1e-4, degrees: 50 };
        let fit = |draws: &mut Draws| {
            let noise = (1..=6).map(f64::from).map(|x| (x, truth(x) + error.nats * draws.normal()));
            AxisLaw::new(curve(noise), &Replication::Seeds(error), &OPTIONS).unwrap()
        };
        let first = fit(&mut draws).asymptote_error();
        let values: Vec<f64> = (0..400).map(|_| fit(&mut draws).fit.law.e).collect();
        let spread = StandardError::of_mean(&values).unwrap().nats * 20.0;
        assert!((first.nats / spread - 1.0).abs() < 0.25, "{} {spread}", first.nats);
    }

    #[test]
    fn points_off_the_law_are_left_with_their_scatter() {
        let error = StandardError { nats: 0.001, degrees: 12 };
        let told = |bump: f64| {
            let bump = |x: i32| if x == 4 { bump } else { 0.0 };
            let points = (1..=6).map(|x| (f64::from(x), truth(f64::from(x)) + bump(x)));
            let law = AxisLaw::new(curve(points), &Replication::Seeds(error), &OPTIONS).unwrap();
            law.asymptote().unwrap()
        };
        let (fits, misfits) = (told(0.001), told(0.02));
        assert_eq!((fits.doubt, misfits.doubt), (Doubt::Seeds, Doubt::Scatter));
        let width = |told: Asymptote| told.claim.interval.width().unwrap();
        assert!(width(misfits) > 4.0 * width(fits));
    }

    #[test]
    fn errors_pool_by_their_squares() {
        let seeds = Replication::of_seeds([&[1.0, 3.0][..], &[2.0, 2.0][..]]);
        let error = StandardError { nats: (0.5_f64).sqrt(), degrees: 2 };
        assert_eq!(seeds, Replication::Seeds(error));
        assert_eq!(Replication::of_seeds([&[1.0, 3.0][..], &[2.0][..]]), Replication::None);
        assert_eq!(Replication::of_stages([]), Replication::None);
        assert_eq!(jackknife(&[1.0]), None);
        let of = |nats, degrees| StandardError { nats, degrees };
        let sum = StandardError::of_sum(&[of(0.3, 4), of(0.4, 9)]).unwrap();
        assert!((sum.nats - 0.5).abs() < 1e-12);
        // 0.0625 / (0.0081 / 4 + 0.0256 / 9), rounded down.
        assert_eq!(sum.degrees, 12);
        assert_eq!(StandardError::of_sum(&[]), None);
    }

    #[test]
    fn errors_of_losses_say_what_they_are_over() {
        let text = Some(0.01);
        let over_text = Some(LossError { nats: 0.01, over: Doubt::Text });
        assert_eq!(LossError::of_losses(&[3.5], text), over_text);
        assert_eq!(LossError::of_losses(&[3.5], None), None);
        assert_eq!(LossError::of_members(&[], text), over_text);
        // Of ensembles of one, the choice of members is that of seeds.
        let seeds = LossError::of_losses(&[3.5, 3.7, 3.6], text).unwrap();
        let members = LossError::of_members(&[3.65, 3.55, 3.6], text).unwrap();
        assert_eq!((seeds.over, members.over), (Doubt::Seeds, Doubt::Members));
        assert!((seeds.nats - members.nats).abs() < 1e-12);
    }
}
