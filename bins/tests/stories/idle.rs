//! Many clients that only wait.

use std::io::{BufRead, BufReader, Write};
use std::net::TcpStream;
use std::time::{Duration, Instant};

use crate::node::{RegtestNode, Script};
use crate::server::Server;

/// Open files of this process beside the connections.
const OTHER_FILES: u64 = 200;

/// Takes minutes and twenty thousand files on each side; `cargo test -- --ignored --nocapture idle`.
#[test]
#[ignore = "large"]
fn twenty_thousand_clients_wait_for_a_block() {
    let count: usize = std::env::var("IDLE_CLIENTS").map_or(20_000, |count| count.parse().unwrap());
    let files = rlimit::increase_nofile_limit(u64::MAX).unwrap();
    assert!(
        files >= count as u64 + OTHER_FILES,
        "only {files} open files: ulimit -n"
    );
    let node = RegtestNode::start();
    node.mine(10, &Script::new(0));
    let places = (count + 100).to_string();
    let server = Server::start_with(&node, &["--max-connections", &places]);
    let before = server.memory();
    let mut clients = Vec::with_capacity(count);
    let mut line = String::new();
    for number in 0..count {
        let stream = TcpStream::connect(("127.0.0.1", server.port)).unwrap();
        stream
            .set_read_timeout(Some(Duration::from_secs(60)))
            .unwrap();
        let mut client = BufReader::with_capacity(512, stream);
        let subscribe = format!(
            "{{\"id\":0,\"method\":\"server.version\",\"params\":[\"idle\",\"1.4\"]}}\n\
             {{\"id\":1,\"method\":\"blockchain.headers.subscribe\",\"params\":[]}}\n\
             {{\"id\":2,\"method\":\"blockchain.scripthash.subscribe\",\"params\":[\"{number:064x}\"]}}\n"
        );
        client.get_mut().write_all(subscribe.as_bytes()).unwrap();
        for _ in 0..3 {
            line.clear();
            client.read_line(&mut line).unwrap();
            assert!(line.contains("\"result\""), "{line}");
        }
        clients.push(client);
    }
    let each = (server.memory() - before) / count as u64;
    println!("{count} clients wait, and take {each} bytes each");
    node.mine(1, &Script::new(0));
    let mined = Instant::now();
    for client in &mut clients {
        line.clear();
        client.read_line(&mut line).unwrap();
        assert!(line.contains("blockchain.headers.subscribe"), "{line}");
    }
    println!("all know the block after {:?}", mined.elapsed());
    let each = (server.memory() - before) / count as u64;
    println!("then they take {each} bytes each");
    assert!(each < 12 * 1024, "{each}");
}
