//! A wallet that follows a server's headers.

use electrum_protocol::bitcoin::{BlockHash, Network};
use electrum_protocol::header_chain::{Change, FollowError, Limits};
use electrum_protocol::{HeaderChain, HeaderSync, Tip};

use super::Headers;

/// A wallet that keeps the hashes of its chain by what it is told of changes.
pub(crate) struct Wallet {
    pub(crate) sync: HeaderSync,
    pub(crate) hashes: Vec<BlockHash>,
    pub(crate) requests: usize,
}

impl Wallet {
    pub(crate) fn new(limits: Limits) -> Self {
        let chain = HeaderChain::genesis(Network::Regtest);
        Self {
            hashes: vec![chain.tip_hash()],
            sync: HeaderSync::new(chain, limits),
            requests: 0,
        }
    }

    pub(crate) fn apply(&mut self, change: Option<Change>) {
        let Some(change) = change else { return };
        let gone = self.hashes.split_off(change.fork as usize + 1);
        assert_eq!(gone, change.disconnected);
        assert_eq!(change.is_reorganization(), !gone.is_empty());
        let chain = self.sync.chain();
        assert_eq!(chain.height(), change.fork + change.connected);
        let heights = change.fork + 1..=chain.height();
        let came = heights.map(|height| chain.block_hash(height).unwrap());
        self.hashes.extend(came);
        assert_eq!(self.hashes.last(), Some(&chain.tip_hash()));
    }

    pub(crate) fn announce(&mut self, tip: Tip) -> Result<(), FollowError> {
        let change = self.sync.announce(tip, None)?;
        self.apply(change);
        Ok(())
    }

    /// One request and its answer; whether there was one.
    pub(crate) fn step(&mut self, server: &Headers, max: u32) -> Result<bool, FollowError> {
        let Some(request) = self.sync.poll_request() else {
            return Ok(false);
        };
        assert_eq!(self.sync.poll_request(), None);
        self.requests += 1;
        let change = self.sync.receive(server.answer(&request, max), None)?;
        self.apply(change);
        Ok(true)
    }

    pub(crate) fn follow(&mut self, server: &Headers) -> Result<(), FollowError> {
        self.announce(server.tip())?;
        while self.step(server, 2016)? {}
        Ok(())
    }
}

pub(crate) fn server(count: usize, seed: u32) -> Headers {
    let mut server = Headers::genesis();
    server.mine(count, seed);
    server
}

/// Whether the wallet has the chain of the server.
pub(crate) fn follows(wallet: &Wallet, server: &Headers) -> bool {
    wallet.sync.is_synced()
        && wallet.sync.chain().headers() == server.0
        && wallet.hashes == server.hashes()
}
