//! What a client makes of servers that are unusual, wrong or hostile.

#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    reason = "a failed test panics"
)]

mod common;

use electrum_protocol::client::{Event, ReplyError, RequestId, UnexpectedMessage};
use electrum_protocol::method::{fee, headers, server};
use electrum_protocol::{
    Client, ErrorCode, ErrorObject, Notification, ProtocolVersion, Request, Response, VersionRange,
};

/// A client that waits for the answers 0 to 4, all of them to pings.
fn waiting() -> Client {
    let mut client = Client::new(1000);
    for expected in 0..5 {
        assert_eq!(
            client.request(server::Ping::default()).0,
            RequestId(expected)
        );
    }
    client
}

fn events(client: &mut Client, line: &str) -> Vec<Event> {
    client.receive(line.as_bytes());
    client.receive(b"\n");
    core::iter::from_fn(|| client.poll_event()).collect()
}

fn only(client: &mut Client, line: &str) -> Event {
    let mut events = events(client, line);
    assert_eq!(events.len(), 1, "{line}");
    events.remove(0)
}

#[test]
fn bytes_of_requests() {
    let mut client = Client::default();
    let (id, bytes) = client.introduce("me \"1\"", VersionRange::WALLETS);
    assert_eq!(id, RequestId(0));
    assert_eq!(
        bytes,
        b"{\"jsonrpc\":\"2.0\",\"id\":0,\"method\":\"server.version\",\"params\":[\"me \\\"1\\\"\",[\"1.4\",\"1.6\"]]}\n"
    );
    let (_, bytes) = client.introduce("", VersionRange::exactly(ProtocolVersion::V1_4));
    assert!(bytes.ends_with(b"\"params\":[\"\",\"1.4\"]}\n"));
    let (id, bytes) = client.request(fee::EstimateFee {
        number: 2,
        mode: None,
    });
    assert_eq!(id, RequestId(2));
    assert_eq!(
        bytes,
        b"{\"jsonrpc\":\"2.0\",\"id\":2,\"method\":\"blockchain.estimatefee\",\"params\":[2]}\n"
    );
    let (ids, bytes) = client.batch(&[server::Ping::default().into(), server::Banner.into()]);
    assert_eq!(ids, [RequestId(3), RequestId(4)]);
    assert_eq!(
        bytes,
        b"[{\"jsonrpc\":\"2.0\",\"id\":3,\"method\":\"server.ping\",\"params\":[]},{\"jsonrpc\":\"2.0\",\"id\":4,\"method\":\"server.banner\",\"params\":[]}]\n"
    );
    assert_eq!(client.batch(&[]), (Vec::new(), Vec::new()));
}

#[test]
fn replies_in_every_dress() {
    for line in [
        "{\"jsonrpc\":\"2.0\",\"result\":null,\"id\":3}",
        "{\"result\":null,\"id\":3}",
        "{\"result\":null,\"error\":null,\"id\":3}",
        "{\"jsonrpc\":\"1.0\",\"id\":3,\"error\":null,\"result\":{}, \"more\":[]   }",
        " [ {\"id\":3,\"result\":null} ] ",
    ] {
        let event = only(&mut waiting(), line);
        assert!(
            matches!(
                event,
                Event::Reply {
                    id: RequestId(3),
                    result: Ok(Response::ServerPing(server::Pong { data_len: 0 }))
                }
            ),
            "{event:?}"
        );
    }
}

#[test]
fn errors_in_every_dress() {
    let check = |error: &str, expected: ErrorObject| {
        let line = format!("{{\"id\":3,\"error\":{error}}}");
        match only(&mut waiting(), &line) {
            Event::Reply {
                id: RequestId(3),
                result: Err(ReplyError::Server(error)),
            } => {
                assert_eq!(error, expected);
            }
            other => panic!("{other:?}"),
        }
    };
    let error = |code: i32, message: &str| ErrorObject::new(ErrorCode(code), message);
    check("{\"code\":-32601,\"message\":\"no\"}", error(-32601, "no"));
    check(
        "{\"message\":\"no\",\"code\":1,\"data\":null}",
        error(1, "no"),
    );
    check("\"a bare \\\"string\\\"\"", error(0, "a bare \"string\""));
    check("{\"code\":7}", error(7, ""));
    check("{\"message\":\"no\"}", error(0, "no"));
    check(
        "{\"message\":{\"a\":1},\"code\":\"x\"}",
        error(0, "{\"a\":1}"),
    );
    check("17", error(0, "17"));
    check("{}", error(0, "{}"));
    check("[]", error(0, "[]"));
    check("false", error(0, "false"));
}

