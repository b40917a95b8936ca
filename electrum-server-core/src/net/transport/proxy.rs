//! The PROXY protocol, versions 1 and 2: a proxy says on whose behalf it connects.
//!
//! The header comes before everything else. Exactly its bytes are read, so that what follows it is untouched.

use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

use tokio::io::{AsyncRead, AsyncReadExt};

/// What a header says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::net) enum Proxied {
    /// The connection was made for a client at this address.
    For(SocketAddr),
    /// The proxy speaks for itself (a health check), or does not know.
    Itself,
}

/// The first bytes of version 2.
const SIGNATURE: [u8; 12] = *b"\r\n\r\n\0\r\nQUIT\n";
/// The first bytes of version 1.
const WORD: &[u8] = b"PROXY ";
/// The longest header of version 1, with its line end.
const LONGEST_LINE: usize = 107;
/// Addresses of unix sockets take 216 bytes; the rest is for additions that are skipped.
const LONGEST_BLOCK: usize = 2048;

/// Reads the header that a proxy begins with.
///
/// # Errors
///
/// When there is none, or it breaks off.
pub(super) async fn read(stream: &mut (impl AsyncRead + Unpin)) -> io::Result<Proxied> {
    let mut first = [0; SIGNATURE.len()];
    stream.read_exact(&mut first).await?;
    if first == SIGNATURE {
        let mut rest = [0; 4];
        stream.read_exact(&mut rest).await?;
        let [command, family, high, low] = rest;
        let length = usize::from(u16::from_be_bytes([high, low]));
        if length > LONGEST_BLOCK {
            return Err(malformed());
        }
        let mut block = vec![0; length];
        stream.read_exact(&mut block).await?;
        return version_2(command, family, &block).ok_or_else(malformed);
    }
    if !first.starts_with(WORD) {
        return Err(malformed());
    }
    let mut line = first.to_vec();
    while line.last() != Some(&b'\n') {
        if line.len() >= LONGEST_LINE {
            return Err(malformed());
        }
        line.push(stream.read_u8().await?);
    }
    version_1(&line).ok_or_else(malformed)
}

fn malformed() -> io::Error {
    io::Error::new(
        io::ErrorKind::InvalidData,
        "a trusted proxy did not begin with a PROXY header",
    )
}

/// Reads `PROXY TCP4 198.51.100.1 203.0.113.7 35646 50001\r\n`.
fn version_1(line: &[u8]) -> Option<Proxied> {
    let text = std::str::from_utf8(line).ok()?.strip_suffix("\r\n")?;
    let mut words = text.split(' ');
    if words.next() != Some("PROXY") {
        return None;
    }
    let family = words.next()?;
    if family == "UNKNOWN" {
        return Some(Proxied::Itself);
    }
    let source: IpAddr = words.next()?.parse().ok()?;
    let target: IpAddr = words.next()?.parse().ok()?;
    let port: u16 = words.next()?.parse().ok()?;
    let _: u16 = words.next()?.parse().ok()?;
    let fits = match family {
        "TCP4" => source.is_ipv4() && target.is_ipv4(),
        "TCP6" => source.is_ipv6() && target.is_ipv6(),
        _ => false,
    };
    (fits && words.next().is_none()).then(|| Proxied::For(SocketAddr::new(source, port)))
}

