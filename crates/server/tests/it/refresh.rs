//! Attacks on refresh tokens and revocation: rows O06 to O11, O15, O28, O30 of the corpus.

use std::time::Duration;

use serde_json::json;

use crate::browser::{App, Tokens, USER_SCOPE};
use crate::gateway::Gateway;
use crate::parallel::{FIFTY, at_once};
use crate::shared;
use crate::wire::{Answer, Call};

/// Whether an access token is believed, by the gateway.
async fn lives(gateway: &Gateway, token: &str) -> bool {
    let own = format!("/fhir/Patient/{}", gateway.panel("dana")[0]);
    match Call::get(&own).bearer(token).to(gateway).await.status {
        200 => true,
        401 => false,
        other => panic!("{other}"),
    }
}

async fn danas(gateway: &Gateway, app: &App<'_>) -> Tokens {
    app.tokens(gateway, &gateway.demo_person("dana")).await
}

#[tokio::test]
async fn o06_a_refresh_token_is_good_for_its_own_client_alone_and_survives_a_thief() {
    let gateway = shared::demo();
    let (app, web) = (App::public(USER_SCOPE), App::web(gateway, USER_SCOPE));
    let tokens = danas(gateway, &app).await;
    assert_eq!(web.refresh_call(tokens.refresh()).to(gateway).await.error(), "invalid_grant");
    // Another client's try neither uses it up nor ends it: else anybody could sign people out.
    assert!(lives(gateway, &tokens.access).await);
    assert_eq!(app.refresh_call(tokens.refresh()).to(gateway).await.status, 200);
}

#[tokio::test]
async fn a_public_client_is_known_by_its_refresh_token_and_a_confidential_one_never() {
    let gateway = shared::demo();
    let (app, web) = (App::public(USER_SCOPE), App::web(gateway, USER_SCOPE));
    let nameless = |token: &str| {
        let fields = [("grant_type", "refresh_token"), ("refresh_token", token)];
        Call::form("/token", &fields)
    };
    let tokens = danas(gateway, &app).await;
    let next = Tokens::of(&nameless(tokens.refresh()).to(gateway).await);
    assert_eq!(next.claims()["client_id"], "demo-app");
    let confidential = danas(gateway, &web).await;
    for token in [confidential.refresh(), "made-up"] {
        let answer = nameless(token).to(gateway).await;
        assert_eq!((answer.status, answer.error().as_str()), (401, "invalid_client"));
    }
    assert_eq!(web.refresh_call(confidential.refresh()).to(gateway).await.status, 200, "nothing was used up");
    // Elsewhere a token names nobody.
    let fields = [("token", next.refresh()), ("refresh_token", next.refresh()), ("grant_type", "code")];
    assert_eq!(Call::form("/revoke", &fields).to(gateway).await.error(), "invalid_client");
}

#[tokio::test]
async fn o07_a_refresh_token_used_again_after_its_successor_ends_the_family_and_is_recorded() {
    let gateway = shared::demo();
    let app = App::public(USER_SCOPE);
    let first = danas(gateway, &app).await;
    let second = Tokens::of(&app.refresh_call(first.refresh()).to(gateway).await);
    let third = Tokens::of(&app.refresh_call(second.refresh()).to(gateway).await);
    assert!(lives(gateway, &first.access).await && lives(gateway, &third.access).await);
    assert_eq!(app.refresh_call(first.refresh()).to(gateway).await.error(), "invalid_grant");
    for tokens in [&first, &second, &third] {
        assert!(!lives(gateway, &tokens.access).await);
        assert_eq!(app.refresh_call(tokens.refresh()).to(gateway).await.error(), "invalid_grant");
    }
    let records = gateway.audit(&["--user", "dana", "--outcome", "deny"]);
    let session = first.session();
    let reuse = |record: &&serde_json::Value| {
        record["event"] == "token.reuse" && record["session"] == session.as_str()
    };
    assert_eq!(records.iter().filter(reuse).count(), 1);
}

