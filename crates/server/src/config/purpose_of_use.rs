//! Which roles may look at records for which purposes; the first of each role is presumed.

use std::collections::BTreeMap;

use chartgate_access::ids::Role;
use chartgate_access::purpose::Purposes;
use chartgate_protocol::oauth::purpose_of_use::PurposeOfUse;

use super::section::{Reading, Section};

/// What stands where nothing else is configured.
const USUAL: &[(&str, &[&str])] = &[
    ("physician", &["TREAT", "COC", "HOPERAT", "PATSFTY", "PUBHLTH"]),
    ("nurse", &["TREAT", "COC", "HOPERAT", "PATSFTY"]),
    ("billing", &["HPAYMT", "COVERAGE", "ELIGDTRM", "REMITADV", "HOPERAT"]),
    ("researcher", &["HRESCH", "CLINTRCH"]),
    ("patient", &["PATRQT"]),
    ("privacy-officer", &["HOPERAT", "HCOMPL"]),
    ("administrator", &["HSYSADMIN"]),
    ("service", &["HOPERAT", "TREAT", "COC", "HPAYMT", "HRESCH", "PUBHLTH"]),
];

/// Reads the table: keys are roles.
pub(super) fn read(reading: &mut Reading<'_>, mut section: Section) -> Purposes {
    let mut by_role = BTreeMap::new();
    for (role, codes) in USUAL {
        if let Ok(role) = role.parse::<Role>() {
            by_role.insert(role, codes.iter().filter_map(|code| code.parse().ok()).collect());
        }
    }
    for key in section.keys() {
        let line = section.line_of(&key);
        let name = section.key(&key);
        let codes = section.texts(reading, &key);
        let Ok(role) = key.parse::<Role>() else {
            reading.error(line, name, "is no name of a role");
            continue;
        };
        let mut purposes = Vec::new();
        for code in codes {
            match code.parse::<PurposeOfUse>() {
                Ok(purpose) if purpose.is_of_emergencies() => {
                    reading.error(line, &name, format!("`{code}` comes with emergency access alone"));
                }
                Ok(purpose) => purposes.push(purpose),
                Err(error) => reading.error(line, &name, format!("`{code}`: {error}")),
            }
        }
        by_role.insert(role, purposes);
    }
    section.finish(reading);
    Purposes::new(by_role)
}
