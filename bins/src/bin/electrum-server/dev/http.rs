//! The control interface: JSON-RPC over HTTP, for this machine only.

use std::io::{self, BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream, ToSocketAddrs};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;
use std::time::Duration;

use anyhow::{Context, bail};
use electrum_server_core::regtest::Control;
use tracing::{debug, warn};

/// A request that is longer is refused; a block in hexadecimal is half of this.
const MAX_BODY: usize = 16 << 20;
const MAX_HEAD: u64 = 16 << 10;
/// How long a connection may be silent.
const SILENCE: Duration = Duration::from_secs(60);
/// How many connections there may be at a time.
const MAX_CONNECTIONS: usize = 64;

/// Listens, on an address of this machine only.
pub(crate) fn bind(address: &str) -> anyhow::Result<TcpListener> {
    let context = || format!("cannot listen on {address} for the control interface");
    let found: Vec<_> = address.to_socket_addrs().with_context(context)?.collect();
    if found.iter().any(|address| !address.ip().is_loopback()) {
        bail!(
            "--dev-rpc-addr {address}: whoever reaches it may do anything; use an address of this machine, such as 127.0.0.1"
        );
    }
    TcpListener::bind(found.as_slice()).with_context(context)
}

/// Answers until the program ends, on threads of its own.
pub(crate) fn serve(listener: TcpListener, control: Arc<Control>) -> anyhow::Result<()> {
    let open = Arc::new(AtomicUsize::new(0));
    let accept = move || {
        for stream in listener.incoming() {
            let stream = match stream {
                Ok(stream) => stream,
                Err(error) => {
                    warn!(%error, "the control interface cannot accept");
                    thread::sleep(Duration::from_millis(200));
                    continue;
                }
            };
            if open.fetch_add(1, Ordering::Relaxed) >= MAX_CONNECTIONS {
                open.fetch_sub(1, Ordering::Relaxed);
                continue;
            }
            let (control, closing) = (control.clone(), open.clone());
            let answer = move || {
                if let Err(error) = converse(stream, &control) {
                    debug!(%error, "a control connection ended");
                }
                closing.fetch_sub(1, Ordering::Relaxed);
            };
            if thread::Builder::new()
                .name("control".to_owned())
                .spawn(answer)
                .is_err()
            {
                open.fetch_sub(1, Ordering::Relaxed);
            }
        }
    };
    thread::Builder::new()
        .name("control-listener".to_owned())
        .spawn(accept)
        .context("cannot start a thread")?;
    Ok(())
}

/// Answers the requests of one connection.
fn converse(stream: TcpStream, control: &Control) -> io::Result<()> {
    stream.set_read_timeout(Some(SILENCE))?;
    stream.set_write_timeout(Some(SILENCE))?;
    stream.set_nodelay(true)?;
    let mut reader = BufReader::new(stream);
    loop {
        let Some(head) = Head::read(&mut reader)? else {
            return Ok(());
        };
        let (status, body) = match head.refusal() {
            Some(refusal) => (refusal, String::new()),
            None => {
                if head.expects_continue {
                    reader
                        .get_mut()
                        .write_all(b"HTTP/1.1 100 Continue\r\n\r\n")?;
                }
                let mut body = vec![0; head.length];
                reader.read_exact(&mut body)?;
                let request = String::from_utf8_lossy(&body);
                ("200 OK", format!("{}\n", control.answer(&request)))
            }
        };
        let closes = head.closes || status != "200 OK";
        let connection = if closes { "close" } else { "keep-alive" };
        let answer = format!(
            "HTTP/1.1 {status}\r\nContent-Type: application/json\r\nContent-Length: {}\r\nConnection: {connection}\r\n\r\n{body}",
            body.len()
        );
        reader.get_mut().write_all(answer.as_bytes())?;
        if closes {
            return Ok(());
        }
    }
}

/// What matters of a request's head.
#[derive(Debug, Default)]
struct Head {
    is_post: bool,
    length: usize,
    closes: bool,
    expects_continue: bool,
    /// Sent by a page in a browser, or under a name that is not this machine's.
    is_foreign: bool,
}