#[tokio::test]
async fn o07_a_retry_whose_answer_was_lost_gets_a_new_successor_in_place_of_the_lost_one() {
    let gateway = shared::demo();
    let app = App::public(USER_SCOPE);
    let first = danas(gateway, &app).await;
    let lost = Tokens::of(&app.refresh_call(first.refresh()).to(gateway).await);
    let retried = Tokens::of(&app.refresh_call(first.refresh()).to(gateway).await);
    assert!(!lives(gateway, &lost.access).await, "the lost successor is cut off");
    assert!(lives(gateway, &retried.access).await);
    assert_eq!(app.refresh_call(retried.refresh()).to(gateway).await.status, 200);
}

#[tokio::test]
async fn o08_of_fifty_parallel_refreshes_one_successor_and_one_access_token_are_alive() {
    let gateway = shared::demo();
    let app = App::public(USER_SCOPE);
    for _ in 0..3 {
        let first = danas(gateway, &app).await;
        let answers = at_once(gateway, FIFTY, |_| app.refresh_call(first.refresh())).await;
        let won: Vec<Tokens> = answers.iter().filter(|answer| answer.status == 200).map(Tokens::of).collect();
        assert!(!won.is_empty());
        for lost in answers.iter().filter(|answer| answer.status != 200) {
            assert_eq!(lost.error(), "invalid_grant");
        }
        let mut alive = 0;
        for tokens in &won {
            alive += usize::from(lives(gateway, &tokens.access).await);
        }
        assert!(alive <= 1, "{alive} access tokens alive of {} issued", won.len());
        let mut successors = 0;
        for tokens in &won {
            successors += usize::from(app.refresh_call(tokens.refresh()).to(gateway).await.status == 200);
        }
        assert!(successors <= 1, "{successors} successors");
    }
}

#[tokio::test]
async fn o09_a_replay_inside_the_same_second_is_refused() {
    let gateway = shared::demo();
    let app = App::public(USER_SCOPE);
    let first = danas(gateway, &app).await;
    let second = Tokens::of(&app.refresh_call(first.refresh()).to(gateway).await);
    let third = Tokens::of(&app.refresh_call(second.refresh()).to(gateway).await);
    // All of this, and the replay, most likely in one second: the cut-off reaches tokens of that second too.
    assert_eq!(app.refresh_call(first.refresh()).to(gateway).await.error(), "invalid_grant");
    assert!(!lives(gateway, &third.access).await);
}

#[tokio::test]
async fn o10_a_revocation_that_races_refreshes_leaves_nothing_alive() {
    let gateway = shared::demo();
    let app = App::public(USER_SCOPE);
    for _ in 0..5 {
        let first = danas(gateway, &app).await;
        let answers = at_once(gateway, 12, |number| {
            if number % 3 == 1 {
                app.call("/revoke", &[("token", first.refresh())])
            } else {
                app.refresh_call(first.refresh())
            }
        })
        .await;
        let revoked = |(number, answer): &(usize, &Answer)| number % 3 != 1 || answer.status == 200;
        assert!(answers.iter().enumerate().all(|pair| revoked(&pair)));
        assert!(!lives(gateway, &first.access).await);
        let refreshed = answers.iter().enumerate().filter(|(number, a)| number % 3 != 1 && a.status == 200);
        for (_, answer) in refreshed {
            let tokens = Tokens::of(answer);
            assert!(!lives(gateway, &tokens.access).await, "an access token outlived the revocation");
            assert_eq!(app.refresh_call(tokens.refresh()).to(gateway).await.error(), "invalid_grant");
        }
    }
}

