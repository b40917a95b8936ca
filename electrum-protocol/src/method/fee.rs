//! (fee)
