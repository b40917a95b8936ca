//! Web pages, and clients without the right certificate.

use rcgen::{BasicConstraints, CertificateParams, IsCa, Issuer, KeyPair};
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;
use tokio_rustls::rustls::ClientConfig;
use tokio_rustls::rustls::crypto::ring;
use tokio_rustls::rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName};
use tokio_tungstenite::client_async;
use tokio_tungstenite::tungstenite::Error;
use tokio_tungstenite::tungstenite::client::IntoClientRequest;
use tokio_tungstenite::tungstenite::http::HeaderValue;

use super::transports::Files;
use super::*;
use crate::net::AllowedOrigins;

/// Tries to open a WebSocket as a page of this origin; the status of the answer.
async fn status(address: SocketAddr, origins: &[&str]) -> u16 {
    let mut request = "ws://127.0.0.1/".into_client_request().unwrap();
    for origin in origins {
        let value = HeaderValue::from_str(origin).unwrap();
        request.headers_mut().append("origin", value);
    }
    let stream = TcpStream::connect(address).await.unwrap();
    match within(client_async(request, stream)).await {
        Ok((_, response)) => response.status().as_u16(),
        Err(Error::Http(response)) => response.status().as_u16(),
        Err(error) => panic!("{error}"),
    }
}

#[tokio::test]
async fn pages_of_the_web_open_no_websocket() {
    let stage = Stage::new();
    let mut origins = AllowedOrigins::default();
    origins.allow("https://wallet.example").unwrap();
    let listeners = vec![
        Listener::from(free_port().await).with_websocket(),
        Listener::from(free_port().await)
            .with_websocket()
            .with_origins(origins),
    ];
    let running = Running::on(listeners, &stage);
    let [none, some] = [running.addresses[0], running.addresses[1]];
    assert_eq!(status(none, &[]).await, 101);
    assert_eq!(status(some, &[]).await, 101);
    assert_eq!(status(some, &["https://wallet.example"]).await, 101);
    let page = "https://evil.example";
    for (address, origins) in [
        (none, &[page][..]),
        (none, &["null"]),
        (none, &["http://127.0.0.1:50003"]),
        (none, &[""]),
        (some, &[page]),
        (some, &["https://wallet.example", page]),
        (some, &["https://wallet.example.evil.example"]),
    ] {
        assert_eq!(status(address, origins).await, 403, "{origins:?}");
    }
    running.stop().await;
}

/// Sends a request as a browser does for a page, in pieces, and reads to the end.
async fn fetch(mut stream: impl AsyncRead + tokio::io::AsyncWrite + Unpin, piece: usize) -> String {
    let body = pings(3);
    let request = format!(
        "POST / HTTP/1.1\r\nHost: 127.0.0.1:50001\r\nConnection: keep-alive\r\nContent-Length: {}\r\n\
         Content-Type: text/plain;charset=UTF-8\r\nOrigin: https://evil.example\r\n\r\n{body}",
        body.len()
    );
    for piece in request.as_bytes().chunks(piece) {
        // The server may be gone before the end.
        if stream.write_all(piece).await.is_err() || stream.flush().await.is_err() {
            break;
        }
        tokio::task::yield_now().await;
    }
    let mut answer = Vec::new();
    let _ = within(stream.read_to_end(&mut answer)).await;
    String::from_utf8(answer).unwrap()
}

#[tokio::test]
async fn a_request_of_http_is_answered_once_and_its_body_is_not_run() {
    let files = Files::new();
    let stage = Stage::new();
    let listeners = vec![
        free_port().await.into(),
        Listener::from(free_port().await).with_tls(files.load()),
        Listener::from(free_port().await).with_padding(),
    ];
    let running = Running::on(listeners, &stage);
    let check = |answer: String| {
        let (head, text) = answer.split_once("\r\n\r\n").unwrap();
        assert!(head.starts_with("HTTP/1.1 400 Bad Request\r\n"), "{head}");
        assert!(
            head.contains(&format!("Content-Length: {}\r\n", text.len())),
            "{head}"
        );
        assert!(
            text.contains("Electrum server") && !text.contains("jsonrpc"),
            "{text}"
        );
    };
    for piece in [1, 7, 1000] {
        for plain in [0, 2] {
            let stream = TcpStream::connect(running.addresses[plain]).await.unwrap();
            check(fetch(stream, piece).await);
        }
        let stream = TcpStream::connect(running.addresses[1]).await.unwrap();
        check(fetch(within(files.greet(stream)).await.unwrap(), piece).await);
    }
    let text = stage.services.metrics.to_string();
    let requests = text.lines().find(|line| line.contains("server.ping"));
    assert_eq!(requests, None, "no request was handled");
    running.stop().await;
}

