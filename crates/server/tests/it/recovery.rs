//! Getting in again by two proofs, one of them a link by e-mail, and changing one's password. Rows A01 and A03 to A07 of the corpus.

use std::time::{Duration, Instant};

use serde_json::{Value, json};

use crate::browser::{App, Browser, form_of};
use crate::gateway::{Gateway, Person};
use crate::mail::Post;
use crate::parallel::{FIFTY, at_once};
use crate::passkeys::{self, Ask};
use crate::second_factors::{Enrolled, Phone, at_the_code, enrolled, is_signed_in, recovery_codes};
use crate::shared;
use crate::wire::{Answer, Call, Connection};

const BY_MAIL: &str = "\n[sign_in]\nrecovery = \"mail\"\nphishing_resistant_roles = [\"nurse\"]\n";
/// Access that outlives the session.
const OFFLINE: &str = "openid offline_access user/*.rs";
const NEW: &str = "orbit mustard lantern gravel";

/// Asks for a link, as whoever typed this name.
async fn forgot(gateway: &Gateway, typed: &str) -> Answer {
    let mut browser = Browser::default();
    let page = browser.get(gateway, "/login").await;
    assert!(page.text().contains("<a href=\"/login/forgot\">"), "{}", page.text());
    let page = browser.get(gateway, "/login/forgot").await;
    browser.submit(gateway, &page, &[("username", typed)]).await
}

/// The links that were sent to somebody.
fn links(post: &Post, of: &Person) -> Vec<String> {
    let address = json!([format!("{}@clinic.example", of.name)]);
    let texts = post.messages().into_iter().filter(|message| message["to"] == address);
    let texts: Vec<String> = texts.map(|message| message["text"].as_str().unwrap().to_owned()).collect();
    let words = texts.iter().flat_map(|text| text.split_whitespace());
    let links = words.filter_map(|word| word.strip_prefix(&post.gateway.issuer));
    links.filter(|path| path.starts_with("/login/recover?token=")).map(str::to_owned).collect()
}

/// The newest of them, once there are so many.
async fn link(post: &Post, of: &Person, count: usize) -> String {
    let begun = Instant::now();
    loop {
        let mut links = links(post, of);
        if links.len() >= count {
            return links.swap_remove(count.saturating_sub(1));
        }
        assert!(begun.elapsed() < Duration::from_secs(60), "{}", post.gateway.output());
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}

fn of<'r>(records: &'r [Value], event: &str) -> Vec<&'r Value> {
    records.iter().filter(|record| record["event"] == event).collect()
}

/// Where a page's link leads.
fn leads(page: &Answer, start: &str) -> String {
    let (_, rest) =
        page.text().split_once(&format!("<a href=\"{start}")).unwrap_or_else(|| panic!("{}", page.text()));
    format!("{start}{}", rest.split('"').next().unwrap()).replace("&#38;", "&")
}

#[tokio::test(flavor = "multi_thread")]
async fn whoever_lost_their_password_gets_in_by_link_and_factor_and_whoever_lost_the_factor_by_password_and_link()
 {
    let Some(post) = Post::open("recovery", BY_MAIL) else { return };
    let (_server, gateway) = (post.start(), &post.gateway);
    lost_password(&post).await;
    lost_factors(&post).await;
    lost_password_of_a_passkey(&post).await;
    what_resists_phishing_is_not_replaced(&post).await;
    a06_a_link_is_void_once_anything_else_was_changed(&post).await;
    a06_of_fifty_uses_of_a_link_one_goes_on(&post).await;
    a01_a_name_that_is_nobodys_is_answered_like_any_other(&post).await;
    let said = gateway.output();
    for secret in ["token=", "@clinic.example"] {
        assert!(!said.contains(secret), "{secret}: {said}");
    }
}

