//! What leaves a server: answers, batches of answers, notifications, in one order.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;

use crate::jsonrpc::{ErrorCode, ErrorObject, Id};
use crate::notification::Notification;
use crate::version::ProtocolVersion;

/// Where an answer belongs: to an id, alone or in a place of a batch.
#[derive(Debug)]
pub(super) struct Address {
    id: Id,
    slot: Option<Slot>,
}

#[derive(Debug)]
struct Slot {
    batch: u64,
    index: usize,
}

impl Address {
    pub(super) fn id_len(&self) -> usize {
        self.id.get().len()
    }

    /// The address of whoever sent something that is no message.
    pub(super) fn of_nothing() -> Self {
        Self {
            id: Id::null(),
            slot: None,
        }
    }
}

/// An encoded result that several conversations send without a copy for each. It has no line end in it.
pub type SharedResult = Arc<dyn AsRef<[u8]> + Send + Sync>;

/// A part of what is to be sent.
#[derive(Clone)]
pub enum Chunk {
    /// Bytes that belong to this conversation.
    Owned(Vec<u8>),
    /// A result that was given to [`Server::reply_shared`](super::Server::reply_shared).
    Shared(SharedResult),
}

impl Chunk {
    /// Returns how many bytes it has.
    pub fn len(&self) -> usize {
        self.as_ref().len()
    }

    /// Tells whether it has no bytes.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Tells whether other conversations may hold the same bytes.
    pub fn is_shared(&self) -> bool {
        matches!(self, Self::Shared(_))
    }
}

impl AsRef<[u8]> for Chunk {
    fn as_ref(&self) -> &[u8] {
        match self {
            Self::Owned(bytes) => bytes,
            Self::Shared(result) => (**result).as_ref(),
        }
    }
}

impl fmt::Debug for Chunk {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Chunk")
            .field("is_shared", &self.is_shared())
            .field("len", &self.len())
            .finish()
    }
}

/// The queue of lines to send, and the batches that are not complete.
#[derive(Debug)]
pub(super) struct Outbox {
    max_response: usize,
    /// What comes before `output`: empty unless a shared result waits.
    chunks: Vec<Chunk>,
    output: Vec<u8>,
    batches: BTreeMap<u64, Batch>,
    next_batch: u64,
    /// Notifications that wait for the open batches.
    held: Vec<u8>,
    /// Bytes in open batches.
    batched: usize,
    /// Whether answers have the form that they had before JSON-RPC 2.0.
    old: bool,
}

#[derive(Debug, Default)]
struct Batch {
    /// The answers in the order of the requests; nothing where one is missing.
    answers: Vec<Option<Vec<u8>>>,
    missing: usize,
    bytes: usize,
    /// What the answers take at most when all of them are the error that says that they are too long.
    errors: usize,
    /// Whether all messages of the batch were seen.
    sealed: bool,
}

impl Outbox {
    pub(super) fn new(max_response: usize) -> Self {
        Self {
            max_response,
            chunks: Vec::new(),
            output: Vec::new(),
            batches: BTreeMap::new(),
            next_batch: 0,
            held: Vec::new(),
            batched: 0,
            old: false,
        }
    }

    /// Gives everything from here on the form of a version.
    pub(super) fn speak(&mut self, version: ProtocolVersion) {
        self.old = version < ProtocolVersion::V1_0;
    }

    /// Starts a batch and returns its number.
    pub(super) fn open_batch(&mut self) -> u64 {
        let batch = self.next_batch;
        self.next_batch += 1;
        self.batches.insert(batch, Batch::default());
        batch
    }

    /// Declares that a batch has no further messages.
    pub(super) fn seal_batch(&mut self, number: u64) {
        if let Some(batch) = self.batches.get_mut(&number) {
            batch.sealed = true;
            self.send_if_complete(number);
        }
    }

    /// Reserves the place of an answer.
    pub(super) fn address(&mut self, id: Id, batch: Option<u64>) -> Address {
        let slot = batch.and_then(|number| {
            let batch = self.batches.get_mut(&number)?;
            batch.answers.push(None);
            batch.missing += 1;
            batch.errors += id.get().len() + TOO_LARGE;
            Some(Slot {
                batch: number,
                index: batch.answers.len() - 1,
            })
        });
        Address { id, slot }
    }

    /// Answers with a result, or with an error when it is too long.
    pub(super) fn result(&mut self, address: Address, write: impl FnOnce(&mut Vec<u8>)) {
        self.answer(address, "result", write);
    }

    /// Answers with a result that others may send as well. Within a batch it is copied.
    pub(super) fn shared_result(&mut self, address: Address, result: SharedResult) {
        let bytes = (*result).as_ref();
        let length = address.id.get().len() + ENVELOPE + bytes.len();
        if address.slot.is_some() || length > self.max_response {
            return self.answer(address, "result", |out| out.extend_from_slice(bytes));
        }
        envelope_head(&address.id, "result", self.old, &mut self.output);
        let head = core::mem::take(&mut self.output);
        self.chunks
            .extend([Chunk::Owned(head), Chunk::Shared(result)]);
        self.output.extend_from_slice(b"}\n");
    }

