//! Whose certificates are good.

use std::io;
use std::sync::Arc;

use electrum_protocol::blocking::connect;
use electrum_protocol::net::tls::rustls::{self, RootCertStore};
use electrum_protocol::net::tls::{Certificate, Fingerprint, FirstUse, Pins, Trust};
use electrum_protocol::net::{Config, ConnectError, Transport};

use crate::config;
use crate::server::{Identity, rustls_versions, start, start_tls};

fn reach(port: u16, trust: Trust) -> Config {
    let mut config = config(&format!("ssl://localhost:{port}"));
    config.trust = trust;
    config
}

/// The fingerprint that the error names.
fn refused(config: &Config) -> (Fingerprint, String) {
    match connect(config).map(drop) {
        Err(error @ ConnectError::Certificate { fingerprint, .. }) => {
            assert!(!error.is_transient());
            (fingerprint, error.to_string())
        }
        other => panic!("{other:?}"),
    }
}

#[test]
fn authorities_decide_about_name_and_certificate() {
    let identity = Identity::new(&["localhost"]);
    let fingerprint = Fingerprint::of(&identity.certificate);
    let mut roots = RootCertStore::empty();
    roots.add(identity.certificate.clone()).unwrap();
    let roots = Arc::new(roots);
    let port = start_tls(Transport::Tls, identity, rustls_versions()).port();
    // The web does not know it.
    let (found, words) = refused(&reach(port, Trust::Authorities));
    assert_eq!(found, fingerprint);
    assert!(words.contains("UnknownIssuer"), "{words}");
    // The caller does, but not under another name.
    connect(&reach(port, Trust::Roots(roots.clone()))).unwrap();
    let other = start_tls(
        Transport::Tls,
        Identity::new(&["other.example"]),
        rustls_versions(),
    );
    refused(&reach(other.port(), Trust::Roots(roots)));
    // Without any root nobody is known.
    let nobody = Trust::Roots(Arc::new(RootCertStore::empty()));
    refused(&reach(port, nobody));
}

#[test]
fn a_pinned_certificate_may_be_for_any_name_and_of_any_version() {
    for identity in [Identity::new(&["other.example"]), Identity::of_version_1()] {
        let fingerprint = Fingerprint::of(&identity.certificate);
        let port = start_tls(Transport::Tls, identity, rustls_versions()).port();
        connect(&reach(port, Trust::Pinned(fingerprint))).unwrap();
        let another = Fingerprint::of(b"another");
        let (found, words) = refused(&reach(port, Trust::Pinned(another)));
        assert_eq!(found, fingerprint);
        assert!(words.contains(&another.to_string()), "{words}");
    }
}

#[test]
fn the_first_certificate_is_kept_and_another_refused() {
    for versions in [&[&rustls::version::TLS12], &[&rustls::version::TLS13]] {
        let first = start_tls(Transport::Tls, Identity::of_version_1(), versions);
        let second = start_tls(Transport::Tls, Identity::new(&["localhost"]), versions);
        let pins = Arc::new(Pins::new());
        let trust = Trust::FirstUse(pins.clone());
        connect(&reach(first.port(), trust.clone())).unwrap();
        connect(&reach(first.port(), trust.clone())).unwrap();
        let name = |port: u16| format!("localhost:{port}");
        let known = pins.get(&name(first.port())).unwrap();
        assert_eq!(
            known.to_string(),
            // As openssl prints it.
            "13:47:33:A8:ED:5D:FC:E2:35:20:EA:6D:98:49:DF:5B:32:8E:50:5C:00:CB:A8:32:25:BA:60:C0:3F:5A:28:C0"
        );
        // The same server comes with another certificate.
        let moved: Pins = [(name(second.port()), known)].into_iter().collect();
        refused(&reach(second.port(), Trust::FirstUse(Arc::new(moved))));
        pins.forget(&name(first.port()));
        assert_eq!(pins.get(&name(first.port())), None);
    }
}

/// Knows everything better, or has lost its file.
#[derive(Debug)]
enum Never {
    Trusts,
    Knows,
}

impl FirstUse for Never {
    fn is_trusted(&self, server: &str, certificate: &Certificate<'_>) -> io::Result<bool> {
        assert!(server.starts_with("localhost:"));
        assert_eq!(Fingerprint::of(certificate.der), certificate.fingerprint);
        assert!(!certificate.vouched_for);
        match self {
            Self::Trusts => Ok(false),
            Self::Knows => Err(io::Error::other("the file is gone")),
        }
    }
}

#[test]
fn the_store_of_the_caller_decides() {
    let identity = Identity::new(&["localhost"]);
    let port = start_tls(Transport::Tls, identity, rustls_versions()).port();
    refused(&reach(port, Trust::FirstUse(Arc::new(Never::Trusts))));
    // A store that fails is no opinion about the certificate.
    let config = reach(port, Trust::FirstUse(Arc::new(Never::Knows)));
    let error = connect(&config).unwrap_err();
    assert!(matches!(error, ConnectError::TrustStore { .. }), "{error}");
    assert!(error.to_string().ends_with("the file is gone"), "{error}");
    assert!(!error.is_transient());
}

/// A man in the middle shows somebody's certificate, without having the key.
#[test]
fn a_certificate_without_its_key_is_worth_nothing() {
    let theirs = Identity::of_version_1();
    let fingerprint = Fingerprint::of(&theirs.certificate);
    let stolen = Identity {
        certificate: theirs.certificate,
        key: Identity::new(&["localhost"]).key,
    };
    for versions in [&[&rustls::version::TLS12], &[&rustls::version::TLS13]] {
        let stolen = Identity {
            certificate: stolen.certificate.clone(),
            key: stolen.key.clone_key(),
        };
        let port = start_tls(Transport::Tls, stolen, versions).port();
        let error = connect(&reach(port, Trust::Pinned(fingerprint))).unwrap_err();
        assert!(error.to_string().contains("BadSignature"), "{error}");
        assert!(!error.is_transient());
    }
}

#[test]
fn a_server_without_tls_is_no_server_with_it() {
    let port = start(Transport::Tcp).port();
    let error = connect(&reach(port, Trust::Authorities)).unwrap_err();
    assert!(matches!(error, ConnectError::Tls { .. }), "{error}");
}
