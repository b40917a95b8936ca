//! Whatever is in the files of other programs, there are wallets or an error.

use proptest::collection::vec;
use proptest::prelude::*;

use super::tests::import;

fn line() -> impl Strategy<Value = String> {
    let known = [
        "[master-public-keys]",
        "[watch-only-addresses]",
        "[bitcoin-rpc]",
        "[electrum-server]",
        "[DEFAULT]",
        "[",
        "[]",
        "]",
        "a = b",
        "  b",
        "= b",
        "a =",
        ":",
        "gap_limit = 1e9",
        "gap_limit=-1",
        "broadcast_method = x",
        "rpc_password = hunter2",
        "BITCOIND_AUTH=hunter2",
        "BROADCAST_CMD='hunter2'",
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

    /// There are wallets, or an error that names file and line; and nothing is said of the node's password.
    #[test]
    fn any_text_is_wallets_or_an_error(lines in vec(line(), 0..8), crlf in any::<bool>()) {
        let text = lines.join(if crlf { "\r\n" } else { "\n" });
        for option in ["eps", "bwt"] {
            match import(option, text.as_bytes(), "") {
                Ok(outcome) => {
                    assert!(!outcome.options.wallet.is_empty());
                    assert!(!format!("{:?}", outcome.remarks).contains("hunter2"));
                    let _ = super::super::wallets(&outcome.options.wallet, bitcoin::Network::Bitcoin);
                }
                Err(error) => {
                    assert!(error.contains("the.file, line "), "{error}");
                    assert!(!error.contains("hunter2"), "{error}");
                }
            }
        }
    }
}
