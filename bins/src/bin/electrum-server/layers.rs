//! Where options come from, and which source wins: files, then the environment, then the arguments.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::path::{Path, PathBuf};

use anyhow::{Context, bail};
use clap::{ArgAction, CommandFactory, Parser};

use crate::cli::Options;

const OUR_PREFIX: &str = "ELECTRUM_SERVER_";
const ELECTRS_PREFIX: &str = "ELECTRS_";

/// The variable of Electrum Personal Server's containers for its one wallet.
const EPS_XPUB: &str = "EPS_XPUB";

/// What the program is started with, besides the files it reads.
#[derive(Debug)]
pub(crate) struct Surroundings {
    /// All environment variables whose value is text.
    pub(crate) environment: BTreeMap<String, String>,
    /// Files that are read when they exist, the first one winning.
    pub(crate) default_files: Vec<PathBuf>,
}

impl Surroundings {
    /// Those of this process.
    pub(crate) fn of_this_process() -> Self {
        let text = |pair: (OsString, OsString)| {
            Some((pair.0.into_string().ok()?, pair.1.into_string().ok()?))
        };
        let environment: BTreeMap<_, _> = std::env::vars_os().filter_map(text).collect();
        let mut default_files = vec![PathBuf::from("electrum-server.toml")];
        if let Some(home) = environment.get("HOME") {
            default_files.push(Path::new(home).join(".electrum-server/config.toml"));
        }
        default_files.push(PathBuf::from("/etc/electrum-server/config.toml"));
        Self {
            environment,
            default_files,
        }
    }
}

/// Options from all sources, and remarks about them for the log.
#[derive(Debug)]
pub(crate) struct Layered {
    pub(crate) options: Options,
    pub(crate) remarks: Vec<String>,
}

/// Adds the environment and the files to the arguments.
///
/// # Errors
///
/// A value in the environment or in a file cannot be read, a file has an unknown key, or a file that
/// was asked for does not exist.
pub(crate) fn load(arguments: Options, around: &Surroundings) -> anyhow::Result<Layered> {
    let (environment, remarks) = from_environment(&around.environment)?;
    let mut options = arguments.or(environment);
    for file in files(&options, around)? {
        options = options.or(from_file(&file)?);
    }
    Ok(Layered { options, remarks })
}

fn from_environment(
    variables: &BTreeMap<String, String>,
) -> anyhow::Result<(Options, Vec<String>)> {
    let mut arguments = vec![OsString::from("electrum-server")];
    let mut known = vec![format!("{OUR_PREFIX}AUTH")];
    for argument in Options::command().get_arguments() {
        let id = argument.get_id().as_str();
        let Some(long) = argument.get_long() else {
            continue;
        };
        if matches!(id, "help" | "version" | "verbose") {
            continue;
        }
        let suffix = id.to_uppercase();
        let ours = format!("{OUR_PREFIX}{suffix}");
        // Compose files set what they do not use to nothing.
        let value = [&ours, &format!("{ELECTRS_PREFIX}{suffix}")]
            .into_iter()
            .find_map(|name| variables.get(name).filter(|value| !value.is_empty()));
        known.push(ours);
        let Some(value) = value else { continue };
        match argument.get_action() {
            // Keys have most other characters in them.
            ArgAction::Append if id == "wallet" => arguments.extend(
                value
                    .lines()
                    .filter(|wallet| !wallet.trim().is_empty())
                    .map(|wallet| format!("--{long}={}", wallet.trim()).into()),
            ),
            ArgAction::Append => arguments.extend(
                value
                    .split(',')
                    .map(|one| format!("--{long}={}", one.trim()).into()),
            ),
            _ => arguments.push(format!("--{long}={value}").into()),
        }
    }
    // One parser for both, hence one meaning; but its usage text would speak of arguments.
    let mut options = Options::try_parse_from(arguments).map_err(|error| {
        let text = error.to_string();
        let reason = text.lines().next().unwrap_or_default();
        anyhow::anyhow!("{}", reason.trim_start_matches("error: ")).context("in the environment")
    })?;
    // What compose files of Electrum Personal Server set.
    if let Some(keys) = variables
        .get(EPS_XPUB)
        .filter(|keys| !keys.trim().is_empty())
        && options.wallet.is_empty()
    {
        options.wallet = match keys.parse() {
            Ok(wallet) => vec![wallet],
            Err(never) => match never {},
        };
    }
    options.auth = variables
        .get(&format!("{OUR_PREFIX}AUTH"))
        .filter(|value| !value.is_empty())
        .map(|value| match value.parse() {
            Ok(secret) => secret,
            Err(never) => match never {},
        });
    let remarks = variables
        .keys()
        .filter(|name| name.starts_with(OUR_PREFIX) && !known.contains(name))
        .map(|name| format!("the environment variable {name} is not an option"))
        .collect();
    Ok((options, remarks))
}

/// Files to read, the one that wins first.
fn files(options: &Options, around: &Surroundings) -> anyhow::Result<Vec<PathBuf>> {
    let mut files: Vec<PathBuf> = options.conf.iter().cloned().collect();
    if let Some(dir) = &options.conf_dir {
        let mut inside = Vec::new();
        let entries = dir
            .read_dir()
            .with_context(|| format!("cannot read {}", dir.display()))?;
        for entry in entries {
            let path = entry
                .with_context(|| format!("cannot read {}", dir.display()))?
                .path();
            if path
                .extension()
                .is_some_and(|extension| extension == "toml")
            {
                inside.push(path);
            }
        }
        inside.sort();
        files.extend(inside.into_iter().rev());
    }
    if options.skip_default_conf_files != Some(true) {
        files.extend(
            around
                .default_files
                .iter()
                .filter(|file| file.exists())
                .cloned(),
        );
    }
    Ok(files)
}

