//! What is compared: the keys and first addresses of a seed's wallets, in the words of `wallet.py`.

use electrum_seed::bitcoin::bip32::ChildNumber;
use electrum_seed::bitcoin::secp256k1::Secp256k1;
use electrum_seed::bitcoin::{Address, Network};
use electrum_seed::{
    Account, Chain, DeriveError, Multisig, OldMasterKey, OldSeed, Purpose, Seed, TwoFactor, Wallet,
};
use serde_json::{Value, json};

/// As `restore` of `wallet.py`.
pub(crate) fn restore(phrase: &str, passphrase: &str, network: Network) -> Value {
    let Ok(seed) = Seed::parse(phrase) else {
        return json!({ "seed_type": "" });
    };
    let mut record = json!({ "seed_type": seed.seed_type().as_str() });
    let wallet = |purpose| seed.wallet(passphrase, network, purpose).unwrap();
    let fields = match wallet(Purpose::Wallet) {
        Wallet::Old(key) => old(&seed.to_old().unwrap(), &key),
        Wallet::TwoFactor(keys) => two_factor(&keys),
        Wallet::Account(account) => {
            let alone = describe(&account, |chain, index| {
                Ok(account.address(chain, index)?.unwrap())
            });
            let Wallet::Account(account) = wallet(Purpose::Cosigner) else {
                panic!("a cosigner has one account");
            };
            json!({ "alone": alone, "shared": shared(&account) })
        }
        other => panic!("{other:?}"),
    };
    let record_fields = record.as_object_mut().unwrap();
    record_fields.extend(fields.as_object().unwrap().clone());
    record
}

fn describe(
    account: &Account,
    address: impl Fn(Chain, u32) -> Result<Address, DeriveError>,
) -> Value {
    let mut derivation = String::from("m");
    for step in account.derivation() {
        derivation.push_str(&format!("/{step:#}").replace('\'', "h"));
    }
    with_addresses(
        json!({
            "xpub": account.to_slip132(),
            "xprv": *account.to_slip132_private(),
            "derivation": derivation,
            "root_fingerprint": account.root_fingerprint().to_string(),
            "wif": account.private_key(Chain::Change, 1).unwrap().to_wif(),
        }),
        address,
    )
}

/// The wallet of two keys, the second of which is the first one's child 5.
fn shared(account: &Account) -> Value {
    let child = ChildNumber::from_normal_idx(5).unwrap();
    let child = account
        .xpub()
        .derive_pub(&Secp256k1::verification_only(), &[child])
        .unwrap();
    let wallet = Multisig::new(2, vec![*account.xpub(), child], account.script()).unwrap();
    describe(account, |chain, index| {
        wallet.address(chain, index, account.network())
    })
}

fn two_factor(keys: &TwoFactor) -> Value {
    let billing = |index, segwit| keys.billing_address(index, segwit).unwrap().to_string();
    let long_id: String = keys.long_id().iter().map(|b| format!("{b:02x}")).collect();
    with_addresses(
        json!({
            "xprv1": *keys.first().to_slip132_private(),
            "xpub1": keys.first().to_slip132(),
            "xprv2": *keys.second().to_slip132_private(),
            "xpub2": keys.second().to_slip132(),
            "xpub3": keys.third_to_slip132(),
            "long_user_id": long_id,
            "short_user_id": keys.short_id(),
            "billing_legacy": billing(0, false),
            "billing_segwit": billing(1, true),
        }),
        |chain, index| keys.address(chain, index),
    )
}

fn old(seed: &OldSeed, key: &OldMasterKey) -> Value {
    with_addresses(
        json!({
            "hex_seed": seed.to_hex(),
            "words": *seed.to_words().unwrap(),
            "mpk": key.public().to_string(),
            "wif": key.private_key(Chain::Change, 1).unwrap().to_wif(),
        }),
        |chain, index| key.address(chain, index),
    )
}

fn with_addresses(
    mut record: Value,
    address: impl Fn(Chain, u32) -> Result<Address, DeriveError>,
) -> Value {
    let list = |chain, indexes: &[u32]| -> Vec<String> {
        let address = |index: &u32| address(chain, *index).unwrap().to_string();
        indexes.iter().map(address).collect()
    };
    record["receiving"] = json!(list(Chain::Receive, &[0, 1, 70000]));
    record["change"] = json!(list(Chain::Change, &[0, 1]));
    record
}
