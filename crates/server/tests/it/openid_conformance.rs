//! What modules of OpenID's conformance suite ask of an authorization server and no attack does, by their names:
//! the test plans oidcc-basic and FAPI 2.0. Which modules other tests cover says `docs/openid-conformance.md`.

use std::time::Duration;

use serde_json::Value;

use crate::browser::{App, Browser, CALLBACK, Redirect, Tokens, part};
use crate::gateway::{Gateway, Person};
use crate::shared;
use crate::wire::{Answer, Call, encode};

const SCOPE: &str = "openid user/*.rs";

type Fields<'a> = Vec<(&'a str, String)>;

fn request<'a>(app: &App<'_>, gateway: &Gateway, more: &[(&'a str, &str)]) -> Fields<'a> {
    let mut fields = app.request(gateway);
    fields.retain(|(name, _)| !more.iter().any(|(changed, _)| changed == name));
    let more = more.iter().map(|(name, value)| (*name, (*value).to_owned()));
    fields.into_iter().chain(more).filter(|(_, value)| !value.is_empty()).collect()
}

fn start(fields: &Fields<'_>) -> String {
    let fields: Vec<(&str, &str)> = fields.iter().map(|(name, value)| (*name, value.as_str())).collect();
    format!("/authorize?{}", encode(&fields))
}

/// Dana signs in by this request; the claims of her ID token, and what the browser was sent back with.
async fn signed_in(browser: &mut Browser, app: &App<'_>, more: &[(&str, &str)]) -> (Value, Redirect) {
    let gateway = shared::demo();
    let fields = request(app, gateway, more);
    let redirect = browser.lead(gateway, &start(&fields), &gateway.demo_person("dana"), None).await;
    let code = redirect.get("code").unwrap_or_else(|| panic!("{more:?}: {redirect:?}"));
    let tokens = Tokens::of(&app.exchange_call(&code).to(gateway).await);
    (part(tokens.answer["id_token"].as_str().unwrap(), 1), redirect)
}

/// Where this request leads a browser, as far as it goes without anybody typing.
async fn led(browser: &mut Browser, app: &App<'_>, more: &[(&str, &str)]) -> Answer {
    let gateway = shared::demo();
    let fields = request(app, gateway, more);
    browser.follow(gateway, &start(&fields)).await
}

fn asks_for_the_password(page: &Answer) -> bool {
    page.status == 200 && page.text().contains("name=\"password\"")
}

fn auth_time(claims: &Value) -> u64 {
    claims["auth_time"].as_u64().unwrap()
}

#[tokio::test]
async fn oidcc_ensure_request_with_unknown_parameter_succeeds_and_so_do_hints() {
    let app = App::web(shared::demo(), SCOPE);
    for more in [
        &[("extra", "foobar")][..],
        &[("display", "page")],
        &[("display", "popup")],
        &[("ui_locales", "se")],
        &[("claims_locales", "se")],
        &[("acr_values", "1 2")],
        &[("login_hint", "dana")],
        &[("login_hint", "somebody-else")],
        &[("max_age", "15000")],
    ] {
        let (claims, _) = signed_in(&mut Browser::default(), &app, more).await;
        assert_eq!(claims["sub"], "dana", "{more:?}");
        assert!(auth_time(&claims) > 0);
    }
}

#[tokio::test]
async fn oidcc_alternate_happy_flow_other_orders_of_scopes_and_parameters_mean_the_same() {
    let gateway = shared::demo();
    let app = App::web(gateway, SCOPE);
    let mut fields = request(&app, gateway, &[("scope", "user/*.rs openid")]);
    fields.reverse();
    let dana = gateway.demo_person("dana");
    let redirect = Browser::default().lead(gateway, &start(&fields), &dana, None).await;
    let tokens = Tokens::of(&app.exchange_call(&redirect.get("code").unwrap()).to(gateway).await);
    assert_eq!(tokens.answer["scope"], SCOPE);
}

#[tokio::test]
async fn oidcc_ensure_request_without_nonce_succeeds_for_code_flow_and_one_without_state() {
    let app = App::web(shared::demo(), SCOPE);
    let (claims, redirect) = signed_in(&mut Browser::default(), &app, &[("state", "")]).await;
    assert_eq!((claims.get("nonce"), redirect.get("state")), (None, None));
    for length in [64, 384] {
        let nonce = "n".repeat(length);
        let (claims, _) = signed_in(&mut Browser::default(), &app, &[("nonce", &nonce)]).await;
        assert_eq!(claims["nonce"], nonce.as_str());
    }
}

#[tokio::test]
async fn oidcc_ensure_post_request_succeeds() {
    let gateway = shared::demo();
    let app = App::web(gateway, SCOPE);
    let mut browser = Browser::default();
    browser.sign_in(gateway, &gateway.demo_person("dana")).await;
    let fields = request(&app, gateway, &[]);
    let fields: Vec<(&str, &str)> = fields.iter().map(|(name, value)| (*name, value.as_str())).collect();
    let mut answer = browser.send(gateway, Call::form("/authorize", &fields)).await;
    while answer.status == 303 && answer.header("location").starts_with('/') {
        let next = answer.header("location").to_owned();
        answer = browser.get(gateway, &next).await;
    }
    let redirect = Redirect::of(&answer);
    assert_eq!(redirect.target, CALLBACK);
    Tokens::of(&app.exchange_call(&redirect.get("code").unwrap()).to(gateway).await);
}

#[tokio::test]
async fn oidcc_response_type_missing_is_an_error_and_so_are_those_that_are_not_offered() {
    let gateway = shared::demo();
    let app = App::web(gateway, SCOPE);
    for (kind, errors) in [
        ("", &["invalid_request"][..]),
        ("token", &["unsupported_response_type"]),
        ("code id_token", &["unsupported_response_type"]),
    ] {
        let answer = Call::get(&start(&request(&app, gateway, &[("response_type", kind)]))).to(gateway).await;
        let error = Redirect::of(&answer).get("error").unwrap_or_default();
        assert!(errors.contains(&error.as_str()), "{kind}: {error}");
    }
}

#[tokio::test]
async fn oidcc_prompt_login_asks_whoever_is_signed_in_again() {
    let app = App::web(shared::demo(), SCOPE);
    let mut browser = Browser::default();
    let (first, _) = signed_in(&mut browser, &app, &[]).await;
    tokio::time::sleep(Duration::from_millis(1100)).await;
    assert!(asks_for_the_password(&led(&mut browser, &app, &[("prompt", "login")]).await));
    let (second, _) = signed_in(&mut browser, &app, &[("prompt", "login")]).await;
    assert!(auth_time(&second) > auth_time(&first));
}

#[tokio::test]
async fn oidcc_prompt_none_logged_in_shows_no_page_and_says_who_it_is() {
    let app = App::web(shared::demo(), SCOPE);
    let mut browser = Browser::default();
    let nobody = led(&mut browser, &app, &[("prompt", "none")]).await;
    assert_eq!(Redirect::of(&nobody).get("error").as_deref(), Some("login_required"));
    let (first, _) = signed_in(&mut browser, &app, &[]).await;
    let gateway = shared::demo();
    let answer = led(&mut browser, &app, &[("prompt", "none")]).await;
    let code = Redirect::of(&answer).get("code").unwrap();
    let tokens = Tokens::of(&app.exchange_call(&code).to(gateway).await);
    let second = part(tokens.answer["id_token"].as_str().unwrap(), 1);
    assert_eq!((&second["sub"], auth_time(&second)), (&first["sub"], auth_time(&first)));
}

#[tokio::test]
async fn oidcc_id_token_hint_is_answered_about_its_person_or_not_at_all() {
    let gateway = shared::demo();
    let app = App::web(gateway, SCOPE);
    let mut browser = Browser::default();
    let id_token = async |person: &str| {
        let tokens = app.tokens(gateway, &gateway.demo_person(person)).await;
        tokens.answer["id_token"].as_str().unwrap().to_owned()
    };
    let (danas, nilss) = (id_token("dana").await, id_token("nils").await);
    signed_in(&mut browser, &app, &[]).await;
    let own = led(&mut browser, &app, &[("prompt", "none"), ("id_token_hint", &danas)]).await;
    let code = Redirect::of(&own).get("code").unwrap_or_else(|| panic!("{own:?}"));
    let tokens = Tokens::of(&app.exchange_call(&code).to(gateway).await);
    assert_eq!(part(tokens.answer["id_token"].as_str().unwrap(), 1)["sub"], "dana");
    // Somebody else is signed in: without pages that is an error, with pages a sign-in as the one who is meant.
    let error = |answer: &Answer| Redirect::of(answer).get("error");
    let other = led(&mut browser, &app, &[("prompt", "none"), ("id_token_hint", &nilss)]).await;
    assert_eq!(error(&other).as_deref(), Some("login_required"));
    let page = led(&mut browser, &app, &[("id_token_hint", &nilss)]).await;
    assert!(asks_for_the_password(&page) && page.text().contains("value=\"nils\""), "{}", page.text());
    for (name, may) in [("dana", false), ("nils", true)] {
        let person = gateway.demo_person(name);
        let fields = [("username", person.name.as_str()), ("password", person.password.as_str())];
        let after = browser.submit(gateway, &page, &fields).await;
        assert_eq!(Redirect::of(&after).get("code").is_some(), may, "{name}: {}", after.text());
    }
    // What is no ID token of this client's is not a hint.
    let of_another = App::public(SCOPE).tokens(gateway, &gateway.demo_person("dana")).await;
    let of_another = of_another.answer["id_token"].as_str().unwrap().to_owned();
    let altered = danas.replace('.', ".A");
    for bad in ["x", "a.b.c", &altered, &tokens.access, &of_another] {
        let answer = led(&mut browser, &app, &[("id_token_hint", bad)]).await;
        assert_eq!(error(&answer).as_deref(), Some("invalid_request"), "{bad}");
    }
}

#[tokio::test]
async fn oidcc_claims_essential_gives_what_is_asked_for_by_name_and_the_person_is_told() {
    let gateway = shared::demo();
    let client = |id: &str, scope: &str| {
        let words = ["client", "add", id, "--kind", "public", "--redirect-uri", CALLBACK, "--scope", scope];
        gateway.command(&words);
    };
    client("claims-app", "openid email fhirUser user/*.rs");
    client("claims-less", SCOPE);
    let app = App { client: "claims-app", ..App::public(SCOPE) };
    let claims = r#"{"userinfo":{"email":{"essential":true},"name":{"essential":true}},"id_token":{"fhirUser":null,"auth_time":{"essential":true},"acr":{"values":["gold"]}}}"#;
    let name = "claims-person";
    let file = gateway.scratch().write(name, "quiet-otter-climbs-claims");
    let words = [
        "user",
        "add",
        name,
        "--role",
        "physician",
        "--fhir-user",
        "Practitioner/cp",
        "--email",
        "cp@example.org",
    ];
    gateway.command(&[&words[..], &["--password-file", file.to_str().unwrap()]].concat());
    let person = Person { name: name.to_owned(), password: "quiet-otter-climbs-claims".to_owned() };
    let mut browser = Browser::default();
    browser.sign_in(gateway, &person).await;
    let page = led(&mut browser, &app, &[("claims", claims)]).await;
    for wish in ["Know your e-mail address", "Know which entry in the records is yours"] {
        assert!(page.text().contains(wish), "{wish}: {}", page.text());
    }
    let answer = browser.submit(gateway, &page, &[("decision", "approve")]).await;
    let tokens =
        Tokens::of(&app.exchange_call(&Redirect::of(&answer).get("code").unwrap()).to(gateway).await);
    let id_token = part(tokens.answer["id_token"].as_str().unwrap(), 1);
    assert!(auth_time(&id_token) > 0);
    assert_eq!((&id_token["fhirUser"], id_token.get("email")), (&"Practitioner/cp".into(), None));
    let info = Call::get("/userinfo").bearer(&tokens.access).to(gateway).await.json();
    assert_eq!((&info["email"], info.get("fhirUser")), (&"cp@example.org".into(), None));
    // Without the parameter nothing more than the scope is told.
    let plain = app.tokens_in(gateway, &mut browser, &person).await;
    let info = Call::get("/userinfo").bearer(&plain.access).to(gateway).await.json();
    assert_eq!(info, serde_json::json!({ "sub": name }));
    // Nor is there a way around what a client is registered for.
    let less = App { client: "claims-less", ..App::public(SCOPE) };
    let page = led(&mut browser, &less, &[("claims", claims)]).await;
    assert!(!page.text().contains("e-mail") && !page.text().contains("which entry"), "{}", page.text());
    let answer = browser.submit(gateway, &page, &[("decision", "approve")]).await;
    let code = Redirect::of(&answer).get("code").unwrap();
    let tokens = Tokens::of(&less.exchange_call(&code).to(gateway).await);
    assert_eq!(part(tokens.answer["id_token"].as_str().unwrap(), 1).get("fhirUser"), None);
    let info = Call::get("/userinfo").bearer(&tokens.access).to(gateway).await.json();
    assert_eq!(info, serde_json::json!({ "sub": name }));
}

#[tokio::test]
async fn a_claims_parameter_that_cannot_be_met_or_read_is_refused() {
    let gateway = shared::demo();
    let app = App::web(gateway, SCOPE);
    let mut browser = Browser::default();
    signed_in(&mut browser, &app, &[]).await;
    let error = async |browser: &mut Browser, claims: &str| {
        let answer = led(browser, &app, &[("prompt", "none"), ("claims", claims)]).await;
        Redirect::of(&answer).get("error")
    };
    let long = format!(r#"{{"x":"{}"}}"#, "x".repeat(9000));
    for (claims, expected) in [
        ("x", "invalid_request"),
        ("[]", "invalid_request"),
        (r#"{"id_token":{"email":1}}"#, "invalid_request"),
        (&long, "invalid_request"),
        (r#"{"id_token":{"acr":{"essential":true,"values":["gold"]}}}"#, "unmet_authentication_requirements"),
        (r#"{"id_token":{"sub":{"value":"nils"}}}"#, "login_required"),
        (r#"{"id_token":{"sub":{"value":"No Body"}}}"#, "login_required"),
    ] {
        assert_eq!(error(&mut browser, claims).await.as_deref(), Some(expected), "{claims}");
    }
    assert_eq!(
        error(&mut browser, r#"{"id_token":{"sub":{"value":"dana"},"acr":{"essential":true}}}"#).await,
        None
    );
}

#[tokio::test]
async fn oidcc_max_age_1_asks_again_and_max_age_10000_does_not() {
    let app = App::web(shared::demo(), SCOPE);
    let mut browser = Browser::default();
    let (first, _) = signed_in(&mut browser, &app, &[]).await;
    tokio::time::sleep(Duration::from_millis(2100)).await;
    let still = led(&mut browser, &app, &[("max_age", "10000")]).await;
    assert!(Redirect::of(&still).get("code").is_some(), "{}", still.text());
    assert!(asks_for_the_password(&led(&mut browser, &app, &[("max_age", "1")]).await));
    let (second, _) = signed_in(&mut browser, &app, &[("max_age", "1")]).await;
    assert!(auth_time(&second) > auth_time(&first));
}

#[tokio::test]
async fn oidcc_userinfo_get_and_post_header_answer_and_a_body_says_nothing() {
    let gateway = shared::demo();
    let app = App::web(gateway, SCOPE);
    let tokens = app.tokens(gateway, &gateway.demo_person("dana")).await;
    for method in ["GET", "POST"] {
        let answer = Call::new(method, "/userinfo").bearer(&tokens.access).to(gateway).await;
        assert_eq!((answer.status, &answer.json()["sub"]), (200, &"dana".into()), "{method}");
    }
    // RFC 9700 section 4.3.2 and OAuth 2.1 would have tokens in the header alone.
    let body = Call::form("/userinfo", &[("access_token", &tokens.access)]);
    assert_eq!(body.to(gateway).await.status, 401);
}

#[tokio::test]
async fn oidcc_scope_email_and_scope_profile_tell_what_they_are_for() {
    let gateway = shared::demo();
    let file = gateway.scratch().write("scope-person", "quiet-otter-climbs-scopes");
    let words = ["user", "add", "scope-person", "--role", "physician", "--fhir-user", "Practitioner/sp"];
    let more = ["--email", "sp@example.org", "--password-file", file.to_str().unwrap()];
    gateway.command(&[&words[..], &more].concat());
    let words = ["client", "add", "scope-app", "--kind", "public", "--redirect-uri", CALLBACK];
    gateway.command(&[&words[..], &["--scope", "openid profile email"]].concat());
    let person = Person { name: "scope-person".to_owned(), password: "quiet-otter-climbs-scopes".to_owned() };
    for (scope, email, fhir_user) in [
        ("openid", None, None),
        ("email openid", Some("sp@example.org"), None),
        ("openid profile", None, Some("Practitioner/sp")),
        ("email openid profile", Some("sp@example.org"), Some("Practitioner/sp")),
    ] {
        let app = App { client: "scope-app", route: "", ..App::public(scope) };
        let tokens = app.tokens(gateway, &person).await;
        assert_eq!(tokens.answer["scope"], scope);
        let info = Call::get("/userinfo").bearer(&tokens.access).to(gateway).await.json();
        assert_eq!((info["email"].as_str(), info["fhirUser"].as_str()), (email, fhir_user), "{scope}");
    }
}

#[tokio::test]
async fn oidcc_discovery_endpoint_verification_has_what_each_plan_asks_for() {
    let gateway = shared::demo();
    let metadata = Call::get("/.well-known/openid-configuration").to(gateway).await.json();
    let at = |name: &str| metadata[name].as_str().unwrap().strip_prefix(&gateway.issuer).unwrap().to_owned();
    for (name, path) in [
        ("authorization_endpoint", "/authorize"),
        ("token_endpoint", "/token"),
        ("jwks_uri", "/jwks"),
        ("end_session_endpoint", "/end-session"),
        ("pushed_authorization_request_endpoint", "/par"),
        ("backchannel_authentication_endpoint", "/backchannel-authentication"),
    ] {
        assert_eq!(at(name), path, "{name}");
    }
    for flag in [
        "backchannel_logout_supported",
        "backchannel_logout_session_supported",
        "frontchannel_logout_supported",
        "frontchannel_logout_session_supported",
        "claims_parameter_supported",
        "request_parameter_supported",
        "authorization_response_iss_parameter_supported",
    ] {
        assert_eq!(metadata[flag], true, "{flag}");
    }
    let lists = |name: &str, value: &str| metadata[name].as_array().unwrap().iter().any(|one| one == value);
    for (name, value) in [
        ("token_endpoint_auth_methods_supported", "private_key_jwt"),
        ("token_endpoint_auth_signing_alg_values_supported", "PS256"),
        ("id_token_signing_alg_values_supported", "RS256"),
        ("request_object_signing_alg_values_supported", "ES256"),
        ("dpop_signing_alg_values_supported", "ES256"),
        ("code_challenge_methods_supported", "S256"),
        ("backchannel_token_delivery_modes_supported", "poll"),
        ("backchannel_token_delivery_modes_supported", "ping"),
        ("backchannel_authentication_request_signing_alg_values_supported", "PS256"),
        ("grant_types_supported", "urn:openid:params:grant-type:ciba"),
        ("scopes_supported", "openid"),
        ("claims_supported", "sub"),
    ] {
        assert!(lists(name, value), "{name} {value}");
    }
}
