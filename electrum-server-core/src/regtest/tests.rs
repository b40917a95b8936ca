//! The node by itself.

use std::time::{Duration, Instant};

use bitcoin::{
    Amount, OutPoint, ScriptBuf, Sequence, Transaction, TxIn, TxOut, Txid, absolute, transaction,
};

use super::*;
use crate::chain::{ChainSource, Node};

fn somebody() -> ScriptBuf {
    ScriptBuf::new_p2wsh(&ScriptBuf::from_bytes(vec![0x51]).wscript_hash())
}

#[test]
fn the_faucet_pays_exactly() {
    let begin = Instant::now();
    let node = RegtestNode::default();
    assert_eq!(node.height(), 101);
    let txid = node.fund(&somebody(), Amount::from_sat(123_456)).unwrap();
    assert_eq!(node.mempool(), [txid]);
    println!("funded after {:?}", begin.elapsed());
    let before = node.snapshot();
    let hash = node.mine_to_faucet(1)[0];
    assert_eq!(node.mempool(), []);
    let block = node.get_block(&hash).unwrap();
    assert_eq!(block.txdata[1].output[0].value, Amount::from_sat(123_456));
    node.reorg(1);
    assert_eq!(node.mempool(), [txid]);
    node.restore(&before);
    assert_eq!(node.height(), 101);
    assert_eq!(node.mine_to_faucet(1), [hash], "the same again");
}

#[cfg(feature = "net")]
mod served {
    use std::io::{BufRead, BufReader, Write};
    use std::net::TcpStream;

    use electrum_protocol::ScriptHash;
    use serde_json::Value;

    use super::*;

    fn ask(stream: &mut BufReader<TcpStream>, request: &str) -> Value {
        stream
            .get_mut()
            .write_all(format!("{request}\n").as_bytes())
            .unwrap();
        let mut line = String::new();
        stream.read_line(&mut line).unwrap();
        serde_json::from_str(&line).unwrap()
    }

    #[test]
    fn a_client_sees_at_once_what_the_node_has() {
        let begin = Instant::now();
        let server = TestServer::start().unwrap();
        let mut stream = BufReader::new(TcpStream::connect(server.address()).unwrap());
        let hash = ScriptHash::from_script(&somebody());
        let request = format!(
            r#"{{"id":1,"method":"blockchain.scripthash.get_balance","params":["{hash}"]}}"#
        );
        server
            .node()
            .fund(&somebody(), Amount::from_sat(70_000))
            .unwrap();
        let reply = ask(&mut stream, &request);
        assert_eq!(reply["result"]["unconfirmed"], 70_000, "{reply}");
        println!("{:?} until a client sees its coins", begin.elapsed());
        server.node().mine_to_faucet(1);
        let reply = ask(&mut stream, &request);
        assert_eq!(reply["result"]["confirmed"], 70_000, "{reply}");
        server.node().reorg(1);
        let reply = ask(&mut stream, &request);
        assert_eq!(reply["result"]["unconfirmed"], 70_000, "{reply}");
        let begin = Instant::now();
        drop(server);
        println!("{:?} to end", begin.elapsed());
    }
}

#[test]
fn the_faucet_pays_hundreds_between_two_blocks() {
    let node = RegtestNode::default();
    for _ in 0..300 {
        node.fund(&somebody(), Amount::from_sat(100_000)).unwrap();
    }
    node.mine_to_faucet(1);
    assert_eq!(node.mempool(), []);
    assert!(node.fund(&somebody(), Amount::from_int_btc(90)).is_ok());
    let error = node
        .fund(&somebody(), Amount::from_int_btc(90))
        .unwrap_err();
    assert!(matches!(error, FundError::Dry { .. }), "{error}");
}

/// Spends the first output of a transaction of the mempool, which pays to [`somebody`], back to him.
fn spend(node: &RegtestNode, txid: Txid, fee: u64) -> Transaction {
    let funding = node.mempool_transaction(&txid).unwrap();
    let mut tx = Transaction {
        version: transaction::Version::TWO,
        lock_time: absolute::LockTime::ZERO,
        input: vec![TxIn {
            previous_output: OutPoint::new(txid, 0),
            sequence: Sequence::ENABLE_RBF_NO_LOCKTIME,
            ..TxIn::default()
        }],
        output: vec![TxOut {
            value: funding.output[0].value - Amount::from_sat(fee),
            script_pubkey: somebody(),
        }],
    };
    tx.input[0].witness.push([0x51]);
    tx
}

#[test]
fn a_full_mempool_drops_what_pays_least() {
    let node = RegtestNode::default();
    let fund = || node.fund(&somebody(), Amount::from_sat(1_000_000)).unwrap();
    let (first, second) = (fund(), fund());
    let poor = node.send(&spend(&node, first, 100)).unwrap();
    let rich = node.send(&spend(&node, second, 50_000)).unwrap();
    let size: usize = node
        .mempool()
        .iter()
        .map(|txid| node.mempool_transaction(txid).unwrap().vsize())
        .sum();
    node.limit_mempool(size as u64 - 1);
    assert!(!node.mempool().contains(&poor));
    assert!(node.mempool().contains(&rich));
    let reject = node.send(&spend(&node, first, 100)).unwrap_err();
    assert_eq!(reject.reason, "mempool min fee not met");
    node.mine_to_faucet(1);
    assert_eq!(
        node.mempool_fees().unwrap().mempool_min_fee.0,
        Amount::from_sat(100)
    );
}