fn from_file(file: &Path) -> anyhow::Result<Options> {
    let text = std::fs::read_to_string(file)
        .with_context(|| format!("cannot read the configuration file {}", file.display()))?;
    match toml::from_str(&text) {
        Ok(options) => Ok(options),
        Err(error) => {
            // The error's own text quotes the line, which may hold the password.
            let before = error
                .span()
                .and_then(|span| text.get(..span.start))
                .unwrap_or_default();
            let line = before.matches('\n').count() + 1;
            bail!("{}, line {line}: {}", file.display(), error.message())
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn around(variables: &[(&str, &str)], default_files: &[&Path]) -> Surroundings {
        Surroundings {
            environment: variables
                .iter()
                .map(|(k, v)| (k.to_string(), v.to_string()))
                .collect(),
            default_files: default_files
                .iter()
                .map(|path| path.to_path_buf())
                .collect(),
        }
    }

    fn arguments(line: &str) -> Options {
        Options::try_parse_from(line.split_whitespace()).unwrap()
    }

    #[test]
    fn arguments_win_over_the_environment_and_that_over_files() {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("c.toml");
        std::fs::write(
            &file,
            "db_dir='file'\nserver_banner='file'\ndaemon_dir='file'\n",
        )
        .unwrap();
        let around = around(
            &[
                ("ELECTRUM_SERVER_SERVER_BANNER", "env"),
                ("ELECTRS_DB_DIR", "env"),
            ],
            &[&file],
        );
        let options = load(arguments("x --db-dir argument"), &around)
            .unwrap()
            .options;
        assert_eq!(options.db_dir, Some("argument".into()));
        assert_eq!(options.server_banner.as_deref(), Some("env"));
        assert_eq!(options.daemon_dir, Some("file".into()));
        let skipping = arguments("x --skip-default-conf-files");
        assert_eq!(load(skipping, &around).unwrap().options.daemon_dir, None);
    }

    #[test]
    fn our_variables_win_over_those_of_electrs() {
        let around = around(
            &[
                ("ELECTRUM_SERVER_NETWORK", "regtest"),
                ("ELECTRS_NETWORK", "signet"),
                ("ELECTRS_ELECTRUM_RPC_ADDR", "0.0.0.0:1, 0.0.0.0:2"),
                ("ELECTRS_SYNC_ONCE", "1"),
                ("ELECTRS_DB_DIR", ""),
                ("ELECTRUM_SERVER_NETWROK", "x"),
            ],
            &[],
        );
        let layered = load(arguments("x"), &around).unwrap();
        assert_eq!(
            layered.options.network.unwrap().0,
            bitcoin::Network::Regtest
        );
        assert_eq!(
            layered.options.electrum_rpc_addr,
            ["0.0.0.0:1", "0.0.0.0:2"]
        );
        assert_eq!(layered.options.sync_once, Some(true));
        assert_eq!(layered.options.db_dir, None);
        assert!(layered.remarks.concat().contains("ELECTRUM_SERVER_NETWROK"));
    }

    #[test]
    fn files_of_a_folder_are_read_in_the_order_of_their_names() {
        let dir = tempfile::tempdir().unwrap();
        std::fs::write(dir.path().join("1.toml"), "db_dir='one'\ndaemon_dir='one'").unwrap();
        std::fs::write(dir.path().join("2.toml"), "db_dir='two'").unwrap();
        std::fs::write(dir.path().join("notes.txt"), "not read").unwrap();
        let mut typed = arguments("x");
        typed.conf_dir = Some(dir.path().to_path_buf());
        let options = load(typed, &around(&[], &[])).unwrap().options;
        assert_eq!(options.db_dir, Some("two".into()));
        assert_eq!(options.daemon_dir, Some("one".into()));
    }

    #[test]
    fn errors_name_the_file_the_line_and_the_key_and_no_secret() {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("c.toml");
        let fail = |text: &str| {
            std::fs::write(&file, text).unwrap();
            format!(
                "{:#}",
                load(arguments("x"), &around(&[], &[&file])).unwrap_err()
            )
        };
        let unknown = fail("network='regtest'\ndb_dri='x'\n");
        assert!(
            unknown.contains("c.toml, line 2: unknown field `db_dri`"),
            "{unknown}"
        );
        for secret in [
            "auth = bob:hunter2",
            "auth = 4242",
            "auth = ['hunter2']",
            "auth = \"bob:hunter2",
        ] {
            let error = fail(secret);
            assert!(
                !error.contains("hunter2") && !error.contains("4242"),
                "{error}"
            );
            assert!(error.contains("line 1"), "{error}");
        }
        let network = fail("network = 'moon'");
        assert!(network.contains("unknown network `moon`"), "{network}");
    }

    #[test]
    fn a_bad_variable_is_an_error() {
        let around = around(&[("ELECTRUM_SERVER_WAIT_DURATION_SECS", "soon")], &[]);
        let error = format!("{:#}", load(arguments("x"), &around).unwrap_err());
        assert!(error.contains("in the environment"), "{error}");
        assert!(
            error.contains("--wait-duration-secs") && error.contains("soon"),
            "{error}"
        );
    }

    #[test]
    fn the_password_comes_from_a_file_or_the_environment() {
        let around = around(&[("ELECTRUM_SERVER_AUTH", "bob:builder")], &[]);
        let options = load(arguments("x"), &around).unwrap().options;
        assert_eq!(
            options.auth.unwrap().user_and_password(),
            Some(("bob", "builder"))
        );
        assert!(Options::try_parse_from(["x", "--auth", "bob:builder"]).is_err());
    }
}
