//! What a client may send: requests of the method table, right and nearly right.

use arbitrary::Arbitrary;
use electrum_protocol::{Method, ProtocolVersion, ScriptHash};
use electrum_server_core::bitcoin::{Address, Network, consensus};

use super::world::{World, script};

/// A request, by numbers.
#[derive(Arbitrary, Clone, Copy, Debug)]
pub(super) struct Asked {
    method: u8,
    id: u8,
    a: u8,
    b: u8,
    flags: u8,
}

/// Returns the text of a request; `number` is its id if it has one of its own.
pub(super) fn request(asked: Asked, number: u32, world: &World) -> String {
    let id = match asked.id % 16 {
        0 => String::new(),
        1 => "\"id\":null,".to_owned(),
        2 => "\"id\":7,".to_owned(),
        3 => format!("\"id\":\"\\u0061{number}\","),
        4 => format!("\"id\":-{number}.5e1,"),
        5 => "\"id\":[],".to_owned(),
        _ => format!("\"id\":{number},"),
    };
    let (method, params) = method_and_params(asked, world);
    format!("{{{id}\"method\":\"{method}\",\"params\":{params}}}")
}

/// The methods that most is to be known about come more often than by their number.
const OFTEN: [Method; 8] = [
    Method::HeadersSubscribe,
    Method::ScripthashSubscribe,
    Method::ScripthashUnsubscribe,
    Method::ScriptpubkeySubscribe,
    Method::AddressSubscribe,
    Method::OutpointSubscribe,
    Method::TransactionSubscribe,
    Method::TransactionGet,
];

fn method_and_params(asked: Asked, world: &World) -> (&'static str, String) {
    let Asked { a, b, flags, .. } = asked;
    let number = usize::from(asked.method);
    let method = match number.checked_sub(Method::ALL.len()) {
        None => Method::ALL.get(number).copied(),
        Some(rest) => OFTEN.get(rest % (OFTEN.len() + 1)).copied(),
    };
    let Some(method) = method else {
        let spoken = ProtocolVersion::SPOKEN;
        let pick = |n: u8| spoken.get(usize::from(n) % spoken.len());
        let versions = match (pick(a), pick(b)) {
            (Some(only), _) if flags & 1 == 0 => format!("\"{only}\""),
            (Some(least), Some(most)) => format!("[\"{least}\",\"{most}\"]"),
            _ => "null".to_owned(),
        };
        return ("server.version", format!("[\"fuzz\",{versions}]"));
    };
    let flag = flags & 1 == 0;
    let script = script(a);
    let hash = ScriptHash::from_script(&script);
    let txid = world.txid(a);
    // Mostly one that is there.
    let vout = b % 3;
    let heights = match flags % 3 {
        0 => format!(",{}", b % 8),
        1 => format!(",{},{}", b % 8, b / 8 % 8),
        _ => String::new(),
    };
    let raw_tx = || match world.unsent(a, [b, b.wrapping_add(1)]) {
        Some(tx) => consensus::encode::serialize_hex(&tx),
        None => "00".to_owned(),
    };
    let params = match method.name().split('.').nth(1).unwrap_or_default() {
        "scripthash" if method == Method::ScripthashGetHistory => format!("[\"{hash}\"{heights}]"),
        "scripthash" => format!("[\"{hash}\"]"),
        "scriptpubkey" if method == Method::ScriptpubkeyGetHistory => {
            format!("[\"{script:x}\"{heights}]")
        }
        "scriptpubkey" => format!("[\"{script:x}\"]"),
        "address" => match Address::from_script(&script, Network::Regtest) {
            Ok(address) if flag => format!("[\"{address}\"]"),
            Ok(address) => format!("[\"{}\"]", address.to_string().to_uppercase()),
            Err(_) => "[]".to_owned(),
        },
        "outpoint" if flag || method == Method::OutpointUnsubscribe => {
            format!("[\"{txid}\",{vout}]")
        }
        "outpoint" => format!("[\"{txid}\",{vout},\"{:x}\"]", self::script(b)),
        "utxo" => format!("[\"{txid}\",{vout}]"),
        "transaction" => match method {
            Method::TransactionBroadcast => format!("[\"{}\"]", raw_tx()),
            Method::TransactionBroadcastPackage | Method::TransactionTestMempoolAccept => {
                format!("[[\"{}\"]]", raw_tx())
            }
            Method::TransactionGet => format!("[\"{txid}\",{}]", !flag),
            Method::TransactionGetMerkle if flag => format!("[\"{txid}\",{}]", b % 8),
            Method::TransactionIdFromPos => format!("[{},{},{flag}]", a % 8, b % 4),
            _ => format!("[\"{txid}\"]"),
        },
        "block" | "header" => match method {
            Method::BlockHeader => format!("[{},{}]", a % 8, b % 8 * u8::from(flag)),
            Method::BlockHeaders => format!("[{},{},{}]", a % 8, b % 8, flags % 8),
            _ => format!("[{}]", a % 8),
        },
        "estimatefee" => format!("[{a}]"),
        "ping" if flag => format!("[{a}]"),
        _ => "[]".to_owned(),
    };
    (method.name(), params)
}
