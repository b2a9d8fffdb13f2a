//! Bodies as clients see them. Each is made from the model by full destructuring, so that a new field is neither
//! forgotten nor leaked, and holds the keys that any supported client requires (contract, control-plane §16.2).
#![expect(
    clippy::struct_excessive_bools,
    clippy::struct_field_names,
    reason = "the names and shapes are the contract's"
)]

pub(crate) mod config;
pub(crate) mod garbage;
pub(crate) mod health;
pub(crate) mod keys;
pub(crate) mod loops;
pub(crate) mod object_storage;
pub(crate) mod organizations;
pub(crate) mod pools;
pub(crate) mod regions;
pub(crate) mod registries;
pub(crate) mod runners;
pub(crate) mod sandboxes;
pub(crate) mod snapshots;
pub(crate) mod users;
pub(crate) mod volumes;

use harbor_model::Timestamp;
use harbor_model::images::Recipe;
use serde::Serialize;
use time::UtcOffset;
use utoipa::ToSchema;

/// ISO 8601, UTC, milliseconds (contract, control-plane §1.4).
pub(crate) fn iso(at: Timestamp) -> String {
    let at = at.to_offset(UtcOffset::UTC);
    let (year, month, day) = (at.year(), u8::from(at.month()), at.day());
    let (hour, minute, second, millisecond) = (at.hour(), at.minute(), at.second(), at.millisecond());
    format!("{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}.{millisecond:03}Z")
}

/// How an image is built.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct BuildInfo {
    dockerfile_content: String,
    /// Absent: it copies from no uploads.
    #[serde(skip_serializing_if = "Option::is_none")]
    context_hashes: Option<Vec<String>>,
    created_at: String,
    updated_at: String,
    /// What the engine calls the image.
    snapshot_ref: String,
}

impl BuildInfo {
    /// How what was made at `created_at` is built.
    pub(crate) fn of(recipe: Recipe, created_at: Timestamp, updated_at: Timestamp) -> Self {
        let Recipe { reference, dockerfile, contexts } = recipe;
        Self {
            dockerfile_content: dockerfile,
            context_hashes: Some(contexts).filter(|contexts| !contexts.is_empty()),
            created_at: iso(created_at),
            updated_at: iso(updated_at),
            snapshot_ref: reference,
        }
    }
}

/// An address.
#[derive(Serialize, ToSchema)]
pub(crate) struct Url {
    pub(crate) url: String,
}

/// The shape of every refusal.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Error {
    /// The HTTP status.
    #[schema(example = 404)]
    status_code: u16,
    /// Its reason phrase.
    #[schema(example = "Not Found")]
    error: String,
    /// What is wrong, for people.
    message: String,
    /// The reason phrase in upper case with underscores.
    code: String,
    /// `DAYTONA_API`.
    source: String,
    /// The request's target.
    path: String,
    /// When.
    timestamp: String,
    /// Also in the header `X-Request-Id`, and in harbor's log.
    request_id: String,
}

#[cfg(test)]
mod tests {
    use time::macros::datetime;

    use super::*;

    #[test]
    fn times_have_milliseconds_and_a_z() {
        assert_eq!(iso(datetime!(2026-01-31 13:00:00.0129 +1)), "2026-01-31T12:00:00.012Z");
        assert_eq!(iso(datetime!(0999-01-01 0:00 UTC)), "0999-01-01T00:00:00.000Z");
    }
}