/// A certificate with its key.
struct Identity {
    certificate: CertificateDer<'static>,
    key: KeyPair,
    params: CertificateParams,
}

impl Identity {
    fn new(name: &str, issuer: Option<&Self>, change: impl FnOnce(&mut CertificateParams)) -> Self {
        let key = KeyPair::generate().unwrap();
        let mut params = CertificateParams::new(vec![name.to_owned()]).unwrap();
        change(&mut params);
        let made = match issuer {
            None => params.self_signed(&key),
            Some(issuer) => {
                params.signed_by(&key, &Issuer::from_params(&issuer.params, &issuer.key))
            }
        };
        let certificate = made.unwrap().der().clone();
        Self {
            certificate,
            key,
            params,
        }
    }

    fn pem(&self) -> String {
        use base64::Engine;
        let text = base64::prelude::BASE64_STANDARD.encode(&self.certificate);
        format!("-----BEGIN CERTIFICATE-----\n{text}\n-----END CERTIFICATE-----\n")
    }
}

fn authority(params: &mut CertificateParams) {
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
}

/// Shakes hands as this client, and asks something; whether there was an answer.
async fn is_let_in(files: &Files, address: SocketAddr, client: Option<&Identity>) -> bool {
    let builder = ClientConfig::builder_with_provider(Arc::new(ring::default_provider()))
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_root_certificates(files.roots());
    let config = match client {
        None => builder.with_no_client_auth(),
        Some(client) => {
            let key = PrivateKeyDer::Pkcs8(client.key.serialize_der().into());
            let chain = vec![client.certificate.clone()];
            builder.with_client_auth_cert(chain, key).unwrap()
        }
    };
    let stream = TcpStream::connect(address).await.unwrap();
    let name = ServerName::try_from("localhost").unwrap();
    let connector = TlsConnector::from(Arc::new(config));
    // In TLS 1.3 a client is refused after its side of the handshake is done.
    let Ok(stream) = within(connector.connect(name, stream)).await else {
        return false;
    };
    answers(stream).await
}

async fn answers(mut stream: TlsStream<TcpStream>) -> bool {
    if stream.write_all(pings(1).as_bytes()).await.is_err() {
        return false;
    }
    let mut answer = vec![0; pongs(1).len()];
    within(stream.read_exact(&mut answer)).await.is_ok() && answer == pongs(1).as_bytes()
}

#[tokio::test]
async fn only_clients_with_a_certificate_are_let_in_where_one_is_required() {
    let files = Files::new();
    let own = Identity::new("own", None, authority);
    let other = Identity::new("other", None, authority);
    let mine = Identity::new("mine", Some(&own), |_| {});
    let theirs = Identity::new("theirs", Some(&other), |_| {});
    let expired = Identity::new("expired", Some(&own), |params| {
        params.not_before = rcgen::date_time_ymd(2001, 1, 1);
        params.not_after = rcgen::date_time_ymd(2002, 1, 1);
    });
    // What `openssl req -x509` makes: it signs itself, and claims to be an authority.
    let listed = Identity::new("listed", None, authority);
    let unlisted = Identity::new("listed", None, authority);

    let file = files.path("clients.pem");
    std::fs::write(&file, own.pem() + &listed.pem()).unwrap();
    let certificate = files.load();
    certificate.require_clients(&file).unwrap();
    let stage = Stage::new();
    let listeners = vec![Listener::from(free_port().await).with_tls(certificate.clone())];
    let running = Running::on(listeners, &stage);
    let address = running.addresses[0];
    for (client, expected) in [
        (None, false),
        (Some(&mine), true),
        (Some(&theirs), false),
        (Some(&expired), false),
        (Some(&listed), true),
        (Some(&unlisted), false),
        (Some(&other), false),
    ] {
        assert_eq!(is_let_in(&files, address, client).await, expected);
    }

    // The file is read again: who is not in it any more is not let in any more.
    std::fs::write(&file, other.pem()).unwrap();
    certificate.require_clients(&file).unwrap();
    assert!(!is_let_in(&files, address, Some(&mine)).await);
    assert!(is_let_in(&files, address, Some(&theirs)).await);
    std::fs::write(&file, "").unwrap();
    certificate.require_clients(&file).unwrap_err();
    assert!(is_let_in(&files, address, Some(&theirs)).await, "as it was");
    running.stop().await;
}
