//! A store that cannot be written now and then, in front of a chain on which anything happens.

use std::sync::{Arc, Mutex};

use bitcoin::Network;
use bitcoin::constants::genesis_block;
use electrum_server_core::index::Index;
use electrum_server_core::store::{Batch, CommitError, Durability, MemoryStore, Snapshot, Store};
use electrum_server_core::sync::{Sync, SyncOptions};

use crate::world::{OURS, Running, World, bitcoind, compare, wallet};

/// A store of which every third commit fails; what fails is there nevertheless every second time.
#[derive(Debug, Default)]
struct Failing {
    rows: MemoryStore,
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    commits: u32,
    failures: u32,
    has_failed: bool,
}

fn failed() -> CommitError {
    CommitError::Failed {
        message: "no space left".to_owned(),
    }
}

impl Store for Failing {
    fn commit(&self, batch: Batch, durability: Durability) -> Result<(), CommitError> {
        let mut state = self.state.lock().unwrap();
        state.commits += 1;
        if !state.has_failed && !state.commits.is_multiple_of(3) {
            return self.rows.commit(batch, durability);
        }
        if !state.has_failed {
            state.has_failed = true;
            state.failures += 1;
            if state.failures.is_multiple_of(2) {
                self.rows.commit(batch, durability)?;
            }
        }
        Err(failed())
    }

    fn persist(&self) -> Result<(), CommitError> {
        match self.state.lock().unwrap().has_failed {
            true => Err(failed()),
            false => Ok(()),
        }
    }

    fn recover(&self) -> Result<(), CommitError> {
        self.state.lock().unwrap().has_failed = false;
        Ok(())
    }

    fn snapshot(&self) -> Arc<dyn Snapshot> {
        self.rows.snapshot()
    }
}

/// Nothing counts as looked for that is not in the index.
#[test]
fn whatever_cannot_be_written_is_looked_for_again() {
    let mut world = World::begin(&["-rest=1"], 5);
    let full = Running::full(&world.node);
    let store = Arc::new(Failing::default());
    let genesis = genesis_block(Network::Regtest).block_hash();
    let (sync, _handle) = Sync::personal(
        Index::open_personal(store.clone(), genesis).unwrap(),
        Arc::new(bitcoind(&world.node)),
        SyncOptions::default(),
        vec![wallet(OURS, 8)],
        false,
    );
    let personal = Running::start(sync);
    let node = bitcoind(&world.node);
    for number in 0..40 {
        let step = world.step();
        let expected = full.view();
        // A round that failed is made up for by a later one.
        for _ in 0..200 {
            let view = personal.view();
            let has_failed = store.state.lock().unwrap().has_failed;
            if !has_failed && view.tip() == expected.tip() {
                break;
            }
        }
        let view = personal.view();
        compare(
            &format!("{number}: {step}"),
            &expected,
            &view,
            &world.scripts(),
            &node,
        );
    }
    let failures = store.state.lock().unwrap().failures;
    assert!(failures > 10, "{failures}");
    personal.stop();
    full.stop();
}
