//! Clients that take their time. The clock is the test's, and stands still until the test moves it.

use tokio::io::DuplexStream;
use tokio::sync::{Semaphore, mpsc, watch};

use super::transports::Files;
use super::*;
use crate::net::admission::Admission;
use crate::net::connection::{Connection, End};
use crate::net::listener::Shared;
use crate::net::origin::Origin;
use crate::net::transport::{AnyStream, Layers};
use crate::net::workers::Workers;

/// One connection of a server, over a pipe in which few bytes have room.
struct Piped {
    closing: watch::Sender<bool>,
    ended: JoinHandle<End>,
}

impl Piped {
    fn start(stage: &Stage, layers: Layers) -> (Self, DuplexStream) {
        let (client, server) = tokio::io::duplex(1024);
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
        let ended = tokio::spawn(async move {
            let stream: AnyStream = Box::new(server);
            let guest = shared.admission.admit_without_account().unwrap();
            let buffer = guest.transport_buffer();
            let stream = layers.greet(stream, 1_000_000, buffer).await.unwrap();
            Connection::new(stream, &shared, Origin::Unix, guest)
                .run()
                .await
        });
        (Self { closing, ended }, client)
    }
}

/// Keeps the clock from running by itself when the runtime has nothing to do: the threads that sessions block on are not
/// the runtime's.
struct Still(std::sync::mpsc::Sender<()>);

impl Still {
    fn begin() -> Self {
        let (end, ended) = std::sync::mpsc::channel();
        tokio::task::spawn_blocking(move || ended.recv().is_err());
        Self(end)
    }
}

fn miners(count: u8) -> Stage {
    let mut stage = Stage::new();
    for miner in 0..count {
        stage.mine(miner, &[]);
    }
    stage
}

const HEADERS: &[u8] = b"{\"id\":1,\"method\":\"blockchain.block.headers\",\"params\":[0,50]}\n";

/// What fits into a record of TLS as a whole has left the queue, and is still on its way.
#[tokio::test(start_paused = true)]
async fn whoever_closes_and_reads_slowly_gets_everything() {
    let still = Still::begin();
    let (files, stage) = (Files::new(), miners(50));
    for tells in [true, false] {
        let layers = Layers {
            tls: Some(files.load()),
            ..Layers::default()
        };
        let (piped, client) = Piped::start(&stage, layers);
        let mut client = files.greet(client).await.unwrap();
        client.write_all(HEADERS).await.unwrap();
        match tells {
            // The client has no more questions.
            true => client.shutdown().await.unwrap(),
            // The server stops, once it has begun to answer.
            false => {
                assert_eq!(client.read_u8().await.unwrap(), b'{');
                piped.closing.send(true).unwrap();
            }
        }
        tokio::time::advance(Duration::from_secs(4)).await;
        let answer = rest(&mut client).await;
        assert!(answer.ends_with("\"max\":2016}}\n"), "{}", answer.len());
        // The server waits a moment for the client to close.
        for _ in 0..100_000 {
            if piped.ended.is_finished() {
                break;
            }
            tokio::time::advance(Duration::from_millis(1)).await;
        }
        match piped.ended.await.unwrap() {
            End::Client => assert!(tells),
            End::Shutdown => assert!(!tells),
            end => panic!("{end}"),
        }
    }
    drop(still.0);
}
