//! How far each keychain was looked for, and what comes next.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use bitcoin::ScriptBuf;

use super::row::{
    KEYCHAIN, KeychainRow, Range, WANTED, decode_wanted, encode_wanted, row_key, wanted_key,
};
use super::wanted::WantedScripts;
use super::watched::{Audience, Of, Owner as ShownFor, Watched};
use super::{LOOK_AHEAD, Wallet};
use crate::chain::{HeaderChain, script_hash};
use crate::index::RowKey;
use crate::store::{Batch, ReadError, Snapshot, Table};

/// A keychain of a wallet.
#[derive(Debug)]
struct Chain {
    wallet: usize,
    keychain: usize,
    key: [u8; 32],
    /// In the order of the indexes.
    ranges: Vec<Range>,
    /// The height from which on it is looked for.
    birth: u32,
    /// The height from which on it was looked for at any time.
    since: u32,
    /// One more than the index of the last used script.
    used: u32,
    scripts: Vec<[u8; 32]>,
    /// Whether there are no more scripts.
    exhausted: bool,
    /// Whether it was once up to date.
    ready: bool,
}

/// Where a script is from.
#[derive(Clone, Copy, Debug)]
struct Owner {
    chain: usize,
    index: u32,
}

/// How far all wallets were looked for.
#[derive(Debug, Default)]
pub(crate) struct Progress {
    pub(crate) wallets: Vec<Wallet>,
    chains: Vec<Chain>,
    owners: HashMap<[u8; 32], Vec<Owner>>,
    /// Scripts that clients wanted to be watched.
    wanted: WantedScripts,
    /// Counts changes of the scripts.
    generation: u64,
    /// Wallets whose birth was found to be too late.
    born_before: HashSet<usize>,
}

/// Something to look for.
#[derive(Debug)]
pub(crate) struct Job {
    /// The scripts' hashes.
    pub(crate) scripts: HashSet<[u8; 32]>,
    /// From this height on.
    pub(crate) from: u32,
    /// Up to this height, which is not included.
    pub(crate) to: u32,
}

/// A wallet that cannot be watched.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "the birth of wallet \"{name}\" ({birth}) is {} the tip of the chain, height {tip} of {}: give the height or the day of its \
     first payment, or one before",
    match birth {
        super::Birth::Height(_) => "above",
        super::Birth::Time(_) => "after",
    },
    super::wallet::Day(*tip_time)
)]
pub struct BirthError {
    /// The wallet.
    pub name: String,
    /// What is said of its birth.
    pub birth: super::Birth,
    /// The height of the tip.
    pub tip: u32,
    /// The time in the header of the tip, in seconds since 1970.
    pub tip_time: u32,
}

impl Progress {
    /// Reads what is known of the wallets. The chain must be as long as the node's.
    pub(crate) fn open(
        wallets: Vec<Wallet>,
        snapshot: &dyn Snapshot,
        headers: &HeaderChain,
    ) -> Result<Result<Self, BirthError>, ReadError> {
        let mut progress = Self::default();
        for (number, wallet) in wallets.iter().enumerate() {
            let Some(birth) = wallet.birth.height(headers) else {
                let tip = headers.len().saturating_sub(1);
                return Ok(Err(BirthError {
                    name: wallet.name.clone(),
                    birth: wallet.birth,
                    tip,
                    tip_time: headers.header(tip).map_or(0, |header| header.time),
                }));
            };
            for (at, keychain) in wallet.keychains.iter().enumerate() {
                let key = keychain.key();
                let row = snapshot.get(Table::Wallets, &row_key(KEYCHAIN, &key))?;
                let (mut since, mut ranges) = (birth, Vec::new());
                if let Some(row) = row {
                    let before = KeychainRow::decode(&row)?;
                    since = birth.min(before.since);
                    ranges = before.ranges;
                    // Older than was said before: everything is looked for again.
                    if birth < before.birth {
                        ranges.iter_mut().for_each(|range| range.next = birth);
                    }
                }
                progress.chains.push(Chain {
                    wallet: number,
                    keychain: at,
                    key,
                    ranges,
                    birth,
                    since,
                    used: 0,
                    scripts: Vec::new(),
                    exhausted: false,
                    ready: false,
                });
            }
        }
        progress.wallets = wallets;
        progress.wanted = WantedScripts::open(snapshot)?;
        for chain in 0..progress.chains.len() {
            progress.derive(chain);
            progress.extend(chain);
        }
        Ok(Ok(progress))
    }

