//! The main story: sign in, read what is allowed, be refused what is not, find both in a log that verifies, be shut out
//! at once and for good.

use serde_json::Value;

use crate::browser::{App, Browser, CALLBACK, USER_SCOPE, part};
use crate::gateway::Gateway;
use crate::shared;
use crate::wire::{Answer, Call, Connection};

#[tokio::test]
async fn a_public_client_gets_a_short_lived_rs256_token_that_says_who_and_what_for() {
    let gateway = shared::demo();
    let dana = gateway.demo_person("dana");
    let redirect = App::public(USER_SCOPE).authorize(gateway, &mut Browser::default(), &dana).await;
    assert_eq!(redirect.target, CALLBACK);
    assert_eq!(redirect.get("state").as_deref(), Some("state-of-the-app"));
    assert_eq!(redirect.get("iss").as_deref(), Some(gateway.issuer.as_str()), "o03: RFC 9207");

    let code = redirect.get("code").unwrap();
    let answer = App::public(USER_SCOPE).exchange_call(&code).to(gateway).await;
    assert_eq!(answer.status, 200, "{}", answer.text());
    assert_eq!(answer.header("cache-control"), "no-store");
    assert_eq!(answer.header("pragma"), "no-cache");
    let answer = answer.json();
    assert_eq!(answer["token_type"], "Bearer");
    assert_eq!(answer["expires_in"], 300);
    assert_eq!(answer["scope"], USER_SCOPE);

    let token = answer["access_token"].as_str().unwrap();
    let header = part(token, 0);
    assert_eq!((&header["alg"], &header["typ"]), (&"RS256".into(), &"at+jwt".into()));
    let jwks = Call::get("/jwks").to(gateway).await.json();
    let kids: Vec<&Value> = jwks["keys"].as_array().unwrap().iter().map(|key| &key["kid"]).collect();
    assert!(kids.contains(&&header["kid"]) && kids.len() >= 2, "the next key is published already: {kids:?}");
    for key in jwks["keys"].as_array().unwrap() {
        for private in ["d", "p", "q", "dp", "dq", "qi", "k"] {
            assert!(key.get(private).is_none(), "a private member `{private}` is published");
        }
    }

    let claims = part(token, 1);
    assert_eq!(claims["iss"], gateway.issuer);
    assert_eq!(claims["sub"], "dana");
    assert_eq!(claims["client_id"], "demo-app");
    assert_eq!(claims["aud"], format!("{}/fhir", gateway.issuer));
    assert_eq!(claims["scope"], USER_SCOPE);
    assert_eq!(claims["roles"], serde_json::json!(["physician"]));
    assert_eq!(claims["fhirUser"], "Practitioner/dana");
    assert_eq!(claims["amr"], serde_json::json!(["pwd"]));
    let number = |name: &str| claims[name].as_i64().unwrap_or_else(|| panic!("{name}: {claims}"));
    assert_eq!(number("exp") - number("iat"), 300);
    assert!(number("auth_time") <= number("iat"));
    for name in ["jti", "sid"] {
        assert!(claims[name].as_str().is_some_and(|text| text.len() >= 16), "{name}: {claims}");
    }
    assert_eq!(claims.get("patient"), None);

    let id_token = answer["id_token"].as_str().unwrap();
    assert_eq!(part(id_token, 0)["alg"], "RS256");
    assert_eq!(part(id_token, 0)["typ"], "JWT");
    let id_claims = part(id_token, 1);
    assert_eq!((&id_claims["aud"], &id_claims["sub"]), (&"demo-app".into(), &"dana".into()));
    assert_eq!(id_claims["sid"], claims["sid"]);
    assert_eq!(id_claims["fhirUser"], "Practitioner/dana");

    let inspected = gateway.command(&["token", "inspect", token, "--output", "json"]);
    let inspected: Value = serde_json::from_str(&inspected).unwrap();
    assert_eq!(inspected["claims"]["jti"], claims["jti"]);
}

#[tokio::test]
async fn a_confidential_client_signs_a_person_in_with_its_secret() {
    let gateway = shared::demo();
    let tokens = App::web(gateway, USER_SCOPE).tokens(gateway, &gateway.demo_person("nils")).await;
    assert_eq!(tokens.claims()["client_id"], "demo-web");
    let own = gateway.panel("nils")[0];
    assert_eq!(read(gateway, &tokens.access, &format!("Patient/{own}")).await.status, 200);
}

