//! Limits that a single transaction does not reach by chance.

use bitcoin::opcodes::all::OP_CHECKSIG;
use bitcoin::script::{Builder, PushBytesBuf};
use bitcoin::{Amount, OutPoint, ScriptBuf, Sequence, Transaction, TxIn, TxOut, Witness};

use crate::locks::{Lock, Owned};
use crate::transactions::{draft, output};
use crate::world::World;

fn coins(world: &mut World, lock: Lock) -> Vec<Owned> {
    let coins = world.coins().into_iter();
    coins
        .filter(|coin| {
            let value = coin.output.value.to_sat();
            coin.lock == lock && (10_000_000..1_000_000_000).contains(&value)
        })
        .collect()
}

pub(crate) fn all(world: &mut World) {
    known_ones(world);
    long_chain(world);
    wide_cluster(world);
    many_conflicts(world);
    many_signatures(world);
    siblings(world);
}

/// Transactions that are there already.
fn known_ones(world: &mut World) {
    let coin = coins(world, Lock::P2wpkh).remove(0);
    let value = coin.output.value.to_sat();
    let tx = draft(&[coin], vec![output(Lock::P2wpkh, value - 1_000)]).signed();
    world.send("new", &tx);
    world.test("there already", &tx);
    let mut other = tx.clone();
    other.input[0].witness = Witness::from_slice(&[[1u8; 30]]);
    world.test("there with another witness", &other);
    world.mined_by_core(1);
    world.test("mined already", &tx);
}

/// One after the other.
fn long_chain(world: &mut World) {
    let mut coin = coins(world, Lock::P2wpkh).remove(0);
    for at in 0..66 {
        let value = coin.output.value.to_sat() - 1_000;
        let tx = draft(&[coin.clone()], vec![output(Lock::P2wpkh, value)]).signed();
        let accepted = world.send(&format!("a chain of {at}"), &tx);
        assert_eq!(accepted, at < 64);
        if !accepted {
            break;
        }
        coin = world.coin(&OutPoint::new(tx.compute_txid(), 0)).unwrap();
    }
    world.mined_by_ours(1, Lock::P2wpkh);
}

/// Few transactions, but large ones.
fn wide_cluster(world: &mut World) {
    let mut coin = coins(world, Lock::P2wpkh).remove(0);
    for at in 0..4 {
        let value = coin.output.value.to_sat() - 1_500_000;
        let mut outputs = vec![output(Lock::P2wpkh, value)];
        outputs.extend(vec![output(Lock::P2wshOpen, 1_000); 830]);
        let tx = draft(&[coin.clone()], outputs).signed();
        let accepted = world.send(&format!("wide: {at}"), &tx);
        assert_eq!(accepted, at < 2, "{}", tx.vsize());
        if !accepted {
            break;
        }
        coin = world.coin(&OutPoint::new(tx.compute_txid(), 0)).unwrap();
    }
    world.mined_by_ours(1, Lock::P2wpkh);
}

/// A replacement of more than a hundred clusters.
fn many_conflicts(world: &mut World) {
    let coin = coins(world, Lock::P2wpkh).remove(0);
    let each = (coin.output.value.to_sat() - 20_000) / 102;
    let fan = draft(&[coin], vec![output(Lock::P2wpkh, each); 102]).signed();
    world.send("a fan", &fan);
    world.mined_by_core(1);
    let fanned: Vec<Owned> = (0..102)
        .map(|vout| {
            world
                .coin(&OutPoint::new(fan.compute_txid(), vout))
                .unwrap()
        })
        .collect();
    for coin in &fanned {
        let tx = draft(
            std::slice::from_ref(coin),
            vec![output(Lock::P2wpkh, each - 200)],
        );
        world.send("one of many", &tx.signed());
    }
    for count in [101, 100] {
        let total = each * count as u64;
        let tx = draft(
            &fanned[..count],
            vec![output(Lock::P2wpkh, total - 100_000)],
        );
        assert_eq!(
            world.send(&format!("replacing {count}"), &tx.signed()),
            count == 100
        );
    }
    world.mined_by_ours(1, Lock::P2wpkh);
}

