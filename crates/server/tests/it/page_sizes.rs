//! Pages of any size that is asked for, cut out of the upstream's: all that may be seen, and nothing of what is hidden.

use serde_json::{Value, json};

use crate::browser::{App, USER_SCOPE};
use crate::fakes::behind;
use crate::fakes::between::Between;
use crate::faults::until_recorded;
use crate::gateway::{Gateway, Person};
use crate::wire::{Answer, Call};

async fn token_of(gateway: &Gateway, person: &Person) -> String {
    App::public(USER_SCOPE).tokens(gateway, person).await.access
}

async fn get(gateway: &Gateway, token: &str, path: &str) -> Answer {
    Call::get(path).bearer(token).to(gateway).await
}

/// Hidden from all but whoever has leave for what is very restricted.
fn observation(patient: &str, is_hidden: bool) -> Value {
    let system = "http://terminology.hl7.org/CodeSystem/v3-Confidentiality";
    let security = if is_hidden { json!([{ "system": system, "code": "V" }]) } else { json!([]) };
    json!({ "resourceType": "Observation", "status": "final", "meta": { "security": security },
        "code": { "coding": [{ "system": "http://example.org/tests", "code": "marigold" }] },
        "subject": { "reference": format!("Patient/{patient}") } })
}

async fn make(gateway: &Gateway, token: &str, record: &Value) -> String {
    let made = Call::fhir("POST", "/fhir/Observation", record).bearer(token).to(gateway).await;
    assert_eq!(made.status, 201, "{}", made.text());
    made.json()["id"].as_str().unwrap().to_owned()
}

fn next_of(gateway: &Gateway, bundle: &Value) -> Option<String> {
    let next = bundle["link"].as_array()?.iter().find(|link| link["relation"] == "next")?;
    Some(next["url"].as_str()?.strip_prefix(&gateway.issuer)?.to_owned())
}

/// The records of each page, by type, id and version.
async fn pages(gateway: &Gateway, token: &str, question: &str) -> Vec<Vec<String>> {
    let (mut pages, mut next) = (Vec::new(), Some(format!("/fhir/{question}")));
    while let Some(path) = next {
        let answer = get(gateway, token, &path).await;
        assert_eq!(answer.status, 200, "{question}: {}", answer.text());
        let bundle = answer.json();
        let name = |entry: &Value| {
            let resource = &entry["resource"];
            format!("{}/{} {}", resource["resourceType"], resource["id"], resource["meta"]["versionId"])
        };
        pages.push(bundle["entry"].as_array().into_iter().flatten().map(name).collect());
        assert!(pages.len() < 500, "{question} does not end");
        next = next_of(gateway, &bundle);
    }
    pages
}

