//! Clients that say under their own address what they are (draft-ietf-oauth-client-id-metadata-document): rows O24 and O25
//! of the corpus.

use std::time::{Duration, Instant};

use chartgate_protocol::jose::{Algorithm, KeySet, SigningKey};
use http::StatusCode;
use serde_json::{Value, json};
use tokio::net::TcpListener;

use crate::browser::{App, Browser, CALLBACK, Tokens};
use crate::client_keys::OUT;
use crate::dynamic_registration::{clients, reconfigure, records};
use crate::fakes::secured::{Certificates, Document, Secured, certificates};
use crate::gateway::{Gateway, Scratch};
use crate::parallel::{FIFTY, at_once};
use crate::routes::serve_in;
use crate::wire::{Answer, Call, Connection, encode, fresh_address};

const SCOPE: &str = "openid offline_access orders.read";

/// A gateway that takes documents of `{host}`, and the server that has them.
async fn serve(name: &str, documents: &str, egress: &str) -> (Gateway, Secured) {
    let scratch = Scratch::new(name);
    certificates(scratch.path());
    let server = Secured::start(scratch.path(), Certificates::NotWanted).await;
    let documents = documents.replace("{host}", &host(&server));
    (serve_in(scratch, "", &format!("{documents}{egress}"), "openid"), server)
}

fn listed() -> String {
    format!("[registration]\ndocuments = [\"{{host}}\"]\nscope = \"{SCOPE}\"\n")
}

fn host(server: &Secured) -> String {
    format!("localhost:{}", server.port)
}

fn address(server: &Secured, path: &str) -> String {
    format!("https://{}{path}", host(server))
}

/// Publishes a document for a public client, with some members changed or, by `null`, left out.
fn publish(server: &Secured, path: &str, changes: &Value) {
    let mut document = json!({
        "client_id": address(server, path),
        "client_name": "Nice application",
        "redirect_uris": [CALLBACK],
        "grant_types": ["authorization_code", "refresh_token"],
        "token_endpoint_auth_method": "none",
    });
    let members = document.as_object_mut().unwrap();
    members.extend(changes.as_object().unwrap().clone());
    members.retain(|_, value| !value.is_null());
    put(server, path, StatusCode::OK, &[("content-type", "application/json")], document.to_string());
}

fn put(server: &Secured, path: &str, status: StatusCode, headers: &[(&'static str, &str)], body: String) {
    let headers = headers.iter().map(|(name, value)| (*name, (*value).to_owned())).collect();
    server.seen.lock().unwrap().documents.insert(path.to_owned(), Document { status, headers, body });
}

fn asked(server: &Secured, path: &str) -> usize {
    server.seen.lock().unwrap().documents_asked.iter().filter(|one| *one == path).count()
}

fn app(client: &str) -> App<'_> {
    App { client, secret: None, scope: SCOPE, patient: None, route: "/orders" }
}

fn start(gateway: &Gateway, client: &str) -> Call {
    let request = app(client).request(gateway);
    let mut fields: Vec<(&str, &str)> = request.iter().map(|(name, value)| (*name, value.as_str())).collect();
    fields.retain(|(name, _)| *name != "aud");
    Call::get(&format!("/authorize?{}", encode(&fields)))
}

/// Whether a client is one.
async fn is_known(gateway: &Gateway, client: &str) -> bool {
    let answer: Answer = start(gateway, client).to(gateway).await;
    match answer.status {
        303 => true,
        400 => {
            assert!(answer.text().contains("not registered here"), "{}", answer.text());
            false
        }
        other => panic!("{other}: {}", answer.text()),
    }
}

/// Whether a token is believed before a route; nobody answers behind it.
async fn opens(gateway: &Gateway, access: &str) -> bool {
    match Call::get("/orders/1").bearer(access).to(gateway).await.status {
        502 => true,
        401 => false,
        other => panic!("{other}"),
    }
}

/// As if so much time had passed since every document was fetched.
fn age(gateway: &Gateway, hours: i64) {
    let database = rusqlite::Connection::open(gateway.folder().join("data/chartgate.db")).unwrap();
    database.busy_timeout(Duration::from_secs(5)).unwrap();
    let text = "UPDATE client_documents SET fetched_at = fetched_at - ?1, fresh_until = fresh_until - ?1";
    assert!(database.execute(text, [hours.saturating_mul(3_600_000_000)]).unwrap() > 0);
}

fn added(gateway: &Gateway, event: &str, client: &str) -> Vec<Value> {
    let mut records = gateway.audit(&["--client", client]);
    records.retain(|record| record["event"] == event);
    records
}

fn open_orders() -> &'static str {
    "[[route]]\nname = \"orders\"\nkind = \"http\"\npath = \"/orders\"\nupstream = \"http://127.0.0.1:9\"\n\
     [[route.allow]]\nmethods = [\"GET\"]\npath = \"/orders/{id}\"\nscope = \"orders.read\"\nroles = [\"billing\"]\n"
}

