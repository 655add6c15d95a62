//! Attacks on the pages of signing in: rows O02, O31, O32, A01, A02, A06, A07, A13 to A15 of the corpus.

use std::net::Ipv4Addr;
use std::time::{Duration, Instant};

use crate::browser::{App, Browser, CALLBACK, USER_SCOPE, form_of};
use crate::gateway::{Gateway, Person};
use crate::parallel::{FIFTY, at_once};
use crate::shared;
use crate::wire::{Answer, Call, Connection, encode};

/// An answer with the values of its hidden fields taken out, which differ from browser to browser.
fn masked(answer: &Answer, typed: &str) -> (u16, Vec<(String, String)>, String) {
    let (status, headers, _) = answer.without_date();
    let mut text = answer.text().replace(typed, "NAME");
    for (_, value) in form_of(answer).1 {
        text = text.replace(&value, "HIDDEN");
    }
    // The challenge for passkeys, which is new with each page.
    let challenge = text.split_once("data-options=\"").and_then(|(_, rest)| rest.split('"').next());
    text = text.replace(challenge.unwrap(), "CHALLENGE");
    let headers = headers.into_iter().filter(|(name, _)| name != "content-length").collect();
    (status, headers, text)
}

async fn try_sign_in(gateway: &Gateway, name: &str, password: &str) -> Answer {
    let person = Person { name: name.to_owned(), password: password.to_owned() };
    Browser::default().sign_in(gateway, &person).await
}

#[tokio::test]
async fn a01_unknown_known_and_disabled_people_get_the_same_answer() {
    let gateway = shared::demo();
    let (known, disabled) = (gateway.person("physician", &[]), gateway.person("physician", &[]));
    gateway.command(&["user", "disable", &disabled.name]);
    let unknown = try_sign_in(gateway, "person-x", "quiet-otter-climbs-trees").await;
    assert_eq!(unknown.status, 200);
    assert!(unknown.text().contains("That name and password do not fit together."));
    let expected = masked(&unknown, "person-x");
    for (name, password) in [
        (&known.name, "quiet-otter-climbs-trees"),
        (&known.name, ""),
        (&disabled.name, disabled.password.as_str()),
        (&disabled.name, "quiet-otter-climbs-trees"),
    ] {
        let answer = try_sign_in(gateway, name, password).await;
        assert_eq!(masked(&answer, name), expected, "{name} {password}");
    }
    // The log knows the difference.
    let reasons: Vec<String> = gateway
        .audit(&["--user", &disabled.name, "--outcome", "deny"])
        .iter()
        .map(|record| record["decision"]["reason"].as_str().unwrap().to_owned())
        .collect();
    assert_eq!(reasons, ["user-disabled", "wrong-password"]);
    let all = gateway.audit(&["--outcome", "deny"]);
    assert!(all.iter().any(|record| record["decision"]["reason"] == "unknown-user"));
    assert!(!all.iter().any(|record| record.to_string().contains("person-x")), "it may be a password");
}

/// Fails to sign in under five spellings of a name, then tries three others at once, with this password.
async fn after_five_failures(
    gateway: &Gateway,
    failing: [&str; 5],
    then: [&str; 3],
    password: &str,
) -> Vec<Answer> {
    let mut browser = Browser::default();
    let page = browser.follow(gateway, "/login").await;
    let csrf = form_of(&page).1[0].1.clone();
    let cookie = format!("__Host-browser={}", browser.cookies["__Host-browser"]);
    let sign_in = |name: &str, password: &str| {
        let fields = [("csrf", csrf.as_str()), ("username", name), ("password", password)];
        Call::form("/login", &fields).header("cookie", &cookie)
    };
    for name in failing {
        assert_eq!(sign_in(name, "wrong-wrong-wrong").to(gateway).await.status, 200, "{name}");
    }
    at_once(gateway, 3, |number| sign_in(then[number], password)).await
}

#[tokio::test]
async fn a02_failures_count_by_the_person_whatever_the_spelling_and_a_pause_holds_the_right_password_off() {
    let gateway = shared::demo();
    let person = gateway.person("physician", &[]);
    let name = person.name.as_str();
    let (upper, spaced) = (name.to_uppercase(), format!(" {name} "));
    let mixed = name.replace("person", "PerSon");
    let failing = [name, &upper, &spaced, &mixed, &upper];
    let somebody = after_five_failures(gateway, failing, [name, &upper, &spaced], &person.password).await;
    // Nobody's name is counted alike.
    let nobody = after_five_failures(gateway, ["nobody-at-all"; 5], ["nobody-at-all"; 3], "x").await;
    for (one, other) in somebody.iter().zip(&nobody) {
        assert_eq!((one.status, other.status), (429, 429), "the sixth try is not looked at, be it right");
        assert!(one.text().contains("Too many attempts."));
    }
    assert_eq!(masked(&somebody[0], name), masked(&nobody[0], "nobody-at-all"));
    let begun = Instant::now();
    while try_sign_in(gateway, name, &person.password).await.status == 429 {
        assert!(begun.elapsed() < Duration::from_secs(60), "the pause does not end");
        tokio::time::sleep(Duration::from_millis(200)).await;
    }
    let answer = try_sign_in(gateway, name, &person.password).await;
    assert!(answer.text().contains(&format!("Signed in as {name}")), "success clears the count");
}

