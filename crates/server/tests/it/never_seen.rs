//! A phone is asked at a sign-in where its person was seen before, and nowhere else: row O20 of the corpus.

use serde_json::{Value, json};

use crate::approvals::{
    Held, ask_phone, borrowed, go_on, known_browser, number, say, say_yes, waiting, with_code, with_phone,
};
use crate::browser::{App, Browser, USER_SCOPE, form_of};
use crate::gateway::{Gateway, Person};
use crate::parallel::{FIFTY, at_once};
use crate::passkeys::{Ask, send};
use crate::shared;
use crate::wire::{Answer, Call, encode};

const BUTTON: &str = "Approve on your phone instead";
const NOT_HERE: &str = "Your phone is not asked here";
const NOT_FOR_THIS: &str = "Your phone is not asked on the way to this application";

fn is_signed_in(answer: &Answer) -> bool {
    answer.text().contains("<h1>Signed in as ")
}

/// The page after the password says that the phone is asked, or is not for this reason.
fn says(page: &Answer, what: &str) {
    for text in [BUTTON, NOT_HERE, NOT_FOR_THIS] {
        assert_eq!(page.text().contains(text), text == what, "{text}: {}", page.text());
    }
}

/// Questions that were not put to somebody, and why.
fn not_put(gateway: &Gateway, person: &Person) -> Vec<(Value, Value)> {
    let records =
        gateway.audit(&["--event", "approval.request", "--outcome", "deny", "--user", &person.name]);
    records
        .into_iter()
        .map(|record| (record["decision"]["reason"].clone(), record["detail"].clone()))
        .collect()
}

/// Nothing waits for whoever looks.
async fn is_asked_nothing(gateway: &Gateway, phone: &mut Browser) {
    let page = phone.get(gateway, "/approve").await;
    assert!(page.text().contains("Nothing waits for your answer."), "{}", page.text());
}

/// As if a person had been seen everywhere so many days earlier.
fn age(gateway: &Gateway, table: &str, column: &str, person: &Person, days: i64) {
    let database = rusqlite::Connection::open(gateway.folder().join("data/chartgate.db")).unwrap();
    let text = format!("UPDATE {table} SET {column} = {column} - ?2 WHERE user_name = ?1");
    let micros = days.saturating_mul(24 * 3600 * 1_000_000);
    assert!(database.execute(&text, (&person.name, micros)).unwrap() > 0);
}

#[tokio::test]
async fn o20_a_password_from_a_browser_that_was_never_seen_asks_nobody_whatever_form_is_sent() {
    let gateway = shared::demo();
    let Held { person, mut phone, codes, .. } = with_phone(gateway).await;
    let mut browser = Browser::default();
    let page = browser.sign_in(gateway, &person).await;
    says(&page, NOT_HERE);
    let noted = not_put(gateway, &person);
    assert_eq!(noted.len(), 1, "that somebody knows the password is on record");
    assert_eq!((&noted[0].0, &noted[0].1["user"]), (&json!("never-seen-browser"), &json!(person.name)));
    for (count, act) in [(2, "ask"), (3, "go-on")] {
        let (_, hidden) = form_of(&page);
        let mut fields = borrowed(&hidden);
        fields.push(("act", act));
        let refused = browser.send(gateway, Call::form("/login/phone", &fields)).await;
        assert_eq!(refused.status, 403, "{}", refused.text());
        says(&refused, NOT_HERE);
        assert_eq!(not_put(gateway, &person).len(), count);
    }
    is_asked_nothing(gateway, &mut phone).await;
    assert!(!browser.cookies.contains_key("__Host-session") && !browser.cookies.contains_key("__Host-known"));
    // A code does here once, and then the phone is asked.
    let page = with_code(gateway, &mut browser, &page, &codes[0]).await;
    assert!(is_signed_in(&page), "{}", page.text());
    let logins = || gateway.audit(&["--event", "login", "--user", &person.name]);
    assert_eq!(logins().last().unwrap()["detail"]["browser"], "new");
    browser.close();
    says(&browser.sign_in(gateway, &person).await, BUTTON);
    // Somebody whose phone is not asked for another reason hears nothing of it.
    let other = gateway.person("physician", &[]);
    assert!(is_signed_in(&Browser::default().sign_in(gateway, &other).await));
    assert_eq!(not_put(gateway, &other), []);
}

