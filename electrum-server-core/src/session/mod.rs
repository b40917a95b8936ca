//! (session)

mod handlers;
mod limits;
mod reply;
mod subscriptions;
