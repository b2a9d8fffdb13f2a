//! Points in time as clients write them (contract, control-plane §1.5).

use harbor_model::Timestamp;
use time::{Date, Month, PrimitiveDateTime, Time, UtcOffset};

/// Reads `2026-01-31`, `2026-01-31T12:00`, with seconds, with up to nine digits behind them, with `Z`, `+01:00`,
/// `+0100` or `+01`, or without an offset (UTC). A `+` may have become a blank on the way.
pub(crate) fn date(text: &str) -> Option<Timestamp> {
    let mut rest = Rest(text.as_bytes());
    let date = rest.date()?;
    let time = if rest.0.is_empty() {
        Time::MIDNIGHT
    } else {
        rest.one(b"Tt ")?;
        rest.time()?
    };
    let offset = rest.offset()?;
    let at = PrimitiveDateTime::new(date, time).assume_offset(offset);
    Some(at.to_offset(UtcOffset::UTC))
}

/// What is still to be read.
struct Rest<'a>(&'a [u8]);

impl Rest<'_> {
    fn one(&mut self, of: &[u8]) -> Option<u8> {
        let (first, rest) = self.0.split_first()?;
        of.contains(first).then(|| {
            self.0 = rest;
            *first
        })
    }

    fn number(&mut self, digits: usize) -> Option<u32> {
        let (number, rest) = self.0.split_at_checked(digits)?;
        if !number.iter().all(u8::is_ascii_digit) {
            return None;
        }
        self.0 = rest;
        Some(number.iter().fold(0, |value, digit| value * 10 + u32::from(digit - b'0')))
    }

    fn small(&mut self) -> Option<u8> {
        self.number(2).and_then(|number| u8::try_from(number).ok())
    }

    fn date(&mut self) -> Option<Date> {
        let year = i32::try_from(self.number(4)?).ok()?;
        self.one(b"-")?;
        let month = Month::try_from(self.small()?).ok()?;
        self.one(b"-")?;
        Date::from_calendar_date(year, month, self.small()?).ok()
    }

    fn time(&mut self) -> Option<Time> {
        let hour = self.small()?;
        self.one(b":")?;
        let minute = self.small()?;
        let (mut second, mut nanosecond) = (0, 0);
        if self.one(b":").is_some() {
            second = self.small()?;
            if self.one(b".,").is_some() {
                nanosecond = self.fraction()?;
            }
        }
        Time::from_hms_nano(hour, minute, second, nanosecond).ok()
    }

    fn fraction(&mut self) -> Option<u32> {
        let digits = self.0.iter().take_while(|byte| byte.is_ascii_digit()).count();
        if digits == 0 || digits > 9 {
            return None;
        }
        let scale = 10_u32.pow(u32::try_from(9 - digits).ok()?);
        Some(self.number(digits)? * scale)
    }

    fn offset(&mut self) -> Option<UtcOffset> {
        if self.0.is_empty() {
            return Some(UtcOffset::UTC);
        }
        let sign = self.one(b"Zz+- ")?;
        if sign.eq_ignore_ascii_case(&b'z') {
            return self.0.is_empty().then_some(UtcOffset::UTC);
        }
        let hours = i8::try_from(self.small()?).ok()?;
        self.one(b":");
        let minutes = if self.0.is_empty() { 0 } else { i8::try_from(self.small()?).ok()? };
        let minus = if sign == b'-' { -1 } else { 1 };
        let offset = UtcOffset::from_hms(minus * hours, minus * minutes, 0).ok()?;
        self.0.is_empty().then_some(offset)
    }
}

#[cfg(test)]
mod tests {
    use time::macros::datetime;

    use super::*;

    fn check(text: &str, at: Option<Timestamp>) {
        assert_eq!(date(text), at, "{text}");
    }

    #[test]
    fn every_client_is_understood() {
        let noon = datetime!(2026-01-31 12:00 UTC);
        for text in [
            "2026-01-31T12:00:00.000000+0000", // Python
            "2026-01-31T12:00:00.000000 0000", // the same, its plus decoded as a blank
            "2026-01-31T12:00:00.000000",      // Python, naive
            "2026-01-31T12:00:00.000Z",        // TypeScript
            "2026-01-31T12:00:00Z",
            "2026-01-31T12:00:00.000000000Z", // Go
            "2026-01-31T13:30:00+01:30",
            "2026-01-31T11:00:00-01",
            "2026-01-31 12:00",
        ] {
            check(text, Some(noon));
        }
        check("2026-01-31", Some(datetime!(2026-01-31 00:00 UTC)));
        check("2026-01-31T12:00:00.123456789Z", Some(datetime!(2026-01-31 12:00:00.123456789 UTC)));
    }

    #[test]
    fn everything_else_is_no_date() {
        for text in [
            "",
            "yesterday",
            "2026",
            "2026-13-01",
            "2026-02-30",
            "2026-01-31T",
            "2026-01-31T25:00",
            "2026-01-31T12:00:00.",
            "2026-01-31T12:00:00Zulu",
            "2026-01-31T12:00:00+99:00",
            "2026-01-31T12:00:00+1",
            "1769860800",
            "２026-01-31",
        ] {
            check(text, None);
        }
    }
}
