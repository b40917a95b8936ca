//! Published descriptors and their addresses, and what is refused.

#![allow(clippy::unwrap_used, clippy::indexing_slicing)]

use serde_json::Value;
use slip132::{Branch, Descriptor, DescriptorError, ExtendedKey, Kind, Origin};

fn list(name: &str) -> Vec<Value> {
    let data: Value = serde_json::from_str(include_str!("data/slip132.json")).unwrap();
    data[name].as_array().unwrap().clone()
}

#[test]
fn a_key_has_its_descriptors() {
    let mut seen = 0;
    for record in list("vectors") {
        let (Some(key), Some(expected)) =
            (record["key"].as_str(), record["descriptors"].as_array())
        else {
            continue;
        };
        let key = ExtendedKey::parse(key).unwrap().to_public();
        for (branch, expected) in [Branch::Receive, Branch::Change].into_iter().zip(expected) {
            let expected = expected.as_str().unwrap();
            let descriptor = Descriptor::single(key.clone().into(), branch).unwrap();
            assert_eq!(descriptor.encode(), expected);
            assert_eq!(expected.parse(), Ok(descriptor));
            seen += 1;
        }
    }
    assert!(seen > 10, "{seen}");
}

#[test]
fn wallets_have_their_descriptors() {
    for record in list("multisig_descriptors") {
        for field in ["descriptor_external", "descriptor_change"] {
            let Some(expected) = record[field].as_str() else {
                continue;
            };
            let descriptor: Descriptor = expected
                .parse()
                .unwrap_or_else(|e| panic!("{expected}: {e}"));
            let written = descriptor.encode();
            assert_eq!(written.split('#').next(), expected.split('#').next());
            if expected.contains('#') {
                assert_eq!(written, expected);
            }
            let keys = record["master_keys"].as_array().unwrap();
            assert_eq!(keys.len(), descriptor.signers().len());
            for (signer, key) in descriptor.signers().iter().zip(keys) {
                assert_eq!(
                    signer.key.to_public().encode(),
                    key["xpub"].as_str().unwrap()
                );
            }
        }
    }
}

#[cfg(feature = "miniscript")]
#[test]
fn miniscript_derives_the_published_addresses() {
    use miniscript::bitcoin::Network;
    let check = |descriptor: &Descriptor, network, expected: &[Value]| {
        let descriptor = descriptor.to_miniscript().unwrap();
        for (index, expected) in expected.iter().enumerate() {
            let derived = descriptor.at_derivation_index(index as u32).unwrap();
            assert_eq!(
                &derived.address(network).unwrap().to_string(),
                expected.as_str().unwrap()
            );
        }
    };
    for record in list("vectors") {
        let (Some(key), Some(expected)) = (
            record["key"].as_str(),
            record["addresses_0_0_to_2"].as_array(),
        ) else {
            continue;
        };
        let key = ExtendedKey::parse(key).unwrap();
        let network = match key.network() {
            slip132::Network::Mainnet => Network::Bitcoin,
            _ => Network::Testnet,
        };
        let receive = Descriptor::single(key.clone().into(), Branch::Receive).unwrap();
        check(&receive, network, expected);
        let change = Descriptor::single(key.into(), Branch::Change).unwrap();
        check(
            &change,
            network,
            record["addresses_1_0"].as_array().unwrap(),
        );
    }
}

#[test]
fn what_has_no_descriptor_is_refused() {
    let key: ExtendedKey = "xpub6BosfCnifzxcFwrSzQiqu2DBVTshkCXacvNsWGYJVVhhawA7d4R5WSWGFNbi8Aw6ZRc1brxMyWMzG3DSSSSoekkudhUd9yLb6qx39T9nMdj".parse().unwrap();
    let kind = |kind| key.with_kind(kind).unwrap();
    let single = |kind_| Descriptor::single(kind(kind_).into(), Branch::Receive);
    assert_eq!(
        single(Kind::P2wsh),
        Err(DescriptorError::NeedsSigners(Kind::P2wsh))
    );
    let multi = |threshold, keys: &[Kind]| {
        let signers = keys.iter().map(|one| kind(*one).into()).collect();
        Descriptor::multi(threshold, signers, Branch::Receive)
    };
    assert!(multi(1, &[Kind::P2wsh]).is_ok());
    assert_eq!(
        multi(1, &[Kind::P2wpkh]),
        Err(DescriptorError::SingleSigner(Kind::P2wpkh))
    );
    assert_eq!(
        multi(1, &[Kind::P2wsh; 2]),
        Err(DescriptorError::RepeatedSigner(1))
    );
    assert_eq!(
        multi(1, &[Kind::P2wsh, Kind::Standard]),
        Err(DescriptorError::MixedSigners(1))
    );
    assert!(matches!(
        multi(0, &[Kind::P2wsh]),
        Err(DescriptorError::Threshold { .. })
    ));
    assert!(matches!(
        multi(2, &[Kind::P2wsh]),
        Err(DescriptorError::Threshold { .. })
    ));
    assert!(matches!(
        multi(1, &[]),
        Err(DescriptorError::Threshold { .. })
    ));

    let good = single(Kind::P2wpkh).unwrap().encode();
    let bad = good.replace("/0/*", "/1/*").parse::<Descriptor>();
    assert!(matches!(bad, Err(DescriptorError::Checksum { .. })));
    assert!("tr(x)".parse::<Descriptor>().is_err());
}

#[test]
fn origins_are_kept() {
    let text = "wpkh([d34db33f/84'/0h/0H]xpub6BosfCnifzxcFwrSzQiqu2DBVTshkCXacvNsWGYJVVhhawA7d4R5WSWGFNbi8Aw6ZRc1brxMyWMzG3DSSSSoekkudhUd9yLb6qx39T9nMdj/<0;1>/*)";
    let descriptor: Descriptor = text.parse().unwrap();
    assert_eq!(descriptor.branch(), Branch::Both);
    let written = descriptor.encode();
    assert!(
        written.starts_with("wpkh([d34db33f/84h/0h/0h]xpub6B"),
        "{written}"
    );
    assert_eq!(written.parse(), Ok(descriptor));
    for bad in [
        "d34db33",
        "+34db33f",
        "d34db33f/",
        "d34db33f/2147483648",
        "d34db33f/+1",
        "d34db33f/0hh",
    ] {
        assert_eq!(bad.parse::<Origin>(), Err(DescriptorError::Origin), "{bad}");
    }
}
