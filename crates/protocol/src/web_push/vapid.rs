//! Telling a push service who sends: a token for it alone, by the key that the browser was subscribed with. RFC 8292.

use std::time::Duration;

use chartgate_values::{Secret, Timestamp};
use serde::Serialize;
use zeroize::Zeroizing;

use super::Subscription;
use crate::base64url;
use crate::jose::{Algorithm, PublicKey, SigningKey, jws};

/// The key of our messages. Browsers take them from this one alone: another one needs new subscriptions.
#[derive(Debug)]
pub struct VapidKey(SigningKey);

/// The library makes, reads or uses no such key.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
#[error("the key of push messages cannot be made or used")]
pub struct VapidKeyError;

/// RFC 8292 section 2 allows 24 hours; a message is sent at once.
const LIFE: Duration = Duration::from_hours(1);

impl VapidKey {
    /// Makes a new one.
    ///
    /// # Errors
    /// [`VapidKeyError`].
    pub fn generate() -> Result<Self, VapidKeyError> {
        SigningKey::generate(Algorithm::ES256).map(Self).map_err(|_| VapidKeyError)
    }

    /// Reads one that was kept.
    ///
    /// # Errors
    /// [`VapidKeyError`].
    pub fn from_pkcs8(pkcs8: &Secret<Vec<u8>>) -> Result<Self, VapidKeyError> {
        SigningKey::from_pkcs8(Algorithm::ES256, pkcs8).map(Self).map_err(|_| VapidKeyError)
    }

    /// To be sealed and kept.
    ///
    /// # Errors
    /// [`VapidKeyError`].
    pub fn to_pkcs8(&self) -> Result<Secret<Vec<u8>>, VapidKeyError> {
        self.0.to_pkcs8().map_err(|_| VapidKeyError)
    }

    /// What a browser is subscribed with: `applicationServerKey`, an uncompressed point in base64url.
    #[must_use]
    pub fn public(&self) -> String {
        // INVARIANT: a key for ES256 is a point on a curve.
        let PublicKey::Ec { x, y, .. } = &self.0.public_jwk().key else { return String::new() };
        base64url::encode(&[[4].as_slice(), x, y].concat())
    }

    /// The header `Authorization` of a message. RFC 8292 section 3.
    ///
    /// # Errors
    /// [`VapidKeyError`].
    pub fn authorization(
        &self,
        to: &Subscription,
        contact: &str,
        now: Timestamp,
    ) -> Result<Zeroizing<String>, VapidKeyError> {
        let claims = Claims { aud: to.origin(), exp: now.plus(LIFE).as_unix(), sub: contact };
        let token = jws::sign(&self.0, "JWT", &claims).map_err(|_| VapidKeyError)?;
        Ok(Zeroizing::new(format!("vapid t={token}, k={}", self.public())))
    }
}

#[derive(Serialize)]
struct Claims<'a> {
    aud: &'a str,
    exp: i64,
    sub: &'a str,
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::json::Object;

    const SUBSCRIPTION: &str = r#"{"endpoint":"https://push.example.net:8443/p/x","keys":{
        "p256dh":"BCVxsr7N_eNgVRqvHtD0zTZsEc6-VV-JvLexhqUzORcxaOzi6-AYWXvTBHm4bjyPjs7Vd8pZGH6SRpkNtoIAiw4",
        "auth":"BTBZMqHH6r4Tts7J_aSIgg"}}"#;

    #[test]
    fn a_push_service_is_told_who_sends_in_a_token_for_it_alone() {
        let now = Timestamp::from_unix(1_453_341_205);
        let kept = VapidKey::generate().unwrap().to_pkcs8().unwrap();
        let key = VapidKey::from_pkcs8(&kept).unwrap();
        let to = Subscription::parse(SUBSCRIPTION.as_bytes()).unwrap();
        let header = key.authorization(&to, "https://gateway.example", now).unwrap();
        let (token, public) = header.strip_prefix("vapid t=").unwrap().split_once(", k=").unwrap();
        assert_eq!((public.len(), public), (87, key.public().as_str()));
        let (signed, signature) = token.rsplit_once('.').unwrap();
        let signature = base64url::decode(signature).unwrap();
        key.0.verifying_key().verify(Algorithm::ES256, signed.as_bytes(), &signature).unwrap();
        let claims = base64url::decode(signed.split_once('.').unwrap().1).unwrap();
        let claims = Object::parse(&claims, 2).unwrap();
        assert_eq!(claims.string("aud").unwrap().unwrap(), "https://push.example.net:8443");
        assert_eq!(claims.string("sub").unwrap().unwrap(), "https://gateway.example");
        assert_eq!(claims.read::<i64>("exp").unwrap(), Some(1_453_341_205 + 3600));
    }
}
