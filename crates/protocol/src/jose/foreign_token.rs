//! Access tokens of another issuer, read as if they were ours: its claims stand where it puts them, its roles and scopes
//! have its names. RFC 9068 where it follows it, RFC 7519 and RFC 8725 where it does not.
//!
//! What is mapped is read from its place alone: a claim of the usual name beside it counts for nothing.

use std::collections::BTreeMap;
use std::str::FromStr;
use std::time::Duration;

use aws_lc_rs::digest::{SHA256, digest};
use chartgate_values::Timestamp;
use serde_json::{Map, Value};

use super::access_token::{AccessTokenVerifier, Presentation, TokenType};
use super::claims::AccessTokenClaims;
use super::jws::{MAX_JSON_DEPTH, Unverified};
use super::key_set::KeySet;
use super::rejection::Rejection;
use crate::base64url;
use crate::json::Object;

/// What an access token of another issuer has to be, and where its claims are.
#[derive(Clone, Debug)]
pub struct ForeignTokenVerifier {
    /// Issuer, audiences, algorithms, `typ`, skew.
    pub verifier: AccessTokenVerifier,
    /// Where claims are that do not stand where ours do.
    pub claims: ClaimPaths,
    /// What its roles are called here. If there is none, as there; else those that are not named are dropped.
    pub roles: Names,
    /// The same for its scopes.
    pub scopes: Names,
}

/// What names of another's are called here.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub enum Names {
    /// As there.
    #[default]
    Same,
    /// So; others are dropped.
    Called(BTreeMap<String, String>),
}

/// A claim that may stand elsewhere.
#[derive(Clone, Copy, Debug, Eq, PartialEq, Ord, PartialOrd)]
pub enum Mapped {
    /// `sub`.
    Sub,
    /// `client_id`.
    ClientId,
    /// `jti`.
    Jti,
    /// `scope`.
    Scope,
    /// `sid`.
    Sid,
    /// `roles`.
    Roles,
    /// `acr`.
    Acr,
    /// `fhirUser`.
    FhirUser,
    /// `patient`.
    Patient,
    /// `encounter`.
    Encounter,
    /// `purpose_of_use`.
    PurposeOfUse,
}

/// Where claims are.
pub type ClaimPaths = BTreeMap<Mapped, ClaimPath>;

/// A way through objects to a value: `realm_access.roles`, or as a JSON Pointer (RFC 6901) `/realm_access/roles`.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct ClaimPath(Vec<String>);

/// The text is no way to a claim.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
#[error("has to be names with dots between them, or a JSON Pointer")]
pub struct NotAClaimPath;

impl Mapped {
    /// All of them, by the names that configuration has for them.
    pub const ALL: [(&'static str, Self); 11] = [
        ("sub", Self::Sub),
        ("client_id", Self::ClientId),
        ("jti", Self::Jti),
        ("scope", Self::Scope),
        ("sid", Self::Sid),
        ("roles", Self::Roles),
        ("acr", Self::Acr),
        ("fhir_user", Self::FhirUser),
        ("patient", Self::Patient),
        ("encounter", Self::Encounter),
        ("purpose_of_use", Self::PurposeOfUse),
    ];

    /// Whether the claim may stand elsewhere in a token that says of itself that it is an access token: RFC 9068 section
    /// 2.2 says where these are.
    #[must_use]
    pub fn is_fixed_by_rfc_9068(self) -> bool {
        match self {
            Self::Sub | Self::ClientId | Self::Jti | Self::Scope => true,
            Self::Sid
            | Self::Roles
            | Self::Acr
            | Self::FhirUser
            | Self::Patient
            | Self::Encounter
            | Self::PurposeOfUse => false,
        }
    }

    fn claim(self) -> &'static str {
        match self {
            Self::Sub => "sub",
            Self::ClientId => "client_id",
            Self::Jti => "jti",
            Self::Scope => "scope",
            Self::Sid => "sid",
            Self::Roles => "roles",
            Self::Acr => "acr",
            Self::FhirUser => "fhirUser",
            Self::Patient => "patient",
            Self::Encounter => "encounter",
            Self::PurposeOfUse => "purpose_of_use",
        }
    }
}

impl FromStr for ClaimPath {
    type Err = NotAClaimPath;

    fn from_str(text: &str) -> Result<Self, NotAClaimPath> {
        let parts: Vec<String> = match text.strip_prefix('/') {
            Some(pointer) => pointer.split('/').map(unescape).collect::<Result<_, _>>()?,
            None => text.split('.').map(str::to_owned).collect(),
        };
        if parts.iter().any(String::is_empty) || parts.len() > MAX_JSON_DEPTH {
            return Err(NotAClaimPath);
        }
        Ok(Self(parts))
    }
}

/// RFC 6901 section 4.
fn unescape(part: &str) -> Result<String, NotAClaimPath> {
    let mut plain = String::new();
    let mut characters = part.chars();
    while let Some(character) = characters.next() {
        plain.push(match character {
            '~' => match characters.next() {
                Some('0') => '~',
                Some('1') => '/',
                Some(_) | None => return Err(NotAClaimPath),
            },
            other => other,
        });
    }
    Ok(plain)
}

impl ClaimPath {
    /// The text at the end of the way, if there is one.
    pub(super) fn text(&self, claims: &Object<'_>) -> Option<String> {
        self.follow(claims, |value| value.as_str().map(str::to_owned))
    }

