//! (bitcoind)

mod auth;
mod rest;
mod rpc;
