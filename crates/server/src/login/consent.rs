//! Whether an application may act for the person.

use std::collections::BTreeSet;
use std::sync::Arc;

use askama::Template;
use axum::extract::State;
use axum::response::Response;
use chartgate_access::grant::authorization_code::{ConsentGiven, ReplyTo};
use chartgate_access::grant::polling::Answer;
use chartgate_access::login::steps::grantable_by_a_person;
use chartgate_access::permit::Withheld;
use chartgate_audit::record::{Event, Outcome};
use chartgate_protocol::oauth::authorization_details::AuthorizationDetail;
use chartgate_protocol::oauth::scope::ScopeSet;
use chartgate_protocol::smart::scope::{Level, Permission, SmartScope, TypePattern};
use chartgate_values::Phi;
use http::StatusCode;

use super::Login;
use super::form::{Asked, Begun, Present, Submission, Visit, see_other, stale, unavailable};
use super::sign_in::person;
use crate::net::origin::Origin;
use crate::pages;
use crate::store::StoreError;
use crate::store::pending::Took;

#[derive(Template)]
#[template(path = "consent.html")]
struct ConsentPage<'a> {
    application: &'a str,
    username: &'a str,
    wishes: Vec<String>,
    patient: Option<&'a str>,
    destination: Option<String>,
    device: Option<DeviceShown<'a>>,
    hidden: String,
}

/// What a person has to know of a device whose code they typed.
struct DeviceShown<'a> {
    asked_from: &'a str,
    asked_at: String,
}

pub(super) async fn page(State(login): State<Arc<Login>>, visit: Visit) -> Response {
    let Asked { handle, begun, present } = match visit.asked(&login) {
        Ok(asked) => asked,
        Err(response) => return *response,
    };
    let page = ConsentPage {
        application: begun.client.client_id.as_str(),
        username: present.user.name.as_str(),
        wishes: wishes(&grantable_by_a_person(&begun.pending.scope))
            .into_iter()
            .chain(begun.pending.authorization_details.iter().map(detailed_wish))
            .collect(),
        patient: begun.pending.patient.as_ref().map(|patient| patient.as_str()),
        destination: begun.pending.reply_to.form_target().map(pages::origin_of),
        device: match &begun.pending.reply_to {
            ReplyTo::Redirect(_) => None,
            ReplyTo::Device(device) => Some(DeviceShown {
                asked_from: &device.asked_from,
                asked_at: pages::minutes(device.asked_at),
            }),
        },
        hidden: visit.browser.hidden(&[("request", &handle)]),
    };
    pages::render(StatusCode::OK, &page, begun.pending.reply_to.form_target())
}

pub(super) async fn submit(State(login): State<Arc<Login>>, Submission(visit): Submission) -> Response {
    let Asked { handle, begun, present } = match visit.asked(&login) {
        Ok(asked) => asked,
        Err(response) => return *response,
    };
    match visit.form.get("decision") {
        Some("approve") => approve(&login, &handle, begun, &present).await,
        Some("deny") => deny(&login, &visit.origin, begun, &present).await,
        Some(_) | None => stale(),
    }
}

async fn approve(login: &Login, handle: &str, begun: Begun, present: &Present) -> Response {
    let mut pending = begun.pending;
    pending.consent = ConsentGiven::Approved;
    let (digest, client, subject) = (begun.digest, begun.client.client_id, present.user.name.clone());
    let (scope, now) = (grantable_by_a_person(&pending.scope), login.clock.now());
    let kept = login
        .store
        .write(move |sql| {
            sql.set_consent(&subject, &client, &scope, now)?;
            sql.update_pending(&digest, &pending)
        })
        .await;
    match kept {
        Ok(()) => see_other(&format!("/authorize/continue?request={handle}")),
        Err::<_, StoreError>(error) => unavailable(&error),
    }
}

