//! How passwords are hashed: Argon2id, or PBKDF2 where nothing but the FIPS module may be used. RFC 9106; RFC 8018 section 5.2;
//! NIST SP 800-132; docs/fips.md.
//!
//! Hashes are PHC strings, so that each says how it was made. What stands before the salt is its [`Cost`]: hashes of one cost
//! take as long as each other, and of two costs they do not.

use std::num::NonZeroU32;

use argon2::password_hash::phc::PasswordHash;
use argon2::{Algorithm, Argon2, Params, PasswordHasher as _, PasswordVerifier as _, Version};
use aws_lc_rs::{hmac, pbkdf2};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD_NO_PAD;
use chartgate_values::{Entropy, Secret};

use super::HashError;
use crate::entropy::SystemEntropy;

/// More than OWASP advises for PBKDF2-HMAC-SHA-512 (210,000): about as long as our Argon2id takes.
const ITERATIONS: NonZeroU32 = match NonZeroU32::new(250_000) {
    Some(iterations) => iterations,
    None => NonZeroU32::MIN,
};
const PBKDF2: &str = "$pbkdf2-sha512$";
const SALT_BYTES: usize = 16;
const HASH_BYTES: usize = 32;

/// How a password is hashed.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Scheme {
    /// RFC 9106, with the pepper as its secret: m=19456, t=2, p=1.
    Argon2id,
    /// PBKDF2-HMAC-SHA-512 by aws-lc, of the password's HMAC under the pepper.
    Pbkdf2,
}

/// How a hash was made, and so how long it takes: its PHC string without salt and hash.
#[derive(Clone, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub(super) struct Cost(String);

impl Scheme {
    /// That of new passwords in this build.
    pub(crate) fn of_this_build() -> Self {
        if cfg!(feature = "fips") { Self::Pbkdf2 } else { Self::Argon2id }
    }

    /// Hashes.
    pub(super) fn hash(self, pepper: &Secret<Vec<u8>>, password: &[u8]) -> Result<String, HashError> {
        let entropy: &mut dyn Entropy = &mut SystemEntropy;
        let salt = entropy.bytes::<SALT_BYTES>();
        match self {
            Self::Argon2id => {
                let hashed = argon2(pepper)?.hash_password_with_salt(password, &salt);
                Ok(hashed.map_err(|_| HashError)?.to_string())
            }
            Self::Pbkdf2 => {
                let mut hash = [0; HASH_BYTES];
                let keyed = keyed(pepper, password);
                pbkdf2::derive(pbkdf2::PBKDF2_HMAC_SHA512, ITERATIONS, &salt, keyed.as_ref(), &mut hash);
                let [salt, hash] = [salt.as_slice(), &hash].map(|bytes| STANDARD_NO_PAD.encode(bytes));
                Ok(format!("{PBKDF2}i={ITERATIONS}${salt}${hash}"))
            }
        }
    }
}

impl Cost {
    /// That of a hash, if this build can verify it.
    pub(super) fn of(hash: &str) -> Option<Self> {
        let (head, _) = hash.rsplit_once('$')?;
        let (head, _) = head.rsplit_once('$')?;
        let is_ours = if head.starts_with(PBKDF2) {
            iterations(head).is_some()
        } else {
            head.starts_with("$argon2id$") && cfg!(not(feature = "fips"))
        };
        is_ours.then(|| Self(head.to_owned()))
    }

    /// A hash of this cost that is no password's.
    pub(super) fn decoy(&self) -> String {
        let entropy: &mut dyn Entropy = &mut SystemEntropy;
        let salt = STANDARD_NO_PAD.encode(entropy.bytes::<SALT_BYTES>());
        format!("{}${salt}${}", self.0, STANDARD_NO_PAD.encode(entropy.bytes::<HASH_BYTES>()))
    }
}

/// Whether this is the password of a hash.
pub(super) fn is_of(hash: &str, pepper: &Secret<Vec<u8>>, password: &[u8]) -> bool {
    if hash.starts_with(PBKDF2) {
        is_of_pbkdf2(hash, pepper, password)
    } else {
        is_of_argon2(hash, pepper, password)
    }
}

