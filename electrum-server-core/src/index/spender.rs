//! Which scripts the inputs of a transaction show to have spent from.
//!
//! An input names an output and not its script, but mostly shows what that script commits to: a public key or a script. Not
//! so P2PK, bare scripts, and Taproot's key path, of which there is only a signature.

use bitcoin::hashes::Hash;
use bitcoin::script::Instruction;
use bitcoin::{ScriptBuf, Transaction, TxIn, WPubkeyHash, hashes};

/// Returns the scripts that an input may have spent from; those that it did not spend from are scripts of nobody.
pub(super) fn scripts(tx: &Transaction, input: usize) -> Vec<ScriptBuf> {
    tx.input.get(input).map_or_else(Vec::new, of_input)
}

fn of_input(input: &TxIn) -> Vec<ScriptBuf> {
    let pushes = input.script_sig.instructions().filter_map(Result::ok);
    let last = pushes.last();
    let mut found = Vec::new();
    if let Some(Instruction::PushBytes(push)) = last {
        let push = push.as_bytes();
        // A redeem script, or a public key.
        found.push(ScriptBuf::from_bytes(push.to_vec()).to_p2sh());
        if matches!(push.len(), 33 | 65) {
            let hash = hashes::hash160::Hash::hash(push);
            found.push(ScriptBuf::new_p2pkh(&hash.into()));
        }
    }
    if input.script_sig.is_empty()
        && let Some(last) = input.witness.last()
    {
        if input.witness.len() == 2 && last.len() == 33 {
            found.push(ScriptBuf::new_p2wpkh(&WPubkeyHash::hash(last)));
        }
        found.push(ScriptBuf::from_bytes(last.to_vec()).to_p2wsh());
    }
    found
}

#[cfg(test)]
mod tests {
    use bitcoin::consensus::encode::deserialize_hex;

    use super::*;

    /// The signed transactions of BIP 143, with the scripts that their inputs spend from.
    #[test]
    fn the_inputs_of_bip_143_show_their_scripts() {
        // P2PK, P2WPKH.
        let native: Transaction = deserialize_hex("01000000000102fff7f7881a8099afa6940d42d1e7f6362bec38171ea3edf433541db4e4ad969f00000000494830450221008b9d1dc26ba6a9cb62127b02742fa9d754cd3bebf337f7a55d114c8e5cdd30be022040529b194ba3f9281a99f2b1c0a19c0489bc22ede944ccf4ecbab4cc618ef3ed01eeffffffef51e1b804cc89d182d279655c3aa89e815b1b309fe287d9b2b55d57b90ec68a0100000000ffffffff02202cb206000000001976a9148280b37df378db99f66f85c95a783a76ac7a6d5988ac9093510d000000001976a9143bde42dbee7e4dbe6a21b2d50ce2f0167faa815988ac000247304402203609e17b84f6a7d30c80bfa610b5b4542f32a8a0d5447a12fb1366d7f01cc44a0220573a954c4518331561406f90300e8f3358f51928d43c212a8caed02de67eebee0121025476c2e83188368da1ff3e292e7acafcdb3566bb0ad253f62fc70f07aeee635711000000").unwrap();
        let shown: Vec<String> = scripts(&native, 1)
            .iter()
            .map(|script| script.to_hex_string())
            .collect();
        assert!(
            shown.contains(&"00141d0f172a0ecb48aee1be1f2687d2963ae33f71a1".to_owned()),
            "{shown:?}"
        );
        // P2WPKH in P2SH.
        let nested: Transaction = deserialize_hex("01000000000101db6b1b20aa0fd7b23880be2ecbd4a98130974cf4748fb66092ac4d3ceb1a5477010000001716001479091972186c449eb1ded22b78e40d009bdf0089feffffff02b8b4eb0b000000001976a914a457b684d7f0d539a46a45bbc043f35b59d0d96388ac0008af2f000000001976a914fd270b1ee6abcaea97fea7ad0402e8bd8ad6d77c88ac02473044022047ac8e878352d3ebbde1c94ce3a10d057c24175747116f8288e5d794d12d482f0220217f36a485cae903c713331d877c1f64677e3622ad4010726870540656fe9dcb012103ad1d8e89212f0b92c74d23bb710c00662ad1470198ac48c43f7d6f93a2a2687392040000").unwrap();
        let shown: Vec<String> = scripts(&nested, 0)
            .iter()
            .map(|script| script.to_hex_string())
            .collect();
        assert_eq!(shown, ["a9144733f37cf4db86fbc2efed2500b4f4e49f31202387"]);
        assert!(scripts(&nested, 7).is_empty());
    }
}
