//! Policies on trial: what they would have decided stands in the log, decides nothing, and can be put in force; and a decision
//! that was recorded is asked again.

use std::path::Path;

use serde_json::{Value, json};

use crate::browser::{App, USER_SCOPE};
use crate::faults::until_recorded;
use crate::gateway::Gateway;
use crate::wire::{Answer, Call};

/// Nobody sees conditions; nurses see who every patient is; and of what nurses see, dates keep the year.
const NEXT: &str = r#"
@id("no-conditions")
forbid (principal, action, resource is Chartgate::Record) when { resource.resource_type == "Condition" };
@id("nurse-every-patient")
permit (principal in Chartgate::Role::"nurse", action in Chartgate::Action::"view", resource is Chartgate::Record)
when { resource.relation == "other" && resource.resource_type == "Patient" };
"#;

/// The demo with policies on trial, and the hash of both sets.
async fn on_trial(name: &str) -> (Gateway, String) {
    let gateway = Gateway::demo(name, &[]);
    copy(&gateway.folder().join("policies"), &gateway.folder().join("policies-next"));
    let next = gateway.folder().join("policies-next");
    std::fs::write(next.join("next.cedar"), NEXT).unwrap();
    let nurse = std::fs::read_to_string(next.join("nurse.cedar")).unwrap();
    let nurse =
        nurse.replace("@id(\"nurse-panel-view\")", "@id(\"nurse-panel-view\")\n@mask(\"dates-to-year\")");
    std::fs::write(next.join("nurse.cedar"), nurse).unwrap();
    let text = std::fs::read_to_string(gateway.config()).unwrap();
    let changed = text.replace("[policy]\n", "[policy]\nshadow = \"policies-next\"\n");
    assert_ne!(changed, text);
    std::fs::write(gateway.config(), changed).unwrap();
    gateway.hang_up();
    let found = until_recorded(&gateway, "policy.reload", 1).await;
    let set = found[0]["detail"]["shadow_set"].as_str().unwrap().to_owned();
    (gateway, set)
}

fn copy(from: &Path, to: &Path) {
    std::fs::create_dir_all(to).unwrap();
    for entry in std::fs::read_dir(from).unwrap() {
        let entry = entry.unwrap();
        if entry.file_type().unwrap().is_file() {
            std::fs::copy(entry.path(), to.join(entry.file_name())).unwrap();
        }
    }
}

async fn get(gateway: &Gateway, token: &str, what: &str) -> Answer {
    Call::get(&format!("/fhir/{what}")).bearer(token).to(gateway).await
}

/// The newest access of a person, and what was said to its questions.
fn newest(gateway: &Gateway, person: &str) -> (Value, Vec<Value>) {
    let records = gateway.audit(&["--user", person]);
    let record = records.into_iter().rfind(|record| record["event"] == "access").unwrap();
    let asked = serde_json::from_str(record["detail"]["asked"].as_str().unwrap()).unwrap();
    (record, asked)
}

fn json_of(gateway: &Gateway, words: &[&str]) -> Vec<Value> {
    let done = gateway.try_command(&[&["--output", "json", "policy"], words].concat());
    let lines: Vec<Value> = done.out.lines().filter_map(|line| serde_json::from_str(line).ok()).collect();
    assert!(!lines.is_empty(), "{words:?}: {done:?}");
    lines
}

