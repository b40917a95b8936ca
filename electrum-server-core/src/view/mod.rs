//! (view)

mod balance;
mod history;
mod proof;
mod transaction;
mod unspent;
