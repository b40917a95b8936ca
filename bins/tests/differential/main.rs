//! Our answers beside those of electrs and ElectrumX on one node, request by request.
//!
//! Every difference must be explained by a row of the table in `docs/differences.md`, and every row must be
//! needed. Runs on demand (`contrib/differential.sh`), because the other servers are slow to install; so does
//! `electrum-tools conformance` against all three (`contrib/conformance.sh`):
//!
//! - `BITCOIND_EXE`: Bitcoin Core 31 or later;
//! - `ELECTRS_EXE`: electrs 0.12;
//! - `ELECTRUMX_EXE`: `electrumx_server` of ElectrumX 2.0;
//! - `ELECTRUM_SERVER_EXE`: the server that is held against them, when it is not the one just built.

#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::print_stdout,
    clippy::print_stderr
)]

mod compare;
mod conformance;
mod corpus;
mod peers;
#[path = "../../../electrum-server-core/tests/common/mod.rs"]
mod regtest;

use std::collections::BTreeMap;

use bitcoin::consensus::encode::serialize_hex;
use bitcoin::hashes::{Hash, sha256};
use bitcoin::{Amount, ScriptBuf, Txid};

use compare::{Explained, Outcome};
use corpus::{Case, Facts};
use peers::{Connection, NodeAddress, Server};
use regtest::{Coin, RegtestNode, Script, free_port, pay, spend};

const DIFFERENCES: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../docs/differences.md");

#[test]
#[ignore = "needs electrs and ElectrumX: run contrib/differential.sh"]
fn every_difference_is_explained() {
    let side_by_side = SideBySide::start();
    let SideBySide {
        facts,
        servers: [ours, electrs, electrumx],
        ..
    } = &side_by_side;

    let mut explained = Explained::read(&std::fs::read_to_string(DIFFERENCES).unwrap());
    let mut unexplained = 0;
    for (version, peers) in [("1.4", vec![electrs, electrumx]), ("1.6", vec![electrumx])] {
        let cases = corpus::cases(facts, version);
        let our_answers = ask_all(ours, version, &cases);
        for peer in peers {
            let their_answers = ask_all(peer, version, &cases);
            let mut same = 0;
            let mut new: BTreeMap<String, String> = BTreeMap::new();
            for ((case, ours), theirs) in cases.iter().zip(&our_answers).zip(&their_answers) {
                if ours.agrees_with(theirs) {
                    same += 1;
                    continue;
                }
                let row = explained
                    .iter_mut()
                    .find(|row| row.explains(peer.name, &case.label, ours, theirs));
                match row {
                    Some(row) => row.used += 1,
                    None => {
                        let row = format!(
                            "| {} | {} | {} | {} |",
                            peer.name,
                            case.label,
                            ours.kind(),
                            theirs.kind()
                        );
                        new.entry(row).or_insert_with(|| {
                            format!("  {}\n    ours:   {ours}\n    theirs: {theirs}", case.line)
                        });
                    }
                }
            }
            println!(
                "{version}, {}: {} requests, {same} the same",
                peer.name,
                cases.len()
            );
            for (row, example) in &new {
                println!("{row}\n{example}");
            }
            unexplained += new.len();
        }
    }
    let idle: Vec<String> = explained
        .iter()
        .filter(|row| row.used == 0)
        .map(Explained::row)
        .collect();
    for row in &idle {
        println!("no longer needed: {row}");
    }
    assert_eq!(
        unexplained, 0,
        "differences that docs/differences.md does not explain"
    );
    assert!(
        idle.is_empty(),
        "rows of docs/differences.md that no difference needs"
    );
}

/// Our server, electrs and ElectrumX in front of one node, all of which know its chain and its mempool.
struct SideBySide {
    facts: Facts,
    /// Ends before the node that they follow.
    servers: [Server; 3],
    _dir: tempfile::TempDir,
    _node: RegtestNode,
}

impl SideBySide {
    fn start() -> Self {
        let exe = |name: &str| std::env::var(name).unwrap_or_else(|_| panic!("set {name}"));
        let node = RegtestNode::start_with(&["-rest=1", "-txindex=1", "-txospenderindex=1"]);
        let (facts, watched) = furnish(&node);
        let dir = tempfile::tempdir().unwrap();
        let cookie = std::fs::read_to_string(node.cookie_file()).unwrap();
        let address = NodeAddress {
            data_dir: node.daemon_dir(),
            rpc_port: node.rpc_port(),
            cookie: &cookie,
        };
        let built = env!("CARGO_BIN_EXE_electrum-server").to_owned();
        let ours = std::env::var("ELECTRUM_SERVER_EXE").unwrap_or(built);
        let ports = [free_port(), free_port()];
        let servers = [
            Server::ours(&ours, &address, dir.path(), free_port()),
            Server::electrs(&exe("ELECTRS_EXE"), &address, dir.path(), ports),
            Server::electrumx(&exe("ELECTRUMX_EXE"), &address, dir.path(), free_port()),
        ];
        for server in &servers {
            server.wait_until_it_shows(&watched.0, watched.1);
        }
        Self {
            facts,
            servers,
            _dir: dir,
            _node: node,
        }
    }
}

