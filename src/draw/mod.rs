//! Draws: tables as text, charts as SVG, PNG and PDF. It knows no record and no law; what a number
//! is from stands beside it as text.

pub mod chart;
pub mod font;
pub mod palette;
pub mod pdf;
pub mod png;
pub mod svg;
pub mod table;
