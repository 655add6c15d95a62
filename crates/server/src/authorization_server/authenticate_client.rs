//! Which client calls, proven as it is registered. RFC 6749 section 2.3, RFC 7523 section 3, RFC 8705 section 2, SMART App
//! Launch 2.2.

mod certificate;

use std::sync::Arc;

use chartgate_access::client::{AuthMethod, Client};
use chartgate_access::ids::ClientId;
use chartgate_access::profile::AssertionAudience;
use chartgate_protocol::form::Form;
use chartgate_protocol::jose::{Claimed, ClientAssertionVerifier};
use chartgate_protocol::oauth::client_authentication::{Presented, PresentedError};
use chartgate_protocol::oauth::error::ErrorCode;
use chartgate_values::{Secret, Timestamp};
use http::HeaderMap;
use subtle::ConstantTimeEq as _;

use super::AuthorizationServer;
use super::error::{Challenge, OAuthError};
use crate::entropy::digest_of;
use crate::live::client_keys::NoKeys;
use crate::net::origin::Origin;
use crate::store::StoreError;
use crate::store::refresh_tokens::RefreshKey;
use crate::store::used_assertions::FirstUse;

/// A client that did not prove who it is: the reason for the record, and what it says of itself.
#[derive(Debug)]
pub(super) struct NotAuthenticated {
    pub(super) claimed: Option<String>,
    pub(super) reason: &'static str,
    pub(super) error: OAuthError,
}

/// Finds and checks the client of a request.
///
/// # Errors
/// [`NotAuthenticated`]. The client learns `invalid_client`, whether it is unknown, shows the wrong secret or uses
/// another way than its own.
pub(super) async fn authenticate_client(
    server: &AuthorizationServer,
    origin: &Origin,
    headers: &HeaderMap,
    form: &Form,
    now: Timestamp,
) -> Result<Arc<Client>, NotAuthenticated> {
    let authorization = match authorization(headers) {
        Ok(value) => value,
        Err(reason) => return Err(refused(None, reason, Challenge::Basic)),
    };
    let challenge = if authorization.is_some() { Challenge::Basic } else { Challenge::No };
    let (claimed, proof) = match Presented::read(authorization, form) {
        Ok(Presented::Basic { client_id, secret }) => {
            (client_id, Proof::Secret(AuthMethod::ClientSecretBasic, secret))
        }
        Ok(Presented::Post { client_id, secret }) => {
            (client_id, Proof::Secret(AuthMethod::ClientSecretPost, secret))
        }
        Ok(Presented::Public { client_id }) => (client_id, Proof::None),
        Ok(Presented::Assertion { client_id, assertion }) => {
            let said = Claimed::read(assertion.expose()).ok();
            let said = said.and_then(|said| Some((said.sub?, Keys { kid: said.kid?, jku: said.jku })));
            match (said, client_id) {
                (Some((sub, keys)), named) if named.as_deref().is_none_or(|named| named == sub.as_str()) => {
                    (sub.as_str().to_owned(), Proof::Assertion { assertion, keys })
                }
                (Some(_) | None, named) => return Err(refused(named, "bad-client-assertion", challenge)),
            }
        }
        Err(PresentedError::Several) => {
            let error = OAuthError::new(ErrorCode::InvalidRequest, PresentedError::Several.to_string());
            return Err(NotAuthenticated { claimed: None, reason: "several-client-credentials", error });
        }
        Err(PresentedError::Nobody) => match refreshing_client(server, form) {
            Ok(Some(client_id)) => (client_id.into(), Proof::RefreshToken),
            Ok(None) => return Err(refused(None, "no-client-credentials", challenge)),
            Err(e) => {
                let reason = "store-unavailable";
                return Err(NotAuthenticated { claimed: None, reason, error: e.into() });
            }
        },
        Err(PresentedError::Basic | PresentedError::AssertionType) => {
            return Err(refused(None, "no-client-credentials", challenge));
        }
    };
    let fail = |reason| refused(Some(claimed.clone()), reason, challenge);
    let unavailable = |e: StoreError| NotAuthenticated {
        claimed: Some(claimed.clone()),
        reason: "store-unavailable",
        error: e.into(),
    };
    let Ok(id) = claimed.parse::<ClientId>() else { return Err(fail("unknown-client")) };
    let client = match server.documents.find(&id, origin).await {
        Ok(Some(client)) => client,
        Ok(None) => return Err(fail("unknown-client")),
        Err(e) => {
            let reason = "client-unavailable";
            return Err(NotAuthenticated { claimed: Some(claimed), reason, error: e.into() });
        }
    };
    match (client.token_endpoint_auth_method, proof) {
        (AuthMethod::None, Proof::None | Proof::RefreshToken) => Ok(client),
        (method, Proof::Secret(used, secret)) if method == used => {
            let registered = server.store.registered(&id).map_err(unavailable)?;
            let stored = registered.as_ref().and_then(|registered| registered.secret_digest.as_ref());
            let digest = digest_of(secret.expose());
            match stored {
                Some(stored) if bool::from(stored.as_bytes().ct_eq(digest.as_bytes())) => Ok(client),
                Some(_) | None => Err(fail("wrong-client-secret")),
            }
        }
        (AuthMethod::TlsClientAuth | AuthMethod::SelfSignedTlsClientAuth, Proof::None) => {
            match certificate::check(server, &client, &origin.door, now) {
                Ok(()) => Ok(client),
                Err(cause) => Err(fail(cause.reason())),
            }
        }
        (AuthMethod::PrivateKeyJwt, Proof::Assertion { assertion, keys }) => {
            match check_assertion(server, &client, assertion.expose(), &keys, now).await {
                Ok(FirstUse::Yes) => Ok(client),
                Ok(FirstUse::No) => Err(fail("client-assertion-replayed")),
                Err(AssertionError::Rejected) => Err(fail("bad-client-assertion")),
                Err(AssertionError::Store(e)) => Err(unavailable(e)),
            }
        }
        (
            AuthMethod::None
            | AuthMethod::ClientSecretBasic
            | AuthMethod::ClientSecretPost
            | AuthMethod::PrivateKeyJwt
            | AuthMethod::TlsClientAuth
            | AuthMethod::SelfSignedTlsClientAuth,
            Proof::None | Proof::RefreshToken | Proof::Secret(..) | Proof::Assertion { .. },
        ) => Err(fail("wrong-client-authentication-method")),
    }
}

