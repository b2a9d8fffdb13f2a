//! Who may do what.

/// Knows the access keys that clients sign with.
#[async_trait::async_trait]
pub trait Authorize: Send + Sync + 'static {
    /// The secret key to this access key id; `None`: there is no such key.
    async fn secret(&self, access_key: &str) -> Option<String>;

    /// What may be done with this access key, whose signature was right, and the session token that came with it.
    async fn scope(&self, access_key: &str, session_token: Option<&str>) -> Result<Scope, Denied>;
}

/// What may be done with an access key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Scope {
    /// Everything.
    Owner,
    /// Objects below a prefix may be written, read and listed, and nothing else (contract, edges §4.1).
    Prefix {
        /// The bucket.
        bucket: String,
        /// The first part of the objects' keys, without the slash after it.
        prefix: String,
    },
}

impl Scope {
    /// Whether this object may be read and written.
    pub(crate) fn has_object(&self, in_bucket: &str, key: &str) -> bool {
        match self {
            Self::Owner => true,
            Self::Prefix { bucket, prefix } => {
                bucket == in_bucket && key.strip_prefix(prefix.as_str()).is_some_and(|rest| rest.starts_with('/'))
            }
        }
    }

    /// Whether objects with this prefix may be listed.
    pub(crate) fn has_listing(&self, in_bucket: &str, listed: &str) -> bool {
        match self {
            Self::Owner => true,
            Self::Prefix { prefix, .. } if listed == prefix => self.has_bucket(in_bucket),
            Self::Prefix { .. } => self.has_object(in_bucket, listed),
        }
    }

    /// Whether it may be asked about this bucket.
    pub(crate) fn has_bucket(&self, name: &str) -> bool {
        match self {
            Self::Owner => true,
            Self::Prefix { bucket, .. } => bucket == name,
        }
    }
}

/// Why an access key opens nothing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Denied {
    /// The session token is missing, belongs to another key, or was never given out.
    InvalidToken,
    /// The key was temporary, and its time is over, or who asked for it may no more.
    Expired,
    /// It could not be found out; it is worth another try.
    Unknown,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_prefix_ends_at_a_slash() {
        let scope = Scope::Prefix { bucket: "daytona".to_owned(), prefix: "mine".to_owned() };
        for (bucket, key, object, listing) in [
            ("daytona", "mine/a", true, true),
            ("daytona", "mine/", true, true),
            ("daytona", "mine", false, true),
            ("daytona", "mine2/a", false, false),
            ("daytona", "", false, false),
            ("daytona", "other/mine/a", false, false),
            ("other", "mine/a", false, false),
            ("other", "mine", false, false),
        ] {
            assert_eq!(scope.has_object(bucket, key), object, "{bucket} {key}");
            assert_eq!(scope.has_listing(bucket, key), listing, "{bucket} {key}");
        }
        assert!(Scope::Owner.has_object("other", "a") && Scope::Owner.has_listing("other", ""));
    }
}
