//! (proof)
