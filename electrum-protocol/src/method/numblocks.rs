//! `blockchain.numblocks.*`: how long the chain is.

/// `blockchain.numblocks.subscribe`: the height of the tip, and a notification for each new tip. Gone in protocol 1.1.
///
/// Params: none. Result and only parameter of the notification: the height.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Subscribe;
