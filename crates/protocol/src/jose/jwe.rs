//! Encrypted texts in the compact serialization. RFC 7516 sections 3.1, 4, 5 and 7.1; RFC 8725 section 3.

use std::fmt;

use chartgate_values::{Entropy, Secret};
use serde::Serialize;

use super::jwk::Jwk;
use super::jws::{MAX_HEADER_MEMBERS, MAX_JSON_DEPTH, MediaType};
use crate::base64url;
use crate::json::Object;

mod agreement;
mod content;
mod decryption_key;
mod encryption_key;
mod error;
#[doc(hidden)]
pub mod key_wrap;
mod management;
mod nested;
mod private_jwk;

use agreement::SenderSide;
#[doc(hidden)]
pub use content::Ciphertext;
pub use content::ContentEncryption;
pub use decryption_key::{DecryptionKey, DecryptionKeySet};
pub use encryption_key::EncryptionKey;
pub use error::JweError;
pub use management::KeyManagement;
pub use nested::{NestError, sign_and_encrypt};

/// A text that says that it is encrypted. Shows its header, by which the key is chosen, and no more.
#[derive(Debug)]
pub struct Encrypted<'a> {
    header: Header,
    protected: &'a str,
    encrypted_key: Vec<u8>,
    sealed: Ciphertext,
}

/// What a header says, as far as anybody here asks.
///
/// Keys in the header (`jwk`, `x5c`) and places to fetch them from (`jku`, `x5u`) are not among it (RFC 8725
/// section 3.10), nor are claims that are repeated in it (RFC 7519 section 5.3).
#[derive(Clone, Debug)]
pub struct Header {
    /// `alg`, one of those that are offered.
    pub management: KeyManagement,
    /// `enc`, one of those that the reader allows.
    pub content: ContentEncryption,
    /// `kid`: the name of the key.
    pub kid: Option<String>,
    /// `typ`: what kind of token this is. Whoever has the public key can write it; what is signed says more.
    pub typ: MediaType,
    /// `cty`: what the content is.
    pub cty: MediaType,
    sender: Option<SenderSide>,
}

/// A text that was decrypted by a key that was meant. By whom it was encrypted, nobody knows who shares no key
/// with the sender: for that, it holds something signed.
pub struct Decrypted {
    header: Header,
    plaintext: Secret<Vec<u8>>,
}

impl<'a> Encrypted<'a> {
    /// Takes a token apart.
    ///
    /// # Errors
    /// [`JweError`], from the size to compression.
    pub fn parse(token: &'a str, allowed: &[ContentEncryption], max_bytes: usize) -> Result<Self, JweError> {
        if token.len() > max_bytes {
            return Err(JweError::TooLarge);
        }
        let mut parts = token.split('.');
        let mut part = || parts.next().ok_or(JweError::Malformed);
        let [protected, encrypted_key, iv, body, tag] = [part()?, part()?, part()?, part()?, part()?];
        if parts.next().is_some() || protected.is_empty() {
            return Err(JweError::Malformed);
        }
        let decode = |part| base64url::decode(part).map_err(|_| JweError::Encoding);
        let header = decode(protected)?;
        let encrypted_key = decode(encrypted_key)?;
        let sealed = Ciphertext { iv: decode(iv)?, body: decode(body)?, tag: decode(tag)? };
        let header = Header::parse(&header, allowed)?;
        Ok(Self { header, protected, encrypted_key, sealed })
    }

    /// What the header says, on nobody's authority.
    #[must_use]
    pub fn header(&self) -> &Header {
        &self.header
    }

    /// Decrypts by the key of the set that `kid` names.
    ///
    /// # Errors
    /// [`JweError`], from the `kid` to the decryption.
    pub fn decrypt_with(self, keys: &DecryptionKeySet) -> Result<Decrypted, JweError> {
        let key = keys.get(self.header.kid.as_deref().ok_or(JweError::MissingKid)?)?;
        self.decrypt(key)
    }

    /// Decrypts by a key that was chosen by other means than `kid`.
    ///
    /// # Errors
    /// [`JweError::KeyMismatch`] or [`JweError::Undecryptable`].
    pub fn decrypt(self, key: &DecryptionKey) -> Result<Decrypted, JweError> {
        let Self { header, protected, encrypted_key, sealed } = self;
        if header.management != key.management() {
            return Err(JweError::KeyMismatch);
        }
        // SPEC: RFC 7516 section 11.5 wants a random key where none was recovered, so that nobody can tell, not
        // even by a clock, that recovering failed. That is against RSA1_5, where many a forged text looks like an
        // encrypted key, and hearing so decrypts. Here it tells nothing: what looks like a wrapped key (RFC 3394)
        // or like OAEP, whose padding aws-lc checks in constant time, was made by somebody who knows the key in
        // it; and an agreement between points of one curve does not fail. The answer is the same one in any case.
        let plaintext = key
            .recover(&header, &encrypted_key)
            .and_then(|cek| header.content.decrypt(&cek, protected.as_bytes(), sealed))
            .ok_or(JweError::Undecryptable)?;
        Ok(Decrypted { header, plaintext })
    }
}