/// The person said no: the request is over, and its client is told.
pub(super) async fn deny(login: &Login, origin: &Origin, begun: Begun, present: &Present) -> Response {
    let Begun { digest, pending, client } = begun;
    let (device, now) = (pending.reply_to.clone(), login.clock.now());
    let taken = login.store.write(move |sql| match (sql.take_pending(&digest)?, device) {
        (Took::It, ReplyTo::Device(device)) => sql.answer_device(&device.digest, Answer::Denied, now),
        (took @ (Took::It | Took::Nothing), _) => Ok(took),
    });
    match taken.await {
        Ok(Took::It) => {}
        Ok(Took::Nothing) => return stale(),
        Err::<_, StoreError>(error) => return unavailable(&error),
    }
    let mut record = origin.record(Event::ConsentDenied, Outcome::Deny, now);
    record.action = Some("authorize".to_owned());
    record.actor = person(&present.user);
    record.actor.client_id = Some(client.client_id.to_string());
    record.session = Some(present.session.id.to_string());
    record.decision.reason = Some("person-declined".to_owned());
    record.detail.insert("scope".to_owned(), Phi::new(pending.scope.to_string()));
    let answer = Withheld::new(login.denial(&pending));
    match login.journal.append(&record, answer).await {
        Ok(recorded) => Withheld::release(recorded),
        Err(error) => unavailable(&error),
    }
}

/// Scopes in words.
fn wishes(scope: &ScopeSet) -> Vec<String> {
    let mut wishes = Vec::new();
    for wish in scope.iter().filter_map(wish) {
        if !wishes.contains(&wish) {
            wishes.push(wish);
        }
    }
    wishes
}

fn wish(token: &str) -> Option<String> {
    if let Ok(smart) = token.parse::<SmartScope>() {
        return Some(smart_wish(&smart));
    }
    Some(match token {
        "openid" | "profile" | "fhirUser" => "Know who you are".to_owned(),
        "offline_access" => "Keep this access while you are away".to_owned(),
        "launch/patient" => return None,
        other => format!("Use “{other}”"),
    })
}

/// What is asked for in detail, with whose records it is.
fn detailed_wish(detail: &AuthorizationDetail) -> String {
    let AuthorizationDetail::FhirRecords(records) = detail;
    let names = |all: &BTreeSet<String>| listed(&all.iter().map(String::as_str).collect::<Vec<_>>());
    let verbs = verbs(|permission| records.actions.iter().any(|action| action.permission() == permission));
    let (types, patients) = (names(&records.datatypes), names(&records.patients));
    let whose = if records.patients.len() == 1 { "the patient" } else { "the patients" };
    format!("{verbs} {types} entries of {whose} {patients}")
}

/// Words as a sentence has them.
fn listed(words: &[&str]) -> String {
    match words.split_last() {
        Some((last, [])) => (*last).to_owned(),
        Some((last, rest)) => format!("{} and {last}", rest.join(", ")),
        None => String::new(),
    }
}

/// What is to be done, at the beginning of a sentence.
fn verbs(is_wanted: impl Fn(Permission) -> bool) -> String {
    let verbs: Vec<&str> = [
        (Permission::Read, "see"),
        (Permission::Search, "search"),
        (Permission::Create, "add"),
        (Permission::Update, "change"),
        (Permission::Delete, "delete"),
    ]
    .into_iter()
    .filter(|(permission, _)| is_wanted(*permission))
    .map(|(_, verb)| verb)
    .collect();
    let mut sentence = String::new();
    let verbs = listed(&verbs);
    let mut letters = verbs.chars();
    sentence.extend(letters.next().map(|c| c.to_ascii_uppercase()));
    sentence.extend(letters);
    sentence
}

fn smart_wish(scope: &SmartScope) -> String {
    let sentence = verbs(|permission| scope.permissions.contains(permission));
    let what = match &scope.types {
        TypePattern::All => "everything".to_owned(),
        TypePattern::One(name) => format!("{name} entries"),
    };
    let whose = match scope.level {
        Level::Patient => "in the record of the chosen patient",
        Level::User => "in the records that you may see",
        Level::System => "in all records",
    };
    format!("{sentence} {what} {whose}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn details_read_as_sentences_that_say_whose_records_they_are() {
        let text = r#"[{"type":"fhir_records","actions":["read","search","create"],"datatypes":["Condition","Observation"],
            "patients":["p1","p2","p3"]}]"#;
        let details = AuthorizationDetail::read(text).unwrap();
        let sentence = "See, search and add Condition and Observation entries of the patients p1, p2 and p3";
        assert_eq!(detailed_wish(&details[0]), sentence);
    }

    #[test]
    fn scopes_read_as_sentences() {
        let scope = "openid fhirUser launch/patient offline_access patient/*.rs user/Observation.cruds";
        assert_eq!(
            wishes(&scope.parse().unwrap()),
            [
                "Know who you are",
                "Keep this access while you are away",
                "See and search everything in the record of the chosen patient",
                "See, search, add, change and delete Observation entries in the records that you may see",
            ]
        );
    }
}
