//! Where options come from, and which source wins: files, then the environment, then the arguments.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::path::{Path, PathBuf};

use anyhow::{Context, bail};
use clap::{ArgAction, CommandFactory, Parser};

use crate::cli::Options;
use crate::toml_error;
use crate::trusted::refused_here;
use crate::wallets::{self, WalletEntry};

const OUR_PREFIX: &str = "ELECTRUM_SERVER_";
const ELECTRS_PREFIX: &str = "ELECTRS_";

/// The variable of Electrum Personal Server's containers for its one wallet.
const EPS_XPUB: &str = "EPS_XPUB";
const EPS_XPUB_ORIGIN: &str = "EPS_XPUB in the environment";
/// Options that make a server one of some wallets. Set to nothing, they may have been meant.
const WALLET_OPTIONS: [&str; 3] = ["wallet", "eps_config", "bwt_env"];

/// The file of the working directory.
const HERE: &str = "electrum-server.toml";

/// What the program is started with, besides the files it reads.
#[derive(Debug)]
pub(crate) struct Surroundings {
    /// All environment variables.
    pub(crate) environment: BTreeMap<String, String>,
    /// Files that are read when they exist, the first one winning.
    pub(crate) default_files: Vec<PathBuf>,
}

impl Surroundings {
    /// Those of this process.
    pub(crate) fn of_this_process() -> Self {
        // What is no text is refused where it is read, rather than left out.
        let text = |(name, value): (OsString, OsString)| {
            let text = |text: OsString| text.to_string_lossy().into_owned();
            (text(name), text(value))
        };
        let environment: BTreeMap<_, _> = std::env::vars_os().map(text).collect();
        let mut default_files = vec![PathBuf::from(HERE)];
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
    /// What was taken over from files of other programs, and from variables that are not named as the options are.
    pub(crate) taken: Vec<String>,
}

/// Adds the environment and the files to the arguments.
///
/// # Errors
///
/// A value in the environment or in a file cannot be read, a file has an unknown key, or a file that
/// was asked for does not exist.
pub(crate) fn load(arguments: Options, around: &Surroundings) -> anyhow::Result<Layered> {
    let (environment, mut remarks) = from_environment(&around.environment)?;
    let mut arguments = arguments;
    name_origin(&mut arguments, "--wallet");
    let mut options = over(arguments, environment, "the environment", &mut remarks);
    let (named, default) = files(&options, around)?;
    let mut of_others = wallets::Remarks::default();
    let names: Vec<String> = named
        .iter()
        .chain(&default)
        .map(|file| file.display().to_string())
        .collect();
    if !names.is_empty() {
        of_others.taken.push(format!(
            "configuration files, each winning over the next: {}",
            names.join(", ")
        ));
    }
    for file in named {
        let name = file.display().to_string();
        options = over(options, from_file(&file)?, &name, &mut remarks);
    }
    for file in default {
        let name = file.display().to_string();
        let found = from_file(&file)?;
        if file == Path::new(HERE) {
            check_here(&found)?;
        }
        options = over(options, found, &name, &mut remarks);
    }
    let is_of_eps = |wallet: &WalletEntry| wallet.origin.as_deref() == Some(EPS_XPUB_ORIGIN);
    if options.wallet.iter().any(is_of_eps) {
        let said = format!("taken over from {EPS_XPUB_ORIGIN}: 1 wallet");
        of_others.taken.push(said);
    }
    let options = wallets::take_over(options, &around.environment, &mut of_others)?;
    remarks.extend(of_others.left);
    Ok(Layered {
        options,
        remarks,
        taken: of_others.taken,
    })
}

/// Refuses what a file in the working directory may not set.
fn check_here(options: &Options) -> anyhow::Result<()> {
    let refused = refused_here(options);
    if refused.is_empty() {
        return Ok(());
    }
    bail!(
        "{HERE} in the working directory sets {}, which is not taken from there: anybody who can write to the folder could \
         have set it. Put it into ~/.electrum-server/config.toml, or start with --conf {HERE}",
        refused.join(", ")
    )
}

/// Says of wallets where they stand.
fn name_origin(options: &mut Options, origin: &str) {
    for wallet in &mut options.wallet {
        wallet.origin.get_or_insert_with(|| origin.to_owned());
    }
}

/// Fills what is absent with what `lower` says. Wallets are not left out without a word.
fn over(upper: Options, lower: Options, name: &str, remarks: &mut Vec<String>) -> Options {
    if let (Some(above), false) = (upper.wallet.first(), lower.wallet.is_empty()) {
        let above = above.origin.as_deref().unwrap_or_default();
        remarks.push(format!(
            "the wallets of {name} are left out, because there are others that win over them ({above})"
        ));
    }
    upper.or(lower)
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
        if WALLET_OPTIONS.contains(&id) {
            let own = [&ours, &format!("{ELECTRS_PREFIX}{suffix}")];
            own.into_iter()
                .try_for_each(|name| check_wallet_variable(variables, name))?;
        }
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
    name_origin(&mut options, "the environment");
    // What compose files of Electrum Personal Server set.
    check_wallet_variable(variables, EPS_XPUB)?;
    let mut left_out = None;
    match variables.get(EPS_XPUB) {
        Some(_) if !options.wallet.is_empty() => {
            left_out = Some(format!(
                "the wallet of {EPS_XPUB} is left out, because {OUR_PREFIX}WALLET has others"
            ));
        }
        Some(keys) => {
            let Ok(wallet) = keys.parse();
            options.wallet = vec![wallet];
            name_origin(&mut options, EPS_XPUB_ORIGIN);
        }
        None => {}
    }
    options.auth = variables
        .get(&format!("{OUR_PREFIX}AUTH"))
        .filter(|value| !value.is_empty())
        .map(|value| match value.parse() {
            Ok(secret) => secret,
            Err(never) => match never {},
        });
    let unknown = variables
        .keys()
        .filter(|name| name.starts_with(OUR_PREFIX) && !known.contains(name))
        .map(|name| format!("the environment variable {name} is not an option"));
    let remarks = unknown.chain(left_out).collect();
    Ok((options, remarks))
}

/// Refuses a variable for wallets that is set to nothing: the whole chain would be served instead.
fn check_wallet_variable(variables: &BTreeMap<String, String>, name: &str) -> anyhow::Result<()> {
    match variables.get(name) {
        Some(value) if value.trim().is_empty() => bail!(
            "{name} is set in the environment, but empty: set it to what is to be watched, or remove it to serve the whole \
             chain"
        ),
        _ => Ok(()),
    }
}

/// Files to read, the one that wins first: those that were named, and those that are read without being named.
fn files(options: &Options, around: &Surroundings) -> anyhow::Result<(Vec<PathBuf>, Vec<PathBuf>)> {
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
    let mut default = Vec::new();
    if options.skip_default_conf_files != Some(true) {
        let place = |file: &PathBuf| file.canonicalize().ok();
        // Who names a file trusts it.
        let named: Vec<_> = files.iter().filter_map(place).collect();
        let is_new = |file: &&PathBuf| place(file).is_some_and(|place| !named.contains(&place));
        default.extend(around.default_files.iter().filter(is_new).cloned());
    }
    Ok((files, default))
}

fn from_file(file: &Path) -> anyhow::Result<Options> {
    let text = std::fs::read_to_string(file)
        .with_context(|| format!("cannot read the configuration file {}", file.display()))?;
    let mut options: Options = toml::from_str(&text).map_err(|error| {
        anyhow::anyhow!("{}, {}", file.display(), toml_error::explain(&text, &error))
    })?;
    let lines = toml_error::wallet_lines(&text);
    if options.wallet.is_empty()
        && let Some(line) = lines.first()
    {
        bail!(
            "{}, line {line}: `wallet` is an empty list: give it wallets, or remove it to serve the whole chain",
            file.display()
        );
    }
    for (wallet, line) in options.wallet.iter_mut().zip(lines) {
        wallet.origin = Some(format!("{}, line {line}", file.display()));
    }
    Ok(options)
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

    /// Whatever is said of wallets, in whichever place, the end is wallets or an error.
    #[test]
    fn no_word_about_wallets_ends_in_the_whole_chain() {
        let dir = tempfile::tempdir().unwrap();
        let write = |name: &str, text: &str| {
            let file = dir.path().join(name);
            std::fs::write(&file, text).unwrap();
            file.to_str().unwrap().to_owned()
        };
        let empty = write("empty", "");
        let none = write("none.ini", "[master-public-keys]\n");
        let check = |line: &str, variables: &[(&str, &str)], file: &str, expected: &str| {
            let files = [write("c.toml", file)];
            let files = files.each_ref().map(Path::new);
            let mut around = around(variables, &files);
            around.environment.insert("HOME".into(), "/home/me".into());
            let config = load(arguments(line), &around).and_then(|layered| {
                crate::config::Config::new(layered, Some(Path::new("/home/me")))
            });
            let error = format!("{:#}", config.expect_err(line));
            assert!(
                error.contains(expected),
                "{line} {variables:?} {file}: {error}"
            );
        };
        for (option, value) in [
            ("wallet-birth", "100"),
            ("gap-limit", "30"),
            ("unwatched", "watch"),
            ("fetch-pruned-blocks", "true"),
        ] {
            let name = option.replace('-', "_");
            let expected = format!("--{option} is about wallets, and there are none");
            check(&format!("x --{option} {value}"), &[], "", &expected);
            let variable = format!("ELECTRUM_SERVER_{}", name.to_uppercase());
            check("x", &[(&variable, value)], "", &expected);
            let quoted = if option == "unwatched" {
                "'watch'"
            } else {
                value
            };
            check("x", &[], &format!("{name} = {quoted}"), &expected);
        }
        for option in ["eps-config", "bwt-env"] {
            let name = option.replace('-', "_");
            let variable = format!("ELECTRUM_SERVER_{}", name.to_uppercase());
            for (file, part) in [
                (&empty, "empty, line 1"),
                (&none, "none.ini, line "),
                (&"/none".to_owned(), "/none"),
            ] {
                check(&format!("x --{option} {file}"), &[], "", part);
                check("x", &[(&variable, file)], "", part);
                check("x", &[], &format!("{name} = '{file}'"), part);
            }
            check("x", &[(&variable, "")], "", "but empty");
        }
        for variable in ["EPS_XPUB", "ELECTRUM_SERVER_WALLET", "ELECTRS_WALLET"] {
            check("x", &[(variable, "")], "", "but empty");
            check("x", &[(variable, " \n ")], "", "but empty");
            check(
                "x",
                &[(variable, "nonsense")],
                "",
                "nothing that can be watched",
            );
        }
        check("x", &[], "\nwallet = []", "c.toml, line 2");
        check(
            "x",
            &[],
            "\n[[wallet]]\nname='a'",
            "c.toml, line 2: wallet \"a\"",
        );
        check("x", &[], "\n[[wallet]]\nkeys=''", "c.toml, line 2");
        check("x --wallet=", &[], "", "--wallet");
        check(
            "x --dev --wallet bc1qcr8te4kr609gcawutmrza0j4xv80jy8z306fyu",
            &[],
            "",
            "--dev",
        );
    }

    #[test]
    fn wallets_that_are_left_out_are_said() {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("c.toml");
        std::fs::write(&file, "[[wallet]]\nkeys='a'\n").unwrap();
        let layered = load(arguments("x"), &around(&[("EPS_XPUB", "b")], &[&file])).unwrap();
        assert_eq!(layered.options.wallet.len(), 1);
        assert!(layered.taken.concat().contains("EPS_XPUB"), "{layered:?}");
        assert!(
            layered.remarks.concat().contains("c.toml are left out"),
            "{layered:?}"
        );
        let layered = load(
            arguments("x --wallet c"),
            &around(&[("EPS_XPUB", "b")], &[]),
        )
        .unwrap();
        assert!(
            layered.remarks.concat().contains("(--wallet)"),
            "{layered:?}"
        );
        assert!(layered.taken.is_empty(), "{layered:?}");
        let both = [("EPS_XPUB", "b"), ("ELECTRUM_SERVER_WALLET", "c")];
        let layered = load(arguments("x"), &around(&both, &[])).unwrap();
        assert!(
            layered.remarks.concat().contains("EPS_XPUB is left out"),
            "{layered:?}"
        );
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
