//! Transactions and blocks as Bitcoin Core describes them in JSON.

use bitcoin::consensus::encode::serialize_hex;
use bitcoin::hex::DisplayHex;
use bitcoin::script::Instruction;
use bitcoin::sighash::EcdsaSighashType;
use bitcoin::{
    Address, Amount, Block, BlockHash, Network, Script, Transaction, TxIn, TxOut, ecdsa,
};
use serde_json::{Map, Value, json};

use super::chain::Chain;
use super::policy::{self, Kind};
use super::rules::Coin;

/// The same in the form of a header, and as a difficulty.
pub(super) const BITS: &str = "207fffff";
pub(super) const DIFFICULTY: f64 = 4.656542373906925e-10;
/// What every hash of a block must be below.
pub(super) const TARGET: &str = "7fffff0000000000000000000000000000000000000000000000000000000000";

/// An amount as a number of whole bitcoins.
///
/// The nearest binary fraction of every amount prints as the decimal number that was meant.
pub(super) fn btc(sat: u64) -> Value {
    json!(sat as f64 / 1e8)
}

/// A transaction, as `decoderawtransaction` describes it.
pub(super) fn transaction(tx: &Transaction) -> Map<String, Value> {
    let vout: Vec<Value> = (0..)
        .zip(&tx.output)
        .map(
            |(
                n,
                TxOut {
                    value,
                    script_pubkey,
                },
            )| {
                json!({"value": btc(value.to_sat()), "n": n, "scriptPubKey": script(script_pubkey)})
            },
        )
        .collect();
    object(json!({
        "txid": tx.compute_txid(),
        "hash": tx.compute_wtxid(),
        "version": tx.version.0 as u32,
        "size": tx.total_size(),
        "vsize": tx.vsize(),
        "weight": tx.weight().to_wu(),
        "locktime": tx.lock_time.to_consensus_u32(),
        "vin": tx.input.iter().map(|txin| input(txin, tx.is_coinbase())).collect::<Vec<_>>(),
        "vout": vout,
        "hex": serialize_hex(tx),
    }))
}

/// A transaction and what is known of its block, as `getrawtransaction` describes it.
pub(super) fn placed_transaction(
    chain: &Chain,
    tx: &Transaction,
    block: Option<&BlockHash>,
) -> Map<String, Value> {
    let mut described = transaction(tx);
    let Some(entry) = block.and_then(|hash| chain.entry(hash)) else {
        return described;
    };
    let hash = entry.block.block_hash();
    let active = chain.is_active(&hash);
    let confirmations = if active {
        chain.height() - entry.height + 1
    } else {
        0
    };
    described.insert("in_active_chain".to_owned(), json!(active));
    described.insert("blockhash".to_owned(), json!(hash));
    described.insert("confirmations".to_owned(), json!(confirmations));
    described.insert("time".to_owned(), json!(entry.block.header.time));
    described.insert("blocktime".to_owned(), json!(entry.block.header.time));
    described
}

/// A header, as `getblockheader` describes it.
pub(super) fn header(chain: &Chain, hash: &BlockHash) -> Option<Map<String, Value>> {
    let entry = chain.entry(hash)?;
    let header = &entry.block.header;
    let confirmations = match chain.is_active(hash) {
        true => i64::from(chain.height() - entry.height) + 1,
        false => -1,
    };
    let mut described = object(json!({
        "hash": hash,
        "confirmations": confirmations,
        "height": entry.height,
        "version": header.version.to_consensus(),
        "versionHex": format!("{:08x}", header.version.to_consensus()),
        "merkleroot": header.merkle_root,
        "time": header.time,
        "mediantime": chain.median_time(hash),
        "nonce": header.nonce,
        "bits": format!("{:08x}", header.bits.to_consensus()),
        "target": TARGET,
        "difficulty": header.difficulty_float(),
        "chainwork": format!("{:064x}", (u64::from(entry.height) + 1) * 2),
        "nTx": entry.block.txdata.len(),
    }));
    if entry.height > 0 {
        described.insert("previousblockhash".to_owned(), json!(header.prev_blockhash));
    }
    if let (true, Some(next)) = (confirmations > 0, chain.active_hash(entry.height + 1)) {
        described.insert("nextblockhash".to_owned(), json!(next));
    }
    Some(described)
}

