//! The examples of the RFCs, of the JOSE cookbook and of SMART App Launch.

use chartgate_protocol::jose::jws::{ExpectedType, Unverified};
use chartgate_protocol::jose::{Algorithm, Jwk, JwkError, KeySet, Rejection, SigningKey, SkippedBecause};
use chartgate_values::Secret;
use serde_json::Value;

use crate::vectors;

fn import(algorithm: Algorithm, jwk: &[u8]) -> SigningKey {
    SigningKey::from_private_jwk(algorithm, &Secret::new(jwk.to_vec())).unwrap()
}

fn verify(token: &str, key: &SigningKey) -> Result<Vec<u8>, Rejection> {
    let token = Unverified::parse(token.trim(), &Algorithm::ALL, usize::MAX)?;
    Ok(token.verify(key.verifying_key())?.payload().to_vec())
}

/// Takes an algorithm, or says that none of them is offered.
fn parse(token: &str) -> Result<Algorithm, Rejection> {
    Ok(Unverified::parse(token.trim(), &Algorithm::ALL, usize::MAX)?.header().algorithm)
}

#[test]
fn rfc7515_appendix_a() {
    let Some(folder) = vectors::folder("jose-rfc") else { return };
    let read = |name: &str| std::fs::read_to_string(folder.join(name)).unwrap();
    let claims = b"{\"iss\":\"joe\",\r\n \"exp\":1300819380,\r\n \"http://example.com/is_root\":true}";
    for (section, algorithm) in [("A.2", Algorithm::RS256), ("A.3", Algorithm::ES256)] {
        let key = import(algorithm, read(&format!("rfc7515_{section}.jwk")).as_bytes());
        assert_eq!(verify(&read(&format!("rfc7515_{section}.jwsc")), &key).unwrap(), claims, "{section}");
    }
    for section in ["A.1", "A.4", "A.5"] {
        let token = read(&format!("rfc7515_{section}.jwsc"));
        assert_eq!(parse(&token), Err(Rejection::AlgorithmNotAllowed), "{section}");
    }
    for section in ["A.6.jwsg", "A.7.jwsf"] {
        assert!(parse(&read(&format!("rfc7515_{section}"))).is_err(), "{section} is not compact");
    }
    let flattened: Value = serde_json::from_str(&read("rfc7515_A.7.jwsf")).unwrap();
    let part = |name: &str| flattened[name].as_str().unwrap().to_owned();
    let compact = format!("{}.{}.{}", part("protected"), part("payload"), part("signature"));
    let key = import(Algorithm::ES256, read("rfc7515_A.3.jwk").as_bytes());
    assert_eq!(verify(&compact, &key).unwrap(), claims);
    println!("rfc7515: 3 verified, 3 of algorithms not offered, 2 not compact");
}

#[test]
fn rfc7517_rfc7638_and_rfc8037_keys() {
    let Some(folder) = vectors::folder("jose-rfc") else { return };
    let read = |name: &str| std::fs::read(folder.join(name)).unwrap();
    let public = KeySet::parse(&read("rfc7517_A.1.jwkset")).unwrap();
    assert!(public.get("2011-04-29").is_ok());
    assert_eq!(public.get("1").unwrap_err(), Rejection::KeyMismatch, "it says use enc");
    let private = KeySet::parse(&read("rfc7517_A.2.jwkset")).unwrap();
    assert_eq!(private.keys().count(), 0);
    assert!(private.skipped().iter().all(|key| key.why == SkippedBecause::Jwk(JwkError::Private)));
    let secret = KeySet::parse(&read("rfc7517_A.3.jwkset")).unwrap();
    assert!(secret.skipped().iter().all(|key| key.why == SkippedBecause::Jwk(JwkError::UnknownKeyType)));
    assert_eq!(secret.skipped().len(), 2);
    let certified = Jwk::parse(&read("rfc7517_B.jwk")).unwrap();
    assert_eq!(certified.kid.as_deref(), Some("1b94c"));
    let printed = String::from_utf8(read("rfc7638_3.1.thp")).unwrap();
    assert_eq!(Jwk::parse(&read("rfc7638_3.1.jwk")).unwrap().thumbprint(), printed.trim());
    for row in vectors::json(&folder, "rfc7636_rfc8037_thumbprints.json").as_array().unwrap() {
        if let Some(jwk) = row.get("jwk") {
            let jwk = Jwk::parse(jwk.to_string().as_bytes()).unwrap();
            assert_eq!(jwk.thumbprint(), row["thumbprint_sha256"].as_str().unwrap());
        }
    }
    println!("rfc7517: 3 sets, 1 key; thumbprints: 2");
}

