//! What is wrong with a configuration file, in plain words: the line, the option, and what may stand there.

use serde::Deserialize;
use toml::Spanned;

/// Says what is wrong, beginning with the line. What stands there is not repeated: it may be a password.
pub(crate) fn explain(text: &str, error: &toml::de::Error) -> String {
    let start = error.span().map_or(0, |span| span.start);
    let line = line_at(text, start);
    let message = error.message();
    let problem = match toml::from_str::<toml::Table>(text) {
        Err(_) => syntax(text, line, message),
        Ok(_) => meaning(&option_at(text, start), message),
    };
    format!("line {line}: {problem}")
}

/// Returns the lines on which wallets begin, and that of the list of them when it is empty.
pub(crate) fn wallet_lines(text: &str) -> Vec<usize> {
    #[derive(Deserialize)]
    struct Wallets {
        wallet: Option<Spanned<Vec<Spanned<toml::Value>>>>,
    }
    let Ok(Wallets {
        wallet: Some(wallets),
    }) = toml::from_str(text)
    else {
        return Vec::new();
    };
    let list = line_at(text, wallets.span().start);
    let lines: Vec<usize> = wallets
        .into_inner()
        .iter()
        .map(|wallet| line_at(text, wallet.span().start))
        .collect();
    match lines.is_empty() {
        true => vec![list],
        false => lines,
    }
}

fn line_at(text: &str, offset: usize) -> usize {
    let before = text.get(..offset).unwrap_or_default();
    before.matches('\n').count() + 1
}

/// The name of the option in whose value or name an error is.
fn option_at(text: &str, offset: usize) -> String {
    // A value may go over several lines.
    let before = text.get(..offset).unwrap_or_default();
    let rest = text.get(before.len()..).unwrap_or_default();
    let rest_of_line = rest.lines().next().unwrap_or_default();
    let line_start = before.rfind('\n').map_or(0, |at| at + 1);
    let this = [before.get(line_start..).unwrap_or_default(), rest_of_line].concat();
    let lines = before.get(..line_start).unwrap_or_default().lines().rev();
    let name = std::iter::once(this.as_str())
        .chain(lines)
        .find_map(|line| {
            let (name, _) = line.split_once('=')?;
            let name = name.trim().trim_matches(['"', '\'']);
            let is_name = !name.is_empty()
                && name
                    .chars()
                    .all(|c| c.is_ascii_alphanumeric() || "_-.".contains(c));
            is_name.then(|| name.to_owned())
        });
    name.unwrap_or_default()
}

/// What is wrong with a line that is no TOML.
fn syntax(text: &str, line: usize, message: &str) -> String {
    let this = text.lines().nth(line - 1).unwrap_or_default().trim();
    if message.starts_with("duplicate key") {
        return match this.split_once('=') {
            Some((name, _)) => format!("`{}` is set twice: remove one of them", name.trim()),
            None => {
                "a table is there twice: [[wallet]] with two brackets may be repeated".to_owned()
            }
        };
    }
    if this.starts_with('[') {
        return "a table is written [name], and each wallet begins with [[wallet]]".to_owned();
    }
    match this.split_once('=') {
        None => "this is not `name = value`".to_owned(),
        Some((name, _)) => format!(
            "the value of `{}` cannot be read: texts stand in quotation marks (\"...\"), lists in brackets ([\"...\", \
             \"...\"]), whole numbers, true and false without either",
            name.trim()
        ),
    }
}

/// What is wrong with an option, from what serde says of it.
fn meaning(option: &str, message: &str) -> String {
    let quoted: Vec<&str> = message.split('`').skip(1).step_by(2).collect();
    let known = quoted.get(1..).unwrap_or_default();
    let given = quoted.first().copied().unwrap_or_default();
    if message.starts_with("unknown field") {
        let hint = match (given, super::wallets::closest(given, known)) {
            ("wallets", _) => ": did you mean [[wallet]], once for each?".to_owned(),
            (_, Some(name)) => format!(": did you mean `{name}`?"),
            (_, None) => ": see --help for all options, written with _ instead of -".to_owned(),
        };
        return format!("unknown field `{given}`{hint}");
    }
    if message.starts_with("duplicate field") {
        return format!("`{given}` is set twice, perhaps under another name: remove one of them");
    }
    if message.starts_with("unknown variant") {
        return format!("`{option}` is one of {}", known.join(", "));
    }
    let expected = message
        .rsplit_once(", expected ")
        .map(|(_, expected)| expected);
    let is_type = message.starts_with("invalid type") || message.starts_with("invalid value");
    match expected.filter(|_| is_type) {
        Some(expected) => format!("`{option}` is {}", wanted(expected)),
        // An own text, of the option's type.
        None => match option.is_empty() || message.contains(option) {
            true => message.to_owned(),
            false => format!("`{option}`: {message}"),
        },
    }
}

