//! The page at the end of a session: where applications are open in this browser that want to see that, it shows them in frames,
//! and goes on from there; and where its person came by a provider, it goes there first, or says that they are signed in there.
//! OpenID Connect Front-Channel Logout 1.0, RP-Initiated Logout 1.0.
//!
//! A courtesy, on top of what ends anyway: browsers keep cookies from frames of others, and nobody knows what came of it.

use askama::Template;
use axum::response::Response;
use chartgate_access::login::logout::LogoutFrame;
use http::{HeaderName, HeaderValue, StatusCode};

use super::Login;
use super::form::{Present, see_other};
use super::sign_out_there::Onward;
use crate::pages;
use crate::store::StoreError;
use crate::tongue::{Id, Tongue};

/// More applications than these are not shown in one page.
const MOST: usize = 20;
/// How long applications have, in seconds, before the browser goes on.
const GOES_ON_AFTER: u64 = 3;

#[derive(Template)]
#[template(path = "signed_out.html")]
struct SignedOut<'a> {
    t: Tongue,
    frames: &'a [LogoutFrame],
    /// What is open at a provider.
    there: Option<&'a Onward>,
    /// After how many seconds the browser goes there by itself, if it does.
    after: u64,
    /// Where it goes on.
    target: Option<&'a str>,
}

/// What the applications of a session show; asked for before it ends. A courtesy to them keeps nobody signed in: where it cannot be
/// read, there are none.
pub(super) fn frames(login: &Login, present: &Present) -> Vec<LogoutFrame> {
    let session = &present.session.id;
    let found = login.store.read(|sql| sql.clients_of(session)).and_then(|ids| {
        ids.iter().map(|id| login.clients.last_known(id)).collect::<Result<Vec<_>, StoreError>>()
    });
    let clients = found.unwrap_or_else(|error| {
        tracing::warn!(%error, "which applications are to be shown that a session ends cannot be read");
        Vec::new()
    });
    let clients = clients.iter().flatten();
    let frames = clients.filter_map(|client| LogoutFrame::of(client, &login.issuer, session));
    frames.take(MOST).collect()
}

/// The answer once the session has ended.
pub(super) fn answer(frames: &[LogoutFrame], target: Option<&str>, there: Option<&Onward>) -> Response {
    if frames.is_empty() {
        match (target, there) {
            (Some(target), None) => return see_other(target),
            (None, None) => {
                return pages::message(StatusCode::OK, Id::of("sign-out-done"), Id::of("may-close"));
            }
            (_, Some(_)) => {}
        }
    }
    let origins: Vec<&str> = frames.iter().map(|frame| frame.origin.as_str()).collect();
    let (shown, goes_to) = (frames.to_vec(), target.map(str::to_owned));
    let (left, after) = (there.cloned(), if frames.is_empty() { 0 } else { GOES_ON_AFTER });
    let page = move |t| {
        SignedOut { t, frames: &shown, there: left.as_ref(), after, target: goes_to.as_deref() }.render()
    };
    // A form led here, and its page's policy holds against redirects: a page of ours leads on.
    let mut answer = if frames.is_empty() {
        pages::later(StatusCode::OK, None, page)
    } else {
        pages::framing(StatusCode::OK, &origins, page)
    };
    if matches!(there, Some(Onward::Goes { .. } | Onward::Offered { .. })) {
        return answer;
    }
    // The target is one of the registration's, which has no characters that end a header.
    let refresh = target.map(|target| format!("{GOES_ON_AFTER}; url={target}"));
    if let Some(refresh) = refresh.and_then(|refresh| HeaderValue::from_str(&refresh).ok()) {
        answer.headers_mut().insert(HeaderName::from_static("refresh"), refresh);
    }
    answer
}
