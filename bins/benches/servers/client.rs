//! One client that waits for each of its answers.

use std::io::{self, BufRead, BufReader, Write};
use std::net::TcpStream;
use std::time::Duration;

use serde_json::Value;

use crate::ask::request;

pub(crate) struct Client {
    stream: BufReader<TcpStream>,
    line: Vec<u8>,
}

impl Client {
    /// Connects, and says the version; an answer may take `patience`.
    pub(crate) fn connect(address: &str, patience: Duration) -> io::Result<Self> {
        let stream = TcpStream::connect(address)?;
        stream.set_nodelay(true)?;
        stream.set_read_timeout(Some(patience))?;
        let mut client = Self {
            stream: BufReader::with_capacity(1 << 18, stream),
            line: Vec::new(),
        };
        client.ask("server.version", r#""load","1.4""#)?;
        Ok(client)
    }

    /// Sends a request and reads its whole answer.
    pub(crate) fn ask(&mut self, method: &str, params: &str) -> io::Result<Value> {
        self.send(&[request(method, params)])?;
        Ok(serde_json::from_slice(self.next_reply()?)?)
    }

    /// Sends requests (method and params as JSON), numbered from 0 on.
    pub(crate) fn send(&mut self, requests: &[String]) -> io::Result<()> {
        let mut out = String::new();
        for (number, request) in requests.iter().enumerate() {
            out.push_str(&format!(
                "{{\"jsonrpc\":\"2.0\",\"id\":{number},{request}}}\n"
            ));
        }
        self.stream.get_mut().write_all(out.as_bytes())
    }

    /// Reads the next answer as it stands; notifications are passed over.
    pub(crate) fn next_reply(&mut self) -> io::Result<&[u8]> {
        loop {
            self.line.clear();
            if self.stream.read_until(b'\n', &mut self.line)? == 0 {
                return Err(io::ErrorKind::UnexpectedEof.into());
            }
            let head = &self.line[..self.line.len().min(100)];
            if memchr::memmem::find(head, b"\"method\"").is_none() {
                return Ok(&self.line);
            }
        }
    }
}
