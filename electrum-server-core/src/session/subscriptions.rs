//! (subscriptions)