#[tokio::test]
async fn policies_on_trial_decide_nothing_are_summed_up_and_then_put_in_force() {
    let (gateway, shadow_set) = on_trial("shadow").await;
    let gateway = &gateway;
    let patient = gateway.panel("dana")[0];
    let dana = App::public(USER_SCOPE).tokens(gateway, &gateway.demo_person("dana")).await.access;
    let nurse = gateway.person("nurse", &[patient]);
    let theirs = App::public(USER_SCOPE).tokens(gateway, &nurse).await.access;

    // What comes to the same is not said.
    assert_eq!(get(gateway, &dana, &format!("Patient/{patient}")).await.status, 200);
    let (same, asked) = newest(gateway, "dana");
    assert_eq!(
        (&same["detail"]["shadow"], &same["detail"]["shadow_set"]),
        (&Value::Null, &json!(shadow_set))
    );
    assert_ne!(same["detail"]["policy_set"], same["detail"]["shadow_set"]);
    assert_eq!(
        asked.last().unwrap()["answer"],
        json!({ "outcome": "allow", "policies": ["physician-panel"] })
    );

    // Denied by a policy; allowed by one; seen with another mask.
    let conditions = format!("Condition?patient={patient}");
    let found = get(gateway, &dana, &conditions).await;
    assert_eq!(found.status, 200, "{}", found.text());
    let (denied, _) = newest(gateway, "dana");
    let said = denied["detail"]["shadow"].as_str().unwrap();
    assert!(said.contains("deny by no-conditions: search Condition"), "{said}");
    let stranger = gateway.patients().into_iter().find(|id| *id != patient).unwrap();
    let absent = get(gateway, &theirs, &format!("Patient/{stranger}")).await;
    assert_eq!(absent.status, 404);
    assert_eq!(absent.text(), get(gateway, &theirs, "Patient/no-such").await.text(), "nothing of it is told");
    let denials = gateway.audit(&["--user", &nurse.name, "--outcome", "deny"]);
    let said = denials[0]["detail"]["shadow"].as_str().unwrap();
    assert_eq!(said, "allow by nurse-every-patient: read Patient (other)");
    let seen = get(gateway, &theirs, &format!("Patient/{patient}")).await.json();
    assert!(seen["birthDate"].as_str().unwrap().len() > 4, "{seen}");
    let (masked, _) = newest(gateway, &nurse.name);
    let said = masked["detail"]["shadow"].as_str().unwrap();
    assert!(said.contains("with the mask dates-to-year: read Patient (panel)"), "{said}");

    // Each entry of a batch has its own account.
    let entry = |url: &str| json!({ "request": { "method": "GET", "url": url } });
    let batch = json!({ "resourceType": "Bundle", "type": "batch",
        "entry": [entry(&format!("Patient/{patient}")), entry(&conditions)] });
    assert_eq!(Call::fhir("POST", "/fhir", &batch).bearer(&dana).to(gateway).await.status, 200);
    let entries: Vec<Value> =
        gateway.audit(&["--user", "dana"]).into_iter().filter(|r| r["entry"].is_u64()).collect();
    for (entry, differs) in [(0, false), (1, true)] {
        let record = entries.iter().find(|record| record["entry"] == entry).unwrap();
        assert_eq!(record["detail"]["shadow"].is_string(), differs, "{record}");
    }

    let sum = json_of(gateway, &["shadow"]).remove(0);
    assert_eq!(sum["shadow_set"], json!(shadow_set));
    assert_eq!((&sum["requests"], &sum["changed"]), (&json!(7), &json!(4)), "{sum}");
    let counts = ["denied", "allowed", "masked_otherwise"].map(|name| sum[name].as_u64().unwrap());
    assert_eq!(counts, [2, 1, 1], "{sum}");
    let group =
        |change: &str| sum["groups"].as_array().unwrap().iter().find(|g| g["change"] == change).unwrap();
    assert_eq!(group("denied")["shadow_policies"], json!(["no-conditions"]));
    assert_eq!(group("allowed")["roles"], json!(["nurse"]));
    assert_eq!(group("masked-otherwise")["policies"], json!(["nurse-panel-view"]));
    let text = gateway.command(&["policy", "shadow"]);
    assert!(
        text.contains("7 requests were put to them; 4 would") && text.contains("no-conditions"),
        "{text}"
    );
    assert!(gateway.command(&["policy", "check"]).contains("policies on trial, no errors"));

    // What is wrong with them touches nothing.
    let next = gateway.folder().join("policies-next/next.cedar");
    std::fs::write(&next, "permit (").unwrap();
    let refused = until_recorded(gateway, "policy.rejected", 1).await;
    assert_eq!(refused[0]["detail"]["shadow"], "true");
    assert!(gateway.output().contains("policies to be tried out are refused"));
    assert_eq!(get(gateway, &dana, &conditions).await.status, 200);
    assert_eq!(newest(gateway, "dana").0["detail"]["shadow_set"], json!(shadow_set), "the last good ones");
    assert!(!gateway.try_command(&["policy", "check"]).success);
    std::fs::write(&next, NEXT).unwrap();

    // In force they have the name that they had on trial, and do what they said.
    copy(&gateway.folder().join("policies"), &gateway.folder().join("policies-then"));
    let index = denied["index"].to_string();
    copy(&gateway.folder().join("policies-next"), &gateway.folder().join("policies"));
    until_set(gateway, &shadow_set).await;
    assert_eq!(get(gateway, &dana, &conditions).await.status, 403);
    let (now, _) = newest(gateway, "dana");
    assert_eq!(now["detail"]["policy_set"], json!(shadow_set));
    assert_eq!(now["decision"]["policies"], json!(["no-conditions"]));

    // What was decided then is asked again of the policies now, and of those that were.
    let replayed = json_of(gateway, &["replay", &index]).remove(0);
    assert_eq!((&replayed["result"], &replayed["asked_set"]), (&json!("differs"), &json!(shadow_set)));
    let changed = replayed["questions"].as_array().unwrap().iter().find(|q| q["change"] == "denied").unwrap();
    assert_eq!(changed["now"]["policies"], json!(["no-conditions"]), "{replayed}");
    let done = gateway.try_command(&["policy", "replay", &index]);
    assert!(!done.success && done.out.contains("is deny by no-conditions"), "{done:?}");
    let gone = json_of(gateway, &["replay", &index, "--recorded-set"]).remove(0);
    assert!(gone["result"] == "cannot" && gone["why"].as_str().unwrap().contains("not at hand"), "{gone}");
    let then = gateway.folder().join("policies-then");
    let then = then.to_str().unwrap();
    let very = json_of(gateway, &["replay", &index, "--recorded-set", "--dir", then]).remove(0);
    assert_eq!((&very["result"], &very["policy_set"]), (&json!("same"), &very["asked_set"]), "{very}");
    let all =
        json_of(gateway, &["replay", "--since", "2020-01-01T00:00:00Z", "--dir", then, "--recorded-set"]);
    assert!(all.iter().all(|line| line["result"] != "differs"), "the same policies say the same: {all:?}");
    let same = all.iter().filter(|line| line["result"] == "same").count();
    assert!(same >= 9, "{same} of {all:?}");
    let asked = gateway.audit(&["--action", "audit.read"]);
    assert!(asked.iter().any(|record| record["resource"] == "replay"), "who asks is recorded");
}

