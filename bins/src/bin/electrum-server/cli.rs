//! The options: one definition of each, read alike from the command line, the environment and files.
//!
//! What a user typed is an [`Options`]; every field may be absent. What the program runs on is a
//! [`crate::config::Config`]. Names and defaults are those of electrs wherever it has the option, so
//! that a program which starts electrs can start this one.

use std::path::PathBuf;

use clap::builder::BoolishValueParser;
use clap::{ArgAction, Parser};
use serde::Deserialize;

use crate::value::{Interval, NetworkName, Secret, one_or_many};
use crate::wallets::{UnwatchedPolicy, WalletEntry};

const AFTER_HELP: &str = "\
Every option can also be set in a configuration file (TOML, `db_dir = \"...\"` for --db-dir) or in the
environment (ELECTRUM_SERVER_DB_DIR, or ELECTRS_DB_DIR when that is not set). The command line wins
over the environment, the environment over files. Files that are read when they exist, the first one
winning: ./electrum-server.toml, ~/.electrum-server/config.toml, /etc/electrum-server/config.toml

A user and password for the node (`auth = \"USER:PASSWORD\"`) are taken from a file or from
ELECTRUM_SERVER_AUTH only: a command line can be read by every user of the machine.

Signals: SIGUSR1 looks at the node now; SIGHUP reads the wallets again; SIGINT and SIGTERM stop cleanly.
Exit status: 0 stopped as asked, 1 failure, 2 wrong options or configuration.";

