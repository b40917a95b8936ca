//! Master public keys of Electrum 1.x.

use bitcoin::Network;
use electrum_seed::{Chain, OldMasterPublicKey};
use serde_json::json;

use crate::report::{Failure, Report};

/// Addresses of each row that are printed.
const COUNT: u32 = 10;

/// The key, where a text is of their form: 128 hex digits.
pub(super) fn read(text: &str) -> Option<Result<OldMasterPublicKey, Failure>> {
    let is_hex = text.len() == 128 && text.bytes().all(|byte| byte.is_ascii_hexdigit());
    is_hex.then(|| {
        text.parse()
            .map_err(|error: electrum_seed::OldMasterPublicKeyError| {
                Failure::refused(error.to_string())
            })
    })
}

pub(super) fn report(key: &OldMasterPublicKey, network: Network) -> Result<Report, Failure> {
    let addresses = |chain| {
        let address = |index| {
            let address = key.address(chain, index, network);
            address
                .map(|address| address.to_string())
                .map_err(|error| Failure::refused(error.to_string()))
        };
        (0..COUNT).map(address).collect::<Result<Vec<_>, _>>()
    };
    let (receiving, change) = (addresses(Chain::Receive)?, addresses(Chain::Change)?);
    let fingerprint = key.fingerprint().to_string();
    let mut lines = vec![
        "master public key of Electrum 1.x (not BIP32; P2PKH of uncompressed keys)".to_owned(),
        format!("fingerprint in PSBTs: {fingerprint}"),
    ];
    for (title, list) in [("receive", &receiving), ("change", &change)] {
        let numbered = list.iter().enumerate();
        lines.extend(numbered.map(|(index, address)| format!("{title} {index}: {address}")));
    }
    Ok(Report {
        human: lines.join("\n"),
        json: json!({
            "mpk": key.to_string(),
            "private": false,
            "fingerprint": fingerprint,
            "receiving": receiving,
            "change": change,
        }),
    })
}
