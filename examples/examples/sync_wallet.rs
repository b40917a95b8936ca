//! Keeps a wallet of one descriptor, with proofs, on a server that is not trusted: a gap limit, reorganizations, a
//! connection that is lost, and a second start that fetches only what changed.
//!
//! ```sh
//! cargo run -p electrum-examples --example sync_wallet -- bitcoin ssl://electrum.example:50002 'wpkh(xpub.../<0;1>/*)'
//! ```

#![allow(clippy::print_stdout, reason = "it is what the example does")]

use std::time::{Duration, SystemTime};

use anyhow::{Result, bail, ensure};
use bitcoin::{Network, ScriptBuf};
use electrum_protocol::header_chain::Limits;
use electrum_protocol::method::headers;
use electrum_protocol::net::{Config, ConnectError};
use electrum_protocol::tokio::Client;
use electrum_protocol::{
    Batch, HeaderChain, HeaderSync, Notification, Request, RequestError, Response, ScriptSync, Tip,
    script_sync, tokio as electrum,
};
use miniscript::{DefiniteDescriptorKey, Descriptor, DescriptorPublicKey};

#[tokio::main]
async fn main() -> Result<()> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [network, server, descriptor] = arguments.as_slice() else {
        bail!("usage: sync_wallet NETWORK SERVER DESCRIPTOR");
    };
    let config = Config::new(server.parse()?);
    let mut wallet = Wallet::new(network.parse()?, &descriptor.parse()?)?;
    loop {
        let error = match wallet.follow(&config, Wallet::print).await {
            Ok(()) => return Ok(()),
            Err(error) => error,
        };
        let transient = match error.downcast_ref() {
            Some(error) => RequestError::is_transient(error),
            None => error.downcast_ref().is_some_and(ConnectError::is_transient),
        };
        ensure!(transient, error);
        println!("{error:#}; trying again");
        tokio::time::sleep(Duration::from_secs(5)).await;
    }
}

/// How many scripts beyond the last used one are watched.
const GAP: u32 = 20;

/// How many requests go in one array.
const AT_A_TIME: usize = 50;

/// The two state machines of a light wallet.
#[derive(Debug)]
pub struct Wallet {
    /// Its scripts, by keychain: 0 receives, 1 is change.
    pub scripts: ScriptSync<usize>,
    /// The headers that prove them.
    pub headers: HeaderSync,
}

impl Wallet {
    /// Starts at the genesis block. A wallet for daily use starts at a checkpoint, and with what it saved.
    pub fn new(network: Network, descriptor: &Descriptor<DescriptorPublicKey>) -> Result<Self> {
        // What a session will speak is not known yet; each begins with `reconnect`.
        let version = electrum_protocol::ProtocolVersion::V1_4;
        let mut scripts = ScriptSync::new(version, script_sync::Config::default())?;
        for (keychain, descriptor) in descriptor
            .clone()
            .into_single_descriptors()?
            .into_iter()
            .enumerate()
        {
            let script = move |index| -> Option<ScriptBuf> {
                let definite: Descriptor<DefiniteDescriptorKey> =
                    descriptor.at_derivation_index(index).ok()?;
                Some(definite.script_pubkey())
            };
            scripts.add_keychain(keychain, GAP, script)?;
        }
        let headers = HeaderSync::new(HeaderChain::genesis(network), Limits::default());
        Ok(Self { scripts, headers })
    }

    /// Follows the server, and tells whenever everything is as it is there, until it is told to stop.
    pub async fn follow(
        &mut self,
        config: &Config,
        mut tell: impl FnMut(&Self) -> bool,
    ) -> Result<()> {
        let (client, connection) = electrum::connect(config).await?;
        tokio::spawn(connection);
        let mut news = client.news();
        let Response::HeadersSubscribe(tip) = client.send(headers::Subscribe::RAW.into()).await?
        else {
            bail!("no tip");
        };
        self.headers.disconnect();
        self.announce(&client, tip.tip()).await?;
        self.scripts
            .reconnect(client.version(), self.headers.chain())?;
        loop {
            self.ask(&client).await?;
            if self.scripts.is_up_to_date() && !tell(self) {
                return Ok(());
            }
            match news.next().await {
                Some(Notification::Headers(tip)) => self.announce(&client, tip.tip()).await?,
                Some(notification) => drop(self.scripts.notify(&notification)),
                None => {
                    // The connection is lost; the next request says why.
                    client.send(headers::Subscribe::RAW.into()).await?;
                }
            }
        }
    }

    /// Follows the headers up to a new tip.
    async fn announce(&mut self, client: &Client, tip: Tip) -> Result<()> {
        let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH)?;
        let now = u32::try_from(now.as_secs()).ok();
        let mut change = self.headers.announce(tip, now)?;
        loop {
            if let Some(change) = change {
                self.scripts.headers_changed(self.headers.chain(), &change);
            }
            let Some(request) = self.headers.poll_request() else {
                return Ok(());
            };
            change = self.headers.receive(client.send(request).await?, now)?;
        }
    }

    /// Asks for all that the scripts want.
    async fn ask(&mut self, client: &Client) -> Result<()> {
        loop {
            let next = std::iter::from_fn(|| self.scripts.poll_request());
            let requests: Vec<Request> = next.take(AT_A_TIME).collect();
            if requests.is_empty() {
                return Ok(());
            }
            let batch: Batch = requests.iter().cloned().collect();
            for (request, result) in requests.iter().zip(client.batch(batch).await) {
                match result {
                    Ok(response) => {
                        let headers = self.headers.chain();
                        self.scripts.answer(request, response, headers)?;
                    }
                    Err(RequestError::Server(error)) => {
                        println!("{} is refused: {error}", request.method());
                        self.scripts.refused(request, self.headers.chain());
                    }
                    Err(error) => return Err(error.into()),
                }
            }
        }
    }

    fn print(&self) -> bool {
        let balance = self.scripts.balance();
        println!(
            "at height {}: {} confirmed, {} unconfirmed, {} outputs; next index {}",
            self.headers.chain().height(),
            balance.confirmed,
            balance.unconfirmed,
            self.scripts.unspent().len(),
            self.scripts.next_unused(&0).unwrap_or_default(),
        );
        true
    }
}
