//! Requests that their client signed. RFC 9101, FAPI 2.0 Message Signing section 5.3, CIBA Core section 7.1.1.
//!
//! What comes out is a [`Form`], from which [`AuthorizationRequest`](super::authorization::AuthorizationRequest) is
//! read as from a query: nothing that stands outside of the object gets into it.

use std::time::Duration;

use chartgate_values::Timestamp;

use super::error::ErrorCode;
use crate::form::Form;
use crate::jose::claims::{Identifier, NumericDate, optional, required};
use crate::jose::jws::{self, ExpectedType, MediaType, Unverified, Verified};
use crate::jose::{Algorithm, Protection, ReaderKeys, Rejection};
use crate::json::{self, Object};

/// What request objects of one client have to be in order to be accepted.
#[derive(Clone, Copy, Debug)]
pub struct RequestObjectVerifier<'a> {
    /// What kind of request they hold.
    pub holds: Holds,
    /// The client: `iss` and `client_id`.
    pub client_id: &'a str,
    /// Our issuer: `aud`, as one string, character by character.
    pub issuer: &'a str,
    /// The algorithms that the client registered.
    pub algorithms: &'a [Algorithm],
    /// Whether the client encrypts its objects for us.
    pub protection: &'a Protection,
    /// What `typ` has to be.
    pub object_type: ObjectType,
    /// Whether `nbf` has to be there.
    pub not_before: NotBefore,
    /// How long an object may be valid: from `nbf` where it has one, from now otherwise. FAPI 2.0 has an hour.
    pub max_lifetime: Duration,
    /// By how much the client's clock may be ahead of ours.
    pub skew: Duration,
}

/// What kind of request an object holds.
#[derive(Clone, Copy, Debug, Eq, PartialEq, Default)]
pub enum Holds {
    /// For the authorization endpoint: RFC 9101. It names its client.
    #[default]
    Authorization,
    /// A question to a person elsewhere: CIBA Core section 7.1.1. All that is said of the object has to be there.
    BackchannelAuthentication,
}

/// How the objects of a client say what they are.
#[derive(Clone, Copy, Debug, Eq, PartialEq, Default)]
pub enum ObjectType {
    /// `oauth-authz-req+jwt`: RFC 9101 section 10.8.
    #[default]
    Explicit,
    /// That, or `JWT`, or nothing, for clients that were written before. A client assertion is told apart by its
    /// `sub`.
    ExplicitOrPlain,
}

/// Whether an object has to say since when it is valid.
#[derive(Clone, Copy, Debug, Eq, PartialEq, Default)]
pub enum NotBefore {
    /// FAPI 2.0 Message Signing section 5.3.1.
    #[default]
    Required,
    /// RFC 9101 does not ask for it.
    Optional,
}

/// A request that its client signed.
#[derive(Clone, Debug, PartialEq)]
pub struct RequestObject {
    /// Its parameters, each once, `client_id` among them.
    pub parameters: Form,
    /// Its own name, where it has one.
    pub jti: Option<Identifier>,
    /// The first moment at which it is no longer valid.
    pub exp: NumericDate,
}

/// Why a request object was refused.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
pub enum RequestObjectError {
    /// What holds for every signed token.
    #[error(transparent)]
    Token(#[from] Rejection),
    /// RFC 9101 section 4: an object holds no other.
    #[error("request object holds `request` or `request_uri`")]
    Nested,
    /// RFC 9101 section 10.8: `sub` is what a client assertion has.
    #[error("request object has a `sub`")]
    Subject,
    /// RFC 9101 section 4: a parameter is a string, or a number where it is one by itself.
    #[error("a parameter of the request object is of the wrong type")]
    ParameterType,
    /// The rule of [`Form`], which what is read from a query keeps.
    #[error("a parameter of the request object holds a control character")]
    Control,
    /// CIBA Core section 7.1.1: what was signed for the authorization endpoint asks nobody elsewhere.
    #[error("request object is one for the authorization endpoint")]
    OtherRequest,
    /// A limit of ours.
    #[error("request object has more than {MAX_PARAMETERS} parameters")]
    TooMany,
    /// RFC 9101 section 5: `client_id` is the same inside and outside.
    #[error("`client_id` differs inside and outside of the request object")]
    ClientId,
    /// OpenID Connect Core section 6.1: `response_type` is the same inside and outside.
    #[error("`response_type` differs inside and outside of the request object")]
    ResponseType,
}

impl RequestObjectError {
    /// The code for the client: RFC 9101 section 6.
    #[must_use]
    pub fn code(self) -> ErrorCode {
        match self {
            Self::ClientId | Self::ResponseType => ErrorCode::InvalidRequest,
            Self::Token(_)
            | Self::Nested
            | Self::Subject
            | Self::ParameterType
            | Self::Control
            | Self::OtherRequest
            | Self::TooMany => ErrorCode::InvalidRequestObject,
        }
    }

