//! What can be asked of the program.

use clap::{Parser, Subcommand};
use electrum_protocol::ProtocolVersion;

use crate::conformance::Conformance;
use crate::connection::Server;
use crate::{address, pages, scripthash, seed, tx, xpub};

const AFTER_HELP: &str = "\
Inputs: most commands take `-` and then answer every line of standard input; a line may also be a JSON object with the \
fields of the options (phrase, passphrase, network, ...). Secrets are better given that way, or at the hidden prompt.

Exit status: 0 done, 1 refused (by the server, or an input that is none; of several lines, at least one), 2 wrong usage, \
3 the server cannot be reached or does not answer in time.";

/// Seeds, extended keys, partial transactions, script hashes, and questions to Electrum servers
#[derive(Debug, Parser)]
#[command(name = "electrum-tools", version, after_help = AFTER_HELP, max_term_width = 100)]
pub(crate) struct Options {
    /// Print JSON, one object per line, errors included
    #[arg(long, global = true)]
    pub(crate) json: bool,

    #[command(subcommand)]
    pub(crate) command: Command,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    SeedVersion(seed::Version),
    #[command(subcommand)]
    Seed(seed::Seed),
    #[command(subcommand)]
    Xpub(xpub::Xpub),
    #[command(subcommand)]
    Tx(tx::Tx),
    Address(address::Inspect),
    Scripthash(scripthash::Scripthash),
    /// The status hash of a history
    Status {
        /// File with the result of `blockchain.scripthash.get_history` in JSON; `-` is standard input
        #[arg(default_value = "-")]
        file: String,
        /// Also print the text that is hashed
        #[arg(long)]
        explain: bool,
    },
    /// Call a method of a server
    Call {
        #[command(flatten)]
        server: Server,
        /// For example blockchain.scripthash.get_history
        method: String,
        /// Parameters in order, each in JSON; what is no JSON is taken as a text. One `-` reads a JSON
        /// array or object from standard input
        #[arg(allow_negative_numbers = true)]
        params: Vec<String>,
        /// Speak this protocol version only [default: the newest that both sides know]
        #[arg(long, value_name = "VERSION")]
        protocol: Option<ProtocolVersion>,
    },
    Conformance(Conformance),
    /// Mine, pay and more on the chain of an `electrum-server --dev`
    Dev(crate::dev::Dev),
    /// Whether a server answers, what it is and how fast
    Ping {
        #[command(flatten)]
        server: Server,
    },
    Completions(pages::Completions),
    Man(pages::Man),
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    use super::*;

    #[test]
    fn definitions_are_consistent() {
        Options::command().debug_assert();
    }
}
