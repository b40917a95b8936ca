//! The requests: a few hundred, valid and invalid, over whatever the chain holds.

use serde_json::{Value, json};

/// What the requests can name: things that exist on the node's chain and in its mempool.
pub(crate) struct Facts {
    /// Height of the tip.
    pub height: u64,
    /// Script hashes with a history: confirmed only, mempool only, both, spent, never used last.
    pub script_hashes: Vec<String>,
    /// Confirmed transactions: txid, height, position in the block.
    pub confirmed: Vec<(String, u64, u64)>,
    /// Transactions in the mempool.
    pub unconfirmed: Vec<String>,
    /// A confirmed transaction's bytes, as hex: broadcasting it again is an error everywhere.
    pub known_raw: String,
}

/// One request line and how a difference in its answer is called.
pub(crate) struct Case {
    /// For the table of differences: the method, a slash, and what is special.
    pub label: String,
    /// The line as it is sent, without the newline.
    pub line: String,
}

/// Everything that is asked at the protocol version `version`.
pub(crate) fn cases(facts: &Facts, version: &str) -> Vec<Case> {
    let mut corpus = Corpus { cases: Vec::new() };
    corpus.valid(facts, version);
    corpus.invalid_arguments(facts);
    corpus.invalid_messages(facts);
    corpus.cases
}

const UNKNOWN: &str = "00000000000000000000000000000000000000000000000000000000deadbeef";

struct Corpus {
    cases: Vec<Case>,
}

impl Corpus {
    fn call(&mut self, method: &str, what: &str, params: Value) {
        let id = self.cases.len();
        let line = json!({"jsonrpc": "2.0", "id": id, "method": method, "params": params});
        self.cases.push(Case {
            label: format!("{method}/{what}"),
            line: line.to_string(),
        });
    }

    /// A line that is sent as it stands; `ID` in it becomes the request's number.
    fn raw(&mut self, what: &str, line: &str) {
        let line = line.replace("ID", &self.cases.len().to_string());
        self.cases.push(Case {
            label: format!("message/{what}"),
            line,
        });
    }

    fn valid(&mut self, facts: &Facts, version: &str) {
        for script_hash in &facts.script_hashes {
            for method in [
                "get_balance",
                "get_history",
                "get_mempool",
                "listunspent",
                "subscribe",
            ] {
                let method = format!("blockchain.scripthash.{method}");
                self.call(&method, "ok", json!([script_hash]));
            }
        }
        for script_hash in facts.script_hashes.iter().take(3) {
            self.call(
                "blockchain.scripthash.unsubscribe",
                "ok",
                json!([script_hash]),
            );
            self.call(
                "blockchain.scripthash.unsubscribe",
                "again",
                json!([script_hash]),
            );
        }
        for (txid, height, position) in &facts.confirmed {
            self.call("blockchain.transaction.get", "ok", json!([txid]));
            self.call("blockchain.transaction.get", "verbose", json!([txid, true]));
            self.call(
                "blockchain.transaction.get_merkle",
                "ok",
                json!([txid, height]),
            );
            let at = [json!([height, position]), json!([height, position, true])];
            for params in at {
                self.call("blockchain.transaction.id_from_pos", "ok", params);
            }
        }
        for txid in &facts.unconfirmed {
            self.call("blockchain.transaction.get", "mempool", json!([txid]));
            self.call(
                "blockchain.transaction.get",
                "mempool verbose",
                json!([txid, true]),
            );
            self.call(
                "blockchain.transaction.get_merkle",
                "mempool",
                json!([txid, facts.height]),
            );
        }
        for height in [0, 1, 2, 50, facts.height - 1, facts.height] {
            self.call("blockchain.block.header", "ok", json!([height]));
            self.call(
                "blockchain.block.header",
                "checkpoint",
                json!([height, facts.height]),
            );
        }
        let ranges = [
            (0, 1),
            (0, 10),
            (5, 3),
            (0, 2016),
            (0, 5000),
            (100, 2016),
            (0, 0),
        ];
        for (start, count) in ranges {
            self.call("blockchain.block.headers", "ok", json!([start, count]));
            let params = json!([start, count, facts.height]);
            self.call("blockchain.block.headers", "checkpoint", params);
        }
        self.call("blockchain.headers.subscribe", "ok", json!([]));
        self.call("server.ping", "ok", json!([]));
        self.call("server.features", "ok", json!([]));
        self.call("server.banner", "ok", json!([]));
        self.call("server.donation_address", "ok", json!([]));
        self.call("server.peers.subscribe", "ok", json!([]));
        self.call("mempool.get_fee_histogram", "ok", json!([]));
        self.call(
            "blockchain.relayfee",
            if version == "1.6" { "1.6" } else { "ok" },
            json!([]),
        );
        for target in [1, 2, 5, 10, 25, 144, 1008] {
            self.call("blockchain.estimatefee", "ok", json!([target]));
        }
        self.call("blockchain.estimatefee", "mode", json!([6, "CONSERVATIVE"]));
        self.call("mempool.get_info", "ok", json!([]));
    }