#[tokio::test]
async fn who_says_under_its_address_what_it_is_needs_no_other_registration_and_gets_no_more_than_such_may() {
    let (gateway, server) = serve("cimd", &listed(), &format!("{OUT}{}", open_orders())).await;
    let metadata = Call::get("/.well-known/oauth-authorization-server").to(&gateway).await.json();
    assert_eq!(metadata["client_id_metadata_document_supported"], true);
    publish(&server, "/app", &json!({ "scope": format!("{SCOPE} orders.write system/*.rs") }));
    let id = address(&server, "/app");
    let (mut browser, bea) = (Browser::default(), gateway.person("billing", &[]));
    let page = browser.follow(&gateway, start(&gateway, &id).place().1).await;
    let filled = [("username", bea.name.as_str()), ("password", bea.password.as_str())];
    let page = browser.submit(&gateway, &page, &filled).await;
    assert!(page.text().contains("Nobody here has looked at this application"), "{}", page.text());
    assert!(page.text().contains(&format!("<strong>{}</strong>", host(&server))));
    assert!(!page.text().contains("Nice application"), "what anybody can call themselves");

    let wide = App { scope: "openid offline_access orders.read orders.write", ..app(&id) };
    let tokens = wide.tokens(&gateway, &bea).await;
    assert_eq!(tokens.answer["scope"], "offline_access openid orders.read");
    assert_eq!(tokens.claims()["client_id"], id.as_str());
    let again = Tokens::of(&wide.refresh_call(tokens.refresh()).to(&gateway).await);
    assert_eq!(asked(&server, "/app"), 1);
    let shown: Value =
        serde_json::from_str(&gateway.command(&["client", "show", &id, "--output", "json"])).unwrap();
    for (member, value) in [
        ("kind", json!("public")),
        ("scope", json!("offline_access openid orders.read")),
        ("consent", json!("ask")),
        ("roles", json!([])),
        ("permissions", json!([])),
    ] {
        assert_eq!(shown[member], value, "{member}");
    }
    let records = added(&gateway, "client.add", &id);
    assert_eq!((records.len(), &records[0]["detail"]["registered_by"]), (1, &json!("document")));
    for (member, value) in [
        ("auth_method", "none"),
        ("grant_types", "authorization_code refresh_token"),
        ("redirect_uris", CALLBACK),
    ] {
        assert_eq!(records[0]["detail"][member], value, "{member}");
    }

    // What an administrator removed is gone, whatever its document says.
    gateway.command(&["client", "remove", &id]);
    assert_eq!(Call::get("/userinfo").bearer(&again.access).to(&gateway).await.status, 401);
    assert!(!is_known(&gateway, &id).await);
    assert_eq!(wide.refresh_call(again.refresh()).to(&gateway).await.error(), "invalid_client");
    assert_eq!(asked(&server, "/app"), 1);
}

