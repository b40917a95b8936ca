//! Targets for `electrum-protocol`: every decoder, and both sides of a conversation.

use electrum_protocol::client::Event as ClientEvent;
use electrum_protocol::frame::LineDecoder;
use electrum_protocol::jsonrpc::{Id, Incoming, Message, Params};
use electrum_protocol::method::server::Pong;
use electrum_protocol::server::Event as ServerEvent;
use electrum_protocol::{
    Client, ErrorCode, ErrorObject, Method, Notification, ProtocolVersion, RawJson, Request,
    Response, ScriptHash, Server, ServerConfig, Status, VersionRange,
};

/// Framing: the lines do not depend on how the stream is cut, and little is kept.
pub fn frame(data: &[u8]) {
    let [max, size, stream @ ..] = data else {
        return;
    };
    let max = usize::from(*max);
    let lines = |size: usize| {
        let mut decoder = LineDecoder::new(max);
        let mut lines = Vec::new();
        for piece in stream.chunks(size) {
            decoder.push(piece);
            while let Some(line) = decoder.next_line() {
                lines.push(line.map(<[u8]>::to_vec));
            }
            assert!(decoder.buffered() <= max + 1, "kept {}", decoder.buffered());
        }
        lines
    };
    assert_eq!(lines(usize::from(*size) + 1), lines(stream.len().max(1)));
}

/// Envelopes: a line is cut into messages, and those into their parts.
pub fn envelope(data: &[u8]) {
    let messages = match Incoming::parse(data, 10) {
        Ok(Incoming::Single(message)) => vec![message],
        Ok(Incoming::Batch(messages)) => messages,
        Err(error) => return assert!(!error.to_string().is_empty()),
    };
    assert!(!messages.is_empty() && messages.len() <= 10);
    for message in messages.into_iter().filter_map(Message::from_raw) {
        if let Some(raw) = message.id {
            assert!(Id::from_raw(raw).is_none_or(|id| id.get() == raw.get()));
        }
    }
}

/// Picks a method and a version by the first two bytes; the rest is text.
fn method_version_text(data: &[u8]) -> Option<(Method, ProtocolVersion, &str)> {
    let [method, version, text @ ..] = data else {
        return None;
    };
    let method = Method::ALL.get(usize::from(*method) % Method::ALL.len())?;
    let spoken = ProtocolVersion::SPOKEN;
    let version = spoken.get(usize::from(*version) % spoken.len())?;
    Some((*method, *version, core::str::from_utf8(text).ok()?))
}

/// Requests: what is read can be written, and is read as the same again.
pub fn request(data: &[u8]) {
    let Some((method, version, text)) = method_version_text(data) else {
        return;
    };
    let Ok(params) = Params::parse(text) else {
        return;
    };
    let Ok(request) = Request::decode(method, params, version) else {
        return;
    };
    assert_eq!(request.method(), method);
    let mut written = Vec::new();
    request.encode(version, &mut written);
    let written = String::from_utf8(written).expect("JSON is UTF-8");
    let params = Params::parse(&written).expect("JSON is written");
    assert_eq!(Request::decode(method, params, version), Ok(request));
}

/// Results: what is read can be written, and is read as the same again.
pub fn response(data: &[u8]) {
    let Some((method, version, text)) = method_version_text(data) else {
        return;
    };
    let Ok(json) = RawJson::parse(text) else {
        return;
    };
    let Ok(response) = Response::decode(method, &json) else {
        return;
    };
    assert_eq!(response.method(), method);
    let mut written = Vec::new();
    response.encode(version, &mut written);
    let written = String::from_utf8(written).expect("JSON is UTF-8");
    assert!(!written.contains('\n'), "one line");
    let json = RawJson::parse(&written).expect("JSON is written");
    let again = Response::decode(method, &json).expect("what is written is read");
    match again {
        // Rates beyond 2^53 are not exact in other servers' numbers either.
        Response::MempoolGetFeeHistogram(_) => {}
        // Before 1.7 it says nothing.
        Response::ServerPing(pong) if version < ProtocolVersion::V1_7 => {
            assert_eq!(pong, Pong::default());
        }
        again => assert_eq!(again, response),
    }
}

