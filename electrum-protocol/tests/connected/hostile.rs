//! Servers and proxies that mean no good: both clients come to an end in time, and nothing is missed.

use std::error::Error;
use std::io::{self, BufRead, BufReader, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::Arc;
use std::thread;
use std::time::Duration;

use electrum_protocol::method::{headers, scripthash, server};
use electrum_protocol::net::socks5::Proxy;
use electrum_protocol::net::{Config, ConnectError, Transport};
use electrum_protocol::{Batch, Notification, Request, RequestError, ScriptHash, blocking};
use electrum_protocol::{Subscribe, tokio as asynchronous};
use tungstenite::protocol::CloseFrame;
use tungstenite::protocol::frame::coding::CloseCode;

use crate::config;
use crate::server::start;

/// Little enough to be waited for.
const SHORT: Duration = Duration::from_millis(100);
/// The answer to an introduction.
pub(crate) const WELCOME: &[u8] = b"{\"id\":0,\"result\":[\"x\",\"1.4\"]}\n";

/// Does the same with every connection.
pub(crate) fn play(
    script: impl Fn(TcpStream) -> io::Result<()> + Send + Sync + 'static,
) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    let script = Arc::new(script);
    thread::spawn(move || {
        for stream in listener.incoming() {
            let script = script.clone();
            thread::spawn(move || script(stream.unwrap()));
        }
    });
    address
}

/// Welcomes, and answers each line after that with what is sent at once.
pub(crate) fn answering(answer: impl Fn(usize) -> String + Send + Sync + 'static) -> SocketAddr {
    play(move |mut stream| {
        let lines = BufReader::new(stream.try_clone()?).lines();
        for (number, line) in lines.enumerate() {
            line?;
            match number {
                0 => stream.write_all(WELCOME)?,
                number => stream.write_all(answer(number).as_bytes())?,
            }
        }
        Ok(())
    })
}

/// Sends a beginning, and then the same for ever.
fn endless(beginning: &'static [u8], again: &'static [u8], pause: Duration) -> SocketAddr {
    play(move |mut stream| {
        stream.write_all(beginning)?;
        loop {
            stream.write_all(again)?;
            thread::sleep(pause);
        }
    })
}

fn script_hash(byte: u8) -> ScriptHash {
    ScriptHash::from_byte_array([byte; 32])
}

fn news_about(script_hash: ScriptHash) -> String {
    format!(
        "{{\"method\":\"blockchain.scripthash.subscribe\",\"params\":[\"{script_hash}\",null]}}\n"
    )
}

/// Tries with both clients, and returns their errors.
pub(crate) async fn refused(config: &Config) -> [ConnectError; 2] {
    let first = asynchronous::connect(config).await.map(drop).unwrap_err();
    let config = config.clone();
    let second = tokio::task::spawn_blocking(move || blocking::connect(&config).map(drop));
    [first, second.await.unwrap().unwrap_err()]
}

#[tokio::test]
async fn each_stage_of_connecting_ends_in_time() {
    const A_BYTE: Duration = Duration::from_millis(5);
    const AT_ONCE: Duration = Duration::ZERO;
    let cases: [(&str, SocketAddr); 7] = [
        ("tcp", endless(b"", b" ", A_BYTE)),
        ("tcp", endless(b"", b"x", A_BYTE)),
        ("tcp", endless(b"", &[b'x'; 1000], AT_ONCE)),
        (
            "tcp",
            endless(
                b"",
                b"{\"method\":\"server.ping\",\"params\":[1]}\n",
                AT_ONCE,
            ),
        ),
        // The head of a record of 16 KiB.
        (
            "ssl",
            endless(b"\x16\x03\x03\x40\x00\x02\x00\x3f\xfc", b"\0", A_BYTE),
        ),
        ("ws", endless(b"HTTP/1.1 101 Yes\r\nx: ", b"x", A_BYTE)),
        ("wss", endless(b"", b"", A_BYTE)),
    ];
    for (scheme, address) in cases {
        let mut config = config(&format!("{scheme}://{address}"));
        config.connect_timeout = SHORT;
        for error in refused(&config).await {
            assert!(matches!(error, ConnectError::TimedOut { .. }), "{error}");
            assert!(error.is_transient());
        }
    }
    for answer in [b"".as_slice(), b"\x05", b"\x05\0\x05\0\0\x03\xff"] {
        let proxy = endless(answer, b"", A_BYTE);
        let mut config = config("tcp://abc.onion:1");
        config.proxy = Some(Proxy::new(proxy.to_string()));
        config.connect_timeout = SHORT;
        for error in refused(&config).await {
            assert!(matches!(error, ConnectError::TimedOut { .. }), "{error}");
        }
    }
}

