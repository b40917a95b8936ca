//! Coins without a wallet: outputs that anybody can spend, each to a script of its own.

use bitcoin::absolute::LockTime;
use bitcoin::hashes::Hash;
use bitcoin::opcodes::OP_TRUE;
use bitcoin::opcodes::all::OP_DROP;
use bitcoin::script::Builder;
use bitcoin::transaction::Version;
use bitcoin::{
    Address, Amount, Network, OutPoint, ScriptBuf, Sequence, Transaction, TxIn, TxOut, Witness,
};

/// An output of ours, with the number of the script that it pays.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Coin {
    pub(crate) outpoint: OutPoint,
    pub(crate) value: u64,
    pub(crate) script: u32,
}

/// `<number> OP_DROP OP_TRUE`: spendable with no signature, yet standard behind a P2WSH.
fn witness_script(number: u32) -> ScriptBuf {
    let push = number.to_be_bytes();
    Builder::new()
        .push_slice(push)
        .push_opcode(OP_DROP)
        .push_opcode(OP_TRUE)
        .into_script()
}

pub(crate) fn script(number: u32) -> ScriptBuf {
    witness_script(number).to_p2wsh()
}

pub(crate) fn address(number: u32) -> String {
    Address::p2wsh(&witness_script(number), Network::Regtest).to_string()
}

/// The wire's script hash: SHA-256 of the script, bytes reversed, in hex.
pub(crate) fn script_hash(script: &[u8]) -> String {
    let mut hash = bitcoin::hashes::sha256::Hash::hash(script).to_byte_array();
    hash.reverse();
    hash.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// A transaction that spends `coins` to outputs of (script, sats); what is left over is the fee.
pub(crate) fn spend(coins: &[Coin], outputs: &[(ScriptBuf, u64)]) -> Transaction {
    let input = |coin: &Coin| TxIn {
        previous_output: coin.outpoint,
        script_sig: ScriptBuf::new(),
        sequence: Sequence::ENABLE_RBF_NO_LOCKTIME,
        witness: Witness::from_slice(&[witness_script(coin.script).as_bytes()]),
    };
    let output = |(script, value): &(ScriptBuf, u64)| TxOut {
        script_pubkey: script.clone(),
        value: Amount::from_sat(*value),
    };
    Transaction {
        version: Version::TWO,
        lock_time: LockTime::ZERO,
        input: coins.iter().map(input).collect(),
        output: outputs.iter().map(output).collect(),
    }
}

/// The `vout`th output of a transaction that paid script `number`.
pub(crate) fn coin(transaction: &Transaction, vout: u32, number: u32) -> Coin {
    let outpoint = OutPoint {
        txid: transaction.compute_txid(),
        vout,
    };
    let output = &transaction.output[usize::try_from(vout).unwrap()];
    assert_eq!(output.script_pubkey, script(number));
    Coin {
        outpoint,
        value: output.value.to_sat(),
        script: number,
    }
}
