//! What a reader of the plain blocks would answer: slow, and with nothing of the index in it.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use bitcoin::hashes::{Hash, sha256, sha256d};
use bitcoin::{Block, OutPoint, ScriptBuf, Transaction, TxOut, Txid};
use electrum_protocol::ScriptHash;

/// A confirmed output that no block spends.
#[derive(Clone, Debug)]
pub(super) struct Coin {
    pub(super) height: u32,
    pub(super) pos: u32,
    pub(super) output: TxOut,
}

/// Everything that can be asked about a chain.
#[derive(Debug, Default)]
pub(crate) struct Oracle {
    /// By script: txid and height of what touches it, in chain order.
    pub(super) histories: HashMap<ScriptBuf, Vec<(Txid, u32)>>,
    /// Unspent outputs, those that cannot be spent among them.
    pub(super) coins: BTreeMap<OutPoint, Coin>,
    /// By height: the txids.
    pub(super) txids: Vec<Vec<Txid>>,
}

impl Oracle {
    /// Reads blocks from the genesis block on.
    pub(super) fn read<'a>(blocks: impl IntoIterator<Item = &'a Block>) -> Self {
        let mut oracle = Self::default();
        for block in blocks {
            oracle.push(block);
        }
        oracle
    }

    pub(super) fn push(&mut self, block: &Block) {
        let height = u32::try_from(self.txids.len()).unwrap();
        self.txids
            .push(block.txdata.iter().map(|tx| tx.compute_txid()).collect());
        if height == 0 {
            return;
        }
        for (pos, tx) in (0..).zip(&block.txdata) {
            self.transact(height, pos, tx);
        }
    }

    fn transact(&mut self, height: u32, pos: u32, tx: &Transaction) {
        let txid = tx.compute_txid();
        let mut scripts = BTreeSet::new();
        for input in &tx.input {
            if input.previous_output != OutPoint::null() {
                let coin = self.coins.remove(&input.previous_output).unwrap();
                scripts.insert(coin.output.script_pubkey);
            }
        }
        for (vout, output) in (0..).zip(&tx.output) {
            if output.script_pubkey.as_bytes().first() != Some(&0x6a) {
                scripts.insert(output.script_pubkey.clone());
            }
            let output = output.clone();
            self.coins.insert(
                OutPoint { txid, vout },
                Coin {
                    height,
                    pos,
                    output,
                },
            );
        }
        for script in scripts {
            self.histories
                .entry(script)
                .or_default()
                .push((txid, height));
        }
    }

    /// The unspent outputs that pay to a script, in chain order.
    pub(super) fn coins_of(&self, script: &ScriptBuf) -> Vec<(OutPoint, &Coin)> {
        if script.as_bytes().first() == Some(&0x6a) {
            return Vec::new();
        }
        let mut coins: Vec<_> = self
            .coins
            .iter()
            .filter(|(_, coin)| coin.output.script_pubkey == *script)
            .map(|(outpoint, coin)| (*outpoint, coin))
            .collect();
        coins.sort_by_key(|(outpoint, coin)| (coin.height, coin.pos, outpoint.vout));
        coins
    }

    /// The scripts that a block touches when it comes next.
    pub(super) fn touched(&self, block: &Block) -> BTreeSet<ScriptHash> {
        let mut next = Self {
            coins: self.coins.clone(),
            txids: self.txids.clone(),
            ..Self::default()
        };
        next.push(block);
        next.histories.keys().map(script_hash).collect()
    }
}

/// What the protocol calls a script.
pub(super) fn script_hash(script: &ScriptBuf) -> ScriptHash {
    ScriptHash::from_byte_array(sha256::Hash::hash(script.as_bytes()).to_byte_array())
}

/// The status of a history of txids and wire heights.
pub(super) fn status(history: &[(Txid, i64)]) -> Option<[u8; 32]> {
    let text: String = history
        .iter()
        .map(|(txid, height)| format!("{txid}:{height}:"))
        .collect();
    (!text.is_empty()).then(|| sha256::Hash::hash(text.as_bytes()).to_byte_array())
}

/// The merkle root of `leaves`, and the hashes beside the way from the leaf at `pos` to it.
pub(super) fn merkle(mut leaves: Vec<[u8; 32]>, mut pos: usize) -> (Vec<[u8; 32]>, [u8; 32]) {
    let mut branch = Vec::new();
    while leaves.len() > 1 {
        if leaves.len() % 2 == 1 {
            leaves.push(leaves[leaves.len() - 1]);
        }
        branch.push(leaves[pos ^ 1]);
        leaves = leaves
            .chunks(2)
            .map(|pair| sha256d::Hash::hash(&pair.concat()).to_byte_array())
            .collect();
        pos /= 2;
    }
    (branch, leaves[0])
}
