//! Parents that their child pays for.

use bitcoin::consensus::encode::{serialize, serialize_hex};
use bitcoin::{Transaction, transaction};
use electrum_server_core::chain::{Broadcast, NodeError};
use serde_json::{Value, json};

use crate::locks::Lock;
use crate::locks::Owned;
use crate::transactions::{Draft, draft, output};
use crate::world::World;

/// Submits a package to both; verdicts must be the same, transaction by transaction.
fn submit(world: &mut World, what: &str, txs: &[Transaction]) -> bool {
    let raw: Vec<String> = txs.iter().map(serialize_hex).collect();
    let params = [json!(raw), json!(0), json!(21_000_000)];
    let core = world.core.try_rpc("submitpackage", &params);
    let raw: Vec<Vec<u8>> = txs.iter().map(serialize).collect();
    let ours = world.ours.submit_package(&raw);
    let accepted = match (&core, &ours) {
        (Ok(core), Ok(ours)) => {
            let ours: Value = serde_json::from_str(ours.json.get()).unwrap();
            assert_eq!(
                ours["package_msg"], core["package_msg"],
                "{what}: {core:#}\n{ours:#}"
            );
            for tx in txs {
                let id = tx.compute_wtxid().to_string();
                let (ours, theirs) = (&ours["tx-results"][&id], &core["tx-results"][&id]);
                let same = ["txid", "error", "vsize"]
                    .iter()
                    .all(|field| ours[field] == theirs[field]);
                assert!(
                    same && ours["fees"]["base"] == theirs["fees"]["base"],
                    "{what}: {core:#}\n{ours:#}"
                );
            }
            ours["package_msg"] == "success"
        }
        (Err(core), Err(NodeError::Rpc { code, message })) => {
            assert_eq!(core["message"], message.as_str(), "{what}");
            assert_eq!(core["code"], *code, "{what}");
            false
        }
        _ => panic!("{what}: Core {core:?}, ours {ours:?}"),
    };
    txs.iter().for_each(|tx| world.learn(tx));
    world.compare(what);
    *world
        .verdicts
        .entry(format!(
            "package: {what}: {}",
            if accepted { "taken" } else { "refused" }
        ))
        .or_default() += 1;
    accepted
}

fn take(world: &mut World) -> Owned {
    let coins = world.coins();
    let worthy =
        |coin: &&Owned| coin.output.value.to_sat() > 10_000_000 && coin.lock == Lock::P2wpkh;
    let confirmed: Vec<Owned> = coins.iter().filter(worthy).cloned().collect();
    let mempool = world.ours.mempool();
    let height = world.ours.height();
    let mut mature = confirmed.into_iter().filter(|coin| {
        let block = world.ours.block_of(&coin.outpoint.txid);
        let tx_height =
            block.and_then(|hash| (0..=height).find(|at| world.ours.block_hash(*at) == Some(hash)));
        let is_coinbase = coin.output.value.to_sat() > 1_000_000_000;
        !mempool.contains(&coin.outpoint.txid)
            && (!is_coinbase || tx_height.is_some_and(|at| at + 100 < height))
    });
    mature.next_back().expect("enough coins")
}

fn with_version(mut draft: Draft, version: i32) -> Transaction {
    draft.tx.version = transaction::Version(version);
    draft.signed()
}

fn coin_of(world: &mut World, tx: &Transaction, vout: u32) -> Owned {
    world.learn(tx);
    world
        .coin(&bitcoin::OutPoint::new(tx.compute_txid(), vout))
        .unwrap()
}

/// A parent with this fee and its child with that one.
fn pair(world: &mut World, fees: (u64, u64), version: i32) -> [Transaction; 2] {
    let coin = take(world);
    let value = coin.output.value.to_sat() - fees.0;
    let parent = with_version(draft(&[coin], vec![output(Lock::P2wpkh, value)]), version);
    let own = coin_of(world, &parent, 0);
    let child = draft(&[own], vec![output(Lock::P2wpkh, value - fees.1)]);
    [parent, with_version(child, version)]
}

