use chartgate_access::ids::Role;
use serde_json::json;

use super::*;

fn policy() -> Policy {
    Policy {
        scope: "openid patient/*.rs".parse().unwrap(),
        redirect_hosts: BTreeSet::from([RedirectHost::Loopback, "app.example.org".parse().unwrap()]),
        grant_types: BTreeSet::from([GrantType::AuthorizationCode, GrantType::RefreshToken]),
        auth_methods: BTreeSet::from([AuthMethod::None, AuthMethod::PrivateKeyJwt]),
        audience: None,
        profile: Profile::Mcp,
    }
}

fn judged(changes: &serde_json::Value) -> Result<Client, Unregistrable> {
    let mut body = json!({ "redirect_uris": ["https://app.example.org/cb"] });
    body.as_object_mut().unwrap().extend(changes.as_object().unwrap().clone());
    let said = ClientMetadata::registration(body.to_string().as_bytes()).unwrap();
    policy().judge("dyn-1".parse().unwrap(), Registrar::Anybody, said)
}

#[test]
fn o25_what_comes_out_is_within_the_policy_whatever_was_asked_for() {
    let plain = judged(&json!({})).unwrap();
    assert_eq!((plain.kind, plain.token_endpoint_auth_method), (ClientKind::Public, AuthMethod::None));
    assert_eq!(plain.scope.to_string(), "openid patient/*.rs");
    assert_eq!((plain.consent, plain.options.profile), (Consent::Ask, Profile::Mcp));
    let narrowed =
        judged(&json!({ "scope": "openid patient/Observation.rs patient/*.cruds system/*.rs admin" }));
    assert_eq!(narrowed.unwrap().scope.to_string(), "openid patient/Observation.rs");
    let keys = judged(&json!({ "jwks_uri": "https://app.example.org/keys" })).unwrap();
    assert_eq!(
        (keys.kind, keys.token_endpoint_auth_method),
        (ClientKind::Confidential, AuthMethod::PrivateKeyJwt)
    );
    for (changes, is_redirect) in [
        (json!({ "scope": "system/*.rs" }), false),
        (json!({ "token_endpoint_auth_method": "client_secret_basic" }), false),
        (json!({ "token_endpoint_auth_method": "private_key_jwt" }), false),
        (json!({ "grant_types": ["client_credentials"], "jwks_uri": "https://app.example.org/keys" }), false),
        (json!({ "grant_types": ["authorization_code", "urn:openid:params:grant-type:ciba"] }), false),
        (json!({ "redirect_uris": ["https://evil.example/cb"] }), true),
        (json!({ "redirect_uris": ["https://app.example.org.evil.example/cb"] }), true),
        (json!({ "redirect_uris": ["https://app.example.org:8443/cb"] }), true),
        (json!({ "redirect_uris": ["org.example.app:/cb"] }), true),
        (json!({ "redirect_uris": [] }), true),
        (json!({ "post_logout_redirect_uris": ["https://evil.example/bye"] }), false),
    ] {
        let refused = judged(&changes).unwrap_err();
        assert_eq!(matches!(refused, Unregistrable::RedirectUri(_)), is_redirect, "{changes}: {refused}");
    }
}

#[test]
fn an_applications_own_scheme_is_no_web_address_whatever_letters_it_begins_with() {
    let anywhere = Policy { redirect_hosts: BTreeSet::from([RedirectHost::Any]), ..policy() };
    let judged = |uri: &str| {
        let body =
            json!({ "redirect_uris": ["https://app.example.org/cb"], "post_logout_redirect_uris": [uri] });
        let said = ClientMetadata::registration(body.to_string().as_bytes()).unwrap();
        anywhere.judge("dyn-1".parse().unwrap(), Registrar::Anybody, said)
    };
    judged("https://app.example.org/bye").unwrap();
    judged("http://127.0.0.1/bye").unwrap();
    for scheme in ["http.evil.app:/bye", "https.evil.app:/bye", "org.example.app:/bye"] {
        assert!(judged(scheme).is_err(), "{scheme}");
    }
}

#[test]
fn o25_what_nobody_can_say_from_outside_does_not_pass_if_it_comes_out() {
    let plain = judged(&json!({})).unwrap();
    policy().check(&plain).unwrap();
    let role: Role = "admin".parse().unwrap();
    let other = "other".parse().unwrap();
    let changes: [fn(&mut Client); 3] = [
        |client| client.consent = Consent::Never,
        |client| client.options.profile = Profile::Plain,
        |client| {
            client.options.permissions.insert(chartgate_access::client::Permission::IntrospectAny);
        },
    ];
    for (number, change) in changes.into_iter().enumerate() {
        let mut client = plain.clone();
        change(&mut client);
        assert!(policy().check(&client).is_err(), "{number}");
    }
    assert!(policy().check(&Client { roles: BTreeSet::from([role]), ..plain.clone() }).is_err());
    let mut acted = plain.clone();
    acted.options.may_act.insert(other);
    assert!(policy().check(&acted).is_err());
}

#[test]
fn a_policy_that_narrows_takes_away_from_those_that_it_admitted() {
    let plain =
        judged(&json!({ "redirect_uris": ["https://app.example.org/cb", "http://127.0.0.1/cb"] })).unwrap();
    assert_eq!(policy().still(plain.clone()), Some(plain.clone()));
    let less = Policy {
        scope: "openid".parse().unwrap(),
        redirect_hosts: BTreeSet::from([RedirectHost::Loopback]),
        ..policy()
    };
    let left = less.still(plain.clone()).unwrap();
    assert_eq!((left.scope.to_string().as_str(), left.redirect_uris.len()), ("openid", 1));
    let other = Policy { auth_methods: BTreeSet::from([AuthMethod::PrivateKeyJwt]), ..policy() };
    assert_eq!(other.still(plain), None);
}

#[test]
fn places_for_browsers_have_one_spelling() {
    for good in ["*", "loopback", "app.example.org", "app.example.org:8443", "org.example.app:"] {
        assert_eq!(good.parse::<RedirectHost>().unwrap().to_string(), good);
    }
    for bad in
        ["", "App.example.org", "https://a.example", "a.example/", "https:", "javascript:", "*.example.org"]
    {
        assert!(bad.parse::<RedirectHost>().is_err(), "{bad}");
    }
    let admits = |host: &str, uri: &str| host.parse::<RedirectHost>().unwrap().admits(&uri.parse().unwrap());
    assert!(admits("loopback", "http://localhost:7/x") && !admits("localhost", "http://localhost/x"));
    assert!(admits("loopback", "http://[::1]:7/x") && !admits("loopback", "https://127.0.0.1/x"));
    assert!(admits("a.example", "https://A.example:443/x") && !admits("a.example", "https://b.a.example/x"));
    assert!(
        admits("org.example.app:", "org.example.app:/x")
            && !admits("org.example.app:", "org.example.apps:/x")
    );
}
