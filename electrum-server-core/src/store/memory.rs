//! The store in memory.

use std::ops::{ControlFlow, RangeInclusive};
use std::sync::{Arc, Mutex, PoisonError};

use imbl::OrdMap;

use super::{Batch, CommitError, Durability, ReadError, Snapshot, Store, Table, Visit};

/// A store without a disk: behaves like the one on disk and forgets everything when dropped.
#[derive(Debug, Default)]
pub struct MemoryStore {
    tables: Mutex<Tables>,
}

#[derive(Clone, Debug, Default)]
struct Tables([OrdMap<Vec<u8>, Vec<u8>>; Table::ALL.len()]);

impl Tables {
    fn table(&self, table: Table) -> Option<&OrdMap<Vec<u8>, Vec<u8>>> {
        self.0.get(table as usize)
    }
}

impl MemoryStore {
    /// Makes an empty store.
    pub fn new() -> Self {
        Self::default()
    }
}

impl Store for MemoryStore {
    fn commit(&self, batch: Batch, _: Durability) -> Result<(), CommitError> {
        // A thread that panicked while it held the lock left a whole state behind: changes are made to a copy.
        let mut tables = self.tables.lock().unwrap_or_else(PoisonError::into_inner);
        let mut next = tables.clone();
        for (table, key, value) in batch.changes {
            let Some(rows) = next.0.get_mut(table as usize) else {
                continue;
            };
            match value {
                Some(value) => rows.insert(key, value),
                None => rows.remove(&key),
            };
        }
        *tables = next;
        Ok(())
    }

    fn persist(&self) -> Result<(), CommitError> {
        Ok(())
    }

    fn snapshot(&self) -> Arc<dyn Snapshot> {
        Arc::new(
            self.tables
                .lock()
                .unwrap_or_else(PoisonError::into_inner)
                .clone(),
        )
    }
}

impl Snapshot for Tables {
    fn get(&self, table: Table, key: &[u8]) -> Result<Option<Vec<u8>>, ReadError> {
        Ok(self.table(table).and_then(|rows| rows.get(key)).cloned())
    }

    fn scan(
        &self,
        table: Table,
        range: RangeInclusive<&[u8]>,
        visit: &mut Visit<'_>,
    ) -> Result<(), ReadError> {
        let Some(rows) = self.table(table) else {
            return Ok(());
        };
        let range = range.start().to_vec()..=range.end().to_vec();
        for (key, value) in rows.range(range) {
            if let ControlFlow::Break(()) = visit(key, value) {
                break;
            }
        }
        Ok(())
    }
}
