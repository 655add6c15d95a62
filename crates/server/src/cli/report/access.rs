//! Who saw a patient's record, and what one person did.

use chartgate_audit::reader::Filter;
use chartgate_audit::record::Event;
use chartgate_values::Phi;

use super::Source;
use super::picture::Times;
use super::table::{Column, Report, Section, Tally, headings};

/// Who saw this patient's record, or tried to.
pub(super) fn of_patient(source: &Source<'_>, patient: &str) -> anyhow::Result<Report> {
    let all = source.find(Filter { patient: Some(Phi::new(patient.to_owned())), ..Filter::default() })?;
    let (found, others): (Vec<_>, Vec<_>) =
        all.into_iter().partition(|entry| entry.record.event == Event::Access);
    // That somebody is watched, or looked into, is not for whoever asks for this.
    let is_told = |event: Event| event != Event::AccessIntent && !event.as_str().starts_with("watch.");
    let others: Vec<_> = others.into_iter().filter(|entry| is_told(entry.record.event)).collect();
    let about = source.columns(&[
        Column::Time,
        Column::Who,
        Column::Event,
        Column::Resource,
        Column::Outcome,
        Column::Why,
    ]);
    let usual = [
        Column::Time,
        Column::Who,
        Column::Roles,
        Column::Client,
        Column::Action,
        Column::Resource,
        Column::Purpose,
        Column::Outcome,
        Column::Released,
        Column::Why,
    ];
    let columns = source.columns(&usual);
    let mut people = Tally::default();
    for entry in &found {
        let who = format!(
            "{}, {}",
            Column::Who.of(entry, &source.with.time_zone),
            Column::Outcome.of(entry, &source.with.time_zone)
        );
        people.add(who);
    }
    let [by_day, by_hour] = Times::of(source.with, &found).sections("Accesses");
    Ok(Report {
        title: format!("Accesses to the record of patient {patient}"),
        about: "Every request to a FHIR route that touched this patient's record, or asked for it by name, whether it was \
                allowed or not, and what else was done about this patient. Of plain HTTP routes the log does not know whose \
                records they give."
            .to_owned(),
        facts: vec![("Patient".to_owned(), patient.to_owned())],
        sections: vec![
            Section::of_counts("By person", "Who, and with what outcome", people.into_counts()),
            by_day,
            by_hour,
            Section {
                heading: "Accesses".to_owned(),
                columns: headings(&columns, &source.with.time_zone),
                rows: found.iter().map(|entry| source.row(entry, &columns)).collect(),
                empty: "Nobody touched or asked for this patient's record in this time.",
                ..Section::default()
            },
            Section {
                heading: "Other acts about this patient".to_owned(),
                columns: headings(&about, &source.with.time_zone),
                rows: others.iter().map(|entry| source.row(entry, &about)).collect(),
                empty: "None.",
                ..Section::default()
            },
        ],
    })
}

/// All that one person did.
pub(super) fn of_user(source: &Source<'_>, user: &str) -> anyhow::Result<Report> {
    let found = source.find(Filter { user: Some(user.to_owned()), ..Filter::default() })?;
    let usual = [
        Column::Time,
        Column::Event,
        Column::Client,
        Column::Action,
        Column::Resource,
        Column::Patients,
        Column::Purpose,
        Column::Outcome,
        Column::Why,
        Column::From,
    ];
    let columns = source.columns(&usual);
    let mut acts = Tally::default();
    for entry in &found {
        let act =
            format!("{}, {}", entry.record.event.as_str(), Column::Outcome.of(entry, &source.with.time_zone));
        acts.add(act);
    }
    let [by_day, by_hour] = Times::of(source.with, &found).sections("Acts");
    Ok(Report {
        title: format!("What {user} did"),
        about: "Every sign-in, token and access of this person, and every attempt in their name.".to_owned(),
        facts: vec![("Person".to_owned(), user.to_owned())],
        sections: vec![
            Section::of_counts("By kind of act", "Act, and outcome", acts.into_counts()),
            by_day,
            by_hour,
            Section {
                heading: "Acts".to_owned(),
                columns: headings(&columns, &source.with.time_zone),
                rows: found.iter().map(|entry| source.row(entry, &columns)).collect(),
                empty: "This person did nothing in this time.",
                ..Section::default()
            },
        ],
    })
}
