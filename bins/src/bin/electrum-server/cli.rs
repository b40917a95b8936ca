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
use crate::wallets::{UnwatchedPolicy, WalletEntry, birth_text};

const AFTER_HELP: &str = "\
Every option can also be set in a configuration file (TOML, `db_dir = \"...\"` for --db-dir) or in the
environment (ELECTRUM_SERVER_DB_DIR, or ELECTRS_DB_DIR when that is not set). The command line wins
over the environment, the environment over files. Files that are read when they exist, the first one
winning: ./electrum-server.toml, ~/.electrum-server/config.toml, /etc/electrum-server/config.toml.
The first may set only what is harmless in the hands of others: no commands, files, addresses or wallets.

A user and password for the node (`auth = \"USER:PASSWORD\"`) are taken from a file or from
ELECTRUM_SERVER_AUTH only: a command line can be read by every user of the machine.

Signals: SIGUSR1 looks at the node now; SIGHUP reads the wallets, the certificate and the banner again;
SIGINT and SIGTERM stop cleanly.
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

    /// Take over the config.ini of Electrum Personal Server: wallets, where to listen, where the node is
    #[arg(long, value_name = "FILE")]
    pub(crate) eps_config: Option<PathBuf>,

    /// Take over the environment file of bwt: wallets, where to listen, where the node is
    #[arg(long, value_name = "FILE")]
    pub(crate) bwt_env: Option<PathBuf>,

    /// When the wallets were born that do not say it: a height or a date (YYYY-MM-DD) [default: 0]
    #[arg(long, value_name = "HEIGHT|DATE")]
    #[serde(deserialize_with = "birth_text")]
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

    /// Command that broadcasts transactions instead of the node, run by `sh -c`; it reads them from standard
    /// input, one per line in hexadecimal, parents first. With %s, it gets single transactions only, in its place
    #[arg(long, value_name = "COMMAND")]
    pub(crate) broadcast_command: Option<String>,

    /// Address to serve Electrum clients on, may be given several times [default: 127.0.0.1 and port
    /// 50001, testnet 60001, testnet4 40001, signet 60601, regtest 60401]
    #[arg(long, value_name = "HOST:PORT")]
    #[serde(deserialize_with = "one_or_many")]
    pub(crate) electrum_rpc_addr: Vec<String>,

    /// Address for clients that speak TLS; repeatable [default: none]
    #[arg(long, value_name = "HOST:PORT")]
    #[serde(deserialize_with = "one_or_many")]
    pub(crate) electrum_tls_addr: Vec<String>,

    /// Address for clients that speak WebSocket; repeatable [default: none]
    #[arg(long, value_name = "HOST:PORT")]
    #[serde(deserialize_with = "one_or_many")]
    pub(crate) ws_addr: Vec<String>,

    /// Address for clients that speak WebSocket within TLS; repeatable [default: none]
    #[arg(long, value_name = "HOST:PORT")]
    #[serde(deserialize_with = "one_or_many")]
    pub(crate) wss_addr: Vec<String>,

    /// Unix socket for clients on this machine; repeatable [default: none]
    #[arg(long, value_name = "FILE")]
    #[serde(deserialize_with = "one_or_many")]
    pub(crate) unix_socket: Vec<String>,

    /// Certificate for TLS (PEM), with --tls-key; read again on SIGHUP and when it changes [default: one
    /// that is made once and kept in the folder `tls` beside the index]
    #[arg(long, value_name = "FILE")]
    pub(crate) tls_cert: Option<PathBuf>,

    /// Private key of --tls-cert (PEM)
    #[arg(long, value_name = "FILE")]
    pub(crate) tls_key: Option<PathBuf>,

    /// Certificates (PEM) of the clients that may connect by TLS, or of the authorities that sign them; others
    /// are refused. Read again like --tls-cert [default: none, every client may connect]
    #[arg(long, value_name = "FILE")]
    pub(crate) tls_client_ca: Option<PathBuf>,

    /// Origin of web pages that may connect by WebSocket, such as `https://wallet.example.org`, or `*` for
    /// all pages of all sites; repeatable [default: none, only programs that are no browsers]
    #[arg(long, value_name = "ORIGIN")]
    #[serde(deserialize_with = "one_or_many")]
    pub(crate) ws_origin: Vec<String>,

    /// Proxies that begin every connection with a header of the PROXY protocol (1 or 2): an address, a
    /// subnet, or `unix` for the unix sockets; repeatable [default: none]
    #[arg(long, value_name = "SUBNET")]
    #[serde(deserialize_with = "one_or_many")]
    pub(crate) proxy_protocol_from: Vec<String>,

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

    /// Most clients of a subnet at a time [default: 50]
    #[arg(long, alias = "max-clients-per-ip", value_name = "COUNT")]
    #[serde(alias = "max_clients_per_ip")]
    pub(crate) max_clients_per_subnet: Option<usize>,

    /// Most subscriptions of a subnet [default: 200000]
    #[arg(long, alias = "max-subs-per-ip", value_name = "COUNT")]
    #[serde(alias = "max_subs_per_ip")]
    pub(crate) max_subs_per_subnet: Option<usize>,

    /// Most subscriptions of all clients together; each takes some 150 bytes [default: 5000000]
    #[arg(long, value_name = "COUNT")]
    pub(crate) max_subs: Option<usize>,

    /// Most requests in a batch [default: 1000]
    #[arg(long, value_name = "COUNT")]
    pub(crate) max_batch: Option<usize>,

    /// Longest line that is read, in bytes [default: 2000000]
    #[arg(long, value_name = "BYTES")]
    pub(crate) max_recv: Option<usize>,

    /// Most memory for lines and answers that wait for clients, in MiB [default: 256]
    #[arg(long, value_name = "MIB")]
    pub(crate) max_buffers_mib: Option<u32>,

    /// What a subnet may owe before its requests are delayed, in ElectrumX's unit [default: 1000]
    #[arg(long, value_name = "COST")]
    pub(crate) cost_soft_limit: Option<u32>,

    /// What a subnet may owe before its clients are sent away (0: nothing is charged) [default: 10000]
    #[arg(long, value_name = "COST")]
    pub(crate) cost_hard_limit: Option<u32>,

    /// Whether connections from this machine (127.0.0.0/8, ::1) pay nothing and count in no subnet. Proxies and
    /// onion services come from there as well [default: true, unless the server is announced by
    /// --report-services or --peering]
    #[arg(long, num_args = 0..=1, default_missing_value = "true", value_name = "BOOL",
        hide_possible_values = true, value_parser = BoolishValueParser::new())]
    pub(crate) exempt_loopback: Option<bool>,

    /// Other addresses and subnets that pay nothing and count in no subnet; repeatable [default: none]
    #[arg(
        long,
        alias = "subnets-to-exclude-from-per-ip-limits",
        value_name = "SUBNET"
    )]
    #[serde(
        alias = "subnets_to_exclude_from_per_ip_limits",
        deserialize_with = "one_or_many"
    )]
    pub(crate) exempt_subnets: Vec<String>,

    /// Seconds until a silent client is closed [default: 600]
    #[arg(long, value_name = "SECONDS")]
    pub(crate) session_timeout: Option<u64>,

    /// Seconds until a client must be done with its handshakes [default: 10]
    #[arg(long, value_name = "SECONDS")]
    pub(crate) handshake_timeout: Option<u64>,

    /// Seconds between two looks at the node when it announces nothing by itself [default: 10]
    #[arg(long, value_name = "SECONDS")]
    pub(crate) wait_duration_secs: Option<u64>,

    /// Seconds until a request to the node is given up [default: 120]
    #[arg(long, value_name = "SECONDS")]
    pub(crate) jsonrpc_timeout_secs: Option<u64>,

    /// Text that wallets show in their console when they connect; $SERVER_VERSION, $SERVER_SUBVERSION,
    /// $DAEMON_VERSION, $DAEMON_SUBVERSION and $DONATION_ADDRESS are replaced
    #[arg(long, value_name = "TEXT")]
    pub(crate) server_banner: Option<String>,

    /// File with such a text instead; read again on SIGHUP and when it changes
    #[arg(long, alias = "banner", value_name = "FILE")]
    #[serde(alias = "banner")]
    pub(crate) banner_file: Option<PathBuf>,

    /// What clients are told that the server is, such as "electrs/0.10.0": some decide by the name what they ask
    /// [default: electrum-server and its version]
    #[arg(long, value_name = "NAME")]
    pub(crate) server_name: Option<String>,

    /// Address for donations that wallets may show [default: none]
    #[arg(long, alias = "donation", value_name = "ADDRESS")]
    #[serde(alias = "donation")]
    pub(crate) donation_address: Option<String>,

    /// Pad what is sent, so that its length says little about what it is; costs traffic
    #[arg(long, num_args = 0..=1, default_missing_value = "true", value_name = "BOOL",
        hide_possible_values = true, value_parser = BoolishValueParser::new())]
    pub(crate) pad_responses: Option<bool>,

    /// Look for other servers and name them to clients
    #[arg(long, alias = "peer-discovery", num_args = 0..=1, default_missing_value = "true", value_name = "BOOL",
        hide_possible_values = true, value_parser = BoolishValueParser::new())]
    #[serde(alias = "peer_discovery")]
    pub(crate) peering: Option<bool>,

    /// Name this server to the others, as --report-services says [default: true]
    #[arg(long, alias = "peer-announce", num_args = 0..=1, default_missing_value = "true", value_name = "BOOL",
        hide_possible_values = true, value_parser = BoolishValueParser::new())]
    #[serde(alias = "peer_announce")]
    pub(crate) announce: Option<bool>,

    /// Under which name this server can be reached: `ssl://example.org:50002`, or tcp, ws, wss;
    /// repeatable [default: none]
    #[arg(long, value_name = "URL")]
    #[serde(deserialize_with = "one_or_many")]
    pub(crate) report_services: Vec<String>,

    /// A server to begin with when looking for others: `ssl://example.org:50002`; repeatable
    #[arg(long, value_name = "URL")]
    #[serde(deserialize_with = "one_or_many")]
    pub(crate) peer: Vec<String>,

    /// SOCKS5 proxy that leads to onion services [default: none]
    #[arg(long, value_name = "IP:PORT")]
    pub(crate) tor_proxy: Option<String>,

    /// What to log, for example `info` or `info,electrum_server_core::net=debug`; wins over RUST_LOG
    /// [default: info]
    #[arg(long, value_name = "FILTERS")]
    pub(crate) log_filters: Option<String>,

    /// Whether log lines begin with the time [default: true]
    #[arg(long, num_args = 0..=1, default_missing_value = "true", value_name = "BOOL",
        hide_possible_values = true, value_parser = BoolishValueParser::new())]
    pub(crate) log_timestamps: Option<bool>,

    /// Address of the metrics for Prometheus (/metrics), and of /healthz and /readyz [default: none]
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
}
