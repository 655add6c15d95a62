//! When things happened, to be looked at: a column for each day, week or month, and the hours of the week.

use std::collections::BTreeMap;

use chartgate_audit::reader::Entry;
use chartgate_audit::record::{Outcome, Record};
use chartgate_values::{Clock as _, Timestamp};

use super::With;
use super::table::{Row, Section, Shape};
use super::zone::Zone;
use crate::clock::SystemClock;

/// How many columns stand beside each other at most, as long as months are short enough.
const MOST_COLUMNS: i64 = 92;
/// From when on what is asked for is drawn though nothing was there, in days: twenty years.
const LONGEST: i64 = 7_305;
const HOURS_A_DAY: i64 = 24;
const DAYS: [&str; 7] = ["Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday", "Sunday"];

/// Counts records by when they were.
pub(super) struct Times<'a> {
    with: &'a With,
    /// By hours since the epoch, as the zone's clocks show them.
    hours: BTreeMap<i64, Counts>,
}

#[derive(Clone, Copy, Default)]
struct Counts {
    allowed: u64,
    others: u64,
}

impl Counts {
    fn add(&mut self, more: Self) {
        self.allowed = self.allowed.saturating_add(more.allowed);
        self.others = self.others.saturating_add(more.others);
    }

    fn all(self) -> u64 {
        self.allowed.saturating_add(self.others)
    }
}

impl<'a> Times<'a> {
    pub(super) fn new(with: &'a With) -> Self {
        Self { with, hours: BTreeMap::new() }
    }

    pub(super) fn of<'e>(with: &'a With, entries: impl IntoIterator<Item = &'e Entry>) -> Self {
        let mut times = Self::new(with);
        entries.into_iter().for_each(|entry| times.add(&entry.record));
        times
    }

    pub(super) fn add(&mut self, record: &Record) {
        let allowed = u64::from(record.outcome == Outcome::Allow);
        let one = Counts { allowed, others: 1_u64.saturating_sub(allowed) };
        self.hours.entry(self.with.time_zone.hour(record.time)).or_default().add(one);
    }

    /// What is called `what` by day, week or month, and by the hours of the week.
    pub(super) fn sections(&self, what: &str) -> [Section; 2] {
        [self.columns(what), self.week(what)]
    }

    fn columns(&self, what: &str) -> Section {
        let mut by_day: BTreeMap<i64, Counts> = BTreeMap::new();
        for (hour, counts) in &self.hours {
            by_day.entry(hour.div_euclid(HOURS_A_DAY)).or_default().add(*counts);
        }
        let (Some((first, _)), Some((last, _))) = (by_day.first_key_value(), by_day.last_key_value()) else {
            return Section { heading: format!("{what} by day"), empty: "None.", ..Section::default() };
        };
        let (from, to) = self.asked_for(*first, *last);
        let step = Step::for_days(to.saturating_sub(from).saturating_add(1));
        let mut columns: Vec<(String, Counts)> = Vec::new();
        for day in from..=to {
            let name = step.name(day);
            if columns.last().is_none_or(|(last, _)| *last != name) {
                columns.push((name, Counts::default()));
            }
            if let (Some((_, counts)), Some(more)) = (columns.last_mut(), by_day.get(&day)) {
                counts.add(*more);
            }
        }
        let row = |(name, counts): &(String, Counts)| Row {
            cells: vec![name.clone(), counts.allowed.to_string(), counts.others.to_string()],
            ..Row::default()
        };
        Section {
            heading: format!("{what} by {}", step.word()),
            columns: [step.heading(), "Allowed", "Refused or failed"].map(str::to_owned).to_vec(),
            rows: columns.iter().map(row).collect(),
            shape: Shape::Columns(Timeline { columns }),
            ..Section::default()
        }
    }

    /// The days of the time that is asked for, as far as there may have been something.
    fn asked_for(&self, first: i64, last: i64) -> (i64, i64) {
        let day = |time: Timestamp| self.with.time_zone.hour(time).div_euclid(HOURS_A_DAY);
        let now = SystemClock.now();
        let end =
            self.with.until.map_or(now, |until| Timestamp::from_micros(until.as_micros().saturating_sub(1)));
        let from = self.with.since.map_or(first, day).min(first);
        let to = day(end.min(now)).max(last);
        if to.saturating_sub(from) < LONGEST { (from, to) } else { (first, last) }
    }

    fn week(&self, what: &str) -> Section {
        let mut week = Week::default();
        for (hour, counts) in &self.hours {
            // The epoch was a Thursday.
            let day = hour.div_euclid(HOURS_A_DAY).saturating_add(3).rem_euclid(7);
            let cell = usize::try_from(day).ok().and_then(|day| week.0.get_mut(day)).and_then(|day| {
                usize::try_from(hour.rem_euclid(HOURS_A_DAY)).ok().and_then(|hour| day.get_mut(hour))
            });
            if let Some(cell) = cell {
                *cell = cell.saturating_add(counts.all());
            }
        }
        let row = |(name, hours): (&str, &[u64; 24])| {
            let cells = std::iter::once(name.to_owned()).chain(hours.iter().map(u64::to_string)).collect();
            Row { cells, ..Row::default() }
        };
        let rows =
            if self.hours.is_empty() { Vec::new() } else { DAYS.into_iter().zip(&week.0).map(row).collect() };
        let columns =
            std::iter::once("Day".to_owned()).chain((0..HOURS_A_DAY).map(|hour| format!("{hour:02}")));
        Section {
            heading: format!("{what} by hour of the week ({})", self.with.time_zone),
            columns: columns.collect(),
            rows,
            empty: "None.",
            shape: Shape::Week(Box::new(week)),
            ..Section::default()
        }
    }
}

