//! TLS, and the certificate that a server shows.

use std::fmt;
use std::fs;
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use arc_swap::ArcSwap;
use electrum_protocol::net::tls::{Fingerprint, public_key};
use rcgen::{CertificateParams, DistinguishedName, DnType, KeyPair, PKCS_ECDSA_P256_SHA256};
use thiserror::Error;
use tokio_rustls::rustls::crypto::ring;
use tokio_rustls::rustls::pki_types::pem::{self, PemObject};
use tokio_rustls::rustls::pki_types::{CertificateDer, PrivateKeyDer};
use tokio_rustls::rustls::server::danger::ClientCertVerifier;
use tokio_rustls::rustls::server::{ClientHello, ResolvesServerCert, WebPkiClientVerifier};
use tokio_rustls::rustls::sign::CertifiedKey;
use tokio_rustls::rustls::{self, ServerConfig, SignatureAlgorithm};

use super::AnyStream;
use super::known_clients::KnownClients;
use super::tls_stream::TlsStream;

/// The certificate that a server shows to clients of TLS, and its private key.
///
/// It can be replaced while it is in use: connections that are open keep theirs.
pub struct Certificate {
    shown: Arc<Shown>,
    config: ArcSwap<ServerConfig>,
}

/// Why there is no certificate to show.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum CertificateError {
    /// A file cannot be read or written.
    #[error("{}: {source}", path.display())]
    File {
        /// Which file.
        path: PathBuf,
        /// Why not.
        source: io::Error,
    },
    /// A file is not what it should be.
    #[error("{}: {source}", path.display())]
    Pem {
        /// Which file.
        path: PathBuf,
        /// What is wrong with it.
        source: pem::Error,
    },
    /// The file has no certificate in it.
    #[error("{}: there is no certificate in it", path.display())]
    Empty {
        /// Which file.
        path: PathBuf,
    },
    /// The key cannot be used, or belongs to another certificate.
    #[error("{}: {source}", path.display())]
    Key {
        /// The file of the key.
        path: PathBuf,
        /// What is wrong with it.
        source: rustls::Error,
    },
    /// A certificate cannot be the one that clients are checked against.
    #[error("{}: a certificate in it cannot be used to check clients: {source}", path.display())]
    Authority {
        /// Which file.
        path: PathBuf,
        /// What is wrong with it.
        source: rustls::Error,
    },
    /// A certificate cannot be made.
    #[error("cannot make a certificate: {0}")]
    Make(#[from] rcgen::Error),
    /// TLS cannot be set up.
    #[error("cannot set up TLS: {0}")]
    Setup(rustls::Error),
}

impl Certificate {
    /// Reads a certificate, followed by those that vouch for it, and its private key, both as PEM.
    ///
    /// # Errors
    ///
    /// A file cannot be read, or the two do not belong together.
    pub fn load(certificate: &Path, key: &Path) -> Result<Self, CertificateError> {
        Self::showing(read(certificate, key)?)
    }

    /// Makes a certificate that vouches for itself and that nobody keeps: for tests, of the same kind as
    /// [`make_once`](Self::make_once) makes.
    ///
    /// # Errors
    ///
    /// It cannot be made for these names.
    pub fn self_signed(names: Vec<String>) -> Result<Self, CertificateError> {
        let (pair, made) = make(names)?;
        let private = PrivateKeyDer::Pkcs8(pair.serialize_der().into());
        let shown =
            belonging(vec![made.der().clone()], private).map_err(CertificateError::Setup)?;
        Self::showing(shown)
    }

    fn showing(shown: CertifiedKey) -> Result<Self, CertificateError> {
        let shown = Arc::new(Shown(ArcSwap::from_pointee(shown)));
        let config = setup(&shown, WebPkiClientVerifier::no_client_auth())?;
        Ok(Self {
            shown,
            config: ArcSwap::from_pointee(config),
        })
    }

    /// From here on lets in only clients that show a certificate of their own: one that an authority in this file (PEM)
    /// has signed and that is valid today, or one that stands in the file itself. Others are refused in the handshake,
    /// before anything else is said; connections that are open stay. Called again, it reads the file again.
    ///
    /// # Errors
    ///
    /// The file cannot be read, or has no usable certificate in it. Then everything stays as it was.
    pub fn require_clients(&self, authorities: &Path) -> Result<(), CertificateError> {
        let verifier = KnownClients::read(authorities)?;
        // A new configuration has no sessions to resume: whoever was let in before shows a certificate again.
        let config = setup(&self.shown, Arc::new(verifier))?;
        self.config.store(Arc::new(config));
        Ok(())
    }

    /// Reads the files again. When that fails, the certificate of before is shown further on.
    ///
    /// # Errors
    ///
    /// As with [`load`](Self::load).
    pub fn reload(&self, certificate: &Path, key: &Path) -> Result<(), CertificateError> {
        self.shown.0.store(Arc::new(read(certificate, key)?));
        Ok(())
    }

    /// Makes a certificate that vouches for itself, and its private key, unless the files are there already.
    ///
    /// Wallets remember the certificate of a server at their first visit and refuse another one later, so it is made
    /// once, for ever, and of a kind that all of them can read: ECDSA on P-256, its own issuer. Returns whether it was
    /// made.
    ///
    /// # Errors
    ///
    /// The files cannot be written, or only one of them is there.
    pub fn make_once(
        certificate: &Path,
        key: &Path,
        names: Vec<String>,
    ) -> Result<bool, CertificateError> {
        if certificate.exists() || key.exists() {
            return Ok(false);
        }
        let (pair, made) = make(names)?;
        // Were the second to fail, the next start finds one of them and says what is missing.
        write_new(key, pair.serialize_pem().as_bytes(), PRIVATE)?;
        write_new(certificate, made.pem().as_bytes(), PUBLIC)?;
        Ok(true)
    }

