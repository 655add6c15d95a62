//! The page where a person types the code that a device shows. RFC 8628 section 3.3; ATTACKS O18, O31.
//!
//! Signed in first: so each guess is somebody's, and pauses grow with them. A code that was typed is used up, and becomes
//! a request like an application's: whose record, may it, on the same pages.

use std::sync::Arc;

use askama::Template;
use axum::extract::State;
use axum::response::Response;
use chartgate_access::grant::authorization_code::{
    AskAgain, DeviceReply, Pages, PendingAuthorization, ReplyTo,
};
use chartgate_access::login::assurance::Assurance;
use chartgate_access::permit::Withheld;
use chartgate_audit::record::{Event, Outcome};
use chartgate_protocol::oauth::device::UserCode;
use chartgate_protocol::oidc::claims_request::ClaimsRequest;
use http::StatusCode;

use super::Login;
use super::form::{Present, Submission, Visit, see_other, unavailable};
use super::sign_in::person;
use crate::entropy::{digest_of, opaque_secret};
use crate::store::StoreError;
use crate::store::login_failures::PAUSES;
use crate::tongue::{Id, Tongue};

#[derive(Template)]
#[template(path = "device.html")]
struct DevicePage {
    t: Tongue,
    problem: Option<Id>,
    hidden: String,
}

const UNKNOWN: Id = Id::of("device-wrong");
const TOO_OFTEN: Id = Id::of("device-too-often");

pub(super) async fn page(State(login): State<Arc<Login>>, visit: Visit) -> Response {
    match Present::of(&login, &visit.headers) {
        Ok(Some(_)) => show(&visit, StatusCode::OK, None),
        Ok(None) => see_other(SIGN_IN),
        Err(error) => unavailable(&error),
    }
}

/// Sign in, then come back.
const SIGN_IN: &str = "/login?then=device";

fn show(visit: &Visit, status: StatusCode, problem: Option<Id>) -> Response {
    visit.browser.show(
        status,
        &DevicePage { t: visit.browser.tongue, problem, hidden: visit.browser.hidden(&[]) },
        None,
    )
}

/// What came of a typed code.
enum Typed {
    Open,
    Unknown,
    TooOften,
}

pub(super) async fn submit(State(login): State<Arc<Login>>, Submission(visit): Submission) -> Response {
    let present = match Present::of(&login, &visit.headers) {
        Ok(Some(present)) => present,
        Ok(None) => return see_other(SIGN_IN),
        Err(error) => return unavailable(&error),
    };
    let handle = opaque_secret();
    let code = visit.form.get("user_code").and_then(|typed| typed.parse::<UserCode>().ok());
    let typed = match look_up(&login, &visit, &present, code, digest_of(handle.expose())).await {
        Ok(typed) => typed,
        Err(error) => return unavailable(&error),
    };
    let (reason, answer) = match typed {
        Typed::Open => return see_other(&format!("/authorize/continue?request={}", handle.expose())),
        Typed::Unknown => ("unknown-user-code", show(&visit, StatusCode::OK, Some(UNKNOWN))),
        Typed::TooOften => ("throttled", show(&visit, StatusCode::TOO_MANY_REQUESTS, Some(TOO_OFTEN))),
    };
    login.throttle.count(visit.origin.ip);
    let mut record = visit.origin.record(Event::ConsentDenied, Outcome::Deny, login.clock.now());
    record.action = Some("device".to_owned());
    record.actor = person(&present.user);
    record.session = Some(present.session.id.to_string());
    record.decision.reason = Some(reason.to_owned());
    match login.journal.append(&record, Withheld::new(answer)).await {
        Ok(recorded) => Withheld::release(recorded),
        Err(error) => unavailable(&error),
    }
}

/// Uses a code up and makes a request of what its device wants. All of it in one transaction, so that of many guesses at
/// once none slips past the count. A right guess does not clear it: whoever guesses can have codes of their own. A day without
/// guesses does.
async fn look_up(
    login: &Login,
    visit: &Visit,
    present: &Present,
    code: Option<UserCode>,
    handle: String,
) -> Result<Typed, StoreError> {
    let now = login.clock.now();
    // A name that nobody has: it has a space in it.
    let counter = login.passwords.blind(&format!("device codes of {}", present.user.name));
    let counter = format!("{PAUSES}{counter}");
    let typed = code.map(|code| digest_of(code.to_string()));
    let (browser, from) = (visit.browser.digest(), visit.origin.ip);
    login
        .store
        .write(move |sql| {
            if sql.login_failures(&counter)?.check_pause(now).is_err() {
                return Ok(Typed::TooOften);
            }
            let found = typed.map(|typed| sql.claim_user_code(&typed, now)).transpose()?.flatten();
            let Some((digest, device)) = found else {
                sql.add_login_failure(&counter, now)?;
                return Ok(Typed::Unknown);
            };
            let pending = PendingAuthorization {
                client_id: device.client_id,
                reply_to: ReplyTo::Device(DeviceReply {
                    digest,
                    asked_from: device.asked_from,
                    asked_at: device.asked_at,
                }),
                scope: device.scope,
                authorization_details: Vec::new(),
                purpose_of_use: device.purpose_of_use,
                emergency: None,
                audience: device.audience,
                dpop_jkt: device.dpop_jkt,
                signed_in_since: None,
                assurance: Assurance::OneFactor,
                called: None,
                ask_again: AskAgain::Consent,
                pages: Pages::Allowed,
                login_hint: None,
                ui_locales: String::new(),
                said: None,
                about: None,
                claims: ClaimsRequest::default(),
                launch: None,
                created_at: now,
            };
            sql.add_pending(&handle, (&browser, from), &pending)?;
            Ok(Typed::Open)
        })
        .await
}
