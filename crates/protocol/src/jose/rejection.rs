//! Why a token was refused: one enum for every kind of token, in the order in which causes are looked for.

use super::jwe::JweError;

/// The first cause for which a token was refused.
#[derive(Clone, Copy, Debug, Eq, PartialEq, Hash, thiserror::Error)]
pub enum Rejection {
    /// RFC 7519 section 5.2: it was encrypted, and what is inside was not reached.
    #[error(transparent)]
    Jwe(#[from] JweError),
    /// A rule of ours: signed alone, where what is signed has to be encrypted too.
    #[error("token is not encrypted")]
    NotEncrypted,
    /// A rule of ours: encrypted, where nothing decrypts.
    #[error("token is encrypted")]
    Encrypted,
    /// A limit of ours, against work for nothing: RFC 8725 section 2.
    #[error("token is too large")]
    TooLarge,
    /// RFC 7515 section 7.1: header, payload and signature.
    #[error("token does not have three parts")]
    Malformed,
    /// RFC 7515 section 2: base64url, in its canonical form.
    #[error("a part is not canonical base64url")]
    Encoding,
    /// RFC 7515 section 4: a JSON object with the right types.
    #[error("header is malformed")]
    MalformedHeader,
    /// RFC 7515 section 4, RFC 7519 section 4: names are unique.
    #[error("a name appears twice in one object")]
    DuplicateName,
    /// A limit of ours, against exhausted stacks: RFC 8259 section 9.
    #[error("JSON is nested too deeply")]
    TooDeep,
    /// A limit of ours, like [`Rejection::TooLarge`].
    #[error("header has too many members")]
    TooManyHeaderMembers,
    /// RFC 8725 section 3.1: `alg` is not one that the verifier allows.
    #[error("algorithm is not allowed")]
    AlgorithmNotAllowed,
    /// RFC 7515 section 4.1.11, RFC 7797: no extension is understood, so none may be critical.
    #[error("a critical extension is not understood")]
    Critical,
    /// RFC 8725 section 3.6: nothing is inflated.
    #[error("compression is not accepted")]
    Compressed,
    /// RFC 7515 section 4.1.4: a token names its key.
    #[error("token names no key")]
    MissingKid,
    /// RFC 7515 section 4.1.4: no key of the set has this name.
    #[error("token names an unknown key")]
    UnknownKid,
    /// RFC 7517 section 4.5: several keys have this name.
    #[error("token names several keys")]
    AmbiguousKid,
    /// RFC 9449 section 4.3: a proof brings its key.
    #[error("token brings no key")]
    MissingKey,
    /// RFC 9449 section 4.3: the key that a proof brings is public, sound, and of a type that is offered.
    #[error("the key that the token brings cannot be used")]
    EmbeddedKey,
    /// A rule of ours: a proof that brings its key names no other.
    #[error("token brings a key and names one")]
    SeveralKeys,
    /// RFC 8725 section 3.11: `typ` keeps one kind of token from being taken for another.
    #[error("token is of another type")]
    Type,
    /// RFC 7515 section 4.1.10: `cty` says that the payload is a token of its own.
    #[error("payload is of another type")]
    ContentType,
    /// RFC 8725 section 3.1: the key is not for this algorithm, or not for signatures.
    #[error("key is not for this algorithm")]
    KeyMismatch,
    /// RFC 7515 section 5.2.
    #[error("signature does not verify")]
    BadSignature,
    /// RFC 7519 section 7.2: a JSON object.
    #[error("payload is malformed")]
    MalformedPayload,
    /// RFC 7519 section 4: a claim that this kind of token has to have.
    #[error("claim `{0}` is missing")]
    MissingClaim(&'static str),
    /// RFC 7519 section 4.1: a claim is of the wrong type.
    #[error("claim `{0}` is of the wrong type")]
    ClaimType(&'static str),
    /// RFC 8725 section 3.8: `iss` is the issuer, character by character.
    #[error("token is of another issuer")]
    Issuer,
    /// RFC 8725 section 3.9: `aud` has the audience, character by character.
    #[error("token is for another audience")]
    Audience,
    /// RFC 7519 section 4.1.4.
    #[error("token has expired")]
    Expired,
    /// RFC 7519 sections 4.1.5 and 4.1.6: `nbf` or `iat` lies ahead.
    #[error("token is not valid yet")]
    NotYet,
    /// SMART App Launch 2.2, Asymmetric Authentication: `exp` is at most so far ahead.
    #[error("token is valid for too long")]
    LivesTooLong,
    /// A limit of ours: a time beyond the year 9999.
    #[error("claim `{0}` is out of range")]
    ClaimRange(&'static str),
    /// RFC 7523 section 3: `sub` is the client, as `iss` is.
    #[error("token is of another subject")]
    Subject,
    /// A rule of ours: control characters and bidi controls make names look like others.
    #[error("claim `{0}` has characters that do not belong")]
    ClaimCharacters(&'static str),
    /// RFC 6749 section 3.3.
    #[error("scope is malformed")]
    Scope,
    /// RFC 7800 section 3.1, RFC 9449 section 7.1, RFC 8705 section 3: what the token is bound to was not
    /// shown.
    #[error("possession of the bound key was not proved")]
    Confirmation,
    /// OpenID Connect Core section 3.1.3.7: it answers what nobody here asked.
    #[error("token answers another request")]
    Nonce,
    /// RFC 8725 section 3.11: an ID token where an access token belongs.
    #[error("an ID token is no access token")]
    IdToken,
}

impl Rejection {
    /// A stable code for logs, records and tests.
    #[must_use]
    pub fn reason(self) -> &'static str {
        match self {
            Self::Jwe(cause) => cause.reason(),
            Self::NotEncrypted => "not-encrypted",
            Self::Encrypted => "encrypted",
            Self::TooLarge | Self::TooManyHeaderMembers => "too-large",
            Self::Malformed => "malformed",
            Self::Encoding => "encoding",
            Self::MalformedHeader => "malformed-header",
            Self::DuplicateName => "duplicate-name",
            Self::TooDeep => "too-deep",
            Self::AlgorithmNotAllowed => "alg-not-allowed",
            Self::Critical => "crit",
            Self::Compressed => "zip",
            Self::MissingKid => "missing-kid",
            Self::UnknownKid => "unknown-kid",
            Self::AmbiguousKid => "ambiguous-kid",
            Self::Type | Self::ContentType | Self::IdToken => "typ",
            Self::MissingKey => "missing-key",
            Self::EmbeddedKey => "embedded-key",
            Self::SeveralKeys => "several-keys",
            Self::KeyMismatch => "key-mismatch",
            Self::BadSignature => "bad-signature",
            Self::MalformedPayload => "malformed-payload",
            Self::MissingClaim(_) => "missing-claim",
            Self::ClaimType(_) => "claim-type",
            Self::Issuer => "iss",
            Self::Audience => "aud",
            Self::Expired => "expired",
            Self::NotYet => "not-yet",
            Self::LivesTooLong => "lives-too-long",
            Self::ClaimRange(_) => "claim-range",
            Self::Subject => "sub",
            Self::ClaimCharacters(_) => "claim-chars",
            Self::Scope => "scope-syntax",
            Self::Confirmation => "cnf",
            Self::Nonce => "nonce",
        }
    }

    /// What a caller is told: the same for every cause, so that nothing can be learned by trying.
    #[must_use]
    pub fn public(self) -> &'static str {
        PUBLIC
    }
}

/// What a caller is told of every token that is refused.
pub(super) const PUBLIC: &str = "the token is not valid";
