//! `electrum-tools xpub descriptor`.

use std::process::ExitCode;

use bitcoin::Network as AddressNetwork;
use clap::Args;
use serde_json::{Map, Value, json};
use slip132::{Branch, Descriptor, Kind, Network, Origin, Rules, Signer};

use super::{is_private, kind, read_key, warn_of_private};
use crate::input::{self, BlankLines, Entry};
use crate::network::NetworkName;
use crate::report::{Failure, Report};

/// The output descriptor of a key or of several cosigners, or the keys of a descriptor
#[derive(Debug, Args)]
pub(crate) struct Describe {
    /// Keys, each with its origin before it where that is known: [d34db33f/84h/0h/0h]zpub...; or one
    /// descriptor, to get its keys back. `-` reads a wallet per line
    #[arg(default_value = "-")]
    keys: Vec<String>,
    /// Signatures needed of several cosigners
    #[arg(long, short = 'm', value_name = "M")]
    threshold: Option<usize>,
    /// Take the keys as of this script type, whatever their version bytes say
    #[arg(long, value_parser = kind)]
    xtype: Option<Kind>,
    /// Only keys of this network; its addresses are printed
    #[arg(long)]
    network: Option<NetworkName>,
    /// How many addresses to receive and for change
    #[arg(long, short = 'n', default_value_t = 10, value_parser = clap::value_parser!(u32).range(..=10_000))]
    count: u32,
    /// Keep private keys private; without it, their public keys are printed
    #[arg(long)]
    private: bool,
}

impl Describe {
    pub(super) fn run(&self, as_json: bool) -> Result<ExitCode, Failure> {
        if self.keys.iter().any(|key| is_private(key)) {
            warn_of_private();
        }
        input::each(&self.keys.join(" "), as_json, BlankLines::Skip, |entry| {
            let text = entry.main(&["descriptor", "descriptor_external", "key"]);
            let wallet = match text.contains('(') {
                true => self.read(text)?,
                false => self.compose(text, entry)?,
            };
            self.report(&wallet)
        })
    }

    fn read(&self, text: &str) -> Result<Wallet, Failure> {
        let descriptor: Descriptor = text.trim().parse().map_err(refused)?;
        Ok(Wallet {
            signers: descriptor.signers().to_vec(),
            threshold: descriptor.threshold(),
        })
    }

    fn compose(&self, text: &str, entry: &Entry<'_>) -> Result<Wallet, Failure> {
        let signers = text.split_whitespace().map(|text| self.signer(text, entry));
        let signers = signers.collect::<Result<Vec<_>, _>>()?;
        let named = entry.field("m").and_then(Value::as_u64);
        let threshold = named
            .and_then(|m| usize::try_from(m).ok())
            .or(self.threshold);
        if signers.len() > 1 && threshold.is_none() {
            let message = "several keys are a multisig wallet: --threshold says how many must sign";
            return Err(Failure::refused(message));
        }
        Ok(Wallet { signers, threshold })
    }

    fn signer(&self, text: &str, entry: &Entry<'_>) -> Result<Signer, Failure> {
        let network = self.network.map(|name| match name {
            NetworkName::Mainnet => Network::Mainnet,
            _ => Network::Testnet,
        });
        let (origin, key) = match text.split_once(']') {
            Some((origin, key)) => {
                let origin: Origin = format!("{origin}]").parse().map_err(refused)?;
                (Some(origin), key)
            }
            None => (None, text),
        };
        let key = read_key(key, entry, network, Rules::Bip32)?;
        let key = match self.xtype {
            Some(kind) => key
                .with_kind(kind)
                .map_err(|error| Failure::refused(error.to_string()))?,
            None => key,
        };
        if let Some(origin) = &origin {
            origin.check(&key).map_err(|error| {
                Failure::refused(format!("the key is not of its origin: {error}"))
            })?;
        }
        Ok(Signer { key, origin })
    }

