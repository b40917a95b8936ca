//! What connected clients read before anybody is trusted: addresses, certificates, proxies.

use electrum_protocol::net::ServerAddress;
use electrum_protocol::net::socks5::{Credentials, Handshake, Next};
use electrum_protocol::net::tls::{Fingerprint, Pin, public_key};

/// What is written is read again as the same; a key lies within its certificate; a proxy may answer anything.
pub fn net(bytes: &[u8]) {
    if let Ok(text) = core::str::from_utf8(bytes) {
        if let Ok(address) = text.parse::<ServerAddress>() {
            assert_eq!(address.to_string().parse(), Ok(address));
        }
        if let Ok(fingerprint) = text.parse::<Fingerprint>() {
            assert_eq!(fingerprint.to_string().parse(), Ok(fingerprint));
        }
        if let Ok(pin) = text.parse::<Pin>() {
            assert_eq!(pin.to_string().parse(), Ok(pin));
        }
    }
    if let Some(key) = public_key(bytes) {
        assert!(key.len() < bytes.len());
    }
    proxy(bytes);
}

/// Plays a proxy that answers with these bytes, however many are asked for.
fn proxy(mut answers: &[u8]) {
    let credentials = Credentials {
        username: "name".into(),
        password: "word".into(),
    };
    let mut handshake = Handshake::new("example.org", 1, Some(&credentials)).expect("short names");
    let mut answer: &[u8] = &[];
    for _ in 0..10 {
        match handshake.advance(answer) {
            Ok(Next::Done) | Err(_) => return,
            Ok(Next::Exchange { read, .. }) => {
                assert!((1..=257).contains(&read), "{read}");
                let Some((next, rest)) = answers.split_at_checked(read) else {
                    return;
                };
                (answer, answers) = (next, rest);
            }
        }
    }
    panic!("a handshake without end");
}
