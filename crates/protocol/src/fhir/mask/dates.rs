//! Years of dates. 45 CFR 164.514(b)(2)(i)(C): of a date the year alone may stay, and no year that tells of an age over 89.

/// Which years may stay.
#[derive(Clone, Copy)]
pub(super) struct Years {
    /// Whoever was there in this year is older than 89 now.
    too_long_ago: u16,
}

impl Years {
    /// In this year.
    pub(super) fn of(now: u16) -> Self {
        Self { too_long_ago: now.saturating_sub(90) }
    }

    /// The year of a date, where it may stay.
    pub(super) fn year(self, date: &str) -> Option<&str> {
        let date = date.trim();
        let year = date.get(..4).filter(|year| year.bytes().all(|b| b.is_ascii_digit()))?;
        let is_whole = date.get(4..)?.bytes().next().is_none_or(|b| !b.is_ascii_digit());
        let number: u16 = year.parse().ok()?;
        (is_whole && number > self.too_long_ago).then_some(year)
    }
}

/// Whether a text is a date with more than its year, or was meant for one. A LOINC code such as `2339-0` is none.
pub(super) fn is_date(text: &str) -> bool {
    let mut parts = text.trim().splitn(3, '-');
    let digits = |text: &str, lengths: &[usize]| {
        lengths.contains(&text.len()) && text.bytes().all(|b| b.is_ascii_digit())
    };
    let (Some(year), Some(month)) = (parts.next(), parts.next()) else { return false };
    let in_a_date = |b: u8| b.is_ascii_digit() || b"-:.+TZ ".contains(&b);
    digits(year, &[4])
        && match parts.next() {
            None => digits(month, &[2]),
            Some(day) => {
                let is_day = day.starts_with(|c: char| c.is_ascii_digit());
                digits(month, &[1, 2]) && is_day && day.len() <= 40 && day.bytes().all(in_a_date)
            }
        }
}

/// Whether an amount of time is known to be no age over 89. UCUM units.
pub(super) fn is_under_90_years(value: &str, unit: &str) -> Option<bool> {
    let in_a_year = match unit {
        "a" | "y" | "yr" | "yrs" | "year" | "years" => 1.0,
        "mo" | "month" | "months" => 12.0,
        "wk" | "week" | "weeks" => 52.0,
        "d" | "day" | "days" => 365.0,
        "h" | "hr" | "hour" | "hours" => 365.0 * 24.0,
        "min" | "minute" | "minutes" => 365.0 * 24.0 * 60.0,
        _ => return None,
    };
    let value: f64 = value.parse().ok()?;
    Some(value < 90.0 * in_a_year && value <= 89.0 * in_a_year)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn of_a_date_the_year_stays_unless_it_tells_of_an_age_over_89() {
        let years = Years::of(2026);
        for (date, year) in [
            ("2024-05-17", Some("2024")),
            ("2024-05", Some("2024")),
            ("2024", Some("2024")),
            ("2024-05-17T08:30:00.000+01:00", Some("2024")),
            (" 1999-01-01 ", Some("1999")),
            ("1937-12-31", Some("1937")),
            ("1936-01-01", None),
            ("1936", None),
            ("0001-01-01", None),
            ("20240517", None),
            ("May 2024", None),
            ("", None),
            ("٢٠٢٤-01", None),
        ] {
            assert_eq!(years.year(date), year, "{date}");
        }
        for date in ["2024-05-17", "2024-05", "2024-5-1", "2024-05-17T08:30:00Z", "2024-05-17 08:30"] {
            assert!(is_date(date), "{date}");
        }
        for other in [
            "2024",
            "",
            "120/80",
            "555-1234",
            "2024-05 was dry",
            "1234-5678 Smith",
            "10:30:00",
            "2339-0",
            "2160-0",
            "1234-567",
        ] {
            assert!(!is_date(other), "{other}");
        }
    }

    #[test]
    fn an_age_over_89_is_none_that_is_known_to_be_less() {
        for (value, unit, expected) in [
            ("89", "a", Some(true)),
            ("89.5", "a", Some(false)),
            ("90", "years", Some(false)),
            ("102", "yr", Some(false)),
            ("18", "mo", Some(true)),
            ("1100", "mo", Some(false)),
            ("5", "kg", None),
            ("x", "a", None),
        ] {
            assert_eq!(is_under_90_years(value, unit), expected, "{value} {unit}");
        }
    }
}
