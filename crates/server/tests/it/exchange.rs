//! Token exchange (RFC 8693): rows O15 to O17 and O26 of the corpus.

use serde_json::{Value, json};

use crate::browser::{App, Browser, Tokens};
use crate::gateway::Gateway;
use crate::shared;
use crate::wire::{Answer, Call};

const GRANT: &str = "urn:ietf:params:oauth:grant-type:token-exchange";
const KIND: &str = "urn:ietf:params:oauth:token-type:access_token";
const SCOPE: &str = "openid user/*.rs";

/// An application whose tokens an agent may exchange, the agent, and a tool that the agent may call.
struct Trio {
    app: Registered,
    agent: Registered,
    tool: Registered,
}

struct Registered {
    id: String,
    secret: String,
}

impl Registered {
    fn new(gateway: &Gateway, id: &str, grants: &[&str], may_act: Option<&str>) -> Self {
        let mut words = vec!["client", "add", id, "--kind", "confidential", "--grant", "refresh_token"];
        words.extend(grants.iter().flat_map(|grant| ["--grant", grant]));
        words.extend(["--scope", "openid fhirUser offline_access user/*.rs"]);
        words.extend(["--redirect-uri", "http://127.0.0.1/callback"]);
        if let Some(actor) = may_act {
            words.extend(["--may-act", actor]);
        }
        let shown: Value = serde_json::from_str(&gateway.command(&words)).unwrap();
        Self { id: id.to_owned(), secret: shown["client_secret"].as_str().unwrap().to_owned() }
    }

    fn app(&self) -> App<'_> {
        App { client: &self.id, secret: Some(&self.secret), scope: SCOPE, patient: None, route: "/fhir" }
    }

    fn exchange(&self, subject: &str, more: &[(&str, &str)]) -> Call {
        let fields = [("grant_type", GRANT), ("subject_token", subject), ("subject_token_type", KIND)];
        self.app().token_call(&[&fields, more].concat())
    }
}

impl Trio {
    fn register(gateway: &Gateway, name: &str) -> Self {
        let [app, agent, tool] = ["app", "agent", "tool"].map(|role| format!("{role}-{name}"));
        Self {
            app: Registered::new(gateway, &app, &["authorization_code"], Some(&agent)),
            agent: Registered::new(gateway, &agent, &[GRANT, "authorization_code"], Some(&tool)),
            tool: Registered::new(gateway, &tool, &[GRANT], None),
        }
    }
}

async fn lives(gateway: &Gateway, token: &str) -> bool {
    let own = format!("/fhir/Patient/{}", gateway.panel("dana")[0]);
    Call::get(&own).bearer(token).to(gateway).await.status == 200
}

fn refused(answer: &Answer) -> (u16, String) {
    (answer.status, answer.error())
}

#[tokio::test]
async fn an_agent_acts_for_a_person_and_every_record_says_through_whom() {
    let gateway = shared::demo();
    let trio = Trio::register(gateway, "story");
    let tokens = trio.app.app().tokens(gateway, &gateway.demo_person("dana")).await;
    let agents =
        Tokens::of(&trio.agent.exchange(&tokens.access, &[("scope", "user/Patient.rs")]).to(gateway).await);
    assert_eq!(agents.answer["issued_token_type"], KIND);
    assert_eq!((&agents.answer["refresh_token"], &agents.answer["id_token"]), (&Value::Null, &Value::Null));
    let tools = Tokens::of(&trio.tool.exchange(&agents.access, &[]).to(gateway).await);
    let (first, second, third) = (tokens.claims(), agents.claims(), tools.claims());
    for name in ["sub", "sid", "grant_id", "aud", "auth_time", "fhirUser"] {
        assert_eq!((&first[name], &first[name]), (&second[name], &third[name]), "{name}");
    }
    assert!(
        second["exp"].as_i64() <= first["exp"].as_i64() && third["exp"].as_i64() <= second["exp"].as_i64()
    );
    let (agent, tool) = (&trio.agent.id, &trio.tool.id);
    assert_eq!(second["act"], json!({ "sub": agent, "client_id": agent }));
    assert_eq!(third["act"], json!({ "sub": tool, "client_id": tool, "act": second["act"] }));
    assert_eq!((&third["client_id"], &third["scope"]), (&json!(tool), &json!("user/Patient.rs")));

    assert!(lives(gateway, &tools.access).await);
    let refused = Call::get("/fhir/Observation").bearer(&tools.access).to(gateway).await;
    assert_eq!(refused.status, 403, "narrowed");
    let records = gateway.audit(&["--client", tool]);
    let chain = json!([{ "sub": tool, "client_id": tool }, { "sub": agent, "client_id": agent }]);
    for event in ["token.issue", "access"] {
        let record = records.iter().find(|record| record["event"] == event).unwrap();
        assert_eq!((&record["actor"]["sub"], &record["actor"]["kind"]), (&json!("dana"), &json!("agent")));
        assert_eq!(record["on_behalf_of"], chain, "{event}");
    }
    let told = trio.tool.app().call("/introspect", &[("token", &tools.access)]).to(gateway).await.json();
    assert_eq!((&told["active"], &told["act"]), (&json!(true), &third["act"]));
}

