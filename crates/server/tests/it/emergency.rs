//! Emergency access as its users meet it: refused, told of it, asked why, let in for one record, reviewed.
//! 45 CFR 164.312(a)(2)(ii).

use std::time::{Duration, Instant};

use chartgate_protocol::jose::{Algorithm, KeySet, jws};
use http::StatusCode;
use serde_json::{Value, json};

use crate::browser::{App, Browser, CALLBACK, Redirect, Tokens, form_of, part};
use crate::fakes::secured::{Certificates, Secured, certificates};
use crate::faults::until_recorded;
use crate::gateway::{Gateway, PROGRAM, Person, Scratch};
use crate::passkeys::{self, Ask, send};
use crate::shared;
use crate::wire::{Answer, Call, encode};
use crate::{ciba, device, evidence, second_factors};

const EXPLANATION: &str = "unconscious on arrival, allergies unknown";

/// A request for emergency access, pushed by its client.
async fn push(gateway: &Gateway, app: &App<'_>, details: &Value) -> Answer {
    let mut request = app.request(gateway);
    request.push(("authorization_details", details.to_string()));
    let fields: Vec<(&str, &str)> = request.iter().map(|(name, value)| (*name, value.as_str())).collect();
    match app.secret {
        Some(_) => app.call("/par", &fields).to(gateway).await,
        None => Call::form("/par", &fields).to(gateway).await,
    }
}

fn details(patient: &str) -> Value {
    json!([{ "type": "emergency_access", "patient": patient }])
}

/// The page on which somebody says why, in a browser where they are signed in.
async fn ask(gateway: &Gateway, browser: &mut Browser, app: &App<'_>, patient: &str) -> Answer {
    let pushed = push(gateway, app, &details(patient)).await;
    assert_eq!(pushed.status, 201, "{}", pushed.text());
    let uri = pushed.json()["request_uri"].as_str().unwrap().to_owned();
    let start = format!("/authorize?client_id={}&request_uri={uri}", app.client);
    browser.follow(gateway, &start).await
}

fn declared(person: &Person) -> [(&str, &str); 4] {
    [
        ("reason", "immediate-danger"),
        ("explanation", EXPLANATION),
        ("password", &person.password),
        ("decision", "approve"),
    ]
}

/// The whole way, from the request to the token.
pub(crate) async fn granted(
    gateway: &Gateway,
    browser: &mut Browser,
    app: &App<'_>,
    person: &Person,
    patient: &str,
) -> Tokens {
    let page = ask(gateway, browser, app, patient).await;
    let answer = browser.submit(gateway, &page, &declared(person)).await;
    let code = Redirect::of(&answer)
        .get("code")
        .unwrap_or_else(|| panic!("no code: {} {}", answer.status, answer.text()));
    Tokens::of(&app.exchange_call(&code).to(gateway).await)
}

pub(crate) async fn signed_in(gateway: &Gateway, person: &Person) -> Browser {
    let mut browser = Browser::default();
    browser.sign_in(gateway, person).await;
    browser
}

async fn get(gateway: &Gateway, token: &str, path: &str) -> Answer {
    Call::get(path).bearer(token).to(gateway).await
}

#[tokio::test]
async fn a_clinician_opens_one_record_in_an_emergency_and_no_more_than_that() {
    let gateway = Gateway::demo("emergency-story", &[]);
    let dana = gateway.demo_person("dana");
    let app = App::public("openid fhirUser offline_access user/*.cruds");
    let (own, stranger) = (gateway.panel("dana")[0], gateway.stranger_to("dana"));
    let another = gateway
        .patients()
        .into_iter()
        .rfind(|p| *p != stranger && !gateway.panel("dana").contains(p))
        .unwrap();
    let mut browser = signed_in(&gateway, &dana).await;
    let usual = app.tokens_in(&gateway, &mut browser, &dana).await;
    assert_eq!(usual.claims()["purpose_of_use"], "TREAT");

    // Refused, and told.
    let refused = get(&gateway, &usual.access, &format!("/fhir/Patient/{stranger}")).await;
    assert_eq!(refused.status, 404);
    let hint = refused.json()["issue"][1].clone();
    assert_eq!((hint["severity"].as_str(), hint["code"].as_str()), (Some("information"), Some("suppressed")));
    assert!(
        hint["diagnostics"].as_str().unwrap().contains(&format!("{}/emergency", gateway.issuer)),
        "{hint}"
    );

    // Asked, with the password again.
    let page = ask(&gateway, &mut browser, &app, stranger).await;
    assert!(page.text().contains(stranger) && page.text().contains("name=\"password\""), "{}", page.text());
    let tokens = granted(&gateway, &mut browser, &app, &dana, stranger).await;
    let claims = tokens.claims();
    assert_eq!(claims["purpose_of_use"], "ETREAT");
    assert_eq!(claims["patient"], stranger);
    assert_eq!(claims["scope"], "fhirUser openid patient/*.rs");
    let life = claims["exp"].as_i64().unwrap() - claims["iat"].as_i64().unwrap();
    assert!((3500..=3600).contains(&life), "{life}");
    assert_eq!(tokens.answer.get("refresh_token"), None);
    let id = claims["authorization_details"][0]["identifier"].as_str().unwrap().to_owned();
    assert_eq!(
        claims["authorization_details"],
        json!([{ "type": "emergency_access", "patient": stranger, "reason": "immediate-danger", "identifier": id }])
    );

    // That record and what is shared; nobody else's, and nothing to be changed.
    let record = get(&gateway, &tokens.access, &format!("/fhir/Patient/{stranger}")).await;
    assert_eq!(record.status, 200);
    let read = gateway.audit(&["--user", "dana", "--action", "read", "--outcome", "allow"]);
    let explained = gateway.try_command(&["policy", "explain", &read.last().unwrap()["index"].to_string()]);
    assert!(explained.success && explained.out.contains("has emergency access to"), "{explained:?}");
    let found = get(&gateway, &tokens.access, &format!("/fhir/Observation?patient={stranger}")).await.json();
    assert!(!found["entry"].as_array().unwrap().is_empty());
    for other in [own, another] {
        assert_eq!(
            get(&gateway, &tokens.access, &format!("/fhir/Patient/{other}")).await.status,
            404,
            "{other}"
        );
    }
    let all = get(&gateway, &tokens.access, "/fhir/Observation?_count=100").await.json();
    let whose = format!("Patient/{stranger}");
    assert!(all["entry"].as_array().unwrap().iter().all(|e| e["resource"]["subject"]["reference"] == whose));
    for method in ["PUT", "DELETE"] {
        let path = format!("/fhir/Patient/{stranger}");
        let answer = Call::fhir(method, &path, &record.json()).bearer(&tokens.access).to(&gateway).await;
        assert_eq!(answer.status, 403, "{method}");
    }
    let told =
        App::web(&gateway, "openid").call("/introspect", &[("token", &tokens.access)]).to(&gateway).await;
    assert_eq!(told.json(), json!({ "active": false }), "another client's");

    // All of it on record.
    let records = gateway.audit(&["--user", "dana"]);
    let of = |event: &str| {
        records
            .iter()
            .filter(|r| r["event"] == event && r["detail"]["emergency"] == id.as_str())
            .collect::<Vec<_>>()
    };
    assert_eq!(
        (of("emergency.request").len(), of("emergency.grant").len(), of("token.issue").len()),
        (1, 1, 1)
    );
    let grant = of("emergency.grant")[0];
    assert_eq!(
        (grant["detail"]["explanation"].as_str(), grant["detail"]["reason"].as_str()),
        (Some(EXPLANATION), Some("immediate-danger"))
    );
    let accesses = of("access");
    assert!(accesses.len() >= 7, "{}", accesses.len());
    assert!(accesses.iter().all(|r| r["purpose_of_use"] == "ETREAT"));
    assert!(accesses.iter().any(|r| r["decision"]["policies"] == json!(["emergency-view"])));
}

