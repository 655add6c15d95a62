//! What people sign in with, and who has to have what.

use std::collections::BTreeSet;
use std::fs;
use std::sync::Arc;

use chartgate_access::ids::Role;
use chartgate_access::login::assurance::{Offered, Required, Whom};
use chartgate_access::login::blocklist::Blocklist;

use super::section::{Reading, Section};
use crate::live::passkeys;
use crate::passwords::PasswordRules;

/// Longest list of passwords that is read.
const LONGEST_LIST: u64 = 64 << 20;

/// Reads the table.
pub(super) fn read(
    reading: &mut Reading<'_>,
    mut section: Section,
    issuer: &str,
) -> (Required, Offered, PasswordRules) {
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
    let rules = rules(reading, &mut section, issuer);
    section.finish(reading);
    let two_factors = if everybody { Whom::Everybody } else { Whom::OfRoles(with_two) };
    (Required { two_factors, phishing_resistant: Whom::OfRoles(with_passkeys) }, offered, rules)
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

/// What passwords are not to be: those of a file, and what the service is called.
fn rules(reading: &mut Reading<'_>, section: &mut Section, issuer: &str) -> PasswordRules {
    let (line, key) = (section.line_of("refused_passwords"), section.key("refused_passwords"));
    let mut rules = PasswordRules { service: service_of(issuer), ..PasswordRules::default() };
    let Some(path) = section.path(reading, "refused_passwords") else { return rules };
    let is_short = fs::metadata(&path).is_ok_and(|file| file.is_file() && file.len() <= LONGEST_LIST);
    match is_short.then(|| fs::read_to_string(&path)) {
        Some(Ok(text)) => rules.blocklist = Arc::new(Blocklist::with_lines(&text)),
        Some(Err(_)) | None => {
            let problem = format!("`{}` is no text that can be read, of 64 MiB at the most", path.display());
            reading.error(line, key, problem);
        }
    }
    rules
}

/// The names in a host that tell it apart: all but the last.
fn service_of(issuer: &str) -> Vec<String> {
    let host = issuer.trim_start_matches("https://").split([':', '/']).next().unwrap_or_default();
    let names = host.rsplit_once('.').map_or(host, |(names, _)| names);
    names.split('.').filter(|name| name.chars().any(char::is_alphabetic)).map(str::to_owned).collect()
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
