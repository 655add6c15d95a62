//! `policy explain`: why a supposed or recorded request is allowed or denied.

use serde_json::Value;

use crate::browser::{App, USER_SCOPE};
use crate::gateway::Gateway;
use crate::shared;
use crate::wire::Call;

/// What the command says, and whether it ends as one that was allowed.
fn explain(gateway: &Gateway, words: &[&str]) -> (Value, bool) {
    let done = gateway.try_command(&[&["--output", "json", "policy", "explain"], words].concat());
    let last = done.out.lines().last().unwrap_or_else(|| panic!("{done:?}"));
    (serde_json::from_str(last).unwrap(), done.success)
}

fn says(explanation: &Value, text: &str) -> bool {
    explanation["because"].as_array().unwrap().iter().any(|line| line.as_str().unwrap().contains(text))
}

#[test]
fn a_supposed_request_is_explained_by_scope_panel_and_policy() {
    let gateway = shared::demo();
    let own = format!("Patient/{}", gateway.panel("dana")[0]);
    let others = gateway.patients();
    let other = others.iter().find(|id| !gateway.panel("dana").contains(id)).unwrap();
    let ask = |more: &[&str]| explain(gateway, &[&["--user", "dana", "--client", "demo-app"], more].concat());
    let (allowed, success) = ask(&["--action", "read", "--resource", &own]);
    assert!(success && allowed["decision"] == "allow", "{allowed}");
    assert!(says(&allowed, "in the care of dana") && says(&allowed, "physician-panel"), "{allowed}");
    assert!(allowed["policies"][0]["text"].as_str().unwrap().contains("permit"));
    let stranger = format!("Patient/{other}");
    let (denied, success) = ask(&["--action", "read", "--resource", &stranger]);
    assert!(!success && denied["decision"] == "deny", "{denied}");
    assert!(says(&denied, "not in the care of dana") && says(&denied, "no policy permits it"), "{denied}");
    let scope = ["--scope", "user/Observation.rs", "--action", "read", "--resource", &own];
    assert!(says(&ask(&scope).0, "no scope of"), "the scope does not reach it");
    // Whoever patches reads.
    let patch = |scope: &'static str| ask(&["--scope", scope, "--action", "patch", "--resource", &own]);
    let (unread, success) = patch("user/Patient.u");
    assert!(!success && says(&unread, "reaches Read of Patient"), "{unread}");
    let (both, success) = patch("user/Patient.ru");
    assert!(success && both["decision"] == "allow", "{both}");
    let of = ["--action", "search", "--resource", "Observation", "--patient", gateway.panel("dana")[0]];
    assert_eq!(ask(&of).0["decision"], "allow");
    let unsaid = ["--action", "read", "--resource", "Observation/x"];
    assert!(says(&ask(&unsaid).0, "was not said"));
    let (service, _) =
        explain(gateway, &["--client", "demo-service", "--action", "read", "--resource", &own]);
    assert_eq!(service["decision"], "allow", "{service}");
    for wrong in [
        ["--user", "nobody-here", "--client", "demo-app", "--action", "read", "--resource", "Patient/x"],
        ["--user", "dana", "--client", "nothing", "--action", "read", "--resource", "Patient/x"],
        ["--user", "dana", "--client", "demo-app", "--action", "look", "--resource", "Patient/x"],
        ["--user", "dana", "--client", "demo-app", "--action", "read", "--resource", "Unicorn/x"],
    ] {
        let done = gateway.try_command(&[&["policy", "explain"], &wrong[..]].concat());
        assert!(!done.success && !done.err.is_empty(), "{wrong:?}");
    }
    assert!(!gateway.audit(&["--action", "audit.read"]).is_empty(), "who asks is recorded");
}

#[tokio::test]
async fn a_recorded_request_is_shown_and_asked_again() {
    let gateway = shared::demo();
    let own = gateway.panel("dana")[0];
    let token = App::public(USER_SCOPE).tokens(gateway, &gateway.demo_person("dana")).await.access;
    let path = format!("/fhir/Patient/{own}");
    assert_eq!(Call::get(&path).bearer(&token).to(gateway).await.status, 200);
    let records = gateway.audit(&["--user", "dana", "--action", "read", "--outcome", "allow"]);
    let index = records.last().unwrap()["index"].to_string();
    let done = gateway.try_command(&["policy", "explain", &index]);
    assert!(done.success, "{done:?}");
    for text in ["by physician-panel", "allow, by the policies", "in the care of dana", "permit"] {
        assert!(done.out.contains(text), "{text}: {}", done.out);
    }
    let beyond = gateway.try_command(&["policy", "explain", "99999999"]);
    assert!(beyond.err.contains("there is no record"), "{beyond:?}");
}