/// Waits until these policies are in force.
async fn until_set(gateway: &Gateway, set: &str) {
    for count in 1.. {
        let loaded = until_recorded(gateway, "policy.reload", count).await;
        if loaded.iter().any(|record| record["detail"]["policy_set"] == set) {
            return;
        }
    }
}

#[tokio::test]
async fn what_no_policy_was_asked_cannot_be_asked_again_and_says_why() {
    let gateway = &Gateway::demo("replay", &[]);
    assert_eq!(get(gateway, "nonsense", "Patient/x").await.status, 401);
    let narrow =
        App::public("openid user/Observation.rs").tokens(gateway, &gateway.demo_person("dana")).await;
    let patient = gateway.panel("dana")[0];
    assert_eq!(get(gateway, &narrow.access, &format!("Patient/{patient}")).await.status, 403);
    let records = gateway.audit(&["--outcome", "deny"]);
    let refused = |status: u16| {
        let found = records.iter().find(|r| r["event"] == "access" && r["response"]["status"] == status);
        found.unwrap_or_else(|| panic!("{status}: {records:?}"))
    };
    for record in [refused(401), refused(403)] {
        let replayed = json_of(gateway, &["replay", &record["index"].to_string()]).remove(0);
        assert_eq!(replayed["result"], "cannot");
        let why = replayed["why"].as_str().unwrap();
        let reason = record["decision"]["reason"].as_str().unwrap();
        assert!(why.contains("no policy was asked") && why.contains(reason), "{why}");
    }
    let issued = gateway.audit(&["--user", "dana"]);
    let issued = issued.iter().find(|record| record["event"] == "token.issue").unwrap();
    let replayed = json_of(gateway, &["replay", &issued["index"].to_string()]).remove(0);
    assert!(replayed["why"].as_str().unwrap().contains("no request to a route"), "{replayed}");
    let none = gateway.try_command(&["policy", "shadow"]);
    assert!(!none.success && none.err.contains("policy.shadow"), "{none:?}");
    // Where nothing can be asked again, nothing is shown to be the same.
    let nothing = gateway.try_command(&["policy", "replay", "--since", "2020-01-01T00:00:00Z"]);
    assert!(!nothing.success && nothing.out.contains("0 come to the same, 0 do not"), "{nothing:?}");
    let beyond = gateway.try_command(&["policy", "replay", "99999999"]);
    assert!(beyond.err.contains("there is no record"), "{beyond:?}");
    assert!(!gateway.try_command(&["policy", "replay"]).success, "one record, or a time");
}
