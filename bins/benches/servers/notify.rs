//! From the node's announcement of a block to the last of many subscribed clients.

use std::collections::HashMap;
use std::io;
use std::sync::{Arc, Mutex, mpsc};
use std::thread;
use std::time::{Duration, Instant};

use bitcoin::Block;
use bitcoin::consensus::encode::serialize_hex;
use serde_json::json;
use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader};
use tokio::net::TcpStream;
use tokio::sync::{Semaphore, oneshot};
use tokio::time::timeout;

use crate::node::Node;
use crate::scan::{Chain, hash, wire};

/// Scripts with longer histories are left out: each of their changes costs whoever hashes them.
const LONGEST: usize = 200;

/// How many clients subscribe at a time.
const AT_A_TIME: usize = 64;

/// How long a client may wait for an answer, and a block for its last notification.
const PATIENCE: Duration = Duration::from_secs(30);

/// What the blocks showed.
#[derive(Clone, Debug, Default)]
pub(crate) struct Notified {
    /// Those that could subscribe, and why another could not.
    pub(crate) clients: usize,
    pub(crate) complaint: Option<String>,
    pub(crate) subscribing: Duration,
    /// From the announcement of each block to half of all clients, and to the last one, in milliseconds.
    pub(crate) half: Vec<f64>,
    pub(crate) last: Vec<f64>,
    /// Notifications that never came.
    pub(crate) missing: usize,
}

/// When the notifications of the latest block came.
#[derive(Default)]
struct Seen {
    block: usize,
    times: Vec<Instant>,
}

/// Subscribes each of so many clients to one script of every block, submits the blocks one after the other, and waits
/// for the notifications.
pub(crate) fn run(
    address: &str,
    clients: usize,
    node: &Node,
    chain: &Chain,
    blocks: &[Block],
) -> Notified {
    let scripts = scripts(chain, blocks);
    let seen = Arc::new(Mutex::new(Seen::default()));
    let (done, subscribed) = mpsc::channel();
    let (stop, stopped) = oneshot::channel::<()>();
    let start = Instant::now();
    let serving = {
        let (address, seen) = (address.to_owned(), seen.clone());
        thread::spawn(move || serve_clients(address, clients, scripts, seen, done, stopped))
    };
    let mut notified = Notified::default();
    for _ in 0..clients {
        match subscribed.recv().unwrap() {
            Ok(()) => notified.clients += 1,
            Err(error) => notified.complaint = Some(error),
        }
    }
    notified.subscribing = start.elapsed();
    for (number, block) in blocks.iter().enumerate() {
        thread::sleep(Duration::from_secs(1));
        *seen.lock().unwrap() = Seen {
            block: number,
            times: Vec::new(),
        };
        let announced = announce(node, block);
        let mut times = Vec::new();
        while announced.elapsed() < PATIENCE && times.len() < notified.clients {
            thread::sleep(Duration::from_millis(5));
            times.clone_from(&seen.lock().unwrap().times);
        }
        times.sort();
        notified.missing += notified.clients - times.len().min(notified.clients);
        let since = |time: &Instant| time.saturating_duration_since(announced).as_secs_f64() * 1e3;
        notified.half.extend(times.get(times.len() / 2).map(since));
        notified.last.extend(times.last().map(since));
        if times.is_empty() {
            // It will not be quicker the next time.
            break;
        }
    }
    drop(stop);
    serving.join().unwrap();
    notified
}

/// Submits a block; the moment when another client of the node has heard of it.
fn announce(node: &Node, block: &Block) -> Instant {
    let block = serialize_hex(block);
    thread::scope(|scope| {
        let announced = scope.spawn(|| {
            node.rpc("waitfornewblock", &[json!(60_000)]);
            Instant::now()
        });
        thread::sleep(Duration::from_millis(500));
        let refusal = node.rpc("submitblock", &[json!(block)]);
        assert!(refusal.is_null(), "the node refuses the block: {refusal}");
        announced.join().unwrap()
    })
}

