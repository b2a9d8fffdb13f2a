//! One file described (contract, toolbox §11.1).

use rustix::fs::{FileType, Stat};
use serde::Serialize;
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;

use super::paths;

/// `FileInfo` of the contract.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct FileInfo {
    /// Base name.
    name: String,
    /// Bytes.
    size: u64,
    /// Type letters and permission letters, as Go writes them.
    mode: String,
    /// `2026-06-01 10:20:30.5 +0000 UTC`.
    mod_time: String,
    /// The same moment in RFC 3339.
    modified_at: String,
    /// Of what a link points to.
    is_dir: bool,
    /// User id, in digits.
    owner: String,
    /// Group id, in digits.
    group: String,
    /// Four octal digits, permission bits only.
    permissions: String,
    /// From the root directory.
    path: String,
}

impl FileInfo {
    /// Describes the file called `name` (any path ending in it) that is at `full`.
    pub(super) fn new(name: &[u8], full: &[u8], stat: &Stat) -> Self {
        let modified = moment(stat.st_mtime, stat.st_mtime_nsec);
        Self {
            name: paths::text(paths::base(name)),
            size: u64::try_from(stat.st_size).unwrap_or_default(),
            mode: mode_text(stat.st_mode),
            mod_time: go_time(modified),
            modified_at: modified.format(&Rfc3339).unwrap_or_else(|_| "0001-01-01T00:00:00Z".to_owned()),
            is_dir: FileType::from_raw_mode(stat.st_mode) == FileType::Directory,
            owner: stat.st_uid.to_string(),
            group: stat.st_gid.to_string(),
            permissions: format!("{:04o}", stat.st_mode & 0o777),
            path: paths::text(&paths::clean(full)),
        }
    }
}

/// A file's time; one that no calendar has is taken for the epoch.
fn moment(seconds: i64, nanoseconds: u64) -> OffsetDateTime {
    let nanoseconds = i128::from(seconds) * 1_000_000_000 + i128::from(nanoseconds);
    OffsetDateTime::from_unix_timestamp_nanos(nanoseconds).unwrap_or(OffsetDateTime::UNIX_EPOCH)
}

fn go_time(time: OffsetDateTime) -> String {
    let (date, clock) = (time.date(), time.time());
    let fraction = match clock.nanosecond() {
        0 => String::new(),
        nanoseconds => format!(".{nanoseconds:09}").trim_end_matches('0').to_owned(),
    };
    let (year, month, day) = (date.year(), u8::from(date.month()), date.day());
    let (hour, minute, second) = (clock.hour(), clock.minute(), clock.second());
    format!("{year:04}-{month:02}-{day:02} {hour:02}:{minute:02}:{second:02}{fraction} +0000 UTC")
}

fn mode_text(mode: u32) -> String {
    let mut text = String::with_capacity(12);
    text.push_str(match mode & 0o170_000 {
        0o040_000 => "d",
        0o120_000 => "L",
        0o060_000 | 0o020_000 => "D",
        0o010_000 => "p",
        0o140_000 => "S",
        _ => "",
    });
    let special = [
        ('u', mode & 0o4000 != 0),
        ('g', mode & 0o2000 != 0),
        ('c', mode & 0o170_000 == 0o020_000),
        ('t', mode & 0o1000 != 0),
    ];
    text.extend(special.into_iter().filter_map(|(letter, set)| set.then_some(letter)));
    if text.is_empty() {
        text.push('-');
    }
    let letters = "rwxrwxrwx".chars().enumerate();
    text.extend(letters.map(|(index, letter)| if mode & (0o400 >> index) == 0 { '-' } else { letter }));
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn modes_read_as_go_writes_them() {
        let cases = [
            (0o100_644, "-rw-r--r--"),
            (0o040_755, "drwxr-xr-x"),
            (0o041_777, "dtrwxrwxrwx"),
            (0o104_755, "urwxr-xr-x"),
            (0o102_755, "grwxr-xr-x"),
            (0o106_711, "ugrwx--x--x"),
            (0o120_777, "Lrwxrwxrwx"),
            (0o010_640, "prw-r-----"),
            (0o140_755, "Srwxr-xr-x"),
            (0o060_660, "Drw-rw----"),
            (0o020_666, "Dcrw-rw-rw-"),
            (0o100_000, "----------"),
        ];
        for (mode, expected) in cases {
            assert_eq!(mode_text(mode), expected, "{mode:o}");
        }
    }

    #[test]
    fn times_have_as_many_digits_as_they_need() {
        let cases = [
            (1_780_309_230, 123_456_789, "2026-06-01 10:20:30.123456789 +0000 UTC"),
            (1_780_309_230, 500_000_000, "2026-06-01 10:20:30.5 +0000 UTC"),
            (1_780_309_230, 0, "2026-06-01 10:20:30 +0000 UTC"),
            (-1, 0, "1969-12-31 23:59:59 +0000 UTC"),
            (i64::MAX, 0, "1970-01-01 00:00:00 +0000 UTC"),
        ];
        for (seconds, nanoseconds, expected) in cases {
            assert_eq!(go_time(moment(seconds, nanoseconds)), expected);
        }
    }
}
