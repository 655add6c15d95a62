//! An accounting of disclosures. 45 CFR 164.528.
//!
//! The log says for what each access was, where the token said so. What was for treatment, payment or health care operations,
//! and what went to the patient, need not be accounted for (164.528(a)(1)); what was for something else is listed; where no
//! purpose is known it is counted apart, for somebody to look at. Whether something besides was a disclosure (paper, a
//! telephone) the log cannot know.

use std::collections::BTreeMap;

use chartgate_audit::reader::{Entry, Filter};
use chartgate_audit::record::{Event, Outcome};
use chartgate_values::Phi;

use super::Source;
use super::table::{Column, Report, Row, Section, headings};

/// Of HL7's purposes of use, those that are treatment, payment or operations, or the individual's own: 164.528(a)(1)(i), (ii).
/// What family asks for, legal matters and whatever else there is are for somebody to account for, or to say why not.
const NOT_ACCOUNTED: [&str; 19] = [
    "TREAT",
    "ETREAT",
    "BTG",
    "COC",
    "CAREMGT",
    "HPAYMT",
    "COVERAGE",
    "ELIGDTRM",
    "REMITADV",
    "HOPERAT",
    "HQUALIMP",
    "HCOMPL",
    "HSYSADMIN",
    "PATADMIN",
    "PATSFTY",
    "RECORDMGT",
    "TRAIN",
    "PATRQT",
    "PWATRNY",
];
/// What writes a record gives it to nobody but to whom wrote it. A patch gives more than was written, where it is answered with
/// the record.
const WRITES: [&str; 3] = ["create", "update", "delete"];
const PATCH: &str = "patch";

/// Why an access is accounted for, or not.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Account {
    ForThis,
    NotNeeded,
    Unknown,
}

fn account(entry: &Entry, patient: &str) -> Account {
    let own = format!("Patient/{patient}");
    let is_own = entry.record.actor.fhir_user.as_ref().is_some_and(|user| *user.expose() == own);
    match entry.record.purpose_of_use.as_deref() {
        _ if is_own => Account::NotNeeded,
        None => Account::Unknown,
        Some(purpose) if NOT_ACCOUNTED.contains(&purpose) => Account::NotNeeded,
        Some(_) => Account::ForThis,
    }
}

/// Whether something of this patient was given. What gave nothing, and what was written, disclosed nothing.
fn gave(entry: &Entry, patient: &str) -> bool {
    let record = &entry.record;
    let reads = match record.action.as_deref() {
        Some(PATCH) => !record.response.digests.is_empty(),
        Some(action) => !WRITES.contains(&action),
        None => false,
    };
    // Where a month's key is gone nobody is named any more, and nothing was found by this patient either.
    reads
        && record.response.count != Some(0)
        && record.patients_given().any(|given| given.expose() == patient)
}

pub(super) fn of_patient(source: &Source<'_>, patient: &str) -> anyhow::Result<Report> {
    let found = source.find(Filter {
        event: Some(Event::Access),
        outcome: Some(Outcome::Allow),
        patient: Some(Phi::new(patient.to_owned())),
        ..Filter::default()
    })?;
    let found: Vec<&Entry> = found.iter().filter(|entry| gave(entry, patient)).collect();
    let of = |wanted: Account| found.iter().copied().filter(move |entry| account(entry, patient) == wanted);
    // Repeated ones to one recipient for one purpose: the first in full, how many, and the last (164.528(b)(3)).
    let recipient = [Column::Who, Column::Client, Column::OnBehalfOf, Column::Purpose];
    let mut series: BTreeMap<[String; 4], Vec<&Entry>> = BTreeMap::new();
    for entry in of(Account::ForThis) {
        let of = recipient.map(|column| column.of(entry, &source.with.time_zone));
        series.entry(of).or_default().push(entry);
    }
    let first = [
        Column::Time,
        Column::Who,
        Column::Client,
        Column::OnBehalfOf,
        Column::Action,
        Column::Resource,
        Column::Purpose,
    ];
    let mut rows: Vec<(u64, Row)> = Vec::new();
    for entries in series.values() {
        let (Some(one), Some(last)) = (entries.first(), entries.last()) else { continue };
        let mut row = source.row(one, &first);
        row.cells.push(entries.len().to_string());
        row.cells.push(source.with.time_zone.clock(last.record.time));
        row.cells.push(entries.iter().map(|entry| entry.index.to_string()).collect::<Vec<_>>().join(" "));
        rows.push((one.index, row));
    }
    rows.sort_by_key(|(index, _)| *index);
    let mut columns = headings(&first, &source.with.time_zone);
    columns.extend(["How often".to_owned(), "Last".to_owned(), "Their records".to_owned()]);
    let unknown = source.columns(&[
        Column::Time,
        Column::Who,
        Column::Roles,
        Column::Client,
        Column::Action,
        Column::Resource,
    ]);
    Ok(Report {
        title: format!("Accounting of disclosures for patient {patient}"),
        about: "Accesses through this gateway that may be disclosures to account for: for other ends than treatment, payment \
                and health care operations, and not by the patient (45 CFR 164.528). Whether one was to somebody outside the \
                organization, or of de-identified data, is for whoever signs this to say. Of plain HTTP routes the log does not \
                know whose records they give. Recipients' addresses are in the \
                organization's own directory; disclosures by other ways are not in this log."
            .to_owned(),
        facts: vec![
            ("Patient".to_owned(), patient.to_owned()),
            ("For treatment, payment, operations, or the patient's own".to_owned(), of(Account::NotNeeded).count().to_string()),
        ],
        sections: vec![
            Section {
                heading: "Disclosures".to_owned(),
                columns,
                rows: rows.into_iter().map(|(_, row)| row).collect(),
                empty: "None in this time.",
                ..Section::default()
            },
            Section {
                heading: "Each of them, with its proof".to_owned(),
                columns: headings(&first, &source.with.time_zone),
                rows: of(Account::ForThis).map(|entry| source.row(entry, &first)).collect(),
                empty: "None in this time.",
                ..Section::default()
            },
            Section {
                heading: "Of unknown purpose: to be looked at".to_owned(),
                columns: headings(&unknown, &source.with.time_zone),
                rows: of(Account::Unknown).map(|entry| source.row(entry, &unknown)).collect(),
                empty: "None: the purpose of every access is known.",
                ..Section::default()
            },
        ],
    })
}

