//! (source)
