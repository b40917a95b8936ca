//! What it takes to read a result is in proportion to its length, whatever stands in it, for every method.

#![allow(clippy::unwrap_used, reason = "a failed test panics")]

use electrum_protocol::{Method, RawJson, Response};

/// The most bytes of memory for a byte of JSON while it is read, and in what was read: a list of empty strings takes eight
/// times its length, twice that for the room that a growing list has left, and half as much again while it grows.
const MOST: usize = 25;

const HASH: &str = "\"0000000000000000000000000000000000000000000000000000000000000001\"";

/// Elements that are short, or short for what they are read as.
fn elements() -> Vec<String> {
    let plain = [
        "1",
        "\"\"",
        "null",
        "true",
        "[]",
        "{}",
        "[[]]",
        "[1,1]",
        "[\"\",\"\",[]]",
        "[\"\",\"\",[\"\",\"\",\"\",\"\"]]",
        "{\"a\":{}}",
        "\"00\"",
        HASH,
    ];
    let mut elements: Vec<_> = plain.map(str::to_owned).to_vec();
    elements.push(format!("{{\"height\":1,\"tx_hash\":{HASH}}}"));
    elements.push(format!(
        "{{\"height\":1,\"tx_hash\":{HASH},\"tx_pos\":1,\"value\":1}}"
    ));
    elements.push(format!("{{\"txid\":{HASH},\"allowed\":true}}"));
    elements
}

/// The places where a list may stand.
fn results(list: &str, object: &str) -> Vec<String> {
    vec![
        list.to_owned(),
        object.to_owned(),
        format!("[[\"\",\"\",{list}]]"),
        format!("{{\"merkle\":{list},\"block_height\":1,\"pos\":1,\"tx_hash\":{HASH}}}"),
        format!("{{\"headers\":{list},\"max\":2016,\"count\":1}}"),
        format!("{{\"history\":{list},\"utxos\":{list}}}"),
        format!("{{\"branch\":{list},\"root\":{HASH},\"header\":\"\"}}"),
        format!("{{\"success\":false,\"errors\":{list}}}"),
        format!(
            "{{\"hosts\":{object},\"genesis_hash\":{HASH},\"server_version\":\"\",\"protocol_min\":\"1.4\",\
             \"protocol_max\":\"1.4\",\"extensions\":{list},\"limits\":{object}}}"
        ),
    ]
}

#[test]
fn results_take_memory_in_proportion() {
    // One more than a power of two, so that the room of a list has just been doubled.
    const COUNT: usize = 1_025;
    let mut worst = (0, String::new());
    for element in elements() {
        let list = format!("[{}]", vec![element.as_str(); COUNT].join(","));
        let fields: Vec<_> = (0..COUNT)
            .map(|key| format!("\"{key:x}\":{element}"))
            .collect();
        let object = format!("{{{}}}", fields.join(","));
        for text in results(&list, &object) {
            let json = RawJson::parse(&text).unwrap();
            for method in Method::ALL {
                let mut read = None;
                let info = allocation_counter::measure(|| {
                    read = Some(Response::decode(*method, &json));
                });
                let ratio = (info.bytes_max as usize).div_ceil(text.len());
                assert!(ratio <= MOST, "{method}: {ratio} times {text:.80}");
                if ratio > worst.0 {
                    worst = (ratio, format!("{method}: {text:.40}"));
                }
                drop(read);
            }
        }
    }
    // This is the kind of text that was looked for.
    assert!(worst.0 > 8, "{worst:?}");
}
