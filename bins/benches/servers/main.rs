//! Servers side by side: builds each one's index of one chain, loads each with the same requests, prints tables.
//!
//! Run by `contrib/bench-servers.sh`, which installs what it needs.

#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::print_stdout,
    clippy::print_stderr
)]

mod ask;
mod chain;
mod client;
mod compare;
mod disk;
mod heavy;
mod load;
mod node;
mod notify;
mod options;
mod pass;
mod report;
mod scan;
mod script;
mod server;

use std::fs::{self, File};
use std::io::{self, BufWriter};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::thread;
use std::time::{Duration, Instant};

use bitcoin::Block;

use crate::node::Node;
use crate::options::Options;
use crate::report::{Report, Shown};
use crate::scan::Chain;
use crate::server::{Server, Software};

/// Blocks that are announced to the clients of each server.
const ANNOUNCED: usize = 5;

fn main() -> io::Result<()> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    // `cargo test` runs this as well.
    if !arguments.iter().any(|argument| argument == "--bench") {
        return Ok(());
    }
    if arguments.iter().any(|argument| argument == "--help") {
        println!("{}", options::USAGE);
        return Ok(());
    }
    match Options::read(&arguments) {
        Ok(options) => run(&options),
        Err(complaint) => {
            eprintln!("{complaint}\n{}", options::USAGE);
            std::process::exit(2);
        }
    }
}

fn cores() -> usize {
    thread::available_parallelism().map_or(1, usize::from)
}

/// The files that are kept from run to run.
struct Kept {
    chain: PathBuf,
    next: PathBuf,
    node: PathBuf,
}

fn run(options: &Options) -> io::Result<()> {
    let kept = prepare(options)?;
    say("reading the chain");
    let chain = Chain::read(&kept.chain)?;
    let next: Vec<Block> = scan::blocks(&kept.next)?.collect();
    let longest = chain.used(100_000..=usize::MAX, usize::MAX);
    println!(
        "{} blocks, {} transactions, {} inputs, {} outputs, {} scripts; {} scripts with more than 100,000 \
         transactions, {} with more than 1,000, {} with 20 to 200; {} cores",
        chain.height,
        chain.transactions(),
        chain.inputs,
        chain.outputs(),
        chain.scripts(),
        longest.len(),
        chain.used(1001..=usize::MAX, usize::MAX).len(),
        chain.used(20..=200, usize::MAX).len(),
        cores(),
    );

    let folder = options.folder.join("run");
    let _ = fs::remove_dir_all(&folder);
    fs::create_dir_all(&folder)?;
    let copy = folder.join("node");
    say("copying the node's files");
    let copied = Command::new("cp")
        .arg("-Rp")
        .arg(&kept.node)
        .arg(&copy)
        .status()?;
    assert!(copied.success(), "the node's files cannot be copied");
    let node = Node::start(&copy, &[])?;
    assert_eq!(node.height(), chain.height, "the node has another chain");

    say("reading and double-hashing the block files");
    pass::run(&node.blocks())?;
    let pass = pass::run(&node.blocks())?;
    let longest = (0..chain.scripts() as u32).max_by_key(|script| chain.uses(*script));
    let longest = longest.unwrap();
    let mut shown = Vec::new();
    let mut kill_after = Duration::from_secs(1);
    for software in options.servers.iter().copied() {
        match measure(
            software, options, &node, &chain, longest, &folder, kill_after,
        ) {
            Ok(measured) => {
                if software == Software::Ours {
                    kill_after = measured.build.mul_f64(0.4);
                }
                shown.push((software, measured));
            }
            Err(error) => println!("(!) {}: {error}", software.name()),
        }
    }
    // Only now: the chain grows.
    for (number, (software, shown)) in shown
        .iter_mut()
        .filter(|(software, _)| is_served(*software))
        .enumerate()
    {
        let blocks = &next[number * ANNOUNCED..(number + 1) * ANNOUNCED];
        say(&format!("{}: announcing blocks", software.name()));
        let mut server = Server::start(*software, &node, &folder)?;
        server.wait(node.height())?;
        shown.notified = Some(notify::run(
            &server.address,
            options.clients,
            &node,
            &chain,
            blocks,
        ));
        shown.notified_mib = server.peak_mib();
        server.stop();
        // A server that has fallen over, or a client that has failed, leaves blocks behind.
        for block in blocks {
            let block = bitcoin::consensus::encode::serialize_hex(block);
            node.rpc("submitblock", &[block.into()]);
        }
    }
    node.stop()?;
    let report = Report {
        transactions: chain.transactions(),
        bytes: fs::metadata(&kept.chain)?.len(),
        longest: chain.uses(longest),
        clients: options.clients,
        pass,
        shown,
    };
    report.print();
    if !options.keep {
        fs::remove_dir_all(&folder)?;
    }
    Ok(())
}

fn say(what: &str) {
    eprintln!("{what}");
}

