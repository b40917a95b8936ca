//! The node as scripts see it: methods with the names that Bitcoin Core has for them.

mod arguments;
mod chain;
mod descriptor;
mod dev;
mod mining;
mod network;
mod pool;
mod wallet;

use std::collections::BTreeMap;
use std::fmt;
use std::sync::{Mutex, PoisonError};

use serde_json::{Value, json};

use super::{RegtestNode, Snapshot};
use crate::chain::NodeError;
use arguments::Arguments;

/// Answers JSON-RPC requests about a [`RegtestNode`]; transport is the business of others.
///
/// Methods that Bitcoin Core has too are called as there, take the same parameters, by position or by name, and answer
/// alike as far as it matters to tests of wallets: scripts that use `bitcoin-cli -regtest` mostly work. `help` lists all
/// methods.
///
/// ```
/// use electrum_server_core::regtest::{Control, RegtestNode};
///
/// let control = Control::new(RegtestNode::default());
/// let reply = control.answer(r#"{"id": 1, "method": "getblockcount", "params": []}"#);
/// assert_eq!(reply, r#"{"error":null,"id":1,"result":101}"#);
/// ```
pub struct Control {
    node: RegtestNode,
    /// The node's time when this began.
    begun: u32,
    /// Ends the program.
    stop: Option<Box<dyn Fn() + Send + Sync>>,
    snapshots: Mutex<BTreeMap<u64, Snapshot>>,
    wallets: Mutex<wallet::Names>,
}

impl fmt::Debug for Control {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Control")
            .field("node", &self.node)
            .finish_non_exhaustive()
    }
}

/// Why a method has no result.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{message} (code {code})")]
pub struct ControlError {
    /// The number that Bitcoin Core has for it.
    pub code: i32,
    /// In Bitcoin Core's words where it has some.
    pub message: String,
}

type Answer = Result<Value, ControlError>;

/// A method: its name, the names of its parameters, what it does.
struct Method {
    name: &'static str,
    parameters: &'static [&'static str],
    about: &'static str,
    run: fn(&Control, &Arguments) -> Answer,
}

const fn method(
    name: &'static str,
    parameters: &'static [&'static str],
    about: &'static str,
    run: fn(&Control, &Arguments) -> Answer,
) -> Method {
    Method {
        name,
        parameters,
        about,
        run,
    }
}

/// All methods but `help`, by subject.
const METHODS: [&[Method]; 7] = [
    chain::METHODS,
    pool::METHODS,
    mining::METHODS,
    descriptor::METHODS,
    wallet::METHODS,
    network::METHODS,
    dev::METHODS,
];

fn methods() -> impl Iterator<Item = &'static Method> {
    METHODS.into_iter().flatten()
}

impl ControlError {
    const METHOD_NOT_FOUND: i32 = -32601;
    const INVALID_REQUEST: i32 = -32600;
    const PARSE: i32 = -32700;
    /// A parameter has the wrong type.
    const TYPE: i32 = -3;
    /// A parameter is out of range, or too many, or missing.
    const PARAMETER: i32 = -8;

    fn new(code: i32, message: impl fmt::Display) -> Self {
        Self {
            code,
            message: message.to_string(),
        }
    }
}

impl From<NodeError> for ControlError {
    fn from(error: NodeError) -> Self {
        match error {
            NodeError::Rpc { code, message } => Self { code, message },
            error @ (NodeError::TooLarge { .. } | NodeError::Unavailable(_)) => {
                Self::new(-1, error)
            }
        }
    }
}

impl Control {
    /// Controls this node.
    pub fn new(node: RegtestNode) -> Self {
        Self {
            begun: node.time(),
            node,
            stop: None,
            snapshots: Mutex::default(),
            wallets: Mutex::new([(String::new(), true)].into()),
        }
    }

    /// Lets the method `stop` call this; without it, `stop` is an error.
    #[must_use]
    pub fn with_stop(mut self, stop: impl Fn() + Send + Sync + 'static) -> Self {
        self.stop = Some(Box::new(stop));
        self
    }

    /// Calls a method with its parameters: an array, an object, or `null` for none.
    ///
    /// # Errors
    ///
    /// What Bitcoin Core would answer, as far as it has the method.
    pub fn call(&self, method: &str, params: &Value) -> Result<Value, ControlError> {
        if method == "help" {
            return Ok(Value::String(help()));
        }
        let unknown = || ControlError::new(ControlError::METHOD_NOT_FOUND, "Method not found");
        let method = methods()
            .find(|known| known.name == method)
            .ok_or_else(unknown)?;
        (method.run)(self, &Arguments::new(method.parameters, params)?)
    }

    /// Answers a request, or an array of requests, as it came over the wire.
    pub fn answer(&self, request: &str) -> String {
        let reply = match serde_json::from_str::<Value>(request) {
            Ok(Value::Array(requests)) => requests.iter().map(|one| self.answer_one(one)).collect(),
            Ok(one) => self.answer_one(&one),
            Err(_) => {
                let error = ControlError::new(ControlError::PARSE, "Parse error");
                reply(Err(error), &Value::Null)
            }
        };
        reply.to_string()
    }

