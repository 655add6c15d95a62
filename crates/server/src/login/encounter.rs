//! In which encounter an application is used. SMART App Launch 2.2, `launch/encounter` in a standalone launch.
//!
//! Only what was listed can be picked: the list is asked for again when a choice comes back.

use std::sync::Arc;

use askama::Template;
use axum::extract::State;
use axum::response::Response;
use chartgate_access::grant::authorization_code::{ConsentGiven, EncounterPick, Said};
use chartgate_access::ids::PatientId;
use chartgate_access::login::steps::patient_of;
use http::StatusCode;

use super::Login;
use super::consent::deny;
use super::form::{Asked, Begun, Submission, Visit, see_other, unavailable};
use super::patient::may_see_encounters;
use crate::directory::{DirectoryError, Encounter};
use crate::store::StoreError;
use crate::tongue::{Id, Tongue};

#[derive(Template)]
#[template(path = "encounter.html")]
struct EncounterPage<'a> {
    t: Tongue,
    application: &'a str,
    patient: &'a str,
    encounters: &'a [Encounter],
    problem: Option<Id>,
    hidden: String,
}

pub(super) async fn page(State(login): State<Arc<Login>>, visit: Visit) -> Response {
    let (asked, patient) = match asked(&login, &visit) {
        Ok(asked) => asked,
        Err(response) => return *response,
    };
    match listed(&login, &visit, &asked, &patient).await {
        Ok(encounters) => show(&visit, &asked, &patient, &encounters, None),
        Err(error) => unavailable(&error),
    }
}

pub(super) async fn submit(State(login): State<Arc<Login>>, Submission(visit): Submission) -> Response {
    let (asked, patient) = match asked(&login, &visit) {
        Ok(asked) => asked,
        Err(response) => return *response,
    };
    let pick = match visit.form.get("decision") {
        Some("deny") => return deny(&login, &visit.origin, asked.begun, &asked.present).await,
        Some("none") => EncounterPick::None,
        Some(_) | None => {
            let encounters = match listed(&login, &visit, &asked, &patient).await {
                Ok(encounters) => encounters,
                Err(error) => return unavailable(&error),
            };
            let picked = visit.form.get("encounter");
            match encounters.iter().find(|encounter| Some(encounter.id.as_str()) == picked) {
                Some(encounter) => EncounterPick::One(encounter.id.clone()),
                None => {
                    let problem = Some(Id::of("encounter-wrong"));
                    return show(&visit, &asked, &patient, &encounters, problem);
                }
            }
        }
    };
    let Asked { handle, begun: Begun { digest, mut pending, .. }, present } = asked;
    let said = pending.said_by(&present.user.name);
    // What was said to another encounter says nothing to this one.
    pending.said = Some(Said { encounter: pick, consent: ConsentGiven::NotYet, ..said });
    match login.store.write(move |sql| sql.update_pending(&digest, &pending)).await {
        Ok(()) => see_other(&format!("/authorize/continue?request={handle}")),
        Err::<_, StoreError>(error) => unavailable(&error),
    }
}

/// The request, and the patient that was picked before; or the page to show in place of that.
fn asked(login: &Login, visit: &Visit) -> Result<(Asked, PatientId), Box<Response>> {
    let asked = visit.asked(login)?;
    match patient_of(&asked.begun.pending, &asked.present.user) {
        Some(patient) => Ok((asked, patient)),
        None => Err(Box::new(see_other(&format!("/login/patient?request={}", asked.handle)))),
    }
}

/// The encounters that the person may see.
async fn listed(
    login: &Login,
    visit: &Visit,
    asked: &Asked,
    patient: &PatientId,
) -> Result<Vec<Encounter>, DirectoryError> {
    if !may_see_encounters(login, asked, patient).await {
        return Ok(Vec::new());
    }
    let (user, audience) = (&asked.present.user, &asked.begun.pending.audience);
    login.directory.encounters(&visit.origin, user, audience, patient).await
}

fn show(
    visit: &Visit,
    asked: &Asked,
    patient: &PatientId,
    encounters: &[Encounter],
    problem: Option<Id>,
) -> Response {
    let page = EncounterPage {
        t: visit.browser.tongue,
        application: asked.begun.client.client_id.as_str(),
        patient: patient.as_str(),
        encounters,
        problem,
        hidden: visit.browser.hidden(&[("request", &asked.handle)]),
    };
    visit.browser.show(StatusCode::OK, &page, asked.begun.pending.reply_to.form_target())
}
