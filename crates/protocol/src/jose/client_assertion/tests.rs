use serde_json::{Value, json};

use super::*;
use crate::jose::jws;
use crate::jose::signing_key::SigningKey;

const NOW: i64 = 1_900_000_000;

struct Client {
    key: SigningKey,
    keys: KeySet,
}

impl Client {
    fn new() -> Self {
        let key = SigningKey::generate(Algorithm::ES384).unwrap();
        let keys = KeySet::from_iter([key.verifying_key().clone()]);
        Self { key, keys }
    }

    fn assertion(&self, typ: &str, change: &Value) -> String {
        let mut claims = json!({
            "iss": "app", "sub": "app", "aud": "https://idp.test/token", "exp": NOW + 300, "jti": "j-1",
        });
        for (name, value) in change.as_object().unwrap() {
            claims[name] = value.clone();
        }
        claims.as_object_mut().unwrap().retain(|_, value| !value.is_null());
        jws::sign(&self.key, typ, &claims).unwrap()
    }

    fn verify(&self, assertion: &str) -> Result<ClientAssertionClaims, Rejection> {
        let verifier = ClientAssertionVerifier {
            client_id: "app",
            audiences: &["https://idp.test/token".to_owned()],
            algorithms: &[Algorithm::ES384],
            max_lifetime: Duration::from_secs(300),
            skew: Duration::from_secs(5),
        };
        verifier.verify(assertion, &self.keys, Timestamp::from_unix(NOW))
    }

    fn outcome(&self, change: &Value) -> Result<(), Rejection> {
        self.verify(&self.assertion("JWT", change)).map(|_| ())
    }
}

#[test]
fn an_assertion_is_accepted_within_its_short_life() {
    let client = Client::new();
    let claims = client.verify(&client.assertion("JWT", &json!({"iat": NOW + 5, "nbf": NOW}))).unwrap();
    assert_eq!((claims.sub.as_str(), claims.jti.as_str()), ("app", "j-1"));
    assert_eq!(client.outcome(&json!({"exp": NOW + 305})), Ok(()));
    assert_eq!(client.outcome(&json!({"exp": NOW + 306})), Err(Rejection::LivesTooLong));
    assert_eq!(client.outcome(&json!({"exp": NOW})), Err(Rejection::Expired));
    assert_eq!(client.outcome(&json!({"iat": NOW + 6})), Err(Rejection::NotYet));
    assert_eq!(client.outcome(&json!({"nbf": NOW + 6})), Err(Rejection::NotYet));
}

#[test]
fn an_assertion_speaks_of_its_own_client_alone() {
    let client = Client::new();
    assert_eq!(client.outcome(&json!({"iss": "other"})), Err(Rejection::Issuer));
    assert_eq!(client.outcome(&json!({"sub": "other"})), Err(Rejection::Subject));
    assert_eq!(client.outcome(&json!({"iss": "other", "sub": "other"})), Err(Rejection::Issuer));
    assert_eq!(client.outcome(&json!({"aud": "https://other.test"})), Err(Rejection::Audience));
}

#[test]
fn no_claim_of_an_assertion_may_be_missing() {
    let client = Client::new();
    for name in ["iss", "sub", "aud", "exp", "jti"] {
        assert_eq!(client.outcome(&json!({ name: null })), Err(Rejection::MissingClaim(name)));
    }
    assert_eq!(client.outcome(&json!({"jti": ""})), Err(Rejection::ClaimType("jti")));
}

#[test]
fn an_assertion_has_the_type_and_the_algorithm_of_its_client() {
    let client = Client::new();
    assert!(client.verify(&client.assertion("jwt", &json!({}))).is_ok());
    for typ in ["at+jwt", "dpop+jwt", ""] {
        assert_eq!(client.verify(&client.assertion(typ, &json!({}))), Err(Rejection::Type), "{typ}");
    }
    let other = SigningKey::generate(Algorithm::ES256).unwrap();
    let keys = KeySet::from_iter([other.verifying_key().clone()]);
    let client = Client { key: other, keys };
    assert_eq!(client.outcome(&json!({})), Err(Rejection::AlgorithmNotAllowed));
}
