//! Two-factor seeds: two keys of the seed and TrustedCoin's.

use electrum_seed::{Chain, DeriveError, TwoFactor};

use super::description::{Description, Printing, hex};

pub(super) fn describe(
    keys: &TwoFactor,
    one_tree: bool,
    printing: &Printing,
    description: &mut Description,
) -> Result<(), DeriveError> {
    // Seeds of 20 words and more are two trees, each with a root of its own.
    if one_tree {
        let fingerprint = keys.first().root_fingerprint().to_string();
        description.put("root_fingerprint", "root fingerprint", fingerprint);
    }
    description.put("xtype", "script type", keys.script().xtype());
    for (number, account) in [(1, keys.first()), (2, keys.second())] {
        if printing.private {
            let private = account.to_slip132_private();
            description.put(
                &format!("xprv{number}"),
                &format!("private key {number}"),
                private.as_str(),
            );
        }
        let public = account.to_slip132();
        description.put(
            &format!("xpub{number}"),
            &format!("public key {number}"),
            public,
        );
    }
    description.put(
        "xpub3",
        "public key 3 (TrustedCoin)",
        keys.third_to_slip132(),
    );
    description.field("long_user_id", hex(&keys.long_id()));
    description.field("short_user_id", keys.short_id());
    for (chain, title, name) in [
        (Chain::Receive, "receive", "receiving"),
        (Chain::Change, "change", "change"),
    ] {
        let addresses =
            (0..printing.count).map(|index| Ok(keys.address(chain, index)?.to_string()));
        description.list(name, title, addresses.collect::<Result<_, DeriveError>>()?);
    }
    for (segwit, name) in [
        (true, "billing_addresses_segwit"),
        (false, "billing_addresses_legacy"),
    ] {
        let addresses =
            (0..printing.count).map(|index| Ok(keys.billing_address(index, segwit)?.to_string()));
        description.field(name, addresses.collect::<Result<Vec<_>, DeriveError>>()?);
    }
    let descriptors =
        [Chain::Receive, Chain::Change].map(|chain| keys.descriptor(chain).to_string());
    description.list("descriptors", "descriptor", descriptors.to_vec());
    Ok(())
}
