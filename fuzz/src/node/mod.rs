//! A node's answers as the client of it in `electrum-server-core` reads them, from the socket to the values: whatever
//! comes, there is an answer or an error, soon; what is an answer belongs to the question; and the next good answer is
//! read as if nothing had been.

mod answers;
mod chain;
mod damage;
mod http;

use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use electrum_server_core::bitcoin::block::Header;
use electrum_server_core::bitcoin::consensus::serialize;
use electrum_server_core::bitcoin::hashes::Hash;
use electrum_server_core::bitcoin::{BlockHash, Network, OutPoint, ScriptBuf, Transaction, Txid};
use electrum_server_core::chain::bitcoind::{Auth, Bitcoind, Config, check_spent};
use electrum_server_core::chain::{Broadcast, ChainSource, Node, NodeError, SourceError};

use chain::{Chain, chain};
use damage::Input;
use http::{Stage, node};

const PASSWORD: &str = "f0rb1dden";
/// `user:f0rb1dden`, as base64(1) writes it.
const AUTHORIZATION: &str = "dXNlcjpmMHJiMWRkZW4";
/// The longest text of an error, in characters, with the dots that end it.
const MAX_TEXT: usize = 1003;
/// Questions per input: what goes wrong needs few.
const MAX_QUESTIONS: usize = 8;
/// Requests per question, each sent once more when its connection was closed: those of a block that REST does not have.
const MAX_EXCHANGES: usize = 12;

/// How many kinds of questions there are; the highest bit of their byte turns REST off.
const QUESTIONS: u8 = 24;
const REST_IS_OFF: u8 = 0x80;

/// The clients: of a node with REST, and of one without.
static CLIENTS: Mutex<Option<[Bitcoind; 2]>> = Mutex::new(None);

/// Asks a node, whose answers are damaged as the input says.
pub fn node_answers(data: &[u8]) {
    // What went wrong in another test is not this one's matter.
    let mut clients = CLIENTS.lock().unwrap_or_else(PoisonError::into_inner);
    *node().lock() = Stage::default();
    let kept = clients.take().filter(|[with, _]| with.uses_rest());
    let kept = kept.unwrap_or_else(|| {
        [true, false].map(|has_rest| {
            node().lock().has_rest = has_rest;
            Bitcoind::connect(&config()).expect("it is a good node")
        })
    });
    node().lock().input = Input::new(data);
    for _ in 0..MAX_QUESTIONS {
        if node().lock().input.is_empty() {
            break;
        }
        question(&kept);
    }
    node().settle();
    *clients = Some(kept);
}

fn config() -> Config {
    Config {
        network: Network::Regtest,
        address: node().address.clone(),
        auth: Auth::UserPassword {
            user: "user".to_owned(),
            password: PASSWORD.to_owned(),
        },
        // Nothing takes so long: connections are closed, not left alone.
        timeout: Duration::from_secs(10),
    }
}

/// Asks one question.
fn question([with_rest, without_rest]: &[Bitcoind; 2]) {
    node().settle();
    let (kind, choice) = {
        let mut stage = node().lock();
        let kind = stage.input.byte();
        stage.has_rest = kind & REST_IS_OFF == 0;
        stage.is_damaged = false;
        stage.exchanges = 0;
        (kind, [(); 4].map(|()| stage.input.byte()))
    };
    let has_rest = kind & REST_IS_OFF == 0;
    let client = if has_rest { with_rest } else { without_rest };
    let kind = kind % REST_IS_OFF % QUESTIONS;
    match kind {
        0..=12 => ask_source(client, kind, choice),
        13..=22 => ask_node(client, kind, choice),
        _ => connect(choice),
    }
    let asked = node().lock().exchanges;
    // Those who look for a peer ask all that there are.
    assert!(asked <= MAX_EXCHANGES || kind == 7, "{asked} requests");
}

/// What was told is the truth, unless somebody has damaged it; an error is fit to be read.
fn check<T>(result: &Result<T, SourceError>, is_true: impl FnOnce(&T) -> bool) {
    match result {
        Ok(told) => assert!(node().lock().is_damaged || is_true(told), "not the truth"),
        Err(error) => check_error(error),
    }
}

fn check_error(error: &SourceError) {
    let text = error.to_string();
    let missing = matches!(error, SourceError::Missing { .. });
    assert!(missing || node().lock().is_damaged, "{text}");
    assert!(
        !text.is_empty() && text.chars().count() <= MAX_TEXT,
        "{} bytes",
        text.len()
    );
    assert!(!text.contains(char::is_control), "{text:?}");
    assert!(
        !text.contains(PASSWORD) && !text.contains(AUTHORIZATION),
        "{text}"
    );
}

