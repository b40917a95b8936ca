//! `electrum-tools address`.

use std::process::ExitCode;

use bitcoin::address::{AddressType, NetworkUnchecked};
use bitcoin::{Address, Network, ScriptBuf};
use clap::Args;
use electrum_protocol::ScriptHash;
use serde_json::json;

use crate::input::{self, BlankLines};
use crate::network::NetworkName;
use crate::report::{Failure, Report};

/// What an address pays to: its type, script and script hash; or the address of a script
#[derive(Debug, Args)]
pub(crate) struct Inspect {
    /// An address of any network, or an output script in hex; `-` reads one per line
    #[arg(default_value = "-")]
    input: String,
    /// The network of a script's address; an address must be of it where this is given
    #[arg(long)]
    network: Option<NetworkName>,
}

impl Inspect {
    pub(crate) fn run(&self, as_json: bool) -> Result<ExitCode, Failure> {
        input::each(&self.input, as_json, BlankLines::Skip, |entry| {
            let network = NetworkName::of_entry(entry, self.network)?;
            inspect(
                entry.main(&["address", "script_pubkey"]).trim(),
                network.map(Network::from),
            )
        })
    }
}

fn inspect(input: &str, network: Option<Network>) -> Result<Report, Failure> {
    let (address, script) = read(input, network)?;
    let kind = match address.as_ref().and_then(Address::address_type) {
        Some(AddressType::P2pkh) => "p2pkh",
        Some(AddressType::P2sh) => "p2sh",
        Some(AddressType::P2wpkh) => "p2wpkh",
        Some(AddressType::P2wsh) => "p2wsh",
        Some(AddressType::P2tr) => "p2tr",
        _ if script.is_p2pk() => "p2pk",
        _ if script.is_multisig() => "multisig",
        _ if script.is_op_return() => "op_return",
        _ => "unknown",
    };
    let address = address.map(|address| address.to_string());
    let script_hash = ScriptHash::from_script(&script).to_string();
    Ok(Report {
        human: format!(
            "{} ({kind})\nscript: {}\nscript hash: {script_hash}",
            address.as_deref().unwrap_or("no address"),
            script.to_hex_string()
        ),
        json: json!({
            "address": address,
            "type": kind,
            "script_pubkey": script.to_hex_string(),
            "script_hash": script_hash,
        }),
    })
}

/// An address as it is written, or the address of a script where it has one; and the script.
fn read(input: &str, network: Option<Network>) -> Result<(Option<Address>, ScriptBuf), Failure> {
    match input.parse::<Address<NetworkUnchecked>>() {
        Ok(address) => {
            let address = match network {
                Some(network) => address.require_network(network).map_err(|error| {
                    Failure::refused(format!("{error}; leave --network out to see it anyway"))
                })?,
                None => address.assume_checked(),
            };
            let script = address.script_pubkey();
            Ok((Some(address), script))
        }
        Err(error) => {
            let script = ScriptBuf::from_hex(input).map_err(|_| {
                Failure::refused(format!(
                    "`{input}` is neither an address ({error}) nor a script in hex"
                ))
            })?;
            let address = Address::from_script(&script, network.unwrap_or(Network::Bitcoin)).ok();
            Ok((address, script))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_and_its_script_are_the_same() {
        let address = "bc1qar0srrr7xfkvy5l643lydnw9re59gtzzwf5mdq";
        let by_address = inspect(address, None).unwrap().json;
        assert_eq!(by_address["type"], "p2wpkh");
        let script = by_address["script_pubkey"].as_str().unwrap();
        assert_eq!(inspect(script, None).unwrap().json, by_address);
        let on_regtest = inspect(script, Some(Network::Regtest)).unwrap().json;
        assert!(on_regtest["address"].as_str().unwrap().starts_with("bcrt1"));
        assert!(inspect(address, Some(Network::Testnet)).is_err());
        assert!(inspect("bc1qar0srrr7xfkvy5l643lydnw9re59gtzzwf5mdp", None).is_err());
        assert_eq!(inspect("6a", None).unwrap().json["type"], "op_return");
    }
}
