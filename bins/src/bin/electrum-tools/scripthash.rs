//! `electrum-tools scripthash`.

use std::process::ExitCode;

use bitcoin::address::NetworkUnchecked;
use bitcoin::{Address, ScriptBuf};
use clap::Args;
use electrum_protocol::ScriptHash;
use serde_json::json;

use crate::input::{self, BlankLines};
use crate::report::{Failure, Report};

/// The script hash under which servers know an address or a script
#[derive(Debug, Args)]
pub(crate) struct Scripthash {
    /// Address of any network, or an output script in hex; `-` reads one per line from standard
    /// input
    #[arg(default_value = "-")]
    input: String,
}

impl Scripthash {
    pub(crate) fn run(&self, as_json: bool) -> Result<ExitCode, Failure> {
        input::each(&self.input, as_json, BlankLines::Skip, |entry| {
            one(entry.main(&["address", "script_pubkey"]).trim())
        })
    }
}

fn one(input: &str) -> Result<Report, Failure> {
    let script = script(input)?;
    let script_hash = ScriptHash::from_script(&script).to_string();
    let json = json!({"script_hash": script_hash, "script": script.to_hex_string()});
    Ok(Report {
        human: script_hash,
        json,
    })
}

fn script(input: &str) -> Result<ScriptBuf, Failure> {
    let address = match input.parse::<Address<NetworkUnchecked>>() {
        // The script is the same on every network.
        Ok(address) => return Ok(address.assume_checked().script_pubkey()),
        Err(error) => error,
    };
    ScriptBuf::from_hex(input).map_err(|_| {
        Failure::refused(format!(
            "`{input}` is neither an address ({address}) nor a script in hex"
        ))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_and_its_script_have_one_hash() {
        // The protocol's own example: the first address, and its script.
        let expected = "8b01df4e368ea28f8dc0423bcf7a4923e3a12d307c875e47a0cfbf90b5c39161";
        let check = |input: &str| assert_eq!(one(input).unwrap().human, expected);
        check("1A1zP1eP5QGefi2DMPTfTL5SLmv7DivfNa");
        check("76a91462e907b15cbf27d5425399ebf6f0fb50ebb88f1888ac");
        assert!(one("1A1zP1eP5QGefi2DMPTfTL5SLmv7DivfNb").is_err());
    }
}
