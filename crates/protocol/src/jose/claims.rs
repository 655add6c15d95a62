//! What tokens say: a struct for each kind of token. RFC 7519 section 4, RFC 9068 section 2.2, OpenID Connect
//! Core section 2, RFC 7523 section 3.
//!
//! A struct is written by serde and read claim by claim, so that a refusal can name its claim. Claims that
//! are not listed are ignored, as RFC 7519 section 4 wants; one that binds the token to a key (`cnf`) is
//! never lost, whatever method it uses.

use serde::Serialize;
use serde_json::{Map, Value};

use super::registered_claims::Times;
use super::rejection::Rejection;
use crate::json::Object;
use crate::oauth::scope::ScopeSet;
use crate::oauth::status_list::TokenStatus;

mod value;

pub use value::{Actor, Audience, Confirmation, Identifier, NotAnIdentifier, NumericDate, OutOfRange};
pub(crate) use value::{FromClaim, is_control, optional, required};

/// An access token: RFC 9068 section 2.2, with what SMART App Launch 2.2 and our policies add.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct AccessTokenClaims {
    /// Who issued it.
    pub iss: String,
    /// Whom it speaks for.
    pub sub: Identifier,
    /// Where it may be used.
    pub aud: Audience,
    /// The first moment at which it is no longer valid.
    pub exp: NumericDate,
    /// The moment at which it was issued.
    pub iat: NumericDate,
    /// The first moment at which it is valid.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub nbf: Option<NumericDate>,
    /// Its own name.
    pub jti: Identifier,
    /// The client that it was issued to.
    pub client_id: Identifier,
    /// What it allows: RFC 8693 section 4.2.
    #[serde(skip_serializing_if = "ScopeSet::is_empty")]
    pub scope: ScopeSet,
    /// The session that it ends with.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub sid: Option<Identifier>,
    /// The grant that it came of, and ends with.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub grant_id: Option<Identifier>,
    /// Roles of the subject: RFC 9068 section 2.2.3.1.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub roles: Vec<Identifier>,
    /// How well the subject was authenticated.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub acr: Option<Identifier>,
    /// By what means: RFC 8176.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub amr: Vec<Identifier>,
    /// When.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub auth_time: Option<NumericDate>,
    /// The FHIR resource of the person: SMART App Launch 2.2, Scopes and Launch Context.
    #[serde(rename = "fhirUser", skip_serializing_if = "Option::is_none")]
    pub fhir_user: Option<Identifier>,
    /// The patient in context.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub patient: Option<Identifier>,
    /// The encounter in context.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub encounter: Option<Identifier>,
    /// Why records are looked at.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub purpose_of_use: Option<Identifier>,
    /// Who acts for the subject: RFC 8693 section 4.1.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub act: Option<Actor>,
    /// The key without which the token is worth nothing: RFC 7800.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cnf: Option<Confirmation>,
    /// What it allows in detail: RFC 9396 section 9.1. Each `type` has a form of its own.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub authorization_details: Vec<Map<String, Value>>,
    /// Where it can be looked up whether it was revoked: draft-ietf-oauth-status-list section 6.1.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub status: Option<TokenStatus>,
}

/// An ID token: OpenID Connect Core section 2.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct IdTokenClaims {
    /// Who issued it.
    pub iss: String,
    /// Whom it speaks of.
    pub sub: Identifier,
    /// The client that it is for.
    pub aud: Audience,
    /// The first moment at which it is no longer valid.
    pub exp: NumericDate,
    /// The moment at which it was issued.
    pub iat: NumericDate,
    /// When the subject was authenticated.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub auth_time: Option<NumericDate>,
    /// What the client sent with its request.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub nonce: Option<String>,
    /// How well the subject was authenticated.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub acr: Option<Identifier>,
    /// By what means.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub amr: Vec<Identifier>,
    /// The client that it was issued to.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub azp: Option<Identifier>,
    /// The session: OpenID Connect Back-Channel Logout section 2.1.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub sid: Option<Identifier>,
    /// Half a digest of the access token beside it: OpenID Connect Core section 3.1.3.6.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub at_hash: Option<String>,
    /// The FHIR resource of the person.
    #[serde(rename = "fhirUser", skip_serializing_if = "Option::is_none")]
    pub fhir_user: Option<Identifier>,
    /// Their address, for clients that ask for it by name.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub email: Option<String>,
}

/// What a client shows instead of a secret: RFC 7523 section 3.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct ClientAssertionClaims {
    /// The client.
    pub iss: Identifier,
    /// The client again.
    pub sub: Identifier,
    /// Us, as one string: with several, each of them could use it towards the others (CVE-2025-27370).
    pub aud: String,
    /// The first moment at which it is no longer valid.
    pub exp: NumericDate,
    /// Its own name, good for one use.
    pub jti: Identifier,
    /// The moment at which it was made.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub iat: Option<NumericDate>,
    /// The first moment at which it is valid.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub nbf: Option<NumericDate>,
}

impl AccessTokenClaims {
    /// Reads what is left once issuer, audience and times were found good.
    pub(super) fn read(
        claims: &Object<'_>,
        iss: String,
        aud: Audience,
        times: Times,
    ) -> Result<Self, Rejection> {
        Ok(Self {
            iss,
            aud,
            exp: times.exp,
            nbf: times.nbf,
            iat: times.issued_at()?,
            sub: required(claims, "sub")?,
            jti: required(claims, "jti")?,
            client_id: required(claims, "client_id")?,
            scope: optional(claims, "scope")?.unwrap_or_default(),
            sid: optional(claims, "sid")?,
            roles: optional(claims, "roles")?.unwrap_or_default(),
            acr: optional(claims, "acr")?,
            amr: optional(claims, "amr")?.unwrap_or_default(),
            auth_time: optional(claims, "auth_time")?,
            fhir_user: optional(claims, "fhirUser")?,
            patient: optional(claims, "patient")?,
            encounter: optional(claims, "encounter")?,
            purpose_of_use: optional(claims, "purpose_of_use")?,
            grant_id: optional(claims, "grant_id")?,
            act: optional(claims, "act")?,
            cnf: optional(claims, "cnf")?,
            authorization_details: optional(claims, "authorization_details")?.unwrap_or_default(),
            status: optional(claims, "status")?,
        })
    }
}

impl IdTokenClaims {
    /// Reads what is left once issuer, audience and times were found good.
    pub(super) fn read(
        claims: &Object<'_>,
        iss: String,
        aud: Audience,
        times: Times,
    ) -> Result<Self, Rejection> {
        Ok(Self {
            iss,
            aud,
            exp: times.exp,
            iat: times.issued_at()?,
            sub: required(claims, "sub")?,
            auth_time: optional(claims, "auth_time")?,
            nonce: optional(claims, "nonce")?,
            acr: optional(claims, "acr")?,
            amr: optional(claims, "amr")?.unwrap_or_default(),
            azp: optional(claims, "azp")?,
            sid: optional(claims, "sid")?,
            at_hash: optional(claims, "at_hash")?,
            fhir_user: optional(claims, "fhirUser")?,
            email: optional(claims, "email")?,
        })
    }
}

#[cfg(test)]
mod tests;
