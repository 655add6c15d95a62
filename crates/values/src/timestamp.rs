//! A point in time, in whole microseconds since the Unix epoch. RFC 3339 in text, seconds in JWTs.

use std::fmt;
use std::ops::Range;
use std::str::FromStr;
use std::time::Duration;

use serde::{Deserialize, Deserializer, Serialize, Serializer};
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;

/// A point in time, in microseconds since 1970-01-01T00:00:00Z; years 0 to 9999.
#[derive(Clone, Copy, Debug, Eq, PartialEq, Ord, PartialOrd, Hash)]
pub struct Timestamp(i64);

/// Where the present comes from. Only the server's clock reads the world's.
pub trait Clock: Send + Sync {
    /// The present.
    fn now(&self) -> Timestamp;
}

impl Timestamp {
    /// 1970-01-01T00:00:00Z.
    pub const EPOCH: Self = Self(0);
    /// The last microsecond of the year 9999.
    pub const MAX: Self = Self(Self::MAX_MICROS);
    const MIN_MICROS: i64 = -62_167_219_200_000_000;
    const MAX_MICROS: i64 = 253_402_300_799_999_999;

    /// From microseconds since the epoch, held within the years 0 to 9999.
    #[must_use]
    pub fn from_micros(micros: i64) -> Self {
        Self(micros.clamp(Self::MIN_MICROS, Self::MAX_MICROS))
    }

    /// From whole seconds since the epoch, held within the years 0 to 9999.
    #[must_use]
    pub fn from_unix(seconds: i64) -> Self {
        Self::from_micros(seconds.saturating_mul(MICROS_PER_SECOND))
    }

    /// Microseconds since the epoch.
    #[must_use]
    pub fn as_micros(self) -> i64 {
        self.0
    }

    /// Whole seconds since the epoch, rounded down.
    #[must_use]
    pub fn as_unix(self) -> i64 {
        self.0.div_euclid(MICROS_PER_SECOND)
    }

    /// The start of the second that this point lies in.
    #[must_use]
    pub fn floor_to_second(self) -> Self {
        Self::from_unix(self.as_unix())
    }

    /// This point moved later, held at the year 9999.
    #[must_use]
    pub fn plus(self, by: Duration) -> Self {
        Self::from_micros(self.0.saturating_add(micros(by)))
    }

    /// This point moved earlier, held at the year 0.
    #[must_use]
    pub fn minus(self, by: Duration) -> Self {
        Self::from_micros(self.0.saturating_sub(micros(by)))
    }

    /// How long after `earlier` this is; zero if it is not.
    #[must_use]
    pub fn since(self, earlier: Self) -> Duration {
        Duration::from_micros(u64::try_from(self.0.saturating_sub(earlier.0)).unwrap_or(0))
    }

    /// The year in UTC.
    #[must_use]
    pub fn year(self) -> u16 {
        u16::try_from(self.to_offset().year()).unwrap_or_default()
    }

    /// Year and month in UTC, as `2026-11`.
    #[must_use]
    pub fn year_month(self) -> String {
        let date = self.to_offset();
        format!("{:04}-{:02}", date.year(), u8::from(date.month()))
    }

    /// As headers have it, to the second. RFC 9110 section 5.6.7.
    #[must_use]
    pub fn http_date(self) -> String {
        let t = self.to_offset();
        // Both are English names, of which the first three letters count.
        let (weekday, month) = (t.weekday().to_string(), t.month().to_string());
        let [weekday, month] = [&weekday, &month].map(|name| name.get(..3).unwrap_or_default());
        format!(
            "{weekday}, {:02} {month} {:04} {:02}:{:02}:{:02} GMT",
            t.day(),
            t.year(),
            t.hour(),
            t.minute(),
            t.second()
        )
    }

    /// RFC 3339 in UTC with exactly six fractional digits, so that text sorts as time does.
    #[must_use]
    pub fn to_text(self) -> TimestampText {
        // INVARIANT: the range is held by every constructor, so the fallback is never taken.
        let t = OffsetDateTime::from_unix_timestamp(self.as_unix()).unwrap_or(OffsetDateTime::UNIX_EPOCH);
        let ((year, month, day), (hour, minute, second)) = (t.to_calendar_date(), t.to_hms());
        let micros = self.0.rem_euclid(MICROS_PER_SECOND);
        let mut text = *b"0000-00-00T00:00:00.000000Z";
        put_digits(&mut text, 0..4, u32::try_from(year).unwrap_or_default());
        for (from, field) in [(5, u8::from(month)), (8, day), (11, hour), (14, minute), (17, second)] {
            put_digits(&mut text, from..from.saturating_add(2), field.into());
        }
        put_digits(&mut text, 20..26, u32::try_from(micros).unwrap_or_default());
        TimestampText(text)
    }

    fn to_offset(self) -> OffsetDateTime {
        // INVARIANT: the range is held by every constructor, so the fallback is never taken.
        OffsetDateTime::from_unix_timestamp_nanos(i128::from(self.0).saturating_mul(1000))
            .unwrap_or(OffsetDateTime::UNIX_EPOCH)
    }
}

