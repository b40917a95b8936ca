//! (auth)
