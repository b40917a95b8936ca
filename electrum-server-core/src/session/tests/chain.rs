//! A small chain, made by hand, and what it ought to say, computed from its blocks alone.

use bitcoin::absolute::LockTime;
use bitcoin::block::{Header, Version};
use bitcoin::hashes::Hash;
use bitcoin::transaction::Version as TxVersion;
use bitcoin::{
    Amount, Block, BlockHash, CompactTarget, Network, OutPoint, ScriptBuf, Sequence, Transaction,
    TxIn, TxMerkleNode, TxOut, Txid, Witness, script,
};
use electrum_protocol::ScriptHash;

use crate::chain::BlockWithSpent;

/// Makes the script number `n`: one that pays to a key hash that nobody has the key of.
pub(crate) fn script(n: u8) -> ScriptBuf {
    let mut bytes = vec![0x00, 0x14];
    bytes.extend([n; 20]);
    ScriptBuf::from(bytes)
}

/// Returns the hash of script number `n`.
pub(crate) fn script_hash(n: u8) -> ScriptHash {
    ScriptHash::from_script(&script(n))
}

/// Makes a transaction that spends and pays as told, amounts in satoshis.
pub(crate) fn pay(inputs: &[OutPoint], outputs: &[(u8, u64)]) -> Transaction {
    Transaction {
        version: TxVersion::TWO,
        lock_time: LockTime::ZERO,
        input: inputs
            .iter()
            .map(|outpoint| TxIn {
                previous_output: *outpoint,
                script_sig: ScriptBuf::new(),
                sequence: Sequence::MAX,
                witness: Witness::new(),
            })
            .collect(),
        output: outputs
            .iter()
            .map(|(n, value)| TxOut {
                value: Amount::from_sat(*value),
                script_pubkey: script(*n),
            })
            .collect(),
    }
}

/// A chain from the genesis block of regtest on.
pub(crate) struct Chain {
    pub(crate) blocks: Vec<Block>,
}

impl Chain {
    pub(crate) fn new() -> Self {
        Self {
            blocks: vec![bitcoin::constants::genesis_block(Network::Regtest)],
        }
    }

    /// Returns the height of the tip.
    pub(crate) fn height(&self) -> u32 {
        self.blocks.len() as u32 - 1
    }

    pub(crate) fn tip_hash(&self) -> BlockHash {
        self.blocks.last().unwrap().block_hash()
    }

    /// Adds a block whose coinbase pays script number `miner`, with transactions; returns the coinbase's first output.
    pub(crate) fn mine(&mut self, miner: u8, transactions: &[Transaction]) -> OutPoint {
        let height = self.height() + 1;
        let mut coinbase = pay(&[OutPoint::null()], &[(miner, 50_0000_0000)]);
        coinbase.input[0].script_sig = script::Builder::new()
            .push_int(i64::from(height))
            .push_int(7)
            .into_script();
        let txid = coinbase.compute_txid();
        let mut txdata = vec![coinbase];
        txdata.extend_from_slice(transactions);
        let mut block = Block {
            header: Header {
                version: Version::TWO,
                prev_blockhash: self.tip_hash(),
                merkle_root: TxMerkleNode::all_zeros(),
                time: 1_300_000_000 + height,
                bits: CompactTarget::from_consensus(0x207f_ffff),
                nonce: 0,
            },
            txdata,
        };
        block.header.merkle_root = block.compute_merkle_root().unwrap();
        while block.header.validate_pow(block.header.target()).is_err() {
            block.header.nonce += 1;
        }
        self.blocks.push(block);
        OutPoint::new(txid, 0)
    }

    /// Finds an output.
    pub(crate) fn output(&self, outpoint: &OutPoint) -> TxOut {
        let mut transactions = self.blocks.iter().flat_map(|block| &block.txdata);
        let tx = transactions
            .rfind(|tx| tx.compute_txid() == outpoint.txid)
            .unwrap();
        tx.output[outpoint.vout as usize].clone()
    }

    /// Returns the block at a height, with what it spends.
    pub(crate) fn with_spent(&self, height: u32) -> BlockWithSpent {
        let block = self.blocks[height as usize].clone();
        let spent = block
            .txdata
            .iter()
            .map(|tx| match tx.is_coinbase() {
                true => Vec::new(),
                false => tx
                    .input
                    .iter()
                    .map(|input| self.output(&input.previous_output))
                    .collect(),
            })
            .collect();
        BlockWithSpent { block, spent }
    }

    /// Returns what touches a script: txid and height, in chain order.
    pub(crate) fn history(&self, n: u8) -> Vec<(Txid, u32)> {
        let script = script(n);
        let touches = |tx: &&Transaction| {
            tx.output
                .iter()
                .any(|output| output.script_pubkey == script)
                || !tx.is_coinbase()
                    && tx
                        .input
                        .iter()
                        .any(|input| self.output(&input.previous_output).script_pubkey == script)
        };
        (0..)
            .zip(&self.blocks)
            .flat_map(|(height, block)| {
                let txids = block
                    .txdata
                    .iter()
                    .filter(touches)
                    .map(Transaction::compute_txid);
                txids.map(move |txid| (txid, height)).collect::<Vec<_>>()
            })
            .collect()
    }
}
