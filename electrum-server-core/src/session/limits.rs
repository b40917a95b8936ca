//! What clients may cost: every limit with its default, the price of every request, and where it is handled.
//!
//! There are two kinds of limits. *Caps* bound memory and handles: they hold for everybody, some of them per subnet.
//! *Costs* bound work, after ElectrumX: whatever a client makes the server do adds to what its subnet owes, and is
//! forgiven with time. Who owes much is served slowly, who owes too much is sent away and told when to come back.

use std::time::Duration;

use electrum_protocol::ErrorCode;
use electrum_protocol::method::{Request, outpoint};

use crate::subnet::Subnet;

/// The limits of a server; the default suits a public one.
///
/// Whoever comes from an [`exempt`](Self::exempt) address or through a unix socket is counted, but is in no subnet and
/// owes nothing.
#[derive(Clone, Debug, PartialEq)]
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
    /// The most subscriptions of the sessions of a subnet together.
    pub max_subnet_subscriptions: usize,
    /// The most subscriptions of all sessions together. One takes up to 225 bytes, of a script up to 160.
    pub max_total_subscriptions: usize,
    /// How many refused messages, less the accepted ones, end a session.
    pub max_refusals: u32,
    /// The most connections at a time; more are turned away.
    pub max_connections: usize,
    /// The most connections of a subnet at a time.
    pub max_subnet_connections: usize,
    /// How many bytes may be buffered for all clients together, of lines that are not complete and of answers that are
    /// not read, or not complete either.
    ///
    /// Up to half of it is divided equally among [`max_connections`](Self::max_connections), with at most
    /// [`FAIR_BUFFER`] for each: that much a client may have whatever others do. From the rest room is taken before a
    /// longer answer is made. When it is used up, requests for such answers wait for their turn, which is fair between
    /// subnets.
    pub max_buffered: usize,
    /// How long a client may keep room for more than its share while others wait for room, without taking at least
    /// [`FAIR_BUFFER`] and a twelfth of what it began to take. It is closed then.
    pub hold_timeout: Duration,
    /// How long a request waits for room. It is answered with an error then.
    pub room_timeout: Duration,
    /// How many leading bits make a subnet of an IPv4 address.
    pub subnet_bits_v4: u8,
    /// How many leading bits make a subnet of an IPv6 address.
    pub subnet_bits_v6: u8,
    /// Addresses without a subnet: neither caps per subnet nor costs apply.
    pub exempt: Vec<Subnet>,
    /// What a subnet may owe before its requests are delayed. Nothing is charged when [`cost_hard`](Self::cost_hard)
    /// is zero.
    pub cost_soft: f64,
    /// What a subnet may owe before its clients are sent away. A five-thousandth of it is forgiven every second.
    pub cost_hard: f64,
    /// The longest delay of a group of requests, just below the hard limit.
    pub cost_delay: Duration,
    /// A client must be done with the handshakes of TLS, WebSocket and the PROXY protocol after so long.
    pub handshake_timeout: Duration,
    /// A line must be complete so long after its first byte.
    pub line_timeout: Duration,
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
            max_subnet_subscriptions: 200_000,
            max_total_subscriptions: 5_000_000,
            max_refusals: 100,
            max_connections: 1000,
            max_subnet_connections: 50,
            max_buffered: 256 << 20,
            hold_timeout: Duration::from_secs(5),
            room_timeout: Duration::from_secs(60),
            subnet_bits_v4: 24,
            subnet_bits_v6: 48,
            exempt: Subnet::loopback().to_vec(),
            cost_soft: 1000.0,
            cost_hard: 10_000.0,
            cost_delay: Duration::from_millis(2500),
            handshake_timeout: Duration::from_secs(10),
            line_timeout: Duration::from_secs(120),
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

impl Limits {
    /// Returns what a connection may hold whatever others do, in bytes: one part for what it has sent and is to be sent,
    /// one for what its transport has not passed on.
    pub(crate) fn shares(&self) -> (usize, usize) {
        let fair = self.max_buffered / 2 / self.max_connections.max(1);
        let fair = fair.clamp(LEAST_BUFFER, FAIR_BUFFER);
        (fair - fair / 4, fair / 4)
    }

    /// Returns how much of [`max_buffered`](Self::max_buffered) is for what is larger than that.
    pub(crate) fn room(&self) -> usize {
        let (one, other) = self.shares();
        let shares = (one + other).saturating_mul(self.max_connections);
        self.max_buffered
            .saturating_sub(shares)
            .max(self.max_buffered / 2)
    }

    /// Returns the room for a long line and for whatever is the answer to it: whoever has it need not wait again.
    pub(crate) fn room_for_line(&self) -> usize {
        let errors = self.max_batch.saturating_mul(ERROR_SIZE);
        self.max_line
            .saturating_add(self.max_response)
            .saturating_add(errors)
    }
}

/// More than an error takes that is put in the place of an answer that is too long.
const ERROR_SIZE: usize = 200;

/// The least that may be buffered for a client whatever others do, in bytes.
const LEAST_BUFFER: usize = 4 * 1024;

