//! EHR launch (SMART App Launch 2.2): an EHR begins it, its application gets the context beside its tokens.

use std::collections::BTreeMap;

use serde_json::{Value, json};

use crate::browser::{App, Browser, CALLBACK, Redirect, Tokens};
use crate::gateway::Gateway;
use crate::parallel::{FIFTY, at_once};
use crate::shared;
use crate::wire::{Answer, Call, encode};

const SCOPE: &str = "launch launch/encounter offline_access openid patient/*.rs";

/// An EHR, with its secret, and an application that it launches.
struct Ehr<'a> {
    gateway: &'a Gateway,
    id: String,
    secret: String,
    app: String,
}

impl<'a> Ehr<'a> {
    fn register(gateway: &'a Gateway, name: &str) -> Self {
        let (id, app) = (format!("{name}-ehr"), format!("{name}-app"));
        let words = ["client", "add", &id, "--kind", "backend", "--permission", "launch:create"];
        let shown: Value = serde_json::from_str(&gateway.command(&words)).unwrap();
        let words = ["client", "add", &app, "--kind", "public", "--redirect-uri", CALLBACK, "--scope", SCOPE];
        gateway.command(&words);
        Self { gateway, id, secret: shown["client_secret"].as_str().unwrap().to_owned(), app }
    }

    async fn ask(&self, fields: &[(&str, &str)]) -> Answer {
        Call::form("/launch", fields).basic(&self.id, &self.secret).to(self.gateway).await
    }

    async fn handle(&self, fields: &[(&str, &str)]) -> String {
        let answer = self.ask(&[&[("app", self.app.as_str())], fields].concat()).await;
        assert_eq!(answer.status, 201, "{}", answer.text());
        assert_eq!(
            (answer.header("cache-control"), answer.json()["expires_in"].as_u64()),
            ("no-store", Some(300))
        );
        answer.json()["launch"].as_str().unwrap().to_owned()
    }

    fn app(&self) -> App<'_> {
        App { client: &self.app, ..App::public(SCOPE) }
    }

    /// Where the application sends the browser.
    fn start(&self, app: &App<'_>, handle: &str) -> String {
        let mut request: BTreeMap<&str, String> = app.request(self.gateway).into_iter().collect();
        request.insert("launch", handle.to_owned());
        let fields: Vec<(&str, &str)> = request.iter().map(|(name, value)| (*name, value.as_str())).collect();
        format!("/authorize?{}", encode(&fields))
    }
}

#[tokio::test]
async fn smart_352_an_application_gets_the_context_of_the_ehr_that_launched_it() {
    let gateway = shared::demo();
    let ehr = Ehr::register(gateway, "smart-352");
    let (dana, panel) = (gateway.demo_person("dana"), gateway.panel("dana"));
    let context = json!([{ "reference": "ImagingStudy/7" }, { "canonical": "http://q.example/Q|1", "type": "Questionnaire" }]);
    let handle = ehr
        .handle(&[
            ("user", "dana"),
            ("patient", panel[1]),
            ("encounter", "enc-1"),
            ("intent", "reconcile-medications"),
            ("need_patient_banner", "false"),
            ("fhir_context", &context.to_string()),
        ])
        .await;
    let app = ehr.app();
    // No patient is picked: the EHR said which.
    let redirect = Browser::default().lead(gateway, &ehr.start(&app, &handle), &dana, None).await;
    let tokens = Tokens::of(&app.exchange_call(&redirect.get("code").unwrap()).to(gateway).await);
    let claims = tokens.claims();
    assert_eq!((&claims["patient"], &claims["encounter"]), (&json!(panel[1]), &json!("enc-1")));
    assert_eq!(tokens.answer["scope"], SCOPE);
    let refreshed = Tokens::of(&app.refresh_call(tokens.refresh()).to(gateway).await);
    let words = ["client", "add", "smart-352-rs", "--kind", "backend", "--permission", "introspect:any"];
    let server: Value = serde_json::from_str(&gateway.command(&words)).unwrap();
    let ask = Call::form("/introspect", &[("token", &tokens.access)]);
    let told = ask.basic("smart-352-rs", server["client_secret"].as_str().unwrap()).to(gateway).await.json();
    for (member, expected) in [
        ("patient", json!(panel[1])),
        ("encounter", json!("enc-1")),
        ("intent", json!("reconcile-medications")),
        ("need_patient_banner", json!(false)),
        ("fhirContext", context),
    ] {
        for answer in [&tokens.answer, &refreshed.answer, &told] {
            assert_eq!(answer[member], expected, "{member}");
        }
    }
    let read = async |id: &str| {
        Call::get(&format!("/fhir/Patient/{id}")).bearer(&tokens.access).to(gateway).await.status
    };
    assert_eq!((read(panel[1]).await, read(panel[0]).await), (200, 404));
    let records = gateway.audit(&["--client", &ehr.id]);
    let begun = records.iter().find(|record| record["event"] == "launch.create").unwrap();
    assert_eq!((&begun["outcome"], &begun["patients"]), (&json!("allow"), &json!([panel[1]])));
}

