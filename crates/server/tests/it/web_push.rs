//! Waking phones by Web Push (RFC 8030, 8291, 8292): a push service of our own, and somebody else's libraries, which open what
//! it got and judge the token that came with it.

use std::path::Path;
use std::process::Command;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use http::StatusCode;
use serde_json::{Value, json};

use crate::browser::{App, Browser};
use crate::ciba::{ask, desk, register};
use crate::fakes::secured::{Certificates, Pushed, Secured, certificates};
use crate::gateway::{Gateway, Person, Scratch};
use crate::outside_clients::{has, succeed};
use crate::routes::serve_in;
use crate::wire::Answer;

/// A browser's keys, by Node.
fn keys(folder: &Path) -> Value {
    let told = succeed(Command::new("node").args(["web-push.mjs", "keys"]).current_dir(folder));
    serde_json::from_str(&told).unwrap()
}

/// What somebody else's libraries make of a message.
fn opened(folder: &Path, scratch: &Scratch, keys: &Value, message: &Pushed, audience: &str) -> Value {
    let given = json!({
        "keys": keys,
        "body": URL_SAFE_NO_PAD.encode(&message.body),
        "authorization": message.headers["authorization"].to_str().unwrap(),
        "audience": audience,
    });
    let file = scratch.write("message.json", given.to_string());
    let told = succeed(Command::new("node").args(["web-push.mjs", "open"]).arg(file).current_dir(folder));
    serde_json::from_str(&told).unwrap()
}

/// A gateway whose push service is ours, and somebody who is signed in there.
struct Stage {
    gateway: Gateway,
    service: Secured,
    person: Person,
    phone: Browser,
}

impl Stage {
    async fn set(name: &str, push: &str) -> Self {
        let scratch = Scratch::new(name);
        certificates(scratch.path());
        let service = Secured::start(scratch.path(), Certificates::NotWanted).await;
        // Who was never used wakes nobody: what is asked first is answered at the command line.
        let egress = "[approvals]\ncommand_line = true\n[egress]\nallow = [\"127.0.0.0/8\", \"::1/128\"]\nca = \"ca.pem\"\n";
        let gateway = serve_in(scratch, "", &format!("{push}{egress}"), "openid");
        let person = gateway.person("physician", &[]);
        let mut phone = Browser::default();
        phone.sign_in(&gateway, &person).await;
        Self { gateway, service, person, phone }
    }

    /// Adds the phone with this subscription.
    async fn add(&mut self, subscription: &str) -> Answer {
        let page = self.phone.get(&self.gateway, "/approve/phone").await;
        let (_, rest) = page.text().split_once("name=\"csrf\" value=\"").unwrap();
        let csrf = rest.split('"').next().unwrap();
        let fields = [
            ("csrf", csrf),
            ("subscription", subscription),
            ("label", "Woken"),
            ("password", &self.person.password),
            ("change", "add"),
        ];
        self.phone.send(&self.gateway, crate::wire::Call::form("/approve/phone", &fields)).await
    }

    /// Has this application used, which takes no message.
    async fn use_once(&self, app: &App<'_>) {
        let asked = ask(&self.gateway, app, &[("login_hint", self.person.name.as_str())]).await;
        self.gateway.command(&["approval", "approve", &asked]);
    }

    fn pushed(&self) -> Vec<Pushed> {
        self.service.seen.lock().unwrap().pushes.clone()
    }

    async fn until_pushed(&self, count: usize) -> Vec<Pushed> {
        for _ in 0..200 {
            if self.pushed().len() >= count {
                break;
            }
            tokio::time::sleep(std::time::Duration::from_millis(50)).await;
        }
        let pushed = self.pushed();
        assert_eq!(pushed.len(), count, "{}", self.gateway.output());
        pushed
    }
}

fn subscription(keys: &Value, endpoint: &str) -> String {
    json!({ "endpoint": endpoint, "expirationTime": null, "keys": {
        "p256dh": keys["p256dh"], "auth": keys["auth"] } })
    .to_string()
}

#[tokio::test]
async fn a_phone_is_woken_by_a_message_that_says_nothing_and_that_another_library_opens() {
    if !["node", "npm"].iter().all(|program| has(program, &["--version"])) {
        println!("skipped: needs node and npm; `make test` installs them");
        return;
    }
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/web-push");
    succeed(
        Command::new("npm").args(["ci", "--no-audit", "--no-fund", "--ignore-scripts"]).current_dir(&folder),
    );
    let keys = keys(&folder);
    let push = "[push]\nservices = [\"localhost\"]\ncontact = \"mailto:it@clinic.example\"\n";
    let mut stage = Stage::set("web-push", push).await;
    let origin = format!("https://localhost:{}", stage.service.port);
    let endpoint = format!("{origin}/push/one");
    let added = stage.add(&subscription(&keys, &endpoint)).await;
    assert_eq!(added.status, 303, "{}", added.text());

    let secret = register(&stage.gateway, "desk", &[]);
    let app = App { scope: "openid", route: "/", ..desk("desk", &secret) };
    stage.use_once(&app).await;
    let message = "Patient Marchetti is here";
    let fields = [("login_hint", stage.person.name.as_str()), ("binding_message", message)];
    let asked = ask(&stage.gateway, &app, &fields).await;
    let pushed = stage.until_pushed(1).await.remove(0);
    let header = |name: &str| pushed.headers.get(name).unwrap().to_str().unwrap().to_owned();
    assert_eq!(pushed.path, "/push/one");
    assert_eq!(
        ["ttl", "urgency", "topic", "content-encoding"].map(header),
        ["300", "high", "approval", "aes128gcm"]
    );
    let told = opened(&folder, stage.gateway.scratch(), &keys, &pushed, &origin);
    assert_eq!(told["text"], json!({ "question": asked }).to_string(), "which, and nothing of what");
    assert_eq!(told["claims"]["sub"], "mailto:it@clinic.example");
    let page = stage.phone.get(&stage.gateway, "/approve/phone").await;
    let (_, rest) = page.text().split_once("data-wake=\"").unwrap();
    assert_eq!(told["k"], rest.split('"').next().unwrap(), "the key that browsers are subscribed with");
    // The address opens the way to the phone: it is in no log.
    assert!(!stage.gateway.output().contains("/push/one"), "{}", stage.gateway.output());
}

