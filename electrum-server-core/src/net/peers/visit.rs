//! Finds out whether another server is what it says: reachable, on this chain, and known to itself by the same name.

use std::io;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;

use electrum_protocol::method::block::Header;
use electrum_protocol::method::server::{AddPeer, Features, Peer, PeersSubscribe, ServerFeatures};
use electrum_protocol::net::socks5::Proxy;
use electrum_protocol::net::tls::{Certificate, FirstUse, Trust};
use electrum_protocol::net::{
    Config, ConnectError, ParseServerAddressError, ServerAddress, Transport,
};
use electrum_protocol::tokio::{self as tokio_client, Client};
use electrum_protocol::{RequestError, VersionRange};
use thiserror::Error;
use tokio::net::{TcpStream, lookup_host};

use super::PeerOptions;
use super::book::{Found, Visit, is_onion, is_public};
use crate::view::View;

/// Why a server is not good.
#[derive(Debug, Error)]
pub(super) enum VisitError {
    #[error(transparent)]
    Io(#[from] io::Error),
    #[error(transparent)]
    Address(#[from] ParseServerAddressError),
    #[error(transparent)]
    Connect(#[from] ConnectError),
    #[error(transparent)]
    Request(#[from] RequestError),
    #[error("no address that everybody can reach")]
    NoAddress,
    #[error("there is no proxy for onion services")]
    NoProxy,
    #[error("it is not where its name was put forward")]
    OtherAddress,
    #[error("it has another chain")]
    OtherChain,
    #[error("it does not know its name")]
    OtherName,
}

impl VisitError {
    /// Tells whether the server is not what it says, rather than away.
    pub(super) fn is_lie(&self) -> bool {
        matches!(
            self,
            Self::OtherAddress | Self::OtherChain | Self::OtherName
        )
    }
}

/// A longer line than another server needs.
const MAX_LINE: usize = 1_000_000;
/// As many blocks may be missing there, or be others.
const BLOCKS_BEHIND: u32 = 5;

/// Visits a server. Returns what was found, and the servers that it names.
pub(super) async fn visit(
    visit: &Visit,
    options: &PeerOptions,
    own: &ServerFeatures,
    versions: VersionRange,
    view: &View,
) -> Result<(Found, Vec<Peer>), VisitError> {
    let (client, ip) = connect(visit, options, own, versions).await?;
    let height = view.height().saturating_sub(BLOCKS_BEHIND);
    let header = Header {
        height,
        cp_height: 0,
    };
    let theirs = client.request(header).await?;
    if view.header(height) != Some(theirs.header) {
        return Err(VisitError::OtherChain);
    }
    let features = client.request(Features).await?;
    if features.genesis_hash != own.genesis_hash {
        return Err(VisitError::OtherChain);
    }
    let named = |(name, _): &(&String, _)| name.eq_ignore_ascii_case(&visit.host);
    let Some((_, ports)) = features.hosts.iter().find(named) else {
        return Err(VisitError::OtherName);
    };
    let others = client.request(PeersSubscribe).await?;
    let is_known = others
        .iter()
        .any(|peer| own.hosts.contains_key(&peer.host.to_ascii_lowercase()));
    if options.announce && !own.hosts.is_empty() && !is_known {
        let features = own.clone();
        // Whether it wants to know us is its own affair.
        let _ = client.request(AddPeer { features }).await;
    }
    let found = Found {
        ip,
        ports: *ports,
        version: features.protocol_max.to_string(),
    };
    Ok((found, others))
}

/// Connects, over TLS where that is offered.
async fn connect(
    visit: &Visit,
    options: &PeerOptions,
    own: &ServerFeatures,
    versions: VersionRange,
) -> Result<(Client, Option<IpAddr>), VisitError> {
    let (port, transport) = match (visit.ports.ssl_port, visit.ports.tcp_port) {
        (Some(port), _) => (port, Transport::Tls),
        (None, Some(port)) => (port, Transport::Tcp),
        (None, None) => return Err(VisitError::NoAddress),
    };
    let address = ServerAddress::new(transport, &visit.host, port)?;
    let mut config = Config::new(address);
    config.client_name.clone_from(&own.server_version);
    config.versions = versions;
    config.max_line = MAX_LINE;
    config.keep_alive = None;
    // Servers vouch for themselves: what is said within is checked instead.
    config.trust = Trust::FirstUse(Arc::new(Anybody));
    let (connected, ip) = if is_onion(&visit.host) {
        let proxy = options.tor_proxy.ok_or(VisitError::NoProxy)?;
        config.proxy = Some(Proxy::new(proxy.to_string()));
        (tokio_client::connect(&config).await?, None)
    } else {
        let usable = |address: &SocketAddr| options.private_too || is_public(address.ip());
        let found: Vec<SocketAddr> = lookup_host((visit.host.as_str(), port))
            .await?
            .filter(usable)
            .collect();
        let mut ips = found.iter().map(|address| address.ip().to_canonical());
        if let Some(claimed) = visit.claimed_by
            && !ips.any(|ip| ip == claimed)
        {
            return Err(VisitError::OtherAddress);
        }
        if found.is_empty() {
            return Err(VisitError::NoAddress);
        }
        let stream = TcpStream::connect(found.as_slice()).await?;
        let ip = stream.peer_addr()?.ip().to_canonical();
        let connected = tokio_client::connect_over(stream, &config).await?;
        (connected, Some(ip))
    };
    let (client, connection) = connected;
    // Ends with the client.
    tokio::spawn(connection);
    Ok((client, ip))
}

/// Believes every certificate.
#[derive(Debug)]
struct Anybody;

impl FirstUse for Anybody {
    fn is_trusted(&self, _: &str, _: &Certificate<'_>) -> io::Result<bool> {
        Ok(true)
    }
}
