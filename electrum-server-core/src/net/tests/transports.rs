//! The same conversation through every transport.

use futures_util::{SinkExt, StreamExt};
use tokio::io::AsyncWrite;
use tokio::net::{UnixListener, UnixStream};
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;
use tokio_rustls::rustls::crypto::ring;
use tokio_rustls::rustls::pki_types::pem::PemObject;
use tokio_rustls::rustls::pki_types::{CertificateDer, ServerName};
use tokio_rustls::rustls::{ClientConfig, RootCertStore};
use tokio_tungstenite::client_async;
use tokio_tungstenite::tungstenite::Message;

use super::*;
use crate::net::{Certificate, Trusted};

/// A folder with a certificate and its key.
pub(super) struct Files {
    dir: tempfile::TempDir,
}

impl Files {
    pub(super) fn new() -> Self {
        let dir = tempfile::tempdir().unwrap();
        let files = Self { dir };
        files.make();
        files
    }

    fn make(&self) -> bool {
        let names = vec!["localhost".to_owned()];
        Certificate::make_once(&self.path("cert"), &self.path("key"), names).unwrap()
    }

    pub(super) fn path(&self, name: &str) -> std::path::PathBuf {
        self.dir.path().join(name)
    }

    pub(super) fn load(&self) -> Arc<Certificate> {
        Arc::new(Certificate::load(&self.path("cert"), &self.path("key")).unwrap())
    }

    /// Connects and believes nothing but the certificate that is in the file now.
    async fn connect(&self, address: SocketAddr) -> std::io::Result<TlsStream<TcpStream>> {
        self.greet(TcpStream::connect(address).await.unwrap()).await
    }

    /// The certificate that is in the file now.
    pub(super) fn roots(&self) -> RootCertStore {
        let pinned = CertificateDer::from_pem_file(self.path("cert")).unwrap();
        let mut roots = RootCertStore::empty();
        roots.add(pinned).unwrap();
        roots
    }

    /// Shakes hands, and believes nothing but that certificate.
    pub(super) async fn greet<S>(&self, stream: S) -> std::io::Result<TlsStream<S>>
    where
        S: AsyncRead + AsyncWrite + Unpin,
    {
        let config = ClientConfig::builder_with_provider(Arc::new(ring::default_provider()))
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_root_certificates(self.roots())
            .with_no_client_auth();
        let name = ServerName::try_from("localhost").unwrap();
        TlsConnector::from(Arc::new(config))
            .connect(name, stream)
            .await
    }
}

#[tokio::test]
async fn lines_within_tls() {
    let files = Files::new();
    let stage = Stage::new();
    let listener = Listener::from(free_port().await).with_tls(files.load());
    let running = Running::on(vec![listener], &stage);
    let mut stream = within(files.connect(running.addresses[0])).await.unwrap();
    stream.write_all(pings(300).as_bytes()).await.unwrap();
    stream.shutdown().await.unwrap();
    assert_eq!(rest(&mut stream).await, pongs(300));
    running.stop().await;
}

#[tokio::test]
async fn times_without_end_are_no_limit() {
    let files = Files::new();
    let limits = Limits {
        handshake_timeout: Duration::MAX,
        line_timeout: Duration::MAX,
        idle_timeout: Duration::MAX,
        write_timeout: Duration::MAX,
        drain_timeout: Duration::MAX,
        ..Limits::default()
    };
    let stage = Stage::with(About::default(), limits);
    let listener = Listener::from(free_port().await).with_tls(files.load());
    let running = Running::on(vec![listener], &stage);
    let mut stream = within(files.connect(running.addresses[0])).await.unwrap();
    stream.write_all(pings(2).as_bytes()).await.unwrap();
    stream.shutdown().await.unwrap();
    assert_eq!(rest(&mut stream).await, pongs(2));
    running.stop().await;
}

#[tokio::test]
async fn large_answers_within_tls_arrive_whole() {
    let files = Files::new();
    let mut stage = Stage::new();
    for miner in 0..60 {
        stage.mine(miner, &[]);
    }
    let listener = Listener::from(free_port().await).with_tls(files.load());
    let running = Running::on(vec![listener], &stage);
    let mut stream = within(files.connect(running.addresses[0])).await.unwrap();
    let ask = "{\"id\":1,\"method\":\"blockchain.block.headers\",\"params\":[0,500]}\n".repeat(400);
    stream.write_all(ask.as_bytes()).await.unwrap();
    // Nothing is read for a while, so that it waits in every layer.
    tokio::time::sleep(Duration::from_millis(200)).await;
    for _ in 0..400 {
        assert!(read_line(&mut stream).await.contains("\"count\":61,"));
    }
    running.stop().await;
}

