//! Whether an application may act for the person.

use std::sync::Arc;

use askama::Template;
use axum::extract::State;
use axum::response::Response;
use chartgate_access::emergency;
use chartgate_access::grant::authorization_code::{
    ConsentGiven, EncounterPick, PendingAuthorization, ReplyTo, Said,
};
use chartgate_access::grant::polling::Answer;
use chartgate_access::login::kinds::{Choice, choices, narrowed};
use chartgate_access::login::steps::grantable_by_a_person;
use chartgate_access::login::wishes::{Wish, asked_wishes, detailed_wish, kind, wishes as in_scope};
use chartgate_audit::record::{Event, Outcome};
use chartgate_protocol::fhir::token::TokenParameter;
use chartgate_protocol::form::Form;
use chartgate_protocol::oauth::scope::ScopeSet;
use chartgate_values::Phi;
use http::StatusCode;

use super::form::{Asked, Begun, Present, Submission, Visit, see_other, stale, unavailable};
use super::sign_in::person;
use super::{Login, wishes};
use crate::entropy::digest_of;
use crate::live::outbox::{Change, ChangeError};
use crate::net::origin::Origin;
use crate::pages;
use crate::store::StoreError;
use crate::store::pending::Took;
use crate::tongue::{Id, Tongue, Words};

#[derive(Template)]
#[template(path = "consent.html")]
struct ConsentPage<'a> {
    t: Tongue,
    application: &'a str,
    /// Who says what it is, if it is nobody here.
    said_by: Option<String>,
    username: &'a str,
    wishes: Vec<String>,
    choices: Vec<ChoiceShown>,
    /// Why records are looked at, in words.
    purpose: Option<Id>,
    patient: Option<&'a str>,
    encounter: Option<&'a str>,
    destination: Option<String>,
    device: Option<DeviceShown<'a>>,
    hidden: String,
}

/// What a person has to know of a device whose code they typed.
struct DeviceShown<'a> {
    asked_from: &'a str,
    asked_at: String,
}

/// A type of which a person can give some kinds and keep others back.
struct ChoiceShown {
    resource_type: String,
    legend: Words,
    /// What each is.
    kinds: Vec<String>,
}

impl ChoiceShown {
    fn of(choice: Choice, t: Tongue) -> Option<Self> {
        let parameter = TokenParameter::find(&choice.resource_type, "category")?;
        let legend = match choice.resource_type.as_str() {
            "Observation" => Words::of("consent-observations"),
            "Condition" => Words::of("consent-conditions"),
            other => Words::of("consent-entries").with("type", other),
        };
        let kinds = choice.kinds.iter().map(|value| wishes::kind(t, &kind(parameter, value))).collect();
        Some(Self { resource_type: choice.resource_type, legend, kinds })
    }
}

pub(super) async fn page(State(login): State<Arc<Login>>, visit: Visit) -> Response {
    let asked = match visit.asked(&login) {
        Ok(asked) => asked,
        Err(response) => return *response,
    };
    // Its own page is its consent.
    if emergency::asked(&asked.begun.pending.authorization_details).is_some() {
        return see_other(&format!("/login/emergency?request={}", asked.handle));
    }
    show(&login, &visit, &asked)
}

fn show(login: &Login, visit: &Visit, Asked { handle, begun, present }: &Asked) -> Response {
    let t = visit.browser.tongue;
    let said = begun.pending.said_by(&present.user.name);
    let page = ConsentPage {
        t,
        application: begun.client.client_id.as_str(),
        said_by: begun.client.is_self_registered().then(|| match begun.client.client_id.document_host() {
            Some(host) => host.to_owned(),
            None => t.say("consent-unknown-itself").plain(),
        }),
        username: present.user.name.as_str(),
        wishes: asked_for(&begun.pending).iter().map(|wish| wishes::wish(t, wish)).collect(),
        choices: choices_in(&begun.pending)
            .into_iter()
            .filter_map(|choice| ChoiceShown::of(choice, t))
            .collect(),
        purpose: login
            .purposes
            .choose(&present.user.roles, begun.pending.purpose_of_use)
            .ok()
            .flatten()
            .and_then(wishes::purpose),
        patient: said.patient.as_ref().map(|patient| patient.as_str()),
        encounter: match &said.encounter {
            EncounterPick::One(encounter) => Some(encounter.as_str()),
            EncounterPick::NotYet | EncounterPick::None => None,
        },
        destination: begun.pending.reply_to.form_target().map(pages::origin_of),
        device: match &begun.pending.reply_to {
            ReplyTo::Redirect(_) => None,
            ReplyTo::Device(device) => Some(DeviceShown {
                asked_from: &device.asked_from,
                asked_at: pages::minutes(device.asked_at),
            }),
        },
        hidden: visit
            .browser
            .hidden(&[("request", handle), (SHOWN, &what_is_shown(begun, present).unwrap_or_default())]),
    };
    visit.browser.show(StatusCode::OK, &page, begun.pending.reply_to.form_target())
}

