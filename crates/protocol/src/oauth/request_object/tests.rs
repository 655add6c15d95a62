use chartgate_values::SeededEntropy;
use proptest::prelude::*;
use serde_json::{Value, json};

use super::*;
use crate::jose::jwe::{self, Message, Recipient};
use crate::jose::{
    ClientAssertionVerifier, ContentEncryption, DecryptionKey, DecryptionKeySet, KeyManagement, KeySet,
    SigningKey,
};
use crate::oauth::authorization::{Addressed, AuthorizationRequest};

const NOW: i64 = 1_900_000_000;
const CHALLENGE: &str = "E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw-cM";

struct Client {
    key: SigningKey,
    keys: KeySet,
    decrypting: DecryptionKeySet,
    object_type: ObjectType,
    not_before: NotBefore,
    protection: Protection,
    holds: Holds,
}

impl Client {
    fn new() -> Self {
        let key = SigningKey::generate(Algorithm::ES256).unwrap();
        Self {
            keys: KeySet::from_iter([key.verifying_key().clone()]),
            key,
            decrypting: DecryptionKeySet::default(),
            object_type: ObjectType::Explicit,
            not_before: NotBefore::Required,
            protection: Protection::Signed,
            holds: Holds::Authorization,
        }
    }

    fn object(&self, typ: &str, change: &Value) -> String {
        jws::sign(&self.key, typ, &changed(change)).unwrap()
    }

    fn verify(&self, object: &str, outside: &str) -> Result<RequestObject, RequestObjectError> {
        let verifier = RequestObjectVerifier {
            holds: self.holds,
            client_id: "app",
            issuer: "https://idp.test",
            algorithms: &[Algorithm::ES256],
            protection: &self.protection,
            object_type: self.object_type,
            not_before: self.not_before,
            max_lifetime: Duration::from_secs(3600),
            skew: Duration::from_secs(10),
        };
        let keys = ReaderKeys { verifying: &self.keys, decrypting: &self.decrypting };
        verifier.verify(object, &Form::parse(outside).unwrap(), keys, Timestamp::from_unix(NOW))
    }

    fn outcome(&self, change: &Value) -> Result<(), RequestObjectError> {
        self.verify(&self.object(OBJECT_TYPE, change), "").map(|_| ())
    }
}

fn changed(change: &Value) -> Value {
    let mut claims = json!({
        "iss": "app", "aud": "https://idp.test", "exp": NOW + 300, "nbf": NOW, "jti": "j-1",
        "client_id": "app", "response_type": "code", "redirect_uri": "https://a/cb", "scope": "openid",
        "state": "inside", "code_challenge": CHALLENGE, "code_challenge_method": "S256",
    });
    for (name, value) in change.as_object().unwrap() {
        claims[name] = value.clone();
    }
    claims.as_object_mut().unwrap().retain(|_, value| !value.is_null());
    claims
}

fn token(cause: Rejection) -> Result<(), RequestObjectError> {
    Err(RequestObjectError::Token(cause))
}

#[test]
fn o19_a_question_says_all_of_itself_and_is_no_authorization_request() {
    let client = Client { holds: Holds::BackchannelAuthentication, ..Client::new() };
    let question = json!({ "iat": NOW, "client_id": null, "response_type": null, "redirect_uri": null,
        "login_hint": "dana", "requested_expiry": 60 });
    let with = |name: &str, value: Value| {
        let mut question = question.clone();
        question[name] = value;
        client.outcome(&question)
    };
    assert_eq!(client.outcome(&question), Ok(()));
    assert_eq!(with("client_id", "app".into()), Ok(()));
    assert_eq!(with("client_id", "other".into()), Err(RequestObjectError::ClientId));
    for name in ["jti", "iat", "nbf", "exp", "iss", "aud"] {
        assert_eq!(with(name, Value::Null), token(Rejection::MissingClaim(name)), "{name}");
    }
    for name in ["response_type", "redirect_uri"] {
        assert_eq!(with(name, "x".into()), Err(RequestObjectError::OtherRequest), "{name}");
    }
    assert_eq!(with("nbf", (NOW - 3301).into()), token(Rejection::LivesTooLong));
}

