//! (script_hash)
