//! What the program runs on: every option with its default, checked against the others.

use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context, bail};
use bitcoin::Network;
use electrum_server_core::chain::bitcoind::{self as node, Auth, cookie_path};

use crate::blocks::BlocksDir;
use crate::cli::Options;
use crate::layers::Layered;
use crate::personal::Personal;
use crate::serving::Serving;
use crate::value::NetworkName;

/// Bitcoin Core's data folder in the user's home folder.
pub(crate) const DAEMON_DIR: &str = ".bitcoin";
/// Memory for building the index, in MiB, when nothing is said.
const BUILD_MEMORY: u32 = 512;
/// The least that it works with, in MiB.
const LEAST_BUILD_MEMORY: u32 = 64;

fn broadcast_command(options: &Options) -> anyhow::Result<Option<String>> {
    match &options.broadcast_command {
        // The shell would report success for it.
        Some(command) if command.trim().is_empty() => {
            bail!("--broadcast-command is empty; leave it out to broadcast by the node")
        }
        command => Ok(command.clone()),
    }
}

fn build_memory(mib: Option<u32>) -> anyhow::Result<usize> {
    let mib = mib.unwrap_or(BUILD_MEMORY);
    if mib < LEAST_BUILD_MEMORY {
        bail!("--db-mem-mib must be at least {LEAST_BUILD_MEMORY}");
    }
    let bytes = u64::from(mib) << 20;
    usize::try_from(bytes).with_context(|| format!("--db-mem-mib {mib} is more than there can be"))
}

/// The whole configuration of a run.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Config {
    pub(crate) network: Network,
    /// Folder of this network's index.
    pub(crate) db_dir: PathBuf,
    /// Memory for building the index, in bytes.
    pub(crate) build_memory: usize,
    /// Where the node's block files may be.
    pub(crate) blocks_dir: Option<BlocksDir>,
    /// The wallets, when only these are watched.
    pub(crate) personal: Option<Personal>,
    /// Command that broadcasts transactions.
    pub(crate) broadcast_command: Option<String>,
    /// `HOST:PORT` of the node's HTTP interface.
    pub(crate) daemon_rpc_addr: String,
    pub(crate) auth: Auth,
    pub(crate) serving: Serving,
    /// `HOST:PORT` of the metrics.
    pub(crate) monitoring_addr: Option<String>,
    pub(crate) sync_once: bool,
    pub(crate) ignore_mempool: bool,
    pub(crate) poll_interval: Duration,
    pub(crate) rpc_timeout: Duration,
    pub(crate) log_filters: Option<String>,
    pub(crate) log_timestamps: bool,
    /// Serves a chain of its own.
    pub(crate) dev: Option<DevConfig>,
    /// What deserves a line in the log, at the given weight.
    pub(crate) warnings: Vec<String>,
    pub(crate) taken: Vec<String>,
    pub(crate) notes: Vec<String>,
}

impl Config {
    /// Fills in defaults and checks what belongs together. `home` is the user's home folder.
    ///
    /// # Errors
    ///
    /// Says which option is wrong or missing, and what it should be.
    pub(crate) fn new(layered: Layered, home: Option<&Path>) -> anyhow::Result<Self> {
        let Layered {
            options,
            remarks: mut warnings,
            taken,
        } = layered;
        let dev = DevConfig::new(&options)?;
        let default = match dev {
            Some(_) => Network::Regtest,
            None => Network::Bitcoin,
        };
        let NetworkName(network) = options.network.unwrap_or(NetworkName(default));
        if dev.is_some() && network != Network::Regtest {
            bail!("--dev is a chain of its own on regtest, not {network}");
        }
        let ports = Ports::of(network);
        let notes = options
            .without_effect()
            .into_iter()
            .map(|name| format!("--{name} has no effect here"))
            .collect();
        if let Some(address) = &options.monitoring_addr {
            check_address("monitoring-addr", address)?;
        }
        let auth = match dev {
            // There is no node to be asked.
            Some(_) => Auth::Cookie(PathBuf::new()),
            None => auth(&options, network, home)?,
        };
        if matches!(auth, Auth::UserPassword { .. }) && options.auth.is_none() {
            warnings.push(
                "the node's password is on the command line, where every user of this machine can \
                 read it; use `auth` in the configuration file or ELECTRUM_SERVER_AUTH"
                    .into(),
            );
        }
        let daemon_rpc_addr = match &options.daemon_rpc_addr {
            Some(address) => node_address(address)?,
            None => local(ports.rpc),
        };
        let seconds = |name: &str, given: Option<u64>, default| match given {
            Some(0) => bail!("--{name} must be at least 1"),
            given => Ok(Duration::from_secs(given.unwrap_or(default))),
        };
        let db_dir = expand(
            options
                .db_dir
                .as_deref()
                .unwrap_or_else(|| Path::new("./db")),
            home,
        );
        Ok(Self {
            network,
            db_dir: db_dir.join(folder_name(network)),
            build_memory: build_memory(options.db_mem_mib)?,
            blocks_dir: BlocksDir::of(&options, network, home),
            personal: Personal::of(&options, network)?,
            broadcast_command: broadcast_command(&options)?,
            daemon_rpc_addr,
            auth,
            serving: Serving::new(&options, &db_dir, local(ports.electrum), home)?,
            monitoring_addr: options.monitoring_addr.clone(),
            sync_once: options.sync_once.unwrap_or(false),
            ignore_mempool: options.ignore_mempool.unwrap_or(false),
            poll_interval: seconds("wait-duration-secs", options.wait_duration_secs, 10)?,
            rpc_timeout: seconds(
                "jsonrpc-timeout-secs",
                options.jsonrpc_timeout_secs,
                NODE_TIMEOUT,
            )?,
            log_filters: options
                .log_filters
                .clone()
                .or_else(|| verbosity(options.verbose)),
            log_timestamps: options.log_timestamps.unwrap_or(true),
            dev,
            warnings,
            taken,
            notes,
        })
    }
}