/// The same for what goes to a client in the node's own words.
fn check_node<T>(result: &Result<T, NodeError>, is_true: impl FnOnce(&T) -> bool) {
    match result {
        Ok(told) => assert!(node().lock().is_damaged || is_true(told), "not the truth"),
        Err(NodeError::Unavailable(error)) => check_error(error),
        Err(error) => {
            let text = error.to_string();
            assert!(!text.contains(PASSWORD) && !text.contains(AUTHORIZATION));
        }
    }
}

/// A block that there is, or one that there is not.
fn hash(choice: u8) -> BlockHash {
    let blocks = &chain().blocks;
    let block = blocks.get(usize::from(choice) % (blocks.len() + 1));
    block.map_or_else(BlockHash::all_zeros, |block| block.block_hash())
}

/// A transaction that there is.
fn transaction(choice: u8) -> &'static Transaction {
    let transactions: Vec<_> = chain().transactions().collect();
    let place = usize::from(choice) % transactions.len();
    transactions.get(place).expect("the place is one of them")
}

fn txid(choice: u8) -> Txid {
    match choice {
        0xff => Txid::all_zeros(),
        choice => transaction(choice).compute_txid(),
    }
}

/// The headers that the chain has in a range.
fn headers(start: u32, count: u32) -> Vec<Header> {
    let blocks = chain().blocks.iter().skip(start as usize);
    blocks
        .take(count as usize)
        .map(|block| block.header)
        .collect()
}

fn ask_source(client: &Bitcoind, kind: u8, [a, b, c, d]: [u8; 4]) {
    let Chain {
        blocks,
        spent,
        mempool,
    } = chain();
    let (start, count) = (u32::from(a % 8), u32::from(b % 8));
    let tip = chain().tip().block_hash();
    let height = blocks.len() as u32 - 1;
    let hash = hash(a);
    let block = chain().height(&hash).and_then(|height| blocks.get(height));
    let is_block = |bytes: &[u8]| block.is_some_and(|block| serialize(block) == bytes);
    match kind {
        0 => check(&client.tip(), |told| {
            told.hash == tip && told.height == height
        }),
        1 => {
            let told = client.headers(start, count);
            assert!(told.as_ref().is_ok_and(|told| told.len() <= count as usize) || told.is_err());
            check(&told, |told| *told == headers(start, count));
        }
        2 => {
            let told = client.block(&hash);
            if let Ok(told) = &told {
                assert_eq!(told.block.block_hash(), hash);
                assert!(told.block.check_merkle_root());
                assert_eq!(check_spent(&told.block, &told.spent), Ok(()));
            }
            check(&told, |told| {
                let height = chain().height(&hash);
                block == Some(&told.block)
                    && height.and_then(|height| spent.get(height)) == Some(&told.spent)
            });
        }
        3 => check(&client.raw_block(&hash), |told| is_block(&told.block)),
        4 => check(&client.block_bytes(&hash), |told| is_block(told)),
        5 => {
            let told = client.headers_with_counts(start, count);
            if let Ok(told) = &told {
                assert!(told.len() <= count as usize);
                assert!(told.iter().all(|(_, count)| *count > 0));
            }
            let counts = blocks.iter().map(|block| block.txdata.len() as u32);
            let counts = counts.skip(start as usize);
            check(&told, |told| {
                *told
                    == headers(start, count)
                        .into_iter()
                        .zip(counts)
                        .collect::<Vec<_>>()
            });
        }
        6 => {
            let scripts = [ScriptBuf::new(), ScriptBuf::from_bytes(vec![a, b])];
            let told = client.filtered(&scripts, start..=start + count);
            let covers = start + count <= height;
            check(&told, |told| *told == covers.then(|| vec![tip]));
        }
        7 => check(&client.request_block(&hash, usize::from(b)), |told| *told),
        8 => check(&client.mempool_txids(), |told| {
            let txids = mempool.iter().map(Transaction::compute_txid);
            *told == txids.collect::<Vec<_>>()
        }),
        9 => {
            let txids = [a, b, c, d].map(txid);
            let txids = txids.get(..usize::from(d % 5)).unwrap_or_default();
            let told = client.mempool_transactions(txids);
            if let Ok(told) = &told {
                assert_eq!(told.len(), txids.len());
                let mut pairs = told.iter().zip(txids);
                assert!(
                    pairs.all(|(tx, txid)| {
                        tx.as_ref().is_none_or(|tx| tx.compute_txid() == *txid)
                    })
                );
            }
            check(&told, |told| {
                told.iter()
                    .map(Option::as_ref)
                    .eq(txids.iter().map(|txid| chain().transaction(txid)))
            });
        }
        10 => {
            let outpoints = [(a, b), (c, d)].map(|(tx, vout)| OutPoint {
                txid: txid(tx),
                vout: u32::from(vout % 4),
            });
            let outpoints = outpoints.get(..usize::from(b % 3)).unwrap_or_default();
            let told = client.unspent_outputs(outpoints);
            assert!(
                told.as_ref()
                    .is_ok_and(|told| told.len() == outpoints.len())
                    || told.is_err()
            );
            check(&told, |told| {
                let outputs = outpoints.iter().map(|outpoint| chain().unspent(outpoint));
                told.iter().map(Option::as_ref).eq(outputs)
            });
        }
        11 => {
            let told = client.wait_for_change(hash, Duration::from_millis(1));
            check(&told, |told| *told == (hash != tip));
        }
        _ => check(&client.mempool_fingerprint(), |told| {
            told.count == mempool.len() as u64
                && told.fees.to_sat() == 200_000_000
                && told.usage == answers::USAGE
        }),
    }
}

