//! (codec)
