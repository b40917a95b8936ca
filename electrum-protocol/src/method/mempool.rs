//! (mempool)
