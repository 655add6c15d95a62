use chartgate_values::SeededEntropy;
use serde_json::{Value, json};

use super::*;
use crate::base64url;
use crate::jose::jwe::DecryptionKey;
use crate::jose::{Algorithm, SigningKey};

fn published(management: KeyManagement) -> Value {
    let key = DecryptionKey::generate(management, &mut SeededEntropy::new(1)).unwrap();
    serde_json::to_value(key.public_jwk().unwrap()).unwrap()
}

fn take(management: KeyManagement, jwk: &Value) -> Result<EncryptionKey, UnusableKey> {
    EncryptionKey::new(management, Jwk::parse(jwk.to_string().as_bytes()).unwrap())
}

fn with(jwk: &Value, change: &Value) -> Value {
    let mut jwk = jwk.clone();
    for (name, value) in change.as_object().unwrap() {
        if value.is_null() {
            jwk.as_object_mut().unwrap().remove(name);
        } else {
            jwk[name] = value.clone();
        }
    }
    jwk
}

#[test]
fn a_published_key_is_taken_if_it_says_what_it_is_for() {
    for management in KeyManagement::PUBLIC {
        let jwk = published(management);
        for (change, why) in [
            (json!({}), None),
            (json!({"use": null}), None),
            (json!({"alg": null}), None),
            (json!({"key_ops": ["wrapKey"]}), None),
            (json!({"use": null, "alg": null}), Some(UnusableKey::Use)),
            (json!({"use": "sig"}), Some(UnusableKey::Use)),
            (json!({"use": "ENC"}), Some(UnusableKey::Use)),
            (json!({"alg": "RSA-OAEP"}), Some(UnusableKey::Algorithm)),
            (json!({"alg": "RS256"}), Some(UnusableKey::Algorithm)),
            (json!({"key_ops": ["verify"]}), Some(UnusableKey::Operations)),
            (json!({"key_ops": []}), Some(UnusableKey::Operations)),
        ] {
            let taken = take(management, &with(&jwk, &change)).map(|key| key.management());
            assert_eq!(taken, why.map_or(Ok(management), Err), "{management} {change}");
        }
        let read = EncryptionKey::try_from(Jwk::parse(jwk.to_string().as_bytes()).unwrap()).unwrap();
        assert_eq!(read.management(), management);
        assert_eq!(read.kid(), jwk["kid"].as_str());
        let unsaid = Jwk::parse(with(&jwk, &json!({"alg": null})).to_string().as_bytes()).unwrap();
        assert_eq!(EncryptionKey::try_from(unsaid).unwrap_err(), UnusableKey::Algorithm);
    }
    let signing = SigningKey::generate(Algorithm::ES256).unwrap();
    let taken = EncryptionKey::new(KeyManagement::EcdhEs, signing.public_jwk().clone());
    assert_eq!(taken.unwrap_err(), UnusableKey::Algorithm);
}

#[test]
fn what_is_no_good_key_encrypts_nothing() {
    let (ec, rsa) = (published(KeyManagement::EcdhEs), published(KeyManagement::RsaOaep256));
    let unsaid = |jwk: &Value| with(jwk, &json!({"alg": null}));
    assert_eq!(take(KeyManagement::RsaOaep256, &unsaid(&ec)).unwrap_err(), UnusableKey::Algorithm);
    assert_eq!(take(KeyManagement::EcdhEs, &unsaid(&rsa)).unwrap_err(), UnusableKey::Algorithm);
    assert_eq!(take(KeyManagement::A256Kw, &unsaid(&rsa)).unwrap_err(), UnusableKey::Algorithm);
    let off = with(&ec, &json!({"y": base64url::encode(&[1; 32])}));
    assert_eq!(take(KeyManagement::EcdhEs, &off).unwrap_err(), UnusableKey::Invalid);
    for (change, why) in [
        (json!({"n": base64url::encode(&[0xff; 128])}), UnusableKey::RsaModulus),
        (json!({"n": base64url::encode(&[0xff; 1025])}), UnusableKey::RsaModulus),
        (json!({"e": "AQ"}), UnusableKey::RsaExponent),
        (json!({"e": "BA"}), UnusableKey::RsaExponent),
    ] {
        assert_eq!(take(KeyManagement::RsaOaep256, &with(&rsa, &change)).unwrap_err(), why, "{change}");
    }
}

#[test]
fn the_first_fitting_key_of_a_set_is_found_and_others_are_passed_over() {
    let (own, other) = (published(KeyManagement::EcdhEsA256Kw), published(KeyManagement::RsaOaep256));
    let signing = SigningKey::generate(Algorithm::ES256).unwrap();
    let signing = serde_json::to_value(signing.public_jwk()).unwrap();
    let find = |keys: Value| {
        let set = json!({ "keys": keys }).to_string();
        let found = EncryptionKey::first_of(set.as_bytes(), KeyManagement::EcdhEsA256Kw).unwrap();
        found.map(|key| key.kid().unwrap().to_owned())
    };
    let kid = own["kid"].as_str().map(str::to_owned);
    assert_eq!(find(json!([7, {"kty": "oct", "k": "AA"}, signing, other, own])), kid);
    assert_eq!(find(json!([own, published(KeyManagement::EcdhEsA256Kw)])), kid);
    assert_eq!(find(json!([signing, other])), None);
    assert_eq!(find(json!([with(&own, &json!({"d": "AA"}))])), None, "a private key that was published");
    let no_set = EncryptionKey::first_of(b"{}", KeyManagement::EcdhEs).map(|found| found.is_some());
    assert_eq!(no_set, Err(KeySetError::NoKeys));
}
