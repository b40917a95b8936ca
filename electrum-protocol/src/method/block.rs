//! (block)
