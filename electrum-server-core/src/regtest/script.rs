//! Scripts and signatures, judged by Bitcoin Core's consensus library.

use std::ffi::c_uint;

use bitcoin::{Transaction, TxOut, consensus};
use bitcoinconsensus::{Utxo, VERIFY_ALL_PRE_TAPROOT, VERIFY_TAPROOT};

/// Whether every input of `tx` may spend its output; `Err` is the number of the first that may not.
///
/// All rules of consensus are in force from the genesis block on, as on Bitcoin Core's regtest.
pub(super) fn verify(tx: &Transaction, spent: &[&TxOut]) -> Result<(), usize> {
    let raw = consensus::serialize(tx);
    let utxos: Vec<Utxo> = spent
        .iter()
        .map(|output| Utxo {
            script_pubkey: output.script_pubkey.as_bytes().as_ptr(),
            // A transaction with a longer script does not fit into a block.
            script_pubkey_len: c_uint::try_from(output.script_pubkey.len()).unwrap_or(c_uint::MAX),
            value: i64::try_from(output.value.to_sat()).unwrap_or(i64::MAX),
        })
        .collect();
    for (index, output) in spent.iter().enumerate() {
        bitcoinconsensus::verify_with_flags(
            output.script_pubkey.as_bytes(),
            output.value.to_sat(),
            &raw,
            Some(&utxos),
            index,
            VERIFY_ALL_PRE_TAPROOT | VERIFY_TAPROOT,
        )
        .map_err(|_| index)?;
    }
    Ok(())
}