#[tokio::test]
async fn a_person_picks_the_one_patient_that_an_application_shall_see() {
    let gateway = shared::demo();
    let panel = gateway.panel("dana");
    let app =
        App { patient: Some(panel[1]), ..App::public("openid launch/patient patient/*.rs offline_access") };
    let tokens = app.tokens(gateway, &gateway.demo_person("dana")).await;
    assert_eq!(tokens.answer["patient"], panel[1]);
    assert_eq!(tokens.claims()["patient"], panel[1]);
    assert_eq!(tokens.claims().get("sid"), None, "offline grants have no session");
    assert_eq!(read(gateway, &tokens.access, &format!("Patient/{}", panel[1])).await.status, 200);
    let of_her_own = read(gateway, &tokens.access, &format!("Patient/{}", panel[0])).await;
    assert_eq!(of_her_own.status, 404, "in her care, and not the patient in context");

    let pat = App { patient: Some(gateway.panel("pat")[0]), ..app };
    let tokens = pat.tokens(gateway, &gateway.demo_person("pat")).await;
    assert_eq!(tokens.claims()["patient"], gateway.panel("pat")[0]);
}

#[tokio::test]
async fn a_service_gets_a_token_for_itself_by_secret() {
    let gateway = shared::demo();
    let secret = gateway.secret("demo-service");
    let fields = [("grant_type", "client_credentials"), ("scope", "system/*.rs")];
    let answer = Call::form("/token", &fields).basic("demo-service", secret).to(gateway).await;
    assert_eq!(answer.status, 200, "{}", answer.text());
    let token = answer.json()["access_token"].as_str().unwrap().to_owned();
    assert_eq!(answer.json().get("refresh_token"), None);
    assert_eq!(part(&token, 1)["sub"], "demo-service");
    assert_eq!(part(&token, 1).get("sid"), None);
    let any = gateway.patients()[3];
    assert_eq!(read(gateway, &token, &format!("Patient/{any}")).await.status, 200);
}

#[tokio::test]
async fn a_refusal_is_the_same_bytes_as_for_what_does_not_exist() {
    let gateway = shared::demo();
    let tokens = App::public(USER_SCOPE).tokens(gateway, &gateway.demo_person("dana")).await;
    let other = gateway.stranger_to("dana");
    for method in ["GET", "PUT", "DELETE"] {
        let ask = |id: &str| {
            let path = format!("/fhir/Patient/{id}");
            let resource = serde_json::json!({ "resourceType": "Patient", "id": id });
            let call =
                if method == "PUT" { Call::fhir(method, &path, &resource) } else { Call::new(method, &path) };
            call.bearer(&tokens.access).to(gateway)
        };
        let (refused, missing) = (ask(other).await, ask("no-such-patient").await);
        assert_eq!(refused.status, 404, "{method}");
        assert_eq!(refused.without_date(), missing.without_date(), "{method}");
        assert!(!refused.text().contains(other), "{method}");
        assert_eq!(refused.json()["resourceType"], "OperationOutcome");
    }
    // What exists and is withheld must not be told apart by a condition either.
    let conditional = Call::get(&format!("/fhir/Patient/{other}"))
        .header("if-none-match", "W/\"1\"")
        .bearer(&tokens.access)
        .to(gateway)
        .await;
    assert_eq!(conditional.status, 404);
}

#[tokio::test]
async fn a_search_finds_what_is_in_the_persons_care_and_counts_nothing_else() {
    let gateway = shared::demo();
    let tokens = App::public(USER_SCOPE).tokens(gateway, &gateway.demo_person("dana")).await;
    let bundle = read(gateway, &tokens.access, "Patient?_count=100").await.json();
    let mut found: Vec<&str> = bundle["entry"]
        .as_array()
        .unwrap()
        .iter()
        .map(|entry| entry["resource"]["id"].as_str().unwrap())
        .collect();
    let mut panel = gateway.panel("dana");
    found.sort_unstable();
    panel.sort_unstable();
    assert_eq!(found, panel);

    let other = gateway.stranger_to("dana");
    let none = read(gateway, &tokens.access, &format!("Observation?patient={other}")).await.json();
    // No record, but where she could ask for it in an emergency.
    let entries = none["entry"].as_array().unwrap();
    assert!(entries.len() == 1 && entries[0]["search"]["mode"] == "outcome", "{none}");
    assert_ne!(none["total"], serde_json::json!(1));
}

