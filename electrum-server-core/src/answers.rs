//! Answers that several clients may want, kept for as long as they hold.
//!
//! An answer belongs to the view that it was computed from. Before a newer view is published, everything that it may
//! change is [forgotten](Answers::advance); what is left holds in the newer view as well. So an answer that is found is
//! the one that would be computed, and what many wallets watch is computed once after each change.

mod shared;

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, RwLock};

use bitcoin::Txid;
use electrum_protocol::method::scripthash::HeightRange;
use electrum_protocol::{Request, ScriptHash, Status};
use quick_cache::Weighter;
use quick_cache::sync::Cache;

use crate::notify::Touched;
use shared::Sharing;
pub(crate) use shared::{Making, News, SharedAnswer};

/// What an entry takes besides its bytes: key, pointers, the cache's own records. Measured, and rounded up.
const OVERHEAD: u64 = 160;
/// A larger answer than this part of the memory is not kept.
const LARGEST: usize = 16;
/// The part of the memory that is for statuses.
const STATUS_SHARE: u64 = 8;
/// Of how many large answers it is kept how large they are.
const EXTENTS: usize = 4096;
/// What is expected of an answer, in bytes.
const TYPICAL: u64 = 512;

/// A question whose answer is kept as it is sent: it looks the same in every version of the protocol that has it. What
/// one version wraps differently is another question.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Question {
    History(ScriptHash),
    Balance(ScriptHash),
    Unspent(ScriptHash),
    /// The history as sessions that name scripts by themselves have it.
    WrappedHistory(ScriptHash),
    /// The unspent outputs as those have them.
    WrappedUnspent(ScriptHash),
    /// Of a confirmed transaction.
    Transaction(Txid),
    /// Of a transaction in the block at a height, or wherever it is.
    Merkle(Txid, Option<u32>),
}

impl Question {
    /// The questions about a script, which are answered anew when it is touched.
    const OF_SCRIPTS: [fn(ScriptHash) -> Self; 5] = [
        Self::History,
        Self::Balance,
        Self::Unspent,
        Self::WrappedHistory,
        Self::WrappedUnspent,
    ];

    /// Returns the question that a request asks, if its answer is worth keeping.
    pub(crate) fn of(request: &Request) -> Option<Self> {
        let hash = |script| ScriptHash::from_script(script);
        Some(match request {
            Request::ScripthashGetHistory(params) if params.heights == HeightRange::ALL => {
                Self::History(params.script_hash)
            }
            Request::ScriptpubkeyGetHistory(params) if params.heights == HeightRange::ALL => {
                Self::WrappedHistory(hash(&params.script))
            }
            Request::ScriptpubkeyGetBalance(params) => Self::Balance(hash(&params.script)),
            Request::ScriptpubkeyListUnspent(params) => Self::WrappedUnspent(hash(&params.script)),
            Request::ScripthashGetBalance(params) => Self::Balance(params.script_hash),
            Request::ScripthashListUnspent(params) => Self::Unspent(params.script_hash),
            Request::TransactionGet(params) if !params.verbose => Self::Transaction(params.txid),
            Request::TransactionGetMerkle(params) => Self::Merkle(params.txid, params.height),
            _ => return None,
        })
    }

    /// The transaction that it asks for, which must be a confirmed one for the answer to be kept.
    pub(crate) fn transaction(&self) -> Option<Txid> {
        match self {
            Self::Transaction(txid) => Some(*txid),
            _ => None,
        }
    }
}

/// An answer, and the view that it was computed from.
#[derive(Clone, Debug)]
struct Kept<T> {
    sequence: u64,
    value: T,
}

#[derive(Clone, Copy, Debug)]
struct Bytes;

impl Weighter<Question, Kept<Arc<[u8]>>> for Bytes {
    fn weight(&self, _: &Question, kept: &Kept<Arc<[u8]>>) -> u64 {
        OVERHEAD + kept.value.len() as u64
    }
}

