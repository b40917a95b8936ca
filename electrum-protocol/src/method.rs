//! The methods of the protocol: one table, one type per row.
//!
//! The module path of a type is the namespace of its method, its name the verb: `blockchain.scripthash.get_history` is
//! [`scripthash::GetHistory`]. Adding a method is a row in the table at the end of this file and a type with
//! [`Parameters`]; everything else follows from the row.
//!
//! `server.version` is no row: see [`server::Version`].
//!
//! A row marked as an extension is no part of the specification. It comes from the dialect of Fulcrum, and exists at
//! every version; a server says in `server.features` which ones it has.

pub mod address;
pub mod block;
pub mod fee;
pub mod header;
pub mod headers;
pub mod mempool;
pub mod numblocks;
pub mod outpoint;
pub mod scripthash;
pub mod scriptpubkey;
pub mod server;
pub mod transaction;
pub mod utxo;

use core::fmt;

use serde_json::value::RawValue;

use crate::json::{DecodeError, FromJson, ToJson};
use crate::jsonrpc::Params;
use crate::raw_json::RawJson;
use crate::status::Status;
use crate::version::ProtocolVersion;

/// What methods of the specification take in addition, at every version: the heights of a history, and a proof for a
/// transaction whose height the client does not know. Names for `server.features`.
pub const EXTENDED_PARAMETERS: [&str; 2] = [
    "blockchain.scripthash.get_history:from_height,to_height",
    "blockchain.transaction.get_merkle:height=null",
];

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
    (@extension) => { false };
    (@extension extension) => { true };
    ($(
        $(#[$mark:ident])? $variant:ident, $name:literal, $first:ident..$($end:ident)?,
            $params:path => $response:ty;
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
            /// Methods older than 0.10, and extensions, have the oldest version that this crate speaks.
            pub const fn added_in(self) -> ProtocolVersion {
                match self { $(Self::$variant => ProtocolVersion::$first,)* }
            }

            /// Returns the first version that no longer has the method, if there is one.
            pub const fn removed_in(self) -> Option<ProtocolVersion> {
                match self { $(Self::$variant => methods!(@end $($end)?),)* }
            }

            /// Tells whether the method is an extension, which no version of the specification has.
            pub const fn is_extension(self) -> bool {
                match self { $(Self::$variant => methods!(@extension $($mark)?),)* }
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

/// The parameters of methods that take one value, under the name that it has on the wire.
///
/// After `or` stands another name that clients have for it.
macro_rules! one_parameter {
    (@other $wire:literal) => { $wire };
    (@other $wire:literal $other:literal) => { $other };
    ($($(#[$doc:meta])* $name:ident {
        $(#[$field_doc:meta])* $field:ident: $type:ty as $wire:literal $(or $other:literal)?
    })*) => {
        $(
            $(#[$doc])*
            #[derive(Clone, Debug, PartialEq, Eq)]
            pub struct $name {
                $(#[$field_doc])*
                pub $field: $type,
            }

            impl crate::method::Parameters for $name {
                fn decode(
                    params: crate::jsonrpc::Params<'_>,
                    _: crate::ProtocolVersion,
                ) -> Result<Self, crate::DecodeError> {
                    let other = crate::method::one_parameter!(@other $wire $($other)?);
                    let [value, by_other] = params.bind([$wire, other])?;
                    let $field = crate::json::required(value.or(by_other), $wire)?;
                    Ok(Self { $field })
                }

                fn encode(&self, version: crate::ProtocolVersion, out: &mut Vec<u8>) {
                    crate::json::array([&self.$field], out, |value, out| {
                        crate::json::ToJson::to_json(value, version, out);
                    });
                }
            }
        )*
    };
}
pub(crate) use one_parameter;

no_parameters! {
    server::Features, server::PeersSubscribe, server::Banner, server::DonationAddress,
    numblocks::Subscribe, headers::GetTip, headers::Unsubscribe, fee::RelayFee,
    mempool::GetFeeHistogram, mempool::GetInfo, mempool::Recent,
}

// Name, the version that added it and the one that removed it, parameters, result.
methods! {
    ServerFeatures, "server.features", V1_1.., server::Features => server::ServerFeatures;
    ServerAddPeer, "server.add_peer", V1_1.., server::AddPeer => bool;
    ServerPeersSubscribe, "server.peers.subscribe", V0_10..,
        server::PeersSubscribe => Vec<server::Peer>;
    ServerBanner, "server.banner", V0_10.., server::Banner => String;
    ServerDonationAddress, "server.donation_address", V0_10.., server::DonationAddress => String;
    ServerPing, "server.ping", V1_2.., server::Ping => server::Pong;

    NumblocksSubscribe, "blockchain.numblocks.subscribe", V0_10..V1_1, numblocks::Subscribe => u32;
    HeadersSubscribe, "blockchain.headers.subscribe", V0_10..,
        headers::Subscribe => headers::TipResponse;
    #[extension]
    HeadersGetTip, "blockchain.headers.get_tip", V0_10.., headers::GetTip => headers::Tip;
    #[extension]
    HeadersUnsubscribe, "blockchain.headers.unsubscribe", V0_10.., headers::Unsubscribe => bool;
    #[extension]
    HeaderGet, "blockchain.header.get", V0_10.., header::Get => headers::Tip;
    BlockGetHeader, "blockchain.block.get_header", V0_10..V1_4,
        block::GetHeader => block::DeserializedHeader;
    BlockGetChunk, "blockchain.block.get_chunk", V0_10..V1_4, block::GetChunk => block::Chunk;
    BlockHeader, "blockchain.block.header", V1_3.., block::Header => block::HeaderResponse;
    BlockHeaders, "blockchain.block.headers", V1_2.., block::Headers => block::HeadersResponse;

    EstimateFee, "blockchain.estimatefee", V0_10.., fee::EstimateFee => fee::FeeEstimate;
    RelayFee, "blockchain.relayfee", V0_10..V1_6, fee::RelayFee => fee::FeePerKvb;

    AddressGetBalance, "blockchain.address.get_balance", V0_10..V1_3,
        address::GetBalance => scripthash::Balance;
    AddressGetHistory, "blockchain.address.get_history", V0_10..V1_3,
        address::GetHistory => Vec<scripthash::HistoryEntry>;
    AddressGetMempool, "blockchain.address.get_mempool", V0_10..V1_3,
        address::GetMempool => Vec<scripthash::HistoryEntry>;
    AddressListUnspent, "blockchain.address.listunspent", V0_10..V1_3,
        address::ListUnspent => Vec<scripthash::Unspent>;
    AddressSubscribe, "blockchain.address.subscribe", V0_10..V1_3,
        address::Subscribe => Option<Status>;

    ScripthashGetBalance, "blockchain.scripthash.get_balance", V1_1..V1_7,
        scripthash::GetBalance => scripthash::Balance;
    ScripthashGetHistory, "blockchain.scripthash.get_history", V1_1..V1_7,
        scripthash::GetHistory => Vec<scripthash::HistoryEntry>;
    ScripthashGetMempool, "blockchain.scripthash.get_mempool", V1_1..V1_7,
        scripthash::GetMempool => Vec<scripthash::HistoryEntry>;
    ScripthashListUnspent, "blockchain.scripthash.listunspent", V1_1..V1_7,
        scripthash::ListUnspent => Vec<scripthash::Unspent>;
    ScripthashSubscribe, "blockchain.scripthash.subscribe", V1_1..V1_7,
        scripthash::Subscribe => Option<Status>;
    // New in 1.4.2, but clients that ask for 1.4 call it too, and no server refuses.
    ScripthashUnsubscribe, "blockchain.scripthash.unsubscribe", V1_4..V1_7,
        scripthash::Unsubscribe => bool;
    #[extension]
    ScripthashGetStatus, "blockchain.scripthash.get_status", V0_10..,
        scripthash::GetStatus => Option<Status>;
    #[extension]
    ScripthashGetFirstUse, "blockchain.scripthash.get_first_use", V0_10..,
        scripthash::GetFirstUse => Option<scripthash::FirstUse>;

    ScriptpubkeyGetBalance, "blockchain.scriptpubkey.get_balance", V1_7..,
        scriptpubkey::GetBalance => scripthash::Balance;
    ScriptpubkeyGetHistory, "blockchain.scriptpubkey.get_history", V1_7..,
        scriptpubkey::GetHistory => scriptpubkey::History;
    ScriptpubkeyGetMempool, "blockchain.scriptpubkey.get_mempool", V1_7..,
        scriptpubkey::GetMempool => scriptpubkey::History;
    ScriptpubkeyListUnspent, "blockchain.scriptpubkey.listunspent", V1_7..,
        scriptpubkey::ListUnspent => scriptpubkey::Unspents;
    ScriptpubkeySubscribe, "blockchain.scriptpubkey.subscribe", V1_7..,
        scriptpubkey::Subscribe => Option<Status>;
    ScriptpubkeyUnsubscribe, "blockchain.scriptpubkey.unsubscribe", V1_7..,
        scriptpubkey::Unsubscribe => bool;

    OutpointSubscribe, "blockchain.outpoint.subscribe", V1_7..,
        outpoint::Subscribe => outpoint::OutpointStatus;
    OutpointGetStatus, "blockchain.outpoint.get_status", V1_7..,
        outpoint::GetStatus => outpoint::OutpointStatus;
    OutpointUnsubscribe, "blockchain.outpoint.unsubscribe", V1_7.., outpoint::Unsubscribe => bool;
    UtxoGetAddress, "blockchain.utxo.get_address", V0_10..V1_1, utxo::GetAddress => Option<String>;
    #[extension]
    UtxoGetInfo, "blockchain.utxo.get_info", V0_10.., utxo::GetInfo => Option<utxo::Info>;

    TransactionBroadcast, "blockchain.transaction.broadcast", V0_10..,
        transaction::Broadcast => transaction::BroadcastResponse;
    TransactionBroadcastPackage, "blockchain.transaction.broadcast_package", V1_6..,
        transaction::BroadcastPackage => transaction::BroadcastPackageResponse;
    TransactionTestMempoolAccept, "blockchain.transaction.testmempoolaccept", V1_7..,
        transaction::TestMempoolAccept => Vec<transaction::MempoolVerdict>;
    TransactionGet, "blockchain.transaction.get", V0_10..,
        transaction::Get => transaction::GetResponse;
    TransactionGetMerkle, "blockchain.transaction.get_merkle", V0_10..,
        transaction::GetMerkle => transaction::MerkleResponse;
    TransactionIdFromPos, "blockchain.transaction.id_from_pos", V1_4..,
        transaction::IdFromPos => transaction::IdFromPosResponse;
    #[extension]
    TransactionGetHeight, "blockchain.transaction.get_height", V0_10..,
        transaction::GetHeight => transaction::TransactionHeight;
    #[extension]
    TransactionGetConfirmedBlockhash, "blockchain.transaction.get_confirmed_blockhash", V0_10..,
        transaction::GetConfirmedBlockhash => transaction::ConfirmedBlockhash;
    #[extension]
    TransactionSubscribe, "blockchain.transaction.subscribe", V0_10..,
        transaction::Subscribe => transaction::TransactionHeight;
    #[extension]
    TransactionUnsubscribe, "blockchain.transaction.unsubscribe", V0_10..,
        transaction::Unsubscribe => bool;

    MempoolGetFeeHistogram, "mempool.get_fee_histogram", V1_2..,
        mempool::GetFeeHistogram => Vec<mempool::FeeBin>;
    MempoolGetInfo, "mempool.get_info", V1_6.., mempool::GetInfo => mempool::MempoolFees;
    MempoolRecent, "mempool.recent", V1_7.., mempool::Recent => Vec<mempool::RecentTransaction>;
}
