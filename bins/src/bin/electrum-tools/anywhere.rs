//! Options in any place of the command line.
//!
//! An option belongs to a command, and the parser takes it behind that command's name only. People write it where they
//! think of it: those that stand before their command's name are moved behind it.

use std::ffi::OsString;

use clap::{Arg, Command};

/// Moves options behind the name of the command that has them. What no command knows stays where it is, for the parser to
/// complain about.
pub(crate) fn in_order(root: &Command, words: impl Iterator<Item = OsString>) -> Vec<OsString> {
    let mut words = words.peekable();
    let mut ordered: Vec<OsString> = words.next().into_iter().collect();
    let mut moved = Vec::new();
    let mut command = root;
    // Options of the commands above that are taken below them as well.
    let mut inherited: Vec<&Arg> = Vec::new();
    while command.has_subcommands() {
        let Some(word) = words.next() else { break };
        let text = word.to_string_lossy().into_owned();
        if text == "--" {
            ordered.push(word);
            break;
        }
        if !text.starts_with('-') || text == "-" {
            let found = command.find_subcommand(&text);
            inherited.extend(
                command
                    .get_arguments()
                    .filter(|option| option.is_global_set()),
            );
            ordered.push(word);
            let Some(below) = found else { break };
            command = below;
            continue;
        }
        let here = command.get_arguments().chain(inherited.iter().copied());
        let own: Vec<&Arg> = here.filter(|option| is_called(option, &text)).collect();
        let (options, place) = match own.is_empty() {
            false => (own, &mut ordered),
            true => match below(command, &text) {
                found if found.is_empty() => (found, &mut ordered),
                found => (found, &mut moved),
            },
        };
        place.push(word);
        let takes_value = |option: &&Arg| option.get_action().takes_values();
        // The same name with a value here and without there: the name of a command is no value then.
        let is_command = |word: &OsString| command.find_subcommand(word).is_some();
        let has_value = match options.iter().all(takes_value) {
            true => !options.is_empty(),
            false => options.iter().any(takes_value) && !words.peek().is_some_and(is_command),
        };
        if has_value && !holds_its_value(&text) {
            place.extend(words.next());
        }
    }
    ordered.append(&mut moved);
    ordered.extend(words);
    ordered
}

/// Whether an option is meant by a word: `--name`, `--name=value`, `-n` or `-nvalue`.
fn is_called(option: &Arg, word: &str) -> bool {
    match word.strip_prefix("--") {
        Some(long) => {
            let name = long.split('=').next().unwrap_or_default();
            option.get_long() == Some(name)
                || option
                    .get_all_aliases()
                    .is_some_and(|aliases| aliases.contains(&name))
        }
        None => {
            let short = word.chars().nth(1);
            short.is_some() && option.get_short() == short
        }
    }
}

/// Whether the value is in the word itself.
fn holds_its_value(word: &str) -> bool {
    word.contains('=') || (!word.starts_with("--") && word.chars().count() > 2)
}

/// The options of that name of the commands below.
fn below<'a>(command: &'a Command, word: &str) -> Vec<&'a Arg> {
    let commands = command.get_subcommands();
    let found = commands.flat_map(|command| {
        let own = command.get_arguments();
        let own = own.filter(|option| is_called(option, word));
        own.chain(below(command, word))
    });
    found.collect()
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;
    use clap::error::ErrorKind;

    use super::*;
    use crate::cli::Options;

    fn parse(words: &[String]) -> Result<(), clap::Error> {
        let root = Options::command();
        let words = in_order(&root, words.iter().map(OsString::from));
        root.try_get_matches_from(words).map(drop)
    }

    /// The names of each command without commands below it, and the options that it takes.
    fn leaves(
        command: &Command,
        path: &[String],
        above: &[Arg],
        into: &mut Vec<(Vec<String>, Vec<Arg>)>,
    ) {
        let own = command
            .get_arguments()
            .filter(|option| option.get_long().is_some());
        let options: Vec<Arg> = above.iter().chain(own).cloned().collect();
        if !command.has_subcommands() {
            into.push((path.to_vec(), options));
            return;
        }
        for below in command
            .get_subcommands()
            .filter(|below| below.get_name() != "help")
        {
            let path = [path, &[below.get_name().to_owned()]].concat();
            leaves(below, &path, &options, into);
        }
    }

    /// Every option of every command, in every place.
    #[test]
    fn options_are_taken_anywhere() {
        let mut commands = Vec::new();
        leaves(
            &Options::command(),
            &["electrum-tools".to_owned()],
            &[],
            &mut commands,
        );
        let mut count = 0;
        for (path, options) in commands {
            for option in options {
                let long = format!("--{}", option.get_long().unwrap());
                let mut words = vec![long];
                if option.get_action().takes_values() {
                    let values = option.get_possible_values();
                    let value = values.first().map_or("1", |value| value.get_name());
                    words.push(value.to_owned());
                }
                for at in 1..=path.len() {
                    let line = [&path[..at], &words, &path[at..]].concat();
                    let wrong = parse(&line).err().map(|error| error.kind());
                    assert!(
                        !matches!(
                            wrong,
                            Some(
                                ErrorKind::UnknownArgument
                                    | ErrorKind::InvalidSubcommand
                                    | ErrorKind::MissingSubcommand
                            )
                        ),
                        "{line:?}: {wrong:?}"
                    );
                    count += 1;
                }
            }
        }
        assert!(count > 200, "{count}");
    }

    #[test]
    fn words_are_moved_with_their_values_and_others_stay() {
        let check = |line: &str, expected: &str| {
            let root = Options::command();
            let words = in_order(&root, line.split(' ').map(OsString::from));
            let words: Vec<_> = words.iter().map(|word| word.to_str().unwrap()).collect();
            assert_eq!(words.join(" "), expected);
        };
        check("x --rpc a:1 dev mine 1", "x dev mine --rpc a:1 1");
        check(
            "x --rpc=a:1 --json dev mine 1",
            "x --json dev mine --rpc=a:1 1",
        );
        check("x dev --rpc a:1 mine 1", "x dev --rpc a:1 mine 1");
        check("x --timeout 3 ping a:1", "x ping --timeout 3 a:1");
        check("x -n 3 seed derive -", "x seed derive -n 3 -");
        check("x --bip39 seed check -", "x seed check --bip39 -");
        check("x --bip39 m/1 seed derive -", "x seed derive --bip39 m/1 -");
        check("x --nonsense ping a:1", "x --nonsense ping a:1");
        check("x call a:1 m -- --rpc", "x call a:1 m -- --rpc");
        check("x call a:1 m --rpc", "x call a:1 m --rpc");
    }
}
