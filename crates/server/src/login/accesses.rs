//! The page where a person sees what was done in their name lately: whoever uses their account unseen is seen here.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use askama::Template;
use axum::extract::State;
use axum::response::Response;
use chartgate_access::ids::Subject;
use chartgate_access::permit::Withheld;
use chartgate_audit::reader::{Entry, Filter};
use chartgate_audit::record::{Event, Outcome, Record};
use chartgate_values::Phi;
use http::StatusCode;

use super::Login;
use super::form::{Present, Visit, see_other, unavailable};
use super::reviews::Access;
use super::sign_in::person;
use crate::tongue::Tongue;

/// How far back it goes.
const LATELY: Duration = Duration::from_secs(30 * 24 * 3600);
/// How many of each kind a page has room for.
const MOST: usize = 100;
/// Sign in, then come back.
const SIGN_IN: &str = "/login?then=accesses";

#[derive(Template)]
#[template(path = "accesses.html")]
struct AccessesPage {
    t: Tongue,
    accesses: Vec<Access>,
    /// Whether there were others before them.
    more: bool,
}

pub(super) async fn page(State(login): State<Arc<Login>>, visit: Visit) -> Response {
    let present = match Present::of(&login, &visit.headers) {
        Ok(Some(present)) => present,
        Ok(None) => return see_other(SIGN_IN),
        Err(error) => return unavailable(&error),
    };
    let found = match of(&login, &present.user.name).await {
        Ok(found) => found,
        Err(error) => return unavailable(&error),
    };
    // Each kind by itself: who tries passwords pushes no access off the page.
    let more = found.iter().any(|kind| kind.len() > MOST);
    let mut found: Vec<Record> =
        found.into_iter().flat_map(|kind| kind.into_iter().rev().take(MOST)).collect();
    found.sort_by_key(|record| std::cmp::Reverse(record.time));
    let t = visit.browser.tongue;
    let accesses = found.iter().map(|access| Access::of(access, t)).collect();
    let page = AccessesPage { t, accesses, more };
    // Whose records they were is told here, so that it was is on record.
    let whose: BTreeSet<&str> =
        found.iter().flat_map(|access| &access.patients).map(|patient| patient.expose().as_str()).collect();
    let mut record = visit.origin.record(Event::AuditRead, Outcome::Allow, login.clock.now());
    record.action = Some("own-accesses".to_owned());
    record.actor = person(&present.user);
    record.session = Some(present.session.id.to_string());
    record.patients = whose.into_iter().map(|patient| Phi::new(patient.to_owned())).collect();
    let answer = visit.browser.show(StatusCode::OK, &page, None);
    match login.journal.append(&record, Withheld::new(answer)).await {
        Ok(recorded) => Withheld::release(recorded),
        Err(error) => unavailable(&error),
    }
}

/// What a person did lately, of each kind the newest, and one more than there is room for.
async fn of(login: &Login, name: &Subject) -> anyhow::Result<Vec<Vec<Record>>> {
    let since = Some(login.clock.now().minus(LATELY));
    let (user, log) = (Some(name.to_string()), Arc::clone(&login.log));
    let found = tokio::task::spawn_blocking(move || {
        let kinds = [Event::Access, Event::LoginSucceeded, Event::LoginFailed];
        let found = kinds.map(|event| {
            let filter = Filter {
                user: user.clone(),
                event: Some(event),
                since,
                limit: Some(MOST.saturating_add(1)),
                ..Filter::default()
            };
            log.find(&filter)
        });
        found.into_iter().collect::<Result<Vec<_>, _>>()
    });
    let records = |kind: Vec<Entry>| kind.into_iter().map(|entry| entry.record).collect();
    Ok(found.await??.into_iter().map(records).collect())
}
