use std::collections::{BTreeMap, BTreeSet};

use bitcoin::{Amount, TxOut};
use proptest::prelude::*;

use super::*;
use crate::chain::ChainSource;
use crate::chain::scripted::{ScriptedNode, State, script, transaction};

fn hash_of(number: u8) -> ScriptHash {
    ScriptHash::from_script(&script(number))
}

/// Brings a mempool to the node's state; returns what it touched.
fn refresh(node: &ScriptedNode, mempool: &mut Mempool) -> HashSet<ScriptHash> {
    let tip = node.tip().unwrap().hash;
    match fetch(node, mempool, tip, &|| false).unwrap() {
        Fetched::Delta(delta) => mempool.apply(delta),
        other => panic!("{other:?}"),
    }
}

/// A node with mature coins, nine of them.
fn node() -> ScriptedNode {
    let node = ScriptedNode::new();
    node.mine(9);
    node
}

/// Spends the `n`th spendable output.
fn spend(node: &ScriptedNode, n: usize, to: &[u8], fee: u64) -> bitcoin::Transaction {
    let (outpoint, output) = node.spendable()[n].clone();
    let share = (output.value.to_sat() - fee) / to.len() as u64;
    transaction(
        &[outpoint],
        &to.iter().map(|number| (*number, share)).collect::<Vec<_>>(),
    )
}

#[test]
fn entries_know_scripts_fees_and_parents() {
    let node = node();
    let mut mempool = Mempool::new();
    let parent = spend(&node, 0, &[1, 2], 1000);
    node.state().add(&parent);
    let coin = OutPoint::new(parent.compute_txid(), 1);
    let child = transaction(&[coin], &[(3, 100), (3, 200)]);
    node.state().add(&child);

    let touched = refresh(&node, &mut mempool);
    assert_eq!(touched, HashSet::from([0, 1, 2, 3].map(hash_of)));
    assert_eq!(mempool.len(), 2);
    let parent = mempool.get(&parent.compute_txid()).unwrap();
    assert_eq!(parent.fee, Amount::from_sat(1000));
    assert!(!parent.unconfirmed_parents);
    let child = mempool.get(&child.compute_txid()).unwrap();
    assert!(child.unconfirmed_parents);
    assert_eq!(mempool.spender(&coin), Some(child.txid));
    let of = |number| {
        mempool
            .entries_of(&hash_of(number))
            .map(|entry| entry.txid)
            .collect::<Vec<_>>()
    };
    assert_eq!(of(1), [parent.txid]);
    assert_eq!(of(2).len(), 2);
    assert_eq!(of(3), [child.txid], "once, though it pays there twice");
    assert_eq!(of(4), []);
}

#[test]
fn a_parent_mined_or_returned_touches_its_child() {
    let node = node();
    let mut mempool = Mempool::new();
    let parent = spend(&node, 0, &[1], 1000);
    node.state().add(&parent);
    let child = transaction(&[OutPoint::new(parent.compute_txid(), 0)], &[(2, 100)]);
    node.state().add(&child);
    refresh(&node, &mut mempool);
    let flag = |mempool: &Mempool| {
        mempool
            .get(&child.compute_txid())
            .unwrap()
            .unconfirmed_parents
    };
    assert!(flag(&mempool));

    node.state().mine(&[parent]);
    let touched = refresh(&node, &mut mempool);
    assert!(!flag(&mempool));
    assert!(
        touched.contains(&hash_of(2)),
        "the child's other script changes as well"
    );

    node.state().rewind(9);
    let touched = refresh(&node, &mut mempool);
    assert!(flag(&mempool));
    assert!(touched.contains(&hash_of(2)));
}

#[test]
fn replaced_and_evicted_transactions_leave_no_trace() {
    let node = node();
    let mut mempool = Mempool::new();
    let first = spend(&node, 0, &[1], 1000);
    let second = spend(&node, 0, &[2], 2000);
    node.state().add(&first);
    refresh(&node, &mut mempool);
    node.state().add(&second);
    let touched = refresh(&node, &mut mempool);
    assert_eq!(touched, HashSet::from([0, 1, 2].map(hash_of)));
    assert_eq!(mempool.entries_of(&hash_of(1)).count(), 0);
    assert_eq!(
        mempool.spender(&first.input[0].previous_output),
        Some(second.compute_txid())
    );
    node.state().evict(&second.compute_txid());
    refresh(&node, &mut mempool);
    assert_eq!(mempool, Mempool::new());
    assert_eq!(mempool.fee_histogram(), []);
}

