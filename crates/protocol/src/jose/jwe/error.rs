//! Why an encrypted token was not read: one enum, in the order in which causes are looked for.

use crate::json::JsonError;

/// The first cause for which an encrypted token was not read.
#[derive(Clone, Copy, Debug, Eq, PartialEq, Hash, thiserror::Error)]
pub enum JweError {
    /// A limit of ours, against work for nothing.
    #[error("encrypted token is too large")]
    TooLarge,
    /// RFC 7516 section 7.1: header, encrypted key, initialization vector, ciphertext and tag.
    #[error("encrypted token does not have five parts")]
    Malformed,
    /// RFC 7515 section 2: base64url, in its canonical form.
    #[error("a part of the encrypted token is not canonical base64url")]
    Encoding,
    /// RFC 7516 section 4: a JSON object with the right types; RFC 7518 section 4.6.1: a public `epk`.
    #[error("header of the encrypted token is malformed")]
    MalformedHeader,
    /// RFC 7516 section 4: names are unique.
    #[error("a name appears twice in the header of the encrypted token")]
    DuplicateName,
    /// A limit of ours, against exhausted stacks: RFC 8259 section 9.
    #[error("header of the encrypted token is nested too deeply")]
    TooDeep,
    /// A limit of ours, like [`JweError::TooLarge`].
    #[error("header of the encrypted token has too many members")]
    TooManyHeaderMembers,
    /// RFC 8725 section 3.1: `enc` is not one that the reader allows.
    #[error("content encryption is not allowed")]
    EncryptionNotAllowed,
    /// RFC 8725 section 3.2: `alg` is not one that is offered.
    #[error("key management is not allowed")]
    ManagementNotAllowed,
    /// RFC 7516 section 4.1.13: no extension is understood, so none may be critical.
    #[error("a critical extension of the encrypted token is not understood")]
    Critical,
    /// RFC 8725 section 3.6: nothing is inflated.
    #[error("compression is not accepted")]
    Compressed,
    /// RFC 7516 section 4.1.6: a token names its key.
    #[error("encrypted token names no key")]
    MissingKid,
    /// RFC 7516 section 4.1.6: we have no key of this name.
    #[error("encrypted token names an unknown key")]
    UnknownKid,
    /// RFC 7517 section 4.5: several keys have this name.
    #[error("encrypted token names several keys")]
    AmbiguousKid,
    /// RFC 8725 section 3.1: `alg` is not the one that the key is for.
    #[error("decryption key is for another key management")]
    KeyMismatch,
    /// RFC 7516 section 5.2, from `epk` to the tag and the padding. One cause for all that needs the key, so
    /// that nobody learns of the key by trying: RFC 7516 section 11.5.
    #[error("token does not decrypt")]
    Undecryptable,
    /// RFC 7519 section 5.2: `cty` says that the content is a JWT.
    #[error("content of the encrypted token is no signed token")]
    ContentType,
}

impl JweError {
    /// A stable code for logs, records and tests.
    #[must_use]
    pub fn reason(self) -> &'static str {
        match self {
            Self::TooLarge | Self::TooManyHeaderMembers => "jwe-too-large",
            Self::Malformed => "jwe-malformed",
            Self::Encoding => "jwe-encoding",
            Self::MalformedHeader => "jwe-malformed-header",
            Self::DuplicateName => "jwe-duplicate-name",
            Self::TooDeep => "jwe-too-deep",
            Self::EncryptionNotAllowed => "jwe-enc-not-allowed",
            Self::ManagementNotAllowed => "jwe-alg-not-allowed",
            Self::Critical => "jwe-crit",
            Self::Compressed => "jwe-zip",
            Self::MissingKid => "jwe-missing-kid",
            Self::UnknownKid => "jwe-unknown-kid",
            Self::AmbiguousKid => "jwe-ambiguous-kid",
            Self::KeyMismatch => "jwe-key-mismatch",
            Self::Undecryptable => "jwe-undecryptable",
            Self::ContentType => "jwe-cty",
        }
    }

    /// What a caller is told: the same for every cause, and the same as for a token that is only signed.
    #[must_use]
    pub fn public(self) -> &'static str {
        crate::jose::rejection::PUBLIC
    }
}

impl From<JsonError> for JweError {
    fn from(error: JsonError) -> Self {
        match error {
            JsonError::DuplicateName => Self::DuplicateName,
            JsonError::TooDeep => Self::TooDeep,
            JsonError::NotUtf8 | JsonError::Syntax | JsonError::NotAnObject => Self::MalformedHeader,
        }
    }
}
