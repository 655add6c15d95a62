//! When people work: days and times of day, by an offset from UTC.

use std::collections::BTreeSet;
use std::str::FromStr;
use std::time::Duration;

use chartgate_values::Timestamp;

/// When those with some roles work.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Hours {
    /// Whose hours they are; everybody's, if it names none.
    pub roles: BTreeSet<String>,
    /// The days on which they begin.
    pub days: Days,
    /// From then on.
    pub from: TimeOfDay,
    /// Until before then; on the next day, if that is no later than `from`.
    pub until: TimeOfDay,
    /// In which time they are told.
    pub offset: Offset,
    /// How long after one finding there is no other.
    pub again_after: Duration,
}

/// Days of the week.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Days(BTreeSet<u8>);

/// Hours and minutes, such as `07:30`.
#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub struct TimeOfDay(i64);

/// `UTC`, or hours and minutes east of it, such as `+02:00`.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Offset(i64);

/// It is written otherwise.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
#[error("not UTC, an offset such as +02:00, a time such as 07:30, or a day such as mon")]
pub struct NotAnOffset;

const MINUTE: i64 = 60_000_000;
const DAY: i64 = 1440;
const NAMES: [&str; 7] = ["mon", "tue", "wed", "thu", "fri", "sat", "sun"];

impl Hours {
    /// Whether they are hours of somebody with these roles.
    #[must_use]
    pub fn are_of(&self, roles: &[String]) -> bool {
        self.roles.is_empty() || roles.iter().any(|role| self.roles.contains(role))
    }

    /// Whether a time is within them.
    #[must_use]
    pub fn include(&self, time: Timestamp) -> bool {
        let local = time.as_micros().div_euclid(MINUTE).saturating_add(self.offset.0);
        let (day, minute) = (local.div_euclid(DAY), local.rem_euclid(DAY));
        let begins_on = |day: i64| {
            // The first day of 1970 was a Thursday.
            u8::try_from(day.saturating_add(3).rem_euclid(7)).is_ok_and(|day| self.days.0.contains(&day))
        };
        let (from, until) = (self.from.0, self.until.0);
        if from < until {
            return begins_on(day) && (from..until).contains(&minute);
        }
        (begins_on(day) && minute >= from) || (begins_on(day.saturating_sub(1)) && minute < until)
    }
}

impl Days {
    /// From Monday to Friday.
    #[must_use]
    pub fn of_work() -> Self {
        Self((0..5).collect())
    }

    /// By their names: `mon` to `sun`.
    ///
    /// # Errors
    /// [`NotAnOffset`] if one of them is none.
    pub fn parse(names: &[String]) -> Result<Self, NotAnOffset> {
        let place = |name: &String| NAMES.iter().position(|known| *known == name.as_str());
        let days: Option<BTreeSet<u8>> = names.iter().map(|name| u8::try_from(place(name)?).ok()).collect();
        days.filter(|days| !days.is_empty()).map(Self).ok_or(NotAnOffset)
    }
}

fn minutes(text: &str, most: i64) -> Result<i64, NotAnOffset> {
    let two = |part: &str, most: i64| {
        let is_two = part.len() == 2 && part.bytes().all(|b| b.is_ascii_digit());
        part.parse::<i64>().ok().filter(|number| is_two && *number <= most).ok_or(NotAnOffset)
    };
    let (hours, minutes) = text.split_once(':').ok_or(NotAnOffset)?;
    Ok(two(hours, most)?.saturating_mul(60).saturating_add(two(minutes, 59)?))
}

impl FromStr for TimeOfDay {
    type Err = NotAnOffset;

    fn from_str(text: &str) -> Result<Self, NotAnOffset> {
        minutes(text, 23).map(Self)
    }
}

impl FromStr for Offset {
    type Err = NotAnOffset;

    fn from_str(text: &str) -> Result<Self, NotAnOffset> {
        if text == "UTC" {
            return Ok(Self(0));
        }
        let (sign, rest) = match text.split_at_checked(1) {
            Some(("+", rest)) => (1, rest),
            Some(("-", rest)) => (-1, rest),
            _ => return Err(NotAnOffset),
        };
        Ok(Self(minutes(rest, 14)?.saturating_mul(sign)))
    }
}