#[tokio::test]
async fn a02_an_address_that_fails_too_often_is_turned_away_once_recorded_and_others_are_served() {
    let gateway = shared::demo();
    let (bad, good) = (Ipv4Addr::new(127, 7, 7, 7), Ipv4Addr::new(127, 7, 7, 8));
    let nobody = Call::get("/fhir/Patient/x");
    let mut connection = Connection::open_from(gateway, bad).await;
    let mut refused = 0;
    for _ in 0..1500 {
        match connection.send(nobody.clone()).await.status {
            401 => {}
            429 => refused += 1,
            other => panic!("{other}"),
        }
        if refused >= 20 {
            break;
        }
    }
    assert!(refused >= 20, "never turned away");
    assert_eq!(Connection::open_from(gateway, good).await.send(nobody).await.status, 401);
    let records = gateway.audit(&[]);
    let throttled: Vec<_> = records.iter().filter(|r| r["event"] == "access.throttled").collect();
    assert_eq!(throttled.len(), 1, "one a minute and address");
    assert_eq!(throttled[0]["source"]["ip"], "127.7.7.7");
}

#[tokio::test]
async fn o31_a_form_of_another_browser_or_site_is_refused() {
    let gateway = shared::demo();
    let dana = gateway.demo_person("dana");
    let (mut mine, mut theirs) = (Browser::default(), Browser::default());
    let page = mine.follow(gateway, "/login").await;
    theirs.follow(gateway, "/login").await;
    let filled = [("username", dana.name.as_str()), ("password", dana.password.as_str())];
    // Their cookie with my token, no cookie, no token, an empty token.
    assert_eq!(theirs.submit_only(gateway, &page, &filled).await.status, 400);
    assert_eq!(Browser::default().submit_only(gateway, &page, &filled).await.status, 400);
    assert_eq!(mine.send(gateway, Call::form("/login", &filled)).await.status, 400);
    let empty = [&filled[..], &[("csrf", "")]].concat();
    assert_eq!(mine.send(gateway, Call::form("/login", &empty)).await.status, 400);
    // The cookie twice is nobody's.
    let value = mine.cookies["__Host-browser"].clone();
    let (action, hidden) = form_of(&page);
    let mut fields: Vec<(&str, &str)> = hidden.iter().map(|(n, v)| (n.as_str(), v.as_str())).collect();
    fields.extend(filled);
    let twice =
        Call::form(&action, &fields).header("cookie", &format!("__Host-browser={value}; __Host-browser=x"));
    assert_eq!(twice.to(gateway).await.status, 400);
    assert_eq!(mine.submit_only(gateway, &page, &filled).await.status, 303, "and mine is good");
    // Signing out is a form as well.
    assert_eq!(mine.send(gateway, Call::form("/logout", &[])).await.status, 400);
    assert_eq!(mine.get(gateway, "/logout").await.status, 405);
    assert_eq!(mine.get(gateway, "/account").await.status, 200, "still signed in");
}

#[tokio::test]
async fn o31_what_one_browser_began_another_can_neither_see_nor_finish() {
    let gateway = shared::demo();
    let dana = gateway.demo_person("dana");
    let request = App::public("openid user/Observation.rs").request(gateway);
    let query = encode(&request.iter().map(|(n, v)| (*n, v.as_str())).collect::<Vec<_>>());
    let mut victim = Browser::default();
    let began = victim.get(gateway, &format!("/authorize?{query}")).await;
    let handle = began.header("location").split("request=").nth(1).unwrap().to_owned();
    let mut attacker = Browser::default();
    assert_eq!(attacker.sign_in(gateway, &dana).await.status, 200);
    for page in ["/authorize/continue", "/login", "/login/consent", "/login/patient"] {
        let answer = attacker.get(gateway, &format!("{page}?request={handle}")).await;
        assert_eq!(answer.status, 400, "{page}");
    }
    // The page of an application's request is good once: the code is made once.
    let redirect = App::public("openid user/Observation.rs").authorize(gateway, &mut victim, &dana).await;
    assert!(redirect.get("code").is_some());
    let mut second = Browser::default();
    second.sign_in(gateway, &dana).await;
    let began = second.get(gateway, &format!("/authorize?{query}")).await.header("location").to_owned();
    let mut page = second.follow(gateway, &began).await;
    if page.status == 200 {
        page = second.submit(gateway, &page, &[("decision", "approve")]).await;
    }
    assert!(page.header("location").starts_with(CALLBACK), "{page:?}");
    assert_eq!(second.get(gateway, &began).await.status, 400, "used");
}

