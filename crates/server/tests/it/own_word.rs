//! Emergency access, as the person in whose name it was opened is told of it on their phone: they say that it was they, or that it
//! was not. 45 CFR 164.312(a)(2)(ii).

use serde_json::{Value, json};

use crate::approvals::{Held, hash, last, say, say_yes, verified, waiting, with_phone};
use crate::browser::{App, Browser, Tokens, form_of};
use crate::emergency::{granted, signed_in};
use crate::gateway::{Gateway, Person, Scratch, UNSIGNALLED};
use crate::outbox::fill_log;
use crate::parallel::{FIFTY, at_once};
use crate::passkeys::{self, Ask};
use crate::shared;
use crate::unwritable::room_again;
use crate::watching::until_found;
use crate::wire::Call;

/// Somebody who opened a record in an emergency, in a browser that is not their phone.
struct Opened {
    held: Held,
    desk: Browser,
    tokens: Tokens,
    /// The use.
    id: String,
    patient: String,
}

async fn opened(gateway: &Gateway) -> Opened {
    let mut held = with_phone(gateway).await;
    backdate(gateway, &held.person);
    let (mut desk, page) = passkeys::sign_in(gateway, &mut held.passkey).await;
    assert!(page.text().contains("<h1>Signed in as "), "{}", page.text());
    let patient = gateway.stranger_to("dana").to_owned();
    let tokens = granted(gateway, &mut desk, &App::public("openid user/*.rs"), &held.person, &patient).await;
    let id = use_of(&tokens);
    Opened { held, desk, tokens, id, patient }
}

fn use_of(tokens: &Tokens) -> String {
    tokens.claims()["authorization_details"][0]["identifier"].as_str().unwrap().to_owned()
}

async fn reads(gateway: &Gateway, tokens: &Tokens, patient: &str) -> u16 {
    Call::get(&format!("/fhir/Patient/{patient}")).bearer(&tokens.access).to(gateway).await.status
}

async fn review(gateway: &Gateway, officer: &Person, id: &str) -> String {
    let mut browser = signed_in(gateway, officer).await;
    browser.get(gateway, &format!("/emergency/review?id={id}")).await.text().to_owned()
}

#[tokio::test]
async fn who_opened_a_record_in_an_emergency_is_told_on_their_phone_and_signs_that_it_was_they() {
    let gateway = shared::demo();
    let officer = gateway.person("privacy-officer", &[]);
    let Opened { mut held, mut desk, tokens, id, patient } = opened(gateway).await;
    assert_eq!(reads(gateway, &tokens, &patient).await, 200, "it waits for no answer");
    assert!(review(gateway, &officer, &id).await.contains("<dd>Nothing, so far</dd>"));
    let list = held.phone.get(gateway, "/approve").await;
    assert!(list.text().contains("Emergency access was opened in your name"), "{}", list.text());
    assert!(!list.text().contains(&patient), "the list says of nobody's record");
    let question = waiting(gateway, &mut held.phone).await;
    let page = held.phone.get(gateway, &format!("/approve/question?id={question}")).await;
    for line in [
        format!("<dd>Patient {patient}</dd>"),
        "<dd>Life or health are in danger now: “unconscious on arrival, allergies unknown”</dd>".to_owned(),
        "<dd>127.".to_owned(),
        format!("<dd>{}</dd>", held.person.name),
    ] {
        assert!(page.text().contains(&line), "{line}: {}", page.text());
    }
    assert!(!page.text().contains("value=\"deny\""), "there is nothing between the two answers");
    // Nothing but a signature is a yes.
    let ask = Ask::of(&page, "/approve/question");
    let unsigned = held.phone.send(gateway, ask.call("", &[])).await;
    assert!(unsigned.text().contains("Nothing was signed"), "{}", unsigned.text());
    let answer = say_yes(gateway, &mut held.phone, &mut held.passkey, &question, "").await;
    assert!(answer.text().contains("<h1>Noted</h1>"), "{}", answer.text());
    assert_eq!(held.phone.get(gateway, &format!("/approve/question?id={question}")).await.status, 410);
    assert_eq!(reads(gateway, &tokens, &patient).await, 200);
    assert_eq!(desk.get(gateway, "/account").await.status, 200);

    let record = last(gateway, "emergency.acknowledge", &held.person.name);
    let detail = &record["detail"];
    assert_eq!((&record["outcome"], &detail["emergency"]), (&json!("allow"), &json!(id)));
    assert_eq!((&record["resource"], &record["patients"]), (&json!(question), &json!([patient])));
    assert_eq!(detail["displayed_text_hash"], hash(detail["displayed_text"].as_str().unwrap()));
    verified(gateway, &record);
    let page = review(gateway, &officer, &id).await;
    assert!(page.contains("It was they (signed with a passkey of theirs)"), "{page}");
    let listed = gateway.command(&["emergency", "list"]);
    let of_it = listed.lines().find(|line| line.contains(&id)).unwrap_or_else(|| panic!("{listed}"));
    assert!(of_it.contains("acknowledged"), "{of_it}");
}

