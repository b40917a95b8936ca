//! Nonsense, abuse and silence: the server answers with the right code or closes, and goes on.

use std::io::{Read, Write};
use std::net::Shutdown;
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use crate::eventually;
use crate::node::{RegtestNode, Script};
use crate::server::Server;
use crate::wire::Wire;

/// JSON-RPC's own codes.
const PARSE_ERROR: i64 = -32700;
const INVALID_REQUEST: i64 = -32600;
const METHOD_NOT_FOUND: i64 = -32601;
const INVALID_PARAMS: i64 = -32602;

#[test]
fn bad_input_is_answered_and_survived() {
    let node = RegtestNode::start();
    node.mine(110, &Script::new(0));
    let mut server = Server::start(&node);
    refused_lines(&server);
    refused_requests(&server);
    answered_all_the_same(&server);
    unknown_versions(&server);
    half_closed(&server);
    cut_off(&server);
    let before = server.memory();
    huge_lines(&server);
    never_reading(&server);
    many_connections(&server);
    assert!(server.is_running());
    let mut wire = server.connect();
    node.mine(1, &Script::new(0));
    eventually("the server still follows the node", || {
        let tip = wire.try_call("blockchain.headers.subscribe", json!([]))?;
        if tip["height"] == json!(111) {
            Ok(())
        } else {
            Err(tip.to_string())
        }
    });
    let grown = server.memory().saturating_sub(before);
    assert!(
        grown < 150 << 20,
        "the server has grown by {} MiB",
        grown >> 20
    );
    server.stop();
    assert!(!server.log().contains("panicked"), "{}", server.log());
}

/// Sends one line and reads one answer.
fn exchange(wire: &mut Wire, line: &str) -> Value {
    wire.send_raw(format!("{line}\n").as_bytes()).unwrap();
    wire.receive()
        .unwrap_or_else(|error| panic!("{line}: {error}"))
}

fn code(answer: &Value) -> i64 {
    let code = answer["error"]["code"].as_i64();
    let message = answer["error"]["message"].as_str();
    assert!(
        message.is_some_and(|text| !text.is_empty()),
        "an error in words: {answer}"
    );
    code.unwrap_or_else(|| panic!("no error: {answer}"))
}

fn refused_lines(server: &Server) {
    let mut wire = server.connect();
    for (line, expected) in [
        ("hello", PARSE_ERROR),
        ("{", PARSE_ERROR),
        (
            "{\"id\": 1, \"method\": \"server.ping\", \"params\": []",
            PARSE_ERROR,
        ),
        ("\u{0}", PARSE_ERROR),
        ("{\"id\": 1} {\"id\": 2}", PARSE_ERROR),
        ("1", INVALID_REQUEST),
        ("\"server.ping\"", INVALID_REQUEST),
        ("null", INVALID_REQUEST),
        ("[]", INVALID_REQUEST),
        ("{\"id\": 1, \"method\": 5}", INVALID_REQUEST),
        (
            "{\"id\": 1, \"method\": [\"server.ping\"]}",
            INVALID_REQUEST,
        ),
    ] {
        let answer = exchange(&mut wire, line);
        let answer = if answer.is_array() {
            answer[0].clone()
        } else {
            answer
        };
        assert_eq!(code(&answer), expected, "{line}: {answer}");
    }
    // Bytes that are no text.
    wire.send_raw(b"\xff\xfe{}\n").unwrap();
    assert_eq!(code(&wire.receive().unwrap()), PARSE_ERROR);
    // A nesting that would need a deep stack.
    let deep = "[".repeat(100_000);
    assert!(matches!(
        code(&exchange(&mut wire, &deep)),
        PARSE_ERROR | INVALID_REQUEST
    ));
    wire.call("server.ping", json!([]));
}

