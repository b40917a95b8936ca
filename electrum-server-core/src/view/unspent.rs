//! (unspent)
