//! Decryption keys as JSON. RFC 7518 sections 6.2.2, 6.3.2 and 6.4.

use aws_lc_rs::agreement::PrivateKey;
use aws_lc_rs::encoding::{AsBigEndian as _, AsDer as _, EcPrivateKeyBin, Pkcs8V1Der};
use chartgate_values::Secret;
use serde::Serialize;
use zeroize::Zeroizing;

use super::agreement::{curve_of, public_key};
use super::decryption_key::{DecryptionKey, PrivateHalf, secret_bytes};
use super::encryption_key::{Half, check_operations};
use super::management::KeyManagement;
use crate::base64url;
use crate::jose::der;
use crate::jose::jwk::{JwkError, MAX_DEPTH, PublicKey, required_bytes, required_text};
use crate::jose::private_jwk::{LONGEST_PRIVATE_JWK, read_rsa, write, write_rsa};
use crate::jose::signing_key::{ExportKeyError, ImportKeyError};
use crate::jose::verifying_key::UnusableKey;
use crate::json::Object;

impl DecryptionKey {
    /// Takes a key from a private JWK. An RSA key has to have all its members, `n e d p q dp dq qi`. A key that
    /// has no `kid` is named by its thumbprint; a shared key, whose thumbprint would tell of the secret, has to
    /// have one.
    ///
    /// # Errors
    /// [`ImportKeyError`] if it is no key for this management, or says that it is for another.
    pub fn from_private_jwk(
        management: KeyManagement,
        jwk: &Secret<Vec<u8>>,
    ) -> Result<Self, ImportKeyError> {
        let object = Object::parse(jwk.expose(), MAX_DEPTH).map_err(JwkError::from)?;
        check_purpose(management, &object)?;
        let kid = object.string("kid").map_err(|_| JwkError::Malformed("kid"))?.map(|kid| kid.into_owned());
        if required_text(&object, "kty")? == "oct" {
            let kid = kid.ok_or(JwkError::Missing("kid"))?;
            let secret = Secret::new(required_bytes(&object, "k")?);
            return match secret_bytes(management) {
                Some(length) if length == secret.expose().len() => Ok(Self::shared(management, kid, secret)),
                Some(_) | None => Err(ImportKeyError::Rejected),
            };
        }
        match (PublicKey::read(&object)?, management) {
            (PublicKey::Rsa { modulus, exponent }, KeyManagement::RsaOaep256) => {
                Self::from_rsa(&read_rsa(&object, modulus, exponent)?, kid)
            }
            (key @ PublicKey::Ec { curve, .. }, KeyManagement::EcdhEs | KeyManagement::EcdhEsA256Kw) => {
                let d = Zeroizing::new(required_bytes(&object, "d")?);
                let private = PrivateKey::from_private_key(curve_of(curve), &d)
                    .map_err(|_| ImportKeyError::Rejected)?;
                if public_key(&private, curve) != Some(key) {
                    return Err(ImportKeyError::Rejected);
                }
                Self::from_ec(management, private, curve, kid)
            }
            (PublicKey::Rsa { .. } | PublicKey::Ec { .. } | PublicKey::Ed25519 { .. }, _) => {
                Err(ImportKeyError::Rejected)
            }
        }
    }

    /// The key as a private JWK, to be sealed and stored.
    ///
    /// # Errors
    /// [`ExportKeyError`] if the library fails.
    pub fn to_private_jwk(&self) -> Result<Secret<Vec<u8>>, ExportKeyError> {
        match (self.private(), self.public_jwk(), self.encryption_key().half()) {
            (PrivateHalf::Ec(key), Some(jwk), _) => {
                let d: EcPrivateKeyBin<'_> = key.as_be_bytes().map_err(|_| ExportKeyError)?;
                write(jwk, &[("d", d.as_ref())])
            }
            (PrivateHalf::Rsa { kept, .. }, Some(jwk), _) => {
                let pkcs8: Pkcs8V1Der<'_> = kept.as_der().map_err(|_| ExportKeyError)?;
                write_rsa(jwk, &der::rsa_private(pkcs8.as_ref()).ok_or(ExportKeyError)?)
            }
            (PrivateHalf::Shared, _, Half::Shared(secret)) => self.write_shared(secret),
            // INVARIANT: the halves were made for each other.
            (PrivateHalf::Ec(_) | PrivateHalf::Rsa { .. } | PrivateHalf::Shared, _, _) => Err(ExportKeyError),
        }
    }

    fn write_shared(&self, secret: &Secret<Vec<u8>>) -> Result<Secret<Vec<u8>>, ExportKeyError> {
        #[derive(Serialize)]
        struct SharedJwk<'a> {
            kty: &'static str,
            r#use: &'static str,
            alg: &'static str,
            kid: &'a str,
            k: &'a str,
        }
        let k = Zeroizing::new(base64url::encode(secret.expose()));
        let jwk = SharedJwk {
            kty: "oct",
            r#use: "enc",
            alg: self.management().key_name(),
            kid: self.kid(),
            k: k.as_str(),
        };
        // Written into one allocation, so that no half-grown copy of it stays behind in memory.
        let mut text =
            Vec::with_capacity(LONGEST_PRIVATE_JWK.saturating_add(self.kid().len().saturating_mul(6)));
        serde_json::to_writer(&mut text, &jwk).map_err(|_| ExportKeyError)?;
        Ok(Secret::new(text))
    }
}

/// RFC 7517 sections 4.2 to 4.4: what the key says of itself, if it does.
fn check_purpose(management: KeyManagement, object: &Object<'_>) -> Result<(), ImportKeyError> {
    let text = |name| object.string(name).map_err(|_| JwkError::Malformed(name));
    if text("alg")?.is_some_and(|own| own != management.name() && own != management.key_name()) {
        return Err(ImportKeyError::Algorithm);
    }
    if text("use")?.is_some_and(|own| own != "enc") {
        return Err(UnusableKey::Use.into());
    }
    let operations: Option<Vec<String>> =
        object.read("key_ops").map_err(|_| JwkError::Malformed("key_ops"))?;
    check_operations(operations.as_deref(), &["decrypt", "unwrapKey", "deriveKey", "deriveBits"])?;
    Ok(())
}
