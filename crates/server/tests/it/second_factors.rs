//! Second factors: authenticator applications and recovery codes. Rows A02 to A05 and A07 of the corpus.

use std::time::{Duration, Instant, UNIX_EPOCH};

use serde_json::Value;
use totp_rs::{Algorithm, Builder, Secret};

use crate::browser::{App, Browser, USER_SCOPE, form_of};
use crate::gateway::{Gateway, Person};
use crate::parallel::{FIFTY, at_once};
use crate::shared;
use crate::wire::{Answer, Call, encode};

/// The `acr` of two factors.
const TWO_FACTORS: &str = "https://refeds.org/profile/mfa";
const WRONG: &str = "That code is not right, or was used already.";

/// A person's phone, with somebody else's implementation on it.
#[derive(Clone)]
pub(crate) struct Phone {
    secret: String,
}

impl Phone {
    /// The one that a page offers.
    pub(crate) fn scanned(page: &Answer) -> Self {
        let (_, rest) = page.text().split_once("class=\"key\">").unwrap_or_else(|| panic!("{}", page.text()));
        Self { secret: rest.split('<').next().unwrap().replace(' ', "") }
    }

    /// What it shows in so many steps from now. Each is good once, so that tests need not wait for the next one.
    pub(crate) fn code(&self, steps: i64) -> String {
        let now = i64::try_from(UNIX_EPOCH.elapsed().unwrap().as_secs()).unwrap();
        let secret = Secret::try_from_base32(&self.secret).unwrap();
        let totp = Builder::new()
            .with_algorithm(Algorithm::SHA1)
            .with_digits(6)
            .with_secret(secret)
            .build()
            .unwrap();
        totp.generate(u64::try_from(now.saturating_add(steps.saturating_mul(30))).unwrap()).to_string()
    }
}

/// The recovery codes that a page shows.
pub(crate) fn recovery_codes(page: &Answer) -> Vec<String> {
    page.text().split("<li><code>").skip(1).map(|rest| rest.split('<').next().unwrap().to_owned()).collect()
}

/// The value of a page's button or hidden field.
fn value(page: &Answer, before: &str) -> String {
    let (_, rest) = page.text().split_once(before).unwrap_or_else(|| panic!("{before}: {}", page.text()));
    rest.split('"').next().unwrap().to_owned()
}

/// Somebody with a phone, enrolled in a browser that is signed in, and their recovery codes. The code of the last step is
/// used up.
pub(crate) struct Enrolled {
    pub(crate) person: Person,
    pub(crate) phone: Phone,
    pub(crate) codes: Vec<String>,
    pub(crate) browser: Browser,
}

pub(crate) async fn enrolled(gateway: &Gateway) -> Enrolled {
    let person = gateway.person("physician", &[]);
    let mut browser = Browser::default();
    browser.sign_in(gateway, &person).await;
    let page = browser.get(gateway, "/account/factors").await;
    assert!(page.text().contains("No second factor"), "{}", page.text());
    let page = browser.submit(gateway, &page, &[("password", &person.password), ("change", "add")]).await;
    let phone = Phone::scanned(&page);
    let shown = browser.submit(gateway, &page, &[("code", &phone.code(-1)), ("label", "My phone")]).await;
    assert!(shown.text().contains("Your recovery codes"), "{}", shown.text());
    Enrolled { codes: recovery_codes(&shown), person, phone, browser }
}

/// The page that asks for the code, in a new browser.
pub(crate) async fn at_the_code(gateway: &Gateway, person: &Person) -> (Browser, Answer) {
    let mut browser = Browser::default();
    let page = browser.sign_in(gateway, person).await;
    assert!(page.text().contains("<h1>Your code</h1>"), "{}", page.text());
    (browser, page)
}

pub(crate) fn is_signed_in(answer: &Answer) -> bool {
    answer.text().contains("<h1>Signed in as ")
}

fn last(records: &[Value], event: &str) -> Value {
    records.iter().rfind(|record| record["event"] == event).unwrap_or_else(|| panic!("no {event}")).clone()
}

