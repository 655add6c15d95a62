//! What a client says of itself: under its own address (draft-ietf-oauth-client-id-metadata-document section 4), or in a
//! registration (RFC 7591 section 2, RFC 7592 section 2.2, OpenID Connect Registration section 2).
//!
//! Members that we do not know are passed over, as RFC 7591 has it, and so is `null`, which says as much as nothing; of
//! those that we know each one has to be what it shall be. A secret that is published is none, so a document that has one
//! or wants one says nothing; a registration never chooses its own.

use std::collections::BTreeSet;

use chartgate_values::Secret;
use serde_json::Value;

use super::error::ErrorCode;
use super::https_uri::HttpsUri;
use super::mtls::RegisteredSubject;
use super::redirect::{RedirectUri, RedirectUriError};
use super::scope::ScopeSet;
use crate::jose::Algorithm;
use crate::json::{JsonError, Object};

mod names;
mod particulars;
mod reading;
#[cfg(test)]
mod tests;

pub use names::{AuthMethod, Encryption, GrantType, UnknownEncryption, UnknownName};
use reading::{choice, choices, grants, keys, redirect_uris, scope, text, texts};

/// What was understood of it.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct ClientMetadata {
    /// Where codes may be sent.
    pub redirect_uris: Vec<RedirectUri>,
    /// How it shows who it is, if it says so.
    pub token_endpoint_auth_method: Option<AuthMethod>,
    /// Which grants it uses, if it says so.
    pub grant_types: Option<BTreeSet<GrantType>>,
    /// What it may ask for at the most, if it says so.
    pub scope: Option<ScopeSet>,
    /// Its keys, or where they are.
    pub keys: Option<PublishedKeys>,
    /// Where a browser may go once its person is signed out.
    pub post_logout_redirect_uris: Vec<RedirectUri>,
    /// What it asks to be held to.
    pub demands: BTreeSet<Demand>,
    /// What registrations alone say.
    pub particulars: Particulars,
}

/// Keys of a client, public halves alone.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum PublishedKeys {
    /// `jwks`: these.
    These(Value),
    /// `jwks_uri`: those under this address.
    At(HttpsUri),
}

/// Something that a client wants to be held to.
#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub enum Demand {
    /// RFC 9449 section 5.2.
    DpopBoundTokens,
    /// RFC 9126 section 6.
    PushedRequests,
    /// RFC 9101 section 10.5.
    SignedRequests,
    /// RFC 8705 section 3.4.
    CertificateBoundTokens,
}

/// What a registration says beyond what a document does.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct Particulars {
    /// What it calls itself; said to operators alone.
    pub client_name: Option<String>,
    /// RFC 7591 section 2: what software it is.
    pub software_id: Option<String>,
    /// RFC 7591 section 2: and which version of it.
    pub software_version: Option<String>,
    /// OpenID Connect Back-Channel Logout section 2.2.
    pub backchannel_logout_uri: Option<HttpsUri>,
    /// OpenID Connect Front-Channel Logout section 2.
    pub frontchannel_logout_uri: Option<HttpsUri>,
    /// CIBA Core section 4, where the mode is `ping`.
    pub backchannel_client_notification_endpoint: Option<HttpsUri>,
    /// CIBA Core section 4.
    pub backchannel_authentication_request_signing_alg: Option<Algorithm>,
    /// RFC 8705 section 2.1.2.
    pub tls_client_auth: Option<RegisteredSubject>,
    /// OpenID Connect Registration section 2.
    pub id_token_signed_response_alg: Option<Algorithm>,
    /// The same.
    pub id_token_encrypted_response: Option<Encryption>,
    /// The same.
    pub userinfo_signed_response_alg: Option<Algorithm>,
    /// The same.
    pub userinfo_encrypted_response: Option<Encryption>,
    /// RFC 9701 section 6.
    pub introspection_signed_response_alg: Option<Algorithm>,
    /// The same.
    pub introspection_encrypted_response: Option<Encryption>,
    /// RFC 9101 section 10.5.
    pub request_object_encryption: Option<Encryption>,
}

/// What a registered client sends in place of all that it said before. RFC 7592 section 2.2.
#[derive(Debug)]
pub struct UpdateRequest {
    /// Which client it says that it is.
    pub client_id: String,
    /// The secret that it has, if it says so.
    pub client_secret: Option<Secret<String>>,
    /// What it is from now on.
    pub metadata: ClientMetadata,
}

