//! (index)

mod reader;
mod rows;
mod writer;
