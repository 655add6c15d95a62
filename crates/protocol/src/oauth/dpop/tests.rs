use proptest::prelude::*;
use serde_json::{Value, json};

use super::*;
use crate::base64url;
use crate::jose::{SigningKey, jws};

const NOW: i64 = 1_900_000_000;
const HERE: &str = "https://gate.test/fhir/Patient/1";

/// A client with one key, which signs whatever it is told to.
struct Client(SigningKey);

impl Client {
    fn new(algorithm: Algorithm) -> Self {
        Self(SigningKey::generate(algorithm).unwrap())
    }

    fn jwk(&self) -> Value {
        let mut jwk = serde_json::to_value(self.0.public_jwk()).unwrap();
        for name in ["kid", "alg", "use"] {
            jwk.as_object_mut().unwrap().remove(name);
        }
        jwk
    }

    fn header(&self) -> Value {
        json!({"typ": "dpop+jwt", "alg": self.0.algorithm().name(), "jwk": self.jwk()})
    }

    fn sign(&self, header: &str, claims: &str) -> String {
        let input =
            format!("{}.{}", base64url::encode(header.as_bytes()), base64url::encode(claims.as_bytes()));
        let signature = self.0.sign(input.as_bytes()).unwrap();
        format!("{input}.{}", base64url::encode(&signature))
    }

    /// A good proof with these changes; what is `null` is taken out.
    fn proof(&self, header: &Value, claims: &Value) -> String {
        self.sign(&changed(self.header(), header).to_string(), &changed(good_claims(), claims).to_string())
    }

    fn with_jwk(&self, change: &Value) -> String {
        self.proof(&json!({"jwk": changed(self.jwk(), change)}), &json!({}))
    }
}

fn good_claims() -> Value {
    json!({"jti": "j-1", "htm": "GET", "htu": HERE, "iat": NOW, "ath": ath("token")})
}

fn ath(token: &str) -> String {
    Thumbprint::of_bytes(token.as_bytes()).to_string()
}

fn changed(mut object: Value, change: &Value) -> Value {
    for (name, value) in change.as_object().unwrap() {
        object[name] = value.clone();
    }
    object.as_object_mut().unwrap().retain(|_, value| !value.is_null());
    object
}

fn verify_with(nonces: Option<&Nonces>, proof: &str, token: Option<&str>) -> Result<ProvenKey, ProofError> {
    let freshness = Freshness { past: Duration::from_secs(60), ahead: Duration::from_secs(5) };
    let verifier = ProofVerifier { algorithms: &Algorithm::ALL, freshness, nonces };
    let target = HERE.parse().unwrap();
    let request = ProvenRequest { method: "GET", target: &target, access_token: token };
    verifier.verify(proof, request, Timestamp::from_unix(NOW))
}

fn outcome(proof: &str) -> Result<(), ProofError> {
    verify_with(None, proof, Some("token")).map(|_| ())
}

fn token(cause: Rejection) -> Result<(), ProofError> {
    Err(ProofError::Token(cause))
}

