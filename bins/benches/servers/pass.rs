//! The plain pass: reads all block files and double-hashes their bytes, on all cores. No index can be built faster.

use std::fs::{self, File};
use std::io;
use std::os::unix::fs::FileExt;
use std::path::Path;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use bitcoin::hashes::{Hash, sha256d};

/// How much one core takes at a time.
const PIECE: u64 = 4 << 20;

/// What a pass showed.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Pass {
    pub(crate) bytes: u64,
    pub(crate) elapsed: Duration,
}

/// Goes over the `blk*.dat` of a folder.
pub(crate) fn run(folder: &Path) -> io::Result<Pass> {
    let key = fs::read(folder.join("xor.dat")).unwrap_or_else(|_| vec![0]);
    let mut pieces = Vec::new();
    for entry in fs::read_dir(folder)? {
        let entry = entry?;
        let name = entry.file_name().into_string().unwrap();
        if name.starts_with("blk") {
            let size = entry.metadata()?.len();
            let file = File::open(entry.path())?;
            for at in (0..size).step_by(PIECE as usize) {
                pieces.push((file.try_clone()?, at, PIECE.min(size - at)));
            }
        }
    }
    let next = AtomicUsize::new(0);
    let start = Instant::now();
    thread::scope(|scope| {
        let work = || {
            let mut bytes = vec![0; PIECE as usize];
            while let Some((file, at, size)) = pieces.get(next.fetch_add(1, Ordering::Relaxed)) {
                let bytes = &mut bytes[..*size as usize];
                file.read_exact_at(bytes, *at).unwrap();
                // A piece begins at a multiple of the key's length.
                for part in bytes.chunks_mut(key.len()) {
                    for (byte, key) in part.iter_mut().zip(&key) {
                        *byte ^= key;
                    }
                }
                std::hint::black_box(sha256d::Hash::hash(bytes));
            }
        };
        for _ in 0..crate::cores() {
            scope.spawn(work);
        }
    });
    Ok(Pass {
        bytes: pieces.iter().map(|(_, _, size)| size).sum(),
        elapsed: start.elapsed(),
    })
}
