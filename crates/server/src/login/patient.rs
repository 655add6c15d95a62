//! Whose record the application shall see. SMART App Launch 2.2, `launch/patient`.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use askama::Template;
use axum::extract::State;
use axum::response::Response;
use chartgate_access::grant::authorization_code::Said;
use chartgate_access::ids::PatientId;
use chartgate_access::pdp::caller::{CallerKind, Facts};
use chartgate_access::pdp::decide::{Allowance, Decision, NO_LABELS, Question, RecordAction};
use chartgate_access::pdp::relation::{Belongs, Relation};
use http::StatusCode;

use super::Login;
use super::consent::deny;
use super::form::{Asked, Begun, Submission, Visit, see_other, unavailable};
use crate::store::StoreError;
use crate::tongue::{Id, Tongue};
use chartgate_access::login::steps::called;

#[derive(Template)]
#[template(path = "patient.html")]
struct PatientPage<'a> {
    t: Tongue,
    application: &'a str,
    patients: Vec<Choice>,
    is_typed: bool,
    problem: Option<Id>,
    hidden: String,
}

struct Choice {
    id: String,
    name: String,
}

/// The most that are listed; beyond that the id is typed.
const LISTED: usize = 200;

pub(super) async fn page(State(login): State<Arc<Login>>, visit: Visit) -> Response {
    match visit.asked(&login) {
        Ok(asked) => show(&login, &visit, &asked, None).await,
        Err(response) => *response,
    }
}

pub(super) async fn submit(State(login): State<Arc<Login>>, Submission(visit): Submission) -> Response {
    let asked = match visit.asked(&login) {
        Ok(asked) => asked,
        Err(response) => return *response,
    };
    if visit.form.get("decision") == Some("deny") {
        return deny(&login, &visit.origin, asked.begun, &asked.present).await;
    }
    let picked = visit.form.get("patient").and_then(|id| id.parse::<PatientId>().ok());
    let allowed = match &picked {
        Some(patient) => may_see(&login, &asked, patient).await,
        None => false,
    };
    let Some(patient) = picked.filter(|_| allowed) else {
        let problem = Some(Id::of("patient-wrong"));
        return show(&login, &visit, &asked, problem).await;
    };
    let Asked { handle, begun: Begun { digest, mut pending, .. }, present } = asked;
    // What was said of another patient says nothing of this one.
    pending.said = Some(Said { patient: Some(patient), ..Said::nothing(present.user.name) });
    match login.store.write(move |sql| sql.update_pending(&digest, &pending)).await {
        Ok(()) => see_other(&format!("/authorize/continue?request={handle}")),
        Err::<_, StoreError>(error) => unavailable(&error),
    }
}

async fn show(login: &Login, visit: &Visit, asked: &Asked, problem: Option<Id>) -> Response {
    let Asked { handle, begun, present } = asked;
    let panel = in_care(login, asked, None).await;
    // Relations of care outlive a change of role: policy says whether they still open anything.
    let (is_short, opens) = (panel.len() <= LISTED, sees(login, asked, Relation::Panel));
    let listed: BTreeSet<PatientId> = if is_short && opens { panel } else { BTreeSet::new() };
    // From whom something of a record is kept, nobody else tells the name of.
    let named = match answer(login, asked, RecordAction::Read, "Patient", Relation::Panel) {
        Some(allowance) if allowance.mask().is_none() => listed.clone(),
        Some(_) | None => BTreeSet::new(),
    };
    let names =
        match login.directory.names(&visit.origin, &present.user, &begun.pending.audience, &named).await {
            Ok(names) => names,
            Err(error) => return unavailable(&error),
        };
    let page = PatientPage {
        t: visit.browser.tongue,
        application: begun.client.client_id.as_str(),
        is_typed: sees(login, asked, Relation::Other) || (opens && !is_short),
        patients: choices(&listed, &names),
        problem,
        hidden: visit.browser.hidden(&[("request", handle)]),
    };
    visit.browser.show(StatusCode::OK, &page, begun.pending.reply_to.form_target())
}

fn choices(listed: &BTreeSet<PatientId>, names: &BTreeMap<PatientId, String>) -> Vec<Choice> {
    let mut choices: Vec<Choice> = listed
        .iter()
        .map(|id| Choice {
            id: id.to_string(),
            name: names.get(id).cloned().unwrap_or_else(|| id.to_string()),
        })
        .collect();
    choices.sort_by(|a, b| a.name.cmp(&b.name));
    choices
}

/// The patients in the person's care where the application goes; `wanted` may have come to be just now.
async fn in_care(login: &Login, asked: &Asked, wanted: Option<&PatientId>) -> BTreeSet<PatientId> {
    let Asked { begun, present, .. } = asked;
    let somebody = (&present.user.name, present.user.fhir_user.as_ref());
    let by_route = login.directory.in_care(Some(&begun.pending.audience), somebody, wanted).await;
    by_route.into_iter().flat_map(|(_, in_care)| in_care.by.into_keys()).collect()
}

/// How a patient's record stands to the person.
async fn relation(login: &Login, asked: &Asked, patient: &PatientId) -> Relation {
    let user = &asked.present.user;
    let record = Belongs::To(BTreeSet::from([patient.clone()]));
    let own = user.fhir_user.as_ref().and_then(|f| f.patient());
    let panel = in_care(login, asked, Some(patient)).await;
    Relation::find(&record, own.as_ref(), |patient| panel.contains(patient))
}

/// Whether the person may find this patient's encounters.
pub(super) async fn may_see_encounters(login: &Login, asked: &Asked, patient: &PatientId) -> bool {
    let relation = relation(login, asked, patient).await;
    // They are told by their times and kinds, so it takes seeing them whole.
    let encounters = answer(login, asked, RecordAction::Search, "Encounter", relation);
    may_see(login, asked, patient).await && encounters.is_some_and(|allowance| allowance.mask().is_none())
}

/// Whether the person may read this patient's own entry: what the gateway will ask again, for every request.
async fn may_see(login: &Login, asked: &Asked, patient: &PatientId) -> bool {
    let relation = relation(login, asked, patient).await;
    sees(login, asked, relation)
}

/// Whether the person may read the own entry of patients who stand to them so. What leaves under another name is found by
/// nobody who names its patient.
fn sees(login: &Login, asked: &Asked, relation: Relation) -> bool {
    let allowance = answer(login, asked, RecordAction::Read, "Patient", relation);
    allowance.is_some_and(|allowance| !allowance.mask().is_some_and(|mask| mask.renames()))
}

/// The yes of the policies, if they say so.
fn answer(
    login: &Login,
    asked: &Asked,
    action: RecordAction,
    resource_type: &str,
    relation: Relation,
) -> Option<Allowance> {
    let Asked { begun, present, .. } = asked;
    // As the gateway will ask with the token that comes of it; for what the person may not have, there will be none.
    let asked_for = begun.pending.purpose_of_use;
    let purpose = login.purposes.choose(&present.user.roles, asked_for).ok()?;
    let facts = Facts {
        kind: CallerKind::Person,
        subject: present.user.name.clone(),
        client_id: begun.client.client_id.clone(),
        roles: present.user.roles.clone(),
        acr: called(&begun.pending, &present.session).acr().map(str::to_owned),
        amr: present.session.amr.iter().cloned().collect(),
        purpose_of_use: purpose.map(|purpose| purpose.to_string()),
    };
    let question = Question::Record { action, resource_type, relation, labels: &NO_LABELS };
    match login.policies.current().decide(&facts, &question) {
        Decision::Allow(allowance) => Some(allowance),
        Decision::Deny(_) => None,
    }
}