/// What `getblock` adds to the header: the transactions by their txids, or whole.
pub(super) fn add_transactions(
    described: &mut Map<String, Value>,
    block: &Block,
    spent: Option<&[Vec<Coin>]>,
    whole: bool,
) {
    let tx: Vec<Value> = block
        .txdata
        .iter()
        .enumerate()
        .map(|(at, tx)| match whole {
            true => {
                let mut described = transaction(tx);
                let spent = spent.and_then(|spent| spent.get(at));
                if let Some(fee) = spent.and_then(|spent| fee(tx, spent)) {
                    described.insert("fee".to_owned(), btc(fee));
                }
                Value::Object(described)
            }
            false => json!(tx.compute_txid()),
        })
        .collect();
    let stripped = block
        .weight()
        .to_wu()
        .saturating_sub(block.total_size() as u64)
        / 3;
    described.insert("size".to_owned(), json!(block.total_size()));
    described.insert("strippedsize".to_owned(), json!(stripped));
    described.insert("weight".to_owned(), json!(block.weight().to_wu()));
    described.insert("tx".to_owned(), Value::Array(tx));
}

/// What a transaction of a block paid; nothing for the coinbase.
fn fee(tx: &Transaction, spent: &[Coin]) -> Option<u64> {
    let paid: Amount = tx.output.iter().map(|output| output.value).sum();
    let spent: Amount = spent.iter().map(|coin| coin.output.value).sum();
    let fee = spent.checked_sub(paid)?;
    (!tx.is_coinbase()).then_some(fee.to_sat())
}

fn input(input: &TxIn, is_coinbase: bool) -> Value {
    let mut described = match is_coinbase {
        true => object(json!({"coinbase": input.script_sig.as_bytes().to_lower_hex_string()})),
        false => object(json!({
            "txid": input.previous_output.txid,
            "vout": input.previous_output.vout,
            "scriptSig": {
                "asm": asm(&input.script_sig, true),
                "hex": input.script_sig.as_bytes().to_lower_hex_string(),
            },
        })),
    };
    if !input.witness.is_empty() {
        let items: Vec<String> = input
            .witness
            .iter()
            .map(|item| item.to_lower_hex_string())
            .collect();
        described.insert("txinwitness".to_owned(), json!(items));
    }
    described.insert("sequence".to_owned(), json!(input.sequence.0));
    Value::Object(described)
}

/// An output script.
pub(super) fn script(script: &Script) -> Value {
    let mut described = object(json!({
        "asm": asm(script, false),
        "hex": script.as_bytes().to_lower_hex_string(),
        "type": type_name(script),
    }));
    if let Ok(address) = Address::from_script(script, Network::Regtest) {
        described.insert("address".to_owned(), json!(address.to_string()));
    }
    Value::Object(described)
}

fn type_name(script: &Script) -> &'static str {
    match policy::kind(script) {
        Kind::ScriptHash => "scripthash",
        Kind::Data => "nulldata",
        Kind::FutureWitness => "witness_unknown",
        Kind::Unknown => "nonstandard",
        Kind::Known if script.is_p2pk() => "pubkey",
        Kind::Known if script.is_p2pkh() => "pubkeyhash",
        Kind::Known if script.is_p2wpkh() => "witness_v0_keyhash",
        Kind::Known if script.is_p2wsh() => "witness_v0_scripthash",
        Kind::Known if script.is_p2tr() => "witness_v1_taproot",
        Kind::Known if policy::is_p2a(script) => "anchor",
        Kind::Known => "multisig",
    }
}

