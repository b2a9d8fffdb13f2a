//! How values of the model stand in columns. The model knows no SQL; this is the one place that maps it.

use std::collections::BTreeMap;

use harbor_model::Timestamp;
use harbor_model::images::Recipe;
use harbor_model::names::DisplayName;
use rusqlite::{Row, ffi};

use crate::StoreError;

/// Milliseconds since 1970 UTC.
pub(crate) fn milliseconds(at: Timestamp) -> i64 {
    integer(at.unix_timestamp_nanos() / 1_000_000)
}

/// A size or a bound; what a column cannot hold is the most that it can.
pub(crate) fn integer(number: impl TryInto<i64>) -> i64 {
    number.try_into().unwrap_or(i64::MAX)
}

pub(crate) fn timestamp(milliseconds: i64) -> Result<Timestamp, StoreError> {
    Timestamp::from_unix_timestamp_nanos(i128::from(milliseconds) * 1_000_000)
        .map_err(|_| StoreError::Unreadable("time"))
}

/// The value in `column`, read by the type's own parser.
pub(crate) fn parsed<T: std::str::FromStr>(row: &Row<'_>, column: &'static str) -> Result<T, StoreError> {
    row.get_ref(column)?.as_str().ok().and_then(|text| text.parse().ok()).ok_or(StoreError::Unreadable(column))
}

/// The id in `column`, which may be empty.
pub(crate) fn optional_id<T: std::str::FromStr>(row: &Row<'_>, column: &'static str) -> Result<Option<T>, StoreError> {
    if row.get_ref(column)?.as_str_or_null().ok().flatten().is_none() {
        Ok(None)
    } else {
        parsed(row, column).map(Some)
    }
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
    map_of(column, &row.get::<_, String>(column)?)
}

/// The map that `text`, which stood in `column`, is JSON of.
pub(crate) fn map_of(column: &'static str, text: &str) -> Result<BTreeMap<String, String>, StoreError> {
    serde_json::from_str(text).map_err(|_| StoreError::Unreadable(column))
}

pub(crate) fn list(row: &Row<'_>, column: &'static str) -> Result<Option<Vec<String>>, StoreError> {
    let text: Option<String> = row.get(column)?;
    text.map(|text| serde_json::from_str(&text).map_err(|_| StoreError::Unreadable(column))).transpose()
}

/// How an image is built: the Dockerfile of the column of that name, if it has one, and the image's name in `reference`.
pub(crate) fn recipe(row: &Row<'_>, reference: &str) -> Result<Option<Recipe>, StoreError> {
    let Some(dockerfile) = row.get("dockerfile")? else { return Ok(None) };
    let contexts = list(row, "contexts")?.unwrap_or_default();
    Ok(Some(Recipe { reference: row.get(reference)?, dockerfile, contexts }))
}

/// JSON of a map or list of texts, which cannot fail.
pub(crate) fn json(value: impl Into<serde_json::Value>) -> String {
    value.into().to_string()
}

pub(crate) fn json_map(map: &BTreeMap<String, String>) -> String {
    json(map.iter().map(|(key, value)| (key.clone(), value.clone().into())).collect::<serde_json::Map<_, _>>())
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
    let unique = [ffi::SQLITE_CONSTRAINT_UNIQUE, ffi::SQLITE_CONSTRAINT_PRIMARYKEY];
    match error.sqlite_error() {
        Some(broken) if unique.contains(&broken.extended_code) => StoreError::NameTaken,
        _ => error.into(),
    }
}
