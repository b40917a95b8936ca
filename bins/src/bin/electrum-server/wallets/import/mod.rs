//! Wallets from the configurations of Electrum Personal Server and bwt.
//!
//! Each file is read as its own program reads it. What it says is taken over or named in the log; what that program would
//! refuse, and what would leave a wallet out, is refused with its line.

mod bwt;
mod dotenv;
mod eps;
mod ini;
mod lines;

use std::collections::BTreeMap;
use std::path::Path;

use anyhow::anyhow;

use super::entry::WalletEntry;
use crate::cli::Options;

/// What a file says.
#[derive(Debug, Default)]
struct Imported {
    wallets: Vec<WalletEntry>,
    /// What else is taken over.
    options: Options,
    /// Its names, for the log.
    taken: Vec<String>,
    /// What is not, and why.
    remarks: Vec<String>,
}

/// What the log says of the files.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Remarks {
    pub(crate) taken: Vec<String>,
    pub(crate) left: Vec<String>,
}

/// Reads the files of other programs that are named in the options, and fills in what they say where nothing else says it.
///
/// # Errors
///
/// A file cannot be read, has no wallet, or has a line of which a wallet may have been meant: names file and line.
pub(crate) fn take_over(
    mut options: Options,
    environment: &BTreeMap<String, String>,
    remarks: &mut Remarks,
) -> anyhow::Result<Options> {
    let files = [
        (options.eps_config.clone(), true),
        (options.bwt_env.clone(), false),
    ];
    for (path, is_eps) in files {
        let Some(path) = path else { continue };
        let text = lines::read(&path)?;
        let imported = match is_eps {
            true => eps::read(&text, &path, &options),
            false => bwt::read(&text, &path, &options, environment),
        };
        let imported = imported.map_err(|error| anyhow!("{}, {error}", path.display()))?;
        let count = imported.wallets.len();
        let plural = if count == 1 { "" } else { "s" };
        let mut taken = vec![format!("{count} wallet{plural}")];
        taken.extend(imported.taken);
        let file = path.display();
        remarks
            .taken
            .push(format!("taken over from {file}: {}", taken.join(", ")));
        let left = imported.remarks.into_iter();
        remarks
            .left
            .extend(left.map(|remark| format!("{file}: {remark}")));
        options = options.or(imported.options);
        options.wallet.extend(imported.wallets);
    }
    Ok(options)
}

/// Where a wallet stands.
fn origin(path: &Path, line: usize) -> String {
    format!("{}, line {line}", path.display())
}

/// Returns the name that was probably meant.
pub(crate) fn closest<'a>(name: &str, names: &[&'a str]) -> Option<&'a str> {
    let score = |known: &str| strsim::jaro_winkler(name, known);
    let best = names
        .iter()
        .max_by(|a, b| score(a).total_cmp(&score(b)))
        .copied()?;
    (score(best) > 0.8).then_some(best)
}

#[cfg(test)]
mod properties;
#[cfg(test)]
mod tests;
