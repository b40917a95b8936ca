//! One view against the plain blocks and the plain mempool that it was made of.

use std::cmp::Reverse;
use std::collections::BTreeSet;

use bitcoin::hashes::Hash;
use bitcoin::{OutPoint, ScriptBuf, Transaction, TxOut, Txid};
use electrum_protocol::Status;

use super::chain::Chain;
use super::oracle::{Oracle, merkle, script_hash, status};
use crate::view::{QueryError, View};

type Unconfirmed = [(Transaction, Vec<TxOut>)];

/// Asks everything.
pub(super) fn check(view: &View, chain: &Chain, unconfirmed: &Unconfirmed, scripts: &[ScriptBuf]) {
    let oracle = chain.oracle();
    check_blocks(view, chain, &oracle);
    check_proofs(view, chain, &oracle);
    for script in scripts {
        check_script(view, &oracle, unconfirmed, script);
    }
    let unknown = ScriptBuf::from_bytes(vec![0x52]);
    assert_eq!(view.status(&script_hash(&unknown), None).unwrap(), None);
    check_script(view, &oracle, unconfirmed, &unknown);
}

fn check_blocks(view: &View, chain: &Chain, oracle: &Oracle) {
    assert_eq!(view.height(), chain.height());
    assert_eq!(view.tip().header, chain.blocks.last().unwrap().block.header);
    for (height, block) in (0..).zip(&chain.blocks) {
        assert_eq!(view.header(height), Some(block.block.header));
        assert_eq!(view.block_hash(height), Some(block.block.block_hash()));
    }
    assert_eq!(view.header(view.height() + 1), None);
    assert_eq!(view.block_hash(view.height() + 1), None);

    for (height, txids) in (0..).zip(&oracle.txids) {
        for (pos, txid) in (0..).zip(txids) {
            assert_eq!(view.txid_at(height, pos).unwrap(), Some(*txid));
            let last = oracle.txids.iter().rposition(|txids| txids.contains(txid));
            let position = view.position(txid).unwrap().unwrap();
            assert_eq!(position.height as usize, last.unwrap());
            assert_eq!(
                position.block_hash,
                view.block_hash(position.height).unwrap()
            );
            let txids = &oracle.txids[position.height as usize];
            assert_eq!(txids[position.pos as usize], *txid);
        }
        let count = u32::try_from(txids.len()).unwrap();
        assert_eq!(view.txid_at(height, count).unwrap(), None);
        assert_eq!(view.txid_at(height, u32::MAX).unwrap(), None);
    }
    assert_eq!(view.txid_at(view.height() + 1, 0).unwrap(), None);
    assert_eq!(
        view.position(&Txid::from_byte_array([7; 32])).unwrap(),
        None
    );
}

fn check_proofs(view: &View, chain: &Chain, oracle: &Oracle) {
    for (height, txids) in (0..).zip(&oracle.txids) {
        let leaves: Vec<[u8; 32]> = txids.iter().map(|txid| txid.to_byte_array()).collect();
        let root = chain.blocks[height as usize].block.header.merkle_root;
        for (pos, txid) in (0..).zip(txids) {
            let (branch, expected) = merkle(leaves.clone(), pos as usize);
            assert_eq!(expected, root.to_byte_array());
            let (found, at) = view.merkle_branch(txid, height).unwrap().unwrap();
            assert_eq!(at, pos);
            let bytes = |hashes: &[bitcoin::hashes::sha256d::Hash]| {
                hashes
                    .iter()
                    .map(|hash| hash.to_byte_array())
                    .collect::<Vec<_>>()
            };
            assert_eq!(bytes(&found), branch);
            let found = view.merkle_branch_at(height, pos).unwrap().unwrap();
            assert_eq!(bytes(&found), branch);
            let elsewhere = height + 1;
            let there = oracle.txids.get(elsewhere as usize);
            if !there.is_some_and(|txids| txids.contains(txid)) {
                assert_eq!(view.merkle_branch(txid, elsewhere).unwrap(), None);
            }
        }
        let count = u32::try_from(txids.len()).unwrap();
        assert_eq!(view.merkle_branch_at(height, count).unwrap(), None);
    }
    assert_eq!(view.merkle_branch_at(view.height() + 1, 0).unwrap(), None);

    let hashes: Vec<[u8; 32]> = chain
        .blocks
        .iter()
        .map(|block| block.block.block_hash().to_byte_array())
        .collect();
    let tip = view.height();
    for cp_height in [tip, tip / 2] {
        for height in 0..=cp_height {
            let proof = view.checkpoint_proof(height, cp_height).unwrap();
            let (branch, root) = merkle(hashes[..=cp_height as usize].to_vec(), height as usize);
            let found: Vec<_> = proof
                .branch
                .iter()
                .map(|hash| hash.to_byte_array())
                .collect();
            assert_eq!((found, proof.root.to_byte_array()), (branch, root));
        }
        assert_eq!(view.checkpoint_proof(cp_height + 1, cp_height), None);
    }
    assert_eq!(view.checkpoint_proof(0, tip + 1), None);
}

