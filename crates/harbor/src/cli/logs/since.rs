//! The time from which on log lines are shown, as people write it.

use std::time::Duration;

use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;

use crate::process::logging::MILLISECONDS;

/// `text` as a span of time: a whole number of seconds, minutes, hours or days.
pub(in crate::cli) fn span(text: &str) -> Result<Duration, String> {
    let read = || {
        let (number, unit) = text.split_at_checked(text.len().checked_sub(1)?)?;
        let number: u64 = number.parse().ok()?;
        let unit = match unit {
            "s" => 1,
            "m" => 60,
            "h" => 60 * 60,
            "d" => 24 * 60 * 60,
            _ => return None,
        };
        Some(Duration::from_secs(number.checked_mul(unit)?))
    };
    read().ok_or_else(|| "give 90s, 10m, 2h or 1d".to_owned())
}

/// `text` as a time written as in the log: some time ago, or a time in RFC 3339.
pub(in crate::cli) fn since(text: &str) -> Result<String, String> {
    let ago = || OffsetDateTime::now_utc().checked_sub(span(text).ok()?.try_into().ok()?);
    let time = ago().or_else(|| OffsetDateTime::parse(text, &Rfc3339).ok());
    let written = time.and_then(|time| time.to_offset(time::UtcOffset::UTC).format(MILLISECONDS).ok());
    written.ok_or_else(|| "give 90s, 10m, 2h or 1d, or a time such as 2026-11-28T21:00:00Z".to_owned())
}
