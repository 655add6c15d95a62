use serde_json::json;

use super::super::jws;
use super::super::{Algorithm, ExpectedAudience, SigningKey};
use super::*;

const NOW: i64 = 1_760_000_000;

/// An identity provider as it is configured, with the claims of a token as its own documentation shows them.
struct Provider {
    name: &'static str,
    typ: &'static str,
    verifier: ForeignTokenVerifier,
    claims: Value,
}

fn verifier(
    issuer: &str,
    audience: &str,
    token_type: TokenType,
    paths: &[(Mapped, &str)],
) -> ForeignTokenVerifier {
    let audience = ExpectedAudience::OneOf(vec![audience.to_owned()]);
    let verifier = AccessTokenVerifier {
        token_type,
        skew: Duration::from_secs(30),
        ..AccessTokenVerifier::new(issuer, audience)
    };
    let claims = paths.iter().map(|(mapped, path)| (*mapped, path.parse().unwrap())).collect();
    ForeignTokenVerifier { verifier, claims, roles: Names::Same, scopes: Names::Same }
}

fn keycloak() -> Provider {
    let issuer = "https://login.example.org/realms/clinic";
    let paths = [(Mapped::Roles, "realm_access.roles"), (Mapped::ClientId, "azp")];
    Provider {
        name: "Keycloak",
        typ: "JWT",
        verifier: verifier(issuer, "fhir", TokenType::PlainJwt, &paths),
        claims: json!({
            "exp": NOW + 300, "iat": NOW, "auth_time": NOW - 10, "jti": "onrtac:2a6b-4f0e", "iss": issuer,
            "aud": ["fhir", "account"], "sub": "f:8a1e9b0c:dana", "typ": "Bearer", "azp": "portal",
            "sid": "6bd3a9b6-3f7d-4f1e-8f43-0d6a1b2c3d4e", "acr": "1", "allowed-origins": ["https://portal.example.org"],
            "realm_access": { "roles": ["physician", "offline_access"] },
            "resource_access": { "account": { "roles": ["manage-account"] } },
            "scope": "openid profile user/*.rs", "preferred_username": "dana",
        }),
    }
}

fn entra() -> Provider {
    let issuer = "https://login.microsoftonline.com/9122040d-6c67-4c5b-b112-36a304b66dad/v2.0";
    let paths =
        [(Mapped::Scope, "scp"), (Mapped::ClientId, "azp"), (Mapped::Jti, "uti"), (Mapped::Sub, "oid")];
    let mut verifier = verifier(issuer, "6e74172b-be56-4843-9ff4-e66a39bb12e3", TokenType::PlainJwt, &paths);
    let called = |pairs: &[(&str, &str)]| {
        Names::Called(pairs.iter().map(|(theirs, ours)| ((*theirs).to_owned(), (*ours).to_owned())).collect())
    };
    verifier.roles = called(&[("Fhir.Physician", "physician")]);
    verifier.scopes = called(&[("fhir.read", "user/*.rs")]);
    Provider {
        name: "Entra",
        typ: "JWT",
        verifier,
        claims: json!({
            "aud": "6e74172b-be56-4843-9ff4-e66a39bb12e3", "iss": issuer, "iat": NOW, "nbf": NOW, "exp": NOW + 4000,
            "aio": "AXQAi/8IAAAA", "azp": "7f2b1e0c-0f4c-4a8b-bb43-6a2f0d0a9c11", "azpacr": "1", "name": "Dana",
            "oid": "690222be-ff1a-4d56-abd1-7e4f7d38e474", "preferred_username": "dana@clinic.example",
            "rh": "I", "roles": ["Fhir.Physician", "Other.Role"], "scp": "fhir.read profile",
            "sub": "HKZpfaHyWadeOouYlitjrI-KffTm222X5rrV3xDqfKQ", "tid": "9122040d-6c67-4c5b-b112-36a304b66dad",
            "uti": "fqiBqXLPj0eQa82S-IYFAA", "ver": "2.0",
        }),
    }
}

fn okta() -> Provider {
    let issuer = "https://clinic.okta.com/oauth2/default";
    let paths = [(Mapped::Scope, "scp"), (Mapped::ClientId, "cid"), (Mapped::Roles, "groups")];
    Provider {
        name: "Okta",
        typ: "JWT",
        verifier: verifier(issuer, "https://fhir.example.org", TokenType::PlainJwt, &paths),
        claims: json!({
            "ver": 1, "jti": "AT.0mP4JKAZX1iACIT4vbEDF7LpvDVjxypPMf0D7uX39RE", "iss": issuer,
            "aud": "https://fhir.example.org", "iat": NOW, "exp": NOW + 3600, "cid": "0oabucvyc38HLL1ef0h7",
            "uid": "00ujmkLgagxeRrAg20g3", "scp": ["openid", "user/*.rs"], "sub": "dana@clinic.example",
            "groups": ["physician"], "auth_time": NOW - 5,
        }),
    }
}

