//! Repositories of harbor's own registry of images: what they and what lies in them are called, and what they hold (OCI
//! distribution specification 1.1; contract, edges §5.3).

use std::fmt;
use std::str::FromStr;

use crate::objects::Piece;
use crate::{Timestamp, hex};

/// The longest name of a repository, in bytes.
const LONGEST_NAME: usize = 255;

/// The longest tag, in bytes.
const LONGEST_TAG: usize = 128;

/// How many hexadecimal digits a SHA-256 has.
const SHA256_DIGITS: usize = 64;

/// What is no name of a repository, no tag or no digest.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct Malformed(&'static str);

macro_rules! text {
    ($(#[$doc:meta])* $name:ident) => {
        $(#[$doc])*
        #[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub struct $name(String);

        impl $name {
            /// Its text.
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
                formatter.write_str(&self.0)
            }
        }
    };
}

text!(
    /// The name of a repository: words of small letters and digits with `.`, `_`, `__` or dashes between them, joined by `/`;
    /// at most 255 bytes.
    RepositoryName
);

text!(
    /// What a manifest is called in its repository until another one is called so.
    Tag
);

text!(
    /// The SHA-256 of bytes, as `sha256:` and 64 small hexadecimal digits.
    Digest
);

impl FromStr for RepositoryName {
    type Err = Malformed;

    fn from_str(text: &str) -> Result<Self, Malformed> {
        if text.len() > LONGEST_NAME {
            return Err(Malformed("a repository's name has at most 255 characters"));
        }
        if !text.split('/').all(is_word) {
            return Err(Malformed(
                "a repository's name is made of small letters and digits, with one dot, one or two underscores, or dashes \
                 between them and slashes between its parts",
            ));
        }
        Ok(Self(text.to_owned()))
    }
}

/// Whether this is a part of a name: letters and digits at both ends, and nothing but a separator between two of them.
fn is_word(word: &str) -> bool {
    let is_plain = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit();
    let bytes = word.as_bytes();
    let (Some(first), Some(last)) = (bytes.first(), bytes.last()) else { return false };
    is_plain(*first)
        && is_plain(*last)
        && bytes
            .split(|byte| is_plain(*byte))
            .all(|between| matches!(between, b"" | b"." | b"_" | b"__") || between.iter().all(|byte| *byte == b'-'))
}

impl FromStr for Tag {
    type Err = Malformed;

    fn from_str(text: &str) -> Result<Self, Malformed> {
        let is_inner = |byte: u8| byte.is_ascii_alphanumeric() || b"_.-".contains(&byte);
        if text.is_empty() || text.len() > LONGEST_TAG || text.starts_with(['.', '-']) || !text.bytes().all(is_inner) {
            return Err(Malformed(
                "a tag is 1 to 128 letters, digits, underscores, dots and dashes, and begins with neither dot nor dash",
            ));
        }
        Ok(Self(text.to_owned()))
    }
}

impl Digest {
    /// That of bytes with this SHA-256.
    pub fn of_sha256(hash: [u8; 32]) -> Self {
        Self(format!("sha256:{}", hex(&hash)))
    }
}

impl FromStr for Digest {
    type Err = Malformed;

    fn from_str(text: &str) -> Result<Self, Malformed> {
        let digits = text.strip_prefix("sha256:").filter(|digits| digits.len() == SHA256_DIGITS);
        match digits {
            Some(digits) if digits.bytes().all(|byte| byte.is_ascii_digit() || (b'a'..=b'f').contains(&byte)) => {
                Ok(Self(text.to_owned()))
            }
            _ => Err(Malformed("a digest is sha256: and 64 small hexadecimal digits")),
        }
    }
}

/// By what a manifest is asked for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ManifestKey {
    /// What it is called.
    Tag(Tag),
    /// What it is.
    Digest(Digest),
}

impl FromStr for ManifestKey {
    type Err = Malformed;

    fn from_str(text: &str) -> Result<Self, Malformed> {
        if text.contains(':') { text.parse().map(Self::Digest) } else { text.parse().map(Self::Tag) }
    }
}

