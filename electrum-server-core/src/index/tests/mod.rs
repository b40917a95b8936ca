//! Proofs about the index and the views on it.
//!
//! `golden` holds the row formats to bytes that were made without this code, `properties` holds the answers to what a
//! reader of the plain blocks would say, `damage` breaks databases.

pub(crate) mod chain;
mod check;
#[cfg(feature = "fjall")]
mod crash;
mod damage;
mod golden;
mod node;
mod oracle;
#[cfg(feature = "fjall")]
mod power_cut;
mod properties;
mod scope;
mod undo;

use std::collections::BTreeMap;
use std::ops::ControlFlow;

use super::RowKey;
use crate::store::{Snapshot, Table};

/// The key of every database here.
pub(crate) const KEY: RowKey =
    RowKey::from_byte_array([0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15]);

pub(crate) type Rows = BTreeMap<(Table, Vec<u8>), Vec<u8>>;

/// Returns all rows of some tables.
pub(crate) fn rows(snapshot: &dyn Snapshot, tables: &[Table]) -> Rows {
    let mut rows = Rows::new();
    for table in tables {
        let mut last: Option<Vec<u8>> = None;
        snapshot
            .scan(*table, &[]..=&[0xff; 64], &mut |key, value| {
                assert!(last.as_deref() < Some(key), "the keys of {table} ascend");
                last = Some(key.to_vec());
                rows.insert((*table, key.to_vec()), value.to_vec());
                ControlFlow::Continue(())
            })
            .unwrap();
    }
    rows
}
