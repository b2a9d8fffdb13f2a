//! Files of a sandbox, kept apart from its container (design D7).

use crate::ids::LayerId;

/// What a sandbox's files differ in from its image, as stored.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Layer {
    /// Its id.
    pub id: LayerId,
    /// The image that it lies on, by the id that the engine gives it: under a name there may be another one later.
    pub image: String,
    /// SHA-256 of what is stored, in hexadecimal.
    pub digest: String,
    /// Bytes that it takes where it is stored.
    pub bytes: u64,
}
