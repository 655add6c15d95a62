//! Authorization requests that their client signed. RFC 9101; ATTACKS O23.
//!
//! What stands in the object is the request; of what stands beside it nothing is taken. SPEC: an object may come again
//! while it is valid, as a browser that loads a page again sends it: what comes of it is asked of a person each time.

use std::borrow::Cow;
use std::time::Duration;

use chartgate_access::client::responses::Encryption;
use chartgate_access::client::{Client, SignedRequests};
use chartgate_protocol::form::Form;
use chartgate_protocol::jose::{Claimed, Protection, ReaderKeys, Rejection};
use chartgate_protocol::oauth::error::ErrorCode;
use chartgate_protocol::oauth::request_object::{ObjectType, RequestObjectError, RequestObjectVerifier};

use super::AuthorizationServer;
use crate::live::client_keys::NoKeys;

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
    /// The object is not good.
    #[error(transparent)]
    Object(#[from] RequestObjectError),
}

impl NoRequest {
    /// The code for the client.
    pub(super) fn code(self) -> ErrorCode {
        match self {
            Self::NotSigned => ErrorCode::InvalidRequest,
            Self::NoKeys => ErrorCode::InvalidRequestObject,
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
    let token = RequestObjectError::Token;
    let ring = server.keys.current();
    let protection = match client.options.request_object_encryption {
        None => Protection::Signed,
        Some(Encryption { content, .. }) => Protection::SignedAndEncrypted(vec![content]),
    };
    let signed = ring.signed_within(object).map_err(token)?;
    let kid = Claimed::read(&signed).map_err(token)?.kid.ok_or(token(Rejection::MissingKid))?;
    let keys = server.client_keys.of(client, &kid).await.map_err(|NoKeys| NoRequest::NoKeys)?;
    let rules = client.rules();
    let verifier = RequestObjectVerifier {
        client_id: client.client_id.as_str(),
        issuer: &server.issuer,
        algorithms: rules.algorithms,
        protection: &protection,
        object_type: ObjectType::ExplicitOrPlain,
        not_before: rules.request_object_not_before,
        max_lifetime: LONGEST_LIFE,
        skew: Duration::ZERO,
    };
    let reader = ReaderKeys { verifying: &keys, decrypting: &ring.decrypting };
    let read = verifier.verify(object, form, reader, server.clock.now())?;
    Ok(Cow::Owned(read.parameters))
}
