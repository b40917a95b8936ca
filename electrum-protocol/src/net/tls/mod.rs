//! Whose certificates are good: those of authorities, one that is known, or the one that came first.
//!
//! Most Electrum servers vouch for themselves. Electrum takes the certificate of the first meeting and refuses another
//! one later; [`Trust::FirstUse`] does the same, and leaves to its caller where that is written down.

mod client_certificate;
mod fingerprint;
mod pins;
mod public_key;
mod verifier;

use core::fmt;
use std::io;
use std::sync::Arc;

use rustls::crypto::ring;
use rustls::pki_types::ServerName;
use rustls::{ClientConfig, RootCertStore};

pub use client_certificate::{ClientCertificate, ClientCertificateError};
pub use fingerprint::{Fingerprint, ParseFingerprintError};
pub use pins::{Pin, Pins};
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
/// The hook for the caller's own: a file, a database, a question to the user. [`Pins`] keeps them in memory; what to keep
/// and what to think of the next certificate is a [`Pin`].
pub trait FirstUse: fmt::Debug + Send + Sync {
    /// Decides about the certificate of a server, and keeps it in mind when there was none before.
    ///
    /// `server` is `host:port` as the caller wrote it. Runs in the middle of a connection; whoever asks a user should
    /// refuse, ask, and let connect again. The server has shown that it has the key of the certificate.
    ///
    /// # Errors
    ///
    /// When the store cannot be read or written. Then there is no connection, and
    /// [`ConnectError::TrustStore`] has the error.
    fn is_trusted(&self, server: &str, certificate: &Certificate<'_>) -> io::Result<bool>;
}

/// What a server showed.
#[derive(Clone, Copy, Debug)]
pub struct Certificate<'a> {
    /// Its X.509 certificate in DER.
    pub der: &'a [u8],
    /// The SHA-256 of that.
    pub fingerprint: Fingerprint,
    /// Whether an authority of the web vouches for it under the server's name today. Such a certificate is renewed every
    /// few weeks; that its server has one is worth remembering, lest somebody in between comes with one of his own.
    pub vouched_for: bool,
}

/// One handshake: how to begin it, and what to think of whom it was with.
pub(crate) struct Handshake<'a> {
    address: &'a ServerAddress,
    trust: &'a Trust,
    shown: Option<&'a ClientCertificate>,
    witness: Arc<Witness>,
}

impl<'a> Handshake<'a> {
    pub(crate) fn new(
        address: &'a ServerAddress,
        trust: &'a Trust,
        shown: Option<&'a ClientCertificate>,
    ) -> Self {
        let witness = match trust {
            Trust::Authorities => Witness::believing(authorities()),
            Trust::Roots(roots) => Witness::believing(roots.clone()),
            Trust::Pinned(_) => Witness::of_anybody(),
            Trust::FirstUse(_) => Witness::asking(authorities()),
        };
        Self {
            address,
            trust,
            shown,
            witness: Arc::new(witness),
        }
    }

    /// Returns what TLS needs to begin.
    pub(crate) fn begin(&self) -> Result<(Arc<ClientConfig>, ServerName<'static>), ConnectError> {
        let failed = |error: rustls::Error| self.failed(&io::Error::other(error));
        let builder = ClientConfig::builder_with_provider(Arc::new(ring::default_provider()))
            .with_safe_default_protocol_versions()
            .map_err(failed)?
            .dangerous()
            .with_custom_certificate_verifier(self.witness.clone());
        let config =
            client_certificate::show(builder, self.shown).map_err(|error| self.failed(&error))?;
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
                match store.is_trusted(&self.address.authority(), &certificate) {
                    Ok(true) => return Ok(()),
                    Ok(false) => "it is not what is known of this server".to_owned(),
                    Err(error) => {
                        let address = self.address.to_string();
                        return Err(ConnectError::TrustStore { address, error });
                    }
                }
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