    fn invalid_arguments(&mut self, facts: &Facts) {
        let script_hash = facts.script_hashes.first().cloned().unwrap_or_default();
        let (txid, height, position) = facts
            .confirmed
            .first()
            .cloned()
            .unwrap_or_else(|| (UNKNOWN.to_owned(), 0, 0));
        for method in [
            "get_balance",
            "get_history",
            "get_mempool",
            "listunspent",
            "subscribe",
        ] {
            let method = format!("blockchain.scripthash.{method}");
            for (what, params) in [
                ("no arguments", json!([])),
                ("null", json!([null])),
                ("number", json!([5])),
                ("short", json!(["ab"])),
                ("not hex", json!(["z".repeat(64)])),
                ("long", json!([format!("{script_hash}00")])),
                ("list", json!([[script_hash]])),
                ("named", json!({"scripthash": script_hash})),
                ("named wrongly", json!({"script": script_hash})),
            ] {
                self.call(&method, what, params);
            }
        }
        self.call(
            "blockchain.scripthash.get_history",
            "upper case",
            json!([script_hash.to_uppercase()]),
        );
        self.call(
            "blockchain.scripthash.get_history",
            "extra",
            json!([script_hash, 0, -1]),
        );
        for method in ["blockchain.block.header", "blockchain.block.headers"] {
            for (what, params) in [
                ("no arguments", json!([])),
                ("negative", json!([-1, 1])),
                ("beyond the tip", json!([facts.height + 1, 1])),
                ("absurd", json!([1u64 << 40, 1])),
                ("huge", json!([1e300, 1])),
                ("fraction", json!([1.5, 1])),
                ("string", json!(["1", 1])),
                ("bool", json!([true, 1])),
                ("null", json!([null, 1])),
            ] {
                self.call(method, what, params);
            }
        }
        self.call("blockchain.block.header", "checkpoint below", json!([5, 4]));
        self.call(
            "blockchain.block.header",
            "checkpoint beyond",
            json!([5, facts.height + 1]),
        );
        self.call("blockchain.block.headers", "count negative", json!([1, -1]));
        self.call(
            "blockchain.block.headers",
            "checkpoint below",
            json!([5, 5, 6]),
        );
        self.call(
            "blockchain.block.headers",
            "checkpoint beyond",
            json!([5, 5, facts.height + 9]),
        );
        for (what, params) in [
            ("unknown", json!([UNKNOWN])),
            ("unknown verbose", json!([UNKNOWN, true])),
            ("no arguments", json!([])),
            ("short", json!(["abcd"])),
            ("not hex", json!(["z".repeat(64)])),
            ("number", json!([7])),
            ("verbose not bool", json!([txid, "yes"])),
            ("named", json!({"tx_hash": txid, "verbose": false})),
            ("extra", json!([txid, false, 9])),
        ] {
            self.call("blockchain.transaction.get", what, params);
        }
        for (what, params) in [
            ("unknown", json!([UNKNOWN, height])),
            ("wrong height", json!([txid, height + 1])),
            ("beyond the tip", json!([txid, facts.height + 100])),
            ("negative", json!([txid, -1])),
            ("no height", json!([txid])),
            ("no arguments", json!([])),
            ("not hex", json!(["q", height])),
        ] {
            self.call("blockchain.transaction.get_merkle", what, params);
        }
        for (what, params) in [
            ("beyond the block", json!([height, 10_000])),
            ("beyond the tip", json!([facts.height + 1, 0])),
            ("negative", json!([height, -1])),
            ("no position", json!([height])),
            ("merkle not bool", json!([height, position, "yes"])),
        ] {
            self.call("blockchain.transaction.id_from_pos", what, params);
        }
        for (what, params) in [
            ("no arguments", json!([])),
            ("empty", json!([""])),
            ("not hex", json!(["xyz"])),
            ("odd", json!(["abc"])),
            ("not a transaction", json!(["00"])),
            ("number", json!([1])),
            ("known", json!([facts.known_raw])),
        ] {
            self.call("blockchain.transaction.broadcast", what, params);
        }
        for (what, params) in [
            ("no arguments", json!([])),
            ("negative", json!([-1])),
            ("zero", json!([0])),
            ("absurd", json!([1_000_000])),
            ("string", json!(["2"])),
            ("mode unknown", json!([6, "FAST"])),
        ] {
            self.call("blockchain.estimatefee", what, params);
        }
        self.call("blockchain.headers.subscribe", "extra", json!([false]));
        self.call("server.ping", "extra", json!([1, 2]));
        self.call("server.version", "again", json!(["other", "1.4"]));
        for method in [
            "no.such.method",
            "",
            "blockchain.scripthash",
            "blockchain.address.get_balance",
        ] {
            self.call(method, "unknown method", json!([]));
        }
    }

