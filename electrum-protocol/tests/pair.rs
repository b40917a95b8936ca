//! Client and server joined in memory, with their bytes cut in every way.

#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    reason = "a failed test panics"
)]

mod common;

use electrum_protocol::bitcoin::{OutPoint, ScriptBuf};
use electrum_protocol::client::{Event, ReplyError, RequestId};
use electrum_protocol::jsonrpc::Params;
use electrum_protocol::method::headers::TipResponse;
use electrum_protocol::method::transaction::TransactionHeight;
use electrum_protocol::method::{
    address, block, fee, header, headers, mempool, numblocks, outpoint, scripthash, scriptpubkey,
    server as about, transaction, utxo,
};
use electrum_protocol::{
    Client, ErrorCode, Method, Notification, ProtocolVersion, Request, Response, ScriptHash,
    Server, ServerConfig, VersionRange,
};

/// One request of every method.
fn requests() -> Vec<Request> {
    let script_hash = ScriptHash::from_byte_array([7; 32]);
    let txid = common::history()[0].txid;
    vec![
        about::Features.into(),
        about::PeersSubscribe.into(),
        about::Banner.into(),
        about::DonationAddress.into(),
        about::Ping::default().into(),
        numblocks::Subscribe.into(),
        headers::Subscribe::RAW.into(),
        headers::GetTip.into(),
        headers::Unsubscribe.into(),
        header::Get {
            block: header::Block::Height(0),
        }
        .into(),
        header::Get {
            block: header::Block::Hash(common::tip().header.block_hash()),
        }
        .into(),
        block::GetHeader { height: 0 }.into(),
        block::GetChunk { index: 0 }.into(),
        block::Header {
            height: 0,
            cp_height: 0,
        }
        .into(),
        block::Header {
            height: 5,
            cp_height: 9,
        }
        .into(),
        block::Headers {
            start_height: 0,
            count: 3,
            cp_height: 0,
        }
        .into(),
        fee::EstimateFee {
            number: 6,
            mode: None,
        }
        .into(),
        fee::RelayFee.into(),
        address::GetBalance { address: address() }.into(),
        address::GetHistory { address: address() }.into(),
        address::GetMempool { address: address() }.into(),
        address::ListUnspent { address: address() }.into(),
        address::Subscribe { address: address() }.into(),
        scripthash::GetBalance { script_hash }.into(),
        scripthash::GetHistory::whole(script_hash).into(),
        scripthash::GetHistory {
            script_hash,
            heights: scripthash::HeightRange {
                from: 5,
                to: Some(9),
            },
        }
        .into(),
        scripthash::GetMempool { script_hash }.into(),
        scripthash::ListUnspent { script_hash }.into(),
        scripthash::Subscribe { script_hash }.into(),
        scripthash::Unsubscribe { script_hash }.into(),
        scripthash::GetStatus { script_hash }.into(),
        scripthash::GetFirstUse { script_hash }.into(),
        scriptpubkey::GetBalance { script: script() }.into(),
        scriptpubkey::GetHistory {
            script: script(),
            heights: scripthash::HeightRange::ALL,
        }
        .into(),
        scriptpubkey::GetMempool { script: script() }.into(),
        scriptpubkey::ListUnspent { script: script() }.into(),
        scriptpubkey::Subscribe { script: script() }.into(),
        scriptpubkey::Unsubscribe { script: script() }.into(),
        outpoint::Subscribe {
            outpoint: OutPoint { txid, vout: 3 },
            script_hint: Some(script()),
        }
        .into(),
        outpoint::GetStatus {
            outpoint: OutPoint { txid, vout: 3 },
            script_hint: None,
        }
        .into(),
        outpoint::Unsubscribe {
            outpoint: OutPoint { txid, vout: 3 },
        }
        .into(),
        utxo::GetAddress { txid, vout: 3 }.into(),
        utxo::GetInfo { txid, vout: 3 }.into(),
        transaction::Broadcast {
            raw_tx: vec![1, 2, 3],
        }
        .into(),
        transaction::BroadcastPackage {
            raw_txs: vec![vec![1], vec![2]],
            verbose: false,
        }
        .into(),
        transaction::Get {
            txid,
            verbose: false,
        }
        .into(),
        transaction::TestMempoolAccept {
            raw_txs: vec![vec![1], vec![2]],
        }
        .into(),
        transaction::GetHeight { txid }.into(),
        transaction::Subscribe { txid }.into(),
        transaction::Unsubscribe { txid }.into(),
        transaction::GetConfirmedBlockhash {
            txid,
            include_header: true,
        }
        .into(),
        transaction::GetMerkle {
            txid,
            height: Some(8),
        }
        .into(),
        transaction::GetMerkle { txid, height: None }.into(),
        transaction::IdFromPos {
            height: 8,
            tx_pos: 1,
            merkle: true,
        }
        .into(),
        transaction::IdFromPos {
            height: 8,
            tx_pos: 1,
            merkle: false,
        }
        .into(),
        mempool::GetFeeHistogram.into(),
        mempool::GetInfo.into(),
        mempool::Recent.into(),
    ]
}

