//! Blocks with one rule broken each.

use bitcoin::block::Version;
use bitcoin::hashes::Hash;
use bitcoin::opcodes::all::OP_CHECKSIG;
use bitcoin::script::{Builder, PushBytesBuf};
use bitcoin::{
    Amount, Block, BlockHash, CompactTarget, OutPoint, ScriptBuf, Sequence, Target, Transaction,
    TxMerkleNode, TxOut, Witness, absolute, transaction,
};

use crate::blocks::Making;
use crate::locks::{Lock, Owned, data};
use crate::transactions::{draft, output};
use crate::world::{World, nowhere};

fn confirmed(world: &mut World, lock: Lock) -> Vec<Owned> {
    let coins = world.coins().into_iter();
    coins
        .filter(|coin| {
            let value = coin.output.value.to_sat();
            coin.lock == lock && (10_000_000..1_000_000_000).contains(&value)
        })
        .collect()
}

/// Gives both one block for each rule that breaks it.
#[allow(clippy::too_many_lines)]
pub(crate) fn all(world: &mut World) {
    for _ in 0..3 {
        // Everything in the mempool is mined: what follows is about blocks alone.
        world.mined_by_core(1);
        let time = world.ours.time() + 600;
        world.set_time(time);
        let coins = confirmed(world, Lock::P2wpkh);
        let (coin, other) = (coins[0].clone(), coins[1].clone());
        let value = coin.output.value.to_sat();
        let fee = 2_000;
        let pay = draft(
            std::slice::from_ref(&coin),
            vec![output(Lock::P2wpkh, value - fee)],
        )
        .signed();
        let tip = world.ours.best_block().hash;
        let good = Making::on(world, tip, std::slice::from_ref(&pay), fee);
        let empty = Making::on(world, tip, &[], 0);
        let (height, now) = (good.height, world.ours.time());
        let mtp = world.core.rpc("getblockchaininfo", &[])["mediantime"]
            .as_u64()
            .unwrap() as u32;
        let raw = |change: &dyn Fn(&mut Transaction)| {
            let mut unsigned = draft(
                std::slice::from_ref(&coin),
                vec![output(Lock::P2wpkh, value - fee)],
            );
            change(&mut unsigned.tx);
            Some(unsigned.signed())
        };
        let holding = |txs: &[Transaction], fees: u64| {
            let mut making = empty.clone();
            making.block.txdata.extend_from_slice(txs);
            making.coinbase().output[0].value += Amount::from_sat(fees);
            making.commit();
            making.mined()
        };
        let child = {
            let txid = pay.compute_txid();
            let own = Owned {
                outpoint: OutPoint::new(txid, 0),
                output: pay.output[0].clone(),
                lock: Lock::P2wpkh,
            };
            draft(&[own], vec![output(Lock::P2wpkh, value - 2 * fee)]).signed()
        };
        let young = {
            let hash = world.ours.block_hash(height - 50).unwrap();
            let coinbase = world.ours.get_block(&hash).unwrap().txdata[0].clone();
            world.learn(&coinbase);
            let coin = world.coin(&OutPoint::new(coinbase.compute_txid(), 0));
            coin.map(|coin| {
                let value = coin.output.value.to_sat();
                draft(&[coin], vec![output(Lock::P2wpkh, value)]).signed()
            })
        };
        let mut cases: Vec<(&str, Block)> = vec![
            ("too little work", {
                let mut block = good.clone().mined();
                let target = Target::from_compact(block.header.bits);
                while target.is_met_by(block.block_hash()) {
                    block.header.nonce += 1;
                }
                block
            }),
            (
                "other bits",
                good.with(|making| {
                    making.block.header.bits = CompactTarget::from_consensus(0x207f_fffe)
                }),
            ),
            (
                "bits beyond the limit",
                good.with(|making| {
                    making.block.header.bits = CompactTarget::from_consensus(0x2100_ffff)
                }),
            ),
            (
                "too old",
                good.with(|making| making.block.header.time = mtp),
            ),
            (
                "too new",
                good.with(|making| making.block.header.time = now + 7_201),
            ),
            (
                "version 3",
                good.with(|making| making.block.header.version = Version::from_consensus(3)),
            ),
            (
                "version 1",
                good.with(|making| making.block.header.version = Version::from_consensus(1)),
            ),
            ("another root", {
                let mut making = good.clone();
                making.block.header.merkle_root = TxMerkleNode::from_byte_array([7; 32]);
                making.with_work()
            }),
            ("the last transaction twice", {
                // With three leaves the last counts twice anyway: the root stays.
                let mut making = good.clone();
                making.block.txdata.push(child.clone());
                making.commit();
                making.block.header.merkle_root = making.block.compute_merkle_root().unwrap();
                making.block.txdata.push(child.clone());
                making.with_work()
            }),
            (
                "unknown parent",
                good.with(|making| {
                    making.block.header.prev_blockhash = BlockHash::from_byte_array([9; 32])
                }),
            ),
            (
                "no transactions",
                good.with(|making| making.block.txdata.clear()),
            ),
            (
                "no coinbase",
                good.with(|making| drop(making.block.txdata.remove(0))),
            ),
            (
                "two coinbases",
                good.with(|making| {
                    let mut second = making.block.txdata[0].clone();
                    second.output.truncate(1);
                    making.block.txdata.push(second);
                    making.commit();
                }),
            ),
            (
                "another height",
                good.with(|making| {
                    making.coinbase().input[0].script_sig = Builder::new()
                        .push_int(i64::from(height) + 1)
                        .push_int(77)
                        .into_script();
                }),
            ),
            (
                "a height that is too short",
                good.with(|making| {
                    making.coinbase().input[0].script_sig = ScriptBuf::from_bytes(vec![1])
                }),
            ),
            (
                "a coinbase that says too much",
                good.with(|making| {
                    let long = PushBytesBuf::try_from(vec![1; 100]).unwrap();
                    making.coinbase().input[0].script_sig = Builder::new()
                        .push_int(i64::from(height))
                        .push_slice(long)
                        .into_script();
                }),
            ),
            (
                "too much for the miner",
                good.with(|making| making.coinbase().output[0].value += Amount::ONE_SAT),
            ),
            (
                "less for the miner than might be, another parent",
                good.with(|making| {
                    making.coinbase().output[0].value -= Amount::ONE_SAT;
                    making.block.header.prev_blockhash = BlockHash::from_byte_array([8; 32]);
                }),
            ),
            (
                "no commitment",
                good.with(|making| {
                    making.coinbase().output.truncate(1);
                    making.coinbase().input[0].witness = Witness::new();
                }),
            ),
            (
                "a commitment to something else",
                good.with(|making| {
                    let last = making.coinbase().output.last_mut().unwrap();
                    let mut script = last.script_pubkey.to_bytes();
                    script[10] ^= 1;
                    last.script_pubkey = script.into();
                }),
            ),
            (
                "a short reserved value",
                good.with(|making| {
                    making.coinbase().input[0].witness = Witness::from_slice(&[[0u8; 31]])
                }),
            ),
            (
                "a coinbase without outputs",
                good.with(|making| making.coinbase().output.clear()),
            ),
            (
                "the child before its parent",
                holding(&[child.clone(), pay.clone()], 2 * fee),
            ),
            ("spent twice", {
                let twice = draft(
                    std::slice::from_ref(&coin),
                    vec![output(Lock::P2trKey, value - fee)],
                )
                .signed();
                holding(&[pay.clone(), twice], 2 * fee)
            }),
            ("something from nothing", {
                let tx = raw(&|tx| tx.input[0].previous_output = nowhere());
                holding(&[tx.unwrap()], 0)
            }),
            ("more than there is", {
                let tx = raw(&|tx| tx.output[0].value = Amount::from_sat(value + 1));
                holding(&[tx.unwrap()], 0)
            }),
            (
                "not final by height",
                holding(
                    &[
                        raw(&|tx| tx.lock_time = absolute::LockTime::from_consensus(height))
                            .unwrap(),
                    ],
                    fee,
                ),
            ),
            (
                "not final by time",
                holding(
                    &[raw(&|tx| tx.lock_time = absolute::LockTime::from_consensus(mtp)).unwrap()],
                    fee,
                ),
            ),
            (
                "not old enough",
                holding(
                    &[raw(&|tx| tx.input[0].sequence = Sequence(60_000)).unwrap()],
                    fee,
                ),
            ),
            (
                "not old enough in time",
                holding(
                    &[raw(&|tx| tx.input[0].sequence = Sequence(1 << 22 | 60_000)).unwrap()],
                    fee,
                ),
            ),
            ("another's signature", {
                let mut tx = pay.clone();
                let mut items = tx.input[0].witness.to_vec();
                items[0][20] ^= 1;
                tx.input[0].witness = Witness::from_slice(&items);
                holding(&[tx], fee)
            }),
            (
                "no outputs",
                holding(&[raw(&|tx| tx.output.clear()).unwrap()], 0),
            ),
            ("the same input twice", {
                let mut unsigned = draft(
                    &[coin.clone(), coin.clone()],
                    vec![output(Lock::P2wpkh, value)],
                );
                unsigned.tx.version = transaction::Version::TWO;
                holding(&[unsigned.signed()], 0)
            }),
            (
                "negative",
                holding(
                    &[raw(&|tx| tx.output[0].value = Amount::from_sat(u64::MAX)).unwrap()],
                    0,
                ),
            ),
            ("too many signatures", {
                let many: ScriptBuf = vec![OP_CHECKSIG.to_u8(); 20_001].into();
                let tx = raw(&|tx| {
                    tx.output.push(TxOut {
                        value: Amount::ZERO,
                        script_pubkey: many.clone(),
                    })
                });
                holding(&[tx.unwrap()], fee)
            }),
            ("too long", {
                let big = data(999_900);
                let tx = raw(&|tx| {
                    tx.output.push(TxOut {
                        value: Amount::ZERO,
                        script_pubkey: big.clone(),
                    })
                });
                holding(&[tx.unwrap()], fee)
            }),
            ("too heavy", {
                let mut tx = pay.clone();
                let big = data(900_000);
                tx = raw(&|tx| {
                    tx.output.push(TxOut {
                        value: Amount::ZERO,
                        script_pubkey: big.clone(),
                    })
                })
                .unwrap_or(tx);
                tx.input[0].witness.push(vec![0; 500_000]);
                holding(&[tx], fee)
            }),
        ];
        if let Some(young) = young {
            cases.push(("a young coinbase", holding(&[young], 0)));
        }
        for (what, block) in &cases {
            assert!(!world.submit(what, block), "{what} was accepted");
        }
        // The same again, and on top of what was refused.
        for (what, block) in &cases {
            world.submit(&format!("again: {what}"), block);
        }
        for (what, block) in &cases {
            if world.ours.knows(&block.block_hash()) {
                let on_top = Making::at(world, block.block_hash(), height + 1, &[], 0).mined();
                world.submit(&format!("on top of: {what}"), &on_top);
            }
        }
        let standing = other.output.value.to_sat();
        let odd = draft(
            &[other],
            vec![TxOut {
                value: Amount::from_sat(standing - 1),
                script_pubkey: Lock::BareTrue.script(),
            }],
        )
        .signed();
        let fine = holding(&[pay.clone(), child, odd], 2 * fee + 1);
        assert!(world.submit("what only the mempool refuses", &fine));
        world.submit("the same again", &fine);
    }
}
