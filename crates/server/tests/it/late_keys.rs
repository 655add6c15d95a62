//! What happens between the redemption of a grant and its tokens: a client's keys, which its ID tokens are encrypted to, are
//! fetched in between, and held up here. Rows O10 and O15 of the corpus.

use std::time::{Duration, Instant};

use chartgate_protocol::jose::{DecryptionKey, KeyManagement};
use chartgate_values::SeededEntropy;
use http::StatusCode;
use serde_json::{Value, json};

use crate::browser::{App, Browser, CALLBACK};
use crate::client_keys::OUT;
use crate::device::{approve, ask, poll};
use crate::fakes::held::Held;
use crate::fakes::secured::{Certificates, Document, Secured, certificates};
use crate::gateway::{Gateway, Scratch};
use crate::routes::serve_in;
use crate::wire::{Answer, Call};

const SCOPE: &str = "openid offline_access fhirUser";
const DEVICE: &str = "urn:ietf:params:oauth:grant-type:device_code";

/// A gateway, and the way to where its clients have their keys.
struct Place {
    gateway: Gateway,
    server: Secured,
    held: Held,
}

impl Place {
    async fn open(name: &str) -> Self {
        let scratch = Scratch::new(name);
        certificates(scratch.path());
        let server = Secured::start(scratch.path(), Certificates::NotWanted).await;
        let held = Held::start(server.port).await;
        Self { gateway: serve_in(scratch, "", OUT, "openid"), server, held }
    }

    /// A client whose keys nobody asked for yet; its secret.
    fn register(&self, id: &str) -> String {
        let key = DecryptionKey::generate(KeyManagement::EcdhEsA256Kw, &mut SeededEntropy::new(1)).unwrap();
        let body = json!({ "keys": [key.public_jwk().unwrap()] }).to_string();
        let headers = vec![("content-type", "application/json".to_owned())];
        let document = Document { status: StatusCode::OK, headers, body };
        self.server.seen.lock().unwrap().documents.insert(format!("/{id}"), document);
        let address = format!("https://localhost:{}/{id}", self.held.port);
        let words =
            ["client", "add", id, "--kind", "confidential", "--redirect-uri", CALLBACK, "--scope", SCOPE];
        let grants = ["--grant", "authorization_code", "--grant", "refresh_token", "--grant", DEVICE];
        let keys = ["--jwks-uri", &address, "--id-token-encrypted-response-alg", "ECDH-ES+A256KW"];
        let made: Value =
            serde_json::from_str(&self.gateway.command(&[&words[..], &grants, &keys].concat())).unwrap();
        made["client_secret"].as_str().unwrap().to_owned()
    }

    /// Redeems something, while something else happens.
    async fn redeem(&self, redemption: Call, meanwhile: impl AsyncFnOnce()) -> Answer {
        self.held.open(false);
        let other = async {
            let begun = Instant::now();
            while self.held.waiting() == 0 {
                assert!(begun.elapsed() < Duration::from_secs(20), "nobody asks for the keys");
                tokio::time::sleep(Duration::from_millis(10)).await;
            }
            meanwhile().await;
            self.held.open(true);
        };
        tokio::join!(redemption.to(&self.gateway), other).0
    }

    /// Why the last tokens were refused.
    fn reason(&self) -> Value {
        self.gateway.audit(&["--event", "token.denied"]).pop().unwrap()["decision"]["reason"].clone()
    }
}

#[tokio::test]
async fn o15_whoever_signs_out_or_is_made_another_while_a_code_is_redeemed_leaves_its_client_without_tokens()
{
    let place = Place::open("late-code").await;
    let gateway = &place.gateway;
    for (number, (meanwhile, reason)) in
        [("nothing", None), ("signed out", Some("session-over")), ("roles", Some("person-changed"))]
            .into_iter()
            .enumerate()
    {
        let id = format!("late-{number}");
        let secret = place.register(&id);
        let app =
            App { secret: Some(&secret), route: "", ..App { client: &id, ..App::public("openid fhirUser") } };
        let (person, mut browser) = (gateway.person("physician", &[]), Browser::default());
        let code = app.authorize(gateway, &mut browser, &person).await.get("code").unwrap();
        let answer = place
            .redeem(app.exchange_call(&code), async || match meanwhile {
                "signed out" => {
                    let page = browser.get(gateway, "/account").await;
                    browser.submit(gateway, &page, &[]).await;
                }
                "roles" => drop(gateway.command(&["user", "roles", &person.name, "--role", "nurse"])),
                _ => {}
            })
            .await;
        match reason {
            None => assert_eq!(answer.status, 200, "{}", answer.text()),
            // The code is used up: whoever is told to try again would be taken for a thief.
            Some(reason) => {
                assert_eq!((answer.status, answer.error()), (400, "invalid_grant".to_owned()), "{meanwhile}");
                assert_eq!(place.reason(), reason, "{meanwhile}");
            }
        }
    }
}

#[tokio::test]
async fn o10_an_application_that_is_taken_away_while_a_device_gets_its_tokens_gets_none() {
    let place = Place::open("late-device").await;
    let gateway = &place.gateway;
    let secret = place.register("late-tv");
    let app = App { client: "late-tv", secret: Some(&secret), route: "", ..App::public(SCOPE) };
    let person = gateway.person("physician", &[]);
    let asked = ask(gateway, &app).await;
    approve(gateway, &mut Browser::default(), &person, &asked.user_code).await;
    let disconnect = async || drop(gateway.command(&["user", "disconnect", &person.name, "late-tv"]));
    let answer = place.redeem(poll(&app, &asked), disconnect).await;
    assert_eq!((answer.status, answer.error()), (400, "invalid_grant".to_owned()), "{}", answer.text());
    assert_eq!(place.reason(), "grant-cut-off");
}
