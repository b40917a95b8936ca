//! Clients that ask for megabytes and read nothing.

use std::env;
use std::net::TcpStream;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use bitcoin::blockdata::opcodes::all::{OP_DROP, OP_PUSHNUM_1};
use bitcoin::script::Builder;
use bitcoin::{Amount, ScriptBuf, Transaction};

use crate::idle::{Client, any_server};
use crate::node::{Coin, RegtestNode, Script, free_port, spend};
use crate::script_hash;
use crate::server::Server;

/// How many scripts have a long history, and how many transactions are in each.
const SCRIPTS: u32 = 100;
const ENTRIES: usize = 65_000;
/// Transactions in a block.
const PAYMENTS: usize = 600;
/// How long the clients read nothing.
const TIME: Duration = Duration::from_secs(15);

/// Takes minutes; `just unread`. Prints what the server holds while others read nothing, and how long a client of another
/// subnet waits.
#[test]
#[ignore = "large"]
fn clients_ask_for_megabytes_and_read_nothing() {
    let files = rlimit::increase_nofile_limit(u64::MAX).unwrap();
    assert!(files > 2000, "only {files} open files (ulimit -Hn)");
    let node = RegtestNode::start();
    make_chain(&node);
    let ports: [u16; 3] = std::array::from_fn(|_| free_port());
    let [tcp, tls, ws] = ports.map(|port| format!("127.0.0.1:{port}"));
    let monitor = format!("127.0.0.1:{}", free_port());
    let mut server = Server::spawn(
        &node,
        &[
            "--electrum-rpc-addr",
            &tcp,
            "--electrum-tls-addr",
            &tls,
            "--ws-addr",
            &ws,
            "--monitoring-addr",
            &monitor,
        ],
    );
    server.wait_until_ready();
    server.stop();
    server.add_arguments(&["--proxy-protocol-from", "127.0.0.1"]);
    // What is measured is how long it waits for others, not for what it owes itself.
    server.add_arguments(&["--exempt-subnets", "192.0.2.0/24"]);
    println!(
        "| transport | subnets x clients x requests | scripts | resident before, MiB | most, MiB | \
         buffered, MiB | answers | p99 ms | longest ms |"
    );
    println!("|---|---|---|---|---|---|---|---|---|");
    let only = env::var("UNREAD_ONLY").unwrap_or_default();
    for (transport, port) in ["tcp", "tls", "ws"].into_iter().zip(ports) {
        for (subnets, clients, requests) in [(100, 8, 2), (60, 2, 1)] {
            for scripts in [1, SCRIPTS] {
                if !transport.contains(&only) {
                    continue;
                }
                server.resume();
                let attack = Attack {
                    port,
                    transport,
                    subnets,
                    clients,
                    requests,
                    scripts,
                };
                attack.run(&server, ports[0], &monitor);
                server.kill();
            }
        }
    }
}

/// Makes a chain in which each of the scripts is paid by each of many transactions.
fn make_chain(node: &RegtestNode) {
    let owner = Script::new(0);
    node.mine(101, &owner);
    let mut coin = node.coinbase(1, &owner);
    let outputs: Vec<_> = (0..SCRIPTS)
        .map(|number| (long(number), Amount::ZERO))
        .collect();
    let mut made = 0;
    while made < ENTRIES {
        let count = PAYMENTS.min(ENTRIES - made);
        let payments: Vec<Transaction> = (0..count)
            .map(|_| {
                let change = (owner.output_script(), coin.value);
                let payment = spend(&[coin], &[&[change], &*outputs].concat());
                coin = Coin::of(&payment, 0, &owner);
                payment
            })
            .collect();
        node.mine_exactly(&payments, &Script::new(1));
        made += count;
    }
}

/// A script with a long history.
fn long(number: u32) -> ScriptBuf {
    Builder::new()
        .push_int(i64::from(number) + 1000)
        .push_opcode(OP_DROP)
        .push_opcode(OP_PUSHNUM_1)
        .into_script()
}

/// Those who ask and do not read.
struct Attack {
    port: u16,
    transport: &'static str,
    subnets: u8,
    clients: u8,
    requests: u32,
    scripts: u32,
}

