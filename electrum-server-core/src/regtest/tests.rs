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
