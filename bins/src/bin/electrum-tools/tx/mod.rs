//! `electrum-tools tx`, and what its commands share.

mod base43;
mod finalize;
mod form;
mod inspect;
mod psbt;
mod summary;

use std::process::ExitCode;

use clap::Subcommand;

use crate::report::Failure;

/// Partial transactions of Electrum 2.0 to 3.3, and PSBTs
#[derive(Debug, Subcommand)]
pub(crate) enum Tx {
    Inspect(inspect::Inspect),
    ToPsbt(psbt::ToPsbt),
    FromPsbt(psbt::FromPsbt),
    Finalize(finalize::Finalize),
    DecodeBase43(base43::Decode),
    EncodeBase43(base43::Encode),
}

impl Tx {
    pub(crate) fn run(&self, as_json: bool) -> Result<ExitCode, Failure> {
        match self {
            Self::Inspect(command) => command.run(as_json),
            Self::ToPsbt(command) => command.run(as_json),
            Self::FromPsbt(command) => command.run(as_json),
            Self::Finalize(command) => command.run(as_json),
            Self::DecodeBase43(command) => command.run(as_json),
            Self::EncodeBase43(command) => command.run(as_json),
        }
    }
}