#[tokio::test]
async fn o20_a_yes_on_the_phone_begins_a_session_where_its_person_was_seen_and_is_no_sight_itself() {
    let gateway = shared::demo();
    let Held { person, mut passkey, mut phone, codes } = with_phone(gateway).await;
    let mut browser = known_browser(gateway, &person, &codes[0]).await;
    let page = browser.sign_in(gateway, &person).await;
    age(gateway, "known_browsers", "seen_at", &person, 80);
    let waits = ask_phone(gateway, &mut browser, &page).await;
    let id = waiting(gateway, &mut phone).await;
    say_yes(gateway, &mut phone, &mut passkey, &id, &number(&waits)).await;
    let named = browser.cookies["__Host-known"].clone();
    let answer = browser.send(gateway, Call::form("/login/phone", &borrowed(&go_on(&page)))).await;
    assert_eq!((answer.status, browser.cookies.contains_key("__Host-session")), (303, true));
    assert!(answer.headers.get_all("set-cookie").iter().count() == 1, "its name is not prolonged");
    let login = gateway.audit(&["--event", "login", "--user", &person.name]).pop().unwrap();
    assert_eq!((&login["detail"]["factor"], login["detail"].get("browser")), (&json!("phone"), None));
    browser.close();
    says(&browser.sign_in(gateway, &person).await, BUTTON);
    // Ninety days after it was last seen, and not after the yes.
    age(gateway, "known_browsers", "seen_at", &person, 10);
    let page = browser.sign_in(gateway, &person).await;
    says(&page, NOT_HERE);
    let page = with_code(gateway, &mut browser, &page, &codes[1]).await;
    assert!(is_signed_in(&page), "{}", page.text());
    assert_eq!(browser.cookies["__Host-known"], named, "it keeps its name");
    let login = gateway.audit(&["--event", "login", "--user", &person.name]).pop().unwrap();
    assert_eq!(login["detail"]["browser"], "new");
    browser.close();
    let page = browser.sign_in(gateway, &person).await;
    with_code(gateway, &mut browser, &page, &codes[2]).await;
    let login = gateway.audit(&["--event", "login", "--user", &person.name]).pop().unwrap();
    assert_eq!(login["detail"]["browser"], "known");
}

#[tokio::test]
async fn o20_what_a_browser_is_known_by_is_one_persons_and_opens_nothing() {
    let gateway = shared::demo();
    let Held { person, codes, .. } = with_phone(gateway).await;
    let other = with_phone(gateway).await;
    let browser = known_browser(gateway, &person, &codes[0]).await;
    // Somebody else at the same browser was not seen there.
    says(&browser.clone().sign_in(gateway, &other.person).await, NOT_HERE);
    let mut shared_by_both = browser.clone();
    let page = shared_by_both.sign_in(gateway, &other.person).await;
    with_code(gateway, &mut shared_by_both, &page, &other.codes[0]).await;
    shared_by_both.close();
    for known in [&person, &other.person] {
        says(&shared_by_both.clone().sign_in(gateway, known).await, BUTTON);
    }
    let database = rusqlite::Connection::open(gateway.folder().join("data/chartgate.db")).unwrap();
    let text = "SELECT digest FROM known_browsers WHERE user_name IN (?1, ?2)";
    let mut statement = database.prepare(text).unwrap();
    let rows =
        statement.query_map([&person.name, &other.person.name], |row| row.get::<_, String>(0)).unwrap();
    let mut digests: Vec<String> = rows.map(Result::unwrap).collect();
    let count = digests.len();
    digests.sort();
    digests.dedup();
    assert_eq!(digests.len(), count, "no row says that two were at one browser");
    assert!(!digests.contains(&browser.cookies["__Host-known"]), "and none has what the browser says");
    // Who has that alone has nothing: not without the password, and not with another's.
    let mut thief = browser.clone();
    assert_eq!(thief.get(gateway, "/account").await.status, 303);
    let page = thief.get(gateway, "/login").await;
    assert!(!page.text().contains(&person.name) && !page.text().contains("phone"), "{}", page.text());
    let wrong = thief.submit(gateway, &page, &[("username", &person.name), ("password", "not theirs")]).await;
    assert!(!wrong.text().contains("phone"), "{}", wrong.text());
    assert!(!thief.cookies.contains_key("__Host-session"));
    assert_eq!(thief.send(gateway, Call::form("/login/phone", &[("act", "ask")])).await.status, 400);
}

