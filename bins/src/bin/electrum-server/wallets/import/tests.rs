//! Files of both programs, right and wrong. Keys are those of BIP 32 and BIP 84.

use std::path::PathBuf;

use super::*;
use crate::wallets::entry::BirthEntry;
use clap::Parser;

/// BIP 32's first public master key, on testnet.
const TPUB: &str = "tpubD6NzVbkrYhZ4XgiXtGrdW5XDAPFCL9h7we1vwNCpn8tGbBcgfVYjXyhWo4E1xkh56hjod1RhGjxbaTLV3X4FyWuejifB9jusQ46QzG87VKp";
/// BIP 84, "Account 0".
const ZPUB: &str = "zpub6rFR7y4Q2AijBEqTUquhVz398htDFrtymD9xYYfG1m4wAcvPhXNfE3EfH1r1ADqtfSdVCToUG868RvUUkgDKf31mGDtKsAYz2oz2AGutZYs";

pub(super) struct Outcome {
    pub(super) options: Options,
    pub(super) remarks: Remarks,
}

pub(super) fn import(option: &str, bytes: &[u8], more: &str) -> Result<Outcome, String> {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("the.file");
    std::fs::write(&file, bytes).unwrap();
    let mut options = Options::try_parse_from(format!("x {more}").split_whitespace()).unwrap();
    match option {
        "eps" => options.eps_config = Some(file),
        _ => options.bwt_env = Some(file),
    }
    let mut remarks = Remarks::default();
    match take_over(options, &BTreeMap::new(), &mut remarks) {
        Ok(options) => Ok(Outcome { options, remarks }),
        Err(error) => Err(format!("{error:#}")),
    }
}

fn eps(text: &str) -> Outcome {
    import("eps", text.as_bytes(), "").unwrap()
}

fn bwt(text: &str) -> Outcome {
    import("bwt", text.as_bytes(), "").unwrap()
}

/// Names and keys of all wallets.
fn wallets(outcome: &Outcome) -> Vec<(Option<&str>, Vec<&str>)> {
    let wallets = outcome.options.wallet.iter();
    wallets
        .map(|wallet| {
            let keys = wallet.keys.iter().map(String::as_str).collect();
            (wallet.name.as_deref(), keys)
        })
        .collect()
}

/// The sample of Electrum Personal Server, shortened.
const SAMPLE: &str = "\
[master-public-keys]
# Add electrum wallet master public keys to this section
KEY = tpub
[bitcoin-rpc]
host = 127.0.0.1
port = 18443
datadir = /home/me/.bitcoin
wallet_filename =
poll_interval_listening = 30
gap_limit = 40
[electrum-server]
host = 127.0.0.1
port = 50002
ip_whitelist = *
certfile = certs/cert.crt
keyfile = certs/cert.key
disable_mempool_fee_histogram = false
broadcast_method = tor-or-own-node
tor_host = localhost
tor_port = 9050
[watch-only-addresses]
addr = 1FJEEB8ihPMbzs2SkLmr37dHyRFzakqUmo  1KRW8pH6HFHZh889VDq6fEKvmrsmApwNfe
[logging]
log_level_stdout = INFO
";

#[test]
fn a_config_ini_is_taken_over() {
    let sample = eps(SAMPLE);
    let found = wallets(&sample);
    assert_eq!(found.len(), 2);
    assert_eq!(found[0], (Some("key"), vec!["tpub"]));
    assert_eq!(found[1].0, Some("addr"));
    let options = &sample.options;
    assert!(
        options
            .wallet
            .iter()
            .all(|wallet| wallet.gap_limit == Some(40))
    );
    assert_eq!(options.electrum_tls_addr, ["127.0.0.1:50002"]);
    assert_eq!(options.daemon_rpc_addr.as_deref(), Some("127.0.0.1:18443"));
    assert_eq!(options.daemon_dir, Some(PathBuf::from("/home/me/.bitcoin")));
    assert!(options.tls_cert.is_none());
    // Each is taken over, or named.
    let said = format!("{:?}", sample.remarks);
    for name in [
        "[electrum-server]",
        "[bitcoin-rpc]",
        "gap_limit",
        "datadir",
        "poll_interval_listening",
        "certfile",
        "keyfile",
        "disable_mempool_fee_histogram",
        "broadcast_method",
        "tor_host",
        "tor_port",
        "log_level_stdout",
    ] {
        assert!(said.contains(name), "{name}: {said}");
    }
    assert!(!said.contains("wallet_filename"), "{said}");
}

