//! `policy explain`: why a supposed or recorded request is allowed or denied.

use serde_json::{Value, json};

use crate::browser::{App, USER_SCOPE};
use crate::care::configure;
use crate::fakes::behind;
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
    let own_id = gateway.panel("dana")[0];
    let all = [&of[..], &["--purpose", "TREAT", "--route", "fhir"]].concat();
    assert_eq!(ask(&all).0["decision"], "allow");
    let asked = gateway.audit(&["--action", "audit.read"]);
    let record = asked.iter().rfind(|record| record["detail"]["route"] == "fhir").unwrap();
    assert_eq!(record["patients"], json!([own_id]), "{record}");
    assert_eq!((&record["detail"]["user"], &record["purpose_of_use"]), (&json!("dana"), &json!("TREAT")));
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
    let narrow = App::public("openid user/Observation.rs");
    let narrow = narrow.tokens(gateway, &gateway.demo_person("dana")).await.access;
    assert_eq!(Call::get(&path).bearer(&narrow).to(gateway).await.status, 403);
    let records = gateway.audit(&["--user", "dana", "--action", "read", "--outcome", "deny"]);
    let refused =
        records.iter().rfind(|record| record["decision"]["reason"] == "insufficient-scope").unwrap();
    let done = gateway.try_command(&["policy", "explain", &refused["index"].to_string()]);
    assert!(!done.success && done.err.contains("insufficient-scope"), "{done:?}");
    let beyond = gateway.try_command(&["policy", "explain", "99999999"]);
    assert!(beyond.err.contains("there is no record"), "{beyond:?}");
}

/// Who could see a patient, by name.
fn who<'v>(answer: &'v Value, name: &str) -> Option<&'v Value> {
    answer["who"].as_array().unwrap().iter().find(|one| one["name"] == name)
}

#[test]
fn whoever_could_see_a_patient_is_named_with_the_policies_and_masks_by_which() {
    let gateway = shared::demo();
    let patient = gateway.panel("dana")[0];
    let stranger = gateway.person("physician", &[]);
    let gone = gateway.person("nurse", &[patient]);
    let reviewer = gateway.person("privacy-officer", &[patient]);
    let ask = |more: &[&str]| explain(gateway, &[&["--patient", patient], more].concat()).0;
    assert!(who(&ask(&[]), &gone.name).is_some());
    gateway.command(&["user", "disable", &gone.name]);
    let answer = ask(&[]);
    for nobody in [&gone.name, &reviewer.name] {
        assert_eq!(who(&answer, nobody), None, "{nobody}");
    }
    let way =
        |name: &str| who(&answer, name).unwrap_or_else(|| panic!("{name}: {answer}"))["ways"][0].clone();
    let dana = way("dana");
    assert_eq!((&dana["stands"], &dana["by"][0]["types"]), (&json!("panel"), &json!("all")), "{dana}");
    assert_eq!(dana["by"][0]["policies"], json!(["physician-panel"]));
    let own = gateway.user("pat")["fhir_user"].as_str().unwrap().strip_prefix("Patient/").unwrap();
    let pat = explain(gateway, &["--patient", own]).0;
    assert_eq!(who(&pat, "pat").unwrap()["ways"][0]["stands"], "own", "{pat}");
    let emergency = who(&answer, &stranger.name).unwrap();
    assert_eq!(emergency["ways"].as_array().unwrap().len(), 1, "{emergency}");
    assert_eq!(emergency["ways"][0]["stands"], "emergency");
    assert_eq!(emergency["ways"][0]["by"][0]["policies"], json!(["emergency-view"]));
    let bea = way("bea");
    assert_eq!((&bea["stands"], &bea["by"][0]["mask"]), (&json!("other"), &Value::Null), "{bea}");
    let types = bea["by"][0]["types"].as_array().unwrap();
    assert!(types.contains(&json!("Claim")) && !types.contains(&json!("Observation")), "{bea}");
    let researcher = gateway.person("researcher", &[]);
    let again = ask(&[]);
    let masked = &who(&again, &researcher.name).unwrap()["ways"][0]["by"][0];
    assert_eq!((&masked["mask"], &masked["policies"]), (&json!("safe-harbor"), &json!(["researcher-view"])));
    let service = who(&answer, "demo-service").unwrap();
    assert_eq!((&service["kind"], &service["ways"][0]["stands"]), (&json!("program"), &json!("other")));

    // What a search finds is given whole.
    let indexer = ["--kind", "backend", "--scope", "system/Observation.s", "--role", "service"];
    gateway.command(&[&["client", "add", "indexer-of-searches"], &indexer[..]].concat());
    let searches = ask(&[]);
    let indexer = &who(&searches, "indexer-of-searches").unwrap_or_else(|| panic!("{searches}"))["ways"][0];
    assert_eq!(indexer["by"][0]["types"], json!(["Observation"]), "{indexer}");

    // Under a mask that renames records nobody reads one by its own name.
    let masked = |action: &str| {
        let words = ["--client", "demo-app", "--resource", "Observation/x", "--patient", patient];
        explain(gateway, &[&["--user", &researcher.name, "--action", action], &words[..]].concat())
    };
    let (read, success) = masked("read");
    assert!(!success && says(&read, "by its own name") && says(&read, "safe-harbor"), "{read}");
    let (found, success) = masked("search");
    assert!(success, "{found}");

    // For another purpose others, or nobody.
    let research = ask(&["--purpose", "HRESCH"]);
    assert!(who(&research, "dana").is_none() && who(&research, &researcher.name).is_some(), "{research}");
    assert_eq!(ask(&["--purpose", "HMARKT"])["who"], json!([]));
    let treating = ask(&["--purpose", "TREAT"]);
    assert!(who(&treating, "dana").is_some() && who(&treating, &stranger.name).is_none(), "{treating}");
    let supposed = ["--user", "dana", "--client", "demo-app", "--action", "read", "--resource"];
    let resource = format!("Patient/{patient}");
    let supposed = [&supposed[..], &[resource.as_str(), "--purpose", "HMARKT"]].concat();
    let (marketing, success) = explain(gateway, &supposed);
    assert!(!success && says(&marketing, "forbidden by no-marketing"), "{marketing}");
    assert!(says(&marketing, "no token of these roles names the purpose HMARKT"), "{marketing}");
    let unknown = gateway.try_command(&["policy", "explain", "--patient", patient, "--purpose", "FUN"]);
    assert!(!unknown.success && unknown.err.contains("purpose"), "{unknown:?}");
    let half = gateway.try_command(&["policy", "explain", "--patient", patient, "--action", "read"]);
    assert!(!half.success && half.err.contains("--client"), "{half:?}");

    let text = gateway.command(&["policy", "explain", "--patient", patient]);
    for words in [
        "person dana (physician)",
        "with the patient in their care (the care table), by physician-panel: every type",
        "by emergency access, if they ask for it",
        "without what the mask keeps: safe-harbor",
    ] {
        assert!(text.contains(words), "{words}: {text}");
    }
    let asked = gateway.audit(&["--patient", patient, "--action", "audit.read"]);
    assert!(asked.iter().any(|record| record["detail"]["question"] == format!("who could see {patient}")));
}

