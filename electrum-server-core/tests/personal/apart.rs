//! What a listener answers and tells does not depend on wallets that are not shown there.
//!
//! Two servers follow one node: one has the wallets "company" and "secret", the other has "company" only. Whatever clients of
//! "company" ask about, and whatever happens, both say the same, byte for byte.

use std::collections::BTreeMap;
use std::sync::Arc;

use bitcoin::{Amount, BlockHash, Txid};
use electrum_protocol::{ProtocolVersion, ScriptHash};
use electrum_server_core::chain::bitcoind::Bitcoind;
use electrum_server_core::notify::Update;
use electrum_server_core::personal::{Birth, Keychain, Unwatched, Wallet, WalletSet};
use electrum_server_core::session::{About, Limits, Next, Place, Services, Session};
use electrum_server_core::store::MemoryStore;
use electrum_server_core::sync::PersonalHandle;
use serde_json::{Value, json};

use crate::common::{Coin, Script, spend};
use crate::requests::Facts;
use crate::world::{FEE, Running, World, bitcoind, keychain};

/// The first script of each wallet.
const COMPANY: u32 = 1_000;
const SECRET: u32 = 200_000;
/// A script that both wallets have.
const SHARED: u32 = 300_000;
/// A script of nobody.
const NOBODY: u32 = 400_000;
/// From here on there may be something for "company".
const BIRTH: u32 = 123;

fn only(name: &str) -> WalletSet {
    WalletSet::Only(vec![name.to_owned()])
}

/// One script that several wallets have, each in a keychain of its own.
fn shared(name: &str) -> Keychain {
    let derive = |index| (index == 0).then(|| Script::new(SHARED).output_script());
    Keychain::new(format!("shared/{name}"), Arc::new(derive))
}

fn company() -> Wallet {
    Wallet {
        birth: Birth::Height(BIRTH),
        gap_limit: 8,
        ..Wallet::new("company", vec![keychain(COMPANY), shared("company")])
    }
}

fn secret() -> Wallet {
    Wallet {
        gap_limit: 8,
        ..Wallet::new("secret", vec![keychain(SECRET), shared("secret")])
    }
}

/// A client without a wire.
pub(crate) struct Client {
    session: Session,
    services: Arc<Services>,
    pub(crate) version: ProtocolVersion,
}

impl Client {
    pub(crate) fn new(services: &Arc<Services>, version: ProtocolVersion) -> Self {
        let mut client = Self {
            session: Session::new(services),
            services: services.clone(),
            version,
        };
        let said = client.say(&format!(
            "{{\"id\":0,\"method\":\"server.version\",\"params\":[\"test\",[\"{version}\",\"{version}\"]]}}\n"
        ));
        assert!(said.contains("\"result\""), "{said}");
        client
    }

    fn run(&mut self) -> String {
        while self.session.run(Place::Node, &self.services, 0) == Next::Pause {}
        String::from_utf8(self.session.take_output()).unwrap()
    }

    /// Sends lines, and returns those that come back.
    pub(crate) fn say(&mut self, lines: &str) -> String {
        self.session.receive(lines.as_bytes());
        self.run()
    }

    /// Returns what the client is told, in an order of its own: a session tells changes in no particular one.
    fn hear(&mut self, updates: &[Update]) -> Vec<String> {
        for update in updates {
            self.session.on_update(update);
        }
        let said = self.run();
        let mut lines: Vec<String> = said.lines().map(str::to_owned).collect();
        lines.sort();
        lines
    }
}

/// A server, and what it shows to those who see "company".
struct Server {
    running: Running,
    handle: PersonalHandle,
    services: Arc<Services>,
}

pub(crate) fn services(
    running: &Running,
    handle: &PersonalHandle,
    node: &Arc<Bitcoind>,
    allowed: WalletSet,
    unwatched: Unwatched,
) -> Arc<Services> {
    let services = Services::new(
        running.published.clone(),
        node.clone(),
        // The schedule waits until everything is known.
        Box::new(|_| {}),
        About::default(),
        Limits::default(),
    );
    Arc::new(services.with_wallets(handle.clone(), allowed, unwatched))
}

