//! Identity providers at which people sign in: what they say of themselves, redeeming their codes, and what they say of people who
//! signed out there. OpenID Connect Discovery 1.0 section 4, OpenID Connect Core section 3.1.3, OpenID Connect Back-Channel
//! Logout 1.0 section 2.6.

use std::sync::{Arc, PoisonError, RwLock};
use std::time::Duration;

use bytes::Bytes;
use chartgate_access::ids::Subject;
use chartgate_protocol::form::Form;
use chartgate_protocol::jose::logout_token::{LogoutTokenVerifier, SignedOutThere};
use chartgate_protocol::jose::provider_token::{ProviderTokenVerifier, SignedInThere};
use chartgate_protocol::jose::{Claimed, KeySet, Rejection};
use chartgate_protocol::oauth::https_uri::HttpsUri;
use chartgate_protocol::oidc::provider::{
    MetadataError, NoIdToken, ProviderMetadata, SecretPlace, id_token_of,
};
use chartgate_values::seal::SealingKey;
use chartgate_values::{Secret, Timestamp};
use http::header::{ACCEPT, AUTHORIZATION, CONTENT_TYPE};
use http::{HeaderValue, Method, Request, StatusCode, Uri};
use http_body_util::Full;
use tokio::sync::Mutex;
use tokio::time::Instant;

use super::remote_keys::RemoteKeys;
use super::trusted_issuers::SKEW;
use crate::config;
use crate::entropy::SystemEntropy;
use crate::net::body::{self, BodyError};
use crate::net::client::{CallError, ClientError, HttpClient};
use crate::net::credential::client_secret;

/// How old what a provider says of itself may be.
const FRESH_FOR: Duration = Duration::from_hours(1);
/// How long it is believed where the provider cannot be asked again.
const BELIEVED_FOR: Duration = Duration::from_hours(24);
/// The shortest time between two tries.
const TRY_AFTER: Duration = Duration::from_secs(10);
/// How long it may take to say it.
const ASK_TIME: Duration = Duration::from_secs(5);
/// The longest metadata or answer.
const LONGEST: u64 = 256 << 10;
/// How long its body may take.
const BODY_TIME: Duration = Duration::from_secs(10);
/// What ID tokens are sealed for.
pub(crate) const PURPOSE: &str = "ID tokens of identity providers";
/// The longest ID token that is kept: it is to stand in an address, and servers take eight kilobytes of those.
const LONGEST_KEPT: usize = 4 << 10;

/// All of them, as the configuration names them.
pub(crate) struct Providers {
    all: Vec<Arc<Provider>>,
    seal: Arc<SealingKey>,
}

/// One of them.
pub(crate) struct Provider {
    pub(crate) config: Arc<config::IdentityProvider>,
    client: HttpClient,
    metadata_uri: Uri,
    found: RwLock<Option<(Arc<Endpoints>, Instant)>>,
    /// Held by the one that asks: when it was asked last.
    tried: Mutex<Option<Instant>>,
}

/// What a provider said of itself, and the ways there.
pub(crate) struct Endpoints {
    pub(crate) metadata: ProviderMetadata,
    token: HttpClient,
    token_uri: Uri,
    keys: Arc<RemoteKeys>,
}

/// What a sign-in was begun with, and the code that came of it.
pub(crate) struct Redeemed<'a> {
    pub(crate) code: &'a str,
    pub(crate) verifier: &'a str,
    pub(crate) nonce: &'a str,
    pub(crate) redirect_uri: &'a str,
}

