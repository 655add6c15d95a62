use proptest::prelude::*;
use serde_json::{Value, json};

use super::super::provider_token::ProviderTokenVerifier;
use super::super::{Claimed, SigningKey, jws};
use super::*;
use crate::base64url;

const NOW: i64 = 1_760_000_000;
const VERIFIER: LogoutTokenVerifier<'_> = LogoutTokenVerifier {
    issuer: "https://login.example.org",
    client_id: "gate",
    skew: Duration::from_secs(30),
};

fn claims(changes: &Value) -> Value {
    let mut claims = json!({
        "iss": "https://login.example.org", "sub": "4711", "aud": "gate", "iat": NOW - 5, "exp": NOW + 115,
        "jti": "j", "sid": "s", "events": { (EVENT): {} },
    });
    for (name, value) in changes.as_object().unwrap() {
        match value {
            Value::Null => drop(claims.as_object_mut().unwrap().remove(name)),
            value => claims[name] = value.clone(),
        }
    }
    claims
}

fn now() -> Timestamp {
    Timestamp::from_unix(NOW)
}

fn signed(typ: &str, claims: &Value) -> (String, KeySet) {
    let key = SigningKey::generate(Algorithm::ES256).unwrap();
    (jws::sign(&key, typ, claims).unwrap(), KeySet::from_iter([key.verifying_key().clone()]))
}

fn outcome(changes: &Value) -> Result<SignedOutThere, Rejection> {
    let (token, keys) = signed("logout+jwt", &claims(changes));
    VERIFIER.verify(&token, &keys, now())
}

#[test]
fn a_logout_token_says_of_what_somebody_signed_out_there() {
    let whole = outcome(&json!({})).unwrap();
    assert_eq!((whole.jti.as_str(), whole.issued_at.as_unix()), ("j", NOW - 5));
    let said =
        |out: &SignedOutThere| (out.of.sid().map(ToString::to_string), out.of.sub().map(ToString::to_string));
    let (s, person) = (Some("s".to_owned()), Some("4711".to_owned()));
    assert_eq!(said(&whole), (s.clone(), person.clone()));
    assert_eq!(said(&outcome(&json!({"sub": null})).unwrap()), (s, None));
    assert_eq!(said(&outcome(&json!({"sid": null})).unwrap()), (None, person));
    // Section 2.4: its type is recommended, and what the event says beyond its name is its own.
    for typ in ["JWT", "application/logout+jwt", "LOGOUT+JWT"] {
        let (token, keys) = signed(typ, &claims(&json!({"events": { (EVENT): {"x": 1}, "other": 1 }})));
        assert!(VERIFIER.verify(&token, &keys, now()).is_ok(), "{typ}");
    }
}

