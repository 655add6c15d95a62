//! What a client asks for in detail (RFC 9396), from the request over consent to what a route lets through.

use serde_json::{Value, json};

use crate::browser::{App, Browser, CALLBACK, Redirect, Tokens};
use crate::gateway::Gateway;
use crate::shared;
use crate::wire::{Answer, Call, encode};

const EXCHANGE: &str = "urn:ietf:params:oauth:grant-type:token-exchange";
const ACCESS_TOKEN: &str = "urn:ietf:params:oauth:token-type:access_token";

/// A client that may ask for details.
fn register<'a>(gateway: &Gateway, id: &'a str, secret: &'a mut String, more: &[&str]) -> App<'a> {
    let words =
        ["client", "add", id, "--kind", "confidential", "--authorization-details-type", "fhir_records"];
    let rest = ["--redirect-uri", CALLBACK, "--scope", "openid offline_access user/*.rs"];
    let shown = gateway.command(&[&words[..], &rest, more].concat());
    let shown: Value = serde_json::from_str(&shown).unwrap();
    assert_eq!(shown["authorization_details_types"], json!(["fhir_records"]));
    *secret = shown["client_secret"].as_str().unwrap().to_owned();
    App { client: id, secret: Some(secret), scope: "openid", patient: None, route: "/fhir" }
}

fn observations_of(patients: &[&str]) -> Value {
    json!([{ "type": "fhir_records", "actions": ["read", "search"], "datatypes": ["Observation"], "patients": patients }])
}

fn request(gateway: &Gateway, app: &App<'_>, details: &Value) -> Vec<(&'static str, String)> {
    let mut request = app.request(gateway);
    request.push(("authorization_details", details.to_string()));
    request
}

