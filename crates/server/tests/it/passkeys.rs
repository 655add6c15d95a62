//! Passkeys, with one in software. Rows A01, A03, A05, A07 and A08 of the corpus. (In a real browser: `chromium`.)

use std::time::{Duration, Instant};

use chartgate_protocol::form::Form;
use chartgate_protocol::webauthn::authenticator::{DEVICE_BOUND, SoftPasskey};
use chartgate_values::SeededEntropy;
use serde_json::{Value, json};

use crate::browser::{App, Browser, USER_SCOPE, part};
use crate::gateway::{Gateway, Person, Scratch};
use crate::parallel::{FIFTY, at_once};
use crate::second_factors::Phone;
use crate::shared;
use crate::wire::{Answer, Call, encode};

const TWO_FACTORS: &str = "https://refeds.org/profile/mfa";
const WRONG: &str = "That passkey did not sign you in.";

/// A part of a page with passkeys: where its form goes, its hidden fields, and what the browser is asked.
#[derive(Clone, Debug)]
pub(crate) struct Ask {
    action: String,
    fields: Vec<(String, String)>,
    pub(crate) options: String,
}

impl Ask {
    /// The one in the form that goes there.
    pub(crate) fn of(page: &Answer, action: &str) -> Self {
        let start = format!("<form method=\"post\" action=\"{action}\"");
        let form = page.text().split(&start).skip(1).find(|form| form.contains("data-options=\""));
        let form = form.unwrap_or_else(|| panic!("no {action}: {}", page.text()));
        let form = form.split("</form>").next().unwrap();
        let after = |text: &str, before: &str| {
            let (_, rest) = text.split_once(before).unwrap_or_else(|| panic!("{before}: {text}"));
            rest.split('"').next().unwrap().replace("&#34;", "\"").replace("&#38;", "&")
        };
        let hidden = form.split("<input type=\"hidden\" ").skip(1);
        let hidden = hidden.map(|input| (after(input, "name=\""), after(input, "value=\"")));
        Self {
            action: action.to_owned(),
            fields: hidden.filter(|(name, _)| name != "credential").collect(),
            options: after(form, "data-options=\""),
        }
    }

    fn is_there(page: &Answer, action: &str) -> bool {
        page.text().contains(&format!("<form method=\"post\" action=\"{action}\" class=\"passkey\""))
    }

    /// The form with what the browser brings.
    pub(crate) fn call(&self, brought: &str, more: &[(&str, &str)]) -> Call {
        let mut fields: Vec<(&str, &str)> =
            self.fields.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect();
        fields.push(("credential", brought));
        fields.extend(more);
        Call::form(&self.action, &fields)
    }
}

/// Sends a form, and goes where that leads.
pub(crate) async fn send(browser: &mut Browser, gateway: &Gateway, call: Call) -> Answer {
    let answer = browser.send(gateway, call).await;
    match answer.header("location") {
        here if answer.status == 303 && here.starts_with('/') => {
            let here = here.to_owned();
            browser.follow(gateway, &here).await
        }
        _ => answer,
    }
}

pub(crate) fn soft(gateway: &Gateway, seed: u64) -> SoftPasskey {
    SoftPasskey::new(&gateway.issuer, &mut SeededEntropy::new(seed))
}

fn number_of(name: &str) -> u64 {
    name.bytes().fold(7, |sum: u64, byte| sum.wrapping_mul(31).wrapping_add(u64::from(byte)))
}

/// What comes after a passkey was made: recovery codes, if they are the first, and the page that asks for it.
pub(crate) async fn after_making(
    gateway: &Gateway,
    browser: &mut Browser,
    page: Answer,
) -> (Vec<String>, Answer) {
    if !page.text().contains("Your recovery codes") {
        return (Vec::new(), page);
    }
    let codes: Vec<String> = page
        .text()
        .split("<li><code>")
        .skip(1)
        .map(|rest| rest.split('<').next().unwrap().to_owned())
        .collect();
    let (_, rest) = page.text().split_once("class=\"button\" href=\"").unwrap();
    let next = rest.split('"').next().unwrap().replace("&#38;", "&");
    (codes, browser.follow(gateway, &next).await)
}

/// Somebody with a passkey, in a browser that is signed in.
pub(crate) struct Enrolled {
    pub(crate) person: Person,
    pub(crate) passkey: SoftPasskey,
    pub(crate) codes: Vec<String>,
    pub(crate) browser: Browser,
}

pub(crate) async fn enrolled(gateway: &Gateway) -> Enrolled {
    let person = gateway.person("physician", &[]);
    let mut passkey = soft(gateway, number_of(&person.name));
    let mut browser = Browser::default();
    browser.sign_in(gateway, &person).await;
    let page = browser.get(gateway, "/account/factors").await;
    let fields = [("password", person.password.as_str()), ("change", "add-passkey")];
    let page = browser.submit(gateway, &page, &fields).await;
    let ask = Ask::of(&page, "/login/new-passkey");
    let made = passkey.create(&ask.options);
    let page = send(&mut browser, gateway, ask.call(&made, &[("label", "My <b>laptop</b>")])).await;
    let (codes, page) = after_making(gateway, &mut browser, page).await;
    assert!(page.text().contains("Show it once"), "{}", page.text());
    // Nothing was signed yet, so nobody is signed in.
    assert_eq!(browser.get(gateway, "/account").await.status, 303);
    let ask = Ask::of(&page, "/login/passkey");
    let page = send(&mut browser, gateway, ask.call(&passkey.get(&ask.options), &[])).await;
    assert!(page.text().contains("My &#60;b&#62;laptop&#60;/b&#62;"), "{}", page.text());
    Enrolled { person, passkey, codes, browser }
}

/// What a browser shows at the sign-in page, and is asked there.
pub(crate) async fn at_sign_in(gateway: &Gateway) -> (Browser, Ask) {
    let mut browser = Browser::default();
    let page = browser.get(gateway, "/login").await;
    (browser, Ask::of(&page, "/login/passkey"))
}

