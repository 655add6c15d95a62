//! The page of emergency access: what happens, why it is needed, and who you are, once more. 45 CFR 164.312(a)(2)(ii).

mod confirm;

use std::sync::Arc;

use askama::Template;
use axum::extract::State;
use axum::response::Response;
use chartgate_access::emergency::{self, Blocked, Declared, LONGEST_EXPLANATION, SHORTEST_EXPLANATION};
use chartgate_access::ids::EmergencyId;
use chartgate_access::login::assurance::OnceMore;
use chartgate_access::login::steps::called;
use chartgate_access::permit::Withheld;
use chartgate_audit::record::{Event, Outcome, Record};
use chartgate_protocol::oauth::authorization_details::{EmergencyAccess, EmergencyReason};
use chartgate_protocol::oauth::purpose_of_use::PurposeOfUse;
use chartgate_values::Phi;
use http::StatusCode;

use self::confirm::{Means, confirmed};
use super::consent::deny;
use super::form::{Asked, Submission, Visit, see_other, stale, unavailable};
use super::sign_in::person;
use super::{Login, once_more};
use crate::entropy::SystemEntropy;
use crate::store::StoreError;
use crate::store::pending::Took;
use crate::tongue::{Id, Tongue, Words};

#[derive(Template)]
#[template(path = "emergency.html")]
struct EmergencyPage<'a> {
    t: Tongue,
    application: &'a str,
    patient: &'a str,
    username: &'a str,
    minutes: u64,
    /// Whether a privacy officer is told of it.
    is_told: bool,
    /// Why it cannot be had.
    refused: Option<Words>,
    contact: Option<&'a str>,
    /// What is wrong with what was sent.
    problem: Option<Id>,
    reasons: Vec<ReasonShown>,
    explanation: &'a str,
    /// What the browser is asked, where the person has a passkey.
    passkey: Option<String>,
    takes_password: bool,
    takes_code: bool,
    shortest: usize,
    longest: usize,
    hidden: String,
}

struct ReasonShown {
    code: &'static str,
    words: Id,
    chosen: bool,
}

/// Why somebody does not get it: a stable code for the record, and words for them.
struct Refusal {
    reason: &'static str,
    words: Words,
}

const NO_REASON: Id = Id::of("emergency-no-reason");

pub(super) async fn page(State(login): State<Arc<Login>>, visit: Visit) -> Response {
    let asked = match visit.asked(&login) {
        Ok(asked) => asked,
        Err(response) => return *response,
    };
    let Some(access) = emergency::asked(&asked.begun.pending.authorization_details).cloned() else {
        return stale();
    };
    let refused = match refusal(&login, &asked, &access, PurposeOfUse::EMERGENCY_TREATMENT) {
        Ok(refused) => refused,
        Err(error) => return unavailable(&error),
    };
    let Some(refused) = refused else { return show(&login, &visit, &asked, &access, None, None) };
    let answer = show(&login, &visit, &asked, &access, None, Some(refused.words));
    let mut record = record(&login, &visit, &asked, &access, Outcome::Deny);
    record.decision.reason = Some(refused.reason.to_owned());
    match login.journal.append(&record, Withheld::new(answer)).await {
        Ok(recorded) => Withheld::release(recorded),
        Err(error) => unavailable(&error),
    }
}

pub(super) async fn submit(State(login): State<Arc<Login>>, Submission(visit): Submission) -> Response {
    let asked = match visit.asked(&login) {
        Ok(asked) => asked,
        Err(response) => return *response,
    };
    let Some(access) = emergency::asked(&asked.begun.pending.authorization_details).cloned() else {
        return stale();
    };
    match visit.form.get("decision") {
        Some("approve") => {}
        Some("deny") => return deny(&login, &visit.origin, asked.begun, &asked.present).await,
        Some(_) | None => return stale(),
    }
    let explanation = visit.form.get("explanation").unwrap_or_default().trim();
    let length = explanation.chars().count();
    let reason: Option<EmergencyReason> = visit.form.get("reason").and_then(|code| code.parse().ok());
    let Some(reason) = reason.filter(|_| (SHORTEST_EXPLANATION..=LONGEST_EXPLANATION).contains(&length))
    else {
        return show(&login, &visit, &asked, &access, Some(NO_REASON), None);
    };
    let mut record = record(&login, &visit, &asked, &access, Outcome::Allow);
    record.detail.insert("reason".to_owned(), Phi::new(reason.to_string()));
    record.detail.insert("explanation".to_owned(), Phi::new(explanation.to_owned()));
    record.purpose_of_use = Some(reason.purpose().to_string());
    match refusal(&login, &asked, &access, reason.purpose()) {
        Ok(None) => {}
        Ok(Some(refused)) => {
            record.outcome = Outcome::Deny;
            record.decision.reason = Some(refused.reason.to_owned());
            let answer = show(&login, &visit, &asked, &access, None, Some(refused.words));
            return match login.journal.append(&record, Withheld::new(answer)).await {
                Ok(recorded) => Withheld::release(recorded),
                Err(error) => unavailable(&error),
            };
        }
        Err(error) => return unavailable(&error),
    }
    let (confirmed, by) = match confirmed(&login, &visit, &asked, &access).await {
        Ok(confirmed) => confirmed,
        Err(response) => return response,
    };
    record.detail.insert("confirmed_by".to_owned(), Phi::new(by.to_owned()));
    let id = EmergencyId::random(&mut SystemEntropy);
    let Some(sealed) = login.emergencies.seal(&id, explanation) else {
        return unavailable(&"a reason cannot be sealed");
    };
    record.detail.insert("emergency".to_owned(), Phi::new(id.to_string()));
    let by = asked.present.user.name.clone();
    let declared = Declared { id, by, reason, explanation: sealed, at: login.clock.now() };
    let (digest, next) =
        (asked.begun.digest.clone(), format!("/authorize/continue?request={}", asked.handle));
    let recorded = match login.journal.append(&record, Withheld::new(see_other(&next))).await {
        Ok(recorded) => recorded,
        Err(error) => return unavailable(&error),
    };
    let took = login.store.write(move |sql| match confirmed.stands(sql)? {
        true => sql.declare_emergency(&digest, &declared).map(Some),
        false => Ok(None),
    });
    let reason = match took.await {
        Ok(Some(Took::It)) => return Withheld::release(recorded),
        // A form sent twice, or by whoever was shut out meanwhile.
        Ok(Some(Took::Nothing)) => "asked-twice",
        Ok(None) => "not-confirmed-any-more",
        Err::<_, StoreError>(error) => return unavailable(&error),
    };
    // Nothing came of this one, whose record says that something would.
    record.outcome = Outcome::Deny;
    record.decision.reason = Some(reason.to_owned());
    once_more::recorded(&login, &record, stale()).await
}

