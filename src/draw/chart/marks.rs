//! Marks: shapes of equal weight to the eye.

use crate::draw::palette::Paint;
use crate::draw::svg::{Scene, Stroke};

/// The shape of a mark.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub enum Shape {
    /// A disk.
    #[default]
    Circle,
    /// A triangle on its base.
    Triangle,
    /// A square.
    Square,
    /// Two crossing strokes.
    Cross,
    /// A square on its corner.
    Diamond,
    /// Five points.
    Star,
}

/// Reach of a circle, in picture units.
pub(super) const RADIUS: f64 = 4.0;

impl Shape {
    /// The shape of budget number `index` (mission §8): circle, triangle, square, cross, and on.
    #[must_use]
    pub fn numbered(index: usize) -> Self {
        let shapes =
            [Self::Circle, Self::Triangle, Self::Square, Self::Cross, Self::Diamond, Self::Star];
        shapes[index % shapes.len()]
    }

    /// The name in words, for captions.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Circle => "circle",
            Self::Triangle => "triangle",
            Self::Square => "square",
            Self::Cross => "cross",
            Self::Diamond => "diamond",
            Self::Star => "star",
        }
    }

    /// Draws the mark; the rim keeps it apart from lines below it.
    pub(super) fn draw(self, scene: &mut Scene, (x, y): (f64, f64), paint: Paint, hollow: bool) {
        let rim = Stroke::solid(if hollow { paint } else { Paint::Surface }, rim_width(hollow));
        let fill = if hollow { Paint::Surface } else { paint };
        let at = |(dx, dy): (f64, f64)| (x + RADIUS * dx, y + RADIUS * dy);
        match self {
            Self::Circle => {
                let radius = if hollow { RADIUS * 0.85 } else { RADIUS };
                scene.circle((x, y), radius, fill, Some(rim));
            }
            Self::Cross => {
                let width = if hollow { 1.2 } else { 2.2 };
                for (dx, dy) in [(0.9, 0.9), (0.9, -0.9)] {
                    let stroke = Stroke::solid(Paint::Surface, width + 1.6);
                    scene.line(at((-dx, -dy)), at((dx, dy)), stroke);
                }
                for (dx, dy) in [(0.9, 0.9), (0.9, -0.9)] {
                    scene.line(at((-dx, -dy)), at((dx, dy)), Stroke::solid(paint, width));
                }
            }
            _ => scene.polygon(self.corners().into_iter().map(at).collect(), fill, Some(rim)),
        }
    }

    /// Corners around the center, for a circle of radius 1 of equal weight.
    fn corners(self) -> Vec<(f64, f64)> {
        match self {
            Self::Triangle => vec![(-1.2, 0.95), (0.0, -1.25), (1.2, 0.95)],
            Self::Square => vec![(-0.9, -0.9), (0.9, -0.9), (0.9, 0.9), (-0.9, 0.9)],
            Self::Diamond => vec![(-1.3, 0.0), (0.0, -1.3), (1.3, 0.0), (0.0, 1.3)],
            Self::Star => (0..10)
                .map(|corner| {
                    let angle = std::f64::consts::PI * (f64::from(corner) / 5.0 - 0.5);
                    let reach = if corner % 2 == 0 { 1.75 } else { 0.75 };
                    (reach * libm::cos(angle), reach * libm::sin(angle))
                })
                .collect(),
            Self::Circle | Self::Cross => Vec::new(),
        }
    }
}

fn rim_width(hollow: bool) -> f64 {
    if hollow { 1.6 } else { 1.0 }
}
