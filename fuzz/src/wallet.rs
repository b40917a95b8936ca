//! Wallets beside servers that say anything, in any order.

#![allow(
    clippy::indexing_slicing,
    reason = "every index is a remainder; a body that panics is looked at"
)]

use std::sync::OnceLock;

use electrum_protocol::bitcoin::block::{Header, Version};
use electrum_protocol::bitcoin::consensus::encode::serialize;
use electrum_protocol::bitcoin::hashes::Hash;
use electrum_protocol::bitcoin::{
    Amount, BlockHash, Network, OutPoint, ScriptBuf, Sequence, Transaction, TxIn, TxMerkleNode,
    TxOut, Txid, Witness, absolute, constants, transaction,
};
use electrum_protocol::header_chain::{Limits as HeaderLimits, verify_transaction};
use electrum_protocol::method::block;
use electrum_protocol::method::transaction::{GetResponse, MerkleResponse};
use electrum_protocol::script_sync::{Config, Limits};
use electrum_protocol::{
    Confirmation, HeaderChain, HeaderSync, HistoryEntry, Notification, ProtocolVersion, Request,
    Response, ScriptHash, ScriptSync, Status, Tip, status,
};

/// Bytes as choices; zero when there are none left.
pub(crate) struct Choices<'a>(pub(crate) &'a [u8]);

impl Choices<'_> {
    pub(crate) fn next(&mut self) -> u8 {
        let Some((first, rest)) = self.0.split_first() else {
            return 0;
        };
        self.0 = rest;
        *first
    }
}

/// Two chains with the same beginning, each block of which has one transaction of [`transactions`].
pub(crate) fn chains() -> &'static [Vec<Header>; 2] {
    static CHAINS: OnceLock<[Vec<Header>; 2]> = OnceLock::new();
    CHAINS.get_or_init(|| {
        let mut ours = vec![constants::genesis_block(Network::Regtest).header];
        extend(&mut ours, 30, 600);
        let mut theirs = ours.clone();
        theirs.truncate(15);
        extend(&mut theirs, 40, 700);
        [ours, theirs]
    })
}

fn extend(headers: &mut Vec<Header>, length: usize, seconds: u32) {
    while let Some(last) = headers.last().filter(|_| headers.len() < length) {
        let transaction = &transactions()[headers.len() % transactions().len()];
        let txid = transaction.compute_txid().to_raw_hash();
        let mut header = Header {
            version: Version::from_consensus(0x2000_0000),
            prev_blockhash: last.block_hash(),
            merkle_root: TxMerkleNode::from_raw_hash(txid),
            time: last.time + seconds,
            bits: last.bits,
            nonce: 0,
        };
        while !header.target().is_met_by(header.block_hash()) {
            header.nonce += 1;
        }
        headers.push(header);
    }
}

pub(crate) fn script(index: u32) -> ScriptBuf {
    ScriptBuf::from_bytes(index.to_be_bytes().to_vec())
}

/// Payments to the first scripts, each of which spends of the one before.
pub(crate) fn transactions() -> &'static [Transaction] {
    static TRANSACTIONS: OnceLock<Vec<Transaction>> = OnceLock::new();
    TRANSACTIONS.get_or_init(|| {
        let mut previous = OutPoint::new(Txid::all_zeros(), 0);
        let make = |index| {
            let transaction = Transaction {
                version: transaction::Version::TWO,
                lock_time: absolute::LockTime::ZERO,
                input: vec![TxIn {
                    previous_output: previous,
                    script_sig: ScriptBuf::new(),
                    sequence: Sequence::MAX,
                    witness: Witness::new(),
                }],
                output: vec![TxOut {
                    value: Amount::from_sat(u64::from(index) + 1),
                    script_pubkey: script(index),
                }],
            };
            previous = OutPoint::new(transaction.compute_txid(), 0);
            transaction
        };
        (0..5).map(make).collect()
    })
}

