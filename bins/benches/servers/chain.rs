//! A regtest chain of the main chain's shape, the same every time, as a file that a node imports.
//!
//! No output needs a signature, so that millions of transactions take seconds. Most scripts are used once to three
//! times, some hundreds of times, three of them in every second block or more; coins are spent young, old, and within
//! their own block.

use std::io::{self, Write};

use bitcoin::absolute::LockTime;
use bitcoin::block::{Header, Version};
use bitcoin::consensus::encode::serialize;
use bitcoin::constants::genesis_block;
use bitcoin::hashes::Hash;
use bitcoin::script::{Builder, PushBytesBuf};
use bitcoin::{
    Amount, Block, BlockHash, Network, OutPoint, ScriptBuf, Sequence, Transaction, TxIn,
    TxMerkleNode, TxOut, Weight, Witness, WitnessMerkleNode, transaction,
};

use crate::script::Script;

/// Another number whenever another chain comes of the same shape: chains are kept from one run to the next.
pub(crate) const EDITION: u32 = 1;

/// How large the chain is.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Shape {
    /// How many blocks there are above those that only make coins.
    pub(crate) blocks: u32,
    /// How many payments are in each.
    pub(crate) payments: u32,
}

/// Blocks before the first payment: a coinbase is spendable after a hundred.
const MATURITY: u32 = 100;
/// Blocks whose only payments make many small coins of the first coinbases.
const FAN_OUT: u32 = 20;
/// So many small coins come of each of these.
const COINS: u64 = 2500;
/// How many blocks come after the chain, to be announced while servers are watched, and the payments in each.
pub(crate) const NEXT_BLOCKS: u32 = 15;
const NEXT_PAYMENTS: u32 = 2000;
/// How many scripts are used all the time, thousands of times, and some dozens to hundreds of times.
const HEAVY: u32 = 3;
const BUSY: u32 = 200;
const POPULAR: u32 = 10_000;

/// Numbers that look random and are the same every time (xorshift64*).
struct Dice(u64);

impl Dice {
    fn roll(&mut self, sides: u64) -> u64 {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        (self.0.wrapping_mul(0x2545_f491_4f6c_dd1d) >> 32) % sides.max(1)
    }
}

#[derive(Clone, Copy)]
struct Coin {
    outpoint: OutPoint,
    value: u64,
    script: Script,
}

struct Maker<W> {
    file: W,
    dice: Dice,
    height: u32,
    tip: BlockHash,
    /// What can be spent, the youngest last or nearly so.
    coins: Vec<Coin>,
    /// The next script that nobody has used.
    fresh: u32,
}

/// The end of a chain.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Tip {
    pub(crate) height: u32,
    pub(crate) hash: BlockHash,
}

/// Writes the chain's blocks above the genesis block to `file`, as a node's block files have them, and to `next` the
/// blocks that come after them.
pub(crate) fn write<W: Write>(shape: Shape, file: W, next: W) -> io::Result<Tip> {
    let mut maker = Maker {
        file,
        dice: Dice(0x9e37_79b9_7f4a_7c15),
        height: 0,
        tip: genesis_block(Network::Regtest).block_hash(),
        coins: Vec::new(),
        fresh: HEAVY + BUSY + POPULAR,
    };
    let mut coinbases = Vec::new();
    for _ in 0..MATURITY + FAN_OUT {
        let (block, coin) = maker.block(Vec::new());
        maker.append(&block)?;
        coinbases.push(coin);
    }
    for coinbase in coinbases.iter().take(FAN_OUT as usize) {
        let payment = maker.fan_out(*coinbase);
        let (block, _) = maker.block(vec![payment]);
        maker.append(&block)?;
    }
    for _ in 0..shape.blocks {
        let payments = (0..shape.payments).map(|_| maker.payment()).collect();
        let (block, _) = maker.block(payments);
        maker.append(&block)?;
    }
    maker.file.flush()?;
    let tip = Tip {
        height: maker.height,
        hash: maker.tip,
    };
    maker.file = next;
    for _ in 0..NEXT_BLOCKS {
        let payments = (0..NEXT_PAYMENTS).map(|_| maker.payment()).collect();
        let (block, _) = maker.block(payments);
        maker.append(&block)?;
    }
    maker.file.flush()?;
    Ok(tip)
}

impl<W: Write> Maker<W> {
    fn script(&mut self) -> Script {
        // The scripts of one class are used unequally: few of them much, many of them little.
        let unequal = |dice: &mut Dice, count: u32| {
            let below = 1 + dice.roll(count.into());
            dice.roll(below) as u32
        };
        match self.dice.roll(1000) {
            0..20 => Script(0),
            20..40 => Script(1 + self.dice.roll(u64::from(HEAVY) - 1) as u32),
            40..80 => Script(HEAVY + unequal(&mut self.dice, BUSY)),
            80..150 => Script(HEAVY + BUSY + unequal(&mut self.dice, POPULAR)),
            // One that was new a short while ago.
            150..500 => Script(self.fresh - 1 - self.dice.roll(2000) as u32),
            _ => {
                self.fresh += 1;
                Script(self.fresh - 1)
            }
        }
    }

