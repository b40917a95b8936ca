//! A short chain and a mempool that never change, and the shapes in which a node tells of them.

use std::sync::OnceLock;

use electrum_server_core::bitcoin::absolute::LockTime;
use electrum_server_core::bitcoin::block::{Header, Version};
use electrum_server_core::bitcoin::hashes::Hash;
use electrum_server_core::bitcoin::{
    Amount, Block, BlockHash, Network, OutPoint, ScriptBuf, Sequence, Transaction, TxIn,
    TxMerkleNode, TxOut, Txid, Witness, constants, transaction,
};

/// Blocks with what they spend, and unconfirmed transactions.
pub(super) struct Chain {
    pub(super) blocks: Vec<Block>,
    /// For each block, for each transaction: the outputs that it spends.
    pub(super) spent: Vec<Vec<Vec<TxOut>>>,
    pub(super) mempool: Vec<Transaction>,
}

/// The one chain that there is.
pub(super) fn chain() -> &'static Chain {
    static CHAIN: OnceLock<Chain> = OnceLock::new();
    CHAIN.get_or_init(Chain::new)
}

impl Chain {
    fn new() -> Self {
        let mut chain = Self {
            blocks: vec![constants::genesis_block(Network::Regtest)],
            spent: vec![vec![Vec::new()]],
            mempool: Vec::new(),
        };
        let first = coinbase(1);
        let second = coinbase(2);
        let (first_txid, second_txid) = (first.compute_txid(), second.compute_txid());
        let split = transaction(vec![spend(first_txid, 0)], vec![output(20), output(29)]);
        let split_txid = split.compute_txid();
        let join = transaction(
            vec![spend(split_txid, 0), spend(second_txid, 0)],
            vec![output(69)],
        );
        let waiting = transaction(vec![spend(join.compute_txid(), 0)], vec![output(68)]);
        let child = transaction(vec![spend(waiting.compute_txid(), 0)], vec![output(67)]);
        chain.push(vec![first], vec![Vec::new()]);
        chain.push(vec![second, split], vec![Vec::new(), vec![output(50)]]);
        let joined = vec![Vec::new(), vec![output(20), output(50)]];
        chain.push(vec![coinbase(3), join], joined);
        chain.push(vec![coinbase(4)], vec![Vec::new()]);
        chain.mempool = vec![waiting, child];
        chain
    }

    fn push(&mut self, txdata: Vec<Transaction>, spent: Vec<Vec<TxOut>>) {
        let tip = self.tip().header;
        let header = Header {
            version: Version::TWO,
            prev_blockhash: tip.block_hash(),
            merkle_root: TxMerkleNode::all_zeros(),
            time: tip.time + 600,
            bits: tip.bits,
            nonce: 0,
        };
        let mut block = Block { header, txdata };
        block.header.merkle_root = block.compute_merkle_root().expect("it has a coinbase");
        self.blocks.push(block);
        self.spent.push(spent);
    }

    pub(super) fn tip(&self) -> &Block {
        self.blocks.last().expect("there is the genesis block")
    }

    pub(super) fn height(&self, hash: &BlockHash) -> Option<usize> {
        self.blocks
            .iter()
            .position(|block| block.block_hash() == *hash)
    }

    /// A transaction, of a block or of the mempool.
    pub(super) fn transaction(&self, txid: &Txid) -> Option<&Transaction> {
        let confirmed = self.blocks.iter().flat_map(|block| &block.txdata);
        confirmed
            .chain(&self.mempool)
            .find(|tx| tx.compute_txid() == *txid)
    }

    /// An output that no block spends.
    pub(super) fn unspent(&self, outpoint: &OutPoint) -> Option<&TxOut> {
        let confirmed = || self.blocks.iter().flat_map(|block| &block.txdata);
        let is_spent = confirmed()
            .flat_map(|tx| &tx.input)
            .any(|input| input.previous_output == *outpoint);
        let tx = confirmed().find(|tx| tx.compute_txid() == outpoint.txid)?;
        tx.output.get(outpoint.vout as usize).filter(|_| !is_spent)
    }

    /// Every transaction, confirmed ones first.
    pub(super) fn transactions(&self) -> impl Iterator<Item = &Transaction> {
        let confirmed = self.blocks.iter().flat_map(|block| &block.txdata);
        confirmed.chain(&self.mempool)
    }
}

fn coinbase(height: u8) -> Transaction {
    let input = TxIn {
        previous_output: OutPoint::null(),
        script_sig: ScriptBuf::from_bytes(vec![1, height, 0]),
        sequence: Sequence::MAX,
        witness: Witness::from_slice(&[[0; 32]]),
    };
    transaction(vec![input], vec![output(50)])
}

fn spend(txid: Txid, vout: u32) -> TxIn {
    TxIn {
        previous_output: OutPoint { txid, vout },
        script_sig: ScriptBuf::new(),
        sequence: Sequence::ZERO,
        witness: Witness::from_slice(&[[7; 20]]),
    }
}

fn output(bitcoin: u64) -> TxOut {
    TxOut {
        value: Amount::from_int_btc(bitcoin),
        script_pubkey: ScriptBuf::from_bytes(vec![0x51, bitcoin as u8]),
    }
}

fn transaction(input: Vec<TxIn>, output: Vec<TxOut>) -> Transaction {
    Transaction {
        version: transaction::Version::TWO,
        lock_time: LockTime::ZERO,
        input,
        output,
    }
}
