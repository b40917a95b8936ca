//! How large an answer may become, said before it is made.
//!
//! Every request is named here: a method that is added has to say how large its answers are, and memory for large ones is
//! taken before they exist.

use bitcoin::Txid;
use electrum_protocol::method::scripthash::HeightRange;
use electrum_protocol::method::server::Peer;
use electrum_protocol::{Request, ScriptHash};

use super::handlers::script_of_address;
use super::limits::HISTORY_ENTRY_SIZE;
use super::services::Services;
use crate::view::{QueryError, View};

/// How large an answer may become.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Extent {
    /// At most so many bytes.
    Bytes(usize),
    /// As many entries as a script has.
    Entries(Entries),
    /// A transaction, in a form that takes up to so many bytes for each of its own.
    Transaction {
        /// Which one.
        txid: Txid,
        /// The bytes of its form for each of its own.
        form: usize,
    },
}

/// The entries of a script.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Entries {
    script_hash: ScriptHash,
    kind: Kind,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    History(HeightRange),
    Mempool,
    Unspent,
}

/// More than an answer takes besides its id, and than one takes that says nothing in particular: a status, a balance, a
/// header, a number, an error.
pub(super) const SMALL: usize = 1024;
/// More than an unconfirmed entry of a history takes.
const MEMPOOL_ENTRY: usize = 140;
/// More than an unspent output takes: `{"height":…,"tx_hash":"…","tx_pos":…,"value":…},`.
pub(super) const UNSPENT: usize = 150;
/// A header in hexadecimal text, with its quotes and its comma.
const HEADER: usize = 163;
/// The most headers in one answer.
const MAX_HEADERS: usize = 2016;
/// More than a bin of the histogram of fees takes.
const FEE_BIN: usize = 40;
/// More than one transaction takes in what the node says of several.
const VERDICT: usize = 4096;
/// What a transaction takes in hexadecimal text, and as the node describes it: a script of one byte is one word of assembler,
/// an output of ten bytes some three hundred.
const HEX: usize = 2;
const DESCRIBED: usize = 30;

/// Says how large the answer to a request may become.
pub(super) fn extent(request: &Request, services: &Services, view: &View) -> Extent {
    use Request as R;
    let entries = |script_hash, kind| Extent::Entries(Entries { script_hash, kind });
    let of_address = |address: &str, kind| match script_of_address(view, address) {
        Some(script_hash) => entries(script_hash, kind),
        None => Extent::Bytes(SMALL),
    };
    let all = Kind::History(HeightRange::ALL);
    match request {
        R::ServerFeatures(_) => {
            let hosts = services.about.hosts.keys();
            let hosts: usize = hosts.map(|host| host.len() + 200).sum();
            Extent::Bytes(8 * SMALL + hosts)
        }
        R::ServerBanner(_) => Extent::Bytes(SMALL + escaped(services.banner().len())),
        R::ServerDonationAddress(_) => {
            Extent::Bytes(SMALL + escaped(services.about.donation_address.len()))
        }
        R::ServerPeersSubscribe(_) => {
            let peers = services.peers.as_ref();
            let peers = peers.map_or_else(Vec::new, |book| book.peers(None));
            Extent::Bytes(SMALL + peers.iter().map(size_of_peer).sum::<usize>())
        }
        R::ServerPing(params) => {
            let max = services.limits.max_response;
            let length = usize::try_from(params.pong_len).unwrap_or(usize::MAX);
            Extent::Bytes(match length <= max {
                true => SMALL + length,
                false => SMALL,
            })
        }
        R::BlockHeaders(params) => {
            let count = usize::try_from(params.count).unwrap_or(MAX_HEADERS);
            Extent::Bytes(8 * SMALL + count.min(MAX_HEADERS) * HEADER)
        }
        R::BlockGetChunk(_) => Extent::Bytes(SMALL + MAX_HEADERS * HEADER),
        R::MempoolGetFeeHistogram(_) => Extent::Bytes(SMALL + view.fee_histogram().len() * FEE_BIN),
        // Ten transactions, and a branch of less than a hundred hashes.
        R::MempoolRecent(_)
        | R::BlockHeader(_)
        | R::TransactionGetMerkle(_)
        | R::TransactionIdFromPos(_) => Extent::Bytes(8 * SMALL),

        R::ScripthashGetHistory(params) => {
            entries(params.script_hash, Kind::History(params.heights))
        }
        R::ScriptpubkeyGetHistory(params) => entries(
            ScriptHash::from_script(&params.script),
            Kind::History(params.heights),
        ),
        R::AddressGetHistory(params) => of_address(&params.address, all),
        R::ScripthashGetMempool(params) => entries(params.script_hash, Kind::Mempool),
        R::ScriptpubkeyGetMempool(params) => {
            entries(ScriptHash::from_script(&params.script), Kind::Mempool)
        }
        R::AddressGetMempool(params) => of_address(&params.address, Kind::Mempool),
        R::ScripthashListUnspent(params) => entries(params.script_hash, Kind::Unspent),
        R::ScriptpubkeyListUnspent(params) => {
            entries(ScriptHash::from_script(&params.script), Kind::Unspent)
        }
        R::AddressListUnspent(params) => of_address(&params.address, Kind::Unspent),

        R::TransactionGet(params) => Extent::Transaction {
            txid: params.txid,
            form: match params.verbose {
                true => DESCRIBED,
                false => HEX,
            },
        },
        // What the node refuses comes back with its reason.
        R::TransactionBroadcast(params) => {
            Extent::Bytes(8 * SMALL + params.raw_tx.len().saturating_mul(HEX))
        }
        R::TransactionBroadcastPackage(params) => {
            Extent::Bytes((params.raw_txs.len() + 2).saturating_mul(VERDICT))
        }
        R::TransactionTestMempoolAccept(params) => {
            Extent::Bytes((params.raw_txs.len() + 2).saturating_mul(VERDICT))
        }

        R::ServerAddPeer(_)
        | R::NumblocksSubscribe(_)
        | R::HeadersSubscribe(_)
        | R::HeadersGetTip(_)
        | R::HeadersUnsubscribe(_)
        | R::HeaderGet(_)
        | R::BlockGetHeader(_)
        | R::EstimateFee(_)
        | R::RelayFee(_)
        | R::AddressGetBalance(_)
        | R::AddressSubscribe(_)
        | R::ScripthashGetBalance(_)
        | R::ScripthashSubscribe(_)
        | R::ScripthashUnsubscribe(_)
        | R::ScripthashGetStatus(_)
        | R::ScripthashGetFirstUse(_)
        | R::ScriptpubkeyGetBalance(_)
        | R::ScriptpubkeySubscribe(_)
        | R::ScriptpubkeyUnsubscribe(_)
        | R::OutpointSubscribe(_)
        | R::OutpointGetStatus(_)
        | R::OutpointUnsubscribe(_)
        | R::UtxoGetAddress(_)
        | R::UtxoGetInfo(_)
        | R::TransactionGetHeight(_)
        | R::TransactionGetConfirmedBlockhash(_)
        | R::TransactionSubscribe(_)
        | R::TransactionUnsubscribe(_)
        | R::MempoolGetInfo(_) => Extent::Bytes(SMALL),
    }
}

