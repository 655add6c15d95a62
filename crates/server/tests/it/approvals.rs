//! What waits for people's answers, on their phone: row O20 of the corpus, and what must not show to others.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use aws_lc_rs::digest::{SHA256, digest};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use chartgate_protocol::webauthn::authenticator::SoftPasskey;
use serde_json::{Value, json};

use crate::browser::{App, Browser, Tokens, form_of};
use crate::ciba::{ask, ask_call, desk, poll, register};
use crate::gateway::{Gateway, Person};
use crate::outside_clients::{has, succeed};
use crate::parallel::{FIFTY, at_once};
use crate::passkeys::{self, Ask, send};
use crate::second_factors::{Enrolled, at_the_code, enrolled};
use crate::shared;
use crate::watching::until_found;
use crate::wire::{Answer, Call};

/// Somebody who is signed in with a password alone.
async fn signed_in(gateway: &Gateway) -> (Person, Browser) {
    let person = gateway.person("physician", &[]);
    let mut browser = Browser::default();
    browser.sign_in(gateway, &person).await;
    (person, browser)
}

/// Says this to a question, by the form that its page has.
pub(crate) async fn say(gateway: &Gateway, browser: &mut Browser, id: &str, decision: &str) -> Answer {
    let page = browser.get(gateway, &format!("/approve/question?id={id}")).await;
    assert_eq!(page.status, 200, "{}", page.text());
    let (_, hidden) = form_of(&page);
    let csrf = hidden.iter().find(|(name, _)| name == "csrf").unwrap().1.clone();
    let fields = [("csrf", csrf.as_str()), ("id", id), ("decision", decision)];
    browser.send(gateway, Call::form("/approve/question", &fields)).await
}

pub(crate) fn last(gateway: &Gateway, event: &str, of: &str) -> Value {
    let records = gateway.audit(&["--event", event]);
    let found = records.iter().rfind(|record| record["detail"]["user"] == of);
    found.unwrap_or_else(|| panic!("no {event} of {of}")).clone()
}

pub(crate) fn hash(text: &str) -> String {
    URL_SAFE_NO_PAD.encode(digest(&SHA256, text.as_bytes()))
}

/// Somebody with a passkey and a phone that is not woken.
pub(crate) struct Held {
    pub(crate) person: Person,
    pub(crate) passkey: SoftPasskey,
    pub(crate) codes: Vec<String>,
    pub(crate) phone: Browser,
}

pub(crate) async fn with_phone(gateway: &Gateway) -> Held {
    let passkeys::Enrolled { person, mut passkey, codes, browser: mut phone } =
        passkeys::enrolled(gateway).await;
    let page = phone.get(gateway, "/approve/phone").await;
    let ask = Ask::of(&page, "/approve/phone");
    let more = [("label", "Night phone"), ("change", "add")];
    let page = send(&mut phone, gateway, ask.call(&passkey.get(&ask.options), &more)).await;
    assert!(page.text().contains("This is “Night phone”"), "{}", page.text());
    assert!(phone.cookies.contains_key("__Host-phone"));
    Held { person, passkey, codes, phone }
}

/// What comes of a code, from the page that asks for it.
pub(crate) async fn with_code(gateway: &Gateway, browser: &mut Browser, page: &Answer, code: &str) -> Answer {
    let (_, hidden) = form_of(page);
    let fields = hidden.iter().filter(|(name, _)| name != "credential");
    let mut fields: Vec<(&str, &str)> = fields.map(|(name, value)| (name.as_str(), value.as_str())).collect();
    fields.push(("code", code));
    send(browser, gateway, Call::form("/login/code", &fields)).await
}

/// A browser in which somebody has shown a code, and that was closed since.
pub(crate) async fn known_browser(gateway: &Gateway, person: &Person, code: &str) -> Browser {
    let mut browser = Browser::default();
    let page = browser.sign_in(gateway, person).await;
    let page = with_code(gateway, &mut browser, &page, code).await;
    assert!(page.text().contains("<h1>Signed in as "), "{}", page.text());
    browser.close();
    browser
}

/// The page after the password, in a browser where somebody with these recovery codes was seen.
async fn after_the_password(gateway: &Gateway, person: &Person, codes: &[String]) -> (Browser, Answer) {
    let mut browser = known_browser(gateway, person, &codes[9]).await;
    let page = browser.sign_in(gateway, person).await;
    assert!(page.text().contains("Approve on your phone instead"), "{}", page.text());
    (browser, page)
}

