//! TLS, and the certificate that a server shows.

use std::fmt;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use arc_swap::ArcSwap;
use electrum_protocol::net::tls::{Fingerprint, public_key};
use rcgen::{CertificateParams, DistinguishedName, DnType, KeyPair, PKCS_ECDSA_P256_SHA256};
use thiserror::Error;
use tokio_rustls::rustls::crypto::ring;
use tokio_rustls::rustls::pki_types::pem::PemObject;
use tokio_rustls::rustls::pki_types::{CertificateDer, PrivateKeyDer};
use tokio_rustls::rustls::server::danger::ClientCertVerifier;
use tokio_rustls::rustls::server::{ClientHello, ResolvesServerCert, WebPkiClientVerifier};
use tokio_rustls::rustls::sign::CertifiedKey;
use tokio_rustls::rustls::{self, ServerConfig, SignatureAlgorithm};

use super::AnyStream;
use super::known_clients::KnownClients;
use super::tls_stream::TlsStream;
use crate::file::{self, Access};

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
    #[error("{}: {error}", path.display())]
    File {
        /// Which file.
        path: PathBuf,
        /// Why not.
        error: io::Error,
    },
    /// A file is not what it should be.
    #[error("{}: {problem}", path.display())]
    Pem {
        /// Which file.
        path: PathBuf,
        /// What is wrong with it.
        problem: PemProblem,
    },
    /// The key cannot be used, or belongs to another certificate.
    #[error("{}: {}", path.display(), unusable_key(error))]
    Key {
        /// The file of the key.
        path: PathBuf,
        /// What is wrong with it.
        error: rustls::Error,
    },
    /// The certificate is there, and its key is not.
    #[error(
        "{} is there, but not its key {}: put the key back from a backup; or move the certificate away, \
         and a new pair is made, which wallets that know the old one must be told to accept",
        certificate.display(), key.display()
    )]
    KeyMissing {
        /// The file of the certificate.
        certificate: PathBuf,
        /// Where its key should be.
        key: PathBuf,
    },
    /// There is a key, but it cannot be read, and no certificate belongs to it.
    #[error(
        "{} is no private key that can be used, and there is no certificate for it: move it away, and a new pair is made",
        path.display()
    )]
    KeyDamaged {
        /// The file of the key.
        path: PathBuf,
    },
    /// A certificate cannot be the one that clients are checked against.
    #[error("{}: a certificate in it cannot be used to check clients: {error}", path.display())]
    Authority {
        /// Which file.
        path: PathBuf,
        /// What is wrong with it.
        error: rustls::Error,
    },
    /// A certificate cannot be made.
    #[error("cannot make a certificate: {0}")]
    Make(rcgen::Error),
    /// TLS cannot be set up.
    #[error("cannot set up TLS: {0}")]
    Setup(rustls::Error),
}

impl From<rcgen::Error> for CertificateError {
    fn from(error: rcgen::Error) -> Self {
        Self::Make(error)
    }
}

/// What is wrong with a file of certificates or keys.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum PemProblem {
    /// The key needs a password, and nobody is there to type it when a server starts.
    #[error(
        "the key is encrypted: decrypt it (openssl pkey -in ENCRYPTED -out KEY, readable for the server only) and give that file"
    )]
    Encrypted,
    /// There is a certificate where a key should be.
    #[error(
        "there is no private key in it, but a certificate: give the file that begins with BEGIN PRIVATE KEY"
    )]
    CertificateForKey,
    /// There is a key where a certificate should be.
    #[error(
        "there is no certificate in it, but a private key: give the file that begins with BEGIN CERTIFICATE"
    )]
    KeyForCertificate,
    /// The key is written in a form that is not read.
    #[error(
        "the key is written in a form that is not read: convert it to PKCS #8 (openssl pkey -in OLD -out NEW)"
    )]
    OtherForm,
    /// It has nothing of what it should have.
    #[error(
        "it is no PEM file: there is no line -----BEGIN ...-----, as in what openssl and certbot write"
    )]
    NoPem,
    /// What is between the first line and the last is damaged.
    #[error("it is damaged or cut off between its BEGIN and END lines: copy it again")]
    Damaged,
}

