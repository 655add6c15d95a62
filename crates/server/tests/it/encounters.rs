//! An encounter in a standalone launch (SMART App Launch 2.2, `launch/encounter`): picked by the person among those of the
//! patient that they may see.

use serde_json::{Value, json};

use crate::browser::{App, Browser, Redirect, Tokens};
use crate::gateway::{Gateway, Person};
use crate::parallel::{FIFTY, at_once};
use crate::shared;
use crate::wire::{Answer, Call, encode};

const SCOPE: &str = "launch/encounter launch/patient offline_access openid patient/*.rs";

fn start(gateway: &Gateway, app: &App<'_>, more: &[(&str, &str)]) -> String {
    let request = app.request(gateway);
    let fields: Vec<(&str, &str)> = request.iter().map(|(name, value)| (*name, value.as_str())).collect();
    format!("/authorize?{}", encode(&[&fields[..], more].concat()))
}

/// The picker for a patient of somebody's, reached as they reach it.
async fn picker(gateway: &Gateway, browser: &mut Browser, person: &Person, app: &App<'_>) -> Answer {
    browser.sign_in(gateway, person).await;
    let page = browser.follow(gateway, &start(gateway, app, &[])).await;
    match app.patient {
        Some(patient) => browser.submit(gateway, &page, &[("patient", patient)]).await,
        None => page,
    }
}

/// The ids that a page offers.
fn offered(page: &Answer) -> Vec<String> {
    let choices = page.text().split("name=\"encounter\" value=\"").skip(1);
    choices.map(|rest| rest.split('"').next().unwrap().to_owned()).collect()
}

async fn tokens(gateway: &Gateway, app: &App<'_>, page: &Answer) -> Tokens {
    let code = Redirect::of(page).get("code").unwrap_or_else(|| panic!("no code: {}", page.text()));
    Tokens::of(&app.exchange_call(&code).to(gateway).await)
}

#[tokio::test]
async fn smart_364_a_person_picks_the_encounter_that_an_application_is_told_of() {
    let gateway = shared::demo();
    let (dana, patient) = (gateway.demo_person("dana"), gateway.panel("dana")[1]);
    let app = App { patient: Some(patient), ..App::public(SCOPE) };
    let mut browser = Browser::default();
    let page = picker(gateway, &mut browser, &dana, &app).await;
    assert!(
        page.text().contains("Choose a visit") && page.text().contains("outpatient visit"),
        "{}",
        page.text()
    );
    let encounters = offered(&page);
    assert!(encounters.len() >= 2 && encounters.iter().all(|id| id.starts_with(patient)), "{encounters:?}");
    // The latest comes first, and what was not offered is not taken, be it another patient's or nobody's.
    let dates: Vec<&str> =
        page.text().split("<span>20").skip(1).map(|rest| rest.get(..14).unwrap()).collect();
    assert!(dates.is_sorted_by(|one, other| one >= other), "{dates:?}");
    let others = format!("{}-enc0", gateway.panel("dana")[0]);
    for odd in [others.as_str(), "no-such", "../x", ""] {
        let again = browser.submit(gateway, &page, &[("encounter", odd)]).await;
        assert!(again.text().contains("That is not a visit of this patient."), "{odd}: {}", again.text());
    }
    // Whoever goes back to pick another patient is asked for that one's encounter.
    let patients = browser.follow(gateway, &start(gateway, &app, &[])).await;
    let first = browser.submit(gateway, &patients, &[("patient", patient)]).await;
    browser.submit(gateway, &first, &[("encounter", &offered(&first)[0])]).await;
    let other = browser.submit(gateway, &patients, &[("patient", gateway.panel("dana")[0])]).await;
    assert!(other.text().contains("Choose a visit"), "{}", other.text());
    assert!(offered(&other).iter().all(|id| id.starts_with(gateway.panel("dana")[0])));
    let page = browser.submit(gateway, &page, &[("encounter", &encounters[1])]).await;
    assert!(page.text().contains("Allow access?") && page.text().contains(&encounters[1]), "{}", page.text());
    let tokens =
        tokens(gateway, &app, &browser.submit(gateway, &page, &[("decision", "approve")]).await).await;
    assert_eq!(
        (&tokens.answer["encounter"], &tokens.answer["patient"]),
        (&json!(encounters[1]), &json!(patient))
    );
    assert_eq!(tokens.claims()["encounter"], json!(encounters[1]));
    assert_eq!(tokens.answer["scope"], SCOPE);
    let refreshed = Tokens::of(&app.refresh_call(tokens.refresh()).to(gateway).await);
    assert_eq!(refreshed.answer["encounter"], json!(encounters[1]));
    let records = gateway.audit(&["--user", "dana", "--patient", patient]);
    let looked = records.iter().find(|record| record["decision"]["reason"] == "encounter-picker").unwrap();
    assert_eq!((&looked["resource"], &looked["outcome"]), (&json!("Encounter"), &json!("allow")));
    let issued = |record: &&Value| record["detail"]["encounter"] == json!(encounters[1]);
    assert!(records.iter().any(|record| issued(&record)), "what was issued says in which encounter");
}

