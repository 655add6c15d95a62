//! Answers of an `http` route that cannot be withheld: `access` before their first byte, `access.end` behind their last,
//! and an end at once when the token is cut off.

use std::time::{Duration, Instant};

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use chartgate_protocol::jose::{Algorithm, KeySet, SigningKey, jws};
use http_body_util::BodyExt as _;
use hyper::body::Incoming;
use serde_json::Value;

use crate::browser::{App, Tokens};
use crate::fakes::held::Held;
use crate::fakes::streaming::{BROKEN, EVENT, LONG, Streaming, long};
use crate::faults::limit_files;
use crate::gateway::{Gateway, Person, Scratch};
use crate::routes::{SCOPE, serve_in, serve_with};
use crate::wire::{Call, Connection};

/// How long a record may take on a busy machine.
const PATIENCE: Duration = Duration::from_secs(20);

async fn tokens(gateway: &Gateway, person: &Person) -> Tokens {
    let app = App { client: "till", secret: None, scope: SCOPE, patient: None, route: "/orders" };
    app.tokens(gateway, person).await
}

/// The records of a path: intent, access, end, as far as they are there.
fn records(gateway: &Gateway, path: &str) -> Vec<Value> {
    let all = gateway.audit(&["--action", "GET"]);
    all.into_iter().filter(|record| record["resource"] == path).collect()
}

fn events(records: &[Value]) -> Vec<&str> {
    records.iter().map(|record| record["event"].as_str().unwrap()).collect()
}

