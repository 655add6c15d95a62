//! The answer to an authorization request, at its client's redirect URI: a code or a refusal, whoever gives it. RFC 6749
//! section 4.1.2, RFC 9207, OAuth 2.0 Form Post Response Mode, JARM.

use std::time::Duration;

use askama::Template;
use axum::response::{IntoResponse as _, Response};
use chartgate_access::grant::authorization_code::Addressee;
use chartgate_protocol::form::Form;
use chartgate_protocol::jose::jws;
use chartgate_protocol::oauth::error::ErrorCode;
use chartgate_protocol::oauth::response_mode::{ResponseClaims, ResponseMode};
use chartgate_values::Timestamp;
use http::{HeaderValue, StatusCode, header};

use crate::live::keys::KeyRing;
use crate::pages;
use crate::tongue::{Id, Tongue};

/// How long a signed response is good: JARM section 2.1 advises ten minutes at the most.
const SIGNED_LIFE: Duration = Duration::from_secs(300);

/// Who answers, and when.
#[derive(Clone, Copy)]
pub(crate) struct Answering<'a> {
    pub(crate) issuer: &'a str,
    pub(crate) keys: &'a KeyRing,
    pub(crate) now: Timestamp,
}

/// A form that a person sends on: our pages run no script.
#[derive(Template)]
#[template(path = "form_post.html")]
struct FormPost<'a> {
    t: Tongue,
    action: &'a str,
    destination: String,
    fields: Vec<(&'a str, &'a str)>,
}

impl Answering<'_> {
    /// Answers with these parameters, `state` and `iss`.
    pub(crate) fn answer(self, to: &Addressee, parameters: &[(&str, &str)]) -> Response {
        let mut form = Form::default();
        for (name, value) in parameters {
            form.push(name, value);
        }
        if let Some(state) = &to.state {
            form.push("state", state);
        }
        match to.response_mode {
            ResponseMode::Query | ResponseMode::FormPost => form.push("iss", self.issuer),
            ResponseMode::QueryJwt | ResponseMode::FormPostJwt => {
                let Some(signed) = self.sign(to, &form) else {
                    let (title, text) = (Id::of("answer-unsigned-title"), Id::of("answer-unsigned"));
                    return pages::message(StatusCode::SERVICE_UNAVAILABLE, title, text);
                };
                form = Form::default();
                form.push("response", &signed);
            }
        }
        match to.response_mode {
            ResponseMode::Query | ResponseMode::QueryJwt => {
                let separator = if to.redirect_uri.contains('?') { '&' } else { '?' };
                see_other(&format!("{}{separator}{}", to.redirect_uri, form.encode()))
            }
            ResponseMode::FormPost | ResponseMode::FormPostJwt => {
                let action = to.redirect_uri.clone();
                pages::later(StatusCode::OK, Some(&to.redirect_uri), move |t| {
                    let (destination, fields) = (pages::origin_of(&action), form.iter().collect());
                    FormPost { t, action: &action, destination, fields }.render()
                })
            }
        }
    }

    /// Answers with an error.
    pub(crate) fn refuse(self, to: &Addressee, code: ErrorCode, description: Option<&str>) -> Response {
        let description = description.map(|text| ("error_description", text));
        let parameters: Vec<_> = [("error", code.as_str())].into_iter().chain(description).collect();
        self.answer(to, &parameters)
    }

    fn sign(self, to: &Addressee, form: &Form) -> Option<String> {
        let parameters = form.iter().map(|(name, value)| (name.to_owned(), value.into()));
        let claims = ResponseClaims {
            iss: self.issuer,
            aud: to.client_id.as_str(),
            exp: self.now.plus(SIGNED_LIFE).into(),
            parameters: parameters.collect(),
        };
        let ring = self.keys.current();
        let key = ring.asked_for(to.response_alg)?;
        jws::sign(key, "JWT", &claims).map_err(|error| tracing::error!(%error, "signing")).ok()
    }
}

/// A redirect that no cache keeps.
pub(crate) fn see_other(target: &str) -> Response {
    let Ok(location) = HeaderValue::from_str(target) else {
        let (title, text) = (Id::of("request-unusable-title"), Id::of("request-no-header"));
        return pages::message(StatusCode::BAD_REQUEST, title, text);
    };
    let mut response = (StatusCode::SEE_OTHER, [(header::LOCATION, location)]).into_response();
    response.headers_mut().insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    response.headers_mut().insert(header::PRAGMA, HeaderValue::from_static("no-cache"));
    response
}
