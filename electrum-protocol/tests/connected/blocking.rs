//! The client that waits.

use std::io::Read;
use std::net::TcpListener;
use std::thread;
use std::time::Duration;

use electrum_protocol::blocking::{self, Client, Lines};
use electrum_protocol::method::{address, fee, headers, mempool, scripthash, scriptpubkey, server};
use electrum_protocol::net::socks5::{Credentials, Proxy};
use electrum_protocol::net::tls::rustls::{ServerConnection, StreamOwned};
use electrum_protocol::net::tls::{Fingerprint, Pins, Trust};
use electrum_protocol::net::{ConnectError, Transport};
use electrum_protocol::{
    Batch, Notification, ProtocolVersion, Request, RequestError, Response, ScriptHash, VersionRange,
};

use crate::server::{Identity, rustls_versions, start, start_tls};
use crate::{common, config, proxy};

/// No news that is not there already.
const AT_ONCE: Duration = Duration::from_millis(50);

/// Does what a wallet does.
fn converse(client: &mut Client) {
    assert_eq!(client.version(), ProtocolVersion::V1_6);
    assert!(client.software().starts_with("electrum-protocol "));
    let first = client.subscribe(headers::Subscribe::RAW).unwrap();
    assert_eq!(first, common::tip());
    let script_hash = ScriptHash::from_byte_array([1; 32]);
    let subscribe = scripthash::Subscribe { script_hash };
    let status = client.subscribe(subscribe).unwrap();
    assert_eq!(status, common::example_status());

    // News comes behind an answer, the last of each kind only, and none that nobody asked for.
    client.request(server::DonationAddress).unwrap();
    let mut news = || client.wait(AT_ONCE).unwrap();
    let Some(Notification::Headers(tip)) = news() else {
        panic!("no tip")
    };
    assert!(matches!(tip.tip().height, 1 | 2));
    let rest: Vec<_> = std::iter::from_fn(news).collect();
    assert!(rest.contains(&Notification::ScriptHash {
        script_hash,
        status: None
    }));
    assert!(!rest.contains(&Notification::Numblocks(9)));

    client.unsubscribe(&subscribe).unwrap();
    client.request(server::DonationAddress).unwrap();
    let rest: Vec<_> = std::iter::from_fn(|| client.wait(AT_ONCE).unwrap()).collect();
    assert!(
        rest.iter()
            .all(|news| matches!(news, Notification::Headers(_)))
    );

    // More than fits into an array, and among it what does not exist at this version.
    let mut batch = Batch::new();
    let banner = batch.add(server::Banner);
    let refused = batch.add(mempool::GetFeeHistogram);
    let gone = batch.add(fee::RelayFee);
    for _ in 0..250 {
        batch.push(Request::from(server::Banner));
    }
    let mut replies = client.batch(batch).unwrap();
    assert_eq!(replies.take(banner).unwrap(), common::BANNER);
    let error = replies.take(refused).unwrap_err();
    assert!(error.is_transient());
    let after = error.server_error().and_then(|error| error.retry_after());
    assert_eq!(after, Some(Duration::from_secs(7)));
    let error = replies.take(gone).unwrap_err();
    assert!(matches!(error, RequestError::NotInVersion { .. }));
    let rest: Vec<_> = replies.into_iter().map(Result::unwrap).collect();
    assert_eq!(
        rest,
        vec![Response::ServerBanner(common::BANNER.into()); 250]
    );

    // The end comes with what the server says about it.
    let error = client.request(server::PeersSubscribe).unwrap_err();
    assert!(matches!(error, RequestError::Disconnected(_)) && error.is_transient());
    assert!(error.to_string().contains("too much"), "{error}");
    let again = client.request(server::Banner).unwrap_err();
    assert_eq!(again.to_string(), error.to_string());
}

