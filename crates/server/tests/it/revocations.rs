//! The feed of cut-offs: who may follow it, and what followers get.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use chartgate_protocol::jose::{Algorithm, KeySet, SigningKey, jws};
use serde_json::{Value, json};

use crate::browser::{App, Tokens, USER_SCOPE, part};
use crate::faults::until_recorded;
use crate::gateway::Gateway;
use crate::shared;
use crate::wire::{Answer, Call, Connection};

const SCOPE: &str = "revocations:read";

/// A client that acts for itself, with these scopes; a token of it for these.
pub(crate) async fn workload(gateway: &Gateway, id: &str, registered: &str, asked: &str) -> (String, String) {
    let words = ["client", "add", id, "--kind", "backend", "--scope", registered];
    let shown: Value = serde_json::from_str(&gateway.command(&words)).unwrap();
    let secret = shown["client_secret"].as_str().unwrap().to_owned();
    let token = token(gateway, id, &secret, asked).await;
    (secret, token)
}

async fn token(gateway: &Gateway, id: &str, secret: &str, scope: &str) -> String {
    let form = [("grant_type", "client_credentials"), ("scope", scope)];
    let answer = Call::form("/token", &form).basic(id, secret).to(gateway).await.json();
    answer["access_token"].as_str().unwrap_or_else(|| panic!("{answer}")).to_owned()
}

fn ask(token: &str, query: &str) -> Call {
    Call::get(&format!("/revocations{query}")).bearer(token)
}

/// What a feed says, its signature verified by the published keys.
async fn read(gateway: &Gateway, answer: &Answer) -> Value {
    assert_eq!(answer.status, 200, "{}", answer.text());
    assert_eq!(answer.header("content-type"), "application/revocations+jwt");
    assert_eq!(answer.header("cache-control"), "no-store");
    let header = part(answer.text(), 0);
    assert_eq!(header["typ"], "revocations+jwt");
    let jwks = Call::get("/jwks").to(gateway).await;
    let keys = KeySet::parse(jwks.text().as_bytes()).unwrap();
    let token = jws::Unverified::parse(answer.text(), &Algorithm::ALL, 1 << 20).unwrap();
    let verified = token.verify_with(&keys, jws::ExpectedType::Exactly("revocations+jwt")).unwrap();
    serde_json::from_slice(verified.payload()).unwrap()
}

fn names(feed: &Value, claim: &str) -> Vec<String> {
    let cut_offs = feed["cut_offs"].as_array().unwrap().iter();
    let of_claim = cut_offs.filter(|cut_off| cut_off["claim"] == claim);
    of_claim.map(|cut_off| cut_off["value"].as_str().unwrap().to_owned()).collect()
}

