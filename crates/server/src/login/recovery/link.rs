//! What a link opens: for whoever lost the password, the page of the second factor; for whoever lost that, with the password,
//! the page on which another one is enrolled, which takes the place of all. ATTACKS A05 to A07.
//!
//! Looking at it uses nothing up: programs that look at e-mail before its reader does follow links as well.

use std::sync::Arc;

use askama::Template;
use axum::extract::State;
use axum::response::Response;
use chartgate_access::ids::Subject;
use chartgate_access::login::recovery::Lost;
use chartgate_access::principal::User;
use http::StatusCode;

use super::{Looked, look, proven};
use crate::entropy::digest_of;
use crate::login::authenticate::{self, Attempt, refuse};
use crate::login::form::{Submission, Visit, stale, unavailable};
use crate::login::then::Then;
use crate::login::{Login, enrol_factor, second_factor};
use crate::store::half_sign_ins::First;
use crate::store::second_factors::Used;
use crate::store::{Sql, StoreError};
use crate::tongue::{Id, Tongue};

#[derive(Template)]
#[template(path = "recover.html")]
struct Recover<'a> {
    t: Tongue,
    username: &'a str,
    asks_password: bool,
    problem: Option<Id>,
    hidden: String,
}

const WRONG: Id = Id::of("recover-wrong");

/// A link that is good.
struct Link<'a> {
    token: &'a str,
    user: User,
    lost: Lost,
}

impl<'a> Link<'a> {
    /// The one that an address or a form names, while it is good and would be sent still.
    fn of(login: &Login, visit: &'a Visit) -> Result<Self, Box<Response>> {
        let token = visit.form.get("token").ok_or_else(stale)?;
        let (digest, now) = (digest_of(token), login.clock.now());
        let found = login.store.read(|sql| sql.link(&digest, now));
        let (name, lost) = found.map_err(|error: StoreError| unavailable(&error))?.ok_or_else(stale)?;
        // Their roles, or what they have, may be others by now.
        match look(login, lost, &name) {
            Ok(Looked { user: Some(user), may: Ok(()) }) => Ok(Self { token, user, lost }),
            Ok(_) => Err(Box::new(stale())),
            Err(error) => Err(Box::new(unavailable(&error))),
        }
    }
}

pub(in crate::login) async fn page(State(login): State<Arc<Login>>, visit: Visit) -> Response {
    match Link::of(&login, &visit) {
        Ok(link) => show(&visit, &link, None, StatusCode::OK),
        Err(response) => *response,
    }
}

fn show(visit: &Visit, link: &Link<'_>, problem: Option<Id>, status: StatusCode) -> Response {
    let page = Recover {
        t: visit.browser.tongue,
        username: link.user.name.as_str(),
        asks_password: link.lost == Lost::Factors,
        problem,
        hidden: visit.browser.hidden(&[("token", link.token)]),
    };
    visit.browser.show(status, &page, None)
}

pub(in crate::login) async fn submit(
    State(login): State<Arc<Login>>,
    Submission(visit): Submission,
) -> Response {
    let link = match Link::of(&login, &visit) {
        Ok(link) => link,
        Err(response) => return *response,
    };
    match link.lost {
        Lost::Password => for_password(&login, &visit, &link).await,
        Lost::Factors => for_factors(&login, &visit, &link).await,
    }
}

/// The link, and next what they show in any case.
async fn for_password(login: &Login, visit: &Visit, link: &Link<'_>) -> Response {
    let (digest, now) = (digest_of(link.token), login.clock.now());
    let use_up = move |sql: &Sql<'_>| sql.use_link(&digest, now);
    match second_factor::ask(login, visit, (&link.user, First::Link), use_up).await {
        Ok(Some(answer)) => proven(login, &visit.origin, (&link.user, First::Link.code()), answer).await,
        Ok(None) => stale(),
        Err(response) => *response,
    }
}

/// The link and the password, and next what takes the place of what was lost.
async fn for_factors(login: &Login, visit: &Visit, link: &Link<'_>) -> Response {
    let name: &Subject = &link.user.name;
    let typed = visit.form.get("password").unwrap_or_default();
    let right = match authenticate::password(login, &visit.origin, name.as_str(), typed).await {
        Ok(Attempt::Good(_, right)) => right,
        Ok(Attempt::Refused(reason, user)) => {
            return refuse(login, &visit.origin, reason, user.as_ref(), || {
                let problem = reason.words().unwrap_or(WRONG);
                show(visit, link, Some(problem), reason.status())
            })
            .await;
        }
        Err(error) => return unavailable(&error),
    };
    let (digest, now, subject) = (digest_of(link.token), login.clock.now(), name.clone());
    let use_up = move |sql: &Sql<'_>| {
        // Whose password was set anew meanwhile was shut out by that.
        if right.is_right(sql, &subject)? { sql.use_link(&digest, now) } else { Ok(Used::Before) }
    };
    let first = First::PasswordAndLink;
    let proof = first.code();
    let (to, then) = ((&link.user, first, None), Then::of(&visit.form));
    match enrol_factor::ask(login, visit, to, &then, use_up).await {
        Ok(Some(answer)) => proven(login, &visit.origin, (&link.user, proof), answer).await,
        Ok(None) => stale(),
        Err(response) => *response,
    }
}
