//! Signed texts in the compact serialization. RFC 7515 sections 3.1, 4, 5 and 7.1; RFC 8725 section 3.

use serde::Serialize;

use super::algorithm::Algorithm;
use super::key_set::KeySet;
use super::rejection::Rejection;
use super::signing_key::{SignError, SigningKey};
use super::verifying_key::VerifyingKey;
use crate::base64url;
use crate::json::{JsonError, Object};

/// A text that may or may not be signed by anybody. Shows its header, by which the key is chosen, and no
/// more.
#[derive(Debug)]
pub struct Unverified<'a> {
    header: Header,
    signing_input: &'a [u8],
    payload: Vec<u8>,
    signature: Vec<u8>,
}

/// What a header says, as far as anybody here asks.
///
/// Keys in the header (`jwk`, `x5c`) and places to fetch them from (`jku`, `x5u`) are not among it: RFC 8725
/// section 3.10. The one kind of token that brings its key has a reader of its own, [`super::KeyProof`].
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Header {
    /// `alg`, one of those that the verifier allows.
    pub algorithm: Algorithm,
    /// `kid`: the name of the key.
    pub kid: Option<String>,
    /// `typ`: what kind of token this is.
    pub typ: MediaType,
    /// `cty`: what the payload is.
    pub cty: MediaType,
}

/// A media type in a header: RFC 7515 section 4.1.9.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum MediaType {
    /// The member is not there.
    Absent,
    /// In lower case and without `application/` in front.
    Named(String),
    /// The member is no string.
    Malformed,
}

/// The `typ` that a kind of token has to have: RFC 8725 section 3.11.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum ExpectedType {
    /// Exactly this media type, in lower case and without `application/` in front.
    Exactly(&'static str),
    /// `JWT`, or none at all.
    PlainJwt,
    /// This media type, in lower case and without `application/` in front, where the specification leaves it open: else as
    /// [`ExpectedType::PlainJwt`].
    Either(&'static str),
}

/// A text whose signature was verified by a key that was meant.
#[derive(Debug)]
pub struct Verified {
    header: Header,
    payload: Vec<u8>,
}

impl<'a> Unverified<'a> {
    /// Takes a token apart.
    ///
    /// # Errors
    /// [`Rejection`], from the size to critical extensions.
    pub fn parse(token: &'a str, allowed: &[Algorithm], max_bytes: usize) -> Result<Self, Rejection> {
        Self::parse_with(token, max_bytes, |header| Header::parse(header, allowed))
    }

    /// Takes a token apart, with its header as `read` has it.
    pub(super) fn parse_with(
        token: &'a str,
        max_bytes: usize,
        read: impl FnOnce(&[u8]) -> Result<Header, Rejection>,
    ) -> Result<Self, Rejection> {
        if token.len() > max_bytes {
            return Err(Rejection::TooLarge);
        }
        let (signing_input, signature) = token.rsplit_once('.').ok_or(Rejection::Malformed)?;
        let (header, payload) = signing_input.split_once('.').ok_or(Rejection::Malformed)?;
        if header.is_empty() || payload.contains('.') {
            return Err(Rejection::Malformed);
        }
        let decode = |part| base64url::decode(part).map_err(|_| Rejection::Encoding);
        let header = decode(header)?;
        let payload = decode(payload)?;
        let signature = decode(signature)?;
        let header = read(&header)?;
        Ok(Self { header, signing_input: signing_input.as_bytes(), payload, signature })
    }

    /// What the header says, on nobody's authority yet.
    #[must_use]
    pub fn header(&self) -> &Header {
        &self.header
    }

    /// Verifies the signature by a key that was chosen by other means than `kid`.
    ///
    /// # Errors
    /// [`Rejection::KeyMismatch`] or [`Rejection::BadSignature`].
    pub fn verify(self, key: &VerifyingKey) -> Result<Verified, Rejection> {
        key.verify(self.header.algorithm, self.signing_input, &self.signature)?;
        Ok(Verified { header: self.header, payload: self.payload })
    }

    /// Verifies the signature by the key of the set that `kid` names, if the token is of the expected type. Where keys of
    /// different types share the name, by the one of the algorithm's type.
    ///
    /// # Errors
    /// [`Rejection`], from the `kid` to the signature.
    pub fn verify_with(self, keys: &KeySet, expected: ExpectedType) -> Result<Verified, Rejection> {
        let key = keys.choose(self.kid()?, self.header.algorithm);
        self.verify_as(expected, key)
    }

    /// The same where the name has to be one key's, for what is remembered of the token goes by the key's name.
    ///
    /// # Errors
    /// [`Rejection`], from the `kid` to the signature.
    pub fn verify_with_sole(self, keys: &KeySet, expected: ExpectedType) -> Result<Verified, Rejection> {
        let key = keys.get(self.kid()?);
        self.verify_as(expected, key)
    }

    fn kid(&self) -> Result<&str, Rejection> {
        self.header.kid.as_deref().ok_or(Rejection::MissingKid)
    }

    fn verify_as(
        self,
        expected: ExpectedType,
        key: Result<&VerifyingKey, Rejection>,
    ) -> Result<Verified, Rejection> {
        if let Err(cause @ (Rejection::UnknownKid | Rejection::AmbiguousKid)) = key {
            return Err(cause);
        }
        self.header.check_type(expected)?;
        self.verify(key?)
    }
}

impl Header {
    fn parse(text: &[u8], allowed: &[Algorithm]) -> Result<Self, Rejection> {
        Self::read(&Self::object(text)?, allowed)
    }

    pub(super) fn object(text: &[u8]) -> Result<Object<'_>, Rejection> {
        Object::parse(text, MAX_JSON_DEPTH).map_err(|error| match error {
            JsonError::DuplicateName => Rejection::DuplicateName,
            JsonError::TooDeep => Rejection::TooDeep,
            JsonError::NotUtf8 | JsonError::Syntax | JsonError::NotAnObject => Rejection::MalformedHeader,
        })
    }

    pub(super) fn read(object: &Object<'_>, allowed: &[Algorithm]) -> Result<Self, Rejection> {
        if object.len() > MAX_HEADER_MEMBERS {
            return Err(Rejection::TooManyHeaderMembers);
        }
        let text = |name| object.string(name).map_err(|_| Rejection::MalformedHeader);
        let alg = text("alg")?.ok_or(Rejection::MalformedHeader)?;
        let kid = text("kid")?.map(|kid| kid.into_owned());
        let algorithm = alg.parse().ok().filter(|own| allowed.contains(own));
        let algorithm = algorithm.ok_or(Rejection::AlgorithmNotAllowed)?;
        // RFC 7797 section 3: `b64` true says what holds anyway; any other value changes what is signed.
        if object.get("crit").is_some() || object.get("b64").is_some_and(|b64| b64 != "true") {
            return Err(Rejection::Critical);
        }
        if object.get("zip").is_some() {
            return Err(Rejection::Compressed);
        }
        let (typ, cty) = (MediaType::read(object, "typ"), MediaType::read(object, "cty"));
        Ok(Self { algorithm, kid, typ, cty })
    }

    pub(super) fn check_type(&self, expected: ExpectedType) -> Result<(), Rejection> {
        match (&self.typ, expected) {
            (MediaType::Named(own), ExpectedType::Exactly(name) | ExpectedType::Either(name))
                if own == name => {}
            (MediaType::Named(own), ExpectedType::PlainJwt | ExpectedType::Either(_)) if own == "jwt" => {}
            (MediaType::Absent, ExpectedType::PlainJwt | ExpectedType::Either(_)) => {}
            (MediaType::Absent | MediaType::Named(_) | MediaType::Malformed, _) => {
                return Err(Rejection::Type);
            }
        }
        match &self.cty {
            MediaType::Absent => Ok(()),
            MediaType::Named(own) if own != "jwt" => Ok(()),
            MediaType::Named(_) | MediaType::Malformed => Err(Rejection::ContentType),
        }
    }
}

