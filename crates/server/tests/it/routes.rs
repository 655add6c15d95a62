//! An `http` route as an operator sets one up: `init`, a configuration, people and clients by command, `serve`; and what
//! its upstream gets to see. Rows G02, G03, G04, G07, G09 of the corpus.

use std::time::{Duration, Instant};

use crate::browser::{App, CALLBACK};
use crate::fakes::upstream::{BODY, Upstream};
use crate::gateway::{Gateway, Person, Scratch, chartgate, free_ports};
use crate::wire::{Call, Connection, fresh_address, tls};

pub(crate) const SCOPE: &str = "openid orders.read orders.write";

/// A gateway before this upstream, with a client `till`.
fn serve(name: &str, upstream: &Upstream) -> Gateway {
    serve_with(name, upstream.port, "", "")
}

/// The same before what listens on a port of ours, with more keys for the route and more tables.
pub(crate) fn serve_with(name: &str, upstream: u16, keys: &str, tables: &str) -> Gateway {
    let route = format!(
        r#"[[route]]
name = "orders"
kind = "http"
path = "/orders"
upstream = "http://127.0.0.1:{upstream}/api"
upstream_auth = {{ bearer = {{ file = "upstream-secret" }} }}
{keys}
[[route.allow]]
methods = ["GET"]
path = "/orders/{{id}}"
scope = "orders.read"
roles = ["billing"]
[[route.allow]]
methods = ["POST"]
path = "/orders"
scope = "orders.write"
roles = ["billing"]
{tables}
"#
    );
    serve_routes(name, "", &route, SCOPE)
}

/// A gateway as `init` makes it, with more keys where it listens, routes, and a client `till` that may ask for a scope.
pub(crate) fn serve_routes(name: &str, listen: &str, routes: &str, scope: &str) -> Gateway {
    serve_in(Scratch::new(name), listen, routes, scope)
}

/// The same in a folder of one's own.
pub(crate) fn serve_in(scratch: Scratch, listen: &str, routes: &str, scope: &str) -> Gateway {
    let [https, metrics] = free_ports();
    let issuer = format!("https://localhost:{https}");
    let folder = scratch.path().to_str().unwrap();
    let made = chartgate(&["init", "--dir", folder, "--issuer", &issuer]);
    assert!(made.success, "{made:?}");
    assert!(made.out.contains(&format!("{issuer}/login/enrol?token=")), "{}", made.out);
    let again = chartgate(&["init", "--dir", folder, "--issuer", &issuer]);
    assert!(!again.success && again.err.contains("nothing was changed"), "{again:?}");

    scratch.write("upstream-secret", "the-gateways-own-credential\n");
    let configuration = format!(
        r#"issuer = "{issuer}"
data_dir = "data"
[listen]
https = "127.0.0.1:{https}"
metrics = "127.0.0.1:{metrics}"
{listen}
[tls]
certificate = "tls/cert.pem"
private_key = "tls/key.pem"
[policy]
dir = "policies"
{routes}"#
    );
    scratch.write("chartgate.toml", configuration);
    let mut gateway = Gateway::serve(scratch, &issuer);
    gateway.command(&["config", "check"]);
    let words = ["client", "add", "till", "--kind", "public", "--redirect-uri", CALLBACK, "--scope", scope];
    gateway.command(&[&words[..], &["--grant", "authorization_code"]].concat());
    gateway.ready = serde_json::json!({ "metrics": format!("http://127.0.0.1:{metrics}") });
    gateway
}

async fn token(gateway: &Gateway, person: &Person, scope: &str) -> String {
    let app = App { client: "till", secret: None, scope, patient: None, route: "/orders" };
    app.tokens(gateway, person).await.access
}