/// The field that says what somebody says yes to.
const SHOWN: &str = "shown";

/// What the page of a request shows this person, as its form brings it back: a page that stood open while they picked another
/// patient elsewhere, or while another signed in, is no yes to what they did not see.
fn what_is_shown(begun: &Begun, present: &Present) -> Option<String> {
    let PendingAuthorization { scope, authorization_details, claims, purpose_of_use, .. } = &begun.pending;
    let Said { by, patient, encounter, consent: _ } = begun.pending.said_by(&present.user.name);
    let shown = (by, patient, encounter, scope, authorization_details, claims, purpose_of_use);
    serde_json::to_vec(&shown).ok().map(digest_of)
}

pub(super) async fn submit(State(login): State<Arc<Login>>, Submission(visit): Submission) -> Response {
    let asked = match visit.asked(&login) {
        Ok(asked) => asked,
        Err(response) => return *response,
    };
    // Its own page is its consent.
    if emergency::asked(&asked.begun.pending.authorization_details).is_some() {
        return see_other(&format!("/login/emergency?request={}", asked.handle));
    }
    let shown = what_is_shown(&asked.begun, &asked.present);
    match visit.form.get("decision") {
        Some("approve") if shown.is_none() || visit.form.get(SHOWN) != shown.as_deref() => {
            show(&login, &visit, &asked)
        }
        Some("approve") => {
            let Asked { handle, begun, present } = asked;
            let scope = chosen(&begun.pending, &visit.form);
            if scope.is_empty() && begun.pending.authorization_details.is_empty() {
                return deny(&login, &visit.origin, begun, &present).await;
            }
            let begun = Begun { pending: PendingAuthorization { scope, ..begun.pending }, ..begun };
            approve(&login, &handle, begun, &present).await
        }
        Some("deny") => deny(&login, &visit.origin, asked.begun, &asked.present).await,
        Some(_) | None => stale(),
    }
}

fn asked_for(pending: &PendingAuthorization) -> Vec<Wish> {
    let scopes = in_scope(&grantable_by_a_person(&pending.scope));
    let details = pending.authorization_details.iter().map(detailed_wish);
    scopes.into_iter().chain(details).chain(asked_wishes(&pending.claims)).collect()
}

fn choices_in(asked: &PendingAuthorization) -> Vec<Choice> {
    choices(&grantable_by_a_person(&asked.scope), &asked.authorization_details)
}

/// What the person gives of what is asked for.
fn chosen(asked: &PendingAuthorization, form: &Form) -> ScopeSet {
    let mut scope = asked.scope.clone();
    for Choice { resource_type, kinds } in choices_in(asked) {
        if form.get(&format!("kinds-{resource_type}")) != Some("only") {
            continue;
        }
        let is_chosen = |number: usize| form.get(&format!("kind-{resource_type}-{number}")).is_some();
        let chosen: Vec<_> = kinds
            .into_iter()
            .enumerate()
            .filter(|(number, _)| is_chosen(*number))
            .map(|(_, kind)| kind)
            .collect();
        scope = narrowed(&scope, &resource_type, &chosen);
    }
    scope
}

async fn approve(login: &Login, handle: &str, begun: Begun, present: &Present) -> Response {
    if let Err(error) = login.outbox.may_give() {
        return unavailable(&error);
    }
    let mut pending = begun.pending;
    let said = pending.said_by(&present.user.name);
    pending.said = Some(Said { consent: ConsentGiven::Approved, ..said });
    let digest = begun.digest;
    // It is remembered with what comes of it, and on record with that.
    match login.store.write(move |sql| sql.update_pending(&digest, &pending)).await {
        Ok(()) => see_other(&format!("/authorize/continue?request={handle}")),
        Err::<_, StoreError>(error) => unavailable(&error),
    }
}

/// The person said no: the request is over, and its client is told.
pub(super) async fn deny(login: &Login, origin: &Origin, begun: Begun, present: &Present) -> Response {
    let Begun { digest, pending, client } = begun;
    let mut record = origin.record(Event::ConsentDenied, Outcome::Deny, login.clock.now());
    record.action = Some("authorize".to_owned());
    record.actor = person(&present.user);
    record.actor.client_id = Some(client.client_id.to_string());
    record.session = Some(present.session.id.to_string());
    record.decision.reason = Some("person-declined".to_owned());
    record.detail.insert("scope".to_owned(), Phi::new(pending.scope.to_string()));
    let device = pending.reply_to.clone();
    let taken = login.outbox.commit(move |sql, now| {
        let took = match (sql.take_pending(&digest)?, device) {
            (Took::It, ReplyTo::Device(device)) => sql.answer_device(&device.digest, Answer::Denied, now)?,
            (took @ (Took::It | Took::Nothing), _) => took,
        };
        Ok::<_, ChangeError>(Change::told_by(took, (took == Took::It).then_some(record)))
    });
    match taken.await {
        Ok(Took::It) => login.denial(&pending),
        Ok(Took::Nothing) => stale(),
        Err(error) => unavailable(&error),
    }
}
