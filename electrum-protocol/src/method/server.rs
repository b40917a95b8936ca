//! `server.*`: who the server is.

use std::collections::BTreeMap;

use bitcoin::BlockHash;
use serde_json::value::RawValue;

use super::Parameters;
use crate::json::{
    DecodeError, FromJson, Object, ToJson, array, bind, excerpt, number, optional, required,
    string, text, unexpected,
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
///
/// Protocol 1.0 has the software alone, 0.10 the version alone, as text.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct VersionResponse {
    /// The name and version of the server's software.
    pub software: String,
    /// The version that both sides speak from here on.
    pub protocol_version: ProtocolVersion,
}

impl ToJson for VersionResponse {
    fn to_json(&self, version: ProtocolVersion, out: &mut Vec<u8>) {
        if version < ProtocolVersion::V1_0 {
            return self.protocol_version.to_json(version, out);
        }
        if version < ProtocolVersion::V1_1 {
            return string(&self.software, out);
        }
        out.push(b'[');
        string(&self.software, out);
        out.push(b',');
        self.protocol_version.to_json(version, out);
        out.push(b']');
    }
}

impl FromJson for VersionResponse {
    fn from_json(raw: &RawValue) -> Result<Self, DecodeError> {
        // A server of 0.10 says which version it speaks, one of 1.0 what it is; only before 1.1 that is text.
        if let Some(text) = text(raw) {
            return Ok(match text.parse() {
                Ok(version) if version < ProtocolVersion::V1_0 => Self {
                    software: String::new(),
                    protocol_version: version,
                },
                _ => Self {
                    software: text.into_owned(),
                    protocol_version: ProtocolVersion::V1_0,
                },
            });
        }
        let [software, protocol_version] = bind(raw, ["software", "protocol_version"], true)?;
        Ok(Self {
            software: required(software, "software")?,
            protocol_version: required(protocol_version, "protocol_version")?,
        })
    }
}

/// `server.features`: what the server is and serves. From protocol 1.1 on.
///
/// Params: none. Result: [`ServerFeatures`].
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Features;

/// `server.add_peer`: the caller is a server and wants to be known. From protocol 1.1 on.
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

/// `server.ping`: keeps the connection from looking idle. From protocol 1.2 on.
///
/// Params: none, from protocol 1.7 on `[pong_len = 0, data = ""]`: so much to answer with, and so much to send. Result:
/// [`Pong`].
///
/// From protocol 1.7 on either side may also send it as a notification, with `[data]`, that nobody answers: it hides how
/// much else is said. See [`Notification::Ping`](crate::Notification::Ping).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Ping {
    /// How many characters of data the answer shall have.
    pub pong_len: u32,
    /// How many characters of data come with this; what they say means nothing.
    pub data_len: u32,
}

impl Parameters for Ping {
    fn decode(params: Params<'_>, version: ProtocolVersion) -> Result<Self, DecodeError> {
        let [pong_len, data] = params.bind(["pong_len", "data"])?;
        if version < ProtocolVersion::V1_7 {
            return Ok(Self::default());
        }
        // As a notification it has the data alone.
        let (pong_len, data) = match (pong_len, data) {
            (Some(only), None) if only.get().starts_with('"') => (None, Some(only)),
            both => both,
        };
        Ok(Self {
            pong_len: optional(pong_len, "pong_len")?.unwrap_or(0),
            data_len: optional::<Padding>(data, "data")?.map_or(0, |padding| padding.0),
        })
    }

    fn encode(&self, version: ProtocolVersion, out: &mut Vec<u8>) {
        out.push(b'[');
        if version >= ProtocolVersion::V1_7 && *self != Self::default() {
            self.pong_len.to_json(version, out);
            if self.data_len > 0 {
                out.push(b',');
                Padding(self.data_len).to_json(version, out);
            }
        }
        out.push(b']');
    }
}

/// The result of `server.ping`: `null`, from protocol 1.7 on as much data as was asked for.
///
/// ```json
/// {"data": "00000000"}
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Pong {
    /// How many characters of data; what they say means nothing.
    pub data_len: u32,
}

impl ToJson for Pong {
    fn to_json(&self, version: ProtocolVersion, out: &mut Vec<u8>) {
        if version < ProtocolVersion::V1_7 {
            return ().to_json(version, out);
        }
        Object::begin(out)
            .field("data", &Padding(self.data_len), version)
            .end();
    }
}

/// Reads whatever has no data as none: that something comes back is the point.
impl FromJson for Pong {
    fn from_json(raw: &RawValue) -> Result<Self, DecodeError> {
        if !raw.get().starts_with('{') {
            return Ok(Self::default());
        }
        let [data] = bind(raw, ["data"], false)?;
        Ok(Self {
            data_len: optional::<Padding>(data, "data")?.map_or(0, |padding| padding.0),
        })
    }
}

