//! How clients are served: where, through what, and within which limits.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context, bail};
use electrum_protocol::method::server::HostPorts;
use electrum_server_core::net::{AllowedOrigins, PeerOptions, Trusted};
use electrum_server_core::session::Limits;
use electrum_server_core::subnet::Subnet;

use crate::cli::Options;
use crate::config::{check_address, expand};

/// Everything about serving clients.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Serving {
    /// Where clients are awaited; empty when nobody is served.
    pub(crate) places: Vec<Place>,
    /// The certificate for those places that speak TLS.
    pub(crate) tls: Option<TlsFiles>,
    pub(crate) proxies: Trusted,
    /// Web pages that may connect by WebSocket.
    pub(crate) origins: AllowedOrigins,
    pub(crate) limits: Limits,
    pub(crate) banner: Banner,
    pub(crate) donation_address: String,
    /// What clients are told instead of our name.
    pub(crate) server_name: Option<String>,
    /// Whether what is sent is padded.
    pub(crate) padding: bool,
    /// Under which names this server can be reached.
    pub(crate) hosts: BTreeMap<String, HostPorts>,
    /// How other servers are looked for, if they are.
    pub(crate) peering: Option<PeerOptions>,
}

/// Somewhere to listen.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Place {
    /// `HOST:PORT`, and what is spoken there.
    Net {
        address: String,
        tls: bool,
        websocket: bool,
    },
    /// The file of a unix socket.
    Unix(PathBuf),
}

impl Place {
    /// Whether only this machine can connect.
    fn is_local(&self) -> bool {
        match self {
            Self::Unix(_) => true,
            Self::Net { address, .. } => {
                let host = address.rsplit_once(':').map_or("", |(host, _)| host);
                let host = host.trim_start_matches('[').trim_end_matches(']');
                host.eq_ignore_ascii_case("localhost")
                    || host.parse().is_ok_and(|ip: IpAddr| ip.is_loopback())
            }
        }
    }

    /// Lines over TCP.
    pub(crate) fn lines(address: String) -> Self {
        Self::Net {
            address,
            tls: false,
            websocket: false,
        }
    }
}

/// The files of a certificate and its key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct TlsFiles {
    pub(crate) certificate: PathBuf,
    pub(crate) key: PathBuf,
    /// The certificates of the clients that may connect, or of who signs them; without it all may.
    pub(crate) clients: Option<PathBuf>,
    /// Whether they are made when they are missing.
    pub(crate) ours: bool,
}

/// Where the text comes from that wallets show.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Banner {
    Text(String),
    File(PathBuf),
}

/// The folder beside the index for a certificate of our own.
const TLS_DIR: &str = "tls";
/// What wallets show when nothing else is said.
const BANNER: &str = "Connected to $SERVER_SUBVERSION";

impl Serving {
    /// Fills in defaults and checks what belongs together. `db_dir` is the folder of all networks' indexes,
    /// `default_address` where lines are spoken unless something else is said.
    pub(crate) fn new(
        options: &Options,
        db_dir: &Path,
        default_address: String,
        home: Option<&Path>,
    ) -> anyhow::Result<Self> {
        let places = match options.disable_electrum_rpc {
            Some(true) => Vec::new(),
            _ => places(options, default_address, home)?,
        };
        let speaks_tls = |place: &Place| matches!(place, Place::Net { tls: true, .. });
        let tls = match places.iter().any(speaks_tls) {
            true => Some(tls_files(options, db_dir, home)?),
            false if options.tls_client_ca.is_some() => bail!(
                "--tls-client-ca is for clients that speak TLS: add --electrum-tls-addr or --wss-addr"
            ),
            false => None,
        };
        let banner = match (&options.server_banner, &options.banner_file) {
            (Some(_), Some(_)) => {
                bail!("both --server-banner and --banner-file are set; remove one")
            }
            (_, Some(file)) => Banner::File(expand(file, home)),
            (Some(text), None) => Banner::Text(text.clone()),
            (None, None) => Banner::Text(BANNER.to_owned()),
        };
        Ok(Self {
            places,
            tls,
            proxies: proxies(&options.proxy_protocol_from)?,
            origins: origins(&options.ws_origin)?,
            limits: limits(options)?,
            banner,
            donation_address: options.donation_address.clone().unwrap_or_default(),
            server_name: options.server_name.clone().map(server_name).transpose()?,
            padding: options.pad_responses.unwrap_or(false),
            hosts: services("report-services", &options.report_services)?,
            peering: peering(options)?,
        })
    }
}

