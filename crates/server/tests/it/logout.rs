//! RP-initiated logout: rows O02 and O31 of the corpus, and the OpenID conformance modules of that name.

use std::time::Duration;

use serde_json::Value;

use crate::browser::{App, Browser, Redirect, Tokens, USER_SCOPE, form_of, part};
use crate::gateway::{Gateway, Scratch};
use crate::shared;
use crate::wire::{Answer, Call, encode};

const BYE: &str = "https://app.example/bye?from=gate";

/// An application whose person may go to [`BYE`] afterwards.
struct Leaver<'a> {
    id: &'a str,
    secret: String,
}

impl<'a> Leaver<'a> {
    fn register(gateway: &Gateway, id: &'a str) -> Self {
        let words = ["client", "add", id, "--kind", "confidential", "--scope", USER_SCOPE];
        let uris = ["--redirect-uri", "http://127.0.0.1/callback", "--post-logout-redirect-uri", BYE];
        let shown: Value = serde_json::from_str(&gateway.command(&[&words[..], &uris].concat())).unwrap();
        assert_eq!(shown["post_logout_redirect_uris"][0], BYE);
        Self { id, secret: shown["client_secret"].as_str().unwrap().to_owned() }
    }

    fn app(&self) -> App<'_> {
        App { client: self.id, secret: Some(&self.secret), scope: USER_SCOPE, patient: None, route: "/fhir" }
    }

    /// Somebody signed in to it in a browser.
    async fn signed_in(&self, gateway: &Gateway) -> (Browser, Tokens, String) {
        let person = gateway.person("physician", &[gateway.panel("dana")[0]]);
        let mut browser = Browser::default();
        let tokens = self.app().tokens_in(gateway, &mut browser, &person).await;
        let id_token = tokens.answer["id_token"].as_str().unwrap().to_owned();
        (browser, tokens, id_token)
    }
}

async fn leave(gateway: &Gateway, browser: &mut Browser, fields: &[(&str, &str)]) -> Answer {
    browser.follow(gateway, &format!("/end-session?{}", encode(fields))).await
}

async fn lives(gateway: &Gateway, tokens: &Tokens) -> bool {
    let own = format!("/fhir/Patient/{}", gateway.panel("dana")[0]);
    Call::get(&own).bearer(&tokens.access).to(gateway).await.status == 200
}

#[tokio::test]
async fn an_application_signs_its_person_out_and_every_token_of_the_session_ends_before_the_answer() {
    let gateway = shared::demo();
    let leaver = Leaver::register(gateway, "leaver");
    for by_post in [false, true] {
        let (mut browser, tokens, hint) = leaver.signed_in(gateway).await;
        let fields =
            [("id_token_hint", hint.as_str()), ("post_logout_redirect_uri", BYE), ("state", "a&b=c d")];
        let answer = if by_post {
            // As another site posts it: without cookies.
            let first = Call::form("/end-session", &fields).to(gateway).await;
            assert_eq!(first.status, 303);
            browser.follow(gateway, first.header("location")).await
        } else {
            leave(gateway, &mut browser, &fields).await
        };
        let redirect = Redirect::of(&answer);
        assert_eq!(redirect.target, "https://app.example/bye");
        assert_eq!(redirect.get("from").as_deref(), Some("gate"));
        assert_eq!(redirect.get("state").as_deref(), Some("a&b=c d"));
        assert!(!lives(gateway, &tokens).await);
        assert_eq!(leaver.app().refresh_call(tokens.refresh()).to(gateway).await.error(), "invalid_grant");
        assert!(!browser.cookies.contains_key("__Host-session"));
        assert!(!answer.header("location").contains(&hint));
        let records = gateway.audit(&["--client", leaver.id]);
        let session = tokens.session();
        let logout = |r: &&Value| r["event"] == "logout" && r["session"] == session.as_str();
        assert_eq!(records.iter().filter(logout).count(), 1);
    }
}