#[test]
fn the_proofs_of_rfc_9449_sections_4_and_7_are_good() {
    const HEADER: &str = "eyJ0eXAiOiJkcG9wK2p3dCIsImFsZyI6IkVTMjU2IiwiandrIjp7Imt0eSI6IkVDIiwieCI6Imw4dEZyaHgt\
        MzR0VjNoUklDUkRZOXpDa0RscEJoRjQyVVFVZldWQVdCRnMiLCJ5IjoiOVZFNGpmX09rX282NHpiVFRsY3VOSmFqSG10NnY5VERWclUwQ2R2\
        R1JEQSIsImNydiI6IlAtMjU2In19";
    const AT_TOKEN: &str = "eyJqdGkiOiItQndDM0VTYzZhY2MybFRjIiwiaHRtIjoiUE9TVCIsImh0dSI6Imh0dHBzOi8vc2VydmVyLmV4YW1w\
        bGUuY29tL3Rva2VuIiwiaWF0IjoxNTYyMjYyNjE2fQ.2-GxA6T8lP4vfrg8v-FdWP0A0zdrj8igiMLvqRMUvwnQg4PtFLbdLXiOSsX0x7NVY\
        -FNyJK70nfbV37xRZT3Lg";
    const AT_RESOURCE: &str = "eyJqdGkiOiJlMWozVl9iS2ljOC1MQUVCIiwiaHRtIjoiR0VUIiwiaHR1IjoiaHR0cHM6Ly9yZXNvdXJjZS5l\
        eGFtcGxlLm9yZy9wcm90ZWN0ZWRyZXNvdXJjZSIsImlhdCI6MTU2MjI2MjYxOCwiYXRoIjoiZlVIeU8ycjJaM0RaNTNFc05yV0JiMHhXWG9h\
        Tnk1OUlpS0NBcWtzbVFFbyJ9.2oW9RP35yRqzhrtNP86L-Ey71EOptxRimPPToA1plemAgR6pxHF8y6-yqyVnmcw6Fy1dqd-jfxSYoMxhAJpL\
        jA";
    let freshness = Freshness { past: Duration::from_secs(60), ahead: Duration::ZERO };
    let verifier = ProofVerifier { algorithms: &[Algorithm::ES256], freshness, nonces: None };
    let access_token = Some("Kz~8mXK1EalYznwH-LC-1fBAo.4Ljp~zsPE_NeO.gxU");
    for (claims, method, target, access_token) in [
        (AT_TOKEN, "POST", "https://server.example.com/token", None),
        (AT_RESOURCE, "GET", "https://resource.example.org/protectedresource", access_token),
    ] {
        let target = target.parse().unwrap();
        let request = ProvenRequest { method, target: &target, access_token };
        let now = Timestamp::from_unix(1_562_262_620);
        let key = verifier.verify(&format!("{HEADER}.{claims}"), request, now).unwrap();
        assert_eq!(key.thumbprint.as_str(), "0ZcOCORZNYy-DWpqq30jZyJGHTN0d2HglBV3uiguA4I");
    }
}

#[test]
fn a_proof_by_every_algorithm_proves_its_key() {
    for algorithm in Algorithm::ALL {
        let client = Client::new(algorithm);
        let key = verify_with(None, &client.proof(&json!({}), &json!({})), Some("token")).unwrap();
        assert_eq!(key.thumbprint, Thumbprint::of_key(client.0.public_jwk()), "{algorithm}");
        assert_eq!((key.jti.as_str(), key.iat.timestamp()), ("j-1", Timestamp::from_unix(NOW)));
    }
}

#[test]
fn j01_j03_a_proof_without_a_signature_or_by_a_shared_key_is_refused() {
    let client = Client::new(Algorithm::ES256);
    for alg in ["none", "None", "HS256", "ES512", "RS512", ""] {
        let proof = client.proof(&json!({"alg": alg}), &json!({}));
        assert_eq!(outcome(&proof), token(Rejection::AlgorithmNotAllowed), "{alg}");
    }
    let proof = client.proof(&json!({"alg": "ES384"}), &json!({}));
    assert_eq!(outcome(&proof), token(Rejection::EmbeddedKey));
    let proof = client.proof(&json!({}), &json!({}));
    let (unsigned, _) = proof.rsplit_once('.').unwrap();
    assert_eq!(outcome(&format!("{unsigned}.")), token(Rejection::BadSignature));
    let oct = json!({"jwk": {"kty": "oct", "k": "AAAA"}});
    assert_eq!(outcome(&client.proof(&oct, &json!({}))), token(Rejection::EmbeddedKey));
}

