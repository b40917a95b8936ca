//! Which clients are let in by their certificates.

use std::collections::HashSet;
use std::fmt;
use std::path::Path;
use std::sync::Arc;

use tokio_rustls::rustls::client::danger::HandshakeSignatureValid;
use tokio_rustls::rustls::crypto::ring;
use tokio_rustls::rustls::pki_types::{CertificateDer, UnixTime};
use tokio_rustls::rustls::server::WebPkiClientVerifier;
use tokio_rustls::rustls::server::danger::{ClientCertVerified, ClientCertVerifier};
use tokio_rustls::rustls::{
    self, DigitallySignedStruct, DistinguishedName, RootCertStore, SignatureScheme,
};

use super::tls::{CertificateError, certificates};

/// Clients whose certificate stands in a file, or is signed by an authority that does.
pub(super) struct KnownClients {
    /// Let in as they are, also when they sign themselves, which no authority does for others.
    listed: HashSet<CertificateDer<'static>>,
    signed: Arc<dyn ClientCertVerifier>,
}

impl fmt::Debug for KnownClients {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("KnownClients")
            .field("listed", &self.listed.len())
            .finish_non_exhaustive()
    }
}

impl KnownClients {
    /// Reads the certificates of a file.
    pub(super) fn read(path: &Path) -> Result<Self, CertificateError> {
        let listed = certificates(path)?;
        let wrong = |error| CertificateError::Authority {
            path: path.to_owned(),
            error,
        };
        let mut roots = RootCertStore::empty();
        for certificate in &listed {
            roots.add(certificate.clone()).map_err(wrong)?;
        }
        let provider = Arc::new(ring::default_provider());
        let signed = WebPkiClientVerifier::builder_with_provider(Arc::new(roots), provider)
            .build()
            .map_err(|error| wrong(rustls::Error::General(error.to_string())))?;
        Ok(Self {
            listed: listed.into_iter().collect(),
            signed,
        })
    }
}

impl ClientCertVerifier for KnownClients {
    fn root_hint_subjects(&self) -> &[DistinguishedName] {
        self.signed.root_hint_subjects()
    }

    fn verify_client_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        now: UnixTime,
    ) -> Result<ClientCertVerified, rustls::Error> {
        match self.listed.contains(end_entity) {
            true => Ok(ClientCertVerified::assertion()),
            false => self
                .signed
                .verify_client_cert(end_entity, intermediates, now),
        }
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        self.signed.verify_tls12_signature(message, cert, dss)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        self.signed.verify_tls13_signature(message, cert, dss)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.signed.supported_verify_schemes()
    }
}
