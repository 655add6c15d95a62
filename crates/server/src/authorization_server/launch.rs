//! An EHR begins a launch: it gets a handle that it puts into the launch URL of the application. SMART App Launch 2.2, "EHR
//! Launch".
//!
//! The handle is opaque, good once, for five minutes and for one application; a launch that names a person is good for that
//! person alone. An EHR is a client that shows who it is and has the permission `launch:create`.

use axum::Json;
use axum::response::Response;
use chartgate_access::client::{AuthMethod, Client, Permission};
use chartgate_access::grant::launch::{LAUNCH, LAUNCH_LIFE, Launch};
use chartgate_access::ids::{ClientId, Subject};
use chartgate_access::permit::Withheld;
use chartgate_access::principal::UserState;
use chartgate_audit::record::{Event, Outcome};
use chartgate_protocol::form::Form;
use chartgate_protocol::oauth::error::ErrorCode;
use chartgate_protocol::smart::launch::{LaunchRequest, MalformedContext};
use chartgate_values::Phi;
use http::StatusCode;
use serde::Serialize;

use super::AuthorizationServer;
use super::client_request::{ClientRequest, Posted, admit_unproven, turn_down};
use super::error::{OAuthError, answer};
use super::token::workload;
use crate::entropy::{digest_of, opaque_secret};
use crate::store::StoreError;

/// What the EHR gets.
#[derive(Serialize)]
struct Begun {
    /// The value of the parameter `launch`.
    launch: String,
    /// Seconds until it is good no more.
    expires_in: u64,
}

pub(super) async fn post(posted: Posted) -> Response {
    answer(begin(&posted).await.map(|begun| (StatusCode::CREATED, Json(begun))))
}

async fn begin(posted: &Posted) -> Result<Begun, OAuthError> {
    let ClientRequest { client, form } = ClientRequest::read(posted).await?;
    let Posted { server, origin, .. } = posted;
    admit_unproven(server, origin, &client)?;
    let now = server.clock.now();
    let mut record = origin.record(Event::LaunchCreated, Outcome::Allow, now);
    record.actor = workload(&client);
    let (app, launch) = match check(server, &client, &form) {
        Ok(checked) => checked,
        Err(error) => return Err(turn_down(server, record, error).await),
    };
    record.patients = launch.patient.iter().map(|patient| Phi::new(patient.to_string())).collect();
    let encounter = launch.encounter.as_ref().map(ToString::to_string);
    for (name, value) in [
        ("app", Some(app.to_string())),
        ("user", launch.user.as_ref().map(ToString::to_string)),
        ("encounter", encounter),
        ("intent", launch.context.intent.clone()),
    ] {
        record.detail.extend(value.map(|value| (name.to_owned(), Phi::new(value))));
    }
    server.outbox.may_give()?;
    let handle = opaque_secret();
    let digest = digest_of(handle.expose());
    let kept = server.store.write(move |sql| sql.add_launch(&digest, &app, &launch, now)).await;
    kept.map_err(|e: StoreError| OAuthError::from(e))?;
    let begun = Begun { launch: handle.expose().clone(), expires_in: LAUNCH_LIFE.as_secs() };
    let recorded = server.journal.append(&record, Withheld::new(begun)).await?;
    Ok(Withheld::release(recorded))
}

/// Whether this client may begin this launch.
fn check(
    server: &AuthorizationServer,
    client: &Client,
    form: &Form,
) -> Result<(ClientId, Launch), OAuthError> {
    let proves = client.token_endpoint_auth_method != AuthMethod::None;
    if !proves || !client.options.permissions.contains(&Permission::LaunchCreate) {
        return Err(OAuthError::new(ErrorCode::UnauthorizedClient, "the client may not begin launches"));
    }
    let invalid = |text: &str| OAuthError::new(ErrorCode::InvalidRequest, text);
    let malformed = || invalid(&MalformedContext.to_string());
    let request = LaunchRequest::read(form).map_err(|_| malformed())?;
    let id: Option<ClientId> = request.app.parse().ok();
    let app = id.map(|id| server.store.read(|sql| sql.client(&id))).transpose()?.flatten();
    let app = app.filter(|app| app.scope.contains(LAUNCH));
    let app = app.ok_or_else(|| invalid("no application of this name is registered for launches"))?;
    let user = match &request.user {
        None => None,
        Some(name) => {
            let name: Option<Subject> = name.parse().ok();
            let user = name.map(|name| server.store.read(|sql| sql.user(&name))).transpose()?.flatten();
            let user = user.filter(|user| user.state == UserState::Enabled);
            Some(user.ok_or_else(|| invalid("there is no such person"))?.name)
        }
    };
    let launch = Launch {
        user,
        patient: request.patient.map(|id| id.parse()).transpose().map_err(|_| malformed())?,
        encounter: request.encounter.map(|id| id.parse()).transpose().map_err(|_| malformed())?,
        context: request.context,
    };
    Ok((app.client_id, launch))
}
