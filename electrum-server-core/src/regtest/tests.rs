//! The node by itself.

use bitcoin::{Amount, ScriptBuf};

use super::*;

fn somebody() -> ScriptBuf {
    ScriptBuf::new_p2wsh(&ScriptBuf::from_bytes(vec![0x51]).wscript_hash())
}

#[test]
fn the_faucet_pays_exactly() {
    let begin = std::time::Instant::now();
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
    use std::time::Instant;

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