#[test]
fn j09_the_key_is_public_small_and_the_only_one_named() {
    let client = Client::new(Algorithm::ES256);
    for name in ["d", "p", "q", "dp", "dq", "qi", "oth", "k"] {
        let named = client.sign(
            &client.header().to_string().replace(r#""crv""#, &format!(r#""{name}":null,"crv""#)),
            &good_claims().to_string(),
        );
        assert_eq!(outcome(&named), token(Rejection::EmbeddedKey), "{name}");
        assert_eq!(
            outcome(&client.with_jwk(&json!({name: "AAAA"}))),
            token(Rejection::EmbeddedKey),
            "{name}"
        );
    }
    for name in ["kid", "jku", "x5u", "x5c", "x5t", "x5t#S256"] {
        let proof = client.proof(&json!({name: "x"}), &json!({}));
        assert_eq!(outcome(&proof), token(Rejection::SeveralKeys), "{name}");
    }
    for (change, cause) in [
        (json!({"kty": "RSA"}), Rejection::EmbeddedKey),
        (json!({"crv": "P-384"}), Rejection::EmbeddedKey),
        (json!({"crv": "secp256k1"}), Rejection::EmbeddedKey),
        (json!({"x": "AAAA"}), Rejection::EmbeddedKey),
        (json!({"y": base64url::encode(&[1; 32])}), Rejection::EmbeddedKey),
        (json!({"use": "enc"}), Rejection::EmbeddedKey),
        (json!({"key_ops": ["sign"]}), Rejection::EmbeddedKey),
        (json!({"alg": "ES384"}), Rejection::KeyMismatch),
    ] {
        assert_eq!(outcome(&client.with_jwk(&change)), token(cause), "{change}");
    }
    let missing = client.proof(&json!({"jwk": null}), &json!({}));
    assert_eq!(outcome(&missing), token(Rejection::MissingKey));
    for jwk in [json!("x"), json!([client.jwk()]), json!({}), json!(7)] {
        let proof = client.proof(&json!({ "jwk": jwk }), &json!({}));
        assert_eq!(outcome(&proof), token(Rejection::EmbeddedKey));
    }
    let as_browsers_write_it =
        json!({"ext": true, "key_ops": ["verify"], "alg": "ES256", "use": "sig", "kid": "1"});
    assert_eq!(outcome(&client.with_jwk(&as_browsers_write_it)), Ok(()));
    let many: serde_json::Map<_, _> = (0..13).map(|i| (format!("x{i}"), json!(i))).collect();
    assert_eq!(outcome(&client.with_jwk(&Value::Object(many))), token(Rejection::EmbeddedKey));
}

#[test]
fn j09_a_proof_by_another_key_than_it_brings_is_refused() {
    let (client, other) = (Client::new(Algorithm::ES256), Client::new(Algorithm::ES256));
    let proof = client.proof(&json!({"jwk": other.jwk()}), &json!({}));
    assert_eq!(outcome(&proof), token(Rejection::BadSignature));
    let twice = client.header().to_string().replacen('{', &format!(r#"{{"jwk":{},"#, other.jwk()), 1);
    assert_eq!(outcome(&client.sign(&twice, &good_claims().to_string())), token(Rejection::DuplicateName));
}

#[test]
fn j13_a_proof_is_small() {
    let client = Client::new(Algorithm::ES256);
    let proof = client.proof(&json!({}), &json!({"x": "y".repeat(MAX_PROOF_BYTES)}));
    assert_eq!(outcome(&proof), token(Rejection::TooLarge));
    assert_eq!(outcome(&".".repeat(MAX_PROOF_BYTES)), token(Rejection::Malformed));
    let named = |length: usize| client.proof(&json!({}), &json!({"jti": "j".repeat(length)}));
    assert_eq!(outcome(&named(MAX_JTI_BYTES)), Ok(()));
    assert_eq!(outcome(&named(MAX_JTI_BYTES + 1)), Err(ProofError::LongName));
    assert_eq!(outcome(&named(0)), token(Rejection::ClaimType("jti")));
    let modulus = |bytes: usize| json!({"alg": "RS256", "jwk": {"kty": "RSA", "e": "AQAB", "n": base64url::encode(&vec![0xff; bytes])}});
    assert_eq!(outcome(&client.proof(&modulus(512), &json!({}))), token(Rejection::BadSignature));
    assert_eq!(outcome(&client.proof(&modulus(514), &json!({}))), token(Rejection::EmbeddedKey));
    assert_eq!(outcome(&client.proof(&modulus(128), &json!({}))), token(Rejection::EmbeddedKey));
}

#[test]
fn j19_only_a_proof_is_a_proof_and_it_is_nothing_else() {
    let client = Client::new(Algorithm::ES256);
    for typ in [json!("JWT"), json!("at+jwt"), json!("dpop"), json!(""), json!(7), Value::Null] {
        let proof = client.proof(&json!({ "typ": typ }), &json!({}));
        assert_eq!(outcome(&proof), token(Rejection::Type), "{typ}");
    }
    assert_eq!(outcome(&client.proof(&json!({"typ": "application/DPoP+JWT"}), &json!({}))), Ok(()));
    let signed = jws::sign(&client.0, "dpop+jwt", &good_claims()).unwrap();
    assert_eq!(outcome(&signed), token(Rejection::SeveralKeys), "a key of a set is not brought");
    for header in [json!({"crit": ["htm"]}), json!({"b64": false})] {
        assert_eq!(outcome(&client.proof(&header, &json!({}))), token(Rejection::Critical));
    }
}

#[test]
fn o13_a_proof_is_for_its_method_and_place_alone() {
    let client = Client::new(Algorithm::EdDSA);
    let outcome = |change: Value| outcome(&client.proof(&json!({}), &change));
    for htm in ["get", "Get", "POST", "GET ", ""] {
        assert_eq!(outcome(json!({ "htm": htm })), Err(ProofError::Method), "{htm}");
    }
    for htu in [
        "https://gate.test/fhir/Patient/2",
        "https://gate.test/fhir/patient/1",
        "https://gate.test/fhir/Patient/1/",
        "https://gate.test/fhir/Patient%2F1",
        "https://gate.test/fhir/Patient/1;x",
        "http://gate.test/fhir/Patient/1",
        "https://gate.test:8443/fhir/Patient/1",
        "https://gate.test.evil.test/fhir/Patient/1",
        "https://gate.test@evil.test/fhir/Patient/1",
        "https://evil.test/?https://gate.test/fhir/Patient/1",
        "/fhir/Patient/1",
        "",
    ] {
        assert_eq!(outcome(json!({ "htu": htu })), Err(ProofError::Target), "{htu}");
    }
    for htu in [
        "HTTPS://GATE.test:443/fhir/Patient/1",
        "https://gate.test/fhir/x/../%50atient/1",
        &format!("{HERE}?_id=1#x"),
    ] {
        assert_eq!(outcome(json!({ "htu": htu })), Ok(()), "{htu}");
    }
    for name in ["htm", "htu", "iat", "jti"] {
        assert_eq!(outcome(json!({ name: null })), token(Rejection::MissingClaim(name)));
        assert_eq!(outcome(json!({ name: [1] })), token(Rejection::ClaimType(name)));
    }
}

#[test]
fn o13_a_proof_is_fresh() {
    let client = Client::new(Algorithm::EdDSA);
    for (iat, expected) in [
        (json!(NOW + 5), Ok(())),
        (json!(NOW as f64 + 5.5), Err(ProofError::TooEarly)),
        (json!(NOW + 6), Err(ProofError::TooEarly)),
        (json!(NOW - 59), Ok(())),
        (json!(NOW - 60), Err(ProofError::TooOld)),
        (json!(0), Err(ProofError::TooOld)),
        (json!(-1), Err(ProofError::TooOld)),
        (json!(1e300), token(Rejection::ClaimRange("iat"))),
        (json!("1900000000"), token(Rejection::ClaimType("iat"))),
    ] {
        assert_eq!(outcome(&client.proof(&json!({}), &json!({ "iat": iat }))), expected, "{iat}");
    }
    let freshness = Freshness { past: Duration::from_secs(60), ahead: Duration::ZERO };
    let iat = NumericDate::from(Timestamp::from_unix(NOW));
    let end = freshness.ends(iat);
    assert_eq!(
        freshness.check(iat, end),
        Err(ProofError::TooOld),
        "what is forgotten is refused for its age"
    );
}

#[test]
fn o13_a_proof_beside_an_access_token_is_for_that_token() {
    let client = Client::new(Algorithm::EdDSA);
    for other in [json!(null), json!(ath("other")), json!(""), json!("token")] {
        let proof = client.proof(&json!({}), &json!({ "ath": other }));
        assert_eq!(outcome(&proof), Err(ProofError::AccessToken), "{other}");
    }
    let without = client.proof(&json!({}), &json!({"ath": null}));
    assert!(verify_with(None, &without, None).is_ok());
}

#[test]
fn o13_where_a_nonce_is_required_it_is_asked_for_and_it_ages() {
    let client = Client::new(Algorithm::EdDSA);
    let nonces = Nonces::new(&[7; 32], Duration::from_secs(100)).unwrap();
    let with = |nonce: &str, iat: i64| {
        let proof = client.proof(&json!({}), &json!({"nonce": nonce, "iat": iat}));
        verify_with(Some(&nonces), &proof, Some("token")).map(|key| key.nonce_age)
    };
    let of = |seconds: i64| nonces.issue(Timestamp::from_unix(NOW + seconds));
    assert_eq!(with(&of(0), NOW), Ok(Some(NonceAge::Current)));
    assert_eq!(with(&of(-100), NOW), Ok(Some(NonceAge::Aging)));
    assert_eq!(with(&of(-200), NOW), Err(ProofError::Nonce));
    assert_eq!(with("x", NOW), Err(ProofError::Nonce));
    assert_eq!(with("x", 0), Err(ProofError::Nonce), "before the time is judged");
    assert_eq!(with(&of(0), 0), Err(ProofError::TooOld), "a nonce does not make an old proof new");
    let without = client.proof(&json!({}), &json!({}));
    assert_eq!(verify_with(Some(&nonces), &without, Some("token")), Err(ProofError::Nonce));
    assert_eq!(ProofError::Nonce.code().as_str(), "use_dpop_nonce");
    assert_eq!(ProofError::TooOld.code().as_str(), "invalid_dpop_proof");
    assert_eq!(ProofError::Token(Rejection::BadSignature).code().as_str(), "invalid_dpop_proof");
}

#[test]
fn o06_a_key_that_was_announced_is_the_one_that_is_proved() {
    let client = Client::new(Algorithm::EdDSA);
    let key = verify_with(None, &client.proof(&json!({}), &json!({})), Some("token")).unwrap();
    let own = Thumbprint::of_key(client.0.public_jwk());
    let other = Thumbprint::of_key(Client::new(Algorithm::EdDSA).0.public_jwk());
    assert_eq!(check_announced(None, None), Ok(()));
    assert_eq!(check_announced(None, Some(&key.thumbprint)), Ok(()));
    assert_eq!(check_announced(Some(&own), Some(&key.thumbprint)), Ok(()));
    assert_eq!(check_announced(Some(&other), Some(&key.thumbprint)), Err(ProofError::OtherKey));
    assert_eq!(check_announced(Some(&own), None), Err(ProofError::Missing));
}

#[test]
fn o13_a_request_has_one_proof_in_one_line() {
    assert_eq!(sole_proof([]), Ok(None));
    assert_eq!(sole_proof(["a.b.c"]), Ok(Some("a.b.c")));
    for lines in [&["a", "b"][..], &["a", "a"], &["a,b"], &["a,"], &["a", "b", "c"]] {
        assert_eq!(sole_proof(lines.iter().copied()), Err(ProofError::Several), "{lines:?}");
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 256, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn no_byte_of_a_proof_can_be_changed(at in any::<prop::sample::Index>(), to in "[A-Za-z0-9._=-]") {
        static CLIENT: std::sync::LazyLock<(Client, String)> = std::sync::LazyLock::new(|| {
            let client = Client::new(Algorithm::EdDSA);
            let proof = client.proof(&json!({}), &json!({}));
            (client, proof)
        });
        let (_, proof) = &*CLIENT;
        let at = at.index(proof.len());
        let mut mutant = proof.clone();
        mutant.replace_range(at..=at, &to);
        prop_assert_eq!(outcome(&mutant).is_ok(), mutant == *proof);
    }

    #[test]
    fn no_text_makes_it_panic(text in ".{0,200}") {
        let _ = outcome(&text);
    }
}
