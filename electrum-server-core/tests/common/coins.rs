//! Coins that anybody can spend.

use bitcoin::opcodes::all::{OP_DROP, OP_PUSHNUM_1};
use bitcoin::script::Builder;
use bitcoin::{
    Address, Amount, Network, OutPoint, ScriptBuf, Sequence, Transaction, TxIn, TxOut, Witness,
    absolute, transaction,
};

/// An output script without a key: pay-to-witness-script-hash of `<number> OP_DROP OP_1`, which standardness
/// rules accept and anybody can spend. Each number is another script.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Script(u32);

impl Script {
    /// The script with this number.
    pub fn new(number: u32) -> Self {
        Self(number)
    }

    /// What is revealed to spend.
    pub fn witness_script(&self) -> ScriptBuf {
        // From 17 on, so that the number is never one that has an opcode of its own.
        let number = i64::from(self.0) + 17;
        Builder::new()
            .push_int(number)
            .push_opcode(OP_DROP)
            .push_opcode(OP_PUSHNUM_1)
            .into_script()
    }

    /// The script in the output.
    pub fn output_script(&self) -> ScriptBuf {
        self.witness_script().to_p2wsh()
    }

    /// The same as an address of regtest.
    pub fn address(&self) -> Address {
        Address::p2wsh(&self.witness_script(), Network::Regtest)
    }
}

/// An output that [`spend`] can spend.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Coin {
    /// Where it is.
    pub outpoint: OutPoint,
    /// What it is worth.
    pub value: Amount,
    /// What it pays to.
    pub script: Script,
}

impl Coin {
    /// Output `vout` of a transaction, which must pay to `script`.
    #[track_caller]
    pub fn of(transaction: &Transaction, vout: u32, script: &Script) -> Self {
        let output = &transaction.output[vout as usize];
        assert_eq!(
            output.script_pubkey,
            script.output_script(),
            "the output pays to another script"
        );
        let outpoint = OutPoint::new(transaction.compute_txid(), vout);
        Self {
            outpoint,
            value: output.value,
            script: *script,
        }
    }
}

/// A valid transaction that spends `coins` into `outputs`; what remains is its fee. Replaceable.
pub fn spend(coins: &[Coin], outputs: &[(ScriptBuf, Amount)]) -> Transaction {
    let input = |coin: &Coin| {
        let mut witness = Witness::new();
        witness.push(coin.script.witness_script());
        let sequence = Sequence::ENABLE_RBF_NO_LOCKTIME;
        TxIn {
            previous_output: coin.outpoint,
            script_sig: ScriptBuf::new(),
            sequence,
            witness,
        }
    };
    let output = |(script, value): &(ScriptBuf, Amount)| TxOut {
        script_pubkey: script.clone(),
        value: *value,
    };
    Transaction {
        version: transaction::Version::TWO,
        lock_time: absolute::LockTime::ZERO,
        input: coins.iter().map(input).collect(),
        output: outputs.iter().map(output).collect(),
    }
}

/// Spends one coin into one output that pays to `to`, less `fee`.
pub fn pay(coin: Coin, to: &Script, fee: Amount) -> Transaction {
    spend(&[coin], &[(to.output_script(), coin.value - fee)])
}