#[tokio::test]
async fn a_certificate_is_made_once_and_replaced_while_it_is_in_use() {
    let files = Files::new();
    let certificate = files.load();
    let first = certificate.fingerprint();
    assert_eq!(first.to_string().len(), 32 * 3 - 1);
    assert!(!certificate.is_ed25519());
    assert!(!files.make(), "it is there already");
    assert_eq!(files.load().fingerprint(), first);
    {
        use std::os::unix::fs::PermissionsExt;
        let mode = std::fs::metadata(files.path("key"))
            .unwrap()
            .permissions()
            .mode();
        assert_eq!(mode & 0o777, 0o600);
    }

    let stage = Stage::new();
    let listener = Listener::from(free_port().await).with_tls(certificate.clone());
    let running = Running::on(vec![listener], &stage);
    let address = running.addresses[0];
    let mut old = within(files.connect(address)).await.unwrap();
    std::fs::remove_file(files.path("cert")).unwrap();
    std::fs::remove_file(files.path("key")).unwrap();
    assert!(
        certificate
            .reload(&files.path("cert"), &files.path("key"))
            .is_err()
    );
    assert!(files.make());
    within(files.connect(address)).await.unwrap_err();
    certificate
        .reload(&files.path("cert"), &files.path("key"))
        .unwrap();
    assert_ne!(certificate.fingerprint(), first);
    within(files.connect(address)).await.unwrap();
    // Whoever is connected stays.
    old.write_all(pings(1).as_bytes()).await.unwrap();
    assert_eq!(read_line(&mut old).await + "\n", pongs(1));
    drop(old);
    running.stop().await;
}

/// Whatever a crash has left: the next start makes a pair that belongs together, and never replaces a certificate that
/// somebody may know.
#[test]
fn half_of_a_pair_is_made_whole() {
    let whole = Files::new();
    let [certificate, key] = ["cert", "key"].map(|name| std::fs::read(whole.path(name)).unwrap());
    let left = |bytes: &[u8]| -> Vec<Option<Vec<u8>>> {
        let part = |length: usize| Some(bytes[..length.min(bytes.len())].to_vec());
        vec![
            None,
            part(0),
            Some(vec![0; 300]),
            part(1),
            part(40),
            part(bytes.len() - 30),
        ]
    };
    for (cert_left, key_left) in left(&certificate).into_iter().flat_map(|one| {
        left(&key)
            .into_iter()
            .chain([Some(key.clone())])
            .map(move |other| (one.clone(), other))
    }) {
        let dir = tempfile::tempdir().unwrap();
        let files = Files { dir };
        let has_key = key_left.as_ref() == Some(&key);
        for (name, left) in [("cert", &cert_left), ("key", &key_left)] {
            if let Some(left) = left {
                std::fs::write(files.path(name), left).unwrap();
            }
            std::fs::write(files.path(&format!("{name}.new")), "left behind").unwrap();
        }
        assert!(files.make());
        files.load();
        // A key that was there is used: it may be in a backup.
        let used = std::fs::read(files.path("key")).unwrap();
        assert_eq!(used == key, has_key);
        assert!(!files.make(), "it is made once");
        use std::os::unix::fs::PermissionsExt;
        let mode = std::fs::metadata(files.path("key"))
            .unwrap()
            .permissions()
            .mode();
        if !has_key {
            assert_eq!(mode & 0o777, 0o600);
        }
    }
    // Somebody may know this one.
    for key_left in left(&key) {
        let files = Files {
            dir: tempfile::tempdir().unwrap(),
        };
        std::fs::write(files.path("cert"), &certificate).unwrap();
        if let Some(left) = key_left {
            std::fs::write(files.path("key"), left).unwrap();
        }
        let names = vec!["localhost".to_owned()];
        let made = Certificate::make_once(&files.path("cert"), &files.path("key"), names);
        let error = made.unwrap_err().to_string();
        assert!(error.contains("put the key back from a backup"), "{error}");
        assert_eq!(std::fs::read(files.path("cert")).unwrap(), certificate);
    }
}

