//! Information system activity review. 45 CFR 164.308(a)(1)(ii)(D).

use std::collections::BTreeMap;

use chartgate_audit::reader::{Entry, Filter};
use chartgate_audit::record::{ActorKind, Event, Outcome};
use chartgate_audit::watch::{Finding, NotAFinding};

use super::Source;
use super::picture::Times;
use super::table::{Column, Report, Row, Section, Tally, headings};
use super::zone::Zone;

pub(super) fn all(source: &Source<'_>) -> anyhow::Result<Report> {
    let zone = &source.with.time_zone;
    let columns = source.columns(&[
        Column::Time,
        Column::Who,
        Column::Event,
        Column::Resource,
        Column::Outcome,
        Column::Why,
    ]);
    let mut requests = Times::new(source.with);
    let (mut by_person, mut by_patient, mut denied, mut failed) =
        (Tally::default(), Tally::default(), Tally::default(), Tally::default());
    let mut counts = Tally::default();
    let closed = closed(source)?;
    let (mut findings, mut open) = (Vec::new(), 0_usize);
    let (mut administration, mut records) = (Vec::new(), 0_usize);
    // One after the other: there may be millions, of which most are counted and no more.
    let asked = source.of_its_time(Filter::default());
    for entry in source.each(&asked) {
        let entry = &entry?;
        let record = &entry.record;
        records = records.saturating_add(1);
        if record.event == Event::Access {
            requests.add(record);
        }
        counts.add(record.event.as_str().to_owned());
        match (record.event, record.outcome) {
            (Event::Access, Outcome::Allow) => {
                by_person.add(Column::Who.of(entry, zone));
                for patient in record.patients_given() {
                    by_patient.add(patient.expose().clone());
                }
            }
            (Event::Access, Outcome::Deny | Outcome::Error) => {
                denied.add(record.decision.reason.clone().unwrap_or_default());
            }
            (Event::LoginFailed, _) => {
                failed.add(format!("{} from {}", Column::Who.of(entry, zone), Column::From.of(entry, zone)));
            }
            (Event::WatchFinding, _) => {
                let row = finding(entry, &closed, zone);
                open = open.saturating_add(usize::from(row.cells.last().is_some_and(|state| state == OPEN)));
                findings.push(row);
            }
            (event, _) if is_administration(event) || record.actor.kind == ActorKind::Local => {
                administration.push(source.row(entry, &columns));
            }
            _ => {}
        }
    }
    let [by_day, by_hour] = requests.sections("Requests");
    Ok(Report {
        title: "Activity".to_owned(),
        about: "What the gateway did in this time, counted, and every act of administration, for the regular review."
            .to_owned(),
        facts: vec![
            ("Records".to_owned(), records.to_string()),
            ("Findings".to_owned(), format!("{}, of which {open} are open", findings.len())),
        ],
        sections: vec![
            by_day,
            by_hour,
            by_person.largest("Accesses by person", "Person"),
            by_patient.largest("Accesses by patient", "Patient"),
            denied.largest("Refused or failed, by reason", "Reason"),
            failed.largest("Failed sign-ins", "Who, and from where"),
            Section {
                heading: "Findings".to_owned(),
                columns: ["Time", "Rule", "Whose acts", "Patients", "Disposition"].map(str::to_owned).to_vec(),
                rows: findings,
                empty: "Nothing was found in this time that somebody should look at.",
                ..Section::default()
            },
            Section::of_counts("All records", "Kind of act", counts.into_counts()),
            Section {
                heading: "Administration".to_owned(),
                columns: headings(&columns, &source.with.time_zone),
                rows: administration,
                empty: "Nothing was administered in this time.",
                ..Section::default()
            },
        ],
    })
}

/// What is made of findings, by their names, whenever that was.
fn closed(source: &Source<'_>) -> anyhow::Result<BTreeMap<String, String>> {
    let filter =
        Filter { event: Some(Event::WatchClosed), outcome: Some(Outcome::Allow), ..Filter::default() };
    let closed = source.find_whenever(&filter)?.into_iter().filter_map(|entry| {
        let detail = |name: &str| entry.record.detail.get(name).map(|value| value.expose().clone());
        Some((detail("finding")?, detail("disposition")?))
    });
    Ok(closed.collect())
}

const OPEN: &str = "open";

/// A finding as a row; one whose sealed part cannot be read any more has its rule alone.
fn finding(entry: &Entry, closed: &BTreeMap<String, String>, zone: &Zone) -> Row {
    let rule = entry.record.decision.reason.clone().unwrap_or_default();
    let (whose, patients, state) = match Finding::of_record(&entry.record) {
        Ok(finding) => {
            let state = closed.get(finding.id.as_str()).cloned().unwrap_or_else(|| OPEN.to_owned());
            let patients: Vec<&str> =
                finding.patients.iter().map(|patient| patient.expose().as_str()).collect();
            (finding.user.unwrap_or_else(|| finding.of.expose().clone()), patients.join(", "), state)
        }
        Err(NotAFinding) => (String::new(), String::new(), "not known".to_owned()),
    };
    let cells = vec![zone.clock(entry.record.time), rule, whose, patients, state];
    Row { index: Some(entry.index), cells, ..Row::default() }
}

fn is_administration(event: Event) -> bool {
    let name = event.as_str();
    ["user.", "client.", "care.", "key.", "policy.", "config.", "gateway.", "audit."]
        .iter()
        .any(|kind| name.starts_with(kind))
}
