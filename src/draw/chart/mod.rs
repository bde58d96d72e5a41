//! Charts: panels with points, laws and bands, heat maps and small tables, put together into a
//! figure whose every drawn number also stands in a table.
//!
//! A [`Sheet`] is filled with data and names; [`Sheet::finish`] makes the picture and the table of
//! what it shows from the same values, so that neither can hold a number that the other lacks.
//! Labels stand beside what they name where there is room, else in a legend below the panels.
//! Nothing leaves the picture and no text touches another one, whatever the numbers: tick labels
//! keep apart, labels look for free space, and what is too wide ends in an ellipsis.

mod axis;
mod data;
mod dots;
mod draw;
mod heat;
mod legend;
mod marks;
mod panel;
mod sheet;
mod space;

#[cfg(test)]
pub(crate) mod testing;

pub use data::{Datum, Figure};
pub use dots::{Dot, Dots};
pub use heat::{HeatCell, HeatMap};
pub use marks::Shape;
pub use panel::{
    Arrow, Bar, Label, LawCurve, Level, Line, Panel, Point, Reach, Right, RightTick, Scale, Series,
    Sizes, Swath, Ticks, Upright,
};
pub use sheet::{Block, Grid, Sheet};

/// Width of every figure, in picture units: a journal column; see [`super::svg`].
pub const WIDTH: f64 = 480.0;
/// Room around everything.
pub const MARGIN: f64 = 8.0;
/// Size of the figure's title.
pub const TITLE_SIZE: f64 = 15.0;
/// Size of panel titles.
pub const LABEL_SIZE: f64 = 13.5;
/// Size of everything else: the smallest that is read at column width.
pub const SMALL_SIZE: f64 = 12.5;
