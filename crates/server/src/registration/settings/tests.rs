use chartgate_access::client::{AuthMethod, ClientKind, Consent};
use clap::ValueEnum as _;
use serde_json::json;

use super::*;
use crate::registration::settle;

fn said(text: &serde_json::Value) -> NewClient {
    let bare = NewClient::bare("app".parse().unwrap(), ClientKind::Public);
    let mut all = serde_json::to_value(&bare).unwrap();
    for (name, value) in text.as_object().unwrap() {
        all[name] = value.clone();
    }
    serde_json::from_value(all).unwrap()
}

#[test]
fn what_is_not_said_stays() {
    let before = said(&json!({
        "kind": "confidential", "redirect_uris": ["https://app.example.org/cb"], "scope": "openid user/*.rs",
        "auth_method": "client_secret_post", "consent": "never",
    }));
    let before = settle(before).unwrap();
    let all: BTreeSet<Setting> = Setting::value_variants().iter().copied().collect();
    let nothing = ClientChange { said: said(&json!({})), settings: BTreeSet::new() };
    assert_eq!(settle(nothing.of(before.clone())).unwrap(), before);
    for setting in &all {
        assert!(!setting.is_said(&nothing.said), "{setting:?}");
    }
    let scope = ClientChange {
        said: said(&json!({ "scope": "openid", "roles": ["service"] })),
        settings: BTreeSet::from([Setting::Scope]),
    };
    let after = settle(scope.of(before.clone())).unwrap();
    assert_eq!(after, Client { scope: "openid".parse().unwrap(), ..before.clone() });
    // As if it never had been said; what it is called, what it is and what people are asked are no settings.
    let without = ClientChange { said: said(&json!({})), settings: all };
    let left = without.of(before);
    assert_eq!((left.kind, left.consent), (ClientKind::Confidential, Some(Consent::Never)));
    assert_eq!((left.auth_method, left.redirect_uris.len(), left.scope.is_empty()), (None, 0, true));
}

#[test]
fn of_keys_and_their_address_the_one_that_is_said_takes_the_place_of_the_other() {
    let keys = json!({ "keys": [{
        "kty": "OKP", "crv": "Ed25519", "kid": "a", "x": "11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo",
    }]});
    let before = said(&json!({ "kind": "backend", "scope": "system/*.rs", "jwks": keys }));
    let before = settle(before).unwrap();
    assert_eq!(before.token_endpoint_auth_method, AuthMethod::PrivateKeyJwt);
    let mut said = said(&json!({}));
    said.options.jwks_uri = Some("https://app.example.org/keys".parse().unwrap());
    assert!(Setting::Keys.is_said(&said));
    let change = ClientChange { said, settings: BTreeSet::from([Setting::Keys]) };
    let after = settle(change.of(before)).unwrap();
    assert!(after.jwks.is_none() && after.options.jwks_uri.is_some());
}
