//! What nobody needs any more, as harbor's owner sees it; harbor's own (design D12).

use harbor_model::garbage::Collected;
use serde::Serialize;
use utoipa::ToSchema;

/// What a collection takes, or would take.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Garbage {
    /// Seconds for which nobody has needed it.
    older_than: u64,
    kinds: Vec<Kind>,
    /// Bytes of disk, all kinds together.
    bytes: u64,
}

/// What it takes of one kind.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
struct Kind {
    kind: &'static str,
    count: u64,
    /// Bytes of disk that nothing needs any more because of it.
    bytes: u64,
    /// Why nobody needs them.
    reason: &'static str,
    /// Whether there may be more, for another collection: only so many go at once, and no image while one is built.
    more: bool,
}

impl Garbage {
    pub(crate) fn of(older_than: u64, collected: &[Collected]) -> Self {
        let kinds = collected.iter().map(|Collected { kind, count, bytes, more }| Kind {
            kind: kind.name(),
            count: *count,
            bytes: *bytes,
            reason: kind.reason(),
            more: *more,
        });
        Self { older_than, kinds: kinds.collect(), bytes: collected.iter().map(|kind| kind.bytes).sum() }
    }
}
