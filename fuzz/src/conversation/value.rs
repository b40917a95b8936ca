//! Requests, results and notifications of every kind, made of a few numbers.

use electrum_protocol::bitcoin::hashes::Hash;
use electrum_protocol::bitcoin::{Network, OutPoint, Txid, constants};
use electrum_protocol::jsonrpc::Params;
use electrum_protocol::method::headers::TipResponse;
use electrum_protocol::method::outpoint::OutpointStatus;
use electrum_protocol::method::transaction::TransactionHeight;
use electrum_protocol::{
    Confirmation, Method, Notification, ProtocolVersion, RawJson, Request, Response, ScriptHash,
    Status, Tip,
};

/// Parameters, of which every method takes some. `H` stands for a hash, `N` for a number, `T` for a text, `B` for bytes.
const PARAMS: [&str; 17] = [
    "[]",
    "[N]",
    "[N,N]",
    "[N,N,N]",
    "[N,N,true]",
    "[N,\"ECONOMICAL\"]",
    "[\"H\"]",
    "[\"H\",true]",
    "[\"H\",N]",
    "[\"H\",N,N]",
    "[\"H\",N,\"B\"]",
    "[\"B\"]",
    "[\"B\",N,N]",
    "[[\"B\",\"B\"]]",
    "[[\"B\"],true]",
    "[\"T\"]",
    "[{\"hosts\":{\"T\":{\"tcp_port\":N}},\"genesis_hash\":\"H\",\"hash_function\":\"sha256\",\
     \"server_version\":\"T\",\"protocol_min\":\"1.4\",\"protocol_max\":\"1.6\"}]",
];

/// Results, of which every method has some.
const RESULTS: [&str; 34] = [
    "null",
    "true",
    "false",
    "N",
    "-1",
    "0.000N",
    "\"H\"",
    "\"T\"",
    "\"B\"",
    "[]",
    "[\"H\",N]",
    "[[N,N],[0.5,N]]",
    "[[\"127.0.0.1\",\"T\",[\"v1.6\",\"p100\",\"sN\"]]]",
    "{}",
    "{\"confirmed\":N,\"unconfirmed\":-N}",
    "[{\"tx_hash\":\"H\",\"height\":N},{\"tx_hash\":\"H\",\"height\":-1,\"fee\":N}]",
    "{\"history\":[{\"tx_hash\":\"H\",\"height\":0,\"fee\":N}]}",
    "[{\"tx_hash\":\"H\",\"tx_pos\":N,\"height\":N,\"value\":N}]",
    "{\"utxos\":[{\"tx_hash\":\"H\",\"tx_pos\":N,\"height\":N,\"value\":N}]}",
    "{\"hex\":\"G\",\"height\":N}",
    "{\"header\":\"G\",\"branch\":[\"H\"],\"root\":\"H\"}",
    "{\"block_height\":N,\"version\":N,\"prev_block_hash\":\"H\",\"merkle_root\":\"H\",\"timestamp\":N,\"bits\":N,\"nonce\":N}",
    "{\"count\":1,\"hex\":\"G\",\"max\":N}",
    "{\"count\":1,\"headers\":[\"G\"],\"max\":N,\"branch\":[],\"root\":\"H\"}",
    "\"G\"",
    "{\"funder_height\":N,\"spender_txhash\":\"H\",\"spender_height\":-1}",
    "{\"confirmed_height\":N,\"scripthash\":\"H\",\"value\":N}",
    "{\"tx_hash\":\"H\",\"block_height\":N,\"block_hash\":\"H\"}",
    "{\"block_hash\":\"H\",\"block_height\":N,\"block_header\":\"G\"}",
    "{\"merkle\":[\"H\",\"H\"],\"block_height\":N,\"pos\":N}",
    "{\"tx_hash\":\"H\",\"merkle\":[\"H\"]}",
    "{\"success\":true,\"errors\":[{\"txid\":\"H\",\"error\":\"T\"}]}",
    "{\"mempoolminfee\":0.00001,\"minrelaytxfee\":0.000N,\"incrementalrelayfee\":0.00001}",
    "[{\"txid\":\"H\",\"wtxid\":\"H\",\"allowed\":true,\"fee\":N,\"vsize\":N}]",
];

/// What a server says about itself: the longest result.
const FEATURES: &str = "{\"hosts\":{\"T\":{\"tcp_port\":5,\"ssl_port\":null}},\"genesis_hash\":\"H\",\
    \"hash_function\":\"sha256\",\"server_version\":\"T\",\"protocol_min\":\"1.4\",\
    \"protocol_max\":\"1.7\",\"pruning\":null,\"extensions\":[\"T\"],\"limits\":{\"T\":N}}";

