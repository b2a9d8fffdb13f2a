//! Snapshots: listing, lookup and removal (contract, control-plane §6.3, §6.4).

mod create;

use std::cmp::Ordering;

use axum::Json;
use axum::extract::State;
use harbor_control::{Allowed, Caller, DeleteSnapshots};
use harbor_model::snapshots::Snapshot as Row;

use http::StatusCode;

use crate::error::ApiError;
use crate::input::{Query, Segments};
use crate::state::Api;
use crate::wire::snapshots::{Snapshot, SnapshotPage};

pub(super) use create::*;

/// What snapshots are listed by.
#[derive(Clone, Copy)]
enum Sort {
    LastUsedAt,
    Name,
    State,
    CreatedAt,
}

/// The first of each is what a request means that does not say.
const SORTS: &[(&str, Sort)] =
    &[("lastUsedAt", Sort::LastUsedAt), ("name", Sort::Name), ("state", Sort::State), ("createdAt", Sort::CreatedAt)];
const DESCENDING: &[(&str, bool)] = &[("desc", true), ("asc", false)];

/// Snapshots that the caller may use: own ones first, then general ones.
#[utoipa::path(
    get, path = "/snapshots", tag = "snapshots",
    params(
        ("page" = Option<u32>, Query, description = "From 1; 1 otherwise"),
        ("limit" = Option<u32>, Query, description = "1 to 200; 100 otherwise"),
        ("name" = Option<String>, Query, description = "Part of the name, in any case"),
        ("sourceSandboxId" = Option<String>, Query, description = "Made from this sandbox"),
        ("sort" = Option<String>, Query, description = "lastUsedAt, name, state or createdAt"),
        ("order" = Option<String>, Query, description = "desc or asc"),
    ),
    responses((status = 200, body = SnapshotPage))
)]
pub(super) async fn list(
    caller: Caller,
    State(api): State<Api>,
    mut query: Query,
) -> Result<Json<SnapshotPage>, ApiError> {
    let (page, limit) = (query.integer("page", 1, i64::from(u32::MAX)), query.integer("limit", 1, 200));
    let (name, source) = (query.text("name").map(|name| name.to_lowercase()), query.text("sourceSandboxId"));
    let ((_, sort), (_, descending)) = (query.choice("sort", SORTS), query.choice("order", DESCENDING));
    query.finish()?;
    let mut rows = api.control.snapshots(&caller).await?;
    let made_from = |row: &Row| source.is_none() || row.source.map(|id| id.to_string()) == source;
    rows.retain(|row| made_from(row) && name.as_ref().is_none_or(|name| row.name.to_lowercase().contains(name)));
    rows.sort_by(|a, b| a.general.cmp(&b.general).then_with(|| compare(sort, descending, a, b)));
    let (page, limit) = (number(page, 1), number(limit, 100));
    let (total, total_pages) = (rows.len(), rows.len().div_ceil(limit));
    let items = rows
        .into_iter()
        .skip((page - 1).saturating_mul(limit))
        .take(limit)
        .map(|row| api.shown_snapshot(row))
        .collect();
    Ok(Json(SnapshotPage { items, total, page, total_pages }))
}

/// Those without a value come last in either direction.
fn compare(sort: Sort, descending: bool, a: &Row, b: &Row) -> Ordering {
    let directed = |ordering: Ordering| if descending { ordering.reverse() } else { ordering };
    let by_id = || directed(a.id.cmp(&b.id));
    match sort {
        Sort::LastUsedAt => match (a.last_used_at, b.last_used_at) {
            (Some(a), Some(b)) => directed(a.cmp(&b)),
            (a, b) => b.is_some().cmp(&a.is_some()),
        },
        Sort::Name => directed(a.name.cmp(&b.name)),
        Sort::State => directed(a.state.word().cmp(b.state.word())),
        Sort::CreatedAt => directed(a.created_at.cmp(&b.created_at)),
    }
    .then_with(by_id)
}

pub(super) fn number(given: Option<i64>, otherwise: usize) -> usize {
    given.and_then(|given| usize::try_from(given).ok()).filter(|given| *given > 0).unwrap_or(otherwise)
}

/// A snapshot by name or id.
#[utoipa::path(
    get, path = "/snapshots/{id}", tag = "snapshots", params(("id" = String, Path, description = "Name or id")),
    responses((status = 200, body = Snapshot))
)]
pub(super) async fn get(
    caller: Caller,
    State(api): State<Api>,
    Segments(text): Segments<String>,
) -> Result<Json<Snapshot>, ApiError> {
    let found = api.control.snapshot(&caller, &text).await?;
    Ok(api.render_snapshot(found))
}

/// Removes a snapshot; sandboxes made from it stay, and its name is free at once.
#[utoipa::path(
    delete, path = "/snapshots/{id}", tag = "snapshots", params(("id" = String, Path, description = "Name or id")),
    responses((status = 200, description = "Removed"))
)]
pub(super) async fn delete(
    caller: Allowed<DeleteSnapshots>,
    State(api): State<Api>,
    Segments(text): Segments<String>,
) -> Result<StatusCode, ApiError> {
    api.control.delete_snapshot(&caller, &text).await?;
    Ok(StatusCode::OK)
}

#[cfg(test)]
mod tests {
    use harbor_model::Timestamp;
    use harbor_model::ids::{OrganizationId, SnapshotId};
    use harbor_model::resources::Resources;
    use harbor_model::snapshots::SnapshotState;

    use super::*;

    fn row(name: &str, last_used_at: Option<i64>) -> Row {
        let at = |seconds| Timestamp::from_unix_timestamp(seconds).unwrap();
        Row {
            id: SnapshotId::random(),
            organization: OrganizationId::random(),
            name: name.to_owned(),
            general: false,
            image: String::new(),
            image_id: None,
            build: None,
            layer: None,
            source: None,
            entrypoint: None,
            resources: Resources::DEFAULT,
            state: SnapshotState::Active,
            error: None,
            size_bytes: None,
            last_used_at: last_used_at.map(at),
            created_at: at(0),
            updated_at: at(0),
        }
    }

    #[test]
    fn unused_ones_come_last_in_either_direction() {
        for (descending, expected) in [(true, ["new", "old", "never"]), (false, ["old", "new", "never"])] {
            let mut rows = [row("never", None), row("new", Some(2)), row("old", Some(1))];
            rows.sort_by(|a, b| compare(Sort::LastUsedAt, descending, a, b));
            assert_eq!(rows.map(|row| row.name), expected);
        }
    }
}