impl Server {
    fn start(world: &World, wallets: Vec<Wallet>, unwatched: Unwatched) -> Self {
        let source = Arc::new(bitcoind(&world.node));
        let store = Arc::new(MemoryStore::new());
        let (running, handle) = Running::personal(source.clone(), &store, wallets);
        let services = services(&running, &handle, &source, only("company"), unwatched);
        Self {
            running,
            handle,
            services,
        }
    }

    /// Waits until everything that happened is known, and returns what is to be told.
    fn catch_up(&self) -> Vec<Update> {
        self.running.view();
        self.running.updates.try_iter().collect()
    }
}

/// Who is in a transaction.
const PARTIES: [&[u32]; 7] = [
    &[COMPANY],
    &[SECRET],
    &[NOBODY],
    &[COMPANY, SECRET],
    &[SHARED],
    &[SECRET, NOBODY],
    &[SHARED, COMPANY],
];

struct Stage {
    world: World,
    facts: Facts,
    next: u32,
}

impl Stage {
    fn begin(seed: u8) -> Self {
        let world = World::begin(&["-rest=1"], seed);
        let mut stage = Self {
            world,
            facts: Facts::default(),
            next: 0,
        };
        // Before "company" is looked for, all three kinds of scripts are paid to.
        let old = [COMPANY, SHARED, SECRET].map(Script::new);
        stage.pay(&old);
        stage.world.node.mine(1, &Script::new(NOBODY));
        stage.pay(&[Script::new(SECRET + 1), Script::new(SHARED)]);
        stage.world.node.mine(2, &Script::new(NOBODY));
        assert_eq!(stage.world.node.height(), BIRTH);
        stage.learn();
        stage
    }

    /// Makes a transaction from any coins to scripts of some parties; nothing when the coins are worth too little.
    fn compose(&mut self) -> Option<(bitcoin::Transaction, Vec<Script>)> {
        let at = self.world.pick(PARTIES.len());
        let mut scripts = Vec::new();
        for first in PARTIES[at] {
            let number = match (*first, self.world.pick(3)) {
                (SHARED, _) => SHARED,
                (first, 0) => first,
                (first, _) => {
                    self.next += 1;
                    first + self.next
                }
            };
            scripts.push(Script::new(number));
        }
        self.spend(&scripts).map(|payment| (payment, scripts))
    }

    fn spend(&mut self, scripts: &[Script]) -> Option<bitcoin::Transaction> {
        let mut from = Vec::new();
        for _ in 0..1 + self.world.pick(2) {
            if self.world.coins.len() > 1 {
                let at = self.world.pick(self.world.coins.len());
                from.push(self.world.coins.swap_remove(at));
            }
        }
        let value: Amount = from.iter().map(|coin| coin.value).sum();
        let each = value.checked_sub(Amount::from_sat(FEE))? / scripts.len() as u64;
        let outputs: Vec<_> = scripts
            .iter()
            .map(|script| (script.output_script(), each))
            .collect();
        (each > Amount::from_sat(10_000)).then(|| spend(&from, &outputs))
    }

    fn send(&mut self, payment: bitcoin::Transaction, scripts: &[Script]) {
        let hex = bitcoin::consensus::encode::serialize_hex(&payment);
        // What was lost in a reorganization cannot be spent.
        if self
            .world
            .node
            .try_rpc("sendrawtransaction", &[hex.into()])
            .is_ok()
        {
            let coins = (0u32..).zip(scripts);
            let coins = coins.map(|(vout, script)| Coin::of(&payment, vout, script));
            self.world.coins.extend(coins);
        }
        self.facts.transactions.push((payment, None));
        for script in scripts {
            if !self.facts.scripts.contains(script) {
                self.facts.scripts.push(*script);
            }
        }
    }

    fn pay(&mut self, scripts: &[Script]) {
        if let Some(payment) = self.spend(scripts) {
            self.send(payment, scripts);
        }
    }