impl Serving {
    /// Returns what the operator should know before anybody is served: limits that cannot work, and doors that are open
    /// beside a closed one.
    pub(crate) fn warnings(&self) -> Vec<String> {
        let mut warnings = Vec::new();
        let tells_apart = self.proxies != Trusted::default();
        let onion = self.hosts.keys().find(|host| host.ends_with(".onion"));
        let all_local = self.places.iter().all(Place::is_local);
        let hidden = match (onion, self.hosts.keys().next()) {
            (Some(onion), _) => Some(onion),
            (None, Some(host)) if all_local => Some(host),
            _ => None,
        };
        if let Some(host) = hidden.filter(|_| !tells_apart) {
            let is_exempt = self
                .limits
                .exempt
                .iter()
                .any(|subnet| Subnet::loopback().contains(subnet));
            let consequence = match is_exempt {
                true => "they are exempt from all limits (--exempt-loopback)",
                false => "they count as one client, and one of them can use up the limits of all",
            };
            warnings.push(format!(
                "the server is announced as {host}, but clients that come through Tor or a proxy all seem to come from \
                 this machine: {consequence}. Let the proxy tell where they come from: see --proxy-protocol-from, and for Tor \
                 `HiddenServiceExportCircuitID haproxy`"
            ));
        }
        if self.tls.as_ref().is_some_and(|tls| tls.clients.is_some()) {
            for place in self.places.iter().filter(|place| !place.is_local()) {
                if let Place::Net {
                    address,
                    tls: false,
                    ..
                } = place
                {
                    warnings.push(format!(
                        "clients need a certificate (--tls-client-ca), but not on {address}, where no TLS is spoken"
                    ));
                }
            }
        }
        warnings
    }
}

fn places(
    options: &Options,
    default_address: String,
    home: Option<&Path>,
) -> anyhow::Result<Vec<Place>> {
    let kinds = [
        (
            "electrum-rpc-addr",
            &options.electrum_rpc_addr,
            false,
            false,
        ),
        ("electrum-tls-addr", &options.electrum_tls_addr, true, false),
        ("ws-addr", &options.ws_addr, false, true),
        ("wss-addr", &options.wss_addr, true, true),
    ];
    let mut places = Vec::new();
    for (name, addresses, tls, websocket) in kinds {
        for address in addresses {
            check_address(name, address)?;
            places.push(Place::Net {
                address: address.clone(),
                tls,
                websocket,
            });
        }
    }
    for file in &options.unix_socket {
        places.push(Place::Unix(expand(Path::new(file), home)));
    }
    if places.is_empty() {
        places.push(Place::lines(default_address));
    }
    Ok(places)
}

fn tls_files(options: &Options, db_dir: &Path, home: Option<&Path>) -> anyhow::Result<TlsFiles> {
    let clients = options.tls_client_ca.as_ref();
    let clients = clients.map(|file| expand(file, home));
    match (&options.tls_cert, &options.tls_key) {
        (Some(certificate), Some(key)) => Ok(TlsFiles {
            certificate: expand(certificate, home),
            key: expand(key, home),
            clients,
            ours: false,
        }),
        (None, None) => Ok(TlsFiles {
            certificate: db_dir.join(TLS_DIR).join("cert.pem"),
            key: db_dir.join(TLS_DIR).join("key.pem"),
            clients,
            ours: true,
        }),
        (Some(_), None) => bail!("--tls-cert needs --tls-key"),
        (None, Some(_)) => bail!("--tls-key needs --tls-cert"),
    }
}

fn peering(options: &Options) -> anyhow::Result<Option<PeerOptions>> {
    let tor_proxy = match options.tor_proxy.as_deref() {
        Some(proxy) => Some(proxy.parse().with_context(|| {
            format!("--tor-proxy `{proxy}`: expected IP:PORT, for example 127.0.0.1:9050")
        })?),
        None => None,
    };
    let first = services("peer", &options.peer)?.into_iter().collect();
    let wanted = options.peering.unwrap_or(false);
    Ok(wanted.then(|| PeerOptions {
        announce: options.announce.unwrap_or(true),
        tor_proxy,
        private_too: false,
        first,
    }))
}