#[tokio::test]
async fn a_part_2_record_opens_in_a_medical_emergency_for_those_who_treat_the_patient_too() {
    let gateway = &Gateway::demo("emergency-own", &[]);
    let patient = gateway.panel("dana")[0];
    let of_program = gateway.person("physician", &[patient]);
    gateway.command(&["user", "roles", &of_program.name, "--role", "physician", "--role", "part2-program"]);
    let app = App::public("openid user/*.cruds");
    let theirs = app.tokens(gateway, &of_program).await.access;
    let label = json!({ "system": "http://terminology.hl7.org/CodeSystem/v3-ActCode", "code": "42CFRPart2" });
    let record = json!({ "resourceType": "Observation", "status": "final", "meta": { "security": [label] },
        "code": { "text": "methadone" }, "subject": { "reference": format!("Patient/{patient}") } });
    let made = Call::fhir("POST", "/fhir/Observation", &record).bearer(&theirs).to(gateway).await;
    assert_eq!(made.status, 201, "{}", made.text());
    let id = made.json()["id"].as_str().unwrap().to_owned();
    let path = format!("/fhir/Observation/{id}");
    let search = format!("/fhir/Observation?patient={patient}&_id={id}");

    for (panel, name) in [(&[patient][..], "their own physician"), (&[], "another")] {
        let person = gateway.person("physician", panel);
        let mut browser = signed_in(gateway, &person).await;
        let usual = app.tokens_in(gateway, &mut browser, &person).await.access;
        assert_eq!(get(gateway, &usual, &path).await.status, 404, "{name}, without an emergency");
        for (reason, status) in [("immediate-danger", 200), ("covering", 404)] {
            let page = ask(gateway, &mut browser, &app, patient).await;
            let mut said = declared(&person);
            said[0].1 = reason;
            let answer = browser.submit(gateway, &page, &said).await;
            let code = Redirect::of(&answer).get("code").unwrap();
            let token = Tokens::of(&app.exchange_call(&code).to(gateway).await).access;
            assert_eq!(get(gateway, &token, &path).await.status, status, "{name}, {reason}");
            let found = get(gateway, &token, &search).await.json();
            assert_eq!(found["entry"].to_string().contains(&id), status == 200, "{name}, {reason}: {found}");
            let usual = get(gateway, &token, &format!("/fhir/Patient/{patient}")).await;
            assert_eq!(usual.status, 200, "{name}, {reason}");
        }
    }
}

/// A demo that tells a program and a person of emergency access.
pub(crate) async fn telling(name: &str) -> (Gateway, Secured, std::path::PathBuf) {
    let scratch = Scratch::new(name);
    certificates(scratch.path());
    let server = Secured::start(scratch.path(), Certificates::NotWanted).await;
    let (ca, mail) = (scratch.path().join("ca.pem"), scratch.path().join("mail"));
    let webhook = format!("CHARTGATE_EMERGENCY__WEBHOOK=https://localhost:{}/logout/emergency", server.port);
    let command =
        format!("CHARTGATE_EMERGENCY__MAIL_COMMAND=[\"sh\", \"-c\", \"(env; cat) >> {}\"]", mail.display());
    let ca = format!("CHARTGATE_EGRESS__CA={}", ca.display());
    let before = [
        "env",
        &webhook,
        &command,
        &ca,
        "CHARTGATE_EMERGENCY__MAIL_TO=privacy@clinic.example",
        "CHARTGATE_EMERGENCY__CONTACT=the privacy office",
        "CHARTGATE_EGRESS__ALLOW=[\"127.0.0.0/8\", \"::1/128\"]",
    ];
    (Gateway::demo_in(scratch, &[], &before), server, mail)
}

async fn until<T>(mut found: impl FnMut() -> Option<T>) -> T {
    let begun = Instant::now();
    loop {
        match found() {
            Some(found) => return found,
            None if begun.elapsed() > Duration::from_secs(30) => panic!("it did not come"),
            None => tokio::time::sleep(Duration::from_millis(50)).await,
        }
    }
}