    /// Lets something happen. What transactions will come is told before.
    fn step(&mut self, before: &mut dyn FnMut(&Facts)) -> &'static str {
        match self.world.pick(8) {
            0..=3 => {
                let payments: Vec<_> = (0..=self.world.pick(2))
                    .filter_map(|_| self.compose())
                    .collect();
                // The servers hear of a transaction as soon as it is sent, each in its own time.
                before(&Facts {
                    scripts: payments
                        .iter()
                        .flat_map(|(_, scripts)| scripts.clone())
                        .collect(),
                    transactions: payments.iter().map(|(tx, _)| (tx.clone(), None)).collect(),
                    blocks: Vec::new(),
                });
                for (payment, scripts) in payments {
                    self.send(payment, &scripts);
                }
                "payments"
            }
            4 | 5 => {
                let first = PARTIES[self.world.pick(PARTIES.len())][0];
                self.world.node.mine(1, &Script::new(first));
                "a block"
            }
            6 => {
                self.world.node.mine(1, &Script::new(SECRET + 7));
                "a block for the secret wallet"
            }
            _ => {
                let depth = 1 + self.world.pick(2) as u32;
                let first = self
                    .world
                    .node
                    .block_hash(self.world.node.height() + 1 - depth);
                self.world.node.invalidate(first);
                self.next += 1;
                self.world
                    .node
                    .mine(depth + 1, &Script::new(NOBODY + self.next));
                "a reorganization"
            }
        }
    }

    /// Looks at where everything is now.
    fn learn(&mut self) {
        let node = &self.world.node;
        let mut places: BTreeMap<Txid, u32> = BTreeMap::new();
        self.facts.blocks.clear();
        for height in BIRTH - 3..=node.height() {
            let hash: BlockHash = node.block_hash(height);
            let block = node.block(hash);
            self.facts
                .blocks
                .push((height, hash, block.txdata.len() as u32));
            for tx in &block.txdata {
                let txid = tx.compute_txid();
                places.insert(txid, height);
                if !self.facts.txids().any(|(known, _)| known == txid) {
                    self.facts.transactions.push((tx.clone(), None));
                }
            }
        }
        for (tx, height) in &mut self.facts.transactions {
            *height = places.get(&tx.compute_txid()).copied();
        }
        // The newest are enough, and the first.
        let many = self.facts.transactions.len().saturating_sub(24);
        self.facts
            .transactions
            .drain(2..2 + many.min(self.facts.transactions.len() - 2));
        let many = self.facts.scripts.len().saturating_sub(16);
        self.facts
            .scripts
            .drain(4..4 + many.min(self.facts.scripts.len().saturating_sub(4)));
    }
}

fn compare(seed: u8, unwatched: Unwatched, steps: usize) {
    let mut stage = Stage::begin(seed);
    let both = Server::start(&stage.world, vec![secret(), company()], unwatched);
    let one = Server::start(&stage.world, vec![company()], unwatched);
    let clients = |version| [&both, &one].map(|server| Client::new(&server.services, version));
    // Some ask everything all the time, others subscribe to everything and listen.
    let mut asking = ProtocolVersion::SPOKEN.map(clients);
    let mut listening = ProtocolVersion::SPOKEN.map(clients);
    let mut told = 0;
    let mut updates = [Vec::new(), Vec::new()];
    let catch_up = |updates: &mut [Vec<Update>; 2]| {
        updates[0].extend(both.catch_up());
        updates[1].extend(one.catch_up());
    };
    for number in 0..steps {
        let step = stage.step(&mut |facts| {
            for pair in &mut listening {
                ask(pair, facts, |line| line.contains("subscribe"), "beforehand");
            }
        });
        let what = format!("seed {seed}, {unwatched:?}, step {number}: {step}");
        stage.learn();
        catch_up(&mut updates);
        for [first, second] in &mut listening {
            let heard = [first.hear(&updates[0]), second.hear(&updates[1])];
            assert_eq!(
                heard[0], heard[1],
                "{what}: notifications of {}",
                first.version
            );
            told += heard[0].len();
        }
        updates = [Vec::new(), Vec::new()];
        // Each version in its turn, and the newest always.
        let versions = [number % asking.len(), asking.len() - 1];
        if unwatched == Unwatched::Watch {
            // What is asked for is watched from then on.
            ask(&mut asking[versions[0]], &stage.facts, |_| true, &what);
            catch_up(&mut updates);
        }
        for at in versions {
            ask(&mut asking[at], &stage.facts, |_| true, &what);
            ask(
                &mut listening[at],
                &stage.facts,
                |line| !line.contains("unsubscribe"),
                &what,
            );
        }
    }
    // How many updates are one when they are heard depends on the machine.
    assert!(told >= steps / 2, "{told} notifications");
    for server in [both, one] {
        server.running.stop();
    }
}