#[tokio::test]
async fn what_a_patient_has_forbidden_and_which_types_there_are_is_explained_as_the_route_has_it() {
    let gateway = &Gateway::demo("explain-consents", &[]);
    let port = behind::port(gateway);
    let [forbids, other] = [4, 5].map(|at| gateway.panel("dana")[at]);
    let consent = json!({ "resourceType": "Consent", "id": "no", "status": "active",
        "scope": { "coding": [{ "system": "http://terminology.hl7.org/CodeSystem/consentscope", "code": "patient-privacy" }] },
        "patient": { "reference": format!("Patient/{forbids}") },
        "provision": { "type": "deny", "class": [{ "system": "http://hl7.org/fhir/resource-types", "code": "Observation" }] } });
    behind::put(gateway, port, &consent).await;
    let ask = |resource: &str, patient: &str, more: &[&str]| {
        let words = [
            "--user",
            "dana",
            "--client",
            "demo-app",
            "--action",
            "read",
            "--resource",
            resource,
            "--patient",
            patient,
        ];
        explain(gateway, &[&words[..], more].concat())
    };
    assert!(ask("Observation/x", forbids, &[]).1, "nobody looks at Consents");
    configure(gateway, |config| config.replace("care_from", "consent = \"enforce\"\ncare_from")).await;
    let (denied, success) = ask("Observation/x", forbids, &[]);
    assert!(!success && says(&denied, "Consent/no gives it the label consent:deny"), "{denied}");
    assert_eq!(denied["policies"][0]["id"], "consent-denies", "{denied}");
    let (allowed, success) = ask("Condition/x", forbids, &["--route", "fhir"]);
    assert!(success && says(&allowed, "may forbid it by what stands in the record"), "{allowed}");
    let (allowed, success) = ask("Observation/x", other, &[]);
    assert!(success && says(&allowed, &format!("no Consent of {other} forbids it")), "{allowed}");
    // A token names the purpose that its person's roles have first.
    let research = json!({ "resourceType": "Consent", "id": "no-research", "status": "active",
        "scope": consent["scope"], "patient": { "reference": format!("Patient/{other}") },
        "provision": { "type": "deny", "purpose": [{ "system": "http://terminology.hl7.org/CodeSystem/v3-ActReason", "code": "HRESCH" }] } });
    behind::put(gateway, port, &research).await;
    let (treated, success) = ask("Condition/x", other, &[]);
    assert!(success && says(&treated, "for TREAT, which a token of these roles names"), "{treated}");
    // A type of R5 is none on a route of R4.
    let of = |resource: &str, more: &[&str]| {
        let words = [
            "policy",
            "explain",
            "--user",
            "dana",
            "--client",
            "demo-app",
            "--action",
            "read",
            "--patient",
            other,
        ];
        gateway.try_command(&[&words[..], &["--resource", resource], more].concat())
    };
    assert!(
        of("DeviceUsage/x", &[]).err.contains("no resource type of FHIR"),
        "{:?}",
        of("DeviceUsage/x", &[])
    );
    assert!(of("Observation/x", &["--route", "nowhere"]).err.contains("no FHIR route `nowhere`"));
    configure(gateway, |config| config.replace("care_from", "fhir_version = \"5.0\"\ncare_from")).await;
    assert!(of("DeviceUsage/x", &[]).out.contains("in the care of dana"), "{:?}", of("DeviceUsage/x", &[]));
}