#[test]
fn transactions_are_dropped_and_replaced_at_will() {
    let node = RegtestNode::default();
    let funding = node.fund(&somebody(), Amount::from_sat(1_000_000)).unwrap();
    let paid = node.send(&spend(&node, funding, 10_000)).unwrap();
    let cheaper = spend(&node, funding, 5_000);
    assert_eq!(node.send(&cheaper).unwrap_err().reason, "insufficient fee");
    let forced = node.force_replacement(&cheaper).unwrap();
    assert_eq!(node.mempool(), [funding, forced]);
    let mut worthless = spend(&node, funding, 4_000);
    worthless.input[0].witness.clear();
    assert!(node.force_replacement(&worthless).is_err());
    assert_eq!(
        node.mempool(),
        [funding, forced],
        "what is refused changes nothing"
    );
    assert!(node.drop_transaction(&funding));
    assert!(!node.drop_transaction(&paid));
    assert_eq!(node.mempool(), []);
}

#[test]
fn the_same_calls_make_the_same_chain() {
    let run = |seed| {
        let node = RegtestNode::new(RegtestOptions {
            seed,
            ..RegtestOptions::default()
        });
        node.fund(&somebody(), Amount::from_sat(1_000)).unwrap();
        node.reorg(3);
        node.mine(2, &somebody());
        node.best_block()
    };
    assert_eq!(run(5), run(5));
    assert_ne!(run(5), run(6));
}

#[test]
fn forks_go_their_own_ways() {
    let node = RegtestNode::default();
    let txid = node.fund(&somebody(), Amount::from_sat(1_000)).unwrap();
    let forks: Vec<_> = (0..4).map(|_| node.fork()).collect();
    node.drop_transaction(&txid);
    let threads = (0..).zip(forks).map(|(count, fork)| {
        std::thread::spawn(move || {
            fork.mine_to_faucet(count);
            (fork.height(), fork.mempool().len())
        })
    });
    let ends: Vec<_> = threads.collect();
    let ends = ends.into_iter().map(|thread| thread.join().unwrap());
    assert_eq!(
        ends.collect::<Vec<_>>(),
        [(101, 1), (102, 0), (103, 0), (104, 0)]
    );
    assert_eq!(node.mempool(), []);
}

#[test]
fn a_pause_hides_changes_from_followers() {
    let node = RegtestNode::default();
    let tip = node.best_block();
    node.pause();
    let txid = node.fund(&somebody(), Amount::from_sat(1_000)).unwrap();
    node.mine_to_faucet(1);
    assert_eq!(node.height(), 102);
    assert_eq!(node.tip().unwrap(), tip);
    assert_eq!(node.headers(100, 10).unwrap().len(), 2);
    assert!(!node.wait_for_change(tip.hash, Duration::ZERO).unwrap());
    node.resume();
    assert_eq!(node.tip().unwrap().height, 102);
    assert!(node.wait_for_change(tip.hash, Duration::ZERO).unwrap());
    assert_eq!(node.block_of(&txid), node.block_hash(102));
}

#[test]
fn time_is_what_it_is_told_to_be() {
    let node = RegtestNode::default();
    let begin = node.time();
    let mut locked = spend(
        &node,
        node.fund(&somebody(), Amount::from_sat(9_000)).unwrap(),
        500,
    );
    locked.lock_time = absolute::LockTime::from_consensus(begin + 50_000);
    locked.input[0].sequence = Sequence::ZERO;
    assert_eq!(node.send(&locked).unwrap_err().reason, "non-final");
    node.set_time(Some(begin + 100_000));
    node.mine_to_faucet(6);
    // Its parent is mined by now, its time has come.
    assert!(node.send(&locked).is_ok());
}

/// Five hundred blocks, remembered and returned to.
#[test]
fn snapshots_copy_nothing() {
    let node = RegtestNode::default();
    node.mine_to_faucet(400);
    let begin = Instant::now();
    let rounds = 100;
    for _ in 0..rounds {
        let snapshot = node.snapshot();
        node.restore(&snapshot);
    }
    println!("{:?} for a snapshot and back", begin.elapsed() / rounds);
}

#[test]
fn what_is_saved_comes_back() {
    let node = RegtestNode::default();
    let first = node.fund(&somebody(), Amount::from_sat(100_000)).unwrap();
    let stale = node.mine_to_faucet(1)[0];
    node.reorg(1);
    let second = node.fund(&somebody(), Amount::from_sat(50_000)).unwrap();
    let text = node.save();
    let again = RegtestNode::load(&text, RegtestOptions::default()).unwrap();
    assert_eq!(again.best_block(), node.best_block());
    assert_eq!(again.mempool(), node.mempool());
    assert!(again.mempool().contains(&first) && again.mempool().contains(&second));
    assert!(again.knows(&stale));
    assert_eq!(again.save(), text);
    // The same happens next.
    assert_eq!(again.mine_to_faucet(3), node.mine_to_faucet(3));
    assert_eq!(again.faucet_balance(), node.faucet_balance());

    let load = |text: &str| RegtestNode::load(text, RegtestOptions::default());
    assert_eq!(load("nonsense").unwrap_err(), LoadError::Headline);
    let cut: String = text
        .lines()
        .take(50)
        .map(|line| format!("{line}\n"))
        .collect();
    assert!(load(&cut).is_err());
}
