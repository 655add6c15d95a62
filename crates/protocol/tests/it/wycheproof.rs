//! Project Wycheproof: JWS, JWK and the primitives below them.

use std::path::Path;

use chartgate_protocol::base64url;
use chartgate_protocol::jose::jws::{ExpectedType, Unverified};
use chartgate_protocol::jose::{Algorithm, Jwk, KeySet, VerifyingKey};
use serde_json::{Value, json};

use crate::vectors::{self, Tally};

/// What careful readers of the vectors agree to differ on.
pub(crate) struct Annotations(Vec<Value>);

impl Annotations {
    pub(crate) fn read(folder: &Path) -> Self {
        Self(vectors::json(folder, "ANNOTATIONS.json").as_array().unwrap().clone())
    }

    pub(crate) fn recommended<'a>(&'a self, file: &str, test: &Value) -> Option<&'a str> {
        let found = self.0.iter().find(|own| own["file"] == file && own["tcId"] == test["tcId"])?;
        found["recommended"].as_str()
    }
}

/// Whether a JWS verifies by a key or a set of keys, as a JWT would be verified.
fn accepts(jws: &str, keys: &Value) -> bool {
    let set = if keys.get("keys").is_some() { keys.clone() } else { json!({ "keys": [keys] }) };
    let Ok(set) = KeySet::parse(set.to_string().as_bytes()) else { return false };
    Unverified::parse(jws, &Algorithm::ALL, usize::MAX)
        .and_then(|token| token.verify_with(&set, ExpectedType::PlainJwt))
        .is_ok()
}

fn offered(group: &Value, jws: &str) -> bool {
    let header = jws.split('.').next().unwrap_or_default();
    let header = base64url::decode(header).unwrap_or_default();
    let header: Value = serde_json::from_slice(&header).unwrap_or_default();
    let alg = header["alg"].as_str().unwrap_or_default();
    group.get("public").is_some() && Algorithm::ALL.iter().any(|own| own.name() == alg)
}

fn run_jws_file(file: &str) -> Option<Tally> {
    let folder = vectors::folder("wycheproof")?;
    let annotations = Annotations::read(&folder);
    let mut tally = Tally::default();
    for group in vectors::json(&folder, file)["testGroups"].as_array().unwrap() {
        let keys = group.get("public").unwrap_or(&group["private"]);
        for test in group["tests"].as_array().unwrap() {
            let Some(jws) = test.get("jws") else {
                tally.add("of JWE");
                continue;
            };
            let jws = jws.as_str().map_or_else(|| jws.to_string(), str::to_owned);
            let accepted = accepts(&jws, keys);
            let context = format!("{file} {test}");
            match (annotations.recommended(file, test), test["result"].as_str().unwrap()) {
                (Some("either"), _) => tally.add("either"),
                (Some("reject"), _) | (None, "invalid") => {
                    assert!(!accepted, "{context}");
                    tally.add("refused");
                }
                (None, "valid") if offered(group, &jws) => {
                    assert!(accepted, "{context}");
                    tally.add("accepted");
                }
                (None, "valid") => {
                    assert!(!accepted, "{context}");
                    tally.add("valid but of algorithms not offered, refused");
                }
                other => panic!("{other:?} {context}"),
            }
        }
    }
    println!("wycheproof {file}: {tally}");
    Some(tally)
}

#[test]
fn json_web_signatures() {
    let Some(tally) = run_jws_file("json_web_signature_test.json") else { return };
    assert!(tally.of("accepted") >= 10 && tally.of("refused") >= 150, "{tally}");
}

#[test]
fn json_web_keys() {
    let Some(tally) = run_jws_file("json_web_key_test.json") else { return };
    assert!(tally.of("accepted") >= 1 && tally.of("refused") >= 5, "{tally}");
}

#[test]
fn json_web_crypto() {
    let Some(tally) = run_jws_file("json_web_crypto_test.json") else { return };
    assert!(tally.of("accepted") >= 1 && tally.of("refused") >= 20, "{tally}");
}

fn run_primitive_file(file: &str, jwk: fn(&Value) -> Value, algorithm: Algorithm) {
    let Some(folder) = vectors::folder("wycheproof") else { return };
    let mut tally = Tally::default();
    for group in vectors::json(&folder, file)["testGroups"].as_array().unwrap() {
        let key = Jwk::parse(jwk(group).to_string().as_bytes()).unwrap();
        let key = VerifyingKey::try_from(key).unwrap();
        for test in group["tests"].as_array().unwrap() {
            let bytes = |name: &str| unhex(test[name].as_str().unwrap());
            let verdict = key.verify(algorithm, &bytes("msg"), &bytes("sig"));
            match test["result"].as_str().unwrap() {
                "valid" => {
                    assert_eq!(verdict, Ok(()), "{file} {test}");
                    tally.add("accepted");
                }
                "invalid" => {
                    assert!(verdict.is_err(), "{file} {test}");
                    tally.add("refused");
                }
                _ => tally.add("either"),
            }
        }
    }
    println!("wycheproof {file}: {tally}");
    assert!(tally.of("accepted") >= 1 && tally.of("refused") >= 20, "{tally}");
}

/// Some groups have no JWK, but all have the point.
fn curve_point(group: &Value) -> Value {
    let point = unhex(group["publicKey"]["uncompressed"].as_str().unwrap());
    let (x, y) = point[1..].split_at(point.len() / 2);
    let crv = if x.len() == 32 { "P-256" } else { "P-384" };
    json!({"kty": "EC", "crv": crv, "x": base64url::encode(x), "y": base64url::encode(y)})
}

pub(crate) fn unhex(text: &str) -> Vec<u8> {
    let byte = |pair: &[u8]| u8::from_str_radix(std::str::from_utf8(pair).unwrap(), 16).unwrap();
    text.as_bytes().chunks(2).map(byte).collect()
}

#[test]
fn ecdsa_on_p256() {
    run_primitive_file("ecdsa_secp256r1_sha256_p1363_test.json", curve_point, Algorithm::ES256);
}

#[test]
fn ecdsa_on_p384() {
    run_primitive_file("ecdsa_secp384r1_sha384_p1363_test.json", curve_point, Algorithm::ES384);
}

#[test]
fn ed25519() {
    run_primitive_file("ed25519_test.json", |group| group["publicKeyJwk"].clone(), Algorithm::EdDSA);
}

#[test]
fn rsa_pkcs1_with_2048_bits() {
    run_primitive_file(
        "rsa_signature_2048_sha256_test.json",
        |group| group["keyJwk"].clone(),
        Algorithm::RS256,
    );
}
