//! A disk that is full for a while, while blocks come: nothing is lost, nobody stops answering, and it goes on by itself.
//!
//! The disks are file systems in memory, which only root can mount: elsewhere these tests say that they were left out.

#![cfg(all(target_os = "linux", feature = "fjall", feature = "regtest"))]
#![allow(clippy::unwrap_used, clippy::print_stderr)]

use std::fs::{self, File};
use std::io::Write;
use std::ops::ControlFlow;
use std::path::Path;
use std::process::Command;
use std::sync::Arc;
use std::sync::mpsc::{Receiver, RecvTimeoutError, channel};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use bitcoin::constants::genesis_block;
use bitcoin::{Amount, Network, ScriptBuf};
use electrum_protocol::ScriptHash;
use electrum_server_core::index::{Index, RowKey};
use electrum_server_core::notify::Published;
use electrum_server_core::regtest::{RegtestNode, RegtestOptions};
use electrum_server_core::store::{
    FjallOptions, FjallStore, LayeredStore, MemoryStore, Store, Table, free_space,
};
use electrum_server_core::sync::{Sync, SyncError, SyncEvent, SyncHandle, SyncOptions};

const KEY: RowKey = RowKey::from_byte_array([0x5a; 16]);
const PATIENCE: Duration = Duration::from_secs(90);
const MIB: u64 = 1 << 20;

/// A small disk.
struct Disk {
    folder: tempfile::TempDir,
}

impl Disk {
    /// Mounts one; nothing when that is not allowed.
    fn mount(mebibytes: u64) -> Option<Self> {
        let folder = tempfile::tempdir().unwrap();
        let mounted = Command::new("mount")
            .args(["-t", "tmpfs", "-o", &format!("size={mebibytes}m"), "tmpfs"])
            .arg(folder.path())
            .output();
        let is_mounted = mounted.is_ok_and(|mounted| mounted.status.success());
        if !is_mounted {
            eprintln!(
                "LEFT OUT: a small file system cannot be mounted here; run the tests as root"
            );
        }
        is_mounted.then_some(Self { folder })
    }

    fn path(&self) -> &Path {
        self.folder.path()
    }

    fn fill(&self, left: u64) {
        fill(self.path(), left);
    }

    fn free(&self) {
        fs::remove_file(self.path().join("ballast")).unwrap();
    }
}

/// Fills a disk up to so many bytes.
fn fill(disk: &Path, left: u64) {
    let mut file = File::options()
        .append(true)
        .create(true)
        .open(disk.join("ballast"))
        .unwrap();
    while free_space(disk).unwrap() > left {
        file.write_all(&[1; 4096]).unwrap();
    }
}

impl Drop for Disk {
    fn drop(&mut self) {
        let unmounted = Command::new("umount").arg("-l").arg(self.path()).status();
        assert!(unmounted.is_ok_and(|status| status.success()) || std::thread::panicking());
    }
}

#[derive(Debug, PartialEq, Eq)]
enum Told {
    Failed(String),
    Back,
    Update,
}

/// A writer on a small disk.
struct Running {
    handle: SyncHandle,
    published: Receiver<Arc<Published>>,
    told: Receiver<Told>,
    thread: JoinHandle<Result<(), SyncError>>,
}

fn open_store(disk: &Disk, options: FjallOptions) -> Arc<dyn Store> {
    let folder = disk.path().join("index");
    let top = FjallStore::open(&folder, options).unwrap();
    let segments = folder.join("segments");
    Arc::new(
        LayeredStore::open_with_reserve(Arc::new(top), &segments, options.reserve.min(MIB))
            .unwrap(),
    )
}

fn open(store: &Arc<dyn Store>) -> Index {
    let genesis = genesis_block(Network::Regtest).block_hash();
    Index::open_with_key(store.clone(), genesis, KEY).unwrap()
}

fn start(store: &Arc<dyn Store>, node: &RegtestNode) -> Running {
    start_with(store, node, |_| {})
}

