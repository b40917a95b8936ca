//! Whose certificates are good: those of authorities, one that is known, or the one that came first.
//!
//! Most Electrum servers vouch for themselves. Electrum takes the certificate of the first meeting and refuses another
//! one later; [`Trust::FirstUse`] does the same, and leaves to its caller where that is written down.

mod fingerprint;
mod public_key;
mod verifier;

use core::fmt;
use std::collections::BTreeMap;
use std::io;
use std::sync::{Arc, Mutex, PoisonError};

use rustls::crypto::ring;
use rustls::pki_types::ServerName;
use rustls::{ClientConfig, RootCertStore};

pub use fingerprint::{Fingerprint, ParseFingerprintError};
pub use public_key::public_key;
pub use rustls;
use verifier::Witness;

use super::address::ServerAddress;
use super::error::ConnectError;

/// Whose certificates are good.
///
/// However it is decided, the server proves that it has the key of its certificate, and nothing of the conversation is
/// sent to one that is not trusted.
#[derive(Clone, Debug, Default)]
#[non_exhaustive]
pub enum Trust {
    /// Those that the certificate authorities of the web vouch for, under the server's name.
    #[default]
    Authorities,
    /// Those that these authorities vouch for, under the server's name; or these themselves, when they are valid as such.
    Roots(Arc<RootCertStore>),
    /// This one, whatever stands in it.
    Pinned(Fingerprint),
    /// Whichever the caller's store says, which sees it after the handshake.
    FirstUse(Arc<dyn FirstUse>),
}

/// A store of the certificates that servers had.
///
/// The hook for the caller's own: a file, a database, a question to the user. [`Pins`] keeps them in memory.
pub trait FirstUse: fmt::Debug + Send + Sync {
    /// Decides about the certificate of a server, and keeps it in mind when there was none before.
    ///
    /// `server` is `host:port` as the caller wrote it. Runs in the middle of a connection; whoever asks a user should
    /// refuse, ask, and let connect again.
    fn is_trusted(&self, server: &str, certificate: &Certificate<'_>) -> bool;
}

/// What a server showed.
#[derive(Clone, Copy, Debug)]
pub struct Certificate<'a> {
    /// Its X.509 certificate in DER.
    pub der: &'a [u8],
    /// The SHA-256 of that.
    pub fingerprint: Fingerprint,
    /// Whether an authority of the web vouches for it under the server's name today. Such a certificate is renewed every
    /// few weeks.
    pub vouched_for: bool,
}

/// Certificates by `host:port`, in memory; a caller writes them down and brings them back.
///
/// As in Electrum, a certificate that an authority vouches for is good and not kept; of the others the first one of a
/// server is, and no other later.
///
/// ```
/// use electrum_protocol::net::tls::{Fingerprint, Pins};
///
/// let known: Fingerprint = "5e:".repeat(31).parse::<String>().map(|text| text + "5e")?.parse()?;
/// let pins: Pins = [("electrum.example:50002".to_owned(), known)].into_iter().collect();
/// assert_eq!(pins.get("electrum.example:50002"), Some(known));
/// assert_eq!(pins.to_map().len(), 1);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug, Default)]
pub struct Pins {
    by_server: Mutex<BTreeMap<String, Fingerprint>>,
}

impl Pins {
    /// Starts without any.
    pub fn new() -> Self {
        Self::default()
    }

    /// Returns the certificate of a server.
    pub fn get(&self, server: &str) -> Option<Fingerprint> {
        self.lock().get(server).copied()
    }

    /// Forgets the certificate of a server: the next one will be the first.
    pub fn forget(&self, server: &str) {
        self.lock().remove(server);
    }

