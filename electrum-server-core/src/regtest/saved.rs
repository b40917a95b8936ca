//! The node's state as text, to be kept between runs of a program.

use std::fmt::Write;

use bitcoin::consensus::encode::{deserialize_hex, serialize_hex};
use bitcoin::{Amount, Block, BlockHash, Transaction};

use super::faucet::Faucet;
use super::mempool::Terms;
use super::node::{RegtestNode, RegtestOptions};

/// The first line; another number means another format.
const HEADLINE: &str = "regtest state 1";

/// Text that is not a saved state.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum LoadError {
    /// The text does not begin as it should.
    #[error("not a saved regtest state: the first line is not {HEADLINE:?}")]
    Headline,
    /// A line makes no sense.
    #[error("line {number} of the saved state is damaged: {text}")]
    Line {
        /// Its number, from 1 on.
        number: usize,
        /// How it begins.
        text: String,
    },
    /// The blocks do not lead to the tip that was saved.
    #[error("the saved blocks end with {found}, not with {saved}")]
    Tip {
        /// The tip that was saved.
        saved: BlockHash,
        /// The tip that came out.
        found: BlockHash,
    },
}

impl RegtestNode {
    /// Writes the state down: chain with all branches, mempool, faucet, clock. A line is a word and a value.
    pub fn save(&self) -> String {
        let mut text = format!("{HEADLINE}\n");
        self.read(|state| {
            let mut line = |word: &str, value: &dyn std::fmt::Display| {
                // Writing to a string does not fail.
                let _ = writeln!(text, "{word} {value}");
            };
            line("seed", &state.faucet.seed());
            line("scripts", &state.faucet.scripts());
            line("mined", &state.mined);
            if let Some(time) = state.time {
                line("time", &time);
            }
            if let Some(rate) = state.fee_estimate {
                line("estimate", &rate.to_sat());
            }
            for entry in state.chain.all_blocks() {
                line("block", &serialize_hex(&entry.block));
            }
            for hash in state.chain.invalid() {
                line("invalid", hash);
            }
            for tx in state.mempool.in_order() {
                line("transaction", &serialize_hex(&tx.tx));
            }
            line("tip", &state.chain.tip());
        });
        text
    }

    /// Makes a node from what [`save`](Self::save) has written; of the options only the clock counts.
    ///
    /// # Errors
    ///
    /// See [`LoadError`].
    pub fn load(text: &str, options: RegtestOptions) -> Result<Self, LoadError> {
        let node = Self::new(RegtestOptions {
            blocks: 0,
            ..options
        });
        let mut lines = (1..).zip(text.lines());
        if lines.next().is_none_or(|(_, line)| line != HEADLINE) {
            return Err(LoadError::Headline);
        }
        let mut tip = None;
        let mut mined = 0;
        for (number, line) in lines {
            let damaged = || LoadError::Line {
                number,
                text: line.chars().take(40).collect(),
            };
            let (word, value) = line.split_once(' ').ok_or_else(damaged)?;
            let count = || value.parse::<u64>().map_err(|_| damaged());
            match word {
                "seed" => {
                    let faucet = Faucet::new(count()?);
                    node.change(|state, _| state.faucet = faucet);
                }
                "scripts" => {
                    let scripts = count()?;
                    let given_out = node.change(|state, _| {
                        (state.faucet.scripts()..scripts)
                            .all(|_| state.faucet.next_script().is_some())
                    });
                    if !given_out {
                        return Err(damaged());
                    }
                }
                "mined" => mined = count()?,
                "time" => node.set_time(Some(value.parse().map_err(|_| damaged())?)),
                "estimate" => node.set_fee_estimate(Some(Amount::from_sat(count()?))),
                "block" => {
                    let block: Block = deserialize_hex(value).map_err(|_| damaged())?;
                    // One that is refused may have been refused before; the tip tells.
                    node.change(|state, _| state.submit(block, u32::MAX)).ok();
                }
                "invalid" => {
                    let hash: BlockHash = value.parse().map_err(|_| damaged())?;
                    node.change(|state, now| {
                        let mut steps = Vec::new();
                        state.chain.invalidate(&hash, &mut steps);
                        state.settle(&steps, now);
                    });
                }
                "transaction" => {
                    let tx: Transaction = deserialize_hex(value).map_err(|_| damaged())?;
                    // What paid too little for itself came with somebody who paid.
                    node.change(|state, now| state.accept(&tx, Terms::Returning, now))
                        .map_err(|_| damaged())?;
                }
                "tip" => tip = Some(value.parse::<BlockHash>().map_err(|_| damaged())?),
                _ => return Err(damaged()),
            }
        }
        node.change(|state, _| state.mined = mined);
        let found = node.best_block().hash;
        match tip {
            Some(saved) if saved == found => Ok(node),
            Some(saved) => Err(LoadError::Tip { saved, found }),
            None => Err(LoadError::Line {
                number: text.lines().count(),
                text: "no tip".to_owned(),
            }),
        }
    }
}