fn address() -> String {
    "1NS17iag9jJgTHD1VXjvLCEnZuQ3rJDE9L".to_owned()
}

fn script() -> ScriptBuf {
    ScriptBuf::from_bytes(vec![0x51])
}

/// What a server of `version` can send unasked.
fn notifications(version: ProtocolVersion) -> Vec<Notification> {
    let status = common::example_status();
    let raw = version >= ProtocolVersion::V1_3;
    let mut notifications = vec![
        Notification::Headers(TipResponse::new(common::tip(), raw)),
        Notification::ScriptHash {
            script_hash: ScriptHash::from_byte_array([7; 32]),
            status,
        },
        Notification::ScriptHash {
            script_hash: ScriptHash::from_byte_array([9; 32]),
            status: None,
        },
        Notification::Outpoint {
            outpoint: OutPoint {
                txid: common::history()[0].txid,
                vout: 3,
            },
            status: common::outpoint_status(),
        },
        Notification::Numblocks(9),
        Notification::Address {
            address: address(),
            status,
        },
        Notification::Ping { data_len: 3 },
    ];
    notifications.retain(|notification| notification.method(version).exists_in(version));
    for height in [
        TransactionHeight::Unknown,
        TransactionHeight::Mempool,
        TransactionHeight::Block(7),
    ] {
        let txid = common::history()[0].txid;
        notifications.push(Notification::Transaction { txid, height });
    }
    notifications
}

/// What a client of `version` must hear.
fn expected(request: &Request, version: ProtocolVersion) -> Result<Response, ErrorCode> {
    // What crosses the wire: some parameters are not known in some versions.
    let mut params = Vec::new();
    request.encode(version, &mut params);
    let params = String::from_utf8(params).unwrap();
    let params = Params::parse(&params).unwrap();
    let known = Request::decode(request.method(), params, version).unwrap();
    let result = if request.method().exists_in(version) {
        common::answer(&known).map_err(|error| error.code)
    } else {
        Err(ErrorCode::METHOD_NOT_FOUND)
    };
    // Before JSON-RPC 2.0 errors have no code.
    result.map_err(|code| match version {
        ProtocolVersion::V0_10 => ErrorCode::UNSPECIFIED,
        _ => code,
    })
}

/// A conversation in which every method is called alone and all again in one batch.
fn converse(version: ProtocolVersion, cut: impl Fn(&[u8]) -> Vec<Vec<u8>>) {
    let mut client = Client::default();
    let mut server = Server::new(ServerConfig::default());
    let requests = requests();

    let mut to_server = Vec::new();
    let (introduction, bytes) = client.introduce("pair", VersionRange::exactly(version));
    to_server.extend(&bytes);
    // The client writes for the version that it knows of, so it must have heard of it.
    let mut early = Server::new(ServerConfig::default());
    early.receive(&bytes);
    common::serve(&mut early);
    client.receive(&early.take_output());
    assert!(matches!(
        client.poll_event(),
        Some(Event::Negotiated { id, result: Ok(_) }) if id == introduction
    ));
    let mut expected_replies: Vec<(RequestId, Result<Response, ErrorCode>)> = Vec::new();
    for request in &requests {
        let (id, bytes) = client.request(request.clone());
        expected_replies.push((id, expected(request, version)));
        to_server.extend(bytes);
    }
    let (ids, bytes) = client.batch(&requests);
    to_server.extend(bytes);
    expected_replies.extend(
        ids.into_iter()
            .zip(requests.iter().map(|request| expected(request, version))),
    );
    assert_eq!(client.pending(), expected_replies.len());

    let mut to_client = Vec::new();
    for piece in cut(&to_server) {
        server.receive(&piece);
        common::serve(&mut server);
        to_client.extend(server.take_output());
    }
    assert_eq!(server.version(), version);
    // The answer to the introduction, which the client has.
    let end = to_client.iter().position(|byte| *byte == b'\n').unwrap();
    to_client.drain(..=end);
    let notifications = notifications(version);
    for notification in &notifications {
        server.notify(notification);
    }
    to_client.extend(server.take_output());

    let mut replies = Vec::new();
    let mut notified = Vec::new();
    for piece in cut(&to_client) {
        client.receive(&piece);
        while let Some(event) = client.poll_event() {
            match event {
                Event::Negotiated { .. } => panic!("negotiated again"),
                Event::Reply { id, result } => replies.push((
                    id,
                    result.map_err(|error| match error {
                        ReplyError::Server(error) => error.code,
                        other => panic!("{other}"),
                    }),
                )),
                Event::Notification(notification) => notified.push(notification),
                Event::Unexpected(message) => panic!("{message}"),
            }
        }
    }
    assert_eq!(client.version(), version);
    assert_eq!(replies, expected_replies);
    assert_eq!(notified, notifications);
    assert_eq!(client.pending(), 0);
}

