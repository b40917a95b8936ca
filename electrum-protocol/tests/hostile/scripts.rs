//! A server that says anything about scripts, now and then something that fits.

use electrum_protocol::bitcoin::block::{Header, Version};
use electrum_protocol::bitcoin::consensus::encode;
use electrum_protocol::bitcoin::hashes::{Hash, sha256d};
use electrum_protocol::bitcoin::{
    Amount, Network, OutPoint, ScriptBuf, Sequence, Transaction, TxIn, TxMerkleNode, TxOut, Txid,
    Witness, absolute, constants, transaction,
};
use electrum_protocol::header_chain::Checkpoint;
use electrum_protocol::method::block::HeaderResponse;
use electrum_protocol::method::scriptpubkey::History;
use electrum_protocol::method::transaction::{GetResponse, MerkleResponse};
use electrum_protocol::script_sync::{Config, Headers, Limits};
use electrum_protocol::{
    CheckpointProof, Confirmation, HistoryEntry, Notification, ProtocolVersion, Request, Response,
    ScriptHash, ScriptSync, Status, merkle, status,
};

/// Headers up to here have to be proven, and can be.
pub(crate) const CHECKPOINT: u32 = 400;
/// So many above it are known.
pub(crate) const KNOWN: u32 = 20;

/// Numbers as choices; zero when there are none left.
pub(crate) struct Choices<'a>(pub(crate) &'a [u32]);

impl Choices<'_> {
    pub(crate) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    pub(crate) fn next(&mut self) -> u32 {
        let Some((first, rest)) = self.0.split_first() else {
            return 0;
        };
        self.0 = rest;
        *first
    }

    /// Whether one of so many comes up.
    pub(crate) fn one_in(&mut self, count: u32) -> bool {
        self.next().is_multiple_of(count)
    }

    pub(crate) fn below(&mut self, end: usize) -> usize {
        self.next() as usize % end
    }
}

pub(crate) type Wallet = ScriptSync<u8>;

/// A wallet with two keychains, which have a script in common.
pub(crate) fn wallet(version: ProtocolVersion, limits: Limits) -> Wallet {
    let config = Config {
        proofs: true,
        limits,
    };
    let mut wallet = ScriptSync::new(version, config).unwrap();
    for keychain in [0, 1] {
        let derive = move |index| Some(script(if index == 1 { 0 } else { keychain }, index));
        wallet.add_keychain(keychain, 3, derive).unwrap();
    }
    wallet
}

pub(crate) fn script(keychain: u8, index: u32) -> ScriptBuf {
    let mut bytes = vec![keychain; 30];
    bytes.extend_from_slice(&index.to_be_bytes());
    ScriptBuf::from_bytes(bytes)
}

/// A hash of no transaction.
pub(crate) fn unknown_txid(seed: u32) -> Txid {
    Txid::from_raw_hash(sha256d::Hash::hash(&seed.to_le_bytes()))
}

/// A chain, every block of which has one of the transactions.
pub(crate) struct Hostile {
    transactions: Vec<Transaction>,
    headers: Vec<Header>,
    proofs: Vec<Vec<sha256d::Hash>>,
    root: sha256d::Hash,
}

impl Hostile {
    pub(crate) fn new() -> Self {
        let transactions = transactions();
        let mut headers = vec![constants::genesis_block(Network::Regtest).header];
        for height in 1..=CHECKPOINT + KNOWN + 1 {
            let last = headers[headers.len() - 1];
            let transaction = &transactions[height as usize % transactions.len()];
            headers.push(Header {
                version: Version::TWO,
                prev_blockhash: last.block_hash(),
                merkle_root: TxMerkleNode::from_raw_hash(transaction.compute_txid().to_raw_hash()),
                ..last
            });
        }
        let under = headers.iter().take(CHECKPOINT as usize + 1);
        let leaves: Vec<_> = under
            .map(|header| header.block_hash().to_raw_hash())
            .collect();
        let proofs = (0..leaves.len()).map(|height| merkle::branch(&leaves, height).unwrap());
        let (proofs, roots): (_, Vec<_>) = proofs.unzip();
        Self {
            transactions,
            headers,
            proofs,
            root: roots[0],
        }
    }

    pub(crate) fn header_at(&self, height: u32) -> Header {
        self.headers[height as usize]
    }

    pub(crate) fn notification(&self, choices: &mut Choices<'_>) -> Notification {
        let keychain = (choices.next() % 2) as u8;
        Notification::ScriptHash {
            script_hash: ScriptHash::from_script(&script(keychain, choices.next() % 14)),
            status: self.status(choices),
        }
    }

    /// The header of a height with its proof.
    pub(crate) fn header_response(&self, height: u32) -> Response {
        let proof = CheckpointProof {
            branch: self.proofs[height as usize].clone(),
            root: self.root,
        };
        Response::BlockHeader(HeaderResponse {
            header: self.header_at(height),
            proof: Some(proof),
        })
    }

    /// The status of a history that may come, or of none.
    fn status(&self, choices: &mut Choices<'_>) -> Option<Status> {
        match choices.next() % 8 {
            0 => None,
            1 => Some(Status::from_byte_array([choices.next() as u8; 32])),
            _ => status::status(&self.some_history(choices)),
        }
    }

