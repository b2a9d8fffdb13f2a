//! Names that people choose, checked where they enter (contract, control-plane §1.4, §6.2).

use std::fmt;
use std::str::FromStr;

use crate::Timestamp;
use crate::ids::SandboxId;

/// Text that cannot be a display name.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum InvalidName {
    /// The text is empty where a name is needed.
    #[error("must not be empty")]
    Empty,
    /// Something that a page could run or link.
    #[error("must not contain HTML tags, URLs or script schemes")]
    Markup,
    /// A control character other than tab, line feed or carriage return.
    #[error("must not contain control characters")]
    Control,
    /// A character that turns the direction of the text around it, so that it reads as another.
    #[error("must not contain marks that change the direction of text")]
    Direction,
    /// Longer than [`DisplayName::MAX_BYTES`].
    #[error("must not be longer than {} bytes", DisplayName::MAX_BYTES)]
    TooLong,
}

/// A name or description that is safe to show: no markup, no URL, no control characters, no marks of direction. Spaces
/// and other Unicode pass, right-to-left scripts among it.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct DisplayName(String);

impl DisplayName {
    /// The contract sets no limit; this one only keeps a row from being absurd.
    pub const MAX_BYTES: usize = 4096;

    /// A name that was checked when it was recorded, maybe by the rules of an earlier version.
    pub fn recorded(text: impl Into<String>) -> Self {
        Self(text.into())
    }

    /// The name's text.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// What a volume of this name is called once it is deleted, so that the name can be used again (contract, edges §6). A
    /// name near the longest one is cut.
    #[must_use]
    pub fn deleted(&self) -> Self {
        const SUFFIX: &str = "-deleted";
        let kept = self.0.floor_char_boundary(Self::MAX_BYTES - SUFFIX.len());
        Self(format!("{}{SUFFIX}", &self.0[..kept]))
    }

    /// What a sandbox of this name is called once it is wanted gone, so that the name can be used again:
    /// `DESTROYED_<name>_<milliseconds>` (contract, control-plane §5.1). A name near the longest one is cut.
    #[must_use]
    pub fn destroyed(&self, at: Timestamp) -> Self {
        let milliseconds = at.unix_timestamp_nanos() / 1_000_000;
        let around = format!("DESTROYED__{milliseconds}").len();
        let kept = self.0.floor_char_boundary(Self::MAX_BYTES - around);
        Self(format!("DESTROYED_{}_{milliseconds}", &self.0[..kept]))
    }
}

impl FromStr for DisplayName {
    type Err = InvalidName;

    fn from_str(text: &str) -> Result<Self, InvalidName> {
        if text.is_empty() {
            return Err(InvalidName::Empty);
        }
        if text.len() > Self::MAX_BYTES {
            return Err(InvalidName::TooLong);
        }
        if text.chars().any(|c| c.is_control() && !matches!(c, '\t' | '\n' | '\r')) {
            return Err(InvalidName::Control);
        }
        if text.chars().any(turns_direction) {
            return Err(InvalidName::Direction);
        }
        if looks_like_markup(text) {
            return Err(InvalidName::Markup);
        }
        Ok(Self(text.to_owned()))
    }
}

impl fmt::Display for DisplayName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// Unicode's `Bidi_Control`.
fn turns_direction(c: char) -> bool {
    matches!(c, '\u{61c}' | '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
}

fn looks_like_markup(text: &str) -> bool {
    let lower = text.to_lowercase();
    let scheme = ["javascript:", "data:", "mailto:", "tel:", "www.", "://"].iter().any(|mark| lower.contains(mark));
    scheme || has_tag(&lower)
}

/// `<` directly before a letter, `/`, `!` or `?`, with a `>` somewhere after it.
fn has_tag(text: &str) -> bool {
    text.match_indices('<').any(|(at, _)| {
        let rest = &text[at + 1..];
        rest.starts_with(|c: char| c.is_ascii_alphabetic() || matches!(c, '/' | '!' | '?')) && rest.contains('>')
    })
}

/// How a caller names a sandbox: by id, or by name within its organization.
///
/// Text of an id's shape is tried as an id first and then as a name.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct SandboxRef(String);

impl SandboxRef {
    /// Refers to the sandbox with this id or name.
    pub fn new(text: impl Into<String>) -> Self {
        Self(text.into())
    }

    /// The id, when the text has an id's shape.
    pub fn id(&self) -> Option<SandboxId> {
        self.0.parse().ok()
    }

    /// The text as given.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl From<SandboxId> for SandboxRef {
    fn from(id: SandboxId) -> Self {
        Self(id.to_string())
    }
}

impl fmt::Display for SandboxRef {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(text: &str, outcome: &Result<(), InvalidName>) {
        assert_eq!(&text.parse::<DisplayName>().map(|_| ()), outcome, "{text:?}");
    }

    #[test]
    fn spaces_unicode_slashes_and_comparisons_pass() {
        for text in ["a", "my sandbox", "büro/日本", "שלום", "a < b", "1<2>3", "line\nbreak", "x".repeat(4096).as_str()]
        {
            check(text, &Ok(()));
        }
    }

    #[test]
    fn the_name_of_a_destroyed_sandbox_is_a_name() {
        let at = Timestamp::from_unix_timestamp(1_700_000_000).unwrap();
        for text in ["mine", "büro/日本", "ü".repeat(2048).as_str()] {
            let destroyed = text.parse::<DisplayName>().unwrap().destroyed(at);
            assert_eq!(destroyed.as_str().parse(), Ok(destroyed.clone()), "{text:?}");
            assert!(destroyed.as_str().starts_with("DESTROYED_") && destroyed.as_str().ends_with("_1700000000000"));
        }
    }

    #[test]
    fn markup_and_control_characters_do_not() {
        for text in ["<b>x</b>", "</p>", "<!-- -->", "http://x", "see www.example", "JavaScript:alert(1)", "tel:1"] {
            check(text, &Err(InvalidName::Markup));
        }
        check("a\0b", &Err(InvalidName::Control));
        check("\u{1b}[31m", &Err(InvalidName::Control));
        check("\u{9b}31m", &Err(InvalidName::Control));
        check("a\u{85}b", &Err(InvalidName::Control));
        check("\u{7f}", &Err(InvalidName::Control));
        for mark in ['\u{61c}', '\u{200e}', '\u{200f}', '\u{202a}', '\u{202e}', '\u{2066}', '\u{2069}'] {
            check(&format!("report{mark}fdp.exe"), &Err(InvalidName::Direction));
        }
        check("", &Err(InvalidName::Empty));
        check(&"x".repeat(4097), &Err(InvalidName::TooLong));
    }
}