#[tokio::test]
async fn a_person_takes_away_what_a_client_has_that_is_called_by_its_address() {
    let (gateway, server) = serve("cimd-apps", &listed(), &format!("{OUT}{}", open_orders())).await;
    publish(&server, "/app", &json!({}));
    let (id, bea) = (address(&server, "/app"), gateway.person("billing", &[]));
    let words = ["client", "add", "keeper", "--kind", "public", "--redirect-uri", CALLBACK];
    gateway.command(&[&words[..], &["--scope", "openid account.apps"]].concat());
    let keeper = App { client: "keeper", scope: "openid account.apps", route: "", ..app("keeper") };
    let keeper = keeper.tokens(&gateway, &bea).await;
    let tokens = app(&id).tokens(&gateway, &bea).await;
    let take = |query: &str| {
        Call::new("DELETE", &format!("/account/api/apps{query}")).bearer(&keeper.access).to(&gateway)
    };
    let named = format!("?{}", encode(&[("client_id", &id)]));
    for query in ["", "?client_id=", "?client_id=https%3A%2F%2Fapp", "?client_id=a&client_id=b"] {
        assert_eq!(take(query).await.status, 404, "{query}");
    }
    let other = Call::new("DELETE", &format!("/account/api/apps{named}")).bearer(&tokens.access);
    assert_eq!(other.to(&gateway).await.status, 401, "a token for another place");
    let userinfo = || Call::get("/userinfo").bearer(&tokens.access).to(&gateway);
    assert_eq!(userinfo().await.status, 200);
    assert_eq!(take(&named).await.status, 204);
    assert_eq!(userinfo().await.status, 401);
    assert_eq!(app(&id).refresh_call(tokens.refresh()).to(&gateway).await.error(), "invalid_grant");
    assert!(is_known(&gateway, &id).await, "it may ask again");
}

#[tokio::test]
async fn a_client_may_show_by_a_published_key_who_it_is() {
    let (gateway, server) = serve("cimd-keys", &listed(), &format!("{OUT}{}", open_orders())).await;
    let key = SigningKey::generate(Algorithm::ES256).unwrap();
    let set = KeySet::from_iter([key.verifying_key().clone()]);
    server.seen.lock().unwrap().keys = Some(serde_json::to_string(&set).unwrap());
    let by_key =
        json!({ "token_endpoint_auth_method": "private_key_jwt", "jwks_uri": address(&server, "/keys") });
    publish(&server, "/app", &by_key);
    let id = address(&server, "/app");
    let pushed = app(&id).push_by_key(&gateway, &key, "a").to(&gateway).await;
    assert_eq!(pushed.status, 201, "{}", pushed.text());
    let other = SigningKey::generate(Algorithm::ES256).unwrap();
    assert_eq!(app(&id).push_by_key(&gateway, &other, "b").to(&gateway).await.error(), "invalid_client");
    let nameless = app(&id).call("/par", &[("response_type", "code")]).to(&gateway).await;
    assert_eq!(nameless.error(), "invalid_client", "without its key it is anybody");
}

#[tokio::test]
async fn o24_what_is_no_good_document_makes_no_client() {
    let (gateway, server) = serve("cimd-bad", &listed(), &format!("{OUT}{}", open_orders())).await;
    publish(&server, "/good", &json!({}));
    assert!(is_known(&gateway, &address(&server, "/good")).await);
    let elsewhere = address(&server, "/good");
    for (path, changes) in [
        ("/other-id", json!({ "client_id": elsewhere })),
        ("/no-id", json!({ "client_id": null })),
        ("/secret", json!({ "client_secret": "hunter2" })),
        ("/basic", json!({ "token_endpoint_auth_method": "client_secret_basic" })),
        ("/no-keys", json!({ "token_endpoint_auth_method": "private_key_jwt" })),
        ("/service", json!({ "grant_types": ["client_credentials"] })),
        ("/nowhere", json!({ "redirect_uris": [] })),
        ("/script", json!({ "redirect_uris": ["javascript:alert(1)"] })),
        ("/long", json!({ "client_name": "x".repeat(16 << 10) })),
    ] {
        publish(&server, path, &changes);
        assert!(!is_known(&gateway, &address(&server, path)).await, "{path}");
        assert_eq!(asked(&server, path), 1, "{path}");
        assert!(!is_known(&gateway, &address(&server, path)).await, "{path}");
        assert_eq!(asked(&server, path), 1, "{path}: not again so soon");
    }
    put(&server, "/moved", StatusCode::FOUND, &[("location", "/good")], String::new());
    put(&server, "/page", StatusCode::OK, &[("content-type", "text/html")], "{}".to_owned());
    for path in ["/moved", "/page", "/busy"] {
        assert!(!is_known(&gateway, &address(&server, path)).await, "{path}");
    }
    assert_eq!(asked(&server, "/good"), 1, "a redirect is not followed");

    // Nobody is asked by another spelling, or where others are.
    let before = server.seen.lock().unwrap().documents_asked.len();
    for id in [
        address(&server, "/good?x=1"),
        address(&server, "/a/../good"),
        address(&server, "/%67ood"),
        address(&server, "/good").replace("localhost", "LOCALHOST"),
        address(&server, "/good").replace("https://", "https://u@"),
        address(&server, "/good").replace("https://", "http://"),
        address(&server, "/good").replace("localhost", "127.0.0.1"),
        format!("{}#x", address(&server, "/good")),
    ] {
        assert!(!is_known(&gateway, &id).await, "{id}");
    }
    assert_eq!(server.seen.lock().unwrap().documents_asked.len(), before);
    let all: Value = serde_json::from_str(&gateway.command(&["client", "list", "--output", "json"])).unwrap();
    let ids: Vec<&str> = all.as_array().unwrap().iter().filter_map(|c| c["client_id"].as_str()).collect();
    assert_eq!(ids.iter().filter(|id| id.starts_with("https:")).count(), 1, "{ids:?}");
}

