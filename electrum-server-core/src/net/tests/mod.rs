//! Real sockets on free ports.

mod healthy;
mod hostile;
mod slow;
mod strangers;
mod transports;
mod unread;
mod work;

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{broadcast, oneshot};
use tokio::task::JoinHandle;
use tokio::time::timeout;

use super::{Listener, serve, updates};
use crate::notify::Update;
use crate::session::tests::{Stage, script_hash};
use crate::session::{About, Limits};

/// A server, and how to end it.
struct Running {
    addresses: Vec<SocketAddr>,
    updates: broadcast::Sender<Arc<Update>>,
    stop: oneshot::Sender<()>,
    served: JoinHandle<std::io::Result<()>>,
}

impl Running {
    async fn start(stage: &Stage) -> Self {
        let listeners = vec![free_port().await.into(), free_port().await.into()];
        Self::on(listeners, stage)
    }

    fn on(listeners: Vec<Listener>, stage: &Stage) -> Self {
        let addresses = listeners
            .iter()
            .filter_map(|listener| listener.local_addr().unwrap())
            .collect();
        let updates = updates();
        let (stop, stopped) = oneshot::channel();
        let served = tokio::spawn(serve(
            listeners,
            stage.services.clone(),
            updates.clone(),
            async move { drop(stopped.await) },
        ));
        Self {
            addresses,
            updates,
            stop,
            served,
        }
    }

    async fn connect(&self) -> TcpStream {
        TcpStream::connect(self.addresses[0]).await.unwrap()
    }

    async fn stop(self) {
        self.stop.send(()).unwrap();
        within(self.served).await.unwrap().unwrap();
    }
}

async fn free_port() -> TcpListener {
    TcpListener::bind("127.0.0.1:0").await.unwrap()
}

/// No test waits for long.
async fn within<T>(future: impl Future<Output = T>) -> T {
    timeout(Duration::from_secs(20), future)
        .await
        .expect("it does not take so long")
}

/// Reads until the server closes.
async fn rest(stream: &mut (impl AsyncRead + Unpin)) -> String {
    let mut text = String::new();
    within(stream.read_to_string(&mut text)).await.unwrap();
    text
}

async fn read_line(stream: &mut (impl AsyncRead + Unpin)) -> String {
    let mut line = Vec::new();
    loop {
        let byte = within(stream.read_u8()).await.unwrap();
        if byte == b'\n' {
            return String::from_utf8(line).unwrap();
        }
        line.push(byte);
    }
}

fn pings(count: usize) -> String {
    (0..count)
        .map(|id| format!("{{\"id\":{id},\"method\":\"server.ping\"}}\n"))
        .collect()
}

fn pongs(count: usize) -> String {
    (0..count)
        .map(|id| format!("{{\"jsonrpc\":\"2.0\",\"id\":{id},\"result\":null}}\n"))
        .collect()
}

#[tokio::test]
async fn pipelined_requests_on_every_address() {
    let stage = Stage::new();
    let running = Running::start(&stage).await;
    for address in running.addresses.clone() {
        let mut stream = TcpStream::connect(address).await.unwrap();
        let ask = format!(
            "{}{{\"id\":50,\"method\":\"blockchain.scripthash.get_history\",\"params\":[\"{}\"]}}\n\
             {{\"id\":51,\"method\":\"blockchain.relayfee\"}}\n",
            pings(50),
            script_hash(1)
        );
        stream.write_all(ask.as_bytes()).await.unwrap();
        // A socket that is closed for writing still gets its answers, and then the end.
        stream.shutdown().await.unwrap();
        let mut expected = pongs(50);
        expected += "{\"jsonrpc\":\"2.0\",\"id\":50,\"result\":[]}\n";
        expected += "{\"jsonrpc\":\"2.0\",\"id\":51,\"result\":0.000001}\n";
        assert_eq!(rest(&mut stream).await, expected);
    }
    running.stop().await;
}

