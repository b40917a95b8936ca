//! (histogram)