#[test]
fn it_converses_over_every_transport() {
    for transport in [Transport::Tcp, Transport::WebSocket] {
        let address = start(transport);
        let config = config(&format!("{}://{address}", transport.scheme()));
        converse(&mut blocking::connect(&config).unwrap());
    }
    for transport in [Transport::Tls, Transport::SecureWebSocket] {
        let versions = rustls_versions();
        let address = start_tls(transport, Identity::new(&["localhost"]), versions);
        let mut config = config(&format!("{}://{address}", transport.scheme()));
        config.trust = Trust::FirstUse(std::sync::Arc::new(Pins::new()));
        converse(&mut blocking::connect(&config).unwrap());
    }
}

#[test]
fn it_goes_through_a_proxy_that_looks_the_name_up() {
    let server = start(Transport::Tcp);
    let (address, names) = proxy::start(server, "secret");
    let mut config = config("tcp://abc.onion:50001");
    let error = blocking::connect(&config).unwrap_err();
    assert!(matches!(error, ConnectError::OnionWithoutProxy { .. }));
    config.proxy = Some(Proxy {
        address: address.to_string(),
        credentials: Some(Credentials {
            username: "u".into(),
            password: "secret".into(),
        }),
    });
    converse(&mut blocking::connect(&config).unwrap());
    assert_eq!(names.recv().unwrap(), "abc.onion");
}

#[test]
fn it_speaks_over_a_stream_of_the_callers() {
    let stream = std::net::TcpStream::connect(start(Transport::Tcp)).unwrap();
    stream.set_read_timeout(Some(AT_ONCE)).unwrap();
    let config = config("tcp://example.org:1");
    converse(&mut blocking::connect_over(stream, &config).unwrap());
}

#[test]
fn subscriptions_by_hand_tell_their_news_as_well() {
    let mut client = blocking::connect(&config(&start(Transport::Tcp).to_string())).unwrap();
    let script_hash = ScriptHash::from_byte_array([1; 32]);
    let subscribe = Request::from(scripthash::Subscribe { script_hash });
    let batch: Batch = [headers::Subscribe::RAW.into(), subscribe.clone()]
        .into_iter()
        .collect();
    client.batch(batch).unwrap();
    client.send(subscribe).unwrap();
    client.request(server::DonationAddress).unwrap();
    let told: Vec<_> = std::iter::from_fn(|| client.wait(AT_ONCE).unwrap()).collect();
    let status = None;
    let of_script = Notification::ScriptHash {
        script_hash,
        status,
    };
    assert!(told.contains(&of_script), "{told:?}");
    let unsubscribe = scripthash::Unsubscribe { script_hash };
    client.send(unsubscribe.into()).unwrap();
    client.request(server::DonationAddress).unwrap();
    let told: Vec<_> = std::iter::from_fn(|| client.wait(AT_ONCE).unwrap()).collect();
    assert!(!told.is_empty() && !told.contains(&of_script), "{told:?}");
}

#[test]
fn lines_are_sent_as_they_are() {
    for transport in [Transport::Tcp, Transport::WebSocket] {
        let address = start(transport);
        let config = config(&format!("{}://{address}", transport.scheme()));
        let mut lines = Lines::connect(&config).unwrap();
        lines.send(b"{", AT_ONCE).unwrap();
        let complaint = lines.receive(config.request_timeout).unwrap();
        let complaint = String::from_utf8(complaint).unwrap();
        assert!(
            complaint.contains("-32700") && complaint.ends_with('}'),
            "{complaint}"
        );
        assert!(lines.receive(AT_ONCE).is_err(), "nothing more");
        lines
            .send(b"{\"id\":1,\"method\":\"server.peers.subscribe\"}", AT_ONCE)
            .unwrap();
        let goodbye = lines.receive(config.request_timeout).unwrap();
        assert!(String::from_utf8(goodbye).unwrap().contains("too much"));
        let end = lines.receive(config.request_timeout).unwrap_err();
        assert_eq!(end.kind(), std::io::ErrorKind::UnexpectedEof);
    }
}

