//! A server to ask, and how to reach it.

use std::io;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use clap::Args;
use electrum_protocol::blocking::{self, Client};
use electrum_protocol::client::ReplyError;
use electrum_protocol::net::socks5::Proxy;
use electrum_protocol::net::tls::{Certificate, Fingerprint, FirstUse, Trust};
use electrum_protocol::net::{Config, ConnectError, ServerAddress};
use electrum_protocol::{ErrorObject, RequestError, VersionRange};

use crate::report::Failure;

/// A server to ask.
#[derive(Debug, Args)]
pub(crate) struct Server {
    /// HOST:PORT, HOST:PORT:s for TLS, or a URL with tcp, ssl, ws or wss
    #[arg(value_name = "SERVER")]
    pub(crate) address: ServerAddress,
    /// Seconds to wait for the connection and for each answer
    #[arg(long, value_name = "SECONDS", default_value_t = 10, value_parser = clap::value_parser!(u64).range(1..))]
    timeout: u64,
    /// SOCKS5 proxy to go through, such as that of Tor at 127.0.0.1:9050
    #[arg(long, value_name = "HOST:PORT")]
    proxy: Option<String>,
    /// SHA-256 of the certificate that the server must show; others are refused
    #[arg(long, value_name = "SHA256", conflicts_with = "any_certificate")]
    pin: Option<Fingerprint>,
    /// Accept whatever certificate the server shows; its answers may then be anybody's
    #[arg(long)]
    any_certificate: bool,
}

impl Server {
    pub(crate) fn timeout(&self) -> Duration {
        Duration::from_secs(self.timeout)
    }

    /// Connects and agrees on a version.
    pub(crate) fn connect(&self, versions: VersionRange) -> Result<Connection<'_>, Failure> {
        let seen = Arc::new(Seen::default());
        let mut config = self.config();
        config.versions = versions;
        if self.any_certificate {
            config.trust = Trust::FirstUse(seen.clone());
        }
        let client = blocking::connect(&config).map_err(|error| self.unreachable(&error))?;
        let certificate = *seen.0.lock().unwrap_or_else(PoisonError::into_inner);
        Ok(Connection {
            client,
            server: self,
            certificate,
        })
    }

    /// How the server is reached, by whatever versions.
    pub(crate) fn config(&self) -> Config {
        let mut config = Config::new(self.address.clone());
        config.client_name = concat!("electrum-tools/", env!("CARGO_PKG_VERSION")).to_owned();
        config.connect_timeout = self.timeout();
        config.request_timeout = self.timeout();
        config.proxy = self.proxy.clone().map(Proxy::new);
        if let Some(pin) = self.pin {
            config.trust = Trust::Pinned(pin);
        } else if self.any_certificate {
            config.trust = Trust::FirstUse(Arc::new(Seen::default()));
        }
        config
    }

    /// Says why there is no connection.
    pub(crate) fn unreachable(&self, error: &ConnectError) -> Failure {
        match error {
            ConnectError::Negotiation {
                error: ReplyError::Server(error),
                ..
            } => self.refused(error),
            ConnectError::Certificate { .. } if self.pin.is_none() => Failure::Network(format!(
                "{error}; most Electrum servers vouch for themselves: --pin SHA256 takes this one, --any-certificate any"
            )),
            error => Failure::Network(error.to_string()),
        }
    }

    fn refused(&self, error: &ErrorObject) -> Failure {
        Failure::Refused {
            message: format!("{} refuses: {error}", self.address),
            code: Some(error.code.0),
        }
    }

    /// Says why there is no answer.
    pub(crate) fn failed(&self, error: &RequestError) -> Failure {
        match error {
            RequestError::Server(error) => self.refused(error),
            error => Failure::Network(format!("no answer from {}: {error}", self.address)),
        }
    }
}

/// A server that answers.
pub(crate) struct Connection<'a> {
    pub(crate) client: Client,
    server: &'a Server,
    /// What it showed, where nothing was asked about it.
    pub(crate) certificate: Option<(Fingerprint, bool)>,
}

impl Connection<'_> {
    /// Asks one question.
    pub(crate) fn ask<T>(
        &mut self,
        question: impl FnOnce(&mut Client) -> Result<T, RequestError>,
    ) -> Result<T, Failure> {
        question(&mut self.client).map_err(|error| self.server.failed(&error))
    }
}

/// Takes any certificate, and remembers it together with whether an authority vouches for it.
#[derive(Debug, Default)]
struct Seen(Mutex<Option<(Fingerprint, bool)>>);

impl FirstUse for Seen {
    fn is_trusted(&self, _: &str, certificate: &Certificate<'_>) -> io::Result<bool> {
        let seen = (certificate.fingerprint, certificate.vouched_for);
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = Some(seen);
        Ok(true)
    }
}