#[tokio::test]
async fn a_person_enrols_a_phone_and_then_signs_in_with_it_and_tokens_say_so() {
    let gateway = shared::demo();
    let Enrolled { person, phone, codes, mut browser } = enrolled(gateway).await;
    assert_eq!(codes.len(), 10);
    assert!(codes.iter().all(|code| code.len() == 23), "{codes:?}");
    let page = browser.follow(gateway, "/account").await;
    assert!(is_signed_in(&page) && page.text().contains("an authenticator application was added"));
    let page = browser.get(gateway, "/account/factors").await;
    assert!(page.text().contains("My phone") && page.text().contains("10 of 10 are left"));

    let (mut browser, page) = at_the_code(gateway, &person).await;
    assert!(!browser.cookies.contains_key("__Host-session"), "there is no session before the code");
    for sign in ["autocomplete=\"one-time-code\"", "inputmode=\"numeric\""] {
        assert!(page.text().contains(sign), "{sign}");
    }
    let page = browser.submit(gateway, &page, &[("code", &phone.code(0))]).await;
    assert!(is_signed_in(&page), "{}", page.text());
    let tokens = App::public(USER_SCOPE).tokens_in(gateway, &mut browser, &person).await;
    let access = tokens.claims();
    let id = crate::browser::part(tokens.answer["id_token"].as_str().unwrap(), 1);
    for claims in [access, id] {
        assert_eq!(claims["acr"], TWO_FACTORS);
        assert_eq!(claims["amr"], serde_json::json!(["pwd", "otp", "mfa"]));
    }
    let records = gateway.audit(&["--user", &person.name]);
    let signed_in = last(&records, "login");
    assert_eq!(
        (&signed_in["acr"], &signed_in["detail"]["factor"]),
        (&TWO_FACTORS.into(), &"authenticator-app".into())
    );
    assert_eq!(last(&records, "factor.add")["detail"]["recovery_codes"], "10");
    let all = records.iter().map(ToString::to_string).collect::<String>();
    assert!(
        !all.contains(&phone.secret) && !codes.iter().any(|code| all.contains(code)),
        "no secret in the log"
    );
    // A password alone is called nothing.
    let plain = App::public(USER_SCOPE).tokens(gateway, &gateway.person("physician", &[])).await.claims();
    assert_eq!((plain.get("acr"), &plain["amr"]), (None, &serde_json::json!(["pwd"])));
}

#[tokio::test]
async fn o32_enrolling_gives_the_session_a_new_id_and_ends_what_began_with_less() {
    let gateway = shared::demo();
    let person = gateway.person("physician", &[]);
    let mut elsewhere = Browser::default();
    assert!(is_signed_in(&elsewhere.sign_in(gateway, &person).await));
    let mut browser = Browser::default();
    browser.sign_in(gateway, &person).await;
    let tokens = App::public(USER_SCOPE).tokens_in(gateway, &mut browser, &person).await;
    let before = browser.cookies["__Host-session"].clone();
    let page = browser.get(gateway, "/account/factors").await;
    let page = browser.submit(gateway, &page, &[("password", &person.password), ("change", "add")]).await;
    assert_eq!(browser.cookies["__Host-session"], before, "it is not enrolled yet");
    let phone = Phone::scanned(&page);
    browser.submit(gateway, &page, &[("code", &phone.code(0))]).await;
    assert_ne!(browser.cookies["__Host-session"], before);
    assert!(is_signed_in(&browser.get(gateway, "/account").await));
    assert_eq!(elsewhere.get(gateway, "/account").await.status, 303);
    let old = Call::get("/fhir/Patient").bearer(&tokens.access).to(gateway).await;
    assert_eq!(old.status, 401, "tokens of the session that ended");
}

