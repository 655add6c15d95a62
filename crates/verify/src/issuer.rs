//! What the issuer tells: its metadata, its keys, a token for us, the feed.

use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use chartgate_protocol::form::{Form, percent_encode};
use chartgate_protocol::jose::{KeySet, Rejection};
use chartgate_protocol::revocations::{MAX_FEED_BYTES, REVOCATIONS_SCOPE, Revocations, RevocationsVerifier};
use http::{Request, StatusCode, header};
use http_body_util::Full;
use serde::Deserialize;
use tokio::time::Instant;
use zeroize::Zeroizing;

use crate::clock;
use crate::https::{CallError, Https};
use crate::settings::Settings;

/// The longest document that is read, the feed aside.
const MAX_DOCUMENT: usize = 1 << 20;
/// How long an answer may take that waits for nothing.
const PATIENCE: Duration = Duration::from_secs(5);
/// How far the clocks may be apart.
const SKEW: Duration = Duration::from_secs(30);
/// How long before its end a token of ours is replaced.
const EARLY: Duration = Duration::from_secs(30);

/// Why the issuer tells us nothing that we believe.
#[derive(Debug, thiserror::Error)]
pub enum IssuerError {
    /// It cannot be asked.
    #[error(transparent)]
    Call(#[from] CallError),
    /// What it says has another form.
    #[error("the issuer's {0} cannot be read")]
    Document(&'static str),
    /// RFC 8414 section 3.3: it is another one.
    #[error("the metadata is of the issuer `{0}`")]
    OtherIssuer(String),
    /// A place outside of itself.
    #[error("`{0}` is not at the issuer")]
    Elsewhere(String),
    /// The feed is not signed by it, or is not what was asked for.
    #[error("the feed of cut-offs: {0}")]
    Feed(#[from] Rejection),
}

/// The issuer, as this service meets it.
pub(crate) struct Issuer {
    settings: Settings,
    https: Https,
    places: Places,
    token: Option<(String, Instant)>,
}

#[derive(Deserialize)]
struct Metadata {
    issuer: String,
    jwks_uri: String,
    token_endpoint: String,
    revocations_endpoint: String,
}

/// Paths at the issuer.
struct Places {
    keys: String,
    token: String,
    revocations: String,
}

#[derive(Deserialize)]
struct TokenAnswer {
    access_token: String,
    expires_in: u64,
}

impl Issuer {
    /// Finds out where everything is.
    pub(crate) async fn discover(settings: Settings) -> Result<Self, IssuerError> {
        let https = Https::new(&settings.issuer, settings.ca_file.as_deref())?;
        let body = get(&https, "/.well-known/oauth-authorization-server").await?;
        let told: Metadata = serde_json::from_slice(&body).map_err(|_| IssuerError::Document("metadata"))?;
        if told.issuer != settings.issuer {
            return Err(IssuerError::OtherIssuer(told.issuer));
        }
        let at = |uri: String| {
            let path = uri.strip_prefix(&settings.issuer).filter(|path| path.starts_with('/'));
            path.map(str::to_owned).ok_or(IssuerError::Elsewhere(uri))
        };
        let places = Places {
            keys: at(told.jwks_uri)?,
            token: at(told.token_endpoint)?,
            revocations: at(told.revocations_endpoint)?,
        };
        Ok(Self { settings, https, places, token: None })
    }

    pub(crate) fn settings(&self) -> &Settings {
        &self.settings
    }

    /// A way to the keys of its own, for they are asked for while the feed is waited for.
    pub(crate) fn keys(&self) -> Result<Keys, IssuerError> {
        let https = Https::new(&self.settings.issuer, self.settings.ca_file.as_deref())?;
        Ok(Keys { https, path: self.places.keys.clone() })
    }

    /// What was cut off after this position. The answer is verified by these keys, and asked for when `asked_at` was.
    pub(crate) async fn revocations(
        &mut self,
        after: Option<&str>,
        wait: Duration,
    ) -> Result<Answer, IssuerError> {
        let token = self.own_token().await?;
        let seconds = wait.as_secs().to_string();
        let mut query = Form::default();
        query.push("wait", &seconds);
        after.into_iter().for_each(|after| query.push("after", after));
        let path = format!("{}?{}", self.places.revocations, query.encode());
        let request = Request::get(path).header(header::AUTHORIZATION, format!("Bearer {token}"));
        let request = request.body(Full::default()).map_err(|_| IssuerError::Document("metadata"))?;
        let (asked_at, asked) = (Instant::now(), clock::now());
        let patience = wait.saturating_add(PATIENCE);
        let (status, body) = self.https.send(request, MAX_FEED_BYTES, patience).await?;
        if status != StatusCode::OK {
            self.token = None;
            return Err(CallError::Status(status).into());
        }
        let text = String::from_utf8(body.to_vec()).map_err(|_| IssuerError::Document("feed"))?;
        Ok(Answer { text, asked_at, asked })
    }

    /// Verifies an answer of the feed.
    pub(crate) fn verify(&self, answer: &Answer, keys: &KeySet) -> Result<Revocations, Rejection> {
        let verifier =
            RevocationsVerifier { issuer: &self.settings.issuer, asked_at: answer.asked, skew: SKEW };
        verifier.verify(answer.text.trim_ascii(), keys, clock::now())
    }

    /// A token for the feed. RFC 6749 section 4.4.
    async fn own_token(&mut self) -> Result<String, IssuerError> {
        if let Some((token, ends)) = &self.token
            && ends.saturating_duration_since(Instant::now()) > EARLY
        {
            return Ok(token.clone());
        }
        let mut form = Form::default();
        form.push("grant_type", "client_credentials");
        form.push("scope", REVOCATIONS_SCOPE);
        form.push("resource", &self.settings.issuer);
        // RFC 6749 section 2.3.1: both are form-encoded before they are joined.
        let mut pair = Zeroizing::new(String::new());
        percent_encode(&self.settings.client_id, &mut pair);
        pair.push(':');
        percent_encode(self.settings.client_secret.expose(), &mut pair);
        let basic = STANDARD.encode(pair.as_bytes());
        let request = Request::post(&self.places.token)
            .header(header::AUTHORIZATION, format!("Basic {basic}"))
            .header(header::CONTENT_TYPE, "application/x-www-form-urlencoded")
            .body(Full::new(Bytes::from(form.encode())))
            .map_err(|_| IssuerError::Document("metadata"))?;
        let asked_at = Instant::now();
        let (status, body) = self.https.send(request, MAX_DOCUMENT, PATIENCE).await?;
        if status != StatusCode::OK {
            return Err(CallError::Status(status).into());
        }
        let told: TokenAnswer =
            serde_json::from_slice(&body).map_err(|_| IssuerError::Document("token answer"))?;
        let life = Duration::from_secs(told.expires_in.min(3600));
        let ends = asked_at.checked_add(life).unwrap_or(asked_at);
        self.token = Some((told.access_token.clone(), ends));
        Ok(told.access_token)
    }
}

/// An answer of the feed, not verified yet.
pub(crate) struct Answer {
    text: String,
    pub(crate) asked_at: Instant,
    asked: chartgate_values::Timestamp,
}

/// Where the keys are.
pub(crate) struct Keys {
    https: Https,
    path: String,
}

impl Keys {
    pub(crate) async fn fetch(&self) -> Result<(KeySet, Instant), IssuerError> {
        let asked_at = Instant::now();
        let body = get(&self.https, &self.path).await?;
        let keys = KeySet::parse(&body).map_err(|_| IssuerError::Document("key set"))?;
        Ok((keys, asked_at))
    }
}

async fn get(https: &Https, path: &str) -> Result<Bytes, IssuerError> {
    let request = Request::get(path).header(header::ACCEPT, "application/json");
    let request = request.body(Full::default()).map_err(|_| IssuerError::Document("metadata"))?;
    match https.send(request, MAX_DOCUMENT, PATIENCE).await? {
        (StatusCode::OK, body) => Ok(body),
        (status, _) => Err(CallError::Status(status).into()),
    }
}