#[cfg(test)]
mod tests {
    use chartgate_audit::record::{NOTHING_OF, Record};
    use chartgate_protocol::oauth::purpose_of_use::PurposeOfUse;
    use chartgate_values::Timestamp;

    use super::*;

    #[test]
    fn every_purpose_that_needs_no_account_is_one() {
        let all: Vec<&str> = PurposeOfUse::all().map(PurposeOfUse::code).collect();
        assert!(NOT_ACCOUNTED.iter().all(|code| all.contains(code)));
        let accounted: Vec<_> = all.into_iter().filter(|code| !NOT_ACCOUNTED.contains(code)).collect();
        let expected =
            ["CLINTRCH", "HLEGAL", "GOV", "HMARKT", "HRESCH", "FAMRQT", "PUBHLTH", "DISASTER", "THREAT"];
        assert_eq!(accounted, expected);
    }

    #[test]
    fn what_gave_nothing_of_a_patient_is_no_disclosure() {
        let entry = |action: &str, count: Option<u64>, digests: usize, nothing_of: &str| {
            let mut record = Record::new(Event::Access, Outcome::Allow, Timestamp::EPOCH);
            record.action = Some(action.to_owned());
            record.patients = ["a", "b"].map(|id| Phi::new(id.to_owned())).to_vec();
            record.response.count = count;
            record.response.digests = vec![Phi::new("digest".to_owned()); digests];
            record.detail.insert(NOTHING_OF.to_owned(), Phi::new(nothing_of.to_owned()));
            Entry { index: 0, record, sealed: None }
        };
        for (action, count, digests, nothing_of, expected) in [
            ("read", Some(1), 1, "", true),
            ("search", Some(3), 3, "b", true),
            // Asked for together with somebody else, and nothing was there.
            ("search", Some(3), 3, "a", false),
            ("search", Some(0), 0, "a b", false),
            ("create", Some(1), 1, "", false),
            ("update", Some(1), 1, "", false),
            ("delete", None, 0, "", false),
            ("patch", Some(1), 1, "", true),
            ("patch", None, 0, "", false),
        ] {
            assert_eq!(
                gave(&entry(action, count, digests, nothing_of), "a"),
                expected,
                "{action} {nothing_of}"
            );
        }
    }

    #[test]
    fn what_is_for_something_else_is_accounted_for() {
        let entry = |purpose: Option<&str>, user: Option<&str>| {
            let mut record = Record::new(Event::Access, Outcome::Allow, Timestamp::EPOCH);
            record.purpose_of_use = purpose.map(str::to_owned);
            record.actor.fhir_user = user.map(|user| Phi::new(user.to_owned()));
            Entry { index: 0, record, sealed: None }
        };
        for (purpose, user, expected) in [
            (Some("HRESCH"), Some("Practitioner/x"), Account::ForThis),
            (Some("PUBHLTH"), None, Account::ForThis),
            (Some("HMARKT"), None, Account::ForThis),
            (Some("TREAT"), Some("Practitioner/x"), Account::NotNeeded),
            (Some("ETREAT"), None, Account::NotNeeded),
            (Some("HPAYMT"), None, Account::NotNeeded),
            (Some("HQUALIMP"), None, Account::NotNeeded),
            (Some("COC"), None, Account::NotNeeded),
            (Some("FAMRQT"), None, Account::ForThis),
            (None, Some("Patient/a"), Account::NotNeeded),
            (Some("HRESCH"), Some("Patient/a"), Account::NotNeeded),
            (None, Some("Patient/ab"), Account::Unknown),
            (None, None, Account::Unknown),
        ] {
            assert_eq!(account(&entry(purpose, user), "a"), expected, "{purpose:?} {user:?}");
        }
    }
}
