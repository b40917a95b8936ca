//! (transaction)
