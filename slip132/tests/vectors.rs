//! Published keys, and what is known of them (`data/slip132.json` names the source of each).

#![allow(clippy::unwrap_used, clippy::indexing_slicing)]

use serde_json::Value;
use slip132::{ExtendedKey, Kind, Network, ParseError, Rules, registry};

fn data() -> Value {
    serde_json::from_str(include_str!("data/slip132.json")).unwrap()
}

fn list(name: &str) -> Vec<Value> {
    data()[name].as_array().unwrap().clone()
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

fn text<'a>(record: &'a Value, field: &str) -> &'a str {
    record[field].as_str().unwrap()
}

fn version(record: &Value, field: &str) -> u32 {
    u32::from_str_radix(text(record, field), 16).unwrap()
}

#[test]
fn the_registry_is_whole() {
    let table = list("slip132_table");
    assert_eq!(table.len(), registry::REGISTRY.len());
    for (record, row) in table.iter().zip(registry::REGISTRY) {
        let coin = match row.network {
            Network::Mainnet => "Bitcoin",
            Network::Testnet => "Bitcoin Testnet",
            other => other.name(),
        };
        assert_eq!(text(record, "coin"), coin);
        assert_eq!(text(record, "script"), row.script);
        assert_eq!(version(record, "pub_version"), row.public);
        assert_eq!(version(record, "prv_version"), row.private);
        assert_eq!(record["bip32_path"].as_str(), row.path);
        let listed = ["pub_prefix", "prv_prefix"].map(|name| text(record, name));
        assert_eq!(listed, row.listed_prefixes);
        let fields = ["actual_base58_prefix_pub", "actual_base58_prefix_prv"];
        assert_eq!(fields.map(|name| text(record, name)), row.prefixes);
    }
}

#[test]
fn electrum_s_table_is_ours() {
    for record in list("electrum_version_bytes") {
        let network = Network::from_name(text(&record, "network")).unwrap();
        let kind = Kind::from_xtype(text(&record, "xtype")).unwrap();
        let row = registry::row(network, kind).unwrap();
        assert_eq!(version(&record, "pub_version"), row.public);
        assert_eq!(version(&record, "prv_version"), row.private);
    }
}

#[test]
fn keys_are_read_converted_and_written() {
    for record in list("vectors") {
        let Some(written) = record["key"].as_str() else {
            continue;
        };
        let key: ExtendedKey = written.parse().unwrap();
        assert_eq!(key.encode(), written);
        let check = |field: &str, found: Value| {
            if !record[field].is_null() {
                assert_eq!(record[field], found, "{field} of {written}");
            }
        };
        check("network", key.network().name().into());
        check("payload_hex", hex(&*key.to_payload()).into());
        check("version", format!("{:08x}", key.version()).into());
        check("xtype", key.kind().xtype().into());
        check("private", key.is_private().into());
        check("depth", key.depth().into());
        check("parent_fingerprint", hex(&key.parent_fingerprint()).into());
        check("child_number", format!("{:08x}", key.child_number()).into());
        check("chaincode", hex(key.chain_code()).into());
        check("pubkey", hex(key.public_key()).into());
        check("fingerprint", hex(&key.fingerprint()).into());
        for kind in Kind::ALL {
            let converted = key.with_kind(kind).unwrap();
            let expected = &record["converted"][kind.xtype()];
            let both = expected.as_object();
            let public = both.map_or(expected, |both| &both["pub"]);
            if !public.is_null() {
                assert_eq!(converted.to_public().encode(), public.as_str().unwrap());
            }
            if let Some(private) = both.and_then(|both| both.get("prv")?.as_str()) {
                assert_eq!(converted.encode(), private);
            }
            let other = match key.network() {
                Network::Mainnet => Network::Testnet,
                _ => Network::Mainnet,
            };
            let other = converted.to_public().with_network(other).unwrap();
            if let Some(text) = record["converted_other_network"][kind.xtype()].as_str() {
                assert_eq!(other.encode(), text);
            }
        }
    }
}

#[test]
fn what_is_no_key_is_refused_and_electrum_s_leniency_is_at_hand() {
    for record in list("invalid_keys") {
        let key = text(&record, "key");
        assert!(ExtendedKey::parse(key).is_err(), "{record}");
        let accepted = record["electrum_4_8_1_BIP32Node_from_xkey"] == "accepted";
        let networks = [Network::Mainnet, Network::Testnet];
        let lenient = ExtendedKey::parse_with(key, &networks, Rules::Electrum);
        assert_eq!(lenient.is_ok(), accepted, "{record}: {lenient:?}");
    }
}

#[test]
fn unknown_versions_say_what_they_look_like() {
    let check = |version: u32, expected: &str| {
        let key: ExtendedKey = "xpub661MyMwAqRbcFWohJWt7PHsFEJfZAvw9ZxwQoDa4SoMgsDDM1T7WK3u9E4edkC4ugRnZ8E4xDZRpk8Rnts3Nbt97dPwT52CwBdDWroaZf8U".parse().unwrap();
        let mut payload = key.to_payload();
        payload[..4].copy_from_slice(&version.to_be_bytes());
        let error = ExtendedKey::from_payload(&*payload, &[Network::Mainnet], Rules::Bip32);
        let error = error.unwrap_err();
        assert!(matches!(error, ParseError::Version { .. }));
        assert_eq!(error.to_string(), expected);
    };
    check(
        0x019d_a462,
        "version bytes 019da462 are not known here; they are those of a public key of Litecoin (P2PKH or P2SH)",
    );
    check(
        0x0242_85ef,
        "version bytes 024285ef are not known here; Electrum 3.1.0 to 3.1.2 wrote them for Upub (p2wsh-p2sh on testnet)",
    );
    check(
        0x0435_8395,
        "version bytes 04358395 are not known here; Electrum 2.8 and 2.9 wrote them for a private segwit key",
    );
    check(0x0101_0101, "version bytes 01010101 are not known here");
}