impl Attack {
    /// Asks, reads nothing, and prints what that does to the server and to a client of another subnet.
    fn run(&self, server: &Server, healthy: u16, monitor: &str) {
        // The ports are there before the index is.
        crate::eventually("the server answers", || {
            let stream = proxied(healthy, "192.0.2.1").map_err(|error| error.to_string())?;
            let mut client = Client::over(stream, "tcp", None);
            client
                .say(r#"{"id":0,"method":"server.ping"}"#)
                .map_err(|error| error.to_string())?;
            match client.hear().contains("result") {
                true => Ok(()),
                false => Err("no answer".to_owned()),
            }
        });
        // Whoever reads gets everything.
        let mut reader = Client::over(proxied(healthy, "198.51.100.1").unwrap(), "tcp", None);
        reader.say(&ask(0, SCRIPTS - 1)).unwrap();
        assert_eq!(reader.hear().matches("tx_hash").count(), ENTRIES);
        drop(reader);
        let stop = Arc::new(AtomicBool::new(false));
        let watching = {
            let stop = stop.clone();
            thread::spawn(move || watch(healthy, &stop))
        };
        let before = server.memory();
        let tls = (self.transport == "tls").then(any_server);
        let begun = Instant::now();
        let mut connections = Vec::new();
        let mut number = 0;
        for subnet in 0..self.subnets {
            for client in 0..self.clients {
                let stream = proxied(self.port, &format!("10.1.{subnet}.{client}")).unwrap();
                let mut client = Client::over(stream, self.transport, tls.clone());
                for id in 0..self.requests {
                    client.say(&ask(id, number % self.scripts)).unwrap();
                    number += 1;
                }
                connections.push(client);
            }
        }
        let (mut most, mut buffered) = (0, 0);
        while begun.elapsed() < TIME {
            most = most.max(server.memory());
            buffered = buffered.max(buffered_bytes(monitor));
            thread::sleep(Duration::from_millis(20));
        }
        stop.store(true, Ordering::Relaxed);
        let mut times = watching.join().unwrap();
        times.sort();
        let milliseconds =
            |time: Option<&Duration>| time.map_or(f64::NAN, |it| it.as_secs_f64() * 1e3);
        let mib = |bytes: u64| bytes >> 20;
        println!(
            "| {} | {} x {} x {} | {} | {} | {} | {} | {} | {:.1} | {:.1} |",
            self.transport,
            self.subnets,
            self.clients,
            self.requests,
            self.scripts,
            mib(before),
            mib(most),
            mib(buffered),
            times.len(),
            milliseconds(times.get(times.len() * 99 / 100)),
            milliseconds(times.last()),
        );
    }
}

/// Asks for a long history.
fn ask(id: u32, number: u32) -> String {
    let script_hash = script_hash(long(number).as_bytes());
    format!(
        "{{\"id\":{id},\"method\":\"blockchain.scripthash.get_history\",\"params\":[\"{script_hash}\"]}}"
    )
}

/// Connects as if for a client of this address.
fn proxied(port: u16, address: &str) -> std::io::Result<TcpStream> {
    use std::io::Write;
    let mut stream = TcpStream::connect(("127.0.0.1", port))?;
    stream.set_nodelay(true)?;
    stream.set_read_timeout(Some(Duration::from_secs(120)))?;
    stream.write_all(format!("PROXY TCP4 {address} 127.0.0.1 1000 {port}\r\n").as_bytes())?;
    Ok(stream)
}

/// Asks something every two milliseconds; returns how long each answer took.
fn watch(port: u16, stop: &AtomicBool) -> Vec<Duration> {
    let mut client = Client::over(proxied(port, "192.0.2.1").unwrap(), "tcp", None);
    let mut times = Vec::new();
    for number in 0.. {
        if stop.load(Ordering::Relaxed) {
            break;
        }
        // Another script each time, so that the store is read.
        let ask = format!(
            "{{\"id\":0,\"method\":\"blockchain.scripthash.get_history\",\"params\":[\"{number:064x}\"]}}"
        );
        let begun = Instant::now();
        client.say(&ask).unwrap();
        let answer = client.hear();
        times.push(begun.elapsed());
        assert!(answer.contains("\"result\""), "{answer}");
        thread::sleep(Duration::from_millis(2));
    }
    times
}

/// What the server says that it buffers.
fn buffered_bytes(monitor: &str) -> u64 {
    use std::io::{Read, Write};
    let page = || {
        let mut stream = TcpStream::connect(monitor)?;
        stream.write_all(b"GET /metrics HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")?;
        let mut page = String::new();
        stream.read_to_string(&mut page)?;
        std::io::Result::Ok(page)
    };
    let page = page().unwrap_or_default();
    let line = page
        .lines()
        .find_map(|line| line.strip_prefix("electrum_server_buffered_bytes "));
    line.and_then(|bytes| bytes.parse().ok())
        .unwrap_or_default()
}
