//! Servers that want a wallet to grow: what it holds stays below what its limits say, counted at the allocator.

#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    reason = "a failed test panics"
)]

#[path = "hostile/held.rs"]
mod held;
#[path = "hostile/scripts.rs"]
mod scripts;

use electrum_protocol::bitcoin::ScriptBuf;
use electrum_protocol::bitcoin::block::Header;
use electrum_protocol::bitcoin::consensus::encode;
use electrum_protocol::bitcoin::hashes::{Hash, sha256d};
use electrum_protocol::header_chain::{Change, Checkpoint};
use electrum_protocol::method::transaction::GetResponse;
use electrum_protocol::script_sync::{
    Config, Headers, Limits, SavedEntry, SavedHeader, SavedHistory, Snapshot,
};
use electrum_protocol::{
    Confirmation, HistoryEntry, Notification, ProtocolVersion, Request, Response, ScriptHash,
    ScriptSync, status,
};
use proptest::prelude::*;

use held::Held;
use scripts::{CHECKPOINT, Choices, Hostile, KNOWN, script, transaction, unknown_txid};

/// What the wallet holds, after every step, and that all of it is counted: nothing is left when it is gone.
fn check(limits: Limits, version: ProtocolVersion, choices: &[u32]) -> Result<(), TestCaseError> {
    let hostile = Hostile::new();
    let mut choices = Choices(choices);
    let mut held = Held::default();
    let mut wallet = held.run(|| scripts::wallet(version, limits));
    let mut under_way: Vec<Request> = Vec::new();
    while !choices.is_empty() {
        let choice = choices.next() % 1_000;
        match choice {
            0..80 => {
                let notification = hostile.notification(&mut choices);
                held.run(|| wallet.notify(&notification.clone()));
            }
            80..82 => held.run(|| wallet.retry(&hostile)),
            82 if choices.one_in(20) => {
                under_way.clear();
                held.run(|| wallet.reconnect(version, &hostile).unwrap());
            }
            83..100 => {
                let fork = choices.next() % (CHECKPOINT + KNOWN);
                let gone = vec![hostile.header_at(fork + 1).block_hash()];
                let change = Change {
                    fork,
                    disconnected: if choice < 95 { Vec::new() } else { gone },
                    connected: 1,
                };
                held.run(|| wallet.headers_changed(&hostile, &change));
            }
            100..550 => {
                if let Some(request) = held.run(|| wallet.poll_request()) {
                    under_way.push(request.clone());
                    held.run(|| drop(request));
                }
            }
            _ if under_way.is_empty() => {}
            550..570 => {
                let request = under_way.swap_remove(choices.below(under_way.len()));
                held.run(|| wallet.refused(&request, &hostile));
            }
            _ => {
                // Those that are asked first are the ones that lead to more.
                let at = match choices.next() % 4 {
                    0 => choices.below(under_way.len()),
                    _ => under_way.len() - 1,
                };
                let request = under_way.swap_remove(at);
                held.run(|| {
                    let response = hostile.answer(&request, &mut choices);
                    drop(wallet.answer(&request, response, &hostile));
                });
            }
        }
        let (bytes, most) = (held.bytes(), limits.max_memory(2));
        prop_assert!(bytes <= most, "{bytes} bytes of at most {most}");
        prop_assert!(wallet.pending() <= under_way.len());
    }
    held.run(|| drop(wallet));
    prop_assert_eq!(held.bytes(), 0);
    Ok(())
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(12))]

    #[test]
    fn what_is_held_is_bounded(
        choices in proptest::collection::vec(any::<u32>(), 12_000),
        newest in any::<bool>(),
        entries in 10..100_usize,
    ) {
        let version = match newest {
            true => ProtocolVersion::V1_7,
            false => ProtocolVersion::V1_4,
        };
        let limits = Limits { scripts: 12, entries, transaction_bytes: 6_000 };
        check(limits, version, &choices)?;
    }
}

/// A wallet of one script, and what it holds.
struct One {
    wallet: scripts::Wallet,
    held: Held,
    headers: Box<dyn Headers>,
    script_hash: ScriptHash,
    /// Asks for nothing but histories.
    is_slow: bool,
}

/// No header is known, all can be asked for.
struct Deep;

impl Headers for Deep {
    fn height(&self) -> u32 {
        1_000_000
    }

    fn header(&self, _: u32) -> Option<Header> {
        None
    }

    fn checkpoint(&self) -> Option<Checkpoint> {
        Some(Checkpoint {
            height: self.height(),
            root: sha256d::Hash::all_zeros(),
        })
    }
}

impl One {
    fn new(limits: Limits, headers: impl Headers + 'static) -> Self {
        let mut held = Held::default();
        let config = Config {
            proofs: true,
            limits,
        };
        let wallet = held.run(|| {
            let mut wallet = ScriptSync::new(ProtocolVersion::V1_4, config).unwrap();
            let scripts: Vec<ScriptBuf> = vec![script(0, 0)];
            wallet.add_keychain(0, u32::MAX, scripts).unwrap();
            wallet
        });
        Self {
            wallet,
            held,
            headers: Box::new(headers),
            script_hash: ScriptHash::from_script(&script(0, 0)),
            is_slow: false,
        }
    }

