//! JSON text to typed values and back, without trees of values in between.

mod read;
mod write;

pub use read::DecodeError;
pub(crate) use read::{
    FromJson, Hex, bind, bool_at, excerpt, is_null, optional, required, text, unexpected, whole,
};
pub(crate) use write::{Object, ToJson, array, decimal, number, string};
