//! Laws of points, as curves, lines and findings. None is shown without its interval.

use super::Finding;
use super::scope::{Scope, Unit};
use crate::laws::{
    AxisLaw, Claim, Curve, End, Estimate, Fit, Interval, NO_ASYMPTOTE, Options, Replication,
    Target, Warning, digits, predictions,
};
use crate::report::chart::{Bar, Label, LawCurve, Level, Line, Point, Reach, Swath};
use crate::report::palette::Paint;

/// Places at which a curve is drawn.
const STEPS: usize = 48;

/// A law of some points, with what it was fitted to.
#[derive(Clone, Debug)]
pub(super) struct Fitted {
    pub(super) name: String,
    pub(super) law: AxisLaw,
    /// x of the points is divided by this in the law.
    unit: Unit,
    letter: char,
    records: Vec<String>,
}

/// K has no unit.
pub(super) const ONES: Unit = Unit { divisor: 1.0, name: "members" };

/// Fits a law to points over an axis.
pub(super) fn law(
    name: impl Into<String>,
    points: &[Point],
    (letter, unit): (char, Unit),
    (replication, options): (&Replication, &Options),
) -> Result<Fitted, String> {
    let name = name.into();
    let pairs: Vec<(f64, f64)> = points.iter().map(|p| (p.x / unit.divisor, p.y)).collect();
    let curve = Curve::new(&pairs).map_err(|error| error.to_string())?;
    let law = AxisLaw::new(curve, replication, options).map_err(|refusal| refusal.to_string())?;
    let mut records: Vec<String> =
        points.iter().flat_map(|point| point.records.iter().cloned()).collect();
    records.sort();
    records.dedup();
    Ok(Fitted { name, law, unit, letter, records })
}

/// Both ends of an interval; `None` where open.
pub(super) fn ends(interval: Interval) -> (Option<f64>, Option<f64>) {
    (interval.low.value(), interval.high.value())
}

impl Fitted {
    pub(super) fn fit(&self) -> &Fit {
        &self.law.fit
    }

    pub(super) fn asymptote(&self) -> f64 {
        self.fit().law.e
    }

    /// E with its one interval, also where the law does not end.
    pub(super) fn claim(&self) -> Claim {
        self.law.end().claim
    }

    /// The asymptote with its error, as a loss to be reached.
    pub(super) fn target(&self) -> Target {
        Target { loss: self.asymptote(), error: Some(self.law.asymptote_error()) }
    }

    pub(super) fn records(&self) -> &[String] {
        &self.records
    }

    pub(super) fn curve(&self) -> &Curve {
        &self.law.curve
    }

    pub(super) fn options(&self) -> &Options {
        self.law.options()
    }

    /// "0.05/N^1.01 + 3.43 (3.39 to 3.46)": two decimals, as in the paper's legends, and the
    /// interval of the asymptote.
    pub(super) fn text(&self) -> String {
        let law = &self.fit().law;
        let two = |value: f64| match value.abs() {
            magnitude if (0.01..1000.0).contains(&magnitude) => format!("{value:.2}"),
            _ => digits(value),
        };
        let end = |end: End| end.value().map_or_else(|| "open".to_owned(), |v| format!("{v:.2}"));
        let Interval { low, high, .. } = self.claim().interval;
        let doubt = if self.is_doubtful() { ", doubtful" } else { "" };
        let e = format!("{} ({} to {})", two(law.e), end(low), end(high));
        let (a, alpha) = (two(law.a), two(law.alpha));
        match (self.has_asymptote(), self.has_curve()) {
            (true, true) => format!("{a}/{}^{alpha} + {e}{doubt}", self.letter),
            (true, false) => format!("{e}, its exponent at a bound{doubt}"),
            (false, true) => format!("{a}/{}^{alpha}, no asymptote{doubt}", self.letter),
            (false, false) => "no asymptote, its exponent at a bound".to_owned(),
        }
    }

    /// Whether its exponent lies inside the search: at a bound the points show none, and a curve
    /// would be a step or a line that nobody measured.
    fn has_curve(&self) -> bool {
        let at_bound = |warning: &Warning| matches!(warning, Warning::ExponentAtBound { .. });
        !self.fit().warnings.iter().any(at_bound)
    }

    /// Whether a warning says that the points hardly show a law at all. All warnings are printed;
    /// these are marked in the pictures, too.
    fn is_doubtful(&self) -> bool {
        self.fit().warnings.iter().any(|warning| {
            matches!(
                warning,
                Warning::ExponentAtBound { .. }
                    | Warning::ImplausibleExponent { .. }
                    | Warning::AsymptoteAtBound
                    | Warning::NoiseExceedsSignal { .. }
                    | Warning::ConstantNotExcluded
            )
        })
    }

    /// Whether the law ends at a loss, which can then be a point of another law.
    pub(super) fn has_asymptote(&self) -> bool {
        self.fit().has_asymptote()
    }

