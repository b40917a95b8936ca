//! Wallets from the configurations of Electrum Personal Server and bwt.

use std::path::Path;

use anyhow::Context;

use super::entry::{BirthEntry, WalletEntry};

/// What else such a configuration says.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Imported {
    pub(crate) wallets: Vec<WalletEntry>,
    /// What there is and means nothing here, or something else.
    pub(crate) remarks: Vec<String>,
}

/// Reads the `config.ini` of Electrum Personal Server.
///
/// # Errors
///
/// The file cannot be read.
pub(crate) fn from_eps(path: &Path) -> anyhow::Result<Imported> {
    let text =
        std::fs::read_to_string(path).with_context(|| format!("cannot read {}", path.display()))?;
    Ok(parse_eps(&text))
}

fn parse_eps(text: &str) -> Imported {
    let mut imported = Imported::default();
    let (mut section, mut gap_limit) = (String::new(), None);
    for line in text.lines() {
        let line = line.trim();
        if line.is_empty() || line.starts_with(['#', ';']) {
            continue;
        }
        if let Some(name) = line
            .strip_prefix('[')
            .and_then(|rest| rest.strip_suffix(']'))
        {
            section = name.to_owned();
            continue;
        }
        let Some((key, value)) = line.split_once(['=', ':']) else {
            continue;
        };
        let (key, value) = (key.trim(), value.trim());
        match (section.as_str(), key) {
            ("master-public-keys" | "watch-only-addresses", name) => {
                imported.wallets.push(WalletEntry {
                    name: Some(name.to_owned()),
                    keys: vec![value.to_owned()],
                    ..WalletEntry::default()
                });
            }
            ("bitcoin-rpc", "gap_limit") => gap_limit = value.parse().ok(),
            ("electrum-server", "broadcast_method") if value != "own-node" => {
                imported.remarks.push(format!(
                    "broadcast_method = {value} is not taken over: transactions go to your node; see --broadcast-command"
                ));
            }
            ("bitcoin-rpc", "rpc_user" | "rpc_password" | "datadir" | "host" | "port") => {
                imported.remarks.push(format!(
                    "{key} of [bitcoin-rpc] is not taken over: see --daemon-dir, --daemon-rpc-addr and auth"
                ));
            }
            _ => {}
        }
    }
    for wallet in &mut imported.wallets {
        wallet.gap_limit = gap_limit;
    }
    imported
}

/// Reads the environment file of bwt (`bwt.env`).
///
/// # Errors
///
/// The file cannot be read.
pub(crate) fn from_bwt(path: &Path) -> anyhow::Result<Imported> {
    let text =
        std::fs::read_to_string(path).with_context(|| format!("cannot read {}", path.display()))?;
    Ok(parse_bwt(&text))
}

fn parse_bwt(text: &str) -> Imported {
    let mut imported = Imported::default();
    let (mut gap_limit, mut birth) = (None, None);
    for line in text.lines() {
        let line = line.trim();
        let line = line.strip_prefix("export ").unwrap_or(line);
        let Some((key, value)) = line.split_once('=').filter(|_| !line.starts_with('#')) else {
            continue;
        };
        let (key, value) = (key.trim(), value.trim().trim_matches(['"', '\'']));
        // XPUB_SAVINGS=xpub...:2021-05-31, with the time from which on to look.
        let kind = ["XPUB", "DESC", "DESCRIPTOR", "ADDRESS"]
            .into_iter()
            .find(|kind| {
                key == *kind
                    || key
                        .strip_prefix(kind)
                        .is_some_and(|rest| rest.starts_with('_'))
            });
        if let Some(kind) = kind {
            let name = key
                .strip_prefix(kind)
                .unwrap_or_default()
                .trim_start_matches('_');
            let (keys, own_birth) = match value.rsplit_once(':') {
                Some((keys, birth)) => (keys, Some(birth)),
                None => (value, None),
            };
            let own_birth = own_birth.filter(|birth| *birth != "all");
            imported.wallets.push(WalletEntry {
                name: (!name.is_empty()).then(|| name.to_lowercase()),
                keys: split(keys),
                birth: own_birth.map(|birth| BirthEntry::Text(birth.to_owned())),
                ..WalletEntry::default()
            });
            continue;
        }
        match key {
            "GAP_LIMIT" => gap_limit = value.parse().ok(),
            "RESCAN_SINCE" if value != "all" && value != "now" => {
                birth = Some(BirthEntry::Text(value.to_owned()));
            }
            "TX_BROADCAST_CMD" => imported
                .remarks
                .push("TX_BROADCAST_CMD is not taken over: see --broadcast-command".to_owned()),
            "ELECTRUM_SKIP_MERKLE" => imported
                .remarks
                .push("ELECTRUM_SKIP_MERKLE is not needed: proofs are real here".to_owned()),
            _ => {}
        }
    }
    for wallet in &mut imported.wallets {
        wallet.gap_limit = gap_limit;
        if wallet.birth.is_none() {
            wallet.birth.clone_from(&birth);
        }
    }
    imported
}