#[tokio::test]
async fn a_follower_gets_everything_then_what_is_new_and_each_cut_off_by_the_claim_that_it_cuts() {
    let gateway = Gateway::demo("feed", &[]);
    let (_, follower) = workload(&gateway, "lab", SCOPE, SCOPE).await;
    let first = read(&gateway, &ask(&follower, "").to(&gateway).await).await;
    assert_eq!((&first["reset"], &first["cut_offs"]), (&json!(true), &json!([])));
    assert_eq!(first["iss"], gateway.issuer.as_str());
    let after = |feed: &Value, more: &str| format!("?after={}{more}", feed["position"].as_str().unwrap());

    let app = App::web(&gateway, USER_SCOPE);
    let web = App::public(USER_SCOPE);
    let of = |name: &'static str| web.tokens(&gateway, Box::leak(Box::new(gateway.demo_person(name))));
    let [dana, nils, bea] = [of("dana").await, of("nils").await, of("bea").await];
    let exchanged: Tokens = app.tokens(&gateway, &gateway.demo_person("dana")).await;
    gateway.command(&["session", "end", &nils.session()]);
    gateway.command(&["token", "revoke", &bea.jti()]);
    app.call("/revoke", &[("token", exchanged.refresh())]).to(&gateway).await;
    gateway.command(&["user", "disable", "dana"]);
    gateway.command(&["client", "remove", "demo-app"]);
    let news = read(&gateway, &ask(&follower, &after(&first, "&wait=30")).to(&gateway).await).await;
    assert_eq!(news["reset"], false);
    assert_eq!(names(&news, "sid")[0], nils.session());
    assert!(names(&news, "jti").contains(&bea.jti()));
    assert_eq!(names(&news, "grant_id"), [exchanged.claims()["grant_id"].as_str().unwrap()]);
    assert_eq!(
        (names(&news, "sub"), names(&news, "client_id")),
        (vec!["dana".into()], vec!["demo-app".into()])
    );
    let of_dana =
        news["cut_offs"].as_array().unwrap().iter().find(|cut_off| cut_off["claim"] == "sub").unwrap();
    let until = of_dana["issued_until"].as_i64().unwrap();
    assert!(
        until >= dana.claims()["iat"].as_i64().unwrap()
            && of_dana["forget_at"].as_i64().unwrap() > until + 3599
    );

    // A key; the feed is signed by the one that was published for this.
    let kid = part(&dana.access, 0)["kid"].as_str().unwrap().to_owned();
    gateway.command(&["key", "rotate", "--emergency"]);
    let refused = ask(&follower, &after(&news, "")).to(&gateway).await;
    assert_eq!(refused.status, 401, "the follower's own token ended with the key");
    let secret: Value = serde_json::from_str(&gateway.command(&["client", "rotate-secret", "lab"])).unwrap();
    let follower = token(&gateway, "lab", secret["client_secret"].as_str().unwrap(), SCOPE).await;
    let last = read(&gateway, &ask(&follower, &after(&news, "")).to(&gateway).await).await;
    assert_eq!(names(&last, "kid"), [kid.as_str()]);
    assert!(last["cut_offs"][0].get("issued_until").is_none(), "a key is cut for good");

    // Nothing new: at once, and the same position.
    let same = read(&gateway, &ask(&follower, &after(&last, "")).to(&gateway).await).await;
    assert_eq!(
        (&same["position"], &same["reset"], &same["cut_offs"]),
        (&last["position"], &json!(false), &json!([]))
    );
    // A position that is not known gets everything, once each.
    for unknown in ["?after=nothing", "?after=other.3", "?after=", ""] {
        let all = read(&gateway, &ask(&follower, unknown).to(&gateway).await).await;
        assert_eq!(all["reset"], true, "{unknown}");
        assert_eq!(all["position"], last["position"]);
        assert!(all["cut_offs"].as_array().unwrap().len() >= 6);
        assert_eq!(names(&all, "sub"), ["dana"]);
    }
    let told = until_recorded(&gateway, "revocations.read", 3).await;
    assert!(told.iter().all(|record| record["actor"]["client_id"] == "lab" && record["outcome"] == "allow"));
}

#[tokio::test]
async fn after_a_restart_a_follower_gets_everything_anew() {
    let mut gateway = Gateway::demo("feed-restart", &[]);
    let (_, follower) = workload(&gateway, "lab", SCOPE, SCOPE).await;
    let tokens = App::public(USER_SCOPE).tokens(&gateway, &gateway.demo_person("dana")).await;
    gateway.command(&["token", "revoke", &tokens.jti()]);
    let first = read(&gateway, &ask(&follower, "").to(&gateway).await).await;
    gateway.kill_and_restart();
    let query = format!("?after={}&wait=30", first["position"].as_str().unwrap());
    let anew = read(&gateway, &ask(&follower, &query).to(&gateway).await).await;
    assert_eq!(anew["reset"], true);
    assert_eq!(names(&anew, "jti"), [tokens.jti()]);
}

