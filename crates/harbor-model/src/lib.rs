//! Nouns and rules of harbor: ids, states, the steps between them, what is allowed; no IO, no async, no wire names.
//!
//! Every other crate speaks in these types. A value that exists has been checked: names are valid, ids are of the
//! right kind, secrets cannot be printed.

use std::fmt::Write as _;

pub mod actors;
pub mod capacity;
pub mod dockerfiles;
pub mod errors;
pub mod garbage;
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

/// `bytes` in lowercase hexadecimal digits, two for each.
pub fn hex(bytes: &[u8]) -> String {
    bytes.iter().fold(String::with_capacity(bytes.len() * 2), |mut text, byte| {
        _ = write!(text, "{byte:02x}"); // a String takes everything
        text
    })
}

/// `at` cut to whole milliseconds, so that a stored and read value equals the one written.
pub fn to_millisecond(at: Timestamp) -> Timestamp {
    at.replace_nanosecond(at.nanosecond() / 1_000_000 * 1_000_000).unwrap_or(at)
}
