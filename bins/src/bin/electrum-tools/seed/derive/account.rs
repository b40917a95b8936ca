//! Standard and segwit seeds: one BIP32 account.

use electrum_seed::{Account, Chain, DeriveError};
use serde_json::json;

use super::description::{Description, Printing};

pub(super) fn describe(
    account: &Account,
    printing: &Printing,
    description: &mut Description,
) -> Result<(), DeriveError> {
    let fingerprint = account.root_fingerprint().to_string();
    description.put("root_fingerprint", "root fingerprint", fingerprint);
    let path = account.derivation().to_string().replace('\'', "h");
    let path = match path.as_str() {
        "" | "m" => "m".to_owned(),
        path => format!("m/{}", path.trim_start_matches("m/")),
    };
    description.put("derivation", "derivation", path);
    description.put("xtype", "script type", account.script().xtype());
    if printing.private {
        description.put("xprv", "private key", account.to_slip132_private().as_str());
    }
    description.put("xpub", "public key", account.to_slip132());
    for (chain, title, name) in [
        (Chain::Receive, "receive", "receiving"),
        (Chain::Change, "change", "change"),
    ] {
        let mut addresses = Vec::new();
        let mut keys = Vec::new();
        for index in 0..printing.count {
            addresses.extend(
                account
                    .address(chain, index)?
                    .map(|address| address.to_string()),
            );
            keys.push(account.public_key(chain, index)?.to_string());
        }
        if !addresses.is_empty() {
            description.list(name, title, addresses);
        }
        description.field(&format!("{name}_pubkeys"), json!(keys));
        if printing.private {
            let keys =
                (0..printing.count).map(|index| Ok(account.private_key(chain, index)?.to_wif()));
            let keys = keys.collect::<Result<Vec<_>, DeriveError>>()?;
            description.field(&format!("{name}_wif"), json!(keys));
        }
    }
    let descriptors = [Chain::Receive, Chain::Change].map(|chain| account.descriptor(chain));
    if let [Some(receive), Some(change)] = descriptors {
        let texts = [receive, change].map(|descriptor| descriptor.to_string());
        description.list("descriptors", "descriptor", texts.to_vec());
    }
    Ok(())
}