/// An Electrum server for your own Bitcoin Core
#[derive(Debug, Default, Clone, PartialEq, Eq, Parser, Deserialize)]
#[command(name = "electrum-server", version, after_help = AFTER_HELP, max_term_width = 100)]
#[command(args_override_self = true)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct Options {
    /// Network: bitcoin (main, mainnet), testnet (testnet3), testnet4, signet, regtest [default:
    /// bitcoin]
    #[arg(long, value_name = "NETWORK")]
    pub(crate) network: Option<NetworkName>,

    /// Folder of the index, the network's name is added to it [default: ./db]
    #[arg(long, value_name = "DIR")]
    pub(crate) db_dir: Option<PathBuf>,

    /// Memory for building the index, in MiB; serving takes less [default: 512]
    #[arg(long, value_name = "MIB")]
    pub(crate) db_mem_mib: Option<u32>,

    /// Data folder of Bitcoin Core, where the cookie is found [default: ~/.bitcoin]
    #[arg(long, value_name = "DIR")]
    pub(crate) daemon_dir: Option<PathBuf>,

    /// Folder of Bitcoin Core's block files (blk*.dat), which are read when they can be [default: blocks
    /// in the data folder of the network]
    #[arg(long, value_name = "DIR")]
    pub(crate) blocks_dir: Option<PathBuf>,

    /// Leave the block files alone: blocks come over the node's HTTP interface
    #[arg(long, num_args = 0..=1, default_missing_value = "true", value_name = "BOOL",
        hide_possible_values = true, value_parser = BoolishValueParser::new())]
    pub(crate) jsonrpc_import: Option<bool>,

    /// RPC and REST address of Bitcoin Core, which needs `rest=1` [default: 127.0.0.1 and the
    /// network's port]
    #[arg(long, value_name = "HOST:PORT")]
    pub(crate) daemon_rpc_addr: Option<String>,

    /// Cookie file of Bitcoin Core [default: .cookie in the data folder of the network]
    #[arg(long, value_name = "FILE")]
    pub(crate) cookie_file: Option<PathBuf>,

    /// User and password for the node, `USER:PASSWORD`; not an argument on purpose.
    #[arg(skip)]
    pub(crate) auth: Option<Secret>,

    /// The same as an argument, for the tools that start servers that way
    #[arg(long, value_name = "USER:PASSWORD", hide = true)]
    pub(crate) cookie: Option<Secret>,

    /// Watch this wallet only, instead of the whole chain; may be given several times. KEYS is an output
    /// descriptor, an extended public key (xpub, ypub, zpub, ...), `M KEY KEY ...` for several signers, an
    /// old Electrum master public key, an address or a script. In a file: `[[wallet]]` with name, keys,
    /// birth, gap_limit, listen
    #[arg(long, value_name = "[NAME=]KEYS")]
    pub(crate) wallet: Vec<WalletEntry>,

    /// Take the wallets from the config.ini of Electrum Personal Server
    #[arg(long, value_name = "FILE")]
    pub(crate) eps_config: Option<PathBuf>,

    /// Take the wallets from the environment file of bwt
    #[arg(long, value_name = "FILE")]
    pub(crate) bwt_env: Option<PathBuf>,

    /// When the wallets were born that do not say it: a height or a date (YYYY-MM-DD) [default: 0]
    #[arg(long, value_name = "HEIGHT|DATE")]
    pub(crate) wallet_birth: Option<String>,

    /// How many unused addresses are watched of wallets that do not say it [default: 25]
    #[arg(long, value_name = "COUNT")]
    pub(crate) gap_limit: Option<u32>,

    /// What a client gets that asks for an address of no wallet: empty, reject, watch [default: empty]
    #[arg(long, value_name = "POLICY", hide_possible_values = true)]
    pub(crate) unwatched: Option<UnwatchedPolicy>,

    /// Let the node fetch blocks from its peers that it has pruned, when they may have to do with a wallet:
    /// peers learn which
    #[arg(long, num_args = 0..=1, default_missing_value = "true", value_name = "BOOL",
        hide_possible_values = true, value_parser = BoolishValueParser::new())]
    pub(crate) fetch_pruned_blocks: Option<bool>,

    /// Command that broadcasts a transaction instead of the node, run by `sh -c` with %s replaced by the
    /// transaction in hexadecimal
    #[arg(long, value_name = "COMMAND")]
    pub(crate) broadcast_command: Option<String>,

    /// Address to serve Electrum clients on, may be given several times [default: 127.0.0.1 and port
    /// 50001, testnet 60001, testnet4 40001, signet 60601, regtest 60401]
    #[arg(long, value_name = "HOST:PORT")]
    #[serde(deserialize_with = "one_or_many")]
    pub(crate) electrum_rpc_addr: Vec<String>,

    /// Index and follow the chain, but serve nobody
    #[arg(long, num_args = 0..=1, default_missing_value = "true", value_name = "BOOL",
        hide_possible_values = true, value_parser = BoolishValueParser::new())]
    pub(crate) disable_electrum_rpc: Option<bool>,

    /// Index up to the node's tip, then exit with status 0
    #[arg(long, num_args = 0..=1, default_missing_value = "true", value_name = "BOOL",
        hide_possible_values = true, value_parser = BoolishValueParser::new())]
    pub(crate) sync_once: Option<bool>,

    /// Leave the mempool alone: clients see confirmed transactions only
    #[arg(long, num_args = 0..=1, default_missing_value = "true", value_name = "BOOL",
        hide_possible_values = true, value_parser = BoolishValueParser::new())]
    pub(crate) ignore_mempool: Option<bool>,

    /// Longest history that is answered, in transactions; a longer one is an error (0: any that fits
    /// into a reply) [default: 0]
    #[arg(long, value_name = "COUNT")]
    pub(crate) index_lookup_limit: Option<usize>,

    /// Largest result that is sent, in bytes; wallets may not read longer ones [default: 8100000]
    #[arg(long, value_name = "BYTES")]
    pub(crate) max_response_bytes: Option<usize>,

    /// Most clients at a time; each takes an open file [default: 1000]
    #[arg(long, value_name = "COUNT")]
    pub(crate) max_connections: Option<usize>,

    /// Seconds between two looks at the node when it announces nothing by itself [default: 10]
    #[arg(long, value_name = "SECONDS")]
    pub(crate) wait_duration_secs: Option<u64>,

    /// Seconds until a request to the node is given up [default: 120]
    #[arg(long, value_name = "SECONDS")]
    pub(crate) jsonrpc_timeout_secs: Option<u64>,

    /// Text that wallets show in their console when they connect
    #[arg(long, value_name = "TEXT")]
    pub(crate) server_banner: Option<String>,

    /// Address for donations that wallets may show [default: none]
    #[arg(long, value_name = "ADDRESS")]
    pub(crate) donation_address: Option<String>,

    /// What to log, for example `info` or `info,electrum_server_core::net=debug`; wins over RUST_LOG
    /// [default: info]
    #[arg(long, value_name = "FILTERS")]
    pub(crate) log_filters: Option<String>,

    /// Whether log lines begin with the time [default: true]
    #[arg(long, num_args = 0..=1, default_missing_value = "true", value_name = "BOOL",
        hide_possible_values = true, value_parser = BoolishValueParser::new())]
    pub(crate) log_timestamps: Option<bool>,

    /// Accepted so that electrs' configurations work, but nothing listens there: this program has no
    /// metrics endpoint yet
    #[arg(long, value_name = "HOST:PORT")]
    pub(crate) monitoring_addr: Option<String>,

    /// Serve a chain of its own on regtest, for trying and testing: needs no node
    #[arg(long, num_args = 0..=1, default_missing_value = "true", value_name = "BOOL",
        hide_possible_values = true, value_parser = BoolishValueParser::new(), help_heading = "Development")]
    pub(crate) dev: Option<bool>,

    /// With --dev: file that keeps the chain between runs [default: none, every run begins anew]
    #[arg(long, value_name = "FILE", help_heading = "Development")]
    pub(crate) dev_state: Option<PathBuf>,

    /// With --dev: address of the control interface, JSON-RPC with Bitcoin Core's names; this machine
    /// only [default: 127.0.0.1:18443]
    #[arg(long, value_name = "HOST:PORT", help_heading = "Development")]
    pub(crate) dev_rpc_addr: Option<String>,

    /// With --dev: mine a block every so often, for example 10s or 500ms [default: only when asked]
    #[arg(long, value_name = "TIME", help_heading = "Development")]
    pub(crate) block_time: Option<Interval>,

    /// Configuration file, read besides those above and winning over them
    #[arg(long, value_name = "FILE")]
    #[serde(skip)]
    pub(crate) conf: Option<PathBuf>,

    /// Folder of configuration files, `*.toml` in the order of their names, the last one winning
    #[arg(long, value_name = "DIR")]
    #[serde(skip)]
    pub(crate) conf_dir: Option<PathBuf>,

    /// Read no configuration file but those named on the command line
    #[arg(long, num_args = 0..=1, default_missing_value = "true", value_name = "BOOL",
        hide_possible_values = true, value_parser = BoolishValueParser::new())]
    #[serde(skip)]
    pub(crate) skip_default_conf_files: Option<bool>,

    // From here on: options of electrs and its relatives that mean little or nothing here. They are
    // accepted because configurations and test suites carry them.
    /// Log more: -vvv for debug, -vvvv for trace; --log-filters is finer
    #[arg(short, long, action = ArgAction::Count, hide = true)]
    pub(crate) verbose: u8,

    /// Log lines carry the time anyway
    #[arg(long, num_args = 0..=1, default_missing_value = "true", hide = true,
        hide_possible_values = true, value_parser = BoolishValueParser::new())]
    pub(crate) timestamp: Option<bool>,

    /// An index in an unknown format is never deleted without being asked
    #[arg(long, alias = "no-auto-reindex", num_args = 0..=1, default_missing_value = "true",
        hide = true, hide_possible_values = true, value_parser = BoolishValueParser::new())]
    pub(crate) auto_reindex: Option<bool>,

    /// Indexing starts with what the node has
    #[arg(long, num_args = 0..=1, default_missing_value = "true", hide = true,
        hide_possible_values = true, value_parser = BoolishValueParser::new())]
    pub(crate) skip_block_download_wait: Option<bool>,

    /// The node's P2P port is not used
    #[arg(long, value_name = "HOST:PORT", hide = true)]
    pub(crate) daemon_p2p_addr: Option<String>,

    /// There is no HTTP interface
    #[arg(long, value_name = "HOST:PORT", hide = true)]
    pub(crate) http_addr: Option<String>,

    /// The store writes no log of its own
    #[arg(long, value_name = "DIR", hide = true)]
    pub(crate) db_log_dir: Option<PathBuf>,

    /// The store chooses its threads itself
    #[arg(long, value_name = "COUNT", hide = true)]
    pub(crate) db_parallelism: Option<u32>,

    /// Batches are chosen by size, not by count
    #[arg(long, value_name = "COUNT", hide = true)]
    pub(crate) index_batch_size: Option<u32>,

    /// The index is kept consistent by its commits
    #[arg(long, value_name = "COUNT", hide = true)]
    pub(crate) reindex_last_blocks: Option<u32>,

    /// Only the P2P protocol needs the magic bytes of a signet
    #[arg(long, alias = "magic", value_name = "HEX", hide = true)]
    #[serde(alias = "magic")]
    pub(crate) signet_magic: Option<String>,
}

