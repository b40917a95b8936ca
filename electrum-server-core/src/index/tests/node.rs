//! A node that mines what was unconfirmed, and takes it back: index and fetched mempool together against the plain
//! blocks and transactions.

use std::collections::BTreeMap;
use std::sync::Arc;

use bitcoin::hashes::Hash;
use bitcoin::{OutPoint, ScriptBuf, Transaction, TxOut};
use proptest::prelude::*;
use proptest::sample::Index as Pick;

use super::KEY;
use super::chain::Chain;
use super::check::check;
use super::undo::open;
use crate::chain::ChainSource;
use crate::chain::scripted::{ScriptedNode, script, transaction};
use crate::index::{BlockRows, Index};
use crate::mempool::{Fetched, Mempool, fetch};
use crate::store::{Durability, MemoryStore};
use crate::view::View;

/// One thing that happens to the node.
#[derive(Clone, Debug)]
enum Event {
    Spend {
        coins: Vec<Pick>,
        to: Vec<u8>,
        fee: u64,
    },
    Mine {
        modulus: u8,
    },
    Rewind {
        blocks: u32,
    },
    Evict(Pick),
}

fn event() -> impl Strategy<Value = Event> {
    let coins = prop::collection::vec(any::<Pick>(), 1..4);
    prop_oneof![
        8 => (coins, prop::collection::vec(0u8..6, 1..4), 0u64..5000)
            .prop_map(|(coins, to, fee)| Event::Spend { coins, to, fee }),
        4 => (1u8..4).prop_map(|modulus| Event::Mine { modulus }),
        1 => (1u32..4).prop_map(|blocks| Event::Rewind { blocks }),
        1 => any::<Pick>().prop_map(Event::Evict),
    ]
}

fn happen(node: &ScriptedNode, event: &Event) {
    let (spendable, txids) = (node.spendable(), node.mempool());
    let mut state = node.state();
    match event {
        Event::Spend { coins, to, fee } if !spendable.is_empty() => {
            let coins: BTreeMap<OutPoint, TxOut> = coins
                .iter()
                .map(|coin| coin.get(&spendable).clone())
                .collect();
            let worth: u64 = coins.values().map(|output| output.value.to_sat()).sum();
            let share = worth.saturating_sub(*fee) / to.len() as u64;
            let inputs: Vec<OutPoint> = coins.into_keys().collect();
            let outputs: Vec<(u8, u64)> = to.iter().map(|number| (*number, share)).collect();
            state.add(&transaction(&inputs, &outputs));
        }
        Event::Mine { modulus } => {
            state.mine_from_mempool(|txid| txid.to_byte_array()[0] % modulus == 0);
        }
        Event::Rewind { blocks } => {
            let height = state.height().saturating_sub(*blocks);
            state.rewind(height);
            state.mine(&[]);
        }
        Event::Evict(pick) if !txids.is_empty() => state.evict(pick.get(&txids)),
        Event::Spend { .. } | Event::Evict(_) => {}
    }
}

/// Brings the index to the node's chain.
fn follow(node: &ScriptedNode, index: &mut Index) {
    let headers = node.headers(0, u32::MAX).unwrap();
    let common = |index: &Index| {
        let tip = index.headers().tip();
        tip.is_none_or(|tip| {
            let same = headers.get(tip.height as usize);
            same.is_some_and(|header| header.block_hash() == tip.hash)
        })
    };
    while !common(index) {
        index.undo_tip(None).unwrap();
    }
    let new: Vec<BlockRows> = headers[index.headers().len() as usize..]
        .iter()
        .map(|header| BlockRows::derive(&KEY, &node.block(&header.block_hash()).unwrap()).unwrap())
        .collect();
    index
        .apply(&new, node.tip().unwrap().height, Durability::Process)
        .unwrap();
}

/// The node's blocks, and its mempool with what that spends.
fn plain(node: &ScriptedNode) -> (Chain, Vec<(Transaction, Vec<TxOut>)>) {
    let headers = node.headers(0, u32::MAX).unwrap();
    let mut chain = Chain::new();
    chain.blocks = headers
        .iter()
        .map(|header| node.block(&header.block_hash()).unwrap())
        .collect();
    let txids = node.mempool();
    let txs = node.mempool_transactions(&txids).unwrap();
    let txs: Vec<Transaction> = txs.into_iter().map(Option::unwrap).collect();
    let coins = chain.oracle().coins;
    let output = |outpoint: &OutPoint| match coins.get(outpoint) {
        Some(coin) => coin.output.clone(),
        None => {
            let parent = txids
                .iter()
                .position(|txid| *txid == outpoint.txid)
                .unwrap();
            txs[parent].output[outpoint.vout as usize].clone()
        }
    };
    let spent: Vec<Vec<TxOut>> = txs
        .iter()
        .map(|tx| {
            tx.input
                .iter()
                .map(|input| output(&input.previous_output))
                .collect()
        })
        .collect();
    (chain, txs.into_iter().zip(spent).collect())
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]

    #[test]
    fn a_view_of_index_and_mempool_is_that_of_the_node(
        events in prop::collection::vec((event(), any::<bool>()), 1..40),
    ) {
        let node = ScriptedNode::new();
        node.mine(5);
        let mut index = open(Arc::new(MemoryStore::new()));
        let mut mempool = Mempool::new();
        let scripts: Vec<ScriptBuf> = (0..7).map(script).collect();
        let mut before: Option<View> = None;
        for (event, look) in events {
            happen(&node, &event);
            if !look {
                continue;
            }
            follow(&node, &mut index);
            let tip = node.tip().unwrap().hash;
            match fetch(&node, &mempool, tip, &|| false).unwrap() {
                Fetched::Delta(delta) => drop(mempool.apply(delta)),
                other => panic!("{other:?}"),
            }
            let (chain, unconfirmed) = plain(&node);
            let view = match before.take() {
                // The chain is the same: only the mempool is another.
                Some(view) if view.tip().header.block_hash() == tip => {
                    view.with_mempool(mempool.clone(), view.sequence() + 1)
                }
                _ => View::new(&index, mempool.clone(), 1).unwrap(),
            };
            check(&view, &chain, &unconfirmed, &scripts);
            before = Some(view);
        }
    }
}
