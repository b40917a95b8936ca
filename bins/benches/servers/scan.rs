//! The plain scan of the chain's blocks: what servers ought to answer, found out without any index.

use std::collections::HashMap;
use std::fs::File;
use std::hash::{BuildHasherDefault, Hasher};
use std::io::{self, BufReader, Read};
use std::ops::{Range, RangeInclusive};
use std::path::Path;

use bitcoin::consensus::deserialize;
use bitcoin::constants::genesis_block;
use bitcoin::hashes::{Hash, HashEngine, sha256};
use bitcoin::{Block, Network, OutPoint, Script, Txid};

/// Takes the beginning of a hash as its hash.
#[derive(Default)]
pub(crate) struct Beginning(u64);

impl Hasher for Beginning {
    fn write(&mut self, bytes: &[u8]) {
        let mut beginning = [0; 8];
        for (to, from) in beginning.iter_mut().zip(bytes) {
            *to = *from;
        }
        self.0 = self.0.rotate_left(20) ^ u64::from_le_bytes(beginning);
    }

    fn finish(&self) -> u64 {
        self.0
    }
}

type ByHash<K> = HashMap<K, u32, BuildHasherDefault<Beginning>>;

/// The script of an output that nobody can ask for.
const NOBODY: u32 = u32::MAX;

/// An output that is not spent.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Unspent {
    pub(crate) height: u32,
    pub(crate) txid: Txid,
    pub(crate) vout: u32,
    pub(crate) value: u64,
}

/// All transactions in the order of the chain, and which of them touch each script.
#[derive(Default)]
pub(crate) struct Chain {
    pub(crate) height: u32,
    pub(crate) inputs: u64,
    txids: Vec<Txid>,
    /// The height of each transaction's block.
    heights: Vec<u32>,
    /// Where each transaction's outputs begin, and where the last one's end.
    first_outputs: Vec<u32>,
    outputs: Vec<(u32, u64)>,
    spent: Vec<bool>,
    /// SHA256 of each script.
    scripts: Vec<[u8; 32]>,
    /// Script and transaction, sorted: each pair once.
    touches: Vec<(u32, u32)>,
    /// Where each script's part of these begins, and where the last one's ends.
    first_touches: Vec<u32>,
    script_numbers: ByHash<[u8; 32]>,
}

/// Reads the blocks of a file as [`crate::chain::write`] writes them.
pub(crate) fn blocks(path: &Path) -> io::Result<impl Iterator<Item = Block>> {
    let mut file = BufReader::with_capacity(1 << 20, File::open(path)?);
    let mut bytes = Vec::new();
    Ok(std::iter::from_fn(move || {
        let mut head = [0; 8];
        file.read_exact(&mut head).ok()?;
        let size = u32::from_le_bytes([head[4], head[5], head[6], head[7]]);
        bytes.resize(size as usize, 0);
        file.read_exact(&mut bytes).ok()?;
        Some(deserialize(&bytes).unwrap())
    }))
}

/// SHA256 of a script.
pub(crate) fn hash(script: &Script) -> [u8; 32] {
    sha256::Hash::hash(script.as_bytes()).to_byte_array()
}

/// The hash of a script as the protocol writes it.
pub(crate) fn wire(hash: &[u8; 32]) -> String {
    hash.iter()
        .rev()
        .map(|byte| format!("{byte:02x}"))
        .collect()
}

impl Chain {
    /// Reads all blocks above the genesis block.
    pub(crate) fn read(path: &Path) -> io::Result<Self> {
        let mut chain = Self::default();
        let mut numbers = ByHash::<Txid>::default();
        for block in blocks(path)? {
            if chain.txids.is_empty() {
                let genesis = genesis_block(Network::Regtest).block_hash();
                assert_eq!(block.header.prev_blockhash, genesis);
            }
            chain.height += 1;
            chain.add(&block, &mut numbers);
        }
        chain.first_outputs.push(chain.outputs.len() as u32);
        chain.touches.sort_unstable();
        chain.touches.dedup();
        let mut at = 0;
        for script in 0..=chain.scripts.len() as u32 {
            while chain.touches.get(at).is_some_and(|(of, _)| *of < script) {
                at += 1;
            }
            chain.first_touches.push(at as u32);
        }
        Ok(chain)
    }

