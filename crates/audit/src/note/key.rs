//! The keys that sign notes, and their public halves as text: `name+id+key`.

use std::fmt;
use std::str::FromStr;

use aws_lc_rs::signature::{ED25519, Ed25519KeyPair, KeyPair as _, UnparsedPublicKey};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use chartgate_values::{Entropy, Secret};

use super::NoteError;
use crate::tree::Hash;

/// The public key of a log or of a witness: a "vkey".
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct VerifierKey {
    pub(super) name: String,
    pub(super) algorithm: Algorithm,
    pub(super) public: [u8; 32],
}

/// What is signed, by the signature type of C2SP signed-note.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Algorithm {
    /// 0x01: the note's text.
    Ed25519,
    /// 0x04: the note's text behind a time, by a witness. C2SP tlog-cosignature.
    CosignatureV1,
}

impl Algorithm {
    fn type_byte(self) -> u8 {
        match self {
            Self::Ed25519 => 0x01,
            Self::CosignatureV1 => 0x04,
        }
    }

    fn from_type_byte(byte: u8) -> Option<Self> {
        match byte {
            0x01 => Some(Self::Ed25519),
            0x04 => Some(Self::CosignatureV1),
            _ => None,
        }
    }
}

impl VerifierKey {
    /// The key's name; for a log, its origin.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The short id that signature lines carry.
    #[must_use]
    pub fn id(&self) -> [u8; 4] {
        let hash =
            Hash::of(&[self.name.as_bytes(), b"\n", &[self.algorithm.type_byte()], self.public.as_slice()]);
        let [a, b, c, d, ..] = *hash.as_bytes();
        [a, b, c, d]
    }

    /// Whether it is a witness's, which signs with a time.
    #[must_use]
    pub fn is_witness(&self) -> bool {
        self.algorithm == Algorithm::CosignatureV1
    }

    /// Whether both wrap the same public key, under whatever name and for whatever use.
    #[must_use]
    pub fn wraps_same_key(&self, other: &Self) -> bool {
        self.public == other.public
    }

    pub(super) fn verify(&self, text: &str, signature: &[u8]) -> Result<(), NoteError> {
        let key = UnparsedPublicKey::new(&ED25519, &self.public);
        let verified = match self.algorithm {
            Algorithm::Ed25519 => key.verify(text.as_bytes(), signature),
            Algorithm::CosignatureV1 => {
                let (time, signature) = signature.split_first_chunk::<8>().ok_or(NoteError::BadSignature)?;
                let time = u64::from_be_bytes(*time);
                if i64::try_from(time).is_err() {
                    return Err(NoteError::BadSignature);
                }
                key.verify(&cosigned_message(time, text), signature)
            }
        };
        verified.map_err(|_| NoteError::BadSignature)
    }
}

impl fmt::Display for VerifierKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let id = u32::from_be_bytes(self.id());
        let mut key = vec![self.algorithm.type_byte()];
        key.extend_from_slice(&self.public);
        write!(f, "{}+{id:08x}+{}", self.name, STANDARD.encode(key))
    }
}

/// What a witness signs. C2SP tlog-cosignature, "Ed25519 signed message".
pub(super) fn cosigned_message(time: u64, text: &str) -> Vec<u8> {
    format!("cosignature/v1\ntime {time}\n{text}").into_bytes()
}

/// The text is no verifier key that we can use. C2SP signed-note, "Verifier keys".
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
#[error("not a verifier key of the form name+id+key with an Ed25519 key")]
pub struct ParseVerifierKeyError;

impl FromStr for VerifierKey {
    type Err = ParseVerifierKeyError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let (name, rest) = text.split_once('+').ok_or(ParseVerifierKeyError)?;
        let (_id, encoded) = rest.split_once('+').ok_or(ParseVerifierKeyError)?;
        check_name(name).map_err(|_| ParseVerifierKeyError)?;
        let bytes = STANDARD.decode(encoded).map_err(|_| ParseVerifierKeyError)?;
        let (type_byte, public) = bytes.split_first().ok_or(ParseVerifierKeyError)?;
        let algorithm = Algorithm::from_type_byte(*type_byte).ok_or(ParseVerifierKeyError)?;
        let public = public.try_into().map_err(|_| ParseVerifierKeyError)?;
        let key = Self { name: name.to_owned(), algorithm, public };
        // The id follows from the rest; a text with another id, or spelt otherwise, was altered.
        if key.to_string() == text { Ok(key) } else { Err(ParseVerifierKeyError) }
    }
}

/// A name that no key can have. C2SP signed-note, "Format": not empty, no spaces, no plus; here also no controls.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
#[error("a key's name is not empty and has no space, plus or control character")]
pub struct WrongName;

pub(super) fn check_name(name: &str) -> Result<(), WrongName> {
    let forbidden = |c: char| c.is_whitespace() || c.is_control() || c == '+';
    if name.is_empty() || name.contains(forbidden) { Err(WrongName) } else { Ok(()) }
}

/// The key with which a log signs its checkpoints.
pub struct LogSigner {
    pair: Ed25519KeyPair,
    verifier: VerifierKey,
}

impl fmt::Debug for LogSigner {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "<signer of {}>", self.verifier)
    }
}

impl LogSigner {
    /// The key of the log `origin` from its 32 secret bytes, which nobody may be able to predict.
    ///
    /// # Errors
    /// [`WrongName`] if no key can have that name.
    pub fn from_seed(origin: &str, seed: &Secret<[u8; 32]>) -> Result<Self, WrongName> {
        check_name(origin)?;
        // INVARIANT: every 32 bytes are an Ed25519 seed, so the library does not refuse.
        let pair = Ed25519KeyPair::from_seed_unchecked(seed.expose()).map_err(|_| WrongName)?;
        let public = pair.public_key().as_ref().try_into().map_err(|_| WrongName)?;
        let verifier = VerifierKey { name: origin.to_owned(), algorithm: Algorithm::Ed25519, public };
        Ok(Self { pair, verifier })
    }

    /// A new key for the log `origin`, and its 32 secret bytes, to be kept sealed.
    ///
    /// # Errors
    /// [`WrongName`] if no key can have that name.
    pub fn generate(origin: &str, entropy: &mut dyn Entropy) -> Result<(Self, Secret<[u8; 32]>), WrongName> {
        let seed = Secret::new(entropy.bytes());
        Ok((Self::from_seed(origin, &seed)?, seed))
    }

    /// The public half.
    #[must_use]
    pub fn verifier_key(&self) -> &VerifierKey {
        &self.verifier
    }

    /// The note of `text`, which must end in a newline, with this key's signature.
    pub(crate) fn sign(&self, text: &str) -> String {
        let mut signature = self.verifier.id().to_vec();
        signature.extend_from_slice(self.pair.sign(text.as_bytes()).as_ref());
        format!("{text}\n\u{2014} {} {}\n", self.verifier.name, STANDARD.encode(signature))
    }
}
