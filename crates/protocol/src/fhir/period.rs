//! When something holds: a date of any precision, and a Period. HL7 FHIR 4.0.1, datatypes.html#dateTime and #Period.
//!
//! A date without a time is read in UTC.

use std::time::Duration;

use chartgate_values::Timestamp;

use crate::json::Node;

/// A date as far as it is told: somewhere between two moments.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Date {
    /// Not before.
    pub earliest: Timestamp,
    /// Not after.
    pub latest: Timestamp,
}

/// When something holds; open where nothing is said.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub struct Period {
    /// From when.
    pub start: Option<Date>,
    /// Until when, that included.
    pub end: Option<Date>,
}

/// It is no date, or no Period.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
#[error("not a FHIR date or period")]
pub struct Unreadable;

impl Date {
    /// Reads a `date`, a `dateTime` or an `instant`.
    ///
    /// # Errors
    /// [`Unreadable`].
    pub fn parse(text: &str) -> Result<Self, Unreadable> {
        let midnight = |date: &str| format!("{date}T00:00:00Z").parse::<Timestamp>().map_err(|_| Unreadable);
        let is_plain = text.bytes().all(|b| b.is_ascii_digit() || b == b'-');
        let (earliest, next) = match text.len() {
            4 if is_plain => (midnight(&format!("{text}-01-01"))?, midnight(&following_year(text)?)?),
            7 if is_plain => (midnight(&format!("{text}-01"))?, midnight(&following_month(text)?)?),
            10 if is_plain => {
                let day = midnight(text)?;
                (day, day.plus(DAY))
            }
            _ => {
                let moment = text.parse().map_err(|_| Unreadable)?;
                return Ok(Self { earliest: moment, latest: moment });
            }
        };
        Ok(Self { earliest, latest: next.minus(Duration::from_micros(1)) })
    }

    /// Reads an element, if it is there.
    ///
    /// # Errors
    /// [`Unreadable`].
    pub fn read(element: Option<&Node<'_>>) -> Result<Option<Self>, Unreadable> {
        match element {
            None => Ok(None),
            Some(Node::Text(text)) => Self::parse(text).map(Some),
            Some(Node::Null | Node::Bool(_) | Node::Number | Node::Array(_) | Node::Object(_)) => {
                Err(Unreadable)
            }
        }
    }
}

impl Period {
    /// Reads a Period; without one there is no bound.
    ///
    /// # Errors
    /// [`Unreadable`].
    pub fn read(element: Option<&Node<'_>>) -> Result<Self, Unreadable> {
        match element {
            None => Ok(Self::default()),
            Some(Node::Object(members)) => {
                Ok(Self { start: Date::read(members.get("start"))?, end: Date::read(members.get("end"))? })
            }
            Some(Node::Null | Node::Bool(_) | Node::Number | Node::Text(_) | Node::Array(_)) => {
                Err(Unreadable)
            }
        }
    }

    /// Whether it holds now, or has held until not so long ago.
    #[must_use]
    pub fn covers(&self, now: Timestamp, grace: Duration) -> bool {
        self.start.is_none_or(|start| start.earliest <= now)
            && self.end.is_none_or(|end| now <= end.latest.plus(grace))
    }
}

fn following_year(year: &str) -> Result<String, Unreadable> {
    let year: u16 = year.parse().map_err(|_| Unreadable)?;
    Ok(format!("{:04}-01-01", year.saturating_add(1)))
}

fn following_month(month: &str) -> Result<String, Unreadable> {
    let (year, month) = month.split_once('-').ok_or(Unreadable)?;
    match month.parse().map_err(|_| Unreadable)? {
        12_u8 => following_year(year),
        month => Ok(format!("{year}-{:02}-01", month.saturating_add(1))),
    }
}

const DAY: Duration = Duration::from_hours(24);

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn at(text: &str) -> Timestamp {
        text.parse().unwrap()
    }

    #[test]
    fn a_date_is_somewhere_within_what_it_names() {
        let bounds = |text: &str| Date::parse(text).map(|d| (d.earliest.to_string(), d.latest.to_string()));
        let told =
            |from: &str, to: &str| Ok((format!("{from}T00:00:00.000000Z"), format!("{to}T23:59:59.999999Z")));
        assert_eq!(bounds("2024"), told("2024-01-01", "2024-12-31"));
        assert_eq!(bounds("2024-02"), told("2024-02-01", "2024-02-29"));
        assert_eq!(bounds("2024-12"), told("2024-12-01", "2024-12-31"));
        assert_eq!(bounds("2024-02-29"), told("2024-02-29", "2024-02-29"));
        let moment = Date::parse("2024-03-01T10:00:00+01:00").unwrap();
        assert_eq!(
            (moment.earliest, moment.latest),
            (at("2024-03-01T09:00:00Z"), at("2024-03-01T09:00:00Z"))
        );
        for wrong in [
            "",
            "24",
            "2024-13",
            "2024-02-30",
            "2024-2-3",
            "20240203",
            "2024-03-01T10:00",
            "now",
            "2024-",
            "----",
        ] {
            assert_eq!(Date::parse(wrong), Err(Unreadable), "{wrong}");
        }
    }

    #[test]
    fn a_period_covers_what_lies_in_it_and_a_grace_after_its_end() {
        let period = json!({ "start": "2024-03-01", "end": "2024-03-02T12:00:00Z" });
        let period = Period::read(Some(&Node::from(&period))).unwrap();
        let covers = |now: &str, grace| period.covers(at(now), Duration::from_secs(grace));
        assert!(!covers("2024-02-29T23:59:59Z", 60) && covers("2024-03-01T00:00:00Z", 0));
        assert!(covers("2024-03-02T12:00:00Z", 0) && !covers("2024-03-02T12:00:01Z", 0));
        assert!(covers("2024-03-02T12:01:00Z", 60) && !covers("2024-03-02T12:01:01Z", 60));
        assert!(Period::read(None).unwrap().covers(at("2024-03-02T12:01:00Z"), Duration::ZERO));
        for wrong in [json!("2024"), json!([]), json!({ "end": 2024 }), json!({ "start": "soon" })] {
            assert_eq!(Period::read(Some(&Node::from(&wrong))), Err(Unreadable), "{wrong}");
        }
    }
}
