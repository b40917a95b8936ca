//! The program `electrum-tools`: seeds, extended keys, partial transactions, script hashes, and questions to servers.

mod address;
mod anywhere;
mod call;
mod cli;
mod conformance;
mod connection;
mod dev;
mod input;
mod network;
mod pages;
mod ping;
mod report;
mod scripthash;
mod seed;
mod status;
mod tx;
mod xpub;

use std::process::ExitCode;

use clap::{CommandFactory, Parser};

use crate::cli::{Command, Options};
use crate::report::{Failure, Report};

fn main() -> ExitCode {
    let words = anywhere::in_order(&Options::command(), std::env::args_os());
    let options = Options::parse_from(words);
    let status = run(&options.command, options.json).unwrap_or_else(|failure| {
        failure.print(options.json, None);
        failure.exit_code()
    });
    match report::is_written() {
        true => status,
        false => ExitCode::FAILURE,
    }
}

fn run(command: &Command, as_json: bool) -> Result<ExitCode, Failure> {
    let print = |report: Report| {
        report.print(as_json);
        ExitCode::SUCCESS
    };
    match command {
        Command::SeedVersion(command) => command.run(as_json),
        Command::Seed(command) => command.run(as_json),
        Command::Xpub(command) => command.run(as_json),
        Command::Tx(command) => command.run(as_json),
        Command::Address(command) => command.run(as_json),
        Command::Scripthash(command) => command.run(as_json),
        Command::Status { file, explain } => status::run(file, *explain).map(print),
        Command::Call {
            server,
            method,
            params,
            protocol,
        } => call::run(server, method, params, *protocol).map(print),
        Command::Conformance(command) => command.run(as_json),
        Command::Dev(dev) => dev::run(dev).map(print),
        Command::Ping { server } => ping::run(server).map(print),
        Command::Completions(command) => command.run(),
        Command::Man(command) => command.run(),
    }
}