/// The answers of a server, within a bound of memory.
#[derive(Debug)]
pub(crate) struct Answers {
    /// The view to which everything here was brought. Changed under the lock, so that nothing is kept that was computed
    /// from the view before while that is happening.
    sequence: AtomicU64,
    advancing: RwLock<()>,
    results: Cache<Question, Kept<Arc<[u8]>>, Bytes>,
    statuses: Cache<ScriptHash, Kept<Option<Status>>>,
    /// How large the answers are that it takes long to count.
    extents: Cache<Question, Kept<usize>>,
    sharing: Arc<Sharing>,
    largest: usize,
}

impl Answers {
    /// Begins with a view, and with room for `memory` bytes.
    pub(crate) fn new(sequence: u64, memory: usize) -> Self {
        let for_statuses = memory as u64 / STATUS_SHARE;
        let for_results = memory as u64 - for_statuses;
        let expected = usize::try_from(for_results / TYPICAL).unwrap_or(usize::MAX);
        let statuses = usize::try_from(for_statuses / OVERHEAD).unwrap_or(usize::MAX);
        Self {
            sequence: AtomicU64::new(sequence),
            advancing: RwLock::new(()),
            results: Cache::with_weighter(expected, for_results, Bytes),
            statuses: Cache::new(statuses),
            extents: Cache::new(EXTENTS),
            sharing: Arc::default(),
            largest: memory / LARGEST,
        }
    }

    /// Forgets what the view with this number changes. To be called before that view is published.
    pub(crate) fn advance(&self, sequence: u64, touched: &Touched) {
        let _alone = self.advancing.write().unwrap_or_else(|e| e.into_inner());
        self.sequence.store(sequence, Ordering::Release);
        match touched {
            Touched::Everything => {
                self.results.clear();
                self.statuses.clear();
                self.extents.clear();
                self.sharing.forget_all();
            }
            Touched::Scripts(scripts) => {
                for script_hash in scripts {
                    self.statuses.remove(script_hash);
                    for question in Question::OF_SCRIPTS {
                        self.results.remove(&question(*script_hash));
                        self.extents.remove(&question(*script_hash));
                    }
                }
                let questions = scripts
                    .iter()
                    .flat_map(|script_hash| Question::OF_SCRIPTS.map(|of| of(*script_hash)));
                self.sharing.forget(questions);
            }
        }
    }

    /// Returns the answer to a question in the view with this number, if it is there.
    pub(crate) fn result(&self, question: &Question, sequence: u64) -> Option<Arc<[u8]>> {
        let kept = self.results.get(question)?;
        (kept.sequence <= sequence).then_some(kept.value)
    }

    /// Keeps the answer to a question, computed from the view with this number.
    pub(crate) fn keep_result(&self, question: Question, sequence: u64, result: &[u8]) {
        if result.len() <= self.largest {
            self.keep_bytes(question, sequence, result.into());
        }
    }

    /// Keeps the answer to a question as it is.
    pub(crate) fn keep_bytes(&self, question: Question, sequence: u64, value: Arc<[u8]>) {
        if value.len() <= self.largest {
            self.keep(sequence, || {
                self.results.insert(question, Kept { sequence, value });
            });
        }
    }

    /// Returns the answer to a question in the view with this number, if it is on its way to any client.
    pub(crate) fn shared(&self, question: &Question, sequence: u64) -> Option<Arc<SharedAnswer>> {
        self.sharing.answer(question, sequence)
    }

    /// Lets others send the answer to a question as well, computed from the view with this number, for as long as anybody
    /// sends it.
    pub(crate) fn share(&self, question: Question, sequence: u64, answer: &Arc<SharedAnswer>) {
        self.keep(sequence, || self.sharing.insert(question, sequence, answer));
    }

    /// Begins to make the answer to a question, unless somebody else is at it.
    pub(crate) fn begin(&self, question: Question) -> Option<Making> {
        self.sharing.begin(question)
    }

    /// Waits until the answer to a question is on its way to any client, or is not being made any more.
    pub(crate) fn news(&self, question: Question) -> News {
        self.sharing.news(question)
    }