/// A script in words: small pushes as numbers, others in hexadecimal, and where there may be signatures, those with the
/// name of what they sign.
fn asm(script: &Script, with_signatures: bool) -> String {
    let mut words = Vec::new();
    for instruction in script.instructions() {
        words.push(match instruction {
            Ok(Instruction::PushBytes(push)) if push.len() <= 4 => {
                bitcoin::script::read_scriptint_non_minimal(push.as_bytes())
                    .map_or_else(|_| "[error]".to_owned(), |number| number.to_string())
            }
            Ok(Instruction::PushBytes(push)) => {
                let named = with_signatures
                    .then(|| signature(push.as_bytes()))
                    .flatten();
                named.unwrap_or_else(|| push.as_bytes().to_lower_hex_string())
            }
            Ok(Instruction::Op(op)) => match op.to_u8() {
                0x4f => "-1".to_owned(),
                number @ 0x51..=0x60 => (number - 0x50).to_string(),
                _ => op.to_string(),
            },
            Err(_) => "[error]".to_owned(),
        });
    }
    words.join(" ")
}

/// A signature, its last byte in words; nothing when it is none.
fn signature(push: &[u8]) -> Option<String> {
    let signed = ecdsa::Signature::from_slice(push).ok()?.sighash_type;
    let name = match signed {
        EcdsaSighashType::All => "ALL",
        EcdsaSighashType::None => "NONE",
        EcdsaSighashType::Single => "SINGLE",
        EcdsaSighashType::AllPlusAnyoneCanPay => "ALL|ANYONECANPAY",
        EcdsaSighashType::NonePlusAnyoneCanPay => "NONE|ANYONECANPAY",
        EcdsaSighashType::SinglePlusAnyoneCanPay => "SINGLE|ANYONECANPAY",
    };
    let (_, bytes) = push.split_last()?;
    Some(format!("{}[{name}]", bytes.to_lower_hex_string()))
}

/// The members of a value that is written as an object.
pub(super) fn object(value: Value) -> Map<String, Value> {
    match value {
        Value::Object(map) => map,
        _ => Map::new(),
    }
}

#[cfg(test)]
mod tests {
    use bitcoin::hashes::Hash;
    use bitcoin::{OutPoint, ScriptBuf, Sequence, Txid, Witness, absolute, transaction};
    use proptest::collection::vec;
    use proptest::prelude::*;

    use super::*;
    use crate::session::least_verbose;

    fn bytes() -> impl Strategy<Value = Vec<u8>> {
        let length = prop_oneof![8 => 0..4usize, 4 => 250..260usize, 1 => 0..5000usize];
        (length, any::<u8>()).prop_map(|(length, byte)| vec![byte; length])
    }

    fn input() -> impl Strategy<Value = TxIn> {
        (bytes(), vec(bytes(), 0..20)).prop_map(|(script_sig, witness)| TxIn {
            previous_output: OutPoint::new(Txid::from_byte_array([7; 32]), 0),
            script_sig: ScriptBuf::from_bytes(script_sig),
            sequence: Sequence::ZERO,
            witness: Witness::from_slice(&witness),
        })
    }

    fn output() -> impl Strategy<Value = TxOut> {
        bytes().prop_map(|script| TxOut {
            value: Amount::ZERO,
            script_pubkey: ScriptBuf::from_bytes(script),
        })
    }

    proptest! {
        #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(40) })]

        /// What a server refuses without asking would indeed be too large.
        #[test]
        fn a_description_is_no_shorter_than_a_server_believes(
            input in vec(input(), 1..6),
            output in vec(output(), 1..30),
        ) {
            let tx = Transaction {
                version: transaction::Version::ONE,
                lock_time: absolute::LockTime::ZERO,
                input,
                output,
            };
            let described = Value::Object(transaction(&tx)).to_string();
            let least = least_verbose(tx.total_size());
            prop_assert!(described.len() >= least, "{} < {least}", described.len());
        }
    }
}