/// What serde expected, in words.
fn wanted(expected: &str) -> &str {
    match expected {
        "u8" | "u16" | "u32" | "u64" | "usize" => {
            "a whole number that is not negative, without quotation marks"
        }
        "i8" | "i16" | "i32" | "i64" | "isize" => "a whole number, without quotation marks",
        "a boolean" => "true or false, without quotation marks",
        "a string" | "path string" => "a text in quotation marks",
        "a sequence" | "sequence" => "a list in brackets, or [[wallet]] for wallets",
        _ if expected.starts_with("struct") => {
            "a table, such as [[wallet]] with name and keys below it"
        }
        _ => "something else than what is there",
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cli::Options;

    fn explained(text: &str) -> String {
        explain(text, &toml::from_str::<Options>(text).unwrap_err())
    }

    #[test]
    fn errors_are_in_plain_words_and_name_the_line() {
        for (text, line, parts) in [
            (
                "network='regtest'\ndb_dri='x'\n",
                2,
                ["`db_dri`", "did you mean `db_dir`?"],
            ),
            ("\n[[wallets]]\nkeys='x'\n", 2, ["`wallets`", "[[wallet]]"]),
            ("[[wallet]]\nkey='x'\nbrith=3\n", 3, ["`brith`", "`birth`"]),
            ("max_batch = 'x'\n", 1, ["`max_batch`", "a whole number"]),
            ("max_batch = -1\n", 1, ["`max_batch`", "not negative"]),
            ("max_batch = 1.5\n", 1, ["`max_batch`", "a whole number"]),
            ("sync_once = 'yes'\n", 1, ["`sync_once`", "true or false"]),
            ("db_dir = 5\n", 1, ["`db_dir`", "quotation marks"]),
            ("db_dir = /home/x\n", 1, ["`db_dir`", "quotation marks"]),
            (
                "server_banner = [1]\n",
                1,
                ["`server_banner`", "quotation marks"],
            ),
            (
                "electrum_rpc_addr = 1\n",
                1,
                ["`electrum_rpc_addr`", "a text or a list of texts"],
            ),
            (
                "unwatched = 'x'\n",
                1,
                ["`unwatched`", "empty, reject, watch"],
            ),
            (
                "network = 'moon'\n",
                1,
                ["unknown network `moon`", "regtest"],
            ),
            ("block_time = 5\n", 1, ["`block_time`", "quotation marks"]),
            ("block_time = '5'\n", 1, ["`5`", "10s"]),
            ("wallet = 'x'\n", 1, ["`wallet`", "[[wallet]]"]),
            ("[wallet]\nkeys='x'\n", 1, ["", "[[wallet]]"]),
            (
                "[[wallet]]\nkeys = 5\n",
                2,
                ["`keys`", "a text or a list of texts"],
            ),
            (
                "[[wallet]]\nkeys='x'\nbirth = true\n",
                3,
                ["birth", "2021-05-31"],
            ),
            ("[[wallet]]\nkeys='x'\nbirth = -3\n", 3, ["birth", "700000"]),
            (
                "[[wallet]]\nkeys='x'\nbirth = 2021-5-31\n",
                3,
                ["`birth`", "cannot be read"],
            ),
            ("db_dir='a'\ndb_dir='b'\n", 2, ["`db_dir`", "twice"]),
            ("banner='a'\nbanner_file='b'\n", 1, ["", "twice"]),
            ("nonsense\n", 1, ["name = value", ""]),
            ("[[wallet]\n", 1, ["[[wallet]]", ""]),
            ("donation = \"x\n", 1, ["`donation`", "quotation marks"]),
        ] {
            let said = explained(text);
            assert!(
                said.starts_with(&format!("line {line}: ")),
                "{text:?}: {said}"
            );
            for part in parts {
                assert!(said.contains(part), "{text:?}: {said}");
            }
            for raw in [
                "untagged",
                "expected usize",
                "expected u32",
                "expected one of",
                "data did not match",
                "TOML parse",
            ] {
                assert!(!said.contains(raw), "{text:?}: {said}");
            }
        }
    }

    #[test]
    fn a_date_needs_no_quotation_marks() {
        let text = "wallet_birth = 2021-05-31\n[[wallet]]\nkeys='x'\nbirth = 2021-05-31T10:00:00Z\n[[wallet]]\nkeys='y'\nbirth=7\n";
        let options: Options = toml::from_str(text).unwrap();
        assert_eq!(options.wallet_birth.as_deref(), Some("2021-05-31"));
        assert_eq!(
            format!("{:?}", options.wallet[0].birth),
            "Some(Text(\"2021-05-31\"))"
        );
        assert_eq!(wallet_lines(text), [2, 5]);
        let options: Options = toml::from_str("wallet_birth = 700000").unwrap();
        assert_eq!(options.wallet_birth.as_deref(), Some("700000"));
        assert_eq!(wallet_lines("\nwallet = []"), [2]);
        assert_eq!(wallet_lines("db_dir='x'"), [0; 0]);
    }
}
