//! Pages for people: the frame that all share, and the headers that go with them.

use std::sync::Arc;

use askama::Template;
use axum::body::Body;
use axum::extract::Request;
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use chartgate_values::Timestamp;
use http::{HeaderMap, HeaderName, HeaderValue, StatusCode, header};

use crate::tongue::{Tells, Tongue};

/// The one stylesheet.
pub(crate) const STYLESHEET: &str = include_str!("../assets/chartgate.css");

/// The one script, of pages with passkeys.
pub(crate) const PASSKEYS_SCRIPT: &str = include_str!("../assets/passkeys.js");

/// Whether a page brings a script. It is a file of ours: nothing in a page itself ever runs.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Scripts {
    None,
    OurOwn,
    /// And is one of those that a phone keeps as an application, with a worker, a manifest and icons.
    App,
}

/// A page with a heading and a sentence.
#[derive(Template)]
#[template(path = "message.html")]
struct Message<'a> {
    t: Tongue,
    title: &'a str,
    text: &'a str,
}

/// A page with a heading and a sentence, under this status.
pub(crate) fn message(
    status: StatusCode,
    title: impl Tells + Send + Sync + 'static,
    text: impl Tells + Send + Sync + 'static,
) -> Response {
    later(status, None, move |t| {
        let (title, text) = (t.tell(&title).plain(), t.tell(&text).plain());
        Message { t, title: &title, text: &text }.render()
    })
}

/// The same of a page that there is in English alone.
pub(crate) fn message_in_english(status: StatusCode, title: &str, text: &str) -> Response {
    render(Tongue::English, status, &Message { t: Tongue::English, title, text }, None)
}

/// A page that is made where nobody knows who reads it: it says what it says once it comes by [`speak`], and in English if it
/// does not.
pub(crate) fn later(
    status: StatusCode,
    form_target: Option<&str>,
    page: impl Fn(Tongue) -> askama::Result<String> + Send + Sync + 'static,
) -> Response {
    let mut response = answer(Tongue::default(), status, page(Tongue::default()), form_target, Scripts::None);
    response.extensions_mut().insert(Later(Arc::new(page)));
    response
}

/// What makes a page in a language.
#[derive(Clone)]
struct Later(Arc<dyn Fn(Tongue) -> askama::Result<String> + Send + Sync>);

/// Says what is still to be said in the language of whoever asked.
pub(crate) async fn speak(request: Request, next: Next) -> Response {
    let tongue = Tongue::of(request.headers());
    let mut response = next.run(request).await;
    let Some(Later(page)) = response.extensions_mut().remove::<Later>() else { return response };
    match page(tongue) {
        Ok(html) => {
            *response.body_mut() = Body::from(html);
            response.headers_mut().remove(header::CONTENT_LENGTH);
            response.headers_mut().insert(header::CONTENT_LANGUAGE, tongue.header());
        }
        Err(error) => tracing::error!(%error, "page"),
    }
    response
}

/// A page, with headers that keep it out of frames and caches. `form_target` is the one other place that its form may
/// lead to by a redirect: browsers hold `form-action` against redirects too.
pub(crate) fn render(
    tongue: Tongue,
    status: StatusCode,
    page: &impl Template,
    form_target: Option<&str>,
) -> Response {
    render_with(tongue, status, page, form_target, Scripts::None)
}

/// The same, with or without our script.
pub(crate) fn render_with(
    tongue: Tongue,
    status: StatusCode,
    page: &impl Template,
    form_target: Option<&str>,
    scripts: Scripts,
) -> Response {
    answer(tongue, status, page.render(), form_target, scripts)
}

fn answer(
    tongue: Tongue,
    status: StatusCode,
    page: askama::Result<String>,
    form_target: Option<&str>,
    scripts: Scripts,
) -> Response {
    let html = match page {
        Ok(html) => html,
        Err(error) => {
            tracing::error!(%error, "page");
            return StatusCode::INTERNAL_SERVER_ERROR.into_response();
        }
    };
    let mut response = (status, [(header::CONTENT_TYPE, "text/html; charset=utf-8")], html).into_response();
    response.headers_mut().insert(header::CONTENT_LANGUAGE, tongue.header());
    // No cache keeps it; this is for those that do all the same.
    response.headers_mut().insert(header::VARY, HeaderValue::from_static("accept-language, cookie"));
    secure(response.headers_mut(), form_target, scripts);
    response
}

