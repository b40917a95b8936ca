//! A system that refuses threads: the server says so and ends, or serves with fewer. It does not panic.

use serde_json::json;

use crate::bulk::long_chain;
use crate::eventually;
use crate::node::RegtestNode;
use crate::server::Server;

/// Each thread needs address space for its stack, and the allocator takes much for each as well.
#[test]
fn few_threads_are_an_error_at_the_start_or_a_slower_server() {
    let node = RegtestNode::start();
    // Worth the threads of a bulk build.
    long_chain(&node);
    let mut served = 0;
    for mib in [25, 30, 35, 40, 45, 50, 60, 80, 120, 200, 300, 4000] {
        let mut server = Server::prepare(&node, &[]);
        server.limit_address_space(mib << 10);
        server.resume();
        let answers = eventually("it answers or ends", || {
            if !server.is_running() {
                return Ok(false);
            }
            let wire = server.connect_silently();
            wire.and_then(|mut wire| wire.try_call("server.ping", json!([])))
                .map(|_| true)
        });
        if answers {
            served += 1;
            let mut clients: Vec<_> = (0..50).map(|_| server.connect()).collect();
            for wire in &mut clients {
                // One that asks the node and one that reads the store.
                wire.call("blockchain.estimatefee", json!([2]));
                let script = format!("{:064x}", mib);
                wire.call("blockchain.scripthash.get_history", json!([script]));
            }
            assert!(server.is_running(), "{mib} MiB:\n{}", server.log());
            server.stop();
        }
        let log = server.log();
        println!(
            "{mib} MiB: served {answers}; {}",
            log.lines().last().unwrap_or_default()
        );
        assert!(!log.contains("panicked"), "{mib} MiB:\n{log}");
        assert!(!log.contains("failed to spawn thread"), "{mib} MiB:\n{log}");
    }
    assert!(served > 0);
}
