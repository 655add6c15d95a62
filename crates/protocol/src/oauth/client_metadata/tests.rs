use proptest::prelude::*;
use serde_json::json;

use super::*;

const ADDRESS: &str = "https://app.example.org/client.json";

fn read(changes: &Value) -> Result<ClientMetadata, ClientMetadataError> {
    let mut document = json!({
        "client_id": ADDRESS,
        "redirect_uris": ["https://app.example.org/cb"],
        "token_endpoint_auth_method": "none",
    });
    let members = document.as_object_mut().unwrap();
    members.extend(changes.as_object().unwrap().clone());
    members.retain(|_, value| !value.is_null());
    ClientMetadata::document(document.to_string().as_bytes(), ADDRESS)
}

fn register(changes: &Value) -> Result<ClientMetadata, ClientMetadataError> {
    let mut body = json!({ "redirect_uris": ["https://app.example.org/cb"] });
    body.as_object_mut().unwrap().extend(changes.as_object().unwrap().clone());
    ClientMetadata::registration(body.to_string().as_bytes())
}

#[test]
fn a_document_says_what_a_client_is() {
    let plain = read(&json!({ "client_name": "App", "unknown": [[{ "a": 1.5 }]] })).unwrap();
    assert_eq!(plain.grant_types, Some(BTreeSet::from([GrantType::AuthorizationCode])));
    assert_eq!((plain.token_endpoint_auth_method, plain.scope), (Some(AuthMethod::None), None));
    assert_eq!(plain.particulars, Particulars::default(), "for registrations");
    // As editors publish it.
    let editor = read(&json!({
        "grant_types": ["authorization_code", "refresh_token", "urn:example:other"],
        "response_types": ["code"],
        "redirect_uris": ["http://localhost/callback", "http://127.0.0.1/callback"],
        "scope": "openid",
        "dpop_bound_access_tokens": true,
    }))
    .unwrap();
    let both = BTreeSet::from([GrantType::AuthorizationCode, GrantType::RefreshToken]);
    assert_eq!(editor.grant_types, Some(both));
    let here = ["http://localhost/callback", "http://127.0.0.1/callback"].map(|uri| uri.parse().unwrap());
    assert_eq!(editor.redirect_uris, here);
    assert_eq!(editor.demands, BTreeSet::from([Demand::DpopBoundTokens]));
    let with = |name: &str, value: Value| {
        let mut changes = json!({ "token_endpoint_auth_method": "private_key_jwt" });
        changes.as_object_mut().unwrap().insert(name.to_owned(), value);
        read(&changes).map(|read| read.keys)
    };
    assert!(matches!(with("jwks", json!({ "keys": [] })), Ok(Some(PublishedKeys::These(_)))));
    assert!(matches!(
        with("jwks_uri", json!("https://app.example.org/keys")),
        Ok(Some(PublishedKeys::At(_)))
    ));
    assert_eq!(read(&json!({ "jwks": { "keys": [] } })).unwrap().keys, None, "none is shown");
}