#[tokio::test]
async fn notifications_reach_the_client() {
    let mut stage = Stage::new();
    let running = Running::start(&stage).await;
    let mut stream = running.connect().await;
    let subscribe = "{\"id\":1,\"method\":\"blockchain.headers.subscribe\"}\n".to_owned()
        + &format!(
            "{{\"id\":2,\"method\":\"blockchain.scripthash.subscribe\",\"params\":[\"{}\"]}}\n",
            script_hash(1)
        );
    stream.write_all(subscribe.as_bytes()).await.unwrap();
    assert!(
        read_line(&mut stream)
            .await
            .contains("\"id\":1,\"result\":{\"hex\":")
    );
    assert!(
        read_line(&mut stream)
            .await
            .contains("\"id\":2,\"result\":null")
    );
    // More at once than the channel holds: nothing is lost for good.
    for _ in 0..100 {
        stage.mine(1, &[]);
        running
            .updates
            .send(Arc::new(stage.last_update().clone()))
            .unwrap();
    }
    let status = stage
        .view()
        .status(&script_hash(1), None)
        .unwrap()
        .unwrap()
        .to_string();
    let mut seen_tip = false;
    loop {
        let line = read_line(&mut stream).await;
        seen_tip |=
            line.contains("blockchain.headers.subscribe") && line.contains("\"height\":100}");
        if line.contains(&status) {
            break;
        }
    }
    assert!(seen_tip, "the header comes first");
    running.stop().await;
}

#[tokio::test]
async fn garbage_is_answered_and_the_connection_goes_on() {
    let stage = Stage::new();
    let running = Running::start(&stage).await;
    let mut stream = running.connect().await;
    stream
        .write_all(b"hello there\r\n\xff\xfe\n{}\n\n[]\n1\n")
        .await
        .unwrap();
    stream.write_all(pings(1).as_bytes()).await.unwrap();
    let mut codes = Vec::new();
    loop {
        let line = read_line(&mut stream).await;
        if line.contains("\"result\":null") {
            break;
        }
        let (_, code) = line.split_once("\"code\":").unwrap();
        codes.push(code.split(',').next().unwrap().to_owned());
    }
    assert_eq!(codes, ["-32700", "-32700", "-32600", "-32600", "-32600"]);
    running.stop().await;
}

#[tokio::test]
async fn an_endless_line_is_refused_once() {
    let limits = Limits {
        max_line: 10_000,
        ..Limits::default()
    };
    let stage = Stage::with(About::default(), limits);
    let running = Running::start(&stage).await;
    let mut stream = running.connect().await;
    for _ in 0..100 {
        stream.write_all(&[b'x'; 10_000]).await.unwrap();
    }
    assert!(
        read_line(&mut stream)
            .await
            .contains("line too long (over 10000 bytes)")
    );
    stream.write_all(b"\n").await.unwrap();
    stream.write_all(pings(1).as_bytes()).await.unwrap();
    assert_eq!(read_line(&mut stream).await + "\n", pongs(1));
    running.stop().await;
}

#[tokio::test]
async fn who_speaks_tls_is_left() {
    let stage = Stage::new();
    let running = Running::start(&stage).await;
    let mut stream = running.connect().await;
    // The beginning of a ClientHello.
    stream
        .write_all(&[0x16, 0x03, 0x01, 0x02, 0x00, 0x01, 0x00])
        .await
        .unwrap();
    let mut answer = Vec::new();
    // An end or a reset, but no answer.
    let _ = within(stream.read_to_end(&mut answer)).await;
    assert_eq!(answer, b"");
    running.stop().await;
}

#[tokio::test]
async fn abuse_ends_with_a_reason() {
    let limits = Limits {
        max_refusals: 20,
        ..Limits::default()
    };
    let stage = Stage::with(About::default(), limits);
    let running = Running::start(&stage).await;
    let mut stream = running.connect().await;
    stream
        .write_all("x\n".repeat(10_000).as_bytes())
        .await
        .unwrap();
    let text = rest(&mut stream).await;
    assert!(
        text.ends_with("\"message\":\"too many invalid messages\"}}\n"),
        "{text}"
    );
    running.stop().await;
}