#[test]
fn what_is_signed_is_read_as_a_query_would_be() {
    let client = Client::new();
    let object = client.object(OBJECT_TYPE, &json!({"max_age": 60, "nonce": "n", "login_hint": "ä&b=c"}));
    let read = client.verify(&object, "client_id=app").unwrap();
    assert_eq!(read.jti.as_ref().map(Identifier::as_str), Some("j-1"));
    let addressed = Addressed::read(&read.parameters).unwrap();
    assert_eq!((addressed.client_id.as_str(), addressed.state.as_deref()), ("app", Some("inside")));
    let request = AuthorizationRequest::read(&read.parameters).unwrap();
    assert_eq!((request.max_age, request.nonce.as_deref()), (Some(60), Some("n")));
    assert_eq!(request.login_hint.as_deref(), Some("ä&b=c"));
    assert_eq!(read.parameters.get("iss"), None, "what is said of the object is no parameter");
    let details = json!({"authorization_details": [{"type": "x"}], "claims": {"id_token": {}}});
    let read = client.verify(&client.object(OBJECT_TYPE, &details), "").unwrap();
    assert_eq!(read.parameters.get("authorization_details"), Some(r#"[{"type":"x"}]"#));
}

#[test]
fn o23_what_stands_outside_is_ignored_or_must_be_the_same() {
    let client = Client::new();
    let object = client.object(OBJECT_TYPE, &json!({"nonce": null, "state": null}));
    let outside = "client_id=app&response_type=code&state=outside&nonce=outside&scope=patient/*.cruds\
        &redirect_uri=https://evil.test&dpop_jkt=x&prompt=none";
    let read = client.verify(&object, outside).unwrap();
    assert_eq!(client.verify(&object, ""), Ok(read.clone()), "nothing was taken from outside");
    assert_eq!((read.parameters.get("state"), read.parameters.get("nonce")), (None, None));
    for (outside, cause) in [
        ("client_id=other", RequestObjectError::ClientId),
        ("client_id=app&response_type=token", RequestObjectError::ResponseType),
    ] {
        assert_eq!(client.verify(&object, outside), Err(cause));
        assert_eq!(cause.code(), ErrorCode::InvalidRequest);
    }
    let silent = client.object(OBJECT_TYPE, &json!({"response_type": null}));
    assert_eq!(client.verify(&silent, "response_type=code"), Err(RequestObjectError::ResponseType));
}

#[test]
fn o23_a_parameter_that_comes_twice_or_as_something_else_is_refused() {
    let client = Client::new();
    for value in
        [json!(["a", "b"]), json!({"a": 1}), json!(true), json!(1.5), json!(-1), json!(12_345_678_901_i64)]
    {
        let outcome = client.outcome(&json!({ "state": value }));
        assert_eq!(outcome, Err(RequestObjectError::ParameterType), "{value}");
    }
    assert_eq!(client.outcome(&json!({"state": "a\u{0}b"})), Err(RequestObjectError::Control));
    assert_eq!(client.outcome(&json!({"a\nb": "c"})), Err(RequestObjectError::Control));
    let with = |count: usize| Value::Object((0..count).map(|i| (format!("x{i}"), json!("y"))).collect());
    assert_eq!(client.outcome(&with(MAX_PARAMETERS - 7)), Ok(()), "beside the seven that are there");
    assert_eq!(client.outcome(&with(MAX_PARAMETERS - 6)), Err(RequestObjectError::TooMany));
    let twice = changed(&json!({})).to_string().replacen('{', r#"{"state":"other","#, 1);
    let header = json!({"alg": "ES256", "typ": OBJECT_TYPE, "kid": client.key.kid()}).to_string();
    let encode = crate::base64url::encode;
    let input = format!("{}.{}", encode(header.as_bytes()), encode(twice.as_bytes()));
    let object = format!("{input}.{}", encode(&client.key.sign(input.as_bytes()).unwrap()));
    assert_eq!(client.verify(&object, "").map(|_| ()), token(Rejection::DuplicateName));
}

#[test]
fn o22_an_object_holds_no_other_and_no_address_of_one() {
    let client = Client::new();
    for name in ["request", "request_uri"] {
        assert_eq!(client.outcome(&json!({ name: "x" })), Err(RequestObjectError::Nested), "{name}");
        assert_eq!(client.outcome(&json!({ name: "" })), Err(RequestObjectError::Nested), "{name}");
    }
    assert_eq!(RequestObjectError::Nested.code().as_str(), "invalid_request_object");
}

#[test]
fn j17_j18_an_object_is_of_its_client_and_for_us_alone() {
    let client = Client::new();
    for iss in [json!("other"), json!("App"), json!(["app"]), json!("")] {
        assert_eq!(client.outcome(&json!({ "iss": iss })), token(Rejection::Issuer), "{iss}");
    }
    for aud in [
        json!("https://idp.test/"),
        json!("https://idp.test/authorize"),
        json!("https://other.test"),
        json!(["https://idp.test"]),
        json!(["https://idp.test", "https://other.test"]),
        json!(7),
    ] {
        assert_eq!(client.outcome(&json!({ "aud": aud })), token(Rejection::Audience), "{aud}");
    }
    for name in ["iss", "aud", "exp", "nbf", "client_id"] {
        assert_eq!(client.outcome(&json!({ name: null })), token(Rejection::MissingClaim(name)), "{name}");
    }
    assert_eq!(client.outcome(&json!({"client_id": "other"})), Err(RequestObjectError::ClientId));
}

#[test]
fn an_object_is_valid_for_a_while() {
    let mut client = Client::new();
    for (change, expected) in [
        (json!({"nbf": NOW + 8}), Ok(())),
        (json!({"nbf": NOW + 11, "exp": NOW + 60}), token(Rejection::NotYet)),
        (json!({"iat": NOW + 11}), token(Rejection::NotYet)),
        (json!({"exp": NOW}), token(Rejection::Expired)),
        (json!({"exp": NOW + 3600}), Ok(())),
        (json!({"exp": NOW + 3601}), token(Rejection::LivesTooLong)),
        (json!({"nbf": NOW - 3590, "exp": NOW + 10}), Ok(())),
        (json!({"nbf": NOW - 3600, "exp": NOW + 10}), token(Rejection::LivesTooLong)),
        (json!({"exp": "1900000300"}), token(Rejection::ClaimType("exp"))),
    ] {
        assert_eq!(client.outcome(&change), expected, "{change}");
    }
    client.not_before = NotBefore::Optional;
    assert_eq!(client.outcome(&json!({"nbf": null, "exp": NOW + 3610})), Ok(()));
    assert_eq!(client.outcome(&json!({"nbf": null, "exp": NOW + 3611})), token(Rejection::LivesTooLong));
    assert_eq!(client.outcome(&json!({"nbf": null, "exp": null})), token(Rejection::MissingClaim("exp")));
}

#[test]
fn j01_j03_an_object_is_signed_as_its_client_registered() {
    let client = Client::new();
    let other = SigningKey::generate(Algorithm::EdDSA).unwrap();
    let object = jws::sign(&other, OBJECT_TYPE, &changed(&json!({}))).unwrap();
    assert_eq!(client.verify(&object, "").map(|_| ()), token(Rejection::AlgorithmNotAllowed));
    let stranger = Client::new();
    let object = stranger.object(OBJECT_TYPE, &json!({}));
    assert_eq!(client.verify(&object, "").map(|_| ()), token(Rejection::UnknownKid));
    let good = client.object(OBJECT_TYPE, &json!({}));
    let (signed, _) = good.rsplit_once('.').unwrap();
    assert_eq!(client.verify(&format!("{signed}."), "").map(|_| ()), token(Rejection::BadSignature));
    let (_, payload) = signed.split_once('.').unwrap();
    let unsigned = format!("{}.{payload}.", crate::base64url::encode(br#"{"alg":"none"}"#));
    assert_eq!(client.verify(&unsigned, "").map(|_| ()), token(Rejection::AlgorithmNotAllowed));
}

#[test]
fn j19_a_client_assertion_is_no_request_object_and_the_other_way_round() {
    let mut client = Client::new();
    for typ in ["JWT", "at+jwt", "dpop+jwt", ""] {
        let object = client.object(typ, &json!({}));
        assert_eq!(client.verify(&object, "").map(|_| ()), token(Rejection::Type), "{typ}");
    }
    client.object_type = ObjectType::ExplicitOrPlain;
    for typ in ["JWT", "jwt", OBJECT_TYPE, "application/OAuth-Authz-Req+JWT"] {
        assert!(client.verify(&client.object(typ, &json!({})), "").is_ok(), "{typ}");
    }
    for typ in ["at+jwt", "dpop+jwt", "logout+jwt", ""] {
        let object = client.object(typ, &json!({}));
        assert_eq!(client.verify(&object, "").map(|_| ()), token(Rejection::Type), "{typ}");
    }
    let assertion = client.object("JWT", &json!({"sub": "app"}));
    assert_eq!(client.verify(&assertion, ""), Err(RequestObjectError::Subject));
    let verifier = ClientAssertionVerifier {
        client_id: "app",
        audiences: &["https://idp.test".to_owned()],
        algorithms: &[Algorithm::ES256],
        max_lifetime: Duration::from_secs(300),
        skew: Duration::ZERO,
    };
    let object = client.object("JWT", &json!({}));
    let as_assertion = verifier.verify(&object, &client.keys, Timestamp::from_unix(NOW));
    assert_eq!(as_assertion.map(|_| ()), Err(Rejection::MissingClaim("sub")));
}

#[test]
fn an_object_is_encrypted_if_its_client_encrypts_and_only_then() {
    let mut client = Client::new();
    let mut entropy = SeededEntropy::new(1);
    let key = DecryptionKey::generate(KeyManagement::EcdhEsA256Kw, &mut entropy).unwrap();
    let signed = client.object(OBJECT_TYPE, &json!({}));
    let to = Recipient { key: key.encryption_key(), content: ContentEncryption::A256Gcm };
    let mut encrypt = |cty, text: &str| {
        let message = Message { typ: None, cty, plaintext: text.as_bytes() };
        jwe::encrypt(to, &message, &mut entropy).unwrap()
    };
    let nested = encrypt(Some("JWT"), &signed);
    let bare = encrypt(Some("JWT"), &changed(&json!({})).to_string());
    assert_eq!(client.verify(&nested, "").map(|_| ()), token(Rejection::Encrypted));
    client.protection = Protection::SignedAndEncrypted(vec![ContentEncryption::A256Gcm]);
    client.decrypting = std::iter::once(key).collect();
    assert!(client.verify(&nested, "client_id=app").is_ok());
    assert_eq!(client.verify(&signed, "").map(|_| ()), token(Rejection::NotEncrypted));
    assert!(client.verify(&bare, "").is_err(), "what anybody can encrypt is nobody's request");
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 64, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn every_text_is_the_parameter_that_was_signed(state in "[^\\p{Cc}]{1,40}", age in 0_u32..) {
        let client = Client::new();
        let object = client.object(OBJECT_TYPE, &json!({"state": state, "max_age": age}));
        let read = client.verify(&object, "").unwrap();
        prop_assert_eq!(read.parameters.get("state"), Some(state.as_str()));
        prop_assert_eq!(AuthorizationRequest::read(&read.parameters).unwrap().max_age, Some(age));
        prop_assert_eq!(Form::parse(&read.parameters.encode()), Ok(read.parameters));
    }
}
