//! Where a clinician reads of emergency access, and ends what they have open.

use std::sync::Arc;

use askama::Template;
use axum::extract::State;
use axum::response::Response;
use chartgate_access::emergency::Blocked;
use chartgate_access::ids::EmergencyId;
use chartgate_audit::record::{Event, Outcome};
use chartgate_protocol::oauth::purpose_of_use::PurposeOfUse;
use chartgate_values::Phi;
use http::StatusCode;

use super::Login;
use super::form::{Present, Submission, Visit, see_other, stale, unavailable};
use super::sign_in::person;
use crate::install::TERMINAL_CLIENT;
use crate::live::emergency::is_reviewer;
use crate::live::outbox::ChangeError;
use crate::pages;
use crate::store::emergency::EmergencyUse;
use crate::tongue::{Tongue, Words};

#[derive(Template)]
#[template(path = "emergency_own.html")]
struct OwnPage<'a> {
    t: Tongue,
    is_eligible: bool,
    is_reviewer: bool,
    roles: String,
    minutes: u64,
    is_told: bool,
    blocked: Option<Words>,
    contact: Option<&'a str>,
    open: Vec<Open>,
    hidden: String,
}

/// One that is under way.
struct Open {
    id: String,
    patient: String,
    until: String,
    until_shown: String,
}

impl Open {
    fn of(used: &EmergencyUse) -> Self {
        Self {
            id: used.id.to_string(),
            patient: used.patient.to_string(),
            until: used.until.to_string(),
            until_shown: pages::minutes(used.until),
        }
    }
}

/// Sign in, then come back.
const SIGN_IN: &str = "/login?then=emergency";

pub(super) async fn page(State(login): State<Arc<Login>>, visit: Visit) -> Response {
    let present = match Present::of(&login, &visit.headers) {
        Ok(Some(present)) => present,
        Ok(None) => return see_other(SIGN_IN),
        Err(error) => return unavailable(&error),
    };
    let (emergencies, name) = (&login.emergencies, &present.user.name);
    let now = login.clock.now();
    let found = emergencies
        .check(name, None)
        .and_then(|check| Ok((check, login.store.read(|sql| sql.open_emergencies(name, now))?)));
    let (check, open) = match found {
        Ok(found) => found,
        Err(error) => return unavailable(&error),
    };
    let Ok(client) = TERMINAL_CLIENT.parse() else { return stale() };
    let roles: Vec<&str> = present.user.roles.iter().map(|role| role.as_str()).collect();
    let by = (&present.user, &present.session);
    let called = present.session.assurance();
    let page = OwnPage {
        t: visit.browser.tongue,
        is_eligible: emergencies.is_eligible(by, called, &client, PurposeOfUse::EMERGENCY_TREATMENT),
        is_reviewer: is_reviewer(&present.user),
        roles: if roles.is_empty() {
            visit.browser.tongue.say("account-no-roles").plain()
        } else {
            roles.join(", ")
        },
        minutes: emergencies.config.limits.duration.as_secs().div_ceil(60),
        is_told: !emergencies.ways().is_empty(),
        blocked: check.err().map(|blocked| match blocked {
            Blocked::TooMany(patients) => Words::of("emergency-own-many")
                .number("patients", u64::try_from(patients).unwrap_or(u64::MAX)),
            Blocked::TooOld => Words::of("emergency-own-old"),
        }),
        contact: emergencies.config.contact.as_deref(),
        open: open.iter().map(Open::of).collect(),
        hidden: visit.browser.hidden(&[]),
    };
    visit.browser.show(StatusCode::OK, &page, None)
}

/// Ends one of one's own.
pub(super) async fn end(State(login): State<Arc<Login>>, Submission(visit): Submission) -> Response {
    let present = match Present::of(&login, &visit.headers) {
        Ok(Some(present)) => present,
        Ok(None) => return see_other(SIGN_IN),
        Err(error) => return unavailable(&error),
    };
    let Some(id) = visit.form.get("id").and_then(|id| id.parse::<EmergencyId>().ok()) else {
        return stale();
    };
    let used = match login.emergencies.find(&id) {
        Ok(Some((used, _))) if used.subject == present.user.name => used,
        Ok(_) => return stale(),
        Err(error) => return unavailable(&error),
    };
    let mut record = visit.origin.record(Event::EmergencyEnded, Outcome::Allow, login.clock.now());
    record.action = Some(Event::EmergencyEnded.as_str().to_owned());
    record.actor = person(&present.user);
    record.session = Some(present.session.id.to_string());
    record.grant = Some(used.grant.to_string());
    record.patients = vec![Phi::new(used.patient.to_string())];
    record.detail.insert("emergency".to_owned(), Phi::new(used.id.to_string()));
    record.detail.insert("user".to_owned(), Phi::new(used.subject.to_string()));
    match login.emergencies.end::<ChangeError>(&used, record).await {
        Ok(_) => see_other("/emergency"),
        Err(error) => unavailable(&error),
    }
}