/// Says yes to a question, with this passkey and this number.
pub(crate) async fn say_yes(
    gateway: &Gateway,
    phone: &mut Browser,
    passkey: &mut SoftPasskey,
    id: &str,
    number: &str,
) -> Answer {
    let page = phone.get(gateway, &format!("/approve/question?id={id}")).await;
    let ask = Ask::of(&page, "/approve/question");
    let more: &[(&str, &str)] = if number.is_empty() { &[] } else { &[("number", number)] };
    phone.send(gateway, ask.call(&passkey.get(&ask.options), more)).await
}

/// Goes on where a yes was waited for.
pub(crate) fn go_on(page: &Answer) -> Vec<(String, String)> {
    let (_, mut fields) = form_of(page);
    fields.push(("act".to_owned(), "go-on".to_owned()));
    fields
}

pub(crate) fn borrowed(fields: &[(String, String)]) -> Vec<(&str, &str)> {
    fields.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect()
}

/// Asks for a yes on the phone, from the page of the code.
pub(crate) async fn ask_phone(gateway: &Gateway, browser: &mut Browser, page: &Answer) -> Answer {
    let (_, hidden) = form_of(page);
    let mut fields: Vec<(&str, &str)> =
        hidden.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect();
    fields.push(("act", "ask"));
    let answer = browser.send(gateway, Call::form("/login/phone", &fields)).await;
    if answer.status != 303 {
        return answer;
    }
    let to = answer.header("location").to_owned();
    browser.get(gateway, &to).await
}

/// The number that a page shows.
pub(crate) fn number(page: &Answer) -> String {
    let (_, rest) = page.text().split_once("class=\"number\">").unwrap_or_else(|| panic!("{}", page.text()));
    rest.split('<').next().unwrap().to_owned()
}

/// The one question that waits for whoever looks.
pub(crate) async fn waiting(gateway: &Gateway, browser: &mut Browser) -> String {
    let page = browser.get(gateway, "/approve").await;
    let (_, rest) =
        page.text().split_once("/approve/question?id=").unwrap_or_else(|| panic!("{}", page.text()));
    rest.split('"').next().unwrap().to_owned()
}

#[tokio::test]
async fn a_person_sees_what_an_application_asks_of_them_and_says_no() {
    let gateway = shared::demo();
    let secret = register(gateway, "desk-page", &[]);
    let app = desk("desk-page", &secret);
    let (person, mut phone) = signed_in(gateway).await;
    let before = phone.get(gateway, "/approve/state").await.text().to_owned();
    let fields =
        [("login_hint", person.name.as_str()), ("binding_message", "Desk 9"), ("purpose_of_use", "TREAT")];
    let asked = ask(gateway, &app, &fields).await;
    assert_ne!(
        phone.get(gateway, "/approve/state").await.text(),
        before,
        "the page hears that there is something"
    );
    let list = phone.get(gateway, "/approve").await;
    assert!(list.text().contains("The application desk-page"), "{}", list.text());
    let policy = list.header("content-security-policy");
    assert!(policy.contains("script-src 'self';") && !policy.contains("unsafe"), "{policy}");
    let page = phone.get(gateway, &format!("/approve/question?id={asked}")).await;
    for line in ["<dd>“Desk 9”</dd>", "<dd>For treatment</dd>", "<dd>All that you may see</dd>", "<dd>127."]
    {
        assert!(page.text().contains(line), "{line}: {}", page.text());
    }
    let answer = say(gateway, &mut phone, &asked, "deny").await;
    assert_eq!((answer.status, answer.text().contains("<h1>Denied</h1>")), (200, true));
    assert_eq!(poll(&app, &asked).to(gateway).await.error(), "access_denied");
    let gone = phone.get(gateway, &format!("/approve/question?id={asked}")).await;
    assert_eq!(gone.status, 410, "it is answered once");

    let record = last(gateway, "approval.deny", &person.name);
    let text = record["detail"]["displayed_text"].as_str().unwrap();
    assert!(text.contains("\nMessage: “Desk 9”\n"), "{text}");
    assert_eq!(record["detail"]["displayed_text_hash"], hash(text));
    assert_eq!((&record["actor"]["sub"], &record["resource"]), (&json!(person.name), &json!(asked)));
    let put = last(gateway, "approval.request", &person.name);
    assert_eq!(
        put["detail"]["displayed_text_hash"], record["detail"]["displayed_text_hash"],
        "what was asked was shown"
    );
}

