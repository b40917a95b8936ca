//! Single scripts of no wallet that clients wanted to be watched.

use std::collections::HashMap;
use std::ops::ControlFlow;

use super::row::{WANTED, decode_wanted, encode_wanted, wanted_key};
use super::watched::Audience;
use crate::store::{Batch, ReadError, Snapshot, Table};

/// How many scripts are watched for one audience because its clients asked for them: anybody can ask for any.
const MAX_WANTED: usize = 10_000;

/// A script as one audience wants it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Wanted {
    pub(super) audience: Audience,
    /// The height from which on it is watched.
    pub(super) since: u32,
    /// The height of the first block that was not looked at.
    pub(super) next: u32,
}

/// The scripts that clients wanted, each once for every audience that wants it.
#[derive(Debug, Default)]
pub(super) struct WantedScripts(HashMap<[u8; 32], Vec<Wanted>>);

impl WantedScripts {
    /// Reads what was written down.
    pub(super) fn open(snapshot: &dyn Snapshot) -> Result<Self, ReadError> {
        let mut scripts = Self::default();
        let all = [WANTED].as_slice()..=&[WANTED + 1];
        snapshot.scan(Table::Wallets, all, &mut |key, row| {
            if let Some((script, wanted)) = decode_wanted(key, row) {
                scripts.insert(script, wanted);
            }
            ControlFlow::Continue(())
        })?;
        Ok(scripts)
    }

    /// Takes note of what an audience wants, in the place of what it wanted of the script before.
    fn insert(&mut self, script: [u8; 32], wanted: Wanted) {
        let of_script = self.0.entry(script).or_default();
        of_script.retain(|other| other.audience != wanted.audience);
        of_script.push(wanted);
    }

    /// Begins to watch a script from a height on, unless the audience has wanted that, or too many, before. Returns
    /// whether it does.
    pub(super) fn want(&mut self, script: [u8; 32], audience: Audience, next: u32) -> bool {
        let is_here = |wanted: &&Wanted| wanted.audience == audience;
        let of_script = self.0.get(&script).into_iter().flatten();
        if of_script.filter(is_here).count() > 0
            || self.0.values().flatten().filter(is_here).count() >= MAX_WANTED
        {
            return false;
        }
        self.insert(
            script,
            Wanted {
                audience,
                since: next,
                next,
            },
        );
        true
    }

    pub(super) fn contains(&self, script: &[u8; 32]) -> bool {
        self.0.contains_key(script)
    }

    pub(super) fn scripts(&self) -> impl Iterator<Item = &[u8; 32]> {
        self.0.keys()
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = (&[u8; 32], &Wanted)> {
        let scripts = self.0.iter();
        scripts.flat_map(|(script, wanted)| wanted.iter().map(move |wanted| (script, wanted)))
    }

    /// Notes that what was looked for up to `from` was looked for up to `to`.
    pub(super) fn advance(&mut self, from: u32, to: u32) {
        let all = self.0.values_mut().flatten();
        all.filter(|wanted| wanted.next == from)
            .for_each(|wanted| wanted.next = to);
    }

    /// Notes that the blocks from a height on are gone.
    pub(super) fn rewind(&mut self, height: u32) {
        for wanted in self.0.values_mut().flatten() {
            wanted.since = wanted.since.min(height);
            wanted.next = wanted.next.min(height);
        }
    }

    pub(super) fn save(&self, batch: &mut Batch) {
        for (script, wanted) in self.iter() {
            let key = wanted_key(script, wanted.audience);
            batch.put(Table::Wallets, key, encode_wanted(wanted));
        }
    }
}
