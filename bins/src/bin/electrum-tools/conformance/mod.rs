//! `electrum-tools conformance`: whether a server does as the protocol says.
//!
//! What it should do stands in transcripts, which any other program can play as well; `docs/conformance.md` has their
//! format.

mod facts;
mod lines;
mod matcher;
mod play;
mod proofs;
mod run;
mod table;
mod transcript;

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use clap::Args;
use electrum_protocol::ProtocolVersion;

use crate::connection::Server;
use crate::report::{Failure, Report};
use run::Wanted;
use transcript::{Level, Transcript};

/// Check whether a server does as the protocol says, version by version and method by method
#[derive(Debug, Args)]
pub(crate) struct Conformance {
    #[command(flatten)]
    server: Server,
    /// Look at this protocol version only; may be given several times [default: all]
    #[arg(long, value_name = "VERSION")]
    protocol: Vec<ProtocolVersion>,
    /// Look only at methods whose names begin so, such as blockchain.block
    #[arg(
        long,
        value_name = "PREFIX",
        default_value = "",
        hide_default_value = true
    )]
    method: String,
    /// Look only at what the specification says (must), also at what clients rely on (should), or at everything
    #[arg(long, default_value = "may")]
    level: Level,
    /// Take the transcripts in this folder instead of the program's own
    #[arg(long, value_name = "DIR")]
    transcripts: Option<PathBuf>,
    /// Also list what did not apply, and why
    #[arg(long)]
    verbose: bool,
}

impl Conformance {
    pub(crate) fn run(&self, as_json: bool) -> Result<ExitCode, Failure> {
        let transcripts = match &self.transcripts {
            None => OWN.iter().map(|(name, text)| parse(name, text)).collect(),
            Some(folder) => read_folder(folder),
        }?;
        let versions = match self.protocol.as_slice() {
            [] => ProtocolVersion::SPOKEN.as_slice(),
            chosen => chosen,
        };
        let wanted = Wanted {
            versions,
            method: &self.method,
            level: self.level,
        };
        let findings = run::run(&self.server, &transcripts, &wanted)?;
        if findings.served.is_empty() {
            return Err(Failure::Network(format!(
                "{} speaks no version of the protocol that was asked for",
                self.server.address
            )));
        }
        Report {
            human: format!(
                "{} is {}\n\n{}",
                self.server.address,
                findings.software.escape_debug(),
                table::for_people(&findings, self.verbose)
            ),
            json: table::for_machines(&findings, &self.server.address.to_string()),
        }
        .print(as_json);
        Ok(match table::is_good(&findings) {
            true => ExitCode::SUCCESS,
            false => ExitCode::from(1),
        })
    }
}

fn parse(name: &str, text: &str) -> Result<Transcript, Failure> {
    Transcript::parse(name, text).map_err(|error| Failure::refused(error.to_string()))
}

/// Reads the files of a folder that end in `.txt`, in the order of their names.
fn read_folder(folder: &Path) -> Result<Vec<Transcript>, Failure> {
    let failed = |path: &Path, error: std::io::Error| {
        Failure::refused(format!("cannot read {}: {error}", path.display()))
    };
    let entries = std::fs::read_dir(folder).map_err(|error| failed(folder, error))?;
    let mut paths: Vec<PathBuf> = entries
        .filter_map(|entry| Some(entry.ok()?.path()))
        .filter(|path| path.extension().is_some_and(|extension| extension == "txt"))
        .collect();
    paths.sort();
    let read = |path: &PathBuf| {
        let text = std::fs::read_to_string(path).map_err(|error| failed(path, error))?;
        let name = path.file_stem().unwrap_or_default().to_string_lossy();
        parse(&name, &text)
    };
    paths.iter().map(read).collect()
}

macro_rules! transcripts {
    ($($name:literal)*) => {
        &[$(($name, include_str!(concat!("../../../../tests/transcripts/", $name, ".txt")))),*]
    };
}

/// The program's own transcripts, in the order in which they are played.
const OWN: &[(&str, &str)] = transcripts! {
    "server"
    "headers"
    "block"
    "fees"
    "address"
    "scripthash"
    "scriptpubkey"
    "outpoint"
    "transaction"
    "messages"
    "negotiation"
    "other_versions"
    "notifications"
};

#[cfg(test)]
mod tests;