#[tokio::test]
async fn an_actor_token_names_who_acts_and_o26_is_the_clients_own() {
    let gateway = shared::demo();
    let trio = Trio::register(gateway, "actor");
    let dana = trio.app.app().tokens(gateway, &gateway.demo_person("dana")).await;
    let helper = Registered::new(gateway, "agent-helper", &["authorization_code"], None);
    let nils = helper.app().tokens(gateway, &gateway.demo_person("nils")).await;
    let actor = |token| [("actor_token", token), ("actor_token_type", KIND)];
    let foreign = trio.agent.exchange(&dana.access, &actor(nils.access.as_str())).to(gateway).await;
    assert_eq!(refused(&foreign), (400, "invalid_request".to_owned()), "o26: issued to another client");
    let own = trio.agent.app().tokens(gateway, &gateway.demo_person("nils")).await;
    let named = Tokens::of(&trio.agent.exchange(&dana.access, &actor(own.access.as_str())).to(gateway).await);
    assert_eq!(named.claims()["sub"], "dana");
    assert_eq!(named.claims()["act"], json!({ "sub": "nils", "client_id": trio.agent.id }));
    // Its own: what it got for that person by an exchange that says so already is no statement of theirs.
    let delegated = Tokens::of(&trio.agent.exchange(&dana.access, &[]).to(gateway).await);
    let twice = trio.agent.exchange(&dana.access, &actor(delegated.access.as_str())).to(gateway).await;
    assert_eq!(refused(&twice), (400, "invalid_request".to_owned()));
    let without_kind = [("actor_token", delegated.access.as_str())];
    let answer = trio.agent.exchange(&dana.access, &without_kind).to(gateway).await;
    assert_eq!(answer.error(), "invalid_request");
}

#[tokio::test]
async fn o26_no_exchange_without_leave_nor_for_more_nor_elsewhere() {
    let gateway = shared::demo();
    let trio = Trio::register(gateway, "more");
    let app = App { scope: "openid user/Patient.rs", ..trio.app.app() };
    let tokens = app.tokens(gateway, &gateway.demo_person("dana")).await;
    let fhir = format!("{}/fhir", gateway.issuer);
    for (fields, error) in [
        (&[("scope", "user/*.rs")][..], "invalid_scope"),
        (&[("scope", "user/Patient.cruds")], "invalid_scope"),
        (&[("scope", "openid offline_access")], "invalid_scope"),
        (&[("scope", "system/*.rs")], "invalid_scope"),
        (&[("audience", &gateway.issuer)], "invalid_target"),
        (&[("resource", "https://elsewhere.example")], "invalid_target"),
        (&[("resource", &fhir), ("audience", &gateway.issuer)], "invalid_target"),
        (&[("requested_token_type", "urn:ietf:params:oauth:token-type:refresh_token")], "invalid_request"),
    ] {
        let answer = trio.agent.exchange(&tokens.access, fields).to(gateway).await;
        assert_eq!(refused(&answer), (400, error.to_owned()), "{fields:?}");
    }
    assert_eq!(trio.agent.exchange(&tokens.access, &[("audience", &fhir)]).to(gateway).await.status, 200);
    // The tool may act for the agent's people, not for the application's.
    let answer = trio.tool.exchange(&tokens.access, &[]).to(gateway).await;
    assert_eq!(refused(&answer), (400, "invalid_request".to_owned()));
    let web = App::web(gateway, SCOPE).tokens(gateway, &gateway.demo_person("dana")).await;
    assert_eq!(trio.agent.exchange(&web.access, &[]).to(gateway).await.error(), "invalid_request");
    let records = gateway.audit(&["--client", &trio.agent.id, "--outcome", "deny"]);
    assert!(records.iter().any(|record| record["decision"]["reason"] == "may-not-act"));
    // Neither other kinds of tokens nor a program's own.
    let id_token = tokens.answer["id_token"].as_str().unwrap();
    let service = App { client: "demo-service", secret: Some(gateway.secret("demo-service")), ..app.clone() };
    let own = Tokens::of(&service.token_call(&[("grant_type", "client_credentials")]).to(gateway).await);
    for token in [id_token, tokens.refresh(), "a.b.c", &own.access] {
        assert_eq!(trio.agent.exchange(token, &[]).to(gateway).await.error(), "invalid_request");
    }
}

