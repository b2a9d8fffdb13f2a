//! What a conditional or partial request gets (RFC 9110 §13 and §14; contract, toolbox §11.14).

use std::ops::Range;
use std::time::{Duration, SystemTime};

use http::{HeaderMap, HeaderName, header};

/// The file as it is now.
#[derive(Debug)]
pub(super) struct Version {
    /// Bytes.
    pub(super) size: u64,
    /// When it was changed last, in whole seconds.
    pub(super) modified: SystemTime,
    /// Its entity tag, quotes included.
    pub(super) tag: String,
}

/// What to answer.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Verdict {
    /// 200: everything.
    Whole,
    /// 206: these parts, at least one, none empty.
    Parts(Vec<Range<u64>>),
    /// 304.
    NotModified,
    /// 412.
    PreconditionFailed,
    /// 416.
    Unsatisfiable,
}

impl Version {
    /// A version last changed `seconds` after the epoch.
    pub(super) fn new(size: u64, (seconds, nanoseconds): (i64, u64), inode: u64) -> Self {
        let since = Duration::from_secs(u64::try_from(seconds).unwrap_or_default());
        // Later than this no HTTP date can be written.
        let modified = SystemTime::UNIX_EPOCH + since.min(Duration::from_secs(253_402_300_799));
        Self { size, modified, tag: format!("\"{inode:x}-{size:x}-{seconds:x}-{nanoseconds:x}\"") }
    }

    /// Decides by the headers of a GET request.
    pub(super) fn decide(&self, headers: &HeaderMap) -> Verdict {
        let changed_after = |name| date(headers, name).map(|date| self.modified > date);
        let stale = match text(headers, header::IF_MATCH) {
            Some(tags) => !self.is_among(tags, false),
            None => changed_after(header::IF_UNMODIFIED_SINCE).unwrap_or(false),
        };
        if stale {
            return Verdict::PreconditionFailed;
        }
        let known = match text(headers, header::IF_NONE_MATCH) {
            Some(tags) => self.is_among(tags, true),
            None => changed_after(header::IF_MODIFIED_SINCE).is_some_and(|changed| !changed),
        };
        if known {
            return Verdict::NotModified;
        }
        match text(headers, header::RANGE) {
            Some(ranges) if self.is_still(headers) => self.parts(ranges),
            _ => Verdict::Whole,
        }
    }

    /// Whether a list of entity tags has this version; a weak tag counts only where `weak` ones are good enough.
    fn is_among(&self, tags: &str, weak: bool) -> bool {
        tags.split(',').map(str::trim).any(|tag| {
            tag == "*" || tag == self.tag || (weak && tag.strip_prefix("W/").is_some_and(|tag| tag == self.tag))
        })
    }

    /// Whether `If-Range`, when there is one, allows parts.
    fn is_still(&self, headers: &HeaderMap) -> bool {
        match text(headers, header::IF_RANGE) {
            None => true,
            Some(tag) if tag.contains('"') => tag.trim() == self.tag,
            Some(_) => date(headers, header::IF_RANGE) == Some(self.modified),
        }
    }

    fn parts(&self, header: &str) -> Verdict {
        let Some(list) = header.strip_prefix("bytes=") else { return Verdict::Whole }; // a unit not known here
        let mut parts = Vec::new();
        for range in list.split(',').map(str::trim).filter(|range| !range.is_empty()) {
            match self.part(range) {
                None => return Verdict::Unsatisfiable,
                Some(part) if part.is_empty() => {}
                Some(part) => parts.push(part),
            }
        }
        // Some clients add a range to whatever they ask for; an empty file has no parts.
        if self.size == 0 {
            return Verdict::Whole;
        }
        let total = parts.iter().map(|part| part.end - part.start).fold(0, u64::saturating_add);
        match total {
            0 => Verdict::Unsatisfiable,
            total if total > self.size => Verdict::Whole, // costs more than everything
            _ => Verdict::Parts(parts),
        }
    }

    /// One range; an empty one when it lies behind the end, none when it is malformed.
    fn part(&self, range: &str) -> Option<Range<u64>> {
        let (first, last) = range.split_once('-')?;
        let (first, last) = (first.trim(), last.trim());
        if first.is_empty() {
            let length = number(last)?.min(self.size);
            return Some(self.size - length..self.size);
        }
        let first = number(first)?;
        let end = if last.is_empty() { self.size } else { number(last)?.saturating_add(1) };
        if !last.is_empty() && end <= first {
            return None;
        }
        if first >= self.size { Some(0..0) } else { Some(first..end.min(self.size)) }
    }
}