/// The most that may be buffered for a client whatever others do, in bytes.
pub const FAIR_BUFFER: usize = 64 * 1024;

/// The longest line that Electrum reads.
const MAX_RESPONSE: usize = 8_100_000;

/// The size of a confirmed entry in the answer to `get_history`. A history that could not be sent is too large for its
/// status as well: a client that is told the status asks for the history next.
pub(super) const HISTORY_ENTRY_SIZE: usize = 99;

/// Where a request is handled.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Place {
    /// On the task of the connection: answered from memory within microseconds.
    Reactor,
    /// On a thread that may wait for the disk.
    Store,
    /// On one of the few threads for what takes long: thousands of rows, or megabytes.
    Long,
    /// On a thread that may wait for the node.
    Node,
    /// On a thread that hands transactions to the node, and that no other question to the node can take.
    Broadcast,
}

impl Place {
    /// Whether what must be handled at `needed` may be handled here.
    ///
    /// What takes long has its threads to itself, and so have questions to the node and broadcasts: whoever pipelines
    /// questions behind a broadcast would take the threads that are kept for broadcasts.
    pub fn handles(self, needed: Self) -> bool {
        match needed {
            Self::Reactor => true,
            Self::Store => self != Self::Reactor,
            Self::Long | Self::Node | Self::Broadcast => self == needed,
        }
    }
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
        Request::TransactionBroadcast(_) | Request::TransactionBroadcastPackage(_) => {
            Place::Broadcast
        }
        Request::EstimateFee(_)
        | Request::RelayFee(_)
        | Request::TransactionTestMempoolAccept(_)
        | Request::OutpointSubscribe(_)
        | Request::OutpointGetStatus(_)
        | Request::UtxoGetAddress(_)
        | Request::UtxoGetInfo(_)
        | Request::TransactionGet(_)
        | Request::MempoolGetInfo(_) => Place::Node,
    }
}

/// What things cost, in the unit of ElectrumX: about a hundredth of what one client may do in a minute and a half.
pub(crate) mod price {
    /// A connection.
    pub(crate) const CONNECTION: f64 = 5.0;
    /// A byte that was received or sent.
    pub(crate) const BYTE: f64 = 1.0 / 5000.0;
    /// A second of a thread that reads the store: ten such threads for a minute and a half exhaust a subnet.
    pub(super) const STORE_SECOND: f64 = 10.0;
    /// A second that the node is kept busy. It may do the work of several such seconds at a time, as we may.
    pub(super) const NODE_SECOND: f64 = STORE_SECOND;
    /// A request of HTTP.
    #[cfg(feature = "net")]
    pub(crate) const HTTP: f64 = REFUSAL;
    /// A message that was refused.
    pub(super) const REFUSAL: f64 = 100.0;
    /// A message that is not JSON.
    pub(super) const NOT_JSON: f64 = 1000.0;
}

/// Returns what it costs to work for so long at a place, whatever comes of it.
pub(crate) fn price_of_work(place: Place, took: Duration) -> f64 {
    let second = match place {
        // The price of each request is for this.
        Place::Reactor => 0.0,
        Place::Store | Place::Long => price::STORE_SECOND,
        Place::Node | Place::Broadcast => price::NODE_SECOND,
    };
    took.as_secs_f64() * second
}

/// Returns what a request costs besides its bytes and the time that the store and the node take.
pub(super) fn price_of(request: &Request) -> f64 {
    match request {
        Request::ServerAddPeer(_) => 100.0,
        Request::ServerFeatures(_) => 0.2,
        Request::ServerBanner(_) => 0.5,
        Request::ServerDonationAddress(_) | Request::ServerPing(_) => 0.1,
        Request::HeadersSubscribe(_) => 0.25,
        Request::BlockHeader(params) if params.cp_height == 0 => 0.25,
        Request::BlockHeader(_) => 1.25,
        Request::ScripthashSubscribe(_)
        | Request::ScripthashUnsubscribe(_)
        | Request::ScriptpubkeySubscribe(_)
        | Request::ScriptpubkeyUnsubscribe(_)
        | Request::OutpointUnsubscribe(_)
        | Request::TransactionUnsubscribe(_)
        | Request::AddressSubscribe(_) => 0.1,
        Request::ScripthashGetHistory(_)
        | Request::ScripthashGetMempool(_)
        | Request::ScriptpubkeyGetHistory(_)
        | Request::ScriptpubkeyGetMempool(_)
        | Request::AddressGetHistory(_)
        | Request::AddressGetMempool(_) => 0.25,
        Request::TransactionBroadcast(_) | Request::TransactionBroadcastPackage(_) => 0.25,
        Request::TransactionGetMerkle(_) | Request::TransactionIdFromPos(_) => 0.25,
        Request::EstimateFee(_) => 0.1,
        // Whatever has no price of its own.
        _ => 1.0,
    }
}

/// Returns what a refused message costs.
pub(super) fn price_of_refusal(code: ErrorCode) -> f64 {
    match code {
        ErrorCode::PARSE_ERROR => price::NOT_JSON,
        _ => price::REFUSAL,
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
