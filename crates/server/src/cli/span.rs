//! Spans of time, as people say them.

pub(super) const HOUR: u64 = 3600;
/// As the configuration has it: 365 days and a quarter.
pub(super) const YEAR: u64 = 8766 * HOUR;

/// A span of time as people say it.
pub(super) fn span(seconds: u64) -> String {
    const UNITS: [(u64, &str); 5] =
        [(YEAR, "year"), (24 * HOUR, "day"), (HOUR, "hour"), (60, "minute"), (1, "second")];
    let whole = |(length, _): &&(u64, &str)| seconds >= *length && seconds.is_multiple_of(*length);
    let (length, unit) = UNITS.iter().find(whole).copied().unwrap_or((1, "second"));
    let count = seconds.checked_div(length).unwrap_or_default();
    format!("{count} {unit}{}", if count == 1 { "" } else { "s" })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_span_is_told_in_its_largest_whole_unit() {
        let told = [0, 1, 60, 90, 3600, 5400, 86_400, 6 * YEAR].map(span);
        let expected =
            ["0 seconds", "1 second", "1 minute", "90 seconds", "1 hour", "90 minutes", "1 day", "6 years"];
        assert_eq!(told, expected);
    }
}