    /// Derives the scripts of a keychain up to where its ranges end.
    fn derive(&mut self, number: usize) {
        let Some(chain) = self.chains.get_mut(number) else {
            return;
        };
        let wallet = self.wallets.get(chain.wallet);
        let Some(keychain) = wallet.and_then(|wallet| wallet.keychains.get(chain.keychain)) else {
            return;
        };
        let end = chain.ranges.last().map_or(0, |range| range.end);
        for index in chain.scripts.len() as u32..end {
            let Some(script) = keychain.script(index) else {
                chain.exhausted = true;
                break;
            };
            let hash = script_hash(script.as_bytes());
            chain.scripts.push(hash);
            let owner = Owner {
                chain: number,
                index,
            };
            self.owners.entry(hash).or_default().push(owner);
        }
        // One script needs no thousand places, and where there is no script there is nothing to look for: at every start
        // such a range would be looked for from the birth on.
        let end = chain.scripts.len() as u32;
        let mut start = 0;
        chain.ranges.retain_mut(|range| {
            range.end = range.end.min(end);
            range.end > std::mem::replace(&mut start, range.end)
        });
        self.generation += 1;
    }

    /// Adds scripts to a keychain until there are enough beyond the last used one; returns whether there are more.
    fn extend(&mut self, number: usize) -> bool {
        let Some(chain) = self.chains.get_mut(number) else {
            return false;
        };
        let gap_limit = self
            .wallets
            .get(chain.wallet)
            .map_or(super::GAP_LIMIT, |wallet| wallet.gap_limit);
        let end = chain.ranges.last().map_or(0, |range| range.end);
        if chain.exhausted || end >= chain.used.saturating_add(gap_limit).max(1) {
            return false;
        }
        let range = Range {
            end: chain
                .used
                .saturating_add(gap_limit.max(LOOK_AHEAD))
                // Behind this derivation is hardened.
                .min(1 << 31),
            next: chain.birth,
        };
        chain.ranges.push(range);
        self.derive(number);
        let chain = self.chains.get(number);
        chain.is_some_and(|chain| chain.scripts.len() as u32 > end)
    }

    /// Notes that scripts are used, the last time in the block at a height; returns whether there are more scripts now.
    ///
    /// A keychain does not learn of what was found for another one in blocks that were never looked at for it.
    pub(crate) fn note_used(&mut self, scripts: impl Iterator<Item = ([u8; 32], u32)>) -> bool {
        let mut touched = HashSet::new();
        for (script, height) in scripts {
            for owner in self.owners.get(&script).into_iter().flatten() {
                if let Some(chain) = self.chains.get_mut(owner.chain)
                    && chain.since <= height
                {
                    chain.used = chain.used.max(owner.index.saturating_add(1));
                    touched.insert(owner.chain);
                }
            }
        }
        let mut more = false;
        for chain in touched {
            more |= self.extend(chain);
        }
        more
    }

    /// Returns all scripts.
    pub(crate) fn scripts(&self) -> HashSet<[u8; 32]> {
        self.owners
            .keys()
            .chain(self.wanted.scripts())
            .copied()
            .collect()
    }

    /// Returns whether a script is watched.
    pub(crate) fn contains(&self, script: &[u8; 32]) -> bool {
        self.owners.contains_key(script) || self.wanted.contains(script)
    }

    /// Returns a number that changes with the scripts.
    pub(crate) fn generation(&self) -> u64 {
        self.generation
    }

    /// Begins to watch a script for an audience, from a height on.
    /// Does nothing when its clients have wanted too many.
    pub(crate) fn want(&mut self, script: [u8; 32], audience: Audience, next: u32) {
        if self.wanted.want(script, audience, next) {
            self.generation += 1;
        }
    }

    /// Notes that something was spent of a script that came before the birth of its wallet; returns the name and the
    /// birth of the wallet when that was not known.
    pub(crate) fn note_earlier(&mut self, script: &[u8; 32]) -> Option<(&str, super::Birth)> {
        let owner = self.owners.get(script)?.first()?;
        let chain = self.chains.get(owner.chain)?;
        let is_news = chain.birth > 0 && self.born_before.insert(chain.wallet);
        let wallet = self.wallets.get(chain.wallet).filter(|_| is_news)?;
        Some((&wallet.name, wallet.birth))
    }

    /// Returns how many keychains were once up to date.
    pub(crate) fn ready(&self) -> usize {
        self.chains.iter().filter(|chain| chain.ready).count()
    }

