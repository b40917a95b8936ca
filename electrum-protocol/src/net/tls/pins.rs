//! What is known about the certificates of servers.

use core::fmt;
use core::str::FromStr;
use std::collections::BTreeMap;
use std::io;
use std::sync::{Mutex, MutexGuard, PoisonError};

use super::fingerprint::{Fingerprint, ParseFingerprintError};
use super::{Certificate, FirstUse};

/// What is known about a server since its first meeting, as Electrum keeps it.
///
/// Written as text it is a [`Fingerprint`], or `authorities`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Pin {
    /// Authorities of the web vouched for it: any certificate is good for which they do. To forget this would let anybody
    /// in between come with a certificate that nobody vouches for, as if it were the first one.
    Authorities,
    /// It vouched for itself, by this certificate, and no other is good.
    Certificate(Fingerprint),
}

impl Pin {
    /// Returns what to keep of a certificate that is the first one of its server.
    pub fn of(certificate: &Certificate<'_>) -> Self {
        match certificate.vouched_for {
            true => Self::Authorities,
            false => Self::Certificate(certificate.fingerprint),
        }
    }

    /// Tells whether a later certificate of the same server is good.
    pub fn fits(self, certificate: &Certificate<'_>) -> bool {
        match self {
            Self::Authorities => certificate.vouched_for,
            Self::Certificate(known) => known == certificate.fingerprint,
        }
    }
}

const AUTHORITIES: &str = "authorities";

impl fmt::Display for Pin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Authorities => f.write_str(AUTHORITIES),
            Self::Certificate(fingerprint) => fingerprint.fmt(f),
        }
    }
}

impl FromStr for Pin {
    type Err = ParseFingerprintError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        match text {
            AUTHORITIES => Ok(Self::Authorities),
            text => text.parse().map(Self::Certificate),
        }
    }
}

/// What is known by `host:port`, in memory; a caller writes it down and brings it back.
///
/// As in Electrum, the first certificate of a server says what is good later: any for which authorities of the web vouch,
/// when they do for the first; else this one and no other.
///
/// ```
/// use electrum_protocol::net::tls::{Pin, Pins};
///
/// let known: Pin = "5e".repeat(32).parse()?;
/// let pins: Pins = [("electrum.example:50002".to_owned(), known)].into_iter().collect();
/// assert_eq!(pins.get("electrum.example:50002"), Some(known));
/// assert_eq!(pins.to_map().len(), 1);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug, Default)]
pub struct Pins {
    by_server: Mutex<BTreeMap<String, Pin>>,
}

impl Pins {
    /// Starts without any.
    pub fn new() -> Self {
        Self::default()
    }

    /// Returns what is known about a server.
    pub fn get(&self, server: &str) -> Option<Pin> {
        self.lock().get(server).copied()
    }

    /// Forgets what is known about a server: its next certificate will be the first.
    pub fn forget(&self, server: &str) {
        self.lock().remove(server);
    }

    /// Returns everything, to be written down.
    pub fn to_map(&self) -> BTreeMap<String, Pin> {
        self.lock().clone()
    }

    fn lock(&self) -> MutexGuard<'_, BTreeMap<String, Pin>> {
        // A map stays whole whatever panicked beside it.
        self.by_server
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }
}

impl FromIterator<(String, Pin)> for Pins {
    fn from_iter<I: IntoIterator<Item = (String, Pin)>>(pins: I) -> Self {
        Self {
            by_server: Mutex::new(pins.into_iter().collect()),
        }
    }
}

impl FirstUse for Pins {
    fn is_trusted(&self, server: &str, certificate: &Certificate<'_>) -> io::Result<bool> {
        let first = Pin::of(certificate);
        Ok(self
            .lock()
            .entry(server.to_owned())
            .or_insert(first)
            .fits(certificate))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn certificate(der: &[u8], vouched_for: bool) -> Certificate<'_> {
        Certificate {
            der,
            fingerprint: Fingerprint::of(der),
            vouched_for,
        }
    }

    #[test]
    fn nobody_steps_between_a_server_and_those_who_know_it() {
        let pins = Pins::new();
        let trusts = |server, der: &[u8], vouched| {
            let certificate = certificate(der, vouched);
            pins.is_trusted(server, &certificate).unwrap()
        };
        // Renewed, and then shown by somebody else for whom nobody vouches.
        assert!(trusts("web:1", b"1", true) && trusts("web:1", b"2", true));
        assert!(!trusts("web:1", b"3", false));
        assert!(trusts("web:1", b"4", true), "that was no reason to forget");
        // Its own, and then another, whoever vouches for that.
        assert!(trusts("own:1", b"1", false) && trusts("own:1", b"1", false));
        assert!(!trusts("own:1", b"2", false) && !trusts("own:1", b"2", true));
        pins.forget("own:1");
        assert!(trusts("own:1", b"2", false));
    }

    #[test]
    fn what_is_written_down_is_read_again() {
        let known = [Pin::Authorities, Pin::Certificate(Fingerprint::of(b"1"))];
        for pin in known {
            assert_eq!(pin.to_string().parse(), Ok(pin));
        }
        assert!("Authority".parse::<Pin>().is_err());
    }
}