#[test]
fn one_bad_reply_ends_nothing() {
    let mut client = waiting();
    client.request(headers::Subscribe::RAW);
    match only(
        &mut client,
        "{\"id\":5,\"result\":{\"height\":-1,\"hex\":\"\"}}",
    ) {
        Event::Reply {
            id: RequestId(5),
            result: Err(ReplyError::Malformed(error)),
        } => {
            assert!(
                error.to_string().starts_with("result.height: expected"),
                "{error}"
            );
        }
        other => panic!("{other:?}"),
    }
    match only(&mut client, "{\"id\":4}") {
        Event::Reply {
            id: RequestId(4),
            result: Err(ReplyError::Malformed(error)),
        } => {
            assert_eq!(error.to_string(), "result: missing");
        }
        other => panic!("{other:?}"),
    }
    assert!(matches!(
        only(&mut client, "{\"id\":0,\"result\":null}"),
        Event::Reply {
            id: RequestId(0),
            result: Ok(_)
        }
    ));
    assert_eq!(client.pending(), 3);
    assert!(client.forget(RequestId(1)));
    assert!(!client.forget(RequestId(1)));
    assert!(matches!(
        only(&mut client, "{\"id\":1,\"result\":null}"),
        Event::Unexpected(UnexpectedMessage::UnknownId { .. })
    ));
}

#[test]
fn what_belongs_nowhere_is_reported() {
    let check = |line: &str, expected: &str| {
        let mut client = waiting();
        match only(&mut client, line) {
            Event::Unexpected(message) => {
                let text = message.to_string();
                assert!(text.starts_with(expected), "{line}: {text}");
                assert!(text.chars().count() < 160, "{text}");
            }
            other => panic!("{line}: {other:?}"),
        }
        assert_eq!(client.pending(), 5);
    };
    check("garbage", "invalid JSON");
    check("[]", "batch is empty");
    check("17", "neither a reply nor a notification: 17");
    check("{}", "neither a reply nor a notification: {}");
    check("{\"id\":9,\"result\":1}", "a reply to an unknown request 9");
    check(
        "{\"id\":\"3\",\"result\":1}",
        "a reply to an unknown request \"3\"",
    );
    check(
        "{\"id\":3.0,\"result\":1}",
        "a reply to an unknown request 3.0",
    );
    check(
        "{\"id\":-1,\"result\":1}",
        "a reply to an unknown request -1",
    );
    check(
        "{\"id\":null,\"result\":1}",
        "a reply to an unknown request null",
    );
    check("{\"result\":1}", "a reply to an unknown request ");
    check(
        "{\"id\":null,\"error\":{\"code\":-32700,\"message\":\"m\"}}",
        "the server complains: m (code -32700)",
    );
    check("{\"error\":\"m\"}", "the server complains: m (code 0)");
    check(
        "{\"id\":7,\"error\":\"m\"}",
        "a reply to an unknown request 7",
    );
    check(
        "{\"id\":3,\"method\":\"client.show\",\"params\":[]}",
        "an unknown notification \"client.show\"",
    );
    check(
        "{\"method\":\"server.banner\",\"params\":[]}",
        "an unknown notification",
    );
    check("{\"method\":7}", "an unknown notification 7");
    check(
        "{\"method\":\"blockchain.headers.subscribe\"}",
        "an unknown notification",
    );
    check(
        "{\"method\":\"blockchain.headers.subscribe\",\"params\":[]}",
        "a malformed notification blockchain.headers.subscribe: params.tip: missing",
    );
    check(
        "{\"method\":\"blockchain.scripthash.subscribe\",\"params\":[\"\",null]}",
        "a malformed notification blockchain.scripthash.subscribe: params.scripthash: expected",
    );
    check(&"x".repeat(2000), "line too long (over 1000 bytes)");
    check(
        &format!("{{\"id\":\"{}\",\"result\":1}}", "i".repeat(900)),
        "a reply to an unknown request \"iii",
    );
}

