//! What one session may cost, and where each request is handled.

use std::time::Duration;

use electrum_protocol::method::{Request, outpoint};

/// The limits of the sessions of a server; the default suits a public one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Limits {
    /// The longest line that is read, in bytes. A longer one is refused and skipped.
    pub max_line: usize,
    /// The largest result that is sent, in bytes. A larger one becomes an error.
    pub max_response: usize,
    /// The most requests in one batch.
    pub max_batch: usize,
    /// How many bytes may wait for a client that does not read. From there on none of its requests is handled, and
    /// notifications are not written but remembered.
    ///
    /// One more answer of up to [`max_response`](Self::max_response) may already have been on its way.
    pub output_ceiling: usize,
    /// The most transactions in the history of a script; with more there is no answer but "history too large".
    pub max_history: Option<usize>,
    /// The most subscriptions of a session: scripts, addresses, outpoints and transactions together.
    pub max_subscriptions: usize,
    /// How many refused messages, less the accepted ones, end a session.
    pub max_refusals: u32,
    /// The most connections at a time; more are closed at once.
    pub max_connections: usize,
    /// A client that has been silent for so long is closed.
    pub idle_timeout: Duration,
    /// A client that reads nothing for so long, although there is something to read, is closed.
    pub write_timeout: Duration,
    /// How long a client may take to read what is left when the server shuts down.
    pub drain_timeout: Duration,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            // Twice the largest transaction that nodes relay, in hexadecimal text.
            max_line: 2_000_000,
            max_response: MAX_RESPONSE,
            max_batch: 1000,
            output_ceiling: 1 << 20,
            max_history: Some((MAX_RESPONSE - 100) / HISTORY_ENTRY_SIZE),
            max_subscriptions: 100_000,
            max_refusals: 100,
            max_connections: 1000,
            idle_timeout: Duration::from_secs(600),
            write_timeout: Duration::from_secs(60),
            drain_timeout: Duration::from_secs(5),
        }
    }
}

impl Limits {
    /// Lets results have so many bytes, and histories as many entries as such a result has room for.
    #[must_use]
    pub fn with_max_response(self, bytes: usize) -> Self {
        Self {
            max_response: bytes,
            max_history: Some(bytes.saturating_sub(100) / HISTORY_ENTRY_SIZE),
            ..self
        }
    }
}

/// The longest line that Electrum reads.
const MAX_RESPONSE: usize = 8_100_000;

/// The size of a confirmed entry in the answer to `get_history`. A history that could not be sent is too large for its
/// status as well: a client that is told the status asks for the history next.
const HISTORY_ENTRY_SIZE: usize = 99;

/// Where a request is handled. Each place does the work of those before it as well.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Place {
    /// On the task of the connection: answered from memory within microseconds.
    Reactor,
    /// On a thread that may wait for the disk.
    Store,
    /// On a thread that may wait for the node.
    Node,
}

/// Says where a request is handled.
pub(super) fn place(request: &Request) -> Place {
    match request {
        Request::ServerFeatures(_)
        | Request::ServerAddPeer(_)
        | Request::ServerPeersSubscribe(_)
        | Request::ServerBanner(_)
        | Request::ServerDonationAddress(_)
        | Request::ServerPing(_)
        | Request::NumblocksSubscribe(_)
        | Request::HeadersSubscribe(_)
        | Request::HeadersGetTip(_)
        | Request::HeadersUnsubscribe(_)
        | Request::BlockGetHeader(_)
        | Request::ScripthashUnsubscribe(_)
        | Request::ScriptpubkeyUnsubscribe(_)
        | Request::OutpointUnsubscribe(_)
        | Request::TransactionUnsubscribe(_)
        | Request::MempoolRecent(_)
        | Request::MempoolGetFeeHistogram(_) => Place::Reactor,
        // A proof hashes thousands of headers.
        Request::BlockHeader(params) if params.cp_height == 0 => Place::Reactor,
        Request::BlockHeader(_)
        | Request::BlockHeaders(_)
        | Request::BlockGetChunk(_)
        | Request::HeaderGet(_)
        | Request::AddressGetBalance(_)
        | Request::AddressGetHistory(_)
        | Request::AddressGetMempool(_)
        | Request::AddressListUnspent(_)
        | Request::AddressSubscribe(_)
        | Request::ScripthashGetBalance(_)
        | Request::ScripthashGetHistory(_)
        | Request::ScripthashGetMempool(_)
        | Request::ScripthashListUnspent(_)
        | Request::ScripthashSubscribe(_)
        | Request::ScripthashGetStatus(_)
        | Request::ScripthashGetFirstUse(_)
        | Request::ScriptpubkeyGetBalance(_)
        | Request::ScriptpubkeyGetHistory(_)
        | Request::ScriptpubkeyGetMempool(_)
        | Request::ScriptpubkeyListUnspent(_)
        | Request::ScriptpubkeySubscribe(_)
        | Request::TransactionGetHeight(_)
        | Request::TransactionGetConfirmedBlockhash(_)
        | Request::TransactionSubscribe(_)
        | Request::TransactionGetMerkle(_)
        | Request::TransactionIdFromPos(_) => Place::Store,
        // Without its script an output is looked for in its transaction, which the node has.
        Request::OutpointSubscribe(outpoint::Subscribe { script_hint, .. })
        | Request::OutpointGetStatus(outpoint::GetStatus { script_hint, .. })
            if script_hint
                .as_ref()
                .is_some_and(|script| !script.is_op_return()) =>
        {
            Place::Store
        }
        Request::EstimateFee(_)
        | Request::RelayFee(_)
        | Request::TransactionBroadcast(_)
        | Request::TransactionBroadcastPackage(_)
        | Request::TransactionTestMempoolAccept(_)
        | Request::OutpointSubscribe(_)
        | Request::OutpointGetStatus(_)
        | Request::UtxoGetAddress(_)
        | Request::UtxoGetInfo(_)
        | Request::TransactionGet(_)
        | Request::MempoolGetInfo(_) => Place::Node,
    }
}

/// Counts what a client does wrong against what it does right.
#[derive(Debug, Default)]
pub(super) struct Conduct {
    refusals: u32,
}

impl Conduct {
    /// Notes a request that was understood.
    pub(super) fn accepted(&mut self) {
        self.refusals = self.refusals.saturating_sub(1);
    }

    /// Notes a message that was refused; returns whether it is one too many.
    pub(super) fn refused(&mut self, limits: &Limits) -> bool {
        self.refusals = self.refusals.saturating_add(1);
        self.refusals > limits.max_refusals
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_default_history_limit_is_what_fits_into_a_message() {
        // The figure that ElectrumX arrives at for the same size of a message.
        assert_eq!(Limits::default().max_history, Some(81_817));
    }

    #[test]
    fn good_conduct_makes_up_for_refusals() {
        let limits = Limits {
            max_refusals: 2,
            ..Limits::default()
        };
        let mut conduct = Conduct::default();
        for _ in 0..10 {
            assert!(!conduct.refused(&limits));
            conduct.accepted();
        }
        assert!(!conduct.refused(&limits));
        assert!(!conduct.refused(&limits));
        assert!(conduct.refused(&limits));
    }
}