    /// Answers with an error.
    pub(super) fn error(&mut self, address: Address, error: &ErrorObject) {
        let old = self.old;
        self.answer(address, "error", |out| error_to_json(error, old, out));
    }

    fn answer(&mut self, address: Address, key: &str, write: impl FnOnce(&mut Vec<u8>)) {
        let Address { id, slot } = address;
        let Some(Slot {
            batch: number,
            index,
        }) = slot
        else {
            let start = self.output.len();
            envelope(&id, key, self.old, write, &mut self.output);
            if self.output.len() - start > self.max_response {
                self.output.truncate(start);
                let error = too_large(self.max_response);
                let write = |out: &mut Vec<u8>| error_to_json(&error, self.old, out);
                envelope(&id, "error", self.old, write, &mut self.output);
            }
            self.output.push(b'\n');
            return;
        };
        let Some(batch) = self.batches.get_mut(&number) else {
            return;
        };
        let mut answer = Vec::new();
        envelope(&id, key, self.old, write, &mut answer);
        // With its comma, and both brackets of the array.
        if batch.bytes + answer.len() + 3 > self.max_response {
            // Gives the room of the long one back: it would be kept for as long as the batch is.
            answer = Vec::new();
            let error = too_large(self.max_response);
            let write = |out: &mut Vec<u8>| error_to_json(&error, self.old, out);
            envelope(&id, "error", self.old, write, &mut answer);
        }
        answer.shrink_to_fit();
        batch.bytes += answer.len() + 1;
        batch.missing -= 1;
        self.batched += answer.len() + 1;
        if let Some(slot) = batch.answers.get_mut(index) {
            *slot = Some(answer);
        }
        self.send_if_complete(number);
    }

    fn send_if_complete(&mut self, number: u64) {
        if !self
            .batches
            .get(&number)
            .is_some_and(|batch| batch.sealed && batch.missing == 0)
        {
            return;
        }
        if let Some(batch) = self.batches.remove(&number) {
            self.batched -= batch.bytes;
            // A batch of notifications is not answered.
            if !batch.answers.is_empty() {
                crate::json::array(
                    batch.answers.iter().flatten(),
                    &mut self.output,
                    |answer, out| {
                        out.extend_from_slice(answer);
                    },
                );
                self.output.push(b'\n');
            }
        }
        if self.batches.is_empty() {
            self.output.append(&mut self.held);
        }
    }

    /// Sends a notification, after the open batches.
    pub(super) fn notify(&mut self, notification: &Notification, version: ProtocolVersion) {
        let out = if self.batches.is_empty() {
            &mut self.output
        } else {
            &mut self.held
        };
        notification.encode(version, out);
        out.push(b'\n');
    }

    pub(super) fn take(&mut self) -> Vec<u8> {
        if self.chunks.is_empty() {
            return take_output(&mut self.output);
        }
        let mut all = Vec::with_capacity(self.ready());
        for chunk in self.take_chunks() {
            all.extend_from_slice(chunk.as_ref());
        }
        all
    }

    pub(super) fn take_chunks(&mut self) -> impl Iterator<Item = Chunk> + use<> {
        let last = take_output(&mut self.output);
        let last = (!last.is_empty()).then_some(Chunk::Owned(last));
        core::mem::take(&mut self.chunks).into_iter().chain(last)
    }

    /// Returns how many bytes could be taken now.
    pub(super) fn ready(&self) -> usize {
        self.chunks.iter().map(Chunk::len).sum::<usize>() + self.output.len()
    }

    /// Returns how many bytes wait that belong to this conversation alone.
    pub(super) fn owned(&self) -> usize {
        let chunks = self.chunks.iter().filter(|chunk| !chunk.is_shared());
        let ready = chunks.map(Chunk::len).sum::<usize>() + self.output.len();
        ready + self.held.len() + self.batched
    }

    /// Returns how many bytes wait.
    pub(super) fn len(&self) -> usize {
        self.ready() + self.held.len() + self.batched
    }

    /// Returns how many bytes the answers of the open batches may have at most, of which some are there already; nothing
    /// when no batch is open.
    pub(super) fn most_of_batches(&self) -> Option<usize> {
        let batches = self.batches.values();
        batches
            .map(|batch| self.max_response.saturating_add(batch.errors))
            .reduce(usize::saturating_add)
    }
}

/// Takes the bytes that wait. A long answer leaves no room behind that it did not need.
fn take_output(output: &mut Vec<u8>) -> Vec<u8> {
    let mut output = core::mem::take(output);
    if output.capacity() - output.len() >= UNUSED {
        output.shrink_to_fit();
    }
    output
}