    /// A stable code for logs, records and tests.
    #[must_use]
    pub fn reason(self) -> &'static str {
        match self {
            Self::Token(cause) => cause.reason(),
            Self::Nested => "request-object-nested",
            Self::Subject => "request-object-sub",
            Self::ParameterType => "request-object-type",
            Self::Control => "request-object-chars",
            Self::OtherRequest => "request-object-other-request",
            Self::TooMany => "request-object-too-many",
            Self::ClientId => "request-object-client",
            Self::ResponseType => "request-object-response-type",
        }
    }
}

impl RequestObjectVerifier<'_> {
    /// Verifies an object by the client's keys and reads the request in it. `outside` is what came beside it: of
    /// that, `client_id` and `response_type` must not say anything else, and nothing is taken (RFC 9101 section 6.3).
    /// That its `jti` was not used before is for the caller to say.
    ///
    /// # Errors
    /// [`RequestObjectError`], by the first cause.
    pub fn verify(
        &self,
        object: &str,
        outside: &Form,
        keys: ReaderKeys<'_>,
        now: Timestamp,
    ) -> Result<RequestObject, RequestObjectError> {
        if outside.get("client_id").is_some_and(|outside| outside != self.client_id) {
            return Err(RequestObjectError::ClientId);
        }
        let verified =
            self.protection.open(object, keys.decrypting, |signed| self.verify_signed(signed, keys))?;
        let read = self.accept(&verified.claims()?, now)?;
        let response_type = read.parameters.get("response_type");
        if outside.get("response_type").is_some_and(|outside| Some(outside) != response_type) {
            return Err(RequestObjectError::ResponseType);
        }
        Ok(read)
    }

    fn verify_signed(&self, signed: &str, keys: ReaderKeys<'_>) -> Result<Verified, Rejection> {
        let token = Unverified::parse(signed, self.algorithms, jws::MAX_TOKEN_BYTES)?;
        let is_explicit = matches!(&token.header().typ, MediaType::Named(own) if own == OBJECT_TYPE);
        let expected = match self.object_type {
            ObjectType::ExplicitOrPlain if !is_explicit => ExpectedType::PlainJwt,
            ObjectType::Explicit | ObjectType::ExplicitOrPlain => ExpectedType::Exactly(OBJECT_TYPE),
        };
        token.verify_with(keys.verifying, expected)
    }

    /// Judges the claims of an object whose signature was verified.
    pub(crate) fn accept(
        &self,
        claims: &Object<'_>,
        now: Timestamp,
    ) -> Result<RequestObject, RequestObjectError> {
        self.check_names(claims)?;
        let exp = self.check_times(claims, now)?;
        let of_the_request = || claims.iter().filter(|(name, _)| !OF_THE_TOKEN.contains(name));
        if of_the_request().count() > MAX_PARAMETERS {
            return Err(RequestObjectError::TooMany);
        }
        let mut parameters = Form::default();
        for (name, value) in of_the_request() {
            if matches!(name, "request" | "request_uri") {
                return Err(RequestObjectError::Nested);
            }
            let value = parameter(name, value.get())?;
            if name.chars().chain(value.chars()).any(char::is_control) {
                return Err(RequestObjectError::Control);
            }
            parameters.push(name, &value);
        }
        Ok(RequestObject { parameters, jti: optional(claims, "jti")?, exp })
    }

    fn check_names(&self, claims: &Object<'_>) -> Result<(), RequestObjectError> {
        let text = |name, cause| match required::<String>(claims, name) {
            Err(Rejection::ClaimType(_)) => Err(cause),
            other => other,
        };
        if text("iss", Rejection::Issuer)? != self.client_id {
            return Err(Rejection::Issuer.into());
        }
        if text("aud", Rejection::Audience)? != self.issuer {
            return Err(Rejection::Audience.into());
        }
        match (self.holds, optional::<String>(claims, "client_id")?) {
            (_, Some(named)) if named == self.client_id => {}
            (Holds::BackchannelAuthentication, None) => {}
            (Holds::Authorization, None) => return Err(Rejection::MissingClaim("client_id").into()),
            (Holds::Authorization | Holds::BackchannelAuthentication, Some(_)) => {
                return Err(RequestObjectError::ClientId);
            }
        }
        if self.holds == Holds::BackchannelAuthentication {
            for name in ["jti", "iat"] {
                claims.get(name).ok_or(Rejection::MissingClaim(name))?;
            }
            if ["response_type", "redirect_uri"].iter().any(|name| claims.get(name).is_some()) {
                return Err(RequestObjectError::OtherRequest);
            }
        }
        match claims.get("sub") {
            Some(_) => Err(RequestObjectError::Subject),
            None => Ok(()),
        }
    }

    fn check_times(&self, claims: &Object<'_>, now: Timestamp) -> Result<NumericDate, Rejection> {
        let exp: NumericDate = required(claims, "exp")?;
        let nbf: Option<NumericDate> = optional(claims, "nbf")?;
        let iat: Option<NumericDate> = optional(claims, "iat")?;
        if !exp.is_after(now) {
            return Err(Rejection::Expired);
        }
        let latest = now.plus(self.skew);
        if [nbf, iat].into_iter().flatten().any(|time| time.is_after(latest)) {
            return Err(Rejection::NotYet);
        }
        let start = match (nbf, self.not_before) {
            (Some(nbf), NotBefore::Required | NotBefore::Optional) => nbf.timestamp(),
            (None, NotBefore::Optional) => latest,
            (None, NotBefore::Required) => return Err(Rejection::MissingClaim("nbf")),
        };
        // What is valid now for no longer than this since `nbf` has no older `nbf` either.
        if exp.is_after(start.plus(self.max_lifetime)) {
            return Err(Rejection::LivesTooLong);
        }
        Ok(exp)
    }
}

