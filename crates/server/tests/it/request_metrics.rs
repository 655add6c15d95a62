//! What the metrics say of requests.

use crate::gateway::Gateway;
use crate::outward_syslog::ask_metrics;
use crate::wire::{Call, Connection};

fn count(gateway: &Gateway, name: &str) -> u64 {
    let address = gateway.ready["metrics"].as_str().unwrap().strip_prefix("http://").unwrap().to_owned();
    let metrics = ask_metrics(&address, "/metrics");
    let found = metrics.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(' ')?.parse().ok());
    found.unwrap_or_else(|| panic!("{name}: {metrics}"))
}

#[tokio::test]
async fn requests_are_counted_by_what_they_are_for_and_how_they_end_also_across_a_reload() {
    let gateway = Gateway::demo("request-metrics", &[]);
    let total = |kind: &str, class: &str| {
        count(&gateway, &format!("chartgate_requests_total{{kind=\"{kind}\",status=\"{class}\"}}"))
    };
    let took =
        |kind: &str| count(&gateway, &format!("chartgate_request_duration_seconds_count{{kind=\"{kind}\"}}"));
    assert_eq!((total("fhir", "4xx"), took("fhir")), (0, 0));
    let before = total("own", "2xx");
    let mut connection = Connection::open(&gateway).await;
    for _ in 0..3 {
        assert_eq!(connection.send(Call::get("/fhir/Patient/x")).await.status, 401);
    }
    assert_eq!(connection.send(Call::get("/jwks")).await.status, 200);
    gateway.hang_up();
    crate::faults::until_recorded(&gateway, "config.reload", 2).await;
    assert_eq!(connection.send(Call::get("/fhir/Patient/x")).await.status, 401);
    assert_eq!((total("fhir", "4xx"), took("fhir")), (4, 4));
    assert_eq!(total("own", "2xx"), before + 1);
    assert_eq!(count(&gateway, "chartgate_request_duration_seconds_bucket{kind=\"fhir\",le=\"+Inf\"}"), 4);
    assert_eq!((total("http", "2xx"), took("http")), (0, 0));
    assert_eq!(count(&gateway, "chartgate_audit_outbox_waiting"), 0);
}