fn auth0() -> Provider {
    let issuer = "https://clinic.eu.auth0.com/";
    let paths = [(Mapped::ClientId, "azp"), (Mapped::Roles, "/https:~1~1clinic.example~1roles")];
    Provider {
        name: "Auth0",
        typ: "JWT",
        verifier: verifier(issuer, "https://fhir.example.org", TokenType::PlainJwt, &paths),
        claims: json!({
            "iss": issuer, "sub": "auth0|6543210abcdef", "aud": ["https://fhir.example.org", format!("{issuer}userinfo")],
            "iat": NOW, "exp": NOW + 86400, "azp": "my0client0id", "scope": "openid user/*.rs",
            "https://clinic.example/roles": ["physician"],
        }),
    }
}

fn providers() -> [Provider; 4] {
    [keycloak(), entra(), okta(), auth0()]
}

impl Provider {
    fn outcome(&self, changes: &Value) -> Result<AccessTokenClaims, Rejection> {
        let key = SigningKey::generate(Algorithm::ES256).unwrap();
        let mut claims = self.claims.clone();
        for (name, value) in changes.as_object().unwrap() {
            match value {
                Value::Null => drop(claims.as_object_mut().unwrap().remove(name)),
                value => claims[name] = value.clone(),
            }
        }
        let token = jws::sign(&key, self.typ, &claims).unwrap();
        let keys = KeySet::from_iter([key.verifying_key().clone()]);
        let now = Timestamp::from_unix(NOW + 1);
        let outcome = self.verifier.verify_signed(&token, &keys, Presentation::BEARER, now);
        outcome.map(|(claims, kid)| {
            assert_eq!(kid, key.kid());
            claims
        })
    }
}

#[test]
fn a_name_that_keys_of_two_types_share_is_nobodys_here() {
    let key = SigningKey::generate(Algorithm::ES256).unwrap();
    let mut twin = SigningKey::generate(Algorithm::EdDSA).unwrap().public_jwk().clone();
    twin.kid = key.public_jwk().kid.clone();
    let keys = KeySet::from_iter([key.verifying_key().clone(), twin.try_into().unwrap()]);
    let Provider { typ, verifier, claims, .. } = okta();
    let token = jws::sign(&key, typ, &claims).unwrap();
    let outcome = verifier.verify_signed(&token, &keys, Presentation::BEARER, Timestamp::from_unix(NOW + 1));
    assert_eq!(outcome.map(|(claims, _)| claims), Err(Rejection::AmbiguousKid));
}

#[test]
fn tokens_shaped_like_each_providers_read_like_ours() {
    for provider in providers() {
        let claims = provider.outcome(&json!({})).unwrap_or_else(|e| panic!("{}: {e}", provider.name));
        let roles: Vec<_> = claims.roles.iter().map(|role| role.as_str()).collect();
        assert!(roles.contains(&"physician"), "{}: {roles:?}", provider.name);
        assert!(claims.scope.contains("user/*.rs"), "{}: {}", provider.name, claims.scope);
        assert!(!claims.client_id.as_str().is_empty() && !claims.jti.as_str().is_empty());
    }
    let entra = entra().outcome(&json!({})).unwrap();
    assert_eq!(entra.sub.as_str(), "690222be-ff1a-4d56-abd1-7e4f7d38e474");
    assert_eq!(
        (entra.roles.len(), entra.scope.to_string().as_str()),
        (1, "user/*.rs"),
        "what has no name here"
    );
    let digest = auth0().outcome(&json!({})).unwrap().jti;
    assert_eq!(digest.as_str().len(), 43, "a token without a name is called by its digest");
}

#[test]
fn j19_a_providers_other_tokens_are_no_access_tokens() {
    for provider in [keycloak(), entra(), auth0()] {
        for changes in [json!({"nonce": "n"}), json!({"at_hash": "h"})] {
            assert_eq!(provider.outcome(&changes), Err(Rejection::IdToken), "{} {changes}", provider.name);
        }
    }
    assert_eq!(
        keycloak().outcome(&json!({"aud": ["fhir", "portal"]})),
        Err(Rejection::IdToken),
        "its own client"
    );
    for typ in ["ID", "Refresh", "Offline", "Logout"] {
        assert_eq!(keycloak().outcome(&json!({"typ": typ})), Err(Rejection::Type), "{typ}");
    }
    assert_eq!(
        Provider { typ: "at+jwt", ..okta() }.outcome(&json!({})),
        Err(Rejection::Type),
        "`typ` is what the operator says that it is"
    );
}