#[tokio::test]
async fn o20_a_question_is_its_own_persons_and_nobody_answers_for_another() {
    let gateway = shared::demo();
    let secret = register(gateway, "desk-whose", &[]);
    let app = desk("desk-whose", &secret);
    let (person, mut own) = signed_in(gateway).await;
    let (_, mut other) = signed_in(gateway).await;
    let mut officer = Browser::default();
    officer.sign_in(gateway, &gateway.person("privacy-officer", &[])).await;
    let asked = ask(gateway, &app, &[("login_hint", &person.name)]).await;
    let address = format!("/approve/question?id={asked}");
    for stranger in [&mut other, &mut officer] {
        assert!(!stranger.get(gateway, "/approve").await.text().contains(&asked));
        assert_eq!(stranger.get(gateway, &address).await.status, 410);
        let page = stranger.get(gateway, "/approve/phone").await;
        let (_, hidden) = form_of(&page);
        let csrf = hidden.iter().find(|(name, _)| name == "csrf").unwrap().1.clone();
        for decision in ["deny", "approve", "report"] {
            let fields = [("csrf", csrf.as_str()), ("id", asked.as_str()), ("decision", decision)];
            let answer = stranger.send(gateway, Call::form("/approve/question", &fields)).await;
            assert_eq!(answer.status, 410, "{decision}");
        }
    }
    let nobody = Browser::default().get(gateway, &address).await;
    assert_eq!(nobody.header("location"), format!("/login?then=question-{asked}"));
    assert_eq!(Browser::default().get(gateway, "/approve/state").await.status, 401);
    // A form that another page sends (ATTACKS O31).
    let forged =
        own.send(gateway, Call::form("/approve/question", &[("id", &asked), ("decision", "deny")])).await;
    assert_eq!(forged.status, 400);
    assert_eq!(poll(&app, &asked).to(gateway).await.error(), "authorization_pending", "it still waits");
}

#[tokio::test]
async fn o20_what_is_reported_is_a_finding_for_privacy_officers() {
    let gateway = Gateway::demo("approval-report", &[]);
    let secret = register(&gateway, "desk-report", &[]);
    let app = desk("desk-report", &secret);
    let (person, mut phone) = signed_in(&gateway).await;
    let asked = ask(&gateway, &app, &[("login_hint", &person.name)]).await;
    let answer = say(&gateway, &mut phone, &asked, "report").await;
    assert!(answer.text().contains("<h1>Denied and reported</h1>"), "{}", answer.text());
    assert_eq!(poll(&app, &asked).to(&gateway).await.error(), "access_denied");
    let found = until_found(&gateway, "unwanted-approval", 1).await;
    assert_eq!(found.len(), 1);
    let record = last(&gateway, "approval.report", &person.name);
    let finding = gateway.audit(&["--event", "watch.finding", "--reason", "unwanted-approval"]);
    assert_eq!(finding[0]["detail"]["records"], record["index"].to_string());
    assert_eq!(finding[0]["detail"]["of"], format!("the question {asked} to {}", person.name));
    assert_eq!(finding[0]["detail"].get("user"), None, "who was asked did nothing");
    assert_eq!(finding[0]["detail"]["client"], "desk-report", "and it says who did");
    // Another one within the hour is another finding.
    let secret = register(&gateway, "desk-report-again", &[]);
    let again = ask(&gateway, &desk("desk-report-again", &secret), &[("login_hint", &person.name)]).await;
    say(&gateway, &mut phone, &again, "report").await;
    assert_eq!(until_found(&gateway, "unwanted-approval", 2).await.len(), 2);
}

/// As if a question had been asked so many seconds earlier.
fn age(gateway: &Gateway, asked: &str, seconds: i64) {
    let database = rusqlite::Connection::open(gateway.folder().join("data/chartgate.db")).unwrap();
    let text = "UPDATE backchannel_requests SET content = json_set(content, '$.asked_at', \
                strftime('%Y-%m-%dT%H:%M:%SZ', json_extract(content, '$.asked_at'), ?2)) WHERE auth_req_id = ?1";
    assert_eq!(database.execute(text, (asked, format!("-{seconds} seconds"))).unwrap(), 1);
}

#[tokio::test]
async fn o20_two_denials_of_one_who_asks_are_enough_and_found_and_another_is_heard() {
    let gateway = Gateway::demo("approval-flood", &[]);
    let secrets: Vec<(String, String)> =
        ["desk-noisy", "desk-quiet"].map(|id| (register(&gateway, id, &[]), id.to_owned())).into();
    let apps: Vec<App<'_>> = secrets.iter().map(|(secret, id)| desk(id, secret)).collect();
    let (person, mut phone) = signed_in(&gateway).await;
    let fields = [("login_hint", person.name.as_str())];
    for _ in 0..2 {
        let asked = ask(&gateway, &apps[0], &fields).await;
        say(&gateway, &mut phone, &asked, "deny").await;
        age(&gateway, &asked, 301);
    }
    let refused = ask_call(&apps[0], &fields).to(&gateway).await;
    assert_eq!((refused.status, refused.error()), (403, "access_denied".into()));
    assert_eq!(last(&gateway, "approval.request", &person.name)["detail"]["flood"], "too-many-denied");
    let found = until_found(&gateway, "unwanted-approval", 1).await;
    assert_eq!(found.len(), 1);
    let asked = ask(&gateway, &apps[1], &fields).await;
    assert_eq!(poll(&apps[1], &asked).to(&gateway).await.error(), "authorization_pending");
}