/// More signatures than may be checked, in scripts of either kind.
fn many_signatures(world: &mut World) {
    let many = |count| ScriptBuf::from_bytes(vec![OP_CHECKSIG.to_u8(); count]);
    let coin = coins(world, Lock::P2wpkh).remove(0);
    let value = coin.output.value.to_sat();
    let to = |script: ScriptBuf| TxOut {
        value: Amount::from_sat(100_000),
        script_pubkey: script,
    };
    let mut outputs = vec![output(Lock::P2wpkh, value - 2_000_000)];
    outputs.extend([15, 16].map(|count| to(many(count).to_p2sh())));
    outputs.extend(vec![to(many(3_600).to_p2wsh()); 5]);
    outputs.push(to(many(3_601).to_p2wsh()));
    let parent = draft(&[coin], outputs).signed();
    assert!(world.send("scripts of many signatures", &parent));
    let spend =
        |vouts: &[u32], script: Option<ScriptBuf>, witness: Option<ScriptBuf>| Transaction {
            input: vouts
                .iter()
                .map(|vout| TxIn {
                    previous_output: OutPoint::new(parent.compute_txid(), *vout),
                    script_sig: script.clone().unwrap_or_default(),
                    sequence: Sequence::MAX,
                    witness: witness
                        .iter()
                        .map(|script| script.to_bytes())
                        .collect::<Vec<_>>()
                        .into(),
                })
                .collect(),
            ..draft(&[], vec![output(Lock::P2wpkh, 20_000)]).tx
        };
    let push = |script: ScriptBuf| {
        let bytes = PushBytesBuf::try_from(script.into_bytes()).unwrap();
        Builder::new().push_slice(bytes).into_script()
    };
    world.send("15 signatures", &spend(&[1], Some(push(many(15))), None));
    world.send("16 signatures", &spend(&[2], Some(push(many(16))), None));
    world.send("no script", &spend(&[2], None, None));
    world.send(
        "14400 signatures",
        &spend(&[3, 4, 5, 6], None, Some(many(3_600))),
    );
    world.send(
        "18000 signatures",
        &spend(&[3, 4, 5, 6, 7], None, Some(many(3_600))),
    );
    world.send("too long a script", &spend(&[8], None, Some(many(3_601))));
    world.mined_by_ours(1, Lock::P2wpkh);
}

/// Children of version 3 that push each other out.
fn siblings(world: &mut World) {
    let coin = coins(world, Lock::P2wpkh).remove(0);
    let half = coin.output.value.to_sat() / 2 - 1_000;
    let version3 = |coins: &[Owned], outputs| {
        let mut draft = draft(coins, outputs);
        draft.tx.version = bitcoin::transaction::Version(3);
        draft.signed()
    };
    let parent = version3(&[coin], vec![output(Lock::P2wpkh, half); 2]);
    world.send("a parent", &parent);
    let own = [0, 1].map(|vout| {
        world
            .coin(&OutPoint::new(parent.compute_txid(), vout))
            .unwrap()
    });
    let child = |at: usize, fee| version3(&own[at..=at], vec![output(Lock::P2wpkh, half - fee)]);
    world.send("a child", &child(0, 1_000));
    world.send("a sibling that pays less", &child(1, 900));
    world.send("a sibling that pays as much", &child(1, 1_000));
    assert!(world.send("a sibling that pays more", &child(1, 5_000)));
    world.send("the first again", &child(0, 5_000));
    let grown = child(1, 5_000);
    let coin = world.coin(&OutPoint::new(grown.compute_txid(), 0)).unwrap();
    world.send(
        "a grandchild",
        &version3(&[coin], vec![output(Lock::P2wpkh, half - 9_000)]),
    );
    let wide = version3(&own[..1], vec![output(Lock::P2wpkh, half / 40); 39]);
    world.send("a child that is too big", &wide);
    world.compare("siblings");
}
