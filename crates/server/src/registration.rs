//! What a client has to be in order to be registered. RFC 7591 section 2, RFC 8705 section 2.

use std::collections::BTreeSet;

use chartgate_access::client::responses::Encryption;
use chartgate_access::client::{
    AuthMethod, BoundTokens, Client, ClientKind, ClientOptions, Consent, GrantType, PushedRequests,
    SignedRequests,
};
use chartgate_access::ids::{ClientId, Role};
use chartgate_access::login::logout::frame_origin;
use chartgate_access::profile::Clients;
use chartgate_protocol::jose::{Algorithm, EncryptionKey, KeySet};
use chartgate_protocol::oauth::error::ErrorCode;
use chartgate_protocol::oauth::mtls::{RegisteredCertificates, RegisteredSubject};
use chartgate_protocol::oauth::redirect::RedirectUri;
use chartgate_protocol::oauth::scope::ScopeSet;
use serde::{Deserialize, Serialize};
use serde_json::Value;

pub(crate) mod changes;
pub(crate) mod documents;
pub(crate) mod in_force;
pub(crate) mod policy;
pub(crate) mod settings;
pub(crate) mod shown;

/// A client to be registered. What is left out follows from its kind.
#[derive(Clone, Debug, Eq, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct NewClient {
    pub(crate) client_id: ClientId,
    pub(crate) kind: ClientKind,
    pub(crate) redirect_uris: Vec<RedirectUri>,
    pub(crate) grant_types: BTreeSet<GrantType>,
    pub(crate) scope: ScopeSet,
    pub(crate) audience: Option<String>,
    pub(crate) auth_method: Option<AuthMethod>,
    pub(crate) jwks: Option<Value>,
    pub(crate) roles: BTreeSet<Role>,
    pub(crate) consent: Option<Consent>,
    pub(crate) options: ClientOptions,
}

impl NewClient {
    /// One of which nothing is said but its name and kind.
    pub(crate) fn bare(client_id: ClientId, kind: ClientKind) -> Self {
        Self {
            client_id,
            kind,
            redirect_uris: Vec::new(),
            grant_types: BTreeSet::new(),
            scope: ScopeSet::default(),
            audience: None,
            auth_method: None,
            jwks: None,
            roles: BTreeSet::new(),
            consent: None,
            options: ClientOptions::default(),
        }
    }
}

/// What would be registered to have it as it is.
impl From<Client> for NewClient {
    fn from(client: Client) -> Self {
        Self {
            client_id: client.client_id,
            kind: client.kind,
            redirect_uris: client.redirect_uris,
            grant_types: client.grant_types,
            scope: client.scope,
            audience: client.audience,
            auth_method: Some(client.token_endpoint_auth_method),
            jwks: client.jwks,
            roles: client.roles,
            consent: Some(client.consent),
            options: client.options,
        }
    }
}

/// Why a client cannot be what it shall be, in words for whoever registers it.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
pub(crate) enum Unregistrable {
    /// For where it wants browsers to be sent.
    #[error("{0}")]
    RedirectUri(String),
    /// For something else.
    #[error("{0}")]
    Metadata(String),
}

impl Unregistrable {
    /// The error code of RFC 7591 section 3.2.2.
    pub(crate) fn code(&self) -> ErrorCode {
        match self {
            Self::RedirectUri(_) => ErrorCode::InvalidRedirectUri,
            Self::Metadata(_) => ErrorCode::InvalidClientMetadata,
        }
    }
}