fn is_of_argon2(hash: &str, pepper: &Secret<Vec<u8>>, password: &[u8]) -> bool {
    if cfg!(feature = "fips") {
        return false;
    }
    let (Ok(hash), Ok(argon2)) = (PasswordHash::new(hash), argon2(pepper)) else { return false };
    argon2.verify_password(password, &hash).is_ok()
}

fn is_of_pbkdf2(hash: &str, pepper: &Secret<Vec<u8>>, password: &[u8]) -> bool {
    let mut parts = hash.rsplitn(3, '$');
    let (Some(hash), Some(salt), Some(head)) = (parts.next(), parts.next(), parts.next()) else {
        return false;
    };
    let (Ok(hash), Ok(salt)) = (STANDARD_NO_PAD.decode(hash), STANDARD_NO_PAD.decode(salt)) else {
        return false;
    };
    let Some(iterations) = iterations(head).filter(|_| hash.len() == HASH_BYTES) else { return false };
    let keyed = keyed(pepper, password);
    pbkdf2::verify(pbkdf2::PBKDF2_HMAC_SHA512, iterations, &salt, keyed.as_ref(), &hash).is_ok()
}

fn iterations(head: &str) -> Option<NonZeroU32> {
    head.strip_prefix(PBKDF2)?.strip_prefix("i=")?.parse().ok()
}

/// The pepper comes first: a hash without it is of nothing that could be guessed.
fn keyed(pepper: &Secret<Vec<u8>>, password: &[u8]) -> hmac::Tag {
    hmac::sign(&hmac::Key::new(hmac::HMAC_SHA512, pepper.expose()), password)
}

fn argon2(pepper: &Secret<Vec<u8>>) -> Result<Argon2<'_>, HashError> {
    Argon2::new_with_secret(pepper.expose(), Algorithm::Argon2id, Version::V0x13, Params::DEFAULT)
        .map_err(|_| HashError)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pbkdf2_is_what_others_compute_of_the_passwords_hmac() {
        // Python: hashlib.pbkdf2_hmac("sha512", hmac.digest(bytes([7]) * 32, b"lantern", "sha512"), bytes(range(16)), 3, 32)
        let theirs = "HvXIRWP+xr9Kpi8kBsDuLiyIL20Yqd0TsCfBLY3Q7BU";
        let salt = STANDARD_NO_PAD.encode((0..16).collect::<Vec<u8>>());
        let pepper = Secret::new(vec![7; 32]);
        let hash = format!("$pbkdf2-sha512$i=3${salt}${theirs}");
        assert!(is_of(&hash, &pepper, b"lantern"));
        assert!(!is_of(&hash, &pepper, b"lanterns"));
        assert!(!is_of(&hash.replace("i=3", "i=4"), &pepper, b"lantern"));
        assert!(!is_of(&hash, &Secret::new(vec![8; 32]), b"lantern"));
    }

    #[test]
    fn a_hash_that_is_none_is_nobodys() {
        let pepper = Secret::new(vec![7; 32]);
        for hash in [
            "",
            "$",
            "$pbkdf2-sha512$",
            "$pbkdf2-sha512$i=0$AAAA$AAAA",
            "$pbkdf2-sha512$i=3$AAAA$",
            "$pbkdf2-sha512$i=3$AAAA$AAAA",
            "$pbkdf2-sha512$i=99999999999$AAAA$AAAA",
            "$scrypt$ln=1$AAAA$AAAA",
            "$argon2id$v=19$m=19456,t=2,p=1$AAAA",
        ] {
            assert!(!is_of(hash, &pepper, b""), "{hash}");
        }
        assert_eq!(Cost::of("$scrypt$ln=1$AAAA$AAAA"), None);
        assert_eq!(Cost::of("$pbkdf2-sha512$i=0$AAAA$AAAA"), None);
        let hash = Scheme::Pbkdf2.hash(&pepper, b"x").unwrap();
        let cost = Cost::of(&hash).unwrap();
        assert_eq!(cost, Cost("$pbkdf2-sha512$i=250000".to_owned()));
        assert_eq!(Cost::of(&cost.decoy()), Some(cost));
    }
}
