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
