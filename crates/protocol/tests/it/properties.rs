//! What holds for every token, whatever its algorithm and content.

use std::sync::LazyLock;

use chartgate_protocol::jose::jws::{self, ExpectedType, Unverified};
use chartgate_protocol::jose::{Algorithm, KeySet, SigningKey};
use chartgate_protocol::json;
use proptest::prelude::*;
use proptest::sample::Index;
use serde_json::json;

/// One key for each algorithm; the four of RSA share theirs, which is slow to make.
static KEYS: LazyLock<Vec<SigningKey>> = LazyLock::new(|| {
    let rsa = SigningKey::generate(Algorithm::RS256).unwrap().to_pkcs8().unwrap();
    Algorithm::ALL
        .into_iter()
        .map(|algorithm| match algorithm {
            Algorithm::RS256 | Algorithm::RS384 | Algorithm::PS256 | Algorithm::PS384 => {
                SigningKey::from_pkcs8(algorithm, &rsa).unwrap()
            }
            Algorithm::ES256 | Algorithm::ES384 | Algorithm::EdDSA => {
                SigningKey::generate(algorithm).unwrap()
            }
        })
        .collect()
});

fn accepts(token: &[u8], key: &SigningKey) -> bool {
    let keys = KeySet::from_iter([key.verifying_key().clone()]);
    let Ok(token) = std::str::from_utf8(token) else { return false };
    Unverified::parse(token, &Algorithm::ALL, jws::MAX_TOKEN_BYTES)
        .and_then(|token| token.verify_with(&keys, ExpectedType::Exactly("test+jwt")))
        .is_ok()
}

proptest! {
    #[test]
    fn what_was_signed_verifies_by_its_own_key_alone(text in ".*", which: Index) {
        for key in KEYS.iter() {
            let token = jws::sign(key, "test+jwt", &json!({ "text": text })).unwrap();
            let keys = KeySet::from_iter([key.verifying_key().clone()]);
            let verified = Unverified::parse(&token, &[key.algorithm()], jws::MAX_TOKEN_BYTES)
                .and_then(|token| token.verify_with(&keys, ExpectedType::Exactly("test+jwt")))
                .unwrap();
            let payload = json!({ "text": text });
            prop_assert_eq!(json::parse(verified.payload(), 32).unwrap(), json::Node::from(&payload));
            let other = which.get(&KEYS);
            prop_assert_eq!(accepts(token.as_bytes(), other), other.algorithm() == key.algorithm());
        }
    }

    #[test]
    fn a_token_with_any_one_byte_changed_is_refused(at: Index, change in 1..=255_u8, which: Index) {
        let key = which.get(&KEYS);
        let mut token = jws::sign(key, "test+jwt", &json!({"text": "content"})).unwrap().into_bytes();
        prop_assert!(accepts(&token, key));
        let at = at.index(token.len());
        token[at] ^= change;
        prop_assert!(!accepts(&token, key), "byte {at} ^ {change}");
    }

    #[test]
    fn arbitrary_texts_are_taken_apart_or_refused(text in "[A-Za-z0-9_.-]{0,200}|.*") {
        let _ = Unverified::parse(&text, &Algorithm::ALL, jws::MAX_TOKEN_BYTES);
        let _ = KeySet::parse(text.as_bytes());
    }
}
