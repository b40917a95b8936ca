//! Methods of Bitcoin Core's wallet. Whatever its name, there is one wallet: the faucet.

use std::collections::BTreeMap;

use bitcoin::hex::DisplayHex;
use bitcoin::{Address, Amount, Network, ScriptBuf};
use serde_json::{Value, json};

use super::arguments::address;
use super::{Answer, Arguments, Control, ControlError, Method, method};
use crate::regtest::FundError;
use crate::regtest::json::{btc, object};

pub(super) const METHODS: &[Method] = &[
    method(
        "sendtoaddress",
        &["address", "amount"],
        "Pays from the faucet; the txid.",
        send_to_address,
    ),
    method(
        "sendmany",
        &["dummy", "amounts"],
        "Pays several addresses from the faucet; the txid.",
        send_many,
    ),
    method(
        "getbalance",
        &["dummy", "minconf"],
        "What the faucet can give.",
        balance,
    ),
    method(
        "getbalances",
        &[],
        "What the faucet can give, and will be able to.",
        balances,
    ),
    method(
        "listunspent",
        &["minconf", "maxconf"],
        "The faucet's coins.",
        unspent,
    ),
    method(
        "getnewaddress",
        &["label", "address_type"],
        "A new address of the faucet.",
        new_address,
    ),
    method(
        "getrawchangeaddress",
        &["address_type"],
        "A new address of the faucet.",
        change_address,
    ),
    method(
        "getaddressinfo",
        &["address"],
        "What an address is, and whether it is the faucet's.",
        address_info,
    ),
    method(
        "validateaddress",
        &["address"],
        "Whether something is an address of regtest.",
        validate,
    ),
    method(
        "createwallet",
        &[
            "wallet_name",
            "disable_private_keys",
            "blank",
            "passphrase",
            "avoid_reuse",
            "descriptors",
            "load_on_startup",
            "external_signer",
        ],
        "Gives the faucet a name.",
        create,
    ),
    method(
        "loadwallet",
        &["filename", "load_on_startup"],
        "Takes a name of the faucet into use.",
        load,
    ),
    method(
        "unloadwallet",
        &["wallet_name", "load_on_startup"],
        "Takes a name of the faucet out of use.",
        unload,
    ),
    method("listwallets", &[], "The faucet's names in use.", list),
    method(
        "getwalletinfo",
        &[],
        "The state of the faucet as a wallet.",
        info,
    ),
];

/// The names of the faucet, and whether each is in use.
pub(super) type Names = BTreeMap<String, bool>;

fn refused(error: &FundError) -> ControlError {
    match error {
        FundError::Dry { .. } => ControlError::new(-6, error),
        FundError::Refused(reject) => ControlError::new(-26, reject),
    }
}

fn send_to_address(control: &Control, arguments: &Arguments) -> Answer {
    let (script, amount) = (arguments.address(0)?, arguments.amount(1)?);
    let paid = control.node.fund(&script, amount);
    paid.map(|txid| json!(txid))
        .map_err(|error| refused(&error))
}

fn send_many(control: &Control, arguments: &Arguments) -> Answer {
    let amounts = arguments.get(1).and_then(Value::as_object);
    let wrong = || ControlError::new(ControlError::TYPE, "amounts must be an object");
    let mut outputs = Vec::new();
    for (to, amount) in amounts.ok_or_else(wrong)? {
        let one = Arguments::new(&["address", "amount"], &json!([to, amount]))?;
        outputs.push((one.address(0)?, one.amount(1)?));
    }
    let paid = control.node.fund_many(&outputs);
    paid.map(|txid| json!(txid))
        .map_err(|error| refused(&error))
}

fn balance(control: &Control, _: &Arguments) -> Answer {
    Ok(btc(control.node.faucet_balance().to_sat()))
}

fn balances(control: &Control, _: &Arguments) -> Answer {
    Ok(control.node.read(|state| {
        let trusted: Amount = state.faucet_coins().iter().map(|coin| coin.value).sum();
        json!({
            "mine": {
                "trusted": btc(trusted.to_sat()),
                // Its own payments are all that is unconfirmed and can be spent.
                "untrusted_pending": btc(0),
                "immature": btc(state.faucet.immature(state.chain.height()).to_sat()),
            },
            "lastprocessedblock": {"hash": state.chain.tip(), "height": state.chain.height()},
        })
    }))
}

fn unspent(control: &Control, arguments: &Arguments) -> Answer {
    let least = arguments.number_or(0, 1)?;
    let most = arguments.number_or(1, 9_999_999)?;
    Ok(control.node.read(|state| {
        let chain = &state.chain;
        let coins = state.faucet_coins().into_iter().filter_map(|coin| {
            let confirmed = chain.coins.get(&coin.outpoint);
            let height = confirmed.map(|confirmed| confirmed.height);
            let confirmations = height.map_or(0, |height| chain.height() + 1 - height);
            let script = state.faucet.script_of(coin.key)?;
            (least..=most).contains(&u64::from(confirmations)).then(|| {
                json!({
                    "txid": coin.outpoint.txid,
                    "vout": coin.outpoint.vout,
                    "address": address_of(&script),
                    "scriptPubKey": script.to_hex_string(),
                    "amount": btc(coin.value.to_sat()),
                    "confirmations": confirmations,
                    "spendable": true,
                    "solvable": true,
                    "safe": true,
                })
            })
        });
        coins.collect()
    }))
}