fn check_script(view: &View, oracle: &Oracle, unconfirmed: &Unconfirmed, script: &ScriptBuf) {
    let hash = script_hash(script);
    let opaque = script.as_bytes().first() == Some(&0x6a);
    let txids: BTreeSet<Txid> = unconfirmed
        .iter()
        .map(|(tx, _)| tx.compute_txid())
        .collect();

    // History: txid, number of the wire, fee.
    let confirmed = oracle.histories.get(script).map_or(&[][..], Vec::as_slice);
    let mut history: Vec<(Txid, i64, Option<u64>)> = confirmed
        .iter()
        .map(|(txid, height)| (*txid, i64::from(*height), None))
        .collect();
    let mut tail = Vec::new();
    let (mut funded, mut spent) = (0i64, 0i64);
    let mut unspent_tail = Vec::new();
    let gone: BTreeSet<OutPoint> = unconfirmed
        .iter()
        .flat_map(|(tx, _)| tx.input.iter().map(|input| input.previous_output))
        .collect();
    for (tx, outputs) in unconfirmed {
        let txid = tx.compute_txid();
        let to_sat = |output: &TxOut| output.value.to_sat();
        let ours = |output: &&TxOut| output.script_pubkey == *script && !opaque;
        if outputs.iter().chain(&tx.output).any(|output| ours(&output)) {
            let parents = tx
                .input
                .iter()
                .any(|input| txids.contains(&input.previous_output.txid));
            let fee =
                outputs.iter().map(to_sat).sum::<u64>() - tx.output.iter().map(to_sat).sum::<u64>();
            tail.push((txid, if parents { -1 } else { 0 }, Some(fee)));
        }
        let sum = |outputs: &[TxOut]| {
            i64::try_from(outputs.iter().filter(ours).map(to_sat).sum::<u64>()).unwrap()
        };
        funded += sum(&tx.output);
        spent += sum(outputs);
        for (vout, output) in (0..).zip(&tx.output) {
            if ours(&output) && !gone.contains(&OutPoint { txid, vout }) {
                unspent_tail.push((txid.to_byte_array(), vout, to_sat(output), 0));
            }
        }
    }
    tail.sort_by_key(|(txid, height, _)| (Reverse(*height), txid.to_string()));
    history.extend(&tail);
    let found = view.history(&hash, None).unwrap();
    let to_plain = |entry: &electrum_protocol::HistoryEntry| {
        let fee = entry.fee.map(bitcoin::Amount::to_sat);
        (entry.txid, entry.confirmation.wire_height(), fee)
    };
    assert_eq!(found.iter().map(to_plain).collect::<Vec<_>>(), history);
    let found = view.mempool_history(&hash);
    assert_eq!(found.iter().map(to_plain).collect::<Vec<_>>(), tail);

    let texts: Vec<(Txid, i64)> = history
        .iter()
        .map(|(txid, height, _)| (*txid, *height))
        .collect();
    let found = view.status(&hash, None).unwrap();
    assert_eq!(found.map(Status::to_byte_array), status(&texts));

    // Balance and unspent outputs.
    let coins = oracle.coins_of(script);
    let balance = view.balance(&hash, None).unwrap();
    let worth: u64 = coins
        .iter()
        .map(|(_, coin)| coin.output.value.to_sat())
        .sum();
    assert_eq!(balance.confirmed.to_sat(), worth);
    assert_eq!(balance.unconfirmed.to_sat(), funded - spent);
    let mut unspent: Vec<([u8; 32], u32, u64, u32)> = coins
        .iter()
        .filter(|(outpoint, _)| !gone.contains(outpoint))
        .map(|(OutPoint { txid, vout }, coin)| {
            let value = coin.output.value.to_sat();
            (txid.to_byte_array(), *vout, value, coin.height)
        })
        .collect();
    unspent_tail.sort_unstable();
    unspent.extend(unspent_tail);
    let found: Vec<_> = view
        .unspent(&hash, None)
        .unwrap()
        .iter()
        .map(|each| {
            (
                each.txid.to_byte_array(),
                each.vout,
                each.value.to_sat(),
                each.height,
            )
        })
        .collect();
    assert_eq!(found, unspent);

    // Limits refuse what is longer, and nothing else.
    assert!(view.history(&hash, Some(history.len())).is_ok());
    assert!(view.unspent(&hash, Some(confirmed.len())).is_ok());
    assert!(view.balance(&hash, Some(confirmed.len())).is_ok());
    if let Some(limit) = history.len().checked_sub(1) {
        let refused = view.history(&hash, Some(limit)).unwrap_err();
        assert!(matches!(refused, QueryError::TooLong { limit: at } if at == limit));
        assert!(view.status(&hash, Some(limit)).is_err());
    }
    if let Some(limit) = confirmed.len().checked_sub(1) {
        assert!(matches!(
            view.unspent(&hash, Some(limit)),
            Err(QueryError::TooLong { .. })
        ));
        assert!(view.balance(&hash, Some(limit)).is_err());
    }
}