impl PemProblem {
    fn of_certificate(text: &[u8]) -> Self {
        let text = String::from_utf8_lossy(text);
        match text.contains("PRIVATE KEY-----") && !text.contains("BEGIN CERTIFICATE-----") {
            true => Self::KeyForCertificate,
            false if text.contains("-----BEGIN ") => Self::Damaged,
            false => Self::NoPem,
        }
    }

    fn of_key(text: &[u8]) -> Self {
        let text = String::from_utf8_lossy(text);
        // PKCS #8 says so in its first line, older forms in a header.
        if text.contains("BEGIN ENCRYPTED PRIVATE KEY") || text.contains("Proc-Type: 4,ENCRYPTED") {
            return Self::Encrypted;
        }
        let is_read = [
            "BEGIN PRIVATE KEY",
            "BEGIN RSA PRIVATE KEY",
            "BEGIN EC PRIVATE KEY",
        ]
        .iter()
        .any(|begin| text.contains(begin));
        match is_read {
            true => Self::Damaged,
            false if text.contains("PRIVATE KEY-----") => Self::OtherForm,
            false if text.contains("BEGIN CERTIFICATE-----") => Self::CertificateForKey,
            false if text.contains("-----BEGIN ") => Self::OtherForm,
            false => Self::NoPem,
        }
    }
}

/// What is wrong with a key that was read.
fn unusable_key(error: &rustls::Error) -> &'static str {
    match error {
        rustls::Error::InconsistentKeys(_) => "this is the key of another certificate",
        rustls::Error::InvalidCertificate(_) => "the certificate cannot be read",
        _ => {
            "the key cannot be used: ECDSA on P-256 or P-384, RSA of 2048 bits or more and Ed25519 can, on other curves and smaller \
             ones cannot"
        }
    }
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
    /// Each file appears whole or not at all, the key first. What a crash can leave is made good by the next call: a key
    /// without a certificate gets one, and a file that was not written to its end counts as missing (it is kept as
    /// `*.old` if there is anything in it). Nobody can have remembered a certificate that was never complete. A
    /// certificate without its key is an error, and left as it is. Processes that call this at the same time wait for
    /// each other.
    ///
    /// Wallets remember the certificate of a server at their first visit and refuse another one later, so it is made
    /// once, for ever, and of a kind that all of them can read: ECDSA on P-256, its own issuer. Returns whether it was
    /// made.
    ///
    /// # Errors
    ///
    /// The files cannot be read or written, or there is a key that cannot be used, or a certificate without its key.
    pub fn make_once(
        certificate: &Path,
        key: &Path,
        names: Vec<String>,
    ) -> Result<bool, CertificateError> {
        let wrong = |path: &Path| {
            let path = path.to_owned();
            move |error| CertificateError::File { path, error }
        };
        let _lock = file::lock_folder_of(certificate).map_err(wrong(certificate))?;
        let has_certificate = is_complete(certificate).map_err(wrong(certificate))?;
        let has_key = is_complete(key).map_err(wrong(key))?;
        let pair = match (has_certificate, has_key) {
            (true, true) => return Ok(false),
            (true, false) => {
                return Err(CertificateError::KeyMissing {
                    certificate: certificate.to_owned(),
                    key: key.to_owned(),
                });
            }
            (false, true) => read_key(key)?,
            (false, false) => {
                let make = KeyPair::generate_for(&PKCS_ECDSA_P256_SHA256);
                make.map_err(CertificateError::Make)?
            }
        };
        let made = sign(&pair, names).map_err(CertificateError::Make)?;
        if !has_key {
            let text = pair.serialize_pem();
            file::replace(key, text.as_bytes(), Access::Owner).map_err(wrong(key))?;
        }
        file::replace(certificate, made.pem().as_bytes(), Access::Everybody)
            .map_err(wrong(certificate))?;
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
    let made = sign(&pair, names)?;
    Ok((pair, made))
}