/// How much time a column stands for.
#[derive(Clone, Copy)]
enum Step {
    Day,
    Week,
    Month,
}

impl Step {
    fn for_days(days: i64) -> Self {
        match days {
            days if days <= MOST_COLUMNS => Self::Day,
            days if days <= MOST_COLUMNS.saturating_mul(7) => Self::Week,
            _ => Self::Month,
        }
    }

    /// Its name for the column that a day is in: the day, the week's Monday, or the month.
    fn name(self, day: i64) -> String {
        match self {
            Self::Day => Zone::name_of_day(day),
            Self::Week => Zone::name_of_day(day.saturating_sub(day.saturating_add(3).rem_euclid(7))),
            Self::Month => Zone::name_of_day(day).chars().take("2026-11".len()).collect(),
        }
    }

    fn word(self) -> &'static str {
        match self {
            Self::Day => "day",
            Self::Week => "week",
            Self::Month => "month",
        }
    }

    fn heading(self) -> &'static str {
        match self {
            Self::Day => "Day",
            Self::Week => "Week from",
            Self::Month => "Month",
        }
    }
}

/// Columns one beside the other: what was allowed, and on it what was not.
pub(super) struct Timeline {
    columns: Vec<(String, Counts)>,
}

/// How wide a column is drawn with the room beside it, and how high the highest is.
const COLUMN: usize = 10;
const HEIGHT: u64 = 100;
/// So many find room at least, so that one day is not drawn as a wall.
const ROOM: usize = 20;

/// A column as it is drawn, in units of the picture.
pub(super) struct Drawn {
    pub(super) told: String,
    pub(super) x: usize,
    pub(super) allowed: u64,
    pub(super) others: u64,
}

impl Drawn {
    /// Where what was allowed begins, from above.
    pub(super) fn allowed_from(&self) -> u64 {
        HEIGHT.saturating_sub(self.allowed)
    }

    /// Where what was not begins.
    pub(super) fn others_from(&self) -> u64 {
        self.allowed_from().saturating_sub(self.others)
    }
}

impl Timeline {
    fn most(&self) -> u64 {
        self.columns.iter().map(|(_, counts)| counts.all()).max().unwrap_or_default()
    }

    pub(super) fn width(&self) -> usize {
        self.columns.len().max(ROOM).saturating_mul(COLUMN)
    }

    pub(super) fn drawn(&self) -> impl Iterator<Item = Drawn> {
        let most = self.most().max(1);
        // What was once is seen.
        let share = move |count: u64| {
            let share = count.saturating_mul(HEIGHT).checked_div(most).unwrap_or_default();
            if count > 0 { share.max(1) } else { 0 }
        };
        self.columns.iter().enumerate().map(move |(at, (name, counts))| Drawn {
            told: format!("{name}: {} allowed, {} refused or failed", counts.allowed, counts.others),
            x: at.saturating_mul(COLUMN),
            allowed: share(counts.allowed),
            others: share(counts.others),
        })
    }

    /// What the picture shows, for whoever does not see it: the table has the rest.
    pub(super) fn told(&self) -> String {
        let mut all = Counts::default();
        self.columns.iter().for_each(|(_, counts)| all.add(*counts));
        let most = self.columns.iter().max_by_key(|(_, counts)| counts.all());
        let most =
            most.map(|(name, counts)| format!("; most at {name}, {}", counts.all())).unwrap_or_default();
        format!("{}: {} allowed, {} refused or failed{most}", self.span(), all.allowed, all.others)
    }

    /// From when to when.
    pub(super) fn span(&self) -> String {
        match (self.columns.first(), self.columns.last()) {
            (Some((first, _)), Some((last, _))) if first != last => format!("{first} to {last}"),
            (Some((first, _)), _) => first.clone(),
            (None, _) => String::new(),
        }
    }
}

/// How many there were in each hour of the week, from Monday on.
#[derive(Default)]
pub(super) struct Week([[u64; 24]; 7]);

impl Week {
    /// The days, each with the counts of its hours and how dark they are drawn: 0 for none, up to 5.
    pub(super) fn days(&self) -> impl Iterator<Item = (&'static str, Vec<(u64, u64)>)> {
        let most = self.0.iter().flatten().copied().max().unwrap_or_default().max(1);
        let shade = move |count: &u64| (*count, count.saturating_mul(5).div_ceil(most));
        DAYS.into_iter().zip(self.0.iter().map(move |hours| hours.iter().map(shade).collect()))
    }
}

