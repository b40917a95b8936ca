//! Where keys come from (`data/slip132.json` names the sources).

#![allow(clippy::unwrap_used, clippy::indexing_slicing)]

use serde_json::Value;
use slip132::{ExtendedKey, Kind, Origin, OriginError};

fn list(name: &str) -> Vec<Value> {
    let data: Value = serde_json::from_str(include_str!("data/slip132.json")).unwrap();
    data[name].as_array().unwrap().clone()
}

#[test]
fn a_key_agrees_with_its_origin_where_electrum_says_so() {
    for record in list("key_origin_consistency") {
        let Some(path) = record["derivation_prefix"].as_str() else {
            continue;
        };
        let fingerprint = record["root_fingerprint"].as_str().unwrap();
        let origin: Origin = path.replacen('m', fingerprint, 1).parse().unwrap();
        let key: ExtendedKey = record["key"].as_str().unwrap().parse().unwrap();
        assert_eq!(
            origin.check(&key).is_ok(),
            record["consistent"].as_bool().unwrap(),
            "{record}"
        );
    }
}

#[test]
fn what_contradicts_is_named() {
    let key: ExtendedKey = "zpub6nsHdRuY92FsMKdbn9BfjBCG6X8pyhCibNP6uDvpnw2cyrVhecvHRMa3Ne8kdJZxjxgwnpbHLkcR4bfnhHy6auHPJyDTQ3kianeuVLdkCYQ".parse().unwrap();
    let check = |origin: &str| origin.parse::<Origin>().unwrap().check(&key);
    assert_eq!(check("[b2e35a7d/0h]"), Ok(()));
    assert_eq!(
        check("b2e35a7d"),
        Err(OriginError::Depth { depth: 1, steps: 0 })
    );
    let (hardened, path) = (1 << 31, 0);
    assert_eq!(
        check("b2e35a7d/0"),
        Err(OriginError::ChildNumber {
            key: hardened,
            path
        })
    );
    assert_eq!(
        check("aaaaaaaa/0h").unwrap_err().to_string(),
        "the master key's fingerprint is b2e35a7d, not aaaaaaaa"
    );
}

#[test]
fn paths_have_kinds() {
    let kind = |path: &str| {
        let path = path.trim_end_matches('/').replacen('m', "00000000", 1);
        Kind::from_path(&path.parse::<Origin>().unwrap().path)
    };
    for record in list("xtype_from_derivation") {
        let path = record["derivation"].as_str().unwrap();
        assert_eq!(
            kind(path),
            record["xtype"].as_str().and_then(Kind::from_xtype),
            "{path}"
        );
    }
    for path in ["m", "m/44", "m/48'/0'/0'", "m/48'/0'/0'/3'", "m/86'"] {
        assert_eq!(kind(path), None, "{path}");
    }
}
