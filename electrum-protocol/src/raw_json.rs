//! (raw_json)
