//! Information system activity review. 45 CFR 164.308(a)(1)(ii)(D).

use chartgate_audit::reader::{Entry, Filter};
use chartgate_audit::record::{ActorKind, Event, Outcome};

use super::Source;
use super::table::{Column, Report, Section, Tally, headings};

pub(super) fn all(source: &Source<'_>) -> anyhow::Result<Report> {
    let zone = &source.with.time_zone;
    let found = source.find(Filter::default())?;
    let (mut by_day, mut by_person, mut by_patient, mut denied, mut failed) =
        (Tally::default(), Tally::default(), Tally::default(), Tally::default(), Tally::default());
    let mut counts = Tally::default();
    let mut administration: Vec<&Entry> = Vec::new();
    for entry in &found {
        let record = &entry.record;
        counts.add(record.event.as_str().to_owned());
        match (record.event, record.outcome) {
            (Event::Access, Outcome::Allow) => {
                by_day.add(zone.day(record.time));
                by_person.add(Column::Who.of(entry, zone));
                for patient in &record.patients {
                    by_patient.add(patient.expose().clone());
                }
            }
            (Event::Access, Outcome::Deny | Outcome::Error) => {
                by_day.add(zone.day(record.time));
                denied.add(record.decision.reason.clone().unwrap_or_default());
            }
            (Event::LoginFailed, _) => {
                failed.add(format!("{} from {}", Column::Who.of(entry, zone), Column::From.of(entry, zone)));
            }
            (event, _) if is_administration(event) || record.actor.kind == ActorKind::Local => {
                administration.push(entry);
            }
            _ => {}
        }
    }
    let columns = source.columns(&[
        Column::Time,
        Column::Who,
        Column::Event,
        Column::Resource,
        Column::Outcome,
        Column::Why,
    ]);
    Ok(Report {
        title: "Activity".to_owned(),
        about: "What the gateway did in this time, counted, and every act of administration, for the regular review."
            .to_owned(),
        facts: vec![("Records".to_owned(), found.len().to_string())],
        sections: vec![
            Section::of_counts_in_order("Requests by day", "Day", by_day.into_counts()),
            by_person.largest("Accesses by person", "Person"),
            by_patient.largest("Accesses by patient", "Patient"),
            denied.largest("Refused or failed, by reason", "Reason"),
            failed.largest("Failed sign-ins", "Who, and from where"),
            Section::of_counts("All records", "Kind of act", counts.into_counts()),
            Section {
                heading: "Administration".to_owned(),
                columns: headings(&columns, &source.with.time_zone),
                rows: administration.iter().map(|entry| source.row(entry, &columns)).collect(),
                empty: "Nothing was administered in this time.",
                ..Section::default()
            },
        ],
    })
}

fn is_administration(event: Event) -> bool {
    let name = event.as_str();
    ["user.", "client.", "care.", "key.", "policy.", "config.", "gateway.", "audit."]
        .iter()
        .any(|kind| name.starts_with(kind))
}
