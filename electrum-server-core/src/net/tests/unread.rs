//! Clients that ask for much and read nothing, over pipes in which few bytes have room: what is not read waits here and not
//! in the system.

use std::time::Instant;

use bitcoin::OutPoint;
use tokio::io::DuplexStream;
use tokio::sync::{Semaphore, mpsc, watch};

use super::healthy::{code, until};
use super::*;
use crate::metrics::Rejection;
use crate::net::admission::Admission;
use crate::net::connection::Connection;
use crate::net::listener::Shared;
use crate::net::origin::Origin;
use crate::net::transport::{AnyStream, Layers};
use crate::net::workers::Workers;
use crate::session::tests::pay;

/// How many scripts have a long history, and how long it is.
const SCRIPTS: u8 = 30;
const ENTRIES: usize = 1500;
/// What an entry takes at least.
const ENTRY: usize = 92;

/// A chain with long histories, and a server's insides.
struct Crowd {
    stage: Stage,
    shared: Shared,
    _closing: watch::Sender<bool>,
}

impl Crowd {
    fn new(limits: Limits) -> Self {
        let mut stage = Stage::with(About::default(), limits);
        let mut coin = stage.mine(200, &[]);
        let mut value = 50_0000_0000;
        for _ in 0..ENTRIES / 100 {
            let transactions: Vec<_> = (0..100)
                .map(|_| {
                    value -= 1000 * u64::from(SCRIPTS);
                    let long = (0..SCRIPTS).map(|number| (number, 1000));
                    let outputs: Vec<_> = [(200, value)].into_iter().chain(long).collect();
                    let payment = pay(&[coin], &outputs);
                    coin = OutPoint::new(payment.compute_txid(), 0);
                    payment
                })
                .collect();
            stage.mine(201, &transactions);
        }
        let (closing, is_closing) = watch::channel(false);
        let services = stage.services.clone();
        let admission = Admission::new(services.limits.clone(), services.metrics.clone());
        let shared = Shared {
            admission: Arc::new(admission),
            services,
            workers: Arc::new(Workers::new().unwrap()),
            updates: updates(),
            closing: is_closing,
            farewells: Arc::new(Semaphore::new(1)),
            alive: mpsc::channel(1).0,
        };
        Self {
            stage,
            shared,
            _closing: closing,
        }
    }

    /// Connects a client of a subnet.
    fn connect(&self, subnet: u8, client: u8, layers: Layers) -> DuplexStream {
        let (near, far) = tokio::io::duplex(1024);
        let shared = self.shared.clone();
        let origin = Origin::Ip(([10, 0, subnet, client], 1000).into());
        tokio::spawn(async move {
            let now = tokio::time::Instant::now();
            let guest = shared.admission.admit(origin, now).unwrap();
            let stream: AnyStream = Box::new(far);
            let buffer = guest.transport_buffer();
            let stream = layers.greet(stream, 1_000_000, buffer).await.unwrap();
            Connection::new(stream, &shared, origin, guest).run().await
        });
        near
    }

    fn buffered(&self) -> usize {
        self.shared.services.metrics.buffered()
    }
}

fn history(id: usize, script: u8, from: usize) -> String {
    let script_hash = script_hash(script);
    format!(
        "{{\"id\":{id},\"method\":\"blockchain.scripthash.get_history\",\"params\":[\"{script_hash}\",{from}]}}\n"
    )
}

/// Reads a line as fast as it comes.
async fn read_long(stream: &mut DuplexStream) -> String {
    let mut line = Vec::new();
    while line.last() != Some(&b'\n') {
        let read = within(stream.read_buf(&mut line)).await.unwrap();
        assert!(read > 0, "the server closed the connection");
    }
    String::from_utf8(line).unwrap()
}

/// What the clients ask for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Wish {
    /// All the same.
    Same,
    /// Some the same.
    Some,
    /// A part of a history, which nobody else is thought to ask for.
    Parts,
    /// Both at once, in a batch.
    Batch,
    /// Nothing as yet: the line does not end.
    Endless,
}

