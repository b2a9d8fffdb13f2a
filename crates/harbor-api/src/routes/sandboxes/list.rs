//! Listing sandboxes, by cursor and by page number (contract, control-plane §5.14).

use std::collections::BTreeMap;

use axum::Json;
use axum::extract::State;
use harbor_control::Caller;
use harbor_control::sandboxes::{Filter, Order, Range, Sort};

use crate::cursor;
use crate::error::ApiError;
use crate::input::Query;
use crate::routes::snapshots::number;
use crate::state::Api;
use crate::wire::sandboxes::{NumberedSandboxPage, Sandbox, SandboxPage};

/// The first of each is what a request means that does not say.
const SORTS: &[(&str, Sort)] = &[
    ("lastActivityAt", Sort::LastActivityAt),
    ("name", Sort::Name),
    ("cpu", Sort::Cpu),
    ("memoryGib", Sort::Memory),
    ("diskGib", Sort::Disk),
    ("createdAt", Sort::CreatedAt),
];
const NUMBERED_SORTS: &[(&str, Sort)] = &[
    ("createdAt", Sort::CreatedAt),
    ("id", Sort::Id),
    ("name", Sort::Name),
    ("state", Sort::State),
    ("snapshot", Sort::Snapshot),
    ("region", Sort::Region),
    ("updatedAt", Sort::UpdatedAt),
    ("lastActivityAt", Sort::LastActivityAt),
];
const ORDERS: &[(&str, Order)] = &[("desc", Order::Descending), ("asc", Order::Ascending)];

/// Every state of the contract but `destroyed`, which is never listed.
const STATES: &[&str] = &[
    "creating",
    "restoring",
    "destroying",
    "started",
    "stopped",
    "starting",
    "stopping",
    "error",
    "build_failed",
    "pending_build",
    "building_snapshot",
    "unknown",
    "pulling_snapshot",
    "archived",
    "archiving",
    "resizing",
    "snapshotting",
    "forking",
    "pausing",
    "paused",
    "resuming",
];
const CLASSES: &[&str] = &["container", "linux-vm", "windows", "android"];

/// Sandboxes, page by page.
#[utoipa::path(
    get, path = "/sandbox", tag = "sandbox",
    params(
        ("cursor" = Option<String>, Query, description = "nextCursor of the page before"),
        ("limit" = Option<u32>, Query, description = "1 to 200; 100 otherwise"),
        ("id" = Option<String>, Query, description = "Start of the id, in any case"),
        ("name" = Option<String>, Query, description = "Start of the name, in any case"),
        ("labels" = Option<String>, Query, description = "JSON object of labels that must all be there"),
        ("states" = Option<Vec<String>>, Query),
        ("snapshots" = Option<Vec<String>>, Query),
        ("regionIds" = Option<Vec<String>>, Query),
        ("sandboxClasses" = Option<Vec<String>>, Query),
        ("isPublic" = Option<bool>, Query),
        ("isRecoverable" = Option<bool>, Query),
        ("includeWarm" = Option<bool>, Query, description = "Also those that wait in the organization's warm pools"),
        ("sort" = Option<String>, Query, description = "lastActivityAt, name, cpu, memoryGib, diskGib or createdAt"),
        ("order" = Option<String>, Query, description = "desc or asc"),
    ),
    responses((status = 200, body = SandboxPage))
)]
pub(in crate::routes) async fn list(
    caller: Caller,
    State(api): State<Api>,
    mut query: Query,
) -> Result<Json<SandboxPage>, ApiError> {
    let limit = number(query.integer("limit", 1, 200), 100);
    let ((sort_word, sort), (order_word, order)) = (query.choice("sort", SORTS), query.choice("order", ORDERS));
    let by = format!("{sort_word} {order_word}");
    let filter = filter(&mut query, "regionIds");
    let cursor = query.text("cursor");
    query.finish()?;
    let after = cursor.map(|cursor| cursor::read(&cursor, &by)).transpose()?;
    let page = api.control.list_sandboxes(&caller, &filter, (sort, order), (after, 0, limit)).await?;
    Ok(Json(SandboxPage {
        items: page.items.into_iter().map(|sandbox| Sandbox::of(sandbox, &api.config)).collect(),
        next_cursor: page.next.map(|after| cursor::write(&after, &by)),
    }))
}

