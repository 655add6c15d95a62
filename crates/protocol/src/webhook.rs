//! Signatures of webhooks, as the specification Standard Webhooks 1.0 has them (`v1`: HMAC-SHA256).

use aws_lc_rs::hmac;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use chartgate_values::{Secret, Timestamp};

/// The secret that a receiver shares with us.
pub struct WebhookKey(hmac::Key);

/// The secret is too short to be one, or not what its prefix says.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
#[error("a signing secret has 24 to 64 bytes: as they are, or `whsec_` and their base64")]
pub struct WeakWebhookSecret;

impl WebhookKey {
    /// From `whsec_` and base64, or from the bytes of the text.
    ///
    /// # Errors
    /// [`WeakWebhookSecret`].
    pub fn parse(secret: &Secret<String>) -> Result<Self, WeakWebhookSecret> {
        let bytes = match secret.expose().strip_prefix("whsec_") {
            Some(text) => STANDARD.decode(text).map_err(|_| WeakWebhookSecret)?,
            None => secret.expose().as_bytes().to_vec(),
        };
        let bytes = Secret::new(bytes);
        let is_long_enough = (24..=64).contains(&bytes.expose().len());
        is_long_enough
            .then(|| Self(hmac::Key::new(hmac::HMAC_SHA256, bytes.expose())))
            .ok_or(WeakWebhookSecret)
    }

    /// The header `webhook-signature` of a message with this id and time.
    #[must_use]
    pub fn sign(&self, id: &str, at: Timestamp, body: &[u8]) -> String {
        let mut context = hmac::Context::with_key(&self.0);
        context.update(format!("{id}.{}.", at.as_unix()).as_bytes());
        context.update(body);
        format!("v1,{}", STANDARD.encode(context.sign()))
    }
}

impl std::fmt::Debug for WebhookKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("<webhook key>")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_specifications_own_example_is_signed_as_it_says() {
        let key =
            WebhookKey::parse(&Secret::new("whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw".to_owned())).unwrap();
        let body = br#"{"test": 2432232314}"#;
        let signature = key.sign("msg_p5jXN8AQM9LWM0D4loKWxJek", Timestamp::from_unix(1_614_265_330), body);
        assert_eq!(signature, "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=");
    }

    #[test]
    fn a_short_secret_is_none() {
        for short in ["", "whsec_", "whsec_AAAA", "whsec_%", "hush"] {
            assert!(WebhookKey::parse(&Secret::new(short.to_owned())).is_err(), "{short}");
        }
        assert!(WebhookKey::parse(&Secret::new("x".repeat(24))).is_ok());
    }
}
