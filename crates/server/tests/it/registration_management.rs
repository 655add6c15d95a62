//! A client reads, changes and ends its own registration (RFC 7592); row O25 of the corpus again, for the sibling paths.

use std::net::Ipv4Addr;
use std::time::{Duration, Instant};

use chartgate_protocol::jose::{Algorithm, KeySet, SigningKey};
use serde_json::{Value, json};

use crate::browser::{App, Browser, CALLBACK, Tokens};
use crate::dynamic_registration::{
    INVITED, OPEN, SCOPE, app, clients, invite, metadata, reconfigure, records, register, registered, serve,
    shown, text,
};
use crate::fakes::upstream::Upstream;
use crate::faults::limit_files;
use crate::gateway::Gateway;
use crate::parallel::{FIFTY, at_once};
use crate::wire::{Answer, Call, Connection, encode};

fn path(told: &Value) -> String {
    format!("/register/{}", text(told, "client_id"))
}

fn read(told: &Value) -> Call {
    Call::get(&path(told)).bearer(text(told, "registration_access_token"))
}

fn remove(told: &Value) -> Call {
    Call::new("DELETE", &path(told)).bearer(text(told, "registration_access_token"))
}

/// A change to what [`register`] says, with some members changed or left out.
fn change(told: &Value, changes: &Value) -> Call {
    let mut body = metadata(changes);
    let members = body.as_object_mut().unwrap();
    members.entry("client_id").or_insert_with(|| told["client_id"].clone());
    Call::new("PUT", &path(told))
        .bearer(text(told, "registration_access_token"))
        .body("application/json", body.to_string())
}

fn changed(answer: &Answer) -> Value {
    assert_eq!(answer.status, 200, "{}", answer.text());
    assert_eq!(answer.header("cache-control"), "no-store");
    answer.json()
}

async fn opens(gateway: &Gateway, access: &str) -> bool {
    match Call::get("/orders/1").bearer(access).to(gateway).await.status {
        200 => true,
        401 => false,
        other => panic!("{other}"),
    }
}

#[tokio::test]
async fn a_client_reads_what_it_is_and_nobody_else_does() {
    let gateway = serve("dcrm-read", OPEN, 9);
    let told = registered(&register(&json!({})).to(&gateway).await);
    let other = registered(&register(&json!({})).to(&gateway).await);
    let answer = read(&told).to(&gateway).await;
    assert_eq!((answer.status, answer.header("cache-control")), (200, "no-store"));
    assert_eq!(answer.json(), told, "a public client was told it all");
    let token = text(&told, "registration_access_token");
    let nobody = "/register/dyn-00000000000000000000000000000000";
    let mut answers = Vec::new();
    for (call, what) in [
        (Call::get(&path(&told)), "no token"),
        (Call::get(&path(&told)).bearer("x"), "another"),
        (Call::get(&path(&told)).bearer(text(&other, "registration_access_token")), "another client's"),
        (Call::get(&path(&told)).basic(text(&told, "client_id"), token), "another scheme"),
        (Call::get(&format!("{}?access_token={token}", path(&told))), "in the address"),
        (Call::get(nobody).bearer(token), "no such client"),
        (Call::get("/register/till").bearer(token), "a client of an operator's"),
        (Call::get("/register/%20").bearer(token), "no name"),
        (Call::new("DELETE", &path(&told)).bearer("x"), "to remove it"),
        (Call::new("PUT", &path(&told)).bearer("x").body("application/json", "{}"), "to change it"),
    ] {
        let answer = call.to(&gateway).await;
        assert_eq!(answer.status, 401, "{what}: {}", answer.text());
        assert!(answer.header("www-authenticate").starts_with("Bearer"), "{what}");
        answers.push(answer.without_date());
    }
    assert!(
        answers.iter().all(|answer| *answer == answers[0]),
        "nobody can tell whether there is such a client"
    );
    let read = records(&gateway, "client.read");
    let of = |outcome: &str| read.iter().filter(|record| record["outcome"] == outcome).count();
    assert_eq!((of("allow"), of("deny")), (1, 8));
    assert_eq!(read[0]["actor"]["client_id"], told["client_id"]);
    let log = format!("{:?}", gateway.audit(&[]));
    assert!(!log.contains(token));
}