#[test]
fn deep_nesting_is_no_recursion() {
    let mut client = Client::default();
    client.request(server::Features);
    let depth = 1_000_000;
    let nested = "[".repeat(depth) + &"]".repeat(depth);
    for line in [
        nested.clone(),
        format!("{{\"id\":0,\"result\":{nested}}}"),
        format!("{{\"a\":{nested}}}"),
        format!("{{\"method\":\"blockchain.headers.subscribe\",\"params\":{nested}}}"),
    ] {
        assert_eq!(events(&mut client, &line).len(), 1);
    }
}

#[test]
fn notifications_may_look_like_requests() {
    let status = common::example_status().unwrap();
    let script_hash = "8b01df4e368ea28f8dc0423bcf7a4923e3a12d307c875e47a0cfbf90b5c39161";
    for line in [
        format!(
            "{{\"method\":\"blockchain.scripthash.subscribe\",\"params\":[\"{script_hash}\",\"{status}\"]}}"
        ),
        format!(
            "{{\"id\":null,\"method\":\"blockchain.scripthash.subscribe\",\"params\":[\"{script_hash}\",\"{status}\"],\"jsonrpc\":\"2.0\"}}"
        ),
        format!(
            "{{\"id\":3,\"params\":{{\"status\":\"{status}\",\"scripthash\":\"{script_hash}\"}},\"method\":\"blockchain.scripthash.subscribe\"}}"
        ),
    ] {
        match only(&mut waiting(), &line) {
            Event::Notification(notification) => assert_eq!(
                notification,
                Notification::ScriptHash {
                    script_hash: script_hash.parse().unwrap(),
                    status: Some(status)
                }
            ),
            other => panic!("{other:?}"),
        }
    }
}

#[test]
fn negotiation() {
    let introduced = |result: &str| {
        let mut client = Client::default();
        client.introduce("x", VersionRange::WALLETS);
        match only(&mut client, &format!("{{\"id\":0,{result}}}")) {
            Event::Negotiated {
                id: RequestId(0),
                result,
            } => (result, client.version()),
            other => panic!("{other:?}"),
        }
    };
    let (result, version) = introduced("\"result\":[\"ElectrumX 1.20\",\"1.6\"]");
    assert_eq!(result.unwrap().software, "ElectrumX 1.20");
    assert_eq!(version, ProtocolVersion::V1_6);
    let (result, version) = introduced("\"result\":[\"bold\",\"1.7\"]");
    assert!(matches!(result, Err(ReplyError::VersionNotAsked { .. })));
    assert_eq!(version, ProtocolVersion::V1_4);
    // What a server of protocol 1.0 says.
    let (result, version) = introduced("\"result\":\"electrs 0.8\"");
    assert!(matches!(result, Err(ReplyError::VersionNotAsked { .. })));
    assert_eq!(version, ProtocolVersion::V1_4);
    for malformed in ["[\"a\"]", "[\"a\",\"b\"]", "null"] {
        let (result, version) = introduced(&format!("\"result\":{malformed}"));
        assert!(
            matches!(result, Err(ReplyError::Malformed(_))),
            "{malformed}"
        );
        assert_eq!(version, ProtocolVersion::V1_4);
    }
    let (result, _) =
        introduced("\"error\":{\"code\":1,\"message\":\"unsupported protocol version\"}");
    assert!(matches!(result, Err(ReplyError::Server(_))));
}

#[test]
fn an_array_of_nothing_takes_no_more_than_its_text() {
    let mut client = Client::default();
    let junk = format!("[1{}]\n", ",1".repeat(1_000_000));
    client.receive(junk.as_bytes());
    let events = std::iter::from_fn(|| client.poll_event());
    assert!(matches!(
        events.collect::<Vec<_>>().as_slice(),
        [Event::Unexpected(UnexpectedMessage::Parse(_))]
    ));
    // As many as are waited for are read, and some more, among them news.
    let requests = vec![Request::from(server::Banner); 2000];
    let (ids, _) = client.batch(&requests);
    let replies: Vec<_> = ids
        .iter()
        .map(|id| format!("{{\"id\":{},\"result\":\"\"}}", id.0))
        .collect();
    let news = "{\"method\":\"blockchain.numblocks.subscribe\",\"params\":[1]}";
    client.receive(format!("[{},{news}]\n", replies.join(",")).as_bytes());
    assert_eq!(std::iter::from_fn(|| client.poll_event()).count(), 2001);
    assert_eq!(client.pending(), 0);
}
