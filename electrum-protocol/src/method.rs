//! The methods of the protocol: one table, one type per row.
//!
//! The module path of a type is the namespace of its method, its name the verb: `blockchain.scripthash.get_history` is
//! [`scripthash::GetHistory`]. Adding a method is a row in the table at the end of this file and a type with
//! [`Parameters`]; everything else follows from the row.
//!
//! `server.version` is no row: see [`server::Version`].

pub mod block;
pub mod fee;
pub mod headers;
pub mod mempool;
pub mod scripthash;
pub mod server;
pub mod transaction;

use core::fmt;

use bitcoin::Txid;
use serde_json::value::RawValue;

use crate::json::{DecodeError, FromJson, ToJson};
use crate::jsonrpc::Params;
use crate::raw_json::RawJson;
use crate::status::Status;
use crate::version::ProtocolVersion;

/// The parameters of a method, as they cross the wire.
pub trait Parameters: Sized {
    /// Reads the parameters, by position or by name, as a peer of `version` means them.
    ///
    /// Parameters that this version does not know are ignored, and an optional one that is `null` counts as absent.
    ///
    /// # Errors
    ///
    /// Names the first parameter that is missing or wrong.
    fn decode(params: Params<'_>, version: ProtocolVersion) -> Result<Self, DecodeError>;

    /// Appends the parameters by position, as a JSON array; trailing ones that have their default are left out.
    fn encode(&self, version: ProtocolVersion, out: &mut Vec<u8>);
}

/// A row of the method table: ties parameters and result together.
pub trait Call: Parameters + Into<Request> {
    /// The method.
    const METHOD: Method;

    /// The result.
    type Response;

    /// Wraps a result of this method.
    fn wrap(response: Self::Response) -> Response;