#[tokio::test]
async fn o11_a_refresh_narrows_and_never_widens() {
    let gateway = shared::demo();
    let app = App::public("openid user/Patient.rs user/Observation.rs");
    let first = danas(gateway, &app).await;
    let ask = |token: &str, scope: &str| {
        app.token_call(&[("grant_type", "refresh_token"), ("refresh_token", token), ("scope", scope)])
    };
    for wider in
        ["openid user/Condition.rs", "user/*.rs", "user/Patient.cruds", "openid offline_access", "nonsense"]
    {
        let answer = ask(first.refresh(), wider).to(gateway).await;
        assert_eq!((answer.status, answer.error()), (400, "invalid_scope".to_owned()), "{wider}");
    }
    let narrowed = Tokens::of(&ask(first.refresh(), "user/Patient.rs").to(gateway).await);
    assert_eq!(narrowed.answer["scope"], "user/Patient.rs");
    assert_eq!(narrowed.claims()["scope"], "user/Patient.rs");
    let refused = Call::get("/fhir/Observation").bearer(&narrowed.access).to(gateway).await;
    assert_eq!(refused.status, 403);
    assert!(refused.header("www-authenticate").contains("insufficient_scope"));
}

#[tokio::test]
async fn o15_whoever_was_shut_out_gets_nothing_for_a_refresh_token_of_either_kind() {
    let gateway = shared::demo();
    let own = gateway.panel("dana")[0];
    for scope in [USER_SCOPE, "openid user/*.rs offline_access"] {
        for what in ["disable", "session"] {
            let person = gateway.person("physician", &[own]);
            let app = App::public(scope);
            let mut browser = crate::browser::Browser::default();
            let tokens = app.tokens_in(gateway, &mut browser, &person).await;
            if what == "disable" {
                gateway.command(&["user", "disable", &person.name]);
                assert_eq!(app.refresh_call(tokens.refresh()).to(gateway).await.error(), "invalid_grant");
                assert!(!lives(gateway, &tokens.access).await, "{scope}");
                continue;
            }
            let page = browser.get(gateway, "/account").await;
            browser.submit(gateway, &page, &[]).await;
            let refreshed = app.refresh_call(tokens.refresh()).to(gateway).await.status;
            // An offline grant is meant to outlive the session; everything else ends with it.
            let offline = scope.contains("offline_access");
            assert_eq!(refreshed, if offline { 200 } else { 400 }, "{scope}");
            assert_eq!(lives(gateway, &tokens.access).await, offline, "{scope}");
        }
    }
}

#[tokio::test]
async fn o28_revocation_wants_the_client_and_takes_the_hint_as_a_hint() {
    let gateway = shared::demo();
    let (app, web) = (App::public(USER_SCOPE), App::web(gateway, USER_SCOPE));
    let tokens = danas(gateway, &web).await;
    for call in [
        Call::form("/revoke", &[("token", &tokens.access)]),
        Call::form("/revoke", &[("token", &tokens.access), ("client_id", "demo-web")]),
        Call::form("/revoke", &[("token", &tokens.access)]).basic("demo-web", "wrong"),
        Call::form("/revoke", &[("token", &tokens.access)]).basic("nobody", "wrong"),
    ] {
        let answer = call.to(gateway).await;
        assert_eq!((answer.status, answer.error()), (401, "invalid_client".to_owned()));
    }
    // Another client's request is answered like any, and changes nothing.
    assert_eq!(app.call("/revoke", &[("token", &tokens.access)]).to(gateway).await.status, 200);
    assert_eq!(app.call("/revoke", &[("token", tokens.refresh())]).to(gateway).await.status, 200);
    assert!(lives(gateway, &tokens.access).await);
    assert_eq!(web.call("/revoke", &[("token", "unknown")]).to(gateway).await.status, 200);
    assert_eq!(web.call("/revoke", &[]).to(gateway).await.error(), "invalid_request");

    let hint = ("token_type_hint", "refresh_token");
    assert_eq!(web.call("/revoke", &[("token", &tokens.access), hint]).to(gateway).await.status, 200);
    assert!(!lives(gateway, &tokens.access).await);
    let next = Tokens::of(&web.refresh_call(tokens.refresh()).to(gateway).await);
    let hint = ("token_type_hint", "access_token");
    assert_eq!(web.call("/revoke", &[("token", next.refresh()), hint]).to(gateway).await.status, 200);
    assert!(!lives(gateway, &next.access).await);
    assert_eq!(web.refresh_call(next.refresh()).to(gateway).await.error(), "invalid_grant");
}

