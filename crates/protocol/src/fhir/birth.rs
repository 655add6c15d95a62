//! How old a patient is, as far as their birth date tells. HL7 FHIR 4.0.1, datatypes.html#date.

use chartgate_values::Timestamp;

use super::period::Date;
use crate::json::Node;

/// When somebody was born; of a year, or a month, the last day of it, for that is the younger reading.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Birth {
    year: u16,
    /// `-12-31`, which comes after all that come before it in a year.
    day: String,
}

impl Birth {
    /// The birth date of a Patient; `None` if it has none, or none that can be read.
    #[must_use]
    pub fn of(patient: &Node<'_>) -> Option<Self> {
        Self::parse(patient.get("birthDate")?.as_str()?)
    }

    /// Reads a `date`: a year, a month of one, or a day.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        // A moment is no date.
        let date = Some(text).filter(|text| text.len() <= "2008-02-29".len())?;
        let last = Date::parse(date).ok()?.latest.to_string();
        Some(Self { year: last.get(..4)?.parse().ok()?, day: last.get(4..10)?.to_owned() })
    }

    /// Whether who was born then is younger than so many years, by the day in UTC; `None` if they are not born yet. Who was
    /// born on 29 February comes of age on 1 March, where there is no such day.
    #[must_use]
    pub fn is_under(&self, years: u8, now: Timestamp) -> Option<bool> {
        let now = now.to_string();
        let today = (now.get(..4)?.parse::<u16>().ok()?, now.get(4..10)?);
        let earliest = if today.0 == self.year { today.1 } else { self.day.as_str() };
        if (self.year, earliest) > today {
            return None;
        }
        Some(today < (self.year.checked_add(u16::from(years))?, self.day.as_str()))
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn is_under(birth: &str, years: u8, day: &str) -> Option<bool> {
        let at = |time: &str| format!("{day}T{time}Z").parse::<Timestamp>().unwrap();
        let under = Birth::parse(birth).unwrap().is_under(years, at("00:00:00"));
        assert_eq!(under, Birth::parse(birth).unwrap().is_under(years, at("23:59:59")), "all day long");
        under
    }

    #[test]
    fn who_is_under_an_age_is_so_until_the_day() {
        for (birth, day, under) in [
            ("2008-11-26", "2026-11-25", Some(true)),
            ("2008-11-26", "2026-11-26", Some(false)),
            ("2008-11", "2026-11-29", Some(true)),
            ("2008-11", "2026-11-30", Some(false)),
            ("2008", "2026-12-30", Some(true)),
            ("2008", "2026-12-31", Some(false)),
            ("2008-02-29", "2026-02-28", Some(true)),
            ("2008-02-29", "2026-03-01", Some(false)),
            ("2008-02", "2026-02-28", Some(true)),
            ("1938-01-01", "2026-11-26", Some(false)),
            ("2026", "2026-11-26", Some(true)),
            ("2026-11-26", "2026-11-26", Some(true)),
            ("2027-01-01", "2026-11-26", None),
        ] {
            assert_eq!(is_under(birth, 18, day), under, "{birth} on {day}");
        }
        for not in ["", "08", "2008-13", "2008-02-30", "2008-11-26T10:00:00Z", "20081126", "2008-1-1", "ab-c"]
        {
            assert_eq!(Birth::parse(not), None, "{not}");
        }
    }

    proptest! {
        #[test]
        fn nothing_that_a_server_says_is_too_much(text in "[0-9T:Z-]{0,12}|.{0,12}", years: u8, now in 0_i64..4_000_000_000) {
            let birth = Birth::parse(&text);
            let _: Option<Option<bool>> = birth.map(|birth| birth.is_under(years, Timestamp::from_unix(now)));
        }

        #[test]
        fn nobody_grows_younger_and_less_said_is_never_older(
            (year, month, day) in (1900_u16..2030, 1_u8..=12, 1_u8..=28), years in 1_u8..=25,
            now in 0_i64..4_000_000_000, later in 0_i64..1_000_000_000,
        ) {
            let at = |seconds| Timestamp::from_unix(seconds);
            let [whole, part, least] =
                [format!("{year:04}-{month:02}-{day:02}"), format!("{year:04}-{month:02}"), format!("{year:04}")]
                    .map(|text| Birth::parse(&text).unwrap());
            if whole.is_under(years, at(now)) == Some(false) {
                prop_assert_eq!(whole.is_under(years, at(now.saturating_add(later))), Some(false));
            }
            for (more, less) in [(&whole, &part), (&part, &least)] {
                if more.is_under(years, at(now)) == Some(true) {
                    prop_assert_ne!(less.is_under(years, at(now)), Some(false));
                }
            }
        }
    }
}