#[tokio::test]
async fn a03_codes_count_with_passwords_whatever_the_spelling_and_a_right_password_clears_nothing() {
    let gateway = shared::demo();
    let Enrolled { person, phone, codes, .. } = enrolled(gateway).await;
    let upper = Person { name: person.name.to_uppercase(), password: person.password.clone() };
    // Two wrong passwords and three codes: five tries, however they are spelt.
    let wrong = Person { name: format!(" {} ", person.name), password: "wrong-wrong-wrong".to_owned() };
    for _ in 0..2 {
        let refused = Browser::default().sign_in(gateway, &wrong).await;
        assert!(refused.text().contains("do not fit together"));
    }
    let (mut browser, page) = at_the_code(gateway, &upper).await;
    let not_the_code = if phone.code(0) == "000000" { "000001" } else { "000000" };
    let mut again = page.clone();
    for typed in [not_the_code, "01234-56789-98765-43210", ""] {
        again = browser.submit(gateway, &again, &[("code", typed)]).await;
        assert!(again.status == 200 && again.text().contains(WRONG), "{typed}: {}", again.text());
    }
    // From here on there are pauses, each twice as long: two more codes, and the right password, which clears nothing and is no
    // failure either: the code after it is looked at.
    let begun = Instant::now();
    let mut looked_at = 0_u32;
    while looked_at < 2 {
        let answer = browser.submit(gateway, &page, &[("code", not_the_code)]).await;
        looked_at = u32::saturating_add(looked_at, u32::from(answer.status == 200));
        tokio::time::sleep(Duration::from_millis(100)).await;
        assert!(begun.elapsed() < Duration::from_secs(60), "the pauses do not end");
    }
    while !Browser::default().sign_in(gateway, &upper).await.text().contains("<h1>Your code</h1>") {
        assert!(begun.elapsed() < Duration::from_secs(60), "the pauses do not end");
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    assert_eq!(browser.submit(gateway, &page, &[("code", not_the_code)]).await.status, 200);
    // Eight seconds in which nothing is looked at, be it right: code, recovery code, password.
    for typed in [phone.code(0), codes[0].clone()] {
        let answer = browser.submit(gateway, &page, &[("code", &typed)]).await;
        assert_eq!(answer.status, 429);
        assert!(answer.text().contains("Too many attempts."));
    }
    assert_eq!(Browser::default().sign_in(gateway, &person).await.status, 429);
    let records = gateway.audit(&["--user", &person.name, "--outcome", "deny"]);
    let reasons: Vec<_> =
        records.iter().map(|record| record["decision"]["reason"].as_str().unwrap()).collect();
    assert_eq!(reasons.iter().filter(|reason| **reason == "wrong-code").count(), 6, "{reasons:?}");
    assert!(reasons.contains(&"throttled") && reasons.contains(&"wrong-password"), "{reasons:?}");
}

#[tokio::test]
async fn a04_a_code_is_good_once_and_as_it_is_shown_alone() {
    let gateway = shared::demo();
    let Enrolled { person, phone, .. } = enrolled(gateway).await;
    let code = phone.code(0);
    let (mut browser, page) = at_the_code(gateway, &person).await;
    for typed in
        [format!(" {code}"), format!("{code} "), format!("{} {}", code.split_at(3).0, code.split_at(3).1)]
    {
        let answer = browser.submit(gateway, &page, &[("code", &typed)]).await;
        assert!(answer.text().contains(WRONG), "{typed:?}");
    }
    assert!(is_signed_in(&browser.submit(gateway, &page, &[("code", &code)]).await));
    let (mut browser, page) = at_the_code(gateway, &person).await;
    let answer = browser.submit(gateway, &page, &[("code", &code)]).await;
    assert!(answer.text().contains(WRONG), "it was used");
    let answer = browser.submit(gateway, &page, &[("code", &phone.code(-1))]).await;
    assert!(answer.text().contains(WRONG), "nor is one from before");
    assert!(is_signed_in(&browser.submit(gateway, &page, &[("code", &phone.code(1))]).await));
}

/// So many browsers that all wait for the code of one person.
async fn all_at_the_code(
    gateway: &Gateway,
    person: &Person,
    count: usize,
) -> Vec<(String, Vec<(String, String)>)> {
    let mut all = Vec::new();
    for _ in 0..count {
        let (browser, page) = at_the_code(gateway, person).await;
        let cookie = format!("__Host-browser={}", browser.cookies["__Host-browser"]);
        all.push((cookie, form_of(&page).1));
    }
    all
}

#[tokio::test]
async fn a04_of_fifty_parallel_uses_of_a_code_at_most_one_opens_a_session() {
    let gateway = shared::demo();
    for kind in ["authenticator", "recovery"] {
        let Enrolled { person, phone, codes, .. } = enrolled(gateway).await;
        let code = if kind == "recovery" { codes[3].clone() } else { phone.code(1) };
        // Few browsers, for each costs a try; each sends the code as often as it can.
        let waiting = all_at_the_code(gateway, &person, 2).await;
        let answers = at_once(gateway, FIFTY, |number| {
            let (cookie, hidden) = &waiting[number % waiting.len()];
            let mut fields: Vec<(&str, &str)> =
                hidden.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect();
            fields.push(("code", &code));
            Call::form("/login/code", &fields).header("cookie", cookie)
        })
        .await;
        let sessions = answers.iter().filter(|answer| {
            answer
                .headers
                .get_all("set-cookie")
                .iter()
                .any(|set| set.to_str().unwrap().starts_with("__Host-session="))
        });
        assert_eq!(
            sessions.count(),
            1,
            "{:?}",
            answers.iter().map(|answer| answer.status).collect::<Vec<_>>()
        );
        assert!(answers.iter().all(|answer| matches!(answer.status, 200 | 303 | 400 | 429)));
    }
}

#[tokio::test]
async fn a05_with_the_password_alone_nothing_can_be_done_but_to_show_the_code() {
    let gateway = shared::demo();
    let Enrolled { person, phone, mut browser, .. } = enrolled(gateway).await;
    let settings = browser.get(gateway, "/account/factors").await;
    let (mut half, page) = at_the_code(gateway, &person).await;
    let handle = value(&page, "name=\"sign_in\" value=\"");
    for path in ["/account", "/account/apps", "/account/factors", "/emergency", "/watch/findings"] {
        assert_eq!(half.get(gateway, path).await.status, 303, "{path}");
    }
    // The handle is no session, names no enrolment, and is no other browser's.
    let mut forged = half.clone();
    forged.cookies.insert("__Host-session".to_owned(), handle.clone());
    assert_eq!(forged.get(gateway, "/account").await.status, 303);
    assert_eq!(half.get(gateway, &format!("/login/factor?sign_in={handle}")).await.status, 400);
    let (_, hidden) = form_of(&page);
    let csrf = hidden.iter().find(|(name, _)| name == "csrf").unwrap().1.clone();
    let enrol = [("csrf", csrf.as_str()), ("sign_in", &handle), ("code", &phone.code(0))];
    assert_eq!(half.send(gateway, Call::form("/login/factor", &enrol)).await.status, 400);
    let change = [("csrf", csrf.as_str()), ("password", &person.password), ("change", "add")];
    assert_eq!(half.send(gateway, Call::form("/account/factors", &change)).await.status, 303);
    let mut other = Browser::default();
    other.get(gateway, "/login").await;
    assert_eq!(other.get(gateway, &format!("/login/code?sign_in={handle}")).await.status, 400);
    // An application that waits gets nothing of it.
    let request = App::public(USER_SCOPE).request(gateway);
    let fields: Vec<(&str, &str)> = request.iter().map(|(name, value)| (*name, value.as_str())).collect();
    let begun = half.follow(gateway, &format!("/authorize?{}", encode(&fields))).await;
    assert!(begun.text().contains("name=\"password\""), "{}", begun.text());
    // With a factor of their own nobody enrols a further one without it.
    let answer =
        browser.submit(gateway, &settings, &[("password", &person.password), ("change", "add")]).await;
    assert!(!answer.text().contains("class=\"key\""));
    // A new password signs nobody in, and takes no factor away; what was half done with the old one is void.
    let file = gateway.scratch().write("another", "lantern gravel orbit mustard");
    gateway.command(&["user", "set-password", &person.name, "--password-file", file.to_str().unwrap()]);
    assert_eq!(half.submit(gateway, &page, &[("code", &phone.code(0))]).await.status, 400);
    let again = Person { password: "lantern gravel orbit mustard".to_owned(), ..person };
    let (mut browser, page) = at_the_code(gateway, &again).await;
    assert!(is_signed_in(&browser.submit(gateway, &page, &[("code", &phone.code(0))]).await));
}

#[tokio::test]
async fn a07_what_one_signs_in_with_is_changed_with_password_and_code_alone_and_five_wrong_ones_end_the_session()
 {
    let gateway = shared::demo();
    let Enrolled { person, phone, codes, mut browser } = enrolled(gateway).await;
    let page = browser.get(gateway, "/account/factors").await;
    let change = format!("remove-{}", value(&page, "value=\"remove-"));
    let wrong = "000000";
    let (right, used) = (person.password.as_str(), phone.code(-1));
    let tries = [("", codes[0].as_str()), ("wrong-wrong-wrong", &codes[0]), (right, wrong), (right, &used)];
    for (password, code) in tries {
        let fields = [("password", password), ("code", code), ("change", change.as_str())];
        let answer = browser.submit(gateway, &page, &fields).await;
        assert!(answer.status == 200 && answer.text().contains("is not right"), "{password} {code}");
    }
    // One that is right clears the count; then a recovery code is used up with it.
    let fields = [("password", right), ("code", codes[0].as_str()), ("change", "recovery")];
    let new = recovery_codes(&browser.submit(gateway, &page, &fields).await);
    assert_eq!(new.len(), 10);
    let (mut other, at_code) = at_the_code(gateway, &person).await;
    for old in &codes[1..3] {
        assert!(other.submit(gateway, &at_code, &[("code", old)]).await.text().contains(WRONG), "replaced");
    }
    let plain = new[1].replace('-', "");
    assert!(is_signed_in(&other.submit(gateway, &at_code, &[("code", &plain)]).await));
    for number in 1..=5 {
        let fields = [("password", right), ("code", "000000"), ("change", change.as_str())];
        let answer = browser.submit(gateway, &page, &fields).await;
        assert_eq!(answer.status, if number < 5 { 200 } else { 403 }, "{number}");
    }
    assert_eq!(browser.get(gateway, "/account").await.status, 303, "the session is over");
    let app = App::public("openid offline_access user/*.rs");
    let lasting = app.tokens_in(gateway, &mut other, &person).await;
    let page = other.get(gateway, "/account/factors").await;
    let fields = [("password", right), ("code", &phone.code(1)), ("change", change.as_str())];
    let page = other.submit(gateway, &page, &fields).await;
    assert!(
        page.text().contains("No second factor") && page.text().contains("was removed"),
        "{}",
        page.text()
    );
    let refreshed = app.refresh_call(lasting.refresh()).to(gateway).await;
    assert_eq!(
        refreshed.json()["error"],
        "invalid_grant",
        "whoever had it may have it: {}",
        refreshed.text()
    );
    assert!(is_signed_in(&Browser::default().sign_in(gateway, &person).await));
    let records = gateway.audit(&["--user", &person.name]);
    let of = |event: &str, outcome: &str| {
        records.iter().filter(|r| r["event"] == event && r["outcome"] == outcome).count()
    };
    assert_eq!((of("factor.remove", "deny"), of("factor.remove", "allow")), (9, 1));
    assert_eq!(of("factor.recovery-codes", "allow"), 1);
}

#[tokio::test]
async fn a07_an_enrolment_is_confirmed_once_by_its_browser_with_its_code_and_ends_all_others() {
    let gateway = shared::demo();
    let person = gateway.person("physician", &[]);
    let (mut browser, mut attacker) = (Browser::default(), Browser::default());
    let mut offers = Vec::new();
    for browser in [&mut browser, &mut attacker] {
        browser.sign_in(gateway, &person).await;
        let page = browser.get(gateway, "/account/factors").await;
        offers
            .push(browser.submit(gateway, &page, &[("password", &person.password), ("change", "add")]).await);
    }
    let [page, other] = &offers[..] else { panic!() };
    let (phone, another) = (Phone::scanned(page), Phone::scanned(other));
    assert_ne!(phone.secret, another.secret);
    let refused = browser.submit(gateway, page, &[("code", &another.code(0))]).await;
    assert!(refused.text().contains("That is not the code"), "{}", refused.text());
    assert_eq!(Phone::scanned(&refused).secret, phone.secret, "the picture stays the same");
    assert_eq!(attacker.submit(gateway, page, &[("code", &phone.code(0))]).await.status, 400);
    // Of many at once one is confirmed.
    let (cookie, hidden) = (format!("__Host-browser={}", browser.cookies["__Host-browser"]), form_of(page).1);
    let code = phone.code(0);
    let answers = at_once(gateway, FIFTY, |_| {
        let mut fields: Vec<(&str, &str)> =
            hidden.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect();
        fields.push(("code", &code));
        Call::form("/login/factor", &fields).header("cookie", &cookie)
    })
    .await;
    let won: Vec<_> = answers.iter().filter(|answer| answer.text().contains("Your recovery codes")).collect();
    assert_eq!(won.len(), 1);
    // Whoever began to enrol with the password alone cannot go on.
    assert_eq!(attacker.submit(gateway, other, &[("code", &another.code(0))]).await.status, 400);
    let shown: Value =
        serde_json::from_str(&gateway.command(&["user", "show", &person.name, "--output", "json"])).unwrap();
    assert_eq!(shown["second_factors"], 1);
    assert_eq!(gateway.audit(&["--user", &person.name, "--event", "factor.add"]).len(), 1);
}

#[tokio::test]
async fn an_administrator_removes_what_a_person_signs_in_with_and_everything_that_is_open_ends() {
    let gateway = shared::demo();
    let Enrolled { person, mut browser, .. } = enrolled(gateway).await;
    let (mut half, page) = at_the_code(gateway, &person).await;
    gateway.command(&["user", "reset-mfa", &person.name]);
    assert_eq!(browser.get(gateway, "/account").await.status, 303);
    assert_eq!(half.submit(gateway, &page, &[("code", "000000")]).await.status, 400);
    let page = browser.sign_in(gateway, &person).await;
    assert!(is_signed_in(&page) && page.text().contains("an administrator removed your second factors"));
    let of = format!("\"{}\"", person.name);
    let resets = gateway.audit(&["--event", "user.reset-mfa"]);
    assert_eq!(resets.iter().filter(|record| record.to_string().contains(&of)).count(), 1);
}

/// Changes the configuration: privacy officers have to have a second factor, and every route wants one.
async fn require(gateway: &Gateway, in_force: impl AsyncFn() -> bool) {
    let text = std::fs::read_to_string(gateway.config()).unwrap();
    let route = format!("[[route]]\nacr_values = [\"{TWO_FACTORS}\"]\n");
    let roles = "[sign_in]\nsecond_factor_roles = [\"privacy-officer\"]\n";
    let changed = format!("{}\n{roles}", text.replace("[[route]]\n", &route));
    std::fs::write(gateway.config(), changed).unwrap();
    gateway.hang_up();
    let begun = Instant::now();
    while !in_force().await {
        assert!(begun.elapsed() < Duration::from_secs(60), "{}", gateway.output());
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}

#[tokio::test]
async fn a05_where_a_factor_is_required_old_sessions_end_and_nothing_is_done_before_one_is_enrolled() {
    let gateway = &Gateway::demo("factors-required", &["--second-factor", "dana"]);
    let (pia, nils, dana) =
        (gateway.demo_person("pia"), gateway.demo_person("nils"), gateway.demo_person("dana"));
    // As a script signs in, by what the ready file tells.
    let phone = Phone { secret: gateway.user("dana")["totp_secret"].as_str().unwrap().to_owned() };
    let (mut at_dana, page) = at_the_code(gateway, &dana).await;
    assert!(is_signed_in(&at_dana.submit(gateway, &page, &[("code", &phone.code(0))]).await));
    assert!(gateway.user("pia").get("totp_secret").is_none());
    let (mut at_pia, mut at_nils) = (Browser::default(), Browser::default());
    assert!(is_signed_in(&at_pia.sign_in(gateway, &pia).await));
    let plain = App::public(USER_SCOPE).tokens_in(gateway, &mut at_nils, &nils).await;
    require(gateway, async || at_pia.clone().get(gateway, "/account").await.status == 303).await;

    let page = at_pia.sign_in(gateway, &pia).await;
    assert!(page.text().contains("needs a second factor, and you have none yet"), "{}", page.text());
    for path in ["/account", "/account/factors", "/watch/findings", "/emergency/reviews"] {
        assert_eq!(at_pia.get(gateway, path).await.status, 303, "{path}");
    }
    let shown = at_pia.submit(gateway, &page, &[("code", &Phone::scanned(&page).code(-1))]).await;
    assert_eq!(recovery_codes(&shown).len(), 10);
    assert!(is_signed_in(&at_pia.get(gateway, "/account").await));
    let settings = at_pia.get(gateway, "/account/factors").await;
    let change = format!("remove-{}", value(&settings, "value=\"remove-"));
    let fields =
        [("password", pia.password.as_str()), ("code", &recovery_codes(&shown)[0]), ("change", &change)];
    let refused = at_pia.submit(gateway, &settings, &fields).await;
    assert!(refused.text().contains("add another one before you remove the last"), "{}", refused.text());

    // RFC 9470: a route that wants two factors says so, and its application asks for them.
    let read = |token: &str| Call::get("/fhir/Patient").bearer(token);
    let answer = read(&plain.access).to(gateway).await;
    assert_eq!(answer.status, 401);
    for part in ["insufficient_user_authentication", &format!("acr_values=\"{TWO_FACTORS}\"")] {
        assert!(answer.header("www-authenticate").contains(part), "{}", answer.header("www-authenticate"));
    }
    let app = App::public(USER_SCOPE);
    let asking = |more: (&'static str, &str)| {
        let mut request = app.request(gateway);
        request.push((more.0, more.1.to_owned()));
        let fields: Vec<(&str, &str)> = request.iter().map(|(name, value)| (*name, value.as_str())).collect();
        format!("/authorize?{}", encode(&fields))
    };
    let silently = format!("{}&prompt=none", asking(("acr_values", TWO_FACTORS)));
    let refused = at_nils.get(gateway, &silently).await;
    let refused = at_nils.follow(gateway, refused.header("location")).await;
    assert!(refused.header("location").contains("error=login_required"), "{}", refused.header("location"));
    let before = at_nils.cookies["__Host-session"].clone();
    let page = at_nils.follow(gateway, &asking(("acr_values", &format!("gold {TWO_FACTORS}")))).await;
    let fields = [("username", nils.name.as_str()), ("password", nils.password.as_str())];
    let page = at_nils.submit(gateway, &page, &fields).await;
    let shown = at_nils.submit(gateway, &page, &[("code", &Phone::scanned(&page).code(0))]).await;
    assert_ne!(at_nils.cookies["__Host-session"], before, "a new id with the rise");
    let target = value(&shown, "class=\"button\" href=\"");
    let redirect = at_nils.lead(gateway, &target, &nils, None).await;
    let tokens = app.exchange_call(&redirect.get("code").unwrap()).to(gateway).await;
    let access = tokens.json()["access_token"].as_str().unwrap().to_owned();
    assert_eq!(crate::browser::part(&access, 1)["acr"], TWO_FACTORS);
    assert_eq!(read(&access).to(gateway).await.status, 200);
    // What is demanded and there already takes no page but the consent.
    let claims = format!(r#"{{"id_token":{{"acr":{{"essential":true,"values":["{TWO_FACTORS}"]}}}}}}"#);
    let page = at_dana.follow(gateway, &asking(("claims", &claims))).await;
    assert!(page.text().contains("action=\"/login/consent\""), "{}", page.text());
}
