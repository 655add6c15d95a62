//! Setting a password through a one-time link.

use std::sync::Arc;

use askama::Template;
use axum::body::Bytes;
use axum::extract::{Extension, RawQuery, State};
use axum::response::Response;
use chartgate_access::permit::Withheld;
use chartgate_access::token::revocation::{CutOff, Target};
use chartgate_audit::record::{Actor, ActorKind, Event, Outcome};
use chartgate_protocol::form::Form;
use http::{HeaderMap, StatusCode, header};

use super::Login;
use super::form::{Browser, stale, unavailable};
use crate::entropy::digest_of;
use crate::net::origin::Origin;
use crate::pages;
use crate::passwords::check_strength;
use crate::store::StoreError;

#[derive(Template)]
#[template(path = "enrol.html")]
struct Enrol<'a> {
    username: &'a str,
    problem: Option<&'a str>,
    hidden: String,
}

pub(super) async fn page(
    State(login): State<Arc<Login>>,
    RawQuery(query): RawQuery,
    headers: HeaderMap,
) -> Response {
    let form = Form::parse(query.as_deref().unwrap_or_default()).unwrap_or_default();
    let Some(token) = form.get("token") else { return stale() };
    show(&login, &Browser::of(&headers), token, None)
}

fn show(login: &Login, browser: &Browser, token: &str, problem: Option<&str>) -> Response {
    let now = login.clock.now();
    let name = match login.store.read(|sql| sql.enrolment(&digest_of(token), now)) {
        Ok(Some(name)) => name,
        Ok(None) => return stale(),
        Err(error) => return unavailable(&error),
    };
    let page = Enrol { username: name.as_str(), problem, hidden: browser.hidden(&[("token", token)]) };
    let mut response = pages::render(StatusCode::OK, &page, None);
    if let Some(cookie) = &browser.set_cookie {
        response.headers_mut().append(header::SET_COOKIE, cookie.clone());
    }
    response
}

pub(super) async fn submit(
    State(login): State<Arc<Login>>,
    Extension(origin): Extension<Origin>,
    headers: HeaderMap,
    body: Bytes,
) -> Response {
    let Some((browser, form)) = Browser::read(&headers, &body) else { return stale() };
    let (Some(token), Some(password)) = (form.get("token"), form.get("password")) else { return stale() };
    let username = form.get("username").unwrap_or_default();
    if let Err(problem) = check_strength(password, &[username]) {
        return show(&login, &browser, token, Some(&problem.to_string()));
    }
    if form.get("again") != Some(password) {
        return show(&login, &browser, token, Some("The two passwords are not the same."));
    }
    let hash = match login.passwords.hash(password).await {
        Ok(hash) => hash,
        Err(error) => return unavailable(&error),
    };
    let (digest, now) = (digest_of(token), login.clock.now());
    let passwords = Arc::clone(&login.passwords);
    let used = login
        .cut_offs
        .cut(move |sql, at| {
            let Some(name) = sql.use_enrolment(&digest, now)? else { return Ok((None, Vec::new())) };
            sql.set_password_hash(&name, Some(&hash))?;
            sql.clear_login_failures(&passwords.blind(name.as_str()))?;
            // A new password ends what the old one opened.
            sql.end_all_sessions(&name, at)?;
            let cut = CutOff::UpTo { target: Target::Subject(name.clone()), not_before: at };
            Ok::<_, StoreError>((Some(name), vec![cut]))
        })
        .await;
    let name = match used {
        Ok(Some(name)) => name,
        Ok(None) => return stale(),
        Err(error) => return unavailable(&error),
    };
    let mut record = origin.record(Event::EnrolmentUsed, Outcome::Allow, now);
    record.action = Some("set-password".to_owned());
    record.actor = Actor { sub: Some(name.to_string()), kind: ActorKind::Human, ..Actor::default() };
    let text = "Your password is set. You can sign in with it now.";
    let answer = pages::message(StatusCode::OK, "Password set", text);
    match login.journal.append(&record, Withheld::new(answer)).await {
        Ok(recorded) => Withheld::release(recorded),
        Err(error) => unavailable(&error),
    }
}