    /// The asymptote with its interval and, in words, what must be known before believing it.
    pub(super) fn finding(&self, what: impl Into<String>) -> Finding {
        let warnings = self.fit().warnings.iter().map(ToString::to_string).collect();
        if !self.has_asymptote() {
            return Finding { warnings, ..Finding::text(what, format!("none: {NO_ASYMPTOTE}")) };
        }
        let mut finding = Finding::claim(what, self.claim(), warnings);
        let unit = match self.unit.name {
            "members" => String::new(),
            name => format!(", {} in {name}", self.letter),
        };
        let over = self.law.doubt();
        finding.text = format!("E = {}, {over}; {}{unit}", self.claim(), self.text());
        finding
    }

    /// The curve with its band, from the first to the last point and `beyond` times further; its
    /// numbers alone without one.
    pub(super) fn layer(&self, paint: Paint, label: Label, beyond: f64) -> LawCurve {
        let (first, last) = (self.curve().x()[0], self.curve().x()[self.curve().len() - 1]);
        let (from, to) = (first / 1.05, last * beyond.max(1.05));
        let places: Vec<f64> = (0..=STEPS)
            .map(|step| from * libm::pow(to / from, step as f64 / STEPS as f64))
            .collect();
        let claims = match self.has_curve() {
            true => predictions(self.curve(), self.options(), &places).unwrap_or_default(),
            false => Vec::new(),
        };
        let points = places.iter().zip(claims).map(|(x, claim)| {
            let (low, high) = ends(claim.interval);
            Swath { x: x * self.unit.divisor, y: claim.value, low, high }
        });
        LawCurve {
            name: self.name.clone(),
            label,
            paint,
            points: points.collect(),
            band: true,
            parameters: self.parameters(),
            records: self.records.clone(),
        }
    }

    fn parameters(&self) -> Vec<(String, f64, Option<f64>, Option<f64>)> {
        let of = |name: String, estimate: &Estimate| {
            let (low, high) = ends(estimate.profile);
            (name, estimate.value, low, high)
        };
        let unit = match self.unit.name {
            "members" => String::new(),
            name => format!(" ({} in {name})", self.letter),
        };
        let fit = self.fit();
        let mut parameters =
            vec![of("alpha".to_owned(), &fit.exponent), of(format!("A{unit}"), &fit.coefficient)];
        if self.has_asymptote() {
            let (low, high) = ends(self.claim().interval);
            parameters.insert(0, ("E (nats per token)".to_owned(), self.asymptote(), low, high));
        }
        parameters
    }

    /// The asymptote as a dotted line with its interval; nothing where the law does not end.
    pub(super) fn level(&self, paint: Paint, what: &str, band: bool) -> Option<Level> {
        if !self.has_asymptote() {
            return None;
        }
        let (low, high) = ends(self.claim().interval);
        let text = format!("{what} {}", self.short_claim());
        Some(Level {
            name: self.name.clone(),
            label: Label::Direct(text.trim().to_owned()),
            y: self.asymptote(),
            low,
            high,
            band,
            paint,
            line: Line::Dotted,
            records: self.records.clone(),
        })
    }

    /// "3.429 (3.388 to 3.458)".
    pub(super) fn short_claim(&self) -> String {
        short(self.claim())
    }

    /// The asymptote as a point over another axis, with its interval as the bar; nothing where the
    /// law does not end.
    pub(super) fn asymptote_point(&self, x: f64) -> Option<Point> {
        if !self.has_asymptote() {
            return None;
        }
        let y = self.asymptote();
        let (low, high) = ends(self.claim().interval);
        let bar = Bar { reach: Reach::Interval(low, high), over: self.law.doubt().name() };
        Some(Point { x, y, bar: Some(bar), records: self.records.clone(), ..Point::default() })
    }
}

/// A claim with three decimals: "3.429 (3.388 to 3.458)".
pub(super) fn short(claim: Claim) -> String {
    let end = |end: End| end.value().map_or_else(|| "open".to_owned(), |v| format!("{v:.3}"));
    let Interval { low, high, .. } = claim.interval;
    format!("{:.3} ({} to {})", claim.value, end(low), end(high))
}

impl Scope<'_> {
    /// A law in parameters.
    pub(super) fn n_law(
        &self,
        name: impl Into<String>,
        points: &[Point],
        replication: &Replication,
    ) -> Result<Fitted, String> {
        law(name, points, ('N', self.n_unit), (replication, &self.fitting()))
    }

    /// A law in tokens.
    pub(super) fn d_law(
        &self,
        name: impl Into<String>,
        points: &[Point],
        replication: &Replication,
    ) -> Result<Fitted, String> {
        law(name, points, ('D', self.d_unit), (replication, &self.fitting()))
    }

    /// A law in members.
    pub(super) fn k_law(
        &self,
        name: impl Into<String>,
        points: &[Point],
        replication: &Replication,
    ) -> Result<Fitted, String> {
        law(name, points, ('K', ONES), (replication, &self.fitting()))
    }
}
