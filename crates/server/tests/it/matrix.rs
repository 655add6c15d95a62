//! Every grant, in every state of its person and of its client: rows O15 and O16 of the corpus, in one table. Most of
//! the field's holes were a check that one grant had and its sibling had not.

use serde_json::Value;

use crate::browser::{App, Browser, Tokens};
use crate::ciba;
use crate::device;
use crate::gateway::{Gateway, Person};
use crate::shared;
use crate::wire::Call;

const DEVICE: &str = "urn:ietf:params:oauth:grant-type:device_code";
const EXCHANGE: &str = "urn:ietf:params:oauth:grant-type:token-exchange";
const ACCESS_TOKEN: &str = "urn:ietf:params:oauth:token-type:access_token";

#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Grant {
    Code,
    Refresh,
    Device,
    Exchange,
    Ciba,
}

/// Whether a grant ends with its session.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Life {
    Session,
    Offline,
}

#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum UserState {
    AsBefore,
    Disabled,
    DisabledAndEnabled,
    SessionEnded,
}

#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum ClientState {
    AsBefore,
    Removed,
}

struct Client {
    id: String,
    secret: String,
}

impl Client {
    fn register(gateway: &Gateway, id: String, may_act: Option<&str>) -> Self {
        let mut words = vec!["client", "add", &id, "--kind", "confidential", "--auth-method"];
        words.extend(["client_secret_basic", "--redirect-uri", "http://127.0.0.1/callback", "--scope"]);
        words.push("openid offline_access user/*.rs");
        for grant in ["authorization_code", "refresh_token", DEVICE, EXCHANGE, ciba::GRANT] {
            words.extend(["--grant", grant]);
        }
        if let Some(actor) = may_act {
            words.extend(["--may-act", actor]);
        }
        let shown: Value = serde_json::from_str(&gateway.command(&words)).unwrap();
        Self { secret: shown["client_secret"].as_str().unwrap().to_owned(), id }
    }

    fn app(&self, life: Life) -> App<'_> {
        let scope = match life {
            Life::Session => "openid user/*.rs",
            Life::Offline => "openid offline_access user/*.rs",
        };
        App { client: &self.id, secret: Some(&self.secret), scope, patient: None, route: "/fhir" }
    }
}

/// Everything up to the request that would give tokens.
async fn prepare(
    gateway: &Gateway,
    (grant, life): (Grant, Life),
    [client, other]: [&Client; 2],
    browser: &mut Browser,
    person: &Person,
) -> Call {
    let app = client.app(life);
    match grant {
        Grant::Code => {
            let redirect = app.authorize(gateway, browser, person).await;
            app.exchange_call(&redirect.get("code").unwrap())
        }
        Grant::Refresh => app.refresh_call(app.tokens_in(gateway, browser, person).await.refresh()),
        Grant::Device => {
            let asked = device::ask(gateway, &app).await;
            device::approve(gateway, browser, person, &asked.user_code).await;
            device::poll(&app, &asked)
        }
        Grant::Ciba => {
            let asked = ciba::ask(gateway, &app, &[("login_hint", &person.name)]).await;
            gateway.command(&["approval", "approve", &asked]);
            ciba::poll(&app, &asked)
        }
        Grant::Exchange => {
            let tokens = other.app(life).tokens_in(gateway, browser, person).await;
            app.token_call(&[
                ("grant_type", EXCHANGE),
                ("subject_token", &tokens.access),
                ("subject_token_type", ACCESS_TOKEN),
            ])
        }
    }
}

#[tokio::test]
async fn o15_o16_no_grant_gives_anything_to_whoever_was_shut_out_nor_to_a_client_that_was_removed() {
    let gateway = shared::demo();
    let mut number = 0;
    for grant in [Grant::Code, Grant::Refresh, Grant::Device, Grant::Exchange, Grant::Ciba] {
        for life in [Life::Session, Life::Offline] {
            for user in [
                UserState::AsBefore,
                UserState::Disabled,
                UserState::DisabledAndEnabled,
                UserState::SessionEnded,
            ] {
                for client in [ClientState::AsBefore, ClientState::Removed] {
                    number += 1;
                    let case = format!("{grant:?}, {life:?}, {user:?}, {client:?}");
                    let person = gateway.person("physician", &[]);
                    let own = Client::register(gateway, format!("matrix-{number}"), None);
                    let other = Client::register(gateway, format!("matrix-{number}-app"), Some(&own.id));
                    let mut browser = Browser::default();
                    let call = prepare(gateway, (grant, life), [&own, &other], &mut browser, &person).await;
                    match user {
                        UserState::AsBefore => {}
                        UserState::SessionEnded if grant == Grant::Ciba => {}
                        UserState::SessionEnded => {
                            let page = browser.get(gateway, "/account").await;
                            browser.submit(gateway, &page, &[]).await;
                        }
                        UserState::Disabled | UserState::DisabledAndEnabled => {
                            gateway.command(&["user", "disable", &person.name]);
                            if user == UserState::DisabledAndEnabled {
                                gateway.command(&["user", "enable", &person.name]);
                            }
                        }
                    }
                    if client == ClientState::Removed {
                        gateway.command(&["client", "remove", &own.id]);
                    }
                    let answer = call.to(gateway).await;
                    // Nobody signs in for a question that is put elsewhere, so that no session ends it.
                    let has_session = life == Life::Session && grant != Grant::Ciba;
                    let outlives = user == UserState::SessionEnded && !has_session;
                    match client {
                        ClientState::Removed => assert_eq!(answer.error(), "invalid_client", "{case}"),
                        ClientState::AsBefore if user == UserState::AsBefore || outlives => {
                            Tokens::of(&answer);
                        }
                        ClientState::AsBefore => {
                            let refused = ["invalid_grant", "invalid_request"];
                            assert!(answer.status == 400, "{case}: {}", answer.text());
                            assert!(refused.contains(&answer.error().as_str()), "{case}: {}", answer.text());
                        }
                    }
                }
            }
        }
    }
}