#[tokio::test]
async fn o20_a_browser_that_its_person_forgets_asks_nobody_not_even_for_a_yes_that_was_said() {
    let gateway = shared::demo();
    let Held { person, mut passkey, mut phone, codes } = with_phone(gateway).await;
    let mut browser = known_browser(gateway, &person, &codes[0]).await;
    let page = browser.sign_in(gateway, &person).await;
    let waits = ask_phone(gateway, &mut browser, &page).await;
    let id = waiting(gateway, &mut phone).await;
    say_yes(gateway, &mut phone, &mut passkey, &id, &number(&waits)).await;
    // The phone's own browser stands in the list as well, and says which it is.
    let list = phone.get(gateway, "/account/sessions").await;
    let known: Vec<&str> = list.text().split("name=\"browser\" value=\"").skip(1).collect();
    let ids: Vec<&str> = known.iter().map(|rest| rest.split('"').next().unwrap()).collect();
    assert_eq!(ids.len(), 2, "{}", list.text());
    assert_eq!(list.text().matches("Here: ").count(), 2, "this session, and this browser: {}", list.text());
    let (_, hidden) = form_of(&list);
    let csrf = hidden.iter().find(|(name, _)| name == "csrf").unwrap().1.clone();
    // Nobody forgets another's.
    let mut stranger = Browser::default();
    stranger.sign_in(gateway, &gateway.person("physician", &[])).await;
    let page_of_stranger = stranger.get(gateway, "/account/sessions").await;
    assert!(!page_of_stranger.text().contains("name=\"browser\""), "a password alone is no sight");
    let forged = stranger.submit(gateway, &page_of_stranger, &[("browser", ids[0])]).await;
    assert_eq!(forged.status, 400);
    // The one that was seen last comes first.
    let fields = [("csrf", csrf.as_str()), ("browser", ids[0])];
    assert_eq!(phone.send(gateway, Call::form("/account/sessions", &fields)).await.status, 303);
    assert_eq!(phone.send(gateway, Call::form("/account/sessions", &fields)).await.status, 400);
    let record = gateway.audit(&["--event", "factor.remove", "--user", &person.name]).pop().unwrap();
    assert_eq!((&record["detail"]["factor"], &record["resource"]), (&json!("known-browser"), &json!(ids[0])));
    let late = browser.send(gateway, Call::form("/login/phone", &borrowed(&go_on(&page)))).await;
    assert_eq!((late.status, browser.cookies.contains_key("__Host-session")), (403, false));
    says(&browser.sign_in(gateway, &person).await, NOT_HERE);
}