    /// Returns what was looked at least far, up to where others are, or to the end of the chain.
    pub(crate) fn job(&self, end: u32) -> Option<Job> {
        let nexts = || {
            let chains = self.chains.iter().flat_map(|chain| &chain.ranges);
            let wanted = self.wanted.iter().map(|(_, wanted)| wanted.next);
            chains.map(|range| range.next).chain(wanted)
        };
        let from = nexts().min().filter(|from| *from < end)?;
        let to = nexts().filter(|next| *next > from).min();
        let mut scripts: HashSet<_> = self
            .wanted
            .iter()
            .filter(|(_, wanted)| wanted.next == from)
            .map(|(script, _)| *script)
            .collect();
        for chain in &self.chains {
            let mut start = 0;
            for range in &chain.ranges {
                if range.next == from {
                    let range = start as usize..range.end as usize;
                    scripts.extend(chain.scripts.get(range).unwrap_or_default());
                }
                start = range.end;
            }
        }
        Some(Job {
            scripts,
            from,
            to: to.unwrap_or(end).min(end),
        })
    }

    /// Returns the scripts of a job as they are in outputs, as far as they are known: a wanted one is known by its hash
    /// only.
    pub(crate) fn full_scripts(&self, job: &Job) -> Option<Vec<ScriptBuf>> {
        job.scripts
            .iter()
            .map(|hash| {
                let owner = self.owners.get(hash)?.first()?;
                let chain = self.chains.get(owner.chain)?;
                let wallet = self.wallets.get(chain.wallet)?;
                wallet.keychains.get(chain.keychain)?.script(owner.index)
            })
            .collect()
    }

    /// Returns the keys of all keychains, with the names of their wallets.
    pub(crate) fn keychains(&self) -> impl Iterator<Item = (&[u8; 32], &str)> {
        self.chains.iter().filter_map(|chain| {
            let wallet = self.wallets.get(chain.wallet)?;
            Some((&chain.key, wallet.name.as_str()))
        })
    }

    /// Returns the keychains that a job looks for, each with those of its scripts that it looks for.
    pub(crate) fn keychains_of(&self, job: &Job) -> Vec<([u8; 32], Vec<ScriptBuf>)> {
        let mut found = Vec::new();
        for chain in &self.chains {
            let wallet = self.wallets.get(chain.wallet);
            let keychain = wallet.and_then(|wallet| wallet.keychains.get(chain.keychain));
            let mut scripts = Vec::new();
            let mut start = 0;
            for range in &chain.ranges {
                if range.next == job.from {
                    let derived = (start..range.end).filter_map(|index| keychain?.script(index));
                    scripts.extend(derived);
                }
                start = range.end;
            }
            if !scripts.is_empty() {
                found.push((chain.key, scripts));
            }
        }
        found
    }

    /// Notes that what was looked for up to `from` was looked for up to `to`.
    pub(crate) fn advance(&mut self, from: u32, to: u32, batch: &mut Batch) {
        for chain in &mut self.chains {
            for range in &mut chain.ranges {
                if range.next == from {
                    range.next = to;
                }
            }
            // Neighbours that are equally far are one.
            chain.ranges.dedup_by(|next, before| {
                let same = next.next == before.next;
                if same {
                    before.end = next.end;
                }
                same
            });
        }
        self.wanted.advance(from, to);
        self.save(batch);
    }

    /// Has a keychain looked for again from a height on, but not before its birth. Nothing is written down: until the
    /// first blocks were looked at, an interrupted server begins as this one did.
    pub(crate) fn look_again(&mut self, keychain: &[u8; 32], height: u32) {
        let chains = self.chains.iter_mut();
        for chain in chains.filter(|chain| chain.key == *keychain) {
            let height = height.max(chain.birth);
            for range in &mut chain.ranges {
                range.next = range.next.min(height);
            }
        }
    }

    /// Notes that the blocks from a height on are gone.
    pub(crate) fn rewind(&mut self, height: u32, batch: &mut Batch) {
        for chain in &mut self.chains {
            for range in &mut chain.ranges {
                range.next = range.next.min(height);
            }
            chain.birth = chain.birth.min(height);
            chain.since = chain.since.min(height);
        }
        self.wanted.rewind(height);
        self.save(batch);
    }

