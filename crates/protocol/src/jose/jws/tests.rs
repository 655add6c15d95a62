use serde_json::json;

use super::*;

#[test]
fn only_objects_are_signed() {
    let key = SigningKey::generate(Algorithm::EdDSA).unwrap();
    for claims in [json!([]), json!("{}"), json!(1), json!(null)] {
        assert_eq!(sign(&key, "JWT", &claims), Err(SignError::Claims), "{claims}");
    }
    let without_text = std::collections::BTreeMap::from([((1, 2), 3)]);
    assert_eq!(sign(&key, "JWT", &without_text), Err(SignError::Claims));
}

#[test]
fn a_header_names_algorithm_type_and_key() {
    let key = SigningKey::generate(Algorithm::ES256).unwrap();
    let token = sign(&key, "at+jwt", &json!({"a": 1})).unwrap();
    let parsed = Unverified::parse(&token, &Algorithm::ALL, MAX_TOKEN_BYTES).unwrap();
    let expected = Header {
        algorithm: Algorithm::ES256,
        kid: Some(key.kid().to_owned()),
        typ: MediaType::Named("at+jwt".to_owned()),
        cty: MediaType::Absent,
    };
    assert_eq!(parsed.header(), &expected);
    let verified = parsed.verify(key.verifying_key()).unwrap();
    assert_eq!(verified.header(), &expected);
    assert_eq!(verified.payload(), br#"{"a":1}"#);
}

#[test]
fn an_empty_payload_is_a_payload_but_no_claims() {
    let key = SigningKey::generate(Algorithm::EdDSA).unwrap();
    let header = base64url::encode(br#"{"alg":"EdDSA"}"#);
    let signature = base64url::encode(&key.sign(format!("{header}.").as_bytes()).unwrap());
    let token = format!("{header}..{signature}");
    let verified = Unverified::parse(&token, &Algorithm::ALL, MAX_TOKEN_BYTES)
        .and_then(|token| token.verify(key.verifying_key()))
        .unwrap();
    assert_eq!(verified.payload(), b"");
    assert_eq!(verified.claims().unwrap_err(), Rejection::MalformedPayload);
}
