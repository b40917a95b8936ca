//! (rest)
