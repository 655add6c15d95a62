use serde_json::{Value, json};

use super::*;
use crate::base64url;
use crate::jose::{Algorithm, SigningKey};

fn parse(set: &Value) -> KeySet {
    KeySet::parse(set.to_string().as_bytes()).unwrap()
}

fn why(key: &Value) -> SkippedBecause {
    let set = parse(&json!({ "keys": [key] }));
    assert_eq!(set.keys().count(), 0, "{key}");
    set.skipped()[0].why
}

#[test]
fn what_is_no_set_is_an_error_and_an_empty_one_is_none() {
    for (text, error) in [
        ("", KeySetError::Json(JsonError::Syntax)),
        ("[]", KeySetError::Json(JsonError::NotAnObject)),
        (r#"{"keys":[],"keys":[]}"#, KeySetError::Json(JsonError::DuplicateName)),
        (r#"{"keys":[{"kty":"EC","kty":"RSA"}]}"#, KeySetError::Json(JsonError::DuplicateName)),
        ("{}", KeySetError::NoKeys),
        (r#"{"keys":{}}"#, KeySetError::NoKeys),
        (r#"{"keys":null}"#, KeySetError::NoKeys),
    ] {
        assert_eq!(KeySet::parse(text.as_bytes()).unwrap_err(), error, "{text}");
    }
    let many = json!({"keys": vec![json!({"kty": "x"}); MAX_KEYS + 1]}).to_string();
    assert_eq!(KeySet::parse(many.as_bytes()).unwrap_err(), KeySetError::TooMany);
    assert_eq!(parse(&json!({"keys": []})).keys().count(), 0);
}

#[test]
fn a_key_that_cannot_be_used_is_skipped_with_its_reason() {
    let good = SigningKey::generate(Algorithm::ES256).unwrap();
    let good = serde_json::to_value(good.public_jwk()).unwrap();
    let with = |name: &str, value: Value| {
        let mut key = good.clone();
        key[name] = value;
        key
    };
    let short = base64url::encode(&[1; 31]);
    for (key, reason) in [
        (json!(7), JwkError::Json(JsonError::NotAnObject).into()),
        (json!({}), JwkError::Missing("kty").into()),
        (json!({"kty": "oct", "k": "AAAA", "kid": "a"}), JwkError::UnknownKeyType.into()),
        (json!({"kty": "FUTURE", "kid": "a"}), JwkError::UnknownKeyType.into()),
        (json!({"kty": "OKP", "crv": "Ed448", "x": "AA"}), JwkError::UnknownCurve.into()),
        (json!({"kty": "OKP", "crv": "Ed25519", "x": short}), JwkError::Malformed("x").into()),
        (with("crv", json!("secp256k1")), JwkError::UnknownCurve.into()),
        (with("crv", json!("P-384")), JwkError::Malformed("x").into()),
        (with("x", json!(short)), JwkError::Malformed("x").into()),
        (with("x", json!(7)), JwkError::Malformed("x").into()),
        (with("y", json!(base64url::encode(&[1; 32]))), UnusableKey::Invalid.into()),
        (with("d", json!("AA")), JwkError::Private.into()),
        (with("kid", json!(7)), JwkError::Malformed("kid").into()),
        (with("kid", json!("k".repeat(MAX_KID_BYTES + 1))), SkippedBecause::Unnamed),
        (with("key_ops", json!("verify")), JwkError::Malformed("key_ops").into()),
        (with("use", json!("enc")), UnusableKey::Use.into()),
    ] {
        assert_eq!(why(&key), reason, "{key}");
    }
    let mut unnamed = good.clone();
    unnamed.as_object_mut().unwrap().remove("kid");
    assert_eq!(why(&unnamed), SkippedBecause::Unnamed);
    assert_eq!(parse(&json!({"keys": [good, {"kty": "oct"}]})).keys().count(), 1);
}

#[test]
fn an_rsa_key_has_2048_to_8192_bits_and_a_sound_exponent() {
    let key = |bytes: usize, first: u8, exponent: &[u8]| {
        let mut modulus = vec![0xff; bytes];
        modulus[0] = first;
        json!({"kty": "RSA", "kid": "r", "n": base64url::encode(&modulus), "e": base64url::encode(exponent)})
    };
    for (bytes, first) in [(256, 0x7f), (255, 0xff), (128, 0xff), (1025, 0x01)] {
        assert_eq!(why(&key(bytes, first, &[1, 0, 1])), UnusableKey::RsaModulus.into(), "{bytes}");
    }
    for exponent in [&[1][..], &[2], &[4], &[1, 0, 0], &[1, 0, 0, 0, 1]] {
        assert_eq!(why(&key(256, 0xff, exponent)), UnusableKey::RsaExponent.into(), "{exponent:?}");
    }
    for (name, broken) in
        [("e", key(256, 0xff, &[])), ("e", key(256, 0xff, &[0, 3])), ("n", key(257, 0, &[3]))]
    {
        assert_eq!(why(&broken), JwkError::Malformed(name).into());
    }
    for (bytes, first, exponent) in [(256, 0x80, &[3][..]), (257, 1, &[1, 0, 1]), (1024, 0xff, &[0xff; 4])] {
        let set = parse(&json!({"keys": [key(bytes, first, exponent)]}));
        assert_eq!(set.keys().next().unwrap().algorithms().count(), 4, "{bytes}");
    }
}

#[test]
fn a_name_is_looked_up_for_what_stands_under_it() {
    let [a, b] = [(); 2].map(|()| SigningKey::generate(Algorithm::EdDSA).unwrap().public_jwk().clone());
    let named = |key: &Jwk, kid: &str| Jwk { kid: Some(kid.to_owned()), ..key.clone() };
    let set = json!({"keys": [
        named(&a, "one"), named(&a, "two"), named(&b, "two"), {"kty": "oct", "kid": "secret"},
        Jwk { usage: Some("enc".to_owned()), ..named(&a, "enc") },
        Jwk { usage: Some("enc".to_owned()), ..named(&b, "one") },
    ]});
    let set = parse(&set);
    assert_eq!(set.get("one").map(|key| &key.jwk().key), Ok(&a.key));
    assert_eq!(set.get("two").unwrap_err(), Rejection::AmbiguousKid);
    assert_eq!(set.get("enc").unwrap_err(), Rejection::KeyMismatch);
    assert_eq!(set.get("secret").unwrap_err(), Rejection::UnknownKid);
    assert_eq!(set.get("One").unwrap_err(), Rejection::UnknownKid);
}

#[test]
fn a_set_is_published_as_it_is_read() {
    let keys =
        [Algorithm::ES256, Algorithm::ES384, Algorithm::EdDSA].map(|a| SigningKey::generate(a).unwrap());
    let set: KeySet = keys.iter().map(|key| key.verifying_key().clone()).collect();
    let text = serde_json::to_string(&set).unwrap();
    assert!(!text.contains("\"d\""));
    let again = KeySet::parse(text.as_bytes()).unwrap();
    assert_eq!(serde_json::to_string(&again).unwrap(), text);
    for key in &keys {
        assert_eq!(again.get(key.kid()).unwrap().jwk(), key.public_jwk());
    }
}
