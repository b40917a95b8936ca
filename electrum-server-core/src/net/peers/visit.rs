//! Finds out whether another server is what it says: reachable, on this chain, and known to itself by the same name.

use std::io;
use std::net::{IpAddr, SocketAddr};

use electrum_protocol::client::{Event, ReplyError};
use electrum_protocol::method::block::Header;
use electrum_protocol::method::server::{AddPeer, Features, Peer, PeersSubscribe, ServerFeatures};
use electrum_protocol::{Client, Request, Response, VersionRange};
use thiserror::Error;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpStream, lookup_host};

use super::book::{Found, Visit, is_onion, is_public};
use super::{PeerOptions, dial};
use crate::net::transport::AnyStream;
use crate::view::View;

/// Why a server is not good.
#[derive(Debug, Error)]
pub(super) enum VisitError {
    #[error("{0}")]
    Io(#[from] io::Error),
    #[error("{0}")]
    Reply(#[from] ReplyError),
    #[error("it does not answer what was asked")]
    Confused,
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
    let (stream, ip) = connect(visit, options).await?;
    let mut talk = Talk {
        stream,
        client: Client::new(MAX_LINE),
    };
    talk.introduce(&own.server_version, versions).await?;
    let height = view.height().saturating_sub(BLOCKS_BEHIND);
    let header = Header {
        height,
        cp_height: 0,
    };
    let Response::BlockHeader(theirs) = talk.ask(header).await? else {
        return Err(VisitError::Confused);
    };
    if view.header(height) != Some(theirs.header) {
        return Err(VisitError::OtherChain);
    }
    let Response::ServerFeatures(features) = talk.ask(Features).await? else {
        return Err(VisitError::Confused);
    };
    if features.genesis_hash != own.genesis_hash {
        return Err(VisitError::OtherChain);
    }
    let named = |(name, _): &(&String, _)| name.eq_ignore_ascii_case(&visit.host);
    let Some((_, ports)) = features.hosts.iter().find(named) else {
        return Err(VisitError::OtherName);
    };
    let Response::ServerPeersSubscribe(others) = talk.ask(PeersSubscribe).await? else {
        return Err(VisitError::Confused);
    };
    let is_known = others
        .iter()
        .any(|peer| own.hosts.contains_key(&peer.host.to_ascii_lowercase()));
    if options.announce && !own.hosts.is_empty() && !is_known {
        let features = own.clone();
        // Whether it wants to know us is its own affair.
        let _ = talk.ask(AddPeer { features }).await;
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
) -> Result<(AnyStream, Option<IpAddr>), VisitError> {
    let (port, tls) = match (visit.ports.ssl_port, visit.ports.tcp_port) {
        (Some(port), _) => (port, true),
        (None, Some(port)) => (port, false),
        (None, None) => return Err(VisitError::NoAddress),
    };
    let (stream, ip) = if is_onion(&visit.host) {
        let proxy = options.tor_proxy.ok_or(VisitError::NoProxy)?;
        (dial::through_proxy(proxy, &visit.host, port).await?, None)
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
        (stream, Some(ip))
    };
    match tls {
        true => Ok((dial::within_tls(stream, &visit.host).await?, ip)),
        false => Ok((Box::new(stream), ip)),
    }
}

/// A conversation of single questions.
struct Talk {
    stream: AnyStream,
    client: Client,
}

impl Talk {
    async fn introduce(&mut self, name: &str, versions: VersionRange) -> Result<(), VisitError> {
        let (_, bytes) = self.client.introduce(name, versions);
        self.send(&bytes).await?;
        loop {
            if let Event::Negotiated { result, .. } = self.event().await? {
                return Ok(result.map(drop)?);
            }
        }
    }

    async fn ask(&mut self, request: impl Into<Request>) -> Result<Response, VisitError> {
        let (asked, bytes) = self.client.request(request);
        self.send(&bytes).await?;
        loop {
            match self.event().await? {
                Event::Reply { id, result } if id == asked => return Ok(result?),
                _ => {}
            }
        }
    }

    async fn send(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.stream.write_all(bytes).await?;
        self.stream.flush().await
    }

    async fn event(&mut self) -> io::Result<Event> {
        loop {
            if let Some(event) = self.client.poll_event() {
                return Ok(event);
            }
            let mut part = vec![0; 4096];
            let count = self.stream.read(&mut part).await?;
            if count == 0 {
                return Err(io::ErrorKind::UnexpectedEof.into());
            }
            self.client.receive(part.get(..count).unwrap_or_default());
        }
    }
}