#[test]
fn what_leaves_while_we_look_is_left_out_with_its_children() {
    let node = node();
    let mut mempool = Mempool::new();
    let parent = spend(&node, 0, &[1], 1000);
    let bystander = spend(&node, 1, &[5], 1000);
    node.state().add(&parent);
    node.state().add(&bystander);
    let child = transaction(&[OutPoint::new(parent.compute_txid(), 0)], &[(2, 100)]);
    node.state().add(&child);
    let txid = parent.compute_txid();
    node.after_listing(move |state| {
        state.evict(&txid);
    });
    refresh(&node, &mut mempool);
    assert_eq!(mempool.len(), 1);
    // It comes back: nothing stands in its way.
    node.state().add(&parent);
    node.state().add(&child);
    refresh(&node, &mut mempool);
    assert_eq!(mempool.len(), 3);
}

#[test]
fn another_tip_is_noticed_before_and_after() {
    let node = node();
    let tip = node.tip().unwrap().hash;
    node.after_listing(|state| {
        state.mine(&[]);
    });
    let mempool = Mempool::new();
    assert_eq!(fetch(&node, &mempool, tip, &|| false), Ok(Fetched::Moved));
    assert_eq!(fetch(&node, &mempool, tip, &|| false), Ok(Fetched::Moved));
}

#[test]
fn a_look_can_be_interrupted() {
    let node = node();
    let tx = spend(&node, 0, &[1], 1000);
    node.state().add(&tx);
    let tip = node.tip().unwrap().hash;
    assert_eq!(
        fetch(&node, &Mempool::new(), tip, &|| true),
        Ok(Fetched::Interrupted)
    );
}

#[test]
fn amounts_that_make_no_sense_are_refused() {
    let tx = transaction(&[OutPoint::null()], &[(1, 10)]);
    let output = |sat| TxOut {
        value: Amount::from_sat(sat),
        script_pubkey: script(0),
    };
    assert!(matches!(
        Entry::new(tx.clone(), &[]),
        Err(EntryError::WrongSpent { .. })
    ));
    assert!(matches!(
        Entry::new(tx.clone(), &[output(9)]),
        Err(EntryError::WrongAmounts { .. })
    ));
    assert_eq!(Entry::new(tx, &[output(10)]).unwrap().fee, Amount::ZERO);
}

#[test]
fn the_histogram_counts_everything_once() {
    let node = node();
    let mut mempool = Mempool::new();
    for (n, fee) in [(0, 1000), (0, 1000), (0, 50_000), (0, 7)] {
        let tx = spend(&node, n, &[1, 2, 3], fee);
        node.state().add(&tx);
    }
    refresh(&node, &mut mempool);
    let total: u64 = mempool.entries().map(|entry| entry.vsize).sum();
    assert_eq!(
        mempool
            .fee_histogram()
            .iter()
            .map(|bin| bin.vsize)
            .sum::<u64>(),
        total
    );
}

/// What a client sees of each script: txids and flags.
fn histories(mempool: &Mempool) -> BTreeMap<ScriptHash, BTreeSet<(Txid, bool)>> {
    let mut histories = BTreeMap::<_, BTreeSet<_>>::new();
    for entry in mempool.entries() {
        for script_hash in entry.script_hashes() {
            histories
                .entry(script_hash)
                .or_default()
                .insert((entry.txid, entry.unconfirmed_parents));
        }
    }
    histories
}

/// One thing that happens to a node.
#[derive(Clone, Debug)]
enum Event {
    Spend {
        coins: Vec<prop::sample::Index>,
        to: Vec<u8>,
        fee: u64,
    },
    Replace(prop::sample::Index),
    Evict(prop::sample::Index),
    Mine {
        modulus: u8,
    },
    MineConflict(prop::sample::Index),
    Rewind {
        blocks: u32,
        then_mine: usize,
    },
    Refresh,
}