fn refused_requests(server: &Server) {
    let mut wire = server.connect();
    let hash = "00".repeat(32);
    let many = u64::from(u32::MAX) + 1;
    for (method, params, expected) in [
        ("no.such.method", json!([]), METHOD_NOT_FOUND),
        ("", json!([]), METHOD_NOT_FOUND),
        ("blockchain.relayfee", json!([]), METHOD_NOT_FOUND),
        (
            "blockchain.scripthash.get_history",
            json!([]),
            INVALID_PARAMS,
        ),
        (
            "blockchain.scripthash.get_history",
            json!([5]),
            INVALID_PARAMS,
        ),
        (
            "blockchain.scripthash.get_history",
            json!([[hash]]),
            INVALID_PARAMS,
        ),
        (
            "blockchain.scripthash.get_history",
            json!(["00"]),
            INVALID_PARAMS,
        ),
        (
            "blockchain.scripthash.get_history",
            json!(["zz".repeat(32)]),
            INVALID_PARAMS,
        ),
        (
            "blockchain.scripthash.get_history",
            json!({"no_such_name": hash}),
            INVALID_PARAMS,
        ),
        (
            "blockchain.scripthash.subscribe",
            json!([null]),
            INVALID_PARAMS,
        ),
        ("blockchain.block.header", json!(["1"]), INVALID_PARAMS),
        ("blockchain.block.header", json!([-1]), INVALID_PARAMS),
        ("blockchain.block.header", json!([1.5]), INVALID_PARAMS),
        ("blockchain.block.header", json!([many]), INVALID_PARAMS),
        ("blockchain.block.header", json!([1e300]), INVALID_PARAMS),
        ("blockchain.block.headers", json!([0, -1]), INVALID_PARAMS),
        ("blockchain.block.headers", json!([0]), INVALID_PARAMS),
        ("blockchain.estimatefee", json!(["soon"]), INVALID_PARAMS),
        ("blockchain.estimatefee", json!([-5]), INVALID_PARAMS),
        ("blockchain.transaction.get", json!(["abc"]), INVALID_PARAMS),
        (
            "blockchain.transaction.get",
            json!([hash, "yes"]),
            INVALID_PARAMS,
        ),
        (
            "blockchain.transaction.broadcast",
            json!(["xyz"]),
            INVALID_PARAMS,
        ),
        (
            "blockchain.transaction.broadcast",
            json!([7]),
            INVALID_PARAMS,
        ),
        (
            "blockchain.transaction.get_merkle",
            json!([]),
            INVALID_PARAMS,
        ),
        (
            "blockchain.transaction.id_from_pos",
            json!([1, -1]),
            INVALID_PARAMS,
        ),
    ] {
        let answer = wire.reply(method, params.clone()).unwrap();
        assert_eq!(code(&answer), expected, "{method} {params}: {answer}");
    }
    // Understood, but there is no such thing: which code it is the protocol leaves open.
    for (method, params) in [
        ("blockchain.block.header", json!([1000])),
        ("blockchain.block.header", json!([u32::MAX])),
        ("blockchain.block.header", json!([5, 1000])),
        ("blockchain.block.header", json!([5, 4])),
        ("blockchain.transaction.get", json!([hash])),
        ("blockchain.transaction.get_merkle", json!([hash, 1])),
        ("blockchain.transaction.get_merkle", json!([hash, u32::MAX])),
        ("blockchain.transaction.id_from_pos", json!([1, 5])),
        ("blockchain.transaction.id_from_pos", json!([u32::MAX, 0])),
        ("blockchain.transaction.broadcast", json!(["00"])),
    ] {
        let answer = wire.reply(method, params.clone()).unwrap();
        code(&answer);
    }
    // Past the tip there are no headers, which is no error.
    let none = wire.call("blockchain.block.headers", json!([u32::MAX, u32::MAX]));
    assert_eq!(none["count"], json!(0));
    // A batch of good and bad: each is answered by itself.
    let batch = format!(
        "[{{\"id\": 1, \"method\": \"server.ping\"}}, 5, {{\"id\": \"x\", \"method\": \"no\"}}, \
         {{\"id\": null, \"method\": \"blockchain.block.header\", \"params\": [{many}]}}]"
    );
    let answers = exchange(&mut wire, &batch);
    assert_eq!(answers.as_array().unwrap().len(), 4, "{answers}");
    assert!(answers[0].get("result").is_some() && answers[0].get("error").is_none());
}

/// What is odd, but clear.
fn answered_all_the_same(server: &Server) {
    let mut wire = server.connect();
    for line in [
        "{\"id\": 7, \"method\": \"server.ping\"}",
        "{\"id\": 7, \"method\": \"server.ping\", \"params\": null}",
        "{\"id\": 7, \"method\": \"server.ping\", \"params\": {}}",
        "{\"id\": 7, \"method\": \"server.ping\", \"params\": [], \"authorization\": \"x\"}",
        "{\"jsonrpc\": \"1.0\", \"id\": 7, \"method\": \"server.ping\", \"params\": [1, 2, 3]}",
        "  {  \"id\"  :  7 , \"method\" : \"server.ping\"   }   \r",
        "{\"id\": 7, \"method\": \"server\\u002eping\"}",
    ] {
        let answer = exchange(&mut wire, line);
        assert_eq!(answer["id"], json!(7), "{line}");
        assert_eq!(answer.get("result"), Some(&Value::Null), "{line}");
    }
    // Ids come back as they were sent, byte for byte.
    for id in [
        "\"a\\u00e9\"",
        "1.50",
        "-0",
        "18446744073709551616",
        "[1, {}]",
    ] {
        wire.send_raw(format!("{{\"id\":{id},\"method\":\"server.ping\"}}\n").as_bytes())
            .unwrap();
        let line = wire.receive_line().unwrap();
        assert!(
            line.contains(&format!("\"id\":{id}")) || line.contains("error"),
            "{id}: {line}"
        );
    }
    // A notification from a client is not answered.
    wire.send_raw(b"{\"method\": \"server.ping\", \"params\": []}\n")
        .unwrap();
    assert_eq!(
        exchange(&mut wire, "{\"id\": 8, \"method\": \"server.ping\"}")["id"],
        json!(8)
    );
    // Byte by byte.
    for byte in b"{\"id\": 9, \"method\": \"server.ping\"}\n" {
        wire.send_raw(&[*byte]).unwrap();
    }
    assert_eq!(wire.receive().unwrap()["id"], json!(9));
}