async fn lost_password(post: &Post) {
    let gateway = &post.gateway;
    let Enrolled { person, phone, browser: mut old, .. } = enrolled(gateway).await;
    let app = App::public(OFFLINE);
    let tokens = app.tokens_in(gateway, &mut old, &person).await;
    let answer = forgot(gateway, &format!(" {} ", person.name.to_uppercase())).await;
    assert!(answer.text().contains("Look at your e-mail"), "{}", answer.text());
    let link = link(post, &person, 1).await;

    // Looked at, it is as good as before: programs look at links too.
    for _ in 0..3 {
        assert!(Browser::default().get(gateway, &link).await.text().contains("Getting in again"));
    }
    let mut browser = Browser::default();
    let page = browser.get(gateway, &link).await;
    // a05: a link alone opens nothing, nor does what it began.
    let page = browser.submit(gateway, &page, &[]).await;
    assert!(page.text().contains("name=\"code\""), "{}", page.text());
    let (_, hidden) = form_of(&page);
    let handle = hidden.iter().find(|(name, _)| name == "sign_in").unwrap().1.clone();
    for path in ["/login/new-password", "/login/factor", "/login/new-passkey", "/login/phone", "/login/lost"]
    {
        let answer = browser.get(gateway, &format!("{path}?sign_in={handle}")).await;
        assert_eq!(answer.status, 400, "{path}: {}", answer.text());
    }
    assert!(!page.text().contains("/login/lost"), "one proof is not lost by another");
    // a03: wrong passwords, a stranger's or their own, are what a link is for: its code is looked at all the same.
    let wrong = Person { password: "not the one that it is".to_owned(), ..person.clone() };
    for pause in [0, 0, 0, 0, 0, 1_100, 2_100] {
        tokio::time::sleep(Duration::from_millis(pause)).await;
        let refused = Browser::default().sign_in(gateway, &wrong).await;
        assert!(refused.text().contains("do not fit together"), "{}", refused.text());
    }
    assert_eq!(Browser::default().sign_in(gateway, &person).await.status, 429);
    let wrong = browser.submit(gateway, &page, &[("code", "000000")]).await;
    assert!(wrong.text().contains("That code is not right"), "{}", wrong.text());
    let wrong = browser.submit(gateway, &wrong, &[("code", "1234 5678 9012 3456 7890")]).await;
    assert!(wrong.text().contains("That code is not right"), "{}", wrong.text());
    let page = browser.submit(gateway, &wrong, &[("code", &phone.code(0))]).await;
    assert!(page.text().contains("Set your password"), "{}", page.text());
    assert!(!browser.cookies.contains_key("__Host-session"), "there is no session");
    // Another browser cannot go on with it.
    let (_, hidden) = form_of(&page);
    let handle = &hidden.iter().find(|(name, _)| name == "sign_in").unwrap().1;
    let stolen = Browser::default().get(gateway, &format!("/login/new-password?sign_in={handle}")).await;
    assert_eq!(stolen.status, 400);

    let weak = browser.submit(gateway, &page, &[("password", "password"), ("again", "password")]).await;
    assert!(weak.text().contains("at least 15 characters"), "{}", weak.text());
    let differ = browser.submit(gateway, &page, &[("password", NEW), ("again", "another one of mine")]).await;
    assert!(differ.text().contains("are not the same"), "{}", differ.text());
    let set = browser.submit(gateway, &page, &[("password", NEW), ("again", NEW)]).await;
    assert!(set.text().contains("Password set"), "{}", set.text());
    assert!(!browser.cookies.contains_key("__Host-session"), "nor is there one now");
    let again = browser.submit(gateway, &page, &[("password", NEW), ("again", NEW)]).await;
    assert_eq!(again.status, 400, "it is set once");

    // What the old one opened has ended, and the new one opens, with the second factor as before.
    assert_eq!(old.get(gateway, "/account").await.status, 303);
    let read = Call::get("/fhir/Patient").bearer(&tokens.access).to(gateway).await;
    assert_eq!(read.status, 401);
    let refreshed = app.refresh_call(tokens.refresh()).to(gateway).await;
    assert_eq!(refreshed.json()["error"], "invalid_grant", "{}", refreshed.text());
    let stale = Browser::default().get(gateway, &link).await;
    assert_eq!(stale.status, 400, "a06: used up");
    let page = Browser::default().sign_in(gateway, &person).await;
    assert!(page.text().contains("do not fit together"), "{}", page.text());
    let person = Person { password: NEW.to_owned(), ..person };
    let (mut browser, page) = at_the_code(gateway, &person).await;
    assert!(is_signed_in(&browser.submit(gateway, &page, &[("code", &phone.code(1))]).await));

    let records = gateway.audit(&["--user", &person.name]);
    let proofs: Vec<&Value> =
        of(&records, "recovery.prove").iter().map(|one| &one["detail"]["proof"]).collect();
    assert_eq!(proofs, ["link", "authenticator-app"]);
    assert_eq!(of(&records, "recovery.ask")[0]["detail"]["lost"], "password");
    assert_eq!(of(&records, "user.set-password").last().unwrap()["detail"]["after"], "link");
    assert!(!records.iter().any(|record| record.to_string().contains("token=")));
}

