//! The page after the password: a code of an authenticator application, or a recovery code. ATTACKS A03 to A05.
//!
//! Until it is right there is no session: what the browser has is a half sign-in, of which nothing comes but this page. A wrong
//! code, one that was used and one that never was get the same answer.

use std::sync::Arc;

use askama::Template;
use axum::extract::State;
use axum::response::Response;
use chartgate_access::principal::User;
use http::StatusCode;

use super::Login;
use super::authenticate::{self, CodeAttempt, Reason, refuse};
use super::form::{Submission, Visit, see_other, stale, unavailable};
use super::sign_in::{Begin, start_session, with_cookie};
use super::then::Then;
use crate::entropy::{digest_of, opaque_secret};
use crate::live::factors::FactorError;
use crate::store::half_sign_ins::{HalfSignIn, Stage};
use crate::store::second_factors::Used;
use crate::store::{Sql, StoreError};

#[derive(Template)]
#[template(path = "second_factor.html")]
struct CodePage<'a> {
    username: &'a str,
    problem: Option<&'a str>,
    hidden: String,
}

const WRONG: &str =
    "That code is not right, or was used already. Wait for the next one that your application shows.";

/// A half sign-in that a browser goes on with.
pub(super) struct Half {
    pub(super) handle: String,
    pub(super) digest: String,
    pub(super) user: User,
    pub(super) stage: Stage,
}

impl Half {
    /// The one that an address or a form names, if it is this browser's and its person may still sign in.
    pub(super) fn of(login: &Login, visit: &Visit) -> Result<Self, Box<Response>> {
        let handle = visit.form.get("sign_in").ok_or_else(stale)?;
        let (digest, browser, now) = (digest_of(handle), visit.browser.digest(), login.clock.now());
        let found = login.store.read(|sql| {
            let Some(half) = sql.half_sign_in(&digest, &browser, now)? else { return Ok(None) };
            Ok(sql.user(&half.subject)?.map(|user| (user, half.stage)))
        });
        let found = found.map_err(|error: StoreError| unavailable(&error))?;
        let (user, stage) = found.ok_or_else(stale)?;
        Ok(Self { handle: handle.to_owned(), digest, user, stage })
    }
}

/// Keeps a half sign-in for a browser, and sends it on to the page of its stage.
pub(super) async fn go_on_with(
    login: &Login,
    visit: &Visit,
    then: &Then<'_>,
    new: impl FnOnce(&str) -> Result<(HalfSignIn, &'static str), FactorError>,
) -> Response {
    let handle = opaque_secret();
    let digest = digest_of(handle.expose());
    let (half, page) = match new(&digest) {
        Ok(new) => new,
        Err(error) => return unavailable(&error),
    };
    let (browser, now) = (visit.browser.digest(), login.clock.now());
    let kept = login.store.write(move |sql| sql.add_half_sign_in(&digest, &browser, &half, now)).await;
    if let Err::<(), StoreError>(error) = kept {
        return unavailable(&error);
    }
    let more = then.hidden().map(|(name, value)| format!("&{name}={value}")).unwrap_or_default();
    see_other(&format!("{page}?sign_in={}{more}", handle.expose()))
}

/// Asks whoever showed their password for the second factor.
pub(super) async fn ask(login: &Login, visit: &Visit, user: &User) -> Response {
    let half = HalfSignIn { subject: user.name.clone(), stage: Stage::Prove };
    go_on_with(login, visit, &Then::of(&visit.form), |_| Ok((half, "/login/code"))).await
}

pub(super) async fn page(State(login): State<Arc<Login>>, visit: Visit) -> Response {
    match Half::of(&login, &visit) {
        Ok(half @ Half { stage: Stage::Prove, .. }) => show(&login, &visit, &half, None, StatusCode::OK),
        Ok(_) => stale(),
        Err(response) => *response,
    }
}

fn show(login: &Login, visit: &Visit, half: &Half, problem: Option<&str>, status: StatusCode) -> Response {
    let then = Then::of(&visit.form);
    let target = match then.form_target(login, visit) {
        Ok(target) => target,
        Err(response) => return *response,
    };
    let fields: Vec<_> = std::iter::once(("sign_in", half.handle.as_str())).chain(then.hidden()).collect();
    let page = CodePage { username: half.user.name.as_str(), problem, hidden: visit.browser.hidden(&fields) };
    visit.browser.show(status, &page, target.as_deref())
}

pub(super) async fn submit(State(login): State<Arc<Login>>, Submission(visit): Submission) -> Response {
    let half = match Half::of(&login, &visit) {
        Ok(half @ Half { stage: Stage::Prove, .. }) => half,
        Ok(_) => return stale(),
        Err(response) => return *response,
    };
    let typed = visit.form.get("code").unwrap_or_default();
    let reason = match authenticate::code(&login, &visit.origin, &half.user, typed).await {
        Ok(CodeAttempt::Refused(reason)) => reason,
        Ok(CodeAttempt::Good(proof, counter)) => {
            let factor = proof.factor();
            let begin = Begin { user: &half.user, amr: factor.amr(), factor: Some(factor), elsewhere: None };
            let (name, digest, now) = (half.user.name.clone(), half.digest.clone(), login.clock.now());
            let use_up = move |sql: &Sql<'_>, _| {
                if proof.use_up(sql, &name, now)? == Used::Before
                    || sql.take_half_sign_in(&digest, now)?.is_none()
                {
                    return Ok(None);
                }
                sql.clear_login_failures(&counter)?;
                Ok(Some(Vec::new()))
            };
            match start_session(&login, &visit, begin, use_up).await {
                Ok(Some(cookie)) => {
                    return with_cookie(see_other(&Then::of(&visit.form).target()), cookie);
                }
                Ok(None) => Reason::WrongCode,
                Err(response) => return response,
            }
        }
        Err(error) => return unavailable(&error),
    };
    refuse(&login, &visit.origin, reason, Some(&half.user), || {
        let status =
            if matches!(reason, Reason::Throttled) { StatusCode::TOO_MANY_REQUESTS } else { StatusCode::OK };
        show(&login, &visit, &half, Some(reason.words().unwrap_or(WRONG)), status)
    })
    .await
}