/// Whatever stands in a section that is read is taken over or named.
#[test]
fn no_setting_is_dropped_in_silence() {
    for line in SAMPLE.lines() {
        let Some((name, value)) = line.split_once(" = ") else {
            continue;
        };
        let name = name.trim();
        let text = SAMPLE.replace(line, &format!("{name} = {value}"));
        let outcome = eps(&text);
        let options = format!("{:?}", outcome.options.wallet);
        let said = format!("{:?} {options}", outcome.remarks);
        let named = said.contains(&name.to_lowercase()) || (name == "ip_whitelist" && value == "*");
        assert!(named, "{name}: {said}");
    }
    let unknown = eps(&SAMPLE.replace(
        "[logging]",
        "[loging]\nx = 1\n[electrum_server]\nhots = a\n",
    ));
    let said = unknown.remarks.left.join("\n");
    assert!(
        said.contains("[loging]") && said.contains("did you mean [logging]?"),
        "{said}"
    );
    assert!(said.contains("[electrum_server] (line"), "{said}");
    let typo = eps(&SAMPLE.replace("gap_limit", "gap_limt"));
    assert!(
        typo.remarks.left.concat().contains("gap_limt of [bitcoin-rpc] (line 10) is unknown, and not taken over: did you mean gap_limit?"),
        "{:?}",
        typo.remarks
    );
}

#[test]
fn what_other_options_say_wins_over_the_files() {
    let more =
        "--electrum-tls-addr a:1 --daemon-rpc-addr b:2 --cookie-file c --tls-cert d --tls-key e";
    let outcome = import("eps", SAMPLE.as_bytes(), more).unwrap();
    assert_eq!(outcome.options.electrum_tls_addr, ["a:1"]);
    assert_eq!(outcome.options.daemon_rpc_addr.as_deref(), Some("b:2"));
    assert_eq!(outcome.options.daemon_dir, None);
    let said = outcome.remarks.left.join("\n");
    for name in [
        "host and port of [electrum-server]",
        "host and port of [bitcoin-rpc]",
        "datadir",
        "certfile",
    ] {
        assert!(said.contains(name), "{name}: {said}");
    }
}

#[test]
fn whom_a_whitelist_keeps_away_is_not_let_in() {
    let text = SAMPLE
        .replace(
            "host = 127.0.0.1\nport = 50002",
            "host = 0.0.0.0\nport = 50002",
        )
        .replace("ip_whitelist = *", "ip_whitelist = 192.168.0.0/16");
    let outcome = eps(&text);
    assert!(outcome.options.electrum_tls_addr.is_empty());
    let said = outcome.remarks.left.join("\n");
    assert!(said.contains("ip_whitelist (line 14)"), "{said}");
    assert!(
        said.contains("host and port of [electrum-server] (lines 12 and 13)"),
        "{said}"
    );
    assert!(said.contains("--electrum-tls-addr 0.0.0.0:50002"), "{said}");
}

#[test]
fn the_certificate_is_taken_over_when_it_is_there() {
    let folder = tempfile::tempdir().unwrap();
    for name in ["c", "k"] {
        std::fs::write(folder.path().join(name), "").unwrap();
    }
    let text = SAMPLE
        .replace("certs/cert.crt", folder.path().join("c").to_str().unwrap())
        .replace("certs/cert.key", folder.path().join("k").to_str().unwrap());
    let outcome = eps(&text);
    assert_eq!(outcome.options.tls_cert, Some(folder.path().join("c")));
    assert_eq!(outcome.options.tls_key, Some(folder.path().join("k")));
}

#[test]
fn the_password_of_the_node_is_taken_over_and_not_shown() {
    let text = SAMPLE.replace(
        "datadir =",
        "rpc_user = bob\nrpc_password = hunter2\ndatadir =",
    );
    let outcome = eps(&text);
    let secret = outcome.options.auth.as_ref().unwrap();
    assert_eq!(secret.user_and_password(), Some(("bob", "hunter2")));
    assert!(!format!("{:?} {:?}", outcome.remarks, outcome.options).contains("hunter2"));
}

/// File, what it must be refused with. No line is repeated.
#[test]
fn a_config_ini_without_a_wallet_is_refused_with_its_line() {
    let bare = format!("[master-public-keys]\n{TPUB}\n");
    for (text, parts) in [
        (bare.as_str(), ["line 2", "NAME = VALUE"]),
        ("[master-public-keys]\n", ["line 1", "NAME = KEY"]),
        ("", ["line 1", "no section [master-public-keys]"]),
        ("[master-public-keys]\na =\n", ["line 2", "`a`"]),
        (
            "[master-public-key]\na = x\n",
            ["line 1", "[master-public-keys]"],
        ),
        (
            "[Master-Public-Keys]\na = x\n",
            ["line 1", "[master-public-keys]"],
        ),
        (
            "a = x\n[master-public-keys]\n",
            ["line 1", "[master-public-keys]"],
        ),
        (
            "[master-public-keys]\na = x # mine\n",
            ["line 2", "comment"],
        ),
        ("[master-public-keys]\na = x\na = y\n", ["line 3", "line 2"]),
        ("[master-public-keys]\na = x\nA = y\n", ["line 3", "line 2"]),
        (
            "[master-public-keys]\n#a = x\n[watch-only-addresses]\n",
            ["line 1", "NAME = KEY"],
        ),
        (
            "[master-public-keys]\na = x\n[bitcoin-rpc]\ngap_limit = many\n",
            ["line 4", "gap_limit"],
        ),
        (
            "[master-public-keys]\na = x\n[electrum-server]\nhost = a\nport = b\n",
            ["line 5", "port"],
        ),
    ] {
        let error = import("eps", text.as_bytes(), "").err().unwrap_or_default();
        for part in parts {
            assert!(error.contains(part), "{text:?}: {error}");
        }
        assert!(
            error.contains("the.file, line") && !error.contains(TPUB),
            "{error}"
        );
    }
}

