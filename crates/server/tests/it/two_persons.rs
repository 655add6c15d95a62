//! The two-person rule at an `http` route: asked with a reason, seen by who may say yes, approved by a signature, done once. Rows
//! O20 and G01 of the corpus.

use serde_json::{Value, json};

use crate::approvals::{Held, hash, last, say, say_yes, verified, waiting, with_phone};
use crate::browser::{App, Browser, CALLBACK, Tokens, form_of};
use crate::emergency::signed_in;
use crate::fakes::upstream::{BODY, Upstream};
use crate::gateway::{Gateway, Person};
use crate::hang_ups::hang_up;
use crate::parallel::{FIFTY, at_once};
use crate::passkeys::{self, Ask};
use crate::routes::{SCOPE, serve_routes};
use crate::watching::until_found;
use crate::wire::{Answer, Call};

const RELEASE: &str = "/orders/17/release?to=lab";
const TOKEN_EXCHANGE: &str = "urn:ietf:params:oauth:grant-type:token-exchange";
const REASON: &str = "the lab called, its copy is lost";

/// A gateway whose orders are released by billing, once a physician or an administrator has said yes.
fn serve(name: &str, upstream: &Upstream) -> Gateway {
    let routes = format!(
        r#"[[route]]
name = "orders"
kind = "http"
path = "/orders"
upstream = "http://127.0.0.1:{}/api"
[[route.allow]]
methods = ["POST"]
path = "/orders/{{id}}/release"
scope = "orders.write"
roles = ["billing"]
approved_by = ["physician", "administrator"]
[[route.allow]]
methods = ["POST"]
path = "/orders/{{id}}/lines"
scope = "orders.write"
agents_ask = true
[[route.allow]]
methods = ["GET"]
path = "/orders/{{id}}"
scope = "orders.read"
"#,
        upstream.port
    );
    serve_routes(name, "", &routes, SCOPE)
}

fn till() -> App<'static> {
    App { client: "till", secret: None, scope: SCOPE, patient: None, route: "/orders" }
}

async fn tokens(gateway: &Gateway, person: &Person) -> (Browser, Tokens) {
    let mut browser = signed_in(gateway, person).await;
    let tokens = till().tokens_in(gateway, &mut browser, person).await;
    (browser, tokens)
}

