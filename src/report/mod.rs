//! Shows results: tables, figures and pages made of numbers that records hold.
//!
//! Nothing here runs a job or reads a store. The caller fills plain types such as
//! [`quickstart::QuickstartReport`]; this module turns them into text ([`table`]), a picture
//! ([`figure`], [`svg`], [`png`]) and one self-contained page ([`page`]).

mod bar;
pub mod chart;
pub mod figure;
pub mod font;
pub mod number;
pub mod page;
pub mod palette;
pub mod pdf;
pub mod plot;
pub mod png;
pub mod quickstart;
pub mod reading;
pub mod runs;
pub mod study;
pub mod svg;
pub mod table;