    /// Unwraps a result of this method; nothing when it is of another.
    fn unwrap(response: Response) -> Option<Self::Response>;
}

macro_rules! methods {
    (@end) => { None };
    (@end $end:ident) => { Some(ProtocolVersion::$end) };
    ($(
        $variant:ident, $name:literal, $first:ident..$($end:ident)?, $params:path => $response:ty;
    )*) => {
        /// The name of a method in the table.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
        #[non_exhaustive]
        pub enum Method {
            $(#[doc = concat!("`", $name, "`")] $variant,)*
        }

        impl Method {
            /// Every method, in the order of the table.
            pub const ALL: &'static [Self] = &[$(Self::$variant),*];

            /// Returns the name on the wire.
            pub const fn name(self) -> &'static str {
                match self { $(Self::$variant => $name,)* }
            }

            /// Finds the method of a name.
            pub fn from_name(name: &str) -> Option<Self> {
                match name { $($name => Some(Self::$variant),)* _ => None }
            }

            /// Returns the first version that has the method.
            ///
            /// Methods older than this crate have the oldest version that it speaks.
            pub const fn added_in(self) -> ProtocolVersion {
                match self { $(Self::$variant => ProtocolVersion::$first,)* }
            }

            /// Returns the first version that no longer has the method, if there is one.
            pub const fn removed_in(self) -> Option<ProtocolVersion> {
                match self { $(Self::$variant => methods!(@end $($end)?),)* }
            }

            /// Tells whether a session of `version` has the method.
            pub fn exists_in(self, version: ProtocolVersion) -> bool {
                self.added_in() <= version && self.removed_in().is_none_or(|end| version < end)
            }
        }

        /// A request: a method with its parameters.
        ///
        /// Closed on purpose: a server that matches on it learns from the compiler what it does not serve yet.
        #[derive(Clone, Debug, PartialEq, Eq)]
        pub enum Request {
            $(#[doc = concat!("`", $name, "`")] $variant($params),)*
        }

        impl Request {
            /// Returns the method.
            pub const fn method(&self) -> Method {
                match self { $(Self::$variant(_) => Method::$variant,)* }
            }

            /// Reads the parameters of `method`, as a client of `version` means them.
            ///
            /// # Errors
            ///
            /// Names the first parameter that is missing or wrong.
            pub fn decode(
                method: Method,
                params: Params<'_>,
                version: ProtocolVersion,
            ) -> Result<Self, DecodeError> {
                match method {
                    $(Method::$variant => {
                        <$params>::decode(params, version).map(Self::$variant)
                    })*
                }
            }

            /// Appends the parameters as a JSON array, for a server of `version`.
            pub fn encode(&self, version: ProtocolVersion, out: &mut Vec<u8>) {
                match self { $(Self::$variant(params) => params.encode(version, out),)* }
            }
        }

        /// The result of a request, one variant per method.
        ///
        /// Closed for the same reason as [`Request`].
        #[derive(Clone, Debug, PartialEq, Eq)]
        pub enum Response {
            $(#[doc = concat!("The result of `", $name, "`.")] $variant($response),)*
        }

        impl Response {
            /// Returns the method that it answers.
            pub const fn method(&self) -> Method {
                match self { $(Self::$variant(_) => Method::$variant,)* }
            }

            /// Reads the result of `method`.
            ///
            /// # Errors
            ///
            /// Names the first field that is missing or wrong.
            pub fn decode(method: Method, result: &RawJson) -> Result<Self, DecodeError> {
                Self::from_raw(method, result.raw())
            }

            pub(crate) fn from_raw(method: Method, raw: &RawValue) -> Result<Self, DecodeError> {
                match method {
                    $(Method::$variant => {
                        <$response>::from_json(raw).map(Self::$variant)
                    })*
                }
                .map_err(|error| error.within("result"))
            }

            /// Appends the result as JSON, in the shape that clients of `version` expect.
            pub fn encode(&self, version: ProtocolVersion, out: &mut Vec<u8>) {
                match self { $(Self::$variant(response) => response.to_json(version, out),)* }
            }
        }

        $(
            impl From<$params> for Request {
                fn from(params: $params) -> Self {
                    Self::$variant(params)
                }
            }

            impl Call for $params {
                const METHOD: Method = Method::$variant;
                type Response = $response;

                fn wrap(response: Self::Response) -> Response {
                    Response::$variant(response)
                }

                fn unwrap(response: Response) -> Option<Self::Response> {
                    match response {
                        Response::$variant(response) => Some(response),
                        _ => None,
                    }
                }
            }
        )*
    };
}

impl fmt::Display for Method {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// The parameters of a method that takes none; what a client sends all the same is ignored.
macro_rules! no_parameters {
    ($($params:path),* $(,)?) => {
        $(impl Parameters for $params {
            fn decode(params: Params<'_>, _: ProtocolVersion) -> Result<Self, DecodeError> {
                let [] = params.bind([])?;
                Ok(Self)
            }

            fn encode(&self, _: ProtocolVersion, out: &mut Vec<u8>) {
                out.extend_from_slice(b"[]");
            }
        })*
    };
}

no_parameters! {
    server::Features, server::PeersSubscribe, server::Banner, server::DonationAddress, server::Ping,
    headers::Subscribe, fee::RelayFee, mempool::GetFeeHistogram, mempool::GetInfo,
}

// Name, the version that added it and the one that removed it, parameters, result.
methods! {
    ServerFeatures, "server.features", V1_4.., server::Features => server::ServerFeatures;
    ServerAddPeer, "server.add_peer", V1_4.., server::AddPeer => bool;
    ServerPeersSubscribe, "server.peers.subscribe", V1_4..,
        server::PeersSubscribe => Vec<server::Peer>;
    ServerBanner, "server.banner", V1_4.., server::Banner => String;
    ServerDonationAddress, "server.donation_address", V1_4.., server::DonationAddress => String;
    ServerPing, "server.ping", V1_4.., server::Ping => ();
    HeadersSubscribe, "blockchain.headers.subscribe", V1_4.., headers::Subscribe => headers::Tip;
    BlockHeader, "blockchain.block.header", V1_4.., block::Header => block::HeaderResponse;
    BlockHeaders, "blockchain.block.headers", V1_4.., block::Headers => block::HeadersResponse;
    EstimateFee, "blockchain.estimatefee", V1_4.., fee::EstimateFee => fee::FeeEstimate;
    RelayFee, "blockchain.relayfee", V1_4..V1_6, fee::RelayFee => fee::FeePerKvb;
    ScripthashGetBalance, "blockchain.scripthash.get_balance", V1_4..,
        scripthash::GetBalance => scripthash::Balance;
    ScripthashGetHistory, "blockchain.scripthash.get_history", V1_4..,
        scripthash::GetHistory => Vec<scripthash::HistoryEntry>;
    ScripthashGetMempool, "blockchain.scripthash.get_mempool", V1_4..,
        scripthash::GetMempool => Vec<scripthash::HistoryEntry>;
    ScripthashListUnspent, "blockchain.scripthash.listunspent", V1_4..,
        scripthash::ListUnspent => Vec<scripthash::Unspent>;
    ScripthashSubscribe, "blockchain.scripthash.subscribe", V1_4..,
        scripthash::Subscribe => Option<Status>;
    // New in 1.4.2, but clients that ask for 1.4 call it too, and no server refuses.
    ScripthashUnsubscribe, "blockchain.scripthash.unsubscribe", V1_4..,
        scripthash::Unsubscribe => bool;
    TransactionBroadcast, "blockchain.transaction.broadcast", V1_4..,
        transaction::Broadcast => Txid;
    TransactionBroadcastPackage, "blockchain.transaction.broadcast_package", V1_6..,
        transaction::BroadcastPackage => transaction::BroadcastPackageResponse;
    TransactionGet, "blockchain.transaction.get", V1_4..,
        transaction::Get => transaction::GetResponse;
    TransactionGetMerkle, "blockchain.transaction.get_merkle", V1_4..,
        transaction::GetMerkle => transaction::MerkleResponse;
    TransactionIdFromPos, "blockchain.transaction.id_from_pos", V1_4..,
        transaction::IdFromPos => transaction::IdFromPosResponse;
    MempoolGetFeeHistogram, "mempool.get_fee_histogram", V1_4..,
        mempool::GetFeeHistogram => Vec<mempool::FeeBin>;
    MempoolGetInfo, "mempool.get_info", V1_6.., mempool::GetInfo => mempool::MempoolFees;
}