#[tokio::test]
async fn g06_a_body_that_its_client_gives_up_reaches_no_upstream() {
    let upstream = Upstream::start().await;
    let gateway = serve("given-up", &upstream);
    let bea = gateway.person("billing", &[]);
    let token = token(&gateway, &bea, SCOPE).await;
    let stream = tls(&gateway, fresh_address(), &[b"h2"]).await.unwrap();
    let (client, connection) = h2::client::handshake(stream).await.unwrap();
    tokio::spawn(connection);
    let mut client = client.ready().await.unwrap();
    let mut post = |is_whole| {
        let request = http::Request::post(format!("{}/orders", gateway.issuer))
            .header("authorization", format!("Bearer {token}"))
            .header("content-type", "application/json")
            .body(())
            .unwrap();
        let (answer, mut body) = client.send_request(request, false).unwrap();
        body.send_data(bytes::Bytes::from_static(br#"{"item":1}"#), is_whole).unwrap();
        (answer, body)
    };
    let (_answer, mut given_up) = post(false);
    tokio::time::sleep(Duration::from_millis(300)).await;
    // As a proxy does whose own client has gone: RFC 9113 section 8.1 has that for who wants to hear no more.
    given_up.send_reset(h2::Reason::NO_ERROR);
    let until = Instant::now().checked_add(Duration::from_secs(20)).unwrap();
    while gateway.audit(&["--event", "access"]).is_empty() {
        assert!(Instant::now() < until, "nothing is on record: {:?}", gateway.audit(&[]).last());
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    assert!(upstream.arrived().is_empty(), "what came of it");
    let (answer, _body) = post(true);
    assert_eq!(answer.await.unwrap().status(), 200);
    assert_eq!(upstream.arrived().len(), 1);
}

#[tokio::test]
async fn an_http_route_lets_through_what_a_rule_names_and_records_intent_and_outcome_of_each_call() {
    let upstream = Upstream::start().await;
    let gateway = serve("rules", &upstream);
    let bea = gateway.person("billing", &[]);
    let dana = gateway.person("physician", &[]);
    let full = token(&gateway, &bea, SCOPE).await;
    let reading = token(&gateway, &bea, "orders.read").await;
    let physician = token(&gateway, &dana, SCOPE).await;
    let get = |path: &str, token: &str| Call::get(path).bearer(token).to(&gateway);

    let answer = get("/orders/17?lines=all&x=%2F", &full).await;
    assert_eq!((answer.status, answer.text()), (200, BODY));
    assert_eq!(answer.header("etag"), "\"7\"");
    assert_eq!(answer.header("cache-control"), "no-store");
    for stripped in ["server", "set-cookie", "x-powered-by", "connection", "access-control-allow-origin"] {
        assert_eq!(answer.header(stripped), "", "{stripped}");
    }
    let post = Call::new("POST", "/orders").body("application/json", r#"{"item":1}"#);
    assert_eq!(post.clone().bearer(&full).to(&gateway).await.status, 200);
    let arrived = upstream.arrived();
    let seen: Vec<(&str, &str)> = arrived.iter().map(|a| (a.method.as_str(), a.target.as_str())).collect();
    assert_eq!(seen, [("GET", "/api/orders/17?lines=all&x=%2F"), ("POST", "/api/orders")]);
    assert_eq!(arrived[1].body, r#"{"item":1}"#);

    for (name, status, call) in [
        ("no token", 401, Call::get("/orders/17")),
        ("other scope", 403, post.bearer(&reading)),
        ("other role", 403, Call::get("/orders/17").bearer(&physician)),
        ("other method", 403, Call::new("DELETE", "/orders/17").bearer(&full)),
        ("HEAD is not GET", 403, Call::new("HEAD", "/orders/17").bearer(&full)),
        ("longer path", 403, Call::get("/orders/17/lines").bearer(&full)),
        ("slash at the end", 403, Call::get("/orders/17/").bearer(&full)),
        ("other case", 404, Call::get("/Orders/17").bearer(&full)),
        ("no id", 403, Call::get("/orders").bearer(&full)),
        (
            "override",
            403,
            Call::new("POST", "/orders/17").header("x-http-method-override", "GET").bearer(&full),
        ),
        ("health check", 401, Call::get("/orders/17").header("user-agent", "kube-probe/1.29")),
        ("cookie", 401, Call::get("/orders/17").header("cookie", "__Host-session=;;=x")),
        ("token in the query", 401, Call::get(&format!("/orders/17?access_token={full}"))),
    ] {
        assert_eq!(call.to(&gateway).await.status, status, "{name}");
    }
    assert_eq!(upstream.arrived().len(), 0, "nothing that was refused reached the upstream");

    let records = gateway.audit(&[]);
    let of = |event: &str| records.iter().filter(|r| r["event"] == event).collect::<Vec<_>>();
    let (intents, accesses) = (of("access.intent"), of("access"));
    assert_eq!(intents.len(), 2);
    assert_eq!(accesses.len(), 2 + 12, "one for each request that reached the route");
    for intent in &intents {
        let outcomes: Vec<_> = accesses.iter().filter(|a| a["request_id"] == intent["request_id"]).collect();
        let [outcome] = outcomes[..] else { panic!("{outcomes:?}") };
        assert!(intent["index"].as_u64() < outcome["index"].as_u64());
        assert_eq!(outcome["outcome"], "allow");
        assert_eq!(outcome["response"]["status"], 200);
        assert_eq!(outcome["response"]["digests"].as_array().unwrap().len(), 1, "of what was released");
        assert_eq!(outcome["actor"]["sub"], bea.name.as_str());
        assert_eq!(outcome["decision"]["policies"], serde_json::json!(["endpoint-by-rule"]));
    }
    let reasons: Vec<&str> = accesses.iter().filter_map(|a| a["decision"]["reason"].as_str()).collect();
    for reason in ["no-token", "insufficient-scope", "wrong-role", "no-rule"] {
        assert!(reasons.contains(&reason), "{reason}: {reasons:?}");
    }
}

#[tokio::test]
async fn g02_g03_the_upstream_sees_our_word_for_who_calls_and_never_the_callers_token_or_headers() {
    let upstream = Upstream::start().await;
    let gateway = serve("headers", &upstream);
    let bea = gateway.person("billing", &[]);
    let token = token(&gateway, &bea, SCOPE).await;
    let mut call = Call::get("/orders/17").bearer(&token).header("accept", "application/json");
    for (name, value) in [
        ("x-chartgate-subject", "ada"),
        ("X-Chartgate-Subject", "ada"),
        ("x_chartgate_subject", "ada"),
        ("x-user", "ada"),
        ("x_user", "ada"),
        ("x-forwarded-user", "ada"),
        ("x-forwarded-for", "10.0.0.1"),
        ("x-forwarded-host", "evil.example"),
        ("x-forwarded-proto", "http"),
        ("forwarded", "for=10.0.0.1"),
        ("x-real-ip", "10.0.0.1"),
        ("x-original-url", "/admin"),
        ("x-rewrite-url", "/admin"),
        ("x-http-method-override", "DELETE"),
        ("proxy-authorization", "Basic eDp5"),
        ("cookie", "session=1"),
        ("x-client-cert", "x"),
        ("te", "trailers"),
        ("connection", "x-chartgate-subject, authorization, keep-alive"),
    ] {
        call = call.header(name, value);
    }
    let mut http1 = Connection::open(&gateway).await;
    assert_eq!(http1.send(call).await.status, 200);
    let h2 =
        Call::get("/orders/18").bearer(&token).header("x-user", "ada").header("x-chartgate-subject", "ada");
    assert_eq!(Connection::open_http2(&gateway).await.send(h2).await.status, 200);
    let arrived = upstream.arrived();
    assert_eq!(arrived.len(), 2);
    for arrived in &arrived {
        let subjects: Vec<_> = arrived.headers.get_all("x-chartgate-subject").iter().collect();
        assert_eq!(subjects, [bea.name.as_str()]);
        assert_eq!(arrived.headers["authorization"], "Bearer the-gateways-own-credential");
        let mut names: Vec<&str> = arrived.headers.keys().map(http::HeaderName::as_str).collect();
        names.retain(|name| !["accept", "authorization", "host", "x-chartgate-subject"].contains(name));
        assert!(names.is_empty(), "{names:?}");
        assert_eq!(arrived.headers["host"], format!("127.0.0.1:{}", upstream.port));
        let everything = format!("{arrived:?}");
        assert!(!everything.contains(&token) && !everything.contains("ada"), "{everything}");
    }
    // g04: nobody is a trusted proxy here, so the address is the peer's.
    let records = gateway.audit(&["--user", &bea.name]);
    assert!(records.iter().all(|r| r["source"]["ip"].as_str().unwrap().starts_with("127.")));
}

#[tokio::test]
async fn g01_a_path_with_two_readings_reaches_neither_rule_nor_upstream() {
    let upstream = Upstream::start().await;
    let gateway = serve("paths", &upstream);
    let bea = gateway.person("billing", &[]);
    let token = token(&gateway, &bea, SCOPE).await;
    for path in [
        "/orders/../admin",
        "/orders/..",
        "/orders/.",
        "/orders/17/../18",
        "/orders//17",
        "/orders/%2e%2e",
        "/orders/%2E%2E/admin",
        "/orders/17%2f..%2fadmin",
        "/orders/17;x=1",
        "/orders/17%3bx",
        "/orders/..%5cadmin",
        "/orders/%252e%252e",
        "/orders/%31%37",
        "/orders/17%00",
        "/orders/%c0%ae",
        "/orders/%",
    ] {
        let raw = format!(
            "GET {path} HTTP/1.1\r\nhost: localhost:{}\r\nauthorization: Bearer {token}\r\nconnection: close\r\n\r\n",
            gateway.port
        );
        let answer = crate::wire::raw(&gateway, raw).await;
        assert_eq!(answer.statuses(), [400], "{path}: {}", answer.text);
    }
    assert_eq!(upstream.arrived().len(), 0);
    assert_eq!(Call::get("/orders/a.b-c_d~e").bearer(&token).to(&gateway).await.status, 200);
    assert_eq!(
        upstream.arrived()[0].target,
        "/api/orders/a.b-c_d~e",
        "what was matched is what is forwarded"
    );
}

/// What is remembered of a token is that its signature is right: nothing that was decided on it.
#[tokio::test]
async fn g07_a_token_that_was_good_for_one_thing_is_looked_at_anew_for_another() {
    let upstream = Upstream::start().await;
    let route = |name: &str, scope: &str| {
        format!(
            "[[route]]\nname = \"{name}\"\nkind = \"http\"\npath = \"/{name}\"\n\
             upstream = \"http://127.0.0.1:{}/api\"\n[[route.allow]]\nmethods = [\"GET\"]\n\
             path = \"/{name}/{{id}}\"\nscope = \"{scope}\"\nroles = [\"billing\"]\n",
            upstream.port
        )
    };
    let routes = route("orders", "orders.read") + &route("invoices", "orders.read");
    let gateway = serve_routes("remembered", "", &routes, SCOPE);
    let bea = gateway.person("billing", &[]);
    let token = token(&gateway, &bea, SCOPE).await;
    let get = async |path: &str| Call::get(path).bearer(&token).to(&gateway).await.status;
    for _ in 0..3 {
        assert_eq!(get("/orders/1").await, 200);
        assert_eq!(get("/invoices/1").await, 401, "it is for the other one");
        assert_eq!(get("/orders/1/2").await, 403);
    }
    let at_once = tokio::join!(get("/orders/1"), get("/invoices/1"), get("/orders/1"), get("/invoices/1"));
    assert_eq!(at_once, (200, 401, 200, 401));
    assert_eq!(upstream.arrived().len(), 5);
    gateway.command(&["user", "disable", &bea.name]);
    assert_eq!(get("/orders/1").await, 401);
}

#[tokio::test]
async fn g09_a_dead_upstream_is_a_502_with_intent_and_outcome_recorded() {
    let upstream = Upstream::start().await;
    let gateway = serve("dead", &upstream);
    let bea = gateway.person("billing", &[]);
    let token = token(&gateway, &bea, SCOPE).await;
    assert_eq!(Call::get("/orders/1").bearer(&token).to(&gateway).await.status, 200);
    upstream.stop().await;
    let post = Call::new("POST", "/orders").body("application/json", "{}").bearer(&token);
    let answer = post.to(&gateway).await;
    assert_eq!(answer.status, 502, "{}", answer.text());
    let records = gateway.audit(&["--user", &bea.name, "--action", "POST"]);
    let [intent, access] = &records[..] else { panic!("{records:?}") };
    assert_eq!((&intent["event"], &access["event"]), (&"access.intent".into(), &"access".into()));
    assert_eq!(access["outcome"], "error");
    assert_eq!(access["decision"]["reason"], "upstream-unreachable");
    assert_eq!(intent["request_id"], access["request_id"]);
}
