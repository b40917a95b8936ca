//! (reply)
