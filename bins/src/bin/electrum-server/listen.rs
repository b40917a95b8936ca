//! Finds out whether places can be listened on, and listens.

use std::io;
use std::net::SocketAddr;
use std::os::unix::fs::FileTypeExt;
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::sync::Arc;

use anyhow::{Context, bail};
use electrum_server_core::net::{Certificate, Listener};
use tokio::net::{TcpListener, TcpSocket, UnixListener, lookup_host};
use tracing::{debug, info, warn};

use crate::permissions;
use crate::serving::{Place, Serving};

/// Finds out whether the places can be listened on, without listening: an open port means a server that can answer.
///
/// # Errors
///
/// Which one cannot, and why.
pub(crate) async fn check_free(places: &[Place]) -> anyhow::Result<()> {
    for place in places {
        match place {
            Place::Net { address, .. } => check_address(address).await?,
            Place::Unix(file) => check_file(file)?,
        }
    }
    Ok(())
}

/// Finds out whether `HOST:PORT` can be listened on.
///
/// # Errors
///
/// Why not.
pub(crate) async fn check_address(address: &str) -> anyhow::Result<()> {
    let context = || format!("cannot listen on {address}");
    // Of the several addresses that a name may have, one will do, as when it is listened on.
    let found = lookup_host(address).await.with_context(context)?;
    let mut attempts: Vec<io::Result<()>> = found.map(can_bind).collect();
    if !attempts.iter().any(Result::is_ok) {
        let nothing = || Err(io::Error::other("the name has no address"));
        attempts
            .pop()
            .unwrap_or_else(nothing)
            .with_context(context)?;
    }
    Ok(())
}

fn can_bind(address: SocketAddr) -> io::Result<()> {
    let socket = match address {
        SocketAddr::V4(_) => TcpSocket::new_v4()?,
        SocketAddr::V6(_) => TcpSocket::new_v6()?,
    };
    socket.set_reuseaddr(true)?;
    socket.bind(address)
}

/// A socket that nobody answers at was left by a run that ended badly; anything else is not ours to remove.
fn check_file(file: &Path) -> anyhow::Result<()> {
    let Ok(found) = file.symlink_metadata() else {
        return Ok(());
    };
    if !found.file_type().is_socket() {
        bail!("cannot listen on {}: it is not a socket", file.display());
    }
    if UnixStream::connect(file).is_ok() {
        bail!("cannot listen on {}: somebody else does", file.display());
    }
    Ok(())
}

/// Listens in all places.
///
/// # Errors
///
/// Where it is not possible, and why.
pub(crate) async fn listen(
    places: &[Place],
    serving: &Serving,
    certificate: Option<&Arc<Certificate>>,
) -> anyhow::Result<Vec<Listener>> {
    let mut listeners = Vec::with_capacity(places.len());
    for place in places {
        let listener = match place {
            Place::Net {
                address,
                tls,
                websocket,
            } => {
                let socket = TcpListener::bind(address)
                    .await
                    .with_context(|| format!("cannot listen on {address}"))?;
                let bound = socket.local_addr()?;
                let mut listener = Listener::from(socket);
                let mut spoken = "";
                if *websocket {
                    listener = listener
                        .with_websocket()
                        .with_origins(serving.origins.clone());
                    spoken = " (WebSocket)";
                }
                if let (true, Some(certificate)) = (*tls, certificate) {
                    listener = listener.with_tls(certificate.clone());
                    spoken = if *websocket {
                        " (WebSocket, TLS)"
                    } else {
                        " (TLS)"
                    };
                }
                info!("serving on {bound}{spoken}");
                listener
            }
            Place::Unix(file) => {
                check_file(file)?;
                // Nobody answered there.
                let _ = std::fs::remove_file(file);
                let socket = UnixListener::bind(file)
                    .with_context(|| format!("cannot listen on {}", file.display()))?;
                permissions::share(file)
                    .with_context(|| format!("cannot let others use {}", file.display()))?;
                info!("serving on {}", file.display());
                Listener::from(socket)
            }
        };
        let listener = listener.with_proxies(serving.proxies.clone());
        listeners.push(match serving.padding {
            true => listener.with_padding(),
            false => listener,
        });
    }
    Ok(listeners)
}

/// Removes the files of unix sockets.
pub(crate) fn clean_up(places: &[Place]) {
    for place in places {
        if let Place::Unix(file) = place
            && let Err(error) = std::fs::remove_file(file)
        {
            debug!("cannot remove {}: {error}", file.display());
        }
    }
}

/// Reads the certificate, if one is needed, and makes one if that is wanted and there is none.
///
/// # Errors
///
/// What is wrong with it.
pub(crate) fn certificate(serving: &Serving) -> anyhow::Result<Option<Arc<Certificate>>> {
    let Some(files) = &serving.tls else {
        return Ok(None);
    };
    if files.ours {
        let folder = files.certificate.parent().unwrap_or_else(|| Path::new("."));
        std::fs::create_dir_all(folder)
            .with_context(|| format!("cannot make the folder {}", folder.display()))?;
        let names = vec!["localhost".to_owned()];
        if Certificate::make_once(&files.certificate, &files.key, names)? {
            info!(
                "made a certificate, {}: keep it and its key, since wallets remember it",
                files.certificate.display()
            );
        }
    }
    let certificate =
        Certificate::load(&files.certificate, &files.key).with_context(|| match files.ours {
            true => "the certificate for TLS, which was made at an earlier start, cannot be used",
            false => "the certificate for TLS (--tls-cert, --tls-key) cannot be used",
        })?;
    if let Some(clients) = &files.clients {
        certificate
            .require_clients(clients)
            .context("clients cannot be checked against the certificates of --tls-client-ca")?;
        info!(
            "only clients with a certificate of {} may connect by TLS",
            clients.display()
        );
    }
    info!("the certificate's SHA-256 is {}", certificate.fingerprint());
    if certificate.is_ed25519() {
        warn!(
            "the certificate's key is Ed25519: Electrum cannot read it at its second visit; use ECDSA on P-256"
        );
    }
    Ok(Some(Arc::new(certificate)))
}
