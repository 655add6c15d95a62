//! Attacks on the authorization request and on codes: rows O01, O03 to O06, O09, O15, O17, O29 of the corpus.

use serde_json::json;

use crate::browser::{App, Browser, CALLBACK, Redirect, Tokens, USER_SCOPE, VERIFIER};
use crate::gateway::Gateway;
use crate::parallel::{FIFTY, at_once};
use crate::shared;
use crate::wire::{Answer, Call, encode};

/// The authorization request of the public client with some parameters replaced (`Some`) or left out (`None`).
async fn begin(gateway: &Gateway, changes: &[(&str, Option<&str>)]) -> Answer {
    let mut request = App::public(USER_SCOPE).request(gateway);
    request.retain(|(name, _)| !changes.iter().any(|(changed, _)| changed == name));
    let mut fields: Vec<(&str, &str)> = request.iter().map(|(name, value)| (*name, value.as_str())).collect();
    fields.extend(changes.iter().filter_map(|(name, value)| Some((*name, (*value)?))));
    Call::get(&format!("/authorize?{}", encode(&fields))).to(gateway).await
}

/// Changes of an authorization request, and the error that its client gets for them.
type Refused = (&'static [(&'static str, Option<&'static str>)], &'static str);

#[tokio::test]
async fn o01_an_unregistered_redirect_uri_is_answered_with_a_page_and_never_with_a_redirect() {
    let gateway = shared::demo();
    for uri in [
        "http://127.0.0.1:9999/callback/",
        "http://127.0.0.1:9999/callback/more",
        "http://127.0.0.1:9999/call",
        "http://127.0.0.1:9999/callback?added=1",
        "http://127.0.0.1:9999/callback#fragment",
        "http://127.0.0.1:9999/..;/callback",
        "http://127.0.0.1:9999/%2e%2e/callback",
        "http://127.0.0.1:9999/x/../callback",
        "http://127.0.0.1:9999\\@evil.example/callback",
        "http://evil.example@127.0.0.1:9999/callback",
        "http://127.0.0.1@@evil.example/callback",
        "http://127.0.0.1:9999@evil.example/callback",
        "http://127.0.0.1.evil.example/callback",
        "http://127.0.0.1:099/callback",
        "http://127.0.0.1:70000/callback",
        "http://127.0.0.1:/callback",
        "http://127.1:9999/callback",
        "http://2130706433:9999/callback",
        "http://localhost:9999/callback",
        "https://127.0.0.1:9999/callback",
        "HTTP://127.0.0.1:9999/callback",
        "http://127.0.0.1:9999/Callback",
        "javascript:alert(1)",
        "//127.0.0.1:9999/callback",
        "",
    ] {
        let answer = begin(gateway, &[("redirect_uri", Some(uri))]).await;
        assert_eq!(answer.status, 400, "{uri}");
        assert_eq!(answer.header("location"), "", "{uri}");
        assert!(answer.header("content-type").starts_with("text/html"), "{uri}");
    }
    for uri in ["http://127.0.0.1:1/callback", "http://127.0.0.1/callback", "http://[::1]:65535/callback"] {
        assert_eq!(begin(gateway, &[("redirect_uri", Some(uri))]).await.status, 303, "{uri}");
    }
    assert_eq!(begin(gateway, &[("client_id", Some("nobody"))]).await.header("location"), "");
    assert_eq!(begin(gateway, &[("client_id", None)]).await.header("location"), "");
}

#[tokio::test]
async fn o01_the_redirect_uri_of_the_token_request_is_that_of_the_authorization_request() {
    let gateway = shared::demo();
    let app = App::public(USER_SCOPE);
    let dana = gateway.demo_person("dana");
    for uri in ["http://127.0.0.1:9998/callback", "http://127.0.0.1/callback", "http://[::1]:9999/callback"] {
        let code = app.code(gateway, &dana).await;
        let fields = [
            ("grant_type", "authorization_code"),
            ("code", code.as_str()),
            ("redirect_uri", uri),
            ("code_verifier", VERIFIER),
        ];
        let answer = app.token_call(&fields).to(gateway).await;
        assert_eq!((answer.status, answer.error()), (400, "invalid_grant".to_owned()), "{uri}");
    }
}