fn event() -> impl Strategy<Value = Event> {
    let index = any::<prop::sample::Index>;
    prop_oneof![
        8 => (prop::collection::vec(index(), 1..4), prop::collection::vec(1u8..6, 1..4), 0u64..5000)
            .prop_map(|(coins, to, fee)| Event::Spend { coins, to, fee }),
        2 => index().prop_map(Event::Replace),
        1 => index().prop_map(Event::Evict),
        2 => (1u8..4).prop_map(|modulus| Event::Mine { modulus }),
        1 => index().prop_map(Event::MineConflict),
        2 => (1u32..4, 0usize..5).prop_map(|(blocks, then_mine)| Event::Rewind { blocks, then_mine }),
        4 => Just(Event::Refresh),
    ]
}

fn happen(state: &mut State, spendable: &[(OutPoint, TxOut)], mempool: &[Txid], event: &Event) {
    let pick = |index: &prop::sample::Index| (!mempool.is_empty()).then(|| *index.get(mempool));
    match event {
        Event::Spend { coins, to, fee } if !spendable.is_empty() => {
            let coins: BTreeSet<usize> = coins
                .iter()
                .map(|coin| coin.index(spendable.len()))
                .collect();
            let inputs: Vec<OutPoint> = coins.iter().map(|coin| spendable[*coin].0).collect();
            let value: u64 = coins
                .iter()
                .map(|coin| spendable[*coin].1.value.to_sat())
                .sum();
            let share = value.saturating_sub(*fee) / to.len() as u64;
            let outputs: Vec<(u8, u64)> = to.iter().map(|number| (*number, share)).collect();
            state.add(&transaction(&inputs, &outputs));
        }
        Event::Replace(index) | Event::MineConflict(index) => {
            let Some(txid) = pick(index) else { return };
            let Some(mut other) = state.get(&txid) else {
                return;
            };
            other.lock_time = bitcoin::absolute::LockTime::from_height(1 + state.count()).unwrap();
            if matches!(event, Event::Replace(_)) {
                state.add(&other);
            } else if state.is_ready(&other) {
                state.mine(&[other]);
            }
        }
        Event::Evict(index) => {
            if let Some(txid) = pick(index) {
                state.evict(&txid);
            }
        }
        Event::Mine { modulus } => {
            state.mine_from_mempool(|txid| txid.as_byte_array()[0] % modulus == 0);
        }
        Event::Rewind { blocks, then_mine } => {
            let height = state.height().saturating_sub(*blocks).max(5);
            state.rewind(height);
            for _ in 0..*then_mine {
                state.mine_from_mempool(|txid| txid.as_byte_array()[1] % 2 == 0);
            }
        }
        Event::Spend { .. } | Event::Refresh => {}
    }
}

proptest! {
    /// Whatever happens, and however often we look: the mempool is the one that a first look would give, and whoever
    /// watches a script whose history changed is told.
    #[test]
    fn any_way_leads_to_the_same_mempool(events in prop::collection::vec(event(), 1..60)) {
        let node = node();
        let mut mempool = Mempool::new();
        for event in events {
            let (spendable, txids) = (node.spendable(), node.mempool());
            happen(&mut node.state(), &spendable, &txids, &event);
            if !matches!(event, Event::Refresh) {
                continue;
            }
            let before = histories(&mempool);
            let touched = refresh(&node, &mut mempool);
            let mut scratch = Mempool::new();
            refresh(&node, &mut scratch);
            prop_assert!(mempool == scratch);
            prop_assert_eq!(mempool.len(), node.mempool().len());
            prop_assert_eq!(mempool.fee_histogram(), scratch.fee_histogram());
            for entry in mempool.entries() {
                let parents = entry.tx.input.iter().map(|input| input.previous_output.txid);
                prop_assert_eq!(
                    entry.unconfirmed_parents,
                    parents.into_iter().any(|txid| node.mempool().contains(&txid))
                );
            }
            let after = histories(&mempool);
            for script_hash in before.keys().chain(after.keys()) {
                if before.get(script_hash) != after.get(script_hash) {
                    prop_assert!(touched.contains(script_hash));
                }
            }
        }
    }
}
