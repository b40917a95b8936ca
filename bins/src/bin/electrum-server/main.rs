//! The program `electrum-server`.

mod cli;
mod config;
mod layers;
mod value;

use clap::Parser;

fn main() {
    let around = layers::Surroundings::of_this_process();
    let home = around.environment.get("HOME").map(std::path::PathBuf::from);
    let layered =
        layers::load(cli::Options::parse(), &around).unwrap_or_else(|_| std::process::exit(2));
    let config = config::Config::new(layered, home.as_deref());
    let _ = config;
}