/// Makes a certificate for these names that its own key signs.
fn sign(pair: &KeyPair, names: Vec<String>) -> Result<rcgen::Certificate, rcgen::Error> {
    let mut params = CertificateParams::new(names)?;
    params.distinguished_name = DistinguishedName::new();
    params
        .distinguished_name
        .push(DnType::CommonName, "electrum-server");
    params.self_signed(pair)
}

/// Whether a file is there and was written to its end. What is left of one that was not makes way.
fn is_complete(path: &Path) -> io::Result<bool> {
    let bytes = match fs::read(path) {
        Ok(bytes) => bytes,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(false),
        Err(error) => return Err(error),
    };
    // The last line of PEM.
    let end = b"-----END ";
    if bytes.windows(end.len()).any(|window| window == end) {
        return Ok(true);
    }
    // A file system may leave nothing but zeros after a power cut.
    if bytes.iter().any(|byte| *byte != 0) {
        let mut old = path.as_os_str().to_owned();
        old.push(".old");
        fs::rename(path, old)?;
    }
    Ok(false)
}

/// Reads a private key whose certificate is missing.
fn read_key(path: &Path) -> Result<KeyPair, CertificateError> {
    let bytes = text(path)?;
    let pair = std::str::from_utf8(&bytes).ok().map(KeyPair::from_pem);
    pair.and_then(Result::ok)
        .ok_or_else(|| CertificateError::KeyDamaged {
            path: path.to_owned(),
        })
}

fn read(certificate: &Path, key: &Path) -> Result<CertifiedKey, CertificateError> {
    let chain = certificates(certificate)?;
    let key_text = text(key)?;
    let private = PrivateKeyDer::from_pem_slice(&key_text).map_err(|_| CertificateError::Pem {
        path: key.to_owned(),
        problem: PemProblem::of_key(&key_text),
    })?;
    belonging(chain, private).map_err(|error| CertificateError::Key {
        path: key.to_owned(),
        error,
    })
}

fn text(path: &Path) -> Result<Vec<u8>, CertificateError> {
    fs::read(path).map_err(|error| CertificateError::File {
        path: path.to_owned(),
        error,
    })
}

/// Reads the certificates of a file; there is one at least.
pub(super) fn certificates(path: &Path) -> Result<Vec<CertificateDer<'static>>, CertificateError> {
    let text = text(path)?;
    let found: Option<Vec<_>> = CertificateDer::pem_slice_iter(&text)
        .collect::<Result<_, _>>()
        .ok();
    let found = found.filter(|found| !found.is_empty());
    found.ok_or_else(|| CertificateError::Pem {
        path: path.to_owned(),
        problem: PemProblem::of_certificate(&text),
    })
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

#[cfg(test)]
mod tests {
    use super::*;

    /// `openssl pkcs8 -topk8`, with a password.
    const ENCRYPTED: &str = "\
-----BEGIN ENCRYPTED PRIVATE KEY-----
MIHrMFYGCSqGSIb3DQEFDTBJMCgGCSqGSIb3DQEFDDAbBAheFv2htf56ogIBATAM
BggqhkiG9w0CCQUAMB0GCWCGSAFlAwQBKgQQc9ElbLICV+dnbWLaHtDuhgSBkKDn
lQyqtQCrQLJsjfyPAASRre5WpKHLHYTPOs4oMoIOEK2FmhGtqckK5vHgAGBudkYc
TFoagn/ncfMMmyRKOqalIlQplDab/EAkLPdJ4vFZJvZPq3f3khPNEmwhK45eyJDv
a84H+1qlXqwjyECSPUaW8GYg9w+pnaMTgZWX3Zfn4Pwc/zlH93IIUgqOhPm6zA==
-----END ENCRYPTED PRIVATE KEY-----
";
    /// `openssl ec -aes128`, with a password.
    const OLD_ENCRYPTED: &str = "\
-----BEGIN EC PRIVATE KEY-----
Proc-Type: 4,ENCRYPTED
DEK-Info: AES-128-CBC,6CE34B4ADF9F235F0316E69D4A6E0988

Mzdydd8XMTfW+DkOQ34TJOoS6QgZHJE+FGJSvid3WgJlz5Fm4oNv6R9tf0QFPMNS
ogGMUc5HzhWmarm74KzTxrke+CqwDBxf3mRHOrMdyR7HwlRH4hqWibVcZjjXYcV2
+gAp9XoxGZ/dwtahewHcsTFRt7259rkor0lpB7TJVm4=
-----END EC PRIVATE KEY-----
";
    /// A curve that TLS does not have.
    const SECP256K1: &str = "\
-----BEGIN EC PRIVATE KEY-----
MHQCAQEEIFTli6waWSzg3eRWR1BWIXm4Zy7QfiGzZsc4QIejL2tFoAcGBSuBBAAK
oUQDQgAEvCFAvtCtg4FdA+3vt6vstelPqeb67NVXz4dbkVAJj66YhOMPyXldYCu3
q1QTEk7fiVNwCB8j0JL40gNasgotUw==
-----END EC PRIVATE KEY-----
";