pub(crate) async fn sign_in(gateway: &Gateway, passkey: &mut SoftPasskey) -> (Browser, Answer) {
    let (mut browser, ask) = at_sign_in(gateway).await;
    let page = send(&mut browser, gateway, ask.call(&passkey.get(&ask.options), &[])).await;
    (browser, page)
}

pub(crate) fn is_signed_in(answer: &Answer) -> bool {
    answer.text().contains("<h1>Signed in as ")
}

pub(crate) fn last(records: &[Value], event: &str) -> Value {
    records.iter().rfind(|record| record["event"] == event).unwrap_or_else(|| panic!("no {event}")).clone()
}

#[tokio::test]
async fn a_passkey_alone_signs_in_and_tokens_and_record_say_so() {
    let gateway = shared::demo();
    let Enrolled { person, mut passkey, codes, mut browser } = enrolled(gateway).await;
    assert_eq!(codes.len(), 10);
    let (mut at_home, page) = sign_in(gateway, &mut passkey).await;
    assert!(is_signed_in(&page) && page.text().contains("a passkey was added"), "{}", page.text());
    let tokens = App::public(USER_SCOPE).tokens_in(gateway, &mut at_home, &person).await;
    for claims in [tokens.claims(), part(tokens.answer["id_token"].as_str().unwrap(), 1)] {
        assert_eq!((&claims["acr"], &claims["amr"]), (&json!("phr"), &json!(["pop", "user", "mfa"])));
    }
    let records = gateway.audit(&["--user", &person.name]);
    let signed_in = last(&records, "login");
    assert_eq!((&signed_in["acr"], &signed_in["detail"]["factor"]), (&json!("phr"), &json!("passkey")));
    let added = last(&records, "factor.add");
    assert_eq!(
        added["detail"],
        json!({ "factor": "passkey", "passkey": "synced", "recovery_codes": "10", "after": "password" })
    );
    let page = browser.get(gateway, "/account/factors").await;
    assert!(
        page.text().contains("10 of 10 are left") && page.text().contains("Last used"),
        "{}",
        page.text()
    );
    let shown: Value =
        serde_json::from_str(&gateway.command(&["user", "show", &person.name, "--output", "json"])).unwrap();
    assert_eq!((&shown["passkeys"], &shown["second_factors"]), (&json!(1), &json!(0)));
}

#[tokio::test]
async fn a05_after_the_password_a_passkey_or_a_recovery_code_is_asked_for_and_nothing_else_opens() {
    let gateway = shared::demo();
    let Enrolled { person, mut passkey, codes, .. } = enrolled(gateway).await;
    let mut browser = Browser::default();
    let page = browser.sign_in(gateway, &person).await;
    assert!(page.text().contains("Almost there"), "{}", page.text());
    assert!(!browser.cookies.contains_key("__Host-session"));
    for path in ["/account", "/account/factors", "/emergency"] {
        assert_eq!(browser.get(gateway, path).await.status, 303, "{path}");
    }
    let ask = Ask::of(&page, "/login/passkey");
    // The half sign-in lets nobody add a passkey of their own.
    let handle = &ask.fields.iter().find(|(name, _)| name == "sign_in").unwrap().1;
    assert_eq!(browser.get(gateway, &format!("/login/new-passkey?sign_in={handle}")).await.status, 400);
    let page = send(&mut browser, gateway, ask.call(&passkey.get(&ask.options), &[])).await;
    assert!(is_signed_in(&page), "{}", page.text());
    let tokens = App::public(USER_SCOPE).tokens_in(gateway, &mut browser, &person).await.claims();
    assert_eq!((&tokens["acr"], &tokens["amr"]), (&json!("phr"), &json!(["pwd", "pop", "user", "mfa"])));
    // Another's passkey is none of theirs, though it is good.
    let mut other = enrolled(gateway).await;
    let mut browser = Browser::default();
    let page = browser.sign_in(gateway, &person).await;
    let ask = Ask::of(&page, "/login/passkey");
    let page = send(&mut browser, gateway, ask.call(&other.passkey.get(&ask.options), &[])).await;
    assert!(page.text().contains(WRONG), "{}", page.text());
    let code = codes[0].replace('-', "");
    let fields: Vec<(&str, &str)> = ask.fields.iter().map(|(n, v)| (n.as_str(), v.as_str())).collect();
    let call = Call::form("/login/code", &[fields.as_slice(), &[("code", &code)]].concat());
    assert!(is_signed_in(&send(&mut browser, gateway, call).await));
    let tokens = App::public(USER_SCOPE).tokens_in(gateway, &mut browser, &person).await.claims();
    assert_eq!(tokens["acr"], TWO_FACTORS);
}

#[tokio::test]
async fn a08_what_was_signed_is_good_once_in_its_browser_for_its_ceremony() {
    let gateway = shared::demo();
    let Enrolled { mut passkey, .. } = enrolled(gateway).await;
    let (mut browser, ask) = at_sign_in(gateway).await;
    let brought = passkey.get(&ask.options);
    // Taken to another browser, with that one's own token against forgery.
    let (mut thief, theirs) = at_sign_in(gateway).await;
    assert!(send(&mut thief, gateway, theirs.call(&brought, &[])).await.text().contains(WRONG));
    assert!(is_signed_in(&send(&mut browser, gateway, ask.call(&brought, &[])).await));
    assert!(send(&mut browser, gateway, ask.call(&brought, &[])).await.text().contains(WRONG), "it was used");
    // Signed for here, and brought there.
    type Otherwise = fn(&mut SoftPasskey);
    let cases: [(&str, Otherwise); 4] = [
        ("no verified user", |p| p.flags &= !0b0000_0100),
        ("another origin", |p| p.origin = "https://evil.example".to_owned()),
        ("another relying party", |p| p.rp_id = Some("evil.example".to_owned())),
        ("another ceremony", |p| p.kind = Some("webauthn.create")),
    ];
    for (what, otherwise) in cases {
        let (flags, origin) = (passkey.flags, passkey.origin.clone());
        otherwise(&mut passkey);
        let (browser, page) = sign_in(gateway, &mut passkey).await;
        assert!(page.status == 200 && page.text().contains(WRONG), "{what}: {}", page.text());
        assert!(!browser.cookies.contains_key("__Host-session"), "{what}");
        (passkey.flags, passkey.origin, passkey.rp_id, passkey.kind) = (flags, origin, None, None);
        // Right again: five wrong ones in a row would be waited for.
        assert!(is_signed_in(&sign_in(gateway, &mut passkey).await.1), "{what}");
    }
}