fn number(digits: &str) -> Option<u64> {
    let plain = digits.bytes().all(|byte| byte.is_ascii_digit());
    digits.parse().ok().filter(|_| plain)
}

fn text(headers: &HeaderMap, name: HeaderName) -> Option<&str> {
    headers.get(name)?.to_str().ok()
}

fn date(headers: &HeaderMap, name: HeaderName) -> Option<SystemTime> {
    httpdate::parse_http_date(text(headers, name)?).ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use http::HeaderValue;

    const TAG: &str = "\"7-a-35aad7c0-5\"";
    const THEN: &str = "Tue, 14 Jul 1998 04:00:00 GMT";
    const BEFORE: &str = "Tue, 14 Jul 1998 03:59:59 GMT";

    #[track_caller]
    fn check(size: u64, headers: &[(&str, &str)], expected: &Verdict) {
        let version = Version::new(size, (900_388_800, 5), 7);
        let headers: HeaderMap = headers
            .iter()
            .map(|(name, value)| (name.parse::<HeaderName>().unwrap(), HeaderValue::from_str(value).unwrap()))
            .collect();
        assert_eq!(version.decide(&headers), *expected, "{headers:?}");
    }

    fn parts(ranges: &[(u64, u64)]) -> Verdict {
        Verdict::Parts(ranges.iter().map(|(start, end)| *start..*end).collect())
    }

    #[track_caller]
    fn ranges(header: &str, expected: &[(u64, u64)]) {
        check(10, &[("range", header)], &parts(expected));
    }

    #[test]
    fn ranges_are_cut_to_the_file() {
        ranges("bytes=2-5", &[(2, 6)]);
        ranges("bytes=-3", &[(7, 10)]);
        ranges("bytes=-30", &[(0, 10)]);
        ranges("bytes=7-", &[(7, 10)]);
        ranges("bytes=0-18446744073709551615", &[(0, 10)]);
        ranges("bytes= 0-0 , -1,", &[(0, 1), (9, 10)]);
        ranges("bytes=0-1,20-30", &[(0, 2)]);
    }

    #[test]
    fn what_cannot_be_satisfied_and_what_is_ignored() {
        for header in
            ["bytes=20-30", "bytes=10-", "bytes=-0", "bytes=5-2", "bytes=x-y", "bytes=+1-2", "bytes=1", "bytes="]
        {
            check(10, &[("range", header)], &Verdict::Unsatisfiable);
        }
        for header in ["items=0-1", "bytes=0-9,0-9", "bytes=0-,1-"] {
            check(10, &[("range", header)], &Verdict::Whole);
        }
        check(0, &[("range", "bytes=0-")], &Verdict::Whole);
        check(0, &[], &Verdict::Whole);
    }

    #[test]
    fn dates_and_tags_decide() {
        check(10, &[("if-modified-since", THEN)], &Verdict::NotModified);
        check(10, &[("if-modified-since", BEFORE)], &Verdict::Whole);
        check(10, &[("if-modified-since", "nonsense")], &Verdict::Whole);
        check(10, &[("if-none-match", TAG)], &Verdict::NotModified);
        check(10, &[("if-none-match", &format!("\"x\", W/{TAG}"))], &Verdict::NotModified);
        check(10, &[("if-none-match", "*")], &Verdict::NotModified);
        check(10, &[("if-none-match", "\"x\""), ("if-modified-since", THEN)], &Verdict::Whole);
        check(10, &[("if-match", "\"x\"")], &Verdict::PreconditionFailed);
        check(10, &[("if-match", &format!("W/{TAG}"))], &Verdict::PreconditionFailed);
        check(10, &[("if-match", TAG), ("if-unmodified-since", BEFORE)], &Verdict::Whole);
        check(10, &[("if-unmodified-since", BEFORE)], &Verdict::PreconditionFailed);
        check(10, &[("if-unmodified-since", THEN)], &Verdict::Whole);
    }

    #[test]
    fn if_range_allows_parts_of_the_same_version_only() {
        for (value, same) in [(TAG, true), (THEN, true), ("\"x\"", false), (BEFORE, false), ("nonsense", false)] {
            let expected = if same { parts(&[(0, 1)]) } else { Verdict::Whole };
            check(10, &[("range", "bytes=0-0"), ("if-range", value)], &expected);
        }
    }
}