    fn load(certificate: &str, key: &str) -> String {
        let folder = tempfile::tempdir().unwrap();
        let files = [("c.pem", certificate), ("k.pem", key)].map(|(name, text)| {
            let file = folder.path().join(name);
            fs::write(&file, text).unwrap();
            file
        });
        match Certificate::load(&files[0], &files[1]) {
            Ok(_) => String::new(),
            Err(error) => error.to_string(),
        }
    }

    #[test]
    fn what_is_wrong_with_a_file_is_said_with_what_to_do() {
        let (pair, made) = make(vec!["localhost".to_owned()]).unwrap();
        let (key, certificate) = (pair.serialize_pem(), made.pem());
        let (other, _) = make(vec!["localhost".to_owned()]).unwrap();
        assert_eq!(load(&certificate, &key), "");
        let cut: String = key.lines().take(2).collect::<Vec<_>>().join("\n");
        let cut_certificate = certificate.replace("-----END", "----END");
        let openssh =
            "-----BEGIN OPENSSH PRIVATE KEY-----\nb3Bl\n-----END OPENSSH PRIVATE KEY-----\n";
        for (certificate, key, file, part) in [
            (
                &*certificate,
                ENCRYPTED,
                "k.pem",
                "the key is encrypted: decrypt it (openssl pkey",
            ),
            (
                &*certificate,
                OLD_ENCRYPTED,
                "k.pem",
                "the key is encrypted: decrypt it (openssl pkey",
            ),
            (&*certificate, &*certificate, "k.pem", "a certificate"),
            (&*certificate, "nonsense", "k.pem", "no PEM file"),
            (&*certificate, "", "k.pem", "no PEM file"),
            (&*certificate, &*cut, "k.pem", "damaged or cut off"),
            (&*certificate, openssh, "k.pem", "PKCS #8"),
            (&*certificate, SECP256K1, "k.pem", "the key cannot be used"),
            (
                &*certificate,
                &*other.serialize_pem(),
                "k.pem",
                "the key of another certificate",
            ),
            (&*key, &*key, "c.pem", "a private key"),
            ("", &*key, "c.pem", "no PEM file"),
            (&*cut_certificate, &*key, "c.pem", "damaged or cut off"),
        ] {
            let error = load(certificate, key);
            assert!(
                error.contains(file) && error.contains(part),
                "{part}: {error}"
            );
            for raw in [
                "InvalidCharacter",
                "base64",
                "NoItemsFound",
                "Rejected",
                "(",
            ] {
                let is_ours = raw == "(" && error.contains("(openssl");
                assert!(is_ours || !error.contains(raw), "{error}");
            }
        }
        let missing = Certificate::load(Path::new("nope.pem"), Path::new("nope.key")).unwrap_err();
        let said = format!("{missing}");
        assert_eq!(said.matches("No such file").count(), 1, "{said}");
        assert!(std::error::Error::source(&missing).is_none());
    }
}