#[tokio::test]
async fn o20_of_a_yes_and_a_no_at_one_moment_one_wins_and_it_alone_is_on_record() {
    let gateway = shared::demo();
    let Held { person, mut passkey, mut phone, .. } = with_phone(gateway).await;
    let secret = register(gateway, "desk-moment", &[]);
    let app = desk("desk-moment", &secret);
    let asked = ask(gateway, &app, &[("login_hint", person.name.as_str())]).await;
    let page = phone.get(gateway, &format!("/approve/question?id={asked}")).await;
    let form = Ask::of(&page, "/approve/question");
    // Each yes is signed anew: none of them fails for what another was.
    let brought: Vec<String> = (0..FIFTY).map(|_| passkey.get(&form.options)).collect();
    let cookies: Vec<String> = phone.cookies.iter().map(|(name, value)| format!("{name}={value}")).collect();
    let (_, hidden) = form_of(&page);
    let csrf = hidden.iter().find(|(name, _)| name == "csrf").unwrap().1.clone();
    let answers = at_once(gateway, FIFTY, |number| {
        let call = if number % 2 == 0 {
            form.call(&brought[number], &[])
        } else {
            let decision = if number % 4 == 1 { "deny" } else { "report" };
            let fields = [("csrf", csrf.as_str()), ("id", &asked), ("decision", decision)];
            Call::form("/approve/question", &fields)
        };
        call.header("cookie", &cookies.join("; "))
    })
    .await;
    let won: Vec<usize> = (0..FIFTY).filter(|number| answers[*number].status == 200).collect();
    assert_eq!(won.len(), 1, "{:?}", answers.iter().map(|answer| answer.status).collect::<Vec<_>>());
    let event = match won[0] % 4 {
        0 | 2 => "approval.approve",
        1 => "approval.deny",
        _ => "approval.report",
    };
    let records = gateway.audit(&["--user", &person.name]);
    let said: Vec<&str> = records
        .iter()
        .filter(|record| record["resource"] == json!(asked) && record["outcome"] == "allow")
        .map(|record| record["event"].as_str().unwrap())
        .filter(|event| *event != "approval.request")
        .collect();
    assert_eq!(said, [event]);
    let polled = poll(&app, &asked).to(gateway).await;
    assert_eq!(polled.status == 200, event == "approval.approve", "{}", polled.text());
}

#[tokio::test]
async fn a08_a_copied_passkey_that_approves_is_put_out_of_use_and_that_is_on_record() {
    let gateway = shared::demo();
    let Held { person, mut passkey, mut phone, .. } = with_phone(gateway).await;
    let secrets: Vec<(String, String)> =
        ["desk-copy-1", "desk-copy-2"].map(|id| (register(gateway, id, &[]), id.to_owned())).into();
    let fields = [("login_hint", person.name.as_str())];
    for (number, (secret, id)) in secrets.iter().enumerate() {
        let asked = ask(gateway, &desk(id, secret), &fields).await;
        passkey.sign_count = if number == 0 { 20 } else { 10 };
        let answer = say_yes(gateway, &mut phone, &mut passkey, &asked, "").await;
        assert_eq!(answer.text().contains("<h1>Approved</h1>"), number == 0, "{}", answer.text());
    }
    let suspected = gateway.audit(&["--event", "factor.clone-suspected", "--user", &person.name]);
    assert_eq!(suspected.len(), 1);
    assert_eq!(phone.get(gateway, "/account").await.status, 303, "what either of two opened ends");
}