    /// The text or the list of texts there, if there is one.
    pub(super) fn texts(&self, claims: &Object<'_>) -> Option<Vec<String>> {
        self.follow(claims, |value| Some(texts(value)?.into_iter().map(str::to_owned).collect()))
    }

    fn follow<T>(&self, claims: &Object<'_>, read: impl FnOnce(&Value) -> Option<T>) -> Option<T> {
        let (first, rest) = self.0.split_first()?;
        let value: Value = claims.read(first).ok()??;
        read(rest.iter().try_fold(&value, |value, name| value.as_object()?.get(name))?)
    }

    fn find<'a>(&self, claims: &'a Map<String, Value>) -> Option<&'a Value> {
        let (first, rest) = self.0.split_first()?;
        rest.iter().try_fold(claims.get(first)?, |value, name| value.as_object()?.get(name))
    }
}

impl ForeignTokenVerifier {
    /// Verifies a token and gives its claims, and the `kid` of the key that signed them.
    ///
    /// # Errors
    /// [`Rejection`], by the first cause.
    pub fn verify_signed(
        &self,
        token: &str,
        keys: &KeySet,
        presentation: Presentation<'_>,
        now: Timestamp,
    ) -> Result<(AccessTokenClaims, String), Rejection> {
        let AccessTokenVerifier { algorithms, max_bytes, token_type, .. } = &self.verifier;
        let verified = Unverified::parse(token, algorithms, *max_bytes)?
            .verify_with_sole(keys, token_type.expected())?;
        let claims = self.accept(&verified.claims()?, token, presentation, now)?;
        let kid = verified.into_kid().ok_or(Rejection::MissingKid)?;
        Ok((claims, kid))
    }

    /// Judges the claims of a token whose signature was verified.
    pub(crate) fn accept(
        &self,
        claims: &Object<'_>,
        token: &str,
        presentation: Presentation<'_>,
        now: Timestamp,
    ) -> Result<AccessTokenClaims, Rejection> {
        let translated = self.translate(claims, token)?;
        let object =
            Object::parse(translated.as_bytes(), MAX_JSON_DEPTH).map_err(|_| Rejection::MalformedPayload)?;
        let claims = self.verifier.accept(&object, presentation, now)?;
        if claims.exp.timestamp().since(claims.iat.timestamp()) > LONGEST_LIFE {
            return Err(Rejection::LivesTooLong);
        }
        Ok(claims)
    }

    /// The claims as ours are written.
    fn translate(&self, claims: &Object<'_>, token: &str) -> Result<String, Rejection> {
        let mut all = Map::new();
        for (name, value) in claims.iter() {
            let value = serde_json::from_str(value.get()).map_err(|_| Rejection::MalformedPayload)?;
            all.insert(name.to_owned(), value);
        }
        let found: Vec<(Mapped, Option<Value>)> =
            self.claims.iter().map(|(mapped, path)| (*mapped, path.find(&all).cloned())).collect();
        for (mapped, value) in found {
            match value {
                Some(value) => drop(all.insert(mapped.claim().to_owned(), value)),
                None => drop(all.remove(mapped.claim())),
            }
        }
        // Keycloak says so what a token is: `ID`, `Refresh`, `Logout` are no access tokens (RFC 8725 section 3.11).
        if all.get("typ").is_some_and(|typ| !matches!(typ.as_str(), Some("Bearer" | "DPoP"))) {
            return Err(Rejection::Type);
        }
        // A grant is a thing of ours, and what these say elsewhere is nothing here: many issuers have a `status` of their own.
        for name in ["grant_id", "status", "authorization_details"] {
            all.remove(name);
        }
        if let Some(roles) = all.remove("roles") {
            let called = self.roles.call(texts(&roles).ok_or(Rejection::ClaimType("roles"))?);
            all.insert("roles".to_owned(), called.into());
        }
        if let Some(scope) = all.remove("scope") {
            let tokens = texts(&scope).ok_or(Rejection::ClaimType("scope"))?;
            let tokens =
                tokens.into_iter().flat_map(|text| text.split(' ')).filter(|token| !token.is_empty());
            all.insert("scope".to_owned(), self.scopes.call(tokens.collect()).join(" ").into());
        }
        // SPEC: RFC 9068 wants a `jti`. An issuer that gives none, and does not say that it follows that specification, has
        // tokens that are called by their own digest, so that one can be revoked.
        if self.verifier.token_type == TokenType::PlainJwt && !all.contains_key("jti") {
            let name = base64url::encode(digest(&SHA256, token.as_bytes()).as_ref());
            all.insert("jti".to_owned(), name.into());
        }
        serde_json::to_string(&all).map_err(|_| Rejection::MalformedPayload)
    }
}

impl Names {
    /// What these are called here.
    #[must_use]
    pub fn call<'a>(&'a self, names: Vec<&'a str>) -> Vec<&'a str> {
        match self {
            Self::Same => names,
            Self::Called(ours) => {
                names.into_iter().filter_map(|name| ours.get(name)).map(String::as_str).collect()
            }
        }
    }
}

/// A text, or a list of texts.
fn texts(value: &Value) -> Option<Vec<&str>> {
    match value {
        Value::String(text) => Some(vec![text]),
        Value::Array(items) => items.iter().map(Value::as_str).collect(),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::Object(_) => None,
    }
}

/// The longest that a token of another issuer may live: cut-offs of such tokens are kept as long.
pub const LONGEST_LIFE: Duration = Duration::from_hours(24);

#[cfg(test)]
mod tests;