#[tokio::test]
async fn o17_only_clients_registered_for_the_grant_exchange_and_no_public_one_is() {
    let gateway = shared::demo();
    let trio = Trio::register(gateway, "grant");
    let tokens = trio.app.app().tokens(gateway, &gateway.demo_person("dana")).await;
    let answer = trio.app.exchange(&tokens.access, &[]).to(gateway).await;
    assert_eq!(refused(&answer), (400, "unauthorized_client".to_owned()));
    let fields = [("grant_type", GRANT), ("subject_token", &tokens.access), ("subject_token_type", KIND)];
    let public = App::public(SCOPE).token_call(&fields).to(gateway).await;
    assert_eq!(refused(&public), (400, "unauthorized_client".to_owned()));
    assert_eq!(Call::form("/token", &fields).to(gateway).await.status, 401);
    assert!(!gateway.try_command(&["client", "add", "loose", "--kind", "public", "--grant", GRANT]).success);
}

#[tokio::test]
async fn o15_o26_whatever_ends_the_subject_token_ends_what_was_exchanged_for_it() {
    let gateway = shared::demo();
    for what in ["token", "grant", "session", "sign-out", "disable", "client", "agent"] {
        let trio = Trio::register(gateway, &format!("end-{what}"));
        let person = gateway.person("physician", &[gateway.panel("dana")[0]]);
        let mut browser = Browser::default();
        let tokens = trio.app.app().tokens_in(gateway, &mut browser, &person).await;
        let agents = Tokens::of(&trio.agent.exchange(&tokens.access, &[]).to(gateway).await);
        let tools = Tokens::of(&trio.tool.exchange(&agents.access, &[]).to(gateway).await);
        assert!(lives(gateway, &agents.access).await && lives(gateway, &tools.access).await);
        match what {
            "token" => drop(gateway.command(&["token", "revoke", &tokens.access])),
            "grant" => {
                let revoke = [("token", tokens.refresh())];
                assert_eq!(trio.app.app().call("/revoke", &revoke).to(gateway).await.status, 200);
            }
            "session" => drop(gateway.command(&["session", "end", &tokens.session()])),
            "sign-out" => {
                let page = browser.get(gateway, "/account").await;
                browser.submit(gateway, &page, &[]).await;
            }
            "disable" => drop(gateway.command(&["user", "disable", &person.name])),
            "client" => drop(gateway.command(&["client", "remove", &trio.app.id])),
            _ => drop(gateway.command(&["client", "remove", &trio.agent.id])),
        }
        for token in [&agents.access, &tools.access] {
            assert!(!lives(gateway, token).await, "{what}");
        }
        if what != "agent" {
            let again = trio.agent.exchange(&tokens.access, &[]).to(gateway).await;
            assert_eq!(refused(&again), (400, "invalid_request".to_owned()), "{what}");
        }
    }
}

#[tokio::test]
async fn o26_what_a_client_asked_for_by_name_is_not_told_to_whoever_exchanged_its_token() {
    let gateway = shared::demo();
    let trio = Trio::register(gateway, "claims");
    let app = trio.app.app();
    let mut request = app.request(gateway);
    request.push(("claims", r#"{"userinfo":{"fhirUser":null}}"#.to_owned()));
    let fields: Vec<(&str, &str)> = request.iter().map(|(name, value)| (*name, value.as_str())).collect();
    let dana = gateway.demo_person("dana");
    let redirect = app.authorize_with(gateway, &mut Browser::default(), &dana, &fields).await;
    let tokens = Tokens::of(&app.exchange_call(&redirect.get("code").unwrap()).to(gateway).await);
    let agents = Tokens::of(&trio.agent.exchange(&tokens.access, &[]).to(gateway).await);
    let told = async |token: &str| Call::get("/userinfo").bearer(token).to(gateway).await.json();
    assert_eq!(told(&tokens.access).await, json!({ "sub": "dana", "fhirUser": "Practitioner/dana" }));
    assert_eq!(told(&agents.access).await, json!({ "sub": "dana" }));
}
