//! The one place here that reads the clock.

use chartgate_values::Timestamp;

/// The present.
#[expect(clippy::disallowed_methods, reason = "time is an argument to all else here")]
pub(crate) fn now() -> Timestamp {
    // INVARIANT: before 1970 and after the year 292000 the clock is wrong, and every token is refused.
    let since = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap_or_default();
    Timestamp::from_micros(i64::try_from(since.as_micros()).unwrap_or(i64::MAX))
}
