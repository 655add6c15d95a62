//! What holds for every token, whatever its algorithm and content.

use std::sync::LazyLock;

use chartgate_protocol::jose::jwe::{self, EncryptError, Encrypted, Message, Recipient};
use chartgate_protocol::jose::jws::{self, ExpectedType, Unverified};
use chartgate_protocol::jose::{
    Algorithm, ContentEncryption, Curve, DecryptionKey, KeyManagement, KeySet, SigningKey,
};
use chartgate_protocol::json;
use chartgate_values::SeededEntropy;
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

/// One key for each key management and curve.
static DECRYPTION_KEYS: LazyLock<Vec<DecryptionKey>> = LazyLock::new(|| {
    let generate = |management| DecryptionKey::generate(management, &mut SeededEntropy::new(1)).unwrap();
    let on_p384 = [KeyManagement::EcdhEs, KeyManagement::EcdhEsA256Kw]
        .map(|management| DecryptionKey::generate_on(management, Curve::P384).unwrap());
    KeyManagement::ALL.into_iter().map(generate).chain(on_p384).collect()
});

fn encrypt(key: &DecryptionKey, content: ContentEncryption, text: &[u8], seed: u64) -> Option<String> {
    let to = Recipient { key: key.encryption_key(), content };
    let message = Message { typ: None, cty: None, plaintext: text };
    match jwe::encrypt(to, &message, &mut SeededEntropy::new(seed)) {
        Ok(token) => Some(token),
        Err(EncryptError::KeyMismatch) => None,
        Err(cause) => panic!("{cause}"),
    }
}

fn decrypt(token: &[u8], key: &DecryptionKey) -> Option<Vec<u8>> {
    let token = std::str::from_utf8(token).ok()?;
    let token = Encrypted::parse(token, &ContentEncryption::ALL, jwe::MAX_TOKEN_BYTES).ok()?;
    Some(token.decrypt(key).ok()?.plaintext().to_vec())
}

/// Some token, by any key and encryption that go together.
fn any_token(which: Index, content: Index, seed: u64) -> (&'static DecryptionKey, String) {
    let key = which.get(&DECRYPTION_KEYS);
    let contents = ContentEncryption::ALL.into_iter();
    let tokens: Vec<_> =
        contents.filter_map(|content| encrypt(key, content, b"some content", seed)).collect();
    (key, content.get(&tokens).clone())
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]

    #[test]
    fn what_was_encrypted_is_read_by_its_own_key_alone(text in prop::collection::vec(any::<u8>(), 0..200)) {
        let mut ways = Vec::new();
        for (at, key) in DECRYPTION_KEYS.iter().enumerate() {
            for content in ContentEncryption::ALL {
                let Some(token) = encrypt(key, content, &text, 1) else { continue };
                ways.push((key.management(), content));
                for (other, reader) in DECRYPTION_KEYS.iter().enumerate() {
                    let read = decrypt(token.as_bytes(), reader);
                    prop_assert_eq!(read.as_ref() == Some(&text), at == other, "{} {}", key.management(), content);
                    prop_assert!(at == other || read.is_none());
                }
            }
        }
        prop_assert_eq!(ways.len(), 6 * 4 + 4, "each key management with each encryption");
    }
}

proptest! {
    #[test]
    fn an_encrypted_token_with_any_one_byte_changed_is_refused(
        at: Index, change in 1..=255_u8, which: Index, content: Index,
    ) {
        let (key, token) = any_token(which, content, 1);
        let mut token = token.into_bytes();
        let at = at.index(token.len());
        token[at] ^= change;
        prop_assert_eq!(decrypt(&token, key), None, "byte {} ^ {}", at, change);
    }

    #[test]
    fn parts_of_encrypted_tokens_cannot_be_exchanged(which: Index, content: Index) {
        let (key, token) = any_token(which, content, 1);
        let (_, other) = any_token(which, content, 2);
        let [own, others] = [&token, &other].map(|token| token.split('.').collect::<Vec<_>>());
        for at in 0..5 {
            let mut mixed = own.clone();
            mixed[at] = others[at];
            let read = decrypt(mixed.join(".").as_bytes(), key);
            prop_assert_eq!(read.is_some(), own[at] == others[at], "part {} of another", at);
            for place in (0..5).filter(|place| *place > at) {
                let mut swapped = own.clone();
                swapped.swap(at, place);
                prop_assert_eq!(decrypt(swapped.join(".").as_bytes(), key), None, "{} for {}", at, place);
            }
        }
    }

    #[test]
    fn arbitrary_texts_are_taken_apart_or_refused_as_encrypted(text in "[A-Za-z0-9_.-]{0,200}|.*") {
        let _ = Encrypted::parse(&text, &ContentEncryption::ALL, jwe::MAX_TOKEN_BYTES);
    }
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