#[test]
fn jose_cookbook() {
    let Some(folder) = vectors::folder("jose-cookbook") else { return };
    for (file, algorithm) in
        [("jws/4_1.rsa_v15_signature.json", Algorithm::RS256), ("curve25519/jws.json", Algorithm::EdDSA)]
    {
        let example = vectors::json(&folder, file);
        let key = import(algorithm, example["input"]["key"].to_string().as_bytes());
        let payload = verify(example["output"]["compact"].as_str().unwrap(), &key).unwrap();
        assert_eq!(payload, example["input"]["payload"].as_str().unwrap().as_bytes(), "{file}");
    }
    for file in [
        "jws/4_3.ecdsa_signature.json",
        "jws/4_4.hmac-sha2_integrity_protection.json",
        "jws/4_5.signature_with_detached_content.json",
        "rfc7797/hmac-sha2_b64_false.json",
    ] {
        let example = vectors::json(&folder, file);
        if let Some(token) = example["output"]["compact"].as_str() {
            assert!(parse(token).is_err(), "{file}");
        }
    }
    let jwk = |file: &str| Jwk::parse(&std::fs::read(folder.join("jwk").join(file)).unwrap());
    assert_eq!(jwk("3_1.ec_public_key.json"), Err(JwkError::UnknownCurve));
    assert_eq!(jwk("3_2.ec_private_key.json"), Err(JwkError::UnknownCurve));
    assert!(jwk("3_3.rsa_public_key.json").is_ok());
    assert_eq!(jwk("3_4.rsa_private_key.json"), Err(JwkError::Private));
    assert_eq!(jwk("3_5.symmetric_key_mac_computation.json"), Err(JwkError::UnknownKeyType));
    assert_eq!(jwk("3_6.symmetric_key_encryption.json"), Err(JwkError::UnknownKeyType));
    let private = std::fs::read(folder.join("jwk/3_4.rsa_private_key.json")).unwrap();
    assert_eq!(import(Algorithm::PS256, &private).kid(), "bilbo.baggins@hobbiton.example");
    println!("jose-cookbook: 2 verified, 4 refused, 6 keys");
}

#[test]
fn smart_app_launch() {
    let Some(folder) = vectors::folder("smart") else { return };
    let mut verified = 0;
    let mut refused = 0;
    let tokens = vectors::json(&folder, "page-jwts.json");
    let checked = vectors::json(&folder, "CHECKED.json");
    assert_eq!(tokens.as_array().unwrap().len(), checked.as_array().unwrap().len());
    for (token, check) in tokens.as_array().unwrap().iter().zip(checked.as_array().unwrap()) {
        let token = token["jwt"].as_str().unwrap();
        let outcome = ["RS384", "ES384"].map(|name| {
            let set = std::fs::read(folder.join("keys").join(format!("{name}.public.json"))).unwrap();
            let set = KeySet::parse(&set).unwrap();
            assert_eq!(set.keys().count(), 1);
            Unverified::parse(token, &Algorithm::ALL, usize::MAX)
                .and_then(|token| token.verify_with(&set, ExpectedType::PlainJwt))
                .is_ok()
        });
        let expected =
            ["RS384", "ES384"].map(|name| check["verifies_with"] == format!("{name}.private.json"));
        assert_eq!(outcome, expected, "{check}");
        if outcome.contains(&true) { verified += 1 } else { refused += 1 }
    }
    for (name, algorithm) in [("RS384", Algorithm::RS384), ("ES384", Algorithm::ES384)] {
        let text = std::fs::read(folder.join("keys").join(format!("{name}.private.json"))).unwrap();
        let set: Value = serde_json::from_slice(&text).unwrap();
        let private = set["keys"].as_array().unwrap().iter().find(|key| key.get("d").is_some()).unwrap();
        let key = import(algorithm, private.to_string().as_bytes());
        let public = KeySet::parse(&text).unwrap_or_default();
        assert!(public.keys().all(|own| own.jwk().key == key.public_jwk().key), "{name}");
    }
    println!("smart: {verified} verified, {refused} refused, 2 private keys");
    assert_eq!(verified, 2);
}
