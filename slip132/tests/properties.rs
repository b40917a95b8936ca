//! What holds of every key and every text.

#![allow(clippy::unwrap_used, clippy::indexing_slicing)]

use proptest::prelude::*;
use slip132::{
    Branch, Descriptor, ExtendedKey, Kind, Network, Origin, ParseError, Rules, Signer, registry,
};

/// Payloads of good keys of any row: public ones are made from the private ones.
fn key() -> impl Strategy<Value = ExtendedKey> {
    let rest = (any::<[u8; 4]>(), any::<u32>(), any::<[u8; 32]>());
    let rows = 0..registry::REGISTRY.len();
    (rows, any::<bool>(), any::<u8>(), rest, any::<[u8; 32]>()).prop_filter_map(
        "a scalar of the curve",
        |(row, private, depth, (parent, child, chain_code), secret)| {
            let row = registry::REGISTRY[row];
            let (parent, child) = match depth {
                0 => ([0; 4], 0),
                _ => (parent, child),
            };
            let mut payload = row.private.to_be_bytes().to_vec();
            payload.push(depth);
            payload.extend(parent);
            payload.extend(child.to_be_bytes());
            payload.extend(chain_code);
            payload.push(0);
            payload.extend(secret);
            let key = ExtendedKey::from_payload(&payload, &[row.network], Rules::Bip32).ok()?;
            Some(if private { key } else { key.to_public() })
        },
    )
}

fn path() -> impl Strategy<Value = Vec<u32>> {
    prop::collection::vec(any::<u32>(), 0..6)
}

proptest! {
    #[test]
    fn what_is_written_is_read(key in key()) {
        let text = key.encode();
        prop_assert!((111..=112).contains(&text.len()));
        let row = registry::row(key.network(), key.kind()).unwrap();
        prop_assert!(text.starts_with(row.prefixes[usize::from(key.is_private())]), "{text}");
        for rules in [Rules::Bip32, Rules::Electrum] {
            let read = ExtendedKey::parse_with(&text, &[key.network()], rules);
            prop_assert_eq!(read.as_ref(), Ok(&key));
        }
        let payload = ExtendedKey::from_payload(&*key.to_payload(), &[key.network()], Rules::Bip32);
        prop_assert_eq!(payload, Ok(key));
    }

    #[test]
    fn conversions_change_the_version_only(key in key()) {
        for network in [Network::Mainnet, Network::Testnet] {
            for kind in Kind::ALL {
                let Ok(other) = key.with_network(network).and_then(|key| key.with_kind(kind)) else {
                    prop_assert!(registry::row(network, key.kind()).is_none());
                    continue;
                };
                prop_assert_eq!(&other.to_payload()[4..], &key.to_payload()[4..]);
                prop_assert_eq!(&other.version().to_be_bytes()[..], &other.to_payload()[..4]);
                prop_assert_eq!(&other.to_public().encode().parse(), &Ok(other.to_public()));
            }
        }
    }

    #[test]
    fn a_mistyped_character_is_noticed(key in key(), place in 0_usize..111, typed in "[1-9A-HJ-NP-Za-km-z]") {
        let mut text = key.encode();
        let same = text[place..=place] == typed;
        text.replace_range(place..=place, &typed);
        let read = ExtendedKey::parse_with(&text, Network::ALL, Rules::Electrum);
        prop_assert_eq!(read.is_ok(), same);
    }

    #[test]
    fn debug_output_keeps_secrets(key in key()) {
        prop_assume!(key.is_private());
        let shown = format!("{key:?}");
        let hex = |bytes: &[u8]| bytes.iter().map(|byte| format!("{byte:02x}")).collect::<String>();
        prop_assert!(!shown.contains(&hex(key.secret_bytes().unwrap())));
        prop_assert!(!shown.contains(&key.encode()));
        prop_assert!(shown.len() < 200);
    }

    #[test]
    fn descriptors_are_read_again(key in key(), path in path(), branch in 0..3) {
        let branch = [Branch::Receive, Branch::Change, Branch::Both][branch as usize];
        let origin = Some(Origin { fingerprint: key.parent_fingerprint(), path });
        let signer = Signer { key: key.clone(), origin };
        let single = Descriptor::single(signer.clone(), branch);
        let several = Descriptor::multi(1, vec![signer], branch);
        let bitcoin = matches!(key.network(), Network::Mainnet | Network::Testnet);
        prop_assert_eq!(single.is_ok() || several.is_ok(), bitcoin);
        for descriptor in [single, several].into_iter().flatten() {
            prop_assert_eq!(descriptor.encode().parse(), Ok(descriptor));
        }
    }

    #[test]
    fn origins_are_read_again(fingerprint: [u8; 4], path in path()) {
        let origin = Origin { fingerprint, path };
        prop_assert_eq!(origin.to_string().parse(), Ok(origin));
    }

    #[test]
    fn no_text_and_no_bytes_panic(text in any::<String>(), bytes: Vec<u8>, written in "[1-9A-HJ-NP-Za-km-z]{0,130}") {
        for text in [&text, &written] {
            prop_assert!(ExtendedKey::parse_with(text, Network::ALL, Rules::Electrum).is_err());
            prop_assert!(text.parse::<Descriptor>().is_err());
            let _ = text.parse::<Origin>();
        }
        let read = ExtendedKey::from_payload(&bytes, Network::ALL, Rules::Electrum);
        prop_assert!(bytes.len() == 78 || read == Err(ParseError::Length(bytes.len())));
    }
}
