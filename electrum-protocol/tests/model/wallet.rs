//! The wallet beside the server in memory.

use std::collections::{BTreeMap, BTreeSet};

use electrum_protocol::bitcoin::{Network, OutPoint, Txid};
use electrum_protocol::header_chain::{Change, FollowError, Limits};
use electrum_protocol::method::headers::TipResponse;
use electrum_protocol::script_sync::{Config, Progress, SyncError};
use electrum_protocol::{HeaderChain, HeaderSync, Notification, Request, ScriptHash, ScriptSync};

use super::{Message, Model, script};

/// A wallet with two keychains, `0` and `1`.
pub(crate) struct Wallet {
    pub(crate) headers: HeaderSync,
    pub(crate) scripts: ScriptSync<u8>,
    pub(crate) requests: Vec<Request>,
    pub(crate) progress: Vec<Progress>,
}

pub(crate) const GAP: u32 = 3;

impl Wallet {
    pub(crate) fn new(model: &Model, config: Config) -> Self {
        let mut scripts = ScriptSync::new(model.version, config).unwrap();
        for keychain in [0, 1] {
            let derive = move |index| Some(script(keychain, index));
            scripts.add_keychain(keychain, GAP, derive).unwrap();
        }
        let chain = HeaderChain::genesis(Network::Regtest);
        let mut wallet = Self {
            headers: HeaderSync::new(chain, Limits::default()),
            scripts,
            requests: Vec::new(),
            progress: Vec::new(),
        };
        wallet.announce(TipResponse::Raw(model.headers.tip()));
        wallet
    }

    fn announce(&mut self, tip: TipResponse) {
        let outcome = self.headers.announce(tip.tip(), None);
        self.change(outcome);
    }

    fn change(&mut self, outcome: Result<Option<Change>, FollowError>) {
        match outcome {
            Ok(None) => {}
            Ok(Some(change)) => self.scripts.headers_changed(self.headers.chain(), &change),
            // Answers of before and after a reorganization do not fit together.
            Err(error) => assert!(!error.is_final(), "{error}"),
        }
    }

    /// Sends what is wanted, up to so many requests.
    pub(crate) fn send(&mut self, model: &mut Model, most: usize) {
        for _ in 0..most {
            let request = self.headers.poll_request();
            let Some(request) = request.or_else(|| self.scripts.poll_request()) else {
                break;
            };
            self.requests.push(request.clone());
            model.waiting.push(request);
        }
    }

    /// Takes what has arrived, up to so many messages.
    pub(crate) fn receive(&mut self, model: &mut Model, most: usize) -> Result<(), SyncError> {
        for _ in 0..most {
            let Some(message) = model.outbox.pop_front() else {
                break;
            };
            self.take(message)?;
        }
        Ok(())
    }

    pub(crate) fn take(&mut self, message: Message) -> Result<(), SyncError> {
        let progress = match message {
            Message::Notification(Notification::Headers(tip)) => {
                self.announce(tip);
                return Ok(());
            }
            Message::Notification(notification) => self.scripts.notify(&notification),
            Message::Reply(request, response) => match (request, *response) {
                (Request::BlockHeaders(_), Some(response)) => {
                    let outcome = self.headers.receive(response, None);
                    self.change(outcome);
                    return Ok(());
                }
                (request, Some(response)) => {
                    let headers = self.headers.chain();
                    self.scripts.answer(&request, response, headers)?
                }
                (request, None) => {
                    self.scripts.refused(&request, self.headers.chain());
                    return Ok(());
                }
            },
        };
        self.progress.push(progress);
        Ok(())
    }

    /// Everything that is left to do, until both are quiet.
    pub(crate) fn settle(&mut self, model: &mut Model) -> Result<(), SyncError> {
        loop {
            self.send(model, usize::MAX);
            model.release();
            if model.waiting.is_empty() && model.outbox.is_empty() {
                return Ok(());
            }
            model.work(0);
            self.receive(model, usize::MAX)?;
        }
    }

    /// Loses the connection and makes another.
    pub(crate) fn reconnect(&mut self, model: &mut Model) {
        model.waiting.clear();
        model.outbox.clear();
        model.made_ready.clear();
        model.subscribed.clear();
        self.headers.disconnect();
        let headers = self.headers.chain();
        self.scripts.reconnect(model.version, headers).unwrap();
        self.announce(TipResponse::Raw(model.headers.tip()));
    }

    /// The wallet has what the server has.
    pub(crate) fn assert_is_like(&self, model: &Model, proofs: bool) {
        let obstacles: Vec<_> = self.scripts.obstacles().collect();
        assert!(self.scripts.is_up_to_date(), "{obstacles:?}");
        assert_eq!(self.headers.chain().headers(), model.headers.0);
        let histories = model.histories();
        let mut seen = BTreeSet::new();
        let mut count = [0_u32; 2];
        for view in self.scripts.scripts() {
            let history = histories.get(&view.script_hash);
            assert_eq!(view.history, history.map_or(&[][..], Vec::as_slice));
            assert_eq!(*view.script, *script(*view.keychain, view.index));
            seen.extend(view.history.iter().map(|entry| entry.txid));
            count[usize::from(*view.keychain)] += 1;
        }
        for keychain in [0, 1] {
            let next = self.scripts.next_unused(&keychain).unwrap();
            assert!(count[usize::from(keychain)] >= next + GAP);
            let beyond = histories.keys().any(|script_hash| {
                (next..next + 100)
                    .any(|index| *script_hash == ScriptHash::from_script(&script(keychain, index)))
            });
            assert!(!beyond, "a script beyond {next} has a history");
        }
        let known: BTreeSet<Txid> = self.scripts.transactions().map(|view| view.txid).collect();
        assert_eq!(known, seen);
        for (transaction, height) in model.transactions() {
            let Some(view) = self.scripts.transaction(&transaction.compute_txid()) else {
                continue;
            };
            assert_eq!(view.transaction, Some(transaction));
            let block_hash = height.map(|height| model.headers.0[height as usize].block_hash());
            assert_eq!(view.proven, block_hash.filter(|_| proofs));
        }
        let own = |script_hash: &ScriptHash| self.scripts.history(script_hash).is_some();
        let unspent = self.scripts.unspent().into_iter();
        let unspent = unspent.map(|unspent| (unspent.outpoint, unspent.output.value.to_sat()));
        let unspent: BTreeMap<OutPoint, u64> = unspent.collect();
        let expected = model.unspent(own);
        assert_eq!(unspent, expected);
        let balance = self.scripts.balance();
        let all = balance.confirmed.to_sat() as i64 + balance.unconfirmed.to_sat();
        assert_eq!(all, expected.values().sum::<u64>() as i64);
        assert_eq!(balance.confirmed.to_sat(), model.confirmed(own));
    }
}