/// A server's headers, in pieces of either chain that may fit or not: the chain stays one of checked headers, and every
/// change that is told is the one that was made.
pub fn headers(bytes: &[u8]) {
    let mut choices = Choices(bytes);
    let limits = HeaderLimits {
        max_reorg: 20,
        max_height: 60,
    };
    let mut sync = HeaderSync::new(HeaderChain::genesis(Network::Regtest), limits);
    let mut hashes = vec![sync.chain().tip_hash()];
    while !choices.0.is_empty() {
        let chain = &chains()[usize::from(choices.next() % 2)];
        let outcome = match choices.next() % 4 {
            0 => {
                let height = choices.next() % 64;
                let header = chain[usize::from(choices.next()) % chain.len()];
                let height = u32::from(height);
                sync.announce(Tip { height, header }, None)
            }
            1 => {
                let height = usize::from(choices.next()) % chain.len();
                let header = chain[height];
                let height = height as u32;
                sync.announce(Tip { height, header }, None)
            }
            2 => {
                let Some(Request::BlockHeaders(asked)) = sync.poll_request() else {
                    continue;
                };
                // Mostly what was asked for.
                let shift = choices.next().saturating_sub(200);
                let start = asked.start_height as usize + usize::from(shift);
                let count = (asked.count as usize).min(usize::from(choices.next()));
                let headers = chain.iter().skip(start).take(count).copied().collect();
                let response = block::HeadersResponse {
                    headers,
                    max: u32::from(choices.next()),
                    proof: None,
                };
                sync.receive(Response::BlockHeaders(response), None)
            }
            _ => {
                sync.disconnect();
                continue;
            }
        };
        if let Ok(Some(change)) = outcome {
            let gone = hashes.split_off(change.fork as usize + 1);
            assert_eq!(gone, change.disconnected);
            let came = sync.chain().headers().iter().skip(hashes.len());
            hashes.extend(came.map(Header::block_hash));
        }
        let headers = sync.chain().headers();
        assert_eq!(headers.len(), hashes.len());
        assert_eq!(hashes.last(), Some(&sync.chain().tip_hash()));
        for (pair, hash) in headers.windows(2).zip(&hashes) {
            assert_eq!(pair[1].prev_blockhash, *hash);
        }
    }
}

/// A server's word about scripts, in any order: what the wallet holds is bounded, what it asks for ends, and what it
/// calls proven is in the block.
pub fn scripts(bytes: &[u8]) {
    let mut choices = Choices(bytes);
    let mut chain = HeaderChain::genesis(Network::Regtest);
    let known = &chains()[0][1..];
    chain.extend(known, None).expect("the chain is valid");
    let version = match choices.next() % 2 {
        0 => ProtocolVersion::V1_4,
        _ => ProtocolVersion::V1_7,
    };
    let limits = Limits {
        scripts: 20,
        entries: 30,
        transaction_bytes: 300,
    };
    let config = Config {
        proofs: true,
        limits,
    };
    let mut sync = ScriptSync::new(version, config).expect("the version has script hashes");
    sync.add_keychain((), 3, |index| Some(script(index)))
        .expect("three scripts are not too many");
    let mut under_way = Vec::new();
    while !choices.0.is_empty() {
        match choices.next() % 8 {
            0 => drop(sync.notify(&notification(&mut choices))),
            1 => sync.retry(&chain),
            2 => {
                under_way.clear();
                sync.reconnect(version, &chain)
                    .expect("the version has script hashes");
            }
            3 | 4 => under_way.extend(sync.poll_request()),
            _ if under_way.is_empty() => {}
            5 => {
                let request = under_way.swap_remove(usize::from(choices.next()) % under_way.len());
                sync.refused(&request, &chain);
            }
            _ => {
                let request = under_way.swap_remove(usize::from(choices.next()) % under_way.len());
                let response = answer(&request, &mut choices);
                let _ = sync.answer(&request, response, &chain);
            }
        }
        assert!(sync.scripts().count() <= limits.scripts);
        let entries: usize = sync.scripts().map(|view| view.history.len()).sum();
        assert!(entries <= limits.entries);
        assert!(sync.pending() <= under_way.len());
        assert!(sync.pending() <= 2 * (limits.scripts + limits.entries));
        for view in sync.transactions() {
            let proven = view.proven.map(|block| is_in(view.txid, block));
            assert_ne!(proven, Some(false));
        }
    }
    // Without anything new, what is wanted ends.
    let mut asked = 0;
    while let Some(request) = sync.poll_request() {
        sync.refused(&request, &chain);
        asked += 1;
        assert!(asked < 1_000, "requests without end");
    }
    let (total, balance) = (sync.unspent(), sync.balance());
    let total: u64 = total
        .iter()
        .map(|unspent| unspent.output.value.to_sat())
        .sum();
    let signed = balance.confirmed.to_sat() as i64 + balance.unconfirmed.to_sat();
    assert_eq!(signed, total as i64);
    // What is saved and restored is the same.
    let saved = sync.save();
    let mut again = ScriptSync::new(version, config).expect("the version has script hashes");
    again
        .add_keychain((), 3, |index| Some(script(index)))
        .expect("three scripts are not too many");
    again
        .restore(saved.clone(), &chain)
        .expect("what was saved can be restored");
    assert_eq!(again.save(), saved);
}