#[tokio::test]
async fn o25_a_change_is_judged_by_what_comes_of_it_as_a_registration_is() {
    let gateway = serve("dcrm-o25", OPEN, 9);
    let told = registered(&register(&json!({})).to(&gateway).await);
    let before = shown(&gateway, text(&told, "client_id"));
    let other = registered(&register(&json!({})).to(&gateway).await);
    for (changes, code) in [
        (json!({ "scope": "system/*.rs" }), "invalid_client_metadata"),
        (json!({ "token_endpoint_auth_method": "client_secret_basic" }), "invalid_client_metadata"),
        (json!({ "grant_types": ["client_credentials"], "response_types": [] }), "invalid_client_metadata"),
        (json!({ "grant_types": ["authorization_code", "client_credentials"] }), "invalid_client_metadata"),
        (json!({ "redirect_uris": ["https://evil.example/cb"] }), "invalid_redirect_uri"),
        (json!({ "redirect_uris": null }), "invalid_redirect_uri"),
        (json!({ "client_id": other["client_id"] }), "invalid_client_metadata"),
        (json!({ "client_id": "till" }), "invalid_client_metadata"),
        (json!({ "client_id": "" }), "invalid_client_metadata"),
        (json!({ "client_secret": "mine" }), "invalid_client_metadata"),
        (json!({ "client_secret_expires_at": 0 }), "invalid_client_metadata"),
        (json!({ "client_id_issued_at": 1 }), "invalid_client_metadata"),
        (
            json!({ "registration_access_token": told["registration_access_token"] }),
            "invalid_client_metadata",
        ),
        (json!({ "registration_client_uri": told["registration_client_uri"] }), "invalid_client_metadata"),
        (json!({ "software_statement": "eyJhbGciOiJub25lIn0.e30.c2ln" }), "unapproved_software_statement"),
    ] {
        let answer = change(&told, &changes).to(&gateway).await;
        assert_eq!((answer.status, answer.error().as_str()), (400, code), "{changes}: {}", answer.text());
    }
    let text_of = shown(&gateway, text(&told, "client_id"));
    assert_eq!(text_of, before, "nothing was changed");
    let refused = records(&gateway, "client.change");
    assert!(refused.iter().all(|r| r["outcome"] == "deny") && refused.len() == 15);
    // What is left out is gone, what nobody can say from outside says nothing, and the token is another.
    let asked = json!({ "client_name": null, "scope": "openid orders.read admin", "roles": ["admin"], "consent": "never",
        "grant_types": ["authorization_code"], "redirect_uris": ["https://app.example.org/cb"] });
    let new = changed(&change(&told, &asked).to(&gateway).await);
    assert_eq!((&new["scope"], new.get("client_name")), (&json!("openid orders.read"), None));
    assert_eq!(new["redirect_uris"], json!(["https://app.example.org/cb"]));
    assert_ne!(new["registration_access_token"], told["registration_access_token"]);
    assert_eq!(new["client_id_issued_at"], told["client_id_issued_at"]);
    assert_eq!(read(&told).to(&gateway).await.status, 401, "the token before");
    assert_eq!(read(&new).to(&gateway).await.json(), new);
    let kept = shown(&gateway, text(&new, "client_id"));
    assert_eq!((&kept["roles"], &kept["consent"]), (&json!([]), &json!("ask")));
    // What the policy is now counts, not what it was.
    reconfigure(&gateway, |text| text.replace("\"loopback\", ", "")).await;
    let answer = change(&new, &json!({})).to(&gateway).await;
    assert_eq!(answer.error(), "invalid_redirect_uri", "loopback is for nobody any more");
    reconfigure(&gateway, |text| text.replace("dynamic = \"open\"", "dynamic = \"invited\"")).await;
    let closed = change(&new, &json!({ "redirect_uris": ["https://app.example.org/cb"] })).to(&gateway).await;
    assert_eq!(closed.status, 403);
    assert_eq!(read(&new).to(&gateway).await.status, 200);
    assert_eq!(remove(&new).to(&gateway).await.status, 204);
}

