//! Which index becomes one of another scope, and which is refused.

use std::sync::Arc;

use bitcoin::Network;
use bitcoin::constants::genesis_block;

use crate::index::{Index, OpenError};
use crate::store::{Batch, Durability, MemoryStore, Store, Table};

fn open(store: &Arc<MemoryStore>, personal: bool) -> Result<Index, OpenError> {
    let genesis = genesis_block(Network::Regtest).block_hash();
    match personal {
        true => Index::open_personal(store.clone(), genesis),
        false => Index::open(store.clone(), genesis),
    }
}

#[test]
fn an_index_without_transactions_takes_any_scope() {
    for first in [true, false] {
        let store = Arc::new(MemoryStore::new());
        let key = open(&store, first).unwrap().key;
        for scope in [!first, first, first, !first] {
            let index = open(&store, scope).unwrap();
            assert_eq!(index.personal, scope);
            assert_eq!(index.key, key);
        }
    }
}

#[test]
fn headers_alone_are_read_anew() {
    let store = Arc::new(MemoryStore::new());
    let mut index = open(&store, true).unwrap();
    let block = genesis_block(Network::Regtest);
    index.connect_headers(&[(block.header, 1)]).unwrap();
    assert!(open(&store, true).unwrap().headers().tip().is_some());
    assert!(open(&store, false).unwrap().headers().tip().is_none());
    assert!(open(&store, true).unwrap().headers().tip().is_none());
}

/// One row of any other table is enough.
#[test]
fn an_index_with_anything_in_it_keeps_its_scope() {
    for table in Table::ALL {
        if matches!(table, Table::Meta | Table::Headers) {
            continue;
        }
        for first in [true, false] {
            let store = Arc::new(MemoryStore::new());
            open(&store, first).unwrap();
            let mut batch = Batch::default();
            batch.put(table, [0xff; 33], [1]);
            store.commit(batch, Durability::Disk).unwrap();
            let error = open(&store, !first).unwrap_err();
            assert!(
                matches!(error, OpenError::OtherScope { personal } if personal == first),
                "{table}: {error}"
            );
        }
    }
}