#[tokio::test]
async fn o26_what_the_ehr_told_an_application_is_not_told_to_whoever_exchanged_its_token() {
    const EXCHANGE: &str = "urn:ietf:params:oauth:grant-type:token-exchange";
    let gateway = shared::demo();
    let words =
        ["client", "add", "launch-agent", "--kind", "confidential", "--grant", EXCHANGE, "--scope", SCOPE];
    let agent: Value = serde_json::from_str(&gateway.command(&words)).unwrap();
    let words = ["client", "add", "launch-passes-on", "--kind", "confidential", "--redirect-uri", CALLBACK];
    let more = ["--scope", SCOPE, "--may-act", "launch-agent"];
    let own_app: Value = serde_json::from_str(&gateway.command(&[&words[..], &more].concat())).unwrap();
    let ehr = Ehr { app: "launch-passes-on".to_owned(), ..Ehr::register(gateway, "passing-on") };
    let (dana, own) = (gateway.demo_person("dana"), gateway.panel("dana")[0]);
    let handle = ehr.handle(&[("user", "dana"), ("patient", own), ("intent", "reconcile-medications")]).await;
    let app = App { secret: own_app["client_secret"].as_str(), ..ehr.app() };
    let redirect = Browser::default().lead(gateway, &ehr.start(&app, &handle), &dana, None).await;
    let tokens = Tokens::of(&app.exchange_call(&redirect.get("code").unwrap()).to(gateway).await);
    let secret = agent["client_secret"].as_str().unwrap();
    let agent = App { client: "launch-agent", secret: Some(secret), ..App::public(SCOPE) };
    let fields = [
        ("grant_type", EXCHANGE),
        ("subject_token", tokens.access.as_str()),
        ("subject_token_type", "urn:ietf:params:oauth:token-type:access_token"),
    ];
    let exchanged = Tokens::of(&agent.token_call(&fields).to(gateway).await);
    for (app, token, intent) in
        [(&app, &tokens, json!("reconcile-medications")), (&agent, &exchanged, Value::Null)]
    {
        let told = app.call("/introspect", &[("token", &token.access)]).to(gateway).await.json();
        assert_eq!((&told["active"], &told["patient"]), (&json!(true), &json!(own)), "{told}");
        assert_eq!(told["intent"], intent);
    }
}

#[tokio::test]
async fn smart_361_a_launch_opens_nothing_that_its_person_may_not_see() {
    let gateway = shared::demo();
    let ehr = Ehr::register(gateway, "smart-361");
    let stranger = gateway.stranger_to("dana");
    let handle = ehr.handle(&[("patient", stranger)]).await;
    let app = ehr.app();
    let dana = gateway.demo_person("dana");
    let redirect = Browser::default().lead(gateway, &ehr.start(&app, &handle), &dana, None).await;
    let tokens = Tokens::of(&app.exchange_call(&redirect.get("code").unwrap()).to(gateway).await);
    assert_eq!(tokens.answer["patient"], stranger);
    assert_eq!(tokens.answer["need_patient_banner"], true);
    assert_eq!(tokens.answer["scope"], SCOPE.replace(" launch/encounter", ""), "no encounter was told of");
    for id in [stranger, gateway.panel("dana")[0]] {
        let answer = Call::get(&format!("/fhir/Patient/{id}")).bearer(&tokens.access).to(gateway).await;
        assert_eq!(answer.status, 404, "{id}");
    }
}