#[test]
fn a_config_ini_is_read_as_python_reads_it() {
    // A byte order mark, other line ends, a continuation, a name with a colon, defaults.
    let text =
        format!("\u{feff}[master-public-keys]\r\nA: 2\r\n  {TPUB}\r\n\r\n  {ZPUB}\r\n; b = c\r\n");
    let outcome = eps(&text);
    let keys = format!("2\n{TPUB}\n\n{ZPUB}");
    assert_eq!(wallets(&outcome), [(Some("a"), vec![keys.as_str()])]);
    assert!(
        outcome.options.wallet[0]
            .origin
            .as_ref()
            .unwrap()
            .ends_with("the.file, line 2")
    );
    let outcome = eps(
        "[DEFAULT]\ngap_limit = 7\n[bitcoin-rpc]\n[master-public-keys]\na = x\n[electrum-server]\n",
    );
    assert!(
        outcome
            .options
            .wallet
            .iter()
            .all(|wallet| wallet.gap_limit == Some(7))
    );
}

#[test]
fn what_is_no_text_is_refused() {
    for option in ["eps", "bwt"] {
        let utf16: Vec<u8> = [0xff, 0xfe]
            .into_iter()
            .chain("XPUBS=a".encode_utf16().flat_map(u16::to_le_bytes))
            .collect();
        let error = import(option, &utf16, "").err().unwrap();
        assert!(error.contains("UTF-16"), "{error}");
        let error = import(option, b"[master-public-keys]\n# gr\xfc\xdfe\n", "")
            .err()
            .unwrap();
        assert!(
            error.contains("the.file, line 2") && error.contains("UTF-8"),
            "{error}"
        );
    }
}

#[test]
fn an_environment_file_of_bwt_is_taken_over() {
    let outcome = bwt(&format!(
        "\u{feff}# mine
XPUBS={TPUB};{ZPUB}
export XPUB_SAVINGS=xpub2:2021-05-31
DESC_VAULT='wsh(multi(2,xpub/<0;1>/*,xpub))#abc;sh(x)'
DESCRIPTORS=\"pkh(a/0/*)\" # and no more
ADDRESSES=1abc;1def
ADDRESS_OLD=1ghi
BARE_XPUBS={ZPUB}
GAP_LIMIT=30
RESCAN_SINCE=2019-01-01
#XPUB_OFF=none
NETWORK=regtest
BITCOIND_URL=http://localhost:18443/wallet/x
BITCOIND_AUTH=bob:hunter2
ELECTRUM_ADDR=127.0.0.1:60401
"
    ));
    let expected = [
        (None, vec![TPUB, ZPUB]),
        (Some("savings"), vec!["xpub2"]),
        (
            Some("vault"),
            vec!["wsh(multi(2,xpub/<0;1>/*,xpub))#abc", "sh(x)"],
        ),
        (None, vec!["pkh(a/0/*)"]),
        (None, vec!["1abc", "1def"]),
        (Some("old"), vec!["1ghi"]),
        (
            None,
            vec![
                "wpkh(xpub6CatWdiZiodmUeTDp8LT5or8nmbKNcuyvz7WyksVFkKB4RHwCD3XyuvPEbvqAQY3rAPshWcMLoP2fMFMKHPJ4ZeZXYVUhLv1VMrjPC7PW6V/*)",
            ],
        ),
    ];
    assert_eq!(wallets(&outcome), expected);
    let options = &outcome.options;
    let text = |date: &str| Some(BirthEntry::Text(date.into()));
    assert_eq!(options.wallet[0].birth, text("2019-01-01"));
    assert_eq!(options.wallet[1].birth, text("2021-05-31"));
    assert_eq!(options.wallet[0].gap_limit, Some(30));
    assert_eq!(options.network.unwrap().0, bitcoin::Network::Regtest);
    assert_eq!(options.daemon_rpc_addr.as_deref(), Some("localhost:18443"));
    assert_eq!(options.electrum_rpc_addr, ["127.0.0.1:60401"]);
    assert!(options.auth.is_some());
    assert!(!format!("{:?}", outcome.remarks).contains("hunter2"));
    assert!(
        outcome.remarks.left.is_empty(),
        "{:?}",
        outcome.remarks.left
    );
}

