//! (follower)
