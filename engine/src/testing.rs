//! Checks of kernels against references.