#[tokio::test]
async fn a_handshake_without_end_is_refused() {
    let headers = endless(
        b"HTTP/1.1 101 Yes\r\n",
        b"x: xxxxxxxxxxxxx\r\n",
        Duration::ZERO,
    );
    for error in refused(&config(&format!("ws://{headers}"))).await {
        assert!(matches!(error, ConnectError::WebSocket { .. }), "{error}");
    }
    let junk = endless(b"", b"\x16\x03\x03\x00\x01\xff", Duration::ZERO);
    for error in refused(&config(&format!("ssl://{junk}"))).await {
        assert!(matches!(error, ConnectError::Tls { .. }), "{error}");
        assert!(!error.is_transient());
    }
}

#[tokio::test]
async fn a_request_ends_in_time_whatever_comes_instead() {
    const NEWS: &[u8] = b"{\"method\":\"blockchain.numblocks.subscribe\",\"params\":[1]}\n";
    let junk: [(&[u8], bool); 4] = [
        (NEWS, false),
        (
            b"[{\"id\":0,\"result\":1},{\"id\":\"1\",\"result\":1},{\"id\":7,\"result\":\"no\"},1]\n",
            false,
        ),
        (b"x", true),
        (b"\n", false),
    ];
    for (again, is_line) in junk {
        let ends = move |error: RequestError| match error {
            RequestError::TooLong { .. } => assert!(is_line),
            RequestError::TimedOut => assert!(!is_line),
            other => panic!("{other}"),
        };
        let address = endless(WELCOME, again, Duration::ZERO);
        let mut config = config(&address.to_string());
        config.request_timeout = SHORT;
        config.max_line = 10_000;
        let (client, connection) = asynchronous::connect(&config).await.unwrap();
        let running = tokio::spawn(connection);
        ends(client.request(server::Banner).await.unwrap_err());
        running.abort();
        let waiting = tokio::task::spawn_blocking(move || {
            let mut client = blocking::connect(&config).unwrap();
            ends(client.request(server::Banner).unwrap_err());
            assert_eq!(client.wait(SHORT).unwrap(), None);
        });
        waiting.await.unwrap();
    }
}

#[test]
fn frames_that_say_nothing_are_no_answer() {
    // A fragment without an end, empty continuations, pings.
    for frames in [
        &[b"\x01\0".as_slice(), b"\0\0"],
        &[b"".as_slice(), b"\x89\0"],
    ] {
        let (beginning, again) = (frames[0].to_vec(), frames[1].to_vec());
        let address = play(move |stream| {
            let mut websocket = tungstenite::accept(stream).unwrap();
            websocket.read().unwrap();
            let welcome = String::from_utf8(WELCOME.to_vec()).unwrap();
            websocket.send(tungstenite::Message::text(welcome)).unwrap();
            // And never reads again.
            let stream = websocket.get_mut();
            stream.write_all(&beginning)?;
            loop {
                stream.write_all(&again)?;
            }
        });
        let mut config = config(&format!("ws://{address}"));
        config.request_timeout = SHORT;
        let mut client = blocking::connect(&config).unwrap();
        let error = client.request(server::Banner).unwrap_err();
        assert!(error.is_transient(), "{error}");
    }
}

#[test]
fn news_right_behind_an_answer_is_not_older_than_it() {
    let address = answering(|number| {
        let before = news_about(script_hash(1));
        let after = news_about(script_hash(1));
        format!(
            "{before}{{\"id\":{number},\"result\":\"{}\"}}\n{after}",
            "01".repeat(32)
        )
    });
    let mut client = blocking::connect(&config(&address.to_string())).unwrap();
    let subscribe = scripthash::Subscribe {
        script_hash: script_hash(1),
    };
    assert!(client.subscribe(subscribe).unwrap().is_some());
    let news = client.wait(Duration::from_secs(10)).unwrap();
    assert_eq!(news.and_then(scripthash::Subscribe::update), Some(None));
    assert_eq!(client.next_news(), None);
}

#[test]
fn a_batch_subscribes_as_well() {
    let address = answering(|_| {
        let status = "01".repeat(32);
        let answers =
            format!("[{{\"id\":1,\"result\":\"{status}\"}},{{\"id\":2,\"error\":\"no\"}}]\n");
        answers + &news_about(script_hash(1)) + &news_about(script_hash(2))
    });
    let mut client = blocking::connect(&config(&address.to_string())).unwrap();
    let scripts = [1, 2].map(script_hash);
    let batch: Batch = scripts
        .map(|script_hash| Request::from(scripthash::Subscribe { script_hash }))
        .into_iter()
        .collect();
    let results: Vec<_> = client.batch(batch).unwrap().into_iter().collect();
    assert!(results[0].is_ok() && results[1].is_err());
    let news = client.wait(Duration::from_secs(10)).unwrap();
    let [script_hash, _] = scripts;
    let status = None;
    assert_eq!(
        news,
        Some(Notification::ScriptHash {
            script_hash,
            status
        })
    );
    // Of what was refused nothing is told.
    assert_eq!(client.wait(Duration::ZERO).unwrap(), None);
}