#[tokio::test]
async fn an_id_token_that_expired_long_ago_is_still_a_hint() {
    let gateway =
        Gateway::demo_in(Scratch::new("hint"), &[], &["env", "CHARTGATE_TOKENS__ACCESS_TOKEN_TTL=1s"]);
    let leaver = Leaver::register(&gateway, "leaver");
    let (mut browser, _, hint) = leaver.signed_in(&gateway).await;
    let expires = part(&hint, 1)["exp"].as_u64().unwrap();
    while std::time::UNIX_EPOCH.elapsed().unwrap().as_secs() <= expires {
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    let fields = [("id_token_hint", hint.as_str()), ("post_logout_redirect_uri", BYE)];
    let answer = leave(&gateway, &mut browser, &fields).await;
    assert_eq!(answer.header("location"), BYE);
}

#[tokio::test]
async fn oidcc_no_post_logout_redirect_uri_ends_the_session_here_and_a_bad_id_token_hint_asks() {
    let gateway = shared::demo();
    let leaver = Leaver::register(gateway, "leaver-here");
    let (mut browser, tokens, hint) = leaver.signed_in(gateway).await;
    for bad in ["x", "a.b.c", tokens.access.as_str()] {
        let page = leave(gateway, &mut browser, &[("id_token_hint", bad)]).await;
        assert!(page.text().contains("Sign out?"), "{bad}: {}", page.text());
        let sent =
            leave(gateway, &mut browser, &[("id_token_hint", bad), ("post_logout_redirect_uri", BYE)]).await;
        assert_eq!((sent.status, sent.header("location")), (400, ""), "{bad}");
    }
    assert!(lives(gateway, &tokens).await);
    let page = leave(gateway, &mut browser, &[("id_token_hint", &hint)]).await;
    assert!(page.status == 200 && page.text().contains("Signed out"), "{}", page.text());
    assert!(!lives(gateway, &tokens).await);
}

#[tokio::test]
async fn o31_without_a_hint_of_this_session_the_person_is_asked_and_may_say_no() {
    let gateway = shared::demo();
    let leaver = Leaver::register(gateway, "leaver-asking");
    let (mut browser, tokens, hint) = leaver.signed_in(gateway).await;
    let (_, _, of_another) = leaver.signed_in(gateway).await;
    let mut forged = hint.clone();
    forged.pop();
    let questions: [&[(&str, &str)]; 5] = [
        &[],
        &[("state", "only")],
        &[("client_id", leaver.id), ("post_logout_redirect_uri", BYE)],
        &[("id_token_hint", &of_another), ("post_logout_redirect_uri", BYE)],
        &[("id_token_hint", &forged), ("client_id", leaver.id)],
    ];
    for fields in questions {
        let page = leave(gateway, &mut browser, fields).await;
        assert!(page.status == 200 && page.text().contains("Sign out?"), "{fields:?}: {}", page.text());
        // Neither without the token of the page nor from another browser.
        let stolen = Call::form("/end-session/continue", &[("decision", "approve"), ("request", "x")]);
        assert_eq!(browser.send(gateway, stolen).await.status, 400);
        let elsewhere = Browser::default().submit_only(gateway, &page, &[("decision", "approve")]).await;
        assert_eq!(elsewhere.status, 400);
        let page = browser.submit(gateway, &page, &[("decision", "deny")]).await;
        assert!(page.text().contains("still signed in"), "{}", page.text());
        assert!(lives(gateway, &tokens).await, "{fields:?}");
    }
    let page = leave(gateway, &mut browser, questions[2]).await;
    assert!(page.header("content-security-policy").contains("frame-ancestors 'none'"));
    assert!(page.header("content-security-policy").contains("https://app.example"));
    let answer = browser.submit(gateway, &page, &[("decision", "approve")]).await;
    assert_eq!((answer.status, answer.header("location")), (303, BYE));
    assert!(!lives(gateway, &tokens).await);
    let again = browser.submit_only(gateway, &page, &[("decision", "approve")]).await;
    assert_eq!(again.status, 400, "a request is answered once");
}

#[tokio::test]
async fn o02_nobody_is_sent_where_the_registration_does_not_say() {
    let gateway = shared::demo();
    let leaver = Leaver::register(gateway, "leaver-astray");
    let (mut browser, tokens, hint) = leaver.signed_in(gateway).await;
    for uri in [
        "https://app.example/bye",
        "https://app.example/bye?from=gate&more=1",
        "https://app.example/bye?from=gate#x",
        "https://app.example/bye?from=gate/",
        "https://APP.example/bye?from=gate",
        "https://app.example@evil.example/bye?from=gate",
        "http://127.0.0.1/callback",
        "javascript:alert(1)",
        "//evil.example",
    ] {
        let fields = [("id_token_hint", hint.as_str()), ("post_logout_redirect_uri", uri)];
        let answer = leave(gateway, &mut browser, &fields).await;
        assert_eq!((answer.status, answer.header("location")), (400, ""), "{uri}");
    }
    // An address alone says nothing of whose it is, and a hint is no hint for another application.
    for fields in [
        &[("post_logout_redirect_uri", BYE)][..],
        &[("post_logout_redirect_uri", BYE), ("id_token_hint", "a.b.c")],
        &[("post_logout_redirect_uri", BYE), ("client_id", "demo-web")],
        &[("post_logout_redirect_uri", BYE), ("client_id", "demo-web"), ("id_token_hint", &hint)],
        &[("client_id", "No Client")],
    ] {
        assert_eq!(leave(gateway, &mut browser, fields).await.status, 400, "{fields:?}");
    }
    assert!(lives(gateway, &tokens).await);
    // Where nobody is signed in there is nobody to ask: without a hint nobody is sent anywhere.
    let fields = [("client_id", leaver.id), ("post_logout_redirect_uri", BYE)];
    let answer = leave(gateway, &mut Browser::default(), &fields).await;
    assert_eq!((answer.status, answer.header("location")), (200, ""));
    for scheme in ["javascript:alert(1)", "org.example.app:/bye", "http://app.example/bye"] {
        let words = ["client", "add", "astray", "--kind", "backend", "--post-logout-redirect-uri", scheme];
        assert!(!gateway.try_command(&words).success, "{scheme}");
    }
}

/// OpenID Connect Front-Channel Logout: what the browser shows to applications once its person is signed out.
#[tokio::test]
async fn a_browser_shows_the_end_of_its_session_to_the_applications_in_it_and_to_no_other_place() {
    let gateway = shared::demo();
    let words = ["client", "add", "framed", "--kind", "confidential", "--scope", USER_SCOPE];
    let uris = ["--redirect-uri", "http://127.0.0.1/callback", "--redirect-uri", "https://app.example/cb"];
    let bye = ["--post-logout-redirect-uri", BYE, "--frontchannel-logout-uri"];
    let foreign = [&words[..], &uris, &bye, &["https://other.example/out"]].concat();
    let refused = gateway.try_command(&foreign);
    assert!(!refused.success && refused.err.contains("same origin"), "{refused:?}");
    let own = [&words[..], &uris, &bye, &["https://app.example/out?x=1"]].concat();
    let shown: Value = serde_json::from_str(&gateway.command(&own)).unwrap();
    assert_eq!(shown["frontchannel_logout_session_required"], true);
    let leaver = Leaver { id: "framed", secret: shown["client_secret"].as_str().unwrap().to_owned() };

    for by_application in [true, false] {
        let (mut browser, tokens, hint) = leaver.signed_in(gateway).await;
        let page = if by_application {
            let fields =
                [("id_token_hint", hint.as_str()), ("post_logout_redirect_uri", BYE), ("state", "s")];
            leave(gateway, &mut browser, &fields).await
        } else {
            let page = browser.get(gateway, "/account").await;
            let csrf = form_of(&page).1.into_iter().find(|(name, _)| name == "csrf").unwrap().1;
            browser.send(gateway, Call::form("/logout", &[("csrf", &csrf)])).await
        };
        assert_eq!(page.status, 200, "{}", page.text());
        let iss = encode(&[("iss", gateway.issuer.as_str()), ("sid", &tokens.session())]);
        let frame = format!("https://app.example/out?x=1&{iss}");
        let text = page.text().replace("&#38;", "&").replace("&amp;", "&");
        assert_eq!(text.matches("<iframe ").count(), 1, "{text}");
        assert!(text.contains(&format!("src=\"{frame}\"")), "{frame}: {text}");
        let policy = page.header("content-security-policy");
        assert!(policy.contains("frame-src https://app.example;"), "{policy}");
        assert!(policy.contains("default-src 'none'") && !policy.contains("script-src"), "{policy}");
        if by_application {
            assert_eq!(page.header("refresh"), "3; url=https://app.example/bye?from=gate&state=s");
        } else {
            assert!(page.headers.get("refresh").is_none());
        }
        assert!(!lives(gateway, &tokens).await && !browser.cookies.contains_key("__Host-session"));
    }
    // Who has no such application in the session sees no frame, and goes on at once.
    let other = Leaver::register(gateway, "unframed");
    let (mut browser, _, hint) = other.signed_in(gateway).await;
    let answer =
        leave(gateway, &mut browser, &[("id_token_hint", &hint), ("post_logout_redirect_uri", BYE)]).await;
    assert_eq!(answer.status, 303);
}