#[test]
fn what_is_mapped_is_read_from_its_place_alone() {
    // A user who can set a claim of the usual name gains nothing by it.
    let claims = keycloak().outcome(&json!({"roles": ["administrator"], "realm_access": {}})).unwrap();
    assert!(claims.roles.is_empty());
    let claims = keycloak().outcome(&json!({"client_id": "other"})).unwrap();
    assert_eq!(claims.client_id.as_str(), "portal");
    assert_eq!(
        keycloak().outcome(&json!({"azp": null, "client_id": "other"})),
        Err(Rejection::MissingClaim("client_id"))
    );
    assert_eq!(keycloak().outcome(&json!({"grant_id": "g"})).unwrap().grant_id, None);
    // What it says by them is its own affair.
    for status in [json!("active"), json!({ "status_list": { "idx": 1, "uri": "https://idp.test/list" } })] {
        let claims = json!({ "status": status, "authorization_details": "none" });
        let claims = keycloak().outcome(&claims).unwrap();
        assert!(claims.status.is_none() && claims.authorization_details.is_empty());
    }
}

#[test]
fn j16_claims_of_another_kind_and_times_that_do_not_fit_are_refused() {
    for (changes, cause) in [
        (json!({"realm_access": {"roles": 7}}), Rejection::ClaimType("roles")),
        (json!({"realm_access": {"roles": ["a", 7]}}), Rejection::ClaimType("roles")),
        (json!({"scope": {"a": 1}}), Rejection::ClaimType("scope")),
        (json!({"sub": 7}), Rejection::ClaimType("sub")),
        (json!({"exp": NOW + 1}), Rejection::Expired),
        (json!({"exp": NOW + 86_401}), Rejection::LivesTooLong),
        (json!({"iat": null}), Rejection::MissingClaim("iat")),
        (json!({"iat": NOW + 32}), Rejection::NotYet),
        (json!({"nbf": NOW + 32}), Rejection::NotYet),
        (json!({"iss": "https://login.example.org/realms/clinic/"}), Rejection::Issuer),
        (json!({"aud": "fhir2"}), Rejection::Audience),
        (json!({"cnf": {"jkt": "x"}}), Rejection::Confirmation),
    ] {
        assert_eq!(keycloak().outcome(&changes), Err(cause), "{changes}");
    }
    assert!(
        keycloak().outcome(&json!({"iat": NOW + 31, "nbf": NOW + 31})).is_ok(),
        "other clocks may be ahead"
    );
}

#[test]
fn ways_to_claims_are_names_or_pointers() {
    let claims = json!({"a": {"b.c": {"d/e~": 1}}, "x": {"y": 2}});
    let find = |text: &str| {
        let path: ClaimPath = text.parse().unwrap();
        path.find(claims.as_object().unwrap()).cloned()
    };
    assert_eq!(find("x.y"), Some(json!(2)));
    assert_eq!(find("/x/y"), Some(json!(2)));
    assert_eq!(find("/a/b.c/d~1e~0"), Some(json!(1)));
    assert_eq!(find("a.b.c"), None);
    for bad in ["", ".", "a.", "/", "/a~2", "/a~", "a..b"] {
        assert_eq!(bad.parse::<ClaimPath>(), Err(NotAClaimPath), "{bad}");
    }
}

proptest::proptest! {
    #[test]
    fn any_claims_are_accepted_or_refused_and_never_more_than_they_say(
        roles in proptest::collection::vec("[a-z]{1,8}", 0..4),
        extra in "[a-zA-Z_]{1,12}",
        value in "[ -~]{0,20}",
    ) {
        let mut changes = json!({"realm_access": {"roles": roles}});
        changes[extra.as_str()] = json!(value);
        if let Ok(claims) = keycloak().outcome(&changes) {
            let read: Vec<_> = claims.roles.iter().map(|role| role.as_str().to_owned()).collect();
            proptest::prop_assert_eq!(read, roles);
        }
    }
}

#[test]
fn every_provider_is_refused_by_the_verifier_of_every_other() {
    for (number, provider) in providers().into_iter().enumerate() {
        for (other, claimed) in providers().into_iter().enumerate().filter(|(other, _)| *other != number) {
            let mixed = Provider { verifier: provider.verifier.clone(), ..claimed };
            assert_eq!(mixed.outcome(&json!({})), Err(Rejection::Issuer), "{number} {other}");
        }
    }
}
