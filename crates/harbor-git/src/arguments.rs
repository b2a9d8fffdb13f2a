//! The words after a command's name.

use crate::failure::Failure;

/// The options a command knows. What it does not know is refused.
pub(crate) struct CommandSyntax {
    /// Options without a value.
    pub(crate) flags: &'static [&'static str],
    /// Options with a value, after `=` or as the next word; `--porcelain` alone has the value "".
    pub(crate) valued: &'static [&'static str],
}

/// Options whose value may be left out.
const OPTIONAL: &[&str] = &["--porcelain"];

/// Options, operands, and what stands after `--`.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Arguments {
    options: Vec<(String, String)>,
    operands: Vec<String>,
    after: Vec<String>,
}

impl Arguments {
    /// Sorts words by the syntax of a command.
    pub(crate) fn parse(words: &[String], syntax: &CommandSyntax) -> Result<Self, Failure> {
        let mut arguments = Self::default();
        let mut words = words.iter();
        while let Some(word) = words.next() {
            if word == "--" {
                arguments.after.extend(words.by_ref().cloned());
            } else if !word.starts_with('-') || word.len() < 2 {
                arguments.operands.push(word.clone());
            } else if syntax.flags.contains(&word.as_str()) {
                arguments.options.push((word.clone(), String::new()));
            } else {
                let unknown = || Failure::usage(&format!("unknown option '{word}'"));
                let (name, value) = word.split_once('=').map_or((word.as_str(), None), |(n, v)| (n, Some(v)));
                if !syntax.valued.contains(&name) {
                    return Err(unknown());
                }
                let value = match value {
                    Some(value) => value.to_owned(),
                    None if OPTIONAL.contains(&name) => String::new(),
                    None => words.next().ok_or_else(unknown)?.clone(),
                };
                arguments.options.push((name.to_owned(), value));
            }
        }
        Ok(arguments)
    }

    /// Whether an option was given.
    pub(crate) fn has(&self, option: &str) -> bool {
        self.value(option).is_some()
    }

    /// The value of an option.
    pub(crate) fn value(&self, option: &str) -> Option<&str> {
        self.options.iter().find(|(name, _)| name == option).map(|(_, value)| value.as_str())
    }

    /// The words before `--` that are no options.
    pub(crate) fn operands(&self) -> Vec<&str> {
        self.operands.iter().map(String::as_str).collect()
    }

    /// The words after `--`.
    pub(crate) fn after(&self) -> &[String] {
        &self.after
    }

    /// Operands and what stands after `--`, for commands to which that is one.
    pub(crate) fn all(&self) -> Vec<&str> {
        self.operands.iter().chain(&self.after).map(String::as_str).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SYNTAX: CommandSyntax = CommandSyntax { flags: &["--quiet", "-b"], valued: &["--depth", "--porcelain"] };

    fn parse(text: &str) -> Result<Arguments, Failure> {
        Arguments::parse(&text.split(' ').map(str::to_owned).collect::<Vec<_>>(), &SYNTAX)
    }

    #[test]
    fn words_are_sorted() {
        let arguments = parse("--quiet -b new --depth 3 --porcelain origin -- --quiet a").unwrap();
        assert!(arguments.has("--quiet") && arguments.has("-b") && arguments.has("--porcelain"));
        assert_eq!((arguments.value("--depth"), arguments.operands()), (Some("3"), vec!["new", "origin"]));
        assert_eq!(arguments.after(), ["--quiet", "a"]);
        assert_eq!(arguments.all(), ["new", "origin", "--quiet", "a"]);
        assert_eq!(parse("--depth=4 --porcelain=v2").unwrap().value("--porcelain"), Some("v2"));
    }

    #[test]
    fn what_is_unknown_is_refused() {
        for words in ["--loud", "-x", "--quiet=yes", "--depth"] {
            assert_eq!(parse(words).unwrap_err().code(), 129, "{words}");
        }
    }
}