#[tokio::test]
async fn o24_documents_are_off_unless_configured_and_lead_into_no_network_of_ours() {
    let everybody = format!("[registration]\ndocuments = [\"*\"]\nscope = \"{SCOPE}\"\n");
    for (name, documents, egress) in [("cimd-off", "", OUT), ("cimd-private", everybody.as_str(), "")] {
        let (gateway, server) = serve(name, documents, &format!("{egress}{}", open_orders())).await;
        publish(&server, "/app", &json!({}));
        assert!(!is_known(&gateway, &address(&server, "/app")).await, "{name}");
        assert_eq!(asked(&server, "/app"), 0, "{name}");
        let metadata = Call::get("/.well-known/openid-configuration").to(&gateway).await.json();
        let said = metadata.get("client_id_metadata_document_supported");
        assert_eq!(said.is_some(), name == "cimd-private", "{name}");
        let id = address(&server, "/app");
        let words =
            ["client", "add", &id, "--kind", "public", "--redirect-uri", CALLBACK, "--scope", "openid"];
        assert!(!gateway.try_command(&words).success, "nobody else registers it either");
    }
}

#[tokio::test]
async fn o25_a_document_that_changes_is_judged_as_the_first_was() {
    let (mut gateway, server) = serve("cimd-changes", &listed(), &format!("{OUT}{}", open_orders())).await;
    let less = address(&server, "/less");
    publish(&server, "/less", &json!({}));
    let tokens = app(&less).tokens(&gateway, &gateway.person("billing", &[])).await;
    assert_eq!(tokens.answer["scope"], "offline_access openid orders.read");
    publish(&server, "/less", &json!({ "scope": "openid offline_access" }));
    assert_eq!(Call::get("/userinfo").bearer(&tokens.access).to(&gateway).await.status, 200);
    let paths = ["/narrowed", "/secret", "/service", "/other", "/down", "/gone"];
    for path in paths {
        publish(&server, path, &json!({}));
        assert!(is_known(&gateway, &address(&server, path)).await, "{path}");
    }
    publish(
        &server,
        "/narrowed",
        &json!({ "redirect_uris": ["https://app.example.org/cb"], "scope": "openid" }),
    );
    publish(&server, "/secret", &json!({ "token_endpoint_auth_method": "client_secret_post" }));
    publish(&server, "/service", &json!({ "grant_types": ["client_credentials"] }));
    publish(&server, "/other", &json!({ "client_id": address(&server, "/down") }));
    let down = StatusCode::SERVICE_UNAVAILABLE;
    put(&server, "/down", down, &[], String::new());
    put(&server, "/gone", StatusCode::NOT_FOUND, &[], String::new());
    for path in paths {
        assert!(is_known(&gateway, &address(&server, path)).await, "{path}: fresh");
    }
    age(&gateway, 11);
    for path in paths {
        assert!(is_known(&gateway, &address(&server, path)).await, "{path}: half a day has not passed");
        assert_eq!(asked(&server, path), 1, "{path}");
    }
    age(&gateway, 2);
    for path in paths {
        let is_down = path == "/down";
        assert_eq!(
            is_known(&gateway, &address(&server, path)).await,
            is_down,
            "{path}: nothing is said there"
        );
        assert_eq!(asked(&server, path), 2, "{path}");
    }
    let gone = address(&server, "/gone");
    let records = added(&gateway, "client.change", &gone);
    assert_eq!((records.len(), &records[0]["outcome"]), (1, &json!("deny")));
    assert_eq!(records[0]["decision"]["reason"], "document-not-good");
    age(&gateway, 12);
    assert!(!is_known(&gateway, &address(&server, "/down")).await, "for a day");
    let refreshed = Tokens::of(&app(&less).refresh_call(tokens.refresh()).to(&gateway).await);
    assert_eq!(refreshed.answer["scope"], "offline_access openid", "what it has already shrinks too");
    assert_eq!(
        Call::get("/userinfo").bearer(&tokens.access).to(&gateway).await.status,
        401,
        "cut with the change"
    );
    let id = address(&server, "/narrowed");
    let shown: Value =
        serde_json::from_str(&gateway.command(&["client", "show", &id, "--output", "json"])).unwrap();
    assert_eq!(
        (&shown["scope"], &shown["redirect_uris"][0]),
        (&json!("openid"), &json!("https://app.example.org/cb"))
    );
    let records = added(&gateway, "client.change", &id);
    assert_eq!((records.len(), &records[0]["detail"]["scope"]), (1, &json!("openid")));

    // Another one asks in vain, and that is no news; what is good again is.
    gateway.kill_and_restart();
    assert!(!is_known(&gateway, &gone).await);
    assert_eq!((asked(&server, "/gone"), added(&gateway, "client.change", &gone).len()), (3, 1));
    publish(&server, "/gone", &json!({}));
    gateway.kill_and_restart();
    assert!(is_known(&gateway, &gone).await);
    let records = added(&gateway, "client.change", &gone);
    assert_eq!((records.len(), &records[1]["outcome"]), (2, &json!("allow")));
}