    fn fan_out(&mut self, coin: Coin) -> Transaction {
        let value = coin.value / COINS;
        let outputs = (0..COINS).map(|_| (self.script(), value)).collect();
        self.spend(&[coin], outputs)
    }

    fn payment(&mut self) -> Transaction {
        let inputs = [1, 1, 2, 2, 2, 3][self.dice.roll(6) as usize];
        let mut from = Vec::with_capacity(inputs);
        for _ in 0..inputs {
            let count = self.coins.len() as u64;
            // Half of all coins are spent young.
            let back = match self.dice.roll(2) {
                0 => self.dice.roll(count.min(3000)),
                _ => self.dice.roll(count),
            };
            from.push(self.coins.swap_remove((count - 1 - back) as usize));
        }
        let total: u64 = from.iter().map(|coin| coin.value).sum();
        // A coin that is worth little is not split any more.
        let outputs =
            [1, 2, 2, 2, 2, 3, 3, 4, 5, 8][self.dice.roll(10) as usize].min(total / 500 + 1);
        let outputs = (0..outputs)
            .map(|_| (self.script(), total / outputs))
            .collect();
        self.spend(&from, outputs)
    }

    fn spend(&mut self, from: &[Coin], outputs: Vec<(Script, u64)>) -> Transaction {
        let tx = Transaction {
            version: transaction::Version::TWO,
            lock_time: LockTime::ZERO,
            input: from
                .iter()
                .map(|coin| coin.script.spend(coin.outpoint))
                .collect(),
            output: outputs
                .iter()
                .map(|(script, value)| TxOut {
                    value: Amount::from_sat(*value),
                    script_pubkey: script.output(),
                })
                .collect(),
        };
        let txid = tx.compute_txid();
        for (vout, (script, value)) in (0..).zip(&outputs) {
            let outpoint = OutPoint::new(txid, vout);
            if script.is_spendable() {
                self.coins.push(Coin {
                    outpoint,
                    value: *value,
                    script: *script,
                });
            }
        }
        tx
    }

    /// Makes the next block, and returns it and the coin of its coinbase.
    fn block(&mut self, payments: Vec<Transaction>) -> (Block, Coin) {
        self.height += 1;
        let height = self.height;
        let script = Script((HEAVY + BUSY + height % POPULAR) / 20 * 20);
        let value = 5_000_000_000u64 >> (height / 150).min(63);
        let mut txdata = Vec::with_capacity(payments.len() + 1);
        txdata.push(coinbase(height, script, value));
        txdata.extend(payments);
        let genesis = genesis_block(Network::Regtest).header;
        let mut block = Block {
            header: Header {
                version: Version::from_consensus(0x2000_0000),
                prev_blockhash: self.tip,
                merkle_root: TxMerkleNode::all_zeros(),
                time: 1_700_000_000 + height * 600,
                bits: genesis.bits,
                nonce: 0,
            },
            txdata,
        };
        commit_to_witnesses(&mut block);
        block.header.merkle_root = block.compute_merkle_root().unwrap();
        while block.header.validate_pow(block.header.target()).is_err() {
            block.header.nonce += 1;
        }
        assert!(block.weight() <= Weight::MAX_BLOCK, "too many payments");
        self.tip = block.block_hash();
        let coin = Coin {
            outpoint: OutPoint::new(block.txdata[0].compute_txid(), 0),
            value,
            script,
        };
        (block, coin)
    }

    fn append(&mut self, block: &Block) -> io::Result<()> {
        let bytes = serialize(block);
        self.file.write_all(&Network::Regtest.magic().to_bytes())?;
        self.file.write_all(&(bytes.len() as u32).to_le_bytes())?;
        self.file.write_all(&bytes)
    }
}

fn coinbase(height: u32, script: Script, value: u64) -> Transaction {
    let script_sig = Builder::new()
        .push_int(height.into())
        .push_int(0)
        .into_script();
    let input = TxIn {
        previous_output: OutPoint::null(),
        script_sig,
        sequence: Sequence::MAX,
        witness: Witness::from_slice(&[[0; 32]]),
    };
    let output = TxOut {
        value: Amount::from_sat(value),
        script_pubkey: script.output(),
    };
    Transaction {
        version: transaction::Version::TWO,
        lock_time: LockTime::ZERO,
        input: vec![input],
        output: vec![output],
    }
}

/// Adds the output that commits to the witnesses, as BIP141 asks for.
fn commit_to_witnesses(block: &mut Block) {
    let Some(root) = block.witness_root() else {
        return;
    };
    let root = WitnessMerkleNode::from_byte_array(root.to_byte_array());
    let commitment = Block::compute_witness_commitment(&root, &[0; 32]);
    let mut data = vec![0xaa, 0x21, 0xa9, 0xed];
    data.extend_from_slice(commitment.as_byte_array());
    let data = PushBytesBuf::try_from(data).expect("36 bytes");
    block.txdata[0].output.push(TxOut {
        value: Amount::ZERO,
        script_pubkey: ScriptBuf::new_op_return(data),
    });
}