#[tokio::test]
async fn o03_errors_too_say_who_the_issuer_is_and_return_the_state_untouched() {
    let gateway = shared::demo();
    let state = "a b&c=d<script>\"'%00é";
    let state = state.replace("%00", "");
    let answer = begin(gateway, &[("scope", Some("nothing/known")), ("state", Some(&state))]).await;
    let redirect = Redirect::of(&answer);
    assert_eq!(redirect.target, CALLBACK);
    assert_eq!(redirect.get("error").as_deref(), Some("invalid_scope"));
    assert_eq!(redirect.get("iss").as_deref(), Some(gateway.issuer.as_str()));
    assert_eq!(redirect.get("state").as_deref(), Some(state.as_str()));
    assert_eq!(redirect.get("code"), None);
}

#[tokio::test]
async fn o04_a_request_without_pkce_by_s256_gets_no_code() {
    let gateway = shared::demo();
    let challenges: [&[(&str, Option<&str>)]; 6] = [
        &[("code_challenge", None), ("code_challenge_method", None)],
        &[("code_challenge", None)],
        &[("code_challenge_method", None)],
        &[("code_challenge_method", Some("plain")), ("code_challenge", Some(VERIFIER))],
        &[("code_challenge_method", Some("s256"))],
        &[("code_challenge", Some("short"))],
    ];
    for changes in challenges {
        let redirect = Redirect::of(&begin(gateway, changes).await);
        assert_eq!(redirect.get("error").as_deref(), Some("invalid_request"), "{changes:?}");
        assert_eq!(redirect.get("code"), None, "{changes:?}");
    }
    // A confidential client too: its secret does not stand in for the challenge.
    let web = App::web(gateway, USER_SCOPE);
    let request = web.request(gateway);
    let fields: Vec<(&str, &str)> = request.iter().map(|(name, value)| (*name, value.as_str())).collect();
    let without: Vec<(&str, &str)> =
        fields.iter().copied().filter(|(name, _)| !name.starts_with("code_challenge")).collect();
    let answer = Call::get(&format!("/authorize?{}", encode(&without))).to(gateway).await;
    assert_eq!(Redirect::of(&answer).get("error").as_deref(), Some("invalid_request"));
}

#[tokio::test]
async fn o04_a_missing_wrong_or_downgraded_verifier_gets_nothing_and_spends_the_code() {
    let gateway = shared::demo();
    let app = App::public(USER_SCOPE);
    let dana = gateway.demo_person("dana");
    let challenge = crate::browser::CHALLENGE;
    let wrong = VERIFIER.replace('d', "e");
    let long = "a".repeat(129);
    for (verifier, error) in [
        (None, "invalid_request"),
        (Some(""), "invalid_request"),
        (Some(wrong.as_str()), "invalid_grant"),
        (Some(challenge), "invalid_grant"),
        (Some("short"), "invalid_grant"),
        (Some(long.as_str()), "invalid_grant"),
    ] {
        let code = app.code(gateway, &dana).await;
        let mut fields =
            vec![("grant_type", "authorization_code"), ("code", code.as_str()), ("redirect_uri", CALLBACK)];
        fields.extend(verifier.map(|verifier| ("code_verifier", verifier)));
        let answer = app.token_call(&fields).to(gateway).await;
        assert_eq!((answer.status, answer.error().as_str()), (400, error), "{verifier:?}");
        if error == "invalid_grant" {
            let again = app.exchange_call(&code).to(gateway).await;
            assert_eq!(again.error(), "invalid_grant", "a guessed verifier has no second try: {verifier:?}");
        }
    }
}

#[tokio::test]
async fn o05_a_replayed_code_ends_what_came_of_it() {
    let gateway = shared::demo();
    let app = App::public(USER_SCOPE);
    let dana = gateway.demo_person("dana");
    let code = app.code(gateway, &dana).await;
    let tokens = Tokens::of(&app.exchange_call(&code).to(gateway).await);
    let own = Call::get(&format!("/fhir/Patient/{}", gateway.panel("dana")[0])).bearer(&tokens.access);
    assert_eq!(own.clone().to(gateway).await.status, 200);
    let replayed = app.exchange_call(&code).to(gateway).await;
    assert_eq!((replayed.status, replayed.error()), (400, "invalid_grant".to_owned()));
    assert_eq!(own.to(gateway).await.status, 401);
    assert_eq!(app.refresh_call(tokens.refresh()).to(gateway).await.error(), "invalid_grant");
    let reuse = gateway.audit(&["--user", "dana", "--outcome", "deny"]);
    assert!(reuse.iter().any(|r| r["event"] == "token.reuse" && r["decision"]["reason"] == "code-replayed"));
}

