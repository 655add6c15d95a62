//! What all forms here share: the browser's cookie, a token against forgery, the request that is gone on with.

use std::sync::Arc;

use askama::Template;
use axum::body::Bytes;
use axum::extract::rejection::ExtensionRejection;
use axum::extract::{Extension, FromRequest, FromRequestParts, Request};
use axum::response::{IntoResponse, Response};
use chartgate_access::client::Client;
use chartgate_access::grant::authorization_code::PendingAuthorization;
use chartgate_access::principal::{User, UserState};
use chartgate_access::session::Session;
use chartgate_protocol::form::Form;
use http::request::Parts;
use http::{HeaderMap, HeaderValue, StatusCode, header};

use super::Login;
use crate::entropy::{digest_of, opaque_secret};
use crate::net::cookie;
use crate::net::origin::Origin;
use crate::pages::{self, Scripts};
use crate::store::StoreError;
use crate::tongue::{Id, Tongue};

/// A browser as its cookie names it.
pub(super) struct Browser {
    secret: String,
    /// To be set if the browser is new.
    set_cookie: Option<HeaderValue>,
    /// What its pages speak.
    pub(super) tongue: Tongue,
}

impl Browser {
    /// The browser of a request, or a new one.
    fn of(headers: &HeaderMap) -> Self {
        let tongue = Tongue::of(headers);
        match cookie::read(headers, cookie::BROWSER) {
            Some(secret) => Self { secret: secret.to_owned(), set_cookie: None, tongue },
            None => {
                let secret = opaque_secret().expose().clone();
                let set_cookie = Some(cookie::set(cookie::BROWSER, &secret));
                Self { secret, set_cookie, tongue }
            }
        }
    }

    /// What requests that this browser begins are kept with.
    pub(super) fn digest(&self) -> String {
        digest_of(&self.secret)
    }

    /// What this browser's sign-in at a provider is proven with, which no address ever shows. RFC 7636 section 4.1.
    pub(super) fn verifier(&self, state: &str) -> String {
        digest_of(format!("verifier {state} {}", self.secret))
    }

    /// What links of our pages to a provider carry: nobody else leads this browser there.
    pub(super) fn leave(&self) -> String {
        digest_of(format!("leave {}", self.secret))
    }

    /// Gives the browser its name with an answer that is no page, if it has none yet.
    pub(super) fn remembered(&self, mut answer: Response) -> Response {
        if let Some(cookie) = &self.set_cookie {
            answer.headers_mut().append(header::SET_COOKIE, cookie.clone());
        }
        answer
    }

    /// What forms of this browser carry against forgery (ATTACKS O31).
    fn csrf(&self) -> String {
        digest_of(format!("csrf {}", self.secret))
    }

    /// Hidden fields: the token against forgery, and what the form goes on with.
    pub(super) fn hidden(&self, fields: &[(&str, &str)]) -> String {
        let csrf = self.csrf();
        let mut out = String::new();
        for (name, value) in std::iter::once(&("csrf", csrf.as_str())).chain(fields) {
            let value: String =
                value.chars().filter(|c| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.')).collect();
            out.push_str(&format!("<input type=\"hidden\" name=\"{name}\" value=\"{value}\">\n"));
        }
        out
    }

    /// Shows a page, and gives the browser its name if it has none yet.
    pub(super) fn show(
        &self,
        status: StatusCode,
        page: &impl Template,
        form_target: Option<&str>,
    ) -> Response {
        self.show_with(status, page, form_target, Scripts::None)
    }

    /// The same for a page that there is in English alone.
    pub(super) fn show_in_english(&self, page: &impl Template) -> Response {
        self.remembered(pages::render(Tongue::English, StatusCode::OK, page, None))
    }

    /// The same for a page that brings a script.
    pub(super) fn show_with(
        &self,
        status: StatusCode,
        page: &impl Template,
        form_target: Option<&str>,
        scripts: Scripts,
    ) -> Response {
        self.remembered(pages::render_with(self.tongue, status, page, form_target, scripts))
    }

    /// The same for a page with passkeys.
    pub(super) fn show_with_script(
        &self,
        status: StatusCode,
        page: &impl Template,
        form_target: Option<&str>,
    ) -> Response {
        self.remembered(pages::render_with(self.tongue, status, page, form_target, Scripts::OurOwn))
    }

    /// Reads a form that this browser was given.
    fn read(headers: &HeaderMap, body: &[u8]) -> Option<(Self, Form)> {
        let browser = Self::of(headers);
        let form = Form::parse(std::str::from_utf8(body).ok()?).ok()?;
        let given = form.get("csrf").is_some_and(|csrf| csrf == browser.csrf());
        (given && browser.set_cookie.is_none()).then_some((browser, form))
    }

    /// The authorization request that this browser began, and its client.
    pub(super) fn pending(&self, login: &Login, handle: &str) -> Result<Option<Begun>, StoreError> {
        let (digest, now) = (digest_of(handle), login.clock.now());
        login.store.read(|sql| {
            let Some(pending) = sql.pending(&digest, &digest_of(&self.secret), now)? else { return Ok(None) };
            let client = login.clients.find(&pending.client_id)?;
            // Where the answer would go may not be the client's any more.
            let client = client.filter(|client| pending.reply_to.leads_to(client));
            Ok(client.map(|client| Begun { digest, pending, client }))
        })
    }
}

/// A page that somebody asks for: which browser, from where, and what the address says.
pub(super) struct Visit {
    pub(super) browser: Browser,
    pub(super) form: Form,
    pub(super) origin: Origin,
    pub(super) headers: HeaderMap,
}

/// A form that somebody sends back: it was given to this browser, by us.
pub(super) struct Submission(pub(super) Visit);

impl<S: Send + Sync> FromRequestParts<S> for Visit {
    type Rejection = ExtensionRejection;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Self::Rejection> {
        let Extension(origin) = Extension::from_request_parts(parts, state).await?;
        let form = Form::parse(parts.uri.query().unwrap_or_default()).unwrap_or_default();
        Ok(Self { browser: Browser::of(&parts.headers), form, origin, headers: parts.headers.clone() })
    }
}

impl<S: Send + Sync> FromRequest<S> for Submission {
    type Rejection = Response;

