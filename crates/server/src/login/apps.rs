//! The page where a person sees which applications hold access in their name, and takes it away.

use std::sync::Arc;

use askama::Template;
use axum::extract::State;
use axum::response::Response;
use chartgate_access::ids::ClientId;
use chartgate_access::login::wishes::{detailed_wish, wishes as in_scope};
use chartgate_audit::record::{Event, Outcome};
use chartgate_values::Phi;
use http::StatusCode;

use super::form::{Present, Submission, Visit, see_other, stale, unavailable};
use super::sign_in::person;
use super::{Login, wishes};
use crate::live::apps::{ConnectedApp, Ends, Standing};
use crate::live::outbox::ChangeError;
use crate::pages;
use crate::tongue::{Id, Tongue};

#[derive(Template)]
#[template(path = "apps.html")]
struct AppsPage {
    t: Tongue,
    username: String,
    apps: Vec<Shown>,
    hidden: String,
}

/// An application, as a person reads of it.
struct Shown {
    client: String,
    wishes: Vec<String>,
    patients: String,
    since: String,
    since_shown: String,
    standing: Id,
}

impl Shown {
    fn of(app: &ConnectedApp, t: Tongue) -> Self {
        let patients: Vec<&str> = app.patients.iter().map(|patient| patient.as_str()).collect();
        Self {
            client: app.client_id.to_string(),
            wishes: in_scope(&app.scope)
                .into_iter()
                .chain(app.authorization_details.iter().map(detailed_wish))
                .map(|wish| wishes::wish(t, &wish))
                .collect(),
            patients: patients.join(", "),
            since: app.since.to_string(),
            since_shown: pages::minutes(app.since),
            standing: match (app.standing, app.ends) {
                (Standing::HoldsAccess, Ends::WithSignOut) => Id::of("apps-session"),
                (Standing::HoldsAccess, Ends::Later) => Id::of("apps-keeps"),
                (Standing::Approved, _) => Id::of("apps-approved"),
            },
        }
    }
}

/// Sign in, then come back.
const SIGN_IN: &str = "/login?then=apps";

pub(super) async fn page(State(login): State<Arc<Login>>, visit: Visit) -> Response {
    let present = match Present::of(&login, &visit.headers) {
        Ok(Some(present)) => present,
        Ok(None) => return see_other(SIGN_IN),
        Err(error) => return unavailable(&error),
    };
    let apps = match login.apps.of(&present.user.name) {
        Ok(apps) => apps,
        Err(error) => return unavailable(&error),
    };
    let page = AppsPage {
        t: visit.browser.tongue,
        username: present.user.name.to_string(),
        apps: apps.iter().map(|app| Shown::of(app, visit.browser.tongue)).collect(),
        hidden: visit.browser.hidden(&[]),
    };
    visit.browser.show(StatusCode::OK, &page, None)
}

pub(super) async fn disconnect(State(login): State<Arc<Login>>, Submission(visit): Submission) -> Response {
    let present = match Present::of(&login, &visit.headers) {
        Ok(Some(present)) => present,
        Ok(None) => return see_other(SIGN_IN),
        Err(error) => return unavailable(&error),
    };
    let Some(client) = visit.form.get("client").and_then(|name| name.parse::<ClientId>().ok()) else {
        return stale();
    };
    let mut record = visit.origin.record(Event::AppDisconnected, Outcome::Allow, login.clock.now());
    record.action = Some("disconnect".to_owned());
    record.actor = person(&present.user);
    record.session = Some(present.session.id.to_string());
    record.resource = Some(Phi::new(client.to_string()));
    match login.apps.disconnect::<ChangeError>(&present.user.name, &client, record).await {
        Ok(_) => see_other("/account/apps"),
        Err(error) => unavailable(&error),
    }
}