#[tokio::test]
async fn a08_of_fifty_parallel_uses_of_a_signature_one_opens_a_session() {
    let gateway = shared::demo();
    let Enrolled { mut passkey, .. } = enrolled(gateway).await;
    let (browser, ask) = at_sign_in(gateway).await;
    let cookie = format!("__Host-browser={}", browser.cookies["__Host-browser"]);
    let brought = passkey.get(&ask.options);
    let answers = at_once(gateway, FIFTY, |_| ask.call(&brought, &[]).header("cookie", &cookie)).await;
    let sets_session = |answer: &&Answer| {
        let mut cookies = answer.headers.get_all("set-cookie").iter();
        cookies.any(|set| set.to_str().unwrap().starts_with("__Host-session="))
    };
    assert_eq!(answers.iter().filter(sets_session).count(), 1);
    assert!(answers.iter().all(|answer| matches!(answer.status, 200 | 303 | 429)));
}

#[tokio::test]
async fn a01_whether_nobody_has_a_passkey_or_it_does_not_do_the_answer_is_the_same() {
    let gateway = shared::demo();
    let Enrolled { person, mut passkey, .. } = enrolled(gateway).await;
    let (_, ask) = at_sign_in(gateway).await;
    assert!(ask.options.contains("\"allowCredentials\":[]"), "{}", ask.options);
    let mut unknown = soft(gateway, 1);
    unknown.user_handle = Some(vec![1; 32]);
    let unsigned = |page: &Answer| {
        // All but what is new with each page.
        let text = page.text();
        let (before, rest) = text.split_once("data-options=\"").unwrap();
        let (_, after) = rest.split_once('"').unwrap();
        let csrf = Ask::of(page, "/login/passkey").fields[0].1.clone();
        (page.status, format!("{before}{after}").replace(&csrf, ""))
    };
    let mut answers = Vec::new();
    answers.push(unsigned(&sign_in(gateway, &mut unknown).await.1));
    passkey.challenge = Some("AAAA".to_owned());
    answers.push(unsigned(&sign_in(gateway, &mut passkey).await.1));
    passkey.challenge = None;
    gateway.command(&["user", "disable", &person.name]);
    answers.push(unsigned(&sign_in(gateway, &mut passkey).await.1));
    let (mut browser, ask) = at_sign_in(gateway).await;
    answers.push(unsigned(&send(&mut browser, gateway, ask.call("{}", &[])).await));
    assert!(answers.iter().all(|answer| *answer == answers[0]), "{answers:#?}");
    let reasons: Vec<Value> = gateway
        .audit(&["--user", &person.name, "--event", "login.failed"])
        .iter()
        .map(|record| record["decision"]["reason"].clone())
        .collect();
    assert_eq!(reasons, [json!("passkey-challenge"), json!("user-disabled")]);
}