#[tokio::test]
async fn o05_of_fifty_parallel_uses_of_a_code_one_wins_and_nothing_of_it_lives() {
    let gateway = shared::demo();
    let app = App::public(USER_SCOPE);
    let dana = gateway.demo_person("dana");
    for count in [FIFTY, FIFTY, FIFTY, 2, 2, 2, 2, 2, 3, 3, 3, 3] {
        let code = app.code(gateway, &dana).await;
        let answers = at_once(gateway, count, |_| app.exchange_call(&code)).await;
        let won: Vec<&Answer> = answers.iter().filter(|answer| answer.status == 200).collect();
        assert!(won.len() <= 1, "{} winners", won.len());
        for lost in answers.iter().filter(|answer| answer.status != 200) {
            assert_eq!((lost.status, lost.error()), (400, "invalid_grant".to_owned()));
        }
        // Used twice means known to two: what the one winner got is cut off.
        for answer in won {
            let tokens = Tokens::of(answer);
            let own = format!("/fhir/Patient/{}", gateway.panel("dana")[0]);
            assert_eq!(Call::get(&own).bearer(&tokens.access).to(gateway).await.status, 401);
            assert_eq!(app.refresh_call(tokens.refresh()).to(gateway).await.error(), "invalid_grant");
        }
    }
}

#[tokio::test]
async fn o06_a_code_is_good_for_its_own_client_alone() {
    let gateway = shared::demo();
    let dana = gateway.demo_person("dana");
    let (public, web) = (App::public(USER_SCOPE), App::web(gateway, USER_SCOPE));
    for (owner, thief) in [(&public, &web), (&web, &public)] {
        let code = owner.code(gateway, &dana).await;
        let stolen = thief.exchange_call(&code).to(gateway).await;
        assert_eq!((stolen.status, stolen.error()), (400, "invalid_grant".to_owned()));
    }
}

/// What happens to a person or their client between a grant and its redemption.
const MEANWHILE: [&str; 6] = [
    "nothing",
    "user disabled",
    "user disabled and enabled",
    "password set",
    "session ended",
    "client removed",
];

#[tokio::test]
async fn o15_every_grant_is_asked_anew_at_its_redemption_who_may_have_tokens() {
    let gateway = shared::demo();
    let offline_scope = "openid user/*.rs offline_access";
    for grant in ["code", "offline code", "refresh", "offline refresh"] {
        for meanwhile in MEANWHILE {
            let person = gateway.person("physician", &[]);
            let client = format!("matrix-{}", person.name);
            let scope = if grant.starts_with("offline") { offline_scope } else { USER_SCOPE };
            let words = ["client", "add", &client, "--kind", "public", "--redirect-uri", CALLBACK];
            let grants = ["--grant", "authorization_code", "--grant", "refresh_token"];
            let scopes = ["--scope", "openid fhirUser user/*.cruds offline_access"];
            gateway.command(&[&words[..], &grants, &scopes].concat());
            let app = App { client: &client, secret: None, scope, patient: None, route: "/fhir" };
            let mut browser = Browser::default();
            let code = app.authorize(gateway, &mut browser, &person).await.get("code").unwrap();
            let redemption = if grant.ends_with("refresh") {
                let tokens = Tokens::of(&app.exchange_call(&code).to(gateway).await);
                app.refresh_call(tokens.refresh())
            } else {
                app.exchange_call(&code)
            };
            match meanwhile {
                "nothing" => {}
                "user disabled" => drop(gateway.command(&["user", "disable", &person.name])),
                "user disabled and enabled" => {
                    gateway.command(&["user", "disable", &person.name]);
                    gateway.command(&["user", "enable", &person.name]);
                }
                "password set" => {
                    let file = gateway
                        .scratch()
                        .write(&format!("new-{}", person.name), "brisk-heron-folds-lanterns");
                    let words = ["user", "set-password", &person.name, "--password-file"];
                    gateway.command(&[&words[..], &[file.to_str().unwrap()]].concat());
                }
                "session ended" => {
                    let page = browser.get(gateway, "/account").await;
                    browser.submit(gateway, &page, &[]).await;
                }
                _ => drop(gateway.command(&["client", "remove", &client])),
            }
            let answer = redemption.to(gateway).await;
            let expected = match meanwhile {
                "nothing" => "",
                // An offline grant is meant to outlive its session.
                "session ended" if grant.starts_with("offline") => "",
                "client removed" => "invalid_client",
                _ => "invalid_grant",
            };
            assert_eq!(answer.error(), expected, "{grant}, {meanwhile}: {}", answer.text());
        }
    }
}