#[tokio::test]
async fn silence_and_deafness_end() {
    let limits = Limits {
        idle_timeout: Duration::from_millis(300),
        write_timeout: Duration::from_millis(100),
        ..Limits::default()
    };
    let stage = Stage::with(About::default(), limits);
    let running = Running::start(&stage).await;
    let mut silent = running.connect().await;
    silent.write_all(pings(1).as_bytes()).await.unwrap();
    let farewell = "{\"jsonrpc\":\"2.0\",\"id\":null,\"error\":{\"code\":4,\
        \"message\":\"no request for 300ms\"}}\n";
    assert_eq!(rest(&mut silent).await, pongs(1) + farewell);

    // Asks for more than all buffers between here and there hold, and reads none of it.
    let deaf = running.connect().await;
    let ask = "{\"id\":0,\"method\":\"server.features\"}\n".repeat(1000);
    let flood = async {
        loop {
            deaf.writable().await.unwrap();
            match deaf.try_write(ask.as_bytes()) {
                Ok(_) => {}
                Err(error) if error.kind() == std::io::ErrorKind::WouldBlock => {}
                Err(_) => break,
            }
        }
    };
    within(flood).await;
    running.stop().await;
}

#[tokio::test]
async fn one_connection_too_many_is_turned_away() {
    let stage = Stage::with(
        About::default(),
        Limits {
            max_connections: 1,
            exempt: Vec::new(),
            ..Limits::default()
        },
    );
    let running = Running::start(&stage).await;
    let mut first = running.connect().await;
    first.write_all(pings(1).as_bytes()).await.unwrap();
    assert_eq!(read_line(&mut first).await + "\n", pongs(1));
    let mut second = running.connect().await;
    let refusal = "{\"jsonrpc\":\"2.0\",\"id\":null,\"error\":{\"code\":-102,\
        \"message\":\"too many connections\",\"data\":{\"retry_after\":60}}}\n";
    assert_eq!(rest(&mut second).await, refusal);
    // The first is not disturbed, and its place is free when it goes.
    first.write_all(pings(1).as_bytes()).await.unwrap();
    first.shutdown().await.unwrap();
    assert_eq!(rest(&mut first).await, pongs(1));
    let again = async {
        loop {
            let mut third = running.connect().await;
            let sent = third.write_all(pings(1).as_bytes()).await;
            let mut text = String::new();
            third.shutdown().await.ok();
            if sent.is_ok() && third.read_to_string(&mut text).await.is_ok() && text == pongs(1) {
                break;
            }
        }
    };
    within(again).await;
    running.stop().await;
}

#[tokio::test]
async fn shutting_down_sends_what_is_left() {
    let stage = Stage::new();
    let running = Running::start(&stage).await;
    let mut stream = running.connect().await;
    let idle = running.connect().await;
    // More than the buffers between here and there hold.
    let count = 20_000;
    let ask = "{\"id\":0,\"method\":\"server.features\"}\n".repeat(count);
    let (mut reader, mut writer) = stream.split();
    let stop = running.stop;
    let write = async {
        // What is not read when the server stops is not answered; the write may fail then.
        let _ = writer.write_all(ask.as_bytes()).await;
    };
    let read = async {
        let mut start = vec![0; 100_000];
        reader.read_exact(&mut start).await.unwrap();
        stop.send(()).unwrap();
        let mut text = String::from_utf8(start).unwrap();
        reader.read_to_string(&mut text).await.unwrap();
        text
    };
    let (text, ()) = within(async { tokio::join!(read, write) }).await;
    // Whole lines, to the end.
    assert!(text.ends_with("}\n"));
    assert!(
        text.lines()
            .all(|line| line.starts_with("{\"jsonrpc\"") && line.ends_with("}"))
    );
    within(running.served).await.unwrap().unwrap();
    drop(idle);
    assert!(TcpStream::connect(running.addresses[0]).await.is_err());
}