#[cfg(test)]
mod tests {
    use chartgate_audit::record::Event;
    use clap::Parser;

    use super::*;

    #[derive(Parser)]
    struct Words {
        #[command(flatten)]
        with: With,
    }

    fn sections(words: &[&str], seen: &[(&str, Outcome)]) -> [Section; 2] {
        let words = Words::parse_from(std::iter::once(&"report").chain(words));
        let mut times = Times::new(&words.with);
        for (time, outcome) in seen {
            times.add(&Record::new(Event::Access, *outcome, time.parse().unwrap()));
        }
        times.sections("Accesses")
    }

    fn cells(section: &Section) -> Vec<Vec<&str>> {
        section.rows.iter().map(|row| row.cells.iter().map(String::as_str).collect()).collect()
    }

    #[test]
    fn each_day_is_a_column_whether_something_was_or_not() {
        let asked = ["--since", "2026-02-27T00:00:00Z", "--until", "2026-03-02T00:00:00Z"];
        let seen = [
            ("2026-02-28T23:30:00Z", Outcome::Allow),
            ("2026-02-28T01:00:00Z", Outcome::Error),
            ("2026-03-01T12:00:00Z", Outcome::Deny),
        ];
        let [days, _] = sections(&asked, &seen);
        let expected =
            [["2026-02-27", "0", "0"], ["2026-02-28", "1", "1"], ["2026-03-01", "0", "1"]].map(Vec::from);
        assert_eq!(cells(&days), expected);
        let Shape::Columns(timeline) = &days.shape else { panic!("no columns") };
        let drawn: Vec<_> = timeline
            .drawn()
            .map(|own| (own.x, own.allowed_from(), own.allowed, own.others_from(), own.others))
            .collect();
        assert_eq!(drawn, [(0, 100, 0, 100, 0), (10, 50, 50, 0, 50), (20, 100, 0, 50, 50)]);
        assert_eq!(
            timeline.told(),
            "2026-02-27 to 2026-03-01: 1 allowed, 2 refused or failed; most at 2026-02-28, 2"
        );

        // By other clocks it was another day.
        let [days, _] = sections(&["--time-zone", "+01:00", "--until", "2026-03-02T00:00:00Z"], &seen);
        let days = cells(&days);
        assert_eq!(days[1], ["2026-03-01", "1", "1"], "{days:?}");
    }

    #[test]
    fn long_times_are_told_by_week_and_by_month() {
        let at = |time| sections(&["--until", "2026-03-02T00:00:00Z"], &[(time, Outcome::Allow)]);
        let [weeks, _] = at("2025-10-01T12:00:00Z");
        assert_eq!(weeks.heading, "Accesses by week");
        let rows = cells(&weeks);
        assert_eq!((rows[0][0], rows[0][1], rows.len()), ("2025-09-29", "1", 22), "its Monday");
        let [months, _] = at("2020-02-29T12:00:00Z");
        let rows = cells(&months);
        assert_eq!((rows[0][0], rows[72][0], rows.len()), ("2020-02", "2026-02", 74));
        // What a clock that was wrong left is told by itself.
        let [days, _] = at("1970-01-01T00:00:00Z");
        assert_eq!(cells(&days), [["1970-01-01", "1", "0"]]);
    }

    #[test]
    fn an_hour_of_the_week_has_what_was_in_it() {
        let seen = [
            // A Thursday, a Sunday, and the Monday that it is a little further east.
            ("2026-11-26T09:15:00Z", Outcome::Allow),
            ("2026-11-26T09:45:00Z", Outcome::Deny),
            ("2026-11-29T23:30:00Z", Outcome::Allow),
        ];
        let of = |zone| {
            let [_, week] = sections(&["--time-zone", zone], &seen);
            let rows: Vec<Vec<String>> = week.rows.into_iter().map(|row| row.cells).collect();
            let Shape::Week(week) = week.shape else { panic!("no week") };
            (rows, week.days().map(|(_, hours)| hours).collect::<Vec<_>>())
        };
        let (rows, shades) = of("UTC");
        assert_eq!((rows[3][0].as_str(), rows[3][10].as_str()), ("Thursday", "2"));
        assert_eq!((rows[6][0].as_str(), rows[6][24].as_str()), ("Sunday", "1"));
        assert_eq!((shades[3][9], shades[6][23], shades[0][0]), ((2, 5), (1, 3), (0, 0)));
        assert_eq!(of("+01:00").0[0][1], "1", "Monday");
    }

    #[test]
    fn of_nothing_there_is_no_picture() {
        let [days, week] = sections(&[], &[]);
        assert!(days.rows.is_empty() && week.rows.is_empty());
        assert_eq!((days.empty, week.empty), ("None.", "None."));
    }
}