impl Head {
    /// Reads one; none when the client is done.
    fn read(reader: &mut impl BufRead) -> io::Result<Option<Self>> {
        let mut limited = reader.take(MAX_HEAD);
        let mut head = Self::default();
        let mut line = String::new();
        if limited.read_line(&mut line)? == 0 {
            return Ok(None);
        }
        head.is_post = line.starts_with("POST ");
        head.closes = line.trim_end().ends_with("HTTP/1.0");
        loop {
            line.clear();
            if limited.read_line(&mut line)? == 0 {
                return Err(io::ErrorKind::UnexpectedEof.into());
            }
            let text = line.trim_end();
            if text.is_empty() {
                return Ok(Some(head));
            }
            let Some((name, value)) = text.split_once(':') else {
                continue;
            };
            let value = value.trim();
            match name.to_ascii_lowercase().as_str() {
                "content-length" => head.length = value.parse().unwrap_or(usize::MAX),
                "connection" => head.closes = value.eq_ignore_ascii_case("close"),
                "expect" => head.expects_continue = value.eq_ignore_ascii_case("100-continue"),
                "origin" => head.is_foreign = true,
                "host" => head.is_foreign |= !is_local(value),
                _ => {}
            }
        }
    }

    fn refusal(&self) -> Option<&'static str> {
        if self.is_foreign {
            // A page that somebody looks at must not mine on his chain.
            return Some("403 Forbidden");
        }
        if !self.is_post {
            return Some("405 Method Not Allowed");
        }
        (self.length > MAX_BODY).then_some("413 Content Too Large")
    }
}

fn is_local(host: &str) -> bool {
    let name = match host.strip_prefix('[') {
        Some(rest) => rest.split(']').next().unwrap_or_default(),
        None => host.split(':').next().unwrap_or_default(),
    };
    let is_loopback = |ip: std::net::IpAddr| ip.is_loopback();
    name.eq_ignore_ascii_case("localhost") || name.parse().is_ok_and(is_loopback)
}

#[cfg(test)]
mod tests {
    use electrum_server_core::regtest::RegtestNode;
    use proptest::collection::vec;
    use proptest::prelude::*;

    use super::*;

    fn ask(request: &str) -> String {
        let listener = bind("127.0.0.1:0").unwrap();
        let mut stream = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
        serve(listener, Arc::new(Control::new(RegtestNode::default()))).unwrap();
        stream.write_all(request.as_bytes()).unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).unwrap();
        answer
    }

    #[test]
    fn a_request_is_answered() {
        let body = r#"{"id":7,"method":"getblockcount"}"#;
        let head = format!(
            "POST / HTTP/1.1\r\nHost: localhost:18443\r\nConnection: close\r\nContent-Length: {}\r\n\r\n",
            body.len()
        );
        let answer = ask(&format!("{head}{body}"));
        assert!(answer.starts_with("HTTP/1.1 200 OK\r\n"), "{answer}");
        assert!(
            answer.ends_with("{\"error\":null,\"id\":7,\"result\":101}\n"),
            "{answer}"
        );
    }

    #[test]
    fn pages_in_browsers_are_refused() {
        let answer =
            ask("POST / HTTP/1.1\r\nHost: localhost\r\nOrigin: https://example.com\r\n\r\n");
        assert!(answer.starts_with("HTTP/1.1 403"), "{answer}");
        let answer = ask("POST / HTTP/1.1\r\nHost: example.com\r\n\r\n");
        assert!(answer.starts_with("HTTP/1.1 403"), "{answer}");
        assert!(ask("GET / HTTP/1.1\r\nHost: [::1]:1\r\n\r\n").starts_with("HTTP/1.1 405"));
    }

    proptest! {
        #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(300) })]

        /// A head is read or refused, and what is accepted is bounded.
        #[test]
        fn any_head_is_read(
            lines in vec(
                prop_oneof![
                    3 => proptest::sample::select(vec!["POST / HTTP/1.1", "POST / HTTP/1.0", "Content-Length: 18446744073709551616",
                        "content-length: 99999999", "Content-Length: -1", "Host: [", "Host: [::1", "Host:", "Expect: 100-continue", ""])
                        .prop_map(str::to_owned),
                    1 => ".{0,20}",
                ],
                0..6,
            ),
            junk in vec(any::<u8>(), 0..20),
        ) {
            let bytes = [lines.join("\r\n").as_bytes(), &junk, b"\r\n\r\n"].concat();
            for bytes in [&bytes[..], &junk] {
                if let Ok(Some(head)) = Head::read(&mut &*bytes) {
                    assert!(head.refusal().is_some() || (head.is_post && head.length <= MAX_BODY));
                }
            }
        }
    }

    #[test]
    fn others_cannot_reach_it() {
        let error = bind("0.0.0.0:0").unwrap_err().to_string();
        assert!(error.contains("address of this machine"), "{error}");
    }
}
