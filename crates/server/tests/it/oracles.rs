//! What a search must not tell: that records exist which its caller may not see.

use serde_json::{Value, json};

use crate::browser::{App, USER_SCOPE};
use crate::fhir::walk;
use crate::gateway::{Gateway, Person};
use crate::wire::{Answer, Call};

async fn token_of(gateway: &Gateway, person: &Person) -> String {
    App::public(USER_SCOPE).tokens(gateway, person).await.access
}

async fn get(gateway: &Gateway, token: &str, what: &str) -> Answer {
    let answer = Call::get(&format!("/fhir/{what}")).bearer(token).to(gateway).await;
    assert_eq!(answer.status, 200, "{what}: {}", answer.text());
    answer
}

fn has_next(bundle: &Value) -> bool {
    bundle["link"].as_array().is_some_and(|links| links.iter().any(|link| link["relation"] == "next"))
}

/// What was found: not the word of emergency access beside it.
fn entries(bundle: &Value) -> &[Value] {
    match bundle["entry"].as_array() {
        Some(entries) if entries.first().is_none_or(|first| first["search"]["mode"] != "outcome") => entries,
        Some(_) | None => &[],
    }
}

/// Records of types that no one parameter narrows to a patient.
fn drafts(patient: &str) -> [Value; 3] {
    let patient = json!({ "reference": format!("Patient/{patient}") });
    [
        json!({ "resourceType": "CareTeam", "status": "active", "subject": patient }),
        json!({ "resourceType": "List", "status": "current", "mode": "working", "subject": patient }),
        json!({ "resourceType": "Task", "status": "requested", "intent": "order", "for": patient }),
    ]
}

async fn create(gateway: &Gateway, token: &str, draft: &Value) {
    let path = format!("/fhir/{}", draft["resourceType"].as_str().unwrap());
    let made = Call::fhir("POST", &path, draft).bearer(token).to(gateway).await;
    assert_eq!(made.status, 201, "{}", made.text());
}

#[tokio::test]
async fn a_search_says_the_same_whether_or_not_others_have_such_records() {
    let gateway = &Gateway::demo("oracles", &[]);
    let [mine, theirs] = [gateway.patients()[0], gateway.patients()[20]];
    let asking = gateway.person("physician", &[mine]);
    let treating = token_of(gateway, &gateway.person("physician", &[theirs])).await;
    let asking = token_of(gateway, &asking).await;
    let searches = [
        "CareTeam?status=active&_count=1".to_owned(),
        format!("CareTeam?patient=Patient/{theirs}&_count=1"),
        "List?status=current&_count=1".to_owned(),
        format!("List?patient=Patient/{theirs}&_count=1"),
        "Task?status=requested&_count=1".to_owned(),
        format!("Task?patient=Patient/{theirs}&_count=1"),
    ];
    let mut before = Vec::new();
    for search in &searches {
        before.push(get(gateway, &asking, search).await.without_date());
    }
    for draft in drafts(theirs) {
        for _ in 0..3 {
            create(gateway, &treating, &draft).await;
        }
    }
    for (search, before) in searches.iter().zip(before) {
        let after = get(gateway, &asking, search).await;
        assert_eq!(after.without_date(), before, "{search}");
        let bundle = after.json();
        assert!(entries(&bundle).is_empty() && !has_next(&bundle), "{search}: {bundle}");
        assert_eq!(bundle.get("total").filter(|total| **total != json!(0)), None, "{search}");
    }
    // They are there, for whoever may see them, page by page.
    let (found, second) = walk(gateway, &treating, "CareTeam?status=active&_count=1").await;
    assert!(found.len() == 3 && second.is_some(), "{found:?}");

    // Among others' records, one's own are found, and nothing is offered after the last of them.
    for _ in 0..2 {
        for draft in drafts(mine) {
            create(gateway, &asking, &draft).await;
        }
        create(gateway, &treating, &drafts(theirs)[0]).await;
    }
    let first = get(gateway, &asking, "CareTeam?status=active&_count=1").await.json();
    assert!(entries(&first).len() == 1 && has_next(&first), "{first}");
    let own = format!("Patient/{mine}");
    let (mut pages, mut path) = (1, next_of(&first, gateway));
    while let Some(further) = path {
        let page = Call::get(&further).bearer(&asking).to(gateway).await.json();
        assert_eq!(entries(&page).len(), 1, "a page that is offered holds something: {page}");
        assert_eq!(page["entry"][0]["resource"]["subject"]["reference"], own);
        pages += 1;
        path = next_of(&page, gateway);
    }
    assert_eq!(pages, 2);
}

fn next_of(bundle: &Value, gateway: &Gateway) -> Option<String> {
    let next = bundle["link"].as_array()?.iter().find(|link| link["relation"] == "next")?;
    Some(next["url"].as_str()?.strip_prefix(&gateway.issuer)?.to_owned())
}

#[tokio::test]
async fn another_patients_id_beside_ones_own_gives_the_same_bundle_as_one_that_does_not_exist() {
    let gateway = crate::shared::demo();
    let [mine, other] = [gateway.patients()[0], gateway.patients()[20]];
    let token = token_of(gateway, &gateway.person("physician", &[mine])).await;
    for count in ["&_count=1", "&_count=10", ""] {
        for ids in [[mine, "WHO"], ["WHO", mine]] {
            let ask = |who: &str| {
                let search = format!("Patient?_id={}{count}", ids.join(",").replace("WHO", who));
                let token = token.clone();
                async move { get(gateway, &token, &search).await }
            };
            let (with_other, with_nobody) = (ask(other).await, ask("no-such-patient").await);
            let bundle = with_other.json();
            assert!(!has_next(&bundle), "{bundle}");
            assert_eq!(entries(&bundle).len(), 1, "{bundle}");
            assert_eq!(bundle["entry"][0]["resource"]["id"], mine);
            assert_eq!(
                with_other.text().replace(other, "WHO"),
                with_nobody.text().replace("no-such-patient", "WHO")
            );
        }
    }
}

#[tokio::test]
async fn a_nurse_with_nobody_in_their_care_finds_nothing() {
    let gateway = crate::shared::demo();
    let token = token_of(gateway, &gateway.person("nurse", &[])).await;
    for search in ["Patient", "Patient?_count=1", "Observation?_count=1", "CareTeam?_count=1", "Coverage"] {
        let bundle = get(gateway, &token, search).await.json();
        assert!(entries(&bundle).is_empty() && !has_next(&bundle), "{search}: {bundle}");
        assert_eq!(bundle["total"], 0, "nobody need be asked: {search}: {bundle}");
    }
}
