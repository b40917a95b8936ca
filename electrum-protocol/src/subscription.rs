//! What can be subscribed to, and which notification belongs to which subscription.

use bitcoin::{OutPoint, Txid};

use crate::method::headers::{self, Tip};
use crate::method::outpoint::{self, OutpointStatus};
use crate::method::transaction::{self, TransactionHeight};
use crate::method::{Call, Request, address, numblocks, scripthash, scriptpubkey};
use crate::notification::Notification;
use crate::script_hash::ScriptHash;
use crate::status::Status;
use crate::version::ProtocolVersion;

/// What a subscription is about: the name under which its notifications come.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Topic {
    /// The tip, with its header.
    Headers,
    /// The height of the tip.
    Numblocks,
    /// A script, subscribed to by itself or by its hash.
    ScriptHash(ScriptHash),
    /// An address.
    Address(String),
    /// An output.
    Outpoint(OutPoint),
    /// A transaction.
    Transaction(Txid),
}

impl Notification {
    /// Returns what it is about; nothing for a ping, which nobody subscribes to.
    pub fn topic(&self) -> Option<Topic> {
        Some(match self {
            Self::Headers(_) => Topic::Headers,
            Self::Numblocks(_) => Topic::Numblocks,
            Self::ScriptHash { script_hash, .. } => Topic::ScriptHash(*script_hash),
            Self::Address { address, .. } => Topic::Address(address.clone()),
            Self::Outpoint { outpoint, .. } => Topic::Outpoint(*outpoint),
            Self::Transaction { txid, .. } => Topic::Transaction(*txid),
            Self::Ping { .. } => return None,
        })
    }
}

impl Request {
    /// Returns what its server will tell news about, when it is one to subscribe.
    pub fn topic(&self) -> Option<Topic> {
        Some(match self {
            Self::HeadersSubscribe(request) => request.topic(),
            Self::NumblocksSubscribe(request) => request.topic(),
            Self::ScripthashSubscribe(request) => request.topic(),
            Self::ScriptpubkeySubscribe(request) => request.topic(),
            Self::AddressSubscribe(request) => request.topic(),
            Self::OutpointSubscribe(request) => request.topic(),
            Self::TransactionSubscribe(request) => request.topic(),
            _ => return None,
        })
    }

    /// Returns what its server will tell no more news about, when it is one to unsubscribe.
    pub fn ends(&self) -> Option<Topic> {
        Some(match self {
            Self::HeadersUnsubscribe(_) => Topic::Headers,
            Self::ScripthashUnsubscribe(request) => Topic::ScriptHash(request.script_hash),
            Self::ScriptpubkeyUnsubscribe(request) => {
                Topic::ScriptHash(ScriptHash::from_script(&request.script))
            }
            Self::OutpointUnsubscribe(request) => Topic::Outpoint(request.outpoint),
            Self::TransactionUnsubscribe(request) => Topic::Transaction(request.txid),
            _ => return None,
        })
    }
}

/// A request whose result may change, and whose server then says so.
///
/// What is told is always how things stand now. Whoever reads late may skip what came between, and has missed nothing.
pub trait Subscribe: Call {
    /// How things stand: the result of the request, and what each notification brings.
    type Update;

    /// Returns what the notifications will be about.
    fn topic(&self) -> Topic;

    /// Returns how things stand, as the server says in its answer.
    fn first(response: Self::Response) -> Self::Update;

    /// Returns how things stand, as a notification says; nothing when it is of another kind.
    fn update(notification: Notification) -> Option<Self::Update>;

    /// Returns the request that ends the notifications; nothing when the specification has none at `version`.
    fn unsubscribe(&self, version: ProtocolVersion) -> Option<Request>;
}

/// The request, if the version has it.
fn existing(request: impl Into<Request>, version: ProtocolVersion) -> Option<Request> {
    let request = request.into();
    request.method().exists_in(version).then_some(request)
}

/// The protocol has no way to end these: `blockchain.headers.unsubscribe` is an extension.
impl Subscribe for headers::Subscribe {
    type Update = Tip;

    fn topic(&self) -> Topic {
        Topic::Headers
    }

    fn first(response: Self::Response) -> Tip {
        response.tip()
    }

    fn update(notification: Notification) -> Option<Tip> {
        match notification {
            Notification::Headers(tip) => Some(tip.tip()),
            _ => None,
        }
    }

    fn unsubscribe(&self, _: ProtocolVersion) -> Option<Request> {
        None
    }
}

impl Subscribe for numblocks::Subscribe {
    type Update = u32;

    fn topic(&self) -> Topic {
        Topic::Numblocks
    }

    fn first(response: u32) -> u32 {
        response
    }

    fn update(notification: Notification) -> Option<u32> {
        match notification {
            Notification::Numblocks(height) => Some(height),
            _ => None,
        }
    }