#[tokio::test]
async fn a_key_of_another_certificate_is_an_error() {
    let (one, other) = (Files::new(), Files::new());
    let error = Certificate::load(&one.path("cert"), &other.path("key")).unwrap_err();
    assert!(error.to_string().contains("key"), "{error}");
    // As `openssl x509 -req -signkey` made them until lately: of version 1.
    let old = |name: &str| {
        let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/src/net/tests");
        std::path::Path::new(folder).join(name)
    };
    Certificate::load(&old("v1_cert.pem"), &old("v1_key.pem")).unwrap();
    let error = Certificate::load(&old("v1_cert.pem"), &other.path("key")).unwrap_err();
    assert!(error.to_string().contains("key"), "{error}");
    std::fs::write(one.path("cert"), "").unwrap();
    let error = Certificate::load(&one.path("cert"), &one.path("key")).unwrap_err();
    assert!(error.to_string().contains("it is no PEM file"), "{error}");
}

#[tokio::test]
async fn messages_of_websocket_within_and_without_tls() {
    let files = Files::new();
    let stage = Stage::new();
    let running = Running::on(
        vec![
            Listener::from(free_port().await).with_websocket(),
            Listener::from(free_port().await)
                .with_websocket()
                .with_tls(files.load()),
        ],
        &stage,
    );
    let plain = TcpStream::connect(running.addresses[0]).await.unwrap();
    converse(plain).await;
    let secret = within(files.connect(running.addresses[1])).await.unwrap();
    converse(secret).await;
    running.stop().await;
}

async fn converse(stream: impl AsyncRead + AsyncWrite + Unpin) {
    let (mut socket, _) = within(client_async("ws://localhost/", stream))
        .await
        .unwrap();
    // Text, bytes, and a line end that should not be there.
    let ping = |id: u32, end: &str| format!("{{\"id\":{id},\"method\":\"server.ping\"}}{end}");
    socket.send(Message::text(ping(0, ""))).await.unwrap();
    socket.send(Message::binary(ping(1, ""))).await.unwrap();
    socket.send(Message::text(ping(2, "\n"))).await.unwrap();
    socket
        .send(Message::Ping("still there?".into()))
        .await
        .unwrap();
    socket
        .send(Message::text(format!("[{},{}]", ping(3, ""), ping(4, ""))))
        .await
        .unwrap();
    let pong = |id: u32| format!("{{\"jsonrpc\":\"2.0\",\"id\":{id},\"result\":null}}");
    let mut expected: std::collections::VecDeque<String> = vec![
        pong(0),
        pong(1),
        pong(2),
        format!("[{},{}]", pong(3), pong(4)),
    ]
    .into();
    let mut heard = false;
    while !expected.is_empty() || !heard {
        match within(socket.next()).await.unwrap().unwrap() {
            Message::Text(text) => assert_eq!(text.as_str(), expected.pop_front().unwrap()),
            Message::Pong(_) => heard = true,
            other => panic!("{other:?}"),
        }
    }
    socket.close(None).await.unwrap();
    while let Some(Ok(message)) = within(socket.next()).await {
        assert!(message.is_close());
    }
}

#[tokio::test]
async fn a_message_that_is_too_long_ends_a_websocket() {
    let limits = Limits {
        max_line: 10_000,
        ..Limits::default()
    };
    let stage = Stage::with(About::default(), limits);
    let listener = Listener::from(free_port().await).with_websocket();
    let running = Running::on(vec![listener], &stage);
    let stream = running.connect().await;
    let (mut socket, _) = within(client_async("ws://localhost/", stream))
        .await
        .unwrap();
    let _ = socket.send(Message::text(" ".repeat(100_000))).await;
    while let Some(Ok(message)) = within(socket.next()).await {
        assert!(message.is_close(), "{message:?}");
    }
    running.stop().await;
}

/// Whoever is sent away is told why, in a message and in the frame that closes.
#[tokio::test]
async fn a_websocket_is_closed_with_a_reason() {
    let stage = Stage::with(
        About::default(),
        Limits {
            idle_timeout: Duration::from_millis(300),
            max_connections: 1,
            exempt: Vec::new(),
            ..Limits::default()
        },
    );
    let running = Running::on(
        vec![Listener::from(free_port().await).with_websocket()],
        &stage,
    );
    let visit = async || {
        let stream = running.connect().await;
        let (mut socket, _) = within(client_async("ws://localhost/", stream))
            .await
            .unwrap();
        let Message::Text(text) = within(socket.next()).await.unwrap().unwrap() else {
            panic!("a reason comes first");
        };
        let Message::Close(Some(frame)) = within(socket.next()).await.unwrap().unwrap() else {
            panic!("then the end");
        };
        assert_eq!(u16::from(frame.code), 1008);
        (text.to_string(), frame.reason.to_string())
    };
    let first = async {
        let (text, reason) = visit().await;
        assert!(text.contains("\"code\":4,"), "{text}");
        assert_eq!(reason, "no request for 300ms");
    };
    let second = async {
        // The first has its place by then.
        tokio::time::sleep(Duration::from_millis(50)).await;
        let (text, reason) = visit().await;
        assert!(text.contains("\"retry_after\":60"), "{text}");
        assert_eq!(reason, "too many connections");
    };
    tokio::join!(first, second);
    running.stop().await;
}

