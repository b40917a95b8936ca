//! The program `electrum-server`: reads its options, connects the parts, and reports.

mod blocks;
mod broadcast;
mod cli;
mod config;
#[cfg(feature = "dev")]
mod dev;
mod disk;
mod layers;
mod listen;
mod logging;
mod merge;
mod monitor;
mod node;
mod permissions;
mod personal;
mod progress;
#[cfg(test)]
mod properties;
mod run;
mod serving;
mod signals;
mod threads;
mod toml_error;
mod trusted;
mod upkeep;
mod value;
mod wallets;
mod writer;

use std::path::PathBuf;
use std::process::ExitCode;

use clap::Parser;
use tracing::{debug, error, info, warn};

use config::Config;
use logging::Console;

/// Exit status for wrong options or configuration, as for wrong arguments.
const MISCONFIGURED: u8 = 2;

fn main() -> ExitCode {
    permissions::create_private();
    let started = threads::check().and_then(|()| Ok(Console::new()?));
    let console = match started {
        Ok(console) => console,
        Err(error) => {
            logging::complain(&error);
            return ExitCode::FAILURE;
        }
    };
    let status = start(&console);
    console.finish();
    status
}

fn start(console: &Console) -> ExitCode {
    let config = match configure(console) {
        Ok(config) => config,
        Err(error) => {
            logging::complain(&error);
            return ExitCode::from(MISCONFIGURED);
        }
    };
    info!(
        "electrum-server {} on {}",
        env!("CARGO_PKG_VERSION"),
        config.network
    );
    config.taken.iter().for_each(|taken| info!("{taken}"));
    config
        .warnings
        .iter()
        .for_each(|warning| warn!("{warning}"));
    config.notes.iter().for_each(|note| debug!("{note}"));
    match run(&config, console) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            error!("{error:#}");
            ExitCode::FAILURE
        }
    }
}

#[cfg(feature = "dev")]
fn run(config: &Config, console: &Console) -> anyhow::Result<()> {
    match &config.dev {
        Some(settings) => dev::run(config, settings),
        None => run::run(config, console),
    }
}

#[cfg(not(feature = "dev"))]
fn run(config: &Config, console: &Console) -> anyhow::Result<()> {
    match &config.dev {
        Some(_) => anyhow::bail!("this program was built without --dev (the feature `dev`)"),
        None => run::run(config, console),
    }
}

fn configure(console: &Console) -> anyhow::Result<Config> {
    let config = read_config()?;
    logging::start(&config, console)?;
    Ok(config)
}

/// Reads the configuration as it is now.
fn read_config() -> anyhow::Result<Config> {
    let around = layers::Surroundings::of_this_process();
    let home = around.environment.get("HOME").map(PathBuf::from);
    let layered = layers::load(cli::Options::parse(), &around)?;
    Config::new(layered, home.as_deref())
}
