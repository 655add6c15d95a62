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

/// Whether a text is written like a date with slashes, a social security number, or a telephone number: no code system writes
/// its codes so.
pub(super) fn is_like_an_identifier(text: &str) -> bool {
    let is_shaped = |separator: char, shapes: &[&[usize]]| {
        let parts: Vec<&str> = text.split(separator).collect();
        let lengths: Vec<usize> = parts.iter().map(|part| part.len()).collect();
        shapes.contains(&lengths.as_slice())
            && parts.iter().all(|part| part.bytes().all(|b| b.is_ascii_digit()))
    };
    is_shaped('-', &[&[3, 2, 4], &[3, 3, 4], &[1, 3, 3, 4]])
        || is_shaped(
            '/',
            &[&[1, 1, 4], &[1, 2, 4], &[2, 1, 4], &[2, 2, 4], &[1, 1, 2], &[1, 2, 2], &[2, 2, 2], &[4, 2, 2]],
        )
        || is_shaped('.', &[&[2, 2, 4], &[3, 3, 4]])
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
    fn what_is_written_like_somebodys_number_is_no_code() {
        for text in ["999-12-3456", "555-123-4567", "1-555-123-4567", "05/17/1953", "5/7/1953", "17.05.1953"]
        {
            assert!(is_like_an_identifier(text), "{text}");
        }
        for text in ["2339-0", "8867-4", "I10", "E11.9", "38341003", "120/80", "1.2.840", "99-10", "B-12-34"]
        {
            assert!(!is_like_an_identifier(text), "{text}");
        }
    }
}