#[tokio::test]
async fn lines_through_a_unix_socket() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("socket");
    let stage = Stage::new();
    let running = Running::on(vec![UnixListener::bind(&file).unwrap().into()], &stage);
    let mut stream = UnixStream::connect(&file).await.unwrap();
    stream.write_all(pings(3).as_bytes()).await.unwrap();
    stream.shutdown().await.unwrap();
    assert_eq!(rest(&mut stream).await, pongs(3));
    running.stop().await;
}

#[tokio::test]
async fn a_trusted_proxy_says_for_whom_it_connects() {
    let limits = Limits {
        max_subnet_connections: 1,
        ..Limits::default()
    };
    let stage = Stage::with(About::default(), limits);
    let trusted = Trusted {
        subnets: vec!["127.0.0.0/8".parse().unwrap()],
        unix: false,
    };
    let listener = Listener::from(free_port().await).with_proxies(trusted);
    let running = Running::on(vec![listener], &stage);
    let ask = |client: &str| format!("PROXY TCP4 {client} 192.0.2.1 1 2\r\n{}", pings(1));
    let mut first = running.connect().await;
    first
        .write_all(ask("198.51.100.1").as_bytes())
        .await
        .unwrap();
    assert_eq!(read_line(&mut first).await + "\n", pongs(1));
    // The same subnet again.
    let mut second = running.connect().await;
    second
        .write_all(ask("198.51.100.2").as_bytes())
        .await
        .unwrap();
    assert!(
        rest(&mut second)
            .await
            .contains("too many connections from your subnet")
    );
    let mut other = running.connect().await;
    other
        .write_all(ask("203.0.113.1").as_bytes())
        .await
        .unwrap();
    assert_eq!(read_line(&mut other).await + "\n", pongs(1));
    // Who is trusted must say it.
    let mut silent = running.connect().await;
    silent.write_all(pings(1).as_bytes()).await.unwrap();
    let mut heard = Vec::new();
    let _ = within(silent.read_to_end(&mut heard)).await;
    assert_eq!(heard, b"");
    running.stop().await;
}

#[tokio::test]
async fn whoever_is_not_trusted_cannot_choose_an_address() {
    let stage = Stage::new();
    let running = Running::start(&stage).await;
    let mut stream = running.connect().await;
    let line = "PROXY TCP4 198.51.100.1 192.0.2.1 1 2\r\n".to_owned() + &pings(1);
    stream.write_all(line.as_bytes()).await.unwrap();
    assert!(read_line(&mut stream).await.contains("-32700"));
    assert_eq!(read_line(&mut stream).await + "\n", pongs(1));
    running.stop().await;
}

#[tokio::test]
async fn padded_answers_have_few_lengths() {
    let stage = Stage::new();
    let listeners = vec![
        Listener::from(free_port().await).with_padding(),
        Listener::from(free_port().await)
            .with_padding()
            .with_websocket(),
    ];
    let running = Running::on(listeners, &stage);
    let mut stream = running.connect().await;
    stream.write_all(pings(1).as_bytes()).await.unwrap();
    let line = read_line(&mut stream).await + "\n";
    assert_eq!(line.len(), 1024);
    assert_eq!(line.replace(' ', ""), pongs(1));
    stream
        .write_all(b"{\"id\":0,\"method\":\"server.features\"}\n")
        .await
        .unwrap();
    assert_eq!(read_line(&mut stream).await.len(), 1023);

    let stream = TcpStream::connect(running.addresses[1]).await.unwrap();
    let (mut socket, _) = within(client_async("ws://localhost/", stream))
        .await
        .unwrap();
    for ping in pings(3).lines() {
        socket.send(Message::text(ping)).await.unwrap();
    }
    for _ in 0..3 {
        let message = within(socket.next()).await.unwrap().unwrap();
        assert_eq!(message.into_text().unwrap().len(), 1023);
    }
    running.stop().await;
}
