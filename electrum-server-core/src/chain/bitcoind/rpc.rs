//! (rpc)
