//! Tokens that we fetch for ourselves, to call upstreams with. RFC 6749 section 4.4.
//!
//! A token is kept until shortly before it expires. Whoever finds none fetches one while all others wait for that one;
//! a fetch that failed is not tried again for a second, so that a dead token endpoint is not asked by each request.

use std::sync::{PoisonError, RwLock};
use std::time::Duration;

use bytes::Bytes;
use chartgate_protocol::form::Form;
use chartgate_values::Secret;
use http::{HeaderValue, Method, Request, StatusCode, Uri, header};
use http_body_util::Full;
use serde::Deserialize;
use tokio::sync::Mutex;
use tokio::time::Instant;
use zeroize::Zeroizing;

use super::body::{self, BodyError};
use super::client::{CallError, HttpClient};
use super::credential::{client_secret, sensitive};
use crate::config::ClientCredentials;

/// The longest answer of a token endpoint.
const LONGEST: u64 = 64 << 10;
/// How long its body may take.
const BODY_TIME: Duration = Duration::from_secs(10);
/// How long a token is good that does not say so.
const UNSAID: Duration = Duration::from_secs(60);
/// How long before its end a token is no longer used; of a short-lived one, a tenth of its life.
const EARLY: Duration = Duration::from_secs(30);
/// How old a token is at least that is fetched anew because the upstream refused it.
const YOUNG: Duration = Duration::from_secs(1);
/// How long a failure stands for all who ask.
const FAILED_FOR: Duration = Duration::from_secs(1);

/// A token, fetched when it is needed.
pub(crate) struct FetchedToken {
    client: HttpClient,
    token_url: Uri,
    authorization: Option<HeaderValue>,
    form: String,
    current: RwLock<Option<Token>>,
    /// Held by the one that fetches.
    fetching: Mutex<LastFailure>,
}

#[derive(Clone)]
struct Token {
    header: HeaderValue,
    asked: Instant,
    good_until: Instant,
}

#[derive(Default)]
struct LastFailure(Option<Instant>);

