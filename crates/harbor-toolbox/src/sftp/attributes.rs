//! What SFTP tells of a file.

use rustix::fs::{FileType, Stat};
use time::{Duration, OffsetDateTime};

/// Flags of the attributes that follow.
pub(super) const SIZE: u32 = 0x01;
pub(super) const OWNER: u32 = 0x02;
pub(super) const PERMISSIONS: u32 = 0x04;
pub(super) const TIMES: u32 = 0x08;

/// Appends a file's attributes.
pub(super) fn write(bytes: &mut Vec<u8>, stat: &Stat) {
    let number = |bytes: &mut Vec<u8>, number: u32| bytes.extend(number.to_be_bytes());
    number(bytes, SIZE | OWNER | PERMISSIONS | TIMES);
    bytes.extend(u64::try_from(stat.st_size).unwrap_or_default().to_be_bytes());
    number(bytes, stat.st_uid);
    number(bytes, stat.st_gid);
    number(bytes, stat.st_mode);
    number(bytes, seconds(stat.st_atime));
    number(bytes, seconds(stat.st_mtime));
}

/// A time as this version has it: from 1970 to 2106.
fn seconds(time: i64) -> u32 {
    u32::try_from(time.max(0)).unwrap_or(u32::MAX)
}

/// A line as of `ls -l`, which some clients show. Accounts are numbers, times are UTC.
pub(super) fn line(name: &[u8], stat: &Stat, now: OffsetDateTime) -> Vec<u8> {
    let (mode, links, size) = (mode(stat.st_mode), stat.st_nlink, stat.st_size);
    let modified = OffsetDateTime::from_unix_timestamp(stat.st_mtime).unwrap_or(OffsetDateTime::UNIX_EPOCH);
    let when = when(modified, now);
    let mut line = format!("{mode} {links:>4} {:<8} {:<8} {size:>8} {when} ", stat.st_uid, stat.st_gid).into_bytes();
    line.extend(name);
    line
}

/// Month and day, with the time of day in the last half year and with the year otherwise.
fn when(time: OffsetDateTime, now: OffsetDateTime) -> String {
    let (month, day) = (&time.month().to_string()[..3], time.day());
    if time <= now && now - time < Duration::days(182) {
        format!("{month} {day:>2} {:02}:{:02}", time.hour(), time.minute())
    } else {
        format!("{month} {day:>2} {:>5}", time.year())
    }
}

fn mode(mode: u32) -> String {
    let kind = match FileType::from_raw_mode(mode) {
        FileType::Directory => 'd',
        FileType::Symlink => 'l',
        FileType::CharacterDevice => 'c',
        FileType::BlockDevice => 'b',
        FileType::Fifo => 'p',
        FileType::Socket => 's',
        _ => '-',
    };
    let mut text: Vec<char> = std::iter::once(kind)
        .chain("rwxrwxrwx".chars().enumerate().map(
            |(index, letter)| {
                if mode & (0o400 >> index) == 0 { '-' } else { letter }
            },
        ))
        .collect();
    for (bit, place, letter) in [(0o4000, 3, 's'), (0o2000, 6, 's'), (0o1000, 9, 't')] {
        if mode & bit != 0 {
            text[place] = if text[place] == 'x' { letter } else { letter.to_ascii_uppercase() };
        }
    }
    text.into_iter().collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use time::macros::datetime;

    #[test]
    fn modes_read_as_ls_writes_them() {
        for (bits, text) in [
            (0o100_644, "-rw-r--r--"),
            (0o040_755, "drwxr-xr-x"),
            (0o041_777, "drwxrwxrwt"),
            (0o041_776, "drwxrwxrwT"),
            (0o106_711, "-rws--s--x"),
            (0o104_644, "-rwSr--r--"),
            (0o120_777, "lrwxrwxrwx"),
            (0o010_640, "prw-r-----"),
        ] {
            assert_eq!(mode(bits), text);
        }
    }

    #[test]
    fn times_read_as_ls_writes_them() {
        let now = datetime!(2026-06-30 12:00 UTC);
        for (time, text) in [
            (datetime!(2026-06-01 09:05 UTC), "Jun  1 09:05"),
            (datetime!(2025-12-31 00:00 UTC), "Dec 31 00:00"),
            (datetime!(2025-12-01 00:00 UTC), "Dec  1  2025"),
            (datetime!(2026-06-30 12:01 UTC), "Jun 30  2026"),
        ] {
            assert_eq!(when(time, now), text);
        }
    }

    #[test]
    fn times_stay_within_the_protocol() {
        assert_eq!([-1, 0, 1_700_000_000, i64::MAX].map(seconds), [0, 0, 1_700_000_000, u32::MAX]);
    }
}