#[tokio::test]
async fn o20_of_fifty_who_go_on_while_it_is_forgotten_one_at_the_most_begins_a_session() {
    let gateway = shared::demo();
    let Held { person, mut passkey, mut phone, codes } = with_phone(gateway).await;
    let mut browser = known_browser(gateway, &person, &codes[0]).await;
    let page = browser.sign_in(gateway, &person).await;
    let waits = ask_phone(gateway, &mut browser, &page).await;
    let id = waiting(gateway, &mut phone).await;
    say_yes(gateway, &mut phone, &mut passkey, &id, &number(&waits)).await;
    let list = phone.get(gateway, "/account/sessions").await;
    let (_, hidden) = form_of(&list);
    let mut forget = borrowed(&hidden);
    let (_, rest) = list.text().split_once("name=\"browser\" value=\"").unwrap();
    forget.push(("browser", rest.split('"').next().unwrap()));
    let line = |browser: &Browser| {
        let all: Vec<String> =
            browser.cookies.iter().map(|(name, value)| format!("{name}={value}")).collect();
        all.join("; ")
    };
    let (own, theirs, fields) = (line(&browser), line(&phone), go_on(&page));
    let answers = at_once(gateway, FIFTY, |number| match number {
        25 => Call::form("/account/sessions", &forget).header("cookie", &theirs),
        _ => Call::form("/login/phone", &borrowed(&fields)).header("cookie", &own),
    })
    .await;
    let is_begun = |answer: &Answer| {
        let mut set = answer.headers.get_all("set-cookie").iter();
        set.any(|cookie| cookie.to_str().unwrap().starts_with("__Host-session="))
    };
    let begun = answers.iter().filter(|answer| is_begun(answer)).count();
    assert!(begun <= 1, "{begun}");
    assert_eq!(answers[25].status, 303, "{}", answers[25].text());
    browser.close();
    says(&browser.sign_in(gateway, &person).await, NOT_HERE);
}

#[tokio::test]
async fn o20_a_no_on_the_phone_and_whatever_shuts_somebody_out_forgets_where_they_were_seen() {
    let gateway = Gateway::demo("never-seen-again", &[]);
    let Held { person, mut passkey, mut phone, codes } = with_phone(&gateway).await;
    for (number, decision) in ["deny", "report"].into_iter().enumerate() {
        let mut browser = known_browser(&gateway, &person, &codes[number]).await;
        let page = browser.sign_in(&gateway, &person).await;
        ask_phone(&gateway, &mut browser, &page).await;
        let id = waiting(&gateway, &mut phone).await;
        say(&gateway, &mut phone, &id, decision).await;
        says(&browser.sign_in(&gateway, &person).await, NOT_HERE);
        // Limits of O20 are not what this is about.
        let database = rusqlite::Connection::open(gateway.folder().join("data/chartgate.db")).unwrap();
        database.execute("DELETE FROM sign_in_approvals", ()).unwrap();
    }
    // On the phone they show their passkey again.
    let page = phone.get(&gateway, "/login").await;
    let ask = Ask::of(&page, "/login/passkey");
    assert!(is_signed_in(&send(&mut phone, &gateway, ask.call(&passkey.get(&ask.options), &[])).await));
    // Its session ends, by its person or by an administrator; all others do.
    let others = |form: &[(String, String)], session: &str| {
        let mut fields = form.to_vec();
        fields.push(("session".to_owned(), session.to_owned()));
        fields
    };
    for (number, how) in
        [(2, "by hand"), (3, "all others"), (4, "by command"), (5, "disabled"), (6, "new password")]
    {
        let mut browser = Browser::default();
        let page = browser.sign_in(&gateway, &person).await;
        let page = with_code(&gateway, &mut browser, &page, &codes[number]).await;
        assert!(is_signed_in(&page), "{how}: {}", page.text());
        let login = gateway.audit(&["--event", "login", "--user", &person.name]).pop().unwrap();
        let session = login["session"].as_str().unwrap().to_owned();
        let list = phone.get(&gateway, "/account/sessions").await;
        let mut person = Person { name: person.name.clone(), password: person.password.clone() };
        match how {
            "by command" => drop(gateway.command(&["session", "end", &session])),
            "disabled" => {
                gateway.command(&["user", "disable", &person.name]);
                gateway.command(&["user", "enable", &person.name]);
            }
            "new password" => {
                person.password = format!("{} anew", person.password);
                let file = gateway.scratch().write("anew", &person.password);
                let words = ["user", "set-password", &person.name, "--password-file", file.to_str().unwrap()];
                gateway.command(&words);
            }
            _ => {
                let which = if how == "by hand" { session.as_str() } else { "others" };
                let fields = others(&form_of(&list).1, which);
                let ended = phone.send(&gateway, Call::form("/account/sessions", &borrowed(&fields))).await;
                assert_eq!(ended.status, 303, "{how}: {}", ended.text());
                // Where they are is not forgotten with that.
                assert!(
                    phone.get(&gateway, "/account/sessions").await.text().contains("name=\"browser\""),
                    "{how}"
                );
            }
        }
        browser.close();
        says(&browser.sign_in(&gateway, &person).await, NOT_HERE);
    }
}

