//! (merkle)