/// Why it describes no client.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
pub enum ClientMetadataError {
    /// Not an object that can be read in one way only.
    #[error(transparent)]
    Json(#[from] JsonError),
    /// A member is not of its form, or says what is not offered.
    #[error("`{0}` is not of its form, or not offered")]
    Member(&'static str),
    /// Section 4: `client_id` is the address itself, character by character.
    #[error("`client_id` is not the address of the document")]
    ClientId,
    /// Section 4.1: neither a secret nor a method that needs one. Nor the private half of a key, wherever it is said.
    #[error("what is published has no secret")]
    Secret,
    /// RFC 7591 section 3.2.1: members of the answer.
    #[error("`{0}` is for the server to say")]
    ServerSet(&'static str),
    /// RFC 7591 section 2: either, not both.
    #[error("a client has either `jwks` or `jwks_uri`")]
    TwoKeySets,
    /// RFC 7591 section 2.
    #[error(transparent)]
    RedirectUri(#[from] RedirectUriError),
    /// RFC 7591 section 2.1: what goes together. Codes are all that a document's client gets.
    #[error("the grant `authorization_code` and the response type `code` go together")]
    Grant,
    /// RFC 7591 section 2.3: it is no JWT.
    #[error("the software statement is no JWT")]
    SoftwareStatement,
    /// RFC 7591 section 3.2.2: nobody's statements are believed here.
    #[error("no issuer of software statements is trusted here")]
    Unapproved,
}

impl ClientMetadata {
    /// Reads what was found under an address. What a document says for other servers is passed over: other grants, and how
    /// answers are signed and encrypted.
    ///
    /// # Errors
    /// [`ClientMetadataError`], by the first cause.
    pub fn document(document: &[u8], address: &str) -> Result<Self, ClientMetadataError> {
        let object = Object::parse(document, MAX_DEPTH)?;
        if text(&object, "client_id")?.as_deref() != Some(address) {
            return Err(ClientMetadataError::ClientId);
        }
        if object.get("client_secret").is_some() || object.get("client_secret_expires_at").is_some() {
            return Err(ClientMetadataError::Secret);
        }
        let method = text(&object, "token_endpoint_auth_method")?;
        if method.as_deref().is_some_and(|method| method.starts_with("client_secret_")) {
            return Err(ClientMetadataError::Secret);
        }
        let named = texts(&object, "grant_types")?.unwrap_or_else(|| vec![AUTHORIZATION_CODE.to_owned()]);
        let grants: BTreeSet<GrantType> = named.iter().filter_map(|name| name.parse().ok()).collect();
        let answered =
            texts(&object, "response_types")?.is_none_or(|types| types.iter().any(|t| t == "code"));
        if !grants.contains(&GrantType::AuthorizationCode) || !answered {
            return Err(ClientMetadataError::Grant);
        }
        let mut read = Self::common(&object)?;
        read.grant_types = Some(grants);
        // Keys may be there for other ends, such as encryption, which nobody gets who did not register here.
        if read.token_endpoint_auth_method == Some(AuthMethod::None) {
            read.keys = None;
        }
        Ok(read)
    }

    /// Reads a registration. RFC 7591 section 3.1.
    ///
    /// # Errors
    /// [`ClientMetadataError`], by the first cause.
    pub fn registration(body: &[u8]) -> Result<Self, ClientMetadataError> {
        let object = Object::parse(body, MAX_DEPTH)?;
        refuse_server_set(&object, &SERVER_SET)?;
        Self::of_registration(&object)
    }

    fn of_registration(object: &Object<'_>) -> Result<Self, ClientMetadataError> {
        check_software_statement(object)?;
        let grants = grants(object)?;
        let has_code = grants.as_ref().is_none_or(|grants| grants.contains(&GrantType::AuthorizationCode));
        match texts(object, "response_types")? {
            Some(types) if types.iter().any(|name| name != "code") => {
                return Err(ClientMetadataError::Member("response_types"));
            }
            Some(types) if types.is_empty() == has_code => return Err(ClientMetadataError::Grant),
            Some(_) | None => {}
        }
        // OpenID Connect Core section 8: everybody sees the same `sub`.
        if text(object, "subject_type")?.is_some_and(|kind| kind != "public") {
            return Err(ClientMetadataError::Member("subject_type"));
        }
        // RFC 9396 section 10: details name records, and are for clients that somebody here registered.
        if texts(object, "authorization_details_types")?.is_some_and(|types| !types.is_empty()) {
            return Err(ClientMetadataError::Member("authorization_details_types"));
        }
        let read = Self::common(object)?;
        Ok(Self { grant_types: grants, particulars: Particulars::read(object)?, ..read })
    }

    /// What documents and registrations say alike.
    fn common(object: &Object<'_>) -> Result<Self, ClientMetadataError> {
        let demands = DEMANDS
            .into_iter()
            .filter_map(|(name, demand)| match choice::<bool>(object, name) {
                Ok(Some(true)) => Some(Ok(demand)),
                Ok(Some(false) | None) => None,
                Err(error) => Some(Err(error)),
            })
            .collect::<Result<_, _>>()?;
        Ok(Self {
            redirect_uris: redirect_uris(object, "redirect_uris")?,
            token_endpoint_auth_method: choices(object, "token_endpoint_auth_method")?,
            grant_types: None,
            scope: scope(object)?,
            keys: keys(object)?,
            post_logout_redirect_uris: redirect_uris(object, "post_logout_redirect_uris")
                .map_err(|_| ClientMetadataError::Member("post_logout_redirect_uris"))?,
            demands,
            particulars: Particulars::default(),
        })
    }
}

impl UpdateRequest {
    /// Reads the whole of what a client is to be.
    ///
    /// # Errors
    /// [`ClientMetadataError`], by the first cause.
    pub fn parse(body: &[u8]) -> Result<Self, ClientMetadataError> {
        let object = Object::parse(body, MAX_DEPTH)?;
        refuse_server_set(&object, &NOT_IN_UPDATES)?;
        Ok(Self {
            client_id: text(&object, "client_id")?.ok_or(ClientMetadataError::Member("client_id"))?,
            client_secret: text(&object, "client_secret")?.map(Secret::new),
            metadata: ClientMetadata::of_registration(&object)?,
        })
    }
}

impl ClientMetadataError {
    /// The error code of RFC 7591 section 3.2.2.
    #[must_use]
    pub fn code(self) -> ErrorCode {
        match self {
            Self::RedirectUri(_) => ErrorCode::InvalidRedirectUri,
            Self::SoftwareStatement => ErrorCode::InvalidSoftwareStatement,
            Self::Unapproved => ErrorCode::UnapprovedSoftwareStatement,
            Self::Json(_)
            | Self::Member(_)
            | Self::ClientId
            | Self::Secret
            | Self::ServerSet(_)
            | Self::TwoKeySets
            | Self::Grant => ErrorCode::InvalidClientMetadata,
        }
    }
}

fn refuse_server_set(object: &Object<'_>, names: &[&'static str]) -> Result<(), ClientMetadataError> {
    match names.iter().find(|name| object.get(name).is_some()) {
        Some(name) => Err(ClientMetadataError::ServerSet(name)),
        None => Ok(()),
    }
}

/// Nobody's statements are believed, so one that is a JWT is not approved, and anything else is none.
fn check_software_statement(object: &Object<'_>) -> Result<(), ClientMetadataError> {
    const NAME: &str = "software_statement";
    let Some(statement) = text(object, NAME).map_err(|_| ClientMetadataError::SoftwareStatement)? else {
        return Ok(());
    };
    let parts: Vec<&str> = statement.split('.').collect();
    let is_base64url = |part: &&str| crate::base64url::decode(part).is_ok_and(|bytes| !bytes.is_empty());
    if parts.len() == 3 && parts.iter().all(is_base64url) {
        return Err(ClientMetadataError::Unapproved);
    }
    Err(ClientMetadataError::SoftwareStatement)
}

const AUTHORIZATION_CODE: &str = "authorization_code";
const DEMANDS: [(&str, Demand); 4] = [
    ("dpop_bound_access_tokens", Demand::DpopBoundTokens),
    ("require_pushed_authorization_requests", Demand::PushedRequests),
    ("require_signed_request_object", Demand::SignedRequests),
    ("tls_client_certificate_bound_access_tokens", Demand::CertificateBoundTokens),
];
const SERVER_SET: [&str; 6] = [
    "client_id",
    "client_secret",
    "client_id_issued_at",
    "client_secret_expires_at",
    "registration_access_token",
    "registration_client_uri",
];
/// RFC 7592 section 2.2.
const NOT_IN_UPDATES: [&str; 4] = [
    "registration_access_token",
    "registration_client_uri",
    "client_secret_expires_at",
    "client_id_issued_at",
];
/// A key in a set in a document, and something to spare for members of others.
const MAX_DEPTH: usize = 8;
