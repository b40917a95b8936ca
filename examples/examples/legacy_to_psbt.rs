//! A partial transaction of Electrum 2 or 3 becomes a PSBT.
//!
//! ```sh
//! cargo run -p electrum-examples --example legacy_to_psbt -- unsigned.txn
//! ```
//!
//! Without an argument a transaction of Electrum 3.3 is taken.

#![allow(clippy::print_stdout, reason = "it is what the example does")]

use anyhow::{Context, Result};
use electrum_psbt_legacy::psbt::ToPsbt;
use electrum_psbt_legacy::{PartialTransaction, base64, from_text};

const SAMPLE: &str = "45505446ff000100000000010115a847356cbb44be67f345965bb3f2589e2fec1c9a0ada21fd28225dcc602e8f0100000000fdffffff02f6fd1200000000001600149c756aa33f4f89418b33872a973274b5445c727b80969800000000001600140f9de573bc679d040e763d13f0250bd03e625f6ffeffffffff9095ab000000000000000201ff53ff045f1cf6014af5fa07800000002fa3f450ba41799b9b62642979505817783a9b6c656dc11cd0bb4fa362096808026adc616c25a4d0a877d1741eb1db9cef65c15118bd7d5f31bf65f319edda81840100c8000f391400";

/// Runs the example; tests do, too.
pub fn main() -> Result<()> {
    let file = std::env::args().nth(1).filter(|name| name.contains('.'));
    let text = match file {
        Some(file) => std::fs::read_to_string(&file).with_context(|| file)?,
        None => SAMPLE.to_owned(),
    };
    // Hexadecimal, base43 or JSON: whatever Electrum has written.
    let (form, bytes) = from_text(text.trim())?;
    let transaction = PartialTransaction::decode(&bytes)?;
    let (made, needed) = transaction.signature_count();
    println!(
        "{form:?}, inputs: {}, signatures: {made} of {needed}",
        transaction.inputs().len()
    );

    // Coins that are not segregated witness would need their previous transactions here.
    let converted = transaction.to_psbt(&ToPsbt::default())?;
    for loss in &converted.losses {
        println!("lost: {loss}");
    }
    println!("{}", base64::encode(&converted.value.serialize()));
    Ok(())
}