#[test]
fn o33_a_logout_token_that_is_not_whole_signs_nobody_out() {
    for (changes, cause) in [
        (json!({"iss": "https://login.example.org/"}), Rejection::Issuer),
        (json!({"iss": null}), Rejection::MissingClaim("iss")),
        (json!({"aud": "other"}), Rejection::Audience),
        (json!({"aud": ["gate", "other"]}), Rejection::Audience),
        (json!({"aud": null}), Rejection::MissingClaim("aud")),
        (json!({"iat": null}), Rejection::MissingClaim("iat")),
        (json!({"iat": NOW + 31}), Rejection::NotYet),
        (json!({"iat": "now"}), Rejection::ClaimType("iat")),
        (json!({"exp": null}), Rejection::MissingClaim("exp")),
        (json!({"exp": NOW}), Rejection::Expired),
        (json!({"iat": NOW - 3600, "exp": NOW + 86_400}), Rejection::Expired),
        (json!({"jti": null}), Rejection::MissingClaim("jti")),
        (json!({"jti": ""}), Rejection::ClaimType("jti")),
        (json!({"jti": "x".repeat(256)}), Rejection::ClaimCharacters("jti")),
        (json!({"nonce": "n"}), Rejection::Nonce),
        (json!({"sub": null, "sid": null}), Rejection::MissingClaim("sub")),
        (json!({"sub": 4711}), Rejection::ClaimType("sub")),
        (json!({"sid": "x".repeat(256)}), Rejection::ClaimCharacters("sid")),
        (json!({"events": null}), Rejection::MissingClaim("events")),
        (json!({"events": [EVENT]}), Rejection::ClaimType("events")),
        (json!({"events": {}}), Rejection::MissingClaim("events")),
        (json!({"events": {"https://example.org/other": {}}}), Rejection::MissingClaim("events")),
        (json!({"events": { (EVENT): true }}), Rejection::ClaimType("events")),
    ] {
        assert_eq!(outcome(&changes), Err(cause), "{changes}");
    }
    // `null` is there all the same, and so is a second one.
    let text = claims(&json!({})).to_string();
    for (more, accepted) in [(r#","nonce":null}"#, false), (r#","events":{}}"#, false), ("}", true)] {
        let text = format!("{}{more}", text.strip_suffix('}').unwrap());
        let object = Object::parse(text.as_bytes(), MAX_JSON_DEPTH);
        assert_eq!(object.is_ok_and(|object| VERIFIER.accept(&object, now()).is_ok()), accepted, "{more}");
    }
}

#[test]
fn o33_nobody_signs_out_others_without_the_providers_key() {
    let good = claims(&json!({}));
    let (token, keys) = signed("logout+jwt", &good);
    assert!(VERIFIER.verify(&token, &keys, now()).is_ok());
    let (of_another, _) = signed("logout+jwt", &good);
    assert_eq!(VERIFIER.verify(&of_another, &keys, now()), Err(Rejection::UnknownKid));
    let kid = Claimed::read(&token).unwrap().kid.unwrap();
    for alg in ["none", "None", "HS256"] {
        let header = json!({"alg": alg, "typ": "logout+jwt", "kid": kid});
        let part = |value: &Value| base64url::encode(value.to_string().as_bytes());
        let unsigned = format!("{}.{}.", part(&header), part(&good));
        assert_eq!(VERIFIER.verify(&unsigned, &keys, now()), Err(Rejection::AlgorithmNotAllowed), "{alg}");
    }
    let (signing_input, _) = token.rsplit_once('.').unwrap();
    assert!(VERIFIER.verify(&format!("{signing_input}."), &keys, now()).is_err());
}

#[test]
fn j19_an_id_token_signs_nobody_out_and_a_logout_token_signs_nobody_in() {
    let sign_in = ProviderTokenVerifier {
        issuer: VERIFIER.issuer,
        client_id: VERIFIER.client_id,
        nonce: "n",
        groups: None,
        name: None,
        skew: VERIFIER.skew,
    };
    let (id_token, keys) = signed("JWT", &claims(&json!({"nonce": "n", "events": null, "jti": null})));
    assert!(sign_in.verify(&id_token, &keys, now()).is_ok());
    assert_eq!(VERIFIER.verify(&id_token, &keys, now()), Err(Rejection::Nonce));
    let (id_token, keys) = signed("JWT", &claims(&json!({"events": null})));
    assert_eq!(VERIFIER.verify(&id_token, &keys, now()), Err(Rejection::MissingClaim("events")));
    for typ in ["at+jwt", "dpop+jwt", "secevent+jwt"] {
        let (token, keys) = signed(typ, &claims(&json!({})));
        assert_eq!(VERIFIER.verify(&token, &keys, now()), Err(Rejection::Type), "{typ}");
    }
    let (token, keys) = signed("logout+jwt", &claims(&json!({})));
    assert_eq!(sign_in.verify(&token, &keys, now()), Err(Rejection::Type));
    let (token, keys) = signed("JWT", &claims(&json!({})));
    assert_eq!(sign_in.verify(&token, &keys, now()), Err(Rejection::MissingClaim("nonce")));
}

proptest! {
    #[test]
    fn what_is_accepted_is_of_now_and_names_whom_it_is_about(
        iat in -7200_i64..7200, life in -60_i64..100_000, sid in proptest::option::of("[a-z]{0,3}"),
        sub in proptest::option::of("[a-z]{0,3}"), nonce in proptest::option::of("[a-z]{0,2}"),
    ) {
        let text = claims(&json!({
            "iat": NOW.saturating_add(iat), "exp": NOW.saturating_add(iat).saturating_add(life), "sid": sid, "sub": sub, "nonce": nonce,
        })).to_string();
        let accepted = VERIFIER.accept(&Object::parse(text.as_bytes(), MAX_JSON_DEPTH).unwrap(), now());
        let is_now = iat <= 30 && iat > -3600 && iat.saturating_add(life) > 0;
        let names = [&sid, &sub];
        let is_named = names.iter().any(|name| name.is_some())
            && names.iter().all(|name| name.as_ref().is_none_or(|name| !name.is_empty()));
        prop_assert_eq!(accepted.is_ok(), is_now && is_named && nonce.is_none());
        if let Ok(out) = accepted {
            prop_assert_eq!(out.of.sid().map(Identifier::as_str), sid.as_deref());
            prop_assert_eq!(out.of.sub().map(Identifier::as_str), sub.as_deref());
        }
    }
}
