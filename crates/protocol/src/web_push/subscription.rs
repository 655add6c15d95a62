//! Where a browser takes messages, as it says itself. W3C Push API, `PushSubscription.toJSON()`; RFC 8291 section 2.

use aws_lc_rs::agreement::{ECDH_P256, ParsedPublicKey, UnparsedPublicKey};

use crate::base64url;
use crate::json::Object;
use crate::oauth::https_uri::HttpsUri;

/// A browser's subscription. Its address and its secret are all that one needs to send to it: neither belongs in a log.
pub struct Subscription {
    endpoint: HttpsUri,
    key: [u8; KEY_BYTES],
    secret: [u8; SECRET_BYTES],
}

/// An uncompressed point on P-256.
const KEY_BYTES: usize = 65;
/// RFC 8291 section 3.2.
const SECRET_BYTES: usize = 16;
/// Longer than any real one.
const MAX_BYTES: usize = 4096;
const MAX_DEPTH: usize = 4;

/// The text is no subscription that can be sent to.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
#[error("not a push subscription")]
pub struct NotASubscription;

impl Subscription {
    /// Reads what a browser says of its subscription. What else it says is not kept.
    ///
    /// # Errors
    /// [`NotASubscription`].
    pub fn parse(text: &[u8]) -> Result<Self, NotASubscription> {
        if text.len() > MAX_BYTES {
            return Err(NotASubscription);
        }
        let object = Object::parse(text, MAX_DEPTH).map_err(|_| NotASubscription)?;
        let string = |object: &Object<'_>, name: &str| match object.string(name) {
            Ok(Some(text)) => Ok(text.into_owned()),
            Ok(None) | Err(_) => Err(NotASubscription),
        };
        let keys = object.get("keys").ok_or(NotASubscription)?;
        let keys = Object::parse(keys.as_bytes(), MAX_DEPTH).map_err(|_| NotASubscription)?;
        let bytes = |name| base64url::decode(&string(&keys, name)?).map_err(|_| NotASubscription);
        let key = bytes("p256dh")?.try_into().map_err(|_| NotASubscription)?;
        // With a point that is on no curve, or on another, nothing is agreed.
        ParsedPublicKey::try_from(UnparsedPublicKey::new(&ECDH_P256, &key)).map_err(|_| NotASubscription)?;
        Ok(Self {
            endpoint: string(&object, "endpoint")?.parse().map_err(|_| NotASubscription)?,
            key,
            secret: bytes("auth")?.try_into().map_err(|_| NotASubscription)?,
        })
    }

    /// The one spelling in which it is kept.
    #[must_use]
    pub fn to_json(&self) -> String {
        let keys = serde_json::json!({
            "p256dh": base64url::encode(&self.key),
            "auth": base64url::encode(&self.secret),
        });
        serde_json::json!({ "endpoint": self.endpoint.as_str(), "keys": keys }).to_string()
    }

    /// Where its messages go.
    #[must_use]
    pub fn endpoint(&self) -> &HttpsUri {
        &self.endpoint
    }

    /// Scheme, host and port of that: for whom a message's token is.
    #[must_use]
    pub fn origin(&self) -> &str {
        let whole = self.endpoint.as_str();
        let rest = whole.get(SCHEME.len()..).unwrap_or_default();
        let host = rest.split(['/', '?']).next().unwrap_or_default().len();
        whole.get(..SCHEME.len().saturating_add(host)).unwrap_or_default()
    }

    pub(super) fn key(&self) -> &[u8; KEY_BYTES] {
        &self.key
    }

    pub(super) fn secret(&self) -> &[u8; SECRET_BYTES] {
        &self.secret
    }
}

const SCHEME: &str = "https://";

impl std::fmt::Debug for Subscription {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("<push subscription>")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const KEY: &str =
        "BCVxsr7N_eNgVRqvHtD0zTZsEc6-VV-JvLexhqUzORcxaOzi6-AYWXvTBHm4bjyPjs7Vd8pZGH6SRpkNtoIAiw4";
    const SECRET: &str = "BTBZMqHH6r4Tts7J_aSIgg";

    fn parse(endpoint: &str, key: &str, secret: &str) -> Result<Subscription, NotASubscription> {
        let keys = serde_json::json!({ "p256dh": key, "auth": secret });
        let text = serde_json::json!({ "endpoint": endpoint, "expirationTime": null, "keys": keys });
        Subscription::parse(text.to_string().as_bytes())
    }

    #[test]
    fn what_a_browser_says_is_read_and_kept_in_one_spelling() {
        let read = parse("https://push.example.net:8443/p/x?y=/z", KEY, SECRET).unwrap();
        assert_eq!(read.origin(), "https://push.example.net:8443");
        let again = Subscription::parse(read.to_json().as_bytes()).unwrap();
        assert_eq!(again.to_json(), read.to_json());
        assert_eq!(format!("{read:?}"), "<push subscription>");
    }

    #[test]
    fn what_cannot_be_sent_to_is_refused() {
        let good = "https://push.example.net/p";
        let off_the_curve = format!("{}x8", KEY.get(..85).unwrap());
        for (endpoint, key, secret) in [
            ("http://push.example.net/p", KEY, SECRET),
            ("https://user@push.example.net/p", KEY, SECRET),
            ("/p", KEY, SECRET),
            (good, KEY.get(..86).unwrap(), SECRET),
            (good, &format!("{KEY}A"), SECRET),
            (good, &off_the_curve, SECRET),
            (good, "AA", SECRET),
            (good, KEY, "BTBZMqHH6r4Tts7J_aSI"),
            (good, KEY, "BTBZMqHH6r4Tts7J_aSIgg=="),
        ] {
            assert_eq!(parse(endpoint, key, secret).unwrap_err(), NotASubscription, "{endpoint} {key}");
        }
        for text in ["", "null", "[]", "{}", r#"{"endpoint":"https://a.example/"}"#, r#"{"keys":7}"#] {
            assert_eq!(Subscription::parse(text.as_bytes()).unwrap_err(), NotASubscription, "{text}");
        }
        let twice = format!(
            r#"{{"endpoint":"{good}","endpoint":"{good}","keys":{{"p256dh":"{KEY}","auth":"{SECRET}"}}}}"#
        );
        assert!(Subscription::parse(twice.as_bytes()).is_err());
    }
}
