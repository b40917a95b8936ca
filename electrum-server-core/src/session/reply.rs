//! The one place where an error becomes an error on the wire.
//!
//! Codes and words are those of ElectrumX where it has them: clients compare both. What went wrong inside the server
//! goes to its log, never to a client.

use bitcoin::{BlockHash, Txid};
use electrum_protocol::{ErrorCode, ErrorObject, ProtocolVersion, ScriptHash};
use thiserror::Error;
use tracing::{debug, error};

use crate::chain::NodeError;
use crate::view::QueryError;

/// Why a request has no result.
#[derive(Debug, Error)]
pub(super) enum MethodError {
    #[error("height {} out of range", grouped(*height))]
    HeightOutOfRange { height: u32 },
    #[error(
        "require header height {} <= cp_height {} <= chain height {}",
        grouped(*height), grouped(*cp_height), grouped(*tip)
    )]
    CheckpointOutOfRange {
        height: u32,
        cp_height: u32,
        tip: u32,
    },
    #[error("tx {txid} not in block at height {}", grouped(*height))]
    NotInBlock { txid: Txid, height: u32 },
    #[error("no tx at position {} in block at height {}", grouped(*pos), grouped(*height))]
    NoTransactionAt { height: u32, pos: u32 },
    #[error("No confirmed transaction matching the requested hash was found")]
    NotConfirmed,
    #[error("block {hash} not in active chain")]
    NotInChain { hash: BlockHash },
    #[error("{address} is not a valid address")]
    NoAddress { address: String },
    #[error("pong_len value too high")]
    PongTooLong,
    /// In the words of the protocol's own check, which sees only answers that are there.
    #[error("response too large (over {max} bytes)")]
    TooLarge { max: usize },
    #[error("Subscription limit reached: {max} subscriptions")]
    TooManySubscriptions { max: usize },
    #[error("Subscription limit reached: {max} scripts for all clients of your subnet")]
    TooManySubscriptionsOfSubnet { max: usize },
    #[error("Subscription limit reached: the server has no room for more")]
    TooManySubscriptionsOfAll,
    #[error("the transaction was rejected by network rules.\n\n{message}\n[{raw_tx}]")]
    Rejected { message: String, raw_tx: String },
    #[error("the tx package was rejected by network rules.\n\n{message}.")]
    PackageRejected { message: String },
    #[error("script hash {script_hash} belongs to no wallet of this server")]
    NotWatched { script_hash: ScriptHash },
    #[error("wallet \"{wallet}\" is still being looked for in the chain: try again later")]
    Scanning { wallet: String },
    #[error(transparent)]
    Query(#[from] QueryError),
    #[error(transparent)]
    Node(#[from] NodeError),
}

/// Says an error in the words of a version of the protocol.
pub(super) fn to_wire(error: &MethodError, version: ProtocolVersion) -> ErrorObject {
    let (code, message) = match error {
        MethodError::Node(NodeError::Rpc { code, message }) if version < ProtocolVersion::V1_0 => (
            ErrorCode::DAEMON_ERROR,
            format!("{{ u'message': u{}, u'code': {code} }}", quoted(message)),
        ),
        MethodError::HeightOutOfRange { .. }
        | MethodError::CheckpointOutOfRange { .. }
        | MethodError::NotInBlock { .. }
        | MethodError::NoTransactionAt { .. }
        | MethodError::NotWatched { .. }
        | MethodError::NotConfirmed
        | MethodError::NotInChain { .. }
        | MethodError::NoAddress { .. }
        | MethodError::PongTooLong
        | MethodError::Rejected { .. }
        | MethodError::PackageRejected { .. } => (ErrorCode::BAD_REQUEST, error.to_string()),
        MethodError::TooManySubscriptions { .. }
        | MethodError::TooManySubscriptionsOfSubnet { .. }
        | MethodError::TooManySubscriptionsOfAll => (ErrorCode::LIMIT_EXCEEDED, error.to_string()),
        MethodError::TooLarge { .. } => (ErrorCode::INVALID_REQUEST, error.to_string()),
        MethodError::Scanning { .. } => (ErrorCode::SERVER_BUSY, error.to_string()),
        MethodError::Query(QueryError::TooLong { .. }) => {
            (ErrorCode::HISTORY_TOO_LARGE, "history too large".to_owned())
        }
        MethodError::Query(error) => internal(error),
        MethodError::Node(NodeError::Rpc { code, message }) => (
            ErrorCode::DAEMON_ERROR,
            format!(
                "daemon error: DaemonError({{'code': {code}, 'message': {}}})",
                quoted(message)
            ),
        ),
        MethodError::Node(error) => {
            // That the node is away is told once by whoever follows it, not as often as clients ask. What it says may name
            // what the client has asked about, which is no matter of the log that is kept.
            if matches!(error, NodeError::Unavailable(source) if !source.is_transient()) {
                error!(
                    "the node's answer to a client's request makes no sense: see the log at level debug"
                );
            }
            debug!(%error, "the node did not answer a client's request");
            (
                ErrorCode::DAEMON_ERROR,
                "daemon error: the node is not available".to_owned(),
            )
        }
    };
    ErrorObject::new(code, message)
}

fn internal(error: &(dyn std::error::Error + 'static)) -> (ErrorCode, String) {
    error!(error, "a request failed");
    (
        ErrorCode::INTERNAL_ERROR,
        "internal server error".to_owned(),
    )
}

/// Prints a number with a comma before every third digit, as the messages that clients know have it.
fn grouped(number: u32) -> String {
    let digits = number.to_string();
    let mut text = String::with_capacity(digits.len() + digits.len() / 3);
    for (index, digit) in digits.chars().enumerate() {
        if index > 0 && (digits.len() - index).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

/// Quotes a text as Python shows it: the message that clients search is a Python object, printed.
fn quoted(text: &str) -> String {
    let quote = if text.contains('\'') && !text.contains('"') {
        '"'
    } else {
        '\''
    };
    let mut quoted = String::with_capacity(text.len() + 2);
    quoted.push(quote);
    for character in text.chars() {
        match character {
            '\n' => quoted.push_str("\\n"),
            '\\' => quoted.push_str("\\\\"),
            _ if character == quote => quoted.extend(['\\', quote]),
            _ => quoted.push(character),
        }
    }
    quoted.push(quote);
    quoted
}

#[cfg(test)]
mod tests {
    use std::sync::{Arc, Mutex};

    use bitcoin::hashes::Hash;
    use tracing::field::{Field, Visit};
    use tracing::span::{Attributes, Id, Record};
    use tracing::{Event, Level, Metadata, Subscriber};

    use super::*;
    use crate::chain::SourceError;

    #[derive(Clone, Default)]
    struct Kept(Arc<Mutex<String>>);

    impl Visit for Kept {
        fn record_debug(&mut self, _: &Field, value: &dyn std::fmt::Debug) {
            self.0.lock().unwrap().push_str(&format!("{value:?} "));
        }
    }

    impl Subscriber for Kept {
        fn enabled(&self, metadata: &Metadata<'_>) -> bool {
            *metadata.level() <= Level::INFO
        }

        fn new_span(&self, _: &Attributes<'_>) -> Id {
            Id::from_u64(1)
        }

        fn record(&self, _: &Id, _: &Record<'_>) {}

        fn record_follows_from(&self, _: &Id, _: &Id) {}

        fn event(&self, event: &Event<'_>) {
            event.record(&mut self.clone());
        }

        fn enter(&self, _: &Id) {}

        fn exit(&self, _: &Id) {}
    }

    /// The node's own words may name what a client has asked about.
    #[test]
    fn an_answer_that_makes_no_sense_is_not_repeated_in_the_kept_log() {
        let kept = Kept::default();
        let txid = Txid::from_byte_array([7; 32]);
        let error = SourceError::permanent(format_args!("malformed answer about {txid}"));
        let error = MethodError::Node(NodeError::Unavailable(error));
        tracing::subscriber::with_default(kept.clone(), || {
            to_wire(&error, ProtocolVersion::V1_6);
        });
        let log = kept.0.lock().unwrap().clone();
        assert!(log.contains("makes no sense"), "{log}");
        assert!(!log.contains(&txid.to_string()), "{log}");
    }
}