pub(crate) fn all(world: &mut World) {
    for version in [2, 3] {
        for fees in [
            (0, 5_000),
            (5_000, 0),
            (0, 0),
            (0, 10),
            (5_000, 5_000),
            (5, 5_000),
            (0, 21),
            (0, 22),
        ] {
            let txs = pair(world, fees, version);
            submit(world, &format!("fees {fees:?} in version {version}"), &txs);
            submit(
                world,
                &format!("again, fees {fees:?} in version {version}"),
                &txs,
            );
        }
        world.mined_by_ours(1, Lock::P2wpkh);
    }
    let [parent, child] = pair(world, (0, 5_000), 2);
    submit(world, "the child first", &[child.clone(), parent.clone()]);
    submit(world, "one alone", std::slice::from_ref(&parent));
    submit(world, "the same twice", &[parent.clone(), parent.clone()]);
    let other = pair(world, (1_000, 5_000), 2);
    submit(
        world,
        "a stranger",
        &[other[0].clone(), parent.clone(), child.clone()],
    );
    submit(world, "no family", &[other[0].clone(), parent.clone()]);
    submit(world, "a parent and its child", &[parent, child]);

    // Two parents with nothing, one child.
    let (mut parents, mut coins) = (Vec::new(), Vec::new());
    for _ in 0..2 {
        let [parent, _] = pair(world, (0, 0), 2);
        coins.push(coin_of(world, &parent, 0));
        // Taken coins are not taken again.
        world.send("a parent by itself", &parent);
        parents.push(parent.clone());
        let coin = take(world);
        let value = coin.output.value.to_sat();
        let split = draft(
            &[coin],
            vec![
                output(Lock::P2wpkh, value / 2 - 500),
                output(Lock::P2wpkh, value / 2 - 500),
            ],
        );
        world.send("more coins", &split.signed());
        world.mined_by_core(1);
    }
    let total: u64 = coins.iter().map(|coin| coin.output.value.to_sat()).sum();
    let child = draft(&coins, vec![output(Lock::P2wpkh, total - 10_000)]).signed();
    let distinct = parents[0].input[0].previous_output != parents[1].input[0].previous_output;
    let mut txs = parents.clone();
    txs.push(child);
    let name = if distinct {
        "two parents"
    } else {
        "parents in conflict"
    };
    submit(world, name, &txs);

    // Dust that is spent at once, and dust that is left.
    for spends in [true, false] {
        let coin = take(world);
        let value = coin.output.value.to_sat();
        let parent = draft(
            &[coin],
            vec![output(Lock::P2wpkh, value), output(Lock::Anchor, 0)],
        )
        .signed();
        let mut own = vec![coin_of(world, &parent, 0)];
        if spends {
            own.push(coin_of(world, &parent, 1));
        }
        let child = draft(&own, vec![output(Lock::P2wpkh, value - 5_000)]).signed();
        submit(world, &format!("dust, spent: {spends}"), &[parent, child]);
    }

    // A package that replaces one.
    for raise in [0, 100, 10_000] {
        let [parent, child] = pair(world, (0, 5_000), 3);
        assert!(submit(
            world,
            "to be replaced",
            &[parent.clone(), child.clone()]
        ));
        let coin = world.coin(&parent.input[0].previous_output).unwrap();
        let value = coin.output.value.to_sat();
        let rival = with_version(draft(&[coin], vec![output(Lock::P2wpkh, value - 1)]), 3);
        let own = coin_of(world, &rival, 0);
        let rival_child = draft(&[own], vec![output(Lock::P2wpkh, value - 5_000 - raise)]);
        let rival_child = with_version(rival_child, 3);
        submit(
            world,
            &format!("replacing with {raise} more"),
            &[rival, rival_child],
        );
        world.mined_by_ours(1, Lock::P2wpkh);
    }
}
