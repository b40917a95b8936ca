//! What a wallet costs is in proportion to what it has.

#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    reason = "a failed test panics"
)]

use std::cell::Cell;

use electrum_protocol::bitcoin::block::Header;
use electrum_protocol::bitcoin::hashes::{Hash, sha256d};
use electrum_protocol::bitcoin::{Network, ScriptBuf, Txid, constants};
use electrum_protocol::header_chain::Checkpoint;
use electrum_protocol::method::block::HeaderResponse;
use electrum_protocol::script_sync::{Config, Headers, NoHeaders};
use electrum_protocol::{
    CheckpointProof, Confirmation, HistoryEntry, Notification, ProtocolVersion, Request, Response,
    ScriptHash, ScriptSync, Status, merkle, status,
};

/// None is known, all can be proven, and it is counted how often one was looked for.
struct Below {
    checkpoint: Checkpoint,
    looked: Cell<usize>,
}

impl Headers for Below {
    fn height(&self) -> u32 {
        self.checkpoint.height
    }

    fn header(&self, _: u32) -> Option<Header> {
        self.looked.set(self.looked.get() + 1);
        None
    }

    fn checkpoint(&self) -> Option<Checkpoint> {
        Some(self.checkpoint)
    }
}

/// Returns how often a header is looked for on the way to the proofs of so many transactions, each in a block of its own.
fn looked_for(count: u32) -> usize {
    let genesis = constants::genesis_block(Network::Regtest).header;
    let header = |height: u32| Header {
        nonce: height,
        ..genesis
    };
    let leaves: Vec<_> = (0..=count)
        .map(|height| header(height).block_hash().to_raw_hash())
        .collect();
    let root = merkle::root(&leaves).unwrap();
    let headers = Below {
        checkpoint: Checkpoint {
            height: count,
            root,
        },
        looked: Cell::new(0),
    };
    let history: Vec<_> = (1..=count)
        .map(|height| HistoryEntry {
            txid: Txid::from_raw_hash(sha256d::Hash::hash(&height.to_le_bytes())),
            confirmation: Confirmation::Block(height),
            fee: None,
        })
        .collect();
    let mut wallet = ScriptSync::new(ProtocolVersion::V1_4, Config::default()).unwrap();
    let scripts = vec![ScriptBuf::from_bytes(vec![0x51])];
    wallet.add_keychain((), u32::MAX, scripts).unwrap();
    let mut proofs = 0;
    while let Some(request) = wallet.poll_request() {
        let response = match &request {
            Request::ScripthashSubscribe(_) => {
                Response::ScripthashSubscribe(status::status(&history))
            }
            Request::ScripthashGetHistory(_) => Response::ScripthashGetHistory(history.clone()),
            Request::BlockHeader(asked) => {
                let height = asked.height;
                let (branch, root) = merkle::branch(&leaves, height as usize).unwrap();
                Response::BlockHeader(HeaderResponse {
                    header: header(height),
                    proof: Some(CheckpointProof { branch, root }),
                })
            }
            Request::TransactionGet(_) => {
                wallet.refused(&request, &headers);
                continue;
            }
            // Its answer takes its time.
            Request::TransactionGetMerkle(_) => {
                proofs += 1;
                continue;
            }
            other => panic!("{other:?}"),
        };
        wallet.answer(&request, response, &headers).unwrap();
    }
    assert_eq!(proofs, count);
    headers.looked.get()
}

#[test]
fn each_header_that_is_proven_concerns_those_in_its_block() {
    let (few, many) = (looked_for(50), looked_for(500));
    assert!(many <= 10 * few, "{many} instead of {few} for a tenth");
}

/// Returns how many bytes are allocated while statuses are told of a script with a history of so many entries, none of
/// which is in the canonical order.
fn allocated_for_statuses(count: u32) -> u64 {
    let history: Vec<_> = (1..=count)
        .map(|height| HistoryEntry {
            txid: Txid::from_raw_hash(sha256d::Hash::hash(&height.to_le_bytes())),
            confirmation: Confirmation::Mempool {
                unconfirmed_parents: height % 2 == 0,
            },
            fee: None,
        })
        .collect();
    let script = ScriptBuf::from_bytes(vec![0x51]);
    let script_hash = ScriptHash::from_script(&script);
    let mut wallet = ScriptSync::new(ProtocolVersion::V1_4, Config::default()).unwrap();
    wallet.add_keychain((), u32::MAX, vec![script]).unwrap();
    let settled = status::status(&history);
    while let Some(request) = wallet.poll_request() {
        let response = match &request {
            Request::ScripthashSubscribe(_) => Response::ScripthashSubscribe(settled),
            Request::ScripthashGetHistory(_) => Response::ScripthashGetHistory(history.clone()),
            _ => {
                wallet.refused(&request, &NoHeaders);
                continue;
            }
        };
        wallet.answer(&request, response, &NoHeaders).unwrap();
    }
    let mut tell = |status| {
        wallet.notify(&Notification::ScriptHash {
            script_hash,
            status,
        })
    };
    // The history is looked at once more.
    tell(None);
    let told = allocation_counter::measure(|| {
        for byte in 0..100 {
            tell(Some(Status::from_byte_array([byte; 32])));
            tell(settled);
        }
    });
    told.bytes_total
}

/// A server that tells one status after another sends little, and makes the wallet do little.
#[test]
fn a_status_costs_the_same_for_every_history() {
    let (short, long) = (allocated_for_statuses(100), allocated_for_statuses(5_000));
    assert!(long <= 2 * short + 10_000, "{long} instead of {short}");
}
