//! (net)

mod connection;
mod listener;