/// A blob of a repository: a layer, a configuration, or whatever a manifest names.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RepositoryBlob {
    /// Its size in bytes.
    pub size: u64,
    /// Where its bytes are.
    pub pieces: Vec<Piece>,
    /// Since when no manifest of the repository names it.
    pub unneeded_since: Option<Timestamp>,
}

/// A manifest: it describes an image, lists others, or is about another one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Manifest {
    /// What it is.
    pub digest: Digest,
    /// Its media type.
    pub media_type: String,
    /// Its bytes, as they were pushed.
    pub content: Vec<u8>,
    /// The manifest that it is about, which may not be there.
    pub subject: Option<Digest>,
    /// What kind of artifact it is, where it says so.
    pub artifact_type: Option<String>,
    /// Its annotations, as a JSON object.
    pub annotations: Option<String>,
    /// When it was pushed.
    pub pushed_at: Timestamp,
}

/// What is told of a manifest that is about another one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Referrer {
    /// What it is.
    pub digest: Digest,
    /// Its media type.
    pub media_type: String,
    /// Its size in bytes.
    pub size: u64,
    /// What kind of artifact it is, where it says so.
    pub artifact_type: Option<String>,
    /// Its annotations, as a JSON object.
    pub annotations: Option<String>,
}

/// What a manifest names: a blob, or another manifest.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Named {
    /// Its digest.
    pub digest: Digest,
    /// How large the manifest says that it is, in bytes.
    pub size: u64,
    /// Whether it may be missing, because it is to be had elsewhere.
    pub elsewhere: bool,
}

/// A manifest that is pushed, and what has to be there for it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NewManifest {
    /// The manifest.
    pub manifest: Manifest,
    /// What it names, each once.
    pub named: Vec<Named>,
    /// What it is called from now on.
    pub tag: Option<Tag>,
}

/// What came of pushing a manifest.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ManifestPush {
    /// It is there.
    Done,
    /// It names this, which its repository has not.
    Missing(Digest),
    /// It says of this that it has another size.
    OtherSize(Digest),
}

/// What came of removing a blob or a manifest from a repository.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Removal {
    /// It is gone.
    Removed,
    /// A manifest of the repository names it.
    Needed,
    /// There was none.
    Missing,
}

/// A blob that is being pushed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BlobUpload {
    /// Its id.
    pub id: String,
    /// The repository that it is pushed to.
    pub repository: RepositoryName,
    /// How much has come, in bytes.
    pub size: u64,
    /// Where that is.
    pub pieces: Vec<Piece>,
    /// When something last came.
    pub touched_at: Timestamp,
}

/// What came of adding to a blob that is being pushed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Addition {
    /// It is added.
    Done,
    /// Something else was added meanwhile.
    Overtaken,
    /// There is no such push.
    Missing,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_those_of_the_specification() {
        let long = format!("{}/a", "a".repeat(253));
        for name in ["a", "daytona/x", "a.b_c__d---e/0", "org/app/deep/er", &long] {
            assert_eq!(name.parse::<RepositoryName>().map(|name| name.to_string()).as_deref(), Ok(name));
        }
        let too_long = format!("{long}b");
        for name in [
            "", "/", "a/", "/a", "a//b", "A", "a..b", "a___b", "a._b", "a-.b", "-a", "a-", ".", "..", "a/../b", "ä",
            "a b", &too_long,
        ] {
            assert!(name.parse::<RepositoryName>().is_err(), "{name:?}");
        }
    }

    #[test]
    fn a_manifest_is_asked_for_by_tag_or_digest() {
        let digest = format!("sha256:{}", "0f".repeat(32));
        assert_eq!(digest.parse(), Ok(ManifestKey::Digest(Digest(digest.clone()))));
        let longest = "t".repeat(128);
        for tag in ["v1.0", "_", "Latest-2", &longest] {
            assert_eq!(tag.parse(), Ok(ManifestKey::Tag(Tag(tag.to_owned()))));
        }
        let upper = digest.to_ascii_uppercase();
        let too_long = "t".repeat(129);
        for text in ["", ".a", "-a", "a/b", "a b", "ü", "sha256:", "sha256:0f", "md5:0f", "a:b", &upper, &too_long] {
            assert!(text.parse::<ManifestKey>().is_err(), "{text:?}");
        }
    }
}