#[test]
fn a_birth_of_bwt_is_a_time_and_never_hides_more_than_there() {
    let birth = |since: &str| {
        bwt(&format!("XPUBS=x\nRESCAN_SINCE={since}\n"))
            .options
            .wallet[0]
            .birth
            .clone()
    };
    assert_eq!(birth("1600000000"), Some(BirthEntry::Number(1_600_000_000)));
    // To bwt that is the eighth of January 1970, and no height.
    assert_eq!(birth("700000"), None);
    for all in ["all", "genesis", "0", "now", "none"] {
        assert_eq!(birth(all), None, "{all}");
    }
    let now = bwt("XPUBS=x\nRESCAN_SINCE=now\n");
    assert!(
        now.remarks.left.concat().contains("`now` (line 2)"),
        "{:?}",
        now.remarks
    );
    // Older versions have one with each key.
    let outcome = bwt("XPUB_A=x:2020-01-01;y:2021-01-01\n");
    assert_eq!(
        wallets(&outcome),
        [(Some("a"), vec!["x"]), (Some("a 2"), vec!["y"])]
    );
}

#[test]
fn an_environment_file_without_a_wallet_is_refused_with_its_line() {
    for (text, parts) in [
        ("", ["line 1", "XPUBS"]),
        ("GAP_LIMIT=3\n", ["line 1", "XPUBS"]),
        ("XPUBS=\n", ["line 1", "empty"]),
        ("XPUBS=;\n", ["line 1", "empty"]),
        ("\nxpubs=x\n", ["line 2", "XPUBS"]),
        ("XPUB=x\nYPUB_A=x\n", ["line 2", "YPUB_A"]),
        ("XPUB=x\nXPUB1=x\n", ["line 2", "XPUB1"]),
        ("XPUB=x\nDESCRIPTRS=x\n", ["line 2", "DESCRIPTORS"]),
        ("XPUB=x\nADRESSES=x\nADDRESES=y\n", ["line 3", "ADDRESS,"]),
        ("XPUB =x\n", ["line 1", "before the `=`"]),
        ("XPUB=x\nXPUB_A= y\n", ["line 2", "quotes"]),
        (
            "XPUB=x\nDESC=wpkh([73c5da0a/84'/0'/0']x)\n",
            ["line 2", "double quotes"],
        ),
        ("XPUB=x\nXPUB=y\n", ["line 2", "line 1"]),
        ("XPUB=x\nGAP_LIMIT=many\n", ["line 2", "GAP_LIMIT"]),
        ("XPUB=x:someday\n", ["line 1", "YYYY-MM-DD"]),
        ("XPUB=x\nRESCAN_SINCE=someday\n", ["line 2", "YYYY-MM-DD"]),
        ("ADDRESSES_FILE=/none\n", ["line 1", "/none"]),
        ("NETWORK=moon\nXPUB=x\n", ["line 1", "moon"]),
    ] {
        let error = import("bwt", text.as_bytes(), "").err().unwrap_or_default();
        for part in parts {
            assert!(error.contains(part), "{text:?}: {error}");
        }
        assert!(error.contains("the.file, line"), "{error}");
    }
}

#[test]
fn addresses_are_taken_from_their_file() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("addresses");
    std::fs::write(&file, "1abc\r\n\r\n 1def \r\n").unwrap();
    let outcome = bwt(&format!("ADDRESSES_FILE={}\n", file.display()));
    assert_eq!(wallets(&outcome), [(None, vec!["1abc", "1def"])]);
}

#[test]
fn what_bwt_has_and_there_is_nothing_for_is_named() {
    for name in bwt::OTHERS {
        let text = format!("XPUBS=x\n{name}=1:1\n");
        let Ok(outcome) = import("bwt", text.as_bytes(), "") else {
            continue;
        };
        let said = format!("{:?}", outcome.remarks);
        assert!(said.contains(name), "{name}: {said}");
    }
    let outcome = bwt("XPUBS=x\nGAP_LIMT=3\nBROADCAST_CMD='secret {tx_hex}'\n");
    let said = outcome.remarks.left.join("\n");
    assert!(
        said.contains("GAP_LIMT (line 2)") && said.contains("GAP_LIMIT?"),
        "{said}"
    );
    assert!(
        said.contains("BROADCAST_CMD (line 3)") && !said.contains("secret"),
        "{said}"
    );
}