/// Wrong passwords under a name, until there is a pause.
async fn guess(gateway: &Gateway, name: &str) {
    let wrong = Person { name: name.to_owned(), password: "wrong-wrong-wrong".to_owned() };
    let begun = Instant::now();
    // Pauses double: once there is one of several seconds, it lasts for what comes next.
    for failures in 0.. {
        assert!(begun.elapsed() < Duration::from_secs(60), "there is no pause");
        while Browser::default().sign_in(gateway, &wrong).await.status == 429 {
            if failures > 7 {
                return;
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    }
}

#[tokio::test]
async fn a03_a_strangers_wrong_passwords_hold_up_no_passkey_and_get_no_new_tries_by_it() {
    let gateway = shared::demo();
    let Enrolled { person, mut passkey, .. } = enrolled(gateway).await;
    guess(gateway, &person.name).await;
    for _ in 0..2 {
        let page = sign_in(gateway, &mut passkey).await.1;
        assert!(is_signed_in(&page), "{} {}", page.status, page.text());
    }
    // Whoever guesses has no new tries by that: of two more at least one has to wait.
    let wrong = Person { name: person.name.clone(), password: "wrong-wrong-wrong".to_owned() };
    let mut statuses = Vec::new();
    for _ in 0..2 {
        statuses.push(Browser::default().sign_in(gateway, &wrong).await.status);
    }
    assert!(statuses.contains(&429), "{statuses:?}");
}

#[tokio::test]
async fn a_passkey_that_does_not_do_leaves_the_name_that_was_typed_on_the_page() {
    let gateway = shared::demo();
    let (mut browser, mut ask) = at_sign_in(gateway).await;
    ask.fields
        .iter_mut()
        .filter(|(name, _)| name == "username")
        .for_each(|(_, typed)| *typed = "erin".to_owned());
    let page = send(&mut browser, gateway, ask.call("{}", &[])).await;
    assert!(page.text().contains(WRONG) && page.text().contains("value=\"erin\""), "{}", page.text());
}

#[tokio::test]
async fn a03_wrong_passkeys_alone_count_against_nobodys_password() {
    let gateway = shared::demo();
    let Enrolled { person, mut passkey, .. } = enrolled(gateway).await;
    passkey.challenge = Some("AAAA".to_owned());
    for _ in 0..20 {
        let page = sign_in(gateway, &mut passkey).await.1;
        assert!(page.status == 200 && page.text().contains(WRONG), "{} {}", page.status, page.text());
    }
    let page = Browser::default().sign_in(gateway, &person).await;
    assert!(page.text().contains("Almost there"), "{} {}", page.status, page.text());
    let failed = gateway.audit(&["--user", &person.name, "--event", "login.failed"]);
    assert!(failed.iter().all(|record| record["decision"]["reason"] == "passkey-challenge"), "{failed:?}");
    assert_eq!(failed.len(), 20);
}

#[tokio::test]
async fn a03_after_the_password_passkeys_count_where_passwords_and_codes_do() {
    let gateway = shared::demo();
    let Enrolled { person, mut passkey, .. } = enrolled(gateway).await;
    let mut browser = Browser::default();
    let mut page = browser.sign_in(gateway, &person).await;
    passkey.challenge = Some("AAAA".to_owned());
    let begun = Instant::now();
    while page.status != 429 {
        assert!(begun.elapsed() < Duration::from_secs(60), "there is no pause");
        let ask = Ask::of(&page, "/login/passkey");
        page = send(&mut browser, gateway, ask.call(&passkey.get(&ask.options), &[])).await;
    }
    // Nothing is looked at, be it right: neither there nor where the password is asked for.
    let failed = gateway.audit(&["--user", &person.name, "--event", "login.failed"]);
    let reasons: Vec<&str> =
        failed.iter().map(|record| record["decision"]["reason"].as_str().unwrap()).collect();
    assert!(reasons.iter().filter(|reason| **reason == "passkey-challenge").count() >= 4, "{reasons:?}");
    assert_eq!(reasons.last(), Some(&"throttled"));
}

/// The page of something to be added, opened by a passkey that is shown once more.
async fn open(gateway: &Gateway, browser: &mut Browser, passkey: &mut SoftPasskey, change: &str) -> Answer {
    let page = browser.get(gateway, "/account/factors").await;
    let confirm = Ask::of(&page, "/account/factors");
    send(browser, gateway, confirm.call(&passkey.get(&confirm.options), &[("change", change)])).await
}

#[tokio::test]
async fn whoever_adds_an_application_by_a_passkey_goes_on_as_strongly_as_they_signed_in() {
    let gateway = shared::demo();
    let Enrolled { person, mut passkey, mut browser, .. } = enrolled(gateway).await;
    let page = open(gateway, &mut browser, &mut passkey, "add").await;
    let phone = Phone::scanned(&page);
    let page = browser.submit(gateway, &page, &[("code", &phone.code(0)), ("label", "phone")]).await;
    assert_eq!(page.status, 200, "{}", page.text());
    let mut signed_in = gateway.audit(&["--user", &person.name, "--event", "login"]);
    let last = signed_in.pop().unwrap();
    assert_eq!((&last["acr"], &last["amr"]), (&json!("phr"), &json!(["pop", "user", "otp", "mfa"])));
    let tokens = App::public(USER_SCOPE).tokens_in(gateway, &mut browser, &person).await.claims();
    assert_eq!((&tokens["acr"], &tokens["amr"]), (&json!("phr"), &json!(["pop", "user", "otp", "mfa"])));
}

#[tokio::test]
async fn a04_whoever_signs_out_leaves_nothing_open_for_the_next_at_their_screen() {
    let gateway = shared::demo();
    let Enrolled { person, mut passkey, mut browser, .. } = enrolled(gateway).await;
    let page = open(gateway, &mut browser, &mut passkey, "add").await;
    let phone = Phone::scanned(&page);
    let account = browser.get(gateway, "/account").await;
    browser.submit(gateway, &account, &[]).await;
    assert_eq!(browser.get(gateway, "/account").await.status, 303, "signed out");
    let page = browser.submit(gateway, &page, &[("code", &phone.code(0)), ("label", "mine")]).await;
    assert_eq!(page.status, 400, "{}", page.text());
    let added = gateway.audit(&["--user", &person.name, "--event", "factor.add"]);
    assert_eq!(added.len(), 1, "the passkey alone");
}

#[tokio::test]
async fn a08_a_copied_passkey_is_put_out_of_use_and_its_person_told() {
    let gateway = shared::demo();
    let Enrolled { person, mut passkey, codes, .. } = enrolled(gateway).await;
    // Of an authenticator that counts, on one device: another one.
    let mut counting = soft(gateway, number_of(&format!("{} counts", person.name)));
    (counting.flags, counting.sign_count) = (DEVICE_BOUND, 10);
    let (mut browser, _) = sign_in(gateway, &mut passkey).await;
    let page = browser.get(gateway, "/account/factors").await;
    let confirm = Ask::of(&page, "/account/factors");
    let brought = passkey.get(&confirm.options);
    let page = send(&mut browser, gateway, confirm.call(&brought, &[("change", "add-passkey")])).await;
    let ask = Ask::of(&page, "/login/new-passkey");
    assert!(ask.options.contains(&chartgate_protocol::base64url::encode(&passkey.credential_id)), "excluded");
    let made = counting.create(&ask.options);
    let page = send(&mut browser, gateway, ask.call(&made, &[])).await;
    assert!(page.text().contains("Show it once"), "codes in a drawer stay good: {}", page.text());
    let ask = Ask::of(&page, "/login/passkey");
    send(&mut browser, gateway, ask.call(&counting.get(&ask.options), &[])).await;

    // A form that is sent twice is no copy.
    let (mut twice, ask) = at_sign_in(gateway).await;
    let brought = counting.get(&ask.options);
    assert!(is_signed_in(&send(&mut twice, gateway, ask.call(&brought, &[])).await));
    assert!(send(&mut twice, gateway, ask.call(&brought, &[])).await.text().contains(WRONG));
    let suspected = ["--user", person.name.as_str(), "--event", "factor.clone-suspected"];
    assert_eq!(gateway.audit(&suspected), [json!(null); 0]);

    let copied_at = counting.sign_count;
    let (mut thief, page) = sign_in(gateway, &mut counting).await;
    assert!(is_signed_in(&page));
    let opened = open(gateway, &mut thief, &mut counting, "add-passkey").await;
    let app = App::public("openid offline_access user/*.rs");
    let taken = app.tokens_in(gateway, &mut thief, &person).await;
    counting.sign_count = copied_at;
    assert!(sign_in(gateway, &mut counting).await.1.text().contains(WRONG), "its counter went back");
    assert_eq!(thief.get(gateway, "/account").await.status, 303, "what either of two opened ends");
    let lasting = app.refresh_call(taken.refresh()).to(gateway).await;
    assert_eq!(lasting.json()["error"], "invalid_grant", "and what would outlive it: {}", lasting.text());
    let ask = Ask::of(&opened, "/login/new-passkey");
    let made = soft(gateway, number_of(&format!("{} thief", person.name))).create(&ask.options);
    let page = send(&mut thief, gateway, ask.call(&made, &[])).await;
    assert_eq!(page.status, 400, "what it opened for another one too: {}", page.text());
    counting.sign_count = 1000;
    assert!(sign_in(gateway, &mut counting).await.1.text().contains(WRONG), "it is out of use");
    assert_eq!(gateway.audit(&suspected).len(), 1);
    let (mut browser, page) = sign_in(gateway, &mut passkey).await;
    assert!(page.text().contains("a passkey was put out of use"), "{}", page.text());
    let page = browser.get(gateway, "/account/factors").await;
    assert!(page.text().contains("Out of use since"), "{}", page.text());

    // With the other one gone, whoever knows the password has to show something still.
    let other = other_than_suspected(&page);
    let confirm = Ask::of(&page, "/account/factors");
    let brought = passkey.get(&confirm.options);
    let removed = send(&mut browser, gateway, confirm.call(&brought, &[("change", &other)])).await;
    assert!(removed.text().contains("a passkey was removed"), "{}", removed.text());
    let mut browser = Browser::default();
    let page = browser.sign_in(gateway, &person).await;
    assert!(!Ask::is_there(&page, "/login/passkey"), "{}", page.text());
    let page = browser.submit(gateway, &page, &[("code", &codes[1].replace('-', ""))]).await;
    assert!(is_signed_in(&page), "{}", page.text());
}

/// The button that removes the first passkey of the page: the older one.
pub(crate) fn other_than_suspected(page: &Answer) -> String {
    let (_, rest) = page.text().split_once("value=\"remove-").unwrap();
    format!("remove-{}", rest.split('"').next().unwrap())
}

#[tokio::test]
async fn a07_what_one_signs_in_with_is_changed_with_what_one_has_and_on_record() {
    let gateway = shared::demo();
    let Enrolled { person, mut passkey, codes, mut browser } = enrolled(gateway).await;
    let page = browser.get(gateway, "/account/factors").await;
    let confirm = Ask::of(&page, "/account/factors");
    let id = other_than_suspected(&page).replace("remove-", "");
    // The password alone does nothing, nor a passkey that signed something else.
    for (brought, more) in [
        (String::new(), vec![("password", person.password.as_str()), ("change", "add-passkey")]),
        // What can be phished gets nobody what cannot.
        (
            String::new(),
            vec![
                ("password", person.password.as_str()),
                ("code", codes[0].as_str()),
                ("change", "add-passkey"),
            ],
        ),
        (String::new(), vec![("password", person.password.as_str()), ("code", ""), ("change", "recovery")]),
        ("{}".to_owned(), vec![("change", "add-passkey")]),
        (passkey.get(&at_sign_in(gateway).await.1.options), vec![("change", "add-passkey")]),
    ] {
        let page = send(&mut browser, gateway, confirm.call(&brought, &more)).await;
        assert!(page.text().contains("role=\"alert\" id=\"problem\""), "{}", page.text());
        assert!(!Ask::is_there(&page, "/login/new-passkey"));
    }
    // Neither is right in another session of the same person's.
    let (mut elsewhere, _) = sign_in(gateway, &mut passkey).await;
    let there = Ask::of(&elsewhere.get(gateway, "/account/factors").await, "/account/factors");
    let brought = passkey.get(&confirm.options);
    let page = send(&mut elsewhere, gateway, there.call(&brought, &[("change", "add-passkey")])).await;
    assert!(page.text().contains("That passkey did not do"), "{}", page.text());
    // A right one changes one thing.
    let rename = [("change", format!("rename-{id}")), ("label", "The one at home".to_owned())];
    let rename: Vec<(&str, &str)> = rename.iter().map(|(n, v)| (*n, v.as_str())).collect();
    let page = send(&mut browser, gateway, confirm.call("", &rename)).await;
    assert!(page.text().contains("The one at home") && !page.text().contains("laptop"), "{}", page.text());
    let remove = format!("remove-{id}");
    let brought = passkey.get(&confirm.options);
    let page = send(&mut browser, gateway, confirm.call(&brought, &[("change", &remove)])).await;
    assert!(page.text().contains("No second factor"), "{}", page.text());
    let again = send(&mut browser, gateway, confirm.call(&brought, &[("change", "add-passkey")])).await;
    assert!(!Ask::is_there(&again, "/login/new-passkey"), "{}", again.text());
    assert!(sign_in(gateway, &mut passkey).await.1.text().contains(WRONG), "it was removed");
    // The codes went with it: the password signs in, and they do nothing more.
    assert!(is_signed_in(&Browser::default().sign_in(gateway, &person).await));
    assert_eq!(codes.len(), 10);
    let records = gateway.audit(&["--user", &person.name]);
    let of = |event: &str, outcome: &str| {
        records.iter().filter(|r| r["event"] == event && r["outcome"] == outcome).count()
    };
    assert_eq!((of("factor.add", "allow"), of("factor.add", "deny")), (1, 6));
    assert_eq!((of("factor.rename", "allow"), of("factor.remove", "allow")), (1, 1));
    assert_eq!(last(&records, "factor.remove")["detail"]["factor"], "passkey");
}

#[tokio::test]
async fn a07_what_is_added_says_which_passkey_opened_the_way() {
    let gateway = shared::demo();
    let Enrolled { person, mut passkey, mut browser, .. } = enrolled(gateway).await;
    let added = || {
        let mut records = gateway.audit(&["--user", &person.name, "--event", "factor.add"]);
        records.retain(|record| record["outcome"] == "allow");
        records
    };
    let first = added()[0].clone();
    assert_eq!(first["detail"].get("after_passkey"), None, "a password opened the way to the first one");
    let page = browser.get(gateway, "/account/factors").await;
    let confirm = Ask::of(&page, "/account/factors");
    let more = [("change", "add-passkey")];
    let page = send(&mut browser, gateway, confirm.call(&passkey.get(&confirm.options), &more)).await;
    let ask = Ask::of(&page, "/login/new-passkey");
    // Nobody else's: names follow one another, and so do their numbers.
    let made = soft(gateway, !number_of(&person.name)).create(&ask.options);
    send(&mut browser, gateway, ask.call(&made, &[("label", "Second")])).await;
    let second = added()[1].clone();
    assert_eq!(second["detail"]["after"], "passkey");
    assert_eq!(second["detail"]["after_passkey"], first["resource"]);
    assert_ne!(second["resource"], first["resource"]);
    // A sign-in that shows it and then adds a phone by it says so too.
    let (mut phone, _) = sign_in(gateway, &mut passkey).await;
    let page = phone.get(gateway, "/approve/phone").await;
    let confirm = Ask::of(&page, "/approve/phone");
    let more = [("label", "Night phone"), ("change", "add")];
    send(&mut phone, gateway, confirm.call(&passkey.get(&confirm.options), &more)).await;
    let third = added()[2].clone();
    assert_eq!(
        (&third["detail"]["factor"], &third["detail"]["after_passkey"]),
        (&json!("phone"), &first["resource"])
    );
}

#[tokio::test]
async fn a07_a_passkey_is_made_in_its_browser_for_its_enrolment_and_ends_everything_else() {
    let gateway = shared::demo();
    let person = gateway.person("physician", &[]);
    let (mut browser, mut other) = (Browser::default(), Browser::default());
    let mut asks = Vec::new();
    for browser in [&mut browser, &mut other] {
        browser.sign_in(gateway, &person).await;
        let page = browser.get(gateway, "/account/factors").await;
        let fields = [("password", person.password.as_str()), ("change", "add-passkey")];
        asks.push(Ask::of(&browser.submit(gateway, &page, &fields).await, "/login/new-passkey"));
    }
    let mut passkey = soft(gateway, number_of(&person.name));
    let theirs = passkey.create(&asks[1].options);
    let page = send(&mut browser, gateway, asks[0].call(&theirs, &[])).await;
    assert!(page.text().contains("could not be added"), "the challenge of another: {}", page.text());
    assert_eq!(
        send(&mut other, gateway, asks[0].call(&passkey.create(&asks[0].options), &[])).await.status,
        400
    );
    // Of many at once one is added.
    let cookie = format!("__Host-browser={}", browser.cookies["__Host-browser"]);
    let made = passkey.create(&asks[0].options);
    let answers = at_once(gateway, FIFTY, |_| asks[0].call(&made, &[]).header("cookie", &cookie)).await;
    assert_eq!(answers.iter().filter(|answer| answer.text().contains("Your recovery codes")).count(), 1);
    // Whoever began with the password alone cannot go on, and is not signed in.
    assert_eq!(send(&mut other, gateway, asks[1].call(&theirs, &[])).await.status, 400);
    assert_eq!(other.get(gateway, "/account").await.status, 303);
    let records = gateway.audit(&["--user", &person.name, "--event", "factor.add"]);
    let outcomes: Vec<_> = records.iter().map(|r| (&r["outcome"], &r["decision"]["reason"])).collect();
    let (deny, allow) = (json!("deny"), json!("allow"));
    assert_eq!(outcomes, [(&deny, &json!("passkey-challenge")), (&allow, &Value::Null)]);
    // A passkey is one person's.
    let stranger = gateway.person("physician", &[]);
    let mut browser = Browser::default();
    browser.sign_in(gateway, &stranger).await;
    let page = browser.get(gateway, "/account/factors").await;
    let fields = [("password", stranger.password.as_str()), ("change", "add-passkey")];
    let ask = Ask::of(&browser.submit(gateway, &page, &fields).await, "/login/new-passkey");
    assert_eq!(send(&mut browser, gateway, ask.call(&passkey.create(&ask.options), &[])).await.status, 400);
}

#[tokio::test]
async fn an_administrator_takes_passkeys_away_with_all_that_is_open() {
    let gateway = shared::demo();
    let Enrolled { person, mut passkey, mut browser, .. } = enrolled(gateway).await;
    gateway.command(&["user", "reset-mfa", &person.name]);
    assert_eq!(browser.get(gateway, "/account").await.status, 303);
    assert!(sign_in(gateway, &mut passkey).await.1.text().contains(WRONG));
    assert!(is_signed_in(&Browser::default().sign_in(gateway, &person).await));
}

#[tokio::test]
async fn scripts_are_a_file_of_ours_on_pages_with_passkeys_alone() {
    let gateway = shared::demo();
    let mut browser = Browser::default();
    let page = browser.get(gateway, "/login").await;
    let policy = page.header("content-security-policy");
    assert!(policy.contains("default-src 'none'") && policy.contains("script-src 'self';"), "{policy}");
    assert!(!policy.contains("unsafe") && !policy.contains("connect-src"), "{policy}");
    assert_eq!(page.text().matches("<script").count(), 1);
    assert!(page.text().contains("<script src=\"/assets/passkeys.js\" defer></script>"));
    let script = browser.get(gateway, "/assets/passkeys.js").await;
    assert_eq!(script.header("content-type"), "text/javascript; charset=utf-8");
    browser.sign_in(gateway, &gateway.person("physician", &[])).await;
    let account = browser.get(gateway, "/account").await;
    assert!(!account.header("content-security-policy").contains("script-src"));
    // Who is not a browser of ours sends nothing.
    let (mut browser, ask) = at_sign_in(gateway).await;
    let forged = Ask { fields: vec![("csrf".to_owned(), "x".to_owned())], ..ask };
    assert_eq!(send(&mut browser, gateway, forged.call("{}", &[])).await.status, 400);
}

/// An authorization request that asks for this.
pub(crate) fn asking(app: &App<'_>, gateway: &Gateway, name: &'static str, text: &str) -> String {
    let mut request = app.request(gateway);
    request.push((name, text.to_owned()));
    let fields: Vec<(&str, &str)> = request.iter().map(|(name, value)| (*name, value.as_str())).collect();
    format!("/authorize?{}", encode(&fields))
}

/// The `acr` of the tokens that come of a request, in a browser that is signed in well enough.
async fn acr(app: &App<'_>, gateway: &Gateway, browser: &mut Browser, person: &Person, start: &str) -> Value {
    let redirect = browser.lead(gateway, start, person, None).await;
    let code = redirect.get("code").unwrap_or_else(|| panic!("{redirect:?}"));
    let tokens = app.exchange_call(&code).to(gateway).await.json();
    let access = part(tokens["access_token"].as_str().unwrap(), 1);
    assert_eq!(access["acr"], part(tokens["id_token"].as_str().unwrap(), 1)["acr"]);
    access["acr"].clone()
}

#[tokio::test]
async fn who_asks_for_phr_gets_a_passkey_and_who_asks_for_less_hears_the_word_that_they_know() {
    let gateway = shared::demo();
    let app = App::public(USER_SCOPE);
    let discovery = Call::get("/.well-known/openid-configuration").to(gateway).await.json();
    assert_eq!(discovery["acr_values_supported"], json!([TWO_FACTORS, "phr"]));
    let Enrolled { person, mut passkey, codes, .. } = enrolled(gateway).await;
    // With password and recovery code, less than what is wanted.
    let mut browser = Browser::default();
    let page = browser.sign_in(gateway, &person).await;
    let code = codes[0].replace('-', "");
    let fields = Ask::of(&page, "/login/passkey").fields;
    let fields: Vec<(&str, &str)> = fields.iter().map(|(n, v)| (n.as_str(), v.as_str())).collect();
    let call = Call::form("/login/code", &[fields.as_slice(), &[("code", &code)]].concat());
    assert!(is_signed_in(&send(&mut browser, gateway, call).await));
    let before = browser.cookies["__Host-session"].clone();
    let step_up = asking(&app, gateway, "acr_values", "phr");
    let refused = browser.follow(gateway, &format!("{step_up}&prompt=none")).await;
    assert!(refused.header("location").contains("error=login_required"), "{}", refused.header("location"));
    // After the password a code is not enough there.
    let page = browser.follow(gateway, &step_up).await;
    let ask = Ask::of(&page, "/login/passkey");
    let filled = [("username", person.name.as_str()), ("password", person.password.as_str())];
    let asked = browser.submit(gateway, &page, &filled).await;
    assert!(asked.text().contains("<h1>Your passkey</h1>"), "{}", asked.text());
    let half = Ask::of(&asked, "/login/passkey").fields;
    let half: Vec<(&str, &str)> = half.iter().map(|(n, v)| (n.as_str(), v.as_str())).collect();
    let code = codes[1].replace('-', "");
    let call = Call::form("/login/code", &[half.as_slice(), &[("code", &code)]].concat());
    assert!(send(&mut browser, gateway, call).await.text().contains("Here a code is not enough"));
    let page = send(&mut browser, gateway, ask.call(&passkey.get(&ask.options), &[])).await;
    assert!(page.text().contains("action=\"/login/consent\""), "{}", page.text());
    assert_ne!(browser.cookies["__Host-session"], before, "a new id with the rise");

    let essential =
        |acr: &str| format!(r#"{{"id_token":{{"acr":{{"essential":true,"values":["{acr}"]}}}}}}"#);
    for (name, text, said) in [
        ("acr_values", "phr".to_owned(), "phr"),
        ("acr_values", TWO_FACTORS.to_owned(), TWO_FACTORS),
        ("acr_values", format!("{TWO_FACTORS} phr"), "phr"),
        ("acr_values", "gold".to_owned(), "phr"),
        ("claims", essential(TWO_FACTORS), TWO_FACTORS),
        ("claims", essential("phr"), "phr"),
        ("max_age", "3600".to_owned(), "phr"),
    ] {
        let start = asking(&app, gateway, name, &text);
        assert_eq!(acr(&app, gateway, &mut browser, &person, &start).await, said, "{name}={text}");
    }
    let start = asking(&app, gateway, "claims", &essential("phrh"));
    let unmet = browser.get(gateway, &start).await;
    assert!(unmet.header("location").contains("unmet_authentication_requirements"));
}

/// Changes the configuration: privacy officers need a passkey, and every route wants one of these.
async fn require(gateway: &Gateway, acr: &str, in_force: impl AsyncFn() -> bool) {
    let text = std::fs::read_to_string(gateway.config()).unwrap();
    let (before, wanted) = text.split_once("\n[sign_in]").unwrap_or((&text, ""));
    assert!(wanted.lines().count() < 3, "only what was added here");
    let routes: Vec<&str> = before.lines().filter(|line| !line.starts_with("acr_values")).collect();
    let routes = routes.join("\n").replace("[[route]]\n", &format!("[[route]]\nacr_values = [\"{acr}\"]\n"));
    let roles = "[sign_in]\nphishing_resistant_roles = [\"privacy-officer\"]\n";
    std::fs::write(gateway.config(), format!("{routes}\n{roles}")).unwrap();
    gateway.hang_up();
    let begun = Instant::now();
    while !in_force().await {
        assert!(begun.elapsed() < Duration::from_secs(60), "{}", gateway.output());
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}

#[tokio::test]
async fn a05_where_a_passkey_is_needed_less_opens_nothing_and_one_is_enrolled_first() {
    let gateway = &Gateway::demo("passkeys-required", &[]);
    let (pia, nils) = (gateway.demo_person("pia"), gateway.demo_person("nils"));
    let (mut at_pia, mut at_nils) = (Browser::default(), Browser::default());
    assert!(is_signed_in(&at_pia.sign_in(gateway, &pia).await));
    let plain = App::public(USER_SCOPE).tokens(gateway, &gateway.demo_person("dana")).await;
    assert!(is_signed_in(&at_nils.sign_in(gateway, &nils).await));
    require(gateway, "phr", async || at_pia.clone().get(gateway, "/account").await.status == 303).await;

    let page = at_pia.sign_in(gateway, &pia).await;
    assert!(page.text().contains("needs a passkey, and you have none yet"), "{}", page.text());
    for path in ["/account", "/account/factors", "/emergency/reviews"] {
        assert_eq!(at_pia.get(gateway, path).await.status, 303, "{path}");
    }
    let mut passkey = soft(gateway, 1);
    let ask = Ask::of(&page, "/login/new-passkey");
    let page = send(&mut at_pia, gateway, ask.call(&passkey.create(&ask.options), &[])).await;
    let (codes, page) = after_making(gateway, &mut at_pia, page).await;
    let ask = Ask::of(&page, "/login/passkey");
    assert!(is_signed_in(&send(&mut at_pia, gateway, ask.call(&passkey.get(&ask.options), &[])).await));
    let settings = at_pia.get(gateway, "/account/factors").await;
    let remove = other_than_suspected(&settings);
    let fields = [("password", pia.password.as_str()), ("code", &codes[0]), ("change", &remove)];
    let confirm = Ask::of(&settings, "/account/factors");
    let refused = send(&mut at_pia, gateway, confirm.call("", &fields)).await;
    assert!(refused.text().contains("add another one before you remove the last"), "{}", refused.text());

    // RFC 9470: a route that wants a passkey says so, and its application asks for it.
    let read = |token: &str| Call::get("/fhir/Patient").bearer(token);
    let answer = read(&plain.access).to(gateway).await;
    assert_eq!(answer.status, 401);
    for part in ["insufficient_user_authentication", "acr_values=\"phr\""] {
        assert!(answer.header("www-authenticate").contains(part), "{}", answer.header("www-authenticate"));
    }
    let app = App::public(USER_SCOPE);
    let page = at_nils.follow(gateway, &asking(&app, gateway, "acr_values", "phr")).await;
    let filled = [("username", nils.name.as_str()), ("password", nils.password.as_str())];
    let page = at_nils.submit(gateway, &page, &filled).await;
    let mut passkey = soft(gateway, 2);
    let ask = Ask::of(&page, "/login/new-passkey");
    let page = send(&mut at_nils, gateway, ask.call(&passkey.create(&ask.options), &[])).await;
    let (_, page) = after_making(gateway, &mut at_nils, page).await;
    let ask = Ask::of(&page, "/login/passkey");
    let call = ask.call(&passkey.get(&ask.options), &[]);
    let answer = at_nils.send(gateway, call).await;
    let target = answer.header("location").to_owned();
    assert!(target.starts_with("/authorize/continue"), "{target}");
    let redirect = at_nils.lead(gateway, &target, &nils, None).await;
    let form = Form::parse(redirect.location.split_once('?').unwrap().1).unwrap();
    let tokens = app.exchange_call(form.get("code").unwrap()).to(gateway).await.json();
    let access = tokens["access_token"].as_str().unwrap();
    assert_eq!(read(access).to(gateway).await.status, 200);
    // What is more than a route wants is enough, and less is not.
    let challenge = async || read(&plain.access).to(gateway).await.header("www-authenticate").to_owned();
    require(gateway, TWO_FACTORS, async || challenge().await.contains(TWO_FACTORS)).await;
    assert_eq!(part(access, 1)["acr"], "phr");
    assert_eq!(read(access).to(gateway).await.status, 200);
    assert_eq!(read(&plain.access).to(gateway).await.status, 401);
    require(gateway, "phrh", async || challenge().await.contains("\"phrh\"")).await;
    assert_eq!(read(access).to(gateway).await.status, 401, "more than anybody here can show");
}

#[tokio::test]
async fn a_session_is_idle_for_as_long_as_how_strongly_it_began_allows() {
    let config = "CHARTGATE_SESSIONS__PHISHING_RESISTANT__IDLE_TIMEOUT=1h";
    let gateway = &Gateway::demo_in(Scratch::new("session-limits"), &[], &["env", config]);
    let Enrolled { mut browser, .. } = enrolled(gateway).await;
    let weak = gateway.person("physician", &[]);
    let mut weakly = Browser::default();
    weakly.sign_in(gateway, &weak).await;
    let database = rusqlite::Connection::open(gateway.folder().join("data/chartgate.db")).unwrap();
    // As if nobody had been there for half an hour.
    let text = "UPDATE sessions SET last_seen = last_seen - 1800000000, auth_time = auth_time - 1800000000";
    database.execute(text, []).unwrap();
    assert_eq!(browser.get(gateway, "/account").await.status, 200);
    assert_eq!(weakly.get(gateway, "/account").await.status, 303);
}
