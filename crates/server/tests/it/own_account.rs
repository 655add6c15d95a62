//! What a person sees of their own account: where they are signed in, what was done as them.

use serde_json::json;

use crate::browser::{App, Browser, USER_SCOPE};
use crate::gateway::{Gateway, Person};
use crate::wire::{Answer, Call};

const WINDOWS: &str = "Mozilla/5.0 (Windows NT 10.0; Win64; x64; rv:140.0) Gecko/20100101 Firefox/140.0";
const SIGNED_IN: &str = "<h1>Signed in as ";

/// Signs in with a browser that says what it is.
async fn with_firefox(gateway: &Gateway, person: &Person) -> Browser {
    let mut browser = Browser::default();
    let page = browser.get(gateway, "/login").await;
    let (action, hidden) = crate::browser::form_of(&page);
    let mut fields: Vec<(&str, &str)> =
        hidden.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect();
    fields.extend([("username", person.name.as_str()), ("password", person.password.as_str())]);
    let answer = browser.send(gateway, Call::form(&action, &fields).header("user-agent", WINDOWS)).await;
    assert_eq!(answer.status, 303, "{}", answer.text());
    browser
}

async fn account(gateway: &Gateway, browser: &mut Browser) -> Answer {
    browser.get(gateway, "/account").await
}

/// The session that the button of a page ends which stands under this heading.
fn session_under(page: &Answer, heading: &str) -> String {
    let (_, rest) = page.text().split_once(heading).unwrap_or_else(|| panic!("{heading}: {}", page.text()));
    let (_, rest) = rest.split_once("name=\"session\" value=\"").unwrap();
    rest.split('"').next().unwrap().to_owned()
}

#[tokio::test]
async fn a_person_sees_where_they_are_signed_in_and_ends_one_or_all_others() {
    let gateway = Gateway::demo("own-sessions", &[]);
    let dana = gateway.demo_person("dana");
    let app = App::web(&gateway, USER_SCOPE);
    let mut here = Browser::default();
    here.sign_in(&gateway, &dana).await;
    let mut away = with_firefox(&gateway, &dana).await;
    let tokens = app.tokens_in(&gateway, &mut away, &dana).await;
    let patient = format!("/fhir/Patient/{}", gateway.panel("dana")[0]);
    let read = || Call::get(&patient).bearer(&tokens.access);
    assert_eq!(read().to(&gateway).await.status, 200);

    let page = here.get(&gateway, "/account/sessions").await;
    assert!(page.text().contains("Here: A browser") && !page.text().contains(WINDOWS), "{}", page.text());
    let theirs = session_under(&page, ">Firefox on Windows<");
    let ended = here.submit(&gateway, &page, &[("session", &theirs)]).await;
    assert!(ended.text().contains("Nowhere else."), "{}", ended.text());
    assert_eq!(read().to(&gateway).await.status, 401, "and what was open through it");
    assert_eq!(account(&gateway, &mut away).await.status, 303);
    assert!(account(&gateway, &mut here).await.text().contains(SIGNED_IN));
    let records = gateway.audit(&["--event", "logout"]);
    assert_eq!(records.iter().map(|record| record["session"].clone()).collect::<Vec<_>>(), [json!(theirs)]);

    let mut others = [with_firefox(&gateway, &dana).await, with_firefox(&gateway, &dana).await];
    let page = here.get(&gateway, "/account/sessions").await;
    here.submit(&gateway, &page, &[("session", "others")]).await;
    for other in &mut others {
        assert_eq!(account(&gateway, other).await.status, 303);
    }
    let page = here.get(&gateway, "/account/sessions").await;
    let this = session_under(&page, "Here: ");
    let out = here.submit(&gateway, &page, &[("session", &this)]).await;
    assert!(out.text().contains("Signed out"), "{}", out.text());
    assert_eq!(account(&gateway, &mut here).await.status, 303);
}

#[tokio::test]
async fn a13_nobody_ends_a_session_of_somebody_elses() {
    let gateway = Gateway::demo("others-sessions", &[]);
    let (dana, eve) = (gateway.demo_person("dana"), gateway.person("physician", &[]));
    let mut theirs = Browser::default();
    theirs.sign_in(&gateway, &dana).await;
    let page = theirs.get(&gateway, "/account/sessions").await;
    let session = session_under(&page, "Here: ");
    let mut own = Browser::default();
    own.sign_in(&gateway, &eve).await;
    let page = own.get(&gateway, "/account/sessions").await;
    for wanted in [session.as_str(), "others", "made-up"] {
        let answer = own.submit(&gateway, &page, &[("session", wanted)]).await;
        assert!(answer.text().contains("Nowhere else."), "the same for all: {}", answer.text());
    }
    assert!(account(&gateway, &mut theirs).await.text().contains(SIGNED_IN));
    assert_eq!(gateway.audit(&["--event", "logout"]), [json!(null); 0]);
    let asked = Call::form("/account/sessions", &[("session", &session)]);
    assert_eq!(theirs.send(&gateway, asked).await.status, 400, "and no other page's form (O31)");
}

#[tokio::test]
async fn a_person_sees_what_was_done_as_them_and_that_they_looked_is_on_record() {
    let gateway = Gateway::demo("own-accesses", &[]);
    let dana = gateway.demo_person("dana");
    let app = App::web(&gateway, USER_SCOPE);
    let mut browser = Browser::default();
    let tokens = app.tokens_in(&gateway, &mut browser, &dana).await;
    let (own, other) = (gateway.panel("dana")[0].to_owned(), gateway.stranger_to("dana").to_owned());
    for (patient, status) in [(&own, 200), (&other, 404)] {
        let read = Call::get(&format!("/fhir/Patient/{patient}")).bearer(&tokens.access);
        assert_eq!(read.to(&gateway).await.status, status);
    }
    let page = browser.get(&gateway, "/account/accesses").await;
    let text = page.text();
    assert!(text.contains(&format!("read Patient/{own}")) && text.contains("sign-in from 127.0."), "{text}");
    assert!(text.contains("(refused)"), "{text}");
    let looked = gateway.audit(&["--event", "audit.read", "--user", &dana.name]);
    let [record] = &looked[..] else { panic!("{looked:?}") };
    assert_eq!(record["action"], "own-accesses");
    assert!(record["patients"].as_array().unwrap().contains(&json!(own)), "{record}");

    let mut somebody = Browser::default();
    somebody.sign_in(&gateway, &gateway.person("physician", &[])).await;
    let page = somebody.get(&gateway, "/account/accesses").await;
    assert!(!page.text().contains("Patient/"), "of nobody else: {}", page.text());
}