/// Text of which only the length counts: zeros, an odd number of them perhaps.
pub(crate) struct Padding(pub(crate) u32);

impl ToJson for Padding {
    fn to_json(&self, _: ProtocolVersion, out: &mut Vec<u8>) {
        out.push(b'"');
        out.resize(out.len() + self.0 as usize, b'0');
        out.push(b'"');
    }
}

impl FromJson for Padding {
    fn from_json(raw: &RawValue) -> Result<Self, DecodeError> {
        text(raw)
            .filter(|text| text.bytes().all(|byte| byte.is_ascii_hexdigit()))
            .and_then(|text| u32::try_from(text.len()).ok())
            .map(Self)
            .ok_or_else(|| unexpected("hexadecimal text", raw))
    }
}

/// What `server.features` says.
///
/// ```json
/// {"hosts": {"example.org": {"tcp_port": 50001, "ssl_port": 50002}}, "genesis_hash": "000000000019d668…",
///  "hash_function": "sha256", "server_version": "electrum-server 0.1.0", "protocol_min": "1.4",
///  "protocol_max": "1.6", "pruning": null}
/// ```
///
/// The specification does not know `extensions` and `limits`; they are absent on the wire when empty. Keys that other
/// servers add are ignored when read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ServerFeatures {
    /// Under which names the server can be reached, and on which ports.
    pub hosts: BTreeMap<String, HostPorts>,
    /// The hash of block 0.
    pub genesis_hash: BlockHash,
    /// Always `sha256`. Not on the wire from protocol 1.7 on.
    pub hash_function: String,
    /// The name and version of the software.
    pub server_version: String,
    /// The oldest protocol version spoken.
    pub protocol_min: ProtocolVersion,
    /// The newest protocol version spoken.
    pub protocol_max: ProtocolVersion,
    /// How many blocks are kept, when not all are.
    pub pruning: Option<u32>,
    /// Methods that the server has although the version of the session does not: see
    /// [`Method::is_extension`](super::Method::is_extension).
    pub extensions: Vec<String>,
    /// What a session may cost, by the name of each limit.
    pub limits: BTreeMap<String, u64>,
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
        object.field("genesis_hash", &self.genesis_hash, version);
        if version < ProtocolVersion::V1_7 {
            object.field("hash_function", &self.hash_function, version);
        }
        object
            .field("server_version", &self.server_version, version)
            .field("protocol_min", &self.protocol_min, version)
            .field("protocol_max", &self.protocol_max, version)
            .field("pruning", &self.pruning, version);
        if !self.extensions.is_empty() {
            object.field("extensions", &self.extensions, version);
        }
        if !self.limits.is_empty() {
            limits_to_json(&self.limits, object.key("limits"));
        }
        object.end();
    }
}

fn limits_to_json(limits: &BTreeMap<String, u64>, out: &mut Vec<u8>) {
    out.push(b'{');
    for (index, (name, limit)) in limits.iter().enumerate() {
        if index > 0 {
            out.push(b',');
        }
        string(name, out);
        out.push(b':');
        number(*limit, out);
    }
    out.push(b'}');
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

/// Reads the limits; `None` when they are something else.
fn limits_from_json(raw: &RawValue) -> Option<BTreeMap<String, u64>> {
    let limits: BTreeMap<String, &RawValue> = serde_json::from_str(raw.get()).ok()?;
    let limits = limits.into_iter();
    limits
        .map(|(name, limit)| Some((name, u64::from_json(limit).ok()?)))
        .collect()
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
            "extensions",
            "limits",
        ];
        let [
            hosts,
            genesis,
            hash_function,
            software,
            min,
            max,
            pruning,
            extensions,
            limits,
        ] = bind(raw, names, false)?;
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
            // Other servers may mean something else by these.
            extensions: optional(extensions, "extensions")
                .map_or_else(|_| Vec::new(), Option::unwrap_or_default),
            limits: limits.and_then(limits_from_json).unwrap_or_default(),
        })
    }
}

impl FromJson for BTreeMap<String, HostPorts> {
    fn from_json(raw: &RawValue) -> Result<Self, DecodeError> {
        let hosts: BTreeMap<String, &RawValue> =
            serde_json::from_str(raw.get()).map_err(|_| unexpected("an object", raw))?;
        let read = |(name, ports): (String, &RawValue)| match HostPorts::from_json(ports) {
            Ok(ports) => Ok((name, ports)),
            Err(error) => Err(error.within(&excerpt(&name))),
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