#[tokio::test]
async fn a05_o20_a_sign_in_asks_the_phone_and_a_no_there_ends_it() {
    let gateway = shared::demo();
    let Held { person, mut phone, codes, .. } = with_phone(gateway).await;
    let (mut browser, page) = after_the_password(gateway, &person, &codes).await;
    let waits = ask_phone(gateway, &mut browser, &page).await;
    assert!(waits.text().contains("<h1>Approve on your phone</h1>"), "{}", waits.text());
    let digits = number(&waits);
    assert_eq!((digits.len(), digits.replace(' ', "").len()), (7, 6), "{digits}");
    assert!(!browser.cookies.contains_key("__Host-session"), "there is no session before the yes");
    // Asking again asks nothing more, and the number stays.
    let again = ask_phone(gateway, &mut browser, &page).await;
    assert_eq!(number(&again), digits);

    let id = waiting(gateway, &mut phone).await;
    let question = phone.get(gateway, &format!("/approve/question?id={id}")).await;
    assert!(question.text().contains("Somebody who knows your password"), "{}", question.text());
    assert!(!question.text().contains(&digits), "the phone does not show what it asks for");
    let (state, _) = (again.text().split_once("data-poll=\"").unwrap().1.split_once('"').unwrap().0, ());
    let state = state.replace("&amp;", "&").replace("&#38;", "&");
    assert_eq!(browser.get(gateway, &state).await.text(), "waiting");
    say(gateway, &mut phone, &id, "deny").await;
    assert_eq!(browser.get(gateway, &state).await.text(), "over");
    // Neither a yes that was not said nor a code goes on from there.
    let (_, hidden) = form_of(&page);
    for more in [("act", "go-on"), ("act", "ask")] {
        let mut fields: Vec<(&str, &str)> =
            hidden.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect();
        fields.push(more);
        assert_eq!(browser.send(gateway, Call::form("/login/phone", &fields)).await.status, 400);
    }
    assert!(!browser.cookies.contains_key("__Host-session"));
    let record = last(gateway, "approval.deny", &person.name);
    assert_eq!(record["detail"]["asked"], "sign-in");
    let used = phone.get(gateway, "/account/factors").await;
    assert!(used.text().contains("Night phone") && used.text().contains("Last used"), "{}", used.text());
}

#[tokio::test]
async fn a05_a_sign_in_that_nobody_approved_goes_nowhere() {
    let gateway = shared::demo();
    let Held { person, codes, .. } = with_phone(gateway).await;
    let (mut browser, page) = after_the_password(gateway, &person, &codes).await;
    ask_phone(gateway, &mut browser, &page).await;
    let (_, hidden) = form_of(&page);
    let mut fields: Vec<(&str, &str)> =
        hidden.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect();
    fields.push(("act", "go-on"));
    let answer = browser.send(gateway, Call::form("/login/phone", &fields)).await;
    assert_eq!((answer.status, browser.cookies.contains_key("__Host-session")), (200, false));
    assert!(answer.text().contains("Approve on your phone"), "it still waits: {}", answer.text());
    // Another browser has no part in it.
    let foreign = Browser::default().send(gateway, Call::form("/login/phone", &fields)).await;
    assert_eq!(foreign.status, 400);
    // And a code does what it always did.
    let page = with_code(gateway, &mut browser, &page, &codes[0]).await;
    assert!(page.text().contains("<h1>Signed in as "), "{}", page.text());
}

#[tokio::test]
async fn a07_a_phone_is_added_and_removed_with_password_and_code_and_a_reset_takes_it() {
    let gateway = shared::demo();
    let Enrolled { person, phone: app, mut browser, .. } = enrolled(gateway).await;
    let page = browser.get(gateway, "/approve/phone").await;
    let add = |password: String, code: String| {
        vec![
            ("password".to_owned(), password),
            ("code".to_owned(), code),
            ("change".to_owned(), "add".to_owned()),
        ]
    };
    for (password, code) in
        [(person.password.clone(), "000000".to_owned()), ("wrong".to_owned(), app.code(0))]
    {
        let fields = add(password, code);
        let fields: Vec<(&str, &str)> = fields.iter().map(|(n, v)| (n.as_str(), v.as_str())).collect();
        let answer = browser.submit(gateway, &page, &fields).await;
        assert!(answer.text().contains("is not right"), "{}", answer.text());
        assert!(!browser.cookies.contains_key("__Host-phone"));
    }
    let fields = add(person.password.clone(), app.code(0));
    let fields: Vec<(&str, &str)> = fields.iter().map(|(n, v)| (n.as_str(), v.as_str())).collect();
    browser.submit(gateway, &page, &fields).await;
    let page = browser.get(gateway, "/approve/phone").await;
    let (_, rest) = page.text().split_once("value=\"remove-").unwrap();
    let change = format!("remove-{}", rest.split('"').next().unwrap());
    let fields = [("password", person.password.as_str()), ("code", &app.code(1)), ("change", &change)];
    let page = browser.submit(gateway, &page, &fields).await;
    assert!(!page.text().contains("value=\"remove-"), "{}", page.text());
    let account = browser.get(gateway, "/account").await;
    for change in ["a phone to approve with was added.", "a phone to approve with was removed."] {
        assert!(account.text().contains(change), "{change}");
    }
    // Without a phone nobody is asked on one.
    let (mut elsewhere, page) = at_the_code(gateway, &person).await;
    assert!(!page.text().contains("Approve on your phone"));
    assert_eq!(ask_phone(gateway, &mut elsewhere, &page).await.status, 400);

    let own = Gateway::demo("phone-reset", &[]);
    let Held { person, mut phone, .. } = with_phone(&own).await;
    own.command(&["user", "reset-mfa", &person.name]);
    phone.sign_in(&own, &person).await;
    let page = phone.get(&own, "/approve").await;
    assert!(page.text().contains("You have not added it"), "{}", page.text());
}

