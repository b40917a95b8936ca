//! Files as Python's `RawConfigParser` reads them, with its defaults.
//!
//! Comments are whole lines that begin with `#` or `;`: behind a value they belong to it. A line that is indented more
//! than its option continues the value. Names of options are in lower case, those of sections are as written. What
//! stands in `[DEFAULT]` stands in every section. Sections and options that come twice are errors.

use super::lines::{WrongLine, numbered};

/// An option of a section.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Setting {
    /// In lower case.
    pub(super) name: String,
    /// Without white space around it; the lines of a long one are separated by `\n`.
    pub(super) value: String,
    /// The line of its name.
    pub(super) line: usize,
}

/// The sections of a file.
#[derive(Debug, Default)]
pub(super) struct Ini {
    sections: Vec<Section>,
}

#[derive(Debug)]
struct Section {
    name: String,
    line: usize,
    settings: Vec<Setting>,
}

/// The section whose options are in all others.
const DEFAULT: &str = "DEFAULT";

impl Ini {
    /// Reads a file.
    ///
    /// # Errors
    ///
    /// The line that is no section, no option, no comment and no continuation. Its text is not repeated: it may be a
    /// private key.
    pub(super) fn parse(text: &str) -> Result<Self, WrongLine> {
        let mut ini = Self::default();
        // How far the option is indented to which a line may belong; none where no line can.
        let mut option_indent: Option<usize> = None;
        for (number, line) in numbered(text) {
            let stripped = line.trim();
            if stripped.starts_with(['#', ';']) {
                continue;
            }
            if stripped.is_empty() {
                if option_indent.is_some()
                    && let Some(setting) = ini.last_setting()
                {
                    setting.value.push('\n');
                }
                continue;
            }
            let indent = line.chars().take_while(|c| c.is_whitespace()).count();
            if option_indent.is_some_and(|of_option| indent > of_option)
                && let Some(setting) = ini.last_setting()
            {
                setting.value.push('\n');
                setting.value.push_str(stripped);
                continue;
            }
            option_indent = None;
            if let Some(name) = section_name(stripped) {
                ini.begin(name, number)?;
                continue;
            }
            let Some(section) = ini.sections.last_mut() else {
                return Err(WrongLine::new(
                    number,
                    "there is no section before it: the first line is one such as [master-public-keys]",
                ));
            };
            let Some((name, value)) = stripped.split_once(['=', ':']) else {
                return Err(WrongLine::new(
                    number,
                    format!(
                        "it has no `=`: in [{}] write NAME = VALUE, for a key with any name (savings = KEY)",
                        section.name
                    ),
                ));
            };
            let name = name.trim().to_lowercase();
            if name.is_empty() {
                return Err(WrongLine::new(
                    number,
                    "there is no name before the `=`: write NAME = VALUE",
                ));
            }
            if let Some(first) = section.settings.iter().find(|known| known.name == name) {
                return Err(WrongLine::new(
                    number,
                    format!(
                        "`{name}` is there already, on line {}: give one of them another name",
                        first.line
                    ),
                ));
            }
            section.settings.push(Setting {
                name,
                value: value.trim().to_owned(),
                line: number,
            });
            option_indent = Some(indent);
        }
        for setting in ini
            .sections
            .iter_mut()
            .flat_map(|section| &mut section.settings)
        {
            setting.value.truncate(setting.value.trim_end().len());
        }
        Ok(ini)
    }

    fn last_setting(&mut self) -> Option<&mut Setting> {
        self.sections.last_mut()?.settings.last_mut()
    }

    fn begin(&mut self, name: &str, line: usize) -> Result<(), WrongLine> {
        let known = self.sections.iter().find(|section| section.name == name);
        // Only `[DEFAULT]` may be opened again.
        if let Some(known) = known
            && name != DEFAULT
        {
            return Err(WrongLine::new(
                line,
                format!(
                    "the section [{name}] is there already, on line {}: put both together",
                    known.line
                ),
            ));
        }
        self.sections.push(Section {
            name: name.to_owned(),
            line,
            settings: Vec::new(),
        });
        Ok(())
    }