/// Why this person cannot have it now, if they cannot.
fn refusal(
    login: &Login,
    asked: &Asked,
    access: &EmergencyAccess,
    purpose: PurposeOfUse,
) -> Result<Option<Refusal>, StoreError> {
    let Asked { begun, present, .. } = asked;
    let by = (&present.user, &present.session);
    let called = called(&begun.pending, &present.session);
    if !login.emergencies.is_eligible(by, called, &begun.client.client_id, purpose) {
        let words = Words::of("emergency-not-role");
        return Ok(Some(Refusal { reason: "not-eligible", words }));
    }
    if let Some(words) = Means::of(login, asked)?.are_none() {
        return Ok(Some(Refusal { reason: "nothing-to-confirm-with", words }));
    }
    let patient = access.patient.parse().ok();
    Ok(login.emergencies.check(&present.user.name, patient.as_ref())?.err().map(|blocked| {
        let words = match blocked {
            Blocked::TooMany(patients) => Words::of("emergency-blocked-many")
                .number("patients", u64::try_from(patients).unwrap_or(u64::MAX)),
            Blocked::TooOld => Words::of("emergency-blocked-old"),
        };
        Refusal { reason: "unreviewed-emergency-access", words }
    }))
}

fn show(
    login: &Login,
    visit: &Visit,
    asked: &Asked,
    access: &EmergencyAccess,
    problem: Option<Id>,
    refused: Option<Words>,
) -> Response {
    let means = match Means::of(login, asked) {
        Ok(means) => means,
        Err(error) => return unavailable(&error),
    };
    let chosen = visit.form.get("reason").and_then(|code| code.parse().ok()).or(access.reason);
    let reasons = EmergencyReason::ALL.into_iter().map(|reason| ReasonShown {
        code: reason.code(),
        words: words_of(reason),
        chosen: chosen == Some(reason),
    });
    let page = EmergencyPage {
        t: visit.browser.tongue,
        application: asked.begun.client.client_id.as_str(),
        patient: &access.patient,
        username: asked.present.user.name.as_str(),
        minutes: login.emergencies.config.limits.duration.as_secs().div_ceil(60),
        is_told: !login.emergencies.ways().is_empty(),
        refused,
        contact: login.emergencies.config.contact.as_deref(),
        problem,
        reasons: reasons.collect(),
        explanation: visit.form.get("explanation").unwrap_or_default(),
        takes_password: means.has_password
            && matches!(means.takes, OnceMore::Password | OnceMore::PasswordAndCode),
        takes_code: means.takes == OnceMore::PasswordAndCode,
        passkey: means.passkey,
        shortest: SHORTEST_EXPLANATION,
        longest: LONGEST_EXPLANATION,
        hidden: visit.browser.hidden(&[("request", &asked.handle)]),
    };
    let target = asked.begun.pending.reply_to.form_target();
    match page.passkey {
        Some(_) => visit.browser.show_with_script(StatusCode::OK, &page, target),
        None => visit.browser.show(StatusCode::OK, &page, target),
    }
}

fn words_of(reason: EmergencyReason) -> Id {
    match reason {
        EmergencyReason::ImmediateDanger => Id::of("reason-immediate-danger"),
        EmergencyReason::EmergencyVisit => Id::of("reason-emergency-visit"),
        EmergencyReason::Covering => Id::of("reason-covering"),
        EmergencyReason::Consult => Id::of("reason-consult"),
        EmergencyReason::NewPatient => Id::of("reason-new-patient"),
        EmergencyReason::Other => Id::of("reason-other"),
    }
}

fn record(login: &Login, visit: &Visit, asked: &Asked, access: &EmergencyAccess, outcome: Outcome) -> Record {
    let Asked { begun, present, .. } = asked;
    let mut record = visit.origin.record(Event::EmergencyRequested, outcome, login.clock.now());
    record.action = Some(Event::EmergencyRequested.as_str().to_owned());
    record.actor = person(&present.user);
    record.actor.client_id = Some(begun.client.client_id.to_string());
    record.session = Some(present.session.id.to_string());
    record.patients = vec![Phi::new(access.patient.clone())];
    record
}
