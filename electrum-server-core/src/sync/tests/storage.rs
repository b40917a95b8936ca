//! A store that cannot be written for a while.

use std::sync::Mutex;
use std::sync::mpsc::RecvTimeoutError;
use std::time::Instant;

use super::*;
use crate::store::{Batch, CommitError, Snapshot};

/// A store one of whose commits fails, and everything after it, until it has recovered.
#[derive(Debug, Default)]
struct Failing {
    rows: MemoryStore,
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    commits: usize,
    /// Which commit fails.
    at: usize,
    /// Whether the batch is there nevertheless.
    is_there: bool,
    has_failed: bool,
    /// Why it cannot recover yet, one reason for each time that it is tried.
    reasons: Vec<CommitError>,
}

fn no_space(free: u64) -> CommitError {
    CommitError::NoSpace {
        path: "/somewhere".into(),
        free,
        needed: 1 << 30,
    }
}

impl Store for Failing {
    fn commit(&self, batch: Batch, durability: Durability) -> Result<(), CommitError> {
        let mut state = self.state.lock().unwrap();
        state.commits += 1;
        if state.has_failed {
            return Err(CommitError::failed("an earlier write has failed"));
        }
        if state.commits == state.at {
            state.has_failed = true;
            if state.is_there {
                self.rows.commit(batch, durability)?;
            }
            return Err(CommitError::failed("no space left"));
        }
        self.rows.commit(batch, durability)
    }

    fn persist(&self) -> Result<(), CommitError> {
        match self.state.lock().unwrap().has_failed {
            true => Err(CommitError::failed("an earlier write has failed")),
            false => Ok(()),
        }
    }

    fn recover(&self) -> Result<(), CommitError> {
        let mut state = self.state.lock().unwrap();
        if let Some(reason) = state.reasons.pop() {
            return Err(reason);
        }
        state.has_failed = false;
        Ok(())
    }

    fn snapshot(&self) -> Arc<dyn Snapshot> {
        self.rows.snapshot()
    }
}

/// Follows a chain that grows and is reorganized while a commit fails; returns how many commits there were, and what was
/// told of the store.
fn follow(at: usize, is_there: bool, reasons: Vec<CommitError>) -> (usize, Vec<String>) {
    let node = Arc::new(ScriptedNode::new());
    node.mine(12);
    let store = Arc::new(Failing::default());
    // A new index that cannot be made is an error at the start.
    drop(open(&(store.clone() as Arc<dyn Store>)));
    *store.state.lock().unwrap() = State {
        at,
        is_there,
        reasons,
        ..State::default()
    };
    let running = Running::start_over(&node, store.clone(), patient());
    let mut told = Vec::new();
    let mut published: Option<Arc<Published>> = None;
    let mut step = 0;
    let started = Instant::now();
    loop {
        running.handle.look();
        // What was known is answered meanwhile.
        let height = published.as_ref().map(|all| all.view().height());
        if height == node.tip().ok().map(|tip| tip.height) && told.len() != 1 {
            match step {
                1 => node.mine(2),
                2 => {
                    node.state().rewind(3);
                    node.mine(5);
                }
                _ => break,
            }
            step += 1;
        }
        assert!(started.elapsed() < PATIENCE, "it goes on");
        let event = match running.told.recv_timeout(Duration::from_millis(50)) {
            Ok(event) => event,
            Err(RecvTimeoutError::Timeout) => continue,
            Err(RecvTimeoutError::Disconnected) => panic!("the writer has ended"),
        };
        match event {
            Told::Ready(first) => {
                published = Some(first);
                step = 1;
            }
            Told::StoreFailed(error) => told.push(error),
            Told::StoreBack => told.push("back".to_owned()),
            Told::Progress { .. } | Told::Update(_) => {}
            other @ (Told::Away(_) | Told::Back) => panic!("{other:?}"),
        }
    }
    running.check(&published.unwrap());
    running.stop();
    let commits = store.state.lock().unwrap().commits;
    (commits, told)
}

#[test]
fn whichever_commit_fails_is_made_up_for() {
    let (count, told) = follow(0, false, Vec::new());
    assert!(count >= 5, "{count}");
    assert_eq!(told, [""; 0]);
    for at in 1..=count {
        for is_there in [false, true] {
            let (_, told) = follow(at, is_there, Vec::new());
            let expected = ["cannot write to the database: no space left", "back"];
            assert_eq!(told, expected, "commit {at}, there: {is_there}");
        }
    }
}

#[test]
fn each_reason_is_told_once() {
    let reasons = vec![
        CommitError::failed("no disk"),
        no_space(2),
        no_space(1),
        CommitError::failed("no disk"),
        no_space(0),
    ];
    let (_, told) = follow(2, false, reasons);
    let expected = [
        "cannot write to the database: no space left",
        "too little space on the disk of /somewhere: 0 MiB are free, 1024 MiB are needed",
        "cannot write to the database: no disk",
        "back",
    ];
    assert_eq!(told, expected);
}
