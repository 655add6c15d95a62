//! Entry points for fuzzing. They take any bytes; what they promise is that nothing panics, and that what is
//! accepted keeps the promises of its type.

use chartgate_values::Timestamp;

use crate::jose::claims::AccessTokenClaims;
use crate::jose::inspect::Inspector;
use crate::jose::{AccessTokenVerifier, ExpectedAudience, KeySet, Presentation, claimed_client_id, jws};
use crate::json::{self, JsonError};

/// Any text as a token: taken apart, verified, and its payload judged as if the signature were good.
pub fn fuzz_jws(data: &[u8]) {
    let (verifier, keys, now) = (verifier(), keys(), now());
    let line = Inspector { verifier: &verifier, keys: &keys, now }.line(data);
    assert!(serde_json::to_vec(&line).is_ok(), "a verdict is always written");
    if let Ok(object) = json::Object::parse(data, jws::MAX_JSON_DEPTH)
        && let Ok(claims) = verifier.accept(&object, Presentation::BEARER, now)
    {
        // Details may hold fractions, which serde_json does not read back to the last bit.
        let claims = AccessTokenClaims { authorization_details: Vec::new(), ..claims };
        let written = serde_json::to_vec(&claims).unwrap_or_default();
        let again = json::Object::parse(&written, jws::MAX_JSON_DEPTH)
            .map(|object| verifier.accept(&object, Presentation::BEARER, now));
        assert!(again == Ok(Ok(claims)), "accepted claims are written as they were read");
    }
    if let Ok(token) = std::str::from_utf8(data) {
        let _ = verifier.verify(token, &keys, Presentation::BEARER, now);
        let _ = claimed_client_id(token);
    }
}

/// Any bytes as a set of keys.
pub fn fuzz_jwk_set(data: &[u8]) {
    if let Ok(set) = KeySet::parse(data) {
        let written = serde_json::to_vec(&set).unwrap_or_default();
        let again = KeySet::parse(&written).map(|again| (again.keys().count(), again.skipped().len()));
        assert!(again == Ok((set.keys().count(), 0)), "a usable key is published as a usable key");
        for key in set.keys() {
            assert_eq!(key.jwk().thumbprint().len(), 43, "a SHA-256 in base64url");
        }
    }
}

/// Any bytes as JSON.
pub fn fuzz_json(data: &[u8]) {
    for max_depth in [0, 2, 32, json::DEEPEST] {
        if let Ok(value) = json::parse(data, max_depth) {
            let written = serde_json::to_vec(&value).unwrap_or_default();
            // A fraction may be read one bit off, and so beyond the largest double, which is a fault of
            // syntax.
            let again = json::check(&written, max_depth).map(|_| ());
            assert!(
                matches!(again, Ok(()) | Err(JsonError::Syntax)),
                "what was read is read again: {again:?}"
            );
        }
    }
}

fn verifier() -> AccessTokenVerifier {
    AccessTokenVerifier::new(
        "https://idp.test",
        ExpectedAudience::OneOf(vec!["https://fhir.test".to_owned()]),
    )
}

/// When the seeds are valid.
fn now() -> Timestamp {
    Timestamp::from_unix(1_900_000_000)
}

fn keys() -> KeySet {
    KeySet::parse(KEYS.as_bytes()).unwrap_or_default()
}

/// The key that signed the seeds. Nobody has its private half.
const KEYS: &str = r#"{"keys":[
{"kty":"EC","crv":"P-256","x":"stPmWHjCJJCoYG7Ysu4j03g9RBA6NsptbU0d5rVCU4c",
"y":"ZqRivBi6k1IYx3Vta0AFrG2q91JYDwl4KnyNo_F7spo","use":"sig","alg":"ES256","kid":"es"}
]}"#;

#[cfg(test)]
mod tests;