    fn answer_one(&self, request: &Value) -> Value {
        let get = |key| request.get(key).unwrap_or(&Value::Null);
        let answer = match get("method").as_str() {
            Some(method) => self.call(method, get("params")),
            None => Err(ControlError::new(
                ControlError::INVALID_REQUEST,
                "Missing method",
            )),
        };
        reply(answer, get("id"))
    }

    fn with_names<T>(&self, act: impl FnOnce(&mut wallet::Names) -> T) -> T {
        act(&mut self.wallets.lock().unwrap_or_else(PoisonError::into_inner))
    }

    fn keep(&self, snapshot: Snapshot) -> u64 {
        let mut snapshots = self
            .snapshots
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        let id = snapshots.last_key_value().map_or(1, |(last, _)| last + 1);
        snapshots.insert(id, snapshot);
        id
    }

    fn kept(&self, id: u64) -> Option<Snapshot> {
        let snapshots = self
            .snapshots
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        snapshots.get(&id).cloned()
    }
}

fn reply(answer: Answer, id: &Value) -> Value {
    match answer {
        Ok(result) => json!({"result": result, "error": null, "id": id}),
        Err(ControlError { code, message }) => {
            json!({"result": null, "error": {"code": code, "message": message}, "id": id})
        }
    }
}

fn help() -> String {
    let lines = methods().map(|method| {
        let parameters = method.parameters.join(" ");
        let call = format!("{} {parameters}", method.name);
        format!("{:<48} {}", call.trim_end(), method.about)
    });
    lines.collect::<Vec<_>>().join("\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn control() -> Control {
        Control::new(RegtestNode::default())
    }

    const ADDRESS: &str = "bcrt1qw508d6qejxtdg4y5r3zarvary0c5xw7kygt080";

    #[test]
    fn coins_are_paid_mined_and_found() {
        let control = control();
        let call = |method: &str, params: Value| control.call(method, &params).unwrap();
        let txid = call("sendtoaddress", json!([ADDRESS, 0.5]));
        assert_eq!(call("getrawmempool", json!([])), json!([txid]));
        let hashes = call(
            "generatetoaddress",
            json!({"address": ADDRESS, "nblocks": 2}),
        );
        assert_eq!(call("getblockcount", json!([])), 103);
        let block = call("getblock", json!([hashes[0], 2]));
        assert_eq!(block["tx"][1]["txid"], txid);
        assert_eq!(block["tx"][1]["vout"][0]["value"], 0.5);
        assert_eq!(
            block["tx"][1]["vout"][0]["scriptPubKey"]["address"],
            ADDRESS
        );
        assert_eq!(block["confirmations"], 2);
        assert_eq!(call("gettxout", json!([txid, 0]))["confirmations"], 2);
        call("invalidateblock", json!([hashes[0]]));
        assert_eq!(call("getblockcount", json!([])), 101);
        assert_eq!(call("getrawmempool", json!([])), json!([txid]));
    }

    #[test]
    fn refusals_have_the_words_of_the_node() {
        let control = control();
        let reply = |method: &str, params: Value| control.call(method, &params).unwrap_err();
        assert_eq!(reply("nosuch", Value::Null).code, -32601);
        assert_eq!(
            reply("getblockhash", json!([500])).message,
            "Block height out of range"
        );
        assert_eq!(reply("sendrawtransaction", json!(["00"])).code, -22);
        assert_eq!(reply("sendtoaddress", json!(["nonsense", 1])).code, -5);
        assert_eq!(reply("getblockcount", json!([1])).code, -8);
        assert_eq!(
            control.answer("{"),
            r#"{"error":{"code":-32700,"message":"Parse error"},"id":null,"result":null}"#
        );
    }

    #[test]
    fn amounts_and_times_out_of_all_proportion_are_refused() {
        let control = control();
        let call = |method: &str, params: Value| control.call(method, &params);
        let most = "184467440737.09551615";
        let (one, two) = (ADDRESS, "bcrt1qm3herkay2p024sruzsk2xz7w7h46c65eerl0f9");
        let amounts = json!({one: most, two: most});
        assert_eq!(call("sendmany", json!(["", amounts])).unwrap_err().code, -6);
        assert_eq!(
            call("sendtoaddress", json!([one, -1])).unwrap_err().code,
            -3
        );
        assert_eq!(
            call("sendtoaddress", json!([one, 1e300])).unwrap_err().code,
            -3
        );
        let txid = call("sendtoaddress", json!([one, 1])).unwrap();
        let raw = call("getrawtransaction", json!([txid])).unwrap();
        assert_eq!(call("setmaxmempool", json!([0])), Ok(Value::Null));
        let sent = call("sendrawtransaction", json!([raw, most]));
        assert_eq!(sent.unwrap_err().code, -26);
        call("setmocktime", json!([u32::MAX])).unwrap();
        assert_eq!(
            call("generatetoaddress", json!([20, one]))
                .unwrap_err()
                .code,
            -25
        );
    }

    #[test]
    fn every_method_is_there_once() {
        let mut names: Vec<_> = methods().map(|method| method.name).collect();
        let count = names.len();
        names.sort_unstable();
        names.dedup();
        assert_eq!(names.len(), count);
        assert!(help().contains("generatetoaddress nblocks address"));
    }
}
