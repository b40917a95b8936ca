//! A regtest chain of the main chain's shape, the same every time, as a file that a node imports.
//!
//! No output needs a signature, so that millions of transactions take seconds. Most scripts are used once to three
//! times, some hundreds of times, three of them in every second block or more; coins are spent young, old, and within
//! their own block.

use std::io::{self, Write};

use bitcoin::absolute::LockTime;
use bitcoin::block::{Header, Version};
use bitcoin::consensus::Encodable;
use bitcoin::constants::genesis_block;
use bitcoin::hashes::Hash;
use bitcoin::opcodes::all::{OP_DROP, OP_PUSHNUM_1};
use bitcoin::script::{Builder, PushBytesBuf};
use bitcoin::{
    Amount, Block, BlockHash, Network, OutPoint, ScriptBuf, Sequence, Transaction, TxIn,
    TxMerkleNode, TxOut, Witness, WitnessMerkleNode, transaction,
};

/// How large the chain is.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Shape {
    /// How many blocks there are above those that only make coins.
    pub(crate) blocks: u32,
    /// How many payments are in each.
    pub(crate) payments: u32,
}

/// What the chain has, for those who ask servers about it.
#[derive(Debug, Default)]
pub(crate) struct Facts {
    pub(crate) height: u32,
    pub(crate) transactions: u64,
    pub(crate) inputs: u64,
    pub(crate) outputs: u64,
    /// How many transactions touch each script: by number.
    pub(crate) uses: Vec<u32>,
    /// Some transactions and the heights of their blocks.
    pub(crate) samples: Vec<(bitcoin::Txid, u32)>,
}

/// Blocks before the first payment: a coinbase is spendable after a hundred.
const MATURITY: u32 = 100;
/// Blocks whose only payments make many small coins of the first coinbases.
const FAN_OUT: u32 = 20;
/// So many small coins come of each of these.
const COINS: u64 = 2500;
/// How many scripts are used all the time, thousands of times, and some hundred times.
const HEAVY: u32 = 3;
const BUSY: u32 = 200;
const POPULAR: u32 = 5000;
/// Transactions that are remembered.
const SAMPLES: u64 = 20_000;

/// The script with a number: one of several kinds, and each number another.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Script(pub(crate) u32);

impl Script {
    /// What has to be revealed, or stands in the output itself.
    fn revealed(self) -> ScriptBuf {
        Builder::new()
            .push_slice(self.0.to_le_bytes())
            .push_opcode(OP_DROP)
            .push_opcode(OP_PUSHNUM_1)
            .into_script()
    }

    /// What stands in the output.
    pub(crate) fn output(self) -> ScriptBuf {
        let revealed = self.revealed();
        match self.0 % 8 {
            0..=4 => revealed.to_p2wsh(),
            5 => revealed.to_p2sh(),
            6 => revealed.to_p2wsh().to_p2sh(),
            _ => revealed,
        }
    }

    fn spend(self, outpoint: OutPoint) -> TxIn {
        let revealed = self.revealed();
        let push = |script: &ScriptBuf| {
            let bytes = PushBytesBuf::try_from(script.to_bytes()).expect("a few dozen bytes");
            Builder::new().push_slice(bytes).into_script()
        };
        let witness = || Witness::from_slice(&[revealed.as_bytes()]);
        let (script_sig, witness) = match self.0 % 8 {
            0..=4 => (ScriptBuf::new(), witness()),
            5 => (push(&revealed), Witness::new()),
            6 => (push(&revealed.to_p2wsh()), witness()),
            _ => (ScriptBuf::new(), Witness::new()),
        };
        TxIn {
            previous_output: outpoint,
            script_sig,
            sequence: Sequence::MAX,
            witness,
        }
    }
}

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
    tip: BlockHash,
    coins: Vec<Coin>,
    /// The next script that nobody has used.
    fresh: u32,
    facts: Facts,
}

