//! Random chains, plain blocks only.

use std::collections::BTreeMap;

use bitcoin::block::{Header, Version};
use bitcoin::constants::genesis_block;
use bitcoin::hashes::Hash;
use bitcoin::{
    Amount, Block, CompactTarget, Network, OutPoint, ScriptBuf, Sequence, Transaction, TxIn,
    TxMerkleNode, TxOut, Witness, absolute, transaction,
};
use proptest::prelude::*;
use proptest::sample::Index;

use super::oracle::Oracle;
use crate::chain::BlockWithSpent;

/// How many scripts there are.
pub(crate) const SCRIPTS: u8 = 8;

/// The script with a number: ordinary ones, one that is empty, two that cannot be spent, and one that only looks so.
pub(crate) fn script(number: u8) -> ScriptBuf {
    ScriptBuf::from_bytes(match number {
        0 => vec![],
        1 => vec![0x6a],
        2 => vec![0x6a, 2, 1, 2],
        3 => vec![0x51, 0x6a],
        _ => vec![0x51, number],
    })
}

/// A transaction to be.
#[derive(Clone, Debug)]
pub(crate) struct Payment {
    /// Which of the outputs that there are.
    spends: Vec<Index>,
    /// Script number and worth.
    outputs: Vec<(u8, u64)>,
}

/// A block to be.
#[derive(Clone, Debug)]
pub(crate) struct Plan {
    reward: Vec<(u8, u64)>,
    /// Repeats the coinbase of an earlier block, as two blocks of 2010 did.
    repeat: Option<Index>,
    payments: Vec<Payment>,
}

fn outputs() -> impl Strategy<Value = Vec<(u8, u64)>> {
    let value = prop_oneof![Just(0), 1u64..1000, 0..=Amount::MAX_MONEY.to_sat()];
    prop::collection::vec((0..SCRIPTS, value), 1..5)
}

pub(crate) fn payment() -> impl Strategy<Value = Payment> {
    (prop::collection::vec(any::<Index>(), 1..4), outputs())
        .prop_map(|(spends, outputs)| Payment { spends, outputs })
}

pub(crate) fn plan() -> impl Strategy<Value = Plan> {
    (
        outputs(),
        prop::option::weighted(0.15, any::<Index>()),
        prop::collection::vec(payment(), 0..6),
    )
        .prop_map(|(reward, repeat, payments)| Plan {
            reward,
            repeat,
            payments,
        })
}

fn to_outputs(outputs: &[(u8, u64)]) -> Vec<TxOut> {
    outputs
        .iter()
        .map(|(number, sat)| TxOut {
            value: Amount::from_sat(*sat),
            script_pubkey: script(*number),
        })
        .collect()
}

fn spend(inputs: &[OutPoint], output: Vec<TxOut>) -> Transaction {
    Transaction {
        version: transaction::Version::TWO,
        lock_time: absolute::LockTime::ZERO,
        input: inputs
            .iter()
            .map(|previous_output| TxIn {
                previous_output: *previous_output,
                script_sig: ScriptBuf::new(),
                sequence: Sequence::MAX,
                witness: Witness::new(),
            })
            .collect(),
        output,
    }
}

/// A chain from the genesis block on; blocks come and go at the tip.
#[derive(Clone, Debug)]
pub(crate) struct Chain {
    pub(crate) blocks: Vec<BlockWithSpent>,
    /// How many blocks were ever mined: no two are the same.
    mined: u32,
}

impl Chain {
    pub(crate) fn new() -> Self {
        Self {
            blocks: vec![BlockWithSpent {
                block: genesis_block(Network::Regtest),
                spent: vec![vec![]],
            }],
            mined: 0,
        }
    }

    pub(crate) fn oracle(&self) -> Oracle {
        Oracle::read(self.blocks.iter().map(|block| &block.block))
    }

    pub(crate) fn height(&self) -> u32 {
        u32::try_from(self.blocks.len()).unwrap() - 1
    }