/// The hashes of the scripts that pay or are paid in one of the blocks only, and not often before.
fn scripts(chain: &Chain, blocks: &[Block]) -> Vec<Vec<String>> {
    let mut found: HashMap<[u8; 32], Option<usize>> = HashMap::new();
    for (number, block) in blocks.iter().enumerate() {
        for output in block.txdata.iter().flat_map(|tx| &tx.output) {
            if !output.script_pubkey.is_op_return() {
                let only = found
                    .entry(hash(&output.script_pubkey))
                    .or_insert(Some(number));
                *only = only.filter(|only| *only == number);
            }
        }
    }
    let mut scripts = vec![Vec::new(); blocks.len()];
    for (hash, only) in found {
        let uses = chain.number(&hash).map_or(0, |script| chain.uses(script));
        if let Some(only) = only.filter(|_| uses <= LONGEST) {
            scripts[only].push(wire(&hash));
        }
    }
    scripts.iter_mut().for_each(|scripts| scripts.sort());
    scripts
}

fn serve_clients(
    address: String,
    clients: usize,
    scripts: Vec<Vec<String>>,
    seen: Arc<Mutex<Seen>>,
    done: mpsc::Sender<Result<(), String>>,
    stopped: oneshot::Receiver<()>,
) {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .unwrap();
    runtime.block_on(async move {
        let places = Arc::new(Semaphore::new(AT_A_TIME));
        for number in 0..clients {
            let own = scripts
                .iter()
                .map(|scripts| scripts[number % scripts.len()].clone())
                .collect();
            let (address, places) = (address.clone(), places.clone());
            tokio::spawn(client(address, own, seen.clone(), places, done.clone()));
        }
        let _ = stopped.await;
    });
}

async fn client(
    address: String,
    scripts: Vec<String>,
    seen: Arc<Mutex<Seen>>,
    places: Arc<Semaphore>,
    done: mpsc::Sender<Result<(), String>>,
) {
    let place = places.acquire_owned().await;
    let subscribing = timeout(PATIENCE, subscribe(&address, &scripts)).await;
    drop(place);
    let subscribing = subscribing.unwrap_or_else(|_| Err(io::ErrorKind::TimedOut.into()));
    let _ = done.send(
        subscribing
            .as_ref()
            .map(|_| ())
            .map_err(ToString::to_string),
    );
    let Ok(mut stream) = subscribing else {
        return;
    };
    let mut line = String::new();
    while let Ok(1..) = stream.read_line(&mut line).await {
        let now = Instant::now();
        let is_known = |script: &String| line.contains(script.as_str());
        let mut seen = seen.lock().unwrap();
        // A script of another block may be touched as well, by a payment from it.
        if scripts.iter().position(is_known) == Some(seen.block) {
            seen.times.push(now);
        }
        drop(seen);
        line.clear();
    }
}

/// Subscribes to headers and to the scripts, and reads all answers.
async fn subscribe(address: &str, scripts: &[String]) -> io::Result<BufReader<TcpStream>> {
    let stream = TcpStream::connect(address).await?;
    stream.set_nodelay(true)?;
    let mut stream = BufReader::with_capacity(1024, stream);
    let mut out = String::from(
        "{\"id\":0,\"method\":\"server.version\",\"params\":[\"load\",\"1.4\"]}\n\
         {\"id\":1,\"method\":\"blockchain.headers.subscribe\",\"params\":[]}\n",
    );
    for (id, script) in (2..).zip(scripts) {
        out.push_str(&format!(
            "{{\"id\":{id},\"method\":\"blockchain.scripthash.subscribe\",\"params\":[\"{script}\"]}}\n"
        ));
    }
    stream.get_mut().write_all(out.as_bytes()).await?;
    let mut line = String::new();
    for _ in 0..scripts.len() + 2 {
        line.clear();
        if stream.read_line(&mut line).await? == 0 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        if line.contains("\"error\"") && !line.contains("\"error\":null") {
            return Err(io::Error::other(line));
        }
    }
    Ok(stream)
}
