//! The certificate that a client shows.

use core::fmt;
use std::io;

use rustls::ClientConfig;
use rustls::client::WantsClientCert;
use rustls::pki_types::pem::{self, PemObject};
use rustls::pki_types::{CertificateDer, PrivateKeyDer};

/// A certificate that a client shows to a server that asks for one, and its private key.
///
/// Electrum servers ask for none, as a rule; one that is meant for few people may.
pub struct ClientCertificate {
    chain: Vec<CertificateDer<'static>>,
    key: PrivateKeyDer<'static>,
}

/// Text that is not a certificate with its key.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ClientCertificateError {
    /// The certificate is not PEM.
    #[error("the client certificate is not valid PEM")]
    Certificate(#[source] pem::Error),
    /// There is no certificate in the text.
    #[error("there is no certificate in the text: expected BEGIN CERTIFICATE")]
    Missing,
    /// The key is not PEM, or encrypted.
    #[error(
        "there is no private key in the text: expected BEGIN PRIVATE KEY, and not an encrypted one"
    )]
    Key(#[source] pem::Error),
}

impl ClientCertificate {
    /// Reads a certificate, followed by those that vouch for it, and its private key, both as PEM.
    ///
    /// # Errors
    ///
    /// When one of them is not there. Whether they belong together shows when a connection is made.
    pub fn from_pem(certificate: &[u8], key: &[u8]) -> Result<Self, ClientCertificateError> {
        let chain: Vec<_> = CertificateDer::pem_slice_iter(certificate)
            .collect::<Result<_, _>>()
            .map_err(ClientCertificateError::Certificate)?;
        if chain.is_empty() {
            return Err(ClientCertificateError::Missing);
        }
        let key = PrivateKeyDer::from_pem_slice(key).map_err(ClientCertificateError::Key)?;
        Ok(Self { chain, key })
    }
}

impl Clone for ClientCertificate {
    fn clone(&self) -> Self {
        Self {
            chain: self.chain.clone(),
            key: self.key.clone_key(),
        }
    }
}

/// Without the key.
impl fmt::Debug for ClientCertificate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ClientCertificate").finish_non_exhaustive()
    }
}

/// Completes what a client does with TLS.
pub(super) fn show(
    builder: rustls::ConfigBuilder<ClientConfig, WantsClientCert>,
    shown: Option<&ClientCertificate>,
) -> io::Result<ClientConfig> {
    let Some(ClientCertificate { chain, key }) = shown else {
        return Ok(builder.with_no_client_auth());
    };
    builder
        .with_client_auth_cert(chain.clone(), key.clone_key())
        .map_err(io::Error::other)
}
