//! Requests that their client signed. RFC 9101, CIBA Core section 7.1.1; ATTACKS O19, O23.
//!
//! What stands in the object is the request; of what stands beside it nothing is taken. SPEC: an object for the authorization
//! endpoint may come again while it is valid, as a browser that loads a page again sends it: what comes of it is asked of a
//! person each time. Where the client's profile has its requests pushed, one with a name (`jti`) comes once; so does every
//! question to a person elsewhere, which has to have one.

use std::borrow::Cow;
use std::time::Duration;

use chartgate_access::client::responses::Encryption;
use chartgate_access::client::{Client, SignedRequests};
use chartgate_access::profile::Objects;
use chartgate_protocol::form::Form;
use chartgate_protocol::jose::{Algorithm, Claimed, Protection, ReaderKeys, Rejection};
use chartgate_protocol::oauth::error::ErrorCode;
use chartgate_protocol::oauth::request_object::{
    Holds, NotBefore, ObjectType, RequestObject, RequestObjectError, RequestObjectVerifier,
};

use super::AuthorizationServer;
use crate::live::client_keys::NoKeys;
use crate::store::StoreError;
use crate::store::used_assertions::FirstUse;

/// How long an object may be valid. FAPI 2.0 Message Signing section 5.3.1.
const LONGEST_LIFE: Duration = Duration::from_secs(3600);

/// Why there is no request.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
pub(super) enum NoRequest {
    /// RFC 9101 section 10.5.
    #[error("the client has to sign its requests")]
    NotSigned,
    /// The client has no keys.
    #[error("the client registered no keys to sign with")]
    NoKeys,
    /// CIBA Core section 7.1.1: what is asked stands in the object alone.
    #[error("beside a signed request nothing is asked")]
    Beside,
    /// It came before.
    #[error("the request object was used already")]
    Used,
    /// Whether it came before cannot be told.
    #[error("try again later")]
    Unavailable,
    /// The object is not good.
    #[error(transparent)]
    Object(#[from] RequestObjectError),
}

impl NoRequest {
    /// The code for the client.
    pub(super) fn code(self) -> ErrorCode {
        match self {
            Self::NotSigned | Self::Beside => ErrorCode::InvalidRequest,
            Self::NoKeys | Self::Used => ErrorCode::InvalidRequestObject,
            Self::Unavailable => ErrorCode::TemporarilyUnavailable,
            Self::Object(cause) => cause.code(),
        }
    }
}

/// The parameters of a request: those of its object, where it has one.
///
/// # Errors
/// [`NoRequest`].
pub(super) async fn open<'f>(
    server: &AuthorizationServer,
    client: &Client,
    form: &'f Form,
) -> Result<Cow<'f, Form>, NoRequest> {
    let Some(object) = form.get("request") else {
        return match client.options.require_signed_request_object {
            SignedRequests::Required => Err(NoRequest::NotSigned),
            SignedRequests::Optional => Ok(Cow::Borrowed(form)),
        };
    };
    let rules = client.rules();
    let read = verify(server, client, form, object, Holds::Authorization, rules.algorithms).await?;
    if rules.request_objects == Objects::Once {
        use_up(server, client, &read).await?;
    }
    Ok(Cow::Owned(read.parameters))
}

/// The parameters of a question to a person elsewhere: those of its object, where it has one.
///
/// # Errors
/// [`NoRequest`].
pub(super) async fn open_question<'f>(
    server: &AuthorizationServer,
    client: &Client,
    form: &'f Form,
) -> Result<Cow<'f, Form>, NoRequest> {
    let Some(object) = form.get("request") else {
        return match client.backchannel_requests() {
            SignedRequests::Required => Err(NoRequest::NotSigned),
            SignedRequests::Optional => Ok(Cow::Borrowed(form)),
        };
    };
    if form.iter().any(|(name, _)| name != "request" && !OF_THE_CLIENT.contains(&name)) {
        return Err(NoRequest::Beside);
    }
    let registered = client.options.backchannel_authentication_request_signing_alg.as_ref();
    let algorithms = registered.map_or(client.rules().algorithms, std::slice::from_ref);
    let read = verify(server, client, form, object, Holds::BackchannelAuthentication, algorithms).await?;
    use_up(server, client, &read).await?;
    Ok(Cow::Owned(read.parameters))
}

/// What shows who asks.
const OF_THE_CLIENT: [&str; 4] = ["client_id", "client_secret", "client_assertion", "client_assertion_type"];

/// Uses an object up that has a name of its own. Its name is one of requests: that of an assertion is another.
async fn use_up(
    server: &AuthorizationServer,
    client: &Client,
    object: &RequestObject,
) -> Result<(), NoRequest> {
    let Some(jti) = &object.jti else { return Ok(()) };
    let (id, name, until) = (client.client_id.clone(), format!("request {jti}"), object.exp.timestamp());
    match server.store.write(move |sql| sql.use_assertion(&id, &name, until)).await {
        Ok(FirstUse::Yes) => Ok(()),
        Ok(FirstUse::No) => Err(NoRequest::Used),
        Err::<_, StoreError>(error) => {
            tracing::error!(%error, "request object");
            Err(NoRequest::Unavailable)
        }
    }
}

async fn verify(
    server: &AuthorizationServer,
    client: &Client,
    form: &Form,
    object: &str,
    holds: Holds,
    algorithms: &[Algorithm],
) -> Result<RequestObject, NoRequest> {
    let token = RequestObjectError::Token;
    let ring = server.keys.current();
    let protection = match client.options.request_object_encryption {
        None => Protection::Signed,
        Some(Encryption { content, .. }) => Protection::SignedAndEncrypted(vec![content]),
    };
    let signed = ring.signed_within(object).map_err(token)?;
    let kid = Claimed::read(&signed).map_err(token)?.kid.ok_or(token(Rejection::MissingKid))?;
    let keys = server.client_keys.of(client, &kid).await.map_err(|NoKeys| NoRequest::NoKeys)?;
    let not_before = match holds {
        Holds::Authorization => client.rules().request_object_not_before,
        Holds::BackchannelAuthentication => NotBefore::Required,
    };
    let verifier = RequestObjectVerifier {
        holds,
        client_id: client.client_id.as_str(),
        issuer: &server.issuer,
        algorithms,
        protection: &protection,
        object_type: ObjectType::ExplicitOrPlain,
        not_before,
        max_lifetime: LONGEST_LIFE,
        skew: client.rules().skew,
    };
    let reader = ReaderKeys { verifying: &keys, decrypting: &ring.decrypting };
    Ok(verifier.verify(object, form, reader, server.clock.now())?)
}
