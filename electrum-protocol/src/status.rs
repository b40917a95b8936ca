//! (status)