/// Values with a text form of their own.
pub fn values(data: &[u8]) {
    let Ok(text) = core::str::from_utf8(data) else {
        return;
    };
    if let Ok(hash) = text.parse::<ScriptHash>() {
        assert!(hash.to_string().eq_ignore_ascii_case(text));
    }
    if let Ok(status) = text.parse::<Status>() {
        assert!(status.to_string().eq_ignore_ascii_case(text));
    }
    if let Ok(version) = text.parse::<ProtocolVersion>() {
        assert_eq!(version.to_string().parse(), Ok(version));
    }
    if let Ok(json) = RawJson::parse(text) {
        assert!(!json.get().contains(['\n', '\r']));
    }
}

/// A server: whatever comes, it answers with whole lines of JSON, in bounded memory.
pub fn server(data: &[u8]) {
    let [size, flags, stream @ ..] = data else {
        return;
    };
    let mut server = Server::new(ServerConfig {
        version_first: flags & 1 != 0,
        max_line: 2000,
        max_response: 500,
        max_batch: 5,
        ..ServerConfig::default()
    });
    // Answers may wait: those that are held back come at the end, the last request first.
    let mut waiting = Vec::new();
    for piece in stream.chunks(usize::from(*size) + 1) {
        server.receive(piece);
        while let Some(event) = server.poll_event() {
            match event {
                ServerEvent::Request { token, request } if flags & 2 != 0 => {
                    waiting.push((token, request));
                }
                ServerEvent::Request { token, request } => {
                    server.reply(token, answer(&request));
                }
                ServerEvent::Negotiated { client_name, .. } => {
                    assert!(client_name.chars().count() <= 80);
                }
                ServerEvent::Refused { .. } | ServerEvent::Close { .. } => {}
            }
        }
        check_output(&server.take_output());
    }
    while let Some((token, request)) = waiting.pop() {
        server.reply(token, answer(&request));
        server.notify(&Notification::ScriptHash {
            script_hash: ScriptHash::from_byte_array([0; 32]),
            status: None,
        });
    }
    check_output(&server.take_output());
    assert_eq!(server.pending_output(), 0, "every batch is complete");
}

fn answer(request: &Request) -> Result<Response, ErrorObject> {
    match request {
        Request::ServerPing(ping) => Ok(Response::ServerPing(Pong {
            data_len: ping.pong_len.min(1000),
        })),
        Request::ServerBanner(_) => Ok(Response::ServerBanner("banner\n".repeat(100))),
        // Not the result that belongs to it, but text of the client that comes back.
        Request::ServerAddPeer(peer) => Ok(Response::ServerFeatures(peer.features.clone())),
        _ => Err(ErrorObject::new(ErrorCode::BAD_REQUEST, "no \"answer\"")),
    }
}

fn check_output(output: &[u8]) {
    assert!(output.is_empty() || output.ends_with(b"\n"), "whole lines");
    for line in output
        .split(|byte| *byte == b'\n')
        .filter(|line| !line.is_empty())
    {
        match Incoming::parse(line, usize::MAX).expect("JSON is sent") {
            Incoming::Single(raw) => assert!(Message::from_raw(raw).is_some()),
            Incoming::Batch(all) => {
                assert!(all.into_iter().all(|raw| Message::from_raw(raw).is_some()))
            }
        }
    }
}

/// A client: whatever a server sends, each request is answered at most once.
pub fn client(data: &[u8]) {
    let [size, stream @ ..] = data else { return };
    let mut client = Client::new(2000);
    client.introduce("fuzz", VersionRange::SPOKEN);
    assert!(client.pad(9).is_empty(), "not before 1.7");
    let params = [
        "[]".to_owned(),
        "[5]".to_owned(),
        "[5,5]".to_owned(),
        format!("[\"{}\"]", "0".repeat(64)),
        format!("[\"{}\",5]", "0".repeat(64)),
        "[\"00\"]".to_owned(),
        "[[\"00\"]]".to_owned(),
    ];
    for method in Method::ALL {
        let request = params.iter().find_map(|params| {
            let params = Params::parse(params).expect("JSON");
            Request::decode(*method, params, ProtocolVersion::V1_7).ok()
        });
        request.map(|request| client.request(request));
    }
    let mut pending = client.pending();
    for piece in stream.chunks(usize::from(*size) + 1) {
        client.receive(piece);
        while let Some(event) = client.poll_event() {
            if matches!(
                event,
                ClientEvent::Reply { .. } | ClientEvent::Negotiated { .. }
            ) {
                pending -= 1;
            }
        }
    }
    assert_eq!(client.pending(), pending);
}

