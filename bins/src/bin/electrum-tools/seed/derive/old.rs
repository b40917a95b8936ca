//! Seeds from before Electrum 2.0.

use electrum_seed::{Chain, DeriveError, OldMasterKey, Seed};

use super::description::{Description, Printing, hex};

pub(super) fn describe(
    seed: &Seed,
    master: &OldMasterKey,
    printing: &Printing,
    description: &mut Description,
) -> Result<(), DeriveError> {
    let public = master.public();
    if printing.private
        && let Some(old) = seed.to_old()
    {
        description.put("hex_seed", "seed in hex", old.to_hex());
        let words = old.to_words();
        description.field("words", words.as_ref().map(|words| words.as_str()));
        let secret = hex(&master.secret().secret_bytes());
        description.put("stretched_secexp", "private master key", secret);
    }
    description.put("mpk", "public master key", public.to_string());
    let fingerprint = public.fingerprint().to_string();
    description.put(
        "root_fingerprint",
        "root fingerprint (in PSBTs)",
        fingerprint.as_str(),
    );
    description.field("root_fingerprint_psbt", fingerprint);
    description.field("xtype", "standard");
    for (chain, title, name) in [
        (Chain::Receive, "receive", "receiving"),
        (Chain::Change, "change", "change"),
    ] {
        let all = 0..printing.count;
        let addresses = all.clone().map(|index| {
            let address = public.address(chain, index, printing.network)?;
            Ok(address.to_string())
        });
        description.list(name, title, addresses.collect::<Result<_, DeriveError>>()?);
        let keys = all
            .clone()
            .map(|index| Ok(public.public_key(chain, index)?.to_string()));
        let keys = keys.collect::<Result<Vec<_>, DeriveError>>()?;
        description.field(&format!("{name}_pubkeys"), keys);
        if printing.private {
            let keys = all.map(|index| Ok(master.private_key(chain, index)?.to_wif()));
            let keys = keys.collect::<Result<Vec<_>, DeriveError>>()?;
            description.field(&format!("{name}_wif"), keys);
        }
    }
    Ok(())
}