#[tokio::test]
async fn a07_what_a_phone_was_before_goes_with_a_record_when_it_is_added_again() {
    let gateway = shared::demo();
    let Held { person, mut passkey, mut phone, .. } = with_phone(gateway).await;
    let page = phone.get(gateway, "/approve/phone").await;
    let ask = Ask::of(&page, "/approve/phone");
    let more = [("label", "Day phone"), ("change", "add")];
    let page = send(&mut phone, gateway, ask.call(&passkey.get(&ask.options), &more)).await;
    assert!(page.text().contains("This is “Day phone”"), "{}", page.text());
    let records = gateway.audit(&["--user", &person.name]);
    let of = |event: &str| -> Vec<&Value> {
        let phones = records.iter().filter(|record| record["detail"]["factor"] == "phone");
        phones.filter(|record| record["event"] == event).collect()
    };
    let (added, removed) = (of("factor.add"), of("factor.remove"));
    assert_eq!((added.len(), removed.len()), (2, 1));
    assert_eq!(removed[0]["resource"], added[0]["resource"]);
    assert_eq!(removed[0]["decision"]["reason"], "added-again");
}

#[tokio::test]
async fn that_nobody_answered_is_on_record_once() {
    let gateway = Gateway::demo("approval-lapse", &[]);
    let secret = register(&gateway, "desk-lapse", &[]);
    let app = desk("desk-lapse", &secret);
    let (person, _) = signed_in(&gateway).await;
    let fields = [("login_hint", person.name.as_str()), ("requested_expiry", "30")];
    let asked = ask(&gateway, &app, &fields).await;
    for _ in 0..120 {
        if !gateway.audit(&["--event", "approval.expire"]).is_empty() {
            break;
        }
        tokio::time::sleep(Duration::from_millis(500)).await;
    }
    let records = gateway.audit(&["--event", "approval.expire"]);
    let told: Vec<&Value> = records.iter().map(|record| &record["resource"]).collect();
    assert_eq!(told, [&json!(asked)]);
    assert_eq!(poll(&app, &asked).to(&gateway).await.error(), "expired_token");
}

fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/approvals")
}

/// Somebody else's look at what a passkey signed.
fn check(gateway: &Gateway, record: &Value) -> Command {
    let name = format!("{}.json", record["resource"].as_str().unwrap());
    let mut command = Command::new("node");
    let file = gateway.scratch().write(&name, record.to_string());
    command.arg("check.mjs").arg(file).arg(&gateway.issuer).current_dir(folder());
    command
}

/// What that says of a record which is as it was written; nothing without Node.
pub(crate) fn verified(gateway: &Gateway, record: &Value) -> Option<String> {
    if !has("node", &["--version"]) {
        println!("not verified by others: needs node");
        return None;
    }
    Some(succeed(&mut check(gateway, record)))
}

