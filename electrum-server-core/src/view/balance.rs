//! (balance)
