//! A witness's key, which says at what time it saw a checkpoint. C2SP tlog-cosignature, Ed25519.

use std::fmt;

use aws_lc_rs::signature::{Ed25519KeyPair, KeyPair as _};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use chartgate_values::{Entropy, Secret, Timestamp};

use super::key::{Algorithm, WrongName, check_name, cosigned_message};
use super::{Note, NoteError, Signature, VerifierKey};
use crate::checkpoint::SignedCheckpoint;

/// The key with which a witness cosigns checkpoints.
pub struct WitnessSigner {
    pair: Ed25519KeyPair,
    verifier: VerifierKey,
}

impl fmt::Debug for WitnessSigner {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "<witness {}>", self.verifier)
    }
}

impl WitnessSigner {
    /// The key of the witness `name` from its 32 secret bytes. One seed is for one name: what is signed does not say it.
    ///
    /// # Errors
    /// [`WrongName`] if no key can have that name.
    pub fn from_seed(name: &str, seed: &Secret<[u8; 32]>) -> Result<Self, WrongName> {
        check_name(name)?;
        // INVARIANT: every 32 bytes are an Ed25519 seed, so the library does not refuse.
        let pair = Ed25519KeyPair::from_seed_unchecked(seed.expose()).map_err(|_| WrongName)?;
        let public = pair.public_key().as_ref().try_into().map_err(|_| WrongName)?;
        let verifier = VerifierKey { name: name.to_owned(), algorithm: Algorithm::CosignatureV1, public };
        Ok(Self { pair, verifier })
    }

    /// A new key for the witness `name`, and its 32 secret bytes.
    ///
    /// # Errors
    /// [`WrongName`] if no key can have that name.
    pub fn generate(name: &str, entropy: &mut dyn Entropy) -> Result<(Self, Secret<[u8; 32]>), WrongName> {
        let seed = Secret::new(entropy.bytes());
        Ok((Self::from_seed(name, &seed)?, seed))
    }

    /// The public half.
    #[must_use]
    pub fn verifier_key(&self) -> &VerifierKey {
        &self.verifier
    }

    /// The line, without its newline, that says of the checkpoint: the largest that was seen at `now`, consistent with all
    /// before.
    pub(crate) fn cosign(&self, checkpoint: &SignedCheckpoint, now: Timestamp) -> String {
        let time = u64::try_from(now.as_unix()).unwrap_or_default();
        let signature = self.pair.sign(&cosigned_message(time, checkpoint.text()));
        let mut bytes = self.verifier.id().to_vec();
        bytes.extend_from_slice(&time.to_be_bytes());
        bytes.extend_from_slice(signature.as_ref());
        format!("\u{2014} {} {}", self.verifier.name, STANDARD.encode(bytes))
    }
}

impl Note {
    /// When the witness `key` cosigned the note, in seconds since 1970; the latest, if it did so several times.
    ///
    /// # Errors
    /// [`NoteError::Unsigned`] if it did not or `key` is no witness's, [`NoteError::BadSignature`] if one of its lines does
    /// not verify.
    pub fn cosigned_at(&self, key: &VerifierKey) -> Result<u64, NoteError> {
        if !key.is_witness() {
            return Err(NoteError::Unsigned);
        }
        self.verify(key)?;
        let times = self.signatures.iter().filter(|line| line.is_of(key)).filter_map(Signature::time);
        times.max().ok_or(NoteError::BadSignature)
    }

    /// The lines of `key`, whether they verify or not.
    pub(crate) fn lines_of(&self, key: &VerifierKey) -> impl Iterator<Item = String> {
        self.signatures.iter().filter(|line| line.is_of(key)).map(ToString::to_string)
    }
}

impl Signature {
    fn time(&self) -> Option<u64> {
        self.bytes.first_chunk::<8>().map(|time| u64::from_be_bytes(*time))
    }
}

/// The line.
impl fmt::Display for Signature {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut bytes = self.key_id.to_vec();
        bytes.extend_from_slice(&self.bytes);
        write!(f, "\u{2014} {} {}", self.name, STANDARD.encode(bytes))
    }
}
