//! The kernels of `scarce`: forward and backward of ten operations, and the only `unsafe`.
//!
//! - **Shapes.** Matrices are row-major slices of `f32`. A wrong shape is a bug of the caller and
//!   panics with the shapes; there is no `Result` per operation.
//! - **`=` and `+=`.** Each function says whether it overwrites or adds. Gradients of weights are
//!   added; gradients of activations say which.
//! - **Memory.** Nothing is allocated in an operation: working memory comes from
//!   [`buffer::Scratch`], whose size each operation tells beforehand.
//! - **Determinism.** Operations are single-threaded, over one sequence, and every sum has an order
//!   that depends on shapes only. In f32 the bits are the same on every instruction set.
//! - **Concrete types.** Public functions are not generic, so that this package alone needs
//!   optimization for the tests of the whole project to be fast.

pub mod buffer;
pub mod isa;
pub mod math;
pub mod ops;
pub mod pool;
mod product;
pub mod random;
mod reduce;
pub mod roofline;
#[doc(hidden)]
pub mod testing;

/// The version of the numerics: raised when a kernel changes results, so that a run is never
/// continued with other arithmetic than it was started with.
pub const NUMERICS_VERSION: u32 = 2;