impl Header {
    fn parse(text: &[u8], allowed: &[ContentEncryption]) -> Result<Self, JweError> {
        let object = Object::parse(text, MAX_JSON_DEPTH)?;
        if object.len() > MAX_HEADER_MEMBERS {
            return Err(JweError::TooManyHeaderMembers);
        }
        let text = |name| object.string(name).map_err(|_| JweError::MalformedHeader);
        let alg = text("alg")?.ok_or(JweError::MalformedHeader)?;
        let enc = text("enc")?.ok_or(JweError::MalformedHeader)?;
        let kid = text("kid")?.map(|kid| kid.into_owned());
        let content = enc.parse().ok().filter(|own| allowed.contains(own));
        let content = content.ok_or(JweError::EncryptionNotAllowed)?;
        let management = KeyManagement::named(&alg, content).ok_or(JweError::ManagementNotAllowed)?;
        if object.get("crit").is_some() {
            return Err(JweError::Critical);
        }
        if object.get("zip").is_some() {
            return Err(JweError::Compressed);
        }
        let sender = match management {
            KeyManagement::EcdhEs | KeyManagement::EcdhEsA256Kw => Some(SenderSide::read(&object)?),
            KeyManagement::RsaOaep256 | KeyManagement::A256Kw | KeyManagement::Direct(_) => None,
        };
        let (typ, cty) = (MediaType::read(&object, "typ"), MediaType::read(&object, "cty"));
        Ok(Self { management, content, kid, typ, cty, sender })
    }
}

impl Decrypted {
    /// The header, which the tag covers.
    #[must_use]
    pub fn header(&self) -> &Header {
        &self.header
    }

    /// What was encrypted.
    #[must_use]
    pub fn plaintext(&self) -> &[u8] {
        self.plaintext.expose()
    }
}

impl fmt::Debug for Decrypted {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Decrypted").field("header", &self.header).finish_non_exhaustive()
    }
}

/// For whom something is encrypted, and how.
#[derive(Clone, Copy, Debug)]
pub struct Recipient<'a> {
    /// The key, which says how its reader comes to the content's key.
    pub key: &'a EncryptionKey,
    /// How the content is encrypted.
    pub content: ContentEncryption,
}

/// What is encrypted, and what the header says of it for everybody to read.
#[derive(Clone, Copy)]
pub struct Message<'a> {
    /// `typ`.
    pub typ: Option<&'a str>,
    /// `cty`.
    pub cty: Option<&'a str>,
    /// What nobody else is to read.
    pub plaintext: &'a [u8],
}

/// Why nothing was encrypted.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
pub enum EncryptError {
    /// RFC 7518 section 4.5: the key is for another content encryption.
    #[error("key is for another content encryption")]
    KeyMismatch,
    /// A limit of ours: nobody here would read it.
    #[error("encrypted token would be too large")]
    TooLarge,
    /// RFC 7516 section 5.1: the library failed.
    #[error("token could not be encrypted")]
    Failed,
}

/// Encrypts a message. Keys and vectors are drawn from `entropy`, except ephemeral keys and the padding of
/// OAEP, which the library draws.
///
/// # Errors
/// [`EncryptError`] if the key is for another encryption, the message is too long, or the library fails.
pub fn encrypt(
    to: Recipient<'_>,
    message: &Message<'_>,
    entropy: &mut dyn Entropy,
) -> Result<String, EncryptError> {
    #[derive(Serialize)]
    struct ProtectedHeader<'a> {
        alg: &'static str,
        enc: ContentEncryption,
        #[serde(skip_serializing_if = "Option::is_none")]
        typ: Option<&'a str>,
        #[serde(skip_serializing_if = "Option::is_none")]
        cty: Option<&'a str>,
        #[serde(skip_serializing_if = "Option::is_none")]
        kid: Option<&'a str>,
        #[serde(skip_serializing_if = "Option::is_none")]
        epk: Option<Jwk>,
    }
    let Recipient { key, content } = to;
    if !key.management().serves(content) {
        return Err(EncryptError::KeyMismatch);
    }
    if message.plaintext.len() > MAX_TOKEN_BYTES {
        return Err(EncryptError::TooLarge);
    }
    let established = key.establish(content, entropy).ok_or(EncryptError::Failed)?;
    let header = ProtectedHeader {
        alg: key.management().name(),
        enc: content,
        typ: message.typ,
        cty: message.cty,
        kid: key.kid(),
        epk: established.epk,
    };
    let header = serde_json::to_vec(&header).map_err(|_| EncryptError::Failed)?;
    let mut token = base64url::encode(&header);
    let mut iv = vec![0; content.iv_bytes()];
    entropy.fill(&mut iv);
    let sealed = content
        .encrypt(&established.cek, &iv, token.as_bytes(), message.plaintext)
        .ok_or(EncryptError::Failed)?;
    for part in [&established.encrypted_key, &sealed.iv, &sealed.body, &sealed.tag] {
        token.push('.');
        base64url::encode_onto(part, &mut token);
    }
    if token.len() > MAX_TOKEN_BYTES {
        return Err(EncryptError::TooLarge);
    }
    Ok(token)
}

/// The longest encrypted token that is read, in bytes: the longest signed one fits into it, whatever the key.
pub const MAX_TOKEN_BYTES: usize = 24_576;