    /// Tells another status, and answers what is asked then as far as there is an answer; the rest stays under way.
    fn tell(
        &mut self,
        history: &[HistoryEntry],
        mut answer: impl FnMut(&Request) -> Option<Response>,
    ) {
        let (held, wallet, headers) = (&mut self.held, &mut self.wallet, &*self.headers);
        let told = Notification::ScriptHash {
            script_hash: self.script_hash,
            status: status::status(history),
        };
        held.run(|| wallet.notify(&told));
        while let Some(request) = held.run(|| wallet.poll_request()) {
            let is_history = matches!(request, Request::ScripthashGetHistory(_));
            held.run(|| {
                let response = match &request {
                    Request::ScripthashGetHistory(_) => {
                        // As much capacity as whoever decodes it may have left.
                        let mut entries = Vec::with_capacity(30 * history.len());
                        entries.extend_from_slice(history);
                        Some(Response::ScripthashGetHistory(entries))
                    }
                    other => answer(other),
                };
                if let Some(response) = response {
                    wallet.answer(&request, response, headers).unwrap();
                }
            });
            if is_history && self.is_slow {
                break;
            }
        }
    }
}

/// The same history again and again, each time at other heights, or of other transactions; whatever follows is asked for
/// and not answered.
#[test]
fn histories_that_move_replace_each_other() {
    const ENTRIES: u32 = 2_000;
    let limits = Limits {
        scripts: 1,
        entries: ENTRIES as usize,
        transaction_bytes: 0,
    };
    for (others, is_slow) in [(false, false), (true, false), (false, true)] {
        let mut one = One::new(limits, Deep);
        one.is_slow = is_slow;
        for round in 0..100 {
            let entry = |index: u32| HistoryEntry {
                txid: unknown_txid(if others {
                    index + round * ENTRIES
                } else {
                    index
                }),
                confirmation: Confirmation::Block(1 + index + round * ENTRIES),
                fee: None,
            };
            let mut history: Vec<_> = (0..ENTRIES).map(entry).collect();
            history.sort_by(status::mempool_order);
            one.tell(&history, |_| None);
            let (bytes, most) = (one.held.bytes(), limits.max_memory(1));
            assert!(bytes <= most, "{bytes} of {most} in round {round}");
        }
    }
}

/// A header is kept as long as a transaction is said to be at its height.
#[test]
fn headers_where_nothing_is_left_are_forgotten() {
    let limits = Limits {
        scripts: 1,
        entries: 10,
        transaction_bytes: 0,
    };
    let mut one = One::new(limits, Hostile::new());
    let hostile = Hostile::new();
    for round in 0..CHECKPOINT / 10 {
        let entry = |index: u32| HistoryEntry {
            txid: unknown_txid(index),
            confirmation: Confirmation::Block(1 + index + round * 10),
            fee: None,
        };
        let history: Vec<_> = (0..10).map(entry).collect();
        one.tell(&history, |request| match request {
            Request::BlockHeader(asked) => Some(hostile.header_response(asked.height)),
            _ => None,
        });
        let saved = one.wallet.save().headers.into_iter();
        let heights: Vec<u32> = saved.map(|(height, _)| height).collect();
        let expected: Vec<u32> = (1 + round * 10..11 + round * 10).collect();
        assert_eq!(heights, expected);
        assert!(one.held.bytes() <= limits.max_memory(1));
    }
}

/// A snapshot of somebody else's: headers of heights where nothing is.
#[test]
fn saved_headers_where_nothing_is_are_forgotten() {
    let limits = Limits {
        scripts: 1,
        entries: 10,
        transaction_bytes: 0,
    };
    let hostile = Hostile::new();
    let mut one = One::new(limits, Hostile::new());
    let txid = unknown_txid(0);
    let entry = SavedEntry {
        txid,
        height: 3,
        fee: None,
    };
    let headers = (0..=CHECKPOINT).map(|height| (height, SavedHeader(hostile.header_at(height))));
    let snapshot = Snapshot {
        watched: vec![(0, 1)],
        histories: vec![SavedHistory {
            script_hash: one.script_hash,
            entries: vec![entry],
        }],
        transactions: Vec::new(),
        headers: headers.collect(),
    };
    let (held, wallet) = (&mut one.held, &mut one.wallet);
    held.run(|| wallet.restore(snapshot.clone(), &*one.headers).unwrap());
    let kept = wallet.save().headers;
    assert_eq!(kept, [(3, SavedHeader(hostile.header_at(3)))]);
    assert!(held.bytes() <= limits.max_memory(1));
}

/// What takes the most room for its length: elements, inputs and outputs with nothing in them.
#[test]
fn transactions_take_at_most_five_times_their_length() {
    let shapes = [
        (1, 100_000, 1),
        (1, 130, 1),
        (30_000, 1, 1),
        (1, 0, 100_000),
    ];
    for (inputs, elements, outputs) in shapes {
        let transaction = transaction(0, inputs, elements, outputs);
        let limits = Limits {
            scripts: 1,
            entries: 1,
            transaction_bytes: transaction.total_size(),
        };
        let mut one = One::new(limits, Deep);
        let history = [HistoryEntry {
            txid: transaction.compute_txid(),
            confirmation: Confirmation::Mempool {
                unconfirmed_parents: false,
            },
            fee: None,
        }];
        let bytes = encode::serialize(&transaction);
        one.tell(&history, |request| match request {
            Request::TransactionGet(_) => {
                let raw = GetResponse::Raw(bytes.clone());
                Some(Response::TransactionGet(raw))
            }
            _ => None,
        });
        let known = one.wallet.transaction(&transaction.compute_txid()).unwrap();
        assert_eq!(known.transaction, Some(&transaction));
        let (bytes, most) = (one.held.bytes(), limits.max_memory(1));
        assert!(
            bytes <= most,
            "{bytes} of {most} for {inputs}, {elements}, {outputs}"
        );
    }
}