    /// Returns the SHA-256 of the certificate, as wallets and `openssl x509 -fingerprint -sha256` show it.
    pub fn fingerprint(&self) -> Fingerprint {
        let shown = self.shown.0.load();
        Fingerprint::of(shown.cert.first().map_or(&[], |first| first.as_ref()))
    }

    /// Returns the certificate itself (X.509, DER), which a client can be told to trust.
    pub fn to_der(&self) -> Vec<u8> {
        let shown = self.shown.0.load();
        shown
            .cert
            .first()
            .map_or_else(Vec::new, |first| first.to_vec())
    }

    /// Tells whether the key is Ed25519. Electrum shows such a certificate once, and fails to read it ever after.
    pub fn is_ed25519(&self) -> bool {
        self.shown.0.load().key.algorithm() == SignatureAlgorithm::ED25519
    }

    /// Shakes hands as a server.
    pub(super) async fn accept(&self, stream: AnyStream) -> io::Result<AnyStream> {
        let stream = TlsStream::accept(stream, self.config.load_full()).await?;
        Ok(Box::new(stream))
    }
}

impl fmt::Debug for Certificate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Certificate({})", self.fingerprint())
    }
}

fn setup(
    shown: &Arc<Shown>,
    clients: Arc<dyn ClientCertVerifier>,
) -> Result<ServerConfig, CertificateError> {
    let builder = ServerConfig::builder_with_provider(Arc::new(ring::default_provider()));
    let builder = builder
        .with_safe_default_protocol_versions()
        .map_err(CertificateError::Setup)?;
    Ok(builder
        .with_client_cert_verifier(clients)
        .with_cert_resolver(shown.clone()))
}

/// The certificate of now.
struct Shown(ArcSwap<CertifiedKey>);

impl ResolvesServerCert for Shown {
    fn resolve(&self, _: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        Some(self.0.load_full())
    }
}

impl fmt::Debug for Shown {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Shown(..)")
    }
}

/// Makes a key, and a certificate for these names that it signs itself.
fn make(names: Vec<String>) -> Result<(KeyPair, rcgen::Certificate), rcgen::Error> {
    let pair = KeyPair::generate_for(&PKCS_ECDSA_P256_SHA256)?;
    let mut params = CertificateParams::new(names)?;
    params.distinguished_name = DistinguishedName::new();
    params
        .distinguished_name
        .push(DnType::CommonName, "electrum-server");
    let made = params.self_signed(&pair)?;
    Ok((pair, made))
}

fn read(certificate: &Path, key: &Path) -> Result<CertifiedKey, CertificateError> {
    let chain = certificates(certificate)?;
    let private = PrivateKeyDer::from_pem_slice(&text(key)?).map_err(wrong(key))?;
    belonging(chain, private).map_err(|source| CertificateError::Key {
        path: key.to_owned(),
        source,
    })
}

fn text(path: &Path) -> Result<Vec<u8>, CertificateError> {
    fs::read(path).map_err(|source| CertificateError::File {
        path: path.to_owned(),
        source,
    })
}

fn wrong(path: &Path) -> impl Fn(pem::Error) -> CertificateError {
    let path = path.to_owned();
    move |source| CertificateError::Pem {
        path: path.clone(),
        source,
    }
}

/// Reads the certificates of a file; there is one at least.
pub(super) fn certificates(path: &Path) -> Result<Vec<CertificateDer<'static>>, CertificateError> {
    let found: Vec<_> = CertificateDer::pem_slice_iter(&text(path)?)
        .collect::<Result<_, _>>()
        .map_err(wrong(path))?;
    match found.is_empty() {
        true => Err(CertificateError::Empty {
            path: path.to_owned(),
        }),
        false => Ok(found),
    }
}

/// Puts a certificate and its key together. rustls would read the certificate, and cannot read those of X.509 version 1,
/// which servers have had for years and wallets have pinned.
fn belonging(
    chain: Vec<CertificateDer<'static>>,
    private: PrivateKeyDer<'static>,
) -> Result<CertifiedKey, rustls::Error> {
    let key = ring::default_provider()
        .key_provider
        .load_private_key(private)?;
    let shown = chain.first().and_then(|first| public_key(first));
    match (shown, key.public_key()) {
        (None, _) => Err(rustls::CertificateError::BadEncoding.into()),
        (Some(shown), Some(own)) if shown != own.as_ref() => {
            Err(rustls::InconsistentKeys::KeyMismatch.into())
        }
        _ => Ok(CertifiedKey::new(chain, key)),
    }
}

const PRIVATE: u32 = 0o600;
const PUBLIC: u32 = 0o644;

/// Writes a file that does not exist yet, readable for nobody else from its first moment.
fn write_new(path: &Path, text: &[u8], mode: u32) -> Result<(), CertificateError> {
    let write = || {
        let mut options = fs::OpenOptions::new();
        options.write(true).create_new(true);
        #[cfg(unix)]
        std::os::unix::fs::OpenOptionsExt::mode(&mut options, mode);
        #[cfg(not(unix))]
        let _ = mode;
        let mut file = options.open(path)?;
        file.write_all(text)?;
        file.sync_all()
    };
    write().map_err(|source| CertificateError::File {
        path: path.to_owned(),
        source,
    })
}