impl Wish {
    fn text(self, number: usize) -> String {
        let script = (number % usize::from(SCRIPTS)) as u8;
        match self {
            Self::Same => history(0, 0, 0) + &history(1, 0, 0),
            Self::Some => history(0, script, 0) + &history(1, script, 0),
            Self::Parts => history(0, script, 1) + &history(1, script, 1),
            Self::Batch => {
                let asks = [history(0, script, 0), history(1, script, 1)];
                format!(
                    "[{}]\n",
                    asks.map(|ask| ask.trim_end().to_owned()).join(",")
                )
            }
            Self::Endless => "[".repeat(200_000),
        }
    }
}

/// Whatever they ask for, memory stays within its limit, and clients of other subnets are served: at once when they want
/// little, in their turn when they want as much as the others.
#[tokio::test(flavor = "multi_thread")]
async fn whoever_reads_nothing_neither_fills_the_memory_nor_starves_others() {
    let limits = Limits {
        max_buffered: 4_000_000,
        max_connections: 200,
        max_line: 300_000,
        hold_timeout: Duration::from_millis(300),
        exempt: Vec::new(),
        cost_hard: 0.0,
        ..Limits::default().with_max_response(400_000)
    };
    let max = limits.max_buffered;
    let crowd = Crowd::new(limits);
    let metrics = crowd.stage.services.metrics.clone();
    for wish in [
        Wish::Same,
        Wish::Some,
        Wish::Parts,
        Wish::Batch,
        Wish::Endless,
    ] {
        let before = metrics.rejected(Rejection::Buffers);
        let mut hostile = Vec::new();
        for number in 0..120 {
            let mut stream = crowd.connect((number / 3) as u8, number as u8, Layers::default());
            let text = wish.text(number);
            hostile.push(tokio::spawn(async move {
                // It is not taken from those that have to wait.
                let _ = stream.write_all(text.as_bytes()).await;
                std::future::pending::<()>().await;
                drop(stream);
            }));
        }
        let mut small = crowd.connect(200, 1, Layers::default());
        let mut most = 0;
        let mut slowest = Duration::ZERO;
        for number in 0..300 {
            let begun = Instant::now();
            // Another part each time, which must be read.
            let ask = history(number, 201, number % 16);
            small.write_all(ask.as_bytes()).await.unwrap();
            let answer = read_line(&mut small).await;
            assert!(answer.contains("\"result\":["), "{answer}");
            slowest = slowest.max(begun.elapsed());
            most = most.max(crowd.buffered());
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
        // Somebody who wants as much as they do, and reads it.
        let mut large = crowd.connect(201, 1, Layers::default());
        for from in [0, 1] {
            large
                .write_all(history(7, SCRIPTS - 1, from).as_bytes())
                .await
                .unwrap();
            let answer = read_long(&mut large).await;
            assert_eq!(code(&answer), None, "{answer}");
            assert_eq!(answer.matches("tx_hash").count(), ENTRIES, "{wish:?}");
            most = most.max(crowd.buffered());
        }
        eprintln!("{wish:?}: {most} bytes, the slowest of 300 answers took {slowest:?}");
        assert!(most <= max, "{wish:?}: {most} bytes");
        let answer = ENTRIES * ENTRY;
        match wish {
            // One copy, whoever waits for it.
            Wish::Same => assert!((answer..5 * answer).contains(&most), "{most}"),
            Wish::Some => assert!(most < usize::from(SCRIPTS) * 2 * answer, "{most}"),
            // There is not enough for all, so the first must have gone.
            Wish::Parts | Wish::Batch | Wish::Endless => {
                assert!(metrics.rejected(Rejection::Buffers) > before, "{wish:?}");
            }
        }
        for task in hostile {
            task.abort();
        }
        drop((small, large));
        until_gone(&crowd).await;
    }
}

/// Nothing stays behind: neither bytes nor room for them.
async fn until_gone(crowd: &Crowd) {
    let services = &crowd.stage.services;
    let budget = services.metrics.budget(&services.limits);
    let gone =
        || services.metrics.connections() == 0 && crowd.buffered() == 0 && budget.used() == 0;
    until("nothing is left of them", gone).await;
    assert!(!budget.is_wanted());
}