fn address_of(script: &ScriptBuf) -> Option<String> {
    let address = Address::from_script(script, Network::Regtest);
    address.ok().map(|address| address.to_string())
}

fn new_address(control: &Control, arguments: &Arguments) -> Answer {
    next_address(control, arguments, 1)
}

fn change_address(control: &Control, arguments: &Arguments) -> Answer {
    next_address(control, arguments, 0)
}

fn next_address(control: &Control, arguments: &Arguments, kind: usize) -> Answer {
    let kind = match arguments.get(kind) {
        Some(_) => arguments.text(kind)?,
        None => "bech32",
    };
    if kind != "bech32" {
        let message = format!("the faucet has addresses of type 'bech32' only, not '{kind}'");
        return Err(ControlError::new(-5, message));
    }
    let script = control.node.next_faucet_script();
    let ran_out = "Error: Keypool ran out, please call keypoolrefill first";
    let address = script.as_ref().and_then(address_of);
    address
        .map(|address| json!(address))
        .ok_or_else(|| ControlError::new(-12, ran_out))
}

fn describe(text: &str, script: &ScriptBuf) -> serde_json::Map<String, Value> {
    let mut described = object(json!({
        "address": text,
        "scriptPubKey": script.to_hex_string(),
        "isscript": script.is_p2sh() || script.is_p2wsh() || script.is_p2tr(),
        "iswitness": script.is_witness_program(),
    }));
    if let (Some(version), Some(program)) = (script.witness_version(), script.as_bytes().get(2..)) {
        described.insert("witness_version".to_owned(), json!(version.to_num()));
        let program = program.to_lower_hex_string();
        described.insert("witness_program".to_owned(), json!(program));
    }
    described
}

fn validate(_: &Control, arguments: &Arguments) -> Answer {
    let text = arguments.text(0)?;
    let Some(script) = address(text) else {
        let error = "Invalid or unsupported address";
        return Ok(json!({"isvalid": false, "error_locations": [], "error": error}));
    };
    let mut described = describe(text, &script);
    described.insert("isvalid".to_owned(), json!(true));
    Ok(Value::Object(described))
}

fn address_info(control: &Control, arguments: &Arguments) -> Answer {
    let script = arguments.address(0)?;
    let is_mine = control.node.read(|state| state.faucet.owns(&script));
    let mut described = describe(arguments.text(0)?, &script);
    for (name, value) in [
        ("ismine", json!(is_mine)),
        ("solvable", json!(is_mine)),
        ("iswatchonly", json!(false)),
        ("ischange", json!(false)),
        ("labels", json!([])),
    ] {
        described.insert(name.to_owned(), value);
    }
    Ok(Value::Object(described))
}

fn create(control: &Control, arguments: &Arguments) -> Answer {
    let name = arguments.text(0)?.to_owned();
    control.with_names(|names| {
        if names.contains_key(&name) {
            let message = format!(
                "Wallet file verification failed. Failed to create database path '{name}'. \
                 Database already exists."
            );
            return Err(ControlError::new(-4, message));
        }
        names.insert(name.clone(), true);
        Ok(json!({"name": name}))
    })
}

fn load(control: &Control, arguments: &Arguments) -> Answer {
    let name = arguments.text(0)?.to_owned();
    control.with_names(|names| match names.get_mut(&name) {
        None => {
            let message = format!(
                "Wallet file verification failed. Failed to load database path '{name}'. \
                 Path does not exist."
            );
            Err(ControlError::new(-18, message))
        }
        Some(true) => {
            let message = format!("Wallet \"{name}\" is already loaded.");
            Err(ControlError::new(-35, message))
        }
        Some(in_use) => {
            *in_use = true;
            Ok(json!({"name": name}))
        }
    })
}

fn unload(control: &Control, arguments: &Arguments) -> Answer {
    let name = match arguments.get(0) {
        Some(_) => arguments.text(0)?.to_owned(),
        None => String::new(),
    };
    control.with_names(|names| match names.get_mut(&name) {
        Some(in_use @ true) => {
            *in_use = false;
            Ok(json!({}))
        }
        _ => Err(ControlError::new(
            -18,
            "Requested wallet does not exist or is not loaded",
        )),
    })
}

fn list(control: &Control, _: &Arguments) -> Answer {
    control.with_names(|names| {
        let in_use = names.iter().filter(|(_, in_use)| **in_use);
        Ok(in_use.map(|(name, _)| json!(name)).collect())
    })
}

fn info(control: &Control, _: &Arguments) -> Answer {
    let name = control.with_names(|names| {
        let in_use = names.iter().find(|(_, in_use)| **in_use);
        in_use.map(|(name, _)| name.clone()).unwrap_or_default()
    });
    Ok(control.node.read(|state| {
        json!({
            "walletname": name,
            "walletversion": 169_900,
            "format": "memory",
            "txcount": state.faucet_coins().len(),
            "keypoolsize": 1000,
            "private_keys_enabled": true,
            "avoid_reuse": false,
            "scanning": false,
            "descriptors": true,
            "external_signer": false,
            "blank": false,
            "flags": [],
            "lastprocessedblock": {"hash": state.chain.tip(), "height": state.chain.height()},
        })
    }))
}
