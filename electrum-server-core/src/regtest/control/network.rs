//! Methods about the node itself and its peers, of which there are none.

use serde_json::json;

use super::{Answer, Arguments, Control, ControlError, Method, method};
use crate::regtest::json::btc;
use crate::regtest::policy::MIN_RELAY_RATE;

pub(super) const METHODS: &[Method] = &[
    method(
        "getnetworkinfo",
        &[],
        "The name of the node, and its relay fees.",
        network,
    ),
    method("getpeerinfo", &[], "The peers: none.", peers),
    method("getconnectioncount", &[], "How many peers: none.", count),
    method(
        "uptime",
        &[],
        "For how many seconds the node has run.",
        uptime,
    ),
    method("stop", &[], "Ends the program.", stop),
];

fn network(_: &Control, _: &Arguments) -> Answer {
    let rate = btc(MIN_RELAY_RATE);
    let nets = ["ipv4", "ipv6", "onion", "i2p", "cjdns"].map(|name| {
        json!({
            "name": name,
            "limited": true,
            "reachable": false,
            "proxy": "",
            "proxy_randomize_credentials": false,
        })
    });
    Ok(json!({
        "version": 0,
        "subversion": concat!("/electrum-server-regtest:", env!("CARGO_PKG_VERSION"), "/"),
        "protocolversion": 70016,
        "localservices": "0000000000000000",
        "localservicesnames": [],
        "localrelay": true,
        "timeoffset": 0,
        "networkactive": false,
        "connections": 0,
        "connections_in": 0,
        "connections_out": 0,
        "networks": nets,
        "relayfee": rate,
        "incrementalfee": rate,
        "localaddresses": [],
        "warnings": [],
    }))
}

fn peers(_: &Control, _: &Arguments) -> Answer {
    Ok(json!([]))
}

fn count(_: &Control, _: &Arguments) -> Answer {
    Ok(json!(0))
}

fn uptime(control: &Control, _: &Arguments) -> Answer {
    Ok(json!(control.node.time().saturating_sub(control.begun)))
}

fn stop(control: &Control, _: &Arguments) -> Answer {
    let Some(stop) = &control.stop else {
        return Err(ControlError::new(-1, "the node ends with its program"));
    };
    stop();
    Ok(json!("electrum-server stopping"))
}
