//! What people sign in with, and who has to have what.

use std::collections::BTreeSet;

use chartgate_access::ids::Role;
use chartgate_access::login::assurance::{Offered, Required, Whom};

use super::section::{Reading, Section};
use crate::live::passkeys;

/// Reads the table.
pub(super) fn read(reading: &mut Reading<'_>, mut section: Section, issuer: &str) -> (Required, Offered) {
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
    let place = (section.line_of("second_factor_roles"), section.key("second_factor_roles"));
    let names = section.texts(reading, "second_factor_roles");
    let with_two = roles(reading, &place, names);
    let place = (section.line_of("phishing_resistant_roles"), section.key("phishing_resistant_roles"));
    let names = section.texts(reading, "phishing_resistant_roles");
    let with_passkeys = roles(reading, &place, names);
    let offered = offered(reading, &mut section, issuer);
    if offered == Offered::CodesAlone && !with_passkeys.is_empty() {
        let (line, key) = place;
        reading.error(line, key, "wants passkeys, which are not offered");
    }
    section.finish(reading);
    let two_factors = if everybody { Whom::Everybody } else { Whom::OfRoles(with_two) };
    (Required { two_factors, phishing_resistant: Whom::OfRoles(with_passkeys) }, offered)
}

fn roles(reading: &mut Reading<'_>, (line, key): &(usize, String), names: Vec<String>) -> BTreeSet<Role> {
    let mut roles = BTreeSet::new();
    for text in names {
        match text.parse() {
            Ok(role) => drop(roles.insert(role)),
            Err(_) => reading.error(*line, key, format!("`{text}` is no name of a role")),
        }
    }
    roles
}

/// Whether passkeys are offered. Where they cannot be, whoever says that they are is told.
fn offered(reading: &mut Reading<'_>, section: &mut Section, issuer: &str) -> Offered {
    let (line, key) = (section.line_of("passkeys"), section.key("passkeys"));
    let possible = passkeys::can_be_offered(issuer);
    match section.text(reading, "passkeys").as_deref() {
        None => possible,
        Some("off") => Offered::CodesAlone,
        Some("offered") if possible == Offered::Passkeys => possible,
        Some("offered") => {
            let problem = "passkeys are for an issuer with a name, not an address, and for a build with them";
            reading.error(line, key, problem);
            possible
        }
        Some(other) => {
            reading.error(line, key, format!("`{other}` is not one of offered, off"));
            possible
        }
    }
}
