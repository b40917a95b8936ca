//! A client that speaks the protocol as text, without our libraries.

use std::collections::{BTreeMap, VecDeque};
use std::io::{BufRead, BufReader, Write};
use std::net::TcpStream;
use std::time::Duration;

use serde_json::{Value, json};

/// A connection; requests are answered in turn, notifications are kept.
pub(crate) struct Wire {
    reader: BufReader<TcpStream>,
    next_id: u64,
    pub(crate) notifications: VecDeque<Value>,
}

impl Wire {
    /// Connects and negotiates 1.4 to 1.6.
    pub(crate) fn try_connect(port: u16) -> Result<Self, String> {
        let mut wire = Self::try_connect_silently(port)?;
        wire.try_call("server.version", json!(["story", ["1.4", "1.6"]]))?;
        Ok(wire)
    }

    /// Connects and says nothing.
    pub(crate) fn try_connect_silently(port: u16) -> Result<Self, String> {
        let stream = TcpStream::connect(("127.0.0.1", port)).map_err(|error| error.to_string())?;
        stream
            .set_read_timeout(Some(Duration::from_secs(30)))
            .unwrap();
        stream.set_nodelay(true).unwrap();
        Ok(Self {
            reader: BufReader::new(stream),
            next_id: 0,
            notifications: VecDeque::new(),
        })
    }

    pub(crate) fn stream(&self) -> &TcpStream {
        self.reader.get_ref()
    }

    /// Calls a method; the test ends when the server refuses.
    pub(crate) fn call(&mut self, method: &str, params: Value) -> Value {
        self.try_call(method, params).unwrap()
    }

    /// Calls a method; the error is the server's error object as text, or that of the connection.
    pub(crate) fn try_call(&mut self, method: &str, params: Value) -> Result<Value, String> {
        let reply = self.reply(method, params)?;
        match reply.get("error") {
            None | Some(Value::Null) => Ok(reply["result"].clone()),
            Some(error) => Err(error.to_string()),
        }
    }

    /// Calls a method; the whole reply.
    pub(crate) fn reply(&mut self, method: &str, params: Value) -> Result<Value, String> {
        let id = self.send(method, params)?;
        loop {
            let message = self.receive()?;
            if message["id"] == json!(id) {
                return Ok(message);
            }
            self.keep(message);
        }
    }

    /// Calls one method with each of `params`, all at once; the results in the same order.
    pub(crate) fn call_all(&mut self, method: &str, params: Vec<Value>) -> Vec<Value> {
        let ids: Vec<u64> = params
            .into_iter()
            .map(|params| self.send(method, params).unwrap())
            .collect();
        let mut replies = BTreeMap::new();
        while replies.len() < ids.len() {
            let mut message = self.receive().unwrap();
            match message["id"].as_u64() {
                Some(id) => {
                    assert!(message.get("error").is_none(), "{method}: {message}");
                    replies.insert(id, message["result"].take());
                }
                None => self.keep(message),
            }
        }
        ids.iter().map(|id| replies[id].clone()).collect()
    }

    fn keep(&mut self, message: Value) {
        assert!(
            message.get("method").is_some(),
            "neither answer nor notification: {message}"
        );
        self.notifications.push_back(message);
    }

    pub(crate) fn send(&mut self, method: &str, params: Value) -> Result<u64, String> {
        let id = self.next_id;
        self.next_id += 1;
        let line = json!({"jsonrpc": "2.0", "id": id, "method": method, "params": params});
        self.send_raw(format!("{line}\n").as_bytes()).map(|()| id)
    }

    pub(crate) fn send_raw(&mut self, bytes: &[u8]) -> Result<(), String> {
        self.reader
            .get_mut()
            .write_all(bytes)
            .map_err(|error| error.to_string())
    }

    /// The next message of any kind.
    pub(crate) fn receive(&mut self) -> Result<Value, String> {
        let line = self.receive_line()?;
        serde_json::from_str(&line).map_err(|error| format!("{error}: {line}"))
    }

    /// The next line as it came.
    pub(crate) fn receive_line(&mut self) -> Result<String, String> {
        let mut line = String::new();
        match self.reader.read_line(&mut line) {
            Ok(0) => Err("the server closed the connection".into()),
            Ok(_) => Ok(line),
            Err(error) => Err(error.to_string()),
        }
    }

    /// The next notification, waited for.
    pub(crate) fn notification(&mut self) -> Result<Value, String> {
        match self.notifications.pop_front() {
            Some(notification) => Ok(notification),
            None => self.receive(),
        }
    }
}
