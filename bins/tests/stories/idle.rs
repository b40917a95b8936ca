//! Many clients that only wait.

use std::env;
use std::io::{self, BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio_rustls::rustls::client::danger::{
    HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier,
};
use tokio_rustls::rustls::crypto::{CryptoProvider, ring};
use tokio_rustls::rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use tokio_rustls::rustls::{
    ClientConfig, ClientConnection, DigitallySignedStruct, Error, SignatureScheme, StreamOwned,
};

use crate::node::{RegtestNode, Script, free_port};
use crate::server::Server;

/// Open files of this process beside the connections.
const OTHER_FILES: u64 = 200;

/// Takes minutes and twenty thousand files on each side; `cargo test -- --ignored --nocapture idle`. `IDLE_CLIENTS` is how
/// many there are, `IDLE_TRANSPORT` what they speak through: `tcp`, `tls`, `ws` or `wss`.
#[test]
#[ignore = "large"]
fn twenty_thousand_clients_wait_for_a_block() {
    let count: usize = env::var("IDLE_CLIENTS").map_or(20_000, |count| count.parse().unwrap());
    let transport = env::var("IDLE_TRANSPORT").unwrap_or_else(|_| "tcp".to_owned());
    let files = rlimit::increase_nofile_limit(u64::MAX).unwrap();
    let needed = count as u64 + OTHER_FILES;
    assert!(
        files >= needed,
        "only {files} open files (ulimit -Hn), where {needed} are needed"
    );
    let node = RegtestNode::start();
    node.mine(10, &Script::new(0));
    let places = (count + 100).to_string();
    let port = free_port();
    let address = format!("127.0.0.1:{port}");
    let listen: &[&str] = match transport.as_str() {
        "tcp" => &[],
        "tls" => &["--electrum-tls-addr", &address],
        "ws" => &["--ws-addr", &address],
        "wss" => &["--wss-addr", &address],
        other => panic!("IDLE_TRANSPORT={other}"),
    };
    // On a slow machine the first clients are silent for long before the last one is there.
    let waiting = ["--max-connections", &places, "--session-timeout", "86400"];
    let arguments = [&waiting, listen].concat();
    let server = Server::start_with(&node, &arguments);
    let port = match transport.as_str() {
        "tcp" => server.port,
        _ => port,
    };
    let tls = matches!(transport.as_str(), "tls" | "wss").then(any_server);
    // The first clients cost what all share.
    let mut clients: Vec<_> = (0..100)
        .map(|number| Client::connect(port, &transport, tls.clone(), number))
        .collect();
    let before = server.memory();
    clients.extend((0..count).map(|n| Client::connect(port, &transport, tls.clone(), n + 100)));
    let each = (server.memory() - before) / count as u64;
    println!("{count} clients wait over {transport}, and take {each} bytes each");
    node.mine(1, &Script::new(0));
    let mined = Instant::now();
    for client in &mut clients {
        let line = client.hear();
        assert!(line.contains("blockchain.headers.subscribe"), "{line}");
    }
    println!("all know the block after {:?}", mined.elapsed());
    let each = (server.memory() - before) / count as u64;
    println!("then they take {each} bytes each");
    assert!(each < 12 * 1024, "{each}");
}

/// A stream, whatever it speaks through.
trait Stream: Read + Write {}

impl<S: Read + Write> Stream for S {}

/// A client that subscribes and waits.
pub(crate) struct Client {
    stream: BufReader<Box<dyn Stream>>,
    is_websocket: bool,
}

impl Client {
    fn connect(port: u16, transport: &str, tls: Option<Arc<ClientConfig>>, number: usize) -> Self {
        let stream = TcpStream::connect(("127.0.0.1", port)).unwrap();
        stream
            .set_read_timeout(Some(Duration::from_secs(60)))
            .unwrap();
        let mut client = Self::over(stream, transport, tls);
        for request in [
            "{\"id\":0,\"method\":\"server.version\",\"params\":[\"idle\",\"1.4\"]}".to_owned(),
            "{\"id\":1,\"method\":\"blockchain.headers.subscribe\",\"params\":[]}".to_owned(),
            format!(
                "{{\"id\":2,\"method\":\"blockchain.scripthash.subscribe\",\"params\":[\"{number:064x}\"]}}"
            ),
        ] {
            client.say(&request).unwrap();
            let line = client.hear();
            assert!(line.contains("\"result\""), "{line}");
        }
        client
    }

    /// Shakes hands over a connection.
    pub(crate) fn over(stream: TcpStream, transport: &str, tls: Option<Arc<ClientConfig>>) -> Self {
        let stream: Box<dyn Stream> = match tls {
            None => Box::new(stream),
            Some(config) => {
                let name = ServerName::try_from("localhost").unwrap();
                let connection = ClientConnection::new(config, name).unwrap();
                Box::new(StreamOwned::new(connection, stream))
            }
        };
        let mut client = Self {
            stream: BufReader::with_capacity(512, stream),
            is_websocket: transport.starts_with('w'),
        };
        if client.is_websocket {
            client.shake_hands().unwrap();
        }
        client
    }

    fn shake_hands(&mut self) -> io::Result<()> {
        let hello = "GET / HTTP/1.1\r\nHost: localhost\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
                     Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n\r\n";
        self.stream.get_mut().write_all(hello.as_bytes())?;
        let mut line = String::new();
        while line != "\r\n" {
            line.clear();
            self.stream.read_line(&mut line)?;
        }
        Ok(())
    }

    pub(crate) fn say(&mut self, text: &str) -> io::Result<()> {
        let mut message = Vec::new();
        if self.is_websocket {
            // A whole text, under a mask that changes nothing.
            let length = u16::try_from(text.len()).unwrap();
            message.extend([0x81, 0x80 | 126]);
            message.extend(length.to_be_bytes());
            message.extend([0; 4]);
            message.extend(text.as_bytes());
        } else {
            message.extend(text.as_bytes());
            message.push(b'\n');
        }
        self.stream.get_mut().write_all(&message)
    }

    pub(crate) fn hear(&mut self) -> String {
        let mut text = String::new();
        if !self.is_websocket {
            self.stream.read_line(&mut text).unwrap();
            return text;
        }
        let mut head = [0; 2];
        self.stream.read_exact(&mut head).unwrap();
        assert_eq!(head[0], 0x81, "a whole text");
        let length = match head[1] {
            126 => {
                let mut length = [0; 2];
                self.stream.read_exact(&mut length).unwrap();
                u16::from_be_bytes(length).into()
            }
            length => u64::from(length),
        };
        let mut message = self.stream.by_ref().take(length);
        message.read_to_string(&mut text).unwrap();
        text
    }
}

/// TLS to any server: what is measured is not whom one speaks to.
pub(crate) fn any_server() -> Arc<ClientConfig> {
    let provider = Arc::new(ring::default_provider());
    let config = ClientConfig::builder_with_provider(provider.clone())
        .with_safe_default_protocol_versions()
        .unwrap()
        .dangerous()
        .with_custom_certificate_verifier(Arc::new(AnyServer(provider)))
        .with_no_client_auth();
    Arc::new(config)
}

#[derive(Debug)]
struct AnyServer(Arc<CryptoProvider>);

impl ServerCertVerifier for AnyServer {
    fn verify_server_cert(
        &self,
        _: &CertificateDer<'_>,
        _: &[CertificateDer<'_>],
        _: &ServerName<'_>,
        _: &[u8],
        _: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        _: &[u8],
        _: &CertificateDer<'_>,
        _: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        Ok(HandshakeSignatureValid::assertion())
    }

    fn verify_tls13_signature(
        &self,
        _: &[u8],
        _: &CertificateDer<'_>,
        _: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        Ok(HandshakeSignatureValid::assertion())
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.0.signature_verification_algorithms.supported_schemes()
    }
}