/// Sandboxes by page number; clients before the cursor use it.
#[utoipa::path(
    get, path = "/sandbox/paginated", tag = "sandbox",
    params(
        ("page" = Option<u32>, Query, description = "From 1; 1 otherwise"),
        ("limit" = Option<u32>, Query, description = "1 to 200; 100 otherwise"),
        ("id" = Option<String>, Query),
        ("name" = Option<String>, Query),
        ("labels" = Option<String>, Query),
        ("states" = Option<Vec<String>>, Query),
        ("snapshots" = Option<Vec<String>>, Query),
        ("regions" = Option<Vec<String>>, Query),
        ("sort" = Option<String>, Query),
        ("order" = Option<String>, Query),
    ),
    responses((status = 200, body = NumberedSandboxPage))
)]
pub(in crate::routes) async fn list_numbered(
    caller: Caller,
    State(api): State<Api>,
    mut query: Query,
) -> Result<Json<NumberedSandboxPage>, ApiError> {
    let (page, limit) = (query.integer("page", 1, i64::from(u32::MAX)), query.integer("limit", 1, 200));
    let ((_, sort), (_, order)) = (query.choice("sort", NUMBERED_SORTS), query.choice("order", ORDERS));
    let filter = filter(&mut query, "regions");
    query.finish()?;
    let (page, limit) = (number(page, 1), number(limit, 100));
    let skip = (page - 1).saturating_mul(limit);
    let found = api.control.list_sandboxes(&caller, &filter, (sort, order), (None, skip, limit)).await?;
    Ok(Json(NumberedSandboxPage {
        items: found.items.into_iter().map(|sandbox| Sandbox::of(sandbox, &api.config)).collect(),
        total: found.total,
        page,
        total_pages: found.total.div_ceil(limit),
    }))
}

/// What both listings filter by. Deleted failures, which others list on request, do not exist here.
fn filter(query: &mut Query, regions: &str) -> Filter {
    query.flag("includeErroredDeleted");
    Filter {
        warm: query.flag("includeWarm").unwrap_or(false),
        id: query.text("id"),
        name: query.text("name"),
        labels: labels(query),
        states: query.words("states", STATES),
        snapshots: query.texts("snapshots"),
        regions: query.texts(regions),
        classes: query.words("sandboxClasses", CLASSES),
        cpu: sizes(query, "minCpu", "maxCpu"),
        memory_gib: sizes(query, "minMemoryGiB", "maxMemoryGiB"),
        disk_gib: sizes(query, "minDiskGiB", "maxDiskGiB"),
        public: query.flag("isPublic"),
        recoverable: query.flag("isRecoverable"),
        created: Range { from: query.date("createdAtAfter"), to: query.date("createdAtBefore") },
        destroy: Range { from: query.date("autoDestroyAtAfter"), to: query.date("autoDestroyAtBefore") },
        last_event: Range { from: query.date("lastEventAfter"), to: query.date("lastEventBefore") },
    }
}

fn sizes(query: &mut Query, least: &str, most: &str) -> Range<u32> {
    let mut bound =
        |key: &str| query.integer(key, 1, i64::from(u32::MAX)).and_then(|number| u32::try_from(number).ok());
    Range { from: bound(least), to: bound(most) }
}

/// `null` is no filter: Python clients from 0.22 to 0.179 send it where they were given none.
fn labels(query: &mut Query) -> BTreeMap<String, String> {
    let Some(text) = query.text("labels") else { return BTreeMap::new() };
    let given: Option<BTreeMap<String, String>> = serde_json::from_str(&text).unwrap_or_else(|_| {
        query.problem("labels must be a JSON object with texts as values");
        None
    });
    given.unwrap_or_default()
}
