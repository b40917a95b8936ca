//! (store)

#[cfg(feature = "fjall")]
mod fjall;
mod memory;
mod schema;
