//! Whole conversations, played at every way of cutting the client's bytes.
//!
//! In a transcript `C:` is a line of the client, `S:` the line that the server must send next, `E:` what the server
//! reports to its caller, `!` a setting of the server, `#` a remark. What the client's next line does is compared as a
//! whole.

#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    reason = "a failed test panics"
)]

mod common;

use electrum_protocol::{ErrorObject, Server, ServerConfig};

fn config(settings: &[&str]) -> ServerConfig {
    let mut config = ServerConfig {
        software: "test 1".to_owned(),
        ..ServerConfig::default()
    };
    for setting in settings {
        let (name, value) = setting.split_once(' ').unwrap_or((setting, ""));
        match name {
            "version_first" => config.version_first = true,
            "max_line" => config.max_line = value.parse().unwrap(),
            "max_response" => config.max_response = value.parse().unwrap(),
            "max_batch" => config.max_batch = value.parse().unwrap(),
            "min_version" => config.versions.min = value.parse().unwrap(),
            "max_version" => config.versions.max = value.parse().unwrap(),
            other => panic!("unknown setting {other}"),
        }
    }
    config
}

/// A line of the client with what it brings about.
struct Step<'a> {
    line: &'a str,
    sent: Vec<String>,
    events: Vec<String>,
}

fn play(name: &str, text: &str) {
    let settings: Vec<_> = text
        .lines()
        .filter_map(|line| line.strip_prefix("! "))
        .collect();
    let mut steps: Vec<Step<'_>> = Vec::new();
    for line in text
        .lines()
        .filter(|line| !line.is_empty() && !line.starts_with(['#', '!']))
    {
        if let Some(line) = line.strip_prefix("C: ") {
            steps.push(Step {
                line,
                sent: Vec::new(),
                events: Vec::new(),
            });
            continue;
        }
        let step = steps.last_mut().expect("the client speaks first");
        match line.split_at(3) {
            ("S: ", line) => step.sent.push(line.to_owned()),
            ("E: ", event) => step.events.push(event.to_owned()),
            _ => panic!("{name}: what is {line}?"),
        }
    }
    let longest = steps.iter().map(|step| step.line.len()).max().unwrap_or(0);
    for size in (1..20).chain([longest + 1]) {
        let mut server = Server::new(config(&settings));
        for Step { line, sent, events } in &steps {
            let mut reported = Vec::new();
            let mut received = Vec::new();
            for piece in format!("{line}\n").as_bytes().chunks(size) {
                server.receive(piece);
                reported.extend(common::serve(&mut server));
                received.extend(common::sent(&mut server));
            }
            assert_eq!(&received, sent, "{name}: {line} in pieces of {size}");
            assert_eq!(&reported, events, "{name}: {line} in pieces of {size}");
        }
    }
}

macro_rules! transcripts {
    ($($name:ident)*) => {
        $(#[test]
        fn $name() {
            let text = include_str!(concat!("transcripts/", stringify!($name), ".txt"));
            play(stringify!($name), text);
        })*
    };
}

transcripts! {
    batches
    electrum_4_3_4
    electrum_4_8_1
    envelopes
    ids
    limits
    negotiation_fails
    negotiation_generous
    protocol_0_10
    protocol_1_0
    protocol_1_2
    protocol_1_7
    sparrow
    version_first
}

#[test]
fn errors_of_the_caller_are_sent_as_they_are() {
    let mut server = Server::new(ServerConfig::default());
    server.receive(b"{\"id\":1,\"method\":\"server.ping\"}\n");
    let Some(electrum_protocol::server::Event::Request { token, .. }) = server.poll_event() else {
        panic!("no request");
    };
    let mut error = ErrorObject::new(electrum_protocol::ErrorCode(10001), "history too large");
    error.data = Some(electrum_protocol::RawJson::parse("{\"limit\":5}").unwrap());
    server.reply(token, Err(error));
    assert_eq!(
        common::sent(&mut server),
        [
            "{\"jsonrpc\":\"2.0\",\"id\":1,\"error\":{\"code\":10001,\"message\":\"history too large\",\"data\":{\"limit\":5}}}"
        ]
    );
}
