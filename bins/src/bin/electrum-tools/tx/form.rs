//! The forms in which transactions come and go.

use std::io::{self, Read};
use std::path::Path;
use std::process::ExitCode;

use bitcoin::hex::DisplayHex;
use bitcoin::{NetworkKind, Psbt};
use clap::{Args, ValueEnum};
use electrum_psbt_legacy::psbt::FromPsbt;
use electrum_psbt_legacy::{Encoding, PartialTransaction, base43, base64, from_text};

use crate::input::{self, BlankLines, Entry};
use crate::network::NetworkName;
use crate::report::{Failure, Report};

/// Bytes of input that are read at most.
const MAX_INPUT: u64 = 256 << 20;

/// A transaction, or where to get it.
#[derive(Debug, Args)]
pub(super) struct Source {
    /// The transaction in hex, base64, base43 or the JSON of Electrum's files; or a file with one of
    /// these or the bytes themselves; `-` reads standard input, one transaction per line
    #[arg(default_value = "-")]
    transaction: String,
}

impl Source {
    /// Answers the transaction, or each of several.
    pub(super) fn each(
        &self,
        as_json: bool,
        mut answer: impl FnMut(&Transaction, &Entry<'_>) -> Result<Report, Failure>,
    ) -> Result<ExitCode, Failure> {
        let given = self.transaction.as_str();
        let mut on_text = |entry: &Entry<'_>| {
            let text = entry.main(&["hex", "psbt", "base43", "text"]);
            answer(&Transaction::from_text(text)?, entry)
        };
        let bytes = match given {
            "-" => read(io::stdin().lock(), "standard input")?,
            path if Path::new(path).is_file() => {
                let file = std::fs::File::open(path);
                let file = file.map_err(|error| unreadable(path, &error))?;
                read(file, path)?
            }
            text => {
                on_text(&Entry::plain(text))?.print(as_json);
                return Ok(ExitCode::SUCCESS);
            }
        };
        let Some(text) = as_text(&bytes) else {
            // One spoilt line does not make the others bytes.
            let first = bytes.split(|byte| *byte == b'\n').next();
            let first = first.and_then(|line| std::str::from_utf8(line).ok());
            if first.is_some_and(|line| Transaction::from_text(line).is_ok()) {
                return input::each_line_of(&mut &*bytes, as_json, BlankLines::Skip, on_text);
            }
            let transaction = Transaction::from_bytes(&bytes)?;
            answer(&transaction, &Entry::plain(""))?.print(as_json);
            return Ok(ExitCode::SUCCESS);
        };
        if is_one(text) {
            on_text(&Entry::read(text))?.print(as_json);
            return Ok(ExitCode::SUCCESS);
        }
        input::each_line_of(&mut text.as_bytes(), as_json, BlankLines::Skip, on_text)
    }
}

/// Bytes that are no transaction themselves, as text.
fn as_text(bytes: &[u8]) -> Option<&str> {
    let is_binary = bytes.starts_with(b"psbt\xff") || bytes.starts_with(b"EPTF\xff");
    let text = std::str::from_utf8(bytes).ok()?;
    // A version number in the first bytes of a transaction of the network.
    (!is_binary && !text.contains('\0')).then_some(text)
}

/// Whether a text of several lines is one transaction: an object, or one that is broken into lines.
fn is_one(text: &str) -> bool {
    let mut lines = text.lines().filter(|line| !line.trim().is_empty());
    let (Some(first), Some(_)) = (lines.next(), lines.next()) else {
        return !text.trim().is_empty();
    };
    let reads = |text: &str| Transaction::from_text(text).is_ok();
    !reads(Entry::read(first).main(&["hex", "psbt", "base43", "text"])) && reads(text)
}

fn read(input: impl Read, name: &str) -> Result<Vec<u8>, Failure> {
    let mut bytes = Vec::new();
    let count = input.take(MAX_INPUT).read_to_end(&mut bytes);
    match count.map_err(|error| unreadable(name, &error))? as u64 {
        MAX_INPUT => Err(Failure::refused(format!(
            "{name} has more than {MAX_INPUT} bytes"
        ))),
        _ => Ok(bytes),
    }
}

fn unreadable(name: &str, error: &io::Error) -> Failure {
    Failure::refused(format!("cannot read {name}: {error}"))
}

/// A transaction of either format.
pub(super) enum Transaction {
    Electrum(PartialTransaction),
    Psbt(Box<Psbt>),
}

impl Transaction {
    fn from_text(text: &str) -> Result<Self, Failure> {
        let (_, bytes) = from_text(text).map_err(|error| {
            let is_path = text.contains(['/', '.']) && text.len() < 256 && !text.contains('\n');
            let hint = if is_path {
                "; if it is a file, there is none of this name"
            } else {
                ""
            };
            Failure::refused(format!("{error}{hint}"))
        })?;
        Self::from_bytes(&bytes)
    }

    fn from_bytes(bytes: &[u8]) -> Result<Self, Failure> {
        if bytes.starts_with(b"psbt\xff") {
            let psbt = Psbt::deserialize(bytes)
                .map_err(|error| Failure::refused(format!("not a valid PSBT: {error}")))?;
            return Ok(Self::Psbt(Box::new(psbt)));
        }
        PartialTransaction::decode(bytes)
            .map(Self::Electrum)
            .map_err(|error| Failure::refused(format!("not a transaction: {error}")))
    }

    /// The transaction as Electrum wrote it; a PSBT as far as that can be.
    pub(super) fn to_electrum(&self) -> Result<PartialTransaction, Failure> {
        match self {
            Self::Electrum(transaction) => Ok(transaction.clone()),
            Self::Psbt(psbt) => {
                // The older form has no place for some amounts, and so does without.
                let read = |encoding| {
                    let given = FromPsbt {
                        encoding,
                        ..FromPsbt::default()
                    };
                    PartialTransaction::from_psbt(psbt, &given)
                };
                read(Encoding::Headed)
                    .or_else(|error| read(Encoding::Bare).map_err(|_| error))
                    .map(|converted| converted.value)
                    .map_err(|error| Failure::refused(error.to_string()))
            }
        }
    }

    /// The network that the extended keys and addresses in it are of, where they say so.
    ///
    /// Electrum up to 3.0 gave all keys the version bytes of the main network, so that they may say nothing.
    pub(super) fn guess_network(&self) -> NetworkName {
        let kind = match self {
            Self::Electrum(transaction) => transaction.network_kind(),
            Self::Psbt(psbt) => psbt.xpub.keys().next().map(|key| key.network),
        };
        match kind {
            Some(NetworkKind::Test) => NetworkName::Testnet,
            _ => NetworkName::Mainnet,
        }
    }
}

/// How bytes are printed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(super) enum Form {
    Hex,
    Base64,
    /// For QR codes
    Base43,
}

impl Form {
    pub(super) fn write(self, bytes: &[u8]) -> String {
        match self {
            Self::Hex => bytes.to_lower_hex_string(),
            Self::Base64 => base64::encode(bytes),
            Self::Base43 => base43::encode(bytes),
        }
    }
}