#[tokio::test]
async fn unreviewed_ones_block_until_somebody_else_reviews_them() {
    let (gateway, server, mail) = telling("emergency-review").await;
    server.seen.lock().unwrap().logout_answers.push_back(StatusCode::SERVICE_UNAVAILABLE);
    let (dana, nils, pia) =
        (gateway.demo_person("dana"), gateway.demo_person("nils"), gateway.demo_person("pia"));
    let app = App::public("openid user/*.rs");
    let stranger = gateway.stranger_to("dana").to_owned();
    let mut browser = signed_in(&gateway, &dana).await;
    let mut ids = Vec::new();
    let (panel, patients) = (gateway.panel("dana"), gateway.patients());
    let others: Vec<&str> =
        patients.into_iter().filter(|id| *id != stranger && !panel.contains(id)).take(3).collect();
    for patient in [&stranger, others[0], others[1]] {
        let tokens = granted(&gateway, &mut browser, &app, &dana, patient).await;
        ids.push(tokens.claims()["authorization_details"][0]["identifier"].as_str().unwrap().to_owned());
        assert_eq!(get(&gateway, &tokens.access, &format!("/fhir/Patient/{patient}")).await.status, 200);
    }
    // Not for a fourth patient; for one of the three, in the same emergency still, as before.
    let page = ask(&gateway, &mut browser, &app, &stranger).await;
    assert!(page.text().contains("name=\"password\""), "{}", page.text());
    let page = ask(&gateway, &mut browser, &app, others[2]).await;
    assert!(
        page.text().contains("access to 3 patients") && page.text().contains("the privacy office"),
        "{}",
        page.text()
    );
    assert!(!page.text().contains("name=\"password\""));
    // The form of the page that was never shown gets no further.
    let forged = browser.submit(&gateway, &page, &declared(&dana)).await;
    assert!(forged.text().contains("access to 3 patients"), "{}", forged.text());
    let own = browser.follow(&gateway, "/emergency").await;
    assert!(
        own.text().contains("access to 3 patients") && own.text().contains(&format!("patient {stranger}")),
        "{}",
        own.text()
    );

    // The officer's program and the officer are told: who, when and where; never whom or why. What fails comes again.
    let told =
        until(|| Some(server.seen.lock().unwrap().logouts.clone()).filter(|told| told.len() >= 4)).await;
    let jwks = Call::get("/jwks").to(&gateway).await;
    let keys = KeySet::parse(jwks.text().as_bytes()).unwrap();
    let mut announced = std::collections::BTreeSet::new();
    for (_, token) in &told {
        let token = jws::Unverified::parse(token, &Algorithm::ALL, 1 << 14).unwrap();
        let verified = token.verify_with(&keys, jws::ExpectedType::Exactly("secevent+jwt")).unwrap();
        let claims: Value = serde_json::from_slice(verified.payload()).unwrap();
        let event = &claims["events"]["urn:chartgate:event:emergency-access"];
        assert_eq!((&claims["iss"], &event["user"]), (&json!(gateway.issuer), &json!("dana")));
        let text = claims.to_string();
        assert!(
            !text.contains(&stranger) && !text.contains("unconscious") && !text.contains("danger"),
            "{text}"
        );
        let id = event["id"].as_str().unwrap().to_owned();
        assert_eq!(event["link"], format!("{}/emergency/review?id={id}", gateway.issuer));
        announced.insert(id);
    }
    assert_eq!(announced, ids.iter().cloned().collect());
    let letter =
        until(|| std::fs::read_to_string(&mail).ok().filter(|text| text.matches("Subject:").count() == 3))
            .await;
    assert!(
        letter.contains("To: privacy@clinic.example")
            && letter.contains(&ids[0])
            && !letter.contains(&stranger)
    );
    assert!(
        letter.contains("PATH=") && !letter.contains("CHARTGATE_"),
        "what the program inherits: {letter}"
    );
    until(|| gateway.command(&["emergency", "list"]).matches("webhook: told").nth(2).map(drop)).await;

    // Nobody reviews who is no privacy officer, nor their own.
    let review = |by: &str| {
        let words = ["emergency", "review", &ids[0], "--reviewer", by, "--disposition", "appropriate"];
        gateway.try_command(&[&words[..], &["--note", "seen"]].concat())
    };
    for (by, why) in
        [("nils", "only somebody with the role"), ("dana", "only somebody with the role"), ("x", "no user")]
    {
        let refused = review(by);
        assert!(!refused.success && refused.err.contains(why), "{by}: {refused:?}");
    }
    gateway.command(&["user", "roles", "dana", "--role", "physician", "--role", "privacy-officer"]);
    let refused = review("dana");
    assert!(!refused.success && refused.err.contains("their own"), "{refused:?}");
    // By no other name either.
    let file = gateway.scratch().write("danas-other-name", "quiet-otter-climbs-twice");
    let own = gateway.user("dana")["fhir_user"].as_str().unwrap();
    let words = ["user", "add", "dana-the-officer", "--role", "privacy-officer", "--fhir-user", own];
    gateway.command(&[&words[..], &["--password-file", file.to_str().unwrap()]].concat());
    let refused = review("dana-the-officer");
    assert!(!refused.success && refused.err.contains("their own"), "{refused:?}");
    let path = format!("/emergency/review?id={}", ids[0]);
    let mut dana_again = signed_in(&gateway, &dana).await;
    let own = dana_again.follow(&gateway, &path).await;
    assert!(own.text().contains("their own") && !own.text().contains("name=\"note\""), "{}", own.text());
    let mut others = signed_in(&gateway, &nils).await;
    for page in ["/emergency/reviews", &path] {
        assert_eq!(others.get(&gateway, page).await.status, 403, "{page}");
    }
    let tried = gateway.audit(&["--user", "nils", "--outcome", "deny"]);
    let tried = tried.iter().filter(|r| r["event"] == "emergency.read");
    assert_eq!(tried.filter(|r| r["decision"]["reason"] == "not-a-reviewer").count(), 2);

    // A privacy officer does, from the link on, by the page and by the command.
    let mut officer = Browser::default();
    let page = officer.follow(&gateway, &path).await;
    let page = officer.submit(&gateway, &page, &[("username", &pia.name), ("password", &pia.password)]).await;
    // What was done is on the page.
    let seen = format!("read Patient/{stranger}");
    for told in [&stranger, EXPLANATION, "Life or health are in danger now", "dana", &seen] {
        assert!(page.text().contains(told), "{told}: {}", page.text());
    }
    let said = [("disposition", "appropriate"), ("note", "in the emergency department")];
    // Not with another browser's form (O31), nor her own through dana's name.
    let (action, _) = form_of(&page);
    let without =
        officer.send(&gateway, Call::form(&action, &[&[("id", ids[0].as_str())][..], &said].concat())).await;
    assert_eq!(without.status, 400);
    assert_eq!(dana_again.submit_only(&gateway, &page, &said).await.status, 400);
    assert_eq!(officer.submit(&gateway, &page, &[("disposition", "appropriate")]).await.status, 200);
    let list = officer.submit(&gateway, &page, &said).await;
    assert!(
        list.text().contains("Waiting for review") && list.text().contains("Appropriate."),
        "{}",
        list.text()
    );
    let again = officer.submit_only(&gateway, &page, &said).await;
    assert_eq!(again.status, 403, "{}", again.text());
    let shown = gateway.command(&["emergency", "show", &ids[0]]);
    assert!(
        shown.contains("in the emergency department") && shown.contains(EXPLANATION) && shown.contains("pia"),
        "{shown}"
    );
    gateway.command(&[
        "emergency",
        "review",
        &ids[1],
        "--reviewer",
        "pia",
        "--disposition",
        "needs-follow-up",
        "--note",
        "asks",
    ]);
    // What somebody has to go on with waits, whoever tells of it.
    let report: Value =
        serde_json::from_str(&gateway.command(&["audit", "report", "break-glass", "--format", "json"]))
            .unwrap();
    let facts = report["facts"].as_array().unwrap();
    let unreviewed = facts.iter().find(|fact| fact["name"] == "Not reviewed yet").unwrap();
    let told = &evidence::pack(&gateway, "followed-up")["settings"]["emergency"];
    assert_eq!((&unreviewed["value"], told["waiting"].to_string()), (&json!("2"), "2".to_owned()));
    let begun = |id: &str| {
        let used = gateway.command(&["emergency", "show", id, "--output", "json"]);
        serde_json::from_str::<Value>(&used).unwrap()["began_at"].clone()
    };
    assert_eq!(told["waiting_since"], begun(&ids[1]), "the first of those that wait");

    let list = officer.follow(&gateway, "/emergency/reviews").await;
    let (waiting, reviewed) =
        list.text().split_once("<h2>Reviewed</h2>").map(|(a, b)| (a.to_owned(), b.to_owned())).unwrap();
    assert!(waiting.contains("Needs follow-up") && waiting.contains(&ids[1]), "{waiting}");
    assert!(reviewed.contains(&ids[0]) && !reviewed.contains(&ids[1]), "{reviewed}");

    // Who is a privacy officer is not eligible; as a physician alone, dana goes on.
    let page = ask(&gateway, &mut dana_again, &app, &stranger).await;
    assert!(page.text().contains("not for your role"), "{}", page.text());
    gateway.command(&["user", "roles", "dana", "--role", "physician"]);
    let mut browser = signed_in(&gateway, &dana).await;
    let tokens = granted(&gateway, &mut browser, &app, &dana, &stranger).await;
    // What was not right ends with the review.
    let id = tokens.claims()["authorization_details"][0]["identifier"].as_str().unwrap().to_owned();
    let path = format!("/fhir/Patient/{stranger}");
    assert_eq!(get(&gateway, &tokens.access, &path).await.status, 200);
    gateway.command(&[
        "emergency",
        "review",
        &id,
        "--reviewer",
        "pia",
        "--disposition",
        "inappropriate",
        "--note",
        "no",
    ]);
    assert_eq!(get(&gateway, &tokens.access, &path).await.status, 401);
    let of = |event: &str| gateway.audit(&[]).iter().filter(|record| record["event"] == event).count();
    // Four uses by two ways; the first attempt of one failed.
    until(|| (of("emergency.tell") == 9).then_some(())).await;
    let records = gateway.audit(&[]);
    let tells = |outcome: &str| {
        let found = records.iter().filter(move |r| r["event"] == "emergency.tell" && r["outcome"] == outcome);
        found.map(|r| (r["detail"]["way"].clone(), r["decision"]["reason"].clone())).collect::<Vec<_>>()
    };
    assert_eq!(tells("error"), [(json!("webhook"), json!("status-503"))]);
    assert_eq!(tells("allow").len(), 8);
    let told = evidence::pack(&gateway, "told");
    assert!(
        evidence::lacks(&told, "C04", "Attempts to tell privacy officers of uses that failed: 1."),
        "{told}"
    );
    assert_eq!(evidence::count(&told, "C04", "Times privacy officers were told of uses"), 8);
    let count = |event: &str| records.iter().filter(|record| record["event"] == event).count();
    assert!(count("emergency.review") >= 3 && count("emergency.read") >= 3);
    // The guide that a demo prints names a patient; what is logged does not.
    let output = gateway.output();
    let logged: Vec<&str> = output.lines().filter(|line| line.starts_with("{\"timestamp\"")).collect();
    let logged = logged.join("\n");
    assert!(!logged.contains("unconscious") && !logged.contains(&stranger), "{logged}");
}

