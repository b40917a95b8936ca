//! What is asked of a server within the handshake: the key of its certificate, always; an authority, when one counts.

use std::sync::{Arc, OnceLock};

use rustls::client::WebPkiServerVerifier;
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::{WebPkiSupportedAlgorithms, ring, verify_tls13_signature_with_raw_key};
use rustls::pki_types::{CertificateDer, ServerName, SubjectPublicKeyInfoDer, UnixTime};
use rustls::{
    CertificateError, DigitallySignedStruct, Error, PeerMisbehaved, RootCertStore, SignatureScheme,
};

use super::public_key::public_key;

/// A certificate, and what is to be said against it.
#[derive(Clone, Debug)]
pub(super) struct Seen {
    pub(super) der: Vec<u8>,
    /// Why no authority vouches for it; nothing when one does.
    pub(super) objection: Option<String>,
}

/// Looks at the server of one handshake, and remembers what it showed.
#[derive(Debug)]
pub(super) struct Witness {
    authorities: Option<Arc<WebPkiServerVerifier>>,
    /// Whether the handshake ends when no authority vouches for the server.
    strict: bool,
    seen: OnceLock<Seen>,
}

impl Witness {
    /// Takes only what these vouch for.
    pub(super) fn believing(roots: Arc<RootCertStore>) -> Self {
        Self {
            strict: true,
            ..Self::asking(roots)
        }
    }

    /// Takes everything, and remembers whether these vouch for it.
    pub(super) fn asking(roots: Arc<RootCertStore>) -> Self {
        let provider = Arc::new(ring::default_provider());
        let builder = WebPkiServerVerifier::builder_with_provider(roots, provider);
        Self {
            // It cannot be built without any roots. Then nobody vouches for anything.
            authorities: builder.build().ok(),
            strict: false,
            seen: OnceLock::new(),
        }
    }

    /// Takes everything.
    pub(super) fn of_anybody() -> Self {
        Self {
            authorities: None,
            strict: false,
            seen: OnceLock::new(),
        }
    }

    /// Returns what the server showed; nothing before it did.
    pub(super) fn seen(&self) -> Option<Seen> {
        self.seen.get().cloned()
    }
}

impl ServerCertVerifier for Witness {
    fn verify_server_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        server_name: &ServerName<'_>,
        ocsp_response: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        let verdict = match &self.authorities {
            Some(authorities) => authorities.verify_server_cert(
                end_entity,
                intermediates,
                server_name,
                ocsp_response,
                now,
            ),
            None => Err(CertificateError::UnknownIssuer.into()),
        };
        let _ = self.seen.set(Seen {
            der: end_entity.to_vec(),
            objection: verdict.as_ref().err().map(ToString::to_string),
        });
        match verdict {
            Err(error) if self.strict => Err(error),
            _ => Ok(ServerCertVerified::assertion()),
        }
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        let key = key_of(certificate)?;
        let key = webpki::RawPublicKeyEntity::try_from(&key)
            .map_err(|_| Error::from(CertificateError::BadEncoding))?;
        let (_, fitting) = algorithms()
            .mapping
            .iter()
            .find(|(scheme, _)| *scheme == signature.scheme)
            .ok_or(PeerMisbehaved::SignedHandshakeWithUnadvertisedSigScheme)?;
        let valid = fitting.iter().any(|algorithm| {
            key.verify_signature(*algorithm, message, signature.signature())
                .is_ok()
        });
        match valid {
            true => Ok(HandshakeSignatureValid::assertion()),
            false => Err(CertificateError::BadSignature.into()),
        }
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        let key = key_of(certificate)?;
        verify_tls13_signature_with_raw_key(message, &key, signature, algorithms())
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        algorithms().supported_schemes()
    }
}

fn algorithms() -> &'static WebPkiSupportedAlgorithms {
    static ALGORITHMS: OnceLock<WebPkiSupportedAlgorithms> = OnceLock::new();
    ALGORITHMS.get_or_init(|| ring::default_provider().signature_verification_algorithms)
}

/// The key, taken out by hand: many servers have certificates of X.509 version 1, which webpki does not read.
fn key_of<'a>(certificate: &'a CertificateDer<'_>) -> Result<SubjectPublicKeyInfoDer<'a>, Error> {
    public_key(certificate)
        .map(SubjectPublicKeyInfoDer::from)
        .ok_or_else(|| CertificateError::BadEncoding.into())
}
