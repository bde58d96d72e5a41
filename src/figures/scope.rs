//! How runs look: colors and marks of sizes and budgets, axes, points, and what figures lack.

use super::{Finding, Lack};
use crate::analysis::{Measured, Members, Scope, same};
use crate::draw::chart::{Bar, Point, Reach, Scale, Shape, Ticks};
use crate::draw::palette::Paint;
use crate::laws::LossError;

/// The bar of a measured loss: the same in every figure.
#[must_use]
pub fn bar(error: LossError) -> Bar {
    Bar { reach: Reach::Error(error.nats), over: error.over.name() }
}

/// Losses as points of a picture.
pub(super) fn drawn(losses: &[Measured]) -> Vec<Point> {
    losses.iter().map(point).collect()
}

/// A loss as a point of a picture.
pub(super) fn point(measured: &Measured) -> Point {
    let Measured { x, loss, error, foreign, records } = measured;
    let (bar, records) = (error.map(bar), records.clone());
    Point { x: *x, y: *loss, bar, ring: false, hollow: *foreign, records }
}

/// Ensembles over all parameters of their members together.
pub(super) fn over_total(set: &Members) -> Vec<Point> {
    let total = |point: Point| Point { x: point.x * set.n, ..point };
    drawn(&set.losses).into_iter().map(total).collect()
}

impl Scope<'_> {
    /// The color of a size.
    pub(super) fn size_paint(&self, n: f64) -> Paint {
        let paints = [
            Paint::Blue,
            Paint::Gold,
            Paint::Green,
            Paint::Vermillion,
            Paint::Purple,
            Paint::Sky,
            Paint::Ink,
            Paint::Muted,
        ];
        paints[self.size_index(n) % paints.len()]
    }

    /// The color of ensembles of a size, apart from those of the recipes.
    pub(super) fn ensemble_paint(&self, n: f64) -> Paint {
        let paints = [Paint::Blue, Paint::Green, Paint::Sky, Paint::Ink, Paint::Muted];
        paints[self.size_index(n) % paints.len()]
    }

    fn size_index(&self, n: f64) -> usize {
        self.sizes.iter().position(|(size, _)| same(*size, n)).unwrap_or(0)
    }

    /// The mark of a budget.
    pub(super) fn budget_shape(&self, d: f64) -> Shape {
        Shape::numbered(self.budgets.iter().position(|budget| same(*budget, d)).unwrap_or(0))
    }

    /// The horizontal axis of parameters.
    pub(super) fn n_scale(&self) -> Scale {
        let kind = if self.runs.nominal { " (nominal)" } else { "" };
        Scale::logarithmic(format!("parameters N{kind}")).with_ticks(Ticks::Short)
    }

    /// The horizontal axis of budgets.
    pub(super) fn d_scale(&self) -> Scale {
        Scale::logarithmic("unique training tokens D").with_ticks(Ticks::Short)
    }

    /// The vertical axis of losses.
    pub(super) fn loss_scale(&self) -> Scale {
        let split = if self.runs.split.is_empty() { "held-out" } else { &self.runs.split };
        Scale::linear(format!("{split} loss (nats per token)"))
    }

    /// What error bars and intervals are, for captions.
    pub(super) fn bars(&self) -> String {
        format!(
            "Bars: one standard error, over seeds where there are several, of ensembles over the \
             choice of members, else over blocks of the text. Bands and brackets: {} % \
             profile-likelihood intervals, of laws in K over the choice of members where there are \
             five or more; a law is marked doubtful where the points hardly show it, and its \
             warnings are printed.",
            100.0 * self.options.level
        )
    }
}

/// A figure that lacks runs.
pub(super) fn lack(figure: &str, needs: impl Into<String>) -> Lack {
    Lack { figure: figure.to_owned(), needs: needs.into() }
}

/// The finding of a law that must not be fitted.
pub(super) fn refused(what: impl Into<String>, why: impl std::fmt::Display) -> Finding {
    Finding::text(what, format!("no law: {why}"))
}