#[tokio::test]
async fn what_ends_access_ends_it_in_an_emergency_too() {
    let gateway = Gateway::demo("emergency-ends", &[]);
    let app = App::public("openid user/*.rs");
    let stranger = gateway.stranger_to("dana").to_owned();
    let path = format!("/fhir/Patient/{stranger}");
    for how in ["page", "emergency end", "session end", "user disable"] {
        let person = gateway.person("physician", &[]);
        let mut browser = signed_in(&gateway, &person).await;
        let tokens = granted(&gateway, &mut browser, &app, &person, &stranger).await;
        let id = tokens.claims()["authorization_details"][0]["identifier"].as_str().unwrap().to_owned();
        assert_eq!(get(&gateway, &tokens.access, &path).await.status, 200, "{how}");
        match how {
            "page" => {
                let page = browser.follow(&gateway, "/emergency").await;
                let other = signed_in(&gateway, &gateway.demo_person("nils")).await;
                let mut other = other;
                let others = other.follow(&gateway, "/emergency").await;
                // Nobody ends another's from there.
                let (action, hidden) = form_of(&page);
                assert_eq!(action, "/emergency");
                assert!(!others.text().contains(&id) && !hidden.is_empty());
                let ended = browser.submit(&gateway, &page, &[("id", &id)]).await;
                assert_eq!(ended.status, 200);
                browser.submit(&gateway, &page, &[("id", &id)]).await;
                let records = gateway.audit(&["--user", &person.name]);
                let ends = records.iter().filter(|record| record["event"] == "emergency.end").count();
                assert_eq!(ends, 1, "what was over is not ended again");
            }
            "emergency end" => drop(gateway.command(&["emergency", "end", &id])),
            "session end" => drop(gateway.command(&["session", "end", &tokens.session()])),
            _ => drop(gateway.command(&["user", "disable", &person.name])),
        }
        assert_eq!(get(&gateway, &tokens.access, &path).await.status, 401, "{how}");
    }
}

#[tokio::test]
async fn nobody_gets_emergency_access_by_asking_in_another_way() {
    let gateway = shared::demo();
    let app = App::public("openid user/*.rs");
    let person = gateway.person("physician", &[]);
    let stranger = gateway.stranger_to("dana");
    let mut browser = signed_in(gateway, &person).await;
    let error = |answer: &Answer| Redirect::of(answer).get("error").unwrap_or_default();

    // In an address; by a client that is not registered for it; with a name of its own; beside something else.
    let mut request = app.request(gateway);
    request.push(("authorization_details", details(stranger).to_string()));
    let fields: Vec<(&str, &str)> = request.iter().map(|(name, value)| (*name, value.as_str())).collect();
    let answer = Call::get(&format!("/authorize?{}", encode(&fields))).to(gateway).await;
    assert_eq!(error(&answer), "invalid_request");
    let words = ["client", "add", "no-emergencies", "--kind", "public", "--redirect-uri", CALLBACK];
    gateway.command(&[&words[..], &["--scope", "openid user/*.rs"]].concat());
    let other = App { client: "no-emergencies", ..app.clone() };
    let pushed = push(gateway, &other, &details(stranger)).await;
    assert_eq!((pushed.status, pushed.error().as_str()), (400, "invalid_authorization_details"));
    for wrong in [
        json!([{ "type": "emergency_access", "patient": stranger, "identifier": "0123456789abcdef0123456789abcdef" }]),
        json!([{ "type": "emergency_access", "patient": stranger }, { "type": "emergency_access", "patient": stranger }]),
        json!([{ "type": "emergency_access", "patient": "*" }]),
        json!([{ "type": "emergency_access", "patient": stranger, "actions": ["update"] }]),
        json!([{ "type": "emergency_access", "patient": stranger, "duration": 86400 }]),
    ] {
        let pushed = push(gateway, &app, &wrong).await;
        assert_eq!(
            (pushed.status, pushed.error().as_str()),
            (400, "invalid_authorization_details"),
            "{wrong}"
        );
    }
    // By its purpose alone.
    for purpose in ["ETREAT", "BTG"] {
        let mut request = app.request(gateway);
        request.push(("purpose_of_use", purpose.to_owned()));
        let fields: Vec<(&str, &str)> = request.iter().map(|(name, value)| (*name, value.as_str())).collect();
        let answer = Call::get(&format!("/authorize?{}", encode(&fields))).to(gateway).await;
        assert_eq!(error(&answer), "invalid_request", "{purpose}");
    }
    let service = gateway.secret("demo-service");
    let fields = [("grant_type", "client_credentials"), ("purpose_of_use", "ETREAT")];
    let answer = Call::form("/token", &fields).basic("demo-service", service).to(gateway).await;
    assert_eq!((answer.status, answer.error()), (400, "invalid_request".to_owned()));

    // Without a reason, with the wrong password, from another browser, twice.
    let page = ask(gateway, &mut browser, &app, stranger).await;
    for (name, value, told) in [
        ("reason", "curiosity", "Say why"),
        ("explanation", "x", "Say why"),
        ("password", "not-my-password", "That password is not right."),
    ] {
        let mut said = declared(&person);
        said.iter_mut().filter(|(field, _)| *field == name).for_each(|field| field.1 = value);
        let answer = browser.submit(gateway, &page, &said).await;
        assert_eq!(answer.status, 200);
        assert!(answer.text().contains(told), "{name}: {}", answer.text());
    }
    let mut stolen = signed_in(gateway, &person).await;
    assert_eq!(stolen.submit(gateway, &page, &declared(&person)).await.status, 400, "another browser's form");
    let (action, hidden) = form_of(&page);
    let unprotected: Vec<(&str, &str)> = hidden
        .iter()
        .filter(|(name, _)| name != "csrf")
        .map(|(name, value)| (name.as_str(), value.as_str()))
        .collect();
    let forged = Call::form(&action, &[&unprotected[..], &declared(&person)].concat());
    assert_eq!(browser.send(gateway, forged).await.status, 400, "O31");
    let answer = browser.submit(gateway, &page, &declared(&person)).await;
    let code = Redirect::of(&answer).get("code").unwrap();
    assert_eq!(browser.submit(gateway, &page, &declared(&person)).await.status, 400, "the page is used up");
    let tokens = Tokens::of(&app.exchange_call(&code).to(gateway).await);
    assert_eq!(tokens.answer.get("refresh_token"), None);
    // Consent is a page of its own, and does not stand in for this one.
    let page = ask(gateway, &mut browser, &app, stranger).await;
    let handle = form_of(&page).1.into_iter().find(|(name, _)| name == "request").unwrap().1;
    let consent = browser.get(gateway, &format!("/login/consent?request={handle}")).await;
    assert_eq!(consent.header("location"), format!("/login/emergency?request={handle}"));
    let hidden = form_of(&page).1;
    let mut said: Vec<(&str, &str)> =
        hidden.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect();
    said.push(("decision", "approve"));
    let past = browser.send(gateway, Call::form("/login/consent", &said)).await;
    assert_eq!(past.header("location"), format!("/login/emergency?request={handle}"));
    let no = browser.submit(gateway, &page, &[("decision", "deny")]).await;
    assert_eq!(error(&no), "access_denied");
}

