//! Rules of version 3 transactions (BIP 431): one parent, one child, and the child is small.

use std::collections::BTreeSet;

use bitcoin::{Transaction, Txid};

use super::admission::name;
use super::mempool::{Candidate, Mempool, Terms};
use super::reject::Reject;

const VERSION: i32 = 3;
/// In virtual bytes: of any, and of one with an unconfirmed parent.
const MAX_VSIZE: u64 = 10_000;
const MAX_CHILD_VSIZE: u64 = 1_000;

fn refused<T>(details: String) -> Result<T, Reject> {
    Err(Reject::with("TRUC-violation", details))
}

/// Parents and children are of one kind.
fn check_kinds(tx: &Transaction, parent: &Transaction) -> Result<(), Reject> {
    let (own, other) = (name(tx), name(parent));
    match (tx.version.0 == VERSION, parent.version.0 == VERSION) {
        (true, false) => refused(format!(
            "version=3 {own} cannot spend from non-version=3 {other}"
        )),
        (false, true) => refused(format!(
            "non-version=3 {own} cannot spend from version=3 {other}"
        )),
        _ => Ok(()),
    }
}

fn check_child_size(tx: &Transaction, vsize: u64) -> Result<(), Reject> {
    match vsize > MAX_CHILD_VSIZE {
        true => {
            let name = name(tx);
            refused(format!(
                "version=3 child {name} is too big: {vsize} > {MAX_CHILD_VSIZE} virtual bytes"
            ))
        }
        false => Ok(()),
    }
}

fn too_many_ancestors<T>(tx: &Transaction) -> Result<T, Reject> {
    refused(format!("{} would have too many ancestors", name(tx)))
}

fn too_many_descendants<T>(parent: &Transaction) -> Result<T, Reject> {
    refused(format!(
        "{} would exceed descendant count limit",
        name(parent)
    ))
}

impl Mempool {
    /// Checks a transaction against its parents in the mempool. Returns the sibling that has to leave for it, if one
    /// has to.
    pub(super) fn check_truc(
        &self,
        tx: &Transaction,
        conflicts: &BTreeSet<Txid>,
        vsize: u64,
        terms: Terms,
    ) -> Result<Option<Txid>, Reject> {
        let parents = self.parents(tx);
        let mut waiting = parents.iter().filter_map(|txid| self.waiting.get(txid));
        waiting.try_for_each(|parent| check_kinds(tx, &parent.tx))?;
        if tx.version.0 != VERSION {
            return Ok(None);
        }
        if vsize > MAX_VSIZE {
            let name = name(tx);
            return refused(format!(
                "version=3 {name} is too big: {vsize} > {MAX_VSIZE} virtual bytes"
            ));
        }
        if parents.len() > 1 {
            return too_many_ancestors(tx);
        }
        let parent = parents.first().and_then(|txid| self.waiting.get(txid));
        let Some(parent) = parent else {
            return Ok(None);
        };
        if self.with_ancestors([parent.txid].into_iter()).len() > 1 {
            return too_many_ancestors(tx);
        }
        check_child_size(tx, vsize)?;
        let mut others = self.with_descendants([parent.txid].into_iter());
        others.remove(&parent.txid);
        if others.is_empty() || others.iter().any(|other| conflicts.contains(other)) {
            return Ok(None);
        }
        // The other child may be pushed out, if it is the only one and the parent its only ancestor.
        let sibling = others.first().copied();
        let single = sibling.filter(|sibling| {
            others.len() == 1 && self.with_ancestors([*sibling].into_iter()).len() == 2
        });
        match single {
            Some(sibling) if terms == Terms::Alone => Ok(Some(sibling)),
            _ => too_many_descendants(&parent.tx),
        }
    }

    /// Checks the transactions of a package against each other.
    pub(super) fn check_truc_package(&self, package: &[Candidate]) -> Result<(), Reject> {
        for candidate in package {
            let tx = &candidate.tx;
            let spends = |child: &Transaction, parent: &Candidate| {
                let mut inputs = child.input.iter();
                inputs.any(|input| input.previous_output.txid == parent.txid)
            };
            let inside: Vec<&Candidate> =
                package.iter().filter(|other| spends(tx, other)).collect();
            if tx.version.0 != VERSION {
                inside
                    .iter()
                    .try_for_each(|parent| check_kinds(tx, &parent.tx))?;
                continue;
            }
            let outside = self.parents(tx);
            if outside.len() + inside.len() > 1 {
                return too_many_ancestors(tx);
            }
            let parent = match (outside.first(), inside.first()) {
                (Some(txid), _) => self.waiting.get(txid).map(|waiting| (*txid, &waiting.tx)),
                (None, Some(parent)) => Some((parent.txid, &parent.tx)),
                (None, None) => None,
            };
            let Some((txid, parent)) = parent else {
                continue;
            };
            check_child_size(tx, candidate.vsize)?;
            check_kinds(tx, parent)?;
            for other in package.iter().filter(|other| other.txid != candidate.txid) {
                let mut inputs = other.tx.input.iter();
                if inputs.any(|input| input.previous_output.txid == txid) {
                    return too_many_descendants(parent);
                }
                if spends(&other.tx, candidate) {
                    return too_many_ancestors(&other.tx);
                }
            }
            if self.with_descendants([txid].into_iter()).len() > 1 {
                return too_many_descendants(parent);
            }
        }
        Ok(())
    }
}
