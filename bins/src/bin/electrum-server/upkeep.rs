//! What may change while the program runs: the certificate and the banner.

use std::fs;
use std::io::Read;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, SystemTime};

use anyhow::Context;
use electrum_server_core::chain::Node;
use electrum_server_core::net::Certificate;
use electrum_server_core::session::Services;
use tokio::sync::Notify;
use tracing::{debug, info, warn};

use crate::serving::{Banner, Serving};
use crate::threads;

/// Between two looks at the files.
const PAUSE: Duration = Duration::from_secs(10);
/// As much of a banner is read; more would be no help to anybody.
const LONGEST_BANNER: u64 = 16 * 1024;

/// Looks after the files that clients see something of.
pub(crate) struct Upkeep {
    pub(crate) serving: Serving,
    pub(crate) certificate: Option<Arc<Certificate>>,
    pub(crate) services: Vec<Arc<Services>>,
    pub(crate) node: Arc<dyn Node>,
    /// Told to look at once, whatever the files look like.
    pub(crate) now: Arc<Notify>,
    /// Whether there was ever a banner to give out.
    pub(crate) has_banner: AtomicBool,
}

/// What is noticed of a file without reading it.
type Stamp = Option<(SystemTime, u64)>;

impl Upkeep {
    /// Does what must be done before anybody is served.
    pub(crate) async fn prepare(self: &Arc<Self>) {
        let this = self.clone();
        self.apart(move || this.refresh_banner()).await;
    }

    /// Runs until it is dropped.
    pub(crate) async fn run(self: Arc<Self>) {
        let mut seen = self.stamps();
        loop {
            let asked = tokio::select! {
                () = tokio::time::sleep(PAUSE) => false,
                () = self.now.notified() => true,
            };
            let stamps = self.stamps();
            if asked || stamps != seen {
                seen = stamps;
                let this = self.clone();
                let refresh = move || {
                    this.refresh_certificate();
                    this.refresh_banner();
                };
                self.apart(refresh).await;
            }
        }
    }

    /// Works where waiting for files and the node is allowed.
    async fn apart(&self, work: impl FnOnce() + Send + 'static) {
        if let Err(error) = threads::apart("upkeep", work).await {
            warn!("cannot look at the certificate and the banner: {error}");
        }
    }

    fn stamps(&self) -> Vec<Stamp> {
        let mut files: Vec<&Path> = Vec::new();
        if let Some(tls) = &self.serving.tls {
            files.extend([&*tls.certificate, &*tls.key]);
            files.extend(tls.clients.as_deref());
        }
        if let Banner::File(file) = &self.serving.banner {
            files.push(file);
        }
        let stamp = |file: &&Path| {
            let found = fs::metadata(file).ok()?;
            Some((found.modified().ok()?, found.len()))
        };
        files.iter().map(stamp).collect()
    }

    fn refresh_certificate(&self) {
        let (Some(certificate), Some(files)) = (&self.certificate, &self.serving.tls) else {
            return;
        };
        let before = certificate.fingerprint();
        match certificate.reload(&files.certificate, &files.key) {
            Ok(()) if certificate.fingerprint() == before => debug!("the certificate is the same"),
            Ok(()) => info!(
                "a new certificate is in use, its SHA-256 is {}",
                certificate.fingerprint()
            ),
            // Halfway through a renewal, perhaps: the next change is looked at again.
            Err(error) => warn!("the certificate of before stays in use: {error}"),
        }
        if let Some(clients) = &files.clients
            && let Err(error) = certificate.require_clients(clients)
        {
            warn!("clients are checked against the certificates of before: {error}");
        }
    }

    fn refresh_banner(&self) {
        match self.banner() {
            Ok(text) => {
                for services in &self.services {
                    services.set_banner(text.clone());
                }
                self.has_banner.store(true, Ordering::Relaxed);
            }
            Err(error) => {
                let meanwhile = match self.has_banner.load(Ordering::Relaxed) {
                    true => "clients get the one of before",
                    false => "clients get none until it is there",
                };
                warn!("{error:#}; {meanwhile}");
            }
        }
    }

    fn banner(&self) -> anyhow::Result<String> {
        let template = match &self.serving.banner {
            Banner::Text(text) => text.clone(),
            Banner::File(path) => {
                let context = || format!("cannot read the banner file {}", path.display());
                let file = fs::File::open(path).with_context(context)?;
                let mut bytes = Vec::new();
                file.take(LONGEST_BANNER)
                    .read_to_end(&mut bytes)
                    .with_context(context)?;
                String::from_utf8_lossy(&bytes).into_owned()
            }
        };
        // A node that is away has no name for the moment.
        let agent = match template.contains("$DAEMON") {
            true => self.node.user_agent().unwrap_or_default(),
            false => String::new(),
        };
        Ok(fill(&template, &agent, &self.serving.donation_address))
    }
}

/// Replaces the variables that ElectrumX has.
pub(crate) fn fill(template: &str, node: &str, donation_address: &str) -> String {
    let version = env!("CARGO_PKG_VERSION");
    // "/Satoshi:31.0.0(comment)/"
    let node_version = node
        .split_once(':')
        .map_or("", |(_, rest)| rest)
        .split(['/', '('])
        .next()
        .unwrap_or_default();
    template
        .replace("$SERVER_VERSION", version)
        .replace("$SERVER_SUBVERSION", &format!("electrum-server {version}"))
        .replace("$DAEMON_VERSION", node_version)
        .replace("$DAEMON_SUBVERSION", node)
        .replace("$DONATION_ADDRESS", donation_address)
}

#[cfg(test)]
mod tests {
    use super::fill;

    #[test]
    fn variables_are_replaced() {
        let template = "$SERVER_SUBVERSION|$SERVER_VERSION|$DAEMON_VERSION|$DAEMON_SUBVERSION|$DONATION_ADDRESS";
        let version = env!("CARGO_PKG_VERSION");
        assert_eq!(
            fill(template, "/Satoshi:31.0.0(mine)/", "bc1qdonate"),
            format!("electrum-server {version}|{version}|31.0.0|/Satoshi:31.0.0(mine)/|bc1qdonate")
        );
        assert_eq!(fill("a $DAEMON_VERSION b $OTHER", "", ""), "a  b $OTHER");
    }
}