    /// Mines a block on the tip.
    pub(crate) fn mine(&mut self, plan: &Plan) {
        self.mined += 1;
        let earlier = &self.blocks[1..];
        let coinbase = match &plan.repeat {
            Some(index) if !earlier.is_empty() => index.get(earlier).block.txdata[0].clone(),
            _ => {
                let mut coinbase = spend(&[OutPoint::null()], to_outputs(&plan.reward));
                coinbase.input[0].script_sig =
                    ScriptBuf::from_bytes(self.mined.to_le_bytes().to_vec());
                coinbase
            }
        };
        let mut coins: BTreeMap<OutPoint, TxOut> = self
            .oracle()
            .coins
            .into_iter()
            .map(|(outpoint, coin)| (outpoint, coin.output))
            .collect();
        let (mut txdata, mut spent) = (vec![], vec![]);
        confirm(&mut coins, coinbase, &mut txdata, &mut spent);
        for payment in &plan.payments {
            if let Some(tx) = pay(&coins, payment, false) {
                confirm(&mut coins, tx, &mut txdata, &mut spent);
            }
        }
        let header = Header {
            version: Version::TWO,
            prev_blockhash: self.blocks.last().unwrap().block.block_hash(),
            merkle_root: TxMerkleNode::all_zeros(),
            time: self.mined,
            bits: CompactTarget::from_consensus(0x207f_ffff),
            nonce: 0,
        };
        let mut block = Block { header, txdata };
        block.header.merkle_root = block.compute_merkle_root().unwrap();
        self.blocks.push(BlockWithSpent { block, spent });
    }

    /// Makes unconfirmed transactions with the outputs that they spend, each after its parents.
    pub(crate) fn unconfirmed(&self, payments: &[Payment]) -> Vec<(Transaction, Vec<TxOut>)> {
        let mut coins: BTreeMap<OutPoint, TxOut> = self
            .oracle()
            .coins
            .into_iter()
            .map(|(outpoint, coin)| (outpoint, coin.output))
            .collect();
        let (mut txs, mut spent) = (vec![], vec![]);
        for payment in payments {
            if let Some(tx) = pay(&coins, payment, true) {
                confirm(&mut coins, tx, &mut txs, &mut spent);
            }
        }
        txs.into_iter().zip(spent).collect()
    }
}

/// Makes a transaction of what there is; nothing when there is nothing that can be spent.
///
/// `honest` ones create no more than they spend.
fn pay(coins: &BTreeMap<OutPoint, TxOut>, payment: &Payment, honest: bool) -> Option<Transaction> {
    let spendable: Vec<_> = coins
        .iter()
        .filter(|(_, output)| output.script_pubkey.as_bytes().first() != Some(&0x6a))
        .collect();
    if spendable.is_empty() {
        return None;
    }
    let mut inputs = Vec::new();
    let mut left = 0;
    for index in &payment.spends {
        let (outpoint, output) = index.get(&spendable);
        if !inputs.contains(*outpoint) {
            inputs.push(**outpoint);
            left += output.value.to_sat();
        }
    }
    let mut outputs = payment.outputs.clone();
    if honest {
        for (_, sat) in &mut outputs {
            *sat = (*sat).min(left);
            left -= *sat;
        }
    }
    let mut tx = spend(&inputs, to_outputs(&outputs));
    if honest {
        // Where coinbases repeat, a transaction could repeat as well: not one of the mempool.
        tx.version = transaction::Version(3);
    }
    Some(tx)
}

fn confirm(
    coins: &mut BTreeMap<OutPoint, TxOut>,
    tx: Transaction,
    txdata: &mut Vec<Transaction>,
    spent: &mut Vec<Vec<TxOut>>,
) {
    let outputs = match tx.is_coinbase() {
        true => vec![],
        false => tx
            .input
            .iter()
            .map(|input| coins.remove(&input.previous_output).unwrap())
            .collect(),
    };
    let txid = tx.compute_txid();
    for (vout, output) in (0..).zip(&tx.output) {
        coins.insert(OutPoint { txid, vout }, output.clone());
    }
    txdata.push(tx);
    spent.push(outputs);
}
