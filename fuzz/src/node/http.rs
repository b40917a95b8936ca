//! A node on the loopback interface, which answers every request or closes its connection: nobody waits for it.

use std::io::{self, BufRead, BufReader, Read, Write};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::sync::{Condvar, Mutex, MutexGuard, OnceLock, PoisonError};
use std::thread;

use super::answers;
use super::damage::{Input, Wire, send};

/// More than the connections that the clients here keep open: each has a thread that waits for its requests.
const THREADS: usize = 24;

#[derive(Debug)]
pub(super) struct Node {
    /// `host:port`.
    pub(super) address: String,
    stage: Mutex<Stage>,
    is_closed: Condvar,
}

/// What happens next, and what has happened.
#[derive(Debug, Default)]
pub(super) struct Stage {
    pub(super) input: Input,
    pub(super) has_rest: bool,
    /// How many requests were answered.
    pub(super) exchanges: usize,
    /// Whether one of the answers was damaged.
    pub(super) is_damaged: bool,
    /// The last answer as it should have been.
    previous: Vec<u8>,
    /// Connections that are about to be closed.
    closing: usize,
}

/// The one node that there is.
pub(super) fn node() -> &'static Node {
    static NODE: OnceLock<Node> = OnceLock::new();
    static LISTENER: OnceLock<TcpListener> = OnceLock::new();
    NODE.get_or_init(|| {
        let listener = TcpListener::bind("127.0.0.1:0").expect("there is a free port");
        let address = listener.local_addr().expect("it is bound").to_string();
        let listener = LISTENER.get_or_init(|| listener);
        for _ in 0..THREADS {
            thread::spawn(move || {
                while let Ok((stream, _)) = listener.accept() {
                    // A client that went away is no matter.
                    let _ = node().serve(&stream);
                }
            });
        }
        Node {
            address,
            stage: Mutex::default(),
            is_closed: Condvar::new(),
        }
    })
}

impl Node {
    pub(super) fn lock(&self) -> MutexGuard<'_, Stage> {
        self.stage.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Waits until the connections are closed that are to be: otherwise it would be chance whether the next request
    /// goes over one of them.
    pub(super) fn settle(&self) {
        let mut stage = self.lock();
        while stage.closing > 0 {
            stage = self
                .is_closed
                .wait(stage)
                .unwrap_or_else(PoisonError::into_inner);
        }
    }

    fn serve(&self, stream: &TcpStream) -> io::Result<()> {
        stream.set_nodelay(true)?;
        let mut reader = BufReader::new(stream);
        while let Some((path, body)) = read_request(&mut reader)? {
            let Wire { bytes, closes, .. } = self.lock().answer(&path, &body);
            let mut writer = stream;
            let written = writer.write_all(&bytes);
            if closes {
                let _ = stream.shutdown(Shutdown::Both);
                self.lock().closing -= 1;
                self.is_closed.notify_all();
                break;
            }
            written?;
        }
        Ok(())
    }
}

impl Stage {
    fn answer(&mut self, path: &str, body: &[u8]) -> Wire {
        self.exchanges += 1;
        let answer = match path {
            "/" => answers::rpc(body),
            path if self.has_rest => answers::rest(path),
            _ => answers::rest(""),
        };
        let wire = send(&mut self.input, answer, &mut self.previous);
        self.is_damaged |= wire.is_damaged;
        self.closing += usize::from(wire.closes);
        wire
    }
}

/// Reads a path and a body; nothing when the client has closed the connection.
fn read_request(reader: &mut impl BufRead) -> io::Result<Option<(String, Vec<u8>)>> {
    let mut first = String::new();
    if reader.read_line(&mut first)? == 0 {
        return Ok(None);
    }
    let path = first.split(' ').nth(1).unwrap_or_default().to_owned();
    let mut length = 0;
    loop {
        let mut line = String::new();
        reader.read_line(&mut line)?;
        match line.trim_end().split_once(':') {
            Some((name, value)) if name.eq_ignore_ascii_case("content-length") => {
                length = value.trim().parse().unwrap_or(0);
            }
            Some(_) => {}
            None => break,
        }
    }
    let mut body = Vec::new();
    reader.take(length).read_to_end(&mut body)?;
    Ok(Some((path, body)))
}