/// Whether a transaction is in a block of the first chain, each of which has one.
fn is_in(txid: Txid, block: BlockHash) -> bool {
    let mut headers = chains()[0].iter();
    let header = headers.find(|header| header.block_hash() == block);
    let proof = MerkleResponse {
        block_height: 0,
        merkle: Vec::new(),
        pos: 0,
    };
    header.is_some_and(|header| verify_transaction(txid, 0, &proof, header).is_ok())
}

fn history(choices: &mut Choices<'_>) -> Vec<HistoryEntry> {
    let count = choices.next() % 4;
    let entries = (0..count).map(|_| {
        let transactions = transactions();
        let transaction = &transactions[usize::from(choices.next()) % transactions.len()];
        let height = i64::from(choices.next() % 33) - 1;
        HistoryEntry {
            txid: transaction.compute_txid(),
            confirmation: Confirmation::from_wire_height(height).expect("from -1 up"),
            fee: None,
        }
    });
    let mut entries: Vec<_> = entries.collect();
    if !choices.next().is_multiple_of(4) {
        entries.sort_by(status::mempool_order);
    }
    entries
}

fn told(choices: &mut Choices<'_>) -> Option<Status> {
    match choices.next() % 4 {
        0 => Some(Status::from_byte_array([choices.next(); 32])),
        _ => status::status(&history(choices)),
    }
}

fn notification(choices: &mut Choices<'_>) -> Notification {
    Notification::ScriptHash {
        script_hash: ScriptHash::from_script(&script(u32::from(choices.next() % 8))),
        status: told(choices),
    }
}

fn answer(request: &Request, choices: &mut Choices<'_>) -> Response {
    use electrum_protocol::method::scriptpubkey::History;
    match request {
        Request::ScripthashSubscribe(_) => Response::ScripthashSubscribe(told(choices)),
        Request::ScriptpubkeySubscribe(_) => Response::ScriptpubkeySubscribe(told(choices)),
        Request::ScripthashGetHistory(_) => Response::ScripthashGetHistory(history(choices)),
        Request::ScriptpubkeyGetHistory(_) => {
            Response::ScriptpubkeyGetHistory(History(history(choices)))
        }
        Request::TransactionGet(asked) => {
            let transactions = transactions();
            let any = &transactions[usize::from(choices.next()) % transactions.len()];
            let right = transactions
                .iter()
                .find(|tx| tx.compute_txid() == asked.txid);
            let wrong = choices.next().is_multiple_of(8);
            let bytes = serialize(right.filter(|_| !wrong).unwrap_or(any));
            Response::TransactionGet(GetResponse::Raw(bytes))
        }
        Request::TransactionGetMerkle(asked) => {
            let any = transactions()[0].compute_txid().to_raw_hash();
            Response::TransactionGetMerkle(MerkleResponse {
                block_height: asked.height.unwrap_or(0),
                merkle: vec![any; usize::from(choices.next().is_multiple_of(8))],
                pos: u32::from(choices.next().is_multiple_of(8)),
            })
        }
        // Nothing else is asked.
        _ => Response::ServerBanner(String::new()),
    }
}

#[cfg(test)]
mod tests {
    use proptest::collection::vec;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn headers(bytes in vec(any::<u8>(), 0..300)) {
            super::headers(&bytes);
        }

        #[test]
        fn scripts(bytes in vec(any::<u8>(), 0..600)) {
            super::scripts(&bytes);
        }
    }
}