/// Notifications: what a client reads, a server would write.
pub fn notification(data: &[u8]) {
    let mut client = Client::new(usize::MAX);
    client.receive(data);
    client.receive(b"\n");
    while let Some(event) = client.poll_event() {
        let ClientEvent::Notification(notification) = event else {
            continue;
        };
        for version in ProtocolVersion::SPOKEN {
            let mut written = Vec::new();
            notification.encode(version, &mut written);
            written.push(b'\n');
            let mut other = Client::default();
            other.receive(&written);
            assert!(matches!(
                other.poll_event(),
                Some(ClientEvent::Notification(read)) if read == notification
            ));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Each body over messages that reach deep, whole and cut short at every byte.
    #[test]
    fn bodies_run_on_stable() {
        let hash = "8b01df4e368ea28f8dc0423bcf7a4923e3a12d307c875e47a0cfbf90b5c39161";
        let messages = [
            "{\"id\":0,\"method\":\"server.version\",\"params\":[\"x\",[\"1.4\",\"1.6\"]]}\n[{\"id\":1,\"method\":\"server.banner\"},{\"method\":\"server.ping\"}]\n".to_owned(),
            "{\"id\":0,\"result\":[\"x\",\"1.6\"]}\n{\"id\":1,\"error\":\"x\"}\n{\"id\":2,\"result\":{}}\n".to_owned(),
            "{\"id\":0,\"method\":\"server.version\",\"params\":[\"x\",\"0.10\"]}\n{\"id\":1,\"method\":\"blockchain.transaction.broadcast\",\"params\":\"00\"}\n{\"id\":2,\"method\":\"server.version\",\"params\":[\"x\",\"0.9\"]}\nx\n".to_owned(),
            "{\"id\":0,\"method\":\"server.version\",\"params\":[\"x\",\"1.7\"]}\n{\"method\":\"server.ping\",\"params\":[\"000\"]}\n".to_owned(),
            "{\"id\":null,\"method\":\"blockchain.numblocks.subscribe\",\"params\":316024}\n".to_owned(),
            format!("{{\"method\":\"blockchain.outpoint.subscribe\",\"params\":[\"{hash}\",1,{{\"funder_height\":5,\"spender_txhash\":\"{hash}\",\"spender_height\":-1}}]}}\n"),
            format!("{{\"method\":\"blockchain.transaction.subscribe\",\"params\":[\"{hash}\",0]}}\n"),
            format!("{{\"block_height\":5,\"version\":4294967295,\"prev_block_hash\":\"{hash}\",\"merkle_root\":\"{hash}\",\"timestamp\":1,\"bits\":2,\"nonce\":3}}"),
            format!("[\"{hash}\",5,-1,\"51\"]"),
            format!("{{\"history\":[],\"utxos\":[],\"data\":\"00\",\"block_hash\":\"{hash}\",\"height\":0,\"tx_hash\":\"{hash}\"}}"),
            format!("{{\"method\":\"blockchain.scripthash.subscribe\",\"params\":[\"{hash}\",null]}}\n"),
            format!("[\"{hash}\",5]"),
            hash.to_owned(),
            "1.4.2".to_owned(),
        ];
        for message in &messages {
            for end in 0..=message.len() {
                let text = &message.as_bytes()[..end];
                for body in [envelope, values, notification] {
                    body(text);
                }
                for first in 0..Method::ALL.len() as u8 {
                    let data = [&[first, first / 3], text].concat();
                    for body in [request, response] {
                        body(&data);
                    }
                }
                for size in [0, 1, 6, 255] {
                    let data = [&[size, size], text].concat();
                    for body in [frame, server, client] {
                        body(&data);
                    }
                }
            }
        }
    }
}
