//! SIGHUP: what of a new configuration comes into force, what needs a restart, and what is refused as a whole.

use std::time::{Duration, Instant};

use http_body_util::BodyExt as _;
use serde_json::Value;

use crate::browser::App;
use crate::fakes::streaming::Streaming;
use crate::faults::until_recorded;
use crate::gateway::Gateway;
use crate::routes::{SCOPE, serve_with};
use crate::wire::{Call, Connection};

const APP: App<'static> = App { client: "till", secret: None, scope: SCOPE, patient: None, route: "/orders" };

/// Changes the configuration's text.
fn rewrite(gateway: &Gateway, change: impl FnOnce(String) -> String) {
    let text = std::fs::read_to_string(gateway.config()).unwrap();
    let changed = change(text.clone());
    assert_ne!(changed, text);
    std::fs::write(gateway.config(), changed).unwrap();
}

/// Has everything read again, and waits until it is in force.
pub(crate) async fn reload(gateway: &Gateway) {
    let before = gateway.audit(&["--event", "config.reload"]).len();
    gateway.hang_up();
    // The configuration's record, and the certificate's.
    until_recorded(gateway, "config.reload", before.saturating_add(2)).await;
}

/// The records of new configurations, without those of certificates.
fn of_configuration(records: Vec<Value>) -> Vec<Value> {
    records.into_iter().filter(|record| !record.to_string().contains("certificate")).collect()
}

#[tokio::test]
async fn routes_and_lifetimes_change_for_the_next_request_and_what_needs_a_restart_is_named() {
    let upstream = Streaming::start().await;
    let gateway = serve_with("reload", upstream.port, "", "");
    let bea = gateway.person("billing", &[]);
    let tokens = APP.tokens(&gateway, &bea).await;
    assert_eq!(tokens.answer["expires_in"], 300);
    let mut connection = Connection::open(&gateway).await;
    let short = Call::get("/orders/short").bearer(&tokens.access);
    assert_eq!(connection.send(short.clone()).await.status, 200);
    let new_route = Call::get("/.well-known/oauth-protected-resource/more");
    assert_eq!(connection.send(new_route.clone()).await.status, 404);
    let mut streaming = Connection::open(&gateway).await;
    let events = Call::get("/orders/events").bearer(&tokens.access);
    let mut stream = streaming.begin(events).await.unwrap().into_body();
    stream.frame().await.unwrap().unwrap();

    let more = format!(
        "[[route]]\nname = \"more\"\nkind = \"http\"\npath = \"/more\"\nupstream = \"http://127.0.0.1:{}/api\"\n",
        upstream.port
    );
    rewrite(&gateway, |text| {
        let text = text.replace("roles = [\"billing\"]", "roles = [\"researcher\"]");
        let text = text.replace("[listen]", "[tokens]\naccess_token_ttl = \"1m\"\n[sessions]\nidle_timeout = \"9m\"\n[listen]\nidle_timeout = \"7m\"");
        format!("{text}{more}")
    });
    assert_eq!(connection.send(short.clone()).await.status, 200, "not before it is told");
    gateway.hang_up();
    let reloaded = of_configuration(until_recorded(&gateway, "config.reload", 2).await);
    let [record] = &reloaded[..] else { panic!("{reloaded:?}") };
    assert_eq!(record["actor"]["kind"], "local");
    assert!(record.to_string().contains("listen sessions"), "{record}");
    let [started] = gateway.audit(&["--event", "gateway.start"]).try_into().unwrap();
    let [before, now] = [&started, record].map(|one| one["detail"]["configuration"].as_str().unwrap());
    assert!(before.len() == 43 && now.len() == 43 && before != now, "{before} {now}");
    assert_eq!(started["detail"]["policy_set"].as_str().unwrap().len(), 43);

    let refused = connection.send(short.clone()).await;
    assert_eq!(refused.status, 403, "the same token, the same connection, other rules");
    assert_eq!(connection.send(new_route).await.status, 200);
    let fresh = APP.tokens(&gateway, &bea).await;
    assert_eq!(fresh.answer["expires_in"], 60);
    let said = gateway.output();
    for key in ["listen", "sessions"] {
        let names = |line: &str| line.contains("needs a restart") && line.contains(key);
        assert!(said.lines().any(names), "{key}: {said}");
    }

    // What was open goes on, and is cut off as ever.
    for _ in 0..20 {
        stream.frame().await.unwrap().unwrap();
    }
    gateway.command(&["user", "disable", &bea.name]);
    let begun = Instant::now();
    while stream.frame().await.is_some_and(|frame| frame.is_ok()) {
        assert!(begun.elapsed() < Duration::from_secs(20), "it goes on");
    }
    let ends = until_recorded(&gateway, "access.end", 1).await;
    assert_eq!(ends[0]["decision"]["reason"], "revoked-subject");
    assert_eq!(connection.send(short).await.status, 401, "cut-offs outlive a reload");
}

#[tokio::test]
async fn a_configuration_that_is_wrong_or_another_issuers_changes_nothing_and_is_recorded() {
    let upstream = Streaming::start().await;
    let gateway = serve_with("bad-reload", upstream.port, "", "");
    let bea = gateway.person("billing", &[]);
    let token = APP.tokens(&gateway, &bea).await.access;
    let short = Call::get("/orders/short").bearer(&token);
    let good = std::fs::read_to_string(gateway.config()).unwrap();
    let changed = good.replace("roles = [\"billing\"]", "roles = [\"researcher\"]");
    for (count, (text, problem)) in [
        (format!("colour = \"blue\"\n{changed}"), "colour"),
        (changed.replace("[listen]", "[listen"), "not TOML"),
        (
            changed.replace("upstream_auth = {", "upstream_ca = \"no-such.pem\"\nupstream_auth = {"),
            "no-such.pem",
        ),
        (changed.replace(&format!("localhost:{}", gateway.port), "elsewhere.example"), "issuer"),
    ]
    .into_iter()
    .enumerate()
    {
        std::fs::write(gateway.config(), text).unwrap();
        gateway.hang_up();
        let begun = Instant::now();
        while !gateway.output().lines().any(|line| line.contains("is not used") && line.contains(problem)) {
            assert!(begun.elapsed() < Duration::from_secs(20), "{problem}: {}", gateway.output());
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
        // Commands read the file too.
        std::fs::write(gateway.config(), &good).unwrap();
        let rejected = until_recorded(&gateway, "config.rejected", count + 1).await;
        assert!(rejected[count].to_string().contains(problem), "{problem}: {}", rejected[count]);
        assert_eq!(short.clone().to(&gateway).await.status, 200, "{problem}: the old one is in force");
    }
    gateway.hang_up();
    let begun = Instant::now();
    while of_configuration(until_recorded(&gateway, "config.reload", 1).await).is_empty() {
        assert!(begun.elapsed() < Duration::from_secs(20), "a good one is taken again");
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    assert_eq!(short.to(&gateway).await.status, 200);
}
