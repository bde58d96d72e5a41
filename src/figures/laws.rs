//! Laws as curves, lines and findings. None is shown without its interval.

use super::Finding;
use super::scope::{drawn, refused};
use crate::analysis::{Axis, Fitted, NoLaw, Scope, over_sizes};
use crate::draw::chart::{
    Bar, Label, LawCurve, Level, Line, Panel, Point, Reach, Series, Shape, Swath,
};
use crate::draw::palette::Paint;
use crate::laws::{Claim, End, Estimate, Interval, NO_ASYMPTOTE, Warning};
use crate::number::{amount, digits};

/// Places at which a curve is drawn.
const STEPS: usize = 48;
/// How far beyond the largest size a law is drawn.
pub(super) const BEYOND: f64 = 2.5;

/// Both ends of an interval; `None` where open.
pub(super) fn ends(interval: Interval) -> (Option<f64>, Option<f64>) {
    (interval.low.value(), interval.high.value())
}

impl Fitted {
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
            (true, true) => format!("{a}/{}^{alpha} + {e}{doubt}", self.axis.letter()),
            (true, false) => format!("{e}, its exponent at a bound{doubt}"),
            (false, true) => format!("{a}/{}^{alpha}, no asymptote{doubt}", self.axis.letter()),
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

    /// The asymptote with its interval and, in words, what must be known before believing it.
    pub(super) fn finding(&self, what: impl Into<String>) -> Finding {
        let warnings = self.fit().warnings.iter().map(ToString::to_string).collect();
        if !self.has_asymptote() {
            return Finding { warnings, ..Finding::text(what, format!("none: {NO_ASYMPTOTE}")) };
        }
        let mut finding = Finding::claim(what, self.claim(), warnings);
        let unit = match self.axis {
            Axis::Members => String::new(),
            axis => format!(", {} in {}", axis.letter(), self.unit.name),
        };
        let over = self.law.doubt();
        finding.text = format!("E = {}, {over}; {}{unit}", self.claim(), self.text());
        finding
    }

    /// The curve with its band, from the first to the last point and `beyond` times further; its
    /// numbers alone without one.
    pub(super) fn layer(&self, paint: Paint, label: Label, beyond: f64) -> LawCurve {
        let (first, last) = self.span();
        let (from, to) = (first / 1.05, last * beyond.max(1.05));
        let places: Vec<f64> = (0..=STEPS)
            .map(|step| from * libm::pow(to / from, step as f64 / STEPS as f64))
            .collect();
        let claims = match self.has_curve() {
            true => self.at(&places),
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
        let unit = match self.axis {
            Axis::Members => String::new(),
            axis => format!(" ({} in {})", axis.letter(), self.unit.name),
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

/// Adds losses to a panel with their law, drawn `beyond` times further than they reach, or with a
/// line through them where there is none; returns what was found.
pub(super) fn add_with_law(
    panel: &mut Panel,
    what: impl Into<String>,
    (mut series, law): (Series, &Result<Fitted, NoLaw>),
    beyond: f64,
) -> Finding {
    if series.points.is_empty() {
        return refused(what, "no point");
    }
    let finding = match law {
        Ok(law) => {
            let label = Label::Legend(format!("{}: {}", series.name, law.text()));
            panel.laws.push(law.layer(series.paint, label, beyond));
            law.finding(what)
        }
        Err(why) => {
            series.line = (series.points.len() > 1).then_some(Line::Solid);
            refused(what, why)
        }
    };
    panel.series.push(series);
    finding
}

/// Tuned single models over their sizes, with their law.
pub(super) fn with_tuned_law(scope: &Scope, d: f64, panel: &mut Panel) -> Finding {
    let tuned = drawn(&over_sizes(&scope.regularized(d)));
    let series = Series::new("regularized", Paint::Purple, Shape::Circle, tuned);
    let what = format!("regularized, N to infinity, D = {}", amount(d));
    add_with_law(panel, what, (series, &scope.tuned_law(d)), BEYOND)
}