/// Asks both servers the same.
fn ask(pair: &mut [Client; 2], facts: &Facts, pick: impl Fn(&str) -> bool, what: &str) {
    let version = pair[0].version;
    for line in facts.lines(version).iter().filter(|line| pick(line)) {
        let [both, one] = pair.each_mut().map(|client| client.say(line));
        assert_eq!(both, one, "{what}: {version}: {line}");
        assert!(!both.contains("secret"), "{what}: {line}: {both}");
    }
}

#[test]
fn what_a_listener_says_does_not_depend_on_wallets_that_it_does_not_show() {
    compare(11, Unwatched::Empty, 24);
}

#[test]
fn neither_when_other_scripts_are_refused() {
    compare(12, Unwatched::Reject, 16);
}

#[test]
fn neither_when_other_scripts_are_watched() {
    compare(13, Unwatched::Watch, 16);
}

/// Electrum asks for every transaction of its histories, with proofs. It is answered where the wallet is shown, and in the
/// words for a transaction that does not exist where it is not.
#[test]
fn transactions_are_answered_where_their_wallet_is_shown_and_nowhere_else() {
    let mut stage = Stage::begin(14);
    let [own, mixed] = [SECRET + 3, SECRET + 4].map(Script::new);
    stage.pay(&[own]);
    stage.pay(&[mixed, Script::new(COMPANY + 3)]);
    stage.world.node.mine(1, &Script::new(NOBODY));
    let height = stage.world.node.height();
    let server = Server::start(&stage.world, vec![secret(), company()], Unwatched::Empty);
    let node = Arc::new(bitcoind(&stage.world.node));
    let shown = |allowed| {
        let services = services(
            &server.running,
            &server.handle,
            &node,
            allowed,
            Unwatched::Empty,
        );
        Client::new(&services, ProtocolVersion::V1_6)
    };
    let mut here = shown(only("secret"));
    let mut everywhere = shown(WalletSet::All);
    let mut elsewhere = shown(only("company"));
    let call = |client: &mut Client, method: &str, params: Value| -> Result<Value, Value> {
        let request = json!({"id": 1, "method": method, "params": params});
        let said: Value = serde_json::from_str(&client.say(&format!("{request}\n"))).unwrap();
        match said.get("result") {
            Some(result) => Ok(result.clone()),
            None => Err(said["error"].clone()),
        }
    };
    let questions = |txid: &str| {
        [
            ("blockchain.transaction.get", json!([txid])),
            ("blockchain.transaction.get", json!([txid, true])),
            ("blockchain.transaction.get_merkle", json!([txid, height])),
            ("blockchain.transaction.get_merkle", json!([txid])),
            (
                "blockchain.transaction.get_confirmed_blockhash",
                json!([txid]),
            ),
        ]
    };
    let unheard_of = "ab".repeat(32);
    for (script, is_shared) in [(own, false), (mixed, true)] {
        let script_hash = ScriptHash::from_script(&script.output_script()).to_string();
        let method = "blockchain.scripthash.get_history";
        let history = call(&mut here, method, json!([script_hash])).unwrap();
        let [entry] = history.as_array().unwrap().as_slice() else {
            panic!("{history}");
        };
        let txid = entry["tx_hash"].as_str().unwrap();
        // Twice: what is kept for others must be told to these only.
        for _ in 0..2 {
            let nothing = questions(&unheard_of).into_iter();
            for ((method, params), (_, unknown)) in questions(txid).into_iter().zip(nothing) {
                let told = call(&mut here, method, params.clone());
                assert!(told.is_ok(), "{method}: {told:?}");
                assert_eq!(call(&mut everywhere, method, params.clone()), told);
                let there = call(&mut elsewhere, method, params);
                if is_shared {
                    assert_eq!(there, told, "{method}");
                } else {
                    let unknown = call(&mut elsewhere, method, unknown).unwrap_err();
                    let unknown = unknown.to_string().replace(&unheard_of, txid);
                    assert_eq!(there.unwrap_err().to_string(), unknown, "{method}");
                }
            }
        }
    }
    server.running.stop();
}