    /// The same, before the wallets are known: in the rows.
    pub(crate) fn rewind_rows(
        snapshot: &dyn Snapshot,
        height: u32,
        batch: &mut Batch,
    ) -> Result<(), ReadError> {
        let mut damaged = false;
        let all = [].as_slice()..=[0xff; 64].as_slice();
        snapshot.scan(Table::Wallets, all, &mut |key, row| {
            let row = match key.first() {
                Some(&WANTED) => decode_wanted(key, row).map(|(script, mut wanted)| {
                    wanted.since = wanted.since.min(height);
                    wanted.next = wanted.next.min(height);
                    (
                        wanted_key(&script, wanted.audience),
                        encode_wanted(&wanted).to_vec(),
                    )
                }),
                _ => KeychainRow::decode(row).ok().map(|mut keychain| {
                    keychain.rewind(height);
                    (key.to_vec(), keychain.encode())
                }),
            };
            match row {
                Some((key, row)) => batch.put(Table::Wallets, key, row),
                None => damaged = true,
            }
            std::ops::ControlFlow::Continue(())
        })?;
        match damaged {
            true => Err(ReadError::damaged(
                Table::Wallets,
                "a row has the wrong length",
            )),
            false => Ok(()),
        }
    }

    /// Writes down how far everything was looked for.
    pub(crate) fn save(&self, batch: &mut Batch) {
        for chain in &self.chains {
            let row = KeychainRow {
                birth: chain.birth,
                since: chain.since,
                ranges: chain.ranges.clone(),
            };
            let key = row_key(KEYCHAIN, &chain.key);
            batch.put(Table::Wallets, key, row.encode());
        }
        self.wanted.save(batch);
    }

    /// Returns the keys of keychains of which there is a row but no wallet.
    pub(crate) fn gone(&self, snapshot: &dyn Snapshot) -> Result<Vec<Vec<u8>>, ReadError> {
        let known: HashSet<_> = self
            .chains
            .iter()
            .map(|chain| row_key(KEYCHAIN, &chain.key))
            .collect();
        let (first, last) = (row_key(KEYCHAIN, &[0; 32]), row_key(KEYCHAIN, &[0xff; 32]));
        let mut gone = Vec::new();
        snapshot.scan(Table::Wallets, &first..=&last, &mut |key, _| {
            if !known.contains(key) {
                gone.push(key.to_vec());
            }
            std::ops::ControlFlow::Continue(())
        })?;
        Ok(gone)
    }

    /// Whether everything that was once up to date is so at a chain of `end` blocks; and notes what is now.
    pub(crate) fn settle(&mut self, end: u32) -> bool {
        let mut settled = self.wanted.iter().all(|(_, wanted)| wanted.next >= end);
        for chain in &mut self.chains {
            let up_to_date = chain.ranges.iter().all(|range| range.next >= end);
            settled &= up_to_date || !chain.ready;
            chain.ready |= up_to_date;
        }
        settled
    }

    /// Whether all keychains were once up to date.
    pub(crate) fn is_ready(&self) -> bool {
        self.chains.iter().all(|chain| chain.ready)
    }

    /// Returns the wallets that it was opened with.
    pub(crate) fn wallets(&self) -> &[Wallet] {
        &self.wallets
    }

    /// Takes over what was up to date from before the wallets changed.
    pub(crate) fn inherit(&mut self, before: &Self) {
        let ready: HashSet<_> = before
            .chains
            .iter()
            .filter(|chain| chain.ready)
            .map(|chain| chain.key)
            .collect();
        for chain in &mut self.chains {
            chain.ready = ready.contains(&chain.key);
        }
    }

    /// Returns what sessions need to know. `key` is that of the index.
    pub(crate) fn watched(&self, key: RowKey) -> Watched {
        let mut watched = Watched::new(key);
        for chain in &self.chains {
            let Some(wallet) = self.wallets.get(chain.wallet) else {
                continue;
            };
            let name: Arc<str> = wallet.name.as_str().into();
            let owner: Arc<[ShownFor]> = Arc::new([ShownFor {
                of: Of::Wallet(name.clone()),
                since: chain.since,
            }]);
            for script in &chain.scripts {
                watched.insert(script, &owner);
            }
            if !chain.ready {
                watched.scanning.insert(name);
            }
        }
        for (script, wanted) in self.wanted.iter() {
            let owner = ShownFor {
                of: Of::Clients(wanted.audience),
                since: wanted.since,
            };
            watched.insert(script, &Arc::from([owner]));
        }
        watched
    }
}
