//! The attacks on verifiers, by their names in the threat model.

use aws_lc_rs::hmac;
use chartgate_protocol::base64url;
use chartgate_protocol::jose::{
    Algorithm, ClientAssertionVerifier, ExpectedAudience, ExpiryRule, IdTokenVerifier, KeySet, Rejection,
    SigningKey, SkippedBecause, TokenType, UnusableKey, VerifyingKey, jws,
};
use chartgate_values::Timestamp;
use serde_json::{Value, json};

use crate::forge::{Forge, NOW, claims};

fn now() -> Timestamp {
    Timestamp::from_unix(NOW)
}

#[test]
fn a_good_token_is_accepted() {
    let forge = Forge::new();
    let accepted = forge.verify(&forge.with_claims(&json!({}))).unwrap();
    assert_eq!(accepted.sub.as_str(), "user-1");
    assert_eq!(accepted.exp.timestamp(), Timestamp::from_unix(NOW + 300));
}

#[test]
fn j01_a_token_without_a_signature_is_refused_before_its_claims_are_read() {
    let forge = Forge::new();
    for alg in ["none", "None", "NONE", "nOnE"] {
        let signed = forge.with_header(&json!({ "alg": alg }));
        forge.refuses(&signed, Rejection::AlgorithmNotAllowed);
        let (input, _) = signed.rsplit_once('.').unwrap();
        forge.refuses(&format!("{input}."), Rejection::AlgorithmNotAllowed);
    }
    let good = forge.with_claims(&json!({}));
    let (input, _) = good.rsplit_once('.').unwrap();
    forge.refuses(&format!("{input}."), Rejection::BadSignature);
    let unreadable = forge.sign_text(r#"{"alg":"none","kid":"x"}"#, "not even JSON");
    forge.refuses(&unreadable, Rejection::AlgorithmNotAllowed);
}

#[test]
fn j02_a_public_key_is_never_a_shared_secret() {
    let forge = Forge::new();
    let jwk = serde_json::to_vec(forge.key.public_jwk()).unwrap();
    let x = base64url::decode(serde_json::to_value(forge.key.public_jwk()).unwrap()["x"].as_str().unwrap());
    for secret in [jwk, x.unwrap(), forge.key.kid().as_bytes().to_vec()] {
        for alg in ["HS256", "EdDSA"] {
            let header = json!({"alg": alg, "typ": "at+jwt", "kid": forge.key.kid()}).to_string();
            let input = format!(
                "{}.{}",
                base64url::encode(header.as_bytes()),
                base64url::encode(claims().to_string().as_bytes())
            );
            let tag = hmac::sign(&hmac::Key::new(hmac::HMAC_SHA256, &secret), input.as_bytes());
            let cause = if alg == "HS256" { Rejection::AlgorithmNotAllowed } else { Rejection::BadSignature };
            forge.refuses(&format!("{input}.{}", base64url::encode(tag.as_ref())), cause);
        }
    }
}

#[test]
fn j03_an_algorithm_that_is_not_allowed_is_refused_however_good_the_signature() {
    let mut forge = Forge::new();
    let token = forge.with_claims(&json!({}));
    forge.verifier.algorithms = vec![Algorithm::RS256, Algorithm::ES256];
    forge.refuses(&token, Rejection::AlgorithmNotAllowed);
    forge.verifier.algorithms.clear();
    forge.refuses(&token, Rejection::AlgorithmNotAllowed);
    for name in ["eddsa", "EdDSA ", "Ed25519", "ES256K", "RS512", "HS256", ""] {
        forge.verifier.algorithms = Algorithm::ALL.to_vec();
        forge.refuses(&forge.with_header(&json!({ "alg": name })), Rejection::AlgorithmNotAllowed);
    }
}

#[test]
fn j03_the_algorithm_has_to_be_the_one_that_the_key_is_for() {
    let forge = Forge::new();
    for name in ["ES256", "RS256", "PS384"] {
        forge.refuses(&forge.with_header(&json!({ "alg": name })), Rejection::KeyMismatch);
    }
}

#[test]
fn j04_claims_in_the_header_say_nothing_and_headers_cannot_be_exchanged() {
    let forge = Forge::new();
    let with = |header: Value, claim: &str| {
        let mut change = forge.header();
        change.as_object_mut().unwrap().extend(header.as_object().unwrap().clone());
        let mut payload = claims();
        payload.as_object_mut().unwrap().remove(claim);
        forge.sign_text(change.to_string(), payload.to_string())
    };
    forge.refuses(&with(json!({"exp": NOW + 300}), "exp"), Rejection::MissingClaim("exp"));
    forge.refuses(&with(json!({"aud": "https://fhir.test"}), "aud"), Rejection::MissingClaim("aud"));
    let id_token = forge.with_header(&json!({"typ": "JWT"}));
    let access_token = forge.with_header(&json!({}));
    let (_, rest) = id_token.split_once('.').unwrap();
    let (header, _) = access_token.split_once('.').unwrap();
    forge.refuses(&format!("{header}.{rest}"), Rejection::BadSignature);
}

#[test]
fn j05_a_kid_is_looked_up_as_it_is() {
    let forge = Forge::new();
    let own = forge.key.kid();
    for kid in [
        "../../dev/null".to_owned(),
        "' OR '1'='1".to_owned(),
        format!("{own}\0"),
        format!(" {own}"),
        own.to_uppercase(),
        String::new(),
        "x".repeat(10_000),
    ] {
        forge.refuses(&forge.with_header(&json!({ "kid": kid })), Rejection::UnknownKid);
    }
    forge.refuses(&forge.with_header(&json!({ "kid": null })), Rejection::MissingKid);
    for kid in [json!(7), json!([own]), json!({own: 1})] {
        forge.refuses(&forge.with_header(&json!({ "kid": kid })), Rejection::MalformedHeader);
    }
    let nulled = format!(r#"{{"alg":"EdDSA","typ":"at+jwt","kid":null,"x":"{own}"}}"#);
    forge.refuses(&forge.sign_text(nulled, claims().to_string()), Rejection::MalformedHeader);
}

#[test]
fn j06_an_unknown_kid_is_told_apart_so_that_its_caller_can_limit_fetching() {
    let forge = Forge::new();
    let stranger = Forge::new();
    forge.refuses(&stranger.with_claims(&json!({})), Rejection::UnknownKid);
    let unsigned = forge.with_header(&json!({"kid": "nobody", "typ": "anything"}));
    forge.refuses(&unsigned, Rejection::UnknownKid);
}

#[test]
fn j07_a_kid_that_names_two_usable_keys_names_none() {
    let mut forge = Forge::new();
    let token = forge.with_claims(&json!({}));
    let twin = twin_of(&forge.key, forge.key.algorithm());
    forge.keys = KeySet::from_iter([forge.key.verifying_key().clone(), twin.clone()]);
    forge.refuses(&token, Rejection::AmbiguousKid);
    forge.keys = KeySet::from_iter([forge.key.verifying_key().clone(), twin.clone(), twin]);
    forge.refuses(&token, Rejection::AmbiguousKid);
    assert!(forge.keys.skipped().iter().all(|key| key.why == SkippedBecause::Ambiguous));
}

/// Another key under the same name.
fn twin_of(key: &SigningKey, algorithm: Algorithm) -> VerifyingKey {
    let mut twin = SigningKey::generate(algorithm).unwrap().public_jwk().clone();
    twin.kid = key.public_jwk().kid.clone();
    VerifyingKey::try_from(twin).unwrap()
}

#[test]
fn j07_keys_of_different_types_share_a_name_and_the_algorithm_says_which_is_meant() {
    let mut forge = Forge::new();
    let own = forge.key.verifying_key().clone();
    let [ec, rsa] = [Algorithm::ES256, Algorithm::RS256].map(|algorithm| twin_of(&forge.key, algorithm));
    for keys in [vec![own.clone(), ec.clone(), rsa.clone()], vec![rsa.clone(), ec.clone(), own.clone()]] {
        forge.keys = KeySet::from_iter(keys);
        assert_eq!((forge.keys.keys().count(), forge.keys.skipped().len()), (3, 0));
        forge.verify(&forge.with_claims(&json!({}))).unwrap();
        forge.refuses(&forge.with_header(&json!({"alg": "RS256"})), Rejection::BadSignature);
    }
    forge.keys = KeySet::from_iter([ec.clone(), rsa]);
    forge.refuses(&forge.with_claims(&json!({})), Rejection::KeyMismatch);
    // Two of one type are none, whatever else has the name.
    forge.keys = KeySet::from_iter([own, ec, twin_of(&forge.key, Algorithm::ES384)]);
    forge.refuses(&forge.with_claims(&json!({})), Rejection::AmbiguousKid);
}

#[test]
fn j07_a_key_for_another_purpose_verifies_nothing() {
    let mut forge = Forge::new();
    let token = forge.with_claims(&json!({}));
    let good = serde_json::to_value(forge.key.public_jwk()).unwrap();
    for (change, why) in [
        (json!({"use": "enc"}), UnusableKey::Use),
        (json!({"use": "SIG"}), UnusableKey::Use),
        (json!({"key_ops": ["sign"]}), UnusableKey::Operations),
        (json!({"key_ops": []}), UnusableKey::Operations),
        (json!({"alg": "ES256"}), UnusableKey::Algorithm),
        (json!({"alg": "HS256"}), UnusableKey::Algorithm),
    ] {
        let mut key = good.clone();
        key.as_object_mut().unwrap().extend(change.as_object().unwrap().clone());
        forge.keys =
            KeySet::parse(json!({"keys": [key, {"kty": "oct", "k": "AA"}]}).to_string().as_bytes()).unwrap();
        assert_eq!(forge.keys.skipped()[0].why, SkippedBecause::Unusable(why), "{change}");
        forge.refuses(&token, Rejection::KeyMismatch);
    }
    let named_twice = json!({"keys": [{"kty": "oct", "k": "AA", "kid": good["kid"]}, good]});
    forge.keys = KeySet::parse(named_twice.to_string().as_bytes()).unwrap();
    assert!(forge.verify(&token).is_ok(), "a key that cannot be used makes none ambiguous");
}

#[test]
fn j08_j09_keys_and_addresses_in_the_header_are_ignored() {
    let forge = Forge::new();
    let attacker = Forge::new();
    let jwk = serde_json::to_value(attacker.key.public_jwk()).unwrap();
    for (name, value) in [
        ("jwk", jwk.clone()),
        ("jku", json!("http://169.254.169.254/latest/meta-data")),
        ("jku", json!("http://[64:ff9b::a9fe:a9fe]/")),
        ("x5u", json!("file:///etc/passwd")),
        ("x5c", json!(["AAAA"])),
    ] {
        let change = json!({name: value, "kid": forge.key.kid()});
        forge.refuses(&attacker.with_header(&change), Rejection::BadSignature);
        assert!(forge.verify(&forge.with_header(&change)).is_ok(), "{name}");
    }
    forge.refuses(&attacker.with_header(&json!({"jwk": jwk, "kid": null})), Rejection::MissingKid);
}

#[test]
fn j10_no_extension_is_critical_and_nothing_is_signed_unencoded() {
    let forge = Forge::new();
    for header in [
        json!({"crit": ["exp"], "exp": NOW}),
        json!({"crit": []}),
        json!({"crit": "b64"}),
        json!({"b64": false, "crit": ["b64"]}),
        json!({"b64": false}),
        json!({"b64": "true"}),
    ] {
        forge.refuses(&forge.with_header(&header), Rejection::Critical);
    }
    let nulled = format!(r#"{{"alg":"EdDSA","typ":"at+jwt","kid":"{}","crit":null}}"#, forge.key.kid());
    forge.refuses(&forge.sign_text(nulled, claims().to_string()), Rejection::Critical);
    forge.refuses(&forge.with_header(&json!({"zip": "DEF"})), Rejection::Compressed);
    assert!(forge.verify(&forge.with_header(&json!({"b64": true}))).is_ok());
}

#[test]
fn j13_what_is_no_token_is_refused_for_its_size_or_shape() {
    let forge = Forge::new();
    forge.refuses(&"a".repeat(1 << 20), Rejection::TooLarge);
    forge.refuses(&".".repeat(1 << 20), Rejection::TooLarge);
    for token in
        [".".repeat(10_000), ".".repeat(4), "..".to_owned(), ".".to_owned(), String::new(), "a.b".to_owned()]
    {
        forge.refuses(&token, Rejection::Malformed);
    }
    forge.refuses("eyJhbGciOiJSU0EtT0FFUCJ9.a.b.c.d", Rejection::Malformed);
    forge.refuses("a.a.a", Rejection::Encoding);
    let members: Vec<_> = (0..62).map(|i| format!("x{i}")).collect();
    let wide = |count: usize| {
        let mut header = forge.header();
        header.as_object_mut().unwrap().extend(members[..count].iter().map(|name| (name.clone(), json!(0))));
        forge.sign_text(header.to_string(), claims().to_string())
    };
    assert!(forge.verify(&wide(61)).is_ok(), "64 members");
    forge.refuses(&wide(62), Rejection::TooManyHeaderMembers);
    let deep = |levels: usize| {
        forge.sign_text(
            forge.header().to_string(),
            claims().to_string().replacen(
                '{',
                &format!(r#"{{"x":{}{},"#, "[".repeat(levels), "]".repeat(levels)),
                1,
            ),
        )
    };
    assert!(forge.verify(&deep(31)).is_ok(), "32 levels");
    forge.refuses(&deep(32), Rejection::TooDeep);
    forge.refuses(&deep(3000), Rejection::TooDeep);
    let longest = |length: usize| forge.with_claims(&json!({"x": "y".repeat(length)}));
    let pad = (0..16_384).rfind(|length| longest(*length).len() <= jws::MAX_TOKEN_BYTES).unwrap();
    assert!(forge.verify(&longest(pad)).is_ok());
    forge.refuses(&longest(pad + 1), Rejection::TooLarge);
}

#[test]
fn j16_times_are_numbers_and_fractions_count() {
    let forge = Forge::new();
    let token = |name: &str, value: Value| forge.with_claims(&json!({ name: value }));
    for name in ["exp", "nbf", "iat"] {
        for value in [json!("1900000300"), json!(true), json!([NOW]), json!({}), json!("")] {
            forge.refuses(&token(name, value), Rejection::ClaimType(name));
        }
        let nulled = claims().to_string().replacen('{', &format!(r#"{{"{name}":null,"#), 1);
        let cause = if name == "nbf" { Rejection::ClaimType("nbf") } else { Rejection::DuplicateName };
        forge.refuses(&forge.sign_text(forge.header().to_string(), nulled), cause);
        for value in [json!(1e300), json!(253_402_300_800_i64), json!(-62_167_219_201_i64), json!(u64::MAX)] {
            forge.refuses(&token(name, value), Rejection::ClaimRange(name));
        }
    }
    forge.refuses(&token("exp", Value::Null), Rejection::MissingClaim("exp"));
    forge.refuses(&token("iat", Value::Null), Rejection::MissingClaim("iat"));
    forge
        .refuses(&forge.with_claims(&json!({"exp": null, "Exp": NOW + 300})), Rejection::MissingClaim("exp"));
    for late in [json!(NOW), json!(NOW - 1), json!(0), json!(-1), json!(NOW as f64 - 0.000_001)] {
        forge.refuses(&token("exp", late), Rejection::Expired);
    }
    for early in [json!(NOW + 1), json!(NOW as f64 + 0.000_001)] {
        forge.refuses(&token("nbf", early.clone()), Rejection::NotYet);
        forge.refuses(&token("iat", early), Rejection::NotYet);
    }
    for (name, value) in [
        ("exp", json!(NOW as f64 + 0.000_001)),
        ("exp", json!(253_402_300_799_i64)),
        ("nbf", json!(NOW)),
        ("nbf", json!(0)),
        ("iat", json!(NOW as f64 - 0.5)),
    ] {
        assert!(forge.verify(&token(name, value.clone())).is_ok(), "{name} {value}");
    }
}

#[test]
fn j17_the_audience_is_a_member_and_not_a_part_of_one() {
    let forge = Forge::new();
    for aud in [
        json!("https://fhir.test/"),
        json!("https://FHIR.test"),
        json!("https://fhir.test.evil.test"),
        json!("https://fhir.tes"),
        json!("https://fhir.test https://other.test"),
        json!("*"),
        json!(""),
        json!([]),
        json!(["https://other.test"]),
        json!([["https://fhir.test"]]),
        json!(["https://fhir.test", 7]),
        json!({"https://fhir.test": true}),
        json!(7),
    ] {
        forge.refuses(&forge.with_claims(&json!({ "aud": aud })), Rejection::Audience);
    }
    forge.refuses(&forge.with_claims(&json!({"aud": null})), Rejection::MissingClaim("aud"));
    let several = json!({"aud": ["https://other.test", "https://fhir.test"]});
    assert!(forge.verify(&forge.with_claims(&several)).is_ok());
}

#[test]
fn j17_a_client_assertion_is_for_one_place_written_as_one_string() {
    let forge = Forge::new();
    let places = ["https://idp.test".to_owned(), "https://idp.test/token".to_owned()];
    let verifier = ClientAssertionVerifier {
        client_id: "app-1",
        audiences: &places,
        algorithms: &[Algorithm::EdDSA],
        max_lifetime: std::time::Duration::from_secs(300),
        skew: std::time::Duration::ZERO,
    };
    let verify = |aud: Value| {
        let claims = json!({"iss": "app-1", "sub": "app-1", "aud": aud, "exp": NOW + 300, "jti": "j"});
        let token = jws::sign(&forge.key, "JWT", &claims).unwrap();
        verifier.verify(&token, &forge.keys, now()).map(|claims| claims.aud)
    };
    assert_eq!(verify(json!("https://idp.test/token")).as_deref(), Ok("https://idp.test/token"));
    for aud in [
        json!(["https://idp.test/token"]),
        json!(["https://idp.test", "https://other.test"]),
        json!("https://idp.test/token/"),
        json!("https://idp.test/introspect"),
        json!(7),
    ] {
        assert_eq!(verify(aud.clone()), Err(Rejection::Audience), "{aud}");
    }
}

#[test]
fn j18_the_issuer_is_compared_character_by_character() {
    let forge = Forge::new();
    for iss in [
        json!("https://idp.test/"),
        json!("https://IDP.test"),
        json!("http://idp.test"),
        json!("https://idp.test/tenant"),
        json!("https://idp.test\0"),
        json!("https://\u{456}dp.test"),
        json!(["https://idp.test"]),
        json!(7),
    ] {
        forge.refuses(&forge.with_claims(&json!({ "iss": iss })), Rejection::Issuer);
    }
    forge.refuses(&forge.with_claims(&json!({"iss": null})), Rejection::MissingClaim("iss"));
}

#[test]
fn j19_a_token_of_another_kind_is_no_access_token() {
    let forge = Forge::new();
    for typ in [
        json!("JWT"),
        json!("logout+jwt"),
        json!("secevent+jwt"),
        json!("dpop+jwt"),
        json!("oauth-authz-req+jwt"),
        json!("at+jwt;v=1"),
        json!("text/at+jwt"),
        json!("application/application/at+jwt"),
        json!(" at+jwt"),
        json!(""),
        json!(["at+jwt"]),
        json!(7),
        Value::Null,
    ] {
        forge.refuses(&forge.with_header(&json!({ "typ": typ })), Rejection::Type);
    }
    for cty in [json!("JWT"), json!("jwt"), json!("application/jwt"), json!(7)] {
        forge.refuses(&forge.with_header(&json!({ "cty": cty })), Rejection::ContentType);
    }
    for typ in ["AT+JWT", "application/at+jwt", "Application/At+Jwt"] {
        assert!(forge.verify(&forge.with_header(&json!({ "typ": typ }))).is_ok(), "{typ}");
    }
}

#[test]
fn j19_an_id_token_of_an_issuer_without_types_is_told_by_its_claims() {
    let mut forge = Forge::new();
    forge.verifier.token_type = TokenType::PlainJwt;
    forge.verifier.audience =
        ExpectedAudience::OneOf(vec!["https://fhir.test".to_owned(), "app-1".to_owned()]);
    let plain = |change: Value| {
        let mut payload = claims();
        payload.as_object_mut().unwrap().extend(change.as_object().unwrap().clone());
        jws::sign(&forge.key, "JWT", &payload).unwrap()
    };
    assert!(forge.verify(&plain(json!({}))).is_ok());
    forge.refuses(&plain(json!({"nonce": "n"})), Rejection::IdToken);
    forge.refuses(&plain(json!({"at_hash": "h"})), Rejection::IdToken);
    forge.refuses(&plain(json!({"aud": "app-1"})), Rejection::IdToken);
    forge.refuses(&plain(json!({"aud": ["https://fhir.test", "app-1"]})), Rejection::IdToken);
    forge.refuses(&forge.with_claims(&json!({})), Rejection::Type);
}

#[test]
fn j19_an_access_token_is_no_id_token_and_no_client_assertion() {
    let forge = Forge::new();
    let verifier = IdTokenVerifier {
        issuer: "https://idp.test".to_owned(),
        audience: ExpectedAudience::Any,
        algorithms: Algorithm::ALL.to_vec(),
        expiry: ExpiryRule::Ignored,
        skew: std::time::Duration::ZERO,
    };
    let verify = |token: &str| verifier.verify(token, &forge.keys, now()).map(|_| ());
    assert_eq!(verify(&forge.with_claims(&json!({}))), Err(Rejection::Type));
    assert_eq!(verify(&forge.with_header(&json!({"typ": "logout+jwt"}))), Err(Rejection::Type));
    assert_eq!(verify(&forge.with_header(&json!({"typ": "JWT"}))), Ok(()));
    assert_eq!(verify(&forge.with_header(&json!({"typ": null}))), Ok(()));
    let assertion = ClientAssertionVerifier {
        client_id: "app-1",
        audiences: &["https://fhir.test".to_owned()],
        algorithms: &Algorithm::ALL,
        max_lifetime: std::time::Duration::from_secs(300),
        skew: std::time::Duration::ZERO,
    };
    let outcome =
        assertion.verify(&forge.with_claims(&json!({"iss": "app-1", "sub": "app-1"})), &forge.keys, now());
    assert_eq!(outcome.unwrap_err(), Rejection::Type);
}

#[test]
fn j20_a_repeated_name_is_refused_and_names_are_not_folded() {
    let forge = Forge::new();
    let (header, payload) = (forge.header().to_string(), claims().to_string());
    for repeated in [r#"{"sub":"admin","#, r#"{"\u0073ub":"admin","#, r#"{"x":{"y":1,"y":2},"#] {
        let token = forge.sign_text(&header, payload.replacen('{', repeated, 1));
        forge.refuses(&token, Rejection::DuplicateName);
    }
    let token = forge.sign_text(header.replacen('{', r#"{"alg":"none","#, 1), &payload);
    forge.refuses(&token, Rejection::DuplicateName);
    let folded = payload.replacen('{', r#"{"Sub":"admin","SUB":"admin","#, 1);
    assert_eq!(forge.verify(&forge.sign_text(&header, folded)).unwrap().sub.as_str(), "user-1");
    for text in [
        b"{\"sub\":\"\xff\"}".as_slice(),
        b"\xef\xbb\xbf{}",
        br#"{"sub":"\ud800"}"#,
        b"{\"exp\":NaN}",
        b"[]",
        b"\"{}\"",
        b"",
        b"{} ,",
    ] {
        forge.refuses(&forge.sign_text(&header, text), Rejection::MalformedPayload);
        let cause = if text.is_empty() { Rejection::Malformed } else { Rejection::MalformedHeader };
        forge.refuses(&forge.sign_text(text, &payload), cause);
    }
}

#[test]
fn j21_nothing_may_be_cut_off_or_put_on() {
    let forge = Forge::new();
    let token = forge.with_claims(&json!({}));
    for at in 1..token.len() {
        let (front, back) = token.split_at(at);
        assert!(forge.verify(front).is_err(), "cut at {at}");
        assert!(forge.verify(back).is_err(), "cut up to {at}");
    }
    let (front, back) = token.split_at(token.len() / 2);
    for extra in ["=", ".", " ", "\n", "\0", "A", "\u{200b}", "\u{feff}", "\""] {
        assert!(forge.verify(&format!("{token}{extra}")).is_err(), "{extra:?} after");
        assert!(forge.verify(&format!("{extra}{token}")).is_err(), "{extra:?} before");
        assert!(forge.verify(&format!("{front}{extra}{back}")).is_err(), "{extra:?} inside");
    }
    assert!(forge.verify(&format!("Bearer {token}")).is_err());
}

#[test]
fn j22_what_a_client_supplies_stays_in_its_own_claim() {
    let forge = Forge::new();
    let detail = json!({"type": "t", "sub": "admin", "aud": "https://other.test", "exp": 1});
    let mut claims = forge.verify(&forge.with_claims(&json!({}))).unwrap();
    claims.authorization_details = vec![detail.as_object().unwrap().clone()];
    let token = jws::sign(&forge.key, "at+jwt", &claims).unwrap();
    assert_eq!(forge.verify(&token).unwrap(), claims);
    for hostile in ["", "a\0", "a\nb", "a\u{202e}b", "a\u{2066}b", "a\u{200f}b", "a\u{85}b"] {
        assert!(hostile.parse::<chartgate_protocol::jose::claims::Identifier>().is_err(), "{hostile:?}");
        let token = forge.with_claims(&json!({ "sub": hostile }));
        let cause =
            if hostile.is_empty() { Rejection::ClaimType("sub") } else { Rejection::ClaimCharacters("sub") };
        forge.refuses(&token, cause);
    }
}

#[test]
fn j23_a_signature_has_one_form_and_its_numbers_are_in_range() {
    let key = SigningKey::generate(Algorithm::ES256).unwrap();
    let mut forge = Forge::new();
    forge.keys = KeySet::from_iter([key.verifying_key().clone()]);
    let token = jws::sign(&key, "at+jwt", &claims()).unwrap();
    assert!(forge.verify(&token).is_ok());
    let (input, signature) = token.rsplit_once('.').unwrap();
    let raw = base64url::decode(signature).unwrap();
    assert_eq!(raw.len(), 64);
    let order = base64url::decode("_____wAAAAD__________7zm-q2nF56E87nKwvxjJVE").unwrap();
    let (r, s) = raw.split_at(32);
    let der = |n: &[u8]| [&[2, 33, 0], n].concat();
    for (name, forged) in [
        ("r = s = 0", vec![0; 64]),
        ("r = 0", [&[0; 32], s].concat()),
        ("s = 0", [r, &[0; 32]].concat()),
        ("r = n", [&order, s].concat()),
        ("s = n", [r, &order].concat()),
        ("swapped", [s, r].concat()),
        ("DER", [&[0x30, 70][..], &der(r), &der(s)].concat()),
        ("longer", [&raw[..], &[0]].concat()),
        ("shorter", raw[..63].to_vec()),
        ("empty", Vec::new()),
    ] {
        let token = format!("{input}.{}", base64url::encode(&forged));
        assert_eq!(forge.verify(&token).map(|_| ()), Err(Rejection::BadSignature), "{name}");
    }
}
