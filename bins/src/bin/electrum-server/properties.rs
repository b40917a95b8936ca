//! Whatever is written in files, in the environment and on the command line, there is a configuration or an error: one
//! that names the file, the variable or the option, and shows no secret.

use std::collections::BTreeMap;
use std::path::Path;

use clap::{CommandFactory, Parser};
use proptest::collection::vec;
use proptest::prelude::*;

use crate::cli::Options;
use crate::config::Config;
use crate::layers::{Surroundings, load};

/// In every secret, and nowhere else.
const MARK: &str = "hunter2";

/// What the program makes of it all: a configuration, or the whole text of an error.
fn configure(
    options: Options,
    environment: BTreeMap<String, String>,
    file: &Path,
) -> Result<Config, String> {
    let around = Surroundings {
        environment,
        default_files: vec![file.to_owned()],
    };
    let outcome = load(options, &around).and_then(|layered| Config::new(layered, Some(file)));
    outcome.map_err(|error| {
        let text = format!("{error:#}\n{error:?}");
        assert!(!text.contains(MARK), "{text}");
        assert!(!format!("{error}").is_empty());
        text
    })
}

/// Whether an error says what is wrong: a file, an option, a wallet.
fn says_where(error: &str) -> bool {
    let names = [
        "the.toml",
        "in the environment",
        "--",
        "wallet",
        "cannot read",
        "user and password",
    ];
    names.iter().any(|name| error.contains(name))
}

fn of_file(text: &[u8]) -> Result<Config, String> {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("the.toml");
    std::fs::write(&file, text).unwrap();
    configure(Options::default(), BTreeMap::new(), &file)
}

/// Names of all options.
fn names() -> Vec<String> {
    let command = Options::command();
    let names = command
        .get_arguments()
        .map(|argument| argument.get_id().to_string());
    let files = ["wallet.keys", "magic", "donation", "banner", "nonsense"];
    names.chain(files.map(str::to_owned)).collect()
}

fn name() -> impl Strategy<Value = String> {
    proptest::sample::select(names())
}

/// Values that some option takes, and that others take for something else.
fn value() -> impl Strategy<Value = String> {
    let known = [
        "regtest",
        "bitcoin",
        "true",
        "0",
        "1",
        "64",
        "-1",
        "4294967296",
        "18446744073709551616",
        "1e400",
        "10s",
        "127.0.0.1:1",
        "[::1]:2",
        "::1:1",
        ":",
        "a:65536",
        "~",
        "~/x",
        "/",
        "10.0.0.0/8",
        "::/129",
        "unix",
        "ssl://example.org:50002",
        "ssl://[::1]:1",
        "ssl://:",
        "https://a:1",
        "2021-05-31",
        "31/02/2021",
        "empty",
        "%s",
        "=",
        "a=b",
        "2 x y",
        "bc1qcr8te4kr609gcawutmrza0j4xv80jy8z306fyu",
        "addr(",
        "raw(zz)",
        "wpkh()",
        "0014",
        "\u{1f980}\u{0}",
        "",
    ];
    prop_oneof![
        proptest::sample::select(known.map(str::to_owned).to_vec()),
        any::<u64>().prop_map(|number| number.to_string()),
        ".{0,20}",
    ]
}

