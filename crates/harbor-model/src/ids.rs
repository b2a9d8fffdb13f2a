//! One type per kind of id, so that no id is ever taken for another.

use std::fmt;
use std::str::FromStr;

use uuid::Uuid;

/// Text that is not an id of the kind asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("not an id: expected a UUID")]
pub struct InvalidId;

macro_rules! uuid_id {
    ($(#[$doc:meta])* $name:ident) => {
        $(#[$doc])*
        #[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub struct $name(Uuid);

        impl $name {
            /// A new random id.
            pub fn random() -> Self {
                Self(Uuid::new_v4())
            }

            /// The id with this value.
            pub const fn from_uuid(uuid: Uuid) -> Self {
                Self(uuid)
            }

            /// The id's value.
            pub const fn as_uuid(&self) -> &Uuid {
                &self.0
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                self.0.as_hyphenated().fmt(f)
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, "{}({})", stringify!($name), self.0)
            }
        }

        impl FromStr for $name {
            type Err = InvalidId;

            /// Reads the hyphenated form of 36 characters, in either case.
            fn from_str(text: &str) -> Result<Self, InvalidId> {
                if text.len() != 36 {
                    return Err(InvalidId);
                }
                Uuid::try_parse(text).map(Self).map_err(|_| InvalidId)
            }
        }
    };
}

uuid_id! {
    /// A sandbox. Also its host name inside, and part of its containers' names.
    SandboxId
}
uuid_id! {
    /// An organization: the tenant that owns sandboxes, snapshots and keys.
    OrganizationId
}
uuid_id! {
    /// A snapshot.
    SnapshotId
}
uuid_id! {
    /// A volume. Also the name of its directory.
    VolumeId
}
uuid_id! {
    /// An image that somebody asked for.
    ImageId
}
uuid_id! {
    /// A registry that an organization has a login to.
    RegistryId
}
uuid_id! {
    /// A stored layer: what a sandbox's files differ in from its image.
    LayerId
}
impl OrganizationId {
    /// Owner of what nobody owns yet: members of warm pools (contract, control-plane §5.1).
    pub const NOBODY: Self = Self(Uuid::nil());
}

uuid_id! {
    /// A warm pool.
    WarmPoolId
}
uuid_id! {
    /// A role within an organization.
    RoleId
}
uuid_id! {
    /// This installation, kept apart from the database; on every container as a label.
    InstanceId
}

macro_rules! text_id {
    ($(#[$doc:meta])* $name:ident) => {
        $(#[$doc])*
        #[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
        pub struct $name(String);

        impl $name {
            /// The id with this text.
            pub fn new(text: impl Into<String>) -> Self {
                Self(text.into())
            }

            /// The id's text.
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0)
            }
        }
    };
}

text_id! {
    /// A user: an opaque string, the `sub` of its tokens (contract, control-plane §1.4).
    UserId
}
text_id! {
    /// A region; its name is the same text (contract, control-plane §9.6).
    RegionId
}
text_id! {
    /// A container, as the engine names it.
    ContainerId
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_hyphenated_form_is_an_id() {
        let id = SandboxId::random();
        assert_eq!(id.to_string().parse(), Ok(id));
        assert_eq!(id.to_string().to_uppercase().parse(), Ok(id));
        for text in ["", "x", "00000000000000000000000000000000", "{67e55044-10b1-426f-9247-bb680e5fe0c8}"] {
            assert_eq!(text.parse::<SandboxId>(), Err(InvalidId), "{text}");
        }
    }
}
