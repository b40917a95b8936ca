//! Whole lives of a session: a client sends what it likes in whatever pieces, reads when it likes, while blocks come and
//! go; whatever happens, what the client was promised holds.

mod node;
mod text;
mod witness;
mod world;

use std::sync::atomic::Ordering;

use arbitrary::{Arbitrary, Unstructured};
use electrum_protocol::method::headers::TipResponse;
use electrum_protocol::method::{outpoint, transaction};
use electrum_protocol::{
    Call, Client, ErrorCode, ErrorObject, Notification, ProtocolVersion, ScriptHash, VersionRange,
};
use electrum_server_core::session::{About, Limits, Next, Place, Services, Session};

use text::{Asked, request};
use witness::{Key, Witness};
use world::World;

/// Something that happens.
#[derive(Arbitrary, Debug)]
enum Operation {
    /// The client sends a request, in pieces of up to so many bytes.
    Ask { asked: Asked, piece: u8 },
    /// The client sends several requests in one batch.
    Batch { asked: Vec<Asked>, piece: u8 },
    /// The client sends a request in which one byte is another.
    Mutated { asked: Asked, at: u8, byte: u8 },
    /// The client sends whatever this is.
    Junk(Vec<u8>),
    /// The client reads so many bytes.
    Read(u16),
    /// The session goes on.
    Run,
    /// The session hears of the oldest update that it has not heard of.
    Tell,
    /// The session hears that there were too many updates.
    Miss,
    /// A block, with so many of the transactions that wait.
    Mine { miner: u8, count: u8 },
    /// Blocks are undone, and others come.
    Reorganize { depth: u8, miner: u8, count: u8 },
    /// The mempool gets a transaction.
    Receive { coin: u8, to: [u8; 2] },
    /// The mempool loses a transaction.
    Evict(u8),
    /// What happened is published.
    Publish,
    /// The node goes away, or is back.
    Node { is_away: bool },
    /// The network ends the session.
    End,
}

/// The circumstances.
#[derive(Arbitrary, Debug)]
struct Start {
    is_narrow: bool,
    has_few: bool,
    version_first: bool,
    /// Whether what happens is published at once, and told, and the session goes on.
    is_eager: bool,
    /// Protocol version that the client begins with, if any.
    version: u8,
}

/// A life of a session.
pub fn session(data: &[u8]) {
    let mut data = Unstructured::new(data);
    let Ok(start) = Start::arbitrary(&mut data) else {
        return;
    };
    let mut stage = Stage::new(&start);
    let spoken = ProtocolVersion::SPOKEN;
    if let Some(version) = spoken.get(usize::from(start.version)) {
        let hello =
            format!("{{\"id\":0,\"method\":\"server.version\",\"params\":[\"\",\"{version}\"]}}\n");
        stage.send(hello.as_bytes(), 64);
        stage.quiesce();
    }
    // Longer ones say nothing that these do not.
    for _ in 0..200 {
        if data.is_empty() || stage.witness.is_over {
            break;
        }
        let Ok(operation) = Operation::arbitrary(&mut data) else {
            break;
        };
        stage.act(operation);
        if start.is_eager {
            stage.world.publish();
            stage.tell();
            stage.run();
            stage.read(usize::MAX);
        }
    }
    stage.quiesce();
}

/// A session, its client, and the world around them.
struct Stage {
    world: World,
    services: Services,
    session: Session,
    witness: Witness,
    /// What was taken from the session and not read by the client.
    wire: Vec<u8>,
    /// What the session waits for.
    next: Next,
    requests: u32,
    /// The node was away at some time: what is not found then is looked for again when something happens.
    was_away: bool,
}

impl Stage {
    fn new(start: &Start) -> Self {
        let mut limits = Limits {
            max_line: 2000,
            max_batch: 6,
            max_refusals: 20,
            ..Limits::default()
        };
        if start.is_narrow {
            limits.output_ceiling = 1000;
            limits = limits.with_max_response(3000);
        }
        if start.has_few {
            limits.max_subscriptions = 3;
            limits.max_history = Some(4);
        }
        let about = About {
            version_first: start.version_first,
            ..About::default()
        };
        let world = World::new();
        let services = world.services(about, limits);
        Self {
            session: Session::new(&services),
            witness: Witness::new(services.limits.max_line, services.limits.max_batch),
            services,
            world,
            wire: Vec::new(),
            next: Next::Input,
            requests: 0,
            was_away: false,
        }
    }