/// The keys between semicolons; those inside `<0;1>` belong to a descriptor.
fn split(keys: &str) -> Vec<String> {
    let mut inside = false;
    let parts = keys.split(|c| {
        match c {
            '<' => inside = true,
            '>' => inside = false,
            _ => {}
        }
        c == ';' && !inside
    });
    parts.map(|key| key.trim().to_owned()).collect()
}

#[cfg(test)]
mod tests {
    use proptest::collection::vec;
    use proptest::prelude::*;

    use super::*;

    fn line() -> impl Strategy<Value = String> {
        let known = [
            "[master-public-keys]",
            "[watch-only-addresses]",
            "[bitcoin-rpc]",
            "[electrum-server]",
            "[",
            "[]",
            "]",
            "a = b",
            "= b",
            "a =",
            ":",
            "gap_limit = 1e9",
            "gap_limit=-1",
            "broadcast_method = x",
            "rpc_password = hunter2",
            "XPUB=:",
            "XPUB_=x:all",
            "DESC='<;>;;'",
            "export ADDRESS_x=\"",
            "GAP_LIMIT=",
            "RESCAN_SINCE=x",
            "export ",
            "#",
            "\u{feff}",
        ];
        prop_oneof![
            3 => proptest::sample::select(known.map(str::to_owned).to_vec()),
            1 => ".{0,20}",
        ]
    }

    proptest! {
        #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(300) })]

        /// At most a wallet a line, and nothing said of the node's password.
        #[test]
        fn any_text_is_read(lines in vec(line(), 0..8)) {
            for imported in [parse_eps(&lines.join("\n")), parse_bwt(&lines.join("\n"))] {
                assert!(imported.wallets.len() <= lines.len() && imported.remarks.len() <= lines.len());
                assert!(!imported.remarks.concat().contains("hunter2"));
                let _ = super::super::wallets(&imported.wallets, bitcoin::Network::Bitcoin);
            }
        }
    }

    #[test]
    fn a_config_ini_of_eps_is_read() {
        let text = "\
## Electrum Personal Server configuration file
[master-public-keys]
my_wallet = zpub1
vault = 2 xpub1 xpub2

[watch-only-addresses]
#addr = 1DuqpoeTB9zLvVCXQG53VbMxvMkijk494n
my_test = 3abc 1def
[bitcoin-rpc]
host = 127.0.0.1
gap_limit = 40
[electrum-server]
broadcast_method = tor
";
        let imported = parse_eps(text);
        let names: Vec<_> = imported
            .wallets
            .iter()
            .map(|wallet| wallet.name.as_deref().unwrap())
            .collect();
        assert_eq!(names, ["my_wallet", "vault", "my_test"]);
        assert_eq!(imported.wallets[1].keys, ["2 xpub1 xpub2"]);
        assert!(
            imported
                .wallets
                .iter()
                .all(|wallet| wallet.gap_limit == Some(40))
        );
        assert_eq!(imported.remarks.len(), 2);
    }

    #[test]
    fn an_environment_file_of_bwt_is_read() {
        let text = "\
XPUB=zpub1
XPUB_SAVINGS=xpub2:2021-05-31
DESC_VAULT='wsh(multi(2,xpub/<0;1>/*,xpub))#abc;sh(x)'
ADDRESS_OLD=1abc
GAP_LIMIT=30
RESCAN_SINCE=2019-01-01
#XPUB_OFF=none
";
        let imported = parse_bwt(text);
        assert_eq!(imported.wallets.len(), 4);
        let savings = &imported.wallets[1];
        assert_eq!(savings.name.as_deref(), Some("savings"));
        assert_eq!(savings.keys, ["xpub2"]);
        assert_eq!(savings.birth, Some(BirthEntry::Text("2021-05-31".into())));
        assert_eq!(imported.wallets[2].keys.len(), 2);
        assert_eq!(
            imported.wallets[0].birth,
            Some(BirthEntry::Text("2019-01-01".into()))
        );
        assert_eq!(imported.wallets[0].gap_limit, Some(30));
    }
}
