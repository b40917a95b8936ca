//! `electrum-tools tx to-psbt` and `from-psbt`.

use std::process::ExitCode;

use bitcoin::bip32::{ChildNumber, KeySource, Xpub};
use bitcoin::hex::FromHex;
use bitcoin::{NetworkKind, consensus};
use clap::Args;
use electrum_psbt_legacy::psbt::{self, Loss};
use electrum_psbt_legacy::{Encoding, JsonWrapper, PartialTransaction};
use serde_json::json;
use slip132::{Kind, Origin};

use super::form::{Form, Source, Transaction};
use super::summary::losses;
use crate::network::NetworkName;
use crate::report::{Failure, Report, read_input, warn};

/// A partial transaction as PSBT
#[derive(Debug, Args)]
pub(crate) struct ToPsbt {
    #[command(flatten)]
    source: Source,
    /// A transaction whose output is spent, in hex or a file of it: PSBTs of coins that are not segwit
    /// should have them. May be repeated
    #[arg(long = "previous", value_name = "TX")]
    previous: Vec<String>,
    /// Where an extended key comes from: [d34db33f/84h/0h/0h]zpub.... May be repeated
    #[arg(long = "origin", value_name = "[FINGERPRINT/PATH]KEY", value_parser = origin)]
    origins: Vec<(Xpub, KeySource)>,
    /// The network of the extended keys [default: what their version bytes say, which are those of the
    /// main network in all that Electrum 3.0 wrote]
    #[arg(long)]
    network: Option<NetworkName>,
    /// Leave out the proprietary fields that make the way back whole
    #[arg(long)]
    omit_extended_keys: bool,
    /// How to print the PSBT
    #[arg(long, default_value = "base64")]
    form: Form,
}

impl ToPsbt {
    pub(super) fn run(&self, as_json: bool) -> Result<ExitCode, Failure> {
        let previous = self.previous.iter().map(|text| previous(text));
        let previous = previous.collect::<Result<Vec<_>, _>>()?;
        self.source.each(as_json, |transaction, entry| {
            let named = NetworkName::of_entry(entry, self.network)?;
            let given = psbt::ToPsbt {
                previous_transactions: &previous,
                origins: &self.origins,
                network: named.map(|name| NetworkKind::from(bitcoin::Network::from(name))),
                omit_extended_keys: self.omit_extended_keys,
            };
            let Transaction::Electrum(transaction) = transaction else {
                return Err(Failure::refused(
                    "it is a PSBT already; `tx from-psbt` goes the other way",
                ));
            };
            let converted = transaction
                .to_psbt(&given)
                .map_err(|error| Failure::refused(error.to_string()))?;
            tell(&converted.losses, as_json);
            let psbt = self.form.write(&converted.value.serialize());
            Ok(Report {
                json: json!({"psbt": psbt, "losses": losses(&converted.losses)}),
                human: psbt,
            })
        })
    }
}

/// A PSBT as Electrum 2.0 to 3.3 wrote it
#[derive(Debug, Args)]
pub(crate) struct FromPsbt {
    #[command(flatten)]
    source: Source,
    /// Without the header, as Electrum 2.0 to 3.1 wrote it
    #[arg(long)]
    bare: bool,
    /// The network whose version bytes extended keys get [default: what the keys in it say, else mainnet]
    #[arg(long)]
    network: Option<NetworkName>,
    /// An extended key that the PSBT does not name, and where it comes from. May be repeated
    #[arg(long = "origin", value_name = "[FINGERPRINT/PATH]KEY", value_parser = origin)]
    origins: Vec<(Xpub, KeySource)>,
    /// A master public key of Electrum 1.x, 128 hex digits. May be repeated
    #[arg(long = "old-master", value_name = "HEX", value_parser = old_master)]
    old_masters: Vec<[u8; 64]>,
    /// How to print the transaction
    #[arg(long, default_value = "hex", conflicts_with = "file")]
    form: Form,
    /// Print the JSON of Electrum's files
    #[arg(long)]
    file: bool,
}

impl FromPsbt {
    pub(super) fn run(&self, as_json: bool) -> Result<ExitCode, Failure> {
        self.source.each(as_json, |transaction, entry| {
            let Transaction::Psbt(psbt) = transaction else {
                return Err(Failure::refused(
                    "it is no PSBT; `tx to-psbt` goes the other way",
                ));
            };
            let named = NetworkName::of_entry(entry, self.network)?;
            let network = named.unwrap_or_else(|| transaction.guess_network());
            let given = psbt::FromPsbt {
                encoding: match self.bare {
                    true => Encoding::Bare,
                    false => Encoding::Headed,
                },
                network: NetworkKind::from(bitcoin::Network::from(network)),
                origins: &self.origins,
                old_masters: &self.old_masters,
            };
            let converted = PartialTransaction::from_psbt(psbt, &given).map_err(|error| {
                let hint = match error {
                    psbt::PsbtError::MissingUtxo(_) => {
                        "; `tx to-psbt --previous` puts it there, or take the wallet that made it"
                    }
                    _ => "",
                };
                Failure::refused(format!("{error}{hint}"))
            })?;
            tell(&converted.losses, as_json);
            let (transaction, bytes) = (&converted.value, converted.value.encode());
            Ok(Report {
                human: match self.file {
                    true => JsonWrapper::new(transaction).to_json(),
                    false => self.form.write(&bytes),
                },
                json: json!({
                    "hex": Form::Hex.write(&bytes),
                    "complete": transaction.is_complete(),
                    "losses": losses(&converted.losses),
                }),
            })
        })
    }
}

/// What was lost, beside a result that is for people.
fn tell(losses: &[Loss], as_json: bool) {
    if !as_json {
        losses
            .iter()
            .for_each(|loss| warn(&format!("not carried over: {loss}")));
    }
}

fn previous(text: &str) -> Result<bitcoin::Transaction, Failure> {
    let wrong =
        |error: String| Failure::Usage(format!("--previous: not a transaction in hex: {error}"));
    let hex = match std::path::Path::new(text).is_file() {
        true => read_input(text)?,
        false => text.to_owned(),
    };
    let bytes = Vec::from_hex(hex.trim()).map_err(|error| wrong(error.to_string()))?;
    consensus::deserialize(&bytes).map_err(|error| wrong(error.to_string()))
}

/// `[fingerprint/path]key` with version bytes of any script type.
fn origin(text: &str) -> Result<(Xpub, KeySource), String> {
    let (origin, key) = text
        .split_once(']')
        .ok_or("expected [FINGERPRINT/PATH] and a key")?;
    let origin: Origin = format!("{origin}]")
        .parse()
        .map_err(|error: slip132::DescriptorError| error.to_string())?;
    let key: slip132::ExtendedKey = key
        .parse()
        .map_err(|error: slip132::ParseError| error.to_string())?;
    origin.check(&key).map_err(|error| error.to_string())?;
    let plain = key
        .to_public()
        .with_kind(Kind::Standard)
        .map_err(|error| error.to_string())?;
    let xpub = Xpub::decode(&*plain.to_payload()).map_err(|error| error.to_string())?;
    let path: Vec<ChildNumber> = origin.path.iter().copied().map(ChildNumber::from).collect();
    Ok((xpub, (origin.fingerprint.into(), path.into())))
}

fn old_master(hex: &str) -> Result<[u8; 64], String> {
    <[u8; 64]>::from_hex(hex).map_err(|error| error.to_string())
}