#[test]
fn every_version_is_negotiated() {
    let address = start(Transport::Tcp);
    for version in ProtocolVersion::SPOKEN {
        let mut config = config(&format!("{address}"));
        config.versions = VersionRange::exactly(version);
        let mut client = blocking::connect(&config).unwrap();
        assert_eq!(client.version(), version);
        assert_eq!(client.request(server::Banner).unwrap(), common::BANNER);
        client.subscribe(headers::Subscribe::RAW).unwrap();
        let script = common::tip()
            .header
            .block_hash()
            .to_string()
            .into_bytes()
            .into();
        let by_script = client.subscribe(scriptpubkey::Subscribe { script });
        assert_eq!(by_script.is_ok(), version >= ProtocolVersion::V1_7);
        let address = "mipcBbFg9gMiCh81Kj8tqqdgoZub1ZJRfn".to_owned();
        let by_address = client.subscribe(address::Subscribe { address });
        assert_eq!(by_address.is_ok(), version < ProtocolVersion::V1_3);
    }
    let mut config = config(&format!("{address}"));
    config.versions = VersionRange::exactly(ProtocolVersion::new(9, 0, 0));
    let error = blocking::connect(&config).unwrap_err();
    assert!(matches!(error, ConnectError::Negotiation { .. }), "{error}");
    assert!(!error.is_transient());
}

#[test]
fn an_answer_that_does_not_come_costs_only_itself() {
    let mut config = config(&format!("{}", start(Transport::Tcp)));
    config.request_timeout = AT_ONCE;
    let mut client = blocking::connect(&config).unwrap();
    let error = client.request(mempool::GetInfo).unwrap_err();
    assert!(matches!(error, RequestError::TimedOut));
    assert_eq!(client.request(server::Banner).unwrap(), common::BANNER);
}

#[test]
fn a_silent_server_is_asked_for_a_sign_of_life() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let mut config = config(&listener.local_addr().unwrap().to_string());
    config.connect_timeout = AT_ONCE;
    let error = blocking::connect(&config).unwrap_err();
    assert!(matches!(error, ConnectError::TimedOut { .. }), "{error}");
    assert!(error.is_transient());

    let mut config = crate::config(&format!("{}", start(Transport::Tcp)));
    config.keep_alive = Some(Duration::from_millis(5));
    let mut client = blocking::connect(&config).unwrap();
    assert_eq!(client.wait(AT_ONCE * 2).unwrap(), None);
    assert_eq!(client.request(server::Banner).unwrap(), common::BANNER);
}

#[test]
fn nobody_there_is_transient() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    drop(listener);
    let error = blocking::connect(&config(&address.to_string())).unwrap_err();
    assert!(matches!(error, ConnectError::Unreachable { .. }), "{error}");
    assert!(error.is_transient());
    let error = blocking::connect(&config("tcp://name.invalid:1")).unwrap_err();
    assert!(matches!(error, ConnectError::Lookup { .. }), "{error}");
}

/// Without it a server cannot tell a wallet that is done from a connection that somebody cut.
#[test]
fn whoever_is_dropped_says_goodbye() {
    for websocket in [false, true] {
        let identity = Identity::new(&["localhost"]);
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        let scheme = if websocket { "wss" } else { "ssl" };
        let mut config = config(&format!("{scheme}://localhost:{port}"));
        config.trust = Trust::Pinned(Fingerprint::of(&identity.certificate));
        let server = thread::spawn(move || {
            let connection = ServerConnection::new(identity.config(rustls_versions())).unwrap();
            let mut stream = StreamOwned::new(connection, listener.accept().unwrap().0);
            if websocket {
                let mut frames = tungstenite::accept(&mut stream).unwrap();
                assert!(frames.read().unwrap().is_close());
            }
            // An end without a goodbye is an error.
            stream.read_to_end(&mut Vec::new()).unwrap();
        });
        drop(Lines::connect(&config).unwrap());
        server.join().unwrap();
    }
}
