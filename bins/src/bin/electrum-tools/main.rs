//! The program `electrum-tools`: script hashes, status hashes, and questions to servers.

mod address;
mod call;
mod cli;
mod connection;
mod dev;
mod ping;
mod report;
mod scripthash;
mod status;

use std::process::ExitCode;

use clap::Parser;

use crate::cli::{Command, Options};
use crate::report::{Failure, Report};

fn main() -> ExitCode {
    let options = Options::parse();
    match run(&options.command) {
        Ok(reports) => {
            reports.iter().for_each(|report| report.print(options.json));
            ExitCode::SUCCESS
        }
        Err(failure) => {
            failure.print(options.json);
            failure.exit_code()
        }
    }
}

fn run(command: &Command) -> Result<Vec<Report>, Failure> {
    match command {
        Command::Scripthash { input } => scripthash::run(input),
        Command::Status { file, explain } => status::run(file, *explain).map(|report| vec![report]),
        Command::Call {
            server,
            method,
            params,
            protocol,
        } => call::run(server, method, params, *protocol).map(|report| vec![report]),
        Command::Dev(dev) => dev::run(dev).map(|report| vec![report]),
        Command::Ping { server } => ping::run(server).map(|report| vec![report]),
    }
}
