//! The time in which a report is told.

use std::fmt;
use std::str::FromStr;

use chartgate_values::Timestamp;

/// UTC, or so many minutes east of it.
#[derive(Clone, Debug)]
pub(in crate::cli) struct Zone {
    name: String,
    minutes: i64,
}

impl Zone {
    /// A time as people read it, with its zone.
    pub(in crate::cli) fn show(&self, time: Timestamp) -> String {
        format!("{} {}", self.clock(time), self.name)
    }

    /// The same without the zone, where that is said above.
    pub(super) fn clock(&self, time: Timestamp) -> String {
        let local = Timestamp::from_micros(self.local_micros(time)).to_string();
        let shown: String = local.chars().take("2026-11-25T17:18:19".len()).collect();
        shown.replace('T', " ")
    }

    /// The hour in which it was, counted from the epoch by this zone's clocks.
    pub(super) fn hour(&self, time: Timestamp) -> i64 {
        self.local_micros(time).div_euclid(3_600_000_000)
    }

    /// A day that is counted from the epoch, such as 2026-11-25.
    pub(super) fn name_of_day(day: i64) -> String {
        let midnight = Timestamp::from_unix(day.saturating_mul(86_400));
        midnight.to_string().chars().take("2026-11-25".len()).collect()
    }

    fn local_micros(&self, time: Timestamp) -> i64 {
        time.as_micros().saturating_add(self.minutes.saturating_mul(60_000_000))
    }
}

impl fmt::Display for Zone {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.name)
    }
}

impl FromStr for Zone {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let none = || format!("`{text}` is neither UTC nor an offset such as +02:00");
        if text == "UTC" {
            return Ok(Self { name: text.to_owned(), minutes: 0 });
        }
        let (sign, rest) = match text.split_at_checked(1) {
            Some(("+", rest)) => (1, rest),
            Some(("-", rest)) => (-1, rest),
            _ => return Err(none()),
        };
        let two = |part: &str, most: i64| {
            let is_two = part.len() == 2 && part.bytes().all(|b| b.is_ascii_digit());
            part.parse::<i64>().ok().filter(|number| is_two && *number <= most)
        };
        let (hours, minutes) = rest.split_once(':').ok_or_else(none)?;
        let (hours, minutes) = (two(hours, 14).ok_or_else(none)?, two(minutes, 59).ok_or_else(none)?);
        let minutes = hours.saturating_mul(60).saturating_add(minutes).saturating_mul(sign);
        Ok(Self { name: text.to_owned(), minutes })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_time_is_told_by_its_offset() {
        let time = Timestamp::from_unix(1_793_836_800);
        let shown = |zone: &str| zone.parse::<Zone>().map(|zone| (zone.show(time), zone.hour(time)));
        let utc = shown("UTC").unwrap();
        assert!(utc.0.ends_with(" UTC"), "{utc:?}");
        let (later, hour) = shown("+14:00").unwrap();
        assert!(later.ends_with("+14:00") && later > utc.0 && hour == utc.1 + 14, "{later}");
        assert!(shown("-05:30").unwrap().0 < utc.0);
        assert!(utc.0.starts_with(&Zone::name_of_day(utc.1.div_euclid(24))));
        for bad in ["", "utc", "+2:00", "+02", "+02:60", "+15:00", "02:00", "+-2:00", "Europe/Berlin"] {
            assert!(shown(bad).is_err(), "{bad}");
        }
    }
}