/// A page that shows pages of these origins in frames, and has no form.
pub(crate) fn framing(
    status: StatusCode,
    origins: &[&str],
    page: impl Fn(Tongue) -> askama::Result<String> + Send + Sync + 'static,
) -> Response {
    let mut response = later(status, None, page);
    let policy = format!(
        "default-src 'none'; style-src 'self'; frame-src {}; base-uri 'none'; frame-ancestors 'none'; form-action 'none'",
        origins.join(" ")
    );
    // Where these were none that can stand there, the policy without frames stays.
    if let Ok(policy) = HeaderValue::from_str(&policy) {
        response.headers_mut().insert(header::CONTENT_SECURITY_POLICY, policy);
    }
    response
}

/// A time as people read it: date, hours and minutes.
pub(crate) fn minutes(time: Timestamp) -> String {
    let shown: String = time.to_string().chars().take("2026-11-25T17:18".len()).collect();
    format!("{} UTC", shown.replace('T', " "))
}

/// The same with seconds.
pub(crate) fn seconds(time: Timestamp) -> String {
    let shown: String = time.to_string().chars().take("2026-11-25T17:18:19".len()).collect();
    format!("{} UTC", shown.replace('T', " "))
}

/// The stylesheet's answer.
pub(crate) async fn stylesheet() -> Response {
    asset("text/css; charset=utf-8", STYLESHEET)
}

/// The script's.
pub(crate) async fn passkeys_script() -> Response {
    asset("text/javascript; charset=utf-8", PASSKEYS_SCRIPT)
}

/// A file that everybody may have.
pub(crate) fn asset(kind: &'static str, content: impl IntoResponse) -> Response {
    let headers = [
        (header::CONTENT_TYPE, HeaderValue::from_static(kind)),
        (header::CACHE_CONTROL, HeaderValue::from_static("public, max-age=3600")),
        (header::X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff")),
    ];
    (headers, content).into_response()
}

/// The scheme, host and port of a URI, as Content-Security-Policy names places; a scheme alone for an app's own.
pub(crate) fn origin_of(uri: &str) -> String {
    let Some((scheme, rest)) = uri.split_once(':') else { return String::new() };
    match rest.strip_prefix("//") {
        Some(after) if matches!(scheme, "http" | "https") => {
            format!("{scheme}://{}", after.split(['/', '?']).next().unwrap_or_default())
        }
        Some(_) | None => format!("{scheme}:"),
    }
}

fn secure(headers: &mut HeaderMap, form_target: Option<&str>, scripts: Scripts) {
    let policy = format!(
        "default-src 'none'; style-src 'self'; {}base-uri 'none'; frame-ancestors 'none'; form-action 'self'{}{}",
        match scripts {
            Scripts::None => "",
            Scripts::OurOwn => "script-src 'self'; ",
            Scripts::App => {
                "script-src 'self'; connect-src 'self'; worker-src 'self'; manifest-src 'self'; img-src 'self'; "
            }
        },
        if form_target.is_some() { " " } else { "" },
        form_target.map(origin_of).unwrap_or_default()
    );
    // INVARIANT: redirect URIs are visible ASCII; if one were not, the stricter policy stands.
    let strict = HeaderValue::from_static("default-src 'none'; style-src 'self'; frame-ancestors 'none'");
    headers.insert(header::CONTENT_SECURITY_POLICY, HeaderValue::from_str(&policy).unwrap_or(strict));
    for (name, value) in [
        (header::CACHE_CONTROL, "no-store"),
        (header::REFERRER_POLICY, "no-referrer"),
        (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
        (header::X_FRAME_OPTIONS, "DENY"),
        (HeaderName::from_static("cross-origin-opener-policy"), "same-origin"),
    ] {
        headers.insert(name, HeaderValue::from_static(value));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_redirect_uri_is_named_by_its_origin_alone() {
        assert_eq!(origin_of("http://127.0.0.1:4000/callback?x=1"), "http://127.0.0.1:4000");
        assert_eq!(origin_of("https://app.example/cb"), "https://app.example");
        assert_eq!(origin_of("org.example.app:/cb"), "org.example.app:");
    }
}
