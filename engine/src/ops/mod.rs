//! The operations: a folder each, with the mathematics, a naive reference, and the fast kernel.

pub mod adamw;
pub mod attention;
pub mod average;
pub mod cross_entropy;
pub mod dropout;
pub mod embedding;
pub mod linear;
pub mod rmsnorm;
pub mod rope;
pub mod swiglu;