#[tokio::test]
async fn what_was_allowed_for_one_encounter_is_not_allowed_for_another() {
    let gateway = shared::demo();
    let (dana, patient) = (gateway.demo_person("dana"), gateway.panel("dana")[1]);
    let app = App { patient: Some(patient), ..App::public(SCOPE) };
    let mut browser = Browser::default();
    let page = picker(gateway, &mut browser, &dana, &app).await;
    let encounters = offered(&page);
    let of_first = browser.submit(gateway, &page, &[("encounter", &encounters[0])]).await;
    assert!(of_first.text().contains("action=\"/login/consent\""), "{}", of_first.text());
    // They say yes, and do not go on; in another window they pick another one.
    let said = browser.submit_only(gateway, &of_first, &[("decision", "approve")]).await;
    assert!(said.header("location").starts_with("/authorize/continue?request="), "{}", said.text());
    let of_second = browser.submit(gateway, &page, &[("encounter", &encounters[1])]).await;
    assert!(of_second.text().contains("action=\"/login/consent\""), "{}", of_second.text());
    let end = browser.submit(gateway, &of_second, &[("decision", "approve")]).await;
    assert_eq!(tokens(gateway, &app, &end).await.answer["encounter"], json!(encounters[1]));
}

#[tokio::test]
async fn smart_364_without_an_encounter_none_is_told_of_and_the_scope_falls_away() {
    let gateway = shared::demo();
    let (dana, patient) = (gateway.demo_person("dana"), gateway.panel("dana")[2]);
    let app = App { patient: Some(patient), ..App::public(SCOPE) };
    let mut browser = Browser::default();
    let page = picker(gateway, &mut browser, &dana, &app).await;
    let page = browser.submit(gateway, &page, &[("decision", "none")]).await;
    let answer = browser.submit(gateway, &page, &[("decision", "approve")]).await;
    let tokens = tokens(gateway, &app, &answer).await;
    assert_eq!(tokens.answer.get("encounter"), None);
    assert_eq!(tokens.answer["scope"], SCOPE.replace("launch/encounter ", ""));
    // The encounter alone puts its patient in context as well; a patient is asked for no other.
    let app = App { patient: None, ..App::public("launch/encounter openid") };
    let pat = gateway.demo_person("pat");
    let mut browser = Browser::default();
    let page = picker(gateway, &mut browser, &pat, &app).await;
    let own = gateway.panel("pat")[0];
    assert!(offered(&page).iter().all(|id| id.starts_with(own)), "{}", page.text());
    // Without pages nobody can pick; a no is a no.
    let error = async |browser: &mut Browser, start: String| {
        Redirect::of(&browser.get(gateway, &start).await).get("error")
    };
    let silent = browser.get(gateway, &start(gateway, &app, &[("prompt", "none")])).await;
    let next = silent.header("location").to_owned();
    assert_eq!(error(&mut browser, next).await.as_deref(), Some("interaction_required"));
    let denied = browser.submit(gateway, &page, &[("decision", "deny")]).await;
    assert_eq!(Redirect::of(&denied).get("error").as_deref(), Some("access_denied"));
}

