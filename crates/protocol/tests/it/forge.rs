//! An issuer for tests that also signs what no honest issuer would.

use aws_lc_rs::signature::Ed25519KeyPair;
use chartgate_protocol::base64url;
use chartgate_protocol::jose::claims::AccessTokenClaims;
use chartgate_protocol::jose::{
    AccessTokenVerifier, Algorithm, ExpectedAudience, KeySet, Presentation, Rejection, SigningKey,
};
use chartgate_values::Timestamp;
use serde_json::{Value, json};

pub(crate) const NOW: i64 = 1_900_000_000;

/// An issuer with one Ed25519 key, and its resource server.
pub(crate) struct Forge {
    pub(crate) key: SigningKey,
    pub(crate) keys: KeySet,
    pub(crate) verifier: AccessTokenVerifier,
    pair: Ed25519KeyPair,
}

impl Forge {
    pub(crate) fn new() -> Self {
        let key = SigningKey::generate(Algorithm::EdDSA).unwrap();
        Self {
            keys: KeySet::from_iter([key.verifying_key().clone()]),
            verifier: AccessTokenVerifier::new(
                "https://idp.test",
                ExpectedAudience::OneOf(vec!["https://fhir.test".to_owned()]),
            ),
            pair: Ed25519KeyPair::from_pkcs8(key.to_pkcs8().unwrap().expose()).unwrap(),
            key,
        }
    }

    pub(crate) fn header(&self) -> Value {
        json!({"alg": "EdDSA", "typ": "at+jwt", "kid": self.key.kid()})
    }

    /// Any two texts as header and payload, signed.
    pub(crate) fn sign_text(&self, header: impl AsRef<[u8]>, payload: impl AsRef<[u8]>) -> String {
        let input = format!("{}.{}", base64url::encode(header.as_ref()), base64url::encode(payload.as_ref()));
        let signature = self.pair.sign(input.as_bytes());
        format!("{input}.{}", base64url::encode(signature.as_ref()))
    }

    /// Good claims under a changed header. A member set to `null` is taken out.
    pub(crate) fn with_header(&self, change: &Value) -> String {
        self.sign_text(changed(self.header(), change).to_string(), claims().to_string())
    }

    /// Changed claims under a good header. A member set to `null` is taken out.
    pub(crate) fn with_claims(&self, change: &Value) -> String {
        self.sign_text(self.header().to_string(), changed(claims(), change).to_string())
    }

    pub(crate) fn verify(&self, token: &str) -> Result<AccessTokenClaims, Rejection> {
        self.verifier.verify(token, &self.keys, Presentation::BEARER, Timestamp::from_unix(NOW))
    }

    #[track_caller]
    pub(crate) fn refuses(&self, token: &str, cause: Rejection) {
        assert_eq!(self.verify(token).map(|_| ()), Err(cause), "{token:.200}");
    }
}

/// The claims of a good access token.
pub(crate) fn claims() -> Value {
    json!({
        "iss": "https://idp.test", "sub": "user-1", "aud": "https://fhir.test", "client_id": "app-1",
        "iat": NOW - 60, "exp": NOW + 300, "jti": "j-1", "scope": "openid patient/Observation.rs",
    })
}

fn changed(mut object: Value, change: &Value) -> Value {
    for (name, value) in change.as_object().unwrap() {
        if value.is_null() {
            object.as_object_mut().unwrap().remove(name);
        } else {
            object[name] = value.clone();
        }
    }
    object
}