#[tokio::test]
async fn every_act_is_one_record_that_says_who_what_whose_and_why_and_the_log_verifies() {
    let gateway = shared::demo();
    let dana = gateway.person("physician", &gateway.panel("dana"));
    let tokens = App::public(USER_SCOPE).tokens(gateway, &dana).await;
    let (own, other) = (gateway.panel("dana")[0], gateway.stranger_to("dana"));
    assert_eq!(read(gateway, &tokens.access, &format!("Patient/{own}")).await.status, 200);
    assert_eq!(read(gateway, &tokens.access, &format!("Patient/{other}")).await.status, 404);

    let records = gateway.audit(&["--user", &dana.name]);
    let events: Vec<&str> = records.iter().map(|record| record["event"].as_str().unwrap()).collect();
    for event in ["login", "consent", "token.issue"] {
        assert_eq!(events.iter().filter(|e| **e == event).count(), 1, "{event}: {events:?}");
    }
    let accesses: Vec<&Value> = records.iter().filter(|record| record["event"] == "access").collect();
    let [allowed, denied] = accesses[..] else { panic!("one record for each request: {accesses:#?}") };
    for record in [allowed, denied] {
        for member in [
            "index",
            "time",
            "event",
            "outcome",
            "action",
            "resource",
            "patients",
            "purpose_of_use",
            "session",
            "jti",
            "request_id",
        ] {
            assert!(record.get(member).is_some(), "{member}: {record}");
        }
        assert_eq!(record["actor"]["sub"], dana.name.as_str());
        assert_eq!(record["actor"]["client_id"], "demo-app");
        assert_eq!(record["action"], "read");
        assert_eq!(record["session"], tokens.session());
        assert_eq!(record["jti"], tokens.jti());
        assert!(record["source"]["ip"].as_str().unwrap().starts_with("127."));
        assert!(record["time"].as_str().unwrap().ends_with('Z'));
    }
    assert_eq!(allowed["outcome"], "allow");
    assert_eq!(allowed["patients"], serde_json::json!([own]));
    assert_eq!(allowed["resource"], format!("Patient/{own}"));
    assert_eq!(allowed["decision"]["policies"], serde_json::json!(["physician-panel"]));
    assert_eq!(denied["outcome"], "deny");
    assert_eq!(denied["patients"], serde_json::json!([other]));
    assert_ne!(allowed["request_id"], denied["request_id"]);

    let by_patient = gateway.audit(&["--patient", other, "--user", &dana.name, "--outcome", "deny"]);
    assert_eq!(by_patient.len(), 1);
    assert_eq!(by_patient[0]["index"], denied["index"]);
    let reads = gateway.audit(&["--action", "search", "--limit", "1"]);
    assert!(reads.len() == 1, "{reads:?}");
    let verified = gateway.command(&["audit", "verify"]);
    assert!(verified.starts_with("verified: "), "{verified}");
}

/// A way to end a token: what is done, and what it ends.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Cut {
    UserDisable,
    SessionEnd,
    RevokeToken,
    RevokeJti,
    RevokeByClient,
    RevokeRefresh,
    Logout,
    RefreshReuse,
    ClientRemove,
}

const CUTS: [Cut; 9] = [
    Cut::UserDisable,
    Cut::SessionEnd,
    Cut::RevokeToken,
    Cut::RevokeJti,
    Cut::RevokeByClient,
    Cut::RevokeRefresh,
    Cut::Logout,
    Cut::RefreshReuse,
    Cut::ClientRemove,
];