fn release(token: &str) -> Call {
    Call::new("POST", RELEASE).body("application/json", r#"{"copies":1}"#).bearer(token)
}

/// Asks for a yes, and says what for.
async fn ask(gateway: &Gateway, token: &str) {
    let answer = release(token).header("approval-reason", REASON).to(gateway).await;
    assert_eq!(code(&answer), "approval-waits", "{}", answer.text());
}

fn code(answer: &Answer) -> String {
    assert_eq!(
        (answer.status, answer.header("content-type")),
        (403, "application/problem+json"),
        "{}",
        answer.text()
    );
    answer.json()["code"].as_str().unwrap_or_default().to_owned()
}

#[tokio::test]
async fn what_takes_a_second_person_is_asked_approved_by_a_signature_and_done_once() {
    let upstream = Upstream::start().await;
    let gateway = serve("two-persons", &upstream);
    let Held { person: physician, mut passkey, mut phone, .. } = with_phone(&gateway).await;
    let bea = gateway.person("billing", &[]);
    let (_, bills) = tokens(&gateway, &bea).await;
    let read = Call::get("/orders/17").bearer(&bills.access).to(&gateway).await;
    assert_eq!(read.status, 200, "what takes none takes none");
    let refused = release(&bills.access).to(&gateway).await;
    assert_eq!(code(&refused), "approval-needed");
    assert!(refused.text().contains("Approval-Reason"), "it says how: {}", refused.text());
    assert!(!refused.text().contains("another person"), "it may be the agent's own: {}", refused.text());
    let short = release(&bills.access).header("approval-reason", "why").to(&gateway).await;
    assert_eq!(code(&short), "approval-needed", "a reason that says nothing is none");
    ask(&gateway, &bills.access).await;
    assert_eq!(code(&release(&bills.access).to(&gateway).await), "approval-waits");

    let question = waiting(&gateway, &mut phone).await;
    let page = phone.get(&gateway, &format!("/approve/question?id={question}")).await;
    let who = format!("<dd>{}, through the application till</dd>", bea.name);
    let why = format!("<dd>“{REASON}”</dd>");
    for line in [who.as_str(), "<dd>POST /orders/17/release?to=lab</dd>", why.as_str(), "<dd>127."] {
        assert!(page.text().contains(line), "{line}: {}", page.text());
    }
    assert!(page.text().contains(&format!("SHA-256 {}", hash(r#"{"copies":1}"#))), "{}", page.text());
    let yes = say_yes(&gateway, &mut phone, &mut passkey, &question, "").await;
    assert!(yes.text().contains("<h1>Approved</h1>"), "{}", yes.text());

    // For nothing else, nor for anybody else, nor from elsewhere.
    let nils = gateway.person("billing", &[]);
    let (_, others) = tokens(&gateway, &nils).await;
    let (_, elsewhere) = tokens(&gateway, &bea).await;
    let to = |target: &str, body: &str, token: &str| {
        Call::new("POST", target).body("application/json", body.to_owned()).bearer(token)
    };
    for (name, call) in [
        ("another order", to("/orders/18/release?to=lab", r#"{"copies":1}"#, &bills.access)),
        ("another query", to("/orders/17/release?to=press", r#"{"copies":1}"#, &bills.access)),
        ("another body", to(RELEASE, r#"{"copies":2}"#, &bills.access)),
        ("another person", release(&others.access)),
        ("another session", release(&elsewhere.access)),
    ] {
        assert_eq!(code(&call.to(&gateway).await), "approval-needed", "{name}");
    }
    let before: Vec<String> = upstream.arrived().into_iter().map(|arrived| arrived.method).collect();
    assert_eq!(before, ["GET"], "nothing that was refused went through");
    let done = release(&bills.access).to(&gateway).await;
    assert_eq!((done.status, done.text()), (200, BODY));
    let arrived = upstream.arrived();
    assert_eq!((arrived.len(), arrived[0].target.as_str()), (1, "/api/orders/17/release?to=lab"));
    assert_eq!(arrived[0].headers.get("approval-reason"), None);
    assert_eq!(code(&release(&bills.access).to(&gateway).await), "approval-needed", "once");

    let asked = gateway.audit(&["--event", "approval.request"]).pop().unwrap();
    assert_eq!((&asked["actor"]["sub"], &asked["resource"]), (&json!(bea.name), &json!(question)));
    let approved = last(&gateway, "approval.approve", &physician.name);
    assert_eq!(approved["detail"]["displayed_text"], asked["detail"]["displayed_text"]);
    assert_eq!(
        (&approved["detail"]["asked"], &approved["detail"]["asker"]),
        (&json!("deed"), &json!(bea.name))
    );
    verified(&gateway, &approved);
    let access =
        gateway.audit(&["--event", "access", "--outcome", "allow", "--user", &bea.name]).pop().unwrap();
    let detail = &access["detail"];
    assert_eq!((&detail["approval"], &detail["approved_by"]), (&json!(question), &json!(physician.name)));
}

#[tokio::test]
async fn of_fifty_who_ask_at_once_one_asks_and_of_fifty_uses_at_once_one_uses_a_yes() {
    let upstream = Upstream::start().await;
    let gateway = serve("two-persons-once", &upstream);
    let Held { mut passkey, mut phone, .. } = with_phone(&gateway).await;
    let bea = gateway.person("billing", &[]);
    let (_, bills) = tokens(&gateway, &bea).await;
    // Of fifty who ask at once one asks.
    let answers =
        at_once(&gateway, FIFTY, |_| release(&bills.access).header("approval-reason", REASON)).await;
    assert!(
        answers.iter().all(|answer| ["approval-waits", "approval-flood"].contains(&code(answer).as_str()))
    );
    let list = phone.get(&gateway, "/approve").await;
    assert_eq!(list.text().matches("/approve/question?id=").count(), 1, "{}", list.text());
    let question = waiting(&gateway, &mut phone).await;
    say_yes(&gateway, &mut phone, &mut passkey, &question, "").await;
    let answers = at_once(&gateway, FIFTY, |_| release(&bills.access)).await;
    assert_eq!(answers.iter().filter(|answer| answer.status == 200).count(), 1, "one yes is one deed");
    assert_eq!(upstream.arrived().len(), 1);
}

/// What one of several sends: a yes by their own key, a no or a report.
struct Says {
    form: Ask,
    brought: String,
    csrf: String,
    cookies: String,
}

#[tokio::test]
async fn of_fifty_answers_at_once_by_five_people_with_their_own_keys_one_decides_and_is_on_record() {
    let upstream = Upstream::start().await;
    let gateway = serve("two-persons-answers", &upstream);
    let bea = gateway.person("billing", &[]);
    let (_, bills) = tokens(&gateway, &bea).await;
    let mut people = Vec::new();
    for _ in 0..5 {
        people.push(with_phone(&gateway).await);
    }
    ask(&gateway, &bills.access).await;
    let question = waiting(&gateway, &mut people[0].phone).await;
    let mut all = Vec::new();
    for Held { passkey, phone, .. } in &mut people {
        let page = phone.get(&gateway, &format!("/approve/question?id={question}")).await;
        let form = Ask::of(&page, "/approve/question");
        let (_, hidden) = form_of(&page);
        let csrf = hidden.iter().find(|(name, _)| name == "csrf").unwrap().1.clone();
        let cookies: Vec<String> =
            phone.cookies.iter().map(|(name, value)| format!("{name}={value}")).collect();
        all.push(Says { brought: passkey.get(&form.options), form, csrf, cookies: cookies.join("; ") });
    }
    let answers = at_once(&gateway, FIFTY, |number| {
        let Says { form, brought, csrf, cookies } = &all[number % 5];
        let call = match (number / 5) % 4 {
            0 | 2 => form.call(brought, &[]),
            other => {
                let decision = if other == 1 { "deny" } else { "report" };
                let fields = [("csrf", csrf.as_str()), ("id", &question), ("decision", decision)];
                Call::form("/approve/question", &fields)
            }
        };
        call.header("cookie", cookies)
    })
    .await;
    let won: Vec<usize> = (0..FIFTY).filter(|number| answers[*number].status == 200).collect();
    assert_eq!(won.len(), 1, "{:?}", answers.iter().map(|answer| answer.status).collect::<Vec<_>>());
    let event = match (won[0] / 5) % 4 {
        0 | 2 => "approval.approve",
        1 => "approval.deny",
        _ => "approval.report",
    };
    let said: Vec<Value> = ["approval.approve", "approval.deny", "approval.report"]
        .iter()
        .flat_map(|event| gateway.audit(&["--event", event, "--outcome", "allow"]))
        .collect();
    assert_eq!(said.len(), 1, "{said:?}");
    assert_eq!(
        (&said[0]["event"], &said[0]["actor"]["sub"]),
        (&json!(event), &json!(people[won[0] % 5].person.name))
    );
    let after = release(&bills.access).to(&gateway).await;
    assert_eq!(after.status == 200, event == "approval.approve", "{}", after.text());
}

#[tokio::test]
async fn a_yes_that_was_used_up_is_on_record_though_its_asker_hung_up_or_the_gateway_died() {
    let upstream = Upstream::start().await;
    let gateway = serve("two-persons-used", &upstream);
    let Held { mut passkey, mut phone, .. } = with_phone(&gateway).await;
    let [hasty, lost] = [(); 2].map(|()| gateway.person("billing", &[]));
    let (_, first) = tokens(&gateway, &hasty).await;
    // As plainly as it is sent again below: which headers go on is part of what is approved.
    let head = format!(
        "POST {RELEASE} HTTP/1.1\r\ncontent-type: application/json\r\nauthorization: Bearer {}",
        first.access
    );
    let body = r#"{"copies":1}"#;
    hang_up(&gateway, &format!("{head}\r\napproval-reason: {REASON}"), body).await;
    let mut list = phone.get(&gateway, "/approve").await;
    while !list.text().contains("/approve/question?id=") {
        tokio::time::sleep(std::time::Duration::from_millis(50)).await;
        list = phone.get(&gateway, "/approve").await;
    }
    let question = waiting(&gateway, &mut phone).await;
    say_yes(&gateway, &mut phone, &mut passkey, &question, "").await;
    hang_up(&gateway, &head, body).await;
    for event in ["access.intent", "access"] {
        let record = loop {
            let records = gateway.audit(&["--event", event, "--outcome", "allow", "--user", &hasty.name]);
            if let Some(record) =
                records.into_iter().find(|record| record["detail"]["approval"] == question.as_str())
            {
                break record;
            }
            tokio::time::sleep(std::time::Duration::from_millis(100)).await;
        };
        assert!(record["detail"]["approved_by"].is_string(), "{record}");
    }
    assert_eq!(upstream.arrived().len(), 1);
    // One that is used, and of which nothing was noted: it is as if the gateway had died in between.
    let (_, second) = tokens(&gateway, &lost).await;
    ask(&gateway, &second.access).await;
    let gone = waiting(&gateway, &mut phone).await;
    say_yes(&gateway, &mut phone, &mut passkey, &gone, "").await;
    assert_eq!(release(&second.access).to(&gateway).await.status, 200);
    let database = rusqlite::Connection::open(gateway.folder().join("data/chartgate.db")).unwrap();
    let text = "UPDATE deeds SET used_on_record = 0 WHERE id = ?1 AND state = 'used' AND used_on_record = 1";
    assert_eq!(database.execute(text, [&gone]).unwrap(), 1, "it was noted");
    age(&gateway, &question, 1261);
    age(&gateway, &gone, 1261);
    let lapsed = loop {
        let lapsed = gateway.audit(&["--event", "approval.expire"]);
        if !lapsed.is_empty() {
            break lapsed;
        }
        tokio::time::sleep(std::time::Duration::from_millis(200)).await;
    };
    let told: Vec<(&Value, &Value)> =
        lapsed.iter().map(|record| (&record["resource"], &record["decision"]["reason"])).collect();
    assert_eq!(told, [(&json!(gone), &json!("use-lost"))], "and of the other one all is on record");
}

#[tokio::test]
async fn nobody_approves_their_own_whatever_else_they_are_and_the_role_is_asked_for_to_the_last() {
    let upstream = Upstream::start().await;
    let gateway = serve("two-persons-own", &upstream);
    let Held { person: own, passkey: mut own_passkey, .. } = with_phone(&gateway).await;
    let roles = ["physician", "administrator", "billing"].map(|role| ["--role", role]).concat();
    gateway.command(&[&["user", "roles", &own.name], &roles[..]].concat());
    let (mut own_phone, _) = passkeys::sign_in(&gateway, &mut own_passkey).await;
    let bills = till().tokens_in(&gateway, &mut own_phone, &own).await;
    let Held { person: chief, mut passkey, mut phone, .. } = with_phone(&gateway).await;
    ask(&gateway, &bills.access).await;
    let list = own_phone.get(&gateway, "/approve").await;
    assert!(list.text().contains("Nothing waits for your answer"), "{}", list.text());
    let question = waiting(&gateway, &mut phone).await;
    let page = phone.get(&gateway, &format!("/approve/question?id={question}")).await;
    let form = Ask::of(&page, "/approve/question");
    // The chief's form, by the asker's hand and key.
    let brought = own_passkey.get(&form.options);
    let _ = own_phone.get(&gateway, "/approve/phone").await;
    let answer = own_phone.send(&gateway, form.call(&brought, &[])).await;
    assert!([400, 410].contains(&answer.status), "{} {}", answer.status, answer.text());
    let forged = own_phone.get(&gateway, &format!("/approve/question?id={question}")).await;
    assert_eq!(forged.status, 410);
    // Who is no physician any more by the time they answer.
    gateway.command(&["user", "roles", &chief.name, "--role", "nurse"]);
    (phone, _) = passkeys::sign_in(&gateway, &mut passkey).await;
    assert_eq!(phone.get(&gateway, &format!("/approve/question?id={question}")).await.status, 410);
    gateway.command(&["user", "roles", &chief.name, "--role", "physician"]);
    (phone, _) = passkeys::sign_in(&gateway, &mut passkey).await;
    let yes = say_yes(&gateway, &mut phone, &mut passkey, &question, "").await;
    assert!(yes.text().contains("<h1>Approved</h1>"), "{}", yes.text());
    // Nor by the time it is done: what they said counts no more.
    gateway.command(&["user", "roles", &chief.name, "--role", "nurse"]);
    assert_eq!(code(&release(&bills.access).to(&gateway).await), "approval-denied");
    assert_eq!(upstream.arrived().len(), 0);
}

#[tokio::test]
async fn a_no_and_a_report_give_nothing_and_who_is_shut_out_does_nothing_with_a_yes() {
    let upstream = Upstream::start().await;
    let gateway = serve("two-persons-no", &upstream);
    let Held { person: physician, mut passkey, mut phone, .. } = with_phone(&gateway).await;
    let [first, second, third] = [(); 3].map(|()| gateway.person("billing", &[]));
    for (person, decision, event) in
        [(&first, "deny", "approval.deny"), (&second, "report", "approval.report")]
    {
        let (_, bills) = tokens(&gateway, person).await;
        ask(&gateway, &bills.access).await;
        let question = waiting(&gateway, &mut phone).await;
        say(&gateway, &mut phone, &question, decision).await;
        assert_eq!(code(&release(&bills.access).to(&gateway).await), "approval-denied", "{decision}");
        let again = release(&bills.access).header("approval-reason", REASON).to(&gateway).await;
        assert_eq!(code(&again), "approval-denied", "a no is not asked away");
        let other = Call::new("POST", "/orders/18/release").bearer(&bills.access);
        let other = other.header("approval-reason", REASON).to(&gateway).await;
        assert_eq!(code(&other), "approval-flood", "nor by another deed at once");
        let record = last(&gateway, event, &physician.name);
        assert_eq!(
            (&record["resource"], &record["detail"]["asker"]),
            (&json!(question), &json!(person.name))
        );
    }
    assert_eq!(until_found(&gateway, "unwanted-approval", 1).await.len(), 1, "the report");
    let (mut browser, bills) = tokens(&gateway, &third).await;
    ask(&gateway, &bills.access).await;
    let question = waiting(&gateway, &mut phone).await;
    say_yes(&gateway, &mut phone, &mut passkey, &question, "").await;
    gateway.command(&["user", "disable", &third.name]);
    assert_eq!(release(&bills.access).to(&gateway).await.status, 401, "at once");
    // Who is let in again is in another session.
    gateway.command(&["user", "enable", &third.name]);
    browser.sign_in(&gateway, &third).await;
    let again = till().tokens_in(&gateway, &mut browser, &third).await;
    assert_eq!(code(&release(&again.access).to(&gateway).await), "approval-needed");
    assert_eq!(upstream.arrived().len(), 0);
}

#[tokio::test]
async fn what_nobody_answers_and_what_nobody_does_in_time_lapses_on_record() {
    let upstream = Upstream::start().await;
    let gateway = serve("two-persons-late", &upstream);
    let Held { mut passkey, mut phone, .. } = with_phone(&gateway).await;
    let [left, unused] = [(); 2].map(|()| gateway.person("billing", &[]));
    let (_, first) = tokens(&gateway, &left).await;
    ask(&gateway, &first.access).await;
    let late = waiting(&gateway, &mut phone).await;
    age(&gateway, &late, 601);
    assert_eq!(phone.get(&gateway, &format!("/approve/question?id={late}")).await.status, 410);
    assert_eq!(code(&release(&first.access).to(&gateway).await), "approval-needed");
    let (_, second) = tokens(&gateway, &unused).await;
    ask(&gateway, &second.access).await;
    let done = waiting(&gateway, &mut phone).await;
    say_yes(&gateway, &mut phone, &mut passkey, &done, "").await;
    age(&gateway, &done, 1201);
    assert_eq!(code(&release(&second.access).to(&gateway).await), "approval-needed", "a yes does not last");
    let lapsed = loop {
        let lapsed = gateway.audit(&["--event", "approval.expire"]);
        if lapsed.len() >= 2 {
            break lapsed;
        }
        tokio::time::sleep(std::time::Duration::from_millis(200)).await;
    };
    let told: Vec<(&Value, &Value)> =
        lapsed.iter().map(|record| (&record["resource"], &record["decision"]["reason"])).collect();
    assert_eq!(told, [(&json!(late), &json!("unanswered")), (&json!(done), &json!("unused"))]);
    assert_eq!(upstream.arrived().len(), 0);
}

/// As if it had been asked so many seconds earlier.
fn age(gateway: &Gateway, id: &str, seconds: i64) {
    let database = rusqlite::Connection::open(gateway.folder().join("data/chartgate.db")).unwrap();
    let text = "UPDATE deeds SET expires_at = expires_at - ?2 * 1000000, usable_until = usable_until - ?2 * 1000000, \
                content = json_set(content, '$.asked_at', \
                strftime('%Y-%m-%dT%H:%M:%SZ', json_extract(content, '$.asked_at'), '-' || ?2 || ' seconds')) WHERE id = ?1";
    assert_eq!(database.execute(text, (id, seconds)).unwrap(), 1);
}

/// What an agent gets for somebody's token.
async fn exchanged(
    gateway: &Gateway,
    name: &str,
    person: &Person,
    browser: &mut Browser,
) -> (Tokens, Tokens) {
    let add = |id: &str, more: &[&str]| {
        let words =
            ["client", "add", id, "--kind", "confidential", "--scope", SCOPE, "--redirect-uri", CALLBACK];
        let shown: Value = serde_json::from_str(&gateway.command(&[&words[..], more].concat())).unwrap();
        shown["client_secret"].as_str().unwrap().to_owned()
    };
    let agent = format!("agent-{name}");
    let agents = add(&agent, &["--grant", TOKEN_EXCHANGE]);
    let desk = format!("desk-{name}");
    let desks = add(&desk, &["--grant", "authorization_code", "--may-act", &agent]);
    let app = App { client: &desk, secret: Some(&desks), ..till() };
    let own = app.tokens_in(gateway, browser, person).await;
    let app = App { client: &agent, secret: Some(&agents), ..till() };
    let kind = "urn:ietf:params:oauth:token-type:access_token";
    let fields = [
        ("grant_type", TOKEN_EXCHANGE),
        ("subject_token", own.access.as_str()),
        ("subject_token_type", kind),
    ];
    let got = Tokens::of(&app.token_call(&fields).to(gateway).await);
    (own, got)
}

#[tokio::test]
async fn an_agent_asks_the_person_for_whom_it_acts_and_they_alone_say_yes() {
    let upstream = Upstream::start().await;
    let gateway = serve("two-persons-agent", &upstream);
    let Held { person, mut passkey, mut phone, .. } = with_phone(&gateway).await;
    let Held { phone: mut stranger, .. } = with_phone(&gateway).await;
    let (mut desk, _) = passkeys::sign_in(&gateway, &mut passkey).await;
    let (own, agents) = exchanged(&gateway, "ada", &person, &mut desk).await;
    let lines =
        |token: &str| Call::new("POST", "/orders/17/lines").body("application/json", "[1]").bearer(token);
    assert_eq!(lines(&own.access).to(&gateway).await.status, 200, "they need nobody's");
    assert_eq!(code(&lines(&agents.access).to(&gateway).await), "approval-needed");
    let asked = lines(&agents.access).header("approval-reason", REASON).to(&gateway).await;
    assert_eq!(code(&asked), "approval-waits");
    assert!(stranger.get(&gateway, "/approve").await.text().contains("Nothing waits for your answer"));
    let list = phone.get(&gateway, "/approve").await;
    assert!(list.text().contains("An agent that acts for you needs your approval."), "{}", list.text());
    assert!(!list.text().contains("Somebody else"), "{}", list.text());
    let question = waiting(&gateway, &mut phone).await;
    let page = phone.get(&gateway, &format!("/approve/question?id={question}")).await;
    let who = format!("<dd>The agent agent-ada, which acts for {}</dd>", person.name);
    assert!(page.text().contains(&who), "{}", page.text());
    say_yes(&gateway, &mut phone, &mut passkey, &question, "").await;
    assert_eq!(lines(&agents.access).to(&gateway).await.status, 200);
    assert_eq!(code(&lines(&agents.access).to(&gateway).await), "approval-needed", "once");
    let record = last(&gateway, "approval.approve", &person.name);
    assert_eq!(record["detail"]["approver"], "whom-it-acts-for");
    verified(&gateway, &record);
    // With another's yes wanted, that of the person is none.
    let roles = ["physician", "billing"].map(|role| ["--role", role]).concat();
    gateway.command(&[&["user", "roles", &person.name], &roles[..]].concat());
    (desk, _) = passkeys::sign_in(&gateway, &mut passkey).await;
    let (_, agents) = exchanged(&gateway, "bob", &person, &mut desk).await;
    let asked = release(&agents.access).header("approval-reason", REASON).to(&gateway).await;
    assert_eq!(code(&asked), "approval-waits");
    assert!(desk.get(&gateway, "/approve").await.text().contains("Nothing waits for your answer"));
    let list = stranger.get(&gateway, "/approve").await;
    assert!(list.text().contains("Somebody else needs your approval."), "{}", list.text());
    assert_eq!(upstream.arrived().len(), 2);
}

#[tokio::test]
async fn where_nobody_could_say_yes_nobody_is_asked() {
    let upstream = Upstream::start().await;
    let gateway = serve("two-persons-nobody", &upstream);
    let bea = gateway.person("billing", &[]);
    let (_, bills) = tokens(&gateway, &bea).await;
    // Whom `init` made.
    gateway.command(&["user", "disable", "admin"]);
    let asked = release(&bills.access).header("approval-reason", REASON).to(&gateway).await;
    assert_eq!(code(&asked), "approval-by-nobody");
    assert_eq!(gateway.audit(&["--event", "approval.request"]).len(), 0);
}