impl Options {
    /// Fills what is absent here with what `lower` says.
    pub(crate) fn or(self, lower: Self) -> Self {
        Self {
            network: self.network.or(lower.network),
            db_dir: self.db_dir.or(lower.db_dir),
            db_mem_mib: self.db_mem_mib.or(lower.db_mem_mib),
            daemon_dir: self.daemon_dir.or(lower.daemon_dir),
            blocks_dir: self.blocks_dir.or(lower.blocks_dir),
            daemon_rpc_addr: self.daemon_rpc_addr.or(lower.daemon_rpc_addr),
            cookie_file: self.cookie_file.or(lower.cookie_file),
            wallet: match self.wallet.is_empty() {
                true => lower.wallet,
                false => self.wallet,
            },
            eps_config: self.eps_config.or(lower.eps_config),
            bwt_env: self.bwt_env.or(lower.bwt_env),
            wallet_birth: self.wallet_birth.or(lower.wallet_birth),
            gap_limit: self.gap_limit.or(lower.gap_limit),
            unwatched: self.unwatched.or(lower.unwatched),
            fetch_pruned_blocks: self.fetch_pruned_blocks.or(lower.fetch_pruned_blocks),
            broadcast_command: self.broadcast_command.or(lower.broadcast_command),
            auth: self.auth.or(lower.auth),
            cookie: self.cookie.or(lower.cookie),
            electrum_rpc_addr: match self.electrum_rpc_addr.is_empty() {
                true => lower.electrum_rpc_addr,
                false => self.electrum_rpc_addr,
            },
            disable_electrum_rpc: self.disable_electrum_rpc.or(lower.disable_electrum_rpc),
            sync_once: self.sync_once.or(lower.sync_once),
            ignore_mempool: self.ignore_mempool.or(lower.ignore_mempool),
            index_lookup_limit: self.index_lookup_limit.or(lower.index_lookup_limit),
            max_response_bytes: self.max_response_bytes.or(lower.max_response_bytes),
            max_connections: self.max_connections.or(lower.max_connections),
            wait_duration_secs: self.wait_duration_secs.or(lower.wait_duration_secs),
            jsonrpc_timeout_secs: self.jsonrpc_timeout_secs.or(lower.jsonrpc_timeout_secs),
            server_banner: self.server_banner.or(lower.server_banner),
            donation_address: self.donation_address.or(lower.donation_address),
            log_filters: self.log_filters.or(lower.log_filters),
            log_timestamps: self.log_timestamps.or(lower.log_timestamps),
            monitoring_addr: self.monitoring_addr.or(lower.monitoring_addr),
            dev: self.dev.or(lower.dev),
            dev_state: self.dev_state.or(lower.dev_state),
            dev_rpc_addr: self.dev_rpc_addr.or(lower.dev_rpc_addr),
            block_time: self.block_time.or(lower.block_time),
            conf: self.conf.or(lower.conf),
            conf_dir: self.conf_dir.or(lower.conf_dir),
            skip_default_conf_files: self
                .skip_default_conf_files
                .or(lower.skip_default_conf_files),
            verbose: self.verbose.max(lower.verbose),
            timestamp: self.timestamp.or(lower.timestamp),
            auto_reindex: self.auto_reindex.or(lower.auto_reindex),
            skip_block_download_wait: self
                .skip_block_download_wait
                .or(lower.skip_block_download_wait),
            jsonrpc_import: self.jsonrpc_import.or(lower.jsonrpc_import),
            daemon_p2p_addr: self.daemon_p2p_addr.or(lower.daemon_p2p_addr),
            http_addr: self.http_addr.or(lower.http_addr),
            db_log_dir: self.db_log_dir.or(lower.db_log_dir),
            db_parallelism: self.db_parallelism.or(lower.db_parallelism),
            index_batch_size: self.index_batch_size.or(lower.index_batch_size),
            reindex_last_blocks: self.reindex_last_blocks.or(lower.reindex_last_blocks),
            signet_magic: self.signet_magic.or(lower.signet_magic),
        }
    }

