//! Uses of emergency access. 45 CFR 164.312(a)(2)(ii).

use chartgate_audit::reader::{Entry, Filter};
use chartgate_audit::record::{Event, Outcome, Record};
use chartgate_values::Phi;

use super::Source;
use super::table::{Column, Report, Section, headings};

pub(super) fn all(source: &Source<'_>) -> anyhow::Result<Report> {
    let granted = source.find(Filter {
        event: Some(Event::EmergencyGranted),
        outcome: Some(Outcome::Allow),
        ..Filter::default()
    })?;
    let sections = granted.iter().map(|entry| one(source, entry)).collect::<anyhow::Result<Vec<_>>>()?;
    let unreviewed = sections.iter().filter(|(_, reviewed)| !reviewed).count();
    Ok(Report {
        title: "Emergency access".to_owned(),
        about: "Each use: by whom, for whose record, why, what was done by it, and what its review said."
            .to_owned(),
        facts: vec![
            ("Uses".to_owned(), granted.len().to_string()),
            ("Not reviewed yet".to_owned(), unreviewed.to_string()),
        ],
        sections: sections.into_iter().map(|(section, _)| section).collect(),
    })
}

/// A use, and whether it was reviewed.
fn one(source: &Source<'_>, granted: &Entry) -> anyhow::Result<(Section, bool)> {
    let zone = &source.with.time_zone;
    if let Some(month) = &granted.sealed {
        let told =
            format!("the key of {month} was destroyed: whose record, why, and its review cannot be told");
        let section = Section {
            heading: format!("By {}", Column::Who.of(granted, zone)),
            facts: vec![("Sealed".to_owned(), told)],
            empty: "What was done by it cannot be told.",
            ..Section::default()
        };
        return Ok((section, true));
    }
    let id = detail(&granted.record, "emergency");
    // Whenever they were done: a review may come after the time that is asked for.
    let about = |event: Event| {
        source.find_whenever(&Filter {
            event: Some(event),
            emergency: Some(Phi::new(id.clone())),
            ..Filter::default()
        })
    };
    let reviews: Vec<_> = about(Event::EmergencyReviewed)?
        .into_iter()
        .filter(|entry| entry.record.outcome == Outcome::Allow)
        .collect();
    let mut facts = vec![
        ("When".to_owned(), zone.show(granted.record.time)),
        ("Patient".to_owned(), Column::Patients.of(granted, zone)),
        ("Reason".to_owned(), detail(&granted.record, "reason")),
        ("In their words".to_owned(), detail(&granted.record, "explanation")),
    ];
    for review in &reviews {
        let reviewer = match detail(&review.record, "reviewer") {
            named if named.is_empty() => Column::Who.of(review, zone),
            named => named,
        };
        let said = format!(
            "{}, by {reviewer} ({}): {}",
            detail(&review.record, "disposition"),
            zone.show(review.record.time),
            detail(&review.record, "note")
        );
        facts.push(("Review".to_owned(), said));
    }
    let mut acts = about(Event::Access)?;
    for (event, word) in [
        (Event::EmergencyAcknowledged, "it was they"),
        (Event::EmergencyDisowned, "it was not they, and it was ended"),
    ] {
        let said: Vec<_> =
            about(event)?.into_iter().filter(|entry| entry.record.outcome == Outcome::Allow).collect();
        facts.extend(said.iter().map(|entry| {
            ("On their phone".to_owned(), format!("{word} ({})", zone.show(entry.record.time)))
        }));
        acts.extend(said);
    }
    if reviews.is_empty() {
        facts.push(("Review".to_owned(), "none yet".to_owned()));
    }
    // What its review said is looked at below once more.
    acts.extend(reviews.iter().cloned());
    acts.sort_by_key(|entry| entry.index);
    let columns =
        source.columns(&[Column::Time, Column::Action, Column::Resource, Column::Outcome, Column::Why]);
    let mut rows = vec![source.row(granted, &columns)];
    rows.extend(acts.iter().map(|entry| source.row(entry, &columns)));
    let section = Section {
        heading: format!("By {}", Column::Who.of(granted, zone)),
        facts,
        columns: headings(&columns, &source.with.time_zone),
        rows,
        empty: "Nothing was done by it.",
        ..Section::default()
    };
    // What needs follow-up waits for another review.
    let last = reviews.last().map(|review| detail(&review.record, "disposition"));
    Ok((section, last.is_some_and(|said| said != "needs-follow-up")))
}

fn detail(record: &Record, name: &str) -> String {
    record.detail.get(name).map(|text| text.expose().clone()).unwrap_or_default()
}