#[tokio::test]
async fn it_was_not_me_ends_the_access_and_its_session_at_once_and_is_found() {
    let gateway = Gateway::demo("own-word", &[]);
    let officer = gateway.person("privacy-officer", &[]);
    let Opened { mut held, mut desk, tokens, id, patient } = opened(&gateway).await;
    assert_eq!(reads(&gateway, &tokens, &patient).await, 200);
    let question = waiting(&gateway, &mut held.phone).await;
    let answer = say(&gateway, &mut held.phone, &question, "report").await;
    assert!(answer.text().contains("<h1>It is over</h1>"), "{}", answer.text());
    assert_eq!(reads(&gateway, &tokens, &patient).await, 401, "the very next request");
    assert_eq!(desk.get(&gateway, "/account").await.status, 303, "the session that it came from");
    assert_eq!(held.phone.get(&gateway, "/account").await.status, 200, "and no other");
    let record = last(&gateway, "emergency.disown", &held.person.name);
    assert_eq!((&record["outcome"], &record["detail"]["emergency"]), (&json!("allow"), &json!(id)));
    assert!(record["detail"]["displayed_text"].as_str().unwrap().contains(&patient));
    let found = until_found(&gateway, "unwanted-approval", 1).await;
    assert_eq!(found.len(), 1);
    let finding = gateway.audit(&["--event", "watch.finding", "--reason", "unwanted-approval"]);
    assert_eq!(
        finding[0]["detail"]["of"],
        format!("the emergency access {id} in the name of {}", held.person.name)
    );
    let page = review(&gateway, &officer, &id).await;
    assert!(page.contains("<strong>It was not they: it was ended</strong>"), "{page}");
    let mut browser = signed_in(&gateway, &officer).await;
    let list = browser.get(&gateway, "/emergency/reviews").await;
    assert!(list.text().contains("They say that it was not they."), "{}", list.text());
    let shown: Value =
        serde_json::from_str(&gateway.command(&["emergency", "show", &id, "--output", "json"])).unwrap();
    assert_eq!(shown["acknowledged"], "DISOWNED");
}

#[tokio::test]
async fn it_was_not_me_while_the_log_cannot_be_written_is_said_once_and_found_later() {
    let gateway = Gateway::demo_in(Scratch::new("disowned-untold"), &[], &UNSIGNALLED);
    let Opened { mut held, mut desk, tokens, id, patient } = opened(&gateway).await;
    let question = waiting(&gateway, &mut held.phone).await;
    if !fill_log(&gateway).await {
        return;
    }
    let said = say(&gateway, &mut held.phone, &question, "report").await;
    assert_eq!(said.status, 200, "it is in force");
    assert!(said.text().contains("change your password now"), "{}", said.text());
    let again = held.phone.get(&gateway, &format!("/approve/question?id={question}")).await;
    assert_eq!(again.status, 410, "it is said");
    room_again(&gateway).await;
    assert_eq!(reads(&gateway, &tokens, &patient).await, 401);
    assert_eq!(desk.get(&gateway, "/account").await.status, 303);
    let name = held.person.name.as_str();
    let [disowned] = gateway.audit(&["--event", "emergency.disown", "--user", name]).try_into().unwrap();
    assert_eq!(disowned["detail"]["emergency"], id.as_str());
    let ended = gateway.audit(&["--event", "logout", "--user", name]);
    let [ended] =
        <[Value; 1]>::try_from(ended).unwrap_or_else(|ended| panic!("one session ended: {ended:?}"));
    assert_eq!(ended["session"], tokens.session().as_str());
    for told in [&disowned, &ended] {
        assert!(told["detail"]["recorded_at"].is_string(), "{told}");
    }
    assert_eq!(until_found(&gateway, "unwanted-approval", 1).await.len(), 1);
}