/// What `--dev` runs on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct DevConfig {
    /// Where the chain is kept between runs.
    pub(crate) state: Option<PathBuf>,
    /// `HOST:PORT` of the control interface.
    pub(crate) rpc_addr: String,
    pub(crate) block_time: Option<Duration>,
}

impl DevConfig {
    fn new(options: &Options) -> anyhow::Result<Option<Self>> {
        let only_with_dev = [
            ("dev-state", options.dev_state.is_some()),
            ("dev-rpc-addr", options.dev_rpc_addr.is_some()),
            ("block-time", options.block_time.is_some()),
        ];
        if options.dev != Some(true) {
            return match only_with_dev.iter().find(|(_, given)| *given) {
                Some((name, _)) => bail!("--{name} means something with --dev only"),
                None => Ok(None),
            };
        }
        let rpc_addr = options.dev_rpc_addr.clone();
        let rpc_addr = rpc_addr.unwrap_or_else(|| local(Ports::of(Network::Regtest).rpc));
        check_address("dev-rpc-addr", &rpc_addr)?;
        Ok(Some(Self {
            state: options.dev_state.clone(),
            rpc_addr,
            block_time: options.block_time.map(|interval| interval.0),
        }))
    }
}

/// In seconds. Longer than that of electrs: blocks are asked for in the same way as everything else, and questions come in
/// large batches.
const NODE_TIMEOUT: u64 = node::Config::DEFAULT_TIMEOUT.as_secs();

/// Default ports of a network.
struct Ports {
    rpc: u16,
    electrum: u16,
}

impl Ports {
    fn of(network: Network) -> Self {
        let (rpc, electrum) = match network {
            Network::Bitcoin => (8332, 50001),
            Network::Testnet4 => (48332, 40001),
            Network::Signet => (38332, 60601),
            Network::Regtest => (18443, 60401),
            // The type is open; whatever else there may be is a test network.
            _ => (18332, 60001),
        };
        Self { rpc, electrum }
    }
}

fn local(port: u16) -> String {
    format!("127.0.0.1:{port}")
}

/// Name of a network's folder under the index folder.
fn folder_name(network: Network) -> &'static str {
    match network {
        Network::Bitcoin => "bitcoin",
        Network::Testnet4 => "testnet4",
        Network::Signet => "signet",
        Network::Regtest => "regtest",
        _ => "testnet",
    }
}

fn verbosity(count: u8) -> Option<String> {
    match count {
        0 => None,
        1 | 2 => Some("info".into()),
        3 => Some("debug".into()),
        _ => Some("trace".into()),
    }
}

fn auth(options: &Options, network: Network, home: Option<&Path>) -> anyhow::Result<Auth> {
    let secret = options.auth.as_ref().or(options.cookie.as_ref());
    match (secret, &options.cookie_file) {
        (Some(_), Some(file)) => bail!(
            "both a cookie file ({}) and a user and password are configured; remove one",
            file.display()
        ),
        (Some(secret), None) => {
            let (user, password) = secret
                .user_and_password()
                .context("the node's user and password must be written USER:PASSWORD")?;
            Ok(Auth::UserPassword {
                user: user.into(),
                password: password.into(),
            })
        }
        (None, Some(file)) => Ok(Auth::Cookie(expand(file, home))),
        (None, None) => {
            let folder = match (&options.daemon_dir, home) {
                (Some(dir), _) => expand(dir, home),
                (None, Some(home)) => home.join(DAEMON_DIR),
                (None, None) => bail!(
                    "there is no home folder to look for Bitcoin Core in; set --daemon-dir or --cookie-file"
                ),
            };
            Ok(Auth::Cookie(cookie_path(&folder, network)))
        }
    }
}

/// Replaces a leading `~`, which no shell does inside a configuration file.
pub(crate) fn expand(path: &Path, home: Option<&Path>) -> PathBuf {
    match (path.strip_prefix("~"), home) {
        (Ok(rest), Some(home)) => home.join(rest),
        _ => path.to_path_buf(),
    }
}

