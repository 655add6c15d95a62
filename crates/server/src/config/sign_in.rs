//! Who has to have a second factor.

use std::collections::BTreeSet;

use chartgate_access::login::assurance::Required;

use super::section::{Reading, Section};

/// Reads the table.
pub(super) fn read(reading: &mut Reading<'_>, mut section: Section) -> Required {
    let line = section.line_of("second_factor");
    let everybody = match section.text(reading, "second_factor").as_deref() {
        None | Some("offered") => false,
        Some("required") => true,
        Some(other) => {
            let problem = format!("`{other}` is not one of offered, required");
            reading.error(line, section.key("second_factor"), problem);
            false
        }
    };
    let (line, key) = (section.line_of("second_factor_roles"), section.key("second_factor_roles"));
    let mut roles = BTreeSet::new();
    for name in section.texts(reading, "second_factor_roles") {
        match name.parse() {
            Ok(role) => drop(roles.insert(role)),
            Err(_) => reading.error(line, &key, format!("`{name}` is no name of a role")),
        }
    }
    section.finish(reading);
    if everybody { Required::Everybody } else { Required::OfRoles(roles) }
}
