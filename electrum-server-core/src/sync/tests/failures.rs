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
            if matches!(told.last(), Some(Told::Away(_))) {
                told.extend(running.settled());
            }
            assert!(
                matches!(told.as_slice(), [] | [Told::Away(_), Told::Back]),
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
        assert!(matches!(running.next(), Told::Away(_)));
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
    assert!(matches!(running.next(), Told::Away(_)));
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

/// What is said first need not be what is wrong in the end.
#[test]
fn each_reason_of_an_outage_is_told_and_known() {
    let node = furnished();
    let running = Running::start(&node);
    running.ready();
    assert_eq!(running.handle.node_status(), Default::default());
    let mut since = None;
    for (number, reason) in ["refused", "starting", "another network"]
        .into_iter()
        .enumerate()
    {
        // New reasons are told no more than once a second.
        if number > 0 {
            std::thread::sleep(Duration::from_millis(1100));
        }
        node.state().away = Some(SourceError::transient(reason));
        running.handle.look();
        match running.next() {
            Told::Away(told) => assert_eq!(told, reason),
            other => panic!("{other:?}"),
        }
        assert!(running.settled().is_empty(), "it is told once");
        let status = running.handle.node_status();
        let outage = status.outage.unwrap();
        assert_eq!(
            (outage.error.to_string().as_str(), status.outages),
            (reason, 1)
        );
        assert_eq!(*since.get_or_insert(outage.since), outage.since);
    }
    node.state().away = None;
    running.handle.look();
    assert!(matches!(running.next(), Told::Back));
    assert_eq!(running.handle.node_status().outage, None);
    running.stop();
}

/// A writer with the limits that real networks have.
fn start_strict(node: &Arc<ScriptedNode>, store: Arc<MemoryStore>) -> Running {
    let options = SyncOptions {
        max_step_back: SyncOptions::default().max_step_back,
        ..patient()
    };
    Running::start_on(node, store, options)
}

/// What a node was told to do that has another chain than ours.
#[derive(Clone, Copy, Debug)]
struct Other {
    /// So many of our blocks it does not have.
    lacks: u32,
    /// So many others it has instead.
    has: usize,
    is_followed: bool,
}

#[test]
fn blocks_are_undone_for_work_and_a_few_at_most_without() {
    let other = |lacks, has, is_followed| Other {
        lacks,
        has,
        is_followed,
    };
    for case in [
        // An operator invalidates a block.
        other(6, 0, true),
        other(6, 5, true),
        // The node is behind, or another one.
        other(7, 0, false),
        other(7, 6, false),
        other(119, 0, false),
        other(119, 118, false),
        // As much work, or more.
        other(7, 7, true),
        other(119, 119, true),
        other(119, 130, true),
    ] {
        for restarts in [false, true] {
            let node = Arc::new(ScriptedNode::new());
            node.mine(120);
            let store = Arc::<MemoryStore>::default();
            let running = start_strict(&node, store.clone());
            let published = running.ready();
            let blocks = node.headers(121 - case.lacks, 120).unwrap();
            let before = content(&store);
            let change = || {
                let mut state = node.state();
                state.rewind(120 - case.lacks);
                for _ in 0..case.has {
                    state.mine(&[]);
                }
            };
            let running = match restarts {
                true => {
                    running.stop();
                    change();
                    start_strict(&node, store.clone())
                }
                false => {
                    change();
                    running
                }
            };
            if case.is_followed {
                let published = match restarts {
                    true => running.ready(),
                    false => published,
                };
                running.settled();
                running.check(&published);
                running.stop();
                continue;
            }
            match running.next() {
                Told::Away(told) => assert!(!told.contains("delete"), "{told}"),
                other => panic!("{case:?}: {other:?}"),
            }
            assert!(content(&store) == before, "{case:?}: nothing is undone");
            // The right node again.
            {
                let mut state = node.state();
                state.rewind(120 - case.lacks);
                state.reconnect(&blocks);
            }
            running.handle.look();
            let mut told = vec![running.next()];
            if restarts {
                told.push(running.next());
            }
            assert!(
                told.iter().any(|told| matches!(told, Told::Back)),
                "{case:?}: {told:?}"
            );
            assert!(content(&store) == before, "{case:?}: nothing has changed");
            running.stop();
        }
    }
}

/// A node of another chain with more work, which never had our blocks: what cannot be followed to the end is not begun.
#[test]
fn nothing_is_undone_when_not_all_can_be() {
    use crate::index::UNDO_DEPTH;
    let node = Arc::new(ScriptedNode::new());
    let depth = UNDO_DEPTH as usize + 50;
    node.mine(depth);
    let store = Arc::<MemoryStore>::default();
    let running = start_strict(&node, store.clone());
    let published = running.ready();
    let before = content(&store);
    let ours = node.headers(1, u32::MAX).unwrap();
    {
        let mut state = node.state();
        for header in &ours {
            state.forget(&header.block_hash());
        }
        state.rewind(0);
        for _ in 0..depth + 10 {
            state.mine(&[]);
        }
    }
    running.handle.look();
    match running.next() {
        Told::Away(told) => assert!(
            told.contains("check that it is the node") && !told.contains("delete"),
            "{told}"
        ),
        other => panic!("{other:?}"),
    }
    assert!(content(&store) == before, "nothing is undone");
    assert_eq!(
        published.view().height() as usize,
        depth,
        "what was known is served"
    );
    running.stop();
}