/// Asks one server everything, in a new session whenever it closes one.
fn ask_all(server: &Server, version: &str, cases: &[Case]) -> Vec<Outcome> {
    let mut connection = Connection::open(server, version).unwrap();
    cases
        .iter()
        .map(|case| {
            let mut outcome = connection.ask(&case.line);
            if case.label.starts_with("blockchain.scripthash.listunspent") {
                outcome = outcome.sorted();
            }
            if matches!(outcome, Outcome::Closed | Outcome::Silence) {
                connection = Connection::open(server, version).unwrap();
            }
            outcome
        })
        .collect()
}

/// Builds the chain and the mempool that the requests are about. Also tells the script hash, and how many
/// entries its history has, by which a server shows that it has seen it all.
fn furnish(node: &RegtestNode) -> (Facts, (String, usize)) {
    let [miner, busy, once, spent, parent, child, both] = [0, 1, 2, 3, 4, 5, 6].map(Script::new);
    node.mine(110, &miner);
    let sats = Amount::from_sat;
    let fee = sats(2_000);

    // Five outputs of different worth, some to one script, one of them provably unspendable.
    let coin = node.coinbase(1, &miner);
    let data = ScriptBuf::new_op_return([0x42; 8]);
    let fan = spend(
        &[coin],
        &[
            (busy.output_script(), sats(100_000)),
            (busy.output_script(), sats(200_000)),
            (once.output_script(), sats(300_000)),
            (spent.output_script(), sats(400_000)),
            (data, sats(0)),
            (both.output_script(), sats(500_000)),
            (miner.output_script(), coin.value - sats(1_600_000)),
        ],
    );
    // Spends in the same block: an output of `fan`, paid back to the script that it came from.
    let inner = spend(
        &[Coin::of(&fan, 3, &spent)],
        &[
            (busy.output_script(), sats(150_000)),
            (busy.output_script(), sats(240_000)),
        ],
    );
    node.mine_exactly(&[fan.clone(), inner.clone()], &miner);
    // A busy script: forty transactions over four blocks, several in a block.
    let mut change = Coin::of(&fan, 6, &miner);
    for _ in 0..4 {
        let mut block = Vec::new();
        for _ in 0..10 {
            let value = change.value - sats(12_000);
            let transaction = spend(
                &[change],
                &[
                    (busy.output_script(), sats(10_000)),
                    (miner.output_script(), value),
                ],
            );
            change = Coin::of(&transaction, 1, &miner);
            block.push(transaction);
        }
        node.mine_exactly(&block, &miner);
    }
    node.mine(3, &miner);

    // The mempool: one plain payment, a chain of three whose later parts have unconfirmed parents, and a
    // spend of a confirmed coin to its own script.
    let plain = pay(Coin::of(&fan, 2, &once), &busy, fee);
    let first = pay(node.coinbase(2, &miner), &parent, fee);
    let second = pay(Coin::of(&first, 0, &parent), &child, fee + sats(500));
    let third = pay(Coin::of(&second, 0, &child), &busy, fee + sats(900));
    let own = pay(Coin::of(&fan, 5, &both), &both, fee);
    let unconfirmed: Vec<Txid> = [&plain, &first, &second, &third, &own]
        .map(|transaction| node.send(transaction))
        .to_vec();

    let never = Script::new(99);
    let scripts = [busy, miner, once, spent, parent, child, both, never];
    let mut script_hashes: Vec<String> = scripts
        .iter()
        .map(|script| script_hash(&script.output_script()))
        .collect();
    script_hashes.push(script_hash(&ScriptBuf::new_op_return([0x42; 8])));
    let mut confirmed = Vec::new();
    for height in [0, 1, 111, 112, 115] {
        let block = node.block(node.block_hash(height));
        for position in [0, 1, 2, 7, 10] {
            if let Some(transaction) = block.txdata.get(position) {
                let txid = transaction.compute_txid().to_string();
                confirmed.push((txid, u64::from(height), position as u64));
            }
        }
    }
    let watched = (script_hash(&busy.output_script()), 1 + 1 + 40 + 2);
    let facts = Facts {
        height: u64::from(node.height()),
        script_hashes,
        confirmed,
        unconfirmed: unconfirmed.iter().map(Txid::to_string).collect(),
        known_raw: serialize_hex(&fan),
    };
    (facts, watched)
}

/// SHA-256 of the script, bytes reversed, in hex.
fn script_hash(script: &ScriptBuf) -> String {
    let mut bytes = sha256::Hash::hash(script.as_bytes()).to_byte_array();
    bytes.reverse();
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}
