//! A server of threads. Some requests mean something else here:
//!
//! - `blockchain.scripthash.get_balance` tells how many scripts are subscribed to;
//! - `server.donation_address` brings news about the tip, twice, and about every script that was subscribed to;
//! - `mempool.get_info` is never answered;
//! - `mempool.get_fee_histogram` is refused, until later;
//! - `server.peers.subscribe` is too much: the connection ends.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::Arc;
use std::thread;

use electrum_protocol::bitcoin::{Amount, SignedAmount};
use electrum_protocol::method::headers::TipResponse;
use electrum_protocol::net::Transport;
use electrum_protocol::net::tls::rustls::pki_types::pem::PemObject;
use electrum_protocol::net::tls::rustls::pki_types::{CertificateDer, PrivateKeyDer};
use electrum_protocol::net::tls::rustls::{self, ServerConfig, ServerConnection, StreamOwned};
use electrum_protocol::server::Event;
use electrum_protocol::{
    Balance, ErrorCode, ErrorObject, Notification, Request, Response, ScriptHash, Server, Tip,
};
use tungstenite::Message;

use crate::common;

/// A certificate with its key.
pub(crate) struct Identity {
    pub(crate) certificate: CertificateDer<'static>,
    pub(crate) key: PrivateKeyDer<'static>,
}

impl Identity {
    /// Makes a certificate for some names, which vouches for itself.
    pub(crate) fn new(names: &[&str]) -> Self {
        let names: Vec<_> = names.iter().map(|name| (*name).to_owned()).collect();
        let made = rcgen::generate_simple_self_signed(names).unwrap();
        Self {
            certificate: made.cert.der().clone(),
            key: PrivateKeyDer::try_from(made.signing_key.serialize_der()).unwrap(),
        }
    }

    /// A certificate of X.509 version 1, as `openssl x509 -req -signkey` made them until lately.
    pub(crate) fn of_version_1() -> Self {
        Self {
            certificate: CertificateDer::from_pem_slice(include_bytes!("v1_cert.pem")).unwrap(),
            key: PrivateKeyDer::from_pem_slice(include_bytes!("v1_key.pem")).unwrap(),
        }
    }

    pub(crate) fn config(
        self,
        versions: &[&'static rustls::SupportedProtocolVersion],
    ) -> Arc<ServerConfig> {
        use rustls::sign::{CertifiedKey, SingleCertAndKey};

        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let key = provider.key_provider.load_private_key(self.key).unwrap();
        // Without a look at whether they belong together, and at the certificate's version.
        let pair = CertifiedKey::new(vec![self.certificate], key);
        let config = ServerConfig::builder_with_provider(provider)
            .with_protocol_versions(versions)
            .unwrap()
            .with_no_client_auth()
            .with_cert_resolver(Arc::new(SingleCertAndKey::from(pair)));
        Arc::new(config)
    }
}

/// Listens without TLS.
pub(crate) fn start(transport: Transport) -> SocketAddr {
    listen(transport, None)
}

/// Listens with TLS.
pub(crate) fn start_tls(
    transport: Transport,
    identity: Identity,
    versions: &[&'static rustls::SupportedProtocolVersion],
) -> SocketAddr {
    listen(transport, Some(identity.config(versions)))
}

fn listen(transport: Transport, tls: Option<Arc<ServerConfig>>) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    thread::spawn(move || {
        for stream in listener.incoming() {
            let tls = tls.clone();
            thread::spawn(move || serve(stream.unwrap(), transport, tls));
        }
    });
    address
}

trait Stream: Read + Write {}

impl<S: Read + Write> Stream for S {}

fn serve(stream: TcpStream, transport: Transport, tls: Option<Arc<ServerConfig>>) {
    let mut stream: Box<dyn Stream> = match tls {
        None => Box::new(stream),
        Some(config) => {
            let connection = ServerConnection::new(config).unwrap();
            Box::new(StreamOwned::new(connection, stream))
        }
    };
    let mut session = Session::new();
    if transport.is_websocket() {
        let Ok(mut websocket) = tungstenite::accept(stream) else {
            return;
        };
        while let Ok(message) = websocket.read() {
            session.server.receive(&message.into_data());
            session.server.receive(b"\n");
            let goes_on = session.answer();
            for line in common::sent(&mut session.server) {
                if websocket.send(Message::text(line)).is_err() {
                    return;
                }
            }
            if !goes_on {
                let _ = websocket.close(None);
                // Waits for the other end.
                while websocket.read().is_ok() {}
            }
        }
    } else {
        let mut buffer = [0; 1000];
        while let Ok(count @ 1..) = stream.read(&mut buffer) {
            session.server.receive(&buffer[..count]);
            let goes_on = session.answer();
            let output = session.server.take_output();
            if stream
                .write_all(&output)
                .and_then(|()| stream.flush())
                .is_err()
                || !goes_on
            {
                return;
            }
        }
    }
}

struct Session {
    server: Server,
    scripts: Vec<ScriptHash>,
}

impl Session {
    fn new() -> Self {
        Self {
            server: Server::new(electrum_protocol::ServerConfig::default()),
            scripts: Vec::new(),
        }
    }

    /// Answers what came. Tells whether to go on.
    fn answer(&mut self) -> bool {
        while let Some(event) = self.server.poll_event() {
            let Event::Request { token, request } = event else {
                continue;
            };
            let server = &mut self.server;
            match request {
                Request::ServerPeersSubscribe(_) => {
                    server.close(&ErrorObject::new(ErrorCode::EXCESSIVE_USAGE, "too much"));
                    return false;
                }
                Request::MempoolGetInfo(_) => drop(token),
                Request::ScripthashGetBalance(_) => {
                    let balance = Balance {
                        confirmed: Amount::from_sat(self.scripts.len() as u64),
                        unconfirmed: SignedAmount::ZERO,
                    };
                    server.reply(token, Ok(Response::ScripthashGetBalance(balance)));
                }
                Request::MempoolGetFeeHistogram(_) => {
                    let error = ErrorObject::new(ErrorCode::LIMIT_EXCEEDED, "not now");
                    server.reply(token, Err(error.with_retry_after(7)));
                }
                Request::ServerDonationAddress(_) => {
                    server.reply(token, common::answer(&request));
                    for height in [1, 2] {
                        let tip = Tip {
                            height,
                            ..common::tip()
                        };
                        server.notify(&Notification::Headers(TipResponse::Raw(tip)));
                    }
                    for script_hash in &self.scripts {
                        server.notify(&Notification::ScriptHash {
                            script_hash: *script_hash,
                            status: None,
                        });
                    }
                    // Nobody asked for this.
                    server.notify(&Notification::Numblocks(9));
                }
                request => {
                    if let Request::ScripthashSubscribe(subscribe) = &request {
                        self.scripts.push(subscribe.script_hash);
                    }
                    if let Request::ScripthashUnsubscribe(unsubscribe) = &request {
                        self.scripts
                            .retain(|script| *script != unsubscribe.script_hash);
                    }
                    server.reply(token, common::answer(&request));
                }
            }
        }
        true
    }
}

/// What a server of today speaks.
pub(crate) fn rustls_versions() -> &'static [&'static rustls::SupportedProtocolVersion] {
    rustls::ALL_VERSIONS
}
