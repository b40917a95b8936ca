//! (headers)