#[tokio::test]
async fn no_size_of_a_page_makes_a_few_hidden_records_tell() {
    let gateway = &Gateway::demo("small-pages", &[]);
    let patient = gateway.panel("dana")[0];
    let special = gateway.person("physician", &[patient]);
    gateway.command(&["user", "roles", &special.name, "--role", "physician", "--role", "special-care"]);
    let theirs = token_of(gateway, &special).await;
    let dana = token_of(gateway, &gateway.demo_person("dana")).await;
    let marigold = "Observation?code=http://example.org/tests|marigold";
    let everything = format!("Patient/{patient}/$everything?_type=Observation");
    let questions = [marigold.to_owned(), format!("Patient/{patient}/{marigold}"), everything.clone()];
    let mut before = Vec::new();
    for question in &questions {
        before.push(pages(gateway, &dana, &format!("{question}&_count=1")).await);
    }
    // More than as many pages of one record as are looked at for one request.
    for _ in 0..60 {
        make(gateway, &theirs, &observation(patient, true)).await;
    }
    for (question, before) in questions.iter().zip(before) {
        let after = pages(gateway, &dana, &format!("{question}&_count=1")).await;
        assert_eq!(after, before, "{question}");
    }
    let all = pages(gateway, &theirs, &format!("{marigold}&_count=100")).await;
    assert_eq!(all.concat().len(), 60, "they are there");
    // Between and after what may be seen, by pages of every size.
    let mut own = Vec::new();
    for _ in 0..4 {
        own.push(make(gateway, &dana, &observation(patient, false)).await);
        make(gateway, &theirs, &observation(patient, true)).await;
    }
    let first = get(gateway, &dana, &format!("/fhir/Observation/{}", own[0])).await.json();
    let since = first["meta"]["lastUpdated"].as_str().unwrap();
    let history = format!("Observation/_history?_since={}", since.replace('+', "%2B"));
    for question in [marigold.to_owned(), everything, history] {
        let all: Vec<String> = pages(gateway, &dana, &format!("{question}&_count=1000")).await.concat();
        assert!(
            own.iter().all(|id| all.iter().any(|name| name.contains(id.as_str()))),
            "{question}: {all:?}"
        );
        for count in [1, 3, 49, 51] {
            if count == 1 && all.len() > 120 {
                continue;
            }
            let cut = pages(gateway, &dana, &format!("{question}&_count={count}")).await;
            let expected: Vec<Vec<String>> = all.chunks(count).map(<[_]>::to_vec).collect();
            assert_eq!(cut, expected, "{question} by {count}");
        }
    }
}

/// The ids on a page, and the link to the next.
async fn turn(gateway: &Gateway, token: &str, path: &str) -> (Vec<String>, Option<String>) {
    let answer = get(gateway, token, path).await;
    assert_eq!(answer.status, 200, "{path}: {}", answer.text());
    let bundle = answer.json();
    let id =
        |entry: &Value| entry["resource"]["id"].as_str().or(entry["fullUrl"].as_str()).unwrap().to_owned();
    let ids = bundle["entry"].as_array().into_iter().flatten().map(id).collect();
    (ids, next_of(gateway, &bundle))
}

/// All links of a listing by single records, with what each leads to.
async fn links(gateway: &Gateway, token: &str, question: &str) -> Vec<(String, Vec<String>)> {
    let (mut all, mut next) = (Vec::new(), Some(format!("/fhir/{question}&_count=1")));
    while let Some(path) = next {
        let (ids, after) = turn(gateway, token, &path).await;
        all.push((path, ids));
        assert!(all.len() < 60, "{question} does not end");
        next = after;
    }
    all
}

#[tokio::test]
async fn hidden_records_that_come_and_go_between_two_pages_do_not_show() {
    let gateway = &Gateway::demo("come-and-go", &[]);
    let patient = gateway.panel("dana")[0];
    let special = gateway.person("physician", &[patient]);
    gateway.command(&["user", "roles", &special.name, "--role", "physician", "--role", "special-care"]);
    let theirs = token_of(gateway, &special).await;
    let dana = token_of(gateway, &gateway.demo_person("dana")).await;
    let on = |day: u8, is_hidden: bool| {
        let mut record = observation(patient, is_hidden);
        record["effectiveDateTime"] = json!(format!("2024-03-{day:02}"));
        record
    };
    let first = make(gateway, &dana, &on(20, false)).await;
    let hidden = make(gateway, &theirs, &on(15, true)).await;
    for day in [10, 5] {
        make(gateway, &dana, &on(day, false)).await;
    }
    let first = get(gateway, &dana, &format!("/fhir/Observation/{first}")).await.json();
    let since = first["meta"]["lastUpdated"].as_str().unwrap().replace('+', "%2B");
    let questions = [
        "Observation?code=http://example.org/tests|marigold&_sort=-date".to_owned(),
        format!("Observation/_history?_since={since}"),
    ];
    let mut before = Vec::new();
    for question in &questions {
        let links = links(gateway, &dana, question).await;
        assert_eq!(links.len(), 3, "{question}: {links:?}");
        before.push(links);
    }
    let is_as_before = async |when: &str| {
        for (question, links_before) in questions.iter().zip(&before) {
            // By the links that were given before, and from each of them on.
            for (at, (path, ids)) in links_before.iter().enumerate() {
                let (again, mut next) = turn(gateway, &dana, path).await;
                assert_eq!(&again, ids, "{question} {when}");
                for (_, expected) in links_before.iter().skip(at.saturating_add(1)) {
                    let (ids, after) = turn(gateway, &dana, &next.unwrap()).await;
                    assert_eq!(&ids, expected, "{question} {when}, on from {at}");
                    next = after;
                }
                assert_eq!(next, None, "{question} {when}");
            }
        }
    };
    is_as_before("and nothing changed").await;
    // At the head, between, and behind.
    let mut new = Vec::new();
    for day in [25, 7, 1] {
        new.push(make(gateway, &theirs, &on(day, true)).await);
        is_as_before("and a hidden one came").await;
    }
    for id in std::iter::once(&hidden).chain(&new) {
        let gone = Call::new("DELETE", &format!("/fhir/Observation/{id}")).bearer(&theirs).to(gateway).await;
        assert!(matches!(gone.status, 200 | 204), "{}", gone.text());
        is_as_before("and a hidden one went").await;
    }
}

