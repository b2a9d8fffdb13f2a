//! Patterns for base names: `*`, `?`, `[a-z]`, `[^…]`, `\x` (contract, toolbox §11.10).

use std::iter::Peekable;
use std::str::Chars;

/// A well-formed pattern.
#[derive(Debug)]
pub(super) struct Glob {
    tokens: Vec<Token>,
}

#[derive(Debug)]
enum Token {
    Literal(char),
    /// `?`: any one character.
    One,
    /// `*`: any number of characters.
    Any,
    Class {
        negated: bool,
        ranges: Vec<(char, char)>,
    },
}

impl Token {
    /// Whether this token, not [`Token::Any`], takes `letter`; none takes a slash.
    fn takes(&self, letter: char) -> bool {
        match self {
            Self::Literal(literal) => *literal == letter,
            Self::One => letter != '/',
            Self::Any => false,
            Self::Class { negated, ranges } => {
                letter != '/' && ranges.iter().any(|(low, high)| (*low..=*high).contains(&letter)) != *negated
            }
        }
    }
}

impl Glob {
    /// Parses a pattern; none for a malformed one, which matches nothing.
    pub(super) fn parse(pattern: &str) -> Option<Self> {
        let mut rest = pattern.chars().peekable();
        let mut tokens = Vec::new();
        while let Some(letter) = rest.next() {
            tokens.push(match letter {
                '*' => Token::Any,
                '?' => Token::One,
                '\\' => Token::Literal(rest.next()?),
                '[' => class(&mut rest)?,
                literal => Token::Literal(literal),
            });
        }
        Some(Self { tokens })
    }

    /// Whether the whole `name` matches; time is at most the product of both lengths.
    pub(super) fn matches(&self, name: &str) -> bool {
        let mut rest = name.chars();
        let mut at = 0;
        let mut retry: Option<(usize, Chars<'_>)> = None; // after the last star, and where it has come to
        loop {
            match (self.tokens.get(at), rest.clone().next()) {
                (None, None) => return true,
                (Some(Token::Any), _) => {
                    at += 1;
                    retry = Some((at, rest.clone()));
                    continue;
                }
                (Some(token), Some(letter)) if token.takes(letter) => {
                    rest.next();
                    at += 1;
                    continue;
                }
                _ => {}
            }
            let Some((after_star, taken)) = &mut retry else { return false };
            if taken.next().is_none_or(|letter| letter == '/') {
                return false;
            }
            at = *after_star;
            rest = taken.clone();
        }
    }
}

/// The inside of `[…]`, up to and with the closing bracket.
fn class(rest: &mut Peekable<Chars<'_>>) -> Option<Token> {
    let negated = rest.next_if_eq(&'^').is_some();
    let mut ranges = Vec::new();
    while ranges.is_empty() || rest.next_if_eq(&']').is_none() {
        let low = member(rest)?;
        let high = if rest.next_if_eq(&'-').is_some() { member(rest)? } else { low };
        ranges.push((low, high));
    }
    Some(Token::Class { negated, ranges })
}

/// One character of a class; `-` and `]` only behind a backslash.
fn member(rest: &mut Peekable<Chars<'_>>) -> Option<char> {
    match rest.next()? {
        '-' | ']' => None,
        '\\' => rest.next(),
        letter => Some(letter),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(pattern: &str, matching: &[&str], others: &[&str]) {
        let matches = |name: &&&str| Glob::parse(pattern).is_some_and(|glob| glob.matches(name));
        assert_eq!(
            matching.iter().filter(matches).collect::<Vec<_>>(),
            matching.iter().collect::<Vec<_>>(),
            "{pattern}"
        );
        assert_eq!(others.iter().filter(matches).count(), 0, "{pattern}");
    }

    #[test]
    fn stars_and_question_marks() {
        check("*", &["", "a", ".hid"], &["a/b"]);
        check("*.txt", &["a.txt", ".txt", "a.b.txt"], &["a.TXT", "txt", "a.txt.gz"]);
        check("a?", &["ab", "a1", "a\u{e4}"], &["a", "abc", "a/"]);
        check("a*b*c", &["abc", "aXbYc", "abbcc", "abcbc"], &["acb", "ab"]);
        check("**x", &["x", "aax"], &["xa"]);
        check("", &[""], &["a"]);
    }

    #[test]
    fn classes_and_escapes() {
        check("[ab]*", &["a.txt", "b"], &["c", ""]);
        check("[^a-z]*", &[".x", "A"], &["a", ""]);
        check("[a-cx]", &["b", "x"], &["d", "-"]);
        check("[\\]\\-]", &["]", "-"], &["\\"]);
        check("\\*", &["*"], &["a", "\\*"]);
        check("{a,b}*", &["{a,b}"], &["a", "b"]);
        check("s/*", &[], &["s", "sa"]);
    }

    #[test]
    fn malformed_patterns_match_nothing() {
        for pattern in ["[", "[]", "[]a]", "[^]", "[a", "[a-]", "[-a]", "a\\", "*["] {
            assert!(Glob::parse(pattern).is_none(), "{pattern}");
        }
    }

    #[test]
    fn many_stars_are_not_exponential() {
        let name = "a".repeat(255);
        assert!(
            !Glob::parse(&"a*".repeat(120).replace("**", "*"))
                .unwrap()
                .matches(&format!("{name}b")[1..].replace('a', "b"))
        );
        assert!(!Glob::parse(&format!("{}b", "*a".repeat(60))).unwrap().matches(&name));
    }
}
