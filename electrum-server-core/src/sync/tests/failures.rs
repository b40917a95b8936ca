//! A node that is away, that lies, or that has lost blocks.

use super::*;
use crate::chain::SourceError;
use crate::chain::scripted::transaction;

fn furnished() -> Arc<ScriptedNode> {
    let node = Arc::new(ScriptedNode::new());
    node.mine(12);
    let (coin, _) = node.spendable().pop().unwrap();
    node.state()
        .mine(&[transaction(&[coin], &[(1, 10), (2, 20)])]);
    let (coin, _) = node.spendable().pop().unwrap();
    node.state().add(&transaction(&[coin], &[(3, 30)]));
    node
}

/// How many questions it takes to catch up with [`furnished`].
fn questions(threads: usize) -> usize {
    let node = furnished();
    let before = node.state().questions;
    let running = Running::start_on(
        &node,
        Arc::default(),
        SyncOptions {
            threads,
            ..patient()
        },
    );
    running.ready();
    let questions = node.state().questions - before;
    running.stop();
    questions
}

#[test]
fn whichever_question_fails_is_asked_again() {
    for threads in [1, 3] {
        let count = questions(threads);
        assert!(count > 15, "{count}");
        for number in 1..=count {
            let node = furnished();
            {
                let mut state = node.state();
                let number = state.questions + number;
                state
                    .failing
                    .insert(number, SourceError::transient("for a moment"));
            }
            let options = SyncOptions {
                threads,
                ..patient()
            };
            let running = Running::start_on(&node, Arc::default(), options);
            let mut told = Vec::new();
            let published = loop {
                match running.next() {
                    Told::Ready(published) => break published,
                    other => {
                        told.push(other);
                        running.handle.look();
                    }
                }
            };
            told.extend(running.settled());
            // The question that fails may be one of this very look: then the next one is well.
            if matches!(told.last(), Some(Told::Away)) {
                told.extend(running.settled());
            }
            assert!(
                matches!(told.as_slice(), [] | [Told::Away, Told::Back]),
                "question {number}: {told:?}"
            );
            running.check(&published);
            running.stop();
        }
    }
}

#[test]
fn a_node_that_is_away_is_waited_for_and_what_is_known_is_served() {
    let node = furnished();
    let running = Running::start(&node);
    let published = running.ready();
    for error in [
        SourceError::transient("starting"),
        // It may be set right while we run.
        SourceError::permanent("another password"),
    ] {
        node.state().away = Some(error);
        assert!(
            running.handle.refresh(PATIENCE),
            "nobody waits for a node that is away"
        );
        assert!(matches!(running.next(), Told::Away));
        // Looking again tells nothing new.
        assert!(running.settled().is_empty());
        assert_eq!(published.view().height(), 13);
        node.state().away = None;
        node.mine(1);
        running.handle.look();
        assert!(matches!(running.next(), Told::Update(_)));
        assert!(matches!(running.next(), Told::Back));
        node.state().rewind(13);
        assert_eq!(running.update(), Touched::Everything);
        running.check(&published);
    }
    running.stop();
}

#[test]
fn what_does_not_pass_ends_it_before_there_is_anything_to_serve() {
    let count = questions(1);
    for number in 1..=count {
        let node = furnished();
        let error = SourceError::permanent("another network");
        {
            let mut state = node.state();
            let number = state.questions + number;
            state.failing.insert(number, error.clone());
        }
        let running = Running::start_on(
            &node,
            Arc::default(),
            SyncOptions {
                threads: 1,
                ..patient()
            },
        );
        // The last ones that were counted may have been asked after it was ready.
        let first = running
            .told
            .iter()
            .find(|told| !matches!(told, Told::Progress { .. }));
        match first {
            Some(Told::Ready(_)) => running.stop(),
            None => {
                let ended = running.thread.join().unwrap();
                assert!(matches!(ended, Err(SyncError::Source(found)) if found == error));
            }
            Some(other) => panic!("{other:?}"),
        }
    }
}

#[test]
fn a_node_without_its_blocks_cannot_be_indexed() {
    let node = furnished();
    let pruned = node.headers(5, 1).unwrap()[0].block_hash();
    node.state().forget(&pruned);
    let running = Running::start(&node);
    let error = running.thread.join().unwrap().unwrap_err().to_string();
    assert!(
        error.contains(&pruned.to_string()) && error.contains("pruned"),
        "{error}"
    );
}

#[test]
fn it_stops_in_every_state() {
    // At once.
    let node = furnished();
    Running::start(&node).stop();
    // While the node is away.
    node.state().away = Some(SourceError::transient("starting"));
    let running = Running::start(&node);
    assert!(matches!(running.next(), Told::Away));
    running.stop();
    // In the middle of catching up, and it goes on from there.
    let node = Arc::new(ScriptedNode::new());
    node.mine(3000);
    let store = Arc::<MemoryStore>::default();
    let running = Running::start_on(&node, store.clone(), patient());
    let handle = running.handle.clone();
    node.after_block(move |_| handle.stop());
    running.stop();
    let running = Running::start_on(&node, store, patient());
    running.check(&running.ready());
    running.stop();
}