#[tokio::test]
async fn links_of_one_listing_are_of_one_length() {
    let gateway = &Gateway::demo("link-length", &[]);
    let patient = gateway.panel("dana")[0];
    let dana = token_of(gateway, &gateway.demo_person("dana")).await;
    for _ in 0..55 {
        make(gateway, &dana, &observation(patient, false)).await;
    }
    let mut lengths = std::collections::BTreeSet::new();
    let mut next = Some("/fhir/Observation?code=http://example.org/tests|marigold&_count=10".to_owned());
    while let Some(path) = next {
        let bundle = get(gateway, &dana, &path).await.json();
        next = next_of(gateway, &bundle);
        lengths.extend(next.as_ref().map(String::len));
    }
    assert_eq!(lengths.len(), 1, "before and after the upstream's first page: {lengths:?}");
}

#[tokio::test]
async fn a_link_into_a_first_page_is_good_while_the_same_patients_are_in_care() {
    let gateway = &Gateway::demo("page-again", &[]);
    let [mine, other, third] = [gateway.patients()[0], gateway.patients()[20], gateway.patients()[23]];
    let person = gateway.person("physician", &[mine, other]);
    let token = token_of(gateway, &person).await;
    let first = get(gateway, &token, "/fhir/Patient?_count=1").await.json();
    let link = next_of(gateway, &first).unwrap();
    let second = get(gateway, &token, &link).await;
    assert_eq!(second.status, 200, "{}", second.text());
    let id = |bundle: &Value| bundle["entry"][0]["resource"]["id"].as_str().unwrap().to_owned();
    let mut found = [id(&first), id(&second.json())];
    found.sort();
    let mut expected = [mine.to_owned(), other.to_owned()];
    expected.sort();
    assert_eq!(found, expected);
    assert_eq!(next_of(gateway, &second.json()), None);
    // Asked now, it would have other pages, of which this one would be a part.
    gateway.command(&["care", "add", &person.name, third]);
    let refused = get(gateway, &token, &link).await;
    assert_eq!(refused.status, 403, "{}", refused.text());
    gateway.command(&["care", "remove", &person.name, third]);
    assert_eq!(get(gateway, &token, &link).await.status, 200);

    // So it is beyond the first page: where that ends makes no difference.
    for _ in 0..55 {
        make(gateway, &token, &observation(mine, false)).await;
    }
    let question = "/fhir/Observation?code=http://example.org/tests|marigold&_count=50";
    let first = get(gateway, &token, question).await.json();
    let link = next_of(gateway, &first).unwrap();
    let second = get(gateway, &token, &link).await;
    assert_eq!((second.status, second.json()["entry"].as_array().unwrap().len()), (200, 5));
    gateway.command(&["care", "add", &person.name, third]);
    let refused = get(gateway, &token, &link).await;
    assert_eq!(refused.status, 403, "{}", refused.text());
    gateway.command(&["care", "remove", &person.name, third]);
    // Nor is it good under another role, though all else is the same.
    gateway.command(&["user", "roles", &person.name, "--role", "physician", "--role", "special-care"]);
    let other = token_of(gateway, &person).await;
    assert_eq!(get(gateway, &other, &link).await.status, 403);
    assert_eq!(get(gateway, &other, question).await.status, 200);
}