#[tokio::test]
async fn of_fifty_parallel_uses_of_a_launch_one_wins() {
    let gateway = shared::demo();
    let ehr = Ehr::register(gateway, "launch-fifty");
    let app = ehr.app();
    for count in [FIFTY, 2, 2, 3] {
        let start = ehr.start(&app, &ehr.handle(&[]).await);
        let answers = at_once(gateway, count, |_| Call::get(&start)).await;
        let won =
            answers.iter().filter(|answer| answer.header("location").starts_with("/authorize/continue"));
        assert_eq!(won.count(), 1);
        let lost = answers
            .iter()
            .filter(|answer| Redirect::of(answer).get("error").as_deref() == Some("invalid_request"));
        assert_eq!(lost.count(), count.saturating_sub(1));
    }
}

#[tokio::test]
async fn a_launch_is_good_for_its_own_application_and_person() {
    let gateway = shared::demo();
    let ehr = Ehr::register(gateway, "launch-own");
    let other = Ehr::register(gateway, "launch-other");
    let handle = ehr.handle(&[("user", "dana")]).await;
    let error = async |start: String| Redirect::of(&Call::get(&start).to(gateway).await).get("error");
    assert_eq!(error(other.start(&other.app(), &handle)).await.as_deref(), Some("invalid_request"));
    assert_eq!(error(ehr.start(&ehr.app(), "made-up")).await.as_deref(), Some("invalid_request"));
    let without = App { scope: "openid patient/*.rs", ..ehr.app() };
    assert_eq!(error(ehr.start(&without, &handle)).await.as_deref(), Some("invalid_request"));
    // None of that used it up. Somebody else is asked to sign in as who they are not, and gets no further.
    let mut browser = Browser::default();
    let page = browser.follow(gateway, &ehr.start(&ehr.app(), &handle)).await;
    let nils = gateway.demo_person("nils");
    let fields = [("username", nils.name.as_str()), ("password", nils.password.as_str())];
    let page = browser.submit(gateway, &page, &fields).await;
    assert!(page.status == 200 && page.text().contains("name=\"password\""), "{}", page.text());
    let dana = gateway.demo_person("dana");
    let fields = [("username", dana.name.as_str()), ("password", dana.password.as_str())];
    let page = browser.submit(gateway, &page, &fields).await;
    assert!(!page.text().contains("name=\"password\""), "{}", page.text());
}

#[tokio::test]
async fn only_an_ehr_begins_launches_and_only_right_ones() {
    let gateway = shared::demo();
    let ehr = Ehr::register(gateway, "launch-wrong");
    let app = ehr.app.as_str();
    for fields in [
        &[][..],
        &[("app", "nobody")],
        &[("app", "demo-service")],
        &[("app", app), ("user", "nobody")],
        &[("app", app), ("patient", "../x")],
        &[("app", app), ("encounter", "a b")],
        &[("app", app), ("need_patient_banner", "yes")],
        &[("app", app), ("fhir_context", "[{}]")],
        &[("app", app), ("fhir_context", r#"[{"reference":"Patient/1"}]"#)],
    ] {
        assert_eq!(ehr.ask(fields).await.error(), "invalid_request", "{fields:?}");
    }
    let secret = gateway.secret("demo-service");
    let answer = Call::form("/launch", &[("app", app)]).basic("demo-service", secret).to(gateway).await;
    assert_eq!(answer.error(), "unauthorized_client");
    let answer = Call::form("/launch", &[("app", app), ("client_id", app)]).to(gateway).await;
    assert_eq!(answer.error(), "unauthorized_client");
    let public = ["client", "add", "launch-public", "--kind", "public", "--redirect-uri", CALLBACK];
    assert!(!gateway.try_command(&[&public[..], &["--permission", "launch:create"]].concat()).success);
    // A launch scope says nothing where nobody launched anything.
    let service = Call::form("/token", &[("grant_type", "client_credentials"), ("scope", "launch")]);
    assert_eq!(service.basic("demo-service", secret).to(gateway).await.error(), "invalid_scope");
}
