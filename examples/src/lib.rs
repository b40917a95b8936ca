//! The examples are the programs beside this file, in `examples/`.