fn unknown_versions(server: &Server) {
    for version in [
        json!("1.8"),
        json!("9.0"),
        json!(["2.0", "3.0"]),
        json!("new"),
        json!(14),
        json!(true),
        json!([]),
    ] {
        let mut wire = server.connect_silently().unwrap();
        let answer = wire
            .reply("server.version", json!(["story", version]))
            .unwrap();
        code(&answer);
    }
    // Once is enough.
    let mut wire = server.connect();
    code(
        &wire
            .reply("server.version", json!(["story", "1.4"]))
            .unwrap(),
    );
}

/// A client that says all it has to say and then only listens still gets its answers.
fn half_closed(server: &Server) {
    let wire = server.connect_silently().unwrap();
    let mut stream = wire.stream();
    for id in 0..50 {
        let line = format!("{{\"id\": {id}, \"method\": \"server.banner\", \"params\": []}}\n");
        stream.write_all(line.as_bytes()).unwrap();
    }
    // Without its end, this is no request.
    stream
        .write_all(b"{\"id\": 50, \"method\": \"server.ba")
        .unwrap();
    stream.shutdown(Shutdown::Write).unwrap();
    let mut answers = String::new();
    stream.read_to_string(&mut answers).unwrap();
    assert!(
        answers.lines().count() >= 50,
        "{} answers",
        answers.lines().count()
    );
}

fn cut_off(server: &Server) {
    for _ in 0..50 {
        let mut wire = server.connect_silently().unwrap();
        wire.send_raw(b"{\"id\": 0, \"method\": \"blockchain.headers.subscribe\"}\n{\"id")
            .unwrap();
    }
}

/// A line of 100 MB is refused without being kept, and what follows is answered or the connection closed.
fn huge_lines(server: &Server) {
    let mut wire = server.connect();
    let chunk = vec![b'x'; 1 << 20];
    let mut highest = 0;
    let mut sent = Ok(());
    for _ in 0..100 {
        sent = wire.send_raw(&chunk);
        highest = highest.max(server.memory());
        if sent.is_err() {
            break;
        }
    }
    if sent.is_ok()
        && wire
            .send_raw(b"\n{\"id\": 77, \"method\": \"server.ping\"}\n")
            .is_ok()
    {
        // The complaint has no id; the question after the line is answered unless the server closed.
        while let Ok(answer) = wire.receive() {
            if answer["id"] == json!(77) {
                break;
            }
            code(&answer);
        }
    }
    assert!(server.memory() < highest + (100 << 20), "the line is kept");
    // The same inside of a request that began well.
    let mut wire = server.connect();
    let hex = "00".repeat(20 << 20);
    let line = format!(
        "{{\"id\": 1, \"method\": \"blockchain.transaction.broadcast\", \"params\": [\"{hex}\"]}}\n"
    );
    if wire.send_raw(line.as_bytes()).is_ok()
        && let Ok(answer) = wire.receive()
    {
        code(&answer);
    }
}

/// A client that asks and asks and never reads: it is not read any more, or closed.
fn never_reading(server: &Server) {
    let before = server.memory();
    let wires: Vec<Wire> = (0..4).map(|_| server.connect()).collect();
    let request = "{\"id\": 1, \"method\": \"blockchain.block.headers\", \"params\": [0, 110]}\n";
    let requests = request.repeat(1000);
    for wire in &wires {
        let mut stream = wire.stream();
        stream
            .set_write_timeout(Some(Duration::from_millis(300)))
            .unwrap();
        let start = Instant::now();
        // Back-pressure shows as a write that does not come through.
        while start.elapsed() < Duration::from_secs(10)
            && stream.write_all(requests.as_bytes()).is_ok()
        {}
        assert!(
            start.elapsed() < Duration::from_secs(10),
            "the server reads on and on"
        );
    }
    let grown = server.memory().saturating_sub(before);
    assert!(
        grown < 100 << 20,
        "four clients that do not read cost {} MiB",
        grown >> 20
    );
    // Others are served meanwhile.
    server.connect().call("server.ping", json!([]));
}

fn many_connections(server: &Server) {
    let wires: Vec<Wire> = (0..200)
        .map(|_| server.connect_silently().unwrap())
        .collect();
    server.connect().call("server.ping", json!([]));
    drop(wires);
}