#[tokio::test]
async fn a_stranger_who_guesses_a_name_keeps_nobody_from_an_emergency_and_few_guess_within_a_session() {
    let gateway = shared::demo();
    let app = App::public("openid user/*.rs");
    let person = gateway.person("physician", &[]);
    let stranger = gateway.stranger_to("dana");
    let mut browser = signed_in(gateway, &person).await;
    // Somebody elsewhere tries this name until it has to wait.
    let mut elsewhere = Browser::default();
    let page = elsewhere.follow(gateway, "/login").await;
    let guess = [("username", person.name.as_str()), ("password", "a-guess-of-somebody")];
    let mut last = elsewhere.submit(gateway, &page, &guess).await;
    for _ in 0..7 {
        last = elsewhere.submit(gateway, &page, &guess).await;
    }
    assert_eq!(last.status, 429);
    let tokens = granted(gateway, &mut browser, &app, &person, stranger).await;
    assert_eq!(get(gateway, &tokens.access, &format!("/fhir/Patient/{stranger}")).await.status, 200);

    // Whoever found the browser open has five tries, and then no session; its tokens are gone.
    let page = ask(gateway, &mut browser, &app, stranger).await;
    let mut said = declared(&person);
    said[2].1 = "a-guess-of-somebody";
    for _ in 0..4 {
        let answer = browser.submit(gateway, &page, &said).await;
        assert!(answer.text().contains("That password is not right."), "{}", answer.text());
    }
    let answer = browser.submit(gateway, &page, &said).await;
    assert!(answer.status == 403 && answer.text().contains("Signed out"), "{}", answer.text());
    assert_eq!(get(gateway, &tokens.access, &format!("/fhir/Patient/{stranger}")).await.status, 401);
    let own = browser.get(gateway, "/emergency").await;
    assert_eq!(own.header("location"), "/login?then=emergency");
    let records = gateway.audit(&["--user", &person.name, "--outcome", "deny"]);
    let wrong = records.iter().filter(|record| record["event"] == "emergency.request");
    let wrong: Vec<_> = wrong.filter(|record| record["decision"]["reason"] == "wrong-password").collect();
    assert_eq!(wrong.len(), 5);
    assert!(wrong.iter().all(|r| r["patients"] == json!([stranger]) && r["session"].is_string()));
}

/// What somebody says who confirms with a passkey.
const SAID: [(&str, &str); 3] =
    [("reason", "immediate-danger"), ("explanation", EXPLANATION), ("decision", "approve")];

/// The last record of somebody's asking for emergency access.
fn last_request(gateway: &Gateway, person: &Person) -> Value {
    gateway.audit(&["--user", &person.name, "--event", "emergency.request"]).pop().unwrap()
}

#[tokio::test]
async fn whoever_has_a_passkey_and_no_password_opens_a_record_with_it_and_the_record_says_so() {
    let gateway = shared::demo();
    let passkeys::Enrolled { person, mut passkey, mut browser, .. } = passkeys::enrolled(gateway).await;
    let database = rusqlite::Connection::open(gateway.folder().join("data/chartgate.db")).unwrap();
    let text = "UPDATE users SET password_hash = NULL WHERE name = ?1";
    assert_eq!(database.execute(text, [&person.name]).unwrap(), 1);
    let (app, stranger) = (App::public("openid user/*.rs"), gateway.stranger_to("dana"));
    let page = ask(gateway, &mut browser, &app, stranger).await;
    assert!(!page.text().contains("name=\"password\""), "{}", page.text());
    let confirm = Ask::of(&page, "/login/emergency");
    // Neither a guessed password, nor what was signed for something else, for another request, or nowhere.
    let factors = browser.get(gateway, "/account/factors").await;
    let for_a_change = passkey.get(&Ask::of(&factors, "/account/factors").options);
    let other = ask(gateway, &mut browser, &app, stranger).await;
    let for_another = passkey.get(&Ask::of(&other, "/login/emergency").options);
    for (brought, more, reason) in [
        ("", [("password", "")], "wrong-password"),
        (for_a_change.as_str(), [("password", "")], "passkey-challenge"),
        (for_another.as_str(), [("password", "")], "passkey-challenge"),
    ] {
        let answer = send(&mut browser, gateway, confirm.call(brought, &[&SAID[..], &more].concat())).await;
        assert!(answer.text().contains("role=\"alert\" id=\"problem\""), "{}", answer.text());
        assert_eq!(last_request(gateway, &person)["decision"]["reason"], reason);
    }
    let brought = passkey.get(&confirm.options);
    let answer = send(&mut browser, gateway, confirm.call(&brought, &SAID)).await;
    let code = Redirect::of(&answer).get("code").unwrap_or_else(|| panic!("{}", answer.text()));
    let tokens = Tokens::of(&app.exchange_call(&code).to(gateway).await);
    assert_eq!(get(gateway, &tokens.access, &format!("/fhir/Patient/{stranger}")).await.status, 200);
    let record = last_request(gateway, &person);
    assert_eq!((&record["outcome"], &record["detail"]["confirmed_by"]), (&json!("allow"), &json!("passkey")));
    // What was signed opens nothing a second time.
    let again = send(&mut browser, gateway, confirm.call(&brought, &SAID)).await;
    assert_eq!(again.status, 400, "{}", again.text());
}

#[tokio::test]
async fn a_form_that_is_sent_twice_at_one_moment_opens_one_record_once_and_the_log_says_which() {
    let gateway = shared::demo();
    let person = gateway.person("physician", &[]);
    let mut browser = signed_in(gateway, &person).await;
    let page =
        ask(gateway, &mut browser, &App::public("openid user/*.rs"), gateway.stranger_to("dana")).await;
    let mut others = [(); 4].map(|()| browser.clone());
    let said = declared(&person);
    let sent = others.iter_mut().map(|browser| browser.submit(gateway, &page, &said));
    let answers = futures_util::future::join_all(sent).await;
    assert_eq!(answers.iter().filter(|answer| matches!(answer.status, 302 | 303)).count(), 1);
    let records = gateway.audit(&["--user", &person.name, "--event", "emergency.request"]);
    let ids = |outcome: &str| -> std::collections::BTreeSet<String> {
        let records = records.iter().filter(|record| record["outcome"] == outcome);
        records.filter_map(|record| record["detail"]["emergency"].as_str().map(str::to_owned)).collect()
    };
    let (said, overtaken) = (ids("allow"), ids("deny"));
    assert!(overtaken.is_subset(&said), "{records:?}");
    assert_eq!(said.difference(&overtaken).count(), 1, "of all that were allowed one was not taken back");
    // One that came while another's password was looked at may be turned away before.
    let denied = records.iter().filter(|record| record["outcome"] == "deny");
    let mut reasons = denied.map(|record| record["decision"]["reason"].as_str().unwrap());
    assert!(reasons.all(|reason| matches!(reason, "asked-twice" | "throttled")), "{records:?}");
}

#[tokio::test]
async fn whoever_can_confirm_with_nothing_is_told_so_and_not_asked() {
    let gateway = shared::demo();
    let person = gateway.person("physician", &[]);
    let mut browser = signed_in(gateway, &person).await;
    let database = rusqlite::Connection::open(gateway.folder().join("data/chartgate.db")).unwrap();
    let text = "UPDATE users SET password_hash = NULL WHERE name = ?1";
    assert_eq!(database.execute(text, [&person.name]).unwrap(), 1);
    let app = App::public("openid user/*.rs");
    let page = ask(gateway, &mut browser, &app, gateway.stranger_to("dana")).await;
    assert!(page.text().contains("neither a password here nor a passkey"), "{}", page.text());
    assert_eq!(last_request(gateway, &person)["decision"]["reason"], "nothing-to-confirm-with");
}

