//! The parts for wallets of electrum-protocol in front of the server in this process, over a socket, in every version
//! that has what they need.

#![allow(clippy::unwrap_used, clippy::indexing_slicing)]

use std::collections::HashMap;
use std::io::{ErrorKind, Read, Write};
use std::net::TcpStream;
use std::time::{Duration, Instant};

use bitcoin::{Amount, Network, ScriptBuf};
use electrum_protocol::client::{Event, RequestId};
use electrum_protocol::header_chain::{Change, Limits};
use electrum_protocol::method::headers;
use electrum_protocol::script_sync::{Config, Obstacle};
use electrum_protocol::{
    Client, Confirmation, HeaderChain, HeaderSync, Method, Notification, ProtocolVersion, Request,
    Response, ScriptSync, VersionRange,
};
use electrum_server_core::regtest::TestServer;

/// How many requests are under way at most.
const WINDOW: usize = 20;
const GAP: u32 = 4;

fn script(index: u32) -> ScriptBuf {
    let mut bytes = vec![0, 20];
    bytes.extend([7; 16]);
    bytes.extend(index.to_be_bytes());
    ScriptBuf::from_bytes(bytes)
}

/// One connection.
struct Session {
    stream: TcpStream,
    client: Client,
    asked: HashMap<RequestId, Request>,
}

impl Session {
    fn connect(server: &TestServer, version: ProtocolVersion) -> Self {
        let stream = TcpStream::connect(server.address()).unwrap();
        let timeout = Some(Duration::from_millis(20));
        stream.set_read_timeout(timeout).unwrap();
        let mut session = Self {
            stream,
            client: Client::default(),
            asked: HashMap::new(),
        };
        let versions = VersionRange::exactly(version);
        let (_, bytes) = session.client.introduce("wallet", versions);
        session.stream.write_all(&bytes).unwrap();
        let deadline = Instant::now() + Duration::from_secs(30);
        loop {
            assert!(Instant::now() < deadline, "no answer");
            match session.read() {
                Some(Event::Negotiated { result, .. }) => {
                    assert_eq!(result.unwrap().protocol_version, version);
                    break;
                }
                Some(other) => panic!("{other:?}"),
                None => {}
            }
        }
        session.ask(headers::Subscribe::RAW.into());
        session
    }

    fn ask(&mut self, request: Request) {
        let (id, bytes) = self.client.request(request.clone());
        self.asked.insert(id, request);
        self.stream.write_all(&bytes).unwrap();
    }

    /// The next event; nothing when none comes for a moment.
    fn read(&mut self) -> Option<Event> {
        let mut bytes = [0; 4096];
        loop {
            if let Some(event) = self.client.poll_event() {
                return Some(event);
            }
            match self.stream.read(&mut bytes) {
                Ok(0) => panic!("the server has closed the connection"),
                Ok(count) => self.client.receive(&bytes[..count]),
                Err(error)
                    if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut) =>
                {
                    return None;
                }
                Err(error) => panic!("{error}"),
            }
        }
    }
}

/// A wallet of one keychain.
struct Wallet {
    headers: HeaderSync,
    scripts: ScriptSync<()>,
    asked: Vec<Method>,
}

impl Wallet {
    fn new(version: ProtocolVersion) -> Self {
        let chain = HeaderChain::genesis(Network::Regtest);
        let mut scripts = ScriptSync::new(version, Config::default()).unwrap();
        scripts
            .add_keychain((), GAP, |index| Some(script(index)))
            .unwrap();
        Self {
            headers: HeaderSync::new(chain, Limits::default()),
            scripts,
            asked: Vec::new(),
        }
    }

    fn changed(&mut self, change: Option<Change>) {
        if let Some(change) = change {
            let chain = self.headers.chain();
            self.scripts.headers_changed(chain, &change);
        }
    }

    /// Asks and listens until everything is as the server says, its tip is this one, and `done` holds.
    fn sync(&mut self, session: &mut Session, server: &TestServer, done: impl Fn(&Self) -> bool) {
        let deadline = Instant::now() + Duration::from_secs(60);
        loop {
            let tip = server.node().best_block();
            let there = self.headers.chain().tip_hash() == tip.hash
                && self.headers.is_synced()
                && self.scripts.is_up_to_date();
            if there && done(self) {
                return;
            }
            let obstacles: Vec<Obstacle> = self.scripts.obstacles().collect();
            assert!(Instant::now() < deadline, "{obstacles:?}");
            while session.asked.len() < WINDOW {
                let request = self.headers.poll_request();
                let Some(request) = request.or_else(|| self.scripts.poll_request()) else {
                    break;
                };
                self.asked.push(request.method());
                session.ask(request);
            }
            if let Some(event) = session.read() {
                self.take(session, event);
            }
        }
    }