/// So much room that was not needed is given back. For less it costs more than it is worth.
const UNUSED: usize = 128 * 1024;
/// More than an answer takes besides its id and its result.
const ENVELOPE: usize = 40;
/// More than the answer that another one would be too long takes besides its id.
const TOO_LARGE: usize = 140;

fn envelope(id: &Id, key: &str, old: bool, write: impl FnOnce(&mut Vec<u8>), out: &mut Vec<u8>) {
    envelope_head(id, key, old, out);
    write(out);
    out.push(b'}');
}

fn envelope_head(id: &Id, key: &str, old: bool, out: &mut Vec<u8>) {
    out.extend_from_slice(match old {
        true => b"{\"id\":",
        false => b"{\"jsonrpc\":\"2.0\",\"id\":",
    });
    out.extend_from_slice(id.get().as_bytes());
    out.extend_from_slice(b",\"");
    out.extend_from_slice(key.as_bytes());
    out.extend_from_slice(b"\":");
}

/// Writes an error; before JSON-RPC 2.0 it was its message alone.
fn error_to_json(error: &ErrorObject, old: bool, out: &mut Vec<u8>) {
    match old {
        true => crate::json::string(&error.message, out),
        false => error.encode(out),
    }
}

fn too_large(max: usize) -> ErrorObject {
    let message = format!("response too large (over {max} bytes)");
    ErrorObject::new(ErrorCode::INVALID_REQUEST, message)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_shared_result_is_sent_as_it_is_and_in_its_place() {
        let shared: SharedResult = Arc::new(vec![b'1'; 5000]);
        let copied = shared.clone();
        let mut outbox = Outbox::new(10_000);
        let mut plain = Outbox::new(10_000);
        for _ in 0..2 {
            let batch = outbox.open_batch();
            plain.open_batch();
            for (in_batch, length) in [(None, 10), (None, 5000), (Some(batch), 5000), (None, 20)] {
                let address = outbox.address(Id::null(), in_batch);
                match length {
                    5000 => outbox.shared_result(address, shared.clone()),
                    length => outbox.result(address, |out| out.resize(out.len() + length, b'1')),
                }
                let address = plain.address(Id::null(), in_batch);
                plain.result(address, |out| out.resize(out.len() + length, b'1'));
            }
            outbox.seal_batch(batch);
            plain.seal_batch(batch);
        }
        assert_eq!(outbox.len(), plain.len());
        assert_eq!(outbox.owned(), plain.len() - 2 * 5000);
        let chunks: Vec<Chunk> = outbox.take_chunks().collect();
        let results = chunks.iter().filter(|chunk| chunk.is_shared()).count();
        assert_eq!(results, 2);
        let bytes: Vec<u8> = chunks.iter().flat_map(AsRef::as_ref).copied().collect();
        assert_eq!(bytes, plain.take());
        assert_eq!((outbox.len(), outbox.owned()), (0, 0));
        drop((chunks, shared));
        assert_eq!(Arc::strong_count(&copied), 1);
        // Too long for an answer.
        let address = outbox.address(Id::null(), None);
        outbox.shared_result(address, Arc::new(vec![b'1'; 10_000]));
        let answer = String::from_utf8(outbox.take()).unwrap();
        assert!(answer.contains("response too large"), "{answer}");
    }

    #[test]
    fn a_batch_never_has_more_than_was_said_when_it_began() {
        for length in [1_000_000, 9000, 300, 10] {
            let mut outbox = Outbox::new(10_000);
            let batch = outbox.open_batch();
            let addresses: Vec<_> = (0..100)
                .map(|_| outbox.address(Id::null(), Some(batch)))
                .collect();
            let most = outbox.most_of_batches().unwrap();
            for address in addresses {
                outbox.result(address, |out| out.resize(out.len() + length, b'1'));
                assert!(outbox.owned() <= most, "{} of {most}", outbox.owned());
            }
            outbox.seal_batch(batch);
            assert!(outbox.owned() <= most, "{} of {most}", outbox.owned());
            assert_eq!(outbox.most_of_batches(), None);
        }
    }

    #[test]
    fn an_answer_in_a_batch_takes_no_more_room_than_it_needs() {
        let mut outbox = Outbox::new(10_000);
        let batch = outbox.open_batch();
        // Too long for every batch, too long for what is left of this one, and short.
        for length in [1_000_000, 9000, 5000, 10].repeat(20) {
            let address = outbox.address(Id::null(), Some(batch));
            outbox.result(address, |out| out.resize(out.len() + length, b'1'));
        }
        let batch = &outbox.batches[&batch];
        assert_eq!(batch.answers.len(), 80);
        let room: usize = batch.answers.iter().flatten().map(Vec::capacity).sum();
        let needed: usize = batch.answers.iter().flatten().map(Vec::len).sum();
        assert!(needed < 10_000 + 80 * 150, "{needed}");
        assert!(room <= 2 * needed, "{room}");
    }
}
