//! What leaves a server: answers, batches of answers, notifications, in one order.

use std::collections::BTreeMap;

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
    /// The address of whoever sent something that is no message.
    pub(super) fn of_nothing() -> Self {
        Self {
            id: Id::null(),
            slot: None,
        }
    }
}

/// The queue of lines to send, and the batches that are not complete.
#[derive(Debug)]
pub(super) struct Outbox {
    max_response: usize,
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
    /// Whether all messages of the batch were seen.
    sealed: bool,
}

impl Outbox {
    pub(super) fn new(max_response: usize) -> Self {
        Self {
            max_response,
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
        core::mem::take(&mut self.output)
    }

    pub(super) fn len(&self) -> usize {
        self.output.len() + self.held.len() + self.batched
    }
}

fn envelope(id: &Id, key: &str, old: bool, write: impl FnOnce(&mut Vec<u8>), out: &mut Vec<u8>) {
    out.extend_from_slice(match old {
        true => b"{\"id\":",
        false => b"{\"jsonrpc\":\"2.0\",\"id\":",
    });
    out.extend_from_slice(id.get().as_bytes());
    out.extend_from_slice(b",\"");
    out.extend_from_slice(key.as_bytes());
    out.extend_from_slice(b"\":");
    write(out);
    out.push(b'}');
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
