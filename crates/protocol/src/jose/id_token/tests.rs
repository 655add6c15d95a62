use serde_json::{Value, json};

use super::*;
use crate::jose::{SigningKey, jws};

const NOW: i64 = 1_900_000_000;

fn outcome(expiry: ExpiryRule, change: &Value) -> Result<IdTokenClaims, Rejection> {
    let key = SigningKey::generate(Algorithm::EdDSA).unwrap();
    let keys = KeySet::from_iter([key.verifying_key().clone()]);
    let mut claims = json!({
        "iss": "https://i.test", "sub": "s", "aud": "app", "exp": NOW + 1, "iat": NOW, "nonce": "n", "sid": "x",
    });
    for (name, value) in change.as_object().unwrap() {
        claims[name] = value.clone();
    }
    let token = jws::sign(&key, "JWT", &claims).unwrap();
    let verifier = IdTokenVerifier {
        issuer: "https://i.test".to_owned(),
        audience: ExpectedAudience::OneOf(vec!["app".to_owned()]),
        algorithms: vec![Algorithm::EdDSA],
        expiry,
        skew: Duration::ZERO,
    };
    verifier.verify(&token, &keys, Timestamp::from_unix(NOW))
}

#[test]
fn an_expired_id_token_is_a_hint_and_nothing_else() {
    let expired = json!({"exp": NOW});
    assert_eq!(outcome(ExpiryRule::Enforced, &expired), Err(Rejection::Expired));
    let hint = outcome(ExpiryRule::Ignored, &expired).unwrap();
    assert_eq!((hint.sub.as_str(), hint.nonce.as_deref()), ("s", Some("n")));
    assert_eq!(outcome(ExpiryRule::Ignored, &json!({"iat": NOW + 1})), Err(Rejection::NotYet));
}

#[test]
fn an_id_token_is_of_its_issuer_and_for_its_client() {
    assert!(outcome(ExpiryRule::Enforced, &json!({})).is_ok());
    for (change, cause) in [
        (json!({"iss": "https://i.test/"}), Rejection::Issuer),
        (json!({"aud": "App"}), Rejection::Audience),
        (json!({"sub": ""}), Rejection::ClaimType("sub")),
        (json!({"nonce": 7}), Rejection::ClaimType("nonce")),
        (json!({"exp": "soon"}), Rejection::ClaimType("exp")),
    ] {
        assert_eq!(outcome(ExpiryRule::Enforced, &change), Err(cause), "{change}");
    }
}
