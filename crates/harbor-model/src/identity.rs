//! Keys and what they allow (contract, control-plane §2).

use std::fmt;
use std::str::FromStr;

use crate::Timestamp;
use crate::ids::{OrganizationId, UserId};
use crate::names::DisplayName;

macro_rules! permissions {
    ($($(#[$doc:meta])* $name:ident = $word:literal),+ $(,)?) => {
        /// Something a key or role may allow (contract, control-plane §2.4).
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub enum Permission { $($(#[$doc])* $name),+ }

        impl Permission {
            /// Every permission there is.
            pub const ALL: &[Self] = &[$(Self::$name),+];

            /// The contract's word, for example `write:sandboxes`.
            pub const fn word(self) -> &'static str {
                match self { $(Self::$name => $word),+ }
            }
        }

        impl FromStr for Permission {
            type Err = UnknownPermission;

            fn from_str(text: &str) -> Result<Self, UnknownPermission> {
                match text { $($word => Ok(Self::$name),)+ _ => Err(UnknownPermission(text.to_owned())) }
            }
        }
    };
}

permissions! {
    /// Create and push registries' credentials.
    WriteRegistries = "write:registries",
    /// Delete registries.
    DeleteRegistries = "delete:registries",
    /// Create, activate and deactivate snapshots.
    WriteSnapshots = "write:snapshots",
    /// Delete snapshots.
    DeleteSnapshots = "delete:snapshots",
    /// Create and change sandboxes, and use their toolbox.
    WriteSandboxes = "write:sandboxes",
    /// Delete sandboxes.
    DeleteSandboxes = "delete:sandboxes",
    /// Read volumes.
    ReadVolumes = "read:volumes",
    /// Create volumes.
    WriteVolumes = "write:volumes",
    /// Delete volumes.
    DeleteVolumes = "delete:volumes",
    /// Create and change regions.
    WriteRegions = "write:regions",
    /// Delete regions.
    DeleteRegions = "delete:regions",
    /// Read runners.
    ReadRunners = "read:runners",
    /// Create and change runners.
    WriteRunners = "write:runners",
    /// Delete runners.
    DeleteRunners = "delete:runners",
    /// Read the audit log.
    ReadAuditLogs = "read:audit_logs",
    /// Work with secrets.
    ManageSecrets = "manage:secrets",
    /// Work with the keys of other members.
    ManageApiKeys = "manage:api_keys",
    /// Read usage and limits.
    ReadLimits = "read:limits",
    /// Single sign-on; guards nothing on one machine.
    ManageSso = "manage:sso",
    /// Billing; guards nothing on one machine.
    ReadBilling = "read:billing",
    /// Billing; guards nothing on one machine.
    ManageBilling = "manage:billing",
}

impl fmt::Display for Permission {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.word())
    }
}

/// Text that names no permission.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("unknown permission '{0}'")]
pub struct UnknownPermission(String);

/// SHA-256 of a key's text: all that is kept of it, besides [`KeyEnds`].
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub struct KeyHash(pub [u8; 32]);

/// First and last characters of a key, kept so that people can tell their keys apart.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct KeyEnds {
    /// The first three characters.
    pub first: String,
    /// The last three characters.
    pub last: String,
}

impl KeyEnds {
    /// The ends of this key; both empty for one too short to keep anything of it.
    pub fn of(key: &str) -> Self {
        let characters: Vec<char> = key.chars().collect();
        if characters.len() < 12 {
            return Self { first: String::new(), last: String::new() };
        }
        Self { first: characters[..3].iter().collect(), last: characters[characters.len() - 3..].iter().collect() }
    }

    /// How the key is shown in lists: its ends around twenty asterisks.
    pub fn masked(&self) -> String {
        format!("{}{}{}", self.first, "*".repeat(20), self.last)
    }
}

/// A user's key to one organization.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ApiKey {
    /// The organization it opens.
    pub organization: OrganizationId,
    /// Whose key it is.
    pub user: UserId,
    /// Its name, unique per organization and user.
    pub name: DisplayName,
    /// What is kept of its text.
    pub hash: KeyHash,
    /// Its first and last characters.
    pub ends: KeyEnds,
    /// What it allows; an empty list still reads.
    pub permissions: Vec<Permission>,
    /// When it was made.
    pub created_at: Timestamp,
    /// When it was last used, refreshed at most every ten seconds.
    pub last_used_at: Option<Timestamp>,
    /// From when on it opens nothing.
    pub expires_at: Option<Timestamp>,
    /// The key that made it, with which it goes. `None`: harbor made it, or a version that did not keep this.
    pub parent: Option<KeyHash>,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_word_names_its_permission() {
        for permission in Permission::ALL {
            assert_eq!(permission.word().parse(), Ok(*permission));
        }
        assert!("write:everything".parse::<Permission>().is_err());
    }

    #[test]
    fn masks_keep_only_the_ends() {
        assert_eq!(KeyEnds::of("dtn_0123456789abcdef9f2").masked(), "dtn********************9f2");
        assert_eq!(KeyEnds::of("short").masked(), "*".repeat(20));
    }
}