fn fields<'r>(request: &'r [(&'static str, String)]) -> Vec<(&'r str, &'r str)> {
    request.iter().map(|(name, value)| (*name, value.as_str())).collect()
}

/// Tokens of a person who approved these details.
async fn granted(gateway: &Gateway, app: &App<'_>, details: &Value) -> Tokens {
    granted_by(gateway, app, "dana", details).await
}

async fn granted_by(gateway: &Gateway, app: &App<'_>, name: &str, details: &Value) -> Tokens {
    let (request, person) = (request(gateway, app, details), gateway.demo_person(name));
    let redirect = app.authorize_with(gateway, &mut Browser::default(), &person, &fields(&request)).await;
    Tokens::of(&app.exchange_call(&redirect.get("code").unwrap()).to(gateway).await)
}

/// An observation of each of these patients.
async fn observation_of(gateway: &Gateway, patient: &str) -> String {
    let service = gateway.secret("demo-service");
    let call = Call::form("/token", &[("grant_type", "client_credentials")]).basic("demo-service", service);
    let token = Tokens::of(&call.to(gateway).await).access;
    let found =
        Call::get(&format!("/fhir/Observation?patient={patient}")).bearer(&token).to(gateway).await.json();
    format!("/fhir/Observation/{}", found["entry"][0]["resource"]["id"].as_str().unwrap())
}

async fn status(gateway: &Gateway, token: &str, path: &str) -> u16 {
    Call::get(path).bearer(token).to(gateway).await.status
}

#[tokio::test]
async fn details_open_the_records_that_they_name_and_no_others() {
    let gateway = shared::demo();
    let mut secret = String::new();
    let app = register(gateway, "details-app", &mut secret, &[]);
    let panel = gateway.panel("dana");
    let (named, other, stranger) = (panel[0], panel[1], gateway.stranger_to("dana"));
    let details = observations_of(&[named, stranger]);
    let tokens = granted(gateway, &app, &details).await;
    assert_eq!(tokens.answer["authorization_details"], details);
    assert_eq!(tokens.claims()["authorization_details"], details);
    let told = app.call("/introspect", &[("token", &tokens.access)]).to(gateway).await.json();
    assert_eq!(told["authorization_details"], details);
    let told = app.call("/introspect", &[("token", tokens.refresh())]).to(gateway).await.json();
    assert_eq!(told["authorization_details"], details);

    let mut token = tokens.access.clone();
    for _ in 0..2 {
        let [own, others, strangers] = [
            observation_of(gateway, named).await,
            observation_of(gateway, other).await,
            observation_of(gateway, stranger).await,
        ];
        assert_eq!(status(gateway, &token, &own).await, 200);
        assert_eq!(status(gateway, &token, &others).await, 404, "in the person's care, but not named");
        assert_eq!(status(gateway, &token, &strangers).await, 404, "named, but policy says no");
        assert_eq!(status(gateway, &token, &format!("/fhir/Patient/{named}")).await, 403, "another type");
        let found = Call::get("/fhir/Observation?_count=100").bearer(&token).to(gateway).await.json();
        let entries = found["entry"].as_array().unwrap();
        assert!(!entries.is_empty());
        let of_named =
            |entry: &Value| entry["resource"]["subject"]["reference"] == format!("Patient/{named}");
        assert!(entries.iter().all(of_named));
        let write = json!({ "resourceType": "Observation", "status": "final", "code": { "text": "x" },
            "subject": { "reference": format!("Patient/{named}") } });
        let written = Call::fhir("POST", "/fhir/Observation", &write).bearer(&token).to(gateway).await;
        assert_eq!(written.status, 403, "another act");
        // What was granted in detail outlives the first token.
        token = Tokens::of(&app.refresh_call(tokens.refresh()).to(gateway).await).access;
    }
    let records = gateway.audit(&["--client", "details-app"]);
    for event in ["consent", "token.issue", "token.refresh"] {
        let record = records.iter().find(|record| record["event"] == event).unwrap();
        let said: Value =
            serde_json::from_str(record["detail"]["authorization_details"].as_str().unwrap()).unwrap();
        assert_eq!(said, details, "{event}");
    }
}

#[tokio::test]
async fn details_that_name_a_patient_do_not_tell_a_researcher_which_name_that_patient_has() {
    let gateway = shared::demo();
    let mut secret = String::new();
    let app = register(gateway, "research-app", &mut secret, &[]);
    let patient = gateway.panel("dana")[0];
    let named = granted_by(gateway, &app, "remy", &observations_of(&[patient])).await;
    let found = Call::get("/fhir/Observation").bearer(&named.access).to(gateway).await;
    assert_eq!(found.status, 200, "{}", found.text());
    let found = found.json();
    assert_eq!((found.get("entry"), found.get("total")), (None, None), "{found}");
    let last = gateway.audit(&["--client", "research-app"]);
    let last = last.iter().rfind(|record| record["event"] == "access").unwrap();
    assert!(last["withheld"].as_u64().unwrap() > 0, "there was something to be withheld: {last}");

    // Nor beside a scope that reaches nobody's records, or others of the same type.
    for category in ["no-such", "vital-signs"] {
        let scope = format!("openid user/Observation.rs?category={category}");
        let beside = App { scope: &scope, ..app };
        let token = granted_by(gateway, &beside, "remy", &observations_of(&[patient])).await.access;
        let found = Call::get("/fhir/Observation?_count=500").bearer(&token).to(gateway).await;
        assert_eq!(found.status, 200, "{}", found.text());
        for entry in found.json()["entry"].as_array().into_iter().flatten() {
            assert_eq!(entry["resource"]["category"][0]["coding"][0]["code"], category, "{entry}");
        }
    }

    let wide = App { scope: "openid user/*.rs", ..app };
    let all = wide.tokens(gateway, &gateway.demo_person("remy")).await;
    let found = Call::get("/fhir/Observation").bearer(&all.access).to(gateway).await.json();
    assert!(!found["entry"].as_array().unwrap().is_empty(), "among all others nobody is found out");
}

#[tokio::test]
async fn a_person_sees_whose_records_are_asked_for_and_is_asked_each_time() {
    let gateway = shared::demo();
    let mut secret = String::new();
    let app = register(gateway, "details-consent", &mut secret, &[]);
    let patient = gateway.panel("dana")[0];
    let dana = gateway.demo_person("dana");
    let mut browser = Browser::default();
    browser.sign_in(gateway, &dana).await;
    for _ in 0..2 {
        let request = request(gateway, &app, &observations_of(&[patient]));
        let page = browser.follow(gateway, &format!("/authorize?{}", encode(&fields(&request)))).await;
        let sentence = format!("See and search Observation entries of the patient {patient}");
        assert!(page.text().contains(&sentence), "{}", page.text());
        let answer = browser.submit(gateway, &page, &[("decision", "approve")]).await;
        assert!(Redirect::of(&answer).get("code").is_some());
    }
}

#[tokio::test]
async fn details_that_are_not_known_registered_and_of_this_resource_are_refused() {
    let gateway = shared::demo();
    let mut secret = String::new();
    let app = register(
        gateway,
        "details-refused",
        &mut secret,
        &["--grant", "authorization_code", "--grant", "client_credentials"],
    );
    let patient = gateway.panel("dana")[0];
    let good = observations_of(&[patient]);
    let error = |answer: &Answer| Redirect::of(answer).get("error").unwrap_or_default();
    let ask = async |app: &App<'_>, details: &Value| {
        let request = request(gateway, app, details);
        Call::get(&format!("/authorize?{}", encode(&fields(&request)))).to(gateway).await
    };
    for wrong in [
        json!([]),
        json!({}),
        json!([{ "type": "payment_initiation" }]),
        json!([{ "type": "fhir_records", "actions": ["read"], "datatypes": ["Observation"] }]),
        json!([{ "type": "fhir_records", "actions": ["read"], "datatypes": ["*"], "patients": [patient] }]),
        json!([{ "type": "fhir_records", "actions": ["read"], "datatypes": ["Observation"], "patients": [patient], "privileges": ["admin"] }]),
        json!([{ "type": "fhir_records", "locations": ["https://elsewhere.example"], "actions": ["read"], "datatypes": ["Observation"], "patients": [patient] }]),
    ] {
        assert_eq!(error(&ask(&app, &wrong).await), "invalid_authorization_details", "{wrong}");
        let request = request(gateway, &app, &wrong);
        let pushed = app.call("/par", &fields(&request)).to(gateway).await;
        assert_eq!(
            (pushed.status, pushed.error().as_str()),
            (400, "invalid_authorization_details"),
            "{wrong}"
        );
    }
    let web = App::web(gateway, "openid");
    assert_eq!(error(&ask(&web, &good).await), "invalid_authorization_details", "not registered for it");
    let issuer = App { route: "", ..app.clone() };
    assert_eq!(
        error(&ask(&issuer, &good).await),
        "invalid_authorization_details",
        "a resource without records"
    );
    assert_eq!(ask(&app, &good).await.status, 303);
    let at_token = [("grant_type", "client_credentials"), ("authorization_details", &good.to_string())];
    assert_eq!(app.token_call(&at_token).to(gateway).await.error(), "invalid_authorization_details");
    let metadata = Call::get("/.well-known/openid-configuration").to(gateway).await.json();
    assert_eq!(
        metadata["authorization_details_types_supported"],
        json!(["emergency_access", "fhir_records"])
    );
    let resource = Call::get("/.well-known/oauth-protected-resource/fhir").to(gateway).await.json();
    assert_eq!(
        resource["authorization_details_types_supported"],
        json!(["emergency_access", "fhir_records"])
    );
}

#[tokio::test]
async fn o26_an_exchanged_token_has_no_details() {
    let gateway = shared::demo();
    let mut secret = String::new();
    let grants = ["--grant", "authorization_code", "--grant", EXCHANGE];
    let app = register(gateway, "details-exchange", &mut secret, &grants);
    let patient = gateway.panel("dana")[0];
    let tokens = granted(gateway, &app, &observations_of(&[patient])).await;
    let fields =
        [("grant_type", EXCHANGE), ("subject_token", &tokens.access), ("subject_token_type", ACCESS_TOKEN)];
    let exchanged = Tokens::of(&app.token_call(&fields).to(gateway).await);
    assert_eq!(exchanged.claims().get("authorization_details"), None);
    let own = observation_of(gateway, patient).await;
    assert_eq!(
        (status(gateway, &tokens.access, &own).await, status(gateway, &exchanged.access, &own).await),
        (200, 403)
    );
}