#[tokio::test]
async fn a_small_page_of_a_types_history_looks_at_few_records() {
    let gateway = &Gateway::demo("few-looks", &[]);
    let real = behind::port(gateway);
    let between = Between::start(real, gateway.stranger_to("dana")).await;
    let config = std::fs::read_to_string(gateway.config()).unwrap();
    let moved = config.replace(&format!("127.0.0.1:{real}"), &format!("127.0.0.1:{}", between.port));
    std::fs::write(gateway.config(), moved).unwrap();
    gateway.hang_up();
    until_recorded(gateway, "config.reload", 1).await;
    let patient = gateway.panel("dana")[0];
    let dana = token_of(gateway, &gateway.demo_person("dana")).await;
    for _ in 0..30 {
        make(gateway, &dana, &observation(patient, false)).await;
    }
    let looked = async |count: usize| {
        let path = format!("/fhir/Observation/_history?_count={count}");
        // Once before, so that what is remembered of patients is asked for both times or neither.
        turn(gateway, &dana, &path).await;
        between.calls();
        let (ids, _) = turn(gateway, &dana, &path).await;
        assert_eq!(ids.len(), count);
        between.calls()
    };
    let (one, twenty) = (looked(1).await, looked(20).await);
    // The history itself, what is on the page, and the one that there is no room for.
    assert!(one <= 3 && twenty >= 20, "{one} {twenty}");

    // The search of a conditional write is by large pages too: as many calls where a few are hidden as where none are.
    let special = gateway.person("physician", &[patient]);
    gateway.command(&["user", "roles", &special.name, "--role", "physician", "--role", "special-care"]);
    let theirs = token_of(gateway, &special).await;
    let mut hidden = observation(patient, true);
    hidden["code"]["coding"][0]["code"] = json!("hidden");
    for _ in 0..45 {
        make(gateway, &theirs, &hidden).await;
    }
    let made_unless = async |code: &str| {
        let call = Call::fhir("POST", "/fhir/Observation", &observation(patient, false)).bearer(&dana);
        let call = call.header("if-none-exist", &format!("code=http://example.org/tests|{code}"));
        between.calls();
        let made = call.to(gateway).await;
        assert_eq!(made.status, 201, "{}", made.text());
        between.calls()
    };
    made_unless("nothing").await;
    let none = made_unless("nothing").await;
    assert_eq!(made_unless("hidden").await, none);
}

#[tokio::test]
async fn small_pages_by_a_question_that_is_too_long_for_a_link_are_refused_and_larger_ones_are_not() {
    let gateway = crate::shared::demo();
    let dana = token_of(gateway, &gateway.demo_person("dana")).await;
    let ids: Vec<String> = (0..600).map(|number| format!("a-name-that-is-of-nobody-here-{number}")).collect();
    let ask = |count: &str| {
        let body = format!("_id={}&_count={count}", ids.join(","));
        let call = Call::new("POST", "/fhir/Observation/_search");
        call.body("application/x-www-form-urlencoded", body).bearer(&dana)
    };
    let refused = ask("49").to(gateway).await;
    assert!(refused.status == 400 && refused.text().contains("_count"), "{}", refused.text());
    let found = ask("50").to(gateway).await;
    assert_eq!(found.status, 200, "{}", found.text());
}