/// Reads `ssl://example.org:50002` and its like.
fn services(option: &str, urls: &[String]) -> anyhow::Result<BTreeMap<String, HostPorts>> {
    let mut hosts = BTreeMap::<String, HostPorts>::new();
    for url in urls {
        let wrong = || format!("--{option} `{url}`: expected for example ssl://example.org:50002");
        let (kind, address) = url.split_once("://").with_context(wrong)?;
        let (host, port) = address.rsplit_once(':').with_context(wrong)?;
        let port: u16 = port.parse().ok().with_context(wrong)?;
        let host = host.trim_start_matches('[').trim_end_matches(']');
        if host.is_empty() {
            bail!(wrong());
        }
        let ports = hosts.entry(host.to_ascii_lowercase()).or_default();
        match kind {
            "tcp" => ports.tcp_port = Some(port),
            "ssl" | "tls" => ports.ssl_port = Some(port),
            "ws" => ports.ws_port = Some(port),
            "wss" => ports.wss_port = Some(port),
            _ => bail!(wrong()),
        }
    }
    Ok(hosts)
}

/// Checks a name that the server is to have.
fn server_name(name: String) -> anyhow::Result<String> {
    let is_printable = name.chars().all(|char| !char.is_control());
    if !is_printable || !(1..=80).contains(&name.chars().count()) {
        bail!("--server-name {name:?}: expected 1 to 80 printable characters");
    }
    Ok(name)
}

fn origins(texts: &[String]) -> anyhow::Result<AllowedOrigins> {
    let mut origins = AllowedOrigins::default();
    for text in texts {
        origins.allow(text).context("--ws-origin")?;
    }
    Ok(origins)
}

fn proxies(names: &[String]) -> anyhow::Result<Trusted> {
    let mut trusted = Trusted::default();
    for name in names {
        match name.as_str() {
            "unix" => trusted.unix = true,
            subnet => trusted.subnets.push(
                subnet
                    .parse()
                    .with_context(|| format!("--proxy-protocol-from {subnet}"))?,
            ),
        }
    }
    Ok(trusted)
}

/// Whether this machine's own connections have no limits. Once the server is announced, onion services and proxies are
/// expected, and their clients come from this machine too.
fn exempts_loopback(options: &Options) -> bool {
    let announces = options.peering == Some(true) && options.announce != Some(false);
    let is_public = announces || !options.report_services.is_empty();
    options.exempt_loopback.unwrap_or(!is_public)
}