    /// Names of the options that were given although they change nothing here.
    pub(crate) fn without_effect(&self) -> Vec<&'static str> {
        let given = [
            ("timestamp", self.timestamp.is_some()),
            ("auto-reindex", self.auto_reindex.is_some()),
            (
                "skip-block-download-wait",
                self.skip_block_download_wait.is_some(),
            ),
            ("daemon-p2p-addr", self.daemon_p2p_addr.is_some()),
            ("http-addr", self.http_addr.is_some()),
            ("db-log-dir", self.db_log_dir.is_some()),
            ("db-parallelism", self.db_parallelism.is_some()),
            ("index-batch-size", self.index_batch_size.is_some()),
            ("reindex-last-blocks", self.reindex_last_blocks.is_some()),
            ("signet-magic", self.signet_magic.is_some()),
        ];
        given
            .iter()
            .filter(|(_, given)| *given)
            .map(|(name, _)| *name)
            .collect()
    }
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    use super::*;

    #[test]
    fn definitions_are_consistent() {
        Options::command().debug_assert();
    }

    #[test]
    fn a_test_suite_that_starts_electrs_can_start_us() {
        let legacy = "electrum-server --db-dir d --network regtest --cookie u:p \
            --daemon-rpc-addr 127.0.0.1:1 --jsonrpc-import --electrum-rpc-addr 0.0.0.0:2 \
            --monitoring-addr 0.0.0.0:3 --http-addr 0.0.0.0:4 -vvv";
        let options = Options::try_parse_from(legacy.split_whitespace()).unwrap();
        assert_eq!(options.electrum_rpc_addr, ["0.0.0.0:2"]);
        assert_eq!(options.verbose, 3);
        assert_eq!(options.without_effect(), ["http-addr"]);
    }

    #[test]
    fn switches_take_an_optional_value() {
        let parse = |line: &str| {
            Options::try_parse_from(line.split(' '))
                .unwrap()
                .log_timestamps
        };
        assert_eq!(parse("x --log-timestamps --sync-once"), Some(true));
        assert_eq!(parse("x --log-timestamps false"), Some(false));
        assert_eq!(parse("x --sync-once"), None);
    }

    #[test]
    fn what_is_absent_is_filled_from_below() {
        let parse = |line: &str| Options::try_parse_from(line.split(' ')).unwrap();
        let upper = parse("x --db-dir upper --electrum-rpc-addr a:1 --electrum-rpc-addr b:2");
        let lower = parse("x --db-dir lower --server-banner lower --electrum-rpc-addr c:3");
        let merged = upper.or(lower);
        assert_eq!(merged.db_dir, Some(PathBuf::from("upper")));
        assert_eq!(merged.server_banner.as_deref(), Some("lower"));
        assert_eq!(merged.electrum_rpc_addr, ["a:1", "b:2"]);
    }
}