    fn unsubscribe(&self, _: ProtocolVersion) -> Option<Request> {
        None
    }
}

/// Takes the status out of a notification about a script.
fn script_status(notification: Notification) -> Option<Option<Status>> {
    match notification {
        Notification::ScriptHash { status, .. } => Some(status),
        _ => None,
    }
}

impl Subscribe for scripthash::Subscribe {
    type Update = Option<Status>;

    fn topic(&self) -> Topic {
        Topic::ScriptHash(self.script_hash)
    }

    fn first(response: Option<Status>) -> Option<Status> {
        response
    }

    fn update(notification: Notification) -> Option<Option<Status>> {
        script_status(notification)
    }

    fn unsubscribe(&self, version: ProtocolVersion) -> Option<Request> {
        let script_hash = self.script_hash;
        existing(scripthash::Unsubscribe { script_hash }, version)
    }
}

impl Subscribe for scriptpubkey::Subscribe {
    type Update = Option<Status>;

    fn topic(&self) -> Topic {
        Topic::ScriptHash(ScriptHash::from_script(&self.script))
    }

    fn first(response: Option<Status>) -> Option<Status> {
        response
    }

    fn update(notification: Notification) -> Option<Option<Status>> {
        script_status(notification)
    }

    fn unsubscribe(&self, version: ProtocolVersion) -> Option<Request> {
        let script = self.script.clone();
        existing(scriptpubkey::Unsubscribe { script }, version)
    }
}

impl Subscribe for address::Subscribe {
    type Update = Option<Status>;

    fn topic(&self) -> Topic {
        Topic::Address(self.address.clone())
    }

    fn first(response: Option<Status>) -> Option<Status> {
        response
    }

    fn update(notification: Notification) -> Option<Option<Status>> {
        match notification {
            Notification::Address { status, .. } => Some(status),
            _ => None,
        }
    }

    fn unsubscribe(&self, _: ProtocolVersion) -> Option<Request> {
        None
    }
}

impl Subscribe for outpoint::Subscribe {
    type Update = OutpointStatus;

    fn topic(&self) -> Topic {
        Topic::Outpoint(self.outpoint)
    }

    fn first(response: OutpointStatus) -> OutpointStatus {
        response
    }

    fn update(notification: Notification) -> Option<OutpointStatus> {
        match notification {
            Notification::Outpoint { status, .. } => Some(status),
            _ => None,
        }
    }

    fn unsubscribe(&self, version: ProtocolVersion) -> Option<Request> {
        let outpoint = self.outpoint;
        existing(outpoint::Unsubscribe { outpoint }, version)
    }
}

/// An extension throughout: a server that has the one has the other.
impl Subscribe for transaction::Subscribe {
    type Update = TransactionHeight;

    fn topic(&self) -> Topic {
        Topic::Transaction(self.txid)
    }

    fn first(response: TransactionHeight) -> TransactionHeight {
        response
    }

    fn update(notification: Notification) -> Option<TransactionHeight> {
        match notification {
            Notification::Transaction { height, .. } => Some(height),
            _ => None,
        }
    }

    fn unsubscribe(&self, version: ProtocolVersion) -> Option<Request> {
        let txid = self.txid;
        existing(transaction::Unsubscribe { txid }, version)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::method::Method;

    #[test]
    fn what_subscribes_has_a_topic() {
        // Every row whose name says so, but for the list of servers, about which there is no news.
        let script_hash = ScriptHash::from_byte_array([7; 32]);
        let script: bitcoin::ScriptBuf = vec![0x51].into();
        let txid: Txid = "01".repeat(32).parse().unwrap();
        let subscribing: [Request; 7] = [
            headers::Subscribe::RAW.into(),
            numblocks::Subscribe.into(),
            scripthash::Subscribe { script_hash }.into(),
            scriptpubkey::Subscribe {
                script: script.clone(),
            }
            .into(),
            address::Subscribe {
                address: "a".into(),
            }
            .into(),
            outpoint::Subscribe {
                outpoint: OutPoint::new(txid, 1),
                script_hint: None,
            }
            .into(),
            transaction::Subscribe { txid }.into(),
        ];
        let topics: Vec<_> = subscribing.iter().map(Request::topic).collect();
        assert_eq!(topics[2], Some(Topic::ScriptHash(script_hash)));
        let of_script = Topic::ScriptHash(ScriptHash::from_script(&script));
        assert_eq!(topics[3], Some(of_script));
        assert!(topics.iter().all(Option::is_some));
        let named = Method::ALL.iter().filter(|method| {
            method.name().ends_with(".subscribe") && **method != Method::ServerPeersSubscribe
        });
        assert_eq!(named.count(), subscribing.len());
        assert_eq!(
            Request::from(scripthash::GetBalance { script_hash }).topic(),
            None
        );
    }
}