#[tokio::test]
async fn o15_who_stays_signed_in_while_their_access_is_cut_off_gets_codes_that_are_good_from_then_on() {
    let gateway = shared::demo();
    let new = "amber-walrus-reads-maps";
    for cut in ["roles", "own password"] {
        let (person, mut browser) = (gateway.person("physician", &[]), Browser::default());
        let app = App::public(USER_SCOPE);
        let before = app.tokens_in(gateway, &mut browser, &person).await;
        let early = app.authorize(gateway, &mut browser, &person).await.get("code").unwrap();
        if cut == "roles" {
            gateway.command(&["user", "roles", &person.name, "--role", "nurse"]);
        } else {
            let page = browser.get(gateway, "/account/password").await;
            let filled = [("password", person.password.as_str()), ("new-password", new), ("again", new)];
            let answer = browser.submit(gateway, &page, &filled).await;
            assert!(answer.text().contains("Your password is set."), "{}", answer.text());
        }
        let refused = app.exchange_call(&early).to(gateway).await;
        assert_eq!((refused.status, refused.error()), (400, "invalid_grant".to_owned()), "{cut}");
        let why = gateway.audit(&["--user", &person.name, "--outcome", "deny"]).pop().unwrap();
        let reason = if cut == "roles" { "grant-cut-off" } else { "code-replayed" };
        assert_eq!(why["decision"]["reason"], reason);
        let after = app.tokens_in(gateway, &mut browser, &person).await;
        assert_eq!(after.claims()["sid"], before.claims()["sid"], "{cut}: nobody signed in again");
        let role = if cut == "roles" { "nurse" } else { "physician" };
        assert_eq!(after.claims()["roles"], json!([role]));
        assert_eq!(app.refresh_call(after.refresh()).to(gateway).await.status, 200, "{cut}");
    }
}

#[tokio::test]
async fn o15_a_disabled_person_gets_no_code_from_a_session_that_was_open() {
    let gateway = shared::demo();
    let person = gateway.person("physician", &[]);
    let mut browser = Browser::default();
    assert_eq!(browser.sign_in(gateway, &person).await.status, 200);
    gateway.command(&["user", "disable", &person.name]);
    let request = App::public(USER_SCOPE).request(gateway);
    let fields: Vec<(&str, &str)> = request.iter().map(|(name, value)| (*name, value.as_str())).collect();
    let page = browser.follow(gateway, &format!("/authorize?{}", encode(&fields))).await;
    assert!(page.text().contains("name=\"password\""), "back to the sign-in page");
    let page = browser.follow(gateway, "/account").await;
    assert!(page.text().contains("name=\"password\""));
}

#[tokio::test]
async fn o17_a_grant_that_a_client_is_not_registered_for_is_not_had_by_another_door() {
    let gateway = shared::demo();
    let secret = gateway.secret("demo-service");
    let service =
        App { client: "demo-service", secret: Some(secret), scope: "openid", patient: None, route: "/fhir" };
    // Not registered for codes: no redirect URI of its own either, so there is nobody to send an error to.
    let answer = Call::get(&format!(
        "/authorize?{}",
        encode(&[
            ("response_type", "code"),
            ("client_id", "demo-service"),
            ("redirect_uri", CALLBACK),
            ("scope", "system/*.rs"),
        ])
    ))
    .to(gateway)
    .await;
    assert_eq!((answer.status, answer.header("location")), (400, ""));
    let dana = gateway.demo_person("dana");
    let app = App::public(USER_SCOPE);
    let tokens = app.tokens(gateway, &dana).await;
    assert_eq!(service.refresh_call(tokens.refresh()).to(gateway).await.error(), "unauthorized_client");
    for other in [App::public(""), App::web(gateway, "")] {
        let answer = other
            .token_call(&[("grant_type", "client_credentials"), ("scope", "system/*.rs")])
            .to(gateway)
            .await;
        assert_eq!(answer.status, 400, "{}", answer.text());
        assert!(
            ["unauthorized_client", "invalid_scope"].contains(&answer.error().as_str()),
            "{}",
            answer.text()
        );
    }
    for grant in
        ["password", "implicit", "urn:ietf:params:oauth:grant-type:saml2-bearer", "AUTHORIZATION_CODE"]
    {
        let fields = [("grant_type", grant), ("username", "dana"), ("password", dana.password.as_str())];
        let answer = app.token_call(&fields).to(gateway).await;
        assert_eq!((answer.status, answer.error()), (400, "unsupported_grant_type".to_owned()), "{grant}");
    }
    for response_type in ["token", "id_token", "code id_token", "code token", "none"] {
        let answer = begin(gateway, &[("response_type", Some(response_type))]).await;
        assert_eq!(Redirect::of(&answer).get("error").as_deref(), Some("unsupported_response_type"));
    }
}