#[tokio::test]
async fn o31_every_page_keeps_out_of_frames_caches_and_referrers_and_every_cookie_is_bound_to_the_host() {
    let gateway = shared::demo();
    let mut browser = Browser::default();
    let login = browser.get(gateway, "/login").await;
    let signed_in = {
        let person = gateway.demo_person("dana");
        browser
            .submit_only(gateway, &login, &[("username", &person.name), ("password", &person.password)])
            .await
    };
    for answer in [&login, &signed_in] {
        for cookie in answer.headers.get_all("set-cookie") {
            let cookie = cookie.to_str().unwrap();
            assert!(cookie.starts_with("__Host-"), "{cookie}");
            for part in ["; Path=/", "; Secure", "; HttpOnly", "; SameSite=Lax"] {
                assert!(cookie.contains(part), "{cookie}");
            }
            assert!(!cookie.contains("Domain"), "{cookie}");
        }
    }
    assert!(signed_in.headers.contains_key("set-cookie"));
    let request = App::public("openid user/Condition.rs").request(gateway);
    let query = encode(&request.iter().map(|(n, v)| (*n, v.as_str())).collect::<Vec<_>>());
    let consent = browser.follow(gateway, &format!("/authorize?{query}")).await;
    assert!(consent.text().contains("Allow access?"));
    let account = browser.get(gateway, "/account").await;
    let refused = browser.get(gateway, "/authorize/continue?request=x").await;
    for page in [&login, &consent, &account, &refused] {
        let policy = page.header("content-security-policy");
        for directive in
            ["default-src 'none'", "frame-ancestors 'none'", "base-uri 'none'", "form-action 'self'"]
        {
            assert!(policy.contains(directive), "{policy}");
        }
        assert!(!policy.contains("unsafe"), "{policy}");
        assert_eq!(page.header("x-frame-options"), "DENY");
        assert_eq!(page.header("cache-control"), "no-store");
        assert_eq!(page.header("referrer-policy"), "no-referrer");
        assert_eq!(page.header("x-content-type-options"), "nosniff");
        assert!(page.header("strict-transport-security").starts_with("max-age="));
        // One file of ours on pages with passkeys, which work without it.
        let text = page.text().replace("<script src=\"/assets/passkeys.js\" defer></script>", "");
        assert!(!text.contains("<script"), "nothing in a page itself runs");
    }
    // Saying no tells the application so, and nothing else.
    let denied = browser.submit(gateway, &consent, &[("decision", "deny")]).await;
    let redirect = crate::browser::Redirect::of(&denied);
    assert_eq!(redirect.get("error").as_deref(), Some("access_denied"));
    assert_eq!(redirect.get("code"), None);
}

#[tokio::test]
async fn o32_a_session_has_a_new_id_after_every_sign_in_and_the_old_one_is_over() {
    let gateway = shared::demo();
    let dana = gateway.demo_person("dana");
    let mut browser = Browser::default();
    // An id that somebody else chose is not taken over.
    browser.cookies.insert("__Host-session".to_owned(), "chosen-by-somebody-else".to_owned());
    browser.sign_in(gateway, &dana).await;
    let first = browser.cookies["__Host-session"].clone();
    assert_ne!(first, "chosen-by-somebody-else");
    let old = browser.clone();
    browser.sign_in(gateway, &dana).await;
    assert_ne!(browser.cookies["__Host-session"], first);
    assert_eq!(
        old.clone().get(gateway, "/account").await.header("location"),
        "/login",
        "the old one is over"
    );
    let page = browser.get(gateway, "/account").await;
    let stolen = browser.clone();
    browser.submit(gateway, &page, &[]).await;
    assert!(!browser.cookies.contains_key("__Host-session"), "the cookie is taken away");
    assert_eq!(stolen.clone().get(gateway, "/account").await.header("location"), "/login");
}

#[tokio::test]
async fn o32_tokens_of_a_session_that_a_new_sign_in_replaced_are_refused() {
    let gateway = shared::demo();
    let own = gateway.panel("dana")[0];
    let person = gateway.person("physician", &[own]);
    let mut browser = Browser::default();
    let app = App::public(USER_SCOPE);
    let tokens = app.tokens_in(gateway, &mut browser, &person).await;
    let read = Call::get(&format!("/fhir/Patient/{own}")).bearer(&tokens.access);
    assert_eq!(read.clone().to(gateway).await.status, 200);
    browser.sign_in(gateway, &person).await;
    assert_eq!(app.refresh_call(tokens.refresh()).to(gateway).await.error(), "invalid_grant");
    assert_eq!(read.to(gateway).await.status, 401, "its session is over, so it is");
}

