//! What holds for all bytes and all values.

#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    reason = "a failed test panics"
)]

mod common;
mod values;

use std::collections::BTreeMap;

use electrum_protocol::bitcoin::OutPoint;
use electrum_protocol::bitcoin::consensus::encode;
use electrum_protocol::frame::LineDecoder;
use electrum_protocol::jsonrpc::Params;
use electrum_protocol::method::{headers, server};
use electrum_protocol::{
    Client, Confirmation, Method, Notification, ProtocolVersion, RawJson, Request, Response,
    Server, ServerConfig, Status, Tip, VersionRange, status,
};
use proptest::collection::vec;
use proptest::option;
use proptest::prelude::*;
use serde_json::value::RawValue;

use values::{
    entry, hash, header, outpoint_status, request, response, script_hash, transaction_height, txid,
    version,
};

/// JSON that is nearly right: the decoders get further than with random bytes.
fn json() -> impl Strategy<Value = String> {
    let leaf = prop_oneof![
        Just("null".to_owned()),
        Just("true".to_owned()),
        any::<i64>().prop_map(|number| number.to_string()),
        any::<f64>()
            .prop_filter("finite", |n| n.is_finite())
            .prop_map(|n| format!("{n:e}")),
        any::<String>().prop_map(|text| serde_json::to_string(&text).expect("a string")),
        hash().prop_map(|hash| format!("\"{hash}\"")),
        header().prop_map(|header| format!("\"{}\"", encode::serialize_hex(&header))),
        Just("\"\\ud800\"".to_owned()),
    ];
    let keys = proptest::sample::select(vec![
        "id",
        "method",
        "params",
        "result",
        "error",
        "jsonrpc",
        "height",
        "tx_hash",
        "hex",
        "fee",
        "count",
        "max",
        "headers",
        "branch",
        "root",
        "header",
        "scripthash",
        "merkle",
        "pos",
        "success",
        "errors",
        "hosts",
        "genesis_hash",
        "code",
        "message",
        "tx_pos",
        "value",
        "verbose",
        "raw_tx",
    ]);
    leaf.prop_recursive(4, 40, 8, move |inner| {
        prop_oneof![
            vec(inner.clone(), 0..6).prop_map(|items| format!("[{}]", items.join(","))),
            vec((keys.clone(), inner), 0..6).prop_map(|fields| {
                let fields: Vec<_> = fields
                    .into_iter()
                    .map(|(key, value)| format!("\"{key}\": {value}"))
                    .collect();
                format!("{{{} }}", fields.join(","))
            }),
        ]
    })
}

