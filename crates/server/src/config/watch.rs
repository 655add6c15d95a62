//! What of the log somebody should look at. 45 CFR 164.308(a)(1)(ii)(D).

use std::collections::BTreeSet;
use std::path::Path;
use std::time::Duration;

use chartgate_access::ids::PatientId;
use chartgate_audit::watch::{
    BulkReads, Days, FailedSignIns, Hours, Listed, Offset, Repeated, Rules, UnwantedApprovals,
};
use chartgate_values::Phi;

use super::section::{Reading, Section};

const MINUTE: Duration = Duration::from_mins(1);
const HOUR: Duration = Duration::from_hours(1);
const HALF_DAY: Duration = Duration::from_hours(12);
const DAY: Duration = Duration::from_hours(24);
const MONTH: Duration = Duration::from_hours(24 * 30);

/// The rules, of which those that need to know nothing of a deployment are in force unless they are switched off.
pub(super) fn read(reading: &mut Reading<'_>, mut section: Section) -> Rules {
    let bulk = section.table(reading, "bulk_reads");
    let surname = section.table(reading, "same_surname");
    let own = section.table(reading, "self_access");
    let failed = section.table(reading, "failed_sign_ins");
    let hours = section.tables(reading, "off_hours");
    let vip = section.optional_table(reading, "vip");
    let canary = section.optional_table(reading, "canary");
    let unwanted = section.table(reading, "unwanted_approvals");
    section.finish(reading);
    Rules {
        bulk_reads: bulk_reads(reading, bulk),
        off_hours: hours.into_iter().filter_map(|hours| off_hours(reading, hours)).collect(),
        same_surname: same_surname(reading, surname),
        vip: vip.and_then(|vip| listed(reading, vip, DAY)),
        self_access: self_access(reading, own),
        failed_sign_ins: failed_sign_ins(reading, failed),
        canary: canary.and_then(|canary| listed(reading, canary, HOUR)),
        unwanted_approvals: unwanted_approvals(reading, unwanted),
    }
}

/// Whether a rule is looked at.
#[derive(Clone, Copy, Eq, PartialEq)]
enum Looked {
    At,
    Not,
}

fn bulk_reads(reading: &mut Reading<'_>, mut section: Section) -> Option<BulkReads> {
    let looked = section.choice(reading, "off", [Looked::At, Looked::Not]);
    let rule = BulkReads {
        patients: section.number(reading, "patients", 50, 2..=10_000),
        within: section.duration(reading, "within", HOUR, MINUTE..=DAY),
        except: section.texts(reading, "except").into_iter().collect(),
    };
    section.finish(reading);
    (looked == Looked::At).then_some(rule)
}

fn off_hours(reading: &mut Reading<'_>, mut section: Section) -> Option<Hours> {
    let line = section.line_of("days");
    let roles = section.texts(reading, "roles").into_iter().collect();
    let names = section.texts(reading, "days");
    let days = if names.is_empty() { Ok(Days::of_work()) } else { Days::parse(&names) };
    let days = match days {
        Ok(days) => Some(days),
        Err(_) => {
            reading.error(line, section.key("days"), "has to name days: mon, tue, wed, thu, fri, sat, sun");
            None
        }
    };
    for key in ["from", "until", "time_zone"] {
        if !section.has(key) {
            reading.error(section.line(), section.key(key), "is missing");
        }
    }
    let from = section.parsed(reading, "from");
    let until = section.parsed(reading, "until");
    let offset: Option<Offset> = section.parsed(reading, "time_zone");
    let again_after = section.duration(reading, "again_after", HALF_DAY, MINUTE..=MONTH);
    section.finish(reading);
    Some(Hours { roles, days: days?, from: from?, until: until?, offset: offset?, again_after })
}

fn same_surname(reading: &mut Reading<'_>, mut section: Section) -> Option<Repeated> {
    let looked = section.choice(reading, "off", [Looked::At, Looked::Not]);
    let rule = Repeated {
        again_after: section.duration(reading, "again_after", DAY, MINUTE..=MONTH),
        patients_at_most: section.number(reading, "patients_at_most", 10, 1..=1000),
    };
    section.finish(reading);
    (looked == Looked::At).then_some(rule)
}

fn self_access(reading: &mut Reading<'_>, mut section: Section) -> Option<Repeated> {
    let looked = section.choice(reading, "off", [Looked::At, Looked::Not]);
    let again_after = section.duration(reading, "again_after", DAY, MINUTE..=MONTH);
    section.finish(reading);
    (looked == Looked::At).then_some(Repeated { again_after, patients_at_most: usize::MAX })
}

fn unwanted_approvals(reading: &mut Reading<'_>, mut section: Section) -> Option<UnwantedApprovals> {
    let looked = section.choice(reading, "off", [Looked::At, Looked::Not]);
    let rule = UnwantedApprovals {
        again_after: section.duration(reading, "again_after", HOUR, MINUTE..=MONTH),
        unapproved_a_day: section.number(reading, "unapproved_a_day", 10, 2..=1000),
    };
    section.finish(reading);
    (looked == Looked::At).then_some(rule)
}

fn listed(reading: &mut Reading<'_>, mut section: Section, again_after: Duration) -> Option<Listed> {
    let line = section.line_of("patients");
    let file_line = section.line_of("patients_file");
    let named = section.texts(reading, "patients");
    let file = section.path(reading, "patients_file");
    let again_after = section.duration(reading, "again_after", again_after, MINUTE..=MONTH);
    let mut patients = BTreeSet::new();
    for name in named {
        match name.parse::<PatientId>() {
            Ok(id) => drop(patients.insert(Phi::new(id.to_string()))),
            // What it names is a patient: the message does not.
            Err(_) => {
                reading.error(line, section.key("patients"), "has something that is no id of a patient")
            }
        }
    }
    if let Some(file) = file {
        match of_file(&file) {
            Ok(more) => patients.extend(more),
            Err(problem) => reading.error(file_line, section.key("patients_file"), problem),
        }
    }
    section.finish(reading);
    Some(Listed { patients, again_after })
}

/// Ids of patients, a line each; what follows `#` is a remark.
fn of_file(path: &Path) -> Result<Vec<Phi<String>>, String> {
    let text = std::fs::read_to_string(path).map_err(|e| format!("cannot read {}: {e}", path.display()))?;
    let lines = (1_usize..).zip(text.lines());
    let ids = lines.map(|(number, line)| (number, line.split('#').next().unwrap_or_default().trim()));
    ids.filter(|(_, id)| !id.is_empty())
        .map(|(number, id)| match id.parse::<PatientId>() {
            Ok(id) => Ok(Phi::new(id.to_string())),
            Err(_) => Err(format!("{}, line {number}: no id of a patient", path.display())),
        })
        .collect()
}

fn failed_sign_ins(reading: &mut Reading<'_>, mut section: Section) -> Option<FailedSignIns> {
    let looked = section.choice(reading, "off", [Looked::At, Looked::Not]);
    let rule = FailedSignIns {
        within: section.duration(reading, "within", HOUR, MINUTE..=DAY),
        per_account: section.number(reading, "per_account", 10, 2..=1000),
        per_address: section.number(reading, "per_address", 100, 2..=10_000),
        accounts_per_address: section.number(reading, "accounts_per_address", 20, 2..=1000),
        in_all: section.number(reading, "in_all", 500, 2..=100_000),
    };
    section.finish(reading);
    (looked == Looked::At).then_some(rule)
}
