//! Sessions of the versions before 1.4.

use bitcoin::{Address, Network};
use electrum_protocol::method::headers::TipResponse;
use electrum_protocol::method::transaction::BroadcastResponse;
use electrum_protocol::method::{
    address, block, headers, numblocks, scripthash, transaction, utxo,
};
use electrum_protocol::{ErrorCode, Notification, ProtocolVersion, VersionRange};

use super::chain::{script, script_hash};
use super::handlers::{error, stage};
use super::stage::Stage;
use super::talk::Talk;
use crate::chain::NodeError;

fn talk(stage: &Stage, version: ProtocolVersion) -> Talk {
    stage.talk().introduce(VersionRange::exactly(version))
}

fn address(n: u8) -> String {
    let address = Address::from_script(&script(n), Network::Regtest).unwrap();
    address.to_string()
}

/// Whoever subscribes again by another name hears under that name what has changed; under the first it must hear of it
/// as well.
#[test]
fn one_script_under_two_names() {
    let mut stage = Stage::new();
    let mut talk = stage
        .talk()
        .introduce(VersionRange::exactly(ProtocolVersion::V1_2));
    let address = Address::from_script(&script(1), Network::Regtest).unwrap();
    let by_hash = format!(
        "{{\"id\":5,\"method\":\"blockchain.scripthash.subscribe\",\"params\":[\"{}\"]}}\n",
        script_hash(1)
    );
    let by_address = format!(
        "{{\"id\":6,\"method\":\"blockchain.address.subscribe\",\"params\":[\"{address}\"]}}\n"
    );
    assert_eq!(talk.say(&by_hash).len(), 1);
    stage.mine(1, &[]);
    // The update has not arrived yet, the view is published already.
    let lines = talk.say(&by_address);
    let status = stage.view().status(&script_hash(1), None).unwrap().unwrap();
    assert_eq!(lines.len(), 2);
    assert!(lines[0].contains(&format!("\"id\":6,\"result\":\"{status}\"")));
    let told = format!("\"params\":[\"{}\",\"{status}\"]", script_hash(1));
    assert!(lines[1].contains(&told), "{}", lines[1]);
    assert_eq!(talk.update(stage.last_update()), [""; 0]);
}

#[test]
fn addresses_answer_as_their_scripts_do() {
    let stage = stage();
    let mut talk = talk(&stage, ProtocolVersion::V1_2);
    for n in [1, 2, 3, 9, 77] {
        let (address, script_hash) = (address(n), script_hash(n));
        assert_eq!(
            talk.ask(address::GetBalance {
                address: address.clone()
            }),
            talk.ask(scripthash::GetBalance { script_hash }),
        );
        let history = talk.ask(address::GetHistory {
            address: address.clone(),
        });
        assert_eq!(
            history,
            talk.ask(scripthash::GetHistory::whole(script_hash))
        );
        assert_eq!(history.unwrap().len(), stage.chain.history(n).len());
        assert_eq!(
            talk.ask(address::GetMempool {
                address: address.clone()
            }),
            talk.ask(scripthash::GetMempool { script_hash }),
        );
        assert_eq!(
            talk.ask(address::ListUnspent {
                address: address.clone()
            }),
            talk.ask(scripthash::ListUnspent { script_hash }),
        );
        assert_eq!(
            talk.ask(address::Subscribe { address }),
            talk.ask(scripthash::Subscribe { script_hash }),
        );
    }
}

#[test]
fn only_addresses_of_the_network_are_addresses() {
    let stage = stage();
    let mut talk = talk(&stage, ProtocolVersion::V1_0);
    let mainnet = Address::from_script(&script(1), Network::Bitcoin).unwrap();
    for text in [
        &mainnet.to_string(),
        "1NS17iag9jJgTHD1VXjvLCEnZuQ3rJDE9L",
        "",
        "x",
    ] {
        let address = text.to_owned();
        let expected = error(
            ErrorCode::BAD_REQUEST,
            format!("{text} is not a valid address"),
        );
        assert_eq!(talk.ask(address::GetBalance { address }), Err(expected));
    }
    let address = "\u{1f4a9}".repeat(10_000);
    let answer = talk.ask(address::Subscribe { address }).unwrap_err();
    assert!(answer.message.len() < 500);
}

#[test]
fn changes_are_told_under_every_name() {
    let mut stage = stage();
    let mut talk = talk(&stage, ProtocolVersion::V1_1);
    let lower = address(1);
    let upper = lower.to_uppercase();
    for address in [&lower, &upper, &lower] {
        let address = address.clone();
        talk.ask(address::Subscribe { address }).unwrap();
    }
    let of = |stage: &Stage| stage.view().status(&script_hash(1), None).unwrap();
    stage.mine(1, &[]);
    let by_address = |status| {
        let say = |address: &String| Notification::Address {
            address: address.clone(),
            status,
        };
        [&lower, &upper].map(say)
    };
    let version = ProtocolVersion::V1_1;
    let lines = |notifications: &[Notification]| -> Vec<String> {
        let line = |notification: &Notification| {
            let mut line = Vec::new();
            notification.encode(version, &mut line);
            String::from_utf8(line).unwrap()
        };
        notifications.iter().map(line).collect()
    };
    assert_eq!(
        talk.update(stage.last_update()),
        lines(&by_address(of(&stage)))
    );
    // The same script by its hash as well.
    let script_hash = script_hash(1);
    talk.ask(scripthash::Subscribe { script_hash }).unwrap();
    stage.mine(1, &[]);
    let status = of(&stage);
    let mut expected = vec![Notification::ScriptHash {
        script_hash,
        status,
    }];
    expected.extend(by_address(status));
    assert_eq!(talk.update(stage.last_update()), lines(&expected));
    assert_eq!(talk.update(stage.last_update()), [""; 0]);
}

