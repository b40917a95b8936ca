//! (delta)
