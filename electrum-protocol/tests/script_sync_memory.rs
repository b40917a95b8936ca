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
use electrum_protocol::header_chain::Change;
use electrum_protocol::script_sync::{Config, Limits};
use electrum_protocol::{
    Confirmation, HistoryEntry, Notification, ProtocolVersion, Request, Response, ScriptHash,
    ScriptSync, status,
};
use proptest::prelude::*;

use held::Held;
use scripts::{CHECKPOINT, Choices, Hostile, KNOWN, script, unknown_txid};

/// What the wallet holds, after every step, and that all of it is counted: nothing is left when it is gone.
fn check(limits: Limits, version: ProtocolVersion, choices: &[u32]) -> Result<(), TestCaseError> {
    let hostile = Hostile::new();
    let mut choices = Choices(choices);
    let mut held = Held::default();
    let mut wallet = held.run(|| scripts::wallet(version, limits));
    let mut under_way: Vec<Request> = Vec::new();
    while !choices.is_empty() {
        let choice = choices.next() % 100;
        match choice {
            0..20 => {
                let notification = hostile.notification(&mut choices);
                held.run(|| wallet.notify(&notification.clone()));
            }
            20 => held.run(|| wallet.retry(&hostile)),
            21 => {
                under_way.clear();
                held.run(|| wallet.reconnect(version, &hostile).unwrap());
            }
            22..25 => {
                let fork = CHECKPOINT + choices.next() % KNOWN;
                let gone = vec![hostile.header_at(fork + 1).block_hash()];
                let change = Change {
                    fork,
                    disconnected: if choice == 22 { Vec::new() } else { gone },
                    connected: 1,
                };
                held.run(|| wallet.headers_changed(&hostile, &change));
            }
            25..60 => {
                if let Some(request) = held.run(|| wallet.poll_request()) {
                    under_way.push(request.clone());
                    held.run(|| drop(request));
                }
            }
            _ if under_way.is_empty() => {}
            60..63 => {
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
    #![proptest_config(ProptestConfig::with_cases(24))]

    #[test]
    fn what_is_held_is_bounded(
        choices in proptest::collection::vec(any::<u32>(), 20_000),
        newest in any::<bool>(),
        entries in 20..200_usize,
    ) {
        let version = match newest {
            true => ProtocolVersion::V1_7,
            false => ProtocolVersion::V1_4,
        };
        let limits = Limits { scripts: 12, entries, transaction_bytes: 20_000 };
        check(limits, version, &choices)?;
    }
}

/// The same history again and again, each time at other heights, or of other transactions; whatever follows is asked for
/// and not answered.
#[test]
fn histories_that_move_replace_each_other() {
    const ENTRIES: u32 = 2_000;
    let limits = Limits {
        scripts: 10,
        entries: ENTRIES as usize,
        transaction_bytes: 1_000,
    };
    for others in [false, true] {
        let hostile = Hostile::new();
        let mut held = Held::default();
        let config = Config {
            proofs: true,
            limits,
        };
        let mut wallet = held.run(|| {
            let mut wallet = ScriptSync::new(ProtocolVersion::V1_4, config).unwrap();
            let scripts: Vec<ScriptBuf> = vec![script(0, 0)];
            wallet.add_keychain(0, u32::MAX, scripts).unwrap();
            wallet
        });
        let script_hash = ScriptHash::from_script(&script(0, 0));
        for round in 0..100 {
            let entry = |index: u32| HistoryEntry {
                txid: unknown_txid(if others {
                    index + round * ENTRIES
                } else {
                    index
                }),
                confirmation: Confirmation::Block(1 + index % 20 + round * 20 % CHECKPOINT),
                fee: None,
            };
            let mut history: Vec<_> = (0..ENTRIES).map(entry).collect();
            history.sort_by(status::mempool_order);
            let status = status::status(&history);
            held.run(|| {
                wallet.notify(&Notification::ScriptHash {
                    script_hash,
                    status,
                })
            });
            while let Some(request) = held.run(|| wallet.poll_request()) {
                if let Request::ScripthashGetHistory(_) = request {
                    let response = Response::ScripthashGetHistory(history.clone());
                    held.run(|| wallet.answer(&request, response.clone(), &hostile).unwrap());
                }
            }
            let (bytes, most) = (held.bytes(), limits.max_memory(1));
            assert!(
                bytes <= most,
                "{bytes} bytes of at most {most} in round {round}"
            );
        }
        assert_eq!(
            wallet.history(&script_hash).unwrap().len(),
            ENTRIES as usize
        );
    }
}
