//! What may happen to an answer on its way, as the input says: first to what it says, then to how it is sent.

use std::ops::Range;

use super::answers::{Answer, Body, error};

/// The input of a target, which ends whenever it likes: then all is well.
#[derive(Debug, Default)]
pub(super) struct Input {
    data: Vec<u8>,
    at: usize,
}

impl Input {
    pub(super) fn new(data: &[u8]) -> Self {
        Self {
            data: data.to_vec(),
            at: 0,
        }
    }

    pub(super) fn is_empty(&self) -> bool {
        self.at >= self.data.len()
    }

    pub(super) fn byte(&mut self) -> u8 {
        let byte = self.data.get(self.at).copied().unwrap_or_default();
        self.at += 1;
        byte
    }

    /// A place in something of this length, or right behind it.
    fn place(&mut self, length: usize) -> usize {
        let place = u16::from_le_bytes([self.byte(), self.byte()]);
        usize::from(place) % (length + 1)
    }

    fn pick<'a, T>(&mut self, all: &'a [T]) -> &'a T {
        let place = usize::from(self.byte()) % all.len();
        all.get(place).expect("nothing is picked from nothing")
    }

    /// Some bytes that follow, their number first.
    fn bytes(&mut self) -> Vec<u8> {
        let length = usize::from(self.byte()) % 64;
        (0..length).map(|_| self.byte()).collect()
    }
}

/// An answer as it goes over the wire.
#[derive(Debug)]
pub(super) struct Wire {
    pub(super) bytes: Vec<u8>,
    /// Whether the connection ends behind it.
    pub(super) closes: bool,
    /// Whether it is another answer than the good one.
    pub(super) is_damaged: bool,
}

const STATUS: &[u16] = &[
    200, 400, 401, 403, 404, 500, 503, 204, 206, 301, 302, 304, 405, 413, 599, 999,
];
const CODES: &[i64] = &[
    -28,
    -32601,
    -1,
    -5,
    -8,
    -25,
    0,
    -32700,
    2_147_483_647,
    2_147_483_648,
];
const VALUES: &[&str] = &[
    "null",
    "true",
    "{}",
    "[]",
    "\"\"",
    "-1",
    "0",
    "1",
    "4294967295",
    "4294967296",
    "18446744073709551615",
    "18446744073709551616",
    "1e400",
    "1e-400",
    "0.000000001",
    "21000000.00000001",
    "\"00\"",
    "\"0\"",
    "\"\\ud800\"",
    "\"\\u0000\\n\\u001b[31m\"",
    "[null]",
    "{\"code\":-28}",
    "{\"code\":-5,\"message\":null}",
    "\"00000000000000000000000000000000ffffffffffffffffffffffffffffffff\"",
    "0,0",
    "]",
    "}",
];

/// Damages an answer, or not, and writes it. `previous` is the body of the answer before.
pub(super) fn send(input: &mut Input, mut answer: Answer, previous: &mut Vec<u8>) -> Wire {
    let edits = input.byte().saturating_sub(128) / 32;
    let good = answer.body.to_bytes();
    for _ in 0..edits {
        edit(input, &mut answer, previous);
    }
    let body = answer.body.to_bytes();
    let is_damaged = body != good;
    *previous = good;
    form(input, answer.status, &body, is_damaged)
}

/// Changes what an answer says.
fn edit(input: &mut Input, answer: &mut Answer, previous: &[u8]) {
    if let Body::Batch(replies) = &mut answer.body
        && input.byte() & 1 == 0
    {
        return edit_batch(input, replies);
    }
    let mut body = answer.body.to_bytes();
    match input.byte() % 8 {
        // Bytes give way to others.
        0 => {
            let start = input.place(body.len());
            let end = (start + usize::from(input.byte())).min(body.len());
            body.splice(start..end, input.bytes());
        }
        1 => {
            let start = input.place(body.len());
            if let Some(byte) = body.get_mut(start) {
                *byte ^= 1 << (input.byte() % 8);
            }
        }
        2 => {
            let value = input.pick(VALUES).as_bytes().to_vec();
            replace_scalar(input, &mut body, value);
        }
        3 => {
            let value = input.bytes();
            replace_scalar(input, &mut body, value);
        }
        4 => {
            let depth = usize::from(input.byte()) * 64;
            let open = *input.pick(&["[", "{\"a\":"]);
            let close = if open == "[" { "]" } else { "}" };
            let value = [&open.repeat(depth), "0", &close.repeat(depth)].concat();
            replace_scalar(input, &mut body, value.into_bytes());
        }
        5 => body = previous.to_vec(),
        6 => {
            let times = usize::from(input.byte() % 4);
            body = body.repeat(times);
        }
        _ => {
            let (code, message) = (*input.pick(CODES), input.bytes());
            let message = String::from_utf8_lossy(&message).repeat(1 + usize::from(input.byte()));
            body = error(code, &message, "0").into_bytes();
        }
    }
    answer.body = Body::Bytes(body);
}

