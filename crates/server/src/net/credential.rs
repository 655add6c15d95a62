//! The gateway's own credential towards an upstream. The caller's never travels.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use chartgate_protocol::form::percent_encode;
use chartgate_values::Secret;
use http::{HeaderValue, Uri};
use std::path::Path;
use zeroize::Zeroizing;

use super::client::{ClientError, HttpClient};
pub(crate) use super::client_credentials::FetchError;
use super::client_credentials::FetchedToken;
use crate::config::{Route, UpstreamAuth};

/// What stands in the `Authorization` header of requests to an upstream.
pub(crate) enum Credential {
    /// Nothing: it wants none.
    None,
    /// Nothing: it knows us by our certificate.
    Certificate,
    /// Always the same.
    Fixed(HeaderValue),
    /// A token of another's, while it is good.
    Fetched(Box<FetchedToken>),
}

/// Prepares to call a route's upstream as ourselves.
///
/// # Errors
/// [`ClientError`] if a CA, certificate or key cannot be read, an address cannot be called, or a credential cannot be sent.
pub(crate) fn prepare(route: &Route) -> Result<(HttpClient, Credential), ClientError> {
    prepare_for(&route.upstream, route.upstream_ca.as_deref(), &route.upstream_auth)
}

/// The same for any server.
///
/// # Errors
/// As [`prepare`].
pub(crate) fn prepare_for(
    base: &Uri,
    ca: Option<&Path>,
    auth: &UpstreamAuth,
) -> Result<(HttpClient, Credential), ClientError> {
    let credential = match auth {
        UpstreamAuth::None => Credential::None,
        UpstreamAuth::ClientCertificate(files) => {
            return Ok((HttpClient::presenting(base, ca, files)?, Credential::Certificate));
        }
        UpstreamAuth::Bearer(token) => {
            Credential::fixed(&Zeroizing::new(format!("Bearer {}", token.expose())))?
        }
        UpstreamAuth::Basic { username, password } => {
            let pair = Zeroizing::new(format!("{username}:{}", password.expose()));
            Credential::fixed(&Zeroizing::new(basic(&pair)))?
        }
        UpstreamAuth::ClientCredentials(how) => {
            Credential::Fetched(Box::new(FetchedToken::new(how, HttpClient::new(&how.token_url, ca)?)))
        }
    };
    Ok((HttpClient::new(base, ca)?, credential))
}

/// `client_secret_basic`. RFC 6749 section 2.3.1: both are form-encoded before they are joined.
pub(crate) fn client_secret(client_id: &str, secret: &Secret<String>) -> Option<HeaderValue> {
    // SPEC: a space as `%20`, which servers that decode forms and servers that decode URLs both understand.
    let mut pair = Zeroizing::new(String::new());
    percent_encode(client_id, &mut pair);
    pair.push(':');
    percent_encode(secret.expose(), &mut pair);
    sensitive(&Zeroizing::new(basic(&pair)))
}

/// RFC 7617 section 2.
fn basic(pair: &str) -> String {
    format!("Basic {}", STANDARD.encode(pair))
}

/// A header's value that no debug output shows.
pub(crate) fn sensitive(text: &str) -> Option<HeaderValue> {
    let mut value = HeaderValue::from_str(text).ok()?;
    value.set_sensitive(true);
    Some(value)
}

impl Credential {
    /// Never none in place of one that cannot be sent: an upstream that wants a credential is not called without.
    fn fixed(text: &str) -> Result<Self, ClientError> {
        sensitive(text).map(Self::Fixed).ok_or(ClientError::Credential)
    }

    /// The header as it is now.
    ///
    /// # Errors
    /// [`FetchError`] if there is a token to fetch and it cannot be had.
    pub(crate) async fn header(&self) -> Result<Option<HeaderValue>, FetchError> {
        match self {
            Self::None | Self::Certificate => Ok(None),
            Self::Fixed(value) => Ok(Some(value.clone())),
            Self::Fetched(token) => Box::pin(token.header()).await.map(Some),
        }
    }

    /// Whether the upstream is told who we are at all.
    pub(crate) fn is_shown(&self) -> bool {
        match self {
            Self::None => false,
            Self::Certificate | Self::Fixed(_) | Self::Fetched(_) => true,
        }
    }

    /// The upstream does not believe it: the next request is made with a fresh one, if there can be one.
    pub(crate) fn was_refused(&self, value: Option<&HeaderValue>) {
        if let (Self::Fetched(token), Some(value)) = (self, value) {
            token.forget(value);
        }
    }
}