#[tokio::test]
async fn a05_where_a_second_factor_is_required_an_emergency_takes_the_strongest_that_somebody_has() {
    let gateway = &Gateway::demo("emergency-strong", &[]);
    let (app, stranger) = (App::public("openid user/*.rs"), gateway.stranger_to("dana"));
    let with_app = second_factors::enrolled(gateway).await;
    let mut with_passkey = passkeys::enrolled(gateway).await;
    let config = std::fs::read_to_string(gateway.config()).unwrap();
    std::fs::write(gateway.config(), config + "\n[sign_in]\nsecond_factor = \"required\"\n").unwrap();
    gateway.hang_up();
    let newcomer = gateway.person("physician", &[]);
    until_signed_in_asks_more(gateway, &newcomer).await;

    let person = with_app.person;
    let (mut browser, page) = second_factors::at_the_code(gateway, &person).await;
    browser.submit(gateway, &page, &[("code", &with_app.phone.code(0))]).await;
    let page = ask(gateway, &mut browser, &app, stranger).await;
    let mut said = declared(&person).to_vec();
    let answer = browser.submit(gateway, &page, &said).await;
    assert!(answer.text().contains("The password or the code is not right"), "{}", answer.text());
    let code = with_app.phone.code(1);
    said.push(("code", code.as_str()));
    let answer = browser.submit(gateway, &page, &said).await;
    assert!(Redirect::of(&answer).get("code").is_some(), "{} {}", answer.status, answer.text());
    assert_eq!(last_request(gateway, &person)["detail"]["confirmed_by"], "password-and-code");
    drop(with_app.browser);

    let person = with_passkey.person;
    let page = ask(gateway, &mut with_passkey.browser, &app, stranger).await;
    assert!(!page.text().contains("name=\"password\""), "{}", page.text());
    let answer = with_passkey.browser.submit(gateway, &page, &declared(&person)).await;
    assert!(answer.text().contains("Here a password is not enough"), "{}", answer.text());
    assert_eq!(last_request(gateway, &person)["decision"]["reason"], "passkey-needed");
    let confirm = Ask::of(&answer, "/login/emergency");
    let brought = with_passkey.passkey.get(&confirm.options);
    let answer = send(&mut with_passkey.browser, gateway, confirm.call(&brought, &SAID)).await;
    assert!(Redirect::of(&answer).get("code").is_some(), "{} {}", answer.status, answer.text());
    assert_eq!(last_request(gateway, &person)["detail"]["confirmed_by"], "passkey");
}

#[tokio::test]
async fn a_policy_that_asks_how_somebody_signed_in_leaves_emergencies_to_whoever_signed_in_so() {
    let gateway = &Gateway::demo("emergency-amr", &[]);
    let policy = r#"@id("two-factors-alone") forbid (principal, action, resource is Chartgate::Record)
        unless { context.amr.contains("mfa") && context has acr && context.acr like "*mfa" };"#;
    std::fs::write(gateway.folder().join("policies/two-factors-alone.cedar"), policy).unwrap();
    until_recorded(gateway, "policy.reload", 1).await;
    let (app, stranger) = (App::public("openid user/*.rs"), gateway.stranger_to("dana"));
    let strong = second_factors::enrolled(gateway).await;
    let (mut strongly, page) = second_factors::at_the_code(gateway, &strong.person).await;
    strongly.submit(gateway, &page, &[("code", &strong.phone.code(0))]).await;
    let page = ask(gateway, &mut strongly, &app, stranger).await;
    let code = strong.phone.code(1);
    let said = [&declared(&strong.person)[..], &[("code", code.as_str())]].concat();
    let answer = strongly.submit(gateway, &page, &said).await;
    let code = Redirect::of(&answer).get("code").unwrap_or_else(|| panic!("{}", answer.text()));
    let tokens = Tokens::of(&app.exchange_call(&code).to(gateway).await);
    let record = format!("/fhir/Patient/{stranger}");
    assert_eq!(get(gateway, &tokens.access, &record).await.status, 200);

    let weak = gateway.person("physician", &[]);
    let mut weakly = signed_in(gateway, &weak).await;
    ask(gateway, &mut weakly, &app, stranger).await;
    assert_eq!(last_request(gateway, &weak)["decision"]["reason"], "not-eligible");

    // The picker asks as the gateway will, too.
    let request = App::public("openid launch/patient patient/*.rs").request(gateway);
    let query = encode(&request.iter().map(|(n, v)| (*n, v.as_str())).collect::<Vec<_>>());
    let asked = [(&strong.person, &mut strongly, true), (&weak, &mut weakly, false)];
    for (person, browser, is_listed) in asked {
        gateway.command(&["care", "add", &person.name, stranger]);
        let picker = browser.follow(gateway, &format!("/authorize?{query}")).await;
        assert!(picker.text().contains("action=\"/login/patient\""), "{}", picker.text());
        assert_eq!(picker.text().contains(stranger), is_listed, "{}", person.name);
    }
}

