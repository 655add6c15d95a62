use chartgate_values::SeededEntropy;
use serde_json::{Value, json};

use super::*;
use crate::jose::jwe::{ContentEncryption, Encrypted, MAX_TOKEN_BYTES, Message, Recipient, encrypt};
use crate::jose::{JwkError, UnusableKey};

fn generate(management: KeyManagement) -> DecryptionKey {
    DecryptionKey::generate(management, &mut SeededEntropy::new(1)).unwrap()
}

fn json_of(key: &DecryptionKey) -> Value {
    serde_json::from_slice(key.to_private_jwk().unwrap().expose()).unwrap()
}

fn import(management: KeyManagement, jwk: &Value) -> Result<DecryptionKey, ImportKeyError> {
    DecryptionKey::from_private_jwk(management, &Secret::new(jwk.to_string().into_bytes()))
}

fn with(jwk: &Value, name: &str, value: Value) -> Value {
    let mut jwk = jwk.clone();
    jwk[name] = value;
    jwk
}

#[test]
fn a_key_comes_back_from_its_json_and_reads_what_was_encrypted_before() {
    let p384 = |management| DecryptionKey::generate_on(management, Curve::P384).unwrap();
    let keys = KeyManagement::ALL.into_iter().map(generate);
    let more = [
        p384(KeyManagement::EcdhEs),
        p384(KeyManagement::EcdhEsA256Kw),
        DecryptionKey::generate_rsa(RsaModulus::Bits3072).unwrap(),
    ];
    for key in keys.chain(more) {
        let management = key.management();
        let content = match management {
            KeyManagement::Direct(own) => own,
            _ => ContentEncryption::A256CbcHs512,
        };
        let to = Recipient { key: key.encryption_key(), content };
        let message = Message { typ: None, cty: None, plaintext: b"content" };
        let token = encrypt(to, &message, &mut SeededEntropy::new(2)).unwrap();
        let again = import(management, &json_of(&key)).unwrap();
        assert_eq!((again.kid(), again.public_jwk()), (key.kid(), key.public_jwk()));
        assert_eq!(json_of(&again), json_of(&key), "{management}");
        let read = Encrypted::parse(&token, &[content], MAX_TOKEN_BYTES).unwrap();
        assert_eq!(read.header().kid.as_deref(), Some(key.kid()));
        assert_eq!(read.decrypt(&again).unwrap().plaintext(), b"content", "{management}");
    }
}

#[test]
fn a_key_is_named_by_its_thumbprint_and_a_shared_one_by_chance() {
    for management in KeyManagement::ALL {
        let key = generate(management);
        match key.public_jwk() {
            Some(jwk) => {
                assert_eq!(key.kid(), jwk.thumbprint());
                assert_eq!(jwk.usage.as_deref(), Some("enc"));
                assert_eq!(jwk.algorithm.as_deref(), Some(management.name()));
            }
            None => {
                let other = DecryptionKey::generate(management, &mut SeededEntropy::new(9)).unwrap();
                assert!(key.kid().len() == 22 && key.kid() != other.kid());
            }
        }
    }
    let mut shared = json_of(&generate(KeyManagement::A256Kw));
    shared.as_object_mut().unwrap().remove("kid");
    let cause = import(KeyManagement::A256Kw, &shared).unwrap_err();
    assert_eq!(cause, JwkError::Missing("kid").into(), "its thumbprint would tell of it");
}