#[tokio::test]
async fn o29_what_comes_twice_or_in_another_form_is_an_invalid_request() {
    let gateway = shared::demo();
    let query = encode(
        &App::public(USER_SCOPE).request(gateway).iter().map(|(n, v)| (*n, v.as_str())).collect::<Vec<_>>(),
    );
    for twice in [
        "&state=other",
        "&redirect_uri=http%3A%2F%2F127.0.0.1%3A1%2Fcallback",
        "&client_id=demo-web",
        "&scope=openid",
    ] {
        let answer = Call::get(&format!("/authorize?{query}{twice}")).to(gateway).await;
        assert_eq!((answer.status, answer.header("location")), (400, ""), "{twice}");
    }
    let refusals: [Refused; 7] = [
        (&[("request", Some("x"))], "invalid_request_object"),
        (&[("request_uri", Some("https://evil.example/r"))], "request_uri_not_supported"),
        (&[("response_mode", Some("fragment"))], "invalid_request"),
        (&[("aud", Some("https://elsewhere.example/fhir"))], "invalid_target"),
        (&[("resource", Some("https://elsewhere.example/fhir"))], "invalid_request"),
        (&[("prompt", Some("none"))], ""),
        (&[("launch", Some("x"))], "invalid_request"),
    ];
    for (changes, error) in refusals {
        let answer = begin(gateway, changes).await;
        if error.is_empty() {
            assert_eq!(answer.status, 303);
            continue;
        }
        assert_eq!(Redirect::of(&answer).get("error").as_deref(), Some(error), "{changes:?}");
    }
    // prompt=none shows no page: without a session the client learns that.
    let answer = begin(gateway, &[("prompt", Some("none"))]).await;
    let cookie = answer.header("set-cookie").split(';').next().unwrap().to_owned();
    let go_on = Call::get(answer.header("location")).header("cookie", &cookie);
    let answer = go_on.clone().to(gateway).await;
    assert_eq!(Redirect::of(&answer).get("error").as_deref(), Some("login_required"));
    let again = go_on.to(gateway).await;
    assert_eq!((again.status, again.header("location")), (400, ""), "what was answered is over");

    let app = App::public(USER_SCOPE);
    let good = encode(&[("grant_type", "refresh_token"), ("refresh_token", "x"), ("client_id", "demo-app")]);
    let form = "application/x-www-form-urlencoded";
    let many = (0..8000).map(|n| format!("p{n}=1")).collect::<Vec<_>>().join("&");
    for (name, call) in [
        ("repeated", Call::new("POST", "/token").body(form, format!("{good}&grant_type=refresh_token"))),
        ("json", Call::new("POST", "/token").body("application/json", r#"{"grant_type":"refresh_token"}"#)),
        ("no type", Call::new("POST", "/token").header("content-type", "text/plain")),
        ("NUL", Call::new("POST", "/token").body(form, format!("{good}&x=a%00b"))),
        ("8000 parameters", Call::new("POST", "/token").body(form, many)),
        ("not UTF-8", Call::new("POST", "/token").body(form, format!("{good}&x=%ff"))),
        ("no grant", app.token_call(&[])),
    ] {
        let answer = call.to(gateway).await;
        assert_eq!((answer.status, answer.error()), (400, "invalid_request".to_owned()), "{name}");
    }
    assert_eq!(Call::get(&format!("/token?{good}")).to(gateway).await.status, 405);
    let huge = Call::new("POST", "/token").body(form, "x=".to_owned() + &"a".repeat(200_000));
    assert_eq!(huge.to(gateway).await.status, 413);
}