#[test]
fn a_document_that_is_anothers_or_has_a_secret_says_nothing() {
    use ClientMetadataError as E;
    for (changes, cause) in [
        (json!({ "client_id": null }), E::ClientId),
        (json!({ "client_id": "https://app.example.org/client.json/" }), E::ClientId),
        (json!({ "client_id": "https://APP.example.org/client.json" }), E::ClientId),
        (json!({ "client_id": [ADDRESS] }), E::Member("client_id")),
        (json!({ "client_secret": "s" }), E::Secret),
        (json!({ "client_secret_expires_at": 0 }), E::Secret),
        (json!({ "token_endpoint_auth_method": "client_secret_basic" }), E::Secret),
        (json!({ "token_endpoint_auth_method": "client_secret_jwt" }), E::Secret),
        (json!({ "token_endpoint_auth_method": "magic" }), E::Member("token_endpoint_auth_method")),
        (json!({ "jwks": { "keys": [{ "kty": "EC", "d": "x" }] } }), E::Secret),
        (json!({ "jwks": { "keys": [{ "kty": "oct", "k": "x" }] } }), E::Secret),
        (json!({ "jwks_uri": "http://app.example.org/keys" }), E::Member("jwks_uri")),
        (json!({ "jwks": { "keys": [] }, "jwks_uri": "https://app.example.org/keys" }), E::TwoKeySets),
        (json!({ "grant_types": ["client_credentials"] }), E::Grant),
        (json!({ "response_types": ["token"] }), E::Grant),
        (json!({ "redirect_uris": "https://app.example.org/cb" }), E::Member("redirect_uris")),
        (json!({ "redirect_uris": ["javascript:alert(1)"] }), E::RedirectUri(RedirectUriError::Scheme)),
        (
            json!({ "redirect_uris": ["http://localhost.evil.example/"] }),
            E::RedirectUri(RedirectUriError::PlainHttp),
        ),
        (json!({ "scope": "a  b" }), E::Member("scope")),
        (json!({ "dpop_bound_access_tokens": "yes" }), E::Member("dpop_bound_access_tokens")),
    ] {
        assert_eq!(read(&changes), Err(cause), "{changes}");
    }
    let twice = format!(r#"{{"client_id":"{ADDRESS}","client_id":"{ADDRESS}"}}"#);
    let parse = |text: &str| ClientMetadata::document(text.as_bytes(), ADDRESS);
    assert_eq!(parse(&twice), Err(E::Json(JsonError::DuplicateName)));
    assert_eq!(parse("[]"), Err(E::Json(JsonError::NotAnObject)));
}

#[test]
fn a_registration_says_more_and_what_it_does_not_know_is_passed_over() {
    let bare = register(&json!({})).unwrap();
    assert_eq!((&bare.grant_types, bare.token_endpoint_auth_method, &bare.keys), (&None, None, &None));
    let same = register(&json!({
        "scope": null, "jwks": null, "grant_types": null, "client_name": "", "unknown": [[1.5]], "roles": ["admin"],
        "permissions": ["introspect:any"], "consent": "never", "may_act": ["x"],
    }));
    assert_eq!(same.as_ref(), Ok(&bare));
    let service = register(&json!({
        "redirect_uris": [], "grant_types": ["client_credentials"], "response_types": [],
        "token_endpoint_auth_method": "tls_client_auth", "tls_client_auth_san_dns": "app.example.org",
        "tls_client_certificate_bound_access_tokens": true, "client_name": "Nightly export",
        "id_token_signed_response_alg": "ES256", "userinfo_encrypted_response_alg": "ECDH-ES",
        "backchannel_logout_uri": "https://app.example.org/out",
        "backchannel_token_delivery_mode": "ping",
        "backchannel_client_notification_endpoint": "https://app.example.org/ping",
    }))
    .unwrap();
    assert_eq!(service.grant_types, Some(BTreeSet::from([GrantType::ClientCredentials])));
    assert_eq!(service.demands, BTreeSet::from([Demand::CertificateBoundTokens]));
    let said = service.particulars;
    assert_eq!(said.client_name.as_deref(), Some("Nightly export"));
    assert_eq!(said.tls_client_auth.unwrap().name(), "app.example.org");
    assert_eq!(said.id_token_signed_response_alg, Some(Algorithm::ES256));
    assert_eq!(said.userinfo_encrypted_response, Some(Encryption::named("ECDH-ES", None).unwrap()));
    assert!(said.backchannel_client_notification_endpoint.is_some());
}

#[test]
fn a_registration_that_is_not_of_its_form_says_nothing() {
    use ClientMetadataError as E;
    let statement = "eyJhbGciOiJSUzI1NiJ9.eyJpc3MiOiJ4In0.c2ln";
    for (changes, cause) in [
        (json!({ "client_id": "mine" }), E::ServerSet("client_id")),
        (json!({ "client_secret": "mine" }), E::ServerSet("client_secret")),
        (json!({ "registration_access_token": "t" }), E::ServerSet("registration_access_token")),
        (json!({ "software_statement": statement }), E::Unapproved),
        (json!({ "software_statement": "eyJ.a" }), E::SoftwareStatement),
        (json!({ "software_statement": "a.b.=" }), E::SoftwareStatement),
        (json!({ "software_statement": { "iss": "x" } }), E::SoftwareStatement),
        (json!({ "grant_types": ["implicit"] }), E::Member("grant_types")),
        (json!({ "grant_types": ["authorization_code", "password"] }), E::Member("grant_types")),
        (json!({ "response_types": ["code id_token"] }), E::Member("response_types")),
        (json!({ "response_types": [] }), E::Grant),
        (json!({ "grant_types": ["client_credentials"], "response_types": ["code"] }), E::Grant),
        (
            json!({ "token_endpoint_auth_method": "client_secret_jwt" }),
            E::Member("token_endpoint_auth_method"),
        ),
        (json!({ "subject_type": "pairwise" }), E::Member("subject_type")),
        (
            json!({ "authorization_details_types": ["fhir_records"] }),
            E::Member("authorization_details_types"),
        ),
        (json!({ "redirect_uris": ["https://a.example/#x"] }), E::RedirectUri(RedirectUriError::Fragment)),
        (json!({ "redirect_uris": ["http://LOCALHOST:1/x"] }), E::RedirectUri(RedirectUriError::PlainHttp)),
        (json!({ "post_logout_redirect_uris": ["x"] }), E::Member("post_logout_redirect_uris")),
        (json!({ "redirect_uris": vec!["https://a.example/cb"; 33] }), E::Member("redirect_uris")),
        (json!({ "id_token_signed_response_alg": "HS256" }), E::Member("id_token_signed_response_alg")),
        (json!({ "id_token_signed_response_alg": "none" }), E::Member("id_token_signed_response_alg")),
        (
            json!({ "id_token_encrypted_response_alg": "RSA1_5" }),
            E::Member("id_token_encrypted_response_alg"),
        ),
        (
            json!({ "id_token_encrypted_response_enc": "A128GCM" }),
            E::Member("id_token_encrypted_response_enc"),
        ),
        (json!({ "backchannel_logout_uri": "http://a.example/" }), E::Member("backchannel_logout_uri")),
        (json!({ "backchannel_token_delivery_mode": "push" }), E::Member("backchannel_token_delivery_mode")),
        (
            json!({ "tls_client_auth_san_dns": "a.example", "tls_client_auth_subject_dn": "CN=a" }),
            E::Member("tls_client_auth_san_dns"),
        ),
        (json!({ "client_name": "x".repeat(201) }), E::Member("client_name")),
        (json!({ "client_name": "a\u{1b}[2J" }), E::Member("client_name")),
        (json!({ "client_name": "a\u{202e}b" }), E::Member("client_name")),
        (json!({ "client_name": "a\u{2066}b" }), E::Member("client_name")),
        (json!({ "software_id": "a\u{feff}" }), E::Member("software_id")),
        (json!({ "software_version": "1\u{e0031}" }), E::Member("software_version")),
        (json!({ "jwks": { "keys": [{ "kty": "RSA", "d": "x" }] } }), E::Secret),
    ] {
        assert_eq!(register(&changes), Err(cause), "{changes}");
    }
    let code = |cause: E| cause.code().as_str();
    assert_eq!(code(E::RedirectUri(RedirectUriError::Fragment)), "invalid_redirect_uri");
    assert_eq!(code(E::Unapproved), "unapproved_software_statement");
    assert_eq!(code(E::SoftwareStatement), "invalid_software_statement");
    assert_eq!(code(E::Grant), "invalid_client_metadata");
}

#[test]
fn an_update_names_its_client_and_none_of_what_the_server_says() {
    let update = |body: Value| UpdateRequest::parse(body.to_string().as_bytes());
    let read = update(json!({ "client_id": "a", "client_secret": "s", "redirect_uris": [] })).unwrap();
    assert_eq!(read.client_id, "a");
    assert_eq!(read.client_secret.unwrap().expose(), "s");
    assert_eq!(update(json!({})).unwrap_err(), ClientMetadataError::Member("client_id"));
    for name in NOT_IN_UPDATES {
        let mut body = json!({ "client_id": "a" });
        body.as_object_mut().unwrap().insert(name.to_owned(), json!(0));
        assert_eq!(update(body).unwrap_err(), ClientMetadataError::ServerSet(name));
    }
}

/// Something that a member may be, or not.
fn value() -> impl Strategy<Value = Value> {
    let text = prop_oneof![
        "[a-z:/.#@ ]{0,24}",
        prop::sample::select(vec![
            "https://app.example.org/cb",
            "http://localhost:1/cb",
            "http://127.0.0.1/cb",
            "authorization_code",
            "refresh_token",
            "private_key_jwt",
            "none",
            "code",
            "RS256",
            "ECDH-ES",
            "openid",
        ])
        .prop_map(str::to_owned),
    ];
    prop_oneof![
        text.clone().prop_map(Value::from),
        prop::collection::vec(text, 0..4).prop_map(Value::from),
        any::<bool>().prop_map(Value::from),
        Just(Value::Null),
        Just(json!({ "keys": [{ "kty": "EC", "d": "x" }] })),
        Just(json!({ "keys": [{ "kty": "EC", "x": "x" }] })),
    ]
}

const MEMBERS: &[&str] = &[
    "redirect_uris",
    "token_endpoint_auth_method",
    "grant_types",
    "response_types",
    "scope",
    "jwks",
    "jwks_uri",
    "client_name",
    "post_logout_redirect_uris",
    "id_token_signed_response_alg",
    "id_token_encrypted_response_alg",
    "dpop_bound_access_tokens",
    "software_statement",
    "roles",
    "x-unknown",
];

proptest! {
    #[test]
    fn whatever_a_registration_holds_it_is_read_in_any_order_alike_and_never_shows_a_secret(
        members in prop::collection::vec((prop::sample::select(MEMBERS), value()), 0..6),
    ) {
        let whole: serde_json::Map<String, Value> =
            members.into_iter().map(|(name, value)| (name.to_owned(), value)).collect();
        let text = Value::Object(whole.clone()).to_string();
        let backwards: Vec<String> =
            whole.iter().rev().map(|(name, value)| format!("{}:{value}", json!(name))).collect();
        let backwards = format!("{{{}}}", backwards.join(","));
        let read = ClientMetadata::registration(text.as_bytes());
        let backwards = ClientMetadata::registration(backwards.as_bytes());
        prop_assert_eq!(read.is_ok(), backwards.is_ok());
        if let Ok(read) = read {
            prop_assert_eq!(Ok(&read), backwards.as_ref());
            if let Some(PublishedKeys::These(keys)) = &read.keys {
                prop_assert!(!keys.to_string().contains("\"d\""));
            }
            // What is not known says nothing.
            let mut without = whole;
            without.remove("roles");
            without.remove("x-unknown");
            let text = Value::Object(without).to_string();
            prop_assert_eq!(ClientMetadata::registration(text.as_bytes()), Ok(read));
        }
    }
}