/// Fills in what follows from the kind, and refuses what makes no sense together. Every registration is the outcome of
/// this, whoever writes it and whether it is the first or not (ATTACKS O25).
///
/// # Errors
/// [`Unregistrable`], by the first cause.
pub(crate) fn settle(new: NewClient) -> Result<Client, Unregistrable> {
    let invalid = |text: String| Err(Unregistrable::Metadata(text));
    let id = new.client_id;
    if id.is_foreign() {
        return invalid(format!("`{id}` is a name of another issuer's"));
    }
    let has_keys = new.jwks.is_some() || new.options.jwks_uri.is_some();
    let wants_keys = new.options.profile.rules().clients == Clients::WithKeys;
    let method = new.auth_method.unwrap_or(match new.kind {
        ClientKind::Public => AuthMethod::None,
        ClientKind::Backend if has_keys => AuthMethod::PrivateKeyJwt,
        ClientKind::Confidential if has_keys && wants_keys => AuthMethod::PrivateKeyJwt,
        ClientKind::Confidential | ClientKind::Backend => AuthMethod::ClientSecretBasic,
    });
    check_certificates(method, new.jwks.as_ref(), new.options.tls_client_auth.as_ref())?;
    let grant_types = if new.grant_types.is_empty() {
        match new.kind {
            ClientKind::Public | ClientKind::Confidential => {
                BTreeSet::from([GrantType::AuthorizationCode, GrantType::RefreshToken])
            }
            ClientKind::Backend => BTreeSet::from([GrantType::ClientCredentials]),
        }
    } else {
        new.grant_types
    };
    match (new.kind, method) {
        (ClientKind::Public, AuthMethod::None) => {}
        (ClientKind::Public, other) => {
            return invalid(format!("a public client keeps no secret, so not {other}"));
        }
        (ClientKind::Confidential | ClientKind::Backend, AuthMethod::None) => {
            return invalid("only a public client may use the method none".to_owned());
        }
        (ClientKind::Confidential | ClientKind::Backend, _) => {}
    }
    if grant_types.contains(&GrantType::ClientCredentials) && new.kind == ClientKind::Public {
        return invalid("a public client cannot use client_credentials".to_owned());
    }
    if grant_types.contains(&GrantType::TokenExchange) && new.kind == ClientKind::Public {
        return invalid("a public client cannot exchange tokens".to_owned());
    }
    if grant_types.contains(&GrantType::JwtBearer) && new.kind == ClientKind::Public {
        return invalid("a public client cannot show what another issuer says".to_owned());
    }
    if grant_types.contains(&GrantType::Ciba) && new.kind == ClientKind::Public {
        return invalid("a public client cannot ask people behind their browser".to_owned());
    }
    if grant_types.contains(&GrantType::AuthorizationCode) && new.redirect_uris.is_empty() {
        return Err(Unregistrable::RedirectUri("authorization_code needs a redirect URI".to_owned()));
    }
    if let Some(permission) = new.options.permissions.first().filter(|_| method == AuthMethod::None) {
        return invalid(format!("{permission} needs a client that shows who it is"));
    }
    if let Some(other) = new.options.signing_algorithms().find(|a| !Algorithm::SIGNING.contains(a)) {
        return invalid(format!(
            "nothing is signed with {other}, only with RS256, PS256, ES256, ES384, EdDSA"
        ));
    }
    let signs = new.options.require_signed_request_object == SignedRequests::Required
        || new.options.backchannel_authentication_request_signing_alg.is_some();
    if signs && !has_keys {
        return invalid("signed requests need keys of the client, or their address".to_owned());
    }
    let keys = new.jwks.as_ref().map(ToString::to_string).unwrap_or_default();
    for Encryption { management, .. } in new.options.responses.encryptions() {
        let key = EncryptionKey::first_of(keys.as_bytes(), management);
        // Under an address there may be one tomorrow: it is looked for each time.
        if new.options.jwks_uri.is_none() && !matches!(key, Ok(Some(_))) {
            return invalid(format!(
                "{management} needs a key set with a key for it (`use`: `enc`), or its address"
            ));
        }
    }
    check_localhost(new.kind, &new.redirect_uris, &new.options.post_logout_redirect_uris)?;
    if let Some(uri) = &new.options.frontchannel_logout_uri
        && frame_origin(uri, &new.redirect_uris).is_none()
    {
        return invalid(format!("`{uri}` has to be of the same origin as one of the redirect URIs"));
    }
    // By its origin: a scheme of an application's own may begin with these letters.
    let is_web = |uri: &&RedirectUri| uri.origin().is_some();
    if let Some(uri) = new.options.post_logout_redirect_uris.iter().find(|uri| !is_web(uri)) {
        return invalid(format!("`{uri}` has to be https, or http to a loopback address"));
    }
    match (method, &new.jwks, &new.options.jwks_uri) {
        (_, Some(_), Some(_)) => return invalid("a client has either keys or an address of keys".to_owned()),
        (AuthMethod::PrivateKeyJwt, None, None) => {
            return invalid("private_key_jwt needs keys of the client, or their address".to_owned());
        }
        // Its keys are those of its certificates, and need no names.
        (AuthMethod::SelfSignedTlsClientAuth, _, _) => {}
        (_, Some(jwks), None) => match KeySet::parse(jwks.to_string().as_bytes()) {
            Ok(keys) if keys.keys().next().is_some() => {}
            Ok(_)
                if method != AuthMethod::PrivateKeyJwt
                    && new.options.responses.encryptions().next().is_some() => {}
            Ok(_) => return invalid("the key set has no key that can verify an assertion".to_owned()),
            Err(e) => return invalid(format!("the key set does not parse: {e}")),
        },
        (_, None, Some(_))
        | (
            AuthMethod::None
            | AuthMethod::ClientSecretBasic
            | AuthMethod::ClientSecretPost
            | AuthMethod::TlsClientAuth,
            None,
            None,
        ) => {}
    }
    let client = Client {
        client_id: id,
        kind: new.kind,
        token_endpoint_auth_method: method,
        redirect_uris: new.redirect_uris,
        grant_types,
        scope: new.scope,
        audience: new.audience,
        roles: new.roles,
        jwks: new.jwks,
        consent: new.consent.unwrap_or(Consent::Ask),
        options: in_profile(new.options),
    };
    match client.check_profile() {
        Ok(()) => Ok(client),
        Err(cause) => invalid(format!("the profile {}: {cause}", client.options.profile)),
    }
}

