//! `server.*`: who the server is.

use std::collections::BTreeMap;

use bitcoin::BlockHash;
use serde_json::value::RawValue;

use super::Parameters;
use crate::json::{
    DecodeError, FromJson, Object, ToJson, array, bind, optional, required, string, unexpected,
};
use crate::jsonrpc::Params;
use crate::version::{ProtocolVersion, VersionRange};

/// `server.version`: introduces the client and settles the protocol version.
///
/// Not a row of the method table: [`Server`](crate::Server) answers it itself, [`Client`](crate::Client) sends it with
/// [`introduce`](crate::Client::introduce).
///
/// Params: `[client_name, protocol_version]`, the latter `"1.4"` or `["1.4", "1.6"]`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Version {
    /// The name and version of the client's software; empty when it did not say.
    pub client_name: String,
    /// What the client speaks; protocol 1.4 when it did not say.
    pub protocol_version: VersionRange,
}

impl Version {
    /// The name of the method.
    pub const NAME: &'static str = "server.version";
}

impl Parameters for Version {
    fn decode(params: Params<'_>, _: ProtocolVersion) -> Result<Self, DecodeError> {
        let [client_name, protocol_version] = params.bind(["client_name", "protocol_version"])?;
        Ok(Self {
            client_name: optional(client_name, "client_name")?.unwrap_or_default(),
            protocol_version: optional(protocol_version, "protocol_version")?
                .unwrap_or(VersionRange::exactly(ProtocolVersion::V1_4)),
        })
    }

    fn encode(&self, version: ProtocolVersion, out: &mut Vec<u8>) {
        out.push(b'[');
        string(&self.client_name, out);
        out.push(b',');
        let VersionRange { min, max } = self.protocol_version;
        if min == max {
            max.to_json(version, out);
        } else {
            array([min, max], out, |end, out| end.to_json(version, out));
        }
        out.push(b']');
    }
}

/// One version, or a list of the oldest and the newest.
impl FromJson for VersionRange {
    fn from_json(raw: &RawValue) -> Result<Self, DecodeError> {
        if !raw.get().starts_with('[') {
            return ProtocolVersion::from_json(raw).map(Self::exactly);
        }
        match Vec::<ProtocolVersion>::from_json(raw)?.as_slice() {
            [min, max] => Ok(Self::new(*min, *max)),
            _ => Err(unexpected(
                "the oldest and the newest protocol version",
                raw,
            )),
        }
    }
}

/// The answer to `server.version`: `["electrum-server 0.1.0", "1.6"]`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct VersionResponse {
    /// The name and version of the server's software.
    pub software: String,
    /// The version that both sides speak from here on.
    pub protocol_version: ProtocolVersion,
}

impl ToJson for VersionResponse {
    fn to_json(&self, version: ProtocolVersion, out: &mut Vec<u8>) {
        out.push(b'[');
        string(&self.software, out);
        out.push(b',');
        self.protocol_version.to_json(version, out);
        out.push(b']');
    }
}

impl FromJson for VersionResponse {
    fn from_json(raw: &RawValue) -> Result<Self, DecodeError> {
        let [software, protocol_version] = bind(raw, ["software", "protocol_version"], true)?;
        Ok(Self {
            software: required(software, "software")?,
            protocol_version: required(protocol_version, "protocol_version")?,
        })
    }
}

/// `server.features`: what the server is and serves.
///
/// Params: none. Result: [`ServerFeatures`].
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Features;

/// `server.add_peer`: the caller is a server and wants to be known.
///
/// Params: `[features]`, the caller's own [`ServerFeatures`]. Result: whether the peer will be looked at.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AddPeer {
    /// What the caller says about itself.
    pub features: ServerFeatures,
}

impl Parameters for AddPeer {
    fn decode(params: Params<'_>, _: ProtocolVersion) -> Result<Self, DecodeError> {
        let [features] = params.bind(["features"])?;
        Ok(Self {
            features: required(features, "features")?,
        })
    }

    fn encode(&self, version: ProtocolVersion, out: &mut Vec<u8>) {
        array([&self.features], out, |features, out| {
            features.to_json(version, out)
        });
    }
}

/// `server.peers.subscribe`: other servers of the network. Despite its name it never notifies.
///
/// Params: none. Result: a list of [`Peer`]s.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct PeersSubscribe;

/// `server.banner`: a text to show to the user.
///
/// Params: none. Result: a string.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Banner;

/// `server.donation_address`: where to say thanks.
///
/// Params: none. Result: a string, empty when the server wants nothing.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct DonationAddress;

/// `server.ping`: keeps the connection from looking idle.
///
/// Params: none. Result: `null`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Ping;

/// What `server.features` says.
///
/// ```json
/// {"hosts": {"example.org": {"tcp_port": 50001, "ssl_port": 50002}}, "genesis_hash": "000000000019d668…",
///  "hash_function": "sha256", "server_version": "electrum-server 0.1.0", "protocol_min": "1.4",
///  "protocol_max": "1.6", "pruning": null}
/// ```
///
/// Keys that other servers add are ignored when read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ServerFeatures {
    /// Under which names the server can be reached, and on which ports.
    pub hosts: BTreeMap<String, HostPorts>,
    /// The hash of block 0.
    pub genesis_hash: BlockHash,
    /// Always `sha256`.
    pub hash_function: String,
    /// The name and version of the software.
    pub server_version: String,
    /// The oldest protocol version spoken.
    pub protocol_min: ProtocolVersion,
    /// The newest protocol version spoken.
    pub protocol_max: ProtocolVersion,
    /// How many blocks are kept, when not all are.
    pub pruning: Option<u32>,
}