/// A message to a server, more or less.
fn message() -> impl Strategy<Value = String> {
    let names: Vec<_> = Method::ALL
        .iter()
        .map(|method| method.name())
        .chain(["server.version"])
        .collect();
    prop_oneof![
        3 => (proptest::sample::select(names), json(), option::of(json())).prop_map(
            |(name, params, id)| {
                let id = id.map(|id| format!("\"id\":{id},")).unwrap_or_default();
                format!("{{{id}\"method\":\"{name}\",\"params\":{params}}}")
            }
        ),
        1 => json(),
        1 => any::<String>(),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn requests_round_trip(request in request(), version in version()) {
        let mut written = Vec::new();
        request.encode(version, &mut written);
        let written = String::from_utf8(written).unwrap();
        let params = Params::parse(&written).unwrap();
        let read = Request::decode(request.method(), params, version).unwrap();
        let mut again = Vec::new();
        read.encode(version, &mut again);
        prop_assert_eq!(String::from_utf8(again).unwrap(), written);
        match read {
            // From 1.4 on a client has no choice.
            Request::HeadersSubscribe(read) => prop_assert!(read.raw || version < ProtocolVersion::V1_4),
            // Every other parameter is known in the newest version.
            read if version == ProtocolVersion::V1_7 => prop_assert_eq!(read, request),
            _ => {}
        }
    }

    #[test]
    fn responses_round_trip(response in response(), version in version()) {
        let mut written = Vec::new();
        response.encode(version, &mut written);
        prop_assert!(!written.contains(&b'\n'));
        let json = RawJson::parse(core::str::from_utf8(&written).unwrap()).unwrap();
        let read = Response::decode(response.method(), &json).unwrap();
        match read {
            Response::ServerPing(read) if version < ProtocolVersion::V1_7 => {
                prop_assert_eq!(read, server::Pong::default());
            }
            read => prop_assert_eq!(read, response),
        }
    }

    #[test]
    fn decoders_do_not_panic(json in json(), version in version()) {
        let raw = RawJson::parse(&json).unwrap();
        for method in Method::ALL {
            if let Ok(request) = Request::decode(*method, Params::parse(&json).unwrap(), version) {
                request.encode(version, &mut Vec::new());
            }
            if let Ok(response) = Response::decode(*method, &raw) {
                response.encode(version, &mut Vec::new());
            }
        }
    }

    /// Every line is answered at most once, with valid JSON of exactly one of result and error.
    #[test]
    fn servers_answer_anything(
        messages in vec(message(), 1..6),
        batch in any::<bool>(),
        size in 1usize..300,
    ) {
        let stream = match batch {
            true => format!("[{}]\n", messages.join(",")),
            false => messages.join("\n") + "\n",
        };
        let mut server = Server::new(ServerConfig::default());
        let mut lines = Vec::new();
        for piece in stream.as_bytes().chunks(size) {
            server.receive(piece);
            common::serve(&mut server);
            lines.extend(common::sent(&mut server));
        }
        prop_assert_eq!(server.pending_output(), 0);
        prop_assert!(lines.len() <= stream.bytes().filter(|byte| *byte == b'\n').count());
        for line in lines {
            let answers: Vec<&RawValue> = match line.starts_with('[') {
                true => serde_json::from_str(&line).unwrap(),
                false => vec![serde_json::from_str(&line).unwrap()],
            };
            prop_assert!(!answers.is_empty());
            for answer in answers {
                // The id may be a number that no type holds, or text that is not Unicode.
                let answer: BTreeMap<String, &RawValue> = serde_json::from_str(answer.get()).unwrap();
                // A message may have asked for the version that has no such key.
                let envelope = answer.get("jsonrpc").map(|version| version.get());
                prop_assert!(matches!(envelope, Some("\"2.0\"") | None));
                prop_assert!(answer.contains_key("id"));
                prop_assert!(answer.contains_key("result") != answer.contains_key("error"));
                prop_assert_eq!(answer.len(), 2 + usize::from(envelope.is_some()));
            }
        }
    }

    #[test]
    fn servers_and_clients_take_any_bytes(bytes in vec(any::<u8>(), 0..600), size in 1usize..50) {
        let mut server = Server::new(ServerConfig { max_line: 100, ..ServerConfig::default() });
        let mut client = Client::new(100);
        client.introduce("x", VersionRange::SPOKEN);
        client.request(headers::Subscribe::RAW);
        for piece in bytes.chunks(size) {
            server.receive(piece);
            common::serve(&mut server);
            client.receive(piece);
            while client.poll_event().is_some() {}
        }
    }

    #[test]
    fn clients_take_any_message(messages in vec(json(), 1..6)) {
        let mut client = Client::default();
        for method in [headers::Subscribe::RAW; 9] {
            client.request(method);
        }
        for message in &messages {
            client.receive(message.as_bytes());
            client.receive(b"\n");
            client.receive(format!("{{\"id\":1,\"result\":{message}}}\n").as_bytes());
            client.receive(format!("{{\"id\":2,\"error\":{message}}}\n").as_bytes());
        }
        while client.poll_event().is_some() {}
    }

    /// However the stream is cut, the lines are the same, and little is kept.
    #[test]
    fn framing_does_not_depend_on_the_pieces(
        bytes in vec(prop_oneof![Just(b'\n'), Just(b'a'), Just(b' ')], 0..200),
        cuts in vec(1usize..20, 1..200),
    ) {
        let lines = |pieces: &mut dyn Iterator<Item = &[u8]>| {
            let mut decoder = LineDecoder::new(6);
            let mut lines = Vec::new();
            for piece in pieces {
                decoder.push(piece);
                while let Some(line) = decoder.next_line() {
                    lines.push(line.map(<[u8]>::to_vec));
                }
                assert!(decoder.buffered() <= 7);
            }
            lines
        };
        let expected: Vec<_> = bytes
            .split_inclusive(|byte| *byte == b'\n')
            .filter_map(|line| match line.strip_suffix(b"\n") {
                Some(line) if line.len() > 6 => Some(None),
                Some(line) if line.trim_ascii().is_empty() => None,
                Some(line) => Some(Some(line.to_vec())),
                None => (line.len() > 6).then_some(None),
            })
            .collect();
        let mut rest = bytes.as_slice();
        let mut cuts = cuts.into_iter().cycle();
        let mut pieces = core::iter::from_fn(|| {
            let (piece, after) = rest.split_at(cuts.next().unwrap().min(rest.len()));
            rest = after;
            (!piece.is_empty()).then_some(piece)
        });
        let seen: Vec<_> = lines(&mut pieces).into_iter().map(Result::ok).collect();
        prop_assert_eq!(seen, expected);
    }

    #[test]
    fn notifications_round_trip(
        height in any::<u32>(),
        header in header(),
        script_hash in script_hash(),
        status in option::of(any::<[u8; 32]>().prop_map(Status::from_byte_array)),
        (raw, address, data_len) in (any::<bool>(), any::<String>(), 0u32..9),
        (txid, outpoint_status) in (txid(), outpoint_status()),
        transaction_height in transaction_height(),
        version in version(),
    ) {
        let mut client = Client::default();
        for notification in [
            Notification::Headers(headers::TipResponse::new(Tip { height, header }, raw)),
            Notification::ScriptHash { script_hash, status },
            Notification::Numblocks(height),
            Notification::Address { address, status },
            Notification::Outpoint { outpoint: OutPoint { txid, vout: height }, status: outpoint_status },
            Notification::Transaction { txid, height: transaction_height },
            Notification::Ping { data_len },
        ] {
            let mut message = Vec::new();
            notification.encode(version, &mut message);
            message.push(b'\n');
            client.receive(&message);
            match client.poll_event() {
                Some(electrum_protocol::client::Event::Notification(read)) => {
                    prop_assert_eq!(read, notification);
                }
                other => prop_assert!(false, "{:?}", other),
            }
        }
    }

    /// The order of the mempool part is that of the hexadecimal texts, and total.
    #[test]
    fn mempool_order_compares_texts(mut entries in vec(entry(), 0..20)) {
        entries.retain(|entry| matches!(entry.confirmation, Confirmation::Mempool { .. }));
        let mut expected = entries.clone();
        expected.sort_by_key(|entry| (-entry.confirmation.wire_height(), entry.txid.to_string()));
        entries.sort_by(status::mempool_order);
        prop_assert_eq!(entries, expected);
    }
}

/// Writes the numbers and the flags of a JSON text in the other ways that clients have.
fn otherwise(json: &str, exponent: bool) -> String {
    let (mut out, mut quoted) = (String::new(), false);
    let mut rest = json;
    while let Some(first) = rest.chars().next() {
        let number = rest.len() - rest.trim_start_matches(|c: char| c.is_ascii_digit()).len();
        let token = match first {
            '"' => {
                quoted = !quoted;
                1
            }
            // With what it escapes.
            '\\' => 2,
            _ if quoted => first.len_utf8(),
            't' => {
                out.push('1');
                rest = &rest["true".len()..];
                continue;
            }
            'f' => {
                out.push_str("0.0");
                rest = &rest["false".len()..];
                continue;
            }
            _ => number.max(first.len_utf8()),
        };
        out.push_str(&rest[..token]);
        if !quoted && number > 0 {
            out.push_str(if exponent { ".00e0" } else { ".0" });
        }
        rest = &rest[token..];
    }
    out
}

#[test]
fn numbers_and_flags_are_written_otherwise() {
    assert_eq!(
        otherwise("[\"t1\",12,true,{\"a\":3}]", false),
        "[\"t1\",12.0,1,{\"a\":3.0}]"
    );
}

proptest! {
    /// Whatever a method takes, it takes as Python and Lua may write it: 6 as 6.0, true as 1.
    #[test]
    fn whole_numbers_and_flags_are_understood_however_they_are_written(
        request in request(),
        version in version(),
        exponent in any::<bool>(),
    ) {
        let mut encoded = Vec::new();
        request.encode(version, &mut encoded);
        let text = String::from_utf8(encoded).unwrap();
        let decode = |text: &str| {
            Request::decode(request.method(), Params::parse(text).unwrap(), version)
        };
        // Features and ping data are not numbers or flags of the protocol's own.
        prop_assert_eq!(decode(&otherwise(&text, exponent)), decode(&text));
    }

    /// What is not a whole number in range is none, however near.
    #[test]
    fn other_numbers_are_refused(number in any::<f64>()) {
        prop_assume!(number.fract() != 0.0 || number < 0.0 || number > f64::from(u32::MAX));
        prop_assume!(number.is_finite());
        let text = serde_json::to_string(&[number]).unwrap();
        let decoded = Request::decode(
            Method::BlockHeader,
            Params::parse(&text).unwrap(),
            ProtocolVersion::V1_4,
        );
        prop_assert!(number == 0.0 || decoded.is_err(), "{text}");
    }
}
