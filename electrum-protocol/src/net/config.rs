//! How a server is reached.

use std::time::Duration;

use super::address::ServerAddress;
use super::socks5::Proxy;
#[cfg(feature = "tls")]
use super::tls::{ClientCertificate, Trust};
use crate::client::MAX_LINE;
use crate::version::VersionRange;

/// How a server is reached, and what is put up with.
///
/// ```
/// use electrum_protocol::net::Config;
/// use electrum_protocol::net::socks5::Proxy;
///
/// let mut config = Config::new("ssl://electrum.example:50002".parse()?);
/// config.client_name = "my wallet 1.0".to_owned();
/// config.proxy = Some(Proxy::new("127.0.0.1:9050"));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Config {
    /// Where the server is.
    pub address: ServerAddress,
    /// The name and version of the software, as the server sees it. Every name tells something about its user.
    pub client_name: String,
    /// The protocol versions to speak; the newest that the server has as well is negotiated.
    pub versions: VersionRange,
    /// The SOCKS5 proxy to go through, such as Tor. It looks names up; without one the system does.
    pub proxy: Option<Proxy>,
    /// Whose certificates are good.
    #[cfg(feature = "tls")]
    pub trust: Trust,
    /// The certificate to show to a server that asks for one; `None` to show none.
    #[cfg(feature = "tls")]
    pub client_certificate: Option<ClientCertificate>,
    /// How long it may take until the version is negotiated, all of it: the proxy, TLS, a WebSocket. Of several addresses
    /// of a name each has an equal part of what is left. The blocking client looks names up for as
    /// long as the system does, and counts that.
    pub connect_timeout: Duration,
    /// How long an answer may take. A server that takes nothing from us for so long is lost.
    pub request_timeout: Duration,
    /// After how long a silence the server is asked whether it is there, so that it does not close an idle connection
    /// and a dead one is noticed; nothing for never. An answer must come within the time of a request.
    pub keep_alive: Option<Duration>,
    /// The longest line that is read, in bytes. A longer one on TCP or TLS is dropped while it comes, so that a request that
    /// it answers has no answer; as a message of a WebSocket it ends the connection.
    ///
    /// It bounds what a connection holds, whatever the server sends and however late the caller reads: four times as much,
    /// 512 KiB, and 1 KiB for each request that waits for its answer and each subscription, of which the last news is kept.
    /// A WebSocket holds four times as much again, and up to 64 MiB of what its server does not read. A result is read into
    /// values of up to 25 times its length, such as a list of empty strings; a history takes twice its length.
    pub max_line: usize,
    /// The most requests in one array. A [`Batch`](crate::Batch) that is longer becomes several.
    pub max_batch: usize,
}

impl Config {
    /// Starts with what fits most: the versions that [wallets speak](VersionRange::WALLETS), certificate authorities, 20
    /// seconds to connect, 30 for an answer, a sign of life after a minute, lines of 8.1 MB and batches of 100.
    pub fn new(address: ServerAddress) -> Self {
        Self {
            address,
            client_name: concat!("electrum-protocol ", env!("CARGO_PKG_VERSION")).to_owned(),
            versions: VersionRange::WALLETS,
            proxy: None,
            #[cfg(feature = "tls")]
            trust: Trust::default(),
            #[cfg(feature = "tls")]
            client_certificate: None,
            connect_timeout: Duration::from_secs(20),
            request_timeout: Duration::from_secs(30),
            keep_alive: Some(Duration::from_secs(60)),
            max_line: MAX_LINE,
            max_batch: 100,
        }
    }
}