async fn lost_factors(post: &Post) {
    let gateway = &post.gateway;
    let Enrolled { person, phone, codes, browser: mut old } = enrolled(gateway).await;
    let app = App::public(OFFLINE);
    let tokens = app.tokens_in(gateway, &mut old, &person).await;
    let (mut browser, page) = at_the_code(gateway, &person).await;
    let lost = leads(&page, "/login/lost?");
    assert_eq!(Browser::default().get(gateway, &lost).await.status, 400, "it is its browser's");
    let page = browser.get(gateway, &lost).await;
    let sent = browser.submit(gateway, &page, &[]).await;
    assert!(sent.text().contains("Look at your e-mail"), "{}", sent.text());
    let link = link(post, &person, 1).await;

    // The link is opened elsewhere: without the password it opens nothing.
    let mut browser = Browser::default();
    let page = browser.get(gateway, &link).await;
    let wrong = browser.submit(gateway, &page, &[("password", "not the one that it is")]).await;
    assert!(wrong.text().contains("That password is not right"), "{}", wrong.text());
    let page = browser.submit(gateway, &wrong, &[("password", &person.password)]).await;
    assert!(page.text().contains("class=\"key\">"), "{}", page.text());
    // Until another factor is there, those that were are good, and what is open stays open.
    assert!(is_signed_in(&old.get(gateway, "/account").await));
    let new = Phone::scanned(&page);
    let shown = browser.submit(gateway, &page, &[("code", &new.code(-1)), ("label", "New phone")]).await;
    assert_eq!(recovery_codes(&shown).len(), 10);
    assert!(is_signed_in(&browser.get(gateway, "/account").await));
    assert_eq!(old.get(gateway, "/account").await.status, 303, "the former session");
    let refreshed = app.refresh_call(tokens.refresh()).to(gateway).await;
    assert_eq!(refreshed.json()["error"], "invalid_grant", "{}", refreshed.text());

    let (mut browser, page) = at_the_code(gateway, &person).await;
    for gone in [phone.code(1), codes[0].clone()] {
        let refused = browser.submit(gateway, &page, &[("code", &gone)]).await;
        assert!(refused.text().contains("That code is not right"), "{gone}: {}", refused.text());
    }
    let page = browser.submit(gateway, &page, &[("code", &new.code(0))]).await;
    assert!(is_signed_in(&page), "{}", page.text());
    assert!(page.text().contains("your second factors were replaced"), "{}", page.text());
    let records = gateway.audit(&["--user", &person.name]);
    assert_eq!(of(&records, "recovery.prove")[0]["detail"]["proof"], "password-and-link");
    let added = of(&records, "factor.add");
    let (first, last) = (added[0], added.last().unwrap());
    assert_eq!(last["detail"]["after"], "password-and-link");
    assert_eq!(last["detail"]["replaced"], first["resource"], "which it took the place of");
    assert_eq!(of(&records, "recovery.ask")[0]["detail"]["lost"], "factors");
}