    fn report(&self, wallet: &Wallet) -> Result<Report, Failure> {
        let written = |branch| {
            let descriptor = wallet.descriptor(branch, self.private)?;
            Ok::<_, Failure>(descriptor.encode())
        };
        let public = wallet.descriptor(Branch::Both, false)?;
        let keys = wallet.signers.iter().map(|signer| match self.private {
            true => signer.key.encode(),
            false => signer.key.to_public().encode(),
        });
        let mut json = json!({
            "descriptor": written(Branch::Both)?,
            "descriptor_external": written(Branch::Receive)?,
            "descriptor_change": written(Branch::Change)?,
            "threshold": wallet.threshold,
            "keys": keys.collect::<Vec<_>>(),
        });
        let network = self.network.map(AddressNetwork::from);
        let addresses = addresses(&public, self.count, network);
        if let (Some(fields), Some([receiving, change])) = (json.as_object_mut(), addresses) {
            fields.insert("first_receiving".into(), json!(receiving.first()));
            fields.insert("first_change".into(), json!(change.first()));
            fields.insert("receiving".into(), json!(receiving));
            fields.insert("change".into(), json!(change));
        }
        Ok(Report {
            human: written(Branch::Both)?,
            json,
        })
    }
}

/// Keys and how many must sign.
struct Wallet {
    signers: Vec<Signer>,
    threshold: Option<usize>,
}

impl Wallet {
    fn descriptor(&self, branch: Branch, private: bool) -> Result<Descriptor, Failure> {
        let mut signers = self.signers.clone();
        if !private {
            for signer in &mut signers {
                signer.key = signer.key.to_public();
            }
        }
        match (self.threshold, signers.as_slice()) {
            (None, [one]) => Descriptor::single(one.clone(), branch),
            (threshold, _) => Descriptor::multi(threshold.unwrap_or(0), signers, branch),
        }
        .map_err(refused)
    }
}

fn refused(error: slip132::DescriptorError) -> Failure {
    let hint = match &error {
        slip132::DescriptorError::NeedsSigners(_) => "; name all cosigners, and --threshold",
        slip132::DescriptorError::MixedSigners(_) => "; --xtype takes all keys as of one type",
        _ => "",
    };
    Failure::refused(format!("{error}{hint}"))
}

/// The first addresses to receive and for change.
fn addresses(
    descriptor: &Descriptor,
    count: u32,
    network: Option<AddressNetwork>,
) -> Option<[Vec<String>; 2]> {
    let own = match descriptor.signers().first()?.key.network() {
        Network::Mainnet => AddressNetwork::Bitcoin,
        _ => AddressNetwork::Testnet,
    };
    let branches = descriptor
        .to_miniscript()
        .ok()?
        .into_single_descriptors()
        .ok()?;
    let mut lists = branches.into_iter().map(|branch| {
        let address = |index| {
            let derived = branch.at_derivation_index(index).ok()?;
            Some(derived.address(network.unwrap_or(own)).ok()?.to_string())
        };
        (0..count).map(address).collect::<Option<Vec<_>>>()
    });
    Some([lists.next()??, lists.next()??])
}

/// What a key alone is described with: both descriptors and the first addresses.
pub(super) fn single_fields(descriptor: &Descriptor) -> Map<String, Value> {
    let mut fields = Map::new();
    let branches = [Branch::Receive, Branch::Change];
    let signer = descriptor.signers().first();
    let texts = branches.map(|branch| {
        let single = Descriptor::single(signer?.clone(), branch).ok()?;
        Some(single.encode())
    });
    fields.insert("descriptors".into(), json!(texts));
    if let Some([receiving, change]) = addresses(descriptor, 3, None) {
        fields.insert("addresses_0_0_to_2".into(), json!(receiving));
        fields.insert("addresses_1_0".into(), json!(change.get(..1)));
    }
    fields
}
