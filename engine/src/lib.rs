//! The kernels of `scarce`.