fn ask_node(client: &Bitcoind, kind: u8, [a, b, c, d]: [u8; 4]) {
    let tx = transaction(a);
    let raw_txs = [a, b].map(|choice| serialize(transaction(choice)));
    let raw_txs = raw_txs.get(..usize::from(c % 3)).unwrap_or_default();
    let block = (d & 1 == 0).then(|| hash(b));
    match kind {
        13 => {
            let told = client.broadcast(&serialize(tx));
            assert!(told.as_ref().is_ok_and(|told| *told == tx.compute_txid()) || told.is_err());
            check_node(&told, |_| true);
        }
        14 => check_node(&client.submit_package(raw_txs), |told| {
            told.success && told.errors.is_empty()
        }),
        15 => {
            let told = client.test_mempool_accept(raw_txs);
            if let Ok(told) = &told {
                assert_eq!(told.len(), raw_txs.len());
                let mut pairs = told.iter().zip([a, b]);
                assert!(
                    pairs.all(|(told, choice)| told.txid == transaction(choice).compute_txid())
                );
            }
            check_node(&told, |told| {
                told.iter().all(|told| told.allowed == Some(true))
            });
        }
        16 => check_node(&client.estimate_fee(u32::from(a), None), |told| {
            told.is_some_and(|told| told.0.to_sat() == answers::ESTIMATE)
        }),
        17 => check_node(&client.relay_fee(), |told| {
            told.0.to_sat() == answers::RELAY_FEE
        }),
        18 => check_node(&client.mempool_fees(), |told| {
            told.incremental_relay_fee.0.to_sat() == answers::RELAY_FEE
        }),
        19 => {
            let range = u32::from(a)..u32::from(b);
            let told = client.block_part(&hash(c), range.clone());
            if let Ok(Some(told)) = &told {
                assert_eq!(told.len(), range.len());
            }
            check_node(&told, |told| {
                let block = chain()
                    .height(&hash(c))
                    .and_then(|height| chain().blocks.get(height));
                let bytes = block.map(serialize).unwrap_or_default();
                told.as_ref().is_none_or(|told| {
                    bytes.get(range.start as usize..range.end as usize) == Some(told)
                        || range.is_empty()
                })
            });
        }
        20 => {
            let told = client.raw_transaction(&tx.compute_txid(), block.as_ref());
            if let Ok(told) = &told {
                let told: Result<Transaction, _> =
                    electrum_server_core::bitcoin::consensus::deserialize(told);
                assert!(told.is_ok_and(|told| told.compute_txid() == tx.compute_txid()));
            }
            check_node(&told, |told| *told == serialize(tx));
        }
        21 => {
            let told = client.verbose_transaction(&tx.compute_txid(), block.as_ref(), usize::MAX);
            check_node(&told, |told| {
                told.get().contains(&tx.compute_txid().to_string())
            });
        }
        _ => check_node(&client.user_agent(), |told| told == answers::USER_AGENT),
    }
}

/// Connects to the node once more.
fn connect([a, ..]: [u8; 4]) {
    let config = config();
    let client = match a & 1 {
        0 => Bitcoind::connect(&config),
        _ => Bitcoind::connect_pruned(&config),
    };
    let has_rest = node().lock().has_rest;
    check(&client, |client| client.uses_rest() == has_rest);
}

#[cfg(test)]
mod tests {
    use proptest::collection::vec;
    use proptest::prelude::*;

    use super::node_answers;

    proptest! {
        #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(400) })]

        #[test]
        fn any_bytes(data in vec(any::<u8>(), 0..120)) {
            node_answers(&data);
        }
    }

    /// Every question, to a node with REST and to one without, whose answers are good and sent in every good way.
    #[test]
    fn good_answers_are_the_truth() {
        for kind in (0..24).chain(128..152) {
            for choice in (0..=u8::MAX).step_by(9) {
                node_answers(&[kind, choice, choice / 7, choice / 3, choice % 5]);
            }
            for way in [0, 168, 176, 184] {
                let answers = [0, way, 40].repeat(6);
                node_answers(&[&[kind, 2, 3, 4, 0][..], &answers].concat());
            }
        }
    }
}