#[test]
fn a_key_is_taken_for_its_own_management_alone() {
    for own in KeyManagement::ALL {
        let jwk = json_of(&generate(own));
        for other in KeyManagement::ALL.into_iter().filter(|other| *other != own) {
            assert_eq!(import(other, &jwk).unwrap_err(), ImportKeyError::Algorithm, "{own} {other}");
        }
        let mut unsaid = jwk.clone();
        unsaid.as_object_mut().unwrap().remove("alg");
        assert!(import(own, &unsaid).is_ok());
        let signing = with(&jwk, "use", json!("sig"));
        assert_eq!(import(own, &signing).unwrap_err(), UnusableKey::Use.into());
        let signing = with(&jwk, "key_ops", json!(["sign"]));
        assert_eq!(import(own, &signing).unwrap_err(), UnusableKey::Operations.into());
        assert!(import(own, &with(&jwk, "key_ops", json!(["unwrapKey", "decrypt"]))).is_ok());
    }
    let content = KeyManagement::Direct(ContentEncryption::A256Gcm);
    let jwk = json_of(&generate(content));
    assert!(import(content, &with(&jwk, "alg", json!("dir"))).is_ok());
}

#[test]
fn what_is_no_private_key_is_refused() {
    let (ec, rsa, shared) = (KeyManagement::EcdhEs, KeyManagement::RsaOaep256, KeyManagement::A256Kw);
    let jwk = json_of(&generate(ec));
    let public = serde_json::to_value(generate(ec).public_jwk().unwrap()).unwrap();
    assert_eq!(import(ec, &public).unwrap_err(), JwkError::Missing("d").into());
    let encode = |bytes: &[u8]| json!(base64url::encode(bytes));
    for d in [vec![0; 32], vec![0xff; 32], vec![1; 31], vec![1; 33], vec![], vec![5; 32]] {
        assert_eq!(import(ec, &with(&jwk, "d", encode(&d))).unwrap_err(), ImportKeyError::Rejected, "{d:?}");
    }
    let other = json_of(&generate(ec));
    let mixed = with(&jwk, "d", other["d"].clone());
    assert_eq!(import(ec, &mixed).unwrap_err(), ImportKeyError::Rejected);
    let jwk = json_of(&generate(rsa));
    for name in ["d", "p", "q", "dp", "dq", "qi"] {
        let mut without = jwk.clone();
        without.as_object_mut().unwrap().remove(name);
        assert_eq!(import(rsa, &without).unwrap_err(), JwkError::Missing(name).into());
    }
    assert_eq!(import(rsa, &with(&jwk, "q", jwk["p"].clone())).unwrap_err(), ImportKeyError::Rejected);
    let jwk = json_of(&generate(shared));
    for length in [0, 16, 31, 33, 64] {
        let short = with(&jwk, "k", encode(&vec![1; length]));
        assert_eq!(import(shared, &short).unwrap_err(), ImportKeyError::Rejected, "{length}");
    }
    let mut unsaid = jwk;
    unsaid.as_object_mut().unwrap().remove("alg");
    for management in KeyManagement::PUBLIC {
        assert_eq!(import(management, &unsaid).unwrap_err(), ImportKeyError::Rejected, "{management}");
    }
}

#[test]
fn nothing_prints_what_is_secret() {
    for management in KeyManagement::ALL {
        let key = generate(management);
        let jwk = json_of(&key);
        let printed = format!("{key:?}");
        for name in ["d", "p", "k"] {
            let Some(text) = jwk[name].as_str() else { continue };
            let bytes = base64url::decode(text).unwrap();
            let hex: String = bytes.iter().map(|byte| format!("{byte:02x}")).collect();
            for form in [text.to_owned(), hex, format!("{bytes:?}")] {
                assert!(!printed.contains(&form), "{management} {name}");
            }
        }
    }
    let key = generate(KeyManagement::A256Kw);
    let to = Recipient { key: key.encryption_key(), content: ContentEncryption::A128Gcm };
    let message = Message { typ: None, cty: None, plaintext: b"pt-1001" };
    let token = encrypt(to, &message, &mut SeededEntropy::new(2)).unwrap();
    let read = Encrypted::parse(&token, &ContentEncryption::ALL, MAX_TOKEN_BYTES).unwrap();
    let printed = format!("{:?}", read.decrypt(&key).unwrap());
    assert!(!printed.contains("pt-1001") && !printed.contains(&format!("{:?}", b"pt-1001")), "{printed}");
}