#[tokio::test]
async fn an_answer_that_is_too_long_is_final() {
    let address = answering(|number| match number {
        1 | 3 => format!("{{\"id\":{number},\"result\":\"{}\"}}\n", "x".repeat(2000)),
        number => format!("{{\"id\":{number},\"result\":\"short\"}}\n"),
    });
    let mut config = config(&address.to_string());
    config.max_line = 1000;
    let too_long = |error: RequestError| {
        assert!(
            matches!(error, RequestError::TooLong { max: 1000 }),
            "{error}"
        );
        assert!(!error.is_transient());
    };
    let (client, connection) = asynchronous::connect(&config).await.unwrap();
    tokio::spawn(connection);
    for _ in 0..2 {
        too_long(client.request(server::Banner).await.unwrap_err());
        assert_eq!(client.request(server::Banner).await.unwrap(), "short");
    }
    let waiting = tokio::task::spawn_blocking(move || {
        let mut client = blocking::connect(&config).unwrap();
        for _ in 0..2 {
            too_long(client.request(server::Banner).unwrap_err());
            assert_eq!(client.request(server::Banner).unwrap(), "short");
        }
    });
    waiting.await.unwrap();
}

#[test]
fn what_was_answered_before_the_end_is_kept() {
    let mut config = config(&start(Transport::Tcp).to_string());
    config.max_batch = 1;
    let mut client = blocking::connect(&config).unwrap();
    let mut batch = Batch::new();
    let banner = batch.add(server::Banner);
    let end = batch.add(server::PeersSubscribe);
    let late = batch.add(server::Banner);
    let mut replies = client.batch(batch).unwrap();
    assert!(replies.take(banner).is_ok());
    for error in [
        replies.take(end).unwrap_err(),
        replies.take(late).unwrap_err(),
    ] {
        assert!(matches!(error, RequestError::Disconnected(_)), "{error}");
        // What the system or the server said is there to be looked at.
        let RequestError::Disconnected(cause) = &error else {
            continue;
        };
        assert!(error.to_string().contains(&cause.to_string()), "{error}");
        // Once.
        assert!(error.source().is_none());
    }
}

#[test]
fn a_silent_server_is_not_asked_again_and_again() {
    let mut config = config(&answering(|_| String::new()).to_string());
    config.request_timeout = SHORT;
    config.max_batch = 1;
    let mut client = blocking::connect(&config).unwrap();
    // Each in an array of its own: days, if each were waited for.
    let batch: Batch = vec![Request::from(server::Banner); 1_000_000]
        .into_iter()
        .collect();
    let results: Vec<_> = client.batch(batch).unwrap().into_iter().collect();
    assert_eq!(results.len(), 1_000_000);
    assert!(
        results
            .iter()
            .all(|result| matches!(result, Err(RequestError::TimedOut)))
    );
}

