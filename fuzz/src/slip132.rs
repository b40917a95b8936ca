//! Targets for `electrum-slip132`: keys, descriptors and origins.

use slip132::{Branch, Descriptor, ExtendedKey, Kind, Network, Origin, Rules};

/// Keys, of bytes and of text: what is read is written back, and survives every conversion.
pub fn key(data: &[u8]) {
    for rules in [Rules::Bip32, Rules::Electrum] {
        if let Ok(key) = ExtendedKey::from_payload(data, Network::ALL, rules) {
            check(&key);
        }
        let Ok(text) = core::str::from_utf8(data) else {
            continue;
        };
        match ExtendedKey::parse_with(text, Network::ALL, rules) {
            Ok(key) => {
                assert!(rules == Rules::Electrum || key.encode() == text);
                check(&key);
            }
            Err(error) => assert!(!error.to_string().is_empty()),
        }
    }
}

fn check(key: &ExtendedKey) {
    let again = ExtendedKey::parse_with(&key.encode(), &[key.network()], Rules::Electrum);
    assert_eq!(again.as_ref(), Ok(key));
    let public = key.to_public();
    assert_eq!(public.fingerprint(), key.fingerprint());
    assert!(!public.is_private());
    for network in Network::ALL {
        for kind in Kind::ALL {
            let there = key
                .with_network(*network)
                .and_then(|key| key.with_kind(kind));
            let back = there.and_then(|key_| {
                key_.with_kind(key.kind())
                    .and_then(|key_| key_.with_network(key.network()))
            });
            assert!(back.is_err() || back.as_ref() == Ok(key));
        }
    }
    if let Ok(descriptor) = Descriptor::single(public.into(), Branch::Both) {
        self::descriptor(descriptor.encode().as_bytes());
    }
}

/// Descriptors and origins: what is read is written, and read as the same again.
pub fn descriptor(data: &[u8]) {
    let Ok(text) = core::str::from_utf8(data) else {
        return;
    };
    if let Ok(descriptor) = text.parse::<Descriptor>() {
        assert_eq!(descriptor.encode().parse(), Ok(descriptor));
    }
    if let Ok(origin) = text.parse::<Origin>() {
        assert_eq!(origin.to_string().parse(), Ok(origin));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Each body over keys and descriptors, whole, cut short and changed at every byte.
    #[test]
    fn bodies_run_on_stable() {
        let zpub = "zpub6nsHdRuY92FsMKdbn9BfjBCG6X8pyhCibNP6uDvpnw2cyrVhecvHRMa3Ne8kdJZxjxgwnpbHLkcR4bfnhHy6auHPJyDTQ3kianeuVLdkCYQ";
        let payload = *ExtendedKey::parse(zpub).unwrap().to_payload();
        let signer = ExtendedKey::parse(zpub).unwrap();
        let descriptor = Descriptor::single(signer.into(), Branch::Both).unwrap();
        let inputs = [
            zpub.as_bytes(),
            &payload,
            descriptor.encode().as_bytes(),
            b"[d34db33f/84h/0'/0]",
        ]
        .map(<[u8]>::to_vec);
        for input in inputs {
            for place in 0..input.len() {
                let mut changed = input.clone();
                changed[place] ^= 1;
                for data in [&input[..place], &input, &changed] {
                    key(data);
                    super::descriptor(data);
                }
            }
        }
    }
}