#[cfg(test)]
#[expect(clippy::arithmetic_side_effects, reason = "a test that overflows fails")]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn hours(from: &str, until: &str, offset: &str) -> Hours {
        Hours {
            roles: BTreeSet::new(),
            days: Days::of_work(),
            from: from.parse().unwrap(),
            until: until.parse().unwrap(),
            offset: offset.parse().unwrap(),
            again_after: Duration::from_hours(12),
        }
    }

    fn at(text: &str) -> Timestamp {
        text.parse().unwrap()
    }

    #[test]
    fn a_day_begins_and_ends_at_its_minute_by_its_offset() {
        let day = hours("07:00", "19:00", "+02:00");
        // 2026-11-26 is a Thursday.
        for (time, is_within) in [
            ("2026-11-26T04:59:59.999999Z", false),
            ("2026-11-26T05:00:00Z", true),
            ("2026-11-26T16:59:59.999999Z", true),
            ("2026-11-26T17:00:00Z", false),
            ("2026-11-28T10:00:00Z", false),
            ("2026-11-30T10:00:00Z", true),
            // Sunday in UTC, Monday there.
            ("2026-11-29T22:30:00Z", false),
        ] {
            assert_eq!(day.include(at(time)), is_within, "{time}");
        }
    }

    #[test]
    fn a_night_is_of_the_day_on_which_it_begins() {
        let night = hours("22:00", "06:00", "UTC");
        for (time, is_within) in [
            ("2026-11-27T22:00:00Z", true),
            ("2026-11-28T05:59:59Z", true),
            ("2026-11-28T06:00:00Z", false),
            ("2026-11-28T23:00:00Z", false),
            ("2026-11-30T05:00:00Z", false),
            ("2026-11-30T22:00:00Z", true),
        ] {
            assert_eq!(night.include(at(time)), is_within, "{time}");
        }
        let whole = hours("00:00", "00:00", "-05:00");
        assert!(whole.include(at("2026-11-28T04:59:00Z")) && !whole.include(at("2026-11-28T05:00:00Z")));
    }

    #[test]
    fn what_is_no_time_is_refused() {
        for bad in ["", "24:00", "7:00", "07:60", "07.00", "-1:00", "0٧:00"] {
            assert_eq!(bad.parse::<TimeOfDay>(), Err(NotAnOffset), "{bad}");
        }
        for bad in ["", "utc", "+15:00", "02:00", "+2:00", "Europe/Berlin"] {
            assert_eq!(bad.parse::<Offset>(), Err(NotAnOffset), "{bad}");
        }
        let days = |names: &[&str]| Days::parse(&names.iter().map(|n| (*n).to_owned()).collect::<Vec<_>>());
        assert_eq!(days(&["mon", "tue", "wed", "thu", "fri"]), Ok(Days::of_work()));
        assert!(days(&[]).is_err() && days(&["Mon"]).is_err() && days(&["mon", "x"]).is_err());
    }

    proptest! {
        #[test]
        fn what_is_within_some_hours_is_not_within_those_between_them(
            seconds in 0_i64..4_000_000_000, from in 0_i64..1440, until in 0_i64..1440, offset in -840_i64..841,
        ) {
            prop_assume!(from != until);
            let all = Days(BTreeSet::from([0, 1, 2, 3, 4, 5, 6]));
            let between = |from, until| Hours {
                roles: BTreeSet::new(),
                days: all.clone(),
                from: TimeOfDay(from),
                until: TimeOfDay(until),
                offset: Offset(offset),
                again_after: Duration::from_hours(1),
            };
            let time = Timestamp::from_unix(seconds);
            prop_assert_ne!(between(from, until).include(time), between(until, from).include(time));
        }

        #[test]
        fn a_time_by_another_offset_is_that_much_later(
            seconds in 1_000_000_i64..4_000_000_000, from in 0_i64..1440, until in 0_i64..1440, offset in -840_i64..841,
        ) {
            let by = |offset| Hours {
                roles: BTreeSet::new(),
                days: Days::of_work(),
                from: TimeOfDay(from),
                until: TimeOfDay(until),
                offset: Offset(offset),
                again_after: Duration::from_hours(1),
            };
            let there = Timestamp::from_unix(seconds - offset * 60);
            prop_assert_eq!(by(offset).include(there), by(0).include(Timestamp::from_unix(seconds)));
        }
    }
}