/// The record of a stream's end, once it is there: one for its one access, with the same request behind it.
async fn end_of(gateway: &Gateway, path: &str) -> Value {
    let begun = Instant::now();
    loop {
        let records = records(gateway, path);
        if let [intent, access, end] = &records[..] {
            assert_eq!(events(&records), ["access.intent", "access", "access.end"]);
            assert!(records.iter().all(|r| r["request_id"] == intent["request_id"]), "{records:?}");
            assert_eq!((&access["outcome"], &access["response"]["status"]), (&"allow".into(), &200.into()));
            return end.clone();
        }
        assert!(begun.elapsed() < PATIENCE, "{records:?}");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}

/// A stream that was opened and has said something.
pub(crate) struct Open {
    body: Incoming,
    taken: usize,
    _connection: Connection,
}

impl Open {
    pub(crate) async fn new(gateway: &Gateway, token: &str, path: &str) -> Self {
        Self::on(Connection::open(gateway).await, token, path).await
    }

    async fn on(mut connection: Connection, token: &str, path: &str) -> Self {
        let answer = connection.begin(Call::get(path).bearer(token)).await.unwrap();
        assert_eq!(answer.status(), 200);
        let mut open = Self { body: answer.into_body(), taken: 0, _connection: connection };
        let first = open.body.frame().await.unwrap().unwrap().into_data().unwrap();
        open.taken = first.len();
        open
    }

    /// Everything until it breaks off, which it has to.
    pub(crate) async fn until_broken_off(&mut self) -> usize {
        let broken = tokio::time::timeout(PATIENCE, async {
            while let Some(frame) = self.body.frame().await {
                match frame {
                    Ok(frame) => {
                        self.taken = self.taken.saturating_add(frame.into_data().unwrap().len());
                    }
                    Err(_) => return,
                }
            }
            panic!("it ended as if it were whole");
        });
        broken.await.expect("it goes on");
        self.taken
    }
}

#[tokio::test]
async fn a_long_answer_is_streamed_between_two_records_and_a_short_one_is_withheld() {
    let upstream = Streaming::start().await;
    let gateway = serve_with("streams", upstream.port, "", "");
    let bea = gateway.person("billing", &[]);
    let token = tokens(&gateway, &bea).await.access;

    for (path, mut connection) in [
        ("/orders/long", Connection::open(&gateway).await),
        ("/orders/long?again", Connection::open_http2(&gateway).await),
    ] {
        let answer = connection.send(Call::get(path).bearer(&token)).await;
        assert_eq!((answer.status, answer.header("content-length")), (200, LONG.to_string().as_str()));
        assert_eq!(answer.header("cache-control"), "no-store");
        assert!(answer.body == long(), "{} bytes", answer.body.len());
    }
    let begun = Instant::now();
    let ends = loop {
        let mut ends = records(&gateway, "/orders/long");
        ends.retain(|record| record["event"] == "access.end");
        if ends.len() == 2 {
            break ends;
        }
        assert!(begun.elapsed() < PATIENCE, "{ends:?}");
        tokio::time::sleep(Duration::from_millis(50)).await;
    };
    let digest = URL_SAFE_NO_PAD.encode(aws_lc_rs::digest::digest(&aws_lc_rs::digest::SHA256, &long()));
    for end in ends {
        assert_eq!(end["outcome"], "allow", "{end}");
        assert_eq!(end["response"]["bytes"], LONG);
        assert_eq!(end["response"]["digests"], serde_json::json!([digest]));
        assert_eq!(end["actor"]["sub"], bea.name.as_str());
        assert_eq!(end["decision"]["reason"], Value::Null);
    }

    let short = Connection::open(&gateway).await.send(Call::get("/orders/short").bearer(&token)).await;
    assert_eq!(short.text(), "not long");
    let told = records(&gateway, "/orders/short");
    assert_eq!(
        events(&told),
        ["access.intent", "access"],
        "withheld whole, though its length was not announced"
    );
    assert_eq!(told[1]["response"]["bytes"], 8);
    let hesitant = Connection::open(&gateway).await.send(Call::get("/orders/hesitant").bearer(&token)).await;
    assert_eq!(hesitant.text(), "first, then");
    assert_eq!(end_of(&gateway, "/orders/hesitant").await["response"]["bytes"], 11);

    // While it is open, its access is there and its end is not.
    let mut events_open = Open::new(&gateway, &token, "/orders/events").await;
    assert_eq!(events_open.taken, EVENT.len(), "event by event");
    assert_eq!(events(&records(&gateway, "/orders/events")), ["access.intent", "access"]);
    for _ in 0..3 {
        events_open.body.frame().await.unwrap().unwrap();
    }
    drop(events_open);
    let end = end_of(&gateway, "/orders/events").await;
    assert_eq!((&end["outcome"], &end["decision"]["reason"]), (&"error".into(), &"client-gone".into()));
    assert!(end["response"]["bytes"].as_u64().unwrap() >= 4 * EVENT.len() as u64, "{end}");
    let begun = Instant::now();
    while !upstream.hung_up_on().contains(&"events".to_owned()) {
        assert!(begun.elapsed() < PATIENCE, "the upstream still talks to nobody");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    assert!(gateway.command(&["audit", "verify"]).starts_with("verified: "));
}

#[tokio::test]
async fn a_stream_that_breaks_off_upstream_breaks_off_for_the_caller_and_the_record_says_so() {
    let upstream = Streaming::start().await;
    let gateway = serve_with("broken-streams", upstream.port, "max_answer = \"8MiB\"", "");
    let bea = gateway.person("billing", &[]);
    let token = tokens(&gateway, &bea).await.access;

    let taken = Open::new(&gateway, &token, "/orders/broken").await.until_broken_off().await;
    let end = end_of(&gateway, "/orders/broken").await;
    assert_eq!(end["outcome"], "error");
    assert_eq!(end["decision"]["reason"], "upstream-unreachable");
    assert_eq!(end["response"]["truncated"], "upstream-unreachable");
    assert_eq!(end["response"]["bytes"], taken);
    assert!(taken <= BROKEN);

    // The route's limit holds for what announces no length too.
    let taken = Open::new(&gateway, &token, "/orders/endless").await.until_broken_off().await;
    assert!(taken <= 8 << 20, "{taken}");
    let end = end_of(&gateway, "/orders/endless").await;
    assert_eq!((&end["outcome"], &end["decision"]["reason"]), (&"error".into(), &"upstream-too-long".into()));

    // Other protocols are not spoken, whoever asks for one.
    let upgrade = Call::get("/orders/upgrade").bearer(&token);
    let asked = upgrade.header("connection", "upgrade").header("upgrade", "websocket");
    let answer = asked.to(&gateway).await;
    assert_eq!(answer.status, 502, "{}", answer.text());
    assert_eq!(events(&records(&gateway, "/orders/upgrade")), ["access.intent", "access"]);
}

#[tokio::test]
async fn a_cut_off_ends_open_streams_at_once_and_their_records_say_why() {
    let upstream = Streaming::start().await;
    let gateway = serve_with("cut-streams", upstream.port, "", "");
    let person = || gateway.person("billing", &[]);
    let bystander = tokens(&gateway, &person()).await.access;
    let mut untouched = Open::new(&gateway, &bystander, "/orders/events?untouched").await;

    let (disabled, ended, revoked) = (person(), person(), person());
    let [of_disabled, of_ended, of_revoked] =
        [tokens(&gateway, &disabled).await, tokens(&gateway, &ended).await, tokens(&gateway, &revoked).await];
    let (session, jti) = (of_ended.session(), of_revoked.jti());
    for (tokens, person, words, reason) in [
        (&of_disabled, &disabled, vec!["user", "disable", &disabled.name], "revoked-subject"),
        (&of_ended, &ended, vec!["session", "end", &session], "revoked-session"),
        (&of_revoked, &revoked, vec!["token", "revoke", &jti], "revoked-token"),
    ] {
        let mut reading = Open::new(&gateway, &tokens.access, "/orders/events").await;
        let mut over_http2 =
            Open::on(Connection::open_http2(&gateway).await, &tokens.access, "/orders/endless").await;
        // Nobody reads this one: that does not keep it open.
        let _asleep = Open::new(&gateway, &tokens.access, "/orders/endless").await;
        gateway.command(&words);
        reading.until_broken_off().await;
        over_http2.until_broken_off().await;
        let begun = Instant::now();
        let ends = loop {
            let mut ends = gateway.audit(&["--user", &person.name]);
            ends.retain(|record| record["event"] == "access.end");
            if ends.len() == 3 {
                break ends;
            }
            assert!(begun.elapsed() < PATIENCE, "{reason}: {ends:?}");
            tokio::time::sleep(Duration::from_millis(50)).await;
        };
        for end in ends {
            assert_eq!(
                (&end["outcome"], &end["decision"]["reason"]),
                (&"deny".into(), &reason.into()),
                "{end}"
            );
        }
    }
    untouched.body.frame().await.unwrap().unwrap();
    // A client that is removed takes the streams of all its people with it.
    gateway.command(&["client", "remove", "till"]);
    untouched.until_broken_off().await;
    let begun = Instant::now();
    loop {
        let ends = records(&gateway, "/orders/events");
        if ends.iter().any(|record| record["decision"]["reason"] == "revoked-client") {
            break;
        }
        assert!(begun.elapsed() < PATIENCE, "{ends:?}");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}

#[tokio::test]
async fn a_stream_without_an_end_ends_with_its_token_and_g16_with_policies_that_deny_it() {
    let upstream = Streaming::start().await;
    let gateway = serve_with("ending-streams", upstream.port, "", "[tokens]\naccess_token_ttl = \"6s\"\n");
    let bea = gateway.person("billing", &[]);
    let mut expiring = Open::new(&gateway, &tokens(&gateway, &bea).await.access, "/orders/events").await;
    expiring.until_broken_off().await;
    let end = end_of(&gateway, "/orders/events").await;
    assert_eq!((&end["outcome"], &end["decision"]["reason"]), (&"deny".into(), &"token-expired".into()));

    let gateway = serve_with("denied-streams", upstream.port, "", "");
    let bea = gateway.person("billing", &[]);
    let mut denied = Open::new(&gateway, &tokens(&gateway, &bea).await.access, "/orders/events").await;
    let added = gateway.folder().join("policies/added.cedar");
    let forbid = "@id(\"nobody-today\") forbid (principal, action, resource);\n";
    std::fs::write(added, forbid).unwrap();
    denied.until_broken_off().await;
    let end = end_of(&gateway, "/orders/events").await;
    assert_eq!((&end["outcome"], &end["decision"]["reason"]), (&"deny".into(), &"forbidden".into()));
}

#[tokio::test]
async fn g16_a_stream_that_begins_after_other_policies_came_into_force_is_asked_about_by_them() {
    let upstream = Streaming::start().await;
    let held = Held::start(upstream.port).await;
    let gateway = serve_with("late-streams", held.port, "", "");
    let bea = gateway.person("billing", &[]);
    let token = tokens(&gateway, &bea).await.access;
    let mut connection = Connection::open(&gateway).await;
    held.open(false);
    let meanwhile = async {
        let begun = Instant::now();
        while held.waiting() == 0 {
            assert!(begun.elapsed() < PATIENCE, "the upstream is not asked");
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        let forbid = "@id(\"nobody-today\") forbid (principal, action, resource);\n";
        std::fs::write(gateway.folder().join("policies/added.cedar"), forbid).unwrap();
        loop {
            // What is still allowed waits for the upstream.
            let asked = Call::get("/orders/short").bearer(&token).to(&gateway);
            match tokio::time::timeout(Duration::from_secs(1), asked).await {
                Ok(answer) if answer.status == 403 => break,
                _ => assert!(begun.elapsed() < PATIENCE, "the new policies do not come into force"),
            }
        }
        held.open(true);
    };
    // Kept, so that it does not end because nobody reads it.
    let (_open, ()) = tokio::join!(connection.begin(Call::get("/orders/events").bearer(&token)), meanwhile);
    let end = end_of(&gateway, "/orders/events").await;
    assert_eq!((&end["outcome"], &end["decision"]["reason"]), (&"deny".into(), &"forbidden".into()));
    assert_eq!(end["response"]["bytes"], 0, "{end}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_gateway_that_stops_ends_what_has_no_end_and_records_it() {
    let upstream = Streaming::start().await;
    let mut gateway = serve_with("stopped-streams", upstream.port, "", "");
    let bea = gateway.person("billing", &[]);
    let token = tokens(&gateway, &bea).await.access;
    let mut open = Open::new(&gateway, &token, "/orders/events").await;
    let (_, said) =
        tokio::join!(open.until_broken_off(), async { tokio::task::block_in_place(|| gateway.terminate()) });
    assert!(!said.contains("still open"), "{said}");
    let end = end_of(&gateway, "/orders/events").await;
    assert_eq!((&end["outcome"], &end["decision"]["reason"]), (&"error".into(), &"gateway-stopping".into()));
    let all = gateway.audit(&[]);
    let stopped = all.iter().find(|record| record["event"] == "gateway.stop").unwrap();
    assert!(end["index"].as_u64() < stopped["index"].as_u64());
}

#[tokio::test]
async fn no_byte_of_a_stream_leaves_while_its_access_cannot_be_recorded() {
    let upstream = Streaming::start().await;
    let gateway = serve_with("unrecorded-streams", upstream.port, "", "");
    let bea = gateway.person("billing", &[]);
    let token = tokens(&gateway, &bea).await.access;
    let mut open = Open::new(&gateway, &token, "/orders/events").await;
    if !limit_files(&gateway, "0") {
        println!("skipped: prlimit is not there or not allowed");
        return;
    }
    let refused = Call::get("/orders/long").bearer(&token).to(&gateway).await;
    assert_eq!(refused.status, 503, "{}", refused.text());
    // The end of one that was open is recorded once the disk takes it.
    open.body.frame().await.unwrap().unwrap();
    drop(open);
    tokio::time::sleep(Duration::from_millis(300)).await;
    assert!(limit_files(&gateway, "unlimited"));
    assert_eq!(end_of(&gateway, "/orders/events").await["decision"]["reason"], "client-gone");
}

#[tokio::test]
async fn g16_a_stream_ends_with_the_trust_in_the_issuer_whose_token_opened_it() {
    let upstream = Streaming::start().await;
    let scratch = Scratch::new("streams-issuer");
    let key = SigningKey::generate(Algorithm::ES256).unwrap();
    let keys: KeySet = [key.verifying_key().clone()].into_iter().collect();
    scratch.write("keys.jwks", serde_json::to_string(&keys).unwrap());
    let route = format!(
        "[[route]]\nname = \"orders\"\nkind = \"http\"\npath = \"/orders\"\nupstream = \"http://127.0.0.1:{}/api\"\n\
         [[route.allow]]\nmethods = [\"GET\"]\npath = \"/orders/{{id}}\"\nscope = \"orders.read\"\n",
        upstream.port
    );
    let issuer = "https://login.example.org";
    let trust = format!(
        "[[trusted_issuer]]\nissuer = \"{issuer}\"\njwks_file = \"keys.jwks\"\naudiences = [\"orders\"]\n"
    );
    let gateway = serve_in(scratch, "", &format!("{route}{trust}"), SCOPE);
    let now = std::time::UNIX_EPOCH.elapsed().unwrap().as_secs();
    let claims = serde_json::json!({
        "iss": issuer, "sub": "bea", "aud": "orders", "iat": now, "exp": now.saturating_add(600), "jti": "s-1",
        "client_id": "till", "scope": "orders.read", "roles": ["billing"],
    });
    let token = jws::sign(&key, "at+jwt", &claims).unwrap();
    let mut open = Open::new(&gateway, &token, "/orders/events").await;
    let file = gateway.folder().join("chartgate.toml");
    let before = std::fs::read_to_string(&file).unwrap();
    std::fs::write(&file, before.replace(&trust, "")).unwrap();
    gateway.hang_up();
    open.until_broken_off().await;
    let end = end_of(&gateway, "/orders/events").await;
    assert_eq!(end["decision"]["reason"], "key-withdrawn");
    assert_eq!(Call::get("/orders/events").bearer(&token).to(&gateway).await.status, 401);
}
