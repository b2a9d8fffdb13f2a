//! How values of the model stand in columns. The model knows no SQL; this is the one place that maps it.

use std::collections::BTreeMap;

use harbor_model::Timestamp;
use harbor_model::ids::ContainerId;
use harbor_model::names::DisplayName;
use harbor_model::sandboxes::{Boot, Seen};
use rusqlite::Row;

use crate::StoreError;

/// Milliseconds since 1970 UTC.
pub(crate) fn milliseconds(at: Timestamp) -> i64 {
    i64::try_from(at.unix_timestamp_nanos() / 1_000_000).unwrap_or(i64::MAX)
}

pub(crate) fn timestamp(milliseconds: i64) -> Result<Timestamp, StoreError> {
    Timestamp::from_unix_timestamp_nanos(i128::from(milliseconds) * 1_000_000)
        .map_err(|_| StoreError::Unreadable("time"))
}

/// The value in `column`, read by the type's own parser.
pub(crate) fn parsed<T: std::str::FromStr>(row: &Row<'_>, column: &'static str) -> Result<T, StoreError> {
    row.get_ref(column)?.as_str().ok().and_then(|text| text.parse().ok()).ok_or(StoreError::Unreadable(column))
}

/// The name in `column`. Not parsed: what an earlier version took stays readable.
pub(crate) fn name(row: &Row<'_>, column: &'static str) -> Result<DisplayName, StoreError> {
    Ok(DisplayName::recorded(row.get::<_, String>(column)?))
}

pub(crate) fn moment(row: &Row<'_>, column: &'static str) -> Result<Timestamp, StoreError> {
    timestamp(row.get(column)?)
}

pub(crate) fn optional_moment(row: &Row<'_>, column: &'static str) -> Result<Option<Timestamp>, StoreError> {
    row.get::<_, Option<i64>>(column)?.map(timestamp).transpose()
}

pub(crate) fn map(row: &Row<'_>, column: &'static str) -> Result<BTreeMap<String, String>, StoreError> {
    let text: String = row.get(column)?;
    serde_json::from_str(&text).map_err(|_| StoreError::Unreadable(column))
}

pub(crate) fn list(row: &Row<'_>, column: &'static str) -> Result<Option<Vec<String>>, StoreError> {
    let text: Option<String> = row.get(column)?;
    text.map(|text| serde_json::from_str(&text).map_err(|_| StoreError::Unreadable(column))).transpose()
}

/// JSON of a map or list of texts, which cannot fail.
pub(crate) fn json(value: impl Into<serde_json::Value>) -> String {
    value.into().to_string()
}

pub(crate) fn json_map(map: &BTreeMap<String, String>) -> String {
    json(map.iter().map(|(key, value)| (key.clone(), value.clone().into())).collect::<serde_json::Map<_, _>>())
}

/// [`Seen`] as the columns `seen, container, boot, exit_code, configured, connected, asked`.
#[derive(Default)]
pub(crate) struct SeenColumns<'a> {
    pub(crate) word: &'static str,
    pub(crate) container: Option<&'a str>,
    pub(crate) boot: Option<&'a str>,
    pub(crate) exit_code: Option<i64>,
    pub(crate) configured: bool,
    pub(crate) connected: bool,
    pub(crate) asked: bool,
}

impl<'a> SeenColumns<'a> {
    pub(crate) fn of(seen: &'a Seen) -> Self {
        match seen {
            Seen::Absent => Self { word: "absent", ..Self::default() },
            Seen::Made { container } => Self { word: "made", container: Some(container.as_str()), ..Self::default() },
            Seen::Running { container, boot, configured, connected } => Self {
                word: "running",
                container: Some(container.as_str()),
                boot: Some(&boot.0),
                configured: *configured,
                connected: *connected,
                ..Self::default()
            },
            Seen::Exited { container, code, asked, connected } => Self {
                word: "exited",
                container: Some(container.as_str()),
                exit_code: Some(*code),
                connected: *connected,
                asked: *asked,
                ..Self::default()
            },
            Seen::Lost => Self { word: "lost", ..Self::default() },
            Seen::Removed => Self { word: "removed", ..Self::default() },
        }
    }
}

pub(crate) fn seen(row: &Row<'_>) -> Result<Seen, StoreError> {
    let container = || -> Result<ContainerId, StoreError> { Ok(ContainerId::new(row.get::<_, String>("container")?)) };
    Ok(match row.get_ref("seen")?.as_str().unwrap_or_default() {
        "absent" => Seen::Absent,
        "made" => Seen::Made { container: container()? },
        "running" => Seen::Running {
            container: container()?,
            boot: Boot(row.get("boot")?),
            configured: row.get("configured")?,
            connected: row.get("connected")?,
        },
        "exited" => Seen::Exited {
            container: container()?,
            code: row.get("exit_code")?,
            asked: row.get("asked")?,
            connected: row.get("connected")?,
        },
        "lost" => Seen::Lost,
        "removed" => Seen::Removed,
        _ => return Err(StoreError::Unreadable("seen")),
    })
}

/// Runs a query whose rows are read by `read`.
pub(crate) fn collect<T>(
    statement: &mut rusqlite::Statement<'_>,
    parameters: impl rusqlite::Params,
    read: impl Fn(&Row<'_>) -> Result<T, StoreError>,
) -> Result<Vec<T>, StoreError> {
    let mut rows = statement.query(parameters)?;
    let mut all = Vec::new();
    while let Some(row) = rows.next()? {
        all.push(read(row)?);
    }
    Ok(all)
}

/// The first row of a query, if it has one.
pub(crate) fn first<T>(
    statement: &mut rusqlite::Statement<'_>,
    parameters: impl rusqlite::Params,
    read: impl Fn(&Row<'_>) -> Result<T, StoreError>,
) -> Result<Option<T>, StoreError> {
    let mut rows = statement.query(parameters)?;
    rows.next()?.map(read).transpose()
}

/// Turns a broken uniqueness rule into [`StoreError::NameTaken`].
pub(crate) fn name_taken(error: rusqlite::Error) -> StoreError {
    match error.sqlite_error_code() {
        Some(rusqlite::ErrorCode::ConstraintViolation) => StoreError::NameTaken,
        _ => error.into(),
    }
}