/// Why nobody signed in there, as far as we are concerned.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ProviderError {
    /// Its address or its CA.
    #[error(transparent)]
    Client(#[from] ClientError),
    /// It cannot be reached.
    #[error(transparent)]
    Call(#[from] CallError),
    /// Its answer breaks off, or is too long.
    #[error(transparent)]
    Body(#[from] BodyError),
    /// It was asked a moment ago, in vain.
    #[error("it could not be reached a moment ago")]
    Lately,
    /// It does not answer as it should.
    #[error("status {0}")]
    Status(StatusCode),
    /// What it says of itself.
    #[error(transparent)]
    Metadata(#[from] MetadataError),
    /// An endpoint has no address that can be called.
    #[error("an endpoint has no good address")]
    Endpoint,
    /// Our secret there cannot stand in a header.
    #[error("the client's secret cannot be sent")]
    Secret,
    /// Its answer to the code.
    #[error(transparent)]
    Answer(#[from] NoIdToken),
    /// Its token.
    #[error("its token: {0}")]
    Token(#[from] Rejection),
}

impl Providers {
    /// Prepares all that a configuration names. None of them is asked for anything yet.
    ///
    /// # Errors
    /// If a CA cannot be read.
    pub(crate) fn new(
        configured: &[Arc<config::IdentityProvider>],
        seal: Arc<SealingKey>,
    ) -> Result<Self, ProviderError> {
        let all = configured.iter().map(|one| Provider::new(one).map(Arc::new)).collect::<Result<_, _>>()?;
        Ok(Self { all, seal })
    }

    /// All, in their order.
    pub(crate) fn iter(&self) -> impl Iterator<Item = &Arc<Provider>> {
        self.all.iter()
    }

    /// Whether one of them has this issuer.
    pub(crate) fn are_of(&self, issuer: &str) -> bool {
        self.of(issuer).is_some()
    }

    /// The one with this issuer.
    pub(crate) fn of(&self, issuer: &str) -> Option<&Arc<Provider>> {
        self.all.iter().find(|provider| provider.config.issuer.as_str() == issuer)
    }

    /// The one of this name.
    pub(crate) fn named(&self, name: &str) -> Option<&Arc<Provider>> {
        self.all.iter().find(|provider| provider.config.name == name)
    }

    /// Seals the ID token with which somebody signed in, so that they can sign out there with it. Who has none signs out all the
    /// same, as the provider has it.
    pub(crate) fn seal(&self, issuer: &str, of: &Subject, id_token: &Secret<String>) -> Option<Vec<u8>> {
        let text = Some(id_token.expose()).filter(|text| text.len() <= LONGEST_KEPT)?;
        self.seal.seal(&mut SystemEntropy, place(issuer, of).as_bytes(), text.as_bytes()).ok()
    }

    /// What was sealed.
    pub(crate) fn open(&self, issuer: &str, of: &Subject, sealed: &[u8]) -> Option<Secret<String>> {
        let opened = self.seal.open(place(issuer, of).as_bytes(), sealed).ok()?;
        String::from_utf8(opened.expose().clone()).ok().map(Secret::new)
    }
}

fn place(issuer: &str, of: &Subject) -> String {
    format!("{issuer} {of}")
}

/// Who signed in, and the ID token that says so.
pub(crate) struct Redemption {
    pub(crate) there: SignedInThere,
    pub(crate) id_token: Secret<String>,
}

impl Provider {
    /// Prepares one. It is not asked for anything yet.
    ///
    /// # Errors
    /// If its CA cannot be read.
    pub(crate) fn new(config: &Arc<config::IdentityProvider>) -> Result<Self, ProviderError> {
        let issuer = config.issuer.as_str();
        let uri = format!("{}/.well-known/openid-configuration", issuer.trim_end_matches('/'));
        let metadata_uri: Uri = uri.parse().map_err(|_| ProviderError::Endpoint)?;
        let client = HttpClient::new(&metadata_uri, config.ca.as_deref())?;
        Ok(Self {
            config: Arc::clone(config),
            client,
            metadata_uri,
            found: RwLock::default(),
            tried: Mutex::default(),
        })
    }

    /// What the provider says of itself, asked for again where that is old. One asks, and waits five seconds at most; others
    /// go on with what is still believed, or without.
    ///
    /// # Errors
    /// [`ProviderError`].
    pub(crate) async fn endpoints(&self) -> Result<Arc<Endpoints>, ProviderError> {
        let held = self.found.read().unwrap_or_else(PoisonError::into_inner).clone();
        let (found, age) = match held {
            Some((found, since)) => (Some(found), since.elapsed()),
            None => (None, Duration::MAX),
        };
        if let Some(found) = &found
            && age < FRESH_FOR
        {
            return Ok(Arc::clone(found));
        }
        let asked = match self.tried.try_lock() {
            Ok(mut tried) if tried.is_none_or(|tried: Instant| tried.elapsed() >= TRY_AFTER) => {
                let asked = tokio::time::timeout(ASK_TIME, self.ask(found.as_deref())).await;
                *tried = Some(Instant::now());
                asked.unwrap_or(Err(ProviderError::Call(CallError::TooSlow)))
            }
            Ok(_) | Err(_) => Err(ProviderError::Lately),
        };
        match (asked, found) {
            (Ok(new), _) => {
                let mut held = self.found.write().unwrap_or_else(PoisonError::into_inner);
                *held = Some((Arc::clone(&new), Instant::now()));
                Ok(new)
            }
            (Err(_), Some(found)) if age < BELIEVED_FOR => Ok(found),
            (Err(error), _) => Err(error),
        }
    }

    async fn ask(&self, former: Option<&Endpoints>) -> Result<Arc<Endpoints>, ProviderError> {
        let mut request = Request::new(Full::default());
        *request.uri_mut() = self.metadata_uri.clone();
        request.headers_mut().insert(ACCEPT, HeaderValue::from_static("application/json"));
        let said = take(&self.client, request).await?;
        let metadata = ProviderMetadata::parse(&said, self.config.issuer.as_str())?;
        let ca = self.config.ca.as_deref();
        let uri = |endpoint: &HttpsUri| endpoint.as_str().parse::<Uri>().map_err(|_| ProviderError::Endpoint);
        let (token_uri, keys_uri) = (uri(&metadata.token_endpoint)?, uri(&metadata.jwks_uri)?);
        let token = HttpClient::new(&token_uri, ca)?;
        let keys = match former {
            // What they say for how long its keys are believed holds on.
            Some(former) if former.metadata.jwks_uri == metadata.jwks_uri => Arc::clone(&former.keys),
            Some(_) | None => Arc::new(RemoteKeys::of_operators(HttpClient::new(&keys_uri, ca)?, keys_uri)),
        };
        Ok(Arc::new(Endpoints { metadata, token, token_uri, keys }))
    }

    /// Redeems a code, and says who signed in.
    ///
    /// # Errors
    /// [`ProviderError`].
    pub(crate) async fn redeem(
        &self,
        endpoints: &Endpoints,
        code: &Redeemed<'_>,
        now: Timestamp,
    ) -> Result<Redemption, ProviderError> {
        let answer = take(&endpoints.token, self.token_request(endpoints, code)?).await?;
        let token = id_token_of(&answer)?;
        let verifier = ProviderTokenVerifier {
            issuer: self.config.issuer.as_str(),
            client_id: &self.config.client_id,
            nonce: code.nonce,
            groups: self.config.groups.as_ref().map(|(path, _)| path),
            name: Some(&self.config.names),
            skew: SKEW,
        };
        let there = verifier.verify(&token, &*keys_for(endpoints, &token).await?, now)?;
        Ok(Redemption { there, id_token: Secret::new(token) })
    }

    /// Who signed out there, as a logout token says.
    ///
    /// # Errors
    /// [`ProviderError`].
    pub(crate) async fn signed_out(
        &self,
        token: &str,
        now: Timestamp,
    ) -> Result<SignedOutThere, ProviderError> {
        let verifier = LogoutTokenVerifier {
            issuer: self.config.issuer.as_str(),
            client_id: &self.config.client_id,
            skew: SKEW,
        };
        // Whoever shows what cannot be one makes us ask nobody.
        Claimed::read(token)?;
        let endpoints = self.endpoints().await?;
        let keys = keys_for(&endpoints, token).await?;
        // Where its keys cannot be had nobody can say whether it is the provider's.
        if keys.keys().next().is_none() {
            return Err(ProviderError::Lately);
        }
        Ok(verifier.verify(token, &keys, now)?)
    }

    fn token_request(
        &self,
        endpoints: &Endpoints,
        code: &Redeemed<'_>,
    ) -> Result<Request<Full<Bytes>>, ProviderError> {
        let (id, secret) = (self.config.client_id.as_str(), &self.config.client_secret);
        let mut form = Form::default();
        form.push("grant_type", "authorization_code");
        form.push("code", code.code);
        form.push("redirect_uri", code.redirect_uri);
        form.push("code_verifier", code.verifier);
        let authorization = match endpoints.metadata.secret {
            SecretPlace::Header => Some(client_secret(id, secret).ok_or(ProviderError::Secret)?),
            SecretPlace::Form => {
                form.push("client_id", id);
                form.push("client_secret", secret.expose());
                None
            }
        };
        let mut request = Request::new(Full::from(Bytes::from(form.encode())));
        *request.method_mut() = Method::POST;
        *request.uri_mut() = endpoints.token_uri.clone();
        let headers = request.headers_mut();
        headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/x-www-form-urlencoded"));
        headers.insert(ACCEPT, HeaderValue::from_static("application/json"));
        headers.extend(authorization.map(|value| (AUTHORIZATION, value)));
        Ok(request)
    }
}

/// The provider's keys, asked for again where they have not the one that a token names.
async fn keys_for(endpoints: &Endpoints, token: &str) -> Result<Arc<KeySet>, Rejection> {
    let kid = Claimed::read(token)?.kid.ok_or(Rejection::MissingKid)?;
    Ok(endpoints.keys.for_kid(&kid).await)
}

async fn take(client: &HttpClient, request: Request<Full<Bytes>>) -> Result<Bytes, ProviderError> {
    let (head, content) = client.call(request).await?.into_parts();
    let said = body::take(content, LONGEST, BODY_TIME).await?;
    match head.status {
        StatusCode::OK => Ok(said),
        other => Err(ProviderError::Status(other)),
    }
}