#[tokio::test]
async fn a_server_that_does_not_read_is_lost() {
    // It talks all the time.
    let (mine, mut theirs) = tokio::io::duplex(1000);
    tokio::spawn(async move {
        use tokio::io::{AsyncReadExt, AsyncWriteExt};
        let _ = theirs.read(&mut [0; 1000]).await;
        theirs.write_all(WELCOME).await.unwrap();
        while theirs.write_all(b"\n").await.is_ok() {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    });
    let mut config = config("tcp://example.org:1");
    config.request_timeout = SHORT;
    let (client, connection) = asynchronous::connect_over(mine, &config).await.unwrap();
    let connection = tokio::spawn(connection);
    let batch = vec![Request::from(server::Banner); 100];
    let replies = client.batch(batch.into_iter().collect()).await;
    assert!(replies.into_iter().all(|reply| reply.is_err()));
    let error = connection.await.unwrap().unwrap_err();
    assert_eq!(error.kind(), io::ErrorKind::TimedOut);
}

#[tokio::test]
async fn who_listens_hears_that_the_connection_was_dropped() {
    let config = config(&start(Transport::Tcp).to_string());
    let (client, connection) = asynchronous::connect(&config).await.unwrap();
    let connection = tokio::spawn(connection);
    let mut tips = client.subscribe(headers::Subscribe::RAW).await.unwrap();
    let mut news = client.news();
    let other = client.clone();
    let waiting = tokio::spawn(async move { other.closed().await });
    connection.abort();
    assert_eq!(tips.next().await, None);
    assert_eq!(news.next().await, None);
    assert_eq!(client.news().next().await, None);
    waiting.await.unwrap();
    let error = client.request(server::Banner).await.unwrap_err();
    assert!(matches!(error, RequestError::Disconnected(_)), "{error}");
    let error = client.subscribe(headers::Subscribe::RAW).await.unwrap_err();
    assert!(matches!(error, RequestError::Disconnected(_)), "{error}");
    // Nor does it matter in which order all is dropped, or that nothing was ever polled.
    drop(client);
    drop(tips);
    let (client, connection) = asynchronous::connect(&config).await.unwrap();
    let mut hasty = Box::pin(client.subscribe(headers::Subscribe::RAW));
    tokio::select! {
        biased;
        _ = &mut hasty => panic!("an answer without a connection"),
        () = std::future::ready(()) => {}
    }
    let mut news = client.news();
    drop(connection);
    assert!(hasty.await.is_err());
    assert_eq!(news.next().await, None);
}

#[tokio::test]
async fn the_frame_that_closes_says_why() {
    let address = play(|stream| {
        let mut websocket = tungstenite::accept(stream).unwrap();
        websocket.read().unwrap();
        let welcome = String::from_utf8(WELCOME.to_vec()).unwrap();
        websocket.send(tungstenite::Message::text(welcome)).unwrap();
        let _ = websocket.close(Some(CloseFrame {
            code: CloseCode::Policy,
            reason: "too slow".into(),
        }));
        while websocket.read().is_ok() {}
        Ok(())
    });
    let config = config(&format!("ws://{address}"));
    let (_client, connection) = asynchronous::connect(&config).await.unwrap();
    let error = connection.await.unwrap_err();
    assert!(error.to_string().contains("too slow"), "{error}");
    let waiting = tokio::task::spawn_blocking(move || {
        let mut client = blocking::connect(&config).unwrap();
        client.wait(Duration::from_secs(10)).unwrap_err()
    });
    let error = waiting.await.unwrap();
    assert!(error.to_string().contains("too slow"), "{error}");
}

#[test]
fn a_stream_of_the_callers_may_be_impatient() {
    for transport in [Transport::Tcp, Transport::WebSocket] {
        let stream = TcpStream::connect(start(transport)).unwrap();
        stream
            .set_read_timeout(Some(Duration::from_millis(1)))
            .unwrap();
        let mut config = config(&format!("{}://example.org:1", transport.scheme()));
        config.request_timeout = SHORT;
        let mut client = blocking::connect_over(stream, &config).unwrap();
        let error = client
            .request(electrum_protocol::method::mempool::GetInfo)
            .unwrap_err();
        assert!(matches!(error, RequestError::TimedOut), "{error}");
        assert!(client.request(server::Banner).is_ok());
    }
}

#[tokio::test]
async fn for_ever_is_a_time_as_well() {
    let mut config = config(&start(Transport::Tcp).to_string());
    config.connect_timeout = Duration::MAX;
    config.request_timeout = Duration::MAX;
    config.keep_alive = Some(Duration::MAX);
    let (client, connection) = asynchronous::connect(&config).await.unwrap();
    tokio::spawn(connection);
    assert!(client.request(server::Banner).await.is_ok());
    let waiting = tokio::task::spawn_blocking(move || {
        let mut client = blocking::connect(&config).unwrap();
        client.subscribe(headers::Subscribe::RAW).unwrap();
        client.request(server::DonationAddress).unwrap();
        client.wait(Duration::MAX).unwrap()
    });
    assert!(waiting.await.unwrap().is_some());
}

/// What a program may do with the types: no more can be taken back.
#[test]
fn handles_go_where_programs_need_them() {
    fn shared<T: Send + Sync + 'static>() {}
    fn moved<T: Send + 'static>() {}
    fn an_error<T: Error + Send + Sync + 'static>() {}
    shared::<Config>();
    shared::<electrum_protocol::net::tls::Trust>();
    shared::<electrum_protocol::net::tls::Pins>();
    shared::<Batch>();
    shared::<electrum_protocol::Replies>();
    shared::<electrum_protocol::Place<server::Banner>>();
    shared::<asynchronous::Client>();
    shared::<asynchronous::Subscription<electrum_protocol::Tip>>();
    shared::<asynchronous::News>();
    moved::<asynchronous::Connection>();
    moved::<blocking::Client>();
    moved::<blocking::Lines>();
    an_error::<ConnectError>();
    an_error::<RequestError>();
    an_error::<electrum_protocol::net::ParseServerAddressError>();
    an_error::<electrum_protocol::net::socks5::Socks5Error>();
}