    /// Returns the line on which a section begins; none when there is no such section.
    pub(super) fn section_line(&self, name: &str) -> Option<usize> {
        let section = self.sections.iter().find(|section| section.name == name)?;
        Some(section.line)
    }

    /// Returns the names of all sections but `[DEFAULT]`, with the lines on which they begin.
    pub(super) fn sections(&self) -> impl Iterator<Item = (&str, usize)> {
        let named = self
            .sections
            .iter()
            .filter(|section| section.name != DEFAULT);
        named.map(|section| (section.name.as_str(), section.line))
    }

    /// Returns the options of a section, with those of `[DEFAULT]`; nothing when there is no such section.
    pub(super) fn settings(&self, name: &str) -> Vec<&Setting> {
        let Some(section) = self.sections.iter().find(|section| section.name == name) else {
            return Vec::new();
        };
        let mut settings: Vec<&Setting> = section.settings.iter().collect();
        let defaults = self
            .sections
            .iter()
            .filter(|section| section.name == DEFAULT);
        for default in defaults.flat_map(|section| &section.settings) {
            if settings.iter().all(|known| known.name != default.name) {
                settings.push(default);
            }
        }
        settings
    }
}

/// The name in `[name]`; what follows the last bracket is not looked at.
fn section_name(line: &str) -> Option<&str> {
    let (name, _) = line.strip_prefix('[')?.rsplit_once(']')?;
    (!name.is_empty()).then_some(name)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Checked with Python 3.11: `RawConfigParser().read_string(text)`, then the items of section `a`.
    fn check(text: &str, expected: &[(&str, &str)]) {
        let ini = Ini::parse(text).unwrap();
        let found: Vec<(&str, &str)> = ini
            .settings("a")
            .into_iter()
            .map(|setting| (setting.name.as_str(), setting.value.as_str()))
            .collect();
        assert_eq!(found, expected, "{text:?}");
    }

    fn wrong(text: &str) -> usize {
        Ini::parse(text).unwrap_err().line
    }

    #[test]
    fn values_are_read_as_python_reads_them() {
        check("[a]\nX = 1\ny: 2=3\n", &[("x", "1"), ("y", "2=3")]);
        check("[a]\n# x = 1\n  ; x = 1\ny=2 # z\n", &[("y", "2 # z")]);
        check(
            "[a]\nx = 1\n  2\n  # no\n\n  3\ny = 4\n",
            &[("x", "1\n2\n\n3"), ("y", "4")],
        );
        check("[a]\nx =\n  1\n", &[("x", "\n1")]);
        check("  [a]\n  x = 1\n  y = 2\n", &[("x", "1"), ("y", "2")]);
        check("[a]\r\nx = 1\r\ny = 2\r", &[("x", "1"), ("y", "2")]);
        check("[a] nonsense\nx = 1\n", &[("x", "1")]);
        check(
            "[DEFAULT]\nx = 1\ny = 2\n[a]\nx = 3\n",
            &[("x", "3"), ("y", "2")],
        );
        check("[a]\nx =\n\n\ny = 1\n", &[("x", ""), ("y", "1")]);
        check("[b]\nx = 1\n", &[]);
    }

    #[test]
    fn what_python_refuses_is_refused_with_its_line() {
        assert_eq!(wrong("x = 1\n[a]\n"), 1);
        assert_eq!(wrong("[a]\nnothing\n"), 2);
        assert_eq!(wrong("[a]\n\nx = 1\nX = 2\n"), 4);
        assert_eq!(wrong("[a]\n[b]\n[a]\n"), 3);
        assert_eq!(wrong("[a]\n= 1\n"), 2);
    }
}