#[tokio::test]
async fn o25_a_client_whose_document_is_gone_holds_nothing_from_then_on() {
    let (gateway, server) = serve("cimd-gone", &listed(), &format!("{OUT}{}", open_orders())).await;
    let bea = gateway.person("billing", &[]);
    let [gone, stays] = ["/gone", "/stays"].map(|path| address(&server, path));
    for path in ["/gone", "/stays"] {
        publish(&server, path, &json!({}));
    }
    let [lost, kept] = [app(&gone).tokens(&gateway, &bea).await, app(&stays).tokens(&gateway, &bea).await];
    assert!(opens(&gateway, &lost.access).await && opens(&gateway, &kept.access).await);
    put(&server, "/gone", StatusCode::NOT_FOUND, &[], String::new());
    age(&gateway, 13);
    assert!(!is_known(&gateway, &gone).await && is_known(&gateway, &stays).await);
    assert!(!opens(&gateway, &lost.access).await);
    assert!(opens(&gateway, &kept.access).await, "another one's");
}

fn removed(gateway: &Gateway, client: &str) -> Vec<Value> {
    records(gateway, "client.remove").into_iter().filter(|record| record["resource"] == client).collect()
}

fn documents(gateway: &Gateway) -> Vec<String> {
    let mut all: Vec<String> = clients(gateway).into_iter().filter(|id| id.starts_with("https:")).collect();
    all.sort();
    all
}