#[tokio::test]
async fn one_client_keeps_a_quarter_of_the_places_and_without_waiting_everybody_is_told() {
    let gateway = &Gateway::demo("followers", &[]);
    let (_, greedy) = workload(gateway, "greedy", SCOPE, SCOPE).await;
    let (_, other) = workload(gateway, "other", SCOPE, SCOPE).await;
    let first = read(gateway, &ask(&greedy, "").to(gateway).await).await;
    let after = |more: &str| format!("?after={}{more}", first["position"].as_str().unwrap());
    let long = after("&wait=30");
    let refused = AtomicUsize::new(0);
    let waiting = futures_util::future::join_all((0..140).map(|_| async {
        let answer = ask(&greedy, &long).to(gateway).await;
        if answer.status == 503 {
            assert_eq!(answer.header("retry-after"), "1");
            refused.fetch_add(1, Ordering::Relaxed);
        }
        answer.status
    }));
    let others = async {
        let begun = Instant::now();
        while refused.load(Ordering::Relaxed) < 140 - 128 {
            assert!(begun.elapsed() < Duration::from_secs(20), "nobody is refused");
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        assert_eq!(ask(&greedy, &after("&wait=1")).to(gateway).await.status, 503);
        assert_eq!(ask(&greedy, &after("")).to(gateway).await.status, 200);
        assert_eq!(ask(&other, &after("&wait=1")).to(gateway).await.status, 200);
        gateway.command(&["user", "disable", "remy"]);
    };
    let (answers, ()) = tokio::join!(waiting, others);
    let told = answers.iter().filter(|status| **status == 200).count();
    assert_eq!((told, refused.into_inner()), (128, 12), "those who waited have their news");
}

#[tokio::test]
async fn only_a_client_for_itself_with_the_scope_and_a_token_for_us_may_follow() {
    let gateway = shared::demo();
    let (_, with) = workload(gateway, "follower", "revocations:read system/*.rs", SCOPE).await;
    let (_, without) = workload(gateway, "no-follower", "system/*.rs lab.read", "lab.read").await;
    assert_eq!(ask(&with, "").to(gateway).await.status, 200);
    let refused = ask(&without, "").to(gateway).await;
    assert_eq!(refused.status, 403);
    assert!(refused.header("www-authenticate").contains("insufficient_scope"));
    // The same scope in a person's hands, however the client came by it.
    let words =
        ["client", "add", "cunning", "--kind", "confidential", "--redirect-uri", "http://127.0.0.1/callback"];
    let shown = gateway.command(&[&words[..], &["--scope", "openid revocations:read"]].concat());
    let shown: Value = serde_json::from_str(&shown).unwrap();
    let app = App {
        client: "cunning",
        secret: shown["client_secret"].as_str(),
        scope: "openid revocations:read",
        patient: None,
        route: "",
    };
    let persons = app.tokens(gateway, &gateway.demo_person("dana")).await;
    assert_eq!(persons.claims()["scope"], "openid revocations:read");
    let status = ask(&persons.access, "").to(gateway).await.status;
    assert!(status == 403 || status == 401, "{status}");
    let key = SigningKey::generate(Algorithm::RS256).unwrap();
    let forged = jws::sign(&key, "at+jwt", &part(&with, 1)).unwrap();
    assert_eq!(ask(&forged, "").to(gateway).await.status, 401);
    assert_eq!(Call::get("/revocations").to(gateway).await.status, 401);
    let twice = ask(&with, "?after=a&after=b").to(gateway).await;
    assert_eq!((twice.status, twice.error().as_str()), (400, "invalid_request"));
    assert_eq!(ask(&with, "?wait=soon").to(gateway).await.error(), "invalid_request");
    let denied = gateway.audit(&["--client", "no-follower", "--outcome", "deny"]);
    assert!(denied.iter().any(|record| record["event"] == "revocations.read"), "{denied:?}");
}

#[tokio::test]
async fn who_waits_hears_at_once_of_its_own_end_too_and_does_not_hold_up_a_gateway_that_stops() {
    let mut gateway = Gateway::demo("feed-wait", &[]);
    let (_, follower) = workload(&gateway, "lab", SCOPE, SCOPE).await;
    let first = read(&gateway, &ask(&follower, "").to(&gateway).await).await;
    let query = format!("?after={}&wait=60", first["position"].as_str().unwrap());
    let tokens = App::public(USER_SCOPE).tokens(&gateway, &gateway.demo_person("dana")).await;
    let waiting = |connection: Connection| {
        let call = ask(&follower, &query);
        tokio::spawn(async move {
            let mut connection = connection;
            connection.try_send(call).await
        })
    };
    let heard = waiting(Connection::open(&gateway).await);
    tokio::time::sleep(Duration::from_millis(300)).await;
    assert!(!heard.is_finished(), "there is nothing new");
    gateway.command(&["token", "revoke", &tokens.jti()]);
    let news =
        tokio::time::timeout(Duration::from_secs(20), heard).await.expect("it still waits").unwrap().unwrap();
    let news = read(&gateway, &news).await;
    assert_eq!((names(&news, "jti"), &news["reset"]), (vec![tokens.jti()], &json!(false)));

    let query = format!("?after={}&wait=60", news["position"].as_str().unwrap());
    let call = ask(&follower, &query);
    let mut connection = Connection::open(&gateway).await;
    let ended = tokio::spawn(async move { connection.try_send(call).await });
    tokio::time::sleep(Duration::from_millis(300)).await;
    gateway.command(&["client", "remove", "lab"]);
    let ended = tokio::time::timeout(Duration::from_secs(20), ended).await.expect("it still waits").unwrap();
    assert_eq!(ended.unwrap().status, 401);

    let (_, other) = workload(&gateway, "other", SCOPE, SCOPE).await;
    let query = format!(
        "?after={}&wait=60",
        read(&gateway, &ask(&other, "").to(&gateway).await).await["position"].as_str().unwrap()
    );
    let mut connection = Connection::open(&gateway).await;
    let call = ask(&other, &query);
    let held = tokio::spawn(async move { connection.try_send(call).await });
    tokio::time::sleep(Duration::from_millis(300)).await;
    let begun = Instant::now();
    gateway.terminate();
    assert!(begun.elapsed() < Duration::from_secs(20), "it was held up");
    assert_eq!(held.await.unwrap().unwrap().status, 200);
}