    /// Returns how large the answer to a question is at most, if that was counted before.
    pub(crate) fn extent(&self, question: &Question, sequence: u64) -> Option<usize> {
        let kept = self.extents.get(question)?;
        (kept.sequence <= sequence).then_some(kept.value)
    }

    /// Keeps how large the answer to a question is, counted in the view with this number.
    pub(crate) fn keep_extent(&self, question: Question, sequence: u64, value: usize) {
        self.keep(sequence, || {
            self.extents.insert(question, Kept { sequence, value });
        });
    }

    /// Returns the status of a script in the view with this number, if it is there.
    pub(crate) fn status(&self, script_hash: &ScriptHash, sequence: u64) -> Option<Option<Status>> {
        let kept = self.statuses.get(script_hash)?;
        (kept.sequence <= sequence).then_some(kept.value)
    }

    /// Keeps the status of a script, computed from the view with this number.
    pub(crate) fn keep_status(
        &self,
        script_hash: ScriptHash,
        sequence: u64,
        value: Option<Status>,
    ) {
        self.keep(sequence, || {
            self.statuses.insert(script_hash, Kept { sequence, value });
        });
    }

    /// Inserts, unless the view is not the one to which everything was brought, or that is just being done.
    fn keep(&self, sequence: u64, insert: impl FnOnce()) {
        if let Ok(_shared) = self.advancing.try_read()
            && self.sequence.load(Ordering::Acquire) == sequence
        {
            insert();
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use bitcoin::hashes::Hash;
    use bitcoin::{Amount, ScriptBuf, SignedAmount};
    use electrum_protocol::method::scriptpubkey::{History, Unspents};
    use electrum_protocol::method::transaction::{GetResponse, MerkleResponse};
    use electrum_protocol::method::{scripthash, scriptpubkey};
    use electrum_protocol::{
        Balance, Confirmation, HistoryEntry, ProtocolVersion, Response, Unspent,
    };

    use super::*;

    fn question(script_hash: ScriptHash) -> Question {
        Question::History(script_hash)
    }

    #[test]
    fn what_is_touched_is_forgotten_and_the_rest_holds() {
        let answers = Answers::new(5, 1 << 20);
        let [a, b] = [1, 2].map(|byte| ScriptHash::from_byte_array([byte; 32]));
        for script_hash in [a, b] {
            answers.keep_result(question(script_hash), 5, b"[]");
            answers.keep_status(script_hash, 5, None);
        }
        assert_eq!(answers.result(&question(a), 5).as_deref(), Some(&b"[]"[..]));
        answers.advance(6, &Touched::Scripts(HashSet::from([a])));
        assert_eq!(answers.result(&question(a), 6), None);
        assert_eq!(answers.status(&a, 6), None);
        assert!(answers.result(&question(b), 6).is_some());
        assert_eq!(answers.status(&b, 5), Some(None), "it holds in both views");
        answers.advance(7, &Touched::Everything);
        assert_eq!(answers.result(&question(b), 7), None);
        assert_eq!(answers.status(&b, 7), None);
    }

    #[test]
    fn an_answer_of_another_view_is_neither_kept_nor_given() {
        let answers = Answers::new(5, 1 << 20);
        let script_hash = ScriptHash::from_byte_array([1; 32]);
        answers.advance(6, &Touched::Scripts(HashSet::new()));
        // Somebody computed this while the view was published.
        answers.keep_status(script_hash, 5, None);
        assert_eq!(answers.status(&script_hash, 6), None);
        answers.keep_status(script_hash, 6, None);
        assert_eq!(answers.status(&script_hash, 5), None, "too new");
        assert_eq!(answers.status(&script_hash, 6), Some(None));
    }

    /// What is kept for a client of one version is sent to one of another.
    #[test]
    fn what_is_kept_looks_the_same_in_every_version() {
        let txid = Txid::from_byte_array([7; 32]);
        let entry = |confirmation, fee| HistoryEntry {
            txid,
            confirmation,
            fee,
        };
        let unconfirmed_parents = true;
        let responses = [
            Response::ScripthashGetHistory(vec![
                entry(Confirmation::Block(5), None),
                entry(
                    Confirmation::Mempool {
                        unconfirmed_parents,
                    },
                    Some(Amount::from_sat(200)),
                ),
            ]),
            Response::ScripthashGetBalance(Balance {
                confirmed: Amount::from_sat(1),
                unconfirmed: SignedAmount::from_sat(-1),
            }),
            Response::ScripthashListUnspent(vec![Unspent {
                txid,
                vout: 1,
                value: Amount::from_sat(9),
                height: 0,
            }]),
            Response::ScriptpubkeyGetHistory(History(vec![entry(Confirmation::Block(5), None)])),
            Response::ScriptpubkeyGetBalance(Balance::default()),
            Response::ScriptpubkeyListUnspent(Unspents(Vec::new())),
            Response::TransactionGet(GetResponse::Raw(vec![1, 2, 3])),
            Response::TransactionGetMerkle(MerkleResponse {
                block_height: 1,
                merkle: vec![txid.to_raw_hash()],
                pos: 0,
            }),
        ];
        for response in responses {
            let encodings = ProtocolVersion::SPOKEN.map(|version| {
                let mut encoded = Vec::new();
                response.encode(version, &mut encoded);
                encoded
            });
            assert!(encodings.iter().all(|other| *other == encodings[0]));
        }
    }

    /// What looks different in two versions is not the same question.
    #[test]
    fn who_names_scripts_differently_asks_differently() {
        let script = ScriptBuf::from_bytes(vec![0x51]);
        let script_hash = ScriptHash::from_script(&script);
        let heights = HeightRange::ALL;
        let by_hash = [
            scripthash::GetHistory {
                script_hash,
                heights,
            }
            .into(),
            scripthash::ListUnspent { script_hash }.into(),
            scripthash::GetBalance { script_hash }.into(),
        ];
        let by_script: [Request; 3] = [
            scriptpubkey::GetHistory {
                script: script.clone(),
                heights,
            }
            .into(),
            scriptpubkey::ListUnspent {
                script: script.clone(),
            }
            .into(),
            scriptpubkey::GetBalance { script }.into(),
        ];
        let questions = |requests: [Request; 3]| requests.map(|it| Question::of(&it).unwrap());
        let ([history, unspent, balance], others) = (questions(by_hash), questions(by_script));
        assert_ne!(history, others[0]);
        assert_ne!(unspent, others[1]);
        assert_eq!(balance, others[2]);
        // All of them are forgotten when the script is touched.
        let answers = Answers::new(1, 1 << 20);
        let all = [history, unspent, balance, others[0], others[1]];
        all.iter()
            .for_each(|question| answers.keep_result(*question, 1, b"[]"));
        assert!(
            all.iter()
                .all(|question| answers.result(question, 1).is_some())
        );
        answers.advance(2, &Touched::Scripts(HashSet::from([script_hash])));
        assert!(
            all.iter()
                .all(|question| answers.result(question, 2).is_none())
        );
        let some = HeightRange { from: 5, to: None };
        let part = scripthash::GetHistory {
            script_hash,
            heights: some,
        }
        .into();
        assert_eq!(Question::of(&part), None, "only the whole is kept");
    }

    #[test]
    fn memory_is_bounded() {
        let answers = Answers::new(1, 1 << 20);
        for byte in 0..=255 {
            let script_hash = ScriptHash::from_byte_array([byte; 32]);
            answers.keep_result(question(script_hash), 1, &[0; 60_000]);
        }
        assert!(answers.results.weight() <= 1 << 20);
        assert!(!answers.results.is_empty());
        let largest = ScriptHash::from_byte_array([9; 32]);
        answers.advance(2, &Touched::Everything);
        answers.keep_result(question(largest), 2, &[0; 70_000]);
        assert_eq!(answers.result(&question(largest), 2), None);
    }
}