    fn invalid_messages(&mut self, facts: &Facts) {
        let script_hash = facts.script_hashes.first().cloned().unwrap_or_default();
        self.raw(
            "no jsonrpc",
            r#"{"id":ID,"method":"server.ping","params":[]}"#,
        );
        self.raw(
            "no params",
            r#"{"jsonrpc":"2.0","id":ID,"method":"server.ping"}"#,
        );
        self.raw(
            "params null",
            r#"{"jsonrpc":"2.0","id":ID,"method":"server.ping","params":null}"#,
        );
        self.raw(
            "string id",
            r#"{"jsonrpc":"2.0","id":"check-ID","method":"server.ping","params":[]}"#,
        );
        self.raw(
            "padded",
            r#"{"jsonrpc":"2.0","id":ID,"method":"server.ping","params":[]            }"#,
        );
        self.raw(
            "extra key",
            r#"{"jsonrpc":"2.0","id":ID,"method":"server.ping","params":[],"authorization":"x"}"#,
        );
        self.raw(
            "params scalar",
            r#"{"jsonrpc":"2.0","id":ID,"method":"server.ping","params":5}"#,
        );
        self.raw(
            "method number",
            r#"{"jsonrpc":"2.0","id":ID,"method":5,"params":[]}"#,
        );
        self.raw("no method", r#"{"jsonrpc":"2.0","id":ID,"params":[]}"#);
        self.raw("not JSON", r#"{"jsonrpc":"2.0","id":ID,"method":"#);
        self.raw("scalar", "5");
        self.raw("empty batch", "[]");
        self.raw(
            "batch",
            &format!(
                r#"[{{"jsonrpc":"2.0","id":"a","method":"server.ping","params":[]}},{{"jsonrpc":"2.0","id":"b","method":"blockchain.scripthash.get_balance","params":["{script_hash}"]}}]"#
            ),
        );
        self.raw(
            "batch with an error",
            r#"[{"jsonrpc":"2.0","id":"a","method":"server.ping","params":[]},{"jsonrpc":"2.0","id":"b","method":"no.such"}]"#,
        );
    }
}
