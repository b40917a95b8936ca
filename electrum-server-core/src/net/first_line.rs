//! What a client speaks, by how it begins.
//!
//! A web page can make a browser send an HTTP request to any port, with a body of its choice. Were the lines of the head
//! refused one by one and the body read as one more line, the page could ask whatever it likes, though not read the
//! answers. So nothing of what begins like HTTP is given to a session.

/// How much of a first line is looked at. A longer one that begins like a request of HTTP is taken for one.
const MAX_LINE: usize = 8 * 1024;
/// The first byte of a connection with TLS: the content type of a handshake record.
const TLS_HANDSHAKE: u8 = 0x16;

/// Looks at the first bytes of a connection.
#[derive(Debug, Default)]
pub(super) struct FirstLine {
    /// What arrived while it may still be HTTP.
    held: Vec<u8>,
    is_known: bool,
}

/// What a client speaks.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Spoken<'a> {
    /// Lines of JSON, or something that a session finds out about: these bytes are for it.
    Lines(std::borrow::Cow<'a, [u8]>),
    /// Not to be said yet.
    Unknown,
    Http,
    Tls,
}

impl FirstLine {
    /// Returns how many bytes wait until more is known.
    pub(super) fn held(&self) -> usize {
        self.held.len()
    }

    /// Takes the next bytes of the connection.
    pub(super) fn look<'a>(&mut self, bytes: &'a [u8]) -> Spoken<'a> {
        if self.is_known {
            return Spoken::Lines(bytes.into());
        }
        let Some(first) = self.held.first().or_else(|| bytes.first()) else {
            return Spoken::Unknown;
        };
        match *first {
            TLS_HANDSHAKE => return Spoken::Tls,
            // A page that calls its own name this machine's (DNS rebinding) may choose any method.
            first if is_token(&first) => {}
            // JSON-RPC begins with a bracket.
            _ => {
                self.is_known = true;
                return Spoken::Lines(bytes.into());
            }
        }
        self.held.extend_from_slice(bytes);
        let end = self.held.iter().position(|byte| *byte == b'\n');
        let line = self.held.get(..end.unwrap_or(self.held.len()));
        let is_http = match end {
            Some(_) => line.is_some_and(is_request),
            None if self.held.len() < MAX_LINE => return Spoken::Unknown,
            None => line.is_some_and(begins_request),
        };
        if is_http {
            return Spoken::Http;
        }
        self.is_known = true;
        Spoken::Lines(std::mem::take(&mut self.held).into())
    }
}

/// Whether a line is the first of an HTTP request: `METHOD TARGET HTTP/1.1`.
fn is_request(line: &[u8]) -> bool {
    let version = line.trim_ascii_end().rsplit(|byte| *byte == b' ').next();
    begins_request(line) && version.is_some_and(|version| version.starts_with(b"HTTP/"))
}

/// Whether a line begins with a method and a space.
fn begins_request(line: &[u8]) -> bool {
    let method = line.split(|byte| *byte == b' ').next();
    method.is_some_and(|method| method.len() < line.len() && method.iter().all(is_token))
}

/// Whether a byte may stand in the name of a method (RFC 9110, section 5.6.2).
fn is_token(byte: &u8) -> bool {
    byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(byte)
}

/// What a client of HTTP is answered.
pub(super) fn answer() -> Vec<u8> {
    let text = "This is a port of an Electrum server. It speaks the Electrum protocol (lines of JSON-RPC), not HTTP: \
                connect to it with a wallet.\n";
    format!(
        "HTTP/1.1 400 Bad Request\r\nContent-Type: text/plain; charset=utf-8\r\nContent-Length: {}\r\n\
         Connection: close\r\n\r\n{text}",
        text.len()
    )
    .into_bytes()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// What a session would get of these bytes in these pieces; `None` when it is HTTP.
    fn passed(bytes: &[u8], cuts: &[usize]) -> Option<Vec<u8>> {
        let mut first_line = FirstLine::default();
        let (mut passed, mut rest) = (Vec::new(), bytes);
        for cut in cuts.iter().copied().chain([usize::MAX]) {
            let (piece, more) = rest.split_at(cut.min(rest.len()));
            rest = more;
            match first_line.look(piece) {
                Spoken::Lines(bytes) => passed.extend_from_slice(&bytes),
                Spoken::Unknown => {}
                Spoken::Http | Spoken::Tls => return None,
            }
        }
        Some(passed)
    }

    #[test]
    fn requests_of_http_are_told_from_lines() {
        // What Chromium sends for fetch(url, {method: "POST", mode: "no-cors", body}).
        let post = b"POST / HTTP/1.1\r\nHost: 127.0.0.1:50001\r\nContent-Type: text/plain;charset=UTF-8\r\n\r\n\
            {\"id\":1,\"method\":\"server.ping\"}\n";
        for http in [
            &post[..],
            b"GET / HTTP/1.0\r\n",
            b"OPTIONS * HTTP/1.1\n",
            b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
            b"M-SEARCH http://x/{\"id\":1} HTTP/1.1\r\n",
        ] {
            assert_eq!(passed(http, &[]), None);
        }
        let long = [b"GET /".as_slice(), &[b'a'; MAX_LINE], b" HTTP/1.1\r\n"].concat();
        assert_eq!(passed(&long, &[]), None);
        for lines in [
            &b"{\"id\":1,\"method\":\"server.ping\"}\n"[..],
            b"[]\n",
            b"hello\n",
            b"hello world\n",
            b"null\n{}\n",
            b"\nGET / HTTP/1.1\n",
        ] {
            assert_eq!(passed(lines, &[]).as_deref(), Some(lines));
        }
    }

    /// A request with any method and target, and what follows it.
    fn request() -> impl Strategy<Value = Vec<u8>> {
        let line = "[!#$%&'*+.^_`|~0-9A-Za-z-]{1,12} [!-~]{1,40} HTTP/[0-9](\\.[0-9])?\r?\n";
        (line, prop::collection::vec(any::<u8>(), 0..60))
            .prop_map(|(line, rest)| [line.as_bytes(), &rest].concat())
    }

    proptest! {
        #[test]
        fn no_request_passes(bytes in request(), cuts in prop::collection::vec(0_usize..8, 0..20)) {
            prop_assert_eq!(passed(&bytes, &cuts), None);
        }

        #[test]
        fn what_begins_with_a_bracket_passes(
            bracket in prop::sample::select(vec![b'{', b'[']),
            rest in prop::collection::vec(any::<u8>(), 0..60),
            cuts in prop::collection::vec(0_usize..8, 0..20),
        ) {
            let bytes = [&[bracket][..], &rest].concat();
            prop_assert_eq!(passed(&bytes, &cuts), Some(bytes));
        }

        #[test]
        fn however_it_is_cut_it_is_the_same(
            bytes in prop_oneof![
                "[A-Z]{0,5} ?[/a-z]{0,6} ?(HTTP/1.1)?\r?\n?.{0,20}".prop_map(String::into_bytes),
                prop::collection::vec(any::<u8>(), 0..60),
            ],
            cuts in prop::collection::vec(0_usize..8, 0..20),
        ) {
            // A TLS handshake is left at its first byte.
            prop_assume!(bytes.first() != Some(&TLS_HANDSHAKE));
            prop_assert_eq!(passed(&bytes, &cuts), passed(&bytes, &[]));
        }
    }
}
