//! What people sign in with, and who has to have what.

use std::collections::BTreeSet;
use std::fs;
use std::sync::Arc;

use chartgate_access::ids::Role;
use chartgate_access::login::assurance::{Offered, Required, Whom};
use chartgate_access::login::blocklist::Blocklist;

use super::authenticators;
use super::section::{Reading, Section};
use crate::live::passkeys;
use crate::live::passkeys::authenticators::Authenticators;
use crate::passwords::PasswordRules;

/// Longest list of passwords that is read.
const LONGEST_LIST: u64 = 64 << 20;

/// Who lets people in again who lost what they sign in with.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Recovery {
    /// An administrator.
    Administrator,
    /// They themselves, with what is left to them and a link that is sent to their address.
    Mail,
}

/// What the table says.
pub(super) struct SignIn {
    pub(super) required: Required,
    pub(super) offered: Offered,
    pub(super) passwords: PasswordRules,
    pub(super) authenticators: Authenticators,
    pub(super) recovery: Recovery,
    /// Where it says so.
    recovery_at: (usize, String),
}

impl SignIn {
    /// Links that nothing sends help nobody.
    pub(super) fn check_mail(&self, reading: &mut Reading<'_>, is_mailed: bool) {
        if self.recovery == Recovery::Mail && !is_mailed {
            let (line, key) = &self.recovery_at;
            reading.error(*line, key.clone(), "wants `[mail]`: without it no link is sent");
        }
    }
}

/// Reads the table.
pub(super) fn read(reading: &mut Reading<'_>, mut section: Section, issuer: &str) -> SignIn {
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
    let at = section.line_of("second_factor_roles");
    let with_two = section.texts(reading, "second_factor_roles");
    let with_two = roles(reading, (at, section.key("second_factor_roles")), with_two);
    let at = section.line_of("phishing_resistant_roles");
    let with_passkeys = section.texts(reading, "phishing_resistant_roles");
    let with_passkeys = roles(reading, (at, section.key("phishing_resistant_roles")), with_passkeys);
    let offered = offered(reading, &mut section, issuer);
    if offered == Offered::CodesAlone && !with_passkeys.is_empty() {
        reading.error(at, section.key("phishing_resistant_roles"), "wants passkeys, which are not offered");
    }
    let (hardware_key, authenticators) = hardware(reading, &mut section, offered);
    let has_roots = offered == Offered::Passkeys && !authenticators.roots.is_empty();
    let passwords = rules(reading, &mut section, issuer);
    let recovery_at = (section.line_of("recovery"), section.key("recovery"));
    let recovery = recovery(reading, &mut section);
    section.finish(reading);
    let two_factors = if everybody { Whom::Everybody } else { Whom::OfRoles(with_two) };
    let phishing_resistant = Whom::OfRoles(with_passkeys);
    SignIn {
        required: Required { two_factors, phishing_resistant, hardware_key },
        offered: if has_roots { Offered::HardwareKeys } else { offered },
        passwords,
        authenticators,
        recovery,
        recovery_at,
    }
}

/// Who has to have a key that hardware keeps, and whose word is taken for that.
fn hardware(reading: &mut Reading<'_>, section: &mut Section, offered: Offered) -> (Whom, Authenticators) {
    let (line, key) = (section.line_of("hardware_key_roles"), section.key("hardware_key_roles"));
    let names = section.texts(reading, "hardware_key_roles");
    let with_hardware = roles(reading, (line, key.clone()), names);
    let says_roots = section.keys().iter().any(|key| key == "authenticator_roots");
    let authenticators = authenticators::read(reading, section);
    if !with_hardware.is_empty() && !says_roots {
        let problem = "wants `authenticator_roots` beside it: without a root nobody knows what is hardware";
        reading.error(line, key.clone(), problem);
    }
    if !with_hardware.is_empty() && offered == Offered::CodesAlone {
        reading.error(line, key, "wants passkeys, which are not offered");
    }
    (Whom::OfRoles(with_hardware), authenticators)
}

fn roles(reading: &mut Reading<'_>, (line, key): (usize, String), names: Vec<String>) -> BTreeSet<Role> {
    let mut roles = BTreeSet::new();
    for text in names {
        match text.parse() {
            Ok(role) => drop(roles.insert(role)),
            Err(_) => reading.error(line, key.clone(), format!("`{text}` is no name of a role")),
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

fn recovery(reading: &mut Reading<'_>, section: &mut Section) -> Recovery {
    let (line, key) = (section.line_of("recovery"), section.key("recovery"));
    match section.text(reading, "recovery").as_deref() {
        None | Some("administrator") => Recovery::Administrator,
        Some("mail") => Recovery::Mail,
        Some(other) => {
            reading.error(line, key, format!("`{other}` is not one of administrator, mail"));
            Recovery::Administrator
        }
    }
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