/// Why there is no token. Says nothing of what was sent or came back.
#[derive(Debug, thiserror::Error)]
pub(crate) enum FetchError {
    /// No answer.
    #[error(transparent)]
    Call(#[from] CallError),
    /// An answer that breaks off or has no end.
    #[error(transparent)]
    Body(#[from] BodyError),
    /// RFC 6749 section 5.2.
    #[error("the token endpoint answered with status {0}")]
    Refused(StatusCode),
    /// RFC 6749 section 5.1.
    #[error("the token endpoint answered with something else than a bearer token")]
    NoToken,
    /// The client's name or secret cannot stand in a header, or the last try has just failed.
    #[error("no token was asked for")]
    NotTried,
}

/// RFC 6749 section 5.1, as far as it matters.
#[derive(Deserialize)]
struct TokenAnswer {
    access_token: Secret<String>,
    token_type: String,
    expires_in: Option<u64>,
}

impl FetchedToken {
    pub(crate) fn new(how: &ClientCredentials, client: HttpClient) -> Self {
        let mut form = Form::default();
        form.push("grant_type", "client_credentials");
        if let Some(scope) = &how.scope {
            form.push("scope", scope);
        }
        Self {
            client,
            token_url: how.token_url.clone(),
            authorization: client_secret(&how.client_id, &how.client_secret),
            form: form.encode(),
            current: RwLock::default(),
            fetching: Mutex::default(),
        }
    }

    /// `Bearer` and a token that is good now.
    ///
    /// # Errors
    /// [`FetchError`].
    pub(crate) async fn header(&self) -> Result<HeaderValue, FetchError> {
        if let Some(header) = self.good() {
            return Ok(header);
        }
        let mut failure = self.fetching.lock().await;
        // Somebody else fetched it, or failed to, while we waited.
        if let Some(header) = self.good() {
            return Ok(header);
        }
        if failure.0.is_some_and(|at| at.elapsed() < FAILED_FOR) {
            return Err(FetchError::NotTried);
        }
        match self.fetch().await {
            Ok(token) => {
                failure.0 = None;
                let header = token.header.clone();
                *self.current.write().unwrap_or_else(PoisonError::into_inner) = Some(token);
                Ok(header)
            }
            Err(error) => {
                tracing::warn!(%error, "a token for an upstream cannot be had");
                failure.0 = Some(Instant::now());
                Err(error)
            }
        }
    }

    /// Forgets a token that the upstream does not believe, unless there is another by now, or it is so young that
    /// another would fare no better: a caller whom the upstream always refuses must not wear out the token endpoint.
    pub(crate) fn forget(&self, header: &HeaderValue) {
        let mut current = self.current.write().unwrap_or_else(PoisonError::into_inner);
        let is_old = |token: &Token| token.asked.elapsed() >= YOUNG;
        if current.as_ref().is_some_and(|token| token.header == *header && is_old(token)) {
            *current = None;
        }
    }

    fn good(&self) -> Option<HeaderValue> {
        let current = self.current.read().unwrap_or_else(PoisonError::into_inner);
        current.as_ref().filter(|token| Instant::now() < token.good_until).map(|token| token.header.clone())
    }

    async fn fetch(&self) -> Result<Token, FetchError> {
        let asked = Instant::now();
        let mut request = Request::new(Full::from(Bytes::from(self.form.clone())));
        *request.method_mut() = Method::POST;
        *request.uri_mut() = self.token_url.clone();
        let headers = request.headers_mut();
        headers.insert(header::AUTHORIZATION, self.authorization.clone().ok_or(FetchError::NotTried)?);
        headers.insert(header::ACCEPT, HeaderValue::from_static("application/json"));
        let urlencoded = HeaderValue::from_static("application/x-www-form-urlencoded");
        headers.insert(header::CONTENT_TYPE, urlencoded);
        let (head, content) = self.client.call(request).await?.into_parts();
        let content = body::take(content, LONGEST, BODY_TIME).await?;
        if head.status != StatusCode::OK {
            return Err(FetchError::Refused(head.status));
        }
        let answer: TokenAnswer = serde_json::from_slice(&content).map_err(|_| FetchError::NoToken)?;
        answer.token(asked).ok_or(FetchError::NoToken)
    }
}

impl TokenAnswer {
    fn token(&self, asked: Instant) -> Option<Token> {
        // RFC 6750 section 2.1.
        let plain = |b: u8| b.is_ascii_alphanumeric() || b"-._~+/=".contains(&b);
        let token = self.access_token.expose();
        if token.is_empty() || !token.bytes().all(plain) || !self.token_type.eq_ignore_ascii_case("bearer") {
            return None;
        }
        let life = self.expires_in.map_or(UNSAID, Duration::from_secs).min(LONGEST_KEPT);
        let used = life.saturating_sub(EARLY.min(life.div_f32(10.0)));
        let header = sensitive(&Zeroizing::new(format!("Bearer {token}")))?;
        Some(Token { header, asked, good_until: asked.checked_add(used)? })
    }
}

/// However long a token says that it is good.
const LONGEST_KEPT: Duration = Duration::from_hours(24);

#[cfg(test)]
mod tests {
    use super::*;

    fn token(text: &str, asked: Instant) -> Option<Token> {
        serde_json::from_str::<TokenAnswer>(text).ok()?.token(asked)
    }

    #[test]
    fn a_token_is_used_until_shortly_before_it_expires() {
        let asked = Instant::now();
        for (says, seconds) in [
            (r#","expires_in":3600"#, 3570),
            (r#","expires_in":100"#, 90),
            ("", 54),
            (r#","expires_in":0"#, 0),
            (r#","expires_in":18446744073709551615"#, 86370),
        ] {
            let text = format!(r#"{{"access_token":"abc","token_type":"bearer"{says}}}"#);
            let until = token(&text, asked).unwrap().good_until;
            assert_eq!(until.duration_since(asked).as_secs(), seconds, "{says}");
        }
    }

    #[test]
    fn what_is_no_bearer_token_is_not_used() {
        for text in [
            r#"{"access_token":"","token_type":"Bearer"}"#,
            r#"{"access_token":"a b","token_type":"Bearer"}"#,
            r#"{"access_token":"a\r\nx: y","token_type":"Bearer"}"#,
            r#"{"access_token":"abc","token_type":"DPoP"}"#,
            r#"{"access_token":"abc"}"#,
            r#"{"token_type":"Bearer"}"#,
            r#"{"error":"invalid_client"}"#,
            "[]",
        ] {
            assert!(token(text, Instant::now()).is_none(), "{text}");
        }
    }
}