/// Changes the replies to a batch: others, in another order, twice, or not at all.
fn edit_batch(input: &mut Input, replies: &mut Vec<String>) {
    if replies.is_empty() {
        return;
    }
    let length = replies.len();
    let (one, other) = (
        usize::from(input.byte()) % length,
        usize::from(input.byte()) % length,
    );
    let copy = replies.get(one).cloned().unwrap_or_default();
    match input.byte() % 6 {
        0 => replies.reverse(),
        1 => replies.swap(one, other),
        2 => replies.push(copy),
        3 => {
            replies.remove(one);
        }
        4 => {
            if let Some(reply) = replies.get_mut(other) {
                *reply = copy;
            }
        }
        _ => {
            let code = *input.pick(CODES);
            if let Some(reply) = replies.get_mut(one) {
                *reply = error(code, "no", &one.to_string());
            }
        }
    }
}

/// Replaces one of the names, texts, numbers and words in JSON.
fn replace_scalar(input: &mut Input, body: &mut Vec<u8>, value: Vec<u8>) {
    let scalars = scalars(body);
    if !scalars.is_empty() {
        let range = input.pick(&scalars).clone();
        body.splice(range, value);
    }
}

fn scalars(body: &[u8]) -> Vec<Range<usize>> {
    let mut scalars = Vec::new();
    let mut at = 0;
    while let Some(first) = body.get(at) {
        let rest = body.get(at + 1..).unwrap_or_default();
        let length = match first {
            b'"' => rest
                .iter()
                .position(|byte| *byte == b'"')
                .map_or(0, |end| end + 1),
            b'{' | b'}' | b'[' | b']' | b':' | b',' | b' ' => {
                at += 1;
                continue;
            }
            _ => rest
                .iter()
                .position(|byte| b"{}[]:, \"".contains(byte))
                .unwrap_or(rest.len()),
        };
        scalars.push(at..at + 1 + length);
        at += 1 + length;
    }
    // So that few bytes of the input reach all of them.
    scalars.truncate(256);
    scalars
}

/// Writes an answer: as Bitcoin Core does, in another way that is as good, or in one that is not.
fn form(input: &mut Input, status: u16, body: &[u8], is_damaged: bool) -> Wire {
    let head = |status: u16, lines: &str| format!("HTTP/1.1 {status} Status\r\n{lines}\r\n");
    let whole = |length: usize| {
        let head = head(status, &format!("Content-Length: {length}\r\n"));
        [head.as_bytes(), body].concat()
    };
    let (bytes, closes, harms) = match input.byte().saturating_sub(160) / 8 {
        1 => {
            let head = head(status, "Transfer-Encoding: chunked\r\n").into_bytes();
            let size = usize::from(input.byte()) + 1;
            ([head, chunked(body, size)].concat(), false, false)
        }
        2 => {
            let head = head(status, "Connection: close\r\n");
            ([head.as_bytes(), body].concat(), true, false)
        }
        3 => (
            [b"HTTP/1.1 100 Continue\r\n\r\n", &*whole(body.len())].concat(),
            false,
            false,
        ),
        4 => (Vec::new(), true, true),
        5 => {
            let mut bytes = whole(body.len());
            bytes.truncate(input.place(bytes.len()));
            (bytes, true, true)
        }
        6 => {
            let longer = [1, 1000, u32::MAX as usize, i64::MAX as usize];
            let length = body.len().saturating_add(*input.pick(&longer));
            (whole(length), true, true)
        }
        7 => {
            let length = body.len() - input.place(body.len());
            (whole(length), input.byte() & 1 == 0, true)
        }
        8 => {
            let mut bytes = whole(body.len());
            let start = input.place(bytes.len().min(80));
            let end = (start + usize::from(input.byte() % 16)).min(bytes.len());
            bytes.splice(start..end, input.bytes());
            (bytes, true, true)
        }
        9 => {
            let mut bytes = chunked(body, usize::from(input.byte()) + 1);
            let start = input.place(bytes.len());
            let end = (start + usize::from(input.byte() % 16)).min(bytes.len());
            bytes.splice(start..end, input.bytes());
            let head = head(status, "Transfer-Encoding: chunked\r\n").into_bytes();
            ([head, bytes].concat(), true, true)
        }
        10 => {
            let status = *input.pick(STATUS);
            let lines = format!("Content-Length: {}\r\nLocation: /x\r\n", body.len());
            ([head(status, &lines).as_bytes(), body].concat(), true, true)
        }
        11 => {
            let lines = ["Content-Encoding: gzip\r\n", "Content-Encoding: br\r\n"];
            let lines = [
                *input.pick(&lines),
                "Content-Type: text/html; charset=utf-16\r\n",
            ];
            let lines = lines.concat().repeat(usize::from(input.byte()));
            ([head(status, &lines).as_bytes(), body].concat(), true, true)
        }
        _ => (whole(body.len()), false, false),
    };
    Wire {
        bytes,
        closes,
        is_damaged: is_damaged || harms,
    }
}

fn chunked(body: &[u8], size: usize) -> Vec<u8> {
    let mut bytes = Vec::new();
    for chunk in body.chunks(size) {
        bytes.extend(format!("{:x}\r\n", chunk.len()).into_bytes());
        bytes.extend(chunk);
        bytes.extend(b"\r\n");
    }
    bytes.extend(b"0\r\n\r\n");
    bytes
}