/// Shows the passkey beside the link; a link takes the place of no passkey.
async fn lost_password_of_a_passkey(post: &Post) {
    let gateway = &post.gateway;
    let passkeys::Enrolled { person, mut passkey, .. } = passkeys::enrolled(gateway).await;
    forgot(gateway, &person.name).await;
    let mut browser = Browser::default();
    let page = browser.get(gateway, &link(post, &person, 1).await).await;
    let page = browser.submit(gateway, &page, &[]).await;
    let ask = Ask::of(&page, "/login/passkey");
    let page = passkeys::send(&mut browser, gateway, ask.call(&passkey.get(&ask.options), &[])).await;
    assert!(page.text().contains("Set your password"), "{}", page.text());
    let set = browser.submit(gateway, &page, &[("password", NEW), ("again", NEW)]).await;
    assert!(set.text().contains("Password set"), "{}", set.text());

    let person = Person { password: NEW.to_owned(), ..person };
    refused_behind_the_password(gateway, &person).await;
}

/// After their password nobody is offered a link here, nor gets one, however the form is come by, and they are told.
async fn refused_behind_the_password(gateway: &Gateway, person: &Person) {
    let mut browser = Browser::default();
    let page = browser.sign_in(gateway, person).await;
    assert!(!page.text().contains("/login/lost"), "{}", page.text());
    let (_, hidden) = form_of(&page);
    let fields: Vec<(&str, &str)> = hidden.iter().map(|(n, v)| (n.as_str(), v.as_str())).collect();
    let refused = browser.send(gateway, Call::form("/login/lost", &fields)).await;
    assert!(refused.text().contains("your administrator can help you"), "{}", refused.text());
    let records = gateway.audit(&["--user", &person.name]);
    let asked = of(&records, "recovery.ask");
    let last = asked.last().unwrap();
    assert_eq!((&last["outcome"], &last["decision"]["reason"]), (&json!("deny"), &json!("too-weak")));
}

async fn what_resists_phishing_is_not_replaced(post: &Post) {
    let gateway = &post.gateway;
    let Enrolled { person, phone, .. } = enrolled(gateway).await;
    let (mut browser, page) = at_the_code(gateway, &person).await;
    let lost = leads(&page, "/login/lost?");
    let mut pages = Vec::new();
    for count in 1..=2 {
        let page = browser.get(gateway, &lost).await;
        browser.submit(gateway, &page, &[]).await;
        let path = link(post, &person, count).await;
        pages.push((browser.get(gateway, &path).await, path));
    }
    let (unused, path) = pages.pop().unwrap();
    let (used, _) = pages.pop().unwrap();
    let adding = browser.submit(gateway, &used, &[("password", &person.password)]).await;
    assert!(adding.text().contains("takes the place of all that you had"), "{}", adding.text());
    // Their work needs a passkey by now: neither the link that was sent is a way round it, nor the one that was used.
    gateway.command(&["user", "roles", &person.name, "--role", "nurse"]);
    assert_eq!(browser.get(gateway, &path).await.status, 400);
    assert_eq!(browser.submit(gateway, &unused, &[("password", &person.password)]).await.status, 400);
    let new = Phone::scanned(&adding);
    let added = browser.submit(gateway, &adding, &[("code", &new.code(-1)), ("label", "New phone")]).await;
    assert_eq!(added.status, 400, "{}", added.text());
    refused_behind_the_password(gateway, &person).await;
    // And what they had is good.
    gateway.command(&["user", "roles", &person.name, "--role", "physician"]);
    let (mut browser, page) = at_the_code(gateway, &person).await;
    assert!(is_signed_in(&browser.submit(gateway, &page, &[("code", &phone.code(0))]).await));
    a_passkey_that_is_somebodys_replaces_nothing(post, &person, &phone).await;
}

/// With a passkey that is another person's nothing is added, and nothing removed.
async fn a_passkey_that_is_somebodys_replaces_nothing(post: &Post, person: &Person, phone: &Phone) {
    let gateway = &post.gateway;
    let (mut browser, page) = at_the_code(gateway, person).await;
    let page = browser.get(gateway, &leads(&page, "/login/lost?")).await;
    browser.submit(gateway, &page, &[]).await;
    let page = browser.get(gateway, &link(post, person, 3).await).await;
    let page = browser.submit(gateway, &page, &[("password", &person.password)]).await;
    let page = browser.get(gateway, &leads(&page, "/login/new-passkey?")).await;
    let mut taken = passkeys::enrolled(gateway).await;
    let ask = Ask::of(&page, "/login/new-passkey");
    let made = taken.passkey.create(&ask.options);
    let refused = passkeys::send(&mut browser, gateway, ask.call(&made, &[("label", "Another's")])).await;
    assert_eq!(refused.status, 400, "{}", refused.text());
    let (mut browser, page) = at_the_code(gateway, person).await;
    assert!(is_signed_in(&browser.submit(gateway, &page, &[("code", &phone.code(1))]).await));
}