/// A value of any type of TOML.
fn toml_value() -> impl Strategy<Value = toml::Value> {
    use toml::Value;
    let leaf = prop_oneof![
        value().prop_map(Value::String),
        any::<i64>().prop_map(Value::Integer),
        (-2i64..100_000).prop_map(Value::Integer),
        any::<f64>().prop_map(Value::Float),
        any::<bool>().prop_map(Value::Boolean),
        Just(Value::Datetime("2021-05-31T00:00:00Z".parse().unwrap())),
        Just(Value::Datetime("2021-05-31".parse().unwrap())),
    ];
    leaf.prop_recursive(3, 12, 4, |inner| {
        let keys =
            proptest::sample::select(vec!["name", "keys", "birth", "gap_limit", "listen", "x"]);
        let table = vec((keys.prop_map(str::to_owned), inner.clone()), 0..4);
        prop_oneof![
            vec(inner, 0..4).prop_map(Value::Array),
            table.prop_map(|pairs| Value::Table(pairs.into_iter().collect())),
        ]
    })
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(300) })]

    #[test]
    fn any_text_in_a_file(text in vec(any::<u8>(), 0..200), lines in vec((name(), value()), 0..4)) {
        let lines: String = lines.iter().map(|(name, value)| format!("{name} = {value}\n")).collect();
        for text in [text.clone(), lines.clone().into_bytes(), [lines.as_bytes(), &text].concat()] {
            if let Err(error) = of_file(&text) {
                assert!(says_where(&error), "{error}");
            }
        }
    }

    #[test]
    fn any_value_of_any_option_in_a_file(pairs in vec((name(), toml_value()), 1..4)) {
        let table: toml::Table = pairs.into_iter().collect();
        let text = toml::to_string(&table).unwrap();
        if let Err(error) = of_file(text.as_bytes()) {
            assert!(says_where(&error), "{text}\n{error}");
        }
    }

    /// A password where it belongs, and everything else about it wrong.
    #[test]
    fn secrets_in_files_are_not_shown(
        key in proptest::sample::select(vec!["auth", "cookie"]),
        before in "[ -~]{0,10}",
        after in "[ -~\n]{0,10}",
        quotes in proptest::sample::select(vec![["\"", "\""], ["'", "'"], ["", ""], ["\"", ""], ["[\"", "\"]"], ["{a=\"", "\"}"]]),
        other in (name(), value()),
    ) {
        let [open, close] = quotes;
        let other = format!("{} = {}", other.0, other.1);
        let secret = format!("{key} = {open}{before}{MARK}{after}{close}");
        for text in [secret.clone(), format!("{secret}\n{other}\n"), format!("{other}\n{secret}\n")] {
            if let Ok(config) = of_file(text.as_bytes()) {
                let shown = format!("{config:?}");
                assert!(!shown.contains(MARK), "{shown}");
            }
        }
    }

    #[test]
    fn any_environment(
        pairs in vec((name(), value(), any::<bool>()), 0..5),
        secret in ".{0,10}",
    ) {
        let mut environment: BTreeMap<String, String> = pairs
            .into_iter()
            .map(|(name, value, ours)| {
                let prefix = if ours { "ELECTRUM_SERVER_" } else { "ELECTRS_" };
                (format!("{prefix}{}", name.to_uppercase()), value)
            })
            .filter(|(name, _)| !name.contains("CONF"))
            .collect();
        environment.insert("ELECTRUM_SERVER_AUTH".into(), format!("{secret}{MARK}"));
        match configure(Options::default(), environment, Path::new("none.toml")) {
            Ok(config) => assert!(!format!("{config:?}").contains(MARK)),
            Err(error) => assert!(says_where(&error), "{error}"),
        }
    }

    #[test]
    fn any_arguments(pairs in vec((name(), value(), any::<bool>()), 0..5), loose in vec(".{0,12}", 0..2)) {
        let mut words = vec!["electrum-server".to_owned()];
        for (name, value, together) in pairs {
            let name = name.replace('_', "-");
            match together {
                true => words.push(format!("--{name}={value}")),
                false => words.extend([format!("--{name}"), value]),
            }
        }
        words.extend(loose);
        words.push(format!("--cookie={MARK}"));
        let Ok(mut options) = Options::try_parse_from(&words).map_err(|error| error.to_string()) else {
            return Ok(());
        };
        (options.conf, options.conf_dir) = (None, None);
        assert!(!format!("{options:?}").contains(MARK));
        // That password has no user before it; on a chain of its own nobody asks.
        let outcome = configure(options.clone(), BTreeMap::new(), Path::new("none.toml"));
        assert!(outcome.is_err() || options.dev == Some(true));
    }
}