#[tokio::test]
async fn o25_the_invitation_counts_for_changes_too() {
    let gateway = serve("dcrm-invited", INVITED, 9);
    let words = ["--scope", "openid", "--redirect-host", "loopback", "--auth-method", "client_secret_basic"];
    let invitation = invite(&gateway, &[&words[..], &["--auth-method", "private_key_jwt"]].concat());
    let key = SigningKey::generate(Algorithm::ES256).unwrap();
    let keys = json!(KeySet::from_iter([key.verifying_key().clone()]));
    let basic = json!({ "token_endpoint_auth_method": "client_secret_basic" });
    let call = register(&basic).bearer(text(&invitation, "initial_access_token"));
    let told = registered(&call.to(&gateway).await);
    let secret = text(&told, "client_secret").to_owned();
    for changes in [
        json!({ "scope": "orders.read" }),
        json!({ "token_endpoint_auth_method": "none" }),
        json!({ "redirect_uris": ["https://app.example.org/cb"] }),
        json!({ "client_secret": format!("{secret}x"), "token_endpoint_auth_method": "client_secret_basic" }),
    ] {
        let answer = change(&told, &changes).to(&gateway).await;
        assert_eq!(answer.status, 400, "{changes}: {}", answer.text());
    }
    // Its own secret may be said; it stays, and is not shown again.
    let mut said = basic.clone();
    said.as_object_mut().unwrap().insert("client_secret".to_owned(), json!(secret));
    let same = changed(&change(&told, &said).to(&gateway).await);
    assert!(same.get("client_secret").is_none());
    let check = |secret: &str| {
        let introspect = Call::form("/introspect", &[("token", "x")]).basic(text(&told, "client_id"), secret);
        introspect.to(&gateway)
    };
    assert_eq!(check(&secret).await.status, 200);
    let by_key = json!({ "token_endpoint_auth_method": "private_key_jwt", "jwks": keys });
    let by_key = changed(&change(&same, &by_key).to(&gateway).await);
    assert_eq!(check(&secret).await.status, 401, "it has a key now");
    let again = changed(&change(&by_key, &basic).to(&gateway).await);
    let fresh = text(&again, "client_secret");
    assert_eq!(again["client_secret_expires_at"], 0);
    assert_eq!((check(&secret).await.status, check(fresh).await.status), (401, 200), "a new one");
}

#[tokio::test]
async fn what_a_change_takes_away_is_gone_at_once() {
    let upstream = Upstream::start().await;
    let gateway = serve("dcrm-less", OPEN, upstream.port);
    let bea = gateway.person("billing", &[]);
    let two = json!({ "redirect_uris": [CALLBACK, "https://app.example.org/cb"] });
    let told = registered(&register(&two).to(&gateway).await);
    let client = app(&told);
    let tokens = client.tokens(&gateway, &bea).await;
    let waiting = client.code(&gateway, &bea).await;
    let mut browser = Browser::default();
    let request = client.request(&gateway);
    let fields: Vec<(&str, &str)> = request.iter().map(|(name, value)| (*name, value.as_str())).collect();
    let page = browser.follow(&gateway, &format!("/authorize?{}", encode(&fields))).await;
    assert!(opens(&gateway, &tokens.access).await);

    // A scope and the redirect URI that a code and a page wait for.
    let less = json!({ "scope": "openid offline_access", "redirect_uris": ["https://app.example.org/cb"] });
    let told = changed(&change(&told, &less).to(&gateway).await);
    assert!(!opens(&gateway, &tokens.access).await, "what was issued before");
    assert_eq!(client.exchange_call(&waiting).to(&gateway).await.error(), "invalid_grant");
    let filled = [("username", bea.name.as_str()), ("password", bea.password.as_str())];
    let page = browser.submit(&gateway, &page, &filled).await;
    assert_eq!(page.status, 400, "{}", page.text());
    let narrowed = Tokens::of(&client.refresh_call(tokens.refresh()).to(&gateway).await);
    assert_eq!(narrowed.answer["scope"], "offline_access openid");

    // A grant.
    let without = json!({ "grant_types": ["authorization_code"], "redirect_uris": [CALLBACK] });
    let told = changed(&change(&told, &without).to(&gateway).await);
    let refused = client.refresh_call(narrowed.refresh()).to(&gateway).await;
    assert_eq!(refused.status, 400, "{}", refused.text());
    let back = changed(&change(&told, &json!({})).to(&gateway).await);
    let wide = App { client: text(&back, "client_id"), ..app(&back) }.tokens(&gateway, &bea).await;
    assert_eq!(wide.answer["scope"], SCOPE);
    // A change of nothing that hangs together with tokens cuts none.
    let renamed = changed(&change(&back, &json!({ "client_name": "Nicer" })).to(&gateway).await);
    assert!(opens(&gateway, &wide.access).await);
    assert_eq!(renamed["client_name"], "Nicer");
}