/// Waits until a password is not enough any more.
async fn until_signed_in_asks_more(gateway: &Gateway, person: &Person) {
    let begun = Instant::now();
    while signed_in(gateway, person).await.cookies.contains_key("__Host-session") {
        assert!(begun.elapsed() < Duration::from_secs(30), "{}", gateway.output());
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}

#[tokio::test]
async fn o26_emergency_access_is_not_exchanged_and_others_are_told_that_it_is_not_for_them() {
    const EXCHANGE: &str = "urn:ietf:params:oauth:grant-type:token-exchange";
    let gateway = shared::demo();
    let words = ["client", "add", "glass-exchange", "--kind", "confidential", "--redirect-uri", CALLBACK];
    let more =
        ["--authorization-details-type", "emergency_access", "--scope", "openid user/*.rs patient/*.rs"];
    let grants = ["--grant", "authorization_code", "--grant", "refresh_token", "--grant", EXCHANGE];
    let shown: Value =
        serde_json::from_str(&gateway.command(&[&words[..], &more, &grants].concat())).unwrap();
    let secret = shown["client_secret"].as_str().unwrap().to_owned();
    let app = App {
        client: "glass-exchange",
        secret: Some(&secret),
        scope: "openid",
        patient: None,
        route: "/fhir",
    };
    let person = gateway.person("nurse", &[]);
    let stranger = gateway.stranger_to("dana");
    let mut browser = signed_in(gateway, &person).await;
    let tokens = granted(gateway, &mut browser, &app, &person, stranger).await;
    assert_eq!(tokens.answer.get("refresh_token"), None);
    let told = app.call("/introspect", &[("token", &tokens.access)]).to(gateway).await.json();
    assert_eq!((&told["purpose_of_use"], &told["active"]), (&json!("ETREAT"), &json!(true)));
    let fields = [
        ("grant_type", EXCHANGE),
        ("subject_token", tokens.access.as_str()),
        ("subject_token_type", "urn:ietf:params:oauth:token-type:access_token"),
    ];
    let refused = app.token_call(&fields).to(gateway).await;
    assert_eq!((refused.status, refused.error().as_str()), (400, "invalid_request"), "{}", refused.text());
    for role in ["billing", "researcher", "privacy-officer", "administrator"] {
        let person = gateway.person(role, &[]);
        let mut browser = signed_in(gateway, &person).await;
        let page = ask(gateway, &mut browser, &app, stranger).await;
        assert!(page.text().contains("Emergency access is not for your role."), "{role}: {}", page.text());
        let forged = browser.submit(gateway, &page, &declared(&person)).await;
        assert!(
            forged.text().contains("Emergency access is not for your role."),
            "{role}: {}",
            forged.text()
        );
        let records = gateway.audit(&["--user", &person.name, "--outcome", "deny"]);
        assert!(records.iter().all(|record| record["decision"]["reason"] == "not-eligible"), "{records:?}");
        assert_eq!(records.len(), 2);
    }
}

#[tokio::test]
async fn the_hint_at_emergency_access_says_nothing_of_any_record() {
    let gateway = shared::demo();
    let stranger = gateway.stranger_to("dana");
    let resource = |id: &str| json!({ "resourceType": "Patient", "id": id });
    for (role, is_told) in [("physician", true), ("nurse", true), ("patient", false)] {
        let person = gateway.person(role, &[]);
        let token = App::public("openid user/*.cruds").tokens(gateway, &person).await.access;
        let mut told = 0;
        for kind in ["Patient", "Observation"] {
            let ask = async |id: &str| {
                let path = format!("/fhir/{kind}/{id}");
                let body =
                    json!({ "resourceType": kind, "id": id, "status": "final", "code": { "text": "x" } });
                let mut answers = Vec::new();
                for call in [
                    Call::get(&path),
                    Call::get(&format!("{path}/_history/1")),
                    Call::get(&format!("{path}/_history")),
                    Call::get(&format!("/fhir/Patient/{id}/$everything")),
                    Call::get(&format!("/fhir/Patient/{id}/Observation")),
                    Call::fhir("PUT", &path, &if kind == "Patient" { resource(id) } else { body })
                        .header("if-match", "W/\"1\""),
                    Call::new("DELETE", &path).header("if-match", "W/\"1\""),
                    Call::get(&format!(
                        "/fhir/{kind}?{}={id}",
                        if kind == "Patient" { "_id" } else { "patient" }
                    )),
                ] {
                    let answer = call.bearer(&token).to(gateway).await;
                    answers.push((answer.status, answer.text().replace(id, "ID")));
                }
                answers
            };
            let existing = ask(stranger).await;
            assert_eq!(existing, ask("no-such-patient").await, "{role} {kind}");
            told += existing.iter().filter(|(_, text)| text.contains("/emergency")).count();
        }
        assert_eq!(told > 0, is_told, "{role}");
        if is_told {
            let read = get(gateway, &token, &format!("/fhir/Patient/{stranger}")).await;
            assert!(read.status == 404 && read.text().contains("/emergency"));
            let search = get(gateway, &token, &format!("/fhir/Observation?patient={stranger}")).await.json();
            assert_eq!(search["entry"][0]["search"]["mode"], "outcome", "{search}");
        }
    }
    let service = gateway.secret("demo-service");
    let call = Call::form("/token", &[("grant_type", "client_credentials")]).basic("demo-service", service);
    let token = Tokens::of(&call.to(gateway).await).access;
    let absent = get(gateway, &token, "/fhir/Patient/no-such-patient").await;
    assert!(absent.status == 404 && !absent.text().contains("/emergency"));
}

#[tokio::test]
async fn the_purpose_of_use_is_asked_for_allowed_by_role_and_kept() {
    const EXCHANGE: &str = "urn:ietf:params:oauth:grant-type:token-exchange";
    let gateway = shared::demo();
    let words = ["client", "add", "purpose-app", "--kind", "confidential", "--redirect-uri", CALLBACK];
    let grants = ["--grant", "authorization_code", "--grant", "refresh_token", "--grant", EXCHANGE];
    let more = ["--scope", "openid offline_access user/*.rs"];
    let shown: Value =
        serde_json::from_str(&gateway.command(&[&words[..], &more, &grants].concat())).unwrap();
    let secret = shown["client_secret"].as_str().unwrap().to_owned();
    let app = App {
        client: "purpose-app",
        secret: Some(&secret),
        scope: "openid offline_access user/*.rs",
        patient: None,
        route: "/fhir",
    };
    let ask = async |person: &Person, purpose: Option<&str>| {
        let mut request = app.request(gateway);
        request.extend(purpose.map(|purpose| ("purpose_of_use", purpose.to_owned())));
        let fields: Vec<(&str, &str)> = request.iter().map(|(name, value)| (*name, value.as_str())).collect();
        app.authorize_with(gateway, &mut Browser::default(), person, &fields).await
    };
    let tokens_of = async |redirect: Redirect| {
        Tokens::of(&app.exchange_call(&redirect.get("code").unwrap()).to(gateway).await)
    };
    for (role, presumed) in [
        ("physician", "TREAT"),
        ("nurse", "TREAT"),
        ("billing", "HPAYMT"),
        ("researcher", "HRESCH"),
        ("patient", "PATRQT"),
    ] {
        let tokens = tokens_of(ask(&gateway.person(role, &[]), None).await).await;
        assert_eq!(tokens.claims()["purpose_of_use"], presumed, "{role}");
    }
    let person = gateway.person("physician", &[]);
    let tokens = tokens_of(ask(&person, Some("HOPERAT")).await).await;
    let refreshed = Tokens::of(&app.refresh_call(tokens.refresh()).to(gateway).await);
    let fields = [
        ("grant_type", EXCHANGE),
        ("subject_token", refreshed.access.as_str()),
        ("subject_token_type", "urn:ietf:params:oauth:token-type:access_token"),
        ("purpose_of_use", "TREAT"),
    ];
    let exchanged = Tokens::of(&app.token_call(&fields).to(gateway).await);
    for token in [&tokens, &refreshed, &exchanged] {
        assert_eq!(token.claims()["purpose_of_use"], "HOPERAT");
        let told = app.call("/introspect", &[("token", &token.access)]).to(gateway).await.json();
        assert_eq!(told["purpose_of_use"], "HOPERAT");
    }
    let path = format!("/fhir/Patient/{}", gateway.stranger_to("dana"));
    get(gateway, &tokens.access, &path).await;
    let records = gateway.audit(&["--user", &person.name]);
    for event in ["token.issue", "token.refresh", "access"] {
        let record = records.iter().find(|record| record["event"] == event).unwrap();
        assert_eq!(record["purpose_of_use"], "HOPERAT", "{event}");
    }
    // Who may not have it any more gets no further token, and no other purpose in its place.
    gateway.command(&["user", "roles", &person.name, "--role", "billing"]);
    assert_eq!(app.refresh_call(refreshed.refresh()).to(gateway).await.status, 200, "billing may as well");
    let person = gateway.person("physician", &[]);
    let tokens = tokens_of(ask(&person, Some("COC")).await).await;
    gateway.command(&["user", "roles", &person.name, "--role", "billing"]);
    let refused = app.refresh_call(tokens.refresh()).to(gateway).await;
    assert_eq!((refused.status, refused.error()), (400, "invalid_grant".to_owned()));

    // Where the roles left it open, a refresh does not settle it.
    let person = gateway.person("physician", &[]);
    let roles = |more: &[&str]| {
        gateway.command(&[&["user", "roles", &person.name, "--role", "physician"], more].concat())
    };
    roles(&["--role", "researcher"]);
    let tokens = tokens_of(ask(&person, None).await).await;
    roles(&[]);
    let refreshed = Tokens::of(&app.refresh_call(tokens.refresh()).to(gateway).await);
    for token in [&tokens, &refreshed] {
        assert_eq!(token.claims().get("purpose_of_use"), None);
    }

    // Refused: for the role, and what is no code.
    assert_eq!(
        ask(&gateway.person("researcher", &[]), Some("TREAT")).await.get("error").as_deref(),
        Some("access_denied")
    );
    let mut request = app.request(gateway);
    request.push(("purpose_of_use", "CURIOSITY".to_owned()));
    let fields: Vec<(&str, &str)> = request.iter().map(|(name, value)| (*name, value.as_str())).collect();
    let answer = Call::get(&format!("/authorize?{}", encode(&fields))).to(gateway).await;
    assert_eq!(Redirect::of(&answer).get("error").as_deref(), Some("invalid_request"));

    // Shown where people consent, in words.
    let public = App::public("openid user/*.rs");
    let mut request = public.request(gateway);
    request.push(("purpose_of_use", "PATSFTY".to_owned()));
    let fields: Vec<(&str, &str)> = request.iter().map(|(name, value)| (*name, value.as_str())).collect();
    let mut browser = signed_in(gateway, &gateway.person("nurse", &[])).await;
    let page = browser.follow(gateway, &format!("/authorize?{}", encode(&fields))).await;
    assert!(page.text().contains("the safety of patients"), "{}", page.text());

    // What was given before was given for another purpose.
    let mut browser = Browser::default();
    let person = gateway.person("physician", &[]);
    app.tokens_in(gateway, &mut browser, &person).await;
    for (purpose, error) in [(None, None), (Some("PUBHLTH"), Some("consent_required")), (None, None)] {
        let mut request = app.request(gateway);
        request.push(("prompt", "none".to_owned()));
        request.extend(purpose.map(|purpose: &str| ("purpose_of_use", purpose.to_owned())));
        let fields: Vec<(&str, &str)> = request.iter().map(|(name, value)| (*name, value.as_str())).collect();
        let answer = browser.follow(gateway, &format!("/authorize?{}", encode(&fields))).await;
        assert_eq!(Redirect::of(&answer).get("error").as_deref(), error, "{purpose:?}");
    }

    // Of a program, by its own roles.
    let service = gateway.secret("demo-service");
    for (asked, got) in [(None, "HOPERAT"), (Some("HRESCH"), "HRESCH")] {
        let mut fields = vec![("grant_type", "client_credentials")];
        fields.extend(asked.map(|purpose| ("purpose_of_use", purpose)));
        let tokens =
            Tokens::of(&Call::form("/token", &fields).basic("demo-service", service).to(gateway).await);
        assert_eq!(tokens.claims()["purpose_of_use"], got);
    }
    for wrong in ["PATRQT", "x"] {
        let fields = [("grant_type", "client_credentials"), ("purpose_of_use", wrong)];
        let answer = Call::form("/token", &fields).basic("demo-service", service).to(gateway).await;
        assert_eq!((answer.status, answer.error()), (400, "invalid_request".to_owned()), "{wrong}");
    }
    let metadata = Call::get("/.well-known/openid-configuration").to(gateway).await.json();
    let offered = metadata["purpose_of_use_values_supported"].as_array().unwrap();
    assert!(offered.contains(&json!("TREAT")) && !offered.contains(&json!("BTG")));
}

/// `chartgate login --emergency`, as somebody at a terminal uses it.
#[tokio::test]
async fn the_terminal_asks_for_emergency_access_and_names_no_patient_in_an_address() {
    use std::io::{BufRead as _, BufReader, Read as _, Write as _};
    let gateway = shared::demo();
    let (person, stranger) = (gateway.person("physician", &[]), gateway.stranger_to("dana"));
    let mut login = std::process::Command::new(PROGRAM)
        .args(["--config", gateway.config(), "login", "--print-token"])
        .args(["--emergency", stranger, "--reason", "covering"])
        // No desktop to open a browser on.
        .env("PATH", "")
        .stdout(std::process::Stdio::piped())
        .stderr(std::process::Stdio::piped())
        .spawn()
        .unwrap();
    let said = BufReader::new(login.stderr.take().unwrap()).lines().map(Result::unwrap);
    let url = said.map(|line| line.trim().to_owned()).find(|line| line.starts_with("https://")).unwrap();
    assert!(!url.contains(stranger), "{url}");
    let mut browser = signed_in(gateway, &person).await;
    let page = browser.follow(gateway, url.strip_prefix(&gateway.issuer).unwrap()).await;
    assert!(page.text().contains("value=\"covering\" required checked"), "{}", page.text());
    let mut said = declared(&person);
    said[0].1 = "covering";
    let redirect = Redirect::of(&browser.submit(gateway, &page, &said).await);
    let (address, path) = redirect.location.strip_prefix("http://").unwrap().split_once('/').unwrap();
    let mut stream = std::net::TcpStream::connect(address).unwrap();
    write!(stream, "GET /{path} HTTP/1.1\r\nhost: {address}\r\n\r\n").unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    let mut token = String::new();
    login.stdout.take().unwrap().read_to_string(&mut token).unwrap();
    assert!(login.wait().unwrap().success());
    let claims = part(token.trim(), 1);
    assert_eq!((&claims["purpose_of_use"], &claims["patient"]), (&json!("BTG"), &json!(stranger)));
    assert_eq!(get(gateway, token.trim(), &format!("/fhir/Patient/{stranger}")).await.status, 200);
}

#[tokio::test]
async fn devices_and_questions_to_people_elsewhere_have_a_purpose_as_well() {
    const CIBA: &str = "urn:openid:params:grant-type:ciba";
    const DEVICE: &str = "urn:ietf:params:oauth:grant-type:device_code";
    let gateway = shared::demo();
    let words =
        ["client", "add", "purpose-desk", "--kind", "confidential", "--grant", CIBA, "--grant", DEVICE];
    let shown = gateway.command(&[&words[..], &["--scope", "openid user/*.rs"]].concat());
    let shown: Value = serde_json::from_str(&shown).unwrap();
    let secret = shown["client_secret"].as_str().unwrap().to_owned();
    let scope = "openid user/*.rs";
    let app = App { client: "purpose-desk", secret: Some(&secret), scope, patient: None, route: "/fhir" };
    let person = gateway.person("nurse", &[]);

    let asked = ciba::ask(gateway, &app, &[("login_hint", &person.name), ("purpose_of_use", "COC")]).await;
    let waiting = gateway.command(&["--output", "json", "approval", "list"]);
    assert!(waiting.contains("\"purpose_of_use\":\"COC\""), "{waiting}");
    gateway.command(&["approval", "approve", &asked]);
    let tokens = Tokens::of(&ciba::poll(&app, &asked).to(gateway).await);
    assert_eq!(tokens.claims()["purpose_of_use"], "COC");
    // Approved for a purpose that is not one for the person's role: nothing.
    let asked = ciba::ask(gateway, &app, &[("login_hint", &person.name), ("purpose_of_use", "HRESCH")]).await;
    gateway.command(&["approval", "approve", &asked]);
    let refused = ciba::poll(&app, &asked).to(gateway).await;
    assert_eq!((refused.status, refused.error().as_str()), (400, "invalid_grant"));

    let call = app.call("/device-authorization", &[("scope", scope), ("purpose_of_use", "PATSFTY")]);
    let asked = device::told(&call.to(gateway).await);
    device::approve(gateway, &mut Browser::default(), &person, &asked.user_code).await;
    let tokens = Tokens::of(&device::poll(&app, &asked).to(gateway).await);
    assert_eq!(tokens.claims()["purpose_of_use"], "PATSFTY");

    // No emergency begins in either way.
    for path in ["/device-authorization", "/backchannel-authentication"] {
        for (name, value) in
            [("purpose_of_use", "CURIOSITY".to_owned()), ("authorization_details", details("p").to_string())]
        {
            let fields = [("scope", scope), ("login_hint", person.name.as_str()), (name, value.as_str())];
            let answer = app.call(path, &fields).to(gateway).await;
            assert_eq!(answer.status, 400, "{path} {name}: {}", answer.text());
        }
        let fields = [("scope", scope), ("login_hint", person.name.as_str()), ("purpose_of_use", "BTG")];
        let answer = app.call(path, &fields).to(gateway).await;
        assert_eq!((answer.status, answer.error().as_str()), (400, "invalid_request"), "{path}");
    }
}