    fn take(&mut self, session: &mut Session, event: Event) {
        match event {
            Event::Notification(Notification::Headers(tip)) => {
                let change = self.headers.announce(tip.tip(), None).unwrap();
                self.changed(change);
            }
            Event::Notification(notification) => {
                self.scripts.notify(&notification);
            }
            Event::Reply { id, result } => {
                let request = session.asked.remove(&id).unwrap();
                match (&request, result) {
                    (_, Ok(Response::HeadersSubscribe(tip))) => {
                        let change = self.headers.announce(tip.tip(), None).unwrap();
                        self.changed(change);
                    }
                    (Request::BlockHeaders(_), Ok(response)) => {
                        let change = self.headers.receive(response, None).unwrap();
                        self.changed(change);
                    }
                    (_, Ok(response)) => {
                        let chain = self.headers.chain();
                        self.scripts.answer(&request, response, chain).unwrap();
                    }
                    (_, Err(_)) => self.scripts.refused(&request, self.headers.chain()),
                }
            }
            other => panic!("{other:?}"),
        }
    }

    fn confirmations(&self, index: u32) -> Vec<Confirmation> {
        let view = self.scripts.script(&(), index).unwrap();
        let history = view.history.iter();
        history.map(|entry| entry.confirmation).collect()
    }
}

const IN_MEMPOOL: Confirmation = Confirmation::Mempool {
    unconfirmed_parents: false,
};

#[test]
fn a_wallet_follows_a_server() {
    for version in ProtocolVersion::SPOKEN {
        if version >= ProtocolVersion::V1_2 {
            follow(version);
        }
    }
}

fn follow(version: ProtocolVersion) {
    let server = TestServer::start().unwrap();
    let node = server.node();
    let sats = Amount::from_sat;
    node.fund(&script(0), sats(10_000)).unwrap();
    node.mine_to_faucet(1);
    let height = node.height();
    node.fund(&script(3), sats(20_000)).unwrap();

    let mut session = Session::connect(&server, version);
    let mut wallet = Wallet::new(version);
    wallet.sync(&mut session, &server, |wallet| {
        wallet.confirmations(3) == [IN_MEMPOOL]
    });
    assert_eq!(wallet.confirmations(0), [Confirmation::Block(height)]);
    assert_eq!(wallet.scripts.next_unused(&()), Some(4));
    let balance = wallet.scripts.balance();
    assert_eq!(balance.confirmed, sats(10_000));
    assert_eq!(balance.unconfirmed.to_sat(), 20_000);

    // A block is heard of, and what it confirms is proven.
    let before = node.snapshot();
    node.mine_to_faucet(2);
    let confirmed = [Confirmation::Block(height + 1)];
    wallet.sync(&mut session, &server, |wallet| {
        wallet.confirmations(3) == confirmed
    });
    let proven = |wallet: &Wallet| {
        let mut views = wallet.scripts.transactions();
        let view = views.find(|view| view.confirmation == confirmed[0]);
        view.and_then(|view| view.proven)
    };
    let first = proven(&wallet);
    assert_eq!(first, node.block_hash(height + 1));

    // Other blocks take their place, with the same transaction at the same height.
    node.restore(&before);
    node.mine(3, &script(1_000));
    wallet.sync(&mut session, &server, |wallet| proven(wallet) != first);
    assert_eq!(proven(&wallet), node.block_hash(height + 1));
    assert_eq!(wallet.scripts.balance().confirmed, sats(30_000));

    // A new connection costs one request a script.
    let mut session = Session::connect(&server, version);
    wallet.headers.disconnect();
    let chain = wallet.headers.chain();
    wallet.scripts.reconnect(version, chain).unwrap();
    wallet.asked.clear();
    wallet.sync(&mut session, &server, |_| true);
    assert_eq!(wallet.asked.len(), wallet.scripts.scripts().count());
}