#[tokio::test]
async fn a_client_that_ends_its_registration_holds_nothing_from_then_on_and_leaves_its_name_to_nobody() {
    let upstream = Upstream::start().await;
    let gateway = serve("dcrm-end", OPEN, upstream.port);
    let bea = gateway.person("billing", &[]);
    let told = registered(&register(&json!({})).to(&gateway).await);
    let (id, client) = (text(&told, "client_id"), app(&told));
    let tokens = client.tokens(&gateway, &bea).await;
    assert!(opens(&gateway, &tokens.access).await);
    let answer = remove(&told).to(&gateway).await;
    assert_eq!((answer.status, answer.body.len()), (204, 0));
    assert!(!opens(&gateway, &tokens.access).await);
    assert_eq!(client.refresh_call(tokens.refresh()).to(&gateway).await.error(), "invalid_client");
    for call in [read(&told), remove(&told), change(&told, &json!({}))] {
        assert_eq!(call.to(&gateway).await.status, 401);
    }
    assert!(!clients(&gateway).contains(id));
    let taken = ["client", "add", id, "--kind", "public", "--redirect-uri", CALLBACK, "--scope", "openid"];
    assert!(!gateway.try_command(&taken).success);
    let removed = records(&gateway, "client.remove");
    let removed: Vec<_> = removed.iter().filter(|record| record["outcome"] == "allow").collect();
    assert_eq!((removed.len(), &removed[0]["actor"]["client_id"]), (1, &json!(id)));
    // An operator does it by the same way.
    let told = registered(&register(&json!({})).to(&gateway).await);
    let tokens = app(&told).tokens(&gateway, &bea).await;
    gateway.command(&["client", "remove", text(&told, "client_id")]);
    assert!(!opens(&gateway, &tokens.access).await);
    assert_eq!(read(&told).to(&gateway).await.status, 401);
}

#[tokio::test]
async fn of_a_client_that_ends_itself_before_anybody_used_it_its_name_alone_is_kept() {
    let gateway = serve("dcrm-nothing", OPEN, 9);
    let told = registered(&register(&json!({})).to(&gateway).await);
    let id = text(&told, "client_id");
    let next = changed(&change(&told, &json!({ "client_name": "Nicer" })).to(&gateway).await);
    assert_eq!(remove(&told).to(&gateway).await.status, 401, "its token was replaced");
    assert!(clients(&gateway).contains(id));
    assert_eq!(remove(&next).to(&gateway).await.status, 204);
    let database = rusqlite::Connection::open(gateway.folder().join("data/chartgate.db")).unwrap();
    for table in ["clients", "registrations"] {
        let text = format!("SELECT COUNT(*) FROM {table} WHERE client_id = ?1");
        let kept: i64 = database.query_row(&text, [id], |row| row.get(0)).unwrap();
        assert_eq!(kept, 0, "{table}");
    }
    let taken = ["client", "add", id, "--kind", "public", "--redirect-uri", CALLBACK, "--scope", "openid"];
    assert!(!gateway.try_command(&taken).success, "a name is given once");
}

#[tokio::test]
async fn what_strangers_register_is_short_and_seldom_changed() {
    let gateway = serve("dcrm-little", OPEN, 9);
    let long = json!({ "unheard_of": "x".repeat(17_000) });
    let refused = register(&long).to(&gateway).await;
    assert_eq!((refused.status, refused.error().as_str()), (400, "invalid_client_metadata"));
    assert!(refused.text().contains("more than 16384 bytes"), "{}", refused.text());
    let mut told = registered(&register(&json!({})).to(&gateway).await);
    let mut connection = Connection::open_from(&gateway, Ipv4Addr::new(127, 7, 7, 12)).await;
    for number in 0..110 {
        let name = json!({ "client_name": format!("Number {number}") });
        let answer = connection.send(change(&told, &name)).await;
        if answer.status == 429 {
            return;
        }
        told = changed(&answer);
    }
    panic!("a stranger may change a registration without end");
}

