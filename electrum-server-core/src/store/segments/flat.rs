//! Files of rows of one length, appended to and read by number.

use std::fs::File;
use std::io::{self, Write};
use std::path::Path;
use std::sync::Arc;

use crate::read_at::read_exact_at;

/// What is collected before it is written.
const BUFFER: usize = 1 << 20;

/// Rows of `N` bytes, numbered from zero.
#[derive(Clone, Debug)]
pub(super) struct Flat<const N: usize> {
    file: Arc<File>,
    rows: u32,
}

impl<const N: usize> Flat<N> {
    /// Opens or makes a file, and cuts off what is behind `rows` rows.
    pub(super) fn open(path: &Path, rows: u32) -> io::Result<Self> {
        let file = File::options()
            .read(true)
            .write(true)
            .create(true)
            .truncate(false)
            .open(path)?;
        let (len, wanted) = (file.metadata()?.len(), u64::from(rows) * N as u64);
        if len < wanted {
            let problem = format!("{} is damaged: it is too short", path.display());
            return Err(io::Error::new(io::ErrorKind::InvalidData, problem));
        }
        if len > wanted {
            file.set_len(wanted)?;
        }
        Ok(Self {
            file: Arc::new(file),
            rows,
        })
    }

    pub(super) fn len(&self) -> u32 {
        self.rows
    }

    /// Returns a row.
    pub(super) fn get(&self, row: u32) -> io::Result<Option<[u8; N]>> {
        if row >= self.rows {
            return Ok(None);
        }
        let mut bytes = [0; N];
        read_exact_at(&self.file, &mut bytes, u64::from(row) * N as u64)?;
        Ok(Some(bytes))
    }

    /// Returns neighbouring rows, those that are there.
    pub(super) fn range(&self, first: u32, count: u32) -> io::Result<Vec<[u8; N]>> {
        let count = count.min(self.rows.saturating_sub(first));
        let mut rows = vec![[0; N]; count as usize];
        read_exact_at(
            &self.file,
            rows.as_flattened_mut(),
            u64::from(first) * N as u64,
        )?;
        Ok(rows)
    }

    pub(super) fn sync(&self) -> io::Result<()> {
        self.file.sync_data()
    }
}

/// Appends rows. They count once [`finish`](Self::finish) has been called.
pub(super) struct Append<const N: usize> {
    flat: Flat<N>,
    added: u32,
    buffer: Vec<u8>,
    offset: u64,
}

impl<const N: usize> Append<N> {
    pub(super) fn new(flat: &Flat<N>) -> Self {
        Self {
            added: 0,
            buffer: Vec::new(),
            offset: u64::from(flat.rows) * N as u64,
            flat: flat.clone(),
        }
    }

    pub(super) fn push(&mut self, rows: &[[u8; N]]) -> io::Result<()> {
        self.buffer.extend_from_slice(rows.as_flattened());
        self.added += rows.len() as u32;
        if self.buffer.len() >= BUFFER {
            self.flush()?;
        }
        Ok(())
    }

    fn flush(&mut self) -> io::Result<()> {
        // The one writer: nobody else moves the position.
        use std::io::{Seek, SeekFrom};
        let mut file = self.flat.file.as_ref();
        file.seek(SeekFrom::Start(self.offset))?;
        file.write_all(&self.buffer)?;
        self.offset += self.buffer.len() as u64;
        self.buffer.clear();
        Ok(())
    }

    pub(super) fn finish(mut self) -> io::Result<Flat<N>> {
        self.flush()?;
        self.flat.rows += self.added;
        Ok(self.flat)
    }
}
