//! What a value holds, counted at the allocator.

use allocation_counter::measure;

/// The bytes that were allocated in what was run, and not given back.
#[derive(Debug, Default)]
pub(crate) struct Held {
    bytes: i64,
}

impl Held {
    /// Runs something that allocates or gives back.
    pub(crate) fn run<T>(&mut self, step: impl FnOnce() -> T) -> T {
        let mut result = None;
        self.bytes += measure(|| result = Some(step())).bytes_current;
        result.unwrap()
    }

    pub(crate) fn bytes(&self) -> usize {
        usize::try_from(self.bytes).unwrap()
    }
}