#[tokio::test]
async fn o25_of_fifty_changes_at_once_with_one_token_one_is_made() {
    let gateway = serve("dcrm-fifty", OPEN, 9);
    let told = registered(&register(&json!({})).to(&gateway).await);
    let name = |number: usize| json!({ "client_name": format!("Number {number}") });
    let answers = at_once(&gateway, FIFTY, |number| change(&told, &name(number))).await;
    let made: Vec<&Answer> = answers.iter().filter(|answer| answer.status == 200).collect();
    assert_eq!(made.len(), 1);
    assert!(answers.iter().all(|answer| matches!(answer.status, 200 | 401)));
    tokio::time::sleep(Duration::from_millis(10)).await;
    assert_eq!(read(&made[0].json()).to(&gateway).await.json(), made[0].json());
}

#[tokio::test]
async fn o10_a_change_that_races_with_issuing_leaves_no_token_what_it_took() {
    let upstream = Upstream::start().await;
    let gateway = serve("dcrm-race", OPEN, upstream.port);
    let bea = gateway.person("billing", &[]);
    let mut told = registered(&register(&json!({})).to(&gateway).await);
    let less = json!({ "scope": "openid offline_access" });
    for round in 0..3 {
        let (mut browser, client) = (Browser::default(), app(&told));
        let mut calls = Vec::new();
        for _ in 0..12 {
            let redirect = client.authorize(&gateway, &mut browser, &bea).await;
            calls.push(client.exchange_call(&redirect.get("code").unwrap()));
        }
        let place = [0, 4, 12][round];
        calls.insert(place, change(&told, &less));
        let answers = at_once(&gateway, calls.len(), |number| calls[number].clone()).await;
        let narrowed = changed(&answers[place]);
        let issued =
            answers.iter().enumerate().filter(|(number, answer)| *number != place && answer.status == 200);
        for (_, answer) in issued {
            let tokens = answer.json();
            let wide = text(&tokens, "scope").contains("orders.read");
            assert!(!(wide && opens(&gateway, text(&tokens, "access_token")).await), "{tokens}");
        }
        told = changed(&change(&narrowed, &json!({})).to(&gateway).await);
    }
}

#[tokio::test]
async fn a_client_is_not_removed_unless_that_can_be_recorded() {
    let gateway = serve("dcrm-unrecorded", OPEN, 9);
    let told = registered(&register(&json!({})).to(&gateway).await);
    // The log is further than what a removal writes to the store, which begins again.
    let stranger = Call::get("/register/nobody").bearer("bad");
    for _ in 0..400 {
        assert_eq!(stranger.clone().to(&gateway).await.status, 401);
    }
    let database = rusqlite::Connection::open(gateway.folder().join("data/chartgate.db")).unwrap();
    database.busy_timeout(Duration::from_secs(5)).unwrap();
    database.query_row("PRAGMA wal_checkpoint(TRUNCATE)", [], |_| Ok(())).unwrap();
    if !limit_files(&gateway, "98304") {
        println!("skipped: prlimit is not there or not allowed");
        return;
    }
    let answer = remove(&told).to(&gateway).await;
    assert_eq!((answer.status, answer.error().as_str()), (503, "temporarily_unavailable"));
    assert!(limit_files(&gateway, "unlimited"));
    assert!(clients(&gateway).contains(text(&told, "client_id")), "nobody could have it recorded any more");
}

#[tokio::test]
async fn while_the_log_cannot_be_written_nobody_is_registered_told_or_changed() {
    let gateway = serve("dcrm-unwritable", OPEN, 9);
    let told = registered(&register(&json!({})).to(&gateway).await);
    let before = clients(&gateway);
    if !limit_files(&gateway, "0") {
        println!("skipped: prlimit is not there or not allowed");
        return;
    }
    let change = change(&told, &json!({ "scope": "openid" }));
    for call in [register(&json!({})), read(&told), change, remove(&told)] {
        let answer = call.to(&gateway).await;
        assert_eq!((answer.status, answer.error().as_str()), (503, "temporarily_unavailable"));
        assert!(!answer.text().contains("dyn-"), "{}", answer.text());
    }
    let refused = register(&json!({ "redirect_uris": ["javascript:x"] })).to(&gateway).await;
    assert_eq!(refused.status, 503, "a refusal is not recorded either");
    assert!(limit_files(&gateway, "unlimited"));
    let begun = Instant::now();
    loop {
        let answer = read(&told).to(&gateway).await;
        if answer.status == 200 {
            assert_eq!(answer.json(), told, "with the token that it had");
            break;
        }
        assert!(begun.elapsed() < Duration::from_secs(60), "it does not recover");
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    assert_eq!(clients(&gateway), before);
    registered(&register(&json!({})).to(&gateway).await);
}