/// What a profile leaves no choice about, where the registration does not say it: the result is what is judged.
fn in_profile(mut options: ClientOptions) -> ClientOptions {
    let rules = options.profile.rules();
    if rules.pushed_requests == PushedRequests::Required {
        options.pushed_requests = PushedRequests::Required;
    }
    if rules.tokens == BoundTokens::Required
        && options.tls_client_certificate_bound_access_tokens == BoundTokens::Optional
    {
        options.dpop_bound_access_tokens = BoundTokens::Required;
    }
    if !rules.algorithms.contains(&Algorithm::RS256) {
        options.id_token_signed_response_alg.get_or_insert(Algorithm::ES256);
    }
    options
}

/// `localhost` is for programs on the person's machine, which are public clients (RFC 8252 section 8.4). A web application
/// that keeps a secret elsewhere has no use for it, and what a name resolves to is not for us to say.
fn check_localhost(
    kind: ClientKind,
    redirect_uris: &[RedirectUri],
    post_logout: &[RedirectUri],
) -> Result<(), Unregistrable> {
    let by_name = |uris: &[RedirectUri]| uris.iter().find(|uri| uri.is_localhost_by_name()).cloned();
    let text = |uri| format!("`{uri}`: plain http to localhost is for public clients");
    match kind {
        ClientKind::Public => Ok(()),
        ClientKind::Confidential | ClientKind::Backend => {
            match (by_name(redirect_uris), by_name(post_logout)) {
                (Some(uri), _) => Err(Unregistrable::RedirectUri(text(uri))),
                (None, Some(uri)) => Err(Unregistrable::Metadata(text(uri))),
                (None, None) => Ok(()),
            }
        }
    }
}

/// A certificate is known by one name, or by itself: RFC 8705 sections 2.1.2 and 2.2.2.
fn check_certificates(
    method: AuthMethod,
    jwks: Option<&Value>,
    subject: Option<&RegisteredSubject>,
) -> Result<(), Unregistrable> {
    let invalid = |text: &str| Err(Unregistrable::Metadata(text.to_owned()));
    match (method, subject) {
        (AuthMethod::TlsClientAuth, None) => {
            return invalid("tls_client_auth needs the one name that its certificate has to have");
        }
        (AuthMethod::TlsClientAuth, Some(_)) | (_, None) => {}
        (_, Some(_)) => return invalid("a name of its certificate is for a client of tls_client_auth"),
    }
    if method != AuthMethod::SelfSignedTlsClientAuth {
        return Ok(());
    }
    let Some(jwks) = jwks else {
        return invalid("self_signed_tls_client_auth needs a key set with its certificates");
    };
    match RegisteredCertificates::parse(jwks.to_string().as_bytes()) {
        Ok(certificates) if !certificates.is_empty() => Ok(()),
        Ok(_) | Err(_) => invalid("the key set has no certificate (`x5c`) of the key beside it"),
    }
}