#[tokio::test]
async fn o20_browsers_that_are_forgotten_with_all_others_are_on_record_where_nobody_is_signed_in_there() {
    let gateway = shared::demo();
    let Held { person, mut phone, codes, .. } = with_phone(gateway).await;
    let mut browser = known_browser(gateway, &person, &codes[0]).await;
    let login = gateway.audit(&["--event", "login", "--user", &person.name]).pop().unwrap();
    let database = rusqlite::Connection::open(gateway.folder().join("data/chartgate.db")).unwrap();
    let over = "UPDATE sessions SET ended_at = last_seen WHERE id = ?1";
    assert_eq!(database.execute(over, [login["session"].as_str().unwrap()]).unwrap(), 1);
    let list = phone.get(gateway, "/account/sessions").await;
    let mut fields = form_of(&list).1;
    fields.push(("session".to_owned(), "others".to_owned()));
    let ended = phone.send(gateway, Call::form("/account/sessions", &borrowed(&fields))).await;
    assert_eq!(ended.status, 303, "{}", ended.text());
    let told = gateway.audit(&["--event", "factor.remove", "--user", &person.name]);
    let [told] = told.try_into().unwrap();
    assert_eq!(told["detail"]["factor"], "known-browser");
    assert!(told["resource"].as_str().is_some_and(|id| list.text().contains(id)), "{told}");
    browser.close();
    says(&browser.sign_in(gateway, &person).await, NOT_HERE);
}

#[tokio::test]
async fn o20_on_the_way_to_an_application_that_was_never_used_nobody_is_asked() {
    let gateway = shared::demo();
    let Held { person, codes, .. } = with_phone(gateway).await;
    let mut browser = known_browser(gateway, &person, &codes[0]).await;
    let app = App::public(USER_SCOPE);
    let request = app.request(gateway);
    let fields: Vec<(&str, &str)> = request.iter().map(|(name, value)| (*name, value.as_str())).collect();
    let start = format!("/authorize?{}", encode(&fields));
    let credentials = [("username", person.name.as_str()), ("password", person.password.as_str())];
    let page = browser.follow(gateway, &start).await;
    let page = browser.submit(gateway, &page, &credentials).await;
    says(&page, NOT_FOR_THIS);
    let noted = not_put(gateway, &person).pop().unwrap();
    assert_eq!((&noted.0, &noted.1["client"]), (&json!("never-seen-client"), &json!(app.client)));
    let mut forged = form_of(&page).1;
    forged.push(("act".to_owned(), "ask".to_owned()));
    assert_eq!(browser.send(gateway, Call::form("/login/phone", &borrowed(&forged))).await.status, 403);
    // With a code it is used, and then it is known.
    let page = with_code(gateway, &mut browser, &page, &codes[1]).await;
    let back = browser.submit(gateway, &page, &[("decision", "approve")]).await;
    assert!(back.header("location").contains("code="), "{}", back.text());
    browser.close();
    let again = browser.follow(gateway, &start).await;
    says(&browser.submit(gateway, &again, &credentials).await, BUTTON);
    age(gateway, "used_clients", "used_at", &person, 90);
    let again = browser.follow(gateway, &start).await;
    says(&browser.submit(gateway, &again, &credentials).await, NOT_FOR_THIS);
}