async fn a06_a_link_is_void_once_anything_else_was_changed(post: &Post) {
    let gateway = &post.gateway;
    let changes: [&[&str]; 3] = [&["user", "reset-mfa"], &["user", "set-password"], &["user", "disable"]];
    for words in changes {
        let Enrolled { person, .. } = enrolled(gateway).await;
        forgot(gateway, &person.name).await;
        let link = link(post, &person, 1).await;
        let mut browser = Browser::default();
        let page = browser.get(gateway, &link).await;
        assert_eq!(page.status, 200);
        gateway.command(&[words, &[&person.name]].concat());
        assert_eq!(browser.get(gateway, &link).await.status, 400, "{words:?}");
        assert_eq!(browser.submit(gateway, &page, &[]).await.status, 400, "{words:?}");
        gateway.command(&["user", "enable", &person.name]);
        assert_eq!(browser.get(gateway, &link).await.status, 400, "{words:?}, and let in again");
    }
}

async fn a06_of_fifty_uses_of_a_link_one_goes_on(post: &Post) {
    let gateway = &post.gateway;
    let Enrolled { person, .. } = enrolled(gateway).await;
    forgot(gateway, &person.name).await;
    let link = link(post, &person, 1).await;
    let mut browser = Browser::default();
    let page = browser.get(gateway, &link).await;
    let cookie = format!("__Host-browser={}", browser.cookies["__Host-browser"]);
    let (action, hidden) = form_of(&page);
    let answers = at_once(gateway, FIFTY, |_| {
        let fields: Vec<(&str, &str)> = hidden.iter().map(|(n, v)| (n.as_str(), v.as_str())).collect();
        Call::form(&action, &fields).header("cookie", &cookie)
    })
    .await;
    let on = answers.iter().filter(|answer| answer.status == 303).count();
    assert_eq!(on, 1, "{:?}", answers.iter().map(|answer| answer.status).collect::<Vec<_>>());
}

async fn a01_a_name_that_is_nobodys_is_answered_like_any_other(post: &Post) {
    let gateway = &post.gateway;
    let Enrolled { person, .. } = enrolled(gateway).await;
    let plain = gateway.person("physician", &[]);
    let all_links =
        || post.messages().iter().filter(|one| one.to_string().contains("/login/recover?")).count();
    let (mut shown, before) = (Vec::new(), all_links());
    for typed in [&person.name, &plain.name, "nobody-of-this-name", "not a name at all!"] {
        let mut answers = Vec::new();
        for _ in 0..7 {
            let answer = forgot(gateway, typed).await;
            answers.push((answer.status, answer.text().to_owned()));
        }
        // The first and the one too many alike.
        answers.dedup();
        assert_eq!(answers.len(), 1, "{typed}");
        shown.extend(answers);
    }
    shown.dedup();
    assert_eq!(shown.len(), 1, "{shown:?}");
    link(post, &person, 5).await;
    assert_eq!(all_links().checked_sub(before), Some(5), "one who may, and five a day");
    let reasons = |records: &[Value]| -> Vec<Value> {
        of(records, "recovery.ask").iter().map(|record| record["decision"]["reason"].clone()).collect()
    };
    let asked = reasons(&gateway.audit(&["--user", &person.name]));
    assert_eq!(asked, [vec![json!(null); 5], vec![json!("too-often"); 2]].concat());
    let asked = reasons(&gateway.audit(&["--user", &plain.name]));
    assert_eq!(asked[0], "one-proof", "a link alone would be the only proof");
    let all = gateway.audit(&["--event", "recovery.ask"]);
    let of_nobody = all.iter().filter(|record| record["decision"]["reason"] == "unknown-user");
    assert_eq!(of_nobody.count(), 10);
    assert!(!all.iter().any(|record| record.to_string().contains("nobody-of-this-name")));
}