#[tokio::test]
async fn of_clients_that_nobody_uses_few_are_kept_and_none_for_long() {
    let few = listed().replace("scope =", "max_unused = 2\nscope =");
    let (mut gateway, server) = serve("cimd-unused", &few, &format!("{OUT}{}", open_orders())).await;
    let paths = ["/used", "/a", "/b", "/c"];
    let [used, a, b, c] = paths.map(|path| address(&server, path));
    for path in paths {
        publish(&server, path, &json!({}));
    }
    let tokens = app(&used).tokens(&gateway, &gateway.person("billing", &[])).await;
    for id in [&a, &b, &c] {
        assert!(is_known(&gateway, id).await);
    }
    assert_eq!(documents(&gateway), [&b, &c, &used].map(String::clone), "the oldest made room");
    let records = removed(&gateway, &a);
    assert_eq!((records.len(), &records[0]["decision"]["reason"]), (1, &json!("client-unused")));
    // It comes as it came before, as whoever is at its address; one that an operator removed does not.
    gateway.command(&["client", "remove", &b]);
    assert!(is_known(&gateway, &a).await && !is_known(&gateway, &b).await);
    assert_eq!(asked(&server, "/a"), 2);

    let database = rusqlite::Connection::open(gateway.folder().join("data/chartgate.db")).unwrap();
    database.busy_timeout(Duration::from_secs(5)).unwrap();
    let text = "UPDATE client_documents SET added_at = added_at - 86400000000 WHERE client_id <> ?1";
    assert_eq!(database.execute(text, [&a]).unwrap(), 2);
    gateway.kill_and_restart();
    let begun = Instant::now();
    while documents(&gateway).contains(&c) {
        assert!(begun.elapsed() < Duration::from_secs(20), "still there");
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    assert_eq!(documents(&gateway), [&a, &used].map(String::clone));
    assert_eq!(removed(&gateway, &c).len(), 1);
    Tokens::of(&app(&used).refresh_call(tokens.refresh()).to(&gateway).await);
    assert!(!is_known(&gateway, &b).await, "whatever its document says");
}

#[tokio::test]
async fn who_brings_many_clients_that_nobody_knew_is_turned_away_and_others_are_not() {
    let seldom = listed().replace("scope =", "per_hour = 2\nscope =");
    let (gateway, server) = serve("cimd-seldom", &seldom, &format!("{OUT}{}", open_orders())).await;
    let paths = ["/a", "/b", "/c"];
    for path in paths {
        publish(&server, path, &json!({}));
    }
    let ids = paths.map(|path| address(&server, path));
    let (mut one, mut other) = (
        Connection::open_from(&gateway, fresh_address()).await,
        Connection::open_from(&gateway, fresh_address()).await,
    );
    for (id, status) in ids.iter().zip([303, 303, 503]) {
        assert_eq!(one.send(start(&gateway, id)).await.status, status, "{id}");
    }
    assert_eq!(asked(&server, "/c"), 0);
    assert_eq!(one.send(start(&gateway, &ids[0])).await.status, 303, "it is known");
    assert_eq!(other.send(start(&gateway, &ids[2])).await.status, 303);
    let throttled = records(&gateway, "access.throttled");
    assert_eq!((throttled.len(), &throttled[0]["action"]), (1, &json!("client.add")));
}

#[tokio::test]
async fn who_gets_no_place_among_those_that_are_asked_may_come_again_at_once() {
    // Takes connections, and says nothing.
    let silent = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let there = format!("localhost:{}", silent.local_addr().unwrap().port());
    let both = listed().replace("\"{host}\"", &format!("\"{{host}}\", \"{there}\""));
    let (gateway, server) = serve("cimd-places", &both, &format!("{OUT}{}", open_orders())).await;
    publish(&server, "/app", &json!({}));
    let id = address(&server, "/app");
    let ask = |name: &'static str| start(&gateway, &format!("https://{there}/{name}")).to(&gateway);
    let meanwhile = async {
        let mut held = Vec::new();
        for _ in 0..4 {
            held.push(silent.accept().await.unwrap());
        }
        assert_eq!(ask("e").await.status, 503, "four are asked at one host");
        assert!(is_known(&gateway, &id).await, "others are nonetheless");
    };
    let (a, b, c, d, ()) = tokio::join!(ask("a"), ask("b"), ask("c"), ask("d"), meanwhile);
    assert_eq!([a.status, b.status, c.status, d.status], [400; 4], "nobody answered");
    let (e, ()) = tokio::join!(ask("e"), async { drop(silent.accept().await.unwrap()) });
    assert_eq!(e.status, 400, "it was asked");
}

#[tokio::test]
async fn a_configuration_that_takes_no_documents_from_there_takes_all_of_its_clients() {
    let (gateway, server) = serve("cimd-narrowed", &listed(), &format!("{OUT}{}", open_orders())).await;
    const PAGE: &str = "https://app.example.org";
    let bye = format!("{PAGE}/bye");
    let callbacks = json!([CALLBACK, format!("{PAGE}/cb")]);
    publish(&server, "/app", &json!({ "redirect_uris": callbacks, "post_logout_redirect_uris": [bye] }));
    let id = address(&server, "/app");
    assert!(is_known(&gateway, &id).await);
    let ask = || {
        Call::new("OPTIONS", "/token").header("origin", PAGE).header("access-control-request-method", "POST")
    };
    let leave = || {
        let fields = [("client_id", id.as_str()), ("post_logout_redirect_uri", bye.as_str())];
        Call::get(&format!("/end-session?{}", encode(&fields)))
    };
    assert_eq!(ask().to(&gateway).await.header("access-control-allow-origin"), PAGE);
    assert_eq!(leave().to(&gateway).await.status, 303);
    let tokens = app(&id).tokens(&gateway, &gateway.person("billing", &[])).await;
    assert!(opens(&gateway, &tokens.access).await);
    let port = server.port.to_string();
    reconfigure(&gateway, |text| {
        text.replace(&format!("documents = [\"localhost:{port}\"]"), "documents = [\"a.example\"]")
    })
    .await;
    assert!(!is_known(&gateway, &id).await);
    assert!(!opens(&gateway, &tokens.access).await, "what it had ends with it");
    assert_eq!(ask().to(&gateway).await.header("access-control-allow-origin"), "");
    assert_eq!(leave().to(&gateway).await.status, 400);
}

#[tokio::test]
async fn a_document_is_kept_for_as_long_as_its_owner_says_and_believed_for_a_day_if_nobody_answers() {
    let (gateway, server) = serve("cimd-age", &listed(), &format!("{OUT}{}", open_orders())).await;
    let headers = [("content-type", "application/json"), ("cache-control", "max-age=1800")];
    for path in ["/app", "/down"] {
        publish(&server, path, &json!({}));
        let body = server.seen.lock().unwrap().documents[path].body.clone();
        put(&server, path, StatusCode::OK, &headers, body);
        assert!(is_known(&gateway, &address(&server, path)).await);
    }
    put(&server, "/down", StatusCode::BAD_GATEWAY, &[], String::new());
    age(&gateway, 1);
    for path in ["/app", "/down", "/app", "/down"] {
        assert!(is_known(&gateway, &address(&server, path)).await, "{path}");
    }
    assert_eq!((asked(&server, "/app"), asked(&server, "/down")), (2, 2), "and tried once in half a minute");
    assert_eq!(added(&gateway, "client.change", &address(&server, "/app")).len(), 0, "nothing changed");
    age(&gateway, 24);
    assert!(!is_known(&gateway, &address(&server, "/down")).await);
}

#[tokio::test]
async fn fifty_at_once_ask_once_and_register_once() {
    let (gateway, server) = serve("cimd-fifty", &listed(), &format!("{OUT}{}", open_orders())).await;
    publish(&server, "/app", &json!({}));
    let id = address(&server, "/app");
    let answers = at_once(&gateway, FIFTY, |_| start(&gateway, &id)).await;
    assert_eq!(answers.iter().filter(|answer| answer.status == 303).count(), FIFTY);
    assert_eq!(asked(&server, "/app"), 1);
    assert_eq!(added(&gateway, "client.add", &id).len(), 1);
}

#[tokio::test]
async fn a_document_may_name_localhost_if_its_client_keeps_no_secret() {
    let (gateway, server) = serve("cimd-localhost", &listed(), &format!("{OUT}{}", open_orders())).await;
    let here = "http://localhost:33418/callback";
    // As editors publish it.
    publish(&server, "/editor", &json!({ "redirect_uris": [here, CALLBACK] }));
    let keys: Value = serde_json::to_value(KeySet::from_iter([SigningKey::generate(Algorithm::ES256)
        .unwrap()
        .verifying_key()
        .clone()]))
    .unwrap();
    let web = json!({ "redirect_uris": [here, CALLBACK], "token_endpoint_auth_method": "private_key_jwt", "jwks": keys });
    publish(&server, "/web", &web);
    let ask = async |path: &str, uri: &str| {
        let id = address(&server, path);
        let mut request = app(&id).request(&gateway);
        request.retain(|(name, _)| !["redirect_uri", "aud"].contains(name));
        request.push(("redirect_uri", uri.to_owned()));
        let fields: Vec<(&str, &str)> = request.iter().map(|(name, value)| (*name, value.as_str())).collect();
        Call::get(&format!("/authorize?{}", encode(&fields))).to(&gateway).await.status
    };
    assert_eq!(ask("/editor", here).await, 303);
    assert_eq!(ask("/editor", "http://localhost:33419/callback").await, 400, "another port");
    assert_eq!((ask("/web", here).await, ask("/web", CALLBACK).await), (400, 400), "not a client at all");
}