    /// Returns all of them, to be written down.
    pub fn to_map(&self) -> BTreeMap<String, Fingerprint> {
        self.lock().clone()
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, BTreeMap<String, Fingerprint>> {
        // A map stays whole whatever panicked beside it.
        self.by_server
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }
}

impl FromIterator<(String, Fingerprint)> for Pins {
    fn from_iter<I: IntoIterator<Item = (String, Fingerprint)>>(pins: I) -> Self {
        Self {
            by_server: Mutex::new(pins.into_iter().collect()),
        }
    }
}

impl FirstUse for Pins {
    fn is_trusted(&self, server: &str, certificate: &Certificate<'_>) -> bool {
        if certificate.vouched_for {
            return true;
        }
        let mut pins = self.lock();
        let pinned = pins
            .entry(server.to_owned())
            .or_insert(certificate.fingerprint);
        *pinned == certificate.fingerprint
    }
}

/// One handshake: how to begin it, and what to think of whom it was with.
pub(crate) struct Handshake<'a> {
    address: &'a ServerAddress,
    trust: &'a Trust,
    witness: Arc<Witness>,
}

impl<'a> Handshake<'a> {
    pub(crate) fn new(address: &'a ServerAddress, trust: &'a Trust) -> Self {
        let witness = match trust {
            Trust::Authorities => Witness::believing(authorities()),
            Trust::Roots(roots) => Witness::believing(roots.clone()),
            Trust::Pinned(_) => Witness::of_anybody(),
            Trust::FirstUse(_) => Witness::asking(authorities()),
        };
        Self {
            address,
            trust,
            witness: Arc::new(witness),
        }
    }

    /// Returns what TLS needs to begin.
    pub(crate) fn begin(&self) -> Result<(Arc<ClientConfig>, ServerName<'static>), ConnectError> {
        let failed = |error: rustls::Error| self.failed(&io::Error::other(error));
        let config = ClientConfig::builder_with_provider(Arc::new(ring::default_provider()))
            .with_safe_default_protocol_versions()
            .map_err(failed)?
            .dangerous()
            .with_custom_certificate_verifier(self.witness.clone())
            .with_no_client_auth();
        let name = ServerName::try_from(self.address.host().to_owned())
            .map_err(|error| self.failed(&io::Error::new(io::ErrorKind::InvalidData, error)))?;
        Ok((Arc::new(config), name))
    }

    /// Decides, after the handshake, whether to go on.
    pub(crate) fn judge(&self) -> Result<(), ConnectError> {
        let Some(seen) = self.witness.seen() else {
            let error = io::Error::new(io::ErrorKind::InvalidData, "no certificate");
            return Err(self.failed(&error));
        };
        let fingerprint = Fingerprint::of(&seen.der);
        let reason = match self.trust {
            Trust::Authorities | Trust::Roots(_) => match seen.objection {
                None => return Ok(()),
                Some(objection) => objection,
            },
            Trust::Pinned(pinned) if *pinned == fingerprint => return Ok(()),
            Trust::Pinned(pinned) => format!("expected was {pinned}"),
            Trust::FirstUse(store) => {
                let certificate = Certificate {
                    der: &seen.der,
                    fingerprint,
                    vouched_for: seen.objection.is_none(),
                };
                if store.is_trusted(&self.address.authority(), &certificate) {
                    return Ok(());
                }
                "another one is known".to_owned()
            }
        };
        Err(self.untrusted(fingerprint, reason))
    }

    /// Says what went wrong in the handshake.
    pub(crate) fn failed(&self, error: &io::Error) -> ConnectError {
        let cause = error
            .get_ref()
            .and_then(|error| error.downcast_ref::<rustls::Error>());
        if let (Some(rustls::Error::InvalidCertificate(reason)), Some(seen)) =
            (cause, self.witness.seen())
        {
            return self.untrusted(Fingerprint::of(&seen.der), reason.to_string());
        }
        let kind = match cause {
            Some(_) => io::ErrorKind::InvalidData,
            None => error.kind(),
        };
        ConnectError::Tls {
            address: self.address.to_string(),
            error: io::Error::new(kind, error.to_string()),
        }
    }

    fn untrusted(&self, fingerprint: Fingerprint, reason: String) -> ConnectError {
        ConnectError::Certificate {
            address: self.address.to_string(),
            fingerprint,
            reason,
        }
    }
}

/// The certificate authorities of the web, as Mozilla has them.
fn authorities() -> Arc<RootCertStore> {
    Arc::new(webpki_roots::TLS_SERVER_ROOTS.iter().cloned().collect())
}
