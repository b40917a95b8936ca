//! Files of environment variables as the crate `dotenv` (0.15) reads them, which bwt uses.

use std::collections::BTreeMap;

use super::lines::{WrongLine, numbered};

/// A variable of a file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Variable {
    pub(super) name: String,
    pub(super) value: String,
    pub(super) line: usize,
}

/// Reads a file. `environment` has the variables that `$NAME` may stand for, besides those above in the file.
///
/// # Errors
///
/// The line that cannot be read. Its text is not repeated: it may be a private key.
pub(super) fn parse(
    text: &str,
    environment: &BTreeMap<String, String>,
) -> Result<Vec<Variable>, WrongLine> {
    let mut variables: Vec<Variable> = Vec::new();
    for (number, line) in numbered(text) {
        let line = line.trim();
        if line.is_empty() || line.starts_with('#') {
            continue;
        }
        let wrong = |problem: &str| WrongLine::new(number, problem);
        let line = match line.strip_prefix("export") {
            Some(rest) if rest.starts_with(char::is_whitespace) => rest.trim_start(),
            _ => line,
        };
        let Some((name, value)) = line.split_once('=') else {
            return Err(wrong(
                "it has no `=`: write NAME=VALUE, for example XPUB_SAVINGS=KEY",
            ));
        };
        if name.ends_with(char::is_whitespace) {
            return Err(wrong("there is a space before the `=`: write NAME=VALUE"));
        }
        let is_name = name.starts_with(|c: char| c.is_ascii_alphabetic() || c == '_')
            && name
                .chars()
                .all(|c| c.is_ascii_alphanumeric() || c == '_' || c == '.');
        if !is_name {
            return Err(wrong(
                "what stands before the `=` is not the name of a variable: write NAME=VALUE, for example XPUB_SAVINGS=KEY",
            ));
        }
        let known = |name: &str| {
            let above = variables.iter().find(|variable| variable.name == name);
            let of_file = above.map(|variable| variable.value.clone());
            environment
                .get(name)
                .cloned()
                .or(of_file)
                .unwrap_or_default()
        };
        let value = value_of(value, &known).map_err(wrong)?;
        variables.push(Variable {
            name: name.to_owned(),
            value,
            line: number,
        });
    }
    Ok(variables)
}

const SPACE: &str = "there is a space in the value: put the value in single quotes ('...')";
const QUOTE: &str = "a quotation mark is not closed. In a value without quotes, such as a descriptor with 84', every ' \
                     opens or closes a quotation: put the value in double quotes (\"...\")";
const ESCAPE: &str = "a backslash stands before something else than \\ ' \" $ n or a space: put the value in single quotes ('...')";
const BRACE: &str = "a ${ is not closed";

/// Takes quotes, escapes, substitutions and the comment out of a value.
fn value_of(text: &str, known: &dyn Fn(&str) -> String) -> Result<String, &'static str> {
    let mut value = String::new();
    let mut quote = None;
    let mut chars = text.chars().peekable();
    while let Some(c) = chars.next() {
        match (quote, c) {
            (Some('\''), '\'') | (Some('"'), '"') => quote = None,
            (Some('\''), c) => value.push(c),
            (None | Some('"'), '\\') => match chars.next() {
                Some('n') => value.push('\n'),
                Some(c @ ('\\' | '\'' | '"' | '$' | ' ')) => value.push(c),
                Some(_) => return Err(ESCAPE),
                None => {}
            },
            (None | Some('"'), '$') => {
                let in_braces = chars.next_if_eq(&'{').is_some();
                let mut name = String::new();
                while let Some(c) = chars.next_if(|c| match in_braces {
                    true => *c != '}',
                    false => c.is_alphanumeric(),
                }) {
                    name.push(c);
                }
                if in_braces && chars.next().is_none() {
                    return Err(BRACE);
                }
                value.push_str(&known(&name));
            }
            (None, '\'' | '"') => quote = Some(c),
            (None, ' ' | '\t') => {
                // Only a comment may follow.
                let rest = chars.find(|c| !matches!(c, ' ' | '\t'));
                return match rest {
                    None | Some('#') => Ok(value),
                    Some(_) => Err(SPACE),
                };
            }
            (_, c) => value.push(c),
        }
    }
    match quote {
        Some(_) => Err(QUOTE),
        None => Ok(value),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn values(text: &str) -> Vec<String> {
        let variables = parse(text, &BTreeMap::new()).unwrap();
        variables
            .into_iter()
            .map(|variable| variable.value)
            .collect()
    }

    /// The examples of the crate's own tests.
    #[test]
    fn values_are_read_as_dotenv_reads_them() {
        let check = |text: &str, value: &str| assert_eq!(values(text), [value], "{text}");
        check("KEY=1", "1");
        check("KEY2=\"2\"", "2");
        check("KEY4='fo ur'", "fo ur");
        check("KEY5=\"fi ve\"", "fi ve");
        check("KEY6=s\\ ix", "s ix");
        check("KEY8=     ", "");
        check("KEY9=   # foo", "");
        check("export   SHELL_LOVER=1", "1");
        check("KEY2=\\$sweet", "$sweet");
        check(
            "KEY3=\"awesome stuff \\\"mang\\\"\"",
            "awesome stuff \"mang\"",
        );
        check("KEY4='sweet $\\fgs'\\''fds'", "sweet $\\fgs'fds");
        check("KEY5=\"'\\\"yay\\\\\"\\ \"stuff\"", "'\"yay\\ stuff");
        check("KEY6=\"lol\" #well you see when I say lol wh", "lol");
        check("KEY7=\"line 1\\nline 2\"", "line 1\nline 2");
        check("KEY.Value=VALUE", "VALUE");
        check("XPUB=a#b", "a#b");
        check("KEY=\">$KEY1<>${KEY2}<\"", "><><");
        check("KEY='>${KEY1}<>$KEY2<'", ">${KEY1}<>$KEY2<");
        assert_eq!(values("KEY=VALUE\nKEY1=$KEY$KEY"), ["VALUE", "VALUEVALUE"]);
        assert_eq!(
            values("KEY=t\nKEY1=$KEY_1\nKEY2=${KEY}x"),
            ["t", "t_1", "tx"]
        );
        assert!(values("\n# foo=bar\n#    \r\n").is_empty());
    }

    #[test]
    fn what_dotenv_refuses_is_refused_with_its_line() {
        for text in [
            "  invalid    ",
            "KEY =val",
            "KEY2= val",
            "very bacon = yes indeed",
            "=value",
            "KEY=my uncool value",
            "KEY2=\"why",
            "KEY3='please stop''",
            "KEY4=h\\8u",
            "KEY=${A",
        ] {
            let error = parse(&format!("A=1\r\n\r\n{text}\n"), &BTreeMap::new()).unwrap_err();
            assert_eq!(error.line, 3, "{text}: {error}");
        }
    }
}