#[tokio::test]
async fn what_an_application_asks_is_approved_by_a_signature_that_others_verify_from_the_record() {
    let gateway = shared::demo();
    let Held { person, mut passkey, mut phone, .. } = with_phone(gateway).await;
    let secret = register(gateway, "desk-yes", &[]);
    let app = desk("desk-yes", &secret);
    let fields = [("login_hint", person.name.as_str()), ("binding_message", "Desk 2: 17-42")];
    let asked = ask(gateway, &app, &fields).await;
    let answer = say_yes(gateway, &mut phone, &mut passkey, &asked, "").await;
    assert!(answer.text().contains("<h1>Approved</h1>"), "{}", answer.text());
    let tokens = Tokens::of(&poll(&app, &asked).to(gateway).await);
    assert_eq!(tokens.claims()["sub"], json!(person.name));
    assert_eq!(tokens.claims().get("acr"), None, "an approval is no sign-in that cannot be phished");

    let record = last(gateway, "approval.approve", &person.name);
    let detail = &record["detail"];
    assert_eq!(detail["displayed_text_hash"], hash(detail["displayed_text"].as_str().unwrap()));
    assert_eq!((&detail["backup"], &detail["asked"]), (&json!("synced"), &json!("act")));
    let signed: Value = serde_json::from_str(detail["signed"].as_str().unwrap()).unwrap();
    assert_eq!((&signed["auth_req_id"], &signed["actor"]), (&json!(asked), &json!(person.name)));
    let Some(told) = verified(gateway, &record) else { return };
    assert!(
        told.starts_with(&format!("{} approved this:\n", person.name)) && told.contains("Desk 2: 17-42"),
        "{told}"
    );
    // What is shown, what was signed, and by whom: none of it can be another.
    for (name, from, to) in [
        ("displayed_text", "Desk 2", "Desk 3"),
        ("signed", "Desk 2", "Desk 3"),
        ("signed", "\"actor\":\"person", "\"actor\":\"nobody"),
    ] {
        let mut altered = record.clone();
        altered["detail"][name] = json!(detail[name].as_str().unwrap().replace(from, to));
        assert_ne!(altered, record, "{name}");
        assert!(!check(gateway, &altered).output().unwrap().status.success(), "{name}");
    }
    let page = std::fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/approvals.md"))
        .unwrap();
    let script = std::fs::read_to_string(folder().join("check.mjs")).unwrap();
    assert!(page.contains(script.trim()), "docs/approvals.md does not have check.mjs as it is");
}

#[tokio::test]
async fn o20_a08_a_signature_is_for_one_question_by_its_persons_own_passkey() {
    let gateway = shared::demo();
    let Held { person, mut passkey, mut phone, .. } = with_phone(gateway).await;
    let passkeys::Enrolled { passkey: mut others, .. } = passkeys::enrolled(gateway).await;
    let secrets: Vec<(String, String)> =
        ["desk-one", "desk-two"].map(|id| (register(gateway, id, &[]), id.to_owned())).into();
    let apps: Vec<App<'_>> = secrets.iter().map(|(secret, id)| desk(id, secret)).collect();
    let fields = [("login_hint", person.name.as_str())];
    let (one, two) = (ask(gateway, &apps[0], &fields).await, ask(gateway, &apps[1], &fields).await);
    let page = phone.get(gateway, &format!("/approve/question?id={one}")).await;
    let for_one = Ask::of(&page, "/approve/question");
    let brought = passkey.get(&for_one.options);
    // For the other question; by nobody's key, by another person's; nothing at all.
    let page = phone.get(gateway, &format!("/approve/question?id={two}")).await;
    let for_two = Ask::of(&page, "/approve/question");
    let of_another = others.get(&for_two.options);
    for bad in [brought.as_str(), of_another.as_str(), "", "{}"] {
        let answer = phone.send(gateway, for_two.call(bad, &[])).await;
        assert!(answer.text().contains("Nothing was signed with a passkey of yours"), "{}", answer.text());
    }
    assert_eq!(poll(&apps[1], &two).to(gateway).await.error(), "authorization_pending");
    let refused =
        gateway.audit(&["--event", "approval.approve", "--outcome", "deny", "--user", &person.name]);
    let reasons: Vec<&str> = refused.iter().map(|one| one["decision"]["reason"].as_str().unwrap()).collect();
    assert_eq!(reasons, ["wrong-passkey", "passkey-of-another", "unknown-passkey", "unknown-passkey"]);
    let answer = phone.send(gateway, for_one.call(&brought, &[])).await;
    assert!(answer.text().contains("<h1>Approved</h1>"), "{}", answer.text());
    let again = phone.send(gateway, for_one.call(&brought, &[])).await;
    assert_eq!(again.status, 410, "it is answered once");
}