#[test]
fn tips_come_in_the_form_that_was_asked_for() {
    let mut stage = stage();
    let tip = stage.view().tip();
    let mut old = talk(&stage, ProtocolVersion::V0_10);
    assert_eq!(old.ask(numblocks::Subscribe), Ok(12));
    let answer = old.ask(headers::Subscribe::RAW);
    assert_eq!(answer, Ok(TipResponse::Deserialized(tip)));
    let mut middle = talk(&stage, ProtocolVersion::V1_3);
    let answer = middle.ask(headers::Subscribe { raw: false });
    assert_eq!(answer, Ok(TipResponse::Deserialized(tip)));
    let answer = middle.ask(headers::Subscribe { raw: true });
    assert_eq!(answer, Ok(TipResponse::Raw(tip)));
    stage.mine(1, &[]);
    let tip = stage.view().tip();
    let lines = old.update(stage.last_update());
    assert_eq!(lines.len(), 2);
    assert!(lines[0].starts_with("{\"id\":null,\"method\":\"blockchain.headers.subscribe\",\"params\":[{\"block_height\":13,"), "{}", lines[0]);
    assert_eq!(
        lines[1],
        "{\"id\":null,\"method\":\"blockchain.numblocks.subscribe\",\"params\":13}"
    );
    let lines = middle.update(stage.last_update());
    assert_eq!(lines.len(), 1);
    assert!(lines[0].contains(&bitcoin::consensus::encode::serialize_hex(&tip.header)));
}

#[test]
fn headers_taken_apart_and_in_chunks() {
    let stage = stage();
    let mut talk = talk(&stage, ProtocolVersion::V1_3);
    let header = talk.ask(block::GetHeader { height: 7 }).unwrap().0;
    assert_eq!(
        (header.height, header.header),
        (7, stage.chain.blocks[7].header)
    );
    let expected = error(ErrorCode::BAD_REQUEST, "height 13 out of range");
    assert_eq!(talk.ask(block::GetHeader { height: 13 }), Err(expected));
    let all: Vec<_> = stage
        .chain
        .blocks
        .iter()
        .map(|block| block.header)
        .collect();
    assert_eq!(talk.ask(block::GetChunk { index: 0 }).unwrap().0, all);
    for index in [1, 2_130_439, 2_130_440, u32::MAX] {
        assert_eq!(talk.ask(block::GetChunk { index }).unwrap().0, []);
    }
}

#[test]
fn a_refused_transaction_was_a_result_once() {
    let stage = stage();
    let refuse = || {
        stage.node.answers_broadcast(Err(NodeError::Rpc {
            code: -26,
            message: "258: txn-mempool-conflict".to_owned(),
        }));
    };
    let request = || transaction::Broadcast { raw_tx: vec![1] };
    for version in [ProtocolVersion::V0_10, ProtocolVersion::V1_0] {
        refuse();
        let rejected = BroadcastResponse::Rejected("258: txn-mempool-conflict".to_owned());
        assert_eq!(talk(&stage, version).ask(request()), Ok(rejected));
    }
    refuse();
    let answer = talk(&stage, ProtocolVersion::V1_1)
        .ask(request())
        .unwrap_err();
    assert_eq!(answer.code, ErrorCode::BAD_REQUEST);
}

#[test]
fn errors_of_the_node_in_0_10() {
    let stage = stage();
    let mut talk = talk(&stage, ProtocolVersion::V0_10);
    let lines = talk.say(&format!(
        "{{\"id\":17,\"method\":\"blockchain.transaction.get\",\"params\":[\"{}\"]}}\n",
        "07".repeat(32)
    ));
    assert_eq!(
        lines,
        [
            "{\"id\":17,\"error\":\"{ u'message': u'No such mempool or blockchain transaction. \
          Use gettransaction for wallet transactions.', u'code': -5 }\"}"
        ]
    );
}

#[test]
fn addresses_of_outputs() {
    let stage = stage();
    let mut talk = talk(&stage, ProtocolVersion::V1_0);
    let tx = &stage.chain.blocks[11].txdata[1];
    stage
        .node
        .knows(tx, Some(stage.chain.blocks[11].block_hash()));
    let txid = tx.compute_txid();
    let mut ask = |vout| talk.ask(utxo::GetAddress { txid, vout });
    assert_eq!(ask(0), Ok(Some(address(2))), "spent or not");
    assert_eq!(ask(1), Ok(Some(address(3))));
    assert_eq!(ask(2), Ok(None));
    assert_eq!(ask(u32::MAX), Ok(None));
    let txid = "07".repeat(32).parse().unwrap();
    assert_eq!(talk.ask(utxo::GetAddress { txid, vout: 0 }), Ok(None));
}