#[tokio::test]
async fn nobody_answers_for_another_and_of_many_answers_at_one_moment_one_is_on_record() {
    let gateway = shared::demo();
    let Opened { mut held, id, .. } = opened(gateway).await;
    let question = waiting(gateway, &mut held.phone).await;
    let officer = gateway.person("privacy-officer", &[]);
    let mut stranger = signed_in(gateway, &officer).await;
    assert_eq!(stranger.get(gateway, &format!("/approve/question?id={question}")).await.status, 410);
    let page = held.phone.get(gateway, &format!("/approve/question?id={question}")).await;
    let form = Ask::of(&page, "/approve/question");
    let brought: Vec<String> = (0..FIFTY).map(|_| held.passkey.get(&form.options)).collect();
    let cookies: Vec<String> =
        held.phone.cookies.iter().map(|(name, value)| format!("{name}={value}")).collect();
    let (_, hidden) = form_of(&page);
    let csrf = hidden.iter().find(|(name, _)| name == "csrf").unwrap().1.clone();
    let answers = at_once(gateway, FIFTY, |number| {
        let call = if number % 2 == 0 {
            form.call(&brought[number], &[])
        } else {
            let fields = [("csrf", csrf.as_str()), ("id", &question), ("decision", "report")];
            Call::form("/approve/question", &fields)
        };
        call.header("cookie", &cookies.join("; "))
    })
    .await;
    let won =
        answers.iter().filter(|answer| answer.status == 200 && !answer.text().contains("Nothing was signed"));
    assert_eq!(won.count(), 1, "{:?}", answers.iter().map(|answer| answer.status).collect::<Vec<_>>());
    let records = gateway.audit(&["--emergency", &id]);
    let said = records.iter().filter(|record| {
        ["emergency.acknowledge", "emergency.disown"].contains(&record["event"].as_str().unwrap())
            && record["outcome"] == "allow"
    });
    assert_eq!(said.count(), 1);
}

#[tokio::test]
async fn who_has_no_phone_sees_it_in_any_browser_and_signs_nothing_where_it_was_opened() {
    let gateway = shared::demo();
    let (person, officer) = (gateway.person("physician", &[]), gateway.person("privacy-officer", &[]));
    let mut desk = signed_in(gateway, &person).await;
    let patient = gateway.stranger_to("dana").to_owned();
    let tokens = granted(gateway, &mut desk, &App::public("openid user/*.rs"), &person, &patient).await;
    let id = use_of(&tokens);
    assert!(review(gateway, &officer, &id).await.contains("<dd>Nothing, so far</dd>"));
    let mut elsewhere = signed_in(gateway, &person).await;
    let question = waiting(gateway, &mut elsewhere).await;
    let answer = say(gateway, &mut elsewhere, &question, "report").await;
    assert!(answer.text().contains("<h1>It is over</h1>"), "{}", answer.text());
    assert_eq!(reads(gateway, &tokens, &patient).await, 401);
    assert!(!desk.get(gateway, "/approve").await.text().contains("/approve/question?id="));
    // The session that it ended says so by itself.
    let ended = gateway.audit(&["--user", &person.name, "--event", "logout"]);
    let session = tokens.session();
    assert!(ended.iter().any(|record| record["session"] == session.as_str()), "{ended:?}");
}

#[tokio::test]
async fn a_yes_of_whoever_opened_it_is_none() {
    let gateway = shared::demo();
    // The passkey was added a moment ago: whoever has the password alone does that first.
    let mut held = with_phone(gateway).await;
    let (mut desk, _) = passkeys::sign_in(gateway, &mut held.passkey).await;
    let patient = gateway.stranger_to("dana").to_owned();
    let tokens = granted(gateway, &mut desk, &App::public("openid user/*.rs"), &held.person, &patient).await;
    let question = waiting(gateway, &mut held.phone).await;
    let answer = say_yes(gateway, &mut held.phone, &mut held.passkey, &question, "").await;
    assert!(answer.text().contains("less than a day before"), "{}", answer.text());
    backdate(gateway, &held.person);
    let answer = say_yes(gateway, &mut desk, &mut held.passkey, &question, "").await;
    assert!(answer.text().contains("from this sign-in the record was opened"), "{}", answer.text());
    let refused = gateway.audit(&["--user", &held.person.name, "--event", "emergency.acknowledge"]);
    let reasons: Vec<_> =
        refused.iter().map(|record| record["decision"]["reason"].as_str().unwrap()).collect();
    assert_eq!(reasons, ["new-passkey", "same-session"]);
    assert_eq!(reads(gateway, &tokens, &patient).await, 200, "it goes on meanwhile");
    let answer = say_yes(gateway, &mut held.phone, &mut held.passkey, &question, "").await;
    assert!(answer.text().contains("<h1>Noted</h1>"), "{}", answer.text());
}

/// As if this person's passkeys had been added two days ago.
fn backdate(gateway: &Gateway, person: &Person) {
    let database = rusqlite::Connection::open(gateway.folder().join("data/chartgate.db")).unwrap();
    let text = "UPDATE passkeys SET added_at = added_at - ?2 WHERE user_name = ?1";
    let two_days = 2 * 24 * 3600 * 1_000_000_i64;
    assert_eq!(database.execute(text, rusqlite::params![person.name, two_days]).unwrap(), 1);
}