/// The value of a parameter as a query would have it.
fn parameter(name: &str, value: &str) -> Result<String, RequestObjectError> {
    match value.as_bytes() {
        [b'"', ..] => json::read_string(value).map(Into::into).map_err(|_| RequestObjectError::ParameterType),
        // `max_age`: OpenID Connect Core section 6.1 writes numbers as numbers. Short and whole, as they stand.
        digits if digits.len() <= 10 && digits.iter().all(u8::is_ascii_digit) => Ok(value.to_owned()),
        // RFC 9396 section 2, OpenID Connect Core section 5.5: JSON in a query, JSON here.
        [b'[' | b'{', ..] if matches!(name, "authorization_details" | "claims") => compact(value),
        _ => Err(RequestObjectError::ParameterType),
    }
}

/// JSON without white space between its parts, so that line breaks are no control characters.
fn compact(value: &str) -> Result<String, RequestObjectError> {
    let value: serde_json::Value =
        serde_json::from_str(value).map_err(|_| RequestObjectError::ParameterType)?;
    Ok(value.to_string())
}

/// RFC 9101 section 9.4.1.
const OBJECT_TYPE: &str = "oauth-authz-req+jwt";

/// What is said of the object, not of the request: RFC 9101 section 4.
const OF_THE_TOKEN: [&str; 6] = ["iss", "aud", "exp", "nbf", "iat", "jti"];

/// As many as a form may have.
const MAX_PARAMETERS: usize = 64;

#[cfg(test)]
mod tests;