#[tokio::test]
async fn who_may_not_see_encounters_is_offered_none() {
    let gateway = shared::demo();
    // Nobody's care: the id is typed where policy lets everybody's record be read, else there is nothing to choose.
    let person = gateway.person("physician", &[]);
    let app = App::public(SCOPE);
    let mut browser = Browser::default();
    let page = picker(gateway, &mut browser, &person, &app).await;
    assert!(page.text().contains("Choose a patient"), "{}", page.text());
    let stranger = gateway.stranger_to("dana");
    let page = browser.submit(gateway, &page, &[("patient", stranger)]).await;
    assert!(page.text().contains("Choose a patient"), "{}", page.text());
    // The page by itself, before a patient was picked, leads back to the patients.
    let handle = crate::browser::form_of(&page).1.into_iter().find(|(name, _)| name == "request").unwrap().1;
    let page = browser.follow(gateway, &format!("/login/encounter?request={handle}")).await;
    assert!(page.text().contains("Choose a patient"), "{}", page.text());
}

#[tokio::test]
async fn of_fifty_parallel_ends_of_a_request_with_an_encounter_one_gets_a_code() {
    let gateway = shared::demo();
    let (dana, patient) = (gateway.demo_person("dana"), gateway.panel("dana")[0]);
    let app = App { patient: Some(patient), ..App::web(gateway, SCOPE) };
    let mut browser = Browser::default();
    let page = picker(gateway, &mut browser, &dana, &app).await;
    let encounter = offered(&page).remove(0);
    let answer = browser.submit_only(gateway, &page, &[("encounter", &encounter)]).await;
    let (next, cookies) = (answer.header("location").to_owned(), browser.cookies.clone());
    let cookie = cookies.iter().map(|(name, value)| format!("{name}={value}")).collect::<Vec<_>>().join("; ");
    let answers = at_once(gateway, FIFTY, |_| Call::get(&next).header("cookie", &cookie)).await;
    let won = answers.iter().filter(|answer| Redirect::of(answer).get("code").is_some()).count();
    assert_eq!(won, 1);
}

#[tokio::test]
async fn a_picker_shows_nothing_of_what_has_a_label() {
    let gateway = &Gateway::demo("picker-labels", &[]);
    let (dana, patient) = (gateway.demo_person("dana"), gateway.panel("dana")[1]);
    let special = gateway.person("physician", &[patient]);
    let roles = ["--role", "physician", "--role", "part2-program", "--role", "special-care"];
    gateway.command(&[&["user", "roles", special.name.as_str()], &roles[..]].concat());
    let token = App::public("user/*.cruds").tokens(gateway, &special).await.access;
    let code = |code: &str| json!({ "security": [{ "system": "http://terminology.hl7.org/CodeSystem/v3-ActCode", "code": code }] });
    let encounter = json!({ "resourceType": "Encounter", "status": "finished", "meta": code("42CFRPart2"),
        "class": { "code": "AMB" }, "type": [{ "text": "Opioid treatment program visit" }],
        "period": { "start": "2099-01-01T09:00:00Z" }, "subject": { "reference": format!("Patient/{patient}") } });
    let made = Call::fhir("POST", "/fhir/Encounter", &encounter).bearer(&token).to(gateway).await;
    assert_eq!(made.status, 201, "{}", made.text());
    let mut record = Call::get(&format!("/fhir/Patient/{patient}")).bearer(&token).to(gateway).await.json();
    let family = record["name"][0]["family"].as_str().unwrap().to_owned();
    let app = App::public(SCOPE);
    let mut browser = Browser::default();
    let page = picker(gateway, &mut browser, &dana, &app).await;
    assert!(page.text().contains(&family), "{}", page.text());
    let visits = browser.submit(gateway, &page, &[("patient", patient)]).await;
    assert!(!offered(&visits).is_empty());
    assert!(
        !visits.text().contains("Opioid") && !visits.text().contains(made.json()["id"].as_str().unwrap())
    );
    record["meta"]["security"] =
        json!([{ "system": "http://terminology.hl7.org/CodeSystem/v3-Confidentiality", "code": "V" }]);
    record["name"][0]["family"] = json!("Hyacinth-Marigold");
    let put =
        Call::fhir("PUT", &format!("/fhir/Patient/{patient}"), &record).bearer(&token).to(gateway).await;
    assert_eq!(put.status, 200, "{}", put.text());
    let page = picker(gateway, &mut Browser::default(), &dana, &app).await;
    assert!(page.text().contains(patient) && !page.text().contains("Hyacinth"), "{}", page.text());
}