enum Proof {
    None,
    /// A public client refreshes without saying its name, which RFC 6749 section 6 does not ask of it: whoever has the
    /// token could say it as well.
    RefreshToken,
    Secret(AuthMethod, Secret<String>),
    Assertion {
        assertion: Secret<String>,
        keys: Keys,
    },
}

/// What an assertion says of the key that signed it.
struct Keys {
    kid: String,
    jku: Option<String>,
}

enum AssertionError {
    Rejected,
    Store(StoreError),
}

impl From<StoreError> for AssertionError {
    fn from(error: StoreError) -> Self {
        Self::Store(error)
    }
}

async fn check_assertion(
    server: &AuthorizationServer,
    client: &Client,
    assertion: &str,
    said: &Keys,
    now: Timestamp,
) -> Result<FirstUse, AssertionError> {
    // SMART App Launch 2.2, requirement 338: an address beside the key is the registered one, or the assertion is not good.
    let registered = client.options.jwks_uri.as_ref().map(|uri| uri.as_str());
    if said.jku.is_some() && said.jku.as_deref() != registered {
        return Err(AssertionError::Rejected);
    }
    let keys = server.client_keys.of(client, &said.kid).await.map_err(|NoKeys| AssertionError::Rejected)?;
    let rules = client.rules();
    let mut audiences = vec![server.issuer.clone()];
    match rules.assertion_audience {
        AssertionAudience::Issuer => {}
        AssertionAudience::IssuerOrTokenEndpoint => audiences.push(format!("{}/token", server.issuer)),
    }
    let verifier = ClientAssertionVerifier {
        client_id: client.client_id.as_str(),
        audiences: &audiences,
        algorithms: rules.algorithms,
        max_lifetime: rules.assertion_life,
        skew: rules.skew,
    };
    let claims = verifier.verify(assertion, &keys, now).map_err(|_| AssertionError::Rejected)?;
    let (id, jti, until) = (client.client_id.clone(), claims.jti.as_str().to_owned(), claims.exp.timestamp());
    server.store.write(move |sql| Ok(sql.use_assertion(&id, &jti, until)?)).await
}

/// To whom the refresh token of a request was given.
fn refreshing_client(server: &AuthorizationServer, form: &Form) -> Result<Option<ClientId>, StoreError> {
    let token = form.get("refresh_token").filter(|_| form.get("grant_type") == Some("refresh_token"));
    let Some(key) = token.map(RefreshKey::of) else { return Ok(None) };
    let stored = server.store.read(|sql| sql.refresh_token(&key))?;
    Ok(stored.map(|stored| stored.token.client_id))
}

/// The one `Authorization` header, if there is any.
fn authorization(headers: &HeaderMap) -> Result<Option<&str>, &'static str> {
    let mut all = headers.get_all(http::header::AUTHORIZATION).iter();
    match (all.next(), all.next()) {
        (None, _) => Ok(None),
        (Some(one), None) => one.to_str().map(Some).map_err(|_| "bad-authorization-header"),
        (Some(_), Some(_)) => Err("bad-authorization-header"),
    }
}

fn refused(claimed: Option<String>, reason: &'static str, challenge: Challenge) -> NotAuthenticated {
    let error = OAuthError {
        code: ErrorCode::InvalidClient,
        description: "client authentication failed".to_owned(),
        challenge,
        nonce: None,
    };
    NotAuthenticated { claimed, reason, error }
}
