//! What a report is, whatever it is about: facts, and tables of records or of counts.

use std::collections::BTreeMap;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use chartgate_audit::reader::Entry;
use clap::ValueEnum;

use super::picture::{Timeline, Week};
use super::zone::Zone;

/// A report.
pub(super) struct Report {
    pub(super) title: String,
    /// What it answers, in a sentence or two.
    pub(super) about: String,
    pub(super) facts: Vec<(String, String)>,
    pub(super) sections: Vec<Section>,
}

/// A part of it, with one table.
#[derive(Default)]
pub(super) struct Section {
    pub(super) heading: String,
    pub(super) facts: Vec<(String, String)>,
    pub(super) columns: Vec<String>,
    pub(super) rows: Vec<Row>,
    /// What is said where there are no rows.
    pub(super) empty: &'static str,
    /// How the page shows it.
    pub(super) shape: Shape,
}

/// How a page shows what a section says. CSV and JSON have its rows.
#[derive(Default)]
pub(super) enum Shape {
    /// Records, each with its proof.
    #[default]
    Records,
    /// Counts, each with its bar.
    Bars,
    /// Counts of each day, week or month.
    Columns(Timeline),
    /// Counts of each hour of the week.
    Week(Box<Week>),
}

/// A line of a table.
#[derive(Default)]
pub(in crate::cli) struct Row {
    pub(in crate::cli) cells: Vec<String>,
    /// The record that it is, if it is one.
    pub(in crate::cli) index: Option<u64>,
    /// The log's entry, in base64.
    pub(in crate::cli) entry: Option<String>,
    /// That it stands in the log: C2SP tlog-proof.
    pub(in crate::cli) proof: Option<String>,
    /// How long its bar is, in hundredths of the longest.
    pub(super) bar: u64,
}

impl Row {
    /// A record.
    pub(in crate::cli) fn of_record(entry: &Entry, columns: &[Column], zone: &Zone) -> Self {
        let cells = columns.iter().map(|column| column.of(entry, zone)).collect();
        Self { index: Some(entry.index), cells, ..Self::default() }
    }

    /// The entry as text.
    pub(in crate::cli) fn shown_entry(&self) -> String {
        let entry = self.entry.as_ref().and_then(|entry| STANDARD.decode(entry).ok()).unwrap_or_default();
        String::from_utf8_lossy(&entry).into_owned()
    }
}

impl Report {
    pub(super) fn rows_mut(&mut self) -> impl Iterator<Item = &mut Row> {
        self.sections.iter_mut().flat_map(|section| &mut section.rows)
    }
}

impl Section {
    /// A table of counts, each with its bar, the largest first.
    pub(super) fn of_counts(
        heading: &str,
        what: &str,
        counts: impl IntoIterator<Item = (String, u64)>,
    ) -> Self {
        let mut counts: Vec<_> = counts.into_iter().collect();
        counts.sort_by(|(a, many), (b, more)| more.cmp(many).then_with(|| a.cmp(b)));
        let most = counts.iter().map(|(_, count)| *count).max().unwrap_or_default().max(1);
        let row = |(name, count): (String, u64)| Row {
            bar: count.saturating_mul(100).checked_div(most).unwrap_or_default(),
            cells: vec![name, count.to_string()],
            ..Row::default()
        };
        Self {
            heading: heading.to_owned(),
            columns: vec![what.to_owned(), "Records".to_owned()],
            rows: counts.into_iter().map(row).collect(),
            empty: "None.",
            shape: Shape::Bars,
            ..Self::default()
        }
    }
}

/// How many names a table of counts has.
const MOST: usize = 25;

/// Counts by name.
#[derive(Default)]
pub(super) struct Tally(BTreeMap<String, u64>);

impl Tally {
    pub(super) fn add(&mut self, name: String) {
        let count = self.0.entry(name).or_default();
        *count = count.saturating_add(1);
    }

    /// The largest of them, and how many there are.
    pub(super) fn largest(self, heading: &str, what: &str) -> Section {
        let mut all: Vec<_> = self.0.into_iter().collect();
        all.sort_by(|(_, many), (_, more)| more.cmp(many));
        let heading = match all.len() {
            more if more > MOST => format!("{heading}: the {MOST} largest of {more}"),
            _ => heading.to_owned(),
        };
        all.truncate(MOST);
        Section::of_counts(&heading, what, all)
    }

    /// All of them, by name.
    pub(super) fn into_counts(self) -> BTreeMap<String, u64> {
        self.0
    }
}

/// What a table of records can tell of each.
#[derive(Clone, Copy, Debug, Eq, PartialEq, ValueEnum)]
pub(in crate::cli) enum Column {
    Time,
    Who,
    Roles,
    Client,
    OnBehalfOf,
    Event,
    Action,
    Resource,
    Patients,
    Purpose,
    Outcome,
    Why,
    Policies,
    From,
    Session,
    Released,
}

impl Column {
    /// Its heading.
    pub(super) fn heading(self) -> &'static str {
        match self {
            Self::Time => "When",
            Self::Who => "Who",
            Self::Roles => "Roles",
            Self::Client => "Application",
            Self::OnBehalfOf => "Acting for them",
            Self::Event => "Act",
            Self::Action => "Action",
            Self::Resource => "What",
            Self::Patients => "Whose record",
            Self::Purpose => "Purpose",
            Self::Outcome => "Outcome",
            Self::Why => "Why",
            Self::Policies => "Policies",
            Self::From => "From",
            Self::Session => "Session",
            Self::Released => "Records given",
        }
    }

    /// What it says of a record.
    pub(in crate::cli) fn of(self, entry: &Entry, zone: &Zone) -> String {
        let record = &entry.record;
        let text = |text: &Option<String>| text.clone().unwrap_or_default();
        match self {
            Self::Time => zone.clock(record.time),
            Self::Who => record.actor.sub.clone().unwrap_or_else(|| record.actor.kind.as_str().to_owned()),
            Self::Roles => record.actor.roles.join(", "),
            Self::Client => text(&record.actor.client_id),
            Self::OnBehalfOf => {
                record.on_behalf_of.iter().map(|one| one.sub.as_str()).collect::<Vec<_>>().join(", ")
            }
            Self::Event => record.event.as_str().to_owned(),
            Self::Action => text(&record.action),
            Self::Resource => match (&record.resource, &entry.sealed) {
                (Some(resource), _) => resource.expose().clone(),
                (None, Some(month)) => format!("(sealed, {month}: its key was destroyed)"),
                (None, None) => String::new(),
            },
            Self::Patients => {
                record.patients.iter().map(|own| own.expose().as_str()).collect::<Vec<_>>().join(", ")
            }
            Self::Purpose => text(&record.purpose_of_use),
            Self::Outcome => match record.outcome.as_str() {
                "allow" => "allowed".to_owned(),
                "deny" => "denied".to_owned(),
                other => other.to_owned(),
            },
            Self::Why => match &record.decision.reason {
                Some(reason) => reason.clone(),
                None => record.decision.policies.join(", "),
            },
            Self::Policies => record.decision.policies.join(", "),
            Self::From => record.source_ip.as_ref().map(|ip| ip.expose().to_string()).unwrap_or_default(),
            Self::Session => text(&record.session),
            Self::Released => record.response.count.map(|count| count.to_string()).unwrap_or_default(),
        }
    }
}

/// The headings of columns.
pub(super) fn headings(columns: &[Column], zone: &Zone) -> Vec<String> {
    let heading = |column: &Column| match column {
        Column::Time => format!("{} ({zone})", column.heading()),
        other => other.heading().to_owned(),
    };
    columns.iter().map(heading).collect()
}