/// The most that a text takes in JSON.
fn escaped(length: usize) -> usize {
    length.saturating_mul(6)
}

fn size_of_peer(peer: &Peer) -> usize {
    let features: usize = peer.features.iter().map(|feature| feature.len() + 3).sum();
    100 + escaped(peer.host.len()) + features
}

impl Entries {
    /// Returns how many rows of the script may be read while it is not known how many there are, if the answer has to
    /// stay within so many bytes.
    pub(super) fn rows_within(&self, bytes: usize) -> usize {
        match self.kind {
            Kind::History(_) => bytes.saturating_sub(SMALL) / HISTORY_ENTRY_SIZE,
            Kind::Mempool => usize::MAX,
            Kind::Unspent => bytes.saturating_sub(SMALL) / UNSPENT,
        }
    }

    /// Counts. Returns how many bytes the answer takes at most.
    ///
    /// # Errors
    ///
    /// When more than `limit` transactions touch the script, or the database cannot be read.
    pub(super) fn bytes(&self, view: &View, limit: Option<usize>) -> Result<usize, QueryError> {
        let Self { script_hash, kind } = self;
        let unconfirmed = view.mempool().entries_of(script_hash);
        let count = match kind {
            Kind::History(heights) => {
                view.count_history(script_hash, *heights, limit)? * HISTORY_ENTRY_SIZE
                    + unconfirmed.count() * MEMPOOL_ENTRY
            }
            Kind::Mempool => unconfirmed.count() * MEMPOOL_ENTRY,
            Kind::Unspent => {
                let unconfirmed: usize = unconfirmed.map(|entry| entry.funded.len()).sum();
                (view.count_outputs(script_hash, limit)? + unconfirmed) * UNSPENT
            }
        };
        Ok(SMALL + count)
    }

    /// Tells whether only the mempool is looked at, which takes no time.
    pub(super) fn is_unconfirmed(&self) -> bool {
        self.kind == Kind::Mempool
    }
}

/// Says how large a transaction is; nothing when the view does not know it.
///
/// # Errors
///
/// When the database cannot be read.
pub(super) fn size_of_transaction(view: &View, txid: &Txid) -> Result<Option<usize>, QueryError> {
    if let Some(entry) = view.mempool().get(txid) {
        return Ok(Some(entry.tx.total_size()));
    }
    let Some(position) = view.position(txid)? else {
        return Ok(None);
    };
    Ok(Some(view.extent(&position)?.len()))
}