    async fn from_request(request: Request, state: &S) -> Result<Self, Response> {
        let (mut parts, body) = request.into_parts();
        let visit =
            Visit::from_request_parts(&mut parts, state).await.map_err(IntoResponse::into_response)?;
        let request = Request::from_parts(parts, body);
        let body = Bytes::from_request(request, state).await.map_err(IntoResponse::into_response)?;
        let (browser, form) = Browser::read(&visit.headers, &body).ok_or_else(stale)?;
        Ok(Self(Visit { browser, form, ..visit }))
    }
}

impl Visit {
    /// The authorization request that this is about, and who is signed in; or the page to show in place of that.
    pub(super) fn asked(&self, login: &Login) -> Result<Asked, Box<Response>> {
        let handle = self.form.get("request").ok_or_else(stale)?;
        let begun = self.browser.pending(login, handle).map_err(|e| unavailable(&e))?.ok_or_else(stale)?;
        let present = Present::of(login, &self.headers).map_err(|e| unavailable(&e))?;
        let present = present.ok_or_else(|| see_other(&format!("/login?request={handle}")))?;
        Ok(Asked { handle: handle.to_owned(), begun, present })
    }
}

/// The request that a form is about, and who is signed in.
pub(super) struct Asked {
    pub(super) handle: String,
    pub(super) begun: Begun,
    pub(super) present: Present,
}

/// An authorization request that was begun.
pub(super) struct Begun {
    pub(super) digest: String,
    pub(super) pending: PendingAuthorization,
    pub(super) client: Arc<Client>,
}

/// Somebody signed in.
pub(super) struct Present {
    pub(super) user: User,
    pub(super) session: Session,
}

impl Present {
    /// Who is signed in, in a session that is good now.
    pub(super) fn of(login: &Login, headers: &HeaderMap) -> Result<Option<Self>, StoreError> {
        let present = Self::unmoved(login, headers)?;
        // A page that is looked at is activity.
        Ok(present.filter(|present| login.sessions.used(&present.session.id).is_ok()))
    }

    /// The same for what a page asks by itself: nobody may be there any more.
    pub(super) fn unmoved(login: &Login, headers: &HeaderMap) -> Result<Option<Self>, StoreError> {
        let Some(secret) = cookie::read(headers, cookie::SESSION) else { return Ok(None) };
        let (digest, now) = (digest_of(secret), login.clock.now());
        login.store.read(|sql| {
            let Some(session) = sql.session_by_cookie(&digest)? else { return Ok(None) };
            let Some(user) = sql.user(&session.subject)? else { return Ok(None) };
            // Whoever has to have a second factor is nobody without (ATTACKS A05).
            let is_strong = session.assurance() >= login.second_factors.of(&user);
            // Nor is anybody whom a provider vouched for that is believed no more.
            let elsewhere = session.elsewhere.as_ref();
            let is_vouched_for = elsewhere.is_none_or(|own| login.providers.are_of(&own.issuer));
            let good = user.state == UserState::Enabled
                && session.check(login.timeouts, now).is_ok()
                && is_strong
                && is_vouched_for;
            Ok::<_, StoreError>(good.then_some(Self { user, session }))
        })
    }
}

/// Goes on elsewhere.
pub(super) fn see_other(target: &str) -> Response {
    // INVARIANT: targets are our own paths with base64url in them, or redirect URIs, which are visible ASCII.
    let location = HeaderValue::from_str(target).unwrap_or_else(|_| HeaderValue::from_static("/account"));
    let headers =
        [(header::LOCATION, location), (header::CACHE_CONTROL, HeaderValue::from_static("no-store"))];
    (StatusCode::SEE_OTHER, headers).into_response()
}

/// The form did not come from a page of ours in this browser, or its request is over.
pub(super) fn stale() -> Response {
    let (title, text) = (Id::of("problem-stale-title"), Id::of("problem-stale"));
    pages::message(StatusCode::BAD_REQUEST, title, text)
}

/// Store or log do not take it: nothing was done.
pub(super) fn unavailable(error: &dyn std::fmt::Display) -> Response {
    tracing::error!(%error, "login");
    let (title, text) = (Id::of("problem-unavailable-title"), Id::of("problem-unavailable"));
    pages::message(StatusCode::SERVICE_UNAVAILABLE, title, text)
}