impl MediaType {
    pub(super) fn read(object: &Object<'_>, name: &str) -> Self {
        match object.string(name) {
            Ok(None) => Self::Absent,
            Ok(Some(text)) => {
                let lower = text.to_ascii_lowercase();
                Self::Named(lower.strip_prefix("application/").map(str::to_owned).unwrap_or(lower))
            }
            Err(_) => Self::Malformed,
        }
    }
}

impl Verified {
    /// The header, which the signature covers.
    #[must_use]
    pub fn header(&self) -> &Header {
        &self.header
    }

    /// The `kid` of the key that signed it, where that is how it was chosen.
    #[must_use]
    pub fn into_kid(self) -> Option<String> {
        self.header.kid
    }

    /// The payload, which the signature covers.
    #[must_use]
    pub fn payload(&self) -> &[u8] {
        &self.payload
    }

    /// The payload as the object of claims that it has to be.
    ///
    /// # Errors
    /// [`Rejection`] if it is anything else.
    pub fn claims(&self) -> Result<Object<'_>, Rejection> {
        parse_claims(&self.payload)
    }
}

/// Claims as RFC 7519 section 4 has them, on nobody's authority.
pub(super) fn parse_claims(payload: &[u8]) -> Result<Object<'_>, Rejection> {
    Object::parse(payload, MAX_JSON_DEPTH).map_err(|error| match error {
        JsonError::DuplicateName => Rejection::DuplicateName,
        JsonError::TooDeep => Rejection::TooDeep,
        JsonError::NotUtf8 | JsonError::Syntax | JsonError::NotAnObject => Rejection::MalformedPayload,
    })
}

/// Signs claims as a token of this `typ`.
///
/// # Errors
/// [`SignError`] if the claims are no object, or the library fails.
pub fn sign(key: &SigningKey, typ: &str, claims: &impl Serialize) -> Result<String, SignError> {
    #[derive(Serialize)]
    struct ProtectedHeader<'a> {
        alg: Algorithm,
        typ: &'a str,
        kid: &'a str,
    }
    let header = ProtectedHeader { alg: key.algorithm(), typ, kid: key.kid() };
    let header = serde_json::to_vec(&header).map_err(|_| SignError::Claims)?;
    let payload = serde_json::to_vec(claims).map_err(|_| SignError::Claims)?;
    if payload.first() != Some(&b'{') {
        return Err(SignError::Claims);
    }
    let mut token = String::with_capacity(payload.len().saturating_mul(2).saturating_add(1024));
    base64url::encode_onto(&header, &mut token);
    token.push('.');
    base64url::encode_onto(&payload, &mut token);
    let signature = key.sign(token.as_bytes())?;
    token.push('.');
    base64url::encode_onto(&signature, &mut token);
    Ok(token)
}

/// The longest token that is read, in bytes.
pub const MAX_TOKEN_BYTES: usize = 16_384;

/// The most members that a header may have.
pub const MAX_HEADER_MEMBERS: usize = 64;

/// The deepest nesting of a header or payload.
pub const MAX_JSON_DEPTH: usize = 32;

#[cfg(test)]
mod tests;