fn limits(options: &Options) -> anyhow::Result<Limits> {
    let mut limits = match options.max_response_bytes {
        Some(bytes) => Limits::default().with_max_response(bytes),
        None => Limits::default(),
    };
    if let Some(limit) = options.index_lookup_limit.filter(|limit| *limit > 0) {
        let fits = limits.max_history.unwrap_or(limit);
        limits.max_history = Some(fits.min(limit));
    }
    let set = |limit: &mut usize, given: Option<usize>| *limit = given.unwrap_or(*limit);
    set(&mut limits.max_connections, options.max_connections);
    set(
        &mut limits.max_subnet_connections,
        options.max_clients_per_subnet,
    );
    set(
        &mut limits.max_subnet_subscriptions,
        options.max_subs_per_subnet,
    );
    set(&mut limits.max_total_subscriptions, options.max_subs);
    set(&mut limits.max_batch, options.max_batch);
    set(&mut limits.max_line, options.max_recv);
    if let Some(mib) = options.max_buffers_mib {
        limits.max_buffered = usize::try_from(u64::from(mib) << 20).unwrap_or(usize::MAX);
    }
    let costs = [
        (&mut limits.cost_soft, options.cost_soft_limit),
        (&mut limits.cost_hard, options.cost_hard_limit),
    ];
    for (limit, given) in costs {
        *limit = given.map_or(*limit, f64::from);
    }
    if limits.cost_hard > 0.0 && limits.cost_soft > limits.cost_hard {
        bail!("--cost-soft-limit must not be above --cost-hard-limit");
    }
    if !exempts_loopback(options) {
        limits.exempt.clear();
    }
    for subnet in &options.exempt_subnets {
        let parsed: Subnet = subnet
            .parse()
            .with_context(|| format!("--exempt-subnets {subnet}"))?;
        limits.exempt.push(parsed);
    }
    let times = [
        (
            "session-timeout",
            &mut limits.idle_timeout,
            options.session_timeout,
        ),
        (
            "handshake-timeout",
            &mut limits.handshake_timeout,
            options.handshake_timeout,
        ),
    ];
    for (name, time, given) in times {
        match given {
            Some(0) => bail!("--{name} must be at least 1"),
            Some(seconds) => *time = Duration::from_secs(seconds),
            None => {}
        }
    }
    Ok(limits)
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::*;

    fn serving(line: &str) -> anyhow::Result<Serving> {
        let options = Options::try_parse_from(line.split_whitespace()).unwrap();
        let home = Some(Path::new("/home/me"));
        Serving::new(&options, Path::new("/db"), "127.0.0.1:50001".into(), home)
    }

    fn net(address: &str, tls: bool, websocket: bool) -> Place {
        Place::Net {
            address: address.into(),
            tls,
            websocket,
        }
    }

    #[test]
    fn lines_on_the_default_port_unless_something_else_is_said() {
        let usual = serving("x").unwrap();
        assert_eq!(usual.places, [net("127.0.0.1:50001", false, false)]);
        assert_eq!(usual.tls, None);
        assert_eq!(usual.limits, Limits::default());
        assert_eq!(usual.banner, Banner::Text(BANNER.into()));
        assert!(
            serving("x --disable-electrum-rpc")
                .unwrap()
                .places
                .is_empty()
        );
    }

    #[test]
    fn every_transport_on_any_number_of_addresses() {
        let serving = serving(
            "x --electrum-tls-addr [::]:1 --electrum-tls-addr a:2 --ws-addr b:3 --wss-addr c:4 \
             --unix-socket ~/s --proxy-protocol-from 10.0.0.0/8 --proxy-protocol-from unix",
        )
        .unwrap();
        let expected = [
            net("[::]:1", true, false),
            net("a:2", true, false),
            net("b:3", false, true),
            net("c:4", true, true),
            Place::Unix("/home/me/s".into()),
        ];
        assert_eq!(serving.places, expected);
        let tls = serving.tls.unwrap();
        assert_eq!(tls.certificate, Path::new("/db/tls/cert.pem"));
        assert!(tls.ours);
        assert!(serving.proxies.unix);
        assert_eq!(serving.proxies.subnets, ["10.0.0.0/8".parse().unwrap()]);
    }

    #[test]
    fn limits_have_the_names_of_other_servers_too() {
        let limits = serving(
            "x --max-clients-per-ip 3 --max-subs-per-ip 4 --max-subs 5 --max-batch 6 --max-recv 7 \
             --subnets-to-exclude-from-per-ip-limits 10.0.0.0/8 --cost-hard-limit 0 --session-timeout 9",
        )
        .unwrap()
        .limits;
        assert_eq!(limits.max_subnet_connections, 3);
        assert_eq!(limits.max_subnet_subscriptions, 4);
        assert_eq!(limits.max_total_subscriptions, 5);
        assert_eq!(limits.max_batch, 6);
        assert_eq!(limits.max_line, 7);
        assert_eq!(limits.cost_hard, 0.0);
        assert_eq!(limits.idle_timeout, Duration::from_secs(9));
        assert_eq!(limits.exempt.len(), Limits::default().exempt.len() + 1);
    }

    #[test]
    fn other_servers_are_looked_for_when_asked() {
        let urls =
            "--report-services ssl://Example.org:50002 --report-services wss://example.org:50004";
        let quiet = serving(&format!("x {urls}")).unwrap();
        assert_eq!(quiet.peering, None);
        let ports = HostPorts {
            ssl_port: Some(50002),
            wss_port: Some(50004),
            ..HostPorts::default()
        };
        assert_eq!(
            quiet.hosts,
            BTreeMap::from([("example.org".to_owned(), ports)])
        );
        let line = "x --peering --announce false --tor-proxy 127.0.0.1:9050 --peer tcp://[2001:db8::1]:50001";
        let peering = serving(line).unwrap().peering.unwrap();
        assert!(!peering.announce);
        assert_eq!(peering.tor_proxy, Some("127.0.0.1:9050".parse().unwrap()));
        assert_eq!(peering.first[0].0, "2001:db8::1");
    }

    #[test]
    fn the_server_may_have_another_name() {
        assert_eq!(serving("x").unwrap().server_name, None);
        let named = serving("x --server-name electrs/0.10.0").unwrap();
        assert_eq!(named.server_name.as_deref(), Some("electrs/0.10.0"));
    }

    #[test]
    fn this_machine_is_exempt_until_the_server_is_announced() {
        let exempt = |line: &str| serving(line).unwrap().limits.exempt;
        let loopback = Subnet::loopback().to_vec();
        let announced = "x --report-services ssl://example.org:50002";
        assert_eq!(exempt("x"), loopback);
        assert_eq!(exempt("x --exempt-loopback false"), []);
        assert_eq!(exempt(announced), []);
        assert_eq!(exempt("x --peering"), []);
        assert_eq!(exempt("x --peering --announce false"), loopback);
        assert_eq!(exempt(&format!("{announced} --exempt-loopback")), loopback);
        let mine = exempt(&format!("{announced} --exempt-subnets 10.0.0.0/8"));
        assert_eq!(mine, ["10.0.0.0/8".parse().unwrap()]);
    }

    #[test]
    fn an_announced_server_whose_clients_look_alike_is_warned_about() {
        let warnings = |line: &str| serving(line).unwrap().warnings().join("\n");
        let onion = "x --report-services tcp://abc.onion:50001";
        assert!(warnings(onion).contains("abc.onion"));
        assert!(warnings(onion).contains("count as one client"));
        let exempt = warnings(&format!("{onion} --exempt-loopback"));
        assert!(exempt.contains("exempt from all limits"), "{exempt}");
        assert_eq!(
            warnings(&format!("{onion} --proxy-protocol-from 127.0.0.1")),
            ""
        );
        let web = "x --report-services ssl://example.org:50002";
        assert!(warnings(web).contains("example.org"));
        assert_eq!(
            warnings(&format!("{web} --electrum-tls-addr 0.0.0.0:50002")),
            ""
        );
        assert_eq!(warnings("x"), "");
    }

    #[test]
    fn a_door_beside_the_closed_one_is_warned_about() {
        let line = "x --electrum-tls-addr 0.0.0.0:2 --tls-client-ca c.pem";
        let one = serving(line).unwrap();
        assert_eq!(
            one.tls.as_ref().unwrap().clients.as_deref(),
            Some(Path::new("c.pem"))
        );
        assert!(one.warnings().is_empty());
        let open = serving(&format!("{line} --electrum-rpc-addr 0.0.0.0:1")).unwrap();
        assert!(open.warnings()[0].contains("0.0.0.0:1"));
        let local = serving(&format!("{line} --electrum-rpc-addr [::1]:1")).unwrap();
        assert!(local.warnings().is_empty());
    }

    #[test]
    fn errors_say_what_belongs_together() {
        let check = |line: &str, expected: &str| {
            let error = format!("{:#}", serving(line).unwrap_err());
            assert!(error.contains(expected), "{error}");
        };
        check("x --electrum-tls-addr a:1 --tls-cert c", "needs --tls-key");
        check("x --electrum-tls-addr 1", "expected HOST:PORT");
        check("x --server-banner a --banner-file b", "remove one");
        check("x --proxy-protocol-from nginx", "not a subnet");
        check("x --exempt-subnets 10.0.0.0/99", "not a subnet");
        check(
            "x --report-services example.org:50002",
            "ssl://example.org:50002",
        );
        check("x --peer http://example.org:1", "ssl://example.org:50002");
        check("x --tor-proxy localhost:9050", "expected IP:PORT");
        check("x --cost-soft-limit 20000", "must not be above");
        check("x --handshake-timeout 0", "at least 1");
        check("x --server-name=", "1 to 80 printable characters");
        check("x --server-name a\u{1b}b", "1 to 80 printable characters");
        check("x --tls-client-ca c.pem", "add --electrum-tls-addr");
        check("x --ws-origin example.org", "https://wallet.example.org");
    }
}