#[tokio::test]
async fn where_administrators_let_people_in_again_no_page_offers_a_link() {
    let gateway = shared::demo();
    let mut browser = Browser::default();
    let page = browser.get(gateway, "/login").await;
    assert!(!page.text().contains("/login/forgot"), "{}", page.text());
    assert_eq!(browser.get(gateway, "/login/forgot").await.status, 400);
    let (_, hidden) = form_of(&page);
    let mut fields: Vec<(&str, &str)> = hidden.iter().map(|(n, v)| (n.as_str(), v.as_str())).collect();
    fields.push(("username", "dana"));
    assert_eq!(browser.send(gateway, Call::form("/login/forgot", &fields)).await.status, 400);
    let Enrolled { person, .. } = enrolled(gateway).await;
    let (_, page) = at_the_code(gateway, &person).await;
    assert!(!page.text().contains("/login/lost"), "{}", page.text());
}

#[tokio::test]
async fn a07_a_new_password_takes_what_one_signs_in_with_and_ends_all_but_this_session() {
    let gateway = shared::demo();
    let Enrolled { person, phone, mut browser, codes } = enrolled(gateway).await;
    let (mut other, page) = at_the_code(gateway, &person).await;
    assert!(is_signed_in(&other.submit(gateway, &page, &[("code", &phone.code(0))]).await));
    let app = App::public(OFFLINE);
    let tokens = app.tokens_in(gateway, &mut other, &person).await;
    let page = browser.get(gateway, "/account/factors").await;
    let page = browser.get(gateway, &leads(&page, "/account/password")).await;
    let fill = |password: &str, code: &str, new: &str| {
        [("password", password), ("code", code), ("new-password", new), ("again", new)]
            .map(|(name, value)| (name, value.to_owned()))
    };
    for (filled, problem) in [
        (fill("not the one that it is", &codes[0], NEW), "The password or the code is not right"),
        (fill(&person.password, "000000", NEW), "The password or the code is not right"),
        (fill(&person.password, "", NEW), "The password or the code is not right"),
        (fill(&person.password, &codes[0], "short"), "at least 15 characters"),
    ] {
        let fields: Vec<(&str, &str)> = filled.iter().map(|(name, value)| (*name, value.as_str())).collect();
        let refused = browser.submit(gateway, &page, &fields).await;
        assert!(refused.text().contains(problem), "{problem}: {}", refused.text());
    }
    // A page elsewhere cannot do it, for it does not know what the form carries.
    let mut connection = Connection::open(gateway).await;
    let forged = Call::form("/account/password", &[("new-password", NEW), ("again", NEW)]);
    assert_eq!(connection.send(forged).await.status, 400);

    let filled = fill(&person.password, &codes[0], NEW);
    let fields: Vec<(&str, &str)> = filled.iter().map(|(name, value)| (*name, value.as_str())).collect();
    let set = browser.submit(gateway, &page, &fields).await;
    assert!(set.text().contains("Password set"), "{}", set.text());
    assert!(is_signed_in(&browser.get(gateway, "/account").await), "this session goes on");
    assert_eq!(other.get(gateway, "/account").await.status, 303);
    let read = Call::get("/fhir/Patient").bearer(&tokens.access).to(gateway).await;
    assert_eq!(read.status, 401);
    let refreshed = app.refresh_call(tokens.refresh()).to(gateway).await;
    assert_eq!(refreshed.json()["error"], "invalid_grant", "{}", refreshed.text());
    let person = Person { password: NEW.to_owned(), ..person };
    let (mut browser, page) = at_the_code(gateway, &person).await;
    assert!(is_signed_in(&browser.submit(gateway, &page, &[("code", &codes[1])]).await));
    let records = gateway.audit(&["--user", &person.name]);
    let outcomes: Vec<&Value> = of(&records, "user.set-password").iter().map(|one| &one["outcome"]).collect();
    assert_eq!(outcomes[outcomes.len() - 4..], ["deny", "deny", "deny", "allow"]);
}
