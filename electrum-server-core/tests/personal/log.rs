//! What the log tells of clients, at the level that operators keep: nothing that links them to scripts or transactions.

use std::fmt::{self, Write};
use std::net::IpAddr;
use std::sync::{Arc, Mutex, Once};

use bitcoin::consensus::encode::serialize_hex;
use bitcoin::hex::DisplayHex;
use electrum_protocol::{ProtocolVersion, ScriptHash};
use electrum_server_core::personal::{Unwatched, WalletSet};
use electrum_server_core::session::{About, Limits, Next, Place, Services, Session};
use electrum_server_core::store::MemoryStore;
use tracing::field::{Field, Visit};
use tracing::span::{Attributes, Id, Record};
use tracing::{Event, Level, Metadata, Subscriber};

use crate::common::{Script, spend};
use crate::requests::Facts;
use crate::world::{OURS, Running, THEIRS, World, bitcoind, wallet};

/// Everything that was logged at INFO and above since the first use, by any test of this program.
static LINES: Mutex<Vec<String>> = Mutex::new(Vec::new());
static LISTEN: Once = Once::new();

struct Listener;

struct Text(String);

impl Visit for Text {
    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        write!(self.0, "{}={value:?} ", field.name()).unwrap();
    }
}

impl Subscriber for Listener {
    fn enabled(&self, metadata: &Metadata<'_>) -> bool {
        *metadata.level() <= Level::INFO
    }

    fn new_span(&self, _: &Attributes<'_>) -> Id {
        Id::from_u64(1)
    }

    fn record(&self, _: &Id, _: &Record<'_>) {}

    fn record_follows_from(&self, _: &Id, _: &Id) {}

    fn event(&self, event: &Event<'_>) {
        let mut text = Text(format!("{} ", event.metadata().level()));
        event.record(&mut text);
        LINES.lock().unwrap().push(text.0);
    }

    fn enter(&self, _: &Id) {}

    fn exit(&self, _: &Id) {}
}

const CLIENT: &str = "203.0.113.77";
const CLIENT_NAME: &str = "name-of-a-client";

/// Asks everything, right and wrong, and says goodbye.
fn ask_everything(services: &Arc<Services>, facts: &Facts, extra: &[String]) {
    let client: IpAddr = CLIENT.parse().unwrap();
    for version in ProtocolVersion::SPOKEN {
        let lines = facts.lines(version);
        // Without parameters, with a wrong one, and as no JSON at all.
        let broken = lines.iter().flat_map(|line| {
            let (head, params) = line.split_once("\"params\":").unwrap();
            let params = params.trim_end().trim_end_matches('}');
            [
                format!("{head}\"params\":[]}}\n"),
                format!("{head}\"params\":[{params},7]}}\n"),
                format!("{head}\"params\":{params}\n"),
            ]
        });
        let introduction = format!(
            "{{\"id\":0,\"method\":\"server.version\",\"params\":[\"{CLIENT_NAME}\",[\"{version}\",\"{version}\"]]}}\n"
        );
        let begin = || {
            let mut session = Session::new(services).with_client(Some(client));
            session.receive(introduction.as_bytes());
            session
        };
        let mut session = begin();
        for line in lines
            .iter()
            .cloned()
            .chain(extra.iter().cloned())
            .chain(broken)
        {
            session.receive(line.as_bytes());
            let mut next = Next::Pause;
            while next == Next::Pause {
                next = session.run(Place::Node, services, 0);
            }
            session.take_output();
            if let Next::Close(_) = next {
                session = begin();
            }
        }
    }
}

#[test]
fn the_log_links_no_client_to_scripts_or_transactions() {
    LISTEN.call_once(|| tracing::subscriber::set_global_default(Listener).unwrap());
    let mut world = World::begin(&["-rest=1"], 21);
    // Ours, those of others, and one that the node refuses.
    let scripts = [OURS, OURS + 1, THEIRS + 60_000].map(Script::new);
    let coin = world.coins.pop().unwrap();
    let each = coin.value / 4;
    let outputs = scripts.map(|script| (script.output_script(), each));
    let payment = spend(&[coin], &outputs);
    world.node.send(&payment);
    world.node.mine(2, &scripts[0]);
    let waiting = spend(&[world.coins.pop().unwrap()], &outputs);
    world.node.send(&waiting);
    let too_much = [(scripts[1].output_script(), coin.value * 2)];
    let refused = spend(&[world.coins.pop().unwrap()], &too_much);
    let tip = world.node.height();
    let block = world.node.block(world.node.tip_hash());
    let facts = Facts {
        scripts: scripts.to_vec(),
        transactions: vec![
            (payment.clone(), Some(tip - 1)),
            (waiting.clone(), None),
            (block.txdata[0].clone(), Some(tip)),
            (refused.clone(), None),
        ],
        blocks: vec![(tip, block.block_hash(), block.txdata.len() as u32)],
    };
    let hex = serialize_hex(&refused);
    let extra = [
        format!(
            "{{\"id\":1,\"method\":\"blockchain.transaction.broadcast\",\"params\":[\"{hex}\"]}}\n"
        ),
        format!(
            "{{\"id\":1,\"method\":\"blockchain.transaction.broadcast_package\",\"params\":[[\"{hex}\",\"{hex}\"]]}}\n"
        ),
        format!(
            "{{\"id\":1,\"method\":\"blockchain.transaction.testmempoolaccept\",\"params\":[[\"{hex}\"]]}}\n"
        ),
    ];

    let full = Running::full(&world.node);
    let source = Arc::new(bitcoind(&world.node));
    let store = Arc::new(MemoryStore::new());
    let (personal, handle) = Running::personal(source.clone(), &store, vec![wallet(OURS, 8)]);
    personal.view();
    full.view();
    let services = |running: &Running| {
        Services::new(
            running.published.clone(),
            source.clone(),
            Box::new(|_| {}),
            About::default(),
            Limits::default(),
        )
    };
    let mut servers = vec![Arc::new(services(&full))];
    for unwatched in [Unwatched::Empty, Unwatched::Reject, Unwatched::Watch] {
        for allowed in [WalletSet::All, WalletSet::Only(vec!["another".to_owned()])] {
            let services = services(&personal);
            let services = services.with_wallets(handle.clone(), allowed, unwatched);
            servers.push(Arc::new(services));
        }
    }
    for services in &servers {
        ask_everything(services, &facts, &extra);
    }
    personal.view();
    // The same once the node is away.
    world.node.stop();
    for services in &servers {
        ask_everything(services, &facts, &extra);
    }
    personal.stop();
    full.stop();

    let mut secrets = vec![
        CLIENT.to_owned(),
        "203.0.113".to_owned(),
        CLIENT_NAME.to_owned(),
    ];
    for script in &scripts {
        let output_script = script.output_script();
        secrets.push(script.address().to_string());
        secrets.push(output_script.as_bytes().to_lower_hex_string());
        secrets.push(ScriptHash::from_script(&output_script).to_string());
    }
    for (tx, _) in &facts.transactions {
        secrets.push(tx.compute_txid().to_string());
        secrets.push(tx.compute_wtxid().to_string());
        // The beginning: a part of it would be as bad.
        secrets.push(serialize_hex(tx).chars().take(80).collect());
    }
    let lines = LINES.lock().unwrap().clone();
    let told = |part: &str| lines.iter().any(|line| line.contains(part));
    assert!(
        told("none of the wallets"),
        "the log is listened to: {lines:#?}"
    );
    for line in &lines {
        for secret in &secrets {
            assert!(
                !line.contains(secret.as_str()),
                "{secret} is in the log: {line}"
            );
        }
    }
}