    fn act(&mut self, operation: Operation) {
        match operation {
            Operation::Ask { asked, piece } => {
                let text = self.request(asked) + "\n";
                self.send(text.as_bytes(), piece);
            }
            Operation::Batch { asked, piece } => {
                let requests: Vec<_> = asked
                    .into_iter()
                    .take(8)
                    .map(|asked| self.request(asked))
                    .collect();
                let text = format!("[{}]\n", requests.join(","));
                self.send(text.as_bytes(), piece);
            }
            Operation::Mutated { asked, at, byte } => {
                let mut text = self.request(asked).into_bytes();
                let len = text.len();
                if let Some(place) = text.get_mut(usize::from(at) % len) {
                    *place = byte;
                }
                text.push(b'\n');
                self.send(&text, u8::MAX);
            }
            Operation::Junk(junk) => self.send(&junk, u8::MAX),
            Operation::Read(count) => self.read(count.into()),
            Operation::Run => self.run(),
            Operation::Tell => self.tell(),
            Operation::Miss => {
                self.be_free();
                if self.world.lose_updates() {
                    self.session.on_missed_updates();
                }
            }
            Operation::Mine { miner, count } => self.world.mine(miner, count),
            Operation::Reorganize {
                depth,
                miner,
                count,
            } => self.world.reorganize(depth % 4, miner, count),
            Operation::Receive { coin, to } => self.world.receive(coin, to),
            Operation::Evict(n) => self.world.evict(n),
            Operation::Publish => self.world.publish(),
            Operation::Node { is_away } => {
                self.was_away |= is_away;
                self.world.node.is_away.store(is_away, Ordering::Relaxed);
            }
            Operation::End => {
                self.be_free();
                let error = ErrorObject::new(ErrorCode::EXCESSIVE_USAGE, "enough");
                self.session.end(&error);
                self.witness.is_over = true;
            }
        }
    }

    fn request(&mut self, asked: Asked) -> String {
        self.requests += 1;
        request(asked, self.requests, &self.world)
    }

    fn send(&mut self, bytes: &[u8], piece: u8) {
        for piece in bytes.chunks(usize::from(piece) + 1) {
            self.be_free();
            if self.witness.is_over {
                return;
            }
            self.witness.sends(piece);
            self.session.receive(piece);
            if piece.len() < 16 {
                self.run();
            }
        }
    }

    fn tell(&mut self) {
        self.be_free();
        if let Some(update) = self.world.take_update() {
            self.session.on_update(&update);
        }
    }

    /// A session that needs to run elsewhere does that before it is given anything.
    fn be_free(&mut self) {
        if matches!(self.next, Next::Needs(_)) {
            self.run();
        }
    }

    /// Lets the session go on until it needs something from outside.
    fn run(&mut self) {
        let mut place = match self.next {
            Next::Needs(place) => place,
            _ => Place::Reactor,
        };
        loop {
            self.next = self.session.run(place, &self.services, self.wire.len());
            self.take();
            match &self.next {
                Next::Needs(needed) => {
                    assert_ne!(*needed, place, "it is there already");
                    place = *needed;
                }
                Next::Pause => {}
                Next::Output => {
                    let ceiling = self.services.limits.output_ceiling;
                    assert!(self.wire.len() >= ceiling, "there is room");
                    return;
                }
                Next::Room => panic!("nobody counts"),
                Next::Input => return,
                Next::Close(_) => {
                    self.witness.is_over = true;
                    return;
                }
            }
        }
    }

    /// Takes what the session has to say to the wire.
    fn take(&mut self) {
        let output = self.session.take_output();
        assert!(output.is_empty() || output.ends_with(b"\n"), "whole lines");
        self.wire.extend(output);
        // An answer too many, an answer to each of a batch that says that it is too large with an id of any length, a
        // piece of news of each subscription.
        let limits = &self.services.limits;
        let most = limits.output_ceiling
            + limits.max_response
            + limits.max_line
            + limits.max_batch * 200
            + (self.witness.told.len() + 4) * 400;
        assert!(self.wire.len() <= most, "{} bytes wait", self.wire.len());
    }