/// Starts a writer; shows `watch` what it tells.
fn start_with(
    store: &Arc<dyn Store>,
    node: &RegtestNode,
    mut watch: impl FnMut(&SyncEvent<'_>) + Send + 'static,
) -> Running {
    let options = SyncOptions {
        threads: 2,
        build_memory: 2 << 20,
        ..SyncOptions::default()
    };
    let sync = Sync::new(open(store), Arc::new(node.clone()), options);
    let handle = sync.handle();
    let (first, published) = channel();
    let (sender, told) = channel();
    let thread = std::thread::spawn(move || {
        sync.run(&mut |event| {
            watch(&event);
            let event = match event {
                SyncEvent::Ready(published) => return drop(first.send(published.clone())),
                SyncEvent::StoreFailed(error) => Told::Failed(error.to_string()),
                SyncEvent::StoreBack => Told::Back,
                SyncEvent::Update(_) => Told::Update,
                _ => return,
            };
            let _ = sender.send(event);
        })
    });
    Running {
        handle,
        published,
        told,
        thread,
    }
}

impl Running {
    fn ready(&self) -> Arc<Published> {
        self.published.recv_timeout(PATIENCE).unwrap()
    }

    /// Waits for the store to fail, and returns why it did.
    fn failed(&self) -> String {
        loop {
            match self.told.recv_timeout(PATIENCE).unwrap() {
                Told::Failed(reason) => return reason,
                Told::Back | Told::Update => {}
            }
        }
    }

    fn back(&self) {
        while self.told.recv_timeout(PATIENCE).unwrap() != Told::Back {}
    }

    fn stop(self) {
        self.handle.stop();
        self.thread.join().unwrap().unwrap();
    }
}

fn node(blocks: u32) -> RegtestNode {
    RegtestNode::new(RegtestOptions {
        blocks,
        ..RegtestOptions::default()
    })
}

/// Mines a block with rows for some hundred scripts.
fn mine(node: &RegtestNode, round: u32) {
    let outputs: Vec<_> = (0..400u32)
        .map(|number| {
            let mut script = vec![0x51, 0x08];
            script.extend_from_slice(&round.to_be_bytes());
            script.extend_from_slice(&number.to_be_bytes());
            (ScriptBuf::from_bytes(script), Amount::from_sat(1000))
        })
        .collect();
    node.fund_many(&outputs).unwrap();
    node.mine_to_faucet(1);
}

fn content(store: &dyn Store) -> Vec<(Table, Vec<u8>, Vec<u8>)> {
    let snapshot = store.snapshot();
    let mut rows = Vec::new();
    for table in Table::CONTENT {
        let all = [].as_slice()..=[0xff; 64].as_slice();
        let mut push = |key: &[u8], value: &[u8]| {
            rows.push((table, key.to_vec(), value.to_vec()));
            ControlFlow::Continue(())
        };
        snapshot.scan(table, all, &mut push).unwrap();
    }
    rows
}

/// The content of an index that has always had space.
fn expected(node: &RegtestNode) -> Vec<(Table, Vec<u8>, Vec<u8>)> {
    let store: Arc<dyn Store> = Arc::new(MemoryStore::new());
    let sync = Sync::new(open(&store), Arc::new(node.clone()), SyncOptions::default());
    sync.run_once(&mut |_| {}).unwrap();
    content(store.as_ref())
}

fn check(store: &Arc<dyn Store>, node: &RegtestNode) {
    assert!(content(store.as_ref()) == expected(node), "other rows");
}

fn wait_for(what: &str, mut is_so: impl FnMut() -> bool) {
    let started = Instant::now();
    while !is_so() {
        assert!(started.elapsed() < PATIENCE, "{what}");
        std::thread::sleep(Duration::from_millis(20));
    }
}

/// Blocks come until the disk is full; it stays so for a while, also over a restart.
fn connecting(options: FjallOptions, left: u64, reason: &str) {
    let Some(disk) = Disk::mount(24) else { return };
    let node = node(120);
    let store = open_store(&disk, options);
    let running = start(&store, &node);
    let published = running.ready();
    let mut round = 0;
    for _ in 0..3 {
        disk.fill(left);
        let faucet = ScriptHash::from_script(&node.faucet_script());
        let failed = loop {
            mine(&node, round);
            round += 1;
            running.handle.look();
            let view = published.view();
            assert!(!view.history(&faucet, None).unwrap().is_empty());
            match running.told.recv_timeout(Duration::from_millis(200)) {
                Ok(Told::Failed(failed)) => break failed,
                Err(RecvTimeoutError::Disconnected) => panic!("the writer has ended"),
                _ => assert!(round < 500, "the disk is never full"),
            }
        };
        assert!(failed.contains(reason), "{failed}");
        let height = published.view().height();
        // Nothing changes while it is full, and everything is answered.
        for _ in 0..10 {
            running.handle.refresh(PATIENCE);
            let view = published.view();
            assert!(view.height() >= height);
            assert!(!view.history(&faucet, None).unwrap().is_empty());
            assert!(view.txid_at(view.height(), 0).unwrap().is_some());
        }
        mine(&node, round);
        round += 1;
        disk.free();
        running.back();
        wait_for("it goes on", || published.view().height() == node.height());
        check(&store, &node);
    }
    disk.fill(0);
    running.stop();
    drop((published, store));

    // Started on a full disk, it serves what it has.
    let store = open_store(&disk, options);
    let running = start(&store, &node);
    let published = running.ready();
    assert_eq!(published.view().height(), node.height());
    // Opening it may have made some space.
    while running.told.try_iter().all(|told| told == Told::Update) {
        assert!(round < 500, "the disk is never full");
        mine(&node, round);
        round += 1;
        running.handle.refresh(PATIENCE);
    }
    disk.free();
    running.back();
    wait_for("it goes on", || published.view().height() == node.height());
    check(&store, &node);
    running.stop();
    drop((published, store));

    let store = open_store(&disk, options);
    drop(open(&store));
    check(&store, &node);
}

/// The space runs out before anything fails.
#[test]
fn blocks_wait_for_space() {
    let options = FjallOptions {
        cache: MIB,
        write_buffer: 4 * MIB,
        reserve: 2 * MIB,
    };
    connecting(options, 2 * MIB + 100_000, "too little space");
}

/// Somebody else takes the space that was left for the engine: it fails in the middle of a write.
#[test]
fn a_write_that_fails_is_made_up_for() {
    let options = FjallOptions {
        cache: MIB,
        write_buffer: 4 * MIB,
        reserve: 0,
    };
    connecting(options, 50_000, "");
}

/// The same, in the background: where the engine moves rows to their final place.
#[test]
fn a_flush_that_fails_is_made_up_for() {
    let options = FjallOptions {
        cache: MIB,
        write_buffer: 64 << 10,
        reserve: 0,
    };
    connecting(options, 300_000, "");
}

/// A chain that is worth a build in bulk, of several runs.
fn long_chain() -> RegtestNode {
    let node = node(200);
    for round in 0..150 {
        mine(&node, round);
    }
    node.mine_to_faucet(400);
    node
}

const NO_RESERVE: FjallOptions = FjallOptions {
    cache: MIB,
    write_buffer: MIB,
    reserve: 0,
};

/// A build in bulk begins when there is some space, and is made up for when that goes in the middle of it.
#[test]
fn a_build_waits_for_space() {
    let Some(disk) = Disk::mount(24) else { return };
    let node = long_chain();
    let store = open_store(&disk, NO_RESERVE);
    disk.fill(2 * MIB);
    let taken = disk.path().to_owned();
    let mut height_to_take = Some(300);
    let running = start_with(&store, &node, move |event| {
        if let SyncEvent::Progress { height, .. } = event
            && height_to_take.is_some_and(|at| *height >= at)
        {
            height_to_take = None;
            fill(&taken, 0);
        }
    });
    let failed = running.failed();
    assert!(failed.contains("too little space"), "{failed}");
    disk.free();
    wait_for("the disk is full again", || {
        disk.path().join("ballast").exists()
    });
    let early = running.published.recv_timeout(Duration::from_secs(1));
    assert!(early.is_err(), "there was space for all");
    disk.free();
    running.ready();
    check(&store, &node);
    running.stop();
    drop(store);
    let store = open_store(&disk, NO_RESERVE);
    drop(open(&store));
    check(&store, &node);
}

/// Files are merged when there is space for that, and served as they are until then.
#[test]
fn a_merge_waits_for_space() {
    let Some(disk) = Disk::mount(24) else { return };
    let node = long_chain();
    let store = open_store(&disk, NO_RESERVE);
    let taken = disk.path().to_owned();
    let running = start_with(&store, &node, move |event| {
        if let SyncEvent::Ready(_) = event {
            fill(&taken, 0);
        }
    });
    let published = running.ready();
    let files = || {
        fs::read_dir(disk.path().join("index/segments"))
            .unwrap()
            .count()
    };
    let merged = 3 + 2 * 16;
    std::thread::sleep(Duration::from_secs(1));
    assert!(files() > merged, "{}", files());
    let faucet = ScriptHash::from_script(&node.faucet_script());
    assert!(!published.view().history(&faucet, None).unwrap().is_empty());
    disk.free();
    wait_for("it is merged", || files() == merged);
    check(&store, &node);
    running.stop();
}