/// The others only build.
fn is_served(software: Software) -> bool {
    !matches!(software, Software::OursRest | Software::OursKilled)
}

/// Makes the chain and a node that has it, or finds those of an earlier run.
fn prepare(options: &Options) -> io::Result<Kept> {
    let shape = options.shape;
    let name = format!(
        "chain-{}-{}x{}",
        chain::EDITION,
        shape.blocks,
        shape.payments
    );
    let folder = options.folder.join(name);
    let kept = Kept {
        chain: folder.join("chain.dat"),
        next: folder.join("next.dat"),
        node: folder.join("node"),
    };
    let complete = folder.join("complete");
    if complete.exists() {
        return Ok(kept);
    }
    let _ = fs::remove_dir_all(&folder);
    fs::create_dir_all(&folder)?;
    let start = Instant::now();
    say("making the chain");
    let create =
        |path: &Path| File::create(path).map(|file| BufWriter::with_capacity(1 << 20, file));
    let tip = chain::write(shape, create(&kept.chain)?, create(&kept.next)?)?;
    say(&format!(
        "made {} blocks up to {} in {:.0} s; the node imports them",
        tip.height,
        tip.hash,
        start.elapsed().as_secs_f64()
    ));
    node::import(&kept.node, &kept.chain, tip.height)?;
    say(&format!(
        "imported after {:.0} s",
        start.elapsed().as_secs_f64()
    ));
    File::create(complete)?;
    Ok(kept)
}

/// Builds the index of one server, and loads it.
fn measure(
    software: Software,
    options: &Options,
    node: &Node,
    chain: &Chain,
    longest: u32,
    run: &Path,
    kill_after: Duration,
) -> io::Result<Shown> {
    let mut shown = Shown::default();
    let folder = software.folder(run);
    say(&format!("{}: building the index", software.name()));
    let mut killed = Duration::ZERO;
    if software == Software::OursKilled {
        for _ in 0..2 {
            let start = Instant::now();
            Server::start(software, node, run)?.kill_after(kill_after);
            killed += start.elapsed();
        }
    }
    let mut server = Server::start(software, node, run)?;
    shown.build = killed + server.wait(chain.height)?;
    shown.idle = killed + server.rest(Duration::from_secs(600));
    shown.build_mib = server.peak_mib();
    server.stop();
    shown.disk = disk::size(&folder)?;
    shown.tables = disk::split(&folder)?;

    let start = || {
        let mut server = Server::start(software, node, run)?;
        server.wait(chain.height)?;
        Ok(server)
    };
    let mut server = start()?;
    if is_served(software) {
        let kinds = ask::kinds(chain);
        for kind in &kinds {
            settle(&mut server, &mut shown, start)?;
            let duration = options.duration;
            let (connections, in_flight) = (load::CONNECTIONS, load::IN_FLIGHT);
            let load = load::run(
                &server.address,
                &kind.requests,
                connections,
                in_flight,
                duration,
            );
            say(&format!(
                "{}: {}: {:.0}/s, {} bytes an answer, {} errors",
                software.name(),
                kind.name,
                load.per_second(),
                load.bytes / load.requests.max(1),
                load.errors
            ));
            shown.loads.push((kind.name, kind.aim, load));
        }
        shown.serve_mib = shown.serve_mib.max(server.peak_mib());
        say(&format!("{}: the longest history", software.name()));
        settle(&mut server, &mut shown, start)?;
        let small = &kinds[1].requests;
        let heavy = heavy::run(
            &server.address,
            &chain.wire(longest),
            small,
            options.duration * 2,
        );
        shown.heavy = Some(heavy.map_err(|error| error.to_string()));
        shown.heavy_mib = server.peak_mib();
    }
    // electrs takes half an hour for what ElectrumX is asked.
    if software != Software::Electrs {
        say(&format!("{}: comparing", software.name()));
        settle(&mut server, &mut shown, start)?;
        let compared = compare::run(&server.address, chain);
        shown.compared = Some(compared.map_err(|error| error.to_string()));
    }
    server.stop();
    Ok(shown)
}

/// How long a server may take for what is left of an earlier load.
const LEFT_OVER: Duration = Duration::from_secs(20);

/// Waits until the server has done what is left of an earlier load, or starts it again when that takes too long.
fn settle(
    server: &mut Server,
    shown: &mut Shown,
    start: impl Fn() -> io::Result<Server>,
) -> io::Result<()> {
    let pinged = client::Client::connect(&server.address, LEFT_OVER)
        .and_then(|mut client| client.ask("server.ping", ""));
    if let Err(error) = pinged {
        eprintln!("the server is started again, as it does not answer a ping: {error}");
        shown.serve_mib = shown.serve_mib.max(server.peak_mib());
        server.kill();
        *server = start()?;
    }
    server.rest(LEFT_OVER);
    Ok(())
}