    fn add(&mut self, block: &Block, numbers: &mut ByHash<Txid>) {
        for tx in &block.txdata {
            let number = self.txids.len() as u32;
            for input in &tx.input {
                if input.previous_output == OutPoint::null() {
                    continue;
                }
                let from = numbers[&input.previous_output.txid] as usize;
                let output = (self.first_outputs[from] + input.previous_output.vout) as usize;
                self.spent[output] = true;
                self.touches.push((self.outputs[output].0, number));
                self.inputs += 1;
            }
            let txid = tx.compute_txid();
            numbers.insert(txid, number);
            self.txids.push(txid);
            self.heights.push(self.height);
            self.first_outputs.push(self.outputs.len() as u32);
            for output in &tx.output {
                let script = match output.script_pubkey.is_op_return() {
                    true => NOBODY,
                    false => self.script(hash(&output.script_pubkey)),
                };
                self.outputs.push((script, output.value.to_sat()));
                self.spent.push(false);
                if script != NOBODY {
                    self.touches.push((script, number));
                }
            }
        }
    }

    fn script(&mut self, hash: [u8; 32]) -> u32 {
        let next = self.scripts.len() as u32;
        let number = *self.script_numbers.entry(hash).or_insert(next);
        if number == next {
            self.scripts.push(hash);
        }
        number
    }

    pub(crate) fn transactions(&self) -> usize {
        self.txids.len()
    }

    pub(crate) fn outputs(&self) -> usize {
        self.outputs.len()
    }

    pub(crate) fn scripts(&self) -> usize {
        self.scripts.len()
    }

    /// The script with this hash, if it occurs.
    pub(crate) fn number(&self, hash: &[u8; 32]) -> Option<u32> {
        self.script_numbers.get(hash).copied()
    }

    /// The hash of a script as the protocol writes it.
    pub(crate) fn wire(&self, script: u32) -> String {
        wire(&self.scripts[script as usize])
    }

    fn touches(&self, script: u32) -> Range<usize> {
        let at = script as usize;
        self.first_touches[at] as usize..self.first_touches[at + 1] as usize
    }

    /// How many transactions touch the script.
    pub(crate) fn uses(&self, script: u32) -> usize {
        self.touches(script).len()
    }

    /// At most `count` scripts that so many transactions touch, in an order that is mixed and always the same.
    pub(crate) fn used(&self, uses: RangeInclusive<usize>, count: usize) -> Vec<u32> {
        let mut found: Vec<u32> = (0..self.scripts.len() as u32)
            .filter(|script| uses.contains(&self.uses(*script)))
            .collect();
        found.sort_by_key(|script| script.wrapping_mul(0x9e37_79b1).rotate_left(7));
        found.truncate(count);
        found
    }

    /// At most `count` transactions and the heights of their blocks, from the whole chain, in mixed order.
    pub(crate) fn some_transactions(&self, count: usize) -> Vec<(Txid, u32)> {
        let all = self.txids.len();
        let mut found: Vec<usize> = (0..count).map(|number| number * all / count).collect();
        found.dedup();
        found.sort_by_key(|number| (*number as u32).wrapping_mul(0x9e37_79b1).rotate_left(7));
        let entry = |number: usize| (self.txids[number], self.heights[number]);
        found.into_iter().map(entry).collect()
    }

    /// The transactions that touch the script, in the order of the chain.
    pub(crate) fn history(&self, script: u32) -> Vec<(Txid, u32)> {
        self.touches[self.touches(script)]
            .iter()
            .map(|(_, tx)| (self.txids[*tx as usize], self.heights[*tx as usize]))
            .collect()
    }

    /// What is unspent, sorted.
    pub(crate) fn unspent(&self, script: u32) -> Vec<Unspent> {
        let mut found = Vec::new();
        for (_, tx) in &self.touches[self.touches(script)] {
            let tx = *tx as usize;
            let outputs = self.first_outputs[tx]..self.first_outputs[tx + 1];
            for (vout, output) in (0..).zip(outputs) {
                let output = output as usize;
                let (of, value) = self.outputs[output];
                if of == script && !self.spent[output] {
                    found.push(Unspent {
                        height: self.heights[tx],
                        txid: self.txids[tx],
                        vout,
                        value,
                    });
                }
            }
        }
        found.sort();
        found
    }

    /// The status of the script as the protocol writes it.
    pub(crate) fn status(&self, script: u32) -> String {
        let mut engine = sha256::Hash::engine();
        for (txid, height) in self.history(script) {
            engine.input(format!("{txid}:{height}:").as_bytes());
        }
        sha256::Hash::from_engine(engine).to_string()
    }
}