fn node_address(address: &str) -> anyhow::Result<String> {
    if address.starts_with("https://") {
        bail!("--daemon-rpc-addr {address}: Bitcoin Core speaks plain HTTP, use HOST:PORT");
    }
    let address = address
        .strip_prefix("http://")
        .unwrap_or(address)
        .trim_end_matches('/');
    check_address("daemon-rpc-addr", address)?;
    Ok(address.to_owned())
}

/// Checks that an address is written `HOST:PORT`.
pub(crate) fn check_address(option: &str, address: &str) -> anyhow::Result<()> {
    let good = address.rsplit_once(':').is_some_and(|(host, port)| {
        let host_is_whole = !host.contains(':') || (host.starts_with('[') && host.ends_with(']'));
        !host.is_empty() && host_is_whole && port.parse::<u16>().is_ok()
    });
    match good {
        true => Ok(()),
        false => bail!("--{option} `{address}`: expected HOST:PORT, for example 127.0.0.1:50001"),
    }
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::*;
    use crate::serving::Place;

    fn config(line: &str) -> anyhow::Result<Config> {
        let options = Options::try_parse_from(line.split_whitespace()).unwrap();
        Config::new(
            Layered {
                options,
                remarks: Vec::new(),
                taken: Vec::new(),
            },
            Some(Path::new("/home/me")),
        )
    }

    #[test]
    fn defaults_follow_the_network() {
        let check = |network: &str, electrum: &str, rpc: &str, cookie: &str, db: &str| {
            let config = config(&format!("x --network {network}")).unwrap();
            let lines = Place::lines(format!("127.0.0.1:{electrum}"));
            assert_eq!(config.serving.places, [lines]);
            assert_eq!(config.daemon_rpc_addr, format!("127.0.0.1:{rpc}"));
            assert_eq!(
                config.auth,
                Auth::Cookie(Path::new("/home/me/.bitcoin").join(cookie))
            );
            assert_eq!(config.db_dir, Path::new("./db").join(db));
        };
        check("bitcoin", "50001", "8332", ".cookie", "bitcoin");
        check("testnet", "60001", "18332", "testnet3/.cookie", "testnet");
        check("testnet4", "40001", "48332", "testnet4/.cookie", "testnet4");
        check("signet", "60601", "38332", "signet/.cookie", "signet");
        check("regtest", "60401", "18443", "regtest/.cookie", "regtest");
    }

    #[test]
    fn a_cookie_file_is_taken_as_it_is() {
        let config = config("x --network regtest --cookie-file ~/c --daemon-dir /d").unwrap();
        assert_eq!(config.auth, Auth::Cookie("/home/me/c".into()));
    }

    #[test]
    fn errors_say_what_is_expected() {
        let check = |line: &str, expected: &str| {
            let error = format!("{:#}", config(line).unwrap_err());
            assert!(error.contains(expected), "{error}");
        };
        check("x --electrum-rpc-addr 50001", "`50001`: expected HOST:PORT");
        check("x --electrum-rpc-addr ::1:50001", "expected HOST:PORT");
        check("x --daemon-rpc-addr https://a:1", "plain HTTP");
        check("x --monitoring-addr 4224", "expected HOST:PORT");
        check("x --cookie nocolon", "must be written USER:PASSWORD");
        check("x --cookie a:b --cookie-file c", "remove one");
        check("x --wait-duration-secs 0", "at least 1");
        check("x --dev --network bitcoin", "regtest, not bitcoin");
        check("x --block-time 10s", "with --dev only");
    }

    #[test]
    fn a_chain_of_its_own_is_regtest() {
        let config = config("x --dev --block-time 10s").unwrap();
        assert_eq!(config.network, Network::Regtest);
        let lines = Place::lines("127.0.0.1:60401".to_owned());
        assert_eq!(config.serving.places, [lines]);
        let dev = config.dev.unwrap();
        assert_eq!(dev.rpc_addr, "127.0.0.1:18443");
        assert_eq!(dev.block_time, Some(Duration::from_secs(10)));
    }

    #[test]
    fn addresses_may_be_names_urls_and_ipv6() {
        let config = config("x --daemon-rpc-addr http://bitcoind:8332/ --electrum-rpc-addr [::]:1");
        assert_eq!(config.unwrap().daemon_rpc_addr, "bitcoind:8332");
    }

    #[test]
    fn a_password_is_not_printed() {
        let config = config("x --cookie alice:hunter2").unwrap();
        assert!(!format!("{config:?}").contains("hunter2"));
        assert!(config.warnings.concat().contains("command line"));
    }

    #[test]
    fn what_changes_nothing_is_said() {
        let config = config("x --db-parallelism 4").unwrap();
        assert_eq!(config.notes, ["--db-parallelism has no effect here"]);
    }
}