/// Writes the chain's blocks above the genesis block.
pub(crate) fn write(shape: Shape, file: impl Write) -> io::Result<Facts> {
    let mut maker = Maker {
        file,
        dice: Dice(0x9e37_79b9_7f4a_7c15),
        tip: genesis_block(Network::Regtest).block_hash(),
        coins: Vec::new(),
        fresh: HEAVY + BUSY + POPULAR,
        facts: Facts::default(),
    };
    let mut coinbases = Vec::new();
    for _ in 0..MATURITY + 1 {
        coinbases.push(maker.block(Vec::new())?);
    }
    for coinbase in coinbases.iter().take(FAN_OUT as usize) {
        let payment = maker.fan_out(*coinbase);
        maker.block(vec![payment])?;
    }
    for _ in 0..shape.blocks {
        let payments = (0..shape.payments).map(|_| maker.payment()).collect();
        maker.block(payments)?;
    }
    maker.file.flush()?;
    Ok(maker.facts)
}

impl<W: Write> Maker<W> {
    fn script(&mut self) -> Script {
        match self.dice.roll(100) {
            0..3 => Script(0),
            3..6 => Script(1 + self.dice.roll(u64::from(HEAVY) - 1) as u32),
            6..10 => Script(HEAVY + self.dice.roll(BUSY.into()) as u32),
            10..15 => Script(HEAVY + BUSY + self.dice.roll(POPULAR.into()) as u32),
            // One that was new a short while ago.
            15..50 => Script(self.fresh - 1 - self.dice.roll(2000) as u32),
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
            self.coins.push(Coin {
                outpoint,
                value: *value,
                script: *script,
            });
        }
        let mut touched: Vec<Script> = from.iter().map(|coin| coin.script).collect();
        touched.extend(outputs.iter().map(|(script, _)| *script));
        self.note(&touched);
        tx
    }

    fn note(&mut self, touched: &[Script]) {
        let mut numbers: Vec<u32> = touched.iter().map(|script| script.0).collect();
        numbers.sort_unstable();
        numbers.dedup();
        for number in numbers {
            let number = number as usize;
            if self.facts.uses.len() <= number {
                self.facts.uses.resize(number + 1, 0);
            }
            self.facts.uses[number] += 1;
        }
    }

    /// Writes a block, and returns the coin of its coinbase.
    fn block(&mut self, payments: Vec<Transaction>) -> io::Result<Coin> {
        let height = self.facts.height + 1;
        let script = Script(HEAVY + BUSY + height % POPULAR);
        let value = 5_000_000_000u64 >> (height / 150).min(63);
        let mut txdata = Vec::with_capacity(payments.len() + 1);
        txdata.push(coinbase(height, script, value));
        txdata.extend(payments);
        let mut block = Block {
            header: Header {
                version: Version::from_consensus(0x2000_0000),
                prev_blockhash: self.tip,
                merkle_root: TxMerkleNode::all_zeros(),
                time: 1_700_000_000 + height * 600,
                bits: genesis_block(Network::Regtest).header.bits,
                nonce: 0,
            },
            txdata,
        };
        commit_to_witnesses(&mut block);
        block.header.merkle_root = block.compute_merkle_root().expect("there is a coinbase");
        while block.header.validate_pow(block.header.target()).is_err() {
            block.header.nonce += 1;
        }
        self.tip = block.block_hash();
        let mut bytes = Vec::new();
        block.consensus_encode(&mut bytes)?;
        self.file.write_all(&Network::Regtest.magic().to_bytes())?;
        self.file.write_all(&(bytes.len() as u32).to_le_bytes())?;
        self.file.write_all(&bytes)?;

        self.note(&[script]);
        let facts = &mut self.facts;
        facts.height = height;
        for (position, tx) in block.txdata.iter().enumerate() {
            facts.transactions += 1;
            facts.inputs += tx.input.len() as u64;
            facts.outputs += tx.output.len() as u64;
            if position > 0 && self.dice.roll(100) == 0 && (facts.samples.len() as u64) < SAMPLES {
                facts.samples.push((tx.compute_txid(), height));
            }
        }
        let outpoint = OutPoint::new(block.txdata[0].compute_txid(), 0);
        Ok(Coin {
            outpoint,
            value,
            script,
        })
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