    /// Mostly one of a few, so that it has the status that was told now and then.
    fn some_history(&self, choices: &mut Choices<'_>) -> Vec<HistoryEntry> {
        match choices.one_in(4) {
            true => self.history(choices.next()),
            false => self.history(choices.next() % 3),
        }
    }

    /// One of many histories: of transactions that are there or not, at heights of all kinds.
    fn history(&self, seed: u32) -> Vec<HistoryEntry> {
        let seeds: Vec<u32> = (0..150)
            .map(|index: u32| {
                let bytes = [seed, index].map(u32::to_le_bytes).concat();
                let hash = sha256d::Hash::hash(&bytes).to_byte_array();
                u32::from_le_bytes([hash[0], hash[1], hash[2], hash[3]])
            })
            .collect();
        let mut choices = Choices(&seeds);
        let count = [0, 1, 3, 15, 40][choices.below(5)];
        let is_real = !choices.one_in(4);
        let mut entries: Vec<HistoryEntry> = Vec::new();
        for _ in 0..count {
            let index = choices.below(self.transactions.len());
            let txid = match is_real {
                true => self.transactions[index].compute_txid(),
                false => unknown_txid(choices.next()),
            };
            let any = choices.next() % (CHECKPOINT + KNOWN + 50);
            let height = match choices.one_in(4) {
                true => i64::from(any) - 1,
                // A block that it is in.
                false => i64::from(any) / 40 * 40 + index as i64,
            };
            if entries.iter().all(|entry| entry.txid != txid) {
                entries.push(HistoryEntry {
                    txid,
                    confirmation: Confirmation::from_wire_height(height).unwrap(),
                    fee: (height <= 0).then_some(Amount::from_sat(height.unsigned_abs())),
                });
            }
        }
        if !seed.is_multiple_of(9) {
            entries.sort_by(status::mempool_order);
        }
        entries
    }

    pub(crate) fn answer(&self, request: &Request, choices: &mut Choices<'_>) -> Response {
        match request {
            Request::ScripthashSubscribe(_) => Response::ScripthashSubscribe(self.status(choices)),
            Request::ScriptpubkeySubscribe(_) => {
                Response::ScriptpubkeySubscribe(self.status(choices))
            }
            Request::ScripthashGetHistory(_) => {
                let mut history = self.some_history(choices);
                history.reserve(100);
                Response::ScripthashGetHistory(history)
            }
            Request::ScriptpubkeyGetHistory(_) => {
                Response::ScriptpubkeyGetHistory(History(self.some_history(choices)))
            }
            Request::TransactionGet(asked) => {
                let all = &self.transactions;
                let right = all.iter().find(|tx| tx.compute_txid() == asked.txid);
                let right = right.filter(|_| !choices.one_in(8));
                let transaction = right.unwrap_or_else(|| &all[choices.below(all.len())]);
                Response::TransactionGet(GetResponse::Raw(encode::serialize(transaction)))
            }
            Request::TransactionGetMerkle(asked) => {
                Response::TransactionGetMerkle(MerkleResponse {
                    block_height: asked.height.unwrap() + u32::from(choices.one_in(8)),
                    merkle: vec![self.root; choices.below(2) * choices.below(40)],
                    pos: u32::from(choices.one_in(8)),
                })
            }
            Request::BlockHeader(asked) => {
                let other = u32::from(choices.one_in(8));
                self.header_response(asked.height.saturating_sub(other))
            }
            other => panic!("{other:?} is not asked"),
        }
    }
}

impl Headers for Hostile {
    fn height(&self) -> u32 {
        CHECKPOINT + KNOWN
    }

    fn header(&self, height: u32) -> Option<Header> {
        let known = CHECKPOINT + 1..=CHECKPOINT + KNOWN;
        known.contains(&height).then(|| self.header_at(height))
    }

    fn checkpoint(&self) -> Option<Checkpoint> {
        Some(Checkpoint {
            height: CHECKPOINT,
            root: self.root,
        })
    }
}

/// Transactions of all shapes, with what takes the most room for its length among them.
fn transactions() -> Vec<Transaction> {
    let shapes = [
        (1, 0, 1),
        // A witness of nothing but empty elements.
        (1, 1000, 1),
        (1, 300, 0),
        // Inputs with the shortest witness.
        (50, 1, 1),
        (1, 0, 300),
        (2, 2, 2),
    ];
    let shapes = shapes.into_iter().cycle().zip(0..40);
    shapes
        .map(|((inputs, elements, outputs), seed)| transaction(seed, inputs, elements, outputs))
        .collect()
}

/// A transaction with so many inputs, with as many empty elements each, and outputs: one to a script of the wallet, the
/// others to the empty one.
pub(crate) fn transaction(seed: u32, inputs: u32, elements: usize, outputs: u32) -> Transaction {
    let input = |index| TxIn {
        previous_output: OutPoint::new(unknown_txid(seed), index),
        script_sig: ScriptBuf::new(),
        sequence: Sequence::MAX,
        witness: Witness::from_slice(&vec![[]; elements]),
    };
    let output = |index| TxOut {
        value: Amount::from_sat(1),
        script_pubkey: match index {
            0 => script(0, seed % 5),
            _ => ScriptBuf::new(),
        },
    };
    Transaction {
        version: transaction::Version::TWO,
        lock_time: absolute::LockTime::from_consensus(seed),
        input: (0..inputs).map(input).collect(),
        output: (0..outputs).map(output).collect(),
    }
}