/// The ports of one host name; `None` where that transport is not offered.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct HostPorts {
    /// Lines over TCP.
    pub tcp_port: Option<u16>,
    /// Lines over TLS.
    pub ssl_port: Option<u16>,
    /// WebSocket.
    pub ws_port: Option<u16>,
    /// WebSocket over TLS.
    pub wss_port: Option<u16>,
}

impl ToJson for ServerFeatures {
    fn to_json(&self, version: ProtocolVersion, out: &mut Vec<u8>) {
        let mut object = Object::begin(out);
        hosts_to_json(&self.hosts, version, object.key("hosts"));
        object
            .field("genesis_hash", &self.genesis_hash, version)
            .field("hash_function", &self.hash_function, version)
            .field("server_version", &self.server_version, version)
            .field("protocol_min", &self.protocol_min, version)
            .field("protocol_max", &self.protocol_max, version)
            .field("pruning", &self.pruning, version)
            .end();
    }
}

fn hosts_to_json(hosts: &BTreeMap<String, HostPorts>, version: ProtocolVersion, out: &mut Vec<u8>) {
    out.push(b'{');
    for (index, (name, ports)) in hosts.iter().enumerate() {
        if index > 0 {
            out.push(b',');
        }
        string(name, out);
        out.push(b':');
        ports.to_json(version, out);
    }
    out.push(b'}');
}

impl FromJson for ServerFeatures {
    fn from_json(raw: &RawValue) -> Result<Self, DecodeError> {
        let names = [
            "hosts",
            "genesis_hash",
            "hash_function",
            "server_version",
            "protocol_min",
            "protocol_max",
            "pruning",
        ];
        let [hosts, genesis, hash_function, software, min, max, pruning] = bind(raw, names, false)?;
        Ok(Self {
            hosts: required(hosts, "hosts")?,
            genesis_hash: required(genesis, "genesis_hash")?,
            // Gone after 1.6, and never had another value.
            hash_function: optional(hash_function, "hash_function")?
                .unwrap_or_else(|| "sha256".to_owned()),
            server_version: required(software, "server_version")?,
            protocol_min: required(min, "protocol_min")?,
            protocol_max: required(max, "protocol_max")?,
            pruning: optional(pruning, "pruning")?,
        })
    }
}

impl FromJson for BTreeMap<String, HostPorts> {
    fn from_json(raw: &RawValue) -> Result<Self, DecodeError> {
        let hosts: BTreeMap<String, &RawValue> =
            serde_json::from_str(raw.get()).map_err(|_| unexpected("an object", raw))?;
        let read = |(name, ports): (String, &RawValue)| match HostPorts::from_json(ports) {
            Ok(ports) => Ok((name, ports)),
            Err(error) => Err(error.within(&name)),
        };
        hosts.into_iter().map(read).collect()
    }
}

impl ToJson for HostPorts {
    fn to_json(&self, version: ProtocolVersion, out: &mut Vec<u8>) {
        let mut object = Object::begin(out);
        object.field("tcp_port", &self.tcp_port, version).field(
            "ssl_port",
            &self.ssl_port,
            version,
        );
        // The specification knows only the first two; the others appear where they exist.
        if self.ws_port.is_some() {
            object.field("ws_port", &self.ws_port, version);
        }
        if self.wss_port.is_some() {
            object.field("wss_port", &self.wss_port, version);
        }
        object.end();
    }
}

impl FromJson for HostPorts {
    fn from_json(raw: &RawValue) -> Result<Self, DecodeError> {
        let names = ["tcp_port", "ssl_port", "ws_port", "wss_port"];
        let [tcp, ssl, ws, wss] = bind(raw, names, false)?;
        Ok(Self {
            tcp_port: optional(tcp, "tcp_port")?,
            ssl_port: optional(ssl, "ssl_port")?,
            ws_port: optional(ws, "ws_port")?,
            wss_port: optional(wss, "wss_port")?,
        })
    }
}

/// Another server: `["107.150.45.210", "e.anonyhost.org", ["v1.4", "p10000", "t", "s995"]]`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Peer {
    /// Its address, as text.
    pub ip: String,
    /// Its name, or its address again.
    pub host: String,
    /// `v` and its newest version, `p` and its pruning limit, `t` and `s` with their ports where those are unusual.
    pub features: Vec<String>,
}

impl ToJson for Peer {
    fn to_json(&self, version: ProtocolVersion, out: &mut Vec<u8>) {
        out.push(b'[');
        string(&self.ip, out);
        out.push(b',');
        string(&self.host, out);
        out.push(b',');
        self.features.to_json(version, out);
        out.push(b']');
    }
}

impl FromJson for Peer {
    fn from_json(raw: &RawValue) -> Result<Self, DecodeError> {
        let [ip, host, features] = bind(raw, ["ip", "host", "features"], true)?;
        Ok(Self {
            ip: required(ip, "ip")?,
            host: required(host, "host")?,
            features: required(features, "features")?,
        })
    }
}