    /// The client reads up to so many bytes, and understands the whole lines.
    fn read(&mut self, count: usize) {
        let count = count.min(self.wire.len());
        let end = self
            .wire
            .iter()
            .take(count)
            .rposition(|byte| *byte == b'\n');
        if let Some(end) = end {
            let lines: Vec<u8> = self.wire.drain(..=end).collect();
            for line in lines
                .split(|byte| *byte == b'\n')
                .filter(|line| !line.is_empty())
            {
                self.witness.hears(line);
            }
        }
    }

    /// Lets everything come to rest, and compares what the client knows with what is true.
    fn quiesce(&mut self) {
        self.world.node.is_away.store(false, Ordering::Relaxed);
        loop {
            self.world.publish();
            self.be_free();
            self.tell();
            self.run();
            let has_read = !self.wire.is_empty();
            self.read(usize::MAX);
            assert!(self.wire.is_empty());
            let is_quiet = self.next == Next::Input || self.witness.is_over;
            if is_quiet && !has_read && self.is_told() {
                break;
            }
        }
        if self.witness.is_over {
            return;
        }
        assert!(self.witness.is_content(), "every request is answered");
        self.compare();
    }

    /// Tells the session of the next update, if there is one; returns whether there was none.
    fn is_told(&mut self) -> bool {
        match self.world.take_update() {
            Some(update) => {
                self.session.on_update(&update);
                false
            }
            None => true,
        }
    }

    fn compare(&self) {
        let view = self.world.view();
        let status = |script_hash: &ScriptHash| view.status(script_hash, None).expect("it is read");
        let others = self.world.services(About::default(), Limits::default());
        for (key, told) in self.witness.certain() {
            let now = match (key, told) {
                (Key::Headers, Notification::Headers(tip)) => {
                    let raw = matches!(tip, TipResponse::Raw(_));
                    Notification::Headers(TipResponse::new(view.tip(), raw))
                }
                (Key::Numblocks, _) => Notification::Numblocks(view.height()),
                (Key::Script(script_hash), _) => Notification::ScriptHash {
                    script_hash: *script_hash,
                    status: status(script_hash),
                },
                (Key::Address(address), _) => {
                    let parsed = address
                        .parse::<electrum_server_core::bitcoin::Address<_>>()
                        .expect("it was taken for one")
                        .assume_checked();
                    Notification::Address {
                        address: address.clone(),
                        status: status(&ScriptHash::from_script(&parsed.script_pubkey())),
                    }
                }
                (Key::Outpoint(outpoint), _) => {
                    let script_hint = self.witness.hints.get(outpoint).cloned().flatten();
                    if self.was_away && script_hint.is_none() {
                        continue;
                    }
                    let request = outpoint::GetStatus {
                        outpoint: *outpoint,
                        script_hint,
                    };
                    Notification::Outpoint {
                        outpoint: *outpoint,
                        status: ask(&others, request),
                    }
                }
                (Key::Transaction(txid), _) => Notification::Transaction {
                    txid: *txid,
                    height: ask(&others, transaction::GetHeight { txid: *txid }),
                },
                (key, told) => panic!("{told:?} was said of {key:?}"),
            };
            assert_eq!(*told, now);
        }
    }
}

/// Asks as another client, of the newest version.
fn ask<C: Call>(services: &Services, call: C) -> C::Response {
    use electrum_protocol::client::Event;
    let mut client = Client::default();
    let mut session = Session::new(services);
    let newest = VersionRange::exactly(ProtocolVersion::V1_7);
    let (_, hello) = client.introduce("", newest);
    session.receive(&hello);
    session.run(Place::Node, services, 0);
    client.receive(&session.take_output());
    let (_, question) = client.request(call);
    session.receive(&question);
    session.run(Place::Node, services, 0);
    client.receive(&session.take_output());
    while let Some(event) = client.poll_event() {
        if let Event::Reply { result, .. } = event {
            return C::unwrap(result.expect("an answer")).expect("of the method");
        }
    }
    panic!("no answer");
}

#[cfg(test)]
mod tests;