const MICROS_PER_SECOND: i64 = 1_000_000;

fn micros(duration: Duration) -> i64 {
    i64::try_from(duration.as_micros()).unwrap_or(i64::MAX)
}

impl fmt::Display for Timestamp {
    /// As [`Timestamp::to_text`] has it.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.to_text().as_str())
    }
}

/// The text of a point in time.
#[derive(Clone, Copy, Debug)]
pub struct TimestampText([u8; 27]);

impl TimestampText {
    /// The text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        // INVARIANT: it is made of digits and of what stands between them.
        std::str::from_utf8(&self.0).unwrap_or_default()
    }
}

/// Writes a number into its place, with zeros before it.
fn put_digits(text: &mut [u8], place: Range<usize>, number: u32) {
    let mut rest = number;
    for digit in text.get_mut(place).unwrap_or_default().iter_mut().rev() {
        *digit = b'0' | u8::try_from(rest % 10).unwrap_or_default();
        rest /= 10;
    }
}

/// The text is no RFC 3339 time.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
#[error("not an RFC 3339 time, such as 2026-11-27T00:00:00Z")]
pub struct ParseTimestampError;

impl FromStr for Timestamp {
    type Err = ParseTimestampError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let parsed = OffsetDateTime::parse(text, &Rfc3339).map_err(|_| ParseTimestampError)?;
        let micros = parsed.unix_timestamp_nanos().div_euclid(1000);
        Ok(Self::from_micros(i64::try_from(micros).map_err(|_| ParseTimestampError)?))
    }
}

impl Serialize for Timestamp {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Timestamp {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = <std::borrow::Cow<'de, str>>::deserialize(deserializer)?;
        text.parse().map_err(serde::de::Error::custom)
    }
}

/// A clock that stands still until it is moved. For tests.
#[cfg(any(test, feature = "testing"))]
#[derive(Debug)]
pub struct FixedClock(std::sync::atomic::AtomicI64);

#[cfg(any(test, feature = "testing"))]
impl FixedClock {
    /// A clock that shows `now`.
    #[must_use]
    pub fn at(now: Timestamp) -> Self {
        Self(std::sync::atomic::AtomicI64::new(now.as_micros()))
    }

    /// Moves the clock on.
    pub fn advance(&self, by: Duration) {
        self.0.fetch_add(micros(by), std::sync::atomic::Ordering::SeqCst);
    }
}

#[cfg(any(test, feature = "testing"))]
impl Clock for FixedClock {
    fn now(&self) -> Timestamp {
        Timestamp::from_micros(self.0.load(std::sync::atomic::Ordering::SeqCst))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_header_has_it_in_words() {
        assert_eq!(Timestamp::from_unix(784_111_777).http_date(), "Sun, 06 Nov 1994 08:49:37 GMT");
    }

    #[test]
    fn text_and_value_agree_both_ways() {
        let t = Timestamp::from_micros(1_900_000_000_123_456);
        assert_eq!(t.to_string(), "2030-03-17T17:46:40.123456Z");
        assert_eq!("2030-03-17T17:46:40.123456Z".parse(), Ok(t));
        assert_eq!("2030-03-17T18:46:40.123456+01:00".parse(), Ok(t));
    }

    #[test]
    fn every_field_stands_in_its_place() {
        for (micros, text) in [
            (0, "1970-01-01T00:00:00.000000Z"),
            (-1, "1969-12-31T23:59:59.999999Z"),
            (1_709_210_096_070_809, "2024-02-29T12:34:56.070809Z"),
            (i64::MIN, "0000-01-01T00:00:00.000000Z"),
        ] {
            assert_eq!(Timestamp::from_micros(micros).to_string(), text);
        }
        // Whatever else knows the calendar agrees, day by day.
        for day in 0..40_000 {
            let t = Timestamp::from_unix(day * 86_401);
            assert_eq!(t.to_string().parse(), Ok(t));
        }
    }

    #[test]
    fn what_is_no_time_is_refused() {
        for text in ["", "2030-03-17", "1900000000", "2030-13-17T00:00:00Z"] {
            assert_eq!(text.parse::<Timestamp>(), Err(ParseTimestampError), "{text}");
        }
        let told = ParseTimestampError.to_string();
        let (_, example) = told.rsplit_once(' ').unwrap();
        assert!(example.parse::<Timestamp>().is_ok(), "{told}");
    }

    #[test]
    fn arithmetic_stays_within_the_calendar() {
        let last = Timestamp::from_micros(i64::MAX);
        assert_eq!(last.to_string(), "9999-12-31T23:59:59.999999Z");
        assert_eq!(last.plus(Duration::from_secs(1)), last);
        assert_eq!(Timestamp::EPOCH.since(last), Duration::ZERO);
        assert_eq!(Timestamp::from_micros(-1).as_unix(), -1);
        assert_eq!(Timestamp::from_unix(1_793_000_000).year_month(), "2026-10");
    }
}