/// Texts that are easily written wrong.
const TEXTS: [&str; 5] = [
    "",
    "bcrt1q",
    "\\\"\\n\\u00e9\\ud83d\\ude00",
    "\\\\",
    "\\u0000 ",
];

fn fill(template: &str, a: u8, b: u8) -> String {
    let mut filled = String::new();
    let header = electrum_protocol::bitcoin::consensus::encode::serialize_hex(&header());
    for (place, character) in template.chars().enumerate() {
        let byte = a.wrapping_add((place as u8).wrapping_mul(b));
        // Words that have these letters in them stand between quotes, so letters alone are not enough to go by.
        let is_alone = !template
            .get(place + 1..)
            .and_then(|rest| rest.chars().next())
            .is_some_and(|next| next.is_ascii_alphabetic());
        match character {
            'H' => filled.push_str(&format!("{byte:02x}").repeat(32)),
            'G' => filled.push_str(&header),
            'N' if is_alone => filled.push_str(&(u32::from(byte) * u32::from(b)).to_string()),
            'B' => filled.push_str(&format!("{byte:02x}").repeat(usize::from(b % 5) + 1)),
            'T' => filled.push_str(
                TEXTS
                    .get(usize::from(byte) % TEXTS.len())
                    .copied()
                    .unwrap_or_default(),
            ),
            other => filled.push(other),
        }
    }
    filled
}

fn header() -> electrum_protocol::bitcoin::block::Header {
    constants::genesis_block(Network::Regtest).header
}

/// Makes a request of some method that every version in which it is asked can say.
pub(super) fn request(method: u8, a: u8, b: u8, version: ProtocolVersion) -> Option<Request> {
    let method = *Method::ALL.get(usize::from(method) % Method::ALL.len())?;
    let start = usize::from(a);
    let templates = PARAMS.iter().cycle().skip(start).take(PARAMS.len());
    templates
        .filter_map(|template| {
            let params = fill(template, a, b);
            Request::decode(method, Params::parse(&params).ok()?, version).ok()
        })
        .next()
}

/// Makes a result of a method.
pub(super) fn response(method: Method, a: u8, b: u8) -> Option<Response> {
    let start = usize::from(a);
    let templates = RESULTS
        .iter()
        .cycle()
        .skip(start)
        .take(RESULTS.len())
        .chain([&FEATURES]);
    templates
        .filter_map(|template| {
            let json = RawJson::parse(&fill(template, a, b)).ok()?;
            Response::decode(method, &json).ok()
        })
        .next()
}

/// Makes a notification.
pub(super) fn notification(kind: u8, a: u8, b: u8) -> Notification {
    let txid = Txid::from_byte_array([a; 32]);
    let status = (b != 0).then_some(Status::from_byte_array([b; 32]));
    match kind % 7 {
        0 => {
            let tip = Tip {
                height: a.into(),
                header: header(),
            };
            Notification::Headers(TipResponse::new(tip, b & 1 == 0))
        }
        1 => Notification::Numblocks(u32::from(a) * u32::from(b)),
        2 => Notification::ScriptHash {
            script_hash: ScriptHash::from_byte_array([a; 32]),
            status,
        },
        3 => Notification::Address {
            address: "x\n\"".repeat((a % 4).into()),
            status,
        },
        4 => Notification::Outpoint {
            outpoint: OutPoint::new(txid, b.into()),
            status: match a % 3 {
                0 => OutpointStatus::Missing,
                1 => OutpointStatus::Unspent {
                    funder: Confirmation::Block(1 + u32::from(b)),
                },
                _ => OutpointStatus::Spent {
                    funder: Confirmation::Block(1 + u32::from(b)),
                    spender: txid,
                    spender_confirmation: Confirmation::Mempool {
                        unconfirmed_parents: b & 1 == 0,
                    },
                },
            },
        },
        5 => Notification::Transaction {
            txid,
            height: match b {
                0 => TransactionHeight::Unknown,
                1 => TransactionHeight::Mempool,
                height => TransactionHeight::Block(height.into()),
            },
        },
        _ => Notification::Ping { data_len: a.into() },
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A method of which nothing can be made would never be tried.
    #[test]
    fn there_is_a_request_and_a_result_of_every_method() {
        for (number, method) in (0..).zip(Method::ALL) {
            let version = match method.exists_in(ProtocolVersion::V1_7) {
                true => ProtocolVersion::V1_7,
                false => method.added_in(),
            };
            assert!(request(number, 3, 1, version).is_some(), "{method:?}");
            assert!(response(*method, 3, 1).is_some(), "{method:?}");
        }
    }
}
