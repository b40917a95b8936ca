//! `electrum-tools tx decode-base43` and `encode-base43`.

use std::process::ExitCode;

use bitcoin::hex::{DisplayHex, FromHex};
use clap::Args;
use electrum_psbt_legacy::base43;
use serde_json::json;

use crate::input::{self, BlankLines};
use crate::report::{Failure, Report};

/// The bytes of a base43 text, as in Electrum's QR codes, in hex
#[derive(Debug, Args)]
pub(crate) struct Decode {
    /// The text; `-` reads one per line
    #[arg(default_value = "-", allow_hyphen_values = true)]
    text: String,
}

impl Decode {
    pub(super) fn run(&self, as_json: bool) -> Result<ExitCode, Failure> {
        input::each(&self.text, as_json, BlankLines::Keep, |entry| {
            let bytes = base43::decode(entry.main(&["base43", "input"]))
                .map_err(|error| Failure::refused(error.to_string()))?;
            let hex = bytes.to_lower_hex_string();
            let json = json!({"hex": hex, "bytes": bytes.len()});
            Ok(Report { human: hex, json })
        })
    }
}

/// Bytes in hex as base43, for QR codes
#[derive(Debug, Args)]
pub(crate) struct Encode {
    /// The bytes in hex; `-` reads one text per line
    #[arg(default_value = "-")]
    hex: String,
}

impl Encode {
    pub(super) fn run(&self, as_json: bool) -> Result<ExitCode, Failure> {
        input::each(&self.hex, as_json, BlankLines::Keep, |entry| {
            let hex = entry.main(&["hex", "input"]).trim();
            let bytes = Vec::from_hex(hex)
                .map_err(|error| Failure::refused(format!("the input is not hex: {error}")))?;
            let text = base43::encode(&bytes);
            let json = json!({"base43": text, "chars": text.len()});
            Ok(Report { human: text, json })
        })
    }
}
