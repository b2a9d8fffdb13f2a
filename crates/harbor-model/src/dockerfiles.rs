//! What stands in a Dockerfile, as far as harbor has to know.

/// An instruction of a Dockerfile.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Instruction {
    /// Its word, in capitals: `FROM`.
    pub word: String,
    /// What follows, continued lines joined.
    pub rest: String,
    /// The number of its last line, from 0.
    pub last_line: usize,
}

/// The instructions of a Dockerfile, in order. Comments and empty lines end no instruction that goes on.
pub fn instructions(dockerfile: &str) -> Vec<Instruction> {
    instructions_with(dockerfile, escape(dockerfile))
}

/// The instructions of a Dockerfile in which this character continues a line. Engines do not agree on the directives that
/// choose it: what must not be there must not be there with either one.
pub fn instructions_with(dockerfile: &str, escape: char) -> Vec<Instruction> {
    let dockerfile = dockerfile.strip_prefix('\u{feff}').unwrap_or(dockerfile);
    let (mut found, mut text) = (Vec::new(), None::<String>);
    let count = dockerfile.lines().count();
    for (number, line) in dockerfile.lines().enumerate() {
        let shown = line.trim_end_matches([' ', '\t']);
        let nothing = shown.trim_start().is_empty() || shown.trim_start().starts_with('#');
        if nothing && (text.is_none() || number + 1 < count) {
            continue;
        }
        let before = shown.strip_suffix(escape).filter(|before| !nothing && !before.ends_with(escape));
        let continues = before.is_some();
        let line = if nothing { "" } else { before.unwrap_or(shown) };
        text.get_or_insert_default().push_str(line);
        if (!continues || number + 1 == count)
            && let Some(whole) = text.take()
        {
            let whole = whole.trim();
            let (word, rest) = whole.split_once(char::is_whitespace).unwrap_or((whole, ""));
            found.push(Instruction {
                word: word.to_ascii_uppercase(),
                rest: rest.trim().to_owned(),
                last_line: number,
            });
        }
    }
    found
}

/// What continues a line: a backslash, or what the directive at the top says.
fn escape(dockerfile: &str) -> char {
    for line in dockerfile.strip_prefix('\u{feff}').unwrap_or(dockerfile).lines() {
        let directive = line.strip_prefix('#').and_then(|directive| directive.split_once('='));
        match directive.map(|(name, value)| (name.trim().to_ascii_lowercase(), value.trim())) {
            Some((name, value)) if name == "escape" => return if value == "`" { '`' } else { '\\' },
            Some((name, _)) if name == "syntax" || name == "check" => {}
            _ => break,
        }
    }
    '\\'
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn comments_and_continued_lines_are_told_apart() {
        let read = |text: &str| {
            let found = instructions(text).into_iter();
            found.map(|Instruction { word, rest, last_line }| (word, rest, last_line)).collect::<Vec<_>>()
        };
        let is = |word: &str, rest: &str, line: usize| (word.to_owned(), rest.to_owned(), line);
        assert_eq!(
            read(
                "# syntax=x\nARG A=1\n# not continued \\\nfrom\ta AS b\r\nRUN echo \\\n# in between\n\n  FROM nowhere\n"
            ),
            [is("ARG", "A=1", 1), is("FROM", "a AS b", 3), is("RUN", "echo   FROM nowhere", 7)]
        );
        assert_eq!(
            read("# escape=`\nFROM a\nRUN b `\n  c\nRUN d \\\n"),
            [is("FROM", "a", 1), is("RUN", "b   c", 3), is("RUN", "d \\", 4)]
        );
        assert_eq!(read("FROM \\\n a \\"), [is("FROM", "a", 1)]);
        assert_eq!(read("FROM a \\\n# the end"), [is("FROM", "a", 1)]);
        // no more than blanks may follow, and an escape that is escaped continues nothing
        assert_eq!(read("RUN a \\\u{a0}\nADD b /c"), [is("RUN", "a \\", 0), is("ADD", "b /c", 1)]);
        assert_eq!(read("RUN a \\\\\nADD b /c"), [is("RUN", "a \\\\", 0), is("ADD", "b /c", 1)]);
        assert_eq!(read("RUN a \\ \t\nADD b /c"), [is("RUN", "a ADD b /c", 1)]);
        assert_eq!(read("# foo=bar\n# escape=`\nRUN a `\nADD b /c"), [is("RUN", "a `", 2), is("ADD", "b /c", 3)]);
        assert_eq!(read("\u{feff}# escape=`\nRUN a \\\nADD b /c"), [is("RUN", "a \\", 1), is("ADD", "b /c", 2)]);
        assert_eq!(read(""), []);
    }
}