/// A subscription with keys that nobody has the other half of.
fn some(endpoint: &str) -> String {
    let keys = json!({
        "p256dh": "BCVxsr7N_eNgVRqvHtD0zTZsEc6-VV-JvLexhqUzORcxaOzi6-AYWXvTBHm4bjyPjs7Vd8pZGH6SRpkNtoIAiw4",
        "auth": "BTBZMqHH6r4Tts7J_aSIgg",
    });
    subscription(&keys, endpoint)
}

#[tokio::test]
async fn j08_messages_go_to_services_that_the_configuration_names_and_nowhere_else() {
    let mut stage = Stage::set("web-push-services", "[push]\nservices = [\"*.push.example\"]\n").await;
    let port = stage.service.port;
    for endpoint in [
        format!("https://localhost:{port}/push/x"),
        "https://push.example/x".to_owned(),
        "https://a.push.example.evil.example/x".to_owned(),
        "http://a.push.example/x".to_owned(),
    ] {
        let answer = stage.add(&some(&endpoint)).await;
        assert!(answer.text().contains("is not one that this place uses"), "{endpoint}: {}", answer.text());
    }
    let nonsense = stage.add("{\"endpoint\":7}").await;
    assert_eq!(nonsense.status, 200);
    assert!(stage.pushed().is_empty());
    assert_eq!(stage.add(&some("https://a.push.example/x")).await.status, 303);
}

#[tokio::test]
async fn a_subscription_that_is_over_is_forgotten_and_a_service_that_fails_holds_nobody_up() {
    let mut stage = Stage::set("web-push-gone", "[push]\nservices = [\"localhost\"]\n").await;
    let endpoint = format!("https://localhost:{}/push/gone", stage.service.port);
    assert_eq!(stage.add(&some(&endpoint)).await.status, 303);
    let secrets: Vec<_> = ["a", "b", "c"].map(|id| (id, register(&stage.gateway, id, &[]))).into();
    let apps: Vec<_> =
        secrets.iter().map(|(id, secret)| App { scope: "openid", route: "/", ..desk(id, secret) }).collect();
    for app in &apps {
        stage.use_once(app).await;
    }
    let fields = [("login_hint", stage.person.name.as_str())];
    stage.service.seen.lock().unwrap().push_answer = Some(StatusCode::SERVICE_UNAVAILABLE);
    ask(&stage.gateway, &apps[0], &fields).await;
    stage.until_pushed(1).await;
    stage.service.seen.lock().unwrap().push_answer = Some(StatusCode::GONE);
    ask(&stage.gateway, &apps[1], &fields).await;
    stage.until_pushed(2).await;
    let mut page = stage.phone.get(&stage.gateway, "/approve/phone").await;
    for _ in 0..100 {
        if page.text().contains("It is not woken") {
            break;
        }
        tokio::time::sleep(std::time::Duration::from_millis(50)).await;
        page = stage.phone.get(&stage.gateway, "/approve/phone").await;
    }
    assert!(page.text().contains("It is not woken"), "{}", page.text());
    ask(&stage.gateway, &apps[2], &fields).await;
    let page = stage.phone.get(&stage.gateway, "/approve").await;
    assert_eq!(page.text().matches("/approve/question?id=").count(), 3, "the page has them all");
    assert_eq!(stage.pushed().len(), 2);
}

#[tokio::test]
async fn o20_an_application_that_its_person_never_used_wakes_nobody_and_its_question_says_so() {
    let mut stage = Stage::set("web-push-new", "[push]\nservices = [\"localhost\"]\n").await;
    let endpoint = format!("https://localhost:{}/push/new", stage.service.port);
    assert_eq!(stage.add(&some(&endpoint)).await.status, 303);
    let secret = register(&stage.gateway, "newcomer", &[]);
    let app = App { scope: "openid", route: "/", ..desk("newcomer", &secret) };
    let person = stage.person.name.clone();
    let fields = [("login_hint", person.as_str())];
    let first = ask(&stage.gateway, &app, &fields).await;
    let says = "No, you have not used this application in the last ninety days";
    let question = |id: &str| format!("/approve/question?id={id}");
    let page = stage.phone.get(&stage.gateway, &question(&first)).await;
    assert!(page.text().contains(says), "whoever looks finds it: {}", page.text());
    stage.gateway.command(&["approval", "approve", &first]);
    assert!(stage.pushed().is_empty(), "the first one was answered, and woke nobody");
    let second = ask(&stage.gateway, &app, &fields).await;
    stage.until_pushed(1).await;
    let page = stage.phone.get(&stage.gateway, &question(&second)).await;
    assert!(page.status == 200 && !page.text().contains(says), "{}", page.text());
    let records = stage.gateway.audit(&["--event", "approval.request"]);
    let of = |id: &str| &records.iter().find(|record| record["resource"] == json!(id)).unwrap()["detail"];
    assert_eq!(of(&first)["not_woken"], "never-seen-client");
    assert!(of(&first)["displayed_text"].as_str().unwrap().contains(&format!("\nKnown to you: {says}\n")));
    assert_eq!(of(&second).get("not_woken"), None);
}
