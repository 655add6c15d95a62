//! Scopes and roles that open nothing: taken, and told.

use serde_json::Value;

use crate::gateway::Scratch;
use crate::routes::{SCOPE, serve_in};
use crate::shared;

#[test]
fn a_scope_that_nothing_here_knows_is_registered_and_told_of() {
    let gateway = shared::demo();
    let words = [
        "client",
        "add",
        "odd-scope",
        "--kind",
        "backend",
        "--role",
        "service",
        "--role",
        "servce",
        "--scope",
    ];
    let scope = "system/*.rs system/Patent.rs system/Patient.xy user/Observation.rs?value-string=x orders.raed \
        openid launch/patient account.apps introspect revocations:read";
    let done = gateway.try_command(&[&words[..], &[scope]].concat());
    assert!(done.success, "{done:?}");
    let added: Value = serde_json::from_str(&done.out).unwrap();
    let warnings: Vec<&str> =
        added["warnings"].as_array().unwrap().iter().map(|one| one.as_str().unwrap()).collect();
    let starts = [
        "scope `orders.raed`: ",
        "scope `system/Patent.rs`: ",
        "scope `system/Patient.xy`: ",
        "scope `user/Observation.rs?value-string=x`: ",
        "role `servce`: ",
    ];
    assert_eq!(warnings.len(), starts.len(), "{warnings:#?}");
    for (warning, start) in warnings.iter().zip(starts) {
        assert!(
            warning.starts_with(start) && done.err.contains(&format!("chartgate: warning: {warning}\n")),
            "{warning}"
        );
    }
    assert!(added["scope"].as_str().unwrap().contains("orders.raed"), "it is no refusal");
    // A change says it too, and what is well says nothing.
    let changed = gateway.try_command(&[
        "client",
        "change",
        "odd-scope",
        "--unset",
        "audience",
        "--role",
        "service",
        "--scope",
        "system/*.rs systm/*.rs",
    ]);
    assert!(changed.success && changed.err.contains("scope `systm/*.rs`"), "{changed:?}");
    let well =
        gateway.try_command(&["client", "change", "odd-scope", "--scope", "system/*.rs", "--output", "json"]);
    assert!(well.success && well.err.is_empty() && !well.out.contains("warnings"), "{well:?}");
}

#[test]
fn a_role_that_no_policy_knows_is_given_and_told_of_once_to_people() {
    let gateway = shared::demo();
    let file = gateway.scratch().write("odd-role", "quiet-heron-waits-there");
    let words = ["user", "add", "odd-role", "--password-file", file.to_str().unwrap(), "--role"];
    let added = gateway.try_command(&[&words[..], &["phisician"]].concat());
    let told = "chartgate: warning: role `phisician`: no policy, no rule of an `http` route and nothing of ours names it\n";
    assert!(added.success && added.err == told && added.out.contains("phisician"), "{added:?}");
    assert!(!added.out.contains("warnings"), "{added:?}");
    let roles = |more: &[&str]| gateway.try_command(&[&["user", "roles", "odd-role"], more].concat());
    assert_eq!(roles(&["--role", "phisician"]).err, told);
    for known in ["physician", "auditor", "privacy-officer", "special-care"] {
        assert_eq!(roles(&["--role", known]).err, "", "{known}");
    }
    assert_eq!(roles(&["--none"]).err, "");
}

#[test]
fn what_a_rule_of_a_route_asks_for_is_known() {
    let route = r#"[sign_in]
second_factor_roles = ["keeper"]
[[route]]
name = "orders"
kind = "http"
path = "/orders"
upstream = "http://127.0.0.1:9"
[[route.allow]]
methods = ["GET"]
path = "/orders/{id}"
scope = "orders.count"
roles = ["clerk"]
"#;
    let gateway = serve_in(Scratch::new("without-effect"), "", route, SCOPE);
    let words =
        ["client", "add", "counter", "--kind", "backend", "--role", "clerk", "--role", "keeper", "--scope"];
    let done = gateway.try_command(&[&words[..], &["orders.count"]].concat());
    assert!(done.success && done.err.is_empty() && !done.out.contains("warnings"), "{done:?}");
}