fn version_2(command: u8, family: u8, block: &[u8]) -> Option<Proxied> {
    match command {
        0x20 => return Some(Proxied::Itself),
        0x21 => {}
        _ => return None,
    }
    // The high half is the family, the low half whether it is a stream.
    match family >> 4 {
        1 => {
            let source: [u8; 4] = block.get(..4)?.try_into().ok()?;
            let port: [u8; 2] = block.get(8..10)?.try_into().ok()?;
            block.get(..12)?;
            let address = (Ipv4Addr::from(source), u16::from_be_bytes(port));
            Some(Proxied::For(address.into()))
        }
        2 => {
            let source: [u8; 16] = block.get(..16)?.try_into().ok()?;
            let port: [u8; 2] = block.get(32..34)?.try_into().ok()?;
            block.get(..36)?;
            let address = (Ipv6Addr::from(source), u16::from_be_bytes(port));
            Some(Proxied::For(address.into()))
        }
        // Unknown, or a unix socket: nothing to tell clients apart by.
        0 | 3 => Some(Proxied::Itself),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    async fn parse(mut bytes: &[u8]) -> Result<(Proxied, &[u8]), io::Error> {
        let proxied = read(&mut bytes).await?;
        Ok((proxied, bytes))
    }

    fn client(text: &str) -> Proxied {
        Proxied::For(text.parse().unwrap())
    }

    // The examples of the specification.
    #[tokio::test]
    async fn lines_of_version_1() {
        let line = b"PROXY TCP4 255.255.255.255 255.255.255.255 65535 65535\r\n{";
        let (proxied, rest) = parse(line).await.unwrap();
        assert_eq!(proxied, client("255.255.255.255:65535"));
        assert_eq!(rest, b"{");
        let line = b"PROXY TCP6 2001:db8::1 2001:db8::2 1 2\r\n";
        assert_eq!(parse(line).await.unwrap().0, client("[2001:db8::1]:1"));
        let line = b"PROXY UNKNOWN ffff::1 ffff::2 65535 65535\r\n\n";
        assert_eq!(parse(line).await.unwrap(), (Proxied::Itself, &b"\n"[..]));
        assert_eq!(
            parse(b"PROXY UNKNOWN\r\n").await.unwrap().0,
            Proxied::Itself
        );
    }

    #[tokio::test]
    async fn blocks_of_version_2() {
        let mut bytes = SIGNATURE.to_vec();
        bytes.extend([0x21, 0x11, 0, 15]);
        bytes.extend([192, 0, 2, 1, 192, 0, 2, 2, 0x12, 0x34, 0, 80]);
        // An addition of three bytes.
        bytes.extend([4, 0, 0]);
        bytes.extend(b"{");
        let (proxied, rest) = parse(&bytes).await.unwrap();
        assert_eq!(proxied, client("192.0.2.1:4660"));
        assert_eq!(rest, b"{");

        let mut bytes = SIGNATURE.to_vec();
        bytes.extend([0x21, 0x21, 0, 36]);
        bytes.extend([0x20, 1, 0xd, 0xb8, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 9]);
        bytes.extend([0; 16]);
        bytes.extend([0, 7, 0, 8]);
        assert_eq!(parse(&bytes).await.unwrap().0, client("[2001:db8::9]:7"));

        let mut local = SIGNATURE.to_vec();
        local.extend([0x20, 0, 0, 0]);
        assert_eq!(parse(&local).await.unwrap().0, Proxied::Itself);
    }

    #[tokio::test]
    async fn anything_else_is_an_error() {
        let with = |tail: &[u8]| [&SIGNATURE[..], tail].concat();
        let wrong: Vec<Vec<u8>> = vec![
            b"{\"id\":1,\"method\":\"server.ping\"}\n".to_vec(),
            b"PROXY TCP4 1.2.3.4 5.6.7.8 1\r\n".to_vec(),
            b"PROXY TCP4 ::1 ::2 1 2\r\n".to_vec(),
            b"PROXY TCP4 1.2.3.4 5.6.7.8 1 2 3\r\n".to_vec(),
            b"PROXY TCP4 1.2.3.4 5.6.7.8 1 99999\r\n".to_vec(),
            b"PROXY TCP4 1.2.3.4 5.6.7.8 1 2\n".to_vec(),
            format!("PROXY UNKNOWN {}\r\n", "x".repeat(200)).into_bytes(),
            b"PROXY TCP4 1.2.3.4".to_vec(),
            with(&[0x11, 0x11, 0, 0]),
            with(&[0x21, 0x11, 0, 4, 1, 2, 3, 4]),
            with(&[0x21, 0x11, 255, 255]),
            with(&[0x21, 0x41, 0, 0]),
            with(&[0x21]),
        ];
        for bytes in wrong {
            assert!(parse(&bytes).await.is_err(), "{}", bytes.escape_ascii());
        }
    }

    proptest::proptest! {
        #[test]
        fn no_header_is_too_strange(version in 0..3, tail in proptest::collection::vec(0u8.., 0..300)) {
            let head: &[u8] = match version {
                0 => b"",
                1 => b"PROXY TCP4 ",
                _ => &SIGNATURE,
            };
            let bytes = [head, &tail].concat();
            let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
            if let Ok((_, rest)) = runtime.block_on(parse(&bytes)) {
                assert!(bytes.len() - rest.len() <= LONGEST_LINE.max(16 + LONGEST_BLOCK));
            }
        }
    }
}