#[test]
fn every_method_at_every_version() {
    for version in ProtocolVersion::SPOKEN {
        converse(version, |bytes| vec![bytes.to_vec()]);
        converse(version, |bytes| {
            bytes.chunks(1).map(<[u8]>::to_vec).collect()
        });
    }
}

#[test]
fn every_piece_size() {
    for version in ProtocolVersion::SPOKEN {
        for size in (2..50).chain([512, 1024, 1460, 4096]) {
            converse(version, |bytes| {
                bytes.chunks(size).map(<[u8]>::to_vec).collect()
            });
        }
    }
}

/// The stream of a short conversation, cut in two and in three at all places.
#[test]
fn every_split() {
    let script_hash = ScriptHash::from_byte_array([7; 32]);
    let stream = |client: &mut Client| {
        let (_, mut bytes) = client.introduce("split", VersionRange::SPOKEN);
        bytes.extend(client.request(scripthash::Subscribe { script_hash }).1);
        bytes.extend(
            client
                .batch(&[about::Ping::default().into(), about::Banner.into()])
                .1,
        );
        bytes
    };
    let bytes = stream(&mut Client::default());
    let answers = |pieces: &[&[u8]]| {
        let mut server = Server::new(ServerConfig::default());
        let mut output = Vec::new();
        for piece in pieces {
            server.receive(piece);
            common::serve(&mut server);
            output.extend(server.take_output());
        }
        output
    };
    let whole = answers(&[&bytes]);
    assert_eq!(whole.iter().filter(|byte| **byte == b'\n').count(), 3);
    for first in 0..=bytes.len() {
        for second in (first..=bytes.len()).step_by(7) {
            let (a, rest) = bytes.split_at(first);
            let (b, c) = rest.split_at(second - first);
            assert_eq!(answers(&[a, b, c]), whole, "split at {first} and {second}");
        }
    }
    let events = |pieces: &[&[u8]]| {
        let mut client = Client::default();
        stream(&mut client);
        let mut events = Vec::new();
        for piece in pieces {
            client.receive(piece);
            while let Some(event) = client.poll_event() {
                events.push(format!("{event:?}"));
            }
        }
        events
    };
    let all = events(&[&whole]);
    assert_eq!(all.len(), 4);
    for first in 0..=whole.len() {
        let (a, b) = whole.split_at(first);
        assert_eq!(events(&[a, b]), all, "split at {first}");
    }
}

/// Replies in any order find their requests; those of a batch come together, in the order of the requests.
#[test]
fn replies_out_of_order() {
    let mut client = Client::default();
    let mut server = Server::new(ServerConfig::default());
    let (ping, bytes) = client.request(about::Ping::default());
    server.receive(&bytes);
    let (batch, bytes) = client.batch(&[about::Banner.into(), headers::Subscribe::RAW.into()]);
    server.receive(&bytes);
    let mut requests = Vec::new();
    while let Some(event) = server.poll_event() {
        match event {
            electrum_protocol::server::Event::Request { token, request } => {
                requests.push((token, request));
            }
            other => panic!("{other:?}"),
        }
    }
    let mut answered = Vec::new();
    while let Some((token, request)) = requests.pop() {
        server.reply(token, common::answer(&request));
        // What is sent while a batch is open waits for its end.
        server.notify(&Notification::Headers(TipResponse::Raw(common::tip())));
        client.receive(&server.take_output());
        while let Some(event) = client.poll_event() {
            answered.push(match event {
                Event::Reply { id, result } => {
                    result.unwrap();
                    Some(id)
                }
                Event::Notification(_) => None,
                other => panic!("{other:?}"),
            });
        }
    }
    assert_eq!(
        answered,
        [Some(batch[0]), Some(batch[1]), None, None, Some(ping), None]
    );
    assert_eq!(server.pending_output(), 0);
}

#[test]
fn open_batches_count_as_pending_output() {
    let mut server = Server::new(ServerConfig::default());
    server.receive(
        b"[{\"id\":1,\"method\":\"server.ping\"},{\"id\":2,\"method\":\"server.ping\"}]\n",
    );
    let Some(electrum_protocol::server::Event::Request { token, request }) = server.poll_event()
    else {
        panic!("no request");
    };
    assert_eq!(request.method(), Method::ServerPing);
    server.reply(token, Ok(Response::ServerPing(about::Pong::default())));
    let answer = server.pending_output();
    assert!(answer > 0);
    server.notify(&Notification::Headers(TipResponse::Raw(common::tip())));
    assert!(server.pending_output() > answer + 160);
    assert!(server.take_output().is_empty());
}

#[test]
fn typed_calls() {
    use electrum_protocol::Call;
    let response = scripthash::GetHistory::wrap(common::history());
    assert_eq!(response.method(), scripthash::GetHistory::METHOD);
    assert_eq!(
        scripthash::GetHistory::unwrap(response.clone()),
        Some(common::history())
    );
    assert_eq!(scripthash::GetMempool::unwrap(response), None);
}