#[tokio::test]
async fn whatever_ends_a_token_ends_it_at_once_on_open_connections_and_after_a_crash() {
    let mut gateway = Gateway::demo("cuts", &[]);
    let panel: Vec<String> = gateway.panel("dana").into_iter().map(str::to_owned).collect();
    let own = Call::get(&format!("/fhir/Patient/{}", panel[0]));
    // Nobody ends this one: it shows that those that are refused are not refused for something else.
    let control = App::public(USER_SCOPE).tokens(&gateway, &gateway.demo_person("nils")).await;
    let of_control =
        Call::get(&format!("/fhir/Patient/{}", gateway.panel("nils")[0])).bearer(&control.access);
    let mut ended: Vec<(Cut, String)> = Vec::new();
    for cut in CUTS {
        let person = gateway.person("physician", &[&panel[0]]);
        let client = format!("client-of-{}", person.name);
        gateway.command(&[
            "client",
            "add",
            &client,
            "--kind",
            "public",
            "--redirect-uri",
            CALLBACK,
            "--scope",
            USER_SCOPE,
            "--grant",
            "authorization_code",
            "--grant",
            "refresh_token",
        ]);
        let app = App { client: &client, secret: None, scope: USER_SCOPE, patient: None, route: "/fhir" };
        let mut browser = Browser::default();
        let tokens = app.tokens_in(&gateway, &mut browser, &person).await;
        let read = own.clone().bearer(&tokens.access);
        let (mut http1, mut http2) =
            (Connection::open(&gateway).await, Connection::open_http2(&gateway).await);
        assert_eq!(http1.send(read.clone()).await.status, 200, "{cut:?}");
        assert_eq!(http2.send(read.clone()).await.status, 200, "{cut:?}");
        let mut also = None;
        match cut {
            Cut::UserDisable => drop(gateway.command(&["user", "disable", &person.name])),
            Cut::SessionEnd => drop(gateway.command(&["session", "end", &tokens.session()])),
            Cut::RevokeToken => drop(gateway.command(&["token", "revoke", &tokens.access])),
            Cut::RevokeJti => drop(gateway.command(&["token", "revoke", &tokens.jti()])),
            Cut::RevokeByClient => {
                assert_eq!(app.call("/revoke", &[("token", &tokens.access)]).to(&gateway).await.status, 200);
            }
            Cut::RevokeRefresh => {
                assert_eq!(
                    app.call("/revoke", &[("token", tokens.refresh())]).to(&gateway).await.status,
                    200
                );
            }
            Cut::Logout => {
                let page = browser.get(&gateway, "/account").await;
                assert_eq!(browser.submit(&gateway, &page, &[]).await.status, 200);
            }
            Cut::RefreshReuse => {
                let second = refreshed(&app, &gateway, tokens.refresh()).await;
                let third = refreshed(&app, &gateway, &second.1).await;
                let replayed = app.refresh_call(tokens.refresh()).to(&gateway).await;
                assert_eq!((replayed.status, replayed.error()), (400, "invalid_grant".to_owned()));
                let newest = app.refresh_call(&third.1).to(&gateway).await;
                assert_eq!(newest.error(), "invalid_grant", "the family is dead");
                also = Some(third.0);
            }
            Cut::ClientRemove => drop(gateway.command(&["client", "remove", &client])),
        }
        for (connection, name) in [(&mut http1, "HTTP/1.1"), (&mut http2, "HTTP/2")] {
            let refused = connection.send(read.clone()).await;
            assert_eq!(refused.status, 401, "{cut:?} over {name}");
            assert!(refused.header("www-authenticate").contains("error=\"invalid_token\""), "{refused:?}");
            assert_eq!(connection.send(of_control.clone()).await.status, 200, "{cut:?}: others go on");
        }
        // Revoking an access token ends that token alone; everything else ends its refresh token too.
        let refresh = app.refresh_call(tokens.refresh()).to(&gateway).await;
        match cut {
            Cut::RevokeToken | Cut::RevokeJti | Cut::RevokeByClient => {
                assert_eq!(refresh.status, 200, "{cut:?}")
            }
            Cut::ClientRemove => assert_eq!(refresh.error(), "invalid_client", "{cut:?}"),
            _ => assert_eq!(refresh.error(), "invalid_grant", "{cut:?}"),
        }
        ended.extend(also.into_iter().chain([tokens.access]).map(|token| (cut, token)));

        gateway.kill_and_restart();
        let mut connection = Connection::open(&gateway).await;
        for (cut, token) in &ended {
            assert_eq!(connection.send(own.clone().bearer(token)).await.status, 401, "{cut:?} after a crash");
        }
        assert_eq!(connection.send(of_control.clone()).await.status, 200, "{cut:?}: others go on");
    }
    assert!(gateway.command(&["audit", "verify"]).starts_with("verified: "));
    let all = gateway.audit(&[]);
    for event in [
        "user.disable",
        "session.end",
        "token.revoke",
        "logout",
        "token.reuse",
        "client.remove",
        "gateway.recover",
    ] {
        assert!(all.iter().any(|record| record["event"] == event), "no record of {event}");
    }
}

#[tokio::test]
async fn who_is_let_in_again_signs_in_anew_and_old_tokens_stay_dead() {
    let gateway = shared::demo();
    let own = gateway.panel("dana")[0];
    let person = gateway.person("physician", &[own]);
    let app = App::public(USER_SCOPE);
    let before = app.tokens(gateway, &person).await;
    gateway.command(&["user", "disable", &person.name]);
    gateway.command(&["user", "enable", &person.name]);
    assert_eq!(read(gateway, &before.access, &format!("Patient/{own}")).await.status, 401);
    assert_eq!(app.refresh_call(before.refresh()).to(gateway).await.error(), "invalid_grant");
    let after = app.tokens(gateway, &person).await;
    assert_eq!(read(gateway, &after.access, &format!("Patient/{own}")).await.status, 200);
}

async fn refreshed(app: &App<'_>, gateway: &Gateway, refresh_token: &str) -> (String, String) {
    let answer = app.refresh_call(refresh_token).to(gateway).await;
    assert_eq!(answer.status, 200, "{}", answer.text());
    let text = |name: &str| answer.json()[name].as_str().unwrap().to_owned();
    (text("access_token"), text("refresh_token"))
}

async fn read(gateway: &Gateway, token: &str, what: &str) -> Answer {
    Call::get(&format!("/fhir/{what}")).bearer(token).to(gateway).await
}
