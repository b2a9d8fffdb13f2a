//! Nouns and rules of harbor: ids, states, the steps between them, what is allowed; no IO, no async, no wire names.
//!
//! Every other crate speaks in these types. A value that exists has been checked: names are valid, ids are of the
//! right kind, secrets cannot be printed.

pub mod actors;
pub mod capacity;
pub mod dockerfiles;
pub mod errors;
pub mod identity;
pub mod ids;
pub mod images;
pub mod layers;
pub mod names;
pub mod objects;
pub mod organizations;
pub mod pools;
pub mod registries;
pub mod repositories;
pub mod resources;
pub mod sandboxes;
pub mod secrets;
pub mod snapshots;
pub mod volumes;

/// An instant, UTC, kept to the millisecond everywhere it is stored or shown.
pub type Timestamp = time::OffsetDateTime;

/// `at` cut to whole milliseconds, so that a stored and read value equals the one written.
pub fn to_millisecond(at: Timestamp) -> Timestamp {
    at.replace_nanosecond(at.nanosecond() / 1_000_000 * 1_000_000).unwrap_or(at)
}
