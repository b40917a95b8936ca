//! Servers side by side: builds each one's index of one chain, loads each with the same requests, prints one table.
//!
//! Run by `contrib/bench-servers.sh`, which says what it needs.

#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::print_stdout,
    clippy::print_stderr
)]

mod ask;
mod chain;
mod load;

use std::fs::File;
use std::io::BufWriter;
use std::time::Instant;

fn main() {
    let arguments: Vec<String> = std::env::args()
        .skip(1)
        .filter(|argument| argument != "--bench")
        .collect();
    match arguments.as_slice() {
        [command, path, blocks] if command == "chain" => {
            let shape = chain::Shape {
                blocks: blocks.parse().unwrap(),
                payments: 1800,
            };
            let start = Instant::now();
            let file = BufWriter::with_capacity(1 << 20, File::create(path).unwrap());
            let facts = chain::write(shape, file).unwrap();
            println!(
                "{} blocks, {} transactions, {} inputs, {} outputs, {} scripts in {:.1} s",
                facts.height,
                facts.transactions,
                facts.inputs,
                facts.outputs,
                facts.uses.iter().filter(|uses| **uses > 0).count(),
                start.elapsed().as_secs_f64()
            );
            let at_least = |count| facts.uses.iter().filter(|uses| **uses >= count).count();
            println!(
                "scripts with at least 100 transactions: {}, 10,000: {}, 100,000: {}",
                at_least(100),
                at_least(10_000),
                at_least(100_000)
            );
        }
        [command, address, blocks, rest @ ..] if command == "load" => {
            let shape = chain::Shape {
                blocks: blocks.parse().unwrap(),
                payments: 1800,
            };
            let facts = chain::write(shape, std::io::sink()).unwrap();
            for kind in ask::kinds(&facts) {
                if !rest.is_empty() && !rest.iter().any(|name| kind.name.contains(name.as_str())) {
                    continue;
                }
                if kind.requests.is_empty() {
                    continue;
                }
                let load = load::run(address, &kind.requests, std::time::Duration::from_secs(3));
                println!(
                    "{:24} {:6} keys {:10.0}/s  p50 {:7.2} ms  p99 {:7.2} ms  {:6.1} MB/s  {} errors",
                    kind.name,
                    kind.requests.len(),
                    load.per_second(),
                    load.per_mille(500),
                    load.per_mille(990),
                    load.bytes as f64 / 1e6 / load.elapsed.as_secs_f64(),
                    load.errors
                );
            }
        }
        _ => eprintln!("usage: servers chain FILE BLOCKS"),
    }
}