#[tokio::test]
async fn a05_o20_a_sign_in_begins_with_the_number_and_a_signature_and_begins_once() {
    let gateway = shared::demo();
    let Held { person, mut passkey, mut phone, codes } = with_phone(gateway).await;
    let (mut browser, page) = after_the_password(gateway, &person, &codes).await;
    let waits = ask_phone(gateway, &mut browser, &page).await;
    let (id, digits) = (waiting(gateway, &mut phone).await, number(&waits));
    let off_by_one = |digits: &str| {
        let number: u32 = digits.replace(' ', "").parse().unwrap();
        format!("{:06}", number.wrapping_add(1) % 1_000_000)
    };
    let wrong = say_yes(gateway, &mut phone, &mut passkey, &id, &off_by_one(&digits)).await;
    assert!(wrong.text().contains("That is not the number"), "{}", wrong.text());
    // The number alone is no yes.
    let ask = Ask::of(&wrong, "/approve/question");
    let unsigned = phone.send(gateway, ask.call("", &[("number", &digits)])).await;
    assert!(unsigned.text().contains("Nothing was signed"), "{}", unsigned.text());
    let early = browser.send(gateway, Call::form("/login/phone", &borrowed(&go_on(&page)))).await;
    assert!(!browser.cookies.contains_key("__Host-session"), "{}", early.text());
    let yes = say_yes(gateway, &mut phone, &mut passkey, &id, &digits).await;
    assert!(yes.text().contains("<h1>Approved</h1>"), "{}", yes.text());
    let fields = go_on(&page);
    let cookies: Vec<String> =
        browser.cookies.iter().map(|(name, value)| format!("{name}={value}")).collect();
    let answers = at_once(gateway, FIFTY, |_| {
        Call::form("/login/phone", &borrowed(&fields)).header("cookie", &cookies.join("; "))
    })
    .await;
    let begun: Vec<&Answer> = answers
        .iter()
        .filter(|answer| {
            answer
                .headers
                .get_all("set-cookie")
                .iter()
                .any(|set| set.to_str().unwrap().starts_with("__Host-session="))
        })
        .collect();
    assert_eq!(begun.len(), 1, "one yes is one session");
    let records = gateway.audit(&["--user", &person.name, "--event", "login"]);
    let login = records.last().unwrap();
    assert_eq!(login["detail"]["factor"], "phone");
    assert_eq!(
        (&login["acr"], &login["amr"]),
        (&json!("https://refeds.org/profile/mfa"), &json!(["pwd", "mca", "mfa"])),
        "no more than two factors: the number can be shown on"
    );
    let list = phone.get(gateway, "/account/sessions").await;
    assert!(list.text().contains("with a password and your phone"), "{}", list.text());
}

#[tokio::test]
async fn o20_a03_three_wrong_numbers_end_it_and_count_as_failures() {
    let gateway = shared::demo();
    let Held { person, mut passkey, mut phone, codes } = with_phone(gateway).await;
    let (mut browser, page) = after_the_password(gateway, &person, &codes).await;
    let waits = ask_phone(gateway, &mut browser, &page).await;
    let (id, digits) = (waiting(gateway, &mut phone).await, number(&waits));
    let page = phone.get(gateway, &format!("/approve/question?id={id}")).await;
    let ask = Ask::of(&page, "/approve/question");
    let right: u32 = digits.replace(' ', "").parse().unwrap();
    let wrong = format!("{:06}", right.wrapping_add(7) % 1_000_000);
    for (typed, status) in [(wrong.as_str(), 200), ("", 200), (&wrong, 410), (&digits, 410)] {
        let answer = phone.send(gateway, ask.call(&passkey.get(&ask.options), &[("number", typed)])).await;
        assert_eq!(answer.status, status, "{typed}: {}", answer.text());
    }
    let page = browser.get(gateway, &format!("/login/phone?{}", query_of(&waits))).await;
    assert!(page.text().contains("The number was wrong too often"), "{}", page.text());
    let refused =
        gateway.audit(&["--event", "approval.approve", "--outcome", "deny", "--user", &person.name]);
    assert_eq!(refused.len(), 3);
    assert!(refused.iter().all(|one| one["decision"]["reason"] == "wrong-number"));
}

#[tokio::test]
async fn a_right_number_is_no_failure_of_the_signature_that_has_to_follow_it() {
    let gateway = shared::demo();
    let Held { person, mut passkey, mut phone, codes } = with_phone(gateway).await;
    let (mut browser, page) = after_the_password(gateway, &person, &codes).await;
    let waits = ask_phone(gateway, &mut browser, &page).await;
    let (id, digits) = (waiting(gateway, &mut phone).await, number(&waits));
    let page = phone.get(gateway, &format!("/approve/question?id={id}")).await;
    let ask = Ask::of(&page, "/approve/question");
    for _ in 0..7 {
        let unsigned = phone.send(gateway, ask.call("", &[("number", &digits)])).await;
        assert!(unsigned.text().contains("Nothing was signed"), "{}", unsigned.text());
    }
    let yes = say_yes(gateway, &mut phone, &mut passkey, &id, &digits).await;
    assert!(yes.text().contains("<h1>Approved</h1>"), "{}", yes.text());
}

/// What names the half sign-in in the addresses of a page that waits.
fn query_of(page: &Answer) -> String {
    let (_, rest) = page.text().split_once("/login/phone/state?").unwrap();
    rest.split('"').next().unwrap().replace("&amp;", "&").replace("&#38;", "&")
}
