//! `electrum-tools completions` and `man`: pages made from the definitions of the command line.

use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Args, CommandFactory};
use clap_complete::Shell;

use crate::cli::Options;
use crate::report::{self, Failure};

/// Completions for a shell
#[derive(Debug, Args)]
pub(crate) struct Completions {
    shell: Shell,
}

impl Completions {
    pub(crate) fn run(&self) -> Result<ExitCode, Failure> {
        let mut text = Vec::new();
        clap_complete::generate(
            self.shell,
            &mut Options::command(),
            "electrum-tools",
            &mut text,
        );
        print(&text)
    }
}

/// The manual page, or the pages of all commands
#[derive(Debug, Args)]
pub(crate) struct Man {
    /// Write a page for every command into this folder
    folder: Option<PathBuf>,
}

impl Man {
    pub(crate) fn run(&self) -> Result<ExitCode, Failure> {
        let command = Options::command();
        if let Some(folder) = &self.folder {
            std::fs::create_dir_all(folder)
                .and_then(|()| clap_mangen::generate_to(command, folder))
                .map_err(|error| {
                    Failure::refused(format!("cannot write into {}: {error}", folder.display()))
                })?;
            return Ok(ExitCode::SUCCESS);
        }
        let mut text = Vec::new();
        clap_mangen::Man::new(command)
            .render(&mut text)
            .map_err(|error| Failure::refused(format!("cannot write the page: {error}")))?;
        print(&text)
    }
}

fn print(text: &[u8]) -> Result<ExitCode, Failure> {
    // Nobody is left to tell when standard output is closed.
    report::say(text);
    Ok(ExitCode::SUCCESS)
}
