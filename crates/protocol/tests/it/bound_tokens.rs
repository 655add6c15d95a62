//! Tokens that are bound to a key, from the proof to the claims. RFC 9449 section 7.1, RFC 8705 section 3.

use std::time::Duration;

use aws_lc_rs::digest::{SHA256, digest};
use chartgate_protocol::base64url;
use chartgate_protocol::jose::claims::Confirmation;
use chartgate_protocol::jose::{Algorithm, Presentation, Rejection, Thumbprint};
use chartgate_protocol::oauth::dpop::{Freshness, ProofVerifier, ProvenKey, ProvenRequest};
use chartgate_values::Timestamp;
use serde_json::json;

use crate::forge::{Forge, NOW};

/// What a client proves by a proof of its key beside this token.
fn prove(client: &Forge, token: &str) -> ProvenKey {
    let jwk = serde_json::to_value(client.key.public_jwk()).unwrap();
    let header =
        json!({"alg": "EdDSA", "typ": "dpop+jwt", "jwk": {"kty": "OKP", "crv": "Ed25519", "x": jwk["x"]}});
    let ath = base64url::encode(digest(&SHA256, token.as_bytes()).as_ref());
    let place = "https://fhir.test/Patient/1";
    let claims = json!({"jti": "p-1", "htm": "GET", "htu": place, "iat": NOW, "ath": ath});
    let proof = client.sign_text(header.to_string(), claims.to_string());
    let freshness = Freshness { past: Duration::from_secs(60), ahead: Duration::ZERO };
    let verifier = ProofVerifier { algorithms: &[Algorithm::EdDSA], freshness, nonces: None };
    let target = place.parse().unwrap();
    let request = ProvenRequest { method: "GET", target: &target, access_token: Some(token) };
    verifier.verify(&proof, request, Timestamp::from_unix(NOW)).unwrap()
}

#[test]
fn o06_o13_a_bound_token_is_good_with_its_key_alone_and_a_proof_with_its_token_alone() {
    let (forge, client, thief) = (Forge::new(), Forge::new(), Forge::new());
    let verify = |token: &str, presentation: Presentation<'_>| {
        let now = Timestamp::from_unix(NOW);
        forge.verifier.verify(token, &forge.keys, presentation, now).map(|claims| claims.cnf)
    };
    let jkt = Thumbprint::of_key(client.key.public_jwk());
    let cnf = Confirmation::to(Some(&jkt), None);
    let bound = forge.with_claims(&json!({ "cnf": cnf }));
    let (own, stolen) = (prove(&client, &bound), prove(&thief, &bound));
    assert_eq!(verify(&bound, Presentation::dpop(&own).unwrap()), Ok(cnf));
    assert_eq!(verify(&bound, Presentation::BEARER), Err(Rejection::Confirmation));
    assert_eq!(verify(&bound, Presentation::dpop(&stolen).unwrap()), Err(Rejection::Confirmation));
    let unbound = forge.with_claims(&json!({}));
    let proof = prove(&client, &unbound);
    assert_eq!(verify(&unbound, Presentation::BEARER), Ok(None));
    assert_eq!(verify(&unbound, Presentation::dpop(&proof).unwrap()), Err(Rejection::Confirmation));
    let both = forge.with_claims(&json!({ "cnf": Confirmation::to(Some(&jkt), Some(&jkt)) }));
    let proof = prove(&client, &both);
    assert_eq!(verify(&both, Presentation::dpop(&proof).unwrap()), Err(Rejection::Confirmation));
    assert!(verify(&both, Presentation::dpop(&proof).unwrap().with_certificate(&jkt)).is_ok());
}

#[test]
fn whoever_asks_about_a_bound_token_proves_nothing_and_has_to_look_at_what_it_is_bound_to() {
    let forge = Forge::new();
    let [own, other] = [Forge::new(), Forge::new()].map(|client| Thumbprint::of_key(client.key.public_jwk()));
    for cnf in [json!({ "jkt": own }), json!({ "x5t#S256": own }), json!({ "unheard-of": "x" })] {
        let token = forge.with_claims(&json!({ "cnf": cnf }));
        let now = Timestamp::from_unix(NOW);
        let claims = forge.verifier.verify(&token, &forge.keys, Presentation::ASKED_ABOUT, now).unwrap();
        assert!(claims.cnf.is_some());
        for shown in [Presentation::BEARER, Presentation::BEARER.with_certificate(&other)] {
            assert_eq!(shown.check(claims.cnf.as_ref()), Err(Rejection::Confirmation), "{cnf}");
        }
    }
    let to = |key, certificate| Confirmation::to(key, certificate).unwrap();
    let (key, both) = (to(Some(&own), None), to(Some(&own), Some(&other)));
    assert!(both.covers(&key) && key.covers(&key) && !key.covers(&both));
    assert!(!to(Some(&other), None).covers(&key) && !to(None, Some(&own)).covers(&key));
}