#[tokio::test]
async fn a14_what_a_person_types_is_shown_as_text() {
    let gateway = shared::demo();
    let evil = "\"><script>alert(1)</script>";
    let answer = try_sign_in(gateway, evil, "wrong-wrong-wrong").await;
    assert!(!answer.text().contains("<script>"), "{}", answer.text());
    let mut request = App::public(USER_SCOPE).request(gateway);
    request.push(("login_hint", evil.to_owned()));
    let query = encode(&request.iter().map(|(n, v)| (*n, v.as_str())).collect::<Vec<_>>());
    let page = Browser::default().follow(gateway, &format!("/authorize?{query}")).await;
    assert!(
        page.text().contains("&#60;script&#62;") || page.text().contains("&lt;script&gt;"),
        "{}",
        page.text()
    );
    assert!(!page.text().contains("<script>"));
    for query in ["x=<script>", "client_id=<script>alert(1)</script>&redirect_uri=x"] {
        let answer = Call::get(&format!("/authorize?{}", query.replace('<', "%3C").replace('>', "%3E")));
        assert!(!answer.to(gateway).await.text().contains("<script"));
    }
}

/// A person without a password, and the way to the page where they set one.
fn enrolled(gateway: &Gateway, name: &str) -> String {
    let made = gateway.command(&["user", "add", name, "--role", "physician", "--output", "json"]);
    let made: serde_json::Value = serde_json::from_str(&made).unwrap();
    let link = made["enrolment_link"].as_str().unwrap();
    link.strip_prefix(&gateway.issuer).expect("a06: the configured address").to_owned()
}

#[tokio::test]
async fn a07_an_enrolment_link_sets_one_password_once() {
    let gateway = shared::demo();
    let link = enrolled(gateway, "enrolled-once");
    let mut browser = Browser::default();
    let page = browser.get(gateway, &link).await;
    assert!(page.text().contains("enrolled-once"));
    let set = |password: &'static str, again: &'static str| [("password", password), ("again", again)];
    for (password, again) in
        [("short", "short"), ("passwordpassword", "passwordpassword"), ("quiet-otter-climbs", "other")]
    {
        let answer = browser.submit(gateway, &page, &set(password, again)).await;
        assert!(answer.text().contains("role=\"alert\""), "{password}");
    }
    let answer = browser
        .submit(gateway, &page, &set("quiet-otter-climbs-ladders", "quiet-otter-climbs-ladders"))
        .await;
    assert!(answer.text().contains("Password set"), "{}", answer.text());
    assert!(!browser.cookies.contains_key("__Host-session"), "a05: setting a password signs nobody in");
    let again = browser
        .submit(gateway, &page, &set("other-otter-climbs-ladders", "other-otter-climbs-ladders"))
        .await;
    assert_eq!(again.status, 400);
    assert_eq!(browser.get(gateway, &link).await.status, 400);
    let person =
        Person { name: "enrolled-once".to_owned(), password: "quiet-otter-climbs-ladders".to_owned() };
    assert!(browser.sign_in(gateway, &person).await.text().contains("Signed in as enrolled-once"));
    let twice = gateway.try_command(&["user", "add", "enrolled-once"]);
    assert!(!twice.success && twice.err.contains("enrolled-once"), "{twice:?}");
}

#[tokio::test]
async fn a07_of_fifty_parallel_uses_of_an_enrolment_link_one_wins() {
    let gateway = shared::demo();
    let link = enrolled(gateway, "enrolled-in-parallel");
    let mut browser = Browser::default();
    let page = browser.get(gateway, &link).await;
    let (action, hidden) = form_of(&page);
    let cookie = format!("__Host-browser={}", browser.cookies["__Host-browser"]);
    let passwords: Vec<String> =
        (0..FIFTY).map(|number| format!("quiet-otter-climbs-tree-{number}")).collect();
    let answers = at_once(gateway, FIFTY, |number| {
        let password = passwords[number].as_str();
        let mut fields: Vec<(&str, &str)> = hidden.iter().map(|(n, v)| (n.as_str(), v.as_str())).collect();
        fields.extend([("password", password), ("again", password)]);
        Call::form(&action, &fields).header("cookie", &cookie)
    })
    .await;
    let won: Vec<usize> = (0..FIFTY).filter(|number| answers[*number].status == 200).collect();
    let [winner] = won[..] else { panic!("winners: {won:?}") };
    assert!(answers[winner].text().contains("Password set"));
    let person = Person { name: "enrolled-in-parallel".to_owned(), password: passwords[winner].clone() };
    assert!(
        browser.sign_in(gateway, &person).await.text().contains("Signed in as"),
        "the winner's is the password"
    );
}