#[tokio::test]
async fn o28_userinfo_believes_what_the_gateway_believes_and_nothing_else() {
    let gateway = shared::demo();
    let app = App::public(USER_SCOPE);
    let tokens = danas(gateway, &app).await;
    let answer = Call::get("/userinfo").bearer(&tokens.access).to(gateway).await;
    assert_eq!(answer.json(), json!({ "sub": "dana", "fhirUser": "Practitioner/dana" }));
    assert_eq!(answer.header("cache-control"), "no-store");
    let without = danas(gateway, &App::public("user/*.rs")).await;
    let refused = Call::get("/userinfo").bearer(&without.access).to(gateway).await;
    assert_eq!(refused.status, 403);
    assert!(refused.header("www-authenticate").contains("insufficient_scope"));
    assert_eq!(Call::get("/userinfo").to(gateway).await.status, 401);
    let id_token = tokens.answer["id_token"].as_str().unwrap();
    for wrong in [id_token, tokens.refresh(), "x.y.z"] {
        assert_eq!(Call::get("/userinfo").bearer(wrong).to(gateway).await.status, 401);
        let read = format!("/fhir/Patient/{}", gateway.panel("dana")[0]);
        assert_eq!(Call::get(&read).bearer(wrong).to(gateway).await.status, 401, "j19: no access token");
    }
    gateway.command(&["token", "revoke", &tokens.access]);
    assert_eq!(Call::get("/userinfo").bearer(&tokens.access).to(gateway).await.status, 401);
}

#[tokio::test]
async fn o30_no_answer_with_a_secret_is_cached_and_no_secret_reaches_output_or_log() {
    let mut gateway = Gateway::demo("secrets", &[]);
    let dana = gateway.demo_person("dana");
    let app = App::web(&gateway, "openid user/*.rs");
    let code = app.code(&gateway, &dana).await;
    let answer = app.exchange_call(&code).to(&gateway).await;
    assert_eq!((answer.header("cache-control"), answer.header("pragma")), ("no-store", "no-cache"));
    let tokens = Tokens::of(&answer);
    let refused = app.exchange_call(&code).to(&gateway).await;
    assert_eq!((refused.header("cache-control"), refused.header("pragma")), ("no-store", "no-cache"));
    let patient = gateway.panel("dana")[0].to_owned();
    let path = format!("/fhir/Patient/{patient}?name=Zanzibar");
    Call::get(&path).bearer(&tokens.access).to(&gateway).await;
    Call::get(&format!("/fhir/Patient?name=Zanzibar&_id={patient}"))
        .bearer(&tokens.access)
        .to(&gateway)
        .await;
    let secret = gateway.secret("demo-web").to_owned();

    // The ready file has passwords on purpose; the log's own folder has neither secrets nor, unsealed, whose record.
    tokio::time::sleep(Duration::from_millis(1500)).await;
    let output = gateway.output();
    let (_, after_guide) = output.rsplit_once("user disable dana").unwrap();
    gateway.kill();
    let mut searched = 0;
    let mut folders = vec![gateway.folder().join("data/audit")];
    let signature = tokens.access.rsplit('.').next().unwrap().to_owned();
    let secrets = [
        code.as_str(),
        signature.as_str(),
        tokens.refresh(),
        secret.as_str(),
        dana.password.as_str(),
        "Zanzibar",
    ];
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                folders.push(path);
                continue;
            }
            let bytes = std::fs::read(&path).unwrap();
            searched += 1;
            for needle in secrets.iter().chain([&patient.as_str()]) {
                let found = bytes.windows(needle.len()).any(|window| window == needle.as_bytes());
                assert!(!found, "{} is in {}", needle, path.display());
            }
        }
    }
    assert!(searched >= 4, "the log was not looked at");
    for needle in secrets {
        assert!(!after_guide.contains(needle), "{needle} was printed");
    }
}
