use serde_json::json;

use super::*;
use crate::jose::{Algorithm, ExpectedAudience, SigningKey, jws};

fn verdict(line: &str) -> String {
    let key = SigningKey::generate(Algorithm::EdDSA).unwrap();
    let keys = KeySet::from_iter([key.verifying_key().clone()]);
    let verifier = AccessTokenVerifier::new("https://i.test", ExpectedAudience::OneOf(vec!["a".to_owned()]));
    let claims = json!({
        "iss": "https://i.test", "aud": "a", "sub": "s", "client_id": "c", "jti": "j", "iat": 1, "exp": 3,
    });
    let token = jws::sign(&key, "at+jwt", &claims).unwrap();
    let inspector = Inspector { verifier: &verifier, keys: &keys, now: Timestamp::from_unix(2) };
    serde_json::to_string(&inspector.line(line.replace("GOOD", &token).as_bytes())).unwrap()
}

#[test]
fn a_line_in_gives_a_line_out() {
    assert_eq!(verdict(r#"{"id":"1","token":"GOOD"}"#), r#"{"id":"1","verdict":"accept","reason":null}"#);
    assert_eq!(
        verdict(r#"{"token":"GOOD=","id":"é","more":[1]}"#),
        r#"{"id":"é","verdict":"reject","reason":"encoding"}"#
    );
}

#[test]
fn whatever_a_line_is_there_is_a_verdict() {
    let long = format!(r#"{{"id":"x","token":"{}"}}"#, "a.".repeat(1 << 20));
    let deep = format!(r#"{{"id":"x","token":"t","y":{}}}"#, "[".repeat(100_000));
    for (line, id, reason) in [
        ("", "null", NOT_A_LINE),
        ("[]", "null", NOT_A_LINE),
        (r#"{"id":"x"}"#, "null", NOT_A_LINE),
        (r#"{"id":"x","token":"GOOD","token":"GOOD"}"#, "null", NOT_A_LINE),
        (deep.as_str(), "null", NOT_A_LINE),
        (r#"{"id":7,"token":""}"#, "null", "malformed"),
        (r#"{"id":"x","token":null}"#, r#""x""#, "malformed"),
        (r#"{"id":"x","token":"\ud800"}"#, r#""x""#, "malformed"),
        (long.as_str(), r#""x""#, "too-large"),
    ] {
        let expected = format!(r#"{{"id":{id},"verdict":"reject","reason":"{reason}"}}"#);
        assert_eq!(verdict(line), expected, "{line:.80}");
    }
}
